/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_NET_INTERNAL_H
#define SENTRY_NET_INTERNAL_H

#include "base/ref.h"
#include "sentry/net/route.h"
#include "sentry/net/sysctl.h"
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
	size_t naddrs, cap;
	struct net_addr *addrs;
	size_t nroutes, routes_cap;
	struct net_route *routes; /* in the order of a dump (fib.c) */
	size_t ntables;
	struct fib_table *tables; /* that were made, beside the main and the local one */
	struct rules rules[2];	  /* IPv4, IPv6 */
	size_t nneighs;
	struct net_neigh *neighs;
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

/* fib.c: the routes of an address come and go with it; with lo, those of all. a is in ns->addrs
 * already, and is not there any more. */
void fib_add_addr_locked(struct net_ns *ns, const struct net_addr *a);
void fib_remove_addr_locked(struct net_ns *ns, const struct net_addr *a);
void fib_up_locked(struct net_ns *ns);
void fib_down_locked(struct net_ns *ns, uint8_t family); /* 0: both */
/* The best of a table, or of two; 0 or -errno, -EAGAIN: none. */
int fib_find_locked(const struct net_ns *ns, const struct net_flow *f, uint32_t table,
	uint32_t or_table, struct net_route *ret);
uint8_t fib_type_locked(const struct net_ns *ns, uint8_t family, const uint8_t *ip);

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

/* sysctl.c: the defaults. */
void net_sysctl_init(struct net_ns *ns);
/* lo.c: IPv6 on lo goes, with its addresses, or comes. */
void net_lo_disable6_locked(struct net_ns *ns, bool off);

#endif
