/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw sockets for ICMP and ICMPv6 (raw(7)) in a network of the host's, for programs like ping that
 * will have no other. Nobody in here has a right over that network, so each stands on a socket of
 * the host for echoes (SOCK_DGRAM, ping_group_range): what is sent has to be an echo request, what
 * comes are its answers. The host numbers its echoes itself; the guest sees its own identifier.
 */
#include "internal.h"
#include "platform/host/file.h"
#include "platform/host/socket.h"
#include "sentry/net/link.h"
#include "sentry/net/packet.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ICMP_HEADER 8u
#define SEQS	    256u /* requests whose identifier is remembered */

#define LX_SOL_RAW	 255
#define LX_SOL_ICMPV6	 58
#define LX_ICMP_FILTER	 1
#define LX_IPV6_CHECKSUM 7
#define LX_IP_TTL	 2
#define LX_IP_PKTINFO	 8
#define LX_IP_RECVTTL	 12

struct icmp_sock {
	struct host_sock h;
	/* h.s.lock */
	uint16_t ids[SEQS]; /* by sequence number: the identifier as the guest sent it */
	uint8_t filter[32]; /* ICMP_FILTER, ICMP6_FILTER: bit set = type is not wanted */
	bool pktinfo, ttl;  /* the guest asked for them itself */
	bool named;	    /* an identifier was asked of the host */
};

static struct icmp_sock *
ic(struct sock *s)
{
	return (struct icmp_sock *)s;
}

static bool
is_v6(const struct sock *s)
{
	return s->family == LX_AF_INET6;
}

/* A copy of an address without its port, which is none. A socket that has sent cannot be bound any
 * more (-EINVAL): the host has numbered it. */
static int
address(struct sock *s, const uint8_t *addr, uint32_t len, bool unspec, uint8_t *ret)
{
	int err = hostsock_check_family(s, addr, len, unspec);

	if (err)
		return err;
	if (len > SOCK_ADDR_MAX)
		return -EINVAL;
	memcpy(ret, addr, len);
	if (len >= 4)
		ret[2] = ret[3] = 0;
	return 0;
}

static int
icmp_bind(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len)
{
	uint8_t a[SOCK_ADDR_MAX];
	int err = address(s, addr, len, false, a);

	(void)c;
	if (!err)
		err = host_socket_bind(hs(s)->fd, a, len);
	if (!err) {
		mutex_lock(&s->lock);
		ic(s)->named = true;
		mutex_unlock(&s->lock);
	}
	return err;
}

static int
icmp_connect(struct sock *s, const struct call *c, const uint8_t *addr, uint32_t len,
	struct sock **wait_at)
{
	uint8_t a[SOCK_ADDR_MAX];
	int err = address(s, addr, len, true, a);

	return err ? err : hostsock_connect(s, c, a, len, wait_at);
}

static int
icmp_listen(struct sock *s, const struct call *c, int backlog)
{
	(void)s, (void)c, (void)backlog;
	return -EOPNOTSUPP;
}

/* --- checksums --- */

static uint16_t
get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void
put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Another identifier; the checksum stays right (RFC 1624). */
static void
put_id(uint8_t *icmp, uint16_t id)
{
	uint32_t sum = (uint16_t)~get16(icmp + 2) + (uint32_t)(uint16_t)~get16(icmp + 4) + id;

	put16(icmp + 4, id);
	ip_sum_put(icmp + 2, sum);
}

/* The header of what came, from what the host says beside it. */
static void
put_ip_header(uint8_t *ip, size_t payload, const struct sock_msg *m)
{
	uint8_t ttl = 64, to[4] = {0};

	for (uint32_t i = 0; i < m->nctl; i++) {
		const struct sock_ctl *k = &m->ctl[i];

		if (k->level == LX_SOL_IP && k->type == LX_IP_TTL && k->len >= 1)
			ttl = k->data[0];
		if (k->level == LX_SOL_IP && k->type == LX_IP_PKTINFO && k->len >= 12)
			memcpy(to, k->data + 8, 4); /* ipi_addr */
	}
	ip_header_put(ip, payload, 0, ttl, LX_IPPROTO_ICMP, m->addr + 4, to);
}

/* --- packets --- */

/* The host's socket gets the guest's identifier if nobody has it. */
static void
name(struct sock *s, uint16_t id)
{
	uint8_t a[SOCK_ADDR_MAX] = {0};
	uint16_t family = (uint16_t)s->family;
	bool named;

	mutex_lock(&s->lock);
	named = ic(s)->named;
	ic(s)->named = true;
	mutex_unlock(&s->lock);
	if (named)
		return;
	memcpy(a, &family, sizeof family);
	put16(a + 2, id);
	(void)host_socket_bind(hs(s)->fd, a, is_v6(s) ? 28 : 16);
}

