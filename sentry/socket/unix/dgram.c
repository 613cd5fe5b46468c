/* SPDX-License-Identifier: Apache-2.0 */
/* AF_UNIX datagrams: each message goes to a name, or to the default that connect set. */
#include "abi/poll.h"
#include "internal.h"
#include <errno.h>
#include <string.h>

#define QUEUE_USUAL 10 /* messages */

static int
dgram_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at)
{
	struct sock *peer = NULL, *old;
	uint16_t family;
	int err = 0;

	(void)wait_at;
	if (len < sizeof family)
		return -EINVAL;
	memcpy(&family, addr, sizeof family);
	if (family != LX_AF_UNSPEC) {
		err = unix_find(s, c, addr, len, LX_SOCK_DGRAM, &peer);
		if (err)
			return err;
		/* A socket that is connected elsewhere hears only its own peer. */
		mutex_lock(&peer->lock);
		if (us(peer)->peer && us(peer)->peer != s)
			err = -EPERM;
		mutex_unlock(&peer->lock);
		if (err) {
			sock_put(peer);
			return err;
		}
	}
	mutex_lock(&s->lock);
	old = us(s)->peer;
	us(s)->peer = peer;
	us(s)->peer_gone = false;
	mutex_unlock(&s->lock);
	sock_put(old);
	return 0;
}

/* No room at dst, which is locked, for s. Where nobody else can send as many bytes are under way as
 * the sender's buffer has; elsewhere it is a number of messages, and of more than usual no more
 * bytes than that. */
static bool
full_locked(const struct sock *s, struct sock *dst)
{
	uint32_t count = 0, most = (uint32_t)us(dst)->backlog;

	if (dst == s || us(dst)->peer == s)
		return dst->rcv_held >= s->sndbuf;
	if (most > QUEUE_USUAL && dst->rcv_held >= s->sndbuf)
		most = QUEUE_USUAL;
	for (struct list *i = dst->rcvq.next; i != &dst->rcvq && count <= most; i = i->next)
		count++;
	return count > most;
}

static ssize_t
dgram_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	size_t n = m->uio->left;
	struct sock *dst = NULL;
	struct skb *b;
	int err = 0;

	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	mutex_lock(&s->lock);
	if (s->shut_wr)
		err = -EPIPE;
	mutex_unlock(&s->lock);
	if (err)
		return err;
	if (m->addr_len) {
		err = unix_find(s, c, m->addr, m->addr_len, LX_SOCK_DGRAM, &dst);
		if (err)
			return err;
	} else {
		dst = unix_peer_get(s);
		if (!dst)
			return -ENOTCONN;
	}
	if (n > s->sndbuf) {
		sock_put(dst);
		return -EMSGSIZE;
	}
	b = skb_new((uint32_t)n);
	if (!b) {
		sock_put(dst);
		return -ENOMEM;
	}
	mutex_lock(&dst->lock);
	if (us(dst)->peer && us(dst)->peer != s)
		err = -EPERM;
	else if (dst->closed)
		err = -ECONNREFUSED;
	else if (dst->shut_rd)
		err = -EPIPE;
	else if (full_locked(s, dst))
		err = -EAGAIN;
	mutex_unlock(&dst->lock);
	if (!err && n && uio_copy_from(m->uio, b->data, n) != (ssize_t)n)
		err = -EFAULT;
	if (!err)
		err = unix_flight_begin(m, c, dst);
	if (err) {
		if (err == -ECONNREFUSED && !m->addr_len) {
			/* The default is gone: forget it. */
			mutex_lock(&s->lock);
			if (us(s)->peer == dst) {
				us(s)->peer = NULL;
				sock_put(dst);
			}
			mutex_unlock(&s->lock);
		}
		skb_free(b);
		sock_put(dst);
		return err;
	}
	unix_fill_cred(s, c, dst, m);
	b->len = (uint32_t)n;
	b->cred = m->cred;
	b->has_cred = m->has_cred;
	mutex_lock(&s->lock);
	memcpy(b->addr, &us(s)->addr, us(s)->addr_len);
	b->addr_len = us(s)->addr_len;
	mutex_unlock(&s->lock);
	mutex_lock(&dst->lock);
	if (dst->closed) {
		mutex_unlock(&dst->lock);
		unix_flight_end(m->files);
		skb_free(b);
		sock_put(dst);
		return -ECONNREFUSED;
	}
	b->files = m->files;
	m->files = NULL;
	skb_queue_locked(dst, b);
	mutex_unlock(&dst->lock);
	waitq_notify(&dst->wq, LX_POLLIN | LX_POLLRDNORM);
	sock_put(dst);
	return (ssize_t)n;
}

static ssize_t
dgram_recvmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	uint32_t freed;
	struct sock *peer;
	ssize_t n;

	(void)c;
	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	n = sock_packet_take(s, m, &freed);
	unix_flight_end(m->files);
	if (n == -EAGAIN) {
		mutex_lock(&s->lock);
		if (s->err) {
			n = -s->err;
			s->err = 0;
		} else if (s->shut_rd) {
			n = 0;
		}
		mutex_unlock(&s->lock);
		return n;
	}
	/* Whoever waits for room polls this queue. */
	if (freed) {
		waitq_notify(&s->wq, LX_POLLOUT | LX_POLLWRNORM);
		peer = unix_peer_get(s);
		if (peer)
			waitq_notify(&peer->wq, LX_POLLOUT | LX_POLLWRNORM);
		sock_put(peer);
	}
	return n;
}

static uint32_t
dgram_poll(struct sock *s)
{
	uint32_t ev = 0;
	struct sock *peer = NULL;
	bool full = false;

	mutex_lock(&s->lock);
	if (s->err)
		ev |= LX_POLLERR;
	if (!list_empty(&s->rcvq))
		ev |= LX_POLLIN | LX_POLLRDNORM;
	if (s->shut_rd)
		ev |= LX_POLLRDHUP | LX_POLLIN | LX_POLLRDNORM;
	if (s->shut_rd && s->shut_wr)
		ev |= LX_POLLHUP;
	if (us(s)->peer)
		peer = sock_get(us(s)->peer);
	mutex_unlock(&s->lock);
	if (peer) {
		mutex_lock(&peer->lock);
		full = full_locked(s, peer);
		mutex_unlock(&peer->lock);
		sock_put(peer);
	}
	if (!full)
		ev |= LX_POLLOUT | LX_POLLWRNORM | LX_POLLWRBAND;
	return ev;
}

static void
dgram_close(struct sock *s)
{
	struct sock *peer;

	unix_unname(us(s));
	mutex_lock(&s->lock);
	s->closed = true;
	peer = us(s)->peer;
	us(s)->peer = NULL;
	mutex_unlock(&s->lock);
	/* Whoever has us as its default learns of it by its next send (ECONNREFUSED). */
	if (peer)
		waitq_notify(&peer->wq, LX_POLLOUT | LX_POLLWRNORM);
	sock_put(peer);
	unix_purge(s);
	waitq_notify(&s->wq, ~0u);
}

const struct sock_ops unix_dgram_ops = {
	.bind = unix_bind,
	.connect = dgram_connect,
	.listen = sock_no_listen,
	.getname = unix_getname,
	.sendmsg = dgram_sendmsg,
	.recvmsg = dgram_recvmsg,
	.shutdown = unix_shutdown,
	.getsockopt = unix_getsockopt,
	.poll = dgram_poll,
	.close = dgram_close,
	.free = unix_free,
	.describe = unix_describe,
};
