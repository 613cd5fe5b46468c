/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay: a lower tree of any file system, shown with changes that are kept in memory. Unlike
 * Linux's overlayfs there is no upper tree: each node remembers its own changes.
 *
 *  - A node stands on a lower inode, or on none (made here). The table of its super finds the node
 * of a lower inode, so that hard links meet.
 *  - Attributes are the node's, copied from the lower inode once. Contents are read through the
 * lower inode until the first write, truncation or shared writable mapping, which copies them into
 * a nameless tmpfs file. The extended attributes are copied likewise before the first change.
 *  - A directory has a table of the names that differ from the lower directory: to a node, or to
 * nothing (a whiteout). Renaming a directory thus moves one entry.
 *  - A node on a lower inode that differs from it in any way is pinned: its super holds a reference
 * until it has no name any longer.
 *
 * Locks: a node's changes are under its inode's dir_lock, the super's table and pins under
 * osuper.lock (rank FS). A lower directory's dir_lock is taken inside of the node's.
 */
#ifndef FS_OVERLAY_INTERNAL_H
#define FS_OVERLAY_INTERNAL_H

#include "sentry/fs/overlay.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <errno.h>

#define OVERLAY_MAGIC	0x794c7630
#define OVERLAY_BUCKETS 1024
#define OVERLAY_INO	(1ULL << 46) /* numbers of nodes made here; lower ones keep theirs */

struct oentry {
	struct list node;
	struct oentry *next;
	struct onode *target; /* a reference; NULL: whiteout */
	bool hides;	      /* the lower directory has the name too */
	uint32_t hash, len;
	char name[];
};

struct onode {
	struct inode i;
	struct inode *lower;	      /* a reference, or NULL; constant */
	_Atomic(struct inode *) data; /* tmpfs file with the contents; a reference; set once */
	struct inode *xattrs; /* tmpfs node with the extended attributes; a reference; set once */
	struct list hash_node, pin_node;
	bool pinned;
	/* directory */
	struct list entries;
	struct oentry **table;
	uint32_t nbuckets, nentries;
};

struct osuper {
	struct super *lower, *upper; /* references; upper: the tmpfs that holds the contents */
	struct mutex lock;	     /* rank FS: the two below */
	struct list nodes[OVERLAY_BUCKETS];
	struct list pins;
	_Atomic uint64_t next_ino;
};

static inline struct onode *
onode_of(struct inode *i)
{
	return container_of(i, struct onode, i);
}

static inline struct osuper *
osuper_of(struct super *sb)
{
	return sb->priv;
}

extern const struct inode_ops overlay_dir_iops, overlay_reg_iops, overlay_iops;
extern const struct file_ops overlay_dir_fops, overlay_reg_fops;

/* The node of a lower inode (consumed). */
int onode_of_lower(struct super *sb, struct inode *lower, struct onode **ret);
int onode_new(struct super *sb, const struct inode_spec *spec, struct onode **ret);
void onode_free(struct inode *i);
void onode_pin(struct onode *n);
void onode_unpin(struct onode *n);

/* Copy the contents up, as far as size bytes; the node's dir_lock is held. */
int onode_copy_up(struct onode *n, const struct call *c, int64_t size);
int overlay_setattr(struct inode *i, const struct call *c, const struct iattr *a);

ssize_t overlay_getxattr(
	struct inode *i, const struct call *c, const char *name, void *buf, size_t size);
int overlay_setxattr(struct inode *i, const struct call *c, const char *name, const void *val,
	size_t size, int flags);
ssize_t overlay_listxattr(struct inode *i, const struct call *c, char *buf, size_t size);
int overlay_removexattr(struct inode *i, const struct call *c, const char *name);

#endif
