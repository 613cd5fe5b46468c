/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends of TCP, joined by a network that loses, doubles, delays and reorders. */
#include "tcp_kit.h"

static void
connect_ends(struct net *t)
{
	CALL(&t->e[0], tcp_conn_connect, t->now);
	run_for(t, SECOND);
	MUST(tcp_conn_state(t->e[0].c) == TCPC_ESTABLISHED);
	MUST(tcp_conn_state(t->e[1].c) == TCPC_ESTABLISHED);
}

static void
end_all(struct net *t)
{
	t->e[0].ends = t->e[1].ends = true;
	for (int i = 0; i < 2; i++)
		if (!t->e[i].closes)
			CALL(&t->e[i], tcp_conn_output, t->now);
}

static void
expect_done(struct net *t)
{
	for (int i = 0; i < 2; i++) {
		struct end *e = &t->e[i];

		MUST(e->closes == 1);
		MUST(e->err == 0);
		MUST(e->fins == 1);
		MUST(e->acked == e->goal);
		MUST(e->got == t->e[!i].goal);
	}
}

/* --- what goes well */

START_TEST(handshake)
{
	struct net t = {0};
	struct tcp_conn_info i;

	net_init(&t, 1000, 0xffffffff);
	CALL(&t.e[0], tcp_conn_connect, t.now);
	ck_assert_uint_eq(t.e[0].last.flags, SYN);
	ck_assert_uint_eq(t.e[0].last.mss, 1460);
	ck_assert(t.e[0].last.has_timestamp && t.e[0].last.has_wscale);
	ck_assert(!t.e[0].last.sack_permitted);
	run_for(&t, 10 * SECOND);
	ck_assert_int_eq(tcp_conn_state(t.e[0].c), TCPC_ESTABLISHED);
	ck_assert_int_eq(tcp_conn_state(t.e[1].c), TCPC_ESTABLISHED);
	ck_assert_uint_eq(t.carried, 3);
	ck_assert_int_eq(tcp_conn_deadline(t.e[0].c), INT64_MAX);
	tcp_conn_info(t.e[0].c, &i);
	ck_assert_uint_eq(i.snd_mss, 1448);
	ck_assert_uint_eq(i.rtt_us, 2000);
	ck_assert_uint_eq(i.cwnd, 10);
	ck_assert(i.timestamps && i.wscale_ok);
	ck_assert_uint_eq(i.rcv_wscale, 2);
	end_all(&t);
	run(&t, INT64_MAX);
	expect_done(&t);
	net_free(&t);
}
END_TEST

/* Megabytes both ways; how bad the net is, by number. */
static void
bulk(uint32_t isn0, uint32_t isn1, struct net t, uint64_t n0, uint64_t n1)
{
	t.e[0].goal = n0;
	t.e[1].goal = n1;
	t.e[0].ends = t.e[1].ends = true;
	net_init(&t, isn0, isn1);
	CALL(&t.e[0], tcp_conn_connect, t.now);
	run(&t, INT64_MAX);
	expect_done(&t);
	net_free(&t);
}

START_TEST(bulk_clean)
{
	bulk(1, 2, (struct net){0}, 3000000, 2000000);
	bulk(0xfffff000, 0xffffffff, (struct net){0}, 300000, 200000);
	bulk(0x7ffff000, 0x7fffffff, (struct net){0}, 300000, 0);
}
END_TEST

START_TEST(bulk_bad)
{
	static const struct net how[] = {
		{.lose = 50},
		{.twice = 5},
		{.jitter = 20 * MS},
		{.lose = 20, .twice = 20, .jitter = 5 * MS},
		{.lose = 10, .twice = 10, .jitter = 30 * MS, .delay = 50 * MS},
		{.e[0].rcvbuf = 3000, .e[1].rcvbuf = 4000, .lose = 30},
		{.e[0].refuse_deliver = 20, .e[1].refuse_deliver = 30},
		{.e[0].refuse_deliver = 20, .lose = 20, .twice = 20, .jitter = 5 * MS},
		{.e[0].sndbuf = 2000, .e[1].sndbuf = 100, .lose = 20},
	};

	for (uint32_t s = 0; s < 18; s++) {
		seed = 77 + s * 1000003u;
		bulk(-100000u - rnd() % 300000, rnd() % 2 ? 0x7fff0000 : -rnd() % 200000,
			how[s % 9], 400000, 300000);
	}
}
END_TEST

