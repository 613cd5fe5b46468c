/* SPDX-License-Identifier: Apache-2.0 */
/* Neighbours on a tap: what is asked and answered, what waits and for how long, what is learnt of
 * whom, and that frames which anybody may send do no harm. The clock and the timer are the test's.
 */
#include "abi/socket.h"
#include "lib/suite.h"
#include "sentry/net/ip_pieces.h"
#include "sentry/net/packet.h"
#include "sentry/net/resolve.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000ll
#define TAP    2
#define TUN    3

/* --- all that is not under test --- */

struct sent {
	uint16_t type;
	size_t n;
	uint8_t p[2048];
};

static struct net_ns ns;
static struct net_dev tap = {.tap = true, .index = TAP, .mac = {2, 0, 0, 0, 0, 1}, .up = true};
static struct net_dev tun = {.index = TUN, .up = true};
static struct sent sent[16];
static size_t nsent, nunreachable, in_flight;
static uint8_t unreachable_last;
static int64_t now, armed_ns; /* 0: not armed */
static struct timer *timer;

int64_t
sched_now_ns(void)
{
	return now;
}

void
timer_init(struct timer *t, void (*fn)(struct timer *), void *arg)
{
	*t = (struct timer){.fn = fn, .arg = arg};
	timer = t;
}

void
timer_arm(struct timer *t, int64_t deadline_ns)
{
	ck_assert_ptr_eq(t, timer);
	armed_ns = deadline_ns;
}

bool
timer_cancel_sync(struct timer *t)
{
	bool was = armed_ns != 0;

	ck_assert_ptr_eq(t, timer);
	armed_ns = 0;
	return was;
}

void
dev_send(struct net_ns *of, struct net_dev *d, uint16_t protocol, const uint8_t *p, size_t n)
{
	/* it is not held */
	mutex_lock(&of->lock);
	mutex_unlock(&of->lock);
	ck_assert(d->tap ? p[12] == protocol >> 8 && p[13] == (protocol & 0xff) : n > 0);
	ck_assert(!d->tap || memcmp(p + 6, d->mac, 6) == 0);
	if (nsent < 16) {
		sent[nsent].type = protocol;
		sent[nsent].n = n;
		memcpy(sent[nsent].p, p, n < 2048 ? n : 2048);
	}
	nsent++;
}

struct net_dev *
net_dev_find(struct net_ns *of, int32_t index, const char *name)
{
	struct net_dev *d;

	(void)name;
	mutex_lock(&of->lock);
	list_for_each_entry (d, &of->devs, node)
		if (d->index == index)
			break;
	mutex_unlock(&of->lock);
	if (&d->node == &of->devs)
		return NULL;
	in_flight++;
	return d;
}

void
net_dev_put(struct net_dev *d)
{
	in_flight -= d != NULL;
}

static void
unreachable(struct net_ns *of, bool v6, const uint8_t *ip, size_t n)
{
	mutex_lock(&of->lock);
	mutex_unlock(&of->lock);
	ck_assert_uint_eq(ip[0] >> 4, v6 ? 6 : 4);
	unreachable_last = ip[n - 1];
	nunreachable++;
}

const struct net_input *
net_input(void)
{
	static const struct net_input in = {.unreachable = unreachable};

	return &in;
}

struct net_dev *
dev_by_index_locked(const struct net_ns *of, int32_t index)
{
	struct net_dev *d;

	list_for_each_entry (d, &of->devs, node)
		if (d->index == index)
			return d;
	return NULL;
}

uint8_t
fib_type_locked(const struct net_ns *of, uint8_t family, const uint8_t *ip)
{
	for (size_t i = 0; i < of->naddrs; i++)
		if (of->addrs[i].family == family &&
			memcmp(of->addrs[i].addr, ip, family == LX_AF_INET ? 4 : 16) == 0)
			return LX_RTN_LOCAL;
	return LX_RTN_UNICAST;
}

