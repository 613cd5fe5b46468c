/* SPDX-License-Identifier: Apache-2.0 */
/* Neighbour discovery (RFC 4861): who has an IPv6 address on a tap. Nothing is learnt of routers,
 * and no addresses are made. Linux: net/ipv6/ndisc.c. */
#include "abi/socket.h"
#include "resolve.h"
#include "sentry/net/ip_pieces.h"
#include "sentry/net/packet.h"
#include <errno.h>
#include <string.h>

#define ICMP6	     58
#define MESSAGE	     24u /* bytes before the options */
#define OPTION	     8u	 /* bytes of a link-layer address' */
#define OUR_MESSAGE  (MESSAGE + OPTION)
#define SOLICIT	     135
#define ADVERTISE    136
#define IS_ROUTER    0x80
#define IS_SOLICITED 0x40
#define OVERRIDES    0x20

enum { SOURCE_LLADDR = 1, TARGET_LLADDR = 2 };

static const uint8_t any[16];
static const uint8_t all_nodes[16] = {0xff, 2, [15] = 1};

static void
solicited_node(const uint8_t target[16], uint8_t ret[16])
{
	static const uint8_t prefix[13] = {0xff, 2, [11] = 1, 0xff};

	memcpy(ret, prefix, 13);
	memcpy(ret + 13, target + 13, 3);
}

static uint32_t
sum(const uint8_t *ip, size_t n)
{
	return ip_sum_add(ip_sum_add((uint32_t)n + ICMP6, ip + 8, 32), ip + IP6_HEADER, n);
}

/* --- out --- */

struct message {
	size_t n; /* with the Ethernet header */
	uint8_t eth[ETH_HEADER], ip[IP6_HEADER + OUR_MESSAGE];
};

/* All of it but where the frame goes. lladdr: say where we are. */
static void
build(struct net_ns *ns, const struct net_dev *d, struct message *m, uint8_t type, uint8_t flags,
	bool lladdr, const uint8_t *from, const uint8_t *to, const uint8_t *target)
{
	uint8_t *ip = m->ip, *icmp = ip + IP6_HEADER;
	uint8_t n = MESSAGE + (lladdr ? OPTION : 0);

	memset(m, 0, sizeof *m);
	m->n = sizeof m->eth + IP6_HEADER + n;
	eth_header_put(ns, d, m->eth, any, ETH_P_IPV6);
	ip[0] = 0x60;
	ip[5] = n;
	ip[6] = ICMP6;
	ip[7] = 255;
	memcpy(ip + 8, from, 16);
	memcpy(ip + 24, to, 16);
	icmp[0] = type;
	icmp[4] = flags;
	memcpy(icmp + 8, target, 16);
	if (lladdr) {
		icmp[MESSAGE] = type == SOLICIT ? SOURCE_LLADDR : TARGET_LLADDR;
		icmp[MESSAGE + 1] = 1;
		memcpy(icmp + MESSAGE + 2, m->eth + 6, 6);
	}
	ip_sum_put(icmp + 2, sum(ip, n));
}

static bool
is_ours_locked(const struct net_ns *ns, int32_t index, const uint8_t *ip)
{
	for (size_t i = 0; i < ns->naddrs; i++)
		if (ns->addrs[i].family == LX_AF_INET6 && ns->addrs[i].index == index &&
			memcmp(ns->addrs[i].addr, ip, 16) == 0)
			return true;
	return false;
}

static bool
link_local_locked(const struct net_ns *ns, int32_t index, uint8_t ret[16])
{
	for (size_t i = 0; i < ns->naddrs; i++)
		if (ns->addrs[i].family == LX_AF_INET6 && ns->addrs[i].index == index &&
			ns->addrs[i].scope == LX_RT_SCOPE_LINK) {
			memcpy(ret, ns->addrs[i].addr, 16);
			return true;
		}
	return false;
}

