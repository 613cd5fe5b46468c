/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers as objects, and what can be done to all processes of one from outside: hold them
 * still, list them, signal them.
 *
 * Pausing: a flag that the run loop looks at before it lets guest code run; those that run it now
 * are kicked. System calls that are under way come to their end, and their results wait.
 */
#include "sentry/kernel/container.h"
#include "sentry/cred/ucount.h"
#include "sentry/fs/tty.h"
#include "sentry/ipc/ipc.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/net/link.h"
#include "sentry/net/sysctl.h"
#include "sentry/sysctl/sysctl.h"
#include <stdlib.h>
#include <string.h>

#define PID_END 32768

static struct kernel_container *first;

/* --- life --- */

int
kernel_container_new(const struct kernel_container_config *cfg, struct kernel_container **ret)
{
	struct kernel_container *k = calloc(1, sizeof *k);
	int r = -ENOMEM;

	if (!k)
		return r;
	LIVE_INC(CONTAINER);
	ref_init(&k->ref);
	waitq_init(&k->pause_q);
	waitq_init(&k->limit.q);
	sleeplock_init(&k->zygote_lock);
	waitq_init(&k->limit.meter_q);
	sleeplock_init(&k->limit.meter_lock);
	k->limit.l.meter = -1;
	atomic_init(&k->cpu_period_us, 100000);
	r = cfg->pid ? 0 : pid_ns_new(NULL, NULL, UCOUNT_NOBODY, &k->pid_ns);
	if (cfg->pid)
		k->pid_ns = pid_ns_get(cfg->pid->pid_ns);
	if (r == 0 && cfg->ipc)
		k->ipc = ipc_ns_get(cfg->ipc->ipc);
	else if (r == 0 && !(k->ipc = first ? ipc_ns_new(NULL, UCOUNT_NOBODY) : ipc_ns_first()))
		r = -ENOMEM;
	if (r == 0 && cfg->uts) {
		ref_get(&cfg->uts->uts->ref);
		k->uts = cfg->uts->uts;
	} else if (r == 0 &&
		   !(k->uts = uts_new(NULL, UCOUNT_NOBODY, cfg->hostname, cfg->domainname))) {
		r = -ENOMEM;
	}
	if (r == 0 && !(k->net = cfg->net	? net_ns_get(net_ns_first())
				 : cfg->own_net ? net_ns_get(cfg->own_net)
						: net_ns_new(NULL, UCOUNT_NOBODY)))
		r = -ENOMEM;
	if (r == 0 && !cfg->net && !cfg->own_net)
		net_sysctl_open_ping(k->net);
	if (r == 0 && first)
		r = plat->space_new(NULL, NULL, &k->zygote);
	if (r < 0) {
		kernel_container_put(k);
		return r;
	}
	if (k->zygote)
		atomic_init(&k->zygote_pid, plat->host_pid(k->zygote));
	*ret = k;
	return 0;
}

int
kernel_container_init(const struct kernel_container_config *cfg, bool own_pid_ns)
{
	int r = kernel_container_new(cfg, &first);

	if (r == 0 && !own_pid_ns) {
		pid_ns_put(first->pid_ns);
		first->pid_ns = NULL;
	}
	return r;
}

int
kernel_container_space(struct kernel_container *k, void *owner, struct plat_thread **ret_thread)
{
	int r;

	if (!atomic_load(&k->zygote_pid))
		return plat->space_new(NULL, owner, ret_thread);
	sleeplock_lock(&k->zygote_lock);
	r = plat->space_new(k->zygote, owner, ret_thread);
	sleeplock_unlock(&k->zygote_lock);
	return r;
}

void
kernel_container_end(struct kernel_container *k)
{
	struct plat_thread *z;

	sleeplock_lock(&k->zygote_lock);
	z = k->zygote;
	k->zygote = NULL;
	atomic_store(&k->zygote_pid, 0);
	sleeplock_unlock(&k->zygote_lock);
	if (z)
		plat->thread_exit(z, 0);
}

int32_t
kernel_container_zygote(const struct kernel_container *k)
{
	return atomic_load(&k->zygote_pid);
}

struct kernel_container *
kernel_container_get(struct kernel_container *k)
{
	ref_get(&k->ref);
	return k;
}

void
kernel_container_put(struct kernel_container *k)
{
	if (!k || !ref_put(&k->ref))
		return;
	kernel_container_end(k);
	tty_put(k->console);
	pid_ns_put(k->pid_ns);
	ipc_ns_put(k->ipc);
	uts_put(k->uts);
	net_ns_put(k->net);
	waitq_destroy(&k->pause_q);
	kernel_limits_drop(k);
	free(k);
	LIVE_DEC(CONTAINER);
}

