/* SPDX-License-Identifier: Apache-2.0 */
/* What seccomp.c, seccomp_notify.c and seccomp_outside.c share. */
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

/* A listener for f, before f is installed: with a file, or for somebody else who reads it, to whom
 * the reference in *ret belongs. */
int seccomp_listener_file(struct seccomp_filter *f, struct file **ret);
int seccomp_listener_new(struct seccomp_filter *f, struct seccomp_listener **ret);
void seccomp_listener_put(struct seccomp_listener *l);
bool seccomp_listener_open(const struct seccomp_listener *l); /* can it still be read? */
void seccomp_listener_orphan(struct seccomp_listener *l);     /* no task has the filter any more */
/* Ask the listener about a syscall, and park until it answers. True: go on with the call; false:
 * *result stands in its place. */
bool seccomp_notify(struct task *t, const struct seccomp_filter *f, const struct lx_seccomp_data *d,
	int64_t *result);

/* For readers, as the ioctls of seccomp_unotify(2). take: the oldest call that nobody has read, but
 * for its pid; *ret: whose it is, a reference. -EAGAIN: there is none; -ENOENT: there will be none.
 * put_back: nobody has read it after all. */
int seccomp_listener_take(
	struct seccomp_listener *l, struct lx_seccomp_notif *n, struct task **ret);
void seccomp_listener_put_back(struct seccomp_listener *l, uint64_t id);
int64_t seccomp_listener_reply(struct seccomp_listener *l, const struct lx_seccomp_notif_resp *r);
int64_t seccomp_listener_id_valid(struct seccomp_listener *l, uint64_t id);
/* check: of what does not depend on the listener. */
int64_t seccomp_listener_check_addfd(const struct lx_seccomp_notif_addfd *a);
int64_t seccomp_listener_addfd(
	struct seccomp_listener *l, struct file *file, const struct lx_seccomp_notif_addfd *a);
uint32_t seccomp_listener_events(struct seccomp_listener *l); /* LX_POLL*; wq is told of new ones */
struct waitq *seccomp_listener_wq(struct seccomp_listener *l);
/* The reader goes, with its reference: calls that wait get ENOSYS. */
void seccomp_listener_close(struct seccomp_listener *l);

/* seccomp_outside.c: a listener for f, before f is installed, that is read over a socket
 * (gofer/bridge.h), which is consumed in any case. k: the container of whose programs. */
int seccomp_listener_outside(struct seccomp_filter *f, int sock, struct kernel_container *k);

/* What a filter says stands as it is, also where it looks like an order to restart the call. */
void seccomp_set_result(struct task *t, int64_t v);

#endif