void
nd_ask(struct net_ns *ns, struct net_dev *d, const uint8_t target[16], const uint8_t mac[6],
	const uint8_t *source)
{
	uint8_t from[16], to[16];
	struct message m;
	bool can = true;

	mutex_lock(&ns->lock);
	if (source && is_ours_locked(ns, d->index, source))
		memcpy(from, source, 16);
	else
		can = link_local_locked(ns, d->index, from);
	mutex_unlock(&ns->lock);
	/* From nowhere it would ask whether the address is free. */
	if (!can)
		return;
	if (mac)
		memcpy(to, target, 16);
	else
		solicited_node(target, to);
	build(ns, d, &m, SOLICIT, 0, true, from, to, target);
	if (mac) {
		memcpy(m.eth, mac, 6);
	} else {
		m.eth[0] = m.eth[1] = 0x33;
		memcpy(m.eth + 2, to + 12, 4);
	}
	dev_send(ns, d, ETH_P_IPV6, m.eth, m.n);
}

/* --- in --- */

/* What came, checked (RFC 4861, 7.1). */
struct heard {
	const uint8_t *from, *to, *target, *lladdr; /* lladdr: or NULL */
	uint8_t type, flags;
	bool dad; /* a solicitation from who does not have the address yet */
};

/* To a solicitation. */
struct answer {
	bool is, proxy;
	uint8_t flags;
};

/* False: one of them is no option. */
static bool
options(const uint8_t *p, size_t n, uint8_t type, const uint8_t **ret)
{
	*ret = NULL;
	while (n) {
		size_t len = n >= 2 ? p[1] * 8u : 0;

		if (!len || len > n)
			return false;
		if (p[0] == type && !*ret) {
			if (len != OPTION || p[2] & 1)
				return false;
			*ret = p + 2;
		}
		p += len;
		n -= len;
	}
	return true;
}

static bool
is_unicast(const uint8_t *ip)
{
	static const uint8_t loopback[16] = {[15] = 1};

	return ip[0] != 0xff && memcmp(ip, any, 16) != 0 && memcmp(ip, loopback, 16) != 0;
}

static bool
parse(const uint8_t *ip, size_t n, struct heard *h)
{
	const uint8_t *icmp = ip + IP6_HEADER;
	uint8_t group[16], check[2];
	size_t len;

	if (n < IP6_HEADER + MESSAGE || ip[0] >> 4 != 6 || ip[6] != ICMP6 || ip[7] != 255)
		return false;
	len = get_be16(ip + 4);
	if (len < MESSAGE || len > n - IP6_HEADER || icmp[1] != 0)
		return false;
	*h = (struct heard){.from = ip + 8,
		.to = ip + 24,
		.target = icmp + 8,
		.type = icmp[0],
		.flags = icmp[4]};
	if (h->type != SOLICIT && h->type != ADVERTISE)
		return false;
	ip_sum_put(check, sum(ip, len));
	if (check[0] || check[1] || !is_unicast(h->target))
		return false;
	if (!options(icmp + MESSAGE, len - MESSAGE,
		    h->type == SOLICIT ? SOURCE_LLADDR : TARGET_LLADDR, &h->lladdr))
		return false;
	h->dad = h->type == SOLICIT && memcmp(h->from, any, 16) == 0;
	if (h->type == ADVERTISE && h->to[0] == 0xff && h->flags & IS_SOLICITED)
		return false;
	solicited_node(h->target, group);
	if (h->dad)
		return !h->lladdr && memcmp(h->to, group, 16) == 0;
	return is_unicast(h->from);
}

/* Whoever it was for, does it concern us? */
static bool
is_for_us_locked(const struct net_ns *ns, int32_t index, const struct heard *h)
{
	uint8_t group[16];

	solicited_node(h->target, group);
	return memcmp(h->to, all_nodes, 16) == 0 || memcmp(h->to, group, 16) == 0 ||
	       is_ours_locked(ns, index, h->to);
}

