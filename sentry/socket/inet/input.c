/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP packets that come in by an interface other than lo, and what answers those that nobody takes
 * (RFC 792, 1122, 4443). Linux: net/ipv4/ip_input.c, icmp.c;
 * net/ipv6/ip6_input.c, icmp.c.
 */
#include "internal.h"
#include "sentry/net/dev.h"
#include "sentry/net/sysctl.h"
#include "sentry/sched/fiber.h"
#include "sentry/socket/wire.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EXTENSIONS_MAX	 8
#define ICMP_HEADER	 8u
#define ANSWERS_A_SECOND 1000 /* net.ipv4.icmp_msgs_per_sec */

enum icmp_type { ICMP_UNREACHABLE = 3, ICMP_EXCEEDED = 11, ICMP_PARAMETER = 12 };
enum icmp6_type {
	ICMP6_UNREACHABLE = 1,
	ICMP6_TOO_BIG = 2,
	ICMP6_EXCEEDED = 3,
	ICMP6_PARAMETER = 4
};

/* --- taken apart --- */

/* Skip the extension headers (RFC 8200, 4) that say nothing to this host. False: it is not to be
 * taken. */
static bool
skip_extensions(struct inet_packet *k)
{
	for (int n = 0; n < EXTENSIONS_MAX; n++) {
		size_t len;

		if (k->protocol != 0 && k->protocol != 43 && k->protocol != 60)
			return true;
		if (k->n < 8)
			return false;
		len = 8 + 8 * (size_t)k->p[1];
		if (len > k->n || (k->protocol == 43 && k->p[3]))
			return false; /* routing: segments are left */
		k->protocol = k->p[0];
		k->p += len;
		k->n -= len;
	}
	return false;
}

static void
mapped(struct inet_addr *a, const uint8_t *ip)
{
	memcpy(a->ip, inet_mapped, sizeof inet_mapped);
	memcpy(a->ip + 12, ip, 4);
	a->port = 0;
}

/* ip: whole, and as long as it says. */
static bool
take_apart(struct inet_packet *k, uint8_t *ip, size_t n)
{
	size_t head = k->v6 ? IP6_HEADER : (size_t)(ip[0] & 15) * 4;

	k->p = ip + head;
	k->n = n - head;
	if (k->v6) {
		memcpy(k->from.ip, ip + 8, 16);
		memcpy(k->to.ip, ip + 24, 16);
		k->meta.tos = (uint8_t)(ip[0] << 4 | ip[1] >> 4);
		k->meta.ttl = ip[7];
		k->protocol = ip[6];
		memcpy(k->meta.to, k->to.ip, 16);
		return skip_extensions(k);
	}
	k->head = ip;
	k->head_len = head;
	mapped(&k->from, ip + 12);
	mapped(&k->to, ip + 16);
	k->meta.tos = ip[1];
	k->meta.ttl = ip[8];
	k->protocol = ip[9];
	memcpy(k->meta.to, k->to.ip, 16);
	return true;
}

static bool
is_for_us(const struct inet_packet *k)
{
	size_t skip = k->v6 ? 0 : 12;
	uint8_t type;

	if (k->v6 && k->to.ip[0] == 0xff)
		return true;
	type = net_address_type(k->net, k->v6 ? LX_AF_INET6 : LX_AF_INET, k->to.ip + skip);
	return type == LX_RTN_LOCAL || type == LX_RTN_BROADCAST || type == LX_RTN_MULTICAST;
}

/* From where nothing comes (ip_route_input_slow, ip6_rcv_core). */
static bool
is_martian(const struct inet_packet *k)
{
	static const uint8_t loop6[16] = {[15] = 1};
	const uint8_t *a = k->from.ip + 12, *d = k->to.ip + 12;

	if (k->v6)
		return k->from.ip[0] == 0xff || memcmp(k->from.ip, loop6, 16) == 0 ||
		       memcmp(k->to.ip, loop6, 16) == 0;
	return (a[0] & 0xf0) == 0xe0 || a[0] >= 0xf0 || a[0] == 127 || d[0] == 127 ||
	       (a[0] == 0 && memcmp(a, "\0\0\0\0", 4) != 0) ||
	       (net_is_local(k->net, k->from.ip) &&
		       !net_conf_most(k->net, NET4_ACCEPT_LOCAL, k->iif));
}

