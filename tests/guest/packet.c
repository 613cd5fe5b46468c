/* SPDX-License-Identifier: Apache-2.0 */
/* Packets on lo: AF_PACKET, raw sockets of any protocol, headers that a program makes, filters of
 * sockets. */
#include "guest.h"
#include "network.h"
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define PORT_A 20001
#define PORT_B 20002

static unsigned char buf[70000];

static struct sockaddr_in
at(int port)
{
	return (struct sockaddr_in){AF_INET, htons(port), {htonl(INADDR_LOOPBACK)}, {0}};
}

static int
udp(int port)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in a = at(port);

	if (bind(s, (void *)&a, sizeof a))
		printf("bind %d: %d\n", port, errno);
	return s;
}

static void
send_udp(int s, int port, const char *text)
{
	struct sockaddr_in a = at(port);

	sendto(s, text, strlen(text), 0, (void *)&a, sizeof a);
}

static int
there(int s)
{
	struct pollfd p = {s, POLLIN, 0};

	return poll(&p, 1, 200) == 1;
}

/* What a datagram socket has got. */
static void
got(int s)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	ssize_t n = recvfrom(s, buf, sizeof buf - 1, MSG_DONTWAIT, (void *)&a, &len);

	if (n < 0)
		printf("  got %s\n", strerrorname_np(errno));
	else
		printf("  got '%.*s' from %d\n", (int)n, buf, ntohs(a.sin_port));
}

static void
show_ip(const unsigned char *p, ssize_t n)
{
	const struct iphdr *ip = (const void *)p;

	if (n < 20) {
		printf(" short %zd\n", n);
		return;
	}
	printf(" ip v%d head %d whole %d ttl %d protocol %d", ip->version, ip->ihl * 4,
		ntohs(ip->tot_len), ip->ttl, ip->protocol);
	if (ip->protocol == IPPROTO_UDP && n >= 28) {
		const struct udphdr *u = (const void *)(p + ip->ihl * 4);

		printf(" udp %d > %d len %d '%.*s'", ntohs(u->source), ntohs(u->dest),
			ntohs(u->len), (int)n - 28, p + 28);
	}
	printf("\n");
}

static int
take(int s, int head)
{
	_Alignas(8) char control[256];
	struct sockaddr_ll from = {0};
	struct iovec v = {buf, sizeof buf};
	struct msghdr m = {.msg_name = &from,
		.msg_namelen = sizeof from,
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	ssize_t n;

	if (!there(s) || (n = recvmsg(s, &m, MSG_DONTWAIT)) < 0) {
		printf("  nothing\n");
		return 0;
	}
	printf("  from family %d protocol %x if %d hatype %d type %d halen %d len %d:",
		from.sll_family, ntohs(from.sll_protocol), from.sll_ifindex, from.sll_hatype,
		from.sll_pkttype, from.sll_halen, m.msg_namelen);
	if (head)
		printf(" eth %02x%02x", buf[12], buf[13]);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		struct tpacket_auxdata a;

		memcpy(&a, CMSG_DATA(c), sizeof a);
		if (c->cmsg_level == SOL_PACKET)
			printf(" aux %d: %d %u %u mac %d net %d", c->cmsg_type, a.tp_status & 1,
				a.tp_len, a.tp_snaplen, a.tp_mac, a.tp_net);
	}
	show_ip(buf + head, n - head);
	return 1;
}

static void
bind_packet(int s, int protocol, int index)
{
	struct sockaddr_ll a = {
		.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = index};

	SHOW(bind(s, (void *)&a, sizeof a));
}

