/* SPDX-License-Identifier: Apache-2.0 */
/* The server that tests/guest/fuse.c has: a tree in memory, answered by hand. Its names that begin
 * with "lie-" and "hang-" are answered wrongly, or not. */
#ifndef TESTS_GUEST_FUSE_SERVER_H
#define TESTS_GUEST_FUSE_SERVER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NODES 64

struct fnode {
	int used;
	uint64_t parent, lookups;
	char name[256], link[256];
	struct fuse_attr a;
	char *data;
	char xname[64], xvalue[64];
	int xlen;
};

/* What both sides see. */
static struct shared {
	_Atomic long asked;
	_Atomic int write_error, lie_error, hanging;
} * shared;

static struct fnode nodes[NODES];
static int fuse_fd;
static uint64_t intr_unique, late_unique;
static int late_forgotten;
static unsigned server_lies; /* seed of random answers, or 0 */

static void
shared_init(void)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static inline long
asked(void)
{
	return shared->asked;
}

static inline int
hanging(void)
{
	return shared->hanging;
}

/* Make the server do something: by the name of an attribute of the root. Its errno, negative. */
static inline int
order(const char *what)
{
	char name[64], v[16] = "";

	snprintf(name, sizeof name, "user.order.%s", what);
	if (getxattr("mnt", name, v, sizeof v - 1) < 0)
		return -1;
	return atoi(v);
}

/* What the device said of the last lie. */
static inline int
lie_error(void)
{
	order("nothing"); /* so that it is done with it */
	return shared->lie_error;
}

static void
answer(const struct fuse_in_header *h, int error, const void *p, size_t len)
{
	static char buf[sizeof(struct fuse_out_header) + 300000];
	struct fuse_out_header *o = (void *)buf;

	o->len = (uint32_t)(sizeof *o + len);
	o->error = error;
	o->unique = h->unique;
	if (len)
		memcpy(o + 1, p, len);
	shared->write_error = write(fuse_fd, buf, o->len) < 0 ? errno : 0;
}

static uint64_t
find(uint64_t dir, const char *name)
{
	for (uint64_t i = 2; i < NODES; i++)
		if (nodes[i].used && nodes[i].parent == dir && !strcmp(nodes[i].name, name))
			return i;
	return 0;
}

static uint64_t
add(uint64_t dir, const char *name, uint32_t mode, const struct fuse_in_header *h)
{
	for (uint64_t i = 2; i < NODES; i++) {
		struct fnode *n = &nodes[i];

		if (n->used || n->lookups)
			continue;
		free(n->data);
		memset(n, 0, sizeof *n);
		n->used = 1;
		n->parent = dir;
		strncpy(n->name, name, sizeof n->name - 1);
		n->a = (struct fuse_attr){.ino = 1000 + i,
			.mode = mode,
			.nlink = 1,
			.uid = h->uid,
			.gid = h->gid,
			.mtime = 5,
			.blksize = 4096};
		if (S_ISDIR(mode))
			n->a.nlink = 2;
		return i;
	}
	return 0;
}

static void
fill_entry(struct fuse_entry_out *e, uint64_t id)
{
	memset(e, 0, sizeof *e);
	e->nodeid = id;
	e->generation = 1;
	e->attr = nodes[id].a;
	if (!strncmp(nodes[id].name, "keep", 4))
		e->entry_valid = e->attr_valid = 1000;
	nodes[id].lookups++;
}

/* Hard links: a name of its own, pointing to the first. */
static uint64_t
real_id(uint64_t id)
{
	return nodes[id].a.ino - 1000;
}

/* An answer that the device has to refuse, and then one that it takes. */
static void
refused(const struct fuse_in_header *h, int error, const void *p, size_t len)
{
	answer(h, error, p, len);
	shared->lie_error = shared->write_error;
	answer(h, -ENODATA, NULL, 0);
}

