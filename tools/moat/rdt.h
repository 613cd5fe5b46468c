/* SPDX-License-Identifier: Apache-2.0 */
/* linux.intelRdt: shares of the processors' caches and memory bandwidth, by the groups of the
 * host's resctrl file system (Linux, Documentation/filesystems/resctrl.rst). */
#ifndef TOOLS_MOAT_RDT_H
#define TOOLS_MOAT_RDT_H

#include "moat/oci.h"
#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

/* The group of a container. */
struct rdt {
	const struct moat_intel_rdt *want;
	char *top, *group, *monitor; /* folders; monitor NULL: it has none of its own */
	bool own;		     /* it is nobody else's: to be removed with the container */
	bool made, made_monitor;
};

/* Where resctrl is mounted (malloc'd), or NULL. */
char *rdt_top(void);
/* Which one it is to be, below top. want, which has to stay, and the host are looked at: -errno if
 * it cannot be had. Nothing is made. */
int rdt_name(struct rdt *r, const char *top, const struct moat_intel_rdt *want, const char *id,
	struct moat_error *err);
int rdt_make(struct rdt *r, struct moat_error *err);
/* A process that has one thread, before it makes others, which are where it is. */
int rdt_enter(const struct rdt *r, pid_t pid, struct moat_error *err);
/* What was made goes again. */
void rdt_undo(const struct rdt *r);
void rdt_release(struct rdt *r);

/* Other shares for a group; NULL or "": as they are. */
int rdt_set(const char *top, const char *group, const char *l3_cache, const char *mem_bw,
	struct moat_error *err);
/* What there is and what is used, as runc's events have it. monitor: where it is counted. */
json_t *rdt_stats(const char *top, const char *group, const char *monitor);

#endif
