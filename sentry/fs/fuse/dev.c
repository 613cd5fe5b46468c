/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/fuse: what a server reads and writes. Linux counterpart: fs/fuse/dev.c, the half towards the
 * server.
 *
 * Nothing is copied from or to the server's memory under a lock. An answer is copied in as a whole
 * before it is looked at.
 */
#include "abi/poll.h"
#include "internal.h"
#include "sentry/vfs/path.h"
#include <stdlib.h>
#include <string.h>

#define FORGETS	   64 /* in one message */
#define ANSWER_MAX (sizeof(struct lx_fuse_out_header) + FUSE_IO_MAX + LX_PAGE_SIZE)
#define ERROR_MAX  511

struct fuse_dev {
	_Atomic(struct fuse_conn *) conn; /* a reference, or NULL: not mounted */
};

struct file *(*fuse_file_of_fd)(const struct call *c, int fd);

static const struct file_ops dev_fops;

static struct fuse_conn *
conn_of(struct file *f)
{
	return atomic_load(&((struct fuse_dev *)f->priv)->conn);
}

/* --- reading --- */

static int
put(struct uio *u, const void *p, size_t len)
{
	return uio_copy_to(u, p, len) == (ssize_t)len ? 0 : -EFAULT;
}

/* The three below are called with the lock, and give it up. */

static ssize_t
read_interrupt(struct fuse_conn *conn, struct uio *u)
{
	struct fuse_req *r = list_first(&conn->interrupts, struct fuse_req, intr_node);
	struct {
		struct lx_fuse_in_header h;
		uint64_t unique;
	} m = {.h = {.len = sizeof m,
		       .opcode = LX_FUSE_INTERRUPT,
		       .unique = r->unique | LX_FUSE_INTERRUPT_ID},
		.unique = r->unique};

	list_del(&r->intr_node);
	mutex_unlock(&conn->lock);
	return put(u, &m, sizeof m) ? -EFAULT : (ssize_t)sizeof m;
}

static ssize_t
read_forgets(struct fuse_conn *conn, struct uio *u)
{
	struct lx_fuse_in_header h = {.opcode = LX_FUSE_BATCH_FORGET};
	struct lx_fuse_batch_forget_in b = {0};
	struct lx_fuse_forget_one v[FORGETS];
	struct list ids = LIST_INIT(ids), *n;
	size_t room = (u->left - sizeof h - sizeof b) / sizeof v[0];
	bool batch = conn->minor >= 16;

	if (room > FORGETS)
		room = FORGETS;
	if (!batch)
		room = 1;
	while (b.count < room && (n = list_pop_front(&conn->forgets))) {
		struct fuse_id *id = list_entry(n, struct fuse_id, node);

		v[b.count++] = (struct lx_fuse_forget_one){id->nodeid, id->nlookup};
		list_push_back(&ids, n);
	}
	h.unique = conn->next_unique += 2;
	mutex_unlock(&conn->lock);
	while ((n = list_pop_front(&ids))) {
		struct fuse_id *id = list_entry(n, struct fuse_id, node);

		fuse_conn_put(id->conn);
		free(id);
	}
	if (!batch) {
		h.opcode = LX_FUSE_FORGET;
		h.nodeid = v[0].nodeid;
		h.len = sizeof h + sizeof v[0].nlookup;
		if (put(u, &h, sizeof h) || put(u, &v[0].nlookup, sizeof v[0].nlookup))
			return -EFAULT;
		return h.len;
	}
	h.len = (uint32_t)(sizeof h + sizeof b + b.count * sizeof v[0]);
	if (put(u, &h, sizeof h) || put(u, &b, sizeof b) || put(u, v, b.count * sizeof v[0]))
		return -EFAULT;
	return h.len;
}

/* 0: it was too large, and has failed; there may be another one. */
static ssize_t
read_request(struct fuse_conn *conn, struct fuse_dev *dev, struct uio *u)
{
	struct fuse_req *r = list_entry(list_pop_front(&conn->pending), struct fuse_req, node);
	struct lx_fuse_in_header h = {.len = (uint32_t)(sizeof h + r->in_len),
		.opcode = r->opcode,
		.unique = r->unique,
		.nodeid = r->id ? r->id->nodeid : 0,
		.uid = r->uid,
		.gid = r->gid,
		.pid = r->pid};
	ssize_t ret = h.len;
	bool more = false;

	if (u->left < h.len) {
		fuse_req_end_locked(
			conn, r, r->opcode == LX_FUSE_SETXATTR ? -E2BIG : -EIO, NULL, 0);
		mutex_unlock(&conn->lock);
		fuse_req_put(r);
		return 0;
	}
	r->state = FUSE_READING;
	mutex_unlock(&conn->lock);
	if (put(u, &h, sizeof h) || put(u, r->in, r->in_len))
		ret = -EFAULT;
	mutex_lock(&conn->lock);
	if (!conn->connected)
		ret = -ENODEV;
	if (ret < 0) {
		fuse_req_end_locked(conn, r, ret == -ENODEV ? -ECONNABORTED : -EIO, NULL, 0);
	} else {
		r->state = FUSE_SENT;
		r->dev = dev;
		list_push_back(&conn->sent[r->unique / 2 % FUSE_BUCKETS], &r->node);
		if (r->interrupted && !conn->no_interrupt) {
			list_push_back(&conn->interrupts, &r->intr_node);
			more = true;
		}
	}
	mutex_unlock(&conn->lock);
	if (more)
		waitq_notify(&conn->readers, ~0u);
	if (ret < 0)
		fuse_req_put(r);
	return ret;
}

