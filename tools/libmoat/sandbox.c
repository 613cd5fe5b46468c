/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox's life as the launcher sees it: two programs started in namespaces of their own
 * (start_gofer, start_sentry), the messages that tell them what to do (config.c), waiting, ending.
 */
#include "internal.h"
#include "platform/host/anchor.h"
#include "platform/host/confine.h"
#include "platform/host/err.h"
#include "platform/host/keeper.h"
#include "platform/host/ns.h"
#include "platform/host/oom.h"
#include "trace.h"
#include "virtual.h"
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAPS_MAX 100

#define NS_ALL                                                                                     \
	(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | \
		CLONE_NEWCGROUP)

const char *
moat_version(void)
{
	return MOAT_VERSION;
}

void
moat_config_init(struct moat_config *c)
{
	memset(c, 0, sizeof *c);
	for (int i = 0; i < 3; i++)
		c->stdio[i] = i;
	c->log_fd = c->trace_fd = c->net_fd = c->listen_fd = c->seccomp_listener = -1;
	c->umask = 022;
	c->low_ports = 1024;
}

int
error_set(struct moat_error *e, int r, const char *fmt, ...)
{
	va_list ap;

	e->code = -r;
	e->exec = false;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	return r;
}

/* Is id one that the user namespace of this process knows? */
static bool
id_is_mapped(const char *map, uint32_t id)
{
	FILE *f = fopen(map, "re");
	unsigned inside, outside, count;
	bool found = false;

	while (f && !found && fscanf(f, "%u %u %u", &inside, &outside, &count) == 3)
		found = id >= inside && id - inside < count;
	if (f)
		fclose(f);
	return found;
}

static unsigned
namespaces_less(unsigned ns, uint32_t weaker)
{
	static const struct {
		uint32_t weaker;
		unsigned ns;
	} parts[] = {{WEAKER_USERNS, CLONE_NEWUSER}, {WEAKER_PIDNS, CLONE_NEWPID},
		{WEAKER_NETNS, CLONE_NEWNET}, {WEAKER_IPCNS, CLONE_NEWIPC},
		{WEAKER_UTSNS, CLONE_NEWUTS}, {WEAKER_MNTNS, CLONE_NEWNS}};

	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
		if (weaker & parts[i].weaker)
			ns &= ~parts[i].ns;
	return ns;
}

bool
sentry_id_is_mapped(void)
{
	return id_is_mapped("/proc/self/uid_map", SENTRY_ID) &&
	       id_is_mapped("/proc/self/gid_map", SENTRY_ID);
}

const char *
program_path(const struct moat_config *c, const char *name, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s/%s", c->libexec ? c->libexec : MOAT_LIBEXEC, name);
	return buf;
}

void
part_score(const struct moat_config *c, int pid)
{
	(void)host_oom_set(pid, host_oom_of_programs(pid, asked_oom_score(c)));
}

/* What makes the programs' processes has been made, and keeps what it was given. The anchor keeps
 * it, too: it is what stands for the programs on the host. */
static void
spare_parts(const struct moat_sandbox *s, const struct moat_config *c)
{
	const enum part own[] = {SENTRY, GOFER};

	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (s->pids[own[i]])
			host_oom_spare(s->pids[own[i]], asked_oom_score(c));
}

struct placing {
	const struct moat_config *c;
	struct moat_error *err;
};

static int
place(void *arg, pid_t pid, char *err, size_t cap)
{
	struct placing *p = arg;
	int r;

	part_score(p->c, pid);
	r = p->c->place ? p->c->place(p->c->arg, pid, p->err) : 0;

	/* It is the same text, or will be. */
	if (r < 0 && err != p->err->text)
		snprintf(err, cap, "%s", p->err->text);
	return r;
}

void
part_started(struct moat_sandbox *s, enum part part, int child)
{
	s->parts[part] = child;
	s->pids[part] = keeper_child_pid(s->keeper, child);
}

