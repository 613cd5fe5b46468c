/* SPDX-License-Identifier: Apache-2.0 */
/* Registers of a stopped thread, and running the engine's few instructions in it. */
#include "platform/ptrace/internal.h"
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

long
pt_call(long req, pid_t tid, uint64_t addr, const void *data)
{
	return host_call4(SYS_ptrace, req, tid, addr, data);
}

int
pt_write_regs(struct plat_thread *t, const struct guest_regs *r)
{
	struct guest_regs w = *r;

	w.cs = 0x33;
	w.ss = 0x2b;
	w.ds = w.es = w.fs = w.gs = 0;
	if (w.fs_base >= X86_USER_TOP)
		w.fs_base = 0;
	if (w.gs_base >= X86_USER_TOP)
		w.gs_base = 0;
	return (int)pt_call(PTRACE_SETREGS, t->tid, 0, &w);
}

int
pt_fetch_regs(struct plat_thread *t)
{
	if (t->regs_known)
		return 0;
	if (pt_call(PTRACE_GETREGS, t->tid, 0, &t->regs) < 0)
		memset(&t->regs, 0, sizeof t->regs); /* killed: its death is reported next */
	if (t->in_syscall)
		t->regs.rax = (uint64_t)-ENOSYS;
	else
		t->regs.orig_rax = (uint64_t)-1;
	if (t->has_result)
		t->regs.rax = (uint64_t)t->result;
	t->regs_known = true;
	return 0;
}

/* Run the stub's code at `entry` with these registers until its int3: rax, or -EFAULT if it
 * faulted. The thread's own registers have been fetched, and have to be loaded again. */
int64_t
pt_inject(struct plat_thread *t, uint64_t entry, const struct guest_regs *r)
{
	struct guest_regs in = *r;
	int status, err;

	if (t->state == PT_DEAD)
		return -ESRCH;
	in.rip = pt.lay.base + entry;
	in.orig_rax = (uint64_t)-1;
	in.eflags = 0x202;
	t->regs_dirty = true;
	t->child = 0;
	/* Both fail for a thread that has been killed: then the wait is for its death. */
	pt_write_regs(t, &in);
	for (;;) {
		int sig;

		pt_call(PTRACE_CONT, t->tid, 0, NULL);
		err = pt_wait_stop(t, &status);
		if (err < 0)
			return err;
		sig = WSTOPSIG(status);
		if (status >> 16) {
			unsigned long msg = 0;

			pt_call(PTRACE_GETEVENTMSG, t->tid, 0, &msg);
			t->child = (pid_t)msg;
		} else if (sig == PT_KICK_SIGNAL) {
			atomic_store(&t->kick, 1);
		} else if (sig == SIGTRAP) {
			struct guest_regs out;

			if (pt_call(PTRACE_GETREGS, t->tid, 0, &out) < 0)
				return -ESRCH;
			return (int64_t)out.rax;
		} else if (sig == SIGSEGV || sig == SIGBUS) {
			return -EFAULT;
		} else if (sig == SIGSYS) {
			return -EPERM;
		}
	}
}

int64_t
pt_syscall(struct plat_thread *t, long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
	uint64_t e, uint64_t f)
{
	struct guest_regs r;

	if (t->state == PT_DEAD)
		return -ESRCH;
	pt_fetch_regs(t);
	r = t->regs;
	r.rax = (uint64_t)nr;
	r.rdi = a;
	r.rsi = b;
	r.rdx = c;
	r.r10 = d;
	r.r8 = e;
	r.r9 = f;
	return pt_inject(t, PT_TEXT_SYSCALL, &r);
}
