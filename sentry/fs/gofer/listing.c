/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings of directories, and what they save. A directory of an exclusive mount whose listing fits
 * one batch keeps it until its names change: it says which names there are and which not, and holds
 * nodes that were fetched ahead for its entries, with descriptors and, for directories, listings of
 * their own. So a program that walks a tree asks the gofer once for many files.
 *
 * In a relaxed mount each of these answers stands for gsuper.relax_ns from when it was asked for.
 * The listing is kept for as long after it was last of use: names of it, perhaps no longer right,
 * are what to ask for next.
 *
 * What was fetched ahead is used once, and only if nothing of the super was changed by us since it
 * was asked for (gsuper.changes): it then is what a walk would bring.
 *
 * Bounds: all listings that are kept have at most LISTED_MAX entries, the oldest go first; nodes
 * that nobody asked for yet are not fetched once there are gdir_nodes_max, descriptors once there
 * are AHEAD_FDS_MAX.
 *
 * Locks: gdir.ents is under gdir.lock (rank FSNODE), gnode.dir under gsuper.lock and gnode.lock.
 */
#include "internal.h"
#include "platform/host/file.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/path.h"
#include <stdlib.h>
#include <string.h>

#define LISTED_MAX    131072
#define AHEAD_FDS_MAX 512
#define STREAK_MAX    3 /* of lookups: 1, 4, 16, 64 names at once */

static _Atomic int ahead_fds, ahead_nodes;
int gdir_nodes_max = 65536;

bool
gdir_room_for_nodes(void)
{
	return atomic_load_explicit(&ahead_nodes, memory_order_relaxed) < gdir_nodes_max;
}

bool
gdir_room_for_fds(uint32_t n)
{
	return atomic_load_explicit(&ahead_fds, memory_order_relaxed) + (int)n <= AHEAD_FDS_MAX;
}

void
gdir_give_fds(struct gdir *d, const int *fds, uint32_t nfds, uint32_t *at)
{
	for (size_t i = 0; i < d->rep->n_entries && *at < nfds; i++)
		if (d->rep->entries[i]->fd && d->ents[i].node && d->ents[i].fd < 0) {
			d->ents[i].fd = fds[(*at)++];
			atomic_fetch_add(&ahead_fds, 1);
		}
}

static void
ent_clear(struct gofer_conn *conn, struct gent *e)
{
	if (e->node) {
		gofer_forget(conn, e->node->id);
		atomic_fetch_sub(&ahead_nodes, 1);
	}
	if (e->fd >= 0) {
		host_fd_close(e->fd);
		atomic_fetch_sub(&ahead_fds, 1);
	}
	gdir_free(e->listing);
	e->node = NULL;
	e->fd = -1;
	e->listing = NULL;
}

void
gdir_free(struct gdir *d)
{
	if (!d || !ref_put(&d->ref))
		return;
	for (size_t i = 0; d->ents && i < d->rep->n_entries; i++)
		ent_clear(d->conn, &d->ents[i]);
	for (uint32_t i = 0; i < d->nreps; i++)
		gofer_rep_free(d->reps[i]);
	free(d->reps);
	free(d->ents);
	free(d->buckets);
	if (d->own)
		gofer_rep_free(d->own);
	gofer_conn_put(d->conn);
	mutex_destroy(&d->lock);
	free(d);
}