static ssize_t
dev_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct fuse_conn *conn = conn_of(f);
	ssize_t r = 0;

	(void)c, (void)pos, (void)rwf;
	if (!conn)
		return -EPERM;
	while (r == 0) {
		size_t least = sizeof(struct lx_fuse_in_header) + sizeof(struct lx_fuse_write_in);

		mutex_lock(&conn->lock);
		least += conn->max_write;
		if (least < LX_FUSE_MIN_BUFFER)
			least = LX_FUSE_MIN_BUFFER;
		if (u->left < least)
			r = -EINVAL;
		else if (!conn->connected)
			r = -ENODEV;
		else if (!list_empty(&conn->interrupts))
			return read_interrupt(conn, u);
		else if (!list_empty(&conn->forgets) &&
			 (list_empty(&conn->pending) || conn->forget_turn-- > 0))
			return read_forgets(conn, u);
		else if (list_empty(&conn->pending))
			r = -EAGAIN;
		if (r) {
			mutex_unlock(&conn->lock);
			break;
		}
		if (conn->forget_turn <= -8)
			conn->forget_turn = 16;
		r = read_request(conn, f->priv, u);
	}
	return r;
}

/* --- writing --- */

/* inval_entry makes all names of the directory be asked for again: which of them it is has no
 * weight. */
static int
notification(struct fuse_conn *conn, int32_t code, const void *body, size_t len)
{
	const struct lx_fuse_inval_inode_out *in = body;
	const struct lx_fuse_inval_entry_out *en = body;
	const char *name = (const char *)(en + 1);

	switch (code) {
	case LX_FUSE_NOTIFY_INVAL_INODE:
		if (len != sizeof *in)
			return -EINVAL;
		return fnode_inval(conn, in->ino, false);
	case LX_FUSE_NOTIFY_INVAL_ENTRY:
		if (len < sizeof *en)
			return -EINVAL;
		if (en->namelen > LX_NAME_MAX)
			return -ENAMETOOLONG;
		if (len != sizeof *en + en->namelen + 1 || name[en->namelen])
			return -EINVAL;
		return fnode_inval(conn, en->parent, true);
	default:
		return -EINVAL;
	}
}

static struct fuse_req *
find_locked(struct fuse_conn *conn, uint64_t unique)
{
	struct fuse_req *r;

	list_for_each_entry (r, &conn->sent[unique / 2 % FUSE_BUCKETS], node)
		if (r->unique == unique)
			return r;
	return NULL;
}

static int
interrupt_reply(struct fuse_conn *conn, uint64_t unique, int32_t error, size_t len)
{
	struct fuse_req *r;
	int ret = 0;

	mutex_lock(&conn->lock);
	r = find_locked(conn, unique & ~(uint64_t)LX_FUSE_INTERRUPT_ID);
	if (!r)
		ret = -ENOENT;
	else if (len)
		ret = -EINVAL;
	else if (error == -ENOSYS)
		conn->no_interrupt = true;
	else if (error == -EAGAIN && list_empty(&r->intr_node))
		list_push_back(&conn->interrupts, &r->intr_node);
	mutex_unlock(&conn->lock);
	return ret;
}

/* buf is taken over: an answer of len bytes after its header. */
static int
reply(struct fuse_conn *conn, void *buf, size_t len)
{
	const struct lx_fuse_out_header *h = buf;
	int error = h->error, ret = 0;
	struct fuse_req *r;
	bool wanted;

	if (error <= -ERROR_MAX - 1 || error > 0) {
		free(buf);
		return -EINVAL;
	}
	mutex_lock(&conn->lock);
	r = find_locked(conn, h->unique);
	if (!r) {
		mutex_unlock(&conn->lock);
		free(buf);
		return -ENOENT;
	}
	if (error ? len != 0 : len < r->out_min || len > r->out_max) {
		error = -EIO;
		ret = -EINVAL;
	}
	wanted = r->fiber;
	fuse_req_end_locked(conn, r, error, buf, error ? 0 : len);
	mutex_unlock(&conn->lock);
	if (r->opcode == LX_FUSE_INIT)
		fuse_init_reply(conn, r->error, r->out, r->out_len);
	else if (!wanted && !error)
		fuse_take_back(conn, r, r->out, r->out_len);
	fuse_req_put(r);
	return ret;
}

