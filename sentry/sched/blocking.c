/* SPDX-License-Identifier: Apache-2.0 */
/* A small pool of host threads for host calls that can block for long (fsync, a cold disk, a host
 * connect). */
#include "sentry/sched/internal.h"
#include <pthread.h>

#define POOL_THREADS 2

struct job {
	struct list node;
	int64_t (*fn)(void *arg);
	void *arg;
	int64_t result;
	_Atomic bool done;
	struct fiber *fiber;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static struct list jobs = LIST_INIT(jobs);

static void *
pool_thread(void *arg)
{
	(void)arg;
	for (;;) {
		struct list *n;
		struct job *j;
		struct fiber *f;

		pthread_mutex_lock(&lock);
		while (!(n = list_pop_front(&jobs)))
			pthread_cond_wait(&cond, &lock);
		pthread_mutex_unlock(&lock);
		j = list_entry(n, struct job, node);
		f = j->fiber;
		j->result = j->fn(j->arg);
		/* j is on the fiber's stack, and the fiber goes on only after it has had the lock.
		 */
		pthread_mutex_lock(&lock);
		atomic_store(&j->done, true);
		fiber_wake(f);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

int
sched_start_pool(void)
{
	pthread_attr_t attr;
	int err = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < POOL_THREADS && !err; i++) {
		pthread_t t;

		err = pthread_create(&t, &attr, pool_thread, NULL);
	}
	pthread_attr_destroy(&attr);
	return -err;
}

int64_t
sched_blocking(int64_t (*fn)(void *arg), void *arg)
{
	struct job j = {.fn = fn, .arg = arg, .fiber = fiber_self()};

	pthread_mutex_lock(&lock);
	list_push_back(&jobs, &j.node);
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
	while (!atomic_load(&j.done))
		fiber_park();
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
	return j.result;
}
