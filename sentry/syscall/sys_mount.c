/* SPDX-License-Identifier: Apache-2.0 */
/* mount, umount2, pivot_root. */
#include "abi/mount.h"
#include "file_util.h"
#include "sentry/vfs/mount.h"
#include <stdlib.h>
#include <string.h>

/* A page of options: as far as it can be read, like Linux's copy_mount_options. */
static int
options_get(struct task *t, uint64_t addr, char **ret)
{
	char *s;
	size_t got = 0;

	*ret = NULL;
	if (!addr)
		return 0;
	s = calloc(1, LX_PAGE_SIZE + 1);
	if (!s)
		return -ENOMEM;
	while (got < LX_PAGE_SIZE) {
		size_t n = 256 - ((addr + got) & 255);

		if (n > LX_PAGE_SIZE - got)
			n = LX_PAGE_SIZE - got;
		if (copy_in(t->call.um, s + got, ua(addr + got), n))
			break;
		got += n;
		if (memchr(s + got - n, 0, n))
			break;
	}
	if (!got) {
		free(s);
		return -EFAULT;
	}
	s[LX_PAGE_SIZE - 1] = 0;
	*ret = s;
	return 0;
}

static int
opt_str(struct task *t, uint64_t addr, char **ret)
{
	int r;

	*ret = NULL;
	if (!addr)
		return 0;
	r = ustr_get(t, addr, LX_PATH_MAX, ret);
	return r == -ENAMETOOLONG ? -EINVAL : r;
}

int64_t
sys_mount(struct task *t, const uint64_t a[6])
{
	char *source = NULL, *type = NULL, *options = NULL;
	struct upath target;
	int r = opt_str(t, a[2], &type);

	if (!r)
		r = opt_str(t, a[0], &source);
	if (!r)
		r = options_get(t, a[4], &options);
	if (!r)
		r = upath_get(t, &target, LX_AT_FDCWD, a[1], false);
	if (!r) {
		r = vfs_mount(&t->call, source, target.s, type, a[3], options);
		upath_fini(&target);
	}
	free(source);
	free(type);
	free(options);
	return r;
}

int64_t
sys_umount2(struct task *t, const uint64_t a[6])
{
	int flags = arg_int(a[1]);
	struct path p;
	int r;

	if (flags & ~(LX_MNT_FORCE | LX_MNT_DETACH | LX_MNT_EXPIRE | LX_UMOUNT_NOFOLLOW))
		return -EINVAL;
	r = upath_lookup(
		t, LX_AT_FDCWD, a[0], flags & LX_UMOUNT_NOFOLLOW ? LX_AT_SYMLINK_NOFOLLOW : 0, &p);
	if (r)
		return r;
	if (!mnt_may_mount(&t->call))
		r = -EPERM;
	else if (p.dentry != p.mnt->root || p.mnt->ns != t->fs->ns)
		r = -EINVAL;
	else if ((flags & LX_MNT_EXPIRE) && (flags & (LX_MNT_FORCE | LX_MNT_DETACH)))
		r = -EINVAL;
	else
		r = mnt_umount(&p, flags);
	path_put(&p);
	return r;
}

/* Tell every task's context (pivot_root moves roots and current directories that were the old
 * root). */
static void
each_fs(void (*fn)(struct fs_ctx *fs, void *arg), void *arg)
{
	struct fs_ctx **all = NULL;
	size_t n = 0, cap = 0;
	struct task *self = task_current();

	/* collected under the lock, told outside of it: fn takes locks of the vfs */
	mutex_lock(&tasklist_lock);
	for (int32_t tid = 1; tid < PID_MAX; tid++) {
		struct pid *p = pid_find_global_locked(tid);
		struct task *k = p ? p->task : NULL;

		if (!k || k == self)
			continue;
		if (n == cap) {
			struct fs_ctx **na =
				realloc(all, (cap = cap ? 2 * cap : 64) * sizeof(struct fs_ctx *));

			if (!na)
				break;
			all = na;
		}
		mutex_lock(&k->pt_lock);
		if (k->fs)
			all[n++] = fs_ctx_peek(k->fs);
		mutex_unlock(&k->pt_lock);
	}
	mutex_unlock(&tasklist_lock);
	for (size_t i = 0; i < n; i++) {
		fn(all[i], arg);
		fs_ctx_unpeek(all[i]);
	}
	free(all);
}

int64_t
sys_pivot_root(struct task *t, const uint64_t a[6])
{
	struct path nw, old;
	int r;

	if (!mnt_may_mount(&t->call))
		return -EPERM;
	r = upath_lookup(t, LX_AT_FDCWD, a[0], 0, &nw);
	if (r)
		return r;
	r = upath_lookup(t, LX_AT_FDCWD, a[1], 0, &old);
	if (!r) {
		if (!inode_is_dir(nw.dentry->inode) || !inode_is_dir(old.dentry->inode))
			r = -ENOTDIR;
		else
			r = mnt_pivot_root(t->fs, &nw, &old, each_fs);
		path_put(&old);
	}
	path_put(&nw);
	return r;
}
