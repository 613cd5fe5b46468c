/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AF_INET and AF_INET6 inside the sandbox: one loopback interface, socket to socket. Addresses are
 * kept as IPv6, IPv4 ones mapped (::ffff:a.b.c.d), so that there is one table for both families.
 */
#ifndef SENTRY_SOCKET_INET_INTERNAL_H
#define SENTRY_SOCKET_INET_INTERNAL_H

#include "sentry/net/packet.h"
#include "sentry/sched/timer.h"
#include "sentry/socket/info.h"

struct inet_addr {
	uint8_t ip[16];
	uint16_t port; /* host order; 0: none */
	int32_t scope; /* of one that is link-local (IPv6): its interface; 0: any */
};

/* Where what leaves by an interface goes: the next hop, an IPv4 address in the first four bytes. */
struct inet_hop {
	int32_t oif;
	uint8_t ip[16];
	bool here_too; /* a broadcast: to this host as well */
};

struct tcp_wire;

enum tcp_state {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_FIN_WAIT2 = 5,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LISTEN = 10,
};

struct inet_sock {
	struct sock s;
	/* under s.lock, but for local, which the port table's lock guards while it is entered there
	 */
	struct inet_addr local, remote;
	bool bound;		     /* in the port table */
	bool addr_asked, port_asked; /* by bind(2): they stay when a TCP socket is closed */
	bool v6only;
	struct list port_node; /* port table */
	struct sock *peer;     /* TCP: a reference */
	bool connected;	       /* TCP: was connected; UDP: has a default destination */
	bool connect_told;     /* a connect without waiting has its success still to tell */
	bool peer_fin;	       /* no more bytes will come */
	bool peer_gone;	       /* nobody reads what we send */
	bool reset, refused;
	struct list acceptq, accept_node;
	int backlog, nr_accept;
	/* tcp_connect.c */
	bool connecting;
	bool syn_lost;		    /* it waits, and nobody is there; or: */
	struct sock *syn_to;	    /* a reference on the listener where it waits, or NULL; and */
	struct list synq, syn_node; /* who waits: under the lock there, */
	_Atomic uint32_t nr_syn;    /* and how many they are, or more */
	int64_t syn_until;	    /* 0: never waited */
	struct tcp_wire *syn_wire;  /* it waits for an answer from there: a reference */
	_Atomic uint32_t nr_half;   /* of a listener: that came from elsewhere, and do not stand */
	bool wired;		    /* the other end is elsewhere (tcp_wire.c) */
	bool likeness;		    /* this is not a program's, but what stands for that end */
	struct tcp_wire *wire;	    /* what this is the other end's likeness for, or NULL */
	struct timer syn_timer;
	_Atomic uint32_t sent;	   /* TCP: bytes while somebody looks at packets; and */
	_Atomic uint32_t peer_seq; /* the number of the peer's next byte, once it has gone */
	bool hdrincl;		   /* IP_HDRINCL: its messages begin with a header */
	/* options that are kept and shown */
	int32_t tcp_opt[64]; /* by TCP_* number; 0: its default; see inet_setsockopt */
	int32_t ip_opt[64], ip6_opt[128];
	struct list errors; /* errqueue.c, and the memory that they take */
	uint32_t errors_held;
	uint32_t icmp_filter[8];	 /* ICMP_FILTER, ICMP6_FILTER: types that do not come */
	uint16_t send_cover, recv_cover; /* UDP-Lite; 0: all of a message */
	uint32_t memberships;		 /* multicast groups; their list's lock */
	bool own_groups_only;		 /* IP_MULTICAST_ALL is off */
	struct {
		uint64_t generation; /* net_path_generation; 0: none is known */
		uint8_t to[16], from[16];
		bool has_from;
		int way; /* INET_HERE, ... */
		struct inet_hop hop;
		int32_t dev; /* SO_BINDTODEVICE as it was */
	} path;		     /* the way to whom it sent last */
	int32_t mc_dev,
		mc_dev6;    /* the interface that messages to groups leave by; 0: by the routes */
	uint8_t mc_addr[4]; /* as IP_MULTICAST_IF named it */
};

static inline struct inet_sock *
is(struct sock *s)
{
	return (struct inet_sock *)s;
}

extern const struct sock_ops tcp_ops, udp_ops, icmp_ops;

/* --- addr.c --- */
extern const uint8_t inet_mapped[12]; /* what IPv4 addresses begin with: ::ffff:0:0/96 */
void inet_table_init(void);
/* A link-local address takes an interface to be on: the one that it names, or s is bound to.
 * has_to: s is bound to it from now on, and has to have one. -EINVAL, -ENODEV. */
