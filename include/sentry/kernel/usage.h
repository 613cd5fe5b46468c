/* SPDX-License-Identifier: Apache-2.0 */
/* What getrusage(2) tells beside times, as the host counts it. */
#ifndef SENTRY_KERNEL_USAGE_H
#define SENTRY_KERNEL_USAGE_H

#include <stdint.h>

struct task;
struct tgroup;

/* Unsigned: the guest can make the host's numbers anything. */
struct usage {
	uint64_t maxrss_kb, minflt, majflt;
};

void usage_add(struct usage *sum, const struct usage *u);
/* Of t's process, t being the caller: now. Parks. */
void task_usage(struct task *t, struct usage *ret);
void task_own_usage(struct task *t, struct usage *ret); /* of the thread alone */
/* As it was last seen. Under tasklist_lock. */
void tgroup_usage_locked(const struct tgroup *g, struct usage *ret);

#endif
