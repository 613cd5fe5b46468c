/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The routes of a namespace: those that come with the addresses of interfaces, and those that the
 * guest adds. One array for all tables, kept in the order of a dump; under the namespace's lock.
 * Linux: net/ipv4/fib_trie.c, fib_semantics.c, fib_frontend.c; net/ipv6/ip6_fib.c, route.c.
 */
#include "abi/socket.h"
#include "internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define METRIC6 1024 /* IP6_RT_PRIO_USER */

static unsigned
bytes_of(uint8_t family)
{
	return family == LX_AF_INET ? 4 : 16;
}

void
net_mask(uint8_t *addr, unsigned bits, unsigned bytes, bool ones)
{
	for (unsigned i = 0; i < bytes; i++) {
		unsigned keep = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
		uint8_t m = (uint8_t)(0xff00u >> keep);

		addr[i] = ones ? (uint8_t)(addr[i] | (uint8_t)~m) : (uint8_t)(addr[i] & m);
	}
}

bool
net_prefix_is(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	return memcmp(a, b, bits / 8) == 0 &&
	       (bits % 8 == 0 || ((a[bits / 8] ^ b[bits / 8]) & (0xff00 >> bits % 8) & 0xff) == 0);
}

/* Blackhole, unreachable, prohibit, throw: what they answer; 0: a route that leads somewhere. */
static int
refusal(const struct net_route *r)
{
	switch (r->type) {
	case LX_RTN_BLACKHOLE:
		return -EINVAL;
	case LX_RTN_UNREACHABLE:
		return -EHOSTUNREACH;
	case LX_RTN_PROHIBIT:
		return -EACCES;
	case LX_RTN_THROW:
		return -EAGAIN;
	default:
		return 0;
	}
}

/* --- the array --- */

/* Tables by their number's low byte, as Linux hashes them. IPv4: by address, then the longer prefix
 * first; IPv6: what is inside of a prefix before it. */
static int
compare(const struct net_route *a, const struct net_route *b)
{
	unsigned bits = a->dst_len < b->dst_len ? a->dst_len : b->dst_len;
	int d;

	if (a->family != b->family)
		return a->family == LX_AF_INET ? -1 : 1;
	if (a->table != b->table) {
		d = (int)(a->table & 255) - (int)(b->table & 255);
		return d ? d : a->table < b->table ? -1 : 1;
	}
	if (a->family == LX_AF_INET || !net_prefix_is(a->dst, b->dst, bits))
		d = memcmp(a->dst, b->dst, 16);
	else
		d = 0;
	if (!d)
		d = (int)b->dst_len - (int)a->dst_len;
	return d ? d : a->priority < b->priority ? -1 : a->priority > b->priority;
}

/* Where x belongs: behind those like it, or before them. */
static size_t
place(const struct net_ns *ns, const struct net_route *x, bool behind)
{
	size_t i;

	for (i = 0; i < ns->nroutes; i++) {
		int d = compare(&ns->routes[i], x);

		if (d > 0 || (d == 0 && !behind))
			break;
	}
	return i;
}

static bool
has_table(const struct net_ns *ns, uint8_t family, uint32_t id)
{
	bool found = id == LX_RT_TABLE_MAIN || id == LX_RT_TABLE_LOCAL;

	for (size_t i = 0; !found && i < ns->ntables; i++)
		found = ns->tables[i].family == family && ns->tables[i].id == id;
	return found;
}

/* A table is there from its first route on, also when it is empty again. */
static int
make_table(struct net_ns *ns, uint8_t family, uint32_t id)
{
	struct fib_table *v;

	if (has_table(ns, family, id))
		return 0;
	if (ns->ntables == NET_ROUTES_MAX)
		return -ENOBUFS;
	v = realloc(ns->tables, (ns->ntables + 1) * sizeof *v);
	if (!v)
		return -ENOMEM;
	ns->tables = v;
	v[ns->ntables++] = (struct fib_table){family, id};
	return 0;
}

