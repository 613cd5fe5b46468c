/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /dev/net/tun: how interfaces are made, found again and removed, what ioctls answer, and what the
 * rest of the system shows of them. In network namespaces of its own.
 */
#include "tun.h"
#include "nl_request.h"
#include <dirent.h>
#include <linux/if_ether.h>
#include <linux/rtnetlink.h>
#include <net/route.h>
#include <sys/wait.h>

static void
show_ifr(const char *what, int fd, unsigned long cmd, struct ifreq *r)
{
	int err = ioctl(fd, cmd, r) < 0 ? errno : 0;

	printf("%s: %s", what, err ? strerrorname_np(err) : "ok");
	if (!err)
		printf(" %.16s %x", r->ifr_name, (unsigned short)r->ifr_flags);
	printf("\n");
}

static int
attach(const char *name, int flags)
{
	struct ifreq r = {.ifr_flags = (short)flags};
	int fd = open_tun();

	memcpy(r.ifr_name, name, strnlen(name, IFNAMSIZ));
	printf("%s %x: ", name, flags);
	show_ifr("attach", fd, TUNSETIFF, &r);
	return fd;
}

static void
names(void)
{
	int fd[8];

	own_namespace();
	fd[0] = attach("", IFF_TUN | IFF_NO_PI);
	fd[1] = attach("", IFF_TUN);
	fd[2] = attach("", IFF_TAP | IFF_NO_PI);
	fd[3] = attach("x%dy", IFF_TUN);
	fd[4] = attach("x%dy", IFF_TAP);
	fd[5] = attach("vpn", IFF_TUN | IFF_VNET_HDR);
	close(attach("vpn", IFF_TUN));
	close(attach("vpn", IFF_TAP));
	close(attach("vpn", IFF_TUN | IFF_TUN_EXCL));
	close(attach("lo", IFF_TUN));
	close(attach("a/b", IFF_TUN));
	close(attach("a b", IFF_TUN));
	close(attach(".", IFF_TUN));
	close(attach("%s", IFF_TUN));
	close(attach("%d%d", IFF_TUN));
	close(attach("0123456789012345", IFF_TUN));
	close(attach("kind", 0));
	close(attach("kind", IFF_TUN | IFF_TAP));
	for (int i = 0; i < 6; i++)
		close(fd[i]);
	fd[0] = attach("", IFF_TUN);
	close(fd[0]);
}

static void
unattached(void)
{
	struct pollfd p = {.events = POLLIN | POLLOUT};
	struct ifreq r = {0};
	char b[16];
	int fd = open_tun(), v = 0;

	own_namespace();
	SHOW(read(fd, b, sizeof b));
	SHOW(write(fd, b, sizeof b));
	SHOW(ioctl(fd, TUNGETIFF, &r));
	SHOW(ioctl(fd, TUNSETPERSIST, 1));
	SHOW(ioctl(fd, TUNGETSNDBUF, &v));
	SHOW(ioctl(fd, TUNSETIFF, NULL));
	SHOW(ioctl(fd, TUNGETFEATURES, &v));
	TRUE((v & (IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)) ==
		(IFF_TUN | IFF_TAP | IFF_NO_PI | IFF_VNET_HDR));
	p.fd = fd;
	poll(&p, 1, 0);
	printf("poll: %x\n", p.revents);
	SHOW(lseek(fd, 0, SEEK_SET));
}

