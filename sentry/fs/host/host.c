/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host descriptors as files of the guest. Streams are asked with poll before each transfer, and
 * written in pieces that a stream which polls writable takes whole, because O_NONBLOCK would show
 * in every process that shares the open file description. Terminals keep their line discipline on
 * the host; only job control is ours.
 */
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "abi/signal.h"
#include "platform/host/fdstat.h"
#include "platform/host/file.h"
#include "sentry/fs/devpts.h"
#include "sentry/fs/hostfile.h"
#include "sentry/fs/tty.h"
#include "sentry/mm/mappable.h"
#include "sentry/sched/sched.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_CHUNK 4096 /* PIPE_BUF: a pipe that polls writable takes it without blocking */
#define TTY_CHUNK    1024

struct host_tty {
	struct tty tty;
	uint64_t ino;
	uint32_t rdev_major, rdev_minor;
	int fd; /* a descriptor of some file of it; for /dev/tty */
	struct list node;
	void *pts; /* its node in a devpts, or NULL; written before the guest sees the terminal */
	int pts_nr;
};

/* The inode of a descriptor, by which a guest opens it again (/dev/stdout, /proc/PID/fd). */
struct hostnode {
	struct inode i;
	int fd;		 /* owned */
	uint32_t access; /* LX_FMODE_READ, WRITE: what it was given for; no more is had of it */
	bool regular;
};

struct hostfile {
	int fd;
	bool owns_fd, watched;
	bool own_pos;	      /* of a regular file: its position is not the descriptor's */
	struct host_tty *tty; /* a reference, or NULL */
	struct waitq q;
	struct hostfd_watch watch;
};

static struct mutex ttys_lock = MUTEX_INIT(TTY);
static struct list ttys = LIST_INIT(ttys);
static const struct file_ops stream_fops, regular_fops;

static void
host_tty_free(struct tty *t)
{
	struct host_tty *h = container_of(t, struct host_tty, tty);

	if (h->pts)
		devpts_disown(h->pts);
	mutex_destroy(&t->lock);
	host_fd_close(h->fd);
	free(h);
}

/* --- what may be written --- */

static const struct hostfile_quota *quota;

void
hostfile_set_quota(const struct hostfile_quota *q)
{
	quota = q;
}

/* As uio_fd_write, of u->left bytes as far as the quota goes. */
static ssize_t
limited_write(struct uio *u, int fd, int64_t pos)
{
	uint64_t left = u->left, may = quota ? quota->take(left) : left;
	ssize_t n;

	if (may == 0 && left)
		return -EIO;
	u->left = may;
	n = uio_fd_write(u, fd, pos);
	u->left = left - (n > 0 ? (uint64_t)n : 0);
	if (quota)
		quota->give_back(may - (n > 0 ? (uint64_t)n : 0));
	return n;
}

/* --- streams --- */

static ssize_t
stream_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct hostfile *h = f->priv;
	int r;

	(void)c, (void)pos, (void)rwf;
	if (!u->left)
		return 0;
	if (h->tty && (r = tty_check(&h->tty->tty, LX_SIGTTIN)))
		return r;
	if (h->watched) {
		r = host_fd_poll(h->fd, LX_POLLIN, 0);
		if (r < 0)
			return r;
		if (!r)
			return -EAGAIN;
	}
	return uio_fd_read(u, h->fd, -1);
}

static ssize_t
stream_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct hostfile *h = f->priv;
	uint64_t left = u->left, chunk = h->tty ? TTY_CHUNK : STREAM_CHUNK;
	ssize_t n;
	int r;

	(void)c, (void)pos, (void)rwf;
	if (!left)
		return 0;
	if (h->tty) {
		struct lx_termios2 tio;

		r = (int)host_fd_ioctl(h->fd, LX_TCGETS2, &tio);
		if (!r && (tio.lflag & LX_TOSTOP) && (r = tty_check(&h->tty->tty, LX_SIGTTOU)))
			return r;
	}
	if (h->watched) {
		r = host_fd_poll(h->fd, LX_POLLOUT, 0);
		if (r < 0)
			return r;
		if (!r)
			return -EAGAIN;
		if (left > chunk)
			u->left = chunk;
	}
	n = limited_write(u, h->fd, -1);
	u->left = left - (n > 0 ? (uint64_t)n : 0);
	return n;
}

