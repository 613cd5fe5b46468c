/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Much of everything, made and given back. Without arguments a little of each kind; with CASE and N
 * that much of one, after which it waits for the end of its input: tests/escape/leaks.sh then
 * counts what is left in the sandbox's kernel.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(e)                                                                                   \
	do {                                                                                       \
		if (!(e)) {                                                                        \
			printf("%s: %s\n", #e, strerror(errno));                                   \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

static pthread_barrier_t barrier;

static void *
thread(void *arg)
{
	pthread_barrier_wait(&barrier);
	return arg;
}

static void
threads(int n)
{
	pthread_t *t = calloc((size_t)n, sizeof *t);
	pthread_attr_t a;

	pthread_barrier_init(&barrier, NULL, (unsigned)n + 1);
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 65536);
	for (int i = 0; i < n; i++)
		CHECK((errno = pthread_create(&t[i], &a, thread, NULL)) == 0);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	free(t);
}

/* All at once. */
static void
processes(int n)
{
	int p[2], gone = 0;
	char c;

	CHECK(pipe(p) == 0);
	for (int i = 0; i < n; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (pid == 0) {
			close(p[1]);
			_exit(read(p[0], &c, 1) == 0 ? 0 : 1);
		}
	}
	close(p[0]);
	close(p[1]);
	while (wait(NULL) > 0)
		gone++;
	CHECK(gone == n);
}

static pid_t
start(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl("/proc/self/exe", "stress", "nothing", "1", NULL);
		_exit(1);
	}
	return pid;
}

static void
execs(int n)
{
	for (int i = 0; i < n; i++) {
		pid_t pid = start();
		int st;

		CHECK(pid >= 0 && waitpid(pid, &st, 0) == pid && st == 0);
	}
}

static void
files(int n)
{
	char name[64];

	CHECK(mkdir("many", 0700) == 0);
	for (int i = 0; i < n; i++) {
		int fd;

		snprintf(name, sizeof name, "many/f%d", i);
		CHECK((fd = open(name, O_CREAT | O_EXCL | O_RDWR, 0600)) >= 0);
		CHECK(write(fd, name, 10) == 10);
		close(fd);
	}
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "many/f%d", i);
		CHECK(unlink(name) == 0);
		CHECK(access(name, F_OK) == -1);
	}
	CHECK(rmdir("many") == 0);
}

/* MiB written to a file in memory, and read. */
static void
bytes(int n)
{
	char *b = malloc(1 << 20);
	int fd = memfd_create("big", 0);
	long sum = 0, r;

	memset(b, 5, 1 << 20);
	for (int i = 0; i < n; i++)
		CHECK(write(fd, b, 1 << 20) == 1 << 20);
	lseek(fd, 0, SEEK_SET);
	while ((r = read(fd, b, 1 << 20)) > 0)
		sum += r;
	CHECK(sum == (long)n << 20);
	close(fd);
	free(b);
}

/* Keys and keyrings that are made, linked, revoked, left; sessions that are joined. */
static void
keys(int n)
{
	for (int i = 0; i < n; i++) {
		long session = syscall(SYS_keyctl, 1 /* JOIN_SESSION_KEYRING */, NULL), ring, k;

		ring = syscall(SYS_add_key, "keyring", "r", NULL, 0, session);
		k = syscall(SYS_add_key, "user", "k", "hello", 5, ring);
		CHECK(session > 0 && ring > 0 && k > 0);
		CHECK(syscall(SYS_add_key, "user", "k", "hello", 5, session) > 0);
		CHECK(syscall(SYS_keyctl, 8 /* LINK */, k, session) == 0);
		if (i % 3 == 0)
			CHECK(syscall(SYS_keyctl, 3 /* REVOKE */, k) == 0);
		else if (i % 3 == 1)
			CHECK(syscall(SYS_keyctl, 21 /* INVALIDATE */, k) == 0);
		CHECK(syscall(SYS_request_key, "user", "none", NULL, 0) < 0);
	}
}

