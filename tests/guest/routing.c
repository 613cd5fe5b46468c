/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes, rules and neighbours that a program makes where only lo is (rtnetlink(7)): what is
 * answered, what the tables are then, and what sockets make of it.
 */
#include "rtnl.h"
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/wait.h>

static int news; /* hears of changes */

/* --- requests, as ip-route(8) and ip-rule(8) write them --- */

static unsigned
number(void)
{
	const char *t = strtok(NULL, " ");

	return t ? (unsigned)strtoul(t, NULL, 0) : 0;
}

static void
put_number(struct request *rq, unsigned short type, size_t len)
{
	unsigned v = number();

	nl_put(&rq->h, type, &v, len);
}

static void
put_prefix(struct request *rq, unsigned short type, char *text, unsigned char *bits)
{
	char *slash = strchr(text, '/');

	if (slash)
		*slash = 0;
	put_address(rq, type, text, bits);
	if (slash)
		*bits = (unsigned char)atoi(slash + 1);
}

static void
begin(struct request *rq, int type, int flags, int family)
{
	memset(rq, 0, sizeof *rq);
	rq->h.nlmsg_len = NLMSG_LENGTH(sizeof rq->m);
	rq->h.nlmsg_type = (unsigned short)type;
	rq->h.nlmsg_flags = (unsigned short)(NLM_F_REQUEST | NLM_F_ACK | flags);
	rq->h.nlmsg_seq = 7;
	rq->m.rtm_family = (unsigned char)family;
}

