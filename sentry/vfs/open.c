/* SPDX-License-Identifier: Apache-2.0 */
/* open(2): from a walk to an open file (Linux: path_openat, may_open, do_dentry_open). */
#include "internal.h"
#include "sentry/sysctl/sysctl.h"
#include "sentry/vfs/lock.h"
#include "sentry/vfs/rw.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Status flags that stay with the open file. */
#define KEEP_FLAGS                                                                                 \
	(LX_O_ACCMODE | LX_O_APPEND | LX_O_NONBLOCK | LX_O_DSYNC | LX_O_ASYNC | LX_O_DIRECT |      \
		LX_O_LARGEFILE | LX_O_DIRECTORY | LX_O_NOFOLLOW | LX_O_NOATIME | LX___O_SYNC |     \
		LX_O_PATH | LX___O_TMPFILE)

static const struct file_ops path_fops;

static int
acc_mask(uint32_t flags)
{
	/* access mode 3 asks for both, and gives neither */
	static const int mask[4] = {LX_R_OK, LX_W_OK, LX_R_OK | LX_W_OK, LX_R_OK | LX_W_OK};
	int m = mask[flags & LX_O_ACCMODE];

	if (flags & LX_O_TRUNC)
		m |= LX_W_OK;
	return m;
}

/* Rights and kinds. acc: 0 for a file that this open has made. */
static int
may_open(const struct call *c, const struct path *p, const struct open_spec *how, int acc)
{
	struct inode *i = p->dentry->inode;
	uint32_t mode = inode_mode(i), mf = atomic_load(&p->mnt->flags);
	int r;

	switch (mode & LX_S_IFMT) {
	case LX_S_IFLNK:
		return -ELOOP;
	case LX_S_IFDIR:
		if (acc & LX_W_OK)
			return -EISDIR;
		if (how->exec)
			return -EACCES;
		break;
	case LX_S_IFBLK:
	case LX_S_IFCHR:
		if ((mf & MNT_NODEV) || (atomic_load(&p->mnt->sb->flags) & SUPER_NODEV))
			return -EACCES;
		/* fallthrough */
	case LX_S_IFIFO:
	case LX_S_IFSOCK:
		if (how->exec)
			return -EACCES;
		break;
	case LX_S_IFREG:
		if (how->exec &&
			((mf & MNT_NOEXEC) || (atomic_load(&p->mnt->sb->flags) & SUPER_NOEXEC)))
			return -EACCES;
		break;
	}
	if (how->exec)
		acc = LX_X_OK;
	r = acc ? inode_permission(i, c, acc) : 0;
	if (r)
		return r;
	if ((how->flags & LX_O_NOATIME) && !inode_owner_or_capable(i, c))
		return -EPERM;
	return 0;
}

static int
writecount_get(struct inode *i)
{
	int32_t n = atomic_load(&i->writecount);

	do {
		if (n < 0)
			return -ETXTBSY;
	} while (!atomic_compare_exchange_weak(&i->writecount, &n, n + 1));
	return 0;
}

static int
writecount_deny(struct inode *i)
{
	int32_t n = atomic_load(&i->writecount);

	do {
		if (n > 0)
			return -ETXTBSY;
	} while (!atomic_compare_exchange_weak(&i->writecount, &n, n - 1));
	return 0;
}

static int
open_special(struct file *f, const struct call *c, uint32_t mode)
{
	struct vfs_dev *dev;

	switch (mode & LX_S_IFMT) {
	case LX_S_IFIFO:
		return vfs_fifo_open ? vfs_fifo_open(f, c) : -ENXIO;
	case LX_S_IFCHR:
	case LX_S_IFBLK:
		dev = vfs_dev_find(mode & LX_S_IFMT, f->inode->rdev);
		return dev ? dev->open(f, c) : -ENXIO;
	default:
		return -ENXIO;
	}
}

