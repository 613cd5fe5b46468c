/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AF_INET and AF_INET6 with --network=host: each guest socket is a host socket that the sentry
 * holds in the network namespace it was started in. Nothing of the guest's reaches the host but
 * addresses, bytes, and the options of the list below. What is not in the list is refused.
 */
#include "abi/poll.h"
#include "internal.h"
#include "platform/host/file.h"
#include "platform/host/socket.h"
#include "sentry/net/link.h"
#include "sentry/socket/info.h"
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define MAX_PIECE (256u << 10) /* of a stream, in one call */

static const struct sock_ops host_ops;

int
hostsock_wrap(struct host_sock *h, const struct sock_ops *ops, const struct call *c, int fd,
	int family, int type, int protocol)
{
	int err;

	if (!h) {
		host_fd_close(fd);
		return -ENOMEM;
	}
	sock_init(&h->s, ops, c, family, type, protocol);
	LIVE_INC(HOSTFD);
	h->fd = fd;
	h->watch = (struct hostfd_watch){.fd = fd, .q = &h->s.wq};
	err = sched_watch(&h->watch, POLLIN | POLLOUT | POLLPRI | POLLRDHUP);
	if (err) {
		host_fd_close(fd);
		sock_fini(&h->s);
		free(h);
		LIVE_DEC(HOSTFD);
	}
	return err;
}

int
hostsock_new(const struct call *c, int fd, const struct sock_ops *ops, int family, int type,
	int protocol, struct sock **ret)
{
	struct host_sock *h = calloc(1, sizeof *h);
	int err = hostsock_wrap(h, ops, c, fd, family, type, protocol);

	if (!err)
		*ret = &h->s;
	return err;
}

static int
create(const struct call *c, int family, int type, int protocol, struct sock **ret)
{
	int usual = type == LX_SOCK_STREAM ? LX_IPPROTO_TCP : LX_IPPROTO_UDP;
	int echo = family == LX_AF_INET ? LX_IPPROTO_ICMP : LX_IPPROTO_ICMPV6;
	int fd;

	/* No capability in here is one over the namespace. */
	if (type == LX_SOCK_RAW)
		return protocol == echo ? hostsock_icmp_new(c, family, ret) : -EPERM;
	if (type != LX_SOCK_STREAM && type != LX_SOCK_DGRAM)
		return -ESOCKTNOSUPPORT;
	if (protocol && protocol != usual &&
		!(type == LX_SOCK_DGRAM && (protocol == echo || protocol == LX_IPPROTO_UDPLITE)))
		return -EPROTONOSUPPORT;
	fd = net_ns_host_socket(c->net, family, type, protocol);
	if (fd < 0)
		return fd;
	return hostsock_new(c, fd, &host_ops, family, type, protocol ? protocol : usual, ret);
}

static int
create4(const struct call *c, int type, int protocol, struct sock **ret)
{
	return create(c, LX_AF_INET, type, protocol, ret);
}

static int
create6(const struct call *c, int type, int protocol, struct sock **ret)
{
	return create(c, LX_AF_INET6, type, protocol, ret);
}

int
hostsock_check_family(struct sock *s, const uint8_t *addr, uint32_t len, bool unspec)
{
	uint16_t family;

	if (len < sizeof family)
		return -EINVAL;
	memcpy(&family, addr, sizeof family);
	if (!(unspec && family == LX_AF_UNSPEC) && len < (s->family == LX_AF_INET ? 16u : 24u))
		return -EINVAL;
	return family == s->family || (unspec && family == LX_AF_UNSPEC) ? 0 : -EAFNOSUPPORT;
}

static int
host_bind(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len)
{
	uint16_t port;
	int err = hostsock_check_family(s, addr, len, false);

	if (err)
		return err;
	memcpy(&port, addr + 2, sizeof port);
	port = (uint16_t)(port << 8 | port >> 8);
	if (port && port < net_ns_low_ports(s->net) &&
		!cred_capable(c->cred, LX_CAP_NET_BIND_SERVICE))
		return -EACCES;
	return host_socket_bind(hs(s)->fd, addr, len);
}

