/* SPDX-License-Identifier: Apache-2.0 */
/* Between the keeper and its maker, in memory that both have. */
#ifndef PLATFORM_HOST_KEEPER_RUN_H
#define PLATFORM_HOST_KEEPER_RUN_H

#include "platform/host/keeper.h"
#include "platform/host/meter.h"
#include <stdint.h>

enum keeper_op {
	KEEPER_FORK,
	KEEPER_VFORK,
	KEEPER_METER,
	KEEPER_WATCH,
	KEEPER_LEAVE,
	KEEPER_END,
};

/* One byte, and the descriptors with it, on a SOCK_SEQPACKET socket. What comes back: */
struct keeper_reply {
	int32_t child; /* that has ended; -1: the answer to the last request */
	int32_t value; /* its status; its number or -errno, with a descriptor of it */
};

/* Written by the maker before it sends a request. */
struct keeper_shared {
	int sock, host, net_fd; /* as the keeper has them at its start */
	bool die_with_caller;
	keeper_fn *fn;
	void *arg;
	unsigned flags;
	char *vfork_stack; /* its upper end */
	int result;	   /* of fn, in KEEPER_VFORK */
};

int keeper_run(void *shared);

/* clone(2) of a process in which fn runs on another stack (its upper end), and which ends with what
 * it returns: its number, with CLONE_PIDFD a descriptor of it in *ret_pidfd; -errno. Not libc's,
 * which looks at thread-local storage, and whose wrapper in a sanitizer expects the caller to stay.
 */
long keeper_clone(int (*fn)(void *), void *stack, unsigned long flags, void *arg, int *ret_pidfd);

/* keeper_meter.c */
void keeper_measure(int pid, int what, struct meter_answer *a);

#endif
