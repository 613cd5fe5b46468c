/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pipes (pipe(7)): one ring of bytes, with one reader and one writer at a time. `head` and `tail`
 * only grow; the writer's side moves head, the reader's tail, so that a read and a write copy at
 * the same time, and no mutex is held while guest memory is touched.
 *
 * Locks: rlock serialises readers, wlock writers; who needs both (resize, tee) takes rlock first.
 * `lock` (rank PIPE) guards the counts of open ends and the ends of packets. State is changed
 * before the queues are notified, and waiters look again after they have joined a queue; all those
 * accesses are sequentially consistent.
 */
#include "sentry/fs/pipe.h"
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "sentry/sysctl/sysctl.h"
#include "sentry/vfs/path.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIPE_DEFAULT (64u << 10)
#define PIPE_MAX     (1u << 20) /* and the most that fs.pipe-max-size says */
#define PIPE_BUF     4096u
#define MAX_PACKETS  (PIPE_MAX / PIPE_BUF)

struct pipe {
	struct ref ref;
	struct sleeplock rlock, wlock;
	_Atomic uint64_t head, tail;
	bool nameless; /* of pipe(2): opening it again (/proc/self/fd/N) waits for nobody */
	uint32_t size; /* a power of two; changed under both locks */
	char *buf;     /* made by the first write; changed under both locks */
	struct waitq rq, wq;
	struct mutex lock;
	_Atomic uint32_t readers, writers; /* open ends */
	_Atomic uint64_t r_opened,
		w_opened;	/* how many there ever were: for FIFO opens that wait */
	_Atomic uint32_t nends; /* packets in the ring (O_DIRECT) */
	uint64_t *ends;		/* MAX_PACKETS; where each ends, in terms of head; under lock */
	uint32_t first_end;
};

static struct pipe *
pipe_alloc(void)
{
	struct pipe *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	ref_init(&p->ref);
	sleeplock_init(&p->rlock);
	sleeplock_init(&p->wlock);
	waitq_init(&p->rq);
	waitq_init(&p->wq);
	mutex_init(&p->lock, LR_PIPE);
	p->size = PIPE_DEFAULT;
	LIVE_INC(PIPE);
	return p;
}

static void
pipe_put(struct pipe *p)
{
	if (!p || !ref_put(&p->ref))
		return;
	waitq_destroy(&p->rq);
	waitq_destroy(&p->wq);
	mutex_destroy(&p->lock);
	free(p->buf);
	free(p->ends);
	LIVE_DEC(PIPE);
	free(p);
}

/* At one moment: without a lock the tail may pass what head was. */
static uint64_t
used(const struct pipe *p)
{
	uint64_t tail, head;

	do {
		tail = atomic_load(&p->tail);
		head = atomic_load(&p->head);
	} while (tail != atomic_load(&p->tail));
	return head - tail;
}

/* The packet that stands at the tail: its bytes that are left, or UINT64_MAX. */
static uint64_t
packet_left(struct pipe *p)
{
	uint64_t left = UINT64_MAX;

	if (!atomic_load(&p->nends))
		return left;
	mutex_lock(&p->lock);
	/* plain bytes may stand before the first packet */
	if (p->nends)
		left = p->ends[p->first_end] - atomic_load(&p->tail);
	mutex_unlock(&p->lock);
	return left;
}

static void
packet_done(struct pipe *p)
{
	mutex_lock(&p->lock);
	p->first_end = (p->first_end + 1) % MAX_PACKETS;
	p->nends--;
	mutex_unlock(&p->lock);
}

/* Move up to len bytes from the ring to u. */
static ssize_t
ring_to_uio(struct pipe *p, struct uio *u, uint64_t len)
{
	uint64_t tail = atomic_load(&p->tail), done = 0;

	while (done < len) {
		uint32_t at = (uint32_t)(tail + done) & (p->size - 1);
		uint64_t n = p->size - at;
		ssize_t r;

		if (n > len - done)
			n = len - done;
		r = uio_copy_to(u, p->buf + at, n);
		if (r <= 0)
			return done ? (ssize_t)done : r;
		done += (uint64_t)r;
		if ((uint64_t)r < n)
			break;
	}
	return (ssize_t)done;
}

