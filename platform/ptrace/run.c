/* SPDX-License-Identifier: Apache-2.0 */
/*
 * run(): let a thread go, and what its stop means.
 *
 * A kick is never lost: pt_kick() stores kick, then looks at running_now; pt_run() stores
 * running_now, and the tracer looks at kick after the thread goes. A signal that is sent to a
 * stopped thread waits for it; one that a job met on the way is stored in kick again.
 */
#include "abi/restart.h"
#include "platform/ptrace/internal.h"
#include <linux/audit.h>
#include <linux/futex.h>
#include <linux/ptrace.h>
#include <linux/rseq.h>
#include <signal.h>
#include <stddef.h>
#include <sys/user.h>
#include <sys/wait.h>

static void
resume(struct plat_thread *t)
{
	pt_call(t->state == PT_FUTEX ? PTRACE_CONT : PTRACE_SYSEMU, t->tid, 0, NULL);
}

/* --- what a stop means --- */

static void
syscall_stop(struct plat_thread *t)
{
	struct ptrace_syscall_info si = {0};
	struct plat_event *ev = &t->ev;

	t->in_syscall = true;
	if (pt_call(PTRACE_GET_SYSCALL_INFO, t->tid, sizeof si, &si) <= 0 ||
		si.op != PTRACE_SYSCALL_INFO_ENTRY) {
		pt_fetch_regs(t); /* it has been killed, most likely */
		si.arch = AUDIT_ARCH_X86_64;
		si.entry.nr = t->regs.orig_rax;
		memcpy(si.entry.args,
			(const uint64_t[]){t->regs.rdi, t->regs.rsi, t->regs.rdx, t->regs.r10,
				t->regs.r8, t->regs.r9},
			sizeof si.entry.args);
	}
	memset(ev, 0, sizeof *ev);
	ev->nr = (uint32_t)si.entry.nr;
	ev->compat = (ev->nr & 0x40000000) != 0 || si.arch != AUDIT_ARCH_X86_64;
	memcpy(ev->args, si.entry.args, sizeof ev->args);
	pt_complete(t, PLAT_EV_SYSCALL);
}

/* A signal ends a restartable sequence (rseq(2)). The host does that where it delivers one, which
 * the tracer never lets it; and it would forget the sequence when it finds the thread in the stub's
 * code. */
static void
leave_sequence(struct plat_thread *t)
{
	const uint64_t at = t->rseq.addr + offsetof(struct rseq, rseq_cs), none = 0;
	struct rseq_cs cs;
	uint64_t p;
	uint32_t sig;

	if (!t->rseq.addr || host_vm_read(t->sp->pid, &p, at, sizeof p) < 0 || !p ||
		host_vm_read(t->sp->pid, &cs, p, sizeof cs) < 0)
		return;
	pt_fetch_regs(t);
	/* What is wrong with it is left to the host, which kills for it. */
	if (t->regs.rip - cs.start_ip >= cs.post_commit_offset || cs.version ||
		cs.abort_ip - cs.start_ip < cs.post_commit_offset ||
		host_vm_read(t->sp->pid, &sig, cs.abort_ip - sizeof sig, sizeof sig) < 0 ||
		sig != t->rseq.sig || host_vm_write(t->sp->pid, at, &none, sizeof none) < 0)
		return;
	t->regs.rip = cs.abort_ip;
	t->regs_dirty = true;
}

static void
fault_stop(struct plat_thread *t, const siginfo_t *si)
{
	struct plat_fault *f = &t->ev.fault;

	leave_sequence(t);
	memset(&t->ev, 0, sizeof t->ev);
	f->signo = si->si_signo;
	f->code = si->si_code;
	f->addr = (uint64_t)si->si_addr;
	/* The error code is not to be had by ptrace: what the code of the signal tells of it. */
	if (f->signo == SIGSEGV || f->signo == SIGBUS) {
		f->err = 4 | (f->code == SEGV_ACCERR);
		f->trapno = f->code == SI_KERNEL ? 13 : 14;
	} else {
		f->trapno = f->signo == SIGILL	  ? 6
			    : f->signo == SIGTRAP ? 3
			    : f->signo == SIGFPE  ? 0
						  : 17;
	}
	pt_complete(t, PLAT_EV_FAULT);
}

static void
futex_over(struct plat_thread *t, bool interrupted)
{
	int64_t r;

	atomic_store_explicit(&t->futex_waits, false, memory_order_relaxed);
	pt_fetch_regs(t);
	r = (int64_t)t->regs.rax;
	if (interrupted) {
		if (t->regs.rip == pt.lay.base + PT_TEXT_SYSCALL)
			r = -EINTR; /* not begun */
		else if (r <= -512 && r >= -516)
			r = -EINTR; /* the host would restart the call or make it fail */
	}
	t->regs = t->saved;
	t->regs.rax = (uint64_t)r;
	t->regs.orig_rax = (uint64_t)-1;
	t->regs_dirty = true;
	memset(&t->ev, 0, sizeof t->ev);
	t->ev.nr = t->futex_nr;
	t->ev.result = r;
	t->ev.args[0] = t->saved.rdi;
	t->ev.args[1] = t->saved.rsi;
	t->ev.args[2] = t->saved.rdx;
	t->ev.args[3] = t->saved.r10;
	t->ev.args[4] = t->saved.r8;
	t->ev.args[5] = t->saved.r9;
	pt_complete(t, PLAT_EV_FUTEX);
}

