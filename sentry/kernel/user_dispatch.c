/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Syscall User Dispatch (prctl(2), PR_SET_SYSCALL_USER_DISPATCH): calls that are not made from a
 * range of the program's code become a SIGSYS, as long as a byte of the thread's says so. By what
 * runs programs of other systems: Wine.
 */
#include "platform/platform.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/seccomp.h"

enum {
	DISPATCH_OFF,
	DISPATCH_EXCLUSIVE_ON,
	DISPATCH_INCLUSIVE_ON, /* the calls of the range, and no others */
};

/* What the selector says. */
enum {
	ALLOW,
	BLOCK,
};

int64_t
user_dispatch_set(struct task *t, uint64_t mode, uint64_t start, uint64_t len, uint64_t selector)
{
	switch (mode) {
	case DISPATCH_OFF:
		if (start || len || selector)
			return -EINVAL;
		break;
	case DISPATCH_EXCLUSIVE_ON:
		if (start && start + len <= start)
			return -EINVAL;
		break;
	case DISPATCH_INCLUSIVE_ON:
		if (!len || start + len <= start)
			return -EINVAL;
		start += len;
		len = -len;
		break;
	default:
		return -EINVAL;
	}
	if (selector >= plat->guest_top())
		return -EFAULT;
	t->dispatch = (struct task_dispatch){start, len, selector};
	if (mode == DISPATCH_OFF)
		atomic_fetch_and(&t->syscall_work, ~SW_DISPATCH);
	else
		atomic_fetch_or(&t->syscall_work, SW_DISPATCH);
	task_publish_identity(t); /* the stub is to answer nothing itself */
	return 0;
}

static void
end_by(struct task *t, int sig)
{
	struct tgroup *g = t->tgroup;

	mutex_lock(&g->sighand->lock);
	tgroup_start_exit_locked(g, sig, NULL);
	mutex_unlock(&g->sighand->lock);
}

bool
user_dispatch(struct task *t, const struct plat_event *ev, int64_t *result)
{
	const struct task_dispatch *d = &t->dispatch;
	struct lx_siginfo info = {.signo = LX_SIGSYS, .code = LX_SYS_USER_DISPATCH};
	uint64_t ip = plat->regs(t->pt)->rip;
	uint8_t state;

	if (ip - d->start < d->len)
		return false;
	if (d->selector) {
		*result = -ENOSYS;
		if (copy_in(&t->mem.um, &state, ua(d->selector), sizeof state)) {
			end_by(t, LX_SIGSEGV);
			return true;
		}
		if (state == ALLOW)
			return false;
		if (state != BLOCK) {
			end_by(t, LX_SIGSYS);
			return true;
		}
	}
	/* The handler sees the registers as they were at the call. */
	*result = (int64_t)ev->nr;
	info.sys.call_addr = ip;
	info.sys.syscall = (int32_t)ev->nr;
	info.sys.arch = LX_AUDIT_ARCH_X86_64;
	signal_force(t, LX_SIGSYS, &info);
	return true;
}