static int
spawn(struct moat_sandbox *s, struct ns_spawn *n, const char *name, const struct moat_config *c,
	int *ret_sock, enum part part, struct moat_error *err)
{
	struct placing placing = {c, err};
	char path[4096];
	int sv[2], r = wire_pair(sv);

	if (r < 0)
		return error_set(err, r, "cannot make a control socket: %s", strerror(-r));
	n->keeper = s->keeper;
	n->path = program_path(c, name, path, sizeof path);
	n->name = name;
	n->control = sv[1];
	n->namespaces = namespaces_less(n->namespaces, s->weaker);
	n->die_with_parent = c->die_with_parent;
	n->no_stderr = c->detached;
	n->place = place;
	n->place_arg = &placing;
	r = ns_spawn(n, &s->reports[part], err->text, sizeof err->text);
	close(sv[1]);
	if (r < 0) {
		err->code = -r;
		err->exec = false;
		close(sv[0]);
		return r;
	}
	part_started(s, part, r);
	*ret_sock = sv[0];
	return 0;
}

/* Without maps, root keeps the host's user namespace for the gofer, because changing owners and
 * making nodes need it; everybody else gets one that maps themselves. */
static int
start_gofer(struct moat_sandbox *s, const struct moat_config *c, struct moat_error *err)
{
	struct ns_idmap uid[MAPS_MAX] = {{geteuid(), geteuid(), 1}},
			gid[MAPS_MAX] = {{getegid(), getegid(), 1}};
	struct ns_spawn n = {
		.namespaces = NS_ALL, .uid_map = uid, .nuid = 1, .gid_map = gid, .ngid = 1};

	for (size_t i = 0; i < c->nuid_map; i++)
		uid[i] = (struct ns_idmap){
			c->uid_map[i].inside, c->uid_map[i].outside, c->uid_map[i].count};
	for (size_t i = 0; i < c->ngid_map; i++)
		gid[i] = (struct ns_idmap){
			c->gid_map[i].inside, c->gid_map[i].outside, c->gid_map[i].count};
	if (c->nuid_map)
		n.nuid = (unsigned)c->nuid_map;
	if (c->ngid_map)
		n.ngid = (unsigned)c->ngid_map;
	if (geteuid() == 0 && !c->nuid_map && !c->ngid_map)
		n.namespaces &= ~(unsigned)CLONE_NEWUSER;
	/* Who is mapped to 0 inside becomes that; others stay themselves and keep the capabilities
	 * to set up. */
	n.set_ids = geteuid() == 0;
	n.ambient_caps = true;
	return spawn(s, &n, "moat-gofer", c, &s->gofer_sock, GOFER, err);
}

static int
start_sentry(struct moat_sandbox *s, const struct moat_config *c, struct moat_error *err)
{
	struct ns_idmap uid = {geteuid(), geteuid(), 1}, gid = {getegid(), getegid(), 1};
	struct ns_memory memory;
	char offsets[160];
	struct ns_spawn n = {
		.namespaces = NS_ALL, .uid_map = &uid, .nuid = 1, .gid_map = &gid, .ngid = 1};

	if ((c->network && strcmp(c->network, "host") == 0) || c->net_fd >= 0)
		n.namespaces &= ~(unsigned)CLONE_NEWNET;
	s->namespaces = namespaces_less(n.namespaces, s->weaker) |
			(c->net_fd >= 0 ? (unsigned)CLONE_NEWNET : 0);
	if (geteuid() == 0 && sentry_id_is_mapped()) {
		uid = gid = (struct ns_idmap){SENTRY_ID, SENTRY_ID, 1};
		n.set_ids = true;
		n.uid = n.gid = SENTRY_ID;
	}
	if (c->monotonic_offset.tv_sec || c->monotonic_offset.tv_nsec ||
		c->boottime_offset.tv_sec || c->boottime_offset.tv_nsec) {
		snprintf(offsets, sizeof offsets, "monotonic %lld %ld\nboottime %lld %ld\n",
			(long long)c->monotonic_offset.tv_sec, c->monotonic_offset.tv_nsec,
			(long long)c->boottime_offset.tv_sec, c->boottime_offset.tv_nsec);
		n.time_offsets = offsets;
	}
	if (c->memory_nodes) {
		memory.mode = c->memory_mode;
		memcpy(memory.nodes, c->memory_nodes, sizeof memory.nodes);
		n.memory = &memory;
	}
	n.ambient_caps = true; /* in its user namespace, for the rest of the confinement */
	return spawn(s, &n, "moat-sentry", c, &s->sentry_sock, SENTRY, err);
}