/* Make the open file of p; rights have been checked. */
static int
open_file(
	const struct call *c, const struct path *p, const struct open_spec *how, struct file **ret)
{
	struct inode *i = p->dentry->inode;
	uint32_t mode = inode_mode(i);
	bool plain = LX_S_ISREG(mode) || LX_S_ISDIR(mode) || LX_S_ISLNK(mode);
	struct file *f;
	int r = 0;

	if (LX_S_ISSOCK(mode))
		return -ENXIO;
	r = file_alloc(c, p, how->flags & (KEEP_FLAGS | LX_O_NOCTTY), &f);
	if (r)
		return r;
	f->mode = LX_FMODE_LSEEK | LX_FMODE_PREAD;
	switch (how->flags & LX_O_ACCMODE) {
	case LX_O_RDONLY:
		f->mode |= LX_FMODE_READ;
		break;
	case LX_O_WRONLY:
		f->mode |= LX_FMODE_WRITE;
		break;
	case LX_O_RDWR:
		f->mode |= LX_FMODE_READ | LX_FMODE_WRITE;
		break;
	}
	if (how->exec)
		f->mode |= LX_FMODE_EXEC;
	if ((f->mode & LX_FMODE_WRITE) && plain) {
		r = mnt_want_write(p->mnt);
		if (!r)
			r = writecount_get(i);
		if (!r) {
			f->mode |= LX_FMODE_WRITER;
			atomic_fetch_add(&p->mnt->writers, 1);
		}
	}
	if (!(f->mode & LX_FMODE_WRITE) && (f->mode & LX_FMODE_READ) && plain) {
		f->mode |= LX_FMODE_READER;
		atomic_fetch_add(&i->readcount, 1);
	}
	if (!r && how->exec) {
		r = writecount_deny(i);
		if (!r)
			f->mode |= LX_FMODE_DENYWRITE;
	}
	if (how->quiet)
		f->mode |= LX_FMODE_NONOTIFY;
	if (!r && how->exec)
		r = vfs_notify_ask(f, LX_FAN_OPEN_EXEC_PERM);
	if (!r)
		r = vfs_notify_ask(f, LX_FAN_OPEN_PERM);
	if (!r && atomic_load(&i->locks))
		r = file_lease_break(i, c, how->flags);
	if (!r && !plain && !(i->flags & INODE_OPENS))
		r = open_special(f, c, mode);
	else if (!r && i->ops->open)
		r = i->ops->open(i, c, f);
	if (!r && !f->ops)
		r = -ENXIO;
	/* only the terminal's open asks */
	atomic_fetch_and(&f->flags, ~(uint32_t)LX_O_NOCTTY);
	if (!r) {
		f->mode |= LX_FMODE_OPENED;
		if (!f->ops->lseek)
			f->mode &= ~LX_FMODE_LSEEK;
		if (!f->ops->lseek && (f->ops->read || f->ops->write))
			f->mode &= ~LX_FMODE_PREAD;
		if (!f->ops->lseek && !f->ops->iterate)
			f->mode |= LX_FMODE_STREAM;
	}
	if (r) {
		file_put(f);
		return r;
	}
	*ret = f;
	return 0;
}

static int
open_checked(const struct call *c, const struct path *p, const struct open_spec *how, bool created,
	struct file **ret)
{
	struct inode *i = p->dentry->inode;
	uint32_t mode = inode_mode(i);
	bool trunc = (how->flags & LX_O_TRUNC) && LX_S_ISREG(mode) && !created;
	struct open_spec h = *how;
	int r;

	if ((how->flags & LX_O_DIRECTORY) && !LX_S_ISDIR(mode) && !(how->flags & LX___O_TMPFILE))
		return -ENOTDIR;
	if (!LX_S_ISREG(mode))
		h.flags &= ~(uint32_t)LX_O_TRUNC;
	if (trunc && (r = mnt_want_write(p->mnt)))
		return r;
	r = may_open(c, p, &h, created ? 0 : acc_mask(how->flags));
	if (!r)
		r = open_file(c, p, &h, ret);
	if (r)
		return r;
	if (created)
		(*ret)->mode |= LX_FMODE_CREATED;
	vfs_notify_file(*ret, LX_IN_OPEN | (how->exec ? LX_FAN_OPEN_EXEC : 0u));
	if (trunc) {
		r = vfs_ftruncate_open(c, *ret);
		if (r)
			file_put(*ret);
	}
	return r;
}

int
vfs_open_path(
	const struct call *c, const struct path *p, const struct open_spec *how, struct file **ret)
{
	struct file *f;
	int r;

	if (!(how->flags & LX_O_PATH))
		return open_checked(c, p, how, false, ret);
	if ((how->flags & LX_O_DIRECTORY) && !inode_is_dir(p->dentry->inode))
		return -ENOTDIR;
	r = file_alloc(c, p, how->flags & (LX_O_PATH | LX_O_DIRECTORY | LX_O_NOFOLLOW), &f);
	if (r)
		return r;
	f->mode = LX_FMODE_PATH;
	f->ops = &path_fops;
	*ret = f;
	return 0;
}

int
vfs_open_quiet(const struct call *c, const struct path *p, uint32_t flags, struct file **ret)
{
	const struct open_spec how = {.flags = flags, .quiet = true};

	return open_file(c, p, &how, ret);
}

int
vfs_open_detached(const struct call *c, struct mount *m, struct file **ret)
{
	struct path p = {m, m->root};
	const struct open_spec how = {.flags = LX_O_PATH};
	int r = vfs_open_path(c, &p, &how, ret);

	if (r)
		mnt_dissolve(m);
	else
		(*ret)->mode |= LX_FMODE_UNMOUNT;
	return r;
}

