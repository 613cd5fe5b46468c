/* SPDX-License-Identifier: Apache-2.0 */
/* moat exec: another program in a container that runs. */
#include "agent.h"
#include "create.h"
#include "join.h"
#include "options.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_PASSED 32
#define EXIT_EXEC  255 /* as runc: the program was not started */

struct exec_opts {
	const char *console_socket, *pidfd_socket, *cwd, *user, *process, *pid_file;
	const char *label, *apparmor, *cgroup;
	struct strings env, groups, caps;
	unsigned preserve_fds;
	bool tty, detach, no_new_privs, ignore_paused;
};

static void
set_user(json_t *p, const char *text)
{
	unsigned uid = 0, gid = 0;
	int n = sscanf(text, "%u:%u", &uid, &gid);
	json_t *u = json_object();

	json_object_set_new(u, "uid", json_integer(uid));
	json_object_set_new(u, "gid", json_integer(n > 1 ? gid : 0));
	json_object_set_new(p, "user", u);
}

/* The container's own process with what the options say. */
static int
make_process(struct exec_opts *o, json_t *config, int argc, char **argv, json_t **ret)
{
	json_t *p = json_deep_copy(json_object_get(config, "process")), *list, *v;
	char *end;
	size_t i;

	*ret = p;
	if (argc == 0)
		return complain("process args cannot be empty");
	list = json_array();
	for (int k = 0; k < argc; k++)
		json_array_append_new(list, json_string(argv[k]));
	json_object_set_new(p, "args", list);
	json_object_set_new(p, "terminal", json_boolean(o->tty));
	if (o->cwd)
		json_object_set_new(p, "cwd", json_string(o->cwd));
	if (o->no_new_privs)
		json_object_set_new(p, "noNewPrivileges", json_true());
	if (o->user) {
		(void)strtoul(o->user, &end, 10);
		if (end == o->user || (*end && *end != ':'))
			return complain("--user: \"%s\" is not UID[:GID]", o->user);
		set_user(p, o->user);
	}
	list = json_object_get(p, "env");
	for (i = 0; i < o->env.n; i++)
		json_array_append_new(list, json_string(o->env.v[i]));
	if (o->groups.n) {
		json_t *g = json_array();

		for (i = 0; i < o->groups.n; i++)
			json_array_append_new(g, json_integer(atoll(o->groups.v[i])));
		json_object_set_new(json_object_get(p, "user"), "additionalGids", g);
	}
	json_object_foreach(json_object_get(p, "capabilities"), *(const char **)&end,
		v) for (i = 0; i < o->caps.n; i++) if (strcmp(end, "ambient") != 0)
		json_array_append_new(v, json_string(o->caps.v[i]));
	return 0;
}

static int
finish(struct exec_opts *o, struct moat_config *c, struct moat_sandbox *s, struct moat_process *p)
{
	pid_t relay;
	int r = 0;

	if (!o->detach) {
		r = o->pid_file ? write_pid_file(o->pid_file, (int)getpid()) : 0;
		return r ? r : foreground_wait(s, p);
	}
	relay = relay_start(p, c->terminal ? c->stdio[0] : -1);
	if (relay < 0)
		return exit_failure;
	if (o->pidfd_socket) {
		int fd = pidfd_open(relay, 0);

		r = send_descriptor("--pidfd-socket", o->pidfd_socket, fd, "pidfd");
		close(fd);
	}
	if (r == 0 && o->pid_file)
		r = write_pid_file(o->pid_file, relay);
	/* Nobody knows of it: it ends, as its program does when nobody waits for that. */
	if (r) {
		(void)kill(relay, SIGKILL);
		(void)waitpid(relay, NULL, 0);
	}
	return r;
}

static int
set_terminal(struct exec_opts *o, const struct moat_oci *oci, struct moat_config *c)
{
	int slave;

	c->terminal = oci->terminal;
	if (!oci->terminal)
		return o->console_socket ? complain("cannot use console socket if terminal is not "
						    "set for the process")
					 : 0;
	if (!o->console_socket) {
		if (o->detach)
			return complain("cannot allocate tty if runc will detach without setting "
					"console socket");
		return isatty(0) ? 0 : complain("--tty: standard input is no terminal");
	}
	slave = console_new(o->console_socket, oci->rows, oci->columns);
	if (slave < 0)
		return exit_failure;
	c->stdio[0] = c->stdio[1] = c->stdio[2] = slave;
	return 0;
}

