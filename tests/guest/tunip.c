/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes through a tun, packet by packet: UDP, echoes, errors, pieces, raw and packet sockets,
 * and TCP with a peer that is made by hand. 10.1.2.3 is this host.
 */
#include "sysctl_file.h"
#include "tun.h"
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>

#define US   "10.1.2.3"
#define THEM "10.1.2.9"

static int tun;

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
show_ip(const uint8_t *p, ssize_t n)
{
	char from[16], to[16];

	inet_ntop(AF_INET, p + 12, from, sizeof from);
	inet_ntop(AF_INET, p + 16, to, sizeof to);
	printf("%s -> %s: %zd bytes, tos %x ttl %d protocol %d fragment %x, sums %s", from, to, n,
		p[1], p[8], p[9], get16(p + 6), sums_are_right(p, (size_t)n) ? "right" : "wrong");
}

/* The next packet that leaves. */
static void
show_next(void)
{
	uint8_t p[2048];
	ssize_t n = next_packet(tun, p, sizeof p, 1000);

	if (!n) {
		printf("nothing leaves\n");
		return;
	}
	show_ip(p, n);
	if (p[9] == IPPROTO_UDP && !(get16(p + 6) & 0x1fff))
		printf(": udp %u -> %u, %u: %.*s", get16(p + 20), get16(p + 22), get16(p + 24),
			(int)(n - 28 > 32 ? 32 : n - 28), (char *)p + 28);
	if (p[9] == IPPROTO_ICMP)
		printf(": icmp type %d code %d, of protocol %d", p[20], p[21], n > 37 ? p[37] : 0);
	printf("\n");
}

static void
bring_udp(const char *from, const char *to, int sport, int dport, const char *text)
{
	size_t n = strlen(text);
	uint8_t p[512];

	put_header(p, from, to, IPPROTO_UDP, 8 + n);
	put16(p + 20, (unsigned)sport);
	put16(p + 22, (unsigned)dport);
	put16(p + 24, (unsigned)(8 + n));
	memcpy(p + 28, text, n);
	put_sum(p, 8 + n, 6);
	if (write(tun, p, 28 + n) != (ssize_t)(28 + n))
		printf("write: %s\n", strerror(errno));
}

static struct sockaddr_in
name(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static int
udp_at(const char *ip, int port)
{
	struct sockaddr_in a = name(ip, port);
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	if (bind(s, (struct sockaddr *)&a, sizeof a) < 0)
		printf("bind %s: %s\n", ip, strerror(errno));
	return s;
}

static void
show_received(int s)
{
	struct sockaddr_in from;
	char b[128], ctl[128];
	struct iovec v = {b, sizeof b};
	struct msghdr m = {&from, sizeof from, &v, 1, ctl, sizeof ctl, 0};
	ssize_t n = recvmsg(s, &m, 0);

	if (n < 0) {
		printf("received: %s\n", strerrorname_np(errno));
		return;
	}
	printf("received from %s:%d: %.*s", inet_ntoa(from.sin_addr), ntohs(from.sin_port), (int)n,
		b);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct in_pktinfo *i = (void *)CMSG_DATA(c);
		char on[IF_NAMESIZE];

		if (c->cmsg_type == IP_PKTINFO)
			printf(", by %s to %s", if_indextoname((unsigned)i->ipi_ifindex, on),
				inet_ntoa(i->ipi_addr));
		if (c->cmsg_type == IP_TTL)
			printf(", ttl %d", *(int *)CMSG_DATA(c));
	}
	printf("\n");
}