static uint32_t
stream_poll(struct file *f, struct poll_table *pt)
{
	struct hostfile *h = f->priv;
	int r;

	poll_wait(pt, &h->q);
	r = host_fd_poll(h->fd, LX_POLLIN | LX_POLLOUT | LX_POLLPRI | LX_POLLRDHUP, 0);
	if (r < 0)
		return LX_POLLERR;
	if (r & (int)LX_POLLIN)
		r |= (int)LX_POLLRDNORM;
	if (r & (int)LX_POLLOUT)
		r |= (int)LX_POLLWRNORM;
	return (uint32_t)r;
}

/* Commands that pass through to a host terminal, with the size of what the argument points to. */
static const struct {
	uint32_t cmd;
	uint8_t in, out; /* bytes; both 0: the argument is a number */
	bool change;	 /* a background process is stopped for it */
} passed[] = {
	{LX_TCGETS, 0, LX_TERMIOS_SIZE, false},
	{LX_TCSETS, LX_TERMIOS_SIZE, 0, true},
	{LX_TCSETSW, LX_TERMIOS_SIZE, 0, true},
	{LX_TCSETSF, LX_TERMIOS_SIZE, 0, true},
	{LX_TCGETS2, 0, sizeof(struct lx_termios2), false},
	{LX_TCSETS2, sizeof(struct lx_termios2), 0, true},
	{LX_TCSETSW2, sizeof(struct lx_termios2), 0, true},
	{LX_TCSETSF2, sizeof(struct lx_termios2), 0, true},
	{LX_TIOCGWINSZ, 0, sizeof(struct lx_winsize), false},
	{LX_TIOCSWINSZ, sizeof(struct lx_winsize), 0, false},
	{LX_TIOCOUTQ, 0, 4, false},
	{LX_TCFLSH, 0, 0, true},
	{LX_TCXONC, 0, 0, true},
};

static int64_t
tty_ioctl(struct hostfile *h, struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	char buf[64];
	int64_t r;

	if (tty_is_job_ioctl(cmd))
		return tty_hooks.job_ioctl
			       ? tty_hooks.job_ioctl(&h->tty->tty, f, c, cmd, arg, false)
			       : -ENOTTY;
	if (cmd == LX_TIOCGETD) {
		int32_t n_tty = 0;

		return copy_out(c->um, ua(arg), &n_tty, sizeof n_tty);
	}
	for (size_t i = 0; i < sizeof passed / sizeof passed[0]; i++) {
		if (passed[i].cmd != cmd)
			continue;
		if (passed[i].change && (r = tty_check(&h->tty->tty, LX_SIGTTOU)))
			return r;
		if (!passed[i].in && !passed[i].out)
			return host_fd_ioctl(h->fd, cmd, (void *)(uintptr_t)(uint32_t)arg);
		if (copy_in(c->um, buf, ua(arg), passed[i].in))
			return -EFAULT;
		r = host_fd_ioctl(h->fd, cmd, buf);
		if (r < 0)
			return r;
		return copy_out(c->um, ua(arg), buf, passed[i].out);
	}
	return -ENOTTY;
}

static int64_t
stream_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct hostfile *h = f->priv;
	int32_t n;
	int64_t r;

	if (cmd == LX_FIONREAD) {
		r = host_fd_ioctl(h->fd, LX_FIONREAD, &n);
		return r < 0 ? r : copy_out(c->um, ua(arg), &n, sizeof n);
	}
	return h->tty ? tty_ioctl(h, f, c, cmd, arg) : -ENOTTY;
}

