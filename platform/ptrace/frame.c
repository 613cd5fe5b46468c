/* SPDX-License-Identifier: Apache-2.0 */
/* FPU state, and signal frames, which are built here: the host has made none. */
#include "platform/ptrace/internal.h"
#include <linux/elf.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

struct xbuf {
	uint8_t b[PT_XSTATE_MAX] __attribute__((aligned(64)));
	size_t len;
};

static int64_t
job_get(struct plat_thread *t, void *arg)
{
	struct xbuf *x = arg;
	struct iovec iov = {x->b, sizeof x->b};
	long r;

	if (t->state == PT_DEAD)
		return -ESRCH;
	r = pt_call(PTRACE_GETREGSET, t->tid, NT_X86_XSTATE, &iov);
	if (r < 0) {
		iov = (struct iovec){x->b, X86_FXSAVE_SIZE};
		r = pt_call(PTRACE_GETREGSET, t->tid, NT_PRFPREG, &iov);
	}
	x->len = iov.iov_len;
	return r;
}

static int64_t
job_set(struct plat_thread *t, void *arg)
{
	struct xbuf *x = arg;
	struct iovec iov = {x->b, x->len};

	if (t->state == PT_DEAD)
		return -ESRCH;
	return pt_call(PTRACE_SETREGSET, t->tid,
		x->len > X86_FXSAVE_SIZE ? NT_X86_XSTATE : NT_PRFPREG, &iov);
}

static uint64_t
features(const struct xbuf *x)
{
	uint64_t v;

	memcpy(&v, x->b + X86_FP_SW_OFF, sizeof v);
	return v;
}

/* What of it Linux puts into a frame. */
static void
cut_to_frame(struct xbuf *x)
{
	uint64_t used;

	if (!pt.frame.xstate_size || x->len <= pt.frame.xstate_size)
		return;
	x->len = pt.frame.xstate_size;
	memcpy(x->b + X86_FP_SW_OFF, &pt.frame.xfeatures, sizeof pt.frame.xfeatures);
	memcpy(&used, x->b + X86_XHDR_OFF, sizeof used);
	used &= pt.frame.xfeatures;
	memcpy(x->b + X86_XHDR_OFF, &used, sizeof used);
}

static void
make_fresh(struct xbuf *x, uint64_t f)
{
	x86_fp_reset(x->b, x->len);
	memset(x->b + X86_FP_SW_OFF, 0, X86_FXSAVE_SIZE - X86_FP_SW_OFF);
	if (x->len > X86_FXSAVE_SIZE)
		memcpy(x->b + X86_FP_SW_OFF, &f, sizeof f);
}

int64_t
pt_xstate_fresh(struct plat_thread *t)
{
	struct xbuf x;
	int64_t r = job_get(t, &x);

	if (r < 0)
		return r;
	make_fresh(&x, features(&x));
	return job_set(t, &x);
}

static int64_t
job_fresh(struct plat_thread *t, void *arg)
{
	(void)arg;
	return pt_xstate_fresh(t);
}

int
pt_reset_xstate(struct plat_thread *t)
{
	return (int)pt_job(job_fresh, t, NULL);
}

ssize_t
pt_get_xstate(struct plat_thread *t, void *buf, size_t cap)
{
	struct xbuf x;
	int64_t r = pt_job(job_get, t, &x);

	if (r < 0)
		return r;
	if (x.len > cap)
		return -E2BIG;
	memcpy(buf, x.b, x.len);
	return (ssize_t)x.len;
}

int
pt_set_xstate(struct plat_thread *t, const void *buf, size_t len)
{
	struct xbuf x;
	int64_t r = pt_job(job_get, t, &x);

	if (r < 0)
		return (int)r;
	if (len < X86_FXSAVE_SIZE || len > x.len ||
		(len > X86_FXSAVE_SIZE && len < X86_XHDR_OFF + 64))
		return -EINVAL;
	memcpy(x.b, buf, len);
	return (int)pt_job(job_set, t, &x);
}

