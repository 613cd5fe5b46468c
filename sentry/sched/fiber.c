/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fibers: making, parking, waking, ending.
 *
 * State machine (fiber->state):
 *
 *        spawn            picked by a worker
 *     READY ------------------------------> RUNNING --------------------> DONE
 *       ^                                   |     ^      fn returned
 *       |  wake                        park |     | a wake came first
 *       +---------- PARKED <----------------+     |
 *                     wake while RUNNING -> WOKEN-+
 *
 * A fiber becomes PARKED only after its registers are saved: the worker does that, on its own
 * stack.
 */
#include "base/ref.h"
#include "sentry/sched/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#define STACKS_CACHED 32

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

void fiber_entry_asm(void);

static struct mutex stacks_lock = MUTEX_INIT(LEAF);
static void *stacks[STACKS_CACHED];
static unsigned nr_stacks;

static void *
stack_alloc(void)
{
	void *p = NULL;

	mutex_lock(&stacks_lock);
	if (nr_stacks)
		p = stacks[--nr_stacks];
	mutex_unlock(&stacks_lock);
	if (p)
		return p;
	p = mmap(NULL, STACK_BYTES + GUARD_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (mprotect(p, GUARD_BYTES, PROT_NONE)) {
		munmap(p, STACK_BYTES + GUARD_BYTES);
		return NULL;
	}
	return p;
}

static void
stack_free(void *p)
{
#ifdef __SANITIZE_ADDRESS__
	/* Frames that were left without returning are still marked. */
	__asan_unpoison_memory_region((char *)p + GUARD_BYTES, STACK_BYTES);
#endif
	mutex_lock(&stacks_lock);
	if (nr_stacks < STACKS_CACHED) {
		stacks[nr_stacks++] = p;
		p = NULL;
	}
	mutex_unlock(&stacks_lock);
	if (p)
		munmap(p, STACK_BYTES + GUARD_BYTES);
}

/* noinline: the compiler must not keep the address of a thread-local across a switch. */
__attribute__((noinline)) struct fiber *
fiber_self(void)
{
	struct worker *w = worker_self();

	return w ? w->current : NULL;
}

void *
fiber_local(void)
{
	struct fiber *f = fiber_self();

	return f ? f->local : NULL;
}

void
fiber_set_local(void *p)
{
	fiber_self()->local = p;
}

static bool (*killed)(void *local);

void
fiber_set_killed(bool (*fn)(void *local))
{
	killed = fn;
}

bool
fiber_killed(void)
{
	void *local = fiber_local();

	return local && killed && killed(local);
}

static void
fiber_main(void *arg)
{
	struct fiber *f = arg;

#ifdef __SANITIZE_ADDRESS__
	struct worker *w = worker_self();

	__sanitizer_finish_switch_fiber(NULL, &w->stack_bottom, &w->stack_size);
#endif
	f->fn(f->arg);
	fiber_exit();
}

void
fiber_exit(void)
{
	atomic_store(&fiber_self()->state, FIBER_DONE);
	worker_switch_to_scheduler();
	panic("a fiber that was done ran on");
}

static void
sleep_over(struct timer *t)
{
	struct fiber *f = t->arg;

	atomic_store(&f->timed_out, true);
	fiber_wake(f);
}

int
fiber_spawn(void (*fn)(void *arg), void *arg, struct fiber **ret)
{
	struct fiber *f = calloc(1, sizeof *f);
	uint64_t *sp;

	if (!f)
		return -ENOMEM;
	f->stack = stack_alloc();
	if (!f->stack) {
		free(f);
		return -ENOMEM;
	}
	LIVE_INC(FIBER);
	f->fn = fn;
	f->arg = arg;
	list_init(&f->run);
	timer_init(&f->sleep, sleep_over, f);
	atomic_store(&f->state, FIBER_READY);

	/* The frame that fiber_switch_asm pops: mxcsr and x87 word, r15 r14 r13 r12 rbx rbp, return
	 * address; then the stack pointer is 16-byte aligned at the call in fiber_entry_asm. */
	sp = (uint64_t *)((char *)f->stack + GUARD_BYTES + STACK_BYTES);
	*--sp = 0;
	*--sp = 0;
	*--sp = (uint64_t)(uintptr_t)fiber_entry_asm;
	*--sp = 0;
	*--sp = 0;
	*--sp = (uint64_t)(uintptr_t)fiber_main;
	*--sp = (uint64_t)(uintptr_t)f;
	*--sp = 0;
	*--sp = 0;
	*--sp = 0x1f80ULL | (0x37fULL << 32);
	f->sp = sp;
#ifdef __SANITIZE_THREAD__
	f->tsan = __tsan_create_fiber(0);
#endif
	if (ret)
		__atomic_store_n(ret, f, __ATOMIC_SEQ_CST);
	runq_push(f);
	return 0;
}

void
fiber_free(struct fiber *f)
{
	timer_cancel_sync(&f->sleep);
#ifdef __SANITIZE_THREAD__
	__tsan_destroy_fiber(f->tsan);
#endif
	stack_free(f->stack);
	free(f);
	LIVE_DEC(FIBER);
}

void
fiber_park(void)
{
	struct fiber *f = fiber_self();
	int woken = FIBER_WOKEN;

	if (atomic_compare_exchange_strong(&f->state, &woken, FIBER_RUNNING))
		return;
	worker_switch_to_scheduler();
}

bool
fiber_park_until(int64_t deadline_ns)
{
	struct fiber *f = fiber_self();

	if (deadline_ns == INT64_MAX) {
		fiber_park();
		return true;
	}
	atomic_store(&f->timed_out, false);
	timer_arm(&f->sleep, deadline_ns);
	fiber_park();
	if (!timer_cancel(&f->sleep))
		timer_cancel_sync(&f->sleep);
	return !atomic_load(&f->timed_out);
}

void
fiber_wake(struct fiber *f)
{
	/* Not a load: it could come before the caller's stores, which a fiber that is READY or
	 * WOKEN has to see, as nobody wakes it again. */
	int s = atomic_fetch_add(&f->state, 0);

	for (;;) {
		if (s == FIBER_PARKED) {
			if (atomic_compare_exchange_weak(&f->state, &s, FIBER_READY)) {
				runq_push(f);
				return;
			}
		} else if (s == FIBER_RUNNING) {
			if (atomic_compare_exchange_weak(&f->state, &s, FIBER_WOKEN))
				return;
		} else {
			return;
		}
	}
}

void
fiber_yield(void)
{
	fiber_wake(fiber_self());
	worker_switch_to_scheduler();
}

int64_t
sched_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}
