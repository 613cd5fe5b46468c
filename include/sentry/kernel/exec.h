/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_KERNEL_EXEC_H
#define SENTRY_KERNEL_EXEC_H

#include "sentry/loader/loader.h"

struct task;

/* execve(2): p has args and envs; path and base as for vfs_open. Consumes p's contents
 * (program_free) in every case. 0: the task is now the new program and its registers are set. After
 * the old program is gone a failure kills the task. */
int64_t task_exec(struct task *t, struct program *p, const struct path *base, const char *path,
	uint32_t lookup_flags);

/* Limit for arguments and environment together, bytes (execve(2), "Limits on size"). */
size_t exec_arg_limit(const struct rlimits *r);

int exec_init(void); /* once, when the platform has started */

#endif
