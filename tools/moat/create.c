/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's beginning and end. Creation in order, each step undone when a later one fails: the
 * name, the listening socket, the terminal, the cgroup, the sandbox with its program loaded (hooks
 * run when its namespaces are there), the state file, the pid file. Until the sandbox is released
 * it ends by itself when this process does.
 */
#include "create.h"
#include "agent.h"
#include "hooks.h"
#include "join.h"
#include "netdev.h"
#include "network.h"
#include "notify.h"
#include "platform/host/oom.h"
#include "rdt.h"
#include "systemd.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_PASSED 32 /* descriptors for --preserve-fds */

struct making {
	struct create_opts *o;
	struct container *c;
	struct moat_oci *oci;
	json_t *top;		   /* config.json */
	struct moat_config config; /* oci's, with what is added here */
	struct strings env;
	struct moat_mount *mounts;
	struct moat_device_rule *devices; /* oci->resources', if they were added to */
	const char *cgroups_path;
	char *own_path; /* that, if it was named here */
	struct moat_cgroup *cgroup;
	int fds[MAX_PASSED];
	struct systemd_names systemd;
	bool own_netns; /* the host's is another one: set it up */
	/* Of a sandbox that is there already: "none", "host" or "namespace"; NULL: it is made. */
	const char *sandbox_network;
	struct moat_join join; /* config.join, if it is in another's sandbox */
	struct agent agent;
	struct strings sysctls;
	struct netdev_moves *netdevs;
	struct rdt rdt; /* if there is an oci->intel_rdt */
};

/* systemd's scope for the first process, and its group from then on. */
static int
make_scope(struct making *m, int pid, struct moat_error *err)
{
	int r;

	err->code = EIO;
	err->exec = false;
	if (systemd_start(m->oci, &m->systemd, m->c->id, pid, err->text, sizeof err->text) < 0)
		return -EIO;
	r = moat_cgroup_create(m->cgroups_path, &m->cgroup, err);
	return r < 0 ? r : moat_cgroup_set(m->cgroup, &m->oci->resources, err);
}

/* moat_config.place: into the cgroup, before anything runs. */
static int
place(void *arg, int pid, struct moat_error *err)
{
	struct making *m = arg;
	int r;

	if (m->systemd.unit && !m->cgroup) {
		r = make_scope(m, pid, err);
		if (r < 0)
			return r;
	}
	if (m->cgroup) {
		r = moat_cgroup_enter(m->cgroup, pid, err);
		if (r < 0)
			return r;
	}
	if (m->rdt.group && (r = rdt_enter(&m->rdt, pid, err)) < 0)
		return r;
	/* Done already, and so only asked whether it may be: less than what this process has is not
	 * for everybody to give. */
	if (m->config.has_oom_score_adj) {
		int score = host_oom_of_programs(pid, m->config.oom_score_adj);

		if ((r = host_oom_set(pid, score)) < 0)
			warn("process.oomScoreAdj: %d cannot be given on the host: %s",
				m->config.oom_score_adj, strerror(-r));
	}
	return 0;
}

/* Is its network one of the host's that the sandbox had before? */
static bool
shares_netns(const struct making *m)
{
	return m->join.net && strcmp(m->sandbox_network, "namespace") == 0;
}

/* moat_config.prepare: the namespaces are there. */
static int
prepare(void *arg, int pid, struct moat_error *err)
{
	static const char *const kinds[] = {"prestart", "createRuntime", "createContainer"};
	struct making *m = arg;
	char text[400], *state;
	int r = 0;

	if ((m->own_netns || shares_netns(m)) &&
		network_prepare(m->own_netns ? pid : m->join.sentry_pid,
			json_object_get(json_object_get(m->top, "linux"), "sysctl")))
		return refuse(err, EINVAL, "the network namespace could not be set up");
	if (m->oci->nnet_devices) {
		r = netdev_move(m->oci->net_devices, m->oci->nnet_devices, pid, &m->netdevs, err);
		if (r < 0)
			return r;
	}
	json_object_set_new(m->c->state, "pid", json_integer(pid));
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && r == 0; i++) {
		json_t *j = container_oci_state(m->c, CONTAINER_CREATING);

		state = json_dumps(j, JSON_COMPACT);
		json_decref(j);
		/* The last kind runs in the container's namespaces. */
		r = hooks_run(json_object_get(m->top, "hooks"), kinds[i], state, i == 2 ? pid : 0,
			text, sizeof text);
		free(state);
	}
	return r < 0 ? refuse(err, EINVAL, "%s", text) : 0;
}

