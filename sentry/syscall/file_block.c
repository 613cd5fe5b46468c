/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/syscall/file_block.h"
#include "abi/poll.h"
#include "internal.h"
#include "sentry/kernel/limits.h"
#include "sentry/socket/socket.h"
#include "sentry/vfs/rw.h"
#include "socket.h"

static void
table_add(struct poll_table *pt, struct waitq *q)
{
	struct block_table *b = container_of(pt, struct block_table, pt);

	/* no file has more queues than this; a further one would only be missed, and is a mistake
	 * of ours */
	assert_that(b->n < BLOCK_QUEUES);
	waiter_init_fiber(&b->w[b->n], fiber_self(), b->mask);
	waitq_add(q, &b->w[b->n]);
	b->n++;
}

void
block_table_init(struct block_table *b, uint32_t mask)
{
	b->pt.add = table_add;
	b->n = 0;
	b->mask = mask;
}

void
block_table_fini(struct block_table *b)
{
	while (b->n > 0)
		waitq_remove(&b->w[--b->n]);
}

static int64_t
park_loop(struct task *t, struct block_table *b, int64_t deadline_ns, int64_t (*fn)(void *arg),
	void *arg)
{
	int64_t r;

	for (;;) {
		int p;

		r = fn(arg);
		if (r != -EAGAIN)
			break;
		p = task_park(t, deadline_ns);
		if (p) {
			r = p == -ETIMEDOUT ? -EAGAIN : p;
			break;
		}
	}
	block_table_fini(b);
	return r;
}

int64_t
file_block(struct task *t, struct file *f, uint32_t events, int64_t deadline_ns,
	int64_t (*fn)(void *arg), void *arg)
{
	struct block_table b;
	int64_t r = fn(arg);

	if (r != -EAGAIN)
		return r;
	block_table_init(&b, events | LX_POLLERR | LX_POLLHUP);
	if (f->ops->poll)
		f->ops->poll(f, &b.pt);
	return park_loop(t, &b, deadline_ns, fn, arg);
}

int64_t
queue_block(struct task *t, struct waitq *q, uint32_t events, int64_t deadline_ns,
	int64_t (*fn)(void *arg), void *arg)
{
	struct block_table b;
	int64_t r = fn(arg);

	if (r != -EAGAIN)
		return r;
	block_table_init(&b, events);
	poll_wait(&b.pt, q);
	return park_loop(t, &b, deadline_ns, fn, arg);
}

struct rw {
	struct task *t;
	struct file *f;
	struct uio *u;
	int64_t *pos;
	uint32_t rwf;
	int64_t done; /* bytes of a write that goes on until all is written */
	bool all;
};

static int64_t
try_read(void *arg)
{
	struct rw *rw = arg;

	return vfs_read(rw->f, &rw->t->call, rw->u, rw->pos, rw->rwf);
}

static int64_t
try_write(void *arg)
{
	struct rw *rw = arg;

	for (;;) {
		int64_t r = vfs_write(rw->f, &rw->t->call, rw->u, rw->pos, rw->rwf);

		if (r <= 0)
			return r;
		rw->done += r;
		if (!rw->all || !rw->u->left)
			return rw->done;
	}
}

static int64_t
transfer(struct rw *rw, bool write, uint32_t events)
{
	int64_t (*fn)(void *) = write ? try_write : try_read;
	const struct sock *s = sock_of(rw->f);
	int64_t deadline = s ? sock_deadline(write ? s->sndtimeo_ns : s->rcvtimeo_ns) : INT64_MAX;
	bool wait = !(file_flags(rw->f) & LX_O_NONBLOCK) && !(rw->rwf & LX_RWF_NOWAIT);
	int64_t r;

	rw->all = write && wait && (rw->f->mode & LX_FMODE_WRITEALL);
	r = wait ? file_block(rw->t, rw->f, events, deadline, fn, rw) : fn(rw);
	r = sock_cut_short(r, deadline);
	/* a restart would write the first part twice */
	return r < 0 && rw->done ? rw->done : r;
}

static int64_t
with_pos(struct rw *rw, bool write, uint32_t events)
{
	struct file *f = rw->f;
	int64_t none = 0, r;

	if (rw->pos)
		return transfer(rw, write, events);
	if (f->mode & LX_FMODE_STREAM) {
		rw->pos = &none;
		return transfer(rw, write, events);
	}
	r = sleeplock_lock_killable(&f->pos_sleep);
	if (r)
		return r;
	rw->pos = &f->pos;
	r = transfer(rw, write, events);
	sleeplock_unlock(&f->pos_sleep);
	return r;
}

int64_t
task_file_read(struct task *t, struct file *f, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct rw rw = {t, f, u, pos, rwf, 0, false};

	return with_pos(&rw, false, LX_POLLIN | LX_POLLRDNORM | LX_POLLPRI | LX_POLLRDHUP);
}

int64_t
task_file_write(struct task *t, struct file *f, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct rw rw = {t, f, u, pos, rwf, 0, false};
	uint32_t flags = file_flags(f);
	int64_t r;

	r = with_pos(&rw, true, LX_POLLOUT | LX_POLLWRNORM);
	if (r == -EPIPE) {
		signal_send_task(t, LX_SIGPIPE, NULL);
	} else if (r == -EFBIG && rlimit_cur(t->call.rlim, LX_RLIMIT_FSIZE) != LX_RLIM_INFINITY) {
		kernel_file_too_large();
		signal_send_task(t, LX_SIGXFSZ, NULL);
	}
	if (r > 0 && ((flags & LX_O_DSYNC) || (rwf & (LX_RWF_DSYNC | LX_RWF_SYNC))) &&
		f->ops->fsync) {
		int err = vfs_fsync(f, &t->call, !(flags & LX___O_SYNC) && !(rwf & LX_RWF_SYNC));

		if (err)
			return err;
	}
	return r;
}
