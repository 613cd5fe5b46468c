/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink(7): routes. What a route may have here: a destination, a table, a type, a scope, lo or
 * a gateway, a metric, a source, a protocol. Metrics of a path, several next hops, encapsulation
 * and the like are refused (EOPNOTSUPP). Linux: net/ipv4/fib_frontend.c, net/ipv6/route.c.
 */
#include "abi/socket.h"
#include "internal.h"
#include <errno.h>
#include <string.h>

/* --- shown --- */

void
nl_put_cacheinfo(struct nl_reply *r)
{
	struct lx_rta_cacheinfo ci = {0};
	uint8_t medium = 0;

	nl_put(r, LX_RTA_CACHEINFO, &ci, sizeof ci);
	nl_put(r, LX_RTA_PREF, &medium, 1);
}

/* The order of attributes is that of fib_dump_info, and of rt6_fill_node. */
void
nl_put_route(struct nl_reply *r, uint16_t type, uint16_t flags, const struct net_route *x)
{
	struct lx_rtmsg m = {.family = x->family,
		.dst_len = x->dst_len,
		.table = x->table < 256 ? (uint8_t)x->table : LX_RT_TABLE_COMPAT,
		.protocol = x->protocol,
		.scope = x->scope,
		.type = x->type,
		.flags = x->onlink ? LX_RTNH_F_ONLINK : 0};
	bool v4 = x->family == LX_AF_INET;
	size_t len = v4 ? 4 : 16;

	nl_begin(r, type, flags, &m, sizeof m);
	nl_put_u32(r, LX_RTA_TABLE, x->table);
	if (x->dst_len)
		nl_put(r, LX_RTA_DST, x->dst, len);
	if (v4 && x->priority)
		nl_put_u32(r, LX_RTA_PRIORITY, x->priority);
	if (x->has_prefsrc)
		nl_put(r, LX_RTA_PREFSRC, x->prefsrc, len);
	if (!v4)
		nl_put_u32(r, LX_RTA_PRIORITY, x->priority);
	if (x->has_gateway)
		nl_put(r, LX_RTA_GATEWAY, x->gateway, len);
	if (x->oif)
		nl_put_u32(r, LX_RTA_OIF, (uint32_t)x->oif);
	if (!v4)
		nl_put_cacheinfo(r);
	nl_end(r);
}

/* What a dump is of; 0: all. */
struct wanted {
	struct nl_reply *r;
	uint8_t family, protocol, type;
	uint32_t table;
	int32_t oif;
};

static void
one_route(const struct net_route *x, void *arg)
{
	const struct wanted *w = arg;

	if ((w->family && w->family != x->family) || (w->protocol && w->protocol != x->protocol) ||
		(w->type && w->type != x->type) || (w->table && w->table != x->table) ||
		(w->oif && w->oif != x->oif))
		return;
	nl_put_route(w->r, LX_RTM_NEWROUTE, LX_NLM_F_MULTI, x);
}

/* Only who asked for strictness may ask for less than all of a family (ip_valid_fib_dump_req). */
static int
take_filter(const struct nl_request *rq, struct wanted *w)
{
	struct lx_rtmsg m;

	if (rq->len < sizeof m)
		return -EINVAL;
	memcpy(&m, rq->body, sizeof m);
	if (m.dst_len || m.src_len || m.tos || m.scope)
		return -EINVAL;
	w->protocol = m.protocol;
	w->type = m.type;
	w->table = m.table;
	return nl_take_attr(rq, sizeof m, LX_RTA_TABLE, &w->table, 4) < 0 ||
			       nl_take_attr(rq, sizeof m, LX_RTA_OIF, &w->oif, 4) < 0
		       ? -EINVAL
		       : 0;
}

static int
dump(struct nl_sock *s, const struct nl_request *rq, struct nl_reply *r)
{
	struct wanted w = {.r = r, .family = rq->body[0]};
	int err = s->strict ? take_filter(rq, &w) : 0;

	if (err)
		return err;
	if (w.table && w.family && !net_ns_on_host(s->s.net) &&
		!net_table_exists(s->s.net, w.family, w.table)) {
		nl_done(r, -ENOENT);
		return 0;
	}
	err = net_routes(s->s.net, one_route, &w);
	nl_done(r, err);
	return 0;
}