static bool
has_hooks(const struct making *m, const char *kind)
{
	return json_array_size(json_object_get(json_object_get(m->top, "hooks"), kind)) > 0;
}

/* Who runs hooks may put interfaces into a network namespace. */
static bool
makes_interfaces(const struct making *m)
{
	return m->oci->nnet_devices || has_hooks(m, "prestart") || has_hooks(m, "createRuntime");
}

/* Those of an IPC namespace, which the sandbox's kernel sets: it looks at the values. */
static bool
ipc_sysctl(const char *key)
{
	static const char *const names[] = {
#define IPC_SYSCTL(name, n, first) "kernel." name, "kernel/" name,
#include "base/ipc_sysctl.def"
#undef IPC_SYSCTL
	};

	for (size_t k = 0; k < sizeof names / sizeof *names; k++)
		if (strcmp(key, names[k]) == 0)
			return true;
	return strncmp(key, "fs.mqueue.", 10) == 0 || strncmp(key, "fs/mqueue/", 10) == 0;
}

/* The network is one of the sandbox's kernel, and nobody else's. */
static bool
has_network_inside(const struct making *m)
{
	return strcmp(m->join.net ? m->sandbox_network : m->config.network, "none") == 0;
}

/* Those of the network are set in the container's own: on the host, and shown, or inside; so are
 * those of IPC. */
static int
set_sysctl(struct making *m)
{
	for (size_t i = 0; i < m->oci->nsysctls; i++) {
		const char *key = m->oci->sysctls[i].name, *text = m->oci->sysctls[i].value;
		char path[300];

		if (!network_sysctl(key)) {
			if (!ipc_sysctl(key))
				return complain(
					"config.json: linux.sysctl.%s: the sandbox's kernel cannot "
					"be set so",
					key);
		} else if (network_sysctl_path(key, path, sizeof path) < 0) {
			return complain("config.json: linux.sysctl.%s: not the name of one", key);
		} else if (!m->own_netns && !shares_netns(m) && !has_network_inside(m)) {
			/* Engines send some whatever the network is. */
			warn("linux.sysctl: %s is not set: the network is not the container's own",
				key);
			continue;
		}
		strings_add(&m->sysctls, print_text("%s=%s", key, text));
	}
	m->config.sysctls = m->sysctls.v;
	return 0;
}

/* What is said of the network, once it is known which one it is. */
static int
finish_network(struct making *m)
{
	if (m->oci->nnet_devices && !m->own_netns)
		return complain("config.json: linux.netDevices.%s: %s", m->oci->net_devices[0].name,
			m->join.net ? "the network is that of a sandbox which is there already"
			: has_network_inside(m)
				? "the network is inside the sandbox (--network=none), where no "
				  "device of the host can be"
				: "there is no network namespace of the container's own, but the "
				  "host's");
	return set_sysctl(m);
}

/* A namespace of its own beside those that it shares. */
static int
set_network_beside(struct making *m)
{
	struct moat_config *c = &m->config;
	const char *path = m->oci->network_path;
	bool host = false;

	c->network = "none";
	if (m->join.net || (!path && !makes_interfaces(m)))
		return finish_network(m);
	if (path && (c->net_fd = network_open(path, &host)) < 0)
		return exit_failure;
	if (host)
		return complain("linux.namespaces: the network of the host is not that of the "
				"sandbox that the other namespaces are in");
	c->network = "namespace";
	m->own_netns = true;
	return finish_network(m);
}

