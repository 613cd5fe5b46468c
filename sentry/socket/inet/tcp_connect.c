/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How TCP connections come to be: listen, connect, accept. Whoever finds the listener's queue full
 * (listen(2), backlog) waits in its synq until there is room, the listener goes, or its time is
 * over. Linux counterpart: the SYN is dropped, and sent again.
 *
 * A socket is `connecting` (SYN_SENT) until it is decided what becomes of it. While it waits it is
 * in its listener's synq and has syn_to, a reference on it: whoever takes it out, under syn_lock,
 * decides. Of a socket and its listener never both locks are held.
 */
#include "abi/poll.h"
#include "internal.h"
#include "sentry/net/sysctl.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <string.h>

#define SYN_LINEAR 4   /* net.ipv4.tcp_syn_linear_timeouts: seconds before they are doubled */
#define TCP_SYNCNT 7   /* in tcp_opt: net.ipv4.tcp_syn_retries, plus 1; or 0 */
#define RTO_MAX	   120 /* seconds between two tries, at most */
#define SECOND	   1000000000ll

static struct mutex syn_lock =
	MUTEX_INIT(SOCKTABLE); /* syn_to and synq of all; before a socket's */

static bool
is_full_locked(const struct inet_sock *l)
{
	return l->nr_accept > l->backlog;
}

/* --- waiting for room --- */

/* i, which waits, does not any more; the reference on the listener is the caller's. */
static struct sock *
take_out_locked(struct inet_sock *i)
{
	struct sock *ls = i->syn_to;

	list_del(&i->syn_node);
	atomic_fetch_sub(&is(ls)->nr_syn, 1);
	i->syn_to = NULL;
	return ls;
}

/* False: s does not wait, or somebody else decides. */
static bool
claim(struct sock *s)
{
	struct tcp_wire *w;
	struct sock *ls;
	bool lost;

	mutex_lock(&s->lock);
	w = is(s)->syn_wire;
	is(s)->syn_wire = NULL;
	mutex_unlock(&s->lock);
	if (w)
		tcp_wire_abandon(w);
	mutex_lock(&syn_lock);
	lost = is(s)->syn_lost;
	is(s)->syn_lost = false;
	ls = is(s)->syn_to ? take_out_locked(is(s)) : NULL;
	mutex_unlock(&syn_lock);
	sock_put(ls);
	return lost || ls || w;
}

void
tcp_connect_decided(struct sock *s, int err, bool told)
{
	struct inet_sock *i = is(s);

	if (err && told) /* before another connect can begin */
		inet_unask(i);
	else if (err && !i->port_asked)
		inet_unbind(i);
	mutex_lock(&s->lock);
	if (i->connecting) {
		i->connecting = false;
		i->connect_told = !err && !told;
		i->refused = err && !told;
		if (err && !told)
			s->err = err;
	}
	mutex_unlock(&s->lock);
	waitq_notify(&s->wq, ~0u);
}

static void
too_late(struct timer *t)
{
	struct sock *s = t->arg;
	bool late;

	mutex_lock(&s->lock);
	late = sched_now_ns() >= is(s)->syn_until; /* else it is of a connection before */
	mutex_unlock(&s->lock);
	if (late && claim(s))
		tcp_connect_decided(s, ETIMEDOUT, false);
}

void
tcp_connect_init(struct inet_sock *i)
{
	list_init(&i->synq);
	list_init(&i->syn_node);
	timer_init(&i->syn_timer, too_late, &i->s);
}

bool
tcp_connect_stop(struct sock *s)
{
	struct inet_sock *i = is(s);
	bool was;

	mutex_lock(&s->lock);
	was = i->connecting;
	i->connecting = false; /* join() and wait_for_room() see it */
	if (was)
		s->err = ECONNRESET; /* for who waits, as in Linux */
	mutex_unlock(&s->lock);
	if (was) {
		(void)claim(s);
		(void)timer_cancel(&i->syn_timer);
		waitq_notify(&s->wq, ~0u);
	}
	return was;
}