int
pt_signal_deliver(struct plat_thread *t, int signo, const void *siginfo128, uint64_t handler,
	uint64_t restorer, uint64_t sp, uint64_t sigmask, const void *uc_stack24, bool sure)
{
	const uint32_t magic2 = X86_FP_MAGIC2;
	struct guest_regs *r;
	struct host_sigframe f = {0};
	struct x86_fp_sw sw = {0};
	struct xbuf x, all;
	uint64_t fp, at, size, feat;
	int64_t e;

	(void)sure;
	if (pt_flush(t) < 0)
		return -EFAULT;
	pt_regs_dirty(t);
	r = pt_regs(t);
	e = pt_job(job_get, t, &x);
	if (e < 0)
		return (int)e;
	feat = features(&x);
	all = x;
	cut_to_frame(&x);
	sw.xfeatures = features(&x);
	size = x.len;
	if (x.len > X86_FXSAVE_SIZE) {
		size += sizeof magic2;
		if (size > sizeof x.b)
			return -EFAULT;
		sw.magic1 = X86_FP_MAGIC1;
		sw.extended_size = (uint32_t)size;
		sw.xstate_size = (uint32_t)x.len;
		memcpy(x.b + x.len, &magic2, sizeof magic2);
	}
	memset(x.b + X86_FP_SW_OFF, 0, X86_FXSAVE_SIZE - X86_FP_SW_OFF);
	if (sw.magic1)
		memcpy(x.b + X86_FP_SW_OFF, &sw, sizeof sw);
	x86_frame_place(sp == r->rsp ? sp - 128 : sp, size, &fp, &at);
	f.pretcode = restorer;
	f.uc.flags =
		6 | (sw.magic1 != 0); /* UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS, UC_FP_XSTATE */
	memcpy(f.uc.stack, uc_stack24, sizeof f.uc.stack);
	x86_regs_to_sc(&f.uc.mc, r);
	f.uc.mc.flags = r->eflags;
	f.uc.mc.cs = 0x33;
	f.uc.mc.ss = 0x2b;
	f.uc.mc.err = t->ev.fault.err;
	f.uc.mc.trapno = t->ev.fault.trapno;
	f.uc.mc.cr2 = t->ev.fault.addr;
	f.uc.mc.oldmask = f.uc.sigmask = sigmask;
	f.uc.mc.fpstate = fp;
	memcpy(f.info, siginfo128, sizeof f.info);
	if (pt_poke(t, fp, x.b, size) < 0 || pt_poke(t, at, &f, sizeof f) < 0)
		return -EFAULT;
	r->rip = handler;
	r->rsp = at;
	r->rdi = (uint64_t)signo;
	r->rsi = at + offsetof(struct host_sigframe, info);
	r->rdx = at + offsetof(struct host_sigframe, uc);
	r->rax = 0;
	r->orig_rax = (uint64_t)-1;
	r->eflags &= ~(uint64_t)(X86_EFLAGS_TF | X86_EFLAGS_DF | X86_EFLAGS_RF);
	make_fresh(&all, feat);
	return (int)pt_job(job_set, t, &all);
}

/* The FPU area of a guest's frame, as far as it has one; what the host would not load is the
 * guest's fault. */
static int
load_fpu(struct plat_thread *t, uint64_t fp)
{
	struct x86_fp_sw sw;
	struct xbuf x, have;
	int64_t r = pt_job(job_get, t, &have);
	uint64_t f;

	if (r < 0)
		return (int)r;
	if (!fp)
		return pt_reset_xstate(t);
	f = features(&have);
	x = have;
	if (pt_peek(t, x.b, fp, X86_FXSAVE_SIZE) < 0)
		return -EFAULT;
	memcpy(&sw, x.b + X86_FP_SW_OFF, sizeof sw);
	if (have.len > X86_FXSAVE_SIZE) {
		uint64_t legacy = 3;

		if (sw.magic1 == X86_FP_MAGIC1 && sw.xstate_size >= X86_XHDR_OFF + 64) {
			size_t n = sw.xstate_size < have.len ? sw.xstate_size : have.len;

			if (pt_peek(t, x.b + X86_FXSAVE_SIZE, fp + X86_FXSAVE_SIZE,
				    n - X86_FXSAVE_SIZE) < 0)
				return -EFAULT;
		} else {
			memset(x.b + X86_XHDR_OFF, 0, 64);
			memcpy(x.b + X86_XHDR_OFF, &legacy, sizeof legacy);
		}
		memset(x.b + X86_FP_SW_OFF, 0, X86_FXSAVE_SIZE - X86_FP_SW_OFF);
		memcpy(x.b + X86_FP_SW_OFF, &f, sizeof f);
	}
	return pt_job(job_set, t, &x) < 0 ? -EFAULT : 0;
}

int
pt_sigreturn(struct plat_thread *t, uint64_t *ret_mask, void *ret_uc_stack24)
{
	struct guest_regs *r;
	struct host_ucontext g;
	uint64_t fs, gs, flags;
	int e;

	pt_regs_dirty(t);
	r = pt_regs(t);
	fs = r->fs_base;
	gs = r->gs_base;
	flags = r->eflags;
	if (pt_copy_in(t, &g, r->rsp, sizeof g) < 0)
		return -EFAULT;
	e = load_fpu(t, g.mc.fpstate);
	if (e < 0)
		return e;
	x86_regs_from_sc(r, &g.mc);
	r->eflags = (flags & ~(uint64_t)X86_EFLAGS_USER) | (g.mc.flags & X86_EFLAGS_USER);
	r->fs_base = fs;
	r->gs_base = gs;
	r->orig_rax = (uint64_t)-1;
	*ret_mask = g.sigmask;
	memcpy(ret_uc_stack24, g.stack, sizeof g.stack);
	return 0;
}
