/* SPDX-License-Identifier: Apache-2.0 */
/*
 * On which CPU a thread runs. A stop that has to wake the tracer on another CPU costs five times
 * one that hands over on the same. So the tracer stays on one CPU, its home, and the threads that
 * call it often run there. A thread that computes for longer than ROAM_NS goes where the host
 * likes, until it has come back quickly SHORT_RUNS times. Every MOVE_NS the host may choose another
 * home: this one may have become busy.
 */
#include "platform/ptrace/internal.h"

#define ROAM_NS	   2000000
#define SHORT_NS   200000
#define SHORT_RUNS 8
#define MOVE_NS	   100000000

enum {
	NO_HOME = -1,
	LEAVING = -2, /* the host may choose until the tracer has slept */
};

static cpu_set_t all;
static int home = NO_HOME;
static int64_t home_ns; /* since when */
static bool on;

void
pt_place_init(void)
{
	CPU_ZERO(&all);
	on = host_call3(SYS_sched_getaffinity, 0, sizeof all, &all) > 0 && CPU_COUNT(&all) > 1;
	home = NO_HOME;
}

static bool
go(pid_t tid, int cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return host_set_affinity(tid, &one, sizeof one) == 0;
}

static void
choose_home(int64_t now)
{
	if (home >= 0 && now - home_ns > MOVE_NS) {
		host_set_affinity(0, &all, sizeof all);
		home = LEAVING;
	} else if (home == NO_HOME) {
		int cpu = sched_getcpu();

		if (cpu >= 0 && CPU_ISSET(cpu, &all) && go(0, cpu)) {
			home = cpu;
			home_ns = now;
		}
	}
}

void
pt_place_resume(struct plat_thread *t)
{
	if (!on)
		return;
	t->resumed_ns = host_now_ns();
	choose_home(t->resumed_ns);
	if (home < 0 || t->place == PT_ROAMING || (t->has_mask && !CPU_ISSET(home, &t->mask)))
		return;
	if (t->place != PT_HOME || t->cpu != home) {
		if (!go(t->tid, home))
			return;
		t->place = PT_HOME;
		t->cpu = home;
	}
	if (t->state == PT_RUNNING)
		list_push_back(&pt.running, &t->running);
}

void
pt_place_stopped(struct plat_thread *t)
{
	if (!on)
		return;
	list_del(&t->running);
	if (t->place != PT_ROAMING)
		return;
	if (host_now_ns() - t->resumed_ns > SHORT_NS)
		t->short_runs = 0;
	else if (++t->short_runs >= SHORT_RUNS)
		t->place = PT_UNPLACED;
}

/* When to look at those that run at home: the first of the list has run longest. */
void
pt_place_limit(int64_t *until_ns)
{
	if (!list_empty(&pt.running)) {
		int64_t at = list_entry(pt.running.next, struct plat_thread, running)->resumed_ns +
			     ROAM_NS;

		if (at < *until_ns)
			*until_ns = at;
	}
}

static const cpu_set_t *
mask_of(const struct plat_thread *t)
{
	return t->has_mask ? &t->mask : &all;
}

void
pt_place_look(void)
{
	if (home == LEAVING)
		home = NO_HOME;
	while (!list_empty(&pt.running)) {
		struct plat_thread *t = list_entry(pt.running.next, struct plat_thread, running);

		if (host_now_ns() - t->resumed_ns < ROAM_NS)
			break;
		list_del(&t->running);
		t->place = PT_ROAMING;
		t->short_runs = 0;
		host_set_affinity(t->tid, mask_of(t), sizeof *mask_of(t));
	}
}

struct mask_args {
	const void *mask;
	size_t len;
};

static int64_t
job_affinity(struct plat_thread *t, void *arg)
{
	struct mask_args *a = arg;
	int r;

	if (t->state == PT_DEAD)
		return -ESRCH;
	r = host_set_affinity(t->tid, a->mask, a->len);
	if (r < 0)
		return r;
	memset(&t->mask, 0, sizeof t->mask);
	memcpy(&t->mask, a->mask, a->len < sizeof t->mask ? a->len : sizeof t->mask);
	t->has_mask = true;
	t->place = PT_UNPLACED;
	return 0;
}

int
pt_set_affinity(struct plat_thread *t, const void *mask, size_t len)
{
	struct mask_args a = {mask, len};

	return (int)pt_job(job_affinity, t, &a);
}
