/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lock.h"
#include "base/log.h"

void
mutex_init(struct mutex *m, enum lock_rank rank)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&m->m, &a);
	pthread_mutexattr_destroy(&a);
	m->rank = (uint8_t)rank;
}

void
mutex_destroy(struct mutex *m)
{
	pthread_mutex_destroy(&m->m);
}

#ifdef DEBUG_LOCKS
static const char *const rank_name[] = {
#define LOCK_RANK(name, what) #name,
#include "base/lockranks.def"
#undef LOCK_RANK
};
static __thread uint8_t held[32];
static __thread unsigned nheld;

static void
push_rank(struct mutex *m, int same_ok)
{
	for (unsigned i = 0; i < nheld; i++)
		if (held[i] > m->rank || (held[i] == m->rank && !same_ok))
			panic("lock order: %s taken while %s is held", rank_name[m->rank],
				rank_name[held[i]]);
	assert_that(nheld < sizeof held);
	held[nheld++] = m->rank;
}

void
mutex_lock(struct mutex *m)
{
	push_rank(m, 0);
	pthread_mutex_lock(&m->m);
}

void
mutex_lock_nested(struct mutex *m)
{
	push_rank(m, 1);
	pthread_mutex_lock(&m->m);
}

void
mutex_unlock(struct mutex *m)
{
	unsigned i = nheld;

	while (i > 0 && held[i - 1] != m->rank)
		i--;
	assert_that(i > 0);
	for (; i < nheld; i++)
		held[i - 1] = held[i];
	nheld--;
	pthread_mutex_unlock(&m->m);
}
#endif
