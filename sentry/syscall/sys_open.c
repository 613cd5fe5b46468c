/* SPDX-License-Identifier: Apache-2.0 */
/* open, openat, openat2, creat; and what takes descriptors away or copies them: close, dup,
 * close_range. */
#include "file_util.h"
#include <string.h>

#define VALID_FLAGS                                                                                \
	(LX_O_ACCMODE | LX_O_CREAT | LX_O_EXCL | LX_O_NOCTTY | LX_O_TRUNC | LX_O_APPEND |          \
		LX_O_NONBLOCK | LX_O_DSYNC | LX___O_SYNC | LX_O_ASYNC | LX_O_DIRECT |              \
		LX_O_LARGEFILE | LX_O_DIRECTORY | LX_O_NOFOLLOW | LX_O_NOATIME | LX_O_CLOEXEC |    \
		LX_O_PATH | LX___O_TMPFILE)
#define PATH_FLAGS (LX_O_DIRECTORY | LX_O_NOFOLLOW | LX_O_PATH | LX_O_CLOEXEC)

static uint32_t
resolve_to_lookup(uint64_t resolve)
{
	static const struct {
		uint32_t resolve, lookup;
	} map[] = {
		{LX_RESOLVE_NO_XDEV, LOOKUP_NO_XDEV},
		{LX_RESOLVE_NO_MAGICLINKS, LOOKUP_NO_MAGICLINKS},
		{LX_RESOLVE_NO_SYMLINKS, LOOKUP_NO_SYMLINKS},
		{LX_RESOLVE_BENEATH, LOOKUP_BENEATH},
		{LX_RESOLVE_IN_ROOT, LOOKUP_IN_ROOT},
		{LX_RESOLVE_CACHED, LOOKUP_CACHED},
	};
	uint32_t r = 0;

	for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
		if (resolve & map[i].resolve)
			r |= map[i].lookup;
	return r;
}

/* Linux's build_open_flags. */
static int
check_how(struct lx_open_how *how)
{
	const uint64_t resolves = LX_RESOLVE_NO_XDEV | LX_RESOLVE_NO_MAGICLINKS |
				  LX_RESOLVE_NO_SYMLINKS | LX_RESOLVE_BENEATH | LX_RESOLVE_IN_ROOT |
				  LX_RESOLVE_CACHED;

	if (how->flags & ~(uint64_t)VALID_FLAGS)
		return -EINVAL;
	if (how->resolve & ~resolves)
		return -EINVAL;
	if ((how->resolve & LX_RESOLVE_BENEATH) && (how->resolve & LX_RESOLVE_IN_ROOT))
		return -EINVAL;
	if (how->flags & (LX_O_CREAT | LX___O_TMPFILE)) {
		if (how->mode & ~(uint64_t)LX_S_IALLUGO)
			return -EINVAL;
	} else if (how->mode) {
		return -EINVAL;
	}
	if ((how->flags & (LX_O_DIRECTORY | LX_O_CREAT)) == (LX_O_DIRECTORY | LX_O_CREAT))
		return -EINVAL;
	if (how->flags & LX___O_TMPFILE) {
		if (!(how->flags & LX_O_DIRECTORY) || !(how->flags & (LX_O_WRONLY | LX_O_RDWR)))
			return -EINVAL;
	}
	if ((how->flags & LX_O_PATH) && (how->flags & ~(uint64_t)PATH_FLAGS))
		return -EINVAL;
	if (how->flags & LX___O_SYNC)
		how->flags |= LX_O_DSYNC;
	if ((how->resolve & LX_RESOLVE_CACHED) &&
		(how->flags & (LX_O_TRUNC | LX_O_CREAT | LX___O_TMPFILE)))
		return -EAGAIN;
	return 0;
}

/* `how` is checked. */
static int64_t
open_checked_how(
	struct task *t, int dirfd, struct upath *p, const struct lx_open_how *how, bool at_once)
{
	struct open_spec spec;
	struct file *f;
	int r;

	/* in a root of one's own, an absolute path starts at dirfd too */
	if ((how->resolve & LX_RESOLVE_IN_ROOT) && !p->dir && dirfd != LX_AT_FDCWD) {
		p->dir = task_file_raw(t, dirfd);
		if (!p->dir)
			return -EBADF;
		p->base = &p->dir->path;
	}
	spec.flags = (uint32_t)how->flags | LX_O_LARGEFILE;
	spec.mode = (uint32_t)how->mode;
	spec.lookup = resolve_to_lookup(how->resolve);
	spec.exec = spec.quiet = false;
	if (at_once) {
		spec.flags |= LX_O_NONBLOCK;
		spec.lookup |= LOOKUP_CACHED;
	}
	r = vfs_open(&t->call, p->base, p->s, &spec, &f);
	return r ? r
		 : file_open_finish(t, f, at_once ? LX_O_NONBLOCK & ~(uint32_t)how->flags : 0,
			   how->flags & LX_O_CLOEXEC);
}

int64_t
open_upath(
	struct task *t, int dirfd, struct upath *p, const struct lx_open_how *asked, bool at_once)
{
	struct lx_open_how how = *asked;
	int r = check_how(&how);

	if (!r)
		r = upath_start(t, p, dirfd);
	return r ? r : open_checked_how(t, dirfd, p, &how, at_once);
}

static int64_t
open_how(struct task *t, int dirfd, uint64_t path, struct lx_open_how *how)
{
	struct upath p;
	int64_t r = check_how(how);

	if (!r)
		r = upath_get(t, &p, dirfd, path, false);
	if (r)
		return r;
	r = open_checked_how(t, dirfd, &p, how, false);
	upath_fini(&p);
	return r;
}

