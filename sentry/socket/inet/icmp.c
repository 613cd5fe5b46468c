/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets over loopback as sockets see them (icmp(7), raw(7)): those for echoes (SOCK_DGRAM) and
 * raw ones of any protocol. What is sent is answered at once, if it is an echo; raw sockets see
 * both, and what UDP and TCP send while there are any of these (wire.c). Linux counterpart:
 * net/ipv4/ping.c, raw.c. Locks: the lock of a namespace's taps guards the list and the names of
 * its sockets.
 */
#include "abi/poll.h"
#include "internal.h"
#include "sentry/bpf/packet.h"
#include "sentry/net/link.h"
#include "sentry/net/packet.h"
#include "sentry/net/route.h"
#include "sentry/net/sysctl.h"
#include "sentry/socket/wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MESSAGE 65507u

static _Atomic uint16_t next_id;

static struct net_taps *
taps(const struct inet_sock *i)
{
	return net_ns_taps(i->s.net);
}

/* Sees what others than ICMP send. */
static bool
is_tap(const struct inet_sock *i)
{
	return i->s.protocol != (i->s.family == LX_AF_INET6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP);
}

struct inet_sock *
icmp_new(const struct call *c, int family, int type, int protocol)
{
	struct inet_sock *i = inet_new(c, family, type, protocol);
	struct net_taps *t;

	if (!i)
		return NULL;
	t = taps(i);
	i->hdrincl = protocol == LX_IPPROTO_RAW;
	if (family == LX_AF_INET)
		memcpy(i->local.ip, inet_mapped, sizeof inet_mapped);
	mutex_lock(&t->lock);
	list_push_back(&t->raw, &i->port_node);
	atomic_fetch_add(&t->nr_raw[protocol], 1);
	mutex_unlock(&t->lock);
	return i;
}

static bool
is_v6(const struct inet_sock *i)
{
	return i->s.family == LX_AF_INET6;
}

/* --- names --- */

static void
take_id(struct inet_sock *i)
{
	mutex_lock(&taps(i)->lock);
	while (!i->local.port)
		i->local.port = (uint16_t)(atomic_fetch_add(&next_id, 1) + 1);
	mutex_unlock(&taps(i)->lock);
}

static struct inet_addr
own_name(struct inet_sock *i)
{
	struct inet_addr a;

	mutex_lock(&taps(i)->lock);
	a = i->local;
	mutex_unlock(&taps(i)->lock);
	return a;
}

static int
icmp_bind(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len)
{
	struct inet_sock *i = is(s);
	struct inet_addr a;
	int err = inet_addr_in(s, addr, len, &a);

	(void)c;
	if (err)
		return err;
	if (!inet_is_any(&a) && !net_may_bind(s->net, a.ip))
		return -EADDRNOTAVAIL;
	mutex_lock(&taps(i)->lock);
	if (s->type == LX_SOCK_DGRAM && i->local.port)
		err = -EINVAL;
	else
		i->local = a;
	if (s->type == LX_SOCK_RAW)
		i->local.port = (uint16_t)s->protocol;
	mutex_unlock(&taps(i)->lock);
	if (!err && s->type == LX_SOCK_DGRAM)
		take_id(i);
	return err;
}

static int
icmp_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at)
{
	struct inet_sock *i = is(s);
	struct inet_addr to, from;
	struct inet_hop hop;
	uint16_t family;
	int err;

	(void)c, (void)wait_at;
	if (len < sizeof family)
		return -EINVAL;
	memcpy(&family, addr, sizeof family);
	if (family == LX_AF_UNSPEC) {
		mutex_lock(&s->lock);
		i->connected = false;
		mutex_unlock(&s->lock);
		return 0;
	}
	err = inet_addr_in(s, addr, len, &to);
	from = own_name(i);
	if (!err)
		err = inet_route_any(i, &to, &from, true, 0, &hop);
	if (err < 0)
		return err;
	if (s->type == LX_SOCK_DGRAM)
		take_id(i);
	mutex_lock(&s->lock);
	i->remote = to;
	i->connected = true;
	mutex_unlock(&s->lock);
	mutex_lock(&taps(i)->lock);
	if (inet_is_any(&i->local))
		memcpy(i->local.ip, from.ip, 16);
	mutex_unlock(&taps(i)->lock);
	return 0;
}

