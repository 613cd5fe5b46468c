/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tmpfs: contents of regular files. A small file is a malloc'd buffer; when it grows beyond
 * TMPFS_SMALL, or is mapped, it moves to a memfd, whose size from then on is the file's. Charging
 * is by page: exact for buffers, and for memfds by what the host says is allocated, looked at after
 * each write into a hole.
 *
 * What is mapped can be written by guests at any time, so contents are only ever copied: with pread
 * and pwrite, or once from a mapping, under the lock that keeps the size.
 */
#include "abi/mman.h"
#include "internal.h"
#include "platform/host/fdstat.h"
#include "platform/host/file.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint64_t
pages_of(uint64_t bytes)
{
	return bytes / LX_PAGE_SIZE + (bytes % LX_PAGE_SIZE != 0);
}

static void
recharge(struct tnode *n, uint64_t pages)
{
	struct tmpfs_super *t = tsb_of(n->i.sb);

	/* guests' stores through mappings are not asked for: what is there, is there */
	if (pages > n->pages)
		atomic_fetch_add(&t->pages, pages - n->pages);
	else
		tmpfs_uncharge(n->i.sb, n->pages - pages);
	inode_store(n->pages, pages);
}

/* Bring the charge in line with what the host allocated. */
static void
settle(struct tnode *n)
{
	struct host_stat st;

	if (n->fd >= 0 && !host_fd_stat(n->fd, &st))
		recharge(n, st.blocks / (LX_PAGE_SIZE / 512));
}

void
tdata_free(struct tnode *n)
{
	tmpfs_uncharge(n->i.sb, n->pages);
	free(n->mem);
	if (n->ro_fd >= 0) {
		host_fd_close(n->ro_fd);
		(void)host_fd_truncate(n->fd, 0); /* processes may have kept it open */
	}
	if (n->fd >= 0) {
		host_memory_del(&n->held);
		host_fd_close(n->fd);
	}
}

/* Make the buffer's valid part at least len bytes long, zero-filled. */
static int
mem_reserve(struct tnode *n, uint32_t len)
{
	uint64_t pages = pages_of(len);

	if (len <= n->mem_len)
		return 0;
	if (pages > n->pages) {
		if (!tmpfs_charge(n->i.sb, pages - n->pages))
			return -ENOSPC;
		inode_store(n->pages, pages);
	}
	if (len > n->mem_cap) {
		uint32_t cap = n->mem_cap ? n->mem_cap : 64;
		char *nm;

		while (cap < len)
			cap *= 2;
		nm = realloc(n->mem, cap);
		if (!nm)
			return -ENOMEM;
		n->mem = nm;
		n->mem_cap = cap;
	}
	memset(n->mem + n->mem_len, 0, len - n->mem_len);
	n->mem_len = len;
	return 0;
}

static _Atomic uint64_t last_id;
static struct tmpfs_memory memory;

void
tmpfs_set_memory(const struct tmpfs_memory *m)
{
	memory = *m;
}

/* Move to a memfd; dense: to one with large pages, of which those of a file with holes would fill
 * them, and a mapping of which little is touched would have too much. */
static int
to_memfd(struct tnode *n, bool dense)
{
	int fd = -EOPNOTSUPP, r;

	if (n->fd >= 0)
		return 0;
	if (dense && memory.large)
		fd = memory.large();
	if (fd == -EOPNOTSUPP)
		fd = host_memfd("tmpfs", 0);
	if (fd < 0)
		return fd;
	r = host_fd_truncate(fd, n->i.size);
	for (uint32_t at = 0; !r && at < n->mem_len;) {
		ssize_t w = host_fd_pwrite(fd, n->mem + at, n->mem_len - at, at);

		if (w <= 0)
			r = w ? (int)w : -EIO;
		else
			at += (uint32_t)w;
	}
	if (r) {
		host_fd_close(fd);
		return r;
	}
	n->fd = fd;
	host_memory_add(&n->held, fd);
	n->id = atomic_fetch_add(&last_id, 1) + 1;
	free(n->mem);
	n->mem = NULL;
	n->mem_len = n->mem_cap = 0;
	return 0;
}

