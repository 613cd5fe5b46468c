/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wait queues. Objects do not sleep: they answer "would block", and notify their queue when that
 * may have changed. Whoever is interested has a waiter in the queue, with a callback that runs
 * under the queue's lock (rank WAITQ): short, and calling nobody but fiber_wake or its own lock of
 * a later rank.
 */
#ifndef SENTRY_SCHED_WAITQ_H
#define SENTRY_SCHED_WAITQ_H

#include "base/list.h"
#include "base/lock.h"
#include <stdint.h>

struct fiber;

struct waitq {
	struct mutex lock;
	struct list waiters;
	_Atomic uint32_t count; /* waiters in the list; lets notify skip the lock */
};

struct waiter {
	struct list node;
	struct waitq *q; /* NULL: in no queue */
	uint32_t mask;	 /* events (LX_POLL*) that it wants; ~0: all */
	bool exclusive;	 /* notify_one stops after one of these whose fn returned true */
	bool (*fn)(struct waiter *w, uint32_t events); /* true: it took the event */
	void *arg;
};

void waitq_init(struct waitq *q);
/* With another rank than WAITQ: for queues that are notified from a waiter's callback (EPWAIT). */
void waitq_init_rank(struct waitq *q, enum lock_rank rank);
void waitq_destroy(struct waitq *q); /* asserts that nobody waits */
void waitq_add(struct waitq *q, struct waiter *w);
void waitq_remove(
	struct waiter *w); /* after it, fn is not running and will not run; harmless twice */

/* Tell all waiters whose mask meets events; of the exclusive ones, up to nr_exclusive (-1: all).
 * Any thread. */
void waitq_notify_n(struct waitq *q, uint32_t events, int nr_exclusive);

static inline void
waitq_notify(struct waitq *q, uint32_t events)
{
	waitq_notify_n(q, events, -1);
}

/* A waiter that wakes a fiber. */
void waiter_init_fiber(struct waiter *w, struct fiber *f, uint32_t mask);
void waiter_init(struct waiter *w, bool (*fn)(struct waiter *, uint32_t), void *arg, uint32_t mask);

/* poll(2) registration: a file calls poll_wait for each queue whose notification can change its
 * readiness. pt may be NULL (only the present state is asked for). */
struct poll_table {
	void (*add)(struct poll_table *pt, struct waitq *q);
};

static inline void
poll_wait(struct poll_table *pt, struct waitq *q)
{
	if (pt)
		pt->add(pt, q);
}

/* A lock that may be held while parking; fair enough, not recursive. */
struct sleeplock {
	struct mutex lock; /* rank WAITQ; guards the two below */
	bool held;
	struct list waiters;
};

void sleeplock_init(struct sleeplock *l);
void sleeplock_lock(struct sleeplock *l);
int sleeplock_lock_killable(struct sleeplock *l); /* -EINTR: the fiber is killed (fiber_killed) */
bool sleeplock_trylock(struct sleeplock *l);
void sleeplock_unlock(struct sleeplock *l);

#endif
