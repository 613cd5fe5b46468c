// SPDX-License-Identifier: Apache-2.0
/* Multicast over lo (ip(7), ipv6(7)): memberships, who gets what, interfaces, options and errors.
 * Natively in a network namespace of its own. */
#include "guest.h"
#include "network.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

static struct sockaddr_in
at(const char *ip, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static int
receiver(const char *ip, int port)
{
	struct sockaddr_in a = at(ip, port);
	int s = socket(AF_INET, SOCK_DGRAM, 0), on = 1;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	WORKS(bind(s, (struct sockaddr *)&a, sizeof a));
	return s;
}

static int
member(int s, int opt, const char *group, const char *dev, int index)
{
	struct ip_mreqn m = {.imr_ifindex = index};

	inet_pton(AF_INET, group, &m.imr_multiaddr);
	inet_pton(AF_INET, dev, &m.imr_address);
	return setsockopt(s, IPPROTO_IP, opt, &m, sizeof m);
}

static void
got(const char *who, int s)
{
	struct sockaddr_in6 from = {0};
	socklen_t len = sizeof from;
	char b[100], text[64] = "?";
	struct pollfd p = {s, POLLIN, 0};
	ssize_t n;

	if (poll(&p, 1, 100) <= 0) {
		printf("%s: nothing\n", who);
		return;
	}
	n = recvfrom(s, b, sizeof b, 0, (struct sockaddr *)&from, &len);
	if (from.sin6_family == AF_INET)
		inet_ntop(AF_INET, &((struct sockaddr_in *)&from)->sin_addr, text, sizeof text);
	else
		inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof text);
	printf("%s: %.*s from %s\n", who, (int)n, b, text);
}

static int
to(int s, const char *ip, int port, const char *text)
{
	struct sockaddr_in a = at(ip, port);

	return (int)sendto(s, text, strlen(text), 0, (struct sockaddr *)&a, sizeof a);
}