static ssize_t
mem_read(struct tnode *n, struct uio *u, int64_t pos, uint64_t len)
{
	ssize_t got = 0, r;

	if (pos < n->mem_len) {
		uint64_t part = n->mem_len - (uint64_t)pos;

		r = uio_copy_to(u, n->mem + pos, part < len ? part : len);
		if (r < 0 || (uint64_t)r < (part < len ? part : len))
			return r;
		got = r;
	}
	if ((uint64_t)got < len) {
		r = uio_zero(u, len - (uint64_t)got);
		if (r < 0)
			return got ? got : r;
		got += r;
	}
	return got;
}

/* The memfd for who may only read it: what a process has been given to map, its hostile code can
 * map as it likes. */
static int
readonly_fd(struct tnode *n)
{
	int fd = atomic_load(&n->ro_fd), none = -1;

	if (fd >= 0)
		return fd;
	fd = memory.reopen(n->fd);
	if (fd < 0 || atomic_compare_exchange_strong(&n->ro_fd, &none, fd))
		return fd;
	host_fd_close(fd); /* another was faster */
	return none;
}

static void
contents_put(void *owner)
{
	inode_put(owner);
}

static int
contents_fd(void *owner)
{
	return readonly_fd(tnode_of(owner));
}

/* Up to len bytes, which are there, and more if meanwhile there is more. A long read the guest's
 * process makes itself. */
static ssize_t
memfd_read(struct tnode *n, struct uio *u, int64_t pos, uint64_t len)
{
	struct plat_file f = {.id = n->id, .owner = &n->i, .put = contents_put, .fd = contents_fd};
	uint64_t done = 0;
	ssize_t r;

	while (len - done >= STREAM_BYTES) {
		f.off = (uint64_t)pos + done;
		inode_get(&n->i);
		r = uio_file(u, &f, len - done);
		if (r < 0)
			inode_put(&n->i);
		if (r == -EOPNOTSUPP)
			break;
		if (r < 0)
			return done ? (ssize_t)done : r;
		done += (uint64_t)r;
	}
	if (done == len)
		return (ssize_t)done;
	/* the host stops at the end of the file, which is ours */
	r = uio_fd_read(u, n->fd, pos + (int64_t)done);
	return r < 0 && done ? (ssize_t)done : r + (ssize_t)done;
}

static ssize_t
reg_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct inode *i = f->inode;
	struct tnode *n = tnode_of(i);
	uint64_t len = u->left;
	ssize_t r = 0;

	(void)c, (void)rwf;
	if (*pos < 0)
		return -EINVAL;
	if (!len)
		return 0;
	sleeplock_lock(&i->dir_lock);
	if (*pos < i->size) {
		if (len > (uint64_t)(i->size - *pos))
			len = (uint64_t)(i->size - *pos);
		if (n->fd >= 0) {
			sleeplock_unlock(&i->dir_lock);
			r = memfd_read(n, u, *pos, len);
			goto done;
		}
		r = mem_read(n, u, *pos, len);
	}
	sleeplock_unlock(&i->dir_lock);
done:
	if (r > 0)
		*pos += r;
	if (r >= 0)
		inode_accessed(i, f->path.mnt);
	return r;
}

static int
check_write_seals(struct tnode *n, int64_t end)
{
	if (n->seals & (LX_F_SEAL_WRITE | LX_F_SEAL_FUTURE_WRITE))
		return -EPERM;
	if ((n->seals & LX_F_SEAL_GROW) && end > n->i.size)
		return -EPERM;
	return 0;
}

