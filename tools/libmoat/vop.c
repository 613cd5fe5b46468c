/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests about virtual files, each of which becomes a call or a few of the host program's
 * functions. What is of no use here (descriptors, devices, hard links, extended attributes) is
 * refused.
 */
#include "virtual.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define FUSE_MAGIC  0x65735546 /* what programs know of files that somebody makes */
#define REPLY_BYTES 48000      /* of nodes, after which one more fits in any case */
#define LINK_BYTES  4096

/* Call a function of the host program that may be missing. */
#define CALL(s, fn, missing, ...)                                                                  \
	((s)->files.ops->fn ? v_errno((s)->files.ops->fn((s)->files.user, __VA_ARGS__)) : (missing))

/* A directory in which a request changes a name, and the path of that name. */
static int
get_place(struct vserver *s, uint64_t id, const ProtobufCBinaryData *b, struct vnode **ret_dir,
	struct wire_name *n, char path[VPATH_BYTES])
{
	int r = wire_name_get(b, n);

	*ret_dir = ids_get(&s->nodes, id);
	if (!*ret_dir)
		return -EBADF;
	if ((*ret_dir)->type != S_IFDIR)
		return -ENOTDIR;
	if (s->readonly)
		return -EROFS;
	return r < 0 ? r : vnode_child_path(*ret_dir, n->s, path);
}

/* --- what a file is --- */

static bool
attr_ok(const struct moat_file_attr *a)
{
	uint32_t type = a->mode & S_IFMT;

	return (type == S_IFREG || type == S_IFDIR || type == S_IFLNK) &&
	       !(a->mode & ~(uint32_t)(S_IFMT | 07777)) && a->size <= INT64_MAX &&
	       a->mtime_ns < 1000000000;
}

/* Ask the host program. */
static int
ask(struct vserver *s, const char *path, void *file, struct moat_file_attr *a)
{
	int r;

	memset(a, 0, sizeof *a);
	r = v_errno(s->files.ops->getattr(s->files.user, path, file, a));
	return r < 0 ? r : attr_ok(a) ? 0 : -EIO;
}

static void
fill_attr(const struct vnode *n, Gofer__Attr *a)
{
	const struct moat_file_attr *at = &n->last;

	gofer__attr__init(a);
	a->ino = n->ino;
	a->dev = VSERVER_DEV;
	a->mode = n->type | (at->mode & 07777);
	/* Not 2 for a directory, which would say that no directory is in it. */
	a->nlink = n->gone ? 0 : 1;
	a->uid = at->uid;
	a->gid = at->gid;
	a->size = at->size;
	a->blocks = at->size / 512 + (at->size % 512 != 0);
	a->blksize = 4096;
	a->atime_s = a->mtime_s = a->ctime_s = a->btime_s = at->mtime_s;
	a->atime_ns = a->mtime_ns = a->ctime_ns = a->btime_ns = at->mtime_ns;
}

/* What n is now. A file that has lost its name is what it was, if the host program does not know.
 */
static int
node_refresh(struct vserver *s, struct vnode *n)
{
	struct moat_file_attr a;
	char path[VPATH_BYTES];
	int r = vnode_path(n, path);

	if (r < 0)
		path[0] = 0;
	if (r < 0 && !n->files)
		return 0;
	r = ask(s, path, n->files ? n->files->file : NULL, &a);
	if (r == 0 && (a.mode & S_IFMT) == n->type)
		n->last = a;
	else if (path[0])
		return r < 0 ? r : -ESTALE;
	return 0;
}

static int
reply_attr(struct vserver *s, struct vnode *n, Gofer__AttrRep *a, struct reply *r)
{
	int err = node_refresh(s, n);

	a->attr = reply_alloc(r, 1, sizeof *a->attr);
	if (err < 0 || !a->attr)
		return err < 0 ? err : -ENOMEM;
	fill_attr(n, a->attr);
	return 0;
}

static int
read_link(struct vserver *s, const char *path, struct reply *r, char **ret)
{
	char *buf = reply_alloc(r, 1, LINK_BYTES);
	int err;

	if (!buf)
		return -ENOMEM;
	err = CALL(s, readlink, -EINVAL, path, buf, LINK_BYTES);
	if (err == 0 && (!buf[0] || !memchr(buf, 0, LINK_BYTES)))
		err = -EIO;
	*ret = buf;
	return err;
}

