/* SPDX-License-Identifier: Apache-2.0 */
/* What keyctl(2) and its kind do to keys, each under keys_lock from the first look to the last. */
#include "internal.h"
#include "sentry/sysctl/sysctl.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUEST_TO_MAX 7

/* Find id, and go on with it or return. ret is HELD. */
#define FIND(k, id, flags, want, ret)                                                              \
	do {                                                                                       \
		int find_err = key_lookup(k, id, flags, want, ret);                                \
		if (find_err)                                                                      \
			return find_err;                                                           \
	} while (0)

static int64_t
add(const struct key_caller *k, int type, const char *desc, const void *payload, size_t len,
	int32_t ring_id)
{
	uint32_t perm = POS(KP_VIEW | KP_SEARCH | KP_LINK | KP_SETATTR | KP_WRITE) | USR(KP_VIEW);
	HELD struct key_ref ring = {0};
	struct key_ref old = {0};
	struct key *n;
	int err;

	FIND(k, ring_id, LOOKUP_CREATE, KP_WRITE, &ring);
	if (type < 0)
		return -ENODEV;
	if (!*desc)
		return -EINVAL;
	err = key_payload_check(type, desc, len);
	if (err)
		return err;
	if (ring.key->type != TYPE_KEYRING)
		return -ENOTDIR;
	if (ring.key->restricted)
		return -EPERM;
	if (type != TYPE_KEYRING)
		old.key = ring_find(ring.key, type, desc);
	if (old.key && !old.key->invalidated && !old.key->revoked) {
		old.possessed = ring.possessed;
		err = key_permission(old, k->cred, KP_WRITE);
		if (!err)
			err = key_payload_set(old.key, payload, len);
		return err ? err : old.key->serial;
	}
	if (type != TYPE_LOGON)
		perm |= POS(KP_READ);
	err = key_new(type, desc, k->cred->fsuid, k->cred->fsgid, k->cred, perm, 0, &n);
	if (err)
		return err;
	err = key_payload_set(n, payload, len);
	if (!err)
		err = ring_link(ring.key, n);
	if (!err)
		err = n->serial;
	key_put(n);
	return err;
}

/* Put what was found into a keyring of the caller's. */
static int
link_into(const struct key_caller *k, struct key_ref found, struct key_ref dest)
{
	int err = key_permission(found, k->cred, KP_LINK);

	if (!err && dest.key->type != TYPE_KEYRING)
		err = -ENOTDIR;
	return err ? err : ring_link(dest.key, found.key);
}

static int64_t
request(const struct key_caller *k, const char *type_name, const char *desc, int32_t dest_id)
{
	HELD struct key_ref dest = {0};
	struct key_ref found;
	int type = key_type_of(type_name), err;

	if (dest_id)
		FIND(k, dest_id, LOOKUP_CREATE, KP_WRITE, &dest);
	if (type < 0)
		return -ENOKEY;
	err = rings_search(k, type, desc, &found);
	if (err)
		return err == -EAGAIN ? -ENOKEY : err;
	if (dest.key) {
		if (dest.key->type != TYPE_KEYRING)
			return -ENOTDIR;
		err = ring_link(dest.key, found.key);
	}
	return err ? err : found.key->serial;
}

static int64_t
id_of(const struct key_caller *k, int32_t id, bool create)
{
	HELD struct key_ref r = {0};

	FIND(k, id, create ? LOOKUP_CREATE : 0, KP_SEARCH, &r);
	return r.key->serial;
}

/* The one of that name that the caller may search, in its user namespace. */
static struct key *
named_ring(const struct key_caller *k, const char *name)
{
	uint64_t ns = user_ns_id(k->cred->user_ns);
	struct key *r;

	list_for_each_entry (r, &keys_all, all_node)
		if (r->type == TYPE_KEYRING && r->ns == ns && !r->revoked && !r->invalidated &&
			strcmp(r->desc, name) == 0 && uid_known(k->cred->user_ns, r->uid) &&
			key_permission((struct key_ref){r, false}, k->cred, KP_SEARCH) == 0)
			return r;
	return NULL;
}

static int64_t
join_session(const struct key_caller *k, const char *name)
{
	struct key *old = k->rings->session, *n;
	int err;

	if (!name) {
		err = session_new(k);
		return err ? err : k->rings->session->serial;
	}
	n = named_ring(k, name);
	if (n) {
		key_get(n);
	} else {
		err = key_new(TYPE_KEYRING, name, k->cred->uid, k->cred->gid, k->cred,
			POS(KP_ALL) | USR(KP_VIEW | KP_READ | KP_LINK), 0, &n);
		if (err)
			return err;
	}
	k->rings->session = n;
	key_put(old);
	return n->serial;
}

