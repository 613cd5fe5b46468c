/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes of a server of virtual files: their numbers, names and paths. */
#include "virtual.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- numbers --- */

uint64_t
ids_add(struct ids *t, void *p)
{
	uint32_t i;

	if (t->used >= t->max)
		return 0;
	if (t->first_free) {
		i = t->first_free - 1;
		t->first_free = t->slots[i].next_free;
	} else {
		i = t->used; /* without free slots, all below used are taken */
		if (i == t->cap) {
			uint32_t cap = t->cap ? t->cap * 2 : 64;
			struct id_slot *s = realloc(t->slots, cap * sizeof *s);

			if (!s)
				return 0;
			memset(s + t->cap, 0, (cap - t->cap) * sizeof *s);
			t->slots = s;
			t->cap = cap;
		}
	}
	t->used++;
	t->slots[i].p = p;
	return (uint64_t)t->slots[i].gen << 32 | (i + 1);
}

void *
ids_get(const struct ids *t, uint64_t id)
{
	uint32_t i = (uint32_t)id - 1;

	return i < t->cap && t->slots[i].gen == id >> 32 ? t->slots[i].p : NULL;
}

void
ids_remove(struct ids *t, uint64_t id)
{
	uint32_t i = (uint32_t)id - 1;

	t->slots[i].p = NULL;
	t->slots[i].gen++;
	t->slots[i].next_free = t->first_free;
	t->first_free = i + 1;
	t->used--;
}

void
ids_release(struct ids *t)
{
	free(t->slots);
	*t = (struct ids){0};
}

/* --- nodes --- */

static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 31) * 0x7fb5d329728ea185ULL;
	x = (x ^ x >> 27) * 0x81dadef4bc2dd44dULL;
	return x ^ x >> 33;
}

/* The seed is this server's own: who chooses names cannot choose their buckets. */
static uint64_t
name_hash(const struct vserver *s, uint64_t dir_ino, const char *name)
{
	uint64_t h = mix(s->seed ^ dir_ino), v;
	size_t n = strlen(name);

	for (; n; name += v & 0xff, n -= v & 0xff) {
		size_t part = n < 7 ? n : 7;

		v = 0;
		memcpy((char *)&v + 1, name, part);
		v |= part;
		h = mix(h ^ v) + s->seed;
	}
	return h;
}

static struct vnode *
find_ino(const struct vserver *s, uint64_t ino)
{
	struct vnode *n = s->inos[ino % VBUCKETS];

	while (n && n->ino != ino)
		n = n->next_ino;
	return n;
}

struct vnode *
vnode_find(struct vserver *s, const struct vnode *dir, const char *name)
{
	uint32_t hash = (uint32_t)name_hash(s, dir->ino, name);
	struct vnode *n = s->names[hash % VBUCKETS];

	while (n && (n->hash != hash || n->parent != dir || strcmp(n->name, name) != 0))
		n = n->next_name;
	return n;
}

/* The number that a new node of this name gets: that of another file is not given twice. */
static uint64_t
new_ino(const struct vserver *s, const struct vnode *dir, const char *name)
{
	uint64_t ino = name_hash(s, dir->ino, name) >> 2;

	while (ino <= VSERVER_ROOT || find_ino(s, ino))
		ino = (ino + 1) & (UINT64_MAX >> 2);
	return ino;
}

uint64_t
vnode_ino(struct vserver *s, const struct vnode *dir, const char *name)
{
	const struct vnode *n = vnode_find(s, dir, name);

	return n ? n->ino : new_ino(s, dir, name);
}

static void
enter_name(struct vserver *s, struct vnode *n)
{
	n->hash = (uint32_t)name_hash(s, n->parent->ino, n->name);
	n->next_name = s->names[n->hash % VBUCKETS];
	s->names[n->hash % VBUCKETS] = n;
	n->parent->children++;
}

static void
leave_name(struct vserver *s, struct vnode *n)
{
	struct vnode **p = &s->names[n->hash % VBUCKETS];

	while (*p != n)
		p = &(*p)->next_name;
	*p = n->next_name;
}