/* Tell of n, of which `last` is what was just asked for. */
static int
tell(struct vserver *s, struct vnode *n, const char *path, struct reply *r, Gofer__Node **ret)
{
	struct {
		Gofer__Node node;
		Gofer__Attr attr;
	} *m = reply_alloc(r, 1, sizeof *m);
	char *link;
	int err;

	if (!m)
		return -ENOMEM;
	gofer__node__init(&m->node);
	if (n->type == S_IFLNK) {
		err = read_link(s, path, r, &link);
		if (err < 0)
			return err;
		m->node.link = wire_bytes(link, strlen(link));
		n->last.size = strlen(link);
	}
	fill_attr(n, &m->attr);
	m->node.attr = &m->attr;
	m->node.id = n->id;
	n->told++;
	*ret = &m->node;
	return 0;
}

/* A name in a directory. */
static int
look(struct vserver *s, struct vnode *dir, const char *name, struct reply *r, Gofer__Node **ret)
{
	struct moat_file_attr a;
	char path[VPATH_BYTES];
	struct vnode *n;
	int err = vnode_child_path(dir, name, path);

	if (err == 0)
		err = ask(s, path, NULL, &a);
	if (err < 0)
		return err;
	n = vnode_child(s, dir, name, a.mode & S_IFMT);
	if (!n)
		return -ENFILE;
	n->last = a;
	err = tell(s, n, path, r, ret);
	if (err < 0)
		vnode_drop(s, n);
	return err;
}

int
v_attach(struct vserver *s, const Gofer__AttachReq *q, Gofer__NodeRep *a, struct reply *r)
{
	struct vnode *n = vnode_root(s);
	struct moat_file_attr at;
	int err;

	(void)q;
	if (!n)
		return -ENOMEM;
	err = ask(s, "/", NULL, &at);
	if (err == 0 && !S_ISDIR(at.mode))
		err = -ENOTDIR;
	if (err < 0)
		return err;
	n->last = at;
	a->max_nodes = VNODES_MAX;
	a->readonly = s->readonly;
	return tell(s, n, "/", r, &a->node);
}

int
v_walk(struct vserver *s, const Gofer__WalkReq *q, Gofer__WalkRep *a, struct reply *r)
{
	struct vnode *at = ids_get(&s->nodes, q->dir);
	struct wire_name name;
	int err = 0;

	if (!at)
		return -EBADF;
	if (q->n_names == 0 || q->n_names > WIRE_WALK_MAX)
		return -EINVAL;
	a->nodes = reply_alloc(r, q->n_names, sizeof *a->nodes);
	if (!a->nodes)
		return -ENOMEM;
	for (size_t i = 0; i < q->n_names; i++) {
		err = wire_name_get(&q->names[i], &name);
		if (err == 0 && at->type != S_IFDIR)
			err = at->type == S_IFLNK ? -ELOOP : -ENOTDIR;
		if (err == 0)
			err = look(s, at, name.s, r, &a->nodes[i]);
		if (err < 0)
			break;
		at = ids_get(&s->nodes, a->nodes[a->n_nodes++]->id);
	}
	if (a->n_nodes == 0 && err != -ENOENT && err < 0)
		return err;
	a->stopped = (uint32_t)-err;
	return 0;
}

int
v_lookups(struct vserver *s, const Gofer__LookupsReq *q, Gofer__LookupsRep *a, struct reply *r)
{
	struct vnode *dir = ids_get(&s->nodes, q->dir);
	struct wire_name name;
	Gofer__Found *f;
	size_t bytes = 0;

	if (!dir)
		return -EBADF;
	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	if (q->n_names == 0 || q->n_names > WIRE_LOOKUPS_MAX)
		return -EINVAL;
	a->found = reply_alloc(r, q->n_names, sizeof *a->found);
	f = reply_alloc(r, q->n_names, sizeof *f);
	if (!a->found || !f)
		return -ENOMEM;
	for (size_t i = 0; i < q->n_names && bytes < REPLY_BYTES; i++, f++) {
		int err = wire_name_get(&q->names[i], &name);

		gofer__found__init(f);
		if (err == 0)
			err = look(s, dir, name.s, r, &f->node);
		f->err = (uint32_t)-err;
		if (err == 0)
			bytes += protobuf_c_message_get_packed_size(&f->node->base);
		bytes += 16;
		a->found[a->n_found++] = f;
	}
	return 0;
}

int
v_getattr(struct vserver *s, const Gofer__NodeReq *q, Gofer__AttrRep *a, struct reply *r)
{
	struct vnode *n = ids_get(&s->nodes, q->node);

	return n ? reply_attr(s, n, a, r) : -EBADF;
}

static int64_t
now(uint32_t *ret_ns)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	*ret_ns = (uint32_t)t.tv_nsec;
	return t.tv_sec;
}

