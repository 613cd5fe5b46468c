/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several IPv4 addresses of one interface: which are secondary, in what order they are, what goes
 * with one that is removed or takes its place (promote_secondaries), the routes of each, and what
 * packets come from.
 */
#include "nl_request.h"
#include "sysctl_file.h"
#include "tun.h"

static int nl, news;

static const char *
text(const struct rtattr *a)
{
	static char t[4][16];
	static unsigned k;

	k = (k + 1) % 4;
	inet_ntop(AF_INET, RTA_DATA(a), t[k], sizeof t[k]);
	return t[k];
}

/* One message about an address or a route of IPv4. */
static void
show(const struct nlmsghdr *h)
{
	const struct ifaddrmsg *i = NLMSG_DATA(h);
	const struct rtmsg *r = NLMSG_DATA(h);
	bool addr = h->nlmsg_type == RTM_NEWADDR || h->nlmsg_type == RTM_DELADDR;
	const struct rtattr *a = addr ? IFA_RTA(i) : RTM_RTA(r);
	const char *dst = "-", *src = "", *peer = "", *brd = "", *label = "";
	size_t left = addr ? IFA_PAYLOAD(h) : RTM_PAYLOAD(h);
	uint32_t flags = addr ? i->ifa_flags : 0;
	int oif = 0;

	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (addr && a->rta_type == IFA_LOCAL)
			dst = text(a);
		else if (addr && a->rta_type == IFA_ADDRESS)
			peer = text(a);
		else if (addr && a->rta_type == IFA_BROADCAST)
			brd = text(a);
		else if (addr && a->rta_type == IFA_LABEL)
			label = RTA_DATA(a);
		else if (addr && a->rta_type == IFA_FLAGS)
			memcpy(&flags, RTA_DATA(a), 4);
		else if (!addr && a->rta_type == RTA_DST)
			dst = text(a);
		else if (!addr && a->rta_type == RTA_PREFSRC)
			src = text(a);
		else if (!addr && a->rta_type == RTA_OIF)
			memcpy(&oif, RTA_DATA(a), 4);
	}
	if (addr)
		printf("%s %s/%d peer %s brd %s scope %d flags %x %s\n",
			h->nlmsg_type == RTM_NEWADDR ? "addr" : "gone", dst, i->ifa_prefixlen, peer,
			brd, i->ifa_scope, flags, label);
	else if (r->rtm_family == AF_INET)
		printf("route %s/%d table %d type %d scope %d dev %d src %s\n", dst, r->rtm_dst_len,
			r->rtm_table, r->rtm_type, r->rtm_scope, oif, src);
}

static void
dump(int type)
{
	static _Alignas(8) char buf[65536];
	struct {
		struct nlmsghdr h;
		struct rtmsg m;
	} rq = {{sizeof rq, (uint16_t)type, NLM_F_REQUEST | NLM_F_DUMP, 0, 0},
		{.rtm_family = AF_INET}};
	bool more = true;

	send(nl, &rq, sizeof rq, 0);
	while (more) {
		ssize_t n = recv(nl, buf, sizeof buf, 0);

		if (n <= 0)
			break;
		for (const struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			more = h->nlmsg_type != NLMSG_DONE;
			if (more)
				show(h);
		}
	}
}

static void
show_all(void)
{
	dump(RTM_GETADDR);
	dump(RTM_GETROUTE);
}

static void
show_news(void)
{
	static _Alignas(8) char buf[4096];
	ssize_t n;

	while ((n = recv(news, buf, sizeof buf, MSG_DONTWAIT)) > 0)
		for (const struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			printf("  news: ");
			show(h);
		}
}

struct request {
	struct nlmsghdr h;
	struct ifaddrmsg m;
	char attrs[64];
};

static struct request
request(int type, int family, const char *dev, const char *what, int scope)
{
	struct request rq = {{NLMSG_LENGTH(sizeof rq.m), (uint16_t)type,
				     NLM_F_REQUEST | NLM_F_ACK |
					     (type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0),
				     0, 0},
		{.ifa_family = (uint8_t)family,
			.ifa_scope = (uint8_t)scope,
			.ifa_prefixlen = (uint8_t)atoi(strchr(what, '/') + 1),
			.ifa_index = if_nametoindex(dev)},
		{0}};
	char ip[64];

	snprintf(ip, sizeof ip, "%.*s", (int)strcspn(what, "/"), what);
	nl_put_ip(&rq.h, IFA_LOCAL, ip);
	return rq;
}

