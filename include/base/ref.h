/* SPDX-License-Identifier: Apache-2.0 */
/* Reference counts, and counters of live objects that tests compare before and after. */
#ifndef BASE_REF_H
#define BASE_REF_H

#include "base/log.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct ref {
	_Atomic int32_t n;
};

static inline void
ref_init(struct ref *r)
{
	atomic_store_explicit(&r->n, 1, memory_order_relaxed);
}

/* These two say where they were called. */
#define ref_get(r) ref_get_at((r), __FILE__, __LINE__)
#define ref_put(r) ref_put_at((r), __FILE__, __LINE__)

static inline void
ref_get_at(struct ref *r, const char *file, int line)
{
	if (atomic_fetch_add_explicit(&r->n, 1, memory_order_relaxed) <= 0)
		panic_at(file, line, "reference taken on a dead object");
}

/* Add a reference unless the count is zero already (for caches that hold no reference). */
static inline bool
ref_get_unless_zero(struct ref *r)
{
	int32_t n = atomic_load_explicit(&r->n, memory_order_relaxed);

	while (n > 0)
		if (atomic_compare_exchange_weak_explicit(
			    &r->n, &n, n + 1, memory_order_acquire, memory_order_relaxed))
			return true;
	return false;
}

/* Drop one; true when it was the last and the caller frees the object. */
static inline bool
ref_put_at(struct ref *r, const char *file, int line)
{
	int32_t n = atomic_fetch_sub_explicit(&r->n, 1, memory_order_acq_rel);

	if (n <= 0)
		panic_at(file, line, "reference dropped twice");
	return n == 1;
}

enum live_kind {
#define LIVE(name) LIVE_##name,
#include "base/live.def"
#undef LIVE
	LIVE_COUNT
};

extern _Atomic int64_t live_count[LIVE_COUNT];
extern const char *const live_name[LIVE_COUNT];

#define LIVE_INC(k)                                                                                \
	((void)atomic_fetch_add_explicit(&live_count[LIVE_##k], 1, memory_order_relaxed))
#define LIVE_DEC(k)                                                                                \
	((void)atomic_fetch_sub_explicit(&live_count[LIVE_##k], 1, memory_order_relaxed))

#endif