int inet_take_scope(struct sock *s, const struct inet_addr *a, bool has_to);
/* Decode what the guest gave for a socket of s's family. -EINVAL (too short), -EAFNOSUPPORT. */
int inet_addr_in(struct sock *s, const uint8_t *addr, uint32_t len, struct inet_addr *ret);
void inet_addr_out(struct sock *s, const struct inet_addr *a, uint8_t *addr, uint32_t *len);
bool inet_is_any(const struct inet_addr *a);
bool inet_is_v4(const struct inet_addr *a);
bool inet_is_link_local(const struct inet_addr *a); /* IPv6: also groups of a link */
bool inet_same_ip(const struct inet_addr *a, const struct inet_addr *b);
int inet_bind(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len);
/* Give s a free port, and ip (NULL: any) as its address. -EADDRNOTAVAIL when all are taken. */
int inet_autobind(struct sock *s, const struct inet_addr *ip);
void inet_unbind(struct inet_sock *i);
/* What bind(2) was not asked for goes; the port is still shown. */
void inet_unask(struct inet_sock *i);
/* The socket that gets what is sent to `to` and comes by iif (0: lo): a reference or NULL. from:
 * for the choice among SO_REUSEPORT sockets and connected UDP ones. */
struct sock *inet_find(const struct net_ns *net, int protocol, bool listening,
	const struct inet_addr *to, const struct inet_addr *from, int32_t iif);
/* All that get what is sent to a group: how many references are in ret. */
#define INET_FIND_MAX 256
unsigned inet_find_all(struct net_ns *net, int protocol, const struct inet_addr *to,
	const struct inet_addr *from, int32_t iif, struct sock *ret[INET_FIND_MAX]);
int inet_getname(struct sock *s, bool peer, uint8_t *addr, uint32_t *len);
/* Where what s sends to `to` goes: loopback instead of the unspecified address. *from: what it
 * comes from, if it is any address before. connects: the address that is chosen has to get there,
 * too. INET_HERE; INET_ONE_WAY: who takes it gets it, and nobody can answer from there; INET_LOST:
 * nobody gets it; INET_OUT: it leaves, to *hop; -errno: the routes refuse it (net_path_find), or it
 * is a broadcast that s may not make. oif: the interface that it has to take, if not 0. */
enum inet_way { INET_HERE, INET_ONE_WAY, INET_LOST, INET_OUT };
int inet_route(struct sock *s, struct inet_addr *to, struct inet_addr *from, bool connects,
	int32_t oif, struct inet_hop *hop);
/* What leads from -> to; not of a socket. INET_OUT and *hop, or another way, or -errno. */
int inet_route_packet(struct net_ns *net, const struct inet_addr *to, const struct inet_addr *from,
	int32_t oif, struct inet_hop *hop);
int inet_setsockopt(
	struct sock *s, const struct call *c, int level, int opt, const uint8_t *val, uint32_t len);
int inet_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len);
/* cmsg.c: what of a message's ancillary data is for it, into *from (if it names an address) and
 * *meta. -EINVAL. */
int inet_ctl_in(
	struct sock *s, const struct sock_msg *m, struct inet_addr *from, struct sock_meta *meta);
/* The interface that a message is to leave by (IP_PKTINFO, IPV6_PKTINFO); 0: none is named. */
int32_t inet_ctl_oif(const struct sock *s, const struct sock_msg *m);
/* What the options of s ask to be told of a message that came. */
void inet_ctl_out(struct sock *s, struct sock_msg *m);

/* --- multicast.c --- */
bool inet_is_multicast(const struct inet_addr *a);
/* Options of multicast: 0 or -errno, -ENOPROTOOPT for all others. */
int inet_multicast_set(struct inet_sock *i, int level, int opt, const uint8_t *val, uint32_t len);
int inet_multicast_get(const struct inet_sock *i, int level, int opt, uint8_t val[4]);
/* As inet_route, and to a group: by an option, by the address that i is bound to, or by the routes.
 */
int inet_route_any(struct inet_sock *i, struct inet_addr *to, struct inet_addr *from, bool connects,
	int32_t oif, struct inet_hop *hop);
/* Is the host in it there: by a socket, or as every host or router is? */
bool inet_is_in_group(struct net_ns *net, const struct inet_addr *group, int32_t iif);
/* May i, bound to the port, get what is sent to the group? */
bool inet_gets_group(const struct inet_sock *i, const struct inet_addr *group, int32_t iif);
void inet_leave_all(struct inet_sock *i);