static void
ioctls(void)
{
	struct ifreq r = {0};
	struct pollfd p = {.events = POLLIN | POLLOUT};
	int fd, v = 0;

	own_namespace();
	fd = make_tun("t0", IFF_TUN | IFF_NO_PI);
	show_ifr("TUNGETIFF", fd, TUNGETIFF, &r);
	show_ifr("TUNSETIFF again", fd, TUNSETIFF, &r);
	SHOW(ioctl(fd, TUNGETSNDBUF, &v));
	TRUE(v == INT32_MAX);
	v = 0;
	SHOW(ioctl(fd, TUNSETSNDBUF, &v));
	v = 4096;
	SHOW(ioctl(fd, TUNSETSNDBUF, &v));
	SHOW(ioctl(fd, TUNGETVNETHDRSZ, &v));
	TRUE(v == 10);
	v = 9;
	SHOW(ioctl(fd, TUNSETVNETHDRSZ, &v));
	v = 12;
	SHOW(ioctl(fd, TUNSETVNETHDRSZ, &v));
	SHOW(ioctl(fd, TUNGETVNETHDRSZ, &v));
	TRUE(v == 12);
	SHOW(ioctl(fd, TUNSETOFFLOAD, 0));
	SHOW(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6));
	SHOW(ioctl(fd, TUNSETOFFLOAD, 0x8000));
	SHOW(ioctl(fd, TUNSETDEBUG, 1));
	SHOW(ioctl(fd, TUNSETNOCSUM, 1));
	SHOW(ioctl(fd, 0x5405, &v));
	p.fd = fd;
	poll(&p, 1, 0);
	printf("poll, down: %x\n", p.revents);
	SHOW(write(fd, "E", 1));
	SHOW(write(fd, "x", 1));
	SHOW(write(fd, "", 0));
	link_up("t0", true);
	poll(&p, 1, 0);
	printf("poll, up: %x\n", p.revents);
	SHOW(write(fd, "x", 1));
	SHOW(write(fd, "E234567890123456789", 19));
	SHOW(read(fd, r.ifr_name, 4));
	SHOW(ioctl(fd, TUNSETLINK, 1));
	link_up("t0", false);
	SHOW(ioctl(fd, TUNSETLINK, 65534));
	memset(&r, 0, sizeof r);
	SHOW(ioctl(fd, SIOCGIFHWADDR, &r));
	printf("%s, type %d\n", r.ifr_name, r.ifr_hwaddr.sa_family);
}

/* A file of /sys/class/net/t0, as a process of root's that has the namespace's sees it. */
static void
show_sys(const char *name)
{
	char path[64], b[64] = "";
	int fd;
	ssize_t n;

	snprintf(path, sizeof path, "/sys/class/net/t0/%s", name);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, b, sizeof b - 1);
	printf("%s: %s%s", name, n < 0 ? strerrorname_np(errno) : b, n < 0 ? "\n" : "");
	close(fd);
}

/* Natively it takes up to a second until operstate has heard of the carrier. */
static void
show_link(const char *when)
{
	static const char *const files[] = {"tun_flags", "owner", "group", "mtu", "type",
		"tx_queue_len", "carrier", "addr_len", "flags"};
	struct ifreq r = {0};

	printf("%s\n", when);
	ask_link("t0", SIOCGIFFLAGS, &r);
	printf("flags %x\n", (unsigned short)r.ifr_flags & ~IFF_RUNNING);
	ask_link("t0", SIOCGIFMTU, &r);
	printf("mtu %d\n", r.ifr_mtu);
	ask_link("t0", SIOCGIFTXQLEN, &r);
	printf("txqlen %d\n", r.ifr_qlen);
	ask_link("t0", SIOCGIFHWADDR, &r);
	printf("type %d\n", r.ifr_hwaddr.sa_family);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		show_sys(files[i]);
}

static void
persistent(void)
{
	struct ifreq r = {0};
	int fd;

	own_namespace();
	if (unshare(CLONE_NEWNS) < 0 || mount_sys() < 0)
		printf("sys: %s\n", strerror(errno));
	fd = make_tun("t0", IFF_TAP | IFF_NO_PI);
	show_link("made");
	SHOW(ioctl(fd, TUNSETPERSIST, 1));
	SHOW(ioctl(fd, TUNSETOWNER, 1000));
	SHOW(ioctl(fd, TUNSETGROUP, 50));
	link_up("t0", true);
	show_link("up");
	close(fd);
	show_link("nobody has it");
	close(attach("t0", IFF_TUN));
	fd = attach("t0", IFF_TAP);
	show_ifr("TUNGETIFF", fd, TUNGETIFF, &r);
	show_link("again");
	close(attach("t0", IFF_TAP));
	SHOW(ioctl(fd, TUNSETPERSIST, 0));
	close(fd);
	memset(&r, 0, sizeof r);
	ask_link("t0", SIOCGIFFLAGS, &r);
}

static void
rights(void)
{
	struct ifreq r = {.ifr_flags = IFF_TUN, .ifr_name = "t0"};
	int a, b;

	own_namespace();
	a = make_tun("t0", IFF_TUN);
	ioctl(a, TUNSETPERSIST, 1);
	ioctl(a, TUNSETOWNER, 1000);
	close(a);
	a = open_tun();
	b = open_tun();
	if (setresgid(1000, 1000, 1000) < 0 || setresuid(1001, 1001, 1001) < 0)
		printf("%s\n", strerror(errno));
	show_ifr("not the owner", a, TUNSETIFF, &r);
	strcpy(r.ifr_name, "t1");
	show_ifr("a new one", a, TUNSETIFF, &r);
	close(b);
}

