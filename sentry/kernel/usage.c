/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What getrusage(2) tells beside times: the most memory that was resident, and page faults. They
 * are the host's, which counts them for the process that runs the guest: another one after execve.
 */
#include "sentry/kernel/internal.h"
#include "sentry/vfs/file.h"

/* Of a process that leaves its memory and does not tell: it is hostile, or the host overloaded. */
#define PATIENCE_NS 500000000

static bool
look(struct task *t, bool thread, int64_t patience_ns, struct usage *u)
{
	struct plat_usage p;

	if (!t->pt || plat->usage(t->pt, thread, patience_ns, &p))
		return false;
	*u = (struct usage){.maxrss_kb = p.maxrss_kb, .minflt = p.minflt, .majflt = p.majflt};
	return true;
}

void
usage_add(struct usage *sum, const struct usage *u)
{
	if (u->maxrss_kb > sum->maxrss_kb)
		sum->maxrss_kb = u->maxrss_kb;
	sum->minflt += u->minflt;
	sum->majflt += u->majflt;
	for (int i = 0; i < COUNT_N; i++)
		sum->count[i] += u->count[i];
}

void
task_count(struct task *t, enum usage_count what, uint64_t n)
{
	atomic_store_explicit(&t->count[what],
		atomic_load_explicit(&t->count[what], memory_order_relaxed) + n,
		memory_order_relaxed);
}

void
task_count_read(struct task *t, const struct file *f, int64_t r)
{
	task_count(t, COUNT_SYSCR, 1);
	if (r <= 0)
		return;
	task_count(t, COUNT_RCHAR, (uint64_t)r);
	if (f->mode & LX_FMODE_HOST)
		task_count(t, COUNT_READ_BYTES, (uint64_t)r);
}

void
task_count_write(struct task *t, const struct file *f, int64_t r)
{
	task_count(t, COUNT_SYSCW, 1);
	if (r <= 0)
		return;
	task_count(t, COUNT_WCHAR, (uint64_t)r);
	if (f->mode & LX_FMODE_HOST)
		task_count(t, COUNT_WRITE_BYTES, (uint64_t)r);
}

static void
add_counts(struct usage *sum, const struct task *t)
{
	for (int i = 0; i < COUNT_N; i++)
		sum->count[i] += atomic_load_explicit(&t->count[i], memory_order_relaxed);
}

void
task_counts(const struct task *t, struct usage *ret)
{
	*ret = (struct usage){0};
	add_counts(ret, t);
}

void
tgroup_counts(const struct tgroup *g, struct usage *ret)
{
	mutex_lock(&tasklist_lock);
	tgroup_usage_locked(g, ret);
	usage_add(ret, &g->child_used);
	mutex_unlock(&tasklist_lock);
}

void
task_counts_leave_locked(struct task *t)
{
	add_counts(&t->tgroup->used, t);
}

void
tgroup_usage_locked(const struct tgroup *g, struct usage *ret)
{
	const struct task *t;

	*ret = g->used;
	usage_add(ret, &g->space_used);
	list_for_each_entry (t, &g->threads, tg_node)
		add_counts(ret, t);
}

void
task_usage(struct task *t, struct usage *ret)
{
	struct usage u;
	bool seen = look(t, false, 0, &u);

	mutex_lock(&tasklist_lock);
	if (seen)
		t->tgroup->space_used = u;
	tgroup_usage_locked(t->tgroup, ret);
	mutex_unlock(&tasklist_lock);
}

void
task_own_usage(struct task *t, struct usage *ret)
{
	if (!look(t, true, 0, ret))
		*ret = (struct usage){0};
	add_counts(ret, t);
}

void
task_usage_at_leave(struct task *t)
{
	struct tgroup *g = t->tgroup;
	struct usage u;

	if (!look(t, false, PATIENCE_NS, &u))
		return;
	mutex_lock(&tasklist_lock);
	usage_add(&g->used, &u);
	g->space_used = (struct usage){0};
	mutex_unlock(&tasklist_lock);
}
