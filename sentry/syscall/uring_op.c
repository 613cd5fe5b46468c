/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring: what each operation does. The first try, by the submitter, reads everything but the
 * data from its memory; a second one, by a helper, waits.
 */
#include "abi/poll.h"
#include "file_util.h"
#include "sentry/kernel/timers.h"
#include "sentry/syscall/file_block.h"
#include "sentry/vfs/rw.h"
#include "socket.h"
#include "uring.h"
#include <stdlib.h>
#include <string.h>

/* --- files --- */

/* The request's file, once. */
static int
get_file(struct task *t, struct uring_req *r)
{
	struct uring *u = r->ring;
	uint32_t i = (uint32_t)r->sqe.fd;

	if (r->file)
		return 0;
	if (r->sqe.flags & LX_IOSQE_FIXED_FILE) {
		mutex_lock(&u->lock);
		if (i < u->nfiles && u->files[i])
			r->file = file_get(u->files[i]);
		mutex_unlock(&u->lock);
	} else {
		r->file = task_file(t, r->sqe.fd);
	}
	return r->file ? 0 : -EBADF;
}

struct rw {
	struct task *t;
	struct uring_req *r;
	bool write;
};

static int64_t
try_rw(void *arg)
{
	struct rw *x = arg;
	struct uring_req *r = x->r;
	struct file *f = r->file;
	bool own = r->sqe.off == UINT64_MAX && !(f->mode & LX_FMODE_STREAM);
	int64_t pos = own ? 0 : (int64_t)r->sqe.off, *at = own ? &f->pos : &pos, n;

	if (f->mode & LX_FMODE_STREAM)
		pos = 0;
	if (pos < 0)
		return -EINVAL;
	if (own && sleeplock_lock_killable(&f->pos_sleep))
		return -EINTR;
	n = (x->write ? vfs_write : vfs_read)(f, &x->t->call, &r->uio, at, r->sqe.op_flags);
	if (own)
		sleeplock_unlock(&f->pos_sleep);
	return n;
}

/* The registered buffer that the request names has all of [addr, addr + len). */
static int
check_fixed(struct uring_req *r)
{
	const struct lx_uring_sqe *s = &r->sqe;
	struct uring *u = r->ring;
	uint64_t end, bend;
	int err = -EFAULT;

	mutex_lock(&u->lock);
	if (s->buf_index < u->nbuffers) {
		const struct lx_iovec *b = &u->buffers[s->buf_index];

		bend = b->base + b->len;
		if (!__builtin_add_overflow(s->addr, s->len, &end) && s->addr >= b->base &&
			end <= bend)
			err = 0;
	}
	mutex_unlock(&u->lock);
	return err;
}

static int64_t
prepare_rw(struct task *t, struct uring_req *r)
{
	const struct lx_uring_sqe *s = &r->sqe;

	if (s->op_flags & ~(uint32_t)LX_RWF_SUPPORTED)
		return -EOPNOTSUPP;
	switch (s->opcode) {
	case LX_OP_READV:
	case LX_OP_WRITEV:
		if (s->len > LX_UIO_MAXIOV)
			return -EINVAL;
		r->iov = malloc((s->len + 1) * sizeof *r->iov);
		if (!r->iov)
			return -ENOMEM;
		return uio_init_user_iov(&r->uio, &t->mem.um, r->iov, ua(s->addr), s->len);
	default:
		break;
	}
	uio_init_user(&r->uio, &t->mem.um, ua(s->addr), s->len);
	return 0;
}

static int64_t
do_rw(struct task *t, struct uring_req *r, bool wait)
{
	uint8_t op = r->sqe.opcode;
	bool write = op == LX_OP_WRITE || op == LX_OP_WRITEV || op == LX_OP_WRITE_FIXED, once;
	struct rw x = {t, r, write};
	int64_t n = get_file(t, r);

	if (!n && (op == LX_OP_READ_FIXED || op == LX_OP_WRITE_FIXED))
		n = check_fixed(r);
	if (n)
		return n;
	r->wrote = !write;
	r->uio.um = &t->mem.um;
	if (wait)
		return file_block(t, r->file,
			write ? LX_POLLOUT | LX_POLLWRNORM
			      : LX_POLLIN | LX_POLLRDNORM | LX_POLLPRI | LX_POLLRDHUP,
			INT64_MAX, try_rw, &x);
	once = r->sqe.op_flags & LX_RWF_NOWAIT; /* O_NONBLOCK is for who reads by itself */
	n = try_rw(&x);
	return n == -EAGAIN && !once ? URING_PUNT : n;
}