static int
open_tmpfile(const struct call *c, const struct path *base, const char *path,
	const struct open_spec *how, struct file **ret)
{
	uint32_t lf =
		how->lookup | LOOKUP_DIRECTORY | (how->flags & LX_O_NOFOLLOW ? 0 : LOOKUP_FOLLOW);
	struct inode_spec spec;
	struct acl_pair acl = {0};
	struct inode *inode, *dir;
	struct path p;
	struct dentry *d;
	char text[24];
	struct name n = {text, 0, 0};
	int r = vfs_lookup(c, base, path, lf, &p);

	if (r)
		return r;
	dir = p.dentry->inode;
	r = mnt_want_write(p.mnt);
	if (!r)
		r = inode_permission(dir, c, LX_W_OK | LX_X_OK);
	if (!r && !dir->ops->tmpfile)
		r = -EOPNOTSUPP;
	if (!r)
		r = spec_init(c, dir, LX_S_IFREG | (how->mode & LX_S_IALLUGO), &spec, &acl);
	if (!r)
		r = sleeplock_lock_killable(&dir->dir_lock);
	if (!r) {
		r = dir->ops->tmpfile(dir, c, &spec, &inode);
		sleeplock_unlock(&dir->dir_lock);
	}
	if (!r)
		acl_new_apply(inode, c, &acl);
	acl_pair_free(&acl);
	if (!r) {
		snprintf(text, sizeof text, "#%lu", (unsigned long)inode->ino);
		n.len = (uint32_t)strlen(text);
		d = dentry_new_loose(p.dentry->sb, p.dentry, &n, inode);
		if (!d) {
			inode_put(inode);
			r = -ENOMEM;
		} else {
			struct path np = {p.mnt, d};

			r = open_checked(c, &np, how, true, ret);
			dentry_put(d);
			/* linkat(2) may give it a name, unless O_EXCL forbids */
			if (!r && (how->flags & LX_O_EXCL))
				atomic_fetch_or(&d->flags, DENTRY_UNLINKED);
		}
	}
	path_put(&p);
	return r;
}

/* The last component of an open with O_CREAT, in a directory that w stands at. 1: *ret is positive
 * and to be opened; 2: it was made here; d is a reference. */
static int
find_or_create(
	const struct call *c, struct walk *w, const struct open_spec *how, struct dentry **ret)
{
	struct dentry *dir = w->path.dentry, *d;
	struct inode_spec spec;
	struct acl_pair acl = {0};
	struct inode *inode;
	int r;

	/* what is there already needs no lock */
	if (!(atomic_load(&dir->sb->flags) & SUPER_SHARED) && w->last.len <= LX_NAME_MAX) {
		d = dentry_find(dir, &w->last);
		if (d && d->inode) {
			*ret = d;
			return 1;
		}
		dentry_put(d);
	}
	r = sleeplock_lock_killable(&dir->inode->dir_lock);
	if (r)
		return r;
	r = (atomic_load(&dir->flags) & DENTRY_DEAD) ? -ENOENT
						     : lookup_one_locked(c, dir, &w->last, &d);
	if (r)
		goto out;
	if (d->inode) {
		*ret = d;
		r = 1;
		goto out;
	}
	r = mnt_want_write(w->path.mnt);
	if (!r)
		r = may_create(c, dir);
	if (!r && !dir->inode->ops->create)
		r = -EACCES;
	if (!r)
		r = spec_init(c, dir->inode, LX_S_IFREG | (how->mode & LX_S_IALLUGO), &spec, &acl);
	if (!r) {
		spec.open_flags = how->flags;
		r = dir->inode->ops->create(dir->inode, c, &w->last, &spec, &inode);
	}
	if (!r)
		acl_new_apply(inode, c, &acl);
	acl_pair_free(&acl);
	if (!r || r == -EEXIST) {
		/* the negative entry makes room; somebody else's file is looked up anew */
		dentry_drop(d);
		dentry_put(d);
		d = NULL;
		if (r == -EEXIST) {
			r = lookup_one_locked(c, dir, &w->last, ret);
			if (!r && !(*ret)->inode) {
				dentry_put(*ret);
				r = -ENOENT;
			}
			r = r ? r : 1;
		} else {
			*ret = dentry_replace(dir, &w->last, inode);
			atomic_fetch_add(&dir->sb->changes, 1);
			vfs_notify_entry(
				dir->inode, *ret ? (*ret)->inode : NULL, LX_IN_CREATE, 0, &w->last);
			r = *ret ? 2 : -ENOMEM;
		}
	} else {
		dentry_put(d);
	}
out:
	sleeplock_unlock(&dir->inode->dir_lock);
	return r;
}