struct gdir *
gdir_new(struct gofer_conn *conn, Gofer__ReaddirRep *rep, void *own, int64_t start,
	uint64_t changes, int64_t asked_ns)
{
	struct gdir *d = calloc(1, sizeof *d);
	uint32_t nb = 8;

	if (!d) {
		gofer_rep_free(own);
		return NULL;
	}
	ref_init(&d->ref);
	mutex_init(&d->lock, LR_FSNODE);
	d->conn = gofer_conn_get(conn);
	d->rep = rep;
	d->own = own;
	d->start = start;
	d->changes = changes;
	d->asked_ns = asked_ns;
	d->used_ns = asked_ns;
	while (nb < rep->n_entries)
		nb *= 2;
	d->ents = calloc(rep->n_entries + 1, sizeof *d->ents);
	d->buckets = calloc(nb, sizeof *d->buckets);
	if (!d->ents || !d->buckets) {
		free(d->ents);
		d->ents = NULL;
		gdir_free(d);
		return NULL;
	}
	d->mask = nb - 1;
	for (size_t i = 0; i < rep->n_entries; i++) {
		const Gofer__Entry *en = rep->entries[i];
		struct gent *e = &d->ents[i];
		uint32_t *b;

		e->fd = -1;
		e->node = en->node;
		if (e->node)
			atomic_fetch_add(&ahead_nodes, 1);
		e->changes = changes;
		e->node_ns = asked_ns;
		e->hash = dentry_hash((const char *)en->name.data, en->name.len);
		b = &d->buckets[e->hash & d->mask];
		e->next = *b;
		*b = (uint32_t)i + 1;
	}
	return d;
}

static struct gent *
find(struct gdir *d, const struct name *n)
{
	for (uint32_t i = d->buckets[n->hash & d->mask]; i; i = d->ents[i - 1].next) {
		const ProtobufCBinaryData *s = &d->rep->entries[i - 1]->name;

		if (d->ents[i - 1].hash == n->hash && s->len == n->len &&
			!memcmp(s->data, n->s, n->len))
			return &d->ents[i - 1];
	}
	return NULL;
}

/* The listing that n keeps, with a reference, or NULL. */
struct gdir *
gdir_kept(struct gnode *n)
{
	WITH_MUTEX(&n->lock);

	if (n->dir)
		ref_get(&n->dir->ref);
	return n->dir;
}

void
gdir_drop(struct gnode *n)
{
	struct gsuper *gs = gsuper_of(&n->i);
	struct gdir *d;

	mutex_lock(&gs->lock);
	mutex_lock(&n->lock);
	d = n->dir;
	n->dir = NULL;
	n->changes++;
	if (d) {
		list_del(&d->node);
		gs->nentries -= (uint32_t)d->rep->n_entries;
	}
	mutex_unlock(&n->lock);
	mutex_unlock(&gs->lock);
	gdir_free(d);
}

/* The same, if it may still be of use. */
struct gdir *
gdir_kept_lately(struct gnode *n)
{
	const struct gsuper *gs = gsuper_of(&n->i);
	struct gdir *d = gdir_kept(n);

	if (!d || !gs->relaxed)
		return d;
	if (gofer_fresh(gs, d->used_ns)) {
		d->used_ns = sched_now_ns();
		return d;
	}
	gdir_free(d);
	gdir_drop(n);
	return NULL;
}

void
gdir_keep(struct gnode *n, struct gdir *d, uint64_t changes)
{
	struct gsuper *gs = gsuper_of(&n->i);
	struct list out;
	struct list *l;

	if ((gs->shared && !gs->relaxed) || d->start || !d->rep->end ||
		d->rep->n_entries > GDIR_KEEP_MAX)
		return;
	list_init(&out);
	mutex_lock(&gs->lock);
	mutex_lock(&n->lock);
	if (n->dir && n->changes == changes && n->dir->asked_ns < d->asked_ns) {
		list_del(&n->dir->node);
		list_push_back(&out, &n->dir->node);
		gs->nentries -= (uint32_t)n->dir->rep->n_entries;
		n->dir = NULL;
	}
	if (n->changes == changes && !n->dir) {
		ref_get(&d->ref);
		n->dir = d;
		d->owner = n;
		list_push_back(&gs->dirs, &d->node);
		gs->nentries += (uint32_t)d->rep->n_entries;
	}
	mutex_unlock(&n->lock);
	while (gs->nentries > LISTED_MAX) {
		struct gdir *v = list_first(&gs->dirs, struct gdir, node);

		mutex_lock(&v->owner->lock);
		v->owner->dir = NULL;
		list_del(&v->node);
		list_push_back(&out, &v->node);
		gs->nentries -= (uint32_t)v->rep->n_entries;
		mutex_unlock(&v->owner->lock);
	}
	mutex_unlock(&gs->lock);
	while ((l = list_pop_front(&out)))
		gdir_free(list_entry(l, struct gdir, node));
}

