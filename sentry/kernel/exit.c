/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of tasks and thread groups: giving back what they hold, telling the parent, reparenting,
 * reaping. Linux counterpart: kernel/exit.c.
 */
#include "abi/mman.h"
#include "sentry/ipc/ipc.h"
#include "sentry/ipc/shm.h"
#include "sentry/kernel/aio.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/timers.h"
#include "sentry/kernel/tty.h"
#include "sentry/syscall/syscall.h"
#include "sentry/syscall/trace.h"
#include "sentry/vfs/mount.h"
#include <string.h>

void
task_exit_group(struct task *t, int status)
{
	mutex_lock(&t->tgroup->sighand->lock);
	tgroup_start_exit_locked(t->tgroup, status, t);
	atomic_fetch_or(&t->work, TW_EXIT);
	mutex_unlock(&t->tgroup->sighand->lock);
}

void
task_exit_thread(struct task *t, int status)
{
	t->exit_code = status;
	atomic_fetch_or(&t->work, TW_EXIT);
}

/* --- telling the parent --- */

static int64_t
to_ticks(int64_t ns)
{
	return ns / 10000000;
}

static void
fill_child_info(struct lx_siginfo *info, const struct tgroup *g, int code, int status)
{
	*info = (struct lx_siginfo){.signo = LX_SIGCHLD, .code = code};
	info->chld.pid = g->pid[PID_TGID]->nr;
	info->chld.uid = g->leader->cred->uid;
	info->chld.status = status;
	info->chld.utime = to_ticks(g->dead_utime_ns);
	info->chld.stime = to_ticks(g->dead_stime_ns);
}

void
tgroup_tell_parent_locked(struct tgroup *g, int code, int status)
{
	struct tgroup *p = g->parent;
	struct lx_siginfo info;
	bool cont = false, wanted;

	if (!p)
		return;
	fill_child_info(&info, g, code, status);
	mutex_lock(&p->sighand->lock);
	wanted = p->sighand->action[LX_SIGCHLD - 1].handler != LX_SIG_IGN &&
		 !(p->sighand->action[LX_SIGCHLD - 1].flags & LX_SA_NOCLDSTOP);
	if (wanted)
		(void)signal_send_locked(p, NULL, LX_SIGCHLD, &info, false, &cont);
	mutex_unlock(&p->sighand->lock);
	waitq_notify(&p->wait_children, ~0u);
}

/* Is no member's parent in another group of the same session? (POSIX, "orphaned process group") */
bool
pgrp_is_orphaned_locked(struct pid *pgrp, struct tgroup *ignore)
{
	struct tgroup *g;

	list_for_each_entry (g, &pgrp->members[PID_PGID], pid_node[PID_PGID]) {
		struct tgroup *p = g->parent;

		if (g == ignore || g->state >= TG_ZOMBIE || !p)
			continue;
		if (p->pid[PID_PGID] != pgrp && p->pid[PID_SID] == g->pid[PID_SID])
			return false;
	}
	return true;
}

static bool
has_stopped_locked(struct pid *pgrp)
{
	struct tgroup *g;

	list_for_each_entry (g, &pgrp->members[PID_PGID], pid_node[PID_PGID])
		if (g->state == TG_STOPPED)
			return true;
	return false;
}

/* A process group that becomes orphaned by g's end, with stopped members, gets SIGHUP and SIGCONT.
 */
static int32_t
newly_orphaned_locked(struct tgroup *g, struct tgroup *parent)
{
	struct pid *pgrp = g->pid[PID_PGID];

	if (parent && parent->pid[PID_PGID] != pgrp && parent->pid[PID_SID] == g->pid[PID_SID] &&
		pgrp_is_orphaned_locked(pgrp, g) && has_stopped_locked(pgrp))
		return pgrp->nr;
	return 0;
}

void
tgroup_release_locked(struct tgroup *g)
{
	struct tgroup *p = g->parent;
	struct task *leader = g->leader;

	g->state = TG_DEAD;
	list_del(&g->sibling);
	if (p) {
		p->child_utime_ns += g->dead_utime_ns + g->child_utime_ns;
		p->child_stime_ns += g->dead_stime_ns + g->child_stime_ns;
		usage_add(&p->child_used, &g->used);
		usage_add(&p->child_used, &g->child_used);
	}
	pid_detach_tgroup_locked(g, PID_PGID);
	pid_detach_tgroup_locked(g, PID_SID);
	if (leader) {
		ptrace_unlink_locked(leader);
		leader->pid->task = NULL;
		g->leader = NULL;
	}
	pid_detach_tgroup_locked(g, PID_TGID);
	if (p) {
		g->parent = NULL;
		tgroup_put(p);
	}
	if (leader) {
		user_add_process(leader->user, -1);
		task_put(leader);
	}
	tgroup_put(g);
}