static void
four(void)
{
	int a = receiver("0.0.0.0", 7000), b = receiver("0.0.0.0", 7000),
	    c = receiver("239.1.1.1", 7000), d = receiver("0.0.0.0", 7001), s, t, v;
	struct sockaddr_in x = at("127.0.0.1", 0);
	struct in_addr lo = {htonl(INADDR_LOOPBACK)}, other = {htonl(0x01020304)}, any = {0};
	struct ip_mreqn mreqn = {.imr_ifindex = 1};
	struct group_req g = {.gr_interface = 1};
	socklen_t len = sizeof lo;

	s = socket(AF_INET, SOCK_DGRAM, 0);
	SHOW(to(s, "239.1.1.1", 7000, "no way"));
	SHOW(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &other, sizeof other));
	SHOW(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &lo, 3));
	SHOW(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &lo, sizeof lo));
	lo.s_addr = 0;
	SHOW(getsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &lo, &len));
	printf("%x %u\n", ntohl(lo.s_addr), len);
	SHOW(to(s, "239.1.1.1", 7000, "nobody"));
	got("not a member", a);
	SHOW(member(a, IP_ADD_MEMBERSHIP, "239.1.1.1", "127.0.0.1", 0));
	SHOW(member(a, IP_ADD_MEMBERSHIP, "239.1.1.1", "127.0.0.1", 0));
	SHOW(member(a, IP_ADD_MEMBERSHIP, "10.1.1.1", "127.0.0.1", 0));
	SHOW(member(a, IP_ADD_MEMBERSHIP, "239.1.1.2", "1.2.3.4", 0));
	SHOW(member(a, IP_ADD_MEMBERSHIP, "239.1.1.2", "0.0.0.0", 0));
	SHOW(member(a, IP_ADD_MEMBERSHIP, "239.1.1.2", "0.0.0.0", 77));
	SHOW(member(a, IP_ADD_MEMBERSHIP, "239.1.1.2", "0.0.0.0", 1));
	SHOW(to(s, "239.1.1.1", 7000, "hello"));
	got("member", a);
	got("another of the port", b);
	got("bound to the group", c);
	got("another port", d);
	v = 0;
	SHOW(setsockopt(b, IPPROTO_IP, IP_MULTICAST_ALL, &v, sizeof v));
	len = sizeof v;
	v = 7;
	SHOW(getsockopt(b, IPPROTO_IP, IP_MULTICAST_ALL, &v, &len));
	printf("all %d\n", v);
	v = 2;
	SHOW(setsockopt(b, IPPROTO_IP, IP_MULTICAST_ALL, &v, sizeof v));
	SHOW(to(s, "239.1.1.2", 7000, "second"));
	got("member", a);
	got("own groups only", b);
	got("bound to the first", c);
	/* A sender bound to the interface's address needs no option. */
	t = socket(AF_INET, SOCK_DGRAM, 0);
	bind(t, (struct sockaddr *)&x, sizeof x);
	SHOW(to(t, "239.1.1.1", 7000, "bound"));
	got("member", a);
	got("own groups only", b);
	got("bound to the group", c);
	/* A connected one, and one that is itself the receiver. */
	x = at("239.1.1.1", 7000);
	SHOW(connect(s, (struct sockaddr *)&x, sizeof x));
	SHOW(send(s, "connected", 9, 0));
	got("member", a);
	len = sizeof x;
	SHOW(getsockname(s, (struct sockaddr *)&x, &len));
	printf("%s\n", inet_ntoa(x.sin_addr));
	SHOW(setsockopt(a, IPPROTO_IP, IP_MULTICAST_IF, &mreqn, sizeof mreqn));
	SHOW(to(a, "239.1.1.1", 7000, "own"));
	got("itself", a);
	SHOW(member(a, IP_DROP_MEMBERSHIP, "239.1.1.1", "0.0.0.0", 0));
	SHOW(member(a, IP_DROP_MEMBERSHIP, "239.1.1.3", "127.0.0.1", 0));
	SHOW(member(a, IP_DROP_MEMBERSHIP, "239.1.1.1", "127.0.0.1", 0));
	SHOW(member(a, IP_DROP_MEMBERSHIP, "239.1.1.1", "127.0.0.1", 0));
	SHOW(to(t, "239.1.1.1", 7000, "left"));
	got("left", a);
	/* The newer calls. */
	x = at("239.1.1.9", 0);
	memcpy(&g.gr_group, &x, sizeof x);
	SHOW(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof g));
	SHOW(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof g));
	SHOW(to(t, "239.1.1.9", 7000, "group_req"));
	got("member", a);
	SHOW(setsockopt(a, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, sizeof g));
	SHOW(setsockopt(a, IPPROTO_IP, MCAST_LEAVE_GROUP, &g, sizeof g));
	g.gr_interface = 55;
	SHOW(setsockopt(a, IPPROTO_IP, MCAST_JOIN_GROUP, &g, sizeof g));
	/* With the last member gone, nobody gets anything. */
	SHOW(member(b, IP_ADD_MEMBERSHIP, "239.1.1.7", "127.0.0.1", 0));
	close(b);
	SHOW(to(t, "239.1.1.7", 7000, "gone"));
	got("after the member", a);
	for (v = 0; v < 25; v++) {
		char group[32];

		snprintf(group, sizeof group, "239.2.0.%d", v);
		if (member(d, IP_ADD_MEMBERSHIP, group, "127.0.0.1", 0)) {
			printf("%d memberships, then %s\n", v, strerrorname_np(errno));
			break;
		}
	}
	SHOW(setsockopt(s, IPPROTO_IP, IP_MULTICAST_IF, &any, sizeof any));
	t = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect(t, (struct sockaddr *)&x, sizeof x));
	SHOW(member(t, IP_ADD_MEMBERSHIP, "239.1.1.1", "127.0.0.1", 0));
}

static void
six(void)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons(7100)};
	int r = socket(AF_INET6, SOCK_DGRAM, 0), s = socket(AF_INET6, SOCK_DGRAM, 0), v = 1;
	struct ipv6_mreq m = {.ipv6mr_interface = 1};
	socklen_t len = sizeof v;

	WORKS(bind(r, (struct sockaddr *)&a, sizeof a));
	inet_pton(AF_INET6, "ff02::1234", &m.ipv6mr_multiaddr);
	a.sin6_addr = m.ipv6mr_multiaddr;
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m));
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m));
	m.ipv6mr_interface = 66;
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m));
	m.ipv6mr_interface = 1;
	a.sin6_scope_id = 1;
	SHOW(sendto(s, "six", 3, 0, (struct sockaddr *)&a, sizeof a));
	got("member", r);
	a.sin6_scope_id = 0;
	SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, &v, sizeof v));
	v = 9;
	SHOW(getsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, &v, &len));
	printf("interface %d\n", v);
	SHOW(sendto(s, "again", 5, 0, (struct sockaddr *)&a, sizeof a));
	got("member", r);
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &m, sizeof m));
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_LEAVE_GROUP, &m, sizeof m));
	m.ipv6mr_multiaddr = in6addr_loopback;
	SHOW(setsockopt(r, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof m));
	v = 33;
	SHOW(setsockopt(s, IPPROTO_IPV6, IPV6_MULTICAST_IF, &v, sizeof v));
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	own_network();
	four();
	six();
	return 0;
}
