/* SPDX-License-Identifier: Apache-2.0 */
/* What happens if nothing comes: sent again, asked for, given up. */
#include "internal.h"
#include <errno.h>

#define FIN_TIMEOUT_NS (60 * SECOND)

static int64_t
min_ns(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t
backed_off(const struct tcp_conn *c, uint32_t times)
{
	return times < 10 ? min_ns(c->rto << times, RTO_MAX) : RTO_MAX;
}

/* How long so many retransmissions take that begin after RTO_MIN (tcp_model_timeout). */
static int64_t
time_of(uint32_t retries)
{
	int64_t sum = 0, d = RTO_MIN;

	for (uint32_t i = 0; i <= retries && i < 10; i++, d *= 2)
		sum += min_ns(d, RTO_MAX);
	return retries < 10 ? sum : sum + (int64_t)(retries - 9) * RTO_MAX;
}

static uint32_t
retries(const struct tcp_conn *c)
{
	return c->p.orphaned ? min_u32(c->p.retries, ORPHAN_RETRIES) : c->p.retries;
}

static void
give_up(struct tcp_conn *c)
{
	tcp_conn_end(c, c->soft_err ? c->soft_err : ETIMEDOUT);
}

static int64_t
user_timeout_at(const struct tcp_conn *c)
{
	if (c->p.user_timeout_ns <= 0 || c->waits_ns == NEVER)
		return NEVER;
	return after_ns(c->waits_ns, c->p.user_timeout_ns);
}

/* Only who waits for nothing asks whether the other side is still there. */
static int64_t
keepalive_at(const struct tcp_conn *c)
{
	bool sends = tcp_outstanding(c) || c->persist_at != NEVER;

	if (!c->p.keepalive || !tcp_conn_is_synchronized(c) || c->state == TCPC_TIME_WAIT || sends)
		return NEVER;
	if (!c->keep_probes)
		return after_ns(c->heard_ns, c->p.keepidle_ns);
	return after_ns(c->keep_ns, c->p.keepintvl_ns < MS ? MS : c->p.keepintvl_ns);
}

static int64_t
fin_wait2_at(const struct tcp_conn *c)
{
	int64_t since = c->orphaned_ns;

	if (c->state != TCPC_FIN_WAIT2 || since == NEVER)
		return NEVER;
	if (since < c->fin_wait2_ns)
		since = c->fin_wait2_ns;
	return after_ns(since, c->p.fin_timeout_ns > 0 ? c->p.fin_timeout_ns : FIN_TIMEOUT_NS);
}

int64_t
tcp_conn_deadline(const struct tcp_conn *c)
{
	int64_t at = NEVER;

	if (c->state == TCPC_CLOSED)
		return NEVER;
	at = min_ns(min_ns(c->rto_at, c->persist_at), min_ns(c->ack_at, c->cork_at));
	at = min_ns(at, min_ns(c->time_wait_at, user_timeout_at(c)));
	return min_ns(at, min_ns(keepalive_at(c), fin_wait2_at(c)));
}

/* False: it is over. */
static bool
retransmit_syn(struct tcp_conn *c, int64_t now_ns)
{
	if (c->retransmits >= c->p.syn_retries) {
		give_up(c);
		return false;
	}
	c->retransmits++;
	c->total_retrans++;
	c->timing = false;
	c->rto_at = now_ns + backed_off(c, c->retransmits);
	tcp_send_syn(c, now_ns);
	return true;
}

static bool
persist(struct tcp_conn *c, int64_t now_ns)
{
	uint32_t most = retries(c);

	/* who answers, and never has room, may not keep what nobody owns any more */
	if (c->probes >= most || (c->p.orphaned && c->persist_backoff >= most)) {
		give_up(c);
		return false;
	}
	c->probes++;
	c->persist_backoff++;
	c->persist_at = now_ns + backed_off(c, c->persist_backoff);
	if (c->snd_wnd)
		tcp_send(c, true, now_ns); /* silly, but else nothing ever */
	else
		tcp_send_probe(c, now_ns);
	return true;
}

static bool
retransmit(struct tcp_conn *c, int64_t now_ns)
{
	uint32_t mss = tcp_conn_mss(c), flight = c->snd_max - c->snd_una;

	if (!c->snd_wnd) {
		/* the window was made smaller than what is in it */
		tcp_go_back(c);
		c->retransmits = 0;
		c->rto_at = NEVER;
		return persist(c, now_ns);
	}
	if (c->retransmits && now_ns - c->retransmit_ns >= time_of(retries(c))) {
		give_up(c);
		return false;
	}
	if (!c->retransmits) {
		c->ssthresh = max_u32(flight / 2, 2 * mss);
		c->retransmit_ns = now_ns;
	}
	c->retransmits++;
	c->cwnd = mss;
	c->counted = 0;
	tcp_go_back(c);
	c->rto_at = now_ns + backed_off(c, c->retransmits);
	tcp_send(c, true, now_ns);
	return true;
}

static bool
keep_alive(struct tcp_conn *c, int64_t now_ns)
{
	int64_t limit = c->p.user_timeout_ns;
	bool lost = limit > 0 ? c->keep_probes && now_ns - c->heard_ns >= limit
			      : c->keep_probes >= c->p.keepcnt;

	if (lost) {
		tcp_send_reset(c, c->snd_max, true);
		give_up(c);
		return false;
	}
	c->keep_probes++;
	c->keep_ns = now_ns;
	tcp_send_probe(c, now_ns);
	return true;
}

void
tcp_conn_timer(struct tcp_conn *c, int64_t now_ns)
{
	bool force = false;

	if (c->state == TCPC_CLOSED)
		return;
	tcp_conn_note(c, now_ns);
	if (user_timeout_at(c) <= now_ns) {
		give_up(c);
		return;
	}
	if (c->time_wait_at <= now_ns || fin_wait2_at(c) <= now_ns) {
		tcp_conn_end(c, 0);
		return;
	}
	if (!tcp_conn_is_synchronized(c)) {
		if (c->rto_at <= now_ns)
			retransmit_syn(c, now_ns);
		return;
	}
	if (c->ack_at <= now_ns) {
		c->ack_at = NEVER;
		c->ack_now = true;
	}
	if (c->cork_at <= now_ns) {
		c->cork_at = NEVER;
		force = true;
	}
	if (c->rto_at <= now_ns && !retransmit(c, now_ns))
		return;
	if (c->persist_at <= now_ns && !persist(c, now_ns))
		return;
	if (keepalive_at(c) <= now_ns && !keep_alive(c, now_ns))
		return;
	tcp_send(c, force, now_ns);
}
