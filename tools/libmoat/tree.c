/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees in memory (moat/files.h): nodes with names, and the functions that serve them as virtual
 * files.
 *
 * A node lives as long as its name, or as somebody has it open. One lock is over a whole tree: its
 * functions copy and return.
 */
#include "internal.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define BYTES_DEFAULT (64ULL << 20)
#define NODE_BYTES    256 /* what a node counts beside its contents */

struct tnode {
	struct tnode *parent, *child, *next; /* NULL parent: the root, or without a name */
	char *name;
	struct moat_file_attr attr; /* size: of a file, or of a link's text */
	uint8_t *data;
	size_t cap; /* bytes of data that are ours; 0: borrowed, or none */
	unsigned open;
};

struct moat_tree {
	struct moat_files files;
	pthread_mutex_t lock; /* all below */
	struct tnode root;
	uint64_t used, max;
};

/* --- nodes --- */

static void
touch(struct tnode *n)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	n->attr.mtime_s = t.tv_sec;
	n->attr.mtime_ns = (uint32_t)t.tv_nsec;
}

static bool
is_dir(const struct tnode *n)
{
	return S_ISDIR(n->attr.mode);
}

static struct tnode *
child(const struct tnode *dir, const char *name, size_t len)
{
	struct tnode *n = dir->child;

	while (n && (strncmp(n->name, name, len) != 0 || n->name[len]))
		n = n->next;
	return n;
}

/* The node of a path, or NULL with *ret_errno. */
static struct tnode *
find(struct moat_tree *t, const char *path, int *ret_errno)
{
	struct tnode *n = path[0] == '/' ? &t->root : NULL;

	while (n && *path) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (!len)
			break;
		if (!is_dir(n)) {
			*ret_errno = -ENOTDIR;
			return NULL;
		}
		n = child(n, path, len);
		path += len;
	}
	if (!n)
		*ret_errno = -ENOENT;
	return n;
}

/* The directory that a path's last name is or would be in; *ret_name: that name, in path. */
static struct tnode *
find_parent(struct moat_tree *t, const char *path, const char **ret_name, int *ret_errno)
{
	const char *slash = strrchr(path, '/');
	char dir[4096];
	struct tnode *n;

	if (!slash || !slash[1] || (size_t)(slash - path) >= sizeof dir) {
		*ret_errno = -EINVAL;
		return NULL;
	}
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = 0;
	*ret_name = slash + 1;
	n = slash == path ? &t->root : find(t, dir, ret_errno);
	if (n && !is_dir(n)) {
		*ret_errno = -ENOTDIR;
		n = NULL;
	}
	return n;
}

/* Of this tree's bytes. */
static bool
take_bytes(struct moat_tree *t, uint64_t n)
{
	if (n > t->max - t->used)
		return false;
	t->used += n;
	return true;
}

static void
node_free(struct moat_tree *t, struct tnode *n)
{
	t->used -= NODE_BYTES + n->cap;
	if (n->cap)
		free(n->data);
	free(n->name);
	free(n);
}

/* Take its name away. */
static void
unhook(struct tnode *n)
{
	struct tnode **p = &n->parent->child;

	while (*p != n)
		p = &(*p)->next;
	*p = n->next;
	touch(n->parent);
	n->parent = NULL;
}

static void
hook(struct tnode *dir, struct tnode *n)
{
	struct tnode **p = &dir->child;

	while (*p)
		p = &(*p)->next;
	*p = n;
	n->next = NULL;
	n->parent = dir;
	touch(dir);
}

/* Free what has lost its name, with all below it, which may be as deep as somebody made it. */
static void
drop(struct moat_tree *t, struct tnode *n)
{
	struct tnode *up;

	for (; n; n = up) {
		while (n->child)
			n = n->child;
		up = n->parent;
		if (up)
			unhook(n);
		if (!n->open)
			node_free(t, n);
	}
}

static int
add_node(struct moat_tree *t, struct tnode *dir, const char *name, size_t len, uint32_t mode,
	struct tnode **ret)
{
	struct tnode *n;

