/* SPDX-License-Identifier: Apache-2.0 */
/* The trace of syscalls, one line each, made from the table's argument kinds; looks like strace's.
 */
#ifndef SENTRY_SYSCALL_TRACE_H
#define SENTRY_SYSCALL_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct task;
struct sc_row;

void trace_init(int fd); /* -1: off; fd is owned by the trace */
bool trace_on(void);
/* The arguments, before the call; kept with the task's line until trace_exit. */
void trace_enter(struct task *t, const struct sc_row *row, uint32_t nr, const uint64_t a[6]);
void trace_exit(
	struct task *t, const struct sc_row *row, uint32_t nr, const uint64_t a[6], int64_t result);

#endif