static void
say(struct request *rq, const char *what)
{
	static char buf[8192];
	ssize_t n;

	printf("%s: ", what);
	if (send(s, rq, rq->h.nlmsg_len, 0) < 0)
		printf("%s\n", strerrorname_np(errno));
	else
		show();
	while ((n = recv(news, buf, sizeof buf, MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *h = (void *)buf;

		/* not what the kernel does when it is done with an address */
		if (h->nlmsg_seq != rq->h.nlmsg_seq)
			continue;
		printf("  news: ");
		show_message(h);
	}
}

static void
route(int type, int flags, int family, const char *text)
{
	struct request rq;
	unsigned char bits;
	char copy[200], *t;

	begin(&rq, type, flags, family);
	rq.m.rtm_table = RT_TABLE_MAIN;
	rq.m.rtm_type = type == RTM_NEWROUTE ? RTN_UNICAST : 0;
	rq.m.rtm_scope = type == RTM_NEWROUTE ? RT_SCOPE_LINK : RT_SCOPE_NOWHERE;
	rq.m.rtm_protocol = type == RTM_NEWROUTE ? RTPROT_BOOT : 0;
	strcpy(copy, text);
	for (t = strtok(copy, " "); t; t = strtok(NULL, " ")) {
		if (!strcmp(t, "type"))
			rq.m.rtm_type = (unsigned char)number();
		else if (!strcmp(t, "scope"))
			rq.m.rtm_scope = (unsigned char)number();
		else if (!strcmp(t, "proto"))
			rq.m.rtm_protocol = (unsigned char)number();
		else if (!strcmp(t, "local"))
			rq.m.rtm_table = RT_TABLE_LOCAL;
		else if (!strcmp(t, "flags"))
			rq.m.rtm_flags = number();
		else if (!strcmp(t, "table"))
			put_number(&rq, RTA_TABLE, 4);
		else if (!strcmp(t, "metric"))
			put_number(&rq, RTA_PRIORITY, 4);
		else if (!strcmp(t, "dev"))
			put_number(&rq, RTA_OIF, 4);
		else if (!strcmp(t, "via"))
			put_address(&rq, RTA_GATEWAY, strtok(NULL, " "), &bits);
		else if (!strcmp(t, "src"))
			put_address(&rq, RTA_PREFSRC, strtok(NULL, " "), &bits);
		else
			put_prefix(&rq, RTA_DST, t, &rq.m.rtm_dst_len);
	}
	say(&rq, text);
}

static void
put_range(struct request *rq, unsigned short type)
{
	unsigned short v[2] = {(unsigned short)number(), (unsigned short)number()};

	nl_put(&rq->h, type, v, sizeof v);
}

static void
rule(int type, int flags, int family, const char *text)
{
	struct request rq;
	unsigned uids[2];
	char copy[200], *t;

	begin(&rq, type, flags, family);
	rq.m.rtm_type = type == RTM_NEWRULE ? FR_ACT_TO_TBL : 0;
	strcpy(copy, text);
	for (t = strtok(copy, " "); t; t = strtok(NULL, " ")) {
		if (!strcmp(t, "from"))
			put_prefix(&rq, FRA_SRC, strtok(NULL, " "), &rq.m.rtm_src_len);
		else if (!strcmp(t, "to"))
			put_prefix(&rq, FRA_DST, strtok(NULL, " "), &rq.m.rtm_dst_len);
		else if (!strcmp(t, "action"))
			rq.m.rtm_type = (unsigned char)number();
		else if (!strcmp(t, "not"))
			rq.m.rtm_flags |= FIB_RULE_INVERT;
		else if (!strcmp(t, "table"))
			put_number(&rq, FRA_TABLE, 4);
		else if (!strcmp(t, "pref"))
			put_number(&rq, FRA_PRIORITY, 4);
		else if (!strcmp(t, "goto"))
			put_number(&rq, FRA_GOTO, 4);
		else if (!strcmp(t, "mark"))
			put_number(&rq, FRA_FWMARK, 4);
		else if (!strcmp(t, "mask"))
			put_number(&rq, FRA_FWMASK, 4);
		else if (!strcmp(t, "suppress"))
			put_number(&rq, FRA_SUPPRESS_PREFIXLEN, 4);
		else if (!strcmp(t, "proto"))
			put_number(&rq, FRA_PROTOCOL, 1);
		else if (!strcmp(t, "ipproto"))
			put_number(&rq, FRA_IP_PROTO, 1);
		else if (!strcmp(t, "sport"))
			put_range(&rq, FRA_SPORT_RANGE);
		else if (!strcmp(t, "dport"))
			put_range(&rq, FRA_DPORT_RANGE);
		else if (!strcmp(t, "uids"))
			uids[0] = number(), uids[1] = number(),
			nl_put(&rq.h, FRA_UID_RANGE, uids, sizeof uids);
		else if (!strcmp(t, "iif"))
			t = strtok(NULL, " "), nl_put(&rq.h, FRA_IIFNAME, t, strlen(t) + 1);
		else if (!strcmp(t, "oif"))
			t = strtok(NULL, " "), nl_put(&rq.h, FRA_OIFNAME, t, strlen(t) + 1);
	}
	say(&rq, text);
}

static void
dump(int type, int family)
{
	struct request rq;

	begin(&rq, type, NLM_F_DUMP, family);
	rq.h.nlmsg_flags &= (unsigned short)~NLM_F_ACK;
	SHOW(send(s, &rq, rq.h.nlmsg_len, 0) > 0);
	while (show())
		;
}

static socklen_t
address(const char *ip, int port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *four = (void *)ret;
	struct sockaddr_in6 *six = (void *)ret;

	memset(ret, 0, sizeof *ret);
	if (strchr(ip, ':')) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons((unsigned short)port);
		inet_pton(AF_INET6, ip, &six->sin6_addr);
		return sizeof *six;
	}
	four->sin_family = AF_INET;
	four->sin_port = htons((unsigned short)port);
	inet_pton(AF_INET, ip, &four->sin_addr);
	return sizeof *four;
}

/* IPv6: until it is known that nobody else has it. */
static void
wait_for(const char *ip)
{
	struct sockaddr_storage a;
	socklen_t len = address(ip, 0, &a);
	int fd = socket(a.ss_family, SOCK_DGRAM, 0);

	for (int i = 0; i < 500 && bind(fd, (void *)&a, len) < 0; i++)
		sleep_ms(10);
	close(fd);
}

static void
add_address(int family, const char *ip, int bits)
{
	struct request rq;
	struct ifaddrmsg m = {(unsigned char)family, (unsigned char)bits, 0, 0, LO};
	unsigned char a[16];

	begin(&rq, RTM_NEWADDR, NLM_F_CREATE, family);
	rq.h.nlmsg_len = NLMSG_LENGTH(sizeof m);
	memcpy(&rq.m, &m, sizeof m);
	inet_pton(family, ip, a);
	nl_put(&rq.h, IFA_LOCAL, a, family == AF_INET ? 4 : 16);
	say(&rq, ip);
	wait_for(ip);
}

/* --- what sockets make of it --- */

static const char *
name_of(int fd)
{
	static char text[INET6_ADDRSTRLEN];
	struct sockaddr_storage a;
	socklen_t len = sizeof a;

	if (getsockname(fd, (void *)&a, &len) < 0)
		return "none";
	return inet_ntop(a.ss_family,
		a.ss_family == AF_INET ? (void *)&((struct sockaddr_in *)&a)->sin_addr
				       : (void *)&((struct sockaddr_in6 *)&a)->sin6_addr,
		text, sizeof text);
}

static const char *
outcome(long r)
{
	return r < 0 ? strerrorname_np(errno) : "ok";
}

static void
tcp(const char *ip, const struct sockaddr_storage *a, socklen_t len)
{
	int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0), err = 0;
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t n = sizeof err;

	printf("%s: tcp %s", ip, outcome(connect(fd, (void *)a, len)));
	printf(" from %s", name_of(fd));
	if (poll(&p, 1, 50) > 0)
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
	printf(" then %s", err ? strerrorname_np(err) : "nothing");
	close(fd);
}

