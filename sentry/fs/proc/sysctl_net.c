/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/sys/net. A file is about the network namespace of who opened it. One that is the host's has
 * constants there, or what the host is known to have set. Linux counterpart: net/sysctl_net.c.
 */
#include "abi/dirent.h"
#include "abi/socket.h"
#include "sentry/cred/user_ns.h"
#include "sentry/net/link.h"
#include "sentry/net/sysctl.h"
#include "sentry/vfs/inode.h"
#include "sysctl.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- whose it is --- */

static uint64_t
bind_net(const struct pseudo_ctx *x)
{
	return x->c->net ? (uintptr_t)net_ns_get(x->c->net) : 0;
}

static void
unbind_net(uint64_t bound)
{
	net_ns_put((struct net_ns *)(uintptr_t)bound);
}

static struct net_ns *
bound_net(const struct pseudo_ctx *x)
{
	return (struct net_ns *)(uintptr_t)x->bound;
}

/* net_ctl_permissions(): who rules the network may do what root may. */
static bool
may(const struct cred *c, const struct net_ns *ns, int mask)
{
	uint32_t mode = net_ns_on_host(ns) ? 0444 : 0644;

	if (c->euid == 0 || cred_capable_in(c, net_ns_owner(ns), LX_CAP_NET_ADMIN))
		mode >>= 6;
	return !((uint32_t)mask & ~mode & 7);
}

static int
check_net(const struct pseudo_ctx *x, int mask)
{
	return x->c->net && may(x->c->cred, x->c->net, mask) ? 0 : -EACCES;
}

static void
attr_net(const struct pseudo_ctx *x, struct inode *i)
{
	struct net_ns *ns = x->c ? x->c->net : NULL;
	struct user_ns *owner = ns ? net_ns_owner(ns) : NULL;
	uint32_t uid = uid_in(owner, 0), gid = gid_in(owner, 0);

	inode_store(i->mode, LX_S_IFREG | (!ns || net_ns_on_host(ns) ? 0444u : 0644u));
	inode_store(i->uid, uid == UINT32_MAX ? 0 : uid);
	inode_store(i->gid, gid == UINT32_MAX ? 0 : gid);
}

/* Who writes to an open file, too, has to be one who may: 1. 0: it is not at the beginning, and
 * ignored (kernel.sysctl_writes_strict). */
static int
writes(const struct pseudo_ctx *x, int64_t pos)
{
	if (!x->bound || !may(x->c->cred, bound_net(x), LX_W_OK))
		return -EPERM;
	return pos == 0;
}

static bool
show_host(const struct pseudo_ctx *x, struct sbuf *b)
{
	const char *text = net_ns_on_host(bound_net(x)) ? proc_sysctl_shown(x->row) : NULL;

	if (text)
		sbuf_printf(b, "%s\n", text);
	return text;
}

/* --- numbers --- */

#define ARG(which, first, n) ((uintptr_t)(which) | (uintptr_t)(first) << 16 | (uintptr_t)(n) << 24)
#define WHICH(row)	     ((enum net_sysctl)((row)->arg & 0xffff))
#define FIRST(row)	     ((unsigned)((row)->arg >> 16 & 255))
#define COUNT(row)	     ((unsigned)((row)->arg >> 24))

static int
show_numbers(const struct pseudo_ctx *x, struct sbuf *b)
{
	bool groups = WHICH(x->row) == NET_PING_GROUP_RANGE;

	if (!x->bound)
		return -ESRCH;
	if (show_host(x, b))
		return 0;
	for (unsigned i = 0; i < COUNT(x->row); i++) {
		int32_t v;

		if (FIRST(x->row) != NET_CONF_DEV)
			v = net_sysctl(bound_net(x), WHICH(x->row), FIRST(x->row) + i);
		else if (net_dev_sysctl(bound_net(x), (int32_t)x->key, WHICH(x->row), &v) < 0)
			return -ENOENT;

		sbuf_puts(b, i ? "\t" : "");
		if (groups)
			sbuf_printf(b, "%u", gid_out(x->c->cred->user_ns, (uint32_t)v));
		else
			sbuf_printf(b, "%d", v);
	}
	sbuf_puts(b, "\n");
	return 0;
}

/* The numbers are groups of the writer's; a range that is none is that of nobody. */
static int
to_groups(const struct pseudo_ctx *x, const int64_t *wide, int32_t *v, unsigned n)
{
	const struct user_ns *own = x->c->cred->user_ns;
	uint32_t low, high;

	for (unsigned i = 0; i < n; i++)
		if (wide[i] < 0 || wide[i] >= UINT32_MAX)
			return -EINVAL;
	low = gid_in(own, (uint32_t)wide[0]);
	high = n > 1 ? gid_in(own, (uint32_t)wide[1])
		     : (uint32_t)net_sysctl(bound_net(x), NET_PING_GROUP_RANGE, 1);
	if (low == UINT32_MAX || high == UINT32_MAX)
		return -EINVAL;
	v[0] = (int32_t)(low <= high ? low : 1);
	v[1] = (int32_t)(low <= high ? high : 0);
	return 0;
}

