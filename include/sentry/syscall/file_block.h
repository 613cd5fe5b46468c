/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one loop that blocks on files: try; while the answer is -EAGAIN, register with the queues
 * that the file's poll names, try again, and park until one of them is notified.
 */
#ifndef SENTRY_SYSCALL_FILE_BLOCK_H
#define SENTRY_SYSCALL_FILE_BLOCK_H

#include "sentry/sched/waitq.h"
#include <stdint.h>

struct task;
struct file;
struct uio;

/* Waiters of one fiber in a few queues. */
#define BLOCK_QUEUES 6
struct block_table {
	struct poll_table pt;
	struct waiter w[BLOCK_QUEUES];
	int n;
	uint32_t mask;
};

void block_table_init(struct block_table *b, uint32_t mask); /* LX_POLL* events that wake */
void block_table_fini(struct block_table *b);

/* fn's result, or -ERESTARTSYS when a signal is due, or -EAGAIN at the deadline (host
 * CLOCK_MONOTONIC ns, INT64_MAX: none). events: what fn waits for. Does not look at O_NONBLOCK. */
int64_t file_block(struct task *t, struct file *f, uint32_t events, int64_t deadline_ns,
	int64_t (*fn)(void *arg), void *arg);
/* The same, waiting for one queue. */
int64_t queue_block(struct task *t, struct waitq *q, uint32_t events, int64_t deadline_ns,
	int64_t (*fn)(void *arg), void *arg);

/* read(2)- and write(2)-like transfers, whole: position, blocking by O_NONBLOCK and RWF_NOWAIT,
 * SIGPIPE, SIGXFSZ, O_SYNC. pos NULL: the file's own. */
int64_t task_file_read(struct task *t, struct file *f, struct uio *u, int64_t *pos, uint32_t rwf);
int64_t task_file_write(struct task *t, struct file *f, struct uio *u, int64_t *pos, uint32_t rwf);

#endif
