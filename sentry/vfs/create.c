/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making names: mkdir, mknod, symlink, link (Linux: fs/namei.c, filename_create and what follows).
 * The checks come in Linux's order: EEXIST before EROFS before EACCES.
 */
#include "internal.h"
#include "sentry/sysctl/sysctl.h"
#include <stdlib.h>
#include <string.h>

int
may_create(const struct call *c, struct dentry *dir)
{
	if (atomic_load(&dir->flags) & DENTRY_DEAD)
		return -ENOENT;
	return inode_permission(dir->inode, c, LX_W_OK | LX_X_OK);
}

int
spec_init(const struct call *c, struct inode *dir, uint32_t mode, struct inode_spec *spec,
	struct acl_pair *acl)
{
	uint32_t dmode = inode_mode(dir), asked = mode;
	int r = acl_new(dir, c, &mode, acl);

	memset(spec, 0, sizeof *spec);
	if (r)
		return r;
	spec->asked = asked;
	spec->uid = c->cred->fsuid;
	spec->gid = c->cred->fsgid;
	if (dmode & LX_S_ISGID) {
		spec->gid = inode_load(dir->gid);
		if (LX_S_ISDIR(mode))
			mode |= LX_S_ISGID;
		else if ((mode & (LX_S_ISGID | 010u)) == (LX_S_ISGID | 010u) &&
			 !cred_in_group(c->cred, spec->gid) &&
			 !inode_capable(dir, c->cred, LX_CAP_FSETID))
			mode &= ~LX_S_ISGID;
	}
	spec->mode = mode;
	return 0;
}

/* The place of a new name: its directory (references in w->path, dir_lock held) and a negative
 * dentry. */
struct place {
	struct walk w;
	struct dentry *dir;
};

static int
place_open(struct place *pl, const struct call *c, const struct path *base, const char *path,
	bool is_dir)
{
	struct dentry *d;
	int r = walk_init(&pl->w, c, base, path, LOOKUP_PARENT), ro;

	pl->dir = NULL;
	if (!r)
		r = walk_run(&pl->w);
	if (!r && pl->w.last_type != LAST_NORM)
		r = -EEXIST;
	if (r)
		return r;
	pl->dir = pl->w.path.dentry;
	ro = mnt_want_write(pl->w.path.mnt);
	r = sleeplock_lock_killable(&pl->dir->inode->dir_lock);
	if (r) {
		pl->dir = NULL;
		return r;
	}
	if (atomic_load(&pl->dir->flags) & DENTRY_DEAD)
		return -ENOENT;
	r = lookup_one_locked(c, pl->dir, &pl->w.last, &d);
	if (r)
		return r;
	if (d->inode)
		r = -EEXIST;
	else if (pl->w.slash && !is_dir)
		r = -ENOENT;
	else
		r = ro;
	dentry_put(d);
	return r;
}

/* Enter inode (consumed) under the name; the negative entry makes room. */
static int
place_fill(struct place *pl, struct inode *inode, uint32_t event, struct dentry **ret)
{
	struct dentry *d = dentry_replace(pl->dir, &pl->w.last, inode);

	atomic_fetch_add(&pl->dir->sb->changes, 1);
	vfs_notify_entry(pl->dir->inode, d ? d->inode : NULL, event, 0, &pl->w.last);
	/* without memory for the cache, the file is there all the same */
	if (ret)
		*ret = d;
	else
		dentry_put(d);
	return ret && !d ? -ENOMEM : 0;
}

static void
place_close(struct place *pl)
{
	if (pl->dir)
		sleeplock_unlock(&pl->dir->inode->dir_lock);
	walk_fini(&pl->w);
}

static int
make(const struct call *c, const struct path *base, const char *path, uint32_t mode, uint32_t rdev,
	const char *target, struct path *ret)
{
	struct inode_spec spec;
	struct acl_pair acl = {0};
	struct inode *inode = NULL;
	struct place pl;
	int r = place_open(&pl, c, base, path, LX_S_ISDIR(mode));

	if (!r)
		r = may_create(c, pl.dir);
	if (!r && (LX_S_ISCHR(mode) || LX_S_ISBLK(mode)) && !cred_capable(c->cred, LX_CAP_MKNOD) &&
		!(LX_S_ISCHR(mode) && rdev == 0))
		r = -EPERM;
	if (!r && !pl.dir->inode->ops->create)
		r = -EPERM;
	if (!r)
		r = spec_init(c, pl.dir->inode, mode, &spec, &acl);
	if (!r) {
		spec.rdev = rdev;
		spec.target = target;
		r = pl.dir->inode->ops->create(pl.dir->inode, c, &pl.w.last, &spec, &inode);
	}
	if (!r)
		acl_new_apply(inode, c, &acl);
	if (!r) {
		struct dentry *d = NULL;

		r = place_fill(&pl, inode, LX_IN_CREATE | (LX_S_ISDIR(mode) ? LX_IN_ISDIR : 0),
			ret ? &d : NULL);
		if (!r && ret) {
			ret->mnt = mount_get(pl.w.path.mnt);
			ret->dentry = d;
		}
	}
	acl_pair_free(&acl);
	place_close(&pl);
	return r;
}

