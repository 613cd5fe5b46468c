/* SPDX-License-Identifier: Apache-2.0 */
/* IP packets cut for any MTU and put together again from their pieces in any order are what they
 * were; pieces that nobody would make are held in bounds, or not at all. */
#include "lib/suite.h"
/* with what is inside: how much is held */
#include "sentry/net/frag.c"

#define PIECES 9000

struct pieces {
	size_t n, len[PIECES];
	uint8_t *p[PIECES];
	uint32_t mtu;
};

static struct pieces cuts;

static size_t
below(size_t n)
{
	return (size_t)random() % n;
}

static void
fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)random();
}

/* Exactly as large as it is: a sanitizer sees what is read beyond. */
static uint8_t *
copy(const uint8_t *p, size_t n)
{
	uint8_t *x = malloc(n ? n : 1);

	memcpy(x, p, n);
	return x;
}

static int
collect(void *arg, const uint8_t *piece, size_t n)
{
	struct pieces *c = arg;

	ck_assert_uint_lt(c->n, PIECES);
	ck_assert_uint_le(n, c->mtu);
	c->p[c->n] = copy(piece, n);
	c->len[c->n++] = n;
	return 0;
}

static int
cut(bool v6, const uint8_t *ip, size_t n, uint32_t mtu, uint32_t id)
{
	cuts.n = 0;
	cuts.mtu = mtu;
	return ip_cut(v6, ip, n, mtu, id, collect, &cuts);
}

static void
cuts_clear(void)
{
	while (cuts.n)
		free(cuts.p[--cuts.n]);
}

static void
sum4(uint8_t *ip)
{
	put_be16(ip + 10, 0);
	ip_sum_put(ip + 10, ip_sum_add(0, ip, (ip[0] & 15u) * 4));
}

/* Options that are copied, and that are not; whole words. */
static size_t
options(uint8_t *p)
{
	static const uint8_t some[][8] = {{0x83, 7, 4, 1, 2, 3, 4, 0}, {7, 7, 4, 9, 9, 9, 9, 1},
		{1, 1, 0x94, 4, 0, 0, 1, 1}, {0x44, 8, 5, 0, 1, 2, 3, 4}};
	size_t n = below(5);

	for (size_t i = 0; i < n; i++)
		memcpy(p + i * 8, some[i], 8);
	return n * 8;
}

static uint8_t *
packet4(size_t data, size_t *ret_n)
{
	uint8_t h[60], *ip;
	size_t hl = 20 + options(h + 20);

	fill(h, 20);
	h[0] = (uint8_t)(0x40 | hl / 4);
	put_be16(h + 2, (uint32_t)(hl + data));
	put_be16(h + 6, random() % 2 ? 0x4000 : 0);
	ip = malloc(hl + data);
	memcpy(ip, h, hl);
	fill(ip + hl, data);
	sum4(ip);
	*ret_n = hl + data;
	return ip;
}

static uint8_t *
packet6(size_t data, size_t *ret_n)
{
	static const uint8_t chains[][3] = {
		{17, 0, 0}, {0, 17, 0}, {60, 17, 0}, {0, 43, 17}, {60, 43, 17}, {43, 60, 17}};
	const uint8_t *chain = chains[below(6)];
	uint8_t *ip = malloc(40 + 48 + data);
	size_t n = 40;

	fill(ip, 40);
	ip[0] = 0x60 | (ip[0] & 15);
	ip[6] = chain[0];
	for (int i = 0; i < 2 && chain[i] != 17; i++) {
		uint8_t words = (uint8_t)below(3);

		fill(ip + n, 24);
		ip[n] = chain[i + 1];
		ip[n + 1] = words;
		n += (words + 1u) * 8;
	}
	fill(ip + n, data);
	n += data;
	put_be16(ip + 4, (uint32_t)(n - 40));
	*ret_n = n;
	return ip;
}

