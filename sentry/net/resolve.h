/* SPDX-License-Identifier: Apache-2.0 */
/* What the neighbours' table (neigh.c), their states (resolve.c), and the two ways to ask for them
 * (resolve_arp.c, resolve_nd.c) know of each other. */
#ifndef SENTRY_NET_RESOLVE_H
#define SENTRY_NET_RESOLVE_H

#include "internal.h"
#include "sentry/net/packet.h"

#define NEIGH_REACHABLE_NS 30000000000ll /* base_reachable_time */
#define NEIGH_CONNECTED	   (LX_NUD_PERMANENT | LX_NUD_NOARP | LX_NUD_REACHABLE)
#define NEIGH_VALID	   (NEIGH_CONNECTED | LX_NUD_PROBE | LX_NUD_STALE | LX_NUD_DELAY)

struct neigh_packet {
	struct neigh_packet *next;
	size_t n;	 /* bytes of the IP packet */
	uint8_t frame[]; /* room for the Ethernet header, and the packet */
};

/* What is done once the namespace's lock is let go. */
struct neigh_work {
	struct neigh_packet *send, *dead; /* to mac; nobody answered */
	bool v6;
	bool probe, to_one; /* ask for target: everybody, or whom has mac */
	bool arm;	    /* the timer */
	uint8_t mac[6], target[16];
	bool for_packet; /* that waits; it comes from source */
	uint8_t source[16];
};

enum {
	NEIGH_OVERRIDE = 1,	   /* another link-layer address takes the place of the known one */
	NEIGH_WEAK_OVERRIDE = 2,   /* and without that makes it doubtful */
	NEIGH_ADMIN = 4,	   /* who asks may change all */
	NEIGH_KNOWS_IF_ROUTER = 8, /* NEIGH_ROUTER says whether it is */
	NEIGH_ROUTER = 16,
};

/* neigh.c. Pointers are good until the next new or remove. */
struct neigh *neigh_find_locked(
	struct net_ns *ns, uint8_t family, int32_t index, const uint8_t *addr, bool proxy);
/* It is not there yet. NULL: *err: -ENODEV, -ENOBUFS, -ENOMEM. */
struct neigh *neigh_new_locked(struct net_ns *ns, uint8_t family, int32_t index,
	const uint8_t *addr, bool proxy, int *err);
void neigh_remove_locked(struct net_ns *ns, struct neigh *x); /* with what waits */
struct neigh_packet *neigh_take_waiting_locked(struct net_ns *ns, struct neigh *x);
/* Nobody confirms for ever that it is still there. */
void neigh_age(struct net_neigh *n, int64_t now_ns);

/* resolve.c: somebody says where it is (lladdr; NULL: not), or what has become of it. -EPERM,
 * -EINVAL; __neigh_update in Linux. */
int neigh_update_locked(struct net_ns *ns, struct neigh *x, const uint8_t *lladdr, uint16_t state,
	unsigned how, struct neigh_work *w);
/* d: NULL: the one with that index, if it is still there. No lock is held. */
void neigh_work_do(struct net_ns *ns, struct net_dev *d, int32_t index, struct neigh_work *w);
/* resolve_addr.c. Is it one that all on the interface listen to? */
bool neigh_is_broadcast4_locked(const struct net_ns *ns, int32_t index, const uint8_t *ip);
/* Where it goes on Ethernet, if more than one listens to it. */
bool neigh_group_locked(
	const struct net_ns *ns, int32_t index, bool v6, const uint8_t *ip, uint8_t mac[6]);
/* The header of a frame from d. No lock is held. */
void eth_header_put(struct net_ns *ns, const struct net_dev *d, uint8_t h[ETH_HEADER],
	const uint8_t to[6], uint16_t type);

/* Ask. mac: NULL: everybody, or its group; source: of the packet that waits, or NULL. */
void arp_ask(struct net_ns *ns, struct net_dev *d, const uint8_t target[4], const uint8_t mac[6],
	const uint8_t *source);
void nd_ask(struct net_ns *ns, struct net_dev *d, const uint8_t target[16], const uint8_t mac[6],
	const uint8_t *source);

#endif
