/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System V semaphores (Linux: ipc/sem.c). At every change of a set its waiters are looked through,
 * and what has become possible is done for them there and then: so what happens to the set after
 * that, its removal too, is no matter of theirs.
 *
 * Undo: each process has a list, shared by CLONE_SYSVSEM, with what it owes to each set. An entry
 * holds a reference on the set, not on its namespace: who has the list is in it, or has left it,
 * and then the adjustments are gone with the sets.
 */
#include "sentry/ipc/internal.h"
#include "sentry/sched/fiber.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sem {
	uint16_t value, ncnt, zcnt;
	int32_t pid;
};

struct sem_set {
	struct ipc_set s;
	int64_t otime, ctime;
	struct list undos;   /* what processes owe: struct undo by of_set */
	struct list waiters; /* struct sem_waiter, in the order in which they came */
	uint32_t n;
	struct sem sem[];
};

struct undo {
	struct undo *next;
	struct list of_set;
	struct sem_set *set; /* a reference */
	int16_t adj[];
};

struct sem_undo_list {
	struct ref ref;
	struct ipc_ns *ns; /* a reference: its lock guards the list */
	struct undo *first;
};

static struct sem_set *
set_of(struct ipc_set *s)
{
	return container_of(s, struct sem_set, s);
}

static void
sem_free(struct ipc_set *s)
{
	free(set_of(s));
}

static bool
has_room(const struct ipc_set *s, int nsems)
{
	return (uint32_t)nsems <= container_of(s, struct sem_set, s)->n;
}

/* In all sets. */
static uint64_t
sems_locked(const struct ipc_ns *ns)
{
	uint64_t n = 0;

	for (int i = 0; i < IPC_SLOTS; i++)
		n += ns->sem.slot[i] ? set_of(ns->sem.slot[i])->n : 0;
	return n;
}

int
sem_get(const struct call *c, int32_t key, int nsems, int flags)
{
	struct ipc_ns *ns = c->ipc;
	struct sem_set *set;
	int r;

	if (nsems < 0 || (uint64_t)nsems > ipc_limit_get(ns, IPC_SEMMSL))
		return -EINVAL;
	mutex_lock(&ns->lock);
	r = ipc_by_key_locked(c, &ns->sem, key, flags, has_room, nsems);
	if (r) {
		mutex_unlock(&ns->lock);
		return r > 0 ? r - 1 : r;
	}
	r = -EINVAL;
	set = NULL;
	if (nsems && sems_locked(ns) + (uint64_t)nsems > ns->limit[IPC_SEMMNS]) {
		r = -ENOSPC;
	} else if (nsems) {
		set = calloc(1, sizeof *set + (size_t)nsems * sizeof *set->sem);
		r = -ENOMEM;
	}
	if (set) {
		ref_init(&set->s.ref);
		waitq_init(&set->s.wq);
		set->s.free = sem_free;
		list_init(&set->undos);
		list_init(&set->waiters);
		set->n = (uint32_t)nsems;
		set->ctime = ipc_now();
		ipc_perm_init(c, &set->s.perm, key, flags);
		r = ipc_enter_locked(&ns->sem, &set->s, ns->limit[IPC_SEMMNI]);
	}
	mutex_unlock(&ns->lock);
	if (r < 0 && set)
		ipc_set_put(&set->s);
	return r;
}

int
sem_find(const struct call *c, int id, struct ipc_set **ret)
{
	return ipc_use(c, &c->ipc->sem, id, ret);
}

void
sem_put(struct ipc_set *s)
{
	ipc_set_put(s);
}

struct waitq *
sem_queue(struct ipc_set *s)
{
	return &s->wq;
}

/* --- operations --- */

/* As if done, in `new`. -EAGAIN: it would block at w->num; *may_wait: and may. */
static int
compute(const struct sem_set *set, struct sem_waiter *w, uint16_t *new, bool *may_wait)
{
	const struct lx_sembuf *ops = w->ops;

	for (unsigned i = 0; i < w->n; i++) {
		unsigned before = i;
		int v = set->sem[ops[i].num].value, adj = 0;

		/* an earlier operation on the same one */
		while (before-- > 0) {
			if (ops[before].num == ops[i].num) {
				v = new[before];
				break;
			}
		}
		new[i] = (uint16_t)v;
		if ((ops[i].op == 0 && v) || v + ops[i].op < 0) {
			w->num = ops[i].num;
			w->for_zero = ops[i].op == 0;
			*may_wait = !(ops[i].flg & LX_IPC_NOWAIT);
			return -EAGAIN;
		}
		if (v + ops[i].op > SEM_VMX)
			return -ERANGE;
		if (w->undo && (ops[i].flg & LX_SEM_UNDO)) {
			adj = w->undo->adj[ops[i].num] - ops[i].op;
			if (adj < -SEM_VMX - 1 || adj > SEM_VMX)
				return -ERANGE;
		}
		new[i] = (uint16_t)(v + ops[i].op);
	}
	return 0;
}

