/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files. Nothing is kept of what is read: each read(2) asks the server, and each write(2) is
 * with it when it returns. Linux counterpart: fs/fuse/file.c.
 */
#include "internal.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <stdlib.h>
#include <string.h>

static const struct file_ops stream_fops;

struct fuse_file *
fuse_file_new(struct fuse_id *id, uint32_t flags, bool dir)
{
	struct fuse_file *ff = calloc(1, sizeof *ff);

	if (!ff)
		return NULL;
	ff->release = fuse_req_new(
		dir ? LX_FUSE_RELEASEDIR : LX_FUSE_RELEASE, id, sizeof(struct lx_fuse_release_in));
	if (!ff->release) {
		free(ff);
		return NULL;
	}
	ff->id = fuse_id_get(id);
	ff->flags = flags;
	sleeplock_init(&ff->copying);
	return ff;
}

void
fuse_file_free(struct fuse_file *ff)
{
	fuse_copy_put(ff->copy);
	fuse_req_put(ff->release);
	fuse_id_put(ff->id);
	free(ff);
}

void
fuse_file_close(struct fuse_conn *conn, struct fuse_file *ff)
{
	struct lx_fuse_release_in *in;

	if (ff->release) {
		in = (struct lx_fuse_release_in *)ff->release->in;
		in->fh = ff->fh;
		in->flags = ff->flags;
		fuse_send(conn, ff->release);
		ff->release = NULL;
	}
	fuse_file_free(ff);
}

/* What this task has just created is open already. */
static struct fuse_file *
take_created(struct fnode *n, const struct call *c, uint32_t flags)
{
	struct fuse_file *ff = NULL;

	if (!__atomic_load_n(&n->created, __ATOMIC_ACQUIRE))
		return NULL;
	mutex_lock(&n->i.lock);
	if (n->created && n->created_by == c->tid &&
		!((n->created->flags ^ flags) & LX_O_ACCMODE)) {
		ff = n->created;
		n->created = NULL;
	}
	mutex_unlock(&n->i.lock);
	return ff;
}

static int
ask_open(struct inode *i, const struct call *c, struct fuse_file *ff, bool dir)
{
	struct fuse_conn *conn = fconn_of(i);
	_Atomic bool *no = dir ? &conn->no_opendir : &conn->no_open;
	struct lx_fuse_open_out out = {0};
	struct fuse_req *r;
	int err = -ENOSYS;

	if (!*no) {
		r = fuse_req_new(dir ? LX_FUSE_OPENDIR : LX_FUSE_OPEN, ff->id,
			sizeof(struct lx_fuse_open_in));
		if (!r)
			return -ENOMEM;
		((struct lx_fuse_open_in *)r->in)->flags = ff->flags;
		err = fuse_call(conn, c, r, sizeof out, sizeof out);
		if (!err)
			memcpy(&out, r->out, sizeof out);
		fuse_req_put(r);
	}
	if (err == -ENOSYS) {
		/* it has no such thing as an open file, and none to be closed */
		*no = true;
		fuse_req_put(ff->release);
		ff->release = NULL;
		err = 0;
	}
	ff->fh = out.fh;
	ff->open_flags = out.open_flags;
	return err;
}

int
fuse_open(struct inode *i, const struct call *c, struct file *f)
{
	struct fnode *n = fnode_of(i);
	bool dir = inode_is_dir(i);
	uint32_t flags = file_flags(f) & ~(uint32_t)(LX_O_CREAT | LX_O_EXCL | LX_O_NOCTTY);
	struct fuse_file *ff;
	int r = fnode_check(i);

	if (r)
		return r;
	ff = take_created(n, c, flags);
	if (!ff) {
		ff = fuse_file_new(n->id, flags, dir);
		if (!ff)
			return -ENOMEM;
		r = ask_open(i, c, ff, dir);
		if (r) {
			fuse_file_free(ff);
			return r;
		}
	}
	f->priv = ff;
	if (!dir && (ff->open_flags & (LX_FOPEN_NONSEEKABLE | LX_FOPEN_STREAM)))
		f->ops = &stream_fops;
	return 0;
}

void
fuse_release(struct file *f)
{
	fuse_file_close(fconn_of(f->inode), f->priv);
	f->priv = NULL;
}

