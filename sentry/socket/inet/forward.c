/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that are for others, passed on between interfaces where net.ipv4.ip_forward or
 * conf/.../forwarding say so (RFC 1812, 8200). Linux: net/ipv4/ip_forward.c, net/ipv6/ip6_output.c.
 */
#include "internal.h"
#include "sentry/net/dev.h"
#include "sentry/net/sysctl.h"
#include <errno.h>
#include <string.h>

static bool
is_allowed(const struct inet_packet *k)
{
	int32_t v = 0;

	if (k->v6)
		return net_sysctl(k->net, NET6_FORWARDING, NET_CONF_ALL);
	return net_dev_sysctl(k->net, k->iif, NET4_FORWARDING, &v) == 0 && v;
}

/* Not what is of a link alone, or for many. */
static bool
may_travel(const struct inet_packet *k)
{
	const uint8_t *s = k->from.ip, *d = k->to.ip;

	if (k->v6)
		return d[0] != 0xff && !(d[0] == 0xfe && (d[1] & 0xc0) == 0x80) &&
		       !(s[0] == 0xfe && (s[1] & 0xc0) == 0x80) && !inet_is_any(&k->from);
	return (d[12] & 0xf0) != 0xe0 && d[12] < 0xf0 && d[12] != 0 && d[12] != 127 &&
	       !inet_is_any(&k->from);
}

/* What the sender is told of a route that refuses (ip_error, ip6_pkt_discard). */
static void
tell_no_route(const struct inet_packet *k, int err)
{
	if (err == -EINVAL)
		return; /* a black hole */
	if (k->v6)
		inet_send_error(k, 1, err == -EACCES ? 1 : 0, 0);
	else
		inet_send_error(k, 3, err == -EACCES ? 13 : err == -EHOSTUNREACH ? 1 : 0, 0);
}

static void
count_hop(bool v6, uint8_t *ip)
{
	if (v6) {
		ip[7]--;
		return;
	}
	ip[8]--;
	put_be16(ip + 10, 0);
	ip_sum_put(ip + 10, ip_sum_add(0, ip, (size_t)(ip[0] & 15) * 4));
}

void
inet_forward(const struct inet_packet *k, uint8_t *ip, size_t n)
{
	size_t skip = k->v6 ? 0 : 12;
	struct net_flow f = {
		.family = k->v6 ? LX_AF_INET6 : LX_AF_INET, .protocol = k->protocol, .iif = k->iif};
	struct net_path p;
	uint32_t mtu;
	int err;

	if (!is_allowed(k) || !may_travel(k))
		return;
	if (k->meta.ttl <= 1) {
		inet_send_error(k, k->v6 ? 3 : 11, 0, 0);
		return;
	}
	memcpy(f.dst, k->to.ip + skip, 16 - skip);
	memcpy(f.src, k->from.ip + skip, 16 - skip);
	err = net_path_find(k->net, &f, &p);
	if (err) {
		tell_no_route(k, err);
		return;
	}
	if (!p.up || !p.leaves)
		return;
	mtu = net_pmtu(k->net, k->to.ip, p.route.oif);
	if (n > mtu && (k->v6 || ip[6] & 0x40)) {
		inet_send_error(k, k->v6 ? 2 : 3, k->v6 ? 0 : 4, mtu);
		return;
	}
	count_hop(k->v6, ip);
	(void)net_dev_output(k->net, p.route.oif, p.route.has_gateway ? p.route.gateway : f.dst,
		k->v6, ip, n, mtu);
}
