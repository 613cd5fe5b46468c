/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backlog of a listener (listen(2)). TCP: who finds it full waits, with and without blocking,
 * and is let in, refused, too late, interrupted or gone. AF_UNIX: who blocks waits.
 */
#include "guest.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

static struct sockaddr_in at;

static int
listener(int backlog)
{
	socklen_t len = sizeof at;
	int s = socket(AF_INET, SOCK_STREAM, 0);

	at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(s, (void *)&at, sizeof at) || listen(s, backlog) ||
		getsockname(s, (void *)&at, &len))
		perror("listener");
	return s;
}

static int
client(int flags)
{
	return socket(AF_INET, SOCK_STREAM | flags, 0);
}

static int
to(int s)
{
	return connect(s, (void *)&at, sizeof at);
}

static int
events(int s, int ms)
{
	struct pollfd p = {s, POLLIN | POLLOUT | POLLRDHUP, 0};

	(void)poll(&p, 1, ms);
	return p.revents;
}

static int
state(int s)
{
	struct tcp_info info;
	socklen_t len = sizeof info;

	return getsockopt(s, SOL_TCP, TCP_INFO, &info, &len) ? -1 : info.tcpi_state;
}

static int
error_of(int s)
{
	socklen_t len = sizeof(int);
	int e = -1;

	getsockopt(s, SOL_SOCKET, SO_ERROR, &e, &len);
	return e;
}

/* What is to be seen of it, within ms. */
static void
look(int s, int ms)
{
	int ev = events(s, ms), st = state(s);

	printf("events %x, state %d, error %d\n", ev, st, error_of(s));
}

/* Fill the queue of a listener with this backlog. */
static void
fill(int backlog)
{
	for (int i = 0; i <= backlog; i++)
		if (to(client(0)))
			printf("number %d: %s\n", i, strerrorname_np(errno));
}

static void
without_waiting(void)
{
	int ls = listener(1), s = client(SOCK_NONBLOCK);
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	char c = 'x';

	fill(1);
	SHOW(to(s));
	SHOW(to(s));
	look(s, 100);
	SHOW(getpeername(s, (void *)&a, &len));
	SHOW(listen(s, 1));
	SHOW(send(s, &c, 1, MSG_NOSIGNAL));
	SHOW(recv(s, &c, 1, 0));
	SHOW(accept(ls, NULL, NULL) >= 0);
	look(s, 5000);
	SHOW(to(s));
	SHOW(to(s));
	SHOW(send(s, &c, 1, MSG_NOSIGNAL));
	(void)accept(ls, NULL, NULL);
	SHOW(recv(accept(ls, NULL, NULL), &c, 1, 0));
}

static void *
connect_in_thread(void *arg)
{
	int s = (int)(long)arg;

	return (void *)(long)(to(s) ? errno : 0);
}