/* A process that ends tells the server, and does not wait. */
static int
fuse_flush(struct file *f, const struct call *c)
{
	struct fuse_conn *conn = fconn_of(f->inode);
	struct fuse_file *ff = f->priv;
	struct lx_fuse_flush_in *in;
	struct fuse_req *r;
	int err = fnode_check(f->inode);

	if (err || conn->no_flush)
		return err;
	r = fuse_req_new(LX_FUSE_FLUSH, ff->id, sizeof *in);
	if (!r)
		return -ENOMEM;
	r->forced = true;
	in = (struct lx_fuse_flush_in *)r->in;
	in->fh = ff->fh;
	in->lock_owner = c->files_id;
	err = fuse_call(conn, c, r, 0, 0);
	fuse_req_put(r);
	if (err == -ENOSYS) {
		conn->no_flush = true;
		err = 0;
	}
	return err;
}

/* --- data --- */

ssize_t
fuse_read_at(struct file *f, const struct call *c, int64_t pos, uint32_t len, struct fuse_req **ret)
{
	struct fuse_file *ff = f->priv;
	struct fuse_req *r = fuse_req_new(LX_FUSE_READ, ff->id, sizeof(struct lx_fuse_read_in));
	struct lx_fuse_read_in *in;
	int err;

	if (!r)
		return -ENOMEM;
	in = (struct lx_fuse_read_in *)r->in;
	in->fh = ff->fh;
	in->offset = (uint64_t)pos;
	in->size = len;
	in->flags = file_flags(f);
	err = fuse_call(fconn_of(f->inode), c, r, 0, len);
	if (err) {
		fuse_req_put(r);
		return err;
	}
	*ret = r;
	return (ssize_t)r->out_len;
}

static bool
is_direct(const struct file *f)
{
	return (((struct fuse_file *)f->priv)->open_flags & LX_FOPEN_DIRECT_IO) ||
	       (file_flags(f) & LX_O_DIRECT);
}

static ssize_t
read_from(struct file *f, const struct call *c, struct uio *u, int64_t *pos)
{
	struct inode *i = f->inode;
	uint32_t most = fconn_of(i)->max_read;
	bool direct = is_direct(f);
	ssize_t done = 0, n;
	int64_t end;

	/* The file has its size, unless the server wants to be asked. */
	if (!direct &&
		(__builtin_add_overflow(*pos, (int64_t)u->left, &end) ||
			end > inode_load(i->size)) &&
		!fnode_attr_fresh(fnode_of(i))) {
		n = fuse_getattr(i, c, f->priv);
		if (n)
			return n;
	}
	while (u->left) {
		uint64_t want = u->left < most ? u->left : most;
		struct fuse_req *r;
		size_t got;

		if (!direct) {
			int64_t size = inode_load(i->size);

			if (*pos >= size)
				break;
			if (want > (uint64_t)(size - *pos))
				want = (uint64_t)(size - *pos);
		}
		if (*pos > INT64_MAX - (int64_t)want)
			break;
		n = fuse_read_at(f, c, *pos, (uint32_t)want, &r);
		if (n < 0)
			return done ? done : n;
		got = (size_t)n;
		n = got ? uio_copy_to(u, r->out, got) : 0;
		fuse_req_put(r);
		if (n < 0)
			return done ? done : n;
		*pos += n;
		done += n;
		if ((size_t)n < want)
			break;
	}
	return done;
}

static ssize_t
fuse_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	(void)rwf;
	return fnode_check(f->inode) ? -EIO : read_from(f, c, u, pos);
}

/* One WRITE: what the server took of it. */
static ssize_t
write_piece(struct file *f, const struct call *c, struct uio *u, int64_t pos, uint32_t len)
{
	struct fuse_file *ff = f->priv;
	struct lx_fuse_write_in *in;
	struct fuse_req *r = fuse_req_new(LX_FUSE_WRITE, ff->id, sizeof *in + len);
	ssize_t n, took;

	if (!r)
		return -ENOMEM;
	in = (struct lx_fuse_write_in *)r->in;
	n = uio_copy_from(u, in + 1, len);
	if (n <= 0) {
		fuse_req_put(r);
		return n;
	}
	in->fh = ff->fh;
	in->offset = (uint64_t)pos;
	in->size = (uint32_t)n;
	in->flags = file_flags(f);
	r->in_len = sizeof *in + (size_t)n;
	took = fuse_call(fconn_of(f->inode), c, r, sizeof(struct lx_fuse_write_out),
		sizeof(struct lx_fuse_write_out));
	if (!took) {
		took = ((struct lx_fuse_write_out *)r->out)->size;
		if (took > n)
			took = -EIO;
	}
	fuse_req_put(r);
	return took;
}

