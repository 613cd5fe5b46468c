/* SPDX-License-Identifier: Apache-2.0 */
/* Names: finding, making, moving, removing, listing. Linux counterpart: fs/fuse/dir.c, readdir.c.
 */
#include "internal.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/rw.h"
#include <stdlib.h>
#include <string.h>

#define LIST_BYTES 8192 /* of entries that are asked for at once */

/* A request about names in dir: fixed arguments, then one string or two, each with its NUL. */
static struct fuse_req *
names_req(uint32_t opcode, struct inode *dir, const void *args, size_t args_len,
	const struct name *a, const void *b, size_t b_len)
{
	struct fuse_req *r = fuse_req_new(
		opcode, fnode_of(dir)->id, args_len + a->len + 1 + (b ? b_len + 1 : 0));

	if (!r)
		return NULL;
	if (args_len)
		memcpy(r->in, args, args_len);
	memcpy(r->in + args_len, a->s, a->len);
	if (b)
		memcpy(r->in + args_len + a->len + 1, b, b_len);
	return r;
}

/* Without an answer that says anything. r is put, and may be NULL: no memory. */
static int
plain_call(struct inode *dir, const struct call *c, struct fuse_req *r)
{
	int err = r ? fuse_call(fconn_of(dir), c, r, 0, 0) : -ENOMEM;

	fuse_req_put(r);
	return err;
}

static int
ask_entry(struct inode *dir, const struct call *c, const struct name *n,
	struct lx_fuse_entry_out *ret)
{
	struct fuse_req *r = names_req(LX_FUSE_LOOKUP, dir, NULL, 0, n, NULL, 0);
	int err = r ? fuse_call(fconn_of(dir), c, r, sizeof *ret, sizeof *ret) : -ENOMEM;

	if (!err)
		memcpy(ret, r->out, sizeof *ret);
	fuse_req_put(r);
	return err;
}

static int
dir_lookup(struct inode *dir, const struct call *c, const struct name *n, struct inode **ret)
{
	struct fuse_since since = fuse_since(dir);
	struct lx_fuse_entry_out e;
	struct fnode *k;
	int r = fnode_check(dir);

	if (!r)
		r = ask_entry(dir, c, n, &e);
	if (r)
		return r;
	if (!e.nodeid) {
		fnode_entry_set(
			dir, n, NULL, since.epoch, fuse_expiry(e.entry_valid, e.entry_valid_nsec));
		return -ENOENT;
	}
	r = fnode_get(dir->sb, &e, since.version, &k);
	if (r)
		return r;
	fnode_entry_set(dir, n, k, since.epoch, fuse_expiry(e.entry_valid, e.entry_valid_nsec));
	*ret = &k->i;
	return 0;
}

static int
dir_revalidate(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	struct fnode *k = inode ? fnode_of(inode) : NULL;
	struct fuse_since since = fuse_since(dir);
	struct lx_fuse_entry_out e;
	int r;

	if (k && k->bad)
		return 0;
	if (fnode_entry_fresh(dir, n, k))
		return 1;
	if (!k)
		return 0;
	r = ask_entry(dir, c, n, &e);
	if (r == -ENOMEM || r == -EINTR)
		return r;
	if (r || !e.nodeid)
		return 0;
	if (e.nodeid != k->id->nodeid || e.generation != k->generation) {
		if (e.nodeid != LX_FUSE_ROOT_ID)
			fuse_forget(fconn_of(dir), e.nodeid);
		return 0;
	}
	fnode_looked_up(k);
	if (fnode_apply(k, &e.attr, e.attr_valid, e.attr_valid_nsec, since.version))
		return 0;
	fnode_entry_set(dir, n, k, since.epoch, fuse_expiry(e.entry_valid, e.entry_valid_nsec));
	return 1;
}

/* --- making --- */

