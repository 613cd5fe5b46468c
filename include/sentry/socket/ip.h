/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums (RFC 1071) and IPv4 headers of packets that raw sockets see. */
#ifndef SENTRY_SOCKET_IP_H
#define SENTRY_SOCKET_IP_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define IP_HEADER 20u /* bytes, without options */

static inline uint32_t
ip_sum_add(uint32_t sum, const uint8_t *p, size_t n)
{
	for (size_t k = 0; k + 1 < n; k += 2)
		sum += (uint32_t)p[k] << 8 | p[k + 1];
	return n & 1 ? sum + ((uint32_t)p[n - 1] << 8) : sum;
}

/* The checksum of what was added up, at its place. */
static inline void
ip_sum_put(uint8_t *at, uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

/* payload: bytes behind the header; addresses as on the wire. */
static inline void
ip_header_put(uint8_t h[IP_HEADER], size_t payload, uint8_t tos, uint8_t ttl, uint8_t protocol,
	const uint8_t from[4], const uint8_t to[4])
{
	size_t whole = IP_HEADER + payload;

	memset(h, 0, IP_HEADER);
	h[0] = 0x45;
	h[1] = tos;
	h[2] = (uint8_t)(whole >> 8);
	h[3] = (uint8_t)whole;
	h[8] = ttl;
	h[9] = protocol;
	memcpy(h + 12, from, 4);
	memcpy(h + 16, to, 4);
	ip_sum_put(h + 10, ip_sum_add(0, h, IP_HEADER));
}

#endif
