/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of futexes is the sentry's: priority inheritance, and what a task that ends leaves behind.
 * All else is the host's, on the guest's own memory (platform).
 */
#ifndef SENTRY_KERNEL_FUTEX_H
#define SENTRY_KERNEL_FUTEX_H

#include "sentry/kernel/task.h"

/* A futex word as futex(2) names it. */
struct futex_at {
	struct uaddr addr;
	bool is_private;
};

/* FUTEX_LOCK_PI, and with `try` FUTEX_TRYLOCK_PI. deadline_ns: host CLOCK_MONOTONIC, INT64_MAX:
 * none. Parks. */
int64_t futex_pi_lock(struct task *t, struct futex_at at, int64_t deadline_ns, bool try);
int64_t futex_pi_unlock(struct task *t, struct futex_at at);
/* Sleep on `at` if it is v, until FUTEX_CMP_REQUEUE_PI has made it the owner of `lock`. */
int64_t futex_pi_wait_requeue(
	struct task *t, struct futex_at at, uint32_t v, int64_t deadline_ns, struct futex_at lock);
int64_t futex_pi_requeue(struct task *t, struct futex_at at, uint32_t v, int32_t nr_wake,
	int32_t nr_requeue, struct futex_at lock);
/* What t owns goes to who waits for it. ends: it will own nothing more. */
void futex_pi_leave(struct task *t, bool ends);
/* The caller ends, or leaves its memory (execve): robust lists, then all that it owned. */
void futex_exit(struct task *t, bool ends);

#endif
