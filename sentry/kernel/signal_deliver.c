/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to signals and other work on the way back to the guest: frames for handlers, default
 * actions, group stops, restart of syscalls. Runs in the task's own fiber.
 */
#include "sentry/kernel/internal.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/timers.h"

#define LX_NR_restart_syscall 219
#define REDZONE		      128

static void
restore_saved_mask(struct task *t)
{
	if (t->flags & TF_RESTORE_MASK) {
		t->flags &= ~(uint32_t)TF_RESTORE_MASK;
		signal_set_mask(t, t->saved_mask);
	}
}

/* Make the guest execute its syscall instruction again. */
static void
rewind_syscall(struct task *t, uint64_t nr)
{
	struct guest_regs *r = plat->regs(t->pt);

	r->rax = nr;
	r->rip -= 2;
	plat->regs_dirty(t->pt);
}

/* The syscall's result as the guest sees it. handler: one is about to run. */
static void
settle_result(struct task *t, int64_t result, const struct lx_sigaction *handler)
{
	switch (result) {
	case -ERESTARTNOINTR:
		break;
	case -ERESTARTSYS:
		if (handler && !(handler->flags & LX_SA_RESTART))
			result = -EINTR;
		break;
	case -ERESTARTNOHAND:
	case -ERESTART_RESTARTBLOCK:
		if (handler)
			result = -EINTR;
		break;
	default:
		plat->set_result(t->pt, result);
		return;
	}
	if (result == -EINTR)
		plat->set_result(t->pt, result);
	else
		rewind_syscall(t, result == -ERESTART_RESTARTBLOCK ? LX_NR_restart_syscall : t->nr);
}

bool
task_on_altstack(const struct task *t, uint64_t sp)
{
	if (t->altstack.flags & (int32_t)LX_SS_AUTODISARM)
		return false;
	return sp > t->altstack.sp && sp - t->altstack.sp <= t->altstack.size;
}

int
task_set_altstack(struct task *t, const struct lx_stack *n, uint64_t sp)
{
	int32_t mode = n->flags & ~(int32_t)LX_SS_AUTODISARM;

	if (task_on_altstack(t, sp))
		return -EPERM;
	if (mode != LX_SS_DISABLE && mode != LX_SS_ONSTACK && mode != 0)
		return -EINVAL;
	if (mode == LX_SS_DISABLE) {
		t->altstack = (struct lx_stack){.flags = n->flags};
		return 0;
	}
	if (n->size < LX_MINSIGSTKSZ)
		return -ENOMEM;
	t->altstack = (struct lx_stack){.sp = n->sp, .flags = n->flags, .size = n->size};
	return 0;
}

static void
run_handler(struct task *t, int signo, const struct lx_siginfo *info, const struct lx_sigaction *a)
{
	struct guest_regs *r = plat->regs(t->pt);
	lx_sigset mask = t->flags & TF_RESTORE_MASK ? t->saved_mask : t->blocked;
	struct lx_stack uc_stack = t->altstack;
	uint64_t sp = r->rsp - REDZONE;
	struct lx_sigaction none = {0};
	bool sure;

	uc_stack.pad = 0;
	if ((a->flags & LX_SA_ONSTACK) && t->altstack.size &&
		!(t->altstack.flags & LX_SS_DISABLE) && !task_on_altstack(t, r->rsp))
		sp = t->altstack.sp + t->altstack.size;
	if (!(a->flags &
		    LX_SA_RESTORER)) /* Linux x86-64: without one there is nowhere to return to */
		goto bad;
	{
		struct mm_call mc;

		/* The frame may lie below what the stack has been grown to. */
		task_mm_call(t, &mc);
		(void)mm_accessible(&mc, sp - 1024, 1024, 2);
		sure = mm_accessible(&mc, sp - LX_PAGE_SIZE, LX_PAGE_SIZE, 2);
	}
	if (plat->signal_deliver(
		    t->pt, signo, info, a->handler, a->restorer, sp, mask, &uc_stack, sure))
		goto bad;
	t->flags &= ~(uint32_t)TF_RESTORE_MASK;
	if (t->altstack.flags & (int32_t)LX_SS_AUTODISARM)
		t->altstack = (struct lx_stack){.flags = LX_SS_DISABLE};
	signal_set_mask(
		t, t->blocked | a->mask | (a->flags & LX_SA_NODEFER ? 0 : LX_SIGBIT(signo)));
	return;
bad:
	if (signo == LX_SIGSEGV) {
		mutex_lock(&t->tgroup->sighand->lock);
		t->tgroup->sighand->action[signo - 1] = none;
		mutex_unlock(&t->tgroup->sighand->lock);
	}
	signal_force(t, LX_SIGSEGV, NULL);
}

/* --- group stop --- */

static void
stop_here(struct task *t)
{
	struct tgroup *g = t->tgroup;
	struct sighand *s = g->sighand;
	struct waiter w;
	bool last;

	waiter_init_fiber(&w, t->fiber, ~0u);
	waitq_add(&g->stop_wait, &w);
	mutex_lock(&s->lock);
	atomic_fetch_and(&t->work, ~TW_STOP);
	if (!g->stopping && !g->stopped) {
		mutex_unlock(&s->lock);
		waitq_remove(&w);
		return;
	}
	t->stopped_here = true;
	last = g->stopping && --g->stop_pending == 0;
	if (last) {
		g->stopping = false;
		g->stopped = true;
	}
	mutex_unlock(&s->lock);
	if (last) {
		mutex_lock(&tasklist_lock);
		if (g->stopped) {
			g->state = TG_STOPPED;
			g->stop_reported = false;
			tgroup_tell_parent_locked(g, LX_CLD_STOPPED, g->stop_signo);
		}
		mutex_unlock(&tasklist_lock);
	}
	for (;;) {
		bool go;

		mutex_lock(&s->lock);
		go = (!g->stopping && !g->stopped) || (atomic_load(&t->work) & TW_EXIT);
		if (go)
			t->stopped_here = false;
		mutex_unlock(&s->lock);
		if (go)
			break;
		if (!ptrace_traced(t)) {
			fiber_park();
		} else if (ptrace_group_stop(t)) {
			t->stopped_here = false; /* the tracer lets it run */
			break;
		}
	}
	waitq_remove(&w);
}

