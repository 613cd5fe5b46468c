/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers that share a sandbox. An engine that wants them to share a namespace names that of a
 * process of another container: the number of the process that stands for it. What is there may by
 * now be another process, so the namespaces are compared, and the container is one whose process
 * still is what its state says.
 *
 * A folder that has a file "shared" in it belongs to a container that has, or had, company.
 */
#include "join.h"
#include "platform/host/oom.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char shared_name[] = "shared";

/* A namespace that is asked for. */
struct want {
	const char *kind, *path; /* NULL: its own */
	struct stat st;
	unsigned container; /* 0: not found yet */
	bool exact;	    /* found by the number in the path */
};

struct search {
	struct want wants[3];
	const char *pod; /* id of the pod's first container, or NULL */
	pid_t sentry;	 /* of the sandbox, 0: not known yet */
	uint64_t start;
	char id[256]; /* of a container in it */
	bool several; /* more than one sandbox was named */
};

/* --- looking --- */

/* N of /proc/N/ns/KIND; 0: the path is another. */
static pid_t
path_pid(const char *path)
{
	int pid = 0, end = 0;

	return sscanf(path, "/proc/%d/ns/%n", &pid, &end) == 1 && end ? pid : 0;
}

static bool
same_namespace(pid_t pid, const char *kind, const struct stat *st)
{
	char path[64];
	struct stat other;

	snprintf(path, sizeof path, "/proc/%d/ns/%s", (int)pid, kind);
	return stat(path, &other) == 0 && other.st_dev == st->st_dev && other.st_ino == st->st_ino;
}

static unsigned
number_of(struct container *c)
{
	struct moat_sandbox *s;
	struct moat_state st = {0};
	struct moat_error err;

	if (container_connect(c, &s, &err) < 0)
		return 0;
	if (moat_state(s, &st, &err) < 0)
		st.container = 0;
	moat_destroy(s);
	return st.container;
}

static void
note_sandbox(struct search *s, const struct container *c)
{
	pid_t sentry = container_process(c, CONTAINER_SENTRY);
	uint64_t start = process_start_time(sentry);

	if (s->sentry && (s->sentry != sentry || s->start != start))
		s->several = true;
	s->sentry = sentry;
	s->start = start;
	snprintf(s->id, sizeof s->id, "%s", c->id);
}

static void
look_at(struct search *s, struct container *c)
{
	pid_t pid = container_pid(c);

	if (!pid || !container_process(c, CONTAINER_SENTRY))
		return;
	for (size_t i = 0; i < sizeof s->wants / sizeof *s->wants; i++) {
		struct want *w = &s->wants[i];
		bool exact = w->path && path_pid(w->path) == pid;
		unsigned nr;

		if (!w->path || (w->container && !exact) || !same_namespace(pid, w->kind, &w->st))
			continue;
		nr = number_of(c);
		if (!nr)
			continue;
		w->container = nr;
		w->exact = exact;
		note_sandbox(s, c);
	}
	if (s->pod && strcmp(c->id, s->pod) == 0)
		note_sandbox(s, c);
}

static int
look_at_all(struct search *s, const struct container *self)
{
	char root[4096];
	struct dirent *e;
	DIR *d;
	int r = container_root(root, sizeof root);

	if (r)
		return r;
	d = opendir(root);
	while (d && (e = readdir(d))) {
		struct container c;

		if (e->d_name[0] == '.' || strcmp(e->d_name, self->id) == 0 ||
			container_find(&c, e->d_name, false) != 0)
			continue;
		if (c.state)
			look_at(s, &c);
		container_close(&c);
	}
	if (d)
		closedir(d);
	return 0;
}

/* --- what is asked for --- */

static const char *
annotation(const struct moat_oci *o, const char *key)
{
	for (size_t i = 0; i < o->nannotations; i++)
		if (strcmp(o->annotations[i].name, key) == 0)
			return o->annotations[i].value;
	return "";
}

/* The pod that it is to be in. *strict: there has to be one. */
static const char *
find_pod(const struct moat_oci *o, bool *strict)
{
	static const struct {
		const char *type, *id;
		bool strict;
	} keys[] = {{"io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id", true},
		/* This one has pods without a first container, too. */
		{"io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID", false}};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(annotation(o, keys[i].type), "container") == 0 &&
			*annotation(o, keys[i].id)) {
			*strict = keys[i].strict;
			return annotation(o, keys[i].id);
		}
	return NULL;
}