int
v_setattr(struct vserver *s, const Gofer__SetattrReq *q, Gofer__AttrRep *a, struct reply *r)
{
	struct vnode *n = ids_get(&s->nodes, q->node);
	struct moat_file_attr at = {.mode = q->mode & 07777,
		.uid = q->uid,
		.gid = q->gid,
		.mtime_s = q->mtime_s,
		.mtime_ns = q->mtime_ns};
	char path[VPATH_BYTES];
	unsigned which = 0;
	void *file;
	int err = 0;

	if (!n)
		return -EBADF;
	if ((q->valid & ~(uint32_t)WIRE_SET_ALL) || q->mtime_ns >= 1000000000)
		return -EINVAL;
	if (s->readonly)
		return -EROFS;
	file = n->files ? n->files->file : NULL;
	if (vnode_path(n, path) < 0)
		path[0] = 0;
	if (q->valid & WIRE_SET_SIZE) {
		if (n->type != S_IFREG)
			err = n->type == S_IFDIR ? -EISDIR : -EINVAL;
		else if (q->size > INT64_MAX)
			err = -EFBIG;
		else
			err = CALL(s, truncate, -EPERM, path, file, q->size);
	}
	which = (q->valid & WIRE_SET_MODE ? MOAT_SET_MODE : 0) |
		(q->valid & WIRE_SET_UID ? MOAT_SET_UID : 0) |
		(q->valid & WIRE_SET_GID ? MOAT_SET_GID : 0) |
		(q->valid & (WIRE_SET_MTIME | WIRE_SET_MTIME_NOW) ? MOAT_SET_MTIME : 0);
	/* That sets the time by itself. */
	if (q->valid & WIRE_SET_SIZE)
		which &= ~MOAT_SET_MTIME;
	if (q->valid & WIRE_SET_MTIME_NOW)
		at.mtime_s = now(&at.mtime_ns);
	if (err == 0 && which)
		err = CALL(s, setattr, -EPERM, path, file, which, &at);
	return err < 0 ? err : reply_attr(s, n, a, r);
}

int
v_readlink(struct vserver *s, const Gofer__NodeReq *q, Gofer__ReadlinkRep *a, struct reply *r)
{
	struct vnode *n = ids_get(&s->nodes, q->node);
	char path[VPATH_BYTES], *link;
	int err;

	if (!n)
		return -EBADF;
	if (n->type != S_IFLNK)
		return -EINVAL;
	err = vnode_path(n, path);
	if (err == 0)
		err = read_link(s, path, r, &link);
	if (err == 0)
		a->target = wire_bytes(link, strlen(link));
	return err;
}

int
v_readdir(struct vserver *s, const Gofer__ReaddirReq *q, Gofer__ReaddirRep *a, struct reply *r)
{
	struct vnode *n = ids_get(&s->nodes, q->node);

	if (!n)
		return -EBADF;
	return n->type == S_IFDIR ? vlist_read(s, n, q->cookie, a, r) : -ENOTDIR;
}

#define BLOCK 4096

int
v_statfs(struct vserver *s, const Gofer__NodeReq *q, Gofer__StatfsRep *a, struct reply *r)
{
	struct moat_space sp = {0};
	int err = CALL(s, statfs, 0, &sp);

	(void)q, (void)r;
	if (err < 0)
		return err;
	a->type = FUSE_MAGIC;
	a->bsize = a->frsize = BLOCK;
	a->blocks = sp.bytes / BLOCK;
	a->bfree = a->bavail = (sp.free_bytes < sp.bytes ? sp.free_bytes : sp.bytes) / BLOCK;
	a->files = sp.files;
	a->ffree = sp.free_files < sp.files ? sp.free_files : sp.files;
	a->namelen = 255;
	return 0;
}

int
v_forget(struct vserver *s, const Gofer__ForgetReq *q, Gofer__Empty *a, struct reply *r)
{
	(void)a, (void)r;
	for (size_t i = 0; i < q->n_nodes; i++) {
		struct vnode *n = ids_get(&s->nodes, q->nodes[i]);

		if (n && n->told && --n->told == 0)
			vnode_drop(s, n);
	}
	return 0;
}

/* --- names --- */

int
v_create(struct vserver *s, const Gofer__NewReq *q, Gofer__NodeRep *a, struct reply *r)
{
	char path[VPATH_BYTES];
	struct wire_name name;
	struct vnode *dir;
	int err = get_place(s, q->dir, &q->name, &dir, &name, path);

	if (err == 0)
		err = CALL(s, create, -EROFS, path, q->mode & 07777, q->uid, q->gid);
	return err < 0 ? err : look(s, dir, name.s, r, &a->node);
}

