/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AF_UNIX sockets (unix(7)). Lock order beyond socket.h: none; a socket's peer is read under its
 * own lock, with a reference taken, and then locked by itself.
 */
#ifndef SENTRY_SOCKET_UNIX_INTERNAL_H
#define SENTRY_SOCKET_UNIX_INTERNAL_H

#include "sentry/socket/info.h"
#include "sentry/vfs/path.h"
#include <uthash.h>

struct unix_sock {
	struct sock s;
	/* under s.lock */
	struct sock *peer; /* a reference: the other end of a connection, or a datagram socket's
			      default */
	bool connected;	   /* streams: was connected once */
	bool peer_gone;	   /* the peer closed */
	bool peer_shut_rd, peer_shut_wr; /* the peer no longer reads, writes */
	struct lx_sockaddr_un addr;
	uint32_t addr_len; /* 0: unnamed */
	struct path path;  /* of a bound name in a file system; references */
	bool hashed;	   /* in the table of abstract names */
	struct unix_key {
		const struct net_ns *net;
		char name[sizeof((struct lx_sockaddr_un *)0)->path];
	} key; /* there */
	UT_hash_handle hh;
	struct list acceptq; /* listening: struct unix_sock by accept_node, a reference each */
	struct list accept_node;
	int backlog; /* of datagram sockets: messages, net.unix.max_dgram_qlen at first */
	int nr_accept;
	struct lx_ucred peer_cred; /* as of connect or listen */
	struct cred *peer_groups;  /* a reference */
	/* under flight_lock (flight.c) */
	_Atomic uint32_t in_flight; /* how many times its file is in a message */
	struct file *flight_file;   /* that file, borrowed from those messages */
	struct list flight_node;
	bool suspect;	       /* while collecting: nothing but messages refer to the file, */
	uint32_t from_outside; /* so many of them not in a queue of another suspect */
	struct list suspect_node;
};

static inline struct unix_sock *
us(struct sock *s)
{
	return (struct unix_sock *)s;
}

extern const struct sock_ops unix_stream_ops, unix_dgram_ops;

struct unix_sock *unix_new(const struct call *c, int type);
/* --- name.c --- */
int unix_bind(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len);
int unix_autobind(struct sock *s, const struct call *c);
void unix_unname(struct unix_sock *u);
/* The socket behind an address that `from` speaks to, a reference. -ECONNREFUSED, -ENOENT,
 * -EPROTOTYPE (not of type). */
int unix_find(struct sock *from, const struct call *c, const uint8_t *addr, uint32_t len, int type,
	struct sock **ret);
int unix_getname(struct sock *s, bool peer, uint8_t *addr, uint32_t *len);
struct sock *unix_peer_get(struct sock *s); /* a reference or NULL */
int unix_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len);
void unix_fill_cred(struct sock *s, const struct call *c, struct sock *dst, struct sock_msg *m);
void unix_free(struct sock *s);
int unix_shutdown(struct sock *s, int how);
int unix_flight_init(void);
/* Count the files of a message that is about to be queued at dst. -ETOOMANYREFS, -ENOMEM. */
int unix_flight_begin(struct sock_msg *m, const struct call *c, struct sock *dst);
/* Drop what is queued at a socket that closed. */
void unix_purge(struct sock *s);
bool unix_describe(struct sock *s, struct sock_info *x);

#endif
