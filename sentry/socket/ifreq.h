/* SPDX-License-Identifier: Apache-2.0 */
/* The ioctls of netdevice(7) and rtentry(7): numbers, structures (Linux, include/uapi/linux/if.h,
 * sockios.h, route.h, ipv6.h, ipv6_route.h). */
#ifndef SENTRY_SOCKET_IFREQ_H
#define SENTRY_SOCKET_IFREQ_H

#include "sentry/net/link.h"
#include "sentry/socket/socket.h"

#define SIOCADDRT      0x890b
#define SIOCDELRT      0x890c
#define SIOCGIFNAME    0x8910
#define SIOCGIFCONF    0x8912
#define SIOCGIFFLAGS   0x8913
#define SIOCSIFFLAGS   0x8914
#define SIOCGIFADDR    0x8915
#define SIOCSIFADDR    0x8916
#define SIOCGIFDSTADDR 0x8917
#define SIOCSIFDSTADDR 0x8918
#define SIOCGIFBRDADDR 0x8919
#define SIOCSIFBRDADDR 0x891a
#define SIOCGIFNETMASK 0x891b
#define SIOCSIFNETMASK 0x891c
#define SIOCGIFMETRIC  0x891d
#define SIOCSIFMETRIC  0x891e
#define SIOCGIFMTU     0x8921
#define SIOCSIFMTU     0x8922
#define SIOCSIFNAME    0x8923
#define SIOCSIFHWADDR  0x8924
#define SIOCGIFHWADDR  0x8927
#define SIOCGIFINDEX   0x8933
#define SIOCDIFADDR    0x8936
#define SIOCGIFTXQLEN  0x8942
#define SIOCSIFTXQLEN  0x8943

struct lx_ifreq {
	char name[16];
	union {
		struct lx_sockaddr_in addr;
		struct {
			uint16_t family;
			uint8_t data[14];
		} hwaddr;
		int16_t flags;
		int32_t value;
		char newname[16];
		uint8_t pad[24];
	};
};

struct lx_in6_ifreq {
	uint8_t addr[16];
	uint32_t prefixlen;
	int32_t ifindex;
};

struct lx_rtentry {
	uint64_t pad1;
	struct lx_sockaddr_in dst, gateway, genmask;
	uint16_t flags;
	int16_t pad2;
	uint64_t pad3, pad4;
	int16_t metric; /* and one more */
	uint64_t dev;	/* address of a name, or 0 */
	uint64_t mtu, window;
	uint16_t irtt;
};

struct lx_in6_rtmsg {
	uint8_t dst[16], src[16], gateway[16];
	uint32_t type;
	uint16_t dst_len, src_len;
	uint32_t metric;
	uint64_t info;
	uint32_t flags;
	int32_t ifindex;
};

#define LX_RTF_UP      0x0001
#define LX_RTF_GATEWAY 0x0002
#define LX_RTF_HOST    0x0004
#define LX_RTF_REJECT  0x0200

/* The first IPv4 address of an interface that is called so, ip if it has that; for net_addrs. */
struct ifreq_first {
	const struct net_link *link;
	const char *label;
	const uint8_t *ip; /* or NULL */
	bool found, exact;
	struct net_addr addr;
};
void ifreq_match(const struct net_addr *a, void *first);

bool ifreq_is_setter(uint32_t cmd);
int ifreq_set(struct net_ns *net, const struct call *c, const struct lx_ifreq *r,
	const struct net_link *l, uint32_t cmd);
int64_t ifreq6_set(struct sock *s, const struct call *c, uint32_t cmd, uint64_t arg);
int64_t rtentry_ioctl(struct sock *s, const struct call *c, uint32_t cmd, uint64_t arg);

#endif