static ssize_t
dev_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct fuse_conn *conn = conn_of(f);
	const struct lx_fuse_out_header *h;
	size_t total = u->left, len, copied;
	void *buf;
	int r;

	(void)c, (void)pos, (void)rwf;
	if (!conn)
		return -EPERM;
	if (total < sizeof *h)
		return -EINVAL;
	/* of what answers nothing, whose it is is enough */
	copied = total > ANSWER_MAX ? sizeof *h : total;
	buf = malloc(copied);
	if (!buf)
		return -ENOMEM;
	if (uio_copy_from(u, buf, copied) != (ssize_t)copied) {
		free(buf);
		return -EFAULT;
	}
	h = buf;
	len = total - sizeof *h;
	if (h->len != total) {
		r = -EINVAL;
	} else if (!h->unique) {
		r = copied < total ? -EINVAL : notification(conn, h->error, h + 1, len);
	} else if (h->unique & LX_FUSE_INTERRUPT_ID) {
		r = interrupt_reply(conn, h->unique, h->error, len);
	} else {
		r = reply(conn, buf, len);
		buf = NULL;
	}
	free(buf);
	return r ? r : (ssize_t)total;
}

static uint32_t
dev_poll(struct file *f, struct poll_table *pt)
{
	struct fuse_conn *conn = conn_of(f);
	uint32_t ev = LX_POLLOUT | LX_POLLWRNORM;

	if (!conn)
		return LX_POLLERR;
	poll_wait(pt, &conn->readers);
	mutex_lock(&conn->lock);
	if (!conn->connected)
		ev = LX_POLLERR;
	else if (!list_empty(&conn->interrupts) || !list_empty(&conn->forgets) ||
		 !list_empty(&conn->pending))
		ev |= LX_POLLIN | LX_POLLRDNORM;
	mutex_unlock(&conn->lock);
	return ev;
}

/* --- life --- */

static int
attach(struct file *f, struct fuse_conn *conn)
{
	struct fuse_dev *dev = f->priv;
	struct fuse_conn *none = NULL;

	fuse_conn_get(conn);
	if (!atomic_compare_exchange_strong(&dev->conn, &none, conn)) {
		fuse_conn_put(conn);
		return -EINVAL;
	}
	mutex_lock(&conn->lock);
	conn->devs++;
	mutex_unlock(&conn->lock);
	return 0;
}

int
fuse_dev_attach(struct file *f, struct fuse_conn *conn)
{
	return f->ops == &dev_fops ? attach(f, conn) : -EINVAL;
}

static int64_t
dev_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct fuse_conn *conn;
	struct file *from;
	uint32_t fd;
	int r = -EINVAL;

	if (cmd != LX_FUSE_DEV_CLONE)
		return -ENOTTY;
	if (copy_in(c->um, &fd, ua(arg), sizeof fd))
		return -EFAULT;
	from = fuse_file_of_fd ? fuse_file_of_fd(c, (int)fd) : NULL;
	if (!from)
		return -EINVAL;
	/* who has the one may have the other; its requests are told from the other's */
	if (from->ops == &dev_fops && from->cred->user_ns == f->cred->user_ns) {
		conn = conn_of(from);
		if (conn)
			r = attach(f, conn);
	}
	file_put(from);
	return r;
}

static void
dev_release(struct file *f)
{
	struct fuse_dev *dev = f->priv;
	struct fuse_conn *conn = conn_of(f);
	struct list ended = LIST_INIT(ended), *n;
	struct fuse_req *r, *tmp;
	bool last;

	if (conn) {
		mutex_lock(&conn->lock);
		for (int i = 0; i < FUSE_BUCKETS; i++) {
			list_for_each_entry_safe (r, tmp, &conn->sent[i], node) {
				if (r->dev != dev)
					continue;
				fuse_req_end_locked(conn, r, -ECONNABORTED, NULL, 0);
				list_push_back(&ended, &r->node);
			}
		}
		last = --conn->devs == 0;
		mutex_unlock(&conn->lock);
		while ((n = list_pop_front(&ended)))
			fuse_req_put(list_entry(n, struct fuse_req, node));
		if (last)
			fuse_conn_abort(conn);
		fuse_conn_put(conn);
	}
	free(dev);
}

static const struct file_ops dev_fops = {
	.read = dev_read,
	.write = dev_write,
	.poll = dev_poll,
	.ioctl = dev_ioctl,
	.release = dev_release,
};

static int
dev_open(struct file *f, const struct call *c)
{
	struct fuse_dev *dev = calloc(1, sizeof *dev);

	(void)c;
	if (!dev)
		return -ENOMEM;
	f->priv = dev;
	f->ops = &dev_fops;
	f->mode |= LX_FMODE_MESSAGES;
	return 0;
}

struct vfs_dev fuse_device = {.type = LX_S_IFCHR,
	.major = 10,
	.minor = 229,
	.nminors = 1,
	.name = "fuse",
	.open = dev_open};
