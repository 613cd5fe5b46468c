/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tmpfs: files in memory. Directories keep their entries themselves (the vfs's cache may forget any
 * name), each entry with a reference on its inode.
 *
 * Locks: entries, data, seals and xattrs of a node are under its inode's dir_lock (the vfs takes it
 * around directory operations and setattr; read and write take it here); what the super counts is
 * atomic.
 */
#ifndef FS_TMPFS_INTERNAL_H
#define FS_TMPFS_INTERNAL_H

#include "base/list.h"
#include "platform/host/memory.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/mm/mappable.h"
#include "sentry/vfs/rw.h"
#include <errno.h>

#define TMPFS_MAGIC	  0x01021994
#define TMPFS_SMALL	  (64u << 10) /* larger files live in a memfd */
#define TMPFS_DIRENT_SIZE 20	      /* what an entry adds to a directory's size, as in Linux */

struct tmpfs_super {
	uint64_t max_pages, max_inodes; /* 0: unlimited */
	_Atomic uint64_t pages, inodes; /* in use */
	_Atomic uint64_t next_ino;
	uint32_t mode, uid, gid;
	bool size_given, inodes_given;
};

struct xattr {
	struct list node;
	size_t size;
	char *name; /* behind the value */
	char value[];
};

struct tdirent {
	struct list node; /* in order of creation */
	struct tdirent *next;
	struct tnode *target; /* a reference on its inode */
	int64_t off;
	uint32_t hash, len;
	char name[];
};

struct tnode {
	struct inode i;
	struct list xattrs;
	size_t xattr_bytes;
	/* directory */
	struct list entries;
	struct tdirent **table;
	uint32_t nbuckets, nentries;
	int64_t next_off;
	/* regular file */
	char *mem; /* the first mem_len bytes; the rest up to size is zero; NULL once in a memfd */
	uint32_t mem_len, mem_cap;
	int fd;			 /* -1: none */
	struct host_memory held; /* with fd */
	_Atomic int ro_fd; /* the same to be read only, made when first asked for; -1: not yet */
	uint64_t id;	   /* of the memfd, of all that there ever were */
	uint64_t pages;	   /* charged to the super */
	uint32_t seals;
	_Atomic uint32_t writable_maps;
};

static inline struct tnode *
tnode_of(struct inode *i)
{
	return container_of(i, struct tnode, i);
}

static inline struct tmpfs_super *
tsb_of(struct super *sb)
{
	return sb->priv;
}

extern const struct inode_ops tmpfs_dir_iops, tmpfs_iops, tmpfs_reg_iops;
extern const struct file_ops tmpfs_dir_fops, tmpfs_reg_fops;

int tnode_new(
	struct super *sb, const struct inode_spec *spec, struct tnode **ret); /* -ENOSPC, -ENOMEM */
void tnode_free(struct inode *i);
void tdata_free(struct tnode *n);
int tdata_setattr(struct inode *i, const struct call *c, const struct iattr *a);
int tdata_getattr(struct inode *i, const struct call *c, struct lx_stat_all *st);

ssize_t txattr_get(struct inode *i, const struct call *c, const char *name, void *buf, size_t size);
int txattr_set(struct inode *i, const struct call *c, const char *name, const void *val,
	size_t size, int flags);
ssize_t txattr_list(struct inode *i, const struct call *c, char *buf, size_t size);
int txattr_remove(struct inode *i, const struct call *c, const char *name);
void txattr_free(struct tnode *n);

/* Charge pages to the super; false: its size is used up. */
bool tmpfs_charge(struct super *sb, uint64_t pages);
void tmpfs_uncharge(struct super *sb, uint64_t pages);

#endif
