/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Netlink sockets: numbers (portid), groups, options, the loop over a packet's requests. Only the
 * kernel can be spoken to. Lock: table_lock guards numbers and groups; it is held before a
 * socket's.
 */
#include "abi/poll.h"
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct mutex table_lock = MUTEX_INIT(SOCKTABLE);
static struct list table = {&table, &table};
static uint32_t next_portid = 0xfffff000;

static const struct sock_ops nl_ops;

/* --- numbers --- */

static bool
taken(const struct net_ns *net, int protocol, uint32_t portid)
{
	struct nl_sock *o;

	list_for_each_entry (o, &table, node)
		if (o->s.net == net && o->s.protocol == protocol && o->portid == portid)
			return true;
	return false;
}

/* table_lock is held. */
static void
enlist_locked(struct nl_sock *s)
{
	if (!s->listed)
		list_push_back(&table, &s->node);
	s->listed = true;
}

/* The process's own number if it is free, else one from the top down. */
int
nl_autobind(struct nl_sock *s, const struct call *c)
{
	uint32_t want = (uint32_t)c->tgid;

	mutex_lock(&table_lock);
	if (!s->portid) {
		while (taken(s->s.net, s->s.protocol, want))
			want = next_portid-- | 0x80000000;
		s->portid = want;
		enlist_locked(s);
	}
	mutex_unlock(&table_lock);
	return 0;
}

int
nl_bind(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len)
{
	struct lx_sockaddr_nl a;
	int r = 0;

	if (len < sizeof a)
		return -EINVAL;
	memcpy(&a, addr, sizeof a);
	if (a.family != LX_AF_NETLINK)
		return -EINVAL;
	if (a.groups && s->protocol != LX_NETLINK_ROUTE &&
		s->protocol != LX_NETLINK_KOBJECT_UEVENT &&
		!cred_capable_in(c->cred, net_ns_owner(s->net), LX_CAP_NET_ADMIN))
		return -EPERM;
	mutex_lock(&table_lock);
	if (nls(s)->portid) {
		if (nls(s)->portid != a.pid)
			r = -EINVAL;
	} else if (a.pid) {
		if (taken(s->net, s->protocol, a.pid))
			r = -EADDRINUSE;
		else {
			nls(s)->portid = a.pid;
			enlist_locked(nls(s));
		}
	}
	mutex_unlock(&table_lock);
	if (r == 0)
		r = nl_autobind(nls(s), c);
	if (r == 0) {
		mutex_lock(&table_lock);
		nls(s)->groups = (nls(s)->groups & ~0xffffffffULL) | a.groups;
		mutex_unlock(&table_lock);
	}
	return r;
}

void
nl_forget(struct nl_sock *s)
{
	mutex_lock(&table_lock);
	if (s->listed)
		list_del(&s->node);
	s->listed = false;
	s->portid = 0;
	mutex_unlock(&table_lock);
}

int
nl_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at)
{
	struct lx_sockaddr_nl a;

	(void)wait_at;
	if (len < sizeof a.family)
		return -EINVAL;
	memcpy(&a, addr, len < sizeof a ? len : sizeof a);
	if (a.family == LX_AF_UNSPEC) {
		nls(s)->dst_pid = 0;
		return 0;
	}
	if (a.family != LX_AF_NETLINK || len < sizeof a)
		return -EINVAL;
	if ((a.groups || a.pid) &&
		!cred_capable_in(c->cred, net_ns_owner(s->net), LX_CAP_NET_ADMIN))
		return -EPERM;
	nls(s)->dst_pid = a.pid;
	return nl_autobind(nls(s), c);
}

int
nl_getname(struct sock *s, bool peer, uint8_t *addr, uint32_t *len)
{
	struct lx_sockaddr_nl a = {.family = LX_AF_NETLINK};

	mutex_lock(&table_lock);
	a.pid = peer ? nls(s)->dst_pid : nls(s)->portid;
	a.groups = peer ? 0 : (uint32_t)nls(s)->groups;
	mutex_unlock(&table_lock);
	memcpy(addr, &a, sizeof a);
	*len = sizeof a;
	return 0;
}

