/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exchange with a stub, and run().
 *
 * Arming. A fiber hands the slot to the stub (state becomes REPLY), then sets armed and parks until
 * armed is 0 again. Whoever clears armed by an exchange unparks the fiber: a poller that saw state
 * REQ, or the reaper. The stub may post REQ before the fiber has armed, when a look finds nothing
 * to do: so the fiber looks at state itself after arming. The reaper sets gone first, and the fiber
 * looks at gone after arming; a kick sets kick first and signals if it then sees armed, and the
 * fiber looks at kick after arming. So neither can be missed.
 */
#include "abi/restart.h"
#include "platform/trap/internal.h"
#include <linux/futex.h>

void
trap_arm(struct plat_thread *t)
{
	t->cookie = trap.env->self();
	/* A kick that was sent before has been answered: the thread came back. */
	if (atomic_load_explicit(&t->due_ns, memory_order_relaxed))
		atomic_store(&t->due_ns, 0);
	atomic_store(&t->armed, 1);
}

/* What was asked, copied once; lengths and kinds are checked by those who use them. */
static int
take_request(struct plat_thread *t)
{
	struct {
		uint32_t state, nr;
		uint8_t kind, rflags, nops, cold;
		uint32_t ncarried;
		uint64_t args[6];
	} line;

	memcpy(&line, t->s, sizeof line);
	t->kind = line.kind & STUB_KIND_MASK;
	t->frame = (line.kind & STUB_KIND_FRAME) != 0;
	t->compat = (line.kind & STUB_KIND_COMPAT) != 0;
	t->nr = line.nr;
	memcpy(t->args, line.args, sizeof t->args);
	t->ncarried = line.ncarried < STUB_NCARRIED ? line.ncarried : STUB_NCARRIED;
	return t->kind;
}

int
trap_wait_event(struct plat_thread *t)
{
	/* Between the reply and arming the stub may have asked again, and a poller looked in vain.
	 */
	if (atomic_load(&t->gone) || (__atomic_load_n(&t->s->state, __ATOMIC_SEQ_CST) &
					     ~(uint32_t)STUB_WAITER) == STUB_REQ)
		trap_poll_disarm(t);
	while (atomic_load_explicit(&t->armed, memory_order_acquire))
		trap.env->park();
	if (atomic_load(&t->gone))
		return -ESRCH;
	return __atomic_load_n(&t->s->kind, __ATOMIC_RELAXED) & STUB_KIND_MASK;
}

static unsigned
write_reply(struct plat_thread *t, unsigned rflags)
{
	struct stub_slot *s = t->s;

	if ((rflags & STUB_R_AGAIN) && !t->push) {
		/* Registers and result wait for the reply that lets the guest go on. */
	} else if (t->dirty) {
		if (t->regs.fs_base != t->fs_base) {
			rflags |= STUB_R_FSBASE;
			t->fs_base = t->regs.fs_base;
		}
		if (t->regs.gs_base != t->gs_base) {
			rflags |= STUB_R_GSBASE;
			t->gs_base = t->regs.gs_base;
		}
		s->regs = t->regs;
		/* What is pushed for a signal's frame is shown to the guest. */
		s->regs.rip = t->push ? t->regs.rip : trap_site_enter(t, t->regs.rip);
		if ((rflags & STUB_R_GSBASE) && t->gs_base == 0)
			s->regs.gs_base = trap.base + STUB_SLOTS + (uint64_t)t->index * STUB_STRIDE;
		rflags |= STUB_R_REGS;
		t->dirty = t->has_result = false;
	} else if (t->has_result) {
		s->args[0] = (uint64_t)t->result;
		rflags |= STUB_R_RESULT;
		t->has_result = false;
	}
	t->push = false;
	if (t->told_to_sleep)
		__atomic_store_n(&s->sleeps, t->told_to_sleep = false, __ATOMIC_RELAXED);
	s->rflags = (uint8_t)rflags;
	s->nops = (uint8_t)t->nops;
	return rflags;
}

static void
hand_over(struct plat_thread *t)
{
	uint32_t old = __atomic_exchange_n(&t->s->state, STUB_REPLY, __ATOMIC_SEQ_CST);

	if (!t->hot)
		trap_poll_promote(t);
	trap_arm(t);
	if (old & STUB_WAITER)
		host_futex_wake(&t->s->state, 1);
}

static void
set_due(struct plat_thread *t, int64_t due)
{
	due &= ~DUE_AGAIN;
	atomic_store(&t->due_ns, due);
	/* It may be the last that anybody does, and the poller asleep for good. */
	if (trap_poll_kicked(due))
		trap.env->look_again();
}

