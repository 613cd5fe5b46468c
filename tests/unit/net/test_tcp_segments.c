/* SPDX-License-Identifier: Apache-2.0 */
/* One end of TCP, and a peer that sends what it likes. */
#include "tcp_kit.h"

/* --- segments made by hand */

/* The state that a connection is brought to; the peer's next number and what it has to acknowledge.
 */
struct alone {
	struct end e;
	uint32_t seq, ack, isn;
	int64_t now;
};

static void
feed(struct alone *a, struct tcp_segment s)
{
	s.sport = 4000;
	s.dport = 80;
	CALL(&a->e, tcp_conn_input, &s, a->now);
}

static struct tcp_segment
plain(const struct alone *a, uint8_t flags)
{
	return (struct tcp_segment){.seq = a->seq,
		.ack = a->ack,
		.flags = flags,
		.window = 10000,
		.data = (const uint8_t *)"hello, hello, hello"};
}

static void
alone_init(struct alone *a, enum tcp_conn_state state, bool ts, uint32_t mss)
{
	struct tcp_segment syn = {.sport = 4000,
		.dport = 80,
		.seq = a->seq,
		.flags = SYN,
		.window = 10000,
		.has_mss = mss,
		.mss = (uint16_t)mss,
		.has_timestamp = ts,
		.tsval = 1};
	bool ends = state != TCPC_ESTABLISHED && state != TCPC_CLOSE_WAIT;

	a->now = 10 * SECOND;
	end_init(&a->e, NULL, 1, a->isn);
	a->ack = a->isn + 1;
	if (state == TCPC_SYN_SENT) {
		CALL(&a->e, tcp_conn_connect, a->now);
		return;
	}
	CALL(&a->e, tcp_conn_accept, &syn, a->now);
	a->seq++;
	if (state == TCPC_SYN_RECEIVED)
		return;
	feed(a, plain(a, ACK));
	ck_assert_int_eq(tcp_conn_state(a->e.c), TCPC_ESTABLISHED);
	if (state == TCPC_CLOSE_WAIT || state == TCPC_LAST_ACK) {
		feed(a, plain(a, ACK | FIN));
		a->seq++;
	}
	a->e.ends = ends;
	CALL(&a->e, tcp_conn_output, a->now);
	if (state == TCPC_FIN_WAIT2 || state == TCPC_TIME_WAIT) {
		a->ack++;
		feed(a, plain(a, ACK));
	}
	if (state == TCPC_CLOSING || state == TCPC_TIME_WAIT) {
		feed(a, plain(a, ACK | FIN));
		a->seq++;
	}
	ck_assert_int_eq(tcp_conn_state(a->e.c), state);
}

static const enum tcp_conn_state states[] = {TCPC_ESTABLISHED, TCPC_SYN_SENT, TCPC_SYN_RECEIVED,
	TCPC_FIN_WAIT1, TCPC_FIN_WAIT2, TCPC_TIME_WAIT, TCPC_CLOSE_WAIT, TCPC_LAST_ACK,
	TCPC_CLOSING};

START_TEST(resets)
{
	for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
		struct alone a = {.seq = 0xffffffff, .isn = 0xfffffffe};
		bool opening = states[i] == TCPC_SYN_SENT;
		struct tcp_segment s;

		alone_init(&a, states[i], false, 0);
		s = plain(&a, RST);
		if (opening) { /* that acknowledges nothing, or what was never sent */
			feed(&a, s);
			s.flags |= ACK;
			s.ack += 1;
			feed(&a, s);
			s.ack -= 2;
			feed(&a, s);
		} else { /* out of the window, and in it but not exact: RFC 5961 */
			unsigned sent = a.e.sent;

			s.seq -= 5;
			feed(&a, s);
			s.seq += 5 + 500000;
			feed(&a, s);
			ck_assert_uint_eq(a.e.sent, sent);
			s.seq -= 500000 - 1;
			a.now += SECOND;
			feed(&a, s);
			if (tcp_conn_state(a.e.c) != TCPC_TIME_WAIT && a.e.fins == 0) {
				ck_assert_uint_eq(a.e.sent, sent + 1);
				ck_assert_uint_eq(a.e.last.flags, ACK);
				ck_assert_uint_eq(a.e.last.ack, a.seq);
			}
		}
		ck_assert_uint_eq(a.e.closes, 0);
		feed(&a, plain(&a, opening ? RST | ACK : RST));
		ck_assert_uint_eq(a.e.closes, 1);
		ck_assert_int_eq(a.e.err, opening			? ECONNREFUSED
					  : states[i] == TCPC_TIME_WAIT ? 0
									: ECONNRESET);
		ck_assert_int_eq(tcp_conn_deadline(a.e.c), INT64_MAX);
		tcp_conn_free(a.e.c);
	}
}
END_TEST

