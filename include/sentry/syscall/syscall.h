/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The syscall table and its dispatcher. table.def has one row for each syscall; handlers, argument
 * carrying, trace output and `moat syscalls` are made from it.
 */
#ifndef SENTRY_SYSCALL_SYSCALL_H
#define SENTRY_SYSCALL_SYSCALL_H

#include <stdint.h>

struct task;
struct plat_syscall_desc;

enum sc_status {
	SC_FULL,
	SC_PARTIAL,
	SC_ABSENT, /* refused with err */
};

/* What an argument is, for carrying it and for printing it. */
enum sc_arg_kind {
	SA_NONE,
	SA_NUM,	 /* signed decimal */
	SA_UNUM, /* unsigned decimal */
	SA_HEX,
	SA_OCT, /* a mode */
	SA_FD,
	SA_DIRFD,
	SA_SIG,	 /* signal number */
	SA_PTR,	 /* address, not looked at */
	SA_PATH, /* string in */
	SA_STR,
	SA_BUF_IN,   /* len: index of the argument with the length */
	SA_BUF_OUT,  /* len: the same; printed up to the result */
	SA_IN,	     /* struct in, size bytes */
	SA_OUT,	     /* struct out, size bytes */
	SA_VEC_IN,   /* iovec array whose buffers are read; len: argument with the count */
	SA_VEC_OUT,  /* iovec array whose buffers are written */
	SA_FLAGS,    /* names from the flag table `tab` */
	SA_SIGFRAME, /* not an argument: the frame that rt_sigreturn reads */
};

struct sc_arg {
	uint8_t kind;
	uint8_t len;
	uint16_t size;
	const struct sc_flag *tab;
};

struct sc_row {
	const char *name;
	int64_t (*fn)(struct task *t, const uint64_t a[6]);
	uint8_t status; /* enum sc_status */
	int16_t err;	/* SC_ABSENT: what it answers, positive */
	uint8_t nargs;
	const char *why; /* what is missing, or why it is absent */
	struct sc_arg arg[6];
};

#define SC_MAX 512

const struct sc_row *syscall_row(uint32_t nr); /* NULL: no such number */
/* Run one: the result or -errno (or a restart code). */
int64_t syscall_dispatch(struct task *t, uint32_t nr, const uint64_t a[6]);
/* A call that did not come through syscall_dispatch has its result, a futex that the platform made
 * or one that a filter answered: trace it. The result as it goes on. */
int64_t syscall_done_elsewhere(struct task *t, uint32_t nr, const uint64_t a[6], int64_t result);
/* The part of the table that the platform needs; SC_MAX rows, static. */
const struct plat_syscall_desc *syscall_plat_desc(void);

/* Prototypes of all handlers. */
#define SYSCALL(nr, name, status, why, ...) int64_t sys_##name(struct task *t, const uint64_t a[6]);
#define ABSENT(nr, name, err, why, ...)
#include "sentry/syscall/table.def"
#undef SYSCALL
#undef ABSENT

/* The caller ends, or leaves its memory: what it asked rings for is cancelled. */
void uring_task_exit(struct task *t);

#endif
