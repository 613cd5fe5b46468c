/* SPDX-License-Identifier: Apache-2.0 */
/* Ancillary data of datagrams: ip(7), ipv6(7), RFC 3542. */
#include "internal.h"
#include "sentry/net/link.h"
#include <errno.h>
#include <string.h>

enum ip_cmsg {
	IP_TOS = 1,
	IP_TTL = 2,
	IP_PKTINFO = 8,
	IP_RECVTTL = 12,
	IP_RECVTOS = 13,
};

enum ipv6_cmsg {
	IPV6_2292PKTINFO = 2,
	IPV6_2292HOPLIMIT = 8,
	IPV6_UNICAST_HOPS = 16,
	IPV6_RECVPKTINFO = 49,
	IPV6_PKTINFO = 50,
	IPV6_RECVHOPLIMIT = 51,
	IPV6_HOPLIMIT = 52,
	IPV6_RECVTCLASS = 66,
	IPV6_TCLASS = 67,
};

struct in_pktinfo {
	int32_t ifindex;
	uint8_t spec_dst[4], addr[4];
};

struct in6_pktinfo {
	uint8_t addr[16];
	int32_t ifindex;
};

static int
value(const struct sock_ctl *c, int32_t min, int32_t max, int32_t *ret)
{
	if (c->len == 1 && c->level == LX_SOL_IP && c->type == IP_TOS)
		*ret = c->data[0];
	else if (c->len == sizeof *ret)
		memcpy(ret, c->data, sizeof *ret);
	else
		return -EINVAL;
	return *ret < min || *ret > max ? -EINVAL : 0;
}

/* The address that a message is to come from. */
static int
source(struct sock *s, const uint8_t ip[16], int32_t ifindex, struct inet_addr *from)
{
	static const uint8_t any[16], any4[16] = {[10] = 0xff, 0xff};

	struct net_link l;

	if (ifindex && net_link_find(s->net, ifindex, NULL, &l) < 0)
		return -ENODEV;
	if (memcmp(ip, any, 16) == 0 || memcmp(ip, any4, 16) == 0)
		return 0;
	if (!net_is_local(s->net, ip))
		return -EINVAL;
	memcpy(from->ip, ip, 16);
	return 0;
}

static int
in4(struct sock *s, const struct sock_ctl *c, struct inet_addr *from, struct sock_meta *meta)
{
	struct in_pktinfo p;
	uint8_t ip[16];
	int32_t v;
	int r;

	switch (c->type) {
	case IP_TOS:
		r = value(c, 0, 255, &v);
		if (r == 0)
			meta->tos = (uint8_t)v;
		return r;
	case IP_TTL:
		r = value(c, 1, 255, &v);
		if (r == 0)
			meta->ttl = (uint8_t)v;
		return r;
	case IP_PKTINFO:
		if (c->len != sizeof p)
			return -EINVAL;
		memcpy(&p, c->data, sizeof p);
		memcpy(ip, inet_mapped, 12);
		memcpy(ip + 12, p.spec_dst, 4);
		return source(s, ip, p.ifindex, from);
	default:
		return -EINVAL;
	}
}

static int
in6(struct sock *s, const struct sock_ctl *c, struct inet_addr *from, struct sock_meta *meta)
{
	struct in6_pktinfo p;
	int32_t v;
	int r;

	switch (c->type) {
	case IPV6_2292PKTINFO:
	case IPV6_PKTINFO:
		if (c->len < sizeof p)
			return -EINVAL;
		memcpy(&p, c->data, sizeof p);
		return source(s, p.addr, p.ifindex, from);
	case IPV6_2292HOPLIMIT:
	case IPV6_HOPLIMIT:
		r = value(c, -1, 255, &v);
		if (r == 0 && v >= 0)
			meta->ttl = (uint8_t)v;
		return r;
	case IPV6_TCLASS:
		r = value(c, -1, 255, &v);
		if (r == 0)
			meta->tos = v < 0 ? 0 : (uint8_t)v;
		return r;
	default:
		return -EINVAL;
	}
}

