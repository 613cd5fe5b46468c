/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks. A hook gets the container's state on its standard input, its own arguments and environment
 * (nothing of ours), and no descriptor of ours but a pipe for what it says, whose last line goes
 * into the error. It runs in a process group of its own, which goes as a whole when time is up.
 */
#include "hooks.h"
#include "moat.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SAID_MAX      4096 /* bytes of a hook's output that are kept */
#define HOOK_NAME_MAX 200  /* of its path, in messages */

/* A list of strings as argv; at least one entry: first, unless the list has it. Freed by the
 * caller, the strings stay the list's. */
static const char **
vector(json_t *list, const char *first)
{
	size_t n = json_array_size(list), i;
	const char **v = xcalloc(n + 2, sizeof *v);
	json_t *e;

	json_array_foreach(list, i, e) v[i] = json_string_value(e);
	if (n == 0)
		v[0] = first;
	return v;
}

/* In the child: a mark of one byte and errno on `fail` says what could not be done. */
static _Noreturn void
become(const char *path, const char **argv, const char **env, int in, int out, int fail, int netns)
{
	sigset_t none;
	int e;

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (int s = 1; s < 32; s++)
		(void)signal(s, SIG_DFL);
	(void)setpgid(0, 0);
	if ((netns < 0 || setns(netns, CLONE_NEWNET) == 0) && dup2(in, 0) >= 0 &&
		dup2(out, 1) >= 0 && dup2(out, 2) >= 0 && dup2(fail, 3) == 3 &&
		fcntl(3, F_SETFD, FD_CLOEXEC) == 0) {
		fail = 3;
		(void)syscall(SYS_close_range, 4u, ~0u,
			0u); /* all are close-on-exec where it is missing */
		execve(path, (char **)(uintptr_t)argv, (char **)(uintptr_t)env);
	}
	e = errno;
	(void)!write(fail, &e, sizeof e);
	_exit(127);
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct run {
	pid_t pid;
	int in, out;	   /* our ends; -1: closed */
	const char *state; /* what is still to be written */
	size_t left;
	char said[SAID_MAX];
	size_t nsaid;
};

static void
feed(struct run *r)
{
	ssize_t n = write(r->in, r->state, r->left);

	if (n > 0) {
		r->state += n;
		r->left -= (size_t)n;
	}
	if (r->left == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(r->in); /* a hook need not read it */
		r->in = -1;
	}
}

static void
listen_to(struct run *r)
{
	char buf[1024];
	ssize_t n = read(r->out, buf, sizeof buf);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		close(r->out);
		r->out = -1;
		return;
	}
	/* The end of it counts. */
	if (n > 0 && r->nsaid + (size_t)n >= sizeof r->said) {
		size_t drop = r->nsaid + (size_t)n - sizeof r->said + 1;

		memmove(r->said, r->said + drop, r->nsaid - drop);
		r->nsaid -= drop;
	}
	if (n > 0) {
		memcpy(r->said + r->nsaid, buf, (size_t)n);
		r->nsaid += (size_t)n;
	}
}

/* Until the hook has ended: its status, or -1 when the time (in ms; -1: none) was up. What it left
 * running may keep its output open; nobody waits for that. */
static int
attend(struct run *r, int64_t until_ms)
{
	int status, ended = pidfd_open(r->pid, 0); /* -1: we look again and again */

	for (;;) {
		struct pollfd p[3] = {{r->in, POLLOUT, 0}, {r->out, POLLIN, 0}, {ended, POLLIN, 0}};
		pid_t w = waitpid(r->pid, &status, WNOHANG);
		int64_t wait_ms = ended < 0 ? 20 : -1;

		if (w == r->pid) {
			for (int i = 0; i < 64 && r->out >= 0; i++) {
				if (poll(&p[1], 1, 0) <= 0)
					break;
				listen_to(r);
			}
			break;
		}
		if (until_ms >= 0 && now_ms() >= until_ms) {
			kill(-r->pid, SIGKILL);
			kill(r->pid, SIGKILL);
			waitpid(r->pid, &status, 0);
			status = -1;
			break;
		}
		if (until_ms >= 0 && (wait_ms < 0 || until_ms - now_ms() < wait_ms))
			wait_ms = until_ms > now_ms() ? until_ms - now_ms() : 0;
		(void)poll(p, 3, wait_ms > INT_MAX ? INT_MAX : (int)wait_ms);
		if (p[0].revents)
			feed(r);
		if (p[1].revents)
			listen_to(r);
	}
	if (ended >= 0)
		close(ended);
	return status;
}

