/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing a directory, and what the gofer is asked to list with it. A program that lists a second
 * directory of the same parent is taken for one that walks the tree: from then on a request brings
 * what is below the directory as well, and below those beside it, in the order in which a walk
 * comes by, as much as fits one reply; when files in the parent were opened, with descriptors for
 * files.
 *
 * Listings that came ahead hang on the entry that they belong to, and are used with its node
 * (listing.c).
 */
#include "internal.h"
#include "platform/host/file.h"
#include <stdlib.h>

static bool
rep_ok(const Gofer__ReaddirRep *rep)
{
	for (size_t i = 0; i < rep->n_entries; i++)
		if (!wire_name_ok(&rep->entries[i]->name) &&
			(!rep->entries[i]->name.len || rep->entries[i]->name.data[0] != '.'))
			return false;
	return rep->n_entries > 0 || rep->end;
}

/* Fill in what to ask for beside n. Returns the listing of its parent, with a reference, or NULL.
 */
static struct gdir *
choose(struct gnode *n, Gofer__ReaddirReq *q)
{
	struct gdir *d = gdir_above(n);
	bool again;

	if (!d)
		return NULL;
	mutex_lock(&d->lock);
	again = d->listed++ > 0;
	q->deep = d->deep || again;
	q->open = q->deep && d->opens && gdir_room_for_fds(WIRE_FDS_MAX);
	for (size_t i = 0; again && i < d->rep->n_entries && q->n_also < WIRE_ALSO_MAX; i++) {
		struct gent *e = &d->ents[i];

		if (!e->node || !gofer_fresh(gsuper_of(&n->i), e->node_ns) || e->listing ||
			e->no_listing || !LX_S_ISDIR(e->node->attr ? e->node->attr->mode : 0))
			continue;
		q->also[q->n_also++] = e->node->id;
	}
	mutex_unlock(&d->lock);
	return d;
}

/* Hang g (NULL: what is too large to come ahead) on the entry of d that has the node. False: there
 * is none. */
static bool
hang(struct gdir *d, uint64_t node, struct gdir *g)
{
	bool found = false;

	mutex_lock(&d->lock);
	for (size_t i = 0; i < d->rep->n_entries && !found; i++) {
		struct gent *e = &d->ents[i];

		/* It stands for what the node stands for, while that was not taken. */
		found = e->node && e->node->id == node;
		if (found && !g) {
			e->no_listing = true;
		} else if (found && !e->listing) {
			ref_get(&g->ref);
			e->listing = g;
		}
	}
	mutex_unlock(&d->lock);
	return found;
}

/* A listing of its own from one in a reply. */
static struct gdir *
detach(struct gofer_conn *conn, Gofer__ReaddirRep **at, uint64_t changes, int64_t asked_ns)
{
	Gofer__ReaddirRep *k = *at, *empty;

	if (!k->end || !rep_ok(k) || !(empty = calloc(1, sizeof *empty)))
		return NULL;
	gofer__readdir_rep__init(empty);
	*at = empty;
	return gdir_new(conn, k, k, 0, changes, asked_ns);
}

/* What came beside d goes to the entries that it belongs to: of d, of its parent, or of one that
 * came before. */
static void
take_beside(struct gdir *d, struct gdir *parent, Gofer__ReaddirRep *a, const int *fds,
	uint32_t nfds, uint32_t fd)
{
	struct gdir *made[WIRE_LISTS_MAX];
	uint32_t n = 0;

	for (size_t i = 0; i < a->n_also && n < WIRE_LISTS_MAX; i++) {
		uint64_t of = a->also[i]->of;
		struct gdir *g;
		bool found;

		if (!a->also[i]->end && !a->also[i]->n_entries) {
			hang(parent, of, NULL);
			continue;
		}
		g = detach(d->conn, &a->also[i], d->changes, d->asked_ns);
		if (!g)
			break; /* whose descriptors the next ones are is not known any more */
		gdir_give_fds(g, fds, nfds, &fd);
		g->deep = true;
		g->opens = parent->opens;
		g->streak = parent->streak;
		found = hang(d, of, g);
		for (uint32_t k = n; !found && k > 0; k--)
			found = hang(made[k - 1], of, g);
		if (!found)
			hang(parent, of, g);
		made[n++] = g;
	}
	while (n)
		gdir_free(made[--n]);
	while (fd < nfds)
		host_fd_close(fds[fd++]);
}

int
gdir_fetch(struct gnode *n, int64_t cookie, struct gdir **ret)
{
	struct gsuper *gs = gsuper_of(&n->i);
	Gofer__ReaddirReq q = GOFER__READDIR_REQ__INIT;
	Gofer__ReaddirRep *a;
	uint64_t also[WIRE_ALSO_MAX], names, changes;
	int64_t asked_ns;
	int fds[WIRE_FDS_MAX], r;
	uint32_t nfds, fd = 0;
	struct gdir *d, *parent = NULL;

	*ret = cookie == 0 ? gdir_kept_lately(n) : NULL;
	if (*ret && gofer_fresh(gs, (*ret)->asked_ns))
		return 0;
	gdir_free(*ret);
	*ret = NULL;
	mutex_lock(&n->lock);
	names = n->changes;
	mutex_unlock(&n->lock);
	changes = atomic_load(&gs->changes);
	asked_ns = sched_now_ns();
	q.node = n->id;
	q.cookie = cookie;
	q.nodes = (!gs->shared || gs->relaxed) && cookie == 0 && gdir_room_for_nodes();
	q.also = also;
	if (q.nodes)
		parent = choose(n, &q);
	r = gofer_call_fds(gs->conn, GOFER_READDIR, &q.base, &a, fds, WIRE_FDS_MAX, &nfds);
	if (r < 0)
		goto out;
	r = -EIO;
	if (!rep_ok(a)) {
		gofer_rep_free(a);
		goto out_fds;
	}
	d = gdir_new(gs->conn, a, a, cookie, changes, asked_ns);
	r = -ENOMEM;
	if (!d)
		goto out_fds;
	gdir_give_fds(d, fds, nfds, &fd);
	if (parent) {
		d->deep = q.deep;
		d->opens = parent->opens;
		d->streak = q.deep ? parent->streak : 0;
		take_beside(d, parent, a, fds, nfds, fd);
		fd = nfds;
	}
	gdir_keep(n, d, names);
	*ret = d;
	r = 0;
out_fds:
	while (fd < nfds)
		host_fd_close(fds[fd++]);
out:
	gdir_free(parent);
	return r;
}