int
trap_begin(struct plat_thread *t, unsigned rflags)
{
	if (atomic_load_explicit(&t->gone, memory_order_relaxed))
		return -ESRCH;
	write_reply(t, rflags);
	hand_over(t);
	if (t->patience_ns)
		set_due(t, host_now_ns() + t->patience_ns);
	/* A kick that came before t was armed has set no time, and may have signalled nobody. */
	if (atomic_load(&t->kick)) {
		if (!t->patience_ns)
			set_due(t, host_now_ns() + TRAP_KICK_LIMIT_NS);
		if (!(rflags & STUB_R_AGAIN))
			host_tgkill(t->sp->pid, t->tid, TRAP_KICK_SIGNAL);
	}
	return 0;
}

int
trap_exchange(struct plat_thread *t, unsigned rflags)
{
	return trap_begin(t, rflags) < 0 ? -ESRCH : trap_wait_event(t);
}

void
trap_post_last(struct plat_thread *t)
{
	write_reply(t, 0);
	if (__atomic_exchange_n(&t->s->state, STUB_REPLY, __ATOMIC_SEQ_CST) & STUB_WAITER)
		host_futex_wake(&t->s->state, 1);
}

/* The host's frame of the thread, for what needs its FPU state or a full restore. */
int
trap_need_frame(struct plat_thread *t)
{
	uint64_t step;
	int r;

	if (t->frame)
		return 0;
	r = trap_flush(t);
	if (r < 0)
		return r;
	if (!trap_op_new(t, STUB_OP_RETAKE))
		return -ESRCH;
	trap_regs_dirty(t);
	t->push = true;
	/* The stub loads them before it traps: it is not to be stepped itself. */
	step = t->regs.eflags & X86_EFLAGS_TF;
	t->regs.eflags &= ~step;
	r = trap_exchange(t, STUB_R_AGAIN);
	t->regs.eflags |= step;
	t->nops = t->nfds = 0;
	if (r != STUB_K_RETAKEN) {
		trap_space_kill(t->sp);
		return -ESRCH;
	}
	t->frame = true;
	t->dirty = true; /* the frame's address is not one of a trampoline yet */
	return 0;
}

static void
new_request(struct plat_thread *t)
{
	trap_large_release(t);
	trap_file_release(t);
	t->nops = t->nfds = 0;
	t->regs_known = t->dirty = t->has_result = t->carried_known = t->framed = false;
	t->bounce = SLOT_BOUNCE_SZ; /* not known until the list of what was carried is read */
}

struct guest_regs *
trap_regs(struct plat_thread *t)
{
	if (t->framed)
		trap_frame_now(t);
	if (!t->regs_known) {
		memcpy(&t->regs, &t->s->regs, sizeof t->regs);
		t->regs.cs = 0x33;
		t->regs.ss = 0x2b;
		t->regs.ds = t->regs.es = t->regs.fs = t->regs.gs = 0;
		t->regs.gs_base = t->gs_base;
		t->fs_base = t->regs.fs_base;
		if (t->kind == STUB_K_SYSCALL) {
			t->regs.orig_rax = t->nr;
			t->regs.rax = (uint64_t)-ENOSYS;
		} else {
			t->regs.orig_rax = (uint64_t)-1;
		}
		trap_site_rip(t, &t->regs);
		if (t->has_result)
			t->regs.rax = (uint64_t)t->result;
		t->regs_known = true;
	}
	return &t->regs;
}

void
trap_regs_dirty(struct plat_thread *t)
{
	trap_regs(t);
	t->dirty = true;
}

void
trap_set_result(struct plat_thread *t, int64_t v)
{
	t->result = v;
	t->has_result = true;
	if (t->regs_known)
		t->regs.rax = (uint64_t)v;
}

static void
fill_fault(struct plat_thread *t, struct plat_fault *f)
{
	f->signo = t->s->signo;
	f->code = t->s->sigcode;
	f->addr = t->s->fault_addr;
	f->err = t->s->fault_err;
	f->trapno = t->s->fault_trapno;
	if (f->signo < 1 || f->signo > 31)
		f->signo = 11;
}

/* Make what cannot be left to a way out without a frame. */
static int
prepare_exit(struct plat_thread *t)
{
	if (!t->dirty)
		return 0;
	if (t->regs.gs_base != t->gs_base && t->regs.gs_base != 0)
		trap_sites_disable(t);
	if (!t->frame && (t->regs.gs_base != t->gs_base || (t->regs.eflags & X86_EFLAGS_TF)))
		return trap_need_frame(t);
	return 0;
}

