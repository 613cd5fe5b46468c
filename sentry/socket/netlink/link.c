/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink(7): links and addresses as they are shown, and what changes addresses. newlink.c has
 * what makes and changes links.
 */
#include "abi/socket.h"
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include "sentry/net/dev.h"
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

/* An attribute with others in it; the result is added to by put_inner. */
struct nest {
	_Alignas(4) uint8_t b[192];
	size_t n;
};

static void
put_inner(struct nest *o, uint16_t type, const void *data, size_t len)
{
	struct lx_nlattr a = {(uint16_t)(sizeof a + len), type};

	memcpy(o->b + o->n, &a, sizeof a);
	memcpy(o->b + o->n + sizeof a, data, len);
	o->n += LX_NLA_ALIGN(a.len);
}

/* tun_fill_info */
static void
put_tun(struct nest *data, const struct net_tun_info *t)
{
	const uint8_t type = t->flags & (LX_IFF_TUN | LX_IFF_TAP), pi = !(t->flags & LX_IFF_NO_PI),
		      vnet = !!(t->flags & LX_IFF_VNET_HDR),
		      persist = !!(t->flags & LX_IFF_PERSIST), no = 0;

	put_inner(data, LX_IFLA_TUN_TYPE, &type, 1);
	if (t->owner != UINT32_MAX)
		put_inner(data, LX_IFLA_TUN_OWNER, &t->owner, 4);
	if (t->group != UINT32_MAX)
		put_inner(data, LX_IFLA_TUN_GROUP, &t->group, 4);
	put_inner(data, LX_IFLA_TUN_PI, &pi, 1);
	put_inner(data, LX_IFLA_TUN_VNET_HDR, &vnet, 1);
	put_inner(data, LX_IFLA_TUN_PERSIST, &persist, 1);
	put_inner(data, LX_IFLA_TUN_MULTI_QUEUE, &no, 1);
}

static void
put_kind(struct nl_reply *r, const struct net_link *l)
{
	struct nest data = {.n = 0}, info = {.n = 0};

	put_inner(&info, LX_IFLA_INFO_KIND, l->kind, strlen(l->kind) + 1);
	if (l->tun.is) {
		put_tun(&data, &l->tun);
		put_inner(&info, LX_IFLA_INFO_DATA, data.b, data.n);
	}
	nl_put(r, LX_IFLA_LINKINFO, info.b, info.n);
}

static void
put_link(struct nl_reply *r, uint16_t type, uint16_t flags, const struct net_link *l)
{
	struct lx_ifinfomsg m = {.type = l->type, .index = l->index, .flags = l->flags};
	const char *qdisc = l->no_qdisc ? "noop" : l->tun.is ? "pfifo_fast" : "noqueue";
	uint32_t stats[24] = {0};
	uint8_t zero = 0;

	nl_begin(r, type, flags, &m, sizeof m);
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
	if (l->iflink != (uint32_t)l->index)
		nl_put_u32(r, LX_IFLA_LINK, l->iflink);
	nl_put(r, LX_IFLA_QDISC, qdisc, strlen(qdisc) + 1);
	if (l->hwaddr_len) {
		nl_put(r, LX_IFLA_ADDRESS, l->hwaddr, l->hwaddr_len);
		nl_put(r, LX_IFLA_BROADCAST, l->broadcast, l->hwaddr_len);
	}
	nl_put(r, LX_IFLA_STATS64, &l->stats, sizeof l->stats);
	for (int i = 0; i < 10; i++)
		stats[i] = (uint32_t)(&l->stats.rx_packets)[i];
	nl_put(r, LX_IFLA_STATS, stats, sizeof stats);
	if (l->kind)
		put_kind(r, l);
	nl_end(r);
}

static void
one_link(const struct net_link *l, void *arg)
{
	struct query *q = arg;

	if (q->index && q->index != l->index)
		return;
	q->found = true;
	put_link(q->r, LX_RTM_NEWLINK, q->flags, l);
}

