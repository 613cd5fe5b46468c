/* SPDX-License-Identifier: Apache-2.0 */
/* Tuns in network namespaces of a test's own, and packets that are made and read by hand. */
#ifndef TUN_H
#define TUN_H

#include "guest.h"
#include "nl_request.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* Of a name of its own: the host's /dev/net may not be there. */
static inline int
open_tun(void)
{
	char name[] = "/tmp/tun.XXXXXX";
	int fd = mkstemp(name);

	close(fd);
	unlink(name);
	if (mknod(name, S_IFCHR | 0600, makedev(10, 200)) < 0) {
		printf("mknod: %s\n", strerror(errno));
		exit(1);
	}
	fd = open(name, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	unlink(name);
	return fd;
}

static inline void
own_namespace(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) < 0) {
		printf("needs root\n");
		exit(77);
	}
	/* what IPv6 tells of itself is not what is looked at here */
	fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY);
	write(fd, "1", 1);
	close(fd);
}

/* A sysfs of the present network namespace. */
static inline int
mount_sys(void)
{
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)
		       ?: mount("sys", "/sys", "sysfs", 0, NULL);
}

static inline int
make_tun(const char *name, int flags)
{
	struct ifreq r = {.ifr_flags = (short)flags};
	int fd = open_tun();

	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &r) < 0) {
		printf("tun: %s\n", strerror(errno));
		exit(1);
	}
	return fd;
}

static inline void
ask_link(const char *name, unsigned long cmd, struct ifreq *r)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(r->ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(s, cmd, r) < 0)
		printf("%s %#lx: %s\n", name, cmd, strerror(errno));
	close(s);
}

static inline void
put_ip(struct ifreq *r, const char *ip)
{
	struct sockaddr_in a = {.sin_family = AF_INET};

	inet_pton(AF_INET, ip, &a.sin_addr);
	memcpy(&r->ifr_addr, &a, sizeof a);
}

static inline void
link_up(const char *name, bool up)
{
	struct ifreq r = {0};

	ask_link(name, SIOCGIFFLAGS, &r);
	r.ifr_flags = (short)(up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
	ask_link(name, SIOCSIFFLAGS, &r);
}

static inline void
set_address(const char *name, const char *ip, const char *mask)
{
	struct ifreq r = {0};

	put_ip(&r, ip);
	ask_link(name, SIOCSIFADDR, &r);
	memset(&r, 0, sizeof r);
	put_ip(&r, mask);
	ask_link(name, SIOCSIFNETMASK, &r);
}

/* Of either family, without looking for others who have it. */
static inline void
add_address(const char *dev, const char *ip, int bits, int scope)
{
	bool v6 = strchr(ip, ':');
	struct {
		struct nlmsghdr h;
		struct ifaddrmsg m;
		char attrs[64];
	} rq = {{NLMSG_LENGTH(sizeof rq.m), RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE,
			0, 0},
		{.ifa_family = v6 ? AF_INET6 : AF_INET,
			.ifa_prefixlen = (uint8_t)bits,
			.ifa_flags = v6 ? IFA_F_NODAD : 0,
			.ifa_scope = (uint8_t)scope,
			.ifa_index = if_nametoindex(dev)},
		{0}};

	nl_put_ip(&rq.h, IFA_LOCAL, ip);
	nl_must(&rq.h);
}

/* mac: or NULL; flags: NTF_*; state: NUD_*. */
static inline void
add_neighbour(const char *dev, const char *ip, int flags, int state, const char *mac)
{
	struct {
		struct nlmsghdr h;
		struct ndmsg m;
		char attrs[64];
	} rq = {{NLMSG_LENGTH(sizeof rq.m), RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE,
			0, 0},
		{.ndm_family = strchr(ip, ':') ? AF_INET6 : AF_INET,
			.ndm_flags = (uint8_t)flags,
			.ndm_state = (uint16_t)state,
			.ndm_ifindex = (int)if_nametoindex(dev)},
		{0}};

	nl_put_ip(&rq.h, NDA_DST, ip);
	if (mac)
		nl_put(&rq.h, NDA_LLADDR, mac, 6);
	nl_must(&rq.h);
}

static inline uint16_t
ip_sum(const void *data, size_t n, uint32_t sum)
{
	const uint8_t *p = data;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)p[i] << 8 | p[i + 1];
	if (n & 1)
		sum += (uint32_t)p[n - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static inline void
put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline uint32_t
get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t
get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

/* An IPv4 header before n bytes that follow it. */
static inline void
put_header(uint8_t *ip, const char *from, const char *to, int protocol, size_t n)
{
	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, (unsigned)(20 + n));
	put16(ip + 4, 0x1234);
	ip[8] = 61;
	ip[9] = (uint8_t)protocol;
	inet_pton(AF_INET, from, ip + 12);
	inet_pton(AF_INET, to, ip + 16);
	put16(ip + 10, ip_sum(ip, 20, 0));
}

/* The checksum of UDP or TCP, at `at` of what is behind the header. */
static inline void
put_sum(uint8_t *ip, size_t n, size_t at)
{
	uint32_t sum = ip[9] + (uint32_t)n;

	for (int i = 12; i < 20; i += 2)
		sum += get16(ip + i);
	put16(ip + 20 + at, 0);
	put16(ip + 20 + at, ip_sum(ip + 20, n, sum));
}

static inline bool
sums_are_right(const uint8_t *ip, size_t n)
{
	uint32_t sum = ip[9] + (uint32_t)(n - 20);

	if (ip_sum(ip, 20, 0))
		return false;
	if (ip[9] == 1)
		return !ip_sum(ip + 20, n - 20, 0);
	for (int i = 12; i < 20; i += 2)
		sum += get16(ip + i);
	return !ip_sum(ip + 20, n - 20, sum);
}

/* The next packet, at most after ms; 0: none comes. */
static inline ssize_t
next_packet(int fd, uint8_t *p, size_t cap, int ms)
{
	struct pollfd f = {.fd = fd, .events = POLLIN};
	ssize_t n;

	if (poll(&f, 1, ms) <= 0)
		return 0;
	n = read(fd, p, cap);
	if (n < 0)
		printf("read: %s\n", strerror(errno));
	return n < 0 ? 0 : n;
}

#endif
