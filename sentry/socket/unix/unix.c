/* SPDX-License-Identifier: Apache-2.0 */
/* AF_UNIX: making sockets, streams and seqpackets. Datagrams are in dgram.c, names in name.c. */
#include "abi/poll.h"
#include "internal.h"
#include "sentry/net/sysctl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct unix_sock *
unix_new(const struct call *c, int type)
{
	struct unix_sock *u = calloc(1, sizeof *u);

	if (!u)
		return NULL;
	sock_init(&u->s, type == LX_SOCK_DGRAM ? &unix_dgram_ops : &unix_stream_ops, c, LX_AF_UNIX,
		type, 0);
	if (type == LX_SOCK_DGRAM)
		u->backlog = net_sysctl(u->s.net, NET_MAX_DGRAM_QLEN, 0);
	list_init(&u->acceptq);
	list_init(&u->accept_node);
	return u;
}

void
unix_free(struct sock *s)
{
	struct unix_sock *u = us(s);

	sock_put(u->peer);
	cred_put(u->peer_groups);
	sock_fini(s);
	free(u);
}

static void
set_peer_cred(struct unix_sock *u, const struct lx_ucred *uc, const struct cred *c)
{
	const struct cred *old = u->peer_groups;

	u->peer_cred = *uc;
	u->peer_groups = cred_get(c);
	cred_put(old);
}

/* They are in the list of all sockets already. */
static void
join(struct unix_sock *a, struct unix_sock *b)
{
	mutex_lock(&a->s.lock);
	a->peer = sock_get(&b->s);
	a->connected = true;
	mutex_unlock(&a->s.lock);
}

/* --- SO_PEERCRED and friends --- */

int
unix_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len)
{
	struct unix_sock *u = us(s);
	struct lx_ucred uc;

	(void)c;
	if (level != LX_SOL_SOCKET)
		return -EOPNOTSUPP;
	switch (opt) {
	case LX_SO_PEERCRED:
		mutex_lock(&s->lock);
		uc = u->peer_groups ? u->peer_cred : (struct lx_ucred){0, UINT32_MAX, UINT32_MAX};
		mutex_unlock(&s->lock);
		if (*len > sizeof uc)
			*len = sizeof uc;
		memcpy(val, &uc, *len);
		return 0;
	case LX_SO_PEERGROUPS: {
		const struct group_list *g;
		uint32_t n;
		int err = 0;

		mutex_lock(&s->lock);
		if (!u->peer_groups) {
			mutex_unlock(&s->lock);
			return -ENODATA;
		}
		g = u->peer_groups->groups;
		n = g ? g->n * 4 : 0;
		if (*len < n)
			err = -ERANGE;
		else if (n)
			memcpy(val, g->gid, n);
		*len = n;
		mutex_unlock(&s->lock);
		return err;
	}
	default:
		return -ENOPROTOOPT;
	}
}

/* Credentials go along when either end wants them (unix(7), SO_PASSCRED), or were given. */
void
unix_fill_cred(struct sock *s, const struct call *c, struct sock *dst, struct sock_msg *m)
{
	if (m->has_cred || !(s->passcred || dst->passcred))
		return;
	m->cred = (struct lx_ucred){c->tgid, c->cred->uid, c->cred->gid};
	m->has_cred = true;
}

/* --- streams --- */

static int
stream_listen(struct sock *s, const struct call *c, int backlog)
{
	struct unix_sock *u = us(s);
	int err = 0;

	mutex_lock(&s->lock);
	if (!u->addr_len || u->peer) {
		err = -EINVAL;
	} else {
		u->backlog = backlog;
		s->listening = true;
		set_peer_cred(
			u, &(struct lx_ucred){c->tgid, c->cred->euid, c->cred->egid}, c->cred);
	}
	mutex_unlock(&s->lock);
	if (!err)
		waitq_notify(&s->wq, LX_POLLOUT);
	return err;
}

static bool
may_join_locked(const struct sock *ls)
{
	return ls->listening && !ls->closed && !ls->shut_rd;
}

