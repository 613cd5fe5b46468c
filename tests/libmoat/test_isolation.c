/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host program does not notice that a sandbox has processes: no SIGCHLD, nothing for its own
 * waitpid, no atfork handler, no signal state or environment changed, no descriptor left. And the
 * processes end when the host program does, or exec's, but not when a thread of it does.
 */
#include "config.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static volatile sig_atomic_t sigchlds, atforks;

extern char **environ;

static void
on_sigchld(int sig)
{
	(void)sig;
	sigchlds++;
}

static void
on_fork(void)
{
	atforks++;
}

static struct moat_sandbox *
start(const char *const *args)
{
	struct moat_sandbox *s;
	struct moat_error err;
	struct moat_config c;

	config_for(&c, args);
	CHECK_MOAT(moat_start(&c, &s, &err), err);
	return s;
}

static void
no_children(void)
{
	errno = 0;
	CHECK_INT(waitpid(-1, NULL, WNOHANG), -1);
	CHECK_INT(errno, ECHILD);
}

static void
nothing_is_noticed(void)
{
	struct sigaction before[65], after;
	sigset_t mask_before, mask_after;
	char **env_before = environ;
	int fds = entries("/proc/self/fd"), status;
	struct moat_sandbox *s;
	struct moat_error err;

	for (int i = 1; i < 65; i++)
		sigaction(i, NULL, &before[i]);
	sigprocmask(SIG_SETMASK, NULL, &mask_before);
	for (int i = 0; i < 2; i++) {
		s = start(SHELL("exit 3"));
		no_children();
		CHECK_MOAT(moat_wait(s, &status, &err), err);
		CHECK_INT(WEXITSTATUS(status), 3);
		no_children();
		moat_destroy(s);
		no_children();
		/* One that does not end by itself. */
		s = start(ARGS("sleep", "1000"));
		usleep(20000);
		no_children();
		moat_destroy(s);
		no_children();
	}
	CHECK_INT(sigchlds, 0);
	CHECK_INT(atforks, 0);
	CHECK(environ == env_before);
	sigprocmask(SIG_SETMASK, NULL, &mask_after);
	for (int i = 1; i < 65; i++) {
		CHECK_INT(sigismember(&mask_after, i), sigismember(&mask_before, i));
		memset(&after, 0, sizeof after);
		if (sigaction(i, NULL, &after) == 0)
			CHECK(after.sa_handler == before[i].sa_handler);
	}
	CHECK_INT(entries("/proc/self/fd"), fds);
}

/* Its own children are still its own. */
static void
own_children(void)
{
	struct moat_sandbox *s = start(ARGS("sleep", "1000"));
	int status;
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(9);
	while (waitpid(-1, &status, 0) != pid)
		CHECK(errno == EINTR);
	CHECK_INT(WEXITSTATUS(status), 9);
	CHECK_INT(sigchlds, 1);
	sigchlds = 0;
	no_children();
	moat_destroy(s);
	CHECK_INT(sigchlds, 0);
}

/* With SIGCHLD ignored, the kernel throws away how children end. */
static void
ignored_sigchld(void)
{
	struct moat_sandbox *s;
	struct moat_error err;
	int status;

	signal(SIGCHLD, SIG_IGN);
	s = start(SHELL("exit 4"));
	CHECK_MOAT(moat_wait(s, &status, &err), err);
	CHECK_INT(WEXITSTATUS(status), 4);
	moat_destroy(s);
	/* How the kernel of a sandbox ended is known, too. */
	s = start(ARGS("sleep", "1000"));
	CHECK_INT(kill(moat_sentry_pid(s), SIGKILL), 0);
	CHECK_INT(moat_wait(s, &status, &err), -ECONNRESET);
	CHECK(strstr(err.text, "killed by signal 9") != NULL);
	moat_destroy(s);
	signal(SIGCHLD, on_sigchld);
}