static void
udp(void)
{
	struct sockaddr_in them = name(THEM, 53), me;
	socklen_t len = sizeof me;
	char big[1600];
	int s, c, on = 1, off = IP_PMTUDISC_DONT, need = IP_PMTUDISC_DO, tos = 0x28;

	begin();
	s = udp_at("0.0.0.0", 5000);
	setsockopt(s, SOL_IP, IP_PKTINFO, &on, sizeof on);
	setsockopt(s, SOL_IP, IP_RECVTTL, &on, sizeof on);
	bring_udp(THEM, US, 4000, 5000, "hello");
	show_received(s);
	SHOW(sendto(s, "answer", 6, 0, (struct sockaddr *)&them, sizeof them));
	show_next();
	setsockopt(s, SOL_IP, IP_TOS, &tos, sizeof tos);
	SHOW(sendto(s, "with a tos", 10, 0, (struct sockaddr *)&them, sizeof them));
	show_next();
	setsockopt(s, SOL_IP, IP_MTU_DISCOVER, &off, sizeof off);
	SHOW(sendto(s, "may be cut", 10, 0, (struct sockaddr *)&them, sizeof them));
	show_next();
	printf("not for us\n");
	bring_udp(THEM, "10.1.2.4", 4000, 5000, "no");
	show_received(s);
	bring_udp("127.0.0.1", US, 4000, 5000, "no");
	show_received(s);
	bring_udp(THEM, "127.0.0.1", 4000, 5000, "no");
	show_received(s);
	bring_udp("224.0.0.1", US, 4000, 5000, "no");
	show_received(s);
	bring_udp(US, US, 4000, 5000, "no");
	show_received(s);
	bring_udp("192.168.7.7", US, 4000, 5000, "from far away");
	show_received(s);
	bring_udp(THEM, "10.1.2.255", 4000, 5000, "to all");
	show_received(s);
	printf("no port\n");
	bring_udp(THEM, US, 4000, 5001, "nobody");
	show_next();
	bring_udp(THEM, "10.1.2.255", 4000, 5001, "nobody of all");
	show_next();
	printf("connected\n");
	c = udp_at("0.0.0.0", 5005);
	SHOW(connect(c, (struct sockaddr *)&them, sizeof them));
	getsockname(c, (struct sockaddr *)&me, &len);
	printf("from %s\n", inet_ntoa(me.sin_addr));
	bring_udp(THEM, US, 53, ntohs(me.sin_port), "for the connected");
	show_received(c);
	bring_udp(THEM, US, 54, ntohs(me.sin_port), "from elsewhere");
	show_received(c);
	show_next();
	printf("large\n");
	memset(big, 'x', sizeof big);
	SHOW(send(c, big, 1472, 0));
	show_next();
	SHOW(send(c, big, 1473, 0));
	show_next();
	show_next();
	setsockopt(c, SOL_IP, IP_MTU_DISCOVER, &need, sizeof need);
	SHOW(send(c, big, 1473, 0));
	SHOW(send(c, big, 1472, 0));
	show_next();
	printf("elsewhere\n");
	them = name("10.5.5.5", 1);
	SHOW(sendto(s, "x", 1, 0, (struct sockaddr *)&them, sizeof them));
	them = name("10.1.2.255", 7);
	SHOW(sendto(s, "x", 1, 0, (struct sockaddr *)&them, sizeof them));
	link_up("t0", false);
	them = name(THEM, 7);
	SHOW(sendto(s, "x", 1, 0, (struct sockaddr *)&them, sizeof them));
}

static void
broadcasts(void)
{
	struct sockaddr_in all = name("10.1.2.255", 5000), limited = name("255.255.255.255", 5000);
	int s, on = 1;

	begin();
	s = udp_at("0.0.0.0", 5000);
	setsockopt(s, SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
	SHOW(sendto(s, "all", 3, 0, (struct sockaddr *)&all, sizeof all));
	show_next();
	show_received(s);
	SHOW(sendto(s, "limited", 7, 0, (struct sockaddr *)&limited, sizeof limited));
	SHOW(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "t0", 3));
	SHOW(sendto(s, "limited", 7, 0, (struct sockaddr *)&limited, sizeof limited));
	show_next();
	show_received(s);
}

