/* SPDX-License-Identifier: Apache-2.0 */
/* Scheduling: affinity and policies (sched(7)). */
#include "abi/sched.h"
#include "sentry/sched/sched.h"
#include "sentry/syscall/internal.h"
#include "sentry/sysctl/sysctl.h"
#include <string.h>

int64_t
sys_sched_yield(struct task *t, const uint64_t a[6])
{
	(void)t;
	(void)a;
	fiber_yield();
	return 0;
}

static struct task *
target(struct task *t, int32_t pid)
{
	if (pid < 0)
		return NULL;
	return pid ? task_find_get(pid) : task_get(t);
}

static bool
may_schedule(const struct task *t, const struct task *o)
{
	return t->cred->euid == o->cred->uid || t->cred->euid == o->cred->euid ||
	       cred_capable(t->cred, LX_CAP_SYS_NICE);
}

int64_t
sys_sched_setaffinity(struct task *t, const uint64_t a[6])
{
	uint8_t mask[sizeof t->affinity] = {0}, online[sizeof t->affinity];
	size_t n = a[1] < sizeof mask ? a[1] : sizeof mask;
	struct task *o;
	int64_t err;
	bool any = false;

	if (copy_in(&t->mem.um, mask, ua(a[2]), n))
		return -EFAULT;
	o = target(t, arg_int(a[0]));
	if (!o)
		return -ESRCH;
	sched_online_cpus(online, sizeof online);
	for (size_t i = 0; i < sizeof mask; i++) {
		mask[i] &= online[i];
		any |= mask[i] != 0;
	}
	if (!may_schedule(t, o))
		err = -EPERM;
	else if (!any)
		err = -EINVAL;
	else {
		mutex_lock(&o->pt_lock);
		err = o->pt ? plat->set_affinity(o->pt, mask, sizeof mask) : -ESRCH;
		if (!err)
			memcpy(o->affinity, mask, sizeof mask);
		mutex_unlock(&o->pt_lock);
	}
	task_put(o);
	return err;
}

int64_t
sys_sched_getaffinity(struct task *t, const uint64_t a[6])
{
	uint8_t mask[sizeof t->affinity];
	struct task *o;
	size_t want = 8; /* as a kernel built for 64 CPUs or fewer; more if there are more */

	while (want * 8 < (size_t)sched_ncpu())
		want += 8;
	if (a[1] * 8 < (uint64_t)sched_ncpu() || (a[1] & 7))
		return -EINVAL;
	o = target(t, arg_int(a[0]));
	if (!o)
		return -ESRCH;
	mutex_lock(&o->pt_lock);
	memcpy(mask, o->affinity, sizeof mask);
	mutex_unlock(&o->pt_lock);
	task_put(o);
	if (want > a[1])
		want = a[1];
	return copy_out(&t->mem.um, ua(a[2]), mask, want) ? -EFAULT : (int64_t)want;
}