static int
set_network(struct making *m)
{
	struct moat_config *c = &m->config;
	const struct moat_oci *o = m->oci;
	bool host = false;

	if (o->network_path) {
		c->net_fd = network_open(o->network_path, &host);
		if (c->net_fd < 0)
			return exit_failure;
		c->network = host ? "host" : "namespace";
	} else if (o->host_network) {
		if (!c->network || strcmp(c->network, "namespace") == 0)
			c->network = "host";
	} else if (!c->network) {
		/* A namespace that nobody can know of stays empty: then the sandbox's own loopback
		 * is nearer. */
		c->network = makes_interfaces(m) ? "namespace" : "none";
	} else if (strcmp(c->network, "host") == 0) {
		c->network = "namespace"; /* host sockets, in the namespace that was asked for */
	}
	m->own_netns = strcmp(c->network, "namespace") == 0;
	return finish_network(m);
}

static int
set_sandbox(struct making *m)
{
	int r = join_find(m->oci, m->c, &m->join, &m->sandbox_network);

	if (r < 0)
		return exit_failure;
	if (r > 0) {
		const struct moat_config *c = &m->config;

		/* What is the sandbox's is there already. */
		if (c->monotonic_offset.tv_sec || c->monotonic_offset.tv_nsec ||
			c->boottime_offset.tv_sec || c->boottime_offset.tv_nsec)
			return complain(
				"config.json: linux.timeOffsets: the containers of a sandbox "
				"have one clock");
		if (c->memory_nodes)
			return complain("config.json: linux.memoryPolicy: the containers of a "
					"sandbox have one policy");
		if (m->oci->intel_rdt)
			return complain("config.json: linux.intelRdt: the containers of a sandbox "
					"are in one group");
		m->config.join = &m->join;
		r = join_note(m->c);
		return r ? r : set_network_beside(m);
	}
	return set_network(m);
}

static int
set_terminal(struct making *m)
{
	struct moat_config *c = &m->config;
	const struct moat_oci *o = m->oci;
	struct winsize ws = {.ws_row = o->rows, .ws_col = o->columns};
	int slave;

	if (!o->terminal)
		return m->o->console_socket
			       ? complain("--console-socket: process.terminal is not set")
			       : 0;
	c->terminal = true;
	if (!m->o->console_socket) {
		if (!m->o->foreground)
			return complain("cannot allocate tty if runc will detach without setting "
					"console socket");
		if (!isatty(0))
			return complain("process.terminal: standard input is no terminal, and "
					"there is no --console-socket");
		if (ws.ws_row && ws.ws_col)
			(void)ioctl(0, TIOCSWINSZ, &ws);
		return 0;
	}
	slave = console_new(m->o->console_socket, o->rows, o->columns);
	if (slave < 0)
		return exit_failure;
	c->stdio[0] = c->stdio[1] = c->stdio[2] = slave;
	return 0;
}

static void
set_created(struct container *c)
{
	struct timespec ts;
	struct tm tm;
	char text[64];
	size_t n;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(text + n, sizeof text - n, ".%09ldZ", ts.tv_nsec);
	json_object_set_new(c->state, "created", json_string(text));
}

static json_t *
owner_name(void)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd *pw;
	json_t *name = NULL;

	while (f && !name && (pw = fgetpwent(f)))
		if (pw->pw_uid == geteuid())
			name = json_string(pw->pw_name);
	if (f)
		fclose(f);
	return name ? name : json_string("");
}

/* Where `moat logs` finds what goes to a descriptor, if that is a file. */
static void
note_file(struct container *c, const char *key, int fd)
{
	char link[64], path[4096];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path);
	if (n > 0 && n < (ssize_t)sizeof path && path[0] == '/')
		json_object_set_new(c->state, key, json_stringn(path, (size_t)n));
}