static uint32_t
umask_of(const struct call *c)
{
	return c->fs ? atomic_load_explicit(&c->fs->umask, memory_order_relaxed) & 0777u : 0;
}

static uint32_t
mode_of(struct inode *dir, const struct inode_spec *s)
{
	return fconn_of(dir)->dont_mask ? s->asked : s->mode;
}

/* The node of an answer to what makes something of that type. */
static int
made(struct inode *dir, const struct name *n, const struct lx_fuse_entry_out *e, uint32_t mode,
	struct fuse_since since, struct fnode **ret)
{
	int r = 0;

	fnode_changed(fnode_of(dir));
	if (!e->nodeid || e->nodeid == LX_FUSE_ROOT_ID)
		return -EIO;
	if ((e->attr.mode ^ mode) & LX_S_IFMT) {
		fuse_forget(fconn_of(dir), e->nodeid);
		return -EIO;
	}
	r = fnode_get(dir->sb, e, since.version, ret);
	if (!r)
		fnode_entry_set(dir, n, *ret, since.epoch,
			fuse_expiry(e->entry_valid, e->entry_valid_nsec));
	return r;
}

/* Make a regular file and open it. -ENOSYS: the server cannot. */
static int
create_open(struct inode *dir, const struct call *c, const struct name *n,
	const struct inode_spec *spec, struct inode **ret)
{
	struct lx_fuse_create_in in = {.flags = spec->open_flags & ~(uint32_t)LX_O_NOCTTY,
		.mode = mode_of(dir, spec),
		.umask = umask_of(c)};
	struct fuse_since since = fuse_since(dir);
	struct fuse_conn *conn = fconn_of(dir);
	struct lx_fuse_create_out out;
	struct fnode *k;
	struct fuse_file *ff;
	struct fuse_req *r = names_req(LX_FUSE_CREATE, dir, &in, sizeof in, n, NULL, 0);
	int err = r ? fuse_call(conn, c, r, sizeof out, sizeof out) : -ENOMEM;

	if (err) {
		fuse_req_put(r);
		return err;
	}
	memcpy(&out, r->out, sizeof out);
	fuse_req_put(r);
	err = made(dir, n, &out.entry, LX_S_IFREG, since, &k);
	if (err)
		return err; /* what it opened goes with the number */
	ff = fuse_file_new(k->id, in.flags, false);
	if (!ff) {
		inode_put(&k->i);
		return -ENOMEM;
	}
	ff->fh = out.open.fh;
	ff->open_flags = out.open.open_flags;
	mutex_lock(&k->i.lock);
	/* of two that make one file at once, one has to open it */
	if (!k->created) {
		k->created = ff;
		k->created_by = c->tid;
		ff = NULL;
	}
	mutex_unlock(&k->i.lock);
	if (ff)
		fuse_file_close(conn, ff);
	*ret = &k->i;
	return 0;
}

static struct fuse_req *
make_req(struct inode *dir, const struct call *c, const struct name *n, const struct inode_spec *s)
{
	uint32_t mode = mode_of(dir, s);
	struct lx_fuse_mkdir_in d = {.mode = mode & (0777u | LX_S_ISVTX), .umask = umask_of(c)};
	struct lx_fuse_mknod_in f = {
		.mode = mode, .rdev = (uint32_t)lx_dev_encode(s->rdev), .umask = umask_of(c)};

	if (LX_S_ISDIR(s->mode))
		return names_req(LX_FUSE_MKDIR, dir, &d, sizeof d, n, NULL, 0);
	if (LX_S_ISLNK(s->mode))
		return names_req(LX_FUSE_SYMLINK, dir, NULL, 0, n, s->target, strlen(s->target));
	return names_req(LX_FUSE_MKNOD, dir, &f, sizeof f, n, NULL, 0);
}