void
pt_stopped(struct plat_thread *t, int status)
{
	int sig = WSTOPSIG(status);
	siginfo_t si;

	if (t->state != PT_RUNNING && t->state != PT_FUTEX)
		return;
	if (status >> 16) {
		resume(t);
		return;
	}
	pt_place_stopped(t);
	t->regs_known = t->regs_dirty = t->has_result = t->in_syscall = false;
	if (sig == (SIGTRAP | 0x80)) {
		syscall_stop(t);
		return;
	}
	if (sig == PT_KICK_SIGNAL) {
		atomic_store(&t->kick, 0);
		if (t->state == PT_FUTEX) {
			futex_over(t, true);
		} else {
			leave_sequence(t);
			memset(&t->ev, 0, sizeof t->ev);
			pt_complete(t, PLAT_EV_INTERRUPT);
		}
		return;
	}
	memset(&si, 0, sizeof si);
	pt_call(PTRACE_GETSIGINFO, t->tid, 0, &si);
	if (t->state == PT_FUTEX && sig == SIGTRAP)
		futex_over(t, false);
	else if (t->state != PT_FUTEX && si.si_code > 0 &&
		 (sig == SIGSEGV || sig == SIGBUS || sig == SIGFPE || sig == SIGILL ||
			 sig == SIGTRAP))
		fault_stop(t, &si);
	else
		resume(t);
}

/* --- registers --- */

static int64_t
job_fetch(struct plat_thread *t, void *arg)
{
	(void)arg;
	return pt_fetch_regs(t);
}

struct guest_regs *
pt_regs(struct plat_thread *t)
{
	if (!t->regs_known)
		pt_job(job_fetch, t, NULL);
	return &t->regs;
}

void
pt_regs_dirty(struct plat_thread *t)
{
	pt_regs(t);
	t->regs_dirty = true;
}

void
pt_set_result(struct plat_thread *t, int64_t v)
{
	t->result = v;
	t->has_result = true;
	if (t->regs_known)
		t->regs.rax = (uint64_t)v;
}

/* --- run --- */

/* If the thread has been killed these fail, and its death is reported next. */
static void
load(struct plat_thread *t)
{
	if (t->futex) {
		struct guest_regs r;

		pt_fetch_regs(t);
		r = t->saved = t->regs;
		r.rip = pt.lay.base + PT_TEXT_SYSCALL;
		r.rax = t->futex_nr;
		if (t->futex_how == PLAT_FUTEX_AGAIN)
			r.rsi &= FUTEX_PRIVATE_FLAG; /* FUTEX_WAIT */
		if (t->futex_how != PLAT_FUTEX_AS_ASKED)
			*(t->futex_nr == __NR_futex_wait ? &r.r8 : &r.r10) = 0;
		r.orig_rax = (uint64_t)-1;
		t->futex = false;
		t->state = PT_FUTEX;
		atomic_store_explicit(&t->futex_waits, true, memory_order_relaxed);
		pt_write_regs(t, &r);
	} else if (t->regs_dirty) {
		t->regs.orig_rax = (uint64_t)-1;
		pt_write_regs(t, &t->regs);
	} else if (t->has_result) {
		pt_call(PTRACE_POKEUSR, t->tid, offsetof(struct user, regs.rax), (void *)t->result);
	}
	t->regs_known = t->regs_dirty = t->has_result = t->in_syscall = false;
}

static int64_t
job_run(struct plat_thread *t, void *arg)
{
	int err = pt_make_ops(t);

	(void)arg;
	if (err < 0 && err != -ESRCH) {
		log_debug("pid %d: a queued host call failed: %d", (int)t->sp->pid, err);
		host_kill(t->sp->pid, SIGKILL);
	}
	if (t->state == PT_DEAD) {
		pt_complete(t, PLAT_EV_GONE);
		return 0;
	}
	t->state = PT_RUNNING;
	load(t);
	pt_place_resume(t);
	resume(t);
	if (atomic_load(&t->kick))
		host_tgkill(t->sp->pid, t->tid, PT_KICK_SIGNAL);
	return 0;
}

void
pt_run(struct plat_thread *t, struct plat_event *ev)
{
	if (atomic_exchange(&t->kick, 0)) {
		memset(ev, 0, sizeof *ev);
		ev->kind = PLAT_EV_INTERRUPT;
		if (t->futex) {
			/* Not begun: its registers are to make it again, after what comes first. */
			t->futex = false;
			ev->kind = PLAT_EV_FUTEX;
			ev->nr = t->futex_nr;
			ev->result = -ERESTARTNOINTR;
		}
		return;
	}
	t->cookie = pt.env->self();
	atomic_store(&t->done, 0);
	atomic_store(&t->running_now, 1);
	pt_job(job_run, t, NULL);
	pt_wait_run(t);
	*ev = t->ev;
}

void
pt_kick(struct plat_thread *t)
{
	atomic_store(&t->kick, 1);
	if (atomic_load(&t->running_now))
		host_tgkill(t->sp->pid, t->tid, PT_KICK_SIGNAL);
}