static void
owner(void)
{
	struct ifreq r = {.ifr_flags = IFF_TUN, .ifr_name = "t0"};
	int a;

	own_namespace();
	a = make_tun("t0", IFF_TUN);
	ioctl(a, TUNSETPERSIST, 1);
	ioctl(a, TUNSETOWNER, 1000);
	close(a);
	a = open_tun();
	if (setresuid(1000, 1000, 1000) < 0)
		printf("%s\n", strerror(errno));
	show_ifr("the owner", a, TUNSETIFF, &r);
}

static void
show_addresses(const char *when)
{
	struct ifreq r = {0};
	struct sockaddr_in a;
	static const struct {
		const char *name;
		unsigned long cmd;
	} v[] = {{"address", SIOCGIFADDR}, {"mask", SIOCGIFNETMASK}, {"broadcast", SIOCGIFBRDADDR},
		{"peer", SIOCGIFDSTADDR}};

	printf("%s\n", when);
	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		memset(&r, 0, sizeof r);
		ask_link("t0", v[i].cmd, &r);
		memcpy(&a, &r.ifr_addr, sizeof a);
		printf("%s %s\n", v[i].name, inet_ntoa(a.sin_addr));
	}
}

static void
show_file(const char *path)
{
	char b[4096];
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, b, sizeof b);

	printf("%s\n%.*s", path, n > 0 ? (int)n : 0, b);
	close(fd);
}

static void
set_route(const char *dst, const char *gateway, const char *mask, int flags, const char *dev,
	bool add)
{
	struct rtentry r = {.rt_flags = (unsigned short)(flags | RTF_UP), .rt_dev = (char *)dev};
	struct sockaddr_in a = {.sin_family = AF_INET};
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	inet_pton(AF_INET, dst, &a.sin_addr);
	memcpy(&r.rt_dst, &a, sizeof a);
	inet_pton(AF_INET, gateway, &a.sin_addr);
	memcpy(&r.rt_gateway, &a, sizeof a);
	inet_pton(AF_INET, mask, &a.sin_addr);
	memcpy(&r.rt_genmask, &a, sizeof a);
	printf("%s %s by %s: ", add ? "add" : "remove", dst, gateway);
	printf("%s\n",
		ioctl(s, add ? SIOCADDRT : SIOCDELRT, &r) < 0 ? strerrorname_np(errno) : "ok");
	close(s);
}

static void
addresses(int kind)
{
	struct ifreq r = {0};
	int fd;

	own_namespace();
	fd = make_tun("t0", kind | IFF_NO_PI);
	set_address("t0", "10.1.2.3", "255.255.255.0");
	show_addresses("down");
	show_file("/proc/net/route");
	link_up("t0", true);
	show_addresses("up");
	show_file("/proc/net/route");
	set_route("0.0.0.0", "10.1.2.1", "0.0.0.0", RTF_GATEWAY, NULL, true);
	set_route("0.0.0.0", "10.1.2.1", "0.0.0.0", RTF_GATEWAY, NULL, true);
	set_route("10.9.0.0", "0.0.0.0", "255.255.0.0", 0, "t0", true);
	set_route("10.8.0.1", "10.7.0.1", "0.0.0.0", RTF_GATEWAY | RTF_HOST, NULL, true);
	set_route("10.8.0.1", "0.0.0.0", "0.0.0.0", RTF_HOST, "t1", true);
	set_route("10.8.0.1", "0.0.0.0", "255.255.0.255", 0, "t0", true);
	show_file("/proc/net/route");
	set_route("10.9.0.0", "0.0.0.0", "255.255.0.0", 0, "t0", false);
	set_route("10.9.0.0", "0.0.0.0", "255.255.0.0", 0, "t0", false);
	put_ip(&r, "10.1.2.99");
	ask_link("t0", SIOCSIFDSTADDR, &r);
	show_addresses("with a peer");
	memset(&r, 0, sizeof r);
	put_ip(&r, "10.3.0.1");
	ask_link("t0", SIOCSIFADDR, &r);
	show_addresses("another");
	show_file("/proc/net/route");
	link_up("t0", false);
	show_addresses("down again");
	show_file("/proc/net/route");
	strcpy(r.ifr_newname, "renamed");
	ask_link("t0", SIOCSIFNAME, &r);
	ask_link("renamed", SIOCGIFADDR, &r);
	close(fd);
	memset(&r, 0, sizeof r);
	ask_link("renamed", SIOCGIFADDR, &r);
}