static ssize_t
icmp_sendmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	const uint32_t known = LX_MSG_DONTROUTE | LX_MSG_CONFIRM;
	uint8_t control[HOSTSOCK_CONTROL_MAX], to[SOCK_ADDR_MAX];
	uint8_t *buf __attribute__((cleanup(host_free_ptr))) = NULL;
	size_t n = m->uio->left;
	ssize_t k;
	int err = m->addr_len ? address(s, m->addr, m->addr_len, false, to) : 0;

	(void)c;
	if (err)
		return err;
	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	if (n > HOSTSOCK_DATAGRAM_MAX - IP_HEADER)
		return -EMSGSIZE;
	if (n < ICMP_HEADER)
		return -EINVAL;
	buf = malloc(n);
	if (!buf)
		return -ENOBUFS;
	if (uio_copy_from(m->uio, buf, n) != (ssize_t)n)
		return -EFAULT;
	if (buf[0] != (is_v6(s) ? 128 : 8) || buf[1])
		return -EPERM;
	k = hostsock_put_control(m, control);
	if (k < 0)
		return k;
	name(s, get16(buf + 4));
	mutex_lock(&s->lock);
	ic(s)->ids[get16(buf + 6) % SEQS] = get16(buf + 4);
	mutex_unlock(&s->lock);
	return host_socket_send_control(
		hs(s)->fd, buf, n, (int)(m->flags & known), to, m->addr_len, control, (size_t)k);
}

/* What the guest did not ask for itself. */
static void
drop_control(struct sock *s, struct sock_msg *m)
{
	uint32_t kept = 0;

	if (is_v6(s))
		return;
	for (uint32_t i = 0; i < m->nctl; i++)
		if (!(m->ctl[i].type == LX_IP_TTL && !ic(s)->ttl) &&
			!(m->ctl[i].type == LX_IP_PKTINFO && !ic(s)->pktinfo))
			m->ctl[kept++] = m->ctl[i];
	m->nctl = kept;
}

/* The next that the host has. *unwanted: it was filtered out, and nothing was received. */
static ssize_t
receive(struct sock *s, struct sock_msg *m, bool *unwanted)
{
	size_t head = is_v6(s) || (m->flags & LX_MSG_ERRQUEUE) ? 0 : IP_HEADER, n;
	int flags = (int)(m->flags & (LX_MSG_PEEK | LX_MSG_ERRQUEUE));
	uint8_t control[HOSTSOCK_CONTROL_MAX];
	uint8_t *buf __attribute__((cleanup(host_free_ptr))) = NULL;
	size_t control_len = sizeof control;
	bool whole = m->flags & LX_MSG_TRUNC;
	ssize_t k;

	*unwanted = false;
	/* whatever is asked for, the headers are needed, and the length */
	buf = malloc(head + HOSTSOCK_DATAGRAM_MAX);
	if (!buf)
		return -ENOBUFS;
	m->addr_len = sizeof m->addr;
	k = host_socket_recv_control(hs(s)->fd, buf + head, HOSTSOCK_DATAGRAM_MAX, &flags, m->addr,
		&m->addr_len, control, &control_len);
	if (k < 0 || m->addr_len > sizeof m->addr)
		m->addr_len = 0;
	if (k < 0)
		return k;
	hostsock_take_control(m, control, control_len);
	mutex_lock(&s->lock);
	if (k >= (ssize_t)ICMP_HEADER)
		put_id(buf + head, ic(s)->ids[get16(buf + head + 6) % SEQS]);
	*unwanted = k && (is_v6(s) || buf[head] < 32) && !(m->flags & LX_MSG_ERRQUEUE) &&
		    ic(s)->filter[buf[head] / 8] >> buf[head] % 8 & 1;
	if (head)
		put_ip_header(buf, (size_t)k, m);
	drop_control(s, m);
	mutex_unlock(&s->lock);
	if (*unwanted) {
		/* what was only looked at is to go, too */
		if (m->flags & LX_MSG_PEEK)
			(void)host_socket_recv(hs(s)->fd, buf, 1, &(int){0}, m->addr, &m->addr_len);
		m->addr_len = 0;
		return -EAGAIN;
	}
	k += (ssize_t)head;
	n = (size_t)k < m->uio->left ? (size_t)k : m->uio->left;
	if (n && uio_copy_to(m->uio, buf, n) != (ssize_t)n)
		return -EFAULT;
	m->flags =
		(m->flags & ~(uint32_t)LX_MSG_TRUNC) | ((size_t)k > n ? (uint32_t)LX_MSG_TRUNC : 0);
	return whole ? k : (ssize_t)n;
}

