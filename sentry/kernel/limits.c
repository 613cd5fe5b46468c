/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fiber for each container that has limits looks at what is used, as rarely as the distance to
 * the next limit allows.
 *
 * Memory: pages of the programs are the host's. What they privately have is told by the keeper, who
 * reads the host's /proc, over a socket (the meter); what is in memory files, and what this process
 * has grown by since the start (pipes, sockets, small files), is known here. Between two looks a
 * program can touch no more than TOUCH_BYTES_NS lets it, and nothing when no CPU time was used.
 * Pages that several processes share after fork are counted in each; before a container is killed
 * the keeper is asked for the exact sum, which takes longer.
 */
#include "sentry/kernel/limits.h"
#include "platform/host/file.h"
#include "platform/host/info.h"
#include "platform/host/memory.h"
#include "platform/host/meter.h"
#include "sentry/fs/hostfile.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/timers.h"
#include "sentry/sched/sched.h"
#include <string.h>
#include <sys/epoll.h>

#define MS	       1000000ll
#define SOONEST_NS     (2 * MS)	   /* between two looks */
#define LATEST_NS      (20 * MS)   /* between two looks at memory */
#define TOUCH_BYTES_NS 2	   /* a program touches at most so many bytes in a nanosecond */
#define METER_NS       (2000 * MS) /* whoever does not answer for so long is dead */
#define STRAYS_NS      (200 * MS)
#define METER_SHARE    4 /* at most one part in so many of the time is spent measuring */
/* Memory that ends is looked at where its address space was larger than all memory ever was, and by
 * more than what a small program maps: those that a shell starts are not each worth a look. */
#define SMALL_BYTES (8 << 20)

/* --- use --- */

/* CPU time of all programs. */
static int64_t
programs_cpu_ns(struct kernel_container *k)
{
	int32_t left = atomic_load(&k->nr_tasks);
	int64_t ns;

	mutex_lock(&tasklist_lock);
	ns = k->dead_cpu_ns;
	for (int32_t nr = 1; nr < 32768 && left > 0; nr++) {
		struct pid *p = pid_find_global_locked(nr);
		struct tgroup *g = p ? p->tgroup : NULL;

		left -= p && p->task && !p->task->dead && p->task->tgroup->container == k;
		if (g && g->container == k && g->state < TG_ZOMBIE)
			ns += tgroup_live_cpu_ns(g);
	}
	mutex_unlock(&tasklist_lock);
	return ns;
}

/* What the kernel does for containers beside the first cannot be told apart. */
static int64_t
system_cpu_ns(const struct kernel_container *k)
{
	int64_t ns = host_own_cpu_ns() - sched_spun_ns() - k->limit.own_cpu_ns;

	return k == kernel_container_first() && ns > 0 ? ns : 0;
}

void
kernel_container_usage(struct kernel_container *k, struct kernel_usage *ret)
{
	*ret = (struct kernel_usage){.user_ns = programs_cpu_ns(k),
		.system_ns = system_cpu_ns(k),
		.wall_ns = sched_now_ns() - k->limit.start_ns,
		.memory_peak_bytes = atomic_load(&k->limit.peak),
		.limit = atomic_load(&k->limit.killed_by),
		.limits_met = atomic_load(&k->limit.met)};
}

void
kernel_process_usage(struct tgroup *g, struct kernel_usage *ret)
{
	mutex_lock(&tasklist_lock);
	*ret = (struct kernel_usage){.user_ns = g->dead_utime_ns + g->child_utime_ns,
		.system_ns = g->dead_stime_ns + g->child_stime_ns,
		.wall_ns = sched_now_ns() - g->start_ns};
	mutex_unlock(&tasklist_lock);
}

/* --- limits that are met --- */

void
kernel_limit_met(struct kernel_container *k, enum kernel_limit which)
{
	atomic_fetch_or(&k->limit.met, 1u << which);
}

/* The fiber kills it: whoever calls this may hold locks. */
static void
kill_by(struct kernel_container *k, enum kernel_limit which)
{
	int none = KERNEL_LIMIT_NONE;

	kernel_limit_met(k, which);
	(void)atomic_compare_exchange_strong(&k->limit.killed_by, &none, (int)which);
	waitq_notify(&k->limit.q, ~0u);
}

uint64_t
kernel_output_take(uint64_t want)
{
	struct kernel_container *k = kernel_container_here();
	uint64_t limit = k->limit.l.output_bytes, used = atomic_load(&k->limit.output), n;

	if (!limit || !want)
		return want;
	do {
		if (used >= limit) {
			kill_by(k, KERNEL_LIMIT_OUTPUT);
			return 0;
		}
		n = want < limit - used ? want : limit - used;
	} while (!atomic_compare_exchange_weak(&k->limit.output, &used, used + n));
	return n;
}