START_TEST(challenges)
{
	struct alone a = {.seq = 100, .isn = 0xffffffff};
	struct tcp_segment s;
	unsigned sent;

	alone_init(&a, TCPC_ESTABLISHED, true, 1460);
	a.now += SECOND;
	sent = a.e.sent;
	feed(&a, plain(&a, SYN));
	ck_assert_uint_eq(a.e.sent, sent + 1);
	feed(&a, plain(&a, SYN)); /* not twice within half a second */
	ck_assert_uint_eq(a.e.sent, sent + 1);
	a.now += SECOND;
	s = plain(&a, ACK);
	s.len = 5;
	s.ack++; /* of what was not sent */
	feed(&a, s);
	ck_assert_uint_eq(a.e.sent, sent + 2);
	ck_assert_uint_eq(a.e.got, 0);
	s.ack--;
	s.has_timestamp = true;
	s.tsval = 0; /* older than the last */
	feed(&a, s);
	ck_assert_uint_eq(a.e.sent, sent + 3);
	ck_assert_uint_eq(a.e.got, 0);
	s.tsval = 1;
	s.flags = 0; /* no ACK */
	feed(&a, s);
	ck_assert_uint_eq(a.e.got, 0);
	s.flags = ACK;
	feed(&a, s);
	ck_assert_uint_eq(a.e.got, 5);
	tcp_conn_free(a.e.c);
}
END_TEST

START_TEST(pieces)
{
	struct alone a = {.seq = 0xfffffff0, .isn = 7};
	struct tcp_segment s;
	uint8_t all[200];

	/* every second byte, more than are kept, from the end; overlaps; then all */
	alone_init(&a, TCPC_ESTABLISHED, false, 1460);
	a.e.checked = true;
	for (uint32_t i = 0; i < sizeof all; i++)
		all[i] = content(0, i);
	for (uint32_t i = 199; i < 200; i -= 2) {
		s = plain(&a, ACK);
		s.seq += i;
		s.data = all + i;
		s.len = 1;
		feed(&a, s);
		ck_assert_uint_eq(a.e.last.ack, a.seq);
	}
	s = plain(&a, ACK | FIN);
	s.seq += 10;
	s.data = all + 10;
	s.len = 10;
	feed(&a, s);
	s.flags = ACK;
	s.seq = a.seq + 2;
	s.data = all + 2;
	s.len = 7;
	feed(&a, s);
	ck_assert_uint_eq(a.e.got, 0);
	s.len = 9; /* over what is there */
	feed(&a, s);
	s.seq = a.seq;
	s.data = all;
	s.len = 2;
	feed(&a, s);
	ck_assert_uint_eq(a.e.got, 20);
	ck_assert_uint_eq(a.e.fins, 1);
	ck_assert_uint_eq(a.e.last.ack, a.seq + 21);
	ck_assert_int_eq(tcp_conn_state(a.e.c), TCPC_CLOSE_WAIT);
	tcp_conn_free(a.e.c);
}
END_TEST

START_TEST(greedy_acks)
{
	struct alone a = {.seq = 1, .isn = 0xfffff000};
	struct tcp_conn_info i;
	struct tcp_segment s;
	unsigned sent;

	/* a tiny MSS, and an ACK per byte */
	alone_init(&a, TCPC_ESTABLISHED, true, 1);
	tcp_conn_info(a.e.c, &i);
	ck_assert_uint_eq(i.snd_mss, 36);
	a.e.written = a.e.goal = 100000;
	CALL(&a.e, tcp_conn_output, a.now);
	sent = a.e.sent;
	for (uint32_t n = 0; n < 360; n++) {
		s = plain(&a, ACK);
		s.ack += n;
		feed(&a, s);
	}
	ck_assert_uint_le(a.e.sent, sent + 40);
	/* the same again and again: no more segments than ACKs */
	sent = a.e.sent;
	for (uint32_t n = 0; n < 1000; n++)
		feed(&a, s);
	ck_assert_uint_le(a.e.sent, sent + 300);
	/* window after window of nothing */
	s.window = 0;
	sent = a.e.sent;
	for (uint32_t n = 0; n < 1000; n++)
		feed(&a, s);
	ck_assert_uint_eq(a.e.sent, sent);
	tcp_conn_free(a.e.c);
}
END_TEST

