/* SPDX-License-Identifier: Apache-2.0 */
/* Values of /proc/sys/net, by network namespace. The namespace's lock guards changes, and the
 * reserved ports. Linux counterparts: net/core/sysctl_net_core.c, net/ipv4/sysctl_net_ipv4.c. */
#include "sentry/net/sysctl.h"
#include "internal.h"
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORTS 65536

static const struct {
	int32_t low, high, standard[NET_SYSCTL_MAX];
} rows[NET_SYSCTLS] = {
#define ROW(which, name, low, high, n, ...) {(low), (high), {__VA_ARGS__}},
#define CONF(which, name, low, high, ...)   {(low), (high), {__VA_ARGS__}},
#define NET_CORE(...)			    ROW(__VA_ARGS__)
#define NET_IPV4(...)			    ROW(__VA_ARGS__)
#define NET_IPV6(...)			    ROW(__VA_ARGS__)
#define NET_UNIX(...)			    ROW(__VA_ARGS__)
#define NET_CONF4(...)			    CONF(__VA_ARGS__)
#define NET_CONF6(...)			    CONF(__VA_ARGS__)
#include "sentry/net/sysctl.def"
};

void
net_sysctl_init(struct net_ns *ns)
{
	for (int k = 0; k < NET_SYSCTLS; k++)
		for (int i = 0; i < NET_SYSCTL_MAX; i++)
			atomic_init(&ns->sysctl[k][i], rows[k].standard[i]);
}

void
net_sysctl_open_ping(struct net_ns *ns)
{
	atomic_store(&ns->sysctl[NET_PING_GROUP_RANGE][0], 0);
	atomic_store(&ns->sysctl[NET_PING_GROUP_RANGE][1], INT32_MAX);
}

int32_t
net_sysctl(const struct net_ns *ns, enum net_sysctl which, unsigned i)
{
	return atomic_load_explicit(&ns->sysctl[which][i], memory_order_relaxed);
}

/* Ports that need a capability are not given away to everybody. */
static bool
fits_locked(const struct net_ns *ns, enum net_sysctl which, unsigned n, const int32_t *v)
{
	if (which == NET_IP_UNPRIVILEGED_PORT_START)
		return v[0] <= net_sysctl(ns, NET_IP_LOCAL_PORT_RANGE, 0);
	if (which == NET_IP_LOCAL_PORT_RANGE)
		return v[0] <= (n > 1 ? v[1] : net_sysctl(ns, which, 1)) &&
		       v[0] >= net_sysctl(ns, NET_IP_UNPRIVILEGED_PORT_START, 0);
	return true;
}

/* Of these, "all" is said to all. */
static bool
is_for_all(enum net_sysctl which)
{
	return which == NET4_FORWARDING || which == NET6_FORWARDING || which == NET6_DISABLE_IPV6;
}

static void
set_all_locked(struct net_ns *ns, enum net_sysctl which, int32_t v)
{
	struct net_dev *d;

	for (unsigned k = 1; k < NET_SYSCTL_MAX; k++)
		atomic_store(&ns->sysctl[which][k], v);
	list_for_each_entry (d, &ns->devs, node)
		d->conf[which] = v;
}

void
net_dev_sysctl_init_locked(const struct net_ns *ns, struct net_dev *d)
{
	for (int k = 0; k < NET_SYSCTLS; k++)
		d->conf[k] = net_sysctl(ns, (enum net_sysctl)k, NET_CONF_DEFAULT);
}

int32_t
net_conf_locked(const struct net_ns *ns, enum net_sysctl which, int32_t index)
{
	const struct net_dev *d = dev_by_index_locked(ns, index);

	return d ? d->conf[which] : net_sysctl(ns, which, NET_CONF_LO);
}

int32_t
net_conf_most_locked(const struct net_ns *ns, enum net_sysctl which, int32_t index)
{
	int32_t all = net_sysctl(ns, which, NET_CONF_ALL), own = net_conf_locked(ns, which, index);

	return own > all ? own : all;
}

int32_t
net_conf_most(struct net_ns *ns, enum net_sysctl which, int32_t index)
{
	int32_t v;

	mutex_lock(&ns->lock);
	v = net_conf_most_locked(ns, which, index);
	mutex_unlock(&ns->lock);
	return v;
}

int
net_dev_sysctl(struct net_ns *ns, int32_t index, enum net_sysctl which, int32_t *ret)
{
	const struct net_dev *d;

	mutex_lock(&ns->lock);
	d = dev_by_index_locked(ns, index);
	if (d)
		*ret = d->conf[which];
	mutex_unlock(&ns->lock);
	return d ? 0 : -ENOENT;
}

