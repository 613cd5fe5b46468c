/* SPDX-License-Identifier: Apache-2.0 */
/* What a cgroup uses of the host. */
#include "cgroup.h"
#include "platform/host/err.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#define STAT_MAX 16384 /* bytes of a memory.stat or io.stat that are read */

static uint64_t
number(const char *dir, const char *file)
{
	uint64_t n = 0;

	(void)cgroup_read_u64(dir, file, &n);
	return n;
}

/* The value of a line "NAME VALUE" in text; 0 if there is none. */
static uint64_t
field(const char *text, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, name, len) == 0 && p[len] == ' ')
			return strtoull(p + len + 1, NULL, 10);
	}
	return 0;
}

static void
read_raw(struct moat_usage *u, const char *text)
{
	size_t lines = 1;
	char name[48];
	unsigned long long v;

	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	u->raw = calloc(lines, sizeof *u->raw);
	for (const char *p = text; u->raw && p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (sscanf(p, "%47s %llu", name, &v) != 2)
			continue;
		memcpy(u->raw[u->nraw].name, name, sizeof name);
		u->raw[u->nraw++].value = v;
	}
}

static void
memory_v1(const char *dir, const char *what, struct moat_memory_use *m)
{
	char file[96];

	snprintf(file, sizeof file, "memory.%susage_in_bytes", what);
	m->usage = number(dir, file);
	snprintf(file, sizeof file, "memory.%smax_usage_in_bytes", what);
	m->max = number(dir, file);
	snprintf(file, sizeof file, "memory.%slimit_in_bytes", what);
	m->limit = number(dir, file);
	snprintf(file, sizeof file, "memory.%sfailcnt", what);
	m->failcnt = number(dir, file);
}

/* Lines "MAJOR:MINOR OP VALUE". */
static void
io_v1(const char *dir, const char *file, struct moat_io_use **ret, size_t *n)
{
	static const char *const ops[] = {"Read", "Write", "Sync", "Async", "Discard", "Total"};
	char text[STAT_MAX], op[16];
	unsigned major, minor;
	unsigned long long v;
	size_t lines = 1;

	if (cgroup_read(dir, file, text, sizeof text) < 0)
		return;
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	*ret = calloc(lines, sizeof **ret);
	for (const char *p = text; *ret && p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (sscanf(p, "%u:%u %15s %llu", &major, &minor, op, &v) != 4)
			continue;
		for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
			if (strcmp(op, ops[i]) == 0)
				(*ret)[(*n)++] = (struct moat_io_use){major, minor, ops[i], v};
	}
}

/* Lines "MAJOR:MINOR key=value ...". */
static void
io_v2(const char *dir, struct moat_usage *u)
{
	static const struct {
		const char *key, *op;
		bool bytes;
	} keys[] = {{"rbytes=", "Read", true}, {"wbytes=", "Write", true}, {"rios=", "Read", false},
		{"wios=", "Write", false}};
	char text[STAT_MAX];
	unsigned major, minor;
	size_t lines = 1;

	if (cgroup_read(dir, "io.stat", text, sizeof text) < 0)
		return;
	for (const char *p = text; *p; p++)
		lines += *p == '\n';
	u->io_bytes = calloc(2 * lines, sizeof *u->io_bytes);
	u->io_ops = calloc(2 * lines, sizeof *u->io_ops);
	if (!u->io_bytes || !u->io_ops)
		return;
	for (char *p = text, *next; p; p = next) {
		next = strchr(p, '\n');
		if (next)
			*next++ = 0;
		if (sscanf(p, "%u:%u", &major, &minor) != 2)
			continue;
		for (size_t i = 0; i < 4; i++) {
			const char *v = strstr(p, keys[i].key);
			struct moat_io_use use = {major, minor, keys[i].op, 0};

			if (!v || v[-1] != ' ')
				continue;
			use.value = strtoull(v + strlen(keys[i].key), NULL, 10);
			if (keys[i].bytes)
				u->io_bytes[u->nio_bytes++] = use;
			else
				u->io_ops[u->nio_ops++] = use;
		}
	}
}

