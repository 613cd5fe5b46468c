/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes, permission, extended attributes, statfs. Linux counterpart: fs/fuse/dir.c, xattr.c.
 */
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include "sentry/vfs/path.h"
#include <string.h>

int
fuse_getattr(struct inode *i, const struct call *c, const struct fuse_file *ff)
{
	struct fnode *n = fnode_of(i);
	uint64_t version = fuse_since(i).version;
	struct lx_fuse_getattr_in *in;
	struct lx_fuse_attr_out out;
	struct fuse_req *r = fuse_req_new(LX_FUSE_GETATTR, n->id, sizeof *in);
	int err;

	if (!r)
		return -ENOMEM;
	if (ff) {
		in = (struct lx_fuse_getattr_in *)r->in;
		in->flags = LX_FUSE_GETATTR_FH;
		in->fh = ff->fh;
	}
	err = fuse_call(fconn_of(i), c, r, sizeof out, sizeof out);
	if (!err) {
		memcpy(&out, r->out, sizeof out);
		err = fnode_apply(n, &out.attr, out.attr_valid, out.attr_valid_nsec, version);
	}
	fuse_req_put(r);
	return err;
}

int
fuse_refresh(struct inode *i, const struct call *c, bool force)
{
	if (!fuse_allowed(fconn_of(i), c))
		return -EACCES;
	if (fnode_check(i))
		return -EIO;
	return !force && fnode_attr_fresh(fnode_of(i)) ? 0 : fuse_getattr(i, c, NULL);
}

/* Also those who want to see no more than what is known. */
int
fuse_show(struct inode *i, const struct call *c, struct lx_stat_all *st)
{
	st->mask &= ~LX_STATX_BTIME;
	return fuse_allowed(fconn_of(i), c) ? fnode_check(i) : -EACCES;
}

static int
fresh(struct inode *i, const struct call *c, bool *asked)
{
	*asked = !fnode_attr_fresh(fnode_of(i));
	return *asked ? fuse_getattr(i, c, NULL) : 0;
}

int
fuse_permission(struct inode *i, const struct call *c, int mask)
{
	bool asked = false, exec = (mask & LX_X_OK) && LX_S_ISREG(inode_mode(i));
	struct fuse_conn *conn = fconn_of(i);
	int r = fnode_check(i);

	if (r)
		return r;
	if (!fuse_allowed(conn, c))
		return -EACCES;
	if (conn->default_permissions || exec)
		r = fresh(i, c, &asked);
	if (r)
		return r;
	if (conn->default_permissions) {
		r = inode_permission_generic(i, c, mask);
		/* it may be from before somebody changed it */
		if (r == -EACCES && !asked && !(r = fuse_getattr(i, c, NULL)))
			r = inode_permission_generic(i, c, mask);
		return r;
	}
	if (exec && !(inode_mode(i) & 0111u)) {
		if (!asked)
			r = fuse_getattr(i, c, NULL);
		if (!r && !(inode_mode(i) & 0111u))
			r = -EACCES;
	}
	return r;
}

int
fuse_access(struct inode *i, const struct call *c, int mask)
{
	struct fuse_conn *conn = fconn_of(i);
	struct lx_fuse_access_in *in;
	struct fuse_req *r;
	int err;

	if ((mask & LX_W_OK) && (atomic_load(&i->sb->flags) & SUPER_RDONLY))
		return mask ? inode_permission(i, c, mask) : 0;
	err = fnode_check(i);
	if (err)
		return err;
	if (!fuse_allowed(conn, c))
		return -EACCES;
	if (conn->default_permissions)
		return mask ? fuse_permission(i, c, mask) : 0;
	if (conn->no_access)
		return 0;
	r = fuse_req_new(LX_FUSE_ACCESS, fnode_of(i)->id, sizeof *in);
	if (!r)
		return -ENOMEM;
	in = (struct lx_fuse_access_in *)r->in;
	in->mask = (uint32_t)mask & 7;
	err = fuse_call(conn, c, r, 0, 0);
	fuse_req_put(r);
	if (err == -ENOSYS) {
		conn->no_access = true;
		err = 0;
	}
	return err;
}

