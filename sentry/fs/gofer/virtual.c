/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open files of a mount whose other end gives no descriptors (libmoat's virtual files): contents
 * come and go in messages. Each may take as long as the host program likes; who waits can be
 * killed.
 *
 * What is mapped is a copy: a memory file, read through the open file when that is first mapped, of
 * which only a descriptor to read is kept. All maps by the same open file show the same copy, so
 * that a program or library is of one piece.
 */
#include "internal.h"
#include "platform/host/file.h"
#include "sentry/mm/mappable.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <stdlib.h>

#define COPY_MAX   (1LL << 30)	/* bytes of a file that is mapped */
#define COPIES_MAX (4ULL << 30) /* of all of them: each open file may have one */

struct copy {
	struct ref ref;
	int fd;	       /* to read */
	uint64_t size; /* of what counts in `copied` */
};

static _Atomic uint64_t copied;
uint64_t (*gofer_memory_limit)(void);

struct vfile {
	uint64_t id; /* at the other end */
	struct sleeplock copying;
	struct copy *copy; /* under it; a reference, or NULL */
};

struct vmap {
	struct mappable m;
	struct copy *copy; /* a reference */
};

static void
copy_put(struct copy *c)
{
	if (!c || !ref_put(&c->ref))
		return;
	host_fd_close(c->fd);
	atomic_fetch_sub(&copied, c->size);
	free(c);
}

static int
virtual_open(struct inode *i, const struct call *c, struct file *f)
{
	Gofer__OpenReq q = GOFER__OPEN_REQ__INIT;
	struct vfile *v = calloc(1, sizeof *v);
	Gofer__FileRep *a;
	int r;

	(void)c;
	if (!v)
		return -ENOMEM;
	q.node = gnode_of(i)->id;
	q.access = (f->mode & LX_FMODE_WRITE ? WIRE_WRITE : 0) |
		   (f->mode & LX_FMODE_READ ? WIRE_READ : 0);
	if (!q.access)
		q.access = WIRE_READ; /* for ioctl only */
	if ((q.access & WIRE_WRITE) && (file_flags(f) & LX_O_APPEND))
		q.access |= WIRE_APPEND;
	r = gofer_call(gconn_of(i), GOFER_FILE_OPEN, &q.base, &a, NULL);
	if (r < 0) {
		free(v);
		return r;
	}
	v->id = a->file;
	gofer_rep_free(a);
	sleeplock_init(&v->copying);
	f->priv = v;
	return 0;
}

static void
virtual_release(struct file *f)
{
	struct vfile *v = f->priv;

	gofer_file_close(gconn_of(f->inode), v->id);
	copy_put(v->copy);
	free(v);
	f->priv = NULL;
}

/* One message. *ret is to be freed; its data has what there is, 0 bytes at the end. */
static int
fetch(struct file *f, int64_t pos, uint64_t len, Gofer__FileReadRep **ret)
{
	Gofer__FileReadReq q = GOFER__FILE_READ_REQ__INIT;
	int r;

	q.file = ((struct vfile *)f->priv)->id;
	q.offset = (uint64_t)pos;
	q.len = len < WIRE_IO_MAX ? (uint32_t)len : WIRE_IO_MAX;
	if (pos > INT64_MAX - (int64_t)WIRE_IO_MAX)
		q.len = 0; /* no file goes so far */
	if (!q.len) {
		*ret = NULL;
		return 0;
	}
	r = gofer_call(gconn_of(f->inode), GOFER_FILE_READ, &q.base, ret, NULL);
	if (r == 0 && (*ret)->data.len > q.len) {
		gofer_rep_free(*ret);
		r = -EIO;
	}
	return r;
}

static ssize_t
virtual_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	ssize_t done = 0, n = 0;

	(void)c, (void)rwf;
	while (u->left) {
		uint64_t want = u->left < WIRE_IO_MAX ? u->left : WIRE_IO_MAX;
		Gofer__FileReadRep *a;
		size_t got;
		int r = fetch(f, *pos, want, &a);

		if (r < 0)
			return done ? done : r;
		got = a ? a->data.len : 0;
		n = got ? uio_copy_to(u, a->data.data, got) : 0;
		gofer_rep_free(a);
		if (n < 0)
			return done ? done : n;
		*pos += n;
		done += n;
		if ((size_t)n < got || got < want)
			break;
	}
	return done;
}

static ssize_t
write_pieces(struct file *f, struct uio *u, int64_t *pos, uint64_t len, void *buf)
{
	Gofer__FileWriteReq q = GOFER__FILE_WRITE_REQ__INIT;
	Gofer__FileWriteRep *a;
	ssize_t done = 0;

	q.file = ((struct vfile *)f->priv)->id;
	while (len) {
		ssize_t n = uio_copy_from(u, buf, len < WIRE_IO_MAX ? len : WIRE_IO_MAX);
		uint32_t took;
		int r;

		if (n <= 0)
			return done ? done : n;
		q.offset = (uint64_t)*pos;
		q.data = wire_bytes(buf, (size_t)n);
		r = gofer_call(gconn_of(f->inode), GOFER_FILE_WRITE, &q.base, &a, NULL);
		if (r < 0)
			return done ? done : r;
		took = a->len;
		gofer_rep_free(a);
		if (took > n)
			return done ? done : -EIO;
		*pos += took;
		done += took;
		len -= took;
		if (took < n)
			break;
	}
	return done;
}

