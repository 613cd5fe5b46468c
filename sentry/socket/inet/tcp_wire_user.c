/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection over an interface is for (struct tcp_user_ops): the program's socket, its
 * options, its bytes, and how segments leave. The wire's lock is held over all of it.
 */
#include "abi/poll.h"
#include "sentry/net/dev.h"
#include "sentry/net/sysctl.h"
#include "tcp_wire.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ORPHAN_RETRIES 8 /* what tcp_orphan_retries 0 means (tcp_orphan_retries in Linux) */
#define MSS_LEAST      48u
#define SECOND	       1000000000ll

/* --- the program's socket --- */

/* A reference, or NULL: it is closed, or there is none yet. */
static struct sock *
near_get(const struct tcp_wire *w)
{
	struct sock *s;

	mutex_lock(&w->likeness->lock);
	s = likeness(w)->peer;
	if (s)
		sock_get(s);
	mutex_unlock(&w->likeness->lock);
	return s;
}

static int32_t
option(const struct inet_sock *i, int opt, enum net_sysctl which)
{
	return i->tcp_opt[opt] ? i->tcp_opt[opt] - 1 : net_sysctl(i->s.net, which, 0);
}

/* What the socket's options say by now (inet.c has how they are kept). */
void
tcp_wire_take_options(struct tcp_wire *w)
{
	struct tcp_params *p = tcp_conn_params(w->conn);
	struct sock *near = w->who ? sock_get(w->who) : w->ls ? sock_get(w->ls) : near_get(w);
	struct inet_sock *i;
	bool v4 = inet_is_v4(&w->remote);

	mutex_lock(&w->likeness->lock);
	p->orphaned = likeness(w)->peer_gone;
	mutex_unlock(&w->likeness->lock);
	p->retries =
		p->orphaned ? ORPHAN_RETRIES : (uint32_t)net_sysctl(w->net, NET_TCP_RETRIES2, 0);
	p->fin_timeout_ns = net_sysctl(w->net, NET_TCP_FIN_TIMEOUT, 0) * SECOND;
	if (!near)
		return;
	i = is(near);
	mutex_lock(&near->lock);
	p->nodelay = i->tcp_opt[1];
	p->cork = i->tcp_opt[3];
	p->rcvbuf = near->rcvbuf;
	p->syn_retries = (uint32_t)(w->ls ? net_sysctl(w->net, NET_TCP_SYNACK_RETRIES, 0)
					  : option(i, 7, NET_TCP_SYN_RETRIES));
	p->user_timeout_ns = i->tcp_opt[18] * (SECOND / 1000);
	p->keepalive = near->keepalive;
	p->keepidle_ns = option(i, 4, NET_TCP_KEEPALIVE_TIME) * SECOND;
	p->keepintvl_ns = option(i, 5, NET_TCP_KEEPALIVE_INTVL) * SECOND;
	p->keepcnt = (uint32_t)option(i, 6, NET_TCP_KEEPALIVE_PROBES);
	w->tos = (uint8_t)(v4 ? i->ip_opt[1] : i->ip6_opt[67]);
	w->ttl = inet_ttl(i, &w->remote);
	w->dev = near->bound_dev ? near->bound_dev : w->link;
	mutex_unlock(&near->lock);
	sock_put(near);
}

static uint32_t
user_queued(void *user)
{
	struct sock *s = ((struct tcp_wire *)user)->likeness;
	uint32_t n;

	mutex_lock(&s->lock);
	n = s->rcv_bytes;
	mutex_unlock(&s->lock);
	return n;
}

/* n of the bytes that wait, from `off` on. */
static void
peek(const struct tcp_wire *w, uint32_t off, uint8_t *buf, uint32_t n)
{
	struct sock *s = w->likeness;
	struct skb *b;

	mutex_lock(&s->lock);
	list_for_each_entry (b, &s->rcvq, node) {
		uint32_t have = b->len - b->off, part;

		if (!n)
			break;
		if (off >= have) {
			off -= have;
			continue;
		}
		part = have - off < n ? have - off : n;
		memcpy(buf, b->data + b->off + off, part);
		buf += part;
		n -= part;
		off = 0;
	}
	mutex_unlock(&s->lock);
	memset(buf, 0, n);
}

