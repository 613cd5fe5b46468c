/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_NET_INTERNAL_H
#define SENTRY_NET_INTERNAL_H

#include "sentry/net/link.h"

/* Those of a namespace that is the host's (host.c). */
int net_host_links(struct net_ns *ns, void (*fn)(const struct net_link *l, void *arg), void *arg);
int net_host_addrs(struct net_ns *ns, void (*fn)(const struct net_addr *a, void *arg), void *arg);
int net_host_routes(struct net_ns *ns, void (*fn)(const struct net_route *r, void *arg), void *arg);

#endif