/* SO_BINDTODEVICE and IP_PKTINFO choose the interface. */
static void
devices(void)
{
	struct sockaddr_in far = name("10.77.0.1", 9);
	char name_of[16] = "", ctl[CMSG_SPACE(sizeof(struct in_pktinfo))] = {0};
	struct iovec v = {(char *)"pktinfo", 7};
	struct msghdr m = {&far, sizeof far, &v, 1, ctl, sizeof ctl, 0};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);
	struct in_pktinfo i = {0};
	socklen_t len = sizeof name_of;
	int s;

	begin();
	s = udp_at("0.0.0.0", 5000);
	SHOW(sendto(s, "x", 1, 0, (struct sockaddr *)&far, sizeof far));
	i.ipi_ifindex = (int)if_nametoindex("t0");
	h->cmsg_level = SOL_IP;
	h->cmsg_type = IP_PKTINFO;
	h->cmsg_len = CMSG_LEN(sizeof i);
	memcpy(CMSG_DATA(h), &i, sizeof i);
	SHOW(sendmsg(s, &m, 0));
	show_next();
	i.ipi_ifindex = 77;
	memcpy(CMSG_DATA(h), &i, sizeof i);
	SHOW(sendmsg(s, &m, 0));
	SHOW(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "t1", 3));
	SHOW(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	bring_udp(THEM, US, 1, 5000, "not by lo");
	show_received(s);
	show_next();
	SHOW(setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "t0", 3));
	SHOW(getsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, name_of, &len));
	printf("%s %u\n", name_of, len);
	bring_udp(THEM, US, 1, 5000, "by t0");
	show_received(s);
	SHOW(sendto(s, "bound", 5, 0, (struct sockaddr *)&far, sizeof far));
	show_next();
}

static void
bring_icmp_to(const char *to, int type, int code, uint32_t rest, const void *data, size_t n)
{
	uint8_t p[512];

	put_header(p, THEM, to, IPPROTO_ICMP, 8 + n);
	p[20] = (uint8_t)type;
	p[21] = (uint8_t)code;
	put16(p + 22, 0);
	put32(p + 24, rest);
	memcpy(p + 28, data, n);
	put16(p + 22, ip_sum(p + 20, 8 + n, 0));
	if (write(tun, p, 28 + n) < 0)
		printf("write: %s\n", strerror(errno));
}

static void
bring_icmp(int type, int code, uint32_t rest, const void *data, size_t n)
{
	bring_icmp_to(US, type, code, rest, data, n);
}

/* Echo requests to all are answered by who was told to. */
static void
echo_broadcasts(void)
{
	static const char *const to[] = {"10.1.2.255", "255.255.255.255"};

	begin();
	for (int i = 0; i < 2; i++) {
		bring_icmp_to(to[i], 8, 0, 0x00070001, "ping", 4);
		show_next();
	}
	sysctl_set("net/ipv4/icmp_echo_ignore_broadcasts", "0");
	for (int i = 0; i < 2; i++) {
		bring_icmp_to(to[i], 8, 0, 0x00070001, "ping", 4);
		show_next();
	}
	sysctl_set("net/ipv4/icmp_echo_ignore_all", "1");
	bring_icmp_to(to[0], 8, 0, 0x00070001, "ping", 4);
	show_next();
}

static void
icmp(void)
{
	struct sockaddr_in them = name(THEM, 0);
	uint8_t echo[16] = {8}, p[512];
	int raw, c;
	ssize_t n;

	begin();
	bring_icmp(8, 0, 0x00070001, "ping", 4);
	show_next();
	bring_icmp(8, 1, 0x00070001, "ping", 4);
	show_next();
	raw = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK, IPPROTO_ICMP);
	echo[5] = 9;
	put16(echo + 2, ip_sum(echo, sizeof echo, 0));
	SHOW(sendto(raw, echo, sizeof echo, 0, (struct sockaddr *)&them, sizeof them));
	show_next();
	bring_icmp(0, 0, 0x00090001, "pong", 4);
	n = recv(raw, p, sizeof p, 0);
	if (n > 0)
		show_ip(p, n);
	printf(" %zd\n", n);
	/* errors about what a socket has sent */
	c = udp_at("0.0.0.0", 5000);
	for (int code = 0; code < 16; code++) {
		struct sockaddr_in to = name(THEM, 53);

		if (code == 4)
			continue;
		connect(c, (struct sockaddr *)&to, sizeof to);
		send(c, "lost", 4, 0);
		n = next_packet(tun, p, sizeof p, 1000);
		bring_icmp(3, code, 0, p, 28);
		errno = 0;
		n = recv(c, p, sizeof p, 0);
		printf("code %d: %s\n", code, strerrorname_np(errno));
	}
}

