/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From struct moat_config to the messages of control.proto and gofer.proto. Exports are numbered in
 * the order of the mounts of kind MOAT_MOUNT_HOST.
 */
#include "internal.h"
#include "moat/run.h"
#include "platform/host/err.h"
#include "platform/host/oom.h"
#include "trace.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Mount kinds are the same numbers on the wire. */
_Static_assert((int)MOAT_MOUNT_HOST == CONTROL__MOUNT__KIND__GOFER, "kinds of mounts");
_Static_assert((int)MOAT_MOUNT_DEVPTS == CONTROL__MOUNT__KIND__DEVPTS, "kinds of mounts");
_Static_assert((int)MOAT_MOUNT_CGROUP == CONTROL__MOUNT__KIND__CGROUP, "kinds of mounts");
_Static_assert((int)MOAT_MOUNT_VIRTUAL == CONTROL__MOUNT__KIND__VIRTUAL, "kinds of mounts");

#define ID_MAP_MAX 340 /* as the host takes */

static ProtobufCBinaryData
text(const char *s)
{
	return wire_bytes(s, s ? strlen(s) : 0);
}

static size_t
count(const char *const *list)
{
	size_t n = 0;

	while (list && list[n])
		n++;
	return n;
}

int
config_check(const struct moat_config *c, struct moat_error *err)
{
	size_t hosts = 0, virtual = 0;
	struct stat st;

	if (!c->args || !c->args[0] || !c->args[0][0])
		return error_set(err, -EINVAL, "args: no program named");
	if (c->nmounts == 0 || strcmp(c->mounts[0].target, "/") != 0)
		return error_set(err, -EINVAL, "mounts: the first one has to be the root (\"/\")");
	if (c->mounts[0].kind == MOAT_MOUNT_HOST && c->mounts[0].source) {
		int r = HOST(stat(c->mounts[0].source, &st));

		if (r == 0 && !S_ISDIR(st.st_mode))
			r = -ENOTDIR;
		if (r < 0)
			return error_set(err, r, "cannot take %s for the root: %s",
				c->mounts[0].source, strerror(-r));
	}
	for (size_t i = 0; i < c->nmounts; i++) {
		const struct moat_mount *m = &c->mounts[i];

		if (!m->target || m->target[0] != '/')
			return error_set(
				err, -EINVAL, "mounts[%zu].target: not an absolute path", i);
		if (m->kind == MOAT_MOUNT_HOST && !m->source)
			return error_set(err, -EINVAL, "mounts[%zu].source: missing", i);
		hosts += m->kind == MOAT_MOUNT_HOST;
		if (m->nuid_map > 100 || m->ngid_map > 100 || !m->nuid_map != !m->ngid_map ||
			(m->nuid_map && m->kind != MOAT_MOUNT_HOST))
			return error_set(err, -EINVAL,
				"mounts[%zu].uid_map, gid_map: one without the other, more than "
				"100 lines, or "
				"not of the host's files",
				i);
		if (m->kind != MOAT_MOUNT_VIRTUAL)
			continue;
		if (!m->files || !m->files->ops || !m->files->ops->getattr)
			return error_set(
				err, -EINVAL, "mounts[%zu].files: missing, or without getattr", i);
		if (m->options && *m->options)
			return error_set(
				err, -EINVAL, "mounts[%zu].options: virtual files have none", i);
		if (++virtual > MOAT_FILES_MOUNTS_MAX)
			return error_set(err, -E2BIG, "mounts: more than %d of virtual files",
				MOAT_FILES_MOUNTS_MAX);
	}
	if (hosts >= WIRE_FDS_MAX)
		return error_set(err, -E2BIG, "mounts: more than %u of the host", WIRE_FDS_MAX - 1);
	if (c->platform && strcmp(c->platform, "trap") != 0 && strcmp(c->platform, "ptrace") != 0)
		return error_set(
			err, -EINVAL, "platform: \"%s\" is neither trap nor ptrace", c->platform);
	if (c->network && strcmp(c->network, "none") != 0 && strcmp(c->network, "host") != 0 &&
		strcmp(c->network, "namespace") != 0)
		return error_set(err, -EINVAL,
			"network: \"%s\" is neither none nor host nor namespace", c->network);
	if (c->cwd && c->cwd[0] != '/')
		return error_set(err, -EINVAL, "cwd: \"%s\" is not an absolute path", c->cwd);
	if (c->nuid_map > 100 || c->ngid_map > 100)
		return error_set(err, -E2BIG, "uid_map, gid_map: more than 100 lines");
	if (c->limits && c->join)
		return error_set(err, -EINVAL, "limits: not of a container beside others");
	if (c->trace && c->join)
		return error_set(err, -EINVAL, "trace: not of a container beside others");
	if (c->trace && !c->trace->fn)
		return error_set(err, -EINVAL, "trace.fn: missing");
	if (c->trace && c->trace->kinds & ~TRACER_ALL)
		return error_set(err, -EINVAL, "trace.kinds: %#x stands for no kind of event",
			c->trace->kinds & ~TRACER_ALL);
	if (c->limits && c->limits->processes > INT32_MAX)
		return error_set(err, -EINVAL, "limits: more processes than there can be");
	for (size_t i = 0; i < c->nrlimits; i++)
		if (c->rlimits[i].resource < 0 || c->rlimits[i].resource >= RLIM_NLIMITS ||
			c->rlimits[i].cur > c->rlimits[i].max)
			return error_set(err, -EINVAL,
				"rlimits[%zu]: soft limit above the hard one, or unknown", i);
	return 0;
}

