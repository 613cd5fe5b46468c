/* SPDX-License-Identifier: Apache-2.0 */
/* Directories: reading them, the current one, making and removing names. */
#include "abi/dirent.h"
#include "file_util.h"
#include <stdlib.h>
#include <string.h>

#define DENTS_MAX (64u << 10) /* of one call */

struct dents {
	struct dir_emit e;
	char *buf;
	size_t cap, used;
	bool old_layout, too_small;
};

static bool
emit(struct dir_emit *e, const char *name, size_t len, uint64_t ino, uint8_t type, int64_t next_off)
{
	struct dents *d = container_of(e, struct dents, e);
	size_t head = d->old_layout ? sizeof(struct lx_dirent) : sizeof(struct lx_dirent64);
	size_t need = (head + len + 1 + d->old_layout + 7) & ~(size_t)7;
	char *at = d->buf + d->used;

	if (need > d->cap - d->used) {
		d->too_small = !d->used;
		return false;
	}
	memset(at, 0, need);
	if (d->old_layout) {
		struct lx_dirent *o = (struct lx_dirent *)at;

		o->ino = ino;
		o->off = (uint64_t)next_off;
		o->reclen = (uint16_t)need;
		memcpy(at + head, name, len);
		at[need - 1] = (char)type;
	} else {
		struct lx_dirent64 *o = (struct lx_dirent64 *)at;

		o->ino = ino;
		o->off = next_off;
		o->reclen = (uint16_t)need;
		o->type = type;
		memcpy(at + head, name, len);
	}
	d->used += need;
	return true;
}

static int64_t
getdents(struct task *t, const uint64_t a[6], bool old_layout)
{
	struct file *f = task_file(t, arg_int(a[0]));
	uint32_t count = (uint32_t)a[2];
	struct dents d = {.e = {emit}, .old_layout = old_layout};
	int64_t r;

	if (!f)
		return -EBADF;
	d.cap = count < DENTS_MAX ? count : DENTS_MAX;
	d.buf = malloc(d.cap ? d.cap : 1);
	if (!d.buf)
		r = -ENOMEM;
	else
		r = vfs_iterate(f, &t->call, &d.e);
	if (!r && d.too_small)
		r = -EINVAL;
	if (!r)
		r = copy_out(t->call.um, ua(a[1]), d.buf, d.used) ? -EFAULT : (int64_t)d.used;
	free(d.buf);
	file_put(f);
	return r;
}

int64_t
sys_getdents(struct task *t, const uint64_t a[6])
{
	return getdents(t, a, true);
}

int64_t
sys_getdents64(struct task *t, const uint64_t a[6])
{
	return getdents(t, a, false);
}

int64_t
sys_getcwd(struct task *t, const uint64_t a[6])
{
	struct path root, cwd;
	char *buf = malloc(LX_PATH_MAX + 64), *s;
	int64_t r;
	int err;

	if (!buf)
		return -ENOMEM;
	fs_ctx_root(t->fs, &root);
	fs_ctx_cwd(t->fs, &cwd);
	s = vfs_d_path(&cwd, &root, buf, LX_PATH_MAX + 32, &err);
	if (!s) {
		r = err;
	} else if ((atomic_load(&cwd.dentry->flags) & DENTRY_DEAD)) {
		r = -ENOENT;
	} else {
		size_t len = strlen(s) + 1;

		if (len > LX_PATH_MAX)
			r = -ENAMETOOLONG;
		else if (len > a[1])
			r = -ERANGE;
		else
			r = copy_out(t->call.um, ua(a[0]), s, len) ? -EFAULT : (int64_t)len;
	}
	path_put(&root);
	path_put(&cwd);
	free(buf);
	return r;
}

static int
go_to(struct task *t, const struct path *p)
{
	int r;

	if (!inode_is_dir(p->dentry->inode))
		return -ENOTDIR;
	r = inode_access(p->dentry->inode, &t->call, LX_X_OK);
	if (!r)
		fs_ctx_set_cwd(t->fs, p);
	return r;
}

