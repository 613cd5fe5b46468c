/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pairs of interfaces: made by rtnetlink, moved to another network namespace, with what goes
 * through them; packets that are passed on, with what is answered to those that are not.
 */
#include "nl_request.h"
#include "tun.h"
#include <linux/veth.h>
#include <netinet/in.h>

static int nl;
static int other; /* a network namespace, and what it was made by */

struct request {
	struct nlmsghdr h;
	struct ifinfomsg m;
	char attrs[512];
};

static struct request
request(int type, int flags)
{
	return (struct request){
		.h = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)),
			.nlmsg_type = (uint16_t)type,
			.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags)}};
}

static void
close_nest(struct request *rq, struct rtattr *a)
{
	a->rta_len = (unsigned short)((char *)&rq->h + NLMSG_ALIGN(rq->h.nlmsg_len) - (char *)a);
}

/* peer: NULL: it has none that is named; ns: of the peer, or -1. */
static void
make_pair(const char *name, const char *peer, int ns, const char *kind)
{
	struct request rq = request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct ifinfomsg m = {0};
	struct rtattr *info, *data, *p;
	char what[64];

	if (name)
		nl_put(&rq.h, IFLA_IFNAME, name, strlen(name) + 1);
	info = nl_put(&rq.h, IFLA_LINKINFO, NULL, 0);
	nl_put(&rq.h, IFLA_INFO_KIND, kind, strlen(kind));
	if (peer) {
		data = nl_put(&rq.h, IFLA_INFO_DATA, NULL, 0);
		p = nl_put(&rq.h, VETH_INFO_PEER, &m, sizeof m);
		nl_put(&rq.h, IFLA_IFNAME, peer, strlen(peer) + 1);
		if (ns >= 0)
			nl_put(&rq.h, IFLA_NET_NS_FD, &ns, sizeof ns);
		close_nest(&rq, p);
		close_nest(&rq, data);
	}
	close_nest(&rq, info);
	snprintf(what, sizeof what, "make %s %s", name ? name : "-", peer ? peer : "-");
	printf("%s: %s\n", what, nl_say(nl, &rq.h));
}

static void
change(const char *what, const char *name, int type, const void *data, size_t len)
{
	struct request rq = request(RTM_NEWLINK, 0);

	nl_put(&rq.h, IFLA_IFNAME, name, strlen(name) + 1);
	nl_put(&rq.h, type, data, len);
	printf("%s: %s\n", what, nl_say(nl, &rq.h));
}

/* ns: where it is to be, or -1. */
static void
rename_link(const char *name, const char *as, int ns, int mtu)
{
	struct request rq = request(RTM_NEWLINK, 0);

	rq.m.ifi_index = (int)if_nametoindex(name);
	nl_put(&rq.h, IFLA_IFNAME, as, strlen(as) + 1);
	if (ns >= 0)
		nl_put(&rq.h, IFLA_NET_NS_FD, &ns, sizeof ns);
	nl_put(&rq.h, IFLA_MTU, &mtu, sizeof mtu);
	printf("%s: %s\n", as, nl_say(nl, &rq.h));
}

static void
remove_link(const char *name)
{
	struct request rq = request(RTM_DELLINK, 0);

	nl_put(&rq.h, IFLA_IFNAME, name, strlen(name) + 1);
	printf("%s: %s\n", name, nl_say(nl, &rq.h));
}

/* Natively it takes a moment until a link runs, or does not any more. */
static void
show_links(const char *when)
{
	struct if_nameindex *v = if_nameindex();

	printf("%s:", when);
	for (int i = 0; v[i].if_index; i++) {
		struct ifreq r = {0};

		ask_link(v[i].if_name, SIOCGIFFLAGS, &r);
		printf(" %u %s %x", v[i].if_index, v[i].if_name,
			(unsigned short)r.ifr_flags & ~IFF_RUNNING);
	}
	printf("\n");
	if_freenameindex(v);
}

/* Another namespace; this one's requests go by nl. */
static void
begin(void)
{
	int own;

	own_namespace();
	link_up("lo", true);
	own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	own_namespace();
	link_up("lo", true);
	other = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	setns(own, CLONE_NEWNET);
	close(own);
	nl = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
}

static void
in_other(void (*fn)(void))
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	setns(other, CLONE_NEWNET);
	fn();
	setns(own, CLONE_NEWNET);
	close(own);
}

static void
show_other(void)
{
	show_links("there");
}