/* --- packets --- */

/* RFC 792; RFC 4443: with the addresses in it. */
void
inet_icmp_checksum(const struct inet_packet *k)
{
	uint32_t sum = 0;

	if (k->n < 4)
		return;
	k->p[2] = k->p[3] = 0;
	if (k->v6) {
		sum = ip_sum_add(sum, k->from.ip, 16);
		sum = ip_sum_add(sum, k->to.ip, 16);
		sum += (uint32_t)k->n + LX_IPPROTO_ICMPV6;
	}
	ip_sum_put(k->p + 2, ip_sum_add(sum, k->p, k->n));
}

static bool
wants(struct inet_sock *i, const struct inet_packet *k)
{
	uint8_t type = k->n ? k->p[0] : 0;
	bool reply = type == (k->v6 ? 129 : 0);

	if (is_v6(i) != k->v6 || i->s.closed || i->s.protocol != k->protocol)
		return false;
	if (i->s.bound_dev && i->s.bound_dev != (k->iif ? k->iif : NET_LO_INDEX))
		return false;
	if (!inet_is_any(&i->local) && !inet_same_ip(&i->local, &k->to))
		return false;
	if (i->connected && !inet_same_ip(&i->remote, &k->from))
		return false;
	if (inet_is_multicast(&k->to) && !inet_gets_group(i, &k->to, k->iif))
		return false;
	if (i->s.type == LX_SOCK_DGRAM)
		return reply && k->n >= 8 && i->local.port &&
		       (k->p[4] << 8 | k->p[5]) == i->local.port;
	if (is_tap(i))
		return true;
	/* of IPv4 only the first 32 types can be left out */
	if (!k->v6 && type >= 32)
		return true;
	return !(i->icmp_filter[type / 32] >> type % 32 & 1);
}

/* What a socket gets of a packet. */
struct view {
	const uint8_t *p;
	uint32_t n;
};

static void
hand_to(struct inet_sock *i, const struct inet_packet *k, struct view v)
{
	struct filter_packet f = {v.p, v.n, k->v6 ? ETH_P_IPV6 : ETH_P_IP, 0, NET_LO_INDEX,
		772 /* ARPHRD_LOOPBACK */};
	struct inet_addr from = k->from;
	struct skb *b = NULL;
	uint32_t snap;

	from.port = 0;
	from.scope = k->iif;
	mutex_lock(&i->s.lock);
	if (!skb_full_locked(&i->s) && !i->s.shut_rd &&
		(snap = sock_filter_run(i->s.filter, &f)) != 0) {
		if (snap > v.n)
			snap = v.n;
		b = skb_new(snap);
	}
	if (!b) {
		mutex_unlock(&i->s.lock);
		return;
	}
	memcpy(b->data, v.p, snap);
	b->len = snap;
	b->meta = k->meta;
	b->meta.iif = k->iif;
	if (i->s.stamp)
		b->meta.stamp_ns = sock_stamp();
	inet_addr_out(&i->s, &from, b->addr, &b->addr_len);
	skb_queue_locked(&i->s, b);
	mutex_unlock(&i->s.lock);
	waitq_notify(&i->s.wq, LX_POLLIN | LX_POLLRDNORM);
}

/* With the header that it has, or would have on a wire. Allocated if it had none. */
static uint8_t *
with_header(const struct inet_packet *k, struct view *ret)
{
	uint8_t *made = NULL;

	if (k->head) { /* p is behind it (inet_header_in) */
		*ret = (struct view){k->head, (uint32_t)(k->head_len + k->n)};
	} else if ((made = malloc(IP_HEADER + k->n))) {
		ip_header_put(made, k->n, k->meta.tos, k->meta.ttl, k->protocol, k->from.ip + 12,
			k->to.ip + 12);
		memcpy(made + IP_HEADER, k->p, k->n);
		*ret = (struct view){made, (uint32_t)(IP_HEADER + k->n)};
	}
	return made;
}