int64_t
sys_chdir(struct task *t, const uint64_t a[6])
{
	struct path p;
	int r = upath_lookup(t, LX_AT_FDCWD, a[0], 0, &p);

	if (r)
		return r;
	r = go_to(t, &p);
	path_put(&p);
	return r;
}

int64_t
sys_fchdir(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file_raw(t, arg_int(a[0]));
	int r;

	if (!f)
		return -EBADF;
	r = go_to(t, &f->path);
	file_put(f);
	return r;
}

int64_t
sys_chroot(struct task *t, const uint64_t a[6])
{
	struct path p;
	int r = upath_lookup(t, LX_AT_FDCWD, a[0], 0, &p);

	if (r)
		return r;
	if (!inode_is_dir(p.dentry->inode))
		r = -ENOTDIR;
	if (!r)
		r = inode_permission(p.dentry->inode, &t->call, LX_X_OK);
	if (!r && !cred_capable_own(t->cred, LX_CAP_SYS_CHROOT))
		r = -EPERM;
	if (!r)
		fs_ctx_set_root(t->fs, &p);
	path_put(&p);
	return r;
}

static int64_t
do_mkdir(struct task *t, int dirfd, uint64_t path, uint64_t mode)
{
	struct upath p;
	int r = upath_get(t, &p, dirfd, path, false);

	if (r)
		return r;
	r = vfs_mkdir(&t->call, p.base, p.s, (uint32_t)mode);
	upath_fini(&p);
	return r;
}

int64_t
sys_mkdir(struct task *t, const uint64_t a[6])
{
	return do_mkdir(t, LX_AT_FDCWD, a[0], a[1]);
}

int64_t
sys_mkdirat(struct task *t, const uint64_t a[6])
{
	return do_mkdir(t, arg_int(a[0]), a[1], a[2]);
}

static int64_t
do_unlink(struct task *t, int dirfd, uint64_t path, bool dir)
{
	struct upath p;
	int r = upath_get(t, &p, dirfd, path, false);

	if (r)
		return r;
	r = (dir ? vfs_rmdir : vfs_unlink)(&t->call, p.base, p.s);
	upath_fini(&p);
	return r;
}

int64_t
sys_rmdir(struct task *t, const uint64_t a[6])
{
	return do_unlink(t, LX_AT_FDCWD, a[0], true);
}

int64_t
sys_unlink(struct task *t, const uint64_t a[6])
{
	return do_unlink(t, LX_AT_FDCWD, a[0], false);
}

int64_t
sys_unlinkat(struct task *t, const uint64_t a[6])
{
	if (arg_int(a[2]) & ~LX_AT_REMOVEDIR)
		return -EINVAL;
	return do_unlink(t, arg_int(a[0]), a[1], a[2] & LX_AT_REMOVEDIR);
}

static int64_t
do_mknod(struct task *t, int dirfd, uint64_t path, uint32_t mode, uint64_t dev)
{
	uint32_t type = mode & LX_S_IFMT;
	struct upath p;
	int r;

	if (type == LX_S_IFDIR)
		return -EPERM;
	if (type && type != LX_S_IFREG && type != LX_S_IFCHR && type != LX_S_IFBLK &&
		type != LX_S_IFIFO && type != LX_S_IFSOCK)
		return -EINVAL;
	r = upath_get(t, &p, dirfd, path, false);
	if (r)
		return r;
	r = vfs_mknod(&t->call, p.base, p.s, mode, lx_dev_decode(dev));
	upath_fini(&p);
	return r;
}

int64_t
sys_mknod(struct task *t, const uint64_t a[6])
{
	return do_mknod(t, LX_AT_FDCWD, a[0], (uint32_t)a[1] & 0xffffu, a[2]);
}

