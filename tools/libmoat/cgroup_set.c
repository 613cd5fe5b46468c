/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits, from the OCI specification's terms to the files of each version of cgroups (the kernel's
 * Documentation/admin-guide/cgroup-v1 and cgroup-v2.rst).
 */
#include "cgroup.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct setter {
	struct moat_cgroup *g;
	struct moat_error *err;
	int r;
};

void
moat_resources_init(struct moat_resources *r)
{
	memset(r, 0, sizeof *r);
	r->memory_limit = r->memory_reservation = r->memory_swap = MOAT_UNSET;
	r->memory_kernel = r->memory_kernel_tcp = r->memory_swappiness = MOAT_UNSET;
	r->cpu_shares = r->cpu_quota = r->cpu_period = r->cpu_burst = MOAT_UNSET;
	r->cpu_rt_runtime = r->cpu_rt_period = r->cpu_idle = MOAT_UNSET;
	r->pids_limit = r->io_weight = r->io_leaf_weight = r->net_class = MOAT_UNSET;
}

/* Write one limit; after the first failure nothing more is written. */
static void
put(struct setter *s, const char *controller, const char *file, const char *value)
{
	const struct hierarchy *h = cgroup_hierarchy(s->g, controller);

	if (s->r < 0)
		return;
	if (!h) {
		s->r = error_set(s->err, -ENOENT,
			"cannot set %s: this host has no %s controller, or not for this user", file,
			controller);
		return;
	}
	s->r = cgroup_write(h->dir, file, value);
	if (s->r < 0)
		error_set(s->err, s->r, "cannot write \"%s\" to %s/%s: %s", value, h->dir, file,
			strerror(-s->r));
}

static void
put_n(struct setter *s, const char *controller, const char *file, int64_t n)
{
	char text[32];

	snprintf(text, sizeof text, "%lld", (long long)n);
	if (n != MOAT_UNSET)
		put(s, controller, file, text);
}

/* Version 2 says "max" where others say -1. */
static void
put_max(struct setter *s, const char *controller, const char *file, int64_t n)
{
	if (n != MOAT_UNSET && n < 0)
		put(s, controller, file, "max");
	else
		put_n(s, controller, file, n);
}

/* A limit with room for what runs beside the guest. */
static int64_t
with_room(int64_t limit, int64_t room)
{
	int64_t sum;

	return limit == MOAT_UNSET || limit < 0 || __builtin_add_overflow(limit, room, &sum) ? limit
											     : sum;
}

static int
check_before_update(struct setter *s, const struct moat_resources *r, const char *file)
{
	const struct hierarchy *h = cgroup_hierarchy(s->g, "memory");
	uint64_t used;

	if (!r->memory_check_before_update || r->memory_limit < 0 || !h ||
		cgroup_read_u64(h->dir, file, &used) < 0 || used <= (uint64_t)r->memory_limit)
		return 0;
	return error_set(s->err, -EBUSY,
		"memory limit %lld is below what is used now (%llu), and checkBeforeUpdate is set",
		(long long)r->memory_limit, (unsigned long long)used);
}

/* --- version 1 --- */

/* The limit of memory and swap together may never be below that of memory: which goes first depends
 * on where they are. */
static void
memory_v1(struct setter *s, const struct moat_resources *r)
{
	const struct hierarchy *h = cgroup_hierarchy(s->g, "memory");
	int64_t limit = with_room(r->memory_limit, MOAT_CGROUP_MEMORY_ROOM);
	int64_t swap = with_room(r->memory_swap, MOAT_CGROUP_MEMORY_ROOM);
	uint64_t now = 0;

	if (limit == -1 && swap == MOAT_UNSET && h &&
		cgroup_read_u64(h->dir, "memory.memsw.limit_in_bytes", &now) == 0)
		swap = -1;
	if (h && limit != MOAT_UNSET && swap != MOAT_UNSET &&
		cgroup_read_u64(h->dir, "memory.memsw.limit_in_bytes", &now) == 0 &&
		(swap < 0 || (uint64_t)swap > now)) {
		put_n(s, "memory", "memory.memsw.limit_in_bytes", swap);
		put_n(s, "memory", "memory.limit_in_bytes", limit);
	} else {
		put_n(s, "memory", "memory.limit_in_bytes", limit);
		put_n(s, "memory", "memory.memsw.limit_in_bytes", swap);
	}
	put_n(s, "memory", "memory.soft_limit_in_bytes", r->memory_reservation);
	/* memory_kernel: no kernel since 6.1 has the file, and engines send 0 or -1. */
	put_n(s, "memory", "memory.kmem.tcp.limit_in_bytes", r->memory_kernel_tcp);
	put_n(s, "memory", "memory.swappiness", r->memory_swappiness);
	if (r->memory_disable_oom_killer)
		put(s, "memory", "memory.oom_control", "1");
}