/* Sentry and gofer start side by side. */
static int
started(struct moat_sandbox *s, const struct moat_config *c, enum part part, const char *name,
	struct moat_error *err)
{
	char path[4096];
	int r = s->reports[part] < 0
			? 0
			: ns_started(s->reports[part], program_path(c, name, path, sizeof path),
				  err->text, sizeof err->text);

	s->reports[part] = -1;
	if (r < 0) {
		err->code = -r;
		err->exec = false;
	}
	return r;
}

/* The namespaces of a process that are not this one's. */
static int
namespaces_of(pid_t pid, unsigned *ret)
{
	static const struct {
		const char *name;
		unsigned flag;
	} kinds[] = {{"pid", CLONE_NEWPID}, {"net", CLONE_NEWNET}, {"ipc", CLONE_NEWIPC},
		{"uts", CLONE_NEWUTS}, {"mnt", CLONE_NEWNS}, {"cgroup", CLONE_NEWCGROUP},
		{"user", CLONE_NEWUSER}};

	*ret = 0;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		char own[64], theirs[64];
		struct stat a, b;
		int r;

		snprintf(own, sizeof own, "/proc/self/ns/%s", kinds[i].name);
		snprintf(theirs, sizeof theirs, "/proc/%d/ns/%s", (int)pid, kinds[i].name);
		r = HOST(stat(own, &a));
		if (r == 0)
			r = HOST(stat(theirs, &b));
		if (r < 0)
			return r;
		if (a.st_ino != b.st_ino)
			*ret |= kinds[i].flag;
	}
	return 0;
}

static int
join_sentry(struct moat_sandbox *s, const struct moat_config *c, struct moat_error *err)
{
	int r = namespaces_of(c->join->sentry_pid, &s->namespaces);

	if (r < 0)
		return error_set(
			err, r, "cannot look at the sandbox's namespaces: %s", strerror(-r));
	s->joined_pid = c->join->sentry_pid;
	return sandbox_connect(c->join->sandbox, &s->sentry_sock, err);
}