static void
hostfile_release(struct file *f)
{
	struct hostfile *h = f->priv;

	if (h->watched)
		sched_unwatch(&h->watch);
	waitq_destroy(&h->q);
	if (h->owns_fd)
		host_fd_close(h->fd);
	if (h->tty) {
		mutex_lock(&ttys_lock);
		/* the list holds no reference: the last one takes it out */
		if (atomic_load(&h->tty->tty.ref.n) == 1)
			list_del(&h->tty->node);
		mutex_unlock(&ttys_lock);
		tty_put(&h->tty->tty);
	}
	LIVE_DEC(HOSTFD);
	free(h);
}

static const struct file_ops stream_fops = {
	.read = stream_read,
	.write = stream_write,
	.poll = stream_poll,
	.ioctl = stream_ioctl,
	.release = hostfile_release,
};

/* --- regular files ---
 * The position is the host descriptor's own: others outside share it (the shell that redirected
 * several commands to one file), and so do two standard streams that are one open file. */

/* Is this read or write by the file's position (and not pread-like)? Then fetch it. */
static bool
by_position(struct file *f, struct hostfile *h, int64_t *pos)
{
	if (pos != &f->pos || h->own_pos)
		return false;
	*pos = host_fd_seek(h->fd, 0, LX_SEEK_CUR);
	return true;
}

static ssize_t
regular_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct hostfile *h = f->priv;
	bool seq = by_position(f, h, pos);
	ssize_t n;

	(void)c, (void)rwf;
	if (*pos < 0)
		return -EINVAL;
	n = uio_fd_read(u, h->fd, seq ? -1 : *pos);
	if (n > 0)
		*pos += n;
	return n;
}

static int64_t
host_size(struct hostfile *h)
{
	struct host_stat st;

	return host_fd_stat(h->fd, &st) ? 0 : st.size;
}

static ssize_t
regular_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct hostfile *h = f->priv;
	uint64_t len = u->left, left = u->left;
	bool seq = by_position(f, h, pos);
	int64_t at = *pos;
	ssize_t n;
	int r = file_write_limit(f, c, pos, &len, rwf, host_size(h));

	if (r)
		return r;
	u->left = len;
	/* O_APPEND of the guest moves the position to the end. */
	if (seq && *pos != at)
		host_fd_seek(h->fd, *pos, LX_SEEK_SET);
	n = limited_write(u, h->fd, seq ? -1 : *pos);
	u->left = left - (n > 0 ? (uint64_t)n : 0);
	if (n > 0)
		*pos += n;
	return n;
}

static int64_t
regular_lseek(struct file *f, const struct call *c, int64_t off, int whence)
{
	struct hostfile *h = f->priv;
	int64_t r;

	(void)c;
	(void)by_position(f, h, &f->pos);
	r = file_lseek_sized(f, off, whence, host_size(h), INT64_MAX);
	return r < 0 || h->own_pos ? r : host_fd_seek(h->fd, r, LX_SEEK_SET);
}

static int
regular_fsync(struct file *f, const struct call *c, bool data_only)
{
	struct hostfile *h = f->priv;

	(void)c;
	return host_fd_sync(h->fd, data_only);
}

static const struct file_ops regular_fops = {
	.read = regular_read,
	.write = regular_write,
	.lseek = regular_lseek,
	.fsync = regular_fsync,
	.release = hostfile_release,
};

/* --- making them --- */

static int tty_reopen(struct tty *t, struct file *f, const struct call *c);

/* The one struct for the terminal that fd is. */
static struct host_tty *
host_tty_get(int fd, const struct host_stat *st)
{
	struct host_tty *h;

	mutex_lock(&ttys_lock);
	list_for_each_entry (h, &ttys, node) {
		if (h->ino == st->ino && h->rdev_major == st->rdev_major &&
			h->rdev_minor == st->rdev_minor && ref_get_unless_zero(&h->tty.ref)) {
			mutex_unlock(&ttys_lock);
			return h;
		}
	}
	mutex_unlock(&ttys_lock);
	h = calloc(1, sizeof *h);
	if (!h)
		return NULL;
	h->fd = host_fd_dup(fd);
	if (h->fd < 0) {
		free(h);
		return NULL;
	}
	h->ino = st->ino;
	h->rdev_major = st->rdev_major;
	h->rdev_minor = st->rdev_minor;
	tty_init(&h->tty, LX_MKDEV(st->rdev_major & 0xfff, st->rdev_minor), host_tty_free);
	h->tty.reopen = tty_reopen;
	mutex_lock(&ttys_lock);
	list_push_back(&ttys, &h->node);
	mutex_unlock(&ttys_lock);
	return h;
}