static void
packet(void)
{
	struct sockaddr_ll a = {0};
	socklen_t len = sizeof a;
	int u = udp(PORT_A), v = udp(PORT_B), one = 1;
	int s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)),
	    d = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)), n = socket(AF_PACKET, SOCK_RAW, 0);
	struct tpacket_stats st;
	struct packet_mreq mr = {.mr_ifindex = 1, .mr_type = PACKET_MR_PROMISC};

	printf("- packet\n");
	WORKS(s);
	WORKS(d);
	WORKS(n);
	SHOW(socket(AF_PACKET, SOCK_STREAM, 0));
	SHOW(getsockname(s, (void *)&a, &len));
	printf("  %d %x %d %d %d, %d\n", a.sll_family, ntohs(a.sll_protocol), a.sll_ifindex,
		a.sll_hatype, a.sll_halen, len);
	bind_packet(s, ETH_P_ALL, 1);
	bind_packet(s, ETH_P_ALL, 77);
	SHOW(bind(s, (void *)&a, 4));
	len = sizeof a;
	SHOW(getsockname(s, (void *)&a, &len));
	printf("  %d %x %d %d %d, %d\n", a.sll_family, ntohs(a.sll_protocol), a.sll_ifindex,
		a.sll_hatype, a.sll_halen, len);
	SHOW(getpeername(s, (void *)&a, &len));
	SHOW(listen(s, 1));
	send_udp(u, PORT_B, "one");
	take(s, 14);
	take(s, 14);
	take(d, 0);
	SHOW(recv(d, buf, sizeof buf, MSG_DONTWAIT));
	SHOW(recv(n, buf, sizeof buf, MSG_DONTWAIT));
	got(v);
	SHOW(setsockopt(s, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one));
	SHOW(setsockopt(s, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one));
	SHOW(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof mr));
	SHOW(setsockopt(s, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &mr, sizeof mr));
	mr.mr_ifindex = 77;
	SHOW(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, sizeof mr));
	SHOW(setsockopt(s, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mr, 4));
	send_udp(u, PORT_B, "two");
	take(s, 14);
	SHOW(recv(s, buf, sizeof buf, MSG_DONTWAIT));
	got(v);
	len = sizeof st;
	SHOW(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &len));
	printf("  %u packets, %u drops, %d\n", st.tp_packets, st.tp_drops, len);
	SHOW(getsockopt(s, SOL_PACKET, PACKET_STATISTICS, &st, &len));
	printf("  %u packets\n", st.tp_packets);
	send_udp(u, PORT_B, "cut");
	there(s);
	SHOW(recv(s, buf, 20, MSG_DONTWAIT | MSG_TRUNC));
	close(s);
	close(d);
	close(n);
	close(u);
	close(v);
}

/* A datagram with its headers; the checksum of UDP is left out. */
static size_t
make(unsigned char *p, int from, int to, const char *text)
{
	struct iphdr *ip = (void *)p;
	struct udphdr *u = (void *)(p + 20);
	size_t n = strlen(text);
	uint32_t sum = 0;

	memset(p, 0, 28);
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 9;
	ip->protocol = IPPROTO_UDP;
	ip->tot_len = htons(28 + n);
	ip->saddr = ip->daddr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < 20; i += 2)
		sum += p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	ip->check = htons(~(sum + (sum >> 16)));
	u->source = htons(from);
	u->dest = htons(to);
	u->len = htons(8 + n);
	memcpy(p + 28, text, n);
	return 28 + n;
}

/* The same of IPv6, with the checksum that has to be there. */
static size_t
make6(unsigned char *p, int from, int to, const char *text)
{
	struct udphdr *u = (void *)(p + 40);
	size_t n = strlen(text), len = 8 + n;
	uint32_t sum = IPPROTO_UDP + len + 2; /* and the addresses */

	memset(p, 0, 48 + n + 1);
	p[0] = 0x60;
	p[5] = len;
	p[6] = IPPROTO_UDP;
	p[7] = 64;
	p[23] = p[39] = 1;
	u->source = htons(from);
	u->dest = htons(to);
	u->len = htons(len);
	memcpy(p + 48, text, n);
	for (size_t i = 0; i < len; i += 2)
		sum += p[40 + i] << 8 | p[41 + i];
	sum = (sum & 0xffff) + (sum >> 16);
	u->check = htons(~(sum + (sum >> 16)));
	return 48 + n;
}