static int
insert(struct net_ns *ns, const struct net_route *x, size_t at)
{
	int err = make_table(ns, x->family, x->table);

	if (err)
		return err;
	if (ns->nroutes == ns->routes_cap) {
		size_t cap = ns->routes_cap ? 2 * ns->routes_cap : 8;
		struct net_route *v = realloc(ns->routes, cap * sizeof *v);

		if (!v)
			return -ENOMEM;
		ns->routes = v;
		ns->routes_cap = cap;
	}
	memmove(&ns->routes[at + 1], &ns->routes[at], (ns->nroutes - at) * sizeof *x);
	ns->routes[at] = *x;
	ns->nroutes++;
	net_path_changed(ns);
	return 0;
}

static void
take_out(struct net_ns *ns, size_t at)
{
	ns->nroutes--;
	memmove(&ns->routes[at], &ns->routes[at + 1], (ns->nroutes - at) * sizeof ns->routes[0]);
	net_path_changed(ns);
}

/* Nothing but the place in the table tells them apart. */
static bool
same(const struct net_route *a, const struct net_route *b)
{
	return a->type == b->type && a->scope == b->scope && a->protocol == b->protocol &&
	       a->oif == b->oif && a->has_prefsrc == b->has_prefsrc &&
	       memcmp(a->prefsrc, b->prefsrc, 16) == 0 && a->has_gateway == b->has_gateway &&
	       memcmp(a->gateway, b->gateway, 16) == 0 && a->onlink == b->onlink;
}

/* --- what comes with addresses --- */

static void
add_kernel_route(void *arg, const struct net_route *x)
{
	struct net_ns *ns = arg;
	size_t at = place(ns, x, true);

	for (size_t i = at; i-- > 0 && compare(&ns->routes[i], x) == 0;)
		if (same(&ns->routes[i], x))
			return;
	/* Without memory the address stays, and cannot be reached. */
	(void)insert(ns, x, at);
}

/* As the kernel makes them when an address is added (fib_add_ifaddr): the address itself, its
 * network, broadcasts. */
static void
addr_routes(const struct net_ns *ns, const struct net_addr *a,
	void (*fn)(void *arg, const struct net_route *r), void *arg)
{
	unsigned bytes = bytes_of(a->family);
	struct net_route r = {.family = a->family,
		.oif = a->index,
		.protocol = LX_RTPROT_KERNEL,
		.table = LX_RT_TABLE_LOCAL,
		.dst_len = (uint8_t)(8 * bytes),
		.type = LX_RTN_LOCAL};
	const uint8_t *net = a->has_peer ? a->peer : a->addr;
	bool up = link_is_up_locked(ns, a->index), lo = a->index == NET_LO_INDEX;
	const struct net_addr *primary = addr_primary_locked(ns, a);
	struct net_route whole;

	memcpy(r.dst, a->addr, 16);
	if (a->family == LX_AF_INET6) {
		whole = r;
		whole.table = LX_RT_TABLE_MAIN;
		whole.type = LX_RTN_UNICAST;
		whole.priority = 256;
		whole.dst_len = a->prefixlen;
		memcpy(whole.dst, net, 16);
		net_mask(whole.dst, a->prefixlen, bytes, false);
		if (up && !(a->flags & LX_IFA_F_NOPREFIXROUTE) &&
			(a->prefixlen < 128 || a->has_peer))
			fn(arg, &whole);
		if (up)
			fn(arg, &r);
		return;
	}
	if (!primary)
		return;
	r.scope = LX_RT_SCOPE_HOST;
	r.has_prefsrc = true;
	memcpy(r.prefsrc, primary->addr, 16);
	fn(arg, &r);
	if (!up)
		return;
	if (primary == a && !(a->flags & LX_IFA_F_NOPREFIXROUTE) &&
		(a->prefixlen < 32 || a->has_peer)) {
		whole = r;
		if (!lo) {
			whole.table = LX_RT_TABLE_MAIN;
			whole.type = LX_RTN_UNICAST;
			whole.scope = LX_RT_SCOPE_LINK;
		}
		whole.dst_len = a->prefixlen;
		memcpy(whole.dst, net, 16);
		net_mask(whole.dst, a->prefixlen, bytes, false);
		fn(arg, &whole);
	}
	r.type = LX_RTN_BROADCAST;
	r.scope = LX_RT_SCOPE_LINK;
	if (primary == a && a->prefixlen < 31) {
		memcpy(r.dst, net, 16);
		net_mask(r.dst, a->prefixlen, bytes, true);
		fn(arg, &r);
	}
	if (a->has_broadcast && memcmp(a->broadcast, "\377\377\377\377", 4) != 0) {
		memcpy(r.dst, a->broadcast, 4);
		fn(arg, &r);
	}
}