static void
change(int type, const char *dev, const char *what, const char *peer, int scope)
{
	struct request rq = request(type, AF_INET, dev, what, scope);
	char ip[64];

	snprintf(ip, sizeof ip, "%.*s", (int)strcspn(what, "/"), what);
	nl_put_ip(&rq.h, IFA_ADDRESS, peer ? peer : ip);
	printf("%s %s %s: %s\n", type == RTM_NEWADDR ? "add" : "del", dev, what, nl_say(nl, &rq.h));
	show_news();
}

static void
add(const char *dev, const char *what)
{
	change(RTM_NEWADDR, dev, what, NULL, RT_SCOPE_UNIVERSE);
}

static void
del(const char *dev, const char *what)
{
	change(RTM_DELADDR, dev, what, NULL, 0);
}

static void
begin(const char *title)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR};

	printf("--- %s\n", title);
	close(nl);
	close(news);
	own_namespace();
	link_up("lo", true);
	make_tun("t0", IFF_TAP | IFF_NO_PI);
	make_tun("t1", IFF_TAP | IFF_NO_PI);
	link_up("t0", true);
	link_up("t1", true);
	nl = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	news = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	bind(news, (struct sockaddr *)&a, sizeof a);
}

static void
show_source(const char *to)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = 9};
	socklen_t len = sizeof a;
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, to, &a.sin_addr);
	if (connect(s, (struct sockaddr *)&a, sizeof a) < 0)
		printf("to %s: %s\n", to, strerrorname_np(errno));
	else if (getsockname(s, (struct sockaddr *)&a, &len) == 0)
		printf("to %s from %s\n", to, inet_ntoa(a.sin_addr));
	close(s);
}

/* Three of a network, two of others. */
static void
fill(void)
{
	add("t0", "10.1.2.3/24");
	add("t0", "10.1.2.4/24");
	add("t0", "10.1.2.130/25");
	add("t0", "10.1.2.5/24");
	add("t0", "10.1.3.1/24");
	add("t1", "10.1.2.6/24");
}

static void
together(void)
{
	begin("together");
	fill();
	show_all();
	show_source("10.1.2.77");
	show_source("10.1.2.200");
	show_source("10.1.3.77");
	add("t0", "10.1.2.3/24");
	add("t0", "10.1.2.4/24");
	add("t0", "10.1.2.3/32");
	del("t0", "10.1.2.4/24");
	show_all();
	del("t0", "10.1.2.3/24");
	show_all();
	show_source("10.1.2.77");
	del("t0", "10.1.2.3/24");
	del("t0", "10.1.2.4/24");
}

static void
promoted(const char *where)
{
	begin(where);
	sysctl_set(where, "1");
	fill();
	del("t0", "10.1.2.3/24");
	show_all();
	show_source("10.1.2.77");
	del("t0", "10.1.2.4/24");
	show_all();
	add("t0", "10.1.2.3/24");
	link_up("t0", false);
	show_all();
	link_up("t0", true);
	show_all();
}

/* How many routes to fd00::/64 there are. */
static void
count_routes6(void)
{
	char to[40], line[256];
	unsigned bits;
	int n = 0;
	FILE *f = fopen("/proc/net/ipv6_route", "r");

	while (f && fgets(line, sizeof line, f))
		n += sscanf(line, "%39s %x", to, &bits) == 2 && bits == 64 &&
		     !strncmp(to, "fd00", 4);
	if (f)
		fclose(f);
	printf("fd00::/64: %d\n", n);
}

static void
without_route(void)
{
	struct request rq;

	begin("noprefixroute");
	sysctl_put("net/ipv6/conf/t0/disable_ipv6", "0");
	for (int i = 0; i < 2; i++) {
		uint32_t flags = i ? IFA_F_NOPREFIXROUTE : 0;

		for (int k = 0; k < 4; k++) {
			rq = request(k < 2 ? RTM_NEWADDR : RTM_DELADDR, k % 2 ? AF_INET6 : AF_INET,
				"t0", k % 2 ? "fd00::1/64" : "10.1.2.3/24", 0);
			nl_put(&rq.h, IFA_FLAGS, &flags, sizeof flags);
			printf("flags %x: %s\n", flags, nl_say(nl, &rq.h));
			show_news();
			dump(RTM_GETROUTE);
			count_routes6();
		}
	}
}

