/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop: a packet in, a handler by messages.def, a packet out. Several threads run it on one
 * socket, each with a packet buffer of its own; a request that sits on a slow disk holds up one of
 * them. A peer that breaks the form of the protocol is not spoken to any longer: the process ends,
 * and the sandbox with it.
 */
#include "base/log.h"
#include "internal.h"
#include "platform/host/err.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* One with a request to reopen it, unless it was lost for want of a free number here; else none. */
static bool
fds_ok(const struct wire_packet *p)
{
	return p->nfds + p->fds_lost == (p->head.type == GOFER_REOPEN);
}

/* 0, or -EPROTO: the body is no message of its type. Other errors go into the reply. */
static int
dispatch(int sock, const struct wire_packet *p)
{
	struct reply r = {.given = p->nfds ? p->fds[0] : -1};
	int sent = -EPROTO;

	switch (p->head.type) {
#define GOFER(NAME, name, Req, req, Rep, rep)                                                      \
	case GOFER_##NAME: {                                                                       \
		Gofer__##Req *q = wire_unpack(&gofer__##req##__descriptor, p->body, p->head.len);  \
		Gofer__##Rep a;                                                                    \
		if (!q)                                                                            \
			return -EPROTO;                                                            \
		gofer__##rep##__init(&a);                                                          \
		int err = op_##name(q, &a, &r);                                                    \
		sent = reply_send(sock, &p->head, err, &a.base, &r);                               \
		gofer__##req##__free_unpacked(q, NULL);                                            \
		break;                                                                             \
	}
#include "gofer/proto/messages.def"
#undef GOFER
	default:
		break;
	}
	reply_clear(&r);
	return sent;
}

void
serve(int sock)
{
	struct wire_packet *p = malloc(sizeof *p);
	int r;

	if (!p)
		_exit(1);
	for (;;) {
		r = wire_recv(sock, p, 0);
		if (r == 0)
			_exit(0); /* the sandbox is gone */
		if (r > 0)
			r = fds_ok(p) ? dispatch(sock, p) : -EPROTO;
		wire_close_fds(p, 0);
		if (r == -EPIPE)
			_exit(0);
		if (r < 0) {
			log_error("the connection broke: %s",
				r == -EPROTO ? "malformed request" : "error on the socket");
			_exit(1);
		}
	}
}
