/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that find, make, move and remove names. Each name is one component, resolved from a held
 * descriptor and never followed. What was made gets its owner before anybody else is told of it.
 */
#include "internal.h"
#include "platform/host/err.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directory in which a request changes names, with a reference. */
static int
get_dir(uint64_t id, struct node **ret)
{
	*ret = node_get(id);
	if (!*ret)
		return -EBADF;
	if ((*ret)->type != S_IFDIR)
		return -ENOTDIR;
	if ((*ret)->opaque)
		return -EACCES;
	return (*ret)->readonly ? -EROFS : 0;
}

int
op_attach(const Gofer__AttachReq *q, Gofer__NodeRep *a, struct reply *r)
{
	struct export_root root;
	int fd, err;

	if (q->export >= nexports)
		return -EINVAL;
	root = exports[q->export];
	root.acls = q->acls;
	fd = HOST(fcntl(exports[q->export].fd, F_DUPFD_CLOEXEC, 3));
	if (fd < 0)
		return fd;
	err = node_add(r, fd, NULL, &root, &a->node);
	a->max_nodes = nodes_max();
	a->readonly = exports[q->export].readonly;
	return err;
}

int
op_walk(const Gofer__WalkReq *q, Gofer__WalkRep *a, struct reply *r)
{
	NODE_AUTO at = node_get(q->dir);
	int err = 0;

	if (!at)
		return -EBADF;
	if (q->n_names == 0 || q->n_names > WIRE_WALK_MAX)
		return -EINVAL;
	a->nodes = reply_alloc(r, q->n_names, sizeof *a->nodes);
	if (!a->nodes)
		return -ENOMEM;
	for (size_t i = 0; i < q->n_names; i++) {
		struct node *next;
		int fd;

		if (at->type == S_IFLNK) {
			err = -ELOOP;
			break;
		}
		fd = node_child(at, &q->names[i]);
		err = fd < 0 ? fd : node_add(r, fd, at, NULL, &a->nodes[i]);
		if (err < 0)
			break;
		a->n_nodes++;
		next = node_get(a->nodes[i]->id);
		node_put(at);
		at = next;
		if (!at)
			return -EIO; /* the peer forgot a number that it cannot know yet */
	}
	if (a->n_nodes == 0 && err != -ENOENT && err < 0)
		return err;
	a->stopped = (uint32_t)-err;
	return 0;
}

/* Bytes of nodes after which a reply to lookups takes no more: one more fits in any case. */
#define LOOKUPS_BYTES 48000

int
op_lookups(const Gofer__LookupsReq *q, Gofer__LookupsRep *a, struct reply *r)
{
	NODE_AUTO dir = node_get(q->dir);
	Gofer__Found *f;
	size_t bytes = 0;

	if (!dir)
		return -EBADF;
	if (q->n_names == 0 || q->n_names > WIRE_LOOKUPS_MAX)
		return -EINVAL;
	a->found = reply_alloc(r, q->n_names, sizeof *a->found);
	f = reply_alloc(r, q->n_names, sizeof *f);
	if (!a->found || !f)
		return -ENOMEM;
	for (size_t i = 0; i < q->n_names && bytes < LOOKUPS_BYTES; i++, f++) {
		int fd = node_child(dir, &q->names[i]), err;

		gofer__found__init(f);
		err = fd < 0 ? fd : node_add(r, fd, dir, NULL, &f->node);
		f->err = (uint32_t)-err;
		if (err == 0 && q->open && S_ISREG(f->node->attr->mode) && !dir->opaque) {
			NODE_AUTO n = node_get(f->node->id);

			fd = n ? node_reopen(n, O_RDONLY) : -EIO;
			if (fd >= 0) {
				r->fds[r->nfds++] = fd;
				f->fd = true;
			}
		}
		if (err == 0)
			bytes += protobuf_c_message_get_packed_size(&f->node->base);
		bytes += 16;
		a->found[a->n_found++] = f;
	}
	return 0;
}

/* Give a new file its owner and mode, by its O_PATH descriptor. */
static int
set_owner_mode(int fd, uint32_t uid, uint32_t gid, uint32_t mode, bool symlink)
{
	struct stat st;
	int r = HOST_RETRY(fstatat(fd, "", &st, AT_EMPTY_PATH));

	if (r == 0 && (st.st_uid != uid || st.st_gid != gid)) {
		r = HOST_RETRY(fchownat(fd, "", uid, gid, AT_EMPTY_PATH));
		if (r == 0)
			r = HOST_RETRY(fstatat(fd, "", &st, AT_EMPTY_PATH));
	}
	if (r == 0 && !symlink && (st.st_mode & 07777) != (mode & 07777))
		r = HOST_RETRY(fchmodat(AT_FDCWD, fd_path(fd).s, mode & 07777, 0));
	return r;
}

