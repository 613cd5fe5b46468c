/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which route a packet would take, in a namespace whose only interface is lo: RTM_GETROUTE of
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
	uint8_t dst[16], src[16];
	bool has_dst, has_src; /* not all zero */
	uint32_t oif, iif, mark, uid;
	/* the answer */
	uint8_t source[16]; /* what the packet would come from */
	bool has_source, found;
	uint8_t type; /* LX_RTN_*, IPv4 */
	struct net_route route;
};

static void
put_cacheinfo(struct nl_reply *r)
{
	struct lx_rta_cacheinfo ci = {0};
	uint8_t medium = 0;

	nl_put(r, LX_RTA_CACHEINFO, &ci, sizeof ci);
	nl_put(r, LX_RTA_PREF, &medium, 1);
}

void
nl_put_route(struct nl_reply *r, uint16_t flags, const struct net_route *x)
{
	struct lx_rtmsg m = {.family = x->family,
		.dst_len = x->dst_len,
		.table = x->table,
		.protocol = x->protocol,
		.scope = x->scope,
		.type = x->type};
	size_t len = x->family == LX_AF_INET ? 4 : 16;

	nl_begin(r, LX_RTM_NEWROUTE, flags, &m, sizeof m);
	nl_put_u32(r, LX_RTA_TABLE, x->table);
	nl_put(r, LX_RTA_DST, x->dst, len);
	if (x->family == LX_AF_INET6)
		nl_put_u32(r, LX_RTA_PRIORITY, x->priority);
	if (x->has_prefsrc)
		nl_put(r, LX_RTA_PREFSRC, x->prefsrc, len);
	nl_put_u32(r, LX_RTA_OIF, (uint32_t)x->oif);
	if (x->family == LX_AF_INET6)
		put_cacheinfo(r);
	nl_end(r);
}

/* --- the table --- */

struct best {
	uint8_t family;
	const uint8_t *to;
	bool found;
	struct net_route route;
};

/* The longest prefix that has the address in it. */
static void
better_route(const struct net_route *x, void *arg)
{
	struct best *b = arg;
	unsigned bits = x->dst_len;

	if (x->family != b->family || (b->found && b->route.dst_len >= bits))
		return;
	if (memcmp(x->dst, b->to, bits / 8) != 0)
		return;
	if (bits % 8 && ((x->dst[bits / 8] ^ b->to[bits / 8]) & (0xff00 >> bits % 8) & 0xff))
		return;
	b->found = true;
	b->route = *x;
}

static bool
route_to(const struct lookup *l, const uint8_t *to, struct net_route *ret)
{
	struct best b = {.family = l->m.family, .to = to};

	net_routes(l->net, better_route, &b);
	*ret = b.route;
	return b.found;
}

static bool
is_ours(const struct lookup *l, const uint8_t *to)
{
	struct net_route r;

	return route_to(l, to, &r) && r.type == LX_RTN_LOCAL;
}

struct source {
	struct lookup *l;
	uint8_t scope; /* at most */
};

static void
take_source(const struct net_addr *a, void *arg)
{
	struct source *s = arg;

	if (a->family != s->l->m.family || s->l->has_source)
		return;
	if (a->family == LX_AF_INET && a->scope > s->scope)
		return;
	memcpy(s->l->source, a->addr, sizeof a->addr);
	s->l->has_source = true;
}

