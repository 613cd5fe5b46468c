/* SPDX-License-Identifier: Apache-2.0 */
/* Time: clocks, sleeping, timers. */
#include "sentry/kernel/timers.h"
#include "sentry/syscall/internal.h"
#include <time.h>

#define NS 1000000000LL

int
timespec_in(struct task *t, struct uaddr addr, int64_t *ret_ns)
{
	struct lx_timespec ts;

	if (copy_in(&t->mem.um, &ts, addr, sizeof ts))
		return -EFAULT;
	if (ts.sec < 0 || ts.nsec < 0 || ts.nsec >= NS)
		return -EINVAL;
	*ret_ns = ts.sec >= INT64_MAX / NS ? INT64_MAX : ts.sec * NS + ts.nsec;
	return 0;
}

int
timespec_out(struct task *t, struct uaddr addr, int64_t ns)
{
	struct lx_timespec ts = {ns / NS, ns % NS};

	return copy_out(&t->mem.um, addr, &ts, sizeof ts);
}

int
timeval_out(struct task *t, struct uaddr addr, int64_t ns)
{
	struct lx_timeval tv = {ns / NS, ns % NS / 1000};

	return copy_out(&t->mem.um, addr, &tv, sizeof tv);
}

int64_t
deadline_after(int64_t ns)
{
	int64_t now = sched_now_ns();

	return ns > INT64_MAX - now ? INT64_MAX : now + ns;
}

/* --- sleeping --- */

static int64_t
sleep_until(struct task *t, int64_t deadline)
{
	for (;;) {
		int err = task_park(t, deadline);

		if (err == -ETIMEDOUT || sched_now_ns() >= deadline)
			return 0;
		if (err)
			return err;
	}
}

static int64_t
sleep_on(struct task *t)
{
	int64_t r = sleep_until(t, t->restart_deadline_ns), left;

	if (!r)
		return 0;
	left = t->restart_deadline_ns - sched_now_ns();
	if (left < 0)
		left = 0;
	if (t->restart_args[0] && timespec_out(t, ua(t->restart_args[0]), left))
		return -EFAULT;
	t->restart_fn = sleep_on;
	return -ERESTART_RESTARTBLOCK;
}

static int64_t
sleep_relative(struct task *t, int64_t ns, uint64_t rem)
{
	t->restart_deadline_ns = deadline_after(ns);
	t->restart_args[0] = rem;
	return sleep_on(t);
}

int64_t
sys_nanosleep(struct task *t, const uint64_t a[6])
{
	int64_t ns;
	int err = timespec_in(t, ua(a[0]), &ns);

	return err ? err : sleep_relative(t, ns, a[1]);
}

/* Sleep on a CPU clock: looked at as often as it could be due. */
static int64_t
sleep_cpu(struct task *t, int32_t clock, int64_t target)
{
	for (;;) {
		int64_t now;
		int err = clock_now(t, clock, &now);

		if (err)
			return err;
		if (now >= target)
			return 0;
		err = task_park(t, deadline_after(target - now < 1000000 ? 1000000 : target - now));
		if (err && err != -ETIMEDOUT)
			return -ERESTARTNOHAND;
	}
}

/* A span of a CPU clock: goes on with what is left, and tells it. args: clock, rem. */
static int64_t
sleep_cpu_on(struct task *t)
{
	int32_t clock = arg_int(t->restart_args[0]);
	int64_t r = sleep_cpu(t, clock, t->restart_deadline_ns), now;

	if (r != -ERESTARTNOHAND)
		return r;
	if (t->restart_args[1] && clock_now(t, clock, &now) == 0 &&
		timespec_out(t, ua(t->restart_args[1]),
			now < t->restart_deadline_ns ? t->restart_deadline_ns - now : 0))
		return -EFAULT;
	t->restart_fn = sleep_cpu_on;
	return -ERESTART_RESTARTBLOCK;
}

int64_t
sys_clock_nanosleep(struct task *t, const uint64_t a[6])
{
	int32_t clock = arg_int(a[0]);
	int flags = arg_int(a[1]);
	int64_t ns, now, r;
	int err;

	if (clock == LX_CLOCK_THREAD_CPUTIME_ID)
		return -EINVAL;
	if (clock == LX_CLOCK_MONOTONIC_RAW || clock == LX_CLOCK_REALTIME_COARSE ||
		clock == LX_CLOCK_MONOTONIC_COARSE)
		return -EOPNOTSUPP;
	err = clock_now(t, clock, &now);
	if (err)
		return err;
	err = timespec_in(t, ua(a[2]), &ns);
	if (err)
		return err;
	if (clock_is_cpu(clock) && (flags & LX_TIMER_ABSTIME))
		return sleep_cpu(t, clock, ns);
	if (clock_is_cpu(clock)) {
		t->restart_args[0] = (uint32_t)clock;
		t->restart_args[1] = a[3];
		t->restart_deadline_ns = ns > INT64_MAX - now ? INT64_MAX : now + ns;
		return sleep_cpu_on(t);
	}
	if (!(flags & LX_TIMER_ABSTIME))
		return sleep_relative(t, ns, a[3]);
	r = sleep_until(t, clock_deadline(clock, ns));
	return r ? -ERESTARTNOHAND : 0;
}