/* To raw sockets and those for echoes. */
static void
deliver(const struct inet_packet *k)
{
	struct net_taps *t = net_ns_taps(k->net);
	struct view bare = {k->p, (uint32_t)k->n}, whole = {NULL, 0};
	uint8_t *made = NULL;
	struct inet_sock *i;

	if (!wire_has_raw(k->net, k->protocol))
		return;
	mutex_lock(&t->lock);
	list_for_each_entry (i, &t->raw, port_node) {
		if (!wants(i, k))
			continue;
		if (k->v6 || i->s.type == LX_SOCK_DGRAM) {
			hand_to(i, k, bare);
			continue;
		}
		if (!whole.p)
			made = with_header(k, &whole);
		if (whole.p)
			hand_to(i, k, whole);
	}
	mutex_unlock(&t->lock);
	free(made);
}

void
inet_show(const struct inet_packet *k)
{
	if (wire_has_packet(k->net))
		inet_wire(k);
	deliver(k);
}

void
inet_travel(struct inet_packet *k)
{
	net_lo_count(k->net, k->n);
	if (wire_has_packet(k->net))
		inet_wire(k);
	inet_travel_in(k);
}

static bool
is_broadcast(const struct inet_packet *k)
{
	return !k->v6 && net_address_type(k->net, LX_AF_INET, k->to.ip + 12) == LX_RTN_BROADCAST;
}

/* Is an echo to many answered here? */
static bool
is_asked(const struct inet_packet *k)
{
	if (!inet_is_multicast(&k->to) && !is_broadcast(k))
		return true;
	return k->v6 || !net_sysctl(k->net, NET_ICMP_ECHO_IGNORE_BROADCASTS, 0);
}

void
inet_travel_in(struct inet_packet *k)
{
	uint8_t request = k->v6 ? 128 : 8;
	static const uint8_t lo4[4] = {127, 0, 0, 1};
	struct inet_addr own, swap = k->from;

	if (inet_is_multicast(&k->to) && !inet_is_in_group(k->net, &k->to, k->iif))
		return;
	deliver(k);
	if (k->protocol == LX_IPPROTO_UDP || k->protocol == LX_IPPROTO_UDPLITE)
		udp_take_packet(k);
	if (k->protocol == LX_IPPROTO_TCP && k->iif)
		tcp_wire_take_packet(k);
	if (k->protocol != (k->v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP) || k->n < 8 ||
		k->p[0] != request)
		return;
	if (!k->v6 && net_sysctl(k->net, NET_ICMP_ECHO_IGNORE_ALL, 0))
		return;
	if (k->one_way && !inet_is_multicast(&k->to))
		return;
	if (!k->v6 && !k->iif && inet_is_any(&k->from)) { /* where lo alone has an address */
		memcpy(swap.ip + 12, lo4, 4);
		k->from = swap;
	}
	if (!is_asked(k) || !inet_answers_from(k, &own))
		return;
	k->head = NULL;
	k->p[0] = k->v6 ? 129 : 0;
	k->from = own;
	k->to = swap;
	memcpy(k->meta.to, k->to.ip, 16);
	inet_icmp_checksum(k);
	k->meta.ttl = inet_ttl_usual(k->net, !k->v6);
	if (k->iif && !net_is_local(k->net, k->to.ip)) {
		inet_answer_out(k, INET_MAY_CUT);
		return;
	}
	net_lo_count(k->net, k->n);
	inet_show(k);
}

/* whole: with a header that a program made. */
static int
send_out(struct inet_sock *i, const struct inet_packet *k, const struct inet_hop *hop, bool whole)
{
	int err = inet_send_out(k, hop, whole ? INET_DF : inet_df_of(i, !k->v6));

	if (err == -EMSGSIZE && !whole)
		inet_error_too_large(i, &k->to, hop);
	return err == -ENOBUFS && !inet_wants_errors(i, k->v6) ? 0 : err;
}