bool
nl_describe(struct sock *s, struct sock_info *x)
{
	mutex_lock(&table_lock);
	x->portid = nls(s)->portid;
	x->groups = nls(s)->groups;
	mutex_unlock(&table_lock);
	return true;
}

/* --- answers --- */

static void
enqueue(struct nl_sock *s, struct skb *b, uint32_t group)
{
	struct lx_sockaddr_nl from = {
		.family = LX_AF_NETLINK, .groups = group ? 1u << (group - 1) : 0};
	bool full;

	b = skb_fit(b);
	memcpy(b->addr, &from, sizeof from);
	b->addr_len = sizeof from;
	b->has_cred = true; /* the kernel's: all zero */
	mutex_lock(&s->s.lock);
	full = s->s.rcv_held >= NL_QUEUE_MAX;
	if (full) {
		if (!s->no_enobufs)
			s->s.err = ENOBUFS;
	} else {
		skb_queue_locked(&s->s, b);
	}
	mutex_unlock(&s->s.lock);
	if (full)
		skb_free(b);
	waitq_notify(&s->s.wq, LX_POLLIN | LX_POLLRDNORM | (full ? LX_POLLERR : 0));
}

int
netlink_deliver(struct sock *s, const void *data, uint32_t len)
{
	struct skb *b = skb_new(len);

	if (!b)
		return -ENOMEM;
	memcpy(b->data, data, len);
	b->len = len;
	enqueue(nls(s), b, 0);
	return 0;
}

void
nl_flush(struct nl_reply *r)
{
	if (r->b && r->b->len)
		enqueue(r->to, r->b, r->group);
	else
		skb_free(r->b);
	r->b = NULL;
	if (r->failed) {
		mutex_lock(&r->to->s.lock);
		r->to->s.err = ENOBUFS;
		mutex_unlock(&r->to->s.lock);
	}
}

/* Room for n more bytes in b, and where they go. */
static uint8_t *
more(struct nl_reply *r, size_t n)
{
	uint32_t at = r->b ? r->b->len : 0;

	if (r->failed || !r->b || n > r->b->cap - at) {
		r->failed = true;
		return NULL;
	}
	r->b->len += LX_NLA_ALIGN((uint32_t)n);
	memset(r->b->data + at, 0, LX_NLA_ALIGN(n));
	return r->b->data + at;
}

void
nl_begin(struct nl_reply *r, uint16_t type, uint16_t flags, const void *head, size_t len)
{
	struct lx_nlmsghdr h = {.type = type, .flags = flags, .seq = r->seq, .pid = r->pid};
	uint8_t *p;

	/* One message is never above half a packet. */
	if (r->b && r->b->len > NL_PACKET / 2)
		nl_flush(r);
	if (!r->b && !r->failed)
		r->b = skb_new(NL_PACKET);
	r->at = r->b ? r->b->len : 0;
	p = more(r, sizeof h);
	if (p)
		memcpy(p, &h, sizeof h);
	p = len ? more(r, len) : NULL;
	if (p)
		memcpy(p, head, len);
}

void
nl_put(struct nl_reply *r, uint16_t type, const void *data, size_t len)
{
	struct lx_nlattr a = {(uint16_t)(sizeof a + len), type};
	uint8_t *p = more(r, sizeof a + len);

	if (!p)
		return;
	memcpy(p, &a, sizeof a);
	if (len)
		memcpy(p + sizeof a, data, len);
}

void
nl_end(struct nl_reply *r)
{
	uint32_t len;

	if (r->failed)
		return;
	len = r->b->len - r->at;
	memcpy(r->b->data + r->at, &len, sizeof len);
}

void
nl_done(struct nl_reply *r, int err)
{
	int32_t status = err;

	nl_begin(r, LX_NLMSG_DONE, LX_NLM_F_MULTI, &status, sizeof status);
	nl_end(r);
}

