/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories: names to inodes, making and removing names, listing.
 *
 * A listing goes by the host's positions, so that it survives changes as it does there. Entries
 * come in large batches; a directory of an exclusive mount that fitted one batch keeps it until its
 * names change.
 */
#include "internal.h"
#include "platform/host/file.h"
#include "sentry/sched/fiber.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

static ProtobufCBinaryData
bytes(const struct name *n)
{
	return wire_bytes(n->s, n->len);
}

/* Names of dir have changed by our doing. */
static void
dir_changed(struct inode *dir)
{
	gdir_drop(gnode_of(dir));
	gofer_changed(dir);
	inode_touch(dir, INODE_T_MTIME | INODE_T_CTIME);
}

/* A directory in dir more or less. Virtual ones have one link whatever is in them. */
static void
count_dir(struct inode *dir, int n)
{
	if (n && !gsuper_of(dir)->virtual)
		inode_add_nlink(dir, n);
}

static uint64_t
name_key(const struct inode *dir, const struct name *n)
{
	return (dir->ino << 32 ^ dir->ino >> 32) + ((uint64_t)n->len << 56 | n->hash);
}

/* Was the answer for that name the same just now? */
static bool
just_asked(struct gnode *dir, uint64_t key, struct gnode *g, int64_t since)
{
	bool yes = false;

	if (g) {
		mutex_lock(&g->lock);
		yes = g->seen_key == key && g->seen_ns > since;
		mutex_unlock(&g->lock);
		return yes;
	}
	mutex_lock(&dir->lock);
	for (int i = 0; i < GNODE_MISSING; i++)
		yes |= dir->missing_key[i] == key && dir->missing_ns[i] > since;
	mutex_unlock(&dir->lock);
	return yes;
}

void
gnode_seen(struct inode *dir, const struct name *n, struct gnode *g, int64_t asked_ns)
{
	struct gnode *d = gnode_of(dir);
	uint64_t key = name_key(dir, n);

	if (!gsuper_of(dir)->relaxed)
		return;
	if (g) {
		mutex_lock(&g->lock);
		g->seen_key = key;
		g->seen_ns = asked_ns;
		mutex_unlock(&g->lock);
		return;
	}
	mutex_lock(&d->lock);
	d->missing_key[d->missing_at] = key;
	d->missing_ns[d->missing_at] = asked_ns;
	d->missing_at = (d->missing_at + 1) % GNODE_MISSING;
	mutex_unlock(&d->lock);
}

static int
walk_there(struct inode *dir, const struct call *c, const struct name *names, int n,
	struct inode **inodes, bool *missing)
{
	Gofer__WalkReq q = GOFER__WALK_REQ__INIT;
	ProtobufCBinaryData list[WIRE_WALK_MAX];
	int64_t asked_ns = sched_now_ns();
	Gofer__WalkRep *a;
	int r, got = 0;

	if (n > (int)WIRE_WALK_MAX)
		n = WIRE_WALK_MAX;
	for (int i = 0; i < n; i++)
		list[i] = bytes(&names[i]);
	q.dir = gnode_of(dir)->id;
	q.names = list;
	q.n_names = (size_t)n;
	*missing = false;
	r = gofer_call(gconn_of(dir), GOFER_WALK, &q.base, &a, NULL);
	if (r < 0)
		return r;
	if (a->n_nodes > (size_t)n)
		r = -EIO;
	for (size_t i = 0; i < a->n_nodes; i++) {
		struct inode *parent = got ? inodes[got - 1] : dir;
		struct gnode *g;

		if (r == 0)
			r = gnode_get(dir->sb, a->nodes[i], asked_ns, &g);
		if (r == 0) {
			__atomic_store_n(&g->parent, parent->ino, __ATOMIC_RELAXED);
			gnode_seen(parent, &names[got], g, asked_ns);
			if (gsuper_of(dir)->shared && !gsuper_of(dir)->relaxed)
				gnode_asked(g, c, asked_ns);
			inodes[got++] = &g->i;
		}
	}
	if (r == 0 && got < n && a->stopped == ENOENT) {
		gnode_seen(got ? inodes[got - 1] : dir, &names[got], NULL, asked_ns);
		*missing = true;
	} else if (r == 0 && got == 0)
		r = a->stopped && a->stopped < 4096 ? -(int)a->stopped : -EIO;
	gofer_rep_free(a);
	/* What was found before something went wrong is good. */
	return r < 0 && got == 0 ? r : got;
}

