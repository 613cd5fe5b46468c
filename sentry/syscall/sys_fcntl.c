/* SPDX-License-Identifier: Apache-2.0 */
/* fcntl, flock, ioctl. */
#include "abi/ioctl.h"
#include "abi/tty.h"
#include "file_util.h"
#include "sentry/fs/devpts.h"
#include "sentry/fs/pipe.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/kernel/sigio.h"
#include "sentry/syscall/file_block.h"
#include "sentry/vfs/lock.h"

#define SETFL_FLAGS (LX_O_APPEND | LX_O_NONBLOCK | LX_O_ASYNC | LX_O_DIRECT | LX_O_NOATIME)

struct lock_try {
	struct file *f;
	struct lock_request rq;
};

static int64_t
try_lock(void *arg)
{
	struct lock_try *l = arg;

	return file_lock_set(l->f, &l->rq);
}

static int64_t
lock_wait(struct task *t, struct lock_try *l)
{
	struct waitq *q = file_lock_queue(l->f);
	void *cookie;
	int64_t r;

	if (!q)
		return -ENOLCK;
	r = try_lock(l);
	if (r != -EAGAIN)
		return r;
	r = file_lock_wait_begin(l->f, &l->rq, &cookie);
	if (r)
		return r;
	r = queue_block(t, q, ~0u, INT64_MAX, try_lock, l);
	file_lock_wait_end(cookie);
	return r;
}

/* Who closed the descriptor meanwhile gave up what the process had of the file before this one came
 * (Linux: fcntl_setlk). */
static int64_t
still_open(struct task *t, struct file *f, int fd, struct lock_request *rq)
{
	struct file *now = task_file_raw(t, fd);
	bool same = now == f;

	file_put(now);
	if (same)
		return 0;
	rq->type = LX_F_UNLCK;
	(void)file_lock_set(f, rq);
	return -EBADF;
}

static int64_t
set_lock(struct task *t, struct file *f, int fd, uint64_t arg, bool ofd, bool wait)
{
	struct lock_try l = {.f = f};
	struct lx_flock fl;
	int64_t r;

	if (copy_in(t->call.um, &fl, ua(arg), sizeof fl))
		return -EFAULT;
	if (ofd && fl.pid)
		return -EINVAL;
	r = lock_request_init(&l.rq, &t->call, f, &fl, ofd);
	if (r)
		return r;
	if ((fl.type == LX_F_RDLCK && !(f->mode & LX_FMODE_READ)) ||
		(fl.type == LX_F_WRLCK && !(f->mode & LX_FMODE_WRITE)))
		return -EBADF;
	r = wait ? lock_wait(t, &l) : try_lock(&l);
	return r || ofd || fl.type == LX_F_UNLCK ? r : still_open(t, f, fd, &l.rq);
}

static int64_t
get_lock(struct task *t, struct file *f, uint64_t arg, bool ofd)
{
	struct lock_request rq;
	struct lx_flock fl;
	int r;

	if (copy_in(t->call.um, &fl, ua(arg), sizeof fl))
		return -EFAULT;
	if (fl.type != LX_F_RDLCK && fl.type != LX_F_WRLCK)
		return -EINVAL;
	if (ofd && fl.pid)
		return -EINVAL;
	r = lock_request_init(&rq, &t->call, f, &fl, ofd);
	if (r)
		return r;
	file_lock_get(f, &rq, &fl);
	if (fl.type != LX_F_UNLCK && fl.pid > 0)
		fl.pid = pid_nr_out(fl.pid);
	return copy_out(t->call.um, ua(arg), &fl, sizeof fl);
}

