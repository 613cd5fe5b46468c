/* SPDX-License-Identifier: Apache-2.0 */
/* The file system whose files the gofer process holds. */
#ifndef SENTRY_FS_GOFER_H
#define SENTRY_FS_GOFER_H

#include <stdbool.h>
#include <stdint.h>

/* mount_request.priv of type "gofer". */
struct gofer_mount {
	uint32_t export; /* which of the gofer's directories */
	bool shared;	 /* others change it too: nothing is believed without asking again, */
	bool relaxed;	 /* but what was asked for within the last GOFER_RELAX_NS is */
};

#define GOFER_RELAX_NS 100000000

/* Once, at start: take over the connection (owned from then on) and register the type. died is
 * called, from any worker, when the gofer is gone or breaks the protocol: nothing works any longer.
 */
int gofer_init(int sock, void (*died)(const char *why));

/* A memory file of ours (borrowed) opened once more, to be read only: a new descriptor, the
 * caller's. Nothing but the gofer can open anything. Parks. -errno. */
int gofer_reopen(int fd);

/* An empty memory file in which large contents cost less than in a memfd; the caller's.
 * -EOPNOTSUPP: the gofer has none. Parks. -errno. */
int gofer_memory_file(void);

#endif
