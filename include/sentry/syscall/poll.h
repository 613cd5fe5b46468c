/* SPDX-License-Identifier: Apache-2.0 */
/* Registering with the queues of several files at once, for the calls that wait on them. */
#ifndef SENTRY_SYSCALL_POLL_H
#define SENTRY_SYSCALL_POLL_H

#include "sentry/sched/waitq.h"

struct fiber;

#define POLLSET_INLINE 8

struct pollset_chunk;

struct pollset {
	struct poll_table pt; /* give it to file_ops.poll */
	struct fiber *fiber;
	struct waiter inlined[POLLSET_INLINE];
	unsigned n;
	struct pollset_chunk *more;
	bool failed; /* out of memory: a registration is missing */
};

void pollset_init(struct pollset *ps, struct fiber *f);
void pollset_clear(struct pollset *ps); /* take the waiters out of all queues; may be used again */

#endif
