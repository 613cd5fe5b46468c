/* SPDX-License-Identifier: Apache-2.0 */
/* The ioctls of netdevice(7), over the interfaces that the sandbox shows. */
#include "sentry/cred/user_ns.h"
#include "sentry/net/link.h"
#include "sentry/socket/socket.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIOCGIFNAME    0x8910
#define SIOCGIFCONF    0x8912
#define SIOCGIFFLAGS   0x8913
#define SIOCSIFFLAGS   0x8914
#define SIOCGIFADDR    0x8915
#define SIOCGIFDSTADDR 0x8917
#define SIOCGIFBRDADDR 0x8919
#define SIOCGIFNETMASK 0x891b
#define SIOCGIFMETRIC  0x891d
#define SIOCGIFMTU     0x8921
#define SIOCSIFMTU     0x8922
#define SIOCGIFHWADDR  0x8927
#define SIOCGIFINDEX   0x8933
#define SIOCGIFTXQLEN  0x8942

/* Flags beside IFF_UP that could be set elsewhere: DEBUG NOTRAILERS NOARP PROMISC ALLMULTI
 * MULTICAST AUTOMEDIA DYNAMIC. */
#define OTHER_FLAGS 0xd3a4u

struct lx_ifreq {
	char name[16];
	union {
		struct lx_sockaddr_in addr;
		struct {
			uint16_t family;
			uint8_t data[14];
		} hwaddr;
		int16_t flags;
		int32_t value;
		uint8_t pad[24];
	};
};

/* The first IPv4 address of a link. */
struct find {
	int32_t index;
	bool found;
	struct net_addr addr;
};

static void
match(const struct net_addr *a, void *arg)
{
	struct find *f = arg;

	if (f->found || a->family != LX_AF_INET || a->index != f->index)
		return;
	f->found = true;
	f->addr = *a;
}

static void
put_ip(struct lx_ifreq *r, const uint8_t *ip)
{
	r->addr = (struct lx_sockaddr_in){.family = LX_AF_INET};
	memcpy(&r->addr.addr, ip, 4);
}

/* --- SIOCGIFCONF --- */

struct conf {
	struct lx_ifreq *v;
	size_t n, cap;
};

static void
add_conf(const struct net_addr *a, void *arg)
{
	struct conf *c = arg;

	if (a->family != LX_AF_INET)
		return;
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 8;
		struct lx_ifreq *v = realloc(c->v, cap * sizeof *v);

		if (!v)
			return;
		c->v = v;
		c->cap = cap;
	}
	memset(&c->v[c->n], 0, sizeof c->v[0]);
	c->v[c->n].value = a->index; /* the name comes when no lock is held */
	memcpy(c->v[c->n].pad + 8, a->addr, 4);
	c->n++;
}

static int64_t
get_conf(struct net_ns *net, const struct call *c, uint64_t arg)
{
	struct {
		int32_t len, pad;
		uint64_t buf;
	} head;
	struct conf all = {0};
	size_t n = 0;
	int r;

	if (copy_in(c->um, &head, ua(arg), sizeof head))
		return -EFAULT;
	r = net_addrs(net, add_conf, &all);
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		struct lx_ifreq *q = &all.v[i];
		struct net_link l;
		uint8_t ip[4];

		memcpy(ip, q->pad + 8, 4);
		if (net_link_find(net, q->value, NULL, &l) < 0)
			continue;
		memset(q, 0, sizeof *q);
		memcpy(q->name, l.name, sizeof q->name);
		put_ip(q, ip);
		all.v[n++] = *q;
	}
	if (head.buf) {
		size_t room = head.len > 0 ? (size_t)head.len / sizeof all.v[0] : 0;

		n = n < room ? n : room;
		if (r == 0 && n && copy_out(c->um, ua(head.buf), all.v, n * sizeof all.v[0]))
			r = -EFAULT;
	}
	free(all.v);
	head.len = (int32_t)(n * sizeof all.v[0]);
	return r < 0 ? r : copy_out(c->um, ua(arg), &head, sizeof head);
}

/* --- one interface --- */

