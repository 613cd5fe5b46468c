/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_SYSCALL_INTERNAL_H
#define SENTRY_SYSCALL_INTERNAL_H

#include "abi/restart.h"
#include "sentry/kernel/fdtable.h"
#include "sentry/kernel/task.h"
#include "sentry/syscall/syscall.h"
#include <errno.h>

struct sc_flag {
	uint64_t value;
	const char *name;
};

/* Decode and check a timespec from guest memory: ns, saturating at INT64_MAX. -EFAULT, -EINVAL. */
int timespec_in(struct task *t, struct uaddr addr, int64_t *ret_ns);
int timespec_out(struct task *t, struct uaddr addr, int64_t ns);
int timeval_out(struct task *t, struct uaddr addr, int64_t ns);
/* Host CLOCK_MONOTONIC deadline ns from now; saturates. */
int64_t deadline_after(int64_t ns);

/* Owners of System V IPC from and to t's user namespace; sys_sysvipc.c. Who has no id there comes
 * in as UINT32_MAX. */
struct lx_ipc_perm;
void ipc_owner_in(const struct task *t, struct lx_ipc_perm *p);
void ipc_owner_out(const struct task *t, struct lx_ipc_perm *p);

/* prctl(PR_SET_SECCOMP); sys_seccomp.c */
int64_t prctl_set_seccomp(struct task *t, uint64_t mode, uint64_t filter);
int64_t prctl_set_mm(struct task *t, const uint64_t a[6]);
int64_t prctl_get_auxv(struct task *t, const uint64_t a[6]);
int64_t prctl_set_mdwe(struct task *t, const uint64_t a[6]);
int64_t prctl_get_mdwe(struct task *t, const uint64_t a[6]);

static inline int32_t
arg_int(uint64_t a)
{
	return (int32_t)(uint32_t)a;
}

#endif