static void
pieces(void)
{
	uint8_t p[1600], q[1600];
	int s;

	begin();
	s = udp_at("0.0.0.0", 5000);
	put_header(p, THEM, US, IPPROTO_UDP, 8 + 40);
	put16(p + 20, 4000);
	put16(p + 22, 5000);
	put16(p + 24, 48);
	memcpy(p + 28, "0123456789abcdefghijABCDEFGHIJklmnopqrst", 40);
	put_sum(p, 48, 6);
	/* 24 bytes, then the rest, in the other order */
	memcpy(q, p, 20);
	put16(q + 2, 20 + 24);
	memcpy(q + 20, p + 20 + 24, 24);
	put16(q + 6, 3);
	put16(q + 10, 0);
	put16(q + 10, ip_sum(q, 20, 0));
	SHOW(write(tun, q, 44));
	show_received(s);
	memcpy(q + 20, p + 20, 24);
	put16(q + 6, 0x2000);
	put16(q + 10, 0);
	put16(q + 10, ip_sum(q, 20, 0));
	SHOW(write(tun, q, 44));
	show_received(s);
}

/* --- TCP by hand --- */

static uint32_t my_seq, their_seq; /* what comes next */

static void
bring_tcp(int sport, int dport, int flags, uint32_t seq, uint32_t ack, unsigned window,
	const char *text)
{
	size_t n = strlen(text);
	uint8_t p[512];

	put_header(p, THEM, US, IPPROTO_TCP, 20 + n);
	put16(p + 20, (unsigned)sport);
	put16(p + 22, (unsigned)dport);
	put32(p + 24, seq);
	put32(p + 28, ack);
	p[32] = 5 << 4;
	p[33] = (uint8_t)flags;
	put16(p + 34, window);
	put32(p + 36, 0);
	memcpy(p + 40, text, n);
	put_sum(p, 20 + n, 16);
	if (write(tun, p, 40 + n) < 0)
		printf("write: %s\n", strerror(errno));
}

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

static bool again; /* what was sent before is what is looked for */

/* The next segment that has something new, its numbers relative to what is expected; not how large
 * its window is. Who is slow here sees segments twice. */
static uint32_t
show_segment(int ms)
{
	static uint32_t last_ports;
	uint8_t p[2048];
	uint32_t seq = 0, ack = 0, used = 0;
	int flags = 0, head = 0;
	ssize_t n;

	do {
		n = next_packet(tun, p, sizeof p, ms);
		if (!n) {
			printf("no segment\n");
			return 0;
		}
		flags = p[33];
		head = p[32] >> 4 << 2;
		seq = get32(p + 24);
		ack = get32(p + 28);
		used = (uint32_t)(n - 20 - head) + !!(flags & SYN) + !!(flags & FIN);
	} while (!again && used && get32(p + 20) == last_ports &&
		 (int)(seq + used - their_seq) <= 0);
	again = false;
	last_ports = get32(p + 20);
	if (flags & SYN)
		their_seq = seq;
	printf("segment%s%s%s%s: seq %+d", flags & SYN ? " SYN" : "", flags & FIN ? " FIN" : "",
		flags & RST ? " RST" : "", flags & ACK ? " ACK" : "", (int)(seq - their_seq));
	if (flags & ACK)
		printf(" ack %+d", (int)(ack - my_seq));
	printf(", %d bytes: %.*s; sums %s%s\n", (int)(n - 20 - head),
		(int)(n - 20 - head > 20 ? 20 : n - 20 - head), (char *)p + 20 + head,
		sums_are_right(p, (size_t)n) ? "right" : "wrong",
		get16(p + 6) & 0x4000 ? ", not to be cut" : "");
	their_seq = seq + used;
	return get16(p + 20);
}

static void
show_recv(int s)
{
	char b[128];
	ssize_t n = recv(s, b, sizeof b, MSG_DONTWAIT);

	if (n < 0)
		printf("recv: %s\n", strerrorname_np(errno));
	else
		printf("recv: %zd %.*s\n", n, (int)n, b);
}