int
peer_died(struct moat_sandbox *s, enum part part, const char *name, struct moat_error *err)
{
	int status;

	if (!s->keeper || s->parts[part] < 0 ||
		keeper_child_wait(s->keeper, s->parts[part], &status) < 0)
		return error_set(err, -ECONNRESET, "%s ended unexpectedly", name);
	if (WIFSIGNALED(status))
		return error_set(err, -ECONNRESET, "%s was killed by signal %d (%s)", name,
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	return error_set(
		err, -ECONNRESET, "%s ended unexpectedly (status %d)", name, WEXITSTATUS(status));
}

/* What a failure message says. */
static int
failed(const struct wire_control *m, const char *name, struct moat_error *err)
{
	Control__Failed *f = wire_unpack(&control__failed__descriptor, m->body, m->len);
	int r;

	if (!f)
		return error_set(err, -EPROTO, "%s sent an unexpected message", name);
	r = f->err > 0 && f->err < 4096 ? -f->err : -EIO;
	error_set(err, r, "%.*s", (int)f->text.len, (const char *)f->text.data);
	err->exec = f->exec;
	control__failed__free_unpacked(f, NULL);
	return r;
}

int
answer_bad(struct wire_control *m, int r, const char *name, struct moat_error *err)
{
	if (r == 0)
		r = error_set(err, -ECONNRESET, "%s ended unexpectedly", name);
	else if (r < 0)
		error_set(err, r, "cannot hear from %s: %s", name, strerror(-r));
	else if (m->type == CONTROL_FAILED)
		r = failed(m, name, err);
	else
		r = error_set(err, -EPROTO, "%s sent an unexpected message", name);
	wire_control_free(m);
	return r;
}

/* Receive a message that says that all is well (type want), or what is wrong. */
static int
await(struct moat_sandbox *s, int sock, uint16_t want, enum part part, const char *name,
	struct moat_error *err)
{
	Control__Started *st;
	struct wire_control m;
	int r = wire_control_recv(sock, &m);

	if (r == 0)
		return peer_died(s, part, name, err);
	if (r < 0 || m.type != want)
		return answer_bad(&m, r, name, err);
	st = want == CONTROL_STARTED ? wire_unpack(&control__started__descriptor, m.body, m.len)
				     : NULL;
	if (st) {
		s->container = st->container;
		s->host_pid = st->host_pid;
		s->zygote_pid = st->zygote_pid;
		control__started__free_unpacked(st, NULL);
	}
	wire_control_free(&m);
	return 0;
}

/* What is not the sentry's of pairs of which it has the other end: the gofer's end of its
 * connection, the anchor's two, and the keeper's meter. */
enum { OWN_GOFER, OWN_ANCHOR, OWN_MAKER, OWN_METER, OWN_ENDS };

bool
own_network_beside(const struct moat_config *c)
{
	return c->join && !c->join->net && c->network && strcmp(c->network, "namespace") == 0;
}

/* Up to the messages that tell the two what to do. */
static int
start_processes(struct moat_sandbox *s, const struct moat_config *c, const int *own,
	struct anchor *a, struct moat_error *err)
{
	/* In the network namespace net_fd, when there is one: the sentry itself has no right to
	 * enter it, and this thread might have none to go back. */
	int r = keeper_new(
		c->join && !own_network_beside(c) ? -1 : c->net_fd, c->die_with_parent, &s->keeper);

	if (r < 0)
		return error_set(err, r, "cannot start a process: %s", strerror(-r));
	r = c->join ? join_sentry(s, c, err) : start_sentry(s, c, err);
	if (r == 0)
		r = start_gofer(s, c, err);
	if (r == 0)
		r = started(s, c, SENTRY, "moat-sentry", err);
	if (r == 0)
		r = started(s, c, GOFER, "moat-gofer", err);
	if (r == 0 && own[OWN_ANCHOR] >= 0)
		r = anchor_start(s, c, own[OWN_ANCHOR], own[OWN_MAKER], a, err);
	if (r == 0 && own[OWN_METER] >= 0 && (r = keeper_meter(s->keeper, own[OWN_METER])) < 0)
		error_set(err, r, "cannot have the memory measured: %s", strerror(-r));
	if (r == 0 && (r = keeper_watch(s->keeper)) < 0)
		error_set(err, r, "the sandbox's first process ended: %s", strerror(-r));
	if (r == 0 && c->prepare)
		r = c->prepare(c->arg, moat_pid(s), err);
	return r;
}

/* Begin to serve the mounts of virtual files; peers: the sentry's ends. */
static int
start_virtual(
	struct moat_sandbox *s, const struct moat_config *c, int *peers, struct moat_error *err)
{
	unsigned n = 0;
	int r = 0;

	for (size_t i = 0; i < c->nmounts && r == 0; i++) {
		const struct moat_mount *m = &c->mounts[i];

		if (m->kind != MOAT_MOUNT_VIRTUAL)
			continue;
		r = vserver_start(
			m->files, m->overlay || (m->flags & MS_RDONLY), &s->virtual[n], &peers[n]);
		n++;
		if (r < 0)
			error_set(err, r, "cannot serve the files at %s: %s", m->target,
				strerror(-r));
	}
	return r;
}

static int
await_all(struct moat_sandbox *s, struct anchor *a, struct moat_error *err)
{
	int r = await(s, s->gofer_sock, CONTROL_READY, GOFER, "moat-gofer", err), why;

	/* It ends when the sentry does, which then says why. */
	if (r == -ECONNRESET)
		r = await(s, s->sentry_sock, CONTROL_STARTED, SENTRY, "moat-sentry", err) < 0
			    ? -err->code
			    : r;
	if (r == 0)
		r = await(s, s->sentry_sock, CONTROL_STARTED, SENTRY, "moat-sentry", err);
	if (a->child < 0 || (r < 0 && r != -ECONNRESET))
		return r;
	/* The sentry ends when the anchor does, which then says why. */
	if (r == 0)
		r = anchor_finish(a, err->text, sizeof err->text);
	else
		r = (why = anchor_why(a, err->text, sizeof err->text)) < 0 ? why : r;
	if (r < 0) {
		err->code = -r;
		err->exec = false;
	}
	return r;
}

static void
close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* What the sandbox's processes have, or will never get. */
static void
close_ends(struct peers *p, int own[OWN_ENDS])
{
	int ends[] = {p->gofer, p->anchor, p->meter, p->events, p->maker};

	close_all(ends, sizeof ends / sizeof ends[0]);
	close_all(p->virtual, MOAT_FILES_MOUNTS_MAX);
	close_all(own, OWN_ENDS);
	p->gofer = p->anchor = p->meter = p->events = p->maker = -1;
}

/* A pair of which the sentry's end does not block. */
static int
packet_pair(int *ret_theirs, int *ret_other)
{
	int sv[2], r = HOST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));

	if (r < 0)
		return r;
	*ret_theirs = sv[0];
	*ret_other = sv[1];
	return HOST(fcntl(sv[0], F_SETFL, O_NONBLOCK));
}

