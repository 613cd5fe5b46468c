/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the vfs share among themselves. */
#ifndef SENTRY_VFS_INTERNAL_H
#define SENTRY_VFS_INTERNAL_H

#include "sentry/vfs/path.h"
#include <errno.h>

/* The mutex of rank MOUNT: the mount tree, and the shape of the name tree (renames hold it). */
extern struct mutex mnt_mutex;
/* Changers of the mount tree, one at a time; taken before mnt_mutex. */
extern struct sleeplock mnt_tree_lock;

/* As dentry_add; *ret_fresh: there was no entry of the name. */
struct dentry *dentry_enter(
	struct dentry *parent, const struct name *n, struct inode *inode, bool *ret_fresh);
/* Enter a new file (consumed; dir_lock is held) in the place of what the cache has of the name: an
 * entry that says that there is none, perhaps of a walk that began before. NULL: out of memory. */
struct dentry *dentry_replace(struct dentry *parent, const struct name *n, struct inode *inode);
/* Give d another parent and name; both parents' dir_locks are held. What stood there is dropped. 0
 * or -ENOMEM with nothing changed. */
int dentry_move(struct dentry *d, struct dentry *new_parent, const struct name *n);
/* Swap the places of two hashed dentries. */
int dentry_exchange(struct dentry *a, struct dentry *b);

#define WALK_BATCH 16 /* names that inode_ops.walk is asked for at once */

/* What a shared file system said of components that are still to come. */
struct walk_ahead {
	int at, n;		 /* the next of inodes, and how many there are: references */
	bool missing;		 /* behind them there is nothing of the name */
	uint64_t changes;	 /* super.changes before it was asked */
	const struct inode *dir; /* where the next one is */
	struct inode *inodes[WALK_BATCH];
};

/* A walk in progress. */
struct walk {
	const struct call *c;
	struct path path; /* where we are; references */
	struct path root; /* where absolute names start and ".." ends; references once has_root */
	bool has_root;
	bool bounded;	  /* BENEATH or IN_ROOT: root is the base */
	bool jumped;	  /* the place was reached by a magic link or as "/" */
	bool slash;	  /* the last component was followed by '/' */
	uint32_t flags;	  /* LOOKUP_* */
	int links;	  /* symlinks followed so far */
	const char *p;	  /* what is left of the path */
	char *buf;	  /* holds p once a symlink was followed */
	struct name last; /* LOOKUP_PARENT: the component that is left */
	enum last_type last_type;
	struct walk_ahead ahead; /* last: its inodes are not cleared before */
};

int walk_init(struct walk *w, const struct call *c, const struct path *base, const char *path,
	uint32_t flags);
/* Go on until the end, or with LOOKUP_PARENT until only the last component is left. */
int walk_run(struct walk *w);
/* w stands at the directory of the symlink d (borrowed), which was the next component: put its text
 * in front. is_last: nothing follows it. *jumped tells that it was a magic link, which w->path is
 * the end of. */
int walk_follow(struct walk *w, struct dentry *d, bool is_last, bool *jumped);
void walk_fini(struct walk *w);

/* As vfs_lookup_one; the caller holds dir->inode's dir_lock. */
int lookup_one_locked(
	const struct call *c, struct dentry *dir, const struct name *n, struct dentry **ret);
/* Search permission with the fast path for what everybody may search, where no ACL takes it from
 * somebody. */
static inline int
may_search(struct inode *dir, const struct call *c)
{
	if (!dir->ops->permission && (inode_mode(dir) & 0111u) == 0111u &&
		(atomic_load_explicit(&dir->no_acl, memory_order_acquire) ||
			!(atomic_load_explicit(&dir->sb->flags, memory_order_relaxed) &
				SUPER_POSIXACL)))
		return 0;
	return inode_permission(dir, c, LX_X_OK);
}

int may_create(const struct call *c, struct dentry *dir);
int may_delete(const struct call *c, struct dentry *dir, struct dentry *victim, bool isdir);
/* --- acl.c --- */
#define ACL_ACCESS    "system.posix_acl_access"
#define ACL_DEFAULT   "system.posix_acl_default"
#define ACL_BYTES_MAX 65536u

struct acl_pair {
	struct acl *access, *def; /* NULL: none */
};

/* By the access ACL, for who is not the owner: 0, -EACCES; -EAGAIN: there is none. May park. */
int acl_permission(struct inode *i, const struct call *c, uint32_t want);
/* The mode was changed to this. */
int acl_chmod(struct inode *i, const struct call *c, uint32_t mode);
/* What a new file in dir has by the default ACL, and its mode by that or by the umask. */
int acl_new(struct inode *dir, const struct call *c, uint32_t *mode, struct acl_pair *ret);
void acl_new_apply(struct inode *i, const struct call *c, struct acl_pair *p); /* frees p */
void acl_pair_free(struct acl_pair *p);
bool acl_is_name(const char *name);
ssize_t acl_getxattr(
	struct inode *i, const struct call *c, const char *name, void *buf, size_t size);
/* dir_lock is held */
int acl_setxattr(
	struct inode *i, const struct call *c, const char *name, const void *val, size_t size);
int acl_removexattr(struct inode *i, const struct call *c, const char *name);

/* acl is to be handed to acl_new_apply, or freed. */
int spec_init(const struct call *c, struct inode *dir, uint32_t mode, struct inode_spec *spec,
	struct acl_pair *acl);
/* A negative entry in the place of what was removed, where the super caches those. */
void dentry_set_missing(struct dentry *dir, const struct name *n);
/* Is something mounted on d, in the caller's namespace? */
bool mnt_is_mountpoint(const struct call *c, struct dentry *d);
/* d was removed or replaced: unmount in other namespaces what is mounted on it. */
void mnt_detach_on(struct dentry *d);

/* -ENFILE, -ENOMEM */
int file_alloc(const struct call *c, const struct path *p, uint32_t flags, struct file **ret);
struct vfs_dev *vfs_dev_find(uint32_t type, uint32_t dev);
void file_locks_free(struct inode *i);
int vfs_anon_init(void);
/* In iattr.valid, inside the vfs only: a consequence of the change, not asked for by the caller. */
#define IATTR_INTERNAL_MODE 0x10000u
#define IATTR_INTERNAL_TIME 0x20000u
/* O_TRUNC. */
int vfs_ftruncate_open(const struct call *c, struct file *f);
/* i's dir_lock is held. */
int vfs_setattr_locked(const struct call *c, struct inode *i, struct iattr *a);

#endif