static int
listen_at(int port)
{
	struct sockaddr_in a = name("0.0.0.0", port);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(s, (struct sockaddr *)&a, sizeof a) < 0 || listen(s, 5) < 0)
		printf("listen: %s\n", strerror(errno));
	return s;
}

/* A connection from port `from` to a listener, accepted. */
static int
accepted(int l, int from, int port)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	int s;

	my_seq = 1000;
	bring_tcp(from, port, SYN, my_seq++, 0, 8000, "");
	show_segment(1000);
	SHOW(accept4(l, NULL, NULL, 0));
	bring_tcp(from, port, ACK, my_seq, their_seq, 8000, "");
	sleep_ms(20);
	s = accept4(l, (struct sockaddr *)&a, &len, 0);
	if (s < 0)
		printf("accept: %s\n", strerrorname_np(errno));
	else
		printf("accepted from %s:%d\n", inet_ntoa(a.sin_addr), ntohs(a.sin_port));
	return s;
}

static void
tcp_in(void)
{
	int l, s, n = 0;

	begin();
	l = listen_at(80);
	s = accepted(l, 4000, 80);
	bring_tcp(4000, 80, ACK | PSH, my_seq, their_seq, 8000, "request");
	my_seq += 7;
	show_segment(1000);
	show_recv(s);
	SHOW(send(s, "response", 8, 0));
	show_segment(1000);
	SHOW(ioctl(s, TIOCOUTQ, &n));
	printf("%d bytes wait\n", n);
	bring_tcp(4000, 80, ACK, my_seq, their_seq, 8000, "");
	sleep_ms(20);
	SHOW(ioctl(s, TIOCOUTQ, &n));
	printf("%d bytes wait\n", n);
	printf("out of order\n");
	bring_tcp(4000, 80, ACK, my_seq + 4, their_seq, 8000, "5678");
	show_segment(1000);
	show_recv(s);
	bring_tcp(4000, 80, ACK, my_seq, their_seq, 8000, "1234");
	my_seq += 8;
	show_segment(1000);
	show_recv(s);
	printf("again\n");
	bring_tcp(4000, 80, ACK, my_seq - 8, their_seq, 8000, "1234");
	show_segment(1000);
	show_recv(s);
	printf("their end\n");
	bring_tcp(4000, 80, FIN | ACK, my_seq++, their_seq, 8000, "");
	show_segment(1000);
	show_recv(s);
	SHOW(send(s, "more", 4, 0));
	show_segment(1000);
	bring_tcp(4000, 80, ACK, my_seq, their_seq, 8000, "");
	close(s);
	show_segment(1000);
	bring_tcp(4000, 80, ACK, my_seq, their_seq, 8000, "");
	show_segment(100);
	printf("of nobody any more\n");
	bring_tcp(4000, 80, ACK, my_seq, their_seq, 8000, "x");
	show_segment(1000);
}

/* Our end first; then somebody who is closed gets bytes. */
static void
tcp_ends(void)
{
	int l, s;

	begin();
	l = listen_at(80);
	s = accepted(l, 4001, 80);
	SHOW(shutdown(s, SHUT_WR));
	show_segment(1000);
	bring_tcp(4001, 80, ACK, my_seq, their_seq, 8000, "");
	bring_tcp(4001, 80, ACK, my_seq, their_seq, 8000, "late");
	my_seq += 4;
	show_segment(1000);
	show_recv(s);
	bring_tcp(4001, 80, FIN | ACK, my_seq++, their_seq, 8000, "");
	show_segment(1000);
	show_recv(s);
	close(s);
	printf("again, of a connection that waits\n");
	bring_tcp(4001, 80, FIN | ACK, my_seq - 1, their_seq, 8000, "");
	show_segment(1000);
	printf("bytes for a closed one\n");
	s = accepted(l, 4002, 80);
	close(s);
	show_segment(1000);
	bring_tcp(4002, 80, ACK, my_seq, their_seq, 8000, "nobody reads");
	show_segment(1000);
	printf("unread bytes\n");
	s = accepted(l, 4003, 80);
	bring_tcp(4003, 80, ACK, my_seq, their_seq, 8000, "unread");
	my_seq += 6;
	show_segment(1000);
	close(s);
	show_segment(1000);
	printf("lingering for no time\n");
	s = accepted(l, 4004, 80);
	SHOW(setsockopt(s, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger)));
	close(s);
	show_segment(1000);
}

