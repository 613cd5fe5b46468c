/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Descriptors in flight: sent by SCM_RIGHTS and not received. Counted per real user id
 * (ETOOMANYREFS), and collected where they keep each other: a socket of which every reference is in
 * a queue, and only in queues of such sockets, can never be received from again. Linux:
 * net/unix/garbage.c.
 *
 * A fiber of its own collects, however many sockets were closed meanwhile, and half of the time at
 * most: each look is at all that is in flight.
 *
 * Why a look at one socket after the other is enough, while programs go on: flight_lock is held for
 * all of it, and what is taken from a queue goes no further before flight_end has had that lock. So
 * a file that was seen with no other reference than those in flight can at most be in the hands of
 * who has just dequeued it from a socket that is itself held from outside; that message is then
 * missing among those found, or counts as one from outside, and the file stays. Who peeks waits for
 * the lock in the same way.
 */
#include "internal.h"
#include "sentry/sched/fiber.h"
#include "sentry/vfs/file.h"
#include <errno.h>
#include <stdlib.h>

/* The files of a real user id in flight. */
struct flight_user {
	uint32_t uid;
	uint64_t n;
	UT_hash_handle hh;
};

static struct mutex flight_lock = MUTEX_INIT(FLIGHT);
static struct flight_user *users;
static struct list flying = LIST_INIT(flying); /* struct unix_sock by flight_node */
static _Atomic uint32_t nflying;
/* Has a circle been closed since nothing was in flight? The message that does so is queued at a
 * socket that is in flight itself, or was not accepted yet. Without one there is nothing to
 * collect. */
static _Atomic bool circles;
static struct fiber *collector;
static _Atomic bool wanted; /* something was closed since the collector last began */

static struct unix_sock *
unix_of(struct file *f)
{
	struct sock *s = sock_of(f);

	return s && s->family == LX_AF_UNIX && !s->ops->on_host ? us(s) : NULL;
}

static struct flight_user *
user_of(uint32_t uid)
{
	struct flight_user *u;

	HASH_FIND(hh, users, &uid, sizeof uid, u);
	if (!u && (u = calloc(1, sizeof *u))) {
		u->uid = uid;
		HASH_ADD(hh, users, uid, sizeof uid, u);
	}
	return u;
}

static void
begin_locked(struct scm_files *f, struct flight_user *u)
{
	u->n += f->n;
	f->uid = u->uid;
	f->in_flight = true;
	for (uint32_t i = 0; i < f->n; i++) {
		struct unix_sock *s = unix_of(f->file[i]);

		if (!s)
			continue;
		if (!s->in_flight++) {
			s->flight_file = f->file[i];
			list_push_back(&flying, &s->flight_node);
			atomic_fetch_add(&nflying, 1);
		}
	}
}

static void
end_locked(struct scm_files *f)
{
	struct flight_user *u;

	HASH_FIND(hh, users, &f->uid, sizeof f->uid, u);
	u->n -= f->n;
	if (!u->n) {
		HASH_DEL(users, u);
		free(u);
	}
	f->in_flight = false;
	for (uint32_t i = 0; i < f->n; i++) {
		struct unix_sock *s = unix_of(f->file[i]);

		if (s && !--s->in_flight) {
			list_del(&s->flight_node);
			if (atomic_fetch_sub(&nflying, 1) == 1)
				circles = false;
		}
	}
}

static void collect(void);

static int
try_begin(struct scm_files *f, const struct call *c, struct sock *dst)
{
	struct flight_user *u;
	int err = 0;

	mutex_lock(&flight_lock);
	u = user_of(c->cred->uid);
	if (!u)
		err = -ENOMEM;
	else if (c->rlim && u->n > rlimit_cur(c->rlim, LX_RLIMIT_NOFILE) &&
		 !cred_capable(c->cred, LX_CAP_SYS_RESOURCE) &&
		 !cred_capable(c->cred, LX_CAP_SYS_ADMIN))
		err = -ETOOMANYREFS;
	else
		begin_locked(f, u);
	if (!err && (us(dst)->in_flight || !dst->ino))
		circles = true;
	mutex_unlock(&flight_lock);
	return err;
}

int
unix_flight_begin(struct sock_msg *m, const struct call *c, struct sock *dst)
{
	int err;

	if (!m->files || m->files->in_flight || !m->files->n)
		return 0;
	err = try_begin(m->files, c, dst);
	if (err == -ETOOMANYREFS) {
		collect();
		err = try_begin(m->files, c, dst);
	}
	return err;
}

