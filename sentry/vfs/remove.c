/* SPDX-License-Identifier: Apache-2.0 */
/* Taking names away and moving them: unlink, rmdir, rename (Linux: fs/namei.c). */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

/* May this name be removed from dir: rights, sticky bit, kind. */
int
may_delete(const struct call *c, struct dentry *dir, struct dentry *victim, bool isdir)
{
	struct inode *i = victim->inode;
	int r;

	if (!i)
		return -ENOENT;
	r = inode_permission(dir->inode, c, LX_W_OK | LX_X_OK);
	if (r)
		return r;
	if ((inode_mode(dir->inode) & LX_S_ISVTX) && c->cred->fsuid != inode_load(i->uid) &&
		c->cred->fsuid != inode_load(dir->inode->uid) &&
		!inode_capable(i, c->cred, LX_CAP_FOWNER))
		return -EPERM;
	if (isdir && !inode_is_dir(i))
		return -ENOTDIR;
	if (!isdir && inode_is_dir(i))
		return -EISDIR;
	if (atomic_load(&dir->flags) & DENTRY_DEAD)
		return -ENOENT;
	return 0;
}

static int
remove_locked(const struct call *c, struct walk *w, struct dentry *d, bool isdir)
{
	struct dentry *dir = w->path.dentry;
	struct inode *i = d->inode;
	int (*op)(struct inode *, const struct call *, const struct name *, struct inode *);
	int r = may_delete(c, dir, d, isdir);

	if (r)
		return r;
	op = isdir ? dir->inode->ops->rmdir : dir->inode->ops->unlink;
	if (!op)
		return -EPERM;
	r = sleeplock_lock_killable(&i->dir_lock);
	if (r)
		return r;
	if (mnt_is_mountpoint(c, d))
		r = -EBUSY;
	else
		r = op(dir->inode, c, &w->last, i);
	if (!r && isdir)
		atomic_fetch_or(&d->flags, DENTRY_DEAD);
	sleeplock_unlock(&i->dir_lock);
	if (r)
		return r;
	atomic_fetch_or(&d->flags, DENTRY_UNLINKED);
	atomic_fetch_add(&dir->sb->changes, 1);
	dentry_drop(d);
	dentry_set_missing(dir, &w->last);
	return 0;
}

static int
remove_name(const struct call *c, const struct path *base, const char *path, bool isdir)
{
	struct dentry *d = NULL, *dir = NULL;
	struct inode *child = NULL;
	struct walk w;
	int r = walk_init(&w, c, base, path, LOOKUP_PARENT);

	if (!r)
		r = walk_run(&w);
	if (!r && w.last_type != LAST_NORM) {
		if (!isdir)
			r = -EISDIR;
		else
			r = w.last_type == LAST_DOT	 ? -EINVAL
			    : w.last_type == LAST_DOTDOT ? -ENOTEMPTY
							 : -EBUSY;
	}
	if (!r)
		r = mnt_want_write(w.path.mnt);
	if (r) {
		walk_fini(&w);
		return r;
	}
	dir = w.path.dentry;
	r = sleeplock_lock_killable(&dir->inode->dir_lock);
	if (r) {
		walk_fini(&w);
		return r;
	}
	r = lookup_one_locked(c, dir, &w.last, &d);
	if (!r && !d->inode)
		r = -ENOENT;
	if (!r && !isdir && w.slash)
		r = inode_is_dir(d->inode) ? -EISDIR : -ENOTDIR;
	if (!r)
		r = remove_locked(c, &w, d, isdir);
	sleeplock_unlock(&dir->inode->dir_lock);
	if (!r) {
		if (!isdir)
			vfs_notify_inode(d->inode, LX_IN_ATTRIB);
		vfs_notify_unlinked(d);
		if (atomic_load(&d->flags) & DENTRY_MOUNTED)
			mnt_detach_on(d);
		if (isdir)
			dentry_shrink(d);
	}
	if (!r && vfs_watched())
		child = inode_get(d->inode);
	dentry_put(d); /* the end of the file is told before that of its name */
	if (child)
		vfs_notify_entry(
			dir->inode, child, LX_IN_DELETE | (isdir ? LX_IN_ISDIR : 0), 0, &w.last);
	inode_put(child);
	walk_fini(&w);
	return r;
}

int
vfs_unlink(const struct call *c, const struct path *base, const char *path)
{
	return remove_name(c, base, path, false);
}

int
vfs_rmdir(const struct call *c, const struct path *base, const char *path)
{
	return remove_name(c, base, path, true);
}

/* --- rename --- */

struct rename {
	const struct call *c;
	struct walk from, to;
	struct dentry *old_dir, *new_dir;
	struct dentry *old, *target; /* target: positive, or negative */
	uint32_t flags;
};

