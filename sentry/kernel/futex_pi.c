/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Futexes with priority inheritance (futex(2), Documentation/locking/futex-requeue-pi). Linux
 * counterpart: kernel/futex/pi.c, requeue.c.
 *
 * The word in guest memory is the owner's number and two flags. User space changes it itself only
 * from 0 to its own number and back; with FUTEX_WAITERS in it both fail, and it is ours. So a
 * waiter first sets that flag, in one step, and is then entered in a pi_state; who unlocks finds it
 * there and makes the first waiter the owner, in the word too. The first is the one of highest
 * priority, and among equals the oldest. Whose turn it is, is all that priorities decide here: how
 * long an owner takes is up to the host, which knows nothing of it.
 *
 * What has waiters belongs to a domain: an address space, or memory that several share. A domain's
 * lock is held while guest memory is looked at, which parks, and which the guest can hold up; so it
 * holds up only those who share the memory.
 *
 * Locks: domain->lock (sleeplock) guards everything of the domain, two of them are taken by
 * address. owner_lock (LEAF) guards who owns what, across domains, and the table of these.
 */
#include "abi/mman.h"
#include "abi/sched.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/pid_ns.h"
#include <stdlib.h>
#include <uthash.h>

#define FUTEX_WAITERS	 0x80000000u
#define FUTEX_OWNER_DIED 0x40000000u
#define FUTEX_TID_MASK	 0x3fffffffu
#define CIRCLE_MAX	 1024 /* owners that wait for owners (kernel.max_lock_depth) */

struct pi_domain {
	const void *memory; /* of the table */
	UT_hash_handle hh;
	uint32_t uses; /* owner_lock */
	struct sleeplock lock;
	struct list states;   /* struct pi_state */
	struct list sleepers; /* struct pi_waiter: FUTEX_WAIT_REQUEUE_PI, not requeued yet */
};

/* One futex that somebody waits for, or whose new owner has still to write its number. */
struct pi_state {
	struct list node; /* of the domain */
	struct pi_domain *domain;
	uint64_t off;
	struct list waiters; /* struct pi_waiter, first come first served within a priority */
	uint32_t pending;    /* owners that have been made so, and have not come round yet */
	struct task *owner;  /* owner_lock; borrowed: it leaves before it ends */
	struct list owner_node;
};

struct pi_key {
	struct pi_domain *domain; /* a use */
	struct mappable *map;	  /* what keeps the identity, or NULL */
	struct mm *mm;
	uint64_t off;
};

struct pi_waiter {
	struct list node; /* of a state or of a domain's sleepers */
	struct task *task;
	struct pi_state *state; /* NULL: sleeps on `off` of `domain` */
	struct pi_domain *domain;
	uint64_t off, lock_off;
	struct pi_domain *lock_domain;
	bool is_owner; /* the wait is over */
	bool by_death; /* and the word does not say so yet */
};

static struct mutex owner_lock = MUTEX_INIT(LEAF);
static struct pi_domain *domains;

/* --- names of futexes --- */

static struct pi_domain *
domain_get(const void *memory)
{
	struct pi_domain *d, *fresh = calloc(1, sizeof *fresh);

	mutex_lock(&owner_lock);
	HASH_FIND_PTR(domains, &memory, d);
	if (!d && fresh) {
		d = fresh;
		fresh = NULL;
		d->memory = memory;
		sleeplock_init(&d->lock);
		list_init(&d->states);
		list_init(&d->sleepers);
		HASH_ADD_PTR(domains, memory, d);
	}
	if (d)
		d->uses++;
	mutex_unlock(&owner_lock);
	free(fresh);
	return d;
}

static void
domain_put(struct pi_domain *d)
{
	bool last;

	mutex_lock(&owner_lock);
	last = --d->uses == 0;
	if (last)
		HASH_DEL(domains, d);
	mutex_unlock(&owner_lock);
	if (last)
		free(d);
}

struct shared_at {
	uint64_t addr, off;
	struct mappable *map;
};

static bool
find_shared(const struct vma *v, void *arg)
{
	struct shared_at *s = arg;

	if (v->start <= s->addr && s->addr < v->end && (v->flags & VMA_SHARED) && v->map) {
		ref_get(&v->map->ref);
		s->map = v->map;
		s->off = v->off + (s->addr - v->start);
	}
	return false;
}

