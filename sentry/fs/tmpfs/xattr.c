/* SPDX-License-Identifier: Apache-2.0 */
/* tmpfs: extended attributes, a short list per node. Who changes one has the node's dir_lock; the
 * list itself is under its inode's lock, so that it can be read with and without dir_lock. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

#define XATTR_BYTES_MAX (128u << 10) /* of one node, names and values */

static struct xattr *
find(struct tnode *n, const char *name)
{
	struct xattr *x;

	list_for_each_entry (x, &n->xattrs, node)
		if (!strcmp(x->name, name))
			return x;
	return NULL;
}

static void
drop(struct tnode *n, struct xattr *x)
{
	list_del(&x->node);
	n->xattr_bytes -= x->size + strlen(x->name);
	free(x);
}

void
txattr_free(struct tnode *n)
{
	while (!list_empty(&n->xattrs))
		drop(n, list_entry(n->xattrs.next, struct xattr, node));
}

ssize_t
txattr_get(struct inode *i, const struct call *c, const char *name, void *buf, size_t size)
{
	struct xattr *x;
	ssize_t r;

	(void)c;
	mutex_lock(&i->lock);
	x = find(tnode_of(i), name);
	if (!x) {
		r = -ENODATA;
	} else if (size && size < x->size) {
		r = -ERANGE;
	} else {
		r = (ssize_t)x->size;
		if (size)
			memcpy(buf, x->value, x->size);
	}
	mutex_unlock(&i->lock);
	return r;
}

int
txattr_set(struct inode *i, const struct call *c, const char *name, const void *val, size_t size,
	int flags)
{
	struct tnode *n = tnode_of(i);
	struct xattr *old = find(n, name), *x;
	size_t name_len = strlen(name), had = old ? old->size + name_len : 0;

	(void)c;
	if (old && (flags & LX_XATTR_CREATE))
		return -EEXIST;
	if (!old && (flags & LX_XATTR_REPLACE))
		return -ENODATA;
	if (n->xattr_bytes - had + size + name_len > XATTR_BYTES_MAX)
		return -ENOSPC;
	x = malloc(sizeof *x + size + name_len + 1);
	if (!x)
		return -ENOMEM;
	x->size = size;
	memcpy(x->value, val, size);
	x->name = x->value + size;
	memcpy(x->name, name, name_len + 1);
	mutex_lock(&i->lock);
	if (old)
		drop(n, old);
	list_push_back(&n->xattrs, &x->node);
	n->xattr_bytes += size + name_len;
	mutex_unlock(&i->lock);
	inode_touch(i, INODE_T_CTIME);
	return 0;
}

ssize_t
txattr_list(struct inode *i, const struct call *c, char *buf, size_t size)
{
	struct tnode *n = tnode_of(i);
	struct xattr *x;
	size_t at = 0;

	(void)c;
	mutex_lock(&i->lock);
	list_for_each_entry (x, &n->xattrs, node) {
		size_t len = strlen(x->name) + 1;

		if (size && at + len > size) {
			mutex_unlock(&i->lock);
			return -ERANGE;
		}
		if (size)
			memcpy(buf + at, x->name, len);
		at += len;
	}
	mutex_unlock(&i->lock);
	return (ssize_t)at;
}

int
txattr_remove(struct inode *i, const struct call *c, const char *name)
{
	struct tnode *n = tnode_of(i);
	struct xattr *x = find(n, name);

	(void)c;
	if (!x)
		return -ENODATA;
	mutex_lock(&i->lock);
	drop(n, x);
	mutex_unlock(&i->lock);
	inode_touch(i, INODE_T_CTIME);
	return 0;
}
