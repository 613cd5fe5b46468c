/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP over lo: sockets for ping, raw sockets; what comes beside a packet (IP_PKTINFO, times).
 * Natively in a network namespace of its own. */
#include "guest.h"
#include "network.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#ifndef ICMP_FILTER
#define ICMP_FILTER 1
#endif

static unsigned char buf[2048];

static void
enter(void)
{
	int fd;

	if (!own_network())
		return;
	fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
	write(fd, "0 2147483647", 12);
	close(fd);
}

static uint16_t
sum(const void *p, size_t n)
{
	const uint16_t *w = p;
	uint32_t s = 0;

	for (; n > 1; n -= 2)
		s += *w++;
	if (n)
		s += *(const unsigned char *)w;
	s = (s & 0xffff) + (s >> 16);
	return (uint16_t) ~(s + (s >> 16));
}

static size_t
echo(void *to, uint16_t id, uint16_t seq, const char *text)
{
	struct icmphdr h = {.type = ICMP_ECHO, .un.echo = {htons(id), htons(seq)}};
	size_t n = sizeof h + strlen(text);

	memcpy(to, &h, sizeof h);
	memcpy((char *)to + sizeof h, text, strlen(text));
	h.checksum = sum(to, n);
	memcpy(to, &h, sizeof h);
	return n;
}

static struct sockaddr_in
at(uint32_t ip, int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(ip)};
}

static void
ping(void)
{
	struct sockaddr_in to = at(INADDR_LOOPBACK, 0), from, far = at(0x0a010203, 0);
	socklen_t len = sizeof from;
	struct icmphdr h;
	int s = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP), other;
	struct pollfd p = {s, POLLIN, 0};
	size_t n;
	ssize_t got;

	TRUE(s >= 0);
	SHOW(poll(&p, 1, 0));
	SHOW(recv(s, buf, sizeof buf, MSG_DONTWAIT));
	n = echo(buf, 77, 1, "hello");
	SHOW(sendto(s, buf, n, 0, (void *)&to, sizeof to));
	SHOW(poll(&p, 1, 1000));
	got = recvfrom(s, buf, sizeof buf, 0, (void *)&from, &len);
	memcpy(&h, buf, sizeof h);
	printf("%zd bytes, type %d code %d seq %d %.5s from %s port %d, sum %d\n", got, h.type,
		h.code, ntohs(h.un.echo.sequence), buf + 8, inet_ntoa(from.sin_addr),
		ntohs(from.sin_port), sum(buf, (size_t)got));
	len = sizeof from;
	SHOW(getsockname(s, (void *)&from, &len));
	TRUE(from.sin_port == h.un.echo.id && h.un.echo.id);
	/* not echoes, too short, nowhere */
	n = echo(buf, 77, 2, "x");
	buf[0] = ICMP_TIMESTAMP;
	SHOW(sendto(s, buf, n, 0, (void *)&to, sizeof to));
	buf[0] = ICMP_ECHO;
	buf[1] = 1;
	SHOW(sendto(s, buf, n, 0, (void *)&to, sizeof to));
	buf[1] = 0;
	SHOW(sendto(s, buf, 7, 0, (void *)&to, sizeof to));
	SHOW(sendto(s, buf, n, 0, (void *)&far, sizeof far));
	SHOW(send(s, buf, n, 0));
	SHOW(connect(s, (void *)&to, sizeof to));
	SHOW(send(s, buf, n, 0));
	SHOW(recv(s, buf, sizeof buf, 0));
	SHOW(recv(s, buf, sizeof buf, MSG_DONTWAIT));
	/* a number of one's own; and one that is taken */
	other = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	from = at(INADDR_ANY, 4321);
	SHOW(bind(other, (void *)&from, sizeof from));
	n = echo(buf, 1, 3, "mine");
	SHOW(sendto(other, buf, n, 0, (void *)&to, sizeof to));
	SHOW(recv(other, buf, sizeof buf, 0));
	memcpy(&h, buf, sizeof h);
	printf("id %d\n", ntohs(h.un.echo.id));
	close(s);
	s = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	SHOW(bind(s, (void *)&from, sizeof from));
	from = at(0x0a010203, 0);
	SHOW(bind(s, (void *)&from, sizeof from));
	close(s);
	close(other);
}

static void
ping6(void)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct icmp6_hdr h = {.icmp6_type = ICMP6_ECHO_REQUEST};
	int s = socket(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6);

	TRUE(s >= 0);
	h.icmp6_seq = htons(9);
	memcpy(buf, &h, sizeof h);
	memcpy(buf + sizeof h, "six", 3);
	SHOW(sendto(s, buf, sizeof h + 3, 0, (void *)&to, sizeof to));
	SHOW(recv(s, buf, sizeof buf, 0));
	memcpy(&h, buf, sizeof h);
	printf("type %d code %d seq %d %.3s\n", h.icmp6_type, h.icmp6_code, ntohs(h.icmp6_seq),
		buf + sizeof h);
	close(s);
}

