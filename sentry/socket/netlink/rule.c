/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rtnetlink(7): rules (ip-rule(8)). Refused (EOPNOTSUPP): the type of service, realms, tunnels,
 * VRFs, groups of interfaces. Linux: net/core/fib_rules.c.
 */
#include "abi/socket.h"
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include <errno.h>
#include <string.h>

/* struct fib_rule_hdr */
#define HEAD sizeof(struct lx_rtmsg)

/* --- shown --- */

static void
put_rule(struct nl_reply *r, uint16_t type, uint16_t flags, const struct net_rule *x)
{
	struct lx_rtmsg m = {.family = x->family,
		.dst_len = x->dst_len,
		.src_len = x->src_len,
		.table = x->table < 256 ? (uint8_t)x->table : LX_RT_TABLE_COMPAT,
		.type = x->action,
		.flags = (x->invert ? LX_FIB_RULE_INVERT : 0) |
			 (x->unresolved ? LX_FIB_RULE_UNRESOLVED : 0)};
	size_t len = x->family == LX_AF_INET ? 4 : 16;
	struct net_link l;

	if (x->iif[0] && net_link_find(r->to->s.net, 0, x->iif, &l) < 0)
		m.flags |= LX_FIB_RULE_IIF_DETACHED;
	if (x->oif[0] && net_link_find(r->to->s.net, 0, x->oif, &l) < 0)
		m.flags |= LX_FIB_RULE_OIF_DETACHED;
	nl_begin(r, type, flags, &m, sizeof m);
	nl_put_u32(r, LX_FRA_TABLE, x->table);
	nl_put_u32(r, LX_FRA_SUPPRESS_PREFIX, (uint32_t)x->suppress_len);
	nl_put(r, LX_FRA_PROTOCOL, &x->protocol, 1);
	if (x->iif[0])
		nl_put(r, LX_FRA_IIFNAME, x->iif, strlen(x->iif) + 1);
	if (x->oif[0])
		nl_put(r, LX_FRA_OIFNAME, x->oif, strlen(x->oif) + 1);
	if (x->priority)
		nl_put_u32(r, LX_FRA_PRIORITY, x->priority);
	if (x->mark)
		nl_put_u32(r, LX_FRA_FWMARK, x->mark);
	if (x->mark || x->mask)
		nl_put_u32(r, LX_FRA_FWMASK, x->mask);
	if (x->target)
		nl_put_u32(r, LX_FRA_GOTO, x->target);
	if (x->has_uids) {
		const struct user_ns *owner = net_ns_owner(r->to->s.net);
		uint32_t uids[2] = {uid_out(owner, x->uids[0]), uid_out(owner, x->uids[1])};

		nl_put(r, LX_FRA_UID_RANGE, uids, sizeof uids);
	}
	if (x->sports[0])
		nl_put(r, LX_FRA_SPORT_RANGE, x->sports, sizeof x->sports);
	if (x->dports[0])
		nl_put(r, LX_FRA_DPORT_RANGE, x->dports, sizeof x->dports);
	if (x->ipproto)
		nl_put(r, LX_FRA_IP_PROTO, &x->ipproto, 1);
	if (x->dst_len)
		nl_put(r, LX_FRA_DST, x->dst, len);
	if (x->src_len)
		nl_put(r, LX_FRA_SRC, x->src, len);
	nl_end(r);
}

static void
one_rule(const struct net_rule *x, void *arg)
{
	put_rule(arg, LX_RTM_NEWRULE, LX_NLM_F_MULTI, x);
}

static int
dump(struct nl_sock *s, const struct nl_request *rq, struct nl_reply *r)
{
	uint8_t family = rq->body[0];
	int err = 0;

	if (family && family != LX_AF_INET && family != LX_AF_INET6)
		return -EAFNOSUPPORT;
	if (family != LX_AF_INET6)
		err = net_rules(s->s.net, LX_AF_INET, one_rule, r);
	if (!err && family != LX_AF_INET)
		err = net_rules(s->s.net, LX_AF_INET6, one_rule, r);
	nl_done(r, err);
	return 0;
}

/* --- changed --- */

static int
take_name(const struct nl_request *rq, uint16_t type, char ret[16])
{
	size_t len = 0;
	const uint8_t *a = nl_attr(rq, HEAD, type, &len);

	if (!a)
		return 0;
	if (!len || len > 16 || !memchr(a, 0, len))
		return -EINVAL;
	memcpy(ret, a, len);
	return 1;
}

static int
take_ports(const struct nl_request *rq, uint16_t type, uint16_t ret[2])
{
	int r = nl_take_attr(rq, HEAD, type, ret, 4);

	return r > 0 && (!ret[0] || !ret[1] || ret[1] == 0xffff || ret[0] > ret[1]) ? -EINVAL : r;
}

static int
take_uids(const struct call *c, const struct nl_request *rq, struct net_rule *x)
{
	int r = nl_take_attr(rq, HEAD, LX_FRA_UID_RANGE, x->uids, sizeof x->uids);

	if (r <= 0)
		return r;
	if (x->uids[0] == ~0u || x->uids[1] == ~0u)
		return -EINVAL;
	x->uids[0] = uid_in(c->cred->user_ns, x->uids[0]);
	x->uids[1] = uid_in(c->cred->user_ns, x->uids[1]);
	x->has_uids = true;
	return x->uids[0] == ~0u || x->uids[1] == ~0u || x->uids[0] > x->uids[1] ? -EINVAL : 1;
}