int64_t
sys_flock(struct task *t, const uint64_t a[6])
{
	int op = arg_int(a[1]), what = op & ~LX_LOCK_NB;
	struct lock_try l = {.rq = {LOCK_KIND_FLOCK, LX_F_UNLCK, 0, INT64_MAX, 0, task_tgid(t)}};
	int64_t r;

	if (what != LX_LOCK_SH && what != LX_LOCK_EX && what != LX_LOCK_UN)
		return -EINVAL;
	l.f = task_file(t, arg_int(a[0]));
	if (!l.f)
		return -EBADF;
	l.rq.owner = (uintptr_t)l.f;
	if (what != LX_LOCK_UN)
		l.rq.type = what == LX_LOCK_SH ? LX_F_RDLCK : LX_F_WRLCK;
	r = op & LX_LOCK_NB ? try_lock(&l) : lock_wait(t, &l);
	file_put(l.f);
	return r;
}

static int64_t
set_flags(struct task *t, struct file *f, uint32_t flags)
{
	uint32_t old = file_flags(f), n;
	int r = 0;

	if ((flags & LX_O_NOATIME) && !(old & LX_O_NOATIME) &&
		!inode_owner_or_capable(f->inode, &t->call))
		return -EPERM;
	n = (old & ~(uint32_t)SETFL_FLAGS) | (flags & SETFL_FLAGS);
	if (f->ops->set_flags)
		r = f->ops->set_flags(f, n);
	if (!r && ((n ^ old) & LX_O_ASYNC)) {
		r = sigio_set(f, n & LX_O_ASYNC);
		/* Linux: files that cannot tell take the flag, and it does nothing. */
		if (r == -EINVAL)
			r = 0;
	}
	if (!r)
		atomic_store(&f->flags, n);
	return r;
}

/* Who gets SIGIO. Positive: a process; negative: a group. */
static int64_t
set_owner(struct file *f, int who)
{
	if (who == INT32_MIN)
		return -EINVAL;
	who = who < 0 ? -pid_nr_to_global(-who) : pid_nr_to_global(who);
	atomic_store(&f->fown_pid, who);
	return LX_S_ISSOCK(f->inode->mode) ? sigio_set(f, file_flags(f) & LX_O_ASYNC) : 0;
}

static int32_t
owner_of(struct file *f)
{
	int32_t who = atomic_load(&f->fown_pid);

	return who < 0 ? -pid_nr_out(-who) : pid_nr_out(who);
}

static int64_t
set_owner_ex(struct task *t, struct file *f, uint64_t arg)
{
	struct lx_f_owner_ex o;

	if (copy_in(t->call.um, &o, ua(arg), sizeof o))
		return -EFAULT;
	if (o.type != LX_F_OWNER_PID && o.type != LX_F_OWNER_PGRP)
		return -EINVAL;
	if (o.pid < 0)
		return -EINVAL;
	return set_owner(f, o.type == LX_F_OWNER_PGRP ? -o.pid : o.pid);
}

static int64_t
get_owner_ex(struct task *t, struct file *f, uint64_t arg)
{
	int32_t who = owner_of(f);
	struct lx_f_owner_ex o = {who < 0 ? LX_F_OWNER_PGRP : LX_F_OWNER_PID, who < 0 ? -who : who};

	return copy_out(t->call.um, ua(arg), &o, sizeof o);
}

static int64_t
dup_fd(struct task *t, struct file *f, uint64_t from, bool cloexec)
{
	uint64_t limit = rlimit_cur(t->call.rlim, LX_RLIMIT_NOFILE);

	if ((uint32_t)from >= limit || arg_int(from) < 0)
		return -EINVAL;
	return fdtable_install(t->files, f, arg_int(from), limit, cloexec);
}

static int64_t
write_hint(struct task *t, struct file *f, uint64_t arg, bool set)
{
	uint64_t hint = atomic_load(&f->inode->write_hint);

	if (!set)
		return copy_out(t->call.um, ua(arg), &hint, sizeof hint);
	if (!inode_owner_or_capable(f->inode, &t->call))
		return -EPERM;
	if (copy_in(t->call.um, &hint, ua(arg), sizeof hint))
		return -EFAULT;
	if (hint > LX_RWH_MAX)
		return -EINVAL;
	atomic_store(&f->inode->write_hint, (uint8_t)hint);
	return 0;
}

