/* SPDX-License-Identifier: Apache-2.0 */
/* Guest memory: strings, and plain memory that stands for it in unit tests. */
#include "sentry/usermem/usermem.h"
#include <errno.h>

int
usermem_zero(struct usermem *um, struct uaddr dst, size_t len)
{
	return len ? um->ops->zero(um, dst, len) : 0;
}

ssize_t
copy_in_str(struct usermem *um, char *dst, struct uaddr src, size_t cap)
{
	size_t done = 0;

	/* Page by page: the string may end just before an unmapped page. Most often the request
	 * has carried it. */
	if (um->ops->carried) {
		size_t n;
		const char *p = um->ops->carried(um, src, &n), *end;

		if (p) {
			n = n < cap ? n : cap;
			memcpy(dst, p, n);
			end = memchr(dst, 0, n);
			if (end)
				return end - dst;
		}
	}
	while (done < cap) {
		uint64_t a = src.v + done;
		size_t n = LX_PAGE_SIZE - (a & (LX_PAGE_SIZE - 1));
		char *end;

		if (n > cap - done)
			n = cap - done;
		if (um->ops->in(um, dst + done, ua(a), n))
			return -EFAULT;
		end = memchr(dst + done, 0, n);
		if (end)
			return end - dst;
		done += n;
	}
	return -ENAMETOOLONG;
}

static bool
flat_range(struct usermem_flat *f, uint64_t a, size_t len)
{
	return a >= f->base && len <= f->len && a - f->base <= f->len - len;
}

static int
flat_in(struct usermem *um, void *dst, struct uaddr src, size_t len)
{
	struct usermem_flat *f = (struct usermem_flat *)um;

	if (!flat_range(f, src.v, len))
		return -EFAULT;
	memcpy(dst, f->buf + (src.v - f->base), len);
	return 0;
}

static int
flat_out(struct usermem *um, struct uaddr dst, const void *src, size_t len)
{
	struct usermem_flat *f = (struct usermem_flat *)um;

	if (!flat_range(f, dst.v, len))
		return -EFAULT;
	memcpy(f->buf + (dst.v - f->base), src, len);
	return 0;
}

static int
flat_zero(struct usermem *um, struct uaddr dst, size_t len)
{
	struct usermem_flat *f = (struct usermem_flat *)um;

	if (!flat_range(f, dst.v, len))
		return -EFAULT;
	memset(f->buf + (dst.v - f->base), 0, len);
	return 0;
}

static const struct usermem_ops flat_ops = {.in = flat_in, .out = flat_out, .zero = flat_zero};

void
usermem_flat_init(struct usermem_flat *f, void *buf, uint64_t base, uint64_t len)
{
	f->um.ops = &flat_ops;
	f->buf = buf;
	f->base = base;
	f->len = len;
}
