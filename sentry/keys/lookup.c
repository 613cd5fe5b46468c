/* SPDX-License-Identifier: Apache-2.0 */
/* From the numbers that callers use to keys, and the keyrings that a task, a process, a session and
 * a user have. */
#include "internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The keyrings of a user in a user namespace; of a kind (persistent or not) one each. They stay
 * until they have ended and are collected, or their namespace is gone. */
struct user_rings {
	struct user_rings_key {
		uint64_t ns;
		uint32_t uid, persistent;
	} key;
	struct key *ring, *session; /* references; of a persistent one: ring alone */
	UT_hash_handle hh;
};

static struct user_rings *table;

static struct user_rings *
rings_find(const struct cred *c, uint32_t uid, bool persistent, bool create)
{
	struct user_rings_key key = {user_ns_id(c->user_ns), uid, persistent};
	struct user_rings *u;

	HASH_FIND(hh, table, &key, sizeof key, u);
	if (!u && create && (u = calloc(1, sizeof *u))) {
		u->key = key;
		HASH_ADD(hh, table, key, sizeof u->key, u);
	}
	return u;
}

static void
forget_if_empty(struct user_rings *u)
{
	if (u->ring || u->session)
		return;
	HASH_DEL(table, u);
	free(u);
}

void
rings_let_go(struct key *k)
{
	struct user_rings *u = k->of_user;

	k->of_user = NULL;
	*(u->ring == k ? &u->ring : &u->session) = NULL;
	forget_if_empty(u);
}

static void
ns_gone(uint64_t ns)
{
	struct user_rings *u, *next;

	mutex_lock(&keys_lock);
	HASH_ITER(hh, table, u, next)
	{
		struct key *ring = u->ring, *session = u->session;

		if (u->key.ns != ns)
			continue;
		if (ring)
			rings_let_go(ring);
		if (session)
			rings_let_go(session);
		key_put(session);
		key_put(ring);
	}
	mutex_unlock(&keys_lock);
}

void
keys_init(void)
{
	user_ns_gone = ns_gone;
}

/* One that has ended is in the way of another until it is collected. */
static int
user_ring(const struct cred *c, const char *kind, struct user_rings *u, struct key **at)
{
	char name[32];

	if (*at)
		return key_validate(*at) ? -ENOKEY : 0;
	snprintf(name, sizeof name, "%s.%u", kind, uid_out(c->user_ns, c->uid));
	if (key_new(TYPE_KEYRING, name, c->uid, UINT32_MAX, c,
		    POS(KP_ALL & ~KP_SETATTR) | USR(KP_ALL), 0, at))
		return -ENOKEY;
	(*at)->uid_ring = true;
	(*at)->of_user = u;
	return 0;
}

int
rings_of_user(const struct cred *c, struct key **ret_user, struct key **ret_session)
{
	struct user_rings *u = rings_find(c, c->uid, false, true);
	bool had_session;
	int err;

	if (!u)
		return -ENOKEY;
	err = user_ring(c, "_uid", u, &u->ring);
	had_session = u->session;
	if (!err)
		err = user_ring(c, "_uid_ses", u, &u->session);
	if (!err && !had_session && ring_link(u->session, u->ring)) {
		key_put(u->session);
		u->session = NULL;
		err = -ENOKEY;
	}
	if (err) {
		forget_if_empty(u);
		return err;
	}
	*ret_user = u->ring;
	*ret_session = u->session;
	return 0;
}

struct key *
session_of_user(const struct cred *c)
{
	struct user_rings *u = rings_find(c, c->uid, false, false);

	return u && u->session && key_validate(u->session) == 0 ? u->session : NULL;
}

