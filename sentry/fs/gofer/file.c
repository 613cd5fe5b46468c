/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open regular files: contents go straight between the guest and the host descriptor; the gofer is
 * asked only for descriptors. Symlinks, device nodes, FIFOs and sockets of a gofer share the inode
 * operations: the vfs opens those itself.
 */
#include "platform/host/file.h"
#include "internal.h"
#include "sentry/mm/mappable.h"
#include "sentry/sched/sched.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <stdlib.h>

struct gmap {
	struct mappable m;
	struct inode *inode; /* a reference, and a use of its descriptors */
};

int
gofer_open_file(struct inode *i, const struct call *c, struct file *f)
{
	uint32_t access = (f->mode & LX_FMODE_WRITE ? WIRE_WRITE : 0) |
			  (f->mode & LX_FMODE_READ ? WIRE_READ : 0);

	(void)c;
	f->mode |= LX_FMODE_HOST;
	/* O_PATH-like opens, and ioctl-only access mode 3, move no data. */
	return gnode_use(gnode_of(i), access ? access : WIRE_READ);
}

static void
gofer_release(struct file *f)
{
	gnode_unuse(gnode_of(f->inode));
}

static ssize_t
gofer_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	ssize_t r = uio_fd_read(u, gnode_fd(gnode_of(f->inode), false), *pos);

	(void)c, (void)rwf;
	if (r > 0)
		*pos += r;
	if (r >= 0)
		inode_accessed(f->inode, f->path.mnt);
	return r;
}

static ssize_t
write_locked(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct gnode *n = gnode_of(f->inode);
	int64_t at = *pos;
	uint64_t len = u->left;
	ssize_t r = file_write_limit(f, c, &at, &len, rwf, inode_load(f->inode->size));

	if (r < 0)
		return r;
	if (len < u->left)
		u->left = len;
	r = uio_fd_write(u, gnode_fd(n, true), at);
	if (r > 0) {
		gnode_wrote(n, at + r);
		*pos = at + r;
	}
	return r;
}

static int64_t
sync_fd(void *arg)
{
	int v = *(int *)arg;

	return host_fd_sync(v >> 1, v & 1);
}

static int
sync_node(struct gnode *n, bool data_only)
{
	int fd = gnode_fd(n, false), arg = fd * 2 + data_only;

	return fd < 0 ? 0 : (int)sched_blocking(sync_fd, &arg);
}

static ssize_t
gofer_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct inode *i = f->inode;
	uint32_t flags = atomic_load_explicit(&f->flags, memory_order_relaxed);
	int64_t end;
	bool extends = (flags & LX_O_APPEND) || (rwf & LX_RWF_APPEND) || gsuper_of(i)->shared ||
		       __builtin_add_overflow(*pos, (int64_t)u->left, &end) ||
		       end > inode_load(i->size);
	ssize_t r;

	if (extends) {
		sleeplock_lock(&i->dir_lock);
		if (gsuper_of(i)->shared) {
			/* Others may have moved the end. */
			__atomic_store_n(&gnode_of(i)->stale, true, __ATOMIC_RELEASE);
			gnode_sync_attr(gnode_of(i));
		}
	}
	r = write_locked(f, c, u, pos, rwf);
	if (extends)
		sleeplock_unlock(&i->dir_lock);
	if (r > 0 && ((flags & (LX_O_SYNC | LX_O_DSYNC)) || (rwf & (LX_RWF_SYNC | LX_RWF_DSYNC)))) {
		int s = sync_node(gnode_of(i), false);

		if (s < 0)
			r = s;
	}
	return r;
}

static int64_t
gofer_lseek(struct file *f, const struct call *c, int64_t off, int whence)
{
	struct gnode *n = gnode_of(f->inode);
	int64_t r;

	gnode_sync_attr(n);
	if (whence == LX_SEEK_END && gsuper_of(f->inode)->shared &&
		(r = gofer_refresh(f->inode, c, true)) < 0)
		return r;
	if (whence != LX_SEEK_DATA && whence != LX_SEEK_HOLE)
		return file_lseek_regular(f, c, off, whence);
	/* The host knows the holes. The numbers of these two are Linux's. */
	if (off < 0)
		return -ENXIO;
	r = host_fd_seek(gnode_fd(n, false), off, whence);
	if (r >= 0)
		f->pos = r;
	return r;
}

static int
gofer_fsync(struct file *f, const struct call *c, bool data_only)
{
	(void)c;
	return gsuper_of(f->inode)->readonly ? 0 : sync_node(gnode_of(f->inode), data_only);
}

static int
gofer_fallocate(struct file *f, const struct call *c, int mode, int64_t off, int64_t len)
{
	struct gnode *n = gnode_of(f->inode);
	int r;

	sleeplock_lock(&f->inode->dir_lock);
	if (gsuper_of(f->inode)->shared)
		__atomic_store_n(&n->stale, true, __ATOMIC_RELEASE);
	gnode_sync_attr(n);
	r = file_allocate_limit(c, mode, off, len, inode_load(f->inode->size));
	if (r == 0)
		r = host_fd_allocate(gnode_fd(n, true), mode, off, len);
	if (r == 0) {
		__atomic_store_n(&n->stale, true, __ATOMIC_RELEASE);
		gnode_sync_attr(n);
	}
	sleeplock_unlock(&f->inode->dir_lock);
	return r;
}

static int
map_host_fd(struct mappable *m, int prot, bool shared)
{
	int fd = gnode_fd(
		gnode_of(((struct gmap *)m)->inode), shared && (prot & 2 /* PROT_WRITE */));

	if (shared && (prot & 2))
		__atomic_store_n(
			&gnode_of(((struct gmap *)m)->inode)->stale, true, __ATOMIC_RELEASE);
	return fd < 0 ? -EACCES : fd;
}

static void
map_release(struct mappable *m)
{
	struct gmap *g = (struct gmap *)m;

	gnode_unuse(gnode_of(g->inode));
	inode_put(g->inode);
	file_put(m->file);
	free(g);
}

static const struct mappable_ops map_ops = {.host_fd = map_host_fd, .release = map_release};

static int
gofer_mappable(struct file *f, const struct call *c, int prot, bool shared, struct mappable **ret)
{
	struct gmap *g = calloc(1, sizeof *g);
	int r;

	(void)c, (void)prot;
	if (!g)
		return -ENOMEM;
	r = gnode_use(gnode_of(f->inode),
		shared && (f->mode & LX_FMODE_WRITE) ? WIRE_WRITE | WIRE_READ : WIRE_READ);
	if (r < 0) {
		free(g);
		return r;
	}
	ref_init(&g->m.ref);
	g->m.ops = &map_ops;
	g->m.file = file_get(f);
	g->m.memory = f->inode;
	g->inode = inode_get(f->inode);
	inode_accessed(f->inode, f->path.mnt);
	*ret = &g->m;
	return 0;
}

const struct inode_ops gofer_file_ops = {
	.refresh = gofer_refresh,
	.setattr = gofer_setattr,
	.open = gofer_open_file,
	.getxattr = gofer_getxattr,
	.setxattr = gofer_setxattr,
	.listxattr = gofer_listxattr,
	.removexattr = gofer_removexattr,
	.free = gnode_free,
};

const struct file_ops gofer_file_fops = {
	.release = gofer_release,
	.read = gofer_read,
	.write = gofer_write,
	.lseek = gofer_lseek,
	.mappable = gofer_mappable,
	.fsync = gofer_fsync,
	.fallocate = gofer_fallocate,
};
