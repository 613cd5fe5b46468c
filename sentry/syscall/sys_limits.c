/* SPDX-License-Identifier: Apache-2.0 */
/* Resource limits and what has been used (getrlimit(2), getrusage(2), times(2)). */
#include "sentry/kernel/limits.h"
#include "sentry/kernel/timers.h"
#include "sentry/syscall/internal.h"
#include "sentry/sysctl/sysctl.h"
#include <string.h>

static bool
may_limit(const struct task *t, const struct task *o)
{
	const struct cred *a = t->cred, *b = o->cred;

	if (t->tgroup == o->tgroup || cred_capable(a, LX_CAP_SYS_RESOURCE))
		return true;
	return a->uid == b->euid && a->uid == b->suid && a->uid == b->uid && a->gid == b->egid &&
	       a->gid == b->sgid && a->gid == b->gid;
}

static int64_t
set_limit(struct task *t, struct tgroup *g, unsigned which, const struct lx_rlimit64 *n)
{
	struct lx_rlimit64 *r = &g->rlim.r[which];
	uint64_t most = which == LX_RLIMIT_FSIZE ? kernel_file_limit(g->container) : 0;
	int64_t err = 0;

	if (n->cur > n->max)
		return -EINVAL;
	mutex_lock(&g->sighand->lock);
	if (n->max > r->max && !cred_capable(t->cred, LX_CAP_SYS_RESOURCE)) {
		err = -EPERM;
	} else if (which == LX_RLIMIT_NOFILE && n->max > (uint64_t)sysctl_get(SYSCTL_NR_OPEN)) {
		err = -EPERM;
	} else if (most && n->max > most) {
		err = -EPERM; /* the container's */
	} else {
		__atomic_store_n(&r->cur, n->cur, __ATOMIC_RELAXED);
		__atomic_store_n(&r->max, n->max, __ATOMIC_RELAXED);
	}
	mutex_unlock(&g->sighand->lock);
	if (!err && which == LX_RLIMIT_CPU)
		tgroup_cpu_limit_changed(g);
	return err;
}

int64_t
sys_prlimit64(struct task *t, const uint64_t a[6])
{
	unsigned which = (unsigned)a[1];
	struct lx_rlimit64 n, old;
	struct task *o;
	int64_t err = 0;

	if (which >= LX_RLIM_NLIMITS)
		return -EINVAL;
	if (a[2] && copy_in(&t->mem.um, &n, ua(a[2]), sizeof n))
		return -EFAULT;
	o = arg_int(a[0]) ? task_find_get(arg_int(a[0])) : task_get(t);
	if (!o)
		return -ESRCH;
	if (!may_limit(t, o))
		err = -EPERM;
	old = o->tgroup->rlim.r[which];
	if (!err && a[2])
		err = set_limit(t, o->tgroup, which, &n);
	if (!err && a[3] && copy_out(&t->mem.um, ua(a[3]), &old, sizeof old))
		err = -EFAULT;
	task_put(o);
	return err;
}

int64_t
sys_getrlimit(struct task *t, const uint64_t a[6])
{
	const uint64_t b[6] = {0, a[0], 0, a[1]};

	return a[1] ? sys_prlimit64(t, b) : (unsigned)a[0] >= LX_RLIM_NLIMITS ? -EINVAL : -EFAULT;
}

int64_t
sys_setrlimit(struct task *t, const uint64_t a[6])
{
	const uint64_t b[6] = {0, a[0], a[1], 0};

	return a[1] ? sys_prlimit64(t, b) : -EFAULT;
}

int64_t
sys_getrusage(struct task *t, const uint64_t a[6])
{
	struct {
		struct lx_timeval utime, stime;
		int64_t maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock,
			msgsnd, msgrcv, nsignals, nvcsw, nivcsw;
	} ru;
	struct tgroup *g = t->tgroup;
	struct usage used, own;
	int64_t u = 0, s = 0;

	memset(&ru, 0, sizeof ru);
	switch (arg_int(a[0])) {
	case 0: /* RUSAGE_SELF */
		u = tgroup_cpu_ns(g) - g->dead_stime_ns;
		s = g->dead_stime_ns + t->stime_ns;
		task_usage(t, &used);
		break;
	case -1: /* RUSAGE_CHILDREN */
		mutex_lock(&tasklist_lock);
		u = g->child_utime_ns;
		s = g->child_stime_ns;
		used = g->child_used;
		mutex_unlock(&tasklist_lock);
		break;
	case 1: /* RUSAGE_THREAD */
		u = task_cpu_ns(t);
		s = t->stime_ns;
		task_usage(t, &used); /* maxrss is the process's */
		task_own_usage(t, &own);
		used.minflt = own.minflt;
		used.majflt = own.majflt;
		memcpy(used.count, own.count, sizeof used.count);
		break;
	default:
		return -EINVAL;
	}
	ru.utime = (struct lx_timeval){u / 1000000000, u % 1000000000 / 1000};
	ru.stime = (struct lx_timeval){s / 1000000000, s % 1000000000 / 1000};
	ru.maxrss = (int64_t)used.maxrss_kb;
	ru.minflt = (int64_t)used.minflt;
	ru.majflt = (int64_t)used.majflt;
	ru.inblock = (int64_t)(used.count[COUNT_READ_BYTES] / 512);
	ru.oublock = (int64_t)(used.count[COUNT_WRITE_BYTES] / 512);
	ru.nvcsw = (int64_t)used.count[COUNT_WAITS];
	return copy_out(&t->mem.um, ua(a[1]), &ru, sizeof ru);
}

int64_t
sys_times(struct task *t, const uint64_t a[6])
{
	struct tgroup *g = t->tgroup;
	int64_t v[4], now;

	if (a[0]) {
		v[0] = (tgroup_cpu_ns(g) - g->dead_stime_ns) / 10000000;
		mutex_lock(&tasklist_lock);
		v[1] = g->dead_stime_ns / 10000000;
		v[2] = g->child_utime_ns / 10000000;
		v[3] = g->child_stime_ns / 10000000;
		mutex_unlock(&tasklist_lock);
		if (copy_out(&t->mem.um, ua(a[0]), v, sizeof v))
			return -EFAULT;
	}
	(void)clock_now(NULL, LX_CLOCK_BOOTTIME, &now); /* ticks know no time namespace */
	return now / 10000000;
}
