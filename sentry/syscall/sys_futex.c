/* SPDX-License-Identifier: Apache-2.0 */
/*
 * futex(2). What the host can do on the guest's memory it does, in the guest (platform); this
 * handler sees such a call only when the stub does not answer by itself. Priority inheritance is
 * the kernel's (kernel/futex_pi.c).
 */
#include "sentry/kernel/futex.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/timers.h"
#include "sentry/syscall/internal.h"

#define OP_WAIT		   0
#define OP_WAKE		   1
#define OP_REQUEUE	   3
#define OP_CMP_REQUEUE	   4
#define OP_WAKE_OP	   5
#define OP_LOCK_PI	   6
#define OP_UNLOCK_PI	   7
#define OP_TRYLOCK_PI	   8
#define OP_WAIT_BITSET	   9
#define OP_WAKE_BITSET	   10
#define OP_WAIT_REQUEUE_PI 11
#define OP_CMP_REQUEUE_PI  12
#define OP_LOCK_PI2	   13
#define BEGIN_NS	   1000000
#define FUTEX_PRIVATE	   128
#define FUTEX_CLOCK_RT	   256

/* All of these have an absolute time, or none. */
static int
deadline_in(struct task *t, uint64_t addr, bool realtime, int64_t *ret)
{
	int64_t ns;
	int r;

	*ret = INT64_MAX;
	if (!addr)
		return 0;
	r = timespec_in(t, ua(addr), &ns);
	if (r == 0)
		*ret = clock_deadline(realtime ? LX_CLOCK_REALTIME : LX_CLOCK_MONOTONIC, ns);
	return r;
}

/* All of these are the host's, if it has them. */
static int64_t
on_host(struct task *t)
{
	t->flags |= TF_NO_RESULT | TF_FUTEX;
	return 0;
}

/* A wait until clock shows the time at addr, or for ever; for wakes of bits, where none are an
 * error. */
static int64_t
wait_until(struct task *t, uint64_t addr, int32_t clock, uint32_t bits)
{
	int64_t deadline, now;
	int r;

	if (!addr || !bits || clock != LX_CLOCK_MONOTONIC || !time_ns_offset(t, clock))
		return on_host(t);
	r = deadline_in(t, addr, false, &deadline);
	if (r)
		return r;
	/* the host is to have looked at the rest before it is told to end */
	now = sched_now_ns();
	t->restart_deadline_ns = deadline < now + BEGIN_NS ? now + BEGIN_NS : deadline;
	t->flags |= TF_FUTEX_UNTIL;
	return on_host(t);
}

int64_t
sys_futex_waitv(struct task *t, const uint64_t a[6])
{
	return wait_until(t, a[3], arg_int(a[4]), ~0u);
}

int64_t
sys_futex_wake(struct task *t, const uint64_t a[6])
{
	(void)a;
	return on_host(t);
}

int64_t
sys_futex_wait(struct task *t, const uint64_t a[6])
{
	return wait_until(t, a[4], arg_int(a[5]), (uint32_t)a[2]);
}

int64_t
sys_futex_requeue(struct task *t, const uint64_t a[6])
{
	(void)a;
	return on_host(t);
}

int64_t
sys_futex(struct task *t, const uint64_t a[6])
{
	int op = arg_int(a[1]), cmd = op & ~(FUTEX_PRIVATE | FUTEX_CLOCK_RT);
	bool realtime = op & FUTEX_CLOCK_RT;
	struct futex_at at = {ua(a[0]), op & FUTEX_PRIVATE}, to = {ua(a[4]), op & FUTEX_PRIVATE};
	int64_t deadline; /* of OP_WAIT: a span */
	int r;

	switch (cmd) {
	case OP_WAIT:
		/* a span, not a time: should it be cut short, it goes on with the rest */
		if (a[3]) {
			r = timespec_in(t, ua(a[3]), &deadline);
			if (r)
				return r;
			t->restart_deadline_ns = deadline_after(deadline);
		}
		return on_host(t);
	case OP_WAIT_BITSET:
		return wait_until(
			t, a[3], realtime ? LX_CLOCK_REALTIME : LX_CLOCK_MONOTONIC, (uint32_t)a[5]);
	case OP_WAKE:
	case OP_REQUEUE:
	case OP_CMP_REQUEUE:
	case OP_WAKE_OP:
	case OP_WAKE_BITSET:
		return on_host(t);
	case OP_LOCK_PI:
	case OP_LOCK_PI2:
		if (cmd == OP_LOCK_PI && realtime)
			return -ENOSYS;
		r = deadline_in(t, a[3], cmd == OP_LOCK_PI || realtime, &deadline);
		return r ? r : futex_pi_lock(t, at, deadline, false);
	case OP_WAIT_REQUEUE_PI:
		r = deadline_in(t, a[3], realtime, &deadline);
		return r ? r : futex_pi_wait_requeue(t, at, (uint32_t)a[2], deadline, to);
	case OP_TRYLOCK_PI:
		return realtime ? -ENOSYS : futex_pi_lock(t, at, INT64_MAX, true);
	case OP_UNLOCK_PI:
		return realtime ? -ENOSYS : futex_pi_unlock(t, at);
	case OP_CMP_REQUEUE_PI:
		return realtime ? -ENOSYS
				: futex_pi_requeue(
					  t, at, (uint32_t)a[5], arg_int(a[2]), arg_int(a[3]), to);
	default:
		return -ENOSYS;
	}
}