/* The name was just made: describe it, or take it back. */
static int
finish_new(struct node *dir, const struct wire_name *name, const Gofer__NewReq *q, int flags,
	Gofer__NodeRep *a, struct reply *r)
{
	int fd = open_beneath(dir->fd, name->s, O_PATH, 0), err;

	if (fd < 0)
		return fd;
	err = set_owner_mode(fd, q->uid, q->gid, q->mode, q->target.len != 0);
	if (err < 0) {
		close(fd);
		(void)unlinkat(dir->fd, name->s, flags);
		return err;
	}
	return node_add(r, fd, dir, NULL, &a->node);
}

int
op_create(const Gofer__NewReq *q, Gofer__NodeRep *a, struct reply *r)
{
	NODE_AUTO dir = NULL;
	struct wire_name name;
	int err = get_dir(q->dir, &dir), fd, pathfd;

	if (err < 0 || (err = wire_name_get(&q->name, &name)) < 0)
		return err;
	if ((err = owner_begin(dir, q->by_uid, q->by_gid)) < 0)
		return err;
	fd = open_beneath(dir->fd, name.s,
		O_CREAT | O_EXCL | O_NOCTTY | (q->access & WIRE_WRITE ? O_RDWR : O_RDONLY),
		q->mode & 0777);
	owner_end(dir);
	if (fd < 0)
		return fd;
	pathfd = HOST_RETRY(openat(AT_FDCWD, fd_path(fd).s, O_PATH | O_CLOEXEC));
	err = pathfd < 0 ? pathfd : set_owner_mode(pathfd, q->uid, q->gid, q->mode, false);
	if (err < 0) {
		if (pathfd >= 0)
			close(pathfd);
		close(fd);
		(void)unlinkat(dir->fd, name.s, 0);
		return err;
	}
	r->fds[r->nfds++] = fd;
	return node_add(r, pathfd, dir, NULL, &a->node);
}

int
op_tmpfile(const Gofer__NewReq *q, Gofer__NodeRep *a, struct reply *r)
{
	NODE_AUTO dir = NULL;
	int err = get_dir(q->dir, &dir), fd, pathfd;

	if (err < 0)
		return err;
	if ((err = owner_begin(dir, q->by_uid, q->by_gid)) < 0)
		return err;
	fd = HOST_RETRY(openat(
		AT_FDCWD, fd_path(dir->fd).s, O_TMPFILE | O_RDWR | O_CLOEXEC, q->mode & 0777));
	owner_end(dir);
	if (fd < 0)
		return fd;
	r->fds[r->nfds++] = fd;
	pathfd = HOST_RETRY(openat(AT_FDCWD, fd_path(fd).s, O_PATH | O_CLOEXEC));
	if (pathfd < 0)
		return pathfd;
	err = set_owner_mode(pathfd, q->uid, q->gid, q->mode, false);
	if (err < 0) {
		close(pathfd);
		return err;
	}
	return node_add(r, pathfd, dir, NULL, &a->node);
}

int
op_mkdir(const Gofer__NewReq *q, Gofer__NodeRep *a, struct reply *r)
{
	NODE_AUTO dir = NULL;
	struct wire_name name;
	int err = get_dir(q->dir, &dir);

	if (err < 0 || (err = wire_name_get(&q->name, &name)) < 0)
		return err;
	if (q->target.len)
		return -EINVAL;
	if ((err = owner_begin(dir, q->by_uid, q->by_gid)) < 0)
		return err;
	err = HOST_RETRY(mkdirat(dir->fd, name.s, q->mode & 0777));
	owner_end(dir);
	return err < 0 ? err : finish_new(dir, &name, q, AT_REMOVEDIR, a, r);
}

int
op_mknod(const Gofer__NewReq *q, Gofer__NodeRep *a, struct reply *r)
{
	NODE_AUTO dir = NULL;
	struct wire_name name;
	int err = get_dir(q->dir, &dir);

	if (err < 0 || (err = wire_name_get(&q->name, &name)) < 0)
		return err;
	if (q->target.len || S_ISDIR(q->mode) || S_ISLNK(q->mode))
		return -EINVAL;
	if ((err = owner_begin(dir, q->by_uid, q->by_gid)) < 0)
		return err;
	err = HOST_RETRY(mknodat(dir->fd, name.s, q->mode & (S_IFMT | 0777), q->rdev));
	owner_end(dir);
	return err < 0 ? err : finish_new(dir, &name, q, 0, a, r);
}

