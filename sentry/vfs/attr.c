/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes: stat, chmod, chown, utimes, truncate, access (Linux: fs/attr.c, fs/stat.c,
 * fs/open.c). */
#include "internal.h"
#include "sentry/vfs/lock.h"
#include "sentry/vfs/rw.h"
#include <string.h>

int
vfs_getattr(
	const struct call *c, const struct path *p, uint32_t statx_flags, struct lx_stat_all *st)
{
	struct inode *i = p->dentry->inode;
	int r = 0;

	if (i->ops->refresh && !(statx_flags & LX_AT_STATX_DONT_SYNC))
		r = i->ops->refresh(i, c, statx_flags & LX_AT_STATX_FORCE_SYNC);
	if (r)
		return r;
	inode_stat(i, st);
	st->mnt_id = p->mnt->id;
	st->attributes_mask = LX_STATX_ATTR_MOUNT_ROOT;
	if (p->dentry == p->mnt->root)
		st->attributes |= LX_STATX_ATTR_MOUNT_ROOT;
	st->mask |= LX_STATX_MNT_ID;
	if (i->ops->getattr)
		r = i->ops->getattr(i, c, st);
	return r;
}

/* Linux's setattr_prepare: may the caller make this change? */
static int
setattr_check(const struct call *c, struct inode *i, struct iattr *a)
{
	const struct cred *cr = c->cred;
	bool owner = cr->fsuid == inode_load(i->uid);
	bool touch = (a->valid & (IATTR_ATIME_NOW | IATTR_MTIME_NOW)) ==
		     (IATTR_ATIME_NOW | IATTR_MTIME_NOW);

	if ((a->valid & IATTR_UID) && !(owner && a->uid == inode_load(i->uid)) &&
		!inode_capable(i, cr, LX_CAP_CHOWN))
		return -EPERM;
	if ((a->valid & IATTR_GID) &&
		!(owner && (a->gid == inode_load(i->gid) || cred_in_group(cr, a->gid))) &&
		!inode_capable(i, cr, LX_CAP_CHOWN))
		return -EPERM;
	if ((a->valid & IATTR_MODE) && !(a->valid & IATTR_INTERNAL_MODE)) {
		uint32_t gid = a->valid & IATTR_GID ? a->gid : inode_load(i->gid);

		if (!inode_owner_or_capable(i, c))
			return -EPERM;
		if (!cred_in_group(cr, gid) && !inode_capable(i, cr, LX_CAP_FSETID))
			a->mode &= ~LX_S_ISGID;
	}
	if ((a->valid & (IATTR_ATIME | IATTR_MTIME)) &&
		!(a->valid & (IATTR_SIZE | IATTR_INTERNAL_TIME))) {
		if (!inode_owner_or_capable(i, c)) {
			if (!touch)
				return -EPERM;
			return inode_permission(i, c, LX_W_OK);
		}
	}
	return 0;
}

/* The mode without the bits that a change by c takes away, or the same. */
static uint32_t
stripped_mode(const struct call *c, struct inode *i)
{
	uint32_t mode = inode_mode(i);

	mode &= ~LX_S_ISUID;
	if (mode & LX_S_ISGID) {
		if ((mode & 010u) || (!cred_in_group(c->cred, inode_load(i->gid)) &&
					     !inode_capable(i, c->cred, LX_CAP_FSETID)))
			mode &= ~LX_S_ISGID;
	}
	return mode;
}

int
vfs_setattr_locked(const struct call *c, struct inode *i, struct iattr *a)
{
	struct lx_timespec now = vfs_now();
	int r;

	if (i->flags & INODE_FIXED) {
		a->valid &= IATTR_ATIME | IATTR_MTIME | IATTR_ATIME_NOW | IATTR_MTIME_NOW;
		r = setattr_check(c, i, a);
		return r ? r : -EOPNOTSUPP;
	}
	/* some decide themselves who may change what */
	r = atomic_load_explicit(&i->sb->flags, memory_order_relaxed) & SUPER_OWN_RULES
		    ? 0
		    : setattr_check(c, i, a);
	if (r)
		return r;
	a->valid &= ~(IATTR_INTERNAL_MODE | IATTR_INTERNAL_TIME);
	a->valid |= IATTR_CTIME;
	a->ctime = now;
	if (a->valid & IATTR_ATIME_NOW)
		a->atime = now;
	if (a->valid & IATTR_MTIME_NOW)
		a->mtime = now;
	if (i->ops->setattr) {
		r = i->ops->setattr(i, c, a);
	} else if (a->valid & IATTR_SIZE) {
		r = -EINVAL;
	} else {
		inode_setattr_apply(i, a);
	}
	if (!r && (a->valid & IATTR_MODE))
		r = acl_chmod(i, c, a->mode);
	return r;
}

