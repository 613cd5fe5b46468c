/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors in flight: looked at without being taken, in long chains, in circles that nobody can
 * reach any more or that somebody still can, and more of them than a user may have. */
#include "guest.h"
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static int
put(int via, const int *fd, int n)
{
	_Alignas(8) char control[CMSG_SPACE(sizeof(int) * 16)] = {0};
	char byte = 'x';
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(sizeof(int) * n)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(c), fd, sizeof(int) * n);
	return sendmsg(via, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* How many came, the first in *fd; the others are closed. */
static int
take(int from, int flags, int *fd)
{
	_Alignas(8) char control[CMSG_SPACE(sizeof(int) * 16)];
	char byte;
	struct iovec v = {&byte, 1};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	struct cmsghdr *c;
	int n, got[16];

	if (recvmsg(from, &m, flags | MSG_DONTWAIT) < 0)
		return -1;
	c = CMSG_FIRSTHDR(&m);
	if (!c)
		return 0;
	n = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	memcpy(got, CMSG_DATA(c), sizeof(int) * n);
	*fd = got[0];
	for (int i = 1; i < n; i++)
		close(got[i]);
	return n;
}

/* A pipe's reading end sees the end when the writing one is gone wherever it was. */
static const char *
state(int r)
{
	struct pollfd p = {r, POLLIN, 0};

	poll(&p, 1, 0);
	return p.revents & POLLHUP ? "gone" : "there";
}

static void
settle(int r)
{
	/* Linux collects in a thread of its own, when a unix socket closes. */
	for (int i = 0; i < 200 && strcmp(state(r), "gone"); i++) {
		close(socket(AF_UNIX, SOCK_DGRAM, 0));
		sleep_ms(5);
	}
}

static void
peek(int type)
{
	int s[2], p[2], a = -1, b = -1;

	socketpair(AF_UNIX, type, 0, s);
	pipe(p);
	SHOW(put(s[0], &p[1], 1));
	close(p[1]);
	SHOW(take(s[1], MSG_PEEK, &a));
	SHOW(write(a, "peeked", 6));
	SHOW(take(s[1], 0, &b));
	SHOW(write(b, "taken", 5));
	close(a);
	printf("one of two closed: %s\n", state(p[0]));
	close(b);
	TRUE(read(p[0], (char[16]){0}, 16) == 11);
	printf("both closed: %s\n", state(p[0]));
	SHOW(take(s[1], 0, &a));
	close(s[0]);
	close(s[1]);
	close(p[0]);
}

static void
chain(int n)
{
	int s[2], p[2], last;

	pipe(p);
	last = p[1];
	for (int i = 0; i < n; i++) {
		if (socketpair(AF_UNIX, i % 3 ? SOCK_STREAM : SOCK_DGRAM, 0, s) ||
			put(s[0], &last, 1)) {
			printf("link %d: %d\n", i, errno);
			break;
		}
		close(s[0]);
		close(last);
		last = s[1];
	}
	printf("a chain: %s", state(p[0]));
	close(last);
	settle(p[0]);
	printf(", its end closed: %s\n", state(p[0]));
	close(p[0]);
}

/* a's queue holds a, and b's a pipe's end. */
static void
circle(const char *name, int type, bool kept)
{
	int s[2], t[2], p[2], got[2] = {-1, -1}, fd;

	pipe(p);
	socketpair(AF_UNIX, type, 0, s);
	socketpair(AF_UNIX, type, 0, t);
	/* s[1] holds t[1] and the pipe, t[1] holds s[1] */
	fd = put(s[0], (int[]){t[1], p[1]}, 2) || put(t[0], &s[1], 1);
	close(p[1]);
	printf("%s: %d %s\n", name, fd, state(p[0]));
	close(t[1]);
	close(t[0]);
	close(s[0]);
	if (kept) {
		close(socket(AF_UNIX, SOCK_DGRAM, 0));
		sleep_ms(20);
		printf("  one end open: %s\n", state(p[0]));
		SHOW(take(s[1], 0, &got[0]));
		SHOW(take(got[0], 0, &got[1]));
		close(got[0]);
		close(got[1]);
	}
	close(s[1]);
	settle(p[0]);
	printf("  at the end: %s\n", state(p[0]));
	close(p[0]);
}

/* What a client sent before it was accepted counts too. */
static void
listener(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	socklen_t len = sizeof a;
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), p[2];

	pipe(p);
	bind(l, (void *)&a, 2);
	getsockname(l, (void *)&a, &len);
	listen(l, 4);
	SHOW(connect(c, (void *)&a, len));
	SHOW(put(c, (int[]){l, p[1]}, 2));
	close(p[1]);
	close(l);
	/* Whether it is gone before its client is, is a matter of when Linux looks. */
	close(c);
	settle(p[0]);
	printf("a listener in the queue of its own client: %s\n", state(p[0]));
	close(p[0]);
}

static void
limit(void)
{
	struct rlimit r = {16, 16};
	int s[2], n = 0;

	if (geteuid() == 0 && (setresgid(4242, 4242, 4242) || setresuid(4242, 4242, 4242)))
		printf("who: %d\n", errno);
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	setrlimit(RLIMIT_NOFILE, &r);
	while (n < 100 && !put(s[0], (int[]){0, 0, 0}, 3))
		n++;
	printf("messages of three descriptors: %d %s\n", n, strerrorname_np(errno));
	for (int fd; n && take(s[1], 0, &fd) > 0; n--)
		close(fd);
	printf("left: %d\n", n);
	SHOW(put(s[0], (int[]){0}, 1));
}

/* Circles do not count for ever. */
static void
limit_circles(void)
{
	struct rlimit r = {16, 16};
	int bad = 0;

	if (geteuid() == 0 && (setresgid(4243, 4243, 4243) || setresuid(4243, 4243, 4243)))
		printf("who: %d\n", errno);
	setrlimit(RLIMIT_NOFILE, &r);
	for (int i = 0; i < 100; i++) {
		int s[2], tries = 0;

		socketpair(AF_UNIX, SOCK_STREAM, 0, s);
		while (put(s[0], &s[1], 1) && tries++ < 100)
			sleep_ms(10);
		bad += tries > 100;
		close(s[0]);
		close(s[1]);
	}
	printf("circles refused: %d\n", bad);
}

static void
apart(void (*fn)(void))
{
	fflush(stdout);
	if (fork() == 0) {
		fn();
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	peek(SOCK_STREAM);
	peek(SOCK_DGRAM);
	peek(SOCK_SEQPACKET);
	chain(3);
	chain(3000);
	circle("streams", SOCK_STREAM, false);
	circle("streams", SOCK_STREAM, true);
	circle("packets", SOCK_SEQPACKET, false);
	circle("datagrams", SOCK_DGRAM, false);
	circle("datagrams", SOCK_DGRAM, true);
	listener();
	apart(limit);
	apart(limit_circles);
	return 0;
}
