/* SPDX-License-Identifier: Apache-2.0 */
/* inotify(7). */
#include "abi/fs.h"
#include "file_util.h"
#include "sentry/event/event.h"

int64_t
sys_inotify_init1(struct task *t, const uint64_t a[6])
{
	uint32_t flags = (uint32_t)a[0];
	struct file *f;
	int err;

	if (flags & ~(uint32_t)(LX_O_CLOEXEC | LX_O_NONBLOCK))
		return -EINVAL;
	err = inotify_new(t->cred, flags & LX_O_NONBLOCK, &f);
	return err ? err : task_fd_install_put(t, f, flags & LX_O_CLOEXEC);
}

int64_t
sys_inotify_init(struct task *t, const uint64_t a[6])
{
	const uint64_t none[6] = {0};

	(void)a;
	return sys_inotify_init1(t, none);
}

int64_t
sys_inotify_add_watch(struct task *t, const uint64_t a[6])
{
	uint32_t mask = (uint32_t)a[2];
	struct path p;
	struct file *f;
	int r = inotify_check_mask(mask);

	if (r)
		return r;
	f = task_file(t, arg_int(a[0]));
	if (!f)
		return -EBADF;
	r = inotify_is(f) ? 0 : -EINVAL;
	if (!r)
		r = upath_lookup(t, LX_AT_FDCWD, a[1],
			mask & LX_IN_DONT_FOLLOW ? LX_AT_SYMLINK_NOFOLLOW : 0, &p);
	if (!r) {
		if ((mask & LX_IN_ONLYDIR) && !inode_is_dir(p.dentry->inode))
			r = -ENOTDIR;
		if (!r)
			r = inode_permission(p.dentry->inode, &t->call, LX_R_OK);
		if (!r)
			r = inotify_add(f, &p, mask);
		path_put(&p);
	}
	file_put(f);
	return r;
}

int64_t
sys_inotify_rm_watch(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file(t, arg_int(a[0]));
	int r;

	if (!f)
		return -EBADF;
	r = inotify_is(f) ? inotify_rm(f, arg_int(a[1])) : -EINVAL;
	file_put(f);
	return r;
}