static void
start_group_stop(struct task *t, int signo)
{
	struct tgroup *g = t->tgroup;
	struct task *o;
	bool orphaned = false;

	if (signo != LX_SIGSTOP) {
		mutex_lock(&tasklist_lock);
		orphaned = pgrp_is_orphaned_locked(g->pid[PID_PGID], NULL);
		mutex_unlock(&tasklist_lock);
		if (orphaned)
			return;
	}
	mutex_lock(&g->sighand->lock);
	if (g->group_exit) {
		mutex_unlock(&g->sighand->lock);
		return;
	}
	if (!g->stopping && !g->stopped) {
		g->stopping = true;
		g->stop_signo = signo;
		g->stop_pending = 0;
		list_for_each_entry (o, &g->threads, tg_node) {
			if (o->dead || (o->flags & TF_EXITING))
				continue;
			g->stop_pending++;
			atomic_fetch_or(&o->work, TW_STOP);
			if (o != t)
				task_wake_for_work(o);
		}
	}
	mutex_unlock(&g->sighand->lock);
}

void
signal_tell_parent_continued(struct tgroup *g)
{
	mutex_lock(&tasklist_lock);
	if (g->state == TG_STOPPED) {
		g->state = TG_RUNNING;
		g->continued_pending = true;
		tgroup_tell_parent_locked(g, LX_CLD_CONTINUED, LX_SIGCONT);
	}
	mutex_unlock(&tasklist_lock);
}

/* --- the loop --- */

/* A tracer sees the result as the syscall gave it, and may change it, or forbid the restart
 * (orig_rax = -1). */
static void
show_result(struct task *t, bool has_result, int64_t result)
{
	if (has_result && ptrace_traced(t))
		plat->set_result(t->pt, result);
}

static void
take_result(struct task *t, bool *has_result, int64_t *result)
{
	const struct guest_regs *r;

	if (!*has_result || !ptrace_traced(t))
		return;
	r = plat->regs(t->pt);
	*result = (int64_t)r->rax;
	if ((int64_t)r->orig_rax < 0)
		*has_result = false;
}

void
signal_work(struct task *t, bool has_result, int64_t result)
{
	struct tgroup *g = t->tgroup;
	struct sighand *s;

	for (;;) {
		uint32_t work = atomic_load(&t->work);
		struct lx_siginfo info;
		struct lx_sigaction a;
		bool step;
		int signo;

		/* Gone while it was in a system call: as if it had been seen in guest code. */
		if (work & TW_GONE) {
			mutex_lock(&g->sighand->lock);
			tgroup_start_exit_locked(g, LX_SIGKILL, t);
			mutex_unlock(&g->sighand->lock);
		}
		if (work & (TW_EXIT | TW_GONE))
			task_do_exit(t);
		if (work & TW_CPU) {
			task_cpu_sample(t);
			continue;
		}
		if (work & (TW_STOP | TW_PTRACE)) {
			show_result(t, has_result, result);
			if (work & TW_STOP)
				stop_here(t);
			else
				ptrace_trap(t);
			take_result(t, &has_result, &result);
			continue;
		}
		s = g->sighand;
		mutex_lock(&s->lock);
		signo = signal_dequeue_locked(t, ~t->blocked, &info);
		if (!signo) {
			mutex_unlock(&s->lock);
			break;
		}
		if (ptrace_traced(t) && signo != LX_SIGKILL) {
			mutex_unlock(&s->lock);
			show_result(t, has_result, result);
			signo = ptrace_signal(t, signo, &info);
			take_result(t, &has_result, &result);
			if (!signo)
				continue;
			mutex_lock(&s->lock);
		}
		a = s->action[signo - 1];
		if (a.handler > LX_SIG_IGN && (a.flags & LX_SA_RESETHAND))
			s->action[signo - 1].handler = LX_SIG_DFL;
		mutex_unlock(&s->lock);

		if (a.handler == LX_SIG_IGN)
			continue;
		if (a.handler != LX_SIG_DFL) {
			if (has_result)
				settle_result(t, result, &a);
			has_result = false;
			step = t->step;
			if (step) {
				plat->regs(t->pt)->eflags &= ~0x100ull; /* not in the frame */
				plat->regs_dirty(t->pt);
			}
			signal_info_out(t, &info);
			run_handler(t, signo, &info, &a);
			if (step)
				ptrace_step_handler(t);
			continue;
		}
		if (g->unkillable && signo != LX_SIGKILL && signo != LX_SIGSTOP)
			continue;
		switch (signal_default(signo)) {
		case SIGD_IGNORE:
			break;
		case SIGD_STOP:
			start_group_stop(t, signo);
			break;
		case SIGD_CORE:
		case SIGD_TERM:
			mutex_lock(&s->lock);
			tgroup_start_exit_locked(g, signo, NULL);
			mutex_unlock(&s->lock);
			task_do_exit(t);
		}
	}
	if (has_result)
		settle_result(t, result, NULL);
	restore_saved_mask(t);
}
