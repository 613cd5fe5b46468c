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

/* Give d another parent and name; both parents' dir_locks are held. What stood there is dropped. 0
 * or -ENOMEM with nothing changed. */
int dentry_move(struct dentry *d, struct dentry *new_parent, const struct name *n);
/* Swap the places of two hashed dentries. */
int dentry_exchange(struct dentry *a, struct dentry *b);

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
};

int walk_init(struct walk *w, const struct call *c, const struct path *base, const char *path,
	uint32_t flags);
/* Go on until the end, or with LOOKUP_PARENT until only the last component is left. */
int walk_run(struct walk *w);
/* w stands at the directory of the symlink d (borrowed), which was the last component: put its text
 * in front. *jumped tells that it was a magic link and w->path is the end. */
int walk_follow(struct walk *w, struct dentry *d, bool *jumped);
void walk_fini(struct walk *w);

/* As vfs_lookup_one; the caller holds dir->inode's dir_lock. */
int lookup_one_locked(
	const struct call *c, struct dentry *dir, const struct name *n, struct dentry **ret);
/* Search permission with the fast path for what everybody may search. */
static inline int
may_search(struct inode *dir, const struct call *c)
{
	if (!dir->ops->permission && (inode_mode(dir) & 0111u) == 0111u)
		return 0;
	return inode_permission(dir, c, LX_X_OK);
}

int may_create(const struct call *c, struct dentry *dir);
int may_delete(const struct call *c, struct dentry *dir, struct dentry *victim, bool isdir);
void spec_init(const struct call *c, struct inode *dir, uint32_t mode, struct inode_spec *spec);
/* A negative entry in the place of what was removed, where the super caches those. */
void dentry_set_missing(struct dentry *dir, const struct name *n);
/* Is something mounted on d, in the caller's namespace? */
bool mnt_is_mountpoint(const struct call *c, struct dentry *d);
/* d was removed or replaced: unmount in other namespaces what is mounted on it. */
void mnt_detach_on(struct dentry *d);

struct file *file_alloc(const struct call *c, const struct path *p, uint32_t flags);
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
