/* SPDX-License-Identifier: Apache-2.0 */
/* overlayfs: copying up. What is made is made in the work directory, and moved into its place when
 * it is whole. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
ovl_temp_name(char name[OVL_TEMP_NAME])
{
	static _Atomic uint64_t next;

	snprintf(name, OVL_TEMP_NAME, "#%lx", (unsigned long)atomic_fetch_add(&next, 1));
}

/* Do it for each name in a directory of the upper file system. What cannot be read stays. */
static void
each_name(const struct ovl_super *o, const struct call *k, const struct path *dir,
	void (*fn)(
		const struct ovl_super *, const struct call *, const struct path *, const char *))
{
	struct stacked_list l = {0};
	struct file *f;

	if (vfs_open_quiet(k, dir, LX_O_RDONLY | LX_O_DIRECTORY, &f))
		return;
	if (!ovl_list_real(f, k, &l, 0))
		for (size_t i = 0; i < l.n; i++) {
			char name[LX_NAME_MAX + 1];

			memcpy(name, l.text + l.list[i].at, l.list[i].len);
			name[l.list[i].len] = 0;
			fn(o, k, dir, name);
		}
	file_put(f);
	stacked_list_free(&l);
}

static void
unlink_name(
	const struct ovl_super *o, const struct call *k, const struct path *dir, const char *name)
{
	(void)o;
	vfs_unlink(k, dir, name);
}

void
ovl_clean(const struct ovl_super *o, const struct call *k, const char *name)
{
	const struct path work = ovl_work_path(o);
	struct path p;

	if (vfs_unlink(k, &work, name) != -EISDIR || vfs_lookup(k, &work, name, 0, &p))
		return;
	/* whiteouts are all that a directory has that is to be removed */
	each_name(o, k, &p, unlink_name);
	path_put(&p);
	vfs_rmdir(k, &work, name);
}

static void
clean_name(
	const struct ovl_super *o, const struct call *k, const struct path *dir, const char *name)
{
	(void)dir;
	ovl_clean(o, k, name);
}

void
ovl_clean_all(const struct ovl_super *o, const struct call *k)
{
	const struct path work = ovl_work_path(o);

	each_name(o, k, &work, clean_name);
}

static int
give_owner_and_mode(const struct call *k, const struct path *p, const struct inode_spec *spec)
{
	struct inode *i = p->dentry->inode;
	struct iattr a = {.uid = spec->uid, .gid = spec->gid};
	int r = 0;

	if (inode_load(i->uid) != spec->uid)
		a.valid |= IATTR_UID;
	if (inode_load(i->gid) != spec->gid)
		a.valid |= IATTR_GID;
	if (a.valid)
		r = vfs_setattr(k, p, &a);
	if (!r && !LX_S_ISLNK(spec->mode) && ((inode_mode(i) ^ spec->mode) & LX_S_IALLUGO)) {
		a = (struct iattr){.valid = IATTR_MODE, .mode = spec->mode & LX_S_IALLUGO};
		r = vfs_setattr(k, p, &a);
	}
	return r;
}

int
ovl_make(const struct call *k, const struct path *dir, const char *name,
	const struct inode_spec *spec, struct dentry **ret)
{
	const struct name n = ovl_name(name);
	struct dentry *d = NULL;
	struct path p;
	int r;

	if (LX_S_ISDIR(spec->mode))
		r = vfs_mkdir(k, dir, name, spec->mode);
	else if (LX_S_ISLNK(spec->mode))
		r = vfs_symlink(k, spec->target, dir, name);
	else
		r = vfs_mknod(k, dir, name, spec->mode, spec->rdev);
	if (r)
		return r;
	r = ovl_look(k, dir->dentry, &n, &d);
	if (!r && !d)
		r = -EIO;
	if (!r) {
		p = (struct path){dir->mnt, d};
		r = give_owner_and_mode(k, &p, spec);
	}
	if (r) {
		dentry_put(d);
		if (LX_S_ISDIR(spec->mode))
			vfs_rmdir(k, dir, name);
		else
			vfs_unlink(k, dir, name);
		return r;
	}
	*ret = d;
	return 0;
}

