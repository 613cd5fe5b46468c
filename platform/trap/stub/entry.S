/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stub's ways in and out, and the few instructions that may fault or must not be torn by a kick. Position
 * independent; the blob starts with struct stub_header. GS base is the thread's slot while a guest that does
 * not use GS runs; the signal path never relies on it.
 *
 * A kick that arrives in the stub sets stub_priv.kicked, which the ways out look at. Between that look and the
 * guest's next instruction the handler has to know where the thread stands, by its instruction pointer:
 *   fx_begin..fx_end  all of the guest's registers are in slot.regs
 *   tx_begin..tx_end  all of the guest's state is in the host signal frame that rdi points to
 *   fu_begin..fu_end  a futex is about to be made: do not make it
 *   quick..quick_end  nothing of the guest has changed but rax: go back to its syscall instruction
 */
#include "platform/trap/slot.h"

#define R(off) %gs:(SLOT_REGS + off)
#define R15	0
#define R14	8
#define R13	16
#define R12	24
#define RBP	32
#define RBX	40
#define R11	48
#define R10	56
#define R9	64
#define R8	72
#define RAX	80
#define RCX	88
#define RDX	96
#define RSI	104
#define RDI	112
#define ORIG	120
#define RIP	128
#define FLAGS	144
#define RSP	152

	.section .head, "ax", @progbits
	.globl stub_base
	.hidden stub_base
stub_base:
	.long	start - stub_base
	.long	stub_signal - stub_base
	.long	restorer - stub_base
	.long	general - stub_base
	.long	quick - stub_base
	.long	stub_end - stub_base
	.long	0, 0

	.text
	.hidden stub_signal
	.hidden stub_boot
	.hidden stub_end

/* start(boot, slot): the zygote's first instruction here. */
start:
	leaq	SLOT_STACK_TOP(%rsi), %rsp
	xorl	%ebp, %ebp
	call	stub_boot
	ud2

	.globl restorer
	.hidden restorer
restorer:
	movl	$15, %eax
	syscall
	ud2

/* From a rewritten site: eax = number, rcx = address after the syscall instruction; GS base = slot. */
	.balign 64
general:
	movq	%rsp, R(RSP)
	movq	%gs:SLOT_SP, %rsp
	pushfq
	popq	R(FLAGS)
	cld
	movq	%rcx, R(RIP)
	movq	%rcx, R(RCX)
	movq	%rax, R(RAX)
	movq	%rax, R(ORIG)
	movq	%rdi, R(RDI)
	movq	%rsi, R(RSI)
	movq	%rdx, R(RDX)
	movq	%r10, R(R10)
	movq	%r8, R(R8)
	movq	%r9, R(R9)
	movq	%r11, R(R11)
	movq	%rbx, R(RBX)
	movq	%rbp, R(RBP)
	movq	%r12, R(R12)
	movq	%r13, R(R13)
	movq	%r14, R(R14)
	movq	%r15, R(R15)
	movq	%gs:SLOT_SELF, %rdi
	call	stub_fast_syscall

/* Leave to the guest with slot.regs; GS base is the slot, rsp a stack of the stub. */
	.globl stub_fast_exit
	.hidden stub_fast_exit
stub_fast_exit:
	.globl fx_begin
	.hidden fx_begin
fx_begin:
	cmpl	$0, %gs:(SLOT_PRIV + PRIV_KICKED)
	jne	fx_kicked
	pushq	R(FLAGS)
	popfq
	movq	R(R15), %r15
	movq	R(R14), %r14
	movq	R(R13), %r13
	movq	R(R12), %r12
	movq	R(RBP), %rbp
	movq	R(RBX), %rbx
	movq	R(R11), %r11
	movq	R(R10), %r10
	movq	R(R9), %r9
	movq	R(R8), %r8
	movq	R(RAX), %rax
	movq	R(RCX), %rcx
	movq	R(RDX), %rdx
	movq	R(RSI), %rsi
	movq	R(RDI), %rdi
	movq	R(RSP), %rsp
	jmp	*R(RIP)
	.globl fx_end
	.hidden fx_end
fx_end:
fx_kicked:
	movq	%gs:SLOT_SP, %rsp
	movq	%gs:SLOT_SELF, %rdi
	call	stub_fast_interrupted
	jmp	stub_fast_exit

/* stub_retake(): load all of slot.regs and trap, so that the host makes a signal frame of it. */
	.globl stub_retake
	.hidden stub_retake
stub_retake:
	pushq	R(FLAGS)
	popfq
	movq	R(R15), %r15
	movq	R(R14), %r14
	movq	R(R13), %r13
	movq	R(R12), %r12
	movq	R(RBP), %rbp
	movq	R(RBX), %rbx
	movq	R(R11), %r11
	movq	R(R10), %r10
	movq	R(R9), %r9
	movq	R(R8), %r8
	movq	R(RAX), %rax
	movq	R(RCX), %rcx
	movq	R(RDX), %rdx
	movq	R(RSI), %rsi
	movq	R(RDI), %rdi
	movq	R(RSP), %rsp
	.globl retake_trap
	.hidden retake_trap
retake_trap:
	ud2

/* stub_trap_exit(ucontext, &kicked): leave to the guest through the host's rt_sigreturn. */
	.globl stub_trap_exit
	.hidden stub_trap_exit
