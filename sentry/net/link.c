/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interfaces of a network namespace, and their addresses: lo, which is part of it, and those of
 * dev.c. The namespace's lock guards all of it but the counters. Linux: net/ipv4/devinet.c,
 * net/ipv6/addrconf.c.
 */
#include "abi/socket.h"
#include "internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Flags that can be set beside IFF_UP (dev_change_flags): DEBUG NOTRAILERS NOARP PROMISC ALLMULTI
 * MULTICAST PORTSEL AUTOMEDIA DYNAMIC. */
#define SETTABLE 0xf3a4u

struct net_dev *
dev_by_index_locked(const struct net_ns *ns, int32_t index)
{
	struct net_dev *d;

	list_for_each_entry (d, &ns->devs, node)
		if (d->index == index)
			return d;
	return NULL;
}

bool
link_exists_locked(const struct net_ns *ns, int32_t index)
{
	return index == NET_LO_INDEX || dev_by_index_locked(ns, index);
}

bool
link_is_up_locked(const struct net_ns *ns, int32_t index)
{
	const struct net_dev *d;

	if (index == NET_LO_INDEX)
		return ns->up;
	d = dev_by_index_locked(ns, index);
	return d && d->up;
}

bool
link_is_named_locked(const struct net_ns *ns, int32_t index, const char *name)
{
	const struct net_dev *d;

	if (index == NET_LO_INDEX)
		return strcmp(name, "lo") == 0;
	d = dev_by_index_locked(ns, index);
	return d && strcmp(name, d->name) == 0;
}

/* --- what is there --- */

void
net_lo_count(struct net_ns *ns, size_t bytes)
{
	atomic_fetch_add_explicit(&ns->packets, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&ns->bytes, bytes, memory_order_relaxed);
}

static void
lo_locked(const struct net_ns *ns, struct net_link *l)
{
	*l = (struct net_link){.index = NET_LO_INDEX,
		.flags = LX_IFF_LOOPBACK,
		.txqlen = 1000,
		.iflink = NET_LO_INDEX,
		.type = LX_ARPHRD_LOOPBACK,
		.name = "lo",
		.hwaddr_len = 6,
		.carrier = 1,
		.mtu = ns->mtu,
		.no_qdisc = !ns->was_up};
	if (ns->up)
		l->flags |= LX_IFF_UP | LX_IFF_RUNNING | LX_IFF_LOWER_UP;
	else
		l->operstate = 2; /* down */
	l->stats.rx_packets = l->stats.tx_packets = atomic_load(&ns->packets);
	l->stats.rx_bytes = l->stats.tx_bytes = atomic_load(&ns->bytes);
}

int
net_links(struct net_ns *ns, void (*fn)(const struct net_link *l, void *arg), void *arg)
{
	struct net_link lo, *v = NULL;
	struct net_dev *d;
	size_t n = 0, k = 0;

	if (ns->on_host)
		return net_host_links(ns, fn, arg);
	mutex_lock(&ns->lock);
	lo_locked(ns, &lo);
	list_for_each_entry (d, &ns->devs, node)
		n++;
	if (n && (v = calloc(n, sizeof *v)))
		list_for_each_entry (d, &ns->devs, node)
			dev_link_locked(d, &v[k++]);
	mutex_unlock(&ns->lock);
	fn(&lo, arg);
	for (size_t i = 0; i < k; i++)
		fn(&v[i], arg);
	free(v);
	return n && !k ? -ENOMEM : 0;
}

