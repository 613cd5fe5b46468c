/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AF_NETLINK over lo: links, addresses, routes, rules, what is refused, multicast, sock_diag. Runs
 * in a network namespace of its own natively, so that both see the same.
 */
#include "guest.h"
#include "network.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static char buf[32768];

static int
nl_open(int protocol)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK};
	int s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

	if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof a) < 0) {
		printf("netlink: %s\n", strerror(errno));
		exit(1);
	}
	return s;
}

/* A request with a body, and what came back: types, flags, lengths that do not vary. */
static ssize_t
ask(int s, int type, int flags, const void *body, size_t len)
{
	struct {
		struct nlmsghdr h;
		char body[256];
	} rq = {.h = {.nlmsg_len = NLMSG_LENGTH(len),
			.nlmsg_type = (uint16_t)type,
			.nlmsg_flags = (uint16_t)(flags | NLM_F_REQUEST),
			.nlmsg_seq = 7}};

	memcpy(rq.body, body, len);
	if (send(s, &rq, rq.h.nlmsg_len, 0) < 0)
		return -errno;
	return 0;
}

static const struct rtattr *
find(const void *first, size_t len, int type)
{
	const struct rtattr *a = first;

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

static void
show_attr(const char *name, const void *first, size_t len, int type)
{
	const struct rtattr *a = find(first, len, type);

	printf(" %s=", name);
	if (!a) {
		printf("none");
		return;
	}
	for (size_t i = 0; i < RTA_PAYLOAD(a); i++)
		printf("%02x", ((unsigned char *)RTA_DATA(a))[i]);
}

static void
show_message(const struct nlmsghdr *h)
{
	const void *d = NLMSG_DATA(h);

	printf("  type %d flags %x seq %u:", h->nlmsg_type, h->nlmsg_flags, h->nlmsg_seq);
	if (h->nlmsg_type == RTM_NEWLINK) {
		const struct ifinfomsg *m = d;
		size_t n = IFLA_PAYLOAD(h);

		printf(" index %d type %d flags %x change %x", m->ifi_index, m->ifi_type,
			m->ifi_flags, m->ifi_change);
		show_attr("name", IFLA_RTA(m), n, IFLA_IFNAME);
		show_attr("mtu", IFLA_RTA(m), n, IFLA_MTU);
		show_attr("address", IFLA_RTA(m), n, IFLA_ADDRESS);
		show_attr("txqlen", IFLA_RTA(m), n, IFLA_TXQLEN);
		show_attr("qdisc", IFLA_RTA(m), n, IFLA_QDISC);
		show_attr("carrier", IFLA_RTA(m), n, IFLA_CARRIER);
		show_attr("operstate", IFLA_RTA(m), n, IFLA_OPERSTATE);
	} else if (h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR) {
		const struct ifaddrmsg *m = d;
		size_t n = IFA_PAYLOAD(h);

		printf(" family %d len %d flags %x scope %d index %u", m->ifa_family,
			m->ifa_prefixlen, m->ifa_flags, m->ifa_scope, m->ifa_index);
		show_attr("address", IFA_RTA(m), n, IFA_ADDRESS);
		show_attr("local", IFA_RTA(m), n, IFA_LOCAL);
		show_attr("label", IFA_RTA(m), n, IFA_LABEL);
	} else if (h->nlmsg_type == RTM_NEWROUTE) {
		const struct rtmsg *m = d;
		size_t n = RTM_PAYLOAD(h);

		printf(" family %d len %d table %d proto %d scope %d type %d", m->rtm_family,
			m->rtm_dst_len, m->rtm_table, m->rtm_protocol, m->rtm_scope, m->rtm_type);
		show_attr("dst", RTM_RTA(m), n, RTA_DST);
		show_attr("oif", RTM_RTA(m), n, RTA_OIF);
		show_attr("src", RTM_RTA(m), n, RTA_PREFSRC);
	} else if (h->nlmsg_type == RTM_NEWRULE) {
		const struct rtmsg *m = d;
		size_t n = RTM_PAYLOAD(h);

		printf(" family %d table %d action %d", m->rtm_family, m->rtm_table, m->rtm_type);
		show_attr("priority", RTM_RTA(m), n, 6);
	} else if (h->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = d;

		printf(" error %d of type %d, %d bytes", e->error, e->msg.nlmsg_type,
			(int)h->nlmsg_len);
	} else if (h->nlmsg_type == NLMSG_DONE) {
		printf(" done %d", *(const int *)d);
	}
	printf("\n");
}

/* Only messages of this type, and errors; 0: all. */
static void
answers(int s, int only)
{
	for (;;) {
		struct sockaddr_nl from;
		struct iovec v = {buf, sizeof buf};
		struct msghdr m = {.msg_name = &from,
			.msg_namelen = sizeof from,
			.msg_iov = &v,
			.msg_iovlen = 1};
		ssize_t n = recvmsg(s, &m, MSG_DONTWAIT);
		bool last = false;

		if (n < 0) {
			printf("  recv %s\n", strerror(errno));
			return;
		}
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (!only || h->nlmsg_type == only || h->nlmsg_type <= NLMSG_DONE)
				show_message(h);
			last |= h->nlmsg_type <= NLMSG_DONE || !(h->nlmsg_flags & NLM_F_MULTI);
		}
		if (from.nl_pid || from.nl_family != AF_NETLINK)
			printf("  from %u\n", from.nl_pid);
		if (last)
			return;
	}
}

