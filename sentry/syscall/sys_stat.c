/* SPDX-License-Identifier: Apache-2.0 */
/* stat, statx, statfs, access, readlink. */
#include "file_util.h"
#include "sentry/vfs/fs.h"
#include <stdlib.h>
#include <string.h>

static int
put_stat(struct task *t, const struct lx_stat_all *st, uint64_t addr)
{
	struct lx_stat o;

	memset(&o, 0, sizeof o);
	o.dev = lx_dev_encode(st->dev);
	o.ino = st->ino;
	o.nlink = st->nlink;
	o.mode = st->mode;
	o.uid = uid_out(t->cred->user_ns, st->uid);
	o.gid = gid_out(t->cred->user_ns, st->gid);
	o.rdev = lx_dev_encode(st->rdev);
	o.size = st->size;
	o.blksize = st->blksize;
	o.blocks = (int64_t)st->blocks;
	o.atime = st->atime;
	o.mtime = st->mtime;
	o.ctime = st->ctime;
	return copy_out(t->call.um, ua(addr), &o, sizeof o);
}

static int64_t
stat_path(struct task *t, int dirfd, uint64_t path, int at_flags, uint64_t out)
{
	struct lx_stat_all st;
	struct path p;
	int r = upath_lookup(t, dirfd, path, at_flags, &p);

	if (r)
		return r;
	r = vfs_getattr(&t->call, &p, 0, &st);
	path_put(&p);
	return r ? r : put_stat(t, &st, out);
}

int64_t
sys_stat(struct task *t, const uint64_t a[6])
{
	return stat_path(t, LX_AT_FDCWD, a[0], 0, a[1]);
}

int64_t
sys_lstat(struct task *t, const uint64_t a[6])
{
	return stat_path(t, LX_AT_FDCWD, a[0], LX_AT_SYMLINK_NOFOLLOW, a[1]);
}

int64_t
sys_fstat(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file_raw(t, arg_int(a[0]));
	struct lx_stat_all st;
	int r;

	if (!f)
		return -EBADF;
	r = vfs_getattr(&t->call, &f->path, 0, &st);
	file_put(f);
	return r ? r : put_stat(t, &st, a[1]);
}

int64_t
sys_newfstatat(struct task *t, const uint64_t a[6])
{
	int flags = arg_int(a[3]);

	if (flags & ~(LX_AT_SYMLINK_NOFOLLOW | LX_AT_NO_AUTOMOUNT | LX_AT_EMPTY_PATH |
			    LX_AT_STATX_SYNC_TYPE))
		return -EINVAL;
	return stat_path(t, arg_int(a[0]), a[1], flags, a[2]);
}

static struct lx_statx_ts
statx_ts(struct lx_timespec ts)
{
	return (struct lx_statx_ts){ts.sec, (uint32_t)ts.nsec, 0};
}