START_TEST(one_way_speed)
{
	struct net t = {.delay = 10 * MS, .e[1].rcvbuf = 4000000, .e[0].sndbuf = 4000000};
	int64_t began;

	t.e[0].goal = 3000000;
	net_init(&t, 1, 2);
	CALL(&t.e[0], tcp_conn_connect, t.now);
	began = t.now;
	while (t.e[0].acked < t.e[0].goal)
		run_for(&t, 10 * MS);
	/* slow start: 10, 20, 40, ... segments a round trip */
	ck_assert_int_lt(t.now - began, 400 * MS);
	ck_assert_uint_eq(t.e[0].largest, 1448);
	/* about one ACK per two segments */
	ck_assert_uint_lt(t.e[1].sent, 3000000 / 1448 / 2 + 60);
	end_all(&t);
	run(&t, INT64_MAX);
	expect_done(&t);
	net_free(&t);
}
END_TEST

START_TEST(slow_reader)
{
	struct net t = {.e[1] = {.rcvbuf = 20000, .reads_not = true}};
	unsigned sent;

	t.e[0].goal = 100000;
	t.e[0].ends = true;
	net_init(&t, 0xfffffff0, 5);
	CALL(&t.e[0], tcp_conn_connect, t.now);
	run_for(&t, 5 * SECOND);
	ck_assert_uint_ge(t.e[1].got, 18000);
	ck_assert_uint_le(t.e[1].got, 20000);
	ck_assert_int_eq(tcp_conn_state(t.e[0].c), TCPC_FIN_WAIT1);
	sent = t.e[0].sent;
	run_for(&t, 4000 * SECOND);
	/* it asks, and less and less often */
	ck_assert_uint_gt(t.e[0].sent, sent + 20);
	ck_assert_uint_lt(t.e[0].sent, sent + 60);
	ck_assert_uint_eq(t.e[0].closes, 0);
	t.e[1].reads_not = false;
	run_for(&t, 200 * SECOND);
	ck_assert_uint_eq(t.e[1].got, 100000);
	end_all(&t);
	run(&t, INT64_MAX);
	expect_done(&t);
	net_free(&t);
}
END_TEST

/* The update that says there is room again is lost. */
START_TEST(lost_window_update)
{
	struct net t = {.e[1] = {.rcvbuf = 20000, .reads_not = true}};

	t.e[0].goal = 30000;
	net_init(&t, 1, 5);
	connect_ends(&t);
	run_for(&t, SECOND);
	t.cut = true;
	t.e[1].reads_not = false;
	run_for(&t, 100 * MS);
	ck_assert_uint_eq(t.e[1].read, t.e[1].got);
	t.cut = false;
	run_for(&t, 5 * SECOND);
	ck_assert_uint_eq(t.e[1].got, 30000);
	net_free(&t);
}
END_TEST