static void
question(int s, const char *what, int type, int flags, const void *body, size_t len)
{
	printf("%s: %d\n", what, (int)ask(s, type, flags, body, len));
	answers(s, 0);
}

static void
routes(void)
{
	struct {
		struct ifinfomsg m;
		struct rtattr a;
		char name[8];
	} link = {.m = {.ifi_index = 1}};
	struct {
		struct ifaddrmsg m;
		struct rtattr a;
		unsigned char ip[4];
	} addr = {.m = {.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = 1},
		.a = {8, IFA_LOCAL},
		.ip = {10, 9, 8, 7}};
	struct {
		struct rtmsg m;
		struct rtattr a;
		unsigned char ip[4];
	} route = {.m = {.rtm_family = AF_INET, .rtm_dst_len = 32}, .a = {8, RTA_DST}};
	struct rtgenmsg any = {AF_UNSPEC}, four = {AF_INET};
	int s = nl_open(NETLINK_ROUTE), ears = nl_open(NETLINK_ROUTE), on = RTNLGRP_IPV4_IFADDR;
	int nobody = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	struct pollfd p = {ears, POLLIN, 0};

	question(s, "links", RTM_GETLINK, NLM_F_DUMP, &link.m, sizeof link.m);
	question(s, "link 1", RTM_GETLINK, 0, &link.m, sizeof link.m);
	link.m.ifi_index = 99;
	question(s, "link 99", RTM_GETLINK, 0, &link.m, sizeof link.m);
	link.m.ifi_index = 0;
	link.a = (struct rtattr){sizeof link.a + 3, IFLA_IFNAME};
	strcpy(link.name, "lo");
	question(s, "link lo", RTM_GETLINK, NLM_F_ACK, &link, sizeof link.m + 8);
	answers(s, 0);
	question(s, "addresses", RTM_GETADDR, NLM_F_DUMP, &any, sizeof any);
	question(s, "IPv4 addresses", RTM_GETADDR, NLM_F_DUMP, &four, sizeof four);
	question(s, "IPv4 routes", RTM_GETROUTE, NLM_F_DUMP, &four, sizeof four);
	question(s, "IPv4 rules", RTM_GETRULE, NLM_F_DUMP, &four, sizeof four);
	question(s, "neighbours", RTM_GETNEIGH, NLM_F_DUMP, &four, sizeof four);
	memcpy(route.ip, (unsigned char[]){10, 1, 1, 1}, 4);
	question(s, "no route", RTM_GETROUTE, 0, &route, sizeof route);

	SHOW(setsockopt(ears, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &on, sizeof on));
	SHOW(setsockopt(nobody, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &on, sizeof on));
	on = 1000;
	SHOW(setsockopt(ears, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &on, sizeof on));
	question(s, "new address", RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &addr,
		sizeof addr);
	SHOW(poll(&p, 1, 1000));
	answers(ears, 0);
	question(
		s, "again", RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, &addr, sizeof addr);
	question(s, "addresses", RTM_GETADDR, NLM_F_DUMP, &four, sizeof four);
	question(s, "away", RTM_DELADDR, NLM_F_ACK, &addr, sizeof addr);
	answers(ears, 0);
	/* who has no number hears only what is echoed to another */
	answers(nobody, 0);
	question(s, "with echo", RTM_NEWADDR, NLM_F_ACK | NLM_F_ECHO, &addr, sizeof addr);
	answers(s, 0);
	answers(ears, 0);
	answers(nobody, 0);
	SHOW(send(nobody, "short", 5, 0));
	question(s, "away", RTM_DELADDR, NLM_F_ACK, &addr, sizeof addr);
	answers(ears, 0);
	answers(nobody, 0);
	question(ears, "own echo", RTM_NEWADDR, NLM_F_ACK | NLM_F_ECHO, &addr, sizeof addr);
	answers(ears, 0);
	answers(ears, 0);
	answers(nobody, 0);
	question(s, "away", RTM_DELADDR, NLM_F_ACK, &addr, sizeof addr);
	answers(ears, 0);
	question(s, "away again", RTM_DELADDR, NLM_F_ACK, &addr, sizeof addr);
	addr.m.ifa_index = 77;
	question(s, "where?", RTM_NEWADDR, NLM_F_ACK, &addr, sizeof addr);
	on = 1;
	SHOW(setsockopt(s, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on));
	question(s, "where? (short)", RTM_NEWADDR, NLM_F_ACK, &addr, sizeof addr);
	question(s, "too short", RTM_NEWADDR, NLM_F_ACK, &addr, 4);
	question(s, "noop", NLMSG_NOOP, NLM_F_ACK, "", 0);
	close(s);
	close(ears);
	close(nobody);
}

