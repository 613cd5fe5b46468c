/* SPDX-License-Identifier: Apache-2.0 */
/* Nice values and priorities of input and output: of a thread, or all threads of a process group or
 * a user (getpriority(2), ioprio_set(2)). */
#include "abi/sched.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/syscall/internal.h"

enum who { WHO_PROCESS, WHO_PGRP, WHO_USER, WHO_KINDS };

#define IOPRIO_CLASS_SHIFT 13
#define IOPRIO_CLASS_RT	   1
#define IOPRIO_CLASS_BE	   2
#define IOPRIO_CLASS_IDLE  3

struct visit {
	struct task *t; /* who asks */
	int value;	/* nice value or ioprio to set */
	int64_t ret;	/* -ESRCH: nobody yet */
	int64_t (*fn)(struct visit *v, struct task *o, const struct cred *c);
	bool is_io; /* user 0 is that one, not the caller */
};

static void
visit_one(struct visit *v, struct task *o)
{
	const struct cred *c;

	mutex_lock(&o->pt_lock);
	c = cred_get(o->cred);
	v->ret = v->fn(v, o, c);
	mutex_unlock(&o->pt_lock);
	cred_put(c);
}

static bool
is_of(struct task *o, uint32_t uid)
{
	bool yes;

	mutex_lock(&o->pt_lock);
	yes = o->cred->uid == uid;
	mutex_unlock(&o->pt_lock);
	return yes;
}

static void
visit_group(struct visit *v, struct tgroup *g, uint32_t uid)
{
	struct task *o;

	mutex_lock(&g->sighand->lock);
	list_for_each_entry (o, &g->threads, tg_node)
		if (uid == UINT32_MAX || is_of(o, uid))
			visit_one(v, o);
	mutex_unlock(&g->sighand->lock);
}

/* Each thread that (who, nr) names; 0: the caller's. */
static int64_t
visit(struct visit *v, enum who who, int32_t nr)
{
	struct task *t = v->t;
	uint32_t uid = UINT32_MAX;

	v->ret = -ESRCH;
	if (who == WHO_USER) {
		uid = nr || v->is_io ? uid_in(t->cred->user_ns, (uint32_t)nr) : t->cred->uid;
		if (uid == UINT32_MAX)
			return -ESRCH;
	}
	mutex_lock(&tasklist_lock);
	if (who == WHO_PROCESS) {
		struct task *o = nr ? task_find_locked(nr) : t;

		if (o)
			visit_one(v, o);
	} else {
		struct pid *group = who == WHO_USER ? NULL
				    : nr	    ? pid_find_locked(nr)
						    : t->tgroup->pid[PID_PGID];

		for (int32_t n = 1; n < PID_MAX && (group || who == WHO_USER); n++) {
			struct tgroup *g = tgroup_find_locked(n);

			if (g && g->state < TG_ZOMBIE && (!group || g->pid[PID_PGID] == group))
				visit_group(v, g, uid);
		}
	}
	mutex_unlock(&tasklist_lock);
	return v->ret;
}

/* --- nice --- */

static int64_t
best_nice(struct visit *v, struct task *o, const struct cred *c)
{
	(void)c;
	return 20 - o->sched.nice > v->ret ? 20 - o->sched.nice : v->ret;
}

int64_t
sys_getpriority(struct task *t, const uint64_t a[6])
{
	struct visit v = {.t = t, .fn = best_nice};

	return (uint32_t)a[0] < WHO_KINDS ? visit(&v, (enum who)a[0], arg_int(a[1])) : -EINVAL;
}

static int64_t
set_nice(struct visit *v, struct task *o, const struct cred *c)
{
	const struct cred *mine = v->t->cred;
	struct task_sched s = o->sched;

	s.nice = v->value;
	if (mine->euid != c->uid && mine->euid != c->euid &&
		!cred_capable_in(mine, c->user_ns, LX_CAP_SYS_NICE))
		return -EPERM;
	if (s.nice < o->sched.nice &&
		(uint64_t)(20 - s.nice) > rlimit_cur(&o->tgroup->rlim, LX_RLIMIT_NICE) &&
		!cred_capable(mine, LX_CAP_SYS_NICE))
		return -EACCES;
	task_sched_set_locked(o, &s);
	return v->ret == -ESRCH ? 0 : v->ret;
}

int64_t
sys_setpriority(struct task *t, const uint64_t a[6])
{
	int nice = arg_int(a[2]);
	struct visit v = {.t = t,
		.fn = set_nice,
		.value = nice < -20  ? -20
			 : nice > 19 ? 19
				     : nice};

	return (uint32_t)a[0] < WHO_KINDS ? visit(&v, (enum who)a[0], arg_int(a[1])) : -EINVAL;
}

/* --- input and output --- */

static int64_t
set_ioprio(struct visit *v, struct task *o, const struct cred *c)
{
	const struct cred *mine = v->t->cred;

	if (c->uid != mine->euid && c->uid != mine->uid && !cred_capable(mine, LX_CAP_SYS_NICE))
		return -EPERM;
	if (v->ret != -ESRCH && v->ret != 0)
		return v->ret;
	o->ioprio = v->value;
	return 0;
}

int64_t
sys_ioprio_set(struct task *t, const uint64_t a[6])
{
	int v = arg_int(a[2]), class = v >> IOPRIO_CLASS_SHIFT;
	struct visit who = {.t = t, .fn = set_ioprio, .value = v, .is_io = true};

	/* The level is the lowest three bits of the data, the rest a hint; without a class there is
	 * no level. */
	if (v < 0 || class > IOPRIO_CLASS_IDLE || (!class && (v & 7)))
		return -EINVAL;
	if (class == IOPRIO_CLASS_RT && !cred_capable(t->cred, LX_CAP_SYS_ADMIN) &&
		!cred_capable(t->cred, LX_CAP_SYS_NICE))
		return -EPERM;
	if (arg_int(a[0]) < 1 || arg_int(a[0]) > WHO_KINDS)
		return -EINVAL;
	return visit(&who, (enum who)(arg_int(a[0]) - 1), arg_int(a[1]));
}

/* Without a class it follows from how the thread is scheduled. */
static int64_t
effective(const struct task *o)
{
	int class = o->sched.policy == LX_SCHED_IDLE ? IOPRIO_CLASS_IDLE
		    : o->sched.priority		     ? IOPRIO_CLASS_RT
						     : IOPRIO_CLASS_BE;

	return o->ioprio >> IOPRIO_CLASS_SHIFT
		       ? o->ioprio
		       : class << IOPRIO_CLASS_SHIFT | (o->sched.nice + 20) / 5;
}

static int64_t
own_ioprio(struct visit *v, struct task *o, const struct cred *c)
{
	(void)v;
	(void)c;
	return o->ioprio;
}

static int64_t
best_ioprio(struct visit *v, struct task *o, const struct cred *c)
{
	(void)c;
	return v->ret < 0 || effective(o) < v->ret ? effective(o) : v->ret;
}

int64_t
sys_ioprio_get(struct task *t, const uint64_t a[6])
{
	struct visit v = {
		.t = t, .fn = arg_int(a[0]) == 1 ? own_ioprio : best_ioprio, .is_io = true};

	if (arg_int(a[0]) < 1 || arg_int(a[0]) > WHO_KINDS)
		return -EINVAL;
	return visit(&v, (enum who)(arg_int(a[0]) - 1), arg_int(a[1]));
}
