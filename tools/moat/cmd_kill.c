/* SPDX-License-Identifier: Apache-2.0 */
/* moat kill, delete, pause, resume: what is done to a container from outside. */
#include "create.h"
#include "options.h"
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* A number, or a name with or without SIG. 0: none. */
static int
signal_number(const char *s)
{
	char *end;
	long n = strtol(s, &end, 10);

	if (isdigit((unsigned char)*s))
		return *end || n < 1 || n > 64 ? 0 : (int)n;
	if (strncasecmp(s, "SIG", 3) == 0)
		s += 3;
	for (int i = 1; i < 32; i++)
		if (sigabbrev_np(i) && strcasecmp(sigabbrev_np(i), s) == 0)
			return i;
	if (strncasecmp(s, "RTMIN", 5) == 0 && (!s[5] || s[5] == '+'))
		n = 34 + (s[5] ? strtol(s + 6, &end, 10) : 0);
	else if (strncasecmp(s, "RTMAX", 5) == 0 && (!s[5] || s[5] == '-'))
		n = 64 - (s[5] ? strtol(s + 6, &end, 10) : 0);
	else
		return 0;
	return n >= 34 && n <= 64 ? (int)n : 0;
}

static int
deliver(struct container *c, int signo, bool all)
{
	struct moat_sandbox *s;
	int r;

	/* The sandbox's process is the program's: it dies with all that is in it, even when it
	 * hangs. */
	if (signo == SIGKILL) {
		container_kill_quick(c);
		return 0;
	}
	if ((r = container_attach(c, &s)))
		return r;
	r = all ? moat_signal_all(s, signo) : moat_signal(s, 0, signo);
	moat_destroy(s);
	if (r == -ESRCH)
		return complain("no such process");
	return r < 0 ? complain("cannot send signal %d: %s", signo, strerror(-r)) : 0;
}

int
cmd_kill(int argc, char **argv)
{
	bool all = false;
	const struct option_row rows[] = {
		{OPTION_FLAG, "all", 'a', &all, "every process of the container"}, {0}};
	int i = options_parse("kill [--all] ID [SIGNAL]", rows, NULL, argc, argv, 1, 2), r, signo;
	struct container c;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	signo = signal_number(argc - i > 1 ? argv[i + 1] : "TERM");
	if (!signo)
		return complain("invalid signal: %s", argv[i + 1]);
	if ((r = container_open(&c, argv[i], false)))
		return r;
	if (container_pid(&c))
		r = deliver(&c, signo, all);
	else if (!all) /* nobody is left of all of them: that is what was wanted */
		r = complain("container not running");
	container_close(&c);
	return r;
}

int
cmd_delete(int argc, char **argv)
{
	bool force = false;
	const struct option_row rows[] = {
		{OPTION_FLAG, "force", 'f', &force, "also one that runs"}, {0}};
	int i = options_parse("delete [--force] ID", rows, NULL, argc, argv, 1, 1), r;
	enum container_status st;
	struct container c;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	r = container_find(&c, argv[i], true);
	if (r == -ENOENT)
		return force ? 0 : complain("container does not exist: %s", argv[i]);
	if (r < 0)
		return r == -EINVAL ? exit_failure
				    : complain("cannot lock %s: %s", c.dir, strerror(-r));
	if (!c.state) {
		/* What a killed launcher left, or another runtime's. */
		if (c.lock_fd >= 0)
			container_remove(&c);
		else if (rmdir(c.dir) < 0 && !force)
			r = complain("container does not exist: %s", argv[i]);
		container_close(&c);
		return r;
	}
	st = container_status(&c);
	/* One that is being created is locked by who does so; we have the lock. */
	if (st != CONTAINER_STOPPED && st != CONTAINER_CREATED && st != CONTAINER_CREATING &&
		!force)
		r = complain("cannot delete container %s that is not stopped: %s", argv[i],
			container_status_name(st));
	else if (container_kill(&c) < 0)
		r = complain("container %s does not end", argv[i]);
	else
		r = container_delete(&c);
	container_close(&c);
	return r;
}

static int
hold(int argc, char **argv, bool pause)
{
	const struct option_row rows[] = {{0}};
	int i = options_parse(pause ? "pause ID" : "resume ID", rows, NULL, argc, argv, 1, 1), r;
	enum container_status st;
	struct moat_sandbox *s;
	struct moat_error err;
	struct container c;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	if ((r = container_open(&c, argv[i], true)))
		return r;
	st = container_status(&c);
	if (pause && st != CONTAINER_RUNNING && st != CONTAINER_CREATED)
		r = complain("container not running or created: %s", container_status_name(st));
	else if (!pause && st != CONTAINER_PAUSED)
		r = complain("container not paused");
	else if ((r = container_attach(&c, &s)) == 0) {
		if ((pause ? moat_pause(s, &err) : moat_resume(s, &err)) < 0)
			r = complain("%s", err.text);
		moat_destroy(s);
	}
	container_close(&c);
	return r;
}

int
cmd_pause(int argc, char **argv)
{
	return hold(argc, argv, true);
}

int
cmd_resume(int argc, char **argv)
{
	return hold(argc, argv, false);
}