/* p was empty: -EAGAIN; 0: and nobody writes. */
static ssize_t
nothing_there(struct pipe *p)
{
	/* what was written before the last writer went counts */
	return atomic_load(&p->writers) || used(p) ? -EAGAIN : 0;
}

static ssize_t
pipe_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct pipe *p = f->priv;
	uint64_t n, packet;
	ssize_t r;

	(void)c, (void)pos, (void)rwf;
	if (!u->left)
		return 0;
	sleeplock_lock(&p->rlock);
	n = used(p);
	if (!n) {
		r = nothing_there(p);
		sleeplock_unlock(&p->rlock);
		return r;
	}
	packet = packet_left(p);
	if (n > packet)
		n = packet;
	if (n > u->left)
		n = u->left;
	r = ring_to_uio(p, u, n);
	if (r > 0) {
		/* the rest of a packet that the reader had no room for is lost */
		atomic_fetch_add(&p->tail, packet != UINT64_MAX ? packet : (uint64_t)r);
		if (packet != UINT64_MAX)
			packet_done(p);
	}
	sleeplock_unlock(&p->rlock);
	if (r > 0)
		waitq_notify(&p->wq, LX_POLLOUT | LX_POLLWRNORM);
	return r;
}

static ssize_t
uio_to_ring(struct pipe *p, struct uio *u, uint64_t len)
{
	uint64_t head = atomic_load(&p->head), done = 0;

	while (done < len) {
		uint32_t at = (uint32_t)(head + done) & (p->size - 1);
		uint64_t n = p->size - at;
		ssize_t r;

		if (n > len - done)
			n = len - done;
		r = uio_copy_from(u, p->buf + at, n);
		if (r <= 0)
			return done ? (ssize_t)done : r;
		done += (uint64_t)r;
		if ((uint64_t)r < n)
			break;
	}
	return (ssize_t)done;
}

/* Room for len bytes: how many may be written now, or -EAGAIN. wlock is held. */
static int64_t
room(struct pipe *p, uint64_t len, bool packets)
{
	uint64_t space = p->size - used(p);

	if (!space || (len <= PIPE_BUF && space < len))
		return -EAGAIN;
	if (packets) {
		if (len > PIPE_BUF)
			len = PIPE_BUF;
		if (space < len || atomic_load(&p->nends) >= p->size / PIPE_BUF)
			return -EAGAIN;
	}
	return (int64_t)(space < len ? space : len);
}

static int
prepare_write(struct pipe *p, bool packets)
{
	if (!p->buf && !(p->buf = malloc(p->size)))
		return -ENOMEM;
	if (packets && !p->ends && !(p->ends = malloc(MAX_PACKETS * sizeof *p->ends)))
		return -ENOMEM;
	return 0;
}

static void
wrote(struct pipe *p, uint64_t n, bool packet)
{
	if (packet) {
		mutex_lock(&p->lock);
		p->ends[(p->first_end + p->nends) % MAX_PACKETS] = atomic_load(&p->head) + n;
		p->nends++;
		mutex_unlock(&p->lock);
	}
	atomic_fetch_add(&p->head, n);
}

static ssize_t
pipe_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	bool packets = file_flags(f) & LX_O_DIRECT;
	struct pipe *p = f->priv;
	ssize_t total = 0;
	int64_t n, r;

	(void)c, (void)pos, (void)rwf;
	if (!u->left)
		return 0;
	sleeplock_lock(&p->wlock);
	r = atomic_load(&p->readers) ? prepare_write(p, packets) : -EPIPE;
	while (!r && u->left) {
		n = room(p, u->left, packets);
		if (n < 0) {
			r = n;
			break;
		}
		n = uio_to_ring(p, u, (uint64_t)n);
		if (n < 0) {
			r = n;
			break;
		}
		wrote(p, (uint64_t)n, packets);
		total += n;
		/* a large write to a full ring: let the reader in */
		if (!packets)
			break;
	}
	sleeplock_unlock(&p->wlock);
	if (total)
		waitq_notify(&p->rq, LX_POLLIN | LX_POLLRDNORM);
	return total ? total : r;
}

