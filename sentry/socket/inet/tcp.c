/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP (tcp(7)) between two sockets of the namespace; for what is elsewhere, tcp_wire.c keeps a
 * likeness of the other end here. A connection is two sockets that
 * know each other; bytes go straight into the other's queue. What a program can tell of the
 * protocol is kept: ends, resets, refusals, addresses.
 */
#include "abi/poll.h"
#include "internal.h"
#include "sentry/net/link.h"
#include "sentry/socket/wire.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum tcp_state
tcp_state(struct inet_sock *i)
{
	if (i->s.listening)
		return TCP_LISTEN;
	if (i->connecting && !i->connected)
		return TCP_SYN_SENT;
	if (!i->connected || i->reset)
		return TCP_CLOSE;
	if (i->peer_fin)
		return i->s.shut_wr ? TCP_CLOSE : TCP_CLOSE_WAIT;
	return i->s.shut_wr ? TCP_FIN_WAIT2 : TCP_ESTABLISHED;
}

static struct sock *
peer_get(struct sock *s)
{
	struct sock *p;

	mutex_lock(&s->lock);
	p = is(s)->peer;
	if (p)
		sock_get(p);
	mutex_unlock(&s->lock);
	return p;
}

struct sock *
tcp_forget_peer_locked(struct inet_sock *i, const struct sock *p)
{
	struct sock *had = i->peer == p ? i->peer : NULL;

	if (had)
		i->peer = NULL;
	return had;
}

void
tcp_reset_locked(struct inet_sock *i)
{
	if (!i->reset)
		i->s.err = i->peer_fin ? EPIPE : ECONNRESET;
	i->reset = true;
}

/* --- for who looks at packets: as a connection would have been on a wire --- */

bool
tcp_looked_at(const struct sock *s)
{
	return !((const struct inet_sock *)s)->wired && wire_looked_at(s->net, LX_IPPROTO_TCP);
}

/* The number of the next byte; that of SYN is one less. */
static uint32_t
next_seq(const struct inet_sock *i)
{
	return (uint32_t)i->s.cookie * 2654435761u + i->sent;
}

void
tcp_show(const struct inet_sock *i, const struct inet_sock *peer, uint8_t flags,
	const uint8_t *data, size_t n)
{
	wire_tcp(i->s.net, &i->local, &i->remote, flags, next_seq(i) - (flags & TCP_SYN ? 1 : 0),
		next_seq(peer), data, n);
}

void
tcp_show_refused(const struct inet_sock *i, const struct inet_addr *to)
{
	wire_tcp(i->s.net, &i->local, to, TCP_SYN, next_seq(i) - 1, 0, NULL, 0);
	wire_tcp(i->s.net, to, &i->local, TCP_RST | TCP_ACK, 0, next_seq(i), NULL, 0);
}

/* The end of what i sends, with TCP_FIN or TCP_RST; peer_seq: what the other end would send next.
 */
static void
show_end(struct inet_sock *i, uint32_t peer_seq, uint8_t flags)
{
	wire_tcp(i->s.net, &i->local, &i->remote, flags | TCP_ACK, next_seq(i), peer_seq, NULL, 0);
	i->sent++;
	if (flags & TCP_FIN)
		wire_tcp(i->s.net, &i->remote, &i->local, TCP_ACK, peer_seq, next_seq(i), NULL, 0);
}

/* Bytes for who has gone, or neither sends nor receives any more, are sent; what comes back is a
 * reset (RFC 9293). s is locked, and was told of the end before. */
static void
answer_reset_locked(struct sock *s)
{
	is(s)->reset = true;
	is(s)->peer_fin = true;
	s->err = EPIPE;
}

/* No more than would be under way when the reset comes. */
static ssize_t
send_in_vain(struct sock *s, struct sock_msg *m)
{
	ssize_t n = (ssize_t)(m->uio->left < s->sndbuf ? m->uio->left : s->sndbuf);

	uio_skip(m->uio, (size_t)n);
	waitq_notify(&s->wq, ~0u);
	return n;
}

/* Has the other end been shut down in both directions? Then it is reset by what comes. */
static bool
reset_by_data(struct sock *peer)
{
	bool yes;

	mutex_lock(&peer->lock);
	yes = peer->shut_rd && peer->shut_wr;
	if (yes)
		tcp_reset_locked(is(peer));
	mutex_unlock(&peer->lock);
	if (yes)
		waitq_notify(&peer->wq, ~0u);
	return yes;
}

