/* SPDX-License-Identifier: Apache-2.0 */
/* TCP's urgent byte: out of band and in line, the mark, poll, SIGURG. */
#include "guest.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int a, b;
static volatile sig_atomic_t urgs;

static void
on_urg(int sig)
{
	(void)sig;
	urgs++;
}

static void
pair(void)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof in;
	int l = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	bind(l, (struct sockaddr *)&in, sizeof in);
	listen(l, 1);
	getsockname(l, (struct sockaddr *)&in, &len);
	a = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(a, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(a, (struct sockaddr *)&in, sizeof in) < 0 || (b = accept(l, NULL, NULL)) < 0)
		exit(1);
	close(l);
}

static void
unpair(void)
{
	close(a);
	close(b);
}

/* What poll says once something is there. */
static void
ready(void)
{
	struct pollfd p = {b, POLLIN | POLLPRI, 0};

	poll(&p, 1, 2000);
	usleep(20000);
	poll(&p, 1, 0);
	printf("poll:%s%s", p.revents & POLLIN ? " IN" : "", p.revents & POLLPRI ? " PRI" : "");
}

static void
look(void)
{
	int mark = -1, n = -1;

	ready();
	ioctl(b, SIOCATMARK, &mark);
	ioctl(b, FIONREAD, &n);
	printf(", mark %d, %d to read\n", mark, n);
}

static void
take(int flags)
{
	char buf[32] = "";
	ssize_t n;

	errno = 0;
	n = recv(b, buf, sizeof buf - 1, flags | MSG_DONTWAIT);
	printf("recv %s%s: %zd %s %s\n", flags & MSG_OOB ? "OOB" : "",
		flags & MSG_PEEK ? "PEEK" : "", n, n > 0 ? buf : "",
		n < 0 ? strerrorname_np(errno) : "");
}

int
main(void)
{
	struct sigaction sa = {.sa_handler = on_urg};
	int on = 1;

	sigaction(SIGURG, &sa, NULL);

	printf("-- alone\n");
	pair();
	take(MSG_OOB);
	SHOW(fcntl(b, F_SETOWN, getpid()));
	SHOW(send(a, "!", 1, MSG_OOB));
	look();
	take(0);
	take(MSG_OOB | MSG_PEEK);
	take(MSG_OOB);
	take(MSG_OOB);
	look();
	printf("SIGURG %d\n", (int)urgs);
	unpair();

	printf("-- between others\n");
	pair();
	SHOW(send(a, "abc", 3, MSG_OOB));
	SHOW(send(a, "def", 3, 0));
	look();
	take(MSG_PEEK);
	take(0);
	look();
	take(MSG_OOB);
	take(0);
	take(MSG_OOB);
	look();
	unpair();

	printf("-- passed unread\n");
	pair();
	SHOW(send(a, "ab", 2, MSG_OOB));
	SHOW(send(a, "cd", 2, 0));
	look();
	take(0);
	take(0);
	take(MSG_OOB);
	unpair();

	printf("-- in line\n");
	pair();
	SHOW(setsockopt(b, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
	SHOW(send(a, "abc", 3, MSG_OOB));
	SHOW(send(a, "def", 3, 0));
	look();
	take(MSG_OOB);
	take(0);
	look();
	take(0);
	look();
	unpair();

	printf("-- twice\n");
	pair();
	SHOW(send(a, "ab", 2, MSG_OOB));
	look();
	SHOW(send(a, "cd", 2, MSG_OOB));
	look();
	take(MSG_OOB);
	take(0);
	take(0);
	unpair();
	printf("SIGURG %d\n", (int)urgs);
	return 0;
}
