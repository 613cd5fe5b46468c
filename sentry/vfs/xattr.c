/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes: who may see and change which (xattr(7); Linux: fs/xattr.c). Those of POSIX
 * ACLs are looked into (acl.c), any others of system.* are not there.
 */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

static bool
has_prefix(const char *name, const char *prefix)
{
	return !strncmp(name, prefix, strlen(prefix));
}

static int
check_name(const char *name)
{
	static const char *const known[] = {"user.", "trusted.", "security."};

	for (size_t i = 0; i < 3; i++)
		if (has_prefix(name, known[i]))
			return name[strlen(known[i])] ? 0 : -EINVAL;
	return -EOPNOTSUPP;
}

static int
xattr_permission(const struct call *c, struct inode *i, const char *name, int mask)
{
	bool write = mask & LX_W_OK;
	uint32_t mode = inode_mode(i);
	int r = check_name(name);

	if (r)
		return r;
	if (has_prefix(name, "security.")) {
		if (!write)
			return 0;
		if (!strcmp(name, "security.capability"))
			return cred_capable(c->cred, LX_CAP_SETFCAP) ? 0 : -EPERM;
		return cred_capable(c->cred, LX_CAP_SYS_ADMIN) ? 0 : -EPERM;
	}
	if (has_prefix(name, "trusted."))
		return cred_capable(c->cred, LX_CAP_SYS_ADMIN) ? 0 : write ? -EPERM : -ENODATA;
	if (!LX_S_ISREG(mode) && !LX_S_ISDIR(mode))
		return write ? -EPERM : -ENODATA;
	if (write && LX_S_ISDIR(mode) && (mode & LX_S_ISVTX) && !inode_owner_or_capable(i, c))
		return -EPERM;
	return inode_permission(i, c, mask);
}

ssize_t
vfs_getxattr(const struct call *c, const struct path *p, const char *name, void *buf, size_t size)
{
	struct inode *i = p->dentry->inode;
	int r;

	if (acl_is_name(name))
		return acl_getxattr(i, c, name, buf, size);
	r = xattr_permission(c, i, name, LX_R_OK);
	if (r)
		return r;
	return i->ops->getxattr ? i->ops->getxattr(i, c, name, buf, size) : -EOPNOTSUPP;
}

int
vfs_setxattr(const struct call *c, const struct path *p, const char *name, const void *val,
	size_t size, int flags)
{
	struct inode *i = p->dentry->inode;
	bool acl = acl_is_name(name);
	int r = mnt_want_write(p->mnt);

	if (!r && !acl)
		r = xattr_permission(c, i, name, LX_W_OK);
	if (r)
		return r;
	if (!i->ops->setxattr)
		return -EOPNOTSUPP;
	r = sleeplock_lock_killable(&i->dir_lock);
	if (r)
		return r;
	r = acl ? acl_setxattr(i, c, name, val, size)
		: i->ops->setxattr(i, c, name, val, size, flags);
	sleeplock_unlock(&i->dir_lock);
	if (!r)
		vfs_notify(p->dentry, LX_IN_ATTRIB);
	return r;
}

int
vfs_removexattr(const struct call *c, const struct path *p, const char *name)
{
	struct inode *i = p->dentry->inode;
	bool acl = acl_is_name(name);
	int r = mnt_want_write(p->mnt);

	if (!r && !acl)
		r = xattr_permission(c, i, name, LX_W_OK);
	if (r)
		return r;
	if (!i->ops->removexattr)
		return -EOPNOTSUPP;
	r = sleeplock_lock_killable(&i->dir_lock);
	if (r)
		return r;
	r = acl ? acl_removexattr(i, c, name) : i->ops->removexattr(i, c, name);
	sleeplock_unlock(&i->dir_lock);
	if (!r)
		vfs_notify(p->dentry, LX_IN_ATTRIB);
	return r;
}

ssize_t
vfs_listxattr(const struct call *c, const struct path *p, char *buf, size_t size)
{
	struct inode *i = p->dentry->inode;
	char *all;
	ssize_t n;
	size_t out = 0;

	if (!i->ops->listxattr)
		return 0;
	if (cred_capable(c->cred, LX_CAP_SYS_ADMIN))
		return i->ops->listxattr(i, c, buf, size);
	all = malloc(LX_XATTR_LIST_MAX);
	if (!all)
		return -ENOMEM;
	n = i->ops->listxattr(i, c, all, LX_XATTR_LIST_MAX);
	for (ssize_t at = 0; at < n;) {
		size_t len = strlen(all + at) + 1;

		if (!has_prefix(all + at, "trusted.")) {
			if (size && out + len > size) {
				free(all);
				return -ERANGE;
			}
			if (size)
				memcpy(buf + out, all + at, len);
			out += len;
		}
		at += (ssize_t)len;
	}
	free(all);
	return n < 0 ? n : (ssize_t)out;
}
