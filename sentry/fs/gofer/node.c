/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gnodes: finding the inode for what the gofer describes, its attributes, and its host descriptors.
 *
 * A file is one inode however often it is walked to: inodes are found by host device and inode
 * number. The number that the guest sees is the host's, unless the file is on another device than
 * the root of the export.
 */
#include "internal.h"
#include "platform/host/err.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* The number of a file for the guest. salt: tried when another file of the super has it. */
static uint64_t
guest_ino(const struct gsuper *gs, uint64_t dev, uint64_t ino, uint32_t salt)
{
	uint64_t x = dev == gs->dev ? 0 : dev * 0x9e3779b97f4a7c15ULL;

	x += salt * 0xbf58476d1ce4e5b9ULL;
	return ino ^ ((x ^ x >> 29) << 20);
}

static bool
attr_ok(const Gofer__Attr *a)
{
	return a && a->atime_ns < 1000000000 && a->mtime_ns < 1000000000 &&
	       a->ctime_ns < 1000000000 && a->btime_ns < 1000000000 && a->size <= INT64_MAX &&
	       a->mode <= 0177777;
}

static void
apply_acls_locked(struct inode *i, uint32_t acls, bool fresh)
{
	if (acls & WIRE_ACLS_ACCESS || (acls && fresh))
		atomic_store(&i->no_acl, !(acls & WIRE_ACLS_ACCESS));
	if (acls & WIRE_ACLS_DEFAULT || (acls && fresh))
		atomic_store(&i->no_default_acl, !(acls & WIRE_ACLS_DEFAULT));
}

static void
apply_locked(struct gnode *n, const Gofer__Attr *a, int64_t asked_ns)
{
	struct inode *i = &n->i;

	inode_store(i->mode, (i->mode & LX_S_IFMT) | (a->mode & 07777));
	inode_store(i->uid, a->uid);
	inode_store(i->gid, a->gid);
	inode_store(i->nlink, a->nlink);
	inode_store(i->size, (int64_t)a->size);
	i->blocks = a->blocks;
	i->blksize = a->blksize;
	i->atime = (struct lx_timespec){a->atime_s, a->atime_ns};
	i->mtime = (struct lx_timespec){a->mtime_s, a->mtime_ns};
	i->ctime = (struct lx_timespec){a->ctime_s, a->ctime_ns};
	i->btime = (struct lx_timespec){a->btime_s, a->btime_ns};
	apply_acls_locked(i, a->acls, asked_ns > atomic_load(&gsuper_of(i)->acl_set_ns));
}

void
gnode_apply_attr(struct gnode *n, const Gofer__Attr *a, int64_t asked_ns)
{
	if (!attr_ok(a))
		return;
	mutex_lock(&n->i.lock);
	apply_locked(n, a, asked_ns);
	mutex_unlock(&n->i.lock);
}

/* What came for a file that is known. In a relaxed mount it may have been asked for a while ago:
 * what was learned since then stands, and what our writes did is asked of their descriptor. */
static void
apply_fetched(struct gnode *n, const Gofer__Attr *a, int64_t asked_ns)
{
	bool older;

	if (gsuper_of(&n->i)->relaxed) {
		mutex_lock(&n->lock);
		older = asked_ns <= n->attr_ns;
		if (!older)
			n->attr_ns = asked_ns;
		if (n->fd_rw >= 0)
			__atomic_store_n(&n->stale, true, __ATOMIC_RELEASE);
		mutex_unlock(&n->lock);
		if (older)
			return;
	}
	gnode_apply_attr(n, a, asked_ns);
}