/* All or none. */
static int
perform_locked(struct sem_set *set, struct sem_waiter *w, bool *may_wait)
{
	uint16_t new[SEM_OPM_MAX];
	int r = compute(set, w, new, may_wait);

	if (r)
		return r;
	for (unsigned i = 0; i < w->n; i++) {
		const struct lx_sembuf *o = &w->ops[i];

		set->sem[o->num].value = new[i];
		set->sem[o->num].pid = w->tgid;
		if (w->undo && (o->flg & LX_SEM_UNDO))
			w->undo->adj[o->num] = (int16_t)(w->undo->adj[o->num] - o->op);
	}
	set->otime = ipc_now();
	return 0;
}

static void
count_locked(struct sem_set *set, const struct sem_waiter *w, int by)
{
	struct sem *sem = &set->sem[w->num];

	if (w->for_zero)
		sem->zcnt = (uint16_t)(sem->zcnt + by);
	else
		sem->ncnt = (uint16_t)(sem->ncnt + by);
}

/* Look at one that waits. True: it is done, and does not any more. */
static bool
settle_locked(struct sem_set *set, struct sem_waiter *w)
{
	bool may_wait = false;
	int r;

	count_locked(set, w, -1);
	r = perform_locked(set, w, &may_wait);
	if (r == -EAGAIN && may_wait) {
		count_locked(set, w, 1); /* maybe at another semaphore */
		return false;
	}
	list_del(&w->node);
	w->result = r;
	w->done = true;
	fiber_wake(w->fiber);
	return true;
}

static void
settle_zeros_locked(struct sem_set *set)
{
	struct sem_waiter *w, *next;

	list_for_each_entry_safe (w, next, &set->waiters, node)
		if (!w->alters)
			settle_locked(set, w);
}

/* Could what it did let one go on that was passed by? */
static bool
frees_others(const struct sem_waiter *w)
{
	for (unsigned i = 0; i < w->n; i++)
		if (w->ops[i].op > 0)
			return true;
	return false;
}

/* The first of those after `at` that changes the set; NULL: none. */
static struct sem_waiter *
next_altering(const struct sem_set *set, const struct list *at)
{
	for (at = at->next; at != &set->waiters; at = at->next) {
		struct sem_waiter *w = list_entry(at, struct sem_waiter, node);

		if (w->alters)
			return w;
	}
	return NULL;
}

/* The set has changed. Those that wait for zero come first, then who came first. */
static void
changed_locked(struct sem_set *set)
{
	struct sem_waiter *w = next_altering(set, &set->waiters), *next;

	for (settle_zeros_locked(set); w; w = next) {
		bool frees = frees_others(w) || w->n > 1;

		next = next_altering(set, &w->node);
		if (!settle_locked(set, w))
			continue;
		settle_zeros_locked(set);
		if (frees)
			next = next_altering(set, &set->waiters);
	}
}

/* --- undo --- */

static bool
undo_list_make(const struct call *c, struct sem_undo_list **l)
{
	if (*l)
		return true;
	*l = calloc(1, sizeof **l);
	if (!*l)
		return false;
	ref_init(&(*l)->ref);
	(*l)->ns = ipc_ns_get(c->ipc);
	return true;
}

struct sem_undo_list *
sem_undo_share(const struct call *c, struct sem_undo_list **l)
{
	if (!undo_list_make(c, l))
		return NULL;
	ref_get(&(*l)->ref);
	return *l;
}

static void
undo_one_locked(struct undo *u, int32_t tgid)
{
	struct sem_set *set = u->set;

	list_del(&u->of_set);
	if (set->s.removed)
		return;
	for (uint32_t i = 0; i < set->n; i++) {
		int v = set->sem[i].value + u->adj[i];

		if (!u->adj[i])
			continue;
		set->sem[i].value = (uint16_t)(v < 0 ? 0 : v > SEM_VMX ? SEM_VMX : v);
		set->sem[i].pid = tgid;
	}
	set->otime = ipc_now();
	changed_locked(set);
}

