/* SPDX-License-Identifier: Apache-2.0 */
/* The ioctls of netdevice(7) that change interfaces and their addresses. Linux:
 * net/core/dev_ioctl.c, devinet_ioctl in net/ipv4/devinet.c, addrconf_add_ifaddr in
 * net/ipv6/addrconf.c. */
#include "ifreq.h"
#include "sentry/cred/user_ns.h"
#include "sentry/net/dev.h"
#include "sentry/net/route.h"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

bool
ifreq_is_setter(uint32_t cmd)
{
	static const uint32_t setters[] = {SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFDSTADDR,
		SIOCSIFBRDADDR, SIOCSIFNETMASK, SIOCSIFMETRIC, SIOCSIFMTU, SIOCSIFNAME,
		SIOCSIFHWADDR, SIOCSIFTXQLEN};

	for (size_t i = 0; i < sizeof setters / sizeof setters[0]; i++)
		if (setters[i] == cmd)
			return true;
	return false;
}

static bool
may(const struct net_ns *net, const struct call *c)
{
	return cred_capable_in(c->cred, net_ns_owner(net), LX_CAP_NET_ADMIN) &&
	       !net_ns_on_host(net);
}

/* --- addresses --- */

/* inet_abc_len */
static int
class_len(const uint8_t *ip)
{
	if (memcmp(ip, "\0\0\0\0", 4) == 0 || memcmp(ip, "\377\377\377\377", 4) == 0)
		return 0;
	return ip[0] < 128 ? 8 : ip[0] < 192 ? 16 : ip[0] < 224 ? 24 : ip[0] < 240 ? -1 : 32;
}

static void
set_broadcast(struct net_addr *a)
{
	uint32_t ip, ones = a->prefixlen < 32 ? htonl(0xffffffffu >> a->prefixlen) : 0;

	memcpy(&ip, a->addr, 4);
	ip |= ones;
	a->has_broadcast = a->prefixlen < 31;
	memset(a->broadcast, 0, sizeof a->broadcast);
	if (a->has_broadcast)
		memcpy(a->broadcast, &ip, 4);
}

static int
put_in_place(struct net_ns *net, const struct ifreq_first *had, struct net_addr *a)
{
	int err;

	if (had->found)
		(void)net_addr_remove(net, &had->addr, NULL, NULL);
	err = net_addr_add(net, a);
	if (!err)
		net_addr_news(net, false, a);
	return err == -EEXIST ? 0 : err;
}

static int
set_address(struct net_ns *net, const struct net_link *l, const uint8_t *ip, struct ifreq_first *f)
{
	struct net_addr a = {.family = LX_AF_INET,
		.flags = LX_IFA_F_PERMANENT,
		.index = l->index,
		.scope = ip[0] == 127 ? LX_RT_SCOPE_HOST : LX_RT_SCOPE_UNIVERSE};
	int len = class_len(ip);

	if (len < 0)
		return -EINVAL;
	if (memcmp(ip, "\0\0\0\0", 4) == 0) {
		if (f->found)
			(void)net_addr_remove(net, &f->addr, NULL, NULL);
		return 0;
	}
	memcpy(a.addr, ip, 4);
	if (strchr(f->label, ':'))
		memcpy(a.label, f->label, strnlen(f->label, 15));
	a.prefixlen = l->flags & LX_IFF_POINTOPOINT ? 32 : (uint8_t)len;
	if (l->flags & LX_IFF_BROADCAST)
		set_broadcast(&a);
	return put_in_place(net, f, &a);
}

static int
set_mask(struct net_ns *net, const struct net_link *l, uint32_t mask, const struct ifreq_first *f)
{
	struct net_addr a = f->addr, usual = f->addr;
	uint32_t m = ntohl(mask);

	if (~m & (~m + 1))
		return -EINVAL; /* not all ones in front */
	a.prefixlen = (uint8_t)__builtin_popcount(m);
	set_broadcast(&usual);
	if (l->flags & LX_IFF_BROADCAST && usual.has_broadcast && a.has_broadcast &&
		memcmp(a.broadcast, usual.broadcast, 4) == 0)
		set_broadcast(&a);
	return put_in_place(net, f, &a);
}

