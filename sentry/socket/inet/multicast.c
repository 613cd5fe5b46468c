/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multicast (ip(7), ipv6(7)). A message to a group that some socket of the namespace is a member
 * of, on the interface that it came by, comes to every socket bound to its port, members or not,
 * unless IP_MULTICAST_ALL is off. Nobody is told of memberships (IGMP, MLD).
 */
#include "internal.h"
#include "sentry/net/route.h"
#include "sentry/net/sysctl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IP_MULTICAST_IF	  32
#define IP_ADD_MEMBERSHIP 35
#define IP_DROP		  36
#define IPV6_MULTICAST_IF 17
#define IPV6_JOIN_GROUP	  20
#define IPV6_LEAVE_GROUP  21
#define MCAST_JOIN_GROUP  42
#define MCAST_LEAVE_GROUP 45
#define MAX_MEMBERSHIPS	  20 /* net.ipv4.igmp_max_memberships */

/* Of one socket; all of them hang in one list. */
struct membership {
	struct list node;
	const struct inet_sock *sock;
	struct inet_addr group;
	int32_t index;
};

static struct mutex members_lock = MUTEX_INIT(LEAF);
static struct list members = LIST_INIT(members);

bool
inet_is_multicast(const struct inet_addr *a)
{
	return inet_is_v4(a) ? (a->ip[12] & 0xf0) == 0xe0 : a->ip[0] == 0xff;
}

static struct membership *
find_locked(const struct inet_sock *i, const struct inet_addr *group, int32_t index)
{
	struct membership *m;

	list_for_each_entry (m, &members, node)
		if (m->sock == i && m->index == index && inet_same_ip(&m->group, group))
			return m;
	return NULL;
}

static int
join(struct inet_sock *i, const struct inet_addr *group, int32_t index)
{
	struct membership *m = calloc(1, sizeof *m);
	int r = 0;

	if (!m)
		return -ENOMEM;
	m->sock = i;
	m->group = *group;
	m->index = index;
	mutex_lock(&members_lock);
	if (find_locked(i, group, index))
		r = -EADDRINUSE;
	else if (i->memberships >= MAX_MEMBERSHIPS && inet_is_v4(group))
		r = -ENOBUFS;
	if (!r) {
		list_push_back(&members, &m->node);
		i->memberships++;
	}
	mutex_unlock(&members_lock);
	if (r)
		free(m);
	return r;
}

static int
leave(struct inet_sock *i, const struct inet_addr *group, int32_t index)
{
	struct membership *m;

	mutex_lock(&members_lock);
	m = find_locked(i, group, index);
	if (m) {
		list_del(&m->node);
		i->memberships--;
	}
	mutex_unlock(&members_lock);
	free(m);
	return m ? 0 : -EADDRNOTAVAIL;
}

void
inet_leave_all(struct inet_sock *i)
{
	struct membership *m, *next;

	if (!i->memberships)
		return;
	mutex_lock(&members_lock);
	list_for_each_entry_safe (m, next, &members, node) {
		if (m->sock == i) {
			list_del(&m->node);
			free(m);
		}
	}
	i->memberships = 0;
	mutex_unlock(&members_lock);
}

bool
inet_gets_group(const struct inet_sock *i, const struct inet_addr *group, int32_t iif)
{
	bool r = !i->own_groups_only;

	if (!r) {
		mutex_lock(&members_lock);
		r = find_locked(i, group, iif ? iif : NET_LO_INDEX) != NULL;
		mutex_unlock(&members_lock);
	}
	return r;
}

static bool
has_members(const struct net_ns *net, const struct inet_addr *group, int32_t iif)
{
	struct membership *m;
	bool r = false;

	mutex_lock(&members_lock);
	list_for_each_entry (m, &members, node)
		r = r || (m->sock->s.net == net && m->index == (iif ? iif : NET_LO_INDEX) &&
				 inet_same_ip(&m->group, group));
	mutex_unlock(&members_lock);
	return r;
}

/* Of an address of that interface (RFC 4291, 2.7.1). Without Ethernet nobody solicits. */
static bool
is_solicited(struct net_ns *net, const uint8_t *ip, int32_t iif)
{
	static const uint8_t prefix[13] = {0xff, 2, [11] = 1, 0xff};

	return memcmp(ip, prefix, sizeof prefix) == 0 && net_link_solicited(net, iif, ip + 13);
}

bool
inet_is_in_group(struct net_ns *net, const struct inet_addr *group, int32_t iif)
{
	static const uint8_t all4[4] = {224, 0, 0, 1}, all[14] = {0};
	const uint8_t *ip = group->ip;
	int32_t router = 0;

	if (has_members(net, group, iif))
		return !iif || inet_is_v4(group) || (ip[1] & 15) >= 2;
	if (inet_is_v4(group))
		return memcmp(ip + 12, all4, 4) == 0;
	/* what is of an interface alone does not come by one */
	if (!iif || (ip[1] & 15) < 2)
		return false;
	if (ip[1] == 2 && memcmp(ip + 2, all, 13) == 0 && ip[15] == 1)
		return true;
	if ((ip[1] == 2 || ip[1] == 5) && memcmp(ip + 2, all, 13) == 0 && ip[15] == 2 &&
		net_dev_sysctl(net, iif, NET6_FORWARDING, &router) == 0 && router)
		return true;
	return is_solicited(net, ip, iif);
}

