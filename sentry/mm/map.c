/* SPDX-License-Identifier: Apache-2.0 */
/* The mmap family: mmap, munmap, mremap, brk. */
#include "sentry/mm/internal.h"
#include "sentry/sysctl/sysctl.h"
#include <string.h>
#include <sys/mman.h>

/* Remove what is mapped in a range, in the tree and on the host. write_lock is held. */
static int
unmap_range(const struct mm_call *c, uint64_t start, uint64_t end)
{
	struct mm *mm = c->mm;
	struct vma *v;
	int err;

	for (v = vma_find(mm, start); v && v->start < end; v = vma_next(v))
		if (v->flags & VMA_SEALED)
			return -EPERM;
	v = vma_find(mm, start);
	if (mm->nr_vmas >= mm_map_count_limit() && v && v->start < start && end < v->end)
		return -ENOMEM; /* one would become two */
	err = vma_split_at(mm, start);
	if (!err)
		err = vma_split_at(mm, end);
	if (!err)
		err = mm_host_unmap(c, start, end);
	if (!err)
		vma_remove_range(mm, start, end);
	return err;
}

/* What the engine has mapped for itself cannot be replaced. */
static bool
has_hidden(struct mm *mm, uint64_t start, uint64_t end)
{
	for (struct vma *v = vma_find(mm, start); v && v->start < end; v = vma_next(v))
		if (v->flags & VMA_HIDDEN)
			return true;
	return false;
}

uint64_t
mm_find_place(struct mm *mm, uint64_t hint, uint64_t len)
{
	return vma_place(mm, hint, len, false);
}

int64_t
mm_mmap(const struct mm_call *c, uint64_t addr, uint64_t len, int prot, uint32_t flags,
	struct mappable *map, uint64_t off, int may_prot, uint32_t vma_flags)
{
	struct mm *mm = c->mm;
	struct vma *v;
	uint64_t top = plat->guest_top();
	bool fixed = flags & (LX_MAP_FIXED | LX_MAP_FIXED_NOREPLACE), replaced = false;
	int err;

	len = page_up(len);
	if (!len)
		return -ENOMEM;
	if (flags & LX_MAP_GROWSDOWN)
		vma_flags |= VMA_GROWSDOWN;
	if (flags & LX_MAP_NORESERVE)
		vma_flags |= VMA_NORESERVE;
	if (flags & LX_MAP_LOCKED)
		vma_flags |= VMA_LOCKED;
	if ((flags & LX_MAP_TYPE) != LX_MAP_PRIVATE)
		vma_flags |= VMA_SHARED;
	if (fixed && (addr & (LX_PAGE_SIZE - 1)))
		return -EINVAL;
	if (len > top || (fixed && addr > top - len))
		return -ENOMEM;
	if (fixed && addr < (uint64_t)sysctl_get(SYSCTL_MMAP_MIN_ADDR) &&
		!cred_capable(c->cred, LX_CAP_SYS_RAWIO))
		return -EPERM;
	if (fixed && addr < MIN_ADDR)
		return -EPERM; /* the host would not */

