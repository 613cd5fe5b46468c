/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_NET_INTERNAL_H
#define SENTRY_NET_INTERNAL_H

#include "base/ref.h"
#include "sentry/net/dev.h"
#include "sentry/net/frag.h"
#include "sentry/net/route.h"
#include "sentry/net/sysctl.h"
#include "sentry/sched/timer.h"
#include <stdatomic.h>

/* Of one family. As long as none was changed, they are those that Linux begins with, and v is NULL.
 */
struct rules {
	size_t n, cap;
	struct net_rule *v; /* in order */
	bool changed;
};

struct fib_table {
	uint8_t family;
	uint32_t id;
};

/* An interface beside lo. */
struct net_dev {
	struct ref ref;
	struct mutex lock;	/* LEAF: of ns, which goes when it is removed */
	struct net_ns *ns;	/* no reference: the namespace has one on this */
	bool tap;		/* (C), as ops, driver: has Ethernet headers */
	_Atomic int32_t index;	/* changes with ns */
	_Atomic int32_t iflink; /* 0: its own number */
	atomic_bool doomed;	/* net_dev_remove was called */
	const struct net_dev_ops *ops;
	void *driver;
	/* under the namespace's lock */
	struct list node;
	char name[16];
	bool up, was_up, carrier;
	uint32_t mtu, txqlen, set_flags; /* what of LX_IFF_* was set beside IFF_UP */
	uint8_t operstate;
	uint8_t mac[6]; /* of a tap */
	uint8_t iid[8]; /* what the link-local address of a tun ends with */
	struct net_tun_info tun;
	int32_t conf[NET_SYSCTLS];				      /* of those that are conf's */
	_Atomic uint64_t packets[2], bytes[2], dropped[2], errors[2]; /* in, out */
};

/* A neighbour, and what waits until it is known where that is. */
struct neigh {
	struct net_neigh n;
	struct neigh_packet *waiting; /* the oldest first */
	uint8_t nwaiting;
	int64_t due_ns; /* the timer is to look at it then; 0: never */
};

#define NET_PMTUS 64
struct net_pmtu {
	uint8_t ip[16]; /* IPv6, or IPv4 mapped */
	uint32_t mtu;	/* 0: nothing is known */
	int64_t until_ns;
};

struct net_ns {
	struct ref ref;
	uint64_t id;
	struct user_ns *user_ns; /* a reference, or NULL */
	uint32_t counted;	 /* (C) for whom; sentry/cred/ucount.h */
	bool on_host;		 /* what follows `mute` is unused then */
	int maker;		 /* of sockets in it; -1: the sentry stands in it */
	_Atomic uint32_t low_ports;
	struct mutex lock;
	bool mute; /* the maker did not answer */
	bool up, was_up;
	uint32_t mtu;
	struct net_pmtu *pmtus; /* or NULL: nothing was learned */
	struct ip_frags *frags; /* once there was an interface beside lo; stays */
	struct list devs;	/* struct net_dev: a reference each, by index */
	int32_t last_index;	/* of an interface */
	size_t naddrs, cap;
	struct net_addr *addrs;
	size_t nroutes, routes_cap;
	struct net_route *routes; /* in the order of a dump (fib.c) */
	size_t ntables;
	struct fib_table *tables; /* that were made, beside the main and the local one */
	struct rules rules[2];	  /* IPv4, IPv6 */
	size_t nneighs;
	struct neigh *neighs;
	uint16_t neigh_hint[64];  /* by hash: where it was found last */
	size_t neigh_bytes;	  /* of packets that wait for one */
	struct timer neigh_timer; /* resolve.c */
	int64_t neigh_timer_ns;	  /* it is to fire then; 0: not at all */
	bool neigh_closing;
	_Atomic uint64_t generation; /* net_path_generation */
	_Atomic uint64_t packets, bytes;
	struct net_taps taps;
	_Atomic int32_t sysctl[NET_SYSCTLS][NET_SYSCTL_MAX]; /* changed under lock */
	uint8_t *reserved;				     /* ports, a bit each; or NULL: none */
};

/* Those of a namespace that is the host's (host.c). */
int net_host_links(struct net_ns *ns, void (*fn)(const struct net_link *l, void *arg), void *arg);
int net_host_addrs(struct net_ns *ns, void (*fn)(const struct net_addr *a, void *arg), void *arg);
int net_host_routes(struct net_ns *ns, void (*fn)(const struct net_route *r, void *arg), void *arg);

/* fib.c: the routes of an address come and go with it; with an interface, those of all of its own.
 * a is in ns->addrs. */
void fib_add_addr_locked(struct net_ns *ns, const struct net_addr *a);
void fib_remove_addr_locked(struct net_ns *ns, const struct net_addr *a);
/* Routes that were to come from an address that is gone: IPv4 loses them, IPv6 the wish. */
void fib_forget_source_locked(struct net_ns *ns, const struct net_addr *a);
void fib_up_locked(struct net_ns *ns, int32_t index);
void fib_groups_locked(struct net_ns *ns, int32_t index); /* the route to groups of IPv6 */
/* family 0: both. gone: the interface, not only what it leads to. */
void fib_down_locked(struct net_ns *ns, int32_t index, uint8_t family, bool gone);
/* The best of a table, or of two; 0 or -errno, -EAGAIN: none. */
int fib_find_locked(const struct net_ns *ns, const struct net_flow *f, uint32_t table,
	uint32_t or_table, struct net_route *ret);
