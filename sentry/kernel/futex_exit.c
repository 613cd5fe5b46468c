/* SPDX-License-Identifier: Apache-2.0 */
/* Futexes of a task that ends: robust lists (Documentation/locking/robust-futexes.rst), then those
 * that it owns for who waits by the kernel. */
#include "sentry/kernel/futex.h"
#include "sentry/kernel/internal.h"

#define FUTEX_WAITERS	  0x80000000u
#define FUTEX_OWNER_DIED  0x40000000u
#define FUTEX_TID_MASK	  0x3fffffffu
#define ROBUST_LIST_LIMIT 2048

static void
robust_one(struct task *t, uint64_t addr)
{
	uint32_t v;

	if ((addr & 3) || plat->peek(t->pt, &v, addr, sizeof v))
		return;
	for (int tries = 0; tries < 64; tries++) {
		uint32_t seen = v;

		if ((v & FUTEX_TID_MASK) != (uint32_t)task_vtid(t))
			return;
		if (plat->cmpxchg32(t->pt, addr, &seen, (v & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
			return;
		if (seen == v) {
			if (v & FUTEX_WAITERS)
				(void)plat->futex_wake(t->pt, addr, 1, ~0u, false);
			return;
		}
		v = seen;
	}
}

static void
robust_list_exit(struct task *t)
{
	struct {
		uint64_t next;
		int64_t futex_offset;
		uint64_t pending;
	} head;
	uint64_t entry;
	int left = ROBUST_LIST_LIMIT;

	if (ua_null(t->robust_list) || plat->peek(t->pt, &head, t->robust_list.v, sizeof head))
		return;
	entry = head.next & ~1UL;
	while (entry != t->robust_list.v && left-- > 0) {
		uint64_t next;

		if (plat->peek(t->pt, &next, entry, sizeof next))
			break;
		if (entry != (head.pending & ~1UL))
			robust_one(t, entry + (uint64_t)head.futex_offset);
		entry = next & ~1UL;
	}
	if (head.pending & ~1UL)
		robust_one(t, (head.pending & ~1UL) + (uint64_t)head.futex_offset);
}

void
futex_exit(struct task *t, bool ends)
{
	if (t->pt && !(atomic_load(&t->work) & TW_GONE))
		robust_list_exit(t);
	t->robust_list = ua(0);
	futex_pi_leave(t, ends);
}