static void
shuffle(void)
{
	for (size_t i = cuts.n; i > 1; i--) {
		size_t k = below(i), len = cuts.len[k];
		uint8_t *p = cuts.p[k];

		cuts.p[k] = cuts.p[i - 1];
		cuts.len[k] = cuts.len[i - 1];
		cuts.p[i - 1] = p;
		cuts.len[i - 1] = len;
	}
}

static void
ck_held_in_bounds(const struct ip_frags *f)
{
	ck_assert_uint_le(f->npackets, PACKETS_MAX);
	ck_assert_uint_le(f->bytes, BYTES_MAX);
}

/* All pieces that there are, some twice; the last makes it whole. */
static uint8_t *
join_all(struct ip_frags *f, bool v6, size_t *ret_n)
{
	uint8_t *ip = NULL;

	for (size_t i = 0; i < cuts.n; i++) {
		int r;

		ck_assert(ip_is_piece(v6, cuts.p[i], cuts.len[i]));
		if (i && random() % 4 == 0) {
			size_t k = below(i);

			ck_assert_int_eq(
				ip_frags_add(f, 7, v6, cuts.p[k], cuts.len[k], 0, &ip, ret_n),
				-EAGAIN);
		}
		r = ip_frags_add(f, 7, v6, cuts.p[i], cuts.len[i], 0, &ip, ret_n);
		ck_assert_int_eq(r, i + 1 < cuts.n ? -EAGAIN : 0);
		ck_held_in_bounds(f);
	}
	return ip;
}

static size_t
random_size(void)
{
	return random() % 8 ? 1 + below(5000) : 60000 + below(65535 - 60 - 60000);
}

START_TEST(cut_and_joined)
{
	struct ip_frags *f = ip_frags_new();

	srandom(1);
	for (int round = 0; round < 4000; round++) {
		bool v6 = round & 1;
		size_t n, got;
		uint8_t *ip = v6 ? packet6(random_size(), &n) : packet4(random_size(), &n), *back;
		uint32_t mtu = (v6 ? 120 : 68) + (uint32_t)below(3000);

		ck_assert_int_eq(cut(v6, ip, n, mtu, (uint32_t)random()), 0);
		if (n <= mtu) {
			ck_assert_uint_eq(cuts.n, 1);
			ck_assert_mem_eq(cuts.p[0], ip, n);
			cuts_clear();
			free(ip);
			continue;
		}
		if (cuts.n > PIECES_MAX) {
			cuts_clear();
			free(ip);
			continue;
		}
		shuffle();
		back = join_all(f, v6, &got);
		if (!v6) {
			/* who puts it together does not know of this any more */
			put_be16(ip + 6, 0);
			sum4(ip);
		}
		ck_assert_uint_eq(got, n);
		ck_assert_mem_eq(back, ip, n);
		ck_assert_uint_eq(f->bytes, 0);
		cuts_clear();
		free(ip);
		free(back);
	}
	ip_frags_free(f);
}
END_TEST

/* Pieces are cut once more, on a way with a smaller MTU. */
START_TEST(cut_again)
{
	struct ip_frags *f = ip_frags_new();

	srandom(2);
	for (int round = 0; round < 300; round++) {
		size_t n, got = 0, nfirst;
		uint8_t *ip = packet4(2000 + below(6000), &n), *back = NULL;
		static struct pieces first;

		ck_assert_int_eq(cut(false, ip, n, 1500, 0), 0);
		first = cuts;
		nfirst = first.n;
		cuts.n = 0;
		cuts.mtu = 68 + (uint32_t)below(600);
		for (size_t i = 0; i < nfirst; i++) {
			ck_assert_int_eq(ip_cut(false, first.p[i], first.len[i], cuts.mtu, 0,
						 collect, &cuts),
				0);
			free(first.p[i]);
		}
		shuffle();
		back = join_all(f, false, &got);
		put_be16(ip + 6, 0);
		sum4(ip);
		ck_assert_uint_eq(got, n);
		ck_assert_mem_eq(back, ip, n);
		cuts_clear();
		free(back);
		free(ip);
	}
	ip_frags_free(f);
}
END_TEST