static void
links(void)
{
	int no_ns = open("/dev/null", O_RDONLY), mtu = 1400, pid = getpid(), none = 1 << 22;
	uint8_t mac[6] = {2, 0, 0, 0, 0, 7}, group[6] = {3};

	begin();
	make_pair("v0", "v1", -1, "veth");
	show_links("here");
	make_pair("v0", "v2", -1, "veth");
	make_pair("v2", "v1", -1, "veth");
	make_pair("v3", "v3", -1, "veth");
	make_pair(NULL, NULL, -1, "veth");
	make_pair("w0", "w1", other, "veth");
	make_pair("x0", "x1", no_ns, "veth");
	make_pair("x0", NULL, -1, "nothing of that kind");
	make_pair("a/b", "x1", -1, "veth");
	show_links("here");
	in_other(show_other);
	change("mtu", "v0", IFLA_MTU, &mtu, sizeof mtu);
	mtu = 10;
	change("too small", "v0", IFLA_MTU, &mtu, sizeof mtu);
	change("address", "v0", IFLA_ADDRESS, mac, sizeof mac);
	change("a group's", "v0", IFLA_ADDRESS, group, sizeof group);
	change("lo moves", "lo", IFLA_NET_NS_FD, &other, sizeof other);
	change("nowhere", "v0", IFLA_NET_NS_FD, &no_ns, sizeof no_ns);
	change("to nobody", "v0", IFLA_NET_NS_PID, &none, sizeof none);
	change("to where it is", "v0", IFLA_NET_NS_PID, &pid, sizeof pid);
	change("moves", "v1", IFLA_NET_NS_FD, &other, sizeof other);
	show_links("here");
	in_other(show_other);
	link_up("v0", true);
	show_links("here");
	rename_link("veth0", "v0", -1, 1200);
	rename_link("veth0", "a b", -1, 1200);
	rename_link("veth0", "%d%d", -1, 1200);
	rename_link("veth0", "veth%d", -1, 1200);
	show_links("here");
	rename_link("veth2", "m%d", other, 1300);
	in_other(show_other);
	remove_link("w0");
	remove_link("veth1");
	remove_link("v7");
	show_links("here");
	in_other(show_other);
}

static void
up_there(void)
{
	link_up("v1", true);
	set_address("v1", "10.1.0.2", "255.255.255.0");
}

static int
bound_there(int type)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(5000)};
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), s;

	setns(other, CLONE_NEWNET);
	s = socket(AF_INET, type, 0);
	bind(s, (struct sockaddr *)&a, sizeof a);
	setns(own, CLONE_NEWNET);
	close(own);
	return s;
}

static void
traffic(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5000)};
	struct timeval second = {5, 0};
	int u, s, l, c;
	char b[64] = "";
	socklen_t len = sizeof to;

	begin();
	make_pair("v0", "v1", other, "veth");
	link_up("v0", true);
	set_address("v0", "10.1.0.1", "255.255.255.0");
	in_other(up_there);
	show_links("here");
	inet_pton(AF_INET, "10.1.0.2", &to.sin_addr);
	u = bound_there(SOCK_DGRAM);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
	SHOW(sendto(s, "over there", 10, 0, (struct sockaddr *)&to, sizeof to));
	SHOW(recvfrom(u, b, sizeof b, 0, (struct sockaddr *)&to, &len));
	printf("%s from %s\n", b, inet_ntoa(to.sin_addr));
	SHOW(sendto(u, "and back", 8, 0, (struct sockaddr *)&to, len));
	SHOW(recv(s, b, sizeof b, 0));
	printf("%.8s\n", b);
	l = bound_there(SOCK_STREAM);
	listen(l, 5);
	to.sin_port = htons(5000);
	inet_pton(AF_INET, "10.1.0.2", &to.sin_addr);
	c = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(connect(c, (struct sockaddr *)&to, sizeof to) ? -1 : 0);
	s = accept(l, (struct sockaddr *)&to, &len);
	printf("from %s\n", inet_ntoa(to.sin_addr));
	SHOW(send(c, "by TCP", 6, 0));
	SHOW(recv(s, b, 6, MSG_WAITALL));
	printf("%.6s\n", b);
	close(c);
	SHOW(recv(s, b, sizeof b, 0));
	/* who goes takes the other one along, and what has it then fails */
	remove_link("v0");
	in_other(show_other);
	SHOW(connect(u, (struct sockaddr *)&to, sizeof to) ? -1 : 0);
}

/* The link-local address of an interface. */
static struct sockaddr_in6
address_of(const char *link, int port)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
	char line[128], name[32];
	unsigned b[16], index, prefix, scope, flags;
	FILE *f = fopen("/proc/net/if_inet6", "r");

	while (fgets(line, sizeof line, f)) {
		char hex[64];

		if (sscanf(line, "%63s %x %x %x %x %31s", hex, &index, &prefix, &scope, &flags,
			    name) != 6 ||
			strcmp(name, link) != 0 || strncmp(hex, "fe80", 4) != 0)
			continue;
		for (int i = 0; i < 16; i++) {
			sscanf(hex + 2 * i, "%2x", &b[i]);
			a.sin6_addr.s6_addr[i] = (uint8_t)b[i];
		}
	}
	fclose(f);
	return a;
}

