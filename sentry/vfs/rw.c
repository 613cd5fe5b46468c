/* SPDX-License-Identifier: Apache-2.0 */
/* What lies between read(2) and a file's own operation, and helpers for those operations (Linux:
 * fs/read_write.c). */
#include "sentry/vfs/rw.h"
#include "abi/poll.h"
#include "internal.h"
#include <string.h>

ssize_t
vfs_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	ssize_t r;

	if (!(f->mode & LX_FMODE_READ))
		return -EBADF;
	if (!f->ops->read)
		return -EINVAL;
	r = vfs_notify_ask(f, LX_FAN_ACCESS_PERM);
	if (r)
		return r;
	r = f->ops->read(f, c, u, pos, rwf);
	if (r > 0 && vfs_watched())
		vfs_notify_file(f, LX_IN_ACCESS);
	return r;
}

ssize_t
vfs_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	ssize_t r;

	if (!(f->mode & LX_FMODE_WRITE))
		return -EBADF;
	if (!f->ops->write)
		return -EINVAL;
	r = u->left ? vfs_strip_privs(c, f) : 0;
	if (r)
		return r;
	r = f->ops->write(f, c, u, pos, rwf);
	if (r > 0 && vfs_watched())
		vfs_notify_file(f, LX_IN_MODIFY);
	return r;
}

ssize_t
vfs_read_kernel(struct file *f, const struct call *c, void *buf, size_t len, int64_t *pos)
{
	struct uio u;

	uio_init_kernel(&u, buf, len);
	return vfs_read(f, c, &u, pos, 0);
}

ssize_t
vfs_write_kernel(struct file *f, const struct call *c, const void *buf, size_t len, int64_t *pos)
{
	struct uio u;

	uio_init_kernel(&u, (void *)(uintptr_t)buf, len); /* only read from */
	return vfs_write(f, c, &u, pos, 0);
}

int64_t
vfs_lseek(struct file *f, const struct call *c, int64_t off, int whence)
{
	if (whence < 0 || whence > LX_SEEK_HOLE)
		return -EINVAL;
	if (!(f->mode & LX_FMODE_LSEEK) || !f->ops->lseek)
		return -ESPIPE;
	return f->ops->lseek(f, c, off, whence);
}

uint32_t
vfs_poll(struct file *f, struct poll_table *pt)
{
	if (!f->ops->poll)
		return LX_POLLIN | LX_POLLOUT | LX_POLLRDNORM | LX_POLLWRNORM;
	return f->ops->poll(f, pt);
}

int
vfs_fsync(struct file *f, const struct call *c, bool data_only)
{
	return f->ops->fsync ? f->ops->fsync(f, c, data_only) : -EINVAL;
}