bool
net_prefix_is(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	for (unsigned i = 0; i < bits; i++)
		if ((a[i / 8] ^ b[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

void
net_mask(uint8_t *addr, unsigned bits, unsigned bytes, bool ones)
{
	for (unsigned i = bits; i < bytes * 8; i++)
		addr[i / 8] = (uint8_t)(ones ? addr[i / 8] | 0x80 >> i % 8
					     : addr[i / 8] & ~(0x80 >> i % 8));
}

/* --- what the guest has set, and its routes: the networks of its addresses --- */

static int32_t conf[NET_SYSCTLS]; /* of every interface */

int32_t
net_conf_locked(const struct net_ns *of, enum net_sysctl which, int32_t index)
{
	(void)of, (void)index;
	return conf[which];
}

int32_t
net_conf_most_locked(const struct net_ns *of, enum net_sysctl which, int32_t index)
{
	return net_conf_locked(of, which, index);
}

int
rules_find_locked(const struct net_ns *of, const struct net_flow *f, struct net_route *ret)
{
	for (size_t i = 0; i < of->naddrs; i++)
		if (of->addrs[i].family == f->family &&
			net_prefix_is(of->addrs[i].addr, f->dst, of->addrs[i].prefixlen)) {
			*ret = (struct net_route){
				.type = LX_RTN_UNICAST, .oif = of->addrs[i].index};
			return 0;
		}
	return -ENETUNREACH;
}

bool
net_source_refused_locked(const struct net_ns *of, int32_t iif, const uint8_t from[4])
{
	struct net_flow f = {.family = LX_AF_INET};
	struct net_route r;

	memcpy(f.dst, from, 4);
	return conf[NET4_RP_FILTER] && (rules_find_locked(of, &f, &r) || r.oif != iif);
}

bool
net_source_near_locked(
	const struct net_ns *of, const uint8_t neighbour[4], int32_t index, uint8_t ret[4])
{
	for (size_t i = 0; i < of->naddrs; i++)
		if (of->addrs[i].family == LX_AF_INET && of->addrs[i].index == index &&
			net_prefix_is(of->addrs[i].addr, neighbour, of->addrs[i].prefixlen)) {
			memcpy(ret, of->addrs[i].addr, 4);
			return true;
		}
	memcpy(ret, of->addrs[0].addr, 4);
	return true;
}

int
net_path_find(struct net_ns *of, const struct net_flow *f, struct net_path *ret)
{
	mutex_lock(&of->lock);
	*ret = (struct net_path){.has_source = true};
	for (size_t i = 0; i < of->naddrs; i++)
		if (of->addrs[i].family == f->family && of->addrs[i].index == f->oif)
			memcpy(ret->source, of->addrs[i].addr, 16);
	mutex_unlock(&of->lock);
	return 0;
}

void *
net_copy(const void *v, size_t n, size_t size)
{
	void *copy = n ? calloc(n, size) : NULL;

	if (copy)
		memcpy(copy, v, n * size);
	return copy;
}

/* --- a network --- */

static const uint8_t me4[4] = {10, 0, 0, 1}, other4[4] = {10, 0, 0, 2}, third4[4] = {10, 0, 0, 3};
static const uint8_t me6[16] = {0x20, 1, 0xd, 0xb8, [13] = 1, 2, 3};
static const uint8_t other6[16] = {0x20, 1, 0xd, 0xb8, [13] = 9, 8, 7};
static const uint8_t link6[16] = {0xfe, 0x80, [15] = 5};
static const uint8_t mac_a[6] = {2, 0xa, 0, 0, 0, 0xa}, mac_b[6] = {2, 0xb, 0, 0, 0, 0xb};
static const uint8_t zeros[16], to_all[6] = {255, 255, 255, 255, 255, 255};

static void
begin(void)
{
	static struct net_addr addrs[] = {
#define ADDR(f, bits, i, ...)                                                                      \
	{                                                                                          \
		.family = (f), .prefixlen = (bits), .index = (i), .addr = { __VA_ARGS__ }          \
	}
		ADDR(LX_AF_INET, 24, TAP, 172, 16, 0, 9),
		ADDR(LX_AF_INET, 24, TAP, 10, 0, 0, 1),
		ADDR(LX_AF_INET, 24, TUN, 10, 7, 0, 1),
		ADDR(LX_AF_INET6, 64, TAP, 0x20, 1, 0xd, 0xb8, [13] = 1, 2, 3),
		ADDR(LX_AF_INET6, 64, TAP, 0xfe, 0x80, [15] = 1),
	};

	addrs[4].scope = LX_RT_SCOPE_LINK;

	memcpy(addrs[1].broadcast, (const uint8_t[4]){10, 0, 0, 200}, 4);
	addrs[1].has_broadcast = true;

	memset(&ns, 0, sizeof ns);
	memset(conf, 0, sizeof conf);
	mutex_init(&ns.lock, LR_LEAF);
	list_init(&ns.devs);
	list_push_back(&ns.devs, &tap.node);
	list_push_back(&ns.devs, &tun.node);
	ns.addrs = addrs;
	ns.naddrs = sizeof addrs / sizeof *addrs;
	now = 1000 * SECOND;
	armed_ns = 0;
	tap.set_flags = 0;
	nsent = nunreachable = 0;
	resolve_init(&ns);
}

static void
end(void)
{
	resolve_fini(&ns);
	ck_assert_int_eq(armed_ns, 0);
	ck_assert_uint_eq(ns.neigh_bytes, 0);
	ck_assert_uint_eq(in_flight, 0);
	mutex_destroy(&ns.lock);
}

static void
pass(int64_t ns_more)
{
	int64_t to = now + ns_more;

	while (armed_ns && armed_ns <= to) {
		now = armed_ns;
		armed_ns = 0;
		timer->fn(timer);
	}
	now = to;
}

static int
output(bool v6, const uint8_t *next_hop, uint8_t mark)
{
	uint8_t ip[60] = {v6 ? 0x60 : 0x45, [59] = mark};

	if (v6)
		memcpy(ip + 8, me6, 16);
	return resolve_output(&ns, &tap, v6, next_hop, ip, sizeof ip);
}

static struct net_neigh
entry(const uint8_t *addr, bool v6)
{
	struct net_neigh n = {.family = v6 ? LX_AF_INET6 : LX_AF_INET, .index = TAP};

	memcpy(n.addr, addr, v6 ? 16 : 4);
	if (net_neigh_find(&ns, &n) < 0)
		n.state = 0xffff;
	return n;
}

static int
set(int32_t index, const uint8_t *addr, bool v6, const uint8_t *lladdr, uint16_t state,
	uint16_t flags)
{
	struct net_neigh n = {
		.family = v6 ? LX_AF_INET6 : LX_AF_INET, .index = index, .state = state};

	memcpy(n.addr, addr, v6 ? 16 : 4);
	return net_neigh_set(&ns, &n, lladdr, flags);
}

#define CREATE LX_NLM_F_CREATE

/* --- ARP --- */

static void
arp(uint16_t op, const uint8_t *to, const uint8_t *sha, const uint8_t *sip, const uint8_t *tha,
	const uint8_t *tip)
{
	static const uint8_t kind[6] = {0, 1, 8, 0, 6, 4};
	uint8_t f[60] = {0};

	memcpy(f, to, 6);
	memcpy(f + 6, sha, 6);
	put_be16(f + 12, ETH_P_ARP);
	memcpy(f + 14, kind, 6);
	put_be16(f + 20, op);
	memcpy(f + 22, sha, 6);
	memcpy(f + 28, sip, 4);
	memcpy(f + 32, tha, 6);
	memcpy(f + 38, tip, 4);
	resolve_arp_input(&ns, &tap, f, sizeof f);
}

static void
ck_arp(const struct sent *s, const uint8_t *to, uint16_t op, const uint8_t *sip, const uint8_t *tha,
	const uint8_t *tip)
{
	ck_assert_uint_eq(s->type, ETH_P_ARP);
	ck_assert_uint_eq(s->n, 42);
	ck_assert_mem_eq(s->p, to, 6);
	ck_assert_mem_eq(s->p + 14, "\0\1\10\0\6\4", 6);
	ck_assert_uint_eq(get_be16(s->p + 20), op);
	ck_assert_mem_eq(s->p + 22, tap.mac, 6);
	ck_assert_mem_eq(s->p + 28, sip, 4);
	ck_assert_mem_eq(s->p + 32, tha, 6);
	ck_assert_mem_eq(s->p + 38, tip, 4);
}

START_TEST(arp_answers_and_learns)
{
	begin();
	arp(1, to_all, mac_a, other4, zeros, me4);
	ck_assert_uint_eq(nsent, 1);
	ck_arp(&sent[0], mac_a, 2, me4, mac_a, other4);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_STALE);
	ck_assert_mem_eq(entry(other4, false).lladdr, mac_a, 6);
	/* an address of another interface */
	arp(1, to_all, mac_a, other4, zeros, (const uint8_t[]){10, 7, 0, 1});
	ck_assert_uint_eq(nsent, 2);
	/* is it free? */
	arp(1, to_all, mac_b, zeros, zeros, me4);
	ck_assert_uint_eq(nsent, 3);
	ck_arp(&sent[2], mac_b, 2, me4, mac_b, zeros);
	ck_assert_uint_eq(ns.nneighs, 1);
	/* nothing of these */
	arp(1, to_all, mac_b, third4, zeros, other4);
	arp(2, tap.mac, mac_b, third4, tap.mac, me4);
	arp(1, to_all, mac_b, third4, zeros, third4);
	arp(1, to_all, mac_b, me4, zeros, me4);
	arp(1, to_all, to_all, third4, zeros, me4);
	arp(1, to_all, mac_b, (const uint8_t[]){10, 0, 0, 200}, zeros, me4);
	arp(1, to_all, mac_b, (const uint8_t[]){10, 0, 0, 255}, zeros, me4);
	arp(1, to_all, mac_b, (const uint8_t[]){224, 0, 0, 1}, zeros, me4);
	arp(1, to_all, mac_b, (const uint8_t[]){127, 0, 0, 1}, zeros, me4);
	arp(1, mac_a, mac_b, third4, zeros, me4); /* to somebody else */
	arp(3, to_all, mac_b, third4, zeros, me4);
	ck_assert_uint_eq(nsent, 3);
	ck_assert_uint_eq(ns.nneighs, 1);
	/* of who is known, a gratuitous one is believed at once, in both forms */
	arp(1, to_all, mac_b, other4, zeros, other4);
	ck_assert_mem_eq(entry(other4, false).lladdr, mac_b, 6);
	arp(2, to_all, mac_a, other4, mac_a, other4);
	ck_assert_mem_eq(entry(other4, false).lladdr, mac_a, 6);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_STALE);
	/* of two answers that follow the first counts */
	arp(2, tap.mac, mac_b, other4, tap.mac, me4);
	ck_assert_mem_eq(entry(other4, false).lladdr, mac_a, 6);
	pass(2 * SECOND);
	arp(2, tap.mac, mac_b, other4, tap.mac, me4);
	ck_assert_mem_eq(entry(other4, false).lladdr, mac_b, 6);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_REACHABLE);
	pass(31 * SECOND);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_STALE);
	/* not where there is no ARP */
	tap.set_flags = LX_IFF_NOARP;
	arp(1, to_all, mac_a, third4, zeros, me4);
	ck_assert_uint_eq(nsent, 3);
	ck_assert_uint_eq(ns.nneighs, 1);
	end();
}
END_TEST