static int64_t
do_fsync(struct task *t, struct uring_req *r, bool wait)
{
	const struct lx_uring_sqe *s = &r->sqe;
	int64_t n = get_file(t, r);

	if (s->addr || s->buf_index || (s->op_flags & ~LX_URING_FSYNC_DATASYNC))
		return -EINVAL;
	if (n)
		return n;
	return wait ? vfs_fsync(r->file, &t->call, s->op_flags & LX_URING_FSYNC_DATASYNC)
		    : URING_PUNT;
}

static int64_t
try_poll(void *arg)
{
	struct uring_req *r = arg;
	uint32_t want = r->sqe.op_flags | LX_POLLERR | LX_POLLHUP;
	uint32_t ev = file_ready(r->file, NULL);

	return ev & want ? (int64_t)(ev & want) : -EAGAIN;
}

static int64_t
do_poll(struct task *t, struct uring_req *r, bool wait)
{
	int64_t n = get_file(t, r);

	if (r->sqe.len || r->sqe.off || r->sqe.addr || r->sqe.buf_index)
		return -EINVAL; /* no events without end, no updates */
	if (n)
		return n;
	if (wait)
		return file_block(t, r->file, r->sqe.op_flags, INT64_MAX, try_poll, r);
	n = try_poll(r);
	return n == -EAGAIN ? URING_PUNT : n;
}

/* --- sockets --- */

static int64_t
get_sock(struct task *t, struct uring_req *r, struct sock **ret)
{
	int err = get_file(t, r);

	if (err)
		return err;
	*ret = sock_of(r->file);
	return *ret ? 0 : -ENOTSOCK;
}

/* The message of a request, read in once. */
static int64_t
prepare_msg(struct task *t, struct uring_req *r)
{
	const struct lx_uring_sqe *q = &r->sqe;
	bool whole = q->opcode == LX_OP_SENDMSG || q->opcode == LX_OP_RECVMSG;
	struct lx_msghdr h = {0};
	int64_t n = 0;

	if (q->ioprio || q->buf_index || q->file_index)
		return -EINVAL;
	if (whole && copy_in(&t->mem.um, &h, ua(q->addr), sizeof h))
		return -EFAULT;
	if (h.iovlen > LX_UIO_MAXIOV)
		return -EMSGSIZE;
	r->msg = calloc(1, sizeof *r->msg + h.iovlen * sizeof r->msg->vec[0]);
	if (!r->msg)
		return -ENOMEM;
	r->msg->h = h;
	r->msg->m.flags = q->op_flags | LX_MSG_NOSIGNAL;
	r->msg->m.uio = &r->uio;
	if (whole)
		n = uio_init_user_iov(&r->uio, &t->mem.um, r->msg->vec, ua(h.iov), h.iovlen);
	else
		uio_init_user(&r->uio, &t->mem.um, ua(q->addr), q->len);
	return n;
}

static int64_t
do_msg(struct task *t, struct uring_req *r, bool wait)
{
	bool send = r->sqe.opcode == LX_OP_SEND || r->sqe.opcode == LX_OP_SENDMSG, once;
	struct sock *s = NULL;
	int64_t n = get_sock(t, r, &s);

	if (!n && r->sqe.opcode == LX_OP_SENDMSG && !r->tried && !wait)
		n = sockmsg_out_in(t, s, &r->msg->h, &r->msg->m);
	if (n)
		return n;
	r->wrote = !send;
	r->uio.um = &t->mem.um;
	once = r->sqe.op_flags & LX_MSG_DONTWAIT;
	n = (send ? sockmsg_send : sockmsg_recv)(t, r->file, s, &r->msg->m, !wait);
	if (n == -EAGAIN && !wait && !once)
		return URING_PUNT;
	if (n >= 0 && r->sqe.opcode == LX_OP_RECVMSG)
		n = sockmsg_in_out(t, s, r->sqe.addr, &r->msg->h, &r->msg->m, n);
	return n;
}

