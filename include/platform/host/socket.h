/* SPDX-License-Identifier: Apache-2.0 */
/* Host sockets for --network=host: non-blocking, close-on-exec; -errno. Addresses are the host's,
 * which for AF_INET and AF_INET6 are also the guest's. */
#ifndef PLATFORM_HOST_SOCKET_H
#define PLATFORM_HOST_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

int host_socket(int family, int type, int protocol);

/* The same in another network namespace, made by a process that is in it: each request has its
 * answer, and the socket with that. One at a time. -ENETDOWN: it does not answer; *mute keeps that,
 * and is to be false at first: who is mute is not waited for again before it has said something. */
struct host_socket_request {
	uint32_t number;
	int32_t family, type, protocol;
};
struct host_socket_reply {
	uint32_t number;
	int32_t err; /* 0 or -errno */
};
int host_socket_ask(int maker, bool *mute, int family, int type, int protocol);

int host_socket_bind(int fd, const void *addr, uint32_t len);
int host_socket_connect(int fd, const void *addr, uint32_t len);
int host_socket_listen(int fd, int backlog);
int host_socket_accept(int fd, void *addr, uint32_t *len);
int host_socket_name(int fd, int peer, void *addr, uint32_t *len);
int host_socket_shutdown(int fd, int how);
int host_socket_setopt(int fd, int level, int opt, const void *val, uint32_t len);
int host_socket_getopt(int fd, int level, int opt, void *val, uint32_t *len);
/* One buffer, one optional address; flags are MSG_*, MSG_DONTWAIT and MSG_NOSIGNAL implied. */
ssize_t host_socket_send(
	int fd, const void *buf, size_t len, int flags, const void *addr, uint32_t addr_len);
/* *flags: in, and msg_flags out. *addr_len: room, then length. */
ssize_t host_socket_recv(int fd, void *buf, size_t len, int *flags, void *addr, uint32_t *addr_len);

/* The same with control data (cmsg(3)) as the host has it. *control_len: room, then length. */
ssize_t host_socket_send_control(int fd, const void *buf, size_t len, int flags, const void *addr,
	uint32_t addr_len, const void *control, size_t control_len);
ssize_t host_socket_recv_control(int fd, void *buf, size_t len, int *flags, void *addr,
	uint32_t *addr_len, void *control, size_t *control_len);

#endif
