/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces beside lo: how they come and go, and what goes in and out by them. A namespace has a
 * reference on each of its interfaces; they know it as long as they are part of it. Linux:
 * net/core/dev.c.
 */
#include "sentry/net/dev.h"
#include "abi/socket.h"
#include "internal.h"
#include "platform/host/info.h"
#include "sentry/net/packet.h"
#include "sentry/sched/fiber.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBERS_MAX 32768 /* that %d tries */
#define MTU	    1500
#define FIXED_FLAGS (LX_IFF_BROADCAST | LX_IFF_POINTOPOINT)

/* --- names --- */

/* dev_valid_name */
static bool
is_valid(const char *name)
{
	if (!name[0] || strnlen(name, 16) == 16 || strcmp(name, ".") == 0 ||
		strcmp(name, "..") == 0)
		return false;
	for (; *name; name++)
		if (*name == '/' || *name == ':' || isspace((unsigned char)*name))
			return false;
	return true;
}

static bool
is_taken_locked(const struct net_ns *ns, const char *name)
{
	struct net_dev *d;

	list_for_each_entry (d, &ns->devs, node)
		if (strcmp(d->name, name) == 0)
			return true;
	return strcmp(name, "lo") == 0;
}

int
dev_choose_name_locked(const struct net_ns *ns, char name[16])
{
	const char *percent = strchr(name, '%');
	char made[32];

	if (!is_valid(name))
		return -EINVAL;
	if (!percent)
		return is_taken_locked(ns, name) ? -EEXIST : 0;
	if (percent[1] != 'd' || strchr(percent + 2, '%'))
		return -EINVAL;
	for (int i = 0; i < NUMBERS_MAX; i++) {
		snprintf(
			made, sizeof made, "%.*s%d%s", (int)(percent - name), name, i, percent + 2);
		if (strlen(made) < 16 && !is_taken_locked(ns, made)) {
			memcpy(name, made, 16);
			return 0;
		}
	}
	return -ENFILE;
}

int32_t
net_next_index_locked(const struct net_ns *ns, int32_t index)
{
	struct net_dev *d;

	list_for_each_entry (d, &ns->devs, node)
		if (d->index > index)
			return d->index;
	return 0;
}

/* --- life --- */

static struct net_dev *
make(const struct net_dev_ops *ops, void *driver)
{
	struct net_dev *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	ref_init(&d->ref);
	mutex_init(&d->lock, LR_LEAF);
	d->tap = ops->ethernet;
	d->ops = ops;
	d->driver = driver;
	d->mtu = MTU;
	d->txqlen = ops->txqlen;
	d->carrier = true;
	d->set_flags = ops->flags;
	host_random(d->mac, sizeof d->mac);
	host_random(d->iid, sizeof d->iid);
	d->mac[0] = (uint8_t)((d->mac[0] & 0xfe) | 2); /* eth_random_addr */
	LIVE_INC(NETDEV);
	return d;
}

/* A number that nobody has: that which it had, or the next. */
static int
choose_index_locked(struct net_ns *ns, struct net_dev *d)
{
	if (d->index && d->index != NET_LO_INDEX && !dev_by_index_locked(ns, d->index)) {
		if (ns->last_index < d->index)
			ns->last_index = d->index;
		return 0;
	}
	if (ns->last_index == INT32_MAX)
		return -ENFILE;
	d->index = ++ns->last_index;
	return 0;
}

static int
enter_locked(struct net_ns *ns, struct net_dev *d, char name[16])
{
	struct net_dev *o, *behind = NULL;
	size_t n = 0;
	int err;

	list_for_each_entry (o, &ns->devs, node)
		n++;
	if (n >= NET_DEVS_MAX)
		return -ENFILE;
	if (!ns->frags && !(ns->frags = ip_frags_new()))
		return -ENOMEM;
	err = dev_choose_name_locked(ns, name);
	if (!err)
		err = choose_index_locked(ns, d);
	if (err)
		return err;
	memcpy(d->name, name, sizeof d->name);
	net_dev_sysctl_init_locked(ns, d);
	list_for_each_entry (o, &ns->devs, node)
		if (!behind && o->index > d->index)
			behind = o;
	list_push_back(behind ? &behind->node : &ns->devs, &d->node);
	return 0;
}

/* d is in the list of ns; from now on it knows. */
static void
set_ns(struct net_dev *d, struct net_ns *ns)
{
	mutex_lock(&d->lock);
	d->ns = ns;
	mutex_unlock(&d->lock);
}

int
net_dev_new(struct net_ns *ns, char name[16], const struct net_dev_ops *ops, void *driver,
	struct net_dev **ret)
{
	struct net_dev *d;
	int err;

	if (ns->on_host)
		return -EOPNOTSUPP;
	d = make(ops, driver);
	if (!d)
		return -ENOMEM;
	ref_get(&d->ref);
	d->ns = ns;
	*ret = d; /* whoever finds it may call the driver, which goes by this */
	mutex_lock(&ns->lock);
	err = enter_locked(ns, d, name);
	mutex_unlock(&ns->lock);
	if (err) {
		*ret = NULL;
		mutex_destroy(&d->lock);
		free(d);
		LIVE_DEC(NETDEV);
	}
	return err;
}