static void *
start_and_end(void *arg)
{
	*(struct moat_sandbox **)arg = start(SHELL("sleep 0.3; exit 5"));
	return NULL;
}

static void
thread_that_ends(void)
{
	struct moat_sandbox *s;
	struct moat_error err;
	pthread_attr_t a;
	pthread_t t;
	int status;

	/* A stack that is unmapped at once, with the thread-local storage in it. */
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 64UL << 20);
	CHECK_INT(pthread_create(&t, &a, start_and_end, &s), 0);
	pthread_join(t, NULL);
	pthread_attr_destroy(&a);
	CHECK_MOAT(moat_wait(s, &status, &err), err);
	CHECK_INT(WEXITSTATUS(status), 5);
	moat_destroy(s);
}

static void *
several(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++) {
		struct moat_sandbox *a = start(SHELL("exit 6")), *b = start(ARGS("sleep", "1000"));
		struct moat_error err;
		int status;

		CHECK_MOAT(moat_wait(a, &status, &err), err);
		CHECK_INT(WEXITSTATUS(status), 6);
		moat_destroy(b);
		moat_destroy(a);
	}
	return NULL;
}

static void
many_threads(void)
{
	int fds = entries("/proc/self/fd");
	pthread_t t[8];

	for (int i = 0; i < 8; i++)
		CHECK_INT(pthread_create(&t[i], NULL, several, NULL), 0);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	no_children();
	CHECK_INT(sigchlds, 0);
	CHECK_INT(atforks, 0);
	CHECK_INT(entries("/proc/self/fd"), fds);
}

/* --- the host program's end --- */

static bool
gone(pid_t pid)
{
	for (int i = 0; i < 200; i++) {
		char path[64], line[256] = "";
		FILE *f;

		snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
		f = fopen(path, "r");
		if (!f)
			return true;
		if (fgets(line, sizeof line, f)) {
			char *state = strrchr(line, ')');

			if (state && (state[2] == 'Z' || state[2] == 'X')) {
				fclose(f);
				return true;
			}
		}
		fclose(f);
		usleep(20000);
	}
	return false;
}

static pid_t
parent_of(pid_t pid)
{
	char path[64], line[512] = "", *at;
	FILE *f;
	int ppid = 0;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	CHECK(f && fgets(line, sizeof line, f));
	fclose(f);
	at = strrchr(line, ')');
	CHECK(at && sscanf(at + 2, "%*c %d", &ppid) == 1);
	return ppid;
}

enum end {
	KILLED,	       /* kill -9 */
	KILLED_FORKED, /* the same, while a child of its has copies of all descriptors */
	EXEC,
	KEEPER_KILLED, /* somebody kills the keeper: the sandbox can still be ended */
};

static void
ends_with_host(enum end how)
{
	pid_t pids[3], host, other = 0;
	int p[2], status;

	CHECK_INT(pipe(p), 0);
	host = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	if (host == 0) {
		struct moat_sandbox *s = start(ARGS("sleep", "1000"));

		pids[0] = moat_sentry_pid(s);
		pids[1] = moat_gofer_pid(s);
		pids[2] = parent_of(pids[0]);
		if (how == KILLED_FORKED) {
			other = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
			if (other == 0) {
				sleep(1000);
				_exit(0);
			}
		}
		CHECK(write(p[1], pids, sizeof pids) == sizeof pids);
		CHECK(write(p[1], &other, sizeof other) == sizeof other);
		if (how == EXEC)
			execl("/bin/sleep", "sleep", "1000", (char *)NULL);
		if (how == KEEPER_KILLED) {
			kill(pids[2], SIGKILL);
			moat_destroy(s);
		}
		sleep(1000);
		_exit(1);
	}
	CHECK(read(p[0], pids, sizeof pids) == sizeof pids);
	CHECK(read(p[0], &other, sizeof other) == sizeof other);
	if (how == KILLED || how == KILLED_FORKED)
		kill(host, SIGKILL);
	for (int i = 0; i < 3; i++)
		CHECK(gone(pids[i]));
	kill(host, SIGKILL);
	if (other)
		kill(other, SIGKILL);
	CHECK_INT(waitpid(host, &status, 0), host);
	close(p[0]);
	close(p[1]);
	sigchlds = 0;
}

