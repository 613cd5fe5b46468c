/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_SCHED_INTERNAL_H
#define SENTRY_SCHED_INTERNAL_H

#include "base/list.h"
#include "sentry/sched/fiber.h"
#include "sentry/sched/sched.h"
#include "sentry/sched/timer.h"
#include <stdatomic.h>

enum fiber_state {
	FIBER_READY,   /* in the run queue, or about to be put there by who changed the state */
	FIBER_RUNNING, /* on a worker */
	FIBER_WOKEN,   /* on a worker, and woken meanwhile: its next park returns at once */
	FIBER_PARKED,
	FIBER_DONE,
};

/* A fiber's stack, above its guard. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_BYTES (512UL << 10)
#else
#define STACK_BYTES (64UL << 10)
#endif
#define GUARD_BYTES 4096UL

struct fiber {
	void *sp; /* saved stack pointer while it does not run */
	_Atomic int state;
	struct list run; /* run queue, under its lock */
	void *stack;	 /* mapping: guard page, then the stack */
	void (*fn)(void *arg);
	void *arg;
	void *local;
	struct timer sleep;
	_Atomic bool timed_out;
#ifdef __SANITIZE_THREAD__
	void *tsan;
#endif
};

struct worker {
	struct fiber *current;
	struct fiber *previous; /* whom the switch left; to be finished on the new stack */
	void *sp;		/* of the worker's own stack */
	unsigned seed;
#ifdef __SANITIZE_THREAD__
	void *tsan;
#endif
	void *fake_stack;
	const void *stack_bottom;
	size_t stack_size;
};

struct worker *worker_self(void);
void worker_switch_to_scheduler(void);
void runq_push(struct fiber *f);
void fiber_free(struct fiber *f);
void timer_run_due(int64_t now_ns);
int64_t timer_next_ns(void); /* INT64_MAX: none */
int timer_module_init(void);
int sched_start_pool(void);

/* watch.c: descriptors in epoll_fd. Events of a watch that has ended are dropped. */
#define WATCH_POKE     UINT64_MAX
#define WATCH_DOORBELL (UINT64_MAX - 1)
int watch_add(int epoll_fd, struct hostfd_watch *w, uint32_t events);
void watch_remove(int epoll_fd, struct hostfd_watch *w);
void watch_tell(uint64_t id, uint32_t events); /* id: not one of the two */

void fiber_switch_asm(void **save_sp, void *load_sp);

#endif