/* By a route that the guest has made; oif: on that interface, where there needs to be none. */
static bool
routed(struct net_ns *net, const struct inet_addr *group, int32_t oif, struct net_path *ret)
{
	struct net_flow f = {.iif = NET_LO_INDEX, .oif = oif};
	size_t skip = inet_is_v4(group) ? 12 : 0;

	f.family = skip ? LX_AF_INET : LX_AF_INET6;
	memcpy(f.dst, group->ip + skip, 16 - skip);
	return net_path_find(net, &f, ret) == 0 && ret->up;
}

struct whose {
	const uint8_t *addr;
	int32_t index;
};

static void
match(const struct net_addr *a, void *arg)
{
	struct whose *w = arg;

	if (!w->index && a->family == LX_AF_INET && memcmp(a->addr, w->addr, 4) == 0)
		w->index = a->index;
}

/* The interface that an address, which can be reached, is on; or 0. */
static int32_t
index_of(struct net_ns *net, const uint8_t addr[4])
{
	struct whose w = {addr, 0};
	uint8_t ip[16];

	memcpy(ip, inet_mapped, sizeof inet_mapped);
	memcpy(ip + 12, addr, 4);
	if (!net_is_local(net, ip))
		return 0;
	(void)net_addrs(net, match, &w);
	return w.index ? w.index : NET_LO_INDEX; /* all of 127.0.0.0/8 is there */
}

static int32_t
exists(struct net_ns *net, int32_t index)
{
	struct net_link l;

	return index > 0 && net_link_find(net, index, NULL, &l) == 0 ? index : -ENODEV;
}

/* What an interface is named by, an address or a number (0: the one that the routes say): its
 * number, or -ENODEV. group: NULL if there is none. */
static int32_t
named(struct sock *s, const struct inet_addr *group, const uint8_t addr[4], int32_t index)
{
	struct net_path p;

	if (index)
		return exists(s->net, index);
	if (group && memcmp(addr, "\0\0\0\0", 4) == 0 && routed(s->net, group, 0, &p))
		return p.route.oif;
	index = memcmp(addr, "\0\0\0\0", 4) != 0 ? index_of(s->net, addr) : 0;
	return index ? index : -ENODEV;
}

static int
change(struct inet_sock *i, bool add, const struct inet_addr *group, int32_t dev)
{
	if (add && !inet_is_multicast(group))
		return -EINVAL;
	if (add)
		return dev < 0 ? dev : join(i, group, dev);
	return dev < 0 ? -EADDRNOTAVAIL : leave(i, group, dev);
}

static int
option4(struct inet_sock *i, int opt, const uint8_t *val, uint32_t len)
{
	static const uint8_t none[4];
	struct inet_addr group = {.port = 0};
	int32_t index = 0;

	memcpy(group.ip, inet_mapped, sizeof inet_mapped);
	switch (opt) {
	case IP_MULTICAST_IF:
		if (len < 4)
			return -EINVAL;
		if (len >= 12)
			memcpy(&index, val + 8, 4);
		if (len >= 8)
			val += 4; /* struct ip_mreq, ip_mreqn */
		if (!index && !memcmp(val, none, 4)) {
			i->mc_dev = 0;
			memset(i->mc_addr, 0, 4);
			return 0;
		}
		index = named(&i->s, NULL, val, index);
		if (index < 0)
			return -EADDRNOTAVAIL;
		i->mc_dev = index;
		memcpy(i->mc_addr, val, 4); /* none, where the interface was named by its number */
		return 0;
	case IP_ADD_MEMBERSHIP:
	case IP_DROP:
		if (len < 8)
			return -EINVAL;
		memcpy(group.ip + 12, val, 4);
		if (len >= 12)
			memcpy(&index, val + 8, 4);
		if (opt == IP_DROP && !index && !memcmp(val + 4, none, 4))
			return -ENODEV;
		return change(
			i, opt == IP_ADD_MEMBERSHIP, &group, named(&i->s, &group, val + 4, index));
	default:
		return -ENOPROTOOPT;
	}
}

static int
option6(struct inet_sock *i, int opt, const uint8_t *val, uint32_t len)
{
	struct inet_addr group = {.port = 0};
	int32_t index;

	if (opt == IPV6_MULTICAST_IF) {
		if (len < 4)
			return -EINVAL;
		memcpy(&index, val, 4);
		if (index && exists(i->s.net, index) < 0)
			return -ENODEV;
		i->mc_dev6 = index;
		return 0;
	}
	if (opt != IPV6_JOIN_GROUP && opt != IPV6_LEAVE_GROUP)
		return -ENOPROTOOPT;
	if (len < 20)
		return -EINVAL;
	memcpy(group.ip, val, 16);
	memcpy(&index, val + 16, 4);
	if (inet_is_v4(&group))
		return -EINVAL;
	return change(i, opt == IPV6_JOIN_GROUP, &group, exists(i->s.net, index));
}