/* One entry for each page size that the controller has files for. */
static void
hugepages(const char *dir, bool v2, struct moat_usage *u)
{
	const char *tail = v2 ? ".current" : ".usage_in_bytes";
	DIR *d = opendir(dir);
	struct dirent *e;
	char file[64];

	u->hugepages = d ? calloc(8, sizeof *u->hugepages) : NULL;
	while (u->hugepages && u->nhugepages < 8 && (e = readdir(d))) {
		struct moat_hugepage_use *h = &u->hugepages[u->nhugepages];
		char *dot =
			strncmp(e->d_name, "hugetlb.", 8) == 0 ? strchr(e->d_name + 8, '.') : NULL;

		if (!dot || strcmp(dot, tail) != 0 || dot - e->d_name - 8 >= (long)sizeof h->size)
			continue;
		snprintf(
			h->size, sizeof h->size, "%.*s", (int)(dot - e->d_name - 8), e->d_name + 8);
		h->usage = number(dir, e->d_name);
		snprintf(file, sizeof file, "hugetlb.%s.%s", h->size,
			v2 ? "max" : "max_usage_in_bytes");
		if (!v2)
			h->max = number(dir, file);
		snprintf(file, sizeof file, "hugetlb.%s.failcnt", h->size);
		h->failcnt = v2 ? 0 : number(dir, file);
		u->nhugepages++;
	}
	if (d)
		closedir(d);
}

static void
cpu_v1(const struct moat_cgroup *g, struct moat_usage *u)
{
	const struct hierarchy *cpu = cgroup_hierarchy(g, "cpu");
	const struct hierarchy *acct = cgroup_hierarchy(g, "cpuacct");
	char text[STAT_MAX], *p, *end;
	long hz = sysconf(_SC_CLK_TCK);

	if (cpu && cgroup_read(cpu->dir, "cpu.stat", text, sizeof text) == 0) {
		u->throttle_periods = field(text, "nr_periods");
		u->throttled_periods = field(text, "nr_throttled");
		u->throttled_ns = field(text, "throttled_time");
	}
	if (!acct)
		return;
	u->cpu_total_ns = number(acct->dir, "cpuacct.usage");
	if (cgroup_read(acct->dir, "cpuacct.stat", text, sizeof text) == 0 && hz > 0) {
		u->cpu_user_ns = field(text, "user") * (1000000000ULL / (uint64_t)hz);
		u->cpu_kernel_ns = field(text, "system") * (1000000000ULL / (uint64_t)hz);
	}
	if (cgroup_read(acct->dir, "cpuacct.usage_percpu", text, sizeof text) < 0)
		return;
	for (p = text; u->ncpus < MOAT_CPUS_MAX; p = end) {
		uint64_t v = strtoull(p, &end, 10);

		if (end == p)
			break;
		u->cpu_percpu_ns[u->ncpus++] = v;
	}
}

static void
usage_v1(const struct moat_cgroup *g, struct moat_usage *u)
{
	const struct hierarchy *h;
	char text[STAT_MAX];

	cpu_v1(g, u);
	h = cgroup_hierarchy(g, "memory");
	if (h) {
		memory_v1(h->dir, "", &u->memory);
		memory_v1(h->dir, "memsw.", &u->swap);
		memory_v1(h->dir, "kmem.", &u->kernel);
		memory_v1(h->dir, "kmem.tcp.", &u->kernel_tcp);
		if (cgroup_read(h->dir, "memory.stat", text, sizeof text) == 0) {
			u->cache = field(text, "cache");
			read_raw(u, text);
		}
		if (cgroup_read(h->dir, "memory.oom_control", text, sizeof text) == 0)
			u->oom_kills = field(text, "oom_kill");
	}
	h = cgroup_hierarchy(g, "pids");
	if (h) {
		u->pids = number(h->dir, "pids.current");
		u->pids_limit = number(h->dir, "pids.max");
	}
	h = cgroup_hierarchy(g, "blkio");
	if (h) {
		io_v1(h->dir, "blkio.throttle.io_service_bytes_recursive", &u->io_bytes,
			&u->nio_bytes);
		io_v1(h->dir, "blkio.throttle.io_serviced_recursive", &u->io_ops, &u->nio_ops);
	}
	h = cgroup_hierarchy(g, "hugetlb");
	if (h)
		hugepages(h->dir, false, u);
}