void
net_link_news(struct net_ns *ns, int32_t index)
{
	struct net_link l;

	if (net_input()->link_news && net_link_find(ns, index, NULL, &l) == 0)
		net_input()->link_news(ns, &l, false);
}

struct net_dev *
net_dev_get(struct net_dev *d)
{
	ref_get(&d->ref);
	return d;
}

void
net_dev_put(struct net_dev *d)
{
	if (!d || !ref_put(&d->ref))
		return;
	d->ops->release(d->driver);
	mutex_destroy(&d->lock);
	free(d);
	LIVE_DEC(NETDEV);
}

struct net_dev *
net_dev_find(struct net_ns *ns, int32_t index, const char *name)
{
	struct net_dev *d, *found = NULL;

	mutex_lock(&ns->lock);
	list_for_each_entry (d, &ns->devs, node)
		if (!found && (index > 0 ? d->index == index : strcmp(d->name, name) == 0))
			found = net_dev_get(d);
	mutex_unlock(&ns->lock);
	return found;
}

/* d, which is in no list any more, is removed; the list's reference is dropped. */
static void
removed(struct net_dev *d, struct net_ns *ns)
{
	struct net_link l;

	if (ns && net_input()->link_news) {
		mutex_lock(&ns->lock);
		dev_link_locked(d, &l);
		mutex_unlock(&ns->lock);
		net_input()->link_news(ns, &l, true);
	}
	set_ns(d, NULL);
	d->ops->removed(d->driver);
	net_dev_put(d);
}

/* Out of its namespace, with all that it has there. False: somebody else has done it. */
static bool
take_out(struct net_ns *ns, struct net_dev *d)
{
	struct addr_watch w;
	bool mine;

	mutex_lock(&ns->lock);
	addr_watch_locked(ns, &w);
	mine = dev_by_index_locked(ns, d->index) == d;
	if (mine) {
		d->up = false;
		list_del(&d->node);
		addrs_forget_locked(ns, d->index, 0);
		fib_down_locked(ns, d->index, 0, true);
	}
	addr_watched_locked(ns, &w);
	mutex_unlock(&ns->lock);
	if (mine)
		resolve_forget(ns, d->index);
	addr_watch_tell(ns, &w);
	return mine;
}

void
net_dev_remove(struct net_dev *d)
{
	struct net_ns *ns;

	/* it may be between two namespaces, in no list: net_dev_move looks at this after it */
	atomic_store(&d->doomed, true);
	ns = net_dev_ns(d);
	if (!ns)
		return;
	if (take_out(ns, d))
		removed(d, ns);
	net_ns_put(ns);
}

/* Into the list of a namespace, by that name, or any that is free. */
static int
enter(struct net_ns *ns, struct net_dev *d, const char *name)
{
	char chosen[16] = "", any[16] = "dev%d";
	int err;

	memcpy(chosen, name, strnlen(name, sizeof chosen - 1));
	set_ns(d, ns);
	mutex_lock(&ns->lock);
	err = enter_locked(ns, d, chosen);
	if (err == -EEXIST)
		err = enter_locked(ns, d, any);
	mutex_unlock(&ns->lock);
	return err;
}

int
net_dev_move(struct net_dev *d, struct net_ns *to, const char *name)
{
	struct net_ns *from = net_dev_ns(d);
	char wanted[16] = "";
	struct net_link l;
	int err = 0;

	if (!from)
		return -ENODEV;
	mutex_lock(&from->lock);
	dev_link_locked(d, &l);
	mutex_unlock(&from->lock);
	if (!name)
		name = l.name;
	memcpy(wanted, name, strnlen(name, sizeof wanted - 1));
	if (to->on_host)
		err = -EOPNOTSUPP;
	else if (to != from) {
		mutex_lock(&to->lock);
		err = dev_choose_name_locked(to, wanted);
		mutex_unlock(&to->lock);
	}
	if (!err && to != from && !take_out(from, d))
		err = -ENODEV;
	if (err || to == from) {
		net_ns_put(from);
		return err;
	}
	d->ops->up_or_down(d->driver);
	if (net_input()->link_news)
		net_input()->link_news(from, &l, true);
	/* its reference goes with it; what cannot be entered is removed */
	err = enter(to, d, wanted);
	if (err) {
		removed(d, NULL);
	} else {
		if (d->ops->moved)
			d->ops->moved(d->driver);
		net_link_news(to, d->index);
		if (atomic_load(&d->doomed)) {
			net_dev_remove(d);
			err = -ENODEV;
		}
	}
	net_ns_put(from);
	return err;
}

void
dev_remove_all(struct net_ns *ns)
{
	struct list *n;

	while ((n = list_pop_front(&ns->devs)))
		removed(list_entry(n, struct net_dev, node), NULL);
}