static ssize_t
write_to(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint64_t len)
{
	struct inode *i = f->inode;
	uint32_t most = fconn_of(i)->max_write;
	ssize_t done = 0;

	while (len) {
		uint32_t want = len < most ? (uint32_t)len : most;
		ssize_t n = write_piece(f, c, u, *pos, want);

		if (n < 0)
			return done ? done : n;
		*pos += n;
		done += n;
		len -= (uint64_t)n;
		if (n < want)
			break;
	}
	return done;
}

static ssize_t
fuse_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct inode *i = f->inode;
	bool append = ((file_flags(f) & LX_O_APPEND) && !(rwf & LX_RWF_NOAPPEND)) ||
		      (rwf & LX_RWF_APPEND);
	uint64_t len = u->left;
	ssize_t r = fnode_check(i);

	if (!r)
		r = sleeplock_lock_killable(&i->dir_lock);
	if (r)
		return r;
	if (append && !fnode_attr_fresh(fnode_of(i)))
		r = fuse_getattr(i, c, f->priv);
	if (!r)
		r = file_write_limit(f, c, pos, &len, rwf, inode_load(i->size));
	if (!r)
		r = write_to(f, c, u, pos, len);
	if (r > 0) {
		mutex_lock(&i->lock);
		if (*pos > i->size)
			inode_store(i->size, *pos);
		mutex_unlock(&i->lock);
		fnode_changed(fnode_of(i));
	}
	sleeplock_unlock(&i->dir_lock);
	return r;
}

/* Those that cannot seek count for themselves; a stream has no positions at all. */
static ssize_t
stream_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct fuse_file *ff = f->priv;
	int64_t at = 0;
	ssize_t r;

	(void)pos;
	if (ff->open_flags & LX_FOPEN_STREAM)
		return fuse_read(f, c, u, &at, rwf);
	r = sleeplock_lock_killable(&f->pos_sleep);
	if (r)
		return r;
	r = fuse_read(f, c, u, &ff->pos, rwf);
	sleeplock_unlock(&f->pos_sleep);
	return r;
}

static ssize_t
stream_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct fuse_file *ff = f->priv;
	int64_t at = 0;
	ssize_t r;

	(void)pos;
	if (ff->open_flags & LX_FOPEN_STREAM)
		return fuse_write(f, c, u, &at, rwf);
	r = sleeplock_lock_killable(&f->pos_sleep);
	if (r)
		return r;
	r = fuse_write(f, c, u, &ff->pos, rwf);
	sleeplock_unlock(&f->pos_sleep);
	return r;
}

/* SEEK_DATA and SEEK_HOLE, if the server knows. */
static int64_t
seek_data(struct file *f, const struct call *c, int64_t off, int whence)
{
	struct fuse_conn *conn = fconn_of(f->inode);
	struct fuse_file *ff = f->priv;
	struct lx_fuse_lseek_in *in;
	struct fuse_req *r;
	uint64_t at;
	int err;

	if (conn->no_lseek || conn->minor < 24)
		return -ENOSYS;
	r = fuse_req_new(LX_FUSE_LSEEK, ff->id, sizeof *in);
	if (!r)
		return -ENOMEM;
	in = (struct lx_fuse_lseek_in *)r->in;
	in->fh = ff->fh;
	in->offset = (uint64_t)off;
	in->whence = (uint32_t)whence;
	err = fuse_call(conn, c, r, sizeof at, sizeof at);
	if (!err)
		memcpy(&at, r->out, sizeof at);
	fuse_req_put(r);
	if (err == -ENOSYS)
		conn->no_lseek = true;
	if (err)
		return err;
	if (at > INT64_MAX)
		return -EINVAL;
	f->pos = (int64_t)at;
	return f->pos;
}

static int64_t
fuse_lseek(struct file *f, const struct call *c, int64_t off, int whence)
{
	int64_t r = fnode_check(f->inode);

	if (r)
		return r;
	if (whence == LX_SEEK_DATA || whence == LX_SEEK_HOLE) {
		r = off < 0 ? -ENXIO : seek_data(f, c, off, whence);
		if (r != -ENOSYS)
			return r;
	}
	if (whence != LX_SEEK_SET && whence != LX_SEEK_CUR && !fnode_attr_fresh(fnode_of(f->inode)))
		r = fuse_getattr(f->inode, c, f->priv);
	else
		r = 0;
	return r ? r : file_lseek_regular(f, c, off, whence);
}