static int64_t
do_accept(struct task *t, struct uring_req *r, bool wait)
{
	const struct lx_uring_sqe *q = &r->sqe;
	struct sock *s = NULL;
	int64_t n = get_sock(t, r, &s);

	if (q->ioprio || q->len || q->buf_index || q->file_index)
		return -EINVAL; /* one connection, to a descriptor */
	r->wrote = q->addr != 0;
	if (!n)
		n = sock_accept(t, r->file, s, q->addr, q->off, q->op_flags, !wait);
	return n == -EAGAIN && !wait ? URING_PUNT : n;
}

static int64_t
do_connect(struct task *t, struct uring_req *r, bool wait)
{
	struct sock *s = NULL;
	int64_t n = get_sock(t, r, &s);

	if (n)
		return n;
	return wait ? sock_connect(t, s, r->addr, (uint32_t)r->sqe.off, false) : URING_PUNT;
}

/* --- time --- */

static int64_t
read_deadline(struct task *t, struct uring_req *r)
{
	const struct lx_uring_sqe *q = &r->sqe;
	uint32_t f = q->op_flags;
	int32_t clock = f & LX_URING_TIMEOUT_REALTIME	? LX_CLOCK_REALTIME
			: f & LX_URING_TIMEOUT_BOOTTIME ? LX_CLOCK_BOOTTIME
							: LX_CLOCK_MONOTONIC;
	int64_t ts[2], ns;

	if (q->buf_index || q->len != 1 || q->file_index ||
		(f & ~(LX_URING_TIMEOUT_ABS | LX_URING_TIMEOUT_BOOTTIME |
			     LX_URING_TIMEOUT_REALTIME | LX_URING_TIMEOUT_ETIME_OK)) ||
		(f & LX_URING_TIMEOUT_REALTIME && f & LX_URING_TIMEOUT_BOOTTIME))
		return -EINVAL;
	if (copy_in(&t->mem.um, ts, ua(q->addr), sizeof ts))
		return -EFAULT;
	if (ts[0] < 0 || ts[1] < 0)
		return -EINVAL;
	if (__builtin_mul_overflow(ts[0], 1000000000LL, &ns) ||
		__builtin_add_overflow(ns, ts[1], &ns))
		ns = INT64_MAX;
	r->deadline_ns =
		f & LX_URING_TIMEOUT_ABS ? clock_host_deadline(clock, ns) : deadline_after(ns);
	return 0;
}

static int64_t
enough(void *arg)
{
	struct uring_req *r = arg;
	int64_t n;

	mutex_lock(&r->ring->lock);
	n = r->sqe.off && (int64_t)(r->ring->completed - r->until) >= 0 ? 0 : -EAGAIN;
	mutex_unlock(&r->ring->lock);
	return n;
}

static int64_t
do_timeout(struct task *t, struct uring_req *r, bool wait)
{
	int64_t n;

	if (!wait)
		return URING_PUNT;
	n = queue_block(t, &r->ring->wq, ~0u, r->deadline_ns, enough, r);
	return n == -EAGAIN ? -ETIME : n;
}

/* --- cancelling --- */

struct target {
	uint64_t user_data;
	const struct uring_req *self;
	const struct file *file;
	uint32_t flags;
	uint8_t opcode; /* LX_OPS: any */
};

static bool
is_target(const struct uring_req *r, const void *arg)
{
	const struct target *x = arg;

	if (r == x->self || (x->opcode != LX_OPS && r->sqe.opcode != x->opcode))
		return false;
	if (x->flags & LX_URING_CANCEL_ANY)
		return true;
	if (x->flags & LX_URING_CANCEL_FD)
		return r->file == x->file;
	return r->sqe.user_data == x->user_data;
}

