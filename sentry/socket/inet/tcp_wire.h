/* SPDX-License-Identifier: Apache-2.0 */
/* What tcp_wire.c and tcp_wire_user.c have in common. */
#ifndef SENTRY_SOCKET_INET_TCP_WIRE_H
#define SENTRY_SOCKET_INET_TCP_WIRE_H

#include "internal.h"
#include "sentry/net/tcp.h"

struct tcp_wire {
	struct ref ref;
	struct mutex lock;
	struct list node; /* wires_lock; then of the dead: reap_lock */
	struct net_ns *net;
	struct inet_addr local, remote; /* fixed */
	int32_t dev;			/* that it is bound to; 0: none */
	int32_t link;			/* that it has to leave by; 0: any */
	uint8_t tos, ttl;
	struct tcp_conn *conn;
	struct sock *likeness;
	struct sock *who; /* it connects for: a reference, until that is decided; or */
	struct sock *ls;  /* the listener: a reference, until it stands */
	struct timer timer;
	struct waiter waiter; /* on the likeness */
	_Atomic bool kicked;
	bool ended, unwanted;
	uint64_t generation; /* net_path_generation of: */
	struct inet_hop hop;
	int way, send_err;
};

static inline struct inet_sock *
likeness(const struct tcp_wire *w)
{
	return is(w->likeness);
}

/* tcp_wire_user.c; w is locked, or nobody else has it yet. */
extern const struct tcp_user_ops tcp_wire_user_ops;
/* What the options of the program's socket say by now. */
void tcp_wire_take_options(struct tcp_wire *w);
/* Where the other end is, by now. */
void tcp_wire_find_way(struct tcp_wire *w);
/* Of a packet of that size. */
uint16_t tcp_wire_mss(const struct tcp_wire *w, uint32_t mtu);
void tcp_wire_put_checksum(struct inet_packet *k);

#endif