int
op_symlink(const Gofer__NewReq *q, Gofer__NodeRep *a, struct reply *r)
{
	NODE_AUTO dir = NULL;
	struct wire_name name;
	char target[4096];
	int err = get_dir(q->dir, &dir);

	if (err < 0 || (err = wire_name_get(&q->name, &name)) < 0)
		return err;
	if (q->target.len == 0 || memchr(q->target.data, 0, q->target.len))
		return -EINVAL;
	if (q->target.len >= sizeof target)
		return -ENAMETOOLONG;
	memcpy(target, q->target.data, q->target.len);
	target[q->target.len] = 0;
	if ((err = owner_begin(dir, q->by_uid, q->by_gid)) < 0)
		return err;
	err = HOST_RETRY(symlinkat(target, dir->fd, name.s));
	owner_end(dir);
	return err < 0 ? err : finish_new(dir, &name, q, 0, a, r);
}

int
op_link(const Gofer__LinkReq *q, Gofer__AttrRep *a, struct reply *r)
{
	NODE_AUTO dir = NULL;
	NODE_AUTO n = node_get(q->node);
	struct wire_name name;
	int err = get_dir(q->dir, &dir);

	if (err < 0 || (err = wire_name_get(&q->name, &name)) < 0)
		return err;
	if (!n)
		return -EBADF;
	if (n->readonly)
		return -EXDEV;
	if (n->opaque || n->type == S_IFDIR)
		return -EPERM;
	if ((err = owner_begin(dir, q->by_uid, q->by_gid)) < 0)
		return err;
	err = HOST_RETRY(linkat(AT_FDCWD, fd_path(n->fd).s, dir->fd, name.s, AT_SYMLINK_FOLLOW));
	owner_end(dir);
	if (err < 0)
		return err;
	a->attr = reply_alloc(r, 1, sizeof *a->attr);
	if (!a->attr)
		return -ENOMEM;
	gofer__attr__init(a->attr);
	return node_attr(n->fd, n->acls, a->attr);
}

int
op_unlink(const Gofer__UnlinkReq *q, Gofer__Empty *a, struct reply *r)
{
	NODE_AUTO dir = NULL;
	struct wire_name name;
	int err = get_dir(q->dir, &dir);

	(void)a, (void)r;
	if (err < 0 || (err = wire_name_get(&q->name, &name)) < 0)
		return err;
	return HOST_RETRY(unlinkat(dir->fd, name.s, q->rmdir ? AT_REMOVEDIR : 0));
}

int
op_rename(const Gofer__RenameReq *q, Gofer__Empty *a, struct reply *r)
{
	NODE_AUTO from = NULL;
	NODE_AUTO to = NULL;
	struct wire_name from_name, to_name;
	unsigned flags = 0;
	int err = get_dir(q->old_dir, &from);

	(void)a, (void)r;
	if (err < 0 || (err = get_dir(q->new_dir, &to)) < 0 ||
		(err = wire_name_get(&q->old_name, &from_name)) < 0 ||
		(err = wire_name_get(&q->new_name, &to_name)) < 0)
		return err;
	if (q->flags & ~(WIRE_RENAME_NOREPLACE | WIRE_RENAME_EXCHANGE))
		return -EINVAL;
	if (q->flags & WIRE_RENAME_NOREPLACE)
		flags |= RENAME_NOREPLACE;
	if (q->flags & WIRE_RENAME_EXCHANGE)
		flags |= RENAME_EXCHANGE;
	if ((err = owner_begin(to, q->by_uid, q->by_gid)) < 0)
		return err;
	err = HOST_RETRY(renameat2(from->fd, from_name.s, to->fd, to_name.s, flags));
	owner_end(to);
	return err;
}

int
op_readlink(const Gofer__NodeReq *q, Gofer__ReadlinkRep *a, struct reply *r)
{
	NODE_AUTO n = node_get(q->node);
	char *buf;
	ssize_t len;

	if (!n)
		return -EBADF;
	if (n->type != S_IFLNK)
		return -EINVAL;
	buf = reply_alloc(r, 1, 4096);
	if (!buf)
		return -ENOMEM;
	len = HOST_RETRY(readlinkat(n->fd, "", buf, 4096));
	if (len < 0)
		return (int)len;
	a->target = wire_bytes(buf, (size_t)len);
	return 0;
}

int
op_forget(const Gofer__ForgetReq *q, Gofer__Empty *a, struct reply *r)
{
	(void)a, (void)r;
	for (size_t i = 0; i < q->n_nodes; i++)
		node_forget(q->nodes[i]);
	return 0;
}