/* Until nothing is due in the next ns. */
static void
pass(struct alone *a, int64_t ns)
{
	int64_t until = a->now + ns;

	while (tcp_conn_deadline(a->e.c) <= until) {
		a->now = tcp_conn_deadline(a->e.c);
		CALL(&a->e, tcp_conn_timer, a->now);
	}
	a->now = until;
}

START_TEST(windows)
{
	struct alone a = {.seq = 1, .isn = 0xfffffe00};
	struct tcp_segment s;
	unsigned sent;

	/* made smaller than what is in it: asked, not filled */
	alone_init(&a, TCPC_ESTABLISHED, false, 1000);
	a.e.written = a.e.goal = 3000;
	CALL(&a.e, tcp_conn_output, a.now);
	ck_assert_uint_eq(a.e.last.seq + a.e.last.len, a.ack + 3000);
	s = plain(&a, ACK);
	s.window = 0;
	feed(&a, s);
	sent = a.e.sent;
	for (int i = 0; i < 30; i++) {
		pass(&a, 100 * SECOND);
		ck_assert_uint_eq(a.e.last.len, 0);
		ck_assert_uint_eq(a.e.last.seq, a.ack - 1);
		feed(&a, s);
	}
	ck_assert_uint_gt(a.e.sent, sent + 30);
	ck_assert_uint_lt(a.e.sent, sent + 60);
	s.window = 500; /* open again, by a part of a segment */
	feed(&a, s);
	pass(&a, SECOND);
	ck_assert_uint_eq(a.e.last.seq, a.ack);
	ck_assert_uint_eq(a.e.last.len, 500);
	s.ack = a.ack += 3000;
	s.window = 1000;
	feed(&a, s);
	ck_assert_uint_eq(a.e.acked, 3000);
	/* the FIN has to have room as well */
	a.e.written = a.e.goal = 4000;
	a.e.ends = true;
	CALL(&a.e, tcp_conn_output, a.now);
	ck_assert_uint_eq(a.e.last.len, 1000);
	ck_assert_uint_eq(a.e.last.flags & FIN, 0);
	ck_assert_int_eq(tcp_conn_state(a.e.c), TCPC_FIN_WAIT1);
	s.ack = a.ack += 1000;
	feed(&a, s);
	ck_assert_uint_eq(a.e.last.flags & FIN, FIN);
	ck_assert_uint_eq(a.e.last.seq, a.ack);
	tcp_conn_free(a.e.c);
}
END_TEST

/* Who does not scale windows can be told of less than a packet of this MTU. */
START_TEST(window_below_mss)
{
	static const uint8_t bytes[4000];
	struct alone a = {.seq = 1, .isn = 1};
	struct tcp_segment s;
	unsigned sent;

	alone_init(&a, TCPC_ESTABLISHED, false, 65480);
	tcp_conn_params(a.e.c)->mss = 65480;
	tcp_conn_params(a.e.c)->rcvbuf = a.e.rcvbuf = 200000;
	a.e.reads_not = true;
	CALL(&a.e, tcp_conn_output, a.now);
	while (a.e.last.window > 30000 || a.e.got < 150000) {
		s = plain(&a, ACK);
		s.data = bytes;
		s.len = sizeof bytes;
		feed(&a, s);
		pass(&a, SECOND);
		a.seq = a.e.last.ack;
	}
	ck_assert_uint_gt(a.e.last.window, 16000);
	sent = a.e.sent;
	a.e.read = a.e.got;
	CALL(&a.e, tcp_conn_output, a.now);
	ck_assert_uint_eq(a.e.sent, sent + 1);
	ck_assert_uint_eq(a.e.last.window, 65535);
	tcp_conn_free(a.e.c);
}
END_TEST

START_TEST(time_wait)
{
	struct alone a = {.seq = 0xfffffff0, .isn = 0xfffffff0};
	struct tcp_segment s;
	unsigned sent;

	alone_init(&a, TCPC_TIME_WAIT, true, 1460);
	sent = a.e.sent;
	a.now += 50 * SECOND;
	s = plain(&a, ACK | FIN);
	s.seq--;
	feed(&a, s);
	ck_assert_uint_eq(a.e.sent, sent + 1);
	ck_assert_int_eq(tcp_conn_deadline(a.e.c), a.now + 60 * SECOND);
	s = plain(&a, SYN);
	ck_assert(!tcp_conn_may_be_replaced(a.e.c, &s));
	s.seq++;
	ck_assert(tcp_conn_may_be_replaced(a.e.c, &s));
	s.seq -= 1000;
	s.has_timestamp = true;
	s.tsval = 1;
	ck_assert(!tcp_conn_may_be_replaced(a.e.c, &s));
	s.tsval = 2;
	ck_assert(tcp_conn_may_be_replaced(a.e.c, &s));
	s.seq += 2000;
	s.tsval = 0;
	ck_assert(!tcp_conn_may_be_replaced(a.e.c, &s));
	a.now += 60 * SECOND;
	CALL(&a.e, tcp_conn_timer, a.now);
	ck_assert_uint_eq(a.e.closes, 1);
	tcp_conn_free(a.e.c);
}
END_TEST

