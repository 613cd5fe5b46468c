/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of an AF_PACKET socket (packet(7), PACKET_RX_RING): memory that it shares with the
 * guest, who can write anything there at any time. */
#ifndef SENTRY_SOCKET_PACKET_RING_H
#define SENTRY_SOCKET_PACKET_RING_H

#include <stdbool.h>
#include <stdint.h>

struct file;
struct mappable;
struct packet_ring;

enum packet_version { TPACKET_V1, TPACKET_V2 };

#define TPACKET_HEADER 32 /* both versions' */

struct tpacket_req {
	uint32_t block_size, block_nr, frame_size, frame_nr;
};

struct sockaddr_ll {
	uint16_t family, protocol; /* protocol: network order */
	int32_t ifindex;
	uint16_t hatype;
	uint8_t pkttype, halen, addr[8];
};

/* A packet on its way into a ring. */
struct ring_packet {
	const uint8_t *data;
	uint32_t whole, got; /* its length, and how much of it the filter let through */
	uint32_t header;     /* bytes at its beginning that are the link's; 0: they are left out */
	struct sockaddr_ll from;
	int64_t stamp_ns;
	bool losing; /* others were dropped */
};

/* A reference in *ret; -EINVAL, -ENOMEM. reserve: PACKET_RESERVE, bytes before each packet. */
int packet_ring_new(enum packet_version version, uint32_t reserve, const struct tpacket_req *req,
	struct packet_ring **ret);
void packet_ring_put(struct packet_ring *r); /* NULL is fine */
bool packet_ring_is_mapped(const struct packet_ring *r);
/* Both with the socket's lock. False: the guest has not given back the next frame. */
bool packet_ring_add(struct packet_ring *r, const struct ring_packet *p);
bool packet_ring_ready(const struct packet_ring *r);
/* All of it, from 0 on. */
int packet_ring_mappable(struct packet_ring *r, struct file *f, bool shared, struct mappable **ret);

#endif
