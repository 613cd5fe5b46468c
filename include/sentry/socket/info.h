/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc/net and sock_diag show of sockets. */
#ifndef SENTRY_SOCKET_INFO_H
#define SENTRY_SOCKET_INFO_H

#include "sentry/socket/socket.h"

struct sock_info {
	uint16_t family, type, protocol;
	uint8_t state;			     /* as in /proc/net/tcp */
	uint8_t local_ip[16], remote_ip[16]; /* IPv6, or IPv4 mapped */
	uint16_t local_port, remote_port;    /* host order */
	uint32_t rcv_bytes, snd_bytes, uid;
	uint32_t refs;
	uint8_t shutdown; /* 1: reads, 2: writes */
	uint64_t ino, cookie;
	/* AF_UNIX */
	uint8_t name[SOCK_ADDR_MAX]; /* of sun_path; abstract ones begin with a zero byte */
	uint32_t name_len;
	bool listening;
	uint64_t peer_ino;
	/* AF_NETLINK */
	uint32_t portid;
	uint64_t groups;
};

/* Every open socket of a namespace, a family (0: all) and protocol (-1: all), as it was when this
 * began. fn may park. -ENOMEM. */
int sock_each(const struct net_ns *net, int family, int protocol,
	void (*fn)(const struct sock_info *i, void *arg), void *arg);

#endif
