/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: finding the inode for what a server describes, and how long that is to be believed. Linux
 * counterpart: fs/fuse/inode.c. */
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include <stdlib.h>

#define FOREVER_S 1000000000u /* seconds; more is no different */

int64_t
fuse_expiry(uint64_t sec, uint32_t nsec)
{
	if (!sec && !nsec)
		return 0;
	if (sec > FOREVER_S)
		return INT64_MAX;
	return sched_now_ns() + (int64_t)sec * 1000000000 + (nsec < 1000000000 ? nsec : 999999999);
}

struct fuse_since
fuse_since(struct inode *dir)
{
	return (struct fuse_since){
		atomic_load(&fconn_of(dir)->attr_version), atomic_load(&fnode_of(dir)->epoch)};
}

bool
fuse_attr_ok(const struct lx_fuse_attr *a)
{
	switch (a->mode & LX_S_IFMT) {
	case LX_S_IFREG:
	case LX_S_IFDIR:
	case LX_S_IFLNK:
	case LX_S_IFCHR:
	case LX_S_IFBLK:
	case LX_S_IFIFO:
	case LX_S_IFSOCK:
		return a->size <= INT64_MAX;
	default:
		return false;
	}
}

static struct lx_timespec
time_of(uint64_t sec, uint32_t nsec)
{
	return (struct lx_timespec){(int64_t)sec, nsec < 1000000000 ? nsec : 999999999};
}

static uint32_t
blksize_of(uint32_t n)
{
	if (n == 0)
		return 0;
	n = 1u << (31 - __builtin_clz(n));
	return n < 512 ? 512 : n > (1u << 30) ? 1u << 30 : n;
}

static void
apply_locked(struct fnode *n, const struct lx_fuse_attr *a)
{
	const struct user_ns *ns = fconn_of(&n->i)->user_ns;
	struct inode *i = &n->i;

	inode_store(i->ino, a->ino);
	inode_store(i->mode, (i->mode & LX_S_IFMT) | (a->mode & LX_S_IALLUGO));
	inode_store(i->uid, uid_in(ns, a->uid));
	inode_store(i->gid, gid_in(ns, a->gid));
	inode_store(i->nlink, a->nlink);
	inode_store(i->size, (int64_t)a->size);
	i->blocks = a->blocks;
	i->blksize = blksize_of(a->blksize);
	i->atime = time_of(a->atime, a->atimensec);
	i->mtime = time_of(a->mtime, a->mtimensec);
	i->ctime = i->btime = time_of(a->ctime, a->ctimensec);
}

int
fnode_apply(struct fnode *n, const struct lx_fuse_attr *a, uint64_t sec, uint32_t nsec,
	uint64_t version)
{
	if (!fuse_attr_ok(a) || ((a->mode ^ inode_mode(&n->i)) & LX_S_IFMT)) {
		fnode_bad(n);
		return -EIO;
	}
	mutex_lock(&n->i.lock);
	if (atomic_load(&n->attr_version) > version) {
		atomic_store(&n->attr_expiry, 0);
	} else {
		if (inode_load(n->i.size) != (int64_t)a->size ||
			n->i.mtime.sec != (int64_t)a->mtime || n->i.mtime.nsec != a->mtimensec)
			atomic_fetch_add(&n->data, 1);
		apply_locked(n, a);
		atomic_store(&n->attr_expiry, fuse_expiry(sec, nsec));
	}
	mutex_unlock(&n->i.lock);
	return 0;
}

bool
fnode_attr_fresh(struct fnode *n)
{
	int64_t e = atomic_load(&n->attr_expiry);

	return e == INT64_MAX || e > sched_now_ns();
}

void
fnode_changed(struct fnode *n)
{
	atomic_store(&n->attr_version, atomic_fetch_add(&fconn_of(&n->i)->attr_version, 1) + 1);
	atomic_store(&n->attr_expiry, 0);
	atomic_fetch_add(&n->data, 1);
}

void
fnode_looked_up(struct fnode *n)
{
	struct fuse_conn *conn = n->id->conn;

	mutex_lock(&conn->lock);
	n->id->nlookup++;
	mutex_unlock(&conn->lock);
}

/* --- the table --- */

static struct list *
bucket_of(struct fuse_conn *conn, uint64_t nodeid)
{
	return &conn->nodes[(nodeid * 0x9e3779b97f4a7c15ULL >> 32) % FUSE_NODES];
}

/* With a reference. Directories are never found: each lookup of one gives another inode. */
static struct fnode *
find_locked(struct fuse_conn *conn, uint64_t nodeid)
{
	struct fnode *n;

	list_for_each_entry (n, bucket_of(conn, nodeid), node)
		if (n->id->nodeid == nodeid && !inode_is_dir(&n->i) &&
			ref_get_unless_zero(&n->i.ref))
			return n;
	return NULL;
}

void
fnode_bad(struct fnode *n)
{
	struct fuse_conn *conn = fconn_of(&n->i);

	atomic_store(&n->bad, true);
	mutex_lock(&conn->nodes_lock);
	list_del(&n->node);
	mutex_unlock(&conn->nodes_lock);
}

int
fnode_inval(struct fuse_conn *conn, uint64_t nodeid, bool names)
{
	struct fnode *n;
	int r = -ENOENT;

	mutex_lock(&conn->nodes_lock);
	list_for_each_entry (n, bucket_of(conn, nodeid), node) {
		if (n->id->nodeid != nodeid || (names && !inode_is_dir(&n->i)))
			continue;
		if (names)
			atomic_fetch_add(&n->epoch, 1);
		else
			fnode_changed(n);
		r = 0;
	}
	mutex_unlock(&conn->nodes_lock);
	return r;
}

