/* SPDX-License-Identifier: Apache-2.0 */
/* Inodes: life, attributes in memory, and who may do what (Linux: fs/inode.c, generic_permission in
 * fs/namei.c). */
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct lx_timespec
vfs_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return (struct lx_timespec){ts.tv_sec, ts.tv_nsec};
}

/* What a great many files took goes back to the host when most of them are gone: the allocator
 * keeps it all otherwise. */
#define MANY 16384

static _Atomic int64_t most; /* inodes at once, since memory was last given back */

static void
count_new(void)
{
	int64_t n, m = atomic_load_explicit(&most, memory_order_relaxed);

	LIVE_INC(INODE);
	n = atomic_load_explicit(&live_count[LIVE_INODE], memory_order_relaxed);
	while (n > m && !atomic_compare_exchange_weak(&most, &m, n))
		;
}

static void
count_gone(void)
{
	int64_t n, m = atomic_load_explicit(&most, memory_order_relaxed);

	LIVE_DEC(INODE);
	n = atomic_load_explicit(&live_count[LIVE_INODE], memory_order_relaxed);
	if (m > MANY && n < m / 4 && atomic_compare_exchange_strong(&most, &m, n > MANY ? n : 0))
		malloc_trim(0);
}

void
inode_init(struct inode *i, struct super *sb, const struct inode_ops *ops,
	const struct file_ops *fops, uint64_t ino, uint32_t mode, uint32_t uid, uint32_t gid)
{
	memset(i, 0, sizeof *i);
	ref_init(&i->ref);
	i->sb = sb;
	i->ops = ops;
	i->fops = fops;
	i->ino = ino;
	mutex_init(&i->lock, LR_INODE);
	sleeplock_init(&i->dir_lock);
	i->mode = mode;
	i->uid = uid;
	i->gid = gid;
	i->nlink = LX_S_ISDIR(mode) ? 2 : 1;
	i->atime = i->mtime = i->ctime = i->btime = vfs_now();
	list_init(&i->hash_node);
	count_new();
}

void
inode_fini(struct inode *i)
{
	file_locks_free(i);
	if (i->ipc && LX_S_ISFIFO(i->mode))
		vfs_fifo_free(i);
	free(i->link);
	mutex_destroy(&i->lock);
	count_gone();
}

struct inode *
inode_get(struct inode *i)
{
	ref_get(&i->ref);
	return i;
}

void
inode_put(struct inode *i)
{
	struct super *sb;

	if (!i || !ref_put(&i->ref))
		return;
	sb = i->sb;
	if (sb->inodes) {
		mutex_lock(&sb->inodes_lock);
		list_del(&i->hash_node);
		mutex_unlock(&sb->inodes_lock);
	}
	i->ops->free(i);
}

static struct list *
bucket_locked(struct super *sb, uint64_t ino)
{
	return &sb->inodes[(ino * 0x9e3779b97f4a7c15ULL >> 32) % SUPER_INODE_BUCKETS];
}

static struct inode *
find_locked(struct super *sb, uint64_t ino)
{
	struct inode *i;

	if (!sb->inodes)
		return NULL;
	list_for_each_entry (i, bucket_locked(sb, ino), hash_node) {
		/* one that is being freed stays in the table for a moment */
		if (i->ino == ino && ref_get_unless_zero(&i->ref))
			return i;
	}
	return NULL;
}

struct inode *
inode_find(struct super *sb, uint64_t ino)
{
	struct inode *i;

	mutex_lock(&sb->inodes_lock);
	i = find_locked(sb, ino);
	mutex_unlock(&sb->inodes_lock);
	return i;
}

struct inode *
inode_insert(struct inode *i)
{
	struct super *sb = i->sb;
	struct inode *there = NULL;

	mutex_lock(&sb->inodes_lock);
	if (!sb->inodes) {
		sb->inodes = malloc(SUPER_INODE_BUCKETS * sizeof *sb->inodes);
		for (int k = 0; sb->inodes && k < SUPER_INODE_BUCKETS; k++)
			list_init(&sb->inodes[k]);
	}
	if (sb->inodes) {
		there = find_locked(sb, i->ino);
		if (!there)
			list_push_front(bucket_locked(sb, i->ino), &i->hash_node);
	}
	mutex_unlock(&sb->inodes_lock);
	return there;
}

void
inode_touch(struct inode *i, uint32_t which)
{
	struct lx_timespec now = vfs_now();

	mutex_lock(&i->lock);
	if (which & INODE_T_ATIME)
		i->atime = now;
	if (which & INODE_T_MTIME)
		i->mtime = now;
	if (which & INODE_T_CTIME)
		i->ctime = now;
	mutex_unlock(&i->lock);
}

void
inode_set_nlink(struct inode *i, uint32_t n)
{
	mutex_lock(&i->lock);
	inode_store(i->nlink, n);
	mutex_unlock(&i->lock);
}

void
inode_add_nlink(struct inode *i, int32_t by)
{
	mutex_lock(&i->lock);
	inode_store(i->nlink, (uint32_t)((int32_t)i->nlink + by));
	mutex_unlock(&i->lock);
}

