/* SPDX-License-Identifier: Apache-2.0 */
/* UDP (udp(7)). Between two sockets of the namespace messages go straight into the receiver's
 * queue; one that is full drops them. What leaves becomes a packet. */
#include "abi/poll.h"
#include "internal.h"
#include "sentry/bpf/packet.h"
#include "sentry/net/dev.h"
#include "sentry/net/packet.h"
#include "sentry/socket/wire.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PAYLOAD 65507u
#define HEADER	    8u

static int
udp_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at)
{
	struct inet_sock *i = is(s);
	struct inet_addr to, from;
	struct inet_hop hop;
	uint16_t family;
	int err;

	(void)c;
	(void)wait_at;
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
	mutex_lock(&s->lock);
	from = i->local;
	mutex_unlock(&s->lock);
	if (!err)
		err = inet_route_any(i, &to, &from, true, 0, &hop);
	if (err < 0)
		return err;
	if (!i->bound) {
		err = inet_autobind(s, inet_is_multicast(&to) ? NULL : &from);
		if (err)
			return err == -EADDRNOTAVAIL ? -EAGAIN : err;
	}
	mutex_lock(&s->lock);
	i->remote = to;
	i->connected = true;
	if (inet_is_any(&i->local))
		memcpy(i->local.ip, from.ip, 16);
	mutex_unlock(&s->lock);
	return 0;
}

/* What the sender's options say of each message. */
static void
meta_of_options(
	const struct inet_sock *i, const struct inet_addr *to, uint32_t len, struct sock_meta *meta)
{
	/* IP_TOS, IPV6_TCLASS: kept relative to their defaults */
	meta->tos = (uint8_t)(inet_is_v4(to) ? i->ip_opt[1] : i->ip6_opt[67]);
	meta->ttl = inet_ttl(i, to);
	if (i->send_cover && i->send_cover < len + 8)
		meta->coverage = i->send_cover;
}

/* Is as much of it covered by the checksum as the receiver wants? */
static bool
covered(const struct inet_sock *dst, const struct sock_meta *meta)
{
	return !dst->recv_cover || !meta->coverage || meta->coverage >= dst->recv_cover;
}

/* A filter sees the message with its header (RFC 768). False: it is dropped. Locked. */
static bool
filtered(struct sock *dst, struct skb *b, const struct inet_addr *from)
{
	uint32_t n = HEADER + b->len, snap;
	uint16_t to = is(dst)->local.port;
	uint8_t *p = malloc(n);

	if (!p)
		return false;
	memcpy(p,
		(const uint8_t[HEADER]){(uint8_t)(from->port >> 8), (uint8_t)from->port,
			(uint8_t)(to >> 8), (uint8_t)to, (uint8_t)(n >> 8), (uint8_t)n},
		HEADER);
	memcpy(p + HEADER, b->data, b->len);
	snap = sock_filter_run(
		dst->filter, &(struct filter_packet){p, n, inet_is_v4(from) ? ETH_P_IP : ETH_P_IPV6,
				     0, NET_LO_INDEX, 772 /* ARPHRD_LOOPBACK */});
	free(p);
	if (snap && snap < n)
		b->len = snap > HEADER ? snap - HEADER : 0;
	return snap;
}

/* To one receiver, or it is dropped. */
static void
deliver(struct sock *dst, struct skb *b, const struct inet_addr *from)
{
	inet_addr_out(dst, from, b->addr, &b->addr_len);
	mutex_lock(&dst->lock);
	if (skb_full_locked(dst) || dst->shut_rd || dst->closed || !covered(is(dst), &b->meta) ||
		(dst->filter && !filtered(dst, b, from))) {
		mutex_unlock(&dst->lock);
		skb_free(b);
		return;
	}
	if (dst->stamp)
		b->meta.stamp_ns = sock_stamp();
	skb_queue_locked(dst, b);
	mutex_unlock(&dst->lock);
	waitq_notify(&dst->wq, LX_POLLIN | LX_POLLRDNORM);
}

/* To each that gets it, a copy. */
static int
deliver_all(struct net_ns *net, int protocol, struct skb *b, const struct inet_addr *to,
	const struct inet_addr *from)
{
	struct sock **all = calloc(INET_FIND_MAX, sizeof *all);
	unsigned n = all ? inet_find_all(net, protocol, to, from, b->meta.iif, all) : 0;

	for (unsigned k = 0; k < n; k++) {
		struct skb *copy = skb_new(b->len);

		if (copy) {
			memcpy(copy->data, b->data, b->len);
			copy->len = b->len;
			copy->meta = b->meta;
			if (!b->meta.iif)
				net_lo_count(net, b->len);
			deliver(all[k], copy, from);
		}
		sock_put(all[k]);
	}
	skb_free(b);
	free(all);
	return all ? 0 : -ENOMEM;
}

