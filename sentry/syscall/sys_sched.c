/* SPDX-License-Identifier: Apache-2.0 */
/* Scheduling: affinity binds the host thread; policies and priorities are kept and shown
 * (sched(7)). */
#include "abi/sched.h"
#include "sentry/sched/sched.h"
#include "sentry/syscall/internal.h"
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

static int64_t
set_policy(struct task *t, int32_t pid, int policy, int priority)
{
	int min, max;
	struct task *o;
	int64_t err = 0;
	bool reset;

	if (pid < 0)
		return -EINVAL;
	o = target(t, pid);
	if (!o)
		return -ESRCH;
	reset = policy < 0 ? o->tgroup->sched_reset : (policy & LX_SCHED_RESET_ON_FORK) != 0;
	policy = policy < 0 ? o->tgroup->sched_policy : policy & ~LX_SCHED_RESET_ON_FORK;
	if (policy == LX_SCHED_DEADLINE || priority_range(policy, &min, &max) || priority < min ||
		priority > max)
		err = -EINVAL;
	else if ((policy == LX_SCHED_FIFO || policy == LX_SCHED_RR) &&
		 (uint64_t)priority > rlimit_cur(&o->tgroup->rlim, LX_RLIMIT_RTPRIO) &&
		 !cred_capable(t->cred, LX_CAP_SYS_NICE))
		err = -EPERM;
	else if (!may_schedule(t, o))
		err = -EPERM;
	else if (o->tgroup->sched_reset && !reset && !cred_capable(t->cred, LX_CAP_SYS_NICE))
		err = -EPERM;
	if (!err) {
		o->tgroup->sched_reset = reset;
		o->tgroup->sched_policy = (uint8_t)policy;
		o->tgroup->sched_priority = priority;
	}
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
	return set_policy(t, arg_int(a[0]), arg_int(a[1]), prio);
}

int64_t
sys_sched_setparam(struct task *t, const uint64_t a[6])
{
	int32_t prio;

	if (!a[1])
		return -EINVAL;
	if (copy_in(&t->mem.um, &prio, ua(a[1]), sizeof prio))
		return -EFAULT;
	return set_policy(t, arg_int(a[0]), -1, prio);
}

int64_t
sys_sched_getscheduler(struct task *t, const uint64_t a[6])
{
	struct task *o;
	int64_t r;

	if (arg_int(a[0]) < 0)
		return -EINVAL;
	o = target(t, arg_int(a[0]));
	if (!o)
		return -ESRCH;
	r = o->tgroup->sched_policy | (o->tgroup->sched_reset ? LX_SCHED_RESET_ON_FORK : 0);
	task_put(o);
	return r;
}

int64_t
sys_sched_getparam(struct task *t, const uint64_t a[6])
{
	struct task *o;
	int32_t prio;

	if (arg_int(a[0]) < 0 || !a[1])
		return -EINVAL;
	o = target(t, arg_int(a[0]));
	if (!o)
		return -ESRCH;
	prio = o->tgroup->sched_priority;
	task_put(o);
	return copy_out(&t->mem.um, ua(a[1]), &prio, sizeof prio);
}