START_TEST(copied_options)
{
	/* a route to be recorded: not copied; a strict source route: copied */
	static const uint8_t opts[] = {7, 7, 4, 0, 0, 0, 0, 0x89, 7, 4, 1, 2, 3, 4, 0, 0};
	uint8_t ip[36 + 200];

	fill(ip, sizeof ip);
	ip[0] = 0x49;
	put_be16(ip + 2, sizeof ip);
	put_be16(ip + 6, 0x4000);
	memcpy(ip + 20, opts, sizeof opts);
	sum4(ip);
	ck_assert_int_eq(cut(false, ip, sizeof ip, 43, 0), -EMSGSIZE);
	ck_assert_int_eq(cut(false, ip, sizeof ip, 100, 0), 0);
	ck_assert_uint_eq(cuts.n, 3);
	ck_assert_uint_eq(cuts.len[0], 100);
	ck_assert_mem_eq(cuts.p[0] + 20, opts, sizeof opts);
	for (size_t i = 0; i < cuts.n; i++) {
		uint8_t *p = cuts.p[i], sum[2];
		size_t hl = (p[0] & 15u) * 4;

		ip_sum_put(sum, ip_sum_add(0, p, hl));
		ck_assert_uint_eq(get_be16(sum), 0);
		ck_assert_uint_eq(get_be16(p + 2), cuts.len[i]);
		ck_assert_uint_eq(get_be16(p + 6) & 0xe000, i < 2 ? IP_MF : 0);
		ck_assert_uint_eq(get_be16(p + 6) & IP_OFFSET, i ? 9 * i - 1 : 0);
		if (i) {
			ck_assert_uint_eq(hl, 28);
			ck_assert_mem_eq(p + 20, opts + 7, 8);
		}
	}
	cuts_clear();
}
END_TEST

/* --- pieces by hand --- */

static struct ip_frags *frags;
static uint8_t *whole;
static size_t whole_len;

/* A piece with these numbers; its data is what it should be, or not. */
static int
give(bool v6, uint32_t id, uint32_t from, size_t len, bool more, uint8_t salt, int64_t now_ns)
{
	size_t head = v6 ? 48 : 20, n = head + len;
	uint8_t *p = calloc(1, n);
	int r;

	if (v6) {
		p[0] = 0x60;
		put_be16(p + 4, (uint32_t)(8 + len));
		p[6] = 44;
		p[40] = 17;
		put_be16(p + 42, from | more);
		put_be16(p + 46, id);
	} else {
		p[0] = 0x45;
		p[9] = 17;
		put_be16(p + 2, (uint32_t)n);
		put_be16(p + 4, id);
		put_be16(p + 6, from / 8 | (more ? IP_MF : 0));
		sum4(p);
	}
	for (size_t i = 0; i < len; i++)
		p[head + i] = (uint8_t)(from + i + salt);
	r = ip_frags_add(frags, 1, v6, p, n, now_ns, &whole, &whole_len);
	free(p);
	if (r == 0)
		free(whole);
	ck_held_in_bounds(frags);
	return r;
}

static uint32_t
held(uint32_t id)
{
	struct packet *p;

	list_for_each_entry (p, &frags->by_age, by_age) {
		uint32_t x = p->key.id;

		if (p->key.v6)
			x = get_be16((const uint8_t *)&p->key.id + 2);
		if (x == id)
			return p->npieces;
	}
	return 0;
}

