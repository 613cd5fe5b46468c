/* SPDX-License-Identifier: Apache-2.0 */
/* long pt_wait(int *pending, int *status). The handler of the signal that announces a job sends a thread that stands
 * between begin and end to abort: so no job can come between the look at *pending and the sleep. */
	.text
	.globl pt_wait, pt_wait_begin, pt_wait_end, pt_wait_abort
	.type pt_wait, @function
pt_wait:
	movq	%rdi, %r9
pt_wait_begin:
	cmpl	$0, (%r9)
	jne	pt_wait_abort
	movq	$-1, %rdi
	movl	$0x40000000, %edx
	xorl	%r10d, %r10d
	movl	$61, %eax
	syscall
pt_wait_end:
	ret
pt_wait_abort:
	movq	$-4, %rax
	ret
	.size pt_wait, . - pt_wait
	.section .note.GNU-stack, "", @progbits
