/* SPDX-License-Identifier: Apache-2.0 */
/* sock_diag(7): the sandbox's own sockets, for ss and its kind. */
#include "abi/socket.h"
#include "internal.h"
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

struct inet_query {
	struct nl_reply *r;
	struct lx_inet_diag_req rq;
	uint16_t flags;
	bool one, found;
};

/* Addresses as the wire has them: IPv4 in the first word. */
static void
put_address(uint32_t to[4], const uint8_t ip[16], bool v6)
{
	memset(to, 0, 16);
	memcpy(to, v6 ? ip : ip + 12, v6 ? 16 : 4);
}

static void
inet_one(const struct sock_info *i, void *arg)
{
	struct inet_query *q = arg;
	bool v6 = i->family == LX_AF_INET6;
	struct lx_inet_diag_msg m = {.family = (uint8_t)i->family,
		.state = i->state,
		.rqueue = i->rcv_bytes,
		.wqueue = i->listening ? LX_SOMAXCONN : i->snd_bytes,
		.uid = i->uid,
		.inode = (uint32_t)i->ino};

	if (!q->one && !(q->rq.states >> i->state & 1))
		return;
	m.id.sport = htons(i->local_port);
	m.id.dport = htons(i->remote_port);
	put_address(m.id.src, i->local_ip, v6);
	put_address(m.id.dst, i->remote_ip, v6);
	m.id.cookie[0] = (uint32_t)i->cookie;
	m.id.cookie[1] = (uint32_t)(i->cookie >> 32);
	if (q->one && (q->found || m.id.sport != q->rq.id.sport || m.id.dport != q->rq.id.dport ||
			      memcmp(m.id.src, q->rq.id.src, 16) != 0 ||
			      memcmp(m.id.dst, q->rq.id.dst, 16) != 0))
		return;
	q->found = true;
	nl_begin(q->r, LX_SOCK_DIAG_BY_FAMILY, q->flags, &m, sizeof m);
	nl_put(q->r, LX_INET_DIAG_SHUTDOWN, &i->shutdown, 1);
	nl_end(q->r);
}

static int
inet(const struct net_ns *net, const struct nl_request *rq, struct nl_reply *r)
{
	struct inet_query q = {.r = r};
	int err;

	if (rq->len < sizeof q.rq)
		return -EINVAL;
	memcpy(&q.rq, rq->body, sizeof q.rq);
	if (q.rq.protocol != LX_IPPROTO_TCP && q.rq.protocol != LX_IPPROTO_UDP)
		return -ENOENT;
	q.one = !(rq->h.flags & LX_NLM_F_DUMP);
	q.flags = q.one ? 0 : LX_NLM_F_MULTI;
	err = sock_each(net, q.rq.family, q.rq.protocol, inet_one, &q);
	if (err == 0 && q.one && !q.found)
		err = -ENOENT;
	if (err == 0 && !q.one)
		nl_done(r, 0);
	return err;
}

struct unix_query {
	struct nl_reply *r;
	struct lx_unix_diag_req rq;
	uint16_t flags;
	bool one, found;
};

static void
unix_one(const struct sock_info *i, void *arg)
{
	struct unix_query *q = arg;
	struct lx_unix_diag_msg m = {.family = LX_AF_UNIX,
		.type = (uint8_t)i->type,
		.state = i->state,
		.ino = (uint32_t)i->ino,
		.cookie = {(uint32_t)i->cookie, (uint32_t)(i->cookie >> 32)}};
	uint32_t queue[2] = {i->rcv_bytes, i->listening ? LX_SOMAXCONN : i->snd_bytes};

	if (q->one ? m.ino != q->rq.ino || q->found : !(q->rq.states >> i->state & 1))
		return;
	q->found = true;
	nl_begin(q->r, LX_SOCK_DIAG_BY_FAMILY, q->flags, &m, sizeof m);
	if (q->rq.show & LX_UDIAG_SHOW_NAME && i->name_len)
		nl_put(q->r, LX_UNIX_DIAG_NAME, i->name, i->name_len);
	if (q->rq.show & LX_UDIAG_SHOW_PEER && i->peer_ino)
		nl_put_u32(q->r, LX_UNIX_DIAG_PEER, (uint32_t)i->peer_ino);
	if (q->rq.show & LX_UDIAG_SHOW_RQLEN)
		nl_put(q->r, LX_UNIX_DIAG_RQLEN, queue, sizeof queue);
	nl_put(q->r, LX_UNIX_DIAG_SHUTDOWN, &i->shutdown, 1);
	nl_end(q->r);
}

static int
local(const struct net_ns *net, const struct nl_request *rq, struct nl_reply *r)
{
	struct unix_query q = {.r = r};
	int err;

	if (rq->len < sizeof q.rq)
		return -EINVAL;
	memcpy(&q.rq, rq->body, sizeof q.rq);
	q.one = !(rq->h.flags & LX_NLM_F_DUMP);
	q.flags = q.one ? 0 : LX_NLM_F_MULTI;
	err = sock_each(net, LX_AF_UNIX, -1, unix_one, &q);
	if (err == 0 && q.one && !q.found)
		err = -ENOENT;
	if (err == 0 && !q.one)
		nl_done(r, 0);
	return err;
}

int
nl_diag(struct nl_sock *s, const struct call *c, const struct nl_request *rq, struct nl_reply *r)
{
	(void)c;
	if (rq->h.type != LX_SOCK_DIAG_BY_FAMILY || rq->len < 1)
		return -EINVAL;
	switch (rq->body[0]) {
	case LX_AF_INET:
	case LX_AF_INET6:
		return inet(s->s.net, rq, r);
	case LX_AF_UNIX:
		return local(s->s.net, rq, r);
	default:
		return -ENOENT;
	}
}
