/* SPDX-License-Identifier: Apache-2.0 */
/* open_tree, move_mount, fsopen, fsconfig, fsmount, fspick, mount_setattr. */
#include "abi/fs.h"
#include "abi/mount.h"
#include "file_util.h"
#include "sentry/cred/user_ns.h"
#include "sentry/vfs/fs_context.h"
#include "sentry/vfs/mount.h"
#include <stdlib.h>
#include <string.h>

#define LX_AT_RECURSIVE 0x8000

/* --- trees --- */

int64_t
sys_open_tree(struct task *t, const uint64_t a[6])
{
	const uint32_t known = LX_AT_EMPTY_PATH | LX_AT_NO_AUTOMOUNT | LX_AT_RECURSIVE |
			       LX_AT_SYMLINK_NOFOLLOW | LX_OPEN_TREE_CLONE | LX_OPEN_TREE_CLOEXEC;
	const struct open_spec how = {.flags = LX_O_PATH};
	uint32_t flags = (uint32_t)a[2];
	bool clone = flags & LX_OPEN_TREE_CLONE;
	struct mount *m;
	struct path p;
	struct file *f;
	int r;

	if ((flags & ~known) || ((flags & LX_AT_RECURSIVE) && !clone))
		return -EINVAL;
	if (clone && !mnt_may_mount(&t->call))
		return -EPERM;
	r = upath_lookup(t, arg_int(a[0]), a[1],
		(int)flags & (LX_AT_EMPTY_PATH | LX_AT_SYMLINK_NOFOLLOW), &p);
	if (r)
		return r;
	if (!clone) {
		r = vfs_open_path(&t->call, &p, &how, &f);
	} else {
		r = mnt_clone(&t->call, &p, flags & LX_AT_RECURSIVE, &m);
		if (!r)
			r = vfs_open_detached(&t->call, m, &f);
	}
	path_put(&p);
	return r ? r : task_fd_install_put(t, f, flags & LX_OPEN_TREE_CLOEXEC);
}

static int
move(struct task *t, const struct path *from, const struct path *to)
{
	if (to->mnt->ns != t->fs->ns || !mnt_is_ours(&t->call, from->mnt))
		return -EINVAL;
	return mnt_move(from, to);
}

int64_t
sys_move_mount(struct task *t, const uint64_t a[6])
{
	const uint32_t known = LX_MOVE_MOUNT_F_SYMLINKS | LX_MOVE_MOUNT_F_AUTOMOUNTS |
			       LX_MOVE_MOUNT_F_EMPTY_PATH | LX_MOVE_MOUNT_T_SYMLINKS |
			       LX_MOVE_MOUNT_T_AUTOMOUNTS | LX_MOVE_MOUNT_T_EMPTY_PATH;
	uint32_t flags = (uint32_t)a[4];
	struct path from, to;
	int r;

	if (!mnt_may_mount(&t->call))
		return -EPERM;
	if (flags & ~known)
		return -EINVAL;
	r = upath_lookup(t, arg_int(a[0]), a[1],
		(flags & LX_MOVE_MOUNT_F_SYMLINKS ? 0 : LX_AT_SYMLINK_NOFOLLOW) |
			(flags & LX_MOVE_MOUNT_F_EMPTY_PATH ? LX_AT_EMPTY_PATH : 0),
		&from);
	if (r)
		return r;
	r = upath_lookup(t, arg_int(a[2]), a[3],
		(flags & LX_MOVE_MOUNT_T_SYMLINKS ? 0 : LX_AT_SYMLINK_NOFOLLOW) |
			(flags & LX_MOVE_MOUNT_T_EMPTY_PATH ? LX_AT_EMPTY_PATH : 0),
		&to);
	if (!r) {
		r = move(t, &from, &to);
		path_put(&to);
	}
	path_put(&from);
	return r;
}

/* --- attributes --- */

/* MOUNT_ATTR_* but the kind of atime. */
static uint32_t
flags_of_attr(uint64_t attr)
{
	static const struct {
		uint32_t attr, flag;
	} map[] = {{LX_MOUNT_ATTR_RDONLY, MNT_RDONLY}, {LX_MOUNT_ATTR_NOSUID, MNT_NOSUID},
		{LX_MOUNT_ATTR_NODEV, MNT_NODEV}, {LX_MOUNT_ATTR_NOEXEC, MNT_NOEXEC},
		{LX_MOUNT_ATTR_NODIRATIME, MNT_NODIRATIME},
		{LX_MOUNT_ATTR_NOSYMFOLLOW, MNT_NOSYMFOLLOW}};
	uint32_t flags = 0;

	for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
		if (attr & map[i].attr)
			flags |= map[i].flag;
	return flags;
}

static int
atime_of_attr(uint64_t attr, uint32_t *flags)
{
	switch (attr & LX_MOUNT_ATTR__ATIME) {
	case LX_MOUNT_ATTR_RELATIME:
		*flags |= MNT_RELATIME;
		return 0;
	case LX_MOUNT_ATTR_NOATIME:
		*flags |= MNT_NOATIME;
		return 0;
	case LX_MOUNT_ATTR_STRICTATIME:
		return 0;
	default:
		return -EINVAL;
	}
}