void
tcp_connect_fini(struct sock *s)
{
	(void)tcp_connect_stop(s);
	if (is(s)->syn_until || is(s)->syn_wire) { /* it has waited */
		(void)claim(s);
		(void)timer_cancel_sync(&is(s)->syn_timer);
	}
}

/* When Linux gives up (tcp(7), TCP_SYNCNT; tcp_write_timeout there): at the first of its tries that
 * is as late as so many would be if each waited twice as long as the one before. */
static int64_t
syn_deadline(const struct inet_sock *i)
{
	int own = i->tcp_opt[TCP_SYNCNT],
	    tries = own ? own - 1 : net_sysctl(i->s.net, NET_TCP_SYN_RETRIES, 0);
	int64_t least = tries <= 6 ? (2 << tries) - 1 : 127 + (tries - 6) * RTO_MAX, at = 0,
		step = 1;

	while (at < least) {
		at += step;
		if (at > SYN_LINEAR)
			step = step * 2 < RTO_MAX ? step * 2 : RTO_MAX;
	}
	return sched_now_ns() + at * SECOND;
}

/* Is s to connect still? Then it waits, for as long as a SYN is sent again; as_before: it did
 * already. syn_lock is held. */
static bool
begin_wait_locked(struct sock *s, const struct inet_addr *to, bool as_before)
{
	struct inet_sock *i = is(s);
	bool wanted;

	mutex_lock(&s->lock);
	wanted = i->connecting;
	if (wanted) {
		i->remote = *to;
		if (!as_before)
			i->syn_until = syn_deadline(i);
	}
	mutex_unlock(&s->lock);
	return wanted;
}

/* s waits for room at ls; first: before all others, as it did already. -EINPROGRESS: so it is;
 * -EAGAIN: there is room now; -ECONNREFUSED. */
static int
wait_for_room(struct sock *s, struct sock *ls, const struct inet_addr *to, bool first)
{
	struct inet_sock *i = is(s), *l = is(ls);
	int err = -EINPROGRESS;

	mutex_lock(&syn_lock);
	if (!begin_wait_locked(s, to, first)) {
		mutex_unlock(&syn_lock);
		return -EINPROGRESS;
	}
	/* counted before the look: who makes room, or goes, looks at the number afterwards */
	atomic_fetch_add(&l->nr_syn, 1);
	mutex_lock(&ls->lock);
	if (!ls->listening || ls->closed)
		err = -ECONNREFUSED;
	else if (!is_full_locked(l))
		err = -EAGAIN;
	mutex_unlock(&ls->lock);
	if (err == -EINPROGRESS) {
		i->syn_to = sock_get(ls);
		if (first)
			list_push_front(&l->synq, &i->syn_node);
		else
			list_push_back(&l->synq, &i->syn_node);
	} else {
		atomic_fetch_sub(&l->nr_syn, 1);
	}
	mutex_unlock(&syn_lock);
	if (err == -EINPROGRESS && !first)
		timer_arm(&i->syn_timer, i->syn_until);
	return err;
}

/* What s sends gets lost. -EINPROGRESS. */
static int
wait_in_vain(struct sock *s, const struct inet_addr *to)
{
	struct inet_sock *i = is(s);
	bool wanted;

	mutex_lock(&syn_lock);
	wanted = begin_wait_locked(s, to, false);
	i->syn_lost = wanted;
	mutex_unlock(&syn_lock);
	if (wanted)
		timer_arm(&i->syn_timer, i->syn_until);
	return -EINPROGRESS;
}

/* --- connections --- */

/* The other end of a connection, as the listener has its options. -EAGAIN: no room, else it is
 * reserved. */
