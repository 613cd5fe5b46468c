/* SPDX-License-Identifier: Apache-2.0 */
#include "file_util.h"
#include "sentry/syscall/file_block.h"
#include <stdlib.h>

static int
copy_path(struct task *t, struct upath *p, uint64_t addr)
{
	ssize_t n = copy_in_str(t->call.um, p->small, ua(addr), sizeof p->small);

	p->s = p->small;
	if (n != -ENAMETOOLONG)
		return n < 0 ? (int)n : 0;
	p->big = malloc(LX_PATH_MAX);
	if (!p->big)
		return -ENOMEM;
	p->s = p->big;
	n = copy_in_str(t->call.um, p->big, ua(addr), LX_PATH_MAX);
	return n < 0 ? (int)n : 0;
}

int
upath_get(struct task *t, struct upath *p, int dirfd, uint64_t addr, bool empty_ok)
{
	int r = 0;

	p->big = NULL;
	p->dir = NULL;
	p->base = NULL;
	p->small[0] = 0;
	p->s = p->small;
	if (addr || !empty_ok)
		r = copy_path(t, p, addr);
	if (!r && !*p->s && !empty_ok)
		r = -ENOENT;
	if (!r)
		r = upath_start(t, p, dirfd);
	if (r)
		upath_fini(p);
	return r;
}

int
upath_start(struct task *t, struct upath *p, int dirfd)
{
	file_put(p->dir);
	p->dir = NULL;
	p->base = NULL;
	if (*p->s == '/' || dirfd == LX_AT_FDCWD)
		return 0;
	p->dir = task_file_raw(t, dirfd);
	if (!p->dir)
		return -EBADF;
	p->base = &p->dir->path;
	return 0;
}

void
upath_fini(struct upath *p)
{
	free(p->big);
	file_put(p->dir);
}

int
upath_lookup(struct task *t, int dirfd, uint64_t addr, int at_flags, struct path *ret)
{
	uint32_t lf = at_flags & LX_AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
	struct upath p;
	int r = upath_get(t, &p, dirfd, addr, at_flags & LX_AT_EMPTY_PATH);

	if (r)
		return r;
	if (at_flags & LX_AT_EMPTY_PATH)
		lf |= LOOKUP_EMPTY;
	r = vfs_lookup(&t->call, p.base, p.s, lf, ret);
	upath_fini(&p);
	return r;
}

int
ustr_get(struct task *t, uint64_t addr, size_t cap, char **ret)
{
	char *s = malloc(cap);
	ssize_t n;

	if (!s)
		return -ENOMEM;
	n = copy_in_str(t->call.um, s, ua(addr), cap);
	if (n < 0) {
		free(s);
		return (int)n;
	}
	*ret = s;
	return 0;
}

struct waiting_open {
	struct file *f;
};

static int64_t
try_open_wait(void *arg)
{
	struct waiting_open *w = arg;

	return w->f->ops->open_wait(w->f, NULL);
}

int64_t
file_open_finish(struct task *t, struct file *f, uint32_t drop, bool cloexec)
{
	if (f->ops->open_wait && !(f->mode & LX_FMODE_PATH)) {
		struct waiting_open w = {f};
		int64_t r = file_block(t, f, ~0u, INT64_MAX, try_open_wait, &w);

		if (r) {
			file_put(f);
			return r;
		}
	}
	if (drop)
		atomic_fetch_and(&f->flags, ~drop);
	return task_fd_install_put(t, f, cloexec);
}