static void
make_state(struct making *m, const char *bundle)
{
	struct container *c = m->c;
	json_t *top = m->top;
	const char *cgroup = m->cgroups_path;

	c->state = json_object();
	json_object_set_new(c->state, "moat", json_string(MOAT_VERSION));
	json_object_set(c->state, "ociVersion", json_object_get(top, "ociVersion"));
	json_object_set_new(c->state, "id", json_string(c->id));
	json_object_set_new(c->state, "bundle", json_string(bundle));
	json_object_set_new(c->state, "rootfs", json_string(m->config.mounts[0].source));
	if (json_object_get(top, "annotations"))
		json_object_set(c->state, "annotations", json_object_get(top, "annotations"));
	json_object_set_new(c->state, "owner", owner_name());
	note_file(c, "stdout", m->config.stdio[1]);
	note_file(c, "stderr", m->config.stdio[2]);
	if (m->config.debug)
		note_file(c, "debugLog", m->config.log_fd);
	if (m->config.notify)
		json_object_set_new(c->state, "notify", json_true());
	if (m->rdt.group)
		json_object_set_new(c->state, "resctrl", json_string(m->rdt.group));
	if (m->rdt.own)
		json_object_set_new(c->state, "resctrlOwn", json_true());
	if (m->rdt.monitor)
		json_object_set_new(c->state, "resctrlMonitor", json_string(m->rdt.monitor));
	if (cgroup)
		json_object_set_new(c->state, "cgroup", json_string(cgroup));
	if (m->systemd.unit)
		json_object_set_new(c->state, "unit", json_string(m->systemd.unit));
	/* What later commands need: the bundle may have gone by then. */
	json_object_set(c->state, "config", top);
	set_created(c);
}

/* What every container has, whatever the list says: the sandbox's own processes need /dev/null, and
 * a device that a guest makes is a node that nobody can open. */
static void
allow_devices(struct making *m)
{
	static const struct moat_device_rule always[] = {{true, 'c', -1, -1, "m"},
		{true, 'b', -1, -1, "m"}, {true, 'c', 1, 3, "rwm"}, {true, 'c', 1, 5, "rwm"},
		{true, 'c', 1, 7, "rwm"}, {true, 'c', 1, 8, "rwm"}, {true, 'c', 1, 9, "rwm"},
		{true, 'c', 5, 0, "rwm"}, {true, 'c', 5, 2, "rwm"}, {true, 'c', 136, -1, "rwm"}};
	struct moat_resources *res = &m->oci->resources;
	size_t n = res->ndevices, more = sizeof always / sizeof always[0];

	if (n == 0)
		return;
	m->devices = xcalloc(n + more, sizeof *m->devices);
	memcpy(m->devices, res->devices, n * sizeof *m->devices);
	memcpy(m->devices + n, always, sizeof always);
	res->devices = m->devices;
	res->ndevices = n + more;
}

static int
set_cgroup(struct making *m)
{
	const struct moat_resources *res = &m->oci->resources;
	struct moat_config *c = &m->config;
	struct moat_error err;
	int r;

	if (res->memory_limit > 0 && !c->memory_limit)
		c->memory_limit = (uint64_t)res->memory_limit;
	if (res->cpu_quota > 0)
		c->cpu_quota_us = (uint64_t)res->cpu_quota;
	if (res->cpu_period > 0)
		c->cpu_period_us = (uint64_t)res->cpu_period;
	if (res->pids_limit > 0)
		c->pids_limit = (uint64_t)res->pids_limit;
	if (!m->cgroups_path)
		return 0;
	allow_devices(m);
	if (m->systemd.unit)
		return 0; /* it is systemd's to make, when there is a process */
	r = moat_cgroup_create(m->cgroups_path, &m->cgroup, &err);
	if (r < 0 && rootless()) {
		warn("linux.cgroupsPath: %s", err.text);
		return 0;
	}
	if (r == 0)
		r = moat_cgroup_set(m->cgroup, res, &err);
	return r < 0 ? complain("linux.resources: %s", err.text) : 0;
}

static int
set_rdt(struct making *m)
{
	struct moat_error err;

	if (!m->rdt.group || rdt_make(&m->rdt, &err) == 0)
		return 0;
	return complain("config.json: %s", err.text);
}

static int
notes(struct making *m, struct moat_sandbox *s)
{
	json_object_set_new(m->c->state, "sandboxNetwork",
		json_string(m->config.join ? m->sandbox_network : m->config.network));
	container_note(m->c, CONTAINER_INIT, moat_pid(s));
	container_note(m->c, CONTAINER_SENTRY, moat_sentry_pid(s));
	container_note(m->c, CONTAINER_GOFER, moat_gofer_pid(s));
	if (m->config.join) {
		const int score = host_oom_of_programs(moat_sentry_pid(s), m->config.oom_score_adj);
		const int *adj = m->config.has_oom_score_adj ? &score : NULL;

		join_place(m->c, moat_zygote_host_pid(s), adj);
		join_place(m->c, moat_first_host_pid(s), adj);
	}
	return container_save(m->c);
}