int64_t
sys_statx(struct task *t, const uint64_t a[6])
{
	int flags = arg_int(a[2]), sync = flags & LX_AT_STATX_SYNC_TYPE;
	uint32_t mask = (uint32_t)a[3];
	struct lx_stat_all st;
	struct lx_statx o;
	struct path p;
	int r;

	if (mask & LX_STATX__RESERVED)
		return -EINVAL;
	if (sync == LX_AT_STATX_SYNC_TYPE)
		return -EINVAL;
	if (flags & ~(LX_AT_SYMLINK_NOFOLLOW | LX_AT_NO_AUTOMOUNT | LX_AT_EMPTY_PATH |
			    LX_AT_STATX_SYNC_TYPE))
		return -EINVAL;
	r = upath_lookup(t, arg_int(a[0]), a[1], flags, &p);
	if (r)
		return r;
	r = vfs_getattr(&t->call, &p, (uint32_t)sync, &st);
	path_put(&p);
	if (r)
		return r;
	memset(&o, 0, sizeof o);
	o.mask = st.mask & (LX_STATX_BASIC_STATS | LX_STATX_BTIME | LX_STATX_MNT_ID);
	if (mask & LX_STATX_MNT_ID_UNIQUE)
		o.mask = (o.mask & ~LX_STATX_MNT_ID) | LX_STATX_MNT_ID_UNIQUE;
	o.blksize = st.blksize;
	o.attributes = st.attributes;
	o.attributes_mask = st.attributes_mask;
	o.nlink = st.nlink;
	o.uid = uid_out(t->cred->user_ns, st.uid);
	o.gid = gid_out(t->cred->user_ns, st.gid);
	o.mode = (uint16_t)st.mode;
	o.ino = st.ino;
	o.size = (uint64_t)st.size;
	o.blocks = st.blocks;
	o.atime = statx_ts(st.atime);
	o.mtime = statx_ts(st.mtime);
	o.ctime = statx_ts(st.ctime);
	o.btime = statx_ts(st.btime);
	o.rdev_major = LX_MAJOR(st.rdev);
	o.rdev_minor = LX_MINOR(st.rdev);
	o.dev_major = LX_MAJOR(st.dev);
	o.dev_minor = LX_MINOR(st.dev);
	o.mnt_id = st.mnt_id + (o.mask & LX_STATX_MNT_ID_UNIQUE ? MNT_UNIQUE_OFFSET : 0);
	return copy_out(t->call.um, ua(a[4]), &o, sizeof o);
}

#define ANON_INODE_FS_MAGIC 0x09041934
#define PIPEFS_MAGIC	    0x50495045
#define SOCKFS_MAGIC	    0x534f434b

/* Here one file system has all that has no name; in Linux pipes and sockets have their own. */
static int64_t
magic_of(const struct path *p)
{
	uint32_t kind = inode_load(p->dentry->inode->mode) & LX_S_IFMT;

	if (p->dentry->sb->magic != ANON_INODE_FS_MAGIC)
		return p->dentry->sb->magic;
	return kind == LX_S_IFIFO    ? PIPEFS_MAGIC
	       : kind == LX_S_IFSOCK ? SOCKFS_MAGIC
				     : ANON_INODE_FS_MAGIC;
}

static int64_t
put_statfs(struct task *t, const struct path *p, uint64_t addr)
{
	struct super *sb =
		p->dentry->sb; /* of a file without a name its own, not that of its mount */
	uint32_t mf = atomic_load(&p->mnt->flags);
	struct lx_statfs st;
	int r;

	memset(&st, 0, sizeof st);
	st.type = magic_of(p);
	st.bsize = st.frsize = sb->blksize;
	st.namelen = LX_NAME_MAX;
	st.fsid[0] = (int32_t)sb->dev;
	r = sb->ops && sb->ops->statfs ? sb->ops->statfs(sb, &t->call, &st) : 0;
	if (r)
		return r;
	st.flags = LX_ST_VALID;
	if ((mf & MNT_RDONLY) || (atomic_load(&sb->flags) & SUPER_RDONLY))
		st.flags |= LX_ST_RDONLY;
	st.flags |= mf & MNT_NOSUID ? LX_ST_NOSUID : 0;
	st.flags |= mf & MNT_NODEV ? LX_ST_NODEV : 0;
	st.flags |= mf & MNT_NOEXEC ? LX_ST_NOEXEC : 0;
	st.flags |= mf & MNT_NOATIME ? LX_ST_NOATIME : 0;
	st.flags |= mf & MNT_NODIRATIME ? LX_ST_NODIRATIME : 0;
	st.flags |= mf & MNT_RELATIME ? LX_ST_RELATIME : 0;
	st.flags |= mf & MNT_NOSYMFOLLOW ? LX_ST_NOSYMFOLLOW : 0;
	return copy_out(t->call.um, ua(addr), &st, sizeof st);
}

int64_t
sys_statfs(struct task *t, const uint64_t a[6])
{
	struct path p;
	int64_t r = upath_lookup(t, LX_AT_FDCWD, a[0], 0, &p);

	if (r)
		return r;
	r = put_statfs(t, &p, a[1]);
	path_put(&p);
	return r;
}

