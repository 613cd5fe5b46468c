/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink(7) over the sandbox's own interface: links and addresses. lo can be switched on and
 * off, and get more addresses.
 */
#include "abi/socket.h"
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include <errno.h>
#include <string.h>

/* What a question asks for, and where the answer goes. */
struct query {
	struct nl_reply *r;
	uint16_t flags;
	uint8_t family;
	int32_t index; /* 0: all */
	bool found;
};

static void
put_link(struct nl_reply *r, uint16_t flags, const struct net_link *l)
{
	struct lx_ifinfomsg m = {.type = l->type, .index = l->index, .flags = l->flags};
	uint32_t stats[24] = {0};
	uint8_t zero = 0;

	nl_begin(r, LX_RTM_NEWLINK, flags, &m, sizeof m);
	nl_put(r, LX_IFLA_IFNAME, l->name, strlen(l->name) + 1);
	nl_put_u32(r, LX_IFLA_TXQLEN, l->txqlen);
	nl_put(r, LX_IFLA_OPERSTATE, &l->operstate, 1);
	nl_put(r, LX_IFLA_LINKMODE, &zero, 1);
	nl_put_u32(r, LX_IFLA_MTU, l->mtu);
	nl_put_u32(r, LX_IFLA_GROUP, 0);
	nl_put_u32(r, LX_IFLA_PROMISCUITY, 0);
	nl_put_u32(r, LX_IFLA_NUM_TX_QUEUES, 1);
	nl_put_u32(r, LX_IFLA_NUM_RX_QUEUES, 1);
	nl_put(r, LX_IFLA_CARRIER, &l->carrier, 1);
	nl_put(r, LX_IFLA_QDISC, l->no_qdisc ? "noop" : "noqueue", l->no_qdisc ? 5 : 8);
	nl_put(r, LX_IFLA_ADDRESS, l->hwaddr, l->hwaddr_len);
	nl_put(r, LX_IFLA_BROADCAST, l->broadcast, l->hwaddr_len);
	nl_put(r, LX_IFLA_STATS64, &l->stats, sizeof l->stats);
	for (int i = 0; i < 10; i++)
		stats[i] = (uint32_t)(&l->stats.rx_packets)[i];
	nl_put(r, LX_IFLA_STATS, stats, sizeof stats);
	nl_end(r);
}

static void
one_link(const struct net_link *l, void *arg)
{
	struct query *q = arg;

	if (q->index && q->index != l->index)
		return;
	q->found = true;
	put_link(q->r, q->flags, l);
}

static void
put_addr(struct nl_reply *r, uint16_t type, uint16_t flags, const struct net_addr *a)
{
	struct lx_ifaddrmsg m = {a->family, a->prefixlen, a->flags, a->scope, (uint32_t)a->index};
	uint32_t cache[4] = {0xffffffff, 0xffffffff, 0, 0}; /* for ever */
	size_t len = a->family == LX_AF_INET ? 4 : 16;

	nl_begin(r, type, flags, &m, sizeof m);
	nl_put(r, LX_IFA_ADDRESS, a->addr, len);
	if (a->family == LX_AF_INET) {
		nl_put(r, LX_IFA_LOCAL, a->addr, len);
		if (a->has_broadcast)
			nl_put(r, LX_IFA_BROADCAST, a->broadcast, len);
		nl_put(r, LX_IFA_LABEL, "lo", 3);
	}
	nl_put_u32(r, LX_IFA_FLAGS, a->flags);
	nl_put(r, LX_IFA_CACHEINFO, cache, sizeof cache);
	nl_end(r);
}

static void
one_addr(const struct net_addr *a, void *arg)
{
	struct query *q = arg;

	if ((q->family && q->family != a->family) || (q->index && q->index != a->index))
		return;
	put_addr(q->r, LX_RTM_NEWADDR, q->flags, a);
}

/* The link that a request names by number or by name. */
static int
named_link(
	struct net_ns *net, const struct nl_request *rq, struct lx_ifinfomsg *m, struct net_link *l)
{
	char name[16] = "";
	const uint8_t *a;
	size_t len = 0;

	if (rq->len < sizeof *m)
		return -EINVAL;
	memcpy(m, rq->body, sizeof *m);
	a = nl_attr(rq, sizeof *m, LX_IFLA_IFNAME, &len);
	if (a && len > 0)
		memcpy(name, a, len < sizeof name ? len : sizeof name - 1);
	if (m->index <= 0 && !name[0])
		return -EINVAL;
	return net_link_find(net, m->index, name, l);
}

static void
tell_link(struct nl_reply *r, void *arg)
{
	put_link(r, 0, arg);
}

