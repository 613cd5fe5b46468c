/* SPDX-License-Identifier: Apache-2.0 */
/* Time namespaces: time_namespaces(7). Clocks are asked by system call where nothing has been
 * executed since the fork. */
#include "guest.h"
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/timerfd.h>

#define MONO_S 100000L
#define BOOT_S 3000000L
#define NS     1000000000LL

static int64_t
clock_ns(int clock)
{
	struct timespec ts = {0};

	syscall(SYS_clock_gettime, clock, &ts);
	return ts.tv_sec * NS + ts.tv_nsec;
}

static void
link_of(const char *name, char *buf, size_t cap)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof path, "/proc/self/ns/%s", name);
	n = readlink(path, buf, cap - 1);
	buf[n > 0 ? n : 0] = 0;
}

/* Whether it is where its children go. */
static void
show_place(const char *what)
{
	char own[64], children[64];

	link_of("time", own, sizeof own);
	link_of("time_for_children", children, sizeof children);
	printf("%s: %.6s, %s\n", what, own,
		strcmp(own, children) ? "children go elsewhere" : "with its children");
}

static void
show_offsets(void)
{
	char buf[256];
	int fd = open("/proc/self/timens_offsets", O_RDONLY);
	ssize_t n = read(fd, buf, sizeof buf - 1);

	close(fd);
	buf[n > 0 ? n : 0] = 0;
	printf("%s", buf);
}

static void
offsets(const char *text)
{
	int fd = open("/proc/self/timens_offsets", O_WRONLY);
	ssize_t n = write(fd, text, strlen(text));

	printf("write: %zd %s\n", n, n < 0 ? strerrorname_np(errno) : "");
	close(fd);
	show_offsets();
}

static int64_t first[12];

static void
note_clocks(void)
{
	for (int c = 0; c < 12; c++)
		first[c] = clock_ns(c);
}

/* How far the clocks are from those that were noted, in whole seconds, but for the few that the
 * test takes. */
static void
show_shift(const char *what)
{
	static const int which[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,
		CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME, CLOCK_TAI};

	printf("%s:", what);
	for (size_t i = 0; i < sizeof which / sizeof *which; i++)
		printf(" %lld",
			(long long)((clock_ns(which[i]) - first[which[i]]) / NS / 1000 * 1000));
	printf("\n");
	fflush(stdout);
}

static void
parsing(void)
{
	SHOW(unshare(CLONE_NEWTIME));
	show_place("after unshare");
	show_offsets();
	offsets("monotonic 1 0\n");
	offsets("monotonic 2 0\nboottime 3 5\n");
	offsets("1 4 0");
	offsets("7 5 0\n1 6 0\n1 7 0\n");
	offsets("monotonic -100000000 0\n");
	offsets("boottime 9223372036 0\n");
	offsets("boottime 4611686018 0\n");
	offsets("monotonic 1 1000000000\n");
	offsets("monotonic 1 -1\n");
	offsets("monotonic 1\n");
	offsets("realtime 1 0\n");
	offsets("0 1 0\n");
	offsets("");
	offsets("\n");
	offsets("monotonic 1 0 junk\n");
	offsets("monotonic 8 0\n\n");
	offsets("monotonic 9 0\nmonotonic 10 0\nfoo");
	offsets("monotonic -1 999999999");
	offsets("  monotonic 3 4\n");
	offsets("monotonic 99999999999999999999 0\n");
	offsets("monotonic 11 0\nbad\n");
	offsets("boottime 4500000000 0\n");
}

static void
forked(void)
{
	note_clocks();
	SHOW(unshare(CLONE_NEWTIME));
	offsets("monotonic 100000 0\nboottime 3000000 0\n");
	show_shift("unshared");
	if (fork() == 0) {
		show_place("child");
		show_shift("child");
		show_offsets();
		offsets("monotonic 1 0\n");
		SHOW(unshare(CLONE_NEWTIME));
		show_offsets();
		offsets("monotonic 200000 0\n");
		if (fork() == 0) {
			show_shift("grandchild");
			exit(0);
		}
		wait(NULL);
		exit(0);
	}
	wait(NULL);
	offsets("monotonic 1 0\n");
	show_shift("parent");
}

static void *
a_thread(void *arg)
{
	(void)arg;
	show_place("thread");
	show_shift("thread");
	SHOW(setns(open("/proc/self/ns/time_for_children", O_RDONLY), CLONE_NEWTIME));
	return NULL;
}

