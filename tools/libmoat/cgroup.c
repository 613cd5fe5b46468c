/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where cgroups are, and their lives: made, entered, frozen, removed. See cgroups(7). On a host
 * that has controllers of version 1 those are used; version 2 where it is alone.
 */
#include "cgroup.h"
#include "platform/host/err.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define WAIT_STEP_NS  5000000 /* between two looks at what is ending or freezing */
#define DESTROY_STEPS 400
#define FREEZE_STEPS  2000

static void
pause_step(void)
{
	struct timespec t = {0, WAIT_STEP_NS};

	(void)nanosleep(&t, NULL);
}

int
cgroup_read(const char *dir, const char *file, char *buf, size_t cap)
{
	char path[4300];
	size_t n = 0;
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, file);
	fd = HOST(open(path, O_RDONLY | O_CLOEXEC));
	if (fd < 0)
		return fd;
	while (n < cap - 1) {
		ssize_t r = HOST_RETRY(read(fd, buf + n, cap - 1 - n));

		if (r < 0) {
			close(fd);
			return (int)r;
		}
		if (r == 0)
			break;
		n += (size_t)r;
	}
	close(fd);
	if (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n] = 0;
	return 0;
}

int
cgroup_read_u64(const char *dir, const char *file, uint64_t *ret)
{
	char buf[64];
	int r = cgroup_read(dir, file, buf, sizeof buf);

	if (r == 0)
		*ret = strcmp(buf, "max") == 0 ? UINT64_MAX : strtoull(buf, NULL, 10);
	return r;
}

int
cgroup_write(const char *dir, const char *file, const char *value)
{
	char path[4300];
	ssize_t r;
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, file);
	fd = HOST(open(path, O_WRONLY | O_CLOEXEC));
	if (fd < 0)
		return fd;
	r = HOST_RETRY(write(fd, value, strlen(value)));
	close(fd);
	return r < 0 ? (int)r : 0;
}

/* Is name one of the list's, which commas part? */
static bool
listed(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = list; *p; p += strspn(p, ",")) {
		size_t n = strcspn(p, ",");

		if (n == len && memcmp(p, name, n) == 0)
			return true;
		p += n;
	}
	return len == 0 && !*list;
}

const struct hierarchy *
cgroup_hierarchy(const struct moat_cgroup *g, const char *controller)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->h[i].there && (g->v2 || listed(g->h[i].controllers, controller)))
			return &g->h[i];
	return NULL;
}

const char *
moat_cgroup_dir(const struct moat_cgroup *g, const char *controller)
{
	const struct hierarchy *h = cgroup_hierarchy(g, controller);

	return h ? h->dir : NULL;
}

/* --- where they are mounted --- */

/* What mountinfo writes as \ooo. */
static void
unescape(char *s)
{
	char *w = s;

	for (; *s; s++)
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*w++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*w++ = *s;
		}
	*w = 0;
}

/* The controllers among the options of a mount of version 1. */
static void
controllers_of(char *options, char *out, size_t cap)
{
	static const char *const known[] = {"cpu", "cpuacct", "cpuset", "memory", "devices",
		"freezer", "blkio", "pids", "hugetlb", "net_cls", "net_prio", "perf_event", "rdma",
		"misc"};
	char *save = NULL;

	out[0] = 0;
	for (char *t = strtok_r(options, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
		bool is = strncmp(t, "name=", 5) == 0;

		for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
			is |= strcmp(known[i], t) == 0;
		if (is && strlen(out) + strlen(t) + 2 < cap) {
			if (*out)
				strcat(out, ",");
			strcat(out, t);
		}
	}
}

/* The caller's own group in the hierarchy, as /proc/self/cgroup says. */
static char *
own_path(const char *controllers)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char *line = NULL, *ret = NULL;
	size_t cap = 0;

	while (f && !ret && getline(&line, &cap, f) > 0) {
		char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = 0;
		path[strcspn(path, "\n")] = 0;
		if (strcmp(list + 1, controllers) == 0)
			ret = strdup(path);
	}
	free(line);
	if (f)
		fclose(f);
	return ret;
}