static int
set_link(struct net_ns *net, const struct nl_request *rq)
{
	static const uint16_t changeable[] = {LX_IFLA_IFNAME, LX_IFLA_MTU, LX_IFLA_EXT_MASK, 0};
	struct lx_ifinfomsg m;
	struct net_link l;
	const uint8_t *a;
	size_t len = 0;
	int r = named_link(net, rq, &m, &l);

	if (r == -ENODEV && rq->h.flags & LX_NLM_F_CREATE)
		return -EOPNOTSUPP; /* no kind of link can be made */
	if (r < 0)
		return r;
	if (rq->h.flags & LX_NLM_F_EXCL)
		return -EEXIST;
	/* Only its MTU, and whether it is up; no other name, address, namespace, nor other flags.
	 */
	if (!nl_attrs_only(rq, sizeof m, changeable) ||
		(m.change && m.change != ~0u && m.change & ~(uint32_t)LX_IFF_UP))
		return -EOPNOTSUPP;
	a = nl_attr(rq, sizeof m, LX_IFLA_IFNAME, &len);
	if (a && (len == 0 || strnlen((const char *)a, len) != strlen(l.name) ||
			 memcmp(a, l.name, strlen(l.name)) != 0))
		return -EOPNOTSUPP;
	a = nl_attr(rq, sizeof m, LX_IFLA_MTU, &len);
	if (a && len == 4) {
		uint32_t mtu;

		memcpy(&mtu, a, 4);
		r = net_lo_set_mtu(net, mtu);
		if (r < 0)
			return r;
	}
	/* Without a mask, all of the flags are meant. */
	if (!m.change || m.change & LX_IFF_UP)
		if (m.change || m.flags)
			net_lo_set_up(net, m.flags & LX_IFF_UP);
	if (net_link_find(net, NET_LO_INDEX, NULL, &l) == 0)
		nl_broadcast(net, LX_NETLINK_ROUTE, LX_RTNLGRP_LINK, 0, 0, 0, tell_link, &l);
	return 0;
}

struct addr_news {
	uint16_t type;
	const struct net_addr *a;
};

static void
tell_addr(struct nl_reply *r, void *arg)
{
	const struct addr_news *n = arg;

	put_addr(r, n->type, 0, n->a);
}

static int
change_addr(struct nl_sock *s, const struct nl_request *rq)
{
	/* No lifetimes, labels, peers' metrics: addresses of lo stay until they are removed. */
	static const uint16_t known[] = {
		LX_IFA_ADDRESS, LX_IFA_LOCAL, LX_IFA_BROADCAST, LX_IFA_FLAGS, 0};
	struct net_addr a = {.flags = LX_IFA_F_PERMANENT};
	struct lx_ifaddrmsg m;
	const uint8_t *x;
	size_t len = 0, want;
	int r;

	if (rq->len < sizeof m)
		return -EINVAL;
	memcpy(&m, rq->body, sizeof m);
	if (m.family != LX_AF_INET && m.family != LX_AF_INET6)
		return -EAFNOSUPPORT;
	want = m.family == LX_AF_INET ? 4 : 16;
	x = nl_attr(rq, sizeof m, LX_IFA_LOCAL, &len);
	if (!x)
		x = nl_attr(rq, sizeof m, LX_IFA_ADDRESS, &len);
	if (!x || len != want || m.prefixlen > 8 * want)
		return -EINVAL;
	if (m.index != NET_LO_INDEX)
		return -ENODEV;
	if (rq->h.type == LX_RTM_NEWADDR && !nl_attrs_only(rq, sizeof m, known))
		return -EOPNOTSUPP;
	a.family = m.family;
	a.prefixlen = m.prefixlen;
	a.scope = m.scope;
	a.index = NET_LO_INDEX;
	memcpy(a.addr, x, want);
	if (m.family == LX_AF_INET6)
		a.scope =
			a.addr[15] == 1 && a.addr[0] == 0 ? LX_RT_SCOPE_HOST : LX_RT_SCOPE_UNIVERSE;
	x = nl_attr(rq, sizeof m, LX_IFA_BROADCAST, &len);
	if (x && len == want) {
		memcpy(a.broadcast, x, want);
		a.has_broadcast = true;
	}
	r = rq->h.type == LX_RTM_NEWADDR ? net_lo_add(s->s.net, &a) : net_lo_remove(s->s.net, &a);
	if (r == -EEXIST && rq->h.flags & LX_NLM_F_REPLACE && !(rq->h.flags & LX_NLM_F_EXCL))
		r = 0;
	if (r == 0) {
		struct addr_news n = {rq->h.type, &a};

		nl_tell(s, rq,
			a.family == LX_AF_INET ? LX_RTNLGRP_IPV4_IFADDR : LX_RTNLGRP_IPV6_IFADDR,
			tell_addr, &n);
	}
	return r;
}

int
nl_link(struct nl_sock *s, const struct nl_request *rq, struct nl_reply *r)
{
	struct query q = {.r = r, .flags = LX_NLM_F_MULTI};
	struct lx_ifinfomsg m;
	struct net_link l;
	int err;

	if (nl_is_dump(rq)) {
		net_links(s->s.net, one_link, &q);
		nl_done(r, 0);
		return 0;
	}
	switch (rq->h.type) {
	case LX_RTM_GETLINK:
		err = named_link(s->s.net, rq, &m, &l);
		if (err == 0)
			put_link(r, 0, &l);
		return err;
	case LX_RTM_NEWLINK:
	case LX_RTM_SETLINK:
		return set_link(s->s.net, rq);
	default:
		return -EOPNOTSUPP;
	}
}

int
nl_addr(struct nl_sock *s, const struct nl_request *rq, struct nl_reply *r)
{
	struct query q = {.r = r, .flags = LX_NLM_F_MULTI, .family = rq->body[0]};
	struct lx_ifaddrmsg m;
	int err;

	if (!nl_is_dump(rq))
		return rq->h.type == LX_RTM_GETADDR ? -EOPNOTSUPP : change_addr(s, rq);
	/* Only who asked for strictness may ask for less than all. */
	if (s->strict && rq->len >= sizeof m) {
		memcpy(&m, rq->body, sizeof m);
		q.index = (int32_t)m.index;
	}
	err = net_addrs(s->s.net, one_addr, &q);
	nl_done(r, err);
	return 0;
}