int
net_dev_sysctl_set(struct net_ns *ns, int32_t index, enum net_sysctl which, int32_t v)
{
	struct addr_watch w;
	struct net_dev *d;

	if (v < rows[which].low || v > rows[which].high)
		return -EINVAL;
	mutex_lock(&ns->lock);
	addr_watch_locked(ns, &w);
	d = dev_by_index_locked(ns, index);
	if (d) {
		d->conf[which] = v;
		if (which == NET6_DISABLE_IPV6)
			link_disable6_locked(ns);
	}
	addr_watched_locked(ns, &w);
	mutex_unlock(&ns->lock);
	addr_watch_tell(ns, &w);
	return d ? 0 : -ENOENT;
}

int
net_sysctl_set(struct net_ns *ns, enum net_sysctl which, unsigned i, const int32_t *v, unsigned n)
{
	struct addr_watch w;
	int r = 0;

	if (ns->on_host)
		return -EPERM;
	for (unsigned k = 0; k < n; k++)
		if (v[k] < rows[which].low || v[k] > rows[which].high)
			return -EINVAL;
	mutex_lock(&ns->lock);
	addr_watch_locked(ns, &w);
	if (!fits_locked(ns, which, n, v)) {
		r = -EINVAL;
	} else {
		for (unsigned k = 0; k < n; k++)
			atomic_store(&ns->sysctl[which][i + k], v[k]);
		if (i == NET_CONF_ALL && is_for_all(which))
			set_all_locked(ns, which, v[0]);
		if (which == NET6_DISABLE_IPV6)
			link_disable6_locked(ns);
	}
	addr_watched_locked(ns, &w);
	mutex_unlock(&ns->lock);
	addr_watch_tell(ns, &w);
	return r;
}

/* --- ports --- */

void
net_port_range(struct net_ns *ns, uint16_t *low, uint16_t *high)
{
	mutex_lock(&ns->lock);
	*low = (uint16_t)net_sysctl(ns, NET_IP_LOCAL_PORT_RANGE, 0);
	*high = (uint16_t)net_sysctl(ns, NET_IP_LOCAL_PORT_RANGE, 1);
	mutex_unlock(&ns->lock);
}

static bool
has_port(const uint8_t *map, uint32_t port)
{
	return map && map[port / 8] >> port % 8 & 1;
}

bool
net_port_reserved(struct net_ns *ns, uint16_t port)
{
	bool yes;

	mutex_lock(&ns->lock);
	yes = has_port(ns->reserved, port);
	mutex_unlock(&ns->lock);
	return yes;
}

bool
net_ports_next(struct net_ns *ns, uint32_t *low, uint32_t *high)
{
	uint32_t at = *low, end;

	mutex_lock(&ns->lock);
	while (ns->reserved && at < PORTS && !has_port(ns->reserved, at))
		at++;
	for (end = at; end < PORTS && has_port(ns->reserved, end); end++)
		;
	mutex_unlock(&ns->lock);
	*low = at;
	*high = end - 1;
	return end > at;
}

/* A number of a list of ports: false: none. */
static bool
take_port(const char **p, const char *end, uint32_t *ret)
{
	uint32_t v = 0;

	if (*p == end || !isdigit((unsigned char)**p))
		return false;
	for (; *p < end && isdigit((unsigned char)**p); (*p)++) {
		v = 10 * v + (uint32_t)(**p - '0');
		if (v >= PORTS)
			return false;
	}
	*ret = v;
	return true;
}

/* proc_do_large_bitmap() of Linux. */
static int
parse_ports(uint8_t *map, const char *text, size_t len)
{
	const char *p = text, *end = text + len;

	while (end > p && isspace((unsigned char)end[-1]))
		end--;
	while (p < end) {
		uint32_t low, high;

		if (!take_port(&p, end, &low))
			return -EINVAL;
		high = low;
		if (p < end && *p == '-' && (p++, !take_port(&p, end, &high)))
			return -EINVAL;
		if (high < low || (p < end && *p != ','))
			return -EINVAL;
		if (p < end)
			p++;
		for (; low <= high; low++)
			map[low / 8] |= (uint8_t)(1 << low % 8);
	}
	return 0;
}

int
net_ports_reserve(struct net_ns *ns, const char *text, size_t len)
{
	uint8_t *map = calloc(1, PORTS / 8), *old;
	int r;

	if (!map)
		return -ENOMEM;
	r = ns->on_host ? -EPERM : parse_ports(map, text, len);
	if (r < 0) {
		free(map);
		return r;
	}
	mutex_lock(&ns->lock);
	old = ns->reserved;
	ns->reserved = map;
	mutex_unlock(&ns->lock);
	free(old);
	return 0;
}