/* Linux's protected_regular and protected_fifos: in a sticky directory that others may write,
 * O_CREAT opens only one's own files and those of the directory's owner. */
static int
may_open_in_sticky(const struct call *c, const struct inode *dir, const struct inode *i)
{
	uint32_t mode = inode_mode(dir), uid = inode_load(i->uid), what = inode_mode(i);
	int64_t level = LX_S_ISREG(what)    ? sysctl_get(SYSCTL_PROTECTED_REGULAR)
			: LX_S_ISFIFO(what) ? sysctl_get(SYSCTL_PROTECTED_FIFOS)
					    : 2;

	if (!(mode & LX_S_ISVTX) || level == 0 || uid == inode_load(dir->uid) ||
		uid == c->cred->fsuid)
		return 0;
	if (mode & 0002u)
		return -EACCES;
	return (mode & 0020u) && level == 2 && (LX_S_ISREG(what) || LX_S_ISFIFO(what)) ? -EACCES
										       : 0;
}

static int
open_create(struct walk *w, const struct open_spec *how, struct file **ret)
{
	const struct call *c = w->c;

	for (;;) {
		struct dentry *d = NULL;
		struct path p;
		bool jumped, created;
		int r = walk_run(w);

		if (r)
			return r;
		if (w->last_type != LAST_NORM) {
			/* "/", ".", "..", or the end of a magic link */
			if (w->jumped)
				return open_checked(c, &w->path, how, false, ret);
			return -EISDIR;
		}
		if (w->slash)
			return -EISDIR;
		if (w->last.len > LX_NAME_MAX)
			return -ENAMETOOLONG;
		if (w->flags & LOOKUP_CACHED)
			return -EAGAIN;
		r = find_or_create(c, w, how, &d);
		if (r < 0)
			return r;
		created = r == 2;
		if (!created && (how->flags & LX_O_EXCL)) {
			dentry_put(d);
			return -EEXIST;
		}
		if (LX_S_ISLNK(inode_mode(d->inode))) {
			if (how->flags & LX_O_NOFOLLOW) {
				dentry_put(d);
				return -ELOOP;
			}
			w->p = "";
			r = walk_follow(w, d, true, &jumped);
			dentry_put(d);
			if (r)
				return r;
			continue;
		}
		p.mnt = mount_get(w->path.mnt);
		p.dentry = d;
		mnt_follow_down(&p);
		if ((w->flags & LOOKUP_NO_XDEV) && p.mnt != w->path.mnt)
			r = -EXDEV;
		else if (inode_is_dir(p.dentry->inode))
			r = -EISDIR;
		else
			r = created ? 0
				    : may_open_in_sticky(c, w->path.dentry->inode, p.dentry->inode);
		if (!r)
			r = open_checked(c, &p, how, created, ret);
		path_put(&p);
		return r;
	}
}

int
vfs_open(const struct call *c, const struct path *base, const char *path,
	const struct open_spec *how, struct file **ret)
{
	uint32_t lf = how->lookup;
	struct walk w;
	struct path p;
	int r;

	if ((how->flags & LX___O_TMPFILE) && !(how->flags & LX_O_PATH))
		return open_tmpfile(c, base, path, how, ret);
	if ((how->flags & LX_O_CREAT) && !(how->flags & LX_O_PATH)) {
		r = walk_init(&w, c, base, path, lf | LOOKUP_PARENT);
		if (!r)
			r = open_create(&w, how, ret);
		walk_fini(&w);
		return r;
	}
	if (!(how->flags & LX_O_NOFOLLOW))
		lf |= LOOKUP_FOLLOW;
	if (how->flags & LX_O_DIRECTORY)
		lf |= LOOKUP_DIRECTORY;
	r = vfs_lookup(c, base, path, lf, &p);
	if (r)
		return r;
	r = vfs_open_path(c, &p, how, ret);
	path_put(&p);
	return r;
}

int
vfs_open_exec(const struct call *c, const struct path *base, const char *path,
	uint32_t lookup_flags, struct file **ret)
{
	struct open_spec how = {.flags = LX_O_RDONLY | LX_O_LARGEFILE, .exec = true};
	struct path p;
	int r = vfs_lookup(c, base, path, lookup_flags, &p);

	if (r)
		return r;
	r = LX_S_ISREG(inode_mode(p.dentry->inode)) || LX_S_ISLNK(inode_mode(p.dentry->inode))
		    ? open_checked(c, &p, &how, false, ret)
		    : -EACCES;
	path_put(&p);
	return r;
}