int
vfs_fallocate(struct file *f, const struct call *c, int mode, int64_t off, int64_t len)
{
	const int known = LX_FALLOC_FL_KEEP_SIZE | LX_FALLOC_FL_PUNCH_HOLE |
			  LX_FALLOC_FL_COLLAPSE_RANGE | LX_FALLOC_FL_ZERO_RANGE |
			  LX_FALLOC_FL_INSERT_RANGE | LX_FALLOC_FL_UNSHARE_RANGE;
	uint32_t fm = inode_mode(f->inode);
	int64_t end;
	int r;

	if (off < 0 || len <= 0)
		return -EINVAL;
	if (mode & ~known)
		return -EOPNOTSUPP;
	/* one kind of operation at a time; punching a hole keeps the size */
	switch (mode & ~LX_FALLOC_FL_KEEP_SIZE) {
	case 0:
	case LX_FALLOC_FL_ZERO_RANGE:
	case LX_FALLOC_FL_UNSHARE_RANGE:
		break;
	case LX_FALLOC_FL_PUNCH_HOLE:
		if (!(mode & LX_FALLOC_FL_KEEP_SIZE))
			return -EOPNOTSUPP;
		break;
	case LX_FALLOC_FL_COLLAPSE_RANGE:
	case LX_FALLOC_FL_INSERT_RANGE:
		if (mode & LX_FALLOC_FL_KEEP_SIZE)
			return -EOPNOTSUPP;
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (!(f->mode & LX_FMODE_WRITE))
		return -EBADF;
	if ((file_flags(f) & LX_O_APPEND) && mode && mode != LX_FALLOC_FL_KEEP_SIZE)
		return -EPERM;
	if (LX_S_ISFIFO(fm))
		return -ESPIPE;
	if (LX_S_ISDIR(fm))
		return -EISDIR;
	if (!LX_S_ISREG(fm) && !LX_S_ISBLK(fm))
		return -ENODEV;
	if (__builtin_add_overflow(off, len, &end) || end > f->inode->sb->max_bytes)
		return -EFBIG;
	if (!f->ops->fallocate)
		return -EOPNOTSUPP;
	r = vfs_strip_privs(c, f);
	if (!r)
		r = f->ops->fallocate(f, c, mode, off, len);
	if (!r)
		vfs_notify_file(f, LX_IN_MODIFY);
	return r;
}

int
vfs_iterate(struct file *f, const struct call *c, struct dir_emit *e)
{
	struct inode *i = f->inode;
	int r;

	if (!f->ops->iterate)
		return -ENOTDIR;
	r = vfs_notify_ask(f, LX_FAN_ACCESS_PERM);
	if (r)
		return r;
	r = sleeplock_lock_killable(&f->pos_sleep);
	if (r)
		return r;
	r = sleeplock_lock_killable(&i->dir_lock);
	if (r) {
		sleeplock_unlock(&f->pos_sleep);
		return r;
	}
	if (atomic_load(&f->path.dentry->flags) & DENTRY_DEAD)
		r = -ENOENT;
	else
		r = f->ops->iterate(f, c, e);
	sleeplock_unlock(&i->dir_lock);
	sleeplock_unlock(&f->pos_sleep);
	if (!r) {
		inode_accessed(i, f->path.mnt);
		vfs_notify_file(f, LX_IN_ACCESS);
	}
	return r;
}

/* --- for operations --- */

int64_t
file_lseek_sized(struct file *f, int64_t off, int whence, int64_t size, int64_t max)
{
	int64_t pos;

	switch (whence) {
	case LX_SEEK_SET:
		pos = off;
		break;
	case LX_SEEK_CUR:
		if (__builtin_add_overflow(f->pos, off, &pos))
			return -EOVERFLOW;
		break;
	case LX_SEEK_END:
		if (__builtin_add_overflow(size, off, &pos))
			return -EOVERFLOW;
		break;
	case LX_SEEK_DATA:
		if (off < 0 || off >= size)
			return -ENXIO;
		pos = off;
		break;
	case LX_SEEK_HOLE:
		if (off < 0 || off >= size)
			return -ENXIO;
		pos = size;
		break;
	default:
		return -EINVAL;
	}
	if (pos < 0 || pos > max)
		return -EINVAL;
	f->pos = pos;
	return pos;
}

int64_t
file_lseek_regular(struct file *f, const struct call *c, int64_t off, int whence)
{
	(void)c;
	return file_lseek_sized(
		f, off, whence, inode_load(f->inode->size), f->inode->sb->max_bytes);
}

int64_t
file_lseek_dir(struct file *f, const struct call *c, int64_t off, int whence)
{
	(void)c;
	if (whence == LX_SEEK_CUR)
		off += f->pos;
	else if (whence != LX_SEEK_SET)
		return -EINVAL;
	if (off < 0)
		return -EINVAL;
	f->pos = off;
	return off;
}

int64_t
file_lseek_noop(struct file *f, const struct call *c, int64_t off, int whence)
{
	(void)c, (void)off, (void)whence;
	return f->pos;
}

ssize_t
file_read_dir(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	(void)f, (void)c, (void)u, (void)pos, (void)rwf;
	return -EISDIR;
}

int
file_write_limit(struct file *f, const struct call *c, int64_t *pos, uint64_t *len, uint32_t rwf,
	int64_t size)
{
	uint64_t limit = c && c->rlim ? rlimit_cur(c->rlim, LX_RLIMIT_FSIZE) : LX_RLIM_INFINITY;
	uint64_t max = (uint64_t)f->inode->sb->max_bytes;

	if (!*len)
		return 0;
	if (((file_flags(f) & LX_O_APPEND) && !(rwf & LX_RWF_NOAPPEND)) || (rwf & LX_RWF_APPEND))
		*pos = size;
	if (*pos < 0)
		return -EINVAL;
	if (limit > max)
		limit = max;
	if ((uint64_t)*pos >= limit)
		return -EFBIG;
	if (*len > limit - (uint64_t)*pos)
		*len = limit - (uint64_t)*pos;
	return 0;
}

int
file_allocate_limit(const struct call *c, int mode, int64_t off, int64_t len, int64_t size)
{
	uint64_t limit = c && c->rlim ? rlimit_cur(c->rlim, LX_RLIMIT_FSIZE) : LX_RLIM_INFINITY;
	int64_t end = off + len; /* vfs_fallocate has looked at that */

	if (mode & (LX_FALLOC_FL_KEEP_SIZE | LX_FALLOC_FL_COLLAPSE_RANGE))
		return 0;
	if ((mode & LX_FALLOC_FL_INSERT_RANGE) && __builtin_add_overflow(size, len, &end))
		return -EFBIG;
	return end > size && (uint64_t)end > limit ? -EFBIG : 0;
}

bool
file_emit_dots(struct file *f, struct dir_emit *e)
{
	struct dentry *d = f->path.dentry;
	uint64_t up = d->inode->ino;
	struct dentry *p;

	if (f->pos == 0) {
		if (!e->fn(e, ".", 1, d->inode->ino, 4, 1))
			return false;
		f->pos = 1;
	}
	if (f->pos == 1) {
		dentry_parent_get(d, &p);
		if (p->inode)
			up = p->inode->ino;
		dentry_put(p);
		if (!e->fn(e, "..", 2, up, 4, 2))
			return false;
		f->pos = 2;
	}
	return true;
}
