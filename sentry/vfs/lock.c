/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File locks (include/sentry/vfs/lock.h). An inode's locks stand in two lists: flock, and POSIX
 * with OFD, the latter by start. The lists and the record of waiters are under the inode's `lock`;
 * waiters of all inodes, which the search for deadlocks follows, under `waits_lock`.
 */
#include "sentry/vfs/lock.h"
#include "lock_internal.h"
#include <stdlib.h>
#include <string.h>

struct lock {
	struct list node;
	enum lock_kind kind;
	int16_t type;
	int64_t start, end;
	uint64_t owner;
	int32_t pid;
};

struct lock_wait {
	struct list node;
	struct inode *inode;
	struct lock_request rq;
};

static struct mutex waits_lock = MUTEX_INIT(LEAF);
static struct list waits = LIST_INIT(waits);
static struct mutex all_lock = MUTEX_INIT(LEAF);
static struct list all = LIST_INIT(all);
static uint32_t nr_all;

struct file_locks *
file_locks_of(struct inode *i, bool make)
{
	struct file_locks *l = atomic_load(&i->locks), *none = NULL;

	if (l || !make)
		return l;
	l = calloc(1, sizeof *l);
	if (!l)
		return NULL;
	list_init(&l->all_node);
	list_init(&l->flock);
	list_init(&l->posix);
	list_init(&l->leases);
	waitq_init(&l->waiters);
	waitq_init(&l->lease_waiters);
	if (!atomic_compare_exchange_strong(&i->locks, &none, l)) {
		waitq_destroy(&l->waiters);
		waitq_destroy(&l->lease_waiters);
		free(l);
		return none;
	}
	l->inode = i;
	mutex_lock(&all_lock);
	list_push_back(&all, &l->all_node);
	nr_all++;
	mutex_unlock(&all_lock);
	return l;
}

void
file_locks_free(struct inode *i)
{
	struct file_locks *l = atomic_load(&i->locks);
	struct list *n;

	if (!l)
		return;
	mutex_lock(&all_lock);
	if (!list_empty(&l->all_node)) {
		list_del(&l->all_node);
		nr_all--;
	}
	mutex_unlock(&all_lock);
	while ((n = list_pop_front(&l->flock)))
		free(list_entry(n, struct lock, node));
	while ((n = list_pop_front(&l->posix)))
		free(list_entry(n, struct lock, node));
	assert_that(list_empty(&l->leases)); /* an open file holds its inode */
	waitq_destroy(&l->waiters);
	waitq_destroy(&l->lease_waiters);
	free(l);
	atomic_store(&i->locks, NULL);
}

struct waitq *
file_lock_queue(struct file *f)
{
	struct file_locks *l = file_locks_of(f->inode, true);

	return l ? &l->waiters : NULL;
}

int
lock_request_init(struct lock_request *rq, const struct call *c, struct file *f,
	const struct lx_flock *fl, bool ofd)
{
	int64_t base, start, end;

	switch (fl->whence) {
	case LX_SEEK_SET:
		base = 0;
		break;
	case LX_SEEK_CUR:
		base = f->pos;
		break;
	case LX_SEEK_END:
		base = inode_load(f->inode->size);
		break;
	default:
		return -EINVAL;
	}
	if (__builtin_add_overflow(base, fl->start, &start))
		return -EOVERFLOW;
	if (start < 0)
		return -EINVAL;
	if (fl->len > 0) {
		if (__builtin_add_overflow(start, fl->len - 1, &end))
			return -EOVERFLOW;
	} else if (fl->len < 0) {
		if (start + fl->len < 0)
			return -EINVAL;
		end = start - 1;
		start += fl->len;
	} else {
		end = INT64_MAX;
	}
	if (fl->type != LX_F_RDLCK && fl->type != LX_F_WRLCK && fl->type != LX_F_UNLCK)
		return -EINVAL;
	rq->kind = ofd ? LOCK_KIND_OFD : LOCK_KIND_POSIX;
	rq->type = fl->type;
	rq->start = start;
	rq->end = end;
	rq->owner = ofd ? (uintptr_t)f : c->files_id;
	rq->pid = ofd ? -1 : c->tgid;
	return 0;
}

static bool
same_owner(const struct lock *k, const struct lock_request *rq)
{
	return k->kind == rq->kind && k->owner == rq->owner;
}

static bool
conflicts(const struct lock *k, const struct lock_request *rq)
{
	return !same_owner(k, rq) && k->start <= rq->end && rq->start <= k->end &&
	       (k->type == LX_F_WRLCK || rq->type == LX_F_WRLCK);
}

static struct lock *
find_conflict_locked(struct file_locks *l, const struct lock_request *rq)
{
	struct lock *k;

	list_for_each_entry (k, rq->kind == LOCK_KIND_FLOCK ? &l->flock : &l->posix, node)
		if (conflicts(k, rq))
			return k;
	return NULL;
}

