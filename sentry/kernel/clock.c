/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks: the host's, and CPU time of tasks and groups. */
#include "sentry/kernel/info.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/timers.h"
#include <time.h>

#define NS 1000000000LL
/* For a thread that does not come when it is asked for its time: on a busy machine it may have to
 * wait for its turn. */
#define LOOK_LIMIT_NS 200000000

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
task_own_cpu_ns(struct task *t)
{
	return t->pt ? plat->own_cpu_ns(t->pt) : 0;
}

int64_t
task_seen_cpu_ns(struct task *o)
{
	struct task *t = task_current();
	struct tgroup *g = o->tgroup;
	int64_t deadline = sched_now_ns() + LOOK_LIMIT_NS;
	struct waiter w;
	bool asked = false;

	if (o == t)
		return task_own_cpu_ns(t);
	if (!t || !task_computes(o))
		return task_cpu_ns(o);
	waiter_init_fiber(&w, t->fiber, ~0u);
	waitq_add(&g->cpu_wait, &w);
	mutex_lock(&g->sighand->lock);
	if (!o->dead) {
		asked = true;
		atomic_fetch_or(&o->work, TW_CPU);
		task_wake_for_work(o);
	}
	mutex_unlock(&g->sighand->lock);
	while (asked && (atomic_load(&o->work) & TW_CPU) && sched_now_ns() < deadline)
		if (task_park(t, deadline))
			break;
	waitq_remove(&w);
	return task_cpu_ns(o);
}

/* A host's process has the threads of one group, but after a clone that shares the memory. */
static int64_t
space_cpu_ns_locked(struct tgroup *g)
{
	struct task *t;
	int64_t ns = 0;

	list_for_each_entry (t, &g->threads, tg_node) {
		mutex_lock(&t->pt_lock);
		if (t->pt)
			ns = plat->space_cpu_ns(t->pt);
		mutex_unlock(&t->pt_lock);
		if (ns)
			break;
	}
	return ns > g->space_seen_ns ? ns - g->space_seen_ns : 0;
}

int64_t
tgroup_live_cpu_ns(struct tgroup *g)
{
	struct task *t;
	int64_t ns = 0;

	mutex_lock(&g->sighand->lock);
	if (!atomic_load(&g->shares_space))
		ns = space_cpu_ns_locked(g);
	else
		list_for_each_entry (t, &g->threads, tg_node)
			ns += task_cpu_ns(t);
	mutex_unlock(&g->sighand->lock);
	return ns;
}

int64_t
tgroup_cpu_ns(struct tgroup *g)
{
	return g->dead_utime_ns + g->dead_stime_ns + tgroup_live_cpu_ns(g);
}

int64_t
task_cpu_at_leave(struct task *t, struct plat_thread *pt)
{
	if (!pt)
		return 0;
	return atomic_load(&t->tgroup->shares_space) ? plat->thread_cpu_ns(pt)
						     : plat->space_cpu_ns(pt);
}

void
task_cpu_leave_locked(struct task *t, int64_t ns, bool exec)
{
	struct tgroup *g = t->tgroup;

	if (!atomic_load(&g->shares_space)) {
		ns = ns > g->space_seen_ns ? ns - g->space_seen_ns : 0;
		g->space_seen_ns += ns;
	}
	g->dead_utime_ns += ns;
	g->container->dead_cpu_ns += ns;
	if (exec) {
		g->space_seen_ns = 0;
		atomic_store(&g->shares_space, false);
	}
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
			*ret = task_seen_cpu_ns(o);
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
		*ret = task_own_cpu_ns(t);
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
	*ret = ts.tv_sec * NS + ts.tv_nsec + time_ns_offset(t, clock);
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
	int64_t r;

	if (__builtin_sub_overflow(abs_ns, time_ns_offset(task_current(), clock), &r))
		r = INT64_MAX;
	return clock_host_deadline(clock, r > 0 || abs_ns < 0 ? r : 0);
}

int64_t
clock_host_deadline(int32_t clock, int64_t abs_ns)
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
