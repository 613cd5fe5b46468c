/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections with what is elsewhere, over interfaces. The socket of this host has a likeness
 * of its other end for a peer, which no program sees: what the program writes waits in the
 * likeness's queue until it is acknowledged, and what comes goes into the socket's own, so that
 * tcp.c does not know the difference. A struct tcp_wire stands between the likeness and the
 * segments, which are the matter of sentry/net/tcp.
 *
 * Life: while it is listed (by its addresses) the table has a reference. When the connection is
 * over it is `ended`, and reap() drops it once nothing calls it any more. Locks: wire->lock (WIRE)
 * for all of it; it is held over everything that the connection does. Whoever notifies the
 * likeness's wait queue has the timer run soon.
 */
#include "abi/poll.h"
#include "internal.h"
#include "platform/host/info.h"
#include "sentry/net/dev.h"
#include "sentry/net/sysctl.h"
#include "sentry/net/tcp.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS	       1024u
#define WIRES_MAX      32768u /* of all namespaces */
#define HALF_OPEN_MAX  1024u  /* of a listener, however long its backlog is */
#define ORPHAN_RETRIES 8      /* what tcp_orphan_retries 0 means (tcp_orphan_retries in Linux) */
#define MSS_LEAST      48u
#define SECOND	       1000000000ll

struct tcp_wire {
	struct ref ref;
	struct mutex lock;
	struct list node; /* wires_lock; then of the dead: reap_lock */
	struct net_ns *net;
	struct inet_addr local, remote; /* fixed */
	int32_t dev;			/* that it is bound to; 0: none */
	uint8_t tos, ttl;
	struct tcp_conn *conn;
	struct sock *likeness;
	struct sock *who; /* it connects for: a reference, until that is decided; or */
	struct sock *ls;  /* the listener: a reference, until it stands */
	struct timer timer;
	struct waiter waiter; /* on the likeness */
	_Atomic bool kicked;
	bool ended, unwanted;
	uint64_t generation; /* net_path_generation of: */
	struct inet_hop hop;
	int way, send_err;
};

static struct mutex wires_lock = MUTEX_INIT(SOCKTABLE);
static struct list wires[BUCKETS];
static uint32_t nr_wires;
static struct mutex reap_lock = MUTEX_INIT(LEAF);
static struct list dead = LIST_INIT(dead);
static struct timer reap_timer;

static struct inet_sock *
likeness(const struct tcp_wire *w)
{
	return is(w->likeness);
}

/* --- life --- */

static void
wire_put(struct tcp_wire *w)
{
	if (!ref_put(&w->ref))
		return;
	tcp_conn_free(w->conn);
	sock_put(w->likeness);
	sock_put(w->who);
	sock_put(w->ls);
	net_ns_put(w->net);
	mutex_destroy(&w->lock);
	free(w);
}

static struct list *
bucket(const struct inet_addr *local, const struct inet_addr *remote)
{
	uint32_t a, b;

	memcpy(&a, local->ip + 12, 4);
	memcpy(&b, remote->ip + 12, 4);
	return &wires[((a * 31 + b) * 31 + ((uint32_t)local->port << 16 | remote->port)) *
		      2654435761u % BUCKETS];
}

static struct tcp_wire *
find_locked(const struct net_ns *net, const struct inet_addr *local, const struct inet_addr *remote)
{
	struct tcp_wire *w;

	list_for_each_entry (w, bucket(local, remote), node)
		if (w->net == net && w->local.port == local->port &&
			w->remote.port == remote->port && inet_same_ip(&w->local, local) &&
			inet_same_ip(&w->remote, remote))
			return w;
	return NULL;
}

static struct tcp_wire *
find(const struct net_ns *net, const struct inet_addr *local, const struct inet_addr *remote)
{
	struct tcp_wire *w;

	mutex_lock(&wires_lock);
	w = find_locked(net, local, remote);
	if (w)
		ref_get(&w->ref);
	mutex_unlock(&wires_lock);
	return w;
}