/* As far as listings go without a request, then by one. */
static int
gofer_walk(struct inode *dir, const struct call *c, const struct name *names, int n,
	struct inode **inodes, bool *missing)
{
	struct inode *at = dir;
	int got = 0, r;

	*missing = false;
	while (got < n) {
		if (!inode_is_dir(at))
			return got;
		r = gdir_lookup(at, &names[got], got == n - 1, &inodes[got]);
		if (r == -ENOENT) {
			*missing = true;
			return got;
		}
		if (r == -EAGAIN) {
			r = walk_there(at, c, names + got, n - got, inodes + got, missing);
			return r < 0 ? (got ? got : r) : got + r;
		}
		if (r < 0)
			return got ? got : r;
		at = inodes[got++];
	}
	return got;
}

static int
gofer_lookup(struct inode *dir, const struct call *c, const struct name *n, struct inode **ret)
{
	bool missing;
	int r = gofer_walk(dir, c, n, 1, ret, &missing);

	if (r < 0)
		return r;
	return r == 0 ? -ENOENT : 0;
}

static int
gofer_revalidate(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	struct gnode *d = gnode_of(dir), *g = inode ? gnode_of(inode) : NULL;
	struct inode *now;
	int r;

	if (gsuper_of(dir)->relaxed &&
		just_asked(d, name_key(dir, n), g, sched_now_ns() - gsuper_of(dir)->relax_ns))
		return 1;
	r = gofer_lookup(dir, c, n, &now);
	if (r == -ENOENT)
		return inode == NULL;
	if (r < 0)
		return r;
	r = now == inode; /* its attributes were refreshed by the walk */
	inode_put(now);
	return r;
}

/* --- new names --- */

static uint64_t
host_dev(uint32_t d)
{
	return makedev(LX_MAJOR(d), LX_MINOR(d));
}

static int
new_node(struct inode *dir, const struct call *c, uint16_t type, const struct name *n,
	const struct inode_spec *spec, struct inode **ret)
{
	Gofer__NewReq q = GOFER__NEW_REQ__INIT;
	Gofer__NodeRep *a;
	int64_t asked_ns = sched_now_ns();
	struct gnode *g;
	int fd, r;

	q.dir = gnode_of(dir)->id;
	if (n)
		q.name = bytes(n);
	q.mode = spec->mode;
	q.uid = spec->uid;
	q.gid = spec->gid;
	q.by_uid = c->cred->fsuid;
	q.by_gid = c->cred->fsgid;
	q.rdev = host_dev(spec->rdev);
	if (spec->target)
		q.target = wire_bytes(spec->target, strlen(spec->target));
	q.access = WIRE_READ | WIRE_WRITE;
	r = gofer_call(gconn_of(dir), type, &q.base, &a, &fd);
	if (r < 0)
		return r;
	r = gnode_get(dir->sb, a->node, asked_ns, &g);
	gofer_rep_free(a);
	if (r == 0 && fd >= 0 && LX_S_ISREG(inode_mode(&g->i))) {
		/* Keep it for the open that follows. */
		mutex_lock(&g->lock);
		if (g->fd_rw < 0) {
			g->fd_rw = fd;
			fd = -1;
		}
		mutex_unlock(&g->lock);
	}
	if (fd >= 0)
		host_fd_close(fd);
	if (r < 0)
		return r;
	*ret = &g->i;
	return 0;
}

