/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What needs the frame that the host has made of the thread: guest signal frames, rt_sigreturn, and
 * the FPU state. A thread that came through a rewritten site has none; it is sent through a trap
 * first.
 */
#include "platform/trap/internal.h"

enum {
	FRAME_ROOM = 1280,  /* red zone, siginfo, ucontext and alignment, beside the FPU's state */
	SIGNAL_BYTES = 192, /* of the bounce buffer, for the stub */
};

ssize_t
trap_get_xstate(struct plat_thread *t, void *buf, size_t cap)
{
	struct x86_fp_sw sw;
	uint8_t *area = t->s->bounce;
	int64_t r = trap_need_frame(t);

	if (r < 0)
		return r;
	r = trap_flush(t);
	if (r < 0)
		return r;
	trap_load_carried(t);
	t->ncarried = 0;
	t->bounce = 0;
	r = trap_op_now(t, STUB_OP_GETX, 0, 0, 0, 0, 0, 0);
	if (r < 0)
		return r;
	if (r > SLOT_BOUNCE_SZ || r < X86_FXSAVE_SIZE)
		return -EIO;
	memcpy(&sw, area + X86_FP_SW_OFF, sizeof sw);
	if (sw.magic1 == X86_FP_MAGIC1 && sw.xstate_size >= X86_XHDR_OFF + 64 &&
		sw.xstate_size <= r)
		r = sw.xstate_size;
	else
		r = X86_FXSAVE_SIZE;
	if ((size_t)r > cap)
		return -E2BIG;
	memcpy(buf, area, (size_t)r);
	/* Linux gives the mask of features where the frame has its magic. */
	memset((uint8_t *)buf + X86_FP_SW_OFF, 0, X86_FXSAVE_SIZE - X86_FP_SW_OFF);
	if (r > X86_FXSAVE_SIZE)
		memcpy((uint8_t *)buf + X86_FP_SW_OFF, &sw.xfeatures, 8);
	return r;
}

/* The host checks the rest when it loads the frame; what it would kill the stub for is refused
 * here. */
int
trap_set_xstate(struct plat_thread *t, const void *buf, size_t len)
{
	uint8_t have[0x4000];
	uint64_t bv, features;
	uint32_t mxcsr, mask;
	const uint8_t *b = buf;
	ssize_t n = trap_get_xstate(t, have, sizeof have);

	if (n < 0)
		return (int)n;
	if (len < X86_FXSAVE_SIZE || len > (size_t)n)
		return -EINVAL;
	memcpy(&mxcsr, b + X86_MXCSR_OFF, 4);
	memcpy(&mask, have + X86_MXCSR_OFF + 4, 4);
	if (mxcsr & ~(mask ? mask : 0xffbf))
		return -EINVAL;
	if (len > X86_FXSAVE_SIZE) {
		if (len < X86_XHDR_OFF + 64)
			return -EINVAL;
		memcpy(&bv, b + X86_XHDR_OFF, 8);
		memcpy(&features, have + X86_FP_SW_OFF, 8);
		if (bv & ~features)
			return -EINVAL;
		for (unsigned i = 8; i < 64; i++)
			if (b[X86_XHDR_OFF + i])
				return -EINVAL;
	}
	memcpy(t->s->bounce, buf, len);
	t->ncarried = 0;
	t->bounce = 0;
	return (int)trap_op_now(t, STUB_OP_SETX, len, 0, 0, 0, 0, 0);
}

int
trap_reset_xstate(struct plat_thread *t)
{
	int r = trap_need_frame(t);

	return r < 0 ? r : (int)trap_op_now(t, STUB_OP_SETX, 0, 0, 0, 0, 0, 0);
}

/* The stub's registers become ours, for an operation that works on them. A thread without a frame
 * of the host does it alone, if it can. */
static int
push(struct plat_thread *t, bool frame)
{
	int r = frame ? trap_need_frame(t) : 0;

	if (r == 0)
		r = trap_flush(t);
	if (r == 0) {
		trap_regs_dirty(t);
		trap_load_carried(t);
		t->ncarried = 0;
		t->push = true;
	}
	return r;
}

