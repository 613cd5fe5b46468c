/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which route a packet would take, RTM_GETROUTE of
 * rtnetlink(7), as `ip route get` asks. The rules are those of Linux' net/ipv4/route.c
 * (inet_rtm_getroute, ip_route_output_key_hash_rcu) and net/ipv6/route.c (inet6_rtm_getroute).
 */
#include "abi/socket.h"
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include <errno.h>
#include <string.h>

struct lookup {
	struct net_ns *net;
	struct lx_rtmsg m;
	size_t bytes; /* of an address */
	struct net_flow f;
	uint32_t iif, uid;     /* as they are asked, and shown */
	bool has_dst, has_src; /* not all zero */
	/* the answer */
	bool found;
	uint8_t type; /* LX_RTN_*, IPv4 */
	struct net_path path;
};

static bool
is_ours(const struct lookup *l, const uint8_t *ip)
{
	return net_address_type(l->net, LX_AF_INET, ip) == LX_RTN_LOCAL;
}

static void
select_source(struct lookup *l, uint8_t scope)
{
	if (!l->path.has_source)
		l->path.has_source = net_source_in_scope(l->net, scope, l->path.source);
}

/* --- IPv4 --- */

static bool
is_multicast(const uint8_t *a)
{
	return (a[0] & 0xf0) == 0xe0;
}

static bool
is_limited_broadcast(const uint8_t *a)
{
	return memcmp(a, "\377\377\377\377", 4) == 0;
}

/* As a packet that came in; what is not for this host is not passed on. */
static int
input4(struct lookup *l)
{
	const uint8_t *dst = l->f.dst, *src = l->f.src;
	struct net_link link;
	int err;

	if (net_link_find(l->net, l->f.iif, NULL, &link) < 0)
		return -ENODEV;
	if (dst[0] == 127 || src[0] == 127 || src[0] == 0 || is_multicast(src) ||
		is_limited_broadcast(src) || is_ours(l, src))
		return -EINVAL; /* martians */
	err = net_path_find(l->net, &l->f, &l->path);
	l->type = l->path.route.type;
	l->found = !err && l->type == LX_RTN_LOCAL;
	return l->found ? 0 : err && err != -ENETUNREACH ? err : -EHOSTUNREACH;
}

/* What the flow itself decides: 0, and *ret_done: nothing is left to be looked for. */
static int
before_route4(struct lookup *l, bool *ret_done)
{
	const uint8_t *dst = l->f.dst, *src = l->f.src;
	const bool everybody = is_limited_broadcast(dst), group = is_multicast(dst);
	struct net_link link;

	if (l->has_src) {
		if (src[0] == 0 || is_multicast(src) || is_limited_broadcast(src))
			return -EINVAL;
		if (!is_ours(l, src))
			return -ENETUNREACH;
		*ret_done = !l->f.oif && (group || everybody);
	}
	if (l->f.oif) {
		if (net_link_find(l->net, l->f.oif, NULL, &link) < 0)
			return -ENODEV;
		if (!(link.flags & LX_IFF_UP))
			return -ENETUNREACH;
		if (everybody || (group && memcmp(dst, "\340\0\0", 3) == 0)) {
			select_source(l, LX_RT_SCOPE_LINK);
			*ret_done = true;
		} else if (group) {
			select_source(l, LX_RT_SCOPE_UNIVERSE);
		} else if (!l->has_dst) {
			select_source(l, LX_RT_SCOPE_HOST);
		}
	}
	return 0;
}

