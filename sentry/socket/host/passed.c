/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets that a program was given when it was started (LISTEN_FDS, --preserve-fds): of the host,
 * whatever network the sandbox has. They and what they accept can be read, written and asked;
 * nothing new can be bound or connected with them, and no descriptor comes or goes over them. The
 * launcher has made listening ones non-blocking. Options are those of the host calls' list.
 */
#include "internal.h"
#include "platform/host/file.h"
#include "platform/host/socket.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define SO_DOMAIN_HOST 39

static const struct sock_ops passed_ops;

static int
number(int fd, int opt, int *ret)
{
	int32_t v = 0;
	uint32_t len = sizeof v;
	int r = host_socket_getopt(fd, LX_SOL_SOCKET, opt, &v, &len);

	*ret = v;
	return r;
}

int
hostsock_passed(const struct call *c, int fd, struct sock **ret)
{
	int family = 0, type = 0, protocol = 0, listening = 0;
	int r = number(fd, SO_DOMAIN_HOST, &family);

	if (r == 0)
		r = number(fd, LX_SO_TYPE, &type);
	if (r == 0)
		r = number(fd, LX_SO_PROTOCOL, &protocol);
	if (r == 0)
		r = number(fd, LX_SO_ACCEPTCONN, &listening);
	if (r == 0 && family != LX_AF_UNIX && family != LX_AF_INET && family != LX_AF_INET6)
		r = -EAFNOSUPPORT;
	if (r == 0 && type != LX_SOCK_STREAM && type != LX_SOCK_DGRAM && type != LX_SOCK_SEQPACKET)
		r = -ESOCKTNOSUPPORT;
	if (r < 0) {
		host_fd_close(fd);
		return r;
	}
	r = hostsock_new(c, fd, &passed_ops, family, type, protocol, ret);
	if (r == 0)
		(*ret)->listening = listening;
	return r;
}

static int
passed_bind(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len)
{
	(void)s, (void)c, (void)addr, (void)len;
	return -EINVAL; /* it has its address */
}

static int
passed_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at)
{
	(void)s, (void)c, (void)addr, (void)len, (void)wait_at;
	return -EACCES;
}

static int
passed_listen(struct sock *s, const struct call *c, int backlog)
{
	(void)c, (void)backlog;
	return s->listening ? 0 : -EACCES;
}

static int
passed_accept(struct sock *s, const struct call *c, struct sock **ret)
{
	uint8_t addr[SOCK_ADDR_MAX];
	uint32_t len = sizeof addr;
	int fd;

	if (!s->listening)
		return -EINVAL;
	/* Somebody else who has it may have made it one that blocks. */
	fd = host_fd_poll(hs(s)->fd, POLLIN, 0);
	if (fd <= 0)
		return fd < 0 ? fd : -EAGAIN;
	fd = host_socket_accept(hs(s)->fd, addr, &len);
	return fd < 0 ? fd : hostsock_new(c, fd, &passed_ops, s->family, s->type, s->protocol, ret);
}

static ssize_t
passed_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	/* A path of the host's, or a name in its namespace. */
	if (s->family == LX_AF_UNIX && m->addr_len)
		return -ECONNREFUSED;
	return hostsock_sendmsg(s, c, m);
}

static int
passed_setsockopt(
	struct sock *s, const struct call *c, int level, int opt, const uint8_t *val, uint32_t len)
{
	(void)c;
	if (level == LX_SOL_SOCKET && (opt == LX_SO_ERROR || opt == LX_SO_ACCEPTCONN))
		return -ENOPROTOOPT;
	return hostsock_passed_has_option(level, opt)
		       ? host_socket_setopt(hs(s)->fd, level, opt, val, len)
		       : -ENOPROTOOPT;
}

static int
passed_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len)
{
	/* Who is on the other side is nobody in here. */
	struct lx_ucred nobody = {0, 65534, 65534};

	(void)c;
	if (level == LX_SOL_SOCKET && opt == LX_SO_PEERCRED && s->family == LX_AF_UNIX) {
		if (*len > sizeof nobody)
			*len = sizeof nobody;
		memcpy(val, &nobody, *len);
		return 0;
	}
	return hostsock_passed_has_option(level, opt)
		       ? host_socket_getopt(hs(s)->fd, level, opt, val, len)
		       : -ENOPROTOOPT;
}

static const struct sock_ops passed_ops = {
	.on_host = true,
	.bind = passed_bind,
	.connect = passed_connect,
	.listen = passed_listen,
	.accept = passed_accept,
	.getname = hostsock_getname,
	.sendmsg = passed_sendmsg,
	.recvmsg = hostsock_recvmsg,
	.shutdown = hostsock_shutdown,
	.has_option = hostsock_passed_has_option,
	.setsockopt = passed_setsockopt,
	.getsockopt = passed_getsockopt,
	.poll = hostsock_poll,
	.ioctl = hostsock_ioctl,
	.close = hostsock_close,
	.free = hostsock_free,
	.describe = hostsock_describe,
};
