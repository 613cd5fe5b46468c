/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of names (include/sentry/vfs/dentry.h). Its table of children is per directory, so that
 * lookups in different directories do not meet; unused names leave by a clock: entries that were
 * used since the hand last passed get another round, those that somebody holds are skipped. Linux
 * counterpart: fs/dcache.c.
 *
 * Order of locks: mnt_mutex (renames), a dentry's lock, lru_lock.
 */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

#define TRIM_BATCH 64

uint32_t dcache_limit = 50000;

static struct mutex lru_lock = MUTEX_INIT(LEAF);
static struct list lru = LIST_INIT(lru);
static _Atomic uint32_t nr_cached;

uint32_t
dcache_unused(void)
{
	return atomic_load_explicit(&nr_cached, memory_order_relaxed);
}

uint32_t
dentry_hash(const char *s, size_t len)
{
	uint32_t h = 0;

	for (size_t i = 0; i < len; i++)
		h = (h + (uint8_t)s[i]) * 0x9e3779b1u;
	return h ^ (h >> 15);
}

struct dentry *
dentry_get(struct dentry *d)
{
	ref_get(&d->ref);
	return d;
}

/* The last one who used a removed name: if it was the last name, it is the end of the file. */
static void
notify_gone(struct dentry *d)
{
	if (vfs_watched() && d->inode && (atomic_load(&d->flags) & DENTRY_UNLINKED) &&
		(inode_is_dir(d->inode) || !inode_load(d->inode->nlink)))
		vfs_notify_inode(d->inode, LX_IN_DELETE_SELF);
}

static void
dentry_free(struct dentry *d)
{
	assert_that(d->nchildren == 0);
	inode_put(d->inode);
	if (d->name != d->short_name)
		free(d->name);
	free(d->children);
	mutex_destroy(&d->lock);
	LIVE_DEC(DENTRY);
	free(d);
}

void
dentry_put(struct dentry *d)
{
	while (d) {
		struct dentry *parent;
		struct super *sb;

		if ((atomic_load_explicit(&d->sb->flags, memory_order_relaxed) & SUPER_NO_CACHE) &&
			atomic_load_explicit(&d->ref.n, memory_order_relaxed) == 2 &&
			dentry_hashed(d))
			dentry_drop(d);
		if (!ref_put(&d->ref))
			return;
		parent = d->parent == d ? NULL : d->parent;
		/* nameless files (O_TMPFILE, pipes) have no parent, and keep their super instead */
		sb = (atomic_load(&d->flags) & DENTRY_PINS_SUPER) ? d->sb : NULL;
		notify_gone(d);
		dentry_free(d);
		super_put(sb);
		d = parent;
	}
}

static struct dentry *
dentry_alloc(struct super *sb, const struct name *n)
{
	struct dentry *d = calloc(1, sizeof *d);

	if (!d)
		return NULL;
	d->name = d->short_name;
	if (n->len >= DENTRY_INLINE && !(d->name = malloc(n->len + 1))) {
		free(d);
		return NULL;
	}
	memcpy(d->name, n->s, n->len);
	d->name[n->len] = 0;
	d->len = n->len;
	d->hash = n->hash;
	ref_init(&d->ref);
	mutex_init(&d->lock, LR_DENTRY);
	list_init(&d->lru);
	d->sb = sb;
	d->parent = d;
	LIVE_INC(DENTRY);
	return d;
}

struct dentry *
dentry_new_loose(struct super *sb, struct dentry *parent, const struct name *n, struct inode *inode)
{
	struct dentry *d = dentry_alloc(sb, n);

	if (!d)
		return NULL;
	d->inode = inode;
	if (parent) {
		d->parent = dentry_get(parent);
	} else {
		super_get(sb);
		d->flags = DENTRY_PINS_SUPER;
	}
	return d;
}

static struct dentry **
bucket_of(struct dentry *parent, uint32_t hash)
{
	return &parent->children[hash & (parent->nbuckets - 1)];
}

static struct dentry *
find_locked(struct dentry *parent, const struct name *n)
{
	if (!parent->children)
		return NULL;
	for (struct dentry *d = *bucket_of(parent, n->hash); d; d = d->next)
		if (d->hash == n->hash && d->len == n->len && !memcmp(d->name, n->s, n->len))
			return d;
	return NULL;
}