static ssize_t
icmp_recvmsg(struct sock *s, const struct call *c, struct sock_msg *m)
{
	bool unwanted;
	ssize_t k;

	(void)c;
	if (m->flags & LX_MSG_OOB)
		return -EOPNOTSUPP;
	/* What waits behind it is there already: nobody will tell of it. */
	do {
		k = receive(s, m, &unwanted);
	} while (unwanted);
	return k;
}

/* --- options --- */

static bool
is_filter(struct sock *s, int level, int opt, uint32_t *bytes)
{
	*bytes = is_v6(s) ? sizeof ic(s)->filter : 4;
	return level == (is_v6(s) ? LX_SOL_ICMPV6 : LX_SOL_RAW) && opt == LX_ICMP_FILTER;
}

/* The two that are always on; NULL: another. */
static bool *
own_option(struct sock *s, int level, int opt)
{
	if (is_v6(s) || level != LX_SOL_IP)
		return NULL;
	return opt == LX_IP_PKTINFO ? &ic(s)->pktinfo : opt == LX_IP_RECVTTL ? &ic(s)->ttl : NULL;
}

static int
icmp_setsockopt(
	struct sock *s, const struct call *c, int level, int opt, const uint8_t *val, uint32_t len)
{
	bool *own = own_option(s, level, opt);
	int32_t v = 0;
	uint32_t bytes;

	memcpy(&v, val, len < sizeof v ? len : sizeof v);
	if (is_filter(s, level, opt, &bytes)) {
		mutex_lock(&s->lock);
		memcpy(ic(s)->filter, val, len < bytes ? len : bytes);
		mutex_unlock(&s->lock);
		return 0;
	}
	/* where the checksum of ICMPv6 is anyway */
	if (is_v6(s) && level == LX_SOL_RAW && opt == LX_IPV6_CHECKSUM)
		return len >= sizeof v && v == 2 ? 0 : -EINVAL;
	if (!own)
		return hostsock_setsockopt(s, c, level, opt, val, len);
	if (!len)
		return -EINVAL;
	mutex_lock(&s->lock);
	*own = v != 0;
	mutex_unlock(&s->lock);
	return 0;
}

static int
icmp_getsockopt(
	struct sock *s, const struct call *c, int level, int opt, uint8_t *val, uint32_t *len)
{
	bool *own = own_option(s, level, opt);
	uint32_t bytes;
	int32_t v;

	if (is_filter(s, level, opt, &bytes)) {
		*len = *len < bytes ? *len : bytes;
		mutex_lock(&s->lock);
		memcpy(val, ic(s)->filter, *len);
		mutex_unlock(&s->lock);
		return 0;
	}
	if (!own)
		return hostsock_getsockopt(s, c, level, opt, val, len);
	mutex_lock(&s->lock);
	v = *own;
	mutex_unlock(&s->lock);
	*len = *len < sizeof v ? *len : sizeof v;
	memcpy(val, &v, *len);
	return 0;
}

static const struct sock_ops icmp_ops = {
	.on_host = true,
	.bind = icmp_bind,
	.connect = icmp_connect,
	.listen = icmp_listen,
	.getname = hostsock_getname,
	.sendmsg = icmp_sendmsg,
	.recvmsg = icmp_recvmsg,
	.shutdown = hostsock_shutdown,
	.has_option = hostsock_has_option,
	.setsockopt = icmp_setsockopt,
	.getsockopt = icmp_getsockopt,
	.poll = hostsock_poll,
	.ioctl = hostsock_ioctl,
	.close = hostsock_close,
	.free = hostsock_free,
};

int
hostsock_icmp_new(const struct call *c, int family, struct sock **ret)
{
	int protocol = family == LX_AF_INET ? LX_IPPROTO_ICMP : LX_IPPROTO_ICMPV6;
	const int32_t on = 1;
	struct icmp_sock *i;
	int fd, err = 0;

	if (!cred_capable(c->cred, LX_CAP_NET_RAW))
		return -EPERM;
	fd = net_ns_host_socket(c->net, family, LX_SOCK_DGRAM, protocol);
	if (fd < 0)
		return fd == -EACCES ? -EPERM : fd;
	if (family == LX_AF_INET) {
		err = host_socket_setopt(fd, LX_SOL_IP, LX_IP_PKTINFO, &on, sizeof on);
		if (!err)
			err = host_socket_setopt(fd, LX_SOL_IP, LX_IP_RECVTTL, &on, sizeof on);
	}
	if (err) {
		host_fd_close(fd);
		return err;
	}
	i = calloc(1, sizeof *i);
	err = hostsock_wrap(i ? &i->h : NULL, &icmp_ops, c, fd, family, LX_SOCK_RAW, protocol);
	if (!err)
		*ret = &i->h.s;
	return err;
}