START_TEST(packets_wait)
{
	begin();
	for (uint8_t k = 1; k <= 5; k++)
		ck_assert_int_eq(output(false, other4, k), 0);
	ck_assert_uint_eq(nsent, 1);
	ck_arp(&sent[0], to_all, 1, me4, zeros, other4);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_INCOMPLETE);
	ck_assert_uint_eq(ns.neigh_bytes, 3 * 60);
	pass(SECOND / 2);
	arp(2, tap.mac, mac_a, other4, tap.mac, me4);
	ck_assert_uint_eq(nsent, 4);
	for (uint8_t k = 0; k < 3; k++) {
		ck_assert_mem_eq(sent[1 + k].p, mac_a, 6);
		ck_assert_uint_eq(sent[1 + k].n, 74);
		ck_assert_uint_eq(sent[1 + k].p[73], 3 + k);
	}
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_REACHABLE);
	(void)output(false, other4, 6);
	ck_assert_uint_eq(nsent, 5);
	ck_assert_mem_eq(sent[4].p, mac_a, 6);
	pass(20 * SECOND);
	ck_assert_uint_eq(nsent, 5);
	/* somebody beyond all networks of the interface: asked from its first address */
	(void)output(false, (const uint8_t[]){8, 8, 8, 8}, 1);
	ck_arp(&sent[5], to_all, 1, (const uint8_t[]){172, 16, 0, 9}, zeros,
		(const uint8_t[]){8, 8, 8, 8});
	/* his own question is an answer, too: but it may be old */
	arp(1, to_all, mac_b, (const uint8_t[]){8, 8, 8, 8}, zeros, me4);
	ck_assert_uint_eq(nsent, 8);
	ck_assert_mem_eq(sent[6].p, mac_b, 6);
	ck_assert_uint_eq(sent[7].type, ETH_P_ARP);
	ck_assert_uint_eq(entry((const uint8_t[]){8, 8, 8, 8}, false).state, LX_NUD_DELAY);
	end();
}
END_TEST

