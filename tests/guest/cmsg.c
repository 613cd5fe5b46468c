/* SPDX-License-Identifier: Apache-2.0 */
/* Ancillary data of datagrams: addresses, TTL, TOS, times; cut short; UDP-Lite. */
#include "guest.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#ifndef UDPLITE_SEND_CSCOV
#define UDPLITE_SEND_CSCOV 10
#define UDPLITE_RECV_CSCOV 11
#endif

static int
bound(int family, int protocol, struct sockaddr_storage *at)
{
	int fd = socket(family, SOCK_DGRAM, protocol);
	struct sockaddr_in6 a6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof *at;

	if (fd < 0 || (family == AF_INET ? bind(fd, (void *)&a4, sizeof a4)
					 : bind(fd, (void *)&a6, sizeof a6))) {
		printf("no socket: %d\n", errno);
		exit(1);
	}
	getsockname(fd, (void *)at, &len);
	return fd;
}

static void
on(int fd, int level, int opt)
{
	int v = 1;

	if (setsockopt(fd, level, opt, &v, sizeof v))
		printf("option %d of %d: %d\n", opt, level, errno);
}

static void
show(const struct cmsghdr *c)
{
	size_t n = c->cmsg_len - CMSG_LEN(0);

	printf("    level %d type %d len %zu", c->cmsg_level, c->cmsg_type, n);
	if (c->cmsg_level == SOL_SOCKET) {
		printf(" (a time)");
	} else {
		for (size_t i = 0; i < n; i++)
			printf(" %02x", CMSG_DATA(c)[i]);
	}
	printf("\n");
}

/* Receive one message with so much room for ancillary data. */
static void
take(int fd, size_t room)
{
	char data[64];
	_Alignas(8) char control[512];
	struct iovec v = {data, sizeof data};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = room ? control : NULL,
		.msg_controllen = room};
	ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);

	printf("  got %zd (%d) flags %x control %zu\n", n, n < 0 ? errno : 0, m.msg_flags,
		n < 0 ? 0 : (size_t)m.msg_controllen);
	if (n < 0)
		return;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		show(c);
}

static ssize_t
put(int fd, const struct sockaddr_storage *to, int level, int type, const void *data, size_t len)
{
	_Alignas(8) char control[CMSG_SPACE(64)] = {0};
	struct iovec v = {"hello", 5};
	struct msghdr m = {.msg_name = (void *)to,
		.msg_namelen = to->ss_family == AF_INET ? 16 : 28,
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(len)};
	struct cmsghdr *c = (void *)control;

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	return sendmsg(fd, &m, 0);
}

static void
test_v4(void)
{
	struct sockaddr_storage ra, sa;
	int r = bound(AF_INET, 0, &ra), s = bound(AF_INET, 0, &sa), v;
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(0x7f000005)};
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	char b[8];

	sendto(s, "a", 1, 0, (void *)&ra, sizeof(struct sockaddr_in));
	take(r, 512);
	on(r, IPPROTO_IP, IP_PKTINFO);
	on(r, IPPROTO_IP, IP_RECVTTL);
	on(r, IPPROTO_IP, IP_RECVTOS);
	sendto(s, "a", 1, 0, (void *)&ra, sizeof(struct sockaddr_in));
	take(r, 512);
	v = 0x28;
	SHOW(setsockopt(s, IPPROTO_IP, IP_TOS, &v, sizeof v));
	v = 7;
	SHOW(setsockopt(s, IPPROTO_IP, IP_TTL, &v, sizeof v));
	v = 0;
	SHOW(setsockopt(s, IPPROTO_IP, IP_TTL, &v, sizeof v));
	v = 256;
	SHOW(setsockopt(s, IPPROTO_IP, IP_TTL, &v, sizeof v));
	sendto(s, "a", 1, 0, (void *)&ra, sizeof(struct sockaddr_in));
	take(r, 512);
	for (size_t room = 0; room <= 96; room += 12) {
		printf("  room %zu\n", room);
		sendto(s, "a", 1, 0, (void *)&ra, sizeof(struct sockaddr_in));
		take(r, room);
	}
	v = 33;
	SHOW(put(s, &ra, IPPROTO_IP, IP_TTL, &v, sizeof v));
	take(r, 512);
	v = 0;
	SHOW(put(s, &ra, IPPROTO_IP, IP_TTL, &v, sizeof v));
	v = 0x10;
	SHOW(put(s, &ra, IPPROTO_IP, IP_TOS, &v, 1));
	take(r, 512);
	SHOW(put(s, &ra, IPPROTO_IP, IP_TOS, &v, 2));
	SHOW(put(s, &ra, IPPROTO_IP, 77, &v, 4));
	SHOW(put(s, &ra, IPPROTO_IPV6, IPV6_HOPLIMIT, &v, 4));
	take(r, 512);
	SHOW(put(s, &ra, SOL_SOCKET, 99, &v, 4));
	SHOW(put(s, &ra, IPPROTO_IP, IP_PKTINFO, &info, sizeof info));
	SHOW(recvfrom(r, b, sizeof b, MSG_DONTWAIT, (void *)&from, &len));
	printf("  from %s\n", inet_ntoa(from.sin_addr));
	SHOW(put(s, &ra, IPPROTO_IP, IP_PKTINFO, &info, 4));
	v = -1;
	SHOW(setsockopt(s, IPPROTO_IP, IP_TTL, &v, sizeof v));
	len = sizeof v;
	getsockopt(s, IPPROTO_IP, IP_TTL, &v, &len);
	printf("  ttl %d\n", v);
	SHOW(recv(s, b, sizeof b, MSG_ERRQUEUE | MSG_DONTWAIT));
	close(r);
	close(s);
}