static struct gnode *
gnode_new(struct super *sb, const Gofer__Node *node, uint64_t ino, int64_t asked_ns)
{
	const Gofer__Attr *a = node->attr;
	struct gnode *n = calloc(1, sizeof *n);
	bool dir = LX_S_ISDIR(a->mode), virtual = ((struct gsuper *)sb->priv)->virtual;

	if (!n)
		return NULL;
	inode_init(&n->i, sb,
		dir	  ? &gofer_dir_ops
		: virtual ? &gofer_virtual_ops
			  : &gofer_file_ops,
		dir	  ? &gofer_dir_fops
		: virtual ? &gofer_virtual_fops
			  : &gofer_file_fops,
		ino, a->mode, a->uid, a->gid);
	mutex_init(&n->lock, LR_FSNODE);
	list_init(&n->idle);
	n->id = node->id;
	n->dev = a->dev;
	n->ino = a->ino;
	n->fd_ro = n->fd_rw = -1;
	n->i.rdev = LX_MKDEV(major(a->rdev), minor(a->rdev));
	apply_locked(n, a, asked_ns);
	if (LX_S_ISLNK(a->mode)) {
		n->i.link = malloc(node->link.len + 1);
		if (!n->i.link) {
			inode_fini(&n->i);
			free(n);
			return NULL;
		}
		memcpy(n->i.link, node->link.data, node->link.len);
		n->i.link[node->link.len] = 0;
	}
	return n;
}

static bool
node_ok(const Gofer__Node *node)
{
	if (!node || !node->id || !attr_ok(node->attr))
		return false;
	return !LX_S_ISLNK(node->attr->mode) ||
	       (node->link.len > 0 && node->link.len < LX_PATH_MAX &&
		       !memchr(node->link.data, 0, node->link.len));
}

int
gnode_get(struct super *sb, const Gofer__Node *node, int64_t asked_ns, struct gnode **ret)
{
	struct gsuper *gs = sb->priv;
	struct inode *other;
	struct gnode *n;

	if (!node_ok(node))
		return -EIO;
	for (uint32_t salt = 0;; salt++) {
		uint64_t ino = guest_ino(gs, node->attr->dev, node->attr->ino, salt);

		other = inode_find(sb, ino);
		if (!other) {
			n = gnode_new(sb, node, ino, asked_ns);
			if (!n) {
				gofer_forget(gs->conn, node->id);
				return -ENOMEM;
			}
			n->attr_ns = asked_ns;
			other = inode_insert(&n->i);
			if (!other) {
				*ret = n;
				return 0;
			}
			n->id = 0; /* lost a race: the other one is as good */
			inode_put(&n->i);
		}
		n = gnode_of(other);
		if (n->dev == node->attr->dev && n->ino == node->attr->ino)
			break;
		inode_put(other);
	}
	gofer_forget(gs->conn, node->id);
	if (gs->shared)
		apply_fetched(n, node->attr, asked_ns);
	*ret = n;
	return 0;
}

/* --- descriptors --- */

static void
close_fds(struct gnode *n)
{
	int ro, rw;

	mutex_lock(&n->lock);
	ro = n->fd_ro;
	rw = n->fd_rw;
	if (n->users == 0)
		n->fd_ro = n->fd_rw = -1;
	else
		ro = rw = -1;
	mutex_unlock(&n->lock);
	if (ro >= 0)
		close(ro);
	if (rw >= 0)
		close(rw);
}

/* The descriptors of n are not used any longer (idle), or are again. */
static void
set_idle(struct gnode *n, bool idle)
{
	struct gsuper *gs = gsuper_of(&n->i);
	struct gnode *victim = NULL;

	mutex_lock(&gs->lock);
	if (!list_empty(&n->idle)) {
		list_del(&n->idle);
		gs->nidle--;
	}
	if (idle) {
		list_push_back(&gs->idle, &n->idle);
		if (++gs->nidle > gs->idle_max) {
			victim = list_first(&gs->idle, struct gnode, idle);
			list_del(&victim->idle);
			gs->nidle--;
			close_fds(victim); /* under the lock: a node that is freed leaves the list
					      first */
		}
	}
	mutex_unlock(&gs->lock);
}

int
gnode_fd(struct gnode *n, bool write)
{
	int rw = __atomic_load_n(&n->fd_rw, __ATOMIC_ACQUIRE);

	return write || rw >= 0 ? rw : __atomic_load_n(&n->fd_ro, __ATOMIC_ACQUIRE);
}

static int
open_at_gofer(struct gnode *n, uint32_t access, int *ret_fd)
{
	Gofer__OpenReq q = GOFER__OPEN_REQ__INIT;
	int64_t asked_ns = sched_now_ns();
	Gofer__AttrRep *a;
	int r;

	q.node = n->id;
	q.access = access;
	r = gofer_call(gconn_of(&n->i), GOFER_OPEN, &q.base, &a, ret_fd);
	if (r < 0)
		return r;
	if (gsuper_of(&n->i)->shared)
		gnode_apply_attr(n, a->attr, asked_ns);
	gofer_rep_free(a);
	return *ret_fd < 0 ? -EIO : 0;
}