/* i is told, if it asked to be, or is connected. */
static void
take_error(struct inet_sock *i, const struct inet_addr *to, const struct inet_error *e)
{
	bool v4 = inet_is_v4(to), wants = inet_wants_errors(i, !v4), told;
	/* IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: kept relative to their default, 1; 0: not at all */
	bool cares = (v4 ? i->ip_opt[10] : i->ip6_opt[23]) != -1;
	bool hard = e->hard || (e->err == EMSGSIZE && cares);

	if (e->err == EMSGSIZE && !cares)
		return;
	if (wants)
		inet_error_queue(i, e, to);
	mutex_lock(&i->s.lock);
	told = wants || (hard && i->connected);
	if (told)
		i->s.err = e->err;
	mutex_unlock(&i->s.lock);
	if (told)
		waitq_notify(&i->s.wq, LX_POLLERR);
}

/* Nobody has the port, here: what this host answers. */
static void
refuse(struct inet_sock *i, const struct inet_addr *to, const uint8_t *p, size_t n)
{
	bool v4 = inet_is_v4(to);
	/* of the message, behind both headers (icmp_send, icmp6_send) */
	size_t most = v4 ? 576 - 28 - 28 : 1280 - 48 - 48;
	struct inet_error e = {.err = ECONNREFUSED,
		.hard = true,
		.origin = v4 ? INET_ERROR_ICMP : INET_ERROR_ICMP6,
		.type = v4 ? 3 : 1,
		.code = v4 ? 3 : 4,
		.offender = *to,
		.p = p,
		.n = n < most ? n : most};

	take_error(i, to, &e);
}

/* A message leaves. */
static int
send_out(struct inet_sock *i, const struct skb *b, const struct inet_addr *to,
	const struct inet_addr *from, const struct inet_hop *hop)
{
	struct inet_packet k = {
		.net = i->s.net, .protocol = (uint8_t)i->s.protocol, .meta = b->meta};
	bool v4 = inet_is_v4(to);
	int err;

	inet_set_addresses(&k, from, to);
	err = udp_packet_make(&k, from->port, to->port, b->data, b->len);
	if (!err)
		err = inet_send_out(&k, hop, inet_df_of(i, v4));
	free(k.p);
	if (err == -EMSGSIZE)
		inet_error_too_large(i, to, hop);
	/* what a queue has no room for is lost, but who asked for errors is told */
	return err == -ENOBUFS && !inet_wants_errors(i, !v4) ? 0 : err;
}

static ssize_t
udp_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	struct inet_sock *i = is(s);
	size_t n = m->uio->left;
	struct inet_addr to, from;
	struct sock_meta meta = {.ttl = 64};
	struct inet_hop hop;
	struct sock *dst;
	struct skb *b;
	int err, way;

	(void)c;
	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	if (n > MAX_PAYLOAD)
		return -EMSGSIZE;
	mutex_lock(&s->lock);
	err = s->err ? -s->err : s->shut_wr ? -EPIPE : 0;
	s->err = 0;
	if (!err && !m->addr_len && !i->connected)
		err = -EDESTADDRREQ;
	to = i->remote;
	from = i->local;
	mutex_unlock(&s->lock);
	if (err)
		return err;
	if (m->addr_len) {
		err = inet_addr_in(s, m->addr, m->addr_len, &to);
		if (!err && !to.port)
			err = -EINVAL;
		if (err)
			return err;
	}
	way = inet_route_any(i, &to, &from, false, inet_ctl_oif(s, m), &hop);
	if (way < 0)
		return way;
	if (!i->bound && inet_autobind(s, NULL))
		return -EAGAIN;
	mutex_lock(&s->lock);
	from.port = i->local.port;
	mutex_unlock(&s->lock);
	memcpy(meta.to, to.ip, 16);
	meta_of_options(i, &to, (uint32_t)n, &meta);
	err = inet_ctl_in(s, m, &from, &meta);
	if (err)
		return err;
	b = skb_new((uint32_t)n);
	if (!b)
		return -ENOMEM;
	if (n && uio_copy_from(m->uio, b->data, n) != (ssize_t)n) {
		skb_free(b);
		return -EFAULT;
	}
	b->len = (uint32_t)n;
	b->meta = meta;
	if (way == INET_OUT) {
		err = send_out(i, b, &to, &from, &hop);
		if (err || !hop.here_too) {
			skb_free(b);
			return err ? err : (ssize_t)n;
		}
		b->meta.iif = hop.oif;
	} else if (wire_looked_at(s->net, (uint8_t)s->protocol))
		wire_udp(s->net, s->protocol, &from, &to, &meta, b->data, n);
	if (inet_is_multicast(&to)) {
		err = deliver_all(s->net, s->protocol, b, &to, &from);
		return err ? err : (ssize_t)n;
	}
	if (way == INET_LOST) {
		skb_free(b);
		return (ssize_t)n;
	}
	dst = inet_find(s->net, s->protocol, false, &to, &from, b->meta.iif);
	if (!dst) {
		if (way == INET_HERE)
			refuse(i, &to, b->data, n);
		skb_free(b);
		return (ssize_t)n;
	}
	net_lo_count(s->net, n);
	deliver(dst, b, &from);
	sock_put(dst);
	return (ssize_t)n;
}