struct net_ns *
net_dev_ns(struct net_dev *d)
{
	struct net_ns *ns;

	mutex_lock(&d->lock);
	ns = d->ns && ref_get_unless_zero(&d->ns->ref) ? d->ns : NULL;
	mutex_unlock(&d->lock);
	return ns;
}

/* --- what it is --- */

void *
net_dev_driver(const struct net_dev *d, const struct net_dev_ops *ops)
{
	return d->ops == ops ? d->driver : NULL;
}

bool
net_dev_is_tap(const struct net_dev *d)
{
	return d->tap;
}

void
dev_link_locked(const struct net_dev *d, struct net_link *l)
{
	*l = (struct net_link){.index = d->index,
		.flags = d->set_flags | (d->ops->flags & FIXED_FLAGS),
		.mtu = d->mtu,
		.txqlen = d->txqlen,
		.iflink = (uint32_t)(d->iflink ? d->iflink : d->index),
		.kind = d->ops->kind,
		.type = d->tap ? LX_ARPHRD_ETHER : LX_ARPHRD_NONE,
		.operstate = d->up ? d->operstate : 2,
		.carrier = d->carrier,
		.no_qdisc = !d->was_up,
		.tun = d->tun};
	memcpy(l->name, d->name, sizeof l->name);
	if (d->up)
		l->flags |= LX_IFF_UP | (d->carrier ? LX_IFF_RUNNING | LX_IFF_LOWER_UP : 0);
	if (d->tap) {
		l->hwaddr_len = 6;
		memcpy(l->hwaddr, d->mac, 6);
		memset(l->broadcast, 0xff, 6);
	}
	l->stats.rx_packets = atomic_load(&d->packets[0]);
	l->stats.tx_packets = atomic_load(&d->packets[1]);
	l->stats.rx_bytes = atomic_load(&d->bytes[0]);
	l->stats.tx_bytes = atomic_load(&d->bytes[1]);
	l->stats.rx_errors = atomic_load(&d->errors[0]);
	l->stats.tx_errors = atomic_load(&d->errors[1]);
	l->stats.rx_dropped = atomic_load(&d->dropped[0]);
	l->stats.tx_dropped = atomic_load(&d->dropped[1]);
}

/* With the lock of d's namespace, or false: it has none. */
static struct net_ns *
lock_ns(struct net_dev *d)
{
	struct net_ns *ns = net_dev_ns(d);

	if (ns)
		mutex_lock(&ns->lock);
	return ns;
}

static void
unlock_ns(struct net_ns *ns)
{
	mutex_unlock(&ns->lock);
	net_ns_put(ns);
}

bool
net_dev_link(struct net_dev *d, struct net_link *ret)
{
	struct net_ns *ns = lock_ns(d);

	if (!ns)
		return false;
	dev_link_locked(d, ret);
	unlock_ns(ns);
	return true;
}

void
net_dev_set_iflink(struct net_dev *d, int32_t index)
{
	d->iflink = index;
}

void
net_dev_set_carrier(struct net_dev *d, bool on)
{
	struct net_ns *ns = lock_ns(d);
	struct addr_watch w;
	bool news;

	if (!ns)
		return;
	addr_watch_locked(ns, &w);
	news = d->carrier != on;
	if (news)
		d->operstate = on ? 6 : 2; /* up, down */
	d->carrier = on;
	if (news && on && d->up)
		link_begin6_locked(ns, d->index);
	addr_watched_locked(ns, &w);
	mutex_unlock(&ns->lock);
	if (news)
		net_link_news(ns, d->index);
	addr_watch_tell(ns, &w);
	net_ns_put(ns);
}

void
net_dev_set_tun(struct net_dev *d, const struct net_tun_info *info)
{
	struct net_ns *ns = lock_ns(d);

	if (!ns)
		return;
	d->tun = *info;
	unlock_ns(ns);
}

int
net_dev_set_hwaddr(struct net_dev *d, const uint8_t mac[6])
{
	static const uint8_t none[6];
	struct net_ns *ns;

	if (!d->tap)
		return -EOPNOTSUPP;
	if (mac[0] & 1 || memcmp(mac, none, 6) == 0)
		return -EADDRNOTAVAIL;
	ns = net_dev_ns(d);
	if (!ns)
		return -ENODEV;
	mutex_lock(&ns->lock);
	memcpy(d->mac, mac, 6);
	mutex_unlock(&ns->lock);
	resolve_announce(ns, d);
	net_ns_put(ns);
	return 0;
}

int
net_link_set_hwaddr(struct net_ns *ns, int32_t index, const uint8_t mac[6])
{
	struct net_dev *d = net_dev_find(ns, index, NULL);
	int err = d ? net_dev_set_hwaddr(d, mac) : index == NET_LO_INDEX ? -EOPNOTSUPP : -ENODEV;

	net_dev_put(d);
	return err;
}

void
net_dev_count(struct net_dev *d, bool out, bool error)
{
	atomic_fetch_add_explicit(
		error ? &d->errors[out] : &d->dropped[out], 1, memory_order_relaxed);
}