static void
key_put(struct pi_key *k)
{
	if (k->domain)
		domain_put(k->domain);
	if (k->map && ref_put(&k->map->ref))
		k->map->ops->release(k->map);
	mm_put(k->mm);
	*k = (struct pi_key){0};
}

static int
key_of(struct task *t, struct futex_at at, struct pi_key *ret)
{
	struct shared_at s = {.addr = at.addr.v};
	struct mm_call mc;

	*ret = (struct pi_key){.off = at.addr.v};
	if (at.addr.v & 3)
		return -EINVAL;
	task_mm_call(t, &mc);
	if (!mm_accessible(&mc, at.addr.v, 4, LX_PROT_READ | LX_PROT_WRITE))
		return -EFAULT;
	if (!at.is_private)
		mm_for_each(t->mm, at.addr.v, find_shared, &s);
	if (s.map) {
		ret->map = s.map;
		ret->off = s.off;
		ret->domain = domain_get(s.map->memory ? s.map->memory : s.map);
	} else {
		ret->mm = mm_get(t->mm);
		ret->domain = domain_get(t->mm);
	}
	if (ret->domain)
		return 0;
	key_put(ret);
	return -ENOMEM;
}

static void
lock_two(struct pi_domain *a, struct pi_domain *b)
{
	sleeplock_lock(&(a < b ? a : b)->lock);
	if (a != b)
		sleeplock_lock(&(a < b ? b : a)->lock);
}

static void
unlock_two(struct pi_domain *a, struct pi_domain *b)
{
	sleeplock_unlock(&a->lock);
	if (a != b)
		sleeplock_unlock(&b->lock);
}

/* --- states; the domain is locked --- */

static struct pi_state *
state_find(const struct pi_key *k)
{
	struct pi_state *s;

	list_for_each_entry (s, &k->domain->states, node)
		if (s->off == k->off)
			return s;
	return NULL;
}

static struct pi_state *
state_new(const struct pi_key *k)
{
	struct pi_state *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->domain = k->domain;
	s->off = k->off;
	list_init(&s->waiters);
	list_init(&s->owner_node);
	mutex_lock(&owner_lock);
	k->domain->uses++;
	mutex_unlock(&owner_lock);
	list_push_back(&k->domain->states, &s->node);
	return s;
}

/* owner: NULL: nobody any more. False: it has ended. */
static bool
state_set_owner(struct pi_state *s, struct task *owner)
{
	bool ok = true;

	mutex_lock(&owner_lock);
	if (s->owner)
		list_del(&s->owner_node);
	s->owner = owner;
	if (owner && owner->pi_over) {
		ok = false;
		s->owner = NULL;
	} else if (owner) {
		list_push_back(&owner->pi_owned, &s->owner_node);
	}
	mutex_unlock(&owner_lock);
	return ok;
}

/* Nobody waits any more: forget it. */
static void
state_drop(struct pi_state *s)
{
	if (!s || !list_empty(&s->waiters) || s->pending)
		return;
	(void)state_set_owner(s, NULL);
	list_del(&s->node);
	domain_put(s->domain);
	free(s);
}

static int
priority_of(struct task *t)
{
	int32_t n;

	mutex_lock(&t->pt_lock);
	n = t->sched.priority;
	mutex_unlock(&t->pt_lock);
	return n;
}

static void
enqueue(struct pi_state *s, struct pi_waiter *w)
{
	struct pi_waiter *o;
	struct list *before = &s->waiters;

	list_for_each_entry (o, &s->waiters, node) {
		if (priority_of(o->task) < priority_of(w->task)) {
			before = &o->node;
			break;
		}
	}
	list_push_back(before, &w->node); /* in front of that one */
	w->state = s;
	w->domain = s->domain;
	mutex_lock(&owner_lock);
	w->task->pi_blocked = s;
	mutex_unlock(&owner_lock);
}

static void
dequeue(struct pi_waiter *w)
{
	list_del(&w->node);
	mutex_lock(&owner_lock);
	w->task->pi_blocked = NULL;
	mutex_unlock(&owner_lock);
}

/* Would t, waiting for s, wait for itself? */
static bool
is_circle(const struct pi_state *s, const struct task *t)
{
	bool circle = false;

	mutex_lock(&owner_lock);
	for (int i = 0; s && s->owner && i < CIRCLE_MAX && !circle; i++) {
		circle = s->owner == t;
		s = s->owner->pi_blocked;
	}
	mutex_unlock(&owner_lock);
	return circle;
}

