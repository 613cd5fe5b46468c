/* SPDX-License-Identifier: Apache-2.0 */
/* What the kinds of System V IPC share: namespaces, numbers and keys, permissions (Linux:
 * ipc/util.c). */
#include "sentry/cred/ucount.h"
#include "sentry/ipc/internal.h"
#include "sentry/ipc/mqueue.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>

static const struct {
	uint64_t standard, low, high;
} limits[IPC_LIMITS] = {
#define IPC_LIMIT(which, standard, low, high) {standard, low, high},
#include "base/ipc_sysctl.def"
#undef IPC_LIMIT
};

struct ipc_ns *
ipc_ns_new(struct user_ns *owner, uint32_t counted)
{
	struct ipc_ns *ns = calloc(1, sizeof *ns);

	if (!ns) {
		ucount_give(owner, counted, UCOUNT_IPC);
		return NULL;
	}
	ref_init(&ns->ref);
	mutex_init(&ns->lock, LR_FS);
	ns->user_ns = user_ns_get(owner);
	ns->counted = counted;
	ns->id = ns_id_new();
	for (int i = 0; i < IPC_LIMITS; i++)
		ns->limit[i] = limits[i].standard;
	return ns;
}

struct ipc_ns *
ipc_ns_first(void)
{
	static struct ipc_ns *first;
	static struct mutex lock = MUTEX_INIT(FS);

	mutex_lock(&lock);
	if (!first)
		first = ipc_ns_new(NULL, UCOUNT_NOBODY);
	mutex_unlock(&lock);
	return first;
}

uint64_t
ipc_ns_id(const struct ipc_ns *ns)
{
	return ns->id;
}

struct user_ns *
ipc_ns_owner(const struct ipc_ns *ns)
{
	return ns->user_ns;
}

uint64_t
ipc_limit_get(struct ipc_ns *ns, enum ipc_limit which)
{
	uint64_t v;

	mutex_lock(&ns->lock);
	v = ns->limit[which];
	mutex_unlock(&ns->lock);
	return v;
}

int
ipc_limit_set(struct ipc_ns *ns, enum ipc_limit which, uint64_t v)
{
	if (v < limits[which].low || v > limits[which].high)
		return -EINVAL;
	mutex_lock(&ns->lock);
	ns->limit[which] = v;
	mutex_unlock(&ns->lock);
	if (which == IPC_SHM_RMID_FORCED && v)
		shm_drop_orphans(ns, 0);
	return 0;
}

struct ipc_ns *
ipc_ns_get(struct ipc_ns *ns)
{
	ref_get(&ns->ref);
	return ns;
}

static void
drop_all(struct ipc_ns *ns, struct ipc_kind *k)
{
	for (int i = 0; i < IPC_SLOTS; i++) {
		struct ipc_set *s = k->slot[i];

		if (!s)
			continue;
		mutex_lock(&ns->lock);
		ipc_take_out_locked(k, s);
		mutex_unlock(&ns->lock);
		ipc_set_put(s);
	}
}

void
ipc_ns_put(struct ipc_ns *ns)
{
	if (!ns || !ref_put(&ns->ref))
		return;
	drop_all(ns, &ns->sem);
	drop_all(ns, &ns->msg);
	shm_ns_gone(ns);
	mq_ns_gone(ns->mq_sb, ns->mq_mnt);
	mutex_destroy(&ns->lock);
	ucount_give(ns->user_ns, ns->counted, UCOUNT_IPC);
	user_ns_put(ns->user_ns);
	free(ns);
}

int64_t
ipc_now(void)
{
	return time(NULL);
}

bool
ipc_may(const struct call *c, const struct lx_ipc_perm *p, uint32_t want)
{
	const struct cred *k = c->cred;
	uint32_t mode = p->mode, need = (want >> 6 | want >> 3 | want) & 7;

	if (k->euid == p->uid || k->euid == p->cuid)
		mode >>= 6;
	else if (cred_in_egroup(k, p->gid) || cred_in_egroup(k, p->cgid))
		mode >>= 3;
	return !(need & ~mode & 7) || cred_capable_in(k, c->ipc->user_ns, LX_CAP_IPC_OWNER);
}

bool
ipc_owns(const struct call *c, const struct lx_ipc_perm *p)
{
	return c->cred->euid == p->uid || c->cred->euid == p->cuid ||
	       cred_capable_in(c->cred, c->ipc->user_ns, LX_CAP_SYS_ADMIN);
}

