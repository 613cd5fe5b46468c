/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tmpcopyup: a tmpfs begins with what the directory below it holds. Names are worked off a list
 * rather than by recursion, because stacks of fibers are small. Extended attributes are not copied.
 */
#include "internal.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE	    16384
#define MAX_ENTRIES 1000000

struct names {
	struct dir_emit emit;
	const char *below; /* what stands before each name: "" or "a/b/" */
	char **v;
	size_t n, cap;
	int err;
};

static bool
add_name(struct dir_emit *e, const char *name, size_t len, uint64_t ino, uint8_t type,
	int64_t next_off)
{
	struct names *l = container_of(e, struct names, emit);

	(void)ino, (void)type, (void)next_off;
	if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
		return true;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		char **v = cap > MAX_ENTRIES ? NULL : realloc(l->v, cap * sizeof *v);

		if (!v) {
			l->err = -ENOMEM;
			return false;
		}
		l->v = v;
		l->cap = cap;
	}
	if (asprintf(&l->v[l->n], "%s%.*s", l->below, (int)len, name) < 0) {
		l->err = -ENOMEM;
		return false;
	}
	l->n++;
	return true;
}

/* Append the entries of dir, each with `below` in front. */
static int
list(const struct call *c, const struct path *dir, const char *below, struct names *l)
{
	struct open_spec how = {.flags = LX_O_RDONLY | LX_O_DIRECTORY};
	struct file *f;
	size_t before;
	int r = vfs_open_path(c, dir, &how, &f);

	if (r < 0)
		return r;
	l->below = below;
	do {
		before = l->n;
		r = f->ops->iterate ? f->ops->iterate(f, c, &l->emit) : -ENOTDIR;
	} while (r == 0 && l->err == 0 && l->n > before);
	file_put(f);
	return r < 0 ? r : l->err;
}

static int
copy_data(const struct call *c, const struct path *from, const struct path *base, const char *name)
{
	struct open_spec in = {.flags = LX_O_RDONLY},
			 out = {.flags = LX_O_WRONLY | LX_O_CREAT, .mode = 0600};
	struct file *src, *dst;
	char *buf = malloc(PIECE);
	int64_t at = 0, to = 0;
	ssize_t n = buf ? vfs_open_path(c, from, &in, &src) : -ENOMEM;

	if (n < 0) {
		free(buf);
		return (int)n;
	}
	n = vfs_open(c, base, name, &out, &dst);
	if (n == 0) {
		while ((n = vfs_read_kernel(src, c, buf, PIECE, &at)) > 0) {
			struct uio u;

			uio_init_kernel(&u, buf, (uint64_t)n);
			n = vfs_write(dst, c, &u, &to, 0);
			if (n < 0)
				break;
		}
		file_put(dst);
	}
	file_put(src);
	free(buf);
	return n < 0 ? (int)n : 0;
}

static int
copy_link(const struct call *c, const struct path *from, const struct path *base, const char *name)
{
	char *target = calloc(1, LX_PATH_MAX);
	ssize_t n = target ? vfs_readlink(c, from, target, LX_PATH_MAX - 1) : -ENOMEM;
	int r = n < 0 ? (int)n : vfs_symlink(c, target, base, name);

	free(target);
	return r;
}

static int
copy_attributes(const struct call *c, const struct path *base, const char *name,
	const struct lx_stat_all *st)
{
	struct iattr a = {.valid = IATTR_UID | IATTR_GID | IATTR_ATIME | IATTR_MTIME,
		.uid = st->uid,
		.gid = st->gid,
		.atime = st->atime,
		.mtime = st->mtime};
	struct path p;
	int r = vfs_lookup(c, base, name, 0, &p);

	if (r < 0)
		return r;
	r = vfs_setattr(c, &p, &a);
	/* After the owner, which takes set-user-ID away. */
	if (r == 0 && (st->mode & LX_S_IFMT) != LX_S_IFLNK)
		r = vfs_chmod(c, &p, st->mode & 07777);
	path_put(&p);
	return r;
}

/* One name: what it is is made, and the entries of a directory join the list. */
static int
copy_one(const struct call *c, const struct path *from, const struct path *to, const char *name,
	struct names *l)
{
	struct lx_stat_all st;
	struct path p;
	char *below;
	int r = vfs_lookup(c, from, name, 0, &p);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	r = vfs_getattr(c, &p, 0, &st);
	if (r == 0 && LX_S_ISDIR(st.mode)) {
		r = vfs_mkdir(c, to, name, 0700);
		if (asprintf(&below, "%s/", name) < 0)
			r = -ENOMEM;
		if (r == 0)
			r = list(c, &p, below, l);
		if (r != -ENOMEM)
			free(below);
	} else if (r == 0 && LX_S_ISREG(st.mode)) {
		r = copy_data(c, &p, to, name);
	} else if (r == 0 && (st.mode & LX_S_IFMT) == LX_S_IFLNK) {
		r = copy_link(c, &p, to, name);
	} else if (r == 0) {
		r = vfs_mknod(c, to, name, st.mode, st.rdev);
	}
	path_put(&p);
	return r < 0 ? r : copy_attributes(c, to, name, &st);
}

int
boot_copy_up(const struct call *c, const struct path *from, const struct path *to)
{
	struct names l = {.emit.fn = add_name};
	int r = list(c, from, "", &l);

	for (size_t i = 0; i < l.n && r == 0; i++)
		r = copy_one(c, from, to, l.v[i], &l);
	for (size_t i = 0; i < l.n; i++)
		free(l.v[i]);
	free(l.v);
	return r;
}