	if (mm_denies_exec(mm, prot, prot))
		return -EACCES;
	sleeplock_lock(&mm->write_lock);
	vma_flags |= mm->default_flags;
	err = mm_check_limits(
		c, len, prot, vma_flags, (prot & LX_PROT_WRITE) && !(vma_flags & VMA_SHARED));
	if (err)
		goto out;
	if (fixed) {
		if (!vma_range_free(mm, addr, addr + len)) {
			err = -EEXIST;
			if (flags & LX_MAP_FIXED_NOREPLACE)
				goto out;
			/* The host's MAP_FIXED replaces in one step; only the tree forgets what was
			 * there. */
			for (v = vma_find(mm, addr); v && v->start < addr + len; v = vma_next(v)) {
				err = v->flags & VMA_SEALED   ? -EPERM
				      : v->flags & VMA_HIDDEN ? -ENOMEM
							      : 0;
				if (err)
					goto out;
			}
			err = vma_split_at(mm, addr);
			if (!err)
				err = vma_split_at(mm, addr + len);
			if (err)
				goto out;
			vma_remove_range(mm, addr, addr + len);
			replaced = true;
		}
	} else {
		addr = vma_place(mm, addr, len, flags & LX_MAP_32BIT);
		err = -ENOMEM;
		if (!addr)
			goto out;
	}
	err = -ENOMEM;
	v = vma_alloc();
	if (!v)
		goto out;
	v->start = addr;
	v->end = addr + len;
	v->flags = vma_flags;
	v->prot = (uint8_t)prot;
	v->may_prot = (uint8_t)may_prot;
	v->map = map;
	v->off = off;
	if (map)
		ref_get(&map->ref);
	err = mm_host_map(c, v, addr, addr + len,
		(flags & LX_MAP_POPULATE) && !(flags & LX_MAP_NONBLOCK) ? MAP_POPULATE : 0);
	if (err) {
		vma_free(v);
		goto out;
	}
	mutex_lock(&mm->lock);
	vma_insert_locked(mm, v);
	mutex_unlock(&mm->lock);
	vma_merge(mm, v);
	/* A large or unusual mapping can fail on the host (overcommit, the file): find out while it
	 * can be undone. */
	if (len >= (256UL << 20) || (vma_flags & VMA_SHARED)) {
		err = plat->flush(c->pt);
		if (err) {
			if (!vma_split_at(mm, addr) && !vma_split_at(mm, addr + len))
				vma_remove_range(mm, addr, addr + len);
			goto out;
		}
	}
	err = mm_finish(c, replaced);
	return err ? err : (int64_t)addr;
out:
	sleeplock_unlock(&mm->write_lock);
	return err;
}

int
mm_munmap(const struct mm_call *c, uint64_t addr, uint64_t len)
{
	uint64_t top = plat->guest_top();
	int err, ferr;

	len = page_up(len);
	if ((addr & (LX_PAGE_SIZE - 1)) || !len || len > top || addr > top - len)
		return -EINVAL;
	sleeplock_lock(&c->mm->write_lock);
	err = vma_range_free(c->mm, addr, addr + len) ? 0 : unmap_range(c, addr, addr + len);
	ferr = mm_finish(c, !err);
	return err ? err : ferr;
}

static int
move_now(const struct mm_call *c, uint64_t old, uint64_t old_len, uint64_t new_addr,
	uint64_t new_len)
{
	int err = plat->move(c->pt, old, old_len, new_addr, new_len);

	return err ? err : plat->flush(c->pt);
}

/*
 * Move memory on the host, at once: the map of areas may not say what the host did not do. What is
 * one area here can be several there, for the host does not join areas that were moved before (the
 * offset of anonymous memory stays that of its first place), and mremap(2) takes one of them at a
 * time: EFAULT says that there are more. So what can be is moved, from the front, in halves until
 * it fits.
 */
static int
host_move(const struct mm_call *c, uint64_t old, uint64_t old_len, uint64_t new_addr,
	uint64_t new_len)
{
	uint64_t done = 0, step = old_len;

	while (done < old_len) {
		uint64_t room = done + step == old_len ? new_len - done : step;
		int err = move_now(c, old + done, step, new_addr + done, room);

		if (!err) {
			done += step;
			step = old_len - done;
		} else if (err == -EFAULT && step > LX_PAGE_SIZE) {
			step = page_up(step / 2);
		} else {
			/* Back with what has moved, which is in no more pieces than it was. */
			for (uint64_t at = 0; at < done; at += LX_PAGE_SIZE)
				(void)move_now(
					c, new_addr + at, LX_PAGE_SIZE, old + at, LX_PAGE_SIZE);
			return err;
		}
	}
	return 0;
}

/* Move [old, old + old_len) of v to new_addr, with room for new_len. The target is free. write_lock
 * is held. */
static int
move_area(const struct mm_call *c, struct vma *v, uint64_t old, uint64_t old_len, uint64_t new_addr,
	uint64_t new_len, bool keep_old)
{
	struct mm *mm = c->mm;
	struct vma *n = vma_copy(v);
	int err = 0;

	if (!n)
		return -ENOMEM;
	n->off = v->off + (old - v->start);
	n->start = new_addr;
	n->end = new_addr + new_len;
	if (old_len) {
		err = host_move(c, old, old_len, new_addr, new_len);
	} else {
		/* mremap(2) with old size 0: a second view of a shared mapping. */
		err = mm_host_map(c, n, new_addr, new_addr + new_len, 0);
	}
	if (err) {
		vma_free(n);
		return err;
	}
	if (old_len && !keep_old) {
		err = vma_split_at(mm, old);
		if (!err)
			err = vma_split_at(mm, old + old_len);
		if (err) {
			vma_free(n);
			return err;
		}
		vma_remove_range(mm, old, old + old_len);
	} else if (keep_old) {
		struct vma *k = vma_find(mm, old);

		err = mm_host_map(c, k, old, old + old_len, 0);
		if (err) {
			vma_free(n);
			return err;
		}
	}
	mutex_lock(&mm->lock);
	vma_insert_locked(mm, n);
	mutex_unlock(&mm->lock);
	vma_merge(mm, n);
	return 0;
}