static void
show_packet(ssize_t n)
{
	struct ip ip;
	struct icmphdr h;

	if (n < 28) {
		printf("%zd %s\n", n, n < 0 ? strerrorname_np(errno) : "");
		return;
	}
	memcpy(&ip, buf, sizeof ip);
	memcpy(&h, buf + 4 * ip.ip_hl, sizeof h);
	printf("%zd bytes, version %d header %d length %d ttl %d proto %d sum %d, ", n, ip.ip_v,
		ip.ip_hl, ntohs(ip.ip_len), ip.ip_ttl, ip.ip_p, sum(buf, 20));
	printf("%s", inet_ntoa(ip.ip_src));
	printf(" to %s, type %d id %d seq %d %.4s\n", inet_ntoa(ip.ip_dst), h.type,
		ntohs(h.un.echo.id), ntohs(h.un.echo.sequence), buf + 28);
}

static void
raw(void)
{
	struct sockaddr_in to = at(INADDR_LOOPBACK, 0), from;
	uint32_t filter = ~(1u << ICMP_ECHOREPLY);
	socklen_t len = sizeof filter;
	int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), six, v;
	size_t n = echo(buf, 55, 7, "raw!");

	TRUE(s >= 0);
	SHOW(sendto(s, buf, n, 0, (void *)&to, sizeof to));
	show_packet(recv(s, buf, sizeof buf, 0));
	show_packet(recv(s, buf, sizeof buf, 0));
	show_packet(recv(s, buf, sizeof buf, MSG_DONTWAIT));
	SHOW(setsockopt(s, SOL_RAW, ICMP_FILTER, &filter, sizeof filter));
	filter = 0;
	SHOW(getsockopt(s, SOL_RAW, ICMP_FILTER, &filter, &len));
	printf("filter %x\n", filter);
	n = echo(buf, 55, 8, "only");
	SHOW(connect(s, (void *)&to, sizeof to));
	SHOW(send(s, buf, n, 0));
	len = sizeof from;
	show_packet(recvfrom(s, buf, sizeof buf, 0, (void *)&from, &len));
	printf("from %s port %d\n", inet_ntoa(from.sin_addr), ntohs(from.sin_port));
	show_packet(recv(s, buf, sizeof buf, MSG_DONTWAIT));
	len = sizeof v;
	SHOW(getsockopt(s, SOL_SOCKET, SO_TYPE, &v, &len));
	printf("type %d\n", v);
	SHOW(listen(s, 1));
	close(s);
	six = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	TRUE(six >= 0);
	{
		struct sockaddr_in6 to6 = {
			.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
		struct icmp6_hdr h = {.icmp6_type = ICMP6_ECHO_REQUEST};

		h.icmp6_id = htons(3);
		memcpy(buf, &h, sizeof h);
		SHOW(sendto(six, buf, sizeof h, 0, (void *)&to6, sizeof to6));
		for (int i = 0; i < 2; i++) {
			SHOW(recv(six, buf, sizeof buf, 0));
			memcpy(&h, buf, sizeof h);
			printf("type %d id %d\n", h.icmp6_type, ntohs(h.icmp6_id));
		}
	}
	close(six);
}

static void
beside(int s, void *name, socklen_t name_len)
{
	char control[512];
	struct iovec v = {buf, sizeof buf};
	struct msghdr m = {.msg_name = name,
		.msg_namelen = name_len,
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};

	SHOW(recvmsg(s, &m, 0));
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		size_t n = c->cmsg_len - CMSG_LEN(0);

		printf("  level %d type %d, %zu bytes", c->cmsg_level, c->cmsg_type, n);
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo *i = (void *)CMSG_DATA(c);

			printf(": %s", inet_ntoa(i->ipi_addr));
			printf(" %s index %d", inet_ntoa(i->ipi_spec_dst), i->ipi_ifindex);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo *i = (void *)CMSG_DATA(c);
			char text[64];

			printf(": %s index %d",
				inet_ntop(AF_INET6, &i->ipi6_addr, text, sizeof text),
				(int)i->ipi6_ifindex);
		} else if (c->cmsg_level == SOL_SOCKET) {
			int64_t sec;

			memcpy(&sec, CMSG_DATA(c), 8);
			printf(": %s", llabs((long long)(sec - time(NULL))) < 5 ? "now" : "?");
		} else if (n == 4) {
			printf(": %d", *(int *)(void *)CMSG_DATA(c));
		} else if (n == 1) {
			printf(": %d", *CMSG_DATA(c));
		}
		printf("\n");
	}
}

