/* SPDX-License-Identifier: Apache-2.0 */
/* epoll, poll, select, eventfd. */
#include "guest.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

static int ep;

static void
show_events(const char *what, int timeout)
{
	struct epoll_event ev[8];
	int n = epoll_wait(ep, ev, 8, timeout);

	printf("%s: %d", what, n);
	for (int i = 0; i < n; i++)
		printf(" [%x %llu]", ev[i].events, (unsigned long long)ev[i].data.u64);
	printf("\n");
}

static int
ctl(int op, int fd, unsigned events, unsigned long long data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_ctl(ep, op, fd, &ev);
}

static void *
later(void *arg)
{
	sleep_ms(50);
	if (write(*(int *)arg, "x", 1) != 1)
		abort();
	return NULL;
}

static void
nothing(int s)
{
	(void)s;
}

static int pool;

static void *
one_of_pool(void *arg)
{
	struct epoll_event ev;

	(void)arg;
	return (void *)(long)epoll_wait(pool, &ev, 1, 20000);
}

/* Two events at once, and two who each take one. */
static void
two_waiters(void)
{
	int e = eventfd(0, EFD_NONBLOCK), twin = dup(e);
	struct epoll_event ev = {EPOLLIN | EPOLLONESHOT, {.u64 = 1}};
	struct timespec from, to;
	pthread_t t[2];
	void *n[2];

	pool = epoll_create1(0);
	epoll_ctl(pool, EPOLL_CTL_ADD, e, &ev);
	epoll_ctl(pool, EPOLL_CTL_ADD, twin, &ev);
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, one_of_pool, NULL);
	usleep(100000);
	eventfd_write(e, 1);
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], &n[i]);
	clock_gettime(CLOCK_MONOTONIC, &to);
	TRUE(to.tv_sec - from.tv_sec < 10); /* neither by its end */
	printf("each has one: %ld %ld\n", (long)n[0], (long)n[1]);
	close(e);
	close(twin);
	close(pool);
}

static int
eventfd_number(int fd)
{
	char path[40], line[100];
	int number = -1;
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		sscanf(line, "eventfd-id: %d", &number);
	if (f)
		fclose(f);
	return number;
}

/* fdinfo tells one from another, wherever a descriptor of it is. */
static void
eventfd_numbers(void)
{
	int a = eventfd(0, 0), b = eventfd(0, 0), again = dup(a);

	TRUE(eventfd_number(a) >= 0);
	TRUE(eventfd_number(a) != eventfd_number(b));
	TRUE(eventfd_number(a) == eventfd_number(again));
	close(a);
	close(b);
	close(again);
}