static int
take_room(struct sock *ls, struct inet_sock *n)
{
	struct inet_sock *l = is(ls);
	int err = 0;

	mutex_lock(&ls->lock);
	if (!ls->listening || ls->closed)
		err = -ECONNREFUSED;
	else if (is_full_locked(l))
		err = -EAGAIN;
	else
		l->nr_accept++;
	n->connected = true;
	n->v6only = l->v6only;
	n->s.keepalive = ls->keepalive;
	n->s.reuseaddr = ls->reuseaddr;
	n->s.reuseport = ls->reuseport;
	n->s.linger_on = ls->linger_on;
	n->s.linger_s = ls->linger_s;
	n->s.rcvbuf = ls->rcvbuf;
	n->s.sndbuf = ls->sndbuf;
	memcpy(n->tcp_opt, l->tcp_opt, sizeof n->tcp_opt);
	mutex_unlock(&ls->lock);
	return err;
}

bool
tcp_connect_set_peer(struct sock *s, struct inet_sock *n, const struct inet_addr *to)
{
	struct inet_sock *i = is(s);
	bool wanted;

	mutex_lock(&s->lock);
	wanted = i->connecting && !i->connected;
	if (wanted) {
		i->remote = *to;
		i->peer = sock_get(&n->s);
		i->connected = true;
	}
	mutex_unlock(&s->lock);
	return wanted;
}

/* They do not become a connection. */
static void
unset_peers(struct sock *s, struct inet_sock *n)
{
	struct sock *had;

	mutex_lock(&s->lock);
	had = tcp_forget_peer_locked(is(s), &n->s);
	if (had)
		is(s)->connected = false;
	mutex_unlock(&s->lock);
	sock_put(had);
	mutex_lock(&n->s.lock);
	had = tcp_forget_peer_locked(n, s);
	mutex_unlock(&n->s.lock);
	sock_put(had);
}

int
tcp_connect_join(struct sock *s, const struct call *c, struct sock *ls, const struct inet_addr *to)
{
	struct inet_sock *i = is(s), *l = is(ls);
	struct inet_sock *n = inet_new(c, ls->family, LX_SOCK_STREAM, LX_IPPROTO_TCP);
	int err;

	if (!n)
		return -ENOMEM;
	sock_set_net(&n->s, s->net);
	n->local = *to;
	n->remote = i->local;
	n->wired = i->wired;
	err = take_room(ls, n);
	if (err) {
		sock_put(&n->s);
		return err;
	}
	n->peer = sock_get(s);
	/* The client's end first: whoever accepts may write at once. */
	if (!tcp_connect_set_peer(s, n, to))
		err = -EINPROGRESS;
	mutex_lock(&ls->lock);
	if (!err && (!ls->listening || ls->closed))
		err = -ECONNREFUSED;
	if (!err) {
		sock_get(&n->s); /* whoever accepts may close it at once */
		list_push_back(&l->acceptq, &n->accept_node);
	} else if (l->nr_accept > 0) {
		l->nr_accept--;
	}
	mutex_unlock(&ls->lock);
	if (err) {
		unset_peers(s, n);
	} else {
		if (tcp_looked_at(s)) {
			tcp_show(i, n, TCP_SYN, NULL, 0);
			tcp_show(n, i, TCP_SYN | TCP_ACK, NULL, 0);
			tcp_show(i, n, TCP_ACK, NULL, 0);
		}
		waitq_notify(&ls->wq, LX_POLLIN | LX_POLLRDNORM);
	}
	sock_put(&n->s);
	return err;
}

/* 0; -EINPROGRESS: s waits; -ECONNREFUSED, -ENOMEM. */
static int
join_or_wait(struct sock *s, const struct call *c, struct sock *ls, const struct inet_addr *to,
	bool first)
{
	int err;

	do
		err = tcp_connect_join(s, c, ls, to);
	while (err == -EAGAIN && (err = wait_for_room(s, ls, to, first)) == -EAGAIN);
	return err;
}

