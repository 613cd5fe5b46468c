/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP over a wire (RFC 9293): one end of a connection as a state machine. It knows segments, a
 * clock that it is told, and whom it works for; no sockets, no packets, no locks, no timers: the
 * owner calls it under a lock of its own, whenever a segment came, the program did something, or
 * the deadline has passed.
 */
#ifndef SENTRY_NET_TCP_H
#define SENTRY_NET_TCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TCP_SEGMENT_HEADER 20u /* bytes, without options */
#define TCP_OPTIONS_MAX	   40u

/* For whom a connection is, called from within the functions below; they do not call back. Bytes
 * that are to be sent stay with the user until they are acknowledged. */
struct tcp_user_ops {
	/* Bytes that wait: sent and not acknowledged, and not sent. */
	uint32_t (*queued)(void *user);
	/* The first n of them have arrived. */
	void (*acked)(void *user, uint32_t n);
	/* Will no more be written behind them? Then a FIN follows. */
	bool (*ended)(void *user);
	/* Bytes that the reader has room for. */
	uint32_t (*room)(void *user);
	/* Bytes that came, in order. False: there is no room or memory for them after all: they
	 * count as lost. */
	bool (*deliver)(void *user, const uint8_t *p, uint32_t n);
	/* The connection stands. False (who accepts has no room): as if what made it stand had been
	 * lost; it is asked again when it comes again. */
	bool (*established)(void *user);
	void (*fin)(void *user); /* no more bytes will come */
	/* It is over; once, and nothing is called afterwards but by what is called with it. err: 0,
	 * ECONNREFUSED, ECONNRESET, ETIMEDOUT, or that of tcp_conn_unreachable, positive. */
	void (*closed)(void *user, int err);
	/* A segment leaves: its header with options (the ports are filled in, the checksum is 0,
	 * and left to the receiver of this), and behind it n of the bytes that wait, from `off` on.
	 */
	void (*send)(void *user, const uint8_t *head, size_t head_n, uint32_t off, uint32_t n);
};

/* May be changed by the owner at any time between two calls. */
struct tcp_params {
	uint16_t local_port, remote_port; /* host order; fixed */
	uint32_t isn;			  /* fixed */
	bool no_timestamps, no_scaling;	  /* net.ipv4.tcp_timestamps, tcp_window_scaling; fixed */
	uint16_t mss;	    /* that a packet of the path has room for; and is announced */
	bool nodelay, cork; /* TCP_NODELAY, TCP_CORK */
	uint32_t rcvbuf;    /* bytes; decides the window scale when it begins */
	uint32_t syn_retries, retries; /* net.ipv4.tcp_syn_retries, tcp_retries2 */
	int64_t user_timeout_ns;       /* TCP_USER_TIMEOUT; 0: none */
	bool keepalive;		       /* SO_KEEPALIVE, and: */
	int64_t keepidle_ns, keepintvl_ns;
	uint32_t keepcnt;
	int64_t fin_timeout_ns; /* in FIN-WAIT-2 once orphaned; 0: 60 s */
	bool orphaned;		/* nobody reads or writes any more (close(2)) */
};

enum tcp_conn_state { /* numbers as in /proc/net/tcp */
	TCPC_ESTABLISHED = 1,
	TCPC_SYN_SENT,
	TCPC_SYN_RECEIVED,
	TCPC_FIN_WAIT1,
	TCPC_FIN_WAIT2,
	TCPC_TIME_WAIT,
	TCPC_CLOSED,
	TCPC_CLOSE_WAIT,
	TCPC_LAST_ACK,
	TCPC_LISTEN_UNUSED,
	TCPC_CLOSING,
};

/* What a segment says; made of bytes that anybody may have sent. */
struct tcp_segment {
	uint16_t sport, dport; /* host order */
	uint32_t seq, ack;
	uint8_t flags; /* FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32 */
	uint16_t window;
	const uint8_t *data;
	uint32_t len;
	bool has_mss, has_wscale, has_timestamp, sack_permitted;
	uint16_t mss;
	uint8_t wscale;
	uint32_t tsval, tsecr;
};

/* Take a segment apart (the checksum is the caller's matter). data points into p. -EINVAL. */
int tcp_segment_parse(const uint8_t *p, size_t n, struct tcp_segment *ret);

/* What answers a segment that no connection is there for: a reset, written to buf (RFC 9293,
 * 3.10.7.1). Its length; 0: nothing answers (it was a reset itself). */
size_t tcp_reset_for(const struct tcp_segment *s, uint8_t buf[TCP_SEGMENT_HEADER]);

struct tcp_conn;

/* NULL: out of memory. p is copied. user: borrowed. Nothing is sent yet. */
struct tcp_conn *tcp_conn_new(
	const struct tcp_user_ops *ops, void *user, const struct tcp_params *p);
void tcp_conn_free(struct tcp_conn *c); /* sends nothing; NULL is fine */
struct tcp_params *tcp_conn_params(struct tcp_conn *c);
enum tcp_conn_state tcp_conn_state(const struct tcp_conn *c);

void tcp_conn_connect(struct tcp_conn *c, int64_t now_ns);
/* Answer a SYN that came. */
void tcp_conn_accept(struct tcp_conn *c, const struct tcp_segment *syn, int64_t now_ns);
void tcp_conn_input(struct tcp_conn *c, const struct tcp_segment *s, int64_t now_ns);
/* The program has written, read, or ended: send what can be sent now, tell of a window that has
 * become larger. */
void tcp_conn_output(struct tcp_conn *c, int64_t now_ns);
/* End it with a reset; ops->closed is not called. */
void tcp_conn_abort(struct tcp_conn *c, int64_t now_ns);
/* When tcp_conn_timer is to be called; INT64_MAX: never. It changes with every call. */
int64_t tcp_conn_deadline(const struct tcp_conn *c);
void tcp_conn_timer(struct tcp_conn *c, int64_t now_ns);
/* The path takes no larger packets (RFC 1191, 8201): params.mss was made smaller. */
void tcp_conn_mss_changed(struct tcp_conn *c, int64_t now_ns);
/* Is that byte one that was sent and not acknowledged? An error about another one is made up by who
 * does not see the connection (RFC 5927, 4.1). */
bool tcp_conn_is_on_its_way(const struct tcp_conn *c, uint32_t seq);
/* Something on the way says that the other side cannot be reached (err: positive): while connecting
 * it ends there (RFC 5461); else it is what a timeout is told as. */
void tcp_conn_unreachable(struct tcp_conn *c, int err, int64_t now_ns);
/* May a new connection with these ports and this SYN replace one in TIME-WAIT (RFC 6191)? */
bool tcp_conn_may_be_replaced(const struct tcp_conn *c, const struct tcp_segment *syn);

struct tcp_conn_info { /* for TCP_INFO */
	uint32_t rtt_us, rttvar_us, rto_us, cwnd, ssthresh, snd_mss, rcv_mss, unacked, retransmits,
		total_retrans;
	bool timestamps, wscale_ok;
	uint8_t snd_wscale, rcv_wscale;
};
void tcp_conn_info(const struct tcp_conn *c, struct tcp_conn_info *ret);

#endif