/* The last line that the hook said, without what could disturb a terminal. */
static const char *
last_line(struct run *r)
{
	char *line;

	while (r->nsaid > 0 && (r->said[r->nsaid - 1] == '\n' || r->said[r->nsaid - 1] == ' '))
		r->nsaid--;
	r->said[r->nsaid] = 0;
	line = strrchr(r->said, '\n');
	line = line ? line + 1 : r->said;
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	return line;
}

static int
run_one(json_t *hook, const char *where, const char *state, int netns, char *err, size_t cap)
{
	const char *path = json_string_value(json_object_get(hook, "path"));
	json_t *timeout = json_object_get(hook, "timeout");
	const char **argv = vector(json_object_get(hook, "args"), path);
	const char **env = vector(json_object_get(hook, "env"), NULL);
	struct run r = {.state = state, .left = strlen(state), .in = -1, .out = -1};
	int in[2] = {-1, -1}, out[2] = {-1, -1}, fail[2] = {-1, -1}, status, e = 0;
	int64_t until = timeout ? now_ms() + json_integer_value(timeout) * 1000 : -1;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(fail, O_CLOEXEC) < 0 ||
		(r.pid = fork()) < 0) {
		snprintf(err, cap, "%s: cannot start %.*s: %s", where, HOOK_NAME_MAX, path,
			strerror(errno));
		status = -2;
		goto done;
	}
	if (r.pid == 0)
		become(path, argv, env, in[0], out[1], fail[1], netns);
	close(in[0]);
	close(out[1]);
	close(fail[1]);
	in[0] = out[1] = fail[1] = -1;
	r.in = in[1];
	r.out = out[0];
	in[1] = out[0] = -1;
	(void)fcntl(r.in, F_SETFL, O_NONBLOCK);
	(void)fcntl(r.out, F_SETFL, O_NONBLOCK);
	if (read(fail[0], &e, sizeof e) != sizeof e)
		e = 0;
	status = attend(&r, until);
	if (e)
		snprintf(err, cap, "%s: cannot start %.*s: %s", where, HOOK_NAME_MAX, path,
			strerror(e));
	else if (status == -1)
		snprintf(err, cap, "%s: %.*s did not end within %lld s", where, HOOK_NAME_MAX, path,
			(long long)json_integer_value(timeout));
	else if (WIFSIGNALED(status))
		snprintf(err, cap, "%s: %.*s was killed by signal %d: %s", where, HOOK_NAME_MAX,
			path, WTERMSIG(status), last_line(&r));
	else if (WEXITSTATUS(status))
		snprintf(err, cap, "%s: %.*s: exit status %d: %s", where, HOOK_NAME_MAX, path,
			WEXITSTATUS(status), last_line(&r));
done:
	for (int i = 0; i < 2; i++) {
		int fds[] = {in[i], out[i], fail[i]};

		for (int k = 0; k < 3; k++)
			if (fds[k] >= 0)
				close(fds[k]);
	}
	if (r.in >= 0)
		close(r.in);
	if (r.out >= 0)
		close(r.out);
	free(argv);
	free(env);
	return status == 0 && e == 0 ? 0 : -1;
}

int
hooks_run(
	json_t *hooks, const char *kind, const char *state, pid_t netns_pid, char *err, size_t cap)
{
	json_t *list = json_object_get(hooks, kind), *hook;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old;
	char where[64], ns[64];
	int netns = -1, r = 0;
	size_t i;

	if (json_array_size(list) == 0)
		return 0;
	if (netns_pid) {
		snprintf(ns, sizeof ns, "/proc/%d/ns/net", netns_pid);
		netns = open(ns, O_RDONLY | O_CLOEXEC);
		if (netns < 0) {
			snprintf(err, cap, "hooks.%s: cannot open %s: %s", kind, ns,
				strerror(errno));
			return -1;
		}
	}
	sigaction(SIGPIPE, &ignore, &old);
	json_array_foreach(list, i, hook)
	{
		snprintf(where, sizeof where, "hooks.%s[%zu]", kind, i);
		if (run_one(hook, where, state, netns, err, cap) == 0)
			continue;
		r = -1;
		if (strcmp(kind, "poststop") != 0)
			break;
		warn("%s", err); /* the container is gone all the same */
	}
	sigaction(SIGPIPE, &old, NULL);
	if (netns >= 0)
		close(netns);
	return r;
}
