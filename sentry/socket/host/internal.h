/* SPDX-License-Identifier: Apache-2.0 */
/* Host sockets: what those that carry the guest's own (host.c), raw ones for ICMP (icmp.c) and
 * those that a program is given (passed.c) share. */
#ifndef SENTRY_SOCKET_HOST_INTERNAL_H
#define SENTRY_SOCKET_HOST_INTERNAL_H

#include "sentry/sched/sched.h"
#include "sentry/socket/socket.h"

#define HOSTSOCK_DATAGRAM_MAX 65535u
#define HOSTSOCK_CONTROL_MAX  (SOCK_CTL_MAX * 64)

struct host_sock {
	struct sock s;
	int fd;
	struct hostfd_watch watch;
	bool connecting;      /* s.lock: a connect that waits was begun */
	_Atomic bool control; /* a stream that has something to say beside its bytes */
};

static inline struct host_sock *
hs(struct sock *s)
{
	return (struct host_sock *)s;
}

/* Make h, zeroed memory (NULL: -ENOMEM), a socket on fd. Both are gone after an error. */
int hostsock_wrap(struct host_sock *h, const struct sock_ops *ops, const struct call *c, int fd,
	int family, int type, int protocol);
/* The same in memory of its own. */
int hostsock_new(const struct call *c, int fd, const struct sock_ops *ops, int family, int type,
	int protocol, struct sock **ret);
/* A raw socket that sends and receives echoes. -EPERM: without CAP_NET_RAW. */
int hostsock_icmp_new(const struct call *c, int family, struct sock **ret);

/* The host looks at the family in the address: only the socket's own, or none (to disconnect), goes
 * there. */
int hostsock_check_family(struct sock *s, const uint8_t *addr, uint32_t len, bool unspec);
/* What one packet is to have of its own (source, TTL, TOS), for the host: bytes, or -EINVAL. */
ssize_t hostsock_put_control(const struct sock_msg *m, uint8_t control[HOSTSOCK_CONTROL_MAX]);
/* What the host says beside a packet, as far as it was asked for: the forms are the guest's, too.
 */
void hostsock_take_control(struct sock_msg *m, const uint8_t *control, size_t len);

/* sock_ops */
int hostsock_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at);
int hostsock_getname(struct sock *s, bool peer, uint8_t *addr, uint32_t *len);
ssize_t hostsock_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m);
ssize_t hostsock_recvmsg(struct sock *s, const struct call *c, struct sock_msg *m);
bool hostsock_describe(struct sock *s, struct sock_info *x);
int hostsock_shutdown(struct sock *s, int how);
/* Options that the host's sockets have, of SOL_SOCKET, too; the others are -ENOPROTOOPT
 * (options.def). */
bool hostsock_has_option(int level, int opt);
bool hostsock_passed_has_option(int level, int opt);
int hostsock_setsockopt(
	struct sock *s, const struct call *c, int level, int opt, const uint8_t *val, uint32_t len);
int hostsock_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len);
uint32_t hostsock_poll(struct sock *s);
int64_t hostsock_ioctl(struct sock *s, const struct call *c, uint32_t cmd, uint64_t arg);
void hostsock_close(struct sock *s);
void hostsock_free(struct sock *s);

#endif
