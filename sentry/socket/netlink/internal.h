/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AF_NETLINK (netlink(7)). A request is answered while it is sent: what the answer is waits in the
 * socket's queue, in packets of up to NL_PACKET bytes. Each protocol is one function that takes a
 * request.
 */
#ifndef SENTRY_SOCKET_NETLINK_INTERNAL_H
#define SENTRY_SOCKET_NETLINK_INTERNAL_H

#include "abi/netlink.h"
#include "sentry/net/route.h"
#include "sentry/sched/sched.h"
#include "sentry/socket/info.h"

#define NL_PACKET 8192u
#define NL_QUEUE_MAX                                                                               \
	(4u << 20) /* held by what waits in one socket; what comes on top is lost (ENOBUFS) */

struct nl_sock {
	struct sock s;
	/* under the table's lock */
	struct list node;
	bool listed;	 /* once it has a number or a group */
	uint32_t portid; /* 0: none yet */
	uint64_t groups; /* bit n - 1: group n */
	uint32_t dst_pid;
	bool cap_ack, ext_ack, strict, no_enobufs, broadcast_error; /* options */
	/* a socket of the host's behind it: NETLINK_ROUTE with --network=host */
	int fd; /* -1: none */
	uint32_t host_portid;
	struct hostfd_watch watch;
};

static inline struct nl_sock *
nls(struct sock *s)
{
	return (struct nl_sock *)s;
}

/* An answer under construction. After a failure (no memory) nothing more is added, and the socket
 * gets ENOBUFS. */
struct nl_reply {
	struct nl_sock *to;
	uint32_t pid, seq, group;
	struct skb *b;
	uint32_t at; /* where the present message begins in b */
	bool failed;
};

/* A request, checked for form: body has len bytes, aligned for any of the structs. */
struct nl_request {
	struct lx_nlmsghdr h;
	const uint8_t *body;
	size_t len;
};

void nl_begin(struct nl_reply *r, uint16_t type, uint16_t flags, const void *head, size_t len);
void nl_put(struct nl_reply *r, uint16_t type, const void *data, size_t len);
void nl_end(struct nl_reply *r);
void nl_flush(struct nl_reply *r); /* hand over what is there */
/* The end of a dump. err: 0, or why it ends here. */
void nl_done(struct nl_reply *r, int err);

static inline void
nl_put_u32(struct nl_reply *r, uint16_t type, uint32_t v)
{
	nl_put(r, type, &v, sizeof v);
}

/* The attribute of that type after the first `head` bytes of a request; NULL: not there. */
const uint8_t *nl_attr(const struct nl_request *rq, size_t head, uint16_t type, size_t *len);

/* Are all attributes after the first `head` bytes of the types listed (0 ends them)? */
bool nl_attrs_only(const struct nl_request *rq, size_t head, const uint16_t *types);

/* Send what build makes to all sockets of a namespace and a protocol that listen to the group, but
 * those with the number `except`: as on Linux it is 0, and those without a number hear nothing,
 * unless the request asked for an echo; then it is who asked. pid, seq: of who caused it; 0: nobody
 * in particular. */
void nl_broadcast(const struct net_ns *net, int protocol, uint32_t group, uint32_t except,
	uint32_t pid, uint32_t seq, void (*build)(struct nl_reply *r, void *arg), void *arg);

/* Answer one request. -errno is told to the sender; 0: an acknowledgement, if it wants one. */
int nl_route(
	struct nl_sock *s, const struct call *c, const struct nl_request *rq, struct nl_reply *r);
int nl_diag(
	struct nl_sock *s, const struct call *c, const struct nl_request *rq, struct nl_reply *r);

/* The objects of rtnetlink, each with its questions and changes. */
int nl_link(
	struct nl_sock *s, const struct call *c, const struct nl_request *rq, struct nl_reply *r);
/* The link that a request names by number or by name. -ENODEV, -EINVAL (it names none). */
int nl_named_link(struct net_ns *net, const struct nl_request *rq, struct lx_ifinfomsg *m,
	struct net_link *l);
/* newlink.c: RTM_NEWLINK, RTM_SETLINK. */
int nl_set_link(struct nl_sock *s, const struct call *c, const struct nl_request *rq);
int nl_addr(struct nl_sock *s, const struct nl_request *rq, struct nl_reply *r);
int nl_fib(
	struct nl_sock *s, const struct call *c, const struct nl_request *rq, struct nl_reply *r);
int nl_neigh(struct nl_sock *s, const struct nl_request *rq, struct nl_reply *r);
int nl_rule(
	struct nl_sock *s, const struct call *c, const struct nl_request *rq, struct nl_reply *r);

/* A change that a request has made, to who listens to the group; and to who made it, if it asked
 * for that (NLM_F_ECHO). */
void nl_tell(struct nl_sock *s, const struct nl_request *rq, uint32_t group,
	void (*build)(struct nl_reply *r, void *arg), void *arg);

static inline bool
nl_is_dump(const struct nl_request *rq)
{
	return (rq->h.type & 3) == 2 && rq->h.flags & LX_NLM_F_DUMP;
}

/* Attributes after the first `head` bytes: 1; 0: it is not there; -EINVAL: not of that size. */
int nl_take_attr(const struct nl_request *rq, size_t head, uint16_t type, void *ret, size_t bytes);

void nl_put_cacheinfo(struct nl_reply *r); /* how IPv6 routes end */
void nl_put_route(struct nl_reply *r, uint16_t type, uint16_t flags, const struct net_route *x);
/* lookup.c: which route a packet would take (RTM_GETROUTE without NLM_F_DUMP). */
int nl_route_find(
	struct nl_sock *s, const struct call *c, const struct nl_request *rq, struct nl_reply *r);

/* host.c */
int nl_host_open(struct nl_sock *s, int protocol);
extern const struct sock_ops nl_host_ops;
int nl_bind(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len);
int nl_autobind(struct nl_sock *s, const struct call *c);
int nl_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at);
int nl_getname(struct sock *s, bool peer, uint8_t *addr, uint32_t *len);
int nl_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len);
bool nl_describe(struct sock *s, struct sock_info *x);
/* Take what is sent to the kernel: *ret_buf (free()), *ret_len bytes. -errno. */
int nl_take(struct nl_sock *s, const struct call *c, struct sock_msg *m, uint8_t **ret_buf,
	size_t *ret_len);
void nl_forget(struct nl_sock *s); /* leave the table */

#endif
