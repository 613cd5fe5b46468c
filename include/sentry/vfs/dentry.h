/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dentries: the cache of names. A dentry says "name in parent is inode", or (inode NULL) "there is
 * no such name". A child holds a reference on its parent; the parent's table holds one on each
 * child in it, which the cache gives up for the least used ones when there are more than
 * dcache_limit.
 *
 * Locks. A dentry's `lock` (rank DENTRY) guards its table of children, and its own name and parent;
 * a name is changed (rename) under the locks of both parents and of the dentry, renames being
 * serialised by a global lock. `inode` never changes: a name that comes to be something else gets a
 * new dentry. Thus whoever holds a reference reads `inode` without a lock.
 */
#ifndef SENTRY_VFS_DENTRY_H
#define SENTRY_VFS_DENTRY_H

#include "base/list.h"
#include "base/lock.h"
#include "base/ref.h"
#include "sentry/vfs/inode.h"

#define DENTRY_INLINE 32

struct dentry {
	struct ref ref;
	_Atomic uint32_t flags; /* DENTRY_* */
	struct mutex lock;
	struct super *sb;      /* a reference for roots only */
	struct inode *inode;   /* a reference, or NULL: negative; constant */
	struct dentry *parent; /* a reference; itself (without one) for a root */
	char *name;	       /* NUL-terminated: short_name or malloc'd */
	uint32_t len, hash;
	struct dentry *next;	  /* in the parent's bucket */
	struct dentry **children; /* buckets, NULL while there is none */
	uint32_t nbuckets, nchildren;
	struct list lru; /* in the cache's clock while it is in its parent's table */
	char short_name[DENTRY_INLINE];
};

#define DENTRY_HASHED	  1u  /* found in its parent's table */
#define DENTRY_MOUNTED	  2u  /* something is mounted on it, in some namespace */
#define DENTRY_USED	  4u  /* looked up since the clock hand last passed */
#define DENTRY_DEAD	  8u  /* a removed directory: nothing can be made in it */
#define DENTRY_UNLINKED	  32u /* its name was removed (not just forgotten) */
#define DENTRY_PINS_SUPER 16u /* without a parent: holds a reference on sb */

extern uint32_t dcache_limit;
uint32_t dcache_unused(void); /* names that nobody holds */

uint32_t dentry_hash(const char *s, size_t len);
struct dentry *dentry_get(struct dentry *d);
void dentry_put(struct dentry *d); /* may park */
static inline bool
dentry_hashed(struct dentry *d)
{
	return atomic_load_explicit(&d->flags, memory_order_relaxed) & DENTRY_HASHED;
}

/* Look in the cache only: a new reference, or NULL. */
struct dentry *dentry_find(struct dentry *parent, const struct name *n);
/* Enter name = inode (consumes the reference; NULL: negative); if the name is there already, that
 * one is returned and inode dropped. NULL: out of memory. */
struct dentry *dentry_add(struct dentry *parent, const struct name *n, struct inode *inode);
/* A dentry that is in no table: for nameless files. */
struct dentry *dentry_new_loose(
	struct super *sb, struct dentry *parent, const struct name *n, struct inode *inode);
void dentry_drop(struct dentry *d); /* take it out of its parent's table */
void dentry_parent_get(struct dentry *d, struct dentry **ret); /* a reference */
bool dentry_is_ancestor(struct dentry *a, struct dentry *d);   /* a == d or above */
/* Forget names below d that nobody uses (a shared file system says that they changed, an unmount).
 */
void dentry_shrink(struct dentry *d);
/* Forget the entry if it is cached: for file systems whose entries come and go by themselves. */
void dentry_invalidate(struct dentry *parent, const char *name);

#endif
