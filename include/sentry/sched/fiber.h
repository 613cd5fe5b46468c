/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers: the threads of control of the sentry. A guest thread is one; so is each kernel helper.
 * Workers (host threads) run them. A fiber gives up its worker only in fiber_park and what calls
 * it, and may go on in another worker: nothing thread-local is held across a park.
 */
#ifndef SENTRY_SCHED_FIBER_H
#define SENTRY_SCHED_FIBER_H

#include <stdbool.h>
#include <stdint.h>

struct fiber;

/* Make a fiber and let it run. Its stack is freed when fn returns. -ENOMEM. Any thread.
 * *ret is set, by an atomic store, before it can run. */
int fiber_spawn(void (*fn)(void *arg), void *arg, struct fiber **ret);

/* End the calling fiber, as if its fn returned. */
_Noreturn void fiber_exit(void);

struct fiber *fiber_self(void); /* NULL outside of one */

/* Sleep until somebody wakes this fiber. A wake that came since the last park makes it return at
 * once, so: register, check the condition, park. Returns may be spurious; callers check again. */
void fiber_park(void);

/* As fiber_park, but no later than deadline_ns on the host's CLOCK_MONOTONIC (INT64_MAX: never).
 * True: woken; false: the time is up. */
bool fiber_park_until(int64_t deadline_ns);

/* Make a parked fiber run, or its next park return at once. Any thread. */
void fiber_wake(struct fiber *f);

void fiber_yield(void);

/* A place for the kernel's own per-fiber pointer (the current task). */
void *fiber_local(void);
void fiber_set_local(void *p);

/* Is what the calling fiber does of no use any longer, so that it should not wait for what may
 * never come? fn, set by the kernel at start, says so of its pointer. A fiber without one is never
 * killed. Who kills wakes it. */
bool fiber_killed(void);
void fiber_set_killed(bool (*fn)(void *local));

int64_t sched_now_ns(void); /* host CLOCK_MONOTONIC */

#endif