struct dentry *
dentry_find(struct dentry *parent, const struct name *n)
{
	struct dentry *d;

	mutex_lock(&parent->lock);
	d = find_locked(parent, n);
	if (d)
		ref_get(&d->ref);
	mutex_unlock(&parent->lock);
	if (d && !(atomic_load_explicit(&d->flags, memory_order_relaxed) & DENTRY_USED))
		atomic_fetch_or_explicit(&d->flags, DENTRY_USED, memory_order_relaxed);
	return d;
}

/* Make room for one more child. A table that cannot grow stays as it is, only slower. */
static int
reserve_locked(struct dentry *parent)
{
	uint32_t nb = parent->nbuckets ? parent->nbuckets * 4 : 8;
	struct dentry **nt;

	if (parent->nbuckets && (parent->nchildren < parent->nbuckets * 2 || nb > (1u << 20)))
		return 0;
	nt = calloc(nb, sizeof *nt);
	if (!nt)
		return parent->nbuckets ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < parent->nbuckets; i++) {
		struct dentry *d, *next;

		for (d = parent->children[i]; d; d = next) {
			next = d->next;
			d->next = nt[d->hash & (nb - 1)];
			nt[d->hash & (nb - 1)] = d;
		}
	}
	free(parent->children);
	parent->children = nt;
	parent->nbuckets = nb;
	return 0;
}

static void
hash_locked(struct dentry *parent, struct dentry *d)
{
	struct dentry **b = bucket_of(parent, d->hash);

	d->next = *b;
	*b = d;
	parent->nchildren++;
	atomic_fetch_or(&d->flags, DENTRY_HASHED);
}

/* Out of the parent's table; the table's reference is the caller's to drop. */
static void
unhash_locked(struct dentry *parent, struct dentry *d)
{
	struct dentry **b = bucket_of(parent, d->hash);

	while (*b != d)
		b = &(*b)->next;
	*b = d->next;
	d->next = NULL;
	parent->nchildren--;
	atomic_fetch_and(&d->flags, ~DENTRY_HASHED);
	mutex_lock(&lru_lock);
	if (!list_empty(&d->lru)) {
		list_del(&d->lru);
		nr_cached--;
	}
	mutex_unlock(&lru_lock);
}

/* Drop d if nobody but the table and we (one reference, kept) hold it. */
static bool
drop_unused(struct dentry *d)
{
	struct dentry *p;
	bool gone = false;

	dentry_parent_get(d, &p);
	mutex_lock(&p->lock);
	if (dentry_hashed(d) && d->parent == p && atomic_load(&d->ref.n) == 2 &&
		!(atomic_load(&d->flags) & DENTRY_MOUNTED)) {
		unhash_locked(p, d);
		gone = true;
	}
	mutex_unlock(&p->lock);
	if (gone)
		ref_put(&d->ref);
	dentry_put(p);
	return gone;
}

/* Advance the clock hand until the cache is in its bounds, or a batch was looked at. */
static void
trim(void)
{
	struct dentry *victims[TRIM_BATCH];
	int n = 0;

	mutex_lock(&lru_lock);
	for (int seen = 0; seen < 2 * TRIM_BATCH && n < TRIM_BATCH && nr_cached > dcache_limit;
		seen++) {
		struct dentry *d = list_first(&lru, struct dentry, lru);

		if (!d || nr_cached - (uint32_t)n <= dcache_limit)
			break;
		list_del(&d->lru);
		list_push_back(&lru, &d->lru);
		if (atomic_fetch_and(&d->flags, ~DENTRY_USED) & DENTRY_USED)
			continue;
		if (atomic_load(&d->ref.n) == 1) {
			ref_get(&d->ref);
			victims[n++] = d;
		}
	}
	mutex_unlock(&lru_lock);
	for (int i = 0; i < n; i++) {
		drop_unused(victims[i]);
		dentry_put(victims[i]);
	}
}

