/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IP packets are put together again from pieces that anybody may have made (reassembly; cutting is
 * cut.c). A piece that is wrong by itself is dropped; one that contradicts those that came before
 * takes them with it (RFC 5722, for IPv4 too), unless it is one of them once more. What is held is
 * bounded in packets, in pieces of each, and in bytes; the oldest packet goes first. Linux:
 * net/ipv4/ip_fragment.c, net/ipv6/reassembly.c, net/ipv4/inet_fragment.c.
 */
#include "sentry/net/frag.h"
#include "base/list.h"
#include "base/lock.h"
#include "sentry/net/ip_pieces.h"
#include "sentry/net/packet.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PACKETS_MAX 256u
#define PIECES_MAX  1536u /* of one packet: 64 KiB at the least MTU of IPv4 */
#define BYTES_MAX   ((size_t)4 << 20)
#define IP_MAX	    65535u
#define LIFE4_NS    30000000000ll
#define LIFE6_NS    60000000000ll
#define BUCKETS	    64u

struct key {
	int32_t iif;
	uint32_t id;
	uint8_t src[16], dst[16];
	uint8_t protocol; /* IPv4 */
	bool v6;
};

/* One that came, taken apart. */
struct arrival {
	struct key key;
	const uint8_t *header; /* IPv4: with options; IPv6: the unfragmentable part */
	size_t header_len;
	const uint8_t *data;
	uint32_t from, to; /* of the packet's data */
	bool more;
	uint8_t next;	/* IPv6: the header that the data begins with, */
	size_t next_at; /* and where the unfragmentable part says so */
	uint8_t ecn;
};

struct piece {
	struct list node; /* by from */
	uint32_t from, to;
	uint8_t data[];
};

struct packet {
	struct list by_age, in_bucket;
	struct key key;
	int64_t expires_ns;
	struct list pieces;
	uint32_t npieces;
	uint32_t have;	 /* bytes of data */
	uint32_t end;	 /* 0: not known yet */
	uint32_t beyond; /* the data goes on at least to here */
	size_t bytes;	 /* of memory */
	uint8_t ecns;	 /* bit n: a piece had that mark */
	/* of the first piece; NULL: not there yet */
	uint8_t *header;
	size_t header_len, next_at;
	uint8_t next;
};

struct ip_frags {
	struct mutex lock; /* LEAF: all of it */
	struct list by_age;
	struct list buckets[BUCKETS];
	uint32_t npackets;
	size_t bytes;
	int64_t next_ns; /* nothing expires before */
};

/* --- life --- */

struct ip_frags *
ip_frags_new(void)
{
	struct ip_frags *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	mutex_init(&f->lock, LR_LEAF);
	list_init(&f->by_age);
	for (unsigned i = 0; i < BUCKETS; i++)
		list_init(&f->buckets[i]);
	f->next_ns = INT64_MAX;
	return f;
}

static void
drop(struct ip_frags *f, struct packet *p)
{
	struct list *l;

	while ((l = list_pop_front(&p->pieces)))
		free(list_entry(l, struct piece, node));
	list_del(&p->by_age);
	list_del(&p->in_bucket);
	f->npackets--;
	f->bytes -= p->bytes;
	free(p->header);
	free(p);
}

void
ip_frags_free(struct ip_frags *f)
{
	struct packet *p;

	if (!f)
		return;
	while ((p = list_first(&f->by_age, struct packet, by_age)))
		drop(f, p);
	mutex_destroy(&f->lock);
	free(f);
}

static void
expire(struct ip_frags *f, int64_t now_ns)
{
	struct packet *p, *tmp;

	if (now_ns < f->next_ns)
		return;
	f->next_ns = INT64_MAX;
	list_for_each_entry_safe (p, tmp, &f->by_age, by_age) {
		if (p->expires_ns <= now_ns)
			drop(f, p);
		else if (p->expires_ns < f->next_ns)
			f->next_ns = p->expires_ns;
	}
}

/* --- what came --- */

static bool
parse4(const uint8_t *ip, size_t n, struct arrival *a)
{
	size_t hl, total;
	uint32_t field;
	uint8_t sum[2];

	if (n < IP_HEADER || ip[0] >> 4 != 4)
		return false;
	hl = (ip[0] & 15u) * 4;
	total = get_be16(ip + 2);
	if (hl < IP_HEADER || total < hl || n < total)
		return false;
	/* The sum over a header whose checksum is right is zero. */
	ip_sum_put(sum, ip_sum_add(0, ip, hl));
	if (sum[0] || sum[1])
		return false;
	field = get_be16(ip + 6);
	a->key.id = get_be16(ip + 4);
	a->key.protocol = ip[9];
	memcpy(a->key.src, ip + 12, 4);
	memcpy(a->key.dst, ip + 16, 4);
	a->header = ip;
	a->header_len = hl;
	a->data = ip + hl;
	a->from = (field & IP_OFFSET) * 8;
	a->to = a->from + (uint32_t)(total - hl);
	a->more = field & IP_MF;
	a->ecn = ip[1] & 3;
	return hl + a->to <= IP_MAX;
}

