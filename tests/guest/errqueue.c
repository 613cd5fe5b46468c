/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors that the network answers with, for who asked to be told (IP_RECVERR, IPV6_RECVERR), and
 * for who did not; the MTU of a path that was learned.
 */
#include "tun.h"
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>

#define US   "10.1.2.3"
#define THEM "10.1.2.9"

static int tun;

static void
show_pending(int s)
{
	struct pollfd p = {.fd = s, .events = POLLIN | POLLOUT};
	int err = 0;
	socklen_t len = sizeof err;

	poll(&p, 1, 0);
	printf("poll %x", p.revents);
	getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &len);
	printf(" error %s\n", strerrorname_np(err));
}

static void
show_address(const void *a)
{
	const struct sockaddr *sa = a;
	char text[64] = "";

	if (sa->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)a)->sin_addr, text, sizeof text);
	if (sa->sa_family == AF_INET6)
		inet_ntop(
			AF_INET6, &((const struct sockaddr_in6 *)a)->sin6_addr, text, sizeof text);
	printf("family %d %s", sa->sa_family, text);
	if (sa->sa_family)
		printf(":%d", ntohs(((const struct sockaddr_in *)a)->sin_port));
}

static void
take(int s, size_t room)
{
	struct sockaddr_storage name = {0};
	char b[2000], ctl[256];
	struct iovec v = {b, room};
	struct msghdr m = {&name, sizeof name, &v, 1, ctl, sizeof ctl, 0};
	ssize_t n = recvmsg(s, &m, MSG_ERRQUEUE);

	if (n < 0) {
		printf("queue: %s\n", strerrorname_np(errno));
		return;
	}
	printf("queue: %zd bytes %.*s, flags %x, to ", n, n > 12 ? 12 : (int)n, b, m.msg_flags);
	show_address(&name);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct sock_extended_err *e = (void *)CMSG_DATA(c);

		printf("; %d/%d of %zu: %s origin %d type %d code %d info %u data %u, by ",
			c->cmsg_level, c->cmsg_type, c->cmsg_len - CMSG_LEN(0),
			strerrorname_np((int)e->ee_errno), e->ee_origin, e->ee_type, e->ee_code,
			e->ee_info, e->ee_data);
		show_address(SO_EE_OFFENDER(e));
	}
	printf("\n");
}

static void
on_lo(int family)
{
	struct sockaddr_in a4 = {.sin_family = AF_INET, .sin_port = htons(9)};
	struct sockaddr_in6 a6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(9), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct sockaddr *to = family == AF_INET ? (void *)&a4 : (void *)&a6;
	socklen_t len = family == AF_INET ? sizeof a4 : sizeof a6;
	int level = family == AF_INET ? SOL_IP : SOL_IPV6,
	    opt = family == AF_INET ? IP_RECVERR : IPV6_RECVERR;
	int s = socket(family, SOCK_DGRAM | SOCK_NONBLOCK, 0), on = 1;
	static char big[1400];

	a4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	SHOW(sendto(s, "quiet", 5, 0, to, len));
	show_pending(s);
	SHOW(setsockopt(s, level, opt, &on, sizeof on));
	SHOW(sendto(s, "hello", 5, 0, to, len));
	show_pending(s);
	take(s, 100);
	show_pending(s);
	take(s, 100);
	SHOW(sendto(s, "first", 5, 0, to, len));
	SHOW(recv(s, big, 1, 0));
	SHOW(sendto(s, "second", 6, 0, to, len));
	SHOW(sendto(s, "third", 5, 0, to, len));
	SHOW(sendto(s, "third", 5, 0, to, len));
	take(s, 3);
	show_pending(s);
	take(s, 100);
	take(s, 100);
	take(s, 100);
	show_pending(s);
	memset(big, 'b', sizeof big);
	SHOW(sendto(s, big, sizeof big, 0, to, len));
	take(s, 2000);
	SHOW(connect(s, to, len));
	SHOW(send(s, "connected", 9, 0));
	SHOW(send(s, "connected", 9, 0));
	take(s, 100);
	show_pending(s);
}

