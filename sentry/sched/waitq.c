/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/sched/waitq.h"
#include "base/log.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdatomic.h>

void
waitq_init(struct waitq *q)
{
	waitq_init_rank(q, LR_WAITQ);
}

void
waitq_init_rank(struct waitq *q, enum lock_rank rank)
{
	mutex_init(&q->lock, rank);
	list_init(&q->waiters);
	atomic_store(&q->count, 0);
}

void
waitq_destroy(struct waitq *q)
{
	assert_that(list_empty(&q->waiters));
	mutex_destroy(&q->lock);
}

void
waitq_add(struct waitq *q, struct waiter *w)
{
	assert_that(!w->q);
	mutex_lock(&q->lock);
	w->q = q;
	if (w->exclusive)
		list_push_back(&q->waiters, &w->node);
	else
		list_push_front(&q->waiters, &w->node);
	/* The caller looks at the object's state next, not before we are counted: a full barrier,
	 * as in waitq_notify_n(). */
	atomic_fetch_add(&q->count, 1);
	mutex_unlock(&q->lock);
}

void
waitq_remove(struct waiter *w)
{
	struct waitq *q = w->q;

	if (!q)
		return;
	mutex_lock(&q->lock);
	list_del(&w->node);
	w->q = NULL;
	atomic_fetch_sub(&q->count, 1);
	mutex_unlock(&q->lock);
}

void
waitq_notify_n(struct waitq *q, uint32_t events, int nr_exclusive)
{
	struct waiter *w, *tmp;

	/* Not a load: what the caller changed must be seen by those who count themselves after
	 * this. */
	if (!atomic_fetch_add(&q->count, 0))
		return;
	if (q->lock.rank == LR_EPWAIT)
		mutex_lock_nested(&q->lock);
	else
		mutex_lock(&q->lock);
	list_for_each_entry_safe (w, tmp, &q->waiters, node) {
		if (!(w->mask & events))
			continue;
		if (w->fn(w, events) && w->exclusive && nr_exclusive > 0 && --nr_exclusive == 0)
			break;
	}
	mutex_unlock(&q->lock);
}

static bool
wake_fiber(struct waiter *w, uint32_t events)
{
	(void)events;
	fiber_wake(w->arg);
	return true;
}

void
waiter_init(struct waiter *w, bool (*fn)(struct waiter *, uint32_t), void *arg, uint32_t mask)
{
	*w = (struct waiter){.mask = mask, .fn = fn, .arg = arg};
	list_init(&w->node);
}

void
waiter_init_fiber(struct waiter *w, struct fiber *f, uint32_t mask)
{
	waiter_init(w, wake_fiber, f, mask);
}

struct sleeper {
	struct list node;
	struct fiber *fiber;
	bool granted;
};

void
sleeplock_init(struct sleeplock *l)
{
	mutex_init(&l->lock, LR_WAITQ);
	l->held = false;
	list_init(&l->waiters);
}

bool
sleeplock_trylock(struct sleeplock *l)
{
	bool got;

	mutex_lock(&l->lock);
	got = !l->held;
	l->held = true;
	mutex_unlock(&l->lock);
	return got;
}

void
sleeplock_lock(struct sleeplock *l)
{
	struct sleeper s = {.fiber = fiber_self()};

	mutex_lock(&l->lock);
	if (!l->held) {
		l->held = true;
		mutex_unlock(&l->lock);
		return;
	}
	list_push_back(&l->waiters, &s.node);
	for (;;) {
		bool granted;

		mutex_unlock(&l->lock);
		fiber_park();
		mutex_lock(&l->lock);
		granted = s.granted;
		if (granted)
			break;
	}
	mutex_unlock(&l->lock);
}

int
sleeplock_lock_killable(struct sleeplock *l)
{
	struct sleeper s = {.fiber = fiber_self()};
	bool killed = false;

	mutex_lock(&l->lock);
	if (!l->held) {
		l->held = true;
		mutex_unlock(&l->lock);
		return 0;
	}
	list_push_back(&l->waiters, &s.node);
	while (!s.granted && !killed) {
		mutex_unlock(&l->lock);
		killed = fiber_killed();
		if (!killed)
			fiber_park();
		mutex_lock(&l->lock);
	}
	/* what came meanwhile is taken */
	if (!s.granted)
		list_del(&s.node);
	mutex_unlock(&l->lock);
	return s.granted ? 0 : -EINTR;
}

/* The lock goes to the first who waits, without being free in between. */
void
sleeplock_unlock(struct sleeplock *l)
{
	struct list *n;
	struct fiber *f = NULL;

	mutex_lock(&l->lock);
	n = list_pop_front(&l->waiters);
	if (n) {
		struct sleeper *s = list_entry(n, struct sleeper, node);

		s->granted = true;
		f = s->fiber;
		fiber_wake(f);
	} else {
		l->held = false;
	}
	mutex_unlock(&l->lock);
}