static int
priority_range(int policy, int *min, int *max)
{
	switch (policy) {
	case LX_SCHED_FIFO:
	case LX_SCHED_RR:
		*min = 1;
		*max = 99;
		return 0;
	case LX_SCHED_OTHER:
	case LX_SCHED_BATCH:
	case LX_SCHED_IDLE:
	case LX_SCHED_DEADLINE:
		*min = *max = 0;
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t
sys_sched_get_priority_max(struct task *t, const uint64_t a[6])
{
	int min, max;

	(void)t;
	return priority_range(arg_int(a[0]), &min, &max) ? -EINVAL : max;
}

int64_t
sys_sched_get_priority_min(struct task *t, const uint64_t a[6])
{
	int min, max;

	(void)t;
	return priority_range(arg_int(a[0]), &min, &max) ? -EINVAL : min;
}

static bool
is_rt(int policy)
{
	return policy == LX_SCHED_FIFO || policy == LX_SCHED_RR;
}

static bool
may_be_nice(struct task *o, int nice)
{
	return (uint64_t)(20 - nice) <= rlimit_cur(&o->tgroup->rlim, LX_RLIMIT_NICE);
}

/* Does it take CAP_SYS_NICE? sched(7), "Privileges and resource limits" */
static bool
is_raise(struct task *o, const struct task_sched *from, const struct task_sched *to)
{
	uint64_t limit = rlimit_cur(&o->tgroup->rlim, LX_RLIMIT_RTPRIO);

	if (is_rt(to->policy)) {
		if ((to->policy != from->policy && !limit) ||
			(to->priority > from->priority && (uint64_t)to->priority > limit))
			return true;
	} else if (to->policy != LX_SCHED_IDLE && to->nice < from->nice &&
		   !may_be_nice(o, to->nice)) {
		return true;
	}
	if (from->policy == LX_SCHED_IDLE && to->policy != LX_SCHED_IDLE &&
		!may_be_nice(o, from->nice))
		return true;
	return from->reset && !to->reset;
}

#define KEEP_POLICY (-1)
#define KEEP_NICE   100

struct sched_wish {
	int policy; /* with LX_SCHED_RESET_ON_FORK, or KEEP_POLICY */
	int priority;
	int nice;	  /* for SCHED_OTHER and SCHED_BATCH, or KEEP_NICE */
	bool keep_params; /* all stays, after the checks, as in Linux' __sched_setscheduler */
	int missing;	  /* -errno of what is well asked for, but not there: for who may ask */
};

static int64_t
set_policy(struct task *t, int32_t pid, const struct sched_wish *w)
{
	int policy = w->policy, priority = w->priority, nice = w->nice;
	struct task_sched s;
	int min, max;
	struct task *o;
	int64_t err = 0;

	if (pid < 0)
		return -EINVAL;
	o = target(t, pid);
	if (!o)
		return -ESRCH;
	mutex_lock(&o->pt_lock);
	s = o->sched;
	if (w->keep_params && is_rt(s.policy))
		priority = s.priority;
	else if (w->keep_params)
		nice = s.nice;
	if (policy != KEEP_POLICY) {
		s.reset = (policy & LX_SCHED_RESET_ON_FORK) != 0;
		policy &= ~LX_SCHED_RESET_ON_FORK;
		if ((policy == LX_SCHED_DEADLINE && !w->missing) ||
			priority_range(policy, &min, &max))
			err = -EINVAL;
		s.policy = (uint8_t)policy;
	}
	if (!err && (priority_range(s.policy, &min, &max) || priority < min || priority > max))
		err = -EINVAL;
	s.priority = priority;
	if (nice != KEEP_NICE && (s.policy == LX_SCHED_OTHER || s.policy == LX_SCHED_BATCH))
		s.nice = nice;
	if (!err &&
		(!may_schedule(t, o) || s.policy == LX_SCHED_DEADLINE ||
			is_raise(o, &o->sched, &s)) &&
		!cred_capable(t->cred, LX_CAP_SYS_NICE))
		err = -EPERM;
	if (!err)
		err = w->missing;
	if (!err && !w->keep_params)
		task_sched_set_locked(o, &s);
	mutex_unlock(&o->pt_lock);
	task_put(o);
	return err;
}

int64_t
sys_sched_setscheduler(struct task *t, const uint64_t a[6])
{
	int32_t prio;

	if (arg_int(a[1]) < 0 || !a[2])
		return -EINVAL;
	if (copy_in(&t->mem.um, &prio, ua(a[2]), sizeof prio))
		return -EFAULT;
	return set_policy(t, arg_int(a[0]),
		&(struct sched_wish){.policy = arg_int(a[1]), .priority = prio, .nice = KEEP_NICE});
}

int64_t
sys_sched_setparam(struct task *t, const uint64_t a[6])
{
	int32_t prio;

	if (!a[1])
		return -EINVAL;
	if (copy_in(&t->mem.um, &prio, ua(a[1]), sizeof prio))
		return -EFAULT;
	return set_policy(t, arg_int(a[0]),
		&(struct sched_wish){.policy = KEEP_POLICY, .priority = prio, .nice = KEEP_NICE});
}

static int
look(struct task *t, int32_t pid, struct task_sched *ret)
{
	struct task *o;

	if (pid < 0)
		return -EINVAL;
	o = target(t, pid);
	if (!o)
		return -ESRCH;
	mutex_lock(&o->pt_lock);
	*ret = o->sched;
	mutex_unlock(&o->pt_lock);
	task_put(o);
	return 0;
}

int64_t
sys_sched_getscheduler(struct task *t, const uint64_t a[6])
{
	struct task_sched s;
	int err = look(t, arg_int(a[0]), &s);

	return err ? err : s.policy | (s.reset ? LX_SCHED_RESET_ON_FORK : 0);
}

int64_t
sys_sched_getparam(struct task *t, const uint64_t a[6])
{
	struct task_sched s;
	int err = a[1] ? look(t, arg_int(a[0]), &s) : -EINVAL;

	return err ? err : copy_out(&t->mem.um, ua(a[1]), &s.priority, sizeof s.priority);
}

#define FLAG_RESET_ON_FORK 0x1u
#define FLAG_RECLAIM	   0x2u /* this and the next: of SCHED_DEADLINE */
#define FLAG_DL_OVERRUN	   0x4u
#define FLAG_KEEP_POLICY   0x8u
#define FLAG_KEEP_PARAMS   0x10u
#define FLAG_UTIL_CLAMP	   0x60u

#define SCHED_ATTR_SIZE_VER0 48u

struct lx_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

/* Linux: __checkparam_dl */
static bool
deadline_is_sane(const struct lx_sched_attr *s)
{
	uint64_t period = s->period ? s->period : s->deadline;

	return s->deadline && s->runtime >= 1024 && !((s->deadline | s->period) >> 63) &&
	       s->runtime <= s->deadline && s->deadline <= period && period >= 100000 &&
	       period <= (1ULL << 22) * 1000;
}

/* What a newer program knows beyond us has to be zero; it is told what we know. */
static int
attr_in(struct task *t, uint64_t addr, struct lx_sched_attr *s, uint32_t *size)
{
	static const uint32_t known = sizeof *s;
	unsigned char buf[LX_PAGE_SIZE];
	bool fits;

	if (copy_in(&t->mem.um, size, ua(addr), sizeof *size))
		return -EFAULT;
	if (!*size)
		*size = SCHED_ATTR_SIZE_VER0;
	fits = *size >= SCHED_ATTR_SIZE_VER0 && *size <= LX_PAGE_SIZE;
	if (fits && copy_in(&t->mem.um, buf, ua(addr), *size))
		return -EFAULT;
	for (uint32_t i = sizeof *s; fits && i < *size; i++)
		fits = !buf[i];
	if (!fits)
		return copy_out(&t->mem.um, ua(addr), &known, sizeof known) ? -EFAULT : -E2BIG;
	memcpy(s, buf, *size < sizeof *s ? *size : sizeof *s);
	return 0;
}

int64_t
sys_sched_setattr(struct task *t, const uint64_t a[6])
{
	struct lx_sched_attr s = {0};
	struct sched_wish w = {0};
	uint32_t size;
	int err;

	if (!a[1] || arg_int(a[0]) < 0 || a[2])
		return -EINVAL;
	err = attr_in(t, a[1], &s, &size);
	if (err)
		return err;
	if ((s.flags & ~(uint64_t)(FLAG_RESET_ON_FORK | FLAG_RECLAIM | FLAG_DL_OVERRUN |
				   FLAG_KEEP_POLICY | FLAG_KEEP_PARAMS | FLAG_UTIL_CLAMP)) ||
		((s.flags & FLAG_UTIL_CLAMP) && size < sizeof s) || s.policy > INT32_MAX ||
		(s.policy & LX_SCHED_RESET_ON_FORK) || s.priority > 99)
		return -EINVAL;
	if (s.nice < -20)
		s.nice = -20;
	if (s.nice > 19)
		s.nice = 19;
	w.policy = s.flags & FLAG_KEEP_POLICY
			   ? KEEP_POLICY
			   : (int)s.policy |
				     (s.flags & FLAG_RESET_ON_FORK ? LX_SCHED_RESET_ON_FORK : 0);
	w.priority = (int)s.priority;
	w.nice = s.nice;
	w.keep_params = (s.flags & FLAG_KEEP_PARAMS) != 0;
	/* The host's scheduler decides: no reservations, and no hints about the load. */
	if (!(s.flags & FLAG_KEEP_POLICY) && s.policy == LX_SCHED_DEADLINE && deadline_is_sane(&s))
		w.missing = -EINVAL;
	else if (s.flags & FLAG_UTIL_CLAMP)
		w.missing = -EOPNOTSUPP;
	return set_policy(t, arg_int(a[0]), &w);
}

int64_t
sys_sched_getattr(struct task *t, const uint64_t a[6])
{
	struct lx_sched_attr s = {.size = sizeof s};
	struct task_sched o;
	int err;

	if (!a[1] || arg_int(a[0]) < 0 || a[2] < 48 || a[2] > LX_PAGE_SIZE || a[3])
		return -EINVAL;
	err = look(t, arg_int(a[0]), &o);
	if (err)
		return err;
	s.policy = o.policy;
	s.flags = o.reset ? FLAG_RESET_ON_FORK : 0;
	s.priority = (uint32_t)o.priority;
	s.nice = is_rt(o.policy) ? 0 : o.nice;
	if (a[2] < s.size)
		s.size = (uint32_t)a[2];
	return copy_out(&t->mem.um, ua(a[1]), &s, s.size);
}

int64_t
sys_sched_rr_get_interval(struct task *t, const uint64_t a[6])
{
	struct task_sched s;
	int err = look(t, arg_int(a[0]), &s);

	return err ? err
		   : timespec_out(t, ua(a[1]),
			     s.policy == LX_SCHED_RR
				     ? sysctl_get(SYSCTL_SCHED_RR_TIMESLICE_MS) * 1000000
			     : s.policy == LX_SCHED_FIFO ? 0
							 : 4000000);
}

int64_t
sys_getcpu(struct task *t, const uint64_t a[6])
{
	uint32_t cpu = 0, node = 0;

	/* The vDSO answers without us; here any CPU that the thread may use is true at some moment.
	 */
	for (uint32_t i = 0; i < sizeof t->affinity * 8; i++) {
		if (t->affinity[i / 8] & (1 << (i % 8))) {
			cpu = i;
			break;
		}
	}
	if ((a[0] && copy_out(&t->mem.um, ua(a[0]), &cpu, 4)) ||
		(a[1] && copy_out(&t->mem.um, ua(a[1]), &node, 4)))
		return -EFAULT;
	return 0;
}