	if (!take_bytes(t, NODE_BYTES))
		return -ENOSPC;
	n = calloc(1, sizeof *n);
	if (n)
		n->name = strndup(name, len);
	if (!n || !n->name) {
		t->used -= NODE_BYTES;
		free(n);
		return -ENOMEM;
	}
	n->attr.mode = mode;
	touch(n);
	hook(dir, n);
	*ret = n;
	return 0;
}

/* Have room for so many bytes, which are the tree's own. */
static int
reserve(struct moat_tree *t, struct tnode *n, uint64_t size)
{
	uint64_t cap = n->cap ? n->cap : 64;
	uint8_t *p;

	if (size <= n->cap)
		return 0;
	if (size > t->max)
		return -ENOSPC;
	while (cap < size)
		cap *= 2;
	/* Not more than there is, when that is enough. */
	if (cap - n->cap > t->max - t->used)
		cap = n->cap + (t->max - t->used);
	if (cap < size || !take_bytes(t, cap - n->cap))
		return -ENOSPC;
	p = realloc(n->cap ? n->data : NULL, cap);
	if (!p) {
		t->used -= cap - n->cap;
		return -ENOMEM;
	}
	if (!n->cap && n->data)
		memcpy(p, n->data, n->attr.size < cap ? n->attr.size : cap);
	n->data = p;
	n->cap = cap;
	return 0;
}

static int
set_size(struct moat_tree *t, struct tnode *n, uint64_t size)
{
	int r;

	if (size > n->attr.size) {
		r = reserve(t, n, size);
		if (r < 0)
			return r;
		memset(n->data + n->attr.size, 0, size - n->attr.size);
	}
	n->attr.size = size;
	touch(n);
	return 0;
}

/* --- what is served --- */

#define LOCKED(t)                                                                                  \
	__attribute__((cleanup(unlock), unused)) pthread_mutex_t *locked = take(&(t)->lock)

static pthread_mutex_t *
take(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}

static void
unlock(pthread_mutex_t **m)
{
	pthread_mutex_unlock(*m);
}

/* What is open, or has that path. */
static struct tnode *
node_of(struct moat_tree *t, const char *path, void *file, int *ret_errno)
{
	return file ? file : find(t, path, ret_errno);
}

static int
t_getattr(void *user, const char *path, void *file, struct moat_file_attr *a)
{
	struct moat_tree *t = user;
	LOCKED(t);
	int r = -ENOENT;
	struct tnode *n = path[0] || file ? node_of(t, path, file, &r) : NULL;

	if (!n)
		return r;
	*a = n->attr;
	return 0;
}

static int
t_readdir(void *user, const char *path, struct moat_dir *list)
{
	struct moat_tree *t = user;
	LOCKED(t);
	int r = -ENOENT;
	struct tnode *n = find(t, path, &r);

	if (!n || !is_dir(n))
		return n ? -ENOTDIR : r;
	r = 0;
	for (n = n->child; n && r == 0; n = n->next)
		r = moat_dir_add(list, n->name, n->attr.mode);
	return r;
}

static int
t_readlink(void *user, const char *path, char *buf, size_t size)
{
	struct moat_tree *t = user;
	LOCKED(t);
	int r = -ENOENT;
	struct tnode *n = find(t, path, &r);

	if (!n || !S_ISLNK(n->attr.mode) || n->attr.size >= size)
		return n ? -EINVAL : r;
	memcpy(buf, n->data, n->attr.size);
	buf[n->attr.size] = 0;
	return 0;
}

static int
t_open(void *user, const char *path, int flags, void **ret)
{
	struct moat_tree *t = user;
	LOCKED(t);
	int r = -ENOENT;
	struct tnode *n = find(t, path, &r);

	(void)flags;
	if (!n || !S_ISREG(n->attr.mode))
		return n ? -EINVAL : r;
	n->open++;
	*ret = n;
	return 0;
}

static void
t_release(void *user, void *file)
{
	struct moat_tree *t = user;
	LOCKED(t);
	struct tnode *n = file;

	if (--n->open == 0 && !n->parent)
		node_free(t, n);
}