static int
set_ip(struct net_ns *net, const struct lx_ifreq *r, const struct net_link *l, uint32_t cmd)
{
	struct ifreq_first f = {.link = l, .label = r->name};
	struct net_addr a;
	const uint8_t *ip = (const uint8_t *)&r->addr.addr;
	int err = r->addr.family == LX_AF_INET ? net_addrs(net, ifreq_match, &f) : -EINVAL;

	if (err < 0)
		return err;
	if (cmd == SIOCSIFADDR)
		return set_address(net, l, ip, &f);
	if (!f.found)
		return -EADDRNOTAVAIL;
	a = f.addr;
	if (cmd == SIOCSIFNETMASK)
		return set_mask(net, l, r->addr.addr, &f);
	if (cmd == SIOCSIFBRDADDR) {
		a.has_broadcast = true;
		memcpy(a.broadcast, ip, 4);
	} else {
		a.has_peer = memcmp(a.addr, ip, 4) != 0;
		memcpy(a.peer, ip, 4);
	}
	return put_in_place(net, &f, &a);
}

/* One that is not up is gone. */
static int
set_alias(struct net_ns *net, const struct lx_ifreq *r, const struct net_link *l)
{
	struct ifreq_first f = {.link = l, .label = r->name};
	int err = net_addrs(net, ifreq_match, &f);

	if (err < 0 || !f.found)
		return err < 0 ? err : -EADDRNOTAVAIL;
	if (!(r->flags & LX_IFF_UP))
		(void)net_addr_remove(net, &f.addr, NULL, NULL);
	return 0;
}

int
ifreq_set(struct net_ns *net, const struct call *c, const struct lx_ifreq *r,
	const struct net_link *l, uint32_t cmd)
{
	char name[16];
	int err;

	if (!may(net, c))
		return -EPERM;
	switch (cmd) {
	case SIOCSIFFLAGS:
		if (strchr(r->name, ':'))
			return set_alias(net, r, l);
		err = net_link_set_flags(
			net, l->index, (uint16_t)r->flags, (uint16_t)r->flags ^ l->flags);
		if (!err)
			err = net_link_set_up(net, l->index, r->flags & LX_IFF_UP);
		break;
	case SIOCSIFMTU:
		err = r->value < 0 ? -EINVAL : net_link_set_mtu(net, l->index, (uint32_t)r->value);
		break;
	case SIOCSIFTXQLEN:
		err = r->value < 0 ? -EINVAL
				   : net_link_set_txqlen(net, l->index, (uint32_t)r->value);
		break;
	case SIOCSIFNAME:
		memcpy(name, r->newname, sizeof name);
		name[15] = 0;
		err = net_link_rename(net, l->index, name);
		break;
	case SIOCSIFHWADDR:
		err = r->hwaddr.family == l->type
			      ? net_link_set_hwaddr(net, l->index, r->hwaddr.data)
			      : -EINVAL;
		break;
	case SIOCSIFADDR:
	case SIOCSIFDSTADDR:
	case SIOCSIFBRDADDR:
	case SIOCSIFNETMASK:
		return set_ip(net, r, l, cmd);
	default:
		return -EOPNOTSUPP;
	}
	if (!err)
		net_link_news(net, l->index);
	return err;
}

int64_t
ifreq6_set(struct sock *s, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct net_addr a = {.family = LX_AF_INET6, .flags = LX_IFA_F_PERMANENT};
	struct lx_in6_ifreq r;
	bool link_local;
	int err;

	if (!may(s->net, c))
		return -EPERM;
	if (copy_in(c->um, &r, ua(arg), sizeof r))
		return -EFAULT;
	if (r.prefixlen > 128)
		return -EINVAL;
	link_local = r.addr[0] == 0xfe && (r.addr[1] & 0xc0) == 0x80;
	memcpy(a.addr, r.addr, 16);
	a.prefixlen = (uint8_t)r.prefixlen;
	a.index = r.ifindex;
	a.scope = link_local ? LX_RT_SCOPE_LINK : LX_RT_SCOPE_UNIVERSE;
	if (cmd != SIOCSIFADDR)
		return net_addr_remove(s->net, &a, NULL, NULL);
	err = net_addr_add(s->net, &a);
	if (!err)
		net_addr_news(s->net, false, &a);
	return err;
}

