/* SPDX-License-Identifier: Apache-2.0 */
/* What changes areas without moving them: mprotect, madvise, mlock, msync, names. */
#include "platform/host/file.h"
#include "sentry/mm/internal.h"
#include "sentry/sched/sched.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Call fn for each area in the range, which has been split at both ends; write_lock is held. fn may
 * change flags and prot under mm->lock. */
static int
for_range(const struct mm_call *c, uint64_t start, uint64_t end,
	int (*fn)(const struct mm_call *, struct vma *, void *), void *arg)
{
	struct mm *mm = c->mm;
	int err = mm->nr_vmas + vma_splits(mm, start) + vma_splits(mm, end) > mm_map_count_limit()
			  ? -ENOMEM
			  : vma_split_at(mm, start);

	if (!err)
		err = vma_split_at(mm, end);
	for (struct vma *v = vma_find(mm, start); !err && v && v->start < end; v = vma_next(v))
		if (!(v->flags & VMA_HIDDEN))
			err = fn(c, v, arg);
	vma_merge_range(mm, start, end);
	return err;
}

/* Change flags or protection of an area and keep the byte counts right. */
static void
change_area(struct mm *mm, struct vma *v, uint32_t flags, int prot)
{
	mutex_lock(&mm->lock);
	vma_remove_locked(mm, v);
	v->flags = flags;
	v->prot = (uint8_t)prot;
	vma_insert_locked(mm, v);
	mutex_unlock(&mm->lock);
}

static int
protect_one(const struct mm_call *c, struct vma *v, void *arg)
{
	int prot = *(int *)arg, err;

	if (v->flags & VMA_SEALED)
		return -EPERM;
	if (prot & ~v->may_prot)
		return -EACCES;
	if (mm_denies_exec(c->mm, prot, v->prot))
		return -EACCES;
	if (prot == v->prot)
		return 0;
	if ((prot & LX_PROT_WRITE) && !(v->prot & LX_PROT_WRITE) &&
		!(v->flags & (VMA_SHARED | VMA_STACK))) {
		uint64_t lim = rlimit_cur(c->rlim, LX_RLIMIT_DATA), len = v->end - v->start;

		if (len > lim || c->mm->data_bytes > lim - len)
			return -ENOMEM;
	}
	err = plat->protect(c->pt, v->start, v->end - v->start, prot);
	if (err)
		return err;
	change_area(c->mm, v, v->flags, prot);
	return 0;
}

int
mm_mprotect(const struct mm_call *c, uint64_t addr, uint64_t len, int prot)
{
	struct mm *mm = c->mm;
	uint64_t end;
	int grows = prot & (LX_PROT_GROWSDOWN | LX_PROT_GROWSUP), err, ferr;

	prot &= ~(LX_PROT_GROWSDOWN | LX_PROT_GROWSUP);
	if (grows == (LX_PROT_GROWSDOWN | LX_PROT_GROWSUP) || (addr & (LX_PAGE_SIZE - 1)))
		return -EINVAL;
	if (!len)
		return 0;
	len = page_up(len);
	if (!len || __builtin_add_overflow(addr, len, &end))
		return -ENOMEM;
	if (prot & ~(LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC))
		return -EINVAL;
	sleeplock_lock(&mm->write_lock);
	if (grows) {
		struct vma *v = vma_find(mm, addr);

		err = -ENOMEM;
		if (!v || v->start >= end)
			goto out;
		err = -EINVAL;
		if ((grows & LX_PROT_GROWSUP) || !(v->flags & VMA_GROWSDOWN))
			goto out;
		addr = v->start;
	}
	/* What comes before a hole is changed, as Linux does. */
	err = for_range(c, addr, end, protect_one, &prot);
	if (!err && !vma_range_full(mm, addr, end))
		err = -ENOMEM;
out:
	ferr = mm_finish(c, true);
	return err ? err : ferr;
}