/* An address, where the head gives its prefix: 1 if it is there. */
static int
take_prefix(const struct nl_request *rq, uint16_t type, size_t len, uint8_t bits, uint8_t *ret)
{
	size_t have = 0;

	if (bits > 8 * len || (bits && !nl_attr(rq, HEAD, type, &have)))
		return -EINVAL;
	return nl_take_attr(rq, HEAD, type, ret, len);
}

static int
take_rule(const struct call *c, const struct nl_request *rq, struct net_rule *x, unsigned *named)
{
	static const uint16_t known[] = {LX_FRA_DST, LX_FRA_SRC, LX_FRA_IIFNAME, LX_FRA_GOTO,
		LX_FRA_PRIORITY, LX_FRA_FWMARK, LX_FRA_SUPPRESS_PREFIX, LX_FRA_TABLE, LX_FRA_FWMASK,
		LX_FRA_OIFNAME, LX_FRA_UID_RANGE, LX_FRA_PROTOCOL, LX_FRA_IP_PROTO,
		LX_FRA_SPORT_RANGE, LX_FRA_DPORT_RANGE, 0};
	struct lx_rtmsg m;
	size_t len;
	int src, dst, priority, suppress;

	if (rq->len < sizeof m)
		return -EINVAL;
	memcpy(&m, rq->body, sizeof m);
	if (m.family != LX_AF_INET && m.family != LX_AF_INET6)
		return -EAFNOSUPPORT;
	len = m.family == LX_AF_INET ? 4 : 16;
	*x = (struct net_rule){.family = m.family,
		.src_len = m.src_len,
		.dst_len = m.dst_len,
		.action = m.type,
		.table = m.table,
		.invert = m.flags & LX_FIB_RULE_INVERT,
		.suppress_len = -1};
	src = take_prefix(rq, LX_FRA_SRC, len, m.src_len, x->src);
	dst = take_prefix(rq, LX_FRA_DST, len, m.dst_len, x->dst);
	priority = nl_take_attr(rq, HEAD, LX_FRA_PRIORITY, &x->priority, 4);
	suppress = nl_take_attr(rq, HEAD, LX_FRA_SUPPRESS_PREFIX, &x->suppress_len, 4);
	if (src < 0 || dst < 0 || priority < 0 || suppress < 0 ||
		nl_take_attr(rq, HEAD, LX_FRA_GOTO, &x->target, 4) < 0 ||
		nl_take_attr(rq, HEAD, LX_FRA_FWMARK, &x->mark, 4) < 0 ||
		nl_take_attr(rq, HEAD, LX_FRA_TABLE, &x->table, 4) < 0 ||
		nl_take_attr(rq, HEAD, LX_FRA_PROTOCOL, &x->protocol, 1) < 0 ||
		nl_take_attr(rq, HEAD, LX_FRA_IP_PROTO, &x->ipproto, 1) < 0 ||
		take_name(rq, LX_FRA_IIFNAME, x->iif) < 0 ||
		take_name(rq, LX_FRA_OIFNAME, x->oif) < 0 ||
		take_ports(rq, LX_FRA_SPORT_RANGE, x->sports) < 0 ||
		take_ports(rq, LX_FRA_DPORT_RANGE, x->dports) < 0 || take_uids(c, rq, x) < 0)
		return -EINVAL;
	if (x->mark)
		x->mask = ~0u;
	if (nl_take_attr(rq, HEAD, LX_FRA_FWMASK, &x->mask, 4) < 0)
		return -EINVAL;
	*named = (priority ? NET_RULE_PRIORITY : 0) | (src ? NET_RULE_SRC : 0) |
		 (dst ? NET_RULE_DST : 0) | (suppress ? NET_RULE_SUPPRESS : 0);
	return m.tos || !nl_attrs_only(rq, HEAD, known) ? -EOPNOTSUPP : 0;
}

/* What a new one has to have. */
static int
check(const struct net_rule *x)
{
	if (x->action == LX_FR_ACT_GOTO)
		return x->target ? 0 : -EINVAL;
	if (x->target)
		return -EINVAL;
	return x->action == LX_FR_ACT_TO_TBL && !x->table ? -EOPNOTSUPP : 0; /* one of its own */
}

struct news {
	uint16_t type;
	const struct net_rule *x;
};

static void
tell(struct nl_reply *r, void *arg)
{
	const struct news *n = arg;

	put_rule(r, n->type, 0, n->x);
}

int
nl_rule(struct nl_sock *s, const struct call *c, const struct nl_request *rq, struct nl_reply *r)
{
	struct net_rule x;
	struct news n = {rq->h.type, &x};
	unsigned named;
	int err;

	if (nl_is_dump(rq))
		return dump(s, rq, r);
	if (rq->h.type == LX_RTM_GETRULE)
		return -EOPNOTSUPP;
	err = take_rule(c, rq, &x, &named);
	if (!err && rq->h.type == LX_RTM_NEWRULE)
		err = check(&x);
	if (!err)
		err = rq->h.type == LX_RTM_NEWRULE
			      ? net_rule_add(s->s.net, &x, named & NET_RULE_PRIORITY, rq->h.flags)
			      : net_rule_remove(s->s.net, &x, named);
	if (!err)
		nl_tell(s, rq, x.family == LX_AF_INET ? LX_RTNLGRP_IPV4_RULE : LX_RTNLGRP_IPV6_RULE,
			tell, &n);
	return err;
}
