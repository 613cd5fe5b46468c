/* SPDX-License-Identifier: Apache-2.0 */
/* Receive queues: pieces of a byte stream, and packets. */
#include "abi/poll.h"
#include "sentry/socket/socket.h"
#include "sentry/vfs/file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_BYTES 65536u

void
scm_files_free(struct scm_files *f)
{
	if (!f)
		return;
	for (uint32_t i = 0; i < f->n; i++)
		file_put(f->file[i]);
	free(f);
}

struct skb *
skb_new(uint32_t cap)
{
	struct skb *b = malloc(sizeof *b + cap);

	if (!b)
		return NULL;
	memset(b, 0, offsetof(struct skb, data));
	list_init(&b->node);
	b->cap = cap;
	return b;
}

void
skb_free(struct skb *b)
{
	if (!b)
		return;
	scm_files_free(b->files);
	free(b);
}

static bool
same_cred(const struct skb *b, const struct sock_msg *m)
{
	return b->has_cred == m->has_cred &&
	       (!m->has_cred || memcmp(&b->cred, &m->cred, sizeof m->cred) == 0);
}

ssize_t
stream_append(struct sock *dst, struct sock_msg *m, uint32_t limit)
{
	size_t want = m->uio->left, room, n;
	struct skb *b, *last;
	uint32_t cap;
	ssize_t k;

	mutex_lock(&dst->lock);
	room = dst->rcv_bytes < limit ? limit - dst->rcv_bytes : 0;
	mutex_unlock(&dst->lock);
	if (!room)
		return -EAGAIN;
	n = want < room ? want : room;
	if (n > PIECE_BYTES)
		n = PIECE_BYTES;
	/* Small writes leave room behind them for the next ones. */
	cap = (uint32_t)(n < 1024 ? 2048 : n);
	b = skb_new(cap);
	if (!b)
		return -ENOMEM;
	k = uio_copy_from(m->uio, b->data, n);
	if (k < 0 || (!k && want)) {
		skb_free(b);
		return k ? k : -EFAULT;
	}
	b->len = (uint32_t)k;
	b->files = m->files;
	b->cred = m->cred;
	b->has_cred = m->has_cred;
	m->files = NULL;
	mutex_lock(&dst->lock);
	last = list_empty(&dst->rcvq) ? NULL : list_entry(dst->rcvq.prev, struct skb, node);
	if (last && !b->files && !last->files && !last->fin && last->len && same_cred(last, m) &&
		last->cap - last->len >= b->len) {
		memcpy(last->data + last->len, b->data, b->len);
		/* A reader may be looking at the piece: the bytes first, then their number. */
		__atomic_store_n(&last->len, last->len + b->len, __ATOMIC_RELEASE);
	} else {
		list_push_back(&dst->rcvq, &b->node);
		b = NULL;
	}
	dst->rcv_bytes += (uint32_t)k;
	mutex_unlock(&dst->lock);
	skb_free(b);
	waitq_notify(&dst->wq, LX_POLLIN | LX_POLLRDNORM);
	return k;
}

ssize_t
stream_take(struct sock *s, struct sock_msg *m, uint32_t *freed)
{
	ssize_t done = 0;
	bool first = true, peek = m->flags & LX_MSG_PEEK;
	struct list *at = &s->rcvq;

	*freed = 0;
	sleeplock_lock(&s->rlock);
	while (m->uio->left) {
		struct skb *b;
		uint32_t off, len;
		ssize_t k;

		mutex_lock(&s->lock);
		b = at->next == &s->rcvq ? NULL : list_entry(at->next, struct skb, node);
		len = b ? b->len : 0;
		off = b ? b->off : 0;
		mutex_unlock(&s->lock);
		if (!b)
			break;
		/* Bytes of different senders, and what comes with descriptors, are not joined
		 * (unix(7)). */
		if (!first && (b->files || b->has_cred != m->has_cred ||
				      (m->has_cred && memcmp(&b->cred, &m->cred, sizeof b->cred))))
			break;
		if (first) {
			m->has_cred = b->has_cred;
			m->cred = b->cred;
		}
		if (len ==
			off) { /* an empty message cannot be in a stream; a spent piece is going */
			at = at->next;
			continue;
		}
		if (m->flags & LX_MSG_TRUNC) {
			k = (ssize_t)(len - off < m->uio->left ? len - off : m->uio->left);
			uio_skip(m->uio, (size_t)k);
		} else {
			k = uio_copy_to(m->uio, b->data + off, len - off);
		}
		if (k < 0) {
			if (!done)
				done = k;
			break;
		}
		done += k;
		mutex_lock(&s->lock);
		if (b->files && !m->files && !peek) {
			m->files = b->files;
			b->files = NULL;
		}
		first = false;
		if (peek) {
			at = at->next;
		} else {
			b->off += (uint32_t)k;
			s->rcv_bytes -= (uint32_t)k;
			*freed += (uint32_t)k;
			if (b->off == b->len) {
				list_del(&b->node);
				at = &s->rcvq;
			} else {
				b = NULL;
			}
		}
		mutex_unlock(&s->lock);
		if (!peek)
			skb_free(b);
		if (m->files)
			break;
	}
	sleeplock_unlock(&s->rlock);
	return done;
}

ssize_t
sock_packet_take(struct sock *s, struct sock_msg *m, uint32_t *freed)
{
	struct skb *b;
	ssize_t n, len;
	bool peek = m->flags & LX_MSG_PEEK;

	*freed = 0;
	sleeplock_lock(&s->rlock);
	mutex_lock(&s->lock);
	b = list_first(&s->rcvq, struct skb, node);
	mutex_unlock(&s->lock);
	if (!b) {
		sleeplock_unlock(&s->rlock);
		return -EAGAIN;
	}
	len = b->len;
	n = uio_copy_to(m->uio, b->data, b->len);
	if (n < 0) {
		sleeplock_unlock(&s->rlock);
		return n;
	}
	m->has_cred = b->has_cred;
	m->cred = b->cred;
	m->addr_len = b->addr_len;
	memcpy(m->addr, b->addr, b->addr_len);
	if (n < len) {
		if (m->flags & LX_MSG_TRUNC)
			n = len;
		m->flags |= LX_MSG_TRUNC;
	} else {
		m->flags &= ~(uint32_t)LX_MSG_TRUNC;
	}
	mutex_lock(&s->lock);
	if (!peek) {
		m->files = b->files;
		b->files = NULL;
		list_del(&b->node);
		s->rcv_bytes -= b->len;
		*freed = b->len ? b->len : 1;
	}
	mutex_unlock(&s->lock);
	sleeplock_unlock(&s->rlock);
	if (!peek)
		skb_free(b);
	return n;
}