void
kernel_output_give_back(uint64_t bytes)
{
	struct kernel_container *k = kernel_container_here();

	if (k->limit.l.output_bytes && bytes)
		atomic_fetch_sub(&k->limit.output, bytes);
}

uint64_t
kernel_file_limit(const struct kernel_container *k)
{
	return k->limit.l.file_bytes;
}

void
kernel_file_too_large(void)
{
	struct kernel_container *k = kernel_container_here();

	if (k->limit.l.file_bytes)
		kernel_limit_met(k, KERNEL_LIMIT_FILE);
}

/* --- memory --- */

/* Ask the meter, in a fiber. -errno: it is gone, or cannot tell. */
/* Are there processes that nobody here made? A guest that jumps into the engine's code can clone
 * some, which no limit would reach. Those that have just ended or begun may not be known yet; not
 * for long. */
static void
count_processes(struct kernel_container *k, uint32_t known, uint64_t begun, uint32_t children)
{
	int64_t now = sched_now_ns();
	uint64_t begun_now;
	uint32_t unused;

	plat->processes(&unused, &begun_now);
	if (children <= known + (begun_now - begun)) {
		atomic_store(&k->limit.strays_ns, 0);
	} else if (!atomic_load(&k->limit.strays_ns)) {
		atomic_store(&k->limit.strays_ns, now);
	} else if (now - atomic_load(&k->limit.strays_ns) > STRAYS_NS) {
		log_error("a program made processes behind the kernel's back");
		kill_by(k, KERNEL_LIMIT_PROCESSES);
	}
}

static int64_t
ask_meter(struct kernel_container *k, enum meter_question what)
{
	uint32_t known = 0;
	uint64_t begun = 0;
	uint8_t q = (uint8_t)what;
	int64_t until = sched_now_ns() + METER_NS, r = -ETIMEDOUT;
	struct meter_answer a;
	struct waiter w;

	sleeplock_lock(&k->limit.meter_lock);
	if (plat->processes)
		plat->processes(&known, &begun);
	if (k->limit.l.meter < 0 || host_fd_write(k->limit.l.meter, &q, 1) != 1) {
		sleeplock_unlock(&k->limit.meter_lock);
		return -EPIPE;
	}
	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&k->limit.meter_q, &w);
	do {
		ssize_t n = host_fd_read(k->limit.l.meter, &a, sizeof a);

		if (n == -EAGAIN)
			continue;
		r = n != sizeof a ? -EPIPE : a.bytes;
		if (r >= 0 && plat->processes && what != METER_START)
			count_processes(k, known, begun, a.children);
		if (r >= 0 && what != METER_PEAK)
			r += a.own_bytes > k->limit.own_bytes ? a.own_bytes - k->limit.own_bytes
							      : 0;
		if (r >= 0 && what == METER_START)
			r = a.own_bytes;
		break;
	} while (fiber_park_until(until) || sched_now_ns() < until);
	waitq_remove(&w);
	sleeplock_unlock(&k->limit.meter_lock);
	return r;
}

static void
note_peak(struct kernel_container *k, int64_t bytes)
{
	if (bytes > 0 && (uint64_t)bytes > atomic_load(&k->limit.peak))
		atomic_store(&k->limit.peak, (uint64_t)bytes);
}

/* How long until the next look. */
static int64_t
look_at_memory(struct kernel_container *k)
{
	int64_t start = sched_now_ns(), bytes = ask_meter(k, METER_SUM), wait = LATEST_NS, took;
	uint64_t limit = k->limit.l.memory_bytes;

	if (bytes >= 0)
		bytes += (int64_t)host_memory_bytes();
	if (limit && bytes > (int64_t)limit) {
		bytes = ask_meter(k, METER_EXACT);
		if (bytes >= 0)
			bytes += (int64_t)host_memory_bytes();
	}
	if (bytes < 0) {
		log_error("cannot tell how much memory is in use: %s", strerror((int)-bytes));
		/* A limit that cannot be kept is none to go on with. */
		if (limit && !atomic_load(&k->limit.over))
			kill_by(k, KERNEL_LIMIT_MEMORY);
		return wait;
	}
	note_peak(k, bytes);
	if (limit && bytes > (int64_t)limit)
		kill_by(k, KERNEL_LIMIT_MEMORY);
	else if (limit && ((int64_t)limit - bytes) / (TOUCH_BYTES_NS * k->limit.ncpus) < wait)
		wait = ((int64_t)limit - bytes) / (TOUCH_BYTES_NS * k->limit.ncpus);
	if (wait < SOONEST_NS)
		wait = SOONEST_NS;
	took = (sched_now_ns() - start) * METER_SHARE;
	return wait > took ? wait : took;
}