/* --- errors that come in --- */

/* What Linux makes of a code (icmp_err_convert, icmpv6_err_convert); 0: nothing. *hard: it stays
 * so, which is what UDP is told alone. */
static int
error_of(bool v6, uint8_t type, uint8_t code, bool *hard)
{
	static const uint16_t hard4 = 0xe7cc, hard6 = 0x72; /* codes, a bit each */

	static const int v4[] = {ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED, EMSGSIZE,
		EOPNOTSUPP, ENETUNREACH, EHOSTDOWN, ENONET, ENETUNREACH, EHOSTUNREACH, ENETUNREACH,
		EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH};
	static const int six[] = {
		ENETUNREACH, EACCES, EHOSTUNREACH, EHOSTUNREACH, ECONNREFUSED, EACCES, EACCES};

	*hard = type == (v6 ? ICMP6_UNREACHABLE : ICMP_UNREACHABLE)
			? code < 16 && (v6 ? hard6 : hard4) >> code & 1
			: type == (v6 ? ICMP6_PARAMETER : ICMP_PARAMETER);
	if (v6)
		return type == ICMP6_UNREACHABLE ? code < 7 ? six[code] : EPROTO
		       : type == ICMP6_TOO_BIG	 ? EMSGSIZE
		       : type == ICMP6_EXCEEDED	 ? EHOSTUNREACH
		       : type == ICMP6_PARAMETER ? EPROTO
						 : 0;
	return type == ICMP_UNREACHABLE ? code < 16 ? v4[code] : 0
	       : type == ICMP_EXCEEDED	? EHOSTUNREACH
	       : type == ICMP_PARAMETER ? EPROTO
					: 0;
}

/* A packet that was sent, or its beginning, has met an error. */
static void
tell_sender(struct net_ns *ns, bool v6, const uint8_t *ip, size_t n, struct inet_error *e)
{
	size_t head = v6 ? IP6_HEADER : IP_HEADER;
	struct inet_addr local = {.scope = 0}, remote = {.scope = 0};
	uint8_t protocol;
	bool icmp, echo, ours;

	if (n < head || ip[0] >> 4 != (v6 ? 6 : 4))
		return;
	if (!v6)
		head = (size_t)(ip[0] & 15) * 4;
	if (head < IP_HEADER || n < head + ICMP_HEADER)
		return;
	protocol = v6 ? ip[6] : ip[9];
	if (v6) {
		memcpy(local.ip, ip + 8, 16);
		memcpy(remote.ip, ip + 24, 16);
	} else {
		mapped(&local, ip + 12);
		mapped(&remote, ip + 16);
	}
	e->p = ip + head;
	e->n = n - head;
	icmp = protocol == (v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP);
	echo = icmp && e->p[0] == (v6 ? 128 : 8);
	/* no socket has sent an answer (icmp_err; icmpv6_err asks for none at all) */
	ours = icmp && (v6 || e->p[0] == 0);
	local.port = remote.port = 0;
	ours |= icmp_take_error(
		ns, v6, protocol, echo ? get_be16(e->p + 4) : 0, &local, &remote, e);
	if (ours)
		inet_error_learn(ns, &remote, e);
	local.port = get_be16(ip + head);
	remote.port = get_be16(ip + head + 2);
	if (protocol == LX_IPPROTO_TCP) {
		tcp_wire_take_error(ns, &local, &remote, get_be32(ip + head + 4), e);
	} else if (protocol == LX_IPPROTO_UDP || protocol == LX_IPPROTO_UDPLITE) {
		e->p += ICMP_HEADER; /* UDP's is as large */
		e->n -= ICMP_HEADER;
		udp_take_error(ns, protocol, &local, &remote, e);
	}
}