static ssize_t
write_numbers(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	unsigned count = COUNT(x->row);
	int64_t wide[NET_SYSCTL_MAX];
	int32_t v[NET_SYSCTL_MAX];
	size_t used;
	int r = writes(x, pos), n;

	if (r <= 0)
		return r < 0 ? r : (ssize_t)len;
	n = proc_sysctl_numbers(buf, len, wide, count, &used);
	if (n <= 0)
		return n < 0 || len ? -EINVAL : 0;
	if (WHICH(x->row) == NET_PING_GROUP_RANGE) {
		r = to_groups(x, wide, v, (unsigned)n);
		if (r < 0)
			return r;
		n = 2;
	} else {
		for (int i = 0; i < n; i++) {
			if (wide[i] < INT32_MIN || wide[i] > INT32_MAX)
				return -EINVAL;
			v[i] = (int32_t)wide[i];
		}
	}
	if (FIRST(x->row) == NET_CONF_DEV)
		r = net_dev_sysctl_set(bound_net(x), (int32_t)x->key, WHICH(x->row), v[0]);
	else
		r = net_sysctl_set(bound_net(x), WHICH(x->row), FIRST(x->row), v, (unsigned)n);
	return r < 0 ? r : (ssize_t)used;
}

/* --- ports --- */

static int
show_ports(const struct pseudo_ctx *x, struct sbuf *b)
{
	uint32_t low = 0, high;

	if (!x->bound)
		return -ESRCH;
	if (show_host(x, b))
		return 0;
	for (bool more = false; net_ports_next(bound_net(x), &low, &high); low = high + 1) {
		sbuf_printf(b, "%s%u", more ? "," : "", low);
		if (high > low)
			sbuf_printf(b, "-%u", high);
		more = true;
	}
	sbuf_puts(b, "\n");
	return 0;
}

static ssize_t
write_ports(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos)
{
	int r = writes(x, pos);

	if (r > 0)
		r = net_ports_reserve(bound_net(x), buf, len);
	return r < 0 ? r : (ssize_t)len;
}

/* --- directories of interfaces beside lo, in the namespace of who looks --- */

static int
lookup_dev(const struct pseudo_ctx *x, const char *name, const struct pseudo_row *row,
	struct pseudo_child *ret)
{
	struct net_link l;

	if (!x->c || !x->c->net || net_ns_on_host(x->c->net) ||
		net_link_find(x->c->net, 0, name, &l) < 0 || l.index == NET_LO_INDEX)
		return -ENOENT;
	*ret = (struct pseudo_child){.row = row, .key = (uint64_t)l.index};
	return 0;
}

static bool
next_dev(const struct pseudo_ctx *x, int64_t *pos, char *name, size_t cap, uint8_t *type)
{
	struct net_link l;

	if (!x->c || !x->c->net || net_ns_on_host(x->c->net) ||
		!net_link_next(x->c->net, *pos > NET_LO_INDEX ? *pos : NET_LO_INDEX + 1, &l))
		return false;
	*pos = l.index;
	snprintf(name, cap, "%s", l.name);
	*type = LX_DT_DIR;
	return true;
}

static int
show_mtu(const struct pseudo_ctx *x, struct sbuf *b)
{
	struct net_link l;

	if (!x->c || !x->c->net || net_link_find(x->c->net, (int32_t)x->key, NULL, &l) < 0)
		return -ENOENT;
	sbuf_printf(b, "%u\n", l.mtu);
	return 0;
}

#define CONF(n, r, d)                                                                              \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFDIR | 0555, .rows = (r), .dir = (d)                    \
	}

/* --- the tables --- */

#define ROW(n, s, w, a)                                                                            \
	{                                                                                          \
		.name = (n), .mode = LX_S_IFREG | 0644, .part = PSEUDO_SYSCTL_OWN, .show = (s),    \
		.write = (w), .check = check_net, .attr = attr_net, .bind = bind_net,              \
		.unbind = unbind_net, .arg = (a)                                                   \
	}
#define NUMBERS(n, which, first, count)                                                            \
	ROW(n, show_numbers, write_numbers, ARG(which, first, count))

/* As the macros of the table leave it. */
#define PLAIN(which, name, low, high, n, ...) NUMBERS(name, NET_##which, 0, n),

static const struct pseudo_row core_rows[] = {
#define NET_CORE(...) PLAIN(__VA_ARGS__)
#include "sentry/net/sysctl.def"
	CONST("optmem_max", "131072"),
	CONST("netdev_max_backlog", "1000"),
#define SYSCTL_NET_CORE
#include "sysctl_net.def"
#undef SYSCTL_NET_CORE
	{.name = NULL},
};

static const struct pseudo_row conf4_all_rows[] = {
#define NET_CONF4(which, name, ...) NUMBERS(name, NET4_##which, NET_CONF_ALL, 1),
#include "sentry/net/sysctl.def"
	CONST("mc_forwarding", "0"), {.name = NULL}};