struct shared {
	const struct net_route *x;
	bool found;
};

static void
compare_route(void *arg, const struct net_route *x)
{
	struct shared *s = arg;

	s->found |= compare(s->x, x) == 0 && same(s->x, x);
}

struct going {
	struct net_ns *ns;
	const struct net_addr *a;
};

/* Unless another address has it, too. */
static void
remove_kernel_route(void *arg, const struct net_route *x)
{
	const struct going *g = arg;
	struct shared s = {.x = x};
	struct net_ns *ns = g->ns;

	for (size_t i = 0; i < ns->naddrs && !s.found; i++)
		if (&ns->addrs[i] != g->a && ns->addrs[i].family == x->family)
			addr_routes(ns, &ns->addrs[i], compare_route, &s);
	if (s.found)
		return;
	for (size_t i = 0; i < ns->nroutes; i++)
		if (compare(&ns->routes[i], x) == 0 && same(&ns->routes[i], x)) {
			take_out(ns, i);
			return;
		}
}

void
fib_add_addr_locked(struct net_ns *ns, const struct net_addr *a)
{
	addr_routes(ns, a, add_kernel_route, ns);
	net_path_changed(ns);
}

void
fib_forget_source_locked(struct net_ns *ns, const struct net_addr *a)
{
	for (size_t i = 0; i < ns->naddrs; i++)
		if (ns->addrs[i].family == a->family && !memcmp(ns->addrs[i].addr, a->addr, 16))
			return; /* it has another prefix, too */
	for (size_t i = ns->nroutes; i-- > 0;) {
		struct net_route *r = &ns->routes[i];

		if (r->family != a->family || !r->has_prefsrc ||
			memcmp(r->prefsrc, a->addr, 16) != 0)
			continue;
		if (a->family == LX_AF_INET) {
			take_out(ns, i);
			continue;
		}
		r->has_prefsrc = false;
		memset(r->prefsrc, 0, 16);
	}
}

void
fib_remove_addr_locked(struct net_ns *ns, const struct net_addr *a)
{
	addr_routes(ns, a, remove_kernel_route, &(struct going){ns, a});
	net_path_changed(ns);
}

/* addrconf_add_mroute */
void
fib_groups_locked(struct net_ns *ns, int32_t index)
{
	struct net_route groups = {.family = LX_AF_INET6,
		.type = LX_RTN_MULTICAST,
		.table = LX_RT_TABLE_LOCAL,
		.protocol = LX_RTPROT_KERNEL,
		.priority = 256,
		.oif = index,
		.dst_len = 8,
		.dst = {0xff}};

	add_kernel_route(ns, &groups);
}

void
fib_up_locked(struct net_ns *ns, int32_t index)
{
	for (size_t i = 0; i < ns->naddrs; i++)
		if (ns->addrs[i].index == index)
			fib_add_addr_locked(ns, &ns->addrs[i]);
	if (index != NET_LO_INDEX && link_has_family_locked(ns, index, LX_AF_INET6))
		fib_groups_locked(ns, index);
	net_path_changed(ns);
}

/* fib_sync_down_dev: of IPv4, what is this host stays; of IPv6, nothing. */
void
fib_down_locked(struct net_ns *ns, int32_t index, uint8_t family, bool gone)
{
	for (size_t i = ns->nroutes; i-- > 0;) {
		const struct net_route *r = &ns->routes[i];

		if ((family && family != r->family) || r->oif != index)
			continue;
		if (gone || r->family == LX_AF_INET6 || r->scope < LX_RT_SCOPE_HOST)
			take_out(ns, i);
	}
	net_path_changed(ns);
}

/* --- what is looked for --- */