#define ATTR_KNOWN                                                                                 \
	((uint64_t)(LX_MOUNT_ATTR_RDONLY | LX_MOUNT_ATTR_NOSUID | LX_MOUNT_ATTR_NODEV |            \
		    LX_MOUNT_ATTR_NOEXEC | LX_MOUNT_ATTR__ATIME | LX_MOUNT_ATTR_NODIRATIME |       \
		    LX_MOUNT_ATTR_NOSYMFOLLOW))
#define ATTR_PROPAGATION ((uint64_t)(LX_MS_SHARED | LX_MS_PRIVATE | LX_MS_SLAVE | LX_MS_UNBINDABLE))

static int
attr_in(struct task *t, uint64_t addr, uint64_t size, struct lx_mount_attr *ret)
{
	uint8_t rest[64];

	if (copy_in(t->call.um, ret, ua(addr), sizeof *ret))
		return -EFAULT;
	for (uint64_t at = sizeof *ret; at < size; at += sizeof rest) {
		size_t n = size - at < sizeof rest ? size - at : sizeof rest;

		if (copy_in(t->call.um, rest, ua(addr + at), n))
			return -EFAULT;
		for (size_t i = 0; i < n; i++)
			if (rest[i])
				return -E2BIG;
	}
	return 0;
}

/* What none of the file systems here can. */
static int
refuse_idmap(struct task *t, const struct lx_mount_attr *at)
{
	struct file *f;

	if ((at->attr_clr & LX_MOUNT_ATTR_IDMAP) || at->userns_fd > INT32_MAX)
		return -EINVAL;
	f = task_file(t, (int)at->userns_fd);
	if (!f)
		return -EBADF;
	file_put(f);
	return -EINVAL;
}

static int
attr_parse(struct task *t, const struct lx_mount_attr *at, uint32_t *clear, uint32_t *set)
{
	uint64_t atime = at->attr_clr & LX_MOUNT_ATTR__ATIME;
	int r = 0;

	if ((at->propagation & ~ATTR_PROPAGATION) || (at->propagation & (at->propagation - 1)))
		return -EINVAL;
	if ((at->attr_set | at->attr_clr) & ~(ATTR_KNOWN | LX_MOUNT_ATTR_IDMAP))
		return -EINVAL;
	*set = flags_of_attr(at->attr_set);
	*clear = flags_of_attr(at->attr_clr);
	/* one kind of atime takes the place of another: all of them have to be cleared */
	if (atime && atime != LX_MOUNT_ATTR__ATIME)
		return -EINVAL;
	if (!atime && (at->attr_set & LX_MOUNT_ATTR__ATIME))
		return -EINVAL;
	if (atime) {
		*clear |= MNT_RELATIME | MNT_NOATIME;
		r = atime_of_attr(at->attr_set, set);
	}
	if (!r && ((at->attr_set | at->attr_clr) & LX_MOUNT_ATTR_IDMAP))
		r = refuse_idmap(t, at);
	return r;
}

int64_t
sys_mount_setattr(struct task *t, const uint64_t a[6])
{
	const uint32_t known =
		LX_AT_EMPTY_PATH | LX_AT_RECURSIVE | LX_AT_SYMLINK_NOFOLLOW | LX_AT_NO_AUTOMOUNT;
	uint32_t flags = (uint32_t)a[2], clear, set;
	struct lx_mount_attr at;
	struct path p;
	int r;

	if (flags & ~known)
		return -EINVAL;
	if (a[4] > LX_PAGE_SIZE)
		return -E2BIG;
	if (a[4] < sizeof at)
		return -EINVAL;
	if (!mnt_may_mount(&t->call))
		return -EPERM;
	r = attr_in(t, a[3], a[4], &at);
	if (r || (!at.attr_set && !at.attr_clr && !at.propagation))
		return r;
	r = attr_parse(t, &at, &clear, &set);
	if (!r)
		r = upath_lookup(t, arg_int(a[0]), a[1],
			(int)flags & (LX_AT_EMPTY_PATH | LX_AT_SYMLINK_NOFOLLOW), &p);
	if (r)
		return r;
	r = mnt_set_attr(
		&t->call, &p, flags & LX_AT_RECURSIVE, clear, set, (uint32_t)at.propagation);
	path_put(&p);
	return r;
}

/* --- contexts --- */

static int
param_in(struct task *t, uint64_t addr, char **ret)
{
	int r = ustr_get(t, addr, FS_PARAM_MAX, ret);

	return r == -ENAMETOOLONG ? -EINVAL : r;
}

int64_t
sys_fsopen(struct task *t, const uint64_t a[6])
{
	struct file *f;
	char *name;
	int r;

	if (!mnt_may_mount(&t->call))
		return -EPERM;
	if (a[1] & ~(uint64_t)LX_FSOPEN_CLOEXEC)
		return -EINVAL;
	r = ustr_get(t, a[0], LX_PAGE_SIZE, &name);
	if (r)
		return r == -ENAMETOOLONG ? -EINVAL : r;
	r = fs_context_open(name, &f);
	free(name);
	return r ? r : task_fd_install_put(t, f, a[1] & LX_FSOPEN_CLOEXEC);
}