static struct vnode *
node_new(struct vserver *s, uint64_t ino, uint32_t type)
{
	struct vnode *n = calloc(1, sizeof *n);

	if (!n)
		return NULL;
	n->id = ids_add(&s->nodes, n);
	if (!n->id) {
		free(n);
		return NULL;
	}
	n->ino = ino;
	n->type = type;
	n->next_ino = s->inos[ino % VBUCKETS];
	s->inos[ino % VBUCKETS] = n;
	return n;
}

struct vnode *
vnode_root(struct vserver *s)
{
	if (!s->root)
		s->root = node_new(s, VSERVER_ROOT, S_IFDIR);
	return s->root;
}

struct vnode *
vnode_child(struct vserver *s, struct vnode *dir, const char *name, uint32_t type)
{
	struct vnode *n = vnode_find(s, dir, name);
	char *copy;

	if (n && n->type == type)
		return n;
	/* Another file has taken its place. */
	if (n)
		vnode_lose(s, n);
	copy = strdup(name);
	n = copy ? node_new(s, new_ino(s, dir, name), type) : NULL;
	if (!n) {
		free(copy);
		return NULL;
	}
	n->name = copy;
	n->parent = dir;
	enter_name(s, n);
	return n;
}

static void
node_free(struct vserver *s, struct vnode *n)
{
	struct vnode **p = &s->inos[n->ino % VBUCKETS];

	while (*p != n)
		p = &(*p)->next_ino;
	*p = n->next_ino;
	ids_remove(&s->nodes, n->id);
	free(n->name);
	free(n);
}

void
vnode_drop(struct vserver *s, struct vnode *n)
{
	if (n == s->root || n->doubted)
		return;
	n->doubted = true;
	n->next_doubt = s->doubts;
	s->doubts = n;
}

void
vnodes_reap(struct vserver *s)
{
	struct vnode *n;

	while ((n = s->doubts)) {
		s->doubts = n->next_doubt;
		n->doubted = false;
		if (n->told || n->children || n->files)
			continue;
		if (!n->gone)
			leave_name(s, n);
		n->parent->children--;
		vnode_drop(s, n->parent);
		node_free(s, n);
	}
}

void
vnode_lose(struct vserver *s, struct vnode *n)
{
	if (n == s->root || n->gone)
		return;
	leave_name(s, n);
	n->gone = true;
	vnode_drop(s, n);
}

int
vnode_move(struct vserver *s, struct vnode *n, struct vnode *dir, const char *name)
{
	struct vnode *old = n->parent;
	char *copy = strdup(name);

	if (!copy) {
		vnode_lose(s, n);
		return -ENOMEM;
	}
	leave_name(s, n);
	free(n->name);
	n->name = copy;
	n->parent = dir;
	enter_name(s, n);
	old->children--;
	vnode_drop(s, old);
	return 0;
}

bool
vnode_is_below(const struct vnode *n, const struct vnode *top)
{
	while (n && n != top)
		n = n->parent;
	return n != NULL;
}

int
vnode_path(const struct vnode *n, char buf[VPATH_BYTES])
{
	size_t at = VPATH_BYTES - 1;

	buf[at] = 0;
	for (; n->parent; n = n->parent) {
		size_t len = strlen(n->name);

		if (n->gone)
			return -ENOENT;
		if (len + 1 > at)
			return -ENAMETOOLONG;
		at -= len;
		memcpy(buf + at, n->name, len);
		buf[--at] = '/';
	}
	if (!buf[at])
		buf[--at] = '/';
	memmove(buf, buf + at, VPATH_BYTES - at);
	return 0;
}

int
vnode_child_path(const struct vnode *dir, const char *name, char buf[VPATH_BYTES])
{
	size_t len, add = strlen(name);
	int r = vnode_path(dir, buf);

	if (r < 0)
		return r;
	len = strlen(buf);
	if (len > 1)
		buf[len++] = '/';
	if (len + add >= VPATH_BYTES)
		return -ENAMETOOLONG;
	memcpy(buf + len, name, add + 1);
	return 0;
}

void
vnodes_release(struct vserver *s)
{
	for (size_t i = 0; i < s->nodes.cap; i++) {
		struct vnode *n = s->nodes.slots[i].p;

		if (n)
			free(n->name);
		free(n);
	}
	ids_release(&s->nodes);
	s->root = NULL;
}
