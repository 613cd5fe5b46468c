/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tracing: ptrace(2). Linux counterpart: kernel/ptrace.c, the tracing half of kernel/signal.c.
 *
 * A tracee that stops parks in its own fiber, and what the tracer asks about its registers and
 * memory is done there: nobody else touches its thread of the platform. All of struct tracee is
 * guarded by tasklist_lock.
 */
#ifndef SENTRY_KERNEL_PTRACE_H
#define SENTRY_KERNEL_PTRACE_H

#include "abi/ptrace.h"
#include "sentry/kernel/task.h"

struct plat_event;

enum ptrace_resume {
	PT_CONT,
	PT_SYSCALL,
	PT_SYSEMU,
	PT_STEP = 4, /* a bit, with any of the above */
};

/* --- for the tracer; t is the caller --- */
int ptrace_traceme(struct task *t);
/* -EPERM, -ESRCH. */
int ptrace_attach(struct task *t, struct task *target, bool seize, uint32_t options);
/* The tracee is in a stop of the caller's: let it go on. how: enum ptrace_resume. signo: to
 * deliver, 0: none. -ESRCH. */
int ptrace_resume(struct task *t, struct task *target, int how, int signo);
int ptrace_detach(struct task *t, struct task *target, int signo);
int ptrace_interrupt(struct task *t, struct task *target);
int ptrace_listen(struct task *t, struct task *target);
int ptrace_set_options(struct task *t, struct task *target, uint32_t options);
/* Call fn in the stopped tracee's fiber and wait for it. -ESRCH: it is not stopped, or not the
 * caller's. */
int64_t ptrace_call(struct task *t, struct task *target,
	int64_t (*fn)(struct task *tracee, void *arg), void *arg);
bool ptrace_is_stopped_by(struct task *t, struct task *target);
/* Any thread of g that is in a stop of t's: a reference, or NULL. */
struct task *ptrace_stopped_thread(struct task *t, struct tgroup *g);

/* Memory of another task, also where it may not write itself (breakpoints): in private areas, as
 * its debugger, or for the caller's own. -EFAULT. */
int task_poke_forced(struct task *t, struct task *target, struct mm *mm, uint64_t addr,
	const void *buf, uint64_t len);

/* --- for the tracee: t is the caller; all are quick when nobody traces it --- */
static inline bool
ptrace_traced(const struct task *t)
{
	return atomic_load_explicit(&t->tracee.traced, memory_order_relaxed);
}
/* Stop for an event if the tracer asked for such; message as PTRACE_GETEVENTMSG has it. */
void ptrace_event(struct task *t, int event, uint64_t message);
bool ptrace_wants(struct task *t, int event);
void ptrace_syscall_stop(struct task *t, uint64_t which); /* LX_PTRACE_EVENTMSG_SYSCALL_* */
/* A signal was taken from the queue: what the tracer makes of it; 0: nothing. */
int ptrace_signal(struct task *t, int signo, struct lx_siginfo *info);
/* TW_PTRACE was set: PTRACE_INTERRUPT, the first stop of one that was seized. */
void ptrace_trap(struct task *t);
/* The group is stopped; false: nobody traces t any more. */
bool ptrace_group_stop(struct task *t);
/* The handler's frame is made, and the tracer steps. */
void ptrace_step_handler(struct task *t);
/* SIGTRAP after the syscall that was stepped over. */
void ptrace_step_syscall(struct task *t);
/* After execve. */
void ptrace_exec_done(struct task *t, int32_t old_tid);

/* --- for clone, exit, wait; tasklist_lock is held --- */
/* Which event a clone with these flags is to t's tracer; 0: none. */
int ptrace_clone_event(struct task *t, uint64_t flags, int exit_signal);
void ptrace_new_task_locked(struct task *t, struct task *n, bool trace);
void ptrace_unlink_locked(struct task *target);
/* t ends: its tracees go free. */
void ptrace_exit_tracer(struct task *t);
void ptrace_tell_tracer_locked(struct task *t, int code, int status);
bool ptrace_tracer_capable(struct task *t, int cap);

/* --- syscalls that somebody looks at (syscall_work.c) --- */

/* prctl(PR_SET_SYSCALL_USER_DISPATCH), of the calling task. */
int64_t user_dispatch_set(
	struct task *t, uint64_t mode, uint64_t start, uint64_t len, uint64_t selector);
/* True: the call is not made, and the program has a SIGSYS, or ends. */
bool user_dispatch(struct task *t, const struct plat_event *ev, int64_t *result);

/* True: carry it out; *ev may have changed. False: *result stands, or TF_NO_RESULT. */
bool task_syscall_enter(struct task *t, struct plat_event *ev, int64_t *result);
void task_syscall_exit(struct task *t, bool has_result, int64_t *result);

#endif
