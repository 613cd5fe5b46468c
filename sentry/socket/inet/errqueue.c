/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the network says about what a socket has sent, for who asked to be told (ip(7), IP_RECVERR;
 * ipv6(7)): kept in a queue of its own until recvmsg(2) takes it with MSG_ERRQUEUE. Under the
 * socket's lock. Linux: ip_icmp_error, ip_local_error, ip_recv_error in net/ipv4/ip_sockglue.c.
 */
#include "abi/poll.h"
#include "internal.h"
#include "sentry/net/dev.h"
#include <errno.h>
#include <string.h>

#define IP_RECVERR   11
#define IPV6_RECVERR 25

struct sock_extended_err {
	uint32_t err;
	uint8_t origin, type, code, pad;
	uint32_t info, data;
};

/* What the data of a piece begin with; the message, as far as it came back, is behind it. */
struct entry {
	struct sock_extended_err e;
	struct inet_addr to, offender;
	bool v6;
};

bool
inet_wants_errors(const struct inet_sock *i, bool v6)
{
	return v6 ? i->ip6_opt[IPV6_RECVERR] : i->ip_opt[IP_RECVERR];
}

void
inet_error_queue(struct inet_sock *i, const struct inet_error *e, const struct inet_addr *to)
{
	struct entry x = {.e = {.err = (uint32_t)e->err,
				  .origin = (uint8_t)e->origin,
				  .type = e->type,
				  .code = e->code,
				  .info = e->info},
		.to = *to,
		.offender = e->offender,
		.v6 = !inet_is_v4(to)};
	struct skb *b = skb_new((uint32_t)(sizeof x + e->n));

	if (!b)
		return;
	memcpy(b->data, &x, sizeof x);
	if (e->n)
		memcpy(b->data + sizeof x, e->p, e->n);
	b->len = (uint32_t)(sizeof x + e->n);
	mutex_lock(&i->s.lock);
	if (i->s.closed || i->errors_held + b->cap > i->s.rcvbuf) {
		mutex_unlock(&i->s.lock);
		skb_free(b);
		return;
	}
	list_push_back(&i->errors, &b->node);
	i->errors_held += b->cap;
	mutex_unlock(&i->s.lock);
}

void
inet_error_learn(struct net_ns *net, const struct inet_addr *to, const struct inet_error *e)
{
	if (e->err == EMSGSIZE && e->info)
		net_pmtu_learn(net, !inet_is_v4(to), to->ip, e->info);
}

void
inet_error_too_large(struct inet_sock *i, const struct inet_addr *to, const struct inet_hop *hop)
{
	struct inet_error e = {.err = EMSGSIZE, .origin = INET_ERROR_LOCAL};
	struct inet_addr name = *to;
	bool v4 = inet_is_v4(to);

	if (!inet_wants_errors(i, !v4))
		return;
	e.info = net_pmtu(i->s.net, to->ip, hop->oif);
	if (v4)
		name.port = 0; /* as ip_append_data has it */
	inet_error_queue(i, &e, &name);
}

/* The error that is pending is the first in the queue, as long as that is one of ICMP
 * (sock_dequeue_err_skb). */
static struct skb *
take_first(struct inet_sock *i)
{
	struct list *n;
	struct skb *b, *next;
	struct entry x;

	mutex_lock(&i->s.lock);
	n = list_pop_front(&i->errors);
	b = n ? list_entry(n, struct skb, node) : NULL;
	if (b) {
		i->errors_held -= b->cap;
		i->s.err = 0;
		next = list_first(&i->errors, struct skb, node);
		if (next) {
			memcpy(&x, next->data, sizeof x);
			if (x.e.origin != INET_ERROR_LOCAL)
				i->s.err = (int)x.e.err;
		}
	}
	mutex_unlock(&i->s.lock);
	return b;
}

static void
tell(struct sock *s, struct sock_msg *m, const struct entry *x)
{
	struct sock_ctl *c = &m->ctl[0];
	struct lx_sockaddr_in in = {.family = LX_AF_INET};
	struct lx_sockaddr_in6 in6 = {.family = LX_AF_INET6};

	*c = (struct sock_ctl){.level = x->v6 ? LX_SOL_IPV6 : LX_SOL_IP,
		.type = x->v6 ? IPV6_RECVERR : IP_RECVERR};
	memcpy(c->data, &x->e, sizeof x->e);
	c->len = sizeof x->e;
	if (x->e.origin == INET_ERROR_LOCAL)
		in.family = in6.family = 0;
	else if (x->v6)
		memcpy(in6.addr, x->offender.ip, 16);
	else
		memcpy(&in.addr, x->offender.ip + 12, 4);
	memcpy(c->data + c->len, x->v6 ? (const void *)&in6 : &in, x->v6 ? sizeof in6 : sizeof in);
	c->len += (uint32_t)(x->v6 ? sizeof in6 : sizeof in);
	m->nctl = 1;
	inet_addr_out(s, &x->to, m->addr, &m->addr_len);
}

ssize_t
inet_error_take(struct sock *s, struct sock_msg *m)
{
	struct skb *b = take_first(is(s));
	size_t n, room = m->uio->left;
	struct entry x;
	ssize_t r;

	if (!b)
		return -EAGAIN;
	memcpy(&x, b->data, sizeof x);
	n = b->len - sizeof x;
	r = uio_copy_to(m->uio, b->data + sizeof x, n < room ? n : room);
	skb_free(b);
	if (r < 0)
		return r;
	m->flags &= ~(uint32_t)LX_MSG_TRUNC;
	if (n > room)
		m->flags |= LX_MSG_TRUNC;
	tell(s, m, &x);
	return r;
}

void
inet_errors_purge(struct inet_sock *i)
{
	struct list *n;

	do {
		mutex_lock(&i->s.lock);
		n = list_pop_front(&i->errors);
		if (!n)
			i->errors_held = 0;
		mutex_unlock(&i->s.lock);
		if (n)
			skb_free(list_entry(n, struct skb, node));
	} while (n);
}