static int
so_error(struct host_sock *h)
{
	int32_t v = 0;
	uint32_t len = sizeof v;
	int err = host_socket_getopt(h->fd, LX_SOL_SOCKET, LX_SO_ERROR, &v, &len);

	return err ? err : -v;
}

int
hostsock_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at)
{
	struct host_sock *h = hs(s);
	bool connecting;
	int err = hostsock_check_family(s, addr, len, true);

	(void)c;
	if (err)
		return err;
	mutex_lock(&s->lock);
	connecting = h->connecting;
	mutex_unlock(&s->lock);
	if (connecting && wait_at) {
		/* Begun by an earlier try of this call: is it decided? */
		int ev = host_fd_poll(h->fd, POLLOUT, 0);

		if (ev < 0)
			return ev;
		if (!(ev & (POLLOUT | POLLERR | POLLHUP)))
			return -EAGAIN;
		mutex_lock(&s->lock);
		h->connecting = false;
		mutex_unlock(&s->lock);
		err = so_error(h);
		if (!err) /* the host still has to tell somebody that it worked; the next one gets
			     EISCONN */
			(void)host_socket_connect(h->fd, addr, len);
		return err;
	}
	err = host_socket_connect(h->fd, addr, len);
	if (err != -EINPROGRESS || !wait_at)
		return err;
	mutex_lock(&s->lock);
	h->connecting = true;
	mutex_unlock(&s->lock);
	return -EAGAIN;
}

static int
host_listen(struct sock *s, const struct call *c, int backlog)
{
	int err = host_socket_listen(hs(s)->fd, backlog);

	(void)c;
	if (!err) {
		mutex_lock(&s->lock);
		s->listening = true;
		mutex_unlock(&s->lock);
	}
	return err;
}

static int
host_accept(struct sock *s, const struct call *c, struct sock **ret)
{
	uint8_t addr[SOCK_ADDR_MAX];
	uint32_t len = sizeof addr;
	int fd = host_socket_accept(hs(s)->fd, addr, &len);

	return fd < 0 ? fd : hostsock_new(c, fd, &host_ops, s->family, s->type, s->protocol, ret);
}

int
hostsock_getname(struct sock *s, bool peer, uint8_t *addr, uint32_t *len)
{
	*len = SOCK_ADDR_MAX;
	return host_socket_name(hs(s)->fd, peer, addr, len);
}

ssize_t
hostsock_put_control(const struct sock_msg *m, uint8_t control[HOSTSOCK_CONTROL_MAX])
{
	static const struct {
		int32_t level, type;
	} known[] = {{LX_SOL_IP, 1}, {LX_SOL_IP, 2}, {LX_SOL_IP, 8}, {LX_SOL_IPV6, 50},
		{LX_SOL_IPV6, 52}, {LX_SOL_IPV6, 62 /* DONTFRAG */}, {LX_SOL_IPV6, 67},
		{LX_SOL_UDP, 103 /* SEGMENT */}};
	size_t at = 0;

	memset(control, 0, HOSTSOCK_CONTROL_MAX);
	for (uint32_t k = 0; k < m->nctl; k++) {
		const struct sock_ctl *c = &m->ctl[k];
		struct lx_cmsghdr h = {sizeof h + c->len, c->level, c->type};
		bool ok = false;

		for (size_t i = 0; i < sizeof known / sizeof *known; i++)
			ok |= known[i].level == c->level && known[i].type == c->type;
		if (!ok)
			return -EINVAL;
		memcpy(control + at, &h, sizeof h);
		memcpy(control + at + sizeof h, c->data, c->len);
		at += (h.len + 7) & ~(size_t)7;
	}
	return (ssize_t)at;
}