/* --- who is above --- */

/* The directory that n was last looked up in, with a reference, or NULL. */
static struct inode *
above(struct gnode *n)
{
	uint64_t parent = __atomic_load_n(&n->parent, __ATOMIC_RELAXED);
	struct inode *p = parent ? inode_find(n->i.sb, parent) : NULL;

	if (p && inode_is_dir(p))
		return p;
	inode_put(p);
	return NULL;
}

struct gdir *
gdir_above(struct gnode *n)
{
	struct inode *p = above(n);
	struct gdir *d = p ? gdir_kept(gnode_of(p)) : NULL;

	inode_put(p);
	return d;
}

/* n had to be opened: so will be others in its directory and, where somebody walks the tree, in
 * those beside it. */
void
gdir_opened(struct gnode *n)
{
	struct inode *p = above(n);
	bool deep = false;

	for (int i = 0; p && i < 2; i++) {
		struct gdir *d = gdir_kept(gnode_of(p));
		struct inode *next;

		if (d) {
			mutex_lock(&d->lock);
			d->opens = true;
			deep = d->deep;
			mutex_unlock(&d->lock);
			gdir_free(d);
		}
		next = deep ? above(gnode_of(p)) : NULL;
		inode_put(p);
		p = next;
	}
	inode_put(p);
}

/* Are files in directories beside this one opened? */
static bool
opens_above(struct inode *dir)
{
	struct gdir *d = gdir_above(gnode_of(dir));
	bool yes = d && d->opens;

	gdir_free(d);
	return yes;
}

/* --- lookups --- */

/* Make the inode of a fetched node, and give it what came with it. All of e is consumed. */
static int
take(struct inode *dir, const struct name *name, struct gent *e, struct inode **ret)
{
	struct gsuper *gs = gsuper_of(dir);
	struct gnode *g;
	int r = gnode_get(dir->sb, e->node, e->node_ns, &g);

	e->node = NULL;
	atomic_fetch_sub(&ahead_nodes, 1);
	if (r == 0) {
		__atomic_store_n(&g->parent, dir->ino, __ATOMIC_RELAXED);
		gnode_seen(dir, name, g, e->node_ns);
		if (e->fd >= 0) {
			atomic_fetch_sub(&ahead_fds, 1);
			gnode_give_fd(g, e->fd);
			e->fd = -1;
		}
		if (e->listing && e->listing->changes == atomic_load(&gs->changes) &&
			gofer_fresh(gs, e->listing->asked_ns))
			gdir_keep(g, e->listing, __atomic_load_n(&g->changes, __ATOMIC_RELAXED));
		*ret = &g->i;
	}
	ent_clear(gs->conn, e);
	return r;
}

/* Store what came for an entry ahead of its time. */
static void
store(struct gdir *d, size_t i, struct gent *got)
{
	struct gent *e = &d->ents[i], rest = *got;

	atomic_fetch_add(&ahead_nodes, 1);
	mutex_lock(&d->lock);
	if (!e->node || e->node_ns < got->node_ns) {
		rest = (struct gent){.node = e->node, .fd = e->fd, .listing = e->listing};
		e->node = got->node;
		e->fd = got->fd;
		e->listing = NULL;
		e->changes = got->changes;
		e->node_ns = got->node_ns;
	}
	mutex_unlock(&d->lock);
	ent_clear(d->conn, &rest);
}

static bool
keep_rep(struct gdir *d, void *rep)
{
	WITH_MUTEX(&d->lock);
	void **p = realloc(d->reps, (d->nreps + 1) * sizeof *p);

	if (!p)
		return false;
	d->reps = p;
	p[d->nreps++] = rep;
	return true;
}

