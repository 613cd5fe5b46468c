/* SPDX-License-Identifier: Apache-2.0 */
/* Merged directories. */
#include "sentry/fs/stacked.h"
#include <stdlib.h>
#include <string.h>

void
stacked_list_clear(struct stacked_list *l)
{
	l->n = l->used = 0;
	l->failed = false;
	if (l->buckets)
		memset(l->buckets, 0, l->nbuckets * sizeof *l->buckets);
}

void
stacked_list_free(struct stacked_list *l)
{
	free(l->list);
	free(l->text);
	free(l->buckets);
}

struct stacked_entry *
stacked_list_find(const struct stacked_list *l, const struct name *n)
{
	uint32_t k = l->nbuckets ? l->buckets[n->hash & (l->nbuckets - 1)] : 0;

	for (; k; k = l->list[k - 1].next) {
		struct stacked_entry *e = &l->list[k - 1];

		if (e->hash == n->hash && e->len == n->len &&
			!memcmp(l->text + e->at, n->s, n->len))
			return e;
	}
	return NULL;
}

static bool
grow(struct stacked_list *l)
{
	size_t cap = l->cap ? 2 * l->cap : 32;
	struct stacked_entry *list = cap < UINT32_MAX ? realloc(l->list, cap * sizeof *list) : NULL;
	uint32_t *buckets = list ? calloc(cap, sizeof *buckets) : NULL;

	if (list)
		l->list = list;
	if (!buckets)
		return false;
	free(l->buckets);
	l->buckets = buckets;
	l->nbuckets = (uint32_t)cap;
	l->cap = cap;
	for (uint32_t i = 0; i < l->n; i++) {
		uint32_t *b = &buckets[list[i].hash & (cap - 1)];

		list[i].next = *b;
		*b = i + 1;
	}
	return true;
}

static bool
make_room(struct stacked_list *l, size_t len)
{
	size_t room = (l->room ? 2 * l->room : 512) + len;
	char *text;

	if (l->room - l->used >= len)
		return true;
	text = room <= UINT32_MAX ? realloc(l->text, room) : NULL;
	if (!text)
		return false;
	l->text = text;
	l->room = room;
	return true;
}

struct stacked_entry *
stacked_list_add(struct stacked_list *l, const struct name *n, uint64_t ino, uint8_t type)
{
	struct stacked_entry *e;
	uint32_t *b;

	if (l->failed || n->len > LX_NAME_MAX)
		return NULL;
	if ((l->n == l->cap && !grow(l)) || !make_room(l, n->len)) {
		l->failed = true;
		return NULL;
	}
	memcpy(l->text + l->used, n->s, n->len);
	b = &l->buckets[n->hash & (l->nbuckets - 1)];
	e = &l->list[l->n++];
	*e = (struct stacked_entry){.ino = ino,
		.at = (uint32_t)l->used,
		.next = *b,
		.hash = n->hash,
		.type = type,
		.len = (uint8_t)n->len};
	*b = (uint32_t)l->n;
	l->used += n->len;
	return e;
}

int
stacked_list_emit(const struct stacked_list *l, struct file *f, struct dir_emit *e)
{
	if (!file_emit_dots(f, e))
		return 0;
	for (uint64_t i = (uint64_t)f->pos - 2; i < l->n; i++) {
		const struct stacked_entry *k = &l->list[i];

		if (!k->hidden &&
			!e->fn(e, l->text + k->at, k->len, k->ino, k->type, (int64_t)i + 3))
			break;
		f->pos = (int64_t)i + 3;
	}
	return 0;
}