static const struct pseudo_row conf4_default_rows[] = {
#define NET_CONF4(which, name, ...) NUMBERS(name, NET4_##which, NET_CONF_DEFAULT, 1),
#include "sentry/net/sysctl.def"
	CONST("mc_forwarding", "0"), {.name = NULL}};
static const struct pseudo_row conf4_lo_rows[] = {
#define NET_CONF4(which, name, ...) NUMBERS(name, NET4_##which, NET_CONF_LO, 1),
#include "sentry/net/sysctl.def"
	CONST("mc_forwarding", "0"), {.name = NULL}};
static const struct pseudo_row conf4_dev_rows[] = {
#define NET_CONF4(which, name, ...) NUMBERS(name, NET4_##which, NET_CONF_DEV, 1),
#include "sentry/net/sysctl.def"
	CONST("mc_forwarding", "0"), {.name = NULL}};
static const struct pseudo_row conf4_rows[] = {DIR("all", conf4_all_rows),
	DIR("default", conf4_default_rows), DIR("lo", conf4_lo_rows), {.name = NULL}};

static const struct pseudo_row dev4_row = {.mode = LX_S_IFDIR | 0555, .rows = conf4_dev_rows};

static int
lookup4(const struct pseudo_ctx *x, const char *name, struct pseudo_child *ret)
{
	return lookup_dev(x, name, &dev4_row, ret);
}

static const struct pseudo_dir conf4_dir = {.lookup = lookup4, .next = next_dev};

static const struct pseudo_row ipv4_rows[] = {
#define NET_IPV4(...) PLAIN(__VA_ARGS__)
#include "sentry/net/sysctl.def"
	NUMBERS("ip_forward", NET4_FORWARDING, NET_CONF_ALL, 1),
	ROW("ip_local_reserved_ports", show_ports, write_ports, 0),
	CONST("tcp_mem", "288000\t384000\t576000"),
	CONST("tcp_congestion_control", "cubic"),
	CONST("tcp_available_congestion_control", "reno cubic"),
	CONST("tcp_allowed_congestion_control", "reno cubic"),
	CONF("conf", conf4_rows, &conf4_dir),
#define SYSCTL_NET_IPV4
#include "sysctl_net.def"
#undef SYSCTL_NET_IPV4
	{.name = NULL},
};

static const struct pseudo_row conf6_all_rows[] = {
#define NET_CONF6(which, name, ...) NUMBERS(name, NET6_##which, NET_CONF_ALL, 1),
#include "sentry/net/sysctl.def"
	CONST("mc_forwarding", "0"), CONST("mtu", "1280"), {.name = NULL}};
static const struct pseudo_row conf6_default_rows[] = {
#define NET_CONF6(which, name, ...) NUMBERS(name, NET6_##which, NET_CONF_DEFAULT, 1),
#include "sentry/net/sysctl.def"
	CONST("mc_forwarding", "0"), CONST("mtu", "1280"), {.name = NULL}};
static const struct pseudo_row conf6_lo_rows[] = {
#define NET_CONF6(which, name, ...) NUMBERS(name, NET6_##which, NET_CONF_LO, 1),
#include "sentry/net/sysctl.def"
	CONST("mc_forwarding", "0"), CONST("mtu", "65536"), {.name = NULL}};
static const struct pseudo_row conf6_dev_rows[] = {
#define NET_CONF6(which, name, ...) NUMBERS(name, NET6_##which, NET_CONF_DEV, 1),
#include "sentry/net/sysctl.def"
	CONST("mc_forwarding", "0"), {.name = "mtu", .mode = LX_S_IFREG | 0444, .show = show_mtu},
	{.name = NULL}};
static const struct pseudo_row conf6_rows[] = {DIR("all", conf6_all_rows),
	DIR("default", conf6_default_rows), DIR("lo", conf6_lo_rows), {.name = NULL}};

static const struct pseudo_row dev6_row = {.mode = LX_S_IFDIR | 0555, .rows = conf6_dev_rows};

static int
lookup6(const struct pseudo_ctx *x, const char *name, struct pseudo_child *ret)
{
	return lookup_dev(x, name, &dev6_row, ret);
}

static const struct pseudo_dir conf6_dir = {.lookup = lookup6, .next = next_dev};

static const struct pseudo_row ipv6_rows[] = {
#define NET_IPV6(...) PLAIN(__VA_ARGS__)
#include "sentry/net/sysctl.def"
	CONF("conf", conf6_rows, &conf6_dir), {.name = NULL}};

static const struct pseudo_row unix_rows[] = {
#define NET_UNIX(...) PLAIN(__VA_ARGS__)
#include "sentry/net/sysctl.def"
	{.name = NULL}};

const struct pseudo_row proc_sys_net_rows[] = {DIR("core", core_rows), DIR("ipv4", ipv4_rows),
	DIR("ipv6", ipv6_rows), DIR("unix", unix_rows), {.name = NULL}};