/* The old calls ignore what they do not know. */
void
open_how_old(uint64_t flags, uint64_t mode, struct lx_open_how *how)
{
	*how = (struct lx_open_how){(uint32_t)flags & VALID_FLAGS, mode & LX_S_IALLUGO, 0};
	if (how->flags & LX_O_PATH)
		how->flags &= PATH_FLAGS;
	if (!(how->flags & (LX_O_CREAT | LX___O_TMPFILE)))
		how->mode = 0;
}

static int64_t
open_old(struct task *t, int dirfd, uint64_t path, uint64_t flags, uint64_t mode)
{
	struct lx_open_how how;

	open_how_old(flags, mode, &how);
	return open_how(t, dirfd, path, &how);
}

int64_t
sys_open(struct task *t, const uint64_t a[6])
{
	return open_old(t, LX_AT_FDCWD, a[0], a[1], a[2]);
}

int64_t
sys_openat(struct task *t, const uint64_t a[6])
{
	return open_old(t, arg_int(a[0]), a[1], a[2], a[3]);
}

int64_t
sys_creat(struct task *t, const uint64_t a[6])
{
	return open_old(t, LX_AT_FDCWD, a[0], LX_O_CREAT | LX_O_WRONLY | LX_O_TRUNC, a[1]);
}

int
open_how_in(struct task *t, uint64_t addr, uint64_t size, struct lx_open_how *how)
{
	char rest[64];

	if (size < sizeof *how)
		return -EINVAL;
	if (size > LX_PAGE_SIZE)
		return -E2BIG;
	if (copy_in(t->call.um, how, ua(addr), sizeof *how))
		return -EFAULT;
	/* what a newer program knows beyond us has to be zero */
	for (uint64_t at = sizeof *how; at < size;) {
		size_t n = size - at < sizeof rest ? size - at : sizeof rest;

		if (copy_in(t->call.um, rest, ua(addr + at), n))
			return -EFAULT;
		for (size_t i = 0; i < n; i++)
			if (rest[i])
				return -E2BIG;
		at += n;
	}
	return 0;
}

int64_t
sys_openat2(struct task *t, const uint64_t a[6])
{
	struct lx_open_how how;
	int r = open_how_in(t, a[2], a[3], &how);

	return r ? r : open_how(t, arg_int(a[0]), a[1], &how);
}

int64_t
sys_close(struct task *t, const uint64_t a[6])
{
	struct file *f;
	int r = fdtable_remove(t->files, arg_int(a[0]), &f);

	if (r)
		return r;
	return fd_close_file(t->files, f, &t->call);
}

int64_t
sys_dup(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file_raw(t, arg_int(a[0]));

	return f ? task_fd_install_put(t, f, false) : -EBADF;
}

static int64_t
dup_to(struct task *t, int from, int to, bool cloexec)
{
	struct file *f, *old;
	int64_t r;

	if (to < 0 || (uint64_t)to >= rlimit_cur(t->call.rlim, LX_RLIMIT_NOFILE))
		return -EBADF;
	f = task_file_raw(t, from);
	if (!f)
		return -EBADF;
	old = NULL;
	r = fdtable_install_at(t->files, f, to, cloexec, &old);
	file_put(f);
	if (old)
		fd_close_file(t->files, old, &t->call);
	return r < 0 ? r : to;
}

int64_t
sys_dup2(struct task *t, const uint64_t a[6])
{
	int from = arg_int(a[0]), to = arg_int(a[1]);

	if (from == to) {
		struct file *f = task_file_raw(t, from);

		if (!f)
			return -EBADF;
		file_put(f);
		return to;
	}
	return dup_to(t, from, to, false);
}

int64_t
sys_dup3(struct task *t, const uint64_t a[6])
{
	uint32_t flags = (uint32_t)a[2];

	if (flags & ~(uint32_t)LX_O_CLOEXEC)
		return -EINVAL;
	if (arg_int(a[0]) == arg_int(a[1]))
		return -EINVAL;
	return dup_to(t, arg_int(a[0]), arg_int(a[1]), flags);
}

#define LX_CLOSE_RANGE_UNSHARE 2u
#define LX_CLOSE_RANGE_CLOEXEC 4u

int64_t
sys_close_range(struct task *t, const uint64_t a[6])
{
	uint32_t first = (uint32_t)a[0], last = (uint32_t)a[1], flags = (uint32_t)a[2];

	if (flags & ~(LX_CLOSE_RANGE_UNSHARE | LX_CLOSE_RANGE_CLOEXEC))
		return -EINVAL;
	if (first > last)
		return -EINVAL;
	if ((flags & LX_CLOSE_RANGE_UNSHARE) && fdtable_shared(t->files)) {
		struct fdtable *n, *old = t->files;
		/* what would be closed at the end of the range need not be copied */
		uint32_t max =
			!(flags & LX_CLOSE_RANGE_CLOEXEC) && last >= INT32_MAX ? first : UINT32_MAX;
		int r = fdtable_dup(old, max, &n);

		if (r)
			return r;
		mutex_lock(&t->pt_lock);
		t->files = n;
		mutex_unlock(&t->pt_lock);
		fdtable_put(old, &t->call);
		t->call.files_id = fdtable_id(n);
	}
	return fdtable_close_range(t->files, &t->call, first, last, flags & LX_CLOSE_RANGE_CLOEXEC);
}
