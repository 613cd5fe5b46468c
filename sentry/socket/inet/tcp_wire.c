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
#include "tcp_wire.h"
#include "platform/host/info.h"
#include "sentry/net/dev.h"
#include "sentry/net/sysctl.h"
#include "sentry/net/tcp.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS	      1024u
#define WIRES_MAX     32768u /* of all namespaces */
#define HALF_OPEN_MAX 1024u  /* of a listener, however long its backlog is */

static struct mutex wires_lock = MUTEX_INIT(SOCKTABLE);
static struct list wires[BUCKETS];
static uint32_t nr_wires;
static struct mutex reap_lock = MUTEX_INIT(LEAF);
static struct list dead = LIST_INIT(dead);
static struct timer reap_timer;

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

/* --- what makes it run --- */

static void
set_mss(struct tcp_wire *w, uint32_t mtu)
{
	struct tcp_params *p = tcp_conn_params(w->conn);
	uint16_t mss = tcp_wire_mss(w, mtu);

	if (mss >= p->mss)
		return;
	p->mss = mss;
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
		tcp_wire_take_options(w);
		tcp_wire_find_way(w);
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
	p.no_timestamps = !net_sysctl(w->net, NET_TCP_TIMESTAMPS, 0);
	p.no_scaling = !net_sysctl(w->net, NET_TCP_WINDOW_SCALING, 0);
	tcp_wire_find_way(w);
	if (w->way == INET_OUT)
		p.mss = tcp_wire_mss(w, net_pmtu(w->net, w->remote.ip, w->hop.oif));
	p.rcvbuf = w->who ? w->who->rcvbuf : w->ls->rcvbuf;
	w->conn = tcp_conn_new(&tcp_wire_user_ops, w, &p);
	if (!w->conn)
		return -ENOMEM;
	tcp_wire_take_options(w);
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
	w->link = to->scope;
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
	w->dev = w->link = inet_is_link_local(remote) ? k->iif : 0;
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
	struct inet_packet a = {.net = k->net, .iif = k->iif, .protocol = LX_IPPROTO_TCP};
	uint8_t b[TCP_SEGMENT_HEADER];

	a.n = tcp_reset_for(g, b);
	if (!a.n)
		return;
	a.p = b;
	inet_set_addresses(&a, &k->to, &k->from);
	a.meta.ttl = inet_ttl_usual(k->net, !k->v6);
	tcp_wire_put_checksum(&a);
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
		tcp_wire_take_options(w);
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

	if ((!k->checked && !ip_sum_is_right(sum)) || !net_is_local(k->net, k->to.ip) ||
		inet_is_any(&k->from) || tcp_segment_parse(k->p, k->n, &g))
		return;
	local.port = g.dport;
	remote.port = g.sport;
	local.scope = remote.scope = k->iif;
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
tcp_wire_take_error(struct net_ns *net, const struct inet_addr *local,
	const struct inet_addr *remote, uint32_t seq, const struct inet_error *e)
{
	struct tcp_wire *w = find(net, local, remote);

	if (!w)
		return;
	mutex_lock(&w->lock);
	if (!w->ended && tcp_conn_is_on_its_way(w->conn, seq)) {
		inet_error_learn(net, remote, e);
		if (e->err == EMSGSIZE)
			set_mss(w, net_pmtu(net, remote->ip, w->hop.oif));
		else
			tcp_conn_unreachable(w->conn, e->err, sched_now_ns());
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
