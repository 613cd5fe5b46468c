/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network namespace and its own interface: lo, with the addresses that Linux gives it, and those
 * that the guest adds. Locks: `lock` guards all of it but the counters and the taps.
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
	fib_up_locked(&first);
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
	free(ns->routes);
	free(ns->tables);
	free(ns->rules[0].v);
	free(ns->rules[1].v);
	free(ns->neighs);
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

void *
net_copy(const void *v, size_t n, size_t size)
{
	void *copy = n ? calloc(n, size) : NULL;

	if (copy)
		memcpy(copy, v, n * size);
	return copy;
}

int
net_addrs(struct net_ns *ns, void (*fn)(const struct net_addr *a, void *arg), void *arg)
{
	struct net_addr *v;
	size_t n;

	if (ns->on_host)
		return net_host_addrs(ns, fn, arg);
	mutex_lock(&ns->lock);
	n = ns->naddrs;
	v = net_copy(ns->addrs, n, sizeof *v);
	mutex_unlock(&ns->lock);
	for (int family = LX_AF_INET; v && family; family = family == LX_AF_INET ? LX_AF_INET6 : 0)
		for (size_t i = 0; i < n; i++)
			if (v[i].family == family)
				fn(&v[i], arg);
	free(v);
	return n && !v ? -ENOMEM : 0;
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
	fib_add_addr_locked(ns, a);
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
	fib_down_locked(ns, LX_AF_INET6);
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
		ns->up = ns->was_up = true;
		if (!has_family(ns, LX_AF_INET))
			(void)add_locked(ns, &loopback[0]);
		if (has_ipv6(ns))
			(void)add_locked(ns, &loopback[1]);
		fib_up_locked(ns);
	} else if (!up && ns->up) {
		ns->up = false;
		forget6_locked(ns);
		fib_down_locked(ns, 0);
	}
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
	struct net_addr gone;
	size_t i;
	int r = -EADDRNOTAVAIL;

	mutex_lock(&ns->lock);
	i = place(ns, a);
	if (i < ns->naddrs) {
		gone = ns->addrs[i];
		ns->naddrs--;
		memmove(&ns->addrs[i], &ns->addrs[i + 1], (ns->naddrs - i) * sizeof ns->addrs[0]);
		fib_remove_addr_locked(ns, &gone);
		r = 0;
	}
	mutex_unlock(&ns->lock);
	return r;
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