int
config_send_gofer(int sock, const struct moat_config *c, int conn, struct moat_error *err)
{
	Gofer__Setup m = GOFER__SETUP__INIT;
	Gofer__Export ex[WIRE_FDS_MAX], *list[WIRE_FDS_MAX];
	int fds[WIRE_FDS_MAX] = {conn}, r = 0;
	uint32_t n = 0;

	for (size_t i = 0; i < c->nmounts && r == 0; i++) {
		const struct moat_mount *mnt = &c->mounts[i];

		if (mnt->kind != MOAT_MOUNT_HOST)
			continue;
		gofer__export__init(&ex[n]);
		/* A root that is to be read-only is writable until all targets of mounts are in it:
		 * the sandbox's kernel makes it so then. */
		ex[n].readonly = mnt->overlay || (mnt->flags & MS_RDONLY);
		ex[n].idmapped = mnt->nuid_map != 0;
		list[n] = &ex[n];
		fds[n + 1] = source_open(mnt, err);
		if (fds[n + 1] < 0) {
			r = fds[n + 1];
			break;
		}
		n++;
	}
	if (r == 0) {
		m.exports = list;
		m.n_exports = n;
		m.weaker = (char *)(uintptr_t)(c->weaker ? c->weaker : "");
		r = wire_control_send(sock, CONTROL_SETUP, &m.base, fds, n + 1);
		if (r < 0)
			error_set(err, r, "cannot talk to moat-gofer: %s", strerror(-r));
	}
	for (uint32_t i = 0; i < n; i++)
		close(fds[i + 1]);
	return r;
}

/* Lists of texts, malloc'd; NULL: out of memory. */
static ProtobufCBinaryData *
texts(const char *const *list, size_t *ret_n)
{
	size_t n = count(list);
	ProtobufCBinaryData *b = calloc(n ? n : 1, sizeof *b);

	for (size_t i = 0; b && i < n; i++)
		b[i] = text(list[i]);
	*ret_n = n;
	return b;
}

static void
fill_mount(Control__Mount *m, const struct moat_mount *c, uint32_t *next_export,
	uint32_t *next_virtual)
{
	struct stat st;

	control__mount__init(m);
	m->kind = (Control__Mount__Kind)c->kind;
	m->target = text(c->target);
	m->source = text(c->source);
	m->data = text(c->options);
	m->flags = (uint32_t)c->flags;
	m->propagation = (uint32_t)c->propagation;
	m->shared = c->shared;
	m->overlay = c->overlay;
	m->copy_up = c->copy_up;
	if (c->kind == MOAT_MOUNT_HOST) {
		m->export = (*next_export)++;
		m->file = stat(c->source, &st) == 0 && !S_ISDIR(st.st_mode);
	}
	if (c->kind == MOAT_MOUNT_VIRTUAL) {
		m->export = (*next_virtual)++;
		m->valid_ms = c->files->valid_ms;
	}
}

/* The caller's limits, changed by the configured ones. */
static size_t
fill_rlimits(const struct moat_config *c, Control__Rlimit *r, Control__Rlimit **list)
{
	for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
		struct rlimit l = {RLIM_INFINITY, RLIM_INFINITY};

		(void)getrlimit((__rlimit_resource_t)i, &l);
		control__rlimit__init(&r[i]);
		r[i].type = (uint32_t)i;
		r[i].cur = l.rlim_cur;
		r[i].max = l.rlim_max;
		list[i] = &r[i];
	}
	for (size_t i = 0; i < c->nrlimits; i++) {
		r[c->rlimits[i].resource].cur = c->rlimits[i].cur;
		r[c->rlimits[i].resource].max = c->rlimits[i].max;
	}
	return RLIM_NLIMITS;
}