const uint8_t *
nl_attr(const struct nl_request *rq, size_t head, uint16_t type, size_t *len)
{
	size_t at = LX_NLA_ALIGN(head);
	struct lx_nlattr a;

	while (at <= rq->len && rq->len - at >= sizeof a) {
		memcpy(&a, rq->body + at, sizeof a);
		if (a.len < sizeof a || a.len > rq->len - at)
			return NULL;
		if ((a.type & LX_NLA_TYPE_MASK) == type) {
			*len = a.len - sizeof a;
			return rq->body + at + sizeof a;
		}
		at += LX_NLA_ALIGN(a.len);
	}
	return NULL;
}

int
nl_take_attr(const struct nl_request *rq, size_t head, uint16_t type, void *ret, size_t bytes)
{
	size_t len = 0;
	const uint8_t *a = nl_attr(rq, head, type, &len);

	if (a && len != bytes)
		return -EINVAL;
	if (a)
		memcpy(ret, a, len);
	return a != NULL;
}

bool
nl_attrs_only(const struct nl_request *rq, size_t head, const uint16_t *types)
{
	size_t at = LX_NLA_ALIGN(head);
	struct lx_nlattr a;

	while (at <= rq->len && rq->len - at >= sizeof a) {
		const uint16_t *t = types;

		memcpy(&a, rq->body + at, sizeof a);
		if (a.len < sizeof a || a.len > rq->len - at)
			return false;
		while (*t && *t != (a.type & LX_NLA_TYPE_MASK))
			t++;
		if (!*t)
			return false;
		at += LX_NLA_ALIGN(a.len);
	}
	return true;
}

void
nl_broadcast(const struct net_ns *net, int protocol, uint32_t group, uint32_t except, uint32_t pid,
	uint32_t seq, void (*build)(struct nl_reply *r, void *arg), void *arg)
{
	struct nl_sock *s;

	mutex_lock(&table_lock);
	list_for_each_entry (s, &table, node) {
		struct nl_reply r = {.to = s, .group = group, .pid = pid, .seq = seq};

		if (s->s.net != net || s->s.protocol != protocol || s->fd >= 0 ||
			s->portid == except || !(s->groups >> (group - 1) & 1))
			continue;
		build(&r, arg);
		nl_flush(&r);
	}
	mutex_unlock(&table_lock);
}

void
nl_tell(struct nl_sock *s, const struct nl_request *rq, uint32_t group,
	void (*build)(struct nl_reply *r, void *arg), void *arg)
{
	struct nl_reply echo = {.to = s, .group = group, .pid = s->portid, .seq = rq->h.seq};
	bool wanted = rq->h.flags & LX_NLM_F_ECHO;

	nl_broadcast(s->s.net, s->s.protocol, group, wanted ? s->portid : 0, s->portid, rq->h.seq,
		build, arg);
	if (wanted) {
		build(&echo, arg);
		nl_flush(&echo);
	}
}

/* --- requests --- */

static void
acknowledge(struct nl_sock *s, const struct nl_request *rq, int err)
{
	struct nl_reply r = {.to = s, .pid = s->portid, .seq = rq->h.seq};
	struct {
		int32_t err;
		struct lx_nlmsghdr h;
	} head = {err, rq->h};
	bool capped = err == 0 || s->cap_ack;
	uint8_t *p;

	r.b = skb_new(
		(uint32_t)(sizeof(struct lx_nlmsghdr) + sizeof head + (capped ? 0 : rq->len) + 8));
	nl_begin(&r, LX_NLMSG_ERROR, capped ? LX_NLM_F_CAPPED : 0, &head, sizeof head);
	/* Linux sends what it did not like back, unless that was switched off. */
	p = capped || rq->len == 0 ? NULL : more(&r, rq->len);
	if (p)
		memcpy(p, rq->body, rq->len);
	nl_end(&r);
	nl_flush(&r);
}

