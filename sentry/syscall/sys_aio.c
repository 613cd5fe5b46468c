/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux's native asynchronous I/O (io_submit(2)). A request is carried out when it is submitted, as
 * Linux does for all but direct I/O and polls; its event waits in the context. A context's id is
 * the address of a page of zeros in the caller's memory: libaio looks there for a ring, finds none,
 * and asks.
 */
#include "abi/fs.h"
#include "abi/mman.h"
#include "abi/poll.h"
#include "file_util.h"
#include "sentry/event/event.h"
#include "sentry/kernel/aio.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/file_block.h"
#include "sentry/sysctl/sysctl.h"
#include <stdlib.h>

enum {
	CMD_PREAD = 0,
	CMD_PWRITE = 1,
	CMD_FSYNC = 2,
	CMD_FDSYNC = 3,
	CMD_POLL = 5,
	CMD_NOOP = 6,
	CMD_PREADV = 7,
	CMD_PWRITEV = 8,
	FLAG_RESFD = 1,
	FLAG_IOPRIO = 2,
};

struct lx_iocb {
	uint64_t data;
	uint32_t key;
	uint32_t rw_flags;
	uint16_t opcode;
	int16_t reqprio;
	uint32_t fd;
	uint64_t buf, nbytes;
	int64_t offset;
	uint64_t reserved;
	uint32_t flags, resfd;
};
_Static_assert(sizeof(struct lx_iocb) == 64, "iocb is 64 bytes");

int64_t
sys_io_setup(struct task *t, const uint64_t a[6])
{
	uint32_t n = (uint32_t)a[0];
	struct mm_call mc;
	uint64_t id;
	int64_t addr;
	int r;

	if (copy_in(&t->mem.um, &id, ua(a[1]), sizeof id))
		return -EFAULT;
	if (id || !n)
		return -EINVAL;
	if (n > sysctl_get(SYSCTL_AIO_MAX_NR))
		return -EAGAIN;
	task_mm_call(t, &mc);
	addr = mm_mmap(&mc, 0, LX_PAGE_SIZE, LX_PROT_READ | LX_PROT_WRITE,
		LX_MAP_PRIVATE | LX_MAP_ANONYMOUS, NULL, 0,
		LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC, 0);
	if (addr < 0)
		return addr;
	id = (uint64_t)addr;
	r = aio_ctx_new(t->mm, id, n);
	if (!r && copy_out(&t->mem.um, ua(a[1]), &id, sizeof id)) {
		aio_ctx_end(t->mm, id);
		r = -EFAULT;
	}
	if (r)
		(void)mm_munmap(&mc, id, LX_PAGE_SIZE);
	return r;
}

int64_t
sys_io_destroy(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	if (!aio_ctx_end(t->mm, a[0]))
		return -EINVAL;
	task_mm_call(t, &mc);
	(void)mm_munmap(&mc, a[0], LX_PAGE_SIZE);
	return 0;
}

/* What is wrong with a request from the start is told at once, not by an event. */
static int
check(const struct file *f, const struct lx_iocb *cb)
{
	bool write = cb->opcode == CMD_PWRITE || cb->opcode == CMD_PWRITEV;
	bool vec = cb->opcode == CMD_PREADV || cb->opcode == CMD_PWRITEV;

	if (cb->opcode == CMD_POLL)
		return cb->buf > UINT16_MAX || cb->offset || cb->nbytes || cb->rw_flags ? -EINVAL
											: 0;
	if (cb->opcode == CMD_FSYNC || cb->opcode == CMD_FDSYNC)
		return cb->buf || cb->offset || cb->nbytes || cb->rw_flags || !f->ops->fsync
			       ? -EINVAL
			       : 0;
	if (!(f->mode & (write ? LX_FMODE_WRITE : LX_FMODE_READ)))
		return -EBADF;
	if ((f->mode & LX_FMODE_PREAD) && cb->offset < 0)
		return -EINVAL;
	if (vec ? cb->nbytes > LX_UIO_MAXIOV : (int64_t)cb->nbytes < 0)
		return -EINVAL;
	return 0;
}

static int64_t
transfer(struct task *t, struct file *f, const struct lx_iocb *cb)
{
	bool write = cb->opcode == CMD_PWRITE || cb->opcode == CMD_PWRITEV;
	bool vec = cb->opcode == CMD_PREADV || cb->opcode == CMD_PWRITEV;
	int64_t pos = cb->offset, r = 0;
	struct lx_iovec *iov = NULL;
	struct uio u;

	if (vec) {
		iov = malloc((cb->nbytes + 1) * sizeof *iov);
		if (!iov)
			return -ENOMEM;
		r = uio_init_user_iov(&u, t->call.um, iov, ua(cb->buf), cb->nbytes);
	} else {
		uio_init_user(&u, t->call.um, ua(cb->buf), cb->nbytes);
	}
	if (!r)
		r = (write ? task_file_write : task_file_read)(
			t, f, &u, f->mode & LX_FMODE_PREAD ? &pos : NULL, cb->rw_flags);
	free(iov);
	/* There is nobody to restart it. */
	return r <= -512 && r >= -516 ? -EINTR : r;
}

static int64_t
carry_out(struct task *t, struct file *f, const struct lx_iocb *cb)
{
	switch (cb->opcode) {
	case CMD_PREAD:
	case CMD_PWRITE:
	case CMD_PREADV:
	case CMD_PWRITEV:
		return transfer(t, f, cb);
	case CMD_FSYNC:
	case CMD_FDSYNC:
		return vfs_fsync(f, &t->call, cb->opcode == CMD_FDSYNC);
	default:
		return -EINVAL;
	}
}

