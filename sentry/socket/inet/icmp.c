/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets over loopback as sockets see them (icmp(7), raw(7)): those for echoes (SOCK_DGRAM) and
 * raw ones of any protocol. What is sent is answered at once, if it is an echo; raw sockets see
 * both, and what UDP and TCP send while there are any (wire.c). Linux counterpart: net/ipv4/ping.c,
 * raw.c. Lock: table_lock guards the list and the numbers of its sockets; held before a socket's.
 */
#include "abi/poll.h"
#include "internal.h"
#include "sentry/bpf/packet.h"
#include "sentry/net/link.h"
#include "sentry/socket/ip.h"
#include "sentry/socket/wire.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_MESSAGE 65507u

static struct mutex table_lock = MUTEX_INIT(SOCKTABLE);
static struct list table = LIST_INIT(table);
static uint16_t next_id = 1;

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

	if (!i)
		return NULL;
	i->hdrincl = protocol == LX_IPPROTO_RAW;
	if (family == LX_AF_INET)
		memcpy(i->local.ip, inet_mapped, sizeof inet_mapped);
	if (is_tap(i))
		atomic_fetch_add(&wire_taps, 1);
	mutex_lock(&table_lock);
	list_push_back(&table, &i->port_node);
	mutex_unlock(&table_lock);
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
	mutex_lock(&table_lock);
	if (!i->local.port) {
		i->local.port = next_id;
		next_id = next_id == UINT16_MAX ? 1 : (uint16_t)(next_id + 1);
	}
	mutex_unlock(&table_lock);
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
	mutex_lock(&table_lock);
	if (s->type == LX_SOCK_DGRAM && i->local.port)
		err = -EINVAL;
	else
		i->local = a;
	if (s->type == LX_SOCK_RAW)
		i->local.port = (uint16_t)s->protocol;
	mutex_unlock(&table_lock);
	if (!err && s->type == LX_SOCK_DGRAM)
		take_id(i);
	return err;
}

static int
icmp_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len, bool nonblock)
{
	struct inet_sock *i = is(s);
	struct inet_addr to;
	uint16_t family;
	int err;

	(void)c, (void)nonblock;
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
	if (!err)
		err = inet_route(s, &to);
	if (err)
		return err;
	if (s->type == LX_SOCK_DGRAM)
		take_id(i);
	mutex_lock(&s->lock);
	i->remote = to;
	i->connected = true;
	mutex_unlock(&s->lock);
	mutex_lock(&table_lock);
	if (inet_is_any(&i->local))
		memcpy(i->local.ip, to.ip, 16);
	mutex_unlock(&table_lock);
	return 0;
}

/* --- packets --- */

/* RFC 792; RFC 4443: with the addresses in it. */
static void
put_checksum(const struct inet_packet *k)
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

	if (i->s.net != k->net || is_v6(i) != k->v6 || i->s.closed || i->s.protocol != k->protocol)
		return false;
	if (!inet_is_any(&i->local) && !inet_same_ip(&i->local, &k->to))
		return false;
	if (i->connected && !inet_same_ip(&i->remote, &k->from))
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

static void
hand_to(struct inet_sock *i, const struct inet_packet *k)
{
	size_t head = i->s.type == LX_SOCK_RAW && !k->v6 ? k->head ? k->head_len : IP_HEADER : 0;
	struct skb *b = skb_new((uint32_t)(head + k->n));
	struct inet_addr from = k->from;
	uint32_t snap;
	bool full;

	if (!b)
		return;
	from.port = 0;
	if (head && k->head)
		memcpy(b->data, k->head, head);
	else if (head)
		ip_header_put(b->data, k->n, k->meta.tos, k->meta.ttl, k->protocol, k->from.ip + 12,
			k->to.ip + 12);
	memcpy(b->data + head, k->p, k->n);
	b->len = (uint32_t)(head + k->n);
	b->meta = k->meta;
	if (i->s.stamp)
		b->meta.stamp_ns = sock_stamp();
	inet_addr_out(&i->s, &from, b->addr, &b->addr_len);
	mutex_lock(&i->s.lock);
	snap = sock_filter_run(
		i->s.filter, &(struct filter_packet){b->data, b->len, k->v6 ? ETH_P_IPV6 : ETH_P_IP,
				     0, NET_LO_INDEX, 772 /* ARPHRD_LOOPBACK */});
	if (snap < b->len)
		b->len = snap;
	full = !snap || skb_full_locked(&i->s) || i->s.shut_rd;
	if (!full)
		skb_queue_locked(&i->s, b);
	mutex_unlock(&i->s.lock);
	if (full)
		skb_free(b);
	else
		waitq_notify(&i->s.wq, LX_POLLIN | LX_POLLRDNORM);
}

