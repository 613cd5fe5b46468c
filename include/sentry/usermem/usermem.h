/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory as handlers see it. The kernel backs it with the platform; unit tests with plain
 * memory (usermem_flat). Functions return 0 or -EFAULT unless the text says otherwise.
 */
#ifndef SENTRY_USERMEM_USERMEM_H
#define SENTRY_USERMEM_USERMEM_H

#include "abi/types.h"
#include "platform/platform.h"
#include <string.h>
#include <sys/types.h>

struct usermem;

struct usermem_ops {
	int (*in)(struct usermem *um, void *dst, struct uaddr src, size_t len);
	int (*out)(struct usermem *um, struct uaddr dst, const void *src, size_t len);
	int (*zero)(struct usermem *um, struct uaddr dst, size_t len);
	/* May be NULL; see uio_fd_read and uio_fd_write. */
	void *(*window)(struct usermem *um, struct uaddr dst, size_t len);
	void (*window_cut)(struct usermem *um, size_t len);
	const void *(*carried)(struct usermem *um, struct uaddr src, size_t *ret_len);
	/* May be NULL; see uio_stream. */
	ssize_t (*stream)(
		struct usermem *um, struct uaddr dst, size_t len, plat_fill_fn *fill, void *arg);
	/* May be NULL; see uio_file. */
	int (*file)(struct usermem *um, struct uaddr dst, size_t len, const struct plat_file *f);
};

struct usermem {
	const struct usermem_ops *ops;
};

static inline int
copy_in(struct usermem *um, void *dst, struct uaddr src, size_t len)
{
	return len ? um->ops->in(um, dst, src, len) : 0;
}

static inline int
copy_out(struct usermem *um, struct uaddr dst, const void *src, size_t len)
{
	return len ? um->ops->out(um, dst, src, len) : 0;
}

int usermem_zero(struct usermem *um, struct uaddr dst, size_t len);

/* Copy a NUL-terminated string of at most cap - 1 bytes. Length without the NUL, -EFAULT, or
 * -ENAMETOOLONG when there is no NUL within cap bytes. */
ssize_t copy_in_str(struct usermem *um, char *dst, struct uaddr src, size_t cap);

#define LX_UIO_MAXIOV 1024

/*
 * A list of buffers to move bytes from or to: guest memory (um set) or sentry memory (um NULL, base
 * holds host pointers of the caller). `left` counts down as bytes move.
 */
struct uio {
	struct usermem *um;
	struct lx_iovec *iov;
	uint32_t niov;
	uint32_t cur; /* buffer in work, and how much of it is done */
	uint64_t cur_off;
	uint64_t left; /* bytes not moved yet; never above LX_MAX_RW */
	struct lx_iovec one;
};

#define LX_MAX_RW 0x7ffff000UL /* as Linux's MAX_RW_COUNT */

void uio_init_user(struct uio *u, struct usermem *um, struct uaddr base, uint64_t len);
void uio_init_kernel(struct uio *u, void *base, uint64_t len);
/* iov is borrowed. -EINVAL if a length is negative as ssize_t; the total is cut to LX_MAX_RW. */
int uio_init_iov(struct uio *u, struct usermem *um, struct lx_iovec *iov, uint32_t niov);
/* Copy count iovecs in from guest memory to iov (LX_UIO_MAXIOV entries) and init. -EINVAL, -EFAULT.
 */
int uio_init_user_iov(
	struct uio *u, struct usermem *um, struct lx_iovec *iov, struct uaddr addr, uint64_t count);

/* Move up to len bytes; the number moved, short only at the end of the list or at a fault after
 * some bytes; -EFAULT when none could be moved. */
ssize_t uio_copy_to(struct uio *u, const void *src, size_t len);
ssize_t uio_copy_from(struct uio *u, void *dst, size_t len);
ssize_t uio_zero(struct uio *u, size_t len);
/* Skip len bytes (they count as moved). */
void uio_skip(struct uio *u, size_t len);

/* Move bytes between a host file and the list with pread/pwrite (off >= 0) or read/write (off < 0),
 * with as few copies as the platform allows. Bytes moved, 0 at end of file, or -errno. The fd is a
 * regular file or non-blocking. */
ssize_t uio_fd_read(struct uio *u, int fd, int64_t off);
ssize_t uio_fd_write(struct uio *u, int fd, int64_t off);

/* Move what fill gives to the next buffer of the list, at least STREAM_BYTES of it, in pieces that
 * are filled and copied at the same time. Bytes moved, which may be less than what is left; what
 * fill failed with; -EOPNOTSUPP: not possible here, nothing was moved and fill not called. */
#define STREAM_BYTES (128UL << 10)
ssize_t uio_stream(struct uio *u, plat_fill_fn *fill, void *arg);

/* Let the guest's process read up to len bytes of a file into the next buffer, at least
 * STREAM_BYTES of them. Bytes, which may be less; -EOPNOTSUPP: not possible here; -EFAULT. The
 * owner is as with plat_ops.file_out. */
ssize_t uio_file(struct uio *u, const struct plat_file *f, size_t len);

/* A flat buffer as guest memory: address a is buf[a - base]. For unit tests. */
struct usermem_flat {
	struct usermem um;
	uint8_t *buf;
	uint64_t base, len;
};
void usermem_flat_init(struct usermem_flat *f, void *buf, uint64_t base, uint64_t len);

#endif