/* --- changed --- */

static int
take_route(const struct nl_request *rq, struct net_route *x)
{
	static const uint16_t known[] = {LX_RTA_DST, LX_RTA_OIF, LX_RTA_GATEWAY, LX_RTA_PRIORITY,
		LX_RTA_PREFSRC, LX_RTA_TABLE, LX_RTA_PREF, 0};
	static const uint8_t zero[16];
	struct lx_rtmsg m;
	size_t len;
	uint8_t pref;
	int r;

	if (rq->len < sizeof m)
		return -EINVAL;
	memcpy(&m, rq->body, sizeof m);
	if (m.family != LX_AF_INET && m.family != LX_AF_INET6)
		return -EOPNOTSUPP;
	len = m.family == LX_AF_INET ? 4 : 16;
	if (m.dst_len > 8 * len || m.src_len || m.type > LX_RTN_MAX)
		return -EINVAL;
	if (m.tos || m.flags & ~(uint32_t)LX_RTNH_F_ONLINK)
		return -EOPNOTSUPP;
	*x = (struct net_route){.family = m.family,
		.dst_len = m.dst_len,
		.protocol = m.protocol,
		.scope = m.scope,
		.type = m.type,
		.table = m.table,
		.onlink = m.flags & LX_RTNH_F_ONLINK};
	r = nl_take_attr(rq, sizeof m, LX_RTA_GATEWAY, x->gateway, len);
	if (r < 0)
		return r;
	x->has_gateway = r > 0 && memcmp(x->gateway, zero, len) != 0;
	r = nl_take_attr(rq, sizeof m, LX_RTA_PREFSRC, x->prefsrc, len);
	if (r < 0)
		return r;
	x->has_prefsrc = r > 0 && memcmp(x->prefsrc, zero, len) != 0;
	if (nl_take_attr(rq, sizeof m, LX_RTA_DST, x->dst, len) < 0 ||
		nl_take_attr(rq, sizeof m, LX_RTA_OIF, &x->oif, 4) < 0 ||
		nl_take_attr(rq, sizeof m, LX_RTA_PRIORITY, &x->priority, 4) < 0 ||
		nl_take_attr(rq, sizeof m, LX_RTA_TABLE, &x->table, 4) < 0)
		return -EINVAL;
	/* IPv6, of routers; it is shown for those alone. */
	if (nl_take_attr(rq, sizeof m, LX_RTA_PREF, &pref, 1) < 0)
		return -EINVAL;
	if (!x->table)
		x->table = LX_RT_TABLE_MAIN;
	return nl_attrs_only(rq, sizeof m, known) ? 0 : -EOPNOTSUPP;
}

struct news {
	uint16_t type, flags;
	const struct net_route *x;
};

static void
tell(struct nl_reply *r, void *arg)
{
	const struct news *n = arg;

	nl_put_route(r, n->type, n->flags, n->x);
}

int
nl_fib(struct nl_sock *s, const struct call *c, const struct nl_request *rq, struct nl_reply *r)
{
	struct net_route x;
	struct news n = {.type = rq->h.type, .x = &x};
	int err;

	if (nl_is_dump(rq))
		return dump(s, rq, r);
	if (rq->h.type == LX_RTM_GETROUTE)
		return nl_route_find(s, c, rq, r);
	err = take_route(rq, &x);
	if (err)
		return err;
	if (rq->h.type == LX_RTM_NEWROUTE) {
		err = net_route_add(s->s.net, &x, rq->h.flags, &n.flags);
		if (err || !n.flags)
			return err;
	} else {
		err = net_route_remove(s->s.net, &x);
		if (err)
			return err;
	}
	nl_tell(s, rq, x.family == LX_AF_INET ? LX_RTNLGRP_IPV4_ROUTE : LX_RTNLGRP_IPV6_ROUTE, tell,
		&n);
	return 0;
}
