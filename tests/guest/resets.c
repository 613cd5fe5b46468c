/* SPDX-License-Identifier: Apache-2.0 */
/* What is left of a TCP connection whose other end is closed or shut down: each step with its
 * answer, what poll says, and the state in TCP_INFO. */
#include "guest.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>

static int c, s; /* the one that is looked at, and the other end */
static char buf[100];

static void
look(void)
{
	struct pollfd p = {c, POLLIN | POLLOUT | POLLRDHUP, 0};
	struct tcp_info ti = {0};
	socklen_t len = sizeof ti;

	poll(&p, 1, 0);
	getsockopt(c, IPPROTO_TCP, TCP_INFO, &ti, &len);
	printf("  events %x, state %d\n", p.revents, ti.tcpi_state);
}

#define STEP(x)                                                                                    \
	do {                                                                                       \
		SHOW(x);                                                                           \
		look();                                                                            \
	} while (0)
#define SEND STEP(write(c, "x", 1))
#define TAKE STEP(read(c, buf, 9))
#define ASK  STEP(so_error())

static int
so_error(void)
{
	int e = -1;
	socklen_t len = sizeof e;

	getsockopt(c, SOL_SOCKET, SO_ERROR, &e, &len);
	return e;
}

static void
begin(const char *what)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	int l = socket(AF_INET, SOCK_STREAM, 0);

	puts(what);
	bind(l, (struct sockaddr *)&a, sizeof a);
	listen(l, 5);
	getsockname(l, (struct sockaddr *)&a, &len);
	c = socket(AF_INET, SOCK_STREAM, 0);
	connect(c, (struct sockaddr *)&a, sizeof a);
	s = accept(l, NULL, NULL);
	close(l);
}

static void
closed(void)
{
	const struct linger now = {1, 0};

	begin("closed, write first");
	close(s);
	SEND;
	TAKE;
	SEND;
	TAKE;
	SEND;
	ASK;
	TAKE;
	close(c);
	begin("closed, read first");
	close(s);
	TAKE;
	SEND;
	TAKE;
	SEND;
	ASK;
	close(c);
	begin("closed after it wrote");
	SHOW(write(s, "hello", 5));
	close(s);
	SEND;
	STEP(read(c, buf, 3));
	TAKE;
	TAKE;
	SEND;
	close(c);
	begin("closed, SO_ERROR is asked");
	close(s);
	SEND;
	ASK;
	ASK;
	SEND;
	TAKE;
	close(c);
	begin("closed at once");
	setsockopt(s, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(s);
	TAKE;
	TAKE;
	SEND;
	close(c);
}

static void
unread(bool write_first)
{
	begin(write_first ? "closed with bytes unread, write first" : "closed with bytes unread");
	SHOW(write(c, "abc", 3));
	usleep(1000);
	close(s);
	if (write_first) {
		SEND;
		SEND;
	} else {
		TAKE;
	}
	TAKE;
	SEND;
	close(c);
}

static void
shut(void)
{
	begin("SHUT_WR");
	shutdown(s, SHUT_WR);
	SEND;
	TAKE;
	SEND;
	close(s);
	TAKE;
	SEND;
	close(c);
	begin("SHUT_RDWR");
	shutdown(s, SHUT_RDWR);
	SEND;
	TAKE;
	SEND;
	SEND;
	SHOW(read(s, buf, 9));
	close(s);
	close(c);
	begin("SHUT_RD");
	shutdown(s, SHUT_RD);
	SEND;
	SEND;
	close(s);
	TAKE;
	SEND;
	close(c);
	begin("SHUT_WR of both");
	shutdown(c, SHUT_WR);
	close(s);
	TAKE;
	SEND;
	close(c);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IONBF, 0);
	closed();
	unread(false);
	unread(true);
	shut();
	return 0;
}
