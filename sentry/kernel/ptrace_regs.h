/* SPDX-License-Identifier: Apache-2.0 */
/* What ptrace_call can be asked to do in a stopped tracee; each takes a pointer to the argument
 * that stands above it. */
#ifndef SENTRY_KERNEL_PTRACE_REGS_H
#define SENTRY_KERNEL_PTRACE_REGS_H

#include "sentry/kernel/ptrace.h"

#define PTRACE_XSTATE_MAX  0x4000
#define PTRACE_FXSAVE_SIZE 512

struct ptrace_regs_arg {
	struct guest_regs regs;
};
int64_t ptrace_do_getregs(struct task *t, void *arg);
int64_t ptrace_do_setregs(struct task *t, void *arg); /* -EIO: segments, bases */

struct ptrace_word_arg {
	uint64_t addr, value;
};
int64_t ptrace_do_peekuser(struct task *t, void *arg);
int64_t ptrace_do_pokeuser(struct task *t, void *arg);

/* The state in the format of the regset NT_X86_XSTATE; too large for a fiber's stack. */
struct ptrace_fp_arg {
	size_t len;
	uint8_t buf[PTRACE_XSTATE_MAX];
};
int64_t ptrace_do_getfp(struct task *t, void *arg);
int64_t ptrace_do_setfp(struct task *t, void *arg); /* 512 bytes: only the old part */

int64_t ptrace_do_getsiginfo(struct task *t, void *siginfo); /* -EINVAL */
int64_t ptrace_do_setsiginfo(struct task *t, void *siginfo); /* -EINVAL */

#define PTRACE_PEEK_MAX 16
struct ptrace_peek_arg {
	uint64_t off;
	bool shared;
	unsigned n;
	struct lx_siginfo info[PTRACE_PEEK_MAX];
};
int64_t ptrace_do_peeksiginfo(struct task *t, void *arg);

struct ptrace_mask_arg {
	bool set;
	lx_sigset mask;
};
int64_t ptrace_do_sigmask(struct task *t, void *arg);

/* Fills a struct lx_ptrace_syscall_info; how many bytes of it are valid. */
int64_t ptrace_do_syscall_info(struct task *t, void *info);

#endif
