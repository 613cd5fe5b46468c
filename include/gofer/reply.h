/* SPDX-License-Identifier: Apache-2.0 */
/* What a server of gofer requests answers with: a message, memory that it points into, descriptors.
 */
#ifndef GOFER_REPLY_H
#define GOFER_REPLY_H

#include "gofer/wire.h"

#define REPLY_NODES_MAX 192 /* nodes that a reply may bring */

/* What a reply carries beside its message. */
struct reply {
	int fds[WIRE_FDS_MAX]; /* passed and then closed */
	unsigned nfds;
	int given; /* the descriptor that came with the request, or -1; not the reply's */
	void *mem[REPLY_NODES_MAX + 4 * (WIRE_LISTS_MAX + 2)];
	unsigned nmem;
};

/* Zeroed memory that is the reply's. NULL: out of memory, or of places for it. */
void *reply_alloc(struct reply *r, size_t n, size_t size);
/* Free the memory, close the descriptors. */
void reply_clear(struct reply *r);
/* err: 0 or -errno, then m and the descriptors are not sent. Requests without an answer get none. A
 * reply that is too large becomes an error. As wire_send. */
int reply_send(int sock, const struct wire_head *h, int err, const ProtobufCMessage *m,
	const struct reply *r);

#endif