static int
add(struct moat_cgroup *g, const char *controllers, const char *top, const char *root,
	const char *path)
{
	struct hierarchy *h = &g->h[g->n];
	char *own = NULL;
	int r;

	if (g->n == CGROUP_HIERARCHIES)
		return -E2BIG;
	snprintf(h->controllers, sizeof h->controllers, "%s", controllers);
	if (path[0] != '/') {
		size_t skip = strcmp(root, "/") == 0 ? 0 : strlen(root);

		own = own_path(controllers);
		/* Seen through a mount of a part of the hierarchy, or none: from its top. */
		if (own && (strncmp(own, root, skip) != 0))
			own[skip = 0] = 0;
		r = asprintf(&h->dir, "%s%s%s/%s", top, own && own[skip] == '/' ? "" : "/",
			own ? own + skip : "", path);
	} else {
		r = asprintf(&h->dir, "%s%s", top, path);
	}
	free(own);
	h->top = strdup(top);
	if (r < 0 || !h->top) {
		if (r >= 0)
			free(h->dir);
		free(h->top);
		return -ENOMEM;
	}
	g->n++;
	return 0;
}

/* One hierarchy may be mounted in several places; the first counts. */
static bool
have(const struct moat_cgroup *g, const char *controllers)
{
	for (size_t i = 0; i < g->n; i++)
		if (strcmp(g->h[i].controllers, controllers) == 0)
			return true;
	return false;
}

/* Fill in the hierarchies of one version that are mounted. */
static int
find(struct moat_cgroup *g, bool v2, const char *path)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL, root[1024], top[1024], type[64], options[1024], names[CGROUP_NAME_MAX];
	size_t cap = 0;
	int r = 0;

	if (!f)
		return -errno;
	while (r == 0 && getline(&line, &cap, f) > 0) {
		char *dash = strstr(line, " - ");

		if (!dash || sscanf(line, "%*d %*d %*s %1023s %1023s", root, top) != 2 ||
			sscanf(dash + 3, "%63s %*s %1023s", type, options) != 2)
			continue;
		if (strcmp(type, v2 ? "cgroup2" : "cgroup") != 0)
			continue;
		unescape(root);
		unescape(top);
		names[0] = 0;
		if (!v2)
			controllers_of(options, names, sizeof names);
		if (!v2 && (!*names || have(g, names)))
			continue;
		r = add(g, names, top, root, path);
		if (v2)
			break;
	}
	free(line);
	fclose(f);
	return r;
}

static bool
only_named(const struct moat_cgroup *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (strncmp(g->h[i].controllers, "name=", 5) != 0)
			return false;
	return true;
}

void
moat_cgroup_free(struct moat_cgroup *g)
{
	if (!g)
		return;
	for (size_t i = 0; i < g->n; i++) {
		free(g->h[i].top);
		free(g->h[i].dir);
	}
	free(g);
}

/* A path with at least one component, and none that leads back. */
static bool
path_ok(const char *path)
{
	size_t parts = 0;

	if (strlen(path) > 3000)
		return false;
	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.')
			return false;
		parts += n > 0 && !(n == 1 && p[0] == '.');
		p += n;
		p += strspn(p, "/");
	}
	return parts > 0;
}

static int
locate(const char *path, struct moat_cgroup **ret, struct moat_error *err)
{
	struct moat_cgroup *g;
	int r;

	if (!path_ok(path))
		return error_set(err, -EINVAL, "cgroup path \"%s\": not the name of a group", path);
	g = calloc(1, sizeof *g);
	if (!g)
		return error_set(err, -ENOMEM, "out of memory");
	r = find(g, false, path);
	if (r == 0 && only_named(g)) {
		moat_cgroup_free(g);
		g = calloc(1, sizeof *g);
		if (!g)
			return error_set(err, -ENOMEM, "out of memory");
		g->v2 = true;
		r = find(g, true, path);
	}
	if (r == 0 && g->n == 0)
		r = -ENOENT;
	if (r < 0) {
		moat_cgroup_free(g);
		return error_set(err, r, "cannot find the host's cgroups: %s",
			r == -ENOENT ? "none is mounted" : strerror(-r));
	}
	*ret = g;
	return 0;
}