/* --- clocks --- */

int64_t
sys_clock_gettime(struct task *t, const uint64_t a[6])
{
	int64_t ns;
	int err = clock_now(t, arg_int(a[0]), &ns);

	return err ? err : timespec_out(t, ua(a[1]), ns);
}

int64_t
sys_clock_settime(struct task *t, const uint64_t a[6])
{
	int64_t ns;
	int err = clock_now(t, arg_int(a[0]), &ns);

	if (err || arg_int(a[0]) != LX_CLOCK_REALTIME)
		return -EINVAL;
	err = timespec_in(t, ua(a[1]), &ns);
	return err ? err : -EPERM; /* the host's clock is not the sandbox's to set */
}

/* What a clock says that nobody keeps: struct timex. */
static int64_t
adjtime(struct task *t, uint64_t addr)
{
	struct {
		uint32_t modes, pad;
		int64_t offset, freq, maxerror, esterror;
		int32_t status, pad2;
		int64_t constant, precision, tolerance;
		int64_t sec, usec, tick;
		int64_t pps[8]; /* two of them are ints */
		int32_t tai, rest[11];
	} x;
	enum {
		NOT_KEPT = 5,	       /* TIME_ERROR */
		UNSYNCHRONIZED = 0x40, /* STA_UNSYNC */
	};
	int64_t ns;
	int err;

	_Static_assert(sizeof x == 208, "struct timex is 208 bytes");
	if (copy_in(&t->mem.um, &x, ua(addr), sizeof x))
		return -EFAULT;
	if (x.modes && x.modes != 0xa001) /* ADJ_OFFSET_SS_READ */
		return -EPERM;
	err = clock_now(t, LX_CLOCK_REALTIME, &ns);
	if (err)
		return err;
	memset(&x, 0, sizeof x);
	x.maxerror = x.esterror = 16000000;
	x.status = UNSYNCHRONIZED;
	x.constant = 2;
	x.precision = 1;
	x.tolerance = 32768000;
	x.sec = ns / 1000000000;
	x.usec = ns % 1000000000 / 1000;
	x.tick = 10000;
	err = copy_out(&t->mem.um, ua(addr), &x, sizeof x);
	return err ? err : NOT_KEPT;
}

int64_t
sys_adjtimex(struct task *t, const uint64_t a[6])
{
	return adjtime(t, a[0]);
}

int64_t
sys_clock_adjtime(struct task *t, const uint64_t a[6])
{
	int64_t ns;

	if (clock_now(t, arg_int(a[0]), &ns))
		return -EINVAL;
	return arg_int(a[0]) == LX_CLOCK_REALTIME ? adjtime(t, a[1]) : -EOPNOTSUPP;
}

int64_t
sys_clock_getres(struct task *t, const uint64_t a[6])
{
	int64_t ns;
	int err = clock_resolution(t, arg_int(a[0]), &ns);

	return err || !a[1] ? err : timespec_out(t, ua(a[1]), ns);
}

int64_t
sys_gettimeofday(struct task *t, const uint64_t a[6])
{
	int32_t tz[2] = {0, 0};
	int64_t ns;

	(void)clock_now(t, LX_CLOCK_REALTIME, &ns);
	if (a[0] && timeval_out(t, ua(a[0]), ns))
		return -EFAULT;
	if (a[1] && copy_out(&t->mem.um, ua(a[1]), tz, sizeof tz))
		return -EFAULT;
	return 0;
}

int64_t
sys_time(struct task *t, const uint64_t a[6])
{
	int64_t ns, sec;

	(void)clock_now(t, LX_CLOCK_REALTIME, &ns);
	sec = ns / NS;
	if (a[0] && copy_out(&t->mem.um, ua(a[0]), &sec, sizeof sec))
		return -EFAULT;
	return sec;
}

/* --- interval timers --- */

static int
itimer_in(struct task *t, uint64_t addr, struct itimer *ret)
{
	struct lx_timeval v[2];

	if (copy_in(&t->mem.um, v, ua(addr), sizeof v))
		return -EFAULT;
	for (int i = 0; i < 2; i++)
		if (v[i].sec < 0 || v[i].usec < 0 || v[i].usec >= 1000000)
			return -EINVAL;
	ret->interval_ns =
		v[0].sec >= INT64_MAX / NS ? INT64_MAX : v[0].sec * NS + v[0].usec * 1000;
	ret->value_ns =
		v[1].sec >= INT64_MAX / NS / 2 ? INT64_MAX / 2 : v[1].sec * NS + v[1].usec * 1000;
	return 0;
}

