/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NETLINK_ROUTE with --network=host: each guest socket has a host socket behind it, over which
 * questions go, and nothing but questions: whatever would change something is refused here, and
 * would be by the host, for the sentry has no rights there. Numbers (portid) are the sandbox's own,
 * and changed on the way.
 */
#include "abi/poll.h"
#include "internal.h"
#include "platform/host/file.h"
#include "platform/host/socket.h"
#include "sentry/net/link.h"
#include "sentry/sched/sched.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define REPLY_MAX (64u << 10)

int
nl_host_open(struct nl_sock *s, int protocol)
{
	struct lx_sockaddr_nl a = {.family = LX_AF_NETLINK};
	uint32_t len = sizeof a;
	int fd = net_ns_host_socket(s->s.net, LX_AF_NETLINK, LX_SOCK_RAW, protocol), r;

	if (fd < 0)
		return fd;
	r = host_socket_bind(fd, &a, sizeof a);
	if (r == 0)
		r = host_socket_name(fd, 0, &a, &len);
	if (r == 0) {
		s->host_portid = a.pid;
		s->watch = (struct hostfd_watch){.fd = fd, .q = &s->s.wq};
		r = sched_watch(&s->watch, POLLIN | POLLERR);
	}
	if (r < 0) {
		host_fd_close(fd);
		return r;
	}
	s->fd = fd;
	LIVE_INC(HOSTFD);
	return 0;
}

static int
host_bind(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len)
{
	int r = nl_bind(s, c, addr, len);

	for (int32_t g = 1; r == 0 && g <= 32; g++)
		if (nls(s)->groups >> (g - 1) & 1)
			r = host_socket_setopt(nls(s)->fd, LX_SOL_NETLINK,
				LX_NETLINK_ADD_MEMBERSHIP, &g, sizeof g);
	return r;
}

static void
patch(uint8_t *p, size_t left, uint32_t from, uint32_t to)
{
	while (left >= sizeof(struct lx_nlmsghdr)) {
		struct lx_nlmsghdr h;
		size_t step;

		memcpy(&h, p, sizeof h);
		if (h.pid == from) {
			h.pid = to;
			memcpy(p, &h, sizeof h);
		}
		step = LX_NLA_ALIGN((size_t)h.len);
		if (h.len < sizeof h || step >= left)
			break;
		p += step;
		left -= step;
	}
}

/* Are all requests of the packet questions? Those of rtnetlink have numbers of the form 4 n + 2. */
static bool
only_questions(const uint8_t *p, size_t left)
{
	while (left >= sizeof(struct lx_nlmsghdr)) {
		struct lx_nlmsghdr h;
		size_t step;

		memcpy(&h, p, sizeof h);
		step = LX_NLA_ALIGN((size_t)h.len);
		if (h.len < sizeof h || h.len > left)
			return true; /* the host stops there too */
		if (h.type >= LX_NLMSG_MIN_TYPE && (h.type & 3) != 2)
			return false;
		if (step >= left)
			break;
		p += step;
		left -= step;
	}
	return true;
}

static ssize_t
host_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	struct lx_sockaddr_nl kernel = {.family = LX_AF_NETLINK};
	uint8_t *buf;
	size_t n;
	ssize_t r = nl_take(nls(s), c, m, &buf, &n);

	if (r < 0)
		return r;
	r = only_questions(buf, n) ? host_socket_send(nls(s)->fd, buf, n, 0, &kernel, sizeof kernel)
				   : -EPERM;
	free(buf);
	return r;
}

static ssize_t
host_recvmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	struct lx_sockaddr_nl from = {.family = LX_AF_NETLINK};
	uint32_t from_len = sizeof from;
	int flags = (m->flags & LX_MSG_PEEK ? LX_MSG_PEEK : 0) | LX_MSG_TRUNC;
	uint32_t freed;
	uint8_t *buf;
	ssize_t n, k, r;

	(void)c;
	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	/* what the sandbox's own kernel says (mq_notify) comes first */
	r = sock_packet_take(s, m, &freed);
	if (r != -EAGAIN)
		return r;
	buf = malloc(REPLY_MAX);
	if (!buf)
		return -ENOMEM;
	n = host_socket_recv(nls(s)->fd, buf, REPLY_MAX, &flags, &from, &from_len);
	r = n;
	if (n >= 0) {
		size_t have = (size_t)n < REPLY_MAX ? (size_t)n : REPLY_MAX;

		patch(buf, have, nls(s)->host_portid, nls(s)->portid);
		k = uio_copy_to(m->uio, buf, have);
		r = k;
		memcpy(m->addr, &from, sizeof from);
		m->addr_len = sizeof from;
		if (k >= 0 && k < n) {
			r = m->flags & LX_MSG_TRUNC ? n : k;
			m->flags |= LX_MSG_TRUNC;
		} else {
			m->flags &= ~(uint32_t)LX_MSG_TRUNC;
		}
	}
	free(buf);
	return r;
}

static int
host_setsockopt(
	struct sock *s, const struct call *c, int level, int opt, const uint8_t *val, uint32_t len)
{
	static const int allowed[] = {LX_NETLINK_ADD_MEMBERSHIP, LX_NETLINK_DROP_MEMBERSHIP,
		LX_NETLINK_NO_ENOBUFS, LX_NETLINK_CAP_ACK, LX_NETLINK_EXT_ACK,
		LX_NETLINK_GET_STRICT_CHK, LX_NETLINK_BROADCAST_ERROR};

	(void)c;
	for (size_t i = 0; level == LX_SOL_NETLINK && i < sizeof allowed / sizeof allowed[0]; i++)
		if (allowed[i] == opt)
			return host_socket_setopt(nls(s)->fd, level, opt, val, len);
	return -ENOPROTOOPT;
}

static int
host_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len)
{
	(void)c;
	return level == LX_SOL_NETLINK ? host_socket_getopt(nls(s)->fd, level, opt, val, len)
				       : -ENOPROTOOPT;
}

static uint32_t
host_poll(struct sock *s)
{
	int ev = host_fd_poll(nls(s)->fd, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM, 0);
	bool own;

	mutex_lock(&s->lock);
	own = !list_empty(&s->rcvq);
	mutex_unlock(&s->lock);
	return (ev < 0 ? LX_POLLERR : (uint32_t)ev) | (own ? LX_POLLIN | LX_POLLRDNORM : 0);
}

static void
host_close(struct sock *s)
{
	nl_forget(nls(s));
	sched_unwatch(&nls(s)->watch);
	host_fd_close(nls(s)->fd);
	LIVE_DEC(HOSTFD);
}

static void
host_free(struct sock *s)
{
	sock_fini(s);
	free(nls(s));
}

const struct sock_ops nl_host_ops = {
	.bind = host_bind,
	.connect = nl_connect,
	.listen = sock_no_listen,
	.getname = nl_getname,
	.sendmsg = host_sendmsg,
	.recvmsg = host_recvmsg,
	.shutdown = sock_no_shutdown,
	.setsockopt = host_setsockopt,
	.getsockopt = host_getsockopt,
	.poll = host_poll,
	.close = host_close,
	.free = host_free,
	.describe = nl_describe,
};
