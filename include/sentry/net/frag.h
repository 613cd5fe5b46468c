/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP packets in pieces: cut for a smaller MTU, and put together again (RFC 791, 815; RFC 8200, 4.5;
 * RFC 5722: pieces that overlap spoil the whole). Pieces that came are held per namespace, for 30
 * (IPv4) or 60 seconds, and in bounds.
 */
#ifndef SENTRY_NET_FRAG_H
#define SENTRY_NET_FRAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Cut a packet (IPv4 header checksum right, or IPv6) for an MTU and hand out each piece. id: of
 * IPv6, the fragment header's. -EMSGSIZE: not possible (MTU too small for the header and 8 bytes);
 * -ENOMEM; or what emit returned first. DF is not looked at. A packet that fits is handed out as it
 * is. */
int ip_cut(bool v6, const uint8_t *ip, size_t n, uint32_t mtu, uint32_t id,
	int (*emit)(void *arg, const uint8_t *piece, size_t n), void *arg);

struct ip_frags;
struct ip_frags *ip_frags_new(void); /* NULL: out of memory */
void ip_frags_free(struct ip_frags *f);
/* Is it a piece? Checks nothing but what it needs for that. */
bool ip_is_piece(bool v6, const uint8_t *ip, size_t n);
/* A piece came. 0 and *ret (free()), *ret_len: it is whole now. -EAGAIN: kept, or dropped. Own
 * lock (LEAF). iif: pieces of different interfaces are different. The packet that results has a
 * right IPv4 header checksum, and no fragment header. */
int ip_frags_add(struct ip_frags *f, int32_t iif, bool v6, const uint8_t *ip, size_t n,
	int64_t now_ns, uint8_t **ret, size_t *ret_len);

#endif
