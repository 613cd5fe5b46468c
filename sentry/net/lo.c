/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network namespace and its own interface: lo, with the addresses and routes that Linux gives it,
 * and what the guest adds. Locks: `lock` guards all of it but the counters and the taps.
 */
#include "abi/socket.h"
#include "internal.h"
#include "platform/host/file.h"
#include "platform/host/socket.h"
#include "sentry/cred/ucount.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOPBACK(f, bits, ...)                                                                     \
	{                                                                                          \
		.family = (f), .prefixlen = (bits), .scope = LX_RT_SCOPE_HOST,                     \
		.flags = LX_IFA_F_PERMANENT, .index = NET_LO_INDEX, .addr = {                      \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}
#define LOOPBACKS                                                                                  \
	{                                                                                          \
		LOOPBACK(LX_AF_INET, 8, 127, 0, 0, 1), LOOPBACK(LX_AF_INET6, 128, [15] = 1)        \
	}

static const struct net_addr loopback[] = LOOPBACKS;
static struct net_addr first_addrs[NET_ADDRS_MAX] = LOOPBACKS;
static struct net_ns first = {
	.ref = {1},
	.id = 4026531992,
	.counted = UCOUNT_NOBODY,
	.maker = -1,
	.lock = MUTEX_INIT(LEAF),
	.up = true,
	.was_up = true,
	.mtu = 65536,
	.naddrs = 2,
	.cap = NET_ADDRS_MAX,
	.addrs = first_addrs,
	.taps = {.lock = MUTEX_INIT(SOCKTABLE),
		.packet = LIST_INIT(first.taps.packet),
		.raw = LIST_INIT(first.taps.raw)},
};

/* --- life --- */

struct net_ns *
net_ns_first(void)
{
	return &first;
}

void
net_ns_first_init(void)
{
	net_sysctl_init(&first);
	net_sysctl_open_ping(&first);
}

void
net_ns_first_is_host(uint32_t low_ports)
{
	first.on_host = true;
	first.low_ports = low_ports;
}

struct net_ns *
net_ns_new(struct user_ns *owner, uint32_t counted)
{
	struct net_ns *ns = calloc(1, sizeof *ns);

	if (!ns) {
		ucount_give(owner, counted, UCOUNT_NET);
		return NULL;
	}
	ref_init(&ns->ref);
	mutex_init(&ns->lock, LR_LEAF);
	mutex_init(&ns->taps.lock, LR_SOCKTABLE);
	list_init(&ns->taps.packet);
	list_init(&ns->taps.raw);
	ns->user_ns = user_ns_get(owner);
	ns->counted = counted;
	ns->id = ns_id_new();
	ns->mtu = 65536;
	ns->maker = -1;
	net_sysctl_init(ns);
	LIVE_INC(NETNS);
	return ns;
}

struct net_ns *
net_ns_new_on_host(int maker, uint32_t low_ports)
{
	struct net_ns *ns = net_ns_new(NULL, UCOUNT_NOBODY);

	if (!ns) {
		host_fd_close(maker);
		return NULL;
	}
	ns->on_host = true;
	ns->maker = maker;
	ns->low_ports = low_ports;
	net_sysctl_open_ping(ns);
	return ns;
}

struct net_ns *
net_ns_get(struct net_ns *ns)
{
	ref_get(&ns->ref);
	return ns;
}

void
net_ns_put(struct net_ns *ns)
{
	if (!ns || !ref_put(&ns->ref))
		return;
	ucount_give(ns->user_ns, ns->counted, UCOUNT_NET);
	user_ns_put(ns->user_ns);
	mutex_destroy(&ns->taps.lock);
	if (ns->maker >= 0)
		host_fd_close(ns->maker);
	mutex_destroy(&ns->lock);
	free(ns->addrs);
	free(ns->reserved);
	free(ns);
	LIVE_DEC(NETNS);
}

uint64_t
net_ns_id(const struct net_ns *ns)
{
	return ns->id;
}

struct user_ns *
net_ns_owner(const struct net_ns *ns)
{
	return ns->user_ns;
}

bool
net_ns_on_host(const struct net_ns *ns)
{
	return ns->on_host;
}

struct net_taps *
net_ns_taps(struct net_ns *ns)
{
	return &ns->taps;
}

int
net_ns_host_socket(struct net_ns *ns, int family, int type, int protocol)
{
	int fd;

	if (ns->maker < 0)
		return host_socket(family, type, protocol);
	mutex_lock(&ns->lock);
	fd = host_socket_ask(ns->maker, &ns->mute, family, type, protocol);
	mutex_unlock(&ns->lock);
	return fd;
}

void
net_ns_set_low_ports(struct net_ns *ns, uint32_t low_ports)
{
	ns->low_ports = low_ports;
}

uint32_t
net_ns_low_ports(const struct net_ns *ns)
{
	return ns->on_host ? ns->low_ports
			   : (uint32_t)net_sysctl(ns, NET_IP_UNPRIVILEGED_PORT_START, 0);
}

/* --- what is there --- */

void
net_lo_count(struct net_ns *ns, size_t bytes)
{
	atomic_fetch_add_explicit(&ns->packets, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&ns->bytes, bytes, memory_order_relaxed);
}

int
net_links(struct net_ns *ns, void (*fn)(const struct net_link *l, void *arg), void *arg)
{
	struct net_link l = {.index = NET_LO_INDEX,
		.flags = LX_IFF_LOOPBACK,
		.txqlen = 1000,
		.iflink = NET_LO_INDEX,
		.type = LX_ARPHRD_LOOPBACK,
		.name = "lo",
		.hwaddr_len = 6};

	if (ns->on_host)
		return net_host_links(ns, fn, arg);
	mutex_lock(&ns->lock);
	l.mtu = ns->mtu;
	l.no_qdisc = !ns->was_up;
	if (ns->up)
		l.flags |= LX_IFF_UP | LX_IFF_RUNNING | LX_IFF_LOWER_UP;
	else
		l.operstate = 2; /* down */
	l.carrier = 1;
	mutex_unlock(&ns->lock);
	l.stats.rx_packets = l.stats.tx_packets = atomic_load(&ns->packets);
	l.stats.rx_bytes = l.stats.tx_bytes = atomic_load(&ns->bytes);
	fn(&l, arg);
	return 0;
}

int
net_addrs(struct net_ns *ns, void (*fn)(const struct net_addr *a, void *arg), void *arg)
{
	if (ns->on_host)
		return net_host_addrs(ns, fn, arg);
	mutex_lock(&ns->lock);
	for (int family = LX_AF_INET; family; family = family == LX_AF_INET ? LX_AF_INET6 : 0)
		for (size_t i = 0; i < ns->naddrs; i++)
			if (ns->addrs[i].family == family)
				fn(&ns->addrs[i], arg);
	mutex_unlock(&ns->lock);
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
		if (memcmp(a->addr, loopback[1].addr, 16) == 0) {
			fn(&r, arg);
			return;
		}
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

int
net_routes(struct net_ns *ns, void (*fn)(const struct net_route *r, void *arg), void *arg)
{
	if (ns->on_host)
		return net_host_routes(ns, fn, arg);
	mutex_lock(&ns->lock);
	for (size_t i = 0; ns->up && i < ns->naddrs; i++)
		addr_routes(&ns->addrs[i], fn, arg);
	mutex_unlock(&ns->lock);
	return 0;
}

/* --- changes --- */

/* The place of an address in the list, or naddrs. */
static size_t
place(const struct net_ns *ns, const struct net_addr *a)
{
	size_t i;

	for (i = 0; i < ns->naddrs; i++)
		if (ns->addrs[i].family == a->family &&
			memcmp(ns->addrs[i].addr, a->addr, 16) == 0 &&
			ns->addrs[i].prefixlen == a->prefixlen)
			break;
	return i;
}

static int
add_locked(struct net_ns *ns, const struct net_addr *a)
{
	if (place(ns, a) < ns->naddrs)
		return -EEXIST;
	if (ns->naddrs == NET_ADDRS_MAX)
		return -ENOSPC;
	if (ns->naddrs == ns->cap) {
		size_t cap = ns->cap ? 2 * ns->cap : 2;
		struct net_addr *v = realloc(ns->addrs, cap * sizeof *v);

		if (!v)
			return -ENOMEM;
		ns->addrs = v;
		ns->cap = cap;
	}
	ns->addrs[ns->naddrs++] = *a;
	return 0;
}

static bool
has_family(const struct net_ns *ns, int family)
{
	for (size_t i = 0; i < ns->naddrs; i++)
		if (ns->addrs[i].family == family)
			return true;
	return false;
}

static void
forget6_locked(struct net_ns *ns)
{
	size_t n = 0;

	for (size_t i = 0; i < ns->naddrs; i++)
		if (ns->addrs[i].family == LX_AF_INET)
			ns->addrs[n++] = ns->addrs[i];
	ns->naddrs = n;
}

static bool
has_ipv6(const struct net_ns *ns)
{
	return !net_sysctl(ns, NET6_DISABLE_IPV6, NET_CONF_LO);
}

void
net_lo_disable6_locked(struct net_ns *ns, bool off)
{
	if (off)
		forget6_locked(ns);
	else if (ns->up)
		(void)add_locked(ns, &loopback[1]);
}

void
net_lo_set_up(struct net_ns *ns, bool up)
{
	mutex_lock(&ns->lock);
	if (up && !ns->up) {
		if (!has_family(ns, LX_AF_INET))
			(void)add_locked(ns, &loopback[0]);
		if (has_ipv6(ns))
			(void)add_locked(ns, &loopback[1]);
		ns->was_up = true;
	} else if (!up && ns->up) {
		forget6_locked(ns);
	}
	ns->up = up;
	mutex_unlock(&ns->lock);
}

int
net_lo_set_mtu(struct net_ns *ns, uint32_t mtu)
{
	if (mtu > INT32_MAX)
		return -EINVAL;
	mutex_lock(&ns->lock);
	ns->mtu = mtu;
	mutex_unlock(&ns->lock);
	return 0;
}

int
net_lo_add(struct net_ns *ns, const struct net_addr *a)
{
	int r;

	mutex_lock(&ns->lock);
	r = a->family == LX_AF_INET6 && !has_ipv6(ns) ? -EACCES : add_locked(ns, a);
	mutex_unlock(&ns->lock);
	return r;
}

int
net_lo_remove(struct net_ns *ns, const struct net_addr *a)
{
	size_t i;
	int r = -EADDRNOTAVAIL;

	mutex_lock(&ns->lock);
	i = place(ns, a);
	if (i < ns->naddrs) {
		ns->naddrs--;
		memmove(&ns->addrs[i], &ns->addrs[i + 1], (ns->naddrs - i) * sizeof ns->addrs[0]);
		r = 0;
	}
	mutex_unlock(&ns->lock);
	return r;
}

static bool
is_v4(const uint8_t ip[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff};

	return memcmp(ip, mapped, 12) == 0;
}

static bool
has_address(struct net_ns *ns, const uint8_t ip[16])
{
	bool v4 = is_v4(ip), found = false;

	for (size_t i = 0; !found && i < ns->naddrs; i++) {
		const struct net_addr *a = &ns->addrs[i];
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
	return found;
}

bool
net_is_local(struct net_ns *ns, const uint8_t ip[16])
{
	bool yes;

	mutex_lock(&ns->lock);
	yes = ns->up && has_address(ns, ip);
	mutex_unlock(&ns->lock);
	return yes;
}

bool
net_may_bind(struct net_ns *ns, const uint8_t ip[16])
{
	bool yes;

	mutex_lock(&ns->lock);
	yes = has_address(ns, ip) || (is_v4(ip) && !ns->was_up && !ns->naddrs);
	mutex_unlock(&ns->lock);
	return yes;
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
net_link_find(struct net_ns *ns, int32_t index, const char *name, struct net_link *ret)
{
	struct find f = {index, name ? name : "", ret, false};
	int r = net_links(ns, match, &f);

	return r < 0 ? r : f.found ? 0 : -ENODEV;
}
