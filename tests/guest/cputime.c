// SPDX-License-Identifier: Apache-2.0
/*
 * CPU time of threads among others, and the timers that run on it: clock_gettime(2),
 * timer_create(2), setitimer(2), getrusage(2). What profilers are made of. Amounts are compared
 * with the CPU time that the program itself sees, so that a busy machine changes nothing.
 */
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#define MS 1000000LL

static long long
cpu_ns(clockid_t c)
{
	struct timespec ts;

	return clock_gettime(c, &ts) ? -1 : ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void
burn(long long ns)
{
	long long end = cpu_ns(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (cpu_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		for (volatile int i = 0; i < 10000; i++)
			;
}

/* Without a system call for all of it. */
static void
spin(unsigned long n)
{
	for (volatile unsigned long i = 0; i < n; i++)
		;
}

static unsigned long per_ms;

static void
calibrate(void)
{
	long long a = cpu_ns(CLOCK_THREAD_CPUTIME_ID), b;
	unsigned long n = 0;

	do {
		spin(100000);
		n += 100000;
		b = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	} while (b - a < 50 * MS);
	per_ms = n / 50;
}

enum { MANY = 50 };

struct worker {
	pthread_t th;
	timer_t timer;
	int busy;
	_Atomic int ready, stop;
	pid_t tid;
	long long used;
	_Atomic int signals;
};

static __thread struct worker *self;
static _Atomic int others;

static void
on_signal(int sig)
{
	(void)sig;
	if (self)
		self->signals++;
	else
		others++;
}

static void
make_timer(clockid_t clock, timer_t *t, int tid)
{
	struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
	struct itimerspec its = {{0, 10 * MS}, {0, 10 * MS}};

	ev._sigev_un._tid = tid;
	if (timer_create(clock, &ev, t) || timer_settime(*t, 0, &its, NULL))
		printf("timer: %s\n", strerrorname_np(errno));
}

/* Each with a timer on its own time; one computes, the other waits in a futex. */
static void *
own_timer(void *arg)
{
	struct worker *w = arg;
	timer_t t;

	self = w;
	w->tid = gettid();
	make_timer(CLOCK_THREAD_CPUTIME_ID, &t, w->tid);
	w->ready = 1;
	if (w->busy) {
		spin(per_ms * 300);
	} else {
		while (!w->stop)
			syscall(SYS_futex, &w->stop, 0, 0, NULL);
	}
	w->used = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	timer_delete(t);
	return NULL;
}

static void
about(const char *what, int got, long long used_ns)
{
	long long want = used_ns / (10 * MS);

	/* Linux charges whole ticks: what comes too often is not the timer's fault. */
	if (got >= want / 2 - 1 && got <= want * 3 + 2)
		printf("%s: as often as the time used says\n", what);
	else
		printf("%s: %d signals for %lld ms\n", what, got, used_ns / MS);
}

static void
thread_timers(void)
{
	struct worker w[2] = {{.busy = 1}, {.busy = 0}};

	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 2; i++)
		pthread_create(&w[i].th, NULL, own_timer, &w[i]);
	pthread_join(w[0].th, NULL);
	w[1].stop = 1;
	syscall(SYS_futex, &w[1].stop, 1, 1);
	pthread_join(w[1].th, NULL);
	about("the busy one", w[0].signals, w[0].used);
	about("the idle one", w[1].signals, w[1].used);
	TRUE(w[1].signals <= 1);
	TRUE(others == 0);
}

static void
on_timer(int sig)
{
	(void)sig;
	if (self)
		self->signals += 1 + timer_getoverrun(self->timer);
}

static pthread_barrier_t all;

static void *
one_of_many(void *arg)
{
	struct worker *w = arg;

	pthread_barrier_wait(&all);
	self = w;
	make_timer(CLOCK_THREAD_CPUTIME_ID, &w->timer, gettid());
	for (int i = 0; i < 1000; i++) {
		spin(per_ms / 30);
		sched_yield();
	}
	/* Linux looks at its ticks, which may have missed who runs so shortly: one comes now. */
	for (int i = 0; i < 100 && w->signals < cpu_ns(CLOCK_THREAD_CPUTIME_ID) / (20 * MS); i++)
		spin(per_ms);
	w->used = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	timer_delete(w->timer);
	return NULL;
}

/* More threads than CPUs compute and come and go, each with a timer on its own time. What it takes
 * to know their times must not be what they use it for. */
static void
many_timers(void)
{
	static struct worker w[MANY];
	long long used = 0;
	int signals = 0;

	signal(SIGUSR1, on_timer);
	pthread_barrier_init(&all, NULL, MANY);
	for (int i = 0; i < MANY; i++)
		pthread_create(&w[i].th, NULL, one_of_many, &w[i]);
	for (int i = 0; i < MANY; i++) {
		pthread_join(w[i].th, NULL);
		used += w[i].used;
		signals += w[i].signals;
	}
	about("many", signals, used);
}

static void *
spinner(void *arg)
{
	struct worker *w = arg;

	self = w;
	w->tid = gettid();
	w->ready = 1;
	while (!w->stop)
		spin(per_ms);
	w->used = cpu_ns(CLOCK_THREAD_CPUTIME_ID);
	return NULL;
}

/* SIGPROF goes to who uses the time, and never wakes who sleeps. */
static void
profile(void)
{
	struct itimerval it = {{0, 10000}, {0, 10000}}, off = {0};
	struct worker w[2] = {0};
	long long start, used;

	signal(SIGPROF, on_signal);
	others = 0;
	start = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	setitimer(ITIMER_PROF, &it, NULL);
	for (int i = 0; i < 2; i++)
		pthread_create(&w[i].th, NULL, spinner, &w[i]);
	/* Where others want the CPUs too, one of the two may get little of them at first. */
	do {
		sleep_ms(5);
		used = cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
	} while (used < 400 * MS || (used < 8000 * MS && (w[0].signals <= 2 || w[1].signals <= 2)));
	w[0].stop = w[1].stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(w[i].th, NULL);
	setitimer(ITIMER_PROF, &off, NULL);
	about("both", w[0].signals + w[1].signals + others, w[0].used + w[1].used);
	TRUE(w[0].signals > 2 && w[1].signals > 2);
	TRUE(others < w[0].signals + w[1].signals);
}

/* The clock of another thread, and that of the process, follow a thread that makes no call. */
static void
clocks(void)
{
	struct worker w = {0};
	struct rusage ru;
	clockid_t c;
	long long a, p, used;

	pthread_create(&w.th, NULL, spinner, &w);
	while (!w.ready)
		sleep_ms(1);
	WORKS(pthread_getcpuclockid(w.th, &c));
	a = cpu_ns(c);
	p = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	while (cpu_ns(CLOCK_PROCESS_CPUTIME_ID) - p < 200 * MS)
		sleep_ms(5);
	used = cpu_ns(c) - a;
	TRUE(used > 100 * MS);
	getrusage(RUSAGE_SELF, &ru);
	TRUE(ru.ru_utime.tv_sec * 1000 + ru.ru_utime.tv_usec / 1000 + ru.ru_stime.tv_sec * 1000 +
			ru.ru_stime.tv_usec / 1000 >=
		used / MS - 10);
	w.stop = 1;
	pthread_join(w.th, NULL);
	TRUE(w.used > 150 * MS);
}

/* What threads and children used is counted once, when they are gone too. */
static void
sums(void)
{
	struct worker w[2] = {{.busy = 1}, {.busy = 1}};
	struct rusage ru;
	long long ms, all;
	int st;
	pid_t p = fork();

	if (p == 0) {
		signal(SIGUSR1, SIG_IGN);
		for (int i = 0; i < 2; i++)
			pthread_create(&w[i].th, NULL, own_timer, &w[i]);
		for (int i = 0; i < 2; i++)
			pthread_join(w[i].th, NULL);
		burn(100 * MS);
		all = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
		ms = (w[0].used + w[1].used + cpu_ns(CLOCK_THREAD_CPUTIME_ID)) / MS;
		printf("in the child: %s\n",
			all / MS >= ms - 20 && all / MS <= ms + 20 ? "the sum" : "not the sum");
		fflush(stdout);
		_exit((int)(all / MS / 10));
	}
	waitpid(p, &st, 0);
	getrusage(RUSAGE_CHILDREN, &ru);
	ms = ru.ru_utime.tv_sec * 1000 + ru.ru_utime.tv_usec / 1000 + ru.ru_stime.tv_sec * 1000 +
	     ru.ru_stime.tv_usec / 1000;
	all = WEXITSTATUS(st) * 10;
	if (ms >= all - 20 && ms <= all + 60)
		printf("to the parent: the same\n");
	else
		printf("to the parent: %lld of %lld ms\n", ms, all);
}

/* A thread that waits in a futex sleeps, for ps too. */
static void
state(void)
{
	struct worker w = {0};
	char path[64], line[256] = "", st = '?';
	FILE *f;

	pthread_create(&w.th, NULL, own_timer, &w);
	while (!w.ready)
		sleep_ms(1);
	for (int i = 0; i < 1000 && st != 'S'; i++) {
		snprintf(path, sizeof path, "/proc/self/task/%d/stat", w.tid);
		f = fopen(path, "r");
		if (f && fgets(line, sizeof line, f) && strrchr(line, ')'))
			st = strrchr(line, ')')[2];
		if (f)
			fclose(f);
		sleep_ms(1);
	}
	printf("state %c\n", st);
	w.stop = 1;
	syscall(SYS_futex, &w.stop, 1, 1);
	pthread_join(w.th, NULL);
}

int
main(void)
{
	timer_t t;

	setvbuf(stdout, NULL, _IOLBF, 0);
	calibrate();
	thread_timers();
	many_timers();
	profile();
	clocks();
	sums();
	state();
	SHOW(timer_create(-7, NULL, &t));
	return 0;
}
