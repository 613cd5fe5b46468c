/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks, sleeping, interval timers, POSIX timers, timerfd. */
#include "guest.h"
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>

static volatile int ticks, value;

static void
tick(int s, siginfo_t *si, void *uc)
{
	(void)s;
	(void)uc;
	ticks++;
	value = si->si_value.sival_int;
}

static void
between(const char *what, long long ms, long long lo, long long hi)
{
	if (ms >= lo && ms <= hi)
		printf("%s: in time\n", what);
	else
		printf("%s: %lld ms, not in %lld to %lld\n", what, ms, lo, hi);
}

/* CPU time of the program itself, not of the kernel for it. */
static void
burn(int ms)
{
	struct timespec a, b;
	volatile unsigned long x = 0;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	do {
		for (int i = 0; i < 1000000; i++)
			x += (unsigned long)i;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	} while ((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < ms);
}

static volatile sig_atomic_t of_timer, of_kill;

static void
whose(int s, siginfo_t *si, void *uc)
{
	(void)s;
	(void)uc;
	si->si_code == SI_TIMER ? of_timer++ : of_kill++;
}

/* A signal is pending when the timer's comes: that is queued all the same, and the timer goes on.
 */
static void
behind_another(void)
{
	struct sigaction sa = {.sa_sigaction = whose, .sa_flags = SA_SIGINFO};
	struct itimerspec its = {{0, 5000000}, {0, 5000000}};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
	sigset_t set;
	timer_t id;

	sigaction(SIGUSR2, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	kill(getpid(), SIGUSR2);
	SHOW(timer_create(CLOCK_MONOTONIC, &ev, &id));
	SHOW(timer_settime(id, 0, &its, NULL));
	sleep_ms(30);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sleep_ms(60);
	TRUE(of_kill == 1);
	TRUE(of_timer > 2);
	SHOW(timer_delete(id));
}

/* Each counts as a signal that is pending. */
static void
many(void)
{
	struct rlimit old, few = {50, 0};
	struct sigevent ev = {.sigev_notify = SIGEV_NONE};
	static timer_t ids[200];
	int n = 0;

	getrlimit(RLIMIT_SIGPENDING, &old);
	few.rlim_max = old.rlim_max;
	SHOW(setrlimit(RLIMIT_SIGPENDING, &few));
	while (n < 200 && timer_create(CLOCK_MONOTONIC, &ev, &ids[n]) == 0)
		n++;
	printf("200 timers: %s\n", n < 200 ? strerrorname_np(errno) : "made");
	while (n)
		timer_delete(ids[--n]);
	SHOW(setrlimit(RLIMIT_SIGPENDING, &old));
	SHOW(timer_create(CLOCK_MONOTONIC, &ev, &ids[0]));
}

int
main(void)
{
	struct timespec ts, rem;
	struct sigaction sa = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO};
	struct itimerval it = {{0, 10000}, {0, 10000}}, old;
	struct itimerspec its = {{0, 10000000}, {0, 10000000}}, oits;
	struct sigevent ev = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 77};
	struct tms tms;
	timer_t id;
	long long t;
	unsigned long long n;
	int fd;

	for (int c = 0; c < 12; c++) {
		errno = 0;
		int r = clock_gettime(c, &ts);
		printf("clock %d: %s\n", c, r ? strerrorname_np(errno) : "ok");
	}
	SHOW(clock_getres(CLOCK_MONOTONIC, &ts));
	SHOW(ts.tv_nsec);
	SHOW(clock_settime(CLOCK_MONOTONIC, &ts));
	t = now_ms();
	ts = (struct timespec){0, 30000000};
	SHOW(nanosleep(&ts, &rem));
	between("nanosleep", now_ms() - t, 30, 400);
	ts.tv_nsec = 2000000000;
	SHOW(nanosleep(&ts, NULL));
	ts = (struct timespec){-1, 0};
	SHOW(nanosleep(&ts, NULL));
	t = now_ms();
	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += 30000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_nsec -= 1000000000;
		ts.tv_sec++;
	}
	SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL));
	between("absolute", now_ms() - t, 29, 400);
	SHOW(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, NULL));

	sigaction(SIGALRM, &sa, NULL);
	sigaction(SIGRTMIN, &sa, NULL);
	sigaction(SIGVTALRM, &sa, NULL);
	SHOW(setitimer(ITIMER_REAL, &it, NULL));
	t = now_ms();
	while (ticks < 5)
		pause();
	between("five ticks", now_ms() - t, 45, 500);
	memset(&it, 0, sizeof it);
	SHOW(setitimer(ITIMER_REAL, &it, &old));
	SHOW(old.it_interval.tv_usec);
	SHOW(setitimer(9, &it, &old));
	SHOW(alarm(100));
	SHOW(alarm(0));
	ticks = 0;
	it.it_value.tv_usec = 20000;
	SHOW(setitimer(ITIMER_VIRTUAL, &it, NULL));
	/* The host may take time that was the program's for the kernel's. */
	for (int i = 0; i < 40 && !ticks; i++)
		burn(50);
	SHOW(ticks);

	ticks = 0;
	SHOW(timer_create(CLOCK_MONOTONIC, &ev, &id));
	SHOW(timer_settime(id, 0, &its, NULL));
	t = now_ms();
	while (ticks < 3)
		pause();
	between("three expirations", now_ms() - t, 28, 500);
	SHOW(value);
	SHOW(timer_gettime(id, &oits));
	SHOW(oits.it_interval.tv_nsec);
	SHOW(timer_delete(id));
	SHOW(syscall(SYS_timer_delete, 12345));
	SHOW(timer_create(99, &ev, &id));

	fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	SHOW(read(fd, &n, 8));
	SHOW(timerfd_settime(fd, 0, &its, NULL));
	{
		struct pollfd p = {fd, POLLIN, 0};

		SHOW(poll(&p, 1, 1000));
		sleep_ms(50);
		SHOW(read(fd, &n, 8));
		TRUE(n >= 3 && n < 100);
		SHOW(read(fd, &n, 4));
	}
	SHOW(timerfd_gettime(fd, &oits));
	SHOW(oits.it_interval.tv_nsec);
	SHOW(timerfd_create(99, 0));
	SHOW(timerfd_create(CLOCK_MONOTONIC, 0x1234));
	close(fd);
	TRUE(times(&tms) > 0);
	TRUE(tms.tms_utime + tms.tms_stime > 10);
	behind_another();
	many();
	return 0;
}
