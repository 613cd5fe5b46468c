/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What /proc/sys/net says of a network namespace (sysctl.def). All may be read without a lock; each
 * change is made as a whole. In a namespace that is the host's they stay as they were made: the
 * host's kernel has others, and acts on those.
 */
#ifndef SENTRY_NET_SYSCTL_H
#define SENTRY_NET_SYSCTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct net_ns;

enum net_sysctl {
#define NET_CORE(which, ...)  NET_##which,
#define NET_IPV4(which, ...)  NET_##which,
#define NET_IPV6(which, ...)  NET_##which,
#define NET_UNIX(which, ...)  NET_##which,
#define NET_CONF4(which, ...) NET4_##which,
#define NET_CONF6(which, ...) NET6_##which,
#include "sentry/net/sysctl.def"
	NET_SYSCTLS
};
#define NET_SYSCTL_MAX 3 /* numbers of one */

/* Of the values of conf; NET_CONF_DEV: of another interface. */
enum net_conf { NET_CONF_ALL, NET_CONF_DEFAULT, NET_CONF_LO, NET_CONF_DEV };

/* i: which of its numbers, from 0. */
int32_t net_sysctl(const struct net_ns *ns, enum net_sysctl which, unsigned i);
/* n numbers from i on, all or none. -EINVAL: out of their range, or not with what others say.
 * -EPERM: the namespace is the host's. */
int net_sysctl_set(
	struct net_ns *ns, enum net_sysctl which, unsigned i, const int32_t *v, unsigned n);
/* Of conf/all and of that interface, the larger. */
int32_t net_conf_most(struct net_ns *ns, enum net_sysctl which, int32_t index);
/* Those of conf that an interface beside lo has; it begins with the defaults. -ENOENT: it is gone;
 * else as net_sysctl_set. */
int net_dev_sysctl(struct net_ns *ns, int32_t index, enum net_sysctl which, int32_t *ret);
int net_dev_sysctl_set(struct net_ns *ns, int32_t index, enum net_sysctl which, int32_t v);
/* net.ipv4.ping_group_range is everybody, as engines have it. */
void net_sysctl_open_ping(struct net_ns *ns);

/* Ports that are not given to who asks for any (net.ipv4.ip_local_reserved_ports). */
void net_port_range(struct net_ns *ns, uint16_t *low, uint16_t *high);
bool net_port_reserved(struct net_ns *ns, uint16_t port);
/* In place of those before: "8080,9148-9150". -EINVAL, -ENOMEM, -EPERM. */
int net_ports_reserve(struct net_ns *ns, const char *text, size_t len);
/* The first range from port *low on. False: none. */
bool net_ports_next(struct net_ns *ns, uint32_t *low, uint32_t *high);

#endif