static void
user_acked(void *user, uint32_t n)
{
	struct tcp_wire *w = user;
	struct sock *s = w->likeness, *near;
	struct list done = LIST_INIT(done), *k;
	struct skb *b;

	mutex_lock(&s->lock);
	while (n && (b = list_first(&s->rcvq, struct skb, node))) {
		uint32_t have = b->len - b->off, part = have < n ? have : n;

		n -= part;
		if (part < have) {
			b->off += part;
			s->rcv_bytes -= part;
		} else {
			skb_unqueue_locked(s, b);
			list_push_back(&done, &b->node);
		}
	}
	mutex_unlock(&s->lock);
	while ((k = list_pop_front(&done)))
		skb_free(list_entry(k, struct skb, node));
	near = near_get(w);
	if (near)
		waitq_notify(&near->wq, LX_POLLOUT | LX_POLLWRNORM);
	sock_put(near);
}

static bool
user_ended(void *user)
{
	struct tcp_wire *w = user;
	bool yes;

	mutex_lock(&w->likeness->lock);
	yes = likeness(w)->peer_fin;
	mutex_unlock(&w->likeness->lock);
	return yes;
}

static uint32_t
user_room(void *user)
{
	struct tcp_wire *w = user;
	struct sock *near = near_get(w);
	uint32_t n;

	if (!near) /* not yet, or not any more: then what comes is answered with a reset */
		return tcp_conn_params(w->conn)->rcvbuf;
	mutex_lock(&near->lock);
	n = stream_room_locked(near, near->rcvbuf);
	mutex_unlock(&near->lock);
	sock_put(near);
	return n;
}

static bool
user_deliver(void *user, const uint8_t *p, uint32_t n)
{
	struct sock *near = near_get(user);
	struct sock_msg m = {.flags = 0};
	struct uio u;
	uint32_t limit;
	bool fits;

	if (!near)
		return true;
	uio_init_kernel(&u, (void *)(uintptr_t)p, n);
	m.uio = &u;
	/* All or nothing: nobody else appends, so what is free stays so. */
	mutex_lock(&near->lock);
	limit = near->rcvbuf + n;
	fits = stream_room_locked(near, limit) >= n;
	mutex_unlock(&near->lock);
	fits = fits && stream_append(near, &m, limit) == (ssize_t)n;
	sock_put(near);
	return fits;
}

static void
user_fin(void *user)
{
	struct sock *near = near_get(user);

	if (!near)
		return;
	mutex_lock(&near->lock);
	is(near)->peer_fin = true;
	mutex_unlock(&near->lock);
	waitq_notify(&near->wq, ~0u);
	sock_put(near);
}

/* Who connected does. */
static void
connected(struct tcp_wire *w)
{
	struct inet_sock *b = likeness(w);
	struct sock *who = w->who, *drop = NULL;
	struct tcp_wire *had;

	w->who = NULL;
	mutex_lock(&w->likeness->lock);
	b->peer = sock_get(who);
	b->connected = true;
	mutex_unlock(&w->likeness->lock);
	if (!tcp_connect_set_peer(who, b, &w->remote)) {
		mutex_lock(&w->likeness->lock);
		drop = tcp_forget_peer_locked(b, who);
		mutex_unlock(&w->likeness->lock);
		w->unwanted = true;
	}
	mutex_lock(&who->lock);
	had = is(who)->syn_wire == w ? w : NULL;
	if (had)
		is(who)->syn_wire = NULL;
	if (!w->unwanted)
		is(who)->wired = true;
	mutex_unlock(&who->lock);
	if (had)
		(void)ref_put(&had->ref); /* not the last: the table has one */
	if (!w->unwanted)
		tcp_connect_decided(who, 0, false);
	sock_put(drop);
	sock_put(who);
}