static void
insert_sorted(struct list *head, struct lock *n)
{
	struct lock *k;

	list_for_each_entry (k, head, node) {
		if (k->start > n->start)
			break;
	}
	/* before k; at the end, k's node is the head */
	list_push_back(&k->node, &n->node);
}

static void
fill(struct lock *k, const struct lock_request *rq, int64_t start, int64_t end, int16_t type)
{
	k->kind = rq->kind;
	k->type = type;
	k->start = start;
	k->end = end;
	k->owner = rq->owner;
	k->pid = rq->pid;
}

/* Replace what rq's owner holds in the range by rq (or by nothing), splitting and joining. spare:
 * two locks that may be used up. */
static void
apply_posix_locked(struct file_locks *l, const struct lock_request *rq, struct lock **spare)
{
	struct lock *k, *tmp;
	int64_t start = rq->start, end = rq->end;

	list_for_each_entry_safe (k, tmp, &l->posix, node) {
		bool touches;

		if (!same_owner(k, rq))
			continue;
		touches = k->type == rq->type && (k->end == INT64_MAX || k->end + 1 >= start) &&
			  (end == INT64_MAX || k->start <= end + 1);
		if (touches && rq->type != LX_F_UNLCK) {
			/* the same kind of lock: join */
			start = k->start < start ? k->start : start;
			end = k->end > end ? k->end : end;
			list_del(&k->node);
			free(k);
			continue;
		}
		if (k->end < rq->start || k->start > rq->end)
			continue;
		if (k->start < rq->start && k->end > rq->end) {
			struct lock *right = spare[1];

			spare[1] = NULL;
			fill(right, rq, rq->end + 1, k->end, k->type);
			k->end = rq->start - 1;
			insert_sorted(&l->posix, right);
		} else if (k->start < rq->start) {
			k->end = rq->start - 1;
		} else if (k->end > rq->end) {
			list_del(&k->node);
			k->start = rq->end + 1;
			insert_sorted(&l->posix, k);
		} else {
			list_del(&k->node);
			free(k);
		}
	}
	if (rq->type != LX_F_UNLCK) {
		fill(spare[0], rq, start, end, rq->type);
		insert_sorted(&l->posix, spare[0]);
		spare[0] = NULL;
	}
}

/* An owner has at most one flock: it is replaced. Linux gives up the old one even when the new one
 * conflicts. */
static int
apply_flock_locked(struct file_locks *l, const struct lock_request *rq, struct lock **spare)
{
	struct lock *k, *tmp, *mine = NULL;

	list_for_each_entry_safe (k, tmp, &l->flock, node)
		if (same_owner(k, rq))
			mine = k;
	if (mine && mine->type == rq->type)
		return 0;
	if (mine) {
		list_del(&mine->node);
		free(mine);
	}
	if (rq->type == LX_F_UNLCK)
		return mine != NULL;
	if (find_conflict_locked(l, rq))
		return -EAGAIN;
	fill(spare[0], rq, 0, INT64_MAX, rq->type);
	list_push_back(&l->flock, &spare[0]->node);
	spare[0] = NULL;
	return mine != NULL;
}

int
file_lock_set(struct file *f, const struct lock_request *rq)
{
	struct inode *i = f->inode;
	struct file_locks *l = file_locks_of(i, rq->type != LX_F_UNLCK);
	struct lock *spare[2];
	int r = 0;

	if (!l)
		return rq->type == LX_F_UNLCK ? 0 : -ENOLCK;
	spare[0] = malloc(sizeof(struct lock));
	spare[1] = malloc(sizeof(struct lock));
	if (!spare[0] || !spare[1]) {
		free(spare[0]);
		free(spare[1]);
		return -ENOLCK;
	}
	mutex_lock(&i->lock);
	if (rq->kind == LOCK_KIND_FLOCK) {
		r = apply_flock_locked(l, rq, spare);
	} else if (rq->type != LX_F_UNLCK && find_conflict_locked(l, rq)) {
		r = -EAGAIN;
	} else {
		apply_posix_locked(l, rq, spare);
		r = 1;
	}
	mutex_unlock(&i->lock);
	free(spare[0]);
	free(spare[1]);
	if (r > 0)
		waitq_notify(&l->waiters, ~0u);
	return r > 0 ? 0 : r;
}

void
file_lock_get(struct file *f, const struct lock_request *rq, struct lx_flock *fl)
{
	struct inode *i = f->inode;
	struct file_locks *l = file_locks_of(i, false);
	struct lock *k = NULL;

	mutex_lock(&i->lock);
	if (l)
		k = find_conflict_locked(l, rq);
	fl->type = LX_F_UNLCK;
	if (k) {
		fl->type = k->type;
		fl->whence = LX_SEEK_SET;
		fl->start = k->start;
		fl->len = k->end == INT64_MAX ? 0 : k->end - k->start + 1;
		fl->pid = k->pid;
	}
	mutex_unlock(&i->lock);
}