static ssize_t
fd_write(struct tnode *n, struct uio *u, int64_t pos, uint64_t len)
{
	uint64_t need = pages_of((uint64_t)(pos + (int64_t)len)) - (uint64_t)pos / LX_PAGE_SIZE;
	struct tmpfs_super *t = tsb_of(n->i.sb);
	uint64_t left = u->left;
	bool dense = n->pages == pages_of((uint64_t)n->i.size) && pos <= n->i.size;
	ssize_t r;

	if (dense) {
		/* no holes before, none after: what is charged can be told without asking the host
		 */
		uint64_t after = pages_of((uint64_t)pos + len);

		need = after > n->pages ? after - n->pages : 0;
		if (need && !tmpfs_charge(n->i.sb, need)) {
			/* as much as fits */
			uint64_t used = atomic_load(&t->pages);

			need = used < t->max_pages ? t->max_pages - used : 0;
			if (need && !tmpfs_charge(n->i.sb, need))
				need = 0;
			if ((n->pages + need) * LX_PAGE_SIZE <= (uint64_t)pos) {
				tmpfs_uncharge(n->i.sb, need);
				return -ENOSPC;
			}
			len = (n->pages + need) * LX_PAGE_SIZE - (uint64_t)pos;
		}
		inode_store(n->pages, n->pages + need);
	} else if (t->max_pages && !tmpfs_charge(n->i.sb, need)) {
		/* writing over what is allocated costs nothing, so a full file system is asked for
		 * precisely */
		settle(n);
		if (!tmpfs_charge(n->i.sb, need))
			return -ENOSPC;
	}
	u->left = len;
	r = uio_fd_write(u, n->fd, pos);
	u->left = left - (r > 0 ? (uint64_t)r : 0);
	if (dense) {
		if (r != (ssize_t)len)
			settle(n);
	} else if (t->max_pages) {
		tmpfs_uncharge(n->i.sb, need);
		settle(n);
	}
	return r;
}

static ssize_t
write_locked(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct inode *i = f->inode;
	struct tnode *n = tnode_of(i);
	uint64_t len = u->left;
	ssize_t r;

	r = file_write_limit(f, c, pos, &len, rwf, i->size);
	if (r)
		return r;
	if (*pos < 0)
		return -EINVAL;
	if (!len)
		return 0;
	r = check_write_seals(n, *pos + (int64_t)len);
	if (r)
		return r;
	if (n->fd < 0 && (uint64_t)*pos + len > TMPFS_SMALL) {
		r = to_memfd(n, *pos <= n->mem_len && n->mem_len == (uint64_t)i->size);
		if (r)
			return r;
	}
	if (n->fd >= 0) {
		r = fd_write(n, u, *pos, len);
	} else {
		uint32_t end = (uint32_t)((uint64_t)*pos + len), had = n->mem_len;

		r = mem_reserve(n, end);
		if (r)
			return r;
		r = uio_copy_from(u, n->mem + *pos, len);
		/* a fault in the middle: what was not copied is not part of the file */
		if (r < (ssize_t)len && n->mem_len > had) {
			uint32_t keep = (uint32_t)(*pos + (r > 0 ? r : 0));

			n->mem_len = keep > had ? keep : had;
		}
	}
	if (r > 0) {
		*pos += r;
		if (*pos > i->size) {
			mutex_lock(&i->lock);
			inode_store(i->size, *pos);
			mutex_unlock(&i->lock);
		}
		inode_touch(i, INODE_T_MTIME | INODE_T_CTIME);
	}
	return r;
}

static ssize_t
reg_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	ssize_t r;

	sleeplock_lock(&f->inode->dir_lock);
	r = write_locked(f, c, u, pos, rwf);
	sleeplock_unlock(&f->inode->dir_lock);
	return r;
}

static int64_t
reg_lseek(struct file *f, const struct call *c, int64_t off, int whence)
{
	struct inode *i = f->inode;
	struct tnode *n = tnode_of(i);
	int64_t r, data_end;

	if (whence != LX_SEEK_DATA && whence != LX_SEEK_HOLE)
		return file_lseek_regular(f, c, off, whence);
	sleeplock_lock(&i->dir_lock);
	data_end = ((int64_t)n->mem_len + (int64_t)LX_PAGE_SIZE - 1) & -(int64_t)LX_PAGE_SIZE;
	if (data_end > i->size)
		data_end = i->size;
	if (off < 0 || off >= i->size)
		r = -ENXIO;
	else if (n->fd >= 0)
		r = host_fd_seek(n->fd, off, whence == LX_SEEK_DATA ? SEEK_DATA : SEEK_HOLE);
	else if (whence == LX_SEEK_DATA)
		r = off < data_end ? off : -ENXIO;
	else
		r = off < data_end ? data_end : off;
	sleeplock_unlock(&i->dir_lock);
	if (r >= 0)
		f->pos = r;
	return r;
}