ssize_t
hostsock_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	const uint32_t known = LX_MSG_OOB | LX_MSG_DONTROUTE | LX_MSG_EOR | LX_MSG_CONFIRM |
			       LX_MSG_MORE | LX_MSG_FASTOPEN;
	uint32_t max = s->type == LX_SOCK_STREAM ? MAX_PIECE : HOSTSOCK_DATAGRAM_MAX;
	size_t n = m->uio->left;
	struct uio before = *m->uio;
	uint8_t control[HOSTSOCK_CONTROL_MAX];
	char *buf __attribute__((cleanup(host_free_ptr))) = NULL;
	ssize_t k;

	(void)c;
	/* Files of the guest are nothing that the host could hold. */
	if (m->files)
		return -EINVAL;
	if (m->addr_len) {
		int err = hostsock_check_family(s, m->addr, m->addr_len, false);

		if (err)
			return err;
	}
	if (n > max) {
		if (s->type != LX_SOCK_STREAM)
			return -EMSGSIZE;
		n = max;
	}
	buf = malloc(n ? n : 1);
	if (!buf)
		return -ENOBUFS;
	k = uio_copy_from(m->uio, buf, n);
	if (k < (ssize_t)n)
		return -EFAULT;
	k = hostsock_put_control(m, control);
	if (k < 0)
		return k;
	k = host_socket_send_control(hs(s)->fd, buf, n, (int)(m->flags & known), m->addr,
		m->addr_len, control, (size_t)k);
	/* What was not taken is still to be sent. */
	*m->uio = before;
	if (k > 0)
		uio_skip(m->uio, (size_t)k);
	return k;
}

void
hostsock_take_control(struct sock_msg *m, const uint8_t *control, size_t len)
{
	size_t at = 0;

	m->nctl = 0;
	while (len - at >= sizeof(struct lx_cmsghdr)) {
		struct lx_cmsghdr h;
		size_t n, step;

		memcpy(&h, control + at, sizeof h);
		if (h.len < sizeof h || h.len > len - at)
			break;
		n = h.len - sizeof h;
		if (m->nctl < SOCK_CTL_MAX && n <= sizeof m->ctl[0].data) {
			struct sock_ctl *c = &m->ctl[m->nctl++];

			*c = (struct sock_ctl){h.level, h.type, (uint32_t)n, {0}};
			memcpy(c->data, control + at + sizeof h, n);
		}
		step = (h.len + 7) & ~(size_t)7;
		if (step >= len - at)
			break;
		at += step;
	}
}

ssize_t
hostsock_recvmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	const uint32_t known = LX_MSG_OOB | LX_MSG_PEEK | LX_MSG_TRUNC | LX_MSG_ERRQUEUE;
	uint8_t control[HOSTSOCK_CONTROL_MAX];
	/* Over a unix socket it would be descriptors, which stay outside. */
	bool some = s->family != LX_AF_UNIX &&
		    (s->type != LX_SOCK_STREAM || atomic_load(&hs(s)->control) ||
			    (m->flags & LX_MSG_ERRQUEUE));
	size_t control_len = some ? sizeof control : 0;
	uint32_t max = s->type == LX_SOCK_STREAM ? MAX_PIECE : HOSTSOCK_DATAGRAM_MAX;
	size_t n = m->uio->left < max ? m->uio->left : max;
	int flags = (int)(m->flags & known);
	char *buf __attribute__((cleanup(host_free_ptr))) = malloc(n ? n : 1);
	ssize_t k;

	(void)c;
	if (!buf)
		return -ENOBUFS;
	m->addr_len = sizeof m->addr;
	k = host_socket_recv_control(
		hs(s)->fd, buf, n, &flags, m->addr, &m->addr_len, control, &control_len);
	if (k < 0) {
		m->addr_len = 0;
		return k;
	}
	if (m->addr_len > sizeof m->addr || s->type == LX_SOCK_STREAM)
		m->addr_len = 0;
	hostsock_take_control(m, control, control_len);
	if (s->type == LX_SOCK_STREAM && (m->flags & LX_MSG_TRUNC)) {
		uio_skip(m->uio, (size_t)k < n ? (size_t)k : n);
	} else {
		size_t got = (size_t)k < n ? (size_t)k : n;

		if (got && uio_copy_to(m->uio, buf, got) != (ssize_t)got)
			return -EFAULT;
	}
	m->flags = (m->flags & ~(uint32_t)LX_MSG_TRUNC) | ((uint32_t)flags & LX_MSG_TRUNC);
	return k;
}

int
hostsock_shutdown(struct sock *s, int how)
{
	return host_socket_shutdown(hs(s)->fd, how);
}