int
v_mkdir(struct vserver *s, const Gofer__NewReq *q, Gofer__NodeRep *a, struct reply *r)
{
	char path[VPATH_BYTES];
	struct wire_name name;
	struct vnode *dir;
	int err = get_place(s, q->dir, &q->name, &dir, &name, path);

	if (err == 0)
		err = CALL(s, mkdir, -EROFS, path, q->mode & 07777, q->uid, q->gid);
	return err < 0 ? err : look(s, dir, name.s, r, &a->node);
}

int
v_symlink(struct vserver *s, const Gofer__NewReq *q, Gofer__NodeRep *a, struct reply *r)
{
	char path[VPATH_BYTES], target[LINK_BYTES];
	struct wire_name name;
	struct vnode *dir;
	int err = get_place(s, q->dir, &q->name, &dir, &name, path);

	if (err < 0)
		return err;
	if (q->target.len == 0 || memchr(q->target.data, 0, q->target.len))
		return -EINVAL;
	if (q->target.len >= sizeof target)
		return -ENAMETOOLONG;
	memcpy(target, q->target.data, q->target.len);
	target[q->target.len] = 0;
	err = CALL(s, symlink, -EROFS, path, target, q->uid, q->gid);
	return err < 0 ? err : look(s, dir, name.s, r, &a->node);
}

int
v_unlink(struct vserver *s, const Gofer__UnlinkReq *q, Gofer__Empty *a, struct reply *r)
{
	char path[VPATH_BYTES];
	struct wire_name name;
	struct vnode *dir, *n;
	int err = get_place(s, q->dir, &q->name, &dir, &name, path);

	(void)a, (void)r;
	if (err == 0)
		err = q->rmdir ? CALL(s, rmdir, -EROFS, path) : CALL(s, unlink, -EROFS, path);
	if (err == 0 && (n = vnode_find(s, dir, name.s)))
		vnode_lose(s, n);
	return err;
}

