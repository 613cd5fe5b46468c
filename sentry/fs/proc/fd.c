/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/fd and fdinfo. */
#include "abi/dirent.h"
#include "abi/stat.h"
#include "internal.h"
#include "sentry/vfs/mount.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct file *
fd_file(const struct pseudo_ctx *x)
{
	struct fdtable *t = task_files_get(proc_task(x));
	struct file *f = t ? fdtable_file(t, (int)x->key) : NULL;

	fdtable_put(t, NULL);
	return f;
}

static int
fd_go(const struct pseudo_ctx *x, struct path *ret)
{
	int err = proc_may_look(x, 0);
	struct file *f = err ? NULL : fd_file(x);

	if (!f)
		return err ? err : -ENOENT;
	*ret = f->path;
	path_get(ret);
	file_put(f);
	return 0;
}

static ssize_t
fd_text(const struct pseudo_ctx *x, char *buf, size_t cap)
{
	char tmp[LX_PATH_MAX], *s;
	struct path root;
	int err = proc_may_look(x, 0);
	struct file *f = err ? NULL : fd_file(x);
	size_t n;

	if (!f)
		return err ? err : -ENOENT;
	if (x->c->fs)
		fs_ctx_root(x->c->fs, &root);
	s = vfs_d_path_plain(&f->path, x->c->fs ? &root : NULL, tmp, sizeof tmp, &err);
	if (x->c->fs)
		path_put(&root);
	file_put(f);
	if (!s)
		return err;
	n = strlen(s);
	if (n > cap)
		n = cap;
	memcpy(buf, s, n);
	return (ssize_t)n;
}

static void
fd_attr(const struct pseudo_ctx *x, struct inode *i)
{
	struct file *f = fd_file(x);

	proc_owner(x, i);
	if (f) {
		mutex_lock(&i->lock);
		inode_store(i->mode, LX_S_IFLNK | (f->mode & LX_FMODE_READ ? 0500u : 0) |
					     (f->mode & LX_FMODE_WRITE ? 0300u : 0));
		mutex_unlock(&i->lock);
		file_put(f);
	}
}

static bool
fd_still(const struct pseudo_ctx *x)
{
	struct file *f = fd_file(x);

	if (f)
		file_put(f);
	return f != NULL;
}

/* Who moves it may hold its lock for long, and where it is in between is as good as before or after
 * (Linux does not wait either). */
__attribute__((noinline, no_sanitize("thread"))) static int64_t
position_of(const struct file *f)
{
	return f->pos;
}

static int
show_fdinfo(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct file *f = fd_file(x);
	struct fdtable *t;
	char more[4096] = "";
	int cloexec = 0;

	if (!f)
		return -ENOENT;
	t = task_files_get(proc_task(x));
	if (t)
		cloexec = fdtable_cloexec_get(t, (int)x->key) > 0;
	fdtable_put(t, NULL);
	sbuf_printf(b, "pos:\t%lld\nflags:\t0%o\nmnt_id:\t%llu\nino:\t%llu\n",
		(long long)position_of(f), file_flags(f) | (cloexec ? 02000000u : 0),
		(unsigned long long)f->path.mnt->id, (unsigned long long)f->inode->ino);
	if (f->ops->fdinfo)
		f->ops->fdinfo(f, more, sizeof more);
	sbuf_puts(b, more);
	file_put(f);
	return 0;
}

static const struct pseudo_row fd_row = {
	.mode = LX_S_IFLNK | 0700, .readlink = fd_text, .magic = fd_go, .attr = fd_attr};
static const struct pseudo_row fdinfo_row = {
	.mode = LX_S_IFREG | 0444, .show = show_fdinfo, .attr = proc_owner};

static int
lookup(const struct pseudo_ctx *x, const char *name, const struct pseudo_row *row,
	struct pseudo_child *ret)
{
	struct pseudo_ctx y = *x;
	char *end;
	long nr = strtol(name, &end, 10);
	int err = proc_may_look(x, 0);

	if (err)
		return err;
	if (*end || nr < 0 || nr > INT32_MAX || (name[0] == '0' && name[1]))
		return -ENOENT;
	y.key = (uint64_t)nr;
	if (!fd_still(&y))
		return -ENOENT;
	*ret = (struct pseudo_child){.row = row,
		.obj = task_get(proc_task(x)),
		.obj_ops = &proc_task_ops,
		.key = (uint64_t)nr};
	return 0;
}

static int
fd_lookup(const struct pseudo_ctx *x, const char *name, struct pseudo_child *ret)
{
	return lookup(x, name, &fd_row, ret);
}

static int
fdinfo_lookup(const struct pseudo_ctx *x, const char *name, struct pseudo_child *ret)
{
	return lookup(x, name, &fdinfo_row, ret);
}

static bool
next(const struct pseudo_ctx *x, int64_t *pos, char *name, size_t cap, uint8_t *type)
{
	struct fdtable *t = task_files_get(proc_task(x));
	int fd = t ? fdtable_next(t, (int)*pos) : -1;

	fdtable_put(t, NULL);
	if (fd < 0)
		return false;
	*pos = fd;
	snprintf(name, cap, "%d", fd);
	*type = LX_DT_LNK;
	return true;
}

static bool
next_info(const struct pseudo_ctx *x, int64_t *pos, char *name, size_t cap, uint8_t *type)
{
	bool more = next(x, pos, name, cap, type);

	*type = LX_DT_REG;
	return more;
}

const struct pseudo_dir proc_fd_dir = {.lookup = fd_lookup, .next = next, .still = fd_still};
const struct pseudo_dir proc_fdinfo_dir = {
	.lookup = fdinfo_lookup, .next = next_info, .still = fd_still};
