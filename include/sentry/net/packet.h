/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of packets: Ethernet, IPv4 (RFC 791), IPv6 (RFC 8200); checksums (RFC 1071). */
#ifndef SENTRY_NET_PACKET_H
#define SENTRY_NET_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ETH_HEADER 14u
#define ETH_P_IP   0x0800u
#define ETH_P_ARP  0x0806u
#define ETH_P_IPV6 0x86ddu

#define IP_HEADER  20u /* bytes, without options */
#define IP6_HEADER 40u

static inline void
put_be16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
put_be32(uint8_t *p, uint32_t v)
{
	put_be16(p, v >> 16);
	put_be16(p + 2, v);
}

static inline uint16_t
get_be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline uint32_t
get_be32(const uint8_t *p)
{
	return (uint32_t)get_be16(p) << 16 | get_be16(p + 2);
}

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

/* Is what was added up, the checksum with it, right? */
static inline bool
ip_sum_is_right(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
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
