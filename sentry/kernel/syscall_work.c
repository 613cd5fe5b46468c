/* SPDX-License-Identifier: Apache-2.0 */
/* What lies around a syscall when somebody looks at the task's: the tracer's stops and seccomp, in
 * Linux's order. */
#include "sentry/kernel/internal.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/seccomp.h"

/* A tracer may have made another call of it. False: none at all. */
static bool
take_back(struct task *t, struct plat_event *ev, int64_t *result)
{
	const struct guest_regs *r = plat->regs(t->pt);

	plat->forget_carried(t->pt);
	*result = (int64_t)r->rax;
	ev->nr = (uint32_t)r->orig_rax;
	ev->args[0] = r->rdi;
	ev->args[1] = r->rsi;
	ev->args[2] = r->rdx;
	ev->args[3] = r->r10;
	ev->args[4] = r->r8;
	ev->args[5] = r->r9;
	atomic_store_explicit(&t->nr, ev->nr, memory_order_relaxed);
	return (int32_t)ev->nr >= 0 && !(atomic_load(&t->work) & TW_EXIT);
}

bool
task_syscall_enter(struct task *t, struct plat_event *ev, int64_t *result)
{
	uint32_t work = atomic_load(&t->syscall_work);
	enum seccomp_verdict v;

	task_note_args(t, ev->args);
	if ((work & SW_DISPATCH) && user_dispatch(t, ev, result))
		return false;
	if (work & (SW_TRACE | SW_SYSEMU)) {
		ptrace_syscall_stop(t, LX_PTRACE_EVENTMSG_SYSCALL_ENTRY);
		if (!take_back(t, ev, result) || (work & SW_SYSEMU))
			return false;
	}
	if (!(work & SW_SECCOMP))
		return true;
	v = seccomp_enter(t, ev, false, result);
	if (v == SECCOMP_ASK_TRACER) {
		if (!ptrace_wants(t, LX_PTRACE_EVENT_SECCOMP)) {
			*result = -ENOSYS;
			return false;
		}
		ptrace_event(t, LX_PTRACE_EVENT_SECCOMP, (uint64_t)*result);
		if (!take_back(t, ev, result))
			return false;
		v = seccomp_enter(t, ev, true, result);
	}
	return v == SECCOMP_GO;
}

void
task_syscall_exit(struct task *t, bool has_result, int64_t *result)
{
	if (has_result)
		plat->set_result(t->pt, *result);
	if (atomic_load(&t->syscall_work) & SW_TRACE)
		ptrace_syscall_stop(t, LX_PTRACE_EVENTMSG_SYSCALL_EXIT);
	if (t->step)
		ptrace_step_syscall(t);
	if (has_result)
		*result = (int64_t)plat->regs(t->pt)->rax;
}