static int64_t
do_cancel(struct task *t, struct uring_req *r)
{
	struct target x = {r->sqe.addr, r, NULL, 0, LX_OPS};
	uint32_t n;
	int64_t err;

	switch (r->sqe.opcode) {
	case LX_OP_POLL_REMOVE:
		if (r->sqe.len || r->sqe.op_flags || r->sqe.buf_index || r->sqe.off)
			return -EINVAL;
		x.opcode = LX_OP_POLL_ADD;
		break;
	case LX_OP_TIMEOUT_REMOVE:
		if (r->sqe.len || r->sqe.op_flags || r->sqe.buf_index)
			return -EINVAL;
		x.opcode = LX_OP_TIMEOUT;
		break;
	default:
		x.flags = r->sqe.op_flags;
		if (r->sqe.len || r->sqe.off || r->sqe.buf_index ||
			(x.flags & ~(LX_URING_CANCEL_ALL | LX_URING_CANCEL_FD |
					   LX_URING_CANCEL_ANY)) ||
			(x.flags & LX_URING_CANCEL_FD && x.flags & LX_URING_CANCEL_ANY))
			return -EINVAL;
		if (x.flags & LX_URING_CANCEL_FD) {
			err = get_file(t, r);
			if (err)
				return err;
			x.file = r->file;
		}
	}
	n = uring_cancel(
		r->ring, is_target, &x, x.flags & (LX_URING_CANCEL_ALL | LX_URING_CANCEL_ANY));
	if (x.flags & (LX_URING_CANCEL_ALL | LX_URING_CANCEL_ANY))
		return n;
	return n ? 0 : -ENOENT;
}

/* --- opening --- */

static int64_t
prepare_open(struct task *t, struct uring_req *r)
{
	const struct lx_uring_sqe *q = &r->sqe;
	struct uring_open *o;
	int64_t n = 0;

	if (q->buf_index || q->file_index)
		return -EINVAL; /* to a descriptor, not to a registered file */
	if (q->flags & LX_IOSQE_FIXED_FILE)
		return -EBADF;
	o = malloc(sizeof *o);
	if (!o)
		return -ENOMEM;
	if (q->opcode == LX_OP_OPENAT2)
		n = open_how_in(t, q->off, q->len, &o->how);
	else
		open_how_old(q->op_flags, q->len, &o->how);
	if (!n)
		n = upath_get(t, &o->path, LX_AT_FDCWD, q->addr, false);
	if (n) {
		free(o);
		return n;
	}
	r->open = o;
	return 0;
}

/* As on Linux the submitter opens what is there and needs no waiting: a FIFO that is only read as
 * with O_NONBLOCK. A helper opens the rest. */
static int64_t
do_open(struct task *t, struct uring_req *r)
{
	bool at_once = t == r->submitter;
	struct uring_open *o = r->open;
	int64_t n;

	if (at_once && o->how.flags & (LX_O_TRUNC | LX_O_CREAT | LX___O_TMPFILE))
		return URING_PUNT;
	n = open_upath(t, r->sqe.fd, &o->path, &o->how, at_once);
	return n == -EAGAIN && at_once && !(o->how.resolve & LX_RESOLVE_CACHED) ? URING_PUNT : n;
}

/* --- those that are system calls as they are; the submitter makes them --- */

static int64_t
do_call(struct task *t, const struct lx_uring_sqe *q)
{
	uint64_t fd = (uint32_t)q->fd;

	if ((q->flags & LX_IOSQE_FIXED_FILE) && q->opcode != LX_OP_EPOLL_CTL)
		return -EBADF;
	if (q->file_index && q->opcode != LX_OP_CLOSE)
		return -EINVAL;
	switch (q->opcode) {
	case LX_OP_CLOSE:
		if (q->off || q->addr || q->len || q->op_flags || q->buf_index)
			return -EINVAL;
		if (q->file_index)
			return -EINVAL; /* no registered one */
		return sys_close(t, (uint64_t[6]){fd});
	case LX_OP_STATX:
		return sys_statx(t, (uint64_t[6]){fd, q->addr, q->op_flags, q->len, q->off});
	case LX_OP_FALLOCATE:
		return sys_fallocate(t, (uint64_t[6]){fd, q->len, q->off, q->addr});
	case LX_OP_FADVISE:
		return sys_fadvise64(t, (uint64_t[6]){fd, q->off, q->len, q->op_flags});
	case LX_OP_EPOLL_CTL:
		return sys_epoll_ctl(t, (uint64_t[6]){fd, q->len, q->off, q->addr});
	case LX_OP_SHUTDOWN:
		return sys_shutdown(t, (uint64_t[6]){fd, q->len});
	case LX_OP_RENAMEAT:
		return sys_renameat2(t, (uint64_t[6]){fd, q->addr, q->len, q->off, q->op_flags});
	case LX_OP_UNLINKAT:
		return sys_unlinkat(t, (uint64_t[6]){fd, q->addr, q->op_flags});
	case LX_OP_MKDIRAT:
		return sys_mkdirat(t, (uint64_t[6]){fd, q->addr, q->len});
	case LX_OP_SYMLINKAT:
		return sys_symlinkat(t, (uint64_t[6]){q->addr, fd, q->off});
	default: /* LX_OP_LINKAT */
		return sys_linkat(t, (uint64_t[6]){fd, q->addr, q->len, q->off, q->op_flags});
	}
}