static int
send_pidfd(const char *path, pid_t pid)
{
	int fd = pidfd_open(pid, 0), r;

	if (fd < 0)
		return complain("--pidfd-socket: cannot open the process: %s", strerror(errno));
	r = send_descriptor("--pidfd-socket", path, fd, "pidfd");
	close(fd);
	return r;
}

static int
start_sandbox(struct making *m, struct moat_sandbox **ret)
{
	struct moat_config *c = &m->config;
	struct moat_error err;
	int r;

	c->hold = true;
	c->anchor = true;
	c->detached = !m->o->foreground;
	c->die_with_parent = m->o->foreground;
	c->place = place;
	c->prepare = prepare;
	c->arg = m;
	r = moat_start(c, ret, &err);
	return r < 0 ? start_failure(&err, c->args[0]) : 0;
}

/* What was made is undone, in this order. */
static void
undo(struct making *m, struct moat_sandbox *s)
{
	struct moat_error err;

	netdev_undo(m->netdevs);
	m->netdevs = NULL;
	moat_destroy(s);
	if (m->systemd.unit && m->cgroup &&
		systemd_stop(m->systemd.unit, err.text, sizeof err.text) < 0)
		warn("%s", err.text);
	if (m->cgroup && moat_cgroup_destroy(m->cgroup, &err) < 0)
		warn("%s", err.text);
	rdt_undo(&m->rdt);
	container_remove(m->c);
	container_close(m->c);
}

static void
remove_cgroup(struct container *c)
{
	const char *path = container_text(c, "cgroup"), *unit = container_text(c, "unit");
	struct moat_cgroup *g;
	struct moat_error err;

	if (*unit && systemd_stop(unit, err.text, sizeof err.text) < 0)
		warn("%s", err.text);
	if (*path && moat_cgroup_open(path, &g, &err) == 0) {
		if (moat_cgroup_destroy(g, &err) < 0)
			warn("%s", err.text);
		moat_cgroup_free(g);
	}
}

/* A group that was named in the configuration is others', too. */
static void
remove_rdt(struct container *c)
{
	const char *monitor = container_text(c, "resctrlMonitor"),
		   *group = container_text(c, "resctrl");

	if (*monitor)
		(void)rmdir(monitor);
	if (json_is_true(json_object_get(c->state, "resctrlOwn")) && rmdir(group) < 0 &&
		errno != ENOENT)
		warn("linux.intelRdt: cannot remove %s: %s", group, strerror(errno));
}

static void
remove_leftover(struct container *c)
{
	if (!c->state)
		return;
	remove_cgroup(c);
	remove_rdt(c);
	json_decref(c->state);
	c->state = NULL;
}

static int
make(struct making *m, const char *bundle, struct moat_sandbox **ret)
{
	struct create_opts *o = m->o;
	struct moat_config *c = &m->config;
	struct moat_sandbox *s = NULL;
	struct moat_error err;
	int r;

	remove_leftover(m->c);
	make_state(m, bundle);
	/* Before there is anything to lose: who deletes the container when this process is killed
	 * finds the cgroup by it. */
	if ((r = container_save(m->c))) {
		undo(m, NULL);
		return r;
	}
	c->listen_fd = container_listen(m->c);
	r = c->listen_fd < 0
		    ? complain("cannot listen in %s: %s", m->c->dir, strerror(-c->listen_fd))
		    : 0;
	if (r == 0)
		r = pass_fds(c, o->preserve_fds, &m->env, m->fds, MAX_PASSED);
	if (r == 0 && (r = set_sandbox(m)) == 0 && (r = set_terminal(m)) == 0 &&
		(r = set_cgroup(m)) == 0 && (r = agent_start(&m->agent, m->oci, c)) == 0 &&
		(r = set_rdt(m)) == 0 && (r = start_sandbox(m, &s)) == 0 &&
		(r = notes(m, s)) == 0) {
		r = agent_send(&m->agent, m->c, CONTAINER_CREATING, moat_pid(s));
		if (r == 0 && o->pidfd_socket)
			r = send_pidfd(o->pidfd_socket, moat_pid(s));
		if (r == 0 && !o->foreground && moat_release(s, &err) < 0)
			r = complain("%s", err.text);
		if (r == 0 && o->pid_file)
			r = write_pid_file(o->pid_file, moat_pid(s));
		if (r)
			(void)container_kill(m->c);
	}
	if (r) {
		undo(m, s);
		return r;
	}
	if (o->foreground)
		*ret = s;
	else
		moat_destroy(s);
	return 0;
}

