/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers of processes. ITIMER_REAL and POSIX timers on wall clocks are host timers; those on CPU
 * time are looked at by cpu_timer, which is armed for the earliest moment at which the time could
 * be used up. All state is under the sighand's lock; a timer's callback takes it, so it is never
 * held while waiting for a callback.
 */
#include "sentry/kernel/timers.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/internal.h"
#include <stdlib.h>

#define CPU_SAMPLE_MIN_NS 1000000
#define FAR_NS		  (INT64_MAX / 4) /* no sum with a time of the clock overflows */

struct posix_timer {
	struct list node; /* in g->posix_timers */
	struct tgroup *g; /* borrowed: dropped before the group is */
	int32_t id;
	struct posix_timer_spec spec;
	struct timer timer;
	int64_t interval_ns;
	int64_t deadline_ns;	 /* host CLOCK_MONOTONIC, or CPU time; 0: not armed */
	struct task *task;	 /* SIGEV_THREAD_ID: a reference */
	struct task *clock_task; /* on whose CPU time it is, a reference; NULL: another clock */
	int64_t looked_ns;	 /* progress_locked() when that was last known */
	int32_t overrun, last_overrun;
	bool pending; /* its signal is queued */
	bool dead;
	/* RLIMIT_SIGPENDING counts each timer as a signal, its queued signal included
	 * (timer_create(2)): the count is the signal's while that is queued. */
	struct user *user; /* a reference */
};

static int64_t
overruns(int64_t *deadline, int64_t interval, int64_t now)
{
	int64_t n = (now - *deadline) / interval + 1;

	/* the next one may be beyond all time: n is 1 then */
	if (__builtin_add_overflow(*deadline, n * interval, deadline))
		*deadline = INT64_MAX;
	return n;
}

/* --- CPU time --- */

/* What all threads together have used, at least as fast as they do. cpu: that of the group; it lags
 * where the host's process is not the group's alone. */
static int64_t
progress_locked(const struct tgroup *g, int64_t cpu)
{
	return atomic_load(&g->shares_space) ? sched_now_ns() * sched_ncpu() : cpu;
}

static int64_t
computing_locked(struct tgroup *g)
{
	struct task *t;
	int64_t n = 0;

	list_for_each_entry (t, &g->threads, tg_node)
		n += task_computes(t);
	return n;
}

/* A thread has its share of what all use, so as long as they have not used that many times what is
 * left to its deadline, it need not be asked: to be asked costs it more than it may have used. */
static int64_t
not_before_locked(struct posix_timer *p, int64_t used, int64_t computing)
{
	int64_t left = p->deadline_ns - task_cpu_ns(p->clock_task);

	if (__builtin_mul_overflow(left, computing > 1 ? computing : 1, &left))
		left = FAR_NS;
	return left - (used - p->looked_ns);
}

/* When to look again. A thread uses no more CPU time than time goes by, all of them together no
 * more than that many times. */
static void
arm_cpu_timer_locked(struct tgroup *g, int64_t cpu)
{
	int64_t first = INT64_MAX, wait = INT64_MAX, computing = -1;
	int64_t used = progress_locked(g, cpu);
	struct posix_timer *p;
	uint64_t lim = rlimit_cur(&g->rlim, LX_RLIMIT_CPU);

	for (int i = 0; i < 2; i++)
		if (g->cpu_itimer[i].deadline_cpu_ns && g->cpu_itimer[i].deadline_cpu_ns < first)
			first = g->cpu_itimer[i].deadline_cpu_ns;
	list_for_each_entry (p, &g->posix_timers, node) {
		if (!clock_is_cpu(p->spec.clock) || !p->deadline_ns)
			continue;
		if (!p->clock_task && p->deadline_ns < first)
			first = p->deadline_ns;
		if (p->clock_task && !p->clock_task->dead) {
			int64_t left = p->deadline_ns - task_cpu_ns(p->clock_task);

			if (computing < 0)
				computing = computing_locked(g);
			if (computing > 1)
				left = not_before_locked(p, used, computing) / sched_ncpu();
			if (left < wait)
				wait = left;
		}
	}
	if (lim != LX_RLIM_INFINITY && lim < INT64_MAX / 1000000000 &&
		(int64_t)lim * 1000000000 < first)
		first = (int64_t)lim * 1000000000;
	if (first != INT64_MAX && (first - cpu) / (g->nr_threads ? g->nr_threads : 1) < wait)
		wait = (first - cpu) / (g->nr_threads ? g->nr_threads : 1);
	if (wait == INT64_MAX)
		return;
	if (wait > FAR_NS)
		wait = FAR_NS;
	timer_arm(&g->cpu_timer,
		sched_now_ns() + (wait < CPU_SAMPLE_MIN_NS ? CPU_SAMPLE_MIN_NS : wait));
}