static void
lie(const struct fuse_in_header *h, const char *what)
{
	struct {
		struct fuse_entry_out e;
		char more[64];
	} m = {.e = {.nodeid = 50,
		       .attr_valid = 1000,
		       .attr = {.ino = 50, .mode = S_IFREG | 0644, .nlink = 1}}};
	struct fuse_out_header o = {.len = 500, .unique = h->unique};
	size_t len = sizeof m.e;

	if (!strcmp(what, "error")) {
		refused(h, -1000, NULL, 0);
		return;
	} else if (!strcmp(what, "errdata")) {
		refused(h, -ENOENT, &m, 8);
		return;
	} else if (!strcmp(what, "positive")) {
		refused(h, 5, NULL, 0);
		return;
	} else if (!strcmp(what, "len")) {
		shared->lie_error = write(fuse_fd, &o, sizeof o) < 0 ? errno : 0;
		answer(h, -ENODATA, NULL, 0);
		return;
	} else if (!strcmp(what, "root")) {
		m.e.nodeid = 1;
		m.e.attr.mode = S_IFDIR | 0755;
	} else if (!strcmp(what, "type")) {
		m.e.attr.mode = 0644;
	} else if (!strcmp(what, "size")) {
		m.e.attr.size = 1ULL << 63;
	} else if (!strcmp(what, "nsec")) {
		m.e.attr.mtimensec = 2000000000;
	} else if (!strcmp(what, "short")) {
		len -= 8;
	} else if (!strcmp(what, "long")) {
		len += 8;
	} else {
		answer(h, -ENOENT, NULL, 0);
		return;
	}
	answer(h, 0, &m.e, len);
	shared->lie_error = shared->write_error;
}

static void
do_lookup(const struct fuse_in_header *h, const char *name)
{
	struct fuse_entry_out e = {0};
	uint64_t id = find(h->nodeid, name);

	if (!id && !strncmp(name, "lie-", 4)) {
		lie(h, name + 4);
	} else if (!strcmp(name, "hang-intr")) {
		intr_unique = h->unique;
		shared->hanging++;
	} else if (!strcmp(name, "hang-on")) {
		late_unique = h->unique;
		shared->hanging++;
	} else if (!id && !strcmp(name, "keep-none")) {
		e.entry_valid = 1000;
		answer(h, 0, &e, sizeof e);
	} else if (!id) {
		answer(h, -ENOENT, NULL, 0);
	} else {
		fill_entry(&e, real_id(id));
		answer(h, 0, &e, sizeof e);
	}
}

static void
made(const struct fuse_in_header *h, uint64_t id)
{
	struct fuse_entry_out e;

	if (!id) {
		answer(h, -ENOSPC, NULL, 0);
		return;
	}
	fill_entry(&e, id);
	answer(h, 0, &e, sizeof e);
}

static void
do_create(const struct fuse_in_header *h, const struct fuse_create_in *in)
{
	struct {
		struct fuse_entry_out e;
		struct fuse_open_out o;
	} m = {0};
	const char *name = (const char *)(in + 1);
	uint64_t id = add(h->nodeid, name, in->mode, h);

	fill_entry(&m.e, id);
	m.o.fh = id;
	m.o.open_flags = strcmp(name, "direct") ? 0 : FOPEN_DIRECT_IO;
	answer(h, 0, &m, sizeof m);
}

static void
do_attr(const struct fuse_in_header *h)
{
	struct fuse_attr_out o = {.attr = nodes[h->nodeid].a};

	if (!strncmp(nodes[h->nodeid].name, "keep", 4))
		o.attr_valid = 1000;
	answer(h, 0, &o, sizeof o);
}

static void
resize(struct fnode *n, uint64_t size)
{
	if (size > n->a.size) {
		n->data = realloc(n->data, size);
		memset(n->data + n->a.size, 0, size - n->a.size);
	}
	n->a.size = size;
	n->a.blocks = (size + 511) / 512;
}

static void
do_setattr(const struct fuse_in_header *h, const struct fuse_setattr_in *in)
{
	struct fnode *n = &nodes[h->nodeid];

	if (in->valid & FATTR_MODE)
		n->a.mode = (n->a.mode & S_IFMT) | (in->mode & 07777);
	if (in->valid & FATTR_UID)
		n->a.uid = in->uid;
	if (in->valid & FATTR_GID)
		n->a.gid = in->gid;
	if (in->valid & FATTR_SIZE)
		resize(n, in->size);
	if (in->valid & FATTR_MTIME)
		n->a.mtime = in->mtime;
	do_attr(h);
}