static int
advise_one(const struct mm_call *c, struct vma *v, void *arg)
{
	int advice = *(int *)arg;
	uint32_t f = v->flags;

	switch (advice) {
	case LX_MADV_NORMAL:
		f &= ~(uint32_t)(VMA_SEQ | VMA_RAND);
		break;
	case LX_MADV_RANDOM:
		f = (f & ~(uint32_t)VMA_SEQ) | VMA_RAND;
		break;
	case LX_MADV_SEQUENTIAL:
		f = (f & ~(uint32_t)VMA_RAND) | VMA_SEQ;
		break;
	case LX_MADV_DONTFORK:
		f |= VMA_DONTFORK;
		break;
	case LX_MADV_DOFORK:
		f &= ~(uint32_t)VMA_DONTFORK;
		break;
	case LX_MADV_WIPEONFORK:
		if (v->map || (f & VMA_SHARED))
			return -EINVAL;
		f |= VMA_WIPEONFORK;
		break;
	case LX_MADV_KEEPONFORK:
		f &= ~(uint32_t)VMA_WIPEONFORK;
		break;
	case LX_MADV_DONTDUMP:
		f |= VMA_DONTDUMP;
		break;
	case LX_MADV_DODUMP:
		f &= ~(uint32_t)VMA_DONTDUMP;
		break;
	case LX_MADV_HUGEPAGE:
		f = (f & ~(uint32_t)VMA_NOHUGE) | VMA_HUGE;
		break;
	case LX_MADV_NOHUGEPAGE:
		f = (f & ~(uint32_t)VMA_HUGE) | VMA_NOHUGE;
		break;
	case LX_MADV_FREE:
		if (v->map || (f & VMA_SHARED))
			return -EINVAL;
		break;
	case LX_MADV_DONTNEED:
		if (f & VMA_LOCKED)
			return -EINVAL;
		break;
	default:
		break;
	}
	if (f != v->flags)
		change_area(c->mm, v, f, v->prot);
	switch (advice) {
	case LX_MADV_DONTFORK: /* the map knows; the host's areas are all inherited and then changed
				*/
	case LX_MADV_DOFORK:
	case LX_MADV_WIPEONFORK:
	case LX_MADV_KEEPONFORK:
	case LX_MADV_DONTDUMP:
	case LX_MADV_DODUMP:
		return 0;
	default:
		return plat->advise(c->pt, v->start, v->end - v->start, advice);
	}
}

int
mm_madvise(const struct mm_call *c, uint64_t addr, uint64_t len, int advice)
{
	uint64_t end;
	int err, ferr;
	bool full;

	switch (advice) {
	case LX_MADV_NORMAL:
	case LX_MADV_RANDOM:
	case LX_MADV_SEQUENTIAL:
	case LX_MADV_WILLNEED:
	case LX_MADV_DONTNEED:
	case LX_MADV_FREE:
	case LX_MADV_DONTFORK:
	case LX_MADV_DOFORK:
	case LX_MADV_HUGEPAGE:
	case LX_MADV_NOHUGEPAGE:
	case LX_MADV_DONTDUMP:
	case LX_MADV_DODUMP:
	case LX_MADV_WIPEONFORK:
	case LX_MADV_KEEPONFORK:
	case LX_MADV_COLD:
	case LX_MADV_PAGEOUT:
	case LX_MADV_POPULATE_READ:
	case LX_MADV_POPULATE_WRITE:
		break;
	default:
		return -EINVAL;
	}
	if (addr & (LX_PAGE_SIZE - 1))
		return -EINVAL;
	if (len && !page_up(len))
		return -EINVAL;
	len = page_up(len);
	if (__builtin_add_overflow(addr, len, &end))
		return -EINVAL;
	if (!len)
		return 0;
	sleeplock_lock(&c->mm->write_lock);
	full = vma_range_full(c->mm, addr, end);
	err = for_range(c, addr, end, advise_one, &advice);
	if (!err && !full)
		err = -ENOMEM;
	/* These fail for reasons that only the host knows. */
	if (advice == LX_MADV_POPULATE_READ || advice == LX_MADV_POPULATE_WRITE) {
		ferr = plat->flush(c->pt);
		if (!err)
			err = ferr;
	}
	ferr = mm_finish(c, true);
	return err ? err : ferr;
}

struct lock_arg {
	bool on, onfault;
};

static int
lock_one(const struct mm_call *c, struct vma *v, void *p)
{
	struct lock_arg *a = p;
	uint32_t f = v->flags & ~(uint32_t)(VMA_LOCKED | VMA_LOCKONFAULT);

	if (a->on)
		f |= VMA_LOCKED | (a->onfault ? VMA_LOCKONFAULT : 0);
	if (f != v->flags)
		change_area(c->mm, v, f, v->prot);
	if (a->on && !a->onfault && v->prot)
		return plat->advise(c->pt, v->start, v->end - v->start,
			v->prot & LX_PROT_WRITE && !(v->flags & VMA_SHARED)
				? LX_MADV_POPULATE_WRITE
				: LX_MADV_POPULATE_READ);
	return 0;
}