static int
stat_namespaces(struct search *s)
{
	struct stat own;
	char path[64];

	for (size_t i = 0; i < sizeof s->wants / sizeof *s->wants; i++) {
		struct want *w = &s->wants[i];

		if (!w->path)
			continue;
		snprintf(path, sizeof path, "/proc/self/ns/%s", w->kind);
		if (stat(w->path, &w->st) < 0 || stat(path, &own) < 0)
			return complain("linux.namespaces: cannot look at %s: %s", w->path,
				strerror(errno));
		if (w->st.st_dev != own.st_dev)
			return complain("linux.namespaces: %s is no namespace", w->path);
		if (w->st.st_ino == own.st_ino)
			return complain("linux.namespaces: %s is the %s namespace of the host, "
					"which a sandbox cannot share",
				w->path, w->kind);
	}
	return 0;
}

static int
check_found(const struct search *s, bool strict)
{
	for (size_t i = 0; i < sizeof s->wants / sizeof *s->wants; i++)
		if (s->wants[i].path && !s->wants[i].container)
			return complain("linux.namespaces: %s is the %s namespace of no running "
					"container of moat: a sandbox can share only those",
				s->wants[i].path, s->wants[i].kind);
	if (s->several)
		return complain("linux.namespaces: they are of containers in different sandboxes");
	if (s->pod && strict && !s->sentry)
		return complain("annotations: there is no running container %s, whose sandbox "
				"this one belongs into",
			s->pod);
	return 0;
}

/* Is it the sandbox's? If not it is one of the container's own, or none. */
static int
choose_network(const struct moat_oci *o, pid_t sentry, bool *ret)
{
	struct stat st;

	*ret = false;
	if (o->network_path) {
		if (stat(o->network_path, &st) < 0)
			return complain("linux.namespaces: cannot open the network namespace %s: "
					"%s",
				o->network_path, strerror(errno));
		*ret = same_namespace(sentry, "net", &st);
	} else if (o->host_network) {
		if (stat("/proc/self/ns/net", &st) < 0 || !same_namespace(sentry, "net", &st))
			return complain("linux.namespaces: the network of the host is not that of "
					"the sandbox that the other namespaces are in");
		*ret = true;
	}
	return 0;
}

