/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moat update: other limits for a container that exists. They come as linux.resources has them,
 * from a file or the standard input, and options win over those. The host's cgroup gets them, and
 * what the sandbox shows and counts follows.
 */
#include "create.h"
#include "json.h"
#include "moat/cgroup.h"
#include "options.h"
#include "rdt.h"
#include "systemd.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An option and where its number goes in the resources. */
struct limit {
	const char *option, *part, *key;
	bool text, bytes;
	const char *value; /* NULL: not given */
};

/* A number, for bytes with a unit behind it: k, m, g, t. */
static int
parse_number(const struct limit *l, int64_t *ret)
{
	static const char units[] = "bkmgt";
	const char *unit;
	char *end;
	int64_t n, scale = 1;

	errno = 0;
	n = strtoll(l->value, &end, 10);
	if (errno || end == l->value)
		return complain("--%s: \"%s\" is not a number", l->option, l->value);
	if (l->bytes && *end) {
		unit = strchr(units, *end | 0x20);
		if (unit) {
			scale = (int64_t)1 << (10 * (unit - units));
			end++;
			if ((*end | 0x20) == 'b' && scale > 1)
				end++;
		}
	}
	if (*end || __builtin_mul_overflow(n, scale, ret))
		return complain("--%s: \"%s\" is not a %s", l->option, l->value,
			l->bytes ? "size" : "number");
	return 0;
}

/* Put what options said into the resources. */
static int
merge(json_t *res, const struct limit *limits, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct limit *l = &limits[i];
		json_t *part = json_object_get(res, l->part);
		int64_t number = 0;
		int r;

		if (!l->value)
			continue;
		if (!json_is_object(part)) {
			part = json_object();
			json_object_set_new(res, l->part, part);
		}
		if (!l->text && (r = parse_number(l, &number)))
			return r;
		json_object_set_new(
			part, l->key, l->text ? json_string(l->value) : json_integer(number));
	}
	return 0;
}

static uint64_t
shown(int64_t limit)
{
	/* 0 leaves it alone; no limit at all is more than there is. */
	return limit == MOAT_UNSET ? 0 : limit < 0 ? UINT64_MAX : (uint64_t)limit;
}

static int
apply(struct container *c, struct moat_resources *res)
{
	const char *path = container_text(c, "cgroup");
	enum container_status st = container_status(c);
	struct moat_error err = {0};
	struct moat_cgroup *g;
	struct moat_sandbox *s;
	int r;

	if (st == CONTAINER_STOPPED)
		return complain("container %s is stopped: there is nothing to update", c->id);
	if (!*path)
		return complain(
			"container %s is in no cgroup (linux.cgroupsPath): it has no limits",
			c->id);
	if (*container_text(c, "unit") &&
		systemd_update(res, container_text(c, "unit"), err.text, sizeof err.text) < 0)
		return complain("%s", err.text);
	/* The group's are those that the sandbox itself needs; as runc, which leaves them alone. */
	res->ndevices = 0;
	if (moat_cgroup_open(path, &g, &err) < 0)
		return complain("%s", err.text);
	r = moat_cgroup_set(g, res, &err);
	moat_cgroup_free(g);
	if (r < 0)
		return complain("%s", err.text);
	if (res->memory_limit == MOAT_UNSET && res->pids_limit == MOAT_UNSET &&
		res->cpu_quota == MOAT_UNSET && res->cpu_period == MOAT_UNSET)
		return 0;
	if ((r = container_attach(c, &s)))
		return r;
	r = moat_set_limits(s, shown(res->memory_limit),
		res->pids_limit == 0 ? UINT64_MAX : shown(res->pids_limit), &err);
	if (r == 0)
		r = moat_set_cpu(s, shown(res->cpu_quota),
			res->cpu_period > 0 ? (uint64_t)res->cpu_period : 0, &err);
	moat_destroy(s);
	return r < 0 ? complain("%s", err.text) : 0;
}