/* Nothing calls those in the list but who has a reference, or the timer. */
static void
reap(struct timer *t)
{
	struct list *n;

	(void)t;
	do {
		mutex_lock(&reap_lock);
		n = list_pop_front(&dead);
		mutex_unlock(&reap_lock);
		if (n) {
			struct tcp_wire *w = list_entry(n, struct tcp_wire, node);

			waitq_remove(&w->waiter);
			(void)timer_cancel_sync(&w->timer);
			wire_put(w);
		}
	} while (n);
}

void
tcp_wire_init(void)
{
	for (unsigned k = 0; k < BUCKETS; k++)
		list_init(&wires[k]);
	timer_init(&reap_timer, reap, NULL);
}

/* It is over; the table's reference goes to the dead. Locked. */
static void
end_locked(struct tcp_wire *w)
{
	struct sock *who = w->who;
	struct tcp_wire *had = NULL;

	w->ended = true;
	if (who) { /* it waits for it no more */
		mutex_lock(&who->lock);
		if (is(who)->syn_wire == w) {
			had = w;
			is(who)->syn_wire = NULL;
		}
		mutex_unlock(&who->lock);
	}
	if (had)
		(void)ref_put(&had->ref); /* not the last: the table has one */
	if (w->ls)
		atomic_fetch_sub(&is(w->ls)->nr_half, 1);
	mutex_lock(&w->likeness->lock);
	likeness(w)->wire = NULL;
	mutex_unlock(&w->likeness->lock);
	sock_put(w->who);
	sock_put(w->ls);
	w->who = w->ls = NULL;
	mutex_lock(&wires_lock);
	list_del(&w->node);
	nr_wires--;
	mutex_unlock(&wires_lock);
	mutex_lock(&reap_lock);
	list_push_back(&dead, &w->node);
	mutex_unlock(&reap_lock);
	timer_arm(&reap_timer, sched_now_ns());
}

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
static void
take_options(struct tcp_wire *w)
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
	w->ttl = inet_ttl(i, v4);
	w->dev = near->bound_dev;
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