START_TEST(contradictions)
{
	bool v6 = _i;

	frags = ip_frags_new();
	ck_assert_int_eq(give(v6, 1, 0, 16, true, 0, 0), -EAGAIN);
	ck_assert_int_eq(give(v6, 1, 8, 16, false, 0, 0), -EAGAIN); /* overlaps */
	ck_assert_uint_eq(held(1), 0);
	(void)give(v6, 2, 16, 16, true, 0, 0);
	(void)give(v6, 2, 8, 16, true, 0, 0); /* from before */
	ck_assert_uint_eq(held(2), 0);
	(void)give(v6, 3, 0, 16, true, 0, 0);
	(void)give(v6, 3, 0, 16, true, 0, 0); /* the same */
	ck_assert_uint_eq(held(3), 1);
	(void)give(v6, 3, 0, 16, true, 1, 0); /* in the same place, but different */
	ck_assert_uint_eq(held(3), 0);
	(void)give(v6, 4, 16, 16, false, 0, 0);
	(void)give(v6, 4, 32, 16, false, 0, 0); /* another end */
	ck_assert_uint_eq(held(4), 0);
	(void)give(v6, 5, 16, 16, false, 0, 0);
	(void)give(v6, 5, 32, 16, true, 0, 0); /* behind the end */
	ck_assert_uint_eq(held(5), 0);
	(void)give(v6, 6, 32, 16, true, 0, 0);
	(void)give(v6, 6, 16, 9, false, 0, 0); /* an end before */
	ck_assert_uint_eq(held(6), 0);
	(void)give(v6, 7, 16, 16, true, 0, 0);
	(void)give(v6, 7, 16, 16, false, 0, 0); /* the same, but the last */
	ck_assert_uint_eq(held(7), 0);
	(void)give(v6, 8, 0, 0, true, 0, 0); /* empty */
	(void)give(v6, 8, 8, 0, false, 0, 0);
	(void)give(v6, 8, 0, 15, true, 0, 0);	    /* no multiple of 8 */
	(void)give(v6, 8, 65528, 100, false, 0, 0); /* beyond what a packet can have */
	(void)give(v6, 8, 65528, 100, true, 0, 0);
	ck_assert_uint_eq(held(8), 0);
	ck_assert_uint_eq(frags->npackets, 0);
	ck_assert_uint_eq(frags->bytes, 0);
	/* and it works after all that */
	ck_assert_int_eq(give(v6, 1, 16, 1, false, 0, 0), -EAGAIN);
	ck_assert_int_eq(give(v6, 1, 0, 16, true, 0, 0), 0);
	ck_assert_uint_eq(whole_len, (v6 ? 40 : 20) + 17);
	ip_frags_free(frags);
}
END_TEST

START_TEST(expiry)
{
	frags = ip_frags_new();
	(void)give(true, 1, 0, 16, true, 0, 0);
	(void)give(false, 2, 0, 16, true, 0, 1);
	(void)give(false, 3, 0, 16, true, 0, LIFE4_NS);
	ck_assert_uint_eq(frags->npackets, 3);
	(void)give(false, 3, 16, 16, true, 0, LIFE4_NS + 1);
	ck_assert_uint_eq(frags->npackets, 2);
	ck_assert_uint_eq(held(2), 0);
	(void)give(false, 3, 16, 16, true, 0, LIFE6_NS);
	ck_assert_uint_eq(held(1), 0);
	/* that one has begun anew */
	ck_assert_uint_eq(held(3), 1);
	ck_assert_uint_eq(frags->npackets, 1);
	ip_frags_free(frags);
}
END_TEST

START_TEST(the_oldest_goes)
{
	frags = ip_frags_new();
	for (uint32_t id = 0; id < 2 * PACKETS_MAX; id++) {
		(void)give(id & 1, id, 8, 8, true, 0, 0);
		ck_assert_uint_eq(held(id), 1);
	}
	ck_assert_uint_eq(frags->npackets, PACKETS_MAX);
	ck_assert_uint_eq(held(PACKETS_MAX - 1), 0);
	ck_assert_uint_eq(held(PACKETS_MAX), 1);
	for (uint32_t id = 1000; id < 1200; id++)
		(void)give(id & 1, id, 8, 60000, true, 0, 0);
	ck_assert_uint_eq(held(1000), 0);
	ck_assert_uint_eq(held(1199), 1);
	ck_assert_uint_gt(frags->bytes, BYTES_MAX / 2);
	/* as many pieces as one may have, and one more */
	for (uint32_t i = 0; i < PIECES_MAX; i++)
		(void)give(false, 5000, i * 16, 8, true, 0, 0);
	ck_assert_uint_eq(held(5000), PIECES_MAX < 4095 ? PIECES_MAX : 4095);
	(void)give(false, 5000, PIECES_MAX * 16, 8, true, 0, 0);
	ck_assert_uint_eq(held(5000), 0);
	ip_frags_free(frags);
	ck_assert(!ip_is_piece(false, (const uint8_t *)"\x45", 1));
}
END_TEST