/* n, the other end of a connection, is as the listener has it. -EAGAIN: no room, else it is
 * reserved. *by, *cred: who called listen, the latter a reference. */
static int
take_room(struct sock *ls, struct unix_sock *n, struct lx_ucred *by, const struct cred **cred)
{
	struct unix_sock *l = us(ls);
	int err = 0;

	mutex_lock(&ls->lock);
	if (!may_join_locked(ls)) {
		err = -ECONNREFUSED;
	} else if (l->nr_accept > l->backlog) {
		err = -EAGAIN;
	} else {
		/* It has the listener's name, and is who called listen. */
		n->addr = l->addr;
		n->addr_len = l->addr_len;
		n->s.owner = *by = l->peer_cred;
		*cred = cred_get(l->peer_groups);
		n->s.passcred = ls->passcred;
		n->connected = true;
		l->nr_accept++;
	}
	mutex_unlock(&ls->lock);
	return err;
}

/* s knows its other end, which has called listen as `by`, lc. */
static int
set_peer(struct sock *s, struct unix_sock *n, const struct lx_ucred *by, const struct cred *lc)
{
	struct unix_sock *u = us(s);
	int err;

	mutex_lock(&s->lock);
	err = u->peer || u->connected ? -EISCONN : s->listening ? -EINVAL : 0;
	if (!err) {
		u->peer = sock_get(&n->s);
		u->connected = true;
		set_peer_cred(u, by, lc);
	}
	mutex_unlock(&s->lock);
	return err;
}

/* s and a new socket in the queue of ls become a connection. -EAGAIN: the queue is full.
 * -ECONNREFUSED, -ENOMEM; -EISCONN, -EINVAL: somebody else made something of s. */
static int
enqueue(struct sock *s, const struct call *c, struct sock *ls)
{
	struct lx_ucred me = {c->tgid, c->cred->euid, c->cred->egid}, by;
	struct unix_sock *u = us(s), *l = us(ls), *n = unix_new(c, s->type);
	struct sock *had = NULL;
	const struct cred *lc;
	int err;

	if (!n)
		return -ENOMEM;
	sock_set_net(&n->s, ls->net);
	err = take_room(ls, n, &by, &lc);
	if (err) {
		sock_put(&n->s);
		return err;
	}
	n->peer = sock_get(s);
	set_peer_cred(n, &me, c->cred);
	/* This end first: whoever accepts may write, and close, at once. */
	err = set_peer(s, n, &by, lc);
	cred_put(lc);
	mutex_lock(&ls->lock);
	if (!err && !may_join_locked(ls))
		err = -ECONNREFUSED;
	if (!err) {
		list_push_back(&l->acceptq, &n->accept_node);
		sock_get(&n->s);
	} else if (l->nr_accept > 0) {
		l->nr_accept--;
	}
	mutex_unlock(&ls->lock);
	if (!err) {
		waitq_notify(&ls->wq, LX_POLLIN | LX_POLLRDNORM);
		waitq_notify(&s->wq, LX_POLLOUT | LX_POLLWRNORM);
	} else {
		waitq_notify(&ls->wq, LX_POLLOUT); /* there was room in vain */
		mutex_lock(&s->lock);
		if (u->peer == &n->s) {
			had = u->peer;
			u->peer = NULL;
			u->connected = false;
		}
		mutex_unlock(&s->lock);
		sock_put(had);
		sock_put(n->peer);
		n->peer = NULL;
	}
	sock_put(&n->s);
	return err;
}

static int
stream_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at)
{
	struct unix_sock *u = us(s);
	struct sock *ls;
	int err;

	mutex_lock(&s->lock);
	err = u->peer || u->connected ? -EISCONN : s->listening ? -EINVAL : 0;
	mutex_unlock(&s->lock);
	if (err)
		return err;
	err = unix_find(s, c, addr, len, s->type, &ls);
	if (err)
		return err;
	if (ls == s) {
		sock_put(ls);
		return -ECONNREFUSED;
	}
	err = enqueue(s, c, ls);
	if (err == -EAGAIN && wait_at)
		*wait_at = ls;
	else
		sock_put(ls);
	return err;
}