/* --- packets: icmp.c, wire.c --- */
struct inet_packet {
	struct net_ns *net;
	bool v6;
	uint8_t protocol;
	struct inet_addr from, to; /* without ports */
	struct sock_meta meta;
	int32_t iif;  /* where it came in; 0: lo */
	bool one_way; /* no answer gets back */
	bool checked; /* its checksums need no look */
	const uint8_t
		*head; /* IPv4: the header that a program made, or NULL: one is made of the rest */
	size_t head_len;
	uint8_t *p; /* behind the header */
	size_t n;
};

/* The packet with its header: free(); NULL: no memory, or too large. */
uint8_t *inet_packet_make(const struct inet_packet *k, size_t *ret_len);
enum inet_df { INET_MAY_CUT, INET_DF_IF_FITS, INET_DF };
enum inet_df inet_df_of(const struct inet_sock *i, bool v4); /* IP_MTU_DISCOVER */
/* It leaves. -EMSGSIZE: too large for the interface, and may not be cut; -ENOBUFS, -ENETDOWN,
 * -EHOSTUNREACH. */
int inet_send_out(const struct inet_packet *k, const struct inet_hop *hop, enum inet_df df);
/* The same, over a route that is looked for. */
void inet_answer_out(const struct inet_packet *k, enum inet_df df);
/* input.c: what an answer to k comes from: the address that it was for, or of the interface that it
 * leaves by. False: there is none. */
bool inet_answers_from(const struct inet_packet *k, struct inet_addr *ret);
/* Of addresses, protocol and length (RFC 768, 8200). */
uint32_t inet_pseudo_sum(const struct inet_packet *k);
void inet_set_addresses(
	struct inet_packet *k, const struct inet_addr *from, const struct inet_addr *to);
void inet_icmp_checksum(const struct inet_packet *k);
int udp_packet_make(
	struct inet_packet *k, uint16_t sport, uint16_t dport, const uint8_t *data, size_t n);
/* input.c */
void inet_input_init(void (*link_news)(struct net_ns *ns, const struct net_link *l, bool gone),
	void (*addr_news)(struct net_ns *ns, bool gone, const struct net_addr *a));
/* A packet, with its header, cannot be delivered: code of ICMP's "destination unreachable". */
enum inet_unreachable { INET_NO_PORT, INET_NO_PROTOCOL };
void inet_tell_unreachable(const struct inet_packet *k, enum inet_unreachable why);
/* An error of ICMP about k, to its sender; not about what gets none. info: the second word. */
void inet_send_error(const struct inet_packet *k, uint8_t type, uint8_t code, uint32_t info);
/* forward.c: k, whose whole packet is at ip, is not for this host. May write to ip. */
void inet_forward(const struct inet_packet *k, uint8_t *ip, size_t n);
void inet_show(const struct inet_packet *k); /* to raw and packet sockets */
void inet_travel(struct inet_packet *k);     /* to those, and to whom it is for; may write to p */
void inet_travel_in(struct inet_packet *k);  /* the same without packet sockets */
void inet_wire(const struct inet_packet *k); /* to packet sockets alone */
int inet_header_in(struct inet_packet *k); /* p begins with an IPv4 header (IP_HDRINCL). -EINVAL */
/* With a header of UDP; what is wrong is dropped. */
void udp_take_packet(const struct inet_packet *k);
/* errqueue.c: what has become of a message of a socket's, or the beginning of it. */
enum inet_error_origin { INET_ERROR_LOCAL = 1, INET_ERROR_ICMP, INET_ERROR_ICMP6 };
struct inet_error {
	int err;   /* positive */
	bool hard; /* it stays so */
	enum inet_error_origin origin;
	uint8_t type, code; /* of ICMP */
	uint32_t info;	    /* EMSGSIZE: the MTU */
	struct inet_addr offender;
	const uint8_t *p; /* what was sent, behind the protocol's header; as far as it came back */
	size_t n;
};
bool inet_wants_errors(const struct inet_sock *i, bool v6);
void inet_error_queue(struct inet_sock *i, const struct inet_error *e, const struct inet_addr *to);
/* What i has sent to `to` is too large for its way. */
void inet_error_too_large(
	struct inet_sock *i, const struct inet_addr *to, const struct inet_hop *hop);
ssize_t inet_error_take(struct sock *s, struct sock_msg *m); /* -EAGAIN: none */
void inet_errors_purge(struct inet_sock *i);
/* The path to there takes no larger packets than e says, if it is about that. */
void inet_error_learn(struct net_ns *net, const struct inet_addr *to, const struct inet_error *e);
/* To whom it concerns; what nobody has sent is believed by nobody. */
void udp_take_error(struct net_ns *net, int protocol, const struct inet_addr *local,
	const struct inet_addr *remote, const struct inet_error *e);
