/* SPDX-License-Identifier: Apache-2.0 */
/* What leaves: as much as both windows, Nagle and the silly window syndrome let. */
#include "internal.h"

#define CORK_NS (200 * MS)

bool
tcp_outstanding(const struct tcp_conn *c)
{
	return c->snd_max != c->snd_una;
}

uint32_t
tcp_conn_mss(const struct tcp_conn *c)
{
	uint32_t mss = min_u32(c->peer_mss, c->p.mss);

	return max_u32(mss, MSS_MIN) - (c->ts_ok ? TIMESTAMP_LEN : 0);
}

/* As much more room is worth telling of: a part of what can be told of at all, which without
 * scaling may be less than a packet. */
static uint32_t
enough(const struct tcp_conn *c)
{
	uint32_t most = min_u32(c->p.rcvbuf, 65535u << c->rcv_wscale);

	return max_u32(min_u32(most / 4, c->p.mss), 1);
}

/* The window to tell of, moved on if there is room for enough more (RFC 9293, 3.8.6.2.2). What was
 * once told is never taken back. */
static uint32_t
window(struct tcp_conn *c)
{
	uint32_t told = c->rcv_adv - c->rcv_nxt, room = c->ops->room(c->user);

	room = min_u32(room, 65535u << c->rcv_wscale) >> c->rcv_wscale << c->rcv_wscale;
	if (room > told && room - told >= enough(c))
		c->rcv_adv = c->rcv_nxt + room;
	return min_u32((c->rcv_adv - c->rcv_nxt) >> c->rcv_wscale, 65535);
}

/* n bytes of the user's from off on, behind what is in front of them. */
static void
emit(struct tcp_conn *c, struct tcp_segment *s, uint32_t off, uint32_t n, int64_t now_ns)
{
	uint8_t head[TCP_SEGMENT_HEADER + TCP_OPTIONS_MAX], *options = head + TCP_SEGMENT_HEADER;
	size_t len = 0;

	s->sport = c->p.local_port;
	s->dport = c->p.remote_port;
	if (s->flags & SYN) {
		len = tcp_syn_options_put(options, s);
	} else if (c->ts_ok) {
		len = tcp_timestamp_put(options, ts_clock(now_ns), c->ts_recent);
	}
	if (!(s->flags & SYN))
		s->window = (uint16_t)window(c);
	if (s->flags & ACK) {
		s->ack = c->rcv_nxt;
		c->rcv_acked = c->rcv_nxt;
		c->ack_now = false;
		c->ack_at = NEVER;
	}
	tcp_header_put(head, s, len);
	c->ops->send(c->user, head, TCP_SEGMENT_HEADER + len, off, n);
}

void
tcp_send_syn(struct tcp_conn *c, int64_t now_ns)
{
	bool answer = c->state == TCPC_SYN_RECEIVED;
	struct tcp_segment s = {
		.seq = c->p.isn,
		.flags = (uint8_t)(SYN | (answer ? ACK : 0)),
		.window = (uint16_t)min_u32(c->ops->room(c->user), 65535),
		.mss = c->p.mss,
		.has_timestamp = answer ? c->ts_ok : !c->p.no_timestamps,
		.has_wscale = answer ? c->wscale_ok : !c->p.no_scaling,
		.tsval = ts_clock(now_ns),
		.tsecr = answer ? c->ts_recent : 0,
		.wscale = c->rcv_wscale,
	};

	if (answer && seq_lt(c->rcv_adv, c->rcv_nxt + s.window))
		c->rcv_adv = c->rcv_nxt + s.window;
	if (c->snd_max == c->p.isn) {
		c->timing = true;
		c->timed_end = c->p.isn + 1;
		c->timed_ns = now_ns;
	}
	c->snd_nxt = c->snd_max = c->p.isn + 1;
	emit(c, &s, 0, 0, now_ns);
}