static void
send_locked(struct tgroup *g, struct task *t, int signo, const struct lx_siginfo *info)
{
	bool cont = false;

	(void)signal_send_locked(g, t, signo, info, false, &cont);
}

static bool
queued_locked(const struct posix_timer *p)
{
	lx_sigset set = p->task ? p->task->pending.set : p->g->shared_pending.set;

	return set & LX_SIGBIT(p->spec.signo);
}

static void
no_longer_pending(struct posix_timer *p)
{
	if (p->pending)
		(void)user_add_sigqueue(p->user, 1);
	p->pending = false;
}

static void
fire_posix_locked(struct posix_timer *p, int64_t now)
{
	struct lx_siginfo info = {.code = LX_SI_TIMER};
	int64_t n = 1;

	if (p->interval_ns)
		n = overruns(&p->deadline_ns, p->interval_ns, now);
	else
		p->deadline_ns = 0;
	if (p->spec.notify == LX_SIGEV_NONE)
		return;
	if (!queued_locked(p)) /* ignored, or thrown away while it was */
		no_longer_pending(p);
	if (p->pending) {
		p->overrun = p->overrun > INT32_MAX - n ? INT32_MAX : p->overrun + (int32_t)n;
		return;
	}
	p->overrun = (int32_t)(n - 1 > INT32_MAX ? INT32_MAX : n - 1);
	info.timer.tid = p->id;
	info.timer.overrun = p->overrun;
	info.timer.value = p->spec.value;
	p->pending = true;
	(void)user_add_sigqueue(p->user, -1);
	send_locked(p->g, p->task, p->spec.signo, &info);
	if (!queued_locked(p))
		no_longer_pending(p);
}

void
posix_timer_signal_taken_locked(struct tgroup *g, int32_t id)
{
	struct posix_timer *p;

	list_for_each_entry (p, &g->posix_timers, node) {
		if (p->id == id) {
			p->last_overrun = p->overrun;
			p->overrun = 0;
			no_longer_pending(p);
		}
	}
}

/* A thread that runs is asked: the host shows its time to nobody else. */
static void
sample_thread_locked(struct posix_timer *p, int64_t used, int64_t computing)
{
	struct task *o = p->clock_task;

	if (o == task_current())
		p->looked_ns = used;
	if (task_cpu_ns(o) >= p->deadline_ns) {
		fire_posix_locked(p, task_cpu_ns(o));
	} else if (o != task_current() && !o->dead && task_computes(o) &&
		   not_before_locked(p, used, computing) <= 0 &&
		   !(atomic_fetch_or(&o->work, TW_CPU) & TW_CPU)) {
		task_wake_for_work(o);
	}
}

static void
sample(struct tgroup *g)
{
	static const int signals[2] = {LX_SIGVTALRM, LX_SIGPROF};
	int64_t cpu = tgroup_cpu_ns(g), used, computing = -1;
	uint64_t lim = rlimit_cur(&g->rlim, LX_RLIMIT_CPU);
	struct posix_timer *p;

	mutex_lock(&g->sighand->lock);
	used = progress_locked(g, cpu);
	for (int i = 0; i < 2; i++) {
		struct cpu_itimer *it = &g->cpu_itimer[i];

		if (!it->deadline_cpu_ns || cpu < it->deadline_cpu_ns)
			continue;
		if (it->interval_ns)
			(void)overruns(&it->deadline_cpu_ns, it->interval_ns, cpu);
		else
			it->deadline_cpu_ns = 0;
		send_locked(g, NULL, signals[i], NULL);
	}
	list_for_each_entry (p, &g->posix_timers, node) {
		if (!clock_is_cpu(p->spec.clock) || !p->deadline_ns)
			continue;
		if (p->clock_task && computing < 0)
			computing = computing_locked(g);
		if (p->clock_task)
			sample_thread_locked(p, used, computing);
		else if (cpu >= p->deadline_ns)
			fire_posix_locked(p, cpu);
	}
	if (lim != LX_RLIM_INFINITY && cpu >= (int64_t)lim * 1000000000) {
		if (cpu >= (int64_t)g->rlim.r[LX_RLIMIT_CPU].max * 1000000000 &&
			g->rlim.r[LX_RLIMIT_CPU].max < INT64_MAX / 1000000000) {
			send_locked(g, NULL, LX_SIGKILL, NULL);
		} else {
			send_locked(g, NULL, LX_SIGXCPU, NULL);
			g->rlim.r[LX_RLIMIT_CPU].cur++; /* again in a second, as Linux does */
		}
	}
	if (g->nr_threads)
		arm_cpu_timer_locked(g, cpu);
	mutex_unlock(&g->sighand->lock);
}

