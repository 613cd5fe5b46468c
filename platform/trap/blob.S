/* SPDX-License-Identifier: Apache-2.0 */
/* The stub's image, as a constant of the sentry. */
	.section .rodata
	.globl trap_blob, trap_blob_end
	.balign 4096
trap_blob:
	.incbin STUB_BLOB
trap_blob_end:
	.section .note.GNU-stack, "", @progbits