static void
waiting(void)
{
	int ls = listener(0), s = client(0), s2 = client(0);
	struct timeval tv = {0, 200000};
	pthread_t th;
	void *r;

	fill(0);
	setsockopt(s2, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
	SHOW(to(s2));
	printf("state %d\n", state(s2));
	close(s2);
	pthread_create(&th, NULL, connect_in_thread, (void *)(long)s);
	for (int i = 0; i < 100 && state(s) != TCP_SYN_SENT; i++)
		sleep_ms(50);
	printf("state %d\n", state(s));
	SHOW(accept(ls, NULL, NULL) >= 0);
	pthread_join(th, &r);
	printf("thread: %ld, state %d\n", (long)r, state(s));
	SHOW(accept(ls, NULL, NULL) >= 0);
	fcntl(ls, F_SETFL, O_NONBLOCK);
	SHOW(accept(ls, NULL, NULL));
}

static void
more_room(void)
{
	int ls = listener(0), s = client(SOCK_NONBLOCK);

	fill(0);
	SHOW(to(s));
	SHOW(listen(ls, 5));
	look(s, 5000);
}

static void
listener_goes(void)
{
	int ls = listener(0), s = client(SOCK_NONBLOCK), s2 = client(SOCK_NONBLOCK);

	fill(0);
	SHOW(to(s));
	SHOW(to(s2));
	SHOW(close(ls));
	printf("events %x\n", events(s, 5000));
	SHOW(to(s));
	look(s2, 5000);
}

static void
connector_goes(void)
{
	int ls = listener(0), s = client(SOCK_NONBLOCK), s2 = client(SOCK_NONBLOCK),
	    s3 = client(SOCK_NONBLOCK);
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	fill(0);
	SHOW(to(s));
	SHOW(to(s2));
	SHOW(to(s3));
	SHOW(close(s));
	SHOW(shutdown(s2, SHUT_RDWR));
	printf("state %d, error %d\n", state(s2), error_of(s2));
	SHOW(connect(s3, &none, sizeof none));
	printf("state %d, error %d\n", state(s3), error_of(s3));
	SHOW(accept(ls, NULL, NULL) >= 0);
	fcntl(ls, F_SETFL, O_NONBLOCK);
	SHOW(accept(ls, NULL, NULL));
}

static void
on_signal(int sig)
{
	(void)sig;
}

static void
interrupted(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	int ls = listener(0), s = client(0);
	pid_t me = getpid();

	fill(0);
	sigaction(SIGUSR1, &sa, NULL);
	if (fork() == 0) {
		sleep_ms(200);
		kill(me, SIGUSR1);
		_exit(0);
	}
	SHOW(to(s));
	printf("state %d\n", state(s));
	SHOW(accept(ls, NULL, NULL) >= 0);
	printf("events %x\n", events(s, 5000));
	wait(NULL);
}

/* The shortest time that can be asked for: one try more, 3 s. */
static void
too_late(void)
{
	int ls = listener(0), s = client(0), one = 1;
	long long before = now_ms();

	fill(0);
	SHOW(setsockopt(s, SOL_TCP, TCP_SYNCNT, &one, sizeof one));
	SHOW(to(s));
	before = now_ms() - before;
	TRUE(before >= 2500 && before < 9000);
	printf("state %d\n", state(s));
	close(ls);
}

/* --- AF_UNIX --- */

static const struct sockaddr_un name = {AF_UNIX, "\0backlog"};

static int
unix_listener(void)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);

	if (bind(s, (void *)&name, 20) || listen(s, 0) || connect(c, (void *)&name, 20))
		perror("unix_listener");
	return s;
}

static int
unix_to(int s)
{
	return connect(s, (void *)&name, 20);
}

/* Waits in a process of its own; tells what came of it, and whether that took its time. */
static pid_t
unix_waits(int ls, int timeout_ms)
{
	struct timeval tv = {timeout_ms / 1000, timeout_ms % 1000 * 1000};
	long long before = now_ms();
	pid_t p;
	int s;

	fflush(stdout);
	p = fork();
	if (p)
		return p;
	close(ls);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
	signal(SIGUSR1, on_signal);
	SHOW(unix_to(s));
	TRUE(now_ms() - before >= 150);
	fflush(stdout);
	_exit(0);
}

static void
unix_room(void)
{
	int ls = unix_listener(), s = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	pid_t p = unix_waits(ls, 0);

	SHOW(unix_to(s));
	sleep_ms(200);
	SHOW(accept(ls, NULL, NULL) >= 0);
	waitpid(p, NULL, 0);
	SHOW(unix_to(s));
	p = unix_waits(ls, 0);
	sleep_ms(200);
	SHOW(listen(ls, 5));
	waitpid(p, NULL, 0);
	SHOW(unix_to(s));
	SHOW(unix_to(s));
}

static void
unix_no_room(void)
{
	int ls = unix_listener(), w;
	pid_t p = unix_waits(ls, 200);

	waitpid(p, &w, 0);
	p = unix_waits(ls, 60000);
	sleep_ms(200);
	kill(p, SIGUSR1);
	waitpid(p, &w, 0);
	p = unix_waits(ls, 0);
	sleep_ms(200);
	SHOW(close(ls));
	waitpid(p, &w, 0);
}