int
asked_oom_score(const struct moat_config *c)
{
	return c->has_oom_score_adj ? c->oom_score_adj : host_oom_own();
}

int
process_message_fill(struct process_message *m, const struct moat_config *c)
{
	Control__Process *p = &m->p;

	control__process__init(p);
	m->closed = -1;
	p->args = texts(c->args, &p->n_args);
	p->env = texts(c->env, &p->n_env);
	if (!p->args || !p->env)
		return -ENOMEM;
	p->cwd = text(c->cwd ? c->cwd : "/");
	p->make_cwd = c->make_cwd;
	p->uid = c->uid;
	p->gid = c->gid;
	p->groups = (uint32_t *)(uintptr_t)c->groups;
	p->n_groups = c->ngroups;
	p->cap_effective = c->cap_effective;
	p->cap_permitted = c->cap_permitted;
	p->cap_inheritable = c->cap_inheritable;
	p->cap_bounding = c->cap_bounding;
	p->cap_ambient = c->cap_ambient;
	p->no_new_privs = c->no_new_privs;
	p->umask = c->umask;
	p->oom_score_adj = asked_oom_score(c);
	p->terminal = c->terminal;
	p->killable = c->killable;
	p->seccomp_bpf = wire_bytes(c->seccomp, c->seccomp_bytes);
	p->seccomp_log = c->seccomp_log;
	p->seccomp_listener = c->seccomp_listener >= 0 && c->seccomp_bytes;
	p->sched_policy = (uint32_t)c->sched_policy;
	p->sched_priority = (uint32_t)c->sched_priority;
	p->sched_reset = c->sched_reset;
	p->has_nice = c->has_nice;
	p->nice = c->nice;
	p->ioprio = c->ioprio;
	p->personality = c->personality;
	p->cpus = wire_bytes(c->cpus, c->cpus_bytes);
	p->n_rlimits = fill_rlimits(c, m->limits, m->limit_list);
	p->rlimits = m->limit_list;
	/* A closed stream travels as a descriptor that stands for nothing. */
	for (m->nfds = 0; m->nfds < 3; m->nfds++) {
		m->fds[m->nfds] = c->stdio[m->nfds];
		if (c->stdio[m->nfds] >= 0)
			continue;
		if (m->closed < 0)
			m->closed = HOST_RETRY(open("/", O_PATH | O_CLOEXEC));
		if (m->closed < 0)
			return m->closed;
		m->fds[m->nfds] = m->closed;
		p->closed |= 1u << m->nfds;
	}
	if (c->nextra_fds + 3 + (p->seccomp_listener ? 1 : 0) > PROCESS_FDS_MAX)
		return -E2BIG;
	for (size_t i = 0; i < c->nextra_fds; i++) {
		int listening = 0, flags;
		socklen_t len = sizeof listening;

		/* A connection that is gone again when it is taken is not waited for. */
		if (getsockopt(c->extra_fds[i], SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) == 0 &&
			listening && (flags = fcntl(c->extra_fds[i], F_GETFL)) >= 0)
			(void)fcntl(c->extra_fds[i], F_SETFL, flags | O_NONBLOCK);
		m->fds[m->nfds++] = c->extra_fds[i];
	}
	if (p->seccomp_listener)
		m->fds[m->nfds++] = c->seccomp_listener;
	return 0;
}

void
process_message_release(struct process_message *m)
{
	free(m->p.args);
	free(m->p.env);
	if (m->closed >= 0)
		close(m->closed);
}

/* What a Start message of c points to. */
struct start_message {
	Control__Start m;
	struct process_message pm;
	Control__Mount *mounts, **mount_list;
	Control__Device *devices, **device_list;
	int fds[WIRE_FDS_MAX];
	uint32_t nfds;
};