static void
lo4(void)
{
	own_namespace();
	link_up("lo", true);
	on_lo(AF_INET);
}

static void
lo6(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		exit(77);
	link_up("lo", true);
	on_lo(AF_INET6);
}

static void
begin(void)
{
	own_namespace();
	link_up("lo", true);
	tun = make_tun("t0", IFF_TUN | IFF_NO_PI);
	set_address("t0", US, "255.255.255.0");
	link_up("t0", true);
}

static void
bring_error_about(
	const uint8_t *sent, ssize_t n, const char *from, int type, int code, unsigned info)
{
	uint8_t p[600] = {0};

	if (n > 500)
		n = 500;
	put_header(p, from, US, IPPROTO_ICMP, 8 + (size_t)n);
	p[20] = (uint8_t)type;
	p[21] = (uint8_t)code;
	put16(p + 26, info);
	memcpy(p + 28, sent, (size_t)n);
	put16(p + 22, ip_sum(p + 20, 8 + (size_t)n, 0));
	write(tun, p, 28 + (size_t)n);
}

/* About what has left last. */
static void
bring_error(const char *from, int type, int code, unsigned info)
{
	uint8_t sent[2000];
	ssize_t n = next_packet(tun, sent, sizeof sent, 1000);

	bring_error_about(sent, n, from, type, code, info);
}

static void
udp(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
	int s, on = 1, off = 0, way;
	static char big[1500];
	socklen_t len = sizeof way;

	begin();
	inet_pton(AF_INET, THEM, &to.sin_addr);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	setsockopt(s, SOL_IP, IP_RECVERR, &on, sizeof on);
	SHOW(sendto(s, "too far", 7, 0, (struct sockaddr *)&to, sizeof to));
	bring_error("10.1.2.1", 11, 0, 0);
	show_pending(s);
	take(s, 100);
	SHOW(sendto(s, "no host", 7, 0, (struct sockaddr *)&to, sizeof to));
	bring_error("10.1.2.1", 3, 1, 0);
	take(s, 100);
	show_pending(s);
	printf("too large\n");
	SHOW(sendto(s, big, 1400, 0, (struct sockaddr *)&to, sizeof to));
	bring_error("10.1.2.1", 3, 4, 1000);
	take(s, 10);
	SHOW(sendto(s, big, 1400, 0, (struct sockaddr *)&to, sizeof to));
	for (int i = 0; i < 2; i++) {
		uint8_t p[2000];
		ssize_t n = next_packet(tun, p, sizeof p, 500);

		printf("%zd bytes, fragment %x\n", n, get16(p + 6));
	}
	way = IP_PMTUDISC_DO;
	setsockopt(s, SOL_IP, IP_MTU_DISCOVER, &way, sizeof way);
	SHOW(sendto(s, big, 1400, 0, (struct sockaddr *)&to, sizeof to));
	take(s, 10);
	SHOW(sendto(s, big, 972, 0, (struct sockaddr *)&to, sizeof to));
	bring_error("10.1.2.1", 3, 3, 0);
	take(s, 10);
	printf("not asked for\n");
	setsockopt(s, SOL_IP, IP_RECVERR, &off, sizeof off);
	SHOW(sendto(s, big, 1400, 0, (struct sockaddr *)&to, sizeof to));
	take(s, 10);
	SHOW(connect(s, (struct sockaddr *)&to, sizeof to));
	SHOW(getsockopt(s, SOL_IP, IP_MTU, &way, &len));
	printf("mtu %d\n", way);
	SHOW(send(s, "x", 1, 0));
	bring_error("10.1.2.1", 3, 1, 0);
	show_pending(s);
	SHOW(send(s, "x", 1, 0));
	bring_error("10.1.2.1", 3, 3, 0);
	show_pending(s);
	take(s, 10);
}

/* Who may send echoes without a right to raw sockets. */
static void
set_range(void)
{
	int fd = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);

	write(fd, "0 100000", 8);
	close(fd);
}

