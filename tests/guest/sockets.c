/* SPDX-License-Identifier: Apache-2.0 */
/* AF_UNIX, and TCP and UDP over loopback. */
#include "guest.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static char buf[70000];

static int
un(struct sockaddr_un *a, const char *path)
{
	memset(a, 0, sizeof *a);
	a->sun_family = AF_UNIX;
	strcpy(a->sun_path, path);
	return (int)offsetof(struct sockaddr_un, sun_path) + (int)strlen(path) + 1;
}

static void
show_poll(const char *what, int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLRDHUP | POLLPRI, 0};

	poll(&p, 1, 0);
	printf("%s: %x\n", what, p.revents);
}

static void
test_pair(int type)
{
	int s[2];

	printf("--- pair %d\n", type);
	SHOW(socketpair(AF_UNIX, type, 0, s));
	show_poll("fresh", s[0]);
	SHOW(send(s[0], "hello", 5, 0));
	SHOW(send(s[0], "world", 5, 0));
	show_poll("readable", s[1]);
	SHOW(recv(s[1], buf, 3, MSG_PEEK));
	SHOW(recv(s[1], buf, 3, 0));
	SHOW(recv(s[1], buf, 100, 0));
	SHOW(recv(s[1], buf, 100, MSG_DONTWAIT));
	SHOW(send(s[0], "truncated", 9, 0));
	SHOW(recv(s[1], buf, 4, MSG_TRUNC));
	SHOW(recv(s[1], buf, 100, MSG_DONTWAIT));
	SHOW(shutdown(s[0], SHUT_WR));
	show_poll("shut down for writing", s[0]);
	show_poll("the other end", s[1]);
	SHOW(send(s[0], "x", 1, MSG_NOSIGNAL));
	if (type != SOCK_DGRAM)
		SHOW(recv(s[1], buf, 100, 0));
	SHOW(send(s[1], "y", 1, MSG_NOSIGNAL));
	close(s[0]);
	show_poll("the other is closed", s[1]);
	SHOW(send(s[1], "z", 1, MSG_NOSIGNAL));
	close(s[1]);
}

static void
send_fd(int s, int fd, int n)
{
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(sizeof(int) * 8)];
	} c;
	struct iovec v = {"f", 1};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &c,
		.msg_controllen = CMSG_SPACE(sizeof(int) * n)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int) * n);
	for (int i = 0; i < n; i++)
		memcpy(CMSG_DATA(h) + sizeof(int) * i, &fd, sizeof fd);
	SHOW(sendmsg(s, &m, 0));
}

static void
recv_fd(int s, size_t room)
{
	union {
		struct cmsghdr h;
		char b[CMSG_SPACE(sizeof(int) * 8)];
	} c;
	struct iovec v = {buf, 10};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = room};

	memset(&c, 0, sizeof c);
	SHOW(recvmsg(s, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT));
	printf("flags %x control %zu\n", m.msg_flags, m.msg_controllen);
	for (struct cmsghdr *h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h)) {
		printf("cmsg level %d type %d len %zu\n", h->cmsg_level, h->cmsg_type, h->cmsg_len);
		if (h->cmsg_type == SCM_RIGHTS) {
			for (size_t i = 0; CMSG_LEN(sizeof(int) * (i + 1)) <= h->cmsg_len; i++) {
				int fd;

				memcpy(&fd, CMSG_DATA(h) + sizeof(int) * i, sizeof fd);
				printf("cloexec %d read %zd\n", fcntl(fd, F_GETFD),
					read(fd, buf, 4));
				close(fd);
			}
		} else if (h->cmsg_type == SCM_CREDENTIALS) {
			struct ucred u;

			memcpy(&u, CMSG_DATA(h), sizeof u);
			printf("credentials: pid ok %d uid ok %d\n", u.pid == getpid(),
				u.uid == getuid());
		}
	}
}

