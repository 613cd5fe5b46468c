/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that wait for a span of time and are cut short: by stop and continue, and by a handler
 * (with and without SA_RESTART). Those that go on do so with what is left of the span, others say
 * EINTR (signal(7)).
 */
#include "guest.h"
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ipc.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

/* ms. Two stops of 100 in it: who began anew with the second would end at SECOND + SPAN, and is
 * late from a little before that on. */
#define SPAN   1600
#define FIRST  500
#define SECOND 1300
#define LATE   (SECOND + SPAN - 100)

static const struct timespec span = {SPAN / 1000, SPAN % 1000 * 1000000L};
static uint32_t word = 1;

static int
futex(int op, const struct timespec *ts)
{
	return (int)syscall(SYS_futex, &word, op, 1, ts, NULL, FUTEX_BITSET_MATCH_ANY);
}

static int
c_futex(void)
{
	return futex(FUTEX_WAIT, &span);
}

static int
c_futex_private(void)
{
	return futex(FUTEX_WAIT_PRIVATE, &span);
}

static int
c_futex_bitset(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_sec += 1;
	ts.tv_nsec += span.tv_nsec;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return futex(FUTEX_WAIT_BITSET, &ts);
}

static int
c_nanosleep(void)
{
	return nanosleep(&span, NULL);
}

static int
c_clock_nanosleep(void)
{
	struct timespec rem = {0};
	int r = clock_nanosleep(CLOCK_REALTIME, 0, &span, &rem);

	errno = r;
	return r ? -1 : 0;
}

static int
c_poll(void)
{
	return poll(NULL, 0, SPAN);
}

static int
c_ppoll(void)
{
	return ppoll(NULL, 0, &span, NULL);
}

static int
c_select(void)
{
	struct timeval tv = {SPAN / 1000, SPAN % 1000 * 1000};

	return select(0, NULL, NULL, NULL, &tv);
}

static int
c_pselect(void)
{
	return pselect(0, NULL, NULL, NULL, &span, NULL);
}

static int
c_epoll(void)
{
	struct epoll_event ev;

	return epoll_wait(epoll_create1(0), &ev, 1, SPAN);
}

static int
c_epoll2(void)
{
	struct epoll_event ev;

	return (int)syscall(SYS_epoll_pwait2, epoll_create1(0), &ev, 1, &span, NULL, 0);
}

static int
c_semop(void)
{
	int id = semget(IPC_PRIVATE, 1, 0600), r, e;
	struct sembuf op = {0, -1, 0};

	r = semtimedop(id, &op, 1, &span);
	e = errno;
	semctl(id, 0, IPC_RMID);
	errno = e;
	return r;
}

static int
c_sigtimedwait(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return sigtimedwait(&set, NULL, &span);
}

static int
c_recv(void)
{
	struct timeval tv = {SPAN / 1000, SPAN % 1000 * 1000};
	int s[2];
	char c;

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	return (int)recv(s[0], &c, 1, 0);
}

static int
c_read_timeout(void)
{
	struct timeval tv = {SPAN / 1000, SPAN % 1000 * 1000};
	int s[2];
	char c;

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	return (int)read(s[0], &c, 1);
}

