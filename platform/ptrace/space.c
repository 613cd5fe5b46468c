/* SPDX-License-Identifier: Apache-2.0 */
/* Stub processes of the ptrace engine and their threads. */
#include "platform/ptrace/internal.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static const uint8_t stub_text[] = {
	[PT_TEXT_SYSCALL] = 0x0f, 0x05, 0xcc, [PT_TEXT_CMPXCHG] = 0xf0, 0x0f, 0xb1, 0x17, 0xcc};

static void
child_check(long r, int code)
{
	if (host_is_err(r))
		for (;;)
			host_call1(SYS_exit_group, code);
}

/* In the child: only raw calls. Ends at an int3 in the stub's page, from where the tracer does the
 * rest. */
static _Noreturn void
zygote_main(void)
{
	const uint64_t base = pt.lay.base, none = 0;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, rw = PROT_READ | PROT_WRITE;
	long s;

	x86_first_forget_libc();
	child_check(host_call4(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8), 20);
	child_check(host_call6(SYS_mmap, base, 4096, (uint64_t)rw, (uint64_t)flags, ~0ull, 0), 21);
	child_check(host_call6(SYS_mmap, base + PT_SCRATCH, 4096, (uint64_t)rw, (uint64_t)flags,
			    ~0ull, 0),
		21);
	memcpy((void *)base, stub_text, sizeof stub_text);
	child_check(host_call3(SYS_mprotect, base, 4096, PROT_READ | PROT_EXEC), 22);
	s = host_call3(SYS_fcntl, pt.sock[1], F_DUPFD, 10);
	child_check(s, 23);
	child_check(host_call3(SYS_dup3, s, 0, 0), 23);
	child_check(host_call3(SYS_close_range, 1, ~0u, 0), 24);
	child_check(x86_first_drop_rights(), 25);
	child_check(host_call4(SYS_ptrace, PTRACE_TRACEME, 0, 0, 0), 26);
	__asm__ volatile("jmp *%0" : : "r"(base + PT_TEXT_SYSCALL + 2) : "memory");
	__builtin_unreachable();
}

/* Drop the sentry's memory, put the vdso in its place, and seal. */
static int
zygote_strip(struct plat_thread *t)
{
	const struct x86_layout *l = &pt.lay;
	const uint64_t end = l->base + X86_REGION_BYTES;
	uint64_t keep[2][2] = {{l->keep_start, l->keep_end}, {l->base, end}}, at = 0;
	uint8_t buf[4096];
	ssize_t n;

	if (keep[0][0] > keep[1][0]) {
		memcpy(keep[0], keep[1], sizeof keep[0]);
		keep[1][0] = l->keep_start;
		keep[1][1] = l->keep_end;
	}
	for (int i = 0; i < 2; i++) {
		if (keep[i][0] > at &&
			pt_syscall(t, SYS_munmap, at, keep[i][0] - at, 0, 0, 0, 0) < 0)
			return -ENOSYS;
		at = keep[i][1] > at ? keep[i][1] : at;
	}
	if (at < X86_USER_TOP && pt_syscall(t, SYS_munmap, at, X86_USER_TOP - at, 0, 0, 0, 0) < 0)
		return -ENOSYS;
	for (uint32_t i = 0; i < l->nmove; i++)
		if (pt_syscall(t, SYS_mremap, l->move[i].from, l->move[i].len, l->move[i].len,
			    MREMAP_MAYMOVE | MREMAP_FIXED, l->move[i].to,
			    0) != (int64_t)l->move[i].to)
			return -ENOSYS;
	n = x86_filter_make(buf, sizeof buf, l->base + PT_SCRATCH, l->base, 4096);
	if (n < 0 || host_vm_write(t->tid, l->base + PT_SCRATCH, buf, (size_t)n) < 0)
		return -ENOSYS;
	if (pt_syscall(t, SYS_seccomp, 1, 0, l->base + PT_SCRATCH, 0, 0, 0) < 0)
		return -ENOSYS;
	return pt_xstate_fresh(t) < 0 ? -ENOSYS : 0;
}

static struct plat_space *
space_alloc(pid_t pid)
{
	struct plat_space *sp = calloc(1, sizeof *sp);

	if (!sp)
		return NULL;
	sp->pid = pid;
	LIVE_INC(PLAT_SPACE);
	return sp;
}