static void
addresses_of_tun(void)
{
	addresses(IFF_TUN);
}

static void
addresses_of_tap(void)
{
	addresses(IFF_TAP);
}

/* --- netlink --- */

struct request {
	struct nlmsghdr h;
	struct ifinfomsg m;
	char attrs[128];
};

static const struct rtattr *
find(const struct rtattr *a, int left, int type)
{
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

static void
show_nl_link(int s, const char *name)
{
	struct request rq = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof rq.m),
				     .nlmsg_type = RTM_GETLINK,
				     .nlmsg_flags = NLM_F_REQUEST}};
	_Alignas(8) char buf[8192];
	const struct nlmsghdr *h = (void *)buf;
	const struct ifinfomsg *m = NLMSG_DATA(h);
	const struct rtattr *info, *data, *a;
	int err;

	nl_put(&rq.h, IFLA_IFNAME, name, strlen(name) + 1);
	err = nl_ask(s, &rq.h, buf, sizeof buf);
	printf("link %s: %s\n", name, err ? strerrorname_np(err) : "found");
	if (err)
		return;
	printf("type %d flags %x", m->ifi_type, m->ifi_flags);
	a = find(IFLA_RTA(m), (int)IFLA_PAYLOAD(h), IFLA_OPERSTATE);
	printf(" operstate %d", a ? *(uint8_t *)RTA_DATA(a) : -1);
	a = find(IFLA_RTA(m), (int)IFLA_PAYLOAD(h), IFLA_MTU);
	printf(" mtu %d", a ? *(int *)RTA_DATA(a) : -1);
	a = find(IFLA_RTA(m), (int)IFLA_PAYLOAD(h), IFLA_ADDRESS);
	printf(" address of %d\n", a ? (int)RTA_PAYLOAD(a) : -1);
	info = find(IFLA_RTA(m), (int)IFLA_PAYLOAD(h), IFLA_LINKINFO);
	a = info ? find(RTA_DATA(info), (int)RTA_PAYLOAD(info), IFLA_INFO_KIND) : NULL;
	printf("kind %s", a ? (char *)RTA_DATA(a) : "none");
	data = info ? find(RTA_DATA(info), (int)RTA_PAYLOAD(info), IFLA_INFO_DATA) : NULL;
	for (int i = 0; data && i < 10; i++) {
		a = find(RTA_DATA(data), (int)RTA_PAYLOAD(data), i);
		if (a)
			printf(" %d:%x", i,
				RTA_PAYLOAD(a) == 1 ? *(uint8_t *)RTA_DATA(a)
						    : *(unsigned *)RTA_DATA(a));
	}
	printf("\n");
}

static void
links(void)
{
	struct request rq = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof rq.m)}};
	_Alignas(8) char buf[8192];
	struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	int s = -1, news, fd, mtu = 1300, err;
	ssize_t n;

	own_namespace();
	s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	news = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_ROUTE);
	bind(news, (struct sockaddr *)&name, sizeof name);
	fd = make_tun("t0", IFF_TUN | IFF_NO_PI);
	n = recv(news, buf, sizeof buf, 0);
	printf("news: type %d\n", n > 0 ? ((struct nlmsghdr *)buf)->nlmsg_type : -1);
	show_nl_link(s, "t0");
	show_nl_link(s, "t1");
	rq.h.nlmsg_type = RTM_NEWLINK;
	rq.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	rq.m.ifi_index = (int)if_nametoindex("t0");
	rq.m.ifi_change = rq.m.ifi_flags = IFF_UP;
	nl_put(&rq.h, IFLA_MTU, &mtu, sizeof mtu);
	err = nl_ask(s, &rq.h, buf, sizeof buf);
	printf("change: %s\n", err ? strerrorname_np(err) : "ok");
	show_nl_link(s, "t0");
	while (recv(news, buf, sizeof buf, 0) > 0)
		;
	rq = (struct request){.h = {.nlmsg_len = NLMSG_LENGTH(sizeof rq.m),
				      .nlmsg_type = RTM_DELLINK,
				      .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};
	rq.m.ifi_index = 1;
	err = nl_ask(s, &rq.h, buf, sizeof buf);
	printf("remove lo: %s\n", err ? strerrorname_np(err) : "ok");
	rq.m.ifi_index = 77;
	err = nl_ask(s, &rq.h, buf, sizeof buf);
	printf("remove what is not there: %s\n", err ? strerrorname_np(err) : "ok");
	rq.m.ifi_index = (int)if_nametoindex("t0");
	err = nl_ask(s, &rq.h, buf, sizeof buf);
	printf("remove: %s\n", err ? strerrorname_np(err) : "ok");
	do
		n = recv(news, buf, sizeof buf, 0);
	while (n > 0 && ((struct nlmsghdr *)buf)->nlmsg_type != RTM_DELLINK);
	printf("news: type %d\n", n > 0 ? ((struct nlmsghdr *)buf)->nlmsg_type : -1);
	SHOW(read(fd, buf, sizeof buf));
	SHOW(write(fd, "E", 1));
	SHOW(ioctl(fd, TUNGETIFF, buf));
}