/* Quota and period have to fit each other at every moment: the period first, and if it does not fit
 * the old quota, after it. */
static void
cpu_v1(struct setter *s, const struct moat_resources *r)
{
	put_n(s, "cpu", "cpu.shares", r->cpu_shares);
	if (r->cpu_period != MOAT_UNSET) {
		put_n(s, "cpu", "cpu.cfs_period_us", r->cpu_period);
		if (s->r == -EINVAL && r->cpu_quota != MOAT_UNSET) {
			s->r = 0;
			put_n(s, "cpu", "cpu.cfs_quota_us", r->cpu_quota);
			put_n(s, "cpu", "cpu.cfs_period_us", r->cpu_period);
		}
	}
	put_n(s, "cpu", "cpu.cfs_quota_us", r->cpu_quota);
	put_n(s, "cpu", "cpu.cfs_burst_us", r->cpu_burst);
	put_n(s, "cpu", "cpu.rt_period_us", r->cpu_rt_period);
	put_n(s, "cpu", "cpu.rt_runtime_us", r->cpu_rt_runtime);
	put_n(s, "cpu", "cpu.idle", r->cpu_idle);
	if (r->cpus)
		put(s, "cpuset", "cpuset.cpus", r->cpus);
	if (r->mems)
		put(s, "cpuset", "cpuset.mems", r->mems);
}

/* blkio.weight is the file of one scheduler, blkio.bfq.weight that of another. */
static const char *
weight_file(const struct moat_cgroup *g, const char *plain, const char *bfq)
{
	const struct hierarchy *h = cgroup_hierarchy(g, "blkio");
	char probe[64];

	return h && cgroup_read(h->dir, plain, probe, sizeof probe) < 0 &&
			       cgroup_read(h->dir, bfq, probe, sizeof probe) == 0
		       ? bfq
		       : plain;
}

static void
io_v1(struct setter *s, const struct moat_resources *r)
{
	static const char *const files[] = {
		[MOAT_IO_READ_BPS] = "blkio.throttle.read_bps_device",
		[MOAT_IO_WRITE_BPS] = "blkio.throttle.write_bps_device",
		[MOAT_IO_READ_IOPS] = "blkio.throttle.read_iops_device",
		[MOAT_IO_WRITE_IOPS] = "blkio.throttle.write_iops_device",
		[MOAT_IO_WEIGHT] = "blkio.weight_device",
		[MOAT_IO_LEAF_WEIGHT] = "blkio.leaf_weight_device",
	};
	char text[96];

	put_n(s, "blkio", weight_file(s->g, "blkio.weight", "blkio.bfq.weight"), r->io_weight);
	put_n(s, "blkio", "blkio.leaf_weight", r->io_leaf_weight);
	for (size_t i = 0; i < r->nio; i++) {
		const char *file = files[r->io[i].what];

		if (r->io[i].what == MOAT_IO_WEIGHT)
			file = weight_file(s->g, file, "blkio.bfq.weight_device");
		snprintf(text, sizeof text, "%u:%u %llu", r->io[i].major, r->io[i].minor,
			(unsigned long long)r->io[i].value);
		put(s, "blkio", file, text);
	}
}

static void
devices_v1(struct setter *s, const struct moat_resources *r)
{
	char text[96], major[24], minor[24];

	for (size_t i = 0; i < r->ndevices; i++) {
		const struct moat_device_rule *d = &r->devices[i];

		snprintf(major, sizeof major, "%lld", (long long)d->major);
		snprintf(minor, sizeof minor, "%lld", (long long)d->minor);
		snprintf(text, sizeof text, "%c %s:%s %s", d->type, d->major < 0 ? "*" : major,
			d->minor < 0 ? "*" : minor, d->access);
		put(s, "devices", d->allow ? "devices.allow" : "devices.deny",
			d->type == 'a' ? "a" : text);
	}
}