START_TEST(half_close)
{
	for (int first = 0; first < 2; first++) {
		struct net t = {0};
		struct end *a, *b;

		net_init(&t, 1, 2);
		connect_ends(&t);
		a = &t.e[first];
		b = &t.e[!first];
		a->goal = 5000;
		a->ends = true;
		CALL(a, tcp_conn_output, t.now);
		run_for(&t, SECOND);
		ck_assert_int_eq(tcp_conn_state(a->c), TCPC_FIN_WAIT2);
		ck_assert_int_eq(tcp_conn_state(b->c), TCPC_CLOSE_WAIT);
		ck_assert_uint_eq(b->got, 5000);
		ck_assert_uint_eq(b->fins, 1);
		run_for(&t, 1000 * SECOND);
		ck_assert_int_eq(tcp_conn_state(a->c), TCPC_FIN_WAIT2);
		b->goal = 300000;
		run_for(&t, 10 * SECOND);
		ck_assert_uint_eq(a->got, 300000);
		b->ends = true;
		CALL(b, tcp_conn_output, t.now);
		ck_assert_int_eq(tcp_conn_state(b->c), TCPC_LAST_ACK);
		run_for(&t, SECOND);
		ck_assert_int_eq(tcp_conn_state(a->c), TCPC_TIME_WAIT);
		ck_assert_uint_eq(b->closes, 1);
		ck_assert_uint_eq(a->closes, 0);
		run_for(&t, 58 * SECOND);
		ck_assert_uint_eq(a->closes, 0);
		run_for(&t, 3 * SECOND);
		expect_done(&t);
		net_free(&t);
	}
}
END_TEST

START_TEST(both_open)
{
	for (uint32_t lose = 0; lose < 5; lose++) {
		struct net t = {.lose = lose ? lose + 1 : 0, .delay = 5 * MS};

		seed = 9 + lose;
		t.e[0].goal = t.e[1].goal = 50000;
		net_init(&t, 0xffffffff, 0xffffff00);
		CALL(&t.e[0], tcp_conn_connect, t.now);
		CALL(&t.e[1], tcp_conn_connect, t.now);
		if (!lose) {
			run_for(&t, 6 * MS);
			ck_assert_int_eq(tcp_conn_state(t.e[0].c), TCPC_SYN_RECEIVED);
			ck_assert_int_eq(tcp_conn_state(t.e[1].c), TCPC_SYN_RECEIVED);
		}
		run_for(&t, 300 * SECOND);
		ck_assert_int_eq(tcp_conn_state(t.e[0].c), TCPC_ESTABLISHED);
		ck_assert_int_eq(tcp_conn_state(t.e[1].c), TCPC_ESTABLISHED);
		t.lose = 0;
		end_all(&t);
		run(&t, INT64_MAX);
		expect_done(&t);
		net_free(&t);
	}
}
END_TEST

START_TEST(both_close)
{
	struct net t = {.delay = 5 * MS};

	t.e[0].goal = t.e[1].goal = 1000;
	net_init(&t, 1, 2);
	connect_ends(&t);
	end_all(&t);
	run_for(&t, 6 * MS);
	ck_assert_int_eq(tcp_conn_state(t.e[0].c), TCPC_CLOSING);
	ck_assert_int_eq(tcp_conn_state(t.e[1].c), TCPC_CLOSING);
	run_for(&t, 10 * MS);
	ck_assert_int_eq(tcp_conn_state(t.e[0].c), TCPC_TIME_WAIT);
	ck_assert_int_eq(tcp_conn_state(t.e[1].c), TCPC_TIME_WAIT);
	run(&t, INT64_MAX);
	expect_done(&t);
	net_free(&t);
}
END_TEST

