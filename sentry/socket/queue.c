/* SPDX-License-Identifier: Apache-2.0 */
/* Receive queues: pieces of a byte stream, and packets. */
#include "abi/poll.h"
#include "sentry/sched/fiber.h"
#include "sentry/socket/socket.h"
#include "sentry/vfs/file.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SKB_HELD    256u /* by a piece beside its bytes */
#define STREAM_HELD 4u	 /* times the limit of a stream: memory of pieces that cannot be joined */

_Static_assert(sizeof(struct skb) <= SKB_HELD, "a piece with nothing in it");

/* Who is in scm_files_free now, and what came to be dropped meanwhile. */
struct drain {
	struct list node;
	const void *who;
	struct scm_files *todo;
};

static struct mutex drains_lock = MUTEX_INIT(LEAF);
static struct list drains = LIST_INIT(drains);

__attribute__((noinline)) static const void *
self(void)
{
	static __thread char thread;
	const struct fiber *f = fiber_self();

	return f ? (const void *)f : &thread;
}

/* True: an outer call of the same fiber does it. */
static bool
leave_to_outer(const void *who, struct scm_files *f)
{
	struct drain *d;
	bool found = false;

	mutex_lock(&drains_lock);
	list_for_each_entry (d, &drains, node)
		if (d->who == who) {
			f->next = d->todo;
			d->todo = f;
			found = true;
			break;
		}
	mutex_unlock(&drains_lock);
	return found;
}

void
scm_files_free(struct scm_files *f)
{
	struct drain d = {.who = self()};

	if (!f)
		return;
	if (f->in_flight)
		unix_flight_end(f);
	if (leave_to_outer(d.who, f))
		return;
	mutex_lock(&drains_lock);
	list_push_back(&drains, &d.node);
	mutex_unlock(&drains_lock);
	while (f) {
		for (uint32_t i = 0; i < f->n; i++)
			file_put(f->file[i]);
		free(f);
		mutex_lock(&drains_lock);
		f = d.todo;
		if (f)
			d.todo = f->next;
		else
			list_del(&d.node);
		mutex_unlock(&drains_lock);
	}
}

