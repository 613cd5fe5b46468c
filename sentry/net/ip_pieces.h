/* SPDX-License-Identifier: Apache-2.0 */
/* What cutting and putting together have in common: the headers of pieces. */
#ifndef SENTRY_NET_IP_PIECES_H
#define SENTRY_NET_IP_PIECES_H

#include "sentry/net/packet.h"

#define IP_MF	     0x2000u
#define IP_OFFSET    0x1fffu /* in units of 8 bytes */
#define IP6_FRAGMENT 8u	     /* bytes of its header */

enum {
	IP6_HOP_BY_HOP = 0,
	IP6_ROUTING = 43,
	IP6_IS_FRAGMENT = 44,
	IP6_DEST_OPTIONS = 60,
};

/* Where the fragment header of an IPv6 packet begins; all of it is there, and so is the IPv6 header
 * (n >= 40). 0: it has none. *ret_next_at: the byte that says that it comes. */
size_t ip6_find_fragment(const uint8_t *ip, size_t n, size_t *ret_next_at);

#endif
