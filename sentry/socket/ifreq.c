/* SPDX-License-Identifier: Apache-2.0 */
/* The ioctls of netdevice(7) that tell of interfaces; those that change them are in ifreq_set.c. */
#include "ifreq.h"
#include "sentry/net/link.h"
#include "sentry/socket/socket.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
ifreq_match(const struct net_addr *a, void *arg)
{
	struct ifreq_first *f = arg;
	bool exact = f->ip && memcmp(a->addr, f->ip, 4) == 0;

	if (a->family != LX_AF_INET || a->index != f->link->index ||
		strcmp(a->label[0] ? a->label : f->link->name, f->label) != 0)
		return;
	if (f->found && (f->exact || !exact))
		return;
	f->found = true;
	f->exact = exact;
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
	memcpy(c->v[c->n].name, a->label, 16);
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
		memset(q->pad, 0, sizeof q->pad);
		if (!q->name[0])
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
	uint8_t ip[4];
	struct ifreq_first f = {.link = l, .label = r->name};
	uint32_t mask;
	int err;

	memcpy(ip, &r->addr.addr, 4);
	if (r->addr.family == LX_AF_INET)
		f.ip = ip;
	err = net_addrs(net, ifreq_match, &f);
	if (err < 0)
		return err;
	if (!f.found)
		return -EADDRNOTAVAIL;
	memset(r->pad, 0, sizeof r->pad);
	mask = f.addr.prefixlen ? __builtin_bswap32(0xffffffffu << (32 - f.addr.prefixlen)) : 0;
	if (cmd == SIOCGIFNETMASK)
		put_ip(r, (const uint8_t *)&mask);
	else if (cmd == SIOCGIFBRDADDR)
		put_ip(r, f.addr.broadcast); /* all zero: none */
	else if (cmd == SIOCGIFDSTADDR && f.addr.has_peer)
		put_ip(r, f.addr.peer);
	else
		put_ip(r, f.addr.addr);
	return 0;
}

static int
get(struct net_ns *net, struct lx_ifreq *r, const struct net_link *l, uint32_t cmd)
{
	if (cmd == SIOCGIFADDR || cmd == SIOCGIFDSTADDR || cmd == SIOCGIFBRDADDR ||
		cmd == SIOCGIFNETMASK)
		return get_address(net, r, l, cmd);
	memset(r->pad, 0, sizeof r->pad);
	switch (cmd) {
	case SIOCGIFNAME:
		memcpy(r->name, l->name, sizeof r->name);
		r->value = l->index;
		return 0;
	case SIOCGIFFLAGS:
		r->flags = (int16_t)l->flags;
		return 0;
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

/* Behind a colon an address of it is named. */
static int
find_link(struct net_ns *net, const char name[16], struct net_link *ret)
{
	char base[16] = "";

	memcpy(base, name, strcspn(name, ":"));
	return net_link_find(net, 0, base, ret);
}

int64_t
ifreq_ioctl(struct sock *s, const struct call *c, uint32_t cmd, uint64_t arg)
{
	struct lx_ifreq r;
	struct net_link l;
	int err;

	if (cmd == SIOCADDRT || cmd == SIOCDELRT)
		return rtentry_ioctl(s, c, cmd, arg);
	if (cmd < SIOCGIFNAME || cmd > 0x8950)
		return -ENOTTY;
	if (s->family == LX_AF_INET6 && (cmd == SIOCSIFADDR || cmd == SIOCDIFADDR))
		return ifreq6_set(s, c, cmd, arg);
	if (cmd == SIOCGIFCONF)
		return get_conf(s->net, c, arg);
	if (copy_in(c->um, &r, ua(arg), sizeof r))
		return -EFAULT;
	r.name[15] = 0;
	if (cmd == SIOCGIFNAME)
		err = r.value > 0 ? net_link_find(s->net, r.value, NULL, &l) : -ENODEV;
	else
		err = find_link(s->net, r.name, &l);
	if (err == 0)
		err = ifreq_is_setter(cmd) ? ifreq_set(s->net, c, &r, &l, cmd)
					   : get(s->net, &r, &l, cmd);
	if (err < 0 || ifreq_is_setter(cmd))
		return err;
	return copy_out(c->um, ua(arg), &r, sizeof r);
}
