/* SPDX-License-Identifier: Apache-2.0 */
/* The timer heap: a binary heap of pointers, index 1 first, under one lock. */
#include "base/log.h"
#include "sentry/sched/internal.h"
#include <errno.h>
#include <sched.h>
#include <stdlib.h>

static struct mutex lock = MUTEX_INIT(TIMER);
static struct timer **heap; /* [1..len] */
static uint32_t len, cap;
static _Atomic int64_t next_ns = INT64_MAX;

int
timer_module_init(void)
{
	if (heap)
		return 0;
	cap = 64;
	heap = malloc(cap * sizeof *heap);
	return heap ? 0 : -ENOMEM;
}

static void
place(uint32_t i, struct timer *t)
{
	heap[i] = t;
	t->heap_index = i;
}

static void
sift_up(uint32_t i)
{
	struct timer *t = heap[i];

	while (i > 1 && heap[i / 2]->deadline_ns > t->deadline_ns) {
		place(i, heap[i / 2]);
		i /= 2;
	}
	place(i, t);
}

static void
sift_down(uint32_t i)
{
	struct timer *t = heap[i];

	for (;;) {
		uint32_t c = 2 * i;

		if (c > len)
			break;
		if (c < len && heap[c + 1]->deadline_ns < heap[c]->deadline_ns)
			c++;
		if (heap[c]->deadline_ns >= t->deadline_ns)
			break;
		place(i, heap[c]);
		i = c;
	}
	place(i, t);
}

static void
remove_at(uint32_t i)
{
	struct timer *last = heap[len--];

	heap[i]->heap_index = 0;
	if (i <= len) {
		place(i, last);
		sift_up(i);
		sift_down(last->heap_index);
	}
}

static void
update_next(void)
{
	atomic_store(&next_ns, len ? heap[1]->deadline_ns : INT64_MAX);
}

void
timer_init(struct timer *t, void (*fn)(struct timer *), void *arg)
{
	*t = (struct timer){.fn = fn, .arg = arg};
}

void
timer_arm(struct timer *t, int64_t deadline_ns)
{
	bool first;

	mutex_lock(&lock);
	if (t->heap_index)
		remove_at(t->heap_index);
	if (len + 1 == cap) {
		struct timer **bigger = realloc(heap, 2 * cap * sizeof *heap);

		if (!bigger)
			panic("out of memory for timers");
		heap = bigger;
		cap *= 2;
	}
	t->deadline_ns = deadline_ns;
	place(++len, t);
	sift_up(len);
	first = heap[1] == t;
	update_next();
	mutex_unlock(&lock);
	if (first)
		sched_poke();
}

bool
timer_cancel(struct timer *t)
{
	bool armed;

	mutex_lock(&lock);
	armed = t->heap_index != 0;
	if (armed)
		remove_at(t->heap_index);
	update_next();
	mutex_unlock(&lock);
	return armed;
}

bool
timer_cancel_sync(struct timer *t)
{
	bool armed = timer_cancel(t);

	for (;;) {
		bool running;

		mutex_lock(&lock);
		running = t->running;
		mutex_unlock(&lock);
		if (!running)
			return armed;
		sched_yield();
	}
}

int64_t
timer_next_ns(void)
{
	return atomic_load_explicit(&next_ns, memory_order_relaxed);
}

void
timer_run_due(int64_t now_ns)
{
	if (timer_next_ns() > now_ns)
		return;
	mutex_lock(&lock);
	while (len && heap[1]->deadline_ns <= now_ns) {
		struct timer *t = heap[1];

		remove_at(1);
		t->running++;
		mutex_unlock(&lock);
		t->fn(t);
		mutex_lock(&lock);
		t->running--;
	}
	update_next();
	mutex_unlock(&lock);
}
