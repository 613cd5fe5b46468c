/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP packets are cut in pieces that fit (RFC 791, 3.2; RFC 8200, 4.5). Linux: ip_do_fragment in
 * net/ipv4/ip_output.c, ip6_fragment in net/ipv6/ip6_output.c.
 */
#include "sentry/net/frag.h"
#include "sentry/net/ip_pieces.h"
#include "sentry/net/packet.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IP4_HEADER_MAX 60u

bool
ip_is_piece(bool v6, const uint8_t *ip, size_t n)
{
	size_t next_at;

	if (v6)
		return n >= IP6_HEADER && ip6_find_fragment(ip, n, &next_at);
	return n >= IP_HEADER && get_be16(ip + 6) & (IP_MF | IP_OFFSET);
}

size_t
ip6_find_fragment(const uint8_t *ip, size_t n, size_t *ret_next_at)
{
	size_t at = IP6_HEADER, next_at = 6;

	for (;;) {
		if (at + 8 > n)
			return 0;
		switch (ip[next_at]) {
		case IP6_IS_FRAGMENT:
			*ret_next_at = next_at;
			return at;
		case IP6_HOP_BY_HOP:
			if (at > IP6_HEADER)
				return 0;
			break;
		case IP6_ROUTING:
		case IP6_DEST_OPTIONS:
			break;
		default:
			return 0;
		}
		next_at = at;
		at += (ip[at + 1] + 1u) * 8;
	}
}

/* Bytes up to where a fragment header belongs: behind routing headers, or else the hop-by-hop
 * options. *ret_next_at: the byte before that says what comes there. */
static size_t
unfragmentable(const uint8_t *ip, size_t n, size_t *ret_next_at)
{
	size_t at = IP6_HEADER, next_at = 6, len = at;

	*ret_next_at = next_at;
	while (at + 8 <= n) {
		uint8_t type = ip[next_at];
		size_t end = at + (ip[at + 1] + 1u) * 8;

		if (type != IP6_ROUTING && type != IP6_DEST_OPTIONS &&
			!(type == IP6_HOP_BY_HOP && at == IP6_HEADER))
			break;
		if (end > n)
			break;
		next_at = at;
		at = end;
		if (type != IP6_DEST_OPTIONS) {
			len = at;
			*ret_next_at = next_at;
		}
	}
	return len;
}

/* The header of all pieces but the first: with those options that are to be copied. */
static size_t
later_header(const uint8_t *ip, size_t hl, uint8_t ret[IP4_HEADER_MAX])
{
	size_t n = IP_HEADER;

	memcpy(ret, ip, IP_HEADER);
	for (size_t at = IP_HEADER; at < hl && ip[at] != 0;) {
		size_t len = 1;

		if (ip[at] != 1) {
			len = at + 1 < hl ? ip[at + 1] : 0;
			if (len < 2 || len > hl - at)
				break;
			if (ip[at] & 0x80) {
				memcpy(ret + n, ip + at, len);
				n += len;
			}
		}
		at += len;
	}
	while (n % 4)
		ret[n++] = 0;
	ret[0] = (uint8_t)(0x40 | n / 4);
	return n;
}

static int
cut4(const uint8_t *ip, size_t n, uint32_t mtu, uint8_t *piece,
	int (*emit)(void *arg, const uint8_t *piece, size_t n), void *arg)
{
	size_t hl = (ip[0] & 15u) * 4, later_len, at, len;
	uint32_t field = get_be16(ip + 6), first = field & IP_OFFSET;
	uint8_t later[IP4_HEADER_MAX];
	int r = 0;

	if (hl < IP_HEADER || hl > n || mtu < hl + 8 || first * 8 + (n - hl) > 65535)
		return -EMSGSIZE;
	later_len = later_header(ip, hl, later);
	for (at = hl; !r && at < n; at += len) {
		size_t head = at == hl ? hl : later_len;
		bool more;

		len = n - at;
		if (len > mtu - head)
			len = (mtu - head) & ~(size_t)7;
		more = at + len < n || field & IP_MF;
		memcpy(piece, at == hl ? ip : later, head);
		memcpy(piece + head, ip + at, len);
		put_be16(piece + 2, (uint32_t)(head + len));
		put_be16(piece + 6, (first + (uint32_t)((at - hl) / 8)) | (more ? IP_MF : 0));
		put_be16(piece + 10, 0);
		ip_sum_put(piece + 10, ip_sum_add(0, piece, head));
		r = emit(arg, piece, head + len);
	}
	return r;
}

static int
cut6(const uint8_t *ip, size_t n, uint32_t mtu, uint32_t id, uint8_t *piece,
	int (*emit)(void *arg, const uint8_t *piece, size_t n), void *arg)
{
	size_t next_at, head = unfragmentable(ip, n, &next_at), len;
	size_t room = head + IP6_FRAGMENT + 8 <= mtu ? (mtu - head - IP6_FRAGMENT) & ~(size_t)7 : 0;
	uint8_t *fragment = piece + head;
	int r = 0;

	if (!room || n - head > 65535)
		return -EMSGSIZE;
	for (size_t at = head; !r && at < n; at += len) {
		bool last = n - at <= mtu - head - IP6_FRAGMENT;

		len = last ? n - at : room;
		memcpy(piece, ip, head);
		piece[next_at] = IP6_IS_FRAGMENT;
		put_be16(piece + 4, (uint32_t)(head - IP6_HEADER + IP6_FRAGMENT + len));
		fragment[0] = ip[next_at];
		fragment[1] = 0;
		put_be16(fragment + 2, (uint32_t)(at - head) | !last);
		put_be16(fragment + 4, id >> 16);
		put_be16(fragment + 6, id);
		memcpy(fragment + IP6_FRAGMENT, ip + at, len);
		r = emit(arg, piece, head + IP6_FRAGMENT + len);
	}
	return r;
}

int
ip_cut(bool v6, const uint8_t *ip, size_t n, uint32_t mtu, uint32_t id,
	int (*emit)(void *arg, const uint8_t *piece, size_t n), void *arg)
{
	uint8_t *piece;
	int r;

	if (n <= mtu)
		return emit(arg, ip, n);
	if (n < (v6 ? IP6_HEADER : IP_HEADER))
		return -EMSGSIZE;
	piece = malloc(mtu);
	if (!piece)
		return -ENOMEM;
	r = v6 ? cut6(ip, n, mtu, id, piece, emit, arg) : cut4(ip, n, mtu, piece, emit, arg);
	free(piece);
	return r;
}
