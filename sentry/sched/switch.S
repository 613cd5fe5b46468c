/* SPDX-License-Identifier: Apache-2.0 */
/*
 * void fiber_switch_asm(void **save_sp, void *load_sp)
 * Saves what a C function must preserve, on the stack, and goes on with another stack.
 */
	.text
	.globl	fiber_switch_asm
	.type	fiber_switch_asm, @function
fiber_switch_asm:
	.cfi_startproc
	endbr64
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	subq	$8, %rsp
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	ret
	.cfi_endproc
	.size	fiber_switch_asm, . - fiber_switch_asm

/* First return address of a fiber: r12 holds the function, r13 its argument. */
	.globl	fiber_entry_asm
	.type	fiber_entry_asm, @function
fiber_entry_asm:
	.cfi_startproc
	.cfi_undefined rip
	movq	%r13, %rdi
	xorl	%ebp, %ebp
	call	*%r12
	ud2
	.cfi_endproc
	.size	fiber_entry_asm, . - fiber_entry_asm
	.section .note.GNU-stack,"",@progbits