int
fib_find_locked(const struct net_ns *ns, const struct net_flow *f, uint32_t table,
	uint32_t or_table, struct net_route *ret)
{
	const struct net_route *best = NULL;

	for (size_t i = 0; i < ns->nroutes; i++) {
		const struct net_route *r = &ns->routes[i];

		if (r->family != f->family || (r->table != table && r->table != or_table))
			continue;
		if (best && (r->dst_len < best->dst_len ||
				    (r->dst_len == best->dst_len && r->table <= best->table)))
			continue;
		if (!net_prefix_is(r->dst, f->dst, r->dst_len))
			continue;
		if (f->oif && r->oif && r->oif != f->oif)
			continue;
		best = r;
	}
	if (!best)
		return -EAGAIN;
	*ret = *best;
	return refusal(best);
}

uint8_t
fib_type_locked(const struct net_ns *ns, uint8_t family, const uint8_t *ip)
{
	struct net_flow f = {.family = family};
	uint32_t other = ns->rules[family == LX_AF_INET6].changed || family == LX_AF_INET6
				 ? LX_RT_TABLE_LOCAL
				 : LX_RT_TABLE_MAIN;
	struct net_route r;

	if (family == LX_AF_INET && (ip[0] & 0xf0) == 0xe0)
		return LX_RTN_MULTICAST;
	if (family == LX_AF_INET && memcmp(ip, "\377\377\377\377", 4) == 0)
		return LX_RTN_BROADCAST;
	memcpy(f.dst, ip, bytes_of(family));
	return fib_find_locked(ns, &f, LX_RT_TABLE_LOCAL, other, &r) == 0 ? r.type : LX_RTN_UNICAST;
}

bool
net_table_exists(struct net_ns *ns, uint8_t family, uint32_t table)
{
	bool found;

	mutex_lock(&ns->lock);
	found = has_table(ns, family, table);
	mutex_unlock(&ns->lock);
	return found;
}

/* --- what the guest changes --- */

/* The narrowest scope that a type may have (fib_props). */
static uint8_t
scope_of(uint8_t type)
{
	switch (type) {
	case LX_RTN_LOCAL:
		return LX_RT_SCOPE_HOST;
	case LX_RTN_BROADCAST:
	case LX_RTN_ANYCAST:
		return LX_RT_SCOPE_LINK;
	default:
		return LX_RT_SCOPE_UNIVERSE;
	}
}

/* fib_check_nh: a gateway has to be on the link. */
static int
check_gateway(const struct net_ns *ns, struct net_route *x)
{
	struct net_flow f = {.family = LX_AF_INET, .oif = x->oif};
	struct net_route r;
	int err;

	if (x->onlink) {
		if (x->scope >= LX_RT_SCOPE_LINK)
			return -EINVAL;
		if (!link_exists_locked(ns, x->oif))
			return -ENODEV;
		if (!link_is_up_locked(ns, x->oif))
			return -ENETDOWN;
		return fib_type_locked(ns, LX_AF_INET, x->gateway) == LX_RTN_UNICAST ? 0 : -EINVAL;
	}
	memcpy(f.dst, x->gateway, 4);
	err = rules_find_locked(ns, &f, &r);
	if (err < 0)
		return err;
	if (r.scope < LX_RT_SCOPE_LINK || r.scope <= x->scope)
		return -ENETUNREACH;
	if (r.type != LX_RTN_UNICAST && r.type != LX_RTN_LOCAL)
		return -EINVAL;
	x->oif = r.oif;
	return link_is_up_locked(ns, x->oif) ? 0 : -ENETDOWN;
}