stub_trap_exit:
	.globl tx_begin
	.hidden tx_begin
tx_begin:
	cmpl	$0, (%rsi)
	jne	tx_kicked
	movq	%rdi, %rsp
	movl	$15, %eax
	syscall
	.globl tx_end
	.hidden tx_end
tx_end:
	ud2
	.globl tx_kicked
	.hidden tx_kicked
tx_kicked:
	movq	%rdi, %rsp
	call	stub_trap_interrupted
	ud2

/* long stub_futex(const uint64_t args[6], const uint32_t *kicked, uint32_t nr) */
	.globl stub_futex
	.hidden stub_futex
stub_futex:
	pushq	%rbx
	movq	%rsi, %rbx
	movl	%edx, %eax
	movq	%rdi, %r11
	movq	0(%r11), %rdi
	movq	8(%r11), %rsi
	movq	16(%r11), %rdx
	movq	24(%r11), %r10
	movq	32(%r11), %r8
	movq	40(%r11), %r9
	.globl fu_begin
	.hidden fu_begin
fu_begin:
	cmpl	$0, (%rbx)
	jne	fu_abort
	syscall
	.globl fu_end
	.hidden fu_end
fu_end:
	popq	%rbx
	ret
	.globl fu_abort
	.hidden fu_abort
fu_abort:
	movq	$-4, %rax
	jmp	fu_end

/* long stub_clone_thread(flags, stack, ptid, ctid, slot): the child starts in stub_thread_start(slot). */
	.globl stub_clone_thread
	.hidden stub_clone_thread
stub_clone_thread:
	movq	%rcx, %r10
	movl	$56, %eax
	syscall
	testq	%rax, %rax
	jz	1f
	ret
1:	movq	%r8, %rdi
	xorl	%ebp, %ebp
	call	stub_thread_start
	ud2

/* size_t stub_copy(dst, src, n): bytes that were not copied. */
	.globl stub_copy
	.hidden stub_copy
stub_copy:
	movq	%rdx, %rcx
cp_begin:
	rep movsb
cp_end:
	movq	%rcx, %rax
	ret

/* long stub_strcopy(dst, src, max): length with the NUL, max if there was none, or -EFAULT. */
	.globl stub_strcopy
	.hidden stub_strcopy
stub_strcopy:
	xorl	%eax, %eax
1:	cmpq	%rdx, %rax
	jae	2f
sc_begin:
	movzbl	(%rsi,%rax), %ecx
sc_end:
	movb	%cl, (%rdi,%rax)
	incq	%rax
	testb	%cl, %cl
	jne	1b
2:	ret
fault:
	movq	$-14, %rax
	ret

/* long stub_cmpxchg(addr, old, new): what was there, or -EFAULT. */
	.globl stub_cmpxchg
	.hidden stub_cmpxchg
stub_cmpxchg:
	movl	%esi, %eax
cx_begin:
	lock cmpxchgl %edx, (%rdi)
cx_end:
	movl	%eax, %eax
	ret

/* long stub_store32(addr, value) */
	.globl stub_store32
	.hidden stub_store32
stub_store32:
st_begin:
	movl	%esi, (%rdi)
st_end:
	xorl	%eax, %eax
	ret

/* long stub_xsave(area, mask), stub_xrstor(area, mask), stub_fxrstor(area): 0 or -EFAULT. */
	.globl stub_xsave
	.hidden stub_xsave
stub_xsave:
	movl	%esi, %eax
	movq	%rsi, %rdx
	shrq	$32, %rdx
xs_begin:
	xsave64	(%rdi)
xs_end:
	xorl	%eax, %eax
	ret
	.globl stub_xrstor
	.hidden stub_xrstor
stub_xrstor:
	movl	%esi, %eax
	movq	%rsi, %rdx
	shrq	$32, %rdx
xr_begin:
	xrstor64 (%rdi)
xr_end:
	xorl	%eax, %eax
	ret
	.globl stub_fxrstor
	.hidden stub_fxrstor
stub_fxrstor:
fr_begin:
	fxrstor64 (%rdi)
fr_end:
	xorl	%eax, %eax
	ret

/* Answers from slot.ident; 16 bytes each, in the order of VEC_*. */
	.balign 64
	.globl quick
	.hidden quick
quick:
	.set	i, 1
	.rept	VEC_COUNT - 1
	.balign 16
	movl	%gs:(SLOT_IDENT + 4 * i), %eax
	jmp	*%rcx
	.set	i, i + 1
	.endr
	.balign 16
	.globl quick_end
	.hidden quick_end
quick_end:

	.section .head
	.globl stub_fixups
	.hidden stub_fixups
	.balign 4
stub_fixups:
	.long	cp_begin - stub_base, cp_end - stub_base, cp_end - stub_base
	.long	sc_begin - stub_base, sc_end - stub_base, fault - stub_base
	.long	cx_begin - stub_base, cx_end - stub_base, fault - stub_base
	.long	xs_begin - stub_base, xs_end - stub_base, fault - stub_base
	.long	xr_begin - stub_base, xr_end - stub_base, fault - stub_base
	.long	fr_begin - stub_base, fr_end - stub_base, fault - stub_base
	.long	st_begin - stub_base, st_end - stub_base, fault - stub_base
	.long	0, 0, 0
	.section .note.GNU-stack, "", @progbits