static ssize_t
t_read(void *user, const char *path, void *file, void *buf, size_t len, uint64_t off)
{
	struct moat_tree *t = user;
	LOCKED(t);
	const struct tnode *n = file;

	(void)path;
	if (off >= n->attr.size)
		return 0;
	if (len > n->attr.size - off)
		len = n->attr.size - off;
	memcpy(buf, n->data + off, len);
	return (ssize_t)len;
}

static ssize_t
t_write(void *user, const char *path, void *file, const void *buf, size_t len, uint64_t off)
{
	struct moat_tree *t = user;
	LOCKED(t);
	struct tnode *n = file;
	uint64_t end = off + len;
	int r;

	(void)path;
	if (!len)
		return 0;
	r = reserve(t, n, end > n->attr.size ? end : n->attr.size);
	if (r < 0)
		return r;
	if (off > n->attr.size)
		memset(n->data + n->attr.size, 0, off - n->attr.size);
	memcpy(n->data + off, buf, len);
	if (end > n->attr.size)
		n->attr.size = end;
	touch(n);
	return (ssize_t)len;
}

static int
t_truncate(void *user, const char *path, void *file, uint64_t size)
{
	struct moat_tree *t = user;
	LOCKED(t);
	int r = -ENOENT;
	struct tnode *n = node_of(t, path, file, &r);

	if (!n || !S_ISREG(n->attr.mode))
		return n ? -EINVAL : r;
	return set_size(t, n, size);
}

static int
t_setattr(void *user, const char *path, void *file, unsigned which, const struct moat_file_attr *a)
{
	struct moat_tree *t = user;
	LOCKED(t);
	int r = -ENOENT;
	struct tnode *n = node_of(t, path, file, &r);

	if (!n)
		return r;
	if (which & MOAT_SET_MODE)
		n->attr.mode = (n->attr.mode & S_IFMT) | (a->mode & 07777);
	if (which & MOAT_SET_UID)
		n->attr.uid = a->uid;
	if (which & MOAT_SET_GID)
		n->attr.gid = a->gid;
	if (which & MOAT_SET_MTIME) {
		n->attr.mtime_s = a->mtime_s;
		n->attr.mtime_ns = a->mtime_ns;
	}
	return 0;
}

static int
make(struct moat_tree *t, const char *path, uint32_t mode, uint32_t uid, uint32_t gid,
	struct tnode **ret)
{
	const char *name;
	int r = -ENOENT;
	struct tnode *dir = find_parent(t, path, &name, &r);

	if (!dir)
		return r;
	if (child(dir, name, strlen(name)))
		return -EEXIST;
	r = add_node(t, dir, name, strlen(name), mode, ret);
	if (r == 0) {
		(*ret)->attr.uid = uid;
		(*ret)->attr.gid = gid;
	}
	return r;
}

static int
t_create(void *user, const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
	struct moat_tree *t = user;
	LOCKED(t);
	struct tnode *n;

	return make(t, path, S_IFREG | mode, uid, gid, &n);
}

static int
t_mkdir(void *user, const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
	struct moat_tree *t = user;
	LOCKED(t);
	struct tnode *n;

	return make(t, path, S_IFDIR | mode, uid, gid, &n);
}

/* The contents of a node that has none. */
static int
fill(struct moat_tree *t, struct tnode *n, const void *data, size_t len)
{
	int r = reserve(t, n, len);

	if (r < 0)
		return r;
	if (len)
		memcpy(n->data, data, len);
	n->attr.size = len;
	return 0;
}

static int
t_symlink(void *user, const char *path, const char *target, uint32_t uid, uint32_t gid)
{
	struct moat_tree *t = user;
	LOCKED(t);
	struct tnode *n;
	int r = make(t, path, S_IFLNK | 0777, uid, gid, &n);

	if (r == 0 && (r = fill(t, n, target, strlen(target))) < 0) {
		unhook(n);
		drop(t, n);
	}
	return r;
}

static int
remove_name(struct moat_tree *t, const char *path, bool dir)
{
	int r = -ENOENT;
	struct tnode *n = find(t, path, &r);

	if (!n)
		return r;
	if (n == &t->root)
		return -EBUSY;
	if (is_dir(n) != dir)
		return dir ? -ENOTDIR : -EISDIR;
	if (n->child)
		return -ENOTEMPTY;
	unhook(n);
	drop(t, n);
	return 0;
}