static int
copy_contents(const struct call *k, const struct path *from, const struct path *to, int64_t size)
{
	struct file *in = NULL, *out = NULL;
	int r = inode_permission(from->dentry->inode, k, LX_R_OK);

	if (!r)
		r = vfs_open_quiet(k, from, LX_O_RDONLY | LX_O_LARGEFILE, &in);
	if (!r)
		r = vfs_open_quiet(k, to, LX_O_WRONLY | LX_O_LARGEFILE, &out);
	if (!r)
		r = stacked_copy(in, out, k, size);
	if (!r) {
		struct iattr a = {.valid = IATTR_SIZE, .size = size}; /* what ends in a hole */

		r = vfs_setattr(k, to, &a);
	}
	file_put(in);
	file_put(out);
	return r;
}

static bool
begins(const char *name, const char *with)
{
	return !strncmp(name, with, strlen(with));
}

/* The ids in an ACL are not those of the mounter's namespace, as which vfs_setxattr would take
 * them.
 */
static int
set_acl(const struct call *k, const struct path *to, const char *name, const char *val, size_t n)
{
	struct inode *i = to->dentry->inode;
	int r;

	if (!inode_owner_or_capable(i, k))
		return -EPERM;
	if (!i->ops->setxattr)
		return -EOPNOTSUPP;
	r = sleeplock_lock_killable(&i->dir_lock);
	if (r)
		return r;
	r = i->ops->setxattr(i, k, name, val, n, 0);
	inode_acl_changed(i);
	sleeplock_unlock(&i->dir_lock);
	return r;
}

/* As in Linux (ovl_must_copy_xattr), access rules and what is the kernel's are a part of the file;
 * of others, what the upper file system does not take is left out. */
static int
copy_xattr(const struct call *k, const struct path *from, const struct path *to, const char *name,
	char *val)
{
	struct inode *i = from->dentry->inode;
	const bool acl = begins(name, "system.posix_acl_");
	ssize_t n = i->ops->getxattr(i, k, name, val, LX_XATTR_SIZE_MAX);
	int r;

	if (n == -ENODATA || n == -EOPNOTSUPP)
		return 0;
	if (n < 0)
		return (int)n;
	r = acl ? set_acl(k, to, name, val, (size_t)n)
		: vfs_setxattr(k, to, name, val, (size_t)n, 0);
	return r == -EOPNOTSUPP && !acl && !begins(name, "security.") ? 0 : r;
}

static int
copy_xattrs(const struct ovl_super *o, const struct call *k, const struct path *from,
	const struct path *to)
{
	const struct inode *i = from->dentry->inode;
	char *names, *val;
	ssize_t len;
	int r = 0;

	if (!i->ops->listxattr || !i->ops->getxattr)
		return 0;
	names = malloc(LX_XATTR_LIST_MAX);
	val = malloc(LX_XATTR_SIZE_MAX);
	len = names && val ? vfs_listxattr(k, from, names, LX_XATTR_LIST_MAX) : -ENOMEM;
	if (len < 0 && len != -EOPNOTSUPP)
		r = (int)len;
	for (ssize_t at = 0; !r && at < len; at += (ssize_t)strlen(names + at) + 1)
		if (!ovl_is_private(o, names + at))
			r = copy_xattr(k, from, to, names + at, val);
	free(names);
	free(val);
	return r;
}

static int
set_times(const struct call *k, const struct path *p, const struct lx_stat_all *st)
{
	struct iattr a = {
		.valid = IATTR_ATIME | IATTR_MTIME, .atime = st->atime, .mtime = st->mtime};

	return vfs_setattr(k, p, &a);
}