static int
output4(struct lookup *l)
{
	const uint8_t *dst = l->f.dst;
	const bool everybody = is_limited_broadcast(dst), group = is_multicast(dst);
	struct net_path found;
	bool done = false;
	int err;

	memcpy(l->path.source, l->f.src, sizeof l->path.source);
	l->path.has_source = l->has_src;
	err = before_route4(l, &done);
	if (err)
		return err;
	l->type = everybody ? LX_RTN_BROADCAST : group ? LX_RTN_MULTICAST : LX_RTN_UNICAST;
	if (done)
		return 0;
	if (!l->has_dst) {
		/* What goes to nobody in particular goes to oneself. */
		if (!l->path.has_source)
			memcpy(l->path.source, (const uint8_t[4]){127, 0, 0, 1}, 4);
		l->path.has_source = true;
		l->type = LX_RTN_LOCAL;
		return 0;
	}
	err = net_path_find(l->net, &l->f, &found);
	if (err)
		return err;
	l->found = found.found;
	if (!group && !everybody)
		l->type = found.route.type;
	l->path.route = found.route;
	l->path.leaves = found.leaves;
	if (!l->path.has_source) {
		memcpy(l->path.source, found.source, 4);
		l->path.has_source = found.has_source;
	}
	return group || everybody || dst[0] != 0 ? 0 : -EINVAL;
}

static int
answer4(struct lookup *l, struct nl_reply *r)
{
	struct lx_rtmsg m = {.family = LX_AF_INET,
		.dst_len = 32,
		.src_len = l->has_src ? 32 : 0,
		.table = LX_RT_TABLE_MAIN,
		.type = l->type,
		.flags = LX_RTM_F_CLONED | LX_RTCF_LOCAL};
	int32_t oif = l->path.leaves			    ? l->path.route.oif
		      : l->f.oif && l->type != LX_RTN_LOCAL ? l->f.oif
							    : NET_LO_INDEX;
	struct lx_rta_cacheinfo ci = {.clntref = 1};

	if (l->m.flags & LX_RTM_F_FIB_MATCH) {
		if (!l->found)
			return -EHOSTUNREACH;
		nl_put_route(r, LX_RTM_NEWROUTE, 0, &l->path.route);
		return 0;
	}
	if (oif != NET_LO_INDEX && l->type == LX_RTN_UNICAST)
		m.flags &= ~LX_RTCF_LOCAL;
	if (l->type == LX_RTN_BROADCAST)
		m.flags |= LX_RTCF_BROADCAST;
	else if (l->type == LX_RTN_MULTICAST)
		m.flags |= LX_RTCF_MULTICAST;
	/* All hosts are in the group of all; who joined another is not looked for. */
	if (l->type == LX_RTN_MULTICAST && memcmp(l->f.dst, "\340\0\0\1", 4) != 0)
		m.flags &= ~LX_RTCF_LOCAL;
	nl_begin(r, LX_RTM_NEWROUTE, 0, &m, sizeof m);
	nl_put_u32(r, LX_RTA_TABLE, m.table);
	nl_put(r, LX_RTA_DST, l->f.dst, 4);
	if (l->has_src)
		nl_put(r, LX_RTA_SRC, l->f.src, 4);
	nl_put_u32(r, LX_RTA_OIF, (uint32_t)oif);
	if (!l->iif && l->path.has_source && memcmp(l->path.source, l->f.src, 4) != 0)
		nl_put(r, LX_RTA_PREFSRC, l->path.source, 4);
	if (l->found && l->path.route.has_gateway)
		nl_put(r, LX_RTA_GATEWAY, l->path.route.gateway, 4);
	if (l->f.mark)
		nl_put_u32(r, LX_RTA_MARK, l->f.mark);
	if (l->iif)
		nl_put_u32(r, LX_RTA_IIF, l->iif);
	else
		nl_put_u32(r, LX_RTA_UID, l->uid);
	nl_put(r, LX_RTA_CACHEINFO, &ci, sizeof ci);
	nl_end(r);
	return 0;
}

/* --- IPv6 --- */

static int
find6(struct lookup *l)
{
	struct net_link link;
	int err;

	if (l->iif && net_link_find(l->net, (int32_t)l->iif, NULL, &link) < 0)
		return -ENODEV;
	err = net_path_find(l->net, &l->f, &l->path);
	return err == -EADDRNOTAVAIL ? -ENETUNREACH : err;
}