static bool
may_be_peak(struct kernel_container *k, struct mm *mm)
{
	uint64_t most;

	mutex_lock(&mm->lock);
	most = mm->hiwater_bytes;
	mutex_unlock(&mm->lock);
	return most > atomic_load(&k->limit.peak) + SMALL_BYTES;
}

void
kernel_limits_memory_ends(struct task *t)
{
	struct kernel_container *k = t->tgroup->container;
	uint64_t limit = k->limit.l.memory_bytes;
	int64_t bytes;

	if (k->limit.l.meter < 0 || !k->limit.start_ns)
		return;
	if (t->tgroup != k->init && (atomic_load(&k->limit.killed_by) || !may_be_peak(k, t->mm)))
		return;
	bytes = ask_meter(k, METER_PEAK);
	note_peak(k, bytes);
	/* It was quicker than the looks at it. */
	if (limit && bytes > (int64_t)limit)
		kill_by(k, KERNEL_LIMIT_MEMORY);
}

/* --- the fiber --- */

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Look at time; when the next look is due. */
static int64_t
look_at_time(struct kernel_container *k, int64_t user)
{
	const struct kernel_limits *l = &k->limit.l;
	int64_t now = sched_now_ns(), due = INT64_MAX, cpu = user + system_cpu_ns(k), wait;

	if (l->wall_ns && now - k->limit.start_ns >= l->wall_ns)
		kill_by(k, KERNEL_LIMIT_WALL);
	else if (l->cpu_ns && cpu >= l->cpu_ns)
		kill_by(k, KERNEL_LIMIT_CPU);
	if (l->wall_ns)
		due = k->limit.start_ns + l->wall_ns;
	if (l->cpu_ns) {
		wait = (l->cpu_ns - cpu) / k->limit.ncpus;
		due = least(due, now + (wait < SOONEST_NS ? SOONEST_NS : wait));
	}
	return due;
}

static void
watch(void *arg)
{
	struct kernel_container *k = arg;
	int64_t due, memory_due = k->limit.l.meter >= 0 ? 0 : INT64_MAX, wait = 0, seen = -1;
	struct waiter w;

	waiter_init_fiber(&w, fiber_self(), ~0u);
	waitq_add(&k->limit.q, &w);
	while (!atomic_load(&k->limit.over)) {
		int64_t user = programs_cpu_ns(k);

		due = look_at_time(k, user);
		if (sched_now_ns() >= memory_due) {
			/* Who does not run touches nothing; what nobody knows is not seen to run.
			 */
			if (user != seen || atomic_load(&k->limit.strays_ns))
				wait = look_at_memory(k);
			memory_due = sched_now_ns() + wait;
			seen = user;
		}
		if (atomic_load(&k->limit.killed_by)) {
			kernel_kill_all(k);
			break;
		}
		(void)fiber_park_until(least(due, memory_due));
	}
	waitq_remove(&w);
	kernel_container_put(k);
}

static const struct hostfile_quota output_quota = {kernel_output_take, kernel_output_give_back};

int
kernel_limits_set(struct kernel_container *k, const struct kernel_limits *l)
{
	int64_t r = 0;

	k->limit.l = *l;
	k->limit.ncpus = sched_ncpu();
	if (l->output_bytes)
		hostfile_set_quota(&output_quota);
	if (l->meter < 0)
		return l->memory_bytes ? -EOPNOTSUPP : 0;
	k->limit.meter_watch = (struct hostfd_watch){.fd = l->meter, .q = &k->limit.meter_q};
	r = sched_watch(&k->limit.meter_watch, EPOLLIN);
	if (r == 0)
		r = k->limit.own_bytes = ask_meter(k, METER_START);
	if (r < 0 && !l->memory_bytes) {
		sched_unwatch(&k->limit.meter_watch);
		host_fd_close(l->meter);
		k->limit.l.meter = -1;
		r = 0;
	}
	return r < 0 ? (int)r : 0;
}

void
kernel_limits_start(struct kernel_container *k)
{
	const struct kernel_limits *l = &k->limit.l;
	struct fiber *f;

	k->limit.own_cpu_ns = host_own_cpu_ns() - sched_spun_ns();
	k->limit.start_ns = sched_now_ns();
	if ((l->cpu_ns || l->wall_ns || l->output_bytes || l->meter >= 0) &&
		fiber_spawn(watch, kernel_container_get(k), &f) < 0)
		panic("out of memory for a fiber");
}

void
kernel_limits_end(struct kernel_container *k)
{
	atomic_store(&k->limit.over, true);
	waitq_notify(&k->limit.q, ~0u);
}

void
kernel_limits_drop(struct kernel_container *k)
{
	if (k->limit.l.meter >= 0) {
		sched_unwatch(&k->limit.meter_watch);
		host_fd_close(k->limit.l.meter);
	}
	waitq_destroy(&k->limit.q);
	waitq_destroy(&k->limit.meter_q);
}
