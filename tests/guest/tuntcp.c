/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two network namespaces whose tuns, or taps, a third process joins: what goes in at one comes out
 * of the other, but for what it loses. TCP with a lot of bytes, UDP in pieces, both families, ARP
 * and neighbour discovery.
 */
#include "tun.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#define PORT 4000

static int net[2]; /* network namespaces, and the other end of what is in them */
static int end[2];

/* And until it may be used, which natively takes a moment. */
static void
add6(const char *name, const char *ip)
{
	struct {
		struct in6_addr addr;
		uint32_t prefixlen;
		int index;
	} r = {.prefixlen = 64, .index = (int)if_nametoindex(name)};
	struct sockaddr_in6 a = {.sin6_family = AF_INET6};
	int s = socket(AF_INET6, SOCK_DGRAM, 0);

	inet_pton(AF_INET6, ip, &r.addr);
	if (ioctl(s, SIOCSIFADDR, &r) < 0)
		printf("%s: %s\n", ip, strerror(errno));
	a.sin6_addr = r.addr;
	for (int i = 0; i < 500 && bind(s, (struct sockaddr *)&a, sizeof a) < 0; i++)
		sleep_ms(10);
	close(s);
}

static void
set_sysctl(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);

	write(fd, value, strlen(value));
	close(fd);
}

static void
join(int kind, int mtu)
{
	struct ifreq r = {.ifr_mtu = mtu};

	for (int i = 0; i < 2; i++) {
		if (unshare(CLONE_NEWNET) < 0) {
			printf("needs root\n");
			exit(77);
		}
		/* no address is looked for twice before it is used */
		set_sysctl("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
		link_up("lo", true);
		end[i] = make_tun("t0", kind | IFF_NO_PI);
		ask_link("t0", SIOCSIFMTU, &r);
		r.ifr_mtu = mtu;
		link_up("t0", true);
		set_address("t0", i ? "10.1.2.2" : "10.1.2.1", "255.255.255.0");
		add6("t0", i ? "fd00::2" : "fd00::1");
		net[i] = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	}
}

/* Until nobody is left: every so many-th packet is lost (0: none). */
static void
pump(int lose)
{
	static uint8_t p[70000];
	struct pollfd f[2] = {{end[0], POLLIN, 0}, {end[1], POLLIN, 0}};
	int count = 0, left = 2;

	while (left) {
		poll(f, 2, 50);
		for (int i = 0; i < 2; i++) {
			ssize_t n;

			while ((n = read(end[i], p, sizeof p)) > 0)
				if (!lose || ++count % lose)
					write(end[!i], p, (size_t)n);
		}
		while (waitpid(-1, NULL, WNOHANG) > 0)
			left--;
	}
}

struct name {
	struct sockaddr_storage a;
	socklen_t len;
};

static struct name
peer(int family, int who, int port)
{
	struct name n = {.len = family == AF_INET ? sizeof(struct sockaddr_in)
						  : sizeof(struct sockaddr_in6)};
	struct sockaddr_in *in = (void *)&n.a;
	struct sockaddr_in6 *in6 = (void *)&n.a;

	n.a.ss_family = (sa_family_t)family;
	in->sin_port = htons((uint16_t)port);
	if (family == AF_INET)
		inet_pton(family, who ? "10.1.2.2" : "10.1.2.1", &in->sin_addr);
	else
		inet_pton(family, who ? "fd00::2" : "fd00::1", &in6->sin6_addr);
	return n;
}

static uint32_t
next_byte(uint32_t *x)
{
	*x = *x * 1103515245 + 12345;
	return *x >> 16 & 255;
}

static bool
send_bytes(int s, size_t n, uint32_t seed)
{
	uint8_t b[10000];

	while (n) {
		size_t part = n < sizeof b ? n : sizeof b, done = 0;

		for (size_t i = 0; i < part; i++)
			b[i] = (uint8_t)next_byte(&seed);
		while (done < part) {
			ssize_t k = send(s, b + done, part - done, MSG_NOSIGNAL);

			if (k < 0)
				return false;
			done += (size_t)k;
		}
		n -= part;
	}
	return true;
}

/* Until the end: how many were as they should be. */
static size_t
take_bytes(int s, uint32_t seed)
{
	uint8_t b[8000];
	size_t n = 0;
	ssize_t k;

	while ((k = recv(s, b, sizeof b, 0)) > 0)
		for (ssize_t i = 0; i < k; i++, n++)
			if (b[i] != next_byte(&seed))
				return n;
	return k < 0 ? (size_t)-errno : n;
}

static int
listener(int family)
{
	struct name at = peer(family, 1, PORT);
	int s = socket(family, SOCK_STREAM, 0), on = 1;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(s, (struct sockaddr *)&at.a, at.len) < 0 || listen(s, 20) < 0)
		printf("listen: %s\n", strerror(errno));
	return s;
}

