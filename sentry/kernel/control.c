/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be done to all processes from outside: hold them still, list them, signal them.
 *
 * Pausing: a flag that the run loop looks at before it lets guest code run; those that run it now
 * are kicked. System calls that are under way come to their end, and their results wait.
 */
#include "sentry/kernel/control.h"
#include "sentry/kernel/init.h"
#include "sentry/kernel/internal.h"
#include <string.h>

#define PID_END 32768

_Atomic bool kernel_paused;
static struct waitq pause_q = {.lock = MUTEX_INIT(WAITQ), .waiters = LIST_INIT(pause_q.waiters)};

void
kernel_pause_here(struct task *t)
{
	struct waiter w;

	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&pause_q, &w);
	/* What ends the task is let through: it runs no guest code for that. */
	while (atomic_load(&kernel_paused) && !(atomic_load(&t->work) & TW_EXIT))
		fiber_park();
	waitq_remove(&w);
}

void
kernel_pause(void)
{
	atomic_store(&kernel_paused, true);
	mutex_lock(&tasklist_lock);
	for (int32_t tid = 1; tid < PID_END; tid++) {
		struct task *t = task_find_locked(tid);

		if (!t || t->dead)
			continue;
		mutex_lock(&t->pt_lock);
		/* One that is not in guest code looks at the flag before it is. */
		if (t->pt && atomic_load(&t->in_guest))
			plat->kick(t->pt);
		mutex_unlock(&t->pt_lock);
	}
	mutex_unlock(&tasklist_lock);
}

void
kernel_resume(void)
{
	atomic_store(&kernel_paused, false);
	waitq_notify(&pause_q, ~0u);
}

bool
kernel_is_paused(void)
{
	return atomic_load(&kernel_paused);
}

static void
describe(struct tgroup *g, int32_t pid, struct kernel_process_info *p)
{
	struct task *t = g->leader;

	*p = (struct kernel_process_info){.pid = pid};
	if (g->parent)
		p->ppid = g->parent->pid[PID_TGID]->nr;
	/* A leader that has ended has given up its host thread; others may go on. */
	if (t->dead && !list_empty(&g->threads))
		t = list_entry(g->threads.next, struct task, tg_node);
	memcpy(p->name, t->comm, sizeof p->name - 1);
	mutex_lock(&t->pt_lock);
	p->uid = t->cred ? t->cred->euid : 0;
	if (t->pt)
		p->host_pid = plat->host_pid(t->pt);
	mutex_unlock(&t->pt_lock);
}

void
kernel_each_process(void (*fn)(void *arg, const struct kernel_process_info *p), void *arg)
{
	mutex_lock(&tasklist_lock);
	for (int32_t pid = 1; pid < PID_END; pid++) {
		struct tgroup *g = tgroup_find_locked(pid);
		struct kernel_process_info p;

		if (!g || g->state >= TG_ZOMBIE)
			continue;
		describe(g, pid, &p);
		fn(arg, &p);
	}
	mutex_unlock(&tasklist_lock);
}

int
kernel_signal_every(int signo)
{
	int n = 0;

	for (int32_t pid = 1; pid < PID_END; pid++)
		n += kernel_signal(pid, signo) == 0;
	return n ? 0 : -ESRCH;
}