uint32_t
hostsock_poll(struct sock *s)
{
	int ev = host_fd_poll(
		hs(s)->fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP | POLLRDNORM | POLLWRNORM, 0);

	return ev < 0 ? LX_POLLERR : (uint32_t)ev;
}

int64_t
hostsock_ioctl(struct sock *s, const struct call *c, uint32_t cmd, uint64_t arg)
{
	int32_t v = 0;
	int64_t err;

	if (cmd != FIONREAD && cmd != SIOCATMARK && cmd != SIOCOUTQ && cmd != SIOCOUTQNSD)
		return ifreq_ioctl(s, c, cmd, arg);
	err = host_fd_ioctl(hs(s)->fd, cmd, &v);
	return err < 0 ? err : copy_out(c->um, ua(arg), &v, sizeof v);
}

void
hostsock_close(struct sock *s)
{
	struct host_sock *h = hs(s);

	sched_unwatch(&h->watch);
	mutex_lock(&s->lock);
	host_fd_close(h->fd);
	h->fd = -1;
	mutex_unlock(&s->lock);
	LIVE_DEC(HOSTFD);
}

void
hostsock_free(struct sock *s)
{
	sock_fini(s);
	free(hs(s));
}

/* An address of the host's as info has it. */
static void
address_info(const uint8_t *addr, uint8_t ip[16], uint16_t *port)
{
	struct lx_sockaddr_in6 in6;
	struct lx_sockaddr_in in;

	memcpy(&in6, addr, sizeof in6);
	memcpy(&in, addr, sizeof in);
	*port = (uint16_t)(in.port << 8 | in.port >> 8);
	if (in.family == LX_AF_INET6) {
		memcpy(ip, in6.addr, 16);
		return;
	}
	memset(ip, 0, 10);
	memset(ip + 10, 0xff, 2);
	memcpy(ip + 12, &in.addr, 4);
}

bool
hostsock_describe(struct sock *s, struct sock_info *x)
{
	uint8_t local[SOCK_ADDR_MAX] = {0}, remote[SOCK_ADDR_MAX] = {0}, info[8] = {0};
	uint32_t local_len = sizeof local, remote_len = sizeof remote, info_len = sizeof info;
	bool connected;

	if (s->family == LX_AF_UNIX)
		return false;
	/* The descriptor is closed under this lock. */
	mutex_lock(&s->lock);
	if (hs(s)->fd < 0 || host_socket_name(hs(s)->fd, 0, local, &local_len) < 0) {
		mutex_unlock(&s->lock);
		return false;
	}
	remote[0] = local[0];
	connected = host_socket_name(hs(s)->fd, 1, remote, &remote_len) == 0;
	x->state = connected ? 1 : 7;
	if (s->protocol == LX_IPPROTO_TCP &&
		host_socket_getopt(hs(s)->fd, LX_SOL_TCP, 11 /* TCP_INFO */, info, &info_len) == 0)
		x->state = info[0];
	mutex_unlock(&s->lock);
	address_info(local, x->local_ip, &x->local_port);
	address_info(remote, x->remote_ip, &x->remote_port);
	return x->local_port != 0;
}

static const struct sock_ops host_ops = {
	.on_host = true,
	.bind = host_bind,
	.connect = hostsock_connect,
	.listen = host_listen,
	.accept = host_accept,
	.getname = hostsock_getname,
	.sendmsg = hostsock_sendmsg,
	.recvmsg = hostsock_recvmsg,
	.shutdown = hostsock_shutdown,
	.has_option = hostsock_has_option,
	.setsockopt = hostsock_setsockopt,
	.getsockopt = hostsock_getsockopt,
	.poll = hostsock_poll,
	.ioctl = hostsock_ioctl,
	.close = hostsock_close,
	.free = hostsock_free,
	.describe = hostsock_describe,
};

void
hostsock_init(void)
{
	static const struct sock_family v4 = {LX_AF_INET, SOCK_HOST_STACK, create4, NULL},
					v6 = {LX_AF_INET6, SOCK_HOST_STACK, create6, NULL};

	sock_family_register(&v4);
	sock_family_register(&v6);
}
