/* SPDX-License-Identifier: Apache-2.0 */
/* Requests about one file: its attributes, its contents' descriptor, its entries, its extended
 * attributes. */
#include "internal.h"
#include "platform/host/err.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

static int
reply_attr(const struct node *n, Gofer__AttrRep *a, struct reply *r)
{
	a->attr = reply_alloc(r, 1, sizeof *a->attr);
	if (!a->attr)
		return -ENOMEM;
	gofer__attr__init(a->attr);
	return node_attr(n->fd, n->acls, a->attr);
}

int
op_getattr(const Gofer__NodeReq *q, Gofer__AttrRep *a, struct reply *r)
{
	NODE_AUTO n = node_get(q->node);

	return n ? reply_attr(n, a, r) : -EBADF;
}

static int
set_size(const struct node *n, uint64_t size)
{
	int fd, err;

	if (n->type != S_IFREG)
		return n->type == S_IFDIR ? -EISDIR : -EINVAL;
	if (size > INT64_MAX)
		return -EFBIG;
	fd = node_reopen(n, O_WRONLY);
	if (fd < 0)
		return fd;
	err = HOST_RETRY(ftruncate(fd, (off_t)size));
	close(fd);
	return err;
}

static int
set_times(const struct node *n, const Gofer__SetattrReq *q)
{
	struct timespec ts[2] = {{q->atime_s, q->atime_ns}, {q->mtime_s, q->mtime_ns}};

	if (q->atime_ns >= 1000000000 || q->mtime_ns >= 1000000000)
		return -EINVAL;
	if (!(q->valid & WIRE_SET_ATIME))
		ts[0].tv_nsec = UTIME_OMIT;
	else if (q->valid & WIRE_SET_ATIME_NOW)
		ts[0].tv_nsec = UTIME_NOW;
	if (!(q->valid & WIRE_SET_MTIME))
		ts[1].tv_nsec = UTIME_OMIT;
	else if (q->valid & WIRE_SET_MTIME_NOW)
		ts[1].tv_nsec = UTIME_NOW;
	return HOST_RETRY(utimensat(AT_FDCWD, fd_path(n->fd).s, ts, 0));
}

int
op_setattr(const Gofer__SetattrReq *q, Gofer__AttrRep *a, struct reply *r)
{
	NODE_AUTO n = node_get(q->node);
	int err = 0;

	if (!n)
		return -EBADF;
	if (q->valid & ~(uint32_t)WIRE_SET_ALL)
		return -EINVAL;
	if (n->readonly)
		return -EROFS;
	if (n->opaque)
		return -EACCES;
	if (q->valid & WIRE_SET_SIZE)
		err = set_size(n, q->size);
	/* The owner first: changing it clears the setuid bits that mode may set. */
	if (err == 0 && (q->valid & (WIRE_SET_UID | WIRE_SET_GID)))
		err = HOST_RETRY(fchownat(n->fd, "", q->valid & WIRE_SET_UID ? q->uid : (uid_t)-1,
			q->valid & WIRE_SET_GID ? q->gid : (gid_t)-1, AT_EMPTY_PATH));
	if (err == 0 && (q->valid & WIRE_SET_MODE))
		err = n->type == S_IFLNK ? -EOPNOTSUPP
					 : HOST_RETRY(fchmodat(
						   AT_FDCWD, fd_path(n->fd).s, q->mode & 07777, 0));
	if (err == 0 && (q->valid & (WIRE_SET_ATIME | WIRE_SET_MTIME)))
		err = set_times(n, q);
	return err < 0 ? err : reply_attr(n, a, r);
}

int
op_open(const Gofer__OpenReq *q, Gofer__AttrRep *a, struct reply *r)
{
	NODE_AUTO n = node_get(q->node);
	int flags, fd;

	if (!n)
		return -EBADF;
	switch (q->access) {
	case WIRE_READ:
		flags = O_RDONLY;
		break;
	case WIRE_WRITE:
	case WIRE_WRITE | WIRE_TRUNC:
		flags = O_WRONLY;
		break;
	case WIRE_READ | WIRE_WRITE:
	case WIRE_READ | WIRE_WRITE | WIRE_TRUNC:
		flags = O_RDWR;
		break;
	default:
		return -EINVAL;
	}
	if (n->readonly && (q->access & WIRE_WRITE))
		return -EROFS;
	/* Directories are listed by request: a descriptor of one could open others. */
	if (n->type != S_IFREG)
		return n->type == S_IFDIR ? -EISDIR : -ENXIO;
	if (q->access & WIRE_TRUNC)
		flags |= O_TRUNC;
	fd = node_reopen(n, flags);
	if (fd < 0)
		return fd;
	r->fds[r->nfds++] = fd;
	return reply_attr(n, a, r);
}