static void
sending6(void)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IPV6),
		.sll_ifindex = 1,
		.sll_halen = 6};
	struct sockaddr_in6 a = {.sin6_family = AF_INET6,
		.sin6_port = htons(PORT_A),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int d = socket(AF_PACKET, SOCK_DGRAM, 0), u = socket(AF_INET6, SOCK_DGRAM, 0);
	size_t n;

	printf("- sending6\n");
	SHOW(bind(u, (void *)&a, sizeof a));
	n = make6(buf, PORT_B, PORT_A, "by frame");
	SHOW(sendto(d, buf, n, 0, (void *)&to, sizeof to));
	TRUE(there(u));
	SHOW(recv(u, buf, sizeof buf, MSG_DONTWAIT));
	printf("  '%.8s'\n", buf);
	n = make6(buf, PORT_B, PORT_A, "by frame");
	buf[50]++;
	SHOW(sendto(d, buf, n, 0, (void *)&to, sizeof to));
	n = make6(buf, PORT_B, PORT_A, "by frame");
	SHOW(sendto(d, buf, n - 1, 0, (void *)&to, sizeof to));
	TRUE(there(u));
	close(d);
	close(u);
}

static void
sending(void)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = 1,
		.sll_halen = 6};
	int s = socket(AF_PACKET, SOCK_RAW, 0), d = socket(AF_PACKET, SOCK_DGRAM, 0),
	    u = udp(PORT_A), all = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	size_t n;

	printf("- sending\n");
	memset(buf, 0, 14);
	buf[12] = 8;
	n = 14 + make(buf + 14, PORT_B, PORT_A, "frame");
	SHOW(sendto(s, buf, n, 0, (void *)&to, sizeof to));
	there(u);
	got(u);
	take(all, 14);
	take(all, 14);
	n = make(buf, PORT_B, PORT_A, "datagram");
	SHOW(sendto(d, buf, n, 0, (void *)&to, sizeof to));
	there(u);
	got(u);
	take(all, 14);
	take(all, 14);
	/* a checksum that is wrong, a length that is */
	n = make(buf, PORT_B, PORT_A, "bad");
	buf[10] ^= 1;
	sendto(d, buf, n, 0, (void *)&to, sizeof to);
	n = make(buf, PORT_B, PORT_A, "bad");
	buf[25] += 1;
	sendto(d, buf, n, 0, (void *)&to, sizeof to);
	sleep_ms(20);
	got(u);
	/* of no protocol that anybody knows */
	to.sll_protocol = htons(0x88b5);
	SHOW(sendto(d, "twenty bytes or more", 20, 0, (void *)&to, sizeof to));
	while (recv(all, buf, sizeof buf, MSG_DONTWAIT) > 0)
		printf("  %02x%02x\n", buf[12], buf[13]);
	to.sll_ifindex = 0;
	SHOW(sendto(d, buf, n, 0, (void *)&to, sizeof to));
	to.sll_ifindex = 77;
	SHOW(sendto(d, buf, n, 0, (void *)&to, sizeof to));
	to.sll_family = AF_INET;
	SHOW(sendto(d, buf, n, 0, (void *)&to, sizeof to));
	SHOW(sendto(s, buf, n, 0, (void *)&to, 4));
	close(s);
	close(d);
	close(u);
	close(all);
}