/* Lock both directories: an ancestor before what is below it, others by address. Of one that
 * somebody on the host has moved there may be two entries, the old one of which still is in use. */
static int
lock_dirs(struct dentry *a, struct dentry *b)
{
	int r;

	if (a->inode == b->inode)
		return sleeplock_lock_killable(&a->inode->dir_lock);
	r = sleeplock_lock_killable(&a->sb->rename_lock);
	if (r)
		return r;
	if (dentry_is_ancestor(b, a) || (b < a && !dentry_is_ancestor(a, b))) {
		struct dentry *t = a;

		a = b;
		b = t;
	}
	r = sleeplock_lock_killable(&a->inode->dir_lock);
	if (!r) {
		r = sleeplock_lock_killable(&b->inode->dir_lock);
		if (r)
			sleeplock_unlock(&a->inode->dir_lock);
	}
	if (r)
		sleeplock_unlock(&a->sb->rename_lock);
	return r;
}

static void
unlock_dirs(struct dentry *a, struct dentry *b)
{
	sleeplock_unlock(&a->inode->dir_lock);
	if (a->inode == b->inode)
		return;
	sleeplock_unlock(&b->inode->dir_lock);
	sleeplock_unlock(&a->sb->rename_lock);
}

/* Shape: existence, slashes, loops. The directories are locked. */
static int
rename_check_shape(struct rename *rn)
{
	bool old_is_dir, exchange = rn->flags & LX_RENAME_EXCHANGE;
	struct inode *ti = rn->target->inode;

	if (!rn->old->inode)
		return -ENOENT;
	if ((rn->flags & LX_RENAME_NOREPLACE) && ti)
		return -EEXIST;
	old_is_dir = inode_is_dir(rn->old->inode);
	if (exchange) {
		if (!ti)
			return -ENOENT;
		if (!inode_is_dir(ti) && rn->to.slash)
			return -ENOTDIR;
	}
	if (!old_is_dir) {
		if (rn->from.slash || (!exchange && rn->to.slash))
			return -ENOTDIR;
	}
	if (dentry_is_ancestor(rn->old, rn->new_dir))
		return -EINVAL;
	if (ti && (dentry_is_ancestor(rn->target, rn->old_dir) || ti == rn->old_dir->inode ||
			  ti == rn->new_dir->inode))
		return exchange ? -EINVAL : -ENOTEMPTY;
	return 0;
}

static int
rename_check_rights(struct rename *rn)
{
	const struct call *c = rn->c;
	bool isdir = inode_is_dir(rn->old->inode);
	struct inode *ti = rn->target->inode;
	int r = may_delete(c, rn->old_dir, rn->old, isdir);

	if (r)
		return r;
	if (!ti)
		r = may_create(c, rn->new_dir);
	else if (rn->flags & LX_RENAME_EXCHANGE)
		r = may_delete(c, rn->new_dir, rn->target, inode_is_dir(ti));
	else
		r = may_delete(c, rn->new_dir, rn->target, isdir);
	if (r)
		return r;
	if (!rn->old_dir->inode->ops->rename)
		return -EPERM;
	if (rn->old_dir != rn->new_dir) {
		/* ".." of the moved directory changes */
		if (isdir && (r = inode_permission(rn->old->inode, c, LX_W_OK)))
			return r;
		if ((rn->flags & LX_RENAME_EXCHANGE) && inode_is_dir(ti) &&
			(r = inode_permission(ti, c, LX_W_OK)))
			return r;
	}
	if (mnt_is_mountpoint(c, rn->old) || mnt_is_mountpoint(c, rn->target))
		return -EBUSY;
	return 0;
}

/* Bring the cache in line with what the file system did. */
static void
rename_cache(struct rename *rn)
{
	struct dentry *old = rn->old, *t = rn->target;

	atomic_fetch_add(&rn->old_dir->sb->changes, 1);
	if (rn->flags & LX_RENAME_EXCHANGE) {
		if (!dentry_hashed(old) || !dentry_hashed(t) || dentry_exchange(old, t)) {
			dentry_drop(old);
			dentry_drop(t);
		}
		return;
	}
	if (t->inode) {
		atomic_fetch_or(
			&t->flags, DENTRY_UNLINKED | (inode_is_dir(t->inode) ? DENTRY_DEAD : 0));
		dentry_drop(t);
	}
	if (dentry_move(old, rn->new_dir, &rn->to.last))
		dentry_drop(old);
	else if (!(rn->flags & LX_RENAME_WHITEOUT))
		dentry_set_missing(rn->old_dir, &rn->from.last);
}

