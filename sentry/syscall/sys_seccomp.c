/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp(2), and prctl(2)'s older way to it. */
#include "sentry/kernel/seccomp.h"
#include "sentry/syscall/internal.h"

static int64_t
do_seccomp(struct task *t, uint32_t op, uint32_t flags, uint64_t arg)
{
	static const uint16_t sizes[3] = {sizeof(struct lx_seccomp_notif),
		sizeof(struct lx_seccomp_notif_resp), sizeof(struct lx_seccomp_data)};
	uint32_t action;

	switch (op) {
	case LX_SECCOMP_SET_MODE_STRICT:
		return flags || arg ? -EINVAL : seccomp_set_strict(t);
	case LX_SECCOMP_SET_MODE_FILTER:
		return seccomp_set_filter(t, flags, arg);
	case LX_SECCOMP_GET_ACTION_AVAIL:
		if (flags)
			return -EINVAL;
		if (copy_in(&t->mem.um, &action, ua(arg), sizeof action))
			return -EFAULT;
		return seccomp_action_known(action) ? 0 : -EOPNOTSUPP;
	case LX_SECCOMP_GET_NOTIF_SIZES:
		return flags ? -EINVAL : copy_out(&t->mem.um, ua(arg), sizes, sizeof sizes);
	default:
		return -EINVAL;
	}
}

int64_t
sys_seccomp(struct task *t, const uint64_t a[6])
{
	return do_seccomp(t, (uint32_t)a[0], (uint32_t)a[1], a[2]);
}

int64_t
prctl_set_seccomp(struct task *t, uint64_t mode, uint64_t filter)
{
	switch (mode) {
	case LX_SECCOMP_MODE_STRICT:
		return do_seccomp(t, LX_SECCOMP_SET_MODE_STRICT, 0, 0);
	case LX_SECCOMP_MODE_FILTER:
		return do_seccomp(t, LX_SECCOMP_SET_MODE_FILTER, 0, filter);
	default:
		return -EINVAL;
	}
}