struct dirent64_buf {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

/* What getdents64 may fill so that the reply fits a packet: an entry takes at most 4/3 of its
 * record, a record being 24 bytes at least, and a node about 180 bytes. */
#define LIST_BYTES  36864
#define LIST_NODES  64	  /* nodes that come with the first listing */
#define ALSO_BYTES  24576 /* of a directory that is listed beside, at most; and */
#define ALSO_LEAST  1024  /* room that is worth trying */
#define REPLY_BYTES 64000
#define DIRENT_MAX  280 /* the largest record */
#define DEEP_MAX    16	/* levels */

/* Read a stretch of n's entries; the directory stream is shared by all who read it. */
static ssize_t
read_entries(struct node *n, int64_t cookie, char *buf, size_t cap, bool *end)
{
	WITH_MUTEX(&n->lock);
	size_t got = 0;
	ssize_t r;

	if (n->dirfd < 0) {
		n->dirfd = node_reopen(n, O_RDONLY | O_DIRECTORY);
		if (n->dirfd < 0) {
			r = n->dirfd;
			n->dirfd = -1;
			return r;
		}
	}
	r = HOST(lseek(n->dirfd, cookie, SEEK_SET));
	/* Until the buffer is full or the end is seen, so that a small directory is one request. */
	while (r >= 0 && cap - got >= DIRENT_MAX) {
		r = HOST_RETRY(syscall(SYS_getdents64, n->dirfd, buf + got, cap - got));
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	if (r < 0 && got)
		r = 1; /* what came before the error is good; the next request meets it again */
	*end = r == 0;
	if (r <= 0) {
		close(n->dirfd);
		n->dirfd = -1;
	}
	return r < 0 ? r : (ssize_t)got;
}

static bool
dot_or_dotdot(const char *s)
{
	return s[0] == '.' && (!s[1] || (s[1] == '.' && !s[2]));
}

/* What is left of a reply with listings. */
struct lister {
	struct reply *r;
	Gofer__ReaddirRep *top;
	size_t bytes;
	unsigned nodes, lists;
	bool deep, open;
};

/* The node of an entry, and a descriptor of a regular file. */
static void
add_node(struct lister *l, const struct node *n, Gofer__Entry *e, const char *name)
{
	bool file = e->type == DT_REG;
	int fd;

	if (!l->nodes || (e->type != DT_DIR && !file) ||
		(file && (!l->open || l->r->nfds == WIRE_FDS_MAX)))
		return;
	fd = open_beneath(n->fd, name, O_PATH, 0);
	l->nodes--;
	if (fd >= 0 && node_add(l->r, fd, n, NULL, &e->node) < 0)
		e->node = NULL;
	if (e->node && file) {
		NODE_AUTO f = node_get(e->node->id);

		fd = f ? node_reopen(f, O_RDONLY) : -EIO;
		if (fd >= 0) {
			l->r->fds[l->r->nfds++] = fd;
			e->fd = true;
		}
	}
}

/* List n from cookie on, with nodes. */
static int
list(struct lister *l, struct node *n, int64_t cookie, size_t cap, Gofer__ReaddirRep *a)
{
	size_t max = cap / 24;
	Gofer__Entry *e;
	char *buf;
	ssize_t got;
	bool end;

	if (n->type != S_IFDIR)
		return -ENOTDIR;
	if (n->opaque) {
		a->end = true;
		return 0;
	}
	buf = reply_alloc(l->r, 1, cap);
	if (!buf)
		return -ENOMEM;
	got = read_entries(n, cookie, buf, cap, &end);
	if (got < 0)
		return (int)got;
	if ((size_t)got / 24 < max)
		max = (size_t)got / 24;
	a->entries = reply_alloc(l->r, max, sizeof *a->entries);
	e = reply_alloc(l->r, max, sizeof *e);
	if (!a->entries || !e)
		return -ENOMEM;
	a->end = end;
	for (ssize_t off = 0; off < got;) {
		struct dirent64_buf *d = (void *)(buf + off);

		off += d->reclen;
		if (dot_or_dotdot(d->name)) {
			/* An empty message would look like progress without any: pass the position
			 * on. */
			if (off < got || a->n_entries || end)
				continue;
		}
		gofer__entry__init(e);
		e->name = wire_bytes(d->name, strlen(d->name));
		e->ino = d->ino;
		e->type = d->type;
		e->cookie = d->off;
		if (!dot_or_dotdot(d->name))
			add_node(l, n, e, d->name);
		a->entries[a->n_entries++] = e++;
	}
	return 0;
}

/* Take a listing back that is not whole, or has no room. The nodes' memory stays the reply's, so
 * that they count. */
static void
unlist(struct lister *l, Gofer__ReaddirRep *a, unsigned nfds)
{
	for (size_t i = 0; i < a->n_entries; i++)
		if (a->entries[i]->node)
			node_forget(a->entries[i]->node->id);
	a->entries = NULL;
	a->n_entries = 0;
	a->end = false;
	while (l->r->nfds > nfds)
		close(l->r->fds[--l->r->nfds]);
}

static bool list_below(struct lister *l, const Gofer__ReaddirRep *a, unsigned depth);

/* List a directory from its start, with what is below. False: there is no more room. */
static bool
list_beside(struct lister *l, uint64_t id, unsigned depth)
{
	NODE_AUTO n = node_get(id);
	Gofer__ReaddirRep *a;
	unsigned nfds = l->r->nfds;
	size_t cap = l->bytes / 4 * 3, size;

	if (cap < ALSO_LEAST || !l->lists)
		return false;
	if (!n)
		return true;
	l->lists--;
	a = reply_alloc(l->r, 1, sizeof *a);
	if (!a)
		return false;
	gofer__readdir_rep__init(a);
	a->of = id;
	if (list(l, n, 0, cap < ALSO_BYTES ? cap : ALSO_BYTES, a) < 0 || !a->end)
		unlist(l, a, nfds);
	size = protobuf_c_message_get_packed_size(&a->base) + 8;
	if (size > l->bytes) {
		unlist(l, a, nfds);
		return false;
	}
	l->bytes -= size;
	l->top->also[l->top->n_also++] = a;
	return list_below(l, a, depth);
}

/* In the order in which a walk comes by: each directory, and what is below it, before the next. */
static bool
list_below(struct lister *l, const Gofer__ReaddirRep *a, unsigned depth)
{
	for (size_t i = 0; l->deep && depth < DEEP_MAX && i < a->n_entries; i++)
		if (a->entries[i]->node && a->entries[i]->type == DT_DIR &&
			!list_beside(l, a->entries[i]->node->id, depth + 1))
			return false;
	return true;
}

int
op_readdir(const Gofer__ReaddirReq *q, Gofer__ReaddirRep *a, struct reply *r)
{
	NODE_AUTO n = node_get(q->node);
	struct lister l = {.r = r,
		.top = a,
		.nodes = q->nodes ? LIST_NODES : 0,
		.lists = WIRE_LISTS_MAX,
		.deep = q->deep && q->nodes,
		.open = q->open && q->nodes};
	size_t size;
	int err;

	if (!n)
		return -EBADF;
	if (q->n_also > WIRE_ALSO_MAX)
		return -EINVAL;
	err = list(&l, n, q->cookie, LIST_BYTES, a);
	if (err < 0 || (!q->n_also && !l.deep))
		return err;
	a->also = reply_alloc(r, WIRE_LISTS_MAX, sizeof *a->also);
	if (!a->also)
		return 0;
	size = protobuf_c_message_get_packed_size(&a->base);
	l.bytes = size < REPLY_BYTES ? REPLY_BYTES - size : 0;
	if (q->nodes)
		l.nodes += REPLY_NODES_MAX - LIST_NODES;
	if (!list_below(&l, a, 0))
		return 0;
	for (size_t i = 0; i < q->n_also; i++)
		if (!list_beside(&l, q->also[i], 0))
			break;
	return 0;
}

int
op_statfs(const Gofer__NodeReq *q, Gofer__StatfsRep *a, struct reply *r)
{
	NODE_AUTO n = node_get(q->node);
	struct statfs s;
	int err;

	(void)r;
	if (!n)
		return -EBADF;
	err = HOST_RETRY(fstatfs(n->fd, &s));
	if (err < 0)
		return err;
	a->type = (uint64_t)s.f_type;
	a->bsize = (uint64_t)s.f_bsize;
	a->blocks = s.f_blocks;
	a->bfree = s.f_bfree;
	a->bavail = s.f_bavail;
	a->files = s.f_files;
	a->ffree = s.f_ffree;
	a->namelen = (uint64_t)s.f_namelen;
	a->frsize = (uint64_t)s.f_frsize;
	a->flags = (uint64_t)s.f_flags;
	return 0;
}

int
op_syncdir(const Gofer__NodeReq *q, Gofer__Empty *a, struct reply *r)
{
	NODE_AUTO n = node_get(q->node);
	int fd, err;

	(void)a, (void)r;
	if (!n)
		return -EBADF;
	if (n->type != S_IFDIR)
		return -ENOTDIR;
	fd = node_reopen(n, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return fd;
	err = HOST_RETRY(fsync(fd));
	close(fd);
	return err;
}

struct xname {
	char s[256];
};

/* The attribute that a request names, if it is of a kind that the gofer touches. */
static int
get_xname(const ProtobufCBinaryData *b, struct xname *x)
{
	static const char *const kinds[] = {"user.", "trusted.", "security.",
		"system.posix_acl_access", "system.posix_acl_default"};

	if (b->len == 0 || b->len >= sizeof x->s || memchr(b->data, 0, b->len))
		return -ERANGE;
	memcpy(x->s, b->data, b->len);
	x->s[b->len] = 0;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strncmp(x->s, kinds[i], strlen(kinds[i])) == 0)
			return 0;
	return -EOPNOTSUPP;
}

int
op_getxattr(const Gofer__XattrReq *q, Gofer__XattrRep *a, struct reply *r)
{
	NODE_AUTO n = node_get(q->node);
	struct xname name;
	uint8_t *buf;
	ssize_t len;
	int err;

	if (!n)
		return -EBADF;
	if (n->opaque)
		return -EOPNOTSUPP;
	err = get_xname(&q->name, &name);
	if (err < 0)
		return err;
	buf = reply_alloc(r, 1, WIRE_XATTR_MAX);
	if (!buf)
		return -ENOMEM;
	len = HOST_RETRY(getxattr(fd_path(n->fd).s, name.s, buf, WIRE_XATTR_MAX));
	if (len < 0)
		return (int)len;
	a->value = wire_bytes(buf, (size_t)len);
	return 0;
}

int
op_setxattr(const Gofer__XattrReq *q, Gofer__Empty *a, struct reply *r)
{
	NODE_AUTO n = node_get(q->node);
	struct xname name;
	int err;

	(void)a, (void)r;
	if (!n)
		return -EBADF;
	if (n->readonly)
		return -EROFS;
	if (n->opaque || (q->flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE)))
		return n->opaque ? -EOPNOTSUPP : -EINVAL;
	err = get_xname(&q->name, &name);
	if (err < 0)
		return err;
	return HOST_RETRY(
		setxattr(fd_path(n->fd).s, name.s, q->value.data, q->value.len, (int)q->flags));
}

int
op_listxattr(const Gofer__NodeReq *q, Gofer__XattrRep *a, struct reply *r)
{
	NODE_AUTO n = node_get(q->node);
	char *buf;
	ssize_t len;

	if (!n)
		return -EBADF;
	if (n->opaque)
		return 0;
	buf = reply_alloc(r, 1, WIRE_XATTR_MAX);
	if (!buf)
		return -ENOMEM;
	len = HOST_RETRY(listxattr(fd_path(n->fd).s, buf, WIRE_XATTR_MAX));
	if (len < 0)
		return (int)len;
	a->value = wire_bytes(buf, (size_t)len);
	return 0;
}

int
op_removexattr(const Gofer__XattrReq *q, Gofer__Empty *a, struct reply *r)
{
	NODE_AUTO n = node_get(q->node);
	struct xname name;
	int err;

	(void)a, (void)r;
	if (!n)
		return -EBADF;
	if (n->readonly)
		return -EROFS;
	if (n->opaque)
		return -EOPNOTSUPP;
	err = get_xname(&q->name, &name);
	return err < 0 ? err : HOST_RETRY(removexattr(fd_path(n->fd).s, name.s));
}

/* A memory file of the sentry's, once more, to be read only: for a guest that may not write it. Any
 * other file is refused: whether that may be read was decided when it was opened. */
int
op_reopen(const Gofer__Empty *q, Gofer__Empty *a, struct reply *r)
{
	struct statfs fs;
	struct stat st;
	int e, fd;

	(void)q, (void)a;
	if (r->given < 0)
		return -ENFILE;
	e = HOST_RETRY(fstat(r->given, &st));
	if (e == 0)
		e = HOST_RETRY(fstatfs(r->given, &fs));
	if (e < 0)
		return e;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 0 || fs.f_type != TMPFS_MAGIC)
		return -EINVAL;
	fd = HOST_RETRY(openat(AT_FDCWD, fd_path(r->given).s, O_RDONLY | O_CLOEXEC));
	if (fd < 0)
		return fd;
	r->fds[r->nfds++] = fd;
	return 0;
}

/* New files in memory. */
int
op_memory(const Gofer__MemoryReq *q, Gofer__Empty *a, struct reply *r)
{
	int fd = -EOPNOTSUPP;

	(void)a;
	if (q->count == 0 || q->count > WIRE_MEMORY_MAX)
		return -EINVAL;
	while (memory_dir >= 0 && r->nfds < q->count) {
		fd = HOST_RETRY(
			openat(memory_dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
		if (fd < 0)
			break;
		r->fds[r->nfds++] = fd;
	}
	return r->nfds ? 0 : fd;
}