START_TEST(nagle_and_cork)
{
	struct net t = {.delay = 10 * MS};
	struct end *e = &t.e[0];
	unsigned sent;

	net_init(&t, 1, 2);
	connect_ends(&t);
	sent = e->sent;
	for (int i = 0; i < 3; i++) {
		e->written = e->goal += 10;
		CALL(e, tcp_conn_output, t.now);
	}
	ck_assert_uint_eq(e->sent, sent + 1);
	ck_assert_uint_eq(e->last.flags, ACK | PSH);
	run_for(&t, 30 * MS);
	ck_assert_uint_eq(e->sent, sent + 2);
	ck_assert_uint_eq(e->last.len, 20);
	run_for(&t, SECOND);
	tcp_conn_params(e->c)->nodelay = true;
	for (int i = 0; i < 3; i++) {
		e->written = e->goal += 10;
		CALL(e, tcp_conn_output, t.now);
	}
	ck_assert_uint_eq(e->sent, sent + 5);
	run_for(&t, SECOND);
	tcp_conn_params(e->c)->cork = true;
	sent = e->sent;
	e->written = e->goal += 1500;
	CALL(e, tcp_conn_output, t.now);
	run_for(&t, 150 * MS);
	ck_assert_uint_eq(e->sent, sent + 1);
	run_for(&t, 60 * MS);
	ck_assert_uint_eq(e->sent, sent + 2);
	e->written = e->goal += 10;
	CALL(e, tcp_conn_output, t.now);
	ck_assert_uint_eq(e->sent, sent + 2);
	tcp_conn_params(e->c)->cork = false;
	CALL(e, tcp_conn_output, t.now);
	ck_assert_uint_eq(e->sent, sent + 3);
	run_for(&t, SECOND);
	ck_assert_uint_eq(t.e[1].got, e->goal);
	net_free(&t);
}
END_TEST

START_TEST(established_later)
{
	struct net t = {.e[1].refuse_established = 8};

	t.e[0].goal = 5000;
	net_init(&t, 1, 2);
	CALL(&t.e[0], tcp_conn_connect, t.now);
	run_for(&t, 100 * MS);
	ck_assert_int_eq(tcp_conn_state(t.e[0].c), TCPC_ESTABLISHED);
	ck_assert_int_eq(tcp_conn_state(t.e[1].c), TCPC_SYN_RECEIVED);
	run_for(&t, 20 * SECOND);
	ck_assert_int_eq(tcp_conn_state(t.e[1].c), TCPC_ESTABLISHED);
	ck_assert_uint_eq(t.e[1].got, 5000);
	end_all(&t);
	run(&t, INT64_MAX);
	expect_done(&t);
	net_free(&t);
}
END_TEST

START_TEST(smaller_path)
{
	struct net t = {.delay = 10 * MS};
	struct end *e = &t.e[0];
	struct tcp_conn_info i;

	net_init(&t, 1, 2);
	connect_ends(&t);
	t.cut = true; /* too large for the path */
	e->goal = 20000;
	e->ends = true;
	run_for(&t, 30 * MS);
	ck_assert_uint_eq(e->largest, 1448);
	t.cut = false;
	e->largest = 0;
	tcp_conn_params(e->c)->mss = 500;
	CALL(e, tcp_conn_mss_changed, t.now);
	ck_assert_uint_eq(e->largest, 488);
	tcp_conn_info(e->c, &i);
	ck_assert_uint_eq(i.snd_mss, 488);
	run_for(&t, 150 * MS);
	ck_assert_uint_eq(t.e[1].got, 20000);
	ck_assert_uint_eq(e->largest, 488);
	end_all(&t);
	run(&t, INT64_MAX);
	expect_done(&t);
	net_free(&t);
}
END_TEST

START_TEST(fast_retransmit)
{
	struct net t = {.delay = 50 * MS};
	struct end *e = &t.e[0];
	int64_t began;

	net_init(&t, 1, 2);
	connect_ends(&t);
	began = t.now;
	e->goal = e->written = 1448;
	t.cut = true;
	CALL(e, tcp_conn_output, t.now);
	t.cut = false;
	e->goal = e->written = 9 * 1448;
	CALL(e, tcp_conn_output, t.now);
	while (t.e[1].got < 9 * 1448)
		run_for(&t, MS);
	/* one round trip to learn of it, half of one to repair it; a timeout were 300 ms */
	ck_assert_int_le(t.now - began, 152 * MS);
	net_free(&t);
}
END_TEST

/* --- what fails */