static int
rename_locked(struct rename *rn)
{
	struct inode *oi, *ti;
	int r = lookup_one_locked(rn->c, rn->old_dir, &rn->from.last, &rn->old);

	if (!r)
		r = lookup_one_locked(rn->c, rn->new_dir, &rn->to.last, &rn->target);
	if (!r)
		r = rename_check_shape(rn);
	if (r)
		return r;
	oi = rn->old->inode;
	ti = rn->target->inode;
	if (oi == ti)
		return 1; /* two names of one file: nothing to do */
	r = rename_check_rights(rn);
	if (r)
		return r;
	if (ti && (r = sleeplock_lock_killable(&ti->dir_lock)))
		return r;
	r = rn->old_dir->inode->ops->rename(rn->old_dir->inode, rn->c, &rn->from.last, oi,
		rn->new_dir->inode, &rn->to.last, ti, rn->flags);
	if (!r)
		rename_cache(rn);
	if (ti)
		sleeplock_unlock(&ti->dir_lock);
	return r;
}

static void
moved(struct inode *from, const struct name *old_name, struct inode *to,
	const struct name *new_name, struct inode *child)
{
	static _Atomic uint32_t cookies = 1;
	uint32_t cookie = atomic_fetch_add(&cookies, 1),
		 dirbit = inode_is_dir(child) ? LX_IN_ISDIR : 0;
	struct vfs_notify_event ev = {.inode = from,
		.child = child,
		.mask = LX_FAN_RENAME | dirbit,
		.name = old_name->s,
		.name_len = old_name->len,
		.new_dir = to,
		.new_name = new_name->s,
		.new_len = new_name->len};

	if (!vfs_watched())
		return;
	vfs_notify_send(&ev);
	vfs_notify_entry(from, child, LX_IN_MOVED_FROM | dirbit, cookie, old_name);
	vfs_notify_entry(to, child, LX_IN_MOVED_TO | dirbit, cookie, new_name);
}

static void
rename_notify(struct rename *rn)
{
	bool exchange = rn->flags & LX_RENAME_EXCHANGE;
	struct inode *ti = rn->target->inode, *from = rn->old_dir->inode, *to = rn->new_dir->inode;

	moved(from, &rn->from.last, to, &rn->to.last, rn->old->inode);
	if (ti && !exchange) {
		vfs_notify_inode(ti, LX_IN_ATTRIB);
		vfs_notify_unlinked(rn->target);
	}
	vfs_notify_inode(rn->old->inode, LX_IN_MOVE_SELF);
	if (exchange) {
		moved(to, &rn->to.last, from, &rn->from.last, ti);
		vfs_notify_inode(ti, LX_IN_MOVE_SELF);
	} else if (ti) {
		if (atomic_load(&rn->target->flags) & DENTRY_MOUNTED)
			mnt_detach_on(rn->target);
		if (inode_is_dir(ti))
			dentry_shrink(rn->target);
	}
}

static int
rename_prepare(struct rename *rn, const struct path *old_base, const char *old,
	const struct path *new_base, const char *new_path)
{
	int r = walk_init(&rn->from, rn->c, old_base, old, LOOKUP_PARENT);

	if (!r)
		r = walk_run(&rn->from);
	if (!r)
		r = walk_init(&rn->to, rn->c, new_base, new_path, LOOKUP_PARENT);
	if (!r)
		r = walk_run(&rn->to);
	if (r)
		return r;
	if (rn->from.path.mnt != rn->to.path.mnt)
		return -EXDEV;
	if (rn->from.last_type != LAST_NORM)
		return -EBUSY;
	if (rn->to.last_type != LAST_NORM)
		return (rn->flags & LX_RENAME_NOREPLACE) ? -EEXIST : -EBUSY;
	return mnt_want_write(rn->from.path.mnt);
}

int
vfs_rename(const struct call *c, const struct path *old_base, const char *old,
	const struct path *new_base, const char *new_path, uint32_t flags)
{
	struct rename rn;
	int r;

	memset(&rn, 0, sizeof rn);
	rn.c = c;
	rn.flags = flags;
	if (flags & ~(uint32_t)(LX_RENAME_NOREPLACE | LX_RENAME_EXCHANGE | LX_RENAME_WHITEOUT))
		return -EINVAL;
	if ((flags & LX_RENAME_EXCHANGE) && (flags & (LX_RENAME_NOREPLACE | LX_RENAME_WHITEOUT)))
		return -EINVAL;
	r = rename_prepare(&rn, old_base, old, new_base, new_path);
	if (!r) {
		rn.old_dir = rn.from.path.dentry;
		rn.new_dir = rn.to.path.dentry;
		r = lock_dirs(rn.old_dir, rn.new_dir);
		if (!r) {
			r = rename_locked(&rn);
			unlock_dirs(rn.old_dir, rn.new_dir);
		}
		if (!r)
			rename_notify(&rn);
		else if (r > 0)
			r = 0;
	}
	dentry_put(rn.old);
	dentry_put(rn.target);
	walk_fini(&rn.from);
	walk_fini(&rn.to);
	return r;
}
