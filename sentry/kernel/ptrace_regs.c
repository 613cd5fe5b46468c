/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a tracer asks of a stopped tracee: registers, floating point, memory, signals, the syscall.
 * All but the memory of a running task is done in the tracee's own fiber (ptrace_call).
 */
#include "sentry/kernel/ptrace_regs.h"
#include "abi/mman.h"
#include "abi/seccomp.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/internal.h"
#include <stdlib.h>
#include <string.h>

/* What a tracer may change of eflags: CF PF AF ZF SF TF DF OF NT RF AC. */
#define EFLAGS_USER 0x54dd5ull
#define NREGS	    27

static bool
regs_ok(const struct guest_regs *old, const struct guest_regs *n)
{
	return n->fs_base < plat->guest_top() && n->gs_base < plat->guest_top() &&
	       n->cs == old->cs && n->ss == old->ss && n->ds == old->ds && n->es == old->es &&
	       n->fs == old->fs && n->gs == old->gs;
}

static int64_t
set_regs(struct task *t, const struct guest_regs *n)
{
	struct guest_regs *r = plat->regs(t->pt);
	uint64_t eflags = (r->eflags & ~EFLAGS_USER) | (n->eflags & EFLAGS_USER);

	if (!regs_ok(r, n))
		return -EIO;
	*r = *n;
	r->eflags = eflags;
	plat->regs_dirty(t->pt);
	return 0;
}

int64_t
ptrace_do_getregs(struct task *t, void *arg)
{
	struct ptrace_regs_arg *a = arg;

	a->regs = *plat->regs(t->pt);
	return 0;
}

int64_t
ptrace_do_setregs(struct task *t, void *arg)
{
	struct ptrace_regs_arg *a = arg;

	return set_regs(t, &a->regs);
}

int64_t
ptrace_do_peekuser(struct task *t, void *arg)
{
	struct ptrace_word_arg *a = arg;
	const uint64_t *r = (const uint64_t *)plat->regs(t->pt);

	if ((a->addr & 7) || a->addr >= LX_USER_SIZE)
		return -EIO;
	/* Debug registers are the host's: they read as not set. */
	a->value = a->addr / 8 < NREGS ? r[a->addr / 8] : 0;
	return 0;
}

int64_t
ptrace_do_pokeuser(struct task *t, void *arg)
{
	struct ptrace_word_arg *a = arg;
	struct guest_regs n = *plat->regs(t->pt);

	if ((a->addr & 7) || a->addr >= LX_USER_SIZE)
		return -EIO;
	if (a->addr / 8 < NREGS) {
		((uint64_t *)&n)[a->addr / 8] = a->value;
		return set_regs(t, &n);
	}
	if (a->addr >= LX_USER_DEBUGREG_OFF && a->addr < LX_USER_DEBUGREG_OFF + 64)
		return a->value ? -ENOSPC : 0; /* all are in use, and none is set */
	return -EIO;
}

int64_t
ptrace_do_getfp(struct task *t, void *arg)
{
	struct ptrace_fp_arg *a = arg;
	ssize_t n = plat->get_xstate(t->pt, a->buf, sizeof a->buf);

	if (n < 0)
		return n;
	a->len = (size_t)n;
	return 0;
}

int64_t
ptrace_do_setfp(struct task *t, void *arg)
{
	struct ptrace_fp_arg *a = arg;
	uint8_t *have;
	ssize_t n;
	int err;

	if (a->len > PTRACE_FXSAVE_SIZE)
		return plat->set_xstate(t->pt, a->buf, a->len);
	/* Only the old part changes. */
	have = malloc(PTRACE_XSTATE_MAX);
	if (!have)
		return -ENOMEM;
	n = plat->get_xstate(t->pt, have, PTRACE_XSTATE_MAX);
	if (n >= PTRACE_FXSAVE_SIZE) {
		memcpy(have, a->buf, 464);
		if (n >= PTRACE_FXSAVE_SIZE + 8)
			have[PTRACE_FXSAVE_SIZE] |= 3; /* x87 and SSE are in use */
		err = plat->set_xstate(t->pt, have, (size_t)n);
	} else {
		err = n < 0 ? (int)n : -EIO;
	}
	free(have);
	return err;
}

/* --- memory --- */

struct poke_arg {
	struct mm *mm;
	uint64_t addr;
	const void *buf;
	uint64_t len;
};

static int64_t
do_poke(struct task *t, void *arg)
{
	struct poke_arg *a = arg;
	struct mm_call mc;

	if (t->mm != a->mm)
		return -EFAULT;
	task_mm_call(t, &mc);
	return mm_poke_forced(&mc, a->addr, a->buf, a->len);
}