static struct sockaddr_in6 there;

static void
up6_there(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/v1/disable_ipv6", O_WRONLY);

	write(fd, "0", 1);
	close(fd);
	link_up("v1", true);
	/* natively it may be used a moment later only */
	for (int i = 0; i < 500; i++) {
		int s = socket(AF_INET6, SOCK_DGRAM, 0);

		there = address_of("v1", 5000);
		there.sin6_scope_id = if_nametoindex("v1");
		if (bind(s, (struct sockaddr *)&there, sizeof there) == 0) {
			close(s);
			break;
		}
		close(s);
		sleep_ms(10);
	}
}

static int
bound6_there(int type)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(5000)};
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), s;

	setns(other, CLONE_NEWNET);
	s = socket(AF_INET6, type, 0);
	if (bind(s, (struct sockaddr *)&any, sizeof any) < 0)
		printf("bind: %s\n", strerror(errno));
	setns(own, CLONE_NEWNET);
	close(own);
	return s;
}

/* Which of two links, by the scope of an address (RFC 4007). */
static void
link_local(void)
{
	struct timeval second = {5, 0};
	struct sockaddr_in6 to, from = {0}, bad;
	socklen_t len = sizeof from;
	int u, s, l, c, index;
	char b[64] = "";

	begin();
	for (int i = 0; i < 2; i++) {
		int fd = open(i ? "/proc/sys/net/ipv6/conf/all/accept_dad"
				: "/proc/sys/net/ipv6/conf/default/disable_ipv6",
			O_WRONLY);

		write(fd, "0", 1);
		close(fd);
	}
	make_pair("w0", "w1", -1, "veth"); /* one with a lower number */
	make_pair("v0", "v1", other, "veth");
	link_up("w0", true);
	link_up("w1", true);
	link_up("v0", true);
	in_other(up6_there);
	index = (int)if_nametoindex("v0");
	for (int i = 0; i < 500; i++) { /* as above */
		s = socket(AF_INET6, SOCK_DGRAM, 0);
		to = address_of("v0", 0);
		to.sin6_scope_id = (unsigned)index;
		if (bind(s, (struct sockaddr *)&to, sizeof to) == 0)
			break;
		close(s);
		sleep_ms(10);
	}
	close(s);
	to = there;
	to.sin6_port = htons(5000);
	to.sin6_scope_id = (unsigned)index;
	u = bound6_there(SOCK_DGRAM);
	s = socket(AF_INET6, SOCK_DGRAM, 0);
	setsockopt(u, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
	setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof second);
	SHOW(sendto(s, "by its scope", 12, 0, (struct sockaddr *)&to, sizeof to));
	SHOW(recvfrom(u, b, sizeof b, 0, (struct sockaddr *)&from, &len));
	printf("%s; the sender is on %s\n", b,
		from.sin6_scope_id == there.sin6_scope_id ? "the link" : "another");
	SHOW(sendto(u, "back", 4, 0, (struct sockaddr *)&from, len));
	SHOW(recvfrom(s, b, sizeof b, 0, (struct sockaddr *)&from, &len));
	TRUE((int)from.sin6_scope_id == index);
	bad = to;
	bad.sin6_scope_id = 0;
	SHOW(connect(s, (struct sockaddr *)&bad, sizeof bad));
	SHOW(bind(socket(AF_INET6, SOCK_STREAM, 0), (struct sockaddr *)&bad, sizeof bad));
	bad.sin6_scope_id = 77;
	SHOW(bind(socket(AF_INET6, SOCK_STREAM, 0), (struct sockaddr *)&bad, sizeof bad));
	l = bound6_there(SOCK_STREAM);
	listen(l, 5);
	c = socket(AF_INET6, SOCK_STREAM, 0);
	bad.sin6_scope_id = 0;
	SHOW(connect(c, (struct sockaddr *)&bad, sizeof bad));
	SHOW(connect(c, (struct sockaddr *)&to, sizeof to));
	s = accept(l, (struct sockaddr *)&from, &len);
	TRUE(from.sin6_scope_id == there.sin6_scope_id);
	SHOW(send(c, "by TCP", 6, 0));
	SHOW(recv(s, b, 6, MSG_WAITALL));
	SHOW(send(s, "and back", 8, 0));
	SHOW(recv(c, b, 8, MSG_WAITALL));
	len = sizeof from;
	getsockname(c, (struct sockaddr *)&from, &len);
	TRUE((int)from.sin6_scope_id == index);
	getpeername(c, (struct sockaddr *)&from, &len);
	TRUE((int)from.sin6_scope_id == index);
}

int
main(void)
{
	own_namespace();
	in_child("links", links);
	in_child("traffic", traffic);
	in_child("link-local addresses", link_local);
	return 0;
}