/* --- routes --- */

static int
take4(struct net_ns *net, const struct call *c, uint64_t arg, struct net_route *x)
{
	struct lx_rtentry r;
	struct net_link l;
	uint32_t mask;
	char name[16];

	if (copy_in(c->um, &r, ua(arg), sizeof r))
		return -EFAULT;
	if (r.dst.family != LX_AF_INET)
		return -EAFNOSUPPORT;
	mask = ntohl(r.genmask.addr);
	if (!(r.flags & LX_RTF_HOST) && (~mask & (~mask + 1)))
		return -EINVAL;
	*x = (struct net_route){.family = LX_AF_INET,
		.table = LX_RT_TABLE_MAIN,
		.protocol = LX_RTPROT_BOOT,
		.type = r.flags & LX_RTF_REJECT ? LX_RTN_UNREACHABLE : LX_RTN_UNICAST,
		.scope = r.flags & LX_RTF_GATEWAY ? LX_RT_SCOPE_UNIVERSE : LX_RT_SCOPE_LINK,
		.dst_len = r.flags & LX_RTF_HOST ? 32 : (uint8_t)__builtin_popcount(mask)};
	if (r.flags & LX_RTF_REJECT)
		x->scope = LX_RT_SCOPE_HOST;
	memcpy(x->dst, &r.dst.addr, 4);
	if (r.metric > 0)
		x->priority = (uint32_t)r.metric - 1;
	if (r.dev) {
		if (copy_in_str(c->um, name, ua(r.dev), sizeof name) == -EFAULT)
			return -EFAULT;
		name[15] = 0;
		if (net_link_find(net, 0, name, &l) < 0)
			return -ENODEV;
		x->oif = l.index;
	}
	if (r.flags & LX_RTF_GATEWAY) {
		if (r.gateway.family != LX_AF_INET || !r.gateway.addr)
			return -EINVAL;
		memcpy(x->gateway, &r.gateway.addr, 4);
		x->has_gateway = true;
	}
	return 0;
}

static int
take6(const struct call *c, uint64_t arg, struct net_route *x)
{
	static const uint8_t none[16];
	struct lx_in6_rtmsg r;

	if (copy_in(c->um, &r, ua(arg), sizeof r))
		return -EFAULT;
	if (r.dst_len > 128 || r.src_len)
		return -EINVAL;
	*x = (struct net_route){.family = LX_AF_INET6,
		.table = LX_RT_TABLE_MAIN,
		.protocol = LX_RTPROT_BOOT,
		.type = r.flags & LX_RTF_REJECT ? LX_RTN_UNREACHABLE : LX_RTN_UNICAST,
		.dst_len = (uint8_t)r.dst_len,
		.priority = r.metric,
		.oif = r.ifindex};
	memcpy(x->dst, r.dst, 16);
	x->has_gateway = r.flags & LX_RTF_GATEWAY && memcmp(r.gateway, none, 16) != 0;
	if (x->has_gateway)
		memcpy(x->gateway, r.gateway, 16);
	return 0;
}

int64_t
rtentry_ioctl(struct sock *s, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct net_route x;
	uint16_t news;
	int err;

	if (!may(s->net, c))
		return -EPERM;
	err = s->family == LX_AF_INET6 ? take6(c, arg, &x) : take4(s->net, c, arg, &x);
	if (err)
		return err;
	if (cmd == SIOCADDRT)
		return net_route_add(s->net, &x, LX_NLM_F_CREATE | LX_NLM_F_EXCL, &news);
	x.protocol = 0;
	x.scope = LX_RT_SCOPE_NOWHERE;
	return net_route_remove(s->net, &x);
}