START_TEST(nobody_answers)
{
	begin();
	(void)output(false, other4, 1);
	(void)output(false, other4, 2);
	pass(SECOND);
	ck_assert_uint_eq(nsent, 2);
	pass(SECOND);
	ck_assert_uint_eq(nsent, 3);
	ck_assert_uint_eq(nunreachable, 0);
	ck_assert_uint_eq(entry(other4, false).probes, 3);
	pass(SECOND);
	ck_assert_uint_eq(nsent, 3);
	ck_assert_uint_eq(nunreachable, 2);
	ck_assert_uint_eq(unreachable_last, 2);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_FAILED);
	ck_assert_int_eq(armed_ns, 0);
	pass(100 * SECOND);
	ck_assert_uint_eq(nsent, 3);
	/* and once more */
	(void)output(false, other4, 3);
	ck_assert_uint_eq(nsent, 4);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_INCOMPLETE);
	/* removed by hand meanwhile */
	{
		struct net_neigh n = entry(other4, false);

		ck_assert_int_eq(net_neigh_remove(&ns, &n), 0);
		ck_assert_int_eq(net_neigh_remove(&ns, &n), -ENOENT);
	}
	ck_assert_uint_eq(nunreachable, 3);
	/* the interface goes, and nobody is told */
	(void)output(false, other4, 4);
	resolve_forget(&ns, TAP);
	ck_assert_uint_eq(ns.nneighs, 0);
	pass(10 * SECOND);
	ck_assert_uint_eq(nunreachable, 3);
	ck_assert_uint_eq(nsent, 5);
	/* it is gone when the timer fires */
	(void)output(false, other4, 5);
	list_del(&tap.node);
	pass(10 * SECOND);
	ck_assert_uint_eq(nsent, 6);
	ck_assert_uint_eq(nunreachable, 4);
	ck_assert_int_eq(output(false, third4, 6), -ENOBUFS);
	ck_assert_uint_eq(ns.nneighs, 1);
	end();
}
END_TEST

START_TEST(is_it_still_there)
{
	begin();
	arp(1, to_all, mac_a, other4, zeros, me4);
	nsent = 0;
	(void)output(false, other4, 1);
	ck_assert_uint_eq(nsent, 1);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_DELAY);
	pass(5 * SECOND);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_PROBE);
	ck_assert_uint_eq(nsent, 2);
	ck_arp(&sent[1], mac_a, 1, me4, zeros, other4);
	arp(2, tap.mac, mac_a, other4, tap.mac, me4);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_REACHABLE);
	pass(40 * SECOND);
	ck_assert_uint_eq(nsent, 2);
	/* it is gone: packets go until that is known */
	(void)output(false, other4, 1);
	pass(6 * SECOND);
	(void)output(false, other4, 2);
	pass(3 * SECOND);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_FAILED);
	ck_assert_uint_eq(nsent, 2 + 2 + 3);
	ck_assert_uint_eq(nunreachable, 0);
	end();
}
END_TEST