/* --- /proc/sys/net --- */

static void
show_conf(const char *family, const char *link, const char *name)
{
	char path[128];

	snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%s/%s", family, link, name);
	show_file(path);
}

static void
set_conf(const char *family, const char *link, const char *name, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof path, "/proc/sys/net/%s/conf/%s/%s", family, link, name);
	fd = open(path, O_WRONLY);
	printf("%s = %s: ", path, value);
	printf("%s\n", write(fd, value, strlen(value)) < 0 ? strerrorname_np(errno) : "ok");
	close(fd);
}

static void
show_conf_dir(const char *family)
{
	char path[64];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof path, "/proc/sys/net/%s/conf", family);
	d = opendir(path);
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			printf("%s: %s\n", path, e->d_name);
	closedir(d);
}

static bool
has_ipv6(void)
{
	static char b[4096];
	int fd = open("/proc/net/if_inet6", O_RDONLY);
	ssize_t n = read(fd, b, sizeof b - 1);

	b[n > 0 ? n : 0] = 0;
	close(fd);
	return strstr(b, "t0");
}

static void
sysctls(void)
{
	int fd;

	own_namespace();
	set_conf("ipv4", "default", "rp_filter", "2");
	fd = make_tun("t0", IFF_TUN | IFF_NO_PI);
	show_conf_dir("ipv4");
	show_conf_dir("ipv6");
	show_conf("ipv4", "t0", "rp_filter");
	show_conf("ipv4", "t0", "forwarding");
	show_conf("ipv6", "t0", "disable_ipv6");
	show_conf("ipv6", "t0", "mtu");
	set_conf("ipv4", "all", "forwarding", "1");
	show_conf("ipv4", "t0", "forwarding");
	set_conf("ipv4", "t0", "rp_filter", "1");
	show_conf("ipv4", "t0", "rp_filter");
	show_conf("ipv4", "default", "rp_filter");
	link_up("t0", true);
	TRUE(has_ipv6());
	set_conf("ipv6", "t0", "accept_dad", "0");
	set_conf("ipv6", "t0", "disable_ipv6", "0");
	TRUE(has_ipv6());
	set_conf("ipv6", "t0", "disable_ipv6", "1");
	TRUE(has_ipv6());
	close(fd);
	show_conf_dir("ipv4");
	show_conf("ipv4", "t0", "forwarding");
}

/* Who reads is told when it is removed. */
static void
removed(void)
{
	char b[64];
	int fd, s;
	pid_t p;

	own_namespace();
	fd = make_tun("t0", IFF_TUN | IFF_NO_PI);
	fcntl(fd, F_SETFL, 0);
	link_up("t0", true);
	p = fork();
	if (p == 0) {
		struct request rq = {.h = {.nlmsg_len = NLMSG_LENGTH(sizeof rq.m),
					     .nlmsg_type = RTM_DELLINK,
					     .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};

		sleep_ms(200);
		s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
		rq.m.ifi_index = (int)if_nametoindex("t0");
		nl_ask(s, &rq.h, b, sizeof b);
		_exit(0);
	}
	TRUE(read(fd, b, sizeof b) < 0);
	waitpid(p, NULL, 0);
}

int
main(void)
{
	own_namespace();
	in_child("names", names);
	in_child("not attached", unattached);
	in_child("ioctls", ioctls);
	in_child("persistent", persistent);
	in_child("rights", rights);
	in_child("owner", owner);
	in_child("addresses of a tun", addresses_of_tun);
	in_child("addresses of a tap", addresses_of_tap);
	in_child("links", links);
	in_child("sysctls", sysctls);
	in_child("removed", removed);
	return 0;
}