struct scm_files *
scm_files_dup(const struct scm_files *f)
{
	struct scm_files *n = calloc(1, sizeof *n);

	if (!n)
		return NULL;
	for (; n->n < f->n; n->n++)
		n->file[n->n] = file_get(f->file[n->n]);
	return n;
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

struct skb *
skb_fit(struct skb *b)
{
	struct skb *n = b->len < b->cap ? realloc(b, sizeof *b + b->len) : NULL;

	if (!n)
		return b;
	list_init(&n->node);
	n->cap = n->len;
	return n;
}

void
skb_queue_locked(struct sock *s, struct skb *b)
{
	list_push_back(&s->rcvq, &b->node);
	s->rcv_bytes += b->len;
	s->rcv_held += SKB_HELD + b->cap;
}

void
skb_unqueue_locked(struct sock *s, struct skb *b)
{
	list_del(&b->node);
	s->rcv_bytes -= b->len - b->off;
	s->rcv_held -= SKB_HELD + b->cap;
}

void
sock_purge(struct sock *s)
{
	struct skb *b;

	sleeplock_lock(&s->rlock);
	do {
		mutex_lock(&s->lock);
		b = list_first(&s->rcvq, struct skb, node);
		if (b)
			skb_unqueue_locked(s, b);
		else
			s->urgent = URGENT_NONE;
		mutex_unlock(&s->lock);
		skb_free(b);
	} while (b);
	sleeplock_unlock(&s->rlock);
}

bool
skb_full_locked(const struct sock *s)
{
	return s->rcv_held >= s->rcvbuf;
}

uint32_t
stream_room_locked(const struct sock *dst, uint32_t limit)
{
	if (dst->rcv_bytes >= limit || dst->rcv_held >= (uint64_t)limit * STREAM_HELD)
		return 0;
	return limit - dst->rcv_bytes;
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
	room = stream_room_locked(dst, limit);
	mutex_unlock(&dst->lock);
	if (!room)
		return -EAGAIN;
	n = want < room ? want : room;
	if (n > STREAM_PIECE_MAX)
		n = STREAM_PIECE_MAX;
	/* Small writes leave room behind them for the next ones. */
	cap = (uint32_t)(n < 1024 && !m->files ? 2048 : n);
	b = skb_new(cap);
	if (!b)
		return -ENOMEM;
	k = uio_copy_from(m->uio, b->data, n);
	if (k < 0 || (!k && want)) {
		skb_free(b);
		return k ? k : -EFAULT;
	}
	b->len = (uint32_t)k;
	b->cred = m->cred;
	b->has_cred = m->has_cred;
	if (m->tap)
		memcpy(m->tap, b->data, b->len);
	mutex_lock(&dst->lock);
	if (m->files && dst->closed) { /* nobody will take them out again */
		mutex_unlock(&dst->lock);
		skb_free(b);
		return -EPIPE;
	}
	b->files = m->files;
	m->files = NULL;
	last = list_empty(&dst->rcvq) ? NULL : list_entry(dst->rcvq.prev, struct skb, node);
	if (last && !b->files && !last->files && !last->urgent && !last->fin && last->len &&
		same_cred(last, m) && last->cap - last->len >= b->len) {
		memcpy(last->data + last->len, b->data, b->len);
		/* A reader may be looking at the piece: the bytes first, then their number. */
		__atomic_store_n(&last->len, last->len + b->len, __ATOMIC_RELEASE);
		dst->rcv_bytes += b->len;
	} else {
		skb_queue_locked(dst, b);
		b = NULL;
	}
	mutex_unlock(&dst->lock);
	skb_free(b);
	waitq_notify(&dst->wq, LX_POLLIN | LX_POLLRDNORM);
	return k;
}

ssize_t
stream_append_urgent(struct sock *dst, struct sock_msg *m, uint32_t limit)
{
	size_t n = m->uio->left;
	struct skb *b, *u, *old;
	bool full;

	/* The last byte goes with all that is before it. */
	if (n == 0 || n > STREAM_PIECE_MAX)
		return n ? stream_append(dst, m, limit) : 0;
	mutex_lock(&dst->lock);
	full = stream_room_locked(dst, limit) < n;
	mutex_unlock(&dst->lock);
	if (full)
		return -EAGAIN;
	b = skb_new((uint32_t)n);
	u = skb_new(1);
	if (!b || !u || uio_copy_from(m->uio, b->data, n) != (ssize_t)n) {
		bool memory = !b || !u;

		skb_free(b);
		skb_free(u);
		return memory ? -ENOMEM : -EFAULT;
	}
	b->len = (uint32_t)n - 1;
	u->data[0] = b->data[n - 1];
	u->len = 1;
	u->urgent = true;
	mutex_lock(&dst->lock);
	/* An older one that was not passed is a byte as others are. */
	list_for_each_entry (old, &dst->rcvq, node)
		old->urgent = false;
	if (b->len) {
		skb_queue_locked(dst, b);
		b = NULL;
	}
	skb_queue_locked(dst, u);
	dst->urgent = URGENT_UNREAD;
	dst->urgent_byte = u->data[0];
	mutex_unlock(&dst->lock);
	skb_free(b);
	waitq_notify(&dst->wq, LX_POLLPRI | (n > 1 ? LX_POLLIN | LX_POLLRDNORM : 0));
	return (ssize_t)n;
}

ssize_t
stream_take_urgent(struct sock *s, struct sock_msg *m)
{
	uint8_t byte = 0;
	ssize_t n = 1;

	mutex_lock(&s->lock);
	if (s->oobinline || s->urgent != URGENT_UNREAD)
		n = -EINVAL;
	byte = s->urgent_byte;
	if (n == 1 && !(m->flags & LX_MSG_PEEK))
		s->urgent = URGENT_READ;
	mutex_unlock(&s->lock);
	if (n < 0)
		return n;
	m->flags |= LX_MSG_OOB;
	if (m->uio->left == 0) {
		m->flags |= LX_MSG_TRUNC;
		return 0;
	}
	return uio_copy_to(m->uio, &byte, 1);
}

bool
stream_at_mark_locked(struct sock *s)
{
	struct skb *b;

	list_for_each_entry (b, &s->rcvq, node)
		if (b->off < b->len)
			return b->urgent;
	return false;
}

uint32_t
stream_before_mark_locked(struct sock *s)
{
	uint32_t n = 0;
	struct skb *b;

	list_for_each_entry (b, &s->rcvq, node) {
		if (b->urgent && !s->oobinline)
			break;
		n += b->len - b->off;
	}
	return n;
}

uint32_t
stream_readable_locked(struct sock *s)
{
	uint32_t n = 0;
	struct skb *b;

	if (s->urgent == URGENT_NONE || s->oobinline)
		return s->rcv_bytes;
	list_for_each_entry (b, &s->rcvq, node) {
		/* It is passed over where a read begins, and stops one elsewhere. */
		if (b->urgent && n)
			break;
		if (!b->urgent)
			n += b->len - b->off;
	}
	return n;
}

/* A read has come to what was the urgent byte a moment ago: it goes, if it still is. rlock is held.
 */
static void
pass_urgent(struct sock *s, struct skb *b, uint32_t *freed)
{
	mutex_lock(&s->lock);
	if (!b->urgent) { /* a newer one came: this is a byte as others are */
		mutex_unlock(&s->lock);
		return;
	}
	skb_unqueue_locked(s, b);
	s->urgent = URGENT_NONE;
	mutex_unlock(&s->lock);
	*freed += b->len;
	skb_free(b);
}

ssize_t
stream_take(struct sock *s, struct sock_msg *m, uint32_t *freed)
{
	ssize_t done = 0;
	bool first = true, peek = m->flags & LX_MSG_PEEK;
	struct list *at = &s->rcvq;

	sleeplock_lock(&s->rlock);
	while (m->uio->left) {
		struct skb *b;
		uint32_t off, len;
		ssize_t k;

		bool urgent;

		mutex_lock(&s->lock);
		b = at->next == &s->rcvq ? NULL : list_entry(at->next, struct skb, node);
		len = b ? b->len : 0;
		off = b ? b->off : 0;
		urgent = b && b->urgent;
		mutex_unlock(&s->lock);
		if (!b || (urgent && done))
			break;
		if (urgent && !s->oobinline) {
			if (peek)
				at = at->next;
			else
				pass_urgent(s, b, freed);
			continue;
		}
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
		if (b->files && !m->files && peek) {
			m->files = scm_files_dup(b->files);
			if (!m->files) { /* it is the first piece: nothing else was read */
				mutex_unlock(&s->lock);
				done = -ENOMEM;
				break;
			}
		} else if (b->files && !m->files) {
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
				if (b->urgent)
					s->urgent = URGENT_NONE;
				skb_unqueue_locked(s, b);
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
	m->meta = b->meta;
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
	if (peek) {
		m->files = b->files ? scm_files_dup(b->files) : NULL;
		if (b->files && !m->files)
			n = -ENOMEM;
	} else {
		m->files = b->files;
		b->files = NULL;
		skb_unqueue_locked(s, b);
		*freed = b->len ? b->len : 1;
	}
	mutex_unlock(&s->lock);
	sleeplock_unlock(&s->rlock);
	if (!peek)
		skb_free(b);
	return n;
}

uint32_t
sock_packet_poll(struct sock *s)
{
	uint32_t ev = LX_POLLOUT | LX_POLLWRNORM | LX_POLLWRBAND;

	mutex_lock(&s->lock);
	if (s->err)
		ev |= LX_POLLERR;
	if (!list_empty(&s->rcvq))
		ev |= LX_POLLIN | LX_POLLRDNORM;
	mutex_unlock(&s->lock);
	return ev;
}