/* All that is of one container; conn is the first descriptor. */
static int
start_message_fill(struct start_message *s, const struct moat_config *c, int conn)
{
	Control__Start *m = &s->m;
	uint32_t next_export = 0;
	int r;

	memset(s, 0, sizeof *s);
	control__start__init(m);
	r = process_message_fill(&s->pm, c);
	m->process = &s->pm.p;
	s->mounts = calloc(c->nmounts, sizeof *s->mounts);
	s->mount_list = calloc(c->nmounts, sizeof *s->mount_list);
	m->masked_paths = texts(c->masked_paths, &m->n_masked_paths);
	m->readonly_paths = texts(c->readonly_paths, &m->n_readonly_paths);
	m->sysctls = texts(c->sysctls, &m->n_sysctls);
	s->devices = calloc(c->ndevices + 1, sizeof *s->devices);
	s->device_list = calloc(c->ndevices + 1, sizeof *s->device_list);
	if (!s->devices || !s->device_list || !s->mounts || !s->mount_list || !m->masked_paths ||
		!m->readonly_paths || !m->sysctls)
		r = -ENOMEM;
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->nmounts; i++) {
		fill_mount(&s->mounts[i], &c->mounts[i], &next_export, &m->n_virtual);
		s->mount_list[i] = &s->mounts[i];
	}
	for (size_t i = 0; i < c->ndevices; i++) {
		const struct moat_device *d = &c->devices[i];

		control__device__init(&s->devices[i]);
		s->devices[i].path = text(d->path);
		s->devices[i].mode = d->mode;
		s->devices[i].major = d->major;
		s->devices[i].minor = d->minor;
		s->devices[i].uid = d->uid;
		s->devices[i].gid = d->gid;
		s->device_list[i] = &s->devices[i];
	}
	m->devices = s->device_list;
	m->n_devices = c->ndevices;
	m->mounts = s->mount_list;
	m->n_mounts = c->nmounts;
	m->hostname = text(c->hostname ? c->hostname : "moat");
	m->domainname = text(c->domainname ? c->domainname : "(none)");
	m->memory_limit = c->memory_limit;
	m->pids_limit = c->pids_limit;
	m->cpu_quota_us = c->cpu_quota_us;
	m->cpu_period_us = c->cpu_period_us;
	m->root_readonly = c->root_readonly;
	m->hold = c->hold;
	m->notify = c->notify;
	s->fds[0] = conn;
	memcpy(s->fds + 1, s->pm.fds, 3 * sizeof s->fds[0]);
	s->nfds = 4;
	return 0;
}

/* Who the ids inside are outside: as configured, or what root has them from. */
static int
fill_id_map(const char *path, const struct moat_idmap *map, size_t n, uint32_t **ret, size_t *ret_n)
{
	FILE *f = n || geteuid() != 0 ? NULL : fopen(path, "re");
	struct moat_idmap m;

	*ret = calloc(n ? n : ID_MAP_MAX, 3 * sizeof **ret);
	*ret_n = 0;
	for (size_t i = 0; *ret && i < (n ? n : ID_MAP_MAX); i++) {
		if (n)
			m = map[i];
		else if (!f || fscanf(f, "%u %u %u", &m.inside, &m.outside, &m.count) != 3 ||
			 (i == 0 && m.inside == m.outside && m.count == UINT32_MAX))
			break;
		(*ret)[(*ret_n)++] = m.inside;
		(*ret)[(*ret_n)++] = m.outside;
		(*ret)[(*ret_n)++] = m.count;
	}
	if (f)
		fclose(f);
	return *ret ? 0 : -ENOMEM;
}

static int
start_message_fds(struct start_message *s, const struct moat_config *c, const struct peers *p)
{
	s->m.has_listen = c->listen_fd >= 0;
	if (s->m.has_listen)
		s->fds[s->nfds++] = c->listen_fd;
	s->m.n_extra_fds = s->pm.nfds - 3;
	for (uint32_t i = 3; i < s->pm.nfds; i++)
		s->fds[s->nfds++] = s->pm.fds[i];
	s->m.has_anchor = p->anchor >= 0;
	if (s->m.has_anchor)
		s->fds[s->nfds++] = p->anchor;
	if (s->nfds + s->m.n_virtual + 2 > WIRE_FDS_MAX) /* meter and events follow */
		return -E2BIG;
	for (uint32_t i = 0; i < s->m.n_virtual; i++)
		s->fds[s->nfds++] = p->virtual[i];
	return 0;
}

static void
start_message_release(struct start_message *s)
{
	process_message_release(&s->pm);
	free(s->mounts);
	free(s->mount_list);
	free(s->devices);
	free(s->device_list);
	free(s->m.masked_paths);
	free(s->m.readonly_paths);
	free(s->m.sysctls);
	free(s->m.uid_map);
	free(s->m.gid_map);
}

#define NS_MS 1000000ULL

static uint64_t
ms_to_ns(uint64_t ms)
{
	return ms < (uint64_t)INT64_MAX / NS_MS ? ms * NS_MS : INT64_MAX;
}

