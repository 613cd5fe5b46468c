/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends of TCP, the network between them, and a clock that is only counted. */
#ifndef TESTS_UNIT_NET_TCP_KIT_H
#define TESTS_UNIT_NET_TCP_KIT_H

#include "lib/suite.h"
#include "sentry/net/tcp/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* As ck_assert, which writes to a file each time: this is asked for each byte. */
#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			ck_abort_msg("%s", #x);                                                    \
	} while (0)

static uint64_t seed;

static uint32_t
rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16);
}

static inline bool
one_in(uint32_t n)
{
	return n && rnd() % n == 0;
}

/* Byte number i of what end e writes. */
static uint8_t
content(int e, uint64_t i)
{
	return (uint8_t)((i * 2654435761u) >> 11 ^ i ^ (unsigned)e * 85);
}

/* --- one end, and what it is used by */

struct end {
	struct tcp_conn *c;
	int self; /* 0, 1 */
	struct net *net;
	uint64_t written, acked; /* bytes so far */
	uint64_t goal;		 /* to be written in all */
	bool ends;		 /* behind that */
	uint64_t got, read;
	uint32_t sndbuf, rcvbuf;
	uint32_t refuse_established, refuse_deliver; /* so many times; one in so many */
	unsigned established, fins, closes, sent;
	int err;
	bool in_call, aborted, reads_not, checked;
	struct tcp_segment last; /* that it sent */
	uint32_t largest;
};

struct packet {
	struct packet *next;
	int64_t at;
	int to;
	size_t n;
	uint8_t b[];
};

struct net {
	struct end e[2];
	int64_t now, delay, jitter;
	uint32_t lose, twice; /* one in so many */
	bool cut;
	int64_t tick; /* how often programs run */
	struct packet *first;
	unsigned carried;
};

static uint32_t
user_queued(void *user)
{
	struct end *e = user;

	MUST(e->in_call);
	return (uint32_t)(e->written - e->acked);
}

static void
peek(void *user, uint32_t off, uint8_t *buf, uint32_t n)
{
	struct end *e = user;

	MUST(e->in_call);
	MUST(n > 0);
	MUST(e->acked + off + n <= e->written);
	for (uint32_t i = 0; i < n; i++)
		buf[i] = content(e->self, e->acked + off + i);
}

static void
user_acked(void *user, uint32_t n)
{
	struct end *e = user;

	MUST(e->in_call);
	MUST(n > 0);
	e->acked += n;
	MUST(e->acked <= e->written);
}

static bool
user_ended(void *user)
{
	struct end *e = user;

	return e->ends && e->written >= e->goal;
}

static uint32_t
user_room(void *user)
{
	struct end *e = user;
	uint64_t used = e->got - e->read;

	return used < e->rcvbuf ? e->rcvbuf - (uint32_t)used : 0;
}

static bool
user_deliver(void *user, const uint8_t *p, uint32_t n)
{
	struct end *e = user;

	MUST(e->in_call);
	MUST(n > 0);
	MUST(e->fins == 0);
	MUST(e->closes == 0);
	MUST(e->established > 0);
	MUST(n <= user_room(e));
	if (one_in(e->refuse_deliver))
		return false;
	for (uint32_t i = 0; e->checked && i < n; i++)
		MUST(p[i] == content(!e->self, e->got + i));
	e->got += n;
	return true;
}

static bool
user_established(void *user)
{
	struct end *e = user;

	MUST(e->in_call);
	MUST(e->established == 0);
	if (e->refuse_established) {
		e->refuse_established--;
		return false;
	}
	e->established++;
	return true;
}

static void
user_fin(void *user)
{
	struct end *e = user;

	MUST(e->in_call);
	MUST(e->fins == 0);
	e->fins++;
}

static void
user_closed(void *user, int err)
{
	struct end *e = user;

	MUST(e->in_call);
	MUST(!e->aborted);
	MUST(e->closes == 0);
	e->closes++;
	e->err = err;
}

static void
put_packet(struct net *t, int to, const uint8_t *b, size_t n)
{
	struct packet *k = malloc(sizeof *k + n), **at = &t->first;

	k->at = t->now + t->delay +
		(t->jitter ? (int64_t)(rnd() % (uint32_t)(t->jitter / 1000)) * 1000 : 0);
	k->to = to;
	k->n = n;
	memcpy(k->b, b, n);
	while (*at && (*at)->at <= k->at)
		at = &(*at)->next;
	k->next = *at;
	*at = k;
}

static void
user_send(void *user, const uint8_t *head, size_t head_n, uint32_t off, uint32_t len)
{
	static uint8_t segment[TCP_SEGMENT_HEADER + TCP_OPTIONS_MAX + 65536];
	struct end *e = user;
	struct net *t = e->net;
	size_t n = head_n + len;

	MUST(e->in_call);
	MUST(n <= sizeof segment);
	memcpy(segment, head, head_n);
	if (len)
		peek(e, off, segment + head_n, len);
	MUST(tcp_segment_parse(segment, n, &e->last) == 0);
	MUST(e->last.sport == (e->self ? 80 : 4000));
	MUST(e->last.dport == (e->self ? 4000 : 80));
	e->sent++;
	if (e->last.len > e->largest)
		e->largest = e->last.len;
	if (!t || t->cut || one_in(t->lose))
		return;
	put_packet(t, !e->self, segment, n);
	if (one_in(t->twice))
		put_packet(t, !e->self, segment, n);
}