int64_t
sys_mknodat(struct task *t, const uint64_t a[6])
{
	return do_mknod(t, arg_int(a[0]), a[1], (uint32_t)a[2] & 0xffffu, a[3]);
}

static int64_t
do_symlink(struct task *t, uint64_t target, int dirfd, uint64_t path)
{
	struct upath p, to;
	int r = upath_get(t, &to, LX_AT_FDCWD, target, false);

	if (r)
		return r;
	r = upath_get(t, &p, dirfd, path, false);
	if (!r) {
		r = vfs_symlink(&t->call, to.s, p.base, p.s);
		upath_fini(&p);
	}
	upath_fini(&to);
	return r;
}

int64_t
sys_symlink(struct task *t, const uint64_t a[6])
{
	return do_symlink(t, a[0], LX_AT_FDCWD, a[1]);
}

int64_t
sys_symlinkat(struct task *t, const uint64_t a[6])
{
	return do_symlink(t, a[0], arg_int(a[1]), a[2]);
}

static int64_t
do_link(struct task *t, int odir, uint64_t old, int ndir, uint64_t nw, int flags)
{
	struct upath p, q;
	int r;

	if (flags & ~(LX_AT_SYMLINK_FOLLOW | LX_AT_EMPTY_PATH))
		return -EINVAL;
	r = upath_get(t, &p, odir, old, flags & LX_AT_EMPTY_PATH);
	if (r)
		return r;
	r = upath_get(t, &q, ndir, nw, false);
	if (!r) {
		/* giving a name to what only a descriptor reaches takes a capability, unless it is
		 * one's own file */
		if ((flags & LX_AT_EMPTY_PATH) && !*p.s &&
			!cred_capable(t->cred, LX_CAP_DAC_READ_SEARCH) &&
			!(p.dir && p.dir->cred == t->cred))
			r = -ENOENT;
		else
			r = vfs_link(&t->call, p.base, p.s, q.base, q.s, flags);
		upath_fini(&q);
	}
	upath_fini(&p);
	return r;
}

int64_t
sys_link(struct task *t, const uint64_t a[6])
{
	return do_link(t, LX_AT_FDCWD, a[0], LX_AT_FDCWD, a[1], 0);
}

int64_t
sys_linkat(struct task *t, const uint64_t a[6])
{
	return do_link(t, arg_int(a[0]), a[1], arg_int(a[2]), a[3], arg_int(a[4]));
}

static int64_t
do_rename(struct task *t, int odir, uint64_t old, int ndir, uint64_t nw, uint32_t flags)
{
	struct upath p, q;
	int r;

	if (flags & ~(uint32_t)(LX_RENAME_NOREPLACE | LX_RENAME_EXCHANGE | LX_RENAME_WHITEOUT))
		return -EINVAL;
	if ((flags & LX_RENAME_EXCHANGE) && (flags & (LX_RENAME_NOREPLACE | LX_RENAME_WHITEOUT)))
		return -EINVAL;
	r = upath_get(t, &p, odir, old, false);
	if (r)
		return r;
	r = upath_get(t, &q, ndir, nw, false);
	if (!r) {
		r = vfs_rename(&t->call, p.base, p.s, q.base, q.s, flags);
		upath_fini(&q);
	}
	upath_fini(&p);
	return r;
}

int64_t
sys_rename(struct task *t, const uint64_t a[6])
{
	return do_rename(t, LX_AT_FDCWD, a[0], LX_AT_FDCWD, a[1], 0);
}

int64_t
sys_renameat(struct task *t, const uint64_t a[6])
{
	return do_rename(t, arg_int(a[0]), a[1], arg_int(a[2]), a[3], 0);
}

int64_t
sys_renameat2(struct task *t, const uint64_t a[6])
{
	return do_rename(t, arg_int(a[0]), a[1], arg_int(a[2]), a[3], (uint32_t)a[4]);
}
