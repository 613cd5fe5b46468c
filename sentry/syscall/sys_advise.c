/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of pages, advice about other processes' memory, and mappings in another order. */
#include "abi/mman.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/internal.h"
#include "sentry/vfs/file.h"
#include <stdlib.h>
#include <string.h>

int64_t
sys_mincore(struct task *t, const uint64_t a[6])
{
	uint64_t addr = a[0], len = a[1], pages, done = 0;
	uint8_t vec[512];

	if (addr & (LX_PAGE_SIZE - 1))
		return -EINVAL;
	if (len > plat->guest_top() || addr > plat->guest_top() - len)
		return -ENOMEM;
	pages = (len + LX_PAGE_SIZE - 1) >> LX_PAGE_SHIFT;
	/* The host knows which pages are there; to a program it may always be that they all are. */
	memset(vec, 1, sizeof vec);
	while (done < pages) {
		uint64_t n = pages - done < sizeof vec ? pages - done : sizeof vec;

		if (!mm_range_mapped(t->mm, addr + done * LX_PAGE_SIZE, n * LX_PAGE_SIZE))
			return -ENOMEM;
		if (copy_out(&t->mem.um, ua(a[2] + done), vec, n))
			return -EFAULT;
		done += n;
	}
	return 0;
}

/* The process of a pidfd: a reference to its leader. */
static int
leader_of(struct task *t, int fd, struct task **ret)
{
	struct file *f = task_file(t, fd);
	struct pid *p;
	int r = 0;

	if (!f)
		return -EBADF;
	p = pidfd_pid(f);
	*ret = NULL;
	if (!p) {
		r = -EBADF;
	} else {
		mutex_lock(&tasklist_lock);
		if (p->tgroup && p->tgroup->leader)
			*ret = task_get(p->tgroup->leader);
		else
			r = -ESRCH;
		mutex_unlock(&tasklist_lock);
	}
	file_put(f);
	return r;
}

/* Advice about the caller is carried out; about another it is a hint that may be left alone. */
static int64_t
advise(struct task *t, struct task *o, const struct lx_iovec *iov, uint64_t n, int advice)
{
	struct mm *mm = NULL;
	struct mm_call mc;
	int64_t done = 0, err = 0;

	mutex_lock(&o->pt_lock);
	if (o->mm)
		mm = mm_get(o->mm);
	mutex_unlock(&o->pt_lock);
	if (!mm)
		return -ESRCH;
	task_mm_call(t, &mc);
	for (uint64_t i = 0; i < n && !err; i++) {
		if (mm == t->mm)
			err = mm_madvise(&mc, iov[i].base, iov[i].len, advice);
		else if (iov[i].base & (LX_PAGE_SIZE - 1))
			err = -EINVAL;
		else if (!mm_range_mapped(mm, iov[i].base, iov[i].len))
			err = -ENOMEM;
		if (!err)
			done += (int64_t)iov[i].len;
	}
	mm_put(mm);
	return done ? done : err;
}

int64_t
sys_process_madvise(struct task *t, const uint64_t a[6])
{
	int advice = arg_int(a[3]);
	struct lx_iovec *iov;
	struct task *o = NULL;
	int64_t r;

	if ((uint32_t)a[4])
		return -EINVAL;
	if (a[2] > LX_UIO_MAXIOV)
		return -EINVAL;
	iov = malloc((a[2] + 1) * sizeof *iov);
	if (!iov)
		return -ENOMEM;
	r = copy_in(&t->mem.um, iov, ua(a[1]), a[2] * sizeof *iov) ? -EFAULT : 0;
	if (!r)
		r = leader_of(t, arg_int(a[0]), &o);
	if (!r && o->mm != t->mm && advice != LX_MADV_COLD && advice != LX_MADV_PAGEOUT &&
		advice != LX_MADV_WILLNEED)
		r = -EINVAL;
	if (!r && !task_may_access(t, o))
		r = -EPERM;
	if (!r && o->mm != t->mm && !cred_capable(t->cred, LX_CAP_SYS_NICE))
		r = -EPERM;
	if (!r)
		r = advise(t, o, iov, a[2], advice);
	task_put(o);
	free(iov);
	return r;
}

int64_t
sys_process_mrelease(struct task *t, const uint64_t a[6])
{
	struct task *o;
	bool dying;
	int r;

	if ((uint32_t)a[1])
		return -EINVAL;
	r = leader_of(t, arg_int(a[0]), &o);
	if (r)
		return r;
	mutex_lock(&o->tgroup->sighand->lock);
	dying = o->tgroup->group_exit;
	mutex_unlock(&o->tgroup->sighand->lock);
	task_put(o);
	/* A dying process gives its memory back at once: the host ends with its threads. */
	return dying ? 0 : -EINVAL;
}

int64_t
sys_remap_file_pages(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	if (a[2]) /* prot has to be 0 */
		return -EINVAL;
	task_mm_call(t, &mc);
	return mm_remap_file_pages(&mc, a[0], a[1], a[3]);
}

/* --- protection keys: as on a CPU that has none --- */

int64_t
sys_pkey_alloc(struct task *t, const uint64_t a[6])
{
	(void)t;
	return a[0] || (a[1] & ~3ull) ? -EINVAL : -ENOSPC;
}

int64_t
sys_pkey_free(struct task *t, const uint64_t a[6])
{
	(void)t, (void)a;
	return -EINVAL;
}

int64_t
sys_pkey_mprotect(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	if (arg_int(a[3]) != -1)
		return -EINVAL;
	task_mm_call(t, &mc);
	return mm_mprotect(&mc, a[0], a[1], arg_int(a[2]));
}
