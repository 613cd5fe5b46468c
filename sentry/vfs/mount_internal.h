/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the mount_*.c files. "tree" = mnt_tree_lock is held, "_locked" = mnt_mutex too. */
#ifndef SENTRY_VFS_MOUNT_INTERNAL_H
#define SENTRY_VFS_MOUNT_INTERNAL_H

#include "internal.h"

struct mount *mount_new(struct super *sb, struct dentry *root, uint32_t flags);
struct mount *mount_child_locked(struct mount *parent, struct dentry *d);
void mount_link_locked(struct mount *m, struct mount *parent, struct dentry *d);
/* The references on parent and mountpoint go to *old. */
void mount_unlink_locked(struct mount *m, struct path *old);
struct mnt_ns *mnt_ns_alloc(void);
void mnt_ns_changed(struct mnt_ns *ns);

/* Take m and all below it out of the tree; drops the tree's references. tree. */
void mount_detach_tree(struct mount *m);
/* Copy m (from root d of it), and with recursive all below, into no tree yet. Unbindable ones are
 * left out below m. propagate: shared copies join their peers' group, slaves their master's. tree.
 */
int mount_copy_tree(struct mount *m, struct dentry *d, bool recursive, bool keep_unbindable,
	bool less, struct mount **ret);
void mount_set_ns(struct mount *m, struct mnt_ns *ns); /* whole tree; takes the tree's references */
/* The next mount of the tree below top in preorder, or NULL. */
struct mount *mount_next(struct mount *m, struct mount *top);

/* Is p below (or at) top, as a walk from top sees it? tree or _locked. */
bool mount_path_reachable(const struct path *p, const struct path *top);
void mnt_ns_publish(struct mnt_ns *ns); /* it is whole: mnt_ns_find may give it */
void mnt_ns_free(struct mnt_ns *ns);	/* one that is empty */
/* The namespace of that id, a new reference, or NULL. */
struct mnt_ns *mnt_ns_find(uint64_t id);
/* What the file system shows of its options: ",name=value" text in buf, NUL-terminated. */
void mnt_super_options(struct super *sb, char *buf, size_t cap);

/* Is p a file without a place that may be bound to one? */
bool mnt_nameless_bindable(const struct path *p);

/* Is m the top of a tree that waits to be attached? */
static inline bool
mount_is_detached_top(const struct mount *m)
{
	return !m->ns && !m->parent && !(atomic_load(&m->flags) & (MNT_DETACHED | MNT_INTERNAL));
}

/* May a mount with flags old not become what flags say? What the runtime set up, and what came from
 * a namespace of more rights, may only be tightened. */
static inline bool
mount_loosened(uint32_t old, uint32_t flags)
{
	return (old & (MNT_LOCKED | MNT_LOCK_FLAGS)) &&
	       (old & ~flags & (MNT_RDONLY | MNT_NODEV | MNT_NOSUID | MNT_NOEXEC));
}

bool mount_shared(const struct mount *m);
/* One mount; how as of mnt_set_propagation. mnt_mutex is held. */
void mount_set_propagation_locked(struct mount *m, uint32_t how);
/* Is m mounted in ns? A first check only: without mnt_tree_lock it may be unmounted after it. */
bool mount_in_ns(const struct mount *m, const struct mnt_ns *ns);
void mount_make_shared(struct mount *m); /* a group of its own, unless it is in one */
void mount_join_group(struct mount *m, struct mount *peer);
void mount_make_slave_of(struct mount *m, struct mount *master);
void mount_make_private(struct mount *m); /* leave the group and the master */
void mount_make_slave(struct mount *m);
/* The members of m's propagation: peers and slaves, transitively; walks them one after another, not
 * m itself. */
struct mount *propagation_next(struct mount *m, struct mount *origin);

/* Attach the unattached tree m on (parent, d), and copies of it where parent propagates to. tree.
 */
int mount_attach(struct mount *m, struct mount *parent, struct dentry *d);

#endif
