/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment came (RFC 9293, 3.10.7). Each check is made in the order of the RFC, with RFC 5961's
 * challenges in place of what would trust a segment that was merely guessed.
 */
#include "internal.h"
#include <errno.h>

#define DELAYED_ACK_NS (40 * MS)
#define SOON_NS	       (8 * MS)			 /* TCP_TIMEOUT_MIN */
#define REFUSED_NS     (500 * MS)		 /* tcp_invalid_ratelimit */
#define TS_OLD_NS      (24 * 24 * 3600 * SECOND) /* RFC 7323, 5.5 */

/* An ACK for what is not taken. If both sides think so of each other's ACKs, they would never end:
 * therefore not often, but for data, which no ACK has. */
static void
refuse(struct tcp_conn *c, const struct tcp_segment *s, int64_t now_ns)
{
	bool text = s->len || s->flags & FIN;

	if (s->flags & RST)
		return;
	if (!text || s->flags & SYN) {
		if (c->refused_ns != NEVER && now_ns - c->refused_ns < REFUSED_NS)
			return;
		c->refused_ns = now_ns;
	}
	c->ack_now = true;
}

static void
challenge(struct tcp_conn *c, int64_t now_ns)
{
	refuse(c, &(struct tcp_segment){0}, now_ns);
}

/* The other side has agreed. False: whom it is for does not. */
static bool
stand(struct tcp_conn *c, const struct tcp_segment *s, uint8_t wscale, int64_t now_ns)
{
	enum tcp_conn_state was = c->state;
	uint32_t una = c->snd_una;

	c->state = TCPC_ESTABLISHED;
	c->snd_una = c->snd_nxt = s->ack;
	if (!c->ops->established(c->user)) {
		c->state = was;
		c->snd_una = una;
		c->timing = c->ack_now = false;
		return false;
	}
	c->snd_wnd = (uint32_t)s->window << wscale;
	c->snd_wnd_max = max_u32(c->snd_wnd_max, c->snd_wnd);
	c->snd_wl1 = s->seq;
	c->snd_wl2 = s->ack;
	if (c->timing)
		tcp_rtt_sample(c, now_ns - c->timed_ns);
	c->timing = false;
	c->heard_ns = now_ns;
	c->small_end = c->recover = s->ack - 1;
	tcp_conn_start(c);
	return true;
}

static void
input_syn_sent(struct tcp_conn *c, const struct tcp_segment *s, int64_t now_ns)
{
	bool acks = s->flags & ACK;

	if (acks && (seq_le(s->ack, c->p.isn) || seq_lt(c->snd_max, s->ack))) {
		if (!(s->flags & RST))
			tcp_send_reset(c, s->ack, false);
		/* what keeps ours from being taken may be gone by now (Linux does so) */
		if (!c->retransmits && now_ns + SOON_NS < c->rto_at)
			c->rto_at = now_ns + SOON_NS;
		return;
	}
	if (s->flags & RST) {
		if (acks)
			tcp_conn_end(c, ECONNREFUSED);
		return;
	}
	if (!(s->flags & SYN))
		return;
	/* What else is in it is not acknowledged, and comes again. */
	tcp_conn_take_options(c, s, now_ns);
	if (!acks) {
		c->state = TCPC_SYN_RECEIVED;
		c->timing = false;
		tcp_send_syn(c, now_ns);
		return;
	}
	if (stand(c, s, 0, now_ns)) {
		c->ack_now = true;
		tcp_send(c, false, now_ns);
	}
}

/* A SYN in SYN-RECEIVED. True: that is all there is to it. */
static bool
input_again_syn(struct tcp_conn *c, struct tcp_segment *s, int64_t now_ns)
{
	if (s->seq != c->irs)
		return false;
	if (!(s->flags & ACK)) {
		if (c->refused_ns == NEVER || now_ns - c->refused_ns >= REFUSED_NS) {
			c->refused_ns = now_ns;
			c->total_retrans++;
			c->timing = false;
			tcp_send_syn(c, now_ns);
		}
		return true;
	}
	/* Both have opened, and this is the other's answer; it has not got ours perhaps. */
	s->flags = ACK;
	s->seq++;
	s->len = 0;
	s->window = (uint16_t)(s->window >> c->snd_wscale); /* not scaled in a SYN */
	c->ack_now = true;
	return false;
}

/* PAWS (RFC 7323, 5.3) */
static bool
is_old(const struct tcp_conn *c, const struct tcp_segment *s, int64_t now_ns)
{
	return c->ts_ok && s->has_timestamp && !(s->flags & RST) &&
	       seq_lt(s->tsval, c->ts_recent) && now_ns - c->ts_recent_ns < TS_OLD_NS;
}

/* As tcp_sequence: a little more than the RFC has, from what was acknowledged last to the end of
 * the window, so that an ACK counts that lost its turn or came to a closed window. */
static bool
is_in_window(const struct tcp_conn *c, const struct tcp_segment *s)
{
	uint32_t end = s->seq + s->len + !!(s->flags & SYN) + !!(s->flags & FIN);

	return seq_le(c->rcv_acked, end) && seq_le(s->seq, c->rcv_adv);
}

static void
note_timestamp(struct tcp_conn *c, const struct tcp_segment *s, int64_t now_ns)
{
	if (!c->ts_ok || !s->has_timestamp || seq_lt(c->rcv_acked, s->seq))
		return;
	if (seq_le(c->ts_recent, s->tsval) || now_ns - c->ts_recent_ns >= TS_OLD_NS) {
		c->ts_recent = s->tsval;
		c->ts_recent_ns = now_ns;
	}
}