/* Hosts may lack the modules that answer sock_diag; then what is printed is what they would. */
static bool
absent(const struct nlmsghdr *h)
{
	return h->nlmsg_type == NLMSG_ERROR &&
	       ((const struct nlmsgerr *)NLMSG_DATA(h))->error == -ENOENT;
}

static void
sockets(void)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_pid = 4242}, b;
	socklen_t len = sizeof b;
	int s = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_ROUTE), t = socket(AF_NETLINK, SOCK_RAW, 0);
	int v = 0;

	SHOW(getsockname(s, (struct sockaddr *)&b, &len));
	printf("%u bytes, family %d, pid %u groups %x\n", len, b.nl_family, b.nl_pid, b.nl_groups);
	SHOW(bind(s, (struct sockaddr *)&a, sizeof a));
	SHOW(bind(t, (struct sockaddr *)&a, sizeof a));
	SHOW(bind(t, (struct sockaddr *)&a, 4));
	a.nl_pid = 4243;
	SHOW(bind(s, (struct sockaddr *)&a, sizeof a));
	SHOW(getsockname(s, (struct sockaddr *)&b, &len));
	printf("pid %u\n", b.nl_pid);
	SHOW(listen(s, 1));
	SHOW(shutdown(s, SHUT_RDWR));
	len = sizeof v;
	SHOW(getsockopt(s, SOL_SOCKET, SO_PROTOCOL, &v, &len));
	SHOW(getsockopt(s, SOL_SOCKET, SO_DOMAIN, &v, &len));
	printf("domain %d\n", v);
	SHOW(socket(AF_NETLINK, SOCK_STREAM, 0));
	SHOW(socket(AF_NETLINK, SOCK_RAW, 99));
	SHOW(recv(s, buf, sizeof buf, MSG_DONTWAIT));
	SHOW(send(s, "short", 5, 0));
	SHOW(send(s, buf, 0, 0));
	close(s);
	close(t);
}