/* What this program adds to is its own. */
static void
take_config(struct making *m)
{
	const struct moat_config *c = &m->oci->config;

	m->config = *c;
	for (const char *const *e = c->env; e && *e; e++)
		strings_add(&m->env, *e);
	m->config.env = m->env.v;
	m->mounts = xcalloc(c->nmounts + 1, sizeof *m->mounts);
	memcpy(m->mounts, c->mounts, c->nmounts * sizeof *m->mounts);
	m->config.mounts = m->mounts;
	m->top = check_memory(json_loadb(m->oci->text, m->oci->text_bytes, 0, NULL));
	m->cgroups_path = m->oci->cgroups_path;
}

static int
name_cgroup(struct making *m, const char *id)
{
	/* Limits need a group, which the specification leaves to the runtime to name. */
	if (systemd_cgroup) {
		int r = systemd_name(m->cgroups_path, id, &m->systemd);

		m->cgroups_path = m->systemd.group;
		return r;
	}
	if (!m->cgroups_path && m->oci->has_limits)
		m->cgroups_path = m->own_path = print_text("/moat-%s", id);
	return 0;
}

static int
name_rdt(struct making *m, const char *id)
{
	struct moat_error err;
	char *top;
	int r;

	if (!m->oci->intel_rdt)
		return 0;
	top = rdt_top();
	r = rdt_name(&m->rdt, top, m->oci->intel_rdt, id, &err);
	free(top);
	return r < 0 ? complain("config.json: %s", err.text) : 0;
}

static void
making_release(struct making *m)
{
	rdt_release(&m->rdt);
	moat_cgroup_free(m->cgroup);
	netdev_moves_free(m->netdevs);
	moat_destroy(m->join.sandbox);
	agent_release(&m->agent);
	if (m->config.listen_fd >= 0)
		close(m->config.listen_fd);
	if (m->config.net_fd >= 0)
		close(m->config.net_fd);
	if (m->o->console_socket && m->config.terminal && m->config.stdio[0] > 2)
		close(m->config.stdio[0]);
	for (size_t i = 0; i < m->sysctls.n; i++)
		free((void *)(uintptr_t)m->sysctls.v[i]);
	strings_free(&m->sysctls);
	strings_free(&m->env);
	systemd_names_free(&m->systemd);
	free(m->mounts);
	free(m->devices);
	free(m->own_path);
	json_decref(m->top);
	moat_oci_free(m->oci);
}

void
warn_all(const char *where, const struct moat_oci *o)
{
	for (size_t i = 0; i < o->nwarnings; i++)
		warn("%s%s", where, o->warnings[i]);
}

int
container_create(
	struct create_opts *o, const char *id, struct container *c, struct moat_sandbox **ret)
{
	struct making m = {.o = o, .c = c};
	struct moat_error err;
	char bundle[4096];
	int r;

	if (!realpath(o->bundle ? o->bundle : ".", bundle))
		return complain("cannot find the bundle %s: %s", o->bundle, strerror(errno));
	if (moat_oci_load(bundle, CREATE_CARE, &m.oci, &err) < 0)
		return complain("config.json: %s", err.text);
	take_config(&m);
	o->common.config = &m.config;
	r = common_apply(&o->common);
	if (r == 0) {
		warn_all("config.json: ", m.oci);
		notify_prepare(m.mounts, &m.env, &m.config);
		r = name_cgroup(&m, id);
	}
	if (r == 0)
		r = name_rdt(&m, id);
	if (r == 0 && o->common.overlay && strcmp(o->common.overlay, "root:memory") == 0)
		m.mounts[0].overlay = true;
	if (r == 0 && (r = container_claim(c, id)) == 0)
		r = make(&m, bundle, ret);
	making_release(&m);
	return r;
}

