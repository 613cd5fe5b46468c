/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_IPC_INTERNAL_H
#define SENTRY_IPC_INTERNAL_H

#include "base/lock.h"
#include "base/ref.h"
#include "sentry/ipc/ipc.h"
#include "sentry/ipc/shm.h"

#define IPC_ID_STEP 32768 /* an id is index + IPC_ID_STEP * sequence number */
#define IPC_SLOTS   4096  /* of each kind */

struct segment;
struct super;
struct mount;
struct ipc_set;

/* What semaphore sets and message queues have in common: a number, a key, an owner. */
struct ipc_kind {
	struct ipc_set *slot[IPC_SLOTS];
	uint32_t count;
	uint16_t seq;
};

struct ipc_set {
	struct ref ref; /* the table's, and one for each that uses it */
	int id;		/* constant */
	struct lx_ipc_perm perm;
	bool removed;
	struct waitq wq; /* notified at every change */
	void (*free)(struct ipc_set *s);
};

struct ipc_ns {
	struct ref ref;
	struct user_ns *user_ns; /* a reference, or NULL */
	uint32_t counted;	 /* (C) for whom; sentry/cred/ucount.h */
	uint64_t id;
	struct mutex lock; /* rank FS: all below, and the sets */
	uint64_t limit[IPC_LIMITS];
	struct segment *shm[SHM_MAX_SEGMENTS];
	uint16_t shm_seq;
	_Atomic uint32_t shm_owned; /* segments whose creator is there; changed under lock */
	struct ipc_kind sem, msg;
	struct super *mq_sb; /* POSIX queues: a reference, or NULL: none so far */
	struct mount *mq_mnt;
};

int64_t ipc_now(void);
/* ipcperms() of Linux: want holds owner-style permission bits (0600, 0400). */
bool ipc_may(const struct call *c, const struct lx_ipc_perm *p, uint32_t want);
bool ipc_owns(const struct call *c, const struct lx_ipc_perm *p);
void ipc_perm_init(const struct call *c, struct lx_ipc_perm *p, int32_t key, int flags);
/* -EINVAL: n's owner is nobody. */
int ipc_perm_set(struct lx_ipc_perm *p, const struct lx_ipc_perm *n);

/* The namespace's lock is held. */
struct ipc_set *ipc_find_locked(struct ipc_kind *k, int id);
/* By number, or (by_index) by place in the table; with the right to read unless any. */
int ipc_look_locked(const struct call *c, struct ipc_kind *k, int id, bool by_index, bool any,
	struct ipc_set **ret);
/* The one with this key. 0: none, and one is to be made; its id + 1; -errno. check may be NULL. */
int ipc_by_key_locked(const struct call *c, struct ipc_kind *k, int32_t key, int flags,
	bool (*check)(const struct ipc_set *s, int arg), int arg);
/* Enter s, whose perm is filled: its id, or -ENOSPC. max: how many there can be. */
int ipc_enter_locked(struct ipc_kind *k, struct ipc_set *s, uint64_t max);
/* Take it out of the table; the caller drops the table's reference after unlocking. */
void ipc_take_out_locked(struct ipc_kind *k, struct ipc_set *s);
void ipc_set_put(struct ipc_set *s);
int ipc_use(const struct call *c, struct ipc_kind *k, int id, struct ipc_set **ret);
int ipc_remove(const struct call *c, struct ipc_kind *k, int id);

/* Segments of that creator, who goes, or (0) of those who are gone: without attachments they go if
 * IPC_SHM_RMID_FORCED is set. */
void shm_drop_orphans(struct ipc_ns *ns, int32_t creator);
void shm_ns_gone(struct ipc_ns *ns);

#endif
