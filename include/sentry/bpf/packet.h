/* SPDX-License-Identifier: Apache-2.0 */
/* Packet filters of sockets (SO_ATTACH_FILTER, socket(7)): classic BPF over the bytes of a packet.
 */
#ifndef SENTRY_BPF_PACKET_H
#define SENTRY_BPF_PACKET_H

#include "abi/bpf.h"
#include <stddef.h>
#include <stdint.h>

struct sock_filter;

/* A copy of n instructions that has been checked. -EINVAL, -ENOMEM. */
int sock_filter_new(const struct lx_sock_filter *p, size_t n, struct sock_filter **ret);
void sock_filter_free(struct sock_filter *f); /* NULL is fine */

/* What it may look at beside the bytes. */
struct filter_packet {
	const uint8_t *p;
	uint32_t len;
	uint16_t protocol; /* host order */
	uint8_t pkttype;
	int32_t ifindex;
	uint16_t hatype;
};
/* How many bytes of the packet are let through; 0: it is dropped. f NULL: all. */
uint32_t sock_filter_run(const struct sock_filter *f, const struct filter_packet *k);
/* The instructions, and how many. */
const struct lx_sock_filter *sock_filter_get(const struct sock_filter *f, size_t *n);

#endif