static bool
parse6(const uint8_t *ip, size_t n, struct arrival *a)
{
	size_t total, at;
	uint32_t field;

	if (n < IP6_HEADER || ip[0] >> 4 != 6)
		return false;
	total = IP6_HEADER + get_be16(ip + 4);
	if (n < total)
		return false;
	at = ip6_find_fragment(ip, total, &a->next_at);
	if (!at)
		return false;
	field = get_be16(ip + at + 2);
	memcpy(&a->key.id, ip + at + 4, 4);
	memcpy(a->key.src, ip + 8, 16);
	memcpy(a->key.dst, ip + 24, 16);
	a->header = ip;
	a->header_len = at;
	a->next = ip[at];
	a->data = ip + at + IP6_FRAGMENT;
	a->from = field & ~7u;
	a->to = a->from + (uint32_t)(total - at - IP6_FRAGMENT);
	a->more = field & 1;
	a->ecn = ip[1] >> 4 & 3;
	return at - IP6_HEADER + a->to <= IP_MAX;
}

static bool
parse(int32_t iif, bool v6, const uint8_t *ip, size_t n, struct arrival *a)
{
	/* Keys are compared with their padding. */
	memset(a, 0, sizeof *a);
	a->key.iif = iif;
	a->key.v6 = v6;
	if (!(v6 ? parse6(ip, n, a) : parse4(ip, n, a)))
		return false;
	if (v6 && !a->from && !a->more)
		return true; /* whole; it may be empty */
	return a->to > a->from && !(a->more && (a->to & 7));
}

/* --- what is held --- */

static struct list *
bucket(struct ip_frags *f, const struct key *k)
{
	uint32_t h = k->id * 0x9e3779b1u;

	for (unsigned i = 0; i < 16; i += 4)
		h = (h ^ ((uint32_t)k->src[i + 3] << 8 | k->src[i])) * 0x85ebca6bu;
	return &f->buckets[h >> 16 & (BUCKETS - 1)];
}

static struct packet *
find(struct ip_frags *f, const struct key *k)
{
	struct list *b = bucket(f, k);
	struct packet *p;

	list_for_each_entry (p, b, in_bucket)
		if (memcmp(&p->key, k, sizeof *k) == 0)
			return p;
	return NULL;
}

static struct packet *
begin(struct ip_frags *f, const struct arrival *a, int64_t now_ns)
{
	struct packet *p;

	if (f->npackets == PACKETS_MAX)
		drop(f, list_first(&f->by_age, struct packet, by_age));
	p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	memcpy(&p->key, &a->key, sizeof p->key);
	p->expires_ns = now_ns + (a->key.v6 ? LIFE6_NS : LIFE4_NS);
	if (p->expires_ns < f->next_ns)
		f->next_ns = p->expires_ns;
	list_init(&p->pieces);
	list_push_back(&f->by_age, &p->by_age);
	list_push_back(bucket(f, &a->key), &p->in_bucket);
	p->bytes = sizeof *p;
	f->bytes += p->bytes;
	f->npackets++;
	return p;
}

/* Memory for a packet, at the expense of those that are older. It alone can never fill it. */
static void *
take(struct ip_frags *f, struct packet *for_p, size_t n)
{
	struct packet *p, *tmp;
	void *v;

	list_for_each_entry_safe (p, tmp, &f->by_age, by_age) {
		if (f->bytes + n <= BYTES_MAX)
			break;
		if (p != for_p)
			drop(f, p);
	}
	v = malloc(n);
	if (v) {
		for_p->bytes += n;
		f->bytes += n;
	}
	return v;
}

enum verdict { FITS, AGAIN, SPOILS };

/* Does it agree with what came before? *ret: it belongs behind that. */
static enum verdict
judge(const struct packet *p, const struct arrival *a, struct list **ret)
{
	const struct piece *x;
	struct list *l = p->pieces.prev;

	/* Mostly they come in order. */
	while (l != &p->pieces && list_entry(l, struct piece, node)->from > a->from)
		l = l->prev;
	*ret = l;
	if (l != &p->pieces) {
		x = list_entry(l, struct piece, node);
		if (x->from == a->from && x->to == a->to && (p->end == a->to) == !a->more &&
			memcmp(x->data, a->data, a->to - a->from) == 0)
			return AGAIN;
		if (x->to > a->from)
			return SPOILS;
	}
	if (l->next != &p->pieces && list_entry(l->next, struct piece, node)->from < a->to)
		return SPOILS;
	if (a->more ? p->end && a->to >= p->end : p->end || a->to < p->beyond)
		return SPOILS;
	return p->npieces == PIECES_MAX ? SPOILS : FITS;
}