#define NOT_MINE INT64_MIN

/* What works on O_PATH descriptors too; NOT_MINE: another command. */
static int64_t
fcntl_any(struct task *t, struct file *f, int fd, int cmd, uint64_t arg)
{
	switch (cmd) {
	case LX_F_DUPFD:
	case LX_F_DUPFD_CLOEXEC:
		return dup_fd(t, f, arg, cmd == LX_F_DUPFD_CLOEXEC);
	case LX_F_GETFD:
		return fdtable_cloexec_get(t->files, fd);
	case LX_F_SETFD:
		return fdtable_cloexec_set(t->files, fd, arg & LX_FD_CLOEXEC);
	case LX_F_GETFL:
		return file_flags(f);
	case LX_F_DUPFD_QUERY: {
		struct file *o = task_file_raw(t, arg_int(arg));
		int same = o == f;

		if (!o)
			return -EBADF;
		file_put(o);
		return same;
	}
	case LX_F_CREATED_QUERY:
		return !!(f->mode & LX_FMODE_CREATED);
	default:
		return NOT_MINE;
	}
}

static int64_t
fcntl_file(struct task *t, struct file *f, int fd, int cmd, uint64_t arg)
{
	switch (cmd) {
	case LX_F_SETFL:
		return set_flags(t, f, (uint32_t)arg);
	case LX_F_GETLK:
	case LX_F_OFD_GETLK:
		return get_lock(t, f, arg, cmd == LX_F_OFD_GETLK);
	case LX_F_SETLK:
	case LX_F_SETLKW:
		return set_lock(t, f, fd, arg, false, cmd == LX_F_SETLKW);
	case LX_F_OFD_SETLK:
	case LX_F_OFD_SETLKW:
		return set_lock(t, f, fd, arg, true, cmd == LX_F_OFD_SETLKW);
	case LX_F_SETOWN:
		return set_owner(f, arg_int(arg));
	case LX_F_GETOWN:
		return owner_of(f);
	case LX_F_SETOWN_EX:
		return set_owner_ex(t, f, arg);
	case LX_F_GETOWN_EX:
		return get_owner_ex(t, f, arg);
	case LX_F_SETSIG:
		if (arg > LX_NSIG)
			return -EINVAL;
		atomic_store(&f->fown_signo, (int32_t)arg);
		return 0;
	case LX_F_GETSIG:
		return atomic_load(&f->fown_signo);
	case LX_F_GETLEASE:
		return file_lease_get(f);
	case LX_F_SETLEASE:
		return file_lease_set(f, &t->call, fd, arg_int(arg));
	case LX_F_SETPIPE_SZ:
	case LX_F_GETPIPE_SZ:
		return pipe_fcntl(f, &t->call, cmd == LX_F_SETPIPE_SZ, (uint32_t)arg);
	case LX_F_GET_RW_HINT:
	case LX_F_SET_RW_HINT:
		return write_hint(t, f, arg, cmd == LX_F_SET_RW_HINT);
	case LX_F_ADD_SEALS:
		return tmpfs_seals_add(f, (uint32_t)arg);
	case LX_F_GET_SEALS:
		return tmpfs_seals_get(f);
	default:
		return -EINVAL;
	}
}

int64_t
sys_fcntl(struct task *t, const uint64_t a[6])
{
	int fd = arg_int(a[0]), cmd = arg_int(a[1]);
	struct file *f = task_file_raw(t, fd);
	int64_t r;

	if (!f)
		return -EBADF;
	r = fcntl_any(t, f, fd, cmd, a[2]);
	if (r == NOT_MINE)
		r = f->mode & LX_FMODE_PATH ? -EBADF : fcntl_file(t, f, fd, cmd, a[2]);
	file_put(f);
	return r;
}

