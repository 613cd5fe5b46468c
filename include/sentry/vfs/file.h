/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files: what a descriptor points to. Every kind of file (of a file system, pipe, socket,
 * eventfd, epoll) is a struct file with file_ops.
 *
 * Operations never sleep for readiness: they return -EAGAIN and notify the wait queue that poll
 * named. The syscall layer has the one loop that blocks. They may park for the gofer or the disk.
 */
#ifndef SENTRY_VFS_FILE_H
#define SENTRY_VFS_FILE_H

#include "abi/poll.h"
#include "base/lock.h"
#include "base/ref.h"
#include "sentry/cred/cred.h"
#include "sentry/sched/waitq.h"
#include "sentry/usermem/usermem.h"

struct file;
struct inode;
struct inode_ops;
struct dentry;
struct mount;
struct mappable;
struct lx_stat_all; /* everything statx(2) knows; vfs/inode.h */

/* A place in the tree; holds a reference on both when it is stored ("path_get"). */
struct path {
	struct mount *mnt;
	struct dentry *dentry;
};

/* For getdents: called for each entry; false: the buffer is full, stop before this one. next_off is
 * the position to continue after this entry. type is LX_DT_*. */
struct dir_emit {
	bool (*fn)(struct dir_emit *e, const char *name, size_t len, uint64_t ino, uint8_t type,
		int64_t next_off);
};

struct file_ops {
	/* Last reference is gone. */
	void (*release)(struct file *f);
	/* A descriptor to it was closed in some table (flush(2)-like; POSIX locks are dropped by
	 * the vfs). What it returns is what close(2) says. */
	int (*flush)(struct file *f, const struct call *c);
	/* Move bytes at *pos and advance it. Files without a position get pos == NULL-like use:
	 * they ignore it. -EAGAIN: would block. NULL: -EINVAL. rwf: LX_RWF_* flags already checked
	 * by the caller. */
	ssize_t (*read)(
		struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf);
	ssize_t (*write)(
		struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf);
	/* New position or -errno. NULL: -ESPIPE. */
	int64_t (*lseek)(struct file *f, const struct call *c, int64_t off, int whence);
	/* Present readiness, LX_POLL*. NULL: always readable and writable. */
	uint32_t (*poll)(struct file *f, struct poll_table *pt);
	/* -ENOTTY for what it does not know. NULL: -ENOTTY. */
	int64_t (*ioctl)(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg);
	/* Entries from f->pos on; advances f->pos. NULL: -ENOTDIR. */
	int (*iterate)(struct file *f, const struct call *c, struct dir_emit *e);
	/* What mmap maps, a new reference; -ENODEV if NULL. prot/shared say what is wanted. */
	int (*mappable)(
		struct file *f, const struct call *c, int prot, bool shared, struct mappable **ret);
	int (*fsync)(struct file *f, const struct call *c, bool data_only);
	int (*fallocate)(struct file *f, const struct call *c, int mode, int64_t off, int64_t len);
	/* O_NONBLOCK, O_APPEND, O_ASYNC, O_DIRECT are about to change by fcntl(F_SETFL); may
	 * refuse. */
	int (*set_flags)(struct file *f, uint32_t new_flags);
	/* For /proc/PID/fdinfo: append lines. */
	void (*fdinfo)(struct file *f, char *buf, size_t cap);
	/* Is the open complete? -EAGAIN while it has to wait for the other end (FIFO), and notifies
	 * the queue that it registered with pt. NULL: complete. */
	int (*open_wait)(struct file *f, struct poll_table *pt);
};

struct file {
	struct ref ref;
	const struct file_ops *ops;
	void *priv;	  /* of the ops */
	struct path path; /* always set; files without a name have one in an internal mount (pseudo
			     fs) */
	struct inode *inode;	    /* = path.dentry's inode at open time; a reference */
	const struct cred *cred;    /* of the opener; a reference */
	_Atomic uint32_t flags;	    /* LX_O_* status flags and access mode */
	uint32_t mode;		    /* LX_FMODE_* */
	struct mutex pos_lock;	    /* rank FILE; guards pos against two users of one open file */
	struct sleeplock pos_sleep; /* held by read/write/lseek/getdents of files with a position */
	int64_t pos;
	void *sigio; /* O_ASYNC: the kernel's watch over this file */
	/* owner for SIGIO, set by F_SETOWN */
	_Atomic int32_t fown_pid;
	_Atomic int32_t fown_signo;
	void *epolls;	     /* epoll's own list of items that watch this file; event/ */
	struct waitq *pollq; /* may be NULL: the one queue that this file notifies (for SIGIO) */
};

