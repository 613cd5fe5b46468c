/* SPDX-License-Identifier: Apache-2.0 */
/* io_uring_setup(2), io_uring_enter(2), io_uring_register(2). */
#include "sentry/event/event.h"
#include "sentry/kernel/info.h"
#include "sentry/mm/mm.h"
#include "sentry/sysctl/sysctl.h"
#include "sentry/vfs/file.h"
#include "uring.h"
#include <stdlib.h>
#include <string.h>

#define SETUP_KNOWN                                                                                \
	(LX_URING_SETUP_CQSIZE | LX_URING_SETUP_CLAMP | LX_URING_SETUP_R_DISABLED |                \
		LX_URING_SETUP_SUBMIT_ALL | LX_URING_SETUP_COOP_TASKRUN |                          \
		LX_URING_SETUP_SINGLE_ISSUER)
#define MAX_CQ_ENTRIES (2 * URING_MAX_ENTRIES)

static uint32_t
power_of_two(uint32_t n)
{
	uint32_t p = 1;

	while (p < n)
		p *= 2;
	return p;
}

/* kernel.io_uring_disabled, io_uring_group */
static bool
uring_allowed(const struct cred *c)
{
	int64_t off = sysctl_get(SYSCTL_IO_URING_DISABLED);
	uint32_t group = (uint32_t)sysctl_get(SYSCTL_IO_URING_GROUP);

	if (off == 2)
		return false;
	return off == 0 || cred_capable(c, LX_CAP_SYS_ADMIN) ||
	       (group != UINT32_MAX && (group == c->egid || cred_in_group(c, group)));
}

int64_t
sys_io_uring_setup(struct task *t, const uint64_t a[6])
{
	uint32_t sq = (uint32_t)a[0], cq;
	struct lx_uring_params p;
	struct uring *u;
	struct file *f;
	int r, fd;

	if (!uring_allowed(t->cred))
		return -EPERM;
	if (copy_in(&t->mem.um, &p, ua(a[1]), sizeof p))
		return -EFAULT;
	if (p.resv[0] || p.resv[1] || p.resv[2] || (p.flags & ~SETUP_KNOWN) || !sq)
		return -EINVAL;
	if (sq > URING_MAX_ENTRIES) {
		if (!(p.flags & LX_URING_SETUP_CLAMP))
			return -EINVAL;
		sq = URING_MAX_ENTRIES;
	}
	sq = power_of_two(sq);
	cq = 2 * sq;
	if (p.flags & LX_URING_SETUP_CQSIZE) {
		if (!p.cq_entries)
			return -EINVAL;
		if (p.cq_entries > MAX_CQ_ENTRIES) {
			if (!(p.flags & LX_URING_SETUP_CLAMP))
				return -EINVAL;
			p.cq_entries = MAX_CQ_ENTRIES;
		}
		cq = power_of_two(p.cq_entries);
		if (cq < sq)
			return -EINVAL;
	}
	r = uring_new(sq, cq, p.flags, &u);
	if (r)
		return r;
	uring_offsets(u, &p);
	if ((p.flags & LX_URING_SETUP_SINGLE_ISSUER) && !u->disabled)
		u->issuer = t->tid;
	r = uring_file(u, &f);
	if (r)
		return r;
	if (copy_out(&t->mem.um, ua(a[1]), &p, sizeof p)) {
		file_put(f);
		return -EFAULT;
	}
	fd = task_fd_install_put(t, f, true);
	return fd;
}

/* --- enter --- */

struct ext_arg {
	uint64_t sigmask;
	uint32_t sigmask_size, pad;
	uint64_t ts;
};

static int
wait_for(struct task *t, struct uring *u, uint32_t want, int64_t deadline)
{
	struct waiter w;
	int r = 0;

	if (want > u->cq_entries)
		want = u->cq_entries;
	waiter_init_fiber(&w, t->fiber, ~0u);
	waitq_add(&u->wq, &w);
	for (;;) {
		uring_flush_overflow(u);
		if (uring_ready(u) >= want)
			break;
		r = task_park(t, deadline);
		if (r) {
			if (uring_ready(u) >= want)
				r = 0;
			else
				r = r == -ETIMEDOUT ? -ETIME : -EINTR;
			break;
		}
	}
	waitq_remove(&w);
	return r;
}

