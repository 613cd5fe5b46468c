/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces, addresses and routes, as rtnetlink, /proc/net, /sys/class/net and the ioctls of
 * netdevice(7) show them: those of the sandbox's own stack, which has lo alone, or with
 * --network=host those of the host's namespace that the sentry stands in.
 */
#ifndef SENTRY_NET_LINK_H
#define SENTRY_NET_LINK_H

#include "abi/netlink.h"
#include <stdbool.h>

#define NET_LO_INDEX  1
#define NET_ADDRS_MAX 256

struct net_link {
	int32_t index;
	uint32_t flags, mtu, txqlen, iflink;
	uint16_t type; /* LX_ARPHRD_* */
	uint8_t operstate, carrier;
	char name[16];
	uint8_t hwaddr_len, hwaddr[32], broadcast[32];
	struct lx_link_stats64 stats;
};

struct net_addr {
	uint8_t family, prefixlen, scope, flags;
	int32_t index;
	uint8_t addr[16], broadcast[16]; /* IPv4: the first four bytes */
	bool has_broadcast;
};

struct net_route {
	uint8_t family, dst_len, table, protocol, scope, type;
	int32_t oif;
	uint32_t priority;
	uint8_t dst[16], gateway[16], prefsrc[16];
	bool has_gateway, has_prefsrc;
};

/* Where the answers come from. 0 or -errno; fn must not park. */
struct net_view {
	int (*links)(void (*fn)(const struct net_link *l, void *arg), void *arg);
	int (*addrs)(void (*fn)(const struct net_addr *a, void *arg), void *arg);
	int (*routes)(void (*fn)(const struct net_route *r, void *arg), void *arg);
};

extern const struct net_view net_own, net_host;
/* The one that this sandbox shows: net_own, unless boot chose the other before the first task. */
extern const struct net_view *net_shown;

/* One link by index (if > 0) or name. -ENODEV. */
int net_link_find(int32_t index, const char *name, struct net_link *ret);

/* --- the sandbox's own lo --- */
void net_lo_count(size_t bytes); /* a packet went round */
/* IFF_UP on or off. */
void net_lo_set_up(bool up);
int net_lo_set_mtu(uint32_t mtu); /* -EINVAL */
/* -EEXIST, -EADDRNOTAVAIL, -ENOSPC */
int net_lo_add(const struct net_addr *a);
int net_lo_remove(const struct net_addr *a);
/* Is it an address of this sandbox? ip: IPv6, or IPv4 mapped. */
bool net_is_local(const uint8_t ip[16]);

#endif