/* Of different interfaces, protocols, ends: each for itself. */
START_TEST(keys)
{
	uint8_t p[28] = {0x45, [3] = 28, [6] = 0x20, [9] = 17}, q[28];
	uint8_t *ret;
	size_t n;

	frags = ip_frags_new();
	memcpy(q, p, sizeof q);
	put_be16(q + 6, 1);
	sum4(p);
	sum4(q);
	ck_assert_int_eq(ip_frags_add(frags, 1, false, p, 28, 0, &ret, &n), -EAGAIN);
	ck_assert_int_eq(ip_frags_add(frags, 2, false, q, 28, 0, &ret, &n), -EAGAIN);
	for (size_t i = 9; i < 20; i += 5) {
		uint8_t x[28];

		memcpy(x, q, sizeof x);
		x[i]++;
		sum4(x);
		ck_assert_int_eq(ip_frags_add(frags, 1, false, x, 28, 0, &ret, &n), -EAGAIN);
	}
	ck_assert_uint_eq(frags->npackets, 5);
	q[10]++; /* the checksum */
	ck_assert_int_eq(ip_frags_add(frags, 1, false, q, 28, 0, &ret, &n), -EAGAIN);
	q[10]--;
	ck_assert_int_eq(ip_frags_add(frags, 1, false, q, 28, 0, &ret, &n), 0);
	ck_assert_uint_eq(n, 36);
	free(ret);
	ip_frags_free(frags);
}
END_TEST

START_TEST(congestion)
{
	static const uint8_t marks[][3] = {{2, 2, 2}, {1, 3, 3}, {3, 2, 3}, {0, 0, 0}, {1, 2, 1}};
	uint8_t p[28] = {0x45, [3] = 28, [6] = 0x20}, *ret;
	size_t n;

	frags = ip_frags_new();
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
		p[1] = marks[i][0];
		put_be16(p + 6, IP_MF);
		sum4(p);
		ck_assert_int_eq(ip_frags_add(frags, 1, false, p, 28, 0, &ret, &n), -EAGAIN);
		p[1] = marks[i][1];
		put_be16(p + 6, 1);
		sum4(p);
		ck_assert_int_eq(ip_frags_add(frags, 1, false, p, 28, 0, &ret, &n), 0);
		ck_assert_uint_eq(ret[1], marks[i][2]);
		free(ret);
	}
	put_be16(p + 6, IP_MF);
	p[1] = 0;
	sum4(p);
	(void)ip_frags_add(frags, 1, false, p, 28, 0, &ret, &n);
	put_be16(p + 6, 1);
	p[1] = 3;
	sum4(p);
	ck_assert_int_eq(ip_frags_add(frags, 1, false, p, 28, 0, &ret, &n), -EAGAIN);
	ck_assert_uint_eq(frags->npackets, 0);
	ip_frags_free(frags);
}
END_TEST

START_TEST(atomic6)
{
	uint8_t p[50] = {0x60, [5] = 10, [6] = 44, [40] = 17, [48] = 'a', 'b'}, *ret;
	size_t n;

	frags = ip_frags_new();
	ck_assert(ip_is_piece(true, p, sizeof p));
	ck_assert_int_eq(ip_frags_add(frags, 1, true, p, sizeof p, 0, &ret, &n), 0);
	ck_assert_uint_eq(n, 42);
	ck_assert_uint_eq(ret[6], 17);
	ck_assert_uint_eq(get_be16(ret + 4), 2);
	ck_assert_mem_eq(ret + 40, "ab", 2);
	free(ret);
	ip_frags_free(frags);
}
END_TEST