void
sem_undo_put(struct sem_undo_list *l, int32_t tgid)
{
	struct undo *u, *next;

	if (!l || !ref_put(&l->ref))
		return;
	for (u = l->first; u; u = next) {
		next = u->next;
		mutex_lock(&l->ns->lock);
		undo_one_locked(u, tgid);
		mutex_unlock(&l->ns->lock);
		ipc_set_put(&u->set->s);
		free(u);
	}
	ipc_ns_put(l->ns);
	free(l);
}

static struct undo *
undo_for_locked(const struct call *c, struct sem_set *set, struct sem_undo_list **l)
{
	struct undo *u, **at;

	if (!undo_list_make(c, l))
		return NULL;
	if ((*l)->ns != c->ipc)
		return NULL; /* it has come from another namespace, which unshare forbids */
	for (at = &(*l)->first; (u = *at);) {
		if (u->set == set)
			return u;
		if (!u->set->s.removed) {
			at = &u->next;
			continue;
		}
		/* nothing is owed to it any more */
		*at = u->next;
		list_del(&u->of_set);
		ipc_set_put(&u->set->s);
		free(u);
	}
	u = calloc(1, sizeof *u + set->n * sizeof *u->adj);
	if (u) {
		ref_get(&set->s.ref);
		u->set = set;
		list_push_back(&set->undos, &u->of_set);
		u->next = (*l)->first;
		(*l)->first = u;
	}
	return u;
}

/* SETVAL and SETALL forget what is owed, by all. */
static void
forget_undo_locked(struct sem_set *set, int num)
{
	struct undo *u;

	list_for_each_entry (u, &set->undos, of_set)
		for (uint32_t i = 0; i < set->n; i++)
			if (num < 0 || (int)i == num)
				u->adj[i] = 0;
}

/* --- semop --- */

static int
check_ops(const struct call *c, const struct sem_set *set, struct sem_waiter *w, bool *undo)
{
	*undo = w->alters = false;
	for (unsigned i = 0; i < w->n; i++) {
		if (w->ops[i].num >= set->n)
			return -EFBIG;
		w->alters |= w->ops[i].op != 0;
		*undo |= w->ops[i].op && (w->ops[i].flg & LX_SEM_UNDO);
	}
	return ipc_may(c, &set->s.perm, w->alters ? 0222 : 0444) ? 0 : -EACCES;
}

int
sem_try(const struct call *c, struct ipc_set *s, struct sem_waiter *w, struct sem_undo_list **undo)
{
	struct sem_set *set = set_of(s);
	bool wants_undo, may_wait = false;
	int r;

	list_init(&w->node);
	w->tgid = c->tgid;
	w->undo = NULL;
	w->done = false;
	mutex_lock(&c->ipc->lock);
	r = s->removed ? -EIDRM : check_ops(c, set, w, &wants_undo);
	if (!r && wants_undo && !(w->undo = undo_for_locked(c, set, undo)))
		r = -ENOMEM;
	if (!r) {
		r = perform_locked(set, w, &may_wait);
		if (!r && w->alters)
			changed_locked(set);
	}
	if (r == -EAGAIN && may_wait) {
		list_push_back(&set->waiters, &w->node);
		count_locked(set, w, 1);
		r = -EINPROGRESS;
	}
	mutex_unlock(&c->ipc->lock);
	return r;
}

int
sem_give_up(const struct call *c, struct ipc_set *s, struct sem_waiter *w, int err)
{
	mutex_lock(&c->ipc->lock);
	if (w->done)
		err = w->result;
	else if (s->removed)
		err = -EIDRM;
	if (err != -EINPROGRESS && !w->done) {
		list_del(&w->node);
		count_locked(set_of(s), w, -1);
	}
	mutex_unlock(&c->ipc->lock);
	return err;
}

int
sem_waited(const struct call *c, struct ipc_set *s, struct sem_waiter *w)
{
	return sem_give_up(c, s, w, -EINPROGRESS);
}

/* --- semctl --- */

int
sem_stat(const struct call *c, int id, int cmd, struct lx_semid_ds *ret, int *ret_id)
{
	struct ipc_set *s;
	int r;

	mutex_lock(&c->ipc->lock);
	r = ipc_look_locked(c, &c->ipc->sem, id, cmd != LX_IPC_STAT, cmd == LX_SEM_STAT_ANY, &s);
	if (!r) {
		const struct sem_set *set = set_of(s);

		*ret = (struct lx_semid_ds){
			.perm = s->perm, .otime = set->otime, .ctime = set->ctime, .nsems = set->n};
		*ret_id = s->id;
	}
	mutex_unlock(&c->ipc->lock);
	return r;
}