static bool
keep(struct ip_frags *f, struct packet *p, const struct arrival *a, struct list *behind)
{
	struct piece *x = take(f, p, sizeof *x + (a->to - a->from));

	if (!x)
		return false;
	if (!a->from) {
		p->header = take(f, p, a->header_len);
		if (!p->header) {
			p->bytes -= sizeof *x + (a->to - a->from);
			f->bytes -= sizeof *x + (a->to - a->from);
			free(x);
			return false;
		}
		memcpy(p->header, a->header, a->header_len);
		p->header_len = a->header_len;
		p->next = a->next;
		p->next_at = a->next_at;
	}
	x->from = a->from;
	x->to = a->to;
	memcpy(x->data, a->data, a->to - a->from);
	list_insert_between(&x->node, behind, behind->next);
	p->npieces++;
	p->have += a->to - a->from;
	p->ecns |= (uint8_t)(1u << a->ecn);
	if (!a->more)
		p->end = a->to;
	if (a->to > p->beyond)
		p->beyond = a->to;
	return true;
}

/* --- the whole --- */

/* The header of what has become whole, in its place before `data` bytes. ce: congestion was
 * experienced by a piece (RFC 3168, 5.3). */
static void
finish(bool v6, uint8_t *ip, size_t header_len, size_t data, uint8_t next, size_t next_at, bool ce)
{
	if (v6) {
		put_be16(ip + 4, (uint32_t)(header_len - IP6_HEADER + data));
		ip[next_at] = next;
		if (ce)
			ip[1] |= 0x30;
		return;
	}
	put_be16(ip + 2, (uint32_t)(header_len + data));
	put_be16(ip + 6, 0);
	if (ce)
		ip[1] |= 3;
	put_be16(ip + 10, 0);
	ip_sum_put(ip + 10, ip_sum_add(0, ip, header_len));
}

static int
join(const struct packet *p, uint8_t **ret, size_t *ret_len)
{
	bool ce = p->ecns & 1u << 3;
	const struct piece *x;
	uint8_t *ip;

	/* The first piece may have a longer header than the others had. */
	if (p->header_len - (p->key.v6 ? IP6_HEADER : 0) + p->end > IP_MAX)
		return -EAGAIN;
	/* With those that say that they know no marks there are no others. */
	if (p->ecns & 1 && p->ecns != 1)
		return -EAGAIN;
	ip = malloc(p->header_len + p->end);
	if (!ip)
		return -EAGAIN;
	memcpy(ip, p->header, p->header_len);
	list_for_each_entry (x, &p->pieces, node)
		memcpy(ip + p->header_len + x->from, x->data, x->to - x->from);
	finish(p->key.v6, ip, p->header_len, p->end, p->next, p->next_at, ce);
	*ret = ip;
	*ret_len = p->header_len + p->end;
	return 0;
}

/* Offset 0 and no more: nothing to wait for, and nothing is looked for (RFC 6946). */
static int
atomic_piece(const struct arrival *a, uint8_t **ret, size_t *ret_len)
{
	uint8_t *ip = malloc(a->header_len + a->to);

	if (!ip)
		return -EAGAIN;
	memcpy(ip, a->header, a->header_len);
	memcpy(ip + a->header_len, a->data, a->to);
	finish(a->key.v6, ip, a->header_len, a->to, a->next, a->next_at, false);
	*ret = ip;
	*ret_len = a->header_len + a->to;
	return 0;
}

static int
add_locked(
	struct ip_frags *f, const struct arrival *a, int64_t now_ns, uint8_t **ret, size_t *ret_len)
{
	struct packet *p;
	struct list *behind;
	int r = -EAGAIN;

	expire(f, now_ns);
	p = find(f, &a->key);
	if (!p)
		p = begin(f, a, now_ns);
	if (!p)
		return -EAGAIN;
	switch (judge(p, a, &behind)) {
	case AGAIN:
		return -EAGAIN;
	case SPOILS:
		drop(f, p);
		return -EAGAIN;
	case FITS:
		break;
	}
	if (!keep(f, p, a, behind)) {
		if (!p->npieces)
			drop(f, p);
		return -EAGAIN;
	}
	/* None overlap: so many bytes are all. */
	if (p->end && p->have == p->end) {
		r = join(p, ret, ret_len);
		drop(f, p);
	}
	return r;
}

int
ip_frags_add(struct ip_frags *f, int32_t iif, bool v6, const uint8_t *ip, size_t n, int64_t now_ns,
	uint8_t **ret, size_t *ret_len)
{
	struct arrival a;
	int r;

	if (!parse(iif, v6, ip, n, &a))
		return -EAGAIN;
	if (!a.from && !a.more)
		return atomic_piece(&a, ret, ret_len);
	mutex_lock(&f->lock);
	r = add_locked(f, &a, now_ns, ret, ret_len);
	mutex_unlock(&f->lock);
	return r;
}
