/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of a TCP connection share. segment.c: bytes to segments and back. conn.c: how one
 * begins and ends. input.c: a segment came; reorder.c: those that came too early; ack.c: what an
 *ACK says, and congestion. output.c: what leaves. timer.c: when, if nothing comes.
 *
 * Sequence numbers:
 *	snd_una <= snd_nxt <= snd_max <= fin_seq + 1 (if fin_sent)
 *	rcv_acked <= rcv_nxt <= rcv_adv
 * RFC 9293's SND.NXT is snd_max; snd_nxt is less than that while what was sent is sent again. Byte
 *0 of what the user has queued is the one at snd_una, once it stands.
 */
#ifndef SENTRY_NET_TCP_INTERNAL_H
#define SENTRY_NET_TCP_INTERNAL_H

#include "sentry/net/tcp.h"

#define FIN 1u
#define SYN 2u
#define RST 4u
#define PSH 8u
#define ACK 16u

#define NEVER	    INT64_MAX
#define MS	    1000000ll
#define SECOND	    1000000000ll
#define RTO_INITIAL SECOND
#define RTO_MIN	    (200 * MS)
#define RTO_MAX	    (120 * SECOND)

#define TIMESTAMP_LEN  12u /* with what fills it up */
#define MSS_DEFAULT    536u
#define MSS_MIN	       48u /* or a peer makes packets of headers alone of us (CVE-2019-11479) */
#define WSCALE_MAX     14u
#define CWND_MAX       (1u << 30)
#define INITIAL_WINDOW 10u
#define QUICK_ACKS     16u
#define ORPHAN_RETRIES 8u /* tcp_orphan_retries */
#define EARLY_MAX      64u

/* Bytes that came before those in front of them. */
struct early {
	struct early *next;
	uint32_t seq, len;
	uint8_t data[];
};

struct tcp_conn {
	const struct tcp_user_ops *ops;
	void *user;
	struct tcp_params p;
	enum tcp_conn_state state; /* CLOSED: over */
	int soft_err;		   /* of tcp_conn_unreachable */

	bool ts_ok, wscale_ok;
	uint8_t snd_wscale, rcv_wscale;
	uint32_t peer_mss;

	uint32_t snd_una, snd_nxt, snd_max;
	uint32_t snd_wnd, snd_wl1, snd_wl2, snd_wnd_max;
	uint32_t small_end; /* of the last segment that was not full (Nagle as Minshall has it) */
	uint32_t mss_used;  /* as of the last output */
	bool fin_sent, fin_acked;
	uint32_t fin_seq; /* if fin_sent */
	int64_t sent_ns;  /* data, last */

	uint32_t irs, rcv_nxt, rcv_adv, rcv_acked;
	uint32_t rcv_mss; /* the largest segments that come, about */
	bool fin_noted;	  /* that came early, or in time */
	uint32_t fin_at;
	struct early *early; /* in order; do not overlap */
	uint32_t nearly;
	bool ack_now;
	uint32_t quick;

	uint32_t ts_recent;
	int64_t ts_recent_ns;

	uint32_t cwnd, ssthresh, counted; /* bytes */
	uint32_t dupacks, recover;
	bool recovering, partial_seen;

	bool timing; /* the round trip of what ends at timed_end */
	uint32_t timed_end;
	int64_t timed_ns;
	int64_t srtt, rttvar, rto; /* srtt 0: none yet */
	uint32_t retransmits, total_retrans;
	int64_t retransmit_ns; /* the first of those */

	uint32_t probes, persist_backoff, keep_probes;
	int64_t keep_ns, heard_ns, refused_ns;
	int64_t waits_ns; /* since when nothing of what waits got on; or NEVER */
	int64_t orphaned_ns, fin_wait2_ns;

	/* deadlines */
	int64_t rto_at, persist_at, ack_at, cork_at, time_wait_at;
};

static inline bool
seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool
seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

static inline uint32_t
min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint32_t
max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static inline int64_t
after_ns(int64_t now, int64_t d)
{
	int64_t r;

	return __builtin_add_overflow(now, d > 0 ? d : 0, &r) ? NEVER : r;
}

/* The clock of RFC 7323: the same for all connections, or one that takes the place of another in
 * TIME-WAIT would be taken for old. */
static inline uint32_t
ts_clock(int64_t now_ns)
{
	return (uint32_t)(now_ns / MS) + 1;
}

/* segment.c */
void tcp_header_put(uint8_t *b, const struct tcp_segment *s, size_t options);
size_t tcp_timestamp_put(uint8_t *b, uint32_t val, uint32_t ecr);
size_t tcp_syn_options_put(uint8_t *b, const struct tcp_segment *s);

/* conn.c */
void tcp_conn_end(struct tcp_conn *c, int err);
void tcp_conn_note(struct tcp_conn *c, int64_t now_ns); /* what its owner has changed */
bool tcp_conn_is_synchronized(const struct tcp_conn *c);
bool tcp_conn_may_receive(const struct tcp_conn *c);
void tcp_conn_take_options(struct tcp_conn *c, const struct tcp_segment *syn, int64_t now_ns);
void tcp_conn_start(struct tcp_conn *c); /* congestion, once it stands */
void tcp_conn_time_wait(struct tcp_conn *c, int64_t now_ns);

/* output.c */
uint32_t tcp_conn_mss(const struct tcp_conn *c); /* of data */
void tcp_send_syn(struct tcp_conn *c, int64_t now_ns);
void tcp_send_probe(struct tcp_conn *c, int64_t now_ns);
/* with_ack: it is ours alone; else it answers what acknowledged seq. */
void tcp_send_reset(struct tcp_conn *c, uint32_t seq, bool with_ack);
void tcp_send_first(struct tcp_conn *c, int64_t now_ns); /* the oldest, again */
/* All that may leave now. force: one segment, however small. */
void tcp_send(struct tcp_conn *c, bool force, int64_t now_ns);
bool tcp_outstanding(const struct tcp_conn *c);

/* ack.c */
/* False: it acknowledges what cannot be. */
bool tcp_ack_is_valid(const struct tcp_conn *c, uint32_t ack);
void tcp_take_ack(struct tcp_conn *c, const struct tcp_segment *s, int64_t now_ns);
void tcp_rtt_sample(struct tcp_conn *c, int64_t rtt_ns);
/* Send again from snd_una on. */
void tcp_go_back(struct tcp_conn *c);

/* reorder.c */
void tcp_early_put(struct tcp_conn *c, uint32_t seq, const uint8_t *p, uint32_t n);
/* Deliver what is in order by now. */
void tcp_early_take(struct tcp_conn *c);
void tcp_early_clear(struct tcp_conn *c);

#endif