static uint64_t
unlocked_bytes(struct mm *mm, uint64_t start, uint64_t end)
{
	uint64_t n = 0;

	for (struct vma *v = vma_find(mm, start); v && v->start < end; v = vma_next(v)) {
		uint64_t s = v->start > start ? v->start : start, e = v->end < end ? v->end : end;

		if (!(v->flags & (VMA_LOCKED | VMA_HIDDEN)))
			n += e - s;
	}
	return n;
}

int
mm_mlock(const struct mm_call *c, uint64_t addr, uint64_t len, bool on, bool onfault)
{
	struct lock_arg a = {on, onfault};
	struct mm *mm = c->mm;
	uint64_t start = page_down(addr), end, lim = rlimit_cur(c->rlim, LX_RLIMIT_MEMLOCK);
	int err;

	/* A length that wraps when it is rounded is an empty one to Linux. */
	len = page_up(len + (addr - start));
	if (on && !lim && !cred_capable(c->cred, LX_CAP_IPC_LOCK))
		return -EPERM;
	if (__builtin_add_overflow(start, len, &end))
		return -EINVAL;
	if (start >= end)
		return 0;
	sleeplock_lock(&mm->write_lock);
	err = -ENOMEM;
	if (on && !cred_capable(c->cred, LX_CAP_IPC_LOCK) &&
		mm->locked_bytes + unlocked_bytes(mm, start, end) > lim)
		goto out;
	err = for_range(c, start, end, lock_one, &a);
	if (!err && !vma_range_full(mm, start, end))
		err = -ENOMEM;
	/* Populating is best effort, as in mlock(2): what cannot be faulted in stays as it is. */
	(void)plat->flush(c->pt);
out:
	sleeplock_unlock(&mm->write_lock);
	return err;
}

int
mm_mlockall(const struct mm_call *c, uint32_t flags)
{
	struct mm *mm = c->mm;
	struct lock_arg a = {true, flags & LX_MCL_ONFAULT};
	uint64_t lim = rlimit_cur(c->rlim, LX_RLIMIT_MEMLOCK);
	int err = 0;

	if (!flags || (flags & ~(uint32_t)(LX_MCL_CURRENT | LX_MCL_FUTURE | LX_MCL_ONFAULT)) ||
		flags == LX_MCL_ONFAULT)
		return -EINVAL;
	if (!lim && !cred_capable(c->cred, LX_CAP_IPC_LOCK))
		return -EPERM;
	sleeplock_lock(&mm->write_lock);
	if (!cred_capable(c->cred, LX_CAP_IPC_LOCK) && (flags & LX_MCL_CURRENT) &&
		mm->total_bytes > lim) {
		err = -ENOMEM;
	} else {
		mm->default_flags =
			flags & LX_MCL_FUTURE
				? VMA_LOCKED | (flags & LX_MCL_ONFAULT ? VMA_LOCKONFAULT : 0)
				: 0;
		if (flags & LX_MCL_CURRENT)
			err = for_range(c, 0, plat->guest_top(), lock_one, &a);
		(void)plat->flush(c->pt);
	}
	sleeplock_unlock(&mm->write_lock);
	return err;
}

int
mm_munlockall(const struct mm_call *c)
{
	struct lock_arg a = {false, false};
	int err;

	sleeplock_lock(&c->mm->write_lock);
	c->mm->default_flags = 0;
	err = for_range(c, 0, plat->guest_top(), lock_one, &a);
	sleeplock_unlock(&c->mm->write_lock);
	return err;
}

static int64_t
sync_fd(void *arg)
{
	return host_fd_sync((int)(intptr_t)arg, 1);
}