static int
timeout_ms(json_int_t seconds)
{
	return seconds > INT_MAX / 1000 ? INT_MAX : (int)seconds * 1000;
}

/* --- start --- */

/* A hook that is a program of the container: state on its standard input, its output is ours. */
static int
start_hook(struct moat_sandbox *s, json_t *hook, size_t i, const char *state)
{
	struct moat_config c;
	struct moat_process *p = NULL;
	struct moat_error err;
	struct strings args = {0}, env = {0};
	const char *path = json_string_value(json_object_get(hook, "path"));
	json_t *timeout = json_object_get(hook, "timeout"), *v;
	/* Of any length, for one who may not read it, and whose end is seen. */
	int in = memfd_create("state", MFD_CLOEXEC), status = 0, r;
	size_t k, len = strlen(state);

	if (in < 0 || write(in, state, len) != (ssize_t)len || lseek(in, 0, SEEK_SET) < 0) {
		r = complain(
			"hooks.startContainer[%zu]: cannot keep the state: %s", i, strerror(errno));
		if (in >= 0)
			close(in);
		return r;
	}
	moat_config_init(&c);
	json_array_foreach(json_object_get(hook, "args"), k, v)
		strings_add(&args, json_string_value(v));
	json_array_foreach(json_object_get(hook, "env"), k, v)
		strings_add(&env, json_string_value(v));
	if (args.n == 0)
		strings_add(&args, path);
	else
		args.v[0] = path; /* which program, rather than what it is called */
	c.args = args.v;
	c.env = env.v;
	c.stdio[0] = in;
	c.cap_bounding = c.cap_effective = c.cap_permitted = (1ULL << 41) - 1;
	r = moat_spawn(s, &c, &p, &err);
	close(in);
	if (r == 0)
		r = moat_process_wait(
			p, timeout ? timeout_ms(json_integer_value(timeout)) : -1, &status, &err);
	if (r < 0)
		r = complain("hooks.startContainer[%zu]: %s: %s", i, path, err.text);
	else if (status)
		r = complain("hooks.startContainer[%zu]: %s: exit status %d", i, path,
			status & 127 ? 128 + (status & 127) : status >> 8 & 255);
	moat_process_free(p);
	strings_free(&args);
	strings_free(&env);
	return r;
}

int
container_start(struct container *c, struct moat_sandbox *s, int *ret_notify)
{
	json_t *hooks = json_object_get(json_object_get(c->state, "config"), "hooks"), *hook;
	json_t *j = container_oci_state(c, CONTAINER_CREATED);
	char *state = json_dumps(j, JSON_COMPACT), text[400];
	struct moat_error err;
	size_t i;
	int r = 0;

	*ret_notify = -1;
	json_decref(j);
	json_array_foreach(json_object_get(hooks, "startContainer"), i, hook) if (r == 0) r =
		start_hook(s, hook, i, state);
	free(state);
	if (r == 0 && notify_go(c, s, ret_notify, &err) < 0)
		r = complain("%s", err.text);
	if (r == 0 && json_array_size(json_object_get(hooks, "poststart"))) {
		j = container_oci_state(c, CONTAINER_RUNNING);
		state = json_dumps(j, JSON_COMPACT);
		json_decref(j);
		if (hooks_run(hooks, "poststart", state, 0, text, sizeof text) < 0)
			r = complain("%s", text);
		free(state);
	}
	/* What has not started as it should does not stay. */
	if (r)
		(void)container_kill(c);
	if (r && *ret_notify >= 0)
		close(*ret_notify);
	return r;
}

int
container_delete(struct container *c)
{
	json_t *hooks = json_object_get(json_object_get(c->state, "config"), "hooks");
	char text[400], *state;
	json_t *j;

	join_leave_cgroup(c);
	remove_cgroup(c);
	remove_rdt(c);
	container_remove(c);
	if (json_array_size(json_object_get(hooks, "poststop"))) {
		j = container_oci_state(c, CONTAINER_STOPPED);
		state = json_dumps(j, JSON_COMPACT);
		json_decref(j);
		(void)hooks_run(hooks, "poststop", state, 0, text, sizeof text);
		free(state);
	}
	return 0;
}
