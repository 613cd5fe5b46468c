/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How connections end. What was sent before the end is read before the end: one thread sends a byte
 * and closes at once, another looks all the time. And of one that was dissolved (connect(2),
 * AF_UNSPEC) nothing is left for the next.
 */
#include "guest.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#define TIMES 3000

static int to_close[2], elsewhere[2];

static void *
last_words(void *arg)
{
	int fd;

	for (int k = 0; k < TIMES; k++) {
		if (read(to_close[0], &fd, sizeof fd) != sizeof fd || write(fd, "x", 1) != 1)
			perror("last_words");
		close(fd);
	}
	return arg;
}

static ssize_t
by_read(int fd)
{
	char c;

	return read(fd, &c, 1);
}

static ssize_t
by_splice(int fd)
{
	return splice(fd, NULL, elsewhere[1], NULL, 1, SPLICE_F_NONBLOCK);
}

static ssize_t
by_tee(int fd)
{
	return tee(fd, elsewhere[1], 1, SPLICE_F_NONBLOCK);
}

static int ls;
static struct sockaddr_in at = {.sin_family = AF_INET};

static void
listener(void)
{
	socklen_t len = sizeof at;

	at.sin_port = 0;
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ls = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(ls, (struct sockaddr *)&at, sizeof at) || listen(ls, 5) ||
		getsockname(ls, (struct sockaddr *)&at, &len))
		perror("listen");
}

static int
to(int s)
{
	return connect(s, (struct sockaddr *)&at, sizeof at);
}

static void
tcp_pair(int p[2])
{
	p[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (to(p[0]))
		perror("connect");
	p[1] = accept(ls, NULL, NULL);
}

static void
stream_pair(int p[2])
{
	socketpair(AF_UNIX, SOCK_STREAM, 0, p);
}

static void
pipe_pair(int p[2])
{
	pipe(p);
}

static void
look(const char *what, void (*pair)(int p[2]), ssize_t (*by)(int fd))
{
	int lost = 0, wrong = 0, p[2];
	pthread_t th;
	char c;

	pthread_create(&th, NULL, last_words, NULL);
	for (int k = 0; k < TIMES; k++) {
		ssize_t n;

		pair(p);
		fcntl(p[0], F_SETFL, O_NONBLOCK);
		write(to_close[1], &p[1], sizeof p[1]);
		while ((n = by(p[0])) < 0)
			wrong += errno != EAGAIN;
		lost += n != 1;
		if (by != by_read && n == 1)
			read(elsewhere[0], &c, 1);
		close(p[0]);
	}
	pthread_join(th, NULL);
	printf("%s: lost %d, wrong %d\n", what, lost, wrong);
}

/* A connect that did not wait tells its end once. */
static void
refused(void)
{
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), err;
	struct pollfd p = {s, POLLIN | POLLOUT, 0};
	socklen_t len = sizeof err;

	SHOW(to(s));
	for (int k = 0; k < 2; k++) {
		(void)poll(&p, 1, 5000);
		printf("events %x\n", p.revents);
		if (k)
			SHOW(getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &len) ? -1 : err);
		SHOW(to(s));
		(void)poll(&p, 1, 5000);
		printf("events %x\n", p.revents);
		SHOW(to(s));
	}
	close(s);
}

static void
dissolved(void)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in name;
	socklen_t len = sizeof name;
	int first[2], s, second, third;
	char c = 0;

	tcp_pair(first);
	s = first[0];
	SHOW(send(first[1], "old", 3, 0));
	SHOW(shutdown(s, SHUT_WR));
	SHOW(connect(s, &none, sizeof none));
	SHOW(getpeername(s, (struct sockaddr *)&name, &len));
	SHOW(send(s, "x", 1, MSG_NOSIGNAL));
	SHOW(recv(s, &c, 1, MSG_DONTWAIT));
	SHOW(send(first[1], "x", 1, MSG_NOSIGNAL));
	SHOW(send(first[1], "x", 1, MSG_NOSIGNAL));
	SHOW(recv(first[1], &c, 1, MSG_DONTWAIT));
	SHOW(to(s));
	second = accept(ls, NULL, NULL);
	SHOW(recv(s, &c, 1, MSG_DONTWAIT));
	SHOW(close(first[1]));
	SHOW(recv(s, &c, 1, MSG_DONTWAIT));
	SHOW(send(second, "y", 1, 0));
	SHOW(recv(s, &c, 1, 0));
	SHOW(send(s, "z", 1, 0));
	SHOW(recv(second, &c, 1, 0));
	SHOW(connect(s, &none, sizeof none));
	SHOW(to(s));
	third = accept(ls, NULL, NULL);
	SHOW(shutdown(second, SHUT_RDWR));
	SHOW(recv(s, &c, 1, MSG_DONTWAIT));
	SHOW(close(second));
	SHOW(send(third, "y", 1, 0));
	SHOW(recv(s, &c, 1, 0));
	close(third);
	SHOW(recv(s, &c, 1, 0));
	close(s);

	SHOW(shutdown(ls, SHUT_WR));
	SHOW(connect(ls, &none, sizeof none));
	refused();
	s = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(to(s));
	fcntl(ls, F_SETFL, O_NONBLOCK);
	SHOW(accept(ls, NULL, NULL));
	close(s);
	close(ls);
}

/* What is left of its own address: what it was bound to. */
static void
name(const char *what, int s)
{
	static in_port_t last;
	struct sockaddr_in a;
	socklen_t len = sizeof a;

	(void)getsockname(s, (struct sockaddr *)&a, &len);
	printf("%s: %x, %s port\n", what, ntohl(a.sin_addr.s_addr),
		!a.sin_port	     ? "no"
		: a.sin_port == last ? "the same"
				     : "another");
	last = a.sin_port;
}

static void
addresses(in_addr_t addr, in_port_t port)
{
	const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in own = {AF_INET, htons(port), {htonl(addr)}, {0}};
	int s = socket(AF_INET, SOCK_STREAM, 0), other;

	if (addr || port)
		SHOW(bind(s, (struct sockaddr *)&own, sizeof own));
	name("new", s);
	for (int k = 0; k < 2; k++) {
		SHOW(to(s));
		other = accept(ls, NULL, NULL);
		name("connected", s);
		SHOW(connect(s, &none, sizeof none));
		close(other);
		name("dissolved", s);
	}
	SHOW(bind(s, (struct sockaddr *)&own, sizeof own));
	SHOW(listen(s, 1));
	name("listening", s);
	SHOW(shutdown(s, SHUT_RD));
	name("shut", s);
	SHOW(listen(s, 1));
	name("again", s);
	close(s);
}

int
main(void)
{
	listener();
	addresses(0, 0);
	addresses(INADDR_LOOPBACK, 0);
	addresses(0, 23456);
	addresses(INADDR_LOOPBACK, 23457);
	dissolved();
	listener();
	pipe(to_close);
	pipe(elsewhere);
	look("tcp", tcp_pair, by_read);
	look("unix stream", stream_pair, by_read);
	/* SOCK_SEQPACKET is not here: Linux itself takes the end first, now and then */
	look("pipe", pipe_pair, by_read);
	look("pipe, splice", pipe_pair, by_splice);
	look("pipe, tee", pipe_pair, by_tee);
	return 0;
}
