/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which route a packet would take (rtnetlink(7), RTM_GETROUTE without NLM_F_DUMP), as `ip route
 * get` and nmap ask: each field and attribute of the answer, in its order, where only lo is.
 */
#include "guest.h"
#include "rtnl.h"
#include <stdbool.h>

struct question {
	const char *what, *dst, *src;
	int oif, iif;
	unsigned flags, mark;
	bool asks_uid;
};

static void
ask(int family, const struct question *q)
{
	struct request rq = {
		.h = {.nlmsg_type = RTM_GETROUTE, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 7},
		.m = {.rtm_family = (unsigned char)family, .rtm_flags = q->flags}};
	unsigned uid = 5;

	rq.h.nlmsg_len = NLMSG_LENGTH(sizeof rq.m);
	put_address(&rq, RTA_DST, q->dst, &rq.m.rtm_dst_len);
	put_address(&rq, RTA_SRC, q->src, &rq.m.rtm_src_len);
	if (q->oif)
		nl_put(&rq.h, RTA_OIF, &q->oif, 4);
	if (q->iif)
		nl_put(&rq.h, RTA_IIF, &q->iif, 4);
	if (q->mark)
		nl_put(&rq.h, RTA_MARK, &q->mark, 4);
	if (q->asks_uid)
		nl_put(&rq.h, RTA_UID, &uid, 4);
	printf("%s: ", q->what);
	if (send(s, &rq, rq.h.nlmsg_len, 0) < 0)
		printf("%s\n", strerrorname_np(errno));
	else
		show();
}

static const struct question four[] = {
	{.what = "lo", .dst = "127.0.0.1"},
	{.what = "another of lo", .dst = "127.0.0.5"},
	{.what = "broadcast", .dst = "127.255.255.255"},
	{.what = "nothing"},
	{.what = "any", .dst = "0.0.0.0"},
	{.what = "nowhere", .dst = "10.1.1.1"},
	{.what = "added", .dst = "10.9.8.7"},
	{.what = "its network", .dst = "10.9.8.1"},
	{.what = "by lo", .dst = "127.0.0.1", .oif = LO},
	{.what = "by none", .dst = "127.0.0.1", .oif = NONE},
	{.what = "nowhere, by lo", .dst = "10.1.1.1", .oif = LO},
	{.what = "any, by lo", .dst = "0.0.0.0", .oif = LO},
	{.what = "from", .dst = "127.0.0.1", .src = "127.0.0.2"},
	{.what = "from nowhere", .dst = "127.0.0.1", .src = "10.2.2.2"},
	{.what = "from all", .dst = "127.0.0.1", .src = "255.255.255.255"},
	{.what = "from alone", .src = "127.0.0.2"},
	{.what = "entry", .dst = "127.0.0.1", .flags = RTM_F_FIB_MATCH},
	{.what = "entry of a network", .dst = "127.0.0.5", .flags = RTM_F_FIB_MATCH},
	{.what = "no entry", .dst = "10.1.1.1", .flags = RTM_F_FIB_MATCH},
	{.what = "no entry, but a way", .dst = "0.0.0.0", .flags = RTM_F_FIB_MATCH},
	{.what = "table", .dst = "127.0.0.1", .flags = RTM_F_LOOKUP_TABLE},
	{.what = "came by lo", .dst = "127.0.0.1", .src = "127.0.0.1", .iif = LO},
	{.what = "came for the added one", .dst = "10.9.8.7", .src = "10.3.3.3", .iif = LO},
	{.what = "came from the added one", .dst = "10.9.8.7", .src = "10.9.8.7", .iif = LO},
	{.what = "came for nobody here", .dst = "10.1.1.1", .src = "10.3.3.3", .iif = LO},
	{.what = "came by none", .dst = "127.0.0.1", .src = "127.0.0.1", .iif = NONE},
	{.what = "of a user", .dst = "127.0.0.1", .asks_uid = true},
	{.what = "with a mark", .dst = "127.0.0.1", .mark = 7},
	{.what = "group", .dst = "224.0.0.1"},
	{.what = "group, by lo", .dst = "224.0.0.1", .oif = LO},
	{.what = "group without members, by lo", .dst = "239.1.1.1", .oif = LO},
	{.what = "group, from", .dst = "224.0.0.1", .src = "127.0.0.1"},
	{.what = "everybody, by lo", .dst = "255.255.255.255", .oif = LO},
};

static const struct question six[] = {
	{.what = "lo", .dst = "::1"},
	{.what = "nothing"},
	{.what = "any", .dst = "::"},
	{.what = "a link's", .dst = "fe80::1"},
	{.what = "from", .dst = "::1", .src = "::1"},
	{.what = "from another", .dst = "::1", .src = "::2"},
	{.what = "by lo", .dst = "::1", .oif = LO},
	{.what = "by none", .dst = "::1", .oif = NONE},
	{.what = "table", .dst = "::1", .flags = RTM_F_LOOKUP_TABLE},
	{.what = "entry", .dst = "::1", .flags = RTM_F_FIB_MATCH},
	{.what = "no entry", .dst = "2001::1", .flags = RTM_F_FIB_MATCH},
	{.what = "group, by lo", .dst = "ff02::1", .oif = LO},
	{.what = "came by lo", .dst = "::1", .src = "::1", .iif = LO},
	{.what = "came by none", .dst = "::1", .src = "::1", .iif = NONE},
};

static void
add_address(void)
{
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg m;
		struct rtattr a;
		unsigned char ip[4];
	} rq = {.h = {sizeof rq, RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, 1, 0},
		.m = {.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = LO},
		.a = {8, IFA_LOCAL},
		.ip = {10, 9, 8, 7}};

	printf("address: ");
	SHOW(send(s, &rq, sizeof rq, 0));
	show();
}

int
main(void)
{
	const int on = 1;

	own_network();
	s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	add_address();
	for (size_t i = 0; i < sizeof four / sizeof four[0]; i++)
		ask(AF_INET, &four[i]);
	printf("--- IPv6\n");
	for (size_t i = 0; i < sizeof six / sizeof six[0]; i++)
		ask(AF_INET6, &six[i]);
	printf("--- no family\n");
	ask(AF_UNSPEC, &four[0]);
	printf("--- strictly\n");
	SHOW(setsockopt(s, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on));
	ask(AF_INET, &four[0]);
	return 0;
}
