/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interfaces, addresses and routes of a network namespace of the host's, asked of
 * its kernel by rtnetlink(7). The host is trusted to tell the truth, but lengths are checked
 * all the same. A dump is there as soon as it was asked for: nothing here waits.
 */
#include "abi/socket.h"
#include "internal.h"
#include "platform/host/file.h"
#include "platform/host/socket.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_MAX (64u << 10)

typedef void (*message_fn)(uint16_t type, const uint8_t *body, size_t len, void *arg);

/* Hand each message of one packet to fn. 1: the dump is over; or -errno. */
static int
packet(const uint8_t *p, size_t left, message_fn fn, void *arg)
{
	while (left >= sizeof(struct lx_nlmsghdr)) {
		struct lx_nlmsghdr h;
		size_t step;

		memcpy(&h, p, sizeof h);
		if (h.len < sizeof h || h.len > left)
			return -EPROTO;
		if (h.type == LX_NLMSG_DONE)
			return 1;
		if (h.type == LX_NLMSG_ERROR) {
			int32_t e = -EPROTO;

			if (h.len >= sizeof h + sizeof e)
				memcpy(&e, p + sizeof h, sizeof e);
			return e < 0 ? e : 1;
		}
		fn(h.type, p + sizeof h, h.len - sizeof h, arg);
		step = LX_NLA_ALIGN(h.len);
		if (step >= left)
			break;
		p += step;
		left -= step;
	}
	return 0;
}

static int
dump(struct net_ns *ns, uint16_t type, size_t head, message_fn fn, void *arg)
{
	struct {
		struct lx_nlmsghdr h;
		uint8_t body[sizeof(struct lx_ifinfomsg)];
	} rq = {.h = {.len = (uint32_t)(sizeof rq.h + head),
			.type = type,
			.flags = LX_NLM_F_REQUEST | LX_NLM_F_DUMP,
			.seq = 1}};
	struct lx_sockaddr_nl kernel = {.family = LX_AF_NETLINK};
	uint8_t *buf = malloc(REPLY_MAX);
	int fd = net_ns_host_socket(ns, LX_AF_NETLINK, LX_SOCK_RAW, LX_NETLINK_ROUTE), r = 0;
	ssize_t n;

	if (fd < 0 || !buf)
		r = fd < 0 ? fd : -ENOMEM;
	if (r == 0 && (n = host_socket_send(fd, &rq, rq.h.len, 0, &kernel, sizeof kernel)) < 0)
		r = (int)n;
	while (r == 0) {
		struct lx_sockaddr_nl from;
		uint32_t from_len = sizeof from;
		int flags = 0;

		n = host_socket_recv(fd, buf, REPLY_MAX, &flags, &from, &from_len);
		r = n < 0 ? (int)n : packet(buf, (size_t)n, fn, arg);
	}
	if (fd >= 0)
		host_fd_close(fd);
	free(buf);
	return r < 0 ? r : 0;
}

/* The attributes after a head. */
struct attrs {
	const uint8_t *p;
	size_t left;
};

static bool
next_attr(struct attrs *a, uint16_t *type, const uint8_t **data, size_t *len)
{
	struct lx_nlattr h;
	size_t step;

	if (a->left < sizeof h)
		return false;
	memcpy(&h, a->p, sizeof h);
	if (h.len < sizeof h || h.len > a->left)
		return false;
	*type = h.type & LX_NLA_TYPE_MASK;
	*data = a->p + sizeof h;
	*len = h.len - sizeof h;
	step = LX_NLA_ALIGN(h.len);
	a->left = step < a->left ? a->left - step : 0;
	a->p += step;
	return true;
}

static void
take(void *to, size_t cap, const uint8_t *data, size_t len)
{
	memcpy(to, data, len < cap ? len : cap);
}

struct sink {
	void (*link)(const struct net_link *l, void *arg);
	void (*addr)(const struct net_addr *a, void *arg);
	void (*route)(const struct net_route *r, void *arg);
	void *arg;
};

