/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mapped of a server's file is a copy: a memory file, read through the open file, of which
 * only a descriptor to read is kept. All maps by the same open file show the same copy as long as
 * nobody is known to have changed the contents, so that a program or library is of one piece. What
 * could be written in common (MAP_SHARED of a file open for writing) is refused, as Linux refuses
 * it for FOPEN_DIRECT_IO.
 */
#include "internal.h"
#include "platform/host/file.h"
#include "platform/host/memory.h"
#include "sentry/fs/gofer.h"
#include "sentry/mm/mappable.h"
#include "sentry/vfs/path.h"
#include <stdlib.h>

#define COPY_MAX   (1LL << 30) /* bytes of a file that is mapped */
#define COPIES_MAX (4LL << 30) /* of all of them */

static _Atomic int64_t copies; /* bytes */

struct fuse_copy {
	struct ref ref;
	int fd;			 /* to read */
	int64_t bytes;		 /* of copies */
	uint64_t data;		 /* the node's, when it was read */
	struct host_memory held; /* with fd */
};

struct fuse_map {
	struct mappable m;
	struct fuse_copy *copy; /* a reference */
};

void
fuse_copy_put(struct fuse_copy *c)
{
	if (!c || !ref_put(&c->ref))
		return;
	atomic_fetch_sub(&copies, c->bytes);
	host_memory_del(&c->held);
	host_fd_close(c->fd);
	free(c);
}

static int
copy_contents(struct file *f, const struct call *c, int fd, int64_t size)
{
	uint32_t most = fconn_of(f->inode)->max_read;
	int64_t pos = 0;

	while (pos < size) {
		uint32_t want = size - pos < most ? (uint32_t)(size - pos) : most;
		struct fuse_req *r;
		ssize_t got = fuse_read_at(f, c, pos, want, &r), n;

		if (got < 0)
			return (int)got;
		n = got ? host_fd_pwrite(fd, r->out, (size_t)got, pos) : 0;
		fuse_req_put(r);
		if (n >= 0 && n < got)
			n = -ENOSPC;
		if (n < 0)
			return (int)n;
		pos += n;
		if (n < want)
			break;
	}
	/* what the server does not give is zeros */
	return host_fd_truncate(fd, size);
}

static int
make_copy(struct file *f, const struct call *c, struct fuse_copy **ret)
{
	struct fuse_copy *k;
	uint64_t data = atomic_load(&fnode_of(f->inode)->data);
	int64_t size = inode_load(f->inode->size);
	int fd = -1, r = -ENOMEM;

	if (size > COPY_MAX)
		return -EFBIG;
	if (atomic_fetch_add(&copies, size) + size > COPIES_MAX) {
		atomic_fetch_sub(&copies, size);
		return -ENOMEM;
	}
	k = calloc(1, sizeof *k);
	if (k)
		r = fd = host_memfd("fuse", 0);
	if (r >= 0)
		r = copy_contents(f, c, fd, size);
	/* What programs get of it must not write to it: others may have it mapped. */
	if (r >= 0)
		r = gofer_reopen(fd);
	if (fd >= 0)
		host_fd_close(fd);
	if (r < 0) {
		atomic_fetch_sub(&copies, size);
		free(k);
		return r;
	}
	ref_init(&k->ref);
	k->fd = r;
	k->data = data;
	k->bytes = size;
	host_memory_add(&k->held, k->fd);
	*ret = k;
	return 0;
}

static int
map_host_fd(struct mappable *m, int prot, bool shared)
{
	(void)prot, (void)shared; /* a shared one was refused, if it could be written */
	return ((struct fuse_map *)m)->copy->fd;
}

static void
map_release(struct mappable *m)
{
	fuse_copy_put(((struct fuse_map *)m)->copy);
	file_put(m->file);
	free(m);
}

static const struct mappable_ops map_ops = {.host_fd = map_host_fd, .release = map_release};

int
fuse_mappable(struct file *f, const struct call *c, int prot, bool shared, struct mappable **ret)
{
	struct fuse_file *ff = f->priv;
	struct fuse_map *m;
	int r = fnode_check(f->inode);

	if (r)
		return r;
	if (shared && ((prot & 2 /* PROT_WRITE */) || (ff->open_flags & LX_FOPEN_DIRECT_IO)))
		return -ENODEV;
	m = calloc(1, sizeof *m);
	if (!m)
		return -ENOMEM;
	r = sleeplock_lock_killable(&ff->copying);
	if (r) {
		free(m);
		return r;
	}
	if (!fnode_attr_fresh(fnode_of(f->inode)))
		r = fuse_getattr(f->inode, c, ff);
	if (!r && ff->copy && ff->copy->data != atomic_load(&fnode_of(f->inode)->data)) {
		fuse_copy_put(ff->copy);
		ff->copy = NULL;
	}
	if (!r && !ff->copy)
		r = make_copy(f, c, &ff->copy);
	if (!r) {
		ref_get(&ff->copy->ref);
		m->copy = ff->copy;
	}
	sleeplock_unlock(&ff->copying);
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
