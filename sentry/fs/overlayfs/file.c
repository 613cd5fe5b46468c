/* SPDX-License-Identifier: Apache-2.0 */
/* overlayfs: contents. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

static int
open_real(struct file *f, const struct call *c, const struct path *p, bool upper, struct file **ret)
{
	struct call k = ovl_call(ovl_super_of(f->inode->sb), c);
	uint32_t flags = LX_O_LARGEFILE | (file_flags(f) & (LX_O_DIRECT | LX_O_DSYNC | LX_O_SYNC));
	int mask = LX_R_OK, r;

	if (upper && (f->mode & LX_FMODE_WRITE)) {
		flags |= LX_O_RDWR;
		mask = LX_W_OK;
	}
	r = inode_permission(p->dentry->inode, &k, mask);
	return r ? r : vfs_open_quiet(&k, p, flags, ret);
}

/* The real file to use now: the copy if there is one. */
static int
real_of(struct file *f, const struct call *c, struct file **ret)
{
	const struct path p = ovl_real(ovl_node_of(f->inode));
	struct stacked_file *of = f->priv;
	bool upper = atomic_load(&ovl_node_of(f->inode)->upper) == p.dentry;
	_Atomic(struct file *) *place = upper ? &of->upper : &of->lower;
	struct file *r = atomic_load(place);
	int err;

	if (r) {
		*ret = r;
		return 0;
	}
	err = open_real(f, c, &p, upper, &r);
	if (err)
		return err;
	*ret = stacked_keep(place, r);
	return 0;
}

static int
reg_open(struct inode *i, const struct call *c, struct file *f)
{
	struct stacked_file *of;
	struct file *real;
	int r = 0;

	if ((f->mode & LX_FMODE_WRITE) || (file_flags(f) & LX_O_TRUNC)) {
		r = sleeplock_lock_killable(&i->dir_lock);
		if (r)
			return r;
		r = ovl_copy_up(ovl_node_of(i), c, file_flags(f) & LX_O_TRUNC ? 0 : INT64_MAX);
		sleeplock_unlock(&i->dir_lock);
		if (r)
			return r;
	}
	of = calloc(1, sizeof *of);
	if (!of)
		return -ENOMEM;
	f->priv = of;
	/* now rather than at the first read: opening is where errors belong */
	r = real_of(f, c, &real);
	if (r) {
		free(of);
		f->priv = NULL;
	} else {
		f->mode |= real->mode & LX_FMODE_HOST; /* no more so once it is copied up */
	}
	return r;
}

static ssize_t
reg_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct call k = ovl_call(ovl_super_of(f->inode->sb), c);
	struct file *real;
	ssize_t r = real_of(f, c, &real);

	return r ? r : real->ops->read(real, &k, u, pos, rwf);
}

static ssize_t
reg_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct call k = ovl_call(ovl_super_of(f->inode->sb), c);
	uint64_t len = u->left, left = u->left;
	struct file *real;
	ssize_t r = sleeplock_lock_killable(&f->inode->dir_lock);

	if (r)
		return r;
	r = file_write_limit(f, c, pos, &len, rwf, f->inode->size);
	if (!r)
		r = real_of(f, c, &real);
	if (!r && len) {
		u->left = len;
		r = real->ops->write(real, &k, u, pos, rwf & ~(uint32_t)LX_RWF_APPEND);
		u->left = left - (r > 0 ? (uint64_t)r : 0);
		if (r > 0) {
			stacked_sync_size(f->inode, real->inode);
			inode_touch(f->inode, INODE_T_MTIME | INODE_T_CTIME);
		}
	}
	sleeplock_unlock(&f->inode->dir_lock);
	return r;
}

static int64_t
reg_lseek(struct file *f, const struct call *c, int64_t off, int whence)
{
	struct file *real;
	int64_t r;

	if (whence != LX_SEEK_DATA && whence != LX_SEEK_HOLE)
		return file_lseek_regular(f, c, off, whence);
	r = real_of(f, c, &real);
	if (!r)
		r = real->ops->lseek(real, c, off, whence);
	if (r >= 0)
		f->pos = r;
	return r;
}

static int
reg_fsync(struct file *f, const struct call *c, bool data_only)
{
	struct ovl_super *o = ovl_super_of(f->inode->sb);
	struct call k = ovl_call(o, c);
	struct file *real;
	int r;

	/* a lower file is never written */
	if (o->is_volatile || !atomic_load(&ovl_node_of(f->inode)->upper))
		return 0;
	r = real_of(f, c, &real);
	return r ? r : vfs_fsync(real, &k, data_only);
}

static int
reg_fallocate(struct file *f, const struct call *c, int mode, int64_t off, int64_t len)
{
	struct call k = ovl_call(ovl_super_of(f->inode->sb), c);
	struct file *real;
	int r = sleeplock_lock_killable(&f->inode->dir_lock);

	if (r)
		return r;
	r = real_of(f, c, &real);
	if (!r)
		r = real->ops->fallocate ? real->ops->fallocate(real, &k, mode, off, len)
					 : -EOPNOTSUPP;
	if (!r) {
		stacked_sync_size(f->inode, real->inode);
		inode_touch(f->inode, INODE_T_MTIME | INODE_T_CTIME);
	}
	sleeplock_unlock(&f->inode->dir_lock);
	return r;
}

static int
reg_mappable(struct file *f, const struct call *c, int prot, bool shared, struct mappable **ret)
{
	struct file *real;
	int r = real_of(f, c, &real);

	return r ? r : stacked_mappable(f, real, c, prot, shared, ret);
}

const struct file_ops ovl_reg_fops = {
	.read = reg_read,
	.write = reg_write,
	.lseek = reg_lseek,
	.fsync = reg_fsync,
	.fallocate = reg_fallocate,
	.mappable = reg_mappable,
	.release = stacked_release,
};

const struct inode_ops ovl_reg_iops = {
	.open = reg_open,
	OVL_ATTR_OPS,
};
