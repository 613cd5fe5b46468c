/* SPDX-License-Identifier: Apache-2.0 */
/* Running a sandbox in the foreground: signals go to the program, its end becomes ours. */
#include "moat.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is meant for the program. The rest (SIGTSTP and its kind, faults, SIGCHLD) is ours. */
static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM,
	SIGWINCH, SIGCONT, SIGVTALRM, SIGPROF, SIGIO};

static int
start_failure(const struct moat_error *e, const struct moat_config *c)
{
	if (!e->exec)
		return complain("%s", e->text);
	switch (e->code) {
	case ENOENT:
		if (!strchr(c->args[0], '/'))
			complain("exec: \"%s\": executable file not found in $PATH", c->args[0]);
		else
			complain("exec: \"%s\": stat %s: no such file or directory", c->args[0],
				c->args[0]);
		return 127;
	case EACCES:
		complain("exec: \"%s\": permission denied", c->args[0]);
		return 126;
	default:
		complain("exec: \"%s\": %s", c->args[0], e->text[0] ? e->text : strerror(e->code));
		return 126;
	}
}

/* Written under another name first: who waits for the file never sees half a number. */
static int
write_pid_file(const char *path, int pid)
{
	char tmp[4200];
	FILE *f;
	bool ok;

	snprintf(tmp, sizeof tmp, "%s.tmp", path);
	f = fopen(tmp, "we");
	if (!f)
		return complain("--pid-file: cannot write %s: %s", tmp, strerror(errno));
	ok = fprintf(f, "%d", pid) > 0;
	ok = fclose(f) == 0 && ok && rename(tmp, path) == 0;
	return ok ? 0 : complain("--pid-file: cannot write %s: %s", path, strerror(errno));
}

int
run_foreground(struct moat_config *c, const char *pid_file)
{
	struct moat_sandbox *s;
	struct moat_error err;
	struct pollfd p[2];
	sigset_t set;
	int status = 0, r;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof forwarded / sizeof forwarded[0]; i++)
		sigaddset(&set, forwarded[i]);
	/* ^Z on a terminal is for what runs in front of it inside. */
	if (c->terminal)
		sigaddset(&set, SIGTSTP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	p[0].fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (p[0].fd < 0)
		return complain("cannot make a signalfd: %s", strerror(errno));
	r = moat_start(c, &s, &err);
	if (r < 0)
		return start_failure(&err, c);
	if (pid_file && (r = write_pid_file(pid_file, moat_pid(s)))) {
		moat_destroy(s);
		return r;
	}
	p[1].fd = moat_fd(s);
	p[0].events = p[1].events = POLLIN;
	for (;;) {
		struct signalfd_siginfo si;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if ((p[0].revents & POLLIN) && read(p[0].fd, &si, sizeof si) == sizeof si)
			(void)moat_signal_terminal(
				s, (int)si.ssi_signo); /* it may be gone: moat_wait tells */
		if (p[1].revents)
			break;
	}
	r = moat_wait(s, &status, &err);
	moat_destroy(s);
	close(p[0].fd);
	if (r < 0) {
		complain("%s", err.text);
		return 128 + SIGKILL;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
