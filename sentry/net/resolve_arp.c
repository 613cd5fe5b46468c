/* SPDX-License-Identifier: Apache-2.0 */
/* ARP (RFC 826, 5227): who has an IPv4 address on a tap, and what net.ipv4.conf/.../arp_* and
 * proxy_arp make of it. Linux: net/ipv4/arp.c. */
#include "abi/socket.h"
#include "resolve.h"
#include "sentry/net/ip_pieces.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOCK_NS 1000000000ll /* locktime: of several answers the first counts */

enum { ARP_REQUEST = 1, ARP_REPLY = 2 };

/* Behind the Ethernet header; all of it is bytes. */
struct arp {
	uint8_t htype[2], ptype[2], hlen, plen, op[2];
	uint8_t sha[6], sip[4], tha[6], tip[4];
};

static const uint8_t zero[6];
static const uint8_t to_all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void
send(struct net_ns *ns, struct net_dev *d, const uint8_t to[6], uint16_t op, const uint8_t *sip,
	const uint8_t *tha, const uint8_t *tip)
{
	uint8_t frame[ETH_HEADER + sizeof(struct arp)];
	struct arp a = {.htype = {0, 1}, .ptype = {8, 0}, .hlen = 6, .plen = 4};

	eth_header_put(ns, d, frame, to, ETH_P_ARP);
	put_be16(a.op, op);
	memcpy(a.sha, frame + 6, 6);
	memcpy(a.sip, sip, 4);
	memcpy(a.tha, tha, 6);
	memcpy(a.tip, tip, 4);
	memcpy(frame + ETH_HEADER, &a, sizeof a);
	dev_send(ns, d, ETH_P_ARP, frame, sizeof frame);
}

/* Does the network of an address there have both of them? */
static bool
is_on_link_locked(const struct net_ns *ns, int32_t index, const uint8_t *a, const uint8_t *b)
{
	for (size_t i = 0; i < ns->naddrs; i++) {
		const struct net_addr *x = &ns->addrs[i];
		const uint8_t *net = x->has_peer ? x->peer : x->addr;

		if (x->family == LX_AF_INET && x->index == index &&
			net_prefix_is(net, a, x->prefixlen) && net_prefix_is(net, b, x->prefixlen))
			return true;
	}
	return false;
}

/* arp_solicit */
void
arp_ask(struct net_ns *ns, struct net_dev *d, const uint8_t target[4], const uint8_t mac[6],
	const uint8_t *source)
{
	uint8_t from[4] = {0};
	int32_t how;
	bool use;

	mutex_lock(&ns->lock);
	how = net_conf_most_locked(ns, NET4_ARP_ANNOUNCE, d->index);
	use = source && how != 2 && fib_type_locked(ns, LX_AF_INET, source) == LX_RTN_LOCAL &&
	      (how != 1 || is_on_link_locked(ns, d->index, target, source));
	if (use)
		memcpy(from, source, 4);
	else
		(void)net_source_near_locked(ns, target, d->index, from);
	mutex_unlock(&ns->lock);
	send(ns, d, mac ? mac : to_all, ARP_REQUEST, from, zero, target);
}

void
resolve_announce(struct net_ns *ns, struct net_dev *d)
{
	struct net_addr *own = NULL;
	size_t n = 0;

	if (!d->tap)
		return;
	mutex_lock(&ns->lock);
	if (d->up && !(d->set_flags & LX_IFF_NOARP) &&
		net_conf_most_locked(ns, NET4_ARP_NOTIFY, d->index)) {
		n = ns->naddrs;
		own = net_copy(ns->addrs, n, sizeof *own);
	}
	mutex_unlock(&ns->lock);
	for (size_t i = 0; own && i < n; i++)
		if (own[i].family == LX_AF_INET && own[i].index == d->index)
			send(ns, d, to_all, ARP_REQUEST, own[i].addr, zero, own[i].addr);
	free(own);
}

/* --- in --- */

/* Somebody else on the link may have it. */
static bool
is_foreign_locked(const struct net_ns *ns, int32_t index, const uint8_t *ip)
{
	return ip[0] != 0 && ip[0] != 127 && fib_type_locked(ns, LX_AF_INET, ip) != LX_RTN_LOCAL &&
	       (ip[0] & 0xf0) != 0xe0 && !neigh_is_broadcast4_locked(ns, index, ip);
}

/* An address of that interface (0: of any) that is wide enough; with one of a network that has who
 * asks (inet_confirm_addr). */
static bool
has_locked(const struct net_ns *ns, int32_t index, uint8_t scope, const struct arp *a, bool near)
{
	for (size_t i = 0; i < ns->naddrs; i++) {
		const struct net_addr *x = &ns->addrs[i];

		if (x->family == LX_AF_INET && (!index || x->index == index) && x->scope <= scope &&
			memcmp(x->addr, a->tip, 4) == 0)
			return !near || is_on_link_locked(ns, x->index, a->tip, a->sip);
	}
	return false;
}

