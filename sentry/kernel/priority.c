/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a thread is scheduled (sched(7)): what the guest sets is kept, and the host's thread is made
 * to run so, as far as a sandbox may ask for it. No sandbox gets ahead of others of the host: a
 * nice value below that with which it was started, and real time, are kept and shown only. To be
 * less nice again takes a limit (RLIMIT_NICE, getrlimit(2)) that moat raises where root starts it.
 */
#include "abi/sched.h"
#include "sentry/kernel/internal.h"
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

static int32_t first_nice; /* of who started the sandbox */
static int first_policy;

void
task_sched_init(void)
{
	first_nice = getpriority(PRIO_PROCESS, 0);
	first_policy = sched_getscheduler(0);
}

int32_t
task_sched_first_nice(void)
{
	return first_nice;
}

static int
host_policy(const struct task_sched *s)
{
	if (first_policy == LX_SCHED_IDLE)
		return LX_SCHED_IDLE;
	if (s->policy == LX_SCHED_BATCH || s->policy == LX_SCHED_IDLE)
		return s->policy;
	return first_policy == LX_SCHED_BATCH ? LX_SCHED_BATCH : LX_SCHED_OTHER;
}

static int
host_nice(const struct task_sched *s)
{
	return s->nice > first_nice ? s->nice : first_nice;
}

/* The host's thread is as old says. */
static void
apply_locked(struct task *t, const struct task_sched *old)
{
	int nice = host_nice(&t->sched), policy = host_policy(&t->sched);

	/* A thread that may not be made less nice stays as it is. */
	if (t->pt && (nice != host_nice(old) || policy != host_policy(old)))
		(void)plat->set_sched(t->pt, nice, policy);
}

void
task_sched_set_locked(struct task *t, const struct task_sched *s)
{
	struct task_sched old = t->sched;

	t->sched = *s;
	apply_locked(t, &old);
}

void
task_sched_copy(struct task *t, struct task *n)
{
	struct task_sched *s = &n->sched;

	mutex_lock(&t->pt_lock);
	*s = t->sched;
	memcpy(n->affinity, t->affinity, sizeof n->affinity);
	mutex_unlock(&t->pt_lock);
	if (!s->reset)
		return;
	/* neither real-time nor favoured, and the flag is off */
	s->reset = false;
	if (s->policy == LX_SCHED_FIFO || s->policy == LX_SCHED_RR) {
		s->policy = LX_SCHED_OTHER;
		s->priority = 0;
		s->nice = 0;
	} else if (s->nice < 0) {
		s->nice = 0;
	}
}

void
task_sched_copied(struct task *t, struct task *n)
{
	struct task_sched s;

	mutex_lock(&t->pt_lock);
	s = t->sched;
	mutex_unlock(&t->pt_lock);
	mutex_lock(&n->pt_lock);
	apply_locked(n, &s);
	mutex_unlock(&n->pt_lock);
}

void
task_sched_fresh(struct task *t)
{
	const struct task_sched usual = {.nice = first_nice};
	uint8_t all[sizeof t->affinity];

	sched_online_cpus(all, sizeof all);
	mutex_lock(&t->pt_lock);
	apply_locked(t, &usual);
	if (memcmp(t->affinity, all, sizeof all) != 0)
		(void)plat->set_affinity(t->pt, t->affinity, sizeof t->affinity);
	mutex_unlock(&t->pt_lock);
}
