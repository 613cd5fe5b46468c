/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox's life as the launcher sees it: two programs started in namespaces of their own
 * (start_gofer, start_sentry), the messages that tell them what to do (config.c), waiting, ending.
 */
#include "internal.h"
#include "platform/host/confine.h"
#include "platform/host/err.h"
#include "platform/host/ns.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SENTRY_ID 65534 /* nobody: whom the sentry runs as when root starts it */

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
	c->log_fd = c->trace_fd = c->net_fd = c->listen_fd = -1;
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

static const char *
program_path(const struct moat_config *c, const char *name, char *buf, size_t cap)
{
	snprintf(buf, cap, "%s/%s", c->libexec ? c->libexec : MOAT_LIBEXEC, name);
	return buf;
}

struct placing {
	const struct moat_config *c;
	struct moat_error *err;
};

static int
place(void *arg, pid_t pid, char *err, size_t cap)
{
	struct placing *p = arg;
	int r = p->c->place(p->c->arg, pid, p->err);

	/* It is the same text, or will be. */
	if (r < 0 && err != p->err->text)
		snprintf(err, cap, "%s", p->err->text);
	return r;
}

static int
spawn(struct moat_sandbox *s, struct ns_spawn *n, const char *name, const struct moat_config *c,
	int *ret_sock, pid_t *ret_pid, struct moat_error *err)
{
	struct placing placing = {c, err};
	char path[4096];
	int sv[2], r = wire_pair(sv);

	if (r < 0)
		return error_set(err, r, "cannot make a control socket: %s", strerror(-r));
	n->path = program_path(c, name, path, sizeof path);
	n->name = name;
	n->control = sv[1];
	n->namespaces = namespaces_less(n->namespaces, s->weaker);
	n->die_with_parent = c->die_with_parent;
	n->no_stderr = c->detached;
	n->place = c->place ? place : NULL;
	n->place_arg = &placing;
	r = ns_spawn(n, err->text, sizeof err->text);
	close(sv[1]);
	if (r < 0) {
		close(sv[0]);
		err->code = -r;
		err->exec = false;
		return r;
	}
	*ret_pid = r;
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
	return spawn(s, &n, "moat-gofer", c, &s->gofer_sock, &s->gofer_pid, err);
}

