/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: life and death, types, quotas, permissions. */
#include "internal.h"
#include "platform/host/info.h"
#include "sentry/sched/fiber.h"
#include "sentry/sysctl/sysctl.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define USER_PAYLOAD_MAX 32767

struct mutex keys_lock = MUTEX_INIT(KEYS);
struct list keys_all = LIST_INIT(keys_all), keys_all_rings = LIST_INIT(keys_all_rings);
static struct key *by_serial;
static struct key_user *users;
static int64_t next_reap_s = INT64_MAX;

/* --- types --- */

static const char *const type_names[TYPE_COUNT] = {"user", "logon", "keyring"};

int
key_type_of(const char *name)
{
	for (int i = 0; i < TYPE_COUNT; i++)
		if (strcmp(type_names[i], name) == 0)
			return i;
	return -1;
}

const char *
key_type_name(enum key_type t)
{
	return type_names[t];
}

int
key_payload_check(enum key_type type, const char *desc, size_t len)
{
	if (type == TYPE_KEYRING)
		return len ? -EINVAL : 0;
	/* A logon key's name begins with that of its service. */
	if (type == TYPE_LOGON && (desc[0] == ':' || !strchr(desc, ':')))
		return -EINVAL;
	return len && len <= USER_PAYLOAD_MAX ? 0 : -EINVAL;
}

/* --- quotas --- */

static struct key_user *
user_of(uint32_t uid)
{
	struct key_user *u;

	HASH_FIND(hh, users, &uid, sizeof uid, u);
	if (!u && (u = calloc(1, sizeof *u))) {
		u->uid = uid;
		HASH_ADD(hh, users, uid, sizeof uid, u);
	}
	return u;
}

static void
user_unused(struct key_user *u)
{
	if (u->keys)
		return;
	HASH_DEL(users, u);
	free(u);
}

void
key_users_each(void (*fn)(const struct key_user *u, void *arg), void *arg)
{
	struct key_user *u, *next;

	HASH_ITER(hh, users, u, next)
	fn(u, arg);
}

static bool
has_room(const struct key_user *u, uint32_t keys, uint32_t bytes)
{
	uint64_t maxkeys = (uint32_t)sysctl_get(
			 u->uid ? SYSCTL_KEYS_MAXKEYS : SYSCTL_KEYS_ROOT_MAXKEYS),
		 maxbytes = (uint32_t)sysctl_get(
			 u->uid ? SYSCTL_KEYS_MAXBYTES : SYSCTL_KEYS_ROOT_MAXBYTES);

	return (uint64_t)u->quota_keys + keys <= maxkeys &&
	       (uint64_t)u->quota_bytes + bytes <= maxbytes;
}

int
key_reserve(struct key *k, uint32_t bytes)
{
	uint32_t name = (uint32_t)strlen(k->desc) + 1, now = k->quota - name;

	if (!k->in_quota)
		return 0;
	if (bytes > now && !has_room(k->owner, 0, bytes - now))
		return -EDQUOT;
	k->owner->quota_bytes = k->owner->quota_bytes - now + bytes;
	k->quota = name + bytes;
	return 0;
}

int
key_move_quota(struct key *k, uint32_t uid)
{
	struct key_user *to, *from = k->owner;

	if (uid == k->uid)
		return 0;
	/* Perhaps it counts for that one: a thread's keyring does not when it follows a user. */
	to = user_of(uid);
	if (!to)
		return -ENOMEM;
	if (k->in_quota && !has_room(to, 1, k->quota)) {
		user_unused(to);
		return -EDQUOT;
	}
	if (k->in_quota) {
		from->quota_keys--;
		from->quota_bytes -= k->quota;
		to->quota_keys++;
		to->quota_bytes += k->quota;
	}
	from->keys--;
	to->keys++;
	user_unused(from);
	k->owner = to;
	k->uid = uid;
	return 0;
}

/* --- life --- */

int64_t
key_now(void)
{
	return sched_now_ns() / 1000000000;
}

struct key *
key_by_serial(int32_t serial)
{
	struct key *k;

	HASH_FIND(hh, by_serial, &serial, sizeof serial, k);
	return k;
}

static int32_t
new_serial(void)
{
	int32_t serial;

	do {
		host_random(&serial, sizeof serial);
		serial &= INT32_MAX;
	} while (serial < 3 || key_by_serial(serial));
	return serial;
}

int
key_new(enum key_type type, const char *desc, uint32_t uid, uint32_t gid, const struct cred *c,
	uint32_t perm, unsigned flags, struct key **ret)
{
	uint32_t quota = (uint32_t)strlen(desc) + 1;
	struct key_user *u = user_of(uid);
	struct key *k = u ? calloc(1, sizeof *k) : NULL;

	if (k)
		k->desc = strdup(desc);
	if (!k || !k->desc) {
		free(k);
		if (u)
			user_unused(u);
		return -ENOMEM;
	}
	if (!(flags & KEY_OVERRUN) && !has_room(u, 1, quota)) {
		free(k->desc);
		free(k);
		user_unused(u);
		return -EDQUOT;
	}
	LIVE_INC(KEY);
	k->serial = new_serial();
	k->refs = 1;
	k->type = type;
	k->hash = ring_hash(type, desc);
	k->owner = u;
	k->uid = uid;
	k->gid = gid;
	k->perm = perm;
	k->quota = quota;
	k->in_quota = true;
	k->ns = user_ns_id(c->user_ns);
	u->keys++;
	u->quota_keys++;
	u->quota_bytes += quota;
	list_push_back(&keys_all, &k->all_node);
	if (type == TYPE_KEYRING)
		list_push_back(&keys_all_rings, &k->ring_node);
	HASH_ADD(hh, by_serial, serial, sizeof k->serial, k);
	*ret = k;
	return 0;
}