/* struct group_req */
static int
group_req(struct inet_sock *i, bool add, bool v6, const uint8_t *val, uint32_t len)
{
	struct inet_addr group = {.port = 0};
	uint32_t index;
	uint16_t family;

	if (len < 136)
		return -EINVAL;
	memcpy(&index, val, 4);
	memcpy(&family, val + 8, 2);
	if (family != (v6 ? LX_AF_INET6 : LX_AF_INET))
		return -EADDRNOTAVAIL;
	if (v6) {
		memcpy(group.ip, val + 8 + 8, 16);
	} else {
		memcpy(group.ip, inet_mapped, sizeof inet_mapped);
		memcpy(group.ip + 12, val + 8 + 4, 4);
	}
	return change(i, add, &group, exists(i->s.net, index));
}

int
inet_multicast_set(struct inet_sock *i, int level, int opt, const uint8_t *val, uint32_t len)
{
	if (level != LX_SOL_IP && level != LX_SOL_IPV6)
		return -ENOPROTOOPT;
	if (i->s.type == LX_SOCK_STREAM)
		return level == LX_SOL_IP && (opt == IP_ADD_MEMBERSHIP || opt == IP_DROP)
			       ? -EPROTO
			       : -ENOPROTOOPT;
	if (opt == MCAST_JOIN_GROUP || opt == MCAST_LEAVE_GROUP)
		return group_req(i, opt == MCAST_JOIN_GROUP, level == LX_SOL_IPV6, val, len);
	return level == LX_SOL_IP ? option4(i, opt, val, len) : option6(i, opt, val, len);
}

int
inet_multicast_get(const struct inet_sock *i, int level, int opt, uint8_t val[4])
{
	memset(val, 0, 4);
	if (level == LX_SOL_IPV6 && opt == IPV6_MULTICAST_IF) {
		memcpy(val, &i->mc_dev6, 4);
		return 0;
	}
	if (level != LX_SOL_IP || opt != IP_MULTICAST_IF)
		return -ENOPROTOOPT;
	memcpy(val, i->mc_addr, 4);
	return 0;
}

/* The interface that is asked for; 0: none. */
static int32_t
asked(const struct inet_sock *i, bool v4, int32_t oif)
{
	if (oif || (oif = v4 ? i->mc_dev : i->mc_dev6) || (oif = i->s.bound_dev))
		return oif;
	if (!v4 || inet_is_any(&i->local) || !inet_is_v4(&i->local) || inet_is_multicast(&i->local))
		return 0;
	return index_of(i->s.net, i->local.ip + 12);
}

static int
route_group(const struct inet_sock *i, const struct inet_addr *to, struct inet_addr *from,
	int32_t oif, struct inet_hop *hop)
{
	static const uint8_t lo4[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 1},
			     none[4];
	bool v4 = inet_is_v4(to), any = inet_is_any(from);
	/* IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP: kept relative to their default, 1 */
	bool here_too = v4 ? !i->ip_opt[34] : !i->ip6_opt[19];
	int32_t index = asked(i, v4, oif);
	bool by_lo = !index || index == NET_LO_INDEX;
	struct net_path p = {.has_source = false};

	if (!routed(i->s.net, to, by_lo ? 0 : index, &p)) {
		/* Linux gives lo no route to IPv6 groups, whatever the options say. */
		if (!v4 || index != NET_LO_INDEX || !net_is_local(i->s.net, lo4))
			return -ENETUNREACH;
		/* what lo has stays there */
		p.has_source = net_source_in_scope(i->s.net, LX_RT_SCOPE_SITE, p.source);
		p.leaves = false;
	}
	if (any) {
		memset(from->ip, 0, 16);
		if (v4) {
			memcpy(from->ip, inet_mapped, sizeof inet_mapped);
			memcpy(from->ip + 12, i->mc_addr, 4);
		}
		if ((!v4 || !memcmp(i->mc_addr, none, 4)) && p.has_source)
			memcpy(from->ip + (v4 ? 12 : 0), p.source, v4 ? 4 : 16);
	}
	if (!p.leaves || index == NET_LO_INDEX)
		return INET_HERE;
	*hop = (struct inet_hop){.oif = p.route.oif, .here_too = here_too};
	memcpy(hop->ip, to->ip + (v4 ? 12 : 0), v4 ? 4 : 16);
	return INET_OUT;
}

int
inet_route_any(struct inet_sock *i, struct inet_addr *to, struct inet_addr *from, bool connects,
	int32_t oif, struct inet_hop *hop)
{
	if (inet_is_multicast(from))
		memset(from->ip, 0, 16);
	if (!inet_is_multicast(to))
		return inet_route(&i->s, to, from, connects, oif, hop);
	return route_group(i, to, from, oif, hop);
}
