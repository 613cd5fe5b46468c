/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --systemd-cgroup: the names, and the limits as properties. moat-systemd (tools/systemd) talks to
 * systemd. The group is delegated to us: all limits are in its files as well, from moat_cgroup_set.
 */
#include "systemd.h"
#include "base/cpu_list.h"
#include "moat.h"
#include "moat/cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANNOTATION "org.systemd.property."

bool systemd_cgroup;

/* A part of a unit's name. */
static bool
part_ok(const char *s, size_t n)
{
	return n > 0 && n < 200 &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@\\-") >=
		       n;
}

/* "a-b.slice" is in "a.slice". */
static int
expand(const char *slice, char *out, size_t cap)
{
	size_t n = strlen(slice), len = 0;

	*out = 0;
	if (n < 7 || strcmp(slice + n - 6, ".slice") != 0 || strchr(slice, '/'))
		return -1;
	n -= 6;
	if (n == 1 && *slice == '-')
		return 0;
	if (*slice == '-' || slice[n - 1] == '-' || strstr(slice, "--"))
		return -1;
	for (size_t i = 1; i <= n; i++)
		if (i == n || slice[i] == '-') {
			int k = snprintf(out + len, cap - len, "/%.*s.slice", (int)i, slice);

			if (k < 0 || (size_t)k >= cap - len)
				return -1;
			len += (size_t)k;
		}
	return 0;
}

int
systemd_name(const char *path, const char *id, struct systemd_names *ret)
{
	const char *colon = path ? strchr(path, ':') : NULL,
		   *second = colon ? strchr(colon + 1, ':') : NULL, *name = id, *prefix = "moat";
	size_t prefix_len = 4, name_len;
	char folder[1024];

	memset(ret, 0, sizeof *ret);
	if (path && (!second || strchr(second + 1, ':')))
		return complain("config.json: linux.cgroupsPath: \"%s\" is not SLICE:PREFIX:NAME, "
				"as --systemd-cgroup wants it",
			path);
	if (path) {
		if (colon > path)
			ret->slice = print_text("%.*s", (int)(colon - path), path);
		prefix = colon + 1;
		prefix_len = (size_t)(second - prefix);
		name = second + 1;
	}
	if (!ret->slice)
		ret->slice = print_text("%s", rootless() ? "user.slice" : "system.slice");
	name_len = strlen(name);
	if (!part_ok(name, name_len) || (prefix_len && !part_ok(prefix, prefix_len)) ||
		expand(ret->slice, folder, sizeof folder) < 0)
		return complain("config.json: linux.cgroupsPath: \"%s\": not names of units",
			path ? path : id);
	if (name_len > 6 && strcmp(name + name_len - 6, ".slice") == 0)
		return complain(
			"config.json: linux.cgroupsPath: %s: a slice has no processes", name);
	ret->unit =
		print_text("%.*s%s%s.scope", (int)prefix_len, prefix, prefix_len ? "-" : "", name);
	ret->group = print_text("%s/%s", folder, ret->unit);
	return 0;
}

void
systemd_names_free(struct systemd_names *n)
{
	free(n->unit);
	free(n->slice);
	free(n->group);
	memset(n, 0, sizeof *n);
}

/* --- properties --- */

struct arguments {
	struct strings v;
	char *made[64];
	size_t nmade;
};