/* Children of a group that ends go to the nearest subreaper above, or to init. */
static void
reparent_children_locked(struct tgroup *g, int32_t *hup, unsigned *nhup, unsigned max)
{
	struct pid_ns *ns = g->pid[PID_TGID]->ns;
	struct tgroup *reaper = ns ? ns->init : kernel_container_first()->init, *c, *tmp;

	/* Looking for it takes as long as there are generations. */
	if (list_empty(&g->children))
		return;
	for (struct tgroup *a = g->parent; a && a->pid[PID_TGID] && a->pid[PID_TGID]->ns == ns;
		a = a->parent) {
		if (a->is_subreaper && !a->group_exit && a->state < TG_ZOMBIE) {
			reaper = a;
			break;
		}
	}
	if (reaper == g)
		reaper = NULL;
	list_for_each_entry_safe (c, tmp, &g->children, sibling) {
		struct tgroup *old = c->parent;
		int32_t pg;

		list_del(&c->sibling);
		c->parent = reaper ? tgroup_get(reaper) : NULL;
		if (reaper)
			list_push_back(&reaper->children, &c->sibling);
		tgroup_put(old);
		c->exit_signal = LX_SIGCHLD;
		if (c->leader && c->leader->pdeath_signal && c->state < TG_ZOMBIE) {
			bool cont = false;

			mutex_lock(&c->sighand->lock);
			(void)signal_send_locked(
				c, NULL, c->leader->pdeath_signal, NULL, false, &cont);
			mutex_unlock(&c->sighand->lock);
		}
		if (c->leader)
			atomic_fetch_or(&c->leader->work, TW_IDENTITY);
		if (c->leader)
			task_wake_for_work(c->leader);
		pg = newly_orphaned_locked(c, g);
		if (pg && *nhup < max)
			hup[(*nhup)++] = pg;
		if (c->state == TG_ZOMBIE) {
			if (!reaper)
				tgroup_release_locked(c);
			else
				waitq_notify(&reaper->wait_children, ~0u);
		}
	}
}

/* Tell the parent that g, a zombie, is one; g goes if nobody wants its status. */
static void
tell_of_exit_locked(struct tgroup *g)
{
	struct tgroup *p = g->parent;
	bool reap = !p, cont = false;
	int status = g->exit_code;
	struct lx_siginfo info;

	if (p) {
		int code = (status & 0x7f) ? LX_CLD_KILLED : LX_CLD_EXITED;

		fill_child_info(
			&info, g, code, status & 0x7f ? status & 0x7f : (status >> 8) & 0xff);
		info.signo = g->exit_signal;
		mutex_lock(&p->sighand->lock);
		if (g->exit_signal == LX_SIGCHLD) {
			struct lx_sigaction *a = &p->sighand->action[LX_SIGCHLD - 1];

			reap = a->handler == LX_SIG_IGN || (a->flags & LX_SA_NOCLDWAIT);
		}
		if (g->exit_signal &&
			!(reap && p->sighand->action[LX_SIGCHLD - 1].handler == LX_SIG_IGN))
			(void)signal_send_locked(p, NULL, g->exit_signal, &info, false, &cont);
		mutex_unlock(&p->sighand->lock);
		waitq_notify(&p->wait_children, ~0u);
	}
	if (reap)
		tgroup_release_locked(g);
}

/* A thread that its tracer was still to see. */
static void
release_thread_locked(struct task *t)
{
	struct pid *p = t->pid;

	t->tracee.zombie = false;
	p->task = NULL;
	pid_unused_locked(p);
	user_add_process(t->user, -1);
	task_put(t); /* the group's reference */
}

void
ptrace_reap_locked(struct task *target, struct tgroup *waiter)
{
	struct tgroup *g = target->tgroup;

	task_get(target);
	ptrace_unlink_locked(target);
	if (g->leader != target) {
		if (target->tracee.zombie)
			release_thread_locked(target);
	} else if (g->state == TG_ZOMBIE) {
		if (g->parent == waiter && !waiter->group_exit)
			tgroup_release_locked(g);
		else
			tell_of_exit_locked(g);
	}
	task_put(target);
}

