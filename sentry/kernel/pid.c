/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Process numbers. A number stays in the table as long as a task, a thread group, a process group
 * or a session has it. Everything here is under tasklist_lock.
 *
 * The first namespace has a plain table; each further one a hash of its own numbers.
 */
#include "sentry/cred/ucount.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/pid_ns.h"
#include <stdlib.h>
#include <uthash.h>

#define PID_RESERVED 300 /* numbers that are not used again after the first round */

struct pid_nr {
	int32_t nr;
	struct pid_ns *ns; /* borrowed: pid->ns holds it, or its children do */
	struct pid *pid;
	UT_hash_handle hh;
};

static struct pid *table[PID_MAX];
_Atomic int32_t pid_last;
static _Atomic int32_t first_max = PID_MAX, first_noexec;

/* --- namespaces --- */

int
pid_ns_new(struct pid_ns *parent, struct user_ns *owner, uint32_t counted, struct pid_ns **ret)
{
	uint32_t level = parent ? parent->level + 1 : 1;
	struct pid_ns *ns;
	int r;

	if (level > PID_NS_MAX_LEVEL)
		return -ENOSPC;
	r = ucount_take(owner, counted, UCOUNT_PID);
	if (r)
		return r;
	ns = calloc(1, sizeof *ns);
	if (!ns) {
		ucount_give(owner, counted, UCOUNT_PID);
		return -ENOMEM;
	}
	ref_init(&ns->ref);
	ns->parent = pid_ns_get(parent);
	ns->user_ns = user_ns_get(owner);
	ns->counted = counted;
	ns->level = level;
	ns->id = ns_id_new();
	ns->max = PID_MAX;
	ns->noexec = pid_ns_memfd_noexec(parent);
	waitq_init(&ns->empty);
	*ret = ns;
	return 0;
}

struct pid_ns *
pid_ns_get(struct pid_ns *ns)
{
	if (ns)
		ref_get(&ns->ref);
	return ns;
}

void
pid_ns_put(struct pid_ns *ns)
{
	while (ns && ref_put(&ns->ref)) {
		struct pid_ns *parent = ns->parent;

		waitq_destroy(&ns->empty);
		ucount_give(ns->user_ns, ns->counted, UCOUNT_PID);
		user_ns_put(ns->user_ns);
		free(ns);
		ns = parent;
	}
}

uint64_t
pid_ns_id(const struct pid_ns *ns)
{
	return ns ? ns->id : 4026531836;
}

bool
pid_ns_is_below(const struct pid_ns *ns, const struct pid_ns *above)
{
	for (; ns && ns != above; ns = ns->parent)
		;
	return ns == above;
}

/* --- values of /proc/sys --- */

int32_t
pid_ns_max(const struct pid_ns *ns)
{
	return atomic_load(ns ? &((struct pid_ns *)ns)->max : &first_max);
}

void
pid_ns_set_max(struct pid_ns *ns, int32_t max)
{
	atomic_store(ns ? &ns->max : &first_max, max);
}

int32_t
pid_ns_last(const struct pid_ns *ns)
{
	int32_t last;

	mutex_lock(&tasklist_lock);
	last = ns ? ns->last : pid_last;
	mutex_unlock(&tasklist_lock);
	return last;
}

void
pid_ns_set_last(struct pid_ns *ns, int32_t last)
{
	mutex_lock(&tasklist_lock);
	if (ns)
		ns->last = last;
	else
		pid_last = last;
	mutex_unlock(&tasklist_lock);
}

int32_t
pid_ns_memfd_noexec(const struct pid_ns *ns)
{
	int32_t level = atomic_load(&first_noexec);

	for (; ns; ns = ns->parent) {
		int32_t own = atomic_load(&((struct pid_ns *)ns)->noexec);

		if (own > level)
			level = own;
	}
	return level;
}

void
pid_ns_set_memfd_noexec(struct pid_ns *ns, int32_t level)
{
	atomic_store(ns ? &ns->noexec : &first_noexec, level);
}

