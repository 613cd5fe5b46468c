/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a packet goes that is sent here, and the address that it comes from. Linux:
 * ip_route_output_key_hash_rcu in net/ipv4/route.c, inet_select_addr in devinet.c;
 * ip6_dst_lookup_tail, ipv6_dev_get_saddr (RFC 6724, 5).
 */
#include "abi/socket.h"
#include "internal.h"
#include <errno.h>
#include <string.h>

uint64_t
net_path_generation(struct net_ns *ns)
{
	return atomic_load_explicit(&ns->generation, memory_order_acquire) + 1;
}

void
net_path_changed(struct net_ns *ns)
{
	atomic_fetch_add(&ns->generation, 1);
}

/* --- IPv4 --- */

/* The first that is wide enough, of an interface (0: any): of those that have the gateway in their
 * network, if any does. */
static const struct net_addr *
wide_enough_locked(
	const struct net_ns *ns, uint8_t scope, const uint8_t *gateway, int32_t index, uint8_t not )
{
	const struct net_addr *best = NULL;

	for (size_t i = 0; i < ns->naddrs; i++) {
		const struct net_addr *a = &ns->addrs[i];

		if (a->family != LX_AF_INET || a->flags & LX_IFA_F_SECONDARY || a->scope > scope ||
			a->scope == not || (index && a->index != index))
			continue;
		if (!gateway ||
			net_prefix_is(a->has_peer ? a->peer : a->addr, gateway, a->prefixlen))
			return a;
		if (!best)
			best = a;
	}
	return best;
}

/* inet_select_addr: of the interface, else of another one, but what is of its link alone. */
static bool
source4_locked(
	const struct net_ns *ns, uint8_t scope, const uint8_t *gateway, int32_t oif, uint8_t *ret)
{
	const struct net_addr *a = wide_enough_locked(ns, scope, gateway, oif, LX_RT_SCOPE_NOWHERE);

	if (!a && oif)
		a = wide_enough_locked(ns, scope, NULL, 0, LX_RT_SCOPE_LINK);
	if (a)
		memcpy(ret, a->addr, 4);
	return a;
}

bool
net_source_in_scope(struct net_ns *ns, uint8_t scope, uint8_t ret[4])
{
	bool found;

	mutex_lock(&ns->lock);
	found = source4_locked(ns, scope, NULL, 0, ret);
	mutex_unlock(&ns->lock);
	return found;
}

static int
find4_locked(const struct net_ns *ns, const struct net_flow *f, struct net_path *p)
{
	const struct net_route *r = &p->route;
	int err = rules_find_locked(ns, f, &p->route);

	p->found = err == 0;
	for (size_t i = 0; i < ns->naddrs; i++)
		p->own |= ns->addrs[i].family == LX_AF_INET &&
			  memcmp(ns->addrs[i].addr, f->dst, 4) == 0;
	if (err && f->oif) {
		/* It is said to be there, so it may be. */
		p->route = (struct net_route){
			.family = LX_AF_INET, .type = LX_RTN_UNICAST, .oif = f->oif};
		p->has_source = source4_locked(ns, LX_RT_SCOPE_LINK, NULL, f->oif, p->source);
		return 0;
	}
	if (err)
		return err;
	p->has_source = true;
	if (r->has_prefsrc)
		memcpy(p->source, r->prefsrc, 4);
	else if (r->type == LX_RTN_LOCAL)
		memcpy(p->source, f->dst, 4);
	else
		p->has_source = source4_locked(
			ns, r->scope, r->has_gateway ? r->gateway : NULL, r->oif, p->source);
	return 0;
}

/* --- IPv6 --- */

/* RFC 4007, 6; what is in no narrower one is global. */
static unsigned
scope6(const uint8_t *a)
{
	static const uint8_t loopback[16] = {[15] = 1};

	if (a[0] == 0xff)
		return a[1] & 15;
	if (memcmp(a, loopback, 16) == 0 || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80))
		return 2;
	return a[0] == 0xfe && (a[1] & 0xc0) == 0xc0 ? 5 : 14;
}

static unsigned
common_bits(const uint8_t *a, const uint8_t *b)
{
	unsigned n = 0;

	while (n < 128 && net_prefix_is(a, b, n + 1))
		n++;
	return n;
}

/* RFC 6724, 5: the same address; an appropriate scope; of the interface that it leaves by; the
 * longest common prefix. */