/* The name is another's when there is room. */
static void
unix_another(void)
{
	const struct sockaddr_un at_path = {AF_UNIX, "backlog.sock"};
	int ls[2], c = socket(AF_UNIX, SOCK_STREAM, 0), w;
	pid_t p;

	for (int k = 0; k < 2; k++) {
		ls[k] = socket(AF_UNIX, SOCK_STREAM, 0);
		SHOW(bind(ls[k], (void *)&at_path, sizeof at_path));
		SHOW(listen(ls[k], 0));
		if (k)
			break;
		SHOW(connect(c, (void *)&at_path, sizeof at_path));
		fflush(stdout);
		p = fork();
		if (!p) {
			close(ls[0]);
			c = socket(AF_UNIX, SOCK_STREAM, 0);
			SHOW(connect(c, (void *)&at_path, sizeof at_path));
			SHOW(send(c, "x", 1, 0));
			fflush(stdout);
			_exit(0);
		}
		sleep_ms(200);
		SHOW(unlink("backlog.sock"));
	}
	SHOW(close(ls[0]));
	SHOW(accept(ls[1], NULL, NULL) >= 0);
	waitpid(p, &w, 0);
	SHOW(unlink("backlog.sock"));
}

/* --- many at once, where Linux would take a second for each who waits: tests/escape/backlog.sh ---
 */

static _Atomic int bad;

static void
try_one(unsigned what)
{
	static const struct sockaddr none = {.sa_family = AF_UNSPEC};
	int s = client(what & 1 ? SOCK_NONBLOCK : 0), ev, err, r = to(s) ? errno : 0;
	char c = 'x';
	ssize_t n;

	if (r == EINPROGRESS && what & 2) {
		/* it is taken back, in one way or another, while it waits or is let in */
		if (what & 4)
			shutdown(s, SHUT_RDWR);
		if (what & 8 && connect(s, &none, sizeof none) == 0)
			(void)to(s);
		close(s);
		return;
	}
	fcntl(s, F_SETFL, 0);
	ev = events(s, 20000);
	err = error_of(s);
	n = err ? -1 : send(s, &c, 1, MSG_NOSIGNAL);
	if (n == 1)
		n = recv(s, &c, 1, 0);
	if (n != 1) {
		printf("connect %d, events %x, error %d, then %zd: %s\n", r, ev, err, n,
			strerrorname_np(errno));
		bad++;
	}
	close(s);
}

static void *
try_many(void *arg)
{
	unsigned seed = (unsigned)(long)arg;

	for (int k = 0; k < 300; k++)
		try_one((unsigned)rand_r(&seed) >> 4);
	return NULL;
}

static void *
echo(void *arg)
{
	for (;;) {
		int s = accept((int)(long)arg, NULL, NULL);
		char c;

		if (read(s, &c, 1) == 1)
			(void)!write(s, &c, 1);
		close(s);
	}
	return NULL;
}

static int
together(void)
{
	int ls = listener(0);
	pthread_t th[8], other;

	for (int k = 0; k < 2; k++)
		pthread_create(&other, NULL, echo, (void *)(long)ls);
	for (long k = 0; k < 8; k++)
		pthread_create(&th[k], NULL, try_many, (void *)(k + 1));
	for (int k = 0; k < 8; k++)
		pthread_join(th[k], NULL);
	printf("bad: %d\n", bad);
	fflush(stdout);
	_exit(0);
}

int
main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return together();
	in_child("without waiting", without_waiting);
	in_child("waiting", waiting);
	in_child("more room", more_room);
	in_child("the listener goes", listener_goes);
	in_child("the connector goes", connector_goes);
	in_child("interrupted", interrupted);
	in_child("too late", too_late);
	in_child("unix, room", unix_room);
	in_child("unix, no room", unix_no_room);
	in_child("unix, another", unix_another);
	return 0;
}