static void
got_link(uint16_t type, const uint8_t *body, size_t len, void *arg)
{
	struct sink *s = arg;
	struct lx_ifinfomsg m;
	struct net_link l = {0};
	struct attrs a = {body + sizeof m, len - sizeof m};
	const uint8_t *d;
	uint16_t t;
	size_t n;

	if (type != LX_RTM_NEWLINK || len < sizeof m)
		return;
	memcpy(&m, body, sizeof m);
	l.index = m.index;
	l.flags = m.flags;
	l.type = m.type;
	l.iflink = (uint32_t)m.index;
	while (next_attr(&a, &t, &d, &n)) {
		switch (t) {
		case LX_IFLA_IFNAME:
			take(l.name, sizeof l.name - 1, d, n);
			break;
		case LX_IFLA_MTU:
			take(&l.mtu, 4, d, n);
			break;
		case LX_IFLA_TXQLEN:
			take(&l.txqlen, 4, d, n);
			break;
		case 5: /* IFLA_LINK */
			take(&l.iflink, 4, d, n);
			break;
		case LX_IFLA_OPERSTATE:
			take(&l.operstate, 1, d, n);
			break;
		case LX_IFLA_CARRIER:
			take(&l.carrier, 1, d, n);
			break;
		case LX_IFLA_ADDRESS:
			l.hwaddr_len = (uint8_t)(n < sizeof l.hwaddr ? n : sizeof l.hwaddr);
			take(l.hwaddr, sizeof l.hwaddr, d, n);
			break;
		case LX_IFLA_BROADCAST:
			take(l.broadcast, sizeof l.broadcast, d, n);
			break;
		case LX_IFLA_STATS64:
			take(&l.stats, sizeof l.stats, d, n);
			break;
		}
	}
	s->link(&l, s->arg);
}

static void
got_addr(uint16_t type, const uint8_t *body, size_t len, void *arg)
{
	struct sink *s = arg;
	struct lx_ifaddrmsg m;
	struct net_addr x = {0};
	struct attrs a = {body + sizeof m, len - sizeof m};
	bool local = false;
	const uint8_t *d;
	uint16_t t;
	size_t n;

	if (type != LX_RTM_NEWADDR || len < sizeof m)
		return;
	memcpy(&m, body, sizeof m);
	if (m.family != LX_AF_INET && m.family != LX_AF_INET6)
		return;
	x.family = m.family;
	x.prefixlen = m.prefixlen;
	x.scope = m.scope;
	x.flags = m.flags;
	x.index = (int32_t)m.index;
	while (next_attr(&a, &t, &d, &n)) {
		/* On a link between two, IFA_ADDRESS is the other end. */
		if (t == LX_IFA_LOCAL || (t == LX_IFA_ADDRESS && !local))
			take(x.addr, sizeof x.addr, d, n);
		local |= t == LX_IFA_LOCAL;
		if (t == LX_IFA_BROADCAST) {
			take(x.broadcast, sizeof x.broadcast, d, n);
			x.has_broadcast = true;
		}
	}
	s->addr(&x, s->arg);
}

static void
got_route(uint16_t type, const uint8_t *body, size_t len, void *arg)
{
	struct sink *s = arg;
	struct lx_rtmsg m;
	struct net_route r = {0};
	struct attrs a = {body + sizeof m, len - sizeof m};
	const uint8_t *d;
	uint16_t t;
	size_t n;

	if (type != LX_RTM_NEWROUTE || len < sizeof m)
		return;
	memcpy(&m, body, sizeof m);
	if (m.family != LX_AF_INET && m.family != LX_AF_INET6)
		return;
	r.family = m.family;
	r.dst_len = m.dst_len;
	r.table = m.table;
	r.protocol = m.protocol;
	r.scope = m.scope;
	r.type = m.type;
	while (next_attr(&a, &t, &d, &n)) {
		switch (t) {
		case LX_RTA_DST:
			take(r.dst, sizeof r.dst, d, n);
			break;
		case LX_RTA_TABLE:
			take(&r.table, 4, d, n);
			break;
		case LX_RTA_OIF:
			take(&r.oif, 4, d, n);
			break;
		case LX_RTA_PRIORITY:
			take(&r.priority, 4, d, n);
			break;
		case LX_RTA_GATEWAY:
			take(r.gateway, sizeof r.gateway, d, n);
			r.has_gateway = true;
			break;
		case LX_RTA_PREFSRC:
			take(r.prefsrc, sizeof r.prefsrc, d, n);
			r.has_prefsrc = true;
			break;
		}
	}
	s->route(&r, s->arg);
}

int
net_host_links(struct net_ns *ns, void (*fn)(const struct net_link *l, void *arg), void *arg)
{
	struct sink s = {.link = fn, .arg = arg};

	return dump(ns, LX_RTM_GETLINK, sizeof(struct lx_ifinfomsg), got_link, &s);
}

int
net_host_addrs(struct net_ns *ns, void (*fn)(const struct net_addr *a, void *arg), void *arg)
{
	struct sink s = {.addr = fn, .arg = arg};

	return dump(ns, LX_RTM_GETADDR, sizeof(struct lx_ifaddrmsg), got_addr, &s);
}

int
net_host_routes(struct net_ns *ns, void (*fn)(const struct net_route *r, void *arg), void *arg)
{
	struct sink s = {.route = fn, .arg = arg};

	return dump(ns, LX_RTM_GETROUTE, sizeof(struct lx_rtmsg), got_route, &s);
}
