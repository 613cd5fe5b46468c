/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection begins, ends, and what is to be known of it. */
#include "internal.h"
#include <errno.h>
#include <stdlib.h>

#define TIME_WAIT_NS (60 * SECOND)

struct tcp_conn *
tcp_conn_new(const struct tcp_user_ops *ops, void *user, const struct tcp_params *p)
{
	struct tcp_conn *c = malloc(sizeof *c);

	if (!c)
		return NULL;
	*c = (struct tcp_conn){
		.ops = ops,
		.user = user,
		.p = *p,
		.state = TCPC_CLOSED,
		.peer_mss = MSS_DEFAULT,
		.snd_una = p->isn,
		.snd_nxt = p->isn,
		.snd_max = p->isn,
		.small_end = p->isn,
		.recover = p->isn,
		.rcv_mss = min_u32(MSS_DEFAULT, max_u32(p->mss, MSS_MIN)),
		.quick = QUICK_ACKS,
		.cwnd = MSS_DEFAULT,
		.ssthresh = CWND_MAX,
		.rto = RTO_INITIAL,
		.refused_ns = NEVER,
		.waits_ns = NEVER,
		.orphaned_ns = NEVER,
		.rto_at = NEVER,
		.persist_at = NEVER,
		.ack_at = NEVER,
		.cork_at = NEVER,
		.time_wait_at = NEVER,
	};
	return c;
}

void
tcp_conn_free(struct tcp_conn *c)
{
	if (!c)
		return;
	tcp_early_clear(c);
	free(c);
}

struct tcp_params *
tcp_conn_params(struct tcp_conn *c)
{
	return &c->p;
}

enum tcp_conn_state
tcp_conn_state(const struct tcp_conn *c)
{
	return c->state;
}

bool
tcp_conn_is_synchronized(const struct tcp_conn *c)
{
	return c->state != TCPC_CLOSED && c->state != TCPC_SYN_SENT &&
	       c->state != TCPC_SYN_RECEIVED;
}

bool
tcp_conn_may_receive(const struct tcp_conn *c)
{
	return c->state == TCPC_ESTABLISHED || c->state == TCPC_FIN_WAIT1 ||
	       c->state == TCPC_FIN_WAIT2;
}

void
tcp_conn_end(struct tcp_conn *c, int err)
{
	c->state = TCPC_CLOSED;
	tcp_early_clear(c);
	c->ops->closed(c->user, err);
}

void
tcp_conn_note(struct tcp_conn *c, int64_t now_ns)
{
	if (c->p.orphaned && c->orphaned_ns == NEVER)
		c->orphaned_ns = now_ns;
}

static uint8_t
scale_for(uint32_t rcvbuf)
{
	uint8_t n = 0;

	while (n < WSCALE_MAX && 65535u << n < rcvbuf)
		n++;
	return n;
}

static void
begin(struct tcp_conn *c, enum tcp_conn_state state, int64_t now_ns)
{
	c->state = state;
	c->rcv_wscale = scale_for(c->p.rcvbuf);
	c->heard_ns = c->waits_ns = now_ns;
	c->rto_at = now_ns + c->rto;
}

void
tcp_conn_connect(struct tcp_conn *c, int64_t now_ns)
{
	begin(c, TCPC_SYN_SENT, now_ns);
	tcp_send_syn(c, now_ns);
}

/* What the peer's SYN says; both sides must have said it of what is optional. */
void
tcp_conn_take_options(struct tcp_conn *c, const struct tcp_segment *syn, int64_t now_ns)
{
	c->irs = syn->seq;
	c->rcv_nxt = c->rcv_acked = c->rcv_adv = syn->seq + 1;
	c->peer_mss = syn->has_mss ? syn->mss : MSS_DEFAULT;
	c->ts_ok = syn->has_timestamp && !c->p.no_timestamps;
	if (c->ts_ok) {
		c->ts_recent = syn->tsval;
		c->ts_recent_ns = now_ns;
	}
	c->wscale_ok = syn->has_wscale && !c->p.no_scaling;
	c->snd_wscale = c->wscale_ok ? (uint8_t)min_u32(syn->wscale, WSCALE_MAX) : 0;
	c->rcv_wscale = c->wscale_ok ? scale_for(c->p.rcvbuf) : 0;
	c->snd_wnd = c->snd_wnd_max = syn->window;
	c->snd_wl1 = syn->seq;
	c->snd_wl2 = c->snd_una;
}