static void
user_peek(void *user, uint32_t off, uint8_t *buf, uint32_t n)
{
	struct sock *s = ((struct tcp_wire *)user)->likeness;
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

static uint32_t
mss_of(const struct tcp_wire *w, uint32_t mtu)
{
	uint32_t heads = TCP_SEGMENT_HEADER + (inet_is_v4(&w->remote) ? IP_HEADER : IP6_HEADER);
	uint32_t mss = mtu > heads + MSS_LEAST ? mtu - heads : MSS_LEAST;

	return mss < 65535 ? mss : 65535;
}

/* Where the other end is, by now. */
static void
find_way(struct tcp_wire *w)
{
	uint64_t generation = net_path_generation(w->net);
	struct tcp_params *p = w->conn ? tcp_conn_params(w->conn) : NULL;

	if (w->generation == generation)
		return;
	w->generation = generation;
	w->way = inet_route_packet(w->net, &w->remote, &w->local, w->dev, &w->hop);
	if (w->way == INET_OUT && p)
		p->mss = (uint16_t)mss_of(w, net_pmtu(w->net, w->remote.ip, w->hop.oif));
}

static void
put_checksum(struct inet_packet *k)
{
	put_be16(k->p + 16, 0);
	ip_sum_put(k->p + 16, ip_sum_add(inet_pseudo_sum(k), k->p, k->n));
}

static void
user_send(void *user, const uint8_t *segment, size_t n)
{
	struct tcp_wire *w = user;
	struct inet_packet k = {.net = w->net,
		.protocol = LX_IPPROTO_TCP,
		.n = n,
		.meta = {.tos = w->tos, .ttl = w->ttl}};
	int err;

	find_way(w);
	if (w->way != INET_OUT) {
		w->send_err = w->way < 0 ? w->way : -ENETUNREACH;
		return;
	}
	k.p = malloc(n);
	if (!k.p)
		return;
	memcpy(k.p, segment, n);
	inet_set_addresses(&k, &w->local, &w->remote);
	put_checksum(&k);
	err = inet_send_out(&k, &w->hop, INET_DF);
	if (err == -EMSGSIZE || err == -EHOSTUNREACH)
		w->send_err = err;
	free(k.p);
}

static const struct tcp_user_ops user_ops = {.queued = user_queued,
	.peek = user_peek,
	.acked = user_acked,
	.ended = user_ended,
	.room = user_room,
	.deliver = user_deliver,
	.established = user_established,
	.fin = user_fin,
	.closed = user_closed,
	.send = user_send};

/* --- what makes it run --- */

static void
set_mss(struct tcp_wire *w, uint32_t mtu)
{
	struct tcp_params *p = tcp_conn_params(w->conn);
	uint32_t mss = mss_of(w, mtu);

	if (mss >= p->mss)
		return;
	p->mss = (uint16_t)mss;
	tcp_conn_mss_changed(w->conn, sched_now_ns());
}

/* After the connection has done something. Locked. */
static void
settle_locked(struct tcp_wire *w)
{
	int err = w->send_err;
	int64_t at;
	bool reset;

	w->send_err = 0;
	if (!w->ended && err == -EMSGSIZE)
		set_mss(w, net_pmtu(w->net, w->remote.ip, w->hop.oif));
	else if (!w->ended && err)
		tcp_conn_unreachable(w->conn, -err, sched_now_ns());
	mutex_lock(&w->likeness->lock);
	reset = likeness(w)->reset;
	mutex_unlock(&w->likeness->lock);
	if (!w->ended && (reset || w->unwanted)) {
		tcp_conn_abort(w->conn, sched_now_ns());
		w->ended = true;
	}
	if (w->ended) {
		end_locked(w);
		return;
	}
	at = tcp_conn_deadline(w->conn);
	if (at != INT64_MAX)
		timer_arm(&w->timer, at);
	if (atomic_load(&w->kicked)) /* meanwhile: not to be put off */
		timer_arm(&w->timer, sched_now_ns());
}

static void
tick(struct timer *t)
{
	struct tcp_wire *w = t->arg;
	bool reset;

	mutex_lock(&w->lock);
	atomic_store(&w->kicked, false);
	if (!w->ended) {
		take_options(w);
		find_way(w);
		mutex_lock(&w->likeness->lock);
		reset = likeness(w)->reset;
		mutex_unlock(&w->likeness->lock);
		if (!reset && tcp_conn_deadline(w->conn) <= sched_now_ns())
			tcp_conn_timer(w->conn, sched_now_ns());
		if (!reset && !w->ended)
			tcp_conn_output(w->conn, sched_now_ns());
		settle_locked(w);
	}
	mutex_unlock(&w->lock);
}

static bool
kick(struct waiter *waiter, uint32_t events)
{
	struct tcp_wire *w = waiter->arg;

	(void)events;
	if (!atomic_exchange(&w->kicked, true))
		timer_arm(&w->timer, sched_now_ns());
	return false;
}

/* --- how they begin --- */

static struct tcp_wire *
wire_new(struct net_ns *net, const struct call *c, int family, const struct inet_addr *local,
	const struct inet_addr *remote)
{
	struct tcp_wire *w = calloc(1, sizeof *w);
	struct inet_sock *b = w ? inet_new(c, family, LX_SOCK_STREAM, LX_IPPROTO_TCP) : NULL;

	if (!b) {
		free(w);
		return NULL;
	}
	sock_set_net(&b->s, net);
	b->local = *remote;
	b->remote = *local;
	b->wired = b->likeness = true;
	b->s.rcvbuf = 0; /* the writer's own buffer is all that there is */
	b->wire = w;
	ref_init(&w->ref);
	mutex_init(&w->lock, LR_WIRE);
	w->net = net_ns_get(net);
	w->local = *local;
	w->remote = *remote;
	w->likeness = &b->s;
	timer_init(&w->timer, tick, w);
	waiter_init(&w->waiter, kick, w, ~0u);
	return w;
}

/* The connection itself, with the options of who asks. -ENOMEM. */
static int
conn_new(struct tcp_wire *w)
{
	struct tcp_params p = {
		.local_port = w->local.port, .remote_port = w->remote.port, .mss = 536};

	host_random(&p.isn, sizeof p.isn);
	find_way(w);
	if (w->way == INET_OUT)
		p.mss = (uint16_t)mss_of(w, net_pmtu(w->net, w->remote.ip, w->hop.oif));
	p.rcvbuf = w->who ? w->who->rcvbuf : w->ls->rcvbuf;
	w->conn = tcp_conn_new(&user_ops, w, &p);
	if (!w->conn)
		return -ENOMEM;
	take_options(w);
	return 0;
}

/* Into the table, which gets a reference. */
static int
enter(struct tcp_wire *w)
{
	int err = 0;

	mutex_lock(&wires_lock);
	if (find_locked(w->net, &w->local, &w->remote))
		err = -EADDRNOTAVAIL;
	else if (nr_wires >= WIRES_MAX)
		err = -ENOBUFS;
	if (!err) {
		ref_get(&w->ref);
		nr_wires++;
		list_push_back(bucket(&w->local, &w->remote), &w->node);
	}
	mutex_unlock(&wires_lock);
	return err;
}

int
tcp_wire_connect(struct sock *s, const struct call *c, const struct inet_addr *to,
	const struct inet_hop *hop)
{
	struct inet_sock *i = is(s);
	struct tcp_wire *w = wire_new(s->net, c, s->family, &i->local, to);
	bool wanted;
	int err;

	if (!w)
		return -ENOMEM;
	w->who = sock_get(s);
	w->dev = s->bound_dev ? s->bound_dev : hop->oif;
	err = conn_new(w);
	mutex_lock(&w->lock);
	if (!err)
		err = enter(w);
	if (err) {
		mutex_unlock(&w->lock);
		wire_put(w);
		return err;
	}
	mutex_lock(&s->lock);
	wanted = i->connecting;
	if (wanted) {
		i->remote = *to;
		i->syn_wire = w; /* the first reference */
	}
	mutex_unlock(&s->lock);
	waitq_add(&w->likeness->wq, &w->waiter);
	if (wanted)
		tcp_conn_connect(w->conn, sched_now_ns());
	else
		w->unwanted = true;
	settle_locked(w);
	mutex_unlock(&w->lock);
	if (!wanted)
		wire_put(w);
	return -EINPROGRESS;
}

void
tcp_wire_abandon(struct tcp_wire *w)
{
	mutex_lock(&w->lock);
	if (!w->ended) {
		tcp_conn_abort(w->conn, sched_now_ns());
		end_locked(w);
	}
	mutex_unlock(&w->lock);
	wire_put(w);
}

/* Somebody knocks at a listener. */
static void
begin(const struct inet_packet *k, struct sock *ls, const struct tcp_segment *syn,
	const struct inet_addr *local, const struct inet_addr *remote)
{
	struct call c = {.cred = ls->owner_cred, .net = k->net};
	uint32_t most = (uint32_t)(is(ls)->backlog > 8 ? is(ls)->backlog : 8);
	struct tcp_wire *w;

	if (most > HALF_OPEN_MAX)
		most = HALF_OPEN_MAX;
	if (atomic_load(&is(ls)->nr_half) >= most)
		return;
	w = wire_new(k->net, &c, ls->family, local, remote);
	if (!w)
		return;
	w->ls = sock_get(ls);
	if (conn_new(w) || w->way != INET_OUT) {
		wire_put(w);
		return;
	}
	mutex_lock(&w->lock);
	if (enter(w) == 0) {
		atomic_fetch_add(&is(ls)->nr_half, 1);
		waitq_add(&w->likeness->wq, &w->waiter);
		tcp_conn_accept(w->conn, syn, sched_now_ns());
		settle_locked(w);
	}
	mutex_unlock(&w->lock);
	wire_put(w);
}

static void
answer_with_reset(const struct inet_packet *k, const struct tcp_segment *g)
{
	struct inet_packet a = {.net = k->net, .protocol = LX_IPPROTO_TCP};
	uint8_t b[TCP_SEGMENT_HEADER];

	a.n = tcp_reset_for(g, b);
	if (!a.n)
		return;
	a.p = b;
	inet_set_addresses(&a, &k->to, &k->from);
	a.meta.ttl = inet_ttl_usual(k->net, !k->v6);
	put_checksum(&a);
	inet_answer_out(&a, INET_DF);
}

/* True: a connection has taken it. */
static bool
take(struct tcp_wire *w, const struct tcp_segment *g)
{
	bool taken = false;

	mutex_lock(&w->lock);
	if (!w->ended && tcp_conn_may_be_replaced(w->conn, g)) {
		end_locked(w);
	} else if (!w->ended) {
		taken = true;
		take_options(w);
		tcp_conn_input(w->conn, g, sched_now_ns());
		settle_locked(w);
	}
	mutex_unlock(&w->lock);
	return taken;
}

void
tcp_wire_take_packet(const struct inet_packet *k)
{
	struct inet_addr local = k->to, remote = k->from;
	struct tcp_segment g;
	struct tcp_wire *w;
	struct sock *ls;
	uint32_t sum = ip_sum_add(inet_pseudo_sum(k), k->p, k->n);
	bool taken = false;

	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	if ((sum != 0xffff && !k->checked) || !net_is_local(k->net, k->to.ip) ||
		inet_is_any(&k->from) || tcp_segment_parse(k->p, k->n, &g))
		return;
	local.port = g.dport;
	remote.port = g.sport;
	w = find(k->net, &local, &remote);
	if (w) {
		taken = take(w, &g);
		wire_put(w);
	}
	if (taken)
		return;
	ls = (g.flags & (TCP_SYN | TCP_ACK | TCP_RST)) == TCP_SYN
		     ? inet_find(k->net, LX_IPPROTO_TCP, true, &local, &remote, k->iif)
		     : NULL;
	if (ls)
		begin(k, ls, &g, &local, &remote);
	else
		answer_with_reset(k, &g);
	sock_put(ls);
}

void
tcp_wire_take_error(
	struct net_ns *net, const struct inet_addr *local, const struct inet_addr *remote, int err)
{
	struct tcp_wire *w = find(net, local, remote);

	if (!w)
		return;
	mutex_lock(&w->lock);
	if (!w->ended) {
		if (err == EMSGSIZE)
			set_mss(w, net_pmtu(net, remote->ip, w->hop.oif));
		else
			tcp_conn_unreachable(w->conn, err, sched_now_ns());
		settle_locked(w);
	}
	mutex_unlock(&w->lock);
	wire_put(w);
}

bool
tcp_wire_info(struct sock *s, struct tcp_conn_info *ret)
{
	struct tcp_wire *w = NULL;
	struct sock *b = NULL;

	mutex_lock(&s->lock);
	if (is(s)->wired && is(s)->peer)
		b = sock_get(is(s)->peer);
	mutex_unlock(&s->lock);
	if (!b)
		return false;
	mutex_lock(&b->lock);
	w = is(b)->wire;
	if (w && !ref_get_unless_zero(&w->ref))
		w = NULL;
	mutex_unlock(&b->lock);
	sock_put(b);
	if (!w)
		return false;
	mutex_lock(&w->lock);
	tcp_conn_info(w->conn, ret);
	mutex_unlock(&w->lock);
	wire_put(w);
	return true;
}