static void
test_ancillary(void)
{
	int s[2], f = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600), one = 1;
	struct ucred u;
	socklen_t n = sizeof u;

	puts("--- ancillary");
	if (write(f, "contents of it", 14) != 14 || socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		abort();
	lseek(f, 0, SEEK_SET);
	send_fd(s[0], f, 1);
	recv_fd(s[1], CMSG_SPACE(sizeof(int)));
	send_fd(s[0], f, 2);
	recv_fd(s[1], CMSG_LEN(sizeof(int)));
	send_fd(s[0], f, 1);
	recv_fd(s[1], 0);
	send_fd(s[0], 999, 1);
	SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
	SHOW(send(s[0], "c", 1, 0));
	recv_fd(s[1], CMSG_SPACE(sizeof(struct ucred)));
	SHOW(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &u, &n));
	printf("peer: pid ok %d uid ok %d\n", u.pid == getpid(), u.uid == getuid());
	close(s[0]);
	close(s[1]);
	close(f);
	unlink("f");
}

static void
test_names(void)
{
	struct sockaddr_un a, b;
	socklen_t n;
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), d, s;
	struct stat st;

	puts("--- names");
	SHOW(connect(c, (void *)&a, un(&a, "sock")));
	SHOW(bind(l, (void *)&a, un(&a, "sock")));
	SHOW(bind(l, (void *)&a, un(&a, "other")));
	SHOW(connect(c, (void *)&a, un(&a, "sock")));
	SHOW(listen(l, 5));
	stat("sock", &st);
	TRUE(S_ISSOCK(st.st_mode));
	SHOW(open("sock", O_RDWR));
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(bind(s, (void *)&a, un(&a, "sock")));
	close(s);
	s = socket(AF_UNIX, SOCK_DGRAM, 0);
	SHOW(connect(s, (void *)&a, un(&a, "sock")));
	close(s);
	SHOW(connect(c, (void *)&a, un(&a, "sock")));
	SHOW(connect(c, (void *)&a, un(&a, "sock")));
	n = sizeof b;
	SHOW(getpeername(c, (void *)&b, &n));
	printf("peer %d '%s'\n", n, b.sun_path);
	n = sizeof b;
	SHOW(getsockname(c, (void *)&b, &n));
	SHOW(n);
	show_poll("listener", l);
	n = sizeof b;
	d = accept4(l, (void *)&b, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
	WORKS(d);
	SHOW(n);
	SHOW(fcntl(d, F_GETFD));
	SHOW(fcntl(d, F_GETFL) & O_NONBLOCK);
	SHOW(recv(d, buf, 1, 0));
	SHOW(write(c, "abc", 3));
	SHOW(read(d, buf, 10));
	fcntl(l, F_SETFL, O_NONBLOCK);
	SHOW(accept(l, NULL, NULL));
	close(l);
	SHOW(connect(socket(AF_UNIX, SOCK_STREAM, 0), (void *)&a, un(&a, "sock")));
	close(c);
	close(d);
	unlink("sock");

	memset(&a, 0, sizeof a);
	a.sun_family = AF_UNIX;
	memcpy(a.sun_path, "\0abstract", 9);
	l = socket(AF_UNIX, SOCK_DGRAM, 0);
	c = socket(AF_UNIX, SOCK_DGRAM, 0);
	SHOW(bind(l, (void *)&a, 2 + 9));
	SHOW(bind(c, (void *)&a, 2 + 9));
	SHOW(sendto(c, "dgram", 5, 0, (void *)&a, 2 + 9));
	n = sizeof b;
	SHOW(recvfrom(l, buf, 100, 0, (void *)&b, &n));
	SHOW(n);
	SHOW(sendto(c, "x", 1, 0, (void *)&a, 2 + 8));
	SHOW(send(c, "x", 1, 0));
	SHOW(connect(c, (void *)&a, 2 + 9));
	SHOW(send(c, "x", 1, 0));
	close(l);
	SHOW(send(c, "x", 1, 0));
	SHOW(send(c, "x", 1, 0));
	close(c);
}

static int
listener(struct sockaddr_in *a)
{
	int l = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t n = sizeof *a;

	*a = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (bind(l, (void *)a, sizeof *a) || listen(l, 16) || getsockname(l, (void *)a, &n))
		abort();
	return l;
}

