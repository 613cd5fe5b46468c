/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What getrusage(2) tells beside times: the most memory that was resident, and page faults. They
 * are the host's, which counts them for the process that runs the guest: another one after execve.
 */
#include "sentry/kernel/internal.h"

/* Of a process that leaves its memory and does not tell: it is hostile, or the host overloaded. */
#define PATIENCE_NS 500000000

static bool
look(struct task *t, bool thread, int64_t patience_ns, struct usage *u)
{
	struct plat_usage p;

	if (!t->pt || plat->usage(t->pt, thread, patience_ns, &p))
		return false;
	*u = (struct usage){p.maxrss_kb, p.minflt, p.majflt};
	return true;
}

void
usage_add(struct usage *sum, const struct usage *u)
{
	if (u->maxrss_kb > sum->maxrss_kb)
		sum->maxrss_kb = u->maxrss_kb;
	sum->minflt += u->minflt;
	sum->majflt += u->majflt;
}

void
tgroup_usage_locked(const struct tgroup *g, struct usage *ret)
{
	*ret = g->used;
	usage_add(ret, &g->space_used);
}

void
task_usage(struct task *t, struct usage *ret)
{
	struct usage u;
	bool seen = look(t, false, 0, &u);

	mutex_lock(&tasklist_lock);
	if (seen)
		t->tgroup->space_used = u;
	tgroup_usage_locked(t->tgroup, ret);
	mutex_unlock(&tasklist_lock);
}

void
task_own_usage(struct task *t, struct usage *ret)
{
	if (!look(t, true, 0, ret))
		*ret = (struct usage){0};
}

void
task_usage_at_leave(struct task *t)
{
	struct tgroup *g = t->tgroup;
	struct usage u;

	if (!look(t, false, PATIENCE_NS, &u))
		return;
	mutex_lock(&tasklist_lock);
	usage_add(&g->used, &u);
	g->space_used = (struct usage){0};
	mutex_unlock(&tasklist_lock);
}