static void
try_ways(const char *ip)
{
	struct sockaddr_storage a, any;
	socklen_t len = address(ip, 9, &a);
	int fd;

	tcp(ip, &a, len);
	fd = socket(a.ss_family, SOCK_DGRAM, 0);
	printf("; udp %s", outcome(sendto(fd, "x", 1, 0, (void *)&a, len)));
	printf(", again %s", outcome(sendto(fd, "x", 1, 0, (void *)&a, len)));
	printf(", connected %s", outcome(connect(fd, (void *)&a, len)));
	printf(" from %s", name_of(fd));
	printf(" %s", outcome(send(fd, "x", 1, 0)));
	printf(" %s", outcome(send(fd, "x", 1, 0)));
	close(fd);
	len = address(ip, 0, &any);
	fd = socket(a.ss_family, SOCK_STREAM, 0);
	printf("; bind %s\n", outcome(bind(fd, (void *)&any, len)));
	close(fd);
}

/* --- routes --- */

enum { ADD = NLM_F_CREATE | NLM_F_EXCL, APPEND = NLM_F_CREATE | NLM_F_APPEND };

static void
routes4(void)
{
	static const char *const added[] = {"10.1.0.0/16 dev 1", "10.1.0.0/16 dev 1",
		"10.1.0.0/16 dev 1 metric 5", "10.2.0.0/16 via 10.1.0.1 scope 0",
		"10.3.0.0/16 via 10.0.0.9 scope 0",
		"10.3.0.0/16 via 10.0.0.9 dev 1 scope 0 flags 4", "10.3.1.0/16 dev 1",
		"10.4.0.0/16 via 11.1.0.1 scope 0", "10.4.0.0/16 via 10.1.0.1 scope 253",
		"10.5.0.0/16 type 6 scope 0", "10.5.0.0/16 type 6 scope 0 dev 1",
		"10.6.0.0/16 type 7 scope 0", "10.7.0.0/16 type 8 scope 0",
		"10.8.0.0/16 type 9 scope 0", "10.9.0.0/16 local type 2 scope 254 dev 1",
		"10.9.1.0/24 local type 2 scope 0 dev 1", "10.10.255.255 local type 3 dev 1",
		"10.11.0.0/16 dev 1 src 10.0.0.9", "10.11.0.0/16 dev 1 src 10.77.0.1 metric 3",
		"10.12.0.0/16 dev 1 table 100", "10.12.0.0/16 dev 1 table 1000",
		"10.15.0.0/16 dev 99", "10.16.0.0/16", "10.17.0.0/16 dev 1 type 11",
		"10.17.0.0/16 dev 1 type 12", "10.17.0.0/16 dev 1 type 0", "10.18.0.0/33 dev 1",
		"127.0.0.9 type 6 scope 0"};
	static const char *const gone[] = {"10.1.0.0/16 proto 3", "10.1.0.0/16 metric 5",
		"10.1.0.0/16", "10.1.0.0/16", "10.1.0.0/16", "10.1.0.0/16", "10.6.0.0/16 type 6",
		"10.6.0.0/16", "10.12.0.0/16 table 100", "10.12.0.0/16 table 7",
		"10.11.0.0/16 src 10.0.0.1", "10.11.0.0/16 dev 2", "10.3.0.0/16 via 10.0.0.8",
		"10.3.0.0/16 via 10.0.0.9"};

	for (size_t i = 0; i < sizeof added / sizeof added[0]; i++)
		route(RTM_NEWROUTE, ADD, AF_INET, added[i]);
	route(RTM_NEWROUTE, APPEND, AF_INET, "10.1.0.0/16 dev 1 scope 0");
	route(RTM_NEWROUTE, APPEND, AF_INET, "10.1.0.0/16 dev 1 scope 0");
	route(RTM_NEWROUTE, NLM_F_CREATE, AF_INET, "10.1.0.0/16 dev 1 proto 9");
	route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, AF_INET, "10.1.0.0/16 dev 1 proto 4");
	route(RTM_NEWROUTE, NLM_F_REPLACE, AF_INET, "10.1.0.0/16 dev 1 proto 4");
	route(RTM_NEWROUTE, NLM_F_REPLACE, AF_INET, "10.77.0.0/16 dev 1");
	route(RTM_NEWROUTE, 0, AF_INET, "10.77.0.0/16 dev 1");
	dump(RTM_GETROUTE, AF_INET);
	try_ways("10.1.0.1");
	try_ways("10.2.0.1");
	try_ways("10.5.0.1");
	try_ways("10.6.0.1");
	try_ways("10.7.0.1");
	try_ways("10.8.0.1");
	try_ways("10.9.0.1");
	try_ways("10.9.255.255");
	try_ways("10.10.255.255");
	try_ways("10.11.0.1");
	try_ways("10.12.0.1");
	try_ways("127.0.0.9");
	for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
		route(RTM_DELROUTE, 0, AF_INET, gone[i]);
	route(RTM_NEWROUTE, ADD, AF_INET, "0.0.0.0/0 dev 1");
	try_ways("10.1.0.1");
	try_ways("255.255.255.255");
	dump(RTM_GETROUTE, AF_INET);
	route(RTM_DELROUTE, 0, AF_INET, "0.0.0.0/0");
	/* What came with an address can be taken away. */
	route(RTM_DELROUTE, 0, AF_INET, "10.0.0.0/24 local type 2");
	try_ways("10.0.0.9");
	try_ways("10.0.0.5");
	route(RTM_DELROUTE, 0, AF_INET, "10.0.0.5 local type 2");
	try_ways("10.0.0.5");
}