static void
entered(void)
{
	int first_fd = open("/proc/self/ns/time", O_RDONLY), fd;
	pthread_t t;

	note_clocks();
	SHOW(unshare(CLONE_NEWTIME));
	offsets("monotonic 100000 0\n");
	pthread_create(&t, NULL, a_thread, NULL);
	pthread_join(t, NULL);
	fd = open("/proc/self/ns/time_for_children", O_RDONLY);
	SHOW(ioctl(fd, NS_GET_NSTYPE));
	WORKS(ioctl(fd, NS_GET_USERNS));
	SHOW(ioctl(fd, NS_GET_PARENT));
	SHOW(setns(fd, CLONE_NEWUTS));
	SHOW(setns(fd, CLONE_NEWTIME));
	show_place("entered");
	show_shift("entered");
	offsets("monotonic 1 0\n");
	SHOW(setns(first_fd, 0));
	show_place("back");
	show_shift("back");
	if (setresuid(1000, 1000, 1000) == 0)
		SHOW(setns(fd, CLONE_NEWTIME));
}

static void
cloned(void)
{
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
	} a = {.flags = CLONE_NEWTIME, .exit_signal = SIGCHLD};
	long pid;

	pid = syscall(SYS_clone3, &a, sizeof a);
	if (pid == 0) {
		show_place("clone3");
		offsets("monotonic 1 0\n");
		exit(0);
	}
	wait(NULL);
	show_place("who cloned");
	SHOW(unshare(CLONE_NEWTIME));
	offsets("monotonic 100000 0\n");
	if (vfork() == 0) {
		show_place("vforked");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

static void
unprivileged(void)
{
	prctl(PR_SET_DUMPABLE, 1);
	SHOW(setresgid(1000, 1000, 1000));
	SHOW(setresuid(1000, 1000, 1000));
	prctl(PR_SET_DUMPABLE, 1);
	SHOW(unshare(CLONE_NEWTIME));
	SHOW(unshare(CLONE_NEWTIME | CLONE_NEWUSER));
	prctl(PR_SET_DUMPABLE, 1);
	show_place("unprivileged");
	offsets("boottime 77 0\n");
}

/* --- what waits for a time --- */

static int64_t timed_from; /* CLOCK_REALTIME */

static struct timespec
in_ms(int clock, int64_t ms)
{
	int64_t at;

	timed_from = clock_ns(CLOCK_REALTIME);
	at = clock_ns(clock) + ms * 1000000;
	return (struct timespec){at / NS, at % NS};
}

static long
futex(uint32_t *w, int op, uint32_t v, const struct timespec *at, uint32_t bits)
{
	return syscall(SYS_futex, w, op, v, at, NULL, bits);
}

static uint32_t word, pi_word;

static void *
wake_soon(void *arg)
{
	(void)arg;
	while (futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 9, NULL, 2) == 0)
		sleep_ms(5);
	return NULL;
}

static void
got(int signo)
{
	(void)signo;
}

static void *
hold(void *arg)
{
	volatile int *held = arg;

	syscall(SYS_futex, &pi_word, FUTEX_LOCK_PI, 0, NULL);
	*held = 1;
	while (*held)
		sleep_ms(5);
	syscall(SYS_futex, &pi_word, FUTEX_UNLOCK_PI, 0, NULL);
	return NULL;
}

/* What lasts until in_ms(), or as long since it. */
#define TIMED(expr)                                                                                \
	do {                                                                                       \
		int64_t lasted;                                                                    \
                                                                                                   \
		SHOW(expr);                                                                        \
		lasted = clock_ns(CLOCK_REALTIME) - timed_from;                                    \
		printf("%s\n", lasted < 60000000  ? "early"                                        \
			       : lasted < 10 * NS ? "in time"                                      \
						  : "late");                                       \
	} while (0)

#define BITSET (FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG)