static int
apply_rdt(struct container *c, const char *l3_cache, const char *mem_bw)
{
	const char *group = container_text(c, "resctrl");
	struct moat_error err;
	char *top;
	int r;

	if (!*group)
		return complain("--l3-cache-schema, --mem-bw-schema: container %s is in no group "
				"of resctrl (linux.intelRdt)",
			c->id);
	top = rdt_top();
	r = top ? rdt_set(top, group, l3_cache, mem_bw, &err) : 0;
	if (!top)
		r = complain("linux.intelRdt: resctrl is no longer mounted");
	else if (r < 0)
		r = complain("%s", err.text);
	free(top);
	return r;
}

int
cmd_update(int argc, char **argv)
{
	struct limit limits[] = {
		{"blkio-weight", "blockIO", "weight", false, false, NULL},
		{"cpu-period", "cpu", "period", false, false, NULL},
		{"cpu-quota", "cpu", "quota", false, false, NULL},
		{"cpu-burst", "cpu", "burst", false, false, NULL},
		{"cpu-share", "cpu", "shares", false, false, NULL},
		{"cpu-rt-period", "cpu", "realtimePeriod", false, false, NULL},
		{"cpu-rt-runtime", "cpu", "realtimeRuntime", false, false, NULL},
		{"cpu-idle", "cpu", "idle", false, false, NULL},
		{"cpuset-cpus", "cpu", "cpus", true, false, NULL},
		{"cpuset-mems", "cpu", "mems", true, false, NULL},
		{"memory", "memory", "limit", false, true, NULL},
		{"memory-reservation", "memory", "reservation", false, true, NULL},
		{"memory-swap", "memory", "swap", false, true, NULL},
		{"kernel-memory", "memory", "kernel", false, true, NULL},
		{"kernel-memory-tcp", "memory", "kernelTCP", false, true, NULL},
		{"pids-limit", "pids", "limit", false, false, NULL},
	};
	enum { NLIMITS = sizeof limits / sizeof limits[0] };
	static const char *const help[NLIMITS] = {"weight of its input and output, 10 to 1000",
		"microseconds of a period", "microseconds of CPU time in a period, -1: no limit",
		"microseconds that a period may borrow", "share of the CPU time, from 2",
		"microseconds of a real-time period", "microseconds of real-time in a period",
		"1: only when nobody else wants the CPU", "CPUs, as \"0-1,4\"",
		"memory nodes, as \"0\"", "bytes of memory, with k, m or g; -1: no limit",
		"bytes below which nothing is taken away", "bytes of memory and swap together",
		"taken; no kernel has it any more", "bytes of TCP buffers",
		"threads of all programs together"};
	const char *file = NULL, *l3_cache = NULL, *mem_bw = NULL;
	struct option_row rows[NLIMITS + 4] = {
		{OPTION_TEXT, "resources", 'r', &file,
			"limits as JSON (linux.resources); -: stdin"},
		{OPTION_TEXT, "l3-cache-schema", 0, &l3_cache,
			"shares of the level 3 caches (linux.intelRdt)"},
		{OPTION_TEXT, "mem-bw-schema", 0, &mem_bw, "shares of the memory's bandwidth"}};
	struct moat_oci *o = NULL;
	struct moat_error err;
	json_t *asked = NULL;
	struct container c;
	int i, r = 0;

	for (i = 0; i < NLIMITS; i++)
		rows[i + 3] = (struct option_row){
			OPTION_TEXT, limits[i].option, 0, &limits[i].value, help[i]};
	i = options_parse("update [OPTIONS] ID", rows, NULL, argc, argv, 1, 1);
	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	if (file)
		r = read_json("--resources", file, &asked);
	else
		asked = check_memory(json_object());
	if (r == 0 && (r = merge(asked, limits, NLIMITS)) == 0) {
		char *text = json_text(asked);

		if (moat_oci_parse_resources(text, strlen(text), &o, &err) < 0)
			r = complain("%s", err.text);
		free(text);
	}
	if (r == 0)
		warn_all("", o);
	if (r == 0 && (r = container_open(&c, argv[i], true)) == 0) {
		if (json_object_size(asked) || (!l3_cache && !mem_bw))
			r = apply(&c, &o->resources);
		if (r == 0 && (l3_cache || mem_bw))
			r = apply_rdt(&c, l3_cache, mem_bw);
		container_close(&c);
	}
	json_decref(asked);
	moat_oci_free(o);
	return r;
}