static void
do_remove(const struct fuse_in_header *h, const char *name, int dir)
{
	uint64_t id = find(h->nodeid, name), real;

	if (!id) {
		answer(h, -ENOENT, NULL, 0);
		return;
	}
	for (uint64_t i = 2; dir && i < NODES; i++)
		if (nodes[i].used && nodes[i].parent == id) {
			answer(h, -ENOTEMPTY, NULL, 0);
			return;
		}
	real = real_id(id);
	nodes[id].used = 0;
	nodes[real].a.nlink--;
	answer(h, 0, NULL, 0);
}

static void
do_rename(const struct fuse_in_header *h, uint64_t to_dir, const char *from, unsigned flags)
{
	const char *to = from + strlen(from) + 1;
	uint64_t id = find(h->nodeid, from), target = find(to_dir, to);

	if (!id || ((flags & 2) && !target)) {
		answer(h, -ENOENT, NULL, 0);
		return;
	}
	if (target && (flags & 1)) {
		answer(h, -EEXIST, NULL, 0);
		return;
	}
	if (target && (flags & 2)) {
		nodes[target].parent = h->nodeid;
		strcpy(nodes[target].name, from);
	} else if (target) {
		nodes[target].used = 0;
		nodes[real_id(target)].a.nlink--;
	}
	nodes[id].parent = to_dir;
	strcpy(nodes[id].name, to);
	answer(h, 0, NULL, 0);
}

static size_t
put_dirent(char *buf, size_t at, const char *name, size_t len, uint32_t mode, uint64_t off)
{
	struct fuse_dirent *d = (void *)(buf + at);

	*d = (struct fuse_dirent){
		.ino = 1, .off = off, .namelen = (uint32_t)len, .type = mode >> 12};
	memcpy(d->name, name, len);
	return at + ((sizeof *d + len + 7) & ~(size_t)7);
}

static void
do_readdir(const struct fuse_in_header *h, const struct fuse_read_in *in)
{
	static char buf[65536];
	const char *name = nodes[h->nodeid].name;
	size_t n = 0;

	memset(buf, 0, sizeof buf);
	if (in->offset > 0) {
		answer(h, 0, NULL, 0);
		return;
	}
	n = put_dirent(buf, n, ".", 1, S_IFDIR, 1);
	if (!strcmp(name, "lie-slash"))
		n = put_dirent(buf, n, "a/b", 3, S_IFREG, 2);
	if (!strcmp(name, "lie-empty"))
		n = put_dirent(buf, n, "", 0, S_IFREG, 2);
	n = put_dirent(buf, n, "..", 2, S_IFDIR, 2);
	for (uint64_t i = 2; i < NODES; i++)
		if (nodes[i].used && nodes[i].parent == h->nodeid)
			n = put_dirent(buf, n, nodes[i].name, strlen(nodes[i].name),
				nodes[real_id(i)].a.mode, i + 1);
	if (!strcmp(name, "lie-cut"))
		n = put_dirent(buf, n, "cutoff-name", 11, S_IFREG, 99) - 8;
	answer(h, 0, buf, n);
}

static void
do_read(const struct fuse_in_header *h, const struct fuse_read_in *in)
{
	struct fnode *n = &nodes[h->nodeid];
	uint64_t len = in->offset >= n->a.size ? 0 : n->a.size - in->offset;
	static char much[200000];

	if (!strcmp(n->name, "hang-read")) {
		shared->hanging++;
		return;
	}
	if (!strcmp(n->name, "lie-more")) {
		answer(h, 0, much, sizeof much);
		return;
	}
	answer(h, 0, n->data + in->offset, len < in->size ? len : in->size);
}

static void
do_write(const struct fuse_in_header *h, const struct fuse_write_in *in)
{
	struct fnode *n = &nodes[h->nodeid];
	struct fuse_write_out o = {.size = in->size};

	if (in->offset + in->size > n->a.size)
		resize(n, in->offset + in->size);
	memcpy(n->data + in->offset, in + 1, in->size);
	answer(h, 0, &o, sizeof o);
}

static int
notify(int code, const void *p, size_t len)
{
	char buf[512];
	struct fuse_out_header o = {.len = (uint32_t)(sizeof o + len), .error = code};

	memcpy(buf, &o, sizeof o);
	memcpy(buf + sizeof o, p, len);
	return write(fuse_fd, buf, o.len) < 0 ? errno : 0;
}