/* Somebody in whose name to answer, or NULL. */
static const struct neigh *
proxied_locked(struct net_ns *ns, int32_t index, const uint8_t *target)
{
	if (!net_conf_locked(ns, NET6_FORWARDING, index) ||
		!net_conf_most_locked(ns, NET6_PROXY_NDP, index))
		return NULL;
	return neigh_find_locked(ns, LX_AF_INET6, index, target, true);
}

/* ndisc_recv_ns */
static void
solicited_locked(struct net_ns *ns, const struct net_dev *d, const struct heard *h,
	struct answer *a, struct neigh_work *w)
{
	bool ours = is_ours_locked(ns, d->index, h->target), to_group = h->to[0] == 0xff;
	bool router = net_conf_locked(ns, NET6_FORWARDING, d->index);
	const struct neigh *other = NULL;
	struct neigh *x;
	int err;

	if (!ours) {
		other = proxied_locked(ns, d->index, h->target);
		if (!other)
			return;
		router = other->n.flags & LX_NTF_ROUTER;
	}
	*a = (struct answer){.is = true,
		.proxy = other,
		.flags = (uint8_t)((router ? IS_ROUTER : 0) | (h->dad ? 0 : IS_SOLICITED) |
				   (ours && to_group ? OVERRIDES : 0))};
	if (h->dad)
		return;
	x = neigh_find_locked(ns, LX_AF_INET6, d->index, h->from, false);
	if (!x && (h->lladdr || !to_group))
		x = neigh_new_locked(ns, LX_AF_INET6, d->index, h->from, false, &err);
	a->is = x;
	if (x)
		(void)neigh_update_locked(
			ns, x, h->lladdr, LX_NUD_STALE, NEIGH_OVERRIDE | NEIGH_WEAK_OVERRIDE, w);
}

/* Without the lock. */
static void
advertise(struct net_ns *ns, struct net_dev *d, const struct heard *h, const struct answer *a)
{
	struct net_flow f = {.family = LX_AF_INET6, .oif = d->index};
	const uint8_t *from = h->target, *to = h->dad ? all_nodes : h->from;
	struct net_path p;
	struct message m;

	if (a->proxy) {
		memcpy(f.dst, to, 16);
		if (net_path_find(ns, &f, &p))
			return;
		from = p.source;
	}
	build(ns, d, &m, ADVERTISE, a->flags, h->to[0] == 0xff, from, to, h->target);
	(void)resolve_output(ns, d, true, m.ip + 24, m.ip, m.n - sizeof m.eth);
}

static void
advertised_locked(
	struct net_ns *ns, const struct net_dev *d, const struct heard *h, struct neigh_work *w)
{
	struct neigh *x = neigh_find_locked(ns, LX_AF_INET6, d->index, h->target, false);
	unsigned how = NEIGH_WEAK_OVERRIDE | NEIGH_KNOWS_IF_ROUTER;

	if (!x || x->n.state & LX_NUD_FAILED || is_ours_locked(ns, d->index, h->target))
		return;
	if (h->flags & OVERRIDES)
		how |= NEIGH_OVERRIDE;
	if (h->flags & IS_ROUTER)
		how |= NEIGH_ROUTER;
	(void)neigh_update_locked(ns, x, h->lladdr,
		h->flags & IS_SOLICITED ? LX_NUD_REACHABLE : LX_NUD_STALE, how, w);
}

void
resolve_nd_input(struct net_ns *ns, struct net_dev *d, const uint8_t *ip, size_t n)
{
	struct neigh_work w = {.v6 = true};
	struct answer a = {.is = false};
	struct heard h;

	if (!d->tap || !parse(ip, n, &h))
		return;
	mutex_lock(&ns->lock);
	if (!is_for_us_locked(ns, d->index, &h))
		;
	else if (h.type == SOLICIT)
		solicited_locked(ns, d, &h, &a, &w);
	else
		advertised_locked(ns, d, &h, &w);
	mutex_unlock(&ns->lock);
	neigh_work_do(ns, d, d->index, &w);
	if (a.is)
		advertise(ns, d, &h, &a);
}
