/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside keys/. One lock, keys_lock, guards everything; no call parks while it has it.
 *
 * A key lives by references: a link in a keyring, a task's keyring pointers, the table of the
 * keyrings of users; and while keys_lock is held, by what an operation has looked up. Nobody keeps
 * one beyond it otherwise. Keyrings form no circle (a link that would close one is refused), so
 * counting is enough.
 */
#ifndef SENTRY_KEYS_INTERNAL_H
#define SENTRY_KEYS_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "sentry/cred/user_ns.h"
#include "sentry/keys/keys.h"
#include "sentry/sysctl/sysctl.h"
#include <uthash.h>

/* Permission bits; shifted left by 24 for the possessor, 16 for the owner, 8 for the group. */
#define KP_VIEW	   0x01u
#define KP_READ	   0x02u
#define KP_WRITE   0x04u
#define KP_SEARCH  0x08u
#define KP_LINK	   0x10u
#define KP_SETATTR 0x20u
#define KP_ALL	   0x3fu
#define POS(p)	   ((uint32_t)(p) << 24)
#define USR(p)	   ((uint32_t)(p) << 16)

#define SPEC_THREAD	  -1
#define SPEC_PROCESS	  -2
#define SPEC_SESSION	  -3
#define SPEC_USER	  -4
#define SPEC_USER_SESSION -5
#define SPEC_GROUP	  -6

#define LINK_BYTES 4u /* that a link counts for */
#define RING_DEPTH 6  /* keyrings in keyrings that a search goes into */

enum key_type { TYPE_USER, TYPE_LOGON, TYPE_KEYRING, TYPE_COUNT };

struct key_user {
	uint32_t uid;
	uint32_t keys, quota_keys, quota_bytes;
	UT_hash_handle hh;
};

struct key {
	int32_t serial;
	uint32_t refs;
	enum key_type type;
	char *desc;
	struct key_user *owner;	 /* counts it; by uid */
	uint32_t uid, gid, perm; /* ids as in the first user namespace */
	int64_t expiry_s;	 /* on the clock of key_now; 0: never */
	int64_t gone_s; /* when what is left of a revoked or expired one goes; 0: not yet due */
	bool revoked, invalidated, in_quota;
	bool uid_ring;		    /* a user's or user-session keyring */
	bool restricted;	    /* takes no links any more */
	struct user_rings *of_user; /* the row of the users' table that has it, or NULL */
	uint64_t ns;		    /* keyrings: the user namespace where its name can be joined */
	uint32_t quota;		    /* bytes that it counts for */
	uint8_t *data;
	uint32_t len;	   /* of data */
	struct key **link; /* keyrings first */
	uint32_t nlinks, nrings, room;
	uint32_t *slot;	  /* where in `link` a name is, by its hash; ring.c */
	uint32_t hash;	  /* of type and name */
	uint64_t mark;	  /* rings_mark */
	uint32_t dropped; /* links that are being taken away */
	uint64_t seen;	  /* number of the last walk that came here, and */
	int seen_depth;	  /* how deep */
	struct key *next_dead;
	struct list all_node, ring_node; /* keyrings: the latter too */
	UT_hash_handle hh;		 /* by serial */
};

/* A key, and whether the caller possesses it. */
struct key_ref {
	struct key *key;
	bool possessed;
};

/* Keyrings of users have no group. */
static inline int
key_gid_out(const struct user_ns *ns, const struct key *k)
{
	return (int)(k->gid == UINT32_MAX ? (uint32_t)sysctl_get(SYSCTL_OVERFLOWGID)
					  : gid_out(ns, k->gid));
}

extern struct mutex keys_lock;
extern struct list keys_all;	   /* struct key by all_node */
extern struct list keys_all_rings; /* struct key by ring_node */