static void
setattr_in(const struct user_ns *ns, const struct iattr *a, struct lx_fuse_setattr_in *in)
{
	uint32_t v = a->valid;

	/* a change of the size is the server's to date */
	if (v & IATTR_SIZE)
		v &= ~(IATTR_ATIME | IATTR_MTIME | IATTR_ATIME_NOW | IATTR_MTIME_NOW);
	in->valid = (v & IATTR_MODE ? LX_FATTR_MODE : 0) | (v & IATTR_UID ? LX_FATTR_UID : 0) |
		    (v & IATTR_GID ? LX_FATTR_GID : 0) | (v & IATTR_SIZE ? LX_FATTR_SIZE : 0) |
		    (v & IATTR_ATIME ? LX_FATTR_ATIME : 0) |
		    (v & IATTR_MTIME ? LX_FATTR_MTIME : 0) |
		    (v & IATTR_ATIME_NOW ? LX_FATTR_ATIME_NOW : 0) |
		    (v & IATTR_MTIME_NOW ? LX_FATTR_MTIME_NOW : 0);
	in->mode = a->mode & LX_S_IALLUGO;
	in->uid = v & IATTR_UID ? uid_out(ns, a->uid) : 0;
	in->gid = v & IATTR_GID ? gid_out(ns, a->gid) : 0;
	in->size = v & IATTR_SIZE ? (uint64_t)a->size : 0;
	if (v & IATTR_ATIME) {
		in->atime = (uint64_t)a->atime.sec;
		in->atimensec = (uint32_t)a->atime.nsec;
	}
	if (v & IATTR_MTIME) {
		in->mtime = (uint64_t)a->mtime.sec;
		in->mtimensec = (uint32_t)a->mtime.nsec;
	}
}

int
fuse_setattr(struct inode *i, const struct call *c, const struct iattr *a)
{
	struct fuse_conn *conn = fconn_of(i);
	struct fnode *n = fnode_of(i);
	struct lx_fuse_setattr_in *in;
	struct lx_fuse_attr_out out;
	struct fuse_req *r;
	int err = fnode_check(i);

	if (err)
		return err;
	if (!fuse_allowed(conn, c))
		return -EACCES;
	if (((a->valid & IATTR_UID) && !uid_known(conn->user_ns, a->uid)) ||
		((a->valid & IATTR_GID) && !gid_known(conn->user_ns, a->gid)))
		return -EOVERFLOW;
	r = fuse_req_new(LX_FUSE_SETATTR, n->id, sizeof *in);
	if (!r)
		return -ENOMEM;
	in = (struct lx_fuse_setattr_in *)r->in;
	setattr_in(conn->user_ns, a, in);
	if (a->file && (a->valid & IATTR_SIZE) && a->file->priv) {
		in->valid |= LX_FATTR_FH;
		in->fh = ((struct fuse_file *)a->file->priv)->fh;
	}
	err = fuse_call(conn, c, r, sizeof out, sizeof out);
	if (!err) {
		memcpy(&out, r->out, sizeof out);
		fnode_changed(n);
		err = fnode_apply(n, &out.attr, out.attr_valid, out.attr_valid_nsec, UINT64_MAX);
	}
	fuse_req_put(r);
	return err;
}

/* --- extended attributes --- */

/* The server has none of this: not asked again. */
static int
unless_missing(int err, _Atomic bool *no)
{
	if (err != -ENOSYS)
		return err;
	*no = true;
	return -EOPNOTSUPP;
}

/* GETXATTR, LISTXATTR: the length of what is to be had, which is in *ret->out if size is not 0. */
static ssize_t
xattr_call(struct inode *i, const struct call *c, uint32_t opcode, const char *name, size_t size,
	struct fuse_req **ret)
{
	size_t name_len = name ? strlen(name) + 1 : 0;
	struct lx_fuse_getxattr_in *in;
	struct lx_fuse_getxattr_in out; /* of the same form */
	struct fuse_req *r;
	ssize_t n;

	*ret = NULL;
	if (fnode_check(i))
		return -EIO;
	if (size > FUSE_XATTR_MAX)
		size = FUSE_XATTR_MAX;
	r = fuse_req_new(opcode, fnode_of(i)->id, sizeof *in + name_len);
	if (!r)
		return -ENOMEM;
	in = (struct lx_fuse_getxattr_in *)r->in;
	in->size = (uint32_t)size;
	if (name)
		memcpy(in + 1, name, name_len);
	n = fuse_call(fconn_of(i), c, r, size ? 0 : sizeof out,
		size ? (uint32_t)size : (uint32_t)sizeof out);
	if (!n && size) {
		n = (ssize_t)r->out_len;
	} else if (!n) {
		memcpy(&out, r->out, sizeof out);
		n = out.size > FUSE_XATTR_MAX ? FUSE_XATTR_MAX : out.size;
	}
	if (n < 0) {
		fuse_req_put(r);
		return n;
	}
	*ret = r;
	return n;
}