int
gnode_use(struct gnode *n, uint32_t access)
{
	bool write = access & WIRE_WRITE;
	int fd, r, unneeded = -1;
	bool first;

	mutex_lock(&n->lock);
	first = n->users++ == 0;
	fd = write || n->fd_rw >= 0 ? n->fd_rw : n->fd_ro;
	mutex_unlock(&n->lock);
	if (first)
		set_idle(n, false);
	if (fd >= 0)
		return 0;
	if (write)
		gofer_changed(&n->i);
	else
		gdir_opened(n);
	r = open_at_gofer(n, write ? WIRE_READ | WIRE_WRITE : WIRE_READ, &fd);
	if (r == -EACCES && access == WIRE_WRITE)
		r = open_at_gofer(n, WIRE_WRITE, &fd);
	if (r < 0) {
		gnode_unuse(n);
		return r;
	}
	mutex_lock(&n->lock);
	/* Somebody else may have been faster. */
	if (write ? n->fd_rw >= 0 : n->fd_ro >= 0)
		unneeded = fd;
	else
		__atomic_store_n(write ? &n->fd_rw : &n->fd_ro, fd, __ATOMIC_RELEASE);
	mutex_unlock(&n->lock);
	if (unneeded >= 0)
		close(unneeded);
	return 0;
}

void
gnode_give_fd(struct gnode *n, int fd)
{
	bool idle = false;

	mutex_lock(&n->lock);
	if (LX_S_ISREG(inode_mode(&n->i)) && n->fd_ro < 0 && n->fd_rw < 0) {
		__atomic_store_n(&n->fd_ro, fd, __ATOMIC_RELEASE);
		fd = -1;
		idle = n->users == 0;
	}
	mutex_unlock(&n->lock);
	if (idle)
		set_idle(n, true);
	if (fd >= 0)
		close(fd);
}

void
gnode_unuse(struct gnode *n)
{
	bool last, open;

	if (__atomic_load_n(&n->fd_rw, __ATOMIC_RELAXED) >= 0)
		gofer_changed(&n->i);
	gnode_sync_attr(n);
	mutex_lock(&n->lock);
	last = --n->users == 0;
	open = n->fd_ro >= 0 || n->fd_rw >= 0;
	mutex_unlock(&n->lock);
	if (last && open)
		set_idle(n, true);
}

void
gnode_wrote(struct gnode *n, int64_t end)
{
	struct inode *i = &n->i;

	if (end > inode_load(i->size)) {
		mutex_lock(&i->lock);
		if (end > i->size)
			inode_store(i->size, end);
		mutex_unlock(&i->lock);
	}
	__atomic_store_n(&n->stale, true, __ATOMIC_RELEASE);
}

void
gnode_sync_attr(struct gnode *n)
{
	struct inode *i = &n->i;
	struct stat st;
	int fd;

	if (!__atomic_exchange_n(&n->stale, false, __ATOMIC_ACQ_REL))
		return;
	mutex_lock(&n->lock);
	fd = n->fd_rw;
	/* Under both locks: neither is the descriptor closed meanwhile, nor an older size stored
	 * over a newer. */
	mutex_lock(&i->lock);
	if (fd >= 0 && HOST_RETRY(fstat(fd, &st)) == 0) {
		inode_store(i->size, st.st_size);
		i->blocks = (uint64_t)st.st_blocks;
		i->mtime = (struct lx_timespec){st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
		i->ctime = (struct lx_timespec){st.st_ctim.tv_sec, st.st_ctim.tv_nsec};
	}
	mutex_unlock(&i->lock);
	mutex_unlock(&n->lock);
}

void
gnode_free(struct inode *i)
{
	struct gnode *n = gnode_of(i);

	set_idle(n, false);
	close_fds(n);
	gdir_drop(n);
	if (n->id)
		gofer_forget(gconn_of(i), n->id);
	mutex_destroy(&n->lock);
	inode_fini(i);
	free(n);
}
