/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups of the host, version 1 (each controller where it is mounted) and version 2. A
 * sandbox's processes are put into one before they start; its limits, its use of the host and its
 * freezer are there.
 *
 * Functions return 0 or a negative errno; struct moat_error then names the file that failed. One
 * cgroup by one thread at a time.
 */
#ifndef MOAT_CGROUP_H
#define MOAT_CGROUP_H

#include "moat/moat.h"
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct moat_cgroup;

/* What a limit gets on top in the host's files, for the sandbox's own processes. */
#define MOAT_CGROUP_MEMORY_ROOM (8 << 20) /* bytes: sentry and gofer */
#define MOAT_CGROUP_PIDS_ROOM	128	  /* threads of sentry, gofer and relays */

#define MOAT_UNSET INT64_MIN /* of a limit: leave it as it is */

enum moat_io_limit {
	MOAT_IO_READ_BPS,
	MOAT_IO_WRITE_BPS,
	MOAT_IO_READ_IOPS,
	MOAT_IO_WRITE_IOPS,
	MOAT_IO_WEIGHT,
	MOAT_IO_LEAF_WEIGHT,
};

struct moat_io_rule {
	enum moat_io_limit what;
	uint32_t major, minor;
	uint64_t value; /* bytes or operations a second; a weight between 10 and 1000 */
};

struct moat_hugepage_limit {
	const char *size; /* as the host names its files: "2MB" */
	uint64_t bytes;
};

struct moat_net_priority {
	const char *interface;
	uint32_t priority;
};

/* Version 1 only: an open of a device by the sandbox's own processes. */
struct moat_device_rule {
	bool allow;
	char type;	      /* 'a', 'b' or 'c' */
	int64_t major, minor; /* -1: all */
	char access[4];	      /* of "rwm" */
};

struct moat_rdma_limit {
	const char *device;
	int64_t handles, objects; /* MOAT_UNSET: no limit */
};

/* A file of version 2 and what is written to it. */
struct moat_unified {
	const char *file, *value;
};

/* The limits of the OCI runtime specification (linux.resources), in its units; -1: no limit. */
struct moat_resources {
	int64_t memory_limit, memory_reservation, memory_swap; /* bytes; swap: memory and swap */
	int64_t memory_kernel, memory_kernel_tcp;	       /* bytes; version 1 */
	int64_t memory_swappiness;			       /* 0..100; version 1 */
	bool memory_disable_oom_killer;			       /* version 1 */
	bool memory_check_before_update;
	int64_t cpu_shares;
	int64_t cpu_quota, cpu_period, cpu_burst; /* microseconds */
	int64_t cpu_rt_runtime, cpu_rt_period;	  /* microseconds; version 1 */
	int64_t cpu_idle;			  /* 0 or 1 */
	const char *cpus, *mems;		  /* lists, "0-1,4"; NULL: leave */
	int64_t pids_limit;			  /* of guest tasks */
	int64_t io_weight, io_leaf_weight;	  /* 10..1000 */
	int64_t net_class;			  /* version 1 */
	const struct moat_io_rule *io;
	size_t nio;
	const struct moat_hugepage_limit *hugepages;
	size_t nhugepages;
	const struct moat_net_priority *net_priorities;
	size_t nnet_priorities;
	const struct moat_device_rule *devices;
	size_t ndevices;
	const struct moat_rdma_limit *rdma;
	size_t nrdma;
	const struct moat_unified *unified;
	size_t nunified;
};

/* Nothing is set. */
MOAT_API void moat_resources_init(struct moat_resources *r);

/*
 * The cgroup of that path, made if it is missing (with its parents). An absolute path starts at the
 * root of each hierarchy, a relative one at the caller's own cgroup. Hierarchies that cannot be
 * written (without root) are left out; -EACCES if that leaves none. -ENOENT: no cgroups here.
 */
MOAT_API int moat_cgroup_create(const char *path, struct moat_cgroup **ret, struct moat_error *err);
/* The same, but what does not exist stays so; -ENOENT if nothing does. */
MOAT_API int moat_cgroup_open(const char *path, struct moat_cgroup **ret, struct moat_error *err);
MOAT_API void moat_cgroup_free(struct moat_cgroup *g); /* the host's group stays; NULL is fine */

/*
 * Set limits. A limit whose controller is missing on this host is an error; except what engines
 * always ask for and no kernel has any more (kernel memory). The host's files get what was asked
 * for, and in memory.limit and pids.limit some room for the sandbox's own processes on top.
 */
MOAT_API int moat_cgroup_set(
	struct moat_cgroup *g, const struct moat_resources *r, struct moat_error *err);

/* Move a process, with all its threads. */
MOAT_API int moat_cgroup_enter(struct moat_cgroup *g, pid_t pid, struct moat_error *err);

/* Stop or go on with all processes in it; returns when they are. -ENOTSUP: no freezer. */
MOAT_API int moat_cgroup_freeze(struct moat_cgroup *g, bool frozen, struct moat_error *err);
MOAT_API bool moat_cgroup_is_frozen(const struct moat_cgroup *g);

/* Processes in it and in groups below: up to cap of them; *ret_n is how many there are. */
MOAT_API int moat_cgroup_processes(
	const struct moat_cgroup *g, pid_t *pids, size_t cap, size_t *ret_n);

/* Remove it with all groups below. Waits a moment (2 s) for processes that are ending; -EBUSY if
 * some stay. */
MOAT_API int moat_cgroup_destroy(struct moat_cgroup *g, struct moat_error *err);

/* --- use of the host's resources --- */

struct moat_memory_use {
	uint64_t usage, max, limit, failcnt; /* bytes, and how often the limit was met */
};

struct moat_io_use {
	uint32_t major, minor;
	const char *op; /* "Read", "Write", "Sync", ... */
	uint64_t value;
};

struct moat_raw_use {
	char name[48];
	uint64_t value;
};

struct moat_hugepage_use {
	char size[16];
	uint64_t usage, max, failcnt;
};

#define MOAT_CPUS_MAX 1024

struct moat_usage {
	uint64_t cpu_total_ns, cpu_user_ns, cpu_kernel_ns;
	uint64_t cpu_percpu_ns[MOAT_CPUS_MAX];
	size_t ncpus; /* 0: not known */
	uint64_t throttle_periods, throttled_periods, throttled_ns;
	uint64_t cache;
	struct moat_memory_use memory, swap, kernel, kernel_tcp;
	struct moat_raw_use *raw; /* memory.stat */
	size_t nraw;
	uint64_t pids, pids_limit; /* limit 0: none */
	struct moat_io_use *io_bytes, *io_ops;
	size_t nio_bytes, nio_ops;
	struct moat_hugepage_use *hugepages;
	size_t nhugepages;
	uint64_t oom_kills;
};

/* What is not known stays 0. Free with moat_usage_free. */
MOAT_API int moat_cgroup_usage(
	const struct moat_cgroup *g, struct moat_usage *ret, struct moat_error *err);
MOAT_API void moat_usage_free(struct moat_usage *u);

/* A descriptor that becomes readable (POLLIN or POLLPRI, as *ret_events says) when a process in it
 * was killed because memory ran out; read it, or seek to its start and read, and look at oom_kills.
 * -errno. */
MOAT_API int moat_cgroup_oom_fd(const struct moat_cgroup *g, short *ret_events);

/* Where the group is in one controller's hierarchy ("memory", "cpu"; "" of version 2), or NULL. */
MOAT_API const char *moat_cgroup_dir(const struct moat_cgroup *g, const char *controller);

#ifdef __cplusplus
}
#endif
#endif