static int64_t
toggle_flag(struct task *t, struct file *f, uint64_t arg, uint32_t flag)
{
	uint32_t flags = file_flags(f);
	int32_t on;

	if (copy_in(t->call.um, &on, ua(arg), sizeof on))
		return -EFAULT;
	return set_flags(t, f, on ? flags | flag : flags & ~flag);
}

static int64_t
regular_ioctl(struct task *t, struct file *f, uint32_t cmd, uint64_t arg)
{
	int64_t left;
	int32_t v;

	if (cmd != LX_FIONREAD)
		return -ENOTTY;
	left = inode_load(f->inode->size) - f->pos;
	v = left > INT32_MAX ? INT32_MAX : (int32_t)left;
	return copy_out(t->call.um, ua(arg), &v, sizeof v);
}

#define NOT_OF_VFS 1

/* What the vfs answers for any file, before the file is asked (Linux: do_vfs_ioctl). */
static int64_t
vfs_ioctl(struct task *t, struct file *f, uint32_t cmd, uint64_t arg)
{
	uint32_t type = inode_mode(f->inode) & LX_S_IFMT;
	int64_t from[4]; /* struct file_clone_range: a descriptor first */
	uint64_t bytes;

	switch (cmd) {
	case LX_FIGETBSZ:
		return copy_out(t->call.um, ua(arg), &f->inode->sb->blksize, sizeof(uint32_t));
	case LX_FIOQSIZE:
		if (type != LX_S_IFREG && type != LX_S_IFDIR)
			return -ENOTTY;
		bytes = inode_load(f->inode->blocks) * 512;
		return copy_out(t->call.um, ua(arg), &bytes, sizeof bytes);
	case LX_FIFREEZE:
	case LX_FITHAW:
		return cred_capable_in(t->cred, f->inode->sb->user_ns, LX_CAP_SYS_ADMIN)
			       ? -EOPNOTSUPP
			       : -EPERM;
	case LX_FS_IOC_FIEMAP:
		return -EOPNOTSUPP;
	case LX_FICLONE:
		return file_clone(t, f, arg_int(arg));
	case LX_FICLONERANGE:
		if (copy_in(t->call.um, from, ua(arg), sizeof from))
			return -EFAULT;
		return file_clone(t, f, arg_int((uint64_t)from[0]));
	default:
		return NOT_OF_VFS;
	}
}

static int64_t
open_peer(struct task *t, struct file *f, uint32_t flags)
{
	struct file *peer;
	int r = pty_open_peer(f, &t->call, flags & ~(uint32_t)LX_O_CLOEXEC, &peer);

	return r ? r : task_fd_install_put(t, peer, flags & LX_O_CLOEXEC);
}

int64_t
sys_ioctl(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file(t, arg_int(a[0]));
	uint32_t cmd = (uint32_t)a[1];
	int64_t r;

	if (!f)
		return -EBADF;
	switch (cmd) {
	case LX_FIOCLEX:
		r = fdtable_cloexec_set(t->files, arg_int(a[0]), true);
		break;
	case LX_FIONCLEX:
		r = fdtable_cloexec_set(t->files, arg_int(a[0]), false);
		break;
	case LX_FIONBIO:
		r = toggle_flag(t, f, a[2], LX_O_NONBLOCK);
		break;
	case LX_FIOASYNC:
		r = f->ops->poll ? toggle_flag(t, f, a[2], LX_O_ASYNC) : -ENOTTY;
		break;
	case LX_TIOCGPTPEER:
		r = open_peer(t, f, (uint32_t)a[2]);
		break;
	default:
		r = vfs_ioctl(t, f, cmd, a[2]);
		if (r == NOT_OF_VFS)
			r = f->ops->ioctl ? f->ops->ioctl(f, &t->call, cmd, a[2]) : -ENOTTY;
		if (r == -ENOTTY && LX_S_ISREG(inode_mode(f->inode)))
			r = regular_ioctl(t, f, cmd, a[2]);
		break;
	}
	file_put(f);
	return r;
}