static int
make_connections(struct moat_sandbox *s, const struct moat_config *c, struct peers *p,
	int own[OWN_ENDS], struct moat_error *err)
{
	int conn[2], r = wire_pair(conn);

	if (r == 0) {
		p->gofer = conn[0];
		own[OWN_GOFER] = conn[1];
	}
	/* Without a mount namespace of its own it would show the host's files. */
	if (r == 0 && c->anchor && !(s->weaker & WEAKER_MNTNS))
		r = packet_pair(&p->anchor, &own[OWN_ANCHOR]);
	if (r == 0 && own_network_beside(c) && p->anchor < 0)
		return error_set(err, -EINVAL,
			"network: only an anchor in its own mount namespace can have another "
			"namespace than the sandbox's");
	if (r == 0 && own_network_beside(c))
		r = packet_pair(&p->maker, &own[OWN_MAKER]);
	if (r == 0 && c->limits) {
		r = packet_pair(&p->meter, &own[OWN_METER]);
		s->metered = true;
	}
	if (r == 0 && c->trace)
		r = tracer_start(c->trace, &s->tracer, &p->events);
	if (r < 0)
		error_set(err, r, "cannot make the connections of the sandbox: %s", strerror(-r));
	return r;
}

int
moat_start(const struct moat_config *c, struct moat_sandbox **ret, struct moat_error *err)
{
	struct moat_sandbox *s = calloc(1, sizeof *s);
	struct anchor a = {-1, -1, -1};
	const char *bad = NULL;
	struct peers p = {-1, -1, -1, -1, -1, {0}};
	int own[OWN_ENDS] = {-1, -1, -1, -1}, r;

	if (!s)
		return error_set(err, -ENOMEM, "out of memory");
	s->gofer_sock = s->sentry_sock = -1;
	for (int i = 0; i < PARTS; i++)
		s->parts[i] = s->reports[i] = -1;
	memset(p.virtual, -1, sizeof p.virtual);
	r = config_check(c, err);
	if (r < 0)
		goto out;
	r = weaker_parse(c->weaker ? c->weaker : "", &s->weaker, &bad);
	if (r < 0) {
		error_set(err, r, "weaker isolation: \"%s\" is not one of its parts", bad);
		goto out;
	}
	/* The sentry first: it has more to do, and waits for the gofer only when it attaches the
	 * root. */
	if ((r = make_connections(s, c, &p, own, err)) < 0 ||
		(r = start_processes(s, c, own, &a, err)) < 0 ||
		(r = start_virtual(s, c, p.virtual, err)) < 0 ||
		(r = c->join ? config_send_join(s->sentry_sock, c, &p, err)
			     : config_send_sentry(s->sentry_sock, c, &p, err)) < 0 ||
		(r = config_send_gofer(s->gofer_sock, c, own[OWN_GOFER], err)) < 0)
		goto out;
	close_ends(&p, own);
	r = await_all(s, &a, err);
	if (r == 0) {
		spare_parts(s, c);
		*ret = s;
	}
out:
	close_ends(&p, own);
	anchor_release(&a);
	if (r < 0)
		moat_destroy(s);
	return r;
}

void
moat_destroy(struct moat_sandbox *s)
{
	if (!s)
		return;
	/* The sentry is the init of its pid namespace: all stubs die with it. */
	keeper_end(s->keeper);
	for (int i = 0; i < PARTS; i++)
		if (s->reports[i] >= 0)
			close(s->reports[i]);
	streams_free(s->streams);
	if (s->sentry_sock >= 0)
		close(s->sentry_sock);
	if (s->gofer_sock >= 0)
		close(s->gofer_sock);
	for (int i = 0; i < MOAT_FILES_MOUNTS_MAX; i++)
		vserver_stop(s->virtual[i]);
	tracer_stop(s->tracer);
	free(s);
}
