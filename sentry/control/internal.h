/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of clients, and what they can ask for. */
#ifndef SENTRY_CONTROL_INTERNAL_H
#define SENTRY_CONTROL_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "base/ref.h"
#include "gofer/wire.h"
#include "sentry/sched/sched.h"

struct tty;

/* A client. One fiber reads it; answers go out from anywhere, without waiting: who does not read
 * loses the connection. */
struct conn {
	struct ref ref;
	int sock;
	struct waitq q;
	struct hostfd_watch watch;
	struct mutex lock; /* rank LEAF: all below but the message */
	bool closed;	   /* nothing is sent any more */
	bool quiet;	   /* the launcher's: no answers to signals */
	bool holds;	   /* when it ends, so does the sandbox */
	bool waits;	   /* wants to hear of the first process's end */
	int32_t pid;	   /* that it started, while that lives; else 0 */
	bool used;	   /* has started one */
	struct tty *tty;   /* of that process; a reference */
	struct list node;  /* of all, under conns_lock */
	/* the message that is being put together; of the fiber */
	struct wire_control msg;
	struct wire_packet packet;
};

extern struct mutex conns_lock; /* rank EVENT */
extern struct list conns;

/* Take over a socket and begin to serve it. -errno (the socket is closed). */
int conn_new(int sock, bool quiet, bool holds, struct conn **ret);
struct conn *conn_get(struct conn *c);
void conn_put(struct conn *c);

void conn_send(struct conn *c, uint16_t type, const ProtobufCMessage *m);
void conn_fail(struct conn *c, int err, const char *text, bool exec);
void conn_exit(struct conn *c, int32_t pid, int status);

/* control.c: a whole message has come. Descriptors that are taken are set to -1. */
void control_request(struct conn *c, struct wire_control *m);
/* inspect.c */
void control_inspect(struct conn *c, struct wire_control *m);
/* The client is gone. */
void control_client_gone(struct conn *c);

#endif