int
mm_msync(const struct mm_call *c, uint64_t addr, uint64_t len, uint32_t flags)
{
	struct mm *mm = c->mm;
	uint64_t end, at;
	int err = 0;
	bool hole = false;

	if (flags & ~(uint32_t)(LX_MS_ASYNC | LX_MS_INVALIDATE | LX_MS_SYNC))
		return -EINVAL;
	if ((addr & (LX_PAGE_SIZE - 1)) || ((flags & LX_MS_ASYNC) && (flags & LX_MS_SYNC)))
		return -EINVAL;
	if (len && !page_up(len))
		return -ENOMEM;
	if (__builtin_add_overflow(addr, page_up(len), &end))
		return -ENOMEM;
	sleeplock_lock(&mm->write_lock);
	at = addr;
	for (struct vma *v = vma_find(mm, addr); at < end && !err; v = vma_next(v)) {
		if (!v || v->start >= end)
			break;
		if (v->start > at)
			hole = true;
		at = v->end;
		if ((flags & LX_MS_INVALIDATE) && (v->flags & VMA_LOCKED))
			err = -EBUSY;
		else if ((flags & LX_MS_SYNC) && v->map && (v->flags & VMA_SHARED)) {
			int fd = v->map->ops->host_fd(v->map, v->may_prot, true);

			err = fd < 0 ? fd : (int)sched_blocking(sync_fd, (void *)(intptr_t)fd);
		}
	}
	if (at < end)
		hole = true;
	sleeplock_unlock(&mm->write_lock);
	return err ? err : hole ? -ENOMEM : 0;
}

static int
name_one(const struct mm_call *c, struct vma *v, void *arg)
{
	char *name = arg ? strdup(arg) : NULL, *old;

	if (v->map)
		goto bad;
	if (arg && !name)
		return -ENOMEM;
	mutex_lock(&c->mm->lock);
	old = v->name;
	v->name = name;
	mutex_unlock(&c->mm->lock);
	free(old);
	return 0;
bad:
	free(name);
	return -EBADF;
}

int
mm_set_name(const struct mm_call *c, uint64_t addr, uint64_t len, const char *name)
{
	uint64_t end;
	int err;

	if ((addr & (LX_PAGE_SIZE - 1)) || (len && !page_up(len)) ||
		__builtin_add_overflow(addr, page_up(len), &end))
		return -EINVAL;
	if (end == addr)
		return 0;
	sleeplock_lock(&c->mm->write_lock);
	err = for_range(c, addr, end, name_one, (void *)name);
	if (!err && !vma_range_full(c->mm, addr, end))
		err = -ENOMEM;
	sleeplock_unlock(&c->mm->write_lock);
	return err;
}

static int
seal_one(const struct mm_call *c, struct vma *v, void *arg)
{
	(void)arg;
	change_area(c->mm, v, v->flags | VMA_SEALED, v->prot);
	return 0;
}

int
mm_seal(const struct mm_call *c, uint64_t addr, uint64_t len)
{
	uint64_t end;
	int err;

	if ((addr & (LX_PAGE_SIZE - 1)) || (len && !page_up(len)) ||
		__builtin_add_overflow(addr, page_up(len), &end))
		return -EINVAL;
	if (end == addr)
		return 0;
	sleeplock_lock(&c->mm->write_lock);
	err = vma_range_full(c->mm, addr, end) ? for_range(c, addr, end, seal_one, NULL) : -ENOMEM;
	sleeplock_unlock(&c->mm->write_lock);
	return err;
}

int
mm_poke_forced(const struct mm_call *c, uint64_t addr, const void *buf, uint64_t len)
{
	struct mm *mm = c->mm;
	const char *from = buf;
	int err = 0;

	sleeplock_lock(&mm->write_lock);
	while (len && !err) {
		struct vma *v = vma_find(mm, addr);
		uint64_t n, start, size;
		int back;

		err = -EFAULT;
		if (!v || v->start > addr || (v->flags & VMA_HIDDEN))
			break;
		if (!(v->prot & LX_PROT_WRITE) && (v->flags & VMA_SHARED))
			break;
		n = len < v->end - addr ? len : v->end - addr;
		start = page_down(addr);
		size = page_up(addr + n) - start;
		if (v->prot & LX_PROT_WRITE) {
			err = plat->poke(c->pt, addr, from, n);
		} else {
			err = plat->protect(
				c->pt, start, size, v->prot | LX_PROT_READ | LX_PROT_WRITE);
			if (!err)
				err = plat->flush(c->pt);
			if (!err)
				err = plat->poke(c->pt, addr, from, n);
			back = plat->protect(c->pt, start, size, v->prot);
			if (!back)
				back = plat->flush(c->pt);
			if (!err)
				err = back;
		}
		addr += n;
		from += n;
		len -= n;
	}
	sleeplock_unlock(&mm->write_lock);
	return err;
}