static int
over(struct plat_thread *t, int64_t r)
{
	if (r < 0)
		return (int)r;
	t->kind = STUB_K_RETAKEN;
	t->regs_known = false;
	if (trap_site_enter(t, trap_regs(t)->rip) != t->regs.rip)
		t->dirty = true;
	return 0;
}

void
trap_frame_now(struct plat_thread *t)
{
	t->framed = false;
	if (over(t, trap_flush(t)) < 0)
		trap_space_kill(t->sp);
}

static void
put_signal(struct plat_thread *t, const void *siginfo128, const void *uc_stack24)
{
	memcpy(t->s->bounce, siginfo128, 128);
	memcpy(t->s->bounce + 128, uc_stack24, 24);
}

/* Leave the frame to the next reply, when nothing can come between. */
static bool
defer(struct plat_thread *t, uint64_t handler)
{
	const uint32_t size = trap.pub->fp_extended;

	return size && size + FRAME_ROOM <= LX_PAGE_SIZE && !t->nops && !t->watched &&
	       !(trap_regs(t)->eflags & X86_EFLAGS_TF) && trap_regs(t)->gs_base == t->gs_base &&
	       trap_site_enter(t, handler) == handler;
}

int
trap_signal_deliver(struct plat_thread *t, int signo, const void *siginfo128, uint64_t handler,
	uint64_t restorer, uint64_t sp, uint64_t sigmask, const void *uc_stack24, bool sure)
{
	bool red = sp == trap_regs(t)->rsp;
	int64_t r = -EAGAIN;

	if (sure && defer(t, handler)) {
		struct stub_op *op;

		r = push(t, false);
		op = r < 0 ? NULL : trap_op_new(t, STUB_OP_SIGFRAME);
		if (!op)
			return -ESRCH;
		put_signal(t, siginfo128, uc_stack24);
		if (t->bounce < SIGNAL_BYTES)
			t->bounce = SIGNAL_BYTES;
		op->a[0] = sp;
		op->a[1] = handler;
		op->a[2] = restorer;
		op->a[3] = (uint64_t)signo;
		op->a[4] = sigmask;
		op->a[5] = red;
		t->framed = true;
		return 0;
	}
	for (int i = t->frame; i < 2 && r == -EAGAIN; i++) {
		r = push(t, i == 1);
		if (r < 0)
			break;
		put_signal(t, siginfo128, uc_stack24);
		r = trap_op_now(
			t, STUB_OP_SIGFRAME, sp, handler, restorer, (uint64_t)signo, sigmask, red);
	}
	return over(t, r);
}

int
trap_sigreturn(struct plat_thread *t, uint64_t *ret_mask, void *ret_uc_stack24)
{
	int64_t r = -EAGAIN;

	if (t->kind == STUB_K_SYSCALL && __atomic_load_n(&t->s->returned, __ATOMIC_RELAXED))
		r = 0;
	for (int i = t->frame; i < 2 && r == -EAGAIN; i++) {
		r = push(t, i == 1);
		if (r == 0)
			r = trap_op_now(t, STUB_OP_SIGRETURN, 0, 0, 0, 0, 0, 0);
	}
	if (r < 0)
		return (int)r;
	memcpy(ret_mask, t->s->bounce, 8);
	memcpy(ret_uc_stack24, t->s->bounce + 8, 24);
	return over(t, 0);
}

/* With that the stubs can make frames alone. */
void
trap_learn_frame(void)
{
	struct stub_public *pub = trap.pub;
	struct x86_fp_sw sw;

	if (!x86_frame_learn(TRAP_KICK_SIGNAL, &sw))
		return;
	x86_fp_reset(pub->fp_fresh, sizeof pub->fp_fresh);
	pub->fp_features = sw.xfeatures;
	pub->fp_size = sw.xstate_size;
	pub->fp_extended = sw.extended_size;
}