static int
send_by(struct inet_sock *i, struct inet_packet *k, int way, const struct inet_hop *hop, bool whole)
{
	int err = 0;

	if (way == INET_LOST) {
		inet_wire(k);
	} else if (way != INET_OUT) {
		inet_travel(k);
	} else {
		err = send_out(i, k, hop, whole);
		if (!err && hop->here_too) {
			k->iif = hop->oif;
			inet_travel_in(k);
		}
	}
	return err;
}

static ssize_t
icmp_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	struct inet_sock *i = is(s);
	struct inet_packet k = {
		.net = s->net, .v6 = is_v6(i), .n = m->uio->left, .protocol = (uint8_t)s->protocol};
	bool ping = s->type == LX_SOCK_DGRAM, whole = !k.v6 && i->hdrincl;
	struct inet_hop hop;
	uint8_t *data;
	int err = 0;

	(void)c;
	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	if (k.n > MAX_MESSAGE)
		return -EMSGSIZE;
	if (ping && k.n < 8)
		return -EINVAL;
	k.p = data = malloc(k.n ? k.n : 1);
	if (!data)
		return -ENOMEM;
	if (k.n && uio_copy_from(m->uio, k.p, k.n) != (ssize_t)k.n)
		err = -EFAULT;
	else if (ping && (k.p[0] != (k.v6 ? 128 : 8) || k.p[1]))
		err = -EINVAL;
	mutex_lock(&s->lock);
	if (!err && !m->addr_len && !i->connected)
		err = -EDESTADDRREQ;
	if (!err && s->shut_wr)
		err = -EPIPE;
	k.to = i->remote;
	mutex_unlock(&s->lock);
	if (!err && m->addr_len)
		err = inet_addr_in(s, m->addr, m->addr_len, &k.to);
	k.from = own_name(i);
	if (!err)
		err = inet_route_any(i, &k.to, &k.from, false, inet_ctl_oif(s, m), &hop);
	if (err >= 0) {
		int way = err;
		size_t n = k.n;

		if (ping) {
			take_id(i);
			k.p[4] = (uint8_t)(i->local.port >> 8);
			k.p[5] = (uint8_t)i->local.port;
		}
		k.one_way = err == INET_ONE_WAY;
		memcpy(k.meta.to, k.to.ip, 16);
		k.meta.tos = (uint8_t)(k.v6 ? i->ip6_opt[67] : i->ip_opt[1]); /* TCLASS, TOS */
		k.meta.ttl = inet_ttl(i, &k.to);
		err = inet_ctl_in(s, m, &k.from, &k.meta);
		if (!err && whole)
			err = inet_header_in(&k);
		if (!err) {
			if (ping || (k.v6 && !is_tap(i)))
				inet_icmp_checksum(&k);
			err = send_by(i, &k, way, &hop, whole);
			if (!err)
				err = (int)n;
		}
	}
	free(data);
	return err;
}

static ssize_t
icmp_recvmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	uint32_t freed;
	ssize_t n;

	(void)c;
	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	if (m->flags & LX_MSG_ERRQUEUE)
		return inet_error_take(s, m);
	n = sock_error_take(s);
	if (n)
		return n;
	n = sock_packet_take(s, m, &freed);
	if (n == -EAGAIN && s->shut_rd)
		n = 0;
	else if (n >= 0)
		inet_ctl_out(s, m);
	return n;
}

/* Is i one that has sent it? (ping_err, raw_err) */
static bool
has_sent(const struct inet_sock *i, bool v6, uint8_t protocol, uint16_t id,
	const struct inet_addr *local, const struct inet_addr *remote)
{
	if (is_v6(i) != v6 || i->s.closed || i->s.protocol != protocol ||
		(i->connected && !inet_same_ip(&i->remote, remote)) ||
		(!inet_is_any(&i->local) && !inet_same_ip(&i->local, local)))
		return false;
	return i->s.type != LX_SOCK_DGRAM || (id && i->local.port == id);
}