START_TEST(groups)
{
	static const struct {
		bool v6;
		uint8_t ip[16], mac[6];
	} rows[] = {
		{false, {255, 255, 255, 255}, {255, 255, 255, 255, 255, 255}},
		{false, {10, 0, 0, 255}, {255, 255, 255, 255, 255, 255}},
		{false, {10, 0, 0, 200}, {255, 255, 255, 255, 255, 255}},
		{false, {224, 129, 2, 3}, {1, 0, 0x5e, 1, 2, 3}},
		{true, {0xff, 2, [12] = 1, 2, 3, 4}, {0x33, 0x33, 1, 2, 3, 4}},
	};

	begin();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		ck_assert_int_eq(output(rows[i].v6, rows[i].ip, 1), 0);
		ck_assert_uint_eq(nsent, i + 1);
		ck_assert_mem_eq(sent[i].p, rows[i].mac, 6);
	}
	ck_assert_uint_eq(ns.nneighs, 0);
	/* without ARP all go there, wherever that is; a tun has no header */
	tap.set_flags = LX_IFF_NOARP;
	ck_assert_int_eq(output(false, other4, 1), 0);
	ck_assert_mem_eq(sent[5].p, tap.mac, 6);
	ck_assert_int_eq(
		resolve_output(&ns, &tun, false, other4, (const uint8_t[20]){0x45}, 20), 0);
	ck_assert_uint_eq(sent[6].n, 20);
	ck_assert_uint_eq(sent[6].p[0], 0x45);
	ck_assert_uint_eq(ns.nneighs, 0);
	end();
}
END_TEST

/* --- neighbour discovery --- */

#define NS_ 135
#define NA_ 136

/* A message with an option (type 0: none); hop limit and checksum as they should be, if so. */
static void
nd(uint8_t type, uint8_t flags, const uint8_t *from, const uint8_t *to, const uint8_t *target,
	uint8_t option, const uint8_t *mac, bool right)
{
	uint8_t ip[40 + 32] = {0x60, [6] = 58, 255};
	size_t n = 24 + (option ? 8 : 0);

	put_be16(ip + 4, (uint32_t)n);
	memcpy(ip + 8, from, 16);
	memcpy(ip + 24, to, 16);
	ip[40] = type;
	ip[44] = flags;
	memcpy(ip + 48, target, 16);
	ip[64] = option;
	ip[65] = 1;
	if (mac)
		memcpy(ip + 66, mac, 6);
	ip_sum_put(ip + 42, ip_sum_add(ip_sum_add((uint32_t)n + 58, ip + 8, 32), ip + 40, n));
	if (!right)
		ip[43]++;
	resolve_nd_input(&ns, &tap, ip, 40 + n);
	/* the same from afar */
	if (!right) {
		ip[43]--;
		ip[7] = 254;
		resolve_nd_input(&ns, &tap, ip, 40 + n);
	}
}

static void
ck_nd(const struct sent *s, uint8_t type, uint8_t flags, const uint8_t *mac, const uint8_t *from,
	const uint8_t *to, const uint8_t *target)
{
	const uint8_t *ip = s->p + 14;
	bool says_where = type == NS_ || flags & 0x20; /* else who asks knows it */
	uint8_t sum[2], n = says_where ? 32 : 24;

	ck_assert_uint_eq(s->type, ETH_P_IPV6);
	ck_assert_uint_eq(s->n, 14 + 40 + n);
	ck_assert_mem_eq(s->p, mac, 6);
	ck_assert_mem_eq(ip, ((uint8_t[]){0x60, 0, 0, 0, 0, n, 58, 255}), 8);
	ck_assert_mem_eq(ip + 8, from, 16);
	ck_assert_mem_eq(ip + 24, to, 16);
	ck_assert_uint_eq(ip[40], type);
	ck_assert_uint_eq(ip[41], 0);
	ck_assert_uint_eq(ip[44], flags);
	ck_assert_mem_eq(ip + 48, target, 16);
	if (says_where) {
		ck_assert_uint_eq(ip[64], type == NS_ ? 1 : 2);
		ck_assert_uint_eq(ip[65], 1);
		ck_assert_mem_eq(ip + 66, tap.mac, 6);
	}
	ip_sum_put(sum, ip_sum_add(ip_sum_add(n + 58u, ip + 8, 32), ip + 40, n));
	ck_assert_uint_eq(get_be16(sum), 0);
}

static const uint8_t my_group[16] = {0xff, 2, [11] = 1, 0xff, 1, 2, 3};
static const uint8_t his_group[16] = {0xff, 2, [11] = 1, 0xff, 9, 8, 7};
static const uint8_t nodes[16] = {0xff, 2, [15] = 1};