/* fib_create_info */
static int
check4(const struct net_ns *ns, struct net_route *x)
{
	int err = 0;

	if (x->type == LX_RTN_MAX || x->type == LX_RTN_MAX - 1)
		return -EINVAL; /* NAT, XRESOLVE */
	if (x->scope < scope_of(x->type))
		return -EINVAL;
	if (refusal(x))
		return x->has_gateway || x->oif ? -EINVAL : 0;
	if (x->scope > LX_RT_SCOPE_HOST)
		return -EINVAL;
	if (x->oif && !link_exists_locked(ns, x->oif))
		return -ENODEV;
	if (x->scope == LX_RT_SCOPE_HOST)
		err = x->has_gateway ? -EINVAL : !x->oif ? -ENODEV : 0;
	else if (x->has_gateway)
		err = check_gateway(ns, x);
	else
		err = x->onlink			      ? -EINVAL
		      : !x->oif			      ? -ENODEV
		      : link_is_up_locked(ns, x->oif) ? 0
						      : -ENETDOWN;
	if (err || !x->has_prefsrc)
		return err;
	if (x->type == LX_RTN_LOCAL && x->dst_len && memcmp(x->prefsrc, x->dst, 4) == 0)
		return 0;
	return fib_type_locked(ns, LX_AF_INET, x->prefsrc) == LX_RTN_LOCAL ? 0 : -EINVAL;
}

/* ip6_validate_gw: it is on the link, or known to be reached by it. */
static int
check_gateway6(const struct net_ns *ns, struct net_route *x)
{
	struct net_flow f = {.family = LX_AF_INET6, .oif = x->oif};
	bool link_local = x->gateway[0] == 0xfe && (x->gateway[1] & 0xc0) == 0x80;
	struct net_route r;
	int err;

	if (fib_type_locked(ns, LX_AF_INET6, x->gateway) == LX_RTN_LOCAL)
		return -EINVAL;
	if (x->oif == NET_LO_INDEX)
		return -EINVAL; /* never by lo */
	if (link_local || x->onlink)
		return x->oif ? 0 : -EINVAL;
	memcpy(f.dst, x->gateway, 16);
	err = rules_find_locked(ns, &f, &r);
	if (err || r.has_gateway || r.oif == NET_LO_INDEX)
		return -EHOSTUNREACH;
	x->oif = r.oif;
	return 0;
}

/* ip6_route_info_create */
static int
check6(const struct net_ns *ns, struct net_route *x)
{
	bool ours = false;

	x->scope = LX_RT_SCOPE_UNIVERSE;
	if (!x->priority)
		x->priority = METRIC6;
	if (x->oif && !link_exists_locked(ns, x->oif))
		return -ENODEV;
	if (refusal(x)) {
		x->oif = NET_LO_INDEX;
		return 0;
	}
	if (x->has_gateway) {
		int err = check_gateway6(ns, x);

		if (err)
			return err;
	}
	if (!x->oif)
		return -ENODEV;
	if (!link_is_up_locked(ns, x->oif))
		return -ENETDOWN;
	for (size_t i = 0; i < ns->naddrs; i++)
		ours |= ns->addrs[i].family == LX_AF_INET6 &&
			memcmp(ns->addrs[i].addr, x->prefsrc, 16) == 0;
	return !x->has_prefsrc || ours ? 0 : -EINVAL;
}

static int
replace(struct net_ns *ns, size_t at, const struct net_route *x, uint16_t *news)
{
	ns->routes[at] = *x;
	net_path_changed(ns);
	*news = LX_NLM_F_REPLACE;
	return 0;
}

static int
add4(struct net_ns *ns, const struct net_route *x, uint16_t flags, uint16_t *news)
{
	size_t first = place(ns, x, false), end = place(ns, x, true), match = end;

	*news = LX_NLM_F_CREATE | (first == end ? LX_NLM_F_EXCL : flags & LX_NLM_F_APPEND);
	if (first == end)
		return flags & LX_NLM_F_CREATE ? insert(ns, x, end) : -ENOENT;
	if (flags & LX_NLM_F_EXCL)
		return -EEXIST;
	for (size_t i = end; i-- > first;)
		if (same(&ns->routes[i], x))
			match = i;
	if (flags & LX_NLM_F_REPLACE) {
		if (match == end)
			return replace(ns, first, x, news);
		*news = 0;
		return match == first ? 0 : -EEXIST;
	}
	if (match != end)
		return -EEXIST;
	if (!(flags & LX_NLM_F_CREATE))
		return -ENOENT;
	return insert(ns, x, flags & LX_NLM_F_APPEND ? end : first);
}

