/* SPDX-License-Identifier: Apache-2.0 */
/* What IP addresses are on a tap: who listens to them, and the header of Ethernet. */
#include "abi/socket.h"
#include "resolve.h"
#include "sentry/net/ip_pieces.h"
#include <string.h>

bool
neigh_is_broadcast4_locked(const struct net_ns *ns, int32_t index, const uint8_t *ip)
{
	if (memcmp(ip, "\377\377\377\377", 4) == 0)
		return true;
	for (size_t i = 0; i < ns->naddrs; i++) {
		const struct net_addr *a = &ns->addrs[i];
		uint8_t last[4];

		if (a->family != LX_AF_INET || a->index != index)
			continue;
		if (a->has_broadcast && memcmp(a->broadcast, ip, 4) == 0)
			return true;
		memcpy(last, a->addr, 4);
		net_mask(last, a->prefixlen, 4, true);
		if (a->prefixlen < 31 && memcmp(last, ip, 4) == 0)
			return true;
	}
	return false;
}

/* RFC 1112, 6.4; RFC 2464, 7. */
bool
neigh_group_locked(
	const struct net_ns *ns, int32_t index, bool v6, const uint8_t *ip, uint8_t mac[6])
{
	if (v6 && ip[0] == 0xff) {
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, ip + 12, 4);
		return true;
	}
	if (v6)
		return false;
	if ((ip[0] & 0xf0) == 0xe0) {
		memcpy(mac, "\1\0\x5e", 3);
		mac[3] = ip[1] & 0x7f;
		mac[4] = ip[2];
		mac[5] = ip[3];
		return true;
	}
	memset(mac, 0xff, 6);
	return neigh_is_broadcast4_locked(ns, index, ip);
}

void
eth_header_put(struct net_ns *ns, const struct net_dev *d, uint8_t h[ETH_HEADER],
	const uint8_t to[6], uint16_t type)
{
	memcpy(h, to, 6);
	mutex_lock(&ns->lock);
	memcpy(h + 6, d->mac, 6);
	mutex_unlock(&ns->lock);
	put_be16(h + 12, type);
}
