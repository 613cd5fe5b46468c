/* SPDX-License-Identifier: Apache-2.0 */
/* overlay: extended attributes, the lower inode's until the first change. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

/* Who answers: the copy, the lower inode, or nobody. */
static struct inode *
source(struct onode *n)
{
	struct inode *x = __atomic_load_n(&n->xattrs, __ATOMIC_ACQUIRE);

	return x ? x : n->lower;
}

ssize_t
overlay_getxattr(struct inode *i, const struct call *c, const char *name, void *buf, size_t size)
{
	struct inode *s = source(onode_of(i));

	if (!s)
		return -ENODATA;
	return s->ops->getxattr ? s->ops->getxattr(s, c, name, buf, size) : -EOPNOTSUPP;
}

ssize_t
overlay_listxattr(struct inode *i, const struct call *c, char *buf, size_t size)
{
	struct inode *s = source(onode_of(i));

	return s && s->ops->listxattr ? s->ops->listxattr(s, c, buf, size) : 0;
}

static int
copy_one(struct inode *from, struct inode *to, const struct call *c, const char *name, char *val)
{
	ssize_t n = from->ops->getxattr(from, c, name, val, LX_XATTR_SIZE_MAX);
	int r;

	if (n == -ENODATA || n == -EOPNOTSUPP)
		return 0;
	if (n < 0)
		return (int)n;
	sleeplock_lock(&to->dir_lock);
	r = to->ops->setxattr(to, c, name, val, (size_t)n, 0);
	sleeplock_unlock(&to->dir_lock);
	return r;
}

/* Copy all up before one changes. The node's dir_lock is held. */
static int
copy_up(struct onode *n, const struct call *c, struct inode **ret)
{
	struct inode_spec spec = {.mode = LX_S_IFLNK | 0777}; /* no contents */
	struct inode *l = n->lower, *x;
	char *names = NULL, *val = NULL;
	ssize_t len = 0;
	int r;

	*ret = n->xattrs;
	if (n->xattrs)
		return 0;
	r = tmpfs_inode_new(osuper_of(n->i.sb)->upper, &spec, &x);
	if (r)
		return r;
	if (l && l->ops->listxattr && l->ops->getxattr) {
		names = malloc(LX_XATTR_LIST_MAX);
		val = malloc(LX_XATTR_SIZE_MAX);
		if (!names || !val)
			r = -ENOMEM;
		else
			len = l->ops->listxattr(l, c, names, LX_XATTR_LIST_MAX);
		if (len < 0 && len != -EOPNOTSUPP)
			r = (int)len;
		for (ssize_t at = 0; !r && at < len; at += (ssize_t)strlen(names + at) + 1)
			r = copy_one(l, x, c, names + at, val);
	}
	free(names);
	free(val);
	if (r) {
		inode_put(x);
		return r;
	}
	onode_pin(n);
	__atomic_store_n(&n->xattrs, x, __ATOMIC_RELEASE);
	*ret = x;
	return 0;
}

int
overlay_setxattr(struct inode *i, const struct call *c, const char *name, const void *val,
	size_t size, int flags)
{
	struct inode *x;
	int r = copy_up(onode_of(i), c, &x);

	if (r)
		return r;
	sleeplock_lock(&x->dir_lock);
	r = x->ops->setxattr(x, c, name, val, size, flags);
	sleeplock_unlock(&x->dir_lock);
	if (!r)
		inode_touch(i, INODE_T_CTIME);
	return r;
}

int
overlay_removexattr(struct inode *i, const struct call *c, const char *name)
{
	struct inode *x;
	int r = copy_up(onode_of(i), c, &x);

	if (r)
		return r;
	sleeplock_lock(&x->dir_lock);
	r = x->ops->removexattr(x, c, name);
	sleeplock_unlock(&x->dir_lock);
	if (!r)
		inode_touch(i, INODE_T_CTIME);
	return r;
}