/* --- numbers --- */

static int32_t
choose_global(int32_t want)
{
	int32_t max = pid_ns_max(NULL);

	if (want)
		return want < 0 || want >= max || table[want] ? 0 : want;
	for (int32_t i = 0, nr = pid_last + 1; i < PID_MAX; i++, nr++) {
		if (nr >= max)
			nr = PID_RESERVED;
		if (!table[nr]) {
			pid_last = nr;
			return nr;
		}
	}
	return 0;
}

static struct pid_nr *
find_in(const struct pid_ns *ns, int32_t nr)
{
	struct pid_nr *n;

	HASH_FIND(hh, ns->numbers, &nr, sizeof nr, n);
	return n;
}

static int32_t
choose_in(struct pid_ns *ns, int32_t want)
{
	int32_t max = pid_ns_max(ns);

	if (ns->closing)
		return 0;
	if (want)
		return want < 0 || want >= max || find_in(ns, want) ? 0 : want;
	for (int32_t i = 0, nr = ns->last + 1; i < PID_MAX; i++, nr++) {
		if (nr >= max)
			nr = PID_RESERVED;
		if (!find_in(ns, nr)) {
			ns->last = nr;
			return nr;
		}
	}
	return 0;
}

static void
drop_numbers(struct pid *p)
{
	for (uint32_t i = 0; i < p->level; i++) {
		struct pid_nr *n = &p->nrs[i];

		if (!n->ns)
			continue;
		HASH_DEL(n->ns->numbers, n);
		n->ns->count--;
		waitq_notify(&n->ns->empty, ~0u);
		n->ns = NULL;
	}
	if (table[p->nr] == p)
		table[p->nr] = NULL;
}

struct pid *
pid_alloc_locked(struct pid_ns *ns, int32_t want)
{
	int32_t nr = choose_global(ns ? 0 : want);
	struct pid *p = nr ? calloc(1, sizeof *p) : NULL;
	struct pid_ns *at = ns;

	if (!p)
		return NULL;
	LIVE_INC(PID);
	ref_init(&p->ref);
	p->nr = nr;
	for (int i = 0; i < PID_ROLES; i++)
		list_init(&p->members[i]);
	waitq_init(&p->waitq);
	table[nr] = p;
	if (!ns)
		return p;
	p->level = ns->level;
	p->ns = pid_ns_get(ns);
	p->nrs = calloc(p->level, sizeof *p->nrs);
	for (; p->nrs && at; at = at->parent) {
		struct pid_nr *n = &p->nrs[at->level - 1];

		n->nr = choose_in(at, at == ns ? want : 0);
		if (!n->nr)
			break;
		n->ns = at;
		n->pid = p;
		HASH_ADD(hh, at->numbers, nr, sizeof n->nr, n);
		at->count++;
	}
	if (!p->nrs || at) {
		if (p->nrs)
			drop_numbers(p);
		else
			table[nr] = NULL;
		p->level = 0;
		pid_unref(p);
		return NULL;
	}
	return p;
}

void
pid_unref(struct pid *p)
{
	if (!p || !ref_put(&p->ref))
		return;
	waitq_destroy(&p->waitq);
	pid_ns_put(p->ns);
	free(p->nrs);
	free(p);
	LIVE_DEC(PID);
}

void
pid_unused_locked(struct pid *p)
{
	if (p->task || p->tgroup || !list_empty(&p->members[PID_PGID]) ||
		!list_empty(&p->members[PID_SID]))
		return;
	if (table[p->nr] == p) {
		drop_numbers(p);
		pid_unref(p);
	}
}

void
pid_attach_tgroup_locked(struct tgroup *g, enum pid_role role, struct pid *p)
{
	ref_get(&p->ref);
	g->pid[role] = p;
	if (role == PID_TGID)
		p->tgroup = g;
	else
		list_push_back(&p->members[role], &g->pid_node[role]);
}

