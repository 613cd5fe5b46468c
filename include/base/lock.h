/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks that are never held while a fiber parks. Each has a rank from base/lockranks.def; a build
 * with -DDEBUG_LOCKS checks on every acquire that ranks only rise (sentry/README.md has the order
 * and what each guards). LOCK_SAME_OK locks of one rank may nest when the caller orders them by
 * address.
 */
#ifndef BASE_LOCK_H
#define BASE_LOCK_H

#include <pthread.h>
#include <stdint.h>

enum lock_rank {
#define LOCK_RANK(name, what) LR_##name,
#include "base/lockranks.def"
#undef LOCK_RANK
	LR_COUNT
};

struct mutex {
	pthread_mutex_t m;
	uint8_t rank;
};

#define MUTEX_INIT(r)                                                                              \
	{                                                                                          \
		PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP, LR_##r                                      \
	}

void mutex_init(struct mutex *m, enum lock_rank rank);
void mutex_destroy(struct mutex *m);
#ifdef DEBUG_LOCKS
void mutex_lock(struct mutex *m);
void mutex_lock_nested(struct mutex *m); /* a second lock of the rank that is held */
void mutex_unlock(struct mutex *m);
#else
static inline void
mutex_lock(struct mutex *m)
{
	pthread_mutex_lock(&m->m);
}

static inline void
mutex_lock_nested(struct mutex *m)
{
	pthread_mutex_lock(&m->m);
}

static inline void
mutex_unlock(struct mutex *m)
{
	pthread_mutex_unlock(&m->m);
}
#endif
static inline void
mutex_unlock_cleanup(struct mutex **m)
{
	if (*m)
		mutex_unlock(*m);
}

/* Hold m until the end of the scope. */
#define WITH_MUTEX(m)                                                                              \
	struct mutex *with_mutex_##__LINE__                                                        \
		__attribute__((cleanup(mutex_unlock_cleanup), unused)) = (mutex_lock(m), (m))

#endif
