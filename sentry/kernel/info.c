/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the whole sandbox, and looking into another task's memory. */
#include "sentry/kernel/info.h"
#include "platform/host/info.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/timers.h"
#include "sentry/sched/sched.h"

void
kernel_meminfo(struct kernel_meminfo *ret)
{
	struct host_sysinfo si;
	uint64_t limit = kernel_memory_limit();

	host_sysinfo(&si);
	ret->total_bytes = si.total_bytes;
	ret->free_bytes = si.free_bytes;
	if (limit && limit < ret->total_bytes) {
		ret->total_bytes = limit;
		if (ret->free_bytes > limit)
			ret->free_bytes = limit;
	}
}

void
kernel_loadavg(uint64_t ret[3], int shift)
{
	struct host_sysinfo si;

	host_sysinfo(&si);
	for (int i = 0; i < 3; i++)
		ret[i] = si.loads[i] >> (16 - shift);
}

bool
task_computes(struct task *t)
{
	bool r = atomic_load(&t->in_guest);

	if (!r)
		return false;
	mutex_lock(&t->pt_lock);
	r = t->pt && !plat->in_futex(t->pt);
	mutex_unlock(&t->pt_lock);
	return r;
}

void
kernel_cpu_ns(int64_t *ret_guest, int64_t *ret_sentry)
{
	struct kernel_container *k = kernel_container_here();
	int64_t ns;

	mutex_lock(&tasklist_lock);
	ns = k->dead_cpu_ns;
	for (int32_t nr = 1; nr < 32768; nr++) {
		struct pid *p = pid_find_global_locked(nr);
		struct tgroup *g = p ? p->tgroup : NULL;

		if (g && g->container == k && g->state < TG_ZOMBIE)
			ns += tgroup_live_cpu_ns(g);
	}
	mutex_unlock(&tasklist_lock);
	*ret_guest = ns;
	*ret_sentry = host_own_cpu_ns();
}

int
kernel_nr_running(void)
{
	const struct kernel_container *k = kernel_container_here();
	int n = 0;

	mutex_lock(&tasklist_lock);
	for (int32_t nr = 1; nr < 32768; nr++) {
		struct pid *p = pid_find_global_locked(nr);
		struct task *t = p ? p->task : NULL;

		if (t && t->tgroup->container == k && task_computes(t))
			n++;
	}
	mutex_unlock(&tasklist_lock);
	return n;
}

int32_t
kernel_last_pid(void)
{
	return pid_last;
}

static int64_t
host_barrier(void *arg)
{
	(void)arg;
	return host_membarrier(false);
}

int64_t
kernel_memory_barrier(void)
{
	int err = host_membarrier(true);

	return err ? sched_blocking(host_barrier, NULL) : 0;
}

int
task_peek_poke(struct task *o, struct mm *mm, uint64_t addr, void *buf, uint64_t len, bool write)
{
	int err = -EFAULT;

	mutex_lock(&o->pt_lock);
	if (o->mm == mm && o->pt)
		err = write ? plat->poke(o->pt, addr, buf, len) : plat->peek(o->pt, buf, addr, len);
	mutex_unlock(&o->pt_lock);
	return err;
}

void
kernel_ids_changed(void)
{
	mutex_lock(&tasklist_lock);
	for (int32_t nr = 1; nr < 32768; nr++) {
		struct pid *p = pid_find_global_locked(nr);

		if (!p || !p->task || p->task->dead)
			continue;
		atomic_fetch_or(&p->task->work, TW_IDENTITY);
		task_wake_for_work(p->task);
	}
	mutex_unlock(&tasklist_lock);
}