static int
answer6(const struct lookup *l, struct nl_reply *r)
{
	const struct net_route *x = &l->path.route;
	struct lx_rtmsg m = {.family = LX_AF_INET6,
		.dst_len = 128,
		.src_len = 128,
		.table = x->table < 256 ? (uint8_t)x->table : LX_RT_TABLE_COMPAT,
		.protocol = x->protocol,
		.scope = x->scope,
		.type = x->type};

	if (l->m.flags & LX_RTM_F_FIB_MATCH) {
		nl_put_route(r, LX_RTM_NEWROUTE, 0, x);
		return 0;
	}
	nl_begin(r, LX_RTM_NEWROUTE, 0, &m, sizeof m);
	nl_put_u32(r, LX_RTA_TABLE, x->table);
	nl_put(r, LX_RTA_DST, l->f.dst, 16);
	nl_put(r, LX_RTA_SRC, l->f.src, 16);
	if (l->iif)
		nl_put_u32(r, LX_RTA_IIF, l->iif);
	else if (l->path.has_source)
		nl_put(r, LX_RTA_PREFSRC, l->path.source, 16);
	nl_put_u32(r, LX_RTA_PRIORITY, x->priority);
	if (x->has_gateway)
		nl_put(r, LX_RTA_GATEWAY, x->gateway, 16);
	nl_put_u32(r, LX_RTA_OIF, (uint32_t)(l->path.leaves ? x->oif : NET_LO_INDEX));
	nl_put_cacheinfo(r);
	nl_end(r);
	return 0;
}

/* --- the question --- */

static bool
is_zero(const uint8_t *a, size_t n)
{
	while (n)
		if (a[--n])
			return false;
	return true;
}

/* Who asked for strictness may only ask for one address, and for nothing of the table. */
static bool
is_strict(const struct lookup *l)
{
	const struct lx_rtmsg *m = &l->m;
	const unsigned bits = (unsigned)(8 * l->bytes);

	return (!m->dst_len || m->dst_len == bits) && (!m->src_len || m->src_len == bits) &&
	       !m->table && !m->protocol && !m->scope && !m->type;
}

static int
take(struct lookup *l, const struct call *c, const struct nl_request *rq)
{
	const size_t head = sizeof l->m;
	int r;

	if (nl_take_attr(rq, head, LX_RTA_DST, l->f.dst, l->bytes) < 0 ||
		nl_take_attr(rq, head, LX_RTA_SRC, l->f.src, l->bytes) < 0 ||
		nl_take_attr(rq, head, LX_RTA_OIF, &l->f.oif, 4) < 0 ||
		nl_take_attr(rq, head, LX_RTA_IIF, &l->iif, 4) < 0 ||
		nl_take_attr(rq, head, LX_RTA_MARK, &l->f.mark, 4) < 0)
		return -EINVAL;
	r = nl_take_attr(rq, head, LX_RTA_UID, &l->uid, 4);
	if (r < 0 || (r > 0 && l->uid == ~0u))
		return -EINVAL;
	if (r == 0)
		l->uid = uid_out(c->cred->user_ns, c->cred->uid);
	l->f.uid = r ? uid_in(c->cred->user_ns, l->uid) : c->cred->uid;
	l->f.iif = l->iif ? (int32_t)l->iif : NET_LO_INDEX;
	l->has_dst = !is_zero(l->f.dst, l->bytes);
	l->has_src = !is_zero(l->f.src, l->bytes);
	return 0;
}

int
nl_route_find(
	struct nl_sock *s, const struct call *c, const struct nl_request *rq, struct nl_reply *r)
{
	struct lookup l = {.net = s->s.net};
	int err;

	if (rq->len < sizeof l.m)
		return -EINVAL;
	memcpy(&l.m, rq->body, sizeof l.m);
	if (l.m.family != LX_AF_INET && l.m.family != LX_AF_INET6)
		return -EOPNOTSUPP;
	l.bytes = l.m.family == LX_AF_INET ? 4 : 16;
	l.f.family = l.m.family;
	if (s->strict && !is_strict(&l))
		return -EINVAL;
	err = take(&l, c, rq);
	if (err < 0)
		return err;
	if (l.m.family == LX_AF_INET6) {
		err = find6(&l);
		return err < 0 ? err : answer6(&l, r);
	}
	err = l.iif ? input4(&l) : output4(&l);
	return err < 0 ? err : answer4(&l, r);
}
