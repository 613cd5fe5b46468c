/* SPDX-License-Identifier: Apache-2.0 */
/* From the numbers that callers use to keys, and the keyrings that a task, a process, a session and
 * a user have. */
#include "internal.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* The keyrings of a user in a user namespace; of a kind (persistent or not) one each. They stay as
 * long as the sandbox, like Linux's, but those of a namespace that is gone. */
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
rings_find(const struct cred *c, uint32_t uid, bool persistent)
{
	struct user_rings_key key = {user_ns_id(c->user_ns), uid, persistent};
	struct user_rings *u;

	HASH_FIND(hh, table, &key, sizeof key, u);
	if (!u && (u = calloc(1, sizeof *u))) {
		u->key = key;
		HASH_ADD(hh, table, key, sizeof u->key, u);
	}
	return u;
}

static void
rings_forget(struct user_rings *u)
{
	HASH_DEL(table, u);
	key_put(u->session);
	key_put(u->ring);
	free(u);
}

static void
ns_gone(uint64_t ns)
{
	struct user_rings *u, *next;

	mutex_lock(&keys_lock);
	HASH_ITER(hh, table, u, next)
	if (u->key.ns == ns)
		rings_forget(u);
	mutex_unlock(&keys_lock);
}

void
keys_init(void)
{
	user_ns_gone = ns_gone;
}

static int
new_user_ring(const struct cred *c, const char *kind, struct key **ret)
{
	char name[32];
	int err;

	snprintf(name, sizeof name, "%s.%u", kind, uid_out(c->user_ns, c->uid));
	err = key_new(TYPE_KEYRING, name, c->uid, UINT32_MAX, c,
		POS(KP_ALL & ~KP_SETATTR) | USR(KP_ALL), 0, ret);
	if (!err)
		(*ret)->uid_ring = true;
	return err;
}

int
rings_of_user(const struct cred *c, struct key **ret_user, struct key **ret_session)
{
	struct user_rings *u = rings_find(c, c->uid, false);
	int err = 0;

	if (!u)
		return -ENOMEM;
	if (!u->ring || u->ring->invalidated || u->ring->revoked) {
		key_put(u->ring);
		u->ring = NULL;
		err = new_user_ring(c, "_uid", &u->ring);
	}
	if (!err && (!u->session || u->session->invalidated || u->session->revoked)) {
		key_put(u->session);
		u->session = NULL;
		err = new_user_ring(c, "_uid_ses", &u->session);
		if (!err)
			err = ring_link(u->session, u->ring);
	}
	if (err) {
		rings_forget(u);
		return err;
	}
	*ret_user = u->ring;
	*ret_session = u->session;
	return 0;
}

int
ring_persistent(const struct cred *c, uint32_t uid, struct key **ret)
{
	struct user_rings *u = rings_find(c, uid, true);
	char name[32];
	int err = 0;

	if (!u)
		return -ENOMEM;
	if (u->ring && key_validate(u->ring)) {
		key_put(u->ring);
		u->ring = NULL;
	}
	if (!u->ring) {
		snprintf(name, sizeof name, "_persistent.%u", uid_out(c->user_ns, uid));
		err = key_new(TYPE_KEYRING, name, uid, UINT32_MAX, c,
			POS(KP_ALL & ~KP_SETATTR) | USR(KP_VIEW | KP_READ), 0, &u->ring);
	}
	if (err) {
		rings_forget(u);
		return err;
	}
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
	int err;

	if (r->session && !(create && r->session->uid_ring))
		return 0;
	if (r->session)
		return session_new(k);
	err = rings_of_user(k->cred, &user, &session);
	if (err)
		return err;
	if (create)
		return session_new(k);
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

	keys_reap();
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
	*ret = r;
	return 0;
}
