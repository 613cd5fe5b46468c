/* SPDX-License-Identifier: Apache-2.0 */
/* System V message queues (Linux: ipc/msg.c). */
#include "sentry/ipc/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct message {
	struct list node;
	int64_t type;
	size_t len;
	void *text;
};

struct queue {
	struct ipc_set s;
	struct lx_msqid_ds ds; /* all but perm */
	struct list messages;
};

static struct queue *
queue_of(struct ipc_set *s)
{
	return container_of(s, struct queue, s);
}

static void
message_free(struct message *m)
{
	list_del(&m->node);
	free(m->text);
	free(m);
}

static void
queue_free(struct ipc_set *s)
{
	struct queue *q = queue_of(s);
	struct message *m, *tmp;

	list_for_each_entry_safe (m, tmp, &q->messages, node)
		message_free(m);
	free(q);
}

int
msg_get(const struct call *c, int32_t key, int flags)
{
	struct ipc_ns *ns = c->ipc;
	struct queue *q = NULL;
	int r;

	mutex_lock(&ns->lock);
	r = ipc_by_key_locked(c, &ns->msg, key, flags, NULL, 0);
	if (r) {
		mutex_unlock(&ns->lock);
		return r > 0 ? r - 1 : r;
	}
	q = calloc(1, sizeof *q);
	r = -ENOMEM;
	if (q) {
		ref_init(&q->s.ref);
		waitq_init(&q->s.wq);
		list_init(&q->messages);
		q->s.free = queue_free;
		q->ds.ctime = ipc_now();
		q->ds.qbytes = ns->limit[IPC_MSGMNB];
		ipc_perm_init(c, &q->s.perm, key, flags);
		r = ipc_enter_locked(&ns->msg, &q->s, ns->limit[IPC_MSGMNI]);
	}
	mutex_unlock(&ns->lock);
	if (r < 0 && q)
		ipc_set_put(&q->s);
	return r;
}

int
msg_find(const struct call *c, int id, struct ipc_set **ret)
{
	return ipc_use(c, &c->ipc->msg, id, ret);
}

void
msg_put(struct ipc_set *q)
{
	ipc_set_put(q);
}

struct waitq *
msg_queue(struct ipc_set *q)
{
	return &q->wq;
}

int
msg_send(const struct call *c, struct ipc_set *s, int64_t type, void *text, size_t len)
{
	struct queue *q = queue_of(s);
	struct message *m = calloc(1, sizeof *m);
	int r = 0;

	if (!m)
		return -ENOMEM;
	list_init(&m->node);
	mutex_lock(&c->ipc->lock);
	if (s->removed)
		r = -EIDRM;
	else if (!ipc_may(c, &s->perm, 0222))
		r = -EACCES;
	else if (len + q->ds.cbytes > q->ds.qbytes || 1 + q->ds.qnum > q->ds.qbytes)
		r = -EAGAIN;
	if (!r) {
		m->type = type;
		m->text = text;
		m->len = len;
		list_push_back(&q->messages, &m->node);
		q->ds.cbytes += len;
		q->ds.qnum++;
		q->ds.stime = ipc_now();
		q->ds.lspid = c->tgid;
		m = NULL;
		waitq_notify(&s->wq, ~0u);
	}
	mutex_unlock(&c->ipc->lock);
	free(m);
	return r;
}

/* Which one msgrcv(2) takes. */
static struct message *
choose(struct queue *q, int64_t type, int flags)
{
	struct message *m, *best = NULL;
	int64_t at = 0;

	list_for_each_entry (m, &q->messages, node) {
		if (flags & LX_MSG_COPY) {
			if (at++ == type)
				return m;
			continue;
		}
		if (type == 0)
			return m;
		if (type > 0 && ((m->type == type) != !!(flags & LX_MSG_EXCEPT)))
			return m;
		/* the lowest type that is not above -type */
		if (type < 0 && (type == INT64_MIN || m->type <= -type) &&
			(!best || m->type < best->type))
			best = m;
	}
	return best;
}

int
msg_receive(const struct call *c, struct ipc_set *s, int64_t type, size_t max, int flags,
	int64_t *ret_type, void **text, size_t *len)
{
	struct queue *q = queue_of(s);
	bool copy = flags & LX_MSG_COPY;
	struct message *m = NULL;
	int r = 0;

	mutex_lock(&c->ipc->lock);
	if (s->removed)
		r = -EIDRM;
	else if (!ipc_may(c, &s->perm, 0444))
		r = -EACCES;
	else if (!(m = choose(q, type, flags)))
		r = -ENOMSG;
	else if (m->len > max && !(flags & LX_MSG_NOERROR))
		r = -E2BIG;
	else if (copy && m->len > max) /* a copy is whole */
		r = -EINVAL;
	else if (copy && !(*text = malloc(m->len + 1)))
		r = -ENOMEM;
	if (!r && copy) {
		*ret_type = m->type;
		memcpy(*text, m->text, m->len);
		*len = m->len;
	} else if (!r) {
		q->ds.cbytes -= m->len;
		q->ds.qnum--;
		q->ds.rtime = ipc_now();
		q->ds.lrpid = c->tgid;
		*ret_type = m->type;
		*text = m->text;
		*len = m->len < max ? m->len : max;
		m->text = NULL;
		message_free(m);
		waitq_notify(&s->wq, ~0u);
	}
	mutex_unlock(&c->ipc->lock);
	return r;
}

int
msg_stat(const struct call *c, int id, int cmd, struct lx_msqid_ds *ret, int *ret_id)
{
	struct ipc_set *s;
	int r;

	mutex_lock(&c->ipc->lock);
	r = ipc_look_locked(c, &c->ipc->msg, id, cmd != LX_IPC_STAT, cmd == LX_MSG_STAT_ANY, &s);
	if (!r) {
		*ret = queue_of(s)->ds;
		ret->perm = s->perm;
		*ret_id = s->id;
	}
	mutex_unlock(&c->ipc->lock);
	return r;
}

int
msg_set(const struct call *c, int id, const struct lx_msqid_ds *ds)
{
	struct ipc_set *s;
	int r = 0;

	mutex_lock(&c->ipc->lock);
	s = ipc_find_locked(&c->ipc->msg, id);
	if (!s)
		r = -EINVAL;
	else if (!ipc_owns(c, &s->perm))
		r = -EPERM;
	else if (ds->qbytes > c->ipc->limit[IPC_MSGMNB] &&
		 !cred_capable(c->cred, LX_CAP_SYS_RESOURCE))
		r = -EPERM;
	else
		r = ipc_perm_set(&s->perm, &ds->perm);
	if (!r) {
		queue_of(s)->ds.qbytes = ds->qbytes;
		queue_of(s)->ds.ctime = ipc_now();
		waitq_notify(&s->wq, ~0u);
	}
	mutex_unlock(&c->ipc->lock);
	return r;
}

int
msg_remove(const struct call *c, int id)
{
	return ipc_remove(c, &c->ipc->msg, id);
}

int
msg_usage(const struct call *c, int *queues, int *messages, int *bytes)
{
	int highest = 0;

	*queues = *messages = *bytes = 0;
	mutex_lock(&c->ipc->lock);
	for (int i = 0; i < IPC_SLOTS; i++) {
		struct ipc_set *s = c->ipc->msg.slot[i];

		if (!s)
			continue;
		highest = i;
		(*queues)++;
		*messages += (int)queue_of(s)->ds.qnum;
		*bytes += (int)queue_of(s)->ds.cbytes;
	}
	mutex_unlock(&c->ipc->lock);
	return highest;
}