bool
uring_op_known(uint8_t op)
{
	return op != LX_OP_SYNC_FILE_RANGE && op != LX_OP_FILES_UPDATE && op != LX_OP_SPLICE &&
	       op != LX_OP_PROVIDE_BUFFERS && op != LX_OP_REMOVE_BUFFERS && op != LX_OP_TEE &&
	       op != LX_OP_MADVISE && op < LX_OPS;
}

int64_t
uring_prepare(struct task *t, struct uring_req *r)
{
	const struct lx_uring_sqe *q = &r->sqe;
	int64_t n;

	switch (q->opcode) {
	case LX_OP_READV:
	case LX_OP_WRITEV:
	case LX_OP_READ_FIXED:
	case LX_OP_WRITE_FIXED:
	case LX_OP_READ:
	case LX_OP_WRITE:
		return prepare_rw(t, r);
	case LX_OP_SENDMSG:
	case LX_OP_RECVMSG:
	case LX_OP_SEND:
	case LX_OP_RECV:
		return prepare_msg(t, r);
	case LX_OP_OPENAT:
	case LX_OP_OPENAT2:
		return prepare_open(t, r);
	case LX_OP_CONNECT:
		if (q->len || q->buf_index || q->op_flags || q->file_index ||
			q->off > SOCK_ADDR_MAX)
			return -EINVAL;
		return sockaddr_in(t, q->addr, q->off, r->addr);
	case LX_OP_TIMEOUT:
	case LX_OP_LINK_TIMEOUT:
		n = read_deadline(t, r);
		mutex_lock(&r->ring->lock);
		r->until = r->ring->completed + q->off;
		mutex_unlock(&r->ring->lock);
		return n;
	default:
		return 0;
	}
}

int64_t
uring_do(struct task *t, struct uring_req *r, bool wait)
{
	switch (r->sqe.opcode) {
	case LX_OP_NOP:
		return 0;
	case LX_OP_READV:
	case LX_OP_WRITEV:
	case LX_OP_READ_FIXED:
	case LX_OP_WRITE_FIXED:
	case LX_OP_READ:
	case LX_OP_WRITE:
		return do_rw(t, r, wait);
	case LX_OP_FSYNC:
		return do_fsync(t, r, wait);
	case LX_OP_POLL_ADD:
		return do_poll(t, r, wait);
	case LX_OP_SENDMSG:
	case LX_OP_RECVMSG:
	case LX_OP_SEND:
	case LX_OP_RECV:
		return do_msg(t, r, wait);
	case LX_OP_ACCEPT:
		return do_accept(t, r, wait);
	case LX_OP_CONNECT:
		return do_connect(t, r, wait);
	case LX_OP_TIMEOUT:
		return do_timeout(t, r, wait);
	case LX_OP_POLL_REMOVE:
	case LX_OP_TIMEOUT_REMOVE:
	case LX_OP_ASYNC_CANCEL:
		return do_cancel(t, r);
	case LX_OP_OPENAT:
	case LX_OP_OPENAT2:
		return do_open(t, r);
	default:
		r->wrote = r->sqe.opcode == LX_OP_STATX;
		return do_call(t, &r->sqe);
	}
}
