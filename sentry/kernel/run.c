/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The run loop of a guest thread: run guest code until something happens, handle it, look at
 * signals, and again.
 */
#include "abi/mman.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/syscall/syscall.h"
#include "sentry/syscall/trace.h"

static void
handle_fault(struct task *t, const struct plat_fault *f)
{
	struct lx_siginfo info = {.signo = f->signo, .code = f->code};
	struct mm_call mc;
	int prot;

	info.fault.addr = f->addr;
	if (f->signo == LX_SIGSEGV && f->trapno == 14) {
		prot = f->err & 16 ? LX_PROT_EXEC : f->err & 2 ? LX_PROT_WRITE : LX_PROT_READ;
		task_mm_call(t, &mc);
		if (mm_fault(&mc, f->addr, prot))
			return;
		info.code = mm_mapped(t->mm, f->addr) ? LX_SEGV_ACCERR : LX_SEGV_MAPERR;
	}
	log_debug("%d %s: fault signal %d code %d at %#lx, rip %#lx", t->tid, t->comm, f->signo,
		info.code, (unsigned long)f->addr, (unsigned long)plat->regs(t->pt)->rip);
	signal_force(t, f->signo, &info);
}

static void
handle_gone(struct task *t)
{
	/* The host process was killed, or destroyed itself: to its parent it died by SIGKILL. */
	atomic_fetch_or(&t->work, TW_GONE);
	mutex_lock(&t->tgroup->sighand->lock);
	tgroup_start_exit_locked(t->tgroup, LX_SIGKILL, NULL);
	mutex_unlock(&t->tgroup->sighand->lock);
}

#define TF_FUTEX_ALL	(TF_FUTEX | TF_FUTEX_AGAIN | TF_FUTEX_UNTIL)
#define NR_FUTEX	202
#define NR_RESTART	219
#define NR_FUTEX_WAITV	449
#define NR_FUTEX_WAIT	455
#define FUTEX_WAITV_MAX 128

/* --- a FUTEX_WAIT with a timeout, which is a span, goes on after a stop with what is left --- */

static void
futex_due(struct timer *tm)
{
	struct task *t = tm->arg;

	plat->kick(t->pt);
}

void
task_futex_init(struct task *t)
{
	timer_init(&t->futex_timer, futex_due, t);
}

/* A wait for this value whose time has come, and which may have been cut short before it began. */
static int64_t
futex_timed_out(struct task *t, uint64_t addr, uint32_t expected)
{
	uint32_t v;

	if (copy_in(&t->mem.um, &v, ua(addr), sizeof v))
		return -EFAULT;
	return v == expected ? -ETIMEDOUT : -EAGAIN;
}

static int64_t
futex_again(struct task *t)
{
	if (sched_now_ns() >= t->restart_deadline_ns)
		return futex_timed_out(t, t->args[0], (uint32_t)t->args[2]);
	t->flags |= TF_NO_RESULT | TF_FUTEX | TF_FUTEX_AGAIN;
	return 0;
}

/* What the rest of the wait has come to. */
static int64_t
futex_again_over(struct task *t, int64_t r)
{
	atomic_store_explicit(&t->nr, NR_RESTART, memory_order_relaxed);
	if (r != -EINTR)
		return r;
	return sched_now_ns() >= t->restart_deadline_ns ? -ETIMEDOUT : -ERESTART_RESTARTBLOCK;
}

/* Futexes: a wait without a timeout is restarted after a handler with SA_RESTART, one with a
 * timeout never. The other operations do not wait: cut short means not done. */
static int64_t
futex_restart(struct task *t, const struct plat_event *ev)
{
	const uint64_t *args = ev->args;
	uint64_t op = args[1] & 127;
	uint32_t nr = ev->nr;
	int64_t r = ev->result;

	if (r != -EINTR && r != -ERESTARTSYS)
		return r;
	if (nr == NR_FUTEX_WAITV || nr == NR_FUTEX_WAIT)
		return -ERESTARTSYS; /* their times are absolute */
	if (nr != NR_FUTEX)
		return -ERESTARTNOINTR;
	if (op != 0 && op != 9) /* FUTEX_WAIT, FUTEX_WAIT_BITSET */
		return -ERESTARTNOINTR;
	if (!args[3])
		return -ERESTARTSYS;
	if (op == 9)
		return -ERESTARTNOHAND; /* a time */
	if (ev->deadline_ns)
		t->restart_deadline_ns = ev->deadline_ns;
	t->restart_fn = futex_again;
	return -ERESTART_RESTARTBLOCK;
}

static int64_t
futex_waitv_timed_out(struct task *t, uint64_t addr, uint32_t n)
{
	struct {
		uint64_t value, addr;
		uint32_t flags, reserved;
	} w;
	int64_t r = -ETIMEDOUT;

	for (uint32_t i = 0; i < n && i < FUTEX_WAITV_MAX && r == -ETIMEDOUT; i++) {
		if (copy_in(&t->mem.um, &w, ua(addr + i * sizeof w), sizeof w))
			return -EFAULT;
		r = futex_timed_out(t, w.addr, (uint32_t)w.value);
	}
	return r;
}