void
tcp_send_reset(struct tcp_conn *c, uint32_t seq, bool with_ack)
{
	struct tcp_segment s = {
		.sport = c->p.local_port, .dport = c->p.remote_port, .seq = seq, .flags = RST};
	uint8_t head[TCP_SEGMENT_HEADER];

	if (with_ack) {
		s.flags |= ACK;
		s.ack = c->rcv_nxt;
	}
	tcp_header_put(head, &s, 0);
	c->ops->send(c->user, head, sizeof head, 0, 0);
}

static void
send_ack(struct tcp_conn *c, int64_t now_ns)
{
	struct tcp_segment s = {.seq = c->snd_max, .flags = ACK};

	/* The other side may have made its window smaller: beyond it nothing counts. */
	if (tcp_conn_is_synchronized(c) && seq_lt(c->snd_una + c->snd_wnd, s.seq))
		s.seq = c->snd_una + c->snd_wnd;
	emit(c, &s, 0, 0, now_ns);
}

/* As Linux': what was there already is asked for again, and an ACK answers. */
void
tcp_send_probe(struct tcp_conn *c, int64_t now_ns)
{
	struct tcp_segment s = {.seq = c->snd_una - 1, .flags = ACK};

	emit(c, &s, 0, 0, now_ns);
}

static void
send_text(struct tcp_conn *c, uint32_t seq, uint32_t n, bool psh, bool fin, int64_t now_ns)
{
	struct tcp_segment s = {.seq = seq, .flags = ACK};
	uint32_t end = seq + n + fin;

	if (psh && n)
		s.flags |= PSH;
	if (fin) {
		s.flags |= FIN;
		c->fin_sent = true;
		c->fin_seq = seq + n;
	}
	if (c->ack_at != NEVER && n) /* they talk in turns: the ACK may travel with the answer */
		c->quick = 0;
	if (seq_lt(seq, c->snd_max)) {
		c->total_retrans++;
		if (c->timing && seq_lt(seq, c->timed_end))
			c->timing = false;
	} else if (!c->timing) {
		c->timing = true;
		c->timed_end = end;
		c->timed_ns = now_ns;
	}
	if (n < tcp_conn_mss(c) && seq_lt(c->small_end, end))
		c->small_end = end;
	if (seq_lt(c->snd_max, end))
		c->snd_max = end;
	if (c->rto_at == NEVER)
		c->rto_at = now_ns + c->rto;
	c->sent_ns = now_ns;
	emit(c, &s, seq - c->snd_una, n, now_ns);
}

/* Bytes of the user's between snd_una and the FIN. */
static uint32_t
queued(const struct tcp_conn *c)
{
	uint32_t n = c->ops->queued(c->user);

	if (c->fin_sent)
		n = min_u32(n, c->fin_acked ? 0 : c->fin_seq - c->snd_una);
	return n;
}

void
tcp_send_first(struct tcp_conn *c, int64_t now_ns)
{
	uint32_t text = c->snd_max - c->snd_una - (c->fin_sent && !c->fin_acked), n;
	bool fin;

	text = min_u32(text, queued(c));
	n = min_u32(min_u32(text, tcp_conn_mss(c)), c->snd_wnd);
	fin = c->fin_sent && !c->fin_acked && c->snd_una + n == c->fin_seq && n < c->snd_wnd;
	if (n || fin)
		send_text(c, c->snd_una, n, n == text, fin, now_ns);
}

/* May a segment of n bytes that is not full leave? */
static bool
is_worth_it(struct tcp_conn *c, uint32_t n, bool all, bool ended, int64_t now_ns)
{
	if (seq_lt(c->snd_nxt, c->snd_max))
		return true;
	if (!all)
		return n >= c->snd_wnd_max / 2;
	if (ended)
		return true;
	if (c->p.cork) {
		if (c->cork_at == NEVER)
			c->cork_at = now_ns + CORK_NS;
		return false;
	}
	return c->p.nodelay || seq_le(c->small_end, c->snd_una);
}

/* cwnd has room for n more behind off. The first two duplicates let one more out each (RFC 3042).
 */