static void
take_fin(struct tcp_conn *c, int64_t now_ns)
{
	c->rcv_nxt++;
	if (seq_lt(c->rcv_adv, c->rcv_nxt))
		c->rcv_adv = c->rcv_nxt;
	c->ack_now = true;
	tcp_early_clear(c);
	if (c->state == TCPC_ESTABLISHED)
		c->state = TCPC_CLOSE_WAIT;
	else if (c->state == TCPC_FIN_WAIT1)
		c->state = TCPC_CLOSING;
	else
		tcp_conn_time_wait(c, now_ns);
	c->ops->fin(c->user);
}

static void
schedule_ack(struct tcp_conn *c, bool now, int64_t now_ns)
{
	if (c->quick) {
		c->quick--;
		now = true;
	}
	if (now || c->rcv_nxt - c->rcv_acked >= 2 * c->rcv_mss)
		c->ack_now = true;
	else if (c->ack_at == NEVER)
		c->ack_at = now_ns + DELAYED_ACK_NS;
}

/* Cut off what is not between rcv_nxt and the end of the window. False: nothing is left. */
static bool
trim(struct tcp_conn *c, struct tcp_segment *s)
{
	uint32_t cut = c->rcv_nxt - s->seq, room;

	if (seq_lt(s->seq, c->rcv_nxt)) {
		if (cut > s->len) /* its FIN is old too, if it has one */
			return false;
		s->seq += cut;
		s->data += cut;
		s->len -= cut;
		if (!s->len && !(s->flags & FIN))
			return false;
	}
	room = seq_lt(s->seq, c->rcv_adv) ? c->rcv_adv - s->seq : 0;
	if (s->len > room) {
		s->len = room;
		s->flags &= (uint8_t)~FIN;
		c->ack_now = true;
	}
	return s->len || s->flags & FIN;
}

static void
take_text(struct tcp_conn *c, struct tcp_segment *s, int64_t now_ns)
{
	bool gap = c->early != NULL;

	if (!s->len && !(s->flags & FIN))
		return;
	if (!tcp_conn_may_receive(c)) {
		c->ack_now = true;
		if (c->state == TCPC_TIME_WAIT && s->flags & FIN)
			tcp_conn_time_wait(c, now_ns);
		return;
	}
	if (c->p.orphaned && seq_lt(c->rcv_nxt, s->seq + s->len)) {
		/* nobody will read it (RFC 1122, 4.2.2.13) */
		tcp_send_reset(c, s->ack, false);
		tcp_conn_end(c, ECONNRESET);
		return;
	}
	if (!trim(c, s)) {
		c->ack_now = true;
		return;
	}
	c->rcv_mss = max_u32(c->rcv_mss, min_u32(s->len, c->p.mss));
	if (s->flags & FIN) {
		c->fin_noted = true;
		c->fin_at = s->seq + s->len;
	}
	if (s->seq != c->rcv_nxt) {
		tcp_early_put(c, s->seq, s->data, s->len);
		c->ack_now = true;
	} else if (s->len) {
		if (!c->ops->deliver(c->user, s->data, s->len))
			return;
		c->rcv_nxt += s->len;
		tcp_early_take(c);
		schedule_ack(c, gap, now_ns);
	}
	if (c->fin_noted && c->fin_at == c->rcv_nxt)
		take_fin(c, now_ns);
}

static void
input_synchronized(struct tcp_conn *c, struct tcp_segment *s, int64_t now_ns)
{
	if (c->state == TCPC_SYN_RECEIVED && s->flags & SYN && !(s->flags & RST) &&
		input_again_syn(c, s, now_ns))
		return;
	if (is_old(c, s, now_ns) || !is_in_window(c, s)) {
		refuse(c, s, now_ns);
		return;
	}
	if (s->flags & RST) {
		if (s->seq == c->rcv_nxt)
			tcp_conn_end(c, c->state == TCPC_TIME_WAIT ? 0 : ECONNRESET);
		else
			challenge(c, now_ns);
		return;
	}
	if (s->flags & SYN) {
		challenge(c, now_ns);
		return;
	}
	if (!(s->flags & ACK))
		return;
	if (c->state == TCPC_SYN_RECEIVED) {
		if (seq_le(s->ack, c->snd_una) || seq_lt(c->snd_max, s->ack)) {
			tcp_send_reset(c, s->ack, false);
			return;
		}
		if (!stand(c, s, c->snd_wscale, now_ns))
			return;
	} else if (!tcp_ack_is_valid(c, s->ack)) {
		challenge(c, now_ns);
		return;
	}
	note_timestamp(c, s, now_ns);
	c->heard_ns = now_ns;
	c->keep_probes = c->probes = 0;
	tcp_take_ack(c, s, now_ns);
	if (c->state != TCPC_CLOSED)
		take_text(c, s, now_ns);
}

void
tcp_conn_input(struct tcp_conn *c, const struct tcp_segment *segment, int64_t now_ns)
{
	struct tcp_segment s = *segment;

	if (c->state == TCPC_CLOSED)
		return;
	tcp_conn_note(c, now_ns);
	if (c->state == TCPC_SYN_SENT) {
		input_syn_sent(c, &s, now_ns);
		return;
	}
	input_synchronized(c, &s, now_ns);
	if (c->state != TCPC_CLOSED)
		tcp_send(c, false, now_ns);
}