static void
routes6(void)
{
	static const char *const added[] = {"2001:db8:1::/48 dev 1", "2001:db8:1::/48 dev 1",
		"2001:db8:1::/48 dev 1 metric 5", "2001:db8:1::7/48 dev 1 metric 6",
		"2001:db8:2::/48 via 2001:db8:1::1", "2001:db8:3::/48 via fe80::1 dev 1",
		"2001:db8:5::/48 type 6", "2001:db8:6::/48 type 7", "2001:db8:7::/48 type 8",
		"2001:db8:8::/48 type 9", "2001:db8:9::/48 local type 2 dev 1",
		"2001:db8:a::/48 dev 1 src 2001:db8::5", "2001:db8:a::/48 dev 1 src 2001:db8::77",
		"2001:db8:b::/48 dev 1 table 100", "2001:db8:c::/129 dev 1", "2001:db8:d::/48",
		"2001:db8:d::/48 dev 9"};

	for (size_t i = 0; i < sizeof added / sizeof added[0]; i++)
		route(RTM_NEWROUTE, ADD, AF_INET6, added[i]);
	route(RTM_NEWROUTE, APPEND, AF_INET6, "2001:db8:1::/48 dev 1");
	route(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, AF_INET6,
		"2001:db8:1::/48 dev 1 proto 4");
	route(RTM_NEWROUTE, NLM_F_REPLACE, AF_INET6, "2001:db8:77::/48 dev 1");
	dump(RTM_GETROUTE, AF_INET6);
	try_ways("2001:db8:1::1");
	try_ways("2001:db8:5::1");
	try_ways("2001:db8:6::1");
	try_ways("2001:db8:7::1");
	try_ways("2001:db8:8::1");
	try_ways("2001:db8:9::1");
	try_ways("2001:db8:a::1");
	try_ways("2001:db9::1");
	route(RTM_DELROUTE, 0, AF_INET6, "2001:db8:1::/48");
	route(RTM_DELROUTE, 0, AF_INET6, "2001:db8:1::/48 metric 9");
	route(RTM_DELROUTE, 0, AF_INET6, "2001:db8:1::/48 proto 4");
	route(RTM_DELROUTE, 0, AF_INET6, "2001:db8:1::/48");
	route(RTM_DELROUTE, 0, AF_INET6, "2001:db8:6::/48");
	route(RTM_NEWROUTE, ADD, AF_INET6, "::/0 dev 1");
	try_ways("2001:db9::1");
	dump(RTM_GETROUTE, AF_INET6);
}

