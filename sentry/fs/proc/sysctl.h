/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_FS_PROC_SYSCTL_H
#define SENTRY_FS_PROC_SYSCTL_H

#include "abi/stat.h"
#include "internal.h"

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
#define SYSCTL(n, v) CONST(n, v), /* sysctl.def */

/* What the host has set of a row, or NULL. */
const char *proc_sysctl_shown(const struct pseudo_row *row);

/* Up to max numbers at the beginning of what was written, with blanks between: how many, or
 * -EINVAL. *ret_used: the bytes of them and of the blanks behind. */
int proc_sysctl_numbers(const char *buf, size_t len, int64_t *v, unsigned max, size_t *ret_used);

#endif