static void
cpu_sample(struct timer *timer)
{
	sample(timer->arg);
}

void
task_cpu_sample(struct task *t)
{
	(void)task_own_cpu_ns(t);
	atomic_fetch_and(&t->work, ~TW_CPU);
	waitq_notify(&t->tgroup->cpu_wait, ~0u);
	sample(t->tgroup);
}

void
tgroup_cpu_limit_changed(struct tgroup *g)
{
	int64_t cpu = tgroup_cpu_ns(g);

	mutex_lock(&g->sighand->lock);
	arm_cpu_timer_locked(g, cpu);
	mutex_unlock(&g->sighand->lock);
}

/* --- interval timers --- */

static void
real_expired(struct timer *timer)
{
	struct tgroup *g = timer->arg;
	int64_t now = sched_now_ns();

	mutex_lock(&g->sighand->lock);
	if (g->real_deadline_ns && g->real_deadline_ns <= now) {
		if (g->real_interval_ns) {
			(void)overruns(&g->real_deadline_ns, g->real_interval_ns, now);
			timer_arm(&g->real_timer, g->real_deadline_ns);
		} else {
			g->real_deadline_ns = 0;
		}
		send_locked(g, NULL, LX_SIGALRM, NULL);
	}
	mutex_unlock(&g->sighand->lock);
}

void
itimers_init(struct tgroup *g)
{
	timer_init(&g->real_timer, real_expired, g);
	timer_init(&g->cpu_timer, cpu_sample, g);
}

void
itimers_stop(struct tgroup *g)
{
	timer_cancel_sync(&g->real_timer);
	timer_cancel_sync(&g->cpu_timer);
	timer_cancel_sync(&g->real_timer);
}

static void
itimer_get_locked(struct tgroup *g, int which, int64_t cpu, struct itimer *ret)
{
	int64_t left;

	if (which == LX_ITIMER_REAL) {
		ret->interval_ns = g->real_interval_ns;
		left = g->real_deadline_ns ? g->real_deadline_ns - sched_now_ns() : 0;
		ret->value_ns = g->real_deadline_ns && left <= 0 ? 1000 : left;
		return;
	}
	ret->interval_ns = g->cpu_itimer[which - 1].interval_ns;
	left = g->cpu_itimer[which - 1].deadline_cpu_ns;
	ret->value_ns = left ? (left > cpu ? left - cpu : 1000) : 0;
}

void
itimer_get(struct tgroup *g, int which, struct itimer *ret)
{
	int64_t cpu = which == LX_ITIMER_REAL ? 0 : tgroup_cpu_ns(g);

	mutex_lock(&g->sighand->lock);
	itimer_get_locked(g, which, cpu, ret);
	mutex_unlock(&g->sighand->lock);
}

void
itimer_set(struct tgroup *g, int which, const struct itimer *v, struct itimer *ret_old)
{
	int64_t cpu = which == LX_ITIMER_REAL ? 0 : tgroup_cpu_ns(g);

	mutex_lock(&g->sighand->lock);
	itimer_get_locked(g, which, cpu, ret_old);
	if (which == LX_ITIMER_REAL) {
		g->real_interval_ns = v->interval_ns;
		g->real_deadline_ns = v->value_ns ? sched_now_ns() + v->value_ns : 0;
		if (g->real_deadline_ns)
			timer_arm(&g->real_timer, g->real_deadline_ns);
		else
			timer_cancel(&g->real_timer);
	} else {
		struct cpu_itimer *it = &g->cpu_itimer[which - 1];

		it->interval_ns = v->interval_ns;
		it->deadline_cpu_ns = v->value_ns ? cpu + v->value_ns : 0;
		arm_cpu_timer_locked(g, cpu);
	}
	mutex_unlock(&g->sighand->lock);
}