int
task_poke_forced(struct task *t, struct task *target, struct mm *mm, uint64_t addr, const void *buf,
	uint64_t len)
{
	struct poke_arg a = {mm, addr, buf, len};
	int64_t r;

	if (task_peek_poke(target, mm, addr, (void *)(uintptr_t)buf, len, true) == 0)
		return 0;
	if (target == t)
		return do_poke(t, &a) ? -EFAULT : 0;
	r = ptrace_call(t, target, do_poke, &a);
	if (r == -ESRCH) {
		struct task *o = ptrace_stopped_thread(t, target->tgroup);

		r = o ? ptrace_call(t, o, do_poke, &a) : r;
		task_put(o);
	}
	return r ? -EFAULT : 0;
}

/* --- signals --- */

int64_t
ptrace_do_getsiginfo(struct task *t, void *arg)
{
	struct tracee *e = &t->tracee;
	int64_t r = -EINVAL;

	mutex_lock(&tasklist_lock);
	if (e->has_info) {
		*(struct lx_siginfo *)arg = e->info;
		r = 0;
	}
	mutex_unlock(&tasklist_lock);
	return r;
}

int64_t
ptrace_do_setsiginfo(struct task *t, void *arg)
{
	struct tracee *e = &t->tracee;
	int64_t r = -EINVAL;

	mutex_lock(&tasklist_lock);
	if (e->has_info) {
		e->info = *(struct lx_siginfo *)arg;
		r = 0;
	}
	mutex_unlock(&tasklist_lock);
	return r;
}

int64_t
ptrace_do_peeksiginfo(struct task *t, void *arg)
{
	struct ptrace_peek_arg *a = arg;
	struct sigpending *p = a->shared ? &t->tgroup->shared_pending : &t->pending;
	struct sigqueue *q;
	uint64_t at = 0;

	a->n = 0;
	mutex_lock(&t->tgroup->sighand->lock);
	list_for_each_entry (q, &p->queue, node)
		if (at++ >= a->off && a->n < PTRACE_PEEK_MAX)
			a->info[a->n++] = q->info;
	mutex_unlock(&t->tgroup->sighand->lock);
	return 0;
}

int64_t
ptrace_do_sigmask(struct task *t, void *arg)
{
	struct ptrace_mask_arg *a = arg;

	if (a->set) {
		signal_set_mask(t, a->mask);
		t->flags &= ~(uint32_t)TF_RESTORE_MASK;
	} else {
		a->mask = t->flags & TF_RESTORE_MASK ? t->saved_mask : t->blocked;
	}
	return 0;
}

/* --- the syscall --- */

int64_t
ptrace_do_syscall_info(struct task *t, void *arg)
{
	struct lx_ptrace_syscall_info *s = arg;
	const struct guest_regs *r = plat->regs(t->pt);
	struct tracee *e = &t->tracee;
	int32_t code;
	uint64_t message;

	memset(s, 0, sizeof *s);
	mutex_lock(&tasklist_lock);
	code = e->has_info ? e->info.code : 0;
	message = e->message;
	mutex_unlock(&tasklist_lock);
	s->arch = LX_AUDIT_ARCH_X86_64;
	s->ip = r->rip;
	s->sp = r->rsp;
	if (code == (LX_SIGTRAP | 0x80) && message == LX_PTRACE_EVENTMSG_SYSCALL_EXIT) {
		s->op = 2;
		s->exit.rval = (int64_t)r->rax;
		s->exit.is_error = s->exit.rval < 0 && s->exit.rval >= -4095;
		return offsetof(struct lx_ptrace_syscall_info, exit.is_error) + 1;
	}
	if (code == (LX_SIGTRAP | 0x80) && message == LX_PTRACE_EVENTMSG_SYSCALL_ENTRY)
		s->op = 1;
	else if (code == (LX_SIGTRAP | LX_PTRACE_EVENT_SECCOMP << 8))
		s->op = 3;
	else
		return offsetof(struct lx_ptrace_syscall_info, entry);
	s->entry.nr = r->orig_rax;
	s->entry.args[0] = r->rdi;
	s->entry.args[1] = r->rsi;
	s->entry.args[2] = r->rdx;
	s->entry.args[3] = r->r10;
	s->entry.args[4] = r->r8;
	s->entry.args[5] = r->r9;
	s->entry.ret_data = (uint32_t)message;
	return s->op == 3 ? offsetof(struct lx_ptrace_syscall_info, entry.ret_data) + 4
			  : offsetof(struct lx_ptrace_syscall_info, entry.ret_data);
}