int
fuse_fsync(struct file *f, const struct call *c, bool data_only)
{
	struct fuse_conn *conn = fconn_of(f->inode);
	struct fuse_file *ff = f->priv;
	bool dir = inode_is_dir(f->inode);
	_Atomic bool *no = dir ? &conn->no_fsyncdir : &conn->no_fsync;
	struct lx_fuse_fsync_in *in;
	struct fuse_req *r;
	int err = fnode_check(f->inode);

	if (err || *no)
		return err;
	r = fuse_req_new(dir ? LX_FUSE_FSYNCDIR : LX_FUSE_FSYNC, ff->id, sizeof *in);
	if (!r)
		return -ENOMEM;
	in = (struct lx_fuse_fsync_in *)r->in;
	in->fh = ff->fh;
	in->fsync_flags = data_only;
	err = fuse_call(conn, c, r, 0, 0);
	fuse_req_put(r);
	if (err == -ENOSYS) {
		*no = true;
		err = 0;
	}
	return err;
}

static int
fuse_fallocate(struct file *f, const struct call *c, int mode, int64_t off, int64_t len)
{
	struct fuse_conn *conn = fconn_of(f->inode);
	struct fuse_file *ff = f->priv;
	struct lx_fuse_fallocate_in *in;
	struct fuse_req *r;
	int err = fnode_check(f->inode);

	if (err)
		return err;
	if (conn->no_fallocate || conn->minor < 19 ||
		(mode & ~(LX_FALLOC_FL_KEEP_SIZE | LX_FALLOC_FL_PUNCH_HOLE |
				LX_FALLOC_FL_ZERO_RANGE)))
		return -EOPNOTSUPP;
	r = fuse_req_new(LX_FUSE_FALLOCATE, ff->id, sizeof *in);
	if (!r)
		return -ENOMEM;
	in = (struct lx_fuse_fallocate_in *)r->in;
	in->fh = ff->fh;
	in->offset = (uint64_t)off;
	in->length = (uint64_t)len;
	in->mode = (uint32_t)mode;
	err = sleeplock_lock_killable(&f->inode->dir_lock);
	if (!err) {
		err = file_allocate_limit(c, mode, off, len, inode_load(f->inode->size));
		if (!err)
			err = fuse_call(conn, c, r, 0, 0);
		sleeplock_unlock(&f->inode->dir_lock);
	}
	fuse_req_put(r);
	if (err == -ENOSYS) {
		conn->no_fallocate = true;
		err = -EOPNOTSUPP;
	}
	if (!err)
		fnode_changed(fnode_of(f->inode)); /* the size too is asked for again */
	return err;
}

/* --- links --- */

static ssize_t
fuse_readlink(struct inode *i, const struct call *c, char *buf, size_t cap)
{
	struct fuse_req *r;
	ssize_t n = fnode_check(i);

	if (n)
		return n;
	r = fuse_req_new(LX_FUSE_READLINK, fnode_of(i)->id, 0);
	if (!r)
		return -ENOMEM;
	n = fuse_call(fconn_of(i), c, r, 0, LX_PATH_MAX - 1);
	if (!n) {
		size_t len = strnlen(r->out, r->out_len);

		n = (ssize_t)(len < cap ? len : cap);
		memcpy(buf, r->out, (size_t)n);
	}
	fuse_req_put(r);
	return n;
}

const struct inode_ops fuse_file_ops = {
	.readlink = fuse_readlink,
	.permission = fuse_permission,
	.access = fuse_access,
	.refresh = fuse_refresh,
	.getattr = fuse_show,
	.setattr = fuse_setattr,
	.open = fuse_open,
	.getxattr = fuse_getxattr,
	.setxattr = fuse_setxattr,
	.listxattr = fuse_listxattr,
	.removexattr = fuse_removexattr,
	.free = fnode_free,
};

const struct file_ops fuse_file_fops = {
	.release = fuse_release,
	.flush = fuse_flush,
	.read = fuse_read,
	.write = fuse_write,
	.lseek = fuse_lseek,
	.mappable = fuse_mappable,
	.fsync = fuse_fsync,
	.fallocate = fuse_fallocate,
};

static const struct file_ops stream_fops = {
	.release = fuse_release,
	.flush = fuse_flush,
	.read = stream_read,
	.write = stream_write,
	.mappable = fuse_mappable,
	.fsync = fuse_fsync,
};
