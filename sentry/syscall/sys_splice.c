/* SPDX-License-Identifier: Apache-2.0 */
/* Moving bytes between descriptors: sendfile, splice, tee, vmsplice, copy_file_range. */
#include "file_util.h"
#include "sentry/fs/pipe.h"
#include "sentry/syscall/file_block.h"
#include <stdlib.h>
#include <string.h>

#define CHUNK (64u << 10)

/* One move, tried until it would not block. */
struct move {
	struct task *t;
	struct file *in, *out;
	int64_t *in_pos, *out_pos; /* NULL: streams */
	size_t len;
	bool full; /* the pipe has no room for a message */
};

static ssize_t
write_out(void *arg, const char *p, size_t n)
{
	struct move *m = arg;
	int64_t none = 0;

	return vfs_write_kernel(m->out, &m->t->call, p, n, m->out_pos ? m->out_pos : &none);
}

static ssize_t
read_in(void *arg, char *p, size_t n)
{
	struct move *m = arg;
	int64_t none = 0;

	return vfs_read_kernel(m->in, &m->t->call, p, n, m->in_pos ? m->in_pos : &none);
}

static int64_t
try_out(void *arg)
{
	struct move *m = arg;

	return pipe_splice_out(m->in, m->len, write_out, m);
}

static int64_t
try_in(void *arg)
{
	struct move *m = arg;

	return pipe_splice_in(m->out, m->len, read_in, m);
}

/* A message on its way: from or to a file that is read and written in whole ones. */
struct message {
	char *p;
	size_t len, at;
};

static ssize_t
message_out(void *arg, char *p, size_t n)
{
	struct message *g = arg;

	memcpy(p, g->p + g->at, n);
	g->at += n;
	return (ssize_t)n;
}

static ssize_t
message_in(void *arg, const char *p, size_t n)
{
	struct message *g = arg;

	memcpy(g->p + g->at, p, n);
	g->at += n;
	return (ssize_t)n;
}

static int64_t
try_message_to_pipe(void *arg)
{
	struct move *m = arg;
	size_t room = pipe_room(m->out);
	struct message g = {.len = m->len < room ? m->len : room};
	int64_t r;

	if (!room) {
		/* a pipe that does not block says so of its room, not of what is to come */
		m->full = true;
		return -EAGAIN;
	}
	g.p = malloc(g.len);
	if (!g.p)
		return -ENOMEM;
	r = read_in(m, g.p, g.len);
	/* whoever fills the pipe meanwhile has spoilt it */
	if (r > 0 && pipe_splice_in(m->out, (size_t)r, message_out, &g) != r)
		r = -EIO;
	free(g.p);
	return r;
}

static int64_t
try_message_from_pipe(void *arg)
{
	struct move *m = arg;
	struct message g = {.len = m->len};
	int64_t r;

	if (g.len > (size_t)pipe_fcntl(m->in, NULL, false, 0))
		return -EINVAL;
	g.p = malloc(g.len);
	if (!g.p)
		return -ENOMEM;
	r = pipe_splice_out(m->in, g.len, message_in, &g);
	if (r > 0)
		r = g.at < g.len ? -EINVAL : write_out(m, g.p, g.len);
	free(g.p);
	return r;
}

static ssize_t
into_pipe(void *arg, const char *p, size_t n)
{
	struct move *m = arg;

	return vfs_write_kernel(m->out, &m->t->call, p, n, &(int64_t){0});
}

static int64_t
try_pipe_to_pipe(void *arg)
{
	struct move *m = arg;

	return pipe_splice_out(m->in, m->len, into_pipe, m);
}

static int64_t
try_tee(void *arg)
{
	struct move *m = arg;

	return pipe_tee(m->in, m->out, m->len);
}

/* Wait for whichever side is in the way: both are registered. */
static int64_t
move_block(struct move *m, bool nonblock, int64_t (*fn)(void *))
{
	struct block_table b;
	int64_t r = fn(m);

	if (r != -EAGAIN || nonblock)
		goto out;
	block_table_init(&b, ~0u);
	vfs_poll(m->in, &b.pt);
	vfs_poll(m->out, &b.pt);
	for (;;) {
		int p;

		r = fn(m);
		if (r != -EAGAIN)
			break;
		p = task_park(m->t, INT64_MAX);
		if (p) {
			r = p;
			break;
		}
	}
	block_table_fini(&b);
out:
	if (r == -EPIPE)
		signal_send_task(m->t, LX_SIGPIPE, NULL);
	return r;
}