static int
t_unlink(void *user, const char *path)
{
	struct moat_tree *t = user;
	LOCKED(t);

	return remove_name(t, path, false);
}

static int
t_rmdir(void *user, const char *path)
{
	struct moat_tree *t = user;
	LOCKED(t);

	return remove_name(t, path, true);
}

static bool
is_below(const struct tnode *n, const struct tnode *top)
{
	while (n && n != top)
		n = n->parent;
	return n != NULL;
}

/* May n stand where over stands? */
static int
may_replace(const struct tnode *n, const struct tnode *over)
{
	if (is_dir(over))
		return !is_dir(n) ? -EISDIR : over->child ? -ENOTEMPTY : 0;
	return is_dir(n) ? -ENOTDIR : 0;
}

static int
t_rename(void *user, const char *from, const char *to, unsigned flags)
{
	struct moat_tree *t = user;
	LOCKED(t);
	const char *name;
	char *copy;
	int r = -ENOENT;
	struct tnode *n = find(t, from, &r), *dir, *over, *old;

	if (!n || !(dir = find_parent(t, to, &name, &r)))
		return r;
	over = child(dir, name, strlen(name));
	if (n == over)
		return 0;
	if (n == &t->root || is_below(dir, n))
		return -EINVAL;
	if ((flags & RENAME_NOREPLACE) && over)
		return -EEXIST;
	if (flags & RENAME_EXCHANGE) {
		if (!over || is_below(n->parent, over))
			return over ? -EINVAL : -ENOENT;
		old = n->parent;
		copy = n->name;
		unhook(n);
		unhook(over);
		n->name = over->name;
		over->name = copy;
		hook(dir, n);
		hook(old, over);
		return 0;
	}
	if (over && (r = may_replace(n, over)) < 0)
		return r;
	copy = strdup(name);
	if (!copy)
		return -ENOMEM;
	if (over) {
		unhook(over);
		drop(t, over);
	}
	unhook(n);
	free(n->name);
	n->name = copy;
	hook(dir, n);
	return 0;
}

static int
t_statfs(void *user, struct moat_space *ret)
{
	struct moat_tree *t = user;

	pthread_mutex_lock(&t->lock);
	ret->bytes = t->max;
	ret->free_bytes = t->max - t->used;
	ret->files = t->max / NODE_BYTES;
	ret->free_files = ret->free_bytes / NODE_BYTES;
	pthread_mutex_unlock(&t->lock);
	return 0;
}

static const struct moat_files_ops ops = {
	.getattr = t_getattr,
	.readdir = t_readdir,
	.readlink = t_readlink,
	.open = t_open,
	.read = t_read,
	.write = t_write,
	.release = t_release,
	.truncate = t_truncate,
	.setattr = t_setattr,
	.create = t_create,
	.mkdir = t_mkdir,
	.symlink = t_symlink,
	.unlink = t_unlink,
	.rmdir = t_rmdir,
	.rename = t_rename,
	.statfs = t_statfs,
};

/* --- what the host program calls --- */

struct moat_tree *
moat_tree_new(uint64_t max_bytes)
{
	struct moat_tree *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->files = (struct moat_files){.ops = &ops, .user = t};
	pthread_mutex_init(&t->lock, NULL);
	t->max = max_bytes ? max_bytes : BYTES_DEFAULT;
	t->root.attr.mode = S_IFDIR | 0755;
	touch(&t->root);
	return t;
}

void
moat_tree_free(struct moat_tree *t)
{
	struct tnode *n;

	if (!t)
		return;
	while ((n = t->root.child)) {
		unhook(n);
		drop(t, n);
	}
	pthread_mutex_destroy(&t->lock);
	free(t);
}

const struct moat_files *
moat_tree_files(struct moat_tree *t)
{
	return &t->files;
}

