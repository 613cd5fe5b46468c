/* SPDX-License-Identifier: Apache-2.0 */
/* rtnetlink(7): neighbours. Linux: net/core/neighbour.c. */
#include "abi/socket.h"
#include "internal.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <string.h>

static void
put_neigh(struct nl_reply *r, uint16_t type, uint16_t flags, const struct net_neigh *n)
{
	struct lx_ndmsg m = {.family = n->family,
		.index = NET_LO_INDEX,
		.state = n->state,
		.flags = n->flags | (n->proxy ? LX_NTF_PROXY : 0),
		.type = n->proxy ? LX_RTN_UNICAST : LX_RTN_LOCAL};
	uint32_t age = (uint32_t)((sched_now_ns() - n->changed_ns) / 10000000);
	uint32_t cache[4] = {age, age, age, 0}; /* confirmed, used, updated; references */

	nl_begin(r, type, flags, &m, sizeof m);
	nl_put(r, LX_NDA_DST, n->addr, n->family == LX_AF_INET ? 4 : 16);
	if (!n->proxy) {
		if (!(n->state & LX_NUD_FAILED) && n->state)
			nl_put(r, LX_NDA_LLADDR, n->lladdr, sizeof n->lladdr);
		nl_put_u32(r, LX_NDA_PROBES, 0);
		nl_put(r, LX_NDA_CACHEINFO, cache, sizeof cache);
	}
	nl_end(r);
}

struct wanted {
	struct nl_reply *r;
	uint8_t family;
};

static void
one_neigh(const struct net_neigh *n, void *arg)
{
	const struct wanted *w = arg;

	if (!w->family || w->family == n->family)
		put_neigh(w->r, LX_RTM_NEWNEIGH, LX_NLM_F_MULTI, n);
}

static int
dump(struct nl_sock *s, const struct nl_request *rq, struct nl_reply *r)
{
	struct wanted w = {r, rq->body[0]};
	struct lx_ndmsg m = {0};
	int err;

	if (rq->len >= sizeof m)
		memcpy(&m, rq->body, sizeof m);
	err = net_neighs(s->s.net, m.flags == LX_NTF_PROXY, one_neigh, &w);
	nl_done(r, err);
	return 0;
}

/* Whom a request is about. */
static int
take(const struct nl_request *rq, struct net_neigh *n, int32_t *index)
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
	if (m.family != LX_AF_INET && m.family != LX_AF_INET6)
		return -EAFNOSUPPORT;
	want = m.family == LX_AF_INET ? 4 : 16;
	if (len < want)
		return -EINVAL;
	if (m.index && m.index != NET_LO_INDEX)
		return -ENODEV;
	*n = (struct net_neigh){.family = m.family,
		.flags = m.flags & LX_NTF_ROUTER,
		.state = m.state,
		.proxy = m.flags & LX_NTF_PROXY};
	memcpy(n->addr, dst, want);
	*index = m.index;
	return m.flags & ~(LX_NTF_PROXY | LX_NTF_ROUTER) ? -EOPNOTSUPP : 0;
}

struct news {
	uint16_t type;
	const struct net_neigh *n;
};

static void
tell(struct nl_reply *r, void *arg)
{
	const struct news *x = arg;

	put_neigh(r, x->type, 0, x->n);
}

static int
add(struct nl_sock *s, const struct nl_request *rq, struct net_neigh *n)
{
	static const uint16_t known[] = {
		LX_NDA_DST, LX_NDA_LLADDR, LX_NDA_CACHEINFO, LX_NDA_PROBES, 0};
	size_t len = 0;
	const uint8_t *lladdr = nl_attr(rq, sizeof(struct lx_ndmsg), LX_NDA_LLADDR, &len);

	if (lladdr && len < sizeof n->lladdr)
		return -EINVAL;
	if (!nl_attrs_only(rq, sizeof(struct lx_ndmsg), known))
		return -EOPNOTSUPP;
	return net_neigh_set(s->s.net, n, lladdr, rq->h.flags);
}

int
nl_neigh(struct nl_sock *s, const struct nl_request *rq, struct nl_reply *r)
{
	struct net_neigh n;
	struct news x = {rq->h.type, &n};
	int32_t index;
	int err;

	if (nl_is_dump(rq))
		return dump(s, rq, r);
	err = take(rq, &n, &index);
	if (err)
		return err;
	if (!index)
		return -EINVAL; /* on which link? */
	switch (rq->h.type) {
	case LX_RTM_GETNEIGH:
		err = net_neigh_find(s->s.net, &n);
		if (!err)
			put_neigh(r, LX_RTM_NEWNEIGH, 0, &n);
		return err;
	case LX_RTM_NEWNEIGH:
		err = add(s, rq, &n);
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