void
pid_detach_tgroup_locked(struct tgroup *g, enum pid_role role)
{
	struct pid *p = g->pid[role];

	if (!p)
		return;
	g->pid[role] = NULL;
	if (role == PID_TGID)
		p->tgroup = NULL;
	else
		list_del(&g->pid_node[role]);
	pid_unused_locked(p);
	pid_unref(p);
}

/* --- looking up --- */

int32_t
pid_nr_in(const struct pid *p, const struct pid_ns *ns)
{
	if (!ns)
		return p->nr;
	if (p->level < ns->level || !p->nrs || p->nrs[ns->level - 1].ns != ns)
		return 0;
	return p->nrs[ns->level - 1].nr;
}

static const struct pid_ns *
viewer(void)
{
	struct task *t = task_current();

	return t && t->pid ? t->pid->ns : NULL;
}

int32_t
pid_vnr(const struct pid *p)
{
	return p ? pid_nr_in(p, viewer()) : 0;
}

int32_t
pid_nr_out(int32_t global)
{
	return pid_nr_out_in(global, viewer());
}

int32_t
pid_nr_out_in(int32_t global, const struct pid_ns *ns)
{
	struct pid *p;
	int32_t nr;

	if (!ns || global <= 0)
		return global;
	mutex_lock(&tasklist_lock);
	p = pid_find_global_locked(global);
	nr = p ? pid_nr_in(p, ns) : 0;
	mutex_unlock(&tasklist_lock);
	return nr;
}

int32_t
pid_nr_to_global(int32_t vnr)
{
	struct pid *p;
	int32_t nr;

	if (!viewer() || vnr <= 0)
		return vnr;
	mutex_lock(&tasklist_lock);
	p = pid_find_locked(vnr);
	nr = p ? p->nr : 0;
	mutex_unlock(&tasklist_lock);
	return nr;
}

struct pid *
pid_find_global_locked(int32_t nr)
{
	return nr > 0 && nr < PID_MAX ? table[nr] : NULL;
}

struct pid *
pid_find_in_locked(const struct pid_ns *ns, int32_t nr)
{
	struct pid_nr *n;

	if (!ns)
		return pid_find_global_locked(nr);
	n = find_in(ns, nr);
	return n ? n->pid : NULL;
}

struct pid *
pid_find_locked(int32_t nr)
{
	return pid_find_in_locked(viewer(), nr);
}

struct task *
task_find_locked(int32_t tid)
{
	struct pid *p = pid_find_locked(tid);

	return p ? p->task : NULL;
}

struct tgroup *
tgroup_find_locked(int32_t tgid)
{
	struct pid *p = pid_find_locked(tgid);

	return p ? p->tgroup : NULL;
}

struct task *
task_find_get(int32_t tid)
{
	struct task *t;

	mutex_lock(&tasklist_lock);
	t = task_find_locked(tid);
	if (t)
		task_get(t);
	mutex_unlock(&tasklist_lock);
	return t;
}

struct tgroup *
tgroup_find_get(int32_t tgid)
{
	struct tgroup *g;

	mutex_lock(&tasklist_lock);
	g = tgroup_find_locked(tgid);
	if (g)
		tgroup_get(g);
	mutex_unlock(&tasklist_lock);
	return g;
}

struct tgroup *
tgroup_find_global_get(int32_t tgid)
{
	struct tgroup *g;
	struct pid *p;

	mutex_lock(&tasklist_lock);
	p = pid_find_global_locked(tgid);
	g = p ? p->tgroup : NULL;
	if (g)
		tgroup_get(g);
	mutex_unlock(&tasklist_lock);
	return g;
}

void
tgroup_set_pid_locked(struct tgroup *g, enum pid_role role, struct pid *p)
{
	struct task *t;

	ref_get(&p->ref);
	pid_detach_tgroup_locked(g, role);
	pid_attach_tgroup_locked(g, role, p);
	pid_unref(p);
	list_for_each_entry (t, &g->threads, tg_node) {
		if (t == task_current())
			continue;
		atomic_fetch_or(&t->work, TW_IDENTITY);
		task_wake_for_work(t);
	}
}