static int64_t
update(const struct key_caller *k, int32_t id, const void *payload, size_t len)
{
	HELD struct key_ref r = {0};
	int err;

	FIND(k, id, 0, KP_WRITE, &r);
	if (r.key->type == TYPE_KEYRING)
		return -EOPNOTSUPP;
	err = key_payload_check(r.key->type, r.key->desc, len);
	return err ? err : key_payload_set(r.key, payload, len);
}

static int64_t
revoke(const struct key_caller *k, int32_t id)
{
	HELD struct key_ref r = {0};
	int err = key_lookup(k, id, 0, KP_WRITE, &r);

	if (err == -EACCES)
		err = key_lookup(k, id, 0, KP_SETATTR, &r);
	if (err)
		return err;
	key_do_revoke(r.key);
	return 0;
}

static int64_t
change_owner(const struct key_caller *k, int32_t id, uint32_t uid, uint32_t gid)
{
	const struct cred *c = k->cred;
	HELD struct key_ref r = {0};
	int err = 0;

	if (uid == UINT32_MAX && gid == UINT32_MAX)
		return 0;
	FIND(k, id, LOOKUP_CREATE, KP_SETATTR, &r);
	if (!cred_capable(c, LX_CAP_SYS_ADMIN)) {
		if (uid != UINT32_MAX && uid != r.key->uid)
			return -EACCES;
		if (gid != UINT32_MAX && gid != r.key->gid && !cred_in_group(c, gid))
			return -EACCES;
	}
	if (uid != UINT32_MAX)
		err = key_move_quota(r.key, uid);
	if (!err && gid != UINT32_MAX)
		r.key->gid = gid;
	return err;
}

static int64_t
set_permissions(const struct key_caller *k, int32_t id, uint32_t perm)
{
	HELD struct key_ref r = {0};

	FIND(k, id, LOOKUP_CREATE, KP_SETATTR, &r);
	if (r.key->uid != k->cred->fsuid && !cred_capable(k->cred, LX_CAP_SYS_ADMIN))
		return -EACCES;
	r.key->perm = perm;
	return 0;
}

static int64_t
describe(const struct key_caller *k, int32_t id, char **ret)
{
	const struct user_ns *ns = k->cred->user_ns;
	HELD struct key_ref r = {0};
	int n;

	FIND(k, id, 0, KP_VIEW, &r);
	n = asprintf(ret, "%s;%d;%d;%08x;%s", key_type_name(r.key->type),
		(int)uid_out(ns, r.key->uid), key_gid_out(ns, r.key), r.key->perm, r.key->desc);
	return n < 0 ? -ENOMEM : n + 1;
}

static int64_t
clear(const struct key_caller *k, int32_t ring)
{
	HELD struct key_ref r = {0};

	FIND(k, ring, LOOKUP_CREATE, KP_WRITE, &r);
	if (r.key->type != TYPE_KEYRING)
		return -ENOTDIR;
	ring_clear(r.key);
	return 0;
}

static int64_t
link_key(const struct key_caller *k, int32_t id, int32_t ring_id)
{
	HELD struct key_ref ring = {0}, r = {0};

	FIND(k, ring_id, LOOKUP_CREATE, KP_WRITE, &ring);
	FIND(k, id, LOOKUP_CREATE, KP_LINK, &r);
	if (ring.key->type != TYPE_KEYRING)
		return -ENOTDIR;
	return ring_link(ring.key, r.key);
}

static int64_t
unlink_key(const struct key_caller *k, int32_t id, int32_t ring_id)
{
	HELD struct key_ref ring = {0}, r = {0};

	FIND(k, ring_id, 0, KP_WRITE, &ring);
	FIND(k, id, LOOKUP_UNLINK, 0, &r);
	if (ring.key->type != TYPE_KEYRING)
		return -ENOTDIR;
	return ring_unlink(ring.key, r.key);
}

static int64_t
move(const struct key_caller *k, int32_t id, int32_t from_id, int32_t to_id, bool exclusive)
{
	HELD struct key_ref r = {0}, from = {0}, to = {0};
	struct key *other;
	int err;

	FIND(k, id, LOOKUP_CREATE, KP_LINK, &r);
	FIND(k, from_id, 0, KP_WRITE, &from);
	FIND(k, to_id, LOOKUP_CREATE, KP_WRITE, &to);
	if (from.key->type != TYPE_KEYRING || to.key->type != TYPE_KEYRING)
		return -ENOTDIR;
	if (from.key == to.key)
		return 0;
	if (!ring_has(from.key, r.key))
		return -ENOENT;
	other = ring_find(to.key, r.key->type, r.key->desc);
	if (other && exclusive)
		return -EEXIST;
	err = ring_link(to.key, r.key);
	return err ? err : ring_unlink(from.key, r.key);
}