int
join_note(struct container *self)
{
	int fd = openat(
		self->dir_fd, shared_name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return errno == ENOENT ? complain("container not running: %s", self->id)
				       : complain("cannot write %s/%s: %s", self->dir, shared_name,
						 strerror(errno));
	close(fd);
	/* It is being removed: nobody would take this file away, and its name could not be used
	 * again. */
	if (faccessat(self->dir_fd, "lock", F_OK, 0) < 0) {
		(void)unlinkat(self->dir_fd, shared_name, 0);
		(void)rmdir(self->dir);
		return complain("container not running: %s", self->id);
	}
	return 0;
}

/* Of the sandbox that c is in. */
static const char *
network_of(const struct container *c, pid_t sentry)
{
	const char *said = container_text(c, "sandboxNetwork");
	struct stat own;

	if (strcmp(said, "none") == 0)
		return "none";
	/* One that this process is in by now is its host's. */
	if (strcmp(said, "namespace") != 0 || stat("/proc/self/ns/net", &own) < 0 ||
		same_namespace(sentry, "net", &own))
		return "host";
	return "namespace";
}

int
join_find(const struct moat_oci *o, const struct container *self, struct moat_join *ret,
	const char **ret_network)
{
	struct search s = {.wants = {{.kind = "pid", .path = o->pid_path},
				   {.kind = "ipc", .path = o->ipc_path},
				   {.kind = "uts", .path = o->uts_path}}};
	bool strict = false;
	struct container c;
	struct moat_error err;
	int r;

	memset(ret, 0, sizeof *ret);
	s.pod = find_pod(o, &strict);
	if (!s.pod && !o->pid_path && !o->ipc_path && !o->uts_path)
		return 0;
	if (stat_namespaces(&s) || look_at_all(&s, self) || check_found(&s, strict))
		return -1;
	if (!s.sentry)
		return 0;
	if (choose_network(o, s.sentry, &ret->net))
		return -1;
	if (container_open(&c, s.id, false))
		return -1;
	if (container_connect(&c, &ret->sandbox, &err) < 0) {
		complain("container not running: %s: %s", s.id, err.text);
		container_close(&c);
		return -1;
	}
	/* It has not become another one while we looked. */
	ret->sentry_pid = container_process(&c, CONTAINER_SENTRY);
	if (ret->sentry_pid != s.sentry || process_start_time(s.sentry) != s.start)
		r = complain("container not running: %s", s.id);
	else
		r = join_note(&c);
	*ret_network = network_of(&c, s.sentry);
	container_close(&c);
	if (r) {
		moat_destroy(ret->sandbox);
		ret->sandbox = NULL; /* the caller destroys what is there */
		return -1;
	}
	ret->pid = s.wants[0].container;
	ret->ipc = s.wants[1].container;
	ret->uts = s.wants[2].container;
	return 1;
}

/* --- together --- */

/* Another living container in the sandbox of c; false: there is none. id is what its name is kept
 * in. The caller closes it. */
static bool
find_other(const struct container *c, struct container *ret, bool with_cgroup, char *id, size_t cap)
{
	pid_t sentry = container_process(c, CONTAINER_SENTRY);
	char root[4096];
	struct dirent *e;
	bool found = false;
	DIR *d;

	if (!sentry || faccessat(c->dir_fd, shared_name, F_OK, 0) < 0 ||
		container_root(root, sizeof root) || !(d = opendir(root)))
		return false;
	while (!found && (e = readdir(d))) {
		snprintf(id, cap, "%s", e->d_name);
		if (e->d_name[0] == '.' || strcmp(e->d_name, c->id) == 0 ||
			container_find(ret, id, false) != 0)
			continue;
		/* Each started when its state says: it is the same process. */
		found = ret->state && container_pid(ret) &&
			container_process(ret, CONTAINER_SENTRY) == sentry &&
			(!with_cgroup || *container_text(ret, "cgroup"));
		if (!found)
			container_close(ret);
	}
	closedir(d);
	return found;
}

bool
join_has_company(const struct container *c)
{
	struct container other;
	char id[256];
	bool yes = find_other(c, &other, false, id, sizeof id);

	if (yes)
		container_close(&other);
	return yes;
}

void
join_leave_cgroup(const struct container *c)
{
	struct moat_cgroup *from = NULL, *to = NULL;
	struct container other;
	struct moat_error err;
	pid_t pids[64];
	char id[256];
	size_t n;

	if (!*container_text(c, "cgroup") || !find_other(c, &other, true, id, sizeof id))
		return;
	if (moat_cgroup_open(container_text(c, "cgroup"), &from, &err) == 0 &&
		moat_cgroup_open(container_text(&other, "cgroup"), &to, &err) == 0) {
		/* More come only from those that are being moved. */
		for (int round = 0; round < 100; round++) {
			if (moat_cgroup_processes(from, pids, sizeof pids / sizeof *pids, &n) < 0 ||
				n == 0)
				break;
			for (size_t i = 0; i < n && i < sizeof pids / sizeof *pids; i++)
				(void)moat_cgroup_enter(to, pids[i], &err);
		}
	}
	moat_cgroup_free(from);
	moat_cgroup_free(to);
	container_close(&other);
}

void
join_place(const struct container *c, int inside, const int *oom_score_adj)
{
	pid_t sentry = container_process(c, CONTAINER_SENTRY);
	struct moat_cgroup *g = NULL;
	struct host_child *kids;
	struct moat_error err;
	size_t n;

	if (!inside || !sentry || faccessat(c->dir_fd, shared_name, F_OK, 0) < 0)
		return;
	if (*container_text(c, "cgroup") &&
		moat_cgroup_open(container_text(c, "cgroup"), &g, &err) < 0)
		g = NULL;
	kids = sandbox_children(sentry, &n);
	for (size_t i = 0; i < n; i++) {
		if (kids[i].inside != inside)
			continue;
		if (g && moat_cgroup_enter(g, kids[i].host, &err) < 0 &&
			err.code != ESRCH) /* it has ended already */
			warn("%s", err.text);
		if (oom_score_adj)
			(void)host_oom_set(kids[i].host, *oom_score_adj);
	}
	free(kids);
	moat_cgroup_free(g);
}

struct host_child *
sandbox_children(pid_t sentry, size_t *ret_n)
{
	char path[300], line[256];
	struct host_child *v = NULL;
	size_t n = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/task", (int)sentry);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		FILE *f;
		int pid;

		snprintf(path, sizeof path, "/proc/%d/task/%s/children", (int)sentry, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (f && fscanf(f, "%d", &pid) == 1) {
			v = realloc(v, (n + 1) * sizeof *v);
			if (!v)
				exit(complain("out of memory"));
			v[n++] = (struct host_child){pid, 0};
		}
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	for (size_t i = 0; i < n; i++) {
		FILE *f;
		char *last;

		snprintf(path, sizeof path, "/proc/%d/status", v[i].host);
		f = fopen(path, "re");
		while (f && fgets(line, sizeof line, f))
			if (strncmp(line, "NSpid:", 6) == 0 && (last = strrchr(line, '\t')))
				v[i].inside = atoi(last);
		if (f)
			fclose(f);
	}
	*ret_n = n;
	return v;
}

pid_t
join_host_pid(const struct container *c, int inside)
{
	size_t n;
	struct host_child *kids = sandbox_children(container_process(c, CONTAINER_SENTRY), &n);
	pid_t pid = 0;

	for (size_t i = 0; i < n && !pid; i++)
		if (kids[i].inside == inside)
			pid = kids[i].host;
	free(kids);
	return pid;
}