/* The first who waits at ls, and waits no more. has_room: only if there is room. A reference, or
 * NULL. */
static struct sock *
take_first(struct sock *ls, bool has_room)
{
	struct inet_sock *i = NULL;
	bool room = true;

	if (!atomic_load(&is(ls)->nr_syn))
		return NULL;
	mutex_lock(&syn_lock);
	if (has_room) {
		mutex_lock(&ls->lock);
		room = ls->listening && !ls->closed && !is_full_locked(is(ls));
		mutex_unlock(&ls->lock);
	}
	if (room)
		i = list_first(&is(ls)->synq, struct inet_sock, syn_node);
	if (i) {
		sock_get(&i->s);
		(void)take_out_locked(i); /* never the last reference: the caller has one */
		sock_put(ls);
	}
	mutex_unlock(&syn_lock);
	return i ? &i->s : NULL;
}

/* There may be room at ls: let in who waits for it. */
static void
let_in(struct sock *ls, const struct call *c)
{
	struct sock *s;

	while ((s = take_first(ls, true))) {
		struct inet_addr to;
		int err;

		mutex_lock(&s->lock);
		to = is(s)->remote;
		mutex_unlock(&s->lock);
		err = join_or_wait(s, c, ls, &to, true);
		if (err != -EINPROGRESS) {
			(void)timer_cancel(&is(s)->syn_timer);
			tcp_connect_decided(s, -err, false);
		}
		sock_put(s);
	}
}

void
tcp_refuse_waiting(struct sock *ls)
{
	struct sock *s;

	while ((s = take_first(ls, false))) {
		(void)timer_cancel(&is(s)->syn_timer);
		tcp_connect_decided(s, ECONNREFUSED, false);
		sock_put(s);
	}
}

/* --- calls --- */

int
tcp_listen(struct sock *s, const struct call *c, int backlog)
{
	struct inet_sock *i = is(s);
	int err;

	mutex_lock(&s->lock);
	err = i->connected || i->connecting ? -EINVAL : 0;
	mutex_unlock(&s->lock);
	if (err)
		return err;
	if (!i->bound) {
		err = inet_autobind(s, NULL);
		if (err)
			return err;
	}
	mutex_lock(&s->lock);
	s->listening = true;
	i->backlog = backlog;
	mutex_unlock(&s->lock);
	let_in(s, c);
	return 0;
}

/* s is connecting. The same as join_or_wait. */
static int
connect_to(struct sock *s, const struct call *c, const struct inet_addr *to,
	const struct inet_addr *source, int way, const struct inet_hop *hop)
{
	struct inet_sock *i = is(s);
	struct inet_addr from = *source;
	struct sock *ls;
	int err = 0;

	if (!i->bound) {
		err = inet_autobind(s, &from);
		if (err)
			return err;
	} else if (inet_is_any(&i->local)) {
		uint16_t port = i->local.port;

		mutex_lock(&s->lock);
		i->local = from;
		i->local.port = port;
		mutex_unlock(&s->lock);
	}
	if (way == INET_OUT)
		return tcp_wire_connect(s, c, to, hop);
	if (way != INET_HERE)
		return wait_in_vain(s, to);
	from = i->local;
	ls = inet_find(s->net, LX_IPPROTO_TCP, true, to, &from, 0);
	if (!ls) {
		if (tcp_looked_at(s))
			tcp_show_refused(i, to);
		return -ECONNREFUSED;
	}
	err = join_or_wait(s, c, ls, to, false);
	if (err) /* it may have had room in vain */
		let_in(ls, c);
	sock_put(ls);
	return err;
}

