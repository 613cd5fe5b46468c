/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V semaphores and message queues (semop(2), msgop(2)), and the namespace in which they, and
 * shared memory, have their numbers and keys. Nothing here sleeps: what would block says -EAGAIN,
 * and the caller waits in the queue that it was given.
 */
#ifndef SENTRY_IPC_IPC_H
#define SENTRY_IPC_IPC_H

#include "abi/ipc.h"
#include "sentry/cred/cred.h"
#include "sentry/sched/waitq.h"
#include <stdbool.h>

struct ipc_ns;
struct user_ns;
struct ipc_set;
struct sem_undo_list;
struct undo;
struct fiber;

/* owner: whose capabilities rule it (NULL: the first user namespace). counted: for whom it was
 * taken (sentry/cred/ucount.h); it is given back, on failure too. NULL: out of memory. */
struct ipc_ns *ipc_ns_new(struct user_ns *owner, uint32_t counted);
/* The one that the sandbox begins with; borrowed. NULL: out of memory. */
struct ipc_ns *ipc_ns_first(void);
uint64_t ipc_ns_id(const struct ipc_ns *ns);
struct user_ns *ipc_ns_owner(const struct ipc_ns *ns); /* borrowed */
struct ipc_ns *ipc_ns_get(struct ipc_ns *ns);
void ipc_ns_put(struct ipc_ns *ns); /* the last one takes everything with it */

/* --- limits: base/ipc_sysctl.def --- */
enum ipc_limit {
#define IPC_LIMIT(which, standard, low, high) IPC_##which,
#include "base/ipc_sysctl.def"
#undef IPC_LIMIT
	IPC_LIMITS
};
uint64_t ipc_limit_get(struct ipc_ns *ns, enum ipc_limit which);
/* -EINVAL: out of its range. What is there already stays. */
int ipc_limit_set(struct ipc_ns *ns, enum ipc_limit which, uint64_t v);

/* --- semaphores; c->ipc is the namespace --- */
#define SEM_VMX	    32767
#define SEM_OPM_MAX 500 /* IPC_SEMOPM is no higher */

int sem_get(const struct call *c, int32_t key, int nsems, int flags);
/* One that is to be operated on: a reference that sem_put drops; -EINVAL. */
int sem_find(const struct call *c, int id, struct ipc_set **ret);
void sem_put(struct ipc_set *s);
/* Notified when the set is removed. */
struct waitq *sem_queue(struct ipc_set *s);

/* Who waits for a set: as in Linux, what it waits for is done for it by who makes it possible. */
struct sem_waiter {
	struct fiber *fiber; /* filled in by the caller, as are ops and n: woken when done */
	const struct lx_sembuf *ops; /* n of them, borrowed */
	unsigned n;
	/* under the namespace's lock, until it is done */
	struct list node;
	struct undo *undo; /* or NULL */
	int32_t tgid;
	uint16_t num; /* the semaphore that it waits for */
	bool for_zero, alters, done;
	int result;
};
/* All the operations or none: 0, -EAGAIN (would block, and is not to), -EFBIG, -EACCES, -ERANGE,
 * -EIDRM, -ENOMEM. *undo: the caller's list, made if it is needed. -EINPROGRESS: w waits until
 * sem_waited says something else, or sem_give_up was called. */
int sem_try(
	const struct call *c, struct ipc_set *s, struct sem_waiter *w, struct sem_undo_list **undo);
int sem_waited(const struct call *c, struct ipc_set *s, struct sem_waiter *w);
/* What became of it after all, or err. */
int sem_give_up(const struct call *c, struct ipc_set *s, struct sem_waiter *w, int err);

int sem_stat(const struct call *c, int id, int cmd, struct lx_semid_ds *ret, int *ret_id);
int sem_set(const struct call *c, int id, const struct lx_semid_ds *ds);
int sem_remove(const struct call *c, int id);
/* GETVAL GETPID GETNCNT GETZCNT; the value. */
int sem_value(const struct call *c, int id, int num, int cmd);
/* What anybody owes to it is forgotten. */
int sem_set_value(const struct call *c, int id, int num, int value);
/* GETALL into, or SETALL from (as sem_set_value), n values; n is that of sem_count. */
int sem_count(const struct call *c, int id);
int sem_all(const struct call *c, int id, uint16_t *values, int n, bool set);
int sem_usage(const struct call *c, int *sets, int *sems); /* the highest index in use */

/* A reference for another task; *l is made if there is none. NULL: out of memory. */
struct sem_undo_list *sem_undo_share(const struct call *c, struct sem_undo_list **l);
void sem_undo_put(struct sem_undo_list *l, int32_t tgid); /* the last one: undoes */

/* --- message queues --- */

int msg_get(const struct call *c, int32_t key, int flags);
int msg_find(const struct call *c, int id, struct ipc_set **ret);
void msg_put(struct ipc_set *q);
struct waitq *msg_queue(struct ipc_set *q);
/* Consumes text on success. -EAGAIN: full. -EACCES, -EIDRM. */
int msg_send(const struct call *c, struct ipc_set *q, int64_t type, void *text, size_t len);
/* Who receives; as in Linux it is given a message by who sends one, if it waits already. */
struct msg_receiver {
	struct fiber *fiber; /* filled in by the caller, down to max: woken when done */
	int64_t type;
	int flags;
	size_t max;
	/* what there was, when the result is 0 */
	int64_t got_type;
	void *text; /* the caller's to free */
	size_t len;
	/* under the namespace's lock, until it is done */
	struct list node;
	int32_t tgid;
	bool done;
	int result;
};
/* The first that fits: 0. -ENOMSG: none now, with IPC_NOWAIT; -E2BIG, -EACCES, -EIDRM.
 * -EINPROGRESS: r waits until msg_received says something else, or msg_give_up was called;
 * -EAGAIN of those: it is to be tried anew. */
int msg_receive(const struct call *c, struct ipc_set *q, struct msg_receiver *r);
int msg_received(const struct call *c, struct ipc_set *q, struct msg_receiver *r);
/* What became of it after all, or err. */
int msg_give_up(const struct call *c, struct ipc_set *q, struct msg_receiver *r, int err);
int msg_stat(const struct call *c, int id, int cmd, struct lx_msqid_ds *ret, int *ret_id);
int msg_set(const struct call *c, int id, const struct lx_msqid_ds *ds);
int msg_remove(const struct call *c, int id);
int msg_usage(const struct call *c, int *queues, int *messages, int *bytes);

#endif