static int
ordered(const char *what)
{
	struct {
		struct fuse_notify_inval_entry_out o;
		char name[300];
	} e = {.o = {.parent = 1, .namelen = 4}, .name = "keep"};
	uint64_t id = find(1, "lie-turn");
	int r = 0;

	if (!strcmp(what, "inval-root")) {
		r = notify(FUSE_NOTIFY_INVAL_ENTRY, &e, sizeof e.o + 5);
	} else if (!strcmp(what, "inval-unknown")) {
		e.o.parent = 777;
		r = notify(FUSE_NOTIFY_INVAL_ENTRY, &e, sizeof e.o + 5);
	} else if (!strcmp(what, "inval-long")) {
		e.o.namelen = 200;
		r = notify(FUSE_NOTIFY_INVAL_ENTRY, &e, sizeof e.o + 5);
	} else if (!strcmp(what, "notify-unknown")) {
		r = notify(99, &e, 16);
	} else if (!strcmp(what, "self-stat")) {
		struct stat st;

		shared->hanging++;
		r = stat("mnt/self", &st);
	} else if (!strcmp(what, "self-set")) {
		shared->hanging++;
		r = setxattr("mnt", "user.self", "", 0, 0);
	} else if (!strcmp(what, "self-rename")) {
		shared->hanging++;
		r = rename("mnt/self", "mnt/it");
	} else if (!strcmp(what, "late")) {
		struct fuse_in_header h = {.unique = late_unique};
		struct fuse_entry_out o = {
			.nodeid = 60, .attr = {.mode = S_IFREG | 0644, .nlink = 1}};

		answer(&h, 0, &o, sizeof o);
		r = shared->write_error;
	} else if (!strcmp(what, "forgotten")) {
		r = late_forgotten;
	} else if (!strcmp(what, "turn")) {
		nodes[id].a.mode = S_IFDIR | 0755;
	} else if (!strcmp(what, "turn-back")) {
		nodes[id].a.mode = S_IFREG | 0644;
	}
	return r;
}

static void
do_getxattr(const struct fuse_in_header *h, const struct fuse_getxattr_in *in)
{
	struct fnode *n = &nodes[h->nodeid];
	struct fuse_getxattr_out o = {0};
	const char *name = (const char *)(in + 1), *v = n->xvalue;
	char text[16];
	int len = n->xlen, list = h->opcode == FUSE_LISTXATTR;

	if (!list && !strncmp(name, "user.order.", 11)) {
		len = snprintf(text, sizeof text, "%d", ordered(name + 11));
		v = text;
	} else if (list) {
		v = n->xname;
		len = *n->xname ? (int)strlen(n->xname) + 1 : 0;
	} else if (strcmp(name, n->xname) != 0 || !*name) {
		answer(h, -ENODATA, NULL, 0);
		return;
	}
	o.size = (uint32_t)len;
	if (!in->size)
		answer(h, 0, &o, sizeof o);
	else if ((uint32_t)len > in->size)
		answer(h, -ERANGE, NULL, 0);
	else
		answer(h, 0, v, (size_t)len);
}

static void
do_setxattr(const struct fuse_in_header *h, const char *p)
{
	struct fnode *n = &nodes[h->nodeid];
	const struct fuse_setxattr_in *in = (const void *)p;
	const char *name = p + FUSE_COMPAT_SETXATTR_IN_SIZE;

	if ((in->flags & XATTR_CREATE) && !strcmp(n->xname, name)) {
		answer(h, -EEXIST, NULL, 0);
		return;
	}
	strcpy(n->xname, name);
	memcpy(n->xvalue, name + strlen(name) + 1, in->size);
	n->xlen = (int)in->size;
	answer(h, 0, NULL, 0);
}

static void
do_access(const struct fuse_in_header *h, const struct fuse_access_in *in)
{
	answer(h, (in->mask & 1) && !(nodes[h->nodeid].a.mode & 0111) ? -EACCES : 0, NULL, 0);
}

static void
do_symlink(const struct fuse_in_header *h, const char *name)
{
	uint64_t id = add(h->nodeid, name, S_IFLNK | 0777, h);

	strcpy(nodes[id].link, name + strlen(name) + 1);
	nodes[id].a.size = strlen(nodes[id].link);
	made(h, id);
}