static int
run(struct exec_opts *o, struct container *ct, json_t *process)
{
	char *config = json_text(json_object_get(ct->state, "config")), *text = json_text(process);
	int fds[MAX_PASSED], r;
	struct moat_process *p = NULL;
	struct moat_sandbox *s = NULL;
	struct moat_config *c;
	struct moat_error err;
	struct moat_oci *oci = NULL;
	struct strings env = {0};
	struct agent agent = {0};

	if (moat_oci_parse_process(text, strlen(text), config, strlen(config),
		    MOAT_OCI_TERMINAL | MOAT_OCI_SECCOMP_AGENT, &oci, &err) < 0) {
		r = complain("%s", err.text);
		goto out;
	}
	warn_all("config.json: ", oci);
	c = &oci->config;
	for (const char *const *e = c->env; *e; e++)
		strings_add(&env, *e);
	c->env = env.v;
	if ((r = pass_fds(c, o->preserve_fds, &env, fds, MAX_PASSED)) == 0 &&
		(r = set_terminal(o, oci, c)) == 0 && (r = agent_start(&agent, oci, c)) == 0 &&
		(r = agent_connect(&agent)) == 0 && (r = container_attach(ct, &s)) == 0) {
		foreground_block(c->terminal);
		r = moat_spawn(s, c, &p, &err) < 0 ? start_failure(&err, c->args[0]) : 0;
		if (r == 0)
			r = agent_send(&agent, ct, CONTAINER_RUNNING,
				join_host_pid(ct, moat_process_host_pid(p)));
		agent_release(&agent);
		agent.path = NULL;
		if (r == 0)
			r = finish(o, c, s, p);
	}
out:
	agent_release(&agent);
	free(text);
	free(config);
	strings_free(&env);
	moat_process_free(p);
	moat_destroy(s);
	moat_oci_free(oci);
	return r;
}

int
cmd_exec(int argc, char **argv)
{
	struct exec_opts o = {0};
	const struct option_row rows[] = {
		{OPTION_TEXT, "process", 'p', &o.process, "the process as JSON, in a file"},
		{OPTION_FLAG, "detach", 'd', &o.detach, "come back when the program runs"},
		{OPTION_FLAG, "tty", 't', &o.tty, "on a terminal"},
		{OPTION_TEXT, "console-socket", 0, &o.console_socket,
			"send the terminal's master to this socket"},
		{OPTION_TEXT, "pid-file", 0, &o.pid_file,
			"write the number of a process that ends as the program does"},
		{OPTION_TEXT, "pidfd-socket", 0, &o.pidfd_socket,
			"send a descriptor of that process to this socket"},
		{OPTION_TEXT, "cwd", 0, &o.cwd, "working directory"},
		{OPTION_LIST, "env", 'e', &o.env, "NAME=VALUE"},
		{OPTION_TEXT, "user", 'u', &o.user, "UID[:GID]"},
		{OPTION_LIST, "additional-gids", 'g', &o.groups, "more groups"},
		{OPTION_LIST, "cap", 'c', &o.caps, "more capabilities"},
		{OPTION_FLAG, "no-new-privs", 0, &o.no_new_privs, "no more rights by exec"},
		{OPTION_NUMBER, "preserve-fds", 0, &o.preserve_fds,
			"so many descriptors from 3 on are passed to the program"},
		{OPTION_FLAG, "ignore-paused", 0, &o.ignore_paused,
			"also in a paused container, where it waits"},
		{OPTION_TEXT, "process-label", 0, &o.label, NULL},
		{OPTION_TEXT, "apparmor", 0, &o.apparmor, NULL},
		{OPTION_TEXT, "cgroup", 0, &o.cgroup, NULL}, {0}};
	int i, r;
	enum container_status st;
	struct container c;
	json_t *process = NULL;

	exit_failure = EXIT_EXEC;
	i = options_parse(
		"exec [OPTIONS] ID [COMMAND [ARGUMENT...]]", rows, NULL, argc, argv, 1, -1);
	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	if (o.cgroup)
		return complain("--cgroup: not supported");
	if ((r = container_open(&c, argv[i], false)))
		return r;
	st = container_status(&c);
	if (st == CONTAINER_STOPPED)
		r = complain("cannot exec in a stopped container");
	else if (st == CONTAINER_PAUSED && !o.ignore_paused)
		r = complain("cannot exec in a paused container (use --ignore-paused to override)");
	else if (o.process)
		r = read_json("--process", o.process, &process);
	else
		r = make_process(&o, json_object_get(c.state, "config"), argc - i - 1, argv + i + 1,
			&process);
	if (r == 0)
		r = run(&o, &c, process);
	json_decref(process);
	container_close(&c);
	return r;
}
