/* SPDX-License-Identifier: Apache-2.0 */
/* overlay: contents and attributes. */
#include "internal.h"
#include "sentry/fs/stacked.h"
#include <stdlib.h>
#include <string.h>

int
onode_copy_up(struct onode *n, const struct call *c, int64_t size)
{
	struct osuper *o = osuper_of(n->i.sb);
	struct inode_spec spec = {.mode = n->i.mode, .uid = n->i.uid, .gid = n->i.gid};
	struct file *from = NULL, *to = NULL;
	struct call k = *c;
	struct inode *data;
	int r;

	if (atomic_load(&n->data))
		return 0;
	k.rlim = NULL; /* the limit is on what the guest writes, not on what moves */
	r = tmpfs_inode_new(o->upper, &spec, &data);
	if (r)
		return r;
	if (size > n->i.size)
		size = n->i.size;
	if (size) {
		r = file_open_inode(c, n->lower, LX_O_RDONLY, &from);
		if (!r)
			r = file_open_inode(c, data, LX_O_RDWR, &to);
		if (!r)
			r = stacked_copy(from, to, &k, size);
		file_put(from);
		file_put(to);
	}
	if (!r) {
		struct iattr a = {.valid = IATTR_SIZE, .size = size};

		sleeplock_lock(&data->dir_lock);
		r = data->ops->setattr(data, c, &a);
		sleeplock_unlock(&data->dir_lock);
	}
	if (r) {
		inode_put(data);
		return r;
	}
	onode_pin(n);
	atomic_store(&n->data, data);
	return 0;
}

/* The real file to use now: the copy if there is one. */
static int
real_of(struct file *f, const struct call *c, struct file **ret)
{
	struct onode *n = onode_of(f->inode);
	struct stacked_file *of = f->priv;
	struct inode *data = atomic_load(&n->data);
	_Atomic(struct file *) *place = data ? &of->upper : &of->lower;
	struct file *r = atomic_load(place);
	uint32_t flags;
	int err;

	if (r) {
		*ret = r;
		return 0;
	}
	flags = data ? LX_O_RDWR : LX_O_RDONLY;
	err = file_open_inode(c, data ? data : n->lower, flags, &r);
	if (err)
		return err;
	*ret = stacked_keep(place, r);
	return 0;
}

static int
reg_open(struct inode *i, const struct call *c, struct file *f)
{
	struct stacked_file *of = calloc(1, sizeof *of);
	struct file *real;
	int r;

	(void)i;
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
	struct file *real;
	ssize_t r = real_of(f, c, &real);

	if (r)
		return r;
	r = real->ops->read(real, c, u, pos, rwf);
	if (r >= 0)
		inode_accessed(f->inode, f->path.mnt);
	return r;
}

static ssize_t
reg_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct onode *n = onode_of(f->inode);
	uint64_t len = u->left, left = u->left;
	struct file *real;
	ssize_t r;

	sleeplock_lock(&f->inode->dir_lock);
	r = file_write_limit(f, c, pos, &len, rwf, f->inode->size);
	if (!r)
		r = onode_copy_up(n, c, INT64_MAX);
	if (!r)
		r = real_of(f, c, &real);
	if (!r && len) {
		u->left = len;
		r = real->ops->write(real, c, u, pos, rwf & ~(uint32_t)LX_RWF_APPEND);
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
	(void)f, (void)c, (void)data_only;
	return 0; /* the lower file is never written, and memory has nowhere to go */
}

static int
reg_fallocate(struct file *f, const struct call *c, int mode, int64_t off, int64_t len)
{
	struct onode *n = onode_of(f->inode);
	struct file *real;
	int r;

	sleeplock_lock(&f->inode->dir_lock);
	r = onode_copy_up(n, c, INT64_MAX);
	if (!r)
		r = real_of(f, c, &real);
	if (!r)
		r = real->ops->fallocate(real, c, mode, off, len);
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
	struct onode *n = onode_of(f->inode);
	struct file *real;
	int r = 0;

	/* a shared mapping has to see later writes, and to be writable by mprotect if the file is
	 */
	if (shared && !atomic_load(&n->data) && (f->mode & LX_FMODE_WRITE)) {
		sleeplock_lock(&f->inode->dir_lock);
		r = onode_copy_up(n, c, INT64_MAX);
		sleeplock_unlock(&f->inode->dir_lock);
	}
	if (!r)
		r = real_of(f, c, &real);
	if (!r)
		r = stacked_mappable(f, real, c, prot, shared, ret);
	if (!r)
		inode_accessed(f->inode, f->path.mnt);
	return r;
}

const struct file_ops overlay_reg_fops = {
	.read = reg_read,
	.write = reg_write,
	.lseek = reg_lseek,
	.fsync = reg_fsync,
	.fallocate = reg_fallocate,
	.mappable = reg_mappable,
	.release = stacked_release,
};

/* --- attributes --- */

int
overlay_setattr(struct inode *i, const struct call *c, const struct iattr *a)
{
	struct onode *n = onode_of(i);

	if (a->valid & IATTR_SIZE) {
		struct iattr size = {.valid = IATTR_SIZE, .size = a->size};
		struct inode *data;
		int r;

		if (!LX_S_ISREG(inode_mode(i)))
			return -EINVAL;
		r = onode_copy_up(n, c, a->size);
		if (r)
			return r;
		data = atomic_load(&n->data);
		sleeplock_lock(&data->dir_lock);
		r = data->ops->setattr(data, c, &size);
		sleeplock_unlock(&data->dir_lock);
		if (r)
			return r;
	}
	onode_pin(n);
	inode_setattr_apply(i, a);
	return 0;
}

static int
reg_getattr(struct inode *i, const struct call *c, struct lx_stat_all *st)
{
	struct inode *data = atomic_load(&onode_of(i)->data);
	struct lx_stat_all d;

	if (!data)
		return 0;
	inode_stat(data, &d);
	data->ops->getattr(data, c, &d);
	st->blocks = d.blocks;
	return 0;
}

static ssize_t
overlay_readlink(struct inode *i, const struct call *c, char *buf, size_t cap)
{
	struct inode *l = onode_of(i)->lower;

	return l && l->ops->readlink ? l->ops->readlink(l, c, buf, cap) : -EINVAL;
}

const struct inode_ops overlay_reg_iops = {
	.setattr = overlay_setattr,
	.getattr = reg_getattr,
	.open = reg_open,
	.getxattr = overlay_getxattr,
	.setxattr = overlay_setxattr,
	.listxattr = overlay_listxattr,
	.removexattr = overlay_removexattr,
	.free = onode_free,
};

const struct inode_ops overlay_iops = {
	.readlink = overlay_readlink,
	.setattr = overlay_setattr,
	.getxattr = overlay_getxattr,
	.setxattr = overlay_setxattr,
	.listxattr = overlay_listxattr,
	.removexattr = overlay_removexattr,
	.free = onode_free,
};