static struct hostfile *
hostfile_alloc(int fd)
{
	struct hostfile *h = calloc(1, sizeof *h);

	if (!h)
		return NULL;
	h->fd = fd;
	waitq_init(&h->q);
	LIVE_INC(HOSTFD);
	return h;
}

static void
start_watch(struct hostfile *h)
{
	h->watch = (struct hostfd_watch){.fd = h->fd, .q = &h->q};
	/* fails for what never blocks (/dev/null), which then is not polled either */
	h->watched =
		sched_watch(&h->watch, LX_POLLIN | LX_POLLOUT | LX_POLLPRI | LX_POLLRDHUP) == 0;
}

/* Over a copy of fd. NULL with *err. */
static struct hostfile *
hostfile_copy(int fd, int *err)
{
	struct hostfile *h;

	fd = host_fd_dup(fd);
	*err = fd;
	if (fd < 0)
		return NULL;
	h = hostfile_alloc(fd);
	if (h) {
		h->owns_fd = true;
	} else {
		*err = -ENOMEM;
		host_fd_close(fd);
	}
	return h;
}

/* /dev/tty: another open file over the terminal's descriptor. */
static int
tty_reopen(struct tty *t, struct file *f, const struct call *c)
{
	struct host_tty *ht = container_of(t, struct host_tty, tty);
	int err;
	struct hostfile *h = hostfile_copy(ht->fd, &err);

	(void)c;
	if (!h)
		return err;
	h->tty = container_of(tty_get(t), struct host_tty, tty);
	start_watch(h);
	f->ops = &stream_fops;
	f->priv = h;
	f->mode |= LX_FMODE_WRITEALL;
	return 0;
}

static void
hostnode_free(struct inode *i)
{
	struct hostnode *n = container_of(i, struct hostnode, i);

	if (n->fd >= 0)
		host_fd_close(n->fd);
	inode_fini(i);
	free(n);
}

/* Another open file of it: over a descriptor that is a copy, so that what the host has allowed with
 * the first (no reading, always at the end) holds for this one. */
static int
hostnode_open(struct inode *i, const struct call *c, struct file *f)
{
	struct hostnode *n = container_of(i, struct hostnode, i);
	uint32_t want = f->mode & (LX_FMODE_READ | LX_FMODE_WRITE), have = want & n->access;
	struct hostfile *h;
	int err;

	(void)c;
	/* A pipe is opened for both by those who mean one. */
	if (n->regular ? have != want : want && !have)
		return -EACCES;
	h = hostfile_copy(n->fd, &err);
	if (!h)
		return err;
	h->own_pos = n->regular;
	f->mode &= ~(want & ~have);
	f->priv = h;
	if (n->regular) {
		f->ops = &regular_fops;
		f->mode |= LX_FMODE_HOST;
	} else {
		start_watch(h);
		f->ops = &stream_fops;
		f->mode |= LX_FMODE_WRITEALL;
	}
	return 0;
}

static int
hostnode_setattr(struct inode *i, const struct call *c, const struct iattr *a)
{
	struct hostnode *n = container_of(i, struct hostnode, i);
	int r = a->valid & IATTR_SIZE ? host_fd_truncate(n->fd, a->size) : 0;

	(void)c;
	if (!r)
		inode_setattr_apply(i, a);
	return r;
}

static const struct inode_ops hostnode_iops = {
	.free = hostnode_free, .open = hostnode_open, .setattr = hostnode_setattr};

static uint32_t
access_of(uint32_t oflags)
{
	return ((oflags & LX_O_ACCMODE) != LX_O_WRONLY ? LX_FMODE_READ : 0u) |
	       ((oflags & LX_O_ACCMODE) != LX_O_RDONLY ? LX_FMODE_WRITE : 0u);
}

