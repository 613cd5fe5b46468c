/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces beside lo, whose other end is a program of the sandbox: tun (bare IP packets) and tap
 * (Ethernet). What leaves by one is handed to its driver; what the driver brings goes to the
 * neighbours (ARP, neighbour discovery: sentry/net/resolve.c) or, as an IP packet, to the sockets.
 */
#ifndef SENTRY_NET_DEV_H
#define SENTRY_NET_DEV_H

#include "sentry/net/route.h"

struct net_dev;
struct sock;

struct net_dev_ops {
	const char *kind; /* as ip-link(8) names it */
	bool ethernet;	  /* else bare IP packets */
	uint32_t flags;	  /* LX_IFF_* that it begins with */
	uint32_t txqlen;
	/* A packet (tun), or a frame with an Ethernet header (tap), leaves; borrowed. Called
	 * without a lock of ranks from WAITQ on. False: it is dropped. */
	bool (*transmit)(void *driver, const uint8_t *p, size_t n);
	void (*up_or_down)(void *driver);
	/* It is no part of a namespace any more. Locks as above. */
	void (*removed)(void *driver);
	/* The last reference is gone; nobody is in transmit. */
	void (*release)(void *driver);
	/* It has another number. NULL: nothing to do. */
	void (*moved)(void *driver);
};

#define NET_DEV_MTU_MIN 68u
#define NET_DEV_MTU_MAX 65521u
#define NET_DEVS_MAX	256 /* of one namespace */

/* Make one, down and with its carrier; name may hold one %d, and becomes what it is called. driver:
 * stays until release. -EEXIST, -EINVAL, -ENOMEM, -ENFILE; -EOPNOTSUPP: ns is the host's. *ret: a
 * reference. */
int net_dev_new(struct net_ns *ns, char name[16], const struct net_dev_ops *ops, void *driver,
	struct net_dev **ret);
struct net_dev *net_dev_get(struct net_dev *d);
void net_dev_put(struct net_dev *d); /* NULL is fine */
/* By index (if > 0) or name: a reference, or NULL. */
struct net_dev *net_dev_find(struct net_ns *ns, int32_t index, const char *name);
void net_dev_remove(struct net_dev *d); /* harmless twice */
/* To another namespace, down and without addresses; name: what it is called there, which may be
 * NULL: as it is. Its number stays, if it is free. -EEXIST, -EINVAL, -ENODEV (it is removed),
 * -ENFILE, -ENOMEM, -EOPNOTSUPP. */
int net_dev_move(struct net_dev *d, struct net_ns *to, const char *name);
/* veth.c: two that are each other's end; ret: a reference on each. name: as with net_dev_new, or
 * "". As net_dev_new, and -ENODEV: one was removed meanwhile. */
int net_veth_new(struct net_ns *ns, char name[16], struct net_ns *peer_ns, char peer_name[16],
	struct net_dev *ret[2]);
int net_dummy_new(struct net_ns *ns, char name[16], struct net_dev **ret);
void net_veth_init(void);
/* Its namespace, a reference; NULL: it is removed. */
struct net_ns *net_dev_ns(struct net_dev *d);
/* As it is now; false: it is removed. */
bool net_dev_link(struct net_dev *d, struct net_link *ret);
/* Its driver, if it is of these operations; else NULL. */
void *net_dev_driver(const struct net_dev *d, const struct net_dev_ops *ops);
bool net_dev_is_tap(const struct net_dev *d);
void net_dev_set_iflink(struct net_dev *d, int32_t index); /* of the other end */
void net_dev_set_carrier(struct net_dev *d, bool on);
int net_dev_set_hwaddr(struct net_dev *d, const uint8_t mac[6]); /* -EADDRNOTAVAIL, -EOPNOTSUPP */
void net_dev_count(struct net_dev *d, bool out, bool error);	 /* one that was lost */
/* What net_link tells of it. */
void net_dev_set_tun(struct net_dev *d, const struct net_tun_info *info);

/* The other side has sent a packet or frame of n bytes; checked: its checksums need no look.
 * -EIO: it is down; -EINVAL: too short. Takes locks from SOCKTABLE on. */
int net_dev_input(struct net_dev *d, const uint8_t *p, size_t n, bool checked);

/* An IP packet of this host's leaves by an interface: it is cut in pieces where its MTU, or the
 * path's, asks for it, the neighbour is looked for, and it goes. next_hop: as in the packet, or the
 * gateway. -EMSGSIZE: it may not be cut (IPv4: DF), and is too large. -ENETDOWN, -ENOBUFS. n <=
 * 65535
 * + 40. */
int net_dev_output(struct net_ns *ns, int32_t oif, const uint8_t *next_hop, bool v6,
	const uint8_t *ip, size_t n, uint32_t path_mtu);

void net_link_news(struct net_ns *ns, int32_t index); /* tell of a change that was made */
/* What a packet socket (from) sends: a frame of a tap, a packet of a tun. -ENETDOWN, -ENODEV. */
int net_dev_send(struct net_ns *ns, int32_t oif, uint16_t protocol, const uint8_t *p, size_t n,
	const struct sock *from);
/* pmtu.c: a path to ip (IPv6, or IPv4 mapped) takes no more. */
void net_pmtu_learn(struct net_ns *ns, bool v6, const uint8_t ip[16], uint32_t mtu);
/* As much as is known to go there by an interface, which may be lo. */
uint32_t net_pmtu(struct net_ns *ns, const uint8_t ip[16], int32_t oif);

/* What the sockets do with packets; set once, at start. */
struct net_input {
	/* An IP packet that came in by d, whole and put together again: n is its own length. */
	void (*ip)(
		struct net_ns *ns, int32_t iif, bool v6, const uint8_t *ip, size_t n, bool checked);
	/* Is any packet socket there? Then it is shown what goes in and out: with an Ethernet
	 * header (tap), or the bare packet. */
	bool (*has_taps)(struct net_ns *ns);
	void (*show)(struct net_ns *ns, const struct net_link *l, bool out, uint16_t protocol,
		const uint8_t *p, size_t n, const struct sock *from);
	/* An interface has changed, or is gone. */
	void (*link_news)(struct net_ns *ns, const struct net_link *l, bool gone);
	void (*addr_news)(struct net_ns *ns, bool gone, const struct net_addr *a);
	/* The neighbour of what left did not answer. */
	void (*unreachable)(struct net_ns *ns, bool v6, const uint8_t *ip, size_t n);
};
void net_input_set(const struct net_input *in);
const struct net_input *net_input(void);

#endif