static uint32_t
event_of(uint32_t valid)
{
	if (valid & IATTR_SIZE)
		return LX_IN_MODIFY;
	if ((valid & (IATTR_MODE | IATTR_UID | IATTR_GID)) ||
		(valid & (IATTR_ATIME | IATTR_MTIME)) == (IATTR_ATIME | IATTR_MTIME))
		return LX_IN_ATTRIB;
	if (valid & IATTR_ATIME)
		return LX_IN_ACCESS;
	return valid & IATTR_MTIME ? LX_IN_MODIFY : LX_IN_ATTRIB;
}

int
vfs_setattr(const struct call *c, const struct path *p, struct iattr *a)
{
	struct inode *i = p->dentry->inode;
	uint32_t what = a->valid;
	int r = mnt_want_write(p->mnt);

	if (!r)
		r = sleeplock_lock_killable(&i->dir_lock);
	if (r)
		return r;
	r = vfs_setattr_locked(c, i, a);
	sleeplock_unlock(&i->dir_lock);
	if (!r)
		vfs_notify(p->dentry, event_of(what));
	return r;
}

int
vfs_chmod(const struct call *c, const struct path *p, uint32_t mode)
{
	struct iattr a = {.valid = IATTR_MODE, .mode = mode & LX_S_IALLUGO};

	if (LX_S_ISLNK(inode_mode(p->dentry->inode))) {
		int r = mnt_want_write(p->mnt);

		return r ? r : -EOPNOTSUPP;
	}
	return vfs_setattr(c, p, &a);
}

int
vfs_chown(const struct call *c, const struct path *p, uint32_t uid, uint32_t gid)
{
	struct inode *i = p->dentry->inode;
	struct iattr a = {.valid = 0, .uid = uid, .gid = gid};
	int r = mnt_want_write(p->mnt);

	if (r)
		return r;
	if (uid != UINT32_MAX)
		a.valid |= IATTR_UID;
	if (gid != UINT32_MAX)
		a.valid |= IATTR_GID;
	r = sleeplock_lock_killable(&i->dir_lock);
	if (r)
		return r;
	if (!inode_is_dir(i)) {
		uint32_t mode = stripped_mode(c, i);

		if (mode != inode_mode(i)) {
			a.valid |= IATTR_MODE | IATTR_INTERNAL_MODE;
			a.mode = mode & LX_S_IALLUGO;
		}
	}
	r = vfs_setattr_locked(c, i, &a);
	sleeplock_unlock(&i->dir_lock);
	if (!r)
		vfs_notify(p->dentry, LX_IN_ATTRIB);
	return r;
}

int
vfs_strip_privs(const struct call *c, struct file *f)
{
	struct inode *i = f->inode;
	struct iattr a = {.valid = IATTR_MODE | IATTR_INTERNAL_MODE};
	uint32_t mode = inode_mode(i);
	int r = 0;

	if (!LX_S_ISREG(mode) || !(mode & (LX_S_ISUID | LX_S_ISGID)) ||
		inode_capable(i, c->cred, LX_CAP_FSETID))
		return 0;
	r = sleeplock_lock_killable(&i->dir_lock);
	if (r)
		return r;
	a.mode = stripped_mode(c, i);
	if (a.mode != inode_mode(i)) {
		a.mode &= LX_S_IALLUGO;
		r = vfs_setattr_locked(c, i, &a);
	}
	sleeplock_unlock(&i->dir_lock);
	return r;
}

