/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets that go round lo, for sockets that look at them. Between two sockets of the sandbox there
 * are none: they are made of what is sent while somebody looks (struct net_taps), and what such
 * sockets send is taken apart again. Linux: packet(7), raw(7).
 */
#ifndef SENTRY_SOCKET_WIRE_H
#define SENTRY_SOCKET_WIRE_H

#include "sentry/net/link.h"
#include "sentry/net/packet.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct sock;

#define ETH_P_ALL	0x0003u
#define WIRE_PACKET_MAX 65535u

/* Does a packet socket see the IP packets of net? */
static inline bool
wire_has_packet(struct net_ns *net)
{
	return atomic_load_explicit(&net_ns_taps(net)->nr_packet, memory_order_relaxed);
}

/* Does a raw socket, or one for echoes, see those of a protocol? */
static inline bool
wire_has_raw(struct net_ns *net, uint8_t protocol)
{
	return atomic_load_explicit(&net_ns_taps(net)->nr_raw[protocol], memory_order_relaxed);
}

static inline bool
wire_looked_at(struct net_ns *net, uint8_t protocol)
{
	return wire_has_packet(net) || wire_has_raw(net, protocol);
}

/* A frame on lo of net, with an Ethernet header: to packet sockets; from: who sent it, or NULL. No
 * lock is held. */
void packet_show(struct net_ns *net, const uint8_t *frame, size_t len, const struct sock *from);
/* The same of an IP packet without a header before it. */
void packet_show_ip(struct net_ns *net, bool v6, const uint8_t *ip, size_t len);
/* What goes by on an interface beside lo (struct net_input). */
bool packet_has_any(struct net_ns *net);
void packet_show_link(struct net_ns *net, const struct net_link *l, bool out, uint16_t protocol,
	const uint8_t *p, size_t n, const struct sock *from);
/* An IP packet that somebody made comes in: to ICMP, UDP and raw sockets of net. */
void inet_take_packet(struct net_ns *net, bool v6, const uint8_t *ip, size_t len);

void packet_init(void);

#endif