static void add(struct arguments *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void
add(struct arguments *a, const char *fmt, ...)
{
	char *text;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (r < 0 || a->nmade == sizeof a->made / sizeof a->made[0])
		text = NULL;
	strings_add(&a->v, a->made[a->nmade++] = check_memory(text));
}

static void
arguments_free(struct arguments *a)
{
	for (size_t i = 0; i < a->nmade; i++)
		free(a->made[i]);
	strings_free(&a->v);
}

/* A limit, with the room that its file gets. */
static void
add_limit(struct arguments *a, const char *name, int64_t n, int64_t room)
{
	int64_t sum;

	if (n == MOAT_UNSET || n == 0)
		return;
	if (n < 0 || __builtin_add_overflow(n, room, &sum))
		add(a, "%s=t:%llu", name, (unsigned long long)UINT64_MAX);
	else
		add(a, "%s=t:%lld", name, (long long)sum);
}

static void
add_list(struct arguments *a, const char *name, const char *list)
{
	uint8_t mask[128];
	char hex[2 * sizeof mask + 1];
	size_t n = sizeof mask;

	if (!list || !cpu_list_parse(list, mask, sizeof mask))
		return; /* moat_cgroup_set says what is wrong with it */
	while (n > 0 && !mask[n - 1])
		n--;
	for (size_t i = 0; i < n; i++)
		snprintf(hex + 2 * i, 3, "%02x", mask[i]);
	hex[2 * n] = 0;
	add(a, "%s=ay:%s", name, hex);
}

static void
add_limits(struct arguments *a, const struct moat_resources *r)
{
	struct statfs fs;
	bool v2 = statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;

	add_limit(a, v2 ? "MemoryMax" : "MemoryLimit", r->memory_limit, MOAT_CGROUP_MEMORY_ROOM);
	if (v2) {
		add_limit(a, "MemoryLow", r->memory_reservation, 0);
		if (r->memory_swap != MOAT_UNSET && r->memory_swap < 0)
			add_limit(a, "MemorySwapMax", -1, 0);
		else if (r->memory_swap > 0 && r->memory_limit > 0)
			add(a, "MemorySwapMax=t:%lld",
				(long long)(r->memory_swap - r->memory_limit));
		add_list(a, "AllowedCPUs", r->cpus);
		add_list(a, "AllowedMemoryNodes", r->mems);
	}
	if (r->cpu_shares > 0 && v2)
		add(a, "CPUWeight=t:%lld", (long long)(1 + ((r->cpu_shares - 2) * 9999) / 262142));
	else if (r->cpu_shares > 0)
		add(a, "CPUShares=t:%lld", (long long)r->cpu_shares);
	if (r->cpu_quota != MOAT_UNSET) {
		int64_t period = r->cpu_period > 0 ? r->cpu_period : 100000;

		if (r->cpu_quota <= 0)
			add_limit(a, "CPUQuotaPerSecUSec", -1, 0);
		else /* rounded up to 10 ms, as systemd does */
			add(a, "CPUQuotaPerSecUSec=t:%lld",
				(long long)((r->cpu_quota * 1000000 / period + 9999) / 10000 *
					    10000));
		if (v2 && r->cpu_period > 0)
			add(a, "CPUQuotaPeriodUSec=t:%lld", (long long)r->cpu_period);
	}
	add_limit(a, "TasksMax", r->pids_limit, MOAT_CGROUP_PIDS_ROOM);
	if (r->io_weight > 0)
		add(a, "%s=t:%lld", v2 ? "IOWeight" : "BlockIOWeight", (long long)r->io_weight);
}

/* org.systemd.property.NAME: a value in GVariant's text form, of the simple types. */
static int
add_annotations(const struct moat_oci *o, struct arguments *a, char *err, size_t cap)
{
	for (size_t i = 0; i < o->nannotations; i++) {
		const char *key = o->annotations[i].name, *name = key + strlen(ANNOTATION),
			   *text = o->annotations[i].value;
		long long n;
		char rest;

		if (strncmp(key, ANNOTATION, strlen(ANNOTATION)) != 0)
			continue;
		if (a->nmade > 50 || !*name || strlen(name) > 60 ||
			name[strspn(
				name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")]) {
			snprintf(err, cap, "annotations.%.100s: not a property", key);
			return -1;
		}
		if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
			add(a, "%s=b:%s", name, text);
		else if (sscanf(text, "uint64 %lld%c", &n, &rest) == 1 && n >= 0)
			add(a, "%s=t:%lld", name, n);
		else if (sscanf(text, "uint32 %lld%c", &n, &rest) == 1 && n >= 0)
			add(a, "%s=u:%lld", name, n);
		else if (sscanf(text, "%lld%c", &n, &rest) == 1 && n == (int)n)
			add(a, "%s=i:%lld", name, n);
		else if (strlen(text) >= 2 && text[0] == '\'' && text[strlen(text) - 1] == '\'')
			add(a, "%s=s:%.*s", name, (int)strlen(text) - 2, text + 1);
		else {
			snprintf(err, cap,
				"annotations.%.100s: a value of a type that is not supported", key);
			return -1;
		}
	}
	return 0;
}

/* --- the program --- */

static int
run(const struct arguments *a, char *err, size_t cap)
{
	static const char *const passed[] = {
		"DBUS_SYSTEM_BUS_ADDRESS", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"};
	struct strings env = {0};
	char path[4200], text[512], *variables[3] = {NULL};
	int fds[2], status;
	size_t n = 0;
	ssize_t k;
	pid_t pid;

	if (find_program("moat-systemd", path, sizeof path) < 0) {
		snprintf(err, cap, "moat-systemd is not installed beside moat-sentry");
		return -1;
	}
	for (size_t i = 0; i < 3; i++)
		if (getenv(passed[i]) &&
			asprintf(&variables[i], "%s=%s", passed[i], getenv(passed[i])) >= 0)
			strings_add(&env, variables[i]);
	strings_add(&env, "LC_ALL=C");
	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		snprintf(err, cap, "cannot start moat-systemd: %s", strerror(errno));
		return -1;
	}
	if (pid == 0) {
		(void)dup2(fds[1], 2);
		execve(path, (char **)(uintptr_t)a->v.v, (char **)(uintptr_t)env.v);
		dprintf(2, "%s: %s\n", path, strerror(errno));
		_exit(127);
	}
	close(fds[1]);
	while (n < sizeof text - 1 && ((k = read(fds[0], text + n, sizeof text - 1 - n)) > 0 ||
					      (k < 0 && errno == EINTR)))
		n += k > 0 ? (size_t)k : 0;
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	text[n] = 0;
	text[strcspn(text, "\n")] = 0;
	for (size_t i = 0; i < 3; i++)
		free(variables[i]);
	strings_free(&env);
	if (status == 0)
		return 0;
	snprintf(err, cap, "systemd: %s", *text ? text : "moat-systemd failed");
	return -1;
}

int
systemd_start(const struct moat_oci *o, const struct systemd_names *names, const char *id,
	pid_t pid, char *err, size_t cap)
{
	struct arguments a = {0};
	int r;

	add(&a, "moat-systemd");
	add(&a, "start");
	add(&a, "%s", names->unit);
	add(&a, "%d", (int)pid);
	add(&a, "Description=s:moat container %s", id);
	add(&a, "Slice=s:%s", names->slice);
	add(&a, "Delegate=b:true");
	add(&a, "DefaultDependencies=b:false");
	add(&a, "MemoryAccounting=b:true");
	add(&a, "CPUAccounting=b:true");
	add(&a, "TasksAccounting=b:true");
	add_limits(&a, &o->resources);
	r = add_annotations(o, &a, err, cap);
	if (r == 0)
		r = run(&a, err, cap);
	arguments_free(&a);
	return r;
}

int
systemd_update(const struct moat_resources *res, const char *unit, char *err, size_t cap)
{
	struct arguments a = {0};
	int r = 0;

	add(&a, "moat-systemd");
	add(&a, "set");
	add(&a, "%s", unit);
	add_limits(&a, res);
	if (a.nmade > 3)
		r = run(&a, err, cap);
	arguments_free(&a);
	return r;
}

int
systemd_stop(const char *unit, char *err, size_t cap)
{
	struct arguments a = {0};
	int r;

	add(&a, "moat-systemd");
	add(&a, "stop");
	add(&a, "%s", unit);
	r = run(&a, err, cap);
	arguments_free(&a);
	return r;
}
