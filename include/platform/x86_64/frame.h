/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux's x86-64 signal frame, as the host builds it and as guests see it
 * (arch/x86/include/uapi/asm/ {sigcontext,ucontext}.h, arch/x86/include/asm/sigframe.h).
 * Freestanding: the stub includes it too.
 */
#ifndef X86_64_FRAME_H
#define X86_64_FRAME_H

#include "platform/platform.h"
#include <stddef.h>
#include <stdint.h>

struct host_sigcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, flags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate;
	uint64_t reserved[8];
};

struct host_ucontext {
	uint64_t flags, link;
	uint64_t stack[3]; /* ss_sp, ss_flags, ss_size */
	struct host_sigcontext mc;
	uint64_t sigmask;
};

struct host_sigframe {
	uint64_t pretcode;
	struct host_ucontext uc;
	uint8_t info[128];
};

_Static_assert(sizeof(struct host_sigcontext) == 256, "sigcontext");
_Static_assert(sizeof(struct host_ucontext) == 304, "ucontext");
_Static_assert(sizeof(struct host_sigframe) == 440, "rt_sigframe");

#define X86_FP_MAGIC1	  0x46505853u
#define X86_FP_MAGIC2	  0x46505845u
#define X86_FP_SW_OFF	  464 /* struct _fpx_sw_bytes in the FXSAVE area */
#define X86_FXSAVE_SIZE	  512
#define X86_XHDR_OFF	  512 /* XSAVE header */
#define X86_MXCSR_OFF	  24
#define X86_MXCSR_DEFAULT 0x1f80u
#define X86_FCW_DEFAULT	  0x37fu

/* What Linux keeps in the last bytes of the FXSAVE area of a frame. */
struct x86_fp_sw {
	uint32_t magic1, extended_size;
	uint64_t xfeatures;
	uint32_t xstate_size;
};

/* What the host puts into its frames: less than all that the CPU can save, where a process first
 * has to ask for a part (AMX). sig: raised by this thread for that. False: it is not known. Not in
 * the stub. */
bool x86_frame_learn(int sig, struct x86_fp_sw *ret);

#define X86_EFLAGS_TF 0x100u
#define X86_EFLAGS_DF 0x400u
#define X86_EFLAGS_RF 0x10000u
/* Flags that a frame may set (FIX_EFLAGS of the kernel). */
#define X86_EFLAGS_USER 0x50dd5u

static inline void
x86_regs_from_sc(struct guest_regs *r, const struct host_sigcontext *m)
{
	r->r15 = m->r15;
	r->r14 = m->r14;
	r->r13 = m->r13;
	r->r12 = m->r12;
	r->rbp = m->bp;
	r->rbx = m->bx;
	r->r11 = m->r11;
	r->r10 = m->r10;
	r->r9 = m->r9;
	r->r8 = m->r8;
	r->rax = m->ax;
	r->rcx = m->cx;
	r->rdx = m->dx;
	r->rsi = m->si;
	r->rdi = m->di;
	r->rip = m->ip;
	r->eflags = m->flags;
	r->rsp = m->sp;
}

static inline void
x86_regs_to_sc(struct host_sigcontext *m, const struct guest_regs *r)
{
	m->r15 = r->r15;
	m->r14 = r->r14;
	m->r13 = r->r13;
	m->r12 = r->r12;
	m->bp = r->rbp;
	m->bx = r->rbx;
	m->r11 = r->r11;
	m->r10 = r->r10;
	m->r9 = r->r9;
	m->r8 = r->r8;
	m->ax = r->rax;
	m->cx = r->rcx;
	m->dx = r->rdx;
	m->si = r->rsi;
	m->di = r->rdi;
	m->ip = r->rip;
	m->flags = (m->flags & ~(uint64_t)X86_EFLAGS_USER) | (r->eflags & X86_EFLAGS_USER);
	m->sp = r->rsp;
}

/* Where the parts of a frame go, below sp (which already respects the red zone). */
static inline void
x86_frame_place(uint64_t sp, uint64_t fpsize, uint64_t *fp, uint64_t *frame)
{
	*fp = (sp - fpsize) & ~63ull;
	*frame = ((*fp - sizeof(struct host_sigframe)) & ~15ull) - 8;
}

/* The FPU area of a frame so that it restores to the state in which a handler starts. */
static inline void
x86_fp_reset(uint8_t *area, uint64_t size)
{
	uint32_t mxcsr = X86_MXCSR_DEFAULT;
	uint16_t fcw = X86_FCW_DEFAULT;

	for (unsigned i = 0; i < X86_FP_SW_OFF; i++)
		area[i] = 0;
	__builtin_memcpy(area, &fcw, sizeof fcw);
	__builtin_memcpy(area + X86_MXCSR_OFF, &mxcsr, sizeof mxcsr);
	if (size >= X86_XHDR_OFF + 8)
		__builtin_memset(area + X86_XHDR_OFF, 0, 8);
}

/* Bytes of the FPU area of a frame, at least the FXSAVE area; without the second magic word. */
static inline uint32_t
x86_fp_size(const uint8_t *area, bool *ret_extended)
{
	struct x86_fp_sw sw;

	__builtin_memcpy(&sw, area + X86_FP_SW_OFF, sizeof sw);
	*ret_extended = sw.magic1 == X86_FP_MAGIC1 && sw.xstate_size >= X86_XHDR_OFF + 64 &&
			sw.extended_size >= sw.xstate_size + 4 && sw.extended_size <= 0x4000;
	return *ret_extended ? sw.extended_size : X86_FXSAVE_SIZE;
}
#endif