static void
raw(void)
{
	struct sockaddr_in to = at(0);
	int r = socket(AF_INET, SOCK_RAW, IPPROTO_UDP), w = socket(AF_INET, SOCK_RAW, IPPROTO_RAW),
	    u = udp(PORT_A), v = udp(PORT_B), own = socket(AF_INET, SOCK_RAW, 253), on = 1;
	socklen_t len = sizeof on;
	ssize_t n;

	printf("- raw\n");
	WORKS(r);
	WORKS(w);
	WORKS(own);
	SHOW(socket(AF_INET, SOCK_RAW, 0));
	SHOW(socket(AF_INET, SOCK_RAW, 300));
	SHOW(getsockopt(w, IPPROTO_IP, IP_HDRINCL, &on, &len));
	printf("  %d\n", on);
	SHOW(getsockopt(r, IPPROTO_IP, IP_HDRINCL, &on, &len));
	printf("  %d\n", on);
	SHOW(getsockopt(u, IPPROTO_IP, IP_HDRINCL, &on, &len));
	send_udp(u, PORT_B, "seen");
	there(r);
	n = recv(r, buf, sizeof buf, MSG_DONTWAIT);
	show_ip(buf, n);
	got(v);
	/* without the IP header */
	make(buf, PORT_B, PORT_A, "by raw");
	SHOW(sendto(r, buf + 20, 14, 0, (void *)&to, sizeof to));
	there(u);
	got(u);
	n = recv(r, buf, sizeof buf, MSG_DONTWAIT);
	show_ip(buf, n);
	/* with it */
	n = make(buf, PORT_B, PORT_A, "whole");
	SHOW(sendto(w, buf, n, 0, (void *)&to, sizeof to));
	there(u);
	got(u);
	n = recv(r, buf, sizeof buf, MSG_DONTWAIT);
	show_ip(buf, n);
	/* for somebody who is not here */
	n = make(buf, PORT_B, PORT_A, "elsewhere");
	memcpy(buf + 16, "\11\10\7\6", 4);
	SHOW(sendto(w, buf, n, 0, (void *)&to, sizeof to));
	sleep_ms(20);
	got(u);
	SHOW(recv(r, buf, sizeof buf, MSG_DONTWAIT));
	SHOW(recv(w, buf, sizeof buf, MSG_DONTWAIT));
	SHOW(sendto(w, buf, 10, 0, (void *)&to, sizeof to));
	/* of another protocol */
	SHOW(sendto(own, "mine", 4, 0, (void *)&to, sizeof to));
	there(own);
	n = recv(own, buf, sizeof buf, MSG_DONTWAIT);
	show_ip(buf, n);
	printf("  '%.*s'\n", (int)n - 20, buf + 20);
	SHOW(recv(r, buf, sizeof buf, MSG_DONTWAIT));
	close(r);
	close(w);
	close(u);
	close(v);
	close(own);
}

static void
raw6(void)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int r = socket(AF_INET6, SOCK_RAW, 253);
	ssize_t n;

	printf("- raw6\n");
	SHOW(sendto(r, "mine6", 5, 0, (void *)&to, sizeof to));
	there(r);
	n = recv(r, buf, sizeof buf, MSG_DONTWAIT);
	printf("  '%.*s'\n", (int)n, buf);
	close(r);
}

/* A message of UDP-Lite by way of a raw socket, with a checksum over so much of it and a length
 * field of one's own. */
static void
send_lite(int r, const char *text, unsigned cover, unsigned field, int wrong)
{
	struct sockaddr_in to = at(0);
	size_t n = strlen(text), len = 8 + n;
	uint32_t sum = 2 * (0x7f00 + 1) + 136 + (uint32_t)len;
	struct udphdr *u = (void *)buf;

	memset(buf, 0, len + 1);
	u->source = htons(PORT_B);
	u->dest = htons(PORT_A);
	u->len = htons(field);
	memcpy(buf + 8, text, n);
	for (unsigned i = 0; i < cover; i++)
		sum += i % 2 ? buf[i] : buf[i] << 8;
	sum = (sum & 0xffff) + (sum >> 16);
	u->check = wrong == 2 ? 0 : htons(~(sum + (sum >> 16)) ^ (wrong == 1));
	sendto(r, buf, len, 0, (void *)&to, sizeof to);
}