static int
truncate_inode(
	const struct call *c, struct inode *i, int64_t size, struct file *f, bool always_times)
{
	struct iattr a = {.valid = IATTR_SIZE, .size = size, .file = f};
	uint64_t limit = c->rlim ? rlimit_cur(c->rlim, LX_RLIMIT_FSIZE) : LX_RLIM_INFINITY;
	int r;

	if (size > i->sb->max_bytes)
		return -EFBIG;
	r = sleeplock_lock_killable(&i->dir_lock);
	if (r)
		return r;
	if (size > i->size && (uint64_t)size > limit) {
		r = -EFBIG;
	} else {
		uint32_t mode = inode_mode(i);

		if (always_times || size != i->size)
			a.valid |= IATTR_MTIME | IATTR_MTIME_NOW;
		if ((mode & (LX_S_ISUID | LX_S_ISGID)) &&
			!inode_capable(i, c->cred, LX_CAP_FSETID)) {
			a.mode = stripped_mode(c, i) & LX_S_IALLUGO;
			a.valid |= IATTR_MODE | IATTR_INTERNAL_MODE;
		}
		r = vfs_setattr_locked(c, i, &a);
	}
	sleeplock_unlock(&i->dir_lock);
	return r;
}

int
vfs_truncate(const struct call *c, const struct path *p, int64_t size)
{
	struct inode *i = p->dentry->inode;
	uint32_t mode = inode_mode(i);
	int32_t n;
	int r;

	if (LX_S_ISDIR(mode))
		return -EISDIR;
	if (!LX_S_ISREG(mode))
		return -EINVAL;
	r = mnt_want_write(p->mnt);
	if (!r)
		r = inode_permission(i, c, LX_W_OK);
	if (r)
		return r;
	n = atomic_load(&i->writecount);
	do {
		if (n < 0)
			return -ETXTBSY;
	} while (!atomic_compare_exchange_weak(&i->writecount, &n, n + 1));
	r = file_lease_break(i, c, LX_O_WRONLY);
	if (!r)
		r = truncate_inode(c, i, size, NULL, false);
	atomic_fetch_sub(&i->writecount, 1);
	if (!r)
		vfs_notify(p->dentry, LX_IN_MODIFY);
	return r;
}

int
vfs_ftruncate(const struct call *c, struct file *f, int64_t size)
{
	int r;

	if (!LX_S_ISREG(inode_mode(f->inode)) || !(f->mode & LX_FMODE_WRITE))
		return -EINVAL;
	r = truncate_inode(c, f->inode, size, f, false);
	if (!r)
		vfs_notify(f->path.dentry, LX_IN_MODIFY);
	return r;
}

int
vfs_ftruncate_open(const struct call *c, struct file *f)
{
	int r = truncate_inode(c, f->inode, 0, f->mode & LX_FMODE_WRITE ? f : NULL, true);

	if (!r)
		vfs_notify(f->path.dentry, LX_IN_MODIFY);
	return r;
}

int
vfs_access(const struct call *c, const struct path *p, int mask)
{
	struct inode *i = p->dentry->inode;
	uint32_t mode = inode_mode(i);
	int r;

	if ((mask & LX_X_OK) && LX_S_ISREG(mode) && (atomic_load(&p->mnt->flags) & MNT_NOEXEC))
		return -EACCES;
	r = inode_access(i, c, mask);
	if (!r && (mask & LX_W_OK) && (LX_S_ISREG(mode) || LX_S_ISDIR(mode) || LX_S_ISLNK(mode)))
		r = mnt_want_write(p->mnt);
	return r;
}

ssize_t
vfs_readlink(const struct call *c, const struct path *p, char *buf, size_t cap)
{
	struct inode *i = p->dentry->inode;
	size_t len;

	if (!LX_S_ISLNK(inode_mode(i)))
		return -EINVAL;
	inode_accessed(i, p->mnt);
	if (!i->link)
		return i->ops->readlink ? i->ops->readlink(i, c, buf, cap) : -EINVAL;
	len = strlen(i->link);
	if (len > cap)
		len = cap;
	memcpy(buf, i->link, len);
	return (ssize_t)len;
}
