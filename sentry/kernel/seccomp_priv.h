/* SPDX-License-Identifier: Apache-2.0 */
/* What seccomp.c and seccomp_notify.c share. */
#ifndef SENTRY_KERNEL_SECCOMP_PRIV_H
#define SENTRY_KERNEL_SECCOMP_PRIV_H

#include "sentry/kernel/internal.h"
#include "sentry/kernel/seccomp.h"

#define SECCOMP_NRS 512 /* numbers that have a bit in `allow` */

struct seccomp_listener;

struct seccomp_filter {
	struct ref ref;
	_Atomic uint32_t users;	     /* tasks, and filters that stand on it and have users */
	struct seccomp_filter *prev; /* (C) installed before this one; a reference and a user */
	uint32_t total;		 /* (C) instructions of the chain, with the price of each filter */
	bool reads_ip;		 /* (C) some program of the chain looks at it */
	bool stub_ok;		 /* (C) allows all that the stub answers */
	bool wait_killable, log; /* (C) */
	struct seccomp_listener *listener; /* (C) a reference */
	uint64_t allow[SECCOMP_NRS / 64];  /* (C) the chain allows these whatever the arguments */
	size_t len;
	struct lx_sock_filter insns[];
};

/* A listener for f and its file; before f is installed. */
int seccomp_listener_new(struct seccomp_filter *f, struct file **ret);
void seccomp_listener_put(struct seccomp_listener *l);
bool seccomp_listener_open(const struct seccomp_listener *l); /* is its file still there? */
void seccomp_listener_orphan(struct seccomp_listener *l);     /* no task has the filter any more */
/* Ask the listener about a syscall, and park until it answers. True: go on with the call; false:
 * *result stands in its place. */
bool seccomp_notify(struct task *t, const struct seccomp_filter *f, const struct lx_seccomp_data *d,
	int64_t *result);

/* What a filter says stands as it is, also where it looks like an order to restart the call. */
void seccomp_set_result(struct task *t, int64_t v);

#endif