/* --- made and opened --- */

/* A cpuset is of no use before it has CPUs and memory: those of its parent. */
static void
inherit_cpuset(const char *parent, const char *dir)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
	char value[4096];

	for (size_t i = 0; i < 2; i++)
		if (cgroup_read(dir, files[i], value, sizeof value) == 0 && !*value &&
			cgroup_read(parent, files[i], value, sizeof value) == 0)
			(void)cgroup_write(dir, files[i], value);
}

/* Version 2: groups below dir may use every controller that dir has. */
static void
enable_controllers(const char *dir)
{
	char list[1024], word[128], *save = NULL;

	if (cgroup_read(dir, "cgroup.controllers", list, sizeof list) < 0)
		return;
	for (char *t = strtok_r(list, " ", &save); t; t = strtok_r(NULL, " ", &save)) {
		snprintf(word, sizeof word, "+%s", t);
		(void)cgroup_write(dir, "cgroup.subtree_control", word);
	}
}

/* mkdir -p below top. */
static int
make(const struct moat_cgroup *g, const struct hierarchy *h)
{
	bool cpuset = !g->v2 && listed(h->controllers, "cpuset");
	char *dir = strdup(h->dir), *slash, *parent_end;
	int r = 0;

	if (!dir)
		return -ENOMEM;
	parent_end = dir + strlen(h->top);
	for (slash = parent_end; slash && r == 0; parent_end = slash) {
		slash = strchr(parent_end + 1, '/');
		if (slash == parent_end + 1)
			continue;
		if (g->v2) {
			char keep = *parent_end;

			*parent_end = 0;
			enable_controllers(dir);
			*parent_end = keep;
		}
		if (slash)
			*slash = 0;
		r = HOST(mkdir(dir, 0755));
		if (r == -EEXIST)
			r = 0;
		if (r == 0 && cpuset) {
			char *parent = strndup(dir, (size_t)(parent_end - dir));

			if (parent)
				inherit_cpuset(parent, dir);
			free(parent);
		}
		if (slash)
			*slash = '/';
	}
	free(dir);
	return r;
}

int
moat_cgroup_create(const char *path, struct moat_cgroup **ret, struct moat_error *err)
{
	struct moat_cgroup *g;
	size_t made = 0;
	int r = locate(path, &g, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < g->n; i++) {
		struct hierarchy *h = &g->h[i];

		r = make(g, h);
		h->there = r == 0;
		made += r == 0;
		if (r == 0 || r == -EACCES || r == -EPERM || r == -EROFS)
			continue;
		error_set(err, r, "cannot make the cgroup %s: %s", h->dir, strerror(-r));
		moat_cgroup_free(g);
		return r;
	}
	if (!made) {
		error_set(
			err, -EACCES, "cannot make the cgroup %s: permission denied", g->h[0].dir);
		moat_cgroup_free(g);
		return -EACCES;
	}
	*ret = g;
	return 0;
}

int
moat_cgroup_open(const char *path, struct moat_cgroup **ret, struct moat_error *err)
{
	struct moat_cgroup *g;
	bool any = false;
	int r = locate(path, &g, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < g->n; i++) {
		g->h[i].there = access(g->h[i].dir, F_OK) == 0;
		any |= g->h[i].there;
	}
	if (!any) {
		error_set(err, -ENOENT, "cgroup %s: not there", path);
		moat_cgroup_free(g);
		return -ENOENT;
	}
	*ret = g;
	return 0;
}

int
moat_cgroup_enter(struct moat_cgroup *g, pid_t pid, struct moat_error *err)
{
	char text[16];

	snprintf(text, sizeof text, "%d", pid);
	for (size_t i = 0; i < g->n; i++) {
		int r = g->h[i].there ? cgroup_write(g->h[i].dir, "cgroup.procs", text) : 0;

		if (r < 0)
			return error_set(err, r, "cannot put process %d into the cgroup %s: %s",
				pid, g->h[i].dir, strerror(-r));
	}
	return 0;
}

