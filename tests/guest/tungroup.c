/* SPDX-License-Identifier: Apache-2.0 */
/* Groups, by a tun: echo requests, which who is in one answers; raw sockets and UDP in them. */
#include "sysctl_file.h"
#include "tun.h"
#include <netinet/in.h>

static int t0;
static size_t head; /* bytes of Ethernet's */

static void
begin(int kind)
{
	head = kind == IFF_TAP ? 14 : 0;
	own_namespace();
	link_up("lo", true);
	t0 = make_tun("t0", kind | IFF_NO_PI);
	set_address("t0", "10.1.2.3", "255.255.255.0");
	sysctl_put("net/ipv6/conf/t0/accept_dad", "0");
	sysctl_put("net/ipv6/conf/t0/router_solicitations", "0");
	sysctl_put("net/ipv6/conf/t0/disable_ipv6", "0");
	link_up("t0", true);
	add_address("t0", "fd00::3", 64, RT_SCOPE_UNIVERSE);
}

/* The next echo answer; false: none comes. */
static bool
show_answer(void)
{
	char from[64], to[64];
	uint8_t frame[2048], *p = frame + head;
	bool v6, is = false;
	ssize_t n;

	do {
		n = next_packet(t0, frame, sizeof frame, 300);
		n = n > (ssize_t)head ? n - (ssize_t)head : 0;
		v6 = n && p[0] >> 4 == 6;
		is = n > 40 && (v6 ? p[6] == 58 && p[40] == 129 : p[9] == 1 && p[20] == 0);
	} while (n && !is);
	if (!n)
		return false;
	inet_ntop(v6 ? AF_INET6 : AF_INET, p + (v6 ? 8 : 12), from, sizeof from);
	inet_ntop(v6 ? AF_INET6 : AF_INET, p + (v6 ? 24 : 16), to, sizeof to);
	if (!strncmp(from, "fe80:", 5))
		strcpy(from + 5, "..."); /* by chance */
	printf("%s answers %s, %zd bytes, ttl %d\n", from, to, n, p[v6 ? 7 : 8]);
	return true;
}

/* tries: what is joined soon is waited for. */
static void
ask_often(const char *from, const char *to, int tries)
{
	bool v6 = strchr(to, ':');
	uint8_t frame[128] = {0x33, 0x33, 0, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0x86, 0xdd};
	uint8_t *p = frame + head, *icmp = p + (v6 ? 40 : 20);
	uint32_t sum = 58 + 32;

	if (!head)
		memset(frame, 0, sizeof frame);
	icmp[0] = v6 ? 128 : 8;
	icmp[5] = 7;
	if (v6) {
		p[0] = 0x60;
		p[5] = 32;
		p[6] = 58;
		p[7] = 1;
		inet_pton(AF_INET6, from, p + 8);
		inet_pton(AF_INET6, to, p + 24);
		if (head)
			memcpy(frame + 2, p + 36, 4);
		for (int i = 8; i < 40; i += 2)
			sum += get16(p + i);
	} else {
		put_header(p, from, to, 1, 32);
		sum = 0;
	}
	put16(icmp + 2, ip_sum(icmp, 32, sum));
	printf("%s to %s: ", from, to);
	do
		if (write(t0, frame, (size_t)(icmp + 32 - frame)) < 0)
			printf("write: %s\n", strerror(errno));
	while (!show_answer() && --tries);
	if (!tries)
		printf("nothing\n");
}

static void
ask(const char *from, const char *to)
{
	ask_often(from, to, 1);
}

static void
all4(void)
{
	ask("10.1.2.9", "224.0.0.1");
	ask("10.1.2.9", "224.0.0.2");
	ask("10.1.2.9", "239.1.2.3");
}