int
inet_ctl_in(
	struct sock *s, const struct sock_msg *m, struct inet_addr *from, struct sock_meta *meta)
{
	bool v4 = meta->to[10] == 0xff && memcmp(meta->to, inet_mapped, 12) == 0;
	int r = 0;

	/* What belongs to another level is passed over, as there. */
	for (uint32_t k = 0; k < m->nctl && r == 0; k++) {
		const struct sock_ctl *c = &m->ctl[k];

		if (v4 && c->level == LX_SOL_IP)
			r = in4(s, c, from, meta);
		else if (c->level == LX_SOL_IPV6 &&
			 (!v4 || (s->family == LX_AF_INET6 && c->type == IPV6_PKTINFO)))
			r = in6(s, c, from, meta);
	}
	return r;
}

int32_t
inet_ctl_oif(const struct sock *s, const struct sock_msg *m)
{
	struct in6_pktinfo p6;
	struct in_pktinfo p;
	int32_t oif = 0;

	for (uint32_t k = 0; k < m->nctl; k++) {
		const struct sock_ctl *c = &m->ctl[k];

		if (c->level == LX_SOL_IP && c->type == IP_PKTINFO && c->len == sizeof p) {
			memcpy(&p, c->data, sizeof p);
			oif = p.ifindex;
		} else if (s->family == LX_AF_INET6 && c->level == LX_SOL_IPV6 &&
			   c->type == IPV6_PKTINFO && c->len >= sizeof p6) {
			memcpy(&p6, c->data, sizeof p6);
			oif = p6.ifindex;
		}
	}
	return oif;
}

static void
put(struct sock_msg *m, int level, int type, const void *data, size_t len)
{
	struct sock_ctl *c;

	if (m->nctl == SOCK_CTL_MAX)
		return;
	c = &m->ctl[m->nctl++];
	*c = (struct sock_ctl){level, type, (uint32_t)len, {0}};
	memcpy(c->data, data, len);
}

static void
put_int(struct sock_msg *m, int level, int type, int32_t v)
{
	put(m, level, type, &v, sizeof v);
}

static void
out4(const struct inet_sock *i, struct sock_msg *m)
{
	if (i->ip_opt[IP_PKTINFO]) {
		struct in_pktinfo p = {.ifindex = m->meta.iif ? m->meta.iif : NET_LO_INDEX};

		memcpy(p.addr, m->meta.to + 12, 4);
		memcpy(p.spec_dst, m->meta.to + 12, 4);
		put(m, LX_SOL_IP, IP_PKTINFO, &p, sizeof p);
	}
	if (i->ip_opt[IP_RECVTTL])
		put_int(m, LX_SOL_IP, IP_TTL, m->meta.ttl);
	if (i->ip_opt[IP_RECVTOS])
		put(m, LX_SOL_IP, IP_TOS, &m->meta.tos, 1);
}

void
inet_ctl_out(struct sock *s, struct sock_msg *m)
{
	const struct inet_sock *i = is(s);
	bool v4 = memcmp(m->meta.to, inet_mapped, 12) == 0;
	struct in6_pktinfo p = {.ifindex = m->meta.iif ? m->meta.iif : NET_LO_INDEX};

	m->nctl = 0;
	memcpy(p.addr, m->meta.to, 16);
	if (s->family == LX_AF_INET6) {
		if (i->ip6_opt[IPV6_RECVPKTINFO])
			put(m, LX_SOL_IPV6, IPV6_PKTINFO, &p, sizeof p);
		if (i->ip6_opt[IPV6_2292PKTINFO])
			put(m, LX_SOL_IPV6, IPV6_2292PKTINFO, &p, sizeof p);
	}
	if (v4) {
		out4(i, m);
		return;
	}
	if (i->ip6_opt[IPV6_RECVHOPLIMIT])
		put_int(m, LX_SOL_IPV6, IPV6_HOPLIMIT, m->meta.ttl);
	if (i->ip6_opt[IPV6_2292HOPLIMIT])
		put_int(m, LX_SOL_IPV6, IPV6_2292HOPLIMIT, m->meta.ttl);
	if (i->ip6_opt[IPV6_RECVTCLASS])
		put_int(m, LX_SOL_IPV6, IPV6_TCLASS, m->meta.tos);
}
