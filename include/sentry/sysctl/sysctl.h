/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of /proc/sys that the whole sandbox has in common (sysctl.def). Written only through
 * /proc/sys (sentry/fs/proc/sysctl_value.c), by who has CAP_SYS_ADMIN in the first user namespace;
 * read without a lock. Linux counterpart: the variables of kernel/sysctl.c and its like.
 */
#ifndef SENTRY_SYSCTL_SYSCTL_H
#define SENTRY_SYSCTL_SYSCTL_H

#include <stdatomic.h>
#include <stdint.h>

enum sysctl_kind {
	SYSCTL_KIND_INT,
	SYSCTL_KIND_UINT,
	SYSCTL_KIND_ULONG,
	SYSCTL_KIND_SINK,
};

/* The first slot of each. */
enum sysctl {
#define SYSCTL_ALL
#define SYSCTL_TEXT(...)
#define SYSCTL_CONST(...)
#define SYSCTL_SLOT(which, name, mode, kind, low, high, n, ...)                                    \
	SYSCTL_##which, SYSCTL_##which##_LAST = SYSCTL_##which + (n)-1,
#define SYSCTL_VALUE(...) SYSCTL_SLOT(__VA_ARGS__)
#include "sentry/sysctl/sysctl.def"
#undef SYSCTL_SLOT
#undef SYSCTL_VALUE
#undef SYSCTL_TEXT
#undef SYSCTL_CONST
#undef SYSCTL_ALL
	SYSCTL_SLOTS
};

extern _Atomic int64_t sysctl_values[SYSCTL_SLOTS];

static inline int64_t
sysctl_get(enum sysctl which)
{
	return atomic_load_explicit(&sysctl_values[which], memory_order_relaxed);
}

static inline void
sysctl_set(enum sysctl which, int64_t v)
{
	atomic_store_explicit(&sysctl_values[which], v, memory_order_relaxed);
}

/* The most that inotify has for a user, whatever is written. */
#define INOTIFY_MOST_INSTANCES 128
#define INOTIFY_MOST_WATCHES   65536

/* Defaults that depend on the memory. Before there are tasks. */
void sysctl_init(uint64_t memory_bytes);

#endif