/* Groups are reached by whatever route leads there. */
static void
group(void)
{
	struct ip_mreqn m = {.imr_multiaddr = {htonl(0xe8010203)}};
	struct sockaddr_storage a;
	socklen_t len = address("232.1.2.3", 0, &a);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), from = socket(AF_INET, SOCK_DGRAM, 0);
	char c;

	SHOW(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
	SHOW(sendto(from, "x", 1, 0, (void *)&a, len));
	route(RTM_NEWROUTE, ADD, AF_INET, "224.0.0.0/4 dev 1");
	SHOW(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
	SHOW(bind(fd, (void *)&a, len));
	len = sizeof a;
	SHOW(getsockname(fd, (void *)&a, &len));
	SHOW(sendto(from, "x", 1, 0, (void *)&a, len));
	SHOW(recv(fd, &c, 1, 0));
	route(RTM_DELROUTE, 0, AF_INET, "224.0.0.0/4");
	close(fd);
	close(from);
}

/* A connection to where nobody is: it waits, until it is told to stop, or as long as it may. */
static void
lost(void)
{
	struct sockaddr_storage a;
	socklen_t len = address("10.1.0.1", 9, &a), n = sizeof(int);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, err;
	struct timeval tv = {0, 100000};
	struct pollfd p = {.events = POLLIN};
	long long before;

	route(RTM_NEWROUTE, NLM_F_CREATE, AF_INET, "10.1.0.0/16 dev 1");
	SHOW(connect(fd, (void *)&a, len));
	SHOW(connect(fd, (void *)&a, len));
	p.fd = fd;
	SHOW(poll(&p, 1, 0));
	SHOW(shutdown(fd, SHUT_RDWR));
	SHOW(poll(&p, 1, 0));
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
	printf("error %s\n", strerrorname_np(err));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
	SHOW(connect(fd, (void *)&a, len));
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	SHOW(setsockopt(fd, SOL_TCP, TCP_SYNCNT, &one, sizeof one));
	before = now_ms();
	SHOW(connect(fd, (void *)&a, len));
	before = now_ms() - before;
	TRUE(before > 1500 && before < 20000);
	close(fd);
}

/* --- rules --- */

static void
rules(void)
{
	static const char *const added[] = {"from 10.0.0.0/8 table 100",
		"from 10.0.0.0/8 table 100", "to 10.1.0.0/16 table 101 pref 50",
		"to 10.1.0.0/16 table 101 pref 50", "mark 7 table 102",
		"mark 7 mask 0xff table 102", "iif lo table 103", "oif lo table 104",
		"iif eth7 table 104", "uids 100 200 table 105", "uids 200 100 table 105",
		"action 6 to 10.66.0.0/16", "action 8 to 10.67.0.0/16", "action 7 to 10.68.0.0/16",
		"action 3 pref 10", "action 2 goto 32766 pref 11", "action 2 goto 40000 pref 12",
		"action 2 goto 5 pref 12", "action 2 pref 12", "goto 40000 table 7 pref 12",
		"not from 10.0.0.0/8 table 100 pref 20",
		"ipproto 6 sport 5 5 dport 6 8 table 100 pref 22",
		"ipproto 6 sport 9 5 dport 6 8 table 100 pref 22", "table 254 suppress 0 pref 23",
		"table 1000 proto 4 pref 24", "action 9 table 5", "from 10.0.0.0/40 table 100"};
	static const char *const gone[] = {"pref 20", "pref 20", "from 10.0.0.0/8 table 100",
		"from 10.0.0.0/8", "from 10.0.0.0/8", "action 8 to 10.67.0.0/16",
		"mark 7 mask 0xff", "uids 100 201", "uids 100 200", "sport 5 6", "sport 5 5",
		"suppress 0", "iif eth7", "oif lo", "pref 0"};

	for (size_t i = 0; i < sizeof added / sizeof added[0]; i++)
		rule(RTM_NEWRULE, ADD, AF_INET, added[i]);
	rule(RTM_NEWRULE, NLM_F_CREATE, AF_INET, "to 10.1.0.0/16 table 101 pref 50");
	rule(RTM_NEWRULE, ADD, AF_INET6, "from 2001:db8::/32 table 100");
	rule(RTM_NEWRULE, ADD, AF_INET6, "action 8 to 2001:db8::/32");
	dump(RTM_GETRULE, AF_INET);
	dump(RTM_GETRULE, AF_INET6);
	for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
		rule(RTM_DELRULE, 0, AF_INET, gone[i]);
	dump(RTM_GETRULE, AF_INET);
	try_ways("127.0.0.1");
}

static void
send_marked(const char *ip, unsigned mark, bool by_lo, const char *from, uid_t uid)
{
	int fd;
	struct sockaddr_storage a, own;
	socklen_t len = address(ip, 9, &a);

	if (fork() == 0) {
		if (uid && setuid(uid) < 0)
			printf("no such user here: ");
		fd = socket(AF_INET, SOCK_DGRAM, 0);
		if (mark)
			SHOW(setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark));
		if (by_lo)
			SHOW(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
		if (from) {
			socklen_t n = address(from, 0, &own);

			SHOW(bind(fd, (void *)&own, n));
		}
		printf("%s, mark %u, by lo %d, from %s, user %u: %s\n", ip, mark, by_lo,
			from ? from : "any", uid, outcome(sendto(fd, "x", 1, 0, (void *)&a, len)));
		fflush(stdout);
		_exit(0);
	}
	fflush(stdout);
	wait(NULL);
}

static void
rules_act(void)
{
	static const char *const made[] = {"mark 7 action 8 pref 10", "oif lo action 7 pref 11",
		"from 10.0.0.5 action 6 pref 12", "uids 100 200 action 8 pref 13",
		"to 10.21.0.0/16 table 100 pref 14", "not to 10.0.0.0/7 action 2 goto 100 pref 15",
		"ipproto 17 dport 9 9 to 10.22.0.0/16 action 8 pref 16",
		"table 254 suppress 8 pref 100", "pref 0 to 127.0.0.7 action 8"};

	route(RTM_NEWROUTE, ADD, AF_INET, "10.20.0.0/16 dev 1");
	route(RTM_NEWROUTE, ADD, AF_INET, "10.21.0.0/16 dev 1 table 100");
	route(RTM_NEWROUTE, ADD, AF_INET, "10.22.0.0/16 dev 1");
	for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
		rule(RTM_NEWRULE, ADD, AF_INET, made[i]);
	fflush(stdout);
	send_marked("10.20.0.1", 0, false, NULL, 0);
	send_marked("10.20.0.1", 7, false, NULL, 0);
	send_marked("10.20.0.1", 8, false, NULL, 0);
	send_marked("10.20.0.1", 0, true, NULL, 0);
	send_marked("10.20.0.1", 0, false, "10.0.0.5", 0);
	send_marked("10.20.0.1", 0, false, "127.0.0.1", 0);
	send_marked("10.20.0.1", 0, false, NULL, 150);
	send_marked("10.20.0.1", 0, false, NULL, 201);
	send_marked("10.20.0.1", 7, false, NULL, 201);
	send_marked("10.21.0.1", 0, false, NULL, 0);
	send_marked("10.22.0.1", 0, false, NULL, 0);
	send_marked("127.0.0.7", 0, false, NULL, 0);
	try_ways("10.20.0.1");
	try_ways("10.21.0.1");
	try_ways("10.22.0.1");
}

/* --- neighbours --- */

static void
neighbour(int type, int flags, const char *what, const char *ip, const char *lladdr, unsigned state,
	unsigned ntf)
{
	struct request rq;
	int family = strchr(ip, ':') ? AF_INET6 : AF_INET;
	struct ndmsg m = {.ndm_family = (unsigned char)family,
		.ndm_ifindex = LO,
		.ndm_state = (unsigned short)state,
		.ndm_flags = (unsigned char)ntf};
	unsigned char a[16];

	begin(&rq, type, flags, family);
	memcpy(&rq.m, &m, sizeof m);
	inet_pton(family, ip, a);
	nl_put(&rq.h, NDA_DST, a, family == AF_INET ? 4 : 16);
	if (lladdr)
		nl_put(&rq.h, NDA_LLADDR, lladdr, strlen(lladdr));
	printf("%s, %s: ", what, ip);
	if (send(s, &rq, rq.h.nlmsg_len, 0) < 0)
		printf("%s\n", strerrorname_np(errno));
	else
		show();
}

static void
dump_neighbours(int ntf)
{
	static char buf[8192];
	struct request rq;
	struct ndmsg m = {.ndm_flags = (unsigned char)ntf};
	bool more = true;

	begin(&rq, RTM_GETNEIGH, NLM_F_DUMP, AF_UNSPEC);
	memcpy(&rq.m, &m, sizeof m);
	SHOW(send(s, &rq, rq.h.nlmsg_len, 0) > 0);
	while (more) {
		ssize_t n = recv(s, buf, sizeof buf, 0);

		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			const struct ndmsg *d = NLMSG_DATA(h);
			const struct rtattr *r = (void *)((char *)d + NLMSG_ALIGN(sizeof *d));
			size_t left = h->nlmsg_len - NLMSG_LENGTH(sizeof *d);

			more = h->nlmsg_type == RTM_NEWNEIGH;
			if (!more)
				break;
			printf("neighbour: family %d index %d state %x flags %x", d->ndm_family,
				d->ndm_ifindex, d->ndm_state, d->ndm_flags);
			for (; RTA_OK(r, left); r = RTA_NEXT(r, left))
				if (r->rta_type == NDA_DST || r->rta_type == NDA_LLADDR)
					show_attr(r);
			printf("\n");
		}
	}
}