static ssize_t
tcp_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	struct inet_sock *i = is(s);
	struct sock *peer = NULL;
	bool looked;
	ssize_t n;
	int err = 0;

	(void)c;
	if (m->flags & LX_MSG_FASTOPEN)
		return -EOPNOTSUPP;
	mutex_lock(&s->lock);
	if (s->err) {
		err = -s->err;
		s->err = 0;
	} else if (i->connecting && !i->connected) {
		err = -EAGAIN;
	} else if (!i->connected || s->shut_wr || i->reset) {
		err = -EPIPE;
	} else if (i->peer_gone) {
		answer_reset_locked(s);
	} else {
		peer = sock_get(i->peer);
	}
	mutex_unlock(&s->lock);
	if (err)
		return err;
	if (!peer)
		return send_in_vain(s, m);
	if (m->uio->left && reset_by_data(peer)) {
		mutex_lock(&s->lock);
		answer_reset_locked(s);
		mutex_unlock(&s->lock);
		sock_put(peer);
		return send_in_vain(s, m);
	}
	m->has_cred = false;
	m->tap = NULL;
	looked = tcp_looked_at(s);
	if (looked && m->uio->left && !(m->flags & LX_MSG_OOB))
		m->tap = malloc(m->uio->left < STREAM_PIECE_MAX ? m->uio->left : STREAM_PIECE_MAX);
	n = m->flags & LX_MSG_OOB ? stream_append_urgent(peer, m, s->sndbuf + peer->rcvbuf)
	    : m->uio->left	  ? stream_append(peer, m, s->sndbuf + peer->rcvbuf)
				  : 0;
	if (n > 0) {
		if (!i->wired)
			net_lo_count(s->net, (size_t)n);
		if (m->tap)
			tcp_show(i, is(peer), TCP_PSH | TCP_ACK, m->tap, (size_t)n);
		if (looked)
			i->sent += (uint32_t)n;
		if (m->tap)
			tcp_show(is(peer), i, TCP_ACK, NULL, 0);
	}
	free(m->tap);
	m->tap = NULL;
	sock_put(peer);
	return n;
}

/* Nothing will come but what is queued by now. */
static bool
is_over(struct sock *s)
{
	struct inet_sock *i = is(s);
	bool over;

	mutex_lock(&s->lock);
	over = s->err || s->shut_rd || i->peer_fin || i->reset;
	mutex_unlock(&s->lock);
	return over;
}

static ssize_t
tcp_recvmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	struct inet_sock *i = is(s);
	uint32_t freed = 0;
	bool over = false;
	ssize_t n;

	(void)c;
	if (m->flags & LX_MSG_OOB)
		return stream_take_urgent(s, m);
	n = stream_take(s, m, &freed);
	if (!n && (over = is_over(s)))
		n = stream_take(s, m, &freed); /* what came between the look and the end */
	m->flags &= ~(uint32_t)LX_MSG_TRUNC;
	m->has_cred = false;
	if (!n) {
		mutex_lock(&s->lock);
		if (!m->uio->left && s->rcv_bytes) {
			/* who wants nothing gets it when there is something */
		} else if (!over) {
			n = i->connected || i->connecting ? -EAGAIN : -ENOTCONN;
		} else if (s->err && !(s->err == EPIPE && i->peer_fin)) {
			/* but after a FIN it is the end (SOCK_DONE) */
			n = -s->err;
			s->err = 0;
		}
		mutex_unlock(&s->lock);
	}
	if (freed) {
		struct sock *peer = peer_get(s);

		if (peer)
			waitq_notify(&peer->wq, LX_POLLOUT | LX_POLLWRNORM);
		sock_put(peer);
	}
	return n;
}

static int64_t
tcp_ioctl(struct sock *s, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct sock *peer = NULL;
	int32_t at;

	if (cmd == 0x5411 && is(s)->wired) { /* SIOCOUTQ */
		peer = peer_get(s);
		at = peer ? (int32_t)peer->rcv_bytes : 0;
		sock_put(peer);
		return copy_out(c->um, ua(arg), &at, sizeof at);
	}
	if (cmd != 0x8905) /* SIOCATMARK */
		return -ENOTTY;
	mutex_lock(&s->lock);
	at = stream_at_mark_locked(s);
	mutex_unlock(&s->lock);
	return copy_out(c->um, ua(arg), &at, sizeof at);
}

/* Whoever is in its queue, or waits for room there, is told so. */
bool
tcp_listen_stop(struct sock *s)
{
	struct inet_sock *i = is(s);
	struct list waiting = LIST_INIT(waiting), *n;
	bool was;

	mutex_lock(&s->lock);
	was = s->listening;
	s->listening = false;
	list_splice(&waiting, &i->acceptq);
	i->nr_accept = 0;
	mutex_unlock(&s->lock);
	while ((n = list_pop_front(&waiting))) {
		struct sock *w = &list_entry(n, struct inet_sock, accept_node)->s;

		w->linger_on = true;
		w->linger_s = 0;
		w->ops->close(w);
		sock_put(w);
	}
	tcp_refuse_waiting(s);
	if (was) {
		inet_unask(i);
		waitq_notify(&s->wq, ~0u);
	}
	return was;
}