static const struct tcp_user_ops ops = {user_queued, user_acked, user_ended, user_room,
	user_deliver, user_established, user_fin, user_closed, user_send};

static inline struct tcp_params
params_of(const struct end *e, uint32_t isn)
{
	return (struct tcp_params){
		.local_port = e->self ? 80 : 4000,
		.remote_port = e->self ? 4000 : 80,
		.isn = isn,
		.mss = 1460,
		.rcvbuf = e->rcvbuf,
		.syn_retries = 6,
		.retries = 15,
		.keepidle_ns = 7200 * SECOND,
		.keepintvl_ns = 75 * SECOND,
		.keepcnt = 9,
	};
}

static inline void
end_init(struct end *e, struct net *t, int self, uint32_t isn)
{
	struct tcp_params p;

	if (!e->rcvbuf)
		e->rcvbuf = 200000;
	if (!e->sndbuf)
		e->sndbuf = 200000;
	e->net = t;
	e->self = self;
	e->checked = t;
	p = params_of(e, isn);
	e->c = tcp_conn_new(&ops, e, &p);
	MUST(e->c);
}

#define CALL(e, f, ...)                                                                            \
	do {                                                                                       \
		MUST(!(e)->in_call);                                                               \
		(e)->in_call = true;                                                               \
		f((e)->c, __VA_ARGS__);                                                            \
		(e)->in_call = false;                                                              \
	} while (0)

static inline void
net_init(struct net *t, uint32_t isn0, uint32_t isn1)
{
	t->now = t->now ? t->now : 5 * SECOND;
	t->tick = t->tick ? t->tick : MS;
	t->delay = t->delay ? t->delay : MS;
	end_init(&t->e[0], t, 0, isn0);
	end_init(&t->e[1], t, 1, isn1);
}

static inline void
net_free(struct net *t)
{
	while (t->first) {
		struct packet *k = t->first;

		t->first = k->next;
		free(k);
	}
	tcp_conn_free(t->e[0].c);
	tcp_conn_free(t->e[1].c);
	tcp_conn_free(NULL);
}

static inline void
arrive(struct net *t, const struct packet *k)
{
	struct end *e = &t->e[k->to];
	uint8_t b[TCP_SEGMENT_HEADER];
	struct tcp_segment s;
	size_t n;

	MUST(tcp_segment_parse(k->b, k->n, &s) == 0);
	t->carried++;
	if (!e->aborted && tcp_conn_state(e->c) == TCPC_CLOSED && !e->closes && s.flags == SYN) {
		CALL(e, tcp_conn_accept, &s, t->now);
	} else if (tcp_conn_state(e->c) == TCPC_CLOSED) {
		n = tcp_reset_for(&s, b);
		if (n && !t->cut)
			put_packet(t, !k->to, b, n);
	} else {
		CALL(e, tcp_conn_input, &s, t->now);
	}
}

/* The program: writes what there is room for, reads what came. */
static inline void
program(struct net *t, struct end *e)
{
	uint64_t may = e->acked + e->sndbuf;
	bool more = false;

	if (e->closes || e->aborted || !e->established)
		return;
	if (e->written < e->goal && e->written < may) {
		e->written = e->goal < may ? e->goal : may;
		more = true;
	}
	if (e->read < e->got && !e->reads_not) {
		e->read += 1 + rnd() % (e->got - e->read);
		more = true;
	}
	if (more || user_ended(e))
		CALL(e, tcp_conn_output, t->now);
}

static inline bool
is_idle(const struct net *t)
{
	for (int i = 0; i < 2; i++) {
		const struct end *e = &t->e[i];

		if (!e->closes && !e->aborted && e->established &&
			(e->written < e->goal || (e->read < e->got && !e->reads_not)))
			return false;
	}
	return true;
}

/* Until `until`, or nothing more happens by itself. */
static inline void
run(struct net *t, int64_t until)
{
	int64_t programs = t->now;

	for (unsigned steps = 0;; steps++) {
		int64_t next = t->first ? t->first->at : INT64_MAX;

		MUST(steps < 5000000);
		for (int i = 0; i < 2; i++) {
			int64_t d = tcp_conn_deadline(t->e[i].c);

			if (d < next)
				next = d;
		}
		if (!is_idle(t) && programs < next)
			next = programs;
		if (next > until || next == INT64_MAX)
			break;
		if (next > t->now)
			t->now = next;
		while (t->first && t->first->at <= t->now) {
			struct packet *k = t->first;

			t->first = k->next;
			arrive(t, k);
			free(k);
		}
		for (int i = 0; i < 2; i++) {
			if (tcp_conn_deadline(t->e[i].c) <= t->now)
				CALL(&t->e[i], tcp_conn_timer, t->now);
			MUST(tcp_conn_deadline(t->e[i].c) > t->now);
		}
		if (programs <= t->now) {
			program(t, &t->e[0]);
			program(t, &t->e[1]);
			programs = t->now + t->tick;
		}
	}
	if (until != INT64_MAX)
		t->now = until;
}

static inline void
run_for(struct net *t, int64_t ns)
{
	run(t, t->now + ns);
}

#endif