/* --- what anybody may send --- */

static void
hostile_one(size_t *kept, size_t *made)
{
	bool v6 = random() % 2;
	size_t n = below(random() % 8 ? 120 : 3000), got;
	uint8_t *p = malloc(n ? n : 1), *ret = NULL;

	fill(p, n);
	if (random() % 16 && n >= 60) {
		/* nearly right: few keys, small numbers */
		memset(p + (v6 ? 8 : 12), (int)below(2), v6 ? 32 : 8);
		p[0] = v6 ? 0x60 : (uint8_t)(0x45 + below(2) * below(8));
		put_be16(p + (v6 ? 4 : 2), (uint32_t)(n - (v6 ? 40 : 0)));
		if (v6) {
			size_t at = 40;

			p[6] = 44;
			if (random() % 4 == 0) {
				p[6] = (uint8_t[]){0, 43, 60, 44}[below(4)];
				p[40] = (uint8_t[]){0, 43, 44, 44}[below(4)];
				p[41] = random() % 4 ? 0 : (uint8_t)random();
				at = 48;
			}
			put_be16(p + at + 2, (uint32_t)(below(64) * 8 | below(2)));
			put_be16(p + at + 4, 0);
			put_be16(p + at + 6, (uint32_t)below(400));
		} else {
			put_be16(p + 4, (uint32_t)below(400));
			put_be16(p + 6, (uint32_t)(below(64) | below(2) * IP_MF));
			p[9] = 17;
			if ((p[0] & 15u) * 4 <= n)
				sum4(p);
		}
	}
	(void)ip_is_piece(v6, p, n);
	if (ip_frags_add(frags, (int32_t)below(2), v6, p, n, random() * 100ll, &ret, &got) == 0) {
		ck_assert_uint_le(got, 65575);
		ck_assert(v6 || get_be16(ret + 2) == got);
		ck_assert(!v6 || get_be16(ret + 4) + 40u == got);
		free(ret);
		++*made;
	}
	*kept += frags->npackets > 0;
	ck_held_in_bounds(frags);
	if (n > 8) {
		cuts.n = 0;
		cuts.mtu = (uint32_t)below(n);
		(void)ip_cut(v6, p, n, cuts.mtu, 1, collect, &cuts);
		cuts_clear();
	}
	free(p);
}

START_TEST(hostile)
{
	size_t kept = 0, made = 0, bytes = 0;
	struct packet *p;
	struct piece *x;

	srandom(3);
	frags = ip_frags_new();
	for (int i = 0; i < 200000; i++)
		hostile_one(&kept, &made);
	ck_assert_uint_gt(kept, 100000);
	ck_assert_uint_gt(made, 100);
	list_for_each_entry (p, &frags->by_age, by_age) {
		bytes += sizeof *p + p->header_len;
		list_for_each_entry (x, &p->pieces, node)
			bytes += sizeof *x + x->to - x->from;
	}
	ck_assert_uint_eq(bytes, frags->bytes);
	ip_frags_free(frags);
}
END_TEST

int
main(void)
{
	TCase *c = tcase_create("frag");

	tcase_add_test(c, cut_and_joined);
	tcase_add_test(c, cut_again);
	tcase_add_test(c, copied_options);
	tcase_add_loop_test(c, contradictions, 0, 2);
	tcase_add_test(c, expiry);
	tcase_add_test(c, the_oldest_goes);
	tcase_add_test(c, keys);
	tcase_add_test(c, congestion);
	tcase_add_test(c, atomic6);
	tcase_add_test(c, hostile);
	tcase_set_timeout(c, 60);
	return suite_run("frag", c);
}