static void
take_error(const struct inet_packet *k)
{
	struct inet_error e = {
		.origin = k->v6 ? INET_ERROR_ICMP6 : INET_ERROR_ICMP, .offender = k->from};

	if (k->n < ICMP_HEADER)
		return;
	e.type = k->p[0];
	e.code = k->p[1];
	e.err = error_of(k->v6, e.type, e.code, &e.hard);
	if (!e.err)
		return;
	if (e.err == EMSGSIZE)
		e.info = k->v6 ? get_be32(k->p + 4) : get_be16(k->p + 6);
	tell_sender(k->net, k->v6, k->p + ICMP_HEADER, k->n - ICMP_HEADER, &e);
}

static bool
icmp_sum_is_right(const struct inet_packet *k)
{
	return k->checked ||
	       ip_sum_is_right(ip_sum_add(k->v6 ? inet_pseudo_sum(k) : 0, k->p, k->n));
}

/* --- errors that go out --- */

/* Not more than so many a second, of all namespaces: an answer is larger than what may ask for it.
 */
static bool
may_answer(void)
{
	static _Atomic int64_t second;
	static _Atomic uint32_t left;
	int64_t now = sched_now_ns() / 1000000000;

	if (atomic_exchange(&second, now) != now)
		atomic_store(&left, ANSWERS_A_SECOND);
	for (uint32_t n = atomic_load(&left); n;)
		if (atomic_compare_exchange_weak(&left, &n, n - 1))
			return true;
	return false;
}

/* Is it an error itself, or something else that gets none (RFC 1122, 3.2.2; RFC 4443, 2.4 (e))? */
static bool
is_error(const struct inet_packet *k)
{
	if (k->protocol != (k->v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP))
		return false;
	if (!k->n)
		return true;
	return k->v6 ? k->p[0] < 128
		     : k->p[0] == ICMP_UNREACHABLE || k->p[0] == 4 || k->p[0] == 5 ||
			       k->p[0] == ICMP_EXCEEDED || k->p[0] == ICMP_PARAMETER;
}

bool
inet_answers_from(const struct inet_packet *k, struct inet_addr *ret)
{
	size_t skip = k->v6 ? 0 : 12;
	struct net_flow f = {.family = k->v6 ? LX_AF_INET6 : LX_AF_INET, .iif = NET_LO_INDEX};
	struct net_path p;

	*ret = k->to;
	ret->port = 0;
	if (net_is_local(k->net, k->to.ip))
		return true;
	memcpy(f.dst, k->from.ip + skip, 16 - skip);
	if (inet_is_link_local(&k->from))
		f.oif = k->iif;
	if (net_path_find(k->net, &f, &p) || !p.has_source)
		return false;
	memset(ret->ip, 0, 16);
	if (skip)
		memcpy(ret->ip, inet_mapped, sizeof inet_mapped);
	memcpy(ret->ip + skip, p.source, 16 - skip);
	return true;
}

void
inet_send_error(const struct inet_packet *k, uint8_t type, uint8_t code, uint32_t info)
{
	struct inet_packet a = {.net = k->net,
		.v6 = k->v6,
		.iif = k->iif,
		.to = k->from,
		.protocol = k->v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP};
	/* RFC 1812, 4.3.2.3; RFC 4443, 2.4 (c) */
	size_t most = k->v6 ? 1280 - IP6_HEADER - ICMP_HEADER : 576 - IP_HEADER - ICMP_HEADER, n;
	struct inet_packet whole = *k;
	uint8_t *b;

	if (!k->iif || inet_is_any(&k->from) || inet_is_multicast(&k->to) || is_error(k) ||
		!inet_answers_from(k, &a.from) || !may_answer())
		return;
	whole.from.port = whole.to.port = 0;
	b = inet_packet_make(&whole, &n);
	if (!b)
		return;
	if (n > most)
		n = most;
	a.p = malloc(ICMP_HEADER + n);
	if (a.p) {
		a.n = ICMP_HEADER + n;
		a.meta.tos = k->v6 ? 0 : 0xc0; /* internetwork control */
		a.meta.ttl = inet_ttl_usual(k->net, !k->v6);
		memset(a.p, 0, ICMP_HEADER);
		a.p[0] = type;
		a.p[1] = code;
		put_be32(a.p + 4, info);
		memcpy(a.p + ICMP_HEADER, b, n);
		inet_icmp_checksum(&a);
		inet_answer_out(&a, INET_MAY_CUT);
	}
	free(a.p);
	free(b);
}