/* The last thread is gone: the group becomes a zombie, or vanishes if nobody wants its status. */
static void
tgroup_exit(struct tgroup *g)
{
	int32_t hup[32];
	unsigned nhup = 0;
	struct task *tracer;
	int status, pg;

	if (g->session_leader)
		tty_session_ended(g);
	mutex_lock(&tasklist_lock);
	if (g == g->container->init)
		g->container->init = NULL;
	status = g->group_exit ? g->group_exit_code : g->leader->exit_code;
	g->exit_code = status;
	if (g->pid[PID_TGID]->ns && g->pid[PID_TGID]->ns->init == g)
		g->pid[PID_TGID]->ns->init = NULL;
	reparent_children_locked(g, hup, &nhup, sizeof hup / sizeof *hup);
	pg = newly_orphaned_locked(g, g->parent);
	if (pg && nhup < sizeof hup / sizeof *hup)
		hup[nhup++] = pg;
	g->state = TG_ZOMBIE;
	waitq_notify(&g->pid[PID_TGID]->waitq, ~0u);
	tracer = g->leader->tracee.tracer;
	if (tracer && tracer->tgroup != g->parent)
		ptrace_tell_tracer_locked(g->leader, status & 0x7f ? LX_CLD_KILLED : LX_CLD_EXITED,
			status & 0x7f ? status & 0x7f : (status >> 8) & 0xff);
	else
		tell_of_exit_locked(g);
	mutex_unlock(&tasklist_lock);
	for (unsigned i = 0; i < nhup; i++) {
		(void)signal_send_pgrp(hup[i], LX_SIGHUP, NULL);
		(void)signal_send_pgrp(hup[i], LX_SIGCONT, NULL);
	}
}

/* Somebody else that lives in ns? All of them are told to die, if they are not dying. */
static bool
kill_others_locked(struct pid_ns *ns, struct tgroup *g)
{
	struct tgroup *c, *tmp;
	bool any = false;

	for (int32_t nr = 1; nr < PID_MAX; nr++) {
		struct pid *p = pid_find_global_locked(nr);
		struct tgroup *o = p && pid_nr_in(p, ns) ? p->tgroup : NULL;

		if (!o || o == g || o->state >= TG_ZOMBIE)
			continue;
		any = true;
		mutex_lock(&o->sighand->lock);
		if (!o->group_exit)
			tgroup_start_exit_locked(o, LX_SIGKILL, NULL);
		mutex_unlock(&o->sighand->lock);
	}
	list_for_each_entry_safe (c, tmp, &g->children, sibling)
		if (c->state == TG_ZOMBIE && !(c->leader && c->leader->tracee.tracer))
			tgroup_release_locked(c);
	return any;
}

/* The first process of a pid namespace ends: so does everybody else in it, before it
 * (pid_namespaces(7)). */
static void
empty_pid_ns(struct task *t, struct tgroup *g)
{
	struct pid_ns *ns = t->pid->ns;
	struct waiter w;
	bool any = true;

	if (!ns || ns->init != g)
		return;
	waiter_init_fiber(&w, t->fiber, ~0u);
	waitq_add(&g->wait_children, &w);
	while (any) {
		mutex_lock(&tasklist_lock);
		ns->closing = true;
		any = kill_others_locked(ns, g);
		mutex_unlock(&tasklist_lock);
		if (any)
			(void)fiber_park_until(sched_now_ns() + 100000000);
	}
	waitq_remove(&w);
}

static void
drop_resources(struct task *t)
{
	struct mm *mm;
	struct fdtable *files;
	struct fs_ctx *fs;
	struct plat_thread *pt;
	uint64_t clear_tid = 0;
	int64_t cpu;

	futex_exit(t, true);
	uring_task_exit(t);
	if (!ua_null(t->clear_child_tid) && atomic_load(&t->mm->users) > 1)
		clear_tid = t->clear_child_tid.v;
	cpu = task_cpu_at_leave(t, t->pt);

	sem_undo_put(t->sem_undo, task_tgid(t));
	t->sem_undo = NULL;
	keys_exit(&t->keys);
	mutex_lock(&t->pt_lock);
	files = t->files; /* nobody finds it here while it is closed */
	t->files = NULL;
	mutex_unlock(&t->pt_lock);
	fdtable_put(files, &t->call);
	mutex_lock(&t->pt_lock);
	fs = t->fs;
	t->fs = NULL;
	mm = t->mm;
	t->mm = NULL;
	pt = t->pt;
	t->pt = NULL;
	mutex_unlock(&t->pt_lock);
	fs_ctx_put(fs);
	mutex_lock(&tasklist_lock);
	task_cpu_leave_locked(t, cpu, false);
	t->tgroup->dead_stime_ns += t->stime_ns;
	mutex_unlock(&tasklist_lock);
	if (pt)
		plat->thread_exit(pt, clear_tid);
	if (mm_left(mm))
		aio_mm_gone(mm);
	mm_put(mm);
	shm_task_gone(t->ipc, &t->call); /* what it has attached counts no more */
}