int
pt_zygote_make(void)
{
	long pid = host_call5(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	struct plat_space *sp;
	struct plat_thread *t;
	int status, r;

	if (pid == 0)
		zygote_main();
	if (pid < 0)
		return (int)pid;
	sp = space_alloc((pid_t)pid);
	t = sp ? pt_thread_add(sp, (pid_t)pid) : NULL;
	if (!t)
		return -ENOMEM;
	r = pt_wait_stop(t, &status);
	if (r < 0 || WSTOPSIG(status) != SIGTRAP) {
		log_error("the first stub process cannot be traced (status 0x%x): ptrace is "
			  "refused here",
			r < 0 ? 0 : (unsigned)status);
		return -ENOSYS;
	}
	pt_call(PTRACE_SETOPTIONS, t->tid, 0,
		(void *)(PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
			 PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL));
	pt_fetch_regs(t);
	r = zygote_strip(t);
	if (r < 0) {
		log_error("the first stub process cannot be set up");
		return r;
	}
	pt.zygote = t;
	return 0;
}

static const struct guest_regs fresh_regs = {
	.cs = 0x33, .ss = 0x2b, .eflags = 0x202, .orig_rax = (uint64_t)-1};

struct clone_args {
	bool thread;
	bool fresh; /* of one that has not run */
	void *owner;
	struct plat_thread *ret;
};

static int64_t
job_clone(struct plat_thread *t, void *arg)
{
	struct clone_args *a = arg;
	uint64_t word = pt.lay.base + PT_SCRATCH;
	struct plat_space *sp;
	struct plat_thread *c;
	int status, err;
	int64_t r;

	if (!t)
		t = pt.zygote;
	err = pt_make_ops(t);
	if (err < 0)
		return err;
	if (a->thread)
		atomic_store(&t->sp->had_many, true); /* the host has the new one before we do */
	r = pt_syscall(t, SYS_clone, a->thread ? STUB_CLONE_THREAD : STUB_CLONE_PROCESS, 0, word,
		word, 0, 0);
	if (r < 0)
		return r;
	if (t->child <= 0)
		return -EAGAIN;
	sp = a->thread ? t->sp : space_alloc(t->child);
	c = sp ? pt_thread_add(sp, t->child) : NULL;
	if (!c)
		panic("no memory for a thread");
	err = pt_wait_stop(c, &status);
	if (err < 0) {
		c->state = PT_DEAD;
		atomic_store(&c->gone, 1);
	}
	if (!a->fresh)
		pt_fetch_regs(t);
	c->regs = a->fresh ? fresh_regs : t->regs;
	c->regs_known = c->regs_dirty = true;
	if (!a->thread)
		c->rseq = t->rseq;
	c->place = t->place == PT_HOME ? PT_HOME : PT_UNPLACED; /* as the host copied it */
	c->cpu = t->cpu;
	c->has_mask = t->has_mask;
	c->mask = t->mask;
	c->owner = a->owner;
	a->ret = c;
	return 0;
}

static int
make(struct plat_thread *t, struct clone_args a, struct plat_thread **ret)
{
	int64_t r = pt_job(job_clone, t, &a);

	if (r < 0)
		return (int)r;
	*ret = a.ret;
	return 0;
}

int
pt_space_new(struct plat_thread *from, void *owner, struct plat_thread **ret_thread)
{
	return make(from, (struct clone_args){.fresh = true, .owner = owner}, ret_thread);
}

int
pt_space_fork(struct plat_thread *t, void *owner, struct plat_thread **ret_child)
{
	return make(t, (struct clone_args){.owner = owner}, ret_child);
}

int
pt_thread_new(struct plat_thread *t, void *owner, struct plat_thread **ret_thread)
{
	return make(t, (struct clone_args){.thread = true, .owner = owner}, ret_thread);
}

static int64_t
job_exit(struct plat_thread *t, void *arg)
{
	uint64_t clear_tid = *(uint64_t *)arg;
	bool last = atomic_fetch_sub(&t->sp->nlive, 1) == 1;
	uint32_t zero = 0;

	for (uint32_t i = 0; i < t->nops; i++)
		host_close(t->ops[i].fd);
	if (t->state == PT_DEAD) {
		pt_thread_drop(t);
		return 0;
	}
	if (last) {
		t->state = PT_EXITING;
		host_kill(t->sp->pid, SIGKILL);
		return 0;
	}
	/* Who sees that the thread has ended may unmap what the host writes to for rseq(2). So the
	 * host tells, when it does so no more; or, where the thread does not end for it, comes
	 * before. */
	if (clear_tid && t->tid != t->sp->pid) {
		pt_syscall(t, SYS_set_tid_address, clear_tid, 0, 0, 0, 0, 0);
	} else if (clear_tid) {
		if (t->rseq.addr)
			pt_syscall(t, SYS_rseq, t->rseq.addr, t->rseq.len, LX_RSEQ_UNREGISTER,
				t->rseq.sig, 0, 0);
		if (host_vm_write(t->sp->pid, clear_tid, &zero, sizeof zero) == 0)
			pt_syscall(t, SYS_futex, clear_tid, 1 /* FUTEX_WAKE */, 1, 0, 0, 0);
	}
	if (t->state == PT_DEAD) {
		t->state = PT_EXITING;
		pt_thread_drop(t);
		return 0;
	}
	/* The first one stays as it is until the process ends: without it the host finds the memory
	 * of the others no more by the number of the process. */
	if (t->tid == t->sp->pid) {
		t->state = PT_EXITING;
		return 0;
	}
	pt_fetch_regs(t);
	t->regs.rip = pt.lay.base + PT_TEXT_SYSCALL;
	t->regs.rax = SYS_exit;
	t->regs.rdi = 0;
	t->regs.orig_rax = (uint64_t)-1;
	t->state = PT_EXITING;
	pt_write_regs(t, &t->regs);
	pt_call(PTRACE_CONT, t->tid, 0, NULL);
	return 0;
}

void
pt_thread_exit(struct plat_thread *t, uint64_t clear_tid)
{
	pt_job(job_exit, t, &clear_tid);
}
