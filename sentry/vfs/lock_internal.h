/* SPDX-License-Identifier: Apache-2.0 */
/* What an inode has of locks and leases: lock.c and lease.c. */
#ifndef SENTRY_VFS_LOCK_INTERNAL_H
#define SENTRY_VFS_LOCK_INTERNAL_H

#include "internal.h"
#include "sentry/vfs/lock.h"

/* Made with the first lock, and stays as long as the inode. */
struct file_locks {
	struct list all_node; /* all_lock of lock.c */
	struct inode *inode;  /* whose they are */
	/* under the inode's `lock` */
	struct list flock, posix, leases;
	_Atomic uint32_t nleases;	     /* changed under it */
	struct waitq waiters, lease_waiters; /* for locks; for leases to be given up */
};

/* NULL: there is none, or no memory for it. */
struct file_locks *file_locks_of(struct inode *i, bool make);

/* --- lease.c --- */
void file_lease_release(struct file *f, struct file_locks *l); /* last reference to f */
void file_leases_each_locked(struct inode *i, struct file_locks *l,
	void (*fn)(const struct file_lock_info *l, void *arg), void *arg);

#endif
