/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moat events: what a container uses of the host, and that memory ran out, as lines of JSON in
 * runc's form. Figures come from the cgroup, which has the sandbox's own processes in it too.
 */
#include "container.h"
#include "moat/cgroup.h"
#include "options.h"
#include "rdt.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS 250

static json_t *
number(uint64_t n)
{
	/* JSON numbers of the library have a sign; what is above is "no limit" in any case. */
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *
memory_entry(const struct moat_memory_use *m)
{
	json_t *o = json_object();

	json_object_set_new(o, "limit", number(m->limit));
	json_object_set_new(o, "usage", number(m->usage));
	json_object_set_new(o, "max", number(m->max));
	json_object_set_new(o, "failcnt", number(m->failcnt));
	return o;
}

static json_t *
cpu_part(const struct moat_usage *u)
{
	json_t *usage = json_object(), *throttling = json_object();

	json_object_set_new(usage, "total", number(u->cpu_total_ns));
	if (u->ncpus) {
		json_t *list = json_array();

		for (size_t i = 0; i < u->ncpus; i++)
			json_array_append_new(list, number(u->cpu_percpu_ns[i]));
		json_object_set_new(usage, "percpu", list);
	}
	json_object_set_new(usage, "kernel", number(u->cpu_kernel_ns));
	json_object_set_new(usage, "user", number(u->cpu_user_ns));
	if (u->throttle_periods)
		json_object_set_new(throttling, "periods", number(u->throttle_periods));
	if (u->throttled_periods)
		json_object_set_new(throttling, "throttledPeriods", number(u->throttled_periods));
	if (u->throttled_ns)
		json_object_set_new(throttling, "throttledTime", number(u->throttled_ns));
	return json_pack("{so so}", "usage", usage, "throttling", throttling);
}

static json_t *
memory_part(const struct moat_usage *u)
{
	json_t *raw = json_object(), *m = json_object();

	for (size_t i = 0; i < u->nraw; i++)
		json_object_set_new(raw, u->raw[i].name, number(u->raw[i].value));
	json_object_set_new(m, "cache", number(u->cache));
	json_object_set_new(m, "usage", memory_entry(&u->memory));
	json_object_set_new(m, "swap", memory_entry(&u->swap));
	json_object_set_new(m, "kernel", memory_entry(&u->kernel));
	json_object_set_new(m, "kernelTCP", memory_entry(&u->kernel_tcp));
	json_object_set_new(m, "raw", raw);
	return m;
}

static json_t *
io_list(const struct moat_io_use *v, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			a, json_pack("{si si ss so}", "major", (int)v[i].major, "minor",
				   (int)v[i].minor, "op", v[i].op, "value", number(v[i].value)));
	return a;
}

static json_t *
rdt_part(const struct container *c)
{
	const char *group = container_text(c, "resctrl"),
		   *monitor = container_text(c, "resctrlMonitor");
	char *top = *group ? rdt_top() : NULL;
	json_t *j = top ? rdt_stats(top, group, *monitor ? monitor : group) : json_object();

	free(top);
	return j;
}

static json_t *
stats(const struct container *c, const struct moat_usage *u)
{
	json_t *data = json_object(), *pids = json_object(), *io = json_object(),
	       *huge = json_object();

	json_object_set_new(pids, "current", number(u->pids));
	if (u->pids_limit)
		json_object_set_new(pids, "limit", number(u->pids_limit));
	json_object_set_new(io, "ioServiceBytesRecursive", io_list(u->io_bytes, u->nio_bytes));
	json_object_set_new(io, "ioServicedRecursive", io_list(u->io_ops, u->nio_ops));
	for (size_t i = 0; i < u->nhugepages; i++)
		json_object_set_new(huge, u->hugepages[i].size,
			json_pack("{so so so}", "usage", number(u->hugepages[i].usage), "max",
				number(u->hugepages[i].max), "failcnt",
				number(u->hugepages[i].failcnt)));
	json_object_set_new(data, "cpu", cpu_part(u));
	json_object_set_new(data, "memory", memory_part(u));
	json_object_set_new(data, "pids", pids);
	json_object_set_new(data, "blkio", io);
	json_object_set_new(data, "hugetlb", huge);
	json_object_set_new(data, "intel_rdt", rdt_part(c));
	return data;
}

/* One line; data may be NULL. */
static void
print_event(const char *type, const char *id, json_t *data)
{
	json_t *line = json_pack("{ss ss}", "type", type, "id", id);

	if (data)
		json_object_set_new(line, "data", data);
	json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(line);
}

static int
print_stats(const struct container *c, const struct moat_cgroup *g)
{
	struct moat_usage *u = xcalloc(1, sizeof *u);
	struct moat_error err = {0};
	int r = moat_cgroup_usage(g, u, &err);

	if (r == 0)
		print_event("stats", c->id, stats(c, u));
	moat_usage_free(u);
	free(u);
	return r;
}