static int
get_events(struct task *t, struct uring *u, uint32_t want, uint32_t flags, const uint64_t a[6])
{
	struct ext_arg x = {.sigmask = a[4], .sigmask_size = (uint32_t)a[5]};
	int64_t deadline = INT64_MAX, ns;
	int r;

	if (flags & LX_URING_ENTER_EXT_ARG) {
		if (a[5] != sizeof x)
			return -EINVAL;
		if (copy_in(&t->mem.um, &x, ua(a[4]), sizeof x))
			return -EFAULT;
		if (x.pad)
			return -EINVAL;
		if (x.ts) {
			r = timespec_in(t, ua(x.ts), &ns);
			if (r)
				return r;
			deadline = deadline_after(ns);
		}
	}
	if (x.sigmask) {
		r = signal_use_temp_mask(t, ua(x.sigmask), x.sigmask_size);
		if (r)
			return r;
	}
	r = wait_for(t, u, want, deadline);
	if (x.sigmask)
		signal_end_temp_mask(t, r == -EINTR ? -ERESTARTNOHAND : r);
	return r;
}

static int64_t
submit(struct task *t, struct uring *u, uint32_t n)
{
	int64_t r = 0;

	/* another process may be in an open that lasts */
	if (sleeplock_lock_killable(&u->submit))
		return -EINTR;
	if (u->disabled)
		r = -EBADFD;
	else if ((u->setup & LX_URING_SETUP_SINGLE_ISSUER) && u->issuer != t->tid)
		r = -EEXIST;
	else
		r = uring_submit(u, t, n);
	sleeplock_unlock(&u->submit);
	return r;
}

int64_t
sys_io_uring_enter(struct task *t, const uint64_t a[6])
{
	uint32_t flags = (uint32_t)a[3];
	int64_t r = 0, w = 0;
	struct file *f;
	struct uring *u;

	if (flags & ~(LX_URING_ENTER_GETEVENTS | LX_URING_ENTER_EXT_ARG))
		return -EINVAL;
	f = task_file(t, arg_int(a[0]));
	if (!f)
		return -EBADF;
	u = uring_of(f);
	if (!u) {
		file_put(f);
		return -EOPNOTSUPP;
	}
	if (u->disabled)
		r = -EBADFD;
	else if ((uint32_t)a[1])
		r = submit(t, u, (uint32_t)a[1]);
	/* what could not be submitted is told before anybody waits */
	if (r >= 0 && r == (int64_t)(uint32_t)a[1] && (flags & LX_URING_ENTER_GETEVENTS))
		w = get_events(t, u, (uint32_t)a[2], flags, a);
	file_put(f);
	return r ? r : w;
}

/* --- register --- */

static int
register_buffers(struct task *t, struct uring *u, uint64_t addr, uint32_t n)
{
	struct lx_iovec *v;
	int r = 0;

	if (u->buffers)
		return -EBUSY;
	if (!n || n > URING_MAX_BUFFERS)
		return -EINVAL;
	v = calloc(n, sizeof *v);
	if (!v)
		return -ENOMEM;
	if (copy_in(&t->mem.um, v, ua(addr), n * sizeof *v))
		r = -EFAULT;
	for (uint32_t i = 0; i < n && !r; i++) {
		if (!v[i].base && v[i].len)
			r = -EFAULT;
		else if (v[i].len > 1u << 30 || v[i].base + v[i].len < v[i].base)
			r = -EFAULT;
		else if (v[i].base && (!v[i].len || !mm_range_mapped(t->mm, v[i].base, v[i].len)))
			r = -EFAULT;
	}
	if (r) {
		free(v);
		return r;
	}
	mutex_lock(&u->lock);
	u->buffers = v;
	u->nbuffers = n;
	mutex_unlock(&u->lock);
	return 0;
}