#define LX_FMODE_READ	   (1u << 0)
#define LX_FMODE_WRITE	   (1u << 1)
#define LX_FMODE_EXEC	   (1u << 2)
#define LX_FMODE_LSEEK	   (1u << 3)  /* has a position */
#define LX_FMODE_PREAD	   (1u << 4)  /* pread(2)/pwrite(2) allowed */
#define LX_FMODE_PATH	   (1u << 5)  /* O_PATH */
#define LX_FMODE_STREAM	   (1u << 6)  /* no position lock needed: pipe, socket, tty */
#define LX_FMODE_WRITER	   (1u << 7)  /* counted in inode->writecount and mount->writers */
#define LX_FMODE_DENYWRITE (1u << 8)  /* opened for execve: writers get ETXTBSY */
#define LX_FMODE_CREATED   (1u << 9)  /* this open made the file (F_CREATED_QUERY) */
#define LX_FMODE_OPENED	   (1u << 10) /* the open came through: release is called */
#define LX_FMODE_WRITEALL                                                                          \
	(1u << 11) /* a blocking write goes on until all is written: pipe, socket, tty */
#define LX_FMODE_UNMOUNT                                                                           \
	(1u << 12) /* holds a detached mount: mnt_dissolve with the last reference */
#define LX_FMODE_READER	  (1u << 13) /* counted in inode->readcount */
#define LX_FMODE_NONOTIFY (1u << 14) /* what is done with it is told to nobody */
#define LX_FMODE_MESSAGES (1u << 15) /* each read and each write is a whole message: /dev/fuse */
#define LX_FMODE_HOST	  (1u << 16) /* its contents are a file's of the host */

static inline uint32_t
file_flags(const struct file *f)
{
	return atomic_load_explicit(&f->flags, memory_order_relaxed);
}

/* What f is ready for (LX_POLL*). One without poll always is, for reading and writing. */
static inline uint32_t
file_ready(struct file *f, struct poll_table *pt)
{
	return f->ops->poll ? f->ops->poll(f, pt)
			    : LX_POLLIN | LX_POLLOUT | LX_POLLRDNORM | LX_POLLWRNORM;
}

/* Called for the last reference of a file whose `epolls` is set, before release: event/ forgets the
 * file. */
extern void (*file_epoll_gone)(struct file *f);
/* The same for `sigio`; kernel/ sends SIGIO. */
extern void (*file_sigio_gone)(struct file *f);
/* Has who runs a capability over the first user namespace? Set by the kernel. */
extern bool (*file_opener_capable)(int cap);

struct file *file_get(struct file *f);
void file_put(struct file *f);

/* An open file without a name in any tree (pipe end, socket, eventfd ...). desc is what
 * /proc/self/fd shows, such as "anon_inode:[eventfd]" or "socket:[%lu]" / "pipe:[%lu]" where %lu
 * becomes the inode number; ifmt is the S_IFMT part for fstat (LX_S_IFSOCK, LX_S_IFIFO, or 0600
 * anon). On success consumes priv. */
int file_new_anon(const struct file_ops *ops, void *priv, const char *desc, uint32_t ifmt,
	uint32_t oflags, struct file **ret);
/* Make an inode that has no name, of the caller's own kind, for file_new_inode. */
void file_init_anon(
	struct inode *i, const struct inode_ops *iops, const struct file_ops *ops, uint32_t ifmt);
/* The same over an inode that is there already (the other end of a pipe, a memfd); borrowed. */
int file_new_inode(struct inode *inode, const struct file_ops *ops, void *priv, const char *desc,
	uint32_t oflags, struct file **ret);

/* Open an inode without a name or a check, for file systems that stand on others. */
int file_open_inode(const struct call *c, struct inode *i, uint32_t oflags, struct file **ret);

#endif
