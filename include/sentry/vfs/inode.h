/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inodes: files as a file system knows them, without a name. A file system embeds struct inode as
 * the first member of its own node, fills it with inode_init, and frees the whole in
 * inode_ops.free.
 *
 * Locks. `dir_lock` (a sleeplock: operations may park under it) is held by the vfs around every
 * operation that looks at or changes the entries of a directory, and around setattr (truncation
 * too) and setxattr of any inode; read and write operations take it themselves where they need it.
 * `lock` (rank INODE, short) guards the attribute fields; single fields may be read without it with
 * inode_load and inode_mode, which is what permission checks do.
 *
 * Times: an operation that changes an inode sets the times itself, with inode_touch (under no
 * lock).
 *
 * Errors are -errno; operations that are NULL answer as said beside each.
 */
#ifndef SENTRY_VFS_INODE_H
#define SENTRY_VFS_INODE_H

#include "abi/fs.h"
#include "abi/stat.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/ref.h"
#include "sentry/cred/cred.h"
#include "sentry/sched/waitq.h"
#include "sentry/vfs/file.h"

struct super;
struct inode;
struct file_ops;
struct file_locks;

/* One component of a path; not NUL-terminated in general, never empty, never with a '/', at most
 * LX_NAME_MAX bytes (the vfs has checked). hash is dentry_hash(s, len). */
struct name {
	const char *s;
	uint32_t len;
	uint32_t hash;
};

/* Everything statx(2) knows. dev and rdev are LX_MKDEV numbers. */
struct lx_stat_all {
	uint64_t ino;
	uint64_t attributes, attributes_mask; /* LX_STATX_ATTR_* */
	uint64_t mnt_id;
	int64_t size;
	uint64_t blocks; /* of 512 bytes */
	uint32_t mask;	 /* LX_STATX_*: what is valid beyond the basic ones */
	uint32_t mode, uid, gid, nlink, blksize;
	uint32_t dev, rdev;
	struct lx_timespec atime, mtime, ctime, btime;
};

/* What a new inode shall be. The vfs has applied umask, fsuid, fsgid, setgid inheritance. */
struct inode_spec {
	uint32_t mode;	/* with the S_IFMT part: any type, directories and symlinks too */
	uint32_t asked; /* the same before umask and a default ACL */
	uint32_t uid, gid;
	uint32_t rdev;
	const char *
		target; /* of a symlink, NUL-terminated, at most LX_PATH_MAX - 1 bytes; else NULL */
	uint32_t open_flags; /* LX_O_* of the open(2) that makes it and comes next; else 0 */
};

#define IATTR_MODE  0x001u
#define IATTR_UID   0x002u
#define IATTR_GID   0x004u
#define IATTR_SIZE  0x008u
#define IATTR_ATIME 0x010u
#define IATTR_MTIME 0x020u
#define IATTR_CTIME 0x040u /* always set by the vfs */
#define IATTR_ATIME_NOW                                                                            \
	0x080u /* with IATTR_ATIME: "now" was asked for; the value is filled in too */
#define IATTR_MTIME_NOW 0x100u

/* A change of attributes; the vfs has checked that the caller may make it, and added what follows
 * from it (clearing of setuid and setgid bits as IATTR_MODE). */
struct iattr {
	uint32_t valid; /* IATTR_* */
	uint32_t mode;	/* permission bits; the type is kept */
	uint32_t uid, gid;
	int64_t size;
	struct lx_timespec atime, mtime, ctime;
	struct file *file; /* the open file of ftruncate(2), or NULL */
};

struct inode_ops {
	/* A file of no tree that can be bound all the same: a namespace. */
	bool bindable;

	/* --- of directories; dir->dir_lock is held; all may park --- */

