/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File system types and super blocks. A type is registered by name; mounting makes a super (or
 * finds one), whose root dentry mounts then show. A super lives as long as a mount, an open file or
 * a dentry of it.
 */
#ifndef SENTRY_VFS_FS_H
#define SENTRY_VFS_FS_H

#include "base/list.h"
#include "base/lock.h"
#include "base/ref.h"
#include "sentry/sched/waitq.h"
#include "sentry/vfs/inode.h"

struct super;
struct dentry;
struct lx_statfs;

/* What a mount is asked for. All strings are borrowed, NUL-terminated, may be NULL. */
struct mount_request {
	const char *source;
	const char *options; /* comma-separated, without the generic ones (ro, nosuid ...) */
	uint32_t ms_flags; /* LX_MS_RDONLY, _SYNCHRONOUS, _MANDLOCK, _DIRSYNC, _SILENT, _LAZYTIME */
	void *priv;	   /* from boot to its own types (connection to the gofer, ...) */
	const char *subtype; /* what follows the '.' of the type's name, or NULL */
};

#define FS_TYPE_USERNS_MOUNT                                                                       \
	1u /* may be mounted by CAP_SYS_ADMIN of the sandbox's guests (mount(2)) */
#define FS_TYPE_NODEV	  2u  /* shown as "nodev" in /proc/filesystems */
#define FS_TYPE_OWN_NS	  8u  /* also for who is root only in a user namespace */
#define FS_TYPE_ONE_SUPER 16u /* mount may give one that is in use, and sets its user_ns */
#define FS_TYPE_INTERNAL  4u  /* mount(2) does not find it */
#define FS_TYPE_SUBTYPE	  32u /* its name may be followed by '.' and a name of the guest's */

struct fs_type {
	const char *name;
	uint32_t flags;
	/* A new reference to a super whose root is set. Unknown options: -EINVAL. May park. */
	int (*mount)(const struct fs_type *type, const struct call *c,
		const struct mount_request *rq, struct super **ret);
	/* Is it an option that mount would take? -EINVAL. val is NULL for one without "=". NULL:
	 * there are none. */
	int (*check)(const char *name, const char *val);
	struct list node; /* of the registry */
};

void fs_type_register(struct fs_type *type); /* at start, once; type is kept */
struct fs_type *fs_type_find(const char *name, size_t len);
/* By a name that may have a subtype: *subtype points to it in name, or is NULL. */
struct fs_type *fs_type_named(const char *name, const char **subtype);
/* Call fn for each registered type in order of registration. */
void fs_type_each(void (*fn)(const struct fs_type *t, void *arg), void *arg);
/* Find the type and mount it. -ENODEV: no such type. */
int fs_mount(
	const char *type, const struct call *c, const struct mount_request *rq, struct super **ret);

struct super_ops {
	/* Give back priv; all inodes are gone. NULL: nothing. */
	void (*release)(struct super *sb);
	/* st is zeroed; type, bsize, namelen are preset. NULL: that is all. */
	int (*statfs)(struct super *sb, const struct call *c, struct lx_statfs *st);
	/* NULL: nothing to do. */
	int (*sync)(struct super *sb, const struct call *c);
	/* New options (same syntax); SUPER_RDONLY is handled by the vfs. NULL: options must be
	 * empty (-EINVAL). */
	int (*remount)(struct super *sb, const struct call *c, const struct mount_request *rq);
	/* Append ",name=value" text for /proc/mounts to buf (NUL-terminated, cap bytes). NULL:
	 * nothing. */
	void (*show_options)(struct super *sb, char *buf, size_t cap);
	/* umount2(MNT_FORCE): end what waits for it, so that it may come free. Does not park. */
	void (*umount_begin)(struct super *sb);
};

#define SUPER_RDONLY 0x01u /* may change by remount; atomic */
#define SUPER_SHARED                                                                               \
	0x02u /* others change it too: call inode_ops.revalidate on every cached entry */
#define SUPER_NO_NEGATIVE                                                                          \
	0x04u /* do not cache that a name is missing (entries appear by themselves: proc) */
#define SUPER_NO_CACHE	  0x08u /* do not cache names at all once unused */
#define SUPER_NODEV	  0x10u /* device nodes in it never open */
#define SUPER_NOEXEC	  0x20u
#define SUPER_NOUSER	  0x40u /* cannot be mounted anywhere (pipefs and the like) */
#define SUPER_SYNCHRONOUS 0x80u
#define SUPER_POSIXACL	  0x100u /* its inodes can have POSIX ACLs, kept as their attributes */
#define SUPER_ACL_HOST	  0x200u /* the host makes those of new files, and of changed modes */
#define SUPER_WALK	  0x400u /* with SUPER_SHARED: each look is a request, and walk is only one */
#define SUPER_OWN_RULES	  0x800u /* inode_ops.setattr itself decides who may change what */

#define SUPER_INODE_BUCKETS 256

struct super {
	struct user_ns *user_ns; /* a reference, or NULL: who mounted it */
	struct ref ref;
	const struct fs_type *type;
	const struct super_ops *ops;
	void *priv;
	struct dentry *root; /* a reference; set by super_set_root; dropped with the last reference
				to sb */
	_Atomic uint32_t flags; /* SUPER_* */
	uint32_t dev;		/* anonymous device number, LX_MKDEV(0, n): st_dev */
	int64_t magic;		/* f_type */
	uint32_t blksize;
	int64_t max_bytes;	      /* largest file size, INT64_MAX by default */
	char *source;		      /* for /proc/mounts; malloc'd, may be NULL */
	char *subtype;		      /* the same */
	struct sleeplock rename_lock; /* renames between directories, one at a time */
	_Atomic uint64_t changes; /* counts changes of names; guards the result of inode_ops.walk */
	struct mutex inodes_lock; /* rank LEAF: the table below */
	struct list *inodes;	  /* SUPER_INODE_BUCKETS heads, made on first use */
};

/* A super with one reference and no root. NULL: out of memory. */
struct super *super_new(
	const struct fs_type *type, const struct super_ops *ops, const char *source);
/* Make the root dentry of root (consumes the reference). -ENOMEM. */
int super_set_root(struct super *sb, struct inode *root);
struct super *super_get(struct super *sb);
void super_put(struct super *sb);

/* Cut the next option off a comma-separated list: *name and *val (NULL if there is no '='), both
 * NUL-terminated in the caller's writable buffer. False at the end. */
bool fs_option_next(char **list, char **name, char **val);
int fs_option_u64(const char *val, int base, uint64_t *ret); /* -EINVAL */
int fs_option_size(const char *val, uint64_t *ret);	     /* with k, m, g, t suffix; -EINVAL */

#endif