/* --- POSIX timers --- */

static void
posix_expired(struct timer *timer)
{
	struct posix_timer *p = timer->arg;
	struct sighand *s = p->g->sighand;
	int64_t now = sched_now_ns();

	mutex_lock(&s->lock);
	if (!p->dead && p->deadline_ns && p->deadline_ns <= now) {
		fire_posix_locked(p, now);
		if (p->deadline_ns)
			timer_arm(&p->timer, p->deadline_ns);
	}
	mutex_unlock(&s->lock);
}

/* The thread whose CPU time a clock is; a reference, NULL for other clocks. clock_now() has
 * accepted it. */
static int
clock_owner(struct task *t, int32_t clock, struct task **ret)
{
	int32_t id = ~(clock >> 3);
	struct tgroup *g;
	bool own;

	if (clock == LX_CLOCK_THREAD_CPUTIME_ID || (clock < 0 && (clock & 4) && !id)) {
		*ret = task_get(t);
		return 0;
	}
	if (clock >= 0)
		return 0;
	if (clock & 4) {
		*ret = task_find_get(id);
		return *ret ? 0 : -EINVAL;
	}
	g = id ? tgroup_find_get(id) : tgroup_get(t->tgroup);
	own = g == t->tgroup;
	tgroup_put(g);
	return own ? 0 : -EINVAL;
}

static struct posix_timer *
find_locked(struct tgroup *g, int32_t id)
{
	struct posix_timer *p;

	list_for_each_entry (p, &g->posix_timers, node)
		if (p->id == id)
			return p;
	return NULL;
}

static void
free_timer(struct posix_timer *p)
{
	timer_cancel_sync(&p->timer);
	timer_cancel_sync(&p->timer); /* it may have armed itself again meanwhile */
	task_put(p->task);
	task_put(p->clock_task);
	if (!p->pending)
		(void)user_add_sigqueue(p->user, -1);
	user_put(p->user);
	free(p);
	LIVE_DEC(TIMER);
}

int
posix_timer_create(struct task *t, const struct posix_timer_spec *s, int32_t *ret_id)
{
	struct tgroup *g = t->tgroup;
	struct posix_timer *p;
	struct task *target = NULL, *clock_task = NULL;
	struct user *u;
	int err = clock_owner(t, s->clock, &clock_task);

	if (err)
		return err;
	if (s->notify == LX_SIGEV_THREAD_ID) {
		target = task_find_get(s->tid);
		if (!target || target->tgroup != g) {
			task_put(target);
			task_put(clock_task);
			return -EINVAL;
		}
	}
	u = user_get(t->cred->uid);
	p = u ? calloc(1, sizeof *p) : NULL;
	if (!p || (uint64_t)user_add_sigqueue(u, 1) > rlimit_cur(&g->rlim, LX_RLIMIT_SIGPENDING)) {
		if (p)
			(void)user_add_sigqueue(u, -1);
		free(p);
		user_put(u);
		task_put(target);
		task_put(clock_task);
		return -EAGAIN;
	}
	LIVE_INC(TIMER);
	p->user = u;
	p->g = g;
	p->spec = *s;
	p->task = target;
	p->clock_task = clock_task;
	timer_init(&p->timer, posix_expired, p);
	mutex_lock(&g->sighand->lock);
	p->id = g->next_timer_id++;
	if (s->value_is_id)
		p->spec.value = (uint64_t)p->id;
	list_push_back(&g->posix_timers, &p->node);
	*ret_id = p->id;
	mutex_unlock(&g->sighand->lock);
	return 0;
}

static void
get_locked(struct posix_timer *p, int64_t now, struct itimer *ret)
{
	ret->interval_ns = p->interval_ns;
	ret->value_ns = !p->deadline_ns ? 0 : p->deadline_ns > now ? p->deadline_ns - now : 1;
}

/* The present time of a timer's clock, and of its group's CPU clock where it is a CPU clock (for
 * arm_cpu_timer_locked). The lock is not held while CPU time is read: that takes it, or parks. */