struct kernel_container *
kernel_container_first(void)
{
	return first;
}

struct kernel_container *
kernel_container_here(void)
{
	struct task *t = task_current();

	return t && t->tgroup && t->tgroup->container ? t->tgroup->container : first;
}

void
kernel_container_call(struct kernel_container *k, struct call *c)
{
	c->ipc = k->ipc;
	c->net = k->net;
	c->pid_ns = k->pid_ns;
}

/* --- limits, as they are shown --- */

static _Atomic int64_t nr_threads; /* of all containers */

void
kernel_count_tasks(struct kernel_container *k, int n)
{
	atomic_fetch_add(&k->nr_tasks, n);
	atomic_fetch_add(&nr_threads, n);
}

bool
kernel_task_allowed(void)
{
	struct kernel_container *k = kernel_container_here();
	uint64_t limit = atomic_load(&k->pids_limit);

	if (atomic_load(&nr_threads) >= sysctl_get(SYSCTL_THREADS_MAX))
		return false;
	if (!limit || (uint64_t)atomic_load(&k->nr_tasks) < limit)
		return true;
	kernel_limit_met(k, KERNEL_LIMIT_PROCESSES);
	return false;
}

int
kernel_nr_tasks(void)
{
	return atomic_load(&kernel_container_here()->nr_tasks);
}

void
kernel_container_set_pids(struct kernel_container *k, uint64_t n)
{
	atomic_store(&k->pids_limit, n);
}

uint64_t
kernel_pids_limit(void)
{
	return atomic_load(&kernel_container_here()->pids_limit);
}

void
kernel_container_set_memory(struct kernel_container *k, uint64_t bytes)
{
	atomic_store(&k->memory_limit, bytes);
}

uint64_t
kernel_memory_limit(void)
{
	return atomic_load(&kernel_container_here()->memory_limit);
}

void
kernel_container_set_cpu(struct kernel_container *k, uint64_t quota_us, uint64_t period_us)
{
	atomic_store(&k->cpu_quota_us, quota_us);
	if (period_us)
		atomic_store(&k->cpu_period_us, period_us);
}

uint64_t
kernel_container_cpu_quota(const struct kernel_container *k)
{
	return atomic_load(&k->cpu_quota_us);
}

struct kernel_cpu_limit
kernel_cpu_limit(void)
{
	struct kernel_container *k = kernel_container_here();

	return (struct kernel_cpu_limit){
		atomic_load(&k->cpu_quota_us), atomic_load(&k->cpu_period_us)};
}

/* --- the console --- */

void
kernel_container_set_console(struct kernel_container *k, struct tty *t)
{
	k->console = t ? tty_get(t) : NULL;
}

struct tty *
kernel_console(void)
{
	struct tty *t = kernel_container_here()->console;

	return t ? tty_get(t) : NULL;
}

/* --- pausing --- */

void
kernel_pause_here(struct task *t)
{
	struct kernel_container *k = t->tgroup->container;
	struct waiter w;

	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&k->pause_q, &w);
	/* What ends the task is let through: it runs no guest code for that. */
	while (atomic_load(&k->paused) && !(atomic_load(&t->work) & TW_EXIT))
		fiber_park();
	waitq_remove(&w);
}

void
kernel_pause(struct kernel_container *k)
{
	atomic_store(&k->paused, true);
	mutex_lock(&tasklist_lock);
	for (int32_t tid = 1; tid < PID_END; tid++) {
		struct pid *p = pid_find_global_locked(tid);
		struct task *t = p ? p->task : NULL;

		if (!t || t->dead || t->tgroup->container != k)
			continue;
		mutex_lock(&t->pt_lock);
		/* One that is not in guest code looks at the flag before it is. */
		if (t->pt && atomic_load(&t->in_guest))
			plat->kick(t->pt);
		mutex_unlock(&t->pt_lock);
	}
	mutex_unlock(&tasklist_lock);
}

void
kernel_resume(struct kernel_container *k)
{
	atomic_store(&k->paused, false);
	waitq_notify(&k->pause_q, ~0u);
}

bool
kernel_is_paused(const struct kernel_container *k)
{
	return atomic_load(&k->paused);
}

/* --- its processes --- */

int32_t
kernel_container_pid(struct kernel_container *k, int32_t nr)
{
	struct pid *p;

	if (!k->pid_ns)
		return nr;
	mutex_lock(&tasklist_lock);
	p = pid_find_in_locked(k->pid_ns, nr);
	nr = p && p->tgroup && p->tgroup->container == k ? p->nr : 0;
	mutex_unlock(&tasklist_lock);
	return nr;
}

