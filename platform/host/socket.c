/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/host/socket.h"
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define ERR(expr)                                                                                  \
	({                                                                                         \
		__typeof__(expr) r_;                                                               \
		do                                                                                 \
			r_ = (expr);                                                               \
		while (r_ < 0 && errno == EINTR);                                                  \
		r_ < 0 ? -(__typeof__(expr))errno : r_;                                            \
	})

int
host_socket(int family, int type, int protocol)
{
	return ERR(socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol));
}

/* It answers at once, unless somebody stopped it; and then all who ask would wait. */
#define MAKER_PATIENCE_MS 2000
#define MUTE_PATIENCE_MS  10

/* A reply, and the socket or -errno that it brings; -EPROTO: it is none. */
static int
take_reply(int maker, struct host_socket_reply *a)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec v = {a, sizeof *a};
	struct msghdr m = {.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	ssize_t n = ERR(recvmsg(maker, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC));
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof fd);
	if (n == sizeof *a && (fd < 0 ? a->err < 0 : a->err == 0))
		return fd < 0 ? a->err : fd;
	if (fd >= 0)
		close(fd);
	return -EPROTO;
}

int
host_socket_ask(int maker, bool *mute, int family, int type, int protocol)
{
	static _Atomic uint32_t last;
	struct host_socket_request q = {++last, family, type, protocol};
	struct host_socket_reply a;
	struct pollfd p = {.fd = maker, .events = POLLIN};
	int r;

	if (ERR(send(maker, &q, sizeof q, MSG_DONTWAIT | MSG_NOSIGNAL)) != sizeof q)
		return -ENETDOWN;
	for (;;) {
		if (ERR(poll(&p, 1, *mute ? MUTE_PATIENCE_MS : MAKER_PATIENCE_MS)) != 1) {
			*mute = true;
			return -ENETDOWN;
		}
		r = take_reply(maker, &a);
		if (r == -EPROTO)
			return -ENETDOWN;
		*mute = false;
		if (a.number == q.number)
			return r;
		if (r >= 0)
			close(r); /* it comes too late */
	}
}

int
host_socket_bind(int fd, const void *addr, uint32_t len)
{
	return ERR(bind(fd, addr, len));
}

int
host_socket_connect(int fd, const void *addr, uint32_t len)
{
	return ERR(connect(fd, addr, len));
}

int
host_socket_listen(int fd, int backlog)
{
	return ERR(listen(fd, backlog));
}

int
host_socket_accept(int fd, void *addr, uint32_t *len)
{
	return ERR(accept4(fd, addr, len, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

int
host_socket_name(int fd, int peer, void *addr, uint32_t *len)
{
	return peer ? ERR(getpeername(fd, addr, len)) : ERR(getsockname(fd, addr, len));
}

int
host_socket_shutdown(int fd, int how)
{
	return ERR(shutdown(fd, how));
}

int
host_socket_setopt(int fd, int level, int opt, const void *val, uint32_t len)
{
	return ERR(setsockopt(fd, level, opt, val, len));
}

int
host_socket_getopt(int fd, int level, int opt, void *val, uint32_t *len)
{
	return ERR(getsockopt(fd, level, opt, val, len));
}

ssize_t
host_socket_send_control(int fd, const void *buf, size_t len, int flags, const void *addr,
	uint32_t addr_len, const void *control, size_t control_len)
{
	struct iovec v = {(void *)buf, len};
	struct msghdr m = {.msg_name = addr_len ? (void *)addr : NULL,
		.msg_namelen = addr_len,
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = control_len ? (void *)control : NULL,
		.msg_controllen = control_len};

	return ERR(sendmsg(fd, &m, flags | MSG_DONTWAIT | MSG_NOSIGNAL));
}

ssize_t
host_socket_send(
	int fd, const void *buf, size_t len, int flags, const void *addr, uint32_t addr_len)
{
	return host_socket_send_control(fd, buf, len, flags, addr, addr_len, NULL, 0);
}

ssize_t
host_socket_recv_control(int fd, void *buf, size_t len, int *flags, void *addr, uint32_t *addr_len,
	void *control, size_t *control_len)
{
	struct iovec v = {buf, len};
	struct msghdr m = {.msg_name = addr,
		.msg_namelen = *addr_len,
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = *control_len ? control : NULL,
		.msg_controllen = *control_len};
	ssize_t n = ERR(recvmsg(fd, &m, *flags | MSG_DONTWAIT));

	if (n >= 0) {
		*flags = m.msg_flags;
		*addr_len = m.msg_namelen;
		*control_len = m.msg_controllen;
	}
	return n;
}

ssize_t
host_socket_recv(int fd, void *buf, size_t len, int *flags, void *addr, uint32_t *addr_len)
{
	size_t none = 0;

	return host_socket_recv_control(fd, buf, len, flags, addr, addr_len, NULL, &none);
}
