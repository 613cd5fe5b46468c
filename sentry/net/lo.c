/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sandbox's own interface: lo, with the addresses and routes that Linux gives it, and what the
 * guest adds. Locks: `lock` guards all of it but the counters.
 */
#include "abi/socket.h"
#include "base/lock.h"
#include "sentry/net/link.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

static struct {
	struct mutex lock;
	bool up;
	uint32_t mtu;
	size_t naddrs;
	struct net_addr addrs[NET_ADDRS_MAX];
	_Atomic uint64_t packets, bytes;
} lo = {
	.lock = MUTEX_INIT(LEAF),
	.up = true,
	.mtu = 65536,
	.naddrs = 2,
	.addrs = {{.family = LX_AF_INET,
			  .prefixlen = 8,
			  .scope = LX_RT_SCOPE_HOST,
			  .flags = LX_IFA_F_PERMANENT,
			  .index = NET_LO_INDEX,
			  .addr = {127, 0, 0, 1}},
		{.family = LX_AF_INET6,
			.prefixlen = 128,
			.scope = LX_RT_SCOPE_HOST,
			.flags = LX_IFA_F_PERMANENT,
			.index = NET_LO_INDEX,
			.addr = {[15] = 1}}},
};

void
net_lo_count(size_t bytes)
{
	atomic_fetch_add_explicit(&lo.packets, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&lo.bytes, bytes, memory_order_relaxed);
}

static int
own_links(void (*fn)(const struct net_link *l, void *arg), void *arg)
{
	struct net_link l = {.index = NET_LO_INDEX,
		.flags = LX_IFF_LOOPBACK,
		.txqlen = 1000,
		.iflink = NET_LO_INDEX,
		.type = LX_ARPHRD_LOOPBACK,
		.name = "lo",
		.hwaddr_len = 6};

	mutex_lock(&lo.lock);
	l.mtu = lo.mtu;
	if (lo.up)
		l.flags |= LX_IFF_UP | LX_IFF_RUNNING | LX_IFF_LOWER_UP;
	else
		l.operstate = 2; /* down */
	l.carrier = 1;
	mutex_unlock(&lo.lock);
	l.stats.rx_packets = l.stats.tx_packets = atomic_load(&lo.packets);
	l.stats.rx_bytes = l.stats.tx_bytes = atomic_load(&lo.bytes);
	fn(&l, arg);
	return 0;
}

static int
own_addrs(void (*fn)(const struct net_addr *a, void *arg), void *arg)
{
	mutex_lock(&lo.lock);
	for (int family = LX_AF_INET; family; family = family == LX_AF_INET ? LX_AF_INET6 : 0)
		for (size_t i = 0; i < lo.naddrs; i++)
			if (lo.addrs[i].family == family)
				fn(&lo.addrs[i], arg);
	mutex_unlock(&lo.lock);
	return 0;
}

static void
mask(uint8_t *addr, unsigned bits, unsigned bytes, bool ones)
{
	for (unsigned i = 0; i < bytes; i++) {
		unsigned keep = bits >= 8 * (i + 1) ? 8 : bits > 8 * i ? bits - 8 * i : 0;
		uint8_t m = (uint8_t)(0xff00u >> keep);

		addr[i] = ones ? (uint8_t)(addr[i] | (uint8_t)~m) : (uint8_t)(addr[i] & m);
	}
}

/* As the kernel makes them when an address is added: the network, the address itself, broadcast. */
static void
addr_routes(const struct net_addr *a, void (*fn)(const struct net_route *r, void *arg), void *arg)
{
	unsigned bytes = a->family == LX_AF_INET ? 4 : 16;
	struct net_route r = {.family = a->family,
		.oif = NET_LO_INDEX,
		.protocol = LX_RTPROT_KERNEL,
		.table = LX_RT_TABLE_LOCAL,
		.type = LX_RTN_LOCAL};
	struct net_route whole;

	memcpy(r.dst, a->addr, 16);
	r.dst_len = (uint8_t)(8 * bytes);
	if (a->family == LX_AF_INET6) {
		whole = r;
		whole.table = LX_RT_TABLE_MAIN;
		whole.type = LX_RTN_UNICAST;
		whole.priority = 256;
		whole.dst_len = a->prefixlen;
		mask(whole.dst, a->prefixlen, bytes, false);
		fn(&whole, arg);
		fn(&r, arg);
		return;
	}
	r.scope = LX_RT_SCOPE_HOST;
	r.has_prefsrc = true;
	memcpy(r.prefsrc, a->addr, 16);
	if (a->prefixlen < 32) {
		whole = r;
		whole.dst_len = a->prefixlen;
		mask(whole.dst, a->prefixlen, bytes, false);
		fn(&whole, arg);
	}
	fn(&r, arg);
	if (a->prefixlen < 31) {
		r.type = LX_RTN_BROADCAST;
		r.scope = LX_RT_SCOPE_LINK;
		mask(r.dst, a->prefixlen, bytes, true);
		fn(&r, arg);
	}
}