/* Somebody can accept it. */
static bool
accepted(struct tcp_wire *w)
{
	struct sock *ls = w->ls;
	struct call c = {.cred = ls->owner_cred, .net = w->net};
	struct inet_sock *b = likeness(w);
	int err;

	mutex_lock(&w->likeness->lock);
	b->connecting = true;
	b->connected = false;
	mutex_unlock(&w->likeness->lock);
	err = tcp_connect_join(w->likeness, &c, ls, &w->local);
	mutex_lock(&w->likeness->lock);
	b->connecting = false;
	mutex_unlock(&w->likeness->lock);
	if (err == -EAGAIN || err == -ENOMEM)
		return false;
	w->unwanted = err;
	atomic_fetch_sub(&is(ls)->nr_half, 1);
	w->ls = NULL;
	sock_put(ls);
	return true;
}

static bool
user_established(void *user)
{
	struct tcp_wire *w = user;

	if (w->who)
		connected(w);
	else if (w->ls)
		return accepted(w);
	return true;
}

static void
user_closed(void *user, int err)
{
	struct tcp_wire *w = user;
	struct sock *near;

	w->ended = true;
	if (w->who) {
		tcp_connect_decided(w->who, err ? err : ECONNRESET, false);
		return;
	}
	near = near_get(w);
	if (!near)
		return;
	mutex_lock(&near->lock);
	if (err == ECONNRESET) {
		tcp_reset_locked(is(near));
	} else if (err) {
		near->err = err;
		is(near)->reset = true;
	}
	is(near)->peer_fin = is(near)->peer_gone = true;
	mutex_unlock(&near->lock);
	waitq_notify(&near->wq, ~0u);
	sock_put(near);
}

/* --- segments --- */

uint16_t
tcp_wire_mss(const struct tcp_wire *w, uint32_t mtu)
{
	uint32_t heads = TCP_SEGMENT_HEADER + (inet_is_v4(&w->remote) ? IP_HEADER : IP6_HEADER);
	uint32_t mss = mtu > heads + MSS_LEAST ? mtu - heads : MSS_LEAST;

	return (uint16_t)(mss < 65535 ? mss : 65535);
}

/* Where the other end is, by now. */
void
tcp_wire_find_way(struct tcp_wire *w)
{
	uint64_t generation = net_path_generation(w->net);
	struct tcp_params *p = w->conn ? tcp_conn_params(w->conn) : NULL;

	if (w->generation == generation)
		return;
	w->generation = generation;
	w->way = inet_route_packet(w->net, &w->remote, &w->local, w->dev, &w->hop);
	if (w->way == INET_OUT && p)
		p->mss = tcp_wire_mss(w, net_pmtu(w->net, w->remote.ip, w->hop.oif));
}

void
tcp_wire_put_checksum(struct inet_packet *k)
{
	put_be16(k->p + 16, 0);
	ip_sum_put(k->p + 16, ip_sum_add(inet_pseudo_sum(k), k->p, k->n));
}

static void
user_send(void *user, const uint8_t *head, size_t head_n, uint32_t off, uint32_t n)
{
	struct tcp_wire *w = user;
	struct inet_packet k = {.net = w->net,
		.protocol = LX_IPPROTO_TCP,
		.n = head_n + n,
		.meta = {.tos = w->tos, .ttl = w->ttl}};
	int err;

	tcp_wire_find_way(w);
	if (w->way != INET_OUT) {
		w->send_err = w->way < 0 ? w->way : -ENETUNREACH;
		return;
	}
	k.p = malloc(k.n);
	if (!k.p)
		return;
	memcpy(k.p, head, head_n);
	peek(w, off, k.p + head_n, n);
	inet_set_addresses(&k, &w->local, &w->remote);
	tcp_wire_put_checksum(&k);
	err = inet_send_out(&k, &w->hop, INET_DF);
	if (err == -EMSGSIZE || err == -EHOSTUNREACH)
		w->send_err = err;
	free(k.p);
}

const struct tcp_user_ops tcp_wire_user_ops = {.queued = user_queued,
	.acked = user_acked,
	.ended = user_ended,
	.room = user_room,
	.deliver = user_deliver,
	.established = user_established,
	.fin = user_fin,
	.closed = user_closed,
	.send = user_send};
