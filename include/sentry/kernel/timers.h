/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks and the timers of processes: setitimer(2), timer_create(2). Times are ns. */
#ifndef SENTRY_KERNEL_TIMERS_H
#define SENTRY_KERNEL_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

struct plat_thread;
struct task;
struct tgroup;

#define LX_CLOCK_REALTIME	    0
#define LX_CLOCK_MONOTONIC	    1
#define LX_CLOCK_PROCESS_CPUTIME_ID 2
#define LX_CLOCK_THREAD_CPUTIME_ID  3
#define LX_CLOCK_MONOTONIC_RAW	    4
#define LX_CLOCK_REALTIME_COARSE    5
#define LX_CLOCK_MONOTONIC_COARSE   6
#define LX_CLOCK_BOOTTIME	    7
#define LX_CLOCK_REALTIME_ALARM	    8
#define LX_CLOCK_BOOTTIME_ALARM	    9
#define LX_CLOCK_TAI		    11
#define LX_TIMER_ABSTIME	    1

/* CPU time of a whole group so far: threads that live and those that are gone. */
int64_t tgroup_cpu_ns(struct tgroup *g);
int64_t tgroup_live_cpu_ns(struct tgroup *g); /* without those that are gone */
int64_t task_cpu_ns(struct task *t);
/* The same, exact, for the calling task; parks. */
int64_t task_own_cpu_ns(struct task *t);
/* The same, of any task, by a task: one that runs is asked; parks for some us. */
int64_t task_seen_cpu_ns(struct task *o);
/* TW_CPU was set. */
void task_cpu_sample(struct task *t);
/* What is to be said of the CPU time of t, which ends or leaves its space, where pt is its thread.
 */
int64_t task_cpu_at_leave(struct task *t, struct plat_thread *pt);
/* It goes to the group. tasklist_lock held. */
void task_cpu_leave_locked(struct task *t, int64_t ns, bool exec);

/* RLIMIT_CPU was changed. */
void tgroup_cpu_limit_changed(struct tgroup *g);

/* Present value of a clock, -EINVAL for one that does not exist (clock_getcpuclockid(3) ids
 * included). */
int clock_now(struct task *t, int32_t clock, int64_t *ret_ns);
int clock_resolution(struct task *t, int32_t clock, int64_t *ret_ns);
/* Host CLOCK_MONOTONIC time at which `clock` (not a CPU clock) shows abs_ns to the calling task, or
 * without a time namespace; saturates. */
int64_t clock_deadline(int32_t clock, int64_t abs_ns);
int64_t clock_host_deadline(int32_t clock, int64_t abs_ns);
bool clock_is_cpu(int32_t clock);

struct itimer {
	int64_t interval_ns, value_ns;
};

#define LX_ITIMER_REAL	  0
#define LX_ITIMER_VIRTUAL 1
#define LX_ITIMER_PROF	  2

void itimer_get(struct tgroup *g, int which, struct itimer *ret);
void itimer_set(struct tgroup *g, int which, const struct itimer *v, struct itimer *ret_old);

struct posix_timer_spec {
	int32_t clock;
	int notify; /* LX_SIGEV_* */
	int signo;
	uint64_t value;	  /* sigval */
	bool value_is_id; /* no sigevent was given: sigval is the timer's id */
	int32_t tid;	  /* LX_SIGEV_THREAD_ID */
};
#define LX_SIGEV_SIGNAL	   0
#define LX_SIGEV_NONE	   1
#define LX_SIGEV_THREAD	   2
#define LX_SIGEV_THREAD_ID 4

int posix_timer_create(struct task *t, const struct posix_timer_spec *s, int32_t *ret_id);
int posix_timer_set(
	struct task *t, int32_t id, bool absolute, const struct itimer *v, struct itimer *ret_old);
int posix_timer_get(struct task *t, int32_t id, struct itimer *ret);
int posix_timer_overrun(struct task *t, int32_t id);
/* Every timer of g; under its sighand's lock: fn must not park. */
void posix_timer_each(struct tgroup *g,
	void (*fn)(int32_t id, const struct posix_timer_spec *s, void *arg), void *arg);
int posix_timer_delete(struct task *t, int32_t id);
/* A signal of a timer was taken from the queue: its overrun count and next expiry. Called with the
 * sighand's lock. */
void posix_timer_signal_taken_locked(struct tgroup *g, int32_t id);

#endif
