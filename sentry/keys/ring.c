/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyrings: links, and searches. A graph of keyrings can have far more paths than keyrings, so a
 * walk goes into one again only where it is less deep than before.
 */
#include "internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t walks;

/* False: this walk was here, at this depth or above. */
static bool
first_visit(struct key *k, uint64_t walk, int depth)
{
	if (k->seen == walk && k->seen_depth <= depth)
		return false;
	k->seen = walk;
	k->seen_depth = depth;
	return true;
}

struct key *
ring_find(const struct key *ring, enum key_type type, const char *desc)
{
	for (uint32_t i = 0; i < ring->nlinks; i++)
		if (ring->link[i]->type == type && strcmp(ring->link[i]->desc, desc) == 0)
			return ring->link[i];
	return NULL;
}

/* Would a link from `to` to k, a keyring, close a circle or go too deep? */
static int
check_circle(struct key *k, const struct key *to, uint64_t walk, int depth)
{
	if (k == to)
		return -EDEADLK;
	if (depth > RING_DEPTH)
		return -ELOOP;
	if (!first_visit(k, walk, depth))
		return 0;
	for (uint32_t i = 0; i < k->nlinks; i++) {
		int err = k->link[i]->type == TYPE_KEYRING
				  ? check_circle(k->link[i], to, walk, depth + 1)
				  : 0;

		if (err)
			return err;
	}
	return 0;
}

int
ring_link(struct key *ring, struct key *k)
{
	struct key *old = NULL;
	uint32_t at;
	int err;

	if (ring->restricted)
		return -EPERM;
	if (k->type == TYPE_KEYRING) {
		err = check_circle(k, ring, ++walks, 0);
		if (err)
			return err;
	}
	for (at = 0; at < ring->nlinks; at++) {
		old = ring->link[at];
		if (old == k)
			return 0;
		if (old->type == k->type && strcmp(old->desc, k->desc) == 0)
			break;
	}
	if (at == ring->nlinks) {
		if (at == ring->room) {
			uint32_t room = ring->room ? ring->room * 2 : 4;
			struct key **v = realloc(ring->link, room * sizeof *v);

			if (!v)
				return -ENOMEM;
			ring->link = v;
			ring->room = room;
		}
		err = key_reserve(ring, (at + 1) * LINK_BYTES);
		if (err)
			return err;
		ring->nlinks++;
		old = NULL;
	}
	ring->link[at] = key_get(k);
	key_put(old);
	return 0;
}

int
ring_unlink(struct key *ring, struct key *k)
{
	for (uint32_t i = 0; i < ring->nlinks; i++) {
		if (ring->link[i] != k)
			continue;
		memmove(ring->link + i, ring->link + i + 1,
			(ring->nlinks - i - 1) * sizeof *ring->link);
		ring->nlinks--;
		(void)key_reserve(ring, ring->nlinks * LINK_BYTES);
		key_put(k);
		return 0;
	}
	return -ENOENT;
}

void
ring_clear(struct key *ring)
{
	while (ring->nlinks)
		key_put(ring->link[--ring->nlinks]);
	(void)key_reserve(ring, 0);
}

struct search {
	const struct cred *cred;
	enum key_type type;
	const char *desc;
	const struct key *wanted; /* this one, whatever its state, rather than one by name */
	bool skip_expired;	  /* as if they were not there */
	uint64_t mark;		  /* not 0: note this with all that could be found */
	uint64_t walk;
	bool possessed;
	int result; /* why what was found does not do */
};

static bool
matches(const struct search *s, const struct key *k)
{
	if (s->mark)
		return false;
	return s->wanted ? k == s->wanted : k->type == s->type && strcmp(k->desc, s->desc) == 0;
}