static void
answer(struct nl_sock *s, const struct call *c, const struct nl_request *rq)
{
	struct nl_reply r = {.to = s, .pid = s->portid, .seq = rq->h.seq};
	int err = 0;

	if (!(rq->h.flags & LX_NLM_F_REQUEST))
		return;
	if (rq->h.type >= LX_NLMSG_MIN_TYPE)
		err = s->s.protocol == LX_NETLINK_ROUTE ? nl_route(s, c, rq, &r)
							: nl_diag(s, c, rq, &r);
	nl_flush(&r);
	/* A dump ends with a message of its own. */
	if (err || (rq->h.flags & LX_NLM_F_ACK && !nl_is_dump(rq)))
		acknowledge(s, rq, err);
}

/* Where a message goes: 0 if that is the kernel. */
static int
check_destination(struct nl_sock *s, const struct sock_msg *m)
{
	struct lx_sockaddr_nl a = {.pid = s->dst_pid};

	if (m->addr_len) {
		if (m->addr_len < sizeof a)
			return -EINVAL;
		memcpy(&a, m->addr, sizeof a);
		if (a.family != LX_AF_NETLINK)
			return -EINVAL;
	}
	/* Processes do not speak to each other over these protocols. */
	if (a.groups || a.pid)
		return -EPERM;
	return 0;
}

int
nl_take(struct nl_sock *s, const struct call *c, struct sock_msg *m, uint8_t **ret_buf,
	size_t *ret_len)
{
	size_t n = m->uio->left;
	uint8_t *buf;
	int r;

	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	r = check_destination(s, m);
	if (r == 0)
		r = nl_autobind(s, c);
	if (r < 0)
		return r;
	if (n == 0)
		return -ENODATA; /* since Linux 6.9 */
	if (n + 32 > s->s.sndbuf)
		return -EMSGSIZE;
	buf = malloc(n);
	if (!buf)
		return -ENOBUFS;
	if (uio_copy_from(m->uio, buf, n) != (ssize_t)n) {
		free(buf);
		return -EFAULT;
	}
	*ret_buf = buf;
	*ret_len = n;
	return 0;
}

static ssize_t
nl_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	size_t n, at = 0;
	uint8_t *buf;
	int r = nl_take(nls(s), c, m, &buf, &n);

	if (r < 0)
		return r;
	while (n - at >= sizeof(struct lx_nlmsghdr)) {
		struct nl_request rq;

		memcpy(&rq.h, buf + at, sizeof rq.h);
		if (rq.h.len < sizeof rq.h || rq.h.len > n - at)
			break;
		rq.body = buf + at + sizeof rq.h;
		rq.len = rq.h.len - sizeof rq.h;
		if (s->protocol == LX_NETLINK_ROUTE || s->protocol == LX_NETLINK_SOCK_DIAG)
			answer(nls(s), c, &rq);
		if (LX_NLA_ALIGN(rq.h.len) >= n - at)
			break;
		at += LX_NLA_ALIGN(rq.h.len);
	}
	free(buf);
	return (ssize_t)n;
}

static ssize_t
nl_recvmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	uint32_t freed;
	int err;

	(void)c;
	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	err = sock_error_take(s);
	return err ? err : sock_packet_take(s, m, &freed);
}

/* --- options --- */

static int
nl_setsockopt(
	struct sock *s, const struct call *c, int level, int opt, const uint8_t *val, uint32_t len)
{
	struct nl_sock *n = nls(s);
	int32_t v;

	(void)c;
	if (level != LX_SOL_NETLINK)
		return -ENOPROTOOPT;
	if (len < sizeof v)
		return -EINVAL;
	memcpy(&v, val, sizeof v);
	switch (opt) {
	case LX_NETLINK_ADD_MEMBERSHIP:
	case LX_NETLINK_DROP_MEMBERSHIP:
		if (s->protocol != LX_NETLINK_ROUTE && s->protocol != LX_NETLINK_KOBJECT_UEVENT &&
			!cred_capable_in(c->cred, net_ns_owner(s->net), LX_CAP_NET_ADMIN))
			return -EPERM;
		if (v < 1 || v > LX_RTNLGRP_MAX)
			return -EINVAL;
		mutex_lock(&table_lock);
		if (opt == LX_NETLINK_ADD_MEMBERSHIP) {
			n->groups |= 1ULL << (v - 1);
			enlist_locked(n);
		} else {
			n->groups &= ~(1ULL << (v - 1));
		}
		mutex_unlock(&table_lock);
		return 0;
	case LX_NETLINK_CAP_ACK:
		n->cap_ack = v;
		return 0;
	case LX_NETLINK_EXT_ACK:
		n->ext_ack = v; /* there is nothing to tell beyond the error */
		return 0;
	case LX_NETLINK_GET_STRICT_CHK:
		n->strict = v;
		return 0;
	case LX_NETLINK_NO_ENOBUFS:
		n->no_enobufs = v;
		return 0;
	case LX_NETLINK_BROADCAST_ERROR:
		n->broadcast_error = v; /* of senders to groups, which there are none of */
		return 0;
	default:
		return -ENOPROTOOPT;
	}
}