void
ipc_perm_init(const struct call *c, struct lx_ipc_perm *p, int32_t key, int flags)
{
	*p = (struct lx_ipc_perm){.key = key,
		.uid = c->cred->euid,
		.gid = c->cred->egid,
		.cuid = c->cred->euid,
		.cgid = c->cred->egid,
		.mode = (uint16_t)(flags & 0777)};
}

int
ipc_perm_set(struct lx_ipc_perm *p, const struct lx_ipc_perm *n)
{
	if (n->uid == UINT32_MAX || n->gid == UINT32_MAX)
		return -EINVAL;
	p->uid = n->uid;
	p->gid = n->gid;
	p->mode = (uint16_t)((p->mode & ~0777) | (n->mode & 0777));
	return 0;
}

struct ipc_set *
ipc_find_locked(struct ipc_kind *k, int id)
{
	struct ipc_set *s = id >= 0 ? k->slot[id % IPC_ID_STEP % IPC_SLOTS] : NULL;

	return s && s->id == id ? s : NULL;
}

int
ipc_look_locked(const struct call *c, struct ipc_kind *k, int id, bool by_index, bool any,
	struct ipc_set **ret)
{
	struct ipc_set *s =
		by_index ? id >= 0 && id < IPC_SLOTS ? k->slot[id] : NULL : ipc_find_locked(k, id);

	if (!s)
		return -EINVAL;
	if (!any && !ipc_may(c, &s->perm, 0444))
		return -EACCES;
	*ret = s;
	return 0;
}

int
ipc_by_key_locked(const struct call *c, struct ipc_kind *k, int32_t key, int flags,
	bool (*check)(const struct ipc_set *s, int arg), int arg)
{
	if (key == LX_IPC_PRIVATE)
		return 0;
	for (int i = 0; i < IPC_SLOTS; i++) {
		struct ipc_set *s = k->slot[i];

		if (!s || s->perm.key != key)
			continue;
		if ((flags & LX_IPC_CREAT) && (flags & LX_IPC_EXCL))
			return -EEXIST;
		if (check && !check(s, arg))
			return -EINVAL;
		return ipc_may(c, &s->perm, (uint32_t)flags & 0777) ? s->id + 1 : -EACCES;
	}
	return flags & LX_IPC_CREAT ? 0 : -ENOENT;
}

int
ipc_enter_locked(struct ipc_kind *k, struct ipc_set *s, uint64_t max)
{
	for (int i = 0; i < IPC_SLOTS && k->count < max; i++) {
		if (k->slot[i])
			continue;
		s->perm.seq = k->seq;
		s->id = i + IPC_ID_STEP * k->seq;
		k->seq = (uint16_t)((k->seq + 1) % (INT32_MAX / IPC_ID_STEP));
		k->slot[i] = s;
		k->count++;
		return s->id;
	}
	return -ENOSPC;
}

void
ipc_take_out_locked(struct ipc_kind *k, struct ipc_set *s)
{
	k->slot[s->id % IPC_ID_STEP] = NULL;
	k->count--;
	s->removed = true;
	waitq_notify(&s->wq, ~0u);
}

void
ipc_set_put(struct ipc_set *s)
{
	if (!s || !ref_put(&s->ref))
		return;
	waitq_destroy(&s->wq);
	s->free(s);
}

int
ipc_use(const struct call *c, struct ipc_kind *k, int id, struct ipc_set **ret)
{
	struct ipc_set *s;

	mutex_lock(&c->ipc->lock);
	s = ipc_find_locked(k, id);
	if (s)
		ref_get(&s->ref);
	mutex_unlock(&c->ipc->lock);
	*ret = s;
	return s ? 0 : -EINVAL;
}

int
ipc_remove(const struct call *c, struct ipc_kind *k, int id)
{
	struct ipc_set *s;
	int err = 0;

	mutex_lock(&c->ipc->lock);
	s = ipc_find_locked(k, id);
	if (!s)
		err = -EINVAL;
	else if (!ipc_owns(c, &s->perm))
		err = -EPERM;
	else
		ipc_take_out_locked(k, s);
	mutex_unlock(&c->ipc->lock);
	if (!err)
		ipc_set_put(s);
	return err;
}