static int
with_timer(struct task *t, int32_t id, int64_t *now, int64_t *group_now)
{
	struct tgroup *g = t->tgroup;
	struct posix_timer *p;
	struct task *o = NULL;
	bool cpu = false;

	mutex_lock(&g->sighand->lock);
	p = find_locked(g, id);
	if (p) {
		cpu = clock_is_cpu(p->spec.clock);
		o = p->clock_task ? task_get(p->clock_task) : NULL;
	}
	mutex_unlock(&g->sighand->lock);
	if (!p)
		return -EINVAL;
	*group_now = cpu ? tgroup_cpu_ns(g) : 0;
	*now = o ? task_seen_cpu_ns(o) : cpu ? *group_now : sched_now_ns();
	task_put(o);
	return 0;
}

int
posix_timer_set(
	struct task *t, int32_t id, bool absolute, const struct itimer *v, struct itimer *ret_old)
{
	struct tgroup *g = t->tgroup;
	struct posix_timer *p;
	int64_t now, group_now;
	int err = with_timer(t, id, &now, &group_now);

	if (err)
		return err;
	mutex_lock(&g->sighand->lock);
	p = find_locked(g, id);
	if (!p) {
		mutex_unlock(&g->sighand->lock);
		return -EINVAL;
	}
	get_locked(p, now, ret_old);
	p->interval_ns = v->interval_ns;
	p->overrun = 0;
	if (!v->value_ns)
		p->deadline_ns = 0;
	else if (!absolute)
		p->deadline_ns = v->value_ns > INT64_MAX - now ? INT64_MAX : now + v->value_ns;
	else
		p->deadline_ns = clock_is_cpu(p->spec.clock)
					 ? v->value_ns
					 : clock_deadline(p->spec.clock, v->value_ns);
	if (p->deadline_ns < 0)
		p->deadline_ns = 1;
	if (clock_is_cpu(p->spec.clock)) {
		p->looked_ns = progress_locked(g, group_now);
		arm_cpu_timer_locked(g, group_now);
	} else if (p->deadline_ns) {
		timer_arm(&p->timer, p->deadline_ns);
	} else {
		timer_cancel(&p->timer);
	}
	mutex_unlock(&g->sighand->lock);
	return 0;
}

int
posix_timer_get(struct task *t, int32_t id, struct itimer *ret)
{
	struct tgroup *g = t->tgroup;
	struct posix_timer *p;
	int64_t now, group_now;
	int err = with_timer(t, id, &now, &group_now);

	if (err)
		return err;
	mutex_lock(&g->sighand->lock);
	p = find_locked(g, id);
	if (p)
		get_locked(p, now, ret);
	mutex_unlock(&g->sighand->lock);
	return p ? 0 : -EINVAL;
}

int
posix_timer_overrun(struct task *t, int32_t id)
{
	struct tgroup *g = t->tgroup;
	struct posix_timer *p;
	int n = -EINVAL;

	mutex_lock(&g->sighand->lock);
	p = find_locked(g, id);
	if (p)
		n = p->last_overrun;
	mutex_unlock(&g->sighand->lock);
	return n;
}

void
posix_timer_each(struct tgroup *g,
	void (*fn)(int32_t id, const struct posix_timer_spec *s, void *arg), void *arg)
{
	struct posix_timer *p;

	mutex_lock(&g->sighand->lock);
	list_for_each_entry (p, &g->posix_timers, node)
		fn(p->id, &p->spec, arg);
	mutex_unlock(&g->sighand->lock);
}

int
posix_timer_delete(struct task *t, int32_t id)
{
	struct tgroup *g = t->tgroup;
	struct posix_timer *p;

	mutex_lock(&g->sighand->lock);
	p = find_locked(g, id);
	if (p) {
		p->dead = true;
		list_del(&p->node);
	}
	mutex_unlock(&g->sighand->lock);
	if (!p)
		return -EINVAL;
	free_timer(p);
	return 0;
}

void
posix_timers_drop_all(struct tgroup *g)
{
	for (;;) {
		struct posix_timer *p;

		mutex_lock(&g->sighand->lock);
		p = list_first(&g->posix_timers, struct posix_timer, node);
		if (p) {
			p->dead = true;
			list_del(&p->node);
		}
		mutex_unlock(&g->sighand->lock);
		if (!p)
			break;
		free_timer(p);
	}
}
