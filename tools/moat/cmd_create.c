/* SPDX-License-Identifier: Apache-2.0 */
/* moat create, run, start: a container's beginning. */
#include "create.h"
#include "notify.h"
#include "options.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CREATE_ROWS(o)                                                                             \
	{OPTION_TEXT, "bundle", 'b', &(o).bundle, "where config.json is (default: here)"},         \
		{OPTION_TEXT, "console-socket", 0, &(o).console_socket,                            \
			"send the terminal's master to this socket"},                              \
		{OPTION_TEXT, "pidfd-socket", 0, &(o).pidfd_socket,                                \
			"send a descriptor of the sandbox's process to this socket"},              \
		{OPTION_TEXT, "pid-file", 0, &(o).pid_file,                                        \
			"write the sandbox's process number to this file"},                        \
		{OPTION_NUMBER, "preserve-fds", 0, &(o).preserve_fds,                              \
			"so many descriptors from 3 on are passed to the program"},                \
		{OPTION_FLAG, "no-pivot", 0, &(o).no_pivot, NULL},                                 \
	{                                                                                          \
		OPTION_FLAG, "no-new-keyring", 0, &(o).no_new_keyring, NULL                        \
	}

int
cmd_create(int argc, char **argv)
{
	struct create_opts o = {.common = global_common};
	const struct option_row rows[] = {CREATE_ROWS(o), {0}};
	struct container c;
	int i = options_parse("create [OPTIONS] ID", rows, &o.common, argc, argv, 1, 1), r;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	r = container_create(&o, argv[i], &c, NULL);
	if (r == 0)
		container_close(&c);
	return r;
}

/* As runc, this returns when the container has said that it is ready. Others may use it meanwhile.
 */
static void
await_notify(struct container *c, int fd)
{
	if (fd < 0)
		return;
	container_unlock(c);
	notify_forward(fd, container_pid(c), container_pid(c));
}

int
cmd_start(int argc, char **argv)
{
	const struct option_row rows[] = {{0}};
	struct moat_sandbox *s;
	struct container c;
	int i = options_parse("start ID", rows, NULL, argc, argv, 1, 1), r, notify = -1;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	if ((r = container_open(&c, argv[i], true)))
		return r;
	switch (container_status(&c)) {
	case CONTAINER_CREATED:
		r = container_attach(&c, &s);
		if (r == 0) {
			r = container_start(&c, s, &notify);
			moat_destroy(s);
		}
		if (r == 0)
			await_notify(&c, notify);
		break;
	case CONTAINER_STOPPED:
		r = complain("cannot start a container that has stopped");
		break;
	case CONTAINER_RUNNING:
		r = complain("cannot start an already running container");
		break;
	default:
		r = complain("cannot start a container in the %s state",
			container_status_name(container_status(&c)));
	}
	container_close(&c);
	return r;
}

int
cmd_run(int argc, char **argv)
{
	struct create_opts o = {.common = global_common};
	bool detach = false, keep = false, no_subreaper = false;
	const struct option_row rows[] = {CREATE_ROWS(o),
		{OPTION_FLAG, "detach", 'd', &detach, "come back when the program runs"},
		{OPTION_FLAG, "keep", 0, &keep, "do not delete the container at its end"},
		{OPTION_FLAG, "no-subreaper", 0, &no_subreaper, NULL}, {0}};
	struct moat_sandbox *s = NULL;
	struct container c;
	int i = options_parse("run [OPTIONS] ID", rows, &o.common, argc, argv, 1, 1), r,
	    notify = -1;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	o.foreground = !detach;
	foreground_block(!detach);
	r = container_create(&o, argv[i], &c, &s);
	if (r)
		return r;
	if (detach && (r = container_attach(&c, &s)) == 0) {
		r = container_start(&c, s, &notify);
		moat_destroy(s);
		if (r)
			(void)container_delete(&c);
		else
			await_notify(&c, notify);
		container_close(&c);
		return r;
	}
	if (r == 0)
		r = container_start(&c, s, &notify);
	if (r == 0 && notify >= 0)
		notify_forward_beside(notify);
	/* Others may look at it, and change it, while it runs. */
	container_unlock(&c);
	if (r == 0)
		r = foreground_wait(s, NULL);
	moat_destroy(s);
	/* Somebody else may have deleted it, and another one may have its name and cgroup by now.
	 */
	if (!keep && container_relock(&c) == 0) {
		(void)container_kill(&c); /* the gofer may need a moment */
		(void)container_delete(&c);
	}
	container_close(&c);
	return r;
}