static int
stream_accept(struct sock *s, const struct call *c, struct sock **ret)
{
	struct unix_sock *u = us(s);
	struct list *n;
	int err = 0;

	(void)c;
	mutex_lock(&s->lock);
	n = NULL;
	if (!s->listening)
		err = -EINVAL;
	else if (!(n = list_pop_front(&u->acceptq)))
		err = s->shut_rd ? -EINVAL : -EAGAIN;
	else if (u->nr_accept > 0)
		u->nr_accept--;
	mutex_unlock(&s->lock);
	if (err)
		return err;
	*ret = &list_entry(n, struct unix_sock, accept_node)->s;
	waitq_notify(&s->wq, LX_POLLOUT); /* room in the backlog */
	return 0;
}

/* Why s cannot write now; 0: it can, to *peer (a reference). */
static int
writable(struct sock *s, struct sock **peer)
{
	struct unix_sock *u = us(s);
	int err = 0;

	*peer = NULL;
	mutex_lock(&s->lock);
	/* Linux looks at the error first where it sends whole messages. */
	if (s->err && s->type == LX_SOCK_SEQPACKET) {
		err = -s->err;
		s->err = 0;
	} else if (s->shut_wr || u->peer_gone || u->peer_shut_rd) {
		err = -EPIPE;
	} else if (s->err) {
		err = -s->err;
		s->err = 0;
	} else if (!u->peer) {
		err = -ENOTCONN;
	} else {
		*peer = sock_get(u->peer);
	}
	mutex_unlock(&s->lock);
	return err;
}

static ssize_t
packet_append(struct sock *s, struct sock *dst, struct sock_msg *m)
{
	size_t n = m->uio->left;
	struct skb *b;
	bool full;

	if (n > s->sndbuf)
		return -EMSGSIZE;
	mutex_lock(&dst->lock);
	full = dst->rcv_held >= s->sndbuf;
	mutex_unlock(&dst->lock);
	if (full)
		return -EAGAIN;
	b = skb_new((uint32_t)n);
	if (!b)
		return -ENOMEM;
	if (n && uio_copy_from(m->uio, b->data, n) != (ssize_t)n) {
		skb_free(b);
		return -EFAULT;
	}
	b->len = (uint32_t)n;
	b->cred = m->cred;
	b->has_cred = m->has_cred;
	mutex_lock(&dst->lock);
	if (dst->closed) {
		mutex_unlock(&dst->lock);
		skb_free(b);
		return -EPIPE;
	}
	b->files = m->files;
	m->files = NULL;
	skb_queue_locked(dst, b);
	mutex_unlock(&dst->lock);
	waitq_notify(&dst->wq, LX_POLLIN | LX_POLLRDNORM);
	return (ssize_t)n;
}

static ssize_t
stream_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	struct sock *peer;
	ssize_t n;
	int err;

	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	if (m->addr_len)
		return us(s)->peer ? -EISCONN : -EOPNOTSUPP;
	err = writable(s, &peer);
	if (err)
		return err;
	unix_fill_cred(s, c, peer, m);
	n = unix_flight_begin(m, c, peer);
	if (!n && s->type == LX_SOCK_SEQPACKET)
		n = packet_append(s, peer, m);
	else if (!n && m->uio->left)
		n = stream_append(peer, m, s->sndbuf);
	unix_flight_end(m->files);
	sock_put(peer);
	return n;
}

/* What is queued; -EAGAIN: nothing. */
static ssize_t
take(struct sock *s, struct sock_msg *m, uint32_t wanted, uint32_t *freed)
{
	bool empty;
	ssize_t n;

	m->flags = wanted;
	if (s->type == LX_SOCK_SEQPACKET) {
		n = sock_packet_take(s, m, freed);
		unix_flight_end(m->files);
		return n;
	}
	n = stream_take(s, m, freed);
	unix_flight_end(m->files);
	m->flags &= ~(uint32_t)LX_MSG_TRUNC;
	if (n)
		return n;
	mutex_lock(&s->lock);
	empty = !s->rcv_bytes; /* who wants nothing gets it when there is something */
	mutex_unlock(&s->lock);
	return m->uio->left || empty ? -EAGAIN : 0;
}