bool
icmp_take_error(struct net_ns *net, bool v6, uint8_t protocol, uint16_t id,
	const struct inet_addr *local, const struct inet_addr *remote, const struct inet_error *e)
{
	struct net_taps *t = net_ns_taps(net);
	struct inet_error x = *e;
	struct inet_sock *i;
	bool sent = false;

	if (!wire_has_raw(net, protocol))
		return false;
	mutex_lock(&t->lock);
	list_for_each_entry (i, &t->raw, port_node) {
		bool wants = inet_wants_errors(i, v6);

		if (!has_sent(i, v6, protocol, id, local, remote))
			continue;
		sent = true;
		if (!wants && !i->connected)
			continue;
		if (wants)
			inet_error_queue(i, &x, remote);
		if (!wants && !e->hard)
			continue;
		mutex_lock(&i->s.lock);
		i->s.err = e->err;
		mutex_unlock(&i->s.lock);
		waitq_notify(&i->s.wq, LX_POLLERR);
	}
	mutex_unlock(&t->lock);
	return sent;
}

int
icmp_filter_set(struct inet_sock *i, const uint8_t *val, uint32_t len)
{
	uint32_t want = is_v6(i) ? sizeof i->icmp_filter : sizeof i->icmp_filter[0];

	if (i->s.type != LX_SOCK_RAW)
		return -ENOPROTOOPT;
	if (is_tap(i))
		return -EOPNOTSUPP;
	mutex_lock(&taps(i)->lock);
	memcpy(i->icmp_filter, val, len < want ? len : want);
	mutex_unlock(&taps(i)->lock);
	return 0;
}

int
icmp_filter_get(struct inet_sock *i, uint8_t *val, uint32_t *len)
{
	uint32_t have = is_v6(i) ? sizeof i->icmp_filter : sizeof i->icmp_filter[0];

	if (i->s.type != LX_SOCK_RAW)
		return -ENOPROTOOPT;
	if (is_tap(i))
		return -EOPNOTSUPP;
	if (*len > have)
		*len = have;
	memcpy(val, i->icmp_filter, *len);
	return 0;
}

/* --- the rest --- */

static uint32_t
icmp_poll(struct sock *s)
{
	uint32_t ev = LX_POLLOUT | LX_POLLWRNORM;

	mutex_lock(&s->lock);
	if (s->err || !list_empty(&is(s)->errors))
		ev |= LX_POLLERR;
	if (!list_empty(&s->rcvq) || s->shut_rd)
		ev |= LX_POLLIN | LX_POLLRDNORM;
	mutex_unlock(&s->lock);
	return ev;
}

static void
leave(struct inet_sock *i)
{
	struct net_taps *t = taps(i);

	inet_leave_all(i);
	mutex_lock(&t->lock);
	if (!list_empty(&i->port_node)) {
		list_del(&i->port_node);
		atomic_fetch_sub(&t->nr_raw[i->s.protocol], 1);
	}
	mutex_unlock(&t->lock);
}

static void
icmp_close(struct sock *s)
{
	leave(is(s));
	mutex_lock(&s->lock);
	s->closed = true;
	mutex_unlock(&s->lock);
}

static void
icmp_free(struct sock *s)
{
	leave(is(s));
	inet_errors_purge(is(s));
	sock_fini(s);
	free(is(s));
}

const struct sock_ops icmp_ops = {
	.filters = true,
	.bind = icmp_bind,
	.connect = icmp_connect,
	.listen = inet_dgram_listen,
	.getname = inet_getname,
	.sendmsg = icmp_sendmsg,
	.recvmsg = icmp_recvmsg,
	.shutdown = inet_dgram_shutdown,
	.setsockopt = inet_setsockopt,
	.getsockopt = inet_getsockopt,
	.poll = icmp_poll,
	.close = icmp_close,
	.free = icmp_free,
};