static uint64_t
oom_kills(const struct moat_cgroup *g)
{
	struct moat_usage *u = xcalloc(1, sizeof *u);
	struct moat_error err = {0};
	uint64_t n = moat_cgroup_usage(g, u, &err) == 0 ? u->oom_kills : 0;

	moat_usage_free(u);
	free(u);
	return n;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until the container has ended: stats at every interval, "oom" when it happens. */
static int
follow(struct container *c, const struct moat_cgroup *g, int64_t interval_ms)
{
	short events = 0;
	int fd = moat_cgroup_oom_fd(g, &events);
	uint64_t killed = oom_kills(g);
	int64_t next = now_ms() + interval_ms;
	char buf[4096];

	while (container_pid(c)) {
		struct pollfd p = {fd, events, 0};
		int64_t left = next - now_ms(), wait = left < 0 ? 0 : left < 1000 ? left : 1000;
		uint64_t n;

		(void)poll(&p, fd >= 0, (int)wait);
		if (fd >= 0 && p.revents)
			(void)!read(fd, buf, sizeof buf);
		n = oom_kills(g);
		if (n > killed) {
			killed = n;
			print_event("oom", c->id, NULL);
		}
		if (now_ms() < next)
			continue;
		next += interval_ms;
		if (print_stats(c, g) < 0)
			break;
	}
	if (fd >= 0)
		close(fd);
	return 0;
}

/* A duration as Go writes it, or a number of seconds: ms. -1: none. */
static int64_t
parse_interval(const char *s)
{
	double total = 0, n;
	char *end;

	for (; *s; s = end) {
		n = strtod(s, &end);
		if (end == s || !isdigit((unsigned char)*s))
			return -1;
		if (strncmp(end, "ms", 2) == 0)
			end += 2;
		else if (*end == 's' || !*end)
			n *= 1000, end += *end == 's';
		else if (*end == 'm')
			n *= 60000, end++;
		else if (*end == 'h')
			n *= 3600000, end++;
		else
			return -1;
		total += n;
	}
	return total >= 1 && total < 1e12 ? (int64_t)total : -1;
}

/* --- of all containers --- */

struct seen {
	char id[256];
	enum container_status status;
	bool still;
};

#define MAX_SEEN 1024

static void
print_change(const char *id, const char *what)
{
	char when[40];
	struct timespec ts;
	struct tm tm;
	size_t n;
	json_t *line;

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	n = strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(when + n, sizeof when - n, ".%03ldZ", ts.tv_nsec / 1000000);
	line = json_pack("{ss ss ss}", "type", what, "id", id, "time", when);
	json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(line);
}

static void
look(struct seen *list, size_t *n, const char *id, enum container_status st)
{
	size_t i;

	for (i = 0; i < *n; i++)
		if (strcmp(list[i].id, id) == 0)
			break;
	if (i == MAX_SEEN)
		return;
	if (i == *n) {
		(*n)++;
		snprintf(list[i].id, sizeof list[i].id, "%s", id);
	} else if (list[i].status == st) {
		list[i].still = true;
		return;
	}
	list[i].status = st;
	list[i].still = true;
	print_change(id, container_status_name(st));
}

/* What has changed since the last look; before the first there was nothing. */
static void
look_around(const char *root, struct seen *list, size_t *n)
{
	DIR *d = opendir(root);
	struct dirent *e;

	for (size_t i = 0; i < *n; i++)
		list[i].still = false;
	while (d && (e = readdir(d))) {
		struct container c;

		if (e->d_name[0] == '.' || container_find(&c, e->d_name, false) < 0)
			continue;
		if (c.state)
			look(list, n, e->d_name, container_status(&c));
		container_close(&c);
	}
	if (d)
		closedir(d);
	for (size_t i = 0; i < *n;) {
		if (list[i].still) {
			i++;
			continue;
		}
		print_change(list[i].id, "deleted");
		list[i] = list[--*n];
	}
}

/* Changes of state, of all containers, for ever. Folders come and go with a notice; ends and pauses
 * are seen at the next look. */
static int
follow_all(void)
{
	struct seen *list = xcalloc(MAX_SEEN, sizeof *list);
	char root[4096], buf[4096];
	size_t n = 0;
	int fd, r = container_root(root, sizeof root);

	if (r) {
		free(list);
		return r;
	}
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0 || inotify_add_watch(fd, root, IN_CREATE | IN_DELETE) < 0)
		r = complain("cannot watch %s: %s", root, strerror(errno));
	while (r == 0) {
		struct pollfd p = {fd, POLLIN, 0};

		look_around(root, list, &n);
		if (ferror(stdout))
			break; /* nobody reads it any more */
		if (poll(&p, 1, LOOK_MS) > 0)
			(void)!read(fd, buf, sizeof buf);
	}
	if (fd >= 0)
		close(fd);
	free(list);
	return r;
}

int
cmd_events(int argc, char **argv)
{
	bool once = false, all = false;
	const char *interval = "5s";
	const struct option_row rows[] = {
		{OPTION_TEXT, "interval", 0, &interval, "time between two lines of stats (5s)"},
		{OPTION_FLAG, "stats", 0, &once, "one line of stats, and done"},
		{OPTION_FLAG, "follow", 'f', &all,
			"without ID: what becomes of all containers, as it happens"},
		{0}};
	int i = options_parse("events [OPTIONS] [ID]", rows, NULL, argc, argv, 0, 1), r;
	struct moat_error err = {0};
	struct moat_cgroup *g;
	struct container c;
	const char *path;
	int64_t ms;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	if (i == argc && (!all || once))
		return complain("events: names no container (see moat events --help)");
	if (i == argc)
		return follow_all();
	ms = parse_interval(interval);
	if (ms < 0)
		return complain("--interval: \"%s\" is not a duration above zero", interval);
	if ((r = container_open(&c, argv[i], false)))
		return r;
	path = container_text(&c, "cgroup");
	if (!container_pid(&c))
		r = complain("container %s is not running", argv[i]);
	else if (!*path)
		r = complain(
			"container %s is in no cgroup (linux.cgroupsPath): nothing counts for it",
			argv[i]);
	else if (moat_cgroup_open(path, &g, &err) < 0)
		r = complain("%s", err.text);
	else {
		if (!once)
			r = follow(&c, g, ms);
		else if (print_stats(&c, g) < 0)
			r = complain("the cgroup of container %s is gone", argv[i]);
		moat_cgroup_free(g);
	}
	container_close(&c);
	return r;
}