/* A wait whose time the host does not know: its clock is of another time namespace. */
static int64_t
futex_until_over(struct task *t, const struct plat_event *ev)
{
	int64_t r = ev->result;

	if ((r != -EINTR && r != -ERESTARTSYS) || sched_now_ns() < t->restart_deadline_ns)
		return futex_restart(t, ev);
	switch (ev->nr) {
	case NR_FUTEX_WAITV:
		return futex_waitv_timed_out(t, ev->args[0], (uint32_t)ev->args[1]);
	case NR_FUTEX_WAIT:
		return futex_timed_out(t, ev->args[0], (uint32_t)ev->args[1]);
	default:
		return futex_timed_out(t, ev->args[0], (uint32_t)ev->args[2]);
	}
}

void
task_main(void *arg)
{
	struct task *t = arg;
	struct plat_event ev;
	enum plat_futex futex;

	fiber_set_local(t);
	for (;;) {
		int64_t result = 0;
		bool has_result = false;
		uint32_t watched;

		/* In this order with task_wake_for_work(): both are sequentially consistent. */
		atomic_store(&t->in_guest, true);
		if (atomic_load(&t->tgroup->container->paused) &&
			!(atomic_load(&t->work) & TW_EXIT)) {
			atomic_store(&t->in_guest, false);
			kernel_pause_here(t);
			continue;
		}
		if (atomic_load(&t->work)) {
			atomic_store(&t->in_guest, false);
			if (atomic_load(&t->work) & TW_IDENTITY) {
				atomic_fetch_and(&t->work, ~TW_IDENTITY);
				task_publish_identity(t);
			}
			/* A futex call that is still to be made is made again after that, from its
			 * own registers. */
			if (t->flags & TF_FUTEX) {
				result = -ERESTARTNOINTR;
				t->flags &= ~(uint32_t)TF_FUTEX_ALL;
				if (ptrace_traced(t))
					task_syscall_exit(t, true, &result);
				signal_work(t, true, result);
			} else {
				signal_work(t, false, 0);
			}
			continue;
		}
		futex = PLAT_FUTEX_AS_ASKED;
		if (t->flags & TF_FUTEX) {
			if (t->flags & TF_FUTEX_AGAIN)
				futex = PLAT_FUTEX_AGAIN;
			else if (t->flags & TF_FUTEX_UNTIL)
				futex = PLAT_FUTEX_UNTIMED;
			t->flags &= ~(uint32_t)TF_FUTEX_ALL;
			plat->futex_native(t->pt, futex);
			if (futex != PLAT_FUTEX_AS_ASKED)
				timer_arm(&t->futex_timer, t->restart_deadline_ns);
		}
		plat->run(t->pt, &ev);
		if (__builtin_expect(futex != PLAT_FUTEX_AS_ASKED, 0))
			timer_cancel_sync(&t->futex_timer);
		atomic_store(&t->in_guest, false);

		switch (ev.kind) {
		case PLAT_EV_SYSCALL:
			if (ev.compat) {
				plat->set_result(t->pt, -ENOSYS);
				continue;
			}
			atomic_store_explicit(&t->nr, ev.nr, memory_order_relaxed);
			watched = atomic_load_explicit(&t->syscall_work, memory_order_relaxed);
			if (__builtin_expect(watched != 0, 0) &&
				!task_syscall_enter(t, &ev, &result))
				syscall_done_elsewhere(t, ev.nr, ev.args, result);
			else
				result = syscall_dispatch(t, ev.nr, ev.args);
			if (t->flags & TF_FUTEX) {
				t->flags &= ~(uint32_t)TF_NO_RESULT;
				continue; /* it is looked at above whether something comes first */
			}
			if (t->flags & TF_NO_RESULT)
				t->flags &= ~(uint32_t)TF_NO_RESULT;
			else
				has_result = true;
			break;
		case PLAT_EV_FUTEX:
			atomic_store_explicit(&t->nr, ev.nr, memory_order_relaxed);
			if (ptrace_traced(t))
				plat->regs(t->pt)->orig_rax = ev.nr;
			result = futex == PLAT_FUTEX_AGAIN     ? futex_again_over(t, ev.result)
				 : futex == PLAT_FUTEX_UNTIMED ? futex_until_over(t, &ev)
							       : futex_restart(t, &ev);
			result = syscall_done_elsewhere(t, ev.nr, ev.args, result);
			has_result = true;
			break;
		case PLAT_EV_FAULT:
			handle_fault(t, &ev.fault);
			break;
		case PLAT_EV_INTERRUPT:
			break;
		case PLAT_EV_GONE:
			handle_gone(t);
			break;
		}
		if (__builtin_expect(ptrace_traced(t), 0) &&
			(ev.kind == PLAT_EV_SYSCALL || ev.kind == PLAT_EV_FUTEX))
			task_syscall_exit(t, has_result, &result);
		if (!atomic_load(&t->work) && !(result <= -512 && result >= -516)) {
			if (has_result)
				plat->set_result(t->pt, result);
			continue;
		}
		if (atomic_load(&t->work) & TW_IDENTITY) {
			atomic_fetch_and(&t->work, ~TW_IDENTITY);
			task_publish_identity(t);
		}
		signal_work(t, has_result, result);
	}
}

static void
cloned_main(void *arg)
{
	struct task *t = arg;

	fiber_set_local(t);
	trace_new(t);
	task_main(t);
}

int
fiber_spawn_task(struct task *t)
{
	/* The fiber must be known before it runs: others wake it by t->fiber. */
	return fiber_spawn(cloned_main, t, &t->fiber);
}