static int
own_routes(void (*fn)(const struct net_route *r, void *arg), void *arg)
{
	mutex_lock(&lo.lock);
	for (size_t i = 0; lo.up && i < lo.naddrs; i++)
		addr_routes(&lo.addrs[i], fn, arg);
	mutex_unlock(&lo.lock);
	return 0;
}

const struct net_view net_own = {own_links, own_addrs, own_routes};
const struct net_view *net_shown = &net_own;

void
net_lo_set_up(bool up)
{
	mutex_lock(&lo.lock);
	lo.up = up;
	mutex_unlock(&lo.lock);
}

int
net_lo_set_mtu(uint32_t mtu)
{
	if (mtu > INT32_MAX)
		return -EINVAL;
	mutex_lock(&lo.lock);
	lo.mtu = mtu;
	mutex_unlock(&lo.lock);
	return 0;
}

/* The place of an address in the list, or naddrs. */
static size_t
place(const struct net_addr *a)
{
	size_t i;

	for (i = 0; i < lo.naddrs; i++)
		if (lo.addrs[i].family == a->family && memcmp(lo.addrs[i].addr, a->addr, 16) == 0 &&
			lo.addrs[i].prefixlen == a->prefixlen)
			break;
	return i;
}

int
net_lo_add(const struct net_addr *a)
{
	int r = 0;

	mutex_lock(&lo.lock);
	if (place(a) < lo.naddrs)
		r = -EEXIST;
	else if (lo.naddrs == NET_ADDRS_MAX)
		r = -ENOSPC;
	else
		lo.addrs[lo.naddrs++] = *a;
	mutex_unlock(&lo.lock);
	return r;
}

int
net_lo_remove(const struct net_addr *a)
{
	size_t i;

	mutex_lock(&lo.lock);
	i = place(a);
	if (i < lo.naddrs) {
		lo.naddrs--;
		memmove(&lo.addrs[i], &lo.addrs[i + 1], (lo.naddrs - i) * sizeof lo.addrs[0]);
		mutex_unlock(&lo.lock);
		return 0;
	}
	mutex_unlock(&lo.lock);
	return -EADDRNOTAVAIL;
}

bool
net_is_local(const uint8_t ip[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};
	bool v4 = memcmp(ip, mapped, 12) == 0, found = false;

	mutex_lock(&lo.lock);
	for (size_t i = 0; lo.up && !found && i < lo.naddrs; i++) {
		const struct net_addr *a = &lo.addrs[i];
		uint8_t x[16];

		if ((a->family == LX_AF_INET) != v4)
			continue;
		memcpy(x, v4 ? ip + 12 : ip, v4 ? 4 : 16);
		/* IPv4 takes all of the network as its own: 127.0.0.0/8. */
		if (v4) {
			mask(x, a->prefixlen, 4, false);
			uint8_t net[4];

			memcpy(net, a->addr, 4);
			mask(net, a->prefixlen, 4, false);
			found = memcmp(net, x, 4) == 0;
		} else {
			found = memcmp(a->addr, x, 16) == 0;
		}
	}
	mutex_unlock(&lo.lock);
	return found;
}

struct find {
	int32_t index;
	const char *name;
	struct net_link *ret;
	bool found;
};

static void
match(const struct net_link *l, void *arg)
{
	struct find *f = arg;

	if (f->found || (f->index > 0 ? l->index != f->index : strcmp(l->name, f->name) != 0))
		return;
	f->found = true;
	*f->ret = *l;
}

int
net_link_find(int32_t index, const char *name, struct net_link *ret)
{
	struct find f = {index, name ? name : "", ret, false};
	int r = net_shown->links(match, &f);

	return r < 0 ? r : f.found ? 0 : -ENODEV;
}