/* What is sent to the host program's group, or typed at its terminal, is its own. */
static void
group_signal(void)
{
	struct moat_sandbox *s;
	struct moat_error err;
	pid_t host = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	int status;

	if (host == 0) {
		setpgid(0, 0);
		signal(SIGINT, on_sigchld);
		signal(SIGTERM, on_sigchld);
		s = start(SHELL("sleep 0.3; exit 7"));
		kill(0, SIGINT);
		kill(0, SIGTERM);
		CHECK_MOAT(moat_wait(s, &status, &err), err);
		CHECK_INT(WEXITSTATUS(status), 7);
		moat_destroy(s);
		_exit(0);
	}
	CHECK_INT(waitpid(host, &status, 0), host);
	CHECK_INT(status, 0);
	sigchlds = 0;
}

/* die_with_parent: the calling thread, and only then. */
static void *
start_dying(void *arg)
{
	struct moat_error err;
	struct moat_config c;

	config_for(&c, ARGS("sleep", "1000"));
	c.die_with_parent = true;
	CHECK_MOAT(moat_start(&c, arg, &err), err);
	return NULL;
}

static void
dies_with_thread(void)
{
	struct moat_sandbox *s;
	struct moat_error err;
	pthread_t t;
	int status;

	CHECK_INT(pthread_create(&t, NULL, start_dying, &s), 0);
	pthread_join(t, NULL);
	CHECK_INT(moat_wait(s, &status, &err), -ECONNRESET);
	CHECK(gone(moat_gofer_pid(s)));
	moat_destroy(s);
	no_children();
}

/* Nothing of the host program's stays open in the keeper. */
static void
keeper_holds_nothing(void)
{
	struct moat_sandbox *s;
	struct pollfd ready;
	char path[64], link[256];
	int p[2], n = 0;
	struct dirent *e;
	pid_t keeper;
	ssize_t len;
	DIR *d;

	CHECK_INT(pipe(p), 0);
	s = start(ARGS("sleep", "1000"));
	close(p[1]);
	ready = (struct pollfd){.fd = p[0], .events = POLLIN};
	CHECK_INT(poll(&ready, 1, 1000), 1);
	CHECK(ready.revents & POLLHUP);
	close(p[0]);
	keeper = parent_of(moat_sentry_pid(s));
	CHECK_INT(parent_of(keeper), getpid());
	snprintf(path, sizeof path, "/proc/%d/fd", (int)keeper);
	for (int i = 0; i < 100; i++, usleep(10000)) {
		d = opendir(path);
		CHECK(d != NULL);
		for (n = 0; (e = readdir(d));)
			n += e->d_name[0] != '.';
		closedir(d);
		if (n == 4)
			break;
	}
	CHECK_INT(n, 4); /* its socket, the host program, two children */
	snprintf(path, sizeof path, "/proc/%d/cwd", (int)keeper);
	len = readlink(path, link, sizeof link);
	CHECK(len == 1 && link[0] == '/');
	moat_destroy(s);
}

int
main(void)
{
	struct sigaction sa = {.sa_handler = on_sigchld};

	alarm(250); /* if something waits for ever */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	sigaction(SIGCHLD, &sa, NULL);
	pthread_atfork(on_fork, on_fork, on_fork);
	nothing_is_noticed();
	own_children();
	ignored_sigchld();
	thread_that_ends();
	many_threads();
	keeper_holds_nothing();
	dies_with_thread();
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	ends_with_host(KILLED);
	ends_with_host(KILLED_FORKED);
	ends_with_host(EXEC);
	ends_with_host(KEEPER_KILLED);
	group_signal();
	return 0;
}