/* Both sides at once, each on a namespace's side. What the server says is told first. */
static void
both(void (*server)(int), void (*client)(int), int family, int lose)
{
	int out[2];

	fflush(stdout);
	for (int i = 0; i < 2; i++) {
		out[i] = memfd_create("out", MFD_CLOEXEC);
		if (fork() == 0) {
			dup2(out[i], 1);
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			alarm(50);
			close(end[0]);
			close(end[1]);
			if (setns(net[i], CLONE_NEWNET) < 0)
				printf("setns: %s\n", strerror(errno));
			(i ? server : client)(family);
			fflush(stdout);
			_exit(0);
		}
	}
	pump(lose);
	for (int i = 1; i >= 0; i--) {
		char b[4096];
		ssize_t n = pread(out[i], b, sizeof b, 0);

		printf("%.*s", (int)n, b);
		close(out[i]);
	}
}

static int
connected(int family)
{
	struct name to = peer(family, 1, PORT);
	int s;

	/* until the listener is there */
	for (int i = 0; i < 200; i++) {
		s = socket(family, SOCK_STREAM, 0);
		if (connect(s, (struct sockaddr *)&to.a, to.len) == 0)
			return s;
		if (errno != ECONNREFUSED)
			printf("connect: %s\n", strerror(errno));
		close(s);
		sleep_ms(20);
	}
	return -1;
}

#define MUCH (1u << 20)

static void
bulk_server(int family)
{
	int l = listener(family), s = accept(l, NULL, NULL);
	size_t n;
	pid_t p = fork();

	if (p == 0) {
		send_bytes(s, MUCH, 7);
		shutdown(s, SHUT_WR);
		_exit(0);
	}
	n = take_bytes(s, 5);
	waitpid(p, NULL, 0);
	printf("server got %zu\n", n);
}

static void
bulk_client(int family)
{
	int s = connected(family);
	size_t n;
	pid_t p = fork();

	if (p == 0) {
		send_bytes(s, MUCH, 5);
		shutdown(s, SHUT_WR);
		_exit(0);
	}
	n = take_bytes(s, 7);
	waitpid(p, NULL, 0);
	printf("client got %zu\n", n);
}

static void
some_server(int family)
{
	int l = listener(family), s = accept(l, NULL, NULL);

	printf("server got %zu\n", take_bytes(s, 3));
	printf("%s\n", send_bytes(s, 40000, 4) ? "sent" : strerror(errno));
}

static void
some_client(int family)
{
	int s = connected(family);
	size_t n;

	send_bytes(s, 60000, 3);
	shutdown(s, SHUT_WR);
	n = take_bytes(s, 4);
	printf("client got %zu\n", n);
}

static void
many_server(int family)
{
	int l = listener(family), n = 0;

	for (int i = 0; i < 20; i++) {
		int s = accept(l, NULL, NULL);

		if (take_bytes(s, (uint32_t)i) == 100)
			n++;
		send_bytes(s, 10, 1);
		close(s);
	}
	printf("%d connections\n", n);
}

static void
many_client(int family)
{
	int n = 0;

	for (int i = 0; i < 20; i++) {
		int s = connected(family);

		send_bytes(s, 100, (uint32_t)i);
		shutdown(s, SHUT_WR);
		if (take_bytes(s, 1) == 10)
			n++;
		close(s);
	}
	printf("%d answers\n", n);
}