START_TEST(refused)
{
	struct net t = {0};

	net_init(&t, 0xffffffff, 2);
	t.e[1].aborted = true;
	CALL(&t.e[0], tcp_conn_connect, t.now);
	run(&t, INT64_MAX);
	ck_assert_uint_eq(t.e[0].closes, 1);
	ck_assert_int_eq(t.e[0].err, ECONNREFUSED);
	net_free(&t);
}
END_TEST

START_TEST(syn_timeout)
{
	struct net t = {.cut = true};
	int64_t began;

	net_init(&t, 1, 2);
	began = t.now;
	CALL(&t.e[0], tcp_conn_connect, t.now);
	run(&t, INT64_MAX);
	ck_assert_int_eq(t.e[0].err, ETIMEDOUT);
	ck_assert_uint_eq(t.e[0].sent, 7);
	ck_assert_int_eq(t.now - began, 127 * SECOND);
	net_free(&t);
}
END_TEST

START_TEST(syn_unreachable)
{
	struct net t = {.cut = true};

	net_init(&t, 1, 2);
	CALL(&t.e[0], tcp_conn_connect, t.now);
	CALL(&t.e[0], tcp_conn_unreachable, EHOSTUNREACH, t.now);
	ck_assert_uint_eq(t.e[0].closes, 1);
	ck_assert_int_eq(t.e[0].err, EHOSTUNREACH);
	net_free(&t);
}
END_TEST

START_TEST(data_timeout)
{
	for (int how = 0; how < 4; how++) {
		struct net t = {0};
		struct end *e = &t.e[0];
		int64_t began, took;

		net_init(&t, 1, 2);
		connect_ends(&t);
		began = t.now;
		t.cut = true;
		e->goal = 5000;
		if (how == 1)
			tcp_conn_params(e->c)->user_timeout_ns = 7 * SECOND;
		if (how == 2)
			tcp_conn_params(e->c)->orphaned = e->ends = true;
		run_for(&t, SECOND);
		if (how == 3)
			CALL(e, tcp_conn_unreachable, EHOSTUNREACH, t.now);
		run(&t, INT64_MAX);
		took = t.now - began;
		ck_assert_uint_eq(e->closes, 1);
		ck_assert_int_eq(e->err, how == 3 ? EHOSTUNREACH : ETIMEDOUT);
		if (how == 1)
			ck_assert_int_eq(took, 7 * SECOND);
		else if (how == 2)
			ck_assert(took > 100 * SECOND && took < 220 * SECOND);
		else
			ck_assert(took > 920 * SECOND && took < 1050 * SECOND);
		net_free(&t);
	}
}
END_TEST

START_TEST(zero_window_timeouts)
{
	for (int how = 0; how < 3; how++) {
		struct net t = {.e[1] = {.rcvbuf = 5000, .reads_not = true}};
		struct end *e = &t.e[0];

		net_init(&t, 1, 2);
		connect_ends(&t);
		e->goal = 50000;
		run_for(&t, 10 * SECOND);
		if (how == 0) /* nobody answers */
			t.cut = true;
		if (how == 1)
			tcp_conn_params(e->c)->user_timeout_ns = 30 * SECOND;
		if (how == 2) { /* answered for ever, but nobody owns it */
			e->ends = tcp_conn_params(e->c)->orphaned = true;
			e->written = e->goal;
		}
		run_for(&t, 3000 * SECOND);
		ck_assert_uint_eq(e->closes, 1);
		ck_assert_int_eq(e->err, ETIMEDOUT);
		net_free(&t);
	}
}
END_TEST

START_TEST(keepalive)
{
	struct net t = {0};
	struct tcp_params *p;
	unsigned sent;
	int64_t began;

	net_init(&t, 1, 2);
	connect_ends(&t);
	p = tcp_conn_params(t.e[0].c);
	p->keepalive = true;
	p->keepidle_ns = 10 * SECOND;
	p->keepintvl_ns = 2 * SECOND;
	p->keepcnt = 3;
	sent = t.e[0].sent;
	run_for(&t, 1000 * SECOND);
	ck_assert_uint_eq(t.e[0].closes, 0);
	ck_assert_uint_ge(t.e[0].sent, sent + 99);
	ck_assert_uint_le(t.e[0].sent, sent + 101);
	began = t.now;
	t.cut = true;
	run(&t, INT64_MAX);
	ck_assert_int_eq(t.e[0].err, ETIMEDOUT);
	ck_assert_int_le(t.now - began, 16 * SECOND);
	ck_assert_int_ge(t.now - began, 6 * SECOND);
	ck_assert(t.e[0].last.flags & RST);
	net_free(&t);
}
END_TEST