/* Ask for the entry at first and some that follow it. */
static int
fetch(struct inode *dir, struct gdir *d, const struct name *name, size_t first, struct inode **ret)
{
	struct gsuper *gs = gsuper_of(dir);
	bool opens = d->deep && opens_above(dir);
	Gofer__LookupsReq q = GOFER__LOOKUPS_REQ__INIT;
	ProtobufCBinaryData names[WIRE_LOOKUPS_MAX];
	size_t at[WIRE_LOOKUPS_MAX], want, n = d->rep->n_entries, used = 0;
	uint64_t changes = atomic_load(&gs->changes);
	int64_t now = sched_now_ns();
	int fds[WIRE_FDS_MAX], r;
	uint32_t nfds, fd = 0;
	Gofer__LookupsRep *a;

	mutex_lock(&d->lock);
	want = gdir_room_for_nodes() ? 1u << (2 * d->streak) : 1;
	if (d->streak < STREAK_MAX)
		d->streak++;
	q.open = (d->opens || opens) && gdir_room_for_fds((uint32_t)want);
	for (size_t k = 0; k < n && used < want; k++) {
		size_t i = (first + k) % n;
		struct gent *e = &d->ents[i];

		if (k && ((e->asked && gofer_fresh(gs, e->asked_ns)) ||
				 (e->node && gofer_fresh(gs, e->node_ns)) ||
				 !wire_name_ok(&d->rep->entries[i]->name)))
			continue;
		e->asked = true;
		e->asked_ns = now;
		at[used] = i;
		names[used++] = d->rep->entries[i]->name;
	}
	mutex_unlock(&d->lock);
	q.dir = gnode_of(dir)->id;
	q.names = names;
	q.n_names = used;
	r = gofer_call_fds(gs->conn, GOFER_LOOKUPS, &q.base, &a, fds, WIRE_FDS_MAX, &nfds);
	if (r == -ENFILE && q.open) {
		q.open = false;
		r = gofer_call_fds(gs->conn, GOFER_LOOKUPS, &q.base, &a, fds, WIRE_FDS_MAX, &nfds);
	}
	if (r < 0)
		return r;
	atomic_fetch_add(&ahead_fds, (int)nfds);
	if (!keep_rep(d, a)) {
		/* the nodes stay at the gofer for nothing */
		gofer_rep_free(a);
		r = -ENOMEM;
	} else if (a->n_found == 0 || a->n_found > used) {
		r = -EIO;
	} else {
		for (size_t k = 0; k < a->n_found; k++) {
			Gofer__Found *f = a->found[k];
			int with = f->fd && fd < nfds ? fds[fd++] : -1;
			struct gent e = {
				.node = f->node, .fd = with, .changes = changes, .node_ns = now};

			if (k == 0 && f->node) {
				atomic_fetch_add(&ahead_nodes, 1);
				r = take(dir, name, &e, ret);
			} else if (f->node) {
				store(d, at[k], &e);
			} else {
				if (k == 0)
					r = f->err && f->err < 4096 ? -(int)f->err : -EIO;
				if (with >= 0)
					fd--;
			}
		}
	}
	while (fd < nfds) {
		host_fd_close(fds[fd++]);
		atomic_fetch_sub(&ahead_fds, 1);
	}
	return r;
}

int
gdir_lookup(struct inode *dir, const struct name *n, bool ask, struct inode **ret)
{
	struct gsuper *gs = gsuper_of(dir);
	struct gent *e, mine;
	struct gdir *d;
	int r;

	if (!(d = gdir_kept_lately(gnode_of(dir))))
		return -EAGAIN;
	e = find(d, n);
	if (!e) {
		r = gofer_fresh(gs, d->asked_ns) ? -ENOENT : -EAGAIN;
		gdir_free(d);
		return r;
	}
	mutex_lock(&d->lock);
	mine = *e;
	e->node = NULL;
	e->fd = -1;
	e->listing = NULL;
	e->asked = true;
	e->asked_ns = sched_now_ns();
	mutex_unlock(&d->lock);
	if (mine.node && mine.changes == atomic_load(&gs->changes) &&
		gofer_fresh(gs, mine.node_ns)) {
		r = take(dir, n, &mine, ret);
	} else {
		ent_clear(gs->conn, &mine);
		r = ask ? fetch(dir, d, n, (size_t)(e - d->ents), ret) : -EAGAIN;
	}
	gdir_free(d);
	return r;
}
