/* SPDX-License-Identifier: Apache-2.0 */
/* The file system whose files the gofer process holds. */
#ifndef SENTRY_FS_GOFER_H
#define SENTRY_FS_GOFER_H

#include <stdbool.h>
#include <stdint.h>

struct gofer_conn;

/* mount_request.priv of type "gofer". */
struct gofer_mount {
	struct gofer_conn *conn;
	uint32_t export;  /* which of the gofer's directories */
	bool shared;	  /* others change it too: nothing is believed without asking again, */
	bool relaxed;	  /* but what was asked for within the last relax_ns is */
	int64_t relax_ns; /* 0: GOFER_RELAX_NS */
	bool virtual;	  /* conn is of gofer_conn_new_virtual */
};

#define GOFER_RELAX_NS 100000000

/* Once, at start: register the type. memory_limit: the bytes that who asks was told of, 0: none. */
void gofer_init(uint64_t (*memory_limit)(void));

/* Take over the connection to a gofer (sock, also on failure). died is called once, from any
 * worker, when that is gone or breaks the protocol: its files answer EIO from then on. */
int gofer_conn_new(
	int sock, void (*died)(void *arg, const char *why), void *arg, struct gofer_conn **ret);
/* The same to somebody who makes up files, and may take any time for an answer. */
int gofer_conn_new_virtual(
	int sock, void (*died)(void *arg, const char *why), void *arg, struct gofer_conn **ret);
/* End it, and with it the gofer; died is not called after that. Mounts of it may be left. */
void gofer_conn_close(struct gofer_conn *conn);
struct gofer_conn *gofer_conn_get(struct gofer_conn *conn);
void gofer_conn_put(struct gofer_conn *conn);

/* A memory file of ours (borrowed) opened once more, to be read only: a new descriptor, the
 * caller's. Nothing but the gofer can open anything. Parks. -errno. */
int gofer_reopen(int fd);

/* An empty memory file in which large contents cost less than in a memfd; the caller's.
 * -EOPNOTSUPP: the gofer has none. Parks. -errno. */
int gofer_memory_file(void);

/* How long what a call asked for is good for the rest of that call, in a mount that others change;
 * ns. For tests. */
extern int64_t gofer_same_call_ns;

#endif
