/* SPDX-License-Identifier: Apache-2.0 */
/* A fiber that was woken sees what was stored before: also when an older wake has not been used up
 * yet, and the waker has nothing to do but see that. The waker uses a plain store, as those do that
 * hand over an answer. */
#include "sentry/sched/internal.h"
#include <stdatomic.h>
#include <stdio.h>

#define ROUNDS 100000
#define LINES  8

static struct fiber *sleeper;
/* Written by both: the stores of who wakes have to fetch each line first. */
static struct {
	_Alignas(64) _Atomic uint32_t v;
} answer[LINES];
static _Alignas(64) _Atomic uint32_t done, taken;
static unsigned lost;

static void
sleep_and_take(void *arg)
{
	(void)arg;
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		while (atomic_load_explicit(&done, memory_order_acquire) != i)
			fiber_park();
		for (int k = 0; k < LINES; k++)
			atomic_store_explicit(&answer[k].v, 0, memory_order_relaxed);
		atomic_store(&taken, i);
	}
}

static void
answer_and_wake(void *arg)
{
	(void)arg;
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		fiber_wake(sleeper); /* the older one */
		for (uint32_t n = i % 64; n; n--)
			__builtin_ia32_pause();
		for (int k = 0; k < LINES; k++)
			atomic_store_explicit(&answer[k].v, i, memory_order_relaxed);
		atomic_store_explicit(&done, i, memory_order_release);
		fiber_wake(sleeper);
		/* From here on it can park only when it has taken i. */
		while (atomic_load(&taken) != i) {
			bool parked = atomic_load(&sleeper->state) == FIBER_PARKED;

			if (parked && atomic_load(&taken) != i) {
				lost++;
				fiber_wake(sleeper);
			}
			__builtin_ia32_pause();
		}
	}
	sched_stop();
}

int
main(void)
{
	struct sched_config cfg = {.workers = 2};

	if (sched_init(&cfg) || fiber_spawn(sleep_and_take, NULL, &sleeper) ||
		fiber_spawn(answer_and_wake, NULL, NULL) || sched_start()) {
		printf("FAILED: no scheduler\n");
		return 1;
	}
	sched_run();
	if (lost)
		printf("FAILED: %u of %u were woken and did not see why\n", lost, ROUNDS);
	return lost != 0;
}