/* "/a/b", of names that can stand in a directory. */
static bool
path_ok(const char *path)
{
	if (!path || path[0] != '/' || !path[1] || strlen(path) >= 4096)
		return false;
	while (*path) {
		ProtobufCBinaryData b = wire_bytes(path + 1, strcspn(path + 1, "/"));

		if (!wire_name_ok(&b))
			return false;
		path += 1 + b.len;
	}
	return true;
}

/* A new node at path, with the directories above it, in the place of what was there. */
static int
put(struct moat_tree *t, const char *path, uint32_t mode, struct tnode **ret)
{
	struct tnode *dir = &t->root, *n;
	int r = 0;

	if (!path_ok(path))
		return -EINVAL;
	for (path++;; path++) {
		size_t len = strcspn(path, "/");

		n = child(dir, path, len);
		if (!path[len])
			break;
		if (!n && (r = add_node(t, dir, path, len, S_IFDIR | 0755, &n)) < 0)
			return r;
		if (!is_dir(n))
			return -ENOTDIR;
		dir = n;
		path += len;
	}
	if (n && n->child)
		return -ENOTEMPTY;
	if (n) {
		unhook(n);
		drop(t, n);
	}
	return add_node(t, dir, path, strlen(path), mode, ret);
}

static int
put_with(struct moat_tree *t, const char *path, uint32_t mode, const void *data, size_t len)
{
	LOCKED(t);
	struct tnode *n;
	int r = put(t, path, mode, &n);

	if (r == 0 && (r = fill(t, n, data, len)) < 0) {
		unhook(n);
		drop(t, n);
	}
	return r;
}

int
moat_tree_add(struct moat_tree *t, const char *path, uint32_t mode, const void *data, size_t len)
{
	return put_with(t, path, S_IFREG | (mode & 07777), data, len);
}

int
moat_tree_borrow(struct moat_tree *t, const char *path, uint32_t mode, const void *data, size_t len)
{
	LOCKED(t);
	struct tnode *n;
	int r = put(t, path, S_IFREG | (mode & 07777), &n);

	if (r == 0) {
		n->data = (uint8_t *)(uintptr_t)data; /* only read while cap is 0 */
		n->attr.size = len;
	}
	return r;
}

int
moat_tree_mkdir(struct moat_tree *t, const char *path, uint32_t mode)
{
	LOCKED(t);
	struct tnode *n;

	return put(t, path, S_IFDIR | (mode & 07777), &n);
}

int
moat_tree_symlink(struct moat_tree *t, const char *path, const char *target)
{
	if (!target || !target[0] || strlen(target) >= 4096)
		return -EINVAL;
	return put_with(t, path, S_IFLNK | 0777, target, strlen(target));
}

int
moat_tree_chown(struct moat_tree *t, const char *path, uint32_t uid, uint32_t gid)
{
	LOCKED(t);
	int r = -ENOENT;
	struct tnode *n = path && path[0] == '/' ? find(t, path, &r) : NULL;

	if (!n)
		return path && path[0] == '/' ? r : -EINVAL;
	n->attr.uid = uid;
	n->attr.gid = gid;
	return 0;
}

int
moat_tree_remove(struct moat_tree *t, const char *path)
{
	LOCKED(t);
	int r = -ENOENT;
	struct tnode *n = path_ok(path) ? find(t, path, &r) : NULL;

	if (!n)
		return path_ok(path) ? r : -EINVAL;
	unhook(n);
	drop(t, n);
	return 0;
}

int
moat_tree_read(struct moat_tree *t, const char *path, void **ret, size_t *ret_len)
{
	LOCKED(t);
	int r = -ENOENT;
	struct tnode *n = path_ok(path) ? find(t, path, &r) : NULL;
	char *copy;

	if (!n)
		return path_ok(path) ? r : -EINVAL;
	if (!S_ISREG(n->attr.mode))
		return is_dir(n) ? -EISDIR : -EINVAL;
	copy = malloc(n->attr.size + 1);
	if (!copy)
		return -ENOMEM;
	if (n->attr.size)
		memcpy(copy, n->data, n->attr.size);
	copy[n->attr.size] = 0;
	*ret = copy;
	*ret_len = n->attr.size;
	return 0;
}