static void
lite(void)
{
	int r = socket(AF_INET, SOCK_RAW, 136), s = socket(AF_INET, SOCK_DGRAM, 136), want = 12;
	struct sockaddr_in a = at(PORT_A);

	printf("- lite\n");
	SHOW(bind(s, (void *)&a, sizeof a));
	send_lite(r, "all", 11, 0, 0);
	send_lite(r, "all of it", 17, 17, 0);
	send_lite(r, "the header", 8, 8, 0);
	send_lite(r, "a part of it", 13, 13, 0);
	send_lite(r, "wrong", 13, 13, 1);
	send_lite(r, "without", 15, 15, 2);
	send_lite(r, "less than a header", 7, 7, 0);
	send_lite(r, "more than all", 21, 22, 0);
	SHOW(setsockopt(s, 136, 11 /* UDPLITE_RECV_CSCOV */, &want, sizeof want));
	send_lite(r, "too little", 11, 11, 0);
	send_lite(r, "enough", 12, 12, 0);
	send_lite(r, "enough again", 20, 0, 0);
	there(s);
	for (int i = 0; i < 8; i++)
		got(s);
	close(r);
	close(s);
}

/* Which kinds of segment a connection brings. */
static void
tcp(void)
{
	int s = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)), l = socket(AF_INET, SOCK_STREAM, 0),
	    c = socket(AF_INET, SOCK_STREAM, 0), p;
	struct sockaddr_in a = at(PORT_A);
	int syn = 0, synack = 0, data = 0, fin_c = 0, fin_p = 0, one = 1, follows = 0, rst = 0;
	uint32_t next = 0;
	ssize_t n;

	printf("- tcp\n");
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	bind(l, (void *)&a, sizeof a);
	listen(l, 1);
	connect(c, (void *)&a, sizeof a);
	p = accept(l, NULL, NULL);
	write(c, "hello", 5);
	read(p, buf, 5);
	close(c);
	sleep_ms(10);
	close(p);
	close(l);
	sleep_ms(50);
	c = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect(c, (void *)&a, sizeof a));
	close(c);
	while (there(s) && (n = recv(s, buf, sizeof buf, MSG_DONTWAIT)) > 0) {
		const struct iphdr *ip = (void *)buf;
		const struct tcphdr *t = (void *)(buf + 20);
		int size = ntohs(ip->tot_len) - 20 - t->doff * 4,
		    from_client = t->dest == htons(PORT_A);

		if (ip->protocol != IPPROTO_TCP)
			continue;
		if (t->rst) {
			rst++;
		} else if (t->syn && !t->ack) {
			if (!syn++)
				next = ntohl(t->seq) + 1;
		} else if (t->syn) {
			synack += ntohl(t->ack_seq) == next;
		} else if (size) {
			data += from_client && size == 5 &&
				memcmp(buf + 20 + t->doff * 4, "hello", 5) == 0;
			follows += ntohl(t->seq) == next;
			next += size;
		} else if (t->fin && from_client) {
			fin_c += ntohl(t->seq) == next;
		} else if (t->fin) {
			fin_p++;
		}
	}
	printf("  syn %d synack %d data %d follows %d fin %d %d rst %d\n", syn, synack, data,
		follows, fin_c, fin_p, rst);
	close(s);
}

/* All that is written at once is seen, each byte at its place. */
static void
large(void)
{
	static unsigned char data[100000];
	int s = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)), l = socket(AF_INET, SOCK_STREAM, 0),
	    c = socket(AF_INET, SOCK_STREAM, 0), p, one = 1, seen = 0, wrong = 0;
	struct sockaddr_in a = at(PORT_A);
	uint32_t first = 0;

	printf("- large\n");
	fflush(stdout);
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = i * 7 + (i >> 8);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	bind(l, (void *)&a, sizeof a);
	listen(l, 1);
	connect(c, (void *)&a, sizeof a);
	p = accept(l, NULL, NULL);
	if (fork() == 0)
		_exit(write(c, data, sizeof data) != sizeof data);
	SHOW(recv(p, (char[sizeof data]){0}, sizeof data, MSG_WAITALL));
	wait(NULL);
	while (there(s) && recv(s, buf, sizeof buf, MSG_DONTWAIT) > 0) {
		const struct iphdr *ip = (void *)buf;
		const struct tcphdr *t = (void *)(buf + 20);
		int head = 20 + t->doff * 4, size = ntohs(ip->tot_len) - head;

		if (t->dest != htons(PORT_A))
			continue;
		if (t->syn)
			first = ntohl(t->seq) + 1;
		if (size > 0 && ntohl(t->seq) == first + seen && seen + size <= (int)sizeof data) {
			wrong += memcmp(buf + head, data + seen, size) != 0;
			seen += size;
		}
	}
	printf("  %d, wrong %d\n", seen, wrong);
	close(s);
	close(l);
	close(c);
	close(p);
}