void
tcp_conn_accept(struct tcp_conn *c, const struct tcp_segment *syn, int64_t now_ns)
{
	begin(c, TCPC_SYN_RECEIVED, now_ns);
	tcp_conn_take_options(c, syn, now_ns);
	tcp_send_syn(c, now_ns);
}

void
tcp_conn_start(struct tcp_conn *c)
{
	uint32_t mss = tcp_conn_mss(c);

	/* RFC 6928: a SYN that was lost says that the path is full */
	c->cwnd = c->retransmits > 1 ? mss : INITIAL_WINDOW * mss;
	c->retransmits = 0;
	c->mss_used = mss;
	c->rto_at = c->waits_ns = NEVER;
}

void
tcp_conn_time_wait(struct tcp_conn *c, int64_t now_ns)
{
	c->state = TCPC_TIME_WAIT;
	c->time_wait_at = now_ns + TIME_WAIT_NS;
	c->rto_at = c->persist_at = c->cork_at = c->waits_ns = NEVER;
}

void
tcp_conn_abort(struct tcp_conn *c, int64_t now_ns)
{
	(void)now_ns;
	switch (c->state) {
	case TCPC_SYN_RECEIVED:
	case TCPC_ESTABLISHED:
	case TCPC_FIN_WAIT1:
	case TCPC_FIN_WAIT2:
	case TCPC_CLOSE_WAIT:
		tcp_send_reset(c, c->snd_max, true);
		break;
	default:
		break;
	}
	c->state = TCPC_CLOSED;
	tcp_early_clear(c);
}

void
tcp_conn_mss_changed(struct tcp_conn *c, int64_t now_ns)
{
	uint32_t mss;

	if (!tcp_conn_is_synchronized(c) || c->state == TCPC_TIME_WAIT)
		return;
	mss = tcp_conn_mss(c);
	if (mss < c->mss_used && tcp_outstanding(c)) {
		/* no sign of congestion, but of a path that is not known (RFC 1191, 6.4) */
		tcp_go_back(c);
		c->cwnd = min_u32(c->cwnd, INITIAL_WINDOW * mss);
	}
	tcp_send(c, false, now_ns);
}

bool
tcp_conn_is_on_its_way(const struct tcp_conn *c, uint32_t seq)
{
	return seq_le(c->snd_una, seq) && seq_le(seq, c->snd_max);
}

void
tcp_conn_unreachable(struct tcp_conn *c, int err, int64_t now_ns)
{
	(void)now_ns;
	if (c->state == TCPC_SYN_SENT || c->state == TCPC_SYN_RECEIVED)
		tcp_conn_end(c, err);
	else
		c->soft_err = err;
}

/* As tcp_timewait_state_process. */
bool
tcp_conn_may_be_replaced(const struct tcp_conn *c, const struct tcp_segment *syn)
{
	bool ts = c->ts_ok && syn->has_timestamp;

	if (c->state != TCPC_TIME_WAIT || (syn->flags & (SYN | ACK | RST)) != SYN)
		return false;
	if (ts && seq_lt(syn->tsval, c->ts_recent))
		return false;
	return seq_lt(c->rcv_nxt, syn->seq) || (ts && seq_lt(c->ts_recent, syn->tsval));
}

void
tcp_conn_info(const struct tcp_conn *c, struct tcp_conn_info *ret)
{
	uint32_t mss = tcp_conn_mss(c), out = c->snd_max - c->snd_una;

	*ret = (struct tcp_conn_info){
		.rtt_us = (uint32_t)(c->srtt / 1000),
		.rttvar_us = (uint32_t)(c->rttvar / 1000),
		.rto_us = (uint32_t)(c->rto / 1000),
		.cwnd = c->cwnd / mss ? c->cwnd / mss : 1,
		.ssthresh = c->ssthresh >= CWND_MAX ? 0x7fffffff : c->ssthresh / mss,
		.snd_mss = mss,
		.rcv_mss = c->rcv_mss,
		.unacked = out / mss + (out % mss != 0),
		.retransmits = c->retransmits,
		.total_retrans = c->total_retrans,
		.timestamps = c->ts_ok,
		.wscale_ok = c->wscale_ok,
		.snd_wscale = c->snd_wscale,
		.rcv_wscale = c->rcv_wscale,
	};
}