/* The two descriptors of a call. */
static int
get_files(struct task *t, int in, int out, struct file **fin, struct file **fout)
{
	*fin = task_file(t, in);
	*fout = *fin ? task_file(t, out) : NULL;
	if (*fout)
		return 0;
	file_put(*fin);
	return -EBADF;
}

/* An offset argument: copied in, or the file's own position under its lock. */
struct off {
	uint64_t addr;
	int64_t value;
	struct file *f;
	bool own, locked;
};

static int
off_get(struct task *t, struct off *o, struct file *f, uint64_t addr, int64_t **pos)
{
	o->addr = addr;
	o->f = f;
	*pos = NULL;
	if (pipe_is(f) || ((f->mode & LX_FMODE_STREAM) && !(addr && (f->mode & LX_FMODE_PREAD))))
		return addr ? -ESPIPE : 0;
	if (addr) {
		if (!(f->mode & LX_FMODE_PREAD))
			return -EINVAL;
		if (copy_in(t->call.um, &o->value, ua(addr), sizeof o->value))
			return -EFAULT;
		if (o->value < 0)
			return -EINVAL;
		*pos = &o->value;
		return 0;
	}
	o->own = true;
	*pos = &f->pos; /* itself: a host file's position is the host's, and moves with this one
			   only */
	return 0;
}

/* Both positions, where they are the files' own, for off_done to unlock. In order of the files: two
 * calls may move bytes between the same two, each in its direction. */
static int
offs_lock(struct off *in, struct off *out)
{
	bool in_first = (uintptr_t)in->f < (uintptr_t)out->f;
	struct off *o[2] = {in_first ? in : out, in_first ? out : in};

	for (int i = 0; i < 2; i++) {
		if (!o[i]->own)
			continue;
		if (sleeplock_lock_killable(&o[i]->f->pos_sleep))
			return -EINTR;
		o[i]->locked = true;
	}
	return 0;
}

static int
off_done(struct task *t, struct off *o, bool moved)
{
	int r = 0;

	if (o->locked) {
		if (moved && (o->f->mode & LX_FMODE_LSEEK))
			(void)vfs_lseek(o->f, &t->call, o->f->pos, LX_SEEK_SET);
		sleeplock_unlock(&o->f->pos_sleep);
	} else if (o->addr && moved) {
		r = copy_out(t->call.um, ua(o->addr), &o->value, sizeof o->value);
	}
	return r;
}

static int64_t (*how_to_move(const struct move *m))(void *)
{
	if (!pipe_is(m->in))
		return m->in->mode & LX_FMODE_MESSAGES ? try_message_to_pipe : try_in;
	if (pipe_is(m->out))
		return try_pipe_to_pipe;
	return m->out->mode & LX_FMODE_MESSAGES ? try_message_from_pipe : try_out;
}

static int64_t
move_any(struct move *m, bool nb)
{
	int64_t (*fn)(void *) = how_to_move(m);
	bool out_nb = nb || (file_flags(m->out) & LX_O_NONBLOCK);
	int64_t r;

	if (fn != try_message_to_pipe)
		return move_block(
			m, nb || (file_flags(pipe_is(m->in) ? m->in : m->out) & LX_O_NONBLOCK), fn);
	r = fn(m);
	if (r != -EAGAIN || (m->full ? out_nb : file_flags(m->in) & LX_O_NONBLOCK))
		return r;
	return move_block(m, false, fn);
}

int64_t
sys_splice(struct task *t, const uint64_t a[6])
{
	uint32_t flags = (uint32_t)a[5];
	struct move m = {.t = t, .len = a[4] < LX_MAX_RW ? a[4] : LX_MAX_RW};
	struct off oi = {0}, oo = {0};
	bool nb = flags & LX_SPLICE_F_NONBLOCK;
	int64_t r;

	if (flags & ~(uint32_t)LX_SPLICE_F_ALL)
		return -EINVAL;
	if (!a[4])
		return 0;
	r = get_files(t, arg_int(a[0]), arg_int(a[2]), &m.in, &m.out);
	if (r)
		return r;
	if (!(m.in->mode & LX_FMODE_READ) || !(m.out->mode & LX_FMODE_WRITE))
		r = -EBADF;
	else if (!pipe_is(m.in) && !pipe_is(m.out))
		r = -EINVAL;
	else if ((pipe_is(m.in) && a[1]) || (pipe_is(m.out) && a[3]))
		r = -ESPIPE;
	else if (pipe_is(m.in) && pipe_is(m.out) && m.in->inode == m.out->inode)
		r = -EINVAL;
	else if (!pipe_is(m.out) && (file_flags(m.out) & LX_O_APPEND))
		r = -EINVAL;
	if (!r)
		r = off_get(t, &oi, m.in, a[1], &m.in_pos);
	if (!r) {
		r = off_get(t, &oo, m.out, a[3], &m.out_pos);
		if (!r)
			r = offs_lock(&oi, &oo);
		if (!r)
			r = move_any(&m, nb);
		if (off_done(t, &oo, r > 0) | off_done(t, &oi, r > 0))
			r = -EFAULT;
	}
	file_put(m.in);
	file_put(m.out);
	return r;
}