/* To raw sockets and those for echoes. */
static void
deliver(const struct inet_packet *k)
{
	struct inet_sock *i;

	mutex_lock(&table_lock);
	list_for_each_entry (i, &table, port_node)
		if (wants(i, k))
			hand_to(i, k);
	mutex_unlock(&table_lock);
}

void
inet_show(const struct inet_packet *k)
{
	if (atomic_load_explicit(&wire_taps, memory_order_relaxed))
		inet_wire(k);
	deliver(k);
}

void
inet_travel(struct inet_packet *k)
{
	net_lo_count(k->net, k->n);
	if (atomic_load_explicit(&wire_taps, memory_order_relaxed))
		inet_wire(k);
	inet_travel_in(k);
}

void
inet_travel_in(struct inet_packet *k)
{
	uint8_t request = k->v6 ? 128 : 8;
	struct inet_addr swap = k->from;

	deliver(k);
	if (k->protocol == LX_IPPROTO_UDP || k->protocol == LX_IPPROTO_UDPLITE)
		udp_take_packet(k);
	if (k->protocol != (k->v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP) || k->n < 8 ||
		k->p[0] != request || k->p[1])
		return;
	k->head = NULL;
	k->p[0] = k->v6 ? 129 : 0;
	k->from = k->to;
	k->to = swap;
	memcpy(k->meta.to, k->to.ip, 16);
	put_checksum(k);
	net_lo_count(k->net, k->n);
	inet_show(k);
}

static ssize_t
icmp_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	struct inet_sock *i = is(s);
	struct inet_packet k = {
		.net = s->net, .v6 = is_v6(i), .n = m->uio->left, .protocol = (uint8_t)s->protocol};
	bool ping = s->type == LX_SOCK_DGRAM, whole = !k.v6 && i->hdrincl;
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
	if (!err && m->addr_len) {
		err = inet_addr_in(s, m->addr, m->addr_len, &k.to);
		if (!err)
			err = inet_route(s, &k.to);
	}
	if (!err) {
		size_t n = k.n;

		if (ping) {
			take_id(i);
			k.p[4] = (uint8_t)(i->local.port >> 8);
			k.p[5] = (uint8_t)i->local.port;
		}
		k.from = inet_is_any(&i->local) ? k.to : i->local;
		memcpy(k.meta.to, k.to.ip, 16);
		k.meta.tos = (uint8_t)(k.v6 ? i->ip6_opt[67] : i->ip_opt[1]); /* TCLASS, TOS */
		k.meta.ttl = (uint8_t)(64 + (k.v6 ? i->ip6_opt[16] : i->ip_opt[2]));
		err = inet_ctl_in(s, m, &k.from, &k.meta);
		if (!err && whole)
			err = inet_header_in(&k);
		if (!err) {
			if (ping || (k.v6 && !is_tap(i)))
				put_checksum(&k);
			inet_travel(&k);
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
		return -EAGAIN;
	n = sock_packet_take(s, m, &freed);
	if (n == -EAGAIN && s->shut_rd)
		n = 0;
	else if (n >= 0)
		inet_ctl_out(s, m);
	return n;
}

int
icmp_filter_set(struct inet_sock *i, const uint8_t *val, uint32_t len)
{
	uint32_t want = is_v6(i) ? sizeof i->icmp_filter : sizeof i->icmp_filter[0];

	if (i->s.type != LX_SOCK_RAW)
		return -ENOPROTOOPT;
	if (is_tap(i))
		return -EOPNOTSUPP;
	mutex_lock(&table_lock);
	memcpy(i->icmp_filter, val, len < want ? len : want);
	mutex_unlock(&table_lock);
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
	if (!list_empty(&s->rcvq) || s->shut_rd)
		ev |= LX_POLLIN | LX_POLLRDNORM;
	mutex_unlock(&s->lock);
	return ev;
}

static void
leave(struct inet_sock *i)
{
	mutex_lock(&table_lock);
	list_del(&i->port_node);
	mutex_unlock(&table_lock);
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
	if (is_tap(is(s)))
		atomic_fetch_sub(&wire_taps, 1);
	sock_fini(s);
	free(is(s));
}

const struct sock_ops icmp_ops = {
	.filters = true,
	.ioctl = ifreq_ioctl,
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
