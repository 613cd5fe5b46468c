/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_FS_PROC_SYSCTL_H
#define SENTRY_FS_PROC_SYSCTL_H

#include "abi/stat.h"
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include "sentry/sysctl/sysctl.h"

extern const struct pseudo_row proc_sys_net_rows[]; /* sysctl_net.c */

/* A row that is a constant, the text in arg; and a directory. */
int proc_sysctl_text(const struct pseudo_ctx *x, struct sbuf *b);
#define CONST(n, v)                                                                                \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0444, .show = proc_sysctl_text,                  \
		.arg = (uintptr_t)(v)                                                              \
	}
#define DIR(n, r)                                                                                  \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFDIR | 0555, .rows = (r)                                \
	}
#define SYSCTL(n, v) CONST(n, v), /* sysctl_net.def */

/* What the host has set of a row, or NULL. */
const char *proc_sysctl_shown(const struct pseudo_row *row);

/* Up to max numbers at the beginning of what was written, with blanks between: how many, or
 * -EINVAL. *ret_used: the bytes of them and of the blanks behind. */
#define PROC_SYSCTL_NUMBERS 5 /* no row has more */
int proc_sysctl_numbers(const char *buf, size_t len, int64_t *v, unsigned max, size_t *ret_used);

/* sysctl_value.c: of the whole sandbox */
struct proc_sysctl_text { /* what the arg of such a row points at */
	char *p;
	size_t cap;
};
int proc_sysctl_show_value(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_sysctl_write_value(
	const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
int proc_sysctl_show_text(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_sysctl_write_text(
	const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
int proc_sysctl_show_logged(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_sysctl_write_logged(
	const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
/* May the sandbox's values be written? 0: what is not at the beginning is ignored; -EPERM. */
int proc_sysctl_may(const struct pseudo_ctx *x, int64_t pos);
/* Does what is written at pos count (kernel.sysctl_writes_strict)? */
bool proc_sysctl_counts(int64_t pos);
/* A line of what was written into text, which has cap bytes; its lock is the caller's. */
ssize_t proc_sysctl_put_text(char *text, size_t cap, const char *buf, size_t len, int64_t pos);

/* sysctl_ns.c: of a namespace of whoever reads or writes */
int proc_sysctl_show_uts(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_sysctl_write_uts(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
int proc_sysctl_show_ipc(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_sysctl_write_ipc(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
int proc_sysctl_show_mqueue(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_sysctl_write_mqueue(
	const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
uint64_t proc_sysctl_bind_pid_ns(const struct pseudo_ctx *x);
void proc_sysctl_unbind_pid_ns(uint64_t bound);
int proc_sysctl_check_pid_max(const struct pseudo_ctx *x, int mask);
void proc_sysctl_attr_pid_max(const struct pseudo_ctx *x, struct inode *i);
int proc_sysctl_show_pid_max(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_sysctl_write_pid_max(
	const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
int proc_sysctl_show_last_pid(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_sysctl_write_last_pid(
	const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
int proc_sysctl_show_noexec(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_sysctl_write_noexec(
	const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
uint64_t proc_sysctl_bind_user_ns(const struct pseudo_ctx *x);
void proc_sysctl_unbind_user_ns(uint64_t bound);
int proc_sysctl_check_user(const struct pseudo_ctx *x, int mask);
int proc_sysctl_show_user(const struct pseudo_ctx *x, struct sbuf *b);
ssize_t proc_sysctl_write_user(
	const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);

#endif