START_TEST(nd_answers_and_learns)
{
	begin();
	nd(NS_, 0, other6, my_group, me6, 1, mac_a, true);
	ck_assert_uint_eq(nsent, 1);
	ck_nd(&sent[0], NA_, 0x60, mac_a, me6, other6, me6);
	ck_assert_mem_eq(entry(other6, true).lladdr, mac_a, 6);
	/* what answers him is the first packet to him */
	ck_assert_uint_eq(entry(other6, true).state, LX_NUD_DELAY);
	nd(NS_, 0, zeros, my_group, me6, 0, NULL, true);
	ck_assert_uint_eq(nsent, 2);
	ck_nd(&sent[1], NA_, 0x20, (const uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, me6, nodes, me6);
	/* nothing of these */
	nd(NS_, 0, zeros, my_group, me6, 1, mac_a, true);
	nd(NS_, 0, zeros, me6, me6, 0, NULL, true);
	nd(NS_, 0, zeros, nodes, me6, 0, NULL, true);
	nd(NS_, 0, link6, my_group, me6, 1, mac_a, false);
	nd(NS_, 0, link6, my_group, other6, 1, mac_a, true);
	nd(NS_, 0, link6, his_group, me6, 1, mac_a, true);
	nd(NS_, 0, link6, my_group, my_group, 1, mac_a, true);
	nd(NS_, 0, nodes, my_group, me6, 1, mac_a, true);
	nd(NS_, 0, link6, my_group, me6, 1, to_all, true);
	for (uint8_t type = 130; type < 140; type++)
		if (type != NS_)
			nd(type, 0, link6, my_group, me6, 1, mac_a, true);
	ck_assert_uint_eq(nsent, 2);
	ck_assert_uint_eq(ns.nneighs, 1);
	/* he is answered, but he has to be found first */
	nd(NS_, 0, link6, me6, me6, 0, NULL, true);
	ck_assert_uint_eq(nsent, 3);
	ck_nd(&sent[2], NS_, 0, (const uint8_t[]){0x33, 0x33, 0xff, 0, 0, 5}, me6,
		(const uint8_t[16]){0xff, 2, [11] = 1, 0xff, 0, 0, 5}, link6);
	nd(NA_, 0x60, link6, (const uint8_t[16]){0xfe, 0x80, [15] = 1}, link6, 2, mac_b, true);
	ck_assert_uint_eq(nsent, 4);
	ck_nd(&sent[3], NA_, 0x40, mac_b, me6, link6, me6);
	end();
}
END_TEST

START_TEST(nd_resolves)
{
	begin();
	(void)output(true, other6, 1);
	(void)output(true, other6, 2);
	ck_assert_uint_eq(nsent, 1);
	ck_nd(&sent[0], NS_, 0, (const uint8_t[]){0x33, 0x33, 0xff, 9, 8, 7}, me6, his_group,
		other6);
	/* says not where; says it of somebody else; is no answer; is wrong */
	nd(NA_, 0x60, other6, me6, other6, 0, NULL, true);
	nd(NA_, 0x60, other6, me6, link6, 2, mac_a, true);
	nd(NA_, 0x60, other6, nodes, other6, 2, mac_a, true);
	nd(NA_, 0x60, other6, me6, other6, 2, mac_a, false);
	nd(NA_, 0x60, other6, me6, other6, 2, to_all, true);
	ck_assert_uint_eq(entry(other6, true).state, LX_NUD_INCOMPLETE);
	nd(NA_, 0xe0, other6, me6, other6, 2, mac_a, true);
	ck_assert_uint_eq(nsent, 3);
	ck_assert_mem_eq(sent[2].p, mac_a, 6);
	ck_assert_uint_eq(entry(other6, true).state, LX_NUD_REACHABLE);
	ck_assert_uint_eq(entry(other6, true).flags, LX_NTF_ROUTER);
	/* another place without override: the old one is doubted; with it, taken */
	nd(NA_, 0x40, other6, me6, other6, 2, mac_b, true);
	ck_assert_mem_eq(entry(other6, true).lladdr, mac_a, 6);
	ck_assert_uint_eq(entry(other6, true).state, LX_NUD_STALE);
	nd(NA_, 0x20, other6, nodes, other6, 2, mac_b, true);
	ck_assert_mem_eq(entry(other6, true).lladdr, mac_b, 6);
	ck_assert_uint_eq(entry(other6, true).flags, 0);
	(void)output(true, other6, 3);
	pass(5 * SECOND);
	ck_assert_uint_eq(nsent, 5);
	/* for no packet, from the link-local address */
	ck_nd(&sent[4], NS_, 0, mac_b, (const uint8_t[16]){0xfe, 0x80, [15] = 1}, other6, other6);
	pass(10 * SECOND);
	ck_assert_uint_eq(entry(other6, true).state, LX_NUD_FAILED);
	/* where it has failed it is not asked for */
	nd(NA_, 0x60, other6, me6, other6, 2, mac_a, true);
	ck_assert_uint_eq(entry(other6, true).state, LX_NUD_FAILED);
	(void)output(true, other6, 4);
	pass(10 * SECOND);
	ck_assert_uint_eq(nunreachable, 1);
	end();
}
END_TEST

/* --- what the guest puts --- */

START_TEST(by_hand)
{
	static const uint8_t a[4] = {10, 7, 0, 5};
	struct net_neigh n;

	begin();
	ck_assert_int_eq(set(9, other4, false, mac_a, LX_NUD_PERMANENT, CREATE), -ENODEV);
	ck_assert_int_eq(set(TAP, other4, false, mac_a, LX_NUD_PERMANENT, 0), -ENOENT);
	ck_assert_int_eq(set(TAP, other4, false, NULL, LX_NUD_PERMANENT, CREATE), -EINVAL);
	ck_assert_uint_eq(ns.nneighs, 0);
	ck_assert_int_eq(set(TAP, other4, false, mac_a, LX_NUD_PERMANENT, CREATE), 0);
	ck_assert_int_eq(
		set(TAP, other4, false, mac_b, LX_NUD_PERMANENT, CREATE | LX_NLM_F_EXCL), -EEXIST);
	/* it is not to be replaced: nothing changes */
	ck_assert_int_eq(set(TAP, other4, false, mac_b, LX_NUD_REACHABLE, CREATE), 0);
	ck_assert_mem_eq(entry(other4, false).lladdr, mac_a, 6);
	/* what comes from outside does not change it */
	pass(2 * SECOND);
	arp(2, tap.mac, mac_b, other4, tap.mac, me4);
	arp(1, to_all, mac_b, other4, zeros, me4);
	ck_assert_mem_eq(entry(other4, false).lladdr, mac_a, 6);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_PERMANENT);
	nsent = 0;
	(void)output(false, other4, 1);
	ck_assert_uint_eq(nsent, 1);
	ck_assert_mem_eq(sent[0].p, mac_a, 6);
	ck_assert_int_eq(set(TAP, other4, false, mac_b, LX_NUD_STALE, LX_NLM_F_REPLACE), 0);
	ck_assert_uint_eq(entry(other4, false).state, LX_NUD_STALE);
	ck_assert_mem_eq(entry(other4, false).lladdr, mac_b, 6);
	/* probes begin at once */
	ck_assert_int_eq(set(TAP, other4, false, NULL, LX_NUD_PROBE, LX_NLM_F_REPLACE), 0);
	pass(0);
	ck_assert_uint_eq(nsent, 2);
	ck_arp(&sent[1], mac_b, 1, me4, zeros, other4);
	/* what waits goes when it is said where */
	(void)output(false, third4, 7);
	ck_assert_int_eq(set(TAP, third4, false, mac_a, LX_NUD_PERMANENT, LX_NLM_F_REPLACE), 0);
	ck_assert_uint_eq(nsent, 4);
	ck_assert_mem_eq(sent[3].p, mac_a, 6);
	ck_assert_uint_eq(sent[3].p[73], 7);
	/* or that it is nowhere */
	(void)output(false, (const uint8_t[]){10, 0, 0, 4}, 8);
	ck_assert_int_eq(set(TAP, (const uint8_t[]){10, 0, 0, 4}, false, NULL, LX_NUD_FAILED,
				 LX_NLM_F_REPLACE),
		0);
	ck_assert_uint_eq(nunreachable, 1);
	ck_assert_uint_eq(unreachable_last, 8);
	ck_assert_uint_eq(entry((const uint8_t[]){10, 0, 0, 4}, false).state, LX_NUD_FAILED);
	/* a tun needs no address; of IPv4 all is one */
	ck_assert_int_eq(set(TUN, a, false, NULL, LX_NUD_PERMANENT, CREATE), 0);
	ck_assert_int_eq(set(TUN, other6, true, NULL, LX_NUD_PERMANENT, CREATE), 0);
	n = (struct net_neigh){.family = LX_AF_INET, .index = TUN};
	ck_assert_int_eq(net_neigh_find(&ns, &n), 0);
	memcpy(n.addr, a, 4);
	ck_assert_int_eq(net_neigh_find(&ns, &n), -ENOENT);
	/* so it is on lo */
	ck_assert_int_eq(set(NET_LO_INDEX, a, false, mac_a, LX_NUD_REACHABLE, CREATE), 0);
	n = (struct net_neigh){.family = LX_AF_INET, .index = NET_LO_INDEX};
	ck_assert_int_eq(net_neigh_find(&ns, &n), 0);
	ck_assert_uint_eq(n.state, LX_NUD_REACHABLE);
	pass(31 * SECOND);
	ck_assert_int_eq(net_neigh_find(&ns, &n), 0);
	ck_assert_uint_eq(n.state, LX_NUD_STALE);
	end();
}
END_TEST

