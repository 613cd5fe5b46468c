/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_NET_INTERNAL_H
#define SENTRY_NET_INTERNAL_H

#include "sentry/net/link.h"

/* Those of the host's namespace that the sentry stands in (host.c). */
int net_host_links(void (*fn)(const struct net_link *l, void *arg), void *arg);
int net_host_addrs(void (*fn)(const struct net_addr *a, void *arg), void *arg);
int net_host_routes(void (*fn)(const struct net_route *r, void *arg), void *arg);

#endif