static int
itimer_out(struct task *t, uint64_t addr, const struct itimer *v)
{
	int64_t val = v->value_ns;

	/* What is left is rounded up: zero would say that it is off. */
	if (val > 0 && val < 1000)
		val = 1000;
	if (timeval_out(t, ua(addr), v->interval_ns) || timeval_out(t, ua(addr + 16), val))
		return -EFAULT;
	return 0;
}

int64_t
sys_getitimer(struct task *t, const uint64_t a[6])
{
	struct itimer v;

	if ((uint32_t)a[0] > LX_ITIMER_PROF)
		return -EINVAL;
	itimer_get(t->tgroup, arg_int(a[0]), &v);
	return itimer_out(t, a[1], &v);
}

int64_t
sys_setitimer(struct task *t, const uint64_t a[6])
{
	struct itimer v = {0}, old;
	int err;

	if (a[1]) {
		err = itimer_in(t, a[1], &v);
		if (err)
			return err;
	}
	if ((uint32_t)a[0] > LX_ITIMER_PROF)
		return -EINVAL;
	itimer_set(t->tgroup, arg_int(a[0]), &v, &old);
	return a[2] ? itimer_out(t, a[2], &old) : 0;
}

int64_t
sys_alarm(struct task *t, const uint64_t a[6])
{
	struct itimer v = {.value_ns = (int64_t)(uint32_t)a[0] * NS}, old;

	itimer_set(t->tgroup, LX_ITIMER_REAL, &v, &old);
	/* alarm(2): never 0 for one that was running */
	if (!old.value_ns)
		return 0;
	return old.value_ns < NS ? 1 : (old.value_ns + NS / 2) / NS;
}

/* --- POSIX timers --- */

int64_t
sys_timer_create(struct task *t, const uint64_t a[6])
{
	struct {
		uint64_t value;
		int32_t signo, notify, tid;
		uint8_t rest[44];
	} ev;
	struct posix_timer_spec s = {
		.clock = arg_int(a[0]), .signo = LX_SIGALRM, .value_is_id = true};
	int64_t now;
	int32_t id;
	int err = clock_now(t, s.clock, &now);

	if (err)
		return err;
	if (s.clock == LX_CLOCK_MONOTONIC_RAW || s.clock == LX_CLOCK_REALTIME_COARSE ||
		s.clock == LX_CLOCK_MONOTONIC_COARSE)
		return -EOPNOTSUPP;
	if (a[1]) {
		if (copy_in(&t->mem.um, &ev, ua(a[1]), sizeof ev))
			return -EFAULT;
		s.notify = ev.notify;
		s.signo = ev.signo;
		s.value = ev.value;
		s.tid = ev.tid;
		s.value_is_id = false;
		if (s.notify == LX_SIGEV_THREAD)
			s.notify = LX_SIGEV_SIGNAL;
		if (s.notify != LX_SIGEV_SIGNAL && s.notify != LX_SIGEV_NONE &&
			s.notify != LX_SIGEV_THREAD_ID)
			return -EINVAL;
		if (s.notify != LX_SIGEV_NONE && (s.signo < 1 || s.signo > LX_NSIG))
			return -EINVAL;
	}
	err = posix_timer_create(t, &s, &id);
	if (err)
		return err;
	if (copy_out(&t->mem.um, ua(a[2]), &id, sizeof id)) {
		(void)posix_timer_delete(t, id);
		return -EFAULT;
	}
	return 0;
}

static int
timer_out(struct task *t, uint64_t addr, const struct itimer *v)
{
	if (timespec_out(t, ua(addr), v->interval_ns) ||
		timespec_out(t, ua(addr + 16), v->value_ns))
		return -EFAULT;
	return 0;
}

int64_t
sys_timer_settime(struct task *t, const uint64_t a[6])
{
	struct itimer v, old;
	int err = timespec_in(t, ua(a[2]), &v.interval_ns);

	if (!err)
		err = timespec_in(t, ua(a[2] + 16), &v.value_ns);
	if (err)
		return !a[2] ? -EINVAL : err;
	err = posix_timer_set(t, arg_int(a[0]), a[1] & LX_TIMER_ABSTIME, &v, &old);
	if (err)
		return err;
	return a[3] ? timer_out(t, a[3], &old) : 0;
}

int64_t
sys_timer_gettime(struct task *t, const uint64_t a[6])
{
	struct itimer v;
	int err = posix_timer_get(t, arg_int(a[0]), &v);

	return err ? err : timer_out(t, a[1], &v);
}

int64_t
sys_timer_getoverrun(struct task *t, const uint64_t a[6])
{
	return posix_timer_overrun(t, arg_int(a[0]));
}

int64_t
sys_timer_delete(struct task *t, const uint64_t a[6])
{
	return posix_timer_delete(t, arg_int(a[0]));
}