int
v_rename(struct vserver *s, const Gofer__RenameReq *q, Gofer__Empty *a, struct reply *r)
{
	char from_path[VPATH_BYTES], to_path[VPATH_BYTES];
	struct wire_name from_name, to_name;
	struct vnode *from, *to, *n, *over;
	bool exchange = q->flags & WIRE_RENAME_EXCHANGE;
	unsigned flags = (q->flags & WIRE_RENAME_NOREPLACE ? RENAME_NOREPLACE : 0) |
			 (exchange ? RENAME_EXCHANGE : 0);
	int err = get_place(s, q->old_dir, &q->old_name, &from, &from_name, from_path);

	(void)a, (void)r;
	if (err == 0)
		err = get_place(s, q->new_dir, &q->new_name, &to, &to_name, to_path);
	if (err < 0)
		return err;
	if ((q->flags & ~(WIRE_RENAME_NOREPLACE | WIRE_RENAME_EXCHANGE)) ||
		flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	n = vnode_find(s, from, from_name.s);
	over = vnode_find(s, to, to_name.s);
	/* Nothing is moved below itself. */
	if ((n && vnode_is_below(to, n)) || (exchange && over && vnode_is_below(from, over)))
		return -EINVAL;
	err = CALL(s, rename, -EROFS, from_path, to_path, flags);
	if (err < 0 || n == over)
		return err;
	if (!exchange) {
		if (over)
			vnode_lose(s, over);
		return n ? vnode_move(s, n, to, to_name.s) : 0;
	}
	if (n)
		err = vnode_move(s, n, to, to_name.s);
	return over && vnode_move(s, over, from, from_name.s) < 0 ? -ENOMEM : err;
}

/* --- contents --- */

int
v_file_open(struct vserver *s, const Gofer__OpenReq *q, Gofer__FileRep *a, struct reply *r)
{
	static const int modes[] = {-1, O_RDONLY, O_WRONLY, O_RDWR};
	struct vnode *n = ids_get(&s->nodes, q->node);
	char path[VPATH_BYTES];
	struct vfile *f;
	int err;

	(void)r;
	if (!n)
		return -EBADF;
	if (!(q->access & (WIRE_READ | WIRE_WRITE)) ||
		(q->access & ~(uint32_t)(WIRE_READ | WIRE_WRITE | WIRE_APPEND)))
		return -EINVAL;
	if (n->type != S_IFREG)
		return n->type == S_IFDIR ? -EISDIR : -ELOOP;
	if ((q->access & WIRE_WRITE) && (s->readonly || !s->files.ops->write))
		return -EROFS;
	err = vnode_path(n, path);
	if (err < 0)
		return err;
	f = calloc(1, sizeof *f);
	if (!f)
		return -ENOMEM;
	f->flags = modes[q->access & 3] | (q->access & WIRE_APPEND ? O_APPEND : 0);
	f->id = ids_add(&s->open, f);
	err = f->id ? CALL(s, open, 0, path, f->flags, &f->file) : -ENFILE;
	if (err < 0) {
		if (f->id)
			ids_remove(&s->open, f->id);
		free(f);
		return err;
	}
	f->node = n;
	f->next = n->files;
	n->files = f;
	a->file = f->id;
	return 0;
}

int
v_file_close(struct vserver *s, const Gofer__FileReq *q, Gofer__Empty *a, struct reply *r)
{
	struct vfile *f = ids_get(&s->open, q->file), **p;

	(void)a, (void)r;
	if (!f)
		return -EBADF;
	for (p = &f->node->files; *p != f; p = &(*p)->next)
		;
	*p = f->next;
	vnode_drop(s, f->node);
	ids_remove(&s->open, f->id);
	if (s->files.ops->release)
		s->files.ops->release(s->files.user, f->file);
	free(f);
	return 0;
}

/* An open file for this use, and what it is called now. */
static int
get_file(struct vserver *s, uint64_t id, int other_mode, struct vfile **ret, char path[VPATH_BYTES])
{
	struct vfile *f = ids_get(&s->open, id);

	if (!f || (f->flags & O_ACCMODE) == other_mode)
		return -EBADF;
	if (vnode_path(f->node, path) < 0)
		path[0] = 0;
	*ret = f;
	return 0;
}

int
v_file_read(struct vserver *s, const Gofer__FileReadReq *q, Gofer__FileReadRep *a, struct reply *r)
{
	char path[VPATH_BYTES];
	struct vfile *f;
	ssize_t got;
	void *buf;
	int err = get_file(s, q->file, O_WRONLY, &f, path);

	if (err < 0)
		return err;
	if (q->len > WIRE_IO_MAX || q->offset > INT64_MAX - WIRE_IO_MAX)
		return -EINVAL;
	if (!s->files.ops->read)
		return -EINVAL;
	/* Zeroed: what the function only says that it wrote is nothing of this program's. */
	buf = reply_alloc(r, 1, q->len);
	if (!buf)
		return -ENOMEM;
	got = s->files.ops->read(s->files.user, path, f->file, buf, q->len, q->offset);
	if (got > (ssize_t)q->len)
		return -EIO;
	if (got < 0)
		return v_errno(got);
	a->data = wire_bytes(buf, (size_t)got);
	return 0;
}

int
v_file_write(
	struct vserver *s, const Gofer__FileWriteReq *q, Gofer__FileWriteRep *a, struct reply *r)
{
	char path[VPATH_BYTES];
	struct vfile *f;
	ssize_t got;
	int err = get_file(s, q->file, O_RDONLY, &f, path);

	(void)r;
	if (err < 0)
		return err;
	if (q->data.len > WIRE_IO_MAX)
		return -EINVAL;
	if (q->offset > INT64_MAX - q->data.len)
		return -EFBIG;
	got = s->files.ops->write(
		s->files.user, path, f->file, q->data.data, q->data.len, q->offset);
	if (got > (ssize_t)q->data.len)
		return -EIO;
	if (got < 0)
		return v_errno(got);
	a->len = (uint32_t)got;
	return 0;
}

/* --- what there is not --- */

#define REFUSE(name, Req, Rep, err)                                                                \
	int v_##name(struct vserver *s, const Gofer__##Req *q, Gofer__##Rep *a, struct reply *r)   \
	{                                                                                          \
		(void)s, (void)q, (void)a, (void)r;                                                \
		return err;                                                                        \
	}

REFUSE(open, OpenReq, AttrRep, -EOPNOTSUPP)
REFUSE(tmpfile, NewReq, NodeRep, -EOPNOTSUPP)
REFUSE(mknod, NewReq, NodeRep, -EPERM)
REFUSE(link, LinkReq, AttrRep, -EPERM)
REFUSE(syncdir, NodeReq, Empty, 0) /* nothing is held back */
REFUSE(getxattr, XattrReq, XattrRep, -EOPNOTSUPP)
REFUSE(setxattr, XattrReq, Empty, -EOPNOTSUPP)
REFUSE(listxattr, NodeReq, XattrRep, 0) /* there are none */
REFUSE(removexattr, XattrReq, Empty, -EOPNOTSUPP)
REFUSE(reopen, Empty, Empty, -EOPNOTSUPP)
REFUSE(memory, MemoryReq, Empty, -EOPNOTSUPP)