int64_t
sys_fstatfs(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file_raw(t, arg_int(a[0]));
	int64_t r;

	if (!f)
		return -EBADF;
	r = put_statfs(t, &f->path, a[1]);
	file_put(f);
	return r;
}

static int64_t
do_access(struct task *t, int dirfd, uint64_t path, int mode, int flags)
{
	struct call c = t->call;
	struct cred *real = NULL;
	struct upath up;
	struct path p;
	int r;

	if (mode & ~(LX_R_OK | LX_W_OK | LX_X_OK))
		return -EINVAL;
	if (flags & ~(LX_AT_EACCESS | LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
		return -EINVAL;
	if (!(flags & LX_AT_EACCESS)) {
		const struct cred *cr = t->cred;

		if (cr->fsuid != cr->uid || cr->fsgid != cr->gid ||
			cr->cap_effective != (cr->uid ? 0 : cr->cap_permitted)) {
			real = cred_dup(cr);
			if (!real)
				return -ENOMEM;
			real->fsuid = real->uid;
			real->fsgid = real->gid;
			if (!(real->securebits & 4u)) /* SECBIT_NO_SETUID_FIXUP */
				real->cap_effective = real->uid ? 0 : real->cap_permitted;
			c.cred = real;
		}
	}
	r = upath_get(t, &up, dirfd, path, flags & LX_AT_EMPTY_PATH);
	if (!r) {
		r = vfs_lookup(&c, up.base, up.s,
			(flags & LX_AT_SYMLINK_NOFOLLOW ? 0 : LOOKUP_FOLLOW) |
				(flags & LX_AT_EMPTY_PATH ? LOOKUP_EMPTY : 0),
			&p);
		upath_fini(&up);
	}
	if (!r) {
		r = vfs_access(&c, &p, mode);
		path_put(&p);
	}
	cred_put(real);
	return r;
}

int64_t
sys_access(struct task *t, const uint64_t a[6])
{
	return do_access(t, LX_AT_FDCWD, a[0], arg_int(a[1]), 0);
}

int64_t
sys_faccessat(struct task *t, const uint64_t a[6])
{
	return do_access(t, arg_int(a[0]), a[1], arg_int(a[2]), 0);
}

int64_t
sys_faccessat2(struct task *t, const uint64_t a[6])
{
	return do_access(t, arg_int(a[0]), a[1], arg_int(a[2]), arg_int(a[3]));
}

static int64_t
do_readlink(struct task *t, int dirfd, uint64_t path, uint64_t buf, int size)
{
	bool empty;
	struct upath up;
	struct path p;
	char *text;
	ssize_t n;
	int r;

	if (size <= 0)
		return -EINVAL;
	r = upath_get(t, &up, dirfd, path, true);
	if (r)
		return r;
	empty = !*up.s;
	if (empty && (!path || !up.dir)) {
		upath_fini(&up);
		return path ? -ENOENT : -EFAULT;
	}
	r = vfs_lookup(&t->call, up.base, up.s, LOOKUP_EMPTY, &p);
	upath_fini(&up);
	if (r)
		return r;
	text = malloc(LX_PATH_MAX);
	if (!text)
		n = -ENOMEM;
	else
		n = vfs_readlink(
			&t->call, &p, text, size < LX_PATH_MAX ? (size_t)size : LX_PATH_MAX);
	if (n == -EINVAL && empty)
		n = -ENOENT; /* an O_PATH descriptor that is no symlink */
	path_put(&p);
	if (n > 0 && copy_out(t->call.um, ua(buf), text, (size_t)n))
		n = -EFAULT;
	free(text);
	return n;
}

int64_t
sys_readlink(struct task *t, const uint64_t a[6])
{
	return do_readlink(t, LX_AT_FDCWD, a[0], a[1], arg_int(a[2]));
}

int64_t
sys_readlinkat(struct task *t, const uint64_t a[6])
{
	return do_readlink(t, arg_int(a[0]), a[1], a[2], arg_int(a[3]));
}