void *
net_copy(const void *v, size_t n, size_t size)
{
	void *copy = n ? calloc(n, size) : NULL;

	if (copy)
		memcpy(copy, v, n * size);
	return copy;
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

struct next {
	int64_t from;
	struct net_link *best;
	bool found;
};

static void
smaller(const struct net_link *l, void *arg)
{
	struct next *n = arg;

	if (l->index < n->from || (n->found && l->index >= n->best->index))
		return;
	n->found = true;
	*n->best = *l;
}

bool
net_link_next(struct net_ns *ns, int64_t from, struct net_link *ret)
{
	struct next n = {.from = from, .best = ret};

	return net_links(ns, smaller, &n) == 0 && n.found;
}

/* --- addresses --- */

bool
link_has_ipv6_locked(const struct net_ns *ns, int32_t index)
{
	return !net_conf_locked(ns, NET6_DISABLE_IPV6, index);
}

/* RFC 4291, 2.5.6, appendix A; a tun has no address to make one of. */
static int
add_link_local(struct net_ns *ns, const struct net_dev *d)
{
	struct net_addr a = {.family = LX_AF_INET6,
		.prefixlen = 64,
		.scope = LX_RT_SCOPE_LINK,
		.flags = LX_IFA_F_PERMANENT,
		.index = d->index,
		.addr = {0xfe, 0x80}};
	const uint8_t *m = d->mac;

	memcpy(a.addr + 8, d->iid, 8);
	if (d->tap)
		memcpy(a.addr + 8,
			(const uint8_t[8]){m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}, 8);
	return addr_add_locked(ns, &a);
}

void
link_begin6_locked(struct net_ns *ns, int32_t index)
{
	struct net_dev *d = dev_by_index_locked(ns, index);

	if (!link_has_ipv6_locked(ns, index))
		return;
	if (!d)
		(void)addr_add_locked(ns, &net_loopback[1]);
	else if (d->carrier && d->mtu >= 1280 && add_link_local(ns, d) == 0)
		fib_groups_locked(ns, index);
}

static void
end6_locked(struct net_ns *ns, int32_t index)
{
	addrs_forget_locked(ns, index, LX_AF_INET6);
	fib_down_locked(ns, index, LX_AF_INET6, false);
}

void
link_disable6_locked(struct net_ns *ns)
{
	int32_t index = 0;

	/* not a walk through the list: what is added or removed may be what it stands on */
	while ((index = index ? net_next_index_locked(ns, index) : NET_LO_INDEX)) {
		if (!link_has_ipv6_locked(ns, index))
			end6_locked(ns, index);
		else if (link_is_up_locked(ns, index))
			link_begin6_locked(ns, index);
	}
}

/* --- links that change --- */

int
net_link_set_up(struct net_ns *ns, int32_t index, bool up)
{
	struct net_dev *d, *told = NULL;
	struct addr_watch w;
	bool was;
	int r = 0;

	mutex_lock(&ns->lock);
	addr_watch_locked(ns, &w);
	d = dev_by_index_locked(ns, index);
	if (!d && index != NET_LO_INDEX) {
		r = -ENODEV;
		goto out;
	}
	was = link_is_up_locked(ns, index);
	*(d ? &d->up : &ns->up) = up;
	if (up && !was) {
		*(d ? &d->was_up : &ns->was_up) = true;
		if (!d)
			(void)addr_add_locked(ns, &net_loopback[0]);
		link_begin6_locked(ns, index);
		fib_up_locked(ns, index);
	} else if (!up && was) {
		addrs_forget_locked(ns, index, LX_AF_INET6);
		fib_down_locked(ns, index, 0, false);
	}
	if (d && up != was)
		told = net_dev_get(d);
out:
	addr_watched_locked(ns, &w);
	mutex_unlock(&ns->lock);
	if (told) {
		if (!up)
			resolve_forget(ns, index);
		told->ops->up_or_down(told->driver);
		if (up)
			resolve_announce(ns, told);
		net_dev_put(told);
	}
	addr_watch_tell(ns, &w);
	return r;
}

int
net_link_set_mtu(struct net_ns *ns, int32_t index, uint32_t mtu)
{
	struct net_dev *d;
	int r = 0;

	mutex_lock(&ns->lock);
	d = dev_by_index_locked(ns, index);
	if (!d && index != NET_LO_INDEX)
		r = -ENODEV;
	else if (d ? mtu < NET_DEV_MTU_MIN || mtu > NET_DEV_MTU_MAX : mtu > INT32_MAX)
		r = -EINVAL;
	else
		*(d ? &d->mtu : &ns->mtu) = mtu;
	net_path_changed(ns);
	mutex_unlock(&ns->lock);
	return r;
}

int
net_link_set_txqlen(struct net_ns *ns, int32_t index, uint32_t n)
{
	struct net_dev *d;
	int r = 0;

	if (n > INT32_MAX)
		return -ERANGE;
	mutex_lock(&ns->lock);
	d = dev_by_index_locked(ns, index);
	if (d)
		d->txqlen = n;
	else
		r = index == NET_LO_INDEX ? -EOPNOTSUPP : -ENODEV;
	mutex_unlock(&ns->lock);
	return r;
}

int
net_link_rename(struct net_ns *ns, int32_t index, const char name[16])
{
	char chosen[16];
	struct addr_watch w;
	struct net_dev *d;
	int r = 0;

	memcpy(chosen, name, sizeof chosen);
	mutex_lock(&ns->lock);
	addr_watch_locked(ns, &w);
	d = dev_by_index_locked(ns, index);
	if (link_is_named_locked(ns, index, name))
		goto out;
	if (!d)
		r = index == NET_LO_INDEX ? -EOPNOTSUPP : -ENODEV;
	else
		r = dev_choose_name_locked(ns, chosen);
	if (!r) {
		memcpy(d->name, chosen, sizeof d->name);
		addrs_rename_locked(ns, index, chosen);
	}
out:
	addr_watched_locked(ns, &w);
	mutex_unlock(&ns->lock);
	addr_watch_tell(ns, &w);
	return r;
}

int
net_link_set_flags(struct net_ns *ns, int32_t index, uint32_t flags, uint32_t mask)
{
	struct net_dev *d;
	int r = 0;

	mask &= SETTABLE;
	mutex_lock(&ns->lock);
	d = dev_by_index_locked(ns, index);
	if (d)
		d->set_flags = (d->set_flags & ~mask) | (flags & mask);
	else
		r = index != NET_LO_INDEX ? -ENODEV : flags & mask ? -EOPNOTSUPP : 0;
	mutex_unlock(&ns->lock);
	return r;
}