static void
test_v6(void)
{
	struct sockaddr_storage ra, sa, four;
	int r = bound(AF_INET6, 0, &ra), s = bound(AF_INET6, 0, &sa), v, any, s4;
	struct sockaddr_in6 wild = {.sin6_family = AF_INET6};
	socklen_t len = sizeof wild;
	struct in6_pktinfo info = {.ipi6_addr = IN6ADDR_LOOPBACK_INIT};

	on(r, IPPROTO_IPV6, IPV6_RECVPKTINFO);
	on(r, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
	on(r, IPPROTO_IPV6, IPV6_RECVTCLASS);
	sendto(s, "a", 1, 0, (void *)&ra, sizeof(struct sockaddr_in6));
	take(r, 512);
	v = 9;
	SHOW(put(s, &ra, IPPROTO_IPV6, IPV6_HOPLIMIT, &v, 4));
	take(r, 512);
	SHOW(put(s, &ra, IPPROTO_IPV6, IPV6_TCLASS, &v, 4));
	take(r, 512);
	v = 256;
	SHOW(put(s, &ra, IPPROTO_IPV6, IPV6_TCLASS, &v, 4));
	SHOW(put(s, &ra, IPPROTO_IPV6, IPV6_HOPLIMIT, &v, 4));
	SHOW(put(s, &ra, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info));
	take(r, 512);
	SHOW(put(s, &ra, IPPROTO_IPV6, IPV6_PKTINFO, &info, 8));
	SHOW(put(s, &ra, IPPROTO_IPV6, 1000, &info, 8));
	v = -1;
	SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &v, sizeof v));
	len = sizeof v;
	getsockopt(s, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &v, &len);
	printf("  hops %d\n", v);
	close(r);
	/* IPv4 that comes to an IPv6 socket */
	any = socket(AF_INET6, SOCK_DGRAM, 0);
	bind(any, (void *)&wild, sizeof wild);
	len = sizeof wild;
	getsockname(any, (void *)&wild, &len);
	on(any, IPPROTO_IPV6, IPV6_RECVPKTINFO);
	on(any, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
	on(any, IPPROTO_IP, IP_RECVTTL);
	s4 = bound(AF_INET, 0, &four);
	((struct sockaddr_in *)&four)->sin_port = wild.sin6_port;
	sendto(s4, "a", 1, 0, (void *)&four, sizeof(struct sockaddr_in));
	take(any, 512);
	close(any);
	close(s4);
	close(s);
}

