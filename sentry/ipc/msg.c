/* SPDX-License-Identifier: Apache-2.0 */
/* System V message queues (Linux: ipc/msg.c). */
#include "sentry/ipc/internal.h"
#include "sentry/sched/fiber.h"
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
	struct list receivers; /* struct msg_receiver, in the order in which they came */
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
		list_init(&q->receivers);
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

/* What msgrcv(2) says of the type; not for MSG_COPY, nor which of several a negative one takes. */
static bool
matches(const struct msg_receiver *r, const struct message *m)
{
	if (r->type == 0)
		return true;
	if (r->type > 0)
		return (m->type == r->type) != !!(r->flags & LX_MSG_EXCEPT);
	/* the lowest type that is not above -type */
	return r->type == INT64_MIN || m->type <= -r->type;
}

static bool
is_too_long(const struct msg_receiver *r, const struct message *m)
{
	return m->len > r->max && !(r->flags & LX_MSG_NOERROR);
}

/* m, which is in no queue any more, is r's. */
static void
take_locked(struct queue *q, struct msg_receiver *r, struct message *m)
{
	q->ds.rtime = ipc_now();
	q->ds.lrpid = r->tgid;
	r->got_type = m->type;
	r->text = m->text;
	r->len = m->len < r->max ? m->len : r->max;
	m->text = NULL;
	message_free(m);
}

static void
done_locked(struct msg_receiver *r, int result)
{
	list_del(&r->node);
	r->result = result;
	r->done = true;
	fiber_wake(r->fiber);
}

/* To the first who waits for such a one. Who has no room for it is told so. */
static bool
hand_over_locked(struct queue *q, struct message *m)
{
	struct msg_receiver *r, *next;

	list_for_each_entry_safe (r, next, &q->receivers, node) {
		if (!matches(r, m))
			continue;
		if (is_too_long(r, m)) {
			done_locked(r, -E2BIG);
			continue;
		}
		take_locked(q, r, m);
		done_locked(r, 0);
		return true;
	}
	return false;
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
		q->ds.stime = ipc_now();
		q->ds.lspid = c->tgid;
		if (!hand_over_locked(q, m)) {
			list_push_back(&q->messages, &m->node);
			q->ds.cbytes += len;
			q->ds.qnum++;
		}
		m = NULL;
	}
	mutex_unlock(&c->ipc->lock);
	free(m);
	return r;
}

/* Which one msgrcv(2) takes. */
static struct message *
choose(struct queue *q, const struct msg_receiver *r)
{
	struct message *m, *best = NULL;
	int64_t at = 0;

	list_for_each_entry (m, &q->messages, node) {
		if (r->flags & LX_MSG_COPY) {
			if (at++ == r->type)
				return m;
			continue;
		}
		if (!matches(r, m))
			continue;
		if (r->type >= 0)
			return m;
		if (!best || m->type < best->type)
			best = m;
	}
	return best;
}

int
msg_receive(const struct call *c, struct ipc_set *s, struct msg_receiver *r)
{
	struct queue *q = queue_of(s);
	const bool copy = r->flags & LX_MSG_COPY;
	struct message *m = NULL;
	int err = 0;

	list_init(&r->node);
	r->tgid = c->tgid;
	r->done = false;
	mutex_lock(&c->ipc->lock);
	if (s->removed)
		err = -EIDRM;
	else if (!ipc_may(c, &s->perm, 0444))
		err = -EACCES;
	else if (!(m = choose(q, r)))
		err = -ENOMSG;
	else if (is_too_long(r, m))
		err = -E2BIG;
	else if (copy && m->len > r->max) /* a copy is whole */
		err = -EINVAL;
	else if (copy && !(r->text = malloc(m->len + 1)))
		err = -ENOMEM;
	if (!err && copy) {
		r->got_type = m->type;
		memcpy(r->text, m->text, m->len);
		r->len = m->len;
	} else if (!err) {
		q->ds.cbytes -= m->len;
		q->ds.qnum--;
		take_locked(q, r, m);
		waitq_notify(&s->wq, ~0u); /* there may be room for who sends */
	} else if (err == -ENOMSG && !(r->flags & LX_IPC_NOWAIT)) {
		list_push_back(&q->receivers, &r->node);
		err = -EINPROGRESS;
	}
	mutex_unlock(&c->ipc->lock);
	return err;
}

int
msg_give_up(const struct call *c, struct ipc_set *s, struct msg_receiver *r, int err)
{
	mutex_lock(&c->ipc->lock);
	if (r->done)
		err = r->result;
	else if (s->removed)
		err = -EIDRM;
	if (err != -EINPROGRESS)
		list_del(&r->node);
	mutex_unlock(&c->ipc->lock);
	return err;
}

int
msg_received(const struct call *c, struct ipc_set *s, struct msg_receiver *r)
{
	return msg_give_up(c, s, r, -EINPROGRESS);
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
	struct msg_receiver *w, *next;
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
		/* Who waits may have lost the right to, who sends may have room now. */
		list_for_each_entry_safe (w, next, &queue_of(s)->receivers, node)
			done_locked(w, -EAGAIN);
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
