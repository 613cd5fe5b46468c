/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes and extended attributes of files of the gofer. */
#include "internal.h"
#include "platform/host/file.h"
#include "sentry/sched/fiber.h"
#include <stdlib.h>
#include <string.h>

int64_t gofer_same_call_ns = 100000000;

void
gnode_asked(struct gnode *n, const struct call *c, int64_t asked_ns)
{
	mutex_lock(&n->lock);
	n->attr_ns = asked_ns;
	n->attr_call = c->serial;
	mutex_unlock(&n->lock);
}

int
gofer_refresh(struct inode *i, const struct call *c, bool force)
{
	struct gnode *n = gnode_of(i);
	Gofer__NodeReq q = GOFER__NODE_REQ__INIT;
	int64_t asked = sched_now_ns();
	Gofer__AttrRep *a;
	bool recent = false;
	int r;

	if (gsuper_of(i)->shared) {
		mutex_lock(&n->lock);
		recent = gsuper_of(i)->relaxed ? n->attr_ns > asked - gsuper_of(i)->relax_ns
					       : c->serial && n->attr_call == c->serial &&
							 n->attr_ns > asked - gofer_same_call_ns;
		mutex_unlock(&n->lock);
	}
	if ((!gsuper_of(i)->shared || recent) && !force) {
		gnode_sync_attr(n);
		return 0;
	}
	q.node = n->id;
	r = gofer_call(gconn_of(i), GOFER_GETATTR, &q.base, &a, NULL);
	if (r < 0)
		return r;
	gnode_apply_attr(n, a->attr, asked);
	gnode_asked(n, c, asked);
	gofer_rep_free(a);
	return 0;
}

/* Cut or extend through an open descriptor, which needs no request. -EBADF: there is none. */
static int
truncate_here(struct gnode *n, int64_t size)
{
	int r = -EBADF, fd = -1;

	mutex_lock(&n->lock);
	if (n->fd_rw >= 0) {
		n->users++;
		fd = n->fd_rw;
	}
	mutex_unlock(&n->lock);
	if (fd >= 0) {
		r = host_fd_truncate(fd, size);
		if (r == 0)
			__atomic_store_n(&n->stale, true, __ATOMIC_RELEASE);
		gnode_unuse(n);
	}
	return r;
}

int
gofer_setattr(struct inode *i, const struct call *c, const struct iattr *a)
{
	struct gnode *n = gnode_of(i);
	Gofer__SetattrReq q = GOFER__SETATTR_REQ__INIT;
	Gofer__AttrRep *rep;
	int64_t asked = sched_now_ns();
	uint32_t valid = a->valid;
	int r;

	(void)c;
	if (valid & IATTR_SIZE) {
		r = truncate_here(n, a->size);
		if (r == 0)
			valid &= ~IATTR_SIZE;
		else if (r != -EBADF)
			return r;
	}
	q.node = n->id;
	q.valid = (valid & IATTR_MODE ? WIRE_SET_MODE : 0) |
		  (valid & IATTR_UID ? WIRE_SET_UID : 0) | (valid & IATTR_GID ? WIRE_SET_GID : 0) |
		  (valid & IATTR_SIZE ? WIRE_SET_SIZE : 0) |
		  (valid & IATTR_ATIME ? WIRE_SET_ATIME : 0) |
		  (valid & IATTR_MTIME ? WIRE_SET_MTIME : 0) |
		  (valid & IATTR_ATIME_NOW ? WIRE_SET_ATIME_NOW : 0) |
		  (valid & IATTR_MTIME_NOW ? WIRE_SET_MTIME_NOW : 0);
	/* A truncation sets the times by itself. */
	if ((a->valid & IATTR_SIZE) && !(valid & IATTR_SIZE) &&
		!(q.valid & (WIRE_SET_MODE | WIRE_SET_UID | WIRE_SET_GID)))
		q.valid = 0;
	if (q.valid) {
		gnode_sync_attr(n);
		q.mode = a->mode & 07777;
		q.uid = a->uid;
		q.gid = a->gid;
		q.size = (uint64_t)a->size;
		q.atime_s = a->atime.sec;
		q.atime_ns = (uint32_t)a->atime.nsec;
		q.mtime_s = a->mtime.sec;
		q.mtime_ns = (uint32_t)a->mtime.nsec;
		r = gofer_call(gconn_of(i), GOFER_SETATTR, &q.base, &rep, NULL);
		if (r < 0)
			return r;
		gnode_apply_attr(n, rep->attr, asked);
		mutex_lock(&n->lock);
		n->attr_ns = sched_now_ns();
		mutex_unlock(&n->lock);
		gofer_rep_free(rep);
		gofer_changed(i);
		return 0;
	}
	inode_setattr_apply(i, a);
	return 0;
}

ssize_t
gofer_getxattr(struct inode *i, const struct call *c, const char *name, void *buf, size_t size)
{
	Gofer__XattrReq q = GOFER__XATTR_REQ__INIT;
	Gofer__XattrRep *a;
	ssize_t r;

	(void)c;
	q.node = gnode_of(i)->id;
	q.name = wire_bytes(name, strlen(name));
	r = gofer_call(gconn_of(i), GOFER_GETXATTR, &q.base, &a, NULL);
	if (r < 0)
		return r;
	r = (ssize_t)a->value.len;
	if (size && a->value.len > size)
		r = -ERANGE;
	else if (size)
		memcpy(buf, a->value.data, a->value.len);
	gofer_rep_free(a);
	return r;
}

int
gofer_setxattr(struct inode *i, const struct call *c, const char *name, const void *val,
	size_t size, int flags)
{
	Gofer__XattrReq q = GOFER__XATTR_REQ__INIT;
	int r;

	(void)c;
	if (size > WIRE_XATTR_MAX)
		return -E2BIG;
	q.node = gnode_of(i)->id;
	q.name = wire_bytes(name, strlen(name));
	q.value = wire_bytes(val, size);
	q.flags = (uint32_t)flags;
	r = gofer_call(gconn_of(i), GOFER_SETXATTR, &q.base, NULL, NULL);
	if (!strncmp(name, "system.posix_acl_", 17))
		atomic_store(&gsuper_of(i)->acl_set_ns, sched_now_ns());
	if (r == 0)
		inode_touch(i, INODE_T_CTIME);
	gofer_changed(i);
	return r;
}

ssize_t
gofer_listxattr(struct inode *i, const struct call *c, char *buf, size_t size)
{
	Gofer__NodeReq q = GOFER__NODE_REQ__INIT;
	Gofer__XattrRep *a;
	ssize_t r;

	(void)c;
	q.node = gnode_of(i)->id;
	r = gofer_call(gconn_of(i), GOFER_LISTXATTR, &q.base, &a, NULL);
	if (r < 0)
		return r;
	r = (ssize_t)a->value.len;
	if (a->value.len && a->value.data[a->value.len - 1] != 0)
		r = -EIO;
	else if (size && a->value.len > size)
		r = -ERANGE;
	else if (size)
		memcpy(buf, a->value.data, a->value.len);
	gofer_rep_free(a);
	return r;
}

int
gofer_removexattr(struct inode *i, const struct call *c, const char *name)
{
	Gofer__XattrReq q = GOFER__XATTR_REQ__INIT;
	int r;

	(void)c;
	q.node = gnode_of(i)->id;
	q.name = wire_bytes(name, strlen(name));
	r = gofer_call(gconn_of(i), GOFER_REMOVEXATTR, &q.base, NULL, NULL);
	if (r == 0)
		inode_touch(i, INODE_T_CTIME);
	gofer_changed(i);
	return r;
}