/* The key, or NULL with s->result. */
static struct key *
try_match(struct search *s, struct key *k)
{
	int err;

	if (s->mark && key_permission((struct key_ref){k, s->possessed}, s->cred, KP_SEARCH) == 0)
		k->mark = s->mark;
	if (!matches(s, k))
		return NULL;
	if (!s->wanted) {
		if (k->invalidated)
			return NULL;
		err = key_validate(k);
		if (err) {
			if (err != -EKEYEXPIRED || !s->skip_expired)
				s->result = err;
			return NULL;
		}
	}
	if (key_permission((struct key_ref){k, s->possessed}, s->cred, KP_SEARCH)) {
		s->result = -EACCES;
		return NULL;
	}
	return k;
}

/* What the keyring links to comes before what is in keyrings there. */
static struct key *
search_below(struct search *s, struct key *ring, int depth)
{
	struct key *k;

	if (ring->invalidated || ring->revoked || !first_visit(ring, s->walk, depth))
		return NULL;
	for (uint32_t i = 0; i < ring->nlinks; i++)
		if ((k = try_match(s, ring->link[i])))
			return k;
	if (depth >= RING_DEPTH)
		return NULL;
	for (uint32_t i = 0; i < ring->nlinks; i++) {
		struct key_ref sub = {ring->link[i], s->possessed};

		if (sub.key->type != TYPE_KEYRING || key_permission(sub, s->cred, KP_SEARCH))
			continue;
		if ((k = search_below(s, sub.key, depth + 1)))
			return k;
	}
	return NULL;
}

static int
search_ring(struct search *s, struct key_ref ring, struct key_ref *ret)
{
	struct key *k;

	if (ring.key->type != TYPE_KEYRING)
		return -ENOTDIR;
	if (key_permission(ring, s->cred, KP_SEARCH))
		return -EACCES;
	s->walk = ++walks;
	s->possessed = ring.possessed;
	s->result = -EAGAIN;
	k = s->mark || matches(s, ring.key) ? try_match(s, ring.key) : NULL;
	if (s->mark || !matches(s, ring.key))
		k = search_below(s, ring.key, 0);
	if (!k)
		return s->result;
	*ret = (struct key_ref){k, ring.possessed};
	return 0;
}

int
ring_search(struct key_ref ring, const struct cred *c, enum key_type type, const char *desc,
	struct key_ref *ret)
{
	struct search s = {.cred = c, .type = type, .desc = desc};

	return search_ring(&s, ring, ret);
}

/* Thread, process, session, or the user's session where there is none. Of the reasons why nothing
 * was found, that there is none comes before that one is of no use (search_cred_keyrings_rcu). */
static int
search_all(const struct key_caller *k, struct search *s, struct key_ref *ret)
{
	const struct key_rings *r = k->rings;
	struct key *ring[3] = {r->thread, r->process, r->session};
	int none = 0, useless = -EAGAIN, err;

	if (!ring[2])
		ring[2] = session_of_user(k->cred);
	for (int i = 0; i < 3; i++) {
		if (!ring[i])
			continue;
		err = search_ring(s, (struct key_ref){ring[i], true}, ret);
		if (!err)
			return 0;
		if (err == -ENOKEY || (err == -EAGAIN && !none))
			none = err;
		else if (err != -EAGAIN)
			useless = err;
	}
	return none ? none : useless;
}

int
rings_search(const struct key_caller *k, enum key_type type, const char *desc, struct key_ref *ret)
{
	struct search s = {.cred = k->cred, .type = type, .desc = desc, .skip_expired = true};

	return search_all(k, &s, ret);
}

bool
rings_possess(const struct key_caller *k, const struct key *key)
{
	struct search s = {.cred = k->cred, .type = key->type, .wanted = key};
	struct key_ref r;

	return search_all(k, &s, &r) == 0;
}

uint64_t
rings_mark(const struct key_caller *k)
{
	struct search s = {.cred = k->cred, .mark = ++walks};
	struct key_ref r;

	(void)search_all(k, &s, &r);
	return s.mark;
}