	/* Find an entry: a new reference in *ret, or -ENOENT (the vfs then caches a negative entry
	 * unless the super says otherwise). NULL: -ENOTDIR. */
	int (*lookup)(
		struct inode *dir, const struct call *c, const struct name *n, struct inode **ret);
	/* Find a chain of entries below dir in one go (only dir's lock is held): inodes[i] is
	 * names[i] in inodes[i - 1]. Returns how many it found, a new reference in each; it stops
	 * after a symlink or a non-directory, and at a directory that the caller may not search by
	 * uid/gid/mode it need not look. *missing is set when it stopped because names[result] does
	 * not exist. May be NULL. n is 2..16. */
	int (*walk)(struct inode *dir, const struct call *c, const struct name *names, int n,
		struct inode **inodes, bool *missing);
	/* Make an entry and its inode, of any type (mkdir, mknod, symlink too): a new reference in
	 * *ret. The entry does not exist as far as the cache knows (-EEXIST if it does after all).
	 * A file system whose create also opens may keep the host fd in the new inode for the open
	 * that follows. NULL: -EPERM (-EACCES for open(O_CREAT) as in Linux). */
	int (*create)(struct inode *dir, const struct call *c, const struct name *n,
		const struct inode_spec *spec, struct inode **ret);
	/* A nameless regular file (O_TMPFILE), nlink 0. NULL: -EOPNOTSUPP. */
	int (*tmpfile)(struct inode *dir, const struct call *c, const struct inode_spec *spec,
		struct inode **ret);
	/* Another name for inode (not a directory; same super). NULL: -EPERM. inode may have nlink
	 * 0 when it came from tmpfile. */
	int (*link)(
		struct inode *dir, const struct call *c, const struct name *n, struct inode *inode);
	/* Remove a name; the file lives on while it is open. NULL: -EPERM. inode's dir_lock is held
	 * too. */
	int (*unlink)(
		struct inode *dir, const struct call *c, const struct name *n, struct inode *inode);
	/* Remove an empty directory, -ENOTEMPTY. NULL: -EPERM. inode's dir_lock is held too. */
	int (*rmdir)(
		struct inode *dir, const struct call *c, const struct name *n, struct inode *inode);
	/* Both directories' dir_locks are held (and, for a target, its own), and super.rename_lock
	 * when they differ. target: what new_name is now, or NULL. flags: LX_RENAME_NOREPLACE, or
	 * LX_RENAME_EXCHANGE (then target is set), LX_RENAME_WHITEOUT (-EINVAL where old_name
	 * cannot become a whiteout). Types fit, no loop arises, (the vfs checked); a target
	 * directory must be found empty by the file system (-ENOTEMPTY). NULL: -EPERM. */
	int (*rename)(struct inode *old_dir, const struct call *c, const struct name *old_name,
		struct inode *inode, struct inode *new_dir, const struct name *new_name,
		struct inode *target, uint32_t flags);
	/* Only for supers with SUPER_SHARED: is what the cache holds for n still so? inode is NULL
	 * for a negative entry. 1: yes (attributes have been refreshed), 0: no (the vfs drops it
	 * and calls lookup), -errno. dir_lock is not held. */
	int (*revalidate)(
		struct inode *dir, const struct call *c, const struct name *n, struct inode *inode);

	/* --- of any inode --- */

	/* Symlinks whose text is not in inode->link: length, without NUL, at most cap. NULL and no
	 * link: -EINVAL. */
	ssize_t (*readlink)(struct inode *inode, const struct call *c, char *buf, size_t cap);
	/* Magic links (/proc/PID/fd/N): where following leads; *ret holds references. readlink
	 * serves only readlink(2) then. */
	int (*magic)(struct inode *inode, const struct call *c, struct path *ret);
	/* mask: LX_R_OK|LX_W_OK|LX_X_OK. NULL: inode_permission_generic. Does not park on hot
	 * paths. */
	int (*permission)(struct inode *inode, const struct call *c, int mask);
	/* What access(2) and chdir(2) ask, also with mask 0 (is it there?). NULL: permission. */
	int (*access)(struct inode *inode, const struct call *c, int mask);
	/* Bring the attributes in the inode up to date (shared file systems, generated sizes);
	 * called before they are shown. NULL: they are. force: AT_STATX_FORCE_SYNC; never called
	 * for AT_STATX_DONT_SYNC. */
	int (*refresh)(struct inode *inode, const struct call *c, bool force);
	/* After the fields were copied from the inode: change what is shown. NULL: nothing. */
	int (*getattr)(struct inode *inode, const struct call *c, struct lx_stat_all *st);
	/* Apply; ends with inode_setattr_apply on success. inode->dir_lock is held. NULL: apply
	 * only; IATTR_SIZE then is -EINVAL. */
	int (*setattr)(struct inode *inode, const struct call *c, const struct iattr *a);
	/* Open. f has path, inode, cred, flags, mode; the operation sets f->ops (preset to
	 * inode->fops) and f->priv. Device nodes, FIFOs and sockets do not come here: the vfs has
	 * its own. NULL: nothing to do. */
	int (*open)(struct inode *inode, const struct call *c, struct file *f);

	/* Extended attributes. The vfs has checked permission and sizes; name is with its prefix.
	 * size 0: only tell the length. -ENODATA, -ERANGE. NULL: -EOPNOTSUPP (listxattr: 0). */
	ssize_t (*getxattr)(struct inode *inode, const struct call *c, const char *name, void *buf,
		size_t size);
	int (*setxattr)(struct inode *inode, const struct call *c, const char *name,
		const void *val, size_t size, int flags);
	/* Names, each with its NUL; trusted.* are filtered by the vfs. size 0: length only. */
	ssize_t (*listxattr)(struct inode *inode, const struct call *c, char *buf, size_t size);
	int (*removexattr)(struct inode *inode, const struct call *c, const char *name);

	/* The last reference is gone (nlink may be 0: give back the storage). Frees the node that
	 * holds inode; calls inode_fini first. May park. Not NULL. */
	void (*free)(struct inode *inode);
};

