/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX message queues: messages, limits, notification. Linux counterpart: ipc/mqueue.c. */
#include "sentry/ipc/mqueue.h"
#include "abi/poll.h"
#include "mqueue.h"
#include "sentry/cred/user_ns.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define HARD_MSGMAX	65536
#define HARD_MSGSIZEMAX (16 << 20)
/* What Linux counts for a message and for a priority, beside the text. */
#define COST_MESSAGE  48
#define COST_PRIORITY 48
#define MQ_FILE_SIZE  80

static int
cmp(const struct mq_message *a, const struct mq_message *b)
{
	if (a->prio != b->prio)
		return a->prio > b->prio ? -1 : 1;
	return a->seq < b->seq ? -1 : a->seq > b->seq;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
RB_PROTOTYPE(mq_tree, mq_message, node, cmp)
RB_GENERATE(mq_tree, mq_message, node, cmp)
#pragma GCC diagnostic pop

/* --- RLIMIT_MSGQUEUE: bytes by real user --- */

struct account {
	uint32_t uid;
	uint64_t bytes;
	UT_hash_handle hh;
};

static struct mutex accounts_lock = MUTEX_INIT(LEAF);
static struct account *accounts;

static int
charge(uint32_t uid, uint64_t bytes, uint64_t limit)
{
	struct account *a;
	int r = 0;

	mutex_lock(&accounts_lock);
	HASH_FIND(hh, accounts, &uid, sizeof uid, a);
	if (!a && (a = calloc(1, sizeof *a))) {
		a->uid = uid;
		HASH_ADD(hh, accounts, uid, sizeof uid, a);
	}
	if (!a)
		r = -ENOMEM;
	else if (a->bytes + bytes < bytes || a->bytes + bytes > limit)
		r = -EMFILE;
	else
		a->bytes += bytes;
	if (a && !a->bytes) {
		HASH_DEL(accounts, a);
		free(a);
	}
	mutex_unlock(&accounts_lock);
	return r;
}

static void
uncharge(uint32_t uid, uint64_t bytes)
{
	struct account *a;

	mutex_lock(&accounts_lock);
	HASH_FIND(hh, accounts, &uid, sizeof uid, a);
	if (a && (a->bytes -= bytes) == 0) {
		HASH_DEL(accounts, a);
		free(a);
	}
	mutex_unlock(&accounts_lock);
}

/* --- life --- */

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int
check_attr(const struct mq_fs *fs, const struct call *c, const struct lx_mq_attr *a,
	uint64_t *ret_cost)
{
	bool may = cred_capable(c->cred, LX_CAP_SYS_RESOURCE);
	uint64_t bytes, tree;

	if (a->maxmsg <= 0 || a->msgsize <= 0)
		return -EINVAL;
	if (a->maxmsg > (may ? HARD_MSGMAX : fs->limit[MQ_MSG_MAX]) ||
		a->msgsize > (may ? HARD_MSGSIZEMAX : fs->limit[MQ_MSGSIZE_MAX]))
		return -EINVAL;
	tree = (uint64_t)a->maxmsg * COST_MESSAGE +
	       (uint64_t)least(a->maxmsg, MQ_PRIO_MAX) * COST_PRIORITY;
	if (__builtin_mul_overflow((uint64_t)a->maxmsg, (uint64_t)a->msgsize, &bytes) ||
		__builtin_add_overflow(bytes, tree, ret_cost))
		return -EOVERFLOW;
	return 0;
}

int
mq_node_new(struct super *sb, const struct call *c, const struct inode_spec *spec,
	const struct lx_mq_attr *attr, struct mq_node **ret)
{
	struct mq_fs *fs = sb->priv;
	struct lx_mq_attr def;
	struct mq_node *q;
	uint64_t cost;
	int r = 0;

	mutex_lock(&fs->lock);
	if (!attr) {
		def.maxmsg = least(fs->limit[MQ_MSG_MAX], fs->limit[MQ_MSG_DEFAULT]);
		def.msgsize = least(fs->limit[MQ_MSGSIZE_MAX], fs->limit[MQ_MSGSIZE_DEFAULT]);
		attr = &def;
	}
	if (fs->queues >= fs->limit[MQ_QUEUES_MAX] && !cred_capable(c->cred, LX_CAP_SYS_RESOURCE))
		r = -ENOSPC;
	if (!r)
		r = check_attr(fs, c, attr, &cost);
	if (!r)
		fs->queues++;
	mutex_unlock(&fs->lock);
	if (r)
		return r;
	r = charge(c->cred->uid, cost,
		c->rlim ? rlimit_cur(c->rlim, LX_RLIMIT_MSGQUEUE) : LX_RLIM_INFINITY);
	q = r ? NULL : calloc(1, sizeof *q);
	if (!q) {
		if (!r)
			uncharge(c->cred->uid, cost);
		mutex_lock(&fs->lock);
		fs->queues--;
		mutex_unlock(&fs->lock);
		return r ? r : -ENOMEM;
	}
	mutex_init(&q->lock, LR_FSNODE);
	waitq_init(&q->wq);
	RB_INIT(&q->messages);
	list_init(&q->entries);
	q->maxmsg = attr->maxmsg;
	q->msgsize = attr->msgsize;
	q->owner = c->cred->uid;
	q->charged = cost;
	inode_init(&q->i, sb, NULL, &mq_fops, atomic_fetch_add(&fs->next_ino, 1), spec->mode,
		spec->uid, spec->gid);
	q->i.size = MQ_FILE_SIZE;
	*ret = q;
	return 0;
}

void
mq_queue_fini(struct mq_node *q)
{
	struct mq_fs *fs = q->i.sb->priv;
	struct mq_message *m;

	while ((m = RB_MIN(mq_tree, &q->messages))) {
		RB_REMOVE(mq_tree, &q->messages, m);
		free(m->text);
		free(m);
	}
	if (q->notify)
		q->notify->drop(q->notify);
	uncharge(q->owner, q->charged);
	mutex_lock(&fs->lock);
	fs->queues--;
	mutex_unlock(&fs->lock);
	waitq_destroy(&q->wq);
	mutex_destroy(&q->lock);
}

/* --- messages --- */

static struct mq_node *
queue_of(struct file *f)
{
	return mq_node_of(f->inode);
}

bool
mq_is(const struct file *f)
{
	return f->ops == &mq_fops;
}

void
mq_attr(struct file *f, struct lx_mq_attr *ret)
{
	struct mq_node *q = queue_of(f);

	mutex_lock(&q->lock);
	*ret = (struct lx_mq_attr){.flags = file_flags(f) & LX_O_NONBLOCK,
		.maxmsg = q->maxmsg,
		.msgsize = q->msgsize,
		.curmsgs = q->count};
	mutex_unlock(&q->lock);
}

struct waitq *
mq_waitq(struct file *f)
{
	return &queue_of(f)->wq;
}

int
mq_put(struct file *f, const struct call *c, uint32_t prio, void *text, size_t len)
{
	struct mq_node *q = queue_of(f);
	struct mq_message *m = calloc(1, sizeof *m);
	struct mq_notify *n = NULL;

	if (!m)
		return -ENOMEM;
	*m = (struct mq_message){.prio = prio, .text = text, .len = len};
	mutex_lock(&q->lock);
	if (q->count >= q->maxmsg) {
		mutex_unlock(&q->lock);
		free(m);
		return -EAGAIN;
	}
	m->seq = q->next_seq++;
	RB_INSERT(mq_tree, &q->messages, m);
	q->bytes += len;
	if (q->count++ == 0 && !q->readers) {
		n = q->notify;
		q->notify = NULL;
	}
	mutex_unlock(&q->lock);
	inode_touch(&q->i, INODE_T_ATIME | INODE_T_MTIME | INODE_T_CTIME);
	waitq_notify(&q->wq, LX_POLLIN | LX_POLLRDNORM);
	if (n)
		n->fire(n, c->tgid, c->cred->uid);
	return 0;
}

ssize_t
mq_take(struct file *f, uint32_t *prio, void **text)
{
	struct mq_node *q = queue_of(f);
	struct mq_message *m;
	ssize_t len;

	mutex_lock(&q->lock);
	m = RB_MIN(mq_tree, &q->messages);
	if (m) {
		RB_REMOVE(mq_tree, &q->messages, m);
		q->count--;
		q->bytes -= m->len;
	}
	mutex_unlock(&q->lock);
	if (!m)
		return -EAGAIN;
	inode_touch(&q->i, INODE_T_ATIME | INODE_T_MTIME | INODE_T_CTIME);
	waitq_notify(&q->wq, LX_POLLOUT | LX_POLLWRNORM);
	*prio = m->prio;
	*text = m->text;
	len = (ssize_t)m->len;
	free(m);
	return len;
}

void
mq_reader_waits(struct file *f, int by)
{
	struct mq_node *q = queue_of(f);

	mutex_lock(&q->lock);
	q->readers += (uint32_t)by;
	mutex_unlock(&q->lock);
}

int
mq_set_notify(struct file *f, struct mq_notify *n)
{
	struct mq_node *q = queue_of(f);
	int r = 0;

	mutex_lock(&q->lock);
	if (q->notify)
		r = -EBUSY;
	else
		q->notify = n;
	mutex_unlock(&q->lock);
	if (!r)
		inode_touch(&q->i, INODE_T_ATIME | INODE_T_CTIME);
	return r;
}

void
mq_clear_notify(struct file *f, int32_t tgid)
{
	struct mq_node *q = queue_of(f);
	struct mq_notify *n = NULL;

	mutex_lock(&q->lock);
	if (q->notify && q->notify->tgid == tgid) {
		n = q->notify;
		q->notify = NULL;
	}
	mutex_unlock(&q->lock);
	if (n)
		n->drop(n);
}

/* --- as a file --- */

static ssize_t
mq_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	struct mq_node *q = queue_of(f);
	char text[MQ_FILE_SIZE];
	int n;
	ssize_t done = 0;

	(void)c, (void)rwf;
	mutex_lock(&q->lock);
	n = snprintf(text, sizeof text, "QSIZE:%-10llu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n",
		(unsigned long long)q->bytes, q->notify ? q->notify->how : 0,
		q->notify && q->notify->how == MQ_SIGEV_SIGNAL ? q->notify->signo : 0,
		q->notify ? q->notify->tgid : 0);
	mutex_unlock(&q->lock);
	if (*pos >= 0 && *pos < n) {
		done = uio_copy_to(u, text + *pos, (size_t)(n - *pos));
		if (done > 0)
			*pos += done;
	}
	inode_touch(&q->i, INODE_T_ATIME | INODE_T_CTIME);
	return done;
}

static uint32_t
mq_poll(struct file *f, struct poll_table *pt)
{
	struct mq_node *q = queue_of(f);
	uint32_t ev = 0;

	poll_wait(pt, &q->wq);
	mutex_lock(&q->lock);
	if (q->count)
		ev |= LX_POLLIN | LX_POLLRDNORM;
	if (q->count < q->maxmsg)
		ev |= LX_POLLOUT | LX_POLLWRNORM;
	mutex_unlock(&q->lock);
	return ev;
}

static int64_t
mq_lseek(struct file *f, const struct call *c, int64_t off, int whence)
{
	int64_t from = whence == 1 ? f->pos : whence == 2 ? MQ_FILE_SIZE : 0, to;

	(void)c;
	if (whence < 0 || whence > 2 || __builtin_add_overflow(from, off, &to) || to < 0)
		return -EINVAL;
	f->pos = to;
	return to;
}

static int
mq_flush(struct file *f, const struct call *c)
{
	mq_clear_notify(f, c->tgid);
	return 0;
}

const struct file_ops mq_fops = {
	.read = mq_read,
	.poll = mq_poll,
	.lseek = mq_lseek,
	.flush = mq_flush,
};
