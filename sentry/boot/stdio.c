/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Standard streams: host descriptors that the launcher handed over, as open files of the guest.
 * They are made non-blocking only where that does not show outside: the calls use poll first, and a
 * shared descriptor is left as it is.
 */
#include "abi/poll.h"
#include "internal.h"
#include "platform/host/file.h"
#include "sentry/sched/sched.h"
#include "sentry/vfs/path.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

struct host_stream {
	int fd;
	bool watched; /* regular files cannot be, and need not */
	struct waitq q;
	struct hostfd_watch watch;
};

static ssize_t
stream_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct host_stream *h = f->priv;

	(void)c, (void)pos, (void)rwf;
	if (h->watched && host_fd_poll(h->fd, LX_POLLIN, 0) == 0)
		return -EAGAIN;
	return uio_fd_read(u, h->fd, -1);
}

static ssize_t
stream_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct host_stream *h = f->priv;

	(void)c, (void)pos, (void)rwf;
	if (h->watched && host_fd_poll(h->fd, LX_POLLOUT, 0) == 0)
		return -EAGAIN;
	return uio_fd_write(u, h->fd, -1);
}

static uint32_t
stream_poll(struct file *f, struct poll_table *pt)
{
	struct host_stream *h = f->priv;
	int r;

	poll_wait(pt, &h->q);
	r = host_fd_poll(h->fd, LX_POLLIN | LX_POLLOUT, 0);
	return r < 0 ? LX_POLLERR : (uint32_t)r;
}

static void
stream_release(struct file *f)
{
	struct host_stream *h = f->priv;

	if (h->watched)
		sched_unwatch(&h->watch);
	waitq_destroy(&h->q);
	host_fd_close(h->fd);
	free(h);
}

static const struct file_ops stream_ops = {
	.release = stream_release,
	.read = stream_read,
	.write = stream_write,
	.poll = stream_poll,
};

int
boot_stdio(const struct start *s, int which, struct file **ret)
{
	struct host_stream *h;
	struct stat st;
	int r;

	*ret = NULL;
	if (s->stdio[which] < 0)
		return 0;
	h = calloc(1, sizeof *h);
	if (!h)
		return -ENOMEM;
	h->fd = s->stdio[which];
	waitq_init(&h->q);
	h->watch = (struct hostfd_watch){.fd = h->fd, .q = &h->q};
	h->watched = sched_watch(&h->watch, EPOLLIN | EPOLLOUT) == 0;
	if (fstat(h->fd, &st) < 0)
		st.st_mode = S_IFCHR | 0600;
	r = file_new_anon(&stream_ops, h, "host:[%lu]", st.st_mode & S_IFMT, LX_O_RDWR, ret);
	if (r < 0)
		free(h);
	return r;
}