static void
test_tcp(void)
{
	struct sockaddr_in a, b;
	struct linger lg = {1, 0};
	struct timeval tv = {0, 20000};
	socklen_t n;
	int l = listener(&a), c, s, v;

	puts("--- tcp");
	c = socket(AF_INET, SOCK_STREAM, 0);
	show_poll("unconnected", c);
	SHOW(send(c, "x", 1, MSG_NOSIGNAL));
	SHOW(recv(c, buf, 1, 0));
	n = sizeof b;
	SHOW(getpeername(c, (void *)&b, &n));
	SHOW(connect(c, (void *)&a, sizeof a));
	SHOW(connect(c, (void *)&a, sizeof a));
	n = sizeof b;
	s = accept(l, (void *)&b, &n);
	WORKS(s);
	printf("peer family %d addr %x len %d\n", b.sin_family, ntohl(b.sin_addr.s_addr), n);
	n = sizeof a;
	getsockname(c, (void *)&a, &n);
	TRUE(a.sin_port == b.sin_port);
	show_poll("connected", c);
	SHOW(send(c, "hello", 5, 0));
	SHOW(ioctl(s, FIONREAD, &v));
	SHOW(v);
	SHOW(recv(s, buf, 3, MSG_PEEK));
	SHOW(recv(s, buf, 100, 0));
	SHOW(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv));
	SHOW(recv(s, buf, 100, 0));
	SHOW(shutdown(c, SHUT_WR));
	SHOW(recv(s, buf, 100, 0));
	show_poll("half closed", s);
	SHOW(send(s, "still", 5, 0));
	SHOW(recv(c, buf, 100, 0));
	close(s);
	SHOW(recv(c, buf, 100, 0));
	show_poll("closed", c);
	SHOW(send(c, "x", 1, MSG_NOSIGNAL));
	close(c);

	n = sizeof a;
	getsockname(l, (void *)&a, &n);
	c = socket(AF_INET, SOCK_STREAM, 0);
	connect(c, (void *)&a, sizeof a);
	s = accept(l, NULL, NULL);
	SHOW(setsockopt(s, SOL_SOCKET, SO_LINGER, &lg, sizeof lg));
	close(s);
	sleep_ms(10);
	show_poll("reset", c);
	SHOW(recv(c, buf, 10, 0));
	SHOW(recv(c, buf, 10, 0));
	SHOW(send(c, "x", 1, MSG_NOSIGNAL));
	close(c);
	close(l);
	c = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect(c, (void *)&a, sizeof a));
	close(c);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	SHOW(connect(c, (void *)&a, sizeof a));
	sleep_ms(10);
	show_poll("refused", c);
	n = sizeof v;
	SHOW(getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &n));
	SHOW(v);
	close(c);
	l = listener(&a);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	SHOW(connect(c, (void *)&a, sizeof a));
	sleep_ms(10);
	n = sizeof v;
	SHOW(getsockopt(c, SOL_SOCKET, SO_ERROR, &v, &n));
	SHOW(v);
	SHOW(connect(c, (void *)&a, sizeof a));
	SHOW(connect(c, (void *)&a, sizeof a));
	s = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(bind(s, (void *)&a, sizeof a));
	a.sin_addr.s_addr = htonl(0x08080808);
	SHOW(bind(s, (void *)&a, sizeof a));
	SHOW(listen(c, 5));
	close(s);
	close(c);
	close(l);
}

static void *
sink(void *arg)
{
	static char b[65536];
	long total = 0;
	ssize_t n;

	while ((n = read(*(int *)arg, b, sizeof b)) > 0)
		for (ssize_t i = 0; i < n; i++)
			total += (unsigned char)b[i];
	return (void *)total;
}

static void
test_stream(int rd, int wr, const char *name)
{
	pthread_t t;
	long want = 0;
	void *got;

	pthread_create(&t, NULL, sink, &rd);
	for (int i = 0; i < 200; i++) {
		size_t n = (size_t)(i * 331) % sizeof buf;

		for (size_t k = 0; k < n; k++) {
			buf[k] = (char)(i + k);
			want += (unsigned char)buf[k];
		}
		if (write(wr, buf, n) != (ssize_t)n)
			puts("short write");
	}
	close(wr);
	pthread_join(t, &got);
	printf("%s: all bytes came: %d\n", name, (long)got == want);
	close(rd);
}