static int
resize(struct tnode *n, int64_t size)
{
	if ((n->seals & LX_F_SEAL_SHRINK) && size < n->i.size)
		return -EPERM;
	if ((n->seals & LX_F_SEAL_GROW) && size > n->i.size)
		return -EPERM;
	if (n->fd >= 0) {
		int r = host_fd_truncate(n->fd, size);

		if (r)
			return r;
		settle(n);
		return 0;
	}
	if (size < n->mem_len) {
		n->mem_len = (uint32_t)size;
		recharge(n, pages_of(n->mem_len));
		if (!size) {
			free(n->mem);
			n->mem = NULL;
			n->mem_cap = 0;
		}
	}
	return 0;
}

int
tdata_setattr(struct inode *i, const struct call *c, const struct iattr *a)
{
	struct tnode *n = tnode_of(i);

	(void)c;
	if ((a->valid & IATTR_MODE) && (n->seals & LX_F_SEAL_EXEC) &&
		((a->mode ^ inode_mode(i)) & 0111u))
		return -EPERM;
	if (a->valid & IATTR_SIZE) {
		int r = resize(n, a->size);

		if (r)
			return r;
	}
	inode_setattr_apply(i, a);
	return 0;
}

int
tdata_getattr(struct inode *i, const struct call *c, struct lx_stat_all *st)
{
	struct tnode *n = tnode_of(i);

	(void)c;
	if (n->fd >= 0) {
		sleeplock_lock(&i->dir_lock);
		settle(n);
		sleeplock_unlock(&i->dir_lock);
	}
	st->blocks = inode_load(n->pages) * (LX_PAGE_SIZE / 512);
	return 0;
}

static int
punch_locked(struct tnode *n, int64_t off, int64_t len)
{
	int64_t end = off + len;

	if (n->seals & (LX_F_SEAL_WRITE | LX_F_SEAL_FUTURE_WRITE))
		return -EPERM;
	if (n->fd >= 0) {
		int r = host_fd_allocate(
			n->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, off, len);

		settle(n);
		return r;
	}
	if (end > n->mem_len)
		end = n->mem_len;
	if (off < end)
		memset(n->mem + off, 0, (size_t)(end - off));
	return 0;
}

#define ALLOCATE_STEP (128 << 10) /* bytes: less than what the end of any process gives back */

/* Memory for [off, off + len), of which nothing stays beyond the end of the file when it cannot be
 * had, or nobody is there any more who wants it (-EINTR). The sentry is who takes it: where the
 * host ends programs for a limit it would end one after the other, and at last the sentry. */
static int
allocate_locked(struct inode *i, const struct call *c, int64_t off, int64_t len)
{
	struct tnode *n = tnode_of(i);
	int64_t done = 0, keep;
	int r = 0;

	while (done < len && r == 0) {
		int64_t step = len - done < ALLOCATE_STEP ? len - done : ALLOCATE_STEP;

		r = host_fd_allocate(n->fd, FALLOC_FL_KEEP_SIZE, off + done, step);
		if (r == 0)
			done += step;
		if (r == 0 && done < len && c->ended && c->ended(c))
			r = -EINTR;
	}
	keep = (int64_t)(pages_of((uint64_t)i->size) * LX_PAGE_SIZE);
	if (keep < off)
		keep = off;
	if (r && off + done > keep)
		(void)host_fd_allocate(
			n->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, keep, off + done - keep);
	return r;
}

