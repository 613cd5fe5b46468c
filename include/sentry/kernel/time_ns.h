/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time namespaces (time_namespaces(7)): what is added to the clocks that count from the boot. NULL
 * stands for the first, which adds nothing.
 *
 * The clocks of the vDSO are the host's, so a program that is executed in a namespace that adds
 * something is told of no vDSO. What only forks into one keeps its vDSO: its system calls tell the
 * namespace's time, the vDSO's functions the sandbox's.
 */
#ifndef SENTRY_KERNEL_TIME_NS_H
#define SENTRY_KERNEL_TIME_NS_H

#include "sentry/kernel/task.h"

struct time_ns;

/* With the offsets of `from`, to be changed until a process is in it. NULL: no memory. */
struct time_ns *time_ns_new(struct time_ns *from, struct user_ns *owner, uint32_t counted);
struct time_ns *time_ns_get(struct time_ns *ns);
void time_ns_put(struct time_ns *ns);
uint64_t time_ns_id(const struct time_ns *ns);		 /* not of the first */
struct user_ns *time_ns_owner(const struct time_ns *ns); /* borrowed */

/* t, the caller or one that does not run yet, is from now on where its children go; the offsets
 * there stay as they are. The caller publishes t's identity after it. */
void time_ns_arrive(struct task *t);
/* Do the clocks show other times there than in the first? */
bool time_ns_shifts(struct time_ns *ns);
/* What a clock (LX_CLOCK_*) shows t more than the sandbox's, ns; 0 for NULL. */
int64_t time_ns_offset(const struct task *t, int32_t clock);

struct time_ns_offsets {
	int64_t monotonic_ns, boottime_ns;
};

/* /proc/PID/timens_offsets, and what was written there into a file that `opener` opened; text ends
 * with NUL. How much was taken, -EINVAL, -ERANGE, -EPERM, -EACCES (there is a process in it). */
struct time_ns_offsets time_ns_offsets(struct time_ns *ns);
ssize_t time_ns_write(struct time_ns *ns, const struct cred *opener, char *text, size_t len);

#endif