static void
diag(void)
{
	struct inet_diag_req_v2 rq = {
		.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u};
	struct unix_diag_req urq = {
		.sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_show = UDIAG_SHOW_NAME};
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = htons(7777),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "\0abstract-diag"};
	int s = nl_open(NETLINK_SOCK_DIAG), l = socket(AF_INET, SOCK_STREAM, 0);
	int c = socket(AF_INET, SOCK_STREAM, 0), u = socket(AF_UNIX, SOCK_STREAM, 0);
	bool done = false;

	SHOW(bind(l, (struct sockaddr *)&in, sizeof in));
	SHOW(listen(l, 5));
	SHOW(connect(c, (struct sockaddr *)&in, sizeof in));
	SHOW(bind(u, (struct sockaddr *)&un, sizeof un.sun_family + 14));
	SHOW(listen(u, 5));
	printf("tcp: %d\n", (int)ask(s, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &rq, sizeof rq));
	for (int listening = 0, there = 0, back = 0; !done;) {
		ssize_t n = recv(s, buf, sizeof buf, 0);

		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			struct inet_diag_msg *m = NLMSG_DATA(h);

			if (absent(h)) {
				listening = there = back = 1;
				h->nlmsg_type = NLMSG_DONE;
			}
			if (h->nlmsg_type == NLMSG_DONE) {
				printf("%d listens, %d and %d connected\n", listening, there, back);
				done = true;
				break;
			}
			listening += m->idiag_state == 10 && ntohs(m->id.idiag_sport) == 7777;
			there += m->idiag_state == 1 && ntohs(m->id.idiag_dport) == 7777;
			back += m->idiag_state == 1 && ntohs(m->id.idiag_sport) == 7777;
		}
	}
	printf("unix: %d\n", (int)ask(s, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &urq, sizeof urq));
	for (done = false; !done;) {
		ssize_t n = recv(s, buf, sizeof buf, 0);

		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			struct unix_diag_msg *m = NLMSG_DATA(h);
			const struct rtattr *a;

			if (absent(h)) {
				printf("found, type 1 state 10\n");
				h->nlmsg_type = NLMSG_DONE;
			}
			if (h->nlmsg_type == NLMSG_DONE) {
				done = true;
				break;
			}
			a = find(m + 1, h->nlmsg_len - NLMSG_LENGTH(sizeof *m), UNIX_DIAG_NAME);
			if (a && RTA_PAYLOAD(a) == 14 && memcmp(RTA_DATA(a), un.sun_path, 14) == 0)
				printf("found, type %d state %d\n", m->udiag_type, m->udiag_state);
		}
	}
	urq.sdiag_family = AF_X25;
	printf("unknown: %d\n", (int)ask(s, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &urq, sizeof urq));
	answers(s, 0);
	close(s);
	close(l);
	close(c);
	close(u);
}

static void
library(void)
{
	struct ifaddrs *all, *i;
	struct ifreq rq = {.ifr_name = "lo"};
	struct if_nameindex *names = if_nameindex();
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	SHOW(getifaddrs(&all));
	for (i = all; i; i = i->ifa_next) {
		char text[64] = "";

		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
			inet_ntop(AF_INET, &((struct sockaddr_in *)i->ifa_addr)->sin_addr, text,
				sizeof text);
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET6)
			inet_ntop(AF_INET6, &((struct sockaddr_in6 *)i->ifa_addr)->sin6_addr, text,
				sizeof text);
		printf("%s flags %x family %d %s\n", i->ifa_name, i->ifa_flags,
			i->ifa_addr ? i->ifa_addr->sa_family : -1, text);
	}
	freeifaddrs(all);
	for (int k = 0; names && names[k].if_name; k++)
		printf("%u %s\n", names[k].if_index, names[k].if_name);
	SHOW(ioctl(s, SIOCGIFINDEX, &rq));
	SHOW(ioctl(s, SIOCGIFFLAGS, &rq));
	printf("flags %x\n", (unsigned short)rq.ifr_flags);
	SHOW(ioctl(s, SIOCGIFMTU, &rq));
	printf("mtu %d\n", rq.ifr_mtu);
	SHOW(ioctl(s, SIOCGIFADDR, &rq));
	printf("%s\n", inet_ntoa(((struct sockaddr_in *)&rq.ifr_addr)->sin_addr));
	SHOW(ioctl(s, SIOCGIFNETMASK, &rq));
	printf("%s\n", inet_ntoa(((struct sockaddr_in *)&rq.ifr_addr)->sin_addr));
	strcpy(rq.ifr_name, "nosuch");
	SHOW(ioctl(s, SIOCGIFINDEX, &rq));
	close(s);
}

static void
switches(void)
{
	struct ifinfomsg down = {.ifi_index = 1, .ifi_change = IFF_UP},
			 up = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
	struct sockaddr_in in = {.sin_family = AF_INET,
		.sin_port = htons(1),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = nl_open(NETLINK_ROUTE), c = socket(AF_INET, SOCK_STREAM, 0);

	question(s, "down", RTM_NEWLINK, NLM_F_ACK, &down, sizeof down);
	question(s, "link", RTM_GETLINK, 0, &down, sizeof down);
	question(s, "up", RTM_NEWLINK, NLM_F_ACK, &up, sizeof up);
	question(s, "link", RTM_GETLINK, 0, &up, sizeof up);
	SHOW(connect(c, (struct sockaddr *)&in, sizeof in));
	SHOW(setresuid(1000, 1000, 1000));
	question(s, "not root", RTM_NEWLINK, NLM_F_ACK, &down, sizeof down);
	close(s);
	close(c);
}

int
main(void)
{
	own_network();
	sockets();
	routes();
	diag();
	library();
	switches();
	return 0;
}