static void
hugepages(struct setter *s, const struct moat_resources *r, const char *suffix)
{
	char file[64];

	for (size_t i = 0; i < r->nhugepages; i++) {
		snprintf(file, sizeof file, "hugetlb.%.32s.%s", r->hugepages[i].size, suffix);
		put_n(s, "hugetlb", file,
			r->hugepages[i].bytes > INT64_MAX ? -1 : (int64_t)r->hugepages[i].bytes);
	}
}

static void
rdma(struct setter *s, const struct moat_resources *r)
{
	char text[256];

	for (size_t i = 0; i < r->nrdma; i++) {
		const struct moat_rdma_limit *l = &r->rdma[i];
		char handles[24] = "max", objects[24] = "max";

		if (l->handles != MOAT_UNSET)
			snprintf(handles, sizeof handles, "%lld", (long long)l->handles);
		if (l->objects != MOAT_UNSET)
			snprintf(objects, sizeof objects, "%lld", (long long)l->objects);
		snprintf(text, sizeof text, "%.128s hca_handle=%s hca_object=%s", l->device,
			handles, objects);
		put(s, "rdma", "rdma.max", text);
	}
}

int
cgroup_set_v1(struct moat_cgroup *g, const struct moat_resources *r, struct moat_error *err)
{
	struct setter s = {.g = g, .err = err};
	char text[192];

	if (r->nunified)
		return error_set(err, -ENOTSUP,
			"linux.resources.unified: this host's cgroups are of version 1");
	s.r = check_before_update(&s, r, "memory.usage_in_bytes");
	memory_v1(&s, r);
	cpu_v1(&s, r);
	put_max(&s, "pids", "pids.max",
		r->pids_limit == 0 ? -1 : with_room(r->pids_limit, MOAT_CGROUP_PIDS_ROOM));
	io_v1(&s, r);
	put_n(&s, "net_cls", "net_cls.classid", r->net_class);
	for (size_t i = 0; i < r->nnet_priorities; i++) {
		snprintf(text, sizeof text, "%.128s %u", r->net_priorities[i].interface,
			r->net_priorities[i].priority);
		put(&s, "net_prio", "net_prio.ifpriomap", text);
	}
	hugepages(&s, r, "limit_in_bytes");
	rdma(&s, r);
	devices_v1(&s, r);
	return s.r;
}

/* --- version 2 --- */

/* Shares of 2..262144 as weights of 1..10000, on a line. */
static int64_t
weight_of_shares(int64_t shares)
{
	if (shares < 2)
		shares = 2;
	if (shares > 262144)
		shares = 262144;
	return 1 + (shares - 2) * 9999 / 262142;
}

static void
memory_v2(struct setter *s, const struct moat_resources *r)
{
	int64_t swap = r->memory_swap;

	/* There, swap is counted by itself. */
	if (swap >= 0 && r->memory_limit >= 0)
		swap -= r->memory_limit;
	else if (swap >= 0) {
		s->r = error_set(s->err, -EINVAL, "memory.swap needs memory.limit beside it");
		return;
	}
	if (swap < 0 && r->memory_swap >= 0) {
		s->r = error_set(s->err, -EINVAL, "memory.swap is below memory.limit");
		return;
	}
	if (r->memory_limit == -1 && swap == MOAT_UNSET)
		swap = -1;
	put_max(s, "memory", "memory.swap.max", swap);
	put_max(s, "memory", "memory.max", with_room(r->memory_limit, MOAT_CGROUP_MEMORY_ROOM));
	put_max(s, "memory", "memory.low", r->memory_reservation);
}

