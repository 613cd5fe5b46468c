/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving bytes between a list of buffers and sentry memory or a host file. A list is walked once,
 * front to back, by one fiber.
 */
#include "platform/host/file.h"
#include "sentry/usermem/usermem.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CHUNK_BYTES (64UL << 10)  /* one step through a bounce buffer */
#define LARGE_BYTES (128UL << 10) /* step of large host transfers: what stays in a core's cache */

void
uio_init_user(struct uio *u, struct usermem *um, struct uaddr base, uint64_t len)
{
	if (len > LX_MAX_RW)
		len = LX_MAX_RW;
	*u = (struct uio){.um = um, .niov = 1, .left = len, .one = {base.v, len}};
	u->iov = &u->one;
}

void
uio_init_kernel(struct uio *u, void *base, uint64_t len)
{
	uio_init_user(u, NULL, ua((uintptr_t)base), len);
}

int
uio_init_iov(struct uio *u, struct usermem *um, struct lx_iovec *iov, uint32_t niov)
{
	uint64_t total = 0;

	for (uint32_t i = 0; i < niov; i++) {
		if ((int64_t)iov[i].len < 0)
			return -EINVAL;
		if (iov[i].len > LX_MAX_RW - total)
			iov[i].len = LX_MAX_RW - total;
		total += iov[i].len;
	}
	*u = (struct uio){.um = um, .iov = iov, .niov = niov, .left = total};
	return 0;
}

int
uio_init_user_iov(
	struct uio *u, struct usermem *um, struct lx_iovec *iov, struct uaddr addr, uint64_t count)
{
	if (count > LX_UIO_MAXIOV)
		return -EINVAL;
	if (copy_in(um, iov, addr, count * sizeof *iov))
		return -EFAULT;
	return uio_init_iov(u, um, iov, (uint32_t)count);
}

/* The next contiguous piece, at most max bytes; 0 at the end. */
static size_t
piece(struct uio *u, size_t max, uint64_t *ret_addr)
{
	while (u->cur < u->niov && u->cur_off == u->iov[u->cur].len) {
		u->cur++;
		u->cur_off = 0;
	}
	if (u->cur == u->niov || !u->left)
		return 0;
	*ret_addr = u->iov[u->cur].base + u->cur_off;
	uint64_t n = u->iov[u->cur].len - u->cur_off;

	if (n > u->left)
		n = u->left;
	return n < max ? n : max;
}

static void
advance(struct uio *u, size_t n)
{
	u->cur_off += n;
	u->left -= n;
}

enum direction {
	TO_LIST,
	FROM_LIST,
	ZERO_LIST,
};

static int
move_piece(struct uio *u, enum direction dir, uint64_t addr, void *buf, size_t n)
{
	if (!u->um) {
		if (dir == TO_LIST)
			memcpy((void *)addr, buf, n);
		else if (dir == FROM_LIST)
			memcpy(buf, (void *)addr, n);
		else
			memset((void *)addr, 0, n);
		return 0;
	}
	if (dir == TO_LIST)
		return copy_out(u->um, ua(addr), buf, n);
	if (dir == FROM_LIST)
		return copy_in(u->um, buf, ua(addr), n);
	return usermem_zero(u->um, ua(addr), n);
}

static ssize_t
move(struct uio *u, enum direction dir, void *buf, size_t len)
{
	size_t done = 0, n;
	uint64_t addr;

	while (done < len && (n = piece(u, len - done, &addr))) {
		if (move_piece(u, dir, addr, buf ? (char *)buf + done : NULL, n))
			return done ? (ssize_t)done : -EFAULT;
		advance(u, n);
		done += n;
	}
	return (ssize_t)done;
}

ssize_t
uio_copy_to(struct uio *u, const void *src, size_t len)
{
	return move(u, TO_LIST, (void *)src, len);
}

ssize_t
uio_copy_from(struct uio *u, void *dst, size_t len)
{
	return move(u, FROM_LIST, dst, len);
}

ssize_t
uio_zero(struct uio *u, size_t len)
{
	return move(u, ZERO_LIST, NULL, len);
}

void
uio_skip(struct uio *u, size_t len)
{
	uint64_t addr;
	size_t n;

	while (len && (n = piece(u, len, &addr))) {
		advance(u, n);
		len -= n;
	}
}

static ssize_t
host_read(int fd, void *buf, size_t len, int64_t off)
{
	return off < 0 ? host_fd_read(fd, buf, len) : host_fd_pread(fd, buf, len, off);
}

static ssize_t
host_write(int fd, const void *buf, size_t len, int64_t off)
{
	return off < 0 ? host_fd_write(fd, buf, len) : host_fd_pwrite(fd, buf, len, off);
}