static void
futexes(void)
{
	struct timespec at = in_ms(CLOCK_MONOTONIC, 80), past = {1, 0}, bad = {1, NS},
			span = {0, 80000000};
	struct itimerval soon = {{0, 80000}, {0, 80000}}, off = {0};
	struct sigaction sa = {.sa_handler = got};
	struct {
		uint64_t val, uaddr;
		uint32_t flags, reserved;
	} v = {0, (uintptr_t)&word, 2 /* FUTEX_32 */, 0};
	volatile int held = 0;
	pthread_t t;

	TIMED(futex(&word, BITSET, 0, &at, 1));
	SHOW(futex(&word, BITSET, 0, &past, 1));
	SHOW(futex(&word, BITSET, 0, &bad, 1));
	SHOW(futex(&word, BITSET, 0, (void *)8, 1));
	SHOW(futex(&word, BITSET, 0, &past, 0));
	SHOW(futex(&word, BITSET, 7, &past, 1));
	at = in_ms(CLOCK_MONOTONIC, 80);
	SHOW(futex(&word, BITSET, 7, &at, 1));
	at = in_ms(CLOCK_REALTIME, 80);
	TIMED(futex(&word, BITSET | FUTEX_CLOCK_REALTIME, 0, &at, 1));
	at = in_ms(CLOCK_MONOTONIC, 80);
	TIMED(futex(&word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, &span, 0));
	at = in_ms(CLOCK_MONOTONIC, 20000);
	pthread_create(&t, NULL, wake_soon, NULL);
	SHOW(futex(&word, BITSET, 0, &at, 2));
	pthread_join(t, NULL);
	sigaction(SIGALRM, &sa, NULL);
	at = in_ms(CLOCK_MONOTONIC, 20000);
	setitimer(ITIMER_REAL, &soon, NULL);
	TIMED(futex(&word, BITSET, 0, &at, 1));
	sa.sa_flags = SA_RESTART;
	sigaction(SIGALRM, &sa, NULL);
	at = in_ms(CLOCK_MONOTONIC, 20000);
	setitimer(ITIMER_REAL, &soon, NULL);
	TIMED(futex(&word, BITSET, 0, &at, 1));
	setitimer(ITIMER_REAL, &off, NULL);
	at = in_ms(CLOCK_MONOTONIC, 80);
	TIMED(syscall(SYS_futex_waitv, &v, 1, 0, &at, CLOCK_MONOTONIC));
	SHOW(syscall(SYS_futex_waitv, &v, 1, 0, &at, CLOCK_BOOTTIME));
	v.val = 7;
	SHOW(syscall(SYS_futex_waitv, &v, 1, 0, &past, CLOCK_MONOTONIC));
	v.val = 0;
	at = in_ms(CLOCK_REALTIME, 80);
	TIMED(syscall(SYS_futex_waitv, &v, 1, 0, &at, CLOCK_REALTIME));
	at = in_ms(CLOCK_MONOTONIC, 80);
	TIMED(syscall(455 /* futex_wait */, &word, 0UL, 1UL, 2, &at, CLOCK_MONOTONIC));
	SHOW(syscall(455, &word, 7UL, 1UL, 2, &past, CLOCK_MONOTONIC));
	SHOW(syscall(455, &word, 7UL, 0UL, 2, &past, CLOCK_MONOTONIC));
	pthread_create(&t, NULL, hold, (void *)&held);
	while (!held)
		sleep_ms(1);
	at = in_ms(CLOCK_MONOTONIC, 80);
	TIMED(syscall(SYS_futex, &pi_word, 13 /* FUTEX_LOCK_PI2 */, 0, &at));
	held = 0;
	pthread_join(t, NULL);
}

static void
conditions(void)
{
	pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t c = PTHREAD_COND_INITIALIZER;
	struct timespec at;

	pthread_mutex_lock(&m);
	at = in_ms(CLOCK_MONOTONIC, 80);
	TIMED(pthread_cond_clockwait(&c, &m, CLOCK_MONOTONIC, &at));
	at = in_ms(CLOCK_REALTIME, 80);
	TIMED(pthread_cond_clockwait(&c, &m, CLOCK_REALTIME, &at));
}

static void
sleeps(int clock)
{
	struct timespec at = in_ms(clock, 80), past = {1, 0}, span = {0, 80000000};
	struct itimerspec its = {0};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	timer_t timer;
	uint64_t n = 0;
	sigset_t usr1;
	int fd, sig = 0;

	printf("clock %d\n", clock);
	TIMED(clock_nanosleep(clock, TIMER_ABSTIME, &at, NULL));
	SHOW(clock_nanosleep(clock, TIMER_ABSTIME, &past, NULL));
	at = in_ms(clock, 80);
	TIMED(clock_nanosleep(clock, 0, &span, NULL));

	fd = timerfd_create(clock, 0);
	its.it_value = in_ms(clock, 80);
	SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL));
	TIMED(read(fd, &n, sizeof n));
	its.it_value = past;
	SHOW(timerfd_settime(fd, TFD_TIMER_ABSTIME, &its, NULL));
	SHOW(read(fd, &n, sizeof n));
	close(fd);

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	SHOW(timer_create(clock, &ev, &timer));
	its.it_value = in_ms(clock, 80);
	SHOW(timer_settime(timer, TIMER_ABSTIME, &its, NULL));
	SHOW(timer_gettime(timer, &its));
	TRUE(its.it_value.tv_sec == 0 && its.it_value.tv_nsec <= 80000000);
	TIMED(sigwait(&usr1, &sig));
	timer_delete(timer);
}

