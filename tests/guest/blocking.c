/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on files that wait: FIFO opens, pipe reads and writes, locks; and what a signal does to
 * them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static int hits;

static void
on_alarm(int n)
{
	(void)n;
	hits++;
}

/* An alarm that has to interrupt a call comes again until it is disarmed: the first may come before
 * the call has begun. */
static void
arm(int restart)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = restart ? SA_RESTART : 0};
	struct itimerval it = {{0, restart ? 0 : 50000}, {0, 50000}};

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
}

static void
disarm(void)
{
	struct itimerval it = {{0, 0}, {0, 0}};

	setitimer(ITIMER_REAL, &it, NULL);
}

#define P(e)                                                                                       \
	do {                                                                                       \
		errno = 0;                                                                         \
		long long r_ = (long long)(e);                                                     \
		int err_ = errno;                                                                  \
		disarm();                                                                          \
		printf("%s = %lld%s%s\n", #e, r_, r_ < 0 ? " " : "",                               \
			r_ < 0 ? strerrorname_np(err_) : "");                                      \
		fflush(stdout);                                                                    \
	} while (0)

static void
show_ready(const char *who, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	poll(&p, 1, 0);
	printf("%s: %#x\n", who, (unsigned)p.revents);
}

/* The last writer has gone: who saw one is told, also who came when it was there already. */
static void
hang_ups(void)
{
	int early = open("ff", O_RDONLY | O_NONBLOCK), writer, waits, later, late;

	show_ready("before there was a writer", early);
	writer = open("ff", O_WRONLY);
	waits = open("ff", O_RDONLY);
	later = open("ff", O_RDONLY | O_NONBLOCK);
	show_ready("with a writer", waits);
	close(writer);
	show_ready("opened before it", early);
	show_ready("opened after it", waits);
	show_ready("opened after it, without waiting", later);
	late = open("ff", O_RDONLY | O_NONBLOCK);
	show_ready("opened when it had gone", late);
	close(early);
	close(waits);
	close(later);
	close(late);
}

int
main(void)
{
	struct flock a = {F_WRLCK, SEEK_SET, 0, 1, 0}, b = {F_WRLCK, SEEK_SET, 1, 1, 0};
	char buf[100000] = "";
	int p[2], q[2], fd, fd2, st;
	pid_t pid;

	mkfifo("ff", 0600);
	arm(0);
	P(open("ff", O_RDONLY));
	arm(0);
	P(open("ff", O_WRONLY));
	pid = fork();
	if (!pid) {
		fd = open("ff", O_WRONLY);
		write(fd, "through", 7);
		_exit(0);
	}
	fd = open("ff", O_RDONLY);
	P(fd >= 0);
	P(read(fd, buf, 100));
	waitpid(pid, NULL, 0);
	P(read(fd, buf, 100));
	close(fd);
	hang_ups();

	pipe(p);
	pipe(q);
	arm(0);
	P(read(p[0], buf, 1));
	arm(1);
	pid = fork();
	if (!pid) {
		usleep(150000);
		write(p[1], "late", 4);
		_exit(0);
	}
	P(read(p[0], buf, 10));
	waitpid(pid, NULL, 0);
	printf("signals %d\n", hits > 3);
	arm(0);
	P(write(p[1], buf, sizeof buf));
	P(read(p[0], buf, sizeof buf));
	pid = fork();
	if (!pid) {
		ssize_t n, all = 0;

		close(q[1]);
		while ((n = read(q[0], buf, 3000)) > 0)
			all += n;
		printf("child read %zd\n", all);
		fflush(stdout);
		_exit(0);
	}
	close(q[0]);
	P(write(q[1], buf, sizeof buf));
	close(q[1]);
	waitpid(pid, NULL, 0);

	pid = fork();
	if (!pid) {
		close(p[0]);
		write(p[1], "x", 1);
		close(p[1]);
		pipe(p);
		close(p[0]);
		write(p[1], "x", 1);
		_exit(0);
	}
	waitpid(pid, &st, 0);
	printf("killed by SIGPIPE %d\n", WIFSIGNALED(st) && WTERMSIG(st) == SIGPIPE);

	fd = open("lock", O_CREAT | O_RDWR, 0600);
	fd2 = open("lock", O_RDWR);
	P(flock(fd, LOCK_EX));
	arm(0);
	P(flock(fd2, LOCK_EX));
	P(fcntl(fd, F_SETLK, &a));
	pid = fork();
	if (!pid) {
		fcntl(fd, F_SETLK, &b);
		write(p[1], "r", 1);
		st = fcntl(fd, F_SETLKW, &a);
		_exit(st ? errno : 0);
	}
	read(p[0], buf, 1);
	usleep(100000);
	P(fcntl(fd, F_SETLKW, &b));
	close(fd2);
	P(fcntl(fd, F_GETLK, &a));
	waitpid(pid, &st, 0);
	printf("child got the lock: %d\n", st == 0);
	return 0;
}