START_TEST(parse)
{
	struct tcp_segment s = {.seq = 5, .len = 3, .flags = SYN | FIN}, r;
	uint8_t b[100];

	ck_assert_uint_eq(tcp_reset_for(&s, b), 20);
	ck_assert_int_eq(tcp_segment_parse(b, 20, &r), 0);
	ck_assert_uint_eq(r.flags, RST | ACK);
	ck_assert_uint_eq(r.ack, 10);
	ck_assert_uint_eq(tcp_reset_for(&r, b), 0);
	ck_assert_int_eq(tcp_segment_parse(b, 19, &r), -EINVAL);
	seed = 5;
	for (int round = 0; round < 200000; round++) {
		size_t n = rnd() % 80;
		uint8_t *p = malloc(n ? n : 1);

		for (size_t i = 0; i < n; i++)
			p[i] = one_in(3) ? (uint8_t)(rnd() % 12) : (uint8_t)rnd();
		if (n > 12 && !one_in(4))
			p[12] = (uint8_t)((5 + rnd() % (n / 4)) << 4);
		if (tcp_segment_parse(p, n, &r) == 0) {
			ck_assert_uint_le(r.len, n - 20);
			ck_assert_ptr_eq(r.data + r.len, p + n);
		}
		free(p);
	}
}
END_TEST

/* --- a peer that sends what it likes */

static uint32_t
near(uint32_t x)
{
	static const uint32_t by[] = {
		0, 1, 2, 100, 1460, 5000, 10000, 200000, 0x7fffffff, 0x80000000};
	uint32_t d = by[rnd() % (sizeof by / sizeof *by)];

	if (one_in(20))
		return rnd();
	return one_in(3) ? x - d : one_in(2) ? x + d : x + rnd() % 3000;
}

static void
check_inside(const struct tcp_conn *c)
{
	uint32_t n = 0, at = c->rcv_nxt;

	MUST(seq_le(c->snd_una, c->snd_nxt) && seq_le(c->snd_nxt, c->snd_max));
	MUST(seq_le(c->rcv_acked, c->rcv_nxt) && seq_le(c->rcv_nxt, c->rcv_adv));
	MUST(!c->fin_sent || c->fin_acked || seq_le(c->snd_max, c->fin_seq + 1));
	MUST(c->cwnd && c->cwnd <= CWND_MAX);
	MUST(c->rto >= RTO_MIN && c->rto <= RTO_MAX);
	for (const struct early *e = c->early; e; e = e->next, n++) {
		MUST(seq_le(at, e->seq) && e->len);
		at = e->seq + e->len;
		MUST(seq_le(at, c->rcv_adv));
	}
	MUST(n == c->nearly && n <= EARLY_MAX);
	MUST(c->state != TCPC_CLOSED || !n);
}