struct dentry *
dentry_enter(struct dentry *parent, const struct name *n, struct inode *inode, bool *ret_fresh)
{
	struct dentry *d = dentry_alloc(parent->sb, n), *old;

	*ret_fresh = false;
	if (!d) {
		inode_put(inode);
		return NULL;
	}
	d->inode = inode;
	mutex_lock(&parent->lock);
	old = find_locked(parent, n);
	if (old) {
		ref_get(&old->ref);
	} else if (reserve_locked(parent)) {
		mutex_unlock(&parent->lock);
		dentry_put(d);
		return NULL;
	} else {
		d->parent = dentry_get(parent);
		ref_get(&d->ref);
		hash_locked(parent, d);
		mutex_lock(&lru_lock);
		list_push_back(&lru, &d->lru);
		nr_cached++;
		mutex_unlock(&lru_lock);
	}
	mutex_unlock(&parent->lock);
	if (old) {
		dentry_put(d);
		return old;
	}
	*ret_fresh = true;
	if (atomic_load_explicit(&nr_cached, memory_order_relaxed) > dcache_limit)
		trim();
	return d;
}

struct dentry *
dentry_add(struct dentry *parent, const struct name *n, struct inode *inode)
{
	bool fresh;

	return dentry_enter(parent, n, inode, &fresh);
}

struct dentry *
dentry_replace(struct dentry *parent, const struct name *n, struct inode *inode)
{
	struct dentry *d = NULL;

	do {
		if (d) {
			dentry_drop(d);
			dentry_put(d);
		}
		d = dentry_add(parent, n, inode_get(inode));
	} while (d && d->inode != inode);
	inode_put(inode);
	return d;
}

void
dentry_drop(struct dentry *d)
{
	for (;;) {
		struct dentry *p;
		bool again;

		if (!dentry_hashed(d))
			return;
		dentry_parent_get(d, &p);
		mutex_lock(&p->lock);
		again = d->parent != p; /* it was renamed meanwhile */
		if (!again && dentry_hashed(d)) {
			unhash_locked(p, d);
			mutex_unlock(&p->lock);
			ref_put(&d->ref); /* the table's; the caller has one of its own */
		} else {
			mutex_unlock(&p->lock);
		}
		dentry_put(p);
		if (!again)
			return;
	}
}

void
dentry_parent_get(struct dentry *d, struct dentry **ret)
{
	mutex_lock(&d->lock);
	*ret = dentry_get(d->parent);
	mutex_unlock(&d->lock);
}

bool
dentry_is_ancestor(struct dentry *a, struct dentry *d)
{
	bool yes;

	mutex_lock(&mnt_mutex);
	while (d != a && d->parent != d)
		d = d->parent;
	yes = d == a;
	mutex_unlock(&mnt_mutex);
	return yes;
}

struct dentry_list {
	struct dentry **v;
	size_t n, cap;
};

static bool
collect(struct dentry_list *l, struct dentry *d)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct dentry **v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return false;
		l->v = v;
		l->cap = cap;
	}
	ref_get(&d->ref);
	l->v[l->n++] = d;
	return true;
}

/* The candidates of the tree, parents before children, and then from the end: a guest decides how
 * deep it is, so there is no recursion. Without memory for all of them, it goes by pieces as long
 * as that gets anywhere. */
void
dentry_shrink(struct dentry *top)
{
	bool again;

	do {
		struct dentry_list l = {0};
		bool whole = collect(&l, top), dropped = false;

		for (size_t at = 0; at < l.n && whole; at++) {
			struct dentry *d = l.v[at];

			mutex_lock(&d->lock);
			for (uint32_t i = 0; i < d->nbuckets && whole; i++)
				for (struct dentry *k = d->children[i]; k && whole; k = k->next)
					if (atomic_load(&k->ref.n) == 1 ||
						__atomic_load_n(&k->nchildren, __ATOMIC_RELAXED))
						whole = collect(&l, k);
			mutex_unlock(&d->lock);
		}
		while (l.n > 0) {
			struct dentry *d = l.v[--l.n];

			if (d != top)
				dropped |= drop_unused(d);
			dentry_put(d);
		}
		free(l.v);
		again = !whole && dropped;
	} while (again);
}

void
dentry_invalidate(struct dentry *parent, const char *s)
{
	size_t len = strlen(s);
	struct name n = {s, (uint32_t)len, dentry_hash(s, len)};
	struct dentry *d = dentry_find(parent, &n);

	if (d) {
		dentry_drop(d);
		dentry_put(d);
	}
}