static void
do_link(const struct fuse_in_header *h, const struct fuse_link_in *in)
{
	uint64_t id = add(h->nodeid, (const char *)(in + 1), 0, h);

	nodes[id].a.ino = nodes[in->oldnodeid].a.ino;
	nodes[id].lookups = 1; /* for its name */
	nodes[in->oldnodeid].a.nlink++;
	made(h, in->oldnodeid);
}

static void
do_forget(uint64_t id, uint64_t n)
{
	if (id == 60)
		late_forgotten++;
	if (id > 1 && id < NODES)
		nodes[id].lookups -= nodes[id].lookups < n ? nodes[id].lookups : n;
}

static void
do_interrupt(const struct fuse_interrupt_in *in)
{
	struct fuse_in_header h = {.unique = in->unique};

	if (in->unique == intr_unique)
		answer(&h, -EINTR, NULL, 0);
}

static void
do_init(const struct fuse_in_header *h)
{
	struct fuse_init_out o = {
		.major = 7, .minor = 31, .max_write = 65536, .flags = FUSE_BIG_WRITES};

	answer(h, 0, &o, sizeof o);
}

static void
handle(const struct fuse_in_header *h, const void *in)
{
	struct fuse_statfs_out sf = {.st = {.blocks = 1000,
					     .bfree = 500,
					     .bsize = 4096,
					     .namelen = 255,
					     .frsize = 4096}};
	const struct fuse_batch_forget_in *b = in;
	const struct fuse_forget_one *one = (const void *)(b + 1);
	const struct fuse_mknod_in *mk = in;
	const struct fuse_mkdir_in *md = in;
	const struct fuse_rename2_in *rn = in;
	struct fuse_open_out o = {.fh = h->nodeid};
	uint64_t off = 0;
	uint64_t id;

	switch (h->opcode) {
	case FUSE_INIT:
		do_init(h);
		break;
	case FUSE_LOOKUP:
		do_lookup(h, in);
		break;
	case FUSE_FORGET:
		do_forget(h->nodeid, ((const struct fuse_forget_in *)in)->nlookup);
		break;
	case FUSE_BATCH_FORGET:
		for (uint32_t i = 0; i < b->count; i++)
			do_forget(one[i].nodeid, one[i].nlookup);
		break;
	case FUSE_GETATTR:
		do_attr(h);
		break;
	case FUSE_SETATTR:
		do_setattr(h, in);
		break;
	case FUSE_MKNOD:
		id = add(h->nodeid, (const char *)(mk + 1), mk->mode, h);
		nodes[id].a.rdev = mk->rdev;
		made(h, id);
		break;
	case FUSE_MKDIR:
		made(h, add(h->nodeid, (const char *)(md + 1),
				(strcmp((const char *)(md + 1), "lie-file") ? S_IFDIR : S_IFREG) |
					md->mode,
				h));
		break;
	case FUSE_CREATE:
		do_create(h, in);
		break;
	case FUSE_SYMLINK:
		do_symlink(h, in);
		break;
	case FUSE_LINK:
		do_link(h, in);
		break;
	case FUSE_READLINK:
		if (!strcmp(nodes[h->nodeid].name, "lie-nul"))
			answer(h, 0, "ab\0cd", 5);
		else
			answer(h, 0, nodes[h->nodeid].link, strlen(nodes[h->nodeid].link));
		break;
	case FUSE_UNLINK:
	case FUSE_RMDIR:
		do_remove(h, in, h->opcode == FUSE_RMDIR);
		break;
	case FUSE_RENAME:
		do_rename(h, rn->newdir, (const char *)in + 8, 0);
		break;
	case FUSE_RENAME2:
		do_rename(h, rn->newdir, (const char *)(rn + 1), rn->flags);
		break;
	case FUSE_OPEN:
		o.open_flags = strcmp(nodes[h->nodeid].name, "direct") ? 0 : FOPEN_DIRECT_IO;
		/* fallthrough */
	case FUSE_OPENDIR:
		answer(h, 0, &o, sizeof o);
		break;
	case FUSE_READ:
		do_read(h, in);
		break;
	case FUSE_WRITE:
		do_write(h, in);
		break;
	case FUSE_READDIR:
		do_readdir(h, in);
		break;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
	case FUSE_FSYNC:
		answer(h, 0, NULL, 0);
		break;
	case FUSE_LSEEK:
		off = nodes[h->nodeid].a.size;
		answer(h, 0, &off, sizeof off);
		break;
	case FUSE_FALLOCATE:
		if (nodes[h->nodeid].a.size < ((const struct fuse_fallocate_in *)in)->length)
			resize(&nodes[h->nodeid], ((const struct fuse_fallocate_in *)in)->length);
		answer(h, 0, NULL, 0);
		break;
	case FUSE_STATFS:
		answer(h, 0, &sf, sizeof sf);
		break;
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		do_getxattr(h, in);
		break;
	case FUSE_SETXATTR:
		do_setxattr(h, in);
		break;
	case FUSE_REMOVEXATTR:
		id = h->nodeid;
		if (strcmp(nodes[id].xname, in) != 0) {
			answer(h, -ENODATA, NULL, 0);
		} else {
			nodes[id].xname[0] = 0;
			answer(h, 0, NULL, 0);
		}
		break;
	case FUSE_ACCESS:
		do_access(h, in);
		break;
	case FUSE_INTERRUPT:
		do_interrupt(in);
		break;
	default:
		answer(h, -ENOSYS, NULL, 0);
		break;
	}
}