/* Who reads nothing for a while closes the window. */
static void
slow_server(int family)
{
	int l = listener(family), s = accept(l, NULL, NULL), size = 8192;

	setsockopt(s, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	sleep_ms(700);
	printf("server got %zu\n", take_bytes(s, 9));
}

static void
slow_client(int family)
{
	int s = connected(family);

	printf("%s\n", send_bytes(s, 400000, 9) ? "sent" : strerror(errno));
}

/* Until a message of one byte comes. */
static void
udp_server(int family)
{
	static uint8_t b[40000];
	struct name at = peer(family, 1, PORT), from = {.len = sizeof from.a};
	int s = socket(family, SOCK_DGRAM, 0);
	ssize_t n;

	bind(s, (struct sockaddr *)&at.a, at.len);
	while ((n = recvfrom(s, b, sizeof b, 0, (struct sockaddr *)&from.a, &from.len)) > 1)
		sendto(s, b, (size_t)n, 0, (struct sockaddr *)&from.a, from.len);
}

/* Again and again, until what is sent comes back. */
static void
udp_client(int family)
{
	static uint8_t b[40000], got[40000];
	static const size_t sizes[] = {10, 1453, 30000};
	struct name to = peer(family, 1, PORT);
	struct timeval wait = {0, 300000};
	int s = socket(family, SOCK_DGRAM, 0);

	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	for (int i = 0; i < 3; i++) {
		ssize_t n = -1;

		memset(b, 'a' + i, sizes[i]);
		for (int k = 0; k < 50 && n != (ssize_t)sizes[i]; k++) {
			sendto(s, b, sizes[i], 0, (struct sockaddr *)&to.a, to.len);
			do
				n = recv(s, got, sizeof got, 0);
			while (n >= 0 && n != (ssize_t)sizes[i]);
		}
		printf("%zd bytes came back, %s\n", n,
			n > 0 && memcmp(b, got, (size_t)n) == 0 ? "the same" : "others");
	}
	sendto(s, b, 1, 0, (struct sockaddr *)&to.a, to.len);
}

/* Nobody listens. */
static void
no_server(int family)
{
	(void)family;
}

static void
no_client(int family)
{
	struct name to = peer(family, 1, PORT + 1);
	struct pollfd p = {.events = 0}; /* errors */
	int s = socket(family, SOCK_STREAM, 0);

	printf("connect: %s\n",
		connect(s, (struct sockaddr *)&to.a, to.len) < 0 ? strerrorname_np(errno) : "ok");
	s = socket(family, SOCK_DGRAM, 0);
	connect(s, (struct sockaddr *)&to.a, to.len);
	p.fd = s;
	SHOW(send(s, "x", 1, 0));
	TRUE(poll(&p, 1, 10000) == 1);
	SHOW(send(s, "x", 1, 0));
}

static void
each_family(const char *what, void (*server)(int), void (*client)(int), int lose)
{
	printf("%s\n", what);
	both(server, client, AF_INET, lose);
	both(server, client, AF_INET6, lose);
}

static void
tuns(void)
{
	join(IFF_TUN, 1500);
	each_family("bulk", bulk_server, bulk_client, 0);
	each_family("some are lost", some_server, some_client, 29);
	each_family("many", many_server, many_client, 0);
	each_family("slow", slow_server, slow_client, 0);
	each_family("udp", udp_server, udp_client, 0);
	each_family("nobody", no_server, no_client, 0);
}

static void
taps(void)
{
	join(IFF_TAP, 1500);
	each_family("bulk", bulk_server, bulk_client, 0);
	each_family("udp", udp_server, udp_client, 0);
	each_family("nobody", no_server, no_client, 0);
}

static void
large(void)
{
	join(IFF_TAP, 65520);
	each_family("bulk", bulk_server, bulk_client, 0);
	each_family("udp", udp_server, udp_client, 0);
}

static void
small(void)
{
	join(IFF_TUN, 1280);
	each_family("some are lost", some_server, some_client, 41);
	each_family("udp", udp_server, udp_client, 0);
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	in_child("tuns", tuns);
	in_child("taps", taps);
	in_child("large packets", large);
	in_child("small packets", small);
	return 0;
}