static long long
start_ticks(const char *path)
{
	char buf[1024], *p;
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, buf, sizeof buf - 1);
	long long v = 0;

	close(fd);
	buf[n > 0 ? n : 0] = 0;
	p = strrchr(buf, ')');
	for (int i = 0; p && i < 20; i++)
		p = strchr(p + 1, ' ');
	if (p)
		sscanf(p, "%lld", &v);
	return v;
}

static double
uptime(void)
{
	FILE *f = fopen("/proc/uptime", "r");
	double up = 0;

	if (f) {
		if (fscanf(f, "%lf", &up) != 1)
			up = 0;
		fclose(f);
	}
	return up;
}

static long long
boot_time(void)
{
	FILE *f = fopen("/proc/stat", "r");
	char line[4096];
	long long at = 0;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "btime %lld", &at) == 1)
			break;
	if (f)
		fclose(f);
	return at;
}

/* The program in a namespace of MONO_S and BOOT_S; argv: what was seen outside. */
static int
inside(char **argv)
{
	long long up = atoll(argv[0]), sysup = atoll(argv[1]), boot = atoll(argv[2]),
		  start = atoll(argv[3]);
	struct sysinfo si;
	struct timespec ts;

	for (int c = 0; c < 12; c++)
		first[c] = atoll(argv[4 + c]);
	show_place("inside");
	show_shift("system calls");
	clock_gettime(CLOCK_MONOTONIC, &ts);
	printf("monotonic %lld\n",
		(long long)(ts.tv_sec - first[CLOCK_MONOTONIC] / NS) / 1000 * 1000);
	clock_gettime(CLOCK_BOOTTIME, &ts);
	printf("boottime %lld\n",
		(long long)(ts.tv_sec - first[CLOCK_BOOTTIME] / NS) / 1000 * 1000);
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	printf("coarse %lld\n",
		(long long)(ts.tv_sec - first[CLOCK_MONOTONIC_COARSE] / NS) / 1000 * 1000);
	sysinfo(&si);
	printf("uptime %lld sysinfo %lld\n", ((long long)uptime() - up) / 1000 * 1000,
		((long long)si.uptime - sysup) / 1000 * 1000);
	printf("btime %lld\n", (boot_time() - boot - 500) / 1000 * 1000);
	printf("start time %lld\n", (start_ticks("/proc/self/stat") / 100 - start) / 1000 * 1000);
	sleeps(CLOCK_MONOTONIC);
	sleeps(CLOCK_BOOTTIME);
	sleeps(CLOCK_REALTIME);
	futexes();
	conditions();
	return 0;
}

static void
executed(char *self)
{
	char num[16][32], *argv[20] = {self, "inside"};
	struct sysinfo si;
	pid_t pid;

	SHOW(unshare(CLONE_NEWTIME));
	offsets("monotonic 100000 0\nboottime 3000000 0\n");
	note_clocks();
	sysinfo(&si);
	snprintf(num[0], 32, "%lld", (long long)uptime());
	snprintf(num[1], 32, "%lld", (long long)si.uptime);
	snprintf(num[2], 32, "%lld", boot_time());
	snprintf(num[3], 32, "%lld", start_ticks("/proc/self/stat") / 100);
	for (int c = 0; c < 12; c++)
		snprintf(num[4 + c], 32, "%lld", (long long)first[c]);
	for (int i = 0; i < 16; i++)
		argv[2 + i] = num[i];
	fflush(stdout);
	/* its child shares the memory until it executes */
	if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) == 0)
		waitpid(pid, NULL, 0);
	fflush(stdout);
	execv("/proc/self/exe", (char *[]){self, "place", NULL});
}

int
main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "inside") == 0)
		return inside(argv + 2);
	if (argc > 1) {
		show_place("executed");
		show_offsets();
		return 0;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	show_place("first");
	show_offsets();
	offsets("monotonic 1 0\n");
	in_child("parsing", parsing);
	in_child("forked", forked);
	in_child("entered", entered);
	in_child("cloned", cloned);
	in_child("unprivileged", unprivileged);
	executed(argv[0]);
	return 1;
}