/* arp_ignore, arp_filter: an address of ours is asked for, but not by whom it is answered to. */
static bool
is_refused_locked(const struct net_ns *ns, int32_t index, const struct arp *a)
{
	struct net_flow f = {.family = LX_AF_INET, .iif = NET_LO_INDEX};
	bool dad = memcmp(a->sip, zero, 4) == 0;
	struct net_route r;

	switch (net_conf_most_locked(ns, NET4_ARP_IGNORE, index)) {
	case 1:
		if (!has_locked(ns, index, LX_RT_SCOPE_HOST, a, false))
			return true;
		break;
	case 2:
		if (!has_locked(ns, index, LX_RT_SCOPE_HOST, a, !dad))
			return true;
		break;
	case 3:
		if (!has_locked(ns, 0, LX_RT_SCOPE_LINK, a, false))
			return true;
		break;
	case 8:
		return true;
	default:
		break;
	}
	if (dad || !net_conf_most_locked(ns, NET4_ARP_FILTER, index))
		return false;
	memcpy(f.dst, a->sip, 4);
	memcpy(f.src, a->tip, 4);
	return rules_find_locked(ns, &f, &r) || r.oif != index;
}

/* May one for an address behind oif be answered (arp_fwd_proxy)? */
static bool
is_proxy_locked(const struct net_ns *ns, int32_t index, int32_t oif)
{
	int32_t in = net_conf_locked(ns, NET4_MEDIUM_ID, index),
		out = net_conf_locked(ns, NET4_MEDIUM_ID, oif);

	if (!net_conf_most_locked(ns, NET4_PROXY_ARP, index) || in == -1)
		return false;
	return in == 0 || (out != in && out != -1);
}

/* Is it for somebody whom packets are passed on to, and in whose name to answer? */
static bool
is_for_other_locked(struct net_ns *ns, int32_t index, const struct arp *a)
{
	struct net_flow f = {.family = LX_AF_INET, .iif = index};
	struct net_route r;

	if (!net_conf_locked(ns, NET4_FORWARDING, index))
		return false;
	memcpy(f.dst, a->tip, 4);
	memcpy(f.src, a->sip, 4);
	if (rules_find_locked(ns, &f, &r) || r.type != LX_RTN_UNICAST || r.oif == index)
		return false;
	return is_proxy_locked(ns, index, r.oif) ||
	       neigh_find_locked(ns, LX_AF_INET, index, a->tip, true);
}

/* arp_accept: may who was not asked be remembered? */
static bool
is_accepted_locked(const struct net_ns *ns, int32_t index, const struct arp *a, bool garp)
{
	int32_t how = net_conf_most_locked(ns, NET4_ARP_ACCEPT, index);

	if (!garp && get_be16(a->op) != ARP_REPLY)
		return false;
	return how == 1 || (how == 2 && is_on_link_locked(ns, index, a->sip, a->sip));
}

/* True: it is to be answered. */
static bool
take_locked(
	struct net_ns *ns, struct net_dev *d, const struct arp *a, bool to_us, struct neigh_work *w)
{
	bool request = get_be16(a->op) == ARP_REQUEST, answer = false;
	bool garp = memcmp(a->sip, a->tip, 4) == 0 && (request || memcmp(a->sha, a->tha, 6) == 0);
	bool ours = request && fib_type_locked(ns, LX_AF_INET, a->tip) == LX_RTN_LOCAL;
	unsigned how = 0;
	uint16_t state = LX_NUD_STALE;
	struct neigh *x;
	int err;

	/* Has anybody the address (RFC 5227)? Who asks has none yet. */
	if (memcmp(a->sip, zero, 4) == 0)
		return ours && !is_refused_locked(ns, d->index, a);
	if (!is_foreign_locked(ns, d->index, a->sip))
		return false;
	if (request && !net_source_refused_locked(ns, d->index, a->sip)) {
		if (ours && is_refused_locked(ns, d->index, a))
			return false;
		answer = ours || is_for_other_locked(ns, d->index, a);
	}
	x = neigh_find_locked(ns, LX_AF_INET, d->index, a->sip, false);
	if (!x && (answer || is_accepted_locked(ns, d->index, a, garp)))
		x = neigh_new_locked(ns, LX_AF_INET, d->index, a->sip, false, &err);
	if (!x)
		return answer;
	if (answer || garp || sched_now_ns() - x->n.changed_ns > LOCK_NS)
		how = NEIGH_OVERRIDE;
	if (!request && to_us)
		state = LX_NUD_REACHABLE;
	(void)neigh_update_locked(ns, x, a->sha, state, how, w);
	return answer;
}

void
resolve_arp_input(struct net_ns *ns, struct net_dev *d, const uint8_t *frame, size_t n)
{
	static const uint8_t kind[6] = {0, 1, 8, 0, 6, 4};
	struct neigh_work w = {.v6 = false};
	bool to_us, answer = false;
	struct arp a;
	uint32_t op;

	if (!d->tap || n < ETH_HEADER + sizeof a || get_be16(frame + 12) != ETH_P_ARP)
		return;
	memcpy(&a, frame + ETH_HEADER, sizeof a);
	op = get_be16(a.op);
	if (memcmp(&a, kind, sizeof kind) != 0 || (op != ARP_REQUEST && op != ARP_REPLY))
		return;
	/* A group has no single place (RFC 1812, 3.3.2). */
	if (a.sha[0] & 1 || (a.tip[0] & 0xf0) == 0xe0 || a.tip[0] == 127)
		return;
	mutex_lock(&ns->lock);
	to_us = memcmp(frame, d->mac, 6) == 0;
	if (!(d->set_flags & LX_IFF_NOARP) && (to_us || frame[0] & 1))
		answer = take_locked(ns, d, &a, to_us, &w);
	mutex_unlock(&ns->lock);
	neigh_work_do(ns, d, d->index, &w);
	if (answer)
		send(ns, d, a.sha, ARP_REPLY, a.tip, a.sha, a.sip);
}