/* id: of an echo that came back, or 0 (other protocols). Has a socket sent it? */
bool icmp_take_error(struct net_ns *net, bool v6, uint8_t protocol, uint16_t id,
	const struct inet_addr *local, const struct inet_addr *remote, const struct inet_error *e);
/* Show what a socket sends; somebody looks. */
void wire_udp(struct net_ns *net, int protocol, const struct inet_addr *from,
	const struct inet_addr *to, const struct sock_meta *meta, const uint8_t *data, size_t n);
enum tcp_flag { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };
void wire_tcp(struct net_ns *net, const struct inet_addr *from, const struct inet_addr *to,
	uint8_t flags, uint32_t seq, uint32_t ack, const uint8_t *data, size_t n);

/* --- tcp.c --- */
/* i is no end of a connection with p any more. The reference that it had, or NULL. */
struct sock *tcp_forget_peer_locked(struct inet_sock *i, const struct sock *p);
/* i gets a reset. Its lock is held. */
void tcp_reset_locked(struct inet_sock *i);
bool tcp_listen_stop(struct sock *s); /* false: it was not listening */
/* As a connection would have been on a wire, for who looks at packets. */
bool tcp_looked_at(const struct sock *s);
void tcp_show(const struct inet_sock *i, const struct inet_sock *peer, uint8_t flags,
	const uint8_t *data, size_t n);
void tcp_show_refused(const struct inet_sock *i, const struct inet_addr *to);

/* --- tcp_connect.c --- */
void tcp_connect_init(struct inet_sock *i);
int tcp_listen(struct sock *s, const struct call *c, int backlog);
int tcp_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at);
int tcp_accept(struct sock *s, const struct call *c, struct sock **ret);
bool tcp_connect_stop(struct sock *s);	  /* false: it was not connecting */
void tcp_connect_fini(struct sock *s);	  /* the same before it goes, and no timer runs */
void tcp_refuse_waiting(struct sock *ls); /* who waits at a listener that is none any more */

/* What became of connecting; err: positive, or 0. told: the caller tells it. */
void tcp_connect_decided(struct sock *s, int err, bool told);
/* s, which is connecting, knows its other end. False: it is not to connect any more. */
bool tcp_connect_set_peer(struct sock *s, struct inet_sock *n, const struct inet_addr *to);
/* s, which has an address and is connecting, and a new socket in the queue of ls become a
 * connection. -EAGAIN: the queue is full. -ECONNREFUSED, -ENOMEM. -EINPROGRESS: s is not to connect
 * any more. */
int tcp_connect_join(
	struct sock *s, const struct call *c, struct sock *ls, const struct inet_addr *to);

/* --- tcp_wire.c: connections over interfaces --- */
/* s, which has an address and is connecting, asks `to`. -EINPROGRESS; -EADDRNOTAVAIL, -ENOMEM. */
int tcp_wire_connect(struct sock *s, const struct call *c, const struct inet_addr *to,
	const struct inet_hop *hop);
void tcp_wire_abandon(struct tcp_wire *w); /* who connected does not any more; consumed */
void tcp_wire_take_packet(const struct inet_packet *k);
/* seq: of the segment that it is about. */
void tcp_wire_take_error(struct net_ns *net, const struct inet_addr *local,
	const struct inet_addr *remote, uint32_t seq, const struct inet_error *e);
void tcp_wire_init(void);
struct tcp_conn_info;
/* Of a connection that is one of a wire. */
bool tcp_wire_info(struct sock *s, struct tcp_conn_info *ret);

/* --- icmp.c --- */
struct inet_sock *icmp_new(const struct call *c, int family, int type, int protocol);
int icmp_filter_set(struct inet_sock *i, const uint8_t *val, uint32_t len);
int icmp_filter_get(struct inet_sock *i, uint8_t *val, uint32_t *len);
int inet_dgram_shutdown(struct sock *s, int how);
int inet_dgram_listen(struct sock *s, const struct call *c, int backlog); /* -EOPNOTSUPP */
bool inet_describe(struct sock *s, struct sock_info *x);
struct inet_sock *inet_new(const struct call *c, int family, int type, int protocol);
enum tcp_state tcp_state(struct inet_sock *i);
/* TTL or hop limit of what i sends, by its options; and where it has none. */
uint8_t inet_ttl(const struct inet_sock *i, const struct inet_addr *to);
uint8_t inet_ttl_usual(const struct net_ns *net, bool v4);

#endif
