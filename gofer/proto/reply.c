/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of a server of gofer requests; see gofer/reply.h. */
#include "gofer/reply.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void *
reply_alloc(struct reply *r, size_t n, size_t size)
{
	void *p;

	if (r->nmem == sizeof r->mem / sizeof r->mem[0])
		return NULL;
	p = calloc(n ? n : 1, size);
	if (p)
		r->mem[r->nmem++] = p;
	return p;
}

void
reply_clear(struct reply *r)
{
	for (unsigned i = 0; i < r->nmem; i++)
		free(r->mem[i]);
	r->nmem = 0;
	for (unsigned i = 0; i < r->nfds; i++)
		close(r->fds[i]);
	r->nfds = 0;
}

int
reply_send(int sock, const struct wire_head *h, int err, const ProtobufCMessage *m,
	const struct reply *r)
{
	int sent;

	if (h->type == GOFER_FORGET || h->type == GOFER_FILE_CLOSE)
		return 0;
	sent = wire_send_msg(
		sock, h->type, h->id, err, err ? NULL : m, r->fds, err == 0 ? r->nfds : 0, 0);
	if (sent == -EMSGSIZE || sent == -ENOMEM)
		sent = wire_send_msg(sock, h->type, h->id, sent == -EMSGSIZE ? -EOVERFLOW : sent,
			NULL, NULL, 0, 0);
	return sent;
}