static void
describe(struct tgroup *g, const struct pid_ns *ns, struct kernel_process_info *p)
{
	struct task *t = g->leader;

	*p = (struct kernel_process_info){.pid = pid_nr_in(g->pid[PID_TGID], ns)};
	if (g->parent)
		p->ppid = pid_nr_in(g->parent->pid[PID_TGID], ns);
	/* A leader that has ended has given up its host thread; others may go on. */
	if (t->dead && !list_empty(&g->threads))
		t = list_entry(g->threads.next, struct task, tg_node);
	memcpy(p->name, t->comm, sizeof p->name - 1);
	mutex_lock(&t->pt_lock);
	p->uid = t->cred ? t->cred->euid : 0;
	if (t->pt)
		p->host_pid = plat->host_pid(t->pt);
	mutex_unlock(&t->pt_lock);
}

/* The living process of k with this number outside, or NULL. */
static struct tgroup *
member_locked(const struct kernel_container *k, int32_t nr)
{
	struct pid *p = pid_find_global_locked(nr);
	struct tgroup *g = p ? p->tgroup : NULL;

	return g && g->container == k && g->state < TG_ZOMBIE ? g : NULL;
}

void
kernel_each_process(struct kernel_container *k,
	void (*fn)(void *arg, const struct kernel_process_info *p), void *arg)
{
	const struct task *me = task_current();
	const struct pid_ns *ns = me && me->pid ? me->pid->ns : k->pid_ns;

	mutex_lock(&tasklist_lock);
	for (int32_t nr = 1; nr < PID_END; nr++) {
		struct tgroup *g = member_locked(k, nr);
		struct kernel_process_info p;

		if (!g || !pid_nr_in(g->pid[PID_TGID], ns))
			continue;
		describe(g, ns, &p);
		fn(arg, &p);
	}
	mutex_unlock(&tasklist_lock);
}

void
task_numbers(const struct task *t, int32_t *ret_pid, int32_t *ret_tid, int32_t *ret_ppid)
{
	const struct tgroup *g = t->tgroup, *parent;
	const struct pid_ns *ns = g->container->pid_ns;

	mutex_lock(&tasklist_lock);
	parent = g->parent;
	*ret_pid = g->pid[PID_TGID] ? pid_nr_in(g->pid[PID_TGID], ns) : 0;
	*ret_tid = t->pid ? pid_nr_in(t->pid, ns) : 0;
	*ret_ppid = parent && parent->pid[PID_TGID] ? pid_nr_in(parent->pid[PID_TGID], ns) : 0;
	mutex_unlock(&tasklist_lock);
}

uint64_t
kernel_container_calls(struct kernel_container *k)
{
	uint64_t n = atomic_load(&k->dead_calls);

	mutex_lock(&tasklist_lock);
	for (int32_t nr = 1; nr < PID_END; nr++) {
		struct pid *p = pid_find_global_locked(nr);

		if (p && p->task && p->task->tgroup->container == k)
			n += atomic_load(&p->task->nr_calls);
	}
	mutex_unlock(&tasklist_lock);
	return n;
}

int
kernel_signal_every(struct kernel_container *k, int signo)
{
	int n = 0;

	for (int32_t nr = 1; nr < PID_END; nr++) {
		bool mine;

		mutex_lock(&tasklist_lock);
		mine = member_locked(k, nr);
		mutex_unlock(&tasklist_lock);
		n += mine && kernel_signal(nr, signo) == 0;
	}
	return n ? 0 : -ESRCH;
}

void
kernel_kill_all(struct kernel_container *k)
{
	struct tgroup *g;

	mutex_lock(&tasklist_lock);
	g = k->init;
	if (g) {
		mutex_lock(&g->sighand->lock);
		tgroup_start_exit_locked(g, LX_SIGKILL, NULL);
		mutex_unlock(&g->sighand->lock);
	}
	mutex_unlock(&tasklist_lock);
}

void
kernel_kill_others(struct kernel_container *k, struct tgroup *except)
{
	mutex_lock(&tasklist_lock);
	for (int32_t nr = 1; nr < PID_END; nr++) {
		struct tgroup *g = member_locked(k, nr);

		if (!g || g == except)
			continue;
		mutex_lock(&g->sighand->lock);
		tgroup_start_exit_locked(g, LX_SIGKILL, NULL);
		mutex_unlock(&g->sighand->lock);
	}
	mutex_unlock(&tasklist_lock);
}