static int
start_sentry(struct moat_sandbox *s, const struct moat_config *c, struct moat_error *err)
{
	struct ns_idmap uid = {geteuid(), geteuid(), 1}, gid = {getegid(), getegid(), 1};
	struct ns_spawn n = {
		.namespaces = NS_ALL, .uid_map = &uid, .nuid = 1, .gid_map = &gid, .ngid = 1};
	int own, r, r2;

	if ((c->network && strcmp(c->network, "host") == 0) || c->net_fd >= 0)
		n.namespaces &= ~(unsigned)CLONE_NEWNET;
	if (geteuid() == 0 && id_is_mapped("/proc/self/uid_map", SENTRY_ID) &&
		id_is_mapped("/proc/self/gid_map", SENTRY_ID)) {
		uid = gid = (struct ns_idmap){SENTRY_ID, SENTRY_ID, 1};
		n.set_ids = true;
		n.uid = n.gid = SENTRY_ID;
	}
	n.ambient_caps = true; /* in its user namespace, for the rest of the confinement */
	if (c->net_fd < 0)
		return spawn(s, &n, "moat-sentry", c, &s->sentry_sock, &s->sentry_pid, err);
	/* This thread is in the namespace while it clones: the child has no right to enter it. */
	own = HOST(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
	r = own < 0 ? own : HOST(setns(c->net_fd, CLONE_NEWNET));
	if (r < 0) {
		if (own >= 0)
			close(own);
		return error_set(err, r, "cannot join the network namespace: %s", strerror(-r));
	}
	r = spawn(s, &n, "moat-sentry", c, &s->sentry_sock, &s->sentry_pid, err);
	r2 = HOST(setns(own, CLONE_NEWNET));
	close(own);
	if (r2 < 0)
		return error_set(
			err, r2, "cannot go back to the own network namespace: %s", strerror(-r2));
	return r;
}

int
peer_died(pid_t *pid, const char *name, struct moat_error *err)
{
	int status = 0;

	if (*pid > 0 && HOST_RETRY(waitpid(*pid, &status, 0)) == *pid) {
		*pid = 0;
		if (WIFSIGNALED(status))
			return error_set(err, -ECONNRESET, "%s was killed by signal %d (%s)", name,
				WTERMSIG(status), strsignal(WTERMSIG(status)));
		return error_set(err, -ECONNRESET, "%s ended unexpectedly (status %d)", name,
			WEXITSTATUS(status));
	}
	return error_set(err, -ECONNRESET, "%s ended unexpectedly", name);
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
await(int sock, uint16_t want, pid_t *pid, const char *name, struct moat_error *err)
{
	struct wire_control m;
	int r = wire_control_recv(sock, &m);

	if (r == 0)
		return peer_died(pid, name, err);
	if (r < 0 || m.type != want)
		return answer_bad(&m, r, name, err);
	wire_control_free(&m);
	return 0;
}

int
moat_start(const struct moat_config *c, struct moat_sandbox **ret, struct moat_error *err)
{
	struct moat_sandbox *s = calloc(1, sizeof *s);
	const char *bad = NULL;
	int conn[2] = {-1, -1}, r;

	if (!s)
		return error_set(err, -ENOMEM, "out of memory");
	s->gofer_sock = s->sentry_sock = -1;
	r = config_check(c, err);
	if (r < 0)
		goto undo;
	r = weaker_parse(c->weaker ? c->weaker : "", &s->weaker, &bad);
	if (r < 0) {
		error_set(err, r, "weaker isolation: \"%s\" is not one of its parts", bad);
		goto undo;
	}
	r = wire_pair(conn);
	if (r < 0) {
		error_set(err, r, "cannot make the gofer's connection: %s", strerror(-r));
		goto undo;
	}
	if ((r = start_sentry(s, c, err)) < 0 || (r = start_gofer(s, c, err)) < 0)
		goto undo;
	if (c->prepare && (r = c->prepare(c->arg, s->sentry_pid, err)) < 0)
		goto undo;
	/* The sentry first: it has more to do, and waits for the gofer only when it attaches the
	 * root. */
	if ((r = config_send_sentry(s->sentry_sock, c, conn[0], err)) < 0 ||
		(r = config_send_gofer(s->gofer_sock, c, conn[1], err)) < 0)
		goto undo;
	close(conn[0]);
	close(conn[1]);
	conn[0] = conn[1] = -1;
	if ((r = await(s->gofer_sock, CONTROL_READY, &s->gofer_pid, "moat-gofer", err)) < 0)
		goto undo;
	if ((r = await(s->sentry_sock, CONTROL_STARTED, &s->sentry_pid, "moat-sentry", err)) < 0)
		goto undo;
	*ret = s;
	return 0;
undo:
	for (int i = 0; i < 2; i++)
		if (conn[i] >= 0)
			close(conn[i]);
	moat_destroy(s);
	return r;
}

void
moat_destroy(struct moat_sandbox *s)
{
	if (!s)
		return;
	/* The sentry is the init of its pid namespace: all stubs die with it. The gofer ends when
	 * it is gone. */
	if (s->sentry_pid > 0 && !s->released) {
		kill(s->sentry_pid, SIGKILL);
		(void)HOST_RETRY(waitpid(s->sentry_pid, NULL, 0));
	}
	if (s->gofer_pid > 0 && !s->released) {
		kill(s->gofer_pid, SIGKILL);
		(void)HOST_RETRY(waitpid(s->gofer_pid, NULL, 0));
	}
	if (s->sentry_sock >= 0)
		close(s->sentry_sock);
	if (s->gofer_sock >= 0)
		close(s->gofer_sock);
	free(s);
}