void
udp_take_packet(const struct inet_packet *k)
{
	struct inet_addr from = k->from, to = k->to;
	bool lite = k->protocol == LX_IPPROTO_UDPLITE;
	size_t len, cover, skip = k->v6 ? 0 : 12;
	struct sock *dst;
	struct skb *b;
	uint32_t sum;

	/* a part of a packet is no packet */
	if (k->n < HEADER || (k->head && ((k->head[6] & 0x3f) || k->head[7])))
		return;
	cover = (size_t)k->p[4] << 8 | k->p[5];
	/* RFC 3828, 3.1: 0 is all, and there is always a checksum */
	if (lite && !cover)
		cover = k->n;
	if (cover < HEADER || cover > k->n || (lite && !k->p[6] && !k->p[7]))
		return;
	len = lite ? k->n : cover;
	if (!k->checked && (lite || k->p[6] || k->p[7] || k->v6)) {
		sum = ip_sum_add(0, k->from.ip + skip, 16 - skip);
		sum = ip_sum_add(sum, k->to.ip + skip, 16 - skip) + k->protocol + (uint32_t)len;
		sum = ip_sum_add(sum, k->p, cover);
		if (!ip_sum_is_right(sum))
			return;
	}
	from.port = (uint16_t)(k->p[0] << 8 | k->p[1]);
	to.port = (uint16_t)(k->p[2] << 8 | k->p[3]);
	from.scope = k->iif;
	b = skb_new((uint32_t)(len - HEADER));
	if (!b)
		return;
	memcpy(b->data, k->p + HEADER, len - HEADER);
	b->len = (uint32_t)(len - HEADER);
	b->meta = k->meta;
	b->meta.iif = k->iif;
	b->meta.coverage = cover < len ? (uint16_t)cover : 0;
	if (inet_is_multicast(&to)) {
		(void)deliver_all(k->net, k->protocol, b, &to, &from);
		return;
	}
	dst = inet_find(k->net, k->protocol, false, &to, &from, k->iif);
	if (dst) {
		deliver(dst, b, &from);
	} else {
		skb_free(b);
		inet_tell_unreachable(k, INET_NO_PORT);
	}
	sock_put(dst);
}

void
udp_take_error(struct net_ns *net, int protocol, const struct inet_addr *local,
	const struct inet_addr *remote, const struct inet_error *e)
{
	struct sock *s = inet_find(net, protocol, false, local, remote, 0);

	if (s) {
		inet_error_learn(net, remote, e);
		take_error(is(s), remote, e);
	}
	sock_put(s);
}

static ssize_t
udp_recvmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	uint32_t freed;
	ssize_t n;
	int err;

	(void)c;
	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	if (m->flags & LX_MSG_ERRQUEUE)
		return inet_error_take(s, m);
	err = sock_error_take(s);
	if (err)
		return err;
	n = sock_packet_take(s, m, &freed);
	if (n == -EAGAIN && s->shut_rd)
		n = 0;
	else if (n >= 0)
		inet_ctl_out(s, m);
	return n;
}

static uint32_t
udp_poll(struct sock *s)
{
	uint32_t ev = LX_POLLOUT | LX_POLLWRNORM;

	mutex_lock(&s->lock);
	if (s->err || !list_empty(&is(s)->errors))
		ev |= LX_POLLERR;
	if (!list_empty(&s->rcvq))
		ev |= LX_POLLIN | LX_POLLRDNORM;
	if (s->shut_rd)
		ev |= LX_POLLIN | LX_POLLRDNORM | LX_POLLRDHUP;
	if (s->shut_rd && s->shut_wr)
		ev |= LX_POLLHUP;
	mutex_unlock(&s->lock);
	return ev;
}

static void
udp_close(struct sock *s)
{
	inet_leave_all(is(s));
	inet_unbind(is(s));
	mutex_lock(&s->lock);
	s->closed = true;
	mutex_unlock(&s->lock);
}

static void
udp_free(struct sock *s)
{
	inet_leave_all(is(s));
	inet_unbind(is(s));
	inet_errors_purge(is(s));
	sock_fini(s);
	free(is(s));
}

const struct sock_ops udp_ops = {
	.filters = true,
	.bind = inet_bind,
	.connect = udp_connect,
	.listen = inet_dgram_listen,
	.getname = inet_getname,
	.sendmsg = udp_sendmsg,
	.recvmsg = udp_recvmsg,
	.shutdown = inet_dgram_shutdown,
	.setsockopt = inet_setsockopt,
	.getsockopt = inet_getsockopt,
	.poll = udp_poll,
	.describe = inet_describe,
	.close = udp_close,
	.free = udp_free,
};