START_TEST(hostile)
{
	static uint8_t junk[4000];

	for (uint32_t round = 0; round < 4000; round++) {
		struct alone a = {.seq = 0, .isn = 0};
		enum tcp_conn_state state;
		uint32_t first;
		struct end *e = &a.e;

		seed = 1 + round * 7919u;
		a.seq = one_in(2) ? -rnd() % 3000 : rnd();
		a.isn = one_in(2) ? -rnd() % 3000 : rnd();
		first = a.seq;
		e->rcvbuf = one_in(2) ? 200000 : 1 + rnd() % 6000;
		e->refuse_deliver = one_in(4) ? 5 : 0;
		state = states[rnd() % (sizeof states / sizeof *states)];
		alone_init(&a, state, one_in(2), one_in(2) ? rnd() & 0xffff : 0);
		e->checked = state != TCPC_SYN_SENT;
		tcp_conn_params(e->c)->keepalive = one_in(3);
		tcp_conn_params(e->c)->user_timeout_ns = one_in(4) ? 20 * SECOND : 0;
		tcp_conn_params(e->c)->orphaned = one_in(8);
		for (int i = 0; i < 150 && !e->closes; i++) {
			struct tcp_segment s = {
				.sport = 4000, .dport = 80, .window = (uint16_t)rnd()};
			uint32_t top = e->sent ? e->last.seq + e->last.len : a.ack;
			uint64_t limit;
			unsigned sent = e->sent;
			int64_t d;

			s.seq = e->last.flags & ACK && !one_in(4) ? e->last.ack : near(a.seq);
			s.ack = one_in(2) ? top : near(top);
			if (one_in(3)) /* of a part; or the same again */
				s.ack = a.isn + 1 + (uint32_t)e->acked +
					(one_in(2) ? rnd() % 3000 : 0);
			s.flags = one_in(5) ? rnd() & 63 : ACK | (one_in(12) ? FIN : 0);
			if (!one_in(10)) /* or it is over soon */
				s.flags &= (uint8_t)~RST;
			if (one_in(4))
				s.window = (uint16_t)(rnd() % 4);
			if (one_in(2))
				s.window = 9000;
			s.data = junk;
			s.len = one_in(2) ? rnd() % sizeof junk : 0;
			for (uint32_t k = 0; k < s.len; k++)
				junk[k] = content(0, s.seq + k - first - 1);
			s.has_timestamp = one_in(2);
			s.tsval = one_in(2) ? near(e->last.tsecr) : e->last.tsecr;
			s.tsecr = one_in(2) ? rnd() : e->last.tsval;
			s.has_mss = s.has_wscale = one_in(2);
			s.mss = (uint16_t)rnd();
			s.wscale = (uint8_t)rnd();
			switch (rnd() % 8) {
			case 0:
				if (!e->ends && one_in(6))
					e->ends = true;
				else if (!e->ends && e->established)
					e->written += rnd() % 3000;
				e->goal = e->written;
				e->read += e->got > e->read ? rnd() % (e->got - e->read + 1) : 0;
				CALL(e, tcp_conn_output, a.now);
				break;
			case 1:
				d = tcp_conn_deadline(e->c);
				if (d != INT64_MAX) {
					MUST(d > a.now);
					a.now = d;
					CALL(e, tcp_conn_timer, a.now);
				}
				break;
			case 2:
				if (one_in(4)) {
					tcp_conn_params(e->c)->mss = (uint16_t)(1 + rnd() % 1460);
					CALL(e, tcp_conn_mss_changed, a.now);
				}
				break;
			case 3:
				a.now += rnd() % 1000 * MS;
				break;
			default:
				CALL(e, tcp_conn_input, &s, a.now);
				break;
			}
			MUST(e->sent - sent <= 2 + (e->written - e->acked) / 36 + 1);
			MUST(e->largest <= 1460);
			check_inside(e->c);
			/* what it acknowledges is what was delivered, in order */
			if (state != TCPC_SYN_SENT && e->last.flags & ACK &&
				!(e->last.flags & RST)) {
				limit = e->got + e->fins + 1;
				MUST((uint32_t)(e->last.ack - first) <= limit);
			}
			if (!e->closes && tcp_conn_deadline(e->c) <= a.now)
				CALL(e, tcp_conn_timer, a.now);
			MUST(tcp_conn_deadline(e->c) > a.now);
		}
		if (!e->closes && one_in(2)) {
			CALL(e, tcp_conn_abort, a.now);
			e->aborted = true;
			CALL(e, tcp_conn_timer, a.now);
			CALL(e, tcp_conn_output, a.now);
		} else if (!e->closes && e->established) {
			/* left alone and orphaned, it ends by itself */
			e->ends = true;
			e->goal = e->written;
			tcp_conn_params(e->c)->orphaned = true;
			CALL(e, tcp_conn_output, a.now);
			for (int i = 0; i < 200 && !e->closes; i++) {
				MUST(tcp_conn_deadline(e->c) < INT64_MAX);
				a.now = tcp_conn_deadline(e->c);
				CALL(e, tcp_conn_timer, a.now);
			}
			MUST(e->closes == 1);
		}
		tcp_conn_free(e->c);
	}
}
END_TEST

static void
begin(void)
{
	seed = 12345;
}

int
main(void)
{
	TCase *c = tcase_create("tcp segments");

	tcase_add_checked_fixture(c, begin, NULL);
	tcase_add_test(c, resets);
	tcase_add_test(c, challenges);
	tcase_add_test(c, pieces);
	tcase_add_test(c, greedy_acks);
	tcase_add_test(c, windows);
	tcase_add_test(c, window_below_mss);
	tcase_add_test(c, time_wait);
	tcase_add_test(c, parse);
	tcase_add_test(c, hostile);
	tcase_set_timeout(c, 60);
	return suite_run("tcp segments", c);
}