int
hostfile_new(int fd, uint32_t oflags, struct file **ret)
{
	struct lx_termios2 tio;
	struct host_stat st;
	struct hostfile *h;
	struct hostnode *n;
	struct inode *i;
	int r = host_fd_stat(fd, &st);

	if (r)
		return r;
	h = hostfile_alloc(fd);
	n = h ? calloc(1, sizeof *n) : NULL;
	if (!n) {
		r = -ENOMEM;
		goto undo;
	}
	n->fd = -1; /* until it cannot fail */
	n->regular = LX_S_ISREG(st.mode);
	n->access = access_of(oflags) & access_of((uint32_t)host_fd_flags(fd));
	i = &n->i;
	file_init_anon(i, &hostnode_iops, n->regular ? &regular_fops : &stream_fops, st.mode);
	if (!LX_S_ISCHR(st.mode))
		i->flags |= INODE_OPENS; /* a device is the sandbox's own when it is opened */
	if (LX_S_ISCHR(st.mode) && !host_fd_ioctl(fd, LX_TCGETS2, &tio)) {
		h->tty = host_tty_get(fd, &st);
		if (!h->tty) {
			r = -ENOMEM;
			goto undo;
		}
	}
	r = file_new_inode(i, i->fops, h,
		h->tty		       ? "/dev/console"
		: LX_S_ISFIFO(st.mode) ? "pipe:[%lu]"
				       : "host:[%lu]",
		oflags, ret);
	if (r)
		goto undo;
	inode_put(i);
	n->fd = fd;
	/* what fstat shows is what the host showed at the start */
	i->uid = st.uid;
	i->gid = st.gid;
	i->size = st.size;
	i->blocks = st.blocks;
	i->rdev = LX_MKDEV(st.rdev_major & 0xfff, st.rdev_minor);
	if (n->regular) {
		(*ret)->mode |= LX_FMODE_HOST;
	} else {
		start_watch(h);
		(*ret)->mode |= LX_FMODE_WRITEALL;
	}
	return 0;

undo:
	if (n)
		inode_put(&n->i);
	if (h) {
		if (h->tty)
			tty_put(&h->tty->tty);
		waitq_destroy(&h->q);
		LIVE_DEC(HOSTFD);
		free(h);
	}
	return r;
}

/* --- what the kernel does with terminals of the host --- */

int
hostfile_show_tty(struct file *f, const struct call *c, struct super *devpts, uint32_t uid)
{
	struct host_tty *h = f->ops == &stream_fops ? ((struct hostfile *)f->priv)->tty : NULL;
	int r;

	if (!h)
		return -ENOTTY;
	/* It is opened again for each descriptor, with all the rights that one of them has. */
	if ((host_fd_flags(h->fd) & LX_O_ACCMODE) != LX_O_RDWR)
		return -EACCES;
	if (h->pts)
		return h->pts_nr;
	r = devpts_adopt(devpts, c, &h->tty, uid, &h->pts);
	if (r >= 0)
		h->pts_nr = r;
	return r;
}

int
hostfile_tty_signal(struct tty *t, int signo)
{
	int32_t pgrp = __atomic_load_n(&t->pgrp, __ATOMIC_RELAXED);

	if (signo == LX_SIGHUP) {
		tty_hangup_session(t);
		return 0;
	}
	if (!pgrp || !tty_hooks.signal_pgrp)
		return -ESRCH;
	tty_hooks.signal_pgrp(pgrp, signo);
	return 0;
}

static struct tty *
of_file(struct file *f, bool *master)
{
	*master = false;
	if (f->ops != &stream_fops)
		return NULL;
	return ((struct hostfile *)f->priv)->tty ? &((struct hostfile *)f->priv)->tty->tty : NULL;
}

int
hostfile_init(void)
{
	static struct tty_driver driver = {.of_file = of_file};

	tty_driver_register(&driver);
	return 0;
}