int
sem_set(const struct call *c, int id, const struct lx_semid_ds *ds)
{
	struct ipc_set *s;
	int r = 0;

	mutex_lock(&c->ipc->lock);
	s = ipc_find_locked(&c->ipc->sem, id);
	if (!s)
		r = -EINVAL;
	else if (!ipc_owns(c, &s->perm))
		r = -EPERM;
	else
		r = ipc_perm_set(&s->perm, &ds->perm);
	if (!r)
		set_of(s)->ctime = ipc_now();
	mutex_unlock(&c->ipc->lock);
	return r;
}

int
sem_remove(const struct call *c, int id)
{
	return ipc_remove(c, &c->ipc->sem, id);
}

/* The set, with the right to read, or to write. */
static int
look_locked(const struct call *c, int id, bool write, struct sem_set **ret)
{
	struct ipc_set *s = ipc_find_locked(&c->ipc->sem, id);

	if (!s)
		return -EINVAL;
	*ret = set_of(s);
	return ipc_may(c, &s->perm, write ? 0222 : 0444) ? 0 : -EACCES;
}

int
sem_value(const struct call *c, int id, int num, int cmd)
{
	struct sem_set *set;
	int r;

	mutex_lock(&c->ipc->lock);
	r = look_locked(c, id, false, &set);
	if (!r && (num < 0 || (uint32_t)num >= set->n))
		r = -EINVAL;
	if (!r) {
		const struct sem *s = &set->sem[num];

		r = cmd == LX_GETVAL	? s->value
		    : cmd == LX_GETPID	? s->pid
		    : cmd == LX_GETNCNT ? s->ncnt
					: s->zcnt;
	}
	mutex_unlock(&c->ipc->lock);
	return r;
}

int
sem_set_value(const struct call *c, int id, int num, int value)
{
	struct sem_set *set;
	int r;

	if (value < 0 || value > SEM_VMX)
		return -ERANGE;
	mutex_lock(&c->ipc->lock);
	r = look_locked(c, id, true, &set);
	if (r == -EACCES && (num < 0 || (uint32_t)num >= set->n))
		r = -EINVAL;
	if (!r && (num < 0 || (uint32_t)num >= set->n))
		r = -EINVAL;
	if (!r) {
		forget_undo_locked(set, num);
		set->sem[num].value = (uint16_t)value;
		set->sem[num].pid = c->tgid;
		set->ctime = ipc_now();
		changed_locked(set);
	}
	mutex_unlock(&c->ipc->lock);
	return r;
}

int
sem_count(const struct call *c, int id)
{
	struct ipc_set *s;
	int r;

	mutex_lock(&c->ipc->lock);
	s = ipc_find_locked(&c->ipc->sem, id);
	r = s ? (int)set_of(s)->n : -EINVAL;
	mutex_unlock(&c->ipc->lock);
	return r;
}

int
sem_all(const struct call *c, int id, uint16_t *values, int n, bool write)
{
	struct sem_set *set;
	int r;

	mutex_lock(&c->ipc->lock);
	r = look_locked(c, id, write, &set);
	if (!r && set->n != (uint32_t)n)
		r = -EIDRM;
	for (int i = 0; i < n && !r && write; i++)
		if (values[i] > SEM_VMX)
			r = -ERANGE;
	for (int i = 0; i < n && !r; i++) {
		if (!write) {
			values[i] = set->sem[i].value;
			continue;
		}
		set->sem[i].value = values[i];
		set->sem[i].pid = c->tgid;
	}
	if (!r && write) {
		forget_undo_locked(set, -1);
		set->ctime = ipc_now();
		changed_locked(set);
	}
	mutex_unlock(&c->ipc->lock);
	return r;
}

int
sem_usage(const struct call *c, int *sets, int *sems)
{
	int highest = 0;

	*sets = *sems = 0;
	mutex_lock(&c->ipc->lock);
	for (int i = 0; i < IPC_SLOTS; i++) {
		struct ipc_set *s = c->ipc->sem.slot[i];

		if (!s)
			continue;
		highest = i;
		(*sets)++;
		*sems += (int)set_of(s)->n;
	}
	mutex_unlock(&c->ipc->lock);
	return highest;
}