/* Who holds what rq waits for? POSIX owners only: the others have no single waiter. */
static uint64_t
holder_of(struct inode *i, const struct lock_request *rq)
{
	struct file_locks *l = file_locks_of(i, false);
	uint64_t owner = 0;
	struct lock *k;

	mutex_lock(&i->lock);
	k = l ? find_conflict_locked(l, rq) : NULL;
	if (k && k->kind == LOCK_KIND_POSIX)
		owner = k->owner;
	mutex_unlock(&i->lock);
	return owner;
}

int
file_lock_wait_begin(struct file *f, const struct lock_request *rq, void **cookie)
{
	struct lock_wait *w;
	uint64_t owner;

	*cookie = NULL;
	if (rq->kind != LOCK_KIND_POSIX)
		return 0;
	w = malloc(sizeof *w);
	if (!w)
		return -ENOLCK;
	w->inode = inode_get(f->inode);
	w->rq = *rq;
	owner = holder_of(f->inode, rq);
	/* follow "owner waits for"; a chain as long as this is no circle of ours */
	for (int depth = 0; owner && depth < 64; depth++) {
		struct inode *next = NULL;
		struct lock_request nrq;
		struct lock_wait *k;

		if (owner == rq->owner) {
			inode_put(w->inode);
			free(w);
			return -EDEADLK;
		}
		mutex_lock(&waits_lock);
		list_for_each_entry (k, &waits, node) {
			if (k->rq.owner == owner) {
				next = inode_get(k->inode);
				nrq = k->rq;
				break;
			}
		}
		mutex_unlock(&waits_lock);
		owner = next ? holder_of(next, &nrq) : 0;
		inode_put(next);
	}
	mutex_lock(&waits_lock);
	list_push_back(&waits, &w->node);
	mutex_unlock(&waits_lock);
	*cookie = w;
	return 0;
}

void
file_lock_wait_end(void *cookie)
{
	struct lock_wait *w = cookie;

	if (!w)
		return;
	mutex_lock(&waits_lock);
	list_del(&w->node);
	mutex_unlock(&waits_lock);
	inode_put(w->inode);
	free(w);
}

void
file_locks_close(struct file *f, uint64_t owner)
{
	struct lock_request rq = {LOCK_KIND_POSIX, LX_F_UNLCK, 0, INT64_MAX, owner, 0};
	struct file_locks *l = file_locks_of(f->inode, false);
	bool any = false;
	struct lock *k;

	if (!l)
		return;
	mutex_lock(&f->inode->lock);
	list_for_each_entry (k, &l->posix, node)
		any |= same_owner(k, &rq);
	mutex_unlock(&f->inode->lock);
	if (any)
		file_lock_set(f, &rq);
}

void
file_locks_release(struct file *f)
{
	struct file_locks *l = file_locks_of(f->inode, false);
	struct lock *k, *tmp;
	bool any = false;

	if (!l)
		return;
	file_lease_release(f, l);
	mutex_lock(&f->inode->lock);
	for (int n = 0; n < 2; n++)
		list_for_each_entry_safe (k, tmp, n ? &l->posix : &l->flock, node) {
			if (k->kind == LOCK_KIND_POSIX || k->owner != (uintptr_t)f)
				continue;
			list_del(&k->node);
			free(k);
			any = true;
		}
	mutex_unlock(&f->inode->lock);
	if (any)
		waitq_notify(&l->waiters, ~0u);
}

static void
tell(struct inode *i, struct list *locks, void (*fn)(const struct file_lock_info *l, void *arg),
	void *arg)
{
	struct lock *k;

	list_for_each_entry (k, locks, node) {
		struct file_lock_info info = {
			k->kind, k->type, k->pid, i->sb->dev, i->ino, k->start, k->end, false};

		fn(&info, arg);
	}
}

int
file_locks_each(void (*fn)(const struct file_lock_info *l, void *arg), void *arg)
{
	struct inode **v = NULL;
	struct file_locks *l;
	uint32_t n = 0, cap;

	/* References first: an inode's lock comes before the list's. */
	do {
		free(v);
		mutex_lock(&all_lock);
		cap = nr_all + 8;
		mutex_unlock(&all_lock);
		v = calloc(cap, sizeof(struct inode *));
		if (!v)
			return -ENOMEM;
		mutex_lock(&all_lock);
		if (nr_all <= cap)
			list_for_each_entry (l, &all, all_node)
				if (ref_get_unless_zero(&l->inode->ref))
					v[n++] = l->inode;
		cap = nr_all <= cap ? cap : 0;
		mutex_unlock(&all_lock);
	} while (!cap);
	for (uint32_t i = 0; i < n; i++) {
		mutex_lock(&v[i]->lock);
		l = atomic_load(&v[i]->locks);
		if (l) {
			tell(v[i], &l->flock, fn, arg);
			tell(v[i], &l->posix, fn, arg);
			file_leases_each_locked(v[i], l, fn, arg);
		}
		mutex_unlock(&v[i]->lock);
		inode_put(v[i]);
	}
	free(v);
	return 0;
}