static void
test_udp(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
			   b;
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int s = socket(AF_INET, SOCK_DGRAM, 0), c = socket(AF_INET, SOCK_DGRAM, 0), one = 1;
	socklen_t n = sizeof a;

	puts("--- udp");
	SHOW(bind(s, (void *)&a, sizeof a));
	getsockname(s, (void *)&a, &n);
	SHOW(send(c, "x", 1, 0));
	SHOW(sendto(c, "hello", 5, 0, (void *)&a, sizeof a));
	n = sizeof b;
	SHOW(recvfrom(s, buf, 3, 0, (void *)&b, &n));
	printf("from %x\n", ntohl(b.sin_addr.s_addr));
	SHOW(sendto(s, "", 0, 0, (void *)&b, sizeof b));
	SHOW(recv(c, buf, 10, 0));
	SHOW(connect(c, (void *)&a, sizeof a));
	SHOW(send(c, buf, 65508, 0));
	SHOW(send(c, "abc", 3, 0));
	SHOW(recv(s, buf, 100, 0));
	close(s);
	SHOW(send(c, "abc", 3, 0));
	sleep_ms(5);
	show_poll("unreachable", c);
	SHOW(send(c, "abc", 3, 0));
	SHOW(setsockopt(c, SOL_SOCKET, SO_BROADCAST, &one, sizeof one));
	close(c);
	s = socket(AF_INET6, SOCK_DGRAM, 0);
	SHOW(bind(s, (void *)&a6, sizeof a6));
	n = sizeof a6;
	SHOW(getsockname(s, (void *)&a6, &n));
	SHOW(n);
	SHOW(sendto(s, "six", 3, 0, (void *)&a6, sizeof a6));
	SHOW(recv(s, buf, 10, 0));
	close(s);
}

/* Options that are on or off take any number; others do not. */
static void
test_switches(void)
{
	static const struct {
		int family, type, level, opt;
	} o[] = {{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_NODELAY},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_CORK},
		{AF_INET, SOCK_STREAM, IPPROTO_TCP, TCP_FASTOPEN},
		{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_TOS},
		{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_RECVERR},
		{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_RECVOPTS},
		{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_FREEBIND},
		{AF_INET, SOCK_DGRAM, IPPROTO_IP, IP_MULTICAST_LOOP},
		{AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_PASSCRED},
		{AF_INET, SOCK_DGRAM, SOL_SOCKET, SO_DETACH_FILTER},
		{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_MULTICAST_LOOP},
		{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_RECVERR},
		{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_RECVPATHMTU},
		{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_RECVRTHDR},
		{AF_INET6, SOCK_DGRAM, IPPROTO_IPV6, IPV6_DONTFRAG}};
	static const int numbers[] = {1, 0, -1, 2, 1000};
	struct ucred u;
	socklen_t n = sizeof u;

	puts("--- switches");
	for (size_t i = 0; i < sizeof o / sizeof *o; i++) {
		int s = socket(o[i].family, o[i].type, 0), v;

		printf("%d %d:", o[i].level, o[i].opt);
		for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
			int r = setsockopt(s, o[i].level, o[i].opt, &numbers[k], sizeof v);

			printf(" %s", r < 0 ? strerrorname_np(errno) : "ok");
			v = -7;
			n = sizeof v;
			r = getsockopt(s, o[i].level, o[i].opt, &v, &n);
			printf(" %d", r < 0 ? -errno : v);
		}
		puts("");
		if (i == 0) {
			n = sizeof u;
			SHOW(getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &n));
			printf("%d %d %d\n", u.pid, (int)u.uid, (int)u.gid);
		}
		close(s);
	}
}