struct key *
key_get(struct key *k)
{
	k->refs++;
	return k;
}

static void
wipe(struct key *k)
{
	if (k->data)
		explicit_bzero(k->data, k->len);
	free(k->data);
	k->data = NULL;
	k->len = 0;
}

/* Keyrings hold keyrings: what falls with one waits in a chain rather than on the stack. */
void
key_put(struct key *k)
{
	struct key *dead;

	if (!k || --k->refs)
		return;
	k->next_dead = NULL;
	for (dead = k; (k = dead);) {
		dead = k->next_dead;
		for (uint32_t i = 0; i < k->nlinks; i++) {
			struct key *l = k->link[i];

			if (--l->refs)
				continue;
			l->next_dead = dead;
			dead = l;
		}
		list_del(&k->all_node);
		if (k->type == TYPE_KEYRING)
			list_del(&k->ring_node);
		HASH_DEL(by_serial, k);
		k->owner->keys--;
		if (k->in_quota) {
			k->owner->quota_keys--;
			k->owner->quota_bytes -= k->quota;
		}
		user_unused(k->owner);
		wipe(k);
		free(k->link);
		free(k->slot);
		free(k->desc);
		free(k);
		LIVE_DEC(KEY);
	}
}

int
key_payload_set(struct key *k, const void *payload, size_t len)
{
	uint8_t *data;
	int err;

	if (k->type == TYPE_KEYRING)
		return 0;
	data = malloc(len);
	if (!data)
		return -ENOMEM;
	err = key_reserve(k, (uint32_t)len);
	if (err) {
		free(data);
		return err;
	}
	wipe(k);
	memcpy(data, payload, len);
	k->data = data;
	k->len = (uint32_t)len;
	k->expiry_s = k->gone_s = 0;
	return 0;
}

int
key_validate(const struct key *k)
{
	if (k->invalidated)
		return -ENOKEY;
	if (k->revoked)
		return -EKEYREVOKED;
	if (k->expiry_s && key_now() >= k->expiry_s)
		return -EKEYEXPIRED;
	return 0;
}

int
key_permission(struct key_ref r, const struct cred *c, uint32_t want)
{
	const struct key *k = r.key;
	uint32_t p;

	if (k->uid == c->fsuid)
		p = k->perm >> 16;
	else if (k->gid != UINT32_MAX && (k->perm & KP_ALL << 8) && cred_in_group(c, k->gid))
		p = k->perm >> 8;
	else
		p = k->perm;
	if (r.possessed)
		p |= k->perm >> 24;
	return (p & want) == want ? 0 : -EACCES;
}

void
key_do_revoke(struct key *k)
{
	if (k->revoked)
		return;
	k->revoked = true;
	if (k->type == TYPE_KEYRING)
		ring_clear(k);
	else
		wipe(k);
	(void)key_reserve(k, 0);
	k->gone_s = key_now() + (uint32_t)sysctl_get(SYSCTL_KEYS_GC_DELAY);
	if (k->gone_s < next_reap_s)
		next_reap_s = k->gone_s;
}

static bool
is_gone(const struct key *k)
{
	return k->invalidated || (k->gone_s && key_now() >= k->gone_s);
}

/* Out of every keyring, and out of the table of users'. Nothing falls before all have been looked
 * at. */
static void
drop_links_to_gone(void)
{
	struct list victims = LIST_INIT(victims), *n, *next;
	struct key *k;

	list_for_each_entry (k, &keys_all, all_node) {
		for (uint32_t i = k->nlinks; i-- > 0;) {
			if (!is_gone(k->link[i]))
				continue;
			k->link[i]->dropped++;
			ring_take(k, i);
		}
		if (k->of_user && is_gone(k)) {
			rings_let_go(k);
			k->dropped++;
		}
	}
	for (n = keys_all.next; n != &keys_all; n = next) {
		next = n->next;
		if (!list_entry(n, struct key, all_node)->dropped)
			continue;
		list_del(n);
		list_push_back(&victims, n);
	}
	while ((n = list_pop_front(&victims))) {
		k = list_entry(n, struct key, all_node);
		list_push_back(&keys_all, n);
		k->refs -= k->dropped - 1;
		k->dropped = 0;
		key_put(k);
	}
}

void
key_do_invalidate(struct key *k)
{
	k->invalidated = true;
	rings_drop(k);
	if (k->of_user) {
		rings_let_go(k);
		key_put(k);
	}
}

void
keys_reap(void)
{
	int64_t now = key_now();
	struct key *k;

	if (now < next_reap_s)
		return;
	drop_links_to_gone();
	next_reap_s = INT64_MAX;
	list_for_each_entry (k, &keys_all, all_node)
		if (k->gone_s > now && k->gone_s < next_reap_s)
			next_reap_s = k->gone_s;
}

void
key_set_expiry(struct key *k, uint32_t seconds)
{
	k->expiry_s = seconds ? key_now() + seconds : 0;
	k->gone_s = seconds ? k->expiry_s + (uint32_t)sysctl_get(SYSCTL_KEYS_GC_DELAY) : 0;
	if (k->gone_s && k->gone_s < next_reap_s)
		next_reap_s = k->gone_s;
}