void
inode_setattr_apply(struct inode *i, const struct iattr *a)
{
	mutex_lock(&i->lock);
	if (a->valid & IATTR_MODE)
		inode_store(i->mode, (i->mode & LX_S_IFMT) | (a->mode & LX_S_IALLUGO));
	if (a->valid & IATTR_UID)
		inode_store(i->uid, a->uid);
	if (a->valid & IATTR_GID)
		inode_store(i->gid, a->gid);
	if (a->valid & IATTR_SIZE)
		inode_store(i->size, a->size);
	if (a->valid & IATTR_ATIME)
		i->atime = a->atime;
	if (a->valid & IATTR_MTIME)
		i->mtime = a->mtime;
	if (a->valid & IATTR_CTIME)
		i->ctime = a->ctime;
	mutex_unlock(&i->lock);
}

void
inode_stat(struct inode *i, struct lx_stat_all *st)
{
	memset(st, 0, sizeof *st);
	st->mask = LX_STATX_BASIC_STATS | LX_STATX_BTIME;
	st->ino = i->ino;
	st->dev = i->sb->dev;
	st->rdev = i->rdev;
	mutex_lock(&i->lock);
	st->mode = i->mode;
	st->uid = i->uid;
	st->gid = i->gid;
	st->nlink = i->nlink;
	st->size = i->size;
	st->blocks = i->blocks;
	st->blksize = i->blksize ? i->blksize : i->sb->blksize;
	st->atime = i->atime;
	st->mtime = i->mtime;
	st->ctime = i->ctime;
	st->btime = i->btime;
	mutex_unlock(&i->lock);
}

int
inode_permission_generic(struct inode *i, const struct call *c, int mask)
{
	const struct cred *cr = c->cred;
	uint32_t mode = inode_mode(i), uid = inode_load(i->uid), gid = inode_load(i->gid);
	uint32_t bits;
	int r;

	if (cr->fsuid == uid) {
		bits = mode >> 6;
	} else if ((mode & 070u) &&
		   (atomic_load_explicit(&i->sb->flags, memory_order_relaxed) & SUPER_POSIXACL) &&
		   !cred_capable_file(cr, uid, gid, LX_CAP_DAC_OVERRIDE) &&
		   (r = acl_permission(i, c, (uint32_t)mask)) != -EAGAIN) {
		if (r != -EACCES)
			return r;
		bits = 0;
	} else if (((mode >> 3) & 7) != (mode & 7) && cred_in_group(cr, gid)) {
		bits = mode >> 3;
	} else {
		bits = mode;
	}
	if (!((uint32_t)mask & ~bits & 7))
		return 0;
	if (LX_S_ISDIR(mode)) {
		if (!(mask & LX_W_OK) && cred_capable_file(cr, uid, gid, LX_CAP_DAC_READ_SEARCH))
			return 0;
		return cred_capable_file(cr, uid, gid, LX_CAP_DAC_OVERRIDE) ? 0 : -EACCES;
	}
	if (mask == LX_R_OK && cred_capable_file(cr, uid, gid, LX_CAP_DAC_READ_SEARCH))
		return 0;
	if ((!(mask & LX_X_OK) || (mode & 0111)) &&
		cred_capable_file(cr, uid, gid, LX_CAP_DAC_OVERRIDE))
		return 0;
	return -EACCES;
}

int
inode_permission(struct inode *i, const struct call *c, int mask)
{
	if (mask & LX_W_OK) {
		uint32_t mode = inode_mode(i);

		/* a write to the file system, not to a device or pipe behind the inode */
		if ((atomic_load_explicit(&i->sb->flags, memory_order_relaxed) & SUPER_RDONLY) &&
			!(i->flags & INODE_NOWRITE_CHECK) &&
			(LX_S_ISREG(mode) || LX_S_ISDIR(mode) || LX_S_ISLNK(mode)))
			return -EROFS;
		if (i->flags & INODE_IMMUTABLE)
			return -EPERM;
	}
	if (i->ops->permission)
		return i->ops->permission(i, c, mask);
	return inode_permission_generic(i, c, mask);
}

int
inode_access(struct inode *i, const struct call *c, int mask)
{
	if (i->ops->access)
		return i->ops->access(i, c, mask);
	return mask ? inode_permission(i, c, mask) : 0;
}

bool
inode_capable(const struct inode *i, const struct cred *c, int cap)
{
	return cred_capable_file(c, inode_load(i->uid), inode_load(i->gid), cap);
}

bool
inode_owner_or_capable(struct inode *i, const struct call *c)
{
	return c->cred->fsuid == inode_load(i->uid) || inode_capable(i, c->cred, LX_CAP_FOWNER);
}

static bool
before(const struct lx_timespec *a, const struct lx_timespec *b)
{
	return a->sec < b->sec || (a->sec == b->sec && a->nsec <= b->nsec);
}

void
inode_accessed(struct inode *i, struct mount *mnt)
{
	uint32_t flags =
		mnt ? atomic_load_explicit(&mnt->flags, memory_order_relaxed) : MNT_RELATIME;
	struct lx_timespec now;

	if ((i->flags & INODE_NOATIME) || (flags & (MNT_NOATIME | MNT_RDONLY)) ||
		(atomic_load_explicit(&i->sb->flags, memory_order_relaxed) & SUPER_RDONLY))
		return;
	if ((flags & MNT_NODIRATIME) && inode_is_dir(i))
		return;
	now = vfs_now();
	mutex_lock(&i->lock);
	/* relatime: once after a change, and once a day */
	if (!(flags & MNT_RELATIME) || before(&i->atime, &i->mtime) ||
		before(&i->atime, &i->ctime) || now.sec - i->atime.sec >= 24 * 3600)
		i->atime = now;
	mutex_unlock(&i->lock);
}
