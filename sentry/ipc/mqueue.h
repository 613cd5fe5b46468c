/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the POSIX message queues: mqueue.c has the queues, mqueue_fs.c the file system. */
#ifndef SENTRY_IPC_MQUEUE_INTERNAL_H
#define SENTRY_IPC_MQUEUE_INTERNAL_H

#include "base/list.h"
#include "sentry/ipc/mqueue.h"
#include "sentry/vfs/path.h"
#include <bsd/sys/tree.h>

struct mq_message {
	RB_ENTRY(mq_message) node;
	uint32_t prio;
	uint64_t seq;
	size_t len;
	void *text;
};

struct mq_entry;

RB_HEAD(mq_tree, mq_message);

/* An inode of the file system: a queue, or the root. */
struct mq_node {
	struct inode i;
	/* of a queue; under `lock`, but what is constant */
	struct mutex lock;	 /* rank FSNODE */
	int64_t maxmsg, msgsize; /* constant */
	uint32_t owner;		 /* constant: whose RLIMIT_MSGQUEUE */
	uint64_t charged;	 /* constant */
	struct mq_tree messages;
	int64_t count;
	uint64_t next_seq, bytes;
	uint32_t readers; /* that wait */
	struct mq_notify *notify;
	struct waitq wq;
	/* of the root; under its dir_lock */
	struct list entries;	/* struct mq_entry */
	struct mq_entry *table; /* by name */
};

static inline struct mq_node *
mq_node_of(struct inode *i)
{
	return container_of(i, struct mq_node, i);
}

/* The file system of one namespace. */
struct mq_fs {
	struct mutex lock; /* rank FS */
	int64_t limit[MQ_LIMITS];
	int64_t queues;
	_Atomic uint64_t next_ino;
	struct list pending; /* struct mq_pending: who makes a queue, with which attributes */
};

extern const struct file_ops mq_fops;

/* A new queue; attr NULL: defaults. -EINVAL, -EOVERFLOW, -EMFILE, -ENOSPC. */
int mq_node_new(struct super *sb, const struct call *c, const struct inode_spec *spec,
	const struct lx_mq_attr *attr, struct mq_node **ret);
void mq_queue_fini(struct mq_node *q); /* what a queue has beyond its inode */

#endif