static void
cpu_v2(struct setter *s, const struct moat_resources *r)
{
	char text[64], quota[24] = "max", now[64];
	const struct hierarchy *h = cgroup_hierarchy(s->g, "cpu");
	int64_t period = r->cpu_period;

	if (r->cpu_idle != MOAT_UNSET)
		put_n(s, "cpu", "cpu.idle", r->cpu_idle);
	if (r->cpu_shares != MOAT_UNSET && r->cpu_shares != 0)
		put_n(s, "cpu", "cpu.weight", weight_of_shares(r->cpu_shares));
	if (r->cpu_quota != MOAT_UNSET || period != MOAT_UNSET) {
		if (r->cpu_quota > 0)
			snprintf(quota, sizeof quota, "%lld", (long long)r->cpu_quota);
		else if (r->cpu_quota == MOAT_UNSET && h &&
			 cgroup_read(h->dir, "cpu.max", now, sizeof now) == 0)
			snprintf(quota, sizeof quota, "%.*s", (int)strcspn(now, " "), now);
		snprintf(text, sizeof text, "%s %lld", quota,
			(long long)(period > 0 ? period : 100000));
		put(s, "cpu", "cpu.max", text);
	}
	put_n(s, "cpu", "cpu.max.burst", r->cpu_burst);
	if (r->cpus)
		put(s, "cpuset", "cpuset.cpus", r->cpus);
	if (r->mems)
		put(s, "cpuset", "cpuset.mems", r->mems);
}

static void
io_v2(struct setter *s, const struct moat_resources *r)
{
	static const char *const keys[] = {[MOAT_IO_READ_BPS] = "rbps",
		[MOAT_IO_WRITE_BPS] = "wbps",
		[MOAT_IO_READ_IOPS] = "riops",
		[MOAT_IO_WRITE_IOPS] = "wiops"};
	const struct hierarchy *h = cgroup_hierarchy(s->g, "io");
	char text[96], probe[512];
	bool bfq = h && cgroup_read(h->dir, "io.bfq.weight", probe, sizeof probe) == 0;

	/* 10..1000 is 1..10000 there, but for the scheduler that kept the old range. */
	if (r->io_weight != MOAT_UNSET && r->io_weight != 0)
		put_n(s, "io", bfq ? "io.bfq.weight" : "io.weight",
			bfq ? r->io_weight : 1 + (r->io_weight - 10) * 9999 / 990);
	for (size_t i = 0; i < r->nio; i++) {
		const struct moat_io_rule *rule = &r->io[i];

		if (rule->what >= MOAT_IO_WEIGHT) {
			snprintf(text, sizeof text, "%u:%u %llu", rule->major, rule->minor,
				(unsigned long long)rule->value);
			put(s, "io", "io.bfq.weight", text);
			continue;
		}
		snprintf(text, sizeof text, "%u:%u %s=%llu", rule->major, rule->minor,
			keys[rule->what], (unsigned long long)rule->value);
		put(s, "io", "io.max", text);
	}
}

int
cgroup_set_v2(struct moat_cgroup *g, const struct moat_resources *r, struct moat_error *err)
{
	static const char none[] =
		"%s: version 2 of cgroups, which this host has, does not know it";
	struct setter s = {.g = g, .err = err};

	if (r->memory_swappiness != MOAT_UNSET)
		return error_set(err, -ENOTSUP, none, "linux.resources.memory.swappiness");
	if (r->memory_kernel_tcp > 0)
		return error_set(err, -ENOTSUP, none, "linux.resources.memory.kernelTCP");
	if (r->memory_disable_oom_killer)
		return error_set(err, -ENOTSUP, none, "linux.resources.memory.disableOOMKiller");
	if (r->cpu_rt_runtime > 0 || r->cpu_rt_period > 0)
		return error_set(err, -ENOTSUP, none, "linux.resources.cpu.realtimeRuntime");
	if (r->io_leaf_weight > 0)
		return error_set(err, -ENOTSUP, none, "linux.resources.blockIO.leafWeight");
	if (r->net_class > 0 || r->nnet_priorities)
		return error_set(err, -ENOTSUP, none, "linux.resources.network");
	s.r = check_before_update(&s, r, "memory.current");
	memory_v2(&s, r);
	cpu_v2(&s, r);
	put_max(&s, "pids", "pids.max",
		r->pids_limit == 0 ? -1 : with_room(r->pids_limit, MOAT_CGROUP_PIDS_ROOM));
	io_v2(&s, r);
	hugepages(&s, r, "max");
	rdma(&s, r);
	for (size_t i = 0; i < r->nunified; i++) {
		if (strchr(r->unified[i].file, '/'))
			return error_set(err, -EINVAL,
				"linux.resources.unified: \"%s\" is not a file's name",
				r->unified[i].file);
		put(&s, "", r->unified[i].file, r->unified[i].value);
	}
	return s.r;
}