/* Sockets that are in the queue of each other when the last descriptors to them go. */
static void
circles(int n)
{
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(2 * sizeof(int))];
	} cm = {.h = {CMSG_LEN(2 * sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	char byte = 'x';
	struct iovec iov = {&byte, 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &cm, .msg_controllen = sizeof cm};

	for (int i = 0; i < n; i++) {
		int a[2], b[2], p[2], type = i % 2 ? SOCK_DGRAM : SOCK_STREAM;

		CHECK(pipe(p) == 0 && socketpair(AF_UNIX, type, 0, a) == 0 &&
			socketpair(AF_UNIX, type, 0, b) == 0);
		memcpy(CMSG_DATA(&cm.h), (int[]){b[1], p[1]}, 2 * sizeof(int));
		CHECK(sendmsg(a[0], &m, 0) == 1);
		memcpy(CMSG_DATA(&cm.h), (int[]){a[1], p[0]}, 2 * sizeof(int));
		CHECK(sendmsg(b[0], &m, 0) == 1);
		for (int k = 0; k < 2; k++) {
			close(a[k]);
			close(b[k]);
			close(p[k]);
		}
	}
}

static void
sockets(int n)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}, b;
	socklen_t len = sizeof a;
	int l = socket(AF_INET, SOCK_STREAM, 0), fds[2];
	char buf[8];

	CHECK(bind(l, (void *)&a, sizeof a) == 0 && listen(l, 8) == 0 &&
		getsockname(l, (void *)&a, &len) == 0);
	for (int i = 0; i < n; i++) {
		int c = socket(AF_INET, SOCK_STREAM, 0), s, u = socket(AF_INET, SOCK_DGRAM, 0);

		CHECK(connect(c, (void *)&a, sizeof a) == 0 && (s = accept(l, NULL, NULL)) >= 0);
		CHECK(write(c, "hello", 5) == 5 && read(s, buf, 5) == 5);
		len = sizeof b;
		b = a;
		b.sin_port = 0;
		CHECK(bind(u, (void *)&b, sizeof b) == 0 && getsockname(u, (void *)&b, &len) == 0);
		CHECK(sendto(u, "x", 1, 0, (void *)&b, sizeof b) == 1);
		close(s);
		close(c);
		close(u);
		/* A descriptor that is on its way when both ends go. */
		CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
		union {
			struct cmsghdr h;
			char b[CMSG_SPACE(sizeof(int))];
		} cm = {.h = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
		struct iovec iov = {buf, 1};
		struct msghdr m = {.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = &cm,
			.msg_controllen = sizeof cm};

		memcpy(CMSG_DATA(&cm.h), &fds[i & 1], sizeof(int));
		CHECK(sendmsg(fds[0], &m, 0) == 1);
		close(fds[0]);
		if (i & 1)
			CHECK(recv(fds[1], buf, 1, 0) == 1);
		close(fds[1]);
	}
	close(l);
}

/* Pipes, eventfds and timers, watched; closed in any order. */
static void
polls(int n)
{
	struct itimerspec its = {.it_value = {1000, 0}};
	struct sigevent sev = {.sigev_notify = SIGEV_NONE};

	for (int i = 0; i < n; i++) {
		struct epoll_event ev = {.events = EPOLLIN}, out[4];
		int ep = epoll_create1(0), ep2 = epoll_create1(0), p[2], e = eventfd(1, 0);
		int t = timerfd_create(CLOCK_MONOTONIC, 0);
		timer_t timer;

		CHECK(pipe(p) == 0 && timerfd_settime(t, 0, &its, NULL) == 0);
		CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev) == 0 &&
			epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev) == 0 &&
			epoll_ctl(ep, EPOLL_CTL_ADD, t, &ev) == 0 &&
			epoll_ctl(ep2, EPOLL_CTL_ADD, ep, &ev) == 0);
		CHECK(epoll_wait(ep2, out, 4, 0) == 1);
		CHECK(timer_create(CLOCK_MONOTONIC, &sev, &timer) == 0 &&
			timer_settime(timer, 0, &its, NULL) == 0);
		CHECK(write(p[1], "x", 1) == 1);
		if (i & 1) {
			close(ep);
			CHECK(timer_delete(timer) == 0);
		}
		close(p[0]);
		close(p[1]);
		close(e);
		close(t);
		close(ep2);
		if (!(i & 1)) {
			close(ep);
			CHECK(timer_delete(timer) == 0);
		}
	}
}

static void
maps(int n)
{
	int fd = memfd_create("mapped", 0);

	CHECK(ftruncate(fd, 65536) == 0);
	for (int i = 0; i < n; i++) {
		char *p = mmap(
			NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		char *q = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		char *s =
			mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		CHECK(p != MAP_FAILED && q != MAP_FAILED && s != MAP_FAILED);
		p[5000] = q[5000] = s[5000] = 1;
		CHECK(mprotect(p + 4096, 4096, PROT_READ) == 0);
		CHECK(munmap(q + 4096, 4096) == 0);
		CHECK(munmap(p, 65536) == 0 && munmap(q, 65536) == 0 && munmap(s, 8192) == 0);
	}
	close(fd);
}

static void
nothing(int n)
{
	(void)n;
}

static const struct {
	const char *name;
	void (*run)(int n);
	int few;
} cases[] = {
	{"threads", threads, 100},
	{"processes", processes, 20},
	{"execs", execs, 10},
	{"files", files, 200},
	{"bytes", bytes, 4},
	{"sockets", sockets, 20},
	{"circles", circles, 20},
	{"keys", keys, 20},
	{"polls", polls, 20},
	{"maps", maps, 50},
	{"nothing", nothing, 1},
};

int
main(int argc, char **argv)
{
	char c;

	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (argc == 3 && strcmp(cases[i].name, argv[1]) == 0) {
			cases[i].run(atoi(argv[2]));
			if (cases[i].run == nothing)
				return 0;
			printf("%s %s\n", argv[1], argv[2]);
			fflush(stdout);
			while (read(0, &c, 1) > 0)
				;
			return 0;
		}
		if (argc == 1) {
			cases[i].run(cases[i].few);
			printf("%s %d\n", cases[i].name, cases[i].few);
			fflush(stdout);
		}
	}
	return argc != 1;
}
