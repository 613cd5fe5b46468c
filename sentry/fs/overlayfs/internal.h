/* SPDX-License-Identifier: Apache-2.0 */
/*
 * overlay as guests mount it: lower trees, shown with the changes that an upper tree holds (Linux:
 * fs/overlayfs, Documentation/filesystems/overlayfs.rst). The trees are any that the guest can
 * name, and their format is Linux's: whiteouts are character devices 0:0, an opaque directory has
 * an attribute. (What the runtime's --overlay mounts is fs/overlay: it has no upper tree.)
 *
 *  - What is done to a layer is done by the vfs's own functions, with the rights of who mounted. A
 * private mount of each layer leads there; what is mounted in it elsewhere is not seen.
 *  - A node has its real entry in the upper tree, or one in a lower; a directory has one in each
 * where it is to be seen. Before the first change the lower one is copied to the upper tree
 * (copyup.c); that happens once, and readers need no lock to see it.
 *  - As with Linux's index=off, redirect_dir=off and metacopy=off: a hard link of a lower file is a
 * file of its own once it changes, a directory of a lower tree cannot be renamed (EXDEV), and the
 * number of a file that was copied up is that of the copy when it is looked up the next time.
 *
 * Locks: a node's entry, if it has one in the upper tree or not, is constant while its dir_lock, or
 * that of one that is below it, is held by who copies up; up_lock is taken inside of these. The
 * locks of the layers are taken inside of all of them. The table of nodes is under
 * ovl_super.lock (rank FS).
 */
#ifndef FS_OVERLAYFS_INTERNAL_H
#define FS_OVERLAYFS_INTERNAL_H

#include "sentry/fs/stacked.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <string.h>

#define OVL_BUCKETS    1024
#define OVL_LAYERS_MAX 500
#define OVL_DEPTH_MAX  2 /* Linux: FILESYSTEM_MAX_STACK_DEPTH */
#define OVL_MAGIC      0x794c7630

struct ovl_layer {
	struct mount *mnt; /* a reference, in no tree */
	uint32_t fs;	   /* which of the file systems below it is in */
};

struct ovl_lower {
	struct dentry *dentry; /* a reference */
	uint32_t layer;	       /* in ovl_super.layers */
};

struct ovl_node {
	struct inode i;
	_Atomic(struct dentry *) upper; /* a reference; NULL: not there; set once */
	struct ovl_lower *lower;	/* the topmost first; constant */
	uint32_t nlower;
	/* where it is to be copied to; constant; NULL if it was in the upper tree from the
	 * beginning */
	struct ovl_node *parent; /* a reference */
	char *name;
	bool gone;		  /* has no name any more; dir_lock */
	struct sleeplock up_lock; /* who copies it up */
	struct inode *key;	  /* in the table by it; NULL: in none. ovl_super.lock */
	struct list hash_node;
};

struct ovl_super {
	struct ovl_layer upper; /* mnt NULL: there is none */
	struct dentry *work;	/* a directory on the upper file system; a reference */
	struct ovl_layer *layers;
	uint32_t nlayers;
	const struct cred *cred; /* of who mounted; a reference */
	bool user_xattr, is_volatile;
	int depth;
	char *shown; /* options as /proc/mounts has them */
	struct mutex lock;
	struct list nodes[OVL_BUCKETS];
};

/* Everything that can be said by options; strings are borrowed. */
struct ovl_options {
	char *upper, *work, **lower; /* unescaped */
	uint32_t nlower;
	const char *uuid; /* as asked for, or NULL */
	bool one_by_one;  /* each by its own option */
	bool user_xattr, is_volatile, default_permissions, no_follow;
};
int ovl_options_parse(char *text, struct ovl_options *ret); /* cuts text up */
void ovl_options_free(struct ovl_options *o);
int ovl_options_check(const char *name, const char *val);
char *ovl_options_show(const struct ovl_options *o); /* malloc'd */

static inline struct ovl_node *
ovl_node_of(struct inode *i)
{
	return container_of(i, struct ovl_node, i);
}

static inline struct ovl_super *
ovl_super_of(const struct super *sb)
{
	return sb->priv;
}

/* c, with the rights of who mounted. */
static inline struct call
ovl_call(const struct ovl_super *o, const struct call *c)
{
	struct call k = *c;

	k.cred = o->cred;
	return k;
}

static inline struct path
ovl_upper_path(const struct ovl_super *o, const struct ovl_node *n)
{
	return (struct path){o->upper.mnt, atomic_load(&n->upper)};
}