void
unix_flight_end(struct scm_files *f)
{
	if (!f)
		return;
	mutex_lock(&flight_lock);
	if (f->in_flight)
		end_locked(f);
	mutex_unlock(&flight_lock);
}

bool
unix_in_flight(struct file *f)
{
	struct unix_sock *s =
		atomic_load_explicit(&nflying, memory_order_relaxed) ? unix_of(f) : NULL;

	return s && atomic_load_explicit(&s->in_flight, memory_order_relaxed);
}

/* --- collecting --- */

struct walk {
	void (*fn)(struct walk *w, struct skb *b);
	struct list *live;	/* suspects that turn out to be reached */
	struct scm_files *hits; /* to be dropped */
};

/* All pieces with files that who has u's file can come to: also by accept. */
static void
walk_queues(struct unix_sock *u, struct walk *w)
{
	struct unix_sock *n;
	struct skb *b;

	mutex_lock(&u->s.lock);
	list_for_each_entry (b, &u->s.rcvq, node)
		if (b->files)
			w->fn(w, b);
	list_for_each_entry (n, &u->acceptq, accept_node) {
		mutex_lock_nested(&n->s.lock);
		list_for_each_entry (b, &n->s.rcvq, node)
			if (b->files)
				w->fn(w, b);
		mutex_unlock(&n->s.lock);
	}
	mutex_unlock(&u->s.lock);
}

static void
found_inside(struct walk *w, struct skb *b)
{
	(void)w;
	for (uint32_t i = 0; i < b->files->n; i++) {
		struct unix_sock *s = unix_of(b->files->file[i]);

		if (s && s->suspect)
			s->from_outside--;
	}
}

static void
found_reached(struct walk *w, struct skb *b)
{
	for (uint32_t i = 0; i < b->files->n; i++) {
		struct unix_sock *s = unix_of(b->files->file[i]);

		if (!s || !s->suspect)
			continue;
		s->suspect = false;
		list_del(&s->suspect_node);
		list_push_back(w->live, &s->suspect_node);
	}
}

static void
found_garbage(struct walk *w, struct skb *b)
{
	struct scm_files *f = b->files;

	b->files = NULL;
	f->next = w->hits;
	w->hits = f;
}

static void
collect(void)
{
	struct list suspects = LIST_INIT(suspects), live = LIST_INIT(live), *n, *next;
	struct walk w = {.live = &live};
	struct scm_files *f;
	struct unix_sock *u;

	if (!atomic_load(&nflying) || !circles)
		return;
	mutex_lock(&flight_lock);
	list_for_each_entry (u, &flying, flight_node) {
		u->suspect = (uint32_t)atomic_load(&u->flight_file->ref.n) == u->in_flight;
		if (!u->suspect)
			continue;
		u->from_outside = u->in_flight;
		list_push_back(&suspects, &u->suspect_node);
	}
	w.fn = found_inside;
	list_for_each_entry (u, &suspects, suspect_node)
		walk_queues(u, &w);
	for (n = suspects.next; n != &suspects; n = next) {
		u = list_entry(n, struct unix_sock, suspect_node);
		next = n->next;
		if (!u->from_outside)
			continue;
		u->suspect = false;
		list_del(n);
		list_push_back(&live, n);
	}
	w.fn = found_reached;
	while ((n = list_pop_front(&live)))
		walk_queues(list_entry(n, struct unix_sock, suspect_node), &w);
	w.fn = found_garbage;
	while ((n = list_pop_front(&suspects))) {
		u = list_entry(n, struct unix_sock, suspect_node);
		u->suspect = false;
		walk_queues(u, &w);
	}
	for (f = w.hits; f; f = f->next)
		end_locked(f);
	mutex_unlock(&flight_lock);
	while ((f = w.hits)) {
		w.hits = f->next;
		f->next = NULL;
		scm_files_free(f);
	}
}

void
unix_flight_collect(void)
{
	if (atomic_load(&nflying) && circles && !atomic_exchange(&wanted, true))
		fiber_wake(collector);
}

static void
collector_main(void *arg)
{
	(void)arg;
	for (;;) {
		int64_t begin, end;

		if (!atomic_exchange(&wanted, false)) {
			fiber_park();
			continue;
		}
		begin = sched_now_ns();
		collect();
		end = sched_now_ns();
		for (int64_t until = end + (end - begin); sched_now_ns() < until;)
			(void)fiber_park_until(until);
	}
}

int
unix_flight_init(void)
{
	return fiber_spawn(collector_main, NULL, &collector);
}
