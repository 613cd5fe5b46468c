/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Syscall filters of guests: seccomp(2). Linux counterpart: kernel/seccomp.c.
 *
 * A filter is a checked BPF program and the one that was installed before it; tasks share chains by
 * reference. Which calls a whole chain allows whatever their arguments is computed when it is
 * installed: such a call costs one bit test, and what the stub may answer by itself stays there as
 * long as the chain allows all of it.
 */
#ifndef SENTRY_KERNEL_SECCOMP_H
#define SENTRY_KERNEL_SECCOMP_H

#include "abi/seccomp.h"
#include <stdbool.h>
#include <stddef.h>

struct kernel_container;
struct task;
struct plat_event;

/*
 * For the launcher: a program to put on a process before its first exec (kernel_process.seccomp).
 * insns: len instructions as libseccomp exports them (seccomp_export_bpf), borrowed until
 * kernel_start_process returns; they are hostile and are checked, -EINVAL if seccomp(2) would not
 * take them. flags: LX_SECCOMP_FILTER_FLAG_LOG and _SPEC_ALLOW only. listener: a socket to who
 * answers RET_USER_NOTIF (gofer/bridge.h), -1: nobody does; it is -1 when it has been taken, which
 * may be also when something else fails. That the process has
 * no_new_privs or CAP_SYS_ADMIN is not asked: the runtime is not the guest. The exec of the program
 * itself is not a syscall of the guest and does not pass the filter.
 */
struct seccomp_program {
	const struct lx_sock_filter *insns;
	size_t len;
	uint32_t flags;
	int listener;
};

/* The first filter of a task of k that does not run yet. */
int seccomp_start(struct task *t, struct seccomp_program *p, struct kernel_container *k);

/* seccomp(2), prctl(PR_SET_SECCOMP); the caller's own task. */
int64_t seccomp_set_strict(struct task *t);
int64_t seccomp_set_filter(struct task *t, uint32_t flags, uint64_t fprog);
bool seccomp_action_known(uint32_t action);

/* The child n of t gets t's filters; the sighand's lock is held. */
void seccomp_fork_locked(struct task *t, struct task *n);
/* The task ends: its filters go. */
void seccomp_exit(struct task *t);
uint32_t seccomp_count(const struct task *t); /* filters in the chain, for /proc/PID/status */
/* Does the chain always allow all that the stub answers by itself? */
bool seccomp_stub_may_answer(const struct task *t);

enum seccomp_verdict {
	SECCOMP_STOP,	    /* it is not made; *result is its result, or TF_NO_RESULT is set */
	SECCOMP_GO,	    /* go on with it */
	SECCOMP_ASK_TRACER, /* RET_TRACE; *result is what the filter tells the tracer */
};
/* Before a syscall of t is carried out. May park (notification). traced: called again after the
 * tracer's stop for RET_TRACE. */
enum seccomp_verdict seccomp_enter(
	struct task *t, const struct plat_event *ev, bool traced, int64_t *result);

#endif