static void
cmsgs(void)
{
	struct sockaddr_in a = at(0x7f000105, 0), from;
	struct sockaddr_in6 b = {.sin6_family = AF_INET6}, from6;
	socklen_t len = sizeof a;
	int s = socket(AF_INET, SOCK_DGRAM, 0), t = socket(AF_INET, SOCK_DGRAM, 0), on = 1, v = 0;

	a.sin_addr.s_addr = INADDR_ANY;
	bind(s, (void *)&a, sizeof a);
	getsockname(s, (void *)&a, &len);
	a.sin_addr.s_addr = htonl(0x7f000105);
	SHOW(setsockopt(s, IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
	SHOW(setsockopt(s, IPPROTO_IP, IP_RECVTTL, &on, sizeof on));
	SHOW(setsockopt(s, IPPROTO_IP, IP_RECVTOS, &on, sizeof on));
	SHOW(setsockopt(s, SOL_SOCKET, SO_TIMESTAMP, &on, sizeof on));
	len = sizeof v;
	SHOW(getsockopt(s, IPPROTO_IP, IP_PKTINFO, &v, &len));
	SHOW(getsockopt(s, SOL_SOCKET, SO_TIMESTAMP, &v, &len));
	printf("value %d\n", v);
	v = 33;
	SHOW(setsockopt(t, IPPROTO_IP, IP_TTL, &v, sizeof v));
	v = 8;
	SHOW(setsockopt(t, IPPROTO_IP, IP_TOS, &v, sizeof v));
	SHOW(sendto(t, "info", 4, 0, (void *)&a, sizeof a));
	beside(s, &from, sizeof from);
	SHOW(setsockopt(s, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on));
	on = 0;
	SHOW(setsockopt(s, IPPROTO_IP, IP_PKTINFO, &on, sizeof on));
	SHOW(setsockopt(s, IPPROTO_IP, IP_RECVTOS, &on, sizeof on));
	SHOW(sendto(t, "ns", 2, 0, (void *)&a, sizeof a));
	beside(s, &from, sizeof from);
	close(s);
	close(t);
	on = 1;
	s = socket(AF_INET6, SOCK_DGRAM, 0);
	t = socket(AF_INET6, SOCK_DGRAM, 0);
	bind(s, (void *)&b, sizeof b);
	len = sizeof b;
	getsockname(s, (void *)&b, &len);
	b.sin6_addr = in6addr_loopback;
	SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on));
	SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on));
	SHOW(sendto(t, "six", 3, 0, (void *)&b, sizeof b));
	beside(s, &from6, sizeof from6);
	close(s);
	close(t);
}

/* One packet with a source, TTL and TOS of its own. */
static void
own_source(void)
{
	struct sockaddr_in a = at(INADDR_LOOPBACK, 0), from;
	socklen_t len = sizeof a;
	int s = socket(AF_INET, SOCK_DGRAM, 0), t = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
	union {
		char b[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {0};
	struct iovec v = {"from", 4};
	struct msghdr m = {.msg_name = &a,
		.msg_namelen = sizeof a,
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &u,
		.msg_controllen = sizeof u};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(0x7f000909)};
	int ttl = 17;

	bind(s, (void *)&a, sizeof a);
	getsockname(s, (void *)&a, &len);
	setsockopt(s, IPPROTO_IP, IP_RECVTTL, &on, sizeof on);
	*c = (struct cmsghdr){CMSG_LEN(sizeof info), IPPROTO_IP, IP_PKTINFO};
	memcpy(CMSG_DATA(c), &info, sizeof info);
	c = CMSG_NXTHDR(&m, c);
	*c = (struct cmsghdr){CMSG_LEN(sizeof ttl), IPPROTO_IP, IP_TTL};
	memcpy(CMSG_DATA(c), &ttl, sizeof ttl);
	SHOW(sendmsg(t, &m, 0));
	beside(s, &from, sizeof from);
	printf("from %s\n", inet_ntoa(from.sin_addr));
	ttl = 300;
	memcpy(CMSG_DATA(c), &ttl, sizeof ttl);
	SHOW(sendmsg(t, &m, 0));
	c->cmsg_type = 99;
	SHOW(sendmsg(t, &m, 0));
	info.ipi_spec_dst.s_addr = htonl(0x0a090807);
	c = CMSG_FIRSTHDR(&m);
	memcpy(CMSG_DATA(c), &info, sizeof info);
	m.msg_controllen = CMSG_SPACE(sizeof info);
	TRUE(sendmsg(t, &m, 0) < 0);
	SHOW(recv(s, buf, sizeof buf, MSG_ERRQUEUE));
	close(s);
	close(t);
}

int
main(void)
{
	enter();
	ping();
	ping6();
	raw();
	cmsgs();
	own_source();
	SHOW(setresuid(1000, 1000, 1000));
	SHOW(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	SHOW(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMPV6));
	WORKS(socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
	return 0;
}
