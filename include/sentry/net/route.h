/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes, the rules that choose among their tables (ip-rule(8)), and neighbours, of a network
 * namespace with a stack of its own: what Linux makes of its addresses, and what the guest adds.
 * Addresses of IPv4 are the first four bytes of an array of sixteen.
 */
#ifndef SENTRY_NET_ROUTE_H
#define SENTRY_NET_ROUTE_H

#include "sentry/net/link.h"

#define NET_ROUTES_MAX 4096 /* with those more are not added to a namespace (-ENOBUFS) */
#define NET_RULES_MAX  1024 /* of one family in it */
#define NET_NEIGHS_MAX 1024

struct net_route {
	uint8_t family, dst_len, protocol, scope, type; /* LX_RTN_* */
	uint32_t table, priority;
	int32_t oif; /* 0: none */
	uint8_t dst[16], gateway[16], prefsrc[16];
	bool has_gateway, has_prefsrc, onlink;
};

/* What a route is looked for by. Zero: not known, and it matches what asks for nothing. */
struct net_flow {
	uint8_t family, protocol;
	uint8_t dst[16], src[16];
	int32_t iif, oif;
	uint32_t mark, uid;
	uint16_t sport, dport; /* host order */
};

/* The way of a packet. */
struct net_path {
	struct net_route route;
	uint8_t source[16]; /* what it comes from, unless the flow says it */
	bool has_source;
	bool found;  /* else it is assumed: the flow names the interface */
	bool leaves; /* by route.oif, which is not lo: to route.gateway or the destination */
	bool up;     /* is that, or lo? Else what is sent is lost. */
	bool own;    /* IPv4: the destination is one of this host's addresses */
};

/* Which route a packet takes that is sent here, and what it comes from. -ENETUNREACH: there is
 * none; or what the route or rule says: -EINVAL (blackhole), -EHOSTUNREACH, -EACCES (prohibit);
 * -EADDRNOTAVAIL: IPv6, and there is no address that it could come from. */
int net_path_find(struct net_ns *ns, const struct net_flow *f, struct net_path *ret);

/* Does net.ipv4.conf/.../rp_filter (1: what goes to the sender would have to leave by where it came
 * in; 2: it would have to leave at all) refuse what comes in by iif from that address? IPv4
 * (fib_validate_source in Linux). */
bool net_source_refused(struct net_ns *ns, int32_t iif, const uint8_t from[4]);

/* Changes whenever an answer of net_path_find could; never 0. Not told of what sockets have. */
uint64_t net_path_generation(struct net_ns *ns);
/* Are there rules of the guest's own? Then the answer depends on all of a flow. */
bool net_has_rules(struct net_ns *ns, uint8_t family);

/* The first address that a packet to anywhere in that scope (LX_RT_SCOPE_*) may come from,
 * IPv4 (inet_select_addr in Linux). */
bool net_source_in_scope(struct net_ns *ns, uint8_t scope, uint8_t ret[4]);

/* LX_RTN_LOCAL, _BROADCAST, ...: what the address is by the local table. */
uint8_t net_address_type(struct net_ns *ns, uint8_t family, const uint8_t *ip);

/* Add a route, by LX_NLM_F_CREATE, _EXCL, _REPLACE, _APPEND as in rtnetlink(7). x is completed: its
 * metric, interface. -errno as in Linux (fib_table_insert, fib6_add). */
/* *ret_news: by which of them it came; 0: nothing has changed. */
int net_route_add(struct net_ns *ns, struct net_route *x, uint16_t nlm_flags, uint16_t *ret_news);
/* The first route that is like x: what is 0 there is not compared (scope: LX_RT_SCOPE_NOWHERE). It
 * becomes *x. -ESRCH. */
int net_route_remove(struct net_ns *ns, struct net_route *x);
/* Is there such a table? */
bool net_table_exists(struct net_ns *ns, uint8_t family, uint32_t table);

struct net_rule {
	uint8_t family, action /* LX_FR_ACT_* */, protocol, ipproto, src_len, dst_len;
	bool invert, unresolved /* a goto whose target is not there */;
	uint32_t table, priority, target /* of a goto */;
	uint32_t mark, mask;
	bool has_uids;
	uint32_t uids[2];
	uint16_t sports[2], dports[2]; /* from, to; 0: any */
	int32_t suppress_len;	       /* -1: none */
	char iif[16], oif[16];
	uint8_t src[16], dst[16];
};

/* What of a rule a removal names. */
enum {
	NET_RULE_PRIORITY = 1,
	NET_RULE_SRC = 2,
	NET_RULE_DST = 4,
	NET_RULE_SUPPRESS = 8,
};

/* Every rule of a family, in order. -ENOMEM. */
int net_rules(struct net_ns *ns, uint8_t family, void (*fn)(const struct net_rule *r, void *arg),
	void *arg);
/* has_priority: else it is chosen, and written to r. -EEXIST (with LX_NLM_F_EXCL), -EINVAL,
 * -ENOBUFS, -ENOMEM. */
int net_rule_add(struct net_ns *ns, struct net_rule *r, bool has_priority, uint16_t nlm_flags);
/* The first that is like r in what is not 0, or is in `named` (NET_RULE_*). It becomes *r. -ENOENT.
 */
int net_rule_remove(struct net_ns *ns, struct net_rule *r, unsigned named);

struct net_neigh {
	uint8_t family, flags; /* LX_NTF_* */
	uint16_t state;	       /* LX_NUD_* */
	uint8_t addr[16], lladdr[6];
	uint8_t probes; /* sent since it was asked for */
	bool proxy;
	int32_t index;				   /* of the interface */
	int64_t changed_ns, used_ns, confirmed_ns; /* monotonic */
};

/* Every neighbour, or who is answered for. -ENOMEM. */
int net_neighs(struct net_ns *ns, bool proxies, void (*fn)(const struct net_neigh *n, void *arg),
	void *arg);
/* lladdr: NULL if it is not given. *n becomes what is there now. -ENODEV; -errno as in Linux
 * (neigh_add). What waited for it goes: no lock is held. */
int net_neigh_set(
	struct net_ns *ns, struct net_neigh *n, const uint8_t *lladdr, uint16_t nlm_flags);
/* The one of that interface, family and address, and kind, becomes *n. -ENOENT. */
int net_neigh_find(struct net_ns *ns, struct net_neigh *n);
int net_neigh_remove(struct net_ns *ns, struct net_neigh *n); /* as above; no lock is held */

#endif
