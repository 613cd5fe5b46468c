/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for children; what wait4(2) and waitid(2) are made of. */
#ifndef SENTRY_KERNEL_WAIT_H
#define SENTRY_KERNEL_WAIT_H

#include "sentry/kernel/usage.h"
#include <stdint.h>

struct task;

#define LX_WNOHANG    1u
#define LX_WSTOPPED   2u
#define LX_WEXITED    4u
#define LX_WCONTINUED 8u
#define LX_WNOWAIT    0x01000000u
#define LX_WNOTHREAD  0x20000000u
#define LX_WALL	      0x40000000u
#define LX_WCLONE     0x80000000u

struct wait_request {
	enum {
		WAIT_ANY,
		WAIT_PID,
		WAIT_PGID,
	} which;
	int32_t id;
	uint32_t options; /* LX_W* */
	int32_t caller_tid;
};

struct wait_result {
	int32_t pid;
	uint32_t uid;
	int code;    /* LX_CLD_* */
	int status;  /* exit code or signal */
	int wstatus; /* as wait4 has it */
	int64_t utime_ns, stime_ns;
	struct usage used;
};

/* 1: *w is set, 0: none is ready (LX_WNOHANG), -ECHILD, -ERESTARTSYS. */
int task_wait_child(struct task *t, const struct wait_request *r, struct wait_result *w);

#endif