int
nl_getsockopt(struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len)
{
	struct nl_sock *n = nls(s);
	uint32_t words[2];
	int32_t v;

	(void)c;
	if (level != LX_SOL_NETLINK)
		return -ENOPROTOOPT;
	switch (opt) {
	case LX_NETLINK_LIST_MEMBERSHIPS:
		mutex_lock(&table_lock);
		words[0] = (uint32_t)n->groups;
		words[1] = (uint32_t)(n->groups >> 32);
		mutex_unlock(&table_lock);
		if (*len > sizeof words)
			*len = sizeof words;
		*len &= ~3u;
		memcpy(val, words, *len);
		return 0;
	case LX_NETLINK_CAP_ACK:
		v = n->cap_ack;
		break;
	case LX_NETLINK_EXT_ACK:
		v = n->ext_ack;
		break;
	case LX_NETLINK_GET_STRICT_CHK:
		v = n->strict;
		break;
	case LX_NETLINK_NO_ENOBUFS:
		v = n->no_enobufs;
		break;
	case LX_NETLINK_BROADCAST_ERROR:
		v = n->broadcast_error;
		break;
	default:
		return -ENOPROTOOPT;
	}
	if (*len < sizeof v)
		return -EINVAL;
	memcpy(val, &v, sizeof v);
	*len = sizeof v;
	return 0;
}

/* --- life --- */

static void
nl_close(struct sock *s)
{
	nl_forget(nls(s));
	mutex_lock(&s->lock);
	s->closed = true;
	mutex_unlock(&s->lock);
}

static void
nl_free(struct sock *s)
{
	sock_fini(s);
	free(nls(s));
}

static const struct sock_ops nl_ops = {
	.bind = nl_bind,
	.connect = nl_connect,
	.listen = sock_no_listen,
	.getname = nl_getname,
	.sendmsg = nl_sendmsg,
	.recvmsg = nl_recvmsg,
	.shutdown = sock_no_shutdown,
	.setsockopt = nl_setsockopt,
	.getsockopt = nl_getsockopt,
	.poll = sock_packet_poll,
	.close = nl_close,
	.free = nl_free,
	.describe = nl_describe,
};

static int
create(const struct call *c, int type, int protocol, struct sock **ret)
{
	bool host = net_ns_on_host(c->net) && protocol == LX_NETLINK_ROUTE;
	struct nl_sock *n;
	int r;

	if (type != LX_SOCK_RAW && type != LX_SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (protocol != LX_NETLINK_ROUTE && protocol != LX_NETLINK_SOCK_DIAG &&
		protocol != LX_NETLINK_KOBJECT_UEVENT)
		return -EPROTONOSUPPORT;
	n = calloc(1, sizeof *n);
	if (!n)
		return -ENOMEM;
	n->fd = -1;
	sock_init(&n->s, host ? &nl_host_ops : &nl_ops, c, LX_AF_NETLINK, type, protocol);
	r = host ? nl_host_open(n, protocol) : 0;
	if (r < 0) {
		nl_free(&n->s);
		return r;
	}
	*ret = &n->s;
	return 0;
}

void
netlink_init(void)
{
	static const struct sock_family family = {LX_AF_NETLINK, SOCK_ANYWHERE, create, NULL};

	sock_family_register(&family);
}