static uint32_t
pipe_poll(struct file *f, struct poll_table *pt)
{
	struct pipe *p = f->priv;
	uint32_t m = 0;

	if (f->mode & LX_FMODE_READ)
		poll_wait(pt, &p->rq);
	if (f->mode & LX_FMODE_WRITE)
		poll_wait(pt, &p->wq);
	if (f->mode & LX_FMODE_READ) {
		if (used(p))
			m |= LX_POLLIN | LX_POLLRDNORM;
		if (!atomic_load(&p->writers) && atomic_load(&p->w_opened) != (uint64_t)f->pos)
			m |= LX_POLLHUP;
	}
	if (f->mode & LX_FMODE_WRITE) {
		if (p->size - used(p) >= PIPE_BUF)
			m |= LX_POLLOUT | LX_POLLWRNORM;
		if (!atomic_load(&p->readers))
			m |= LX_POLLERR;
	}
	return m;
}

static int64_t
pipe_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct pipe *p = f->priv;
	int32_t n = (int32_t)used(p);

	if (cmd != LX_FIONREAD)
		return -ENOTTY;
	return copy_out(c->um, ua(arg), &n, sizeof n);
}

static void
pipe_release(struct file *f)
{
	struct pipe *p = f->priv;

	mutex_lock(&p->lock);
	if (f->mode & LX_FMODE_READ)
		p->readers--;
	if (f->mode & LX_FMODE_WRITE)
		p->writers--;
	if (!p->readers && !p->writers) {
		/* a FIFO that nobody has open is empty */
		atomic_store(&p->tail, atomic_load(&p->head));
		p->nends = 0;
	}
	mutex_unlock(&p->lock);
	waitq_notify(&p->rq, LX_POLLIN | LX_POLLHUP | LX_POLLRDNORM);
	waitq_notify(&p->wq, LX_POLLOUT | LX_POLLERR | LX_POLLWRNORM);
	pipe_put(p);
}

static int
pipe_open_wait(struct file *f, struct poll_table *pt)
{
	struct pipe *p = f->priv;
	bool reader = f->mode & LX_FMODE_READ;

	poll_wait(pt, reader ? &p->rq : &p->wq);
	if (p->nameless)
		return 0;
	if ((f->mode & LX_FMODE_READ) && (f->mode & LX_FMODE_WRITE))
		return 0;
	if (reader) {
		if ((file_flags(f) & LX_O_NONBLOCK) || atomic_load(&p->writers))
			return 0;
		return atomic_load(&p->w_opened) == (uint64_t)f->pos ? -EAGAIN : 0;
	}
	if (atomic_load(&p->readers))
		return 0;
	return atomic_load(&p->r_opened) == (uint64_t)f->pos ? -EAGAIN : 0;
}

static const struct file_ops pipe_ops = {
	.read = pipe_read,
	.write = pipe_write,
	.poll = pipe_poll,
	.ioctl = pipe_ioctl,
	.release = pipe_release,
	.open_wait = pipe_open_wait,
};

bool
pipe_is(const struct file *f)
{
	return f->ops == &pipe_ops;
}

/* Count f's ends in. */
static void
attach(struct file *f, struct pipe *p)
{
	ref_get(&p->ref);
	f->ops = &pipe_ops;
	f->priv = p;
	f->mode |= LX_FMODE_WRITEALL;
	mutex_lock(&p->lock);
	/* What pos is for a stream: the state at the time of the open. Who finds a partner has seen
	 * one, and waits for no other. */
	if (f->mode & LX_FMODE_READ)
		f->pos = (int64_t)(p->w_opened - (p->writers != 0));
	else
		f->pos = (int64_t)(p->r_opened - (p->readers != 0));
	if (f->mode & LX_FMODE_READ) {
		p->readers++;
		p->r_opened++;
	}
	if (f->mode & LX_FMODE_WRITE) {
		p->writers++;
		p->w_opened++;
	}
	mutex_unlock(&p->lock);
	waitq_notify(&p->rq, LX_POLLOUT);
	waitq_notify(&p->wq, LX_POLLOUT);
}

