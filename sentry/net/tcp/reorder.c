/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that came before those in front of them, copied. All are within the window that was
 * announced and none is there twice, so that they are no more than that; and of pieces there are
 * EARLY_MAX, those that are next.
 */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

static void
drop(struct tcp_conn *c, struct early **at)
{
	struct early *e = *at;

	*at = e->next;
	c->nearly--;
	free(e);
}

void
tcp_early_clear(struct tcp_conn *c)
{
	while (c->early)
		drop(c, &c->early);
}

/* Room for one more, in front of others. False: it would be the last. */
static bool
make_room(struct tcp_conn *c, struct early **at)
{
	struct early **last = at;

	if (c->nearly < EARLY_MAX)
		return true;
	if (!*at)
		return false;
	while ((*last)->next)
		last = &(*last)->next;
	drop(c, last);
	return true;
}

void
tcp_early_put(struct tcp_conn *c, uint32_t seq, const uint8_t *p, uint32_t n)
{
	struct early **at = &c->early, *e;

	for (; *at && seq_le((*at)->seq, seq); at = &(*at)->next) {
		uint32_t end = (*at)->seq + (*at)->len;

		if (seq_lt(seq, end)) {
			uint32_t cut = end - seq;

			if (cut >= n)
				return;
			seq += cut;
			p += cut;
			n -= cut;
		}
	}
	while (*at && seq_le((*at)->seq + (*at)->len, seq + n))
		drop(c, at);
	if (*at && seq_lt((*at)->seq, seq + n))
		n = (*at)->seq - seq;
	if (!n || !make_room(c, at))
		return;
	e = malloc(sizeof *e + n);
	if (!e)
		return;
	e->seq = seq;
	e->len = n;
	memcpy(e->data, p, n);
	e->next = *at;
	*at = e;
	c->nearly++;
}

void
tcp_early_take(struct tcp_conn *c)
{
	while (c->early && seq_le(c->early->seq, c->rcv_nxt)) {
		struct early *e = c->early;
		uint32_t skip = c->rcv_nxt - e->seq;
		bool taken = true;

		if (skip < e->len) {
			taken = c->ops->deliver(c->user, e->data + skip, e->len - skip);
			if (taken)
				c->rcv_nxt += e->len - skip;
		}
		drop(c, &c->early);
		if (!taken)
			return;
	}
}