/* A buffer for large transfers: one is kept, so that its pages are not given back and asked for
 * again with each call. */
static _Atomic(char *) spare;

static char *
large_take(void)
{
	char *p = atomic_exchange(&spare, NULL);

	return p ? p : malloc(LARGE_BYTES);
}

static void
large_give(char **p)
{
	if (*p)
		free(atomic_exchange(&spare, *p));
}

struct fd_source {
	int fd;
	int64_t off;
};

static ssize_t
fill_from_fd(void *arg, void *buf, uint64_t at, size_t len)
{
	const struct fd_source *s = arg;

	return host_fd_pread(s->fd, buf, len, s->off + (int64_t)at);
}

static ssize_t
stream_from_fd(struct uio *u, int fd, int64_t off)
{
	struct fd_source s = {fd, off};

	return uio_stream(u, fill_from_fd, &s);
}

ssize_t
uio_fd_read(struct uio *u, int fd, int64_t off)
{
	char *heap __attribute__((cleanup(large_give))) = NULL;
	size_t done = 0, n;
	uint64_t addr;

	while ((n = piece(u, LARGE_BYTES, &addr))) {
		void *win = NULL;
		ssize_t r;

		if (off >= 0 && (r = stream_from_fd(u, fd, off + (int64_t)done)) > 0) {
			done += (size_t)r;
			continue;
		}
		if (!u->um) {
			win = (void *)addr;
		} else if (u->um->ops->window) {
			size_t w = n < CHUNK_BYTES ? n : CHUNK_BYTES;

			/* One trip's worth goes into the reply; more than that is faster in large
			 * pieces. */
			if (u->left <= CHUNK_BYTES &&
				(win = u->um->ops->window(u->um, ua(addr), w)))
				n = w;
		}
		if (win) {
			r = host_read(fd, win, n, off < 0 ? off : off + (int64_t)done);
			if (u->um && r < (ssize_t)n)
				u->um->ops->window_cut(u->um, r > 0 ? (size_t)r : 0);
		} else {
			if (!heap && !(heap = large_take()))
				return done ? (ssize_t)done : -ENOMEM;
			r = host_read(fd, heap, n, off < 0 ? off : off + (int64_t)done);
			if (r > 0 && copy_out(u->um, ua(addr), heap, (size_t)r))
				r = -EFAULT;
		}
		if (r < 0)
			return done ? (ssize_t)done : r;
		advance(u, (size_t)r);
		done += (size_t)r;
		if ((size_t)r < n)
			break;
	}
	return (ssize_t)done;
}

ssize_t
uio_stream(struct uio *u, plat_fill_fn *fill, void *arg)
{
	uint64_t addr;
	size_t n = piece(u, u->left, &addr);
	ssize_t r;

	if (n < STREAM_BYTES || !u->um || !u->um->ops->stream)
		return -EOPNOTSUPP;
	r = u->um->ops->stream(u->um, ua(addr), n, fill, arg);
	if (r > 0)
		advance(u, (size_t)r);
	return r;
}

ssize_t
uio_file(struct uio *u, const struct plat_file *f, size_t len)
{
	uint64_t addr;
	size_t n = piece(u, len, &addr);
	int r;

	if (n < STREAM_BYTES || !u->um || !u->um->ops->file)
		return -EOPNOTSUPP;
	r = u->um->ops->file(u->um, ua(addr), n, f);
	if (r < 0)
		return r;
	advance(u, n);
	return (ssize_t)n;
}

ssize_t
uio_fd_write(struct uio *u, int fd, int64_t off)
{
	char *heap __attribute__((cleanup(large_give))) = NULL;
	size_t done = 0, n;
	uint64_t addr;

	while ((n = piece(u, LARGE_BYTES, &addr))) {
		const void *src = NULL;
		size_t have = 0;
		ssize_t r;

		if (!u->um)
			src = (void *)addr;
		else if (u->um->ops->carried)
			src = u->um->ops->carried(u->um, ua(addr), &have);
		if (!src || (u->um && have < n)) {
			if (!heap && !(heap = large_take()))
				return done ? (ssize_t)done : -ENOMEM;
			if (copy_in(u->um, heap, ua(addr), n))
				return done ? (ssize_t)done : -EFAULT;
			src = heap;
		}
		r = host_write(fd, src, n, off < 0 ? off : off + (int64_t)done);
		if (r < 0)
			return done ? (ssize_t)done : r;
		advance(u, (size_t)r);
		done += (size_t)r;
		if ((size_t)r < n)
			break;
	}
	return (ssize_t)done;
}
