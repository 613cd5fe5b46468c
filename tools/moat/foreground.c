/* SPDX-License-Identifier: Apache-2.0 */
/* Standing in for a program of a sandbox: signals go to it, its end becomes ours. */
#include "create.h"
#include "platform/host/text.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is meant for the program. The rest (SIGTSTP and its kind, faults, SIGCHLD) is ours. */
static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM,
	SIGWINCH, SIGCONT, SIGVTALRM, SIGPROF, SIGIO};

int
start_failure(const struct moat_error *e, const char *program)
{
	const char *why = "unable to start container process: ";

	if (exit_failure == EXIT_SANDBOX)
		why = "";
	if (!e->exec) {
		complain("%s%s", why, e->text);
		return exit_failure;
	}
	switch (e->code) {
	case ENOENT:
		if (!strchr(program, '/'))
			complain(
				"%sexec: \"%s\": executable file not found in $PATH", why, program);
		else
			complain("%sexec: \"%s\": stat %s: no such file or directory", why, program,
				program);
		return exit_failure == EXIT_SANDBOX ? 127 : exit_failure;
	case EACCES:
		complain("%sexec: \"%s\": permission denied", why, program);
		break;
	case EISDIR:
		complain("%sexec: \"%s\": is a directory", why, program);
		break;
	default:
		complain("%sexec: \"%s\": %s", why, program,
			e->text[0] ? e->text : strerror(e->code));
	}
	return exit_failure == EXIT_SANDBOX ? 126 : exit_failure;
}

int
write_pid_file(const char *path, int pid)
{
	char tmp[4200];
	FILE *f;
	bool ok;

	snprintf(tmp, sizeof tmp, "%s.tmp", path);
	f = fopen(tmp, "we");
	if (!f)
		return complain("--pid-file: cannot write %s: %s", path, strerror(errno));
	ok = fprintf(f, "%d", pid) > 0;
	ok = fclose(f) == 0 && ok && rename(tmp, path) == 0;
	if (ok)
		return 0;
	complain("--pid-file: cannot write %s: %s", path, strerror(errno));
	(void)unlink(tmp);
	return exit_failure;
}

int
pass_fds(struct moat_config *c, unsigned n, struct strings *env, int *fds, size_t cap)
{
	const char *listen = getenv("LISTEN_FDS"), *names = getenv("LISTEN_FDNAMES");
	unsigned long nlisten = listen ? strtoul(listen, NULL, 10) : 0;
	static char text[40], *names_text;

	if (nlisten > cap)
		return complain("LISTEN_FDS: more than %zu of them", cap);
	if (nlisten > 0) {
		/* Those come first, as systemd's protocol has it. */
		snprintf(text, sizeof text, "LISTEN_FDS=%lu", nlisten);
		strings_set_env(env, text);
		strings_set_env(env, "LISTEN_PID=1");
		if (names && asprintf(&names_text, "LISTEN_FDNAMES=%s", names) > 0)
			strings_set_env(env, names_text);
		c->env = env->v;
		n += (unsigned)nlisten;
	}
	if (n > cap)
		return complain("--preserve-fds: more than %zu of them", cap);
	for (unsigned i = 0; i < n; i++) {
		fds[i] = (int)(3 + i);
		if (fcntl(fds[i], F_GETFD) < 0)
			return complain("--preserve-fds: descriptor %d is not open", fds[i]);
	}
	c->extra_fds = fds;
	c->nextra_fds = n;
	return 0;
}

static void
block(bool terminal, sigset_t *set)
{
	sigemptyset(set);
	for (size_t i = 0; i < sizeof forwarded / sizeof forwarded[0]; i++)
		sigaddset(set, forwarded[i]);
	/* ^Z on a terminal is for what runs in front of it inside. */
	if (terminal)
		sigaddset(set, SIGTSTP);
	sigprocmask(SIG_BLOCK, set, NULL);
}

static sigset_t blocked;

void
foreground_block(bool terminal)
{
	block(terminal, &blocked);
}

static void
forward(struct moat_sandbox *s, struct moat_process *p, int sigfd)
{
	struct signalfd_siginfo si;
	int signo;

	if (read(sigfd, &si, sizeof si) != sizeof si)
		return;
	signo = (int)si.ssi_signo;
	/* It may be gone: waiting for it tells. */
	if (p)
		(void)(si.ssi_code == SI_KERNEL ? moat_process_signal_terminal(p, signo)
						: moat_process_signal(p, signo));
	else
		(void)moat_signal_terminal(s, signo);
}

/* The wait status, or < 0. */
static int
attend(struct moat_sandbox *s, struct moat_process *p, int sigfd, struct moat_error *err)
{
	struct pollfd f[2] = {{.fd = sigfd, .events = POLLIN},
		{.fd = p ? moat_process_fd(p) : moat_fd(s), .events = POLLIN}};
	int status = 0, r;

	host_text_drop();
	for (;;) {
		if (poll(f, 2, -1) < 0 && errno != EINTR)
			break;
		if (f[0].revents & POLLIN)
			forward(s, p, sigfd);
		if (f[1].revents)
			break;
	}
	r = p ? moat_process_wait(p, -1, &status, err) : moat_wait(s, &status, err);
	return r < 0 ? r : status;
}

static int
exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int
foreground_wait(struct moat_sandbox *s, struct moat_process *p)
{
	struct moat_error err;
	int fd = signalfd(-1, &blocked, SFD_CLOEXEC), status;

	if (fd < 0)
		return complain("cannot make a signalfd: %s", strerror(errno));
	status = attend(s, p, fd, &err);
	close(fd);
	if (status < 0) {
		complain("%s", err.text);
		return 128 + SIGKILL;
	}
	return exit_code(status);
}

int
run_foreground(struct moat_config *c)
{
	struct moat_sandbox *s;
	struct moat_error err;
	int r;

	foreground_block(c->terminal);
	r = moat_start(c, &s, &err);
	if (r < 0)
		return start_failure(&err, c->args[0]);
	r = foreground_wait(s, NULL);
	moat_destroy(s);
	return r;
}

/* Everything but keep is closed; the streams are /dev/null. */
static int
close_others(int keep)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		return -1;
	if (keep > 3 && close_range(3, (unsigned)keep - 1, 0) < 0)
		return -1;
	return close_range((unsigned)keep + 1, ~0U, 0);
}

static _Noreturn void
relay(struct moat_process *p, int tty)
{
	int sigfd, status;
	struct moat_error err;
	sigset_t set;

	/* The terminal tells its session's leader of keys and sizes. */
	(void)setsid();
	if (tty >= 0)
		(void)ioctl(tty, TIOCSCTTY, 0);
	prctl(PR_SET_NAME, "moat-exec");
	block(true, &set);
	if (close_others(moat_process_fd(p)) < 0)
		_exit(exit_failure);
	(void)!chdir("/");
	sigfd = signalfd(-1, &set, SFD_CLOEXEC);
	status = attend(NULL, p, sigfd, &err);
	_exit(status < 0 ? 128 + SIGKILL : exit_code(status));
}

int
relay_start(struct moat_process *p, int tty)
{
	pid_t pid = fork();

	if (pid == 0)
		relay(p, tty);
	if (pid < 0)
		complain("cannot start a process that waits: %s", strerror(errno));
	return pid;
}