/* Whoever accepts may be done with a connection before connect(2) is. */
static void
short_lived(void)
{
	int s = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)), l = socket(AF_INET, SOCK_STREAM, 0),
	    one = 1, n = 0;
	struct sockaddr_in a = at(PORT_A);

	printf("- short lived\n");
	fflush(stdout);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	bind(l, (void *)&a, sizeof a);
	listen(l, 16);
	if (fork() == 0) {
		for (int i = 0; i < 500; i++)
			close(accept(l, NULL, NULL));
		_exit(0);
	}
	for (int i = 0; i < 500; i++) {
		int c = socket(AF_INET, SOCK_STREAM, 0);

		n += connect(c, (void *)&a, sizeof a) == 0;
		close(c);
	}
	wait(NULL);
	printf("  %d connections\n", n);
	close(l);
	close(s);
}

static int
count(int s)
{
	int n = 0;

	while (recv(s, buf, sizeof buf, MSG_DONTWAIT) >= 0)
		n++;
	return n;
}

/* What looks begins to see, and no longer does, as its protocol says; in its own namespace alone.
 */
static void
taps(void)
{
	struct icmp_echo {
		unsigned char type, code;
		uint16_t sum, id, seq;
	} echo = {8, 0, htons(0xf7fd), htons(1), htons(1)};
	struct sock_filter first[] = {{BPF_RET | BPF_K, 0, 0, 24}};
	struct sock_fprog cut = {1, first};
	struct sockaddr_in a = at(PORT_B);
	int s = socket(AF_PACKET, SOCK_RAW, 0), r = socket(AF_INET, SOCK_RAW, IPPROTO_UDP),
	    t = socket(AF_INET, SOCK_RAW, IPPROTO_TCP), e = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP),
	    u = udp(PORT_A), v = udp(PORT_B), l;

	printf("- taps\n");
	send_udp(u, PORT_B, "zero");
	printf("  %d\n", count(s));
	bind_packet(s, ETH_P_ARP, 1);
	send_udp(u, PORT_B, "none");
	printf("  %d\n", count(s));
	bind_packet(s, ETH_P_ALL, 1);
	send_udp(u, PORT_B, "all");
	printf("  %d\n", count(s));
	bind_packet(s, 0, 1);
	send_udp(u, PORT_B, "as it was");
	printf("  %d\n", count(s));
	bind_packet(s, ETH_P_IP, 1);
	send_udp(u, PORT_B, "ip");
	printf("  %d\n", count(s));
	bind_packet(s, ETH_P_IPV6, 1);
	send_udp(u, PORT_B, "ip");
	printf("  %d, raw %d and %d\n", count(s), count(r), count(t));
	bind_packet(s, ETH_P_ALL, 1);
	fflush(stdout);
	if (fork() == 0) {
		own_network();
		l = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
		close(u);
		close(v);
		u = udp(PORT_A);
		v = udp(PORT_B);
		send_udp(u, PORT_B, "elsewhere");
		got(v);
		printf("  %d elsewhere, %d here, raw %d\n", count(l), count(s), count(r));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	close(s);
	/* a raw socket sees of a packet what its filter lets it, the header first */
	SHOW(setsockopt(e, SOL_SOCKET, SO_ATTACH_FILTER, &cut, sizeof cut));
	SHOW(sendto(e, &echo, sizeof echo, 0, (void *)&a, sizeof a));
	for (int i = 0; i < 2; i++) {
		ssize_t n = there(e) ? recv(e, buf, sizeof buf, MSG_DONTWAIT) : -1;

		printf("  echo %zd:", n);
		if (n >= 22)
			printf(" type %d code %d sum %x\n", buf[20], buf[21],
				buf[22] << 8 | buf[23]);
	}
	SHOW(shutdown(e, SHUT_RD));
	for (int i = 0; i < 6; i++)
		got(v);
	close(r);
	close(t);
	close(e);
	close(u);
	close(v);
}