static void
put_addr(struct nl_reply *r, uint16_t type, uint16_t flags, const struct net_addr *a)
{
	struct net_link l = {.name = "?"};
	char label[16];
	struct lx_ifaddrmsg m = {
		a->family, a->prefixlen, (uint8_t)a->flags, a->scope, (uint32_t)a->index};
	uint32_t cache[4] = {0xffffffff, 0xffffffff, 0, 0}; /* for ever */
	size_t len = a->family == LX_AF_INET ? 4 : 16;

	nl_begin(r, type, flags, &m, sizeof m);
	nl_put(r, LX_IFA_ADDRESS, a->has_peer ? a->peer : a->addr, len);
	if (a->family == LX_AF_INET6 && a->has_peer)
		nl_put(r, LX_IFA_LOCAL, a->addr, len);
	if (a->family == LX_AF_INET) {
		if (!a->label[0])
			(void)net_link_find(r->to->s.net, a->index, NULL, &l);
		memcpy(label, a->label[0] ? a->label : l.name, sizeof label);
		nl_put(r, LX_IFA_LOCAL, a->addr, len);
		if (a->has_broadcast)
			nl_put(r, LX_IFA_BROADCAST, a->broadcast, len);
		nl_put(r, LX_IFA_LABEL, label, strlen(label) + 1);
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
int
nl_named_link(
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

struct link_news {
	uint16_t type;
	const struct net_link *l;
};

static void
tell_link(struct nl_reply *r, void *arg)
{
	const struct link_news *n = arg;

	put_link(r, n->type, 0, n->l);
}

static int
del_link(struct net_ns *net, const struct nl_request *rq)
{
	struct lx_ifinfomsg m;
	struct net_link l;
	struct net_dev *d;
	int r = nl_named_link(net, rq, &m, &l);

	if (r < 0)
		return r;
	d = net_dev_find(net, l.index, NULL);
	if (!d)
		return l.index == NET_LO_INDEX ? -EOPNOTSUPP : -ENODEV;
	net_dev_remove(d);
	net_dev_put(d);
	return 0;
}

void
netlink_link_news(struct net_ns *net, const struct net_link *l, bool gone)
{
	struct link_news n = {gone ? LX_RTM_DELLINK : LX_RTM_NEWLINK, l};

	nl_broadcast(net, LX_NETLINK_ROUTE, LX_RTNLGRP_LINK, 0, 0, 0, tell_link, &n);
}

struct addr_news {
	bool gone;
	const struct net_addr *a;
};

static void
tell_addr(struct nl_reply *r, void *arg)
{
	const struct addr_news *n = arg;

	put_addr(r, n->gone ? LX_RTM_DELADDR : LX_RTM_NEWADDR, 0, n->a);
}

static uint32_t
addr_group(const struct net_addr *a)
{
	return a->family == LX_AF_INET ? LX_RTNLGRP_IPV4_IFADDR : LX_RTNLGRP_IPV6_IFADDR;
}

void
netlink_addr_news(struct net_ns *net, bool gone, const struct net_addr *a)
{
	struct addr_news n = {gone, a};

	nl_broadcast(net, LX_NETLINK_ROUTE, addr_group(a), 0, 0, 0, tell_addr, &n);
}

struct addr_request {
	struct nl_sock *s;
	const struct nl_request *rq;
};

static void
addr_changed(bool gone, const struct net_addr *a, void *arg)
{
	const struct addr_request *r = arg;
	struct addr_news n = {gone, a};

	nl_tell(r->s, r->rq, addr_group(a), tell_addr, &n);
}

static int
change_addr(struct nl_sock *s, const struct nl_request *rq)
{
	/* No lifetimes, peers' metrics: addresses stay until they are removed. */
	static const uint16_t known[] = {
		LX_IFA_ADDRESS, LX_IFA_LOCAL, LX_IFA_BROADCAST, LX_IFA_LABEL, LX_IFA_FLAGS, 0};
	struct addr_request by = {s, rq};
	struct net_addr a = {.flags = LX_IFA_F_PERMANENT};
	struct lx_ifaddrmsg m;
	const uint8_t *x, *peer, *x_flags;
	size_t len = 0, peer_len = 0, flags_len = 0, want;
	uint32_t flags;
	struct net_link link;
	int r;

	if (rq->len < sizeof m)
		return -EINVAL;
	memcpy(&m, rq->body, sizeof m);
	if (m.family != LX_AF_INET && m.family != LX_AF_INET6)
		return -EAFNOSUPPORT;
	want = m.family == LX_AF_INET ? 4 : 16;
	peer = nl_attr(rq, sizeof m, LX_IFA_ADDRESS, &peer_len);
	x = nl_attr(rq, sizeof m, LX_IFA_LOCAL, &len);
	if (!x) {
		x = peer;
		len = peer_len;
	}
	if (!x || len != want || (peer && peer_len != want) || m.prefixlen > 8 * want)
		return -EINVAL;
	if (net_link_find(s->s.net, (int32_t)m.index, NULL, &link) < 0 || !m.index)
		return -ENODEV;
	if (rq->h.type == LX_RTM_NEWADDR && !nl_attrs_only(rq, sizeof m, known))
		return -EOPNOTSUPP;
	x_flags = nl_attr(rq, sizeof m, LX_IFA_FLAGS, &flags_len);
	flags = m.flags;
	if (x_flags && flags_len >= sizeof flags)
		memcpy(&flags, x_flags, sizeof flags);
	if (rq->h.type == LX_RTM_NEWADDR && flags & (LX_IFA_F_MANAGETEMPADDR | LX_IFA_F_MCAUTOJOIN))
		return -EOPNOTSUPP;
	a.family = m.family;
	a.prefixlen = m.prefixlen;
	a.scope = m.scope;
	a.index = (int32_t)m.index;
	memcpy(a.addr, x, want);
	a.has_peer = peer && memcmp(peer, x, want) != 0;
	if (a.has_peer)
		memcpy(a.peer, peer, want);
	if (m.family == LX_AF_INET6) {
		a.scope = a.addr[15] == 1 && a.addr[0] == 0		    ? LX_RT_SCOPE_HOST
			  : a.addr[0] == 0xfe && (a.addr[1] & 0xc0) == 0x80 ? LX_RT_SCOPE_LINK
									    : LX_RT_SCOPE_UNIVERSE;
		if (a.index != NET_LO_INDEX)
			a.flags |= flags & LX_IFA_F_NODAD;
	}
	a.flags |= flags & LX_IFA_F_NOPREFIXROUTE;
	x = nl_attr(rq, sizeof m, LX_IFA_BROADCAST, &len);
	if (x && len == want) {
		memcpy(a.broadcast, x, want);
		a.has_broadcast = true;
	}
	x = nl_attr(rq, sizeof m, LX_IFA_LABEL, &len);
	len = x ? strnlen((const char *)x, len) : 0;
	if (len >= sizeof a.label)
		return -ERANGE;
	if (x && m.family == LX_AF_INET)
		memcpy(a.label, x, len);
	if (rq->h.type == LX_RTM_DELADDR)
		return net_addr_remove(s->s.net, &a, addr_changed, &by);
	r = net_addr_add(s->s.net, &a);
	if (r == -EEXIST && rq->h.flags & LX_NLM_F_REPLACE && !(rq->h.flags & LX_NLM_F_EXCL))
		r = 0;
	if (r == 0)
		addr_changed(false, &a, &by);
	return r;
}

int
nl_link(struct nl_sock *s, const struct call *c, const struct nl_request *rq, struct nl_reply *r)
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
		err = nl_named_link(s->s.net, rq, &m, &l);
		if (err == 0)
			put_link(r, LX_RTM_NEWLINK, 0, &l);
		return err;
	case LX_RTM_NEWLINK:
	case LX_RTM_SETLINK:
		return nl_set_link(s, c, rq);
	case LX_RTM_DELLINK:
		return del_link(s->s.net, rq);
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