int
ring_persistent(const struct cred *c, uint32_t uid, struct key **ret)
{
	struct user_rings *u = rings_find(c, uid, true, false);
	char name[32];
	int err;

	if (u && key_validate(u->ring) == 0) {
		*ret = u->ring;
		return 0;
	}
	if (u) {
		struct key *old = u->ring;

		rings_let_go(old);
		key_put(old);
	}
	u = rings_find(c, uid, true, true);
	if (!u)
		return -ENOMEM;
	snprintf(name, sizeof name, "_persistent.%u", uid_out(c->user_ns, uid));
	err = key_new(TYPE_KEYRING, name, uid, UINT32_MAX, c,
		POS(KP_ALL & ~KP_SETATTR) | USR(KP_VIEW | KP_READ), 0, &u->ring);
	if (err) {
		forget_if_empty(u);
		return err;
	}
	u->ring->of_user = u;
	*ret = u->ring;
	return 0;
}

static int
own_ring(const struct key_caller *k, struct key **at, const char *name)
{
	if (*at)
		return 0;
	return key_new(TYPE_KEYRING, name, k->cred->uid, k->cred->gid, k->cred,
		POS(KP_ALL) | USR(KP_VIEW), KEY_OVERRUN, at);
}

int
thread_ring(const struct key_caller *k)
{
	return own_ring(k, &k->rings->thread, "_tid");
}

int
process_ring(const struct key_caller *k)
{
	return own_ring(k, &k->rings->process, "_pid");
}

int
session_new(const struct key_caller *k)
{
	struct key *old = k->rings->session, *n;
	int err = key_new(TYPE_KEYRING, "_ses", k->cred->uid, k->cred->gid, k->cred,
		POS(KP_ALL) | USR(KP_VIEW | KP_READ), old ? 0 : KEY_OVERRUN, &n);

	if (err)
		return err;
	k->rings->session = n;
	key_put(old);
	return 0;
}

/* There is always one where it is looked for; the user's, which is for all sessions, is not one to
 * put things into. */
static int
session_ring(const struct key_caller *k, bool create)
{
	struct key_rings *r = k->rings;
	struct key *user, *session;

	if (r->session && !(create && r->session->uid_ring))
		return 0;
	if (!r->session && rings_of_user(k->cred, &user, &session))
		return -ENOKEY;
	if (create)
		return session_new(k) ? -ENOKEY : 0;
	r->session = key_get(session);
	return 0;
}

static int
special(const struct key_caller *k, int32_t id, bool create, struct key **ret)
{
	struct key_rings *r = k->rings;
	struct key *user, *session;
	int err = 0;

	switch (id) {
	case SPEC_THREAD:
		if (!r->thread)
			err = create ? thread_ring(k) : -ENOKEY;
		*ret = r->thread;
		return err;
	case SPEC_PROCESS:
		if (!r->process)
			err = create ? process_ring(k) : -ENOKEY;
		*ret = r->process;
		return err;
	case SPEC_SESSION:
		err = session_ring(k, create);
		*ret = r->session;
		return err;
	case SPEC_USER:
	case SPEC_USER_SESSION:
		err = rings_of_user(k->cred, &user, &session);
		if (!err)
			*ret = id == SPEC_USER ? user : session;
		return err;
	case -7: /* KEY_SPEC_REQKEY_AUTH_KEY, KEY_SPEC_REQUESTOR_KEYRING: nothing is requested */
	case -8:
		return -ENOKEY;
	default:
		return -EINVAL;
	}
}

int
key_lookup(
	const struct key_caller *k, int32_t id, unsigned flags, uint32_t want, struct key_ref *ret)
{
	struct key_ref r = {NULL, true};
	int err;

	if (id < 1) {
		err = special(k, id, flags & LOOKUP_CREATE, &r.key);
		if (err)
			return err;
	} else {
		r.key = key_by_serial(id);
		if (!r.key)
			return -ENOKEY;
		r.possessed = rings_possess(k, r.key);
	}
	if (!(flags & (LOOKUP_UNLINK | LOOKUP_UNCHECKED))) {
		err = key_validate(r.key);
		if (!err)
			err = key_permission(r, k->cred, want);
		if (err)
			return err;
	}
	key_get(r.key);
	*ret = r;
	return 0;
}