#define OP(code, jt, jf, k)                                                                        \
	{                                                                                          \
		code, jt, jf, k                                                                    \
	}

static int
attach(int s, struct sock_filter *f, int n)
{
	struct sock_fprog p = {n, f};

	return setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p);
}

/* SO_GET_FILTER: its length is in instructions. */
static void
show_filter(int s, const struct sock_filter *want, int n)
{
	struct sock_filter f[16] = {0};
	socklen_t len = 0;

	SHOW(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, NULL, &len));
	printf("  %d\n", len);
	len = 16;
	SHOW(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, f, &len));
	printf("  %d, as it was: %d\n", len, memcmp(f, want, n * sizeof *want) == 0);
	len = n - 1;
	SHOW(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, f, &len));
	len = n;
	SHOW(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, (void *)8, &len));
	printf("  %d\n", len);
	len = n;
	SHOW(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, f, &len));
	printf("  %d\n", len);
}

static void
filters(void)
{
	/* UDP to PORT_B; of that so many bytes */
	struct sock_filter only[] = {OP(BPF_LD | BPF_H | BPF_ABS, 0, 0, 12),
		OP(BPF_JMP | BPF_JEQ | BPF_K, 0, 6, ETH_P_IP),
		OP(BPF_LD | BPF_B | BPF_ABS, 0, 0, 23),
		OP(BPF_JMP | BPF_JEQ | BPF_K, 0, 4, IPPROTO_UDP),
		OP(BPF_LDX | BPF_B | BPF_MSH, 0, 0, 14), OP(BPF_LD | BPF_H | BPF_IND, 0, 0, 16),
		OP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, PORT_B), OP(BPF_RET | BPF_K, 0, 0, 44),
		OP(BPF_RET | BPF_K, 0, 0, 0)};
	/* messages that begin with x, by way of the scratch memory and arithmetic */
	struct sock_filter x[] = {OP(BPF_LD | BPF_B | BPF_ABS, 0, 0, 8), OP(BPF_ST, 0, 0, 3),
		OP(BPF_LDX | BPF_MEM, 0, 0, 3), OP(BPF_LD | BPF_IMM, 0, 0, 2),
		OP(BPF_ALU | BPF_MUL | BPF_X, 0, 0, 0), OP(BPF_ALU | BPF_RSH | BPF_K, 0, 0, 1),
		OP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 'x'), OP(BPF_RET | BPF_K, 0, 0, 10),
		OP(BPF_RET | BPF_K, 0, 0, 0)};
	struct sock_filter out[] = {
		OP(BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)SKF_AD_OFF + SKF_AD_PKTTYPE),
		OP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, PACKET_OUTGOING),
		OP(BPF_RET | BPF_K, 0, 0, 0xffff), OP(BPF_RET | BPF_K, 0, 0, 0)};
	struct sock_filter beyond[] = {
		OP(BPF_LD | BPF_W | BPF_ABS, 0, 0, 60000), OP(BPF_RET | BPF_K, 0, 0, 0xffff)};
	struct sock_filter bad1[] = {OP(BPF_JMP | BPF_JA, 0, 0, 1), OP(BPF_RET | BPF_K, 0, 0, 0)};
	struct sock_filter bad2[] = {OP(BPF_LD | BPF_IMM, 0, 0, 1)};
	struct sock_filter bad3[] = {
		OP(BPF_ALU | BPF_DIV | BPF_K, 0, 0, 0), OP(BPF_RET | BPF_K, 0, 0, 0)};
	struct sock_filter bad4[] = {OP(BPF_ST, 0, 0, 16), OP(BPF_RET | BPF_K, 0, 0, 0)};
	struct sock_filter bad5[] = {OP(0x7fff, 0, 0, 0), OP(BPF_RET | BPF_K, 0, 0, 0)};
	struct sock_filter bad6[] = {OP(BPF_LD | BPF_MEM, 0, 0, 3), OP(BPF_RET | BPF_A, 0, 0, 0)};
	/* on one of the two ways the word was written */
	struct sock_filter bad7[] = {OP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), OP(BPF_ST, 0, 0, 3),
		OP(BPF_LD | BPF_MEM, 0, 0, 3), OP(BPF_RET | BPF_A, 0, 0, 0)};
	int s = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), u = udp(PORT_A), v = udp(PORT_B),
	    one = 1, zero = 0;

	printf("- filters\n");
	SHOW(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &one, sizeof one));
	SHOW(attach(s, bad1, 2));
	SHOW(attach(s, bad2, 1));
	SHOW(attach(s, bad3, 2));
	SHOW(attach(s, bad4, 2));
	SHOW(attach(s, bad5, 2));
	SHOW(attach(s, bad6, 2));
	SHOW(attach(s, bad7, 4));
	SHOW(attach(s, only, 0));
	SHOW(attach(s, (void *)8, 2));
	SHOW(attach(s, only, 9));
	send_udp(v, PORT_A, "not for it");
	send_udp(u, PORT_B, "for it");
	setsockopt(s, SOL_PACKET, PACKET_AUXDATA, &one, sizeof one);
	take(s, 14);
	take(s, 14);
	SHOW(recv(s, buf, sizeof buf, MSG_DONTWAIT));
	SHOW(attach(s, out, 4));
	send_udp(u, PORT_B, "out");
	take(s, 14);
	SHOW(recv(s, buf, sizeof buf, MSG_DONTWAIT));
	SHOW(attach(s, beyond, 2));
	send_udp(u, PORT_B, "none");
	SHOW(recv(s, buf, sizeof buf, MSG_DONTWAIT));
	show_filter(s, beyond, 2);
	SHOW(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &one, sizeof one));
	show_filter(s, beyond, 0);
	for (int i = 0; i < 3; i++)
		got(v);
	got(u);
	SHOW(attach(v, x, 9));
	SHOW(setsockopt(v, SOL_SOCKET, SO_LOCK_FILTER, &one, sizeof one));
	SHOW(setsockopt(v, SOL_SOCKET, SO_LOCK_FILTER, &zero, sizeof zero));
	SHOW(attach(v, x, 9));
	show_filter(v, x, 9);
	SHOW(setsockopt(v, SOL_SOCKET, SO_DETACH_FILTER, &one, sizeof one));
	send_udp(u, PORT_B, "abc");
	send_udp(u, PORT_B, "xyz");
	got(v);
	got(v);
	close(s);
	close(u);
	close(v);
}

static void
rights(void)
{
	printf("- rights\n");
	fflush(stdout);
	if (fork() == 0) {
		if (setresgid(4242, 4242, 4242) || setresuid(4242, 4242, 4242))
			printf("who: %d\n", errno);
		SHOW(socket(AF_PACKET, SOCK_RAW, 0));
		SHOW(socket(AF_PACKET, SOCK_STREAM, 0));
		SHOW(socket(AF_INET, SOCK_RAW, IPPROTO_UDP));
		SHOW(socket(AF_INET, SOCK_RAW, IPPROTO_RAW));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

int
main(void)
{
	if (geteuid() != 0) {
		printf("needs root\n");
		return 77;
	}
	own_network();
	packet();
	sending();
	sending6();
	raw();
	raw6();
	lite();
	tcp();
	large();
	short_lived();
	taps();
	filters();
	rights();
	return 0;
}