static void
v4(void)
{
	struct ip_mreqn m = {.imr_ifindex = (int)if_nametoindex("t0")};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	all4();
	sysctl_set("net/ipv4/icmp_echo_ignore_broadcasts", "0");
	all4();
	inet_pton(AF_INET, "239.1.2.3", &m.imr_multiaddr);
	SHOW(setsockopt(s, SOL_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
	all4();
	ask("10.7.7.7", "224.0.0.1");
	SHOW(setsockopt(s, SOL_IP, IP_DROP_MEMBERSHIP, &m, sizeof m));
	all4();
	close(s);
}

static void
all6(const char *from)
{
	static const char *const to[] = {"ff01::1", "ff02::1", "ff02::2", "ff05::2",
		"ff02::1:ff00:3", "ff02::1:ff00:4", "ff05::1:3", "ff0e::77"};

	for (size_t i = 0; i < sizeof to / sizeof *to; i++)
		ask(from, to[i]);
}

static void
v6(void)
{
	struct ipv6_mreq m = {.ipv6mr_interface = if_nametoindex("t0")};
	int s = socket(AF_INET6, SOCK_DGRAM, 0);

	all6("fd00::9");
	ask("fe80::9", "ff02::1");
	inet_pton(AF_INET6, "ff0e::77", &m.ipv6mr_multiaddr);
	SHOW(setsockopt(s, SOL_IPV6, IPV6_JOIN_GROUP, &m, sizeof m));
	sysctl_set("net/ipv6/conf/all/forwarding", "1");
	all6("fd00::9");
	sysctl_set("net/ipv4/icmp_echo_ignore_all", "1");
	ask("fd00::9", "ff02::1");
	close(s);
}

/* Of our own, by lo. */
static void
by_lo(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	uint8_t echo[8] = {8}, p[128];
	int s = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), lo = (int)if_nametoindex("lo");
	struct ip_mreqn m = {.imr_ifindex = lo};
	uint32_t filter = ~1u; /* answers alone */
	struct pollfd f = {.fd = s, .events = POLLIN};

	setsockopt(s, SOL_RAW, 1, &filter, sizeof filter);
	SHOW(setsockopt(s, SOL_IP, IP_MULTICAST_IF, &m, sizeof m));
	inet_pton(AF_INET, "224.0.0.1", &to.sin_addr);
	put16(echo + 2, ip_sum(echo, sizeof echo, 0));
	for (int i = 0; i < 2; i++) {
		sysctl_set("net/ipv4/icmp_echo_ignore_broadcasts", i ? "0" : "1");
		SHOW(sendto(s, echo, sizeof echo, 0, (struct sockaddr *)&to, sizeof to));
		if (poll(&f, 1, 300) > 0 && recv(s, p, sizeof p, 0) > 0)
			printf("from %d.%d.%d.%d\n", p[12], p[13], p[14], p[15]);
		else
			printf("nothing\n");
	}
	close(s);
}

/* --- raw sockets in groups, as those of routing protocols are --- */

/* The next packet of a protocol that leaves. */
static void
show_left(int protocol)
{
	char from[64], to[64];
	uint8_t p[2048];
	bool v6, is = false;
	ssize_t n;

	do {
		n = next_packet(t0, p, sizeof p, 300);
		v6 = n && p[0] >> 4 == 6;
		is = n && (v6 ? p[6] : p[9]) == protocol;
	} while (n && !is);
	if (!n) {
		printf("nothing leaves\n");
		return;
	}
	inet_ntop(v6 ? AF_INET6 : AF_INET, p + (v6 ? 8 : 12), from, sizeof from);
	inet_ntop(v6 ? AF_INET6 : AF_INET, p + (v6 ? 24 : 16), to, sizeof to);
	printf("leaves: %s to %s, %zd bytes, ttl %d\n", from, to, n, p[v6 ? 7 : 8]);
}

static void
show_got(int s, bool v6)
{
	char from[64];
	struct sockaddr_storage a;
	socklen_t len = sizeof a;
	uint8_t p[256];
	struct pollfd f = {.fd = s, .events = POLLIN};
	ssize_t n = poll(&f, 1, 300) > 0 ? recvfrom(s, p, sizeof p, 0, (void *)&a, &len) : 0;

	if (n <= 0) {
		printf("got nothing\n");
		return;
	}
	inet_ntop(v6 ? AF_INET6 : AF_INET,
		v6 ? (void *)&((struct sockaddr_in6 *)&a)->sin6_addr
		   : (void *)&((struct sockaddr_in *)&a)->sin_addr,
		from, sizeof from);
	printf("got %zd bytes from %s, ends with %.5s\n", n, from, p + n - 5);
}

static void
bring_raw(const char *to, int protocol)
{
	uint8_t p[64];

	put_header(p, "10.1.2.9", to, protocol, 5);
	memcpy(p + 20, "hello", 5);
	if (write(t0, p, 25) != 25)
		printf("write: %s\n", strerror(errno));
}

static void
raw4(void)
{
	struct ip_mreqn m = {.imr_ifindex = (int)if_nametoindex("t0")};
	struct sockaddr_in to = {.sin_family = AF_INET};
	int s = socket(AF_INET, SOCK_RAW, 89), off = 0, two = 2;

	inet_pton(AF_INET, "224.0.0.5", &to.sin_addr);
	m.imr_multiaddr = to.sin_addr;
	bring_raw("224.0.0.5", 89);
	show_got(s, false);
	bring_raw("224.0.0.1", 89);
	show_got(s, false);
	SHOW(setsockopt(s, SOL_IP, IP_MULTICAST_IF, &m, sizeof m));
	SHOW(sendto(s, "first", 5, 0, (struct sockaddr *)&to, sizeof to));
	show_left(89);
	show_got(s, false);
	SHOW(setsockopt(s, SOL_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
	bring_raw("224.0.0.5", 89);
	show_got(s, false);
	SHOW(setsockopt(s, SOL_IP, IP_MULTICAST_TTL, &two, sizeof two));
	SHOW(sendto(s, "other", 5, 0, (struct sockaddr *)&to, sizeof to));
	show_left(89);
	show_got(s, false);
	SHOW(setsockopt(s, SOL_IP, IP_MULTICAST_LOOP, &off, sizeof off));
	SHOW(sendto(s, "third", 5, 0, (struct sockaddr *)&to, sizeof to));
	show_left(89);
	show_got(s, false);
	SHOW(setsockopt(s, SOL_IP, IP_DROP_MEMBERSHIP, &m, sizeof m));
	SHOW(setsockopt(s, SOL_IP, IP_MULTICAST_ALL, &off, sizeof off));
	bring_raw("224.0.0.1", 89);
	show_got(s, false);
	close(s);
}

/* Who is closed is in no group any more. */
static void
closed(void)
{
	struct ip_mreqn m = {.imr_ifindex = (int)if_nametoindex("t0")};
	int ping, raw = socket(AF_INET, SOCK_RAW, 89);

	sysctl_set("net/ipv4/ping_group_range", "0 100000");
	inet_pton(AF_INET, "239.9.9.9", &m.imr_multiaddr);
	for (int i = 0; i < 3; i++) {
		ping = i ? socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP)
			 : socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
		SHOW(setsockopt(ping, SOL_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
		bring_raw("239.9.9.9", 89);
		show_got(raw, false);
		close(ping);
		bring_raw("239.9.9.9", 89);
		show_got(raw, false);
	}
	close(raw);
}

static void
raw6(void)
{
	struct ipv6_mreq m = {.ipv6mr_interface = if_nametoindex("t0")};
	struct sockaddr_in6 to = {.sin6_family = AF_INET6};
	int s = socket(AF_INET6, SOCK_RAW, 89), two = 2, index = (int)if_nametoindex("t0");

	inet_pton(AF_INET6, "ff0e::5", &to.sin6_addr);
	m.ipv6mr_multiaddr = to.sin6_addr;
	SHOW(setsockopt(s, SOL_IPV6, IPV6_MULTICAST_IF, &index, sizeof index));
	SHOW(sendto(s, "first", 5, 0, (struct sockaddr *)&to, sizeof to));
	show_left(89);
	show_got(s, true);
	SHOW(setsockopt(s, SOL_IPV6, IPV6_JOIN_GROUP, &m, sizeof m));
	SHOW(setsockopt(s, SOL_IPV6, IPV6_MULTICAST_HOPS, &two, sizeof two));
	SHOW(sendto(s, "other", 5, 0, (struct sockaddr *)&to, sizeof to));
	show_left(89);
	show_got(s, true);
	close(s);
}

static void
udp4(void)
{
	struct ip_mreqn m = {.imr_ifindex = (int)if_nametoindex("t0")};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5353)}, any = to;
	int s = socket(AF_INET, SOCK_DGRAM, 0), two = 2;

	any.sin_addr.s_addr = 0;
	SHOW(bind(s, (struct sockaddr *)&any, sizeof any));
	SHOW(setsockopt(s, SOL_IP, IP_MULTICAST_IF, &m, sizeof m));
	/* all hosts are in that one */
	inet_pton(AF_INET, "224.0.0.1", &to.sin_addr);
	SHOW(sendto(s, "hello", 5, 0, (struct sockaddr *)&to, sizeof to));
	show_left(IPPROTO_UDP);
	show_got(s, false);
	inet_pton(AF_INET, "224.0.0.251", &to.sin_addr);
	SHOW(setsockopt(s, SOL_IP, IP_MULTICAST_TTL, &two, sizeof two));
	SHOW(sendto(s, "hello", 5, 0, (struct sockaddr *)&to, sizeof to));
	show_left(IPPROTO_UDP);
	show_got(s, false);
	close(s);
}

/* Where there are neighbours, they are asked for by a group. */
static void
solicited(void)
{
	begin(IFF_TAP);
	add_neighbour("t0", "fd00::9", 0, NUD_PERMANENT, "\2\0\0\0\0\11");
	ask("fd00::9", "ff02::1");
	ask_often("fd00::9", "ff02::1:ff00:3", 10);
	ask("fd00::9", "ff02::1:ff00:4");
}

int
main(void)
{
	begin(IFF_TUN);
	by_lo();
	sysctl_set("net/ipv4/icmp_echo_ignore_broadcasts", "1");
	v4();
	v6();
	begin(IFF_TUN);
	raw4();
	closed();
	raw6();
	udp4();
	solicited();
	return 0;
}