/* The first waiter is the owner now. */
static void
hand_over(struct pi_state *s, struct pi_waiter *w, bool by_death)
{
	dequeue(w);
	s->pending++;
	/* one that is ending has left the queue before it is over */
	(void)state_set_owner(s, w->task);
	w->by_death = by_death;
	w->is_owner = true;
	fiber_wake(w->task->fiber);
}

static struct pi_waiter *
first_waiter(struct pi_state *s)
{
	return list_first(&s->waiters, struct pi_waiter, node);
}

/* --- the word --- */

static int
word_get(struct task *t, struct uaddr at, uint32_t *ret)
{
	return plat->peek(t->pt, ret, at.v, sizeof *ret) ? -EFAULT : 0;
}

/* From *seen to want: 0, -EFAULT, or -EAGAIN with what is there in *seen. */
static int
word_change(struct task *t, struct uaddr at, uint32_t *seen, uint32_t want)
{
	uint32_t v = *seen;

	if (plat->cmpxchg32(t->pt, at.v, &v, want))
		return -EFAULT;
	if (v == *seen)
		return 0;
	*seen = v;
	return -EAGAIN;
}

/* The task with that number, if it may still own something. A reference. */
static struct task *
find_owner(uint32_t word)
{
	struct task *o = task_find_get((int32_t)(word & FUTEX_TID_MASK));
	bool over = false;

	if (o) {
		mutex_lock(&owner_lock);
		over = o->pi_over;
		mutex_unlock(&owner_lock);
	}
	if (!over)
		return o;
	task_put(o);
	return NULL;
}

/*
 * Try to make `who` the owner of the word at `at` (in the caller's memory). 0: it is. 1: it has to
 * wait, in *ret_state; the word says so. set_waiters: there will be more of them. The domain of k
 * is locked. -errno.
 */
static int
try_lock(struct task *t, struct uaddr at, const struct pi_key *k, struct task *who,
	bool set_waiters, struct pi_state **ret_state)
{
	uint32_t self = (uint32_t)pid_nr_in(who->pid, task_pid_ns(t)), v;
	struct task *owner;
	struct pi_state *s;
	int r = word_get(t, at, &v);

	for (; r == 0; r = r == -EAGAIN ? 0 : r) {
		if (atomic_load(&t->work) & (TW_EXIT | TW_GONE))
			return -EINTR;
		if ((v & FUTEX_TID_MASK) == self)
			return -EDEADLK;
		s = state_find(k);
		if (s) {
			*ret_state = s;
			/* whoever comes round may have left the word without our flag */
			r = v & FUTEX_WAITERS ? 0 : word_change(t, at, &v, v | FUTEX_WAITERS);
			if (r == -EAGAIN)
				continue;
			return r ? r : 1;
		}
		if (!(v & FUTEX_TID_MASK)) {
			r = word_change(t, at, &v,
				(v & FUTEX_OWNER_DIED) | self | (set_waiters ? FUTEX_WAITERS : 0));
			if (r == -EAGAIN)
				continue;
			return r;
		}
		owner = find_owner(v);
		if (!owner) {
			uint32_t again = 0;

			/* it may have let go as it ended */
			r = word_get(t, at, &again);
			if (r || again == v)
				return r ? r : -ESRCH;
			v = again;
			continue;
		}
		r = word_change(t, at, &v, v | FUTEX_WAITERS);
		if (r == 0) {
			s = state_new(k);
			if (!s) {
				r = -ENOMEM;
			} else if (!state_set_owner(s, owner)) {
				state_drop(s);
				task_put(owner);
				r = word_get(t, at, &v);
				continue;
			} else {
				*ret_state = s;
				r = 1;
			}
			task_put(owner);
			return r;
		}
		task_put(owner);
	}
	return r;
}

/* The caller became the owner by another's death: the word says so from now on. */
static int
take_over(struct task *t, struct uaddr at)
{
	uint32_t v;
	int r = word_get(t, at, &v);

	do {
		if (r == 0)
			r = word_change(t, at, &v,
				(uint32_t)task_vtid(t) | FUTEX_WAITERS | FUTEX_OWNER_DIED);
		if (r != -EAGAIN)
			return r;
		r = 0;
	} while (!(atomic_load(&t->work) & (TW_EXIT | TW_GONE)));
	return -EINTR;
}

/* --- waiting --- */