static int64_t
search(const struct key_caller *k, int32_t ring_id, const char *type_name, const char *desc,
	int32_t dest_id)
{
	HELD struct key_ref ring = {0}, dest = {0};
	struct key_ref found;
	int type = key_type_of(type_name), err;

	FIND(k, ring_id, 0, KP_SEARCH, &ring);
	if (dest_id)
		FIND(k, dest_id, LOOKUP_CREATE, KP_WRITE, &dest);
	if (type < 0)
		return -ENOKEY;
	err = ring_search(ring, k->cred, type, desc, &found);
	if (err)
		return err == -EAGAIN ? -ENOKEY : err;
	if (dest.key)
		err = link_into(k, found, dest);
	return err ? err : found.key->serial;
}

static int64_t
read_key(const struct key_caller *k, int32_t id, void **ret)
{
	HELD struct key_ref r = {0};
	int64_t n;
	int err = key_lookup(k, id, LOOKUP_UNCHECKED, 0, &r);

	if (err)
		return -ENOKEY;
	/* Whoever can find it may read it, whatever the bits say of reading. */
	if (key_permission(r, k->cred, KP_READ) && !r.possessed)
		return -EACCES;
	if (r.key->type == TYPE_LOGON)
		return -EOPNOTSUPP;
	err = key_validate(r.key);
	if (err)
		return err;
	n = r.key->type == TYPE_KEYRING ? r.key->nlinks * (int64_t)sizeof(int32_t) : r.key->len;
	*ret = malloc((size_t)n + 1);
	if (!*ret)
		return -ENOMEM;
	if (r.key->type != TYPE_KEYRING)
		memcpy(*ret, r.key->data, (size_t)n);
	else
		for (uint32_t i = 0; i < r.key->nlinks; i++)
			((int32_t *)*ret)[i] = r.key->link[i]->serial;
	return n;
}

static int64_t
security(const struct key_caller *k, int32_t id)
{
	HELD struct key_ref r = {0};

	return key_lookup(k, id, 0, KP_VIEW, &r);
}

static int64_t
request_to(const struct key_caller *k, int32_t where)
{
	int32_t old = k->rings->request_to;
	int err = 0;

	if (where == -1)
		return old;
	if (where < 0 || where > REQUEST_TO_MAX || where == -SPEC_GROUP)
		return -EINVAL;
	if (where == -SPEC_THREAD)
		err = thread_ring(k);
	else if (where == -SPEC_PROCESS)
		err = process_ring(k);
	if (err)
		return err;
	k->rings->request_to = where;
	return old;
}

static int64_t
set_timeout(const struct key_caller *k, int32_t id, uint32_t seconds)
{
	HELD struct key_ref r = {0};

	FIND(k, id, LOOKUP_CREATE, KP_SETATTR, &r);
	key_set_expiry(r.key, seconds);
	return 0;
}

static int64_t
invalidate(const struct key_caller *k, int32_t id)
{
	HELD struct key_ref r = {0};

	FIND(k, id, 0, KP_SEARCH, &r);
	key_do_invalidate(r.key);
	return 0;
}

static int64_t
get_persistent(const struct key_caller *k, uint32_t uid, int32_t dest_id)
{
	struct key *ring;
	HELD struct key_ref dest = {0};
	int err;

	if (uid != k->cred->uid && uid != k->cred->euid &&
		!cred_capable_own(k->cred, LX_CAP_SETUID))
		return -EPERM;
	FIND(k, dest_id, LOOKUP_CREATE, KP_WRITE, &dest);
	if (dest.key->type != TYPE_KEYRING)
		return -ENOTDIR;
	err = ring_persistent(k->cred, uid, &ring);
	if (!err)
		err = key_permission((struct key_ref){ring, true}, k->cred, KP_LINK);
	if (!err)
		err = ring_link(dest.key, ring);
	if (err)
		return err;
	key_set_expiry(ring, (uint32_t)sysctl_get(SYSCTL_KEYS_PERSISTENT_EXPIRY));
	return ring->serial;
}

static int64_t
restrict_ring(const struct key_caller *k, int32_t id, const char *type, bool how)
{
	HELD struct key_ref r = {0};

	FIND(k, id, 0, KP_SETATTR, &r);
	if (!type && how)
		return -EINVAL;
	if (r.key->type != TYPE_KEYRING)
		return -ENOTDIR;
	if (type && key_type_of(type) < 0)
		return -ENOKEY;
	if (type) /* none of these knows a restriction */
		return -ENOENT;
	if (r.key->restricted)
		return -EEXIST;
	r.key->restricted = true;
	return 0;
}

static int64_t
session_to(const struct key_caller *k, const struct key_caller *to)
{
	HELD struct key_ref session = {0};
	struct key *old = to->rings->session;

	FIND(k, SPEC_SESSION, 0, KP_LINK, &session);
	if (session.key == old)
		return 0;
	if (session.key->uid != to->cred->euid || (old && old->uid != to->cred->euid))
		return -EPERM;
	to->rings->session = key_get(session.key);
	key_put(old);
	return 0;
}