static void
test_errors(void)
{
	int v = 1, p[2];
	socklen_t n = sizeof v;
	int s = socket(AF_INET, SOCK_STREAM, 0);

	puts("--- errors");
	SHOW(socket(99, SOCK_STREAM, 0));
	SHOW(socket(AF_INET, 77, 0));
	SHOW(socket(AF_INET, SOCK_STREAM, 99));
	SHOW(socket(AF_UNIX, SOCK_STREAM, 99));
	SHOW(socket(AF_INET, SOCK_STREAM | 0x100000, 0));
	SHOW(socketpair(AF_INET, SOCK_STREAM, 0, p));
	SHOW(listen(0, 5));
	SHOW(listen(999, 5));
	SHOW(shutdown(s, 9));
	SHOW(shutdown(s, SHUT_RD));
	SHOW(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &n));
	SHOW(v);
	SHOW(getsockopt(s, SOL_SOCKET, 9999, &v, &n));
	SHOW(setsockopt(s, SOL_SOCKET, 9999, &v, n));
	SHOW(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, n));
	SHOW(getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &n));
	SHOW(v);
	SHOW(getsockopt(s, SOL_SOCKET, SO_ACCEPTCONN, &v, &n));
	SHOW(v);
	v = 5000;
	SHOW(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &v, n));
	SHOW(getsockopt(s, SOL_SOCKET, SO_RCVBUF, &v, &n));
	SHOW(v);
	SHOW(accept(s, NULL, NULL));
	SHOW(bind(s, (void *)buf, 3));
	close(s);
}

/* Much is written to one who is gone: not all of it is taken. */
static void
test_gone(void)
{
	struct sockaddr_in a;
	size_t size = 64 << 20;
	char *buf = calloc(1, size);
	int l = listener(&a), c = socket(AF_INET, SOCK_STREAM, 0), s;
	ssize_t n;

	if (connect(c, (void *)&a, sizeof a))
		abort();
	s = accept(l, NULL, NULL);
	close(s);
	signal(SIGPIPE, SIG_IGN);
	n = write(c, buf, size);
	TRUE(n < (ssize_t)size);
	usleep(10000);
	SHOW(write(c, "x", 1));
	signal(SIGPIPE, SIG_DFL);
	close(c);
	close(l);
	free(buf);
}

struct naming {
	pthread_barrier_t together;
	int fd[200];
	bool mine[200], his[200];
};

static bool
name_it(int fd, const char *who, int i)
{
	char name[64];
	struct sockaddr_un a;
	int len;

	snprintf(name, sizeof name, "@%s-%d-%d", who, getpid(), i);
	len = un(&a, name);
	a.sun_path[0] = 0;
	return bind(fd, (void *)&a, len) == 0;
}

static void *
name_all(void *arg)
{
	struct naming *n = arg;

	for (int i = 0; i < 200; i++) {
		pthread_barrier_wait(&n->together);
		n->his[i] = name_it(n->fd[i], "second", i);
	}
	return NULL;
}

/* Two threads name one socket: one of them does. */
static void
test_named_twice(void)
{
	struct naming n = {0};
	pthread_t t;
	int both = 0, none = 0;

	pthread_barrier_init(&n.together, NULL, 2);
	for (int i = 0; i < 200; i++)
		n.fd[i] = socket(AF_UNIX, SOCK_STREAM, 0);
	pthread_create(&t, NULL, name_all, &n);
	for (int i = 0; i < 200; i++) {
		pthread_barrier_wait(&n.together);
		n.mine[i] = name_it(n.fd[i], "first", i);
	}
	pthread_join(t, NULL);
	for (int i = 0; i < 200; i++) {
		both += n.his[i] && n.mine[i];
		none += !n.his[i] && !n.mine[i];
		close(n.fd[i]);
	}
	printf("named twice %d, not at all %d\n", both, none);
	pthread_barrier_destroy(&n.together);
}

int
main(void)
{
	struct sockaddr_in a;
	int s[2], l;

	test_pair(SOCK_STREAM);
	test_pair(SOCK_SEQPACKET);
	test_pair(SOCK_DGRAM);
	test_ancillary();
	test_names();
	test_tcp();
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		abort();
	test_stream(s[0], s[1], "unix");
	l = listener(&a);
	s[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(s[0], (void *)&a, sizeof a))
		abort();
	s[1] = accept(l, NULL, NULL);
	test_stream(s[0], s[1], "tcp");
	close(l);
	if (pipe(s))
		abort();
	test_stream(s[0], s[1], "pipe");
	test_udp();
	test_gone();
	test_errors();
	test_switches();
	test_named_twice();
	return 0;
}
