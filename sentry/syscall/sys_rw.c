/* SPDX-License-Identifier: Apache-2.0 */
/* read, write and their kin; lseek. */
#include "file_util.h"
#include "sentry/syscall/file_block.h"
#include <stdlib.h>

#define FAST_IOV 8

int64_t
sys_read(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file(t, arg_int(a[0]));
	struct uio u;
	int64_t r;

	if (!f)
		return -EBADF;
	if (!(f->mode & LX_FMODE_READ)) {
		r = -EBADF;
	} else if ((int64_t)a[2] < 0) {
		r = -EFAULT; /* no buffer is that long */
	} else {
		uio_init_user(&u, t->call.um, ua(a[1]), a[2]);
		r = task_file_read(t, f, &u, NULL, 0);
		task_count_read(t, f, r);
	}
	file_put(f);
	return r;
}

int64_t
sys_write(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file(t, arg_int(a[0]));
	struct uio u;
	int64_t r;

	if (!f)
		return -EBADF;
	if (!(f->mode & LX_FMODE_WRITE)) {
		r = -EBADF;
	} else if ((int64_t)a[2] < 0) {
		r = -EFAULT; /* no buffer is that long */
	} else {
		uio_init_user(&u, t->call.um, ua(a[1]), a[2]);
		r = task_file_write(t, f, &u, NULL, 0);
		task_count_write(t, f, r);
	}
	file_put(f);
	return r;
}

static int64_t
prw(struct task *t, const uint64_t a[6], bool write)
{
	int64_t pos = (int64_t)a[3], r;
	struct file *f;
	struct uio u;

	if (pos < 0)
		return -EINVAL;
	f = task_file(t, arg_int(a[0]));
	if (!f)
		return -EBADF;
	if (!(f->mode & LX_FMODE_PREAD)) {
		r = -ESPIPE;
	} else if (!(f->mode & (write ? LX_FMODE_WRITE : LX_FMODE_READ))) {
		r = -EBADF;
	} else if ((int64_t)a[2] < 0) {
		r = -EFAULT; /* no buffer is that long */
	} else {
		uio_init_user(&u, t->call.um, ua(a[1]), a[2]);
		r = (write ? task_file_write : task_file_read)(t, f, &u, &pos, 0);
		(write ? task_count_write : task_count_read)(t, f, r);
	}
	file_put(f);
	return r;
}

int64_t
sys_pread64(struct task *t, const uint64_t a[6])
{
	return prw(t, a, false);
}

int64_t
sys_pwrite64(struct task *t, const uint64_t a[6])
{
	return prw(t, a, true);
}

static int
check_rwf(uint32_t rwf)
{
	if (rwf & ~(uint32_t)LX_RWF_SUPPORTED)
		return -EOPNOTSUPP;
	if ((rwf & LX_RWF_APPEND) && (rwf & LX_RWF_NOAPPEND))
		return -EINVAL;
	return 0;
}

/* pos: NULL for the file's own. */
static int64_t
vector(struct task *t, const uint64_t a[6], int64_t *pos, uint32_t rwf, bool write)
{
	struct file *f = task_file(t, arg_int(a[0]));
	struct lx_iovec fast[FAST_IOV], *iov = fast;
	struct uio u;
	int64_t r = 0;

	if (!f) {
		task_count(t, write ? COUNT_SYSCW : COUNT_SYSCR, 1);
		return -EBADF;
	}
	if (pos && !(f->mode & LX_FMODE_PREAD))
		r = -ESPIPE;
	else if (!(f->mode & (write ? LX_FMODE_WRITE : LX_FMODE_READ)))
		r = -EBADF;
	else if (a[2] > LX_UIO_MAXIOV)
		r = -EINVAL;
	else if (a[2] > FAST_IOV && !(iov = malloc(a[2] * sizeof *iov)))
		r = -ENOMEM;
	if (!r)
		r = uio_init_user_iov(&u, t->call.um, iov, ua(a[1]), a[2]);
	if (!r && !(write ? (void *)f->ops->write : (void *)f->ops->read))
		r = -EINVAL;
	if (!r && u.left)
		r = check_rwf(rwf);
	if (!r && u.left)
		r = (write ? task_file_write : task_file_read)(t, f, &u, pos, rwf);
	(write ? task_count_write : task_count_read)(t, f, r); /* those that fail, too */
	if (iov != fast)
		free(iov);
	file_put(f);
	return r;
}

int64_t
sys_readv(struct task *t, const uint64_t a[6])
{
	return vector(t, a, NULL, 0, false);
}

int64_t
sys_writev(struct task *t, const uint64_t a[6])
{
	return vector(t, a, NULL, 0, true);
}

static int64_t
pvector(struct task *t, const uint64_t a[6], uint32_t rwf, bool own_pos_ok, bool write)
{
	int64_t pos = (int64_t)a[3];

	if (pos == -1 && own_pos_ok)
		return vector(t, a, NULL, rwf, write);
	if (pos < 0)
		return -EINVAL;
	return vector(t, a, &pos, rwf, write);
}

int64_t
sys_preadv(struct task *t, const uint64_t a[6])
{
	return pvector(t, a, 0, false, false);
}

int64_t
sys_pwritev(struct task *t, const uint64_t a[6])
{
	return pvector(t, a, 0, false, true);
}

int64_t
sys_preadv2(struct task *t, const uint64_t a[6])
{
	return pvector(t, a, (uint32_t)a[5], true, false);
}

int64_t
sys_pwritev2(struct task *t, const uint64_t a[6])
{
	return pvector(t, a, (uint32_t)a[5], true, true);
}

int64_t
sys_lseek(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file(t, arg_int(a[0]));
	int64_t r;

	if (!f)
		return -EBADF;
	r = sleeplock_lock_killable(&f->pos_sleep);
	if (!r) {
		r = vfs_lseek(f, &t->call, (int64_t)a[1], arg_int(a[2]));
		sleeplock_unlock(&f->pos_sleep);
	}
	file_put(f);
	return r;
}