int64_t
mm_mremap(const struct mm_call *c, uint64_t old, uint64_t old_len, uint64_t new_len, uint32_t flags,
	uint64_t new_addr)
{
	struct mm *mm = c->mm;
	uint64_t top = plat->guest_top();
	struct vma *v;
	int64_t ret = -EINVAL;
	int err;

	if (flags & ~(uint32_t)(LX_MREMAP_MAYMOVE | LX_MREMAP_FIXED | LX_MREMAP_DONTUNMAP))
		return -EINVAL;
	if ((flags & LX_MREMAP_FIXED) && !(flags & LX_MREMAP_MAYMOVE))
		return -EINVAL;
	if ((flags & LX_MREMAP_DONTUNMAP) && (!(flags & LX_MREMAP_MAYMOVE) || old_len != new_len))
		return -EINVAL;
	if (old & (LX_PAGE_SIZE - 1))
		return -EINVAL;
	old_len = page_up(old_len);
	new_len = page_up(new_len);
	if (!new_len || new_len > top || old_len > top || old > top - old_len)
		return -EINVAL;
	if ((flags & LX_MREMAP_FIXED) &&
		((new_addr & (LX_PAGE_SIZE - 1)) || new_addr > top - new_len ||
			(new_addr < old + old_len && old < new_addr + new_len)))
		return -EINVAL;

	sleeplock_lock(&mm->write_lock);
	v = vma_find(mm, old);
	if (!v || v->start > old || (v->flags & VMA_HIDDEN)) {
		ret = -EFAULT;
		goto out;
	}
	if (v->flags & VMA_SEALED) {
		ret = -EPERM;
		goto out;
	}
	if (!old_len && !((v->flags & VMA_SHARED) && (flags & LX_MREMAP_MAYMOVE)))
		goto out;
	if ((flags & LX_MREMAP_DONTUNMAP) && (v->flags & VMA_GROWSDOWN))
		goto out;
	/* Shrinking may cross areas; everything else works on one. */
	if (!(flags & (LX_MREMAP_FIXED | LX_MREMAP_DONTUNMAP)) && new_len <= old_len && old_len) {
		err = new_len < old_len ? unmap_range(c, old + new_len, old + old_len) : 0;
		ret = err ? err : (int64_t)old;
		goto out;
	}
	if (old + old_len > v->end) {
		ret = -EFAULT;
		goto out;
	}
	if (new_len > old_len) {
		err = mm_check_limits(c, new_len - old_len, v->prot, v->flags,
			(v->prot & LX_PROT_WRITE) && !(v->flags & VMA_SHARED));
		if (err) {
			ret = err;
			goto out;
		}
	}
	if (!(flags & (LX_MREMAP_FIXED | LX_MREMAP_DONTUNMAP)) && old_len &&
		old + old_len == v->end && old + new_len <= top &&
		vma_range_free(mm, v->end, old + new_len)) {
		/* Room behind it. */
		struct vma *n = vma_copy(v);

		ret = -ENOMEM;
		if (!n)
			goto out;
		n->off = v->off + (v->end - v->start);
		n->start = v->end;
		n->end = old + new_len;
		err = mm_host_map(c, n, n->start, n->end, 0);
		if (err) {
			vma_free(n);
			ret = err;
			goto out;
		}
		mutex_lock(&mm->lock);
		vma_insert_locked(mm, n);
		mutex_unlock(&mm->lock);
		vma_merge(mm, n);
		ret = (int64_t)old;
		goto out;
	}
	if (!(flags & LX_MREMAP_MAYMOVE)) {
		ret = -ENOMEM;
		goto out;
	}
	if (mm->nr_vmas > mm_map_count_limit() - 4) { /* as Linux */
		ret = -ENOMEM;
		goto out;
	}
	if (flags & LX_MREMAP_FIXED) {
		err = vma_range_free(mm, new_addr, new_addr + new_len) ? 0
		      : has_hidden(mm, new_addr, new_addr + new_len)
			      ? -ENOMEM
			      : unmap_range(c, new_addr, new_addr + new_len);
		if (!err && new_len < old_len) {
			err = unmap_range(c, old + new_len, old + old_len);
			old_len = new_len;
		}
		if (err) {
			ret = err;
			goto out;
		}
		v = vma_find(mm, old);
	} else {
		new_addr =
			vma_place(mm, flags & LX_MREMAP_DONTUNMAP ? new_addr : 0, new_len, false);
		ret = -ENOMEM;
		if (!new_addr)
			goto out;
	}
	err = move_area(c, v, old, old_len, new_addr, new_len, flags & LX_MREMAP_DONTUNMAP);
	if (!err)
		err = plat->flush(c->pt);
	ret = err ? err : (int64_t)new_addr;
out:
	err = mm_finish(c, ret >= 0);
	return err ? err : ret;
}