struct inode {
	struct ref ref;
	uint32_t flags; /* INODE_*; constant */
	const struct inode_ops *ops;
	const struct file_ops *fops; /* of files opened from it */
	struct super *sb;	     /* borrowed: inodes do not outlive their super */
	uint64_t ino;
	struct mutex lock;
	struct sleeplock dir_lock;

	/* attributes; under `lock` */
	uint32_t mode, uid, gid, nlink;
	uint32_t rdev;	  /* LX_MKDEV */
	uint32_t blksize; /* 0: 4096 */
	int64_t size;
	uint64_t blocks; /* of 512 bytes */
	struct lx_timespec atime, mtime, ctime, btime;

	char *link; /* text of a symlink, or NULL to ask ops->readlink; malloc'd, constant, freed by
		       inode_fini */
	_Atomic int32_t writecount; /* > 0: open for writing; < 0: being executed (ETXTBSY) */
	_Atomic int32_t readcount;  /* how often it is open for reading only */
	_Atomic(struct file_locks *) locks; /* file locks; vfs/lock.c */
	void *ipc;     /* the pipe of a FIFO, the bound socket of a socket node; under `lock` */
	void *watches; /* inotify; event/ */
	_Atomic uint8_t write_hint;	     /* RWH_*, kept and shown */
	_Atomic bool no_acl, no_default_acl; /* has none; false: not known; set under `lock` */
	_Atomic uint32_t acl_sets;	     /* how often one was set; changed under `lock` */
	struct list hash_node;		     /* in sb's table by ino, if it was inserted */
};

#define INODE_NOATIME 1u /* never update atime */
#define INODE_NOWRITE_CHECK                                                                        \
	2u /* permission checks pass over a read-only mount (devices, fifos do already) */
#define INODE_MAGIC	4u  /* ops->magic: a magic link */
#define INODE_OPENS	8u  /* ops->open opens it, whatever its type says */
#define INODE_IMMUTABLE 16u /* nobody writes to it */
#define INODE_FIXED	32u /* its attributes cannot be changed (anon_inodes): EOPNOTSUPP */

/* Fill in the embedded inode: one reference, times = now, nlink 1 (2 for directories). */
void inode_init(struct inode *i, struct super *sb, const struct inode_ops *ops,
	const struct file_ops *fops, uint64_t ino, uint32_t mode, uint32_t uid, uint32_t gid);
void inode_fini(struct inode *i);
struct inode *inode_get(struct inode *i);
void inode_put(struct inode *i); /* may park */

/* A table of a super's live inodes by number, for file systems that find one inode by several ways.
 * find: a new reference or NULL. insert: NULL when it went in; or the inode that was there first (a
 * new reference). The table holds no reference; inode_put takes the inode out. */
struct inode *inode_find(struct super *sb, uint64_t ino);
struct inode *inode_insert(struct inode *i);

#define inode_load(field)     __atomic_load_n(&(field), __ATOMIC_RELAXED)
#define inode_store(field, v) __atomic_store_n(&(field), (v), __ATOMIC_RELAXED)

static inline uint32_t
inode_mode(const struct inode *i)
{
	return inode_load(i->mode);
}

static inline bool
inode_is_dir(const struct inode *i)
{
	return LX_S_ISDIR(inode_mode(i));
}

#define INODE_T_ATIME 1u
#define INODE_T_MTIME 2u
#define INODE_T_CTIME 4u

struct lx_timespec vfs_now(void);		   /* CLOCK_REALTIME as file systems stamp it */
void inode_touch(struct inode *i, uint32_t which); /* INODE_T_* = now */
void inode_set_nlink(struct inode *i, uint32_t n);
void inode_add_nlink(struct inode *i, int32_t by);
void inode_setattr_apply(
	struct inode *i, const struct iattr *a); /* all but the data that a size cuts off */
void inode_stat(struct inode *i, struct lx_stat_all *st); /* copy the fields out */

/* Mode bits, owner, groups and capabilities, as Linux's generic_permission. mask:
 * LX_R_OK|LX_W_OK|LX_X_OK. */
int inode_permission_generic(struct inode *i, const struct call *c, int mask);
int inode_permission(struct inode *i, const struct call *c, int mask); /* by ops */
int inode_access(struct inode *i, const struct call *c, int mask);     /* for access, chdir */
/* Has c this capability over a file of i's owner? */
bool inode_capable(const struct inode *i, const struct cred *c, int cap);
/* CAP_FOWNER, or the owner. */
bool inode_owner_or_capable(struct inode *i, const struct call *c);
/* Who stands on i set or removed an ACL of it by its inode_ops. */
void inode_acl_changed(struct inode *i);
/* A read happened: update atime by the mount's rules (relatime by default). mnt may be NULL. */
void inode_accessed(struct inode *i, struct mount *mnt);

#endif