int
vfs_mkdir(const struct call *c, const struct path *base, const char *path, uint32_t mode)
{
	return make(c, base, path, LX_S_IFDIR | (mode & (0777u | LX_S_ISVTX)), 0, NULL, NULL);
}

int
vfs_mknod(const struct call *c, const struct path *base, const char *path, uint32_t mode,
	uint32_t rdev)
{
	return vfs_mknod_path(c, base, path, mode, rdev, NULL);
}

int
vfs_mknod_path(const struct call *c, const struct path *base, const char *path, uint32_t mode,
	uint32_t rdev, struct path *ret)
{
	switch (mode & LX_S_IFMT) {
	case 0:
		mode |= LX_S_IFREG;
		break;
	case LX_S_IFREG:
	case LX_S_IFIFO:
	case LX_S_IFSOCK:
	case LX_S_IFCHR:
	case LX_S_IFBLK:
		break;
	case LX_S_IFDIR:
		return -EPERM;
	default:
		return -EINVAL;
	}
	if (!LX_S_ISCHR(mode) && !LX_S_ISBLK(mode))
		rdev = 0;
	return make(c, base, path, mode & (LX_S_IFMT | LX_S_IALLUGO), rdev, NULL, ret);
}

int
vfs_symlink(const struct call *c, const char *target, const struct path *base, const char *path)
{
	if (!*target)
		return -ENOENT;
	return make(c, base, path, LX_S_IFLNK | 0777u, 0, target, NULL);
}

/* Linux's protected_hardlinks: of another's file, only a plain one that may be read and written. */
static int
may_link_to(const struct call *c, struct inode *i)
{
	uint32_t mode = inode_mode(i);

	if (!sysctl_get(SYSCTL_PROTECTED_HARDLINKS) || inode_owner_or_capable(i, c))
		return 0;
	if (!LX_S_ISREG(mode) || (mode & LX_S_ISUID) ||
		(mode & (LX_S_ISGID | 010u)) == (LX_S_ISGID | 010u))
		return -EPERM;
	return inode_permission(i, c, LX_R_OK | LX_W_OK) ? -EPERM : 0;
}

static int
link_at(const struct call *c, const struct path *old, const struct path *base, const char *path)
{
	struct inode *inode = old->dentry->inode;
	struct place pl;
	int r = place_open(&pl, c, base, path, false);

	if (!r && (pl.w.path.mnt != old->mnt || pl.dir->sb != inode->sb))
		r = -EXDEV;
	if (!r)
		r = may_link_to(c, inode);
	if (!r)
		r = may_create(c, pl.dir);
	if (!r && (!pl.dir->inode->ops->link || inode_is_dir(inode)))
		r = -EPERM;
	if (!r)
		r = sleeplock_lock_killable(&inode->dir_lock);
	if (!r) {
		/* only what O_TMPFILE made may come back to life */
		if (inode_load(inode->nlink) == 0 &&
			(atomic_load(&old->dentry->flags) & DENTRY_UNLINKED))
			r = -ENOENT;
		else
			r = pl.dir->inode->ops->link(pl.dir->inode, c, &pl.w.last, inode);
		sleeplock_unlock(&inode->dir_lock);
	}
	if (!r) {
		vfs_notify_inode(inode, LX_IN_ATTRIB);
		r = place_fill(&pl, inode_get(inode), LX_IN_CREATE, NULL);
	}
	place_close(&pl);
	return r;
}

int
vfs_link(const struct call *c, const struct path *old_base, const char *old,
	const struct path *new_base, const char *new_path, int flags)
{
	uint32_t lf = (flags & LX_AT_SYMLINK_FOLLOW) ? LOOKUP_FOLLOW : 0;
	struct path p;
	int r;

	if (flags & LX_AT_EMPTY_PATH)
		lf |= LOOKUP_EMPTY;
	r = vfs_lookup(c, old_base, old, lf, &p);
	if (r)
		return r;
	r = link_at(c, &p, new_base, new_path);
	path_put(&p);
	return r;
}