void
task_release_vfork_parent(struct task *t)
{
	struct task *p;

	mutex_lock(&tasklist_lock);
	p = t->vfork_parent;
	t->vfork_parent = NULL;
	if (p) {
		p->vfork_done = true;
		if (!p->dead)
			fiber_wake(p->fiber);
	}
	mutex_unlock(&tasklist_lock);
	task_put(p);
}

static _Noreturn void
end_fiber(struct task *t)
{
	struct kernel_container *k = kernel_container_get(t->tgroup->container);

	fiber_set_local(NULL);
	atomic_fetch_add(&k->dead_calls, atomic_exchange(&t->nr_calls, 0));
	task_put(t);
	kernel_count_tasks(k, -1);
	kernel_container_put(k);
	kernel_task_gone();
	fiber_exit();
}

void
task_do_exit(struct task *t)
{
	struct tgroup *g = t->tgroup;
	struct task *exec_task = NULL;
	bool last, is_leader;

	ptrace_event(t, LX_PTRACE_EVENT_EXIT,
		(uint64_t)(g->group_exit ? g->group_exit_code : t->exit_code));
	ptrace_exit_tracer(t);
	mutex_lock(&g->sighand->lock);
	t->flags |= TF_EXITING;
	signal_retarget_locked(t);
	if (g->stopping && !t->stopped_here && g->stop_pending && --g->stop_pending == 0) {
		g->stopping = false;
		g->stopped = true;
	}
	if (g->nr_threads == 1) {
		int status = g->group_exit ? g->group_exit_code : t->exit_code;

		g->group_exit = true;
		g->group_exit_code = status;
	}
	mutex_unlock(&g->sighand->lock);
	if (mm_leave(t->mm)) {
		task_usage_at_leave(t);
		kernel_limits_memory_ends(t);
	}
	seccomp_exit(t);
	drop_resources(t);
	task_release_vfork_parent(t);

	mutex_lock(&tasklist_lock);
	mutex_lock(&g->sighand->lock);
	t->dead = true;
	list_del(&t->tg_node);
	task_counts_leave_locked(t);
	is_leader = g->leader == t;
	last = --g->nr_threads == 0;
	if (g->group_exec_task && g->nr_threads == 1)
		exec_task = g->group_exec_task;
	sigpending_flush(&t->pending, ~0ULL);
	mutex_unlock(&g->sighand->lock);
	if (!is_leader && t->tracee.tracer && !t->tracee.tracer->tgroup->group_exit) {
		if (g->group_exit)
			t->exit_code = g->group_exit_code;
		t->tracee.zombie = true;
		ptrace_tell_tracer_locked(t, t->exit_code & 0x7f ? LX_CLD_KILLED : LX_CLD_EXITED,
			t->exit_code & 0x7f ? t->exit_code & 0x7f : t->exit_code >> 8 & 0xff);
	} else if (!is_leader) {
		ptrace_unlink_locked(t);
		release_thread_locked(t); /* the fiber has a reference too */
	}
	if (exec_task)
		fiber_wake(exec_task->fiber);
	mutex_unlock(&tasklist_lock);
	if (last) {
		bool init = g == g->container->init;
		int status;

		itimers_stop(g);
		posix_timers_drop_all(g);
		tgroup_get(g);
		empty_pid_ns(t, g);
		trace_end(t, g->group_exit ? g->group_exit_code : g->leader->exit_code);
		tgroup_exit(g);
		status = g->exit_code;
		/* So does what entered the container from outside, or shares its pid namespace
		 * with another one. */
		if (init)
			kernel_kill_others(g->container, g);
		kernel_process_gone(g, status);
		tgroup_put(g);
	}
	end_fiber(t);
}
