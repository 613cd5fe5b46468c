/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink(7): neighbours. Linux: net/core/neighbour.c. */
#include "abi/socket.h"
#include "internal.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <string.h>

static uint32_t
age(int64_t since_ns)
{
	return (uint32_t)((sched_now_ns() - since_ns) / 10000000);
}

/* hwaddr_len: of the interface. */
static void
put_neigh(struct nl_reply *r, uint16_t type, uint16_t flags, const struct net_neigh *n,
	size_t hwaddr_len)
{
	bool multicast = n->family == LX_AF_INET ? (n->addr[0] & 0xf0) == 0xe0 : n->addr[0] == 0xff;
	struct lx_ndmsg m = {.family = n->family,
		.index = n->index,
		.state = n->state,
		.flags = n->flags | (n->proxy ? LX_NTF_PROXY : 0),
		.type = n->index == NET_LO_INDEX && !n->proxy ? LX_RTN_LOCAL
			: multicast && !n->proxy	      ? LX_RTN_MULTICAST
							      : LX_RTN_UNICAST};
	uint32_t cache[4] = {
		age(n->confirmed_ns), age(n->used_ns), age(n->changed_ns), 0 /* references */};

	nl_begin(r, type, flags, &m, sizeof m);
	nl_put(r, LX_NDA_DST, n->addr, n->family == LX_AF_INET ? 4 : 16);
	if (!n->proxy) {
		if (!(n->state & (LX_NUD_FAILED | LX_NUD_INCOMPLETE)) && n->state)
			nl_put(r, LX_NDA_LLADDR, n->lladdr, hwaddr_len ? sizeof n->lladdr : 0);
		nl_put_u32(r, LX_NDA_PROBES, n->probes);
		nl_put(r, LX_NDA_CACHEINFO, cache, sizeof cache);
	}
	nl_end(r);
}

struct wanted {
	struct net_ns *net;
	struct nl_reply *r;
	uint8_t family;
	uint32_t index, master; /* 0: any */
	struct net_link link;	/* of the one before */
};

static void
one_neigh(const struct net_neigh *n, void *arg)
{
	struct wanted *w = arg;

	if ((w->family && w->family != n->family) || (w->index && (int32_t)w->index != n->index))
		return;
	if (w->link.index != n->index && net_link_find(w->net, n->index, NULL, &w->link) < 0)
		return;
	put_neigh(w->r, LX_RTM_NEWNEIGH, LX_NLM_F_MULTI, n, w->link.hwaddr_len);
}

static int
dump(struct nl_sock *s, const struct nl_request *rq, struct nl_reply *r)
{
	struct wanted w = {.net = s->s.net, .r = r, .family = rq->body[0]};
	struct lx_ndmsg m = {0};
	int err = 0;

	if (rq->len >= sizeof m) {
		memcpy(&m, rq->body, sizeof m);
		(void)nl_take_attr(rq, sizeof m, LX_NDA_IFINDEX, &w.index, sizeof w.index);
		(void)nl_take_attr(rq, sizeof m, LX_NDA_MASTER, &w.master, sizeof w.master);
	}
	/* No interface is part of another. */
	if (!w.master)
		err = net_neighs(s->s.net, m.flags == LX_NTF_PROXY, one_neigh, &w);
	nl_done(r, err);
	return 0;
}

/* Whom a request is about, and the interface (index 0: not said). */
static int
take(struct nl_sock *s, const struct nl_request *rq, struct net_neigh *n, struct net_link *link)
{
	struct lx_ndmsg m;
	size_t len = 0, want;
	const uint8_t *dst;

	if (rq->len < sizeof m)
		return -EINVAL;
	memcpy(&m, rq->body, sizeof m);
	dst = nl_attr(rq, sizeof m, LX_NDA_DST, &len);
	if (!dst)
		return -EINVAL;
	link->index = 0;
	if (m.index && (m.index < 0 || net_link_find(s->s.net, m.index, NULL, link) < 0))
		return -ENODEV;
	if (m.family != LX_AF_INET && m.family != LX_AF_INET6)
		return -EAFNOSUPPORT;
	want = m.family == LX_AF_INET ? 4 : 16;
	if (len < want)
		return -EINVAL;
	*n = (struct net_neigh){.family = m.family,
		.flags = m.flags & LX_NTF_ROUTER,
		.state = m.state,
		.index = m.index,
		.proxy = m.flags & LX_NTF_PROXY};
	memcpy(n->addr, dst, want);
	return m.flags & ~(LX_NTF_PROXY | LX_NTF_ROUTER) ? -EOPNOTSUPP : 0;
}

struct news {
	uint16_t type;
	const struct net_neigh *n;
	size_t hwaddr_len;
};

static void
tell(struct nl_reply *r, void *arg)
{
	const struct news *x = arg;

	put_neigh(r, x->type, 0, x->n, x->hwaddr_len);
}

static int
add(struct nl_sock *s, const struct nl_request *rq, const struct net_link *link,
	struct net_neigh *n)
{
	static const uint16_t known[] = {
		LX_NDA_DST, LX_NDA_LLADDR, LX_NDA_CACHEINFO, LX_NDA_PROBES, 0};
	size_t len = 0;
	const uint8_t *lladdr = nl_attr(rq, sizeof(struct lx_ndmsg), LX_NDA_LLADDR, &len);

	if (lladdr && len < link->hwaddr_len)
		return -EINVAL;
	if (!link->hwaddr_len)
		lladdr = NULL;
	if (!nl_attrs_only(rq, sizeof(struct lx_ndmsg), known))
		return -EOPNOTSUPP;
	return net_neigh_set(s->s.net, n, lladdr, rq->h.flags);
}

int
nl_neigh(struct nl_sock *s, const struct nl_request *rq, struct nl_reply *r)
{
	struct net_neigh n;
	struct net_link link;
	struct news x = {.type = rq->h.type, .n = &n};
	int err;

	if (nl_is_dump(rq))
		return dump(s, rq, r);
	err = take(s, rq, &n, &link);
	if (err)
		return err;
	if (!link.index)
		return -EINVAL; /* on which link? */
	x.hwaddr_len = link.hwaddr_len;
	switch (rq->h.type) {
	case LX_RTM_GETNEIGH:
		err = net_neigh_find(s->s.net, &n);
		if (!err)
			put_neigh(r, LX_RTM_NEWNEIGH, 0, &n, link.hwaddr_len);
		return err;
	case LX_RTM_NEWNEIGH:
		err = add(s, rq, &link, &n);
		break;
	default:
		err = net_neigh_remove(s->s.net, &n);
		if (!err && !n.proxy)
			n.state = LX_NUD_FAILED;
		break;
	}
	if (!err && !n.proxy)
		nl_tell(s, rq, LX_RTNLGRP_NEIGH, tell, &x);
	return err;
}