static inline struct path
ovl_work_path(const struct ovl_super *o)
{
	return (struct path){o->upper.mnt, o->work};
}

/* Where what is to be seen of it is. Borrowed. */
static inline struct path
ovl_real(const struct ovl_node *n)
{
	const struct ovl_super *o = ovl_super_of(n->i.sb);
	struct path p = ovl_upper_path(o, n);

	if (!p.dentry)
		p = (struct path){o->layers[n->lower[0].layer].mnt, n->lower[0].dentry};
	return p;
}

static inline bool
ovl_is_whiteout(const struct inode *i)
{
	return LX_S_ISCHR(inode_mode(i)) && i->rdev == 0;
}

static inline struct name
ovl_name(const char *s)
{
	size_t len = strlen(s);

	return (struct name){s, (uint32_t)len, dentry_hash(s, len)};
}

/* What all kinds of nodes have. */
#define OVL_ATTR_OPS                                                                               \
	.permission = ovl_permission, .refresh = ovl_refresh, .getattr = ovl_getattr,              \
	.setattr = ovl_setattr, .getxattr = ovl_getxattr, .setxattr = ovl_setxattr,                \
	.listxattr = ovl_listxattr, .removexattr = ovl_removexattr, .free = ovl_node_free

extern const struct inode_ops ovl_dir_iops, ovl_reg_iops, ovl_iops;
extern const struct file_ops ovl_dir_fops, ovl_reg_fops;

/* node.c */
/* What is shown for a real inode number of the layer's file system. */
uint64_t ovl_ino(uint32_t fs, uint64_t ino);
/* One name of a layer's directory: a reference in *ret, NULL when there is none. */
int ovl_look(const struct call *k, struct dentry *dir, const struct name *n, struct dentry **ret);
/* The node of these entries; their references are consumed, also when it fails. lower is copied. */
int ovl_node_new(struct super *sb, const struct call *c, struct dentry *upper,
	const struct ovl_lower *lower, uint32_t nlower, struct ovl_node *parent,
	const struct name *name, struct ovl_node **ret);
void ovl_node_free(struct inode *i);
void ovl_node_hash(struct ovl_node *n, struct inode *key);
/* Bring the attributes up to date with the real ones. */
int ovl_refresh(struct inode *i, const struct call *c, bool force);
int ovl_getattr(struct inode *i, const struct call *c, struct lx_stat_all *st);
int ovl_permission(struct inode *i, const struct call *c, int mask);
int ovl_setattr(struct inode *i, const struct call *c, const struct iattr *a);
ssize_t ovl_readlink(struct inode *i, const struct call *c, char *buf, size_t cap);

/* xattr.c */
bool ovl_is_opaque(const struct ovl_super *o, const struct call *k, struct dentry *d);
int ovl_set_opaque(const struct ovl_super *o, const struct call *k, const struct path *p);
bool ovl_is_private(const struct ovl_super *o, const char *name);
ssize_t ovl_getxattr(
	struct inode *i, const struct call *c, const char *name, void *buf, size_t size);
int ovl_setxattr(struct inode *i, const struct call *c, const char *name, const void *val,
	size_t size, int flags);
ssize_t ovl_listxattr(struct inode *i, const struct call *c, char *buf, size_t size);
int ovl_removexattr(struct inode *i, const struct call *c, const char *name);

/* copyup.c */
/* Into the upper tree, with what is above it; of the contents, size bytes. n's dir_lock is held, or
 * that of the directory where it is. -EROFS. */
int ovl_copy_up(struct ovl_node *n, const struct call *c, int64_t size);
#define OVL_TEMP_NAME 24
void ovl_temp_name(char name[OVL_TEMP_NAME]);
/* Make what spec says, with its owner and mode, under a name. k: ovl_call's. A reference in *ret.
 */
int ovl_make(const struct call *k, const struct path *dir, const char *name,
	const struct inode_spec *spec, struct dentry **ret);
/* Remove what is in the work directory; a directory with the whiteouts in it. */
void ovl_clean(const struct ovl_super *o, const struct call *k, const char *name);
void ovl_clean_all(const struct ovl_super *o, const struct call *k);

/* list.c */
/* What is to be seen in the directory, and with .hidden what is not. */
int ovl_list(struct ovl_node *d, const struct call *c, struct stacked_list *l);
/* All entries of an open directory of a layer but dots, as they are there. */
int ovl_list_real(struct file *f, const struct call *k, struct stacked_list *l, uint32_t fs);
int ovl_check_empty(struct ovl_node *d, const struct call *c);
int ovl_iterate(struct file *f, const struct call *c, struct dir_emit *e);

#endif