void
trap_run(struct plat_thread *t, struct plat_event *ev)
{
	memset(ev, 0, offsetof(struct plat_event, result));
	for (;;) {
		unsigned flags = t->futex;
		int kind;

		if (atomic_load_explicit(&t->kick, memory_order_relaxed) &&
			atomic_exchange(&t->kick, 0)) {
			ev->kind = PLAT_EV_INTERRUPT;
			if (t->futex) {
				/* Not begun: its registers are to make it again, after what comes
				 * first. */
				t->futex = 0;
				ev->kind = PLAT_EV_FUTEX;
				ev->nr = t->nr;
				memcpy(ev->args, t->args, sizeof ev->args);
				ev->result = -ERESTARTNOINTR;
			}
			return;
		}
		if (prepare_exit(t) < 0) {
			ev->kind = PLAT_EV_GONE;
			return;
		}
		t->futex = 0;
		kind = trap_exchange(t, flags);
		if (kind == STUB_K_FAILED) {
			uint32_t at = t->s->failed;

			if (at < t->nops && t->codes[at] == STUB_OP_SIGFRAME) {
				new_request(t);
				t->kind = STUB_K_FAULT;
				ev->kind = PLAT_EV_FAULT;
				ev->fault.signo = SIGSEGV;
				ev->fault.code = 0x80; /* SI_KERNEL */
				return;
			}
			if (at >= t->nops || (t->codes[at] != STUB_OP_COPY_OUT &&
						     t->codes[at] != STUB_OP_PREAD)) {
				log_debug("pid %d: host call %u of a reply failed: %lld",
					(int)t->sp->pid, at < t->nops ? t->codes[at] : 0,
					at < t->nops ? (long long)t->s->ops[at].result : 0);
				kind = -ESRCH;
			} else {
				t->nops = t->nfds = 0;
				trap_set_result(t, -EFAULT);
				t->regs_known = false;
				continue;
			}
		}
		new_request(t);
		if (kind > 0)
			kind = take_request(t);
		switch (kind) {
		case STUB_K_SYSCALL:
			ev->kind = PLAT_EV_SYSCALL;
			ev->nr = t->nr;
			ev->compat = t->compat;
			memcpy(ev->args, t->args, sizeof ev->args);
			if (t->frame && trap.cfg.rewrite_sites && !t->compat)
				trap_site_syscall(t);
			return;
		case STUB_K_FAULT:
			if (t->s->signo == SIGILL && trap_site_illegal(t, trap_regs(t)->rip)) {
				trap_regs_dirty(t); /* on the second half of a rewritten site */
				continue;
			}
			if (t->s->signo == SIGTRAP && t->s->sigcode == 2 /* TRAP_TRACE */ &&
				trap_site_inside(t)) {
				/* It steps itself, and has just left its own code. */
				trap_regs_dirty(t);
				trap_sites_disable(t);
				continue;
			}
			ev->kind = PLAT_EV_FAULT;
			fill_fault(t, &ev->fault);
			return;
		case STUB_K_INTERRUPT:
			atomic_store_explicit(&t->kick, 0, memory_order_relaxed);
			ev->kind = PLAT_EV_INTERRUPT;
			return;
		case STUB_K_FUTEX:
			ev->kind = PLAT_EV_FUTEX;
			ev->nr = t->nr;
			memcpy(ev->args, t->args, sizeof ev->args);
			ev->result = t->s->result;
			if (ev->result < -4095 || ev->result > INT32_MAX)
				ev->result = -EINVAL;
			ev->deadline_ns = t->s->futex_deadline_ns;
			if (ev->deadline_ns < 0)
				ev->deadline_ns = 0;
			return;
		default:
			if (kind != -ESRCH)
				log_debug("pid %d: its stub spoke nonsense", (int)t->sp->pid);
			trap_space_kill(t->sp);
			ev->kind = PLAT_EV_GONE;
			return;
		}
	}
}

void
trap_kick(struct plat_thread *t)
{
	atomic_store(&t->kick, 1);
	if (!atomic_load(&t->armed))
		return;
	if (!atomic_load_explicit(&t->due_ns, memory_order_relaxed))
		set_due(t, host_now_ns() + TRAP_KICK_LIMIT_NS);
	if (host_tgkill(t->sp->pid, t->tid, TRAP_KICK_SIGNAL) == -ESRCH)
		trap_space_kill(t->sp);
}