static int
reg_fallocate(struct file *f, const struct call *c, int mode, int64_t off, int64_t len)
{
	struct inode *i = f->inode;
	struct tnode *n = tnode_of(i);
	int64_t end = off + len;
	uint64_t limit = c->rlim ? rlimit_cur(c->rlim, LX_RLIMIT_FSIZE) : LX_RLIM_INFINITY;
	int r = 0;

	/* what tmpfs has on Linux, too */
	if (mode & ~(LX_FALLOC_FL_KEEP_SIZE | LX_FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	sleeplock_lock(&i->dir_lock);
	if (mode & LX_FALLOC_FL_PUNCH_HOLE) {
		r = punch_locked(n, off, len);
	} else if (!(mode & LX_FALLOC_FL_KEEP_SIZE) && end > i->size && (uint64_t)end > limit) {
		r = -EFBIG;
	} else if ((n->seals & LX_F_SEAL_GROW) && end > i->size) {
		r = -EPERM;
	} else {
		uint64_t need = pages_of((uint64_t)end) - (uint64_t)off / LX_PAGE_SIZE;

		if (end > TMPFS_SMALL || (mode & LX_FALLOC_FL_KEEP_SIZE))
			r = to_memfd(n, false);
		if (!r && n->fd >= 0) {
			settle(n);
			if (!tmpfs_charge(i->sb, need)) {
				r = -ENOSPC;
			} else {
				r = allocate_locked(i, c, off, len);
				tmpfs_uncharge(i->sb, need);
			}
			if (!r && !(mode & LX_FALLOC_FL_KEEP_SIZE) && end > i->size)
				r = host_fd_truncate(n->fd, end);
			settle(n);
		} else if (!r) {
			r = mem_reserve(n, (uint32_t)end);
		}
		if (!r && !(mode & LX_FALLOC_FL_KEEP_SIZE) && end > i->size) {
			mutex_lock(&i->lock);
			inode_store(i->size, end);
			mutex_unlock(&i->lock);
		}
	}
	if (!r)
		inode_touch(i, INODE_T_MTIME | INODE_T_CTIME);
	sleeplock_unlock(&i->dir_lock);
	return r;
}

/* --- mapping --- */

struct tmap {
	struct mappable m;
	bool writable;
};

static int
map_fd(struct mappable *m, int prot, bool shared)
{
	struct tnode *n = tnode_of(m->file->inode);

	return shared && (prot & LX_PROT_WRITE) ? n->fd : readonly_fd(n);
}

static void
map_release(struct mappable *m)
{
	struct tmap *t = container_of(m, struct tmap, m);

	if (t->writable)
		atomic_fetch_sub(&tnode_of(m->file->inode)->writable_maps, 1);
	file_put(m->file);
	free(t);
}

static const struct mappable_ops map_ops = {.host_fd = map_fd, .release = map_release};

static int
reg_mappable(struct file *f, const struct call *c, int prot, bool shared, struct mappable **ret)
{
	struct tnode *n = tnode_of(f->inode);
	bool writable = shared && (f->mode & LX_FMODE_WRITE);
	struct tmap *t = calloc(1, sizeof *t);
	int r = 0;

	(void)c;
	if (!t)
		return -ENOMEM;
	sleeplock_lock(&f->inode->dir_lock);
	if (shared && (prot & 2) && (n->seals & (LX_F_SEAL_WRITE | LX_F_SEAL_FUTURE_WRITE)))
		r = -EPERM;
	else
		r = to_memfd(n, false);
	if (!r && writable && !(n->seals & (LX_F_SEAL_WRITE | LX_F_SEAL_FUTURE_WRITE))) {
		t->writable = true;
		atomic_fetch_add(&n->writable_maps, 1);
	}
	sleeplock_unlock(&f->inode->dir_lock);
	if (r) {
		free(t);
		return r;
	}
	ref_init(&t->m.ref);
	t->m.ops = &map_ops;
	t->m.file = file_get(f);
	t->m.memory = f->inode;
	*ret = &t->m;
	return 0;
}

static int
reg_fsync(struct file *f, const struct call *c, bool data_only)
{
	(void)f, (void)c, (void)data_only;
	return 0;
}

const struct inode_ops tmpfs_reg_iops = {
	.setattr = tdata_setattr,
	.getattr = tdata_getattr,
	.getxattr = txattr_get,
	.setxattr = txattr_set,
	.listxattr = txattr_list,
	.removexattr = txattr_remove,
	.free = tnode_free,
};

const struct file_ops tmpfs_reg_fops = {
	.read = reg_read,
	.write = reg_write,
	.lseek = reg_lseek,
	.mappable = reg_mappable,
	.fsync = reg_fsync,
	.fallocate = reg_fallocate,
};
