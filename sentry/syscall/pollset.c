/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/syscall/poll.h"
#include <stdlib.h>

#define CHUNK 60

struct pollset_chunk {
	struct pollset_chunk *next;
	unsigned n;
	struct waiter waiters[CHUNK];
};

static void
add_queue(struct poll_table *pt, struct waitq *q)
{
	struct pollset *ps = container_of(pt, struct pollset, pt);
	struct waiter *w;

	if (ps->n < POLLSET_INLINE) {
		w = &ps->inlined[ps->n++];
	} else {
		if (!ps->more || ps->more->n == CHUNK) {
			struct pollset_chunk *c = malloc(sizeof *c);

			if (!c) {
				ps->failed = true;
				return;
			}
			c->next = ps->more;
			c->n = 0;
			ps->more = c;
		}
		w = &ps->more->waiters[ps->more->n++];
	}
	waiter_init_fiber(w, ps->fiber, ~0u);
	waitq_add(q, w);
}

void
pollset_init(struct pollset *ps, struct fiber *f)
{
	ps->pt.add = add_queue;
	ps->fiber = f;
	ps->n = 0;
	ps->more = NULL;
	ps->failed = false;
}

void
pollset_clear(struct pollset *ps)
{
	struct pollset_chunk *c;

	for (unsigned i = 0; i < ps->n; i++)
		waitq_remove(&ps->inlined[i]);
	ps->n = 0;
	while ((c = ps->more)) {
		for (unsigned i = 0; i < c->n; i++)
			waitq_remove(&c->waiters[i]);
		ps->more = c->next;
		free(c);
	}
}