int
main(void)
{
	int p[2], q[2], e, e2, sv[2], file;
	unsigned long long v;
	pthread_t t;
	char buf[16];
	struct pollfd pf[3];
	fd_set r, w;
	struct timeval tv = {0, 20000};
	sigset_t mask;

	ep = epoll_create1(EPOLL_CLOEXEC);
	if (pipe(p) || pipe(q) || socketpair(AF_UNIX, SOCK_STREAM, 0, sv))
		abort();
	SHOW(epoll_create1(0x1234));
	SHOW(epoll_create(0));
	SHOW(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	SHOW(ctl(EPOLL_CTL_ADD, p[0], EPOLLIN, 1));
	SHOW(ctl(EPOLL_CTL_DEL, q[0], 0, 0));
	SHOW(ctl(EPOLL_CTL_MOD, q[0], EPOLLIN, 0));
	SHOW(ctl(EPOLL_CTL_ADD, ep, EPOLLIN, 0));
	SHOW(ctl(EPOLL_CTL_ADD, 999, EPOLLIN, 0));
	SHOW(ctl(99, q[0], EPOLLIN, 0));
	file = open("f", O_RDWR | O_CREAT, 0600);
	SHOW(ctl(EPOLL_CTL_ADD, file, EPOLLIN, 0));
	unlink("f");
	show_events("none", 0);
	SHOW(write(p[1], "ab", 2));
	show_events("level", 0);
	show_events("level again", 0);
	SHOW(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLET, 2));
	show_events("edge", 0);
	show_events("edge again", 0);
	SHOW(write(p[1], "c", 1));
	show_events("edge, more came", 0);
	SHOW(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN | EPOLLONESHOT, 3));
	show_events("one shot", 0);
	SHOW(write(p[1], "d", 1));
	show_events("one shot again", 0);
	SHOW(ctl(EPOLL_CTL_MOD, p[0], EPOLLIN, 4));
	SHOW(ctl(EPOLL_CTL_ADD, q[1], EPOLLOUT, 5));
	show_events("two", 0);
	SHOW(read(p[0], buf, 16));
	show_events("one", 0);
	SHOW(ctl(EPOLL_CTL_DEL, q[1], 0, 0));
	pthread_create(&t, NULL, later, &p[1]);
	show_events("woken", 5000);
	pthread_join(t, NULL);
	SHOW(read(p[0], buf, 16));
	show_events("timeout", 20);
	close(p[1]);
	show_events("hang-up", 0);
	e = dup(p[0]);
	close(p[0]);
	show_events("the duplicate keeps it", 0);
	close(e);
	show_events("gone", 0);
	SHOW(ctl(EPOLL_CTL_ADD, sv[0], EPOLLIN | EPOLLOUT | EPOLLRDHUP, 6));
	show_events("socket", 0);
	shutdown(sv[1], SHUT_WR);
	show_events("peer shut down", 0);
	close(sv[1]);
	show_events("peer closed", 0);
	close(sv[0]);

	e = eventfd(3, EFD_NONBLOCK);
	SHOW(read(e, &v, 8));
	SHOW(v);
	SHOW(read(e, &v, 8));
	v = 0xfffffffffffffffe;
	SHOW(write(e, &v, 8));
	v = 1;
	SHOW(write(e, &v, 8));
	v = ~0ULL;
	SHOW(write(e, &v, 8));
	SHOW(write(e, &v, 4));
	pf[0] = (struct pollfd){e, POLLIN | POLLOUT, 0};
	SHOW(poll(pf, 1, 0));
	printf("revents %x\n", pf[0].revents);
	close(e);
	e = eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK);
	SHOW(read(e, &v, 8));
	SHOW(v);
	SHOW(read(e, &v, 8));
	SHOW(read(e, &v, 8));
	e2 = epoll_create1(0);
	{
		struct epoll_event ev = {EPOLLIN, {.u64 = 9}};

		SHOW(epoll_ctl(e2, EPOLL_CTL_ADD, e, &ev));
		SHOW(ctl(EPOLL_CTL_ADD, e2, EPOLLIN, 10));
		SHOW(epoll_ctl(e2, EPOLL_CTL_ADD, ep, &ev));
	}
	show_events("nested, idle", 0);
	v = 1;
	SHOW(write(e, &v, 8));
	show_events("nested", 1000);
	close(e2);
	close(e);
	{
		struct epoll_event ev = {EPOLLIN, {.u64 = 1}};
		int chain[12];

		/* one below the other, the uppermost or the lowest first; then a circle */
		for (int down = 0; down < 2; down++) {
			printf("nested, %s:", down ? "from above" : "from below");
			for (int i = 0; i < 8; i++)
				chain[i] = epoll_create1(0);
			for (int i = 1; i < 8; i++) {
				int k = down ? i : 8 - i;

				printf(" %d", epoll_ctl(chain[k - 1], EPOLL_CTL_ADD, chain[k], &ev)
						      ? errno
						      : 0);
			}
			printf("\n");
			SHOW(epoll_ctl(
				chain[down ? 4 : 7], EPOLL_CTL_ADD, chain[down ? 0 : 3], &ev));
			for (int i = 0; i < 8; i++)
				close(chain[i]);
		}
		/* two chains become one */
		for (int n = 1; n < 5; n++) {
			for (int i = 0; i < 6; i++)
				chain[i] = epoll_create1(0);
			for (int i = 1; i < 5; i++)
				if (i != n)
					SHOW(epoll_ctl(chain[i - 1], EPOLL_CTL_ADD, chain[i], &ev));
			SHOW(epoll_ctl(chain[4], EPOLL_CTL_ADD, chain[5], &ev));
			SHOW(epoll_ctl(chain[n - 1], EPOLL_CTL_ADD, chain[n], &ev));
			SHOW(epoll_ctl(chain[4], EPOLL_CTL_DEL, chain[5], &ev));
			SHOW(epoll_ctl(chain[n - 1], EPOLL_CTL_ADD, chain[n], &ev));
			for (int i = 0; i < 6; i++)
				close(chain[i]);
		}
		/* all of a level watch all of the next */
		for (int i = 0; i < 4; i++)
			chain[i] = epoll_create1(0);
		SHOW(epoll_ctl(chain[1], EPOLL_CTL_ADD, chain[3], &ev));
		SHOW(epoll_ctl(chain[2], EPOLL_CTL_ADD, chain[3], &ev));
		SHOW(epoll_ctl(chain[0], EPOLL_CTL_ADD, chain[1], &ev));
		SHOW(epoll_ctl(chain[0], EPOLL_CTL_ADD, chain[2], &ev));
		SHOW(epoll_ctl(chain[3], EPOLL_CTL_ADD, chain[0], &ev));
		for (int i = 0; i < 4; i++)
			close(chain[i]);
	}
	e = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	SHOW(timerfd_settime(e, 0, &(struct itimerspec){{INT64_MAX, 999999999}, {0, 1}}, NULL));
	pf[0] = (struct pollfd){e, POLLIN, 0};
	SHOW(poll(pf, 1, 1000));
	SHOW(read(e, &v, 8));
	SHOW(v);
	SHOW(poll(pf, 1, 20));
	close(e);

	pf[0] = (struct pollfd){q[0], POLLIN, 0};
	pf[1] = (struct pollfd){q[1], POLLOUT, 0};
	pf[2] = (struct pollfd){999, POLLIN, 0};
	SHOW(poll(pf, 2, 0));
	SHOW(poll(pf, 3, 0));
	printf("revents %x %x %x\n", pf[0].revents, pf[1].revents, pf[2].revents);
	pf[1].fd = -1;
	SHOW(poll(pf, 2, 20));
	SHOW(write(q[1], "x", 1));
	SHOW(poll(pf, 2, -1));
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(q[0], &r);
	FD_SET(q[1], &w);
	SHOW(select(q[1] + 1, &r, &w, NULL, &tv));
	printf("select: %d %d\n", !!FD_ISSET(q[0], &r), !!FD_ISSET(q[1], &w));
	SHOW(read(q[0], buf, 1));
	FD_ZERO(&r);
	FD_SET(q[0], &r);
	SHOW(select(q[0] + 1, &r, NULL, NULL, &tv));
	FD_SET(500, &r);
	SHOW(select(501, &r, NULL, NULL, &tv));
	SHOW(select(-1, NULL, NULL, NULL, &tv));
	/* A signal that only the mask of the call lets through. */
	signal(SIGUSR1, nothing);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	raise(SIGUSR1);
	sigemptyset(&mask);
	pf[0] = (struct pollfd){q[0], POLLIN, 0};
	SHOW(ppoll(pf, 1, NULL, &mask));
	raise(SIGUSR1);
	{
		struct epoll_event ev;

		SHOW(epoll_pwait(ep, &ev, 1, -1, &mask));
	}
	sigprocmask(SIG_BLOCK, NULL, &mask);
	TRUE(sigismember(&mask, SIGUSR1));
	two_waiters();
	eventfd_numbers();
	return 0;
}