START_TEST(orphan)
{
	struct net t = {0};

	/* FIN-WAIT-2 ends */
	net_init(&t, 1, 2);
	connect_ends(&t);
	t.e[0].ends = tcp_conn_params(t.e[0].c)->orphaned = true;
	CALL(&t.e[0], tcp_conn_output, t.now);
	run_for(&t, 59 * SECOND);
	ck_assert_int_eq(tcp_conn_state(t.e[0].c), TCPC_FIN_WAIT2);
	run_for(&t, 2 * SECOND);
	ck_assert_uint_eq(t.e[0].closes, 1);
	ck_assert_int_eq(t.e[0].err, 0);
	net_free(&t);
	/* data for nobody */
	t = (struct net){0};
	net_init(&t, 1, 2);
	connect_ends(&t);
	t.e[0].ends = tcp_conn_params(t.e[0].c)->orphaned = true;
	CALL(&t.e[0], tcp_conn_output, t.now);
	run_for(&t, SECOND);
	t.e[1].goal = 100;
	run_for(&t, SECOND);
	ck_assert_int_eq(t.e[0].err, ECONNRESET);
	ck_assert_int_eq(t.e[1].err, ECONNRESET);
	ck_assert_uint_eq(t.e[0].closes, 1);
	ck_assert_uint_eq(t.e[1].closes, 1);
	net_free(&t);
}
END_TEST

START_TEST(aborted)
{
	for (int half = 0; half < 4; half++) {
		struct net t = {0};

		net_init(&t, 1, 2);
		connect_ends(&t);
		for (int i = 0; i < 2; i++) {
			t.e[i].ends = half & (1 << i);
			CALL(&t.e[i], tcp_conn_output, t.now);
			run_for(&t, SECOND);
		}
		if (half == 3) { /* TIME-WAIT has nothing to say */
			net_free(&t);
			continue;
		}
		CALL(&t.e[0], tcp_conn_abort, t.now);
		t.e[0].aborted = true;
		ck_assert(t.e[0].last.flags & RST);
		run(&t, INT64_MAX);
		ck_assert_uint_eq(t.e[1].closes, 1);
		ck_assert_int_eq(t.e[1].err, ECONNRESET);
		net_free(&t);
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
	TCase *c = tcase_create("tcp");

	tcase_add_checked_fixture(c, begin, NULL);
	tcase_add_test(c, handshake);
	tcase_add_test(c, bulk_clean);
	tcase_add_test(c, bulk_bad);
	tcase_add_test(c, one_way_speed);
	tcase_add_test(c, slow_reader);
	tcase_add_test(c, lost_window_update);
	tcase_add_test(c, half_close);
	tcase_add_test(c, both_open);
	tcase_add_test(c, both_close);
	tcase_add_test(c, nagle_and_cork);
	tcase_add_test(c, established_later);
	tcase_add_test(c, smaller_path);
	tcase_add_test(c, fast_retransmit);
	tcase_add_test(c, refused);
	tcase_add_test(c, syn_timeout);
	tcase_add_test(c, syn_unreachable);
	tcase_add_test(c, data_timeout);
	tcase_add_test(c, zero_window_timeouts);
	tcase_add_test(c, keepalive);
	tcase_add_test(c, orphan);
	tcase_add_test(c, aborted);
	tcase_set_timeout(c, 60);
	return suite_run("tcp", c);
}