static void
usage_v2(const char *dir, struct moat_usage *u)
{
	char text[STAT_MAX];

	if (cgroup_read(dir, "cpu.stat", text, sizeof text) == 0) {
		u->cpu_total_ns = field(text, "usage_usec") * 1000;
		u->cpu_user_ns = field(text, "user_usec") * 1000;
		u->cpu_kernel_ns = field(text, "system_usec") * 1000;
		u->throttle_periods = field(text, "nr_periods");
		u->throttled_periods = field(text, "nr_throttled");
		u->throttled_ns = field(text, "throttled_usec") * 1000;
	}
	u->memory.usage = number(dir, "memory.current");
	u->memory.max = number(dir, "memory.peak");
	u->memory.limit = number(dir, "memory.max");
	/* Engines expect both together, as version 1 has them. */
	u->swap.usage = u->memory.usage + number(dir, "memory.swap.current");
	u->swap.limit = number(dir, "memory.swap.max");
	if (__builtin_add_overflow(u->swap.limit, u->memory.limit, &u->swap.limit))
		u->swap.limit = UINT64_MAX;
	if (cgroup_read(dir, "memory.stat", text, sizeof text) == 0) {
		u->cache = field(text, "file");
		read_raw(u, text);
	}
	if (cgroup_read(dir, "memory.events", text, sizeof text) == 0) {
		u->memory.failcnt = field(text, "max");
		u->oom_kills = field(text, "oom_kill");
	}
	u->pids = number(dir, "pids.current");
	u->pids_limit = number(dir, "pids.max");
	io_v2(dir, u);
	hugepages(dir, true, u);
}

int
moat_cgroup_usage(const struct moat_cgroup *g, struct moat_usage *ret, struct moat_error *err)
{
	bool any = false;

	memset(ret, 0, sizeof *ret);
	for (size_t i = 0; i < g->n; i++)
		any |= g->h[i].there;
	if (!any)
		return error_set(err, -ENOENT, "the container's cgroup is gone");
	if (g->v2)
		usage_v2(g->h[0].dir, ret);
	else
		usage_v1(g, ret);
	if (ret->pids_limit == UINT64_MAX)
		ret->pids_limit = 0;
	return 0;
}

void
moat_usage_free(struct moat_usage *u)
{
	free(u->raw);
	free(u->io_bytes);
	free(u->io_ops);
	free(u->hugepages);
	memset(u, 0, sizeof *u);
}

/* Version 1: an eventfd that is registered in cgroup.event_control. */
static int
oom_fd_v1(const char *dir)
{
	char path[4300], order[64];
	int control, event, r;

	snprintf(path, sizeof path, "%s/memory.oom_control", dir);
	control = HOST(open(path, O_RDONLY | O_CLOEXEC));
	if (control < 0)
		return control;
	event = HOST(eventfd(0, EFD_CLOEXEC));
	r = event;
	if (r >= 0) {
		snprintf(order, sizeof order, "%d %d", event, control);
		r = cgroup_write(dir, "cgroup.event_control", order);
	}
	close(control);
	if (r < 0 && event >= 0)
		close(event);
	return r < 0 ? r : event;
}

int
moat_cgroup_oom_fd(const struct moat_cgroup *g, short *ret_events)
{
	const struct hierarchy *h = cgroup_hierarchy(g, "memory");
	char path[4300];
	int fd, r;

	if (!h)
		return -ENOENT;
	*ret_events = POLLIN;
	if (!g->v2)
		return oom_fd_v1(h->dir);
	fd = HOST(inotify_init1(IN_CLOEXEC));
	if (fd < 0)
		return fd;
	snprintf(path, sizeof path, "%s/memory.events", h->dir);
	r = HOST(inotify_add_watch(fd, path, IN_MODIFY));
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}
