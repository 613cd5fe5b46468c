/* SPDX-License-Identifier: Apache-2.0 */
/* ARP (RFC 826, 5227): who has an IPv4 address on a tap. Linux: net/ipv4/arp.c, with arp_ignore and
 * arp_accept as they are by default. */
#include "abi/socket.h"
#include "resolve.h"
#include "sentry/net/ip_pieces.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
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

void
arp_ask(struct net_ns *ns, struct net_dev *d, const uint8_t target[4], const uint8_t mac[6])
{
	uint8_t from[4] = {0};

	mutex_lock(&ns->lock);
	(void)neigh_source_locked(ns, LX_AF_INET, d->index, target, from);
	mutex_unlock(&ns->lock);
	send(ns, d, mac ? mac : to_all, ARP_REQUEST, from, zero, target);
}

/* Somebody else on the link may have it. */
static bool
is_foreign_locked(const struct net_ns *ns, int32_t index, const uint8_t *ip)
{
	return ip[0] != 0 && ip[0] != 127 && fib_type_locked(ns, LX_AF_INET, ip) != LX_RTN_LOCAL &&
	       (ip[0] & 0xf0) != 0xe0 && !neigh_is_broadcast4_locked(ns, index, ip);
}

/* True: it is to be answered. */
static bool
take_locked(
	struct net_ns *ns, struct net_dev *d, const struct arp *a, bool to_us, struct neigh_work *w)
{
	bool request = get_be16(a->op) == ARP_REQUEST;
	bool garp = memcmp(a->sip, a->tip, 4) == 0 && (request || memcmp(a->sha, a->tha, 6) == 0);
	bool for_us = request && fib_type_locked(ns, LX_AF_INET, a->tip) == LX_RTN_LOCAL;
	unsigned how = 0;
	uint16_t state = LX_NUD_STALE;
	struct neigh *x;
	int err;

	/* Has anybody the address (RFC 5227)? Who asks has none yet. */
	if (memcmp(a->sip, zero, 4) == 0)
		return for_us;
	if (!is_foreign_locked(ns, d->index, a->sip))
		return false;
	x = neigh_find_locked(ns, LX_AF_INET, d->index, a->sip, false);
	if (!x && for_us)
		x = neigh_new_locked(ns, LX_AF_INET, d->index, a->sip, false, &err);
	if (!x)
		return for_us;
	if (for_us || garp || sched_now_ns() - x->n.changed_ns > LOCK_NS)
		how = NEIGH_OVERRIDE;
	if (!request && to_us)
		state = LX_NUD_REACHABLE;
	(void)neigh_update_locked(ns, x, a->sha, state, how, w);
	return for_us;
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
