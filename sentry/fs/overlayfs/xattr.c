/* SPDX-License-Identifier: Apache-2.0 */
/* overlayfs: extended attributes are those of the real file, but for its own. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

static const char *
prefix(const struct ovl_super *o)
{
	return o->user_xattr ? "user.overlay." : "trusted.overlay.";
}

static const char *
opaque(const struct ovl_super *o)
{
	return o->user_xattr ? "user.overlay.opaque" : "trusted.overlay.opaque";
}

/* Own names of an overlay that is in this one are kept with this after the prefix. */
#define ESCAPE "overlay."

static bool
is_own(const struct ovl_super *o, const char *name)
{
	return !strncmp(name, prefix(o), strlen(prefix(o)));
}

static bool
is_escaped(const struct ovl_super *o, const char *name)
{
	return is_own(o, name) && !strncmp(name + strlen(prefix(o)), ESCAPE, strlen(ESCAPE));
}

bool
ovl_is_private(const struct ovl_super *o, const char *name)
{
	return is_own(o, name) && !is_escaped(o, name);
}

/* The name below, in buf where it is another one. -ERANGE. */
static int
real_name(const struct ovl_super *o, const char **name, char buf[LX_XATTR_NAME_MAX + 1])
{
	const size_t n = strlen(prefix(o));

	if (!is_own(o, *name))
		return 0;
	if (strlen(*name) + strlen(ESCAPE) > LX_XATTR_NAME_MAX)
		return -ERANGE;
	memcpy(buf, *name, n);
	strcpy(buf + n, ESCAPE);
	strcat(buf, *name + n);
	*name = buf;
	return 0;
}

bool
ovl_is_opaque(const struct ovl_super *o, const struct call *k, struct dentry *d)
{
	struct inode *i = d->inode;
	char v;

	return i->ops->getxattr && i->ops->getxattr(i, k, opaque(o), &v, 1) == 1 && v == 'y';
}

int
ovl_set_opaque(const struct ovl_super *o, const struct call *k, const struct path *p)
{
	return vfs_setxattr(k, p, opaque(o), "y", 1, 0) ? -EIO : 0;
}

ssize_t
ovl_getxattr(struct inode *i, const struct call *c, const char *name, void *buf, size_t size)
{
	const struct ovl_super *o = ovl_super_of(i->sb);
	struct inode *real = ovl_real(ovl_node_of(i)).dentry->inode;
	struct call k = ovl_call(o, c);
	char below[LX_XATTR_NAME_MAX + 1];
	int r = real_name(o, &name, below);

	if (r)
		return r;
	if (!real->ops->getxattr)
		return -EOPNOTSUPP;
	return real->ops->getxattr(real, &k, name, buf, size);
}

/* Copy up, and lock the real one. */
static int
open_upper(struct inode *i, const struct call *c, struct inode **ret)
{
	struct ovl_node *n = ovl_node_of(i);
	struct inode *real;
	int r = ovl_copy_up(n, c, INT64_MAX);

	if (r)
		return r;
	real = atomic_load(&n->upper)->inode;
	if (!real->ops->setxattr || !real->ops->removexattr)
		return -EOPNOTSUPP;
	*ret = real;
	return sleeplock_lock_killable(&real->dir_lock);
}

static void
close_upper(struct inode *i, struct inode *real, const struct call *c)
{
	inode_acl_changed(real);
	sleeplock_unlock(&real->dir_lock);
	ovl_refresh(i, c, false);
}

int
ovl_setxattr(struct inode *i, const struct call *c, const char *name, const void *val, size_t size,
	int flags)
{
	struct call k = ovl_call(ovl_super_of(i->sb), c);
	char buf[LX_XATTR_NAME_MAX + 1];
	struct inode *real;
	int r = real_name(ovl_super_of(i->sb), &name, buf);

	if (!r)
		r = open_upper(i, c, &real);
	if (r)
		return r;
	r = real->ops->setxattr(real, &k, name, val, size, flags);
	close_upper(i, real, c);
	return r;
}

int
ovl_removexattr(struct inode *i, const struct call *c, const char *name)
{
	struct call k = ovl_call(ovl_super_of(i->sb), c);
	char buf[LX_XATTR_NAME_MAX + 1];
	struct inode *real;
	ssize_t n;
	int r;

	/* what is not there is no reason to copy */
	n = ovl_getxattr(i, c, name, NULL, 0);
	if (n < 0)
		return (int)n;
	r = real_name(ovl_super_of(i->sb), &name, buf);
	if (!r)
		r = open_upper(i, c, &real);
	if (r)
		return r;
	r = real->ops->removexattr(real, &k, name);
	close_upper(i, real, c);
	return r;
}

/* The name that an escaped one stands for, in the place of it or before; its bytes. */
static ssize_t
put_plain(const struct ovl_super *o, char *to, const char *name)
{
	const size_t n = strlen(prefix(o));
	const char *rest = name + n + strlen(ESCAPE);
	const size_t len = strlen(rest) + 1;

	memmove(to, name, n);
	memmove(to + n, rest, len);
	return (ssize_t)(n + len);
}

ssize_t
ovl_listxattr(struct inode *i, const struct call *c, char *buf, size_t size)
{
	const struct ovl_super *o = ovl_super_of(i->sb);
	struct inode *real = ovl_real(ovl_node_of(i)).dentry->inode;
	struct call k = ovl_call(o, c);
	ssize_t n, out = 0;
	char *all;

	if (!real->ops->listxattr)
		return 0;
	all = malloc(LX_XATTR_LIST_MAX);
	if (!all)
		return -ENOMEM;
	n = real->ops->listxattr(real, &k, all, LX_XATTR_LIST_MAX);
	for (ssize_t at = 0; at < n;) {
		ssize_t len = (ssize_t)strlen(all + at) + 1;

		if (is_escaped(o, all + at)) {
			out += put_plain(o, all + out, all + at);
		} else if (!is_own(o, all + at)) {
			memmove(all + out, all + at, (size_t)len);
			out += len;
		}
		at += len;
	}
	if (n >= 0)
		n = size && (size_t)out > size ? -ERANGE : out;
	if (n > 0 && size)
		memcpy(buf, all, (size_t)n);
	free(all);
	return n;
}