static void
tcp_resets(void)
{
	struct pollfd p = {.events = POLLIN | POLLOUT};
	int l, s;

	begin();
	l = listen_at(80);
	s = accepted(l, 4000, 80);
	bring_tcp(4000, 80, RST, my_seq + 5, 0, 0, "");
	show_segment(1000); /* a challenge, RFC 5961 */
	p.fd = s;
	poll(&p, 1, 0);
	printf("poll %x\n", p.revents);
	bring_tcp(4000, 80, RST, my_seq, 0, 0, "");
	show_segment(100);
	poll(&p, 1, 0);
	printf("poll %x\n", p.revents);
	show_recv(s);
	SHOW(send(s, "x", 1, MSG_NOSIGNAL));
	printf("a listener's\n");
	bring_tcp(4009, 80, ACK, 77, 99, 0, "");
	my_seq = 77;
	their_seq = 99;
	show_segment(1000);
	bring_tcp(4009, 80, RST, 77, 0, 0, "");
	show_segment(100);
	printf("nobody's\n");
	my_seq = 501;
	their_seq = 0;
	bring_tcp(4009, 81, SYN, 500, 0, 0, "");
	show_segment(1000);
	printf("that is taken back\n");
	my_seq = 1000;
	bring_tcp(4010, 80, SYN, my_seq++, 0, 8000, "");
	show_segment(1000);
	bring_tcp(4010, 80, RST, my_seq, 0, 0, "");
	bring_tcp(4010, 80, ACK, my_seq, their_seq, 8000, "");
	show_segment(1000);
	SHOW(accept4(l, NULL, NULL, 0));
}

static int
connecting(int port)
{
	struct sockaddr_in to = name(THEM, port);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	SHOW(connect(s, (struct sockaddr *)&to, sizeof to));
	return s;
}

static void
show_error(int s)
{
	struct pollfd p = {.fd = s, .events = POLLIN | POLLOUT};
	int err = 0;
	socklen_t len = sizeof err;

	poll(&p, 1, 0);
	getsockopt(s, SOL_SOCKET, SO_ERROR, &err, &len);
	printf("poll %x, error %s\n", p.revents, strerrorname_np(err));
}

static void
tcp_out(void)
{
	struct sockaddr_in me;
	struct tcp_info info;
	socklen_t len = sizeof me;
	uint32_t port;
	int s;

	begin();
	my_seq = 9000;
	s = connecting(80);
	port = show_segment(1000);
	show_error(s);
	getsockname(s, (struct sockaddr *)&me, &len);
	printf("from %s, the port %s\n", inet_ntoa(me.sin_addr),
		ntohs(me.sin_port) == port ? "of the segment" : "is another");
	bring_tcp(80, (int)port, SYN | ACK, my_seq++, their_seq, 500, "");
	show_segment(1000);
	show_error(s);
	SHOW(send(s, "GET", 3, 0));
	show_segment(1000);
	bring_tcp(80, (int)port, ACK | PSH, my_seq, their_seq, 500, "data");
	my_seq += 4;
	show_segment(1000);
	show_recv(s);
	len = sizeof info;
	SHOW(getsockopt(s, SOL_TCP, TCP_INFO, &info, &len));
	printf("state %d, options %d\n", info.tcpi_state, info.tcpi_options & 5);
	printf("a window that is full\n");
	bring_tcp(80, (int)port, ACK, my_seq, their_seq, 4, "");
	SHOW(send(s, "123456789", 9, 0));
	show_segment(1000);
	bring_tcp(80, (int)port, ACK, my_seq, their_seq, 400, "");
	show_segment(1000);
	bring_tcp(80, (int)port, ACK, my_seq, their_seq, 400, "");
	printf("lost, and sent again\n");
	SHOW(send(s, "lost", 4, 0));
	show_segment(1000);
	their_seq -= 4;
	again = true;
	show_segment(2000);
	bring_tcp(80, (int)port, ACK, my_seq, their_seq, 400, "");
	close(s);
	show_segment(1000);
}