static int
get_address(struct net_ns *net, struct lx_ifreq *r, const struct net_link *l, uint32_t cmd)
{
	struct find f = {.index = l->index};
	uint32_t mask;
	int err = net_addrs(net, match, &f);

	if (err < 0)
		return err;
	if (!f.found)
		return -EADDRNOTAVAIL;
	mask = f.addr.prefixlen ? __builtin_bswap32(0xffffffffu << (32 - f.addr.prefixlen)) : 0;
	if (cmd == SIOCGIFNETMASK)
		put_ip(r, (const uint8_t *)&mask);
	else if (cmd == SIOCGIFBRDADDR)
		put_ip(r, f.addr.broadcast); /* all zero: none */
	else
		put_ip(r, f.addr.addr);
	return 0;
}

static int
get(struct net_ns *net, struct lx_ifreq *r, const struct net_link *l, uint32_t cmd)
{
	memset(r->pad, 0, sizeof r->pad);
	switch (cmd) {
	case SIOCGIFNAME:
		memcpy(r->name, l->name, sizeof r->name);
		r->value = l->index;
		return 0;
	case SIOCGIFFLAGS:
		r->flags = (int16_t)l->flags;
		return 0;
	case SIOCGIFADDR:
	case SIOCGIFDSTADDR:
	case SIOCGIFBRDADDR:
	case SIOCGIFNETMASK:
		return get_address(net, r, l, cmd);
	case SIOCGIFMETRIC:
		r->value = 0;
		return 0;
	case SIOCGIFMTU:
		r->value = (int32_t)l->mtu;
		return 0;
	case SIOCGIFHWADDR:
		r->hwaddr.family = l->type;
		memcpy(r->hwaddr.data, l->hwaddr, l->hwaddr_len < 14 ? l->hwaddr_len : 14);
		return 0;
	case SIOCGIFINDEX:
		r->value = l->index;
		return 0;
	case SIOCGIFTXQLEN:
		r->value = (int32_t)l->txqlen;
		return 0;
	default:
		return -EINVAL;
	}
}

/* Only lo of a stack of the sandbox's own can be changed. */
static int
set(struct net_ns *net, const struct call *c, const struct lx_ifreq *r, const struct net_link *l,
	uint32_t cmd)
{
	if (!cred_capable_in(c->cred, net_ns_owner(net), LX_CAP_NET_ADMIN) || net_ns_on_host(net))
		return -EPERM;
	if (cmd == SIOCSIFFLAGS) {
		if (((uint16_t)r->flags ^ l->flags) & OTHER_FLAGS)
			return -EOPNOTSUPP;
		net_lo_set_up(net, r->flags & LX_IFF_UP);
		return 0;
	}
	if (cmd == SIOCSIFMTU)
		return r->value < 0 ? -EINVAL : net_lo_set_mtu(net, (uint32_t)r->value);
	return -EOPNOTSUPP;
}

static bool
is_setter(uint32_t cmd)
{
	static const uint32_t setters[] = {SIOCSIFFLAGS, 0x8916, 0x8918, 0x891a, 0x891c, 0x891e,
		SIOCSIFMTU, 0x8923, 0x8924, 0x8943};

	for (size_t i = 0; i < sizeof setters / sizeof setters[0]; i++)
		if (setters[i] == cmd)
			return true;
	return false;
}

int64_t
ifreq_ioctl(struct sock *s, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct lx_ifreq r;
	struct net_link l;
	int err;

	if (cmd < SIOCGIFNAME || cmd > 0x8950)
		return -ENOTTY;
	if (cmd == SIOCGIFCONF)
		return get_conf(s->net, c, arg);
	if (copy_in(c->um, &r, ua(arg), sizeof r))
		return -EFAULT;
	r.name[15] = 0;
	if (cmd == SIOCGIFNAME)
		err = r.value > 0 ? net_link_find(s->net, r.value, NULL, &l) : -ENODEV;
	else
		err = net_link_find(s->net, 0, r.name, &l);
	if (err == 0)
		err = is_setter(cmd) ? set(s->net, c, &r, &l, cmd) : get(s->net, &r, &l, cmd);
	if (err < 0 || is_setter(cmd))
		return err;
	return copy_out(c->um, ua(arg), &r, sizeof r);
}