/* Lock the domain that w is in now. */
static struct pi_domain *
lock_domain_of(struct pi_waiter *w)
{
	for (;;) {
		struct pi_domain *d = __atomic_load_n(&w->domain, __ATOMIC_ACQUIRE);

		sleeplock_lock(&d->lock);
		if (d == __atomic_load_n(&w->domain, __ATOMIC_ACQUIRE))
			return d;
		sleeplock_unlock(&d->lock);
	}
}

/* Until w is the owner. The domain is locked before and after. 0, -ETIMEDOUT, -ERESTARTSYS; on
 * failure w is in no queue any more. */
static int
wait_for_turn(struct task *t, struct pi_waiter *w, int64_t deadline_ns)
{
	int r = 0;

	while (!w->is_owner && r == 0) {
		sleeplock_unlock(&w->domain->lock);
		r = task_park(t, deadline_ns);
		(void)lock_domain_of(w);
	}
	if (w->is_owner)
		return 0;
	if (w->state) {
		dequeue(w);
		state_drop(w->state);
	} else {
		list_del(&w->node);
	}
	return r;
}

/* w's turn has come. */
static int
finish(struct task *t, struct pi_waiter *w, struct uaddr at)
{
	int r = w->by_death ? take_over(t, at) : 0;

	w->state->pending--;
	state_drop(w->state);
	return r;
}

int64_t
futex_pi_lock(struct task *t, struct futex_at at, int64_t deadline_ns, bool try)
{
	struct pi_waiter w = {.task = t};
	struct pi_state *s = NULL;
	struct pi_key k;
	int r = key_of(t, at, &k);

	if (r)
		return r;
	sleeplock_lock(&k.domain->lock);
	r = try_lock(t, at.addr, &k, t, false, &s);
	if (r == 1 && try) {
		state_drop(s);
		r = -EAGAIN;
	} else if (r == 1 && is_circle(s, t)) {
		state_drop(s);
		r = -EDEADLK;
	} else if (r == 1) {
		enqueue(s, &w);
		r = wait_for_turn(t, &w, deadline_ns);
		if (r == 0)
			r = finish(t, &w, at.addr);
	}
	sleeplock_unlock(&k.domain->lock);
	key_put(&k);
	return r == -ERESTARTSYS || r == -EINTR ? -ERESTARTNOINTR : r;
}

int64_t
futex_pi_unlock(struct task *t, struct futex_at at)
{
	uint32_t self = (uint32_t)task_vtid(t), v;
	struct pi_key k;
	int r = word_get(t, at.addr, &v);

	if (!r && (v & FUTEX_TID_MASK) != self)
		return -EPERM;
	if (!r)
		r = key_of(t, at, &k);
	if (r)
		return r;
	sleeplock_lock(&k.domain->lock);
	for (;;) {
		struct pi_state *s = state_find(&k);
		struct pi_waiter *w = s ? first_waiter(s) : NULL;
		uint32_t want = 0;

		if (w)
			want = FUTEX_WAITERS | (uint32_t)pid_nr_in(w->task->pid, task_pid_ns(t));
		if (s && s->owner != t) {
			r = -EINVAL; /* somebody wrote to the word */
			break;
		}
		r = word_change(t, at.addr, &v, want);
		if (r == -EAGAIN && (v & FUTEX_TID_MASK) == self &&
			!(atomic_load(&t->work) & (TW_EXIT | TW_GONE)))
			continue;
		if (r == 0 && w)
			hand_over(s, w, false);
		break;
	}
	sleeplock_unlock(&k.domain->lock);
	key_put(&k);
	return r;
}

/* --- requeueing --- */

int64_t
futex_pi_wait_requeue(
	struct task *t, struct futex_at at, uint32_t v, int64_t deadline_ns, struct futex_at lock)
{
	struct pi_waiter w = {.task = t};
	struct pi_key k, kl;
	uint32_t now;
	int r;

