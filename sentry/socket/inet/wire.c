/* SPDX-License-Identifier: Apache-2.0 */
/* IP packets made of what sockets send, and taken apart: headers of RFC 791, 8200, 768, 9293. */
#include "sentry/socket/wire.h"
#include "internal.h"
#include "sentry/net/dev.h"
#include "sentry/net/packet.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define UDP_HEADER  8u
#define TCP_HEADER  20u
#define TCP_SEGMENT 65483u

uint8_t *
inet_packet_make(const struct inet_packet *k, size_t *ret_len)
{
	size_t head = k->v6 ? IP6_HEADER : k->head ? k->head_len : IP_HEADER, len = head + k->n;
	uint8_t *b = len <= WIRE_PACKET_MAX + (k->v6 ? IP6_HEADER : 0) ? malloc(len) : NULL;

	if (!b)
		return NULL;
	if (k->v6) {
		put_be32(b, 6u << 28 | (uint32_t)k->meta.tos << 20);
		put_be16(b + 4, (uint32_t)k->n);
		b[6] = k->protocol;
		b[7] = k->meta.ttl;
		memcpy(b + 8, k->from.ip, 16);
		memcpy(b + 24, k->to.ip, 16);
	} else if (k->head) {
		memcpy(b, k->head, head);
	} else {
		ip_header_put(b, k->n, k->meta.tos, k->meta.ttl, k->protocol, k->from.ip + 12,
			k->to.ip + 12);
	}
	memcpy(b + head, k->p, k->n);
	*ret_len = len;
	return b;
}

void
inet_wire(const struct inet_packet *k)
{
	size_t len;
	uint8_t *b = inet_packet_make(k, &len);

	if (!b)
		return;
	packet_show_ip(k->net, k->v6, b, len);
	free(b);
}

/* What tells it from others that are cut: no two that may be, of one sender, soon after each other.
 */
static void
set_id(uint8_t *ip, bool df)
{
	static _Atomic uint16_t next;

	put_be16(ip + 4, df ? 0 : atomic_fetch_add(&next, 1));
	put_be16(ip + 6, df ? 0x4000 : 0);
	put_be16(ip + 10, 0);
	ip_sum_put(ip + 10, ip_sum_add(0, ip, IP_HEADER));
}

enum inet_df
inet_df_of(const struct inet_sock *i, bool v4)
{
	/* IP_MTU_DISCOVER, IPV6_MTU_DISCOVER: kept relative to their default, WANT */
	int discover = 1 + (v4 ? i->ip_opt[10] : i->ip6_opt[23]);

	if (discover == 2 || discover == 3) /* DO, PROBE */
		return INET_DF;
	return discover == 1 ? INET_DF_IF_FITS : INET_MAY_CUT;
}

int
inet_send_out(const struct inet_packet *k, const struct inet_hop *hop, enum inet_df df)
{
	uint32_t mtu = net_pmtu(k->net, k->to.ip, hop->oif);
	size_t len;
	uint8_t *b = inet_packet_make(k, &len);
	int err = -ENOBUFS;

	if (b && len > mtu && df == INET_DF)
		err = -EMSGSIZE;
	else if (b) {
		if (!k->v6 && !k->head)
			set_id(b, df != INET_MAY_CUT && len <= mtu);
		err = net_dev_output(k->net, hop->oif, hop->ip, k->v6, b, len, mtu);
	}
	free(b);
	return err;
}

void
inet_answer_out(const struct inet_packet *k, enum inet_df df)
{
	struct inet_hop hop;

	if (inet_route_packet(k->net, &k->to, &k->from, inet_is_link_local(&k->to) ? k->iif : 0,
		    &hop) == INET_OUT)
		(void)inet_send_out(k, &hop, df);
}

uint32_t
inet_pseudo_sum(const struct inet_packet *k)
{
	size_t skip = k->v6 ? 0 : 12;
	uint32_t sum = ip_sum_add(0, k->from.ip + skip, 16 - skip);

	sum = ip_sum_add(sum, k->to.ip + skip, 16 - skip);
	return sum + k->protocol + (uint32_t)k->n;
}

void
inet_set_addresses(struct inet_packet *k, const struct inet_addr *from, const struct inet_addr *to)
{
	k->from = *from;
	k->to = *to;
	k->from.port = k->to.port = 0;
	k->v6 = !inet_is_v4(to);
	memcpy(k->meta.to, to->ip, 16);
}

/* k, whose addresses, net, protocol and meta are set, gets a header of UDP and data. -ENOMEM. */
int
udp_packet_make(
	struct inet_packet *k, uint16_t sport, uint16_t dport, const uint8_t *data, size_t n)
{
	size_t cover;

	k->n = UDP_HEADER + n;
	cover = k->meta.coverage ? k->meta.coverage : k->n;
	k->p = malloc(k->n);
	if (!k->p)
		return -ENOMEM;
	put_be16(k->p, sport);
	put_be16(k->p + 2, dport);
	put_be16(k->p + 4, k->protocol == LX_IPPROTO_UDPLITE ? k->meta.coverage : (uint32_t)k->n);
	put_be16(k->p + 6, 0);
	memcpy(k->p + UDP_HEADER, data, n);
	ip_sum_put(k->p + 6, ip_sum_add(inet_pseudo_sum(k), k->p, cover < k->n ? cover : k->n));
	if (!k->p[6] && !k->p[7])
		put_be16(k->p + 6, 0xffff);
	return 0;
}

