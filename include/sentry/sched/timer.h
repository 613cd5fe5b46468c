/* SPDX-License-Identifier: Apache-2.0 */
/* One-shot timers on the host's CLOCK_MONOTONIC, kept in a heap; callbacks run in a worker, outside
 * of fibers. */
#ifndef SENTRY_SCHED_TIMER_H
#define SENTRY_SCHED_TIMER_H

#include <stdbool.h>
#include <stdint.h>

struct timer {
	int64_t deadline_ns;
	void (*fn)(struct timer *t); /* no lock is held; may arm t again; must not park */
	void *arg;
	uint32_t heap_index; /* 0: not armed */
	uint32_t running;    /* calls of fn: armed by one, the next may begin before that ends */
};

void timer_init(struct timer *t, void (*fn)(struct timer *), void *arg);
void timer_arm(struct timer *t, int64_t deadline_ns); /* moves it if it is armed */
/* Disarm. True if it was armed. After timer_cancel_sync fn is not running either (never call it
 * from fn). */
bool timer_cancel(struct timer *t);
bool timer_cancel_sync(struct timer *t);

#endif