/* The peer takes nothing. */
static int
c_write_timeout(void)
{
	static char buf[1 << 20];
	struct timeval tv = {SPAN / 1000, SPAN % 1000 * 1000};
	int s[2];

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	while (send(s[0], buf, sizeof buf, MSG_DONTWAIT) > 0)
		;
	setsockopt(s[0], SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
	return (int)write(s[0], buf, 1);
}

static int
c_accept_timeout(void)
{
	struct timeval tv = {SPAN / 1000, SPAN % 1000 * 1000};
	int s = socket(AF_INET, SOCK_STREAM, 0);

	listen(s, 1);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	return accept(s, NULL, NULL);
}

static int
c_read(void)
{
	int s[2];
	char c;

	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	alarm(2);
	return (int)read(s[0], &c, 1);
}

#define CALL(f)                                                                                    \
	{                                                                                          \
#f, f                                                                              \
	}
static const struct call {
	const char *name;
	int (*fn)(void);
} calls[] = {CALL(c_futex), CALL(c_futex_private), CALL(c_futex_bitset), CALL(c_nanosleep),
	CALL(c_clock_nanosleep), CALL(c_poll), CALL(c_ppoll), CALL(c_select), CALL(c_pselect),
	CALL(c_epoll), CALL(c_epoll2), CALL(c_semop), CALL(c_sigtimedwait), CALL(c_recv),
	CALL(c_read_timeout), CALL(c_write_timeout), CALL(c_accept_timeout), CALL(c_read)};
#define NCALLS (sizeof calls / sizeof *calls)

static void
handler(int sig)
{
	(void)sig;
}

/* What it came to, and when: in time, before, or as if it had begun anew. All begin together, once
 * `gate` is closed, and count from then on. */
static void
run(const struct call *c, int out, int gate, const long long *start, int flags)
{
	struct sigaction sa = {.sa_handler = handler, .sa_flags = flags};
	long long took;
	char text[100];
	int r;

	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_flags = 0;
	sigaction(SIGALRM, &sa, NULL);
	read(gate, text, 1);
	r = c->fn();
	took = now_ms() - *start;
	snprintf(text, sizeof text, "%s: %d %s, %s\n", c->name, r,
		r < 0 ? strerrorname_np(errno) : "",
		took < FIRST - 50  ? "early"
		: took < SPAN - 50 ? "cut"
		: took < LATE	   ? "in time"
				   : "late");
	write(out, text, strlen(text));
	_exit(0);
}

static void
all(const char *what, int sig, int flags)
{
	long long *start =
		(long long *)syscall(SYS_mmap, 0, 4096, 3, 0x21 /* shared, anonymous */, -1, 0);
	int pipes[NCALLS][2], gate[2];
	pid_t pid[NCALLS];

	printf("%s\n", what);
	fflush(stdout);
	pipe(gate);
	for (unsigned i = 0; i < NCALLS; i++) {
		pipe(pipes[i]);
		pid[i] = fork();
		if (!pid[i]) {
			close(gate[1]);
			run(&calls[i], pipes[i][1], gate[0], start, flags);
		}
		close(pipes[i][1]);
	}
	close(gate[0]);
	*start = now_ms();
	close(gate[1]);
	sleep_ms(FIRST);
	for (int k = 0; k < 2; k++) {
		for (unsigned i = 0; i < NCALLS; i++)
			kill(pid[i], sig);
		sleep_ms(100);
		for (unsigned i = 0; i < NCALLS; i++)
			kill(pid[i], SIGCONT);
		if (sig != SIGSTOP)
			break; /* the second would only find those that went on */
		sleep_ms(SECOND - FIRST - 100);
	}
	for (unsigned i = 0; i < NCALLS; i++) {
		char text[100];
		ssize_t n = read(pipes[i][0], text, sizeof text);

		printf("  %.*s", n < 0 ? 0 : (int)n, text);
		close(pipes[i][0]);
		waitpid(pid[i], NULL, 0);
	}
}

/* A wait that is woken, or whose word has changed, after it went on. */
static void
woken(void)
{
	uint32_t *shared =
		(uint32_t *)syscall(SYS_mmap, 0, 4096, 3, 0x21 /* shared, anonymous */, -1, 0);

	for (int change = 0; change < 2; change++) {
		pid_t pid;
		int st;

		*shared = 1;
		fflush(stdout);
		pid = fork();
		if (!pid) {
			struct timespec ts = {20, 0};
			long r = syscall(SYS_futex, shared, FUTEX_WAIT, 1, &ts, NULL, 0);

			_exit(r < 0 ? errno : 77);
		}
		sleep_ms(200);
		kill(pid, SIGSTOP);
		sleep_ms(50);
		if (change)
			*shared = 2;
		kill(pid, SIGCONT);
		/* once it waits again, which takes as long as the machine is slow */
		for (int k = 0; !change && k < 1000; k++) {
			long n = syscall(SYS_futex, shared, FUTEX_WAKE, 1, NULL, NULL, 0);

			if (n) {
				printf("woken: %ld\n", n);
				break;
			}
			sleep_ms(10);
		}
		waitpid(pid, &st, 0);
		printf("%s: %d\n", change ? "changed" : "woken", WEXITSTATUS(st));
	}
}

/* A span of the process's CPU time, which another thread of it uses: here there is none, so it
 * takes until the alarm. */
static void
cpu(void)
{
	struct timespec long_time = {20, 0}, rem = {0};
	struct sigaction sa = {.sa_handler = handler};

	sigaction(SIGALRM, &sa, NULL);
	alarm(1);
	SHOW(clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &long_time, &rem));
	TRUE(rem.tv_sec >= 19);
}

int
main(void)
{
	all("stop and continue", SIGSTOP, 0);
	all("handler", SIGUSR1, 0);
	all("nothing", 0, 0);
	all("handler with SA_RESTART", SIGUSR1, SA_RESTART);
	woken();
	cpu();
	SHOW(syscall(SYS_restart_syscall));
	return 0;
}