static ssize_t
virtual_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct inode *i = f->inode;
	bool append = ((file_flags(f) & LX_O_APPEND) && !(rwf & LX_RWF_NOAPPEND)) ||
		      (rwf & LX_RWF_APPEND);
	uint64_t len = u->left;
	void *buf = malloc(len < WIRE_IO_MAX ? len + 1 : WIRE_IO_MAX);
	ssize_t r;

	if (!buf)
		return -ENOMEM;
	if (append) {
		sleeplock_lock(&i->dir_lock);
		r = gofer_refresh(i, c, true);
	} else {
		r = 0;
	}
	if (r == 0)
		r = file_write_limit(f, c, pos, &len, rwf, inode_load(i->size));
	if (r == 0)
		r = write_pieces(f, u, pos, len, buf);
	if (r > 0) {
		mutex_lock(&i->lock);
		if (*pos > i->size)
			inode_store(i->size, *pos);
		mutex_unlock(&i->lock);
	}
	if (append)
		sleeplock_unlock(&i->dir_lock);
	free(buf);
	return r;
}

static int64_t
virtual_lseek(struct file *f, const struct call *c, int64_t off, int whence)
{
	int r = whence == LX_SEEK_SET || whence == LX_SEEK_CUR ? 0
							       : gofer_refresh(f->inode, c, false);

	return r < 0 ? r : file_lseek_regular(f, c, off, whence);
}

static int
virtual_fsync(struct file *f, const struct call *c, bool data_only)
{
	(void)f, (void)c, (void)data_only;
	return 0; /* nothing is held back here */
}

/* --- maps --- */

/* Room for n more bytes of copies: no more than a sandbox may have at all, nor than the memory that
 * it was told of. */
static int
make_room(struct copy *c, uint64_t n)
{
	uint64_t limit = gofer_memory_limit ? gofer_memory_limit() : 0;

	if (!limit || limit > COPIES_MAX)
		limit = COPIES_MAX;
	if (atomic_fetch_add(&copied, n) + n > limit) {
		atomic_fetch_sub(&copied, n);
		return -ENOMEM;
	}
	c->size += n;
	return 0;
}

/* Read all of f into fd. */
static int
copy_contents(struct file *f, int fd, struct copy *c)
{
	int64_t pos = 0;

	for (;;) {
		Gofer__FileReadRep *a;
		ssize_t n;
		int r = fetch(f, pos, WIRE_IO_MAX, &a);

		if (r < 0 || !a)
			return r;
		n = make_room(c, a->data.len);
		if (n == 0 && a->data.len)
			n = host_fd_pwrite(fd, a->data.data, a->data.len, pos);
		if (n >= 0 && (size_t)n < a->data.len)
			n = -ENOSPC;
		gofer_rep_free(a);
		if (n <= 0)
			return (int)n;
		pos += n;
		if (pos > COPY_MAX)
			return -EFBIG;
	}
}

static int
make_copy(struct file *f, struct copy **ret)
{
	struct copy *c = calloc(1, sizeof *c);
	int fd = host_memfd("virtual", 0), r = fd;

	if (fd >= 0)
		r = c ? copy_contents(f, fd, c) : -ENOMEM;
	/* What programs get of it must not write to it: others may have it mapped. */
	if (r == 0)
		r = gofer_reopen(fd);
	if (fd >= 0)
		host_fd_close(fd);
	if (r < 0) {
		if (c)
			atomic_fetch_sub(&copied, c->size);
		free(c);
		return r;
	}
	ref_init(&c->ref);
	c->fd = r;
	*ret = c;
	return 0;
}

static int
map_host_fd(struct mappable *m, int prot, bool shared)
{
	(void)prot, (void)shared; /* a shared one was refused, if it could be written */
	return ((struct vmap *)m)->copy->fd;
}

static void
map_release(struct mappable *m)
{
	copy_put(((struct vmap *)m)->copy);
	file_put(m->file);
	free(m);
}

static const struct mappable_ops map_ops = {.host_fd = map_host_fd, .release = map_release};

static int
virtual_mappable(struct file *f, const struct call *c, int prot, bool shared, struct mappable **ret)
{
	struct vfile *v = f->priv;
	struct vmap *m;
	int r = 0;

	(void)c;
	if (shared && (prot & 2 /* PROT_WRITE */))
		return -ENODEV;
	m = calloc(1, sizeof *m);
	if (!m)
		return -ENOMEM;
	sleeplock_lock(&v->copying);
	if (!v->copy)
		r = make_copy(f, &v->copy);
	if (r == 0) {
		ref_get(&v->copy->ref);
		m->copy = v->copy;
	}
	sleeplock_unlock(&v->copying);
	if (r < 0) {
		free(m);
		return r;
	}
	ref_init(&m->m.ref);
	m->m.ops = &map_ops;
	m->m.file = file_get(f);
	m->m.memory = m->copy;
	*ret = &m->m;
	return 0;
}

const struct inode_ops gofer_virtual_ops = {
	.refresh = gofer_refresh,
	.setattr = gofer_setattr,
	.open = virtual_open,
	.getxattr = gofer_getxattr,
	.setxattr = gofer_setxattr,
	.listxattr = gofer_listxattr,
	.removexattr = gofer_removexattr,
	.free = gnode_free,
};

const struct file_ops gofer_virtual_fops = {
	.release = virtual_release,
	.read = virtual_read,
	.write = virtual_write,
	.lseek = virtual_lseek,
	.mappable = virtual_mappable,
	.fsync = virtual_fsync,
};