static void
fill_limits(Control__Start *m, const struct moat_limits *l, Control__Limits *ret)
{
	control__limits__init(ret);
	ret->cpu_ns = ms_to_ns(l->cpu_ms);
	ret->wall_ns = ms_to_ns(l->wall_ms);
	ret->memory_bytes = l->memory_bytes;
	ret->output_bytes = l->output_bytes;
	ret->file_bytes = l->file_bytes;
	m->limits = ret;
	if (l->processes && (!m->pids_limit || l->processes < m->pids_limit))
		m->pids_limit = l->processes;
	if (l->memory_bytes && (!m->memory_limit || l->memory_bytes < m->memory_limit))
		m->memory_limit = l->memory_bytes;
}

int
config_send_sentry(
	int sock, const struct moat_config *c, const struct peers *p, struct moat_error *err)
{
	struct start_message s;
	Control__Limits limits;
	Control__Trace trace = CONTROL__TRACE__INIT;
	Control__Start *m = &s.m;
	const char *network = c->network ? c->network : "none";
	int r = start_message_fill(&s, c, p->gofer);

	if (r == 0)
		r = fill_id_map(
			"/proc/self/uid_map", c->uid_map, c->nuid_map, &m->uid_map, &m->n_uid_map);
	if (r == 0)
		r = fill_id_map(
			"/proc/self/gid_map", c->gid_map, c->ngid_map, &m->gid_map, &m->n_gid_map);
	/* What is more than a clock can have the host refuses. */
	if (__builtin_mul_overflow(
		    (int64_t)c->boottime_offset.tv_sec, 1000000000, &m->boot_offset_ns))
		m->boot_offset_ns = 0;
	m->boot_offset_ns += c->boottime_offset.tv_nsec;
	if (c->memory_nodes)
		m->mem_policy = (uint32_t)c->memory_mode;
	for (int i = 0; c->memory_nodes && i < 16; i++)
		m->mem_nodes |= c->memory_nodes[i] != 0;
	m->platform = text(c->platform ? c->platform : "trap");
	m->network = text(strcmp(network, "namespace") == 0 ? "host" : network);
	m->workers = c->workers;
	m->no_spin = c->no_spin;
	m->no_rewrite = c->no_rewrite;
	m->no_stub_answers = c->no_stub_answers;
	m->no_marshal = c->no_marshal;
	m->low_ports = c->low_ports;
	m->weaker = (char *)(uintptr_t)(c->weaker ? c->weaker : "");
	m->debug = c->debug;
	m->has_log = c->log_fd >= 0;
	m->has_trace = c->trace_fd >= 0;
	if (m->has_log)
		s.fds[s.nfds++] = c->log_fd;
	if (m->has_trace)
		s.fds[s.nfds++] = c->trace_fd;
	if (r == 0)
		r = start_message_fds(&s, c, p);
	if (c->limits)
		fill_limits(m, c->limits, &limits);
	m->has_meter = p->meter >= 0;
	if (m->has_meter)
		s.fds[s.nfds++] = p->meter;
	if (c->trace) {
		trace.kinds = tracer_kinds(c->trace);
		trace.calls = texts(c->trace->calls, &trace.n_calls);
		if (r == 0 && !trace.calls)
			r = -ENOMEM;
		m->trace = &trace;
		s.fds[s.nfds++] = p->events;
	}
	if (r == 0)
		r = wire_control_send(sock, CONTROL_START, &m->base, s.fds, s.nfds);
	free(trace.calls);
	start_message_release(&s);
	return r < 0 ? error_set(err, r, "cannot talk to moat-sentry: %s", strerror(-r)) : 0;
}

int
config_send_join(
	int sock, const struct moat_config *c, const struct peers *p, struct moat_error *err)
{
	Control__Join j = CONTROL__JOIN__INIT;
	struct start_message s;
	int r = start_message_fill(&s, c, p->gofer);

	j.start = &s.m;
	j.pid_of = c->join->pid;
	j.ipc_of = c->join->ipc;
	j.uts_of = c->join->uts;
	j.net = c->join->net;
	j.own_net = p->maker >= 0;
	s.m.low_ports = c->low_ports;
	s.m.weaker = (char *)(uintptr_t) "";
	if (r == 0)
		r = start_message_fds(&s, c, p);
	if (r == 0 && j.own_net)
		s.fds[s.nfds++] = p->maker;
	if (r == 0)
		r = wire_control_send(sock, CONTROL_JOIN, &j.base, s.fds, s.nfds);
	start_message_release(&s);
	return r < 0 ? error_set(err, r, "cannot talk to moat-sentry: %s", strerror(-r)) : 0;
}