int
moat_cgroup_set(struct moat_cgroup *g, const struct moat_resources *r, struct moat_error *err)
{
	return g->v2 ? cgroup_set_v2(g, r, err) : cgroup_set_v1(g, r, err);
}

/* --- freezer --- */

bool
moat_cgroup_is_frozen(const struct moat_cgroup *g)
{
	const struct hierarchy *h = cgroup_hierarchy(g, "freezer");
	char buf[512];

	if (!h)
		return false;
	if (!g->v2)
		return cgroup_read(h->dir, "freezer.state", buf, sizeof buf) == 0 &&
		       strcmp(buf, "FROZEN") == 0;
	return cgroup_read(h->dir, "cgroup.events", buf, sizeof buf) == 0 &&
	       strstr(buf, "frozen 1") != NULL;
}

int
moat_cgroup_freeze(struct moat_cgroup *g, bool frozen, struct moat_error *err)
{
	const struct hierarchy *h = cgroup_hierarchy(g, "freezer");
	const char *file = g->v2 ? "cgroup.freeze" : "freezer.state";
	const char *value = g->v2 ? (frozen ? "1" : "0") : (frozen ? "FROZEN" : "THAWED");
	int r;

	if (!h)
		return error_set(err, -ENOTSUP, "the container's cgroup has no freezer");
	for (int i = 0; i < FREEZE_STEPS; i++) {
		r = cgroup_write(h->dir, file, value);
		if (r < 0)
			return error_set(
				err, r, "cannot write %s/%s: %s", h->dir, file, strerror(-r));
		if (moat_cgroup_is_frozen(g) == frozen)
			return 0;
		pause_step();
	}
	if (frozen) /* not half of it */
		(void)cgroup_write(h->dir, file, g->v2 ? "0" : "THAWED");
	return error_set(err, -EBUSY, "%s: cannot be %s", h->dir, frozen ? "frozen" : "thawed");
}

/* --- what is in it --- */

struct list {
	pid_t *pids;
	size_t cap, n;
};

/* fn for every group at and below dir, the lower ones first. Groups are no deeper than paths are
 * long. */
static int
each_below(const char *dir, unsigned depth, int (*fn)(const char *dir, void *arg), void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while (r == 0 && depth < 64 && (e = readdir(d))) {
		char *sub;

		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		if (asprintf(&sub, "%s/%s", dir, e->d_name) < 0)
			r = -ENOMEM;
		else {
			r = each_below(sub, depth + 1, fn, arg);
			free(sub);
		}
	}
	closedir(d);
	return r < 0 ? r : fn(dir, arg);
}

static int
collect(const char *dir, void *arg)
{
	struct list *l = arg;
	char path[4300];
	FILE *f;
	int pid;

	snprintf(path, sizeof path, "%s/cgroup.procs", dir);
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &pid) == 1) {
		if (l->n < l->cap)
			l->pids[l->n] = pid;
		l->n++;
	}
	if (f)
		fclose(f);
	return 0;
}

int
moat_cgroup_processes(const struct moat_cgroup *g, pid_t *pids, size_t cap, size_t *ret_n)
{
	struct list l = {pids, cap, 0};
	int r = 0;

	for (size_t i = 0; i < g->n; i++)
		if (g->h[i].there) {
			r = each_below(g->h[i].dir, 0, collect, &l);
			break;
		}
	*ret_n = l.n;
	return r;
}

static int
remove_one(const char *dir, void *arg)
{
	int r = HOST(rmdir(dir));

	(void)arg;
	return r == -ENOENT ? 0 : r;
}

int
moat_cgroup_destroy(struct moat_cgroup *g, struct moat_error *err)
{
	for (size_t i = 0; i < g->n; i++) {
		struct hierarchy *h = &g->h[i];
		int r = 0;

		for (int k = 0; h->there && k < DESTROY_STEPS; k++) {
			r = each_below(h->dir, 0, remove_one, NULL);
			if (r != -EBUSY)
				break;
			pause_step();
		}
		if (r < 0)
			return error_set(
				err, r, "cannot remove the cgroup %s: %s", h->dir, strerror(-r));
		h->there = false;
	}
	return 0;
}
