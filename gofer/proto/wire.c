/* SPDX-License-Identifier: Apache-2.0 */
/* Packets on a SOCK_SEQPACKET socket; see gofer/wire.h. No state, no locks: one call is one packet.
 */
#include "gofer/wire.h"
#include "platform/host/err.h"
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define SOCKET_ROOM (1 << 20)

int
wire_pair(int sv[2])
{
	int room = SOCKET_ROOM;
	int r = HOST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv));

	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++)
		if (setsockopt(sv[i], SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) < 0)
			(void)setsockopt(sv[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
	return 0;
}

int
wire_send(int sock, const struct wire_head *h, const void *body, size_t len, const int *fds,
	uint32_t nfds, int flags)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
	} ctl;
	struct wire_head head = *h;
	struct iovec iov[2] = {{&head, sizeof head}, {(void *)(uintptr_t)body, len}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
	ssize_t n;

	if (len > WIRE_BODY_MAX)
		return -EMSGSIZE;
	if (nfds > WIRE_FDS_MAX)
		return -E2BIG;
	head.len = (uint32_t)len;
	head.zero = 0;
	if (nfds) {
		memset(&ctl, 0, sizeof ctl);
		m.msg_control = ctl.buf;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		ctl.h.cmsg_level = SOL_SOCKET;
		ctl.h.cmsg_type = SCM_RIGHTS;
		ctl.h.cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(&ctl.h), fds, nfds * sizeof(int));
	}
	n = HOST_RETRY(sendmsg(sock, &m, flags | MSG_NOSIGNAL));
	return n < 0 ? (int)n : 0;
}

int
wire_send_msg(int sock, uint16_t type, uint64_t id, int32_t error, const ProtobufCMessage *msg,
	const int *fds, uint32_t nfds, int flags)
{
	struct wire_head h = {.id = id, .error = error, .type = type};
	size_t len = msg ? protobuf_c_message_get_packed_size(msg) : 0;
	uint8_t small[512], *buf = small;
	int r;

	if (len > WIRE_BODY_MAX)
		return -EMSGSIZE;
	if (len > sizeof small && !(buf = malloc(len)))
		return -ENOMEM;
	if (len)
		protobuf_c_message_pack(msg, buf);
	r = wire_send(sock, &h, buf, len, fds, nfds, flags);
	if (buf != small)
		free(buf);
	return r;
}

void
wire_close_fds(struct wire_packet *p, uint32_t from)
{
	for (uint32_t i = from; i < p->nfds; i++)
		close(p->fds[i]);
	if (from < p->nfds)
		p->nfds = from;
}

/* Take the descriptors out of a received control buffer; more than fit are closed and counted as an
 * error. */
static bool
take_fds(struct wire_packet *p, struct msghdr *m)
{
	bool ok = true;

	p->nfds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			ok = false;
			continue;
		}
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
			if (p->nfds < WIRE_FDS_MAX) {
				p->fds[p->nfds++] = fd;
			} else {
				close(fd);
				ok = false;
			}
		}
	}
	return ok;
}

int
wire_recv(int sock, struct wire_packet *p, int flags)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
	} ctl;
	struct iovec iov[2] = {{&p->head, sizeof p->head}, {p->body, sizeof p->body}};
	struct msghdr m = {.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = ctl.buf,
		.msg_controllen = flags & WIRE_NO_FDS ? 0 : sizeof ctl.buf};
	ssize_t n = HOST_RETRY(recvmsg(sock, &m, (flags & ~WIRE_NO_FDS) | MSG_CMSG_CLOEXEC));
	bool ok;

	p->nfds = 0;
	if (n == -ECONNRESET)
		return 0;
	if (n < 0)
		return (int)n;
	ok = take_fds(p, &m);
	/* The end; or a packet without a byte, which may bring descriptors all the same. */
	if (n == 0) {
		wire_close_fds(p, 0);
		return 0;
	}
	/* The control buffer has room for all that a packet may have; RLIMIT_NOFILE may have not.
	 */
	p->fds_lost = m.msg_flags & MSG_CTRUNC;
	if (p->fds_lost)
		wire_close_fds(p, 0);
	if (!ok || (m.msg_flags & MSG_TRUNC) || (size_t)n < sizeof p->head ||
		p->head.len != (size_t)n - sizeof p->head || p->head.more > 1) {
		wire_close_fds(p, 0);
		return -EPROTO;
	}
	return 1;
}

int
wire_control_send(
	int sock, uint16_t type, const ProtobufCMessage *msg, const int *fds, uint32_t nfds)
{
	size_t len = msg ? protobuf_c_message_get_packed_size(msg) : 0, off = 0;
	uint8_t *buf = NULL;
	int r;

	if (len > WIRE_CONTROL_MAX)
		return -E2BIG;
	if (len && !(buf = malloc(len)))
		return -ENOMEM;
	if (len)
		protobuf_c_message_pack(msg, buf);
	do {
		size_t part = len - off < WIRE_BODY_MAX ? len - off : WIRE_BODY_MAX;
		struct wire_head h = {.type = type, .more = off + part < len};

		r = wire_send(sock, &h, buf ? buf + off : NULL, part, off ? NULL : fds,
			off ? 0 : nfds, 0);
		off += part;
	} while (r == 0 && off < len);
	free(buf);
	return r;
}

int
wire_control_recv(int sock, struct wire_control *c)
{
	struct wire_packet *p = malloc(sizeof *p);
	int r;

	memset(c, 0, sizeof *c);
	if (!p)
		return -ENOMEM;
	for (;;) {
		uint8_t *grown;

		r = wire_recv(sock, p, 0);
		if (r <= 0)
			break;
		if (p->fds_lost) {
			r = -EMFILE;
			break;
		}
		/* No message has type 0, which is that of none here. */
		if ((c->type && (p->head.type != c->type || p->nfds)) || !p->head.type ||
			p->head.len > WIRE_CONTROL_MAX - c->len) {
			wire_close_fds(p, 0);
			r = c->type || !p->head.type ? -EPROTO : -E2BIG;
			break;
		}
		if (!c->type) {
			c->type = p->head.type;
			c->nfds = p->nfds;
			memcpy(c->fds, p->fds, p->nfds * sizeof(int));
		}
		if (p->head.len) {
			grown = realloc(c->body, c->len + p->head.len);
			if (!grown) {
				r = -ENOMEM;
				break;
			}
			c->body = grown;
			memcpy(c->body + c->len, p->body, p->head.len);
			c->len += p->head.len;
		}
		if (!p->head.more)
			break;
	}
	free(p);
	if (r <= 0)
		wire_control_free(c);
	return r;
}

void
wire_control_free(struct wire_control *c)
{
	for (uint32_t i = 0; i < c->nfds; i++)
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	free(c->body);
	memset(c, 0, sizeof *c);
}

void *
wire_unpack(const ProtobufCMessageDescriptor *d, const void *body, size_t len)
{
	return protobuf_c_message_unpack(d, NULL, len, body);
}

bool
wire_name_ok(const ProtobufCBinaryData *b)
{
	if (b->len == 0 || b->len > 255 || memchr(b->data, '/', b->len) ||
		memchr(b->data, 0, b->len))
		return false;
	return !(b->data[0] == '.' && (b->len == 1 || (b->len == 2 && b->data[1] == '.')));
}

int
wire_name_get(const ProtobufCBinaryData *b, struct wire_name *ret)
{
	if (!wire_name_ok(b))
		return -EINVAL;
	memcpy(ret->s, b->data, b->len);
	ret->s[b->len] = 0;
	return 0;
}