/* 0: its event is queued. -errno: it was not taken. */
static int
submit_one(struct task *t, struct aio_ctx *ctx, uint64_t addr)
{
	struct file *f, *efd = NULL;
	struct lx_iocb cb;
	struct aio_event e;
	uint32_t key = 0;
	int r = 0;

	if (copy_in(&t->mem.um, &cb, ua(addr), sizeof cb))
		return -EFAULT;
	if (cb.reserved || (cb.flags & ~(uint32_t)(FLAG_RESFD | FLAG_IOPRIO)))
		return -EINVAL;
	if (cb.opcode > CMD_PWRITEV || cb.opcode == 4 || cb.opcode == CMD_NOOP)
		return -EINVAL;
	if (cb.opcode != CMD_POLL && (cb.rw_flags & ~(uint32_t)LX_RWF_SUPPORTED))
		return -EOPNOTSUPP;
	if (!aio_reserve(ctx))
		return -EAGAIN;
	f = task_file(t, (int)cb.fd);
	if (!f)
		r = -EBADF;
	if (!r && (cb.flags & FLAG_RESFD)) {
		efd = task_file(t, (int)cb.resfd);
		if (!efd)
			r = -EBADF;
		else if (!eventfd_is(efd))
			r = -EINVAL;
	}
	if (!r)
		r = check(f, &cb);
	if (!r && copy_out(&t->mem.um, ua(addr + 8), &key, sizeof key))
		r = -EFAULT;
	e = (struct aio_event){cb.data, addr, 0, 0};
	if (!r && cb.opcode == CMD_POLL)
		r = aio_poll(ctx, f, efd, &e, (uint32_t)cb.buf);
	if (r) {
		aio_unreserve(ctx);
	} else if (cb.opcode != CMD_POLL) {
		e.res = carry_out(t, f, &cb);
		aio_complete(ctx, &e);
		if (efd)
			eventfd_add(efd, 1);
	}
	if (f)
		file_put(f);
	if (efd)
		file_put(efd);
	return r;
}

int64_t
sys_io_submit(struct task *t, const uint64_t a[6])
{
	int64_t n = (int64_t)a[1], done = 0;
	struct aio_ctx *ctx;
	int r = 0;

	if (n < 0)
		return -EINVAL;
	ctx = aio_ctx_get(t->mm, a[0]);
	if (!ctx)
		return -EINVAL;
	while (done < n && !r) {
		uint64_t cb;

		if (copy_in(&t->mem.um, &cb, ua(a[2] + (uint64_t)done * 8), sizeof cb))
			r = -EFAULT;
		else
			r = submit_one(t, ctx, cb);
		if (!r)
			done++;
		if (task_interrupted(t))
			break;
	}
	aio_ctx_put(ctx);
	return done ? done : r;
}

int64_t
sys_io_cancel(struct task *t, const uint64_t a[6])
{
	struct aio_ctx *ctx;
	uint32_t key;
	int r = -EINVAL;

	if (copy_in(&t->mem.um, &key, ua(a[1] + 8), sizeof key))
		return -EFAULT;
	ctx = aio_ctx_get(t->mm, a[0]);
	if (ctx && !key)			/* KIOCB_KEY */
		r = aio_poll_cancel(ctx, a[1]); /* nothing else is ever on its way */
	aio_ctx_put(ctx);
	return r;
}

static int64_t
get_events(struct task *t, const uint64_t a[6], int64_t deadline)
{
	int64_t min = (int64_t)a[1], max = (int64_t)a[2], got = 0;
	struct aio_ctx *ctx = aio_ctx_get(t->mm, a[0]);
	struct waiter w;
	int64_t r = 0;

	if (!ctx)
		return -EINVAL;
	if (max < 0 || min < 0 || max < min) {
		aio_ctx_put(ctx);
		return -EINVAL;
	}
	waiter_init_fiber(&w, t->fiber, ~0u);
	waitq_add(aio_queue(ctx), &w);
	for (;;) {
		struct aio_event e;

		while (got < max && !r && aio_take(ctx, &e)) {
			if (copy_out(&t->mem.um, ua(a[3] + (uint64_t)got * sizeof e), &e, sizeof e))
				r = -EFAULT;
			else
				got++;
		}
		if (r || got >= min || !deadline || aio_ended(ctx))
			break;
		r = task_park(t, deadline);
		if (r) {
			r = r == -ETIMEDOUT ? 0 : -EINTR;
			break;
		}
	}
	waitq_remove(&w);
	aio_ctx_put(ctx);
	return got ? got : r;
}

static int
timeout_of(struct task *t, uint64_t addr, int64_t *deadline)
{
	int64_t ns;
	int r;

	*deadline = INT64_MAX;
	if (!addr)
		return 0;
	r = timespec_in(t, ua(addr), &ns);
	if (!r)
		*deadline = ns ? deadline_after(ns) : 0;
	return r;
}

int64_t
sys_io_getevents(struct task *t, const uint64_t a[6])
{
	int64_t deadline;
	int r = timeout_of(t, a[4], &deadline);

	return r ? r : get_events(t, a, deadline);
}

int64_t
sys_io_pgetevents(struct task *t, const uint64_t a[6])
{
	struct {
		uint64_t set, size;
	} sig = {0, 0};
	int64_t deadline, r = timeout_of(t, a[4], &deadline);

	if (r)
		return r;
	if (a[5] && copy_in(&t->mem.um, &sig, ua(a[5]), sizeof sig))
		return -EFAULT;
	r = signal_use_temp_mask(t, ua(sig.set), sig.size);
	if (r)
		return r;
	r = get_events(t, a, deadline);
	if (r == -EINTR)
		r = -ERESTARTNOHAND;
	signal_end_temp_mask(t, r);
	return r;
}