static int
gofer_create(struct inode *dir, const struct call *c, const struct name *n,
	const struct inode_spec *spec, struct inode **ret)
{
	uint16_t type = GOFER_MKNOD;
	int r;

	if (LX_S_ISREG(spec->mode))
		type = GOFER_CREATE;
	else if (LX_S_ISDIR(spec->mode))
		type = GOFER_MKDIR;
	else if (LX_S_ISLNK(spec->mode))
		type = GOFER_SYMLINK;
	r = new_node(dir, c, type, n, spec, ret);
	if (r < 0)
		return r;
	if (type == GOFER_MKDIR)
		count_dir(dir, 1);
	dir_changed(dir);
	return 0;
}

static int
gofer_tmpfile(
	struct inode *dir, const struct call *c, const struct inode_spec *spec, struct inode **ret)
{
	return new_node(dir, c, GOFER_TMPFILE, NULL, spec, ret);
}

static int
gofer_link(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	Gofer__LinkReq q = GOFER__LINK_REQ__INIT;
	int64_t asked_ns = sched_now_ns();
	Gofer__AttrRep *a;
	int r;

	q.node = gnode_of(inode)->id;
	q.dir = gnode_of(dir)->id;
	q.name = bytes(n);
	q.by_uid = c->cred->fsuid;
	q.by_gid = c->cred->fsgid;
	r = gofer_call(gconn_of(dir), GOFER_LINK, &q.base, &a, NULL);
	if (r < 0)
		return r;
	gnode_apply_attr(gnode_of(inode), a->attr, asked_ns);
	gofer_rep_free(a);
	dir_changed(dir);
	return 0;
}

static int
remove_name(struct inode *dir, const struct name *n, struct inode *inode, bool rmdir)
{
	Gofer__UnlinkReq q = GOFER__UNLINK_REQ__INIT;
	int r;

	q.dir = gnode_of(dir)->id;
	q.name = bytes(n);
	q.rmdir = rmdir;
	r = gofer_call(gconn_of(dir), GOFER_UNLINK, &q.base, NULL, NULL);
	if (r < 0)
		return r;
	if (rmdir) {
		inode_set_nlink(inode, 0);
		count_dir(dir, -1);
	} else {
		inode_add_nlink(inode, -1);
		inode_touch(inode, INODE_T_CTIME);
	}
	dir_changed(dir);
	return 0;
}

static int
gofer_unlink(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	(void)c;
	return remove_name(dir, n, inode, false);
}

static int
gofer_rmdir(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	(void)c;
	return remove_name(dir, n, inode, true);
}

static int
gofer_rename(struct inode *old_dir, const struct call *c, const struct name *old_name,
	struct inode *inode, struct inode *new_dir, const struct name *new_name,
	struct inode *target, uint32_t flags)
{
	Gofer__RenameReq q = GOFER__RENAME_REQ__INIT;
	bool dir = inode_is_dir(inode), target_dir = target && inode_is_dir(target);
	int r;

	if (flags & ~(uint32_t)(LX_RENAME_NOREPLACE | LX_RENAME_EXCHANGE))
		return -EINVAL;
	q.old_dir = gnode_of(old_dir)->id;
	q.old_name = bytes(old_name);
	q.new_dir = gnode_of(new_dir)->id;
	q.new_name = bytes(new_name);
	q.flags = (flags & LX_RENAME_NOREPLACE ? WIRE_RENAME_NOREPLACE : 0) |
		  (flags & LX_RENAME_EXCHANGE ? WIRE_RENAME_EXCHANGE : 0);
	q.by_uid = c->cred->fsuid;
	q.by_gid = c->cred->fsgid;
	r = gofer_call(gconn_of(old_dir), GOFER_RENAME, &q.base, NULL, NULL);
	if (r < 0)
		return r;
	if (flags & LX_RENAME_EXCHANGE) {
		count_dir(old_dir, (target_dir ? 1 : 0) - (dir ? 1 : 0));
		count_dir(new_dir, (dir ? 1 : 0) - (target_dir ? 1 : 0));
		inode_touch(target, INODE_T_CTIME);
	} else {
		if (dir) {
			count_dir(old_dir, -1);
			count_dir(new_dir, target ? 0 : 1);
		}
		if (target_dir)
			inode_set_nlink(target, 0);
		else if (target)
			inode_add_nlink(target, -1);
	}
	inode_touch(inode, INODE_T_CTIME);
	dir_changed(old_dir);
	if (new_dir != old_dir)
		dir_changed(new_dir);
	return 0;
}