/* Nothing will come but what is queued by now. */
static bool
is_over(struct sock *s)
{
	struct unix_sock *u = us(s);
	bool over;

	mutex_lock(&s->lock);
	over = s->err || s->shut_rd || u->peer_gone || u->peer_shut_wr;
	mutex_unlock(&s->lock);
	return over;
}

static ssize_t
stream_recvmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	struct unix_sock *u = us(s);
	uint32_t freed = 0, wanted = m->flags;
	bool over = false;
	struct sock *peer;
	ssize_t n;

	(void)c;
	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	if (s->listening)
		return -EINVAL;
	n = take(s, m, wanted, &freed);
	if (n == -EAGAIN && (over = is_over(s)))
		n = take(s, m, wanted, &freed); /* what came between the look and the end */
	if (n == -EAGAIN) {
		mutex_lock(&s->lock);
		if (over) {
			n = -s->err;
			s->err = 0;
		} else if (!u->connected) {
			n = s->type == LX_SOCK_SEQPACKET ? -ENOTCONN : -EINVAL;
		}
		mutex_unlock(&s->lock);
		return n;
	}
	if (freed && (peer = unix_peer_get(s))) {
		waitq_notify(&peer->wq, LX_POLLOUT | LX_POLLWRNORM);
		sock_put(peer);
	}
	return n;
}

int
unix_shutdown(struct sock *s, int how)
{
	struct unix_sock *u = us(s);
	struct sock *peer;
	bool rd = how != LX_SHUT_WR, wr = how != LX_SHUT_RD;

	mutex_lock(&s->lock);
	if (!u->peer && s->type != LX_SOCK_DGRAM && !s->listening) {
		mutex_unlock(&s->lock);
		return -ENOTCONN;
	}
	s->shut_rd |= rd;
	s->shut_wr |= wr;
	peer = u->peer && s->type != LX_SOCK_DGRAM ? sock_get(u->peer) : NULL;
	mutex_unlock(&s->lock);
	if (peer) {
		mutex_lock(&peer->lock);
		us(peer)->peer_shut_rd |= rd;
		us(peer)->peer_shut_wr |= wr;
		mutex_unlock(&peer->lock);
		waitq_notify(&peer->wq, ~0u);
		sock_put(peer);
	}
	waitq_notify(&s->wq, ~0u);
	return 0;
}

/* Nobody reads what is queued: descriptors in it would be kept for ever. */
void
unix_purge(struct sock *s)
{
	sock_purge(s);
	unix_flight_collect();
}

static uint32_t
stream_poll(struct sock *s)
{
	struct unix_sock *u = us(s);
	struct sock *peer = NULL;
	uint32_t ev = 0;
	bool room;

	mutex_lock(&s->lock);
	if (s->listening) {
		if (!list_empty(&u->acceptq))
			ev |= LX_POLLIN | LX_POLLRDNORM;
		if (s->shut_rd)
			ev |= LX_POLLRDHUP | LX_POLLIN | LX_POLLRDNORM;
		mutex_unlock(&s->lock);
		return ev;
	}
	if (s->err)
		ev |= LX_POLLERR;
	if (!list_empty(&s->rcvq))
		ev |= LX_POLLIN | LX_POLLRDNORM;
	if (s->shut_rd || u->peer_gone || u->peer_shut_wr)
		ev |= LX_POLLRDHUP | LX_POLLIN | LX_POLLRDNORM;
	if (u->peer_gone || (s->shut_rd && s->shut_wr) || (u->peer_shut_rd && u->peer_shut_wr) ||
		!u->connected)
		ev |= LX_POLLHUP;
	if (!u->connected)
		ev |= LX_POLLOUT | LX_POLLWRNORM;
	else if (u->peer)
		peer = sock_get(u->peer);
	mutex_unlock(&s->lock);
	if (peer) {
		mutex_lock(&peer->lock);
		if (s->type == LX_SOCK_SEQPACKET)
			room = peer->rcv_held < s->sndbuf;
		else /* a quarter of the buffer is free */
			room = stream_room_locked(peer, s->sndbuf) &&
			       (uint64_t)peer->rcv_bytes * 4 <= (uint64_t)s->sndbuf * 3;
		mutex_unlock(&peer->lock);
		sock_put(peer);
		if (room)
			ev |= LX_POLLOUT | LX_POLLWRNORM | LX_POLLWRBAND;
	}
	return ev;
}