static int
tcp_shutdown(struct sock *s, int how)
{
	struct inet_sock *i = is(s);
	struct sock *peer = NULL;
	bool ended = false;

	if (tcp_connect_stop(s) || (how != LX_SHUT_WR && tcp_listen_stop(s)))
		return 0;
	mutex_lock(&s->lock);
	if (s->listening) {
		mutex_unlock(&s->lock);
		return 0; /* it sends nothing */
	}
	if (!i->connected || i->reset) {
		mutex_unlock(&s->lock);
		return -ENOTCONN;
	} else {
		ended = s->shut_wr;
		s->shut_rd |= how != LX_SHUT_WR;
		s->shut_wr |= how != LX_SHUT_RD;
		if (how != LX_SHUT_RD && i->peer)
			peer = sock_get(i->peer);
	}
	mutex_unlock(&s->lock);
	if (peer) {
		mutex_lock(&peer->lock);
		is(peer)->peer_fin = true;
		mutex_unlock(&peer->lock);
		if (tcp_looked_at(s) && !ended)
			show_end(i, next_seq(is(peer)), TCP_FIN);
		waitq_notify(&peer->wq, ~0u);
		sock_put(peer);
	}
	waitq_notify(&s->wq, ~0u);
	return 0;
}

static uint32_t
tcp_poll(struct sock *s)
{
	struct inet_sock *i = is(s);
	struct sock *peer = NULL;
	uint32_t ev = 0, limit = 0, readable;

	mutex_lock(&s->lock);
	if (s->listening) {
		ev = list_empty(&i->acceptq) ? 0 : LX_POLLIN | LX_POLLRDNORM;
		mutex_unlock(&s->lock);
		return ev;
	}
	if (s->err)
		ev |= LX_POLLERR;
	if (i->connecting) {
		mutex_unlock(&s->lock);
		return ev;
	}
	readable = stream_readable_locked(s);
	if (readable >= (uint32_t)s->rcvlowat || (readable && (i->peer_fin || s->shut_rd)))
		ev |= LX_POLLIN | LX_POLLRDNORM;
	if (s->urgent == URGENT_UNREAD)
		ev |= LX_POLLPRI;
	if (s->shut_rd || i->peer_fin)
		ev |= LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP;
	if (!i->connected || i->reset || (i->peer_fin && s->shut_wr) || (s->shut_rd && s->shut_wr))
		ev |= LX_POLLHUP;
	if (i->reset || i->refused)
		ev |= LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP;
	if (!i->peer || i->peer_gone || s->shut_wr)
		ev |= LX_POLLOUT | LX_POLLWRNORM;
	else
		peer = sock_get(i->peer);
	limit = s->sndbuf;
	mutex_unlock(&s->lock);
	if (peer) {
		mutex_lock(&peer->lock);
		/* Linux, sk_stream_is_writeable: at least a third of it is free */
		if (peer->rcv_bytes < (limit + peer->rcvbuf) / 3 * 2 &&
			stream_room_locked(peer, limit + peer->rcvbuf))
			ev |= LX_POLLOUT | LX_POLLWRNORM;
		mutex_unlock(&peer->lock);
		sock_put(peer);
	}
	return ev;
}

static void
tcp_close(struct sock *s)
{
	struct inet_sock *i = is(s);
	struct sock *peer;
	bool rst;

	tcp_connect_fini(s);
	inet_unbind(i);
	mutex_lock(&s->lock);
	s->closed = true;
	peer = i->peer;
	i->peer = NULL;
	/* RFC 2525, 2.17: data that nobody read, and SO_LINGER with no time, make it a reset */
	rst = s->rcv_bytes || (s->linger_on && !s->linger_s);
	mutex_unlock(&s->lock);
	if (peer) {
		struct inet_sock *p = is(peer);
		struct sock *drop;

		if (tcp_looked_at(s) && (rst || !s->shut_wr))
			show_end(i, next_seq(p), rst ? TCP_RST : TCP_FIN);
		mutex_lock(&peer->lock);
		p->peer_seq = next_seq(i);
		p->peer_gone = true;
		if (rst)
			tcp_reset_locked(p);
		p->peer_fin = true;
		drop = tcp_forget_peer_locked(p, s);
		mutex_unlock(&peer->lock);
		waitq_notify(&peer->wq, ~0u);
		sock_put(drop);
		sock_put(peer);
	} else if (tcp_looked_at(s) && i->connected && !i->reset && !s->shut_wr) {
		show_end(i, i->peer_seq, rst ? TCP_RST : TCP_FIN);
	}
	tcp_listen_stop(s);
	waitq_notify(&s->wq, ~0u);
}

static void
tcp_free(struct sock *s)
{
	struct inet_sock *i = is(s);

	inet_unbind(i);
	sock_put(i->peer);
	sock_fini(s);
	free(i);
}

const struct sock_ops tcp_ops = {
	.bind = inet_bind,
	.connect = tcp_connect,
	.listen = tcp_listen,
	.accept = tcp_accept,
	.getname = inet_getname,
	.sendmsg = tcp_sendmsg,
	.recvmsg = tcp_recvmsg,
	.shutdown = tcp_shutdown,
	.setsockopt = inet_setsockopt,
	.getsockopt = inet_getsockopt,
	.poll = tcp_poll,
	.ioctl = tcp_ioctl,
	.describe = inet_describe,
	.close = tcp_close,
	.free = tcp_free,
};
