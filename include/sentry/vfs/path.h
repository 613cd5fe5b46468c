/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path walk, and what is done to names: open, create, link, rename, remove. Paths are
 * NUL-terminated strings in sentry memory (copied from the guest once). `base` is where a relative
 * path starts: NULL for the caller's cwd. Every function checks permissions with c->cred, and may
 * park. Errors are Linux's, in Linux's order.
 */
#ifndef SENTRY_VFS_PATH_H
#define SENTRY_VFS_PATH_H

#include "abi/fs.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/fs.h"
#include "sentry/vfs/inode.h"
#include "sentry/vfs/mount.h"

#define LOOKUP_FOLLOW	     0x0001u /* a symlink as last component is followed */
#define LOOKUP_DIRECTORY     0x0002u /* the last component must be a directory (-ENOTDIR) */
#define LOOKUP_EMPTY	     0x0004u /* "" means base itself (AT_EMPTY_PATH) */
#define LOOKUP_PARENT	     0x0008u /* stop before the last component (internal) */
#define LOOKUP_NO_XDEV	     0x0100u /* RESOLVE_*, the rest */
#define LOOKUP_NO_MAGICLINKS 0x0200u
#define LOOKUP_NO_SYMLINKS   0x0400u
#define LOOKUP_BENEATH	     0x0800u
#define LOOKUP_IN_ROOT	     0x1000u
#define LOOKUP_CACHED	     0x2000u /* -EAGAIN rather than ask the file system */
#define LOOKUP_MOUNTPOINT    0x4000u /* do not step onto what is mounted on the last component */

/* Resolve to a place that exists; new references in *ret. */
int vfs_lookup(const struct call *c, const struct path *base, const char *path, uint32_t flags,
	struct path *ret);

/* How the last component looked. */
enum last_type {
	LAST_NORM,
	LAST_DOT,
	LAST_DOTDOT,
	LAST_ROOT, /* the path is "/", or a magic link */
};

/* Resolve all but the last component. *last points into path (or into *buf, malloc'd, when symlinks
 * were followed: the caller frees it). slash: the path ended with a '/'. */
int vfs_lookup_parent(const struct call *c, const struct path *base, const char *path,
	uint32_t flags, struct path *ret, struct name *last, enum last_type *type, bool *slash,
	char **buf);

/* One name in a directory: through the cache to the file system. A reference, positive or negative,
 * in *ret. */
int vfs_lookup_one(
	const struct call *c, struct dentry *dir, const struct name *n, struct dentry **ret);

struct open_spec {
	uint32_t flags;	 /* LX_O_* */
	uint32_t mode;	 /* permission bits of a new file, before umask */
	uint32_t lookup; /* LOOKUP_NO_XDEV and such from RESOLVE_* */
	bool exec;	 /* for execve: needs X permission, a regular file, no noexec mount; denies
			    writers */
	bool quiet;	 /* nobody is told or asked of it, nor of what is done with the file */
};

/* open(2) whole: walk, create, checks, truncation. The file may still have to wait for its other
 * end (FIFOs): see file_ops.open_wait. */
int vfs_open(const struct call *c, const struct path *base, const char *path,
	const struct open_spec *how, struct file **ret);
/* Open what path names already. */
int vfs_open_path(
	const struct call *c, const struct path *p, const struct open_spec *how, struct file **ret);
/* Open p without asking who may, or telling anybody: for the one who is told of p. */
int vfs_open_quiet(const struct call *c, const struct path *p, uint32_t flags, struct file **ret);
/* Open for execve; *ret then keeps writers away (ETXTBSY) until the last file_put. */
int vfs_open_exec(const struct call *c, const struct path *base, const char *path,
	uint32_t lookup_flags, struct file **ret);

int vfs_mkdir(const struct call *c, const struct path *base, const char *path, uint32_t mode);
/* rdev: LX_MKDEV. mode has the type (0: regular). */
int vfs_mknod(const struct call *c, const struct path *base, const char *path, uint32_t mode,
	uint32_t rdev);
/* As vfs_mknod, for bind(2) of a unix socket: also gives the path. */
int vfs_mknod_path(const struct call *c, const struct path *base, const char *path, uint32_t mode,
	uint32_t rdev, struct path *ret);
int vfs_symlink(
	const struct call *c, const char *target, const struct path *base, const char *path);
/* flags: LX_AT_SYMLINK_FOLLOW, LX_AT_EMPTY_PATH */
int vfs_link(const struct call *c, const struct path *old_base, const char *old,
	const struct path *new_base, const char *new_path, int flags);
int vfs_unlink(const struct call *c, const struct path *base, const char *path);
int vfs_rmdir(const struct call *c, const struct path *base, const char *path);
int vfs_rename(const struct call *c, const struct path *old_base, const char *old,
	const struct path *new_base, const char *new_path, uint32_t flags);

/* Attributes of p. statx_flags: LX_AT_STATX_*. */
int vfs_getattr(
	const struct call *c, const struct path *p, uint32_t statx_flags, struct lx_stat_all *st);
/* Check rights (notify_change in Linux) and apply. a->valid without CTIME; *_NOW values are filled
 * in here. When both times are _NOW, write access suffices; else changing them takes ownership. */