/* connect(2), AF_UNSPEC: dissolve the association. */
static int
disconnect(struct sock *s)
{
	struct inet_sock *i = is(s);
	struct sock *p, *drop = NULL;
	bool rst;

	(void)tcp_listen_stop(s);
	(void)tcp_connect_stop(s);
	inet_unask(i);
	mutex_lock(&s->lock);
	rst = i->connected && !i->reset && !(i->peer_fin && s->shut_wr);
	if (rst)
		s->err = ECONNRESET;
	p = i->peer;
	i->peer = NULL;
	i->connected = i->peer_fin = i->peer_gone = i->reset = i->refused = i->wired = false;
	s->shut_rd = s->shut_wr = false;
	mutex_unlock(&s->lock);
	sock_purge(s);
	if (p) {
		mutex_lock(&p->lock);
		if (rst)
			tcp_reset_locked(is(p));
		is(p)->peer_gone = is(p)->peer_fin = true;
		drop = tcp_forget_peer_locked(is(p), s); /* what s does next is no matter of its */
		mutex_unlock(&p->lock);
		waitq_notify(&p->wq, ~0u);
		sock_put(drop);
		sock_put(p);
	}
	return 0;
}

/* Nothing is there yet that would make another connect fail. -EAGAIN: one is under way. */
static int
begin_connect(struct sock *s, bool nonblock)
{
	struct inet_sock *i = is(s);
	bool forget = false;
	int err = 0;

	mutex_lock(&s->lock);
	if (s->listening) {
		err = -EISCONN;
	} else if (i->connecting) {
		err = nonblock ? -EALREADY : -EAGAIN;
	} else if (i->connected) {
		err = i->connect_told ? 1 : -EISCONN;
		i->connect_told = false;
	} else if (i->refused) {
		err = s->err ? -s->err : -ECONNABORTED;
		s->err = 0;
		i->refused = false;
		forget = true;
	}
	mutex_unlock(&s->lock);
	if (forget)
		inet_unask(i);
	return err;
}

int
tcp_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at)
{
	struct inet_sock *i = is(s);
	struct inet_addr to, from;
	struct inet_hop hop;
	uint16_t family;
	bool later;
	int err, way;

	if (len < sizeof family)
		return -EINVAL;
	memcpy(&family, addr, sizeof family);
	if (family == LX_AF_UNSPEC)
		return disconnect(s);
	err = inet_addr_in(s, addr, len, &to);
	if (!err)
		err = begin_connect(s, !wait_at);
	if (err)
		return err > 0 ? 0 : err;
	if (s->family == LX_AF_INET6 && i->v6only && inet_is_v4(&to))
		return -ENETUNREACH;
	mutex_lock(&s->lock);
	from = i->local;
	mutex_unlock(&s->lock);
	way = inet_route(s, &to, &from, true, 0, &hop);
	if (way < 0)
		return way;
	mutex_lock(&s->lock);
	err = i->connecting ? -EALREADY : i->connected ? -EISCONN : 0;
	if (!err) {
		i->connecting = true;
		s->err = 0;
	}
	mutex_unlock(&s->lock);
	if (err)
		return err;
	err = connect_to(s, c, &to, &from, way, &hop);
	if (err == -EINPROGRESS)
		return wait_at ? -EAGAIN : err;
	/* Without waiting, the answer of the other side is always still to come (connect(2),
	 * EINPROGRESS). */
	later = !wait_at && (!err || err == -ECONNREFUSED);
	tcp_connect_decided(s, -err, !later);
	return later ? -EINPROGRESS : err;
}

int
tcp_accept(struct sock *s, const struct call *c, struct sock **ret)
{
	struct inet_sock *i = is(s);
	struct list *n = NULL;
	int err = 0;

	mutex_lock(&s->lock);
	if (!s->listening)
		err = -EINVAL;
	else if (!(n = list_pop_front(&i->acceptq)))
		err = -EAGAIN;
	else if (i->nr_accept > 0)
		i->nr_accept--;
	mutex_unlock(&s->lock);
	if (err)
		return err;
	*ret = &list_entry(n, struct inet_sock, accept_node)->s;
	let_in(s, c);
	return 0;
}