static void
neighbours(void)
{
	static const char a[] = "\1\2\3\4\5\6", b[] = "\7\7\7\7\7\7";

	neighbour(RTM_NEWNEIGH, ADD, "add", "10.0.0.1", a, NUD_PERMANENT, 0);
	neighbour(RTM_NEWNEIGH, ADD, "again", "10.0.0.1", b, NUD_PERMANENT, 0);
	neighbour(RTM_NEWNEIGH, ADD, "without an address", "10.0.0.6", NULL, NUD_PERMANENT, 0);
	neighbour(RTM_NEWNEIGH, ADD, "a short one", "10.0.0.7", "\1\2\3", NUD_PERMANENT, 0);
	neighbour(RTM_NEWNEIGH, NLM_F_REPLACE, "change what is not there", "10.0.0.9", a,
		NUD_PERMANENT, 0);
	neighbour(RTM_NEWNEIGH, NLM_F_CREATE, "proxy", "10.0.0.8", NULL, NUD_PERMANENT, NTF_PROXY);
	neighbour(RTM_NEWNEIGH, ADD, "IPv6", "2001:db8::1", a, NUD_PERMANENT, 0);
	neighbour(RTM_NEWNEIGH, ADD, "IPv6 again", "2001:db8::1", b, NUD_PERMANENT, 0);
	neighbour(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, "IPv6, another", "2001:db8::1", b,
		NUD_PERMANENT, 0);
	dump_neighbours(0);
	dump_neighbours(NTF_PROXY);
	neighbour(RTM_DELNEIGH, 0, "remove", "10.0.0.1", NULL, 0, 0);
	neighbour(RTM_DELNEIGH, 0, "remove", "2001:db8::2", NULL, 0, 0);
	neighbour(RTM_DELNEIGH, 0, "remove", "2001:db8::1", NULL, 0, 0);
	neighbour(RTM_DELNEIGH, 0, "remove proxy", "10.0.0.8", NULL, 0, NTF_PROXY);
	neighbour(RTM_DELNEIGH, 0, "remove proxy again", "10.0.0.8", NULL, 0, NTF_PROXY);
	dump_neighbours(NTF_PROXY);
}

/* Each in a network of its own. */
static void
part(const char *name, void (*fn)(void), bool with_addresses)
{
	struct sockaddr_nl all = {.nl_family = AF_NETLINK,
		.nl_groups = RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE | RTMGRP_IPV4_RULE |
			     1 << (RTNLGRP_IPV6_RULE - 1)};

	printf("--- %s\n", name);
	own_network();
	s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	news = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (with_addresses) {
		add_address(AF_INET, "10.0.0.5", 24);
		add_address(AF_INET6, "2001:db8::5", 64);
	}
	SHOW(bind(news, (void *)&all, sizeof all));
	fn();
	close(s);
	close(news);
	fflush(stdout);
}

int
main(void)
{
	part("lo alone", lost, false);
	part("IPv4", routes4, true);
	part("IPv6", routes6, true);
	part("groups", group, true);
	part("rules", rules, true);
	part("rules act", rules_act, true);
	part("neighbours", neighbours, false);
	return 0;
}