static int
unregister_buffers(struct uring *u)
{
	struct lx_iovec *v;

	mutex_lock(&u->lock);
	v = u->buffers;
	u->buffers = NULL;
	u->nbuffers = 0;
	mutex_unlock(&u->lock);
	free(v);
	return v ? 0 : -ENXIO;
}

static void
put_files(struct file **v, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		file_put(v[i]);
	free(v);
}

static int
file_for_table(struct task *t, int32_t fd, struct file **ret)
{
	*ret = NULL;
	if (fd == -1)
		return 0;
	*ret = task_file(t, fd);
	if (!*ret)
		return -EBADF;
	if (uring_of(*ret)) { /* a ring in itself would never end */
		file_put(*ret);
		*ret = NULL;
		return -EBADF;
	}
	return 0;
}

static int
register_files(struct task *t, struct uring *u, uint64_t addr, uint32_t n)
{
	struct file **v;
	int r = 0;

	if (u->files)
		return -EBUSY;
	if (!n)
		return -EINVAL;
	if (n > URING_MAX_FILES || n > rlimit_cur(t->call.rlim, LX_RLIMIT_NOFILE))
		return -EMFILE;
	v = calloc(n, sizeof(struct file *));
	if (!v)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && !r; i++) {
		int32_t fd;

		if (copy_in(&t->mem.um, &fd, ua(addr + 4ull * i), sizeof fd))
			r = -EFAULT;
		else
			r = file_for_table(t, fd, &v[i]);
	}
	if (r) {
		put_files(v, n);
		return r;
	}
	mutex_lock(&u->lock);
	u->files = v;
	u->nfiles = n;
	mutex_unlock(&u->lock);
	return 0;
}

static int
unregister_files(struct uring *u)
{
	struct file **v;
	uint32_t n;

	mutex_lock(&u->lock);
	v = u->files;
	n = u->nfiles;
	u->files = NULL;
	u->nfiles = 0;
	mutex_unlock(&u->lock);
	if (!v)
		return -ENXIO;
	put_files(v, n);
	return 0;
}

static int
update_files(struct task *t, struct uring *u, uint64_t addr, uint32_t n)
{
	struct {
		uint32_t offset, resv;
		uint64_t fds;
	} up;
	uint32_t end;
	int r = 0;

	if (copy_in(&t->mem.um, &up, ua(addr), sizeof up))
		return -EFAULT;
	if (up.resv || !n)
		return -EINVAL;
	if (!u->files)
		return -ENXIO;
	if (__builtin_add_overflow(up.offset, n, &end))
		return -EOVERFLOW;
	if (end > u->nfiles)
		return -EINVAL;
	for (uint32_t i = 0; i < n; i++) {
		struct file *fresh, *old;
		int32_t fd;

		if (copy_in(&t->mem.um, &fd, ua(up.fds + 4ull * i), sizeof fd))
			r = -EFAULT;
		else if (fd == -2) /* IORING_REGISTER_FILES_SKIP */
			continue;
		else
			r = file_for_table(t, fd, &fresh);
		if (r)
			return i ? (int)i : r;
		mutex_lock(&u->lock);
		old = u->files[up.offset + i];
		u->files[up.offset + i] = fresh;
		mutex_unlock(&u->lock);
		file_put(old);
	}
	return (int)n;
}

static int
register_eventfd(struct task *t, struct uring *u, uint64_t addr, uint32_t n, bool async)
{
	struct file *f;
	int32_t fd;

	if (n != 1)
		return -EINVAL;
	if (copy_in(&t->mem.um, &fd, ua(addr), sizeof fd))
		return -EFAULT;
	if (u->eventfd)
		return -EBUSY;
	f = task_file(t, fd);
	if (!f || !eventfd_is(f)) {
		int r = f ? -EINVAL : -EBADF;

		file_put(f);
		return r;
	}
	mutex_lock(&u->lock);
	u->eventfd = f;
	u->eventfd_async = async;
	mutex_unlock(&u->lock);
	return 0;
}