static void
test_stamps(void)
{
	struct sockaddr_storage ra;
	int r = bound(AF_INET, 0, &ra), pair[2], v;
	socklen_t len = sizeof v;

	on(r, SOL_SOCKET, SO_TIMESTAMP);
	sendto(r, "a", 1, 0, (void *)&ra, sizeof(struct sockaddr_in));
	take(r, 512);
	on(r, SOL_SOCKET, SO_TIMESTAMPNS);
	sendto(r, "a", 1, 0, (void *)&ra, sizeof(struct sockaddr_in));
	take(r, 512);
	getsockopt(r, SOL_SOCKET, SO_TIMESTAMP, &v, &len);
	printf("  us %d", v);
	getsockopt(r, SOL_SOCKET, SO_TIMESTAMPNS, &v, &len);
	printf(" ns %d\n", v);
	close(r);
	socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
	on(pair[1], SOL_SOCKET, SO_TIMESTAMP);
	write(pair[0], "a", 1);
	take(pair[1], 512);
	/* what is not of SOL_SOCKET is passed over */
	v = 1;
	{
		_Alignas(8) char control[CMSG_SPACE(4)] = {0};
		struct iovec io = {"x", 1};
		struct msghdr m = {.msg_iov = &io,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = CMSG_SPACE(4)};
		struct cmsghdr *c = (void *)control;

		*c = (struct cmsghdr){CMSG_LEN(4), IPPROTO_IP, IP_TTL};
		SHOW(sendmsg(pair[0], &m, 0));
	}
	close(pair[0]);
	close(pair[1]);
}

static void
test_udplite(void)
{
	struct sockaddr_storage ra, sa;
	int r, s = socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE), v, u;
	socklen_t len = sizeof v;
	struct sockaddr_in same;
	char b[64];

	if (s < 0)
		return; /* hosts without it */
	close(s);
	r = bound(AF_INET, IPPROTO_UDPLITE, &ra);
	s = bound(AF_INET, IPPROTO_UDPLITE, &sa);
	SHOW(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &len));
	printf("  protocol %d\n", v);
	SHOW(sendto(s, "0123456789abcdefghij", 20, 0, (void *)&ra, sizeof(struct sockaddr_in)));
	SHOW(recv(r, b, sizeof b, MSG_DONTWAIT));
	v = 5;
	SHOW(setsockopt(s, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, &v, sizeof v));
	SHOW(getsockopt(s, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, &v, &len));
	printf("  cover %d\n", v);
	v = 16;
	SHOW(setsockopt(r, IPPROTO_UDPLITE, UDPLITE_RECV_CSCOV, &v, sizeof v));
	SHOW(sendto(s, "0123456789abcdefghij", 20, 0, (void *)&ra, sizeof(struct sockaddr_in)));
	SHOW(recv(r, b, sizeof b, MSG_DONTWAIT));
	v = 20;
	SHOW(setsockopt(s, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, &v, sizeof v));
	SHOW(sendto(s, "0123456789abcdefghij", 20, 0, (void *)&ra, sizeof(struct sockaddr_in)));
	SHOW(recv(r, b, sizeof b, MSG_DONTWAIT));
	SHOW(setsockopt(s, IPPROTO_UDPLITE, 99, &v, sizeof v));
	/* its ports are its own */
	u = socket(AF_INET, SOCK_DGRAM, 0);
	memcpy(&same, &ra, sizeof same);
	SHOW(bind(u, (void *)&same, sizeof same));
	SHOW(setsockopt(u, IPPROTO_UDPLITE, UDPLITE_SEND_CSCOV, &v, sizeof v));
	SHOW(sendto(u, "x", 1, 0, (void *)&ra, sizeof(struct sockaddr_in)));
	SHOW(recv(r, b, sizeof b, MSG_DONTWAIT));
	SHOW(recv(u, b, sizeof b, MSG_DONTWAIT));
}

/* Lengths that promise ancillary data where there is none. */
static void
test_nothing_there(void)
{
	static const size_t lengths[] = {
		0, 1, 15, 16, 17, 4096, 1 << 17, 1 << 20, 0x7fffffff, 0x80000000, ~0UL};
	static char room[4096];
	int pair[2];

	socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		struct iovec io = {"x", 1};
		struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_controllen = lengths[i]};
		struct mmsghdr two[2] = {{.msg_hdr = m}, {.msg_hdr = m}};

		printf("  %zx\n", lengths[i]);
		two[0].msg_hdr.msg_controllen = 0;
		SHOW(sendmsg(pair[0], &m, MSG_DONTWAIT));
		SHOW(sendmmsg(pair[0], two, 2, MSG_DONTWAIT));
		m.msg_control = (void *)16;
		SHOW(sendmsg(pair[0], &m, MSG_DONTWAIT));
		while (recv(pair[1], room, sizeof room, MSG_DONTWAIT) >= 0)
			;
	}
	close(pair[0]);
	close(pair[1]);
}

int
main(void)
{
	printf("--- v4\n");
	test_v4();
	printf("--- v6\n");
	test_v6();
	printf("--- times\n");
	test_stamps();
	printf("--- nothing there\n");
	test_nothing_there();
	printf("--- udplite\n");
	test_udplite();
	return 0;
}