int64_t
mm_brk(const struct mm_call *c, uint64_t brk)
{
	struct mm *mm = c->mm;
	uint64_t old_end, new_end, lim = rlimit_cur(c->rlim, LX_RLIMIT_DATA);
	bool shrunk = false;

	sleeplock_lock(&mm->write_lock);
	if (brk < mm->brk_start || brk > plat->guest_top())
		goto out;
	if (lim != LX_RLIM_INFINITY && brk - mm->brk_start + (mm->end_data - mm->start_data) > lim)
		goto out;
	old_end = page_up(mm->brk);
	new_end = page_up(brk);
	if (new_end > old_end) {
		struct vma *v;

		if (!vma_range_free(mm, old_end, new_end + LX_PAGE_SIZE) ||
			mm_check_limits(c, new_end - old_end, LX_PROT_READ | LX_PROT_WRITE,
				mm->default_flags, true))
			goto out;
		v = vma_alloc();
		if (!v)
			goto out;
		v->start = old_end;
		v->end = new_end;
		v->prot = LX_PROT_READ | LX_PROT_WRITE;
		v->may_prot = v->prot | LX_PROT_EXEC;
		v->flags = VMA_HEAP | mm->default_flags;
		if (mm_host_map(c, v, old_end, new_end, 0)) {
			vma_free(v);
			goto out;
		}
		mutex_lock(&mm->lock);
		vma_insert_locked(mm, v);
		mutex_unlock(&mm->lock);
		vma_merge(mm, v);
	} else if (new_end < old_end) {
		if (unmap_range(c, new_end, old_end))
			goto out;
		shrunk = true;
	}
	mm->brk = brk;
out:
	brk = mm->brk;
	(void)mm_finish(c, shrunk);
	return (int64_t)brk;
}

/* As Linux does it since 4.0: a mapping of its own for each piece. */
int
mm_remap_file_pages(const struct mm_call *c, uint64_t addr, uint64_t len, uint64_t pgoff)
{
	uint64_t start = page_down(addr), size = page_down(len), end, off;
	struct mappable *map = NULL;
	int prot = 0, may = 0;
	struct vma *v;
	int64_t r;

	if (__builtin_add_overflow(start, size, &end) || end <= start)
		return -EINVAL;
	if (__builtin_mul_overflow(pgoff, LX_PAGE_SIZE, &off) || off + size < off)
		return -EINVAL;
	sleeplock_lock(&c->mm->write_lock);
	v = vma_find(c->mm, start);
	if (v && v->start <= start && (v->flags & VMA_SHARED) && v->map && end <= v->end) {
		map = v->map;
		ref_get(&map->ref);
		prot = v->prot;
		may = v->may_prot;
	}
	sleeplock_unlock(&c->mm->write_lock);
	if (!map)
		return -EINVAL;
	r = mm_mmap(c, start, size, prot, LX_MAP_SHARED | LX_MAP_FIXED, map, off, may, 0);
	if (ref_put(&map->ref))
		map->ops->release(map);
	return r < 0 ? (int)r : 0;
}