static struct fnode *
fnode_new(struct super *sb, struct fuse_id *id, uint32_t mode)
{
	static _Atomic uint64_t serials;
	struct fnode *n = calloc(1, sizeof *n);
	bool dir = LX_S_ISDIR(mode);

	if (!n)
		return NULL;
	inode_init(&n->i, sb, dir ? &fuse_dir_ops : &fuse_file_ops,
		dir ? &fuse_dir_fops : &fuse_file_fops, id->nodeid, mode, 0, 0);
	n->i.flags = INODE_NOATIME;
	n->id = id;
	n->serial = atomic_fetch_add(&serials, 1) + 1;
	list_init(&n->node);
	return n;
}

void
fnode_free(struct inode *i)
{
	struct fnode *n = fnode_of(i);
	struct fuse_conn *conn = fconn_of(i);

	mutex_lock(&conn->nodes_lock);
	list_del(&n->node);
	mutex_unlock(&conn->nodes_lock);
	if (n->created)
		fuse_file_close(conn, n->created);
	fuse_id_put(n->id);
	inode_fini(i);
	free(n);
}

static uint32_t
rdev_of(uint32_t dev)
{
	/* the 32-bit form: 12 bits of major between 8 and 12 of minor */
	return LX_MKDEV((dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00));
}

/* One that is there already and is the same file; what has its number and is not, is bad. */
static struct fnode *
known(struct fuse_conn *conn, const struct lx_fuse_entry_out *e, uint64_t version)
{
	struct fnode *n;

	mutex_lock(&conn->nodes_lock);
	n = find_locked(conn, e->nodeid);
	mutex_unlock(&conn->nodes_lock);
	if (!n)
		return NULL;
	if (n->generation != e->generation ||
		fnode_apply(n, &e->attr, e->attr_valid, e->attr_valid_nsec, version)) {
		fnode_bad(n);
		inode_put(&n->i);
		return NULL;
	}
	fnode_looked_up(n);
	return n;
}

int
fnode_get(struct super *sb, const struct lx_fuse_entry_out *e, uint64_t version, struct fnode **ret)
{
	struct fuse_conn *conn = sb->priv;
	struct fnode *n, *there;
	struct fuse_id *id;

	if (!e->nodeid || e->nodeid == LX_FUSE_ROOT_ID)
		return -EIO;
	if (!fuse_attr_ok(&e->attr)) {
		fuse_forget(conn, e->nodeid);
		return -EIO;
	}
	*ret = known(conn, e, version);
	if (*ret)
		return 0;
	id = fuse_id_new(conn, e->nodeid, 1);
	n = id ? fnode_new(sb, id, e->attr.mode) : NULL;
	if (!n) {
		fuse_id_put(id);
		return -ENOMEM;
	}
	n->generation = e->generation;
	n->i.rdev = rdev_of(e->attr.rdev);
	fnode_apply(n, &e->attr, e->attr_valid, e->attr_valid_nsec, version);
	mutex_lock(&conn->nodes_lock);
	there = inode_is_dir(&n->i) ? NULL : find_locked(conn, e->nodeid);
	if (!there)
		list_push_front(bucket_of(conn, e->nodeid), &n->node);
	mutex_unlock(&conn->nodes_lock);
	if (there) {
		/* Somebody else was faster; if that is not the same file, its next use tells. */
		mutex_lock(&conn->lock);
		there->id->nlookup++;
		id->nlookup = 0;
		mutex_unlock(&conn->lock);
		inode_put(&n->i);
		n = there;
	}
	*ret = n;
	return 0;
}

int
fnode_root(struct super *sb, uint32_t mode, struct fnode **ret)
{
	struct fuse_conn *conn = sb->priv;
	struct fuse_id *id = fuse_id_new(conn, LX_FUSE_ROOT_ID, 1);
	struct fnode *n = id ? fnode_new(sb, id, mode) : NULL;

	if (!n) {
		fuse_id_put(id);
		return -ENOMEM;
	}
	n->i.uid = conn->user_id;
	n->i.gid = conn->group_id;
	mutex_lock(&conn->nodes_lock);
	list_push_front(bucket_of(conn, LX_FUSE_ROOT_ID), &n->node);
	mutex_unlock(&conn->nodes_lock);
	*ret = n;
	return 0;
}

/* --- names --- */

static bool
matches(const struct fuse_seen *s, const struct fnode *dir, const struct name *n)
{
	return s->dir == dir->serial && s->epoch == atomic_load(&dir->epoch) &&
	       s->hash == n->hash && s->len == n->len &&
	       (s->expiry == INT64_MAX || s->expiry > sched_now_ns());
}

void
fnode_entry_set(
	struct inode *dir, const struct name *n, struct fnode *k, uint64_t epoch, int64_t expiry)
{
	struct fnode *d = fnode_of(dir);
	struct fuse_seen s = {d->serial, epoch, n->hash, n->len, expiry};
	struct inode *i = k ? &k->i : dir;

	mutex_lock(&i->lock);
	if (k)
		k->seen = s;
	else if (expiry)
		d->missing[d->missing_at++ % 4] = s;
	mutex_unlock(&i->lock);
}

bool
fnode_entry_fresh(struct inode *dir, const struct name *n, struct fnode *k)
{
	struct fnode *d = fnode_of(dir);
	struct inode *i = k ? &k->i : dir;
	bool yes = false;

	mutex_lock(&i->lock);
	if (k)
		yes = matches(&k->seen, d, n);
	for (int at = 0; !k && at < 4 && !yes; at++)
		yes = matches(&d->missing[at], d, n);
	mutex_unlock(&i->lock);
	return yes;
}
