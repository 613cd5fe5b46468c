/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyrings: links, and searches. A graph of keyrings can have far more paths than keyrings, so a
 * walk goes into one again only where it is less deep than before.
 */
#include "internal.h"
#include "platform/host/info.h"
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

/* --- by name ---
 * A keyring has one link of a type and name. Its table, twice as large as `link` has room, has at
 * the first free slot from the hash on one more than the place of the link in there; 0: free. */

uint32_t
ring_hash(enum key_type type, const char *desc)
{
	static uint64_t secret; /* guests choose the names */
	uint64_t h;

	while (!secret)
		host_random(&secret, sizeof secret);
	h = secret ^ type;
	for (; *desc; desc++) {
		h = (h ^ (uint8_t)*desc) * 0x9e3779b97f4a7c15u;
		h ^= h >> 29;
	}
	h *= secret | 1;
	return (uint32_t)(h >> 32);
}

static uint32_t
slots(const struct key *ring)
{
	return ring->room * 2;
}

/* Of that name, or the free one for it; there is room. */
static uint32_t
slot_of(const struct key *ring, uint32_t hash, enum key_type type, const char *desc)
{
	uint32_t mask = slots(ring) - 1, s = hash & mask;

	for (; ring->slot[s]; s = (s + 1) & mask) {
		const struct key *k = ring->link[ring->slot[s] - 1];

		if (k->hash == hash && k->type == type && strcmp(k->desc, desc) == 0)
			break;
	}
	return s;
}

static uint32_t
slot_of_key(const struct key *ring, const struct key *k)
{
	return slot_of(ring, k->hash, k->type, k->desc);
}

/* Those behind it that would have come here move up. */
static void
slot_free(struct key *ring, uint32_t hole)
{
	uint32_t mask = slots(ring) - 1;

	for (uint32_t s = (hole + 1) & mask; ring->slot[s]; s = (s + 1) & mask) {
		uint32_t home = ring->link[ring->slot[s] - 1]->hash & mask;

		if (((s - home) & mask) < ((s - hole) & mask))
			continue;
		ring->slot[hole] = ring->slot[s];
		hole = s;
	}
	ring->slot[hole] = 0;
}

static struct key *
find(const struct key *ring, uint32_t hash, enum key_type type, const char *desc)
{
	uint32_t at = ring->nlinks ? ring->slot[slot_of(ring, hash, type, desc)] : 0;

	return at ? ring->link[at - 1] : NULL;
}

struct key *
ring_find(const struct key *ring, enum key_type type, const char *desc)
{
	return find(ring, ring_hash(type, desc), type, desc);
}

bool
ring_has(const struct key *ring, const struct key *k)
{
	return find(ring, k->hash, k->type, k->desc) == k;
}

/* --- links --- */

static int
grow(struct key *ring)
{
	uint32_t room = ring->room ? ring->room * 2 : 4;
	struct key **v = realloc(ring->link, room * sizeof *v);
	uint32_t *slot;

	if (!v)
		return -ENOMEM;
	ring->link = v;
	slot = calloc(room * 2, sizeof *slot);
	if (!slot)
		return -ENOMEM;
	free(ring->slot);
	ring->slot = slot;
	ring->room = room;
	for (uint32_t i = 0; i < ring->nlinks; i++)
		slot[slot_of_key(ring, ring->link[i])] = i + 1;
	return 0;
}

/* The link at `from` to the place `to`, where there is none. */
static void
shift(struct key *ring, uint32_t from, uint32_t to)
{
	if (from == to)
		return;
	ring->slot[slot_of_key(ring, ring->link[from])] = to + 1;
	ring->link[to] = ring->link[from];
}

/* There is room, and none of that name. */
static void
put_link(struct key *ring, struct key *k)
{
	uint32_t at = ring->nlinks++, slot = slot_of_key(ring, k);

	if (k->type == TYPE_KEYRING) {
		shift(ring, ring->nrings, at);
		at = ring->nrings++;
	}
	ring->slot[slot] = at + 1;
	ring->link[at] = k;
}

void
ring_take(struct key *ring, uint32_t at)
{
	slot_free(ring, slot_of_key(ring, ring->link[at]));
	if (at < ring->nrings) {
		shift(ring, --ring->nrings, at);
		at = ring->nrings;
	}
	shift(ring, --ring->nlinks, at);
	(void)key_reserve(ring, ring->nlinks * LINK_BYTES);
}

void
rings_drop(struct key *k)
{
	struct key *ring;

	list_for_each_entry (ring, &keys_all_rings, ring_node) {
		if (k->refs == 1)
			break;
		if (ring_has(ring, k)) {
			ring_take(ring, ring->slot[slot_of_key(ring, k)] - 1);
			key_put(k);
		}
	}
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
	for (uint32_t i = 0; i < k->nrings; i++) {
		int err = check_circle(k->link[i], to, walk, depth + 1);

		if (err)
			return err;
	}
	return 0;
}

int
ring_link(struct key *ring, struct key *k)
{
	struct key *old;
	int err;

	if (ring->restricted)
		return -EPERM;
	if (k->type == TYPE_KEYRING) {
		err = check_circle(k, ring, ++walks, 0);
		if (err)
			return err;
	}
	old = find(ring, k->hash, k->type, k->desc);
	if (old == k)
		return 0;
	if (old) {
		ring->link[ring->slot[slot_of_key(ring, k)] - 1] = key_get(k);
		key_put(old);
		return 0;
	}
	if (ring->nlinks == ring->room && grow(ring))
		return -ENOMEM;
	err = key_reserve(ring, (ring->nlinks + 1) * LINK_BYTES);
	if (err)
		return err;
	put_link(ring, key_get(k));
	return 0;
}

int
ring_unlink(struct key *ring, struct key *k)
{
	if (!ring_has(ring, k))
		return -ENOENT;
	ring_take(ring, ring->slot[slot_of_key(ring, k)] - 1);
	key_put(k);
	return 0;
}

void
ring_clear(struct key *ring)
{
	struct key **v = ring->link;
	uint32_t n = ring->nlinks;

	free(ring->slot);
	ring->link = NULL;
	ring->slot = NULL;
	ring->nlinks = ring->nrings = ring->room = 0;
	(void)key_reserve(ring, 0);
	while (n)
		key_put(v[--n]);
	free(v);
}

struct search {
	const struct cred *cred;
	enum key_type type;
	const char *desc;
	uint32_t hash;		  /* of both */
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
	if (s->mark) {
		for (uint32_t i = 0; i < ring->nlinks; i++)
			(void)try_match(s, ring->link[i]);
	} else {
		k = find(ring, s->hash, s->type, s->desc);
		if (k && (k = try_match(s, k)))
			return k;
	}
	if (depth >= RING_DEPTH)
		return NULL;
	for (uint32_t i = 0; i < ring->nrings; i++) {
		struct key_ref sub = {ring->link[i], s->possessed};

		if (key_permission(sub, s->cred, KP_SEARCH))
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
	struct search s = {.cred = c, .type = type, .desc = desc, .hash = ring_hash(type, desc)};

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
	struct search s = {.cred = k->cred,
		.type = type,
		.desc = desc,
		.hash = ring_hash(type, desc),
		.skip_expired = true};

	return search_all(k, &s, ret);
}

bool
rings_possess(const struct key_caller *k, const struct key *key)
{
	struct search s = {.cred = k->cred,
		.type = key->type,
		.desc = key->desc,
		.hash = key->hash,
		.wanted = key};
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
