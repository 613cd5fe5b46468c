/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks: the host's, and CPU time of tasks and groups. */
#include "sentry/kernel/internal.h"
#include "sentry/kernel/timers.h"
#include <time.h>

#define NS 1000000000LL

int64_t
task_cpu_ns(struct task *t)
{
	int64_t ns = 0;

	mutex_lock(&t->pt_lock);
	if (t->pt)
		ns = plat->thread_cpu_ns(t->pt);
	mutex_unlock(&t->pt_lock);
	return ns;
}

int64_t
tgroup_cpu_ns(struct tgroup *g)
{
	struct task *t;
	int64_t ns;

	mutex_lock(&g->sighand->lock);
	ns = g->dead_utime_ns + g->dead_stime_ns;
	list_for_each_entry (t, &g->threads, tg_node)
		ns += task_cpu_ns(t);
	mutex_unlock(&g->sighand->lock);
	return ns;
}

bool
clock_is_cpu(int32_t clock)
{
	return clock < 0 || clock == LX_CLOCK_PROCESS_CPUTIME_ID ||
	       clock == LX_CLOCK_THREAD_CPUTIME_ID;
}

/* clock_getcpuclockid(3), pthread_getcpuclockid(3): ~pid << 3 | kind, bit 2 set for threads. */
static int
other_cpu_clock(struct task *t, int32_t clock, int64_t *ret)
{
	int32_t id = ~(clock >> 3);
	bool per_thread = clock & 4;
	int err = -EINVAL;

	if ((clock & 3) == 3)
		return -EINVAL;
	if (per_thread) {
		struct task *o = id ? task_find_get(id) : task_get(t);

		if (o && o->tgroup == t->tgroup) {
			*ret = task_cpu_ns(o);
			err = 0;
		}
		task_put(o);
	} else {
		struct tgroup *g = id ? tgroup_find_get(id) : tgroup_get(t->tgroup);

		if (g) {
			*ret = tgroup_cpu_ns(g);
			err = 0;
		}
		tgroup_put(g);
	}
	return err;
}

int
clock_now(struct task *t, int32_t clock, int64_t *ret)
{
	struct timespec ts;

	switch (clock) {
	case LX_CLOCK_PROCESS_CPUTIME_ID:
		*ret = tgroup_cpu_ns(t->tgroup);
		return 0;
	case LX_CLOCK_THREAD_CPUTIME_ID:
		*ret = task_cpu_ns(t);
		return 0;
	case LX_CLOCK_REALTIME:
	case LX_CLOCK_MONOTONIC:
	case LX_CLOCK_MONOTONIC_RAW:
	case LX_CLOCK_REALTIME_COARSE:
	case LX_CLOCK_MONOTONIC_COARSE:
	case LX_CLOCK_BOOTTIME:
	case LX_CLOCK_TAI:
		break;
	/* The alarm clocks are those of a machine without a clock that could wake it: not there. */
	default:
		return clock < 0 ? other_cpu_clock(t, clock, ret) : -EINVAL;
	}
	if (clock_gettime(clock, &ts))
		return -EINVAL;
	*ret = ts.tv_sec * NS + ts.tv_nsec;
	return 0;
}

int
clock_resolution(struct task *t, int32_t clock, int64_t *ret)
{
	int64_t now;
	int err = clock_now(t, clock, &now);

	*ret = clock == LX_CLOCK_REALTIME_COARSE || clock == LX_CLOCK_MONOTONIC_COARSE ? 4000000
										       : 1;
	return err;
}

int64_t
clock_deadline(int32_t clock, int64_t abs_ns)
{
	struct timespec ts;
	int64_t off, r;

	if (clock == LX_CLOCK_MONOTONIC)
		return abs_ns;
	clock_gettime(clock, &ts);
	off = ts.tv_sec * NS + ts.tv_nsec - sched_now_ns();
	if (__builtin_sub_overflow(abs_ns, off, &r))
		return INT64_MAX;
	return r;
}