void
inet_tell_unreachable(const struct inet_packet *k, enum inet_unreachable why)
{
	bool no_port = why == INET_NO_PORT;

	if (!k->iif || !net_is_local(k->net, k->to.ip))
		return;
	/* IPv6 knows an unknown protocol as a parameter problem, at the next header */
	if (k->v6 && !no_port)
		inet_send_error(k, ICMP6_PARAMETER, 1, 6);
	else
		inet_send_error(k, k->v6 ? ICMP6_UNREACHABLE : ICMP_UNREACHABLE,
			k->v6	  ? 4
			: no_port ? 3
				  : 2,
			0);
}

/* --- in --- */

static bool
is_known(const struct inet_packet *k)
{
	return k->protocol == LX_IPPROTO_UDP || k->protocol == LX_IPPROTO_UDPLITE ||
	       k->protocol == LX_IPPROTO_TCP || k->protocol == 2 /* IGMP */ ||
	       k->protocol == 59 /* no next header */ ||
	       k->protocol == (k->v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP);
}

static void
ip_input(struct net_ns *ns, int32_t iif, bool v6, const uint8_t *ip, size_t n, bool checked)
{
	struct inet_packet k = {.net = ns, .v6 = v6, .iif = iif, .checked = checked};
	uint8_t *copy = malloc(n);
	bool icmp;

	if (!copy)
		return;
	memcpy(copy, ip, n);
	if (!take_apart(&k, copy, n) || is_martian(&k) ||
		(!k.v6 && !inet_is_any(&k.from) &&
			net_source_refused(k.net, k.iif, k.from.ip + 12))) {
		;
	} else if (!is_for_us(&k)) {
		inet_forward(&k, copy, n);
	} else {
		icmp = k.protocol == (v6 ? LX_IPPROTO_ICMPV6 : LX_IPPROTO_ICMP);
		if (!icmp || icmp_sum_is_right(&k)) {
			if (icmp)
				take_error(&k);
			if (!is_known(&k) && !wire_has_raw(ns, k.protocol))
				inet_tell_unreachable(&k, INET_NO_PROTOCOL);
			inet_travel_in(&k);
		}
	}
	free(copy);
}

/* Nobody is where it was to go: this host's sockets, or who had it passed on, are told. */
static void
unreachable(struct net_ns *ns, bool v6, const uint8_t *ip, size_t n)
{
	struct inet_error e = {.err = EHOSTUNREACH,
		.hard = true,
		.origin = v6 ? INET_ERROR_ICMP6 : INET_ERROR_ICMP,
		.type = v6 ? ICMP6_UNREACHABLE : ICMP_UNREACHABLE,
		.code = v6 ? 3 : 1};
	struct inet_packet k = {.net = ns, .v6 = v6, .iif = NET_LO_INDEX};
	uint8_t *copy;

	if (n < (v6 ? IP6_HEADER : IP_HEADER) || !(copy = malloc(n)))
		return;
	memcpy(copy, ip, n);
	(void)take_apart(&k, copy, n);
	e.offender = k.from;
	if (net_is_local(ns, k.from.ip))
		tell_sender(ns, v6, ip, n, &e);
	else
		inet_send_error(&k, e.type, e.code, 0);
	free(copy);
}

void
inet_input_init(void (*link_news)(struct net_ns *ns, const struct net_link *l, bool gone),
	void (*addr_news)(struct net_ns *ns, bool gone, const struct net_addr *a))
{
	const struct net_input in = {.ip = ip_input,
		.unreachable = unreachable,
		.has_taps = packet_has_any,
		.show = packet_show_link,
		.link_news = link_news,
		.addr_news = addr_news};

	net_input_set(&in);
}