static void
stream_close(struct sock *s)
{
	struct unix_sock *u = us(s);
	struct list waiting = LIST_INIT(waiting), *n;
	struct sock *peer;
	bool unread;

	unix_unname(u);
	mutex_lock(&s->lock);
	s->closed = true;
	s->listening = false;
	list_splice(&waiting, &u->acceptq);
	peer = u->peer;
	u->peer = NULL;
	unread = !list_empty(&s->rcvq);
	mutex_unlock(&s->lock);
	if (peer) {
		mutex_lock(&peer->lock);
		us(peer)->peer_gone = true;
		if (unread)
			peer->err = ECONNRESET;
		mutex_unlock(&peer->lock);
		waitq_notify(&peer->wq, ~0u);
		/* What the peer still holds of us goes with it; nothing else needs it. */
		sock_put(peer);
	}
	while ((n = list_pop_front(&waiting))) {
		struct sock *w = &list_entry(n, struct unix_sock, accept_node)->s;

		/* Never accepted: to its client the connection is reset. */
		struct sock *client = unix_peer_get(w);

		if (client) {
			mutex_lock(&client->lock);
			client->err = ECONNRESET;
			mutex_unlock(&client->lock);
			sock_put(client);
		}
		stream_close(w);
		sock_put(w);
	}
	unix_purge(s);
	waitq_notify(&s->wq, ~0u);
}

const struct sock_ops unix_stream_ops = {
	.bind = unix_bind,
	.connect = stream_connect,
	.listen = stream_listen,
	.accept = stream_accept,
	.getname = unix_getname,
	.sendmsg = stream_sendmsg,
	.recvmsg = stream_recvmsg,
	.shutdown = unix_shutdown,
	.getsockopt = unix_getsockopt,
	.poll = stream_poll,
	.close = stream_close,
	.free = unix_free,
	.describe = unix_describe,
};

/* --- making --- */

static int
check_type(int *type, int protocol)
{
	if (protocol && protocol != LX_AF_UNIX)
		return -EPROTONOSUPPORT;
	if (*type == LX_SOCK_RAW) /* Linux takes it as a datagram socket */
		*type = LX_SOCK_DGRAM;
	if (*type != LX_SOCK_STREAM && *type != LX_SOCK_DGRAM && *type != LX_SOCK_SEQPACKET)
		return -ESOCKTNOSUPPORT;
	return 0;
}

static int
unix_create(const struct call *c, int type, int protocol, struct sock **ret)
{
	struct unix_sock *u;
	int err = check_type(&type, protocol);

	if (err)
		return err;
	u = unix_new(c, type);
	if (!u)
		return -ENOMEM;
	*ret = &u->s;
	return 0;
}

static int
unix_pair(const struct call *c, int type, int protocol, struct sock *ret[2])
{
	struct lx_ucred me = {c->tgid, c->cred->euid, c->cred->egid};
	struct unix_sock *a, *b;
	int err = check_type(&type, protocol);

	if (err)
		return err;
	a = unix_new(c, type);
	b = unix_new(c, type);
	if (!a || !b) {
		if (a)
			sock_put(&a->s);
		if (b)
			sock_put(&b->s);
		return -ENOMEM;
	}
	join(a, b);
	join(b, a);
	set_peer_cred(a, &me, c->cred);
	set_peer_cred(b, &me, c->cred);
	ret[0] = &a->s;
	ret[1] = &b->s;
	return 0;
}

int
unix_init(void)
{
	static const struct sock_family family = {
		LX_AF_UNIX, SOCK_ANYWHERE, unix_create, unix_pair};

	sock_family_register(&family);
	return unix_flight_init();
}
