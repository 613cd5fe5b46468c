/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a network namespace: what it begins with, and how it ends. */
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

const struct net_addr net_loopback[2] = LOOPBACKS;
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
	.devs = LIST_INIT(first.devs),
	.last_index = NET_LO_INDEX,
	.taps = {.lock = MUTEX_INIT(SOCKTABLE),
		.packet = LIST_INIT(first.taps.packet),
		.raw = LIST_INIT(first.taps.raw)},
};

struct net_ns *(*net_ns_of_fd)(const struct call *c, int fd);
struct net_ns *(*net_ns_of_pid)(const struct call *c, int32_t pid);

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
	net_veth_init();
	resolve_init(&first);
	fib_up_locked(&first, NET_LO_INDEX);
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
	list_init(&ns->devs);
	ns->last_index = NET_LO_INDEX;
	net_sysctl_init(ns);
	resolve_init(ns);
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
	dev_remove_all(ns);
	resolve_fini(ns);
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
	ip_frags_free(ns->frags);
	free(ns->pmtus);
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
