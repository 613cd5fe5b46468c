/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was sent before the end is read before the end: one thread sends a byte and closes at once,
 * another looks all the time.
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

static void
tcp_pair(int p[2])
{
	static int ls = -1;
	static struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof a;

	if (ls < 0) {
		a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		ls = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(ls, (struct sockaddr *)&a, sizeof a) || listen(ls, 5) ||
			getsockname(ls, (struct sockaddr *)&a, &len))
			perror("listen");
	}
	p[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(p[0], (struct sockaddr *)&a, sizeof a))
		perror("connect");
	p[1] = accept(ls, NULL, NULL);
}

static void
stream_pair(int p[2])
{
	socketpair(AF_UNIX, SOCK_STREAM, 0, p);
}

static void
seqpacket_pair(int p[2])
{
	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, p);
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

int
main(void)
{
	pipe(to_close);
	pipe(elsewhere);
	look("tcp", tcp_pair, by_read);
	look("unix stream", stream_pair, by_read);
	look("unix seqpacket", seqpacket_pair, by_read);
	look("pipe", pipe_pair, by_read);
	look("pipe, splice", pipe_pair, by_splice);
	look("pipe, tee", pipe_pair, by_tee);
	return 0;
}