static bool
cwnd_lets(const struct tcp_conn *c, uint32_t off, uint32_t n, uint32_t mss)
{
	uint32_t more = c->recovering || c->snd_nxt != c->snd_max ? 0 : min_u32(c->dupacks, 2);

	return !off || off + n <= c->cwnd + more * mss;
}

/* True: something waits for a window that is larger. */
static bool
send_all(struct tcp_conn *c, bool force, bool ended, int64_t now_ns)
{
	uint32_t mss = tcp_conn_mss(c);

	for (;;) {
		uint32_t q = queued(c), off = c->snd_nxt - c->snd_una, left, n, wnd;
		bool fin;

		if (off > q || (c->fin_sent && c->fin_acked))
			return false;
		left = q - off;
		wnd = c->snd_wnd > off ? c->snd_wnd - off : 0;
		n = min_u32(min_u32(left, wnd), mss);
		fin = ended && n == left && n < wnd;
		if (!n && !fin)
			return left || ended;
		if (!cwnd_lets(c, off, n, mss))
			return false;
		if (n < mss && !fin && !force && !is_worth_it(c, n, n == left, ended, now_ns))
			return n < left;
		send_text(c, c->snd_nxt, n, n == left, fin, now_ns);
		c->snd_nxt += n + fin;
		c->cork_at = NEVER;
		force = false;
	}
}

/* Is it time to tell that there is room again? As tcp_cleanup_rbuf: when it is twice as much. */
static bool
is_window_news(struct tcp_conn *c)
{
	uint32_t told = c->rcv_adv - c->rcv_nxt, room;

	if (!tcp_conn_may_receive(c) || told >= 65535u << c->rcv_wscale)
		return false;
	room = min_u32(c->ops->room(c->user), 65535u << c->rcv_wscale);
	room = room >> c->rcv_wscale << c->rcv_wscale;
	if (room <= told || room - told < enough(c))
		return false;
	return room / 2 >= told || (told < c->rcv_mss && room >= c->rcv_mss);
}

/* Just one of both runs: that for what is on its way, or that for what cannot get on it. */
static void
set_timers(struct tcp_conn *c, bool waits, int64_t now_ns)
{
	if (waits && c->snd_nxt == c->snd_una && (!tcp_outstanding(c) || !c->snd_wnd)) {
		c->rto_at = NEVER;
		if (c->persist_at == NEVER)
			c->persist_at = now_ns + c->rto;
	} else {
		c->persist_at = NEVER;
		c->persist_backoff = 0;
		if (tcp_outstanding(c) && c->rto_at == NEVER)
			c->rto_at = now_ns + c->rto;
	}
	if (!tcp_outstanding(c) && c->persist_at == NEVER)
		c->waits_ns = NEVER;
	else if (c->waits_ns == NEVER)
		c->waits_ns = now_ns;
}

void
tcp_send(struct tcp_conn *c, bool force, int64_t now_ns)
{
	uint32_t initial;
	bool ended;

	if (tcp_conn_is_synchronized(c) && c->state != TCPC_TIME_WAIT) {
		ended = c->fin_sent || c->ops->ended(c->user);
		if (ended && c->state == TCPC_ESTABLISHED)
			c->state = TCPC_FIN_WAIT1;
		else if (ended && c->state == TCPC_CLOSE_WAIT)
			c->state = TCPC_LAST_ACK;
		c->mss_used = tcp_conn_mss(c);
		initial = INITIAL_WINDOW * c->mss_used;
		/* RFC 5681, 4.1: what was known of the path is not known any more */
		if (!tcp_outstanding(c) && now_ns - c->sent_ns > c->rto && c->cwnd > initial)
			c->cwnd = initial;
		set_timers(c, send_all(c, force, ended, now_ns), now_ns);
	}
	if (c->ack_now)
		send_ack(c, now_ns);
}

void
tcp_conn_output(struct tcp_conn *c, int64_t now_ns)
{
	if (c->state == TCPC_CLOSED)
		return;
	tcp_conn_note(c, now_ns);
	if (!tcp_conn_is_synchronized(c))
		return;
	tcp_send(c, false, now_ns);
	if (is_window_news(c))
		send_ack(c, now_ns);
}
