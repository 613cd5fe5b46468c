/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes. */
#include "file_util.h"
#include <stdlib.h>
#include <string.h>

/* Where the attribute is: a path (follow or not), or a descriptor. */
enum where {
	AT_PATH,
	AT_LINK,
	AT_FD,
};

static int
find(struct task *t, enum where w, uint64_t arg, struct path *p)
{
	struct file *f;

	if (w != AT_FD)
		return upath_lookup(
			t, LX_AT_FDCWD, arg, w == AT_LINK ? LX_AT_SYMLINK_NOFOLLOW : 0, p);
	f = task_file(t, arg_int(arg));
	if (!f)
		return -EBADF;
	*p = f->path;
	path_get(p);
	file_put(f);
	return 0;
}

static int
get_name(struct task *t, uint64_t addr, char **name)
{
	int r = ustr_get(t, addr, LX_XATTR_NAME_MAX + 1, name);

	if (!r && !**name) {
		free(*name);
		r = -ERANGE;
	}
	return r == -ENAMETOOLONG ? -ERANGE : r;
}

static int64_t
do_set(struct task *t, const uint64_t a[6], enum where w)
{
	int flags = arg_int(a[4]);
	char *name, *val = NULL;
	struct path p;
	int r;

	if (flags & ~(LX_XATTR_CREATE | LX_XATTR_REPLACE))
		return -EINVAL;
	r = get_name(t, a[1], &name);
	if (r)
		return r;
	if (a[3] > LX_XATTR_SIZE_MAX)
		r = -E2BIG;
	else if (!(val = malloc(a[3] + 1)))
		r = -ENOMEM;
	else if (copy_in(t->call.um, val, ua(a[2]), a[3]))
		r = -EFAULT;
	if (!r)
		r = find(t, w, a[0], &p);
	if (!r) {
		r = vfs_setxattr(&t->call, &p, name, val, a[3], flags);
		path_put(&p);
	}
	free(name);
	free(val);
	return r;
}

static int64_t
do_get(struct task *t, const uint64_t a[6], enum where w)
{
	size_t size = a[3] < LX_XATTR_SIZE_MAX ? a[3] : LX_XATTR_SIZE_MAX;
	char *name, *val = NULL;
	struct path p;
	ssize_t n = get_name(t, a[1], &name);

	if (n)
		return n;
	if (size && !(val = malloc(size)))
		n = -ENOMEM;
	if (!n)
		n = find(t, w, a[0], &p);
	if (!n) {
		n = vfs_getxattr(&t->call, &p, name, val, size);
		path_put(&p);
		if (n > 0 && size && copy_out(t->call.um, ua(a[2]), val, (size_t)n))
			n = -EFAULT;
		else if (n == -ERANGE && size >= LX_XATTR_SIZE_MAX)
			n = -E2BIG;
	}
	free(name);
	free(val);
	return n;
}

static int64_t
do_list(struct task *t, const uint64_t a[6], enum where w)
{
	size_t size = a[2] < LX_XATTR_LIST_MAX ? a[2] : LX_XATTR_LIST_MAX;
	char *list = NULL;
	struct path p;
	ssize_t n = 0;

	if (size && !(list = malloc(size)))
		return -ENOMEM;
	n = find(t, w, a[0], &p);
	if (!n) {
		n = vfs_listxattr(&t->call, &p, list, size);
		path_put(&p);
		if (n > 0 && size && copy_out(t->call.um, ua(a[1]), list, (size_t)n))
			n = -EFAULT;
		else if (n == -ERANGE && size >= LX_XATTR_LIST_MAX)
			n = -E2BIG;
	}
	free(list);
	return n;
}

static int64_t
do_remove(struct task *t, const uint64_t a[6], enum where w)
{
	struct path p;
	char *name;
	int r = get_name(t, a[1], &name);

	if (r)
		return r;
	r = find(t, w, a[0], &p);
	if (!r) {
		r = vfs_removexattr(&t->call, &p, name);
		path_put(&p);
	}
	free(name);
	return r;
}

#define XATTR_SYSCALL(name, fn, where)                                                             \
	int64_t sys_##name(struct task *t, const uint64_t a[6])                                    \
	{                                                                                          \
		return fn(t, a, where);                                                            \
	}

XATTR_SYSCALL(setxattr, do_set, AT_PATH)
XATTR_SYSCALL(lsetxattr, do_set, AT_LINK)
XATTR_SYSCALL(fsetxattr, do_set, AT_FD)
XATTR_SYSCALL(getxattr, do_get, AT_PATH)
XATTR_SYSCALL(lgetxattr, do_get, AT_LINK)
XATTR_SYSCALL(fgetxattr, do_get, AT_FD)
XATTR_SYSCALL(listxattr, do_list, AT_PATH)
XATTR_SYSCALL(llistxattr, do_list, AT_LINK)
XATTR_SYSCALL(flistxattr, do_list, AT_FD)
XATTR_SYSCALL(removexattr, do_remove, AT_PATH)
XATTR_SYSCALL(lremovexattr, do_remove, AT_LINK)
XATTR_SYSCALL(fremovexattr, do_remove, AT_FD)