/* --- key.c --- */
int key_type_of(const char *name); /* enum key_type or -1 */
const char *key_type_name(enum key_type t);
int64_t key_now(void); /* seconds */
/* A new key with one reference. -EDQUOT, -ENOMEM. overrun: it may exceed the quota. */
#define KEY_OVERRUN 1u
int key_new(enum key_type type, const char *desc, uint32_t uid, uint32_t gid, const struct cred *c,
	uint32_t perm, unsigned flags, struct key **ret);
struct key *key_get(struct key *k);
void key_put(struct key *k); /* NULL is fine */
/* What an operation has found stays until it ends, whatever becomes of the links to it. */
static inline void
key_ref_release(struct key_ref *r)
{
	key_put(r->key);
}
#define HELD __attribute__((cleanup(key_ref_release)))
struct key *key_by_serial(int32_t serial);	/* borrowed, or NULL */
int key_reserve(struct key *k, uint32_t bytes); /* it counts for so many beside its name: -EDQUOT */
int key_move_quota(struct key *k, uint32_t uid); /* -EDQUOT, -ENOMEM */
int key_payload_check(enum key_type type, const char *desc, size_t len);
int key_payload_set(struct key *k, const void *payload, size_t len);
int key_validate(const struct key *k); /* -ENOKEY, -EKEYREVOKED, -EKEYEXPIRED */
int key_permission(struct key_ref r, const struct cred *c, uint32_t want); /* -EACCES */
void key_set_expiry(struct key *k, uint32_t seconds);			   /* 0: never */
void key_do_revoke(struct key *k);
void key_do_invalidate(struct key *k); /* the caller has a reference */
void keys_reap(void);		       /* drop what is left of those that ended long ago */
void key_users_each(void (*fn)(const struct key_user *u, void *arg), void *arg);

/* --- ring.c --- */
int ring_link(struct key *ring, struct key *k); /* displaces one of that name; -EDQUOT, -EDEADLK */
int ring_unlink(struct key *ring, struct key *k); /* -ENOENT */
void ring_clear(struct key *ring);
uint32_t ring_hash(enum key_type type, const char *desc); /* what finds a key in a keyring */
struct key *ring_find(const struct key *ring, enum key_type type, const char *desc);
bool ring_has(const struct key *ring, const struct key *k);
/* Without the link at this place; its reference goes to the caller. Those before stay. */
void ring_take(struct key *ring, uint32_t at);
/* k, of which the caller has a reference, out of all. */
void rings_drop(struct key *k);
/* Below ring: -EAGAIN: nothing; else the reason why what was found is of no use. */
int ring_search(struct key_ref ring, const struct cred *c, enum key_type type, const char *desc,
	struct key_ref *ret);
/* In all that the caller has. */
int rings_search(
	const struct key_caller *k, enum key_type type, const char *desc, struct key_ref *ret);
/* All that the caller possesses has the result as its mark. */
uint64_t rings_mark(const struct key_caller *k);
bool rings_possess(const struct key_caller *k, const struct key *key);

/* --- lookup.c --- */
#define LOOKUP_CREATE	 1u
#define LOOKUP_UNCHECKED 2u /* neither permission nor state */
#define LOOKUP_UNLINK	 4u /* the same, whatever its state */
/* *ret is a reference. */
int key_lookup(
	const struct key_caller *k, int32_t id, unsigned flags, uint32_t want, struct key_ref *ret);
/* A user's, made where they are missing. Borrowed. -ENOKEY: one ended not long ago, or there is no
 * room. */
int rings_of_user(const struct cred *c, struct key **ret_user, struct key **ret_session);
/* k is its user's no more; the reference goes to the caller. */
void rings_let_go(struct key *k);
struct key *session_of_user(const struct cred *c); /* borrowed; NULL: none that is of use */
int ring_persistent(const struct cred *c, uint32_t uid, struct key **ret); /* borrowed */
int session_new(const struct key_caller *k);
int thread_ring(const struct key_caller *k);
int process_ring(const struct key_caller *k);

#endif
