/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File locks: flock(2), POSIX record locks and OFD locks. A request that meets a conflict answers
 * -EAGAIN; to wait, a caller puts a file_lock_wait in the queue, tries again and parks, which the
 * syscall layer does. Rules: flock(2), fcntl(2); Linux: fs/locks.c.
 */
#ifndef SENTRY_VFS_LOCK_H
#define SENTRY_VFS_LOCK_H

#include "abi/fs.h"
#include "sentry/vfs/file.h"

enum lock_kind {
	LOCK_KIND_FLOCK, /* owner: the open file */
	LOCK_KIND_POSIX, /* owner: the descriptor table (call.files_id) */
	LOCK_KIND_OFD,	 /* owner: the open file; conflicts with POSIX locks */
	LOCK_KIND_LEASE, /* only in file_lock_info */
};

struct lock_request {
	enum lock_kind kind;
	int16_t type;	    /* LX_F_RDLCK, _WRLCK, _UNLCK */
	int64_t start, end; /* inclusive; INT64_MAX: to the end */
	uint64_t owner;	    /* POSIX: files_id; else the file's address */
	int32_t pid;	    /* as F_GETLK shows it; -1 for OFD */
};

/* Fill in from a guest's struct flock (already copied). f->pos and the size are looked at. -EINVAL,
 * -EOVERFLOW. */
int lock_request_init(struct lock_request *rq, const struct call *c, struct file *f,
	const struct lx_flock *fl, bool ofd);
/* Set or clear. -EAGAIN: conflict. -ENOLCK, -ENOMEM. */
int file_lock_set(struct file *f, const struct lock_request *rq);
/* The first lock in the way of rq, in *fl (type LX_F_UNLCK if none). */
void file_lock_get(struct file *f, const struct lock_request *rq, struct lx_flock *fl);
/* The queue that is notified when a lock of f's inode goes. NULL: no memory. */
struct waitq *file_lock_queue(struct file *f);
/* rq is about to wait: would that close a circle of waiting POSIX owners? -EDEADLK, else it is
 * recorded until file_lock_wait_end. */
int file_lock_wait_begin(struct file *f, const struct lock_request *rq, void **cookie);
void file_lock_wait_end(void *cookie);

/* The owner's POSIX locks on f's inode go (close of any descriptor). */
void file_locks_close(struct file *f, uint64_t owner);
/* Last reference to f: its flock and OFD locks go. */
void file_locks_release(struct file *f);

/* Every lock that is held, as /proc/locks shows them. fn must not park. -ENOMEM. */
struct file_lock_info {
	enum lock_kind kind;
	int16_t type;
	int32_t pid; /* global; -1: none */
	uint32_t dev;
	uint64_t ino;
	int64_t start, end; /* INT64_MAX: to the end */
	bool breaking;	    /* a lease that somebody waits for; type is what it has to become */
};
int file_locks_each(void (*fn)(const struct file_lock_info *l, void *arg), void *arg);

/*
 * Leases (F_SETLEASE): who has one is told when somebody opens or truncates the file in a way that
 * it excludes, and that one waits until the lease is given up, or taken away after
 * fs.lease-break-time.
 */

/* type: LX_F_RDLCK, _WRLCK, _UNLCK. fd: what the signal names. -EINVAL, -EACCES (neither the owner
 * of the file nor CAP_LEASE), -EAGAIN (open in another way; nothing to give up), -ENOLCK. */
int file_lease_set(struct file *f, const struct call *c, int fd, int type);
int file_lease_get(struct file *f); /* what it is, or while it is broken has to become */
/* Break what leases of i are in the way of who wants to open it with these LX_O_* flags, and wait
 * until they are gone. -EWOULDBLOCK with LX_O_NONBLOCK; -ERESTARTSYS. May park. */
int file_lease_break(struct inode *i, const struct call *c, uint32_t oflags);

/* A lease of f, set by descriptor fd, is being broken: kernel/ sends the signal. */
extern void (*file_lease_tell)(struct file *f, int fd);

#endif