static void
scopes(void)
{
	begin("scopes");
	change(RTM_NEWADDR, "t0", "10.1.2.3/24", NULL, RT_SCOPE_LINK);
	change(RTM_NEWADDR, "t0", "10.1.2.4/24", NULL, RT_SCOPE_UNIVERSE);
	change(RTM_NEWADDR, "t0", "10.1.2.5/24", NULL, RT_SCOPE_LINK);
	change(RTM_NEWADDR, "t0", "10.1.3.1/24", NULL, RT_SCOPE_UNIVERSE);
	change(RTM_NEWADDR, "t0", "10.1.4.1/24", NULL, RT_SCOPE_HOST);
	change(RTM_NEWADDR, "t0", "10.1.5.1/24", NULL, RT_SCOPE_LINK);
	change(RTM_NEWADDR, "t0", "10.1.6.1/24", NULL, RT_SCOPE_UNIVERSE);
	dump(RTM_GETADDR);
}

static void
peers(void)
{
	begin("peers");
	change(RTM_NEWADDR, "t0", "10.1.2.3/32", "10.9.9.9", 0);
	change(RTM_NEWADDR, "t0", "10.1.2.3/32", "10.9.9.10", 0);
	change(RTM_NEWADDR, "t0", "10.1.2.4/32", "10.9.9.10", 0);
	change(RTM_NEWADDR, "t0", "10.1.2.3/24", "10.9.9.9", 0);
	show_all();
	show_source("10.9.9.10");
	change(RTM_DELADDR, "t0", "10.1.2.3/32", "10.9.9.10", 0);
	show_all();
}

static void
on_lo(void)
{
	begin("lo");
	add("lo", "127.0.0.2/8");
	add("lo", "10.0.0.1/32");
	add("lo", "127.0.0.3/8");
	show_all();
	del("lo", "127.0.0.1/8");
	show_all();
	link_up("lo", false);
	link_up("lo", true);
	show_all();
}

static void
by_ioctl(void)
{
	begin("ioctl");
	fill();
	set_address("t0", "10.4.4.4", "255.255.0.0");
	show_news();
	dump(RTM_GETADDR);
}

/* What an alias is: a label of an address. */
static void
show_address(const char *name, const char *ip)
{
	struct ifreq r = {0};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	if (ip)
		put_ip(&r, ip);
	if (ioctl(s, SIOCGIFADDR, &r) < 0)
		printf("%s: %s\n", name, strerrorname_np(errno));
	else
		printf("%s: %s\n", name, inet_ntoa(((struct sockaddr_in *)&r.ifr_addr)->sin_addr));
	close(s);
}

static void
show_conf(void)
{
	struct ifreq v[16];
	struct ifconf c = {.ifc_len = sizeof v, .ifc_req = v};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	ioctl(s, SIOCGIFCONF, &c);
	for (size_t i = 0; i < (size_t)c.ifc_len / sizeof *v; i++)
		printf("conf %s %s\n", v[i].ifr_name,
			inet_ntoa(((struct sockaddr_in *)&v[i].ifr_addr)->sin_addr));
	close(s);
}

static void
aliases(void)
{
	struct ifreq r = {0};

	begin("aliases");
	set_address("t0", "10.1.2.3", "255.255.255.0");
	set_address("t0:1", "10.1.2.4", "255.255.255.0");
	set_address("t0:two", "10.7.2.5", "255.255.0.0");
	add("t0", "10.1.9.9/24");
	show_news();
	dump(RTM_GETADDR);
	show_conf();
	show_address("t0", NULL);
	show_address("t0", "10.1.9.9");
	show_address("t0:1", NULL);
	show_address("t0:two", "10.1.2.3");
	show_address("t0:3", NULL);
	link_up("t0:3", true);
	ask_link("t0:two", SIOCGIFINDEX, &r);
	printf("%s\n", r.ifr_name);
	set_address("t0:1", "10.1.2.44", "255.255.255.0");
	link_up("t0", false);
	strcpy(r.ifr_newname, "called");
	ask_link("t0", SIOCSIFNAME, &r);
	show_news();
	dump(RTM_GETADDR);
	strcpy(r.ifr_name, "called:1");
	r.ifr_flags = 0;
	ask_link("called:1", SIOCSIFFLAGS, &r);
	show_news();
	dump(RTM_GETADDR);
}

int
main(void)
{
	together();
	promoted("net/ipv4/conf/t0/promote_secondaries");
	promoted("net/ipv4/conf/all/promote_secondaries");
	scopes();
	without_route();
	peers();
	on_lo();
	by_ioctl();
	aliases();
	return 0;
}
