/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an ACK says: round trips (RFC 6298), congestion (RFC 5681, NewReno of RFC 6582), the window
 * of the other side, and that our FIN has arrived.
 */
#include "internal.h"

#define DUPACKS 3u

bool
tcp_ack_is_valid(const struct tcp_conn *c, uint32_t ack)
{
	/* RFC 5961, 5 */
	return seq_le(c->snd_una - c->snd_wnd_max, ack) && seq_le(ack, c->snd_max);
}

void
tcp_rtt_sample(struct tcp_conn *c, int64_t rtt_ns)
{
	int64_t d, var;

	if (rtt_ns < 1)
		rtt_ns = 1;
	if (rtt_ns > RTO_MAX)
		rtt_ns = RTO_MAX;
	if (!c->srtt) {
		c->srtt = rtt_ns;
		c->rttvar = rtt_ns / 2;
	} else {
		d = rtt_ns > c->srtt ? rtt_ns - c->srtt : c->srtt - rtt_ns;
		c->rttvar += (d - c->rttvar) / 4;
		c->srtt += (rtt_ns - c->srtt) / 8;
		if (c->srtt < 1)
			c->srtt = 1;
	}
	/* as Linux: the minimum is one of what is added, for delayed ACKs come on top */
	var = 4 * c->rttvar;
	c->rto = c->srtt + (var < RTO_MIN ? RTO_MIN : var);
	if (c->rto > RTO_MAX)
		c->rto = RTO_MAX;
}

void
tcp_go_back(struct tcp_conn *c)
{
	c->snd_nxt = c->snd_una;
	c->recover = c->snd_max;
	c->recovering = false;
	c->dupacks = 0;
	c->timing = false;
}

static void
take_rtt(struct tcp_conn *c, const struct tcp_segment *s, int64_t now_ns)
{
	if (c->timing && seq_le(c->timed_end, s->ack)) {
		tcp_rtt_sample(c, now_ns - c->timed_ns);
		c->timing = false;
	} else if (!c->timing && c->ts_ok && s->has_timestamp && s->tsecr) {
		/* after a retransmission: it tells which of both is meant */
		uint32_t ms = ts_clock(now_ns) - s->tsecr;

		if (ms <= RTO_MAX / MS)
			tcp_rtt_sample(c, ms * MS);
	}
}

static void
add_cwnd(struct tcp_conn *c, uint32_t n)
{
	c->cwnd = c->cwnd < CWND_MAX - n ? c->cwnd + n : CWND_MAX;
}

/* By bytes (RFC 3465), or who acknowledges each byte for itself would gain by it. */
static void
grow(struct tcp_conn *c, uint32_t acked, uint32_t flight)
{
	uint32_t mss = tcp_conn_mss(c);

	if (flight < c->cwnd / 2)
		return;
	if (c->cwnd < c->ssthresh) {
		add_cwnd(c, min_u32(acked, c->snd_nxt == c->snd_max ? 2 * mss : mss));
		return;
	}
	c->counted += min_u32(acked, c->cwnd);
	if (c->counted >= c->cwnd) {
		c->counted -= c->cwnd;
		add_cwnd(c, mss);
	}
}

/* In fast recovery, something new was acknowledged. True: the timer starts anew. */
static bool
recover(struct tcp_conn *c, uint32_t acked, int64_t now_ns)
{
	uint32_t mss = tcp_conn_mss(c), left = c->snd_max - c->snd_una;
	bool first = !c->partial_seen;

	if (seq_le(c->recover, c->snd_una)) {
		c->recovering = false;
		c->cwnd = min_u32(c->ssthresh, max_u32(left, mss) + mss);
		return true;
	}
	c->partial_seen = true;
	c->cwnd = c->cwnd > mss + acked ? c->cwnd - acked : mss;
	if (acked >= mss)
		add_cwnd(c, mss);
	tcp_send_first(c, now_ns);
	return first;
}

static void
take_duplicate(struct tcp_conn *c, int64_t now_ns)
{
	uint32_t mss = tcp_conn_mss(c), flight = c->snd_max - c->snd_una;

	if (c->recovering) {
		/* no more of them than segments that can have left the path */
		if (c->cwnd < c->ssthresh + flight + DUPACKS * mss)
			add_cwnd(c, mss);
		return;
	}
	if (++c->dupacks != DUPACKS || !seq_lt(c->recover, c->snd_una))
		return;
	c->ssthresh = max_u32(flight / 2, 2 * mss);
	c->recover = c->snd_max;
	c->recovering = true;
	c->partial_seen = false;
	c->cwnd = c->ssthresh + DUPACKS * mss;
	tcp_send_first(c, now_ns);
	c->rto_at = now_ns + c->rto;
}

/* RFC 9293, 3.10.7.4: not by a segment that is older than the last that did. */
static void
take_window(struct tcp_conn *c, const struct tcp_segment *s)
{
	if (seq_lt(s->seq, c->snd_wl1) || (s->seq == c->snd_wl1 && seq_lt(s->ack, c->snd_wl2)))
		return;
	c->snd_wnd = (uint32_t)s->window << c->snd_wscale;
	c->snd_wnd_max = max_u32(c->snd_wnd_max, c->snd_wnd);
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
}

static void
take_new(struct tcp_conn *c, const struct tcp_segment *s, int64_t now_ns)
{
	uint32_t acked = s->ack - c->snd_una, flight = c->snd_max - c->snd_una, bytes = acked;
	bool restart = true;

	if (c->fin_sent && seq_lt(c->fin_seq, s->ack)) {
		c->fin_acked = true;
		bytes--;
	}
	take_rtt(c, s, now_ns);
	c->snd_una = s->ack;
	if (seq_lt(c->snd_nxt, c->snd_una))
		c->snd_nxt = c->snd_una;
	if (seq_lt(c->small_end, c->snd_una))
		c->small_end = c->snd_una;
	c->retransmits = 0;
	c->persist_backoff = 0;
	c->soft_err = 0;
	c->waits_ns = NEVER;
	/* before anything is sent again: offsets count from here on */
	if (bytes)
		c->ops->acked(c->user, bytes);
	if (c->recovering) {
		restart = recover(c, acked, now_ns);
	} else {
		grow(c, acked, flight);
		/* what is behind by half the numbers would be in front */
		if (seq_lt(c->recover, c->snd_una - 1))
			c->recover = c->snd_una - 1;
	}
	c->dupacks = 0;
	if (!tcp_outstanding(c))
		c->rto_at = NEVER;
	else if (restart)
		c->rto_at = now_ns + c->rto;
}

void
tcp_take_ack(struct tcp_conn *c, const struct tcp_segment *s, int64_t now_ns)
{
	bool same = (uint32_t)s->window << c->snd_wscale == c->snd_wnd;

	if (seq_lt(s->ack, c->snd_una))
		return;
	take_window(c, s);
	if (s->ack != c->snd_una)
		take_new(c, s, now_ns);
	else if (tcp_outstanding(c) && same && !s->len && !(s->flags & FIN))
		take_duplicate(c, now_ns);
	if (!c->fin_acked)
		return;
	if (c->state == TCPC_FIN_WAIT1) {
		c->state = TCPC_FIN_WAIT2;
		c->fin_wait2_ns = now_ns;
	} else if (c->state == TCPC_CLOSING) {
		tcp_conn_time_wait(c, now_ns);
	} else if (c->state == TCPC_LAST_ACK) {
		tcp_conn_end(c, 0);
	}
}