/* Of one prefix and metric there may be several, if they lead elsewhere (rt6_duplicate_nexthop). */
static bool
has_hop(const struct net_ns *ns, const struct net_route *x, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++)
		if (ns->routes[i].oif == x->oif &&
			memcmp(ns->routes[i].gateway, x->gateway, 16) == 0)
			return true;
	return false;
}

static int
add6(struct net_ns *ns, const struct net_route *x, uint16_t flags, uint16_t *news)
{
	size_t first = place(ns, x, false), end = place(ns, x, true);

	*news = LX_NLM_F_CREATE | LX_NLM_F_EXCL;
	if (first == end)
		return flags & LX_NLM_F_REPLACE && !(flags & LX_NLM_F_CREATE) ? -ENOENT
									      : insert(ns, x, end);
	if (flags & LX_NLM_F_EXCL)
		return -EEXIST;
	if (flags & LX_NLM_F_REPLACE)
		return replace(ns, first, x, news);
	if (has_hop(ns, x, first, end))
		return -EEXIST;
	*news = LX_NLM_F_CREATE | (flags & LX_NLM_F_APPEND);
	return insert(ns, x, end);
}

int
net_route_add(struct net_ns *ns, struct net_route *x, uint16_t nlm_flags, uint16_t *ret_news)
{
	bool v4 = x->family == LX_AF_INET;
	uint8_t masked[16];
	int err;

	if (x->dst_len > 8 * bytes_of(x->family) || !x->type || x->type > LX_RTN_MAX)
		return -EINVAL;
	memcpy(masked, x->dst, 16);
	net_mask(masked, x->dst_len, 16, false);
	if (memcmp(masked, x->dst, 16) != 0) {
		if (v4)
			return -EINVAL;
		memcpy(x->dst, masked, 16);
	}
	mutex_lock(&ns->lock);
	err = v4 ? check4(ns, x) : check6(ns, x);
	if (!err && ns->nroutes >= NET_ROUTES_MAX)
		err = -ENOBUFS;
	if (!err)
		err = v4 ? add4(ns, x, nlm_flags, ret_news) : add6(ns, x, nlm_flags, ret_news);
	mutex_unlock(&ns->lock);
	return err;
}

/* What is asked of r (fib_table_delete, inet6_rtm_delroute). */
static bool
is_like(const struct net_route *r, const struct net_route *x)
{
	if (r->family != x->family || r->table != x->table || r->dst_len != x->dst_len ||
		memcmp(r->dst, x->dst, 16) != 0)
		return false;
	if (x->family == LX_AF_INET &&
		((x->type && r->type != x->type) ||
			(x->scope != LX_RT_SCOPE_NOWHERE && r->scope != x->scope) ||
			(x->has_prefsrc && memcmp(r->prefsrc, x->prefsrc, 16) != 0)))
		return false;
	return (!x->priority || r->priority == x->priority) &&
	       (!x->protocol || r->protocol == x->protocol) && (!x->oif || r->oif == x->oif) &&
	       (!x->has_gateway || memcmp(r->gateway, x->gateway, 16) == 0);
}

int
net_route_remove(struct net_ns *ns, struct net_route *x)
{
	int err = -ESRCH;

	if (x->dst_len > 8 * bytes_of(x->family))
		return -EINVAL;
	if (x->family == LX_AF_INET6)
		net_mask(x->dst, x->dst_len, 16, false);
	mutex_lock(&ns->lock);
	for (size_t i = 0; err && i < ns->nroutes; i++)
		if (is_like(&ns->routes[i], x)) {
			*x = ns->routes[i];
			take_out(ns, i);
			err = 0;
		}
	mutex_unlock(&ns->lock);
	return err;
}

int
net_routes(struct net_ns *ns, void (*fn)(const struct net_route *r, void *arg), void *arg)
{
	struct net_route *v;
	size_t n;

	if (ns->on_host)
		return net_host_routes(ns, fn, arg);
	mutex_lock(&ns->lock);
	n = ns->nroutes;
	v = net_copy(ns->routes, n, sizeof *v);
	mutex_unlock(&ns->lock);
	for (size_t i = 0; v && i < n; i++)
		fn(&v[i], arg);
	free(v);
	return n && !v ? -ENOMEM : 0;
}