/* --- each under the lock --- */

#define LOCKED(name, params, call)                                                                 \
	int64_t name params                                                                        \
	{                                                                                          \
		int64_t r;                                                                         \
                                                                                                   \
		mutex_lock(&keys_lock);                                                            \
		keys_reap();                                                                       \
		r = call;                                                                          \
		mutex_unlock(&keys_lock);                                                          \
		return r;                                                                          \
	}

#define CALLER const struct key_caller *k

LOCKED(keys_add,
	(CALLER, const char *type, const char *desc, const void *payload, size_t len, int32_t ring),
	add(k, key_type_of(type), desc, payload, len, ring))
LOCKED(keys_request, (CALLER, const char *type, const char *desc, int32_t dest),
	request(k, type, desc, dest))
LOCKED(keys_id, (CALLER, int32_t id, bool create), id_of(k, id, create))
LOCKED(keys_join_session, (CALLER, const char *name), join_session(k, name))
LOCKED(keys_update, (CALLER, int32_t id, const void *payload, size_t len),
	update(k, id, payload, len))
LOCKED(keys_revoke, (CALLER, int32_t id), revoke(k, id))
LOCKED(keys_chown, (CALLER, int32_t id, uint32_t uid, uint32_t gid), change_owner(k, id, uid, gid))
LOCKED(keys_setperm, (CALLER, int32_t id, uint32_t perm), set_permissions(k, id, perm))
LOCKED(keys_describe, (CALLER, int32_t id, char **ret), describe(k, id, ret))
LOCKED(keys_clear, (CALLER, int32_t ring), clear(k, ring))
LOCKED(keys_link, (CALLER, int32_t id, int32_t ring), link_key(k, id, ring))
LOCKED(keys_unlink, (CALLER, int32_t id, int32_t ring), unlink_key(k, id, ring))
LOCKED(keys_move, (CALLER, int32_t id, int32_t from, int32_t to, bool exclusive),
	move(k, id, from, to, exclusive))
LOCKED(keys_search, (CALLER, int32_t ring, const char *type, const char *desc, int32_t dest),
	search(k, ring, type, desc, dest))
LOCKED(keys_read, (CALLER, int32_t id, void **ret), read_key(k, id, ret))
LOCKED(keys_security, (CALLER, int32_t id), security(k, id))
LOCKED(keys_request_to, (CALLER, int32_t where), request_to(k, where))
LOCKED(keys_set_timeout, (CALLER, int32_t id, uint32_t seconds), set_timeout(k, id, seconds))
LOCKED(keys_invalidate, (CALLER, int32_t id), invalidate(k, id))
LOCKED(keys_get_persistent, (CALLER, uint32_t uid, int32_t dest), get_persistent(k, uid, dest))
LOCKED(keys_restrict, (CALLER, int32_t ring, const char *type, bool how),
	restrict_ring(k, ring, type, how))
LOCKED(keys_session_to, (CALLER, const struct key_caller *to), session_to(k, to))

/* --- the lives of tasks --- */

int
keys_clone(const struct cred *c, const struct key_rings *from, struct key_rings *to, bool thread)
{
	int err = 0;

	*to = (struct key_rings){.request_to = from->request_to};
	if (!from->session && !(thread && (from->process || from->thread)))
		return 0;
	mutex_lock(&keys_lock);
	if (from->session)
		to->session = key_get(from->session);
	if (thread && from->process)
		to->process = key_get(from->process);
	/* A thread gets one of its own where its maker has one. */
	if (thread && from->thread)
		err = thread_ring(&(struct key_caller){c, to});
	mutex_unlock(&keys_lock);
	return err;
}

void
keys_exec(struct key_rings *r)
{
	if (!r->thread && !r->process)
		return;
	mutex_lock(&keys_lock);
	key_put(r->thread);
	key_put(r->process);
	r->thread = r->process = NULL;
	mutex_unlock(&keys_lock);
}

void
keys_exit(struct key_rings *r)
{
	/* Nobody can give a session to what nobody has a reference to: the last one sees it. */
	if (!r->thread && !r->process && !r->session)
		return;
	mutex_lock(&keys_lock);
	key_put(r->thread);
	key_put(r->process);
	key_put(r->session);
	r->thread = NULL;
	r->process = NULL;
	r->session = NULL;
	mutex_unlock(&keys_lock);
}

void
keys_new_cred(struct key_rings *r, const struct cred *old, const struct cred *c)
{
	if (!r->thread)
		return;
	mutex_lock(&keys_lock);
	if (old->fsuid != c->fsuid)
		r->thread->uid = c->fsuid;
	if (old->fsgid != c->fsgid)
		r->thread->gid = c->fsgid;
	mutex_unlock(&keys_lock);
}