/* inet_select_addr(): the first address of lo whose scope is no narrower. */
static void
select_source(struct lookup *l, uint8_t scope)
{
	struct source s = {l, scope};

	if (!l->has_source)
		net_addrs(l->net, take_source, &s);
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

/* As a packet that came in by lo. */
static int
input4(struct lookup *l)
{
	struct net_link link;

	if (net_link_find(l->net, (int32_t)l->iif, NULL, &link) < 0)
		return -ENODEV;
	if (l->dst[0] == 127 || l->src[0] == 127 || l->src[0] == 0 || is_multicast(l->src) ||
		is_limited_broadcast(l->src) || is_ours(l, l->src))
		return -EINVAL; /* martians */
	l->type = LX_RTN_LOCAL;
	l->found = route_to(l, l->dst, &l->route) && l->route.type == LX_RTN_LOCAL;
	return l->found ? 0 : -EHOSTUNREACH;
}

static int
output4(struct lookup *l)
{
	struct net_link link;
	const bool everybody = is_limited_broadcast(l->dst), group = is_multicast(l->dst);
	bool on_link = false;

	if (l->has_src) {
		if (l->src[0] == 0 || is_multicast(l->src) || is_limited_broadcast(l->src))
			return -EINVAL;
		if (!is_ours(l, l->src))
			return -ENETUNREACH;
		on_link = !l->oif && (group || everybody);
	}
	memcpy(l->source, l->src, sizeof l->source);
	l->has_source = l->has_src;
	if (l->oif) {
		if (net_link_find(l->net, (int32_t)l->oif, NULL, &link) < 0)
			return -ENODEV;
		if (!(link.flags & LX_IFF_UP))
			return -ENETUNREACH;
		if (everybody || (group && memcmp(l->dst, "\340\0\0", 3) == 0)) {
			select_source(l, LX_RT_SCOPE_LINK);
			on_link = true;
		} else if (group) {
			select_source(l, LX_RT_SCOPE_UNIVERSE);
		} else if (!l->has_dst) {
			select_source(l, LX_RT_SCOPE_HOST);
		}
	}
	l->type = everybody ? LX_RTN_BROADCAST : group ? LX_RTN_MULTICAST : LX_RTN_UNICAST;
	if (on_link)
		return 0;
	if (!l->has_dst) {
		/* What goes to nobody in particular goes to oneself. */
		if (!l->has_source)
			memcpy(l->source, (const uint8_t[4]){127, 0, 0, 1}, 4);
		l->has_source = true;
		l->type = LX_RTN_LOCAL;
		return 0;
	}
	l->found = route_to(l, l->dst, &l->route);
	if (l->found) {
		if (!group && !everybody)
			l->type = l->route.type;
		if (!l->has_source)
			memcpy(l->source, l->route.has_prefsrc ? l->route.prefsrc : l->dst, 4);
		l->has_source = true;
	} else if (l->oif) {
		select_source(l, LX_RT_SCOPE_LINK); /* it is said to be there, so it may be */
	} else {
		return -ENETUNREACH;
	}
	return group || everybody || l->dst[0] != 0 ? 0 : -EINVAL;
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
	struct lx_rta_cacheinfo ci = {.clntref = 1};

	if (l->m.flags & LX_RTM_F_FIB_MATCH) {
		if (!l->found)
			return -EHOSTUNREACH;
		/* Without rules of somebody's own, the local table is one with the main one. */
		l->route.table = LX_RT_TABLE_MAIN;
		nl_put_route(r, 0, &l->route);
		return 0;
	}
	if (l->type == LX_RTN_BROADCAST)
		m.flags |= LX_RTCF_BROADCAST;
	else if (l->type == LX_RTN_MULTICAST)
		m.flags |= LX_RTCF_MULTICAST;
	/* All hosts are in the group of all; who joined another is not looked for. */
	if (l->type == LX_RTN_MULTICAST && memcmp(l->dst, "\340\0\0\1", 4) != 0)
		m.flags &= ~LX_RTCF_LOCAL;
	nl_begin(r, LX_RTM_NEWROUTE, 0, &m, sizeof m);
	nl_put_u32(r, LX_RTA_TABLE, LX_RT_TABLE_MAIN);
	nl_put(r, LX_RTA_DST, l->dst, 4);
	if (l->has_src)
		nl_put(r, LX_RTA_SRC, l->src, 4);
	nl_put_u32(r, LX_RTA_OIF, NET_LO_INDEX);
	if (!l->iif && l->has_source && memcmp(l->source, l->src, 4) != 0)
		nl_put(r, LX_RTA_PREFSRC, l->source, 4);
	if (l->mark)
		nl_put_u32(r, LX_RTA_MARK, l->mark);
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

	if (l->iif && net_link_find(l->net, (int32_t)l->iif, NULL, &link) < 0)
		return -ENODEV;
	l->found = route_to(l, l->dst, &l->route);
	if (!l->found || (l->oif && l->oif != (uint32_t)l->route.oif))
		return -ENETUNREACH;
	if (l->route.type == LX_RTN_LOCAL) {
		memcpy(l->source, l->dst, 16);
		l->has_source = true;
	} else {
		select_source(l, LX_RT_SCOPE_HOST);
	}
	return 0;
}

static int
answer6(const struct lookup *l, struct nl_reply *r)
{
	const struct net_route *x = &l->route;
	struct lx_rtmsg m = {.family = LX_AF_INET6,
		.dst_len = 128,
		.src_len = 128,
		.table = x->table,
		.protocol = x->protocol,
		.scope = x->scope,
		.type = x->type};

	if (l->m.flags & LX_RTM_F_FIB_MATCH) {
		nl_put_route(r, 0, x);
		return 0;
	}
	nl_begin(r, LX_RTM_NEWROUTE, 0, &m, sizeof m);
	nl_put_u32(r, LX_RTA_TABLE, x->table);
	nl_put(r, LX_RTA_DST, l->dst, 16);
	nl_put(r, LX_RTA_SRC, l->src, 16);
	if (l->iif)
		nl_put_u32(r, LX_RTA_IIF, l->iif);
	else if (l->has_source)
		nl_put(r, LX_RTA_PREFSRC, l->source, 16);
	nl_put_u32(r, LX_RTA_PRIORITY, x->priority);
	nl_put_u32(r, LX_RTA_OIF, (uint32_t)x->oif);
	put_cacheinfo(r);
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

static int
take_address(const struct lookup *l, const struct nl_request *rq, uint16_t type, uint8_t *ret)
{
	size_t len = 0;
	const uint8_t *a = nl_attr(rq, sizeof l->m, type, &len);

	if (a && len != l->bytes)
		return -EINVAL;
	if (a)
		memcpy(ret, a, len);
	return 0;
}

static int
take_number(const struct nl_request *rq, uint16_t type, uint32_t *ret)
{
	size_t len = 0;
	const uint8_t *a = nl_attr(rq, sizeof(struct lx_rtmsg), type, &len);

	if (a && len != sizeof *ret)
		return -EINVAL;
	if (a)
		memcpy(ret, a, len);
	return a != NULL;
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
	int r;

	if (take_address(l, rq, LX_RTA_DST, l->dst) < 0 ||
		take_address(l, rq, LX_RTA_SRC, l->src) < 0 ||
		take_number(rq, LX_RTA_OIF, &l->oif) < 0 ||
		take_number(rq, LX_RTA_IIF, &l->iif) < 0 ||
		take_number(rq, LX_RTA_MARK, &l->mark) < 0)
		return -EINVAL;
	r = take_number(rq, LX_RTA_UID, &l->uid);
	if (r < 0 || (r > 0 && l->uid == ~0u))
		return -EINVAL;
	if (r == 0)
		l->uid = uid_out(c->cred->user_ns, c->cred->uid);
	l->has_dst = !is_zero(l->dst, l->bytes);
	l->has_src = !is_zero(l->src, l->bytes);
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