int64_t
sys_fspick(struct task *t, const uint64_t a[6])
{
	const uint32_t known = LX_FSPICK_CLOEXEC | LX_FSPICK_SYMLINK_NOFOLLOW |
			       LX_FSPICK_NO_AUTOMOUNT | LX_FSPICK_EMPTY_PATH;
	uint32_t flags = (uint32_t)a[2];
	struct path p;
	struct file *f;
	int r;

	if (!mnt_may_mount(&t->call))
		return -EPERM;
	if (flags & ~known)
		return -EINVAL;
	r = upath_lookup(t, arg_int(a[0]), a[1],
		(flags & LX_FSPICK_SYMLINK_NOFOLLOW ? LX_AT_SYMLINK_NOFOLLOW : 0) |
			(flags & LX_FSPICK_EMPTY_PATH ? LX_AT_EMPTY_PATH : 0),
		&p);
	if (r)
		return r;
	r = fs_context_pick(&p, &f);
	path_put(&p);
	return r ? r : task_fd_install_put(t, f, flags & LX_FSPICK_CLOEXEC);
}

static int
config_check(uint32_t cmd, bool key, bool value, int aux)
{
	switch (cmd) {
	case LX_FSCONFIG_SET_FLAG:
		return key && !value && !aux ? 0 : -EINVAL;
	case LX_FSCONFIG_SET_STRING:
		return key && value && !aux ? 0 : -EINVAL;
	case LX_FSCONFIG_SET_BINARY:
		return key && value && aux > 0 && aux <= 1024 * 1024 ? 0 : -EINVAL;
	case LX_FSCONFIG_SET_PATH:
	case LX_FSCONFIG_SET_PATH_EMPTY:
		return key && value && (aux == LX_AT_FDCWD || aux >= 0) ? 0 : -EINVAL;
	case LX_FSCONFIG_SET_FD:
		return key && !value && aux >= 0 ? 0 : -EINVAL;
	case LX_FSCONFIG_CMD_CREATE:
	case LX_FSCONFIG_CMD_CREATE_EXCL:
	case LX_FSCONFIG_CMD_RECONFIGURE:
		return !key && !value && !aux ? 0 : -EINVAL;
	default:
		return -EOPNOTSUPP;
	}
}

static int
config_set(struct task *t, struct file *f, uint32_t cmd, uint64_t key_addr, uint64_t value_addr)
{
	char *key, *value = NULL;
	int r = param_in(t, key_addr, &key);

	if (r)
		return r;
	if (cmd == LX_FSCONFIG_SET_STRING)
		r = param_in(t, value_addr, &value);
	if (!r && (cmd == LX_FSCONFIG_SET_STRING || cmd == LX_FSCONFIG_SET_FLAG))
		r = fs_context_set(f, key, value);
	else if (!r)
		r = fs_context_refuse(f, key);
	free(key);
	free(value);
	return r;
}

int64_t
sys_fsconfig(struct task *t, const uint64_t a[6])
{
	uint32_t cmd = (uint32_t)a[1];
	struct file *f;
	int64_t r;

	if (arg_int(a[0]) < 0)
		return -EINVAL;
	r = config_check(cmd, a[2], a[3], arg_int(a[4]));
	if (r)
		return r;
	f = task_file(t, arg_int(a[0]));
	if (!f)
		return -EBADF;
	switch (cmd) {
	case LX_FSCONFIG_CMD_CREATE:
	case LX_FSCONFIG_CMD_CREATE_EXCL:
		r = fs_context_create(f, &t->call, cmd == LX_FSCONFIG_CMD_CREATE_EXCL);
		break;
	case LX_FSCONFIG_CMD_RECONFIGURE:
		r = fs_context_reconfigure(f, &t->call);
		break;
	default:
		r = config_set(t, f, cmd, a[2], a[3]);
		break;
	}
	file_put(f);
	return r;
}

int64_t
sys_fsmount(struct task *t, const uint64_t a[6])
{
	uint32_t attr = (uint32_t)a[2], flags = flags_of_attr(attr);
	struct file *f, *mounted;
	struct mount *m;
	int r;

	if (!mnt_may_mount(&t->call))
		return -EPERM;
	if (((uint32_t)a[1] & ~LX_FSMOUNT_CLOEXEC) || (attr & ~ATTR_KNOWN) ||
		atime_of_attr(attr, &flags))
		return -EINVAL;
	f = task_file(t, arg_int(a[0]));
	if (!f)
		return -EBADF;
	r = fs_context_mount(f, &t->call, flags, &m);
	file_put(f);
	if (!r)
		r = vfs_open_detached(&t->call, m, &mounted);
	return r ? r : task_fd_install_put(t, mounted, a[1] & LX_FSMOUNT_CLOEXEC);
}