	if (at.addr.v == lock.addr.v)
		return -EINVAL;
	r = key_of(t, lock, &kl);
	if (r)
		return r;
	r = key_of(t, at, &k);
	if (r) {
		key_put(&kl);
		return r;
	}
	w.domain = k.domain;
	w.off = k.off;
	w.lock_domain = kl.domain;
	w.lock_off = kl.off;
	sleeplock_lock(&k.domain->lock);
	r = word_get(t, at.addr, &now);
	if (!r && now != v)
		r = -EAGAIN;
	if (!r && k.domain == kl.domain && k.off == kl.off)
		r = -EINVAL;
	if (r) {
		sleeplock_unlock(&k.domain->lock);
	} else {
		list_push_back(&k.domain->sleepers, &w.node);
		r = wait_for_turn(t, &w, deadline_ns);
		if (r == 0)
			r = w.state ? finish(t, &w, lock.addr) : 0;
		else if (r == -ERESTARTSYS)
			/* the word has changed when it is tried again */
			r = w.state ? -EAGAIN : -ERESTARTNOINTR;
		sleeplock_unlock(&w.domain->lock);
	}
	key_put(&k);
	key_put(&kl);
	return r;
}

static struct pi_waiter *
next_sleeper(const struct pi_key *k)
{
	struct pi_waiter *w, *best = NULL;

	list_for_each_entry (w, &k->domain->sleepers, node)
		if (w->off == k->off && (!best || priority_of(w->task) > priority_of(best->task)))
			best = w;
	return best;
}

/* Move one sleeper to the lock: it gets it, or waits for it. first: the lock may be free. */
static int
requeue_one(
	struct task *t, const struct pi_key *kl, struct uaddr lock, struct pi_waiter *w, bool more)
{
	struct pi_state *s = NULL;
	int r;

	if (w->lock_domain != kl->domain || w->lock_off != kl->off)
		return -EINVAL;
	r = try_lock(t, lock, kl, w->task, more, &s);
	if (r < 0)
		return r;
	if (r == 1 && is_circle(s, w->task)) {
		state_drop(s);
		return -EDEADLK;
	}
	list_del(&w->node);
	__atomic_store_n(&w->domain, kl->domain, __ATOMIC_RELEASE);
	if (r == 1) {
		enqueue(s, w);
	} else {
		w->is_owner = true;
		fiber_wake(w->task->fiber);
	}
	return 0;
}

static int64_t
requeue_all(struct task *t, const struct pi_key *k, const struct pi_key *kl, struct uaddr lock,
	int32_t nr_requeue)
{
	int64_t done = 0;

	while (done <= nr_requeue) {
		struct pi_waiter *w = next_sleeper(k);
		int r;

		if (!w)
			break;
		r = requeue_one(t, kl, lock, w, nr_requeue > 0);
		if (r < 0)
			return done ? done : r;
		done++;
	}
	return done;
}

int64_t
futex_pi_requeue(struct task *t, struct futex_at at, uint32_t v, int32_t nr_wake,
	int32_t nr_requeue, struct futex_at lock)
{
	struct pi_key k, kl;
	uint32_t now;
	int64_t r;

	if (nr_wake < 0 || nr_requeue < 0 || nr_wake != 1 || at.addr.v == lock.addr.v)
		return -EINVAL;
	r = key_of(t, at, &k);
	if (r)
		return r;
	r = key_of(t, lock, &kl);
	if (r) {
		key_put(&k);
		return r;
	}
	lock_two(k.domain, kl.domain);
	r = word_get(t, at.addr, &now);
	if (!r && k.domain == kl.domain && k.off == kl.off)
		r = -EINVAL;
	if (!r && now != v)
		r = -EAGAIN;
	if (!r)
		r = requeue_all(t, &k, &kl, lock.addr, nr_requeue);
	unlock_two(k.domain, kl.domain);
	key_put(&k);
	key_put(&kl);
	return r == -EINTR ? -ERESTARTNOINTR : r;
}

/* --- the end of a task --- */

void
futex_pi_leave(struct task *t, bool ends)
{
	for (;;) {
		struct pi_domain *d = NULL;
		struct pi_state *s, *found;

		mutex_lock(&owner_lock);
		s = list_first(&t->pi_owned, struct pi_state, owner_node);
		if (s) {
			d = s->domain;
			d->uses++;
		} else {
			t->pi_over = ends;
		}
		mutex_unlock(&owner_lock);
		if (!d)
			return;
		sleeplock_lock(&d->lock);
		found = NULL;
		list_for_each_entry (s, &d->states, node) {
			if (s->owner == t) {
				found = s;
				break;
			}
		}
		if (found && first_waiter(found)) {
			hand_over(found, first_waiter(found), true);
		} else if (found) {
			(void)state_set_owner(found, NULL);
			state_drop(found);
		}
		sleeplock_unlock(&d->lock);
		domain_put(d);
	}
}