START_TEST(table_is_bounded)
{
	begin();
	ck_assert_int_eq(set(TAP, third4, false, mac_a, LX_NUD_PERMANENT, CREATE), 0);
	(void)output(false, other4, 1);
	for (uint32_t i = 0; i < 3 * NET_NEIGHS_MAX; i++) {
		now += 1000;
		arp(1, to_all, mac_a, (const uint8_t[]){11, 0, (uint8_t)(i >> 8), (uint8_t)i},
			zeros, me4);
		ck_assert_uint_le(ns.nneighs, NET_NEIGHS_MAX);
	}
	ck_assert_uint_eq(entry(third4, false).state, LX_NUD_PERMANENT);
	ck_assert_uint_eq(entry(other4, false).state, 0xffff);
	ck_assert_uint_eq(ns.neigh_bytes, 0);
	/* all are found, wherever they were before */
	for (uint32_t i = 2 * NET_NEIGHS_MAX + 1; i < 3 * NET_NEIGHS_MAX; i++)
		ck_assert_uint_eq(
			entry((const uint8_t[]){11, 0, (uint8_t)(i >> 8), (uint8_t)i}, false).state,
			LX_NUD_STALE);
	/* many that do not answer, and large packets */
	for (uint32_t i = 0; i < NET_NEIGHS_MAX; i++) {
		static uint8_t big[65535] = {0x45};
		int r = resolve_output(&ns, &tap, false,
			(const uint8_t[]){12, 0, (uint8_t)(i >> 8), (uint8_t)i}, big, sizeof big);

		ck_assert(r == 0 || r == -ENOBUFS);
		ck_assert_uint_le(ns.neigh_bytes, 4 << 20);
	}
	ck_assert_uint_gt(ns.neigh_bytes, 3 << 20);
	pass(3 * SECOND);
	ck_assert_uint_eq(nunreachable, 64);
	ck_assert_uint_eq(ns.neigh_bytes, 0);
	for (uint32_t i = 0; i < 2 * NET_NEIGHS_MAX; i++) {
		int r = set(TAP, (const uint8_t[]){13, 0, (uint8_t)(i >> 8), (uint8_t)i}, false,
			mac_a, LX_NUD_PERMANENT, CREATE);

		ck_assert_int_eq(r, i + 1 < NET_NEIGHS_MAX ? 0 : -ENOBUFS);
	}
	nsent = 0;
	ck_assert_int_eq(output(false, other4, 1), -ENOBUFS);
	/* known or not, who asks is answered */
	arp(1, to_all, mac_a, other4, zeros, me4);
	ck_assert_uint_eq(nsent, 1);
	end();
}
END_TEST