int64_t
sys_tee(struct task *t, const uint64_t a[6])
{
	uint32_t flags = (uint32_t)a[3];
	struct move m = {.t = t, .len = a[2]};
	bool nb;
	int64_t r;

	if (flags & ~(uint32_t)LX_SPLICE_F_ALL)
		return -EINVAL;
	if (!a[2])
		return 0;
	r = get_files(t, arg_int(a[0]), arg_int(a[1]), &m.in, &m.out);
	if (r)
		return r;
	nb = (flags & LX_SPLICE_F_NONBLOCK) ||
	     ((file_flags(m.in) | file_flags(m.out)) & LX_O_NONBLOCK);
	if (!(m.in->mode & LX_FMODE_READ) || !(m.out->mode & LX_FMODE_WRITE))
		r = -EBADF;
	else if (!pipe_is(m.in) || !pipe_is(m.out) || m.in->inode == m.out->inode)
		r = -EINVAL;
	else
		r = move_block(&m, nb, try_tee);
	file_put(m.in);
	file_put(m.out);
	return r;
}

int64_t
sys_vmsplice(struct task *t, const uint64_t a[6])
{
	uint32_t flags = (uint32_t)a[3];
	struct lx_iovec *iov;
	struct file *f;
	struct uio u;
	int64_t r;

	if (flags & ~(uint32_t)LX_SPLICE_F_ALL)
		return -EINVAL;
	f = task_file(t, arg_int(a[0]));
	if (!f)
		return -EBADF;
	if (a[2] > LX_UIO_MAXIOV || !(f->mode & (LX_FMODE_READ | LX_FMODE_WRITE))) {
		r = a[2] > LX_UIO_MAXIOV ? -EINVAL : -EBADF;
		file_put(f);
		return r;
	}
	iov = malloc((a[2] + 1) * sizeof *iov);
	r = iov ? uio_init_user_iov(&u, t->call.um, iov, ua(a[1]), a[2]) : -ENOMEM;
	if (!r && u.left && !pipe_is(f))
		r = -EBADF;
	if (!r && u.left) {
		uint32_t rwf = flags & LX_SPLICE_F_NONBLOCK ? LX_RWF_NOWAIT : 0;

		/* the pages are copied, as they are where Linux cannot move them */
		r = (f->mode & LX_FMODE_WRITE ? task_file_write : task_file_read)(
			t, f, &u, NULL, rwf);
	}
	free(iov);
	file_put(f);
	return r;
}

/* Copy through a buffer, reading at most what the other side takes. */
static int64_t
copy_loop(struct move *m, size_t len)
{
	size_t cap = len < CHUNK ? len : CHUNK;
	char *buf = malloc(cap ? cap : 1);
	int64_t total = 0, r = 0;

	if (!buf)
		return -ENOMEM;
	while ((size_t)total < len) {
		size_t want = len - (size_t)total < cap ? len - (size_t)total : cap;
		struct uio u;
		int64_t n, back = *m->in_pos;

		n = vfs_read_kernel(m->in, &m->t->call, buf, want, m->in_pos);
		if (n <= 0) {
			r = n;
			break;
		}
		uio_init_kernel(&u, buf, (uint64_t)n);
		r = task_file_write(m->t, m->out, &u, m->out_pos, 0);
		if (r < n)
			*m->in_pos = back + (r > 0 ? r : 0);
		if (r <= 0)
			break;
		total += r;
		if (r < n || task_interrupted(m->t))
			break;
	}
	free(buf);
	return total ? total : r;
}

static void
count_copy(const struct move *m, int64_t r)
{
	task_count_read(m->t, m->in, r);
	task_count_write(m->t, m->out, r);
}

/* What Linux asks before it looks whether there is anything to be moved, and in that order. */
static int64_t
check_sendfile(const struct move *m, uint64_t off)
{
	if (!m->in || !(m->in->mode & LX_FMODE_READ))
		return -EBADF;
	if (off && !(m->in->mode & LX_FMODE_PREAD))
		return -ESPIPE;
	if (!m->out || !(m->out->mode & LX_FMODE_WRITE))
		return -EBADF;
	if (pipe_is(m->out))
		return 0;
	if (file_flags(m->out) & LX_O_APPEND)
		return -EINVAL;
	return m->in->mode & LX_FMODE_LSEEK ? 0 : -EINVAL;
}

