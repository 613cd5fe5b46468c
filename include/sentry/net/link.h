/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces (network_namespaces(7)), and their interfaces, addresses and routes, as
 * rtnetlink, /proc/net, /sys/class/net and the ioctls of netdevice(7) show them. Each has a stack
 * of its own with lo alone; but with --network=host the first one is the host's namespace that the
 * sentry stands in, and a container beside the first may have another one of the host's, in which
 * its anchor makes the sockets.
 */
#ifndef SENTRY_NET_LINK_H
#define SENTRY_NET_LINK_H

#include "abi/netlink.h"
#include "base/list.h"
#include "base/lock.h"
#include <stdbool.h>

#define NET_LO_INDEX  1
#define NET_ADDRS_MAX 256

/* What a tun or tap is (struct net_dev); is: else the link is another one. */
struct net_tun_info {
	bool is;
	uint32_t flags;	       /* LX_IFF_TUN, ... */
	uint32_t owner, group; /* UINT32_MAX: none; of the first user namespace */
};

struct net_link {
	int32_t index;
	uint32_t flags, mtu, txqlen, iflink;
	uint16_t type; /* LX_ARPHRD_* */
	uint8_t operstate, carrier;
	bool no_qdisc; /* was never up */
	char name[16];
	uint8_t hwaddr_len, hwaddr[32], broadcast[32];
	struct lx_link_stats64 stats;
	struct net_tun_info tun;
	const char *kind; /* NULL: none */
};

struct net_addr {
	uint8_t family, prefixlen, scope;
	uint32_t flags; /* LX_IFA_F_* */
	int32_t index;
	uint8_t addr[16], broadcast[16]; /* IPv4: the first four bytes */
	uint8_t peer[16];		 /* the other end's; prefixlen is of its network then */
	bool has_broadcast, has_peer;
	char label[16]; /* of IPv4: the interface's name, or that and more; "": the name */
};

struct net_route; /* sentry/net/route.h */
struct net_ns;
struct user_ns;
struct call;

/* Sockets that look at packets of lo, kept by sentry/socket; and how many, without the lock: nobody
 * pays for them where there are none. */
struct net_taps {
	struct mutex lock; /* rank SOCKTABLE; held before a socket's */
	struct list packet, raw;
	_Atomic uint32_t nr_packet;   /* of packet: those that see IP */
	_Atomic uint32_t nr_frames;   /* and all */
	_Atomic uint32_t nr_raw[256]; /* of raw, by protocol */
};

/* The one that the sandbox begins with: lo is up and has its addresses. Never goes away. */
struct net_ns *net_ns_first(void); /* borrowed */
void net_ns_first_init(void);	   /* once, before all else */
/* The first one is the host's. Before the first task. Ports below low_ports take
 * CAP_NET_BIND_SERVICE. */
void net_ns_first_is_host(uint32_t low_ports);
/* Another one of the host's. maker: a socket to who makes sockets in it (host_socket_ask), its own
 * from now on. NULL: out of memory. */
struct net_ns *net_ns_new_on_host(int maker, uint32_t low_ports);
/* As unshare(2) makes it: lo is down and has no addresses. owner: borrowed; NULL: out of memory. */
struct net_ns *net_ns_new(struct user_ns *owner, uint32_t counted);
struct net_ns *net_ns_get(struct net_ns *ns);
void net_ns_put(struct net_ns *ns); /* NULL is fine */
uint64_t net_ns_id(const struct net_ns *ns);
struct user_ns *net_ns_owner(const struct net_ns *ns); /* borrowed */
bool net_ns_on_host(const struct net_ns *ns);
struct net_taps *net_ns_taps(struct net_ns *ns);
/* For those that are: a host socket in it, as host_socket makes one. -ENETDOWN: its maker is gone,
 * or does not answer. Waits for the host, but does not park. */
int net_ns_host_socket(struct net_ns *ns, int family, int type, int protocol);
/* Ports below it take CAP_NET_BIND_SERVICE. */
uint32_t net_ns_low_ports(const struct net_ns *ns);
void net_ns_set_low_ports(struct net_ns *ns, uint32_t low_ports); /* of one of the host's */

/* The namespace that a descriptor of the caller's stands for, or a process is in: a reference;
 * NULL: there is none. Set by the kernel at start. */
extern struct net_ns *(*net_ns_of_fd)(const struct call *c, int fd);
extern struct net_ns *(*net_ns_of_pid)(const struct call *c, int32_t pid);

/* Every interface, address or route of ns. 0 or -errno; fn must not park. */
int net_links(struct net_ns *ns, void (*fn)(const struct net_link *l, void *arg), void *arg);
int net_addrs(struct net_ns *ns, void (*fn)(const struct net_addr *a, void *arg), void *arg);
int net_routes(struct net_ns *ns, void (*fn)(const struct net_route *r, void *arg), void *arg);

/* One link by index (if > 0) or name. -ENODEV. */
int net_link_find(struct net_ns *ns, int32_t index, const char *name, struct net_link *ret);

/* The one with the smallest index from `from` on. False: none. */
bool net_link_next(struct net_ns *ns, int64_t from, struct net_link *ret);

/* --- changes, of a stack of the sandbox's own --- */
void net_lo_count(struct net_ns *ns, size_t bytes); /* a packet went round */
/* IFF_UP on or off; addresses come and go with it as they do in Linux. -ENODEV. */
int net_link_set_up(struct net_ns *ns, int32_t index, bool up);
int net_link_set_mtu(struct net_ns *ns, int32_t index, uint32_t mtu); /* -EINVAL, -ENODEV */
int net_link_set_txqlen(struct net_ns *ns, int32_t index, uint32_t n);
int net_link_set_hwaddr(struct net_ns *ns, int32_t index, const uint8_t mac[6]);
/* name: as with net_dev_new. -EEXIST, -EINVAL, -ENFILE; -EOPNOTSUPP: lo. It may be up, as from
 * Linux 6.2 on. */
int net_link_rename(struct net_ns *ns, int32_t index, const char name[16]);
/* Flags that can be set beside IFF_UP, of those in mask; lo: -EOPNOTSUPP if that changes any. */
int net_link_set_flags(struct net_ns *ns, int32_t index, uint32_t flags, uint32_t mask);
/* *a becomes what is there now (IFA_F_SECONDARY). -EEXIST, -EINVAL: there is one of its network in
 * another scope; -ENOSPC, -ENODEV; -EACCES: IPv6 is disabled. */
int net_addr_add(struct net_ns *ns, struct net_addr *a);
/* Others go with it, or one takes its place: fn hears of each without a lock, or, if it is NULL,
 * who listens. -EADDRNOTAVAIL, -ENODEV. */
int net_addr_remove(struct net_ns *ns, const struct net_addr *a,
	void (*fn)(bool gone, const struct net_addr *a, void *arg), void *arg);
/* Tell of one that came (or has other flags now), or went. */
void net_addr_news(struct net_ns *ns, bool gone, const struct net_addr *a);
/* Has an interface with Ethernet an IPv6 address that ends so? */
bool net_link_solicited(struct net_ns *ns, int32_t index, const uint8_t end[3]);
/* May a socket have this address? Any IPv4 one in a namespace that never had any, as in Linux. ip:
 * IPv6, or IPv4 mapped. */
bool net_may_bind(struct net_ns *ns, const uint8_t ip[16]);
/* Is it an address of this namespace that can be reached? */
bool net_is_local(struct net_ns *ns, const uint8_t ip[16]);

#endif