int
pipe_new(const struct call *c, uint32_t oflags, struct file **reader, struct file **writer)
{
	struct pipe *p = pipe_alloc();
	struct file *r, *w;
	int err;

	if (!p)
		return -ENOMEM;
	err = file_new_anon(&pipe_ops, p, "pipe:[%lu]", LX_S_IFIFO | 0600u,
		(oflags & LX_O_NONBLOCK) | LX_O_RDONLY, &r);
	if (err) {
		pipe_put(p);
		return err;
	}
	r->inode->uid = c->cred->fsuid;
	r->inode->gid = c->cred->fsgid;
	r->inode->ipc = p; /* the first reference */
	p->nameless = true;
	attach(r, p);
	err = file_new_inode(r->inode, &pipe_ops, p, "pipe:[%lu]",
		(oflags & (LX_O_NONBLOCK | LX_O_DIRECT)) | LX_O_WRONLY, &w);
	if (err) {
		file_put(r);
		return err;
	}
	attach(w, p);
	r->pos = -1; /* this reader has had its writer */
	*reader = r;
	*writer = w;
	return 0;
}

static int
fifo_open(struct file *f, const struct call *c)
{
	struct inode *i = f->inode;
	struct pipe *p, *fresh = NULL;

	(void)c;
	mutex_lock(&i->lock);
	p = i->ipc;
	mutex_unlock(&i->lock);
	if (!p) {
		fresh = pipe_alloc();
		if (!fresh)
			return -ENOMEM;
		mutex_lock(&i->lock);
		if (!i->ipc) {
			i->ipc = fresh;
			fresh = NULL;
		}
		p = i->ipc;
		mutex_unlock(&i->lock);
		pipe_put(fresh);
	}
	if (!p->nameless && !(f->mode & LX_FMODE_READ) && (file_flags(f) & LX_O_NONBLOCK) &&
		!atomic_load(&p->readers))
		return -ENXIO;
	attach(f, p);
	return 0;
}

static void
fifo_free(struct inode *i)
{
	pipe_put(i->ipc);
	i->ipc = NULL;
}

int
pipe_init(void)
{
	vfs_fifo_open = fifo_open;
	vfs_fifo_free = fifo_free;
	return 0;
}

static int
resize(struct pipe *p, const struct call *c, uint32_t want)
{
	uint32_t size = PIPE_BUF;
	uint64_t n, tail;
	char *nb = NULL;
	int r = 0;

	if (!want || want > (1u << 31))
		return -EINVAL;
	while (size < want)
		size *= 2;
	if (size > sysctl_get(SYSCTL_PIPE_MAX_SIZE) && !cred_capable(c->cred, LX_CAP_SYS_RESOURCE))
		return -EPERM;
	if (size > PIPE_MAX)
		return -EINVAL;
	sleeplock_lock(&p->rlock);
	sleeplock_lock(&p->wlock);
	n = used(p);
	tail = atomic_load(&p->tail);
	if (n > size || atomic_load(&p->nends) > size / PIPE_BUF)
		r = -EBUSY;
	else if (p->buf && !(nb = malloc(size)))
		r = -ENOMEM;
	if (!r) {
		for (uint64_t k = 0; k < n; k++)
			nb[(tail + k) & (size - 1)] = p->buf[(tail + k) & (p->size - 1)];
		free(p->buf);
		p->buf = nb;
		p->size = size;
		r = (int)size;
	}
	sleeplock_unlock(&p->wlock);
	sleeplock_unlock(&p->rlock);
	if (r > 0)
		waitq_notify(&p->wq, LX_POLLOUT | LX_POLLWRNORM);
	return r;
}