uint8_t fib_type_locked(const struct net_ns *ns, uint8_t family, const uint8_t *ip);

/* dev.c: a frame, or a bare packet, leaves: counted, and shown to packet sockets. Takes no lock
 * beyond those of net_dev_ops.transmit; the namespace's is not held. */
void dev_send(struct net_ns *ns, struct net_dev *d, uint16_t protocol, const uint8_t *p, size_t n);

/* resolve.c: ARP (RFC 826) and neighbour discovery (RFC 4861) on a tap. No lock is held. */
void resolve_init(struct net_ns *ns);
void resolve_fini(struct net_ns *ns);
/* A frame of ARP, whole with its Ethernet header; or an IPv6 packet that is ICMPv6 of types 133 to
 * 137, behind it. Anything may be in them. */
void resolve_arp_input(struct net_ns *ns, struct net_dev *d, const uint8_t *frame, size_t n);
void resolve_nd_input(struct net_ns *ns, struct net_dev *d, const uint8_t *ip, size_t n);
/* Send a packet to a neighbour: at once, or when it is known where that is. -ENOBUFS,
 * -EHOSTUNREACH. */
int resolve_output(struct net_ns *ns, struct net_dev *d, bool v6, const uint8_t *next_hop,
	const uint8_t *ip, size_t n);
/* Tell all what is here, if net.ipv4.conf/.../arp_notify says so: it came up, or has another
 * address. */
void resolve_announce(struct net_ns *ns, struct net_dev *d);
/* All that is known of neighbours there, and waits for them, goes. */
void resolve_forget(struct net_ns *ns, int32_t index);

/* rule.c */
int rules_find_locked(const struct net_ns *ns, const struct net_flow *f, struct net_route *ret);

/* A copy of an array, for who hands it out without the lock: free(); NULL: no memory, or there is
 * nothing. */
void *net_copy(const void *v, size_t n, size_t size);
void net_path_changed(struct net_ns *ns);
/* Do the first bits of two addresses agree? */
bool net_prefix_is(const uint8_t *a, const uint8_t *b, unsigned bits);
/* What is behind them becomes zeros, or ones. */
void net_mask(uint8_t *addr, unsigned bits, unsigned bytes, bool ones);

/* ns.c: what lo has when it is up, of IPv4 and IPv6. */
extern const struct net_addr net_loopback[2];

/* link.c */
struct net_dev *dev_by_index_locked(const struct net_ns *ns, int32_t index);
bool link_exists_locked(const struct net_ns *ns, int32_t index);
bool link_is_up_locked(const struct net_ns *ns, int32_t index);
bool link_is_named_locked(const struct net_ns *ns, int32_t index, const char *name);
bool link_has_ipv6_locked(const struct net_ns *ns, int32_t index); /* it is not disabled there */

/* addr.c */
int addr_add_locked(struct net_ns *ns, const struct net_addr *a); /* as net_addr_add */
bool link_has_family_locked(const struct net_ns *ns, int32_t index, int family); /* an address */
void addrs_forget_locked(struct net_ns *ns, int32_t index, uint8_t family);	 /* 0: both */
void addrs_rename_locked(struct net_ns *ns, int32_t index, const char name[16]);
/* What of a namespace's addresses changes between the first two is told to who listens. */
struct addr_list {
	size_t n;
	struct net_addr *v;
};
struct addr_watch {
	struct addr_list was, is;
};
void addr_watch_locked(const struct net_ns *ns, struct addr_watch *w);
void addr_watched_locked(const struct net_ns *ns, struct addr_watch *w);
void addr_watch_tell(struct net_ns *ns, struct addr_watch *w); /* no lock is held */
/* The one of its network that packets come from, perhaps itself; or NULL. */
const struct net_addr *addr_primary_locked(const struct net_ns *ns, const struct net_addr *a);

/* dev.c */
int32_t net_next_index_locked(const struct net_ns *ns, int32_t index); /* 0: none */
void dev_link_locked(const struct net_dev *d, struct net_link *ret);
void dev_remove_all(struct net_ns *ns); /* nobody has a reference on ns any more */
/* name becomes one that is free: what it is, or with a number for its %d (dev_alloc_name). -EINVAL,
 * -EEXIST, -ENFILE. */
int dev_choose_name_locked(const struct net_ns *ns, char name[16]);

/* path.c: the address of an interface to talk to a neighbour from (inet_select_addr, by
 * RT_SCOPE_LINK). */
bool net_source_near_locked(
	const struct net_ns *ns, const uint8_t neighbour[4], int32_t index, uint8_t ret[4]);
bool net_source_refused_locked(const struct net_ns *ns, int32_t iif, const uint8_t from[4]);

/* sysctl.c */
int32_t net_conf_locked(const struct net_ns *ns, enum net_sysctl which, int32_t index);
int32_t net_conf_most_locked(const struct net_ns *ns, enum net_sysctl which, int32_t index);
void net_dev_sysctl_init_locked(const struct net_ns *ns, struct net_dev *d);
/* The defaults. */
void net_sysctl_init(struct net_ns *ns);
/* link.c: an interface that is up has the addresses of IPv6 that it makes for itself, if it has a
 * carrier. */
void link_begin6_locked(struct net_ns *ns, int32_t index);
/* IPv6 goes, with its addresses, or comes. */
void link_disable6_locked(struct net_ns *ns);

#endif