/* --- what anybody may send --- */

/* Random bytes of which some are what is looked for. */
static void
hostile_one(size_t n)
{
	static const uint8_t *const sixes[] = {me6, other6, my_group, his_group, nodes, zeros};
	uint8_t *f = malloc(n ? n : 1);
	bool v6 = random() % 2;

	for (size_t i = 0; i < n; i++)
		f[i] = (uint8_t)random();
	if (!v6 && n >= 42 && random() % 4) {
		memcpy(f, random() % 2 ? to_all : tap.mac, 6);
		memcpy(f + 12, "\x08\x06\0\1\x08\0\6\4\0\1", 10);
		f[21] = (uint8_t)(random() % 3);
		f[22] &= (uint8_t)(random() % 4 ? 0xfe : 0xff);
		memcpy(f + 28, "\12\0\0", 3);
		memcpy(f + 38, "\12\0\0\1", 4);
		if (random() % 4 == 0)
			f[random() % 42] = (uint8_t)random();
	}
	if (v6 && n >= 64 && random() % 4) {
		size_t len = n - 40;

		f[0] = 0x60;
		put_be16(f + 4, (uint32_t)(len - (random() % 8 ? 0 : (size_t)random() % 8)));
		f[6] = 58;
		f[7] = 255;
		memcpy(f + 8, sixes[random() % 6], 16);
		memcpy(f + 24, sixes[random() % 6], 16);
		memcpy(f + 48, sixes[random() % 6], 16);
		f[23] = (uint8_t)(f[23] + random() % 4);
		f[40] = random() % 2 ? NS_ : NA_;
		f[41] = 0;
		for (size_t at = 64; at + 2 <= n; at += f[at + 1] ? f[at + 1] * 8u : 8u) {
			f[at] = (uint8_t)(random() % 4);
			f[at + 1] = (uint8_t)(random() % 16 ? 1 : random() % 4);
		}
		if (random() % 8 == 0)
			f[random() % 64] = (uint8_t)random();
		len = get_be16(f + 4);
		if (len <= n - 40) {
			memset(f + 42, 0, 2);
			ip_sum_put(f + 42,
				ip_sum_add(ip_sum_add((uint32_t)len + 58, f + 8, 32), f + 40, len));
		}
	}
	if (v6)
		resolve_nd_input(&ns, &tap, f, n);
	else
		resolve_arp_input(&ns, &tap, f, n);
	free(f);
}

static void
set_at_random(void)
{
	static const enum net_sysctl which[] = {NET4_ARP_IGNORE, NET4_ARP_FILTER, NET4_ARP_ACCEPT,
		NET4_ARP_ANNOUNCE, NET4_PROXY_ARP, NET4_MEDIUM_ID, NET4_FORWARDING, NET4_RP_FILTER,
		NET6_FORWARDING, NET6_PROXY_NDP};

	for (size_t k = 0; k < sizeof which / sizeof *which; k++)
		conf[which[k]] = random() % 2 ? 0 : (int32_t)(random() % 6 - 1);
}

START_TEST(hostile)
{
	size_t answers = 0;

	begin();
	srandom(5);
	for (size_t i = 0; i < 200000; i++) {
		nsent = 0;
		if (i % 64 == 0)
			set_at_random();
		hostile_one(i % 200);
		answers += nsent;
		if (random() % 16 == 0)
			(void)output(i & 1, i & 1 ? other6 : other4, 1);
		if (random() % 16 == 0)
			pass(random() % 2 ? SECOND / 3 : 3 * SECOND);
		ck_assert_uint_le(ns.nneighs, NET_NEIGHS_MAX);
		ck_assert_uint_le(ns.neigh_bytes, ns.nneighs * 3 * 86);
	}
	ck_assert_uint_gt(answers, 10000);
	/* none of them is a group's, or of IPv4 ours (of IPv6 as in Linux, where it does no harm)
	 */
	for (size_t i = 0; i < ns.nneighs; i++) {
		const struct net_neigh *n = &ns.neighs[i].n;

		ck_assert(memcmp(n->addr, me4, 4) != 0);
		ck_assert(n->family != LX_AF_INET6 || n->addr[0] != 0xff);
		ck_assert(!(n->state & NEIGH_VALID) || !(n->lladdr[0] & 1));
	}
	end();
}
END_TEST

int
main(void)
{
	TCase *c = tcase_create("resolve");

	tcase_add_test(c, arp_answers_and_learns);
	tcase_add_test(c, packets_wait);
	tcase_add_test(c, nobody_answers);
	tcase_add_test(c, is_it_still_there);
	tcase_add_test(c, groups);
	tcase_add_test(c, nd_answers_and_learns);
	tcase_add_test(c, nd_resolves);
	tcase_add_test(c, by_hand);
	tcase_add_test(c, table_is_bounded);
	tcase_add_test(c, hostile);
	tcase_set_timeout(c, 60);
	return suite_run("resolve", c);
}