static int
dir_create(struct inode *dir, const struct call *c, const struct name *n,
	const struct inode_spec *spec, struct inode **ret)
{
	struct fuse_since since = fuse_since(dir);
	struct fuse_conn *conn = fconn_of(dir);
	struct lx_fuse_entry_out e;
	struct fnode *k;
	struct fuse_req *r;
	int err = fnode_check(dir);

	if (!err && !fuse_allowed(conn, c))
		err = -EACCES;
	if (err)
		return err;
	if (spec->open_flags && LX_S_ISREG(spec->mode) && !conn->no_create) {
		err = create_open(dir, c, n, spec, ret);
		if (err != -ENOSYS)
			return err;
		conn->no_create = true;
	}
	r = make_req(dir, c, n, spec);
	err = r ? fuse_call(conn, c, r, sizeof e, sizeof e) : -ENOMEM;
	if (!err)
		memcpy(&e, r->out, sizeof e);
	fuse_req_put(r);
	if (!err)
		err = made(dir, n, &e, spec->mode, since, &k);
	if (err)
		return err;
	*ret = &k->i;
	return 0;
}

static int
dir_link(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	struct fnode *k = fnode_of(inode);
	struct fuse_since since = fuse_since(dir);
	struct lx_fuse_entry_out e;
	struct fuse_req *r;
	int err = fnode_check(dir) ? -EIO : fnode_check(inode);

	if (err)
		return err;
	r = names_req(LX_FUSE_LINK, dir, &k->id->nodeid, sizeof k->id->nodeid, n, NULL, 0);
	err = r ? fuse_call(fconn_of(dir), c, r, sizeof e, sizeof e) : -ENOMEM;
	if (!err)
		memcpy(&e, r->out, sizeof e);
	fuse_req_put(r);
	if (err)
		return err;
	fnode_changed(fnode_of(dir));
	fnode_changed(k);
	if (!e.nodeid || e.nodeid == LX_FUSE_ROOT_ID)
		return -EIO;
	if (e.nodeid != k->id->nodeid || e.generation != k->generation) {
		/* the new name is another file to the server: the next look at it tells */
		fuse_forget(fconn_of(dir), e.nodeid);
		return 0;
	}
	fnode_looked_up(k);
	err = fnode_apply(k, &e.attr, e.attr_valid, e.attr_valid_nsec, UINT64_MAX);
	if (!err)
		fnode_entry_set(
			dir, n, k, since.epoch, fuse_expiry(e.entry_valid, e.entry_valid_nsec));
	return err;
}

/* --- removing, moving --- */

static void
lost_name(struct inode *i)
{
	if (inode_is_dir(i))
		inode_set_nlink(i, 0);
	else if (inode_load(i->nlink))
		inode_add_nlink(i, -1);
	fnode_changed(fnode_of(i));
}

static int
remove_name(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode,
	uint32_t opcode)
{
	int r = fnode_check(dir);

	if (!r)
		r = plain_call(dir, c, names_req(opcode, dir, NULL, 0, n, NULL, 0));
	if (r)
		return r;
	fnode_changed(fnode_of(dir));
	lost_name(inode);
	return 0;
}

static int
dir_unlink(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	return remove_name(dir, c, n, inode, LX_FUSE_UNLINK);
}

static int
dir_rmdir(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	return remove_name(dir, c, n, inode, LX_FUSE_RMDIR);
}

static int64_t
seen_until(struct inode *i)
{
	int64_t r;

	mutex_lock(&i->lock);
	r = fnode_of(i)->seen.expiry;
	mutex_unlock(&i->lock);
	return r;
}

static int
dir_rename(struct inode *old_dir, const struct call *c, const struct name *on, struct inode *inode,
	struct inode *new_dir, const struct name *nn, struct inode *target, uint32_t flags)
{
	struct fuse_conn *conn = fconn_of(old_dir);
	struct lx_fuse_rename2_in in = {.newdir = fnode_of(new_dir)->id->nodeid, .flags = flags};
	uint64_t old_epoch = fuse_since(old_dir).epoch, new_epoch = fuse_since(new_dir).epoch;
	int r = fnode_check(old_dir) ? -EIO : fnode_check(new_dir);