static int
unregister_eventfd(struct uring *u)
{
	struct file *f;

	mutex_lock(&u->lock);
	f = u->eventfd;
	u->eventfd = NULL;
	mutex_unlock(&u->lock);
	file_put(f);
	return f ? 0 : -ENXIO;
}

static int
probe(struct task *t, uint64_t addr, uint32_t n)
{
	struct {
		uint8_t last_op, ops_len;
		uint16_t resv;
		uint32_t resv2[3];
		struct {
			uint8_t op, resv;
			uint16_t flags;
			uint32_t resv2;
		} ops[256];
	} p, zero;
	size_t len;

	if (n > 256)
		n = 256;
	len = 16 + 8ul * n;
	if (copy_in(&t->mem.um, &p, ua(addr), len))
		return -EFAULT;
	memset(&zero, 0, sizeof zero);
	if (memcmp(&p, &zero, len) != 0)
		return -EINVAL;
	p.last_op = LX_OPS - 1;
	p.ops_len = (uint8_t)(n < LX_OPS ? n : LX_OPS);
	for (uint32_t i = 0; i < n && i < LX_OPS; i++) {
		p.ops[i].op = (uint8_t)i;
		p.ops[i].flags = uring_op_known((uint8_t)i);
	}
	return copy_out(&t->mem.um, ua(addr), &p, len) ? -EFAULT : 0;
}

static int
enable(struct task *t, struct uring *u)
{
	if (!(u->setup & LX_URING_SETUP_R_DISABLED) || !u->disabled)
		return -EBADFD;
	if (u->setup & LX_URING_SETUP_SINGLE_ISSUER)
		u->issuer = t->tid;
	u->disabled = false;
	return 0;
}

static int
do_register(struct task *t, struct uring *u, uint32_t op, uint64_t addr, uint32_t n)
{
	switch (op) {
	case LX_URING_REGISTER_BUFFERS:
		return register_buffers(t, u, addr, n);
	case LX_URING_UNREGISTER_BUFFERS:
		return addr || n ? -EINVAL : unregister_buffers(u);
	case LX_URING_REGISTER_FILES:
		return register_files(t, u, addr, n);
	case LX_URING_UNREGISTER_FILES:
		return addr || n ? -EINVAL : unregister_files(u);
	case LX_URING_REGISTER_FILES_UPDATE:
		return update_files(t, u, addr, n);
	case LX_URING_REGISTER_EVENTFD:
	case LX_URING_REGISTER_EVENTFD_ASYNC:
		return register_eventfd(t, u, addr, n, op == LX_URING_REGISTER_EVENTFD_ASYNC);
	case LX_URING_UNREGISTER_EVENTFD:
		return addr || n ? -EINVAL : unregister_eventfd(u);
	case LX_URING_REGISTER_PROBE:
		return !addr || n > 256 ? -EINVAL : probe(t, addr, n);
	case LX_URING_REGISTER_ENABLE_RINGS:
		return addr || n ? -EINVAL : enable(t, u);
	default:
		return -EINVAL;
	}
}

int64_t
sys_io_uring_register(struct task *t, const uint64_t a[6])
{
	struct file *f = task_file(t, arg_int(a[0]));
	struct uring *u;
	int r;

	if (!f)
		return -EBADF;
	u = uring_of(f);
	if (!u) {
		file_put(f);
		return -EOPNOTSUPP;
	}
	r = sleeplock_lock_killable(&u->submit);
	if (!r) {
		if ((u->setup & LX_URING_SETUP_SINGLE_ISSUER) && u->issuer && u->issuer != t->tid)
			r = -EEXIST;
		else
			r = do_register(t, u, (uint32_t)a[1], a[2], (uint32_t)a[3]);
		sleeplock_unlock(&u->submit);
	}
	file_put(f);
	return r;
}
