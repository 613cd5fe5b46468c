/* SPDX-License-Identifier: Apache-2.0 */
/* Containers and connections of clients, and what those can ask for. */
#ifndef SENTRY_CONTROL_INTERNAL_H
#define SENTRY_CONTROL_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "base/ref.h"
#include "control.pb-c.h"
#include "gofer/wire.h"
#include "sentry/control/control.h"
#include "sentry/sched/sched.h"

struct conn;
struct fiber;
struct file;
struct fs_ctx;
struct gofer_conn;
struct kernel_container;
struct kernel_usage;
struct tty;

/* A descriptor that a fiber of a container reads. */
struct endpoint {
	int fd; /* -1: none */
	struct waitq q;
	struct hostfd_watch watch;
};

/*
 * A container: its first process, loaded, held until GO, running, ended; and what of the host
 * belongs to it. The sandbox ends with the last one.
 */
struct container {
	struct ref ref;			 /* connections, fibers, the process, the list */
	struct list node;		 /* of those that have not ended, under conns_lock */
	uint32_t nr;			 /* (C) from 1 */
	struct kernel_container *kernel; /* (C) a reference */
	struct container_conns conns;	 /* (C) references */
	struct conn *launcher;		 /* (conns_lock) a reference; NULL when it has ended */
	struct endpoint listen, anchor;
	bool hold;		       /* (C) the first process waits for GO */
	int32_t first_pid, inside_pid; /* (C) its number outside and inside */
	struct fs_ctx *world;	       /* (C) a reference; where further processes start */
	struct tty *console;	       /* (C) a reference, or NULL */
	struct file *notify;	       /* (conns_lock) a reference, or NULL: see notify.c */
	_Atomic(struct fiber *) held;  /* waits for GO */
	_Atomic bool loaded, started, ended;
};

struct container *container_get(struct container *c);
void container_put(struct container *c);
uint32_t container_count(void);
/* Nobody is left who answers for it: it ends; and if it is the only one, so does this process, with
 * that status. */
void container_abandon(struct container *c, int status);

/* A client. One fiber reads it; answers go out from anywhere, without waiting: who does not read
 * loses the connection. */
struct conn {
	struct ref ref;
	int sock;
	struct waitq q;
	struct hostfd_watch watch;
	struct container
		*container; /* of its fiber: a reference, or NULL: the first is yet to come */
	struct mutex lock;  /* rank LEAF: all below but the message */
	bool closed;	    /* nothing is sent any more */
	bool quiet;	    /* a launcher's: no answers to signals */
	bool holds;	    /* when it ends, so does the container */
	bool waits;	    /* wants to hear of the first process's end */
	int32_t pid;	    /* that it started, while that lives; else 0 */
	bool used;	    /* has started one */
	struct tty *tty;    /* of that process; a reference */
	struct list node;   /* of all, under conns_lock */
	/* the message that is being put together; of the fiber */
	struct wire_control msg;
	struct wire_packet packet;
};

extern struct mutex conns_lock; /* rank EVENT */
extern struct list conns, containers;

/* Take over a socket and begin to serve it. -errno (the socket is closed). */
int conn_new(int sock, struct container *of, bool launcher, struct conn **ret);
struct conn *conn_get(struct conn *c);
void conn_put(struct conn *c);
/* From its own fiber: it is the launcher's of that container from now on. */
void conn_make_launcher(struct conn *c, struct container *of);

void conn_send(struct conn *c, uint16_t type, const ProtobufCMessage *m);
void conn_fail(struct conn *c, int err, const char *text, bool exec);
void conn_exit(struct conn *c, int32_t pid, int status, const struct kernel_usage *u);
void conn_answer(struct conn *c, int r); /* DONE, or FAILED */
void conn_started(struct conn *c, int32_t pid, struct container *first_of);

/* control.c: a whole message has come. Descriptors that are taken are set to -1. */
void control_request(struct conn *c, struct wire_control *m);
/* signal.c: a signal for a process of c, by its number outside. */
int container_signal(struct container *c, int32_t pid, int signo);
/* The same, whose sender was told by terminal t (or NULL): for who stands in front of that. */
int container_signal_terminal(struct container *c, struct tty *t, int32_t pid, int signo);
void control_signal(struct conn *c, struct wire_control *w);
/* exec.c */
void control_exec(struct conn *c, struct wire_control *w);
/* inspect.c */
void control_inspect(struct conn *c, struct wire_control *m);
void control_processes(struct conn *c);
/* notify.c: make the socket, if the container is to have one; let its messages go to fd (consumed
 * in any case); the container ends. */
int notify_open(struct container *c, const struct call *outside);
int notify_go(struct container *c, int fd);
void notify_end(struct container *c);
/* container.c */
void control_join(struct conn *c, struct wire_control *m);
/* Let the first process run. */
void container_go(struct container *c);
/* The client is gone. */
void control_client_gone(struct conn *c);

#endif