int
pipe_fcntl(struct file *f, const struct call *c, bool set, uint32_t size)
{
	struct pipe *p = f->priv;

	if (!pipe_is(f))
		return -EBADF;
	return set ? resize(p, c, size) : (int)p->size;
}

size_t
pipe_room(struct file *f)
{
	struct pipe *p = f->priv;
	size_t n;

	sleeplock_lock(&p->wlock);
	n = p->size - used(p);
	sleeplock_unlock(&p->wlock);
	return n;
}

ssize_t
pipe_splice_out(
	struct file *f, size_t len, ssize_t (*fn)(void *arg, const char *p, size_t n), void *arg)
{
	struct pipe *p = f->priv;
	ssize_t done = 0, r = 0;

	sleeplock_lock(&p->rlock);
	while ((size_t)done < len) {
		uint64_t n = used(p), packet = packet_left(p);
		uint32_t at = (uint32_t)atomic_load(&p->tail) & (p->size - 1);

		if (!n) {
			r = nothing_there(p);
			break;
		}
		if (n > packet)
			n = packet;
		if (n > p->size - at)
			n = p->size - at;
		if (n > len - (size_t)done)
			n = len - (size_t)done;
		r = fn(arg, p->buf + at, n);
		if (r <= 0)
			break;
		atomic_fetch_add(&p->tail, (uint64_t)r);
		if ((uint64_t)r == packet)
			packet_done(p);
		done += r;
		if ((uint64_t)r < n)
			break;
	}
	sleeplock_unlock(&p->rlock);
	if (done)
		waitq_notify(&p->wq, LX_POLLOUT | LX_POLLWRNORM);
	return done ? done : r;
}

ssize_t
pipe_splice_in(struct file *f, size_t len, ssize_t (*fn)(void *arg, char *p, size_t n), void *arg)
{
	struct pipe *p = f->priv;
	ssize_t done = 0, r;

	sleeplock_lock(&p->wlock);
	r = atomic_load(&p->readers) ? prepare_write(p, false) : -EPIPE;
	while (!r && (size_t)done < len) {
		uint64_t n = p->size - used(p);
		uint32_t at = (uint32_t)atomic_load(&p->head) & (p->size - 1);

		if (!n) {
			r = -EAGAIN;
			break;
		}
		if (n > p->size - at)
			n = p->size - at;
		if (n > len - (size_t)done)
			n = len - (size_t)done;
		r = fn(arg, p->buf + at, n);
		if (r <= 0)
			break;
		wrote(p, (uint64_t)r, false);
		done += r;
		if ((uint64_t)r < n)
			break;
		r = 0;
	}
	sleeplock_unlock(&p->wlock);
	if (done)
		waitq_notify(&p->rq, LX_POLLIN | LX_POLLRDNORM);
	return done ? done : r;
}

ssize_t
pipe_tee(struct file *from, struct file *to, size_t len)
{
	struct pipe *a = from->priv, *b = to->priv;
	uint64_t n, space;
	ssize_t r;

	sleeplock_lock(&a->rlock);
	sleeplock_lock(&b->wlock);
	n = used(a);
	space = b->size - used(b);
	if (!atomic_load(&b->readers))
		r = -EPIPE;
	else if (!n)
		r = nothing_there(a);
	else if (!space)
		r = -EAGAIN;
	else
		r = prepare_write(b, false);
	if (!r && n) {
		uint64_t tail = atomic_load(&a->tail), head = atomic_load(&b->head);

		n = n < space ? n : space;
		n = n < len ? n : len;
		for (uint64_t k = 0; k < n; k++)
			b->buf[(head + k) & (b->size - 1)] = a->buf[(tail + k) & (a->size - 1)];
		wrote(b, n, false);
		r = (ssize_t)n;
	}
	sleeplock_unlock(&b->wlock);
	sleeplock_unlock(&a->rlock);
	if (r > 0)
		waitq_notify(&b->rq, LX_POLLIN | LX_POLLRDNORM);
	return r;
}