/* Some bytes that look a little like an answer. */
static void
answer_at_random(const struct fuse_in_header *h)
{
	static const size_t lens[] = {
		0, 0, 8, 16, 40, 80, 104, 120, 128, 128, 128, 144, 1000, 4095, 70000};
	static const uint32_t types[] = {S_IFREG, S_IFDIR, S_IFDIR, S_IFLNK, S_IFCHR, S_IFIFO, 0};
	static char buf[70000];
	struct fuse_in_header to = *h;
	struct fuse_entry_out *e = (void *)buf;
	struct fuse_attr_out *a = (void *)buf;
	size_t len = lens[(size_t)rand() % (sizeof lens / sizeof lens[0])];
	uint32_t mode = types[rand() % 7] | 0755;

	for (size_t i = 0; i < len; i++)
		buf[i] = (char)(rand() % 3 ? 0 : rand());
	if (len == 128) {
		e->nodeid = (uint64_t)rand() % 60;
		e->generation = (uint64_t)rand() % 2;
		e->attr_valid = e->entry_valid = (uint64_t)rand() % 2;
		e->attr.mode = mode;
		e->attr.size &= rand() % 4 ? 0xffff : UINT64_MAX;
	} else if (len == 104) {
		a->attr.mode = mode;
		a->attr.size &= 0xffff;
	}
	if (rand() % 20 == 0)
		to.unique = rand() % 2 ? 0 : to.unique ^ (uint64_t)(rand() % 4);
	answer(&to, rand() % 5 ? 0 : -(rand() % 140), buf, len);
	/* and in the end one that is taken */
	answer(h, -EIO, NULL, 0);
}

/* Until the tree is unmounted: then 0. */
static void
serve(int fd)
{
	static char buf[300000] __attribute__((aligned(8)));
	bool late = false;

	fuse_fd = fd;
	srand(server_lies);
	nodes[1] = (struct fnode){.used = 1,
		.parent = 1,
		.a = {.ino = 1, .mode = S_IFDIR | 0755, .nlink = 2, .mtime = 5}};
	for (;;) {
		ssize_t n = read(fd, buf, sizeof buf - 1);
		const struct fuse_in_header *h = (void *)buf;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == ECONNABORTED && !late) {
			/* It had a request in hand when the tree went (Linux, fs/fuse/dev.c,
			 * fuse_dev_do_read); the next time it is ENODEV. */
			late = true;
			continue;
		}
		if (n < 0)
			_exit(errno == ENODEV ? 0 : 100);
		if (h->len != (uint32_t)n)
			_exit(101);
		buf[n] = 0;
		if (h->opcode == FUSE_LOOKUP || h->opcode == FUSE_GETATTR)
			shared->asked++;
		if (server_lies && h->opcode != FUSE_INIT && h->opcode != FUSE_FORGET &&
			h->opcode != FUSE_BATCH_FORGET && rand() % 3 == 0)
			answer_at_random(h);
		else
			handle(h, h + 1);
	}
}

#endif