void
dentry_set_missing(struct dentry *dir, const struct name *n)
{
	if (!(atomic_load(&dir->sb->flags) & (SUPER_SHARED | SUPER_NO_NEGATIVE | SUPER_NO_CACHE)))
		dentry_put(dentry_add(dir, n, NULL));
}

/* Put the name (malloc'd or short_name's content) of n into d. */
static void
set_name(struct dentry *d, const struct name *n, char *fresh)
{
	if (d->name != d->short_name)
		free(d->name);
	d->name = fresh ? fresh : d->short_name;
	memmove(d->name, n->s, n->len);
	d->name[n->len] = 0;
	d->len = n->len;
	d->hash = n->hash;
}

static int
room_for_name(const struct name *n, char **ret)
{
	*ret = NULL;
	if (n->len < DENTRY_INLINE)
		return 0;
	*ret = malloc(n->len + 1);
	return *ret ? 0 : -ENOMEM;
}

/* Lock several dentries in the order of their addresses. v is sorted, doubles are dropped; returns
 * how many stay. */
static int
lock_all(struct dentry **v, int n)
{
	int k = 0;

	for (int i = 1; i < n; i++)
		for (int j = i; j > 0 && v[j] < v[j - 1]; j--) {
			struct dentry *t = v[j];

			v[j] = v[j - 1];
			v[j - 1] = t;
		}
	for (int i = 0; i < n; i++)
		if (!k || v[k - 1] != v[i])
			v[k++] = v[i];
	for (int i = 0; i < k; i++)
		mutex_lock_nested(&v[i]->lock);
	return k;
}

static void
unlock_all(struct dentry **v, int n)
{
	while (n--)
		mutex_unlock(&v[n]->lock);
}

int
dentry_move(struct dentry *d, struct dentry *np, const struct name *n)
{
	struct dentry *op = d->parent, *old, *locked[3] = {op, np, d};
	char *fresh;
	int r = room_for_name(n, &fresh), nlocked;

	if (r)
		return r;
	mutex_lock(&mnt_mutex);
	nlocked = lock_all(locked, 3);
	r = reserve_locked(np);
	old = NULL;
	if (!r) {
		old = find_locked(np, n);
		if (old == d)
			old = NULL;
		if (old)
			unhash_locked(np, old);
		if (dentry_hashed(d)) {
			struct dentry **b = bucket_of(op, d->hash);

			while (*b != d)
				b = &(*b)->next;
			*b = d->next;
			op->nchildren--;
		}
		set_name(d, n, fresh);
		if (np != op)
			d->parent = dentry_get(np);
		if (dentry_hashed(d))
			hash_locked(np, d);
	}
	unlock_all(locked, nlocked);
	mutex_unlock(&mnt_mutex);
	if (r) {
		free(fresh);
		return r;
	}
	dentry_put(old);
	if (np != op)
		dentry_put(op);
	return 0;
}

int
dentry_exchange(struct dentry *a, struct dentry *b)
{
	struct dentry *pa = a->parent, *pb = b->parent, *locked[4] = {pa, pb, a, b};
	struct name na = {a->name, a->len, a->hash}, nb = {b->name, b->len, b->hash};
	char *fa, *fb, *copy;
	int nlocked;

	copy = malloc(na.len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, na.s, na.len);
	na.s = copy;
	if (room_for_name(&nb, &fa)) {
		free(copy);
		return -ENOMEM;
	}
	if (room_for_name(&na, &fb)) {
		free(copy);
		free(fa);
		return -ENOMEM;
	}
	mutex_lock(&mnt_mutex);
	nlocked = lock_all(locked, 4);
	for (int i = 0; i < 2; i++) {
		struct dentry *d = i ? b : a, *p = i ? pb : pa;
		struct dentry **s = bucket_of(p, d->hash);

		while (*s != d)
			s = &(*s)->next;
		*s = d->next;
		p->nchildren--;
	}
	set_name(a, &nb, fa);
	set_name(b, &na, fb);
	a->parent = pb;
	b->parent = pa;
	hash_locked(pb, a);
	hash_locked(pa, b);
	unlock_all(locked, nlocked);
	mutex_unlock(&mnt_mutex);
	free(copy);
	return 0;
}