	if (!r && flags && (conn->no_rename2 || conn->minor < 23))
		r = -EINVAL;
	if (r)
		return r;
	if (flags)
		r = plain_call(old_dir, c,
			names_req(LX_FUSE_RENAME2, old_dir, &in, sizeof in, on, nn->s, nn->len));
	else
		r = plain_call(old_dir, c,
			names_req(LX_FUSE_RENAME, old_dir, &in.newdir, sizeof in.newdir, on, nn->s,
				nn->len));
	if (r == -ENOSYS && flags) {
		conn->no_rename2 = true;
		r = -EINVAL;
	}
	if (r)
		return r;
	fnode_changed(fnode_of(old_dir));
	fnode_changed(fnode_of(new_dir));
	fnode_changed(fnode_of(inode));
	fnode_entry_set(new_dir, nn, fnode_of(inode), new_epoch, seen_until(inode));
	if (target && (flags & LX_RENAME_EXCHANGE)) {
		fnode_changed(fnode_of(target));
		fnode_entry_set(old_dir, on, fnode_of(target), old_epoch, seen_until(target));
	} else if (target) {
		lost_name(target);
	}
	return 0;
}

/* --- listing --- */

static bool
name_ok(const char *s, uint32_t len)
{
	return len && len <= LX_NAME_MAX && !memchr(s, '/', len) && !memchr(s, 0, len);
}

/* A rest that is no whole entry is passed over; what makes no sense is, after what does, for the
 * next call to stumble upon. */
static int
emit_all(struct file *f, struct dir_emit *e, const uint8_t *p, size_t left)
{
	struct lx_fuse_dirent d;
	bool some = false;

	while (left >= sizeof d) {
		const char *name = (const char *)p + sizeof d;
		size_t len;

		memcpy(&d, p, sizeof d);
		if (d.namelen > LX_NAME_MAX)
			return some ? 0 : -EIO;
		len = (sizeof d + d.namelen + 7) & ~(size_t)7;
		if (len > left)
			break;
		if (!name_ok(name, d.namelen) || d.off > INT64_MAX)
			return some ? 0 : -EIO;
		if (!e->fn(e, name, d.namelen, d.ino, (uint8_t)(d.type & 15), (int64_t)d.off))
			break;
		f->pos = (int64_t)d.off;
		some = true;
		p += len;
		left -= len;
	}
	return 0;
}

static int
dir_iterate(struct file *f, const struct call *c, struct dir_emit *e)
{
	struct fuse_file *ff = f->priv;
	struct fuse_req *r;
	struct lx_fuse_read_in *in;
	int err = fnode_check(f->inode);

	if (err)
		return err;
	r = fuse_req_new(LX_FUSE_READDIR, ff->id, sizeof *in);
	if (!r)
		return -ENOMEM;
	in = (struct lx_fuse_read_in *)r->in;
	in->fh = ff->fh;
	in->offset = (uint64_t)f->pos;
	in->size = LIST_BYTES;
	in->flags = ff->flags;
	err = fuse_call(fconn_of(f->inode), c, r, 0, LIST_BYTES);
	if (!err)
		err = emit_all(f, e, r->out, r->out_len);
	fuse_req_put(r);
	return err;
}

const struct inode_ops fuse_dir_ops = {
	.lookup = dir_lookup,
	.revalidate = dir_revalidate,
	.create = dir_create,
	.link = dir_link,
	.unlink = dir_unlink,
	.rmdir = dir_rmdir,
	.rename = dir_rename,
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

const struct file_ops fuse_dir_fops = {
	.release = fuse_release,
	.read = file_read_dir,
	.lseek = file_lseek_dir,
	.iterate = dir_iterate,
	.fsync = fuse_fsync,
};