void
wire_udp(struct net_ns *net, int protocol, const struct inet_addr *from, const struct inet_addr *to,
	const struct sock_meta *meta, const uint8_t *data, size_t n)
{
	struct inet_packet k = {.net = net, .protocol = (uint8_t)protocol, .meta = *meta};

	inet_set_addresses(&k, from, to);
	if (udp_packet_make(&k, from->port, to->port, data, n) == 0)
		inet_show(&k);
	free(k.p);
}

void
wire_tcp(struct net_ns *net, const struct inet_addr *from, const struct inet_addr *to,
	uint8_t flags, uint32_t seq, uint32_t ack, const uint8_t *data, size_t n)
{
	struct inet_packet k = {.net = net, .protocol = LX_IPPROTO_TCP};

	inet_set_addresses(&k, from, to);
	k.meta.ttl = inet_ttl_usual(net, !k.v6);
	k.p = malloc(TCP_HEADER + (n < TCP_SEGMENT ? n : TCP_SEGMENT));
	if (!k.p)
		return;
	do {
		size_t part = n < TCP_SEGMENT ? n : TCP_SEGMENT;

		k.n = TCP_HEADER + part;
		memset(k.p, 0, TCP_HEADER);
		put_be16(k.p, from->port);
		put_be16(k.p + 2, to->port);
		put_be32(k.p + 4, seq);
		put_be32(k.p + 8, flags & TCP_ACK ? ack : 0);
		k.p[12] = TCP_HEADER / 4 << 4;
		k.p[13] = flags;
		put_be16(k.p + 14, 65535);
		if (part)
			memcpy(k.p + TCP_HEADER, data, part);
		ip_sum_put(k.p + 16, ip_sum_add(inet_pseudo_sum(&k), k.p, k.n));
		inet_show(&k);
		seq += (uint32_t)part;
		data += part;
		n -= part;
	} while (n);
	free(k.p);
}

int
inet_header_in(struct inet_packet *k)
{
	size_t head = k->n ? (size_t)(k->p[0] & 15) * 4 : 0;
	static const uint8_t none[4];

	if (k->n < IP_HEADER || head < IP_HEADER || head > k->n)
		return -EINVAL;
	/* Filled in as raw(7) says: length and checksum always, the source where there is none. */
	put_be16(k->p + 2, (uint32_t)k->n);
	if (memcmp(k->p + 12, none, 4) == 0)
		memcpy(k->p + 12, k->from.ip + 12, 4);
	memset(k->p + 10, 0, 2);
	ip_sum_put(k->p + 10, ip_sum_add(0, k->p, head));
	memcpy(k->from.ip, inet_mapped, sizeof inet_mapped);
	memcpy(k->from.ip + 12, k->p + 12, 4);
	memcpy(k->to.ip, inet_mapped, sizeof inet_mapped);
	memcpy(k->to.ip + 12, k->p + 16, 4);
	memcpy(k->meta.to, k->to.ip, 16);
	k->meta.tos = k->p[1];
	k->meta.ttl = k->p[8];
	k->protocol = k->p[9];
	k->head = k->p;
	k->head_len = head;
	k->p += head;
	k->n -= head;
	return 0;
}

static bool
header_is_right(const uint8_t *ip, size_t head, size_t whole)
{
	if (head < IP_HEADER || head > whole)
		return false;
	return ip_sum_is_right(ip_sum_add(0, ip, head));
}

/* An IPv4 packet that comes in from or to a loopback address, or from one of this machine's own:
 * Linux drops those, even on lo (fib_validate_source). */
static bool
is_martian(struct net_ns *net, const struct inet_packet *k)
{
	return !k->v6 &&
	       (k->from.ip[12] == 127 || k->to.ip[12] == 127 || net_is_local(net, k->from.ip));
}

void
inet_take_packet(struct net_ns *net, bool v6, const uint8_t *ip, size_t len)
{
	struct inet_packet k = {.net = net, .v6 = v6};
	uint8_t *copy;
	size_t whole;

	if (len < (v6 ? IP6_HEADER : IP_HEADER) || ip[0] >> 4 != (v6 ? 6 : 4))
		return;
	whole = v6 ? IP6_HEADER + get_be16(ip + 4) : get_be16(ip + 2);
	if (whole > len)
		return;
	if (!v6 && !header_is_right(ip, (size_t)(ip[0] & 15) * 4, whole))
		return;
	copy = malloc(len);
	if (!copy)
		return;
	memcpy(copy, ip, len);
	k.p = copy;
	k.n = whole;
	if (v6) {
		memcpy(k.from.ip, ip + 8, 16);
		memcpy(k.to.ip, ip + 24, 16);
		memcpy(k.meta.to, k.to.ip, 16);
		k.meta.ttl = ip[7];
		k.protocol = ip[6];
		k.p += IP6_HEADER;
		k.n -= IP6_HEADER;
	}
	if ((v6 || inet_header_in(&k) == 0) && net_is_local(net, k.to.ip) && !is_martian(net, &k))
		inet_travel_in(&k);
	free(copy);
}
