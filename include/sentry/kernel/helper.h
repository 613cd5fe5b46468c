/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helpers: fibers that carry out a task's file work while it does something else. To handlers one
 * looks like a thread of the task's process; nobody else sees it, and it runs no guest code.
 */
#ifndef SENTRY_KERNEL_HELPER_H
#define SENTRY_KERNEL_HELPER_H

#include "sentry/kernel/task.h"

/* One with all that t, the caller, has now. It reaches the memory through t, as long as t lives in
 * it. NULL: out of memory. */
struct task *helper_new(struct task *t);
/* Let it run fn(arg), which ends with helper_end. -ENOMEM: it does not. */
int helper_start(struct task *h, void (*fn)(void *arg), void *arg);
/* In its own fiber, first of all. */
void helper_enter(struct task *h);
/* Give everything back; helpers that were not started too. */
void helper_free(struct task *h);
/* What it waits in comes back with -ERESTARTSYS, now and from now on. Any thread; the caller has a
 * reference, or knows that it has not ended. */
void helper_interrupt(struct task *h);

#endif