/* Make a whole copy of n in the work directory. */
static int
make_copy(struct ovl_node *n, const struct call *k, int64_t size, const char *temp,
	struct dentry **ret)
{
	struct ovl_super *o = ovl_super_of(n->i.sb);
	const struct path from = ovl_real(n), work = ovl_work_path(o);
	struct inode_spec spec = {0};
	struct lx_stat_all st;
	struct path to = {o->upper.mnt, NULL};
	char *target = NULL;
	int r = vfs_getattr(k, &from, 0, &st);

	if (r)
		return r;
	spec.mode = st.mode;
	spec.uid = st.uid;
	spec.gid = st.gid;
	spec.rdev = st.rdev;
	if (LX_S_ISLNK(st.mode)) {
		ssize_t len;

		target = malloc(LX_PATH_MAX);
		if (!target)
			return -ENOMEM;
		len = vfs_readlink(k, &from, target, LX_PATH_MAX - 1);
		if (len < 0) {
			free(target);
			return (int)len;
		}
		target[len] = 0;
		spec.target = target;
	}
	r = ovl_make(k, &work, temp, &spec, &to.dentry);
	free(target);
	if (r)
		return r;
	if (size > st.size)
		size = st.size;
	if (LX_S_ISREG(st.mode) && st.size)
		r = copy_contents(k, &from, &to, size);
	if (!r)
		r = copy_xattrs(o, k, &from, &to);
	/* writing took some away */
	if (!r)
		r = give_owner_and_mode(k, &to, &spec);
	if (!r)
		r = set_times(k, &to, &st);
	if (r) {
		dentry_put(to.dentry);
		ovl_clean(o, k, temp);
		return r;
	}
	*ret = to.dentry;
	return 0;
}

/* Into its directory, which stays as old as it is. */
static int
move_in(struct ovl_node *n, const struct call *k, const char *temp, struct dentry **d)
{
	struct ovl_super *o = ovl_super_of(n->i.sb);
	const struct path work = ovl_work_path(o), dir = ovl_upper_path(o, n->parent);
	const struct name name = ovl_name(n->name);
	struct lx_stat_all st;
	int r = vfs_getattr(k, &dir, 0, &st);

	if (!r)
		r = vfs_rename(k, &work, temp, &dir, n->name, LX_RENAME_NOREPLACE);
	if (r)
		return r;
	dentry_put(*d);
	*d = NULL;
	set_times(k, &dir, &st);
	r = ovl_look(k, dir.dentry, &name, d);
	return r || *d ? r : -EIO;
}

/* n's up_lock is held; what is above it is in the upper tree. */
static int
copy_one(struct ovl_node *n, const struct call *c, int64_t size)
{
	struct ovl_super *o = ovl_super_of(n->i.sb);
	struct call k = ovl_call(o, c);
	char temp[OVL_TEMP_NAME];
	struct dentry *d;
	int r;

	k.rlim = NULL; /* the limit is on what the guest writes, not on what moves */
	ovl_temp_name(temp);
	r = make_copy(n, &k, size, temp, &d);
	if (r)
		return r;
	if (n->gone) {
		ovl_clean(o, &k, temp);
	} else {
		r = move_in(n, &k, temp, &d);
		if (r) {
			dentry_put(d);
			ovl_clean(o, &k, temp);
			return r;
		}
	}
	atomic_store(&n->upper, d);
	if (!inode_is_dir(d->inode))
		ovl_node_hash(n, d->inode);
	return 0;
}

int
ovl_copy_up(struct ovl_node *n, const struct call *c, int64_t size)
{
	while (!atomic_load(&n->upper)) {
		struct ovl_node *top = n;
		int r;

		if (!ovl_super_of(n->i.sb)->upper.mnt)
			return -EROFS;
		while (!n->gone && top->parent && !atomic_load(&top->parent->upper))
			top = top->parent;
		r = sleeplock_lock_killable(&top->up_lock);
		if (r)
			return r;
		if (!atomic_load(&top->upper))
			r = copy_one(top, c, top == n ? size : INT64_MAX);
		sleeplock_unlock(&top->up_lock);
		if (r)
			return r;
	}
	return 0;
}