ssize_t
fuse_getxattr(struct inode *i, const struct call *c, const char *name, void *buf, size_t size)
{
	struct fuse_conn *conn = fconn_of(i);
	struct fuse_req *r;
	ssize_t n;

	if (conn->no_getxattr)
		return -EOPNOTSUPP;
	n = xattr_call(i, c, LX_FUSE_GETXATTR, name, size, &r);
	if (n > 0 && size)
		memcpy(buf, r->out, (size_t)n);
	fuse_req_put(r);
	return n < 0 ? unless_missing((int)n, &conn->no_getxattr) : n;
}

static bool
names_ok(const char *s, size_t len)
{
	while (len) {
		size_t n = strnlen(s, len);

		if (n == 0 || n == len)
			return false;
		s += n + 1;
		len -= n + 1;
	}
	return true;
}

ssize_t
fuse_listxattr(struct inode *i, const struct call *c, char *buf, size_t size)
{
	struct fuse_conn *conn = fconn_of(i);
	struct fuse_req *r;
	ssize_t n;

	if (!fuse_allowed(conn, c))
		return -EACCES;
	if (conn->no_listxattr)
		return -EOPNOTSUPP;
	n = xattr_call(i, c, LX_FUSE_LISTXATTR, NULL, size, &r);
	if (n > 0 && size && !names_ok(r->out, (size_t)n))
		n = -EIO;
	if (n > 0 && size)
		memcpy(buf, r->out, (size_t)n);
	fuse_req_put(r);
	return n < 0 ? unless_missing((int)n, &conn->no_listxattr) : n;
}

static int
change_xattr(struct inode *i, const struct call *c, struct fuse_req *r)
{
	int err = r ? fuse_call(fconn_of(i), c, r, 0, 0) : -ENOMEM;

	fuse_req_put(r);
	if (!err)
		fnode_changed(fnode_of(i));
	return err;
}

int
fuse_setxattr(struct inode *i, const struct call *c, const char *name, const void *val, size_t size,
	int flags)
{
	struct fuse_conn *conn = fconn_of(i);
	struct lx_fuse_setxattr_in *in;
	size_t len = strlen(name) + 1;
	struct fuse_req *r;

	if (fnode_check(i))
		return -EIO;
	if (conn->no_setxattr)
		return -EOPNOTSUPP;
	if (size > FUSE_XATTR_MAX)
		return -E2BIG;
	r = fuse_req_new(LX_FUSE_SETXATTR, fnode_of(i)->id, sizeof *in + len + size);
	if (r) {
		in = (struct lx_fuse_setxattr_in *)r->in;
		in->size = (uint32_t)size;
		in->flags = (uint32_t)flags;
		memcpy(r->in + sizeof *in, name, len);
		if (size)
			memcpy(r->in + sizeof *in + len, val, size);
	}
	return unless_missing(change_xattr(i, c, r), &conn->no_setxattr);
}

int
fuse_removexattr(struct inode *i, const struct call *c, const char *name)
{
	struct fuse_conn *conn = fconn_of(i);
	size_t len = strlen(name) + 1;
	struct fuse_req *r;

	if (fnode_check(i))
		return -EIO;
	if (conn->no_removexattr)
		return -EOPNOTSUPP;
	r = fuse_req_new(LX_FUSE_REMOVEXATTR, fnode_of(i)->id, len);
	if (r)
		memcpy(r->in, name, len);
	return unless_missing(change_xattr(i, c, r), &conn->no_removexattr);
}

/* --- the whole --- */

int
fuse_statfs(struct super *sb, const struct call *c, struct lx_statfs *st)
{
	struct fuse_conn *conn = sb->priv;
	struct lx_fuse_statfs_out out;
	struct fuse_req *r;
	int err;

	if (!fuse_allowed(conn, c))
		return 0; /* they see what kind it is */
	r = fuse_req_new(LX_FUSE_STATFS, fnode_of(sb->root->inode)->id, 0);
	if (!r)
		return -ENOMEM;
	err = fuse_call(conn, c, r, sizeof out, sizeof out);
	if (!err) {
		memcpy(&out, r->out, sizeof out);
		st->bsize = out.bsize;
		st->frsize = out.frsize;
		st->blocks = out.blocks;
		st->bfree = out.bfree;
		st->bavail = out.bavail;
		st->files = out.files;
		st->ffree = out.ffree;
		st->namelen = out.namelen;
	}
	fuse_req_put(r);
	return err;
}
