/* SPDX-License-Identifier: Apache-2.0 */
/* Modes, owners, times, sizes, and writing back. */
#include "file_util.h"
#include "sentry/kernel/limits.h"

static int64_t
do_chmod(struct task *t, int dirfd, uint64_t path, uint32_t mode, int flags)
{
	struct path p;
	int r;

	if (flags & ~(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
		return -EINVAL;
	r = upath_lookup(t, dirfd, path, flags, &p);
	if (r)
		return r;
	r = vfs_chmod(&t->call, &p, mode);
	path_put(&p);
	return r;
}

int64_t
sys_chmod(struct task *t, const uint64_t a[6])
{
	return do_chmod(t, LX_AT_FDCWD, a[0], (uint32_t)a[1], 0);
}

int64_t
sys_fchmodat(struct task *t, const uint64_t a[6])
{
	return do_chmod(t, arg_int(a[0]), a[1], (uint32_t)a[2], 0);
}

int64_t
sys_fchmodat2(struct task *t, const uint64_t a[6])
{
	return do_chmod(t, arg_int(a[0]), a[1], (uint32_t)a[2], arg_int(a[3]));
}

int64_t
sys_fchmod(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file(t, arg_int(a[0]));
	int r;

	if (!f)
		return -EBADF;
	r = vfs_chmod(&t->call, &f->path, (uint32_t)a[1]);
	file_put(f);
	return r;
}

static int
chown_ids(struct task *t, const struct path *p, uint32_t uid, uint32_t gid)
{
	uint32_t u = uid_in(t->cred->user_ns, uid), g = gid_in(t->cred->user_ns, gid);

	if ((u == UINT32_MAX && u != uid) || (g == UINT32_MAX && g != gid))
		return -EINVAL;
	return vfs_chown(&t->call, p, u, g);
}

static int64_t
do_chown(struct task *t, int dirfd, uint64_t path, uint64_t uid, uint64_t gid, int flags)
{
	struct path p;
	int r;

	if (flags & ~(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
		return -EINVAL;
	r = upath_lookup(t, dirfd, path, flags, &p);
	if (r)
		return r;
	r = chown_ids(t, &p, (uint32_t)uid, (uint32_t)gid);
	path_put(&p);
	return r;
}

int64_t
sys_chown(struct task *t, const uint64_t a[6])
{
	return do_chown(t, LX_AT_FDCWD, a[0], a[1], a[2], 0);
}

int64_t
sys_lchown(struct task *t, const uint64_t a[6])
{
	return do_chown(t, LX_AT_FDCWD, a[0], a[1], a[2], LX_AT_SYMLINK_NOFOLLOW);
}

int64_t
sys_fchownat(struct task *t, const uint64_t a[6])
{
	return do_chown(t, arg_int(a[0]), a[1], a[2], a[3], arg_int(a[4]));
}

int64_t
sys_fchown(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file(t, arg_int(a[0]));
	int r;

	if (!f)
		return -EBADF;
	r = chown_ids(t, &f->path, (uint32_t)a[1], (uint32_t)a[2]);
	file_put(f);
	return r;
}

int64_t
sys_umask(struct task *t, const uint64_t a[6])
{
	return atomic_exchange(&t->fs->umask, (uint32_t)a[0] & 0777u);
}

/* --- times --- */

#define UTIME_NOW_NS  0x3fffffff
#define UTIME_OMIT_NS 0x3ffffffe

static bool
bad_nsec(int64_t ns)
{
	return ns != UTIME_NOW_NS && ns != UTIME_OMIT_NS && (ns < 0 || ns > 999999999);
}

/* ts NULL: both now. */
static void
times_attr(const struct lx_timespec *ts, struct iattr *a)
{
	*a = (struct iattr){.valid = IATTR_ATIME | IATTR_MTIME};
	if (!ts || (ts[0].nsec == UTIME_NOW_NS && ts[1].nsec == UTIME_NOW_NS)) {
		a->valid |= IATTR_ATIME_NOW | IATTR_MTIME_NOW;
		return;
	}
	a->atime = ts[0];
	a->mtime = ts[1];
	if (ts[0].nsec == UTIME_NOW_NS)
		a->valid |= IATTR_ATIME_NOW;
	else if (ts[0].nsec == UTIME_OMIT_NS)
		a->valid &= ~IATTR_ATIME;
	if (ts[1].nsec == UTIME_NOW_NS)
		a->valid |= IATTR_MTIME_NOW;
	else if (ts[1].nsec == UTIME_OMIT_NS)
		a->valid &= ~IATTR_MTIME;
}

static int64_t
do_utimes(struct task *t, int dirfd, uint64_t path, const struct lx_timespec *ts, int flags)
{
	struct iattr a;
	struct path p;
	int r;

	if (ts && (bad_nsec(ts[0].nsec) || bad_nsec(ts[1].nsec)))
		return -EINVAL;
	if (flags & ~(LX_AT_SYMLINK_NOFOLLOW | LX_AT_EMPTY_PATH))
		return -EINVAL;
	times_attr(ts, &a);
	if (!path && dirfd != LX_AT_FDCWD) {
		struct file *f;

		if (flags)
			return -EINVAL;
		f = task_file(t, dirfd);
		if (!f)
			return -EBADF;
		r = vfs_setattr(&t->call, &f->path, &a);
		file_put(f);
		return r;
	}
	r = upath_lookup(t, dirfd, path, flags, &p);
	if (r)
		return r;
	r = vfs_setattr(&t->call, &p, &a);
	path_put(&p);
	return r;
}

int64_t
sys_utimensat(struct task *t, const uint64_t a[6])
{
	struct lx_timespec ts[2];

	if (!a[2])
		return do_utimes(t, arg_int(a[0]), a[1], NULL, arg_int(a[3]));
	if (copy_in(t->call.um, ts, ua(a[2]), sizeof ts))
		return -EFAULT;
	/* nothing to do, whatever the path */
	if (ts[0].nsec == UTIME_OMIT_NS && ts[1].nsec == UTIME_OMIT_NS)
		return 0;
	return do_utimes(t, arg_int(a[0]), a[1], ts, arg_int(a[3]));
}

static int64_t
utimes_at(struct task *t, int dirfd, uint64_t path, uint64_t times)
{
	struct lx_timeval tv[2];
	struct lx_timespec ts[2];

	if (!times)
		return do_utimes(t, dirfd, path, NULL, 0);
	if (copy_in(t->call.um, tv, ua(times), sizeof tv))
		return -EFAULT;
	for (int i = 0; i < 2; i++) {
		if (tv[i].usec < 0 || tv[i].usec >= 1000000)
			return -EINVAL;
		ts[i] = (struct lx_timespec){tv[i].sec, tv[i].usec * 1000};
	}
	return do_utimes(t, dirfd, path, ts, 0);
}

int64_t
sys_utimes(struct task *t, const uint64_t a[6])
{
	return utimes_at(t, LX_AT_FDCWD, a[0], a[1]);
}

int64_t
sys_futimesat(struct task *t, const uint64_t a[6])
{
	return utimes_at(t, arg_int(a[0]), a[1], a[2]);
}

int64_t
sys_utime(struct task *t, const uint64_t a[6])
{
	struct lx_timespec ts[2] = {{0, 0}, {0, 0}};
	int64_t sec[2];

	if (!a[1])
		return do_utimes(t, LX_AT_FDCWD, a[0], NULL, 0);
	if (copy_in(t->call.um, sec, ua(a[1]), sizeof sec))
		return -EFAULT;
	ts[0].sec = sec[0];
	ts[1].sec = sec[1];
	return do_utimes(t, LX_AT_FDCWD, a[0], ts, 0);
}

/* --- sizes --- */

/* A size beyond RLIMIT_FSIZE also sends a signal. */
static int64_t
too_big_signal(struct task *t, int64_t r)
{
	if (r == -EFBIG && rlimit_cur(t->call.rlim, LX_RLIMIT_FSIZE) != LX_RLIM_INFINITY) {
		kernel_file_too_large();
		signal_send_task(t, LX_SIGXFSZ, NULL);
	}
	return r;
}

int64_t
sys_truncate(struct task *t, const uint64_t a[6])
{
	struct path p;
	int r;

	if ((int64_t)a[1] < 0)
		return -EINVAL;
	r = upath_lookup(t, LX_AT_FDCWD, a[0], 0, &p);
	if (r)
		return r;
	r = vfs_truncate(&t->call, &p, (int64_t)a[1]);
	path_put(&p);
	return too_big_signal(t, r);
}

int64_t
sys_ftruncate(struct task *t, const uint64_t a[6])
{
	struct file *f;
	int r;

	if ((int64_t)a[1] < 0)
		return -EINVAL;
	f = task_file(t, arg_int(a[0]));
	if (!f)
		return -EBADF;
	r = vfs_ftruncate(&t->call, f, (int64_t)a[1]);
	file_put(f);
	return too_big_signal(t, r);
}

int64_t
sys_fallocate(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file(t, arg_int(a[0]));
	int r;

	if (!f)
		return -EBADF;
	r = vfs_fallocate(f, &t->call, arg_int(a[1]), (int64_t)a[2], (int64_t)a[3]);
	file_put(f);
	return too_big_signal(t, r);
}

/* --- writing back --- */

static int64_t
do_fsync(struct task *t, const uint64_t a[6], bool data_only)
{
	struct file *f = task_file(t, arg_int(a[0]));
	int r;

	if (!f)
		return -EBADF;
	r = vfs_fsync(f, &t->call, data_only);
	file_put(f);
	return r;
}

int64_t
sys_fsync(struct task *t, const uint64_t a[6])
{
	return do_fsync(t, a, false);
}

int64_t
sys_fdatasync(struct task *t, const uint64_t a[6])
{
	return do_fsync(t, a, true);
}

int64_t
sys_sync_file_range(struct task *t, const uint64_t a[6])
{
	const uint32_t known = LX_SYNC_FILE_RANGE_WAIT_BEFORE | LX_SYNC_FILE_RANGE_WRITE |
			       LX_SYNC_FILE_RANGE_WAIT_AFTER;
	int64_t off = (int64_t)a[1], len = (int64_t)a[2], end;
	struct file *f = task_file(t, arg_int(a[0]));
	uint32_t mode;
	int r = 0;

	if (!f)
		return -EBADF;
	mode = inode_mode(f->inode);
	if (((uint32_t)a[3] & ~known) || off < 0 || len < 0 ||
		__builtin_add_overflow(off, len, &end))
		r = -EINVAL;
	else if (!LX_S_ISREG(mode) && !LX_S_ISBLK(mode) && !LX_S_ISDIR(mode) && !LX_S_ISLNK(mode))
		r = -ESPIPE;
	else if (a[3] & (LX_SYNC_FILE_RANGE_WAIT_BEFORE | LX_SYNC_FILE_RANGE_WAIT_AFTER))
		r = f->ops->fsync ? f->ops->fsync(f, &t->call, true)
				  : 0; /* more than was asked for */
	file_put(f);
	return r;
}

int64_t
sys_syncfs(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file(t, arg_int(a[0]));
	struct super *sb;
	int r;

	if (!f)
		return -EBADF;
	sb = f->path.mnt->sb;
	r = sb->ops && sb->ops->sync ? sb->ops->sync(sb, &t->call) : 0;
	file_put(f);
	return r;
}

int64_t
sys_sync(struct task *t, const uint64_t a[6])
{
	(void)a;
	mnt_ns_sync(t->fs->ns, &t->call);
	return 0;
}

int64_t
sys_readahead(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file(t, arg_int(a[0]));
	int r = 0;

	if (!f)
		return -EBADF;
	if (!(f->mode & LX_FMODE_READ))
		r = -EBADF;
	else if (!LX_S_ISREG(inode_mode(f->inode)))
		r = -EINVAL;
	file_put(f);
	return r; /* the host reads ahead by itself */
}

int64_t
sys_fadvise64(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file(t, arg_int(a[0]));
	int r = 0;

	if (!f)
		return -EBADF;
	if (LX_S_ISFIFO(inode_mode(f->inode)))
		r = -ESPIPE;
	else if ((int64_t)a[2] < 0 || (uint32_t)a[3] > 5)
		r = -EINVAL;
	file_put(f);
	return r;
}
