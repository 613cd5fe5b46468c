/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_NET_INTERNAL_H
#define SENTRY_NET_INTERNAL_H

#include "base/ref.h"
#include "sentry/net/link.h"
#include "sentry/net/sysctl.h"
#include <stdatomic.h>

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
	_Atomic uint64_t packets, bytes;
	struct net_taps taps;
	_Atomic int32_t sysctl[NET_SYSCTLS][NET_SYSCTL_MAX]; /* changed under lock */
	uint8_t *reserved;				     /* ports, a bit each; or NULL: none */
};

/* Those of a namespace that is the host's (host.c). */
int net_host_links(struct net_ns *ns, void (*fn)(const struct net_link *l, void *arg), void *arg);
int net_host_addrs(struct net_ns *ns, void (*fn)(const struct net_addr *a, void *arg), void *arg);
int net_host_routes(struct net_ns *ns, void (*fn)(const struct net_route *r, void *arg), void *arg);

/* sysctl.c: the defaults. */
void net_sysctl_init(struct net_ns *ns);
/* lo.c: IPv6 on lo goes, with its addresses, or comes. */
void net_lo_disable6_locked(struct net_ns *ns, bool off);

#endif
