/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing a virtual directory. The host program names all entries at once; who reads them asks for
 * a part at a time. The list is kept between the parts, for a few that are being read; one that had
 * to go is made again, and gone on with at the same place. A position is the number of the list and
 * the index in it.
 */
#include "virtual.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PART_BYTES   56000 /* of one reply */
#define ENTRY_BYTES  48	   /* at most, beside the name */
#define ENTRIES_MAX  (1u << 24)
#define PART_ENTRIES 1024

int
moat_dir_add(struct moat_dir *d, const char *name, uint32_t mode)
{
	ProtobufCBinaryData b = wire_bytes(name, name ? strnlen(name, 256) : 0);

	if (!wire_name_ok(&b))
		return -EINVAL;
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 16;
		struct vdirent *e = cap > ENTRIES_MAX ? NULL : realloc(d->entries, cap * sizeof *e);

		if (!e)
			return -ENOMEM;
		d->entries = e;
		d->cap = cap;
	}
	d->entries[d->n].type = mode & S_IFMT;
	d->entries[d->n].name = strdup(name);
	if (!d->entries[d->n].name)
		return -ENOMEM;
	d->n++;
	return 0;
}

static void
list_clear(struct vlist *l)
{
	for (size_t i = 0; i < l->dir.n; i++)
		free(l->dir.entries[i].name);
	free(l->dir.entries);
	*l = (struct vlist){0};
}

void
vlists_release(struct vserver *s)
{
	for (int i = 0; i < VLISTS_MAX; i++)
		list_clear(&s->lists[i]);
}

static struct vlist *
find(struct vserver *s, const struct vnode *dir, uint32_t gen)
{
	for (int i = 0; gen && i < VLISTS_MAX; i++)
		if (s->lists[i].gen == gen && s->lists[i].node == dir->id)
			return &s->lists[i];
	return NULL;
}

/* In the place of the one that was of no use for longest. */
static int
make(struct vserver *s, struct vnode *dir, struct vlist **ret)
{
	struct vlist *l = &s->lists[0];
	char path[VPATH_BYTES];
	int r = vnode_path(dir, path);

	if (r < 0)
		return r;
	for (int i = 1; i < VLISTS_MAX; i++)
		if (s->lists[i].used < l->used)
			l = &s->lists[i];
	list_clear(l);
	r = s->files.ops->readdir ? v_errno(s->files.ops->readdir(s->files.user, path, &l->dir))
				  : 0;
	if (r < 0) {
		list_clear(l);
		return r;
	}
	if (++s->last_gen > INT32_MAX)
		s->last_gen = 1;
	l->gen = s->last_gen;
	l->node = dir->id;
	*ret = l;
	return 0;
}

static uint32_t
dirent_type(uint32_t type)
{
	return type == S_IFDIR ? DT_DIR : type == S_IFREG ? DT_REG : type == S_IFLNK ? DT_LNK : 0;
}

int
vlist_read(
	struct vserver *s, struct vnode *dir, int64_t cookie, Gofer__ReaddirRep *a, struct reply *r)
{
	struct vlist *l = cookie > 0 ? find(s, dir, (uint32_t)(cookie >> 32)) : NULL;
	size_t i = cookie > 0 ? (uint32_t)cookie : 0, bytes = 0;
	Gofer__Entry *e;
	int err = l ? 0 : make(s, dir, &l);

	if (err < 0)
		return err;
	l->used = ++s->clock;
	a->entries = reply_alloc(r, PART_ENTRIES, sizeof *a->entries);
	e = reply_alloc(r, PART_ENTRIES, sizeof *e);
	if (!a->entries || !e)
		return -ENOMEM;
	for (; i < l->dir.n && a->n_entries < PART_ENTRIES; i++, e++) {
		const struct vdirent *d = &l->dir.entries[i];

		bytes += strlen(d->name) + ENTRY_BYTES;
		if (bytes > PART_BYTES)
			break;
		gofer__entry__init(e);
		e->name = wire_bytes(d->name, strlen(d->name));
		e->ino = vnode_ino(s, dir, d->name);
		e->type = dirent_type(d->type);
		e->cookie = (int64_t)((uint64_t)l->gen << 32 | (i + 1));
		a->entries[a->n_entries++] = e;
	}
	a->end = i >= l->dir.n;
	return 0;
}