static void
set_sysctl(const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
	fd = open(path, O_WRONLY);
	write(fd, value, 1);
	close(fd);
}

/* Which options a SYN to a port, or the answer to one, has; not their values, nor SACK. */
static void
show_options(unsigned port)
{
	uint8_t p[2048];
	ssize_t n;
	int end;

	do
		n = next_packet(tun, p, sizeof p, 1000);
	while (n && get16(p + 22) != port);
	end = n > 40 ? 20 + (p[32] >> 4 << 2) : 0;
	printf("flags %x:", n ? p[33] : 0);
	for (int i = 40; i < end;) {
		if (p[i] == 2)
			printf(" mss %u", get16(p + i + 2));
		if (p[i] == 3)
			printf(" scaled");
		if (p[i] == 8)
			printf(" timestamps");
		i += p[i] <= 1 ? 1 : p[i + 1] ? p[i + 1] : end;
	}
	printf("\n");
}

static void
tcp_options(void)
{
	uint8_t p[64];

	begin();
	for (int i = 0; i < 4; i++) {
		set_sysctl("tcp_timestamps", i & 1 ? "0" : "1");
		set_sysctl("tcp_window_scaling", i & 2 ? "0" : "1");
		connecting(80 + i);
		show_options(80 + (unsigned)i);
	}
	listen_at(80);
	/* a SYN with all of them: MSS 1000, a scale of 3, timestamps */
	for (int i = 0; i < 4; i++) {
		set_sysctl("tcp_timestamps", i & 1 ? "0" : "1");
		set_sysctl("tcp_window_scaling", i & 2 ? "0" : "1");
		memset(p, 0, sizeof p);
		put_header(p, THEM, US, IPPROTO_TCP, 40);
		put16(p + 20, (unsigned)(4000 + i));
		put16(p + 22, 80);
		put32(p + 24, 500);
		p[32] = 10 << 4;
		p[33] = SYN;
		put16(p + 34, 8000);
		memcpy(p + 40, "\2\4\3\350\1\3\3\3\1\1\10\12\0\0\0\1\0\0\0\0", 20);
		put_sum(p, 40, 16);
		write(tun, p, 60);
		show_options(4000 + (unsigned)i);
	}
}

static void
tcp_refused(void)
{
	uint32_t port;
	int s;

	begin();
	s = connecting(81);
	port = show_segment(1000);
	bring_tcp(81, (int)port, RST | ACK, 0, their_seq, 0, "");
	sleep_ms(20);
	show_error(s);
	printf("a reset for something else\n");
	s = connecting(82);
	port = show_segment(1000);
	bring_tcp(82, (int)port, RST | ACK, 0, their_seq + 5, 0, "");
	again = true;
	show_segment(500);
	show_error(s);
	printf("again after a second\n");
	again = true;
	show_segment(2500);
}

static void
tcp_unreachable(void)
{
	struct sockaddr_in far = name("10.5.5.5", 1);
	uint8_t p[512];
	int s;

	begin();
	s = connecting(83);
	next_packet(tun, p, sizeof p, 1000);
	bring_icmp(3, 1, 0, p, 28);
	sleep_ms(20);
	show_error(s);
	s = connecting(84);
	next_packet(tun, p, sizeof p, 1000);
	bring_icmp(3, 3, 0, p, 28);
	sleep_ms(20);
	show_error(s);
	printf("elsewhere\n");
	s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	SHOW(connect(s, (struct sockaddr *)&far, sizeof far));
}

/* --- who looks at packets --- */

static void
show_frame(int s, const char *who)
{
	struct sockaddr_ll from;
	socklen_t len = sizeof from;
	uint8_t p[512];
	char on[IF_NAMESIZE];
	ssize_t n = recvfrom(s, p, sizeof p, MSG_DONTWAIT, (struct sockaddr *)&from, &len);

	if (n < 0)
		printf("%s: %s\n", who, strerrorname_np(errno));
	else
		printf("%s: %zd bytes, first %x, by %s, protocol %x, kind %d, hardware %d, %d "
		       "bytes of address\n",
			who, n, p[0], if_indextoname((unsigned)from.sll_ifindex, on),
			ntohs(from.sll_protocol), from.sll_pkttype, from.sll_hatype,
			from.sll_halen);
}