static bool
better6(const struct net_addr *x, const struct net_addr *y, const uint8_t *to, int32_t oif)
{
	const uint8_t *a = x->addr, *b = y->addr;
	unsigned sa = scope6(a), sb = scope6(b);

	if (memcmp(b, to, 16) == 0)
		return false;
	if (memcmp(a, to, 16) == 0)
		return true;
	if (sa != sb)
		return sa < sb ? sa >= scope6(to) : sb < scope6(to);
	if (oif && (x->index == oif) != (y->index == oif))
		return x->index == oif;
	return common_bits(a, to) > common_bits(b, to);
}

static int
find6_locked(const struct net_ns *ns, const struct net_flow *f, struct net_path *p)
{
	const struct net_addr *best = NULL;
	int err = rules_find_locked(ns, f, &p->route);
	int32_t oif = err ? 0 : p->route.oif;

	for (size_t i = 0; i < ns->naddrs; i++) {
		const struct net_addr *a = &ns->addrs[i];

		/* what is of a link alone does not leave by another one */
		if (a->family != LX_AF_INET6 ||
			(oif && a->scope == LX_RT_SCOPE_LINK && a->index != oif))
			continue;
		if (!best || better6(a, best, f->dst, oif))
			best = a;
	}
	if (!best)
		return -EADDRNOTAVAIL;
	if (err)
		return err;
	p->found = true;
	memcpy(p->source, p->route.has_prefsrc ? p->route.prefsrc : best->addr, 16);
	p->has_source = true;
	return 0;
}

int
net_path_find(struct net_ns *ns, const struct net_flow *f, struct net_path *ret)
{
	struct net_path p = {.has_source = false};
	int err;

	mutex_lock(&ns->lock);
	err = f->family == LX_AF_INET ? find4_locked(ns, f, &p) : find6_locked(ns, f, &p);
	p.leaves = !err && p.route.oif != NET_LO_INDEX && p.route.type != LX_RTN_LOCAL;
	p.up = link_is_up_locked(ns, p.leaves ? p.route.oif : NET_LO_INDEX);
	mutex_unlock(&ns->lock);
	if (!err)
		*ret = p;
	return err;
}

bool
net_source_near_locked(
	const struct net_ns *ns, const uint8_t neighbour[4], int32_t index, uint8_t ret[4])
{
	return source4_locked(ns, LX_RT_SCOPE_LINK, neighbour, index, ret);
}

bool
net_source_refused_locked(const struct net_ns *ns, int32_t iif, const uint8_t from[4])
{
	int32_t how = net_conf_most_locked(ns, NET4_RP_FILTER, iif);
	struct net_flow f = {.family = LX_AF_INET, .iif = NET_LO_INDEX};
	struct net_route r;

	if (!how)
		return false;
	memcpy(f.dst, from, 4);
	return rules_find_locked(ns, &f, &r) || (how == 1 && r.oif != iif);
}

bool
net_source_refused(struct net_ns *ns, int32_t iif, const uint8_t from[4])
{
	bool yes;

	mutex_lock(&ns->lock);
	yes = net_source_refused_locked(ns, iif, from);
	mutex_unlock(&ns->lock);
	return yes;
}

/* --- what is here --- */

uint8_t
net_address_type(struct net_ns *ns, uint8_t family, const uint8_t *ip)
{
	uint8_t type;

	mutex_lock(&ns->lock);
	type = fib_type_locked(ns, family, ip);
	mutex_unlock(&ns->lock);
	return type;
}

static const uint8_t *
unmapped(const uint8_t ip[16], uint8_t *family)
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
	bool v4 = memcmp(ip, mapped, 12) == 0;

	*family = v4 ? LX_AF_INET : LX_AF_INET6;
	return v4 ? ip + 12 : ip;
}

bool
net_is_local(struct net_ns *ns, const uint8_t ip[16])
{
	uint8_t family;
	const uint8_t *a = unmapped(ip, &family);
	bool yes;

	mutex_lock(&ns->lock);
	yes = ns->up && fib_type_locked(ns, family, a) == LX_RTN_LOCAL;
	mutex_unlock(&ns->lock);
	return yes;
}

bool
net_may_bind(struct net_ns *ns, const uint8_t ip[16])
{
	uint8_t family, type;
	const uint8_t *a = unmapped(ip, &family);
	bool yes = false;

	mutex_lock(&ns->lock);
	if (family == LX_AF_INET) {
		type = fib_type_locked(ns, family, a);
		yes = type == LX_RTN_LOCAL || type == LX_RTN_BROADCAST ||
		      type == LX_RTN_MULTICAST || (!ns->was_up && !ns->naddrs && !ns->nroutes);
	}
	for (size_t i = 0; !yes && family == LX_AF_INET6 && i < ns->naddrs; i++)
		yes = ns->addrs[i].family == family && memcmp(ns->addrs[i].addr, a, 16) == 0;
	mutex_unlock(&ns->lock);
	return yes;
}
