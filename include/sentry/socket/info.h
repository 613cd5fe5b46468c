/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc/net shows of sockets. */
#ifndef SENTRY_SOCKET_INFO_H
#define SENTRY_SOCKET_INFO_H

#include <stdbool.h>
#include <stdint.h>

struct inet_info {
	bool v6;
	uint8_t local_ip[16], remote_ip[16]; /* IPv6, or IPv4 mapped */
	uint16_t local_port, remote_port;
	uint8_t state; /* as in /proc/net/tcp */
	uint32_t rcv_bytes, uid;
	uint64_t ino;
};

/* Every open socket of a protocol (IPPROTO_*) and family; fn must not park. */
void inet_each(int protocol, bool v6, void (*fn)(const struct inet_info *i, void *arg), void *arg);

#endif