static void
packets(void)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct sockaddr_in them = name(THEM, 53);
	uint8_t p[64];
	int raw, cooked, s, ip;

	begin();
	raw = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	cooked = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));
	at.sll_ifindex = (int)if_nametoindex("t0");
	SHOW(bind(raw, (struct sockaddr *)&at, sizeof at));
	s = udp_at("0.0.0.0", 5000);
	sendto(s, "out", 3, 0, (struct sockaddr *)&them, sizeof them);
	show_next();
	show_frame(raw, "raw");
	show_frame(cooked, "cooked");
	bring_udp(THEM, US, 1, 5000, "in");
	show_received(s);
	show_frame(raw, "raw");
	show_frame(cooked, "cooked");
	put_header(p, US, THEM, 253, 4);
	memcpy(p + 20, "mine", 4);
	at.sll_protocol = htons(ETH_P_IP);
	SHOW(sendto(raw, p, 24, 0, (struct sockaddr *)&at, sizeof at));
	show_next();
	show_frame(raw, "raw");
	ip = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	SHOW(sendto(ip, p, 24, 0, (struct sockaddr *)&them, sizeof them));
	show_next();
	printf("a protocol that nobody knows\n");
	while (recv(raw, p, sizeof p, MSG_DONTWAIT) > 0)
		;
	put_header(p, THEM, US, 253, 4);
	SHOW(write(tun, p, 24));
	show_next();
}

/* --- with headers before the packets --- */

static void
headers(void)
{
	struct sockaddr_in them = name(THEM, 53);
	struct {
		struct tun_pi pi;
		uint8_t p[100];
	} b;
	int s;
	ssize_t n;

	own_namespace();
	tun = make_tun("t0", IFF_TUN);
	set_address("t0", US, "255.255.255.0");
	link_up("t0", true);
	s = udp_at("0.0.0.0", 5000);
	sendto(s, "out", 3, 0, (struct sockaddr *)&them, sizeof them);
	n = next_packet(tun, (uint8_t *)&b, sizeof b, 1000);
	printf("%zd bytes, flags %x, protocol %x\n", n, b.pi.flags, ntohs(b.pi.proto));
	sendto(s, "out", 3, 0, (struct sockaddr *)&them, sizeof them);
	n = read(tun, &b, 10);
	printf("%zd bytes, flags %x\n", n, b.pi.flags);
	sendto(s, "out", 3, 0, (struct sockaddr *)&them, sizeof them);
	SHOW(read(tun, &b, 3));
	SHOW(read(tun, &b, sizeof b));
	put_header(b.p, THEM, US, IPPROTO_UDP, 8 + 2);
	put16(b.p + 20, 4000);
	put16(b.p + 22, 5000);
	put16(b.p + 24, 10);
	memcpy(b.p + 28, "in", 2);
	put_sum(b.p, 10, 6);
	b.pi = (struct tun_pi){0, htons(ETH_P_IP)};
	SHOW(write(tun, &b, 4 + 30));
	show_received(s);
	b.pi.proto = htons(0x1234);
	SHOW(write(tun, &b, 4 + 30));
	show_received(s);
	SHOW(write(tun, &b, 3));
}

int
main(void)
{
	own_namespace();
	in_child("udp", udp);
	in_child("broadcasts", broadcasts);
	in_child("devices", devices);
	in_child("icmp", icmp);
	in_child("echoes to all", echo_broadcasts);
	in_child("pieces", pieces);
	in_child("tcp, from outside", tcp_in);
	in_child("tcp, ends", tcp_ends);
	in_child("tcp, resets", tcp_resets);
	in_child("tcp, from inside", tcp_out);
	in_child("tcp, options", tcp_options);
	in_child("tcp, refused", tcp_refused);
	in_child("tcp, unreachable", tcp_unreachable);
	in_child("packets", packets);
	in_child("headers", headers);
	return 0;
}
