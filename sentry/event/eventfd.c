/* SPDX-License-Identifier: Apache-2.0 */
/* eventfd(2): a counter that can be waited for. */
#include "abi/fs.h"
#include "abi/poll.h"
#include "sentry/event/event.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct eventfd {
	struct mutex lock; /* rank EVENT: count */
	uint64_t count;
	bool semaphore;
	uint32_t id; /* tells one from another in fdinfo */
	struct waitq wq;
};

static void
eventfd_release(struct file *f)
{
	struct eventfd *e = f->priv;

	waitq_destroy(&e->wq);
	mutex_destroy(&e->lock);
	free(e);
}

static ssize_t
eventfd_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct eventfd *e = f->priv;
	uint64_t v = 0;

	(void)c;
	(void)pos;
	(void)rwf;
	if (u->left < sizeof v)
		return -EINVAL;
	mutex_lock(&e->lock);
	if (e->count) {
		v = e->semaphore ? 1 : e->count;
		e->count -= v;
	}
	mutex_unlock(&e->lock);
	if (!v)
		return -EAGAIN;
	waitq_notify(&e->wq, LX_POLLOUT | LX_POLLWRNORM);
	return uio_copy_to(u, &v, sizeof v);
}

static ssize_t
eventfd_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct eventfd *e = f->priv;
	uint64_t v;
	bool full;
	ssize_t n;

	(void)c;
	(void)pos;
	(void)rwf;
	if (u->left < sizeof v)
		return -EINVAL;
	n = uio_copy_from(u, &v, sizeof v);
	if (n < (ssize_t)sizeof v)
		return -EFAULT;
	if (v == UINT64_MAX)
		return -EINVAL;
	mutex_lock(&e->lock);
	full = UINT64_MAX - e->count <= v;
	if (!full)
		e->count += v;
	mutex_unlock(&e->lock);
	if (full) {
		/* The caller tries again with the same list. */
		u->left += sizeof v;
		u->cur = 0;
		u->cur_off = 0;
		return -EAGAIN;
	}
	waitq_notify(&e->wq, LX_POLLIN | LX_POLLRDNORM);
	return sizeof v;
}

static uint32_t
eventfd_poll(struct file *f, struct poll_table *pt)
{
	struct eventfd *e = f->priv;
	uint32_t ev = 0;

	poll_wait(pt, &e->wq);
	mutex_lock(&e->lock);
	if (e->count)
		ev |= LX_POLLIN | LX_POLLRDNORM;
	if (e->count < UINT64_MAX - 1)
		ev |= LX_POLLOUT | LX_POLLWRNORM;
	if (e->count == UINT64_MAX)
		ev |= LX_POLLERR;
	mutex_unlock(&e->lock);
	return ev;
}

static void
eventfd_fdinfo(struct file *f, char *buf, size_t cap)
{
	struct eventfd *e = f->priv;

	mutex_lock(&e->lock);
	snprintf(buf, cap, "eventfd-count: %16llx\neventfd-id: %u\neventfd-semaphore: %d\n",
		(unsigned long long)e->count, e->id, e->semaphore);
	mutex_unlock(&e->lock);
}

static const struct file_ops eventfd_ops = {
	.release = eventfd_release,
	.read = eventfd_read,
	.write = eventfd_write,
	.poll = eventfd_poll,
	.fdinfo = eventfd_fdinfo,
	.lseek = file_lseek_noop,
};

int
eventfd_new(uint64_t count, bool semaphore, uint32_t oflags, struct file **ret)
{
	static _Atomic uint32_t made;
	struct eventfd *e = calloc(1, sizeof *e);
	int err;

	if (!e)
		return -ENOMEM;
	mutex_init(&e->lock, LR_EVENT);
	waitq_init(&e->wq);
	e->count = count;
	e->semaphore = semaphore;
	e->id = atomic_fetch_add(&made, 1) & INT32_MAX;
	err = file_new_anon(&eventfd_ops, e, "anon_inode:[eventfd]", 0, LX_O_RDWR | oflags, ret);
	if (err) {
		waitq_destroy(&e->wq);
		free(e);
	}
	return err;
}

bool
eventfd_is(const struct file *f)
{
	return f->ops == &eventfd_ops;
}

void
eventfd_add(struct file *f, uint64_t n)
{
	struct eventfd *e = f->priv;

	mutex_lock(&e->lock);
	e->count = UINT64_MAX - e->count < n ? UINT64_MAX : e->count + n;
	mutex_unlock(&e->lock);
	waitq_notify(&e->wq, LX_POLLIN | LX_POLLRDNORM);
}