struct lx_sched_attr {
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

int64_t
sys_sched_setattr(struct task *t, const uint64_t a[6])
{
	struct lx_sched_attr s = {0};
	uint32_t size;
	int64_t err;

	if (!a[1] || arg_int(a[0]) < 0 || a[2])
		return -EINVAL;
	if (copy_in(&t->mem.um, &size, ua(a[1]), sizeof size))
		return -EFAULT;
	if (!size)
		size = 48;
	if (size < 48 || size > LX_PAGE_SIZE)
		return -E2BIG;
	if (copy_in(&t->mem.um, &s, ua(a[1]), size < sizeof s ? size : sizeof s))
		return -EFAULT;
	if ((s.flags & ~0x1ULL) || s.policy > INT32_MAX) /* SCHED_FLAG_RESET_ON_FORK */
		return -EINVAL;
	if (s.nice < -20 || s.nice > 19)
		return -EINVAL;
	if (s.flags & 1)
		s.policy |= LX_SCHED_RESET_ON_FORK;
	err = set_policy(t, arg_int(a[0]), (int)s.policy, (int)s.priority);
	s.policy &= ~(uint32_t)LX_SCHED_RESET_ON_FORK;
	if (!err && (s.policy == LX_SCHED_OTHER || s.policy == LX_SCHED_BATCH))
		t->tgroup->nice = s.nice;
	return err;
}

int64_t
sys_sched_getattr(struct task *t, const uint64_t a[6])
{
	struct lx_sched_attr s = {.size = sizeof s};
	struct task *o;

	if (!a[1] || arg_int(a[0]) < 0 || a[2] < 48 || a[2] > LX_PAGE_SIZE || a[3])
		return -EINVAL;
	o = target(t, arg_int(a[0]));
	if (!o)
		return -ESRCH;
	s.policy = o->tgroup->sched_policy;
	s.flags = o->tgroup->sched_reset;
	s.nice = o->tgroup->nice;
	s.priority = (uint32_t)o->tgroup->sched_priority;
	s.util_max = 1024;
	task_put(o);
	if (a[2] < s.size)
		s.size = (uint32_t)a[2];
	return copy_out(&t->mem.um, ua(a[1]), &s, s.size);
}

int64_t
sys_sched_rr_get_interval(struct task *t, const uint64_t a[6])
{
	struct task *o;
	int policy;

	if (arg_int(a[0]) < 0)
		return -EINVAL;
	o = target(t, arg_int(a[0]));
	if (!o)
		return -ESRCH;
	policy = o->tgroup->sched_policy;
	task_put(o);
	return timespec_out(t, ua(a[1]),
		policy == LX_SCHED_RR	  ? 100000000
		: policy == LX_SCHED_FIFO ? 0
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

/* --- nice --- */

#define PRIO_PROCESS 0
#define PRIO_PGRP    1
#define PRIO_USER    2

/* Call fn for each group that (which, who) names; how many there were. */
static int
for_who(struct task *t, int which, int32_t who,
	void (*fn)(struct task *t, struct tgroup *g, void *arg), void *arg)
{
	int n = 0;

	mutex_lock(&tasklist_lock);
	if (which == PRIO_PROCESS) {
		struct task *o = who ? task_find_locked(who) : t;

		if (o) {
			fn(t, o->tgroup, arg);
			n++;
		}
	} else {
		for (int32_t nr = 1; nr < 32768; nr++) {
			struct tgroup *g = tgroup_find_locked(nr);

			if (!g || g->state >= TG_ZOMBIE)
				continue;
			if (which == PRIO_PGRP
					? pid_vnr(g->pid[PID_PGID]) !=
						  (who ? who : pid_vnr(t->tgroup->pid[PID_PGID]))
					: g->leader->cred->uid !=
						  (who ? (uint32_t)who : t->cred->uid))
				continue;
			fn(t, g, arg);
			n++;
		}
	}
	mutex_unlock(&tasklist_lock);
	return n;
}

static void
get_nice(struct task *t, struct tgroup *g, void *arg)
{
	int *best = arg;

	(void)t;
	if (20 - g->nice > *best)
		*best = 20 - g->nice;
}

int64_t
sys_getpriority(struct task *t, const uint64_t a[6])
{
	int best = 0;

	if ((uint32_t)a[0] > PRIO_USER)
		return -EINVAL;
	return for_who(t, arg_int(a[0]), arg_int(a[1]), get_nice, &best) ? best : -ESRCH;
}

struct nice_arg {
	int nice;
	int64_t err;
};

static void
set_nice(struct task *t, struct tgroup *g, void *arg)
{
	struct nice_arg *n = arg;
	const struct cred *o = g->leader->cred;

	if (t->cred->euid != o->uid && t->cred->euid != o->euid &&
		!cred_capable(t->cred, LX_CAP_SYS_NICE))
		n->err = -EPERM;
	else if (n->nice < g->nice &&
		 (uint64_t)(20 - n->nice) > rlimit_cur(&g->rlim, LX_RLIMIT_NICE) &&
		 !cred_capable(t->cred, LX_CAP_SYS_NICE))
		n->err = -EACCES;
	else
		g->nice = n->nice;
}

int64_t
sys_setpriority(struct task *t, const uint64_t a[6])
{
	struct nice_arg n = {.nice = arg_int(a[2])};

	if ((uint32_t)a[0] > PRIO_USER)
		return -EINVAL;
	if (n.nice < -20)
		n.nice = -20;
	if (n.nice > 19)
		n.nice = 19;
	return for_who(t, arg_int(a[0]), arg_int(a[1]), set_nice, &n) ? n.err : -ESRCH;
}

static bool
ioprio_class_ok(int value)
{
	return value >= 0 && (value >> 13) <= 3;
}

int64_t
sys_ioprio_set(struct task *t, const uint64_t a[6])
{
	int v = arg_int(a[2]), class = v >> 13;
	struct task *o;

	/* The level is the lowest three bits of the data, the rest a hint; without a class there is
	 * no level. */
	if (arg_int(a[0]) < 1 || arg_int(a[0]) > 3 || !ioprio_class_ok(v) || (!class && (v & 7)))
		return -EINVAL;
	if (class == 1 && !cred_capable(t->cred, LX_CAP_SYS_ADMIN) &&
		!cred_capable(t->cred, LX_CAP_SYS_NICE))
		return -EPERM;
	if (arg_int(a[0]) != 1) {
		t->ioprio = v;
		return 0;
	}
	o = target(t, arg_int(a[1]));
	if (!o)
		return -ESRCH;
	o->ioprio = v;
	task_put(o);
	return 0;
}

int64_t
sys_ioprio_get(struct task *t, const uint64_t a[6])
{
	struct task *o;
	int64_t v;

	if (arg_int(a[0]) < 1 || arg_int(a[0]) > 3)
		return -EINVAL;
	o = arg_int(a[0]) == 1 ? target(t, arg_int(a[1])) : task_get(t);
	if (!o)
		return -ESRCH;
	v = o->ioprio;
	task_put(o);
	return v;
}
