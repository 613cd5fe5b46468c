/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process numbers. A number stays in the table as long as a task, a thread group, a process group
 * or a session has it. Everything here is under tasklist_lock.
 */
#include "sentry/kernel/internal.h"
#include <stdlib.h>

#define PID_MAX	     32768
#define PID_RESERVED 300 /* numbers that are not used again after the first round */

static struct pid *table[PID_MAX];
_Atomic int32_t pid_last;

static struct pid *
pid_make(int32_t nr)
{
	struct pid *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	LIVE_INC(PID);
	ref_init(&p->ref);
	p->nr = nr;
	for (int i = 0; i < PID_ROLES; i++)
		list_init(&p->members[i]);
	waitq_init(&p->waitq);
	table[nr] = p;
	return p;
}

struct pid *
pid_alloc_locked(int32_t want)
{
	if (want) {
		if (want < 0 || want >= PID_MAX || table[want])
			return NULL;
		return pid_make(want);
	}
	for (int32_t i = 0, nr = pid_last + 1; i < PID_MAX; i++, nr++) {
		if (nr >= PID_MAX)
			nr = PID_RESERVED;
		if (!table[nr]) {
			pid_last = nr;
			return pid_make(nr);
		}
	}
	return NULL;
}

void
pid_unref(struct pid *p)
{
	if (!p || !ref_put(&p->ref))
		return;
	waitq_destroy(&p->waitq);
	free(p);
	LIVE_DEC(PID);
}

void
pid_unused_locked(struct pid *p)
{
	if (p->task || p->tgroup || !list_empty(&p->members[PID_PGID]) ||
		!list_empty(&p->members[PID_SID]))
		return;
	if (table[p->nr] == p) {
		table[p->nr] = NULL;
		pid_unref(p);
	}
}

void
pid_attach_tgroup_locked(struct tgroup *g, enum pid_role role, struct pid *p)
{
	ref_get(&p->ref);
	g->pid[role] = p;
	if (role == PID_TGID)
		p->tgroup = g;
	else
		list_push_back(&p->members[role], &g->pid_node[role]);
}

void
pid_detach_tgroup_locked(struct tgroup *g, enum pid_role role)
{
	struct pid *p = g->pid[role];

	if (!p)
		return;
	g->pid[role] = NULL;
	if (role == PID_TGID)
		p->tgroup = NULL;
	else
		list_del(&g->pid_node[role]);
	pid_unused_locked(p);
	pid_unref(p);
}

struct pid *
pid_find_locked(int32_t nr)
{
	return nr > 0 && nr < PID_MAX ? table[nr] : NULL;
}

struct task *
task_find_locked(int32_t tid)
{
	struct pid *p = pid_find_locked(tid);

	return p ? p->task : NULL;
}

struct tgroup *
tgroup_find_locked(int32_t tgid)
{
	struct pid *p = pid_find_locked(tgid);

	return p ? p->tgroup : NULL;
}

struct task *
task_find_get(int32_t tid)
{
	struct task *t;

	mutex_lock(&tasklist_lock);
	t = task_find_locked(tid);
	if (t)
		task_get(t);
	mutex_unlock(&tasklist_lock);
	return t;
}

struct tgroup *
tgroup_find_get(int32_t tgid)
{
	struct tgroup *g;

	mutex_lock(&tasklist_lock);
	g = tgroup_find_locked(tgid);
	if (g)
		tgroup_get(g);
	mutex_unlock(&tasklist_lock);
	return g;
}

void
tgroup_set_pid_locked(struct tgroup *g, enum pid_role role, struct pid *p)
{
	struct task *t;

	ref_get(&p->ref);
	pid_detach_tgroup_locked(g, role);
	pid_attach_tgroup_locked(g, role, p);
	pid_unref(p);
	list_for_each_entry (t, &g->threads, tg_node) {
		if (t == task_current())
			continue;
		atomic_fetch_or(&t->work, TW_IDENTITY);
		task_wake_for_work(t);
	}
}