int64_t
sys_sendfile(struct task *t, const uint64_t a[6])
{
	struct move m = {.t = t};
	struct off oi = {0}, oo = {0};
	size_t len = a[3] < LX_MAX_RW ? a[3] : LX_MAX_RW;
	int64_t r;

	m.in = task_file(t, arg_int(a[1]));
	m.out = task_file(t, arg_int(a[0]));
	r = check_sendfile(&m, a[2]);
	if (!r && len && (pipe_is(m.in) || (m.in->mode & LX_FMODE_STREAM) || !m.in->ops->read))
		r = -EINVAL;
	if (!r)
		r = off_get(t, &oi, m.in, a[2], &m.in_pos);
	if (!r && len) {
		if (m.in == m.out && oi.own)
			r = -EINVAL; /* it would chase its own tail */
		else
			r = off_get(t, &oo, m.out, 0, &m.out_pos);
		if (!r)
			r = offs_lock(&oi, &oo);
		if (!r) {
			r = copy_loop(&m, len);
			count_copy(&m, r);
		}
		off_done(t, &oo, r > 0);
		if (off_done(t, &oi, r > 0))
			r = -EFAULT;
	}
	file_put(m.in);
	file_put(m.out);
	return r;
}

/* Between which files there is any copying (Linux: generic_file_rw_checks). */
static int
check_copy_files(const struct move *m)
{
	uint32_t im = inode_mode(m->in->inode), om = inode_mode(m->out->inode);

	if (LX_S_ISDIR(im) || LX_S_ISDIR(om))
		return -EISDIR;
	if (!LX_S_ISREG(im) || !LX_S_ISREG(om))
		return -EINVAL; /* a stream has no position */
	if (!(m->in->mode & LX_FMODE_READ) || !(m->out->mode & LX_FMODE_WRITE) ||
		(file_flags(m->out) & LX_O_APPEND))
		return -EBADF;
	return m->in->inode->sb == m->out->inode->sb ? 0 : -EXDEV;
}

/* FICLONE: what is never shared here, after the checks that come before (Linux:
 * do_clone_file_range). */
int64_t
file_clone(struct task *t, struct file *to, int from)
{
	struct move m = {.t = t, .in = task_file(t, from), .out = to};
	int r;

	if (!m.in)
		return -EBADF;
	r = m.in->inode->sb != to->inode->sb ? -EXDEV : check_copy_files(&m);
	file_put(m.in);
	return r ? r : -EOPNOTSUPP;
}

/* Within one file no more than there is now: what is copied to its end would be read again. */
static int
check_copy_range(const struct move *m, size_t *len)
{
	int64_t in = *m->in_pos, out = *m->out_pos, out_end, size;

	if (m->in->inode != m->out->inode)
		return 0;
	size = inode_load(m->in->inode->size);
	if (in >= size)
		*len = 0;
	else if (*len > (uint64_t)(size - in))
		*len = (size_t)(size - in);
	/* in + *len is no more than size; what is beyond any file is refused by the write */
	if (__builtin_add_overflow(out, (int64_t)*len, &out_end))
		out_end = INT64_MAX;
	return out_end > in && out < in + (int64_t)*len ? -EINVAL : 0;
}

int64_t
sys_copy_file_range(struct task *t, const uint64_t a[6])
{
	struct move m = {.t = t};
	struct off oi = {0}, oo = {0};
	size_t len = a[4] < LX_MAX_RW ? a[4] : LX_MAX_RW;
	bool one = false; /* the same position on both sides */
	int64_t r;

	if ((uint32_t)a[5])
		return -EINVAL;
	r = get_files(t, arg_int(a[0]), arg_int(a[2]), &m.in, &m.out);
	if (r)
		return r;
	r = check_copy_files(&m);
	if (!r)
		r = off_get(t, &oi, m.in, a[1], &m.in_pos);
	if (!r && m.in == m.out && oi.own && !a[3]) {
		one = true;
		m.out_pos = m.in_pos;
	} else if (!r) {
		r = off_get(t, &oo, m.out, a[3], &m.out_pos);
	}
	if (!r)
		r = offs_lock(&oi, &oo);
	if (!r)
		r = check_copy_range(&m, &len);
	if (!r && len && !one) {
		r = copy_loop(&m, len);
		count_copy(&m, r);
	}
	if (off_done(t, &oo, r > 0) | off_done(t, &oi, r > 0))
		r = -EFAULT;
	file_put(m.in);
	file_put(m.out);
	return r;
}