/* --- listing --- */

/* The guest's position of a host position: 0 and 1 are "." and "..", 2 the host's start. Hosts use
 * either small numbers from 1 on or large ones; the few that would clash stand below the largest.
 */
#define POS_FIRST 2
#define POS_CLASH (INT64_MAX - 16)

static int64_t
pos_of_cookie(int64_t cookie)
{
	return cookie >= 0 && cookie <= POS_FIRST ? POS_CLASH + cookie : cookie;
}

static int64_t
cookie_of_pos(int64_t pos)
{
	if (pos <= POS_FIRST)
		return 0;
	return pos >= POS_CLASH && pos <= POS_CLASH + POS_FIRST ? pos - POS_CLASH : pos;
}

/* An open directory keeps the batch it reads from. */
static int
gofer_iterate(struct file *f, const struct call *c, struct dir_emit *e)
{
	struct gnode *n = gnode_of(f->inode);
	struct gdir *d = f->priv;

	(void)c;
	if (!file_emit_dots(f, e))
		return 0;
	inode_accessed(f->inode, f->path.mnt);
	for (;;) {
		int64_t cookie = cookie_of_pos(f->pos);
		size_t i = 0;
		int r;

		if (d && d->start != cookie)
			while (i < d->rep->n_entries && d->rep->entries[i++]->cookie != cookie)
				;
		/* A rewind sees what has changed. */
		if (!d || (d->start == cookie && f->pos <= POS_FIRST) ||
			(i == d->rep->n_entries && d->start != cookie &&
				(i == 0 || d->rep->entries[i - 1]->cookie != cookie ||
					!d->rep->end))) {
			gdir_free(d);
			f->priv = d = NULL;
			r = gdir_fetch(n, cookie, &d);
			if (r < 0)
				return r;
			f->priv = d;
			i = 0;
		}
		for (; i < d->rep->n_entries; i++) {
			const Gofer__Entry *en = d->rep->entries[i];
			int64_t next = pos_of_cookie(en->cookie);

			if (wire_name_ok(&en->name) &&
				!e->fn(e, (const char *)en->name.data, en->name.len, en->ino,
					(uint8_t)en->type, next))
				return 0;
			f->pos = next;
		}
		if (d->rep->end)
			return 0;
	}
}

static void
gofer_dir_release(struct file *f)
{
	gdir_free(f->priv);
	f->priv = NULL;
}

static int
gofer_dir_fsync(struct file *f, const struct call *c, bool data_only)
{
	Gofer__NodeReq q = GOFER__NODE_REQ__INIT;

	(void)c, (void)data_only;
	if (gsuper_of(f->inode)->readonly)
		return 0;
	q.node = gnode_of(f->inode)->id;
	return gofer_call(gconn_of(f->inode), GOFER_SYNCDIR, &q.base, NULL, NULL);
}

const struct inode_ops gofer_dir_ops = {
	.lookup = gofer_lookup,
	.walk = gofer_walk,
	.create = gofer_create,
	.tmpfile = gofer_tmpfile,
	.link = gofer_link,
	.unlink = gofer_unlink,
	.rmdir = gofer_rmdir,
	.rename = gofer_rename,
	.revalidate = gofer_revalidate,
	.refresh = gofer_refresh,
	.setattr = gofer_setattr,
	.getxattr = gofer_getxattr,
	.setxattr = gofer_setxattr,
	.listxattr = gofer_listxattr,
	.removexattr = gofer_removexattr,
	.free = gnode_free,
};

const struct file_ops gofer_dir_fops = {
	.release = gofer_dir_release,
	.read = file_read_dir,
	.lseek = file_lseek_dir,
	.iterate = gofer_iterate,
	.fsync = gofer_dir_fsync,
};