static void
echoes(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	uint8_t echo[16] = {8};
	int ping, raw, on = 1;

	begin();
	inet_pton(AF_INET, THEM, &to.sin_addr);
	set_range();
	ping = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_ICMP);
	raw = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP);
	setsockopt(ping, SOL_IP, IP_RECVERR, &on, sizeof on);
	memcpy(echo + 8, "an echo", 7);
	SHOW(sendto(ping, echo, sizeof echo, 0, (struct sockaddr *)&to, sizeof to));
	bring_error("10.1.2.1", 3, 1, 0);
	show_pending(ping);
	take(ping, 4);
	show_pending(raw);
	setsockopt(raw, SOL_IP, IP_RECVERR, &on, sizeof on);
	put16(echo + 2, ip_sum(echo, sizeof echo, 0));
	SHOW(sendto(raw, echo, sizeof echo, 0, (struct sockaddr *)&to, sizeof to));
	bring_error("10.1.2.1", 11, 0, 0);
	show_pending(raw);
	take(raw, 4);
	show_pending(ping);
}

/* --- about what nobody has sent --- */

static void
show_mtu(const char *to)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(9)};
	int s = socket(AF_INET, SOCK_DGRAM, 0), mtu = 0;
	socklen_t len = sizeof mtu;

	inet_pton(AF_INET, to, &a.sin_addr);
	connect(s, (struct sockaddr *)&a, sizeof a);
	getsockopt(s, SOL_IP, IP_MTU, &mtu, &len);
	printf("to %s: mtu %d\n", to, mtu);
	close(s);
}

/* A packet of that protocol that came from port 7777, or an echo. */
static void
bring_too_large(const char *to, int protocol)
{
	uint8_t p[40] = {0};

	put_header(p, US, to, protocol, 20);
	p[20] = protocol == IPPROTO_ICMP ? 8 : 0;
	if (protocol != IPPROTO_ICMP)
		put16(p + 20, 7777);
	put16(p + 22, 53);
	bring_error_about(p, sizeof p, "10.1.2.1", 3, 4, 1000);
	show_mtu(to);
}

static void
forged_packets(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(7777)};
	int s;

	begin();
	bring_too_large("10.1.2.50", IPPROTO_UDP);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	SHOW(bind(s, (struct sockaddr *)&a, sizeof a));
	bring_too_large("10.1.2.51", IPPROTO_UDP);
	inet_pton(AF_INET, "10.1.2.99", &a.sin_addr);
	SHOW(connect(s, (struct sockaddr *)&a, sizeof a));
	bring_too_large("10.1.2.52", IPPROTO_UDP);
	bring_too_large("10.1.2.53", IPPROTO_ICMP);
	bring_too_large("10.1.2.54", IPPROTO_TCP);
	bring_too_large("10.1.2.55", 89);
	s = socket(AF_INET, SOCK_RAW, 89);
	bring_too_large("10.1.2.56", 89);
}

/* Not one that guesses where its bytes are. */
static void
forged_segments(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(80)};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	uint8_t syn[100];
	ssize_t n;

	begin();
	close(s);
	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	inet_pton(AF_INET, THEM, &a.sin_addr);
	SHOW(connect(s, (struct sockaddr *)&a, sizeof a));
	n = next_packet(tun, syn, sizeof syn, 1000);
	for (int i = 0; i < 2; i++) {
		put32(syn + 24, get32(syn + 24) + (i ? -100u : 100u));
		bring_error_about(syn, n, "10.1.2.1", 3, 4, 1000);
		show_mtu(THEM);
		bring_error_about(syn, n, "10.1.2.1", 3, 1, 0);
		show_pending(s);
	}
}

int
main(void)
{
	own_namespace();
	in_child("IPv4 on lo", lo4);
	in_child("IPv6 on lo", lo6);
	in_child("udp", udp);
	in_child("echoes", echoes);
	in_child("forged packets", forged_packets);
	in_child("forged segments", forged_segments);
	return 0;
}
