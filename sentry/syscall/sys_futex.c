/* SPDX-License-Identifier: Apache-2.0 */
/*
 * futex(2). What the host can do on the guest's memory it does, in the guest (platform); this
 * handler sees such a call only when the stub does not answer by itself. Priority inheritance is
 * done here.
 */
#include "sentry/syscall/internal.h"

#define OP_WAIT	       0
#define OP_WAKE	       1
#define OP_REQUEUE     3
#define OP_CMP_REQUEUE 4
#define OP_WAKE_OP     5
#define OP_WAIT_BITSET 9
#define OP_WAKE_BITSET 10
#define FUTEX_PRIVATE  128
#define FUTEX_CLOCK_RT 256

int64_t
sys_futex(struct task *t, const uint64_t a[6])
{
	int op = arg_int(a[1]), cmd = op & ~(FUTEX_PRIVATE | FUTEX_CLOCK_RT);

	switch (cmd) {
	case OP_WAIT:
	case OP_WAKE:
	case OP_REQUEUE:
	case OP_CMP_REQUEUE:
	case OP_WAKE_OP:
	case OP_WAIT_BITSET:
	case OP_WAKE_BITSET:
		t->flags |= TF_NO_RESULT | TF_FUTEX;
		return 0;
	default:
		return -ENOSYS;
	}
}