int vfs_setattr(const struct call *c, const struct path *p, struct iattr *a);
int vfs_chmod(const struct call *c, const struct path *p, uint32_t mode);
int vfs_chown(const struct call *c, const struct path *p, uint32_t uid,
	uint32_t gid); /* UINT32_MAX: keep */
int vfs_truncate(const struct call *c, const struct path *p, int64_t size);
int vfs_ftruncate(const struct call *c, struct file *f, int64_t size);
/* access(2): cred is c's with the real ids put in by the caller where wanted. */
int vfs_access(const struct call *c, const struct path *p, int mask);
ssize_t vfs_readlink(const struct call *c, const struct path *p, char *buf, size_t cap);

/* Names are whole ("user.x"); rights are checked. */
ssize_t vfs_getxattr(
	const struct call *c, const struct path *p, const char *name, void *buf, size_t size);
int vfs_setxattr(const struct call *c, const struct path *p, const char *name, const void *val,
	size_t size, int flags);
ssize_t vfs_listxattr(const struct call *c, const struct path *p, char *buf, size_t size);
int vfs_removexattr(const struct call *c, const struct path *p, const char *name);

/* The text of p as seen from root (NULL: from the top of its namespace), in buf: a pointer into
 * buf, or an ERANGE/ENOMEM-like -errno in *err with NULL. " (deleted)" is appended for names that
 * are gone.
 * "(unreachable)" is prepended when p is not below root. */
char *vfs_d_path(const struct path *p, const struct path *root, char *buf, size_t cap, int *err);
/* The same without that: links and maps in /proc show where it would be. */
char *vfs_d_path_plain(
	const struct path *p, const struct path *root, char *buf, size_t cap, int *err);

/* The text of d below the root of its file system, in buf; NULL: too long. */
char *vfs_dentry_path(struct dentry *d, char *buf, size_t cap);

/* What happened to an inode, for inotify and fanotify. */
struct super;
struct vfs_notify_event {
	struct inode *inode;
	struct dentry *dentry; /* its parent is told too; or NULL */
	struct mount *mnt;     /* the mount that it was opened through; NULL: not known */
	uint32_t mask;	       /* LX_IN_*, LX_FAN_* */
	uint32_t cookie;       /* ties IN_MOVED_FROM and _TO */
	const char *name;      /* the entry in a directory, or NULL */
	uint32_t name_len;
	struct inode *child; /* which that entry is, or was; may be NULL */
	/* LX_FAN_RENAME only: where to */
	struct inode *new_dir;
	const char *new_name;
	uint32_t new_len;
};

/* Who is told. NULL: nothing of interest. */
struct vfs_notify_ops {
	void (*event)(const struct vfs_notify_event *ev);
	/* d's name was removed; d is positive, and the caller has a reference. */
	void (*unlinked)(struct dentry *d);
	/* sb is about to go: what is held in it has to be given up now. */
	void (*super_gone)(struct super *sb);
	void (*mount_gone)(struct mount *m); /* its last reference is gone */
	/* May this be done (LX_FAN_*_PERM)? 0 or -EPERM. May park. */
	int (*ask)(const struct path *p, uint32_t mask);
};
void vfs_notify_register(const struct vfs_notify_ops *ops); /* kept; once for each */
/* How many watches there are, and how many of them are asked; the watchers count. While there are
 * none, what happens costs one load. */
extern _Atomic uint32_t vfs_watches, vfs_askers;
static inline bool
vfs_watched(void)
{
	return atomic_load_explicit(&vfs_watches, memory_order_relaxed);
}

void vfs_notify_send(const struct vfs_notify_event *ev);
/* An open file was used. */
void vfs_notify_file(struct file *f, uint32_t mask);
/* A file or its dentry was touched: tells the inode and, with the name, its parent. */
void vfs_notify(struct dentry *d, uint32_t mask);
/* Only the inode, whatever its names are. */
void vfs_notify_inode(struct inode *i, uint32_t mask);
/* An entry of a directory changed. */
void vfs_notify_entry(struct inode *dir, struct inode *child, uint32_t mask, uint32_t cookie,
	const struct name *n);
void vfs_notify_unlinked(struct dentry *d);
void vfs_notify_super_gone(struct super *sb);
void vfs_notify_mount_gone(struct mount *m);
/* Ask before f's file is opened or read. */
int vfs_notify_ask_slow(struct file *f, uint32_t mask);
static inline int
vfs_notify_ask(struct file *f, uint32_t mask)
{
	return atomic_load_explicit(&vfs_askers, memory_order_relaxed)
		       ? vfs_notify_ask_slow(f, mask)
		       : 0;
}

/* Devices by number: opening a node of that number in any tree calls open (inode_ops.open's
 * contract). */
struct vfs_dev {
	uint32_t type; /* LX_S_IFCHR or LX_S_IFBLK */
	uint32_t major, minor, nminors;
	const char *name;
	int (*open)(struct file *f, const struct call *c);
	struct list node;
};
void vfs_dev_register(struct vfs_dev *d); /* at start; d is kept */
/* Opening a FIFO and what its inode->ipc needs at the end; set by fs/pipe at start. */
extern int (*vfs_fifo_open)(struct file *f, const struct call *c);
extern void (*vfs_fifo_free)(struct inode *i);

#endif
