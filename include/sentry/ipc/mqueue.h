/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POSIX message queues (mq_overview(7)). A queue is a file of the mqueue file system of an IPC
 * namespace. Nothing here sleeps: what would block says -EAGAIN, and the caller waits in
 * mq_waitq().
 */
#ifndef SENTRY_IPC_MQUEUE_H
#define SENTRY_IPC_MQUEUE_H

#include "sentry/cred/cred.h"
#include "sentry/sched/waitq.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct file;
struct mount;
struct super;

#define MQ_PRIO_MAX	 32768
#define MQ_SIGEV_SIGNAL	 0
#define MQ_SIGEV_NONE	 1
#define MQ_SIGEV_THREAD	 2
#define MQ_COOKIE_BYTES	 32
#define MQ_COOKIE_WOKEN	 1
#define MQ_COOKIE_REMOVE 2

struct lx_mq_attr {
	int64_t flags, maxmsg, msgsize, curmsgs, reserved[4];
};

/* Who is told when a message comes to an empty queue; once. The rest is its maker's. */
struct mq_notify {
	int32_t tgid;	    /* who asked */
	int32_t how, signo; /* MQ_SIGEV_*; as shown */
	/* A message came: tell, and free. */
	void (*fire)(struct mq_notify *n, int32_t sender_tgid, uint32_t sender_uid);
	/* It was taken back: free. */
	void (*drop)(struct mq_notify *n);
};

/* oflag: LX_O_*; attr: for a new one, NULL: defaults. name: without a slash, or -EACCES. */
int mq_open_file(const struct call *c, const char *name, uint32_t oflag, uint32_t mode,
	const struct lx_mq_attr *attr, struct file **ret);
int mq_remove(const struct call *c, const char *name);
bool mq_is(const struct file *f);

/* The functions below take files for which that is so. */
void mq_attr(struct file *f, struct lx_mq_attr *ret);
struct waitq *mq_waitq(struct file *f); /* LX_POLLIN: a message, LX_POLLOUT: room */
/* Consumes text on success. -EAGAIN: full. */
int mq_put(struct file *f, const struct call *c, uint32_t prio, void *text, size_t len);
/* The oldest of the highest priority: its length, and *text, which is the caller's to free.
 * -EAGAIN: none. */
ssize_t mq_take(struct file *f, uint32_t *prio, void **text);
/* A reader waits (1), or no more (-1): what comes is for it, and nobody is notified. */
void mq_reader_waits(struct file *f, int by);
/* Consumes n on success. -EBUSY. */
int mq_set_notify(struct file *f, struct mq_notify *n);
void mq_clear_notify(struct file *f, int32_t tgid); /* if it is that one's */

/* The limits of a namespace, for /proc/sys/fs/mqueue. */
enum mq_limit {
	MQ_MSG_DEFAULT,
	MQ_MSG_MAX,
	MQ_MSGSIZE_DEFAULT,
	MQ_MSGSIZE_MAX,
	MQ_QUEUES_MAX,
	MQ_LIMITS
};
struct ipc_ns;
int64_t mq_limit_get(struct ipc_ns *ns, enum mq_limit which);	     /* -errno */
int mq_limit_set(struct ipc_ns *ns, enum mq_limit which, int64_t v); /* -EINVAL */

/* For ipc.c: the namespace is gone. */
void mq_ns_gone(struct super *sb, struct mount *mnt);
int mqueue_init(void); /* at start: the file system */

#endif
