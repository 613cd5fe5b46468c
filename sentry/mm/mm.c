/* SPDX-License-Identifier: Apache-2.0 */
/* Address spaces: making, laying out, copying for fork, looking at; and what all changes of the map
 * share. */
#include "platform/host/info.h"
#include "sentry/mm/internal.h"
#include "sentry/sched/fiber.h"
#include "sentry/sysctl/sysctl.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int
mm_new(struct mm **ret)
{
	static _Atomic uint64_t last_id;
	struct mm *mm = calloc(1, sizeof *mm);

	if (!mm)
		return -ENOMEM;
	mm->id = atomic_fetch_add(&last_id, 1) + 1;
	LIVE_INC(MM);
	ref_init(&mm->ref);
	atomic_store(&mm->users, 1);
	sleeplock_init(&mm->write_lock);
	mutex_init(&mm->lock, LR_MM);
	RB_INIT(&mm->vmas);
	mm->dumpable = 1;
	mm->dump_filter = 0x33;
	*ret = mm;
	return 0;
}

struct mm *
mm_get(struct mm *mm)
{
	ref_get(&mm->ref);
	return mm;
}

void
mm_put(struct mm *mm)
{
	struct vma *v;

	if (!mm || !ref_put(&mm->ref))
		return;
	while ((v = RB_MIN(vma_tree, &mm->vmas))) {
		vma_remove_locked(mm, v);
		vma_free(v);
	}
	if (mm->exe_file && mm->exe_put)
		mm->exe_put(mm->exe_file);
	mutex_destroy(&mm->lock);
	free(mm);
	LIVE_DEC(MM);
}

void
mm_add_user(struct mm *mm)
{
	atomic_fetch_add(&mm->users, 1);
}

void
mm_drop_user(struct mm *mm)
{
	atomic_fetch_sub(&mm->users, 1);
}

bool
mm_leave(struct mm *mm)
{
	return atomic_fetch_add(&mm->leaving, 1) + 1 >= atomic_load(&mm->users);
}

bool
mm_left(struct mm *mm)
{
	bool last = atomic_fetch_sub(&mm->users, 1) == 1;

	atomic_fetch_sub(&mm->leaving, 1);
	return last;
}

bool
mm_multi(const struct mm *mm)
{
	return atomic_load(&((struct mm *)mm)->users) > 1;
}

uint32_t
mm_map_count_limit(void)
{
	int64_t v = sysctl_get(SYSCTL_MAX_MAP_COUNT);

	return v < MOST_AREAS ? (uint32_t)v : MOST_AREAS;
}

static uint64_t
random_pages(bool randomize, unsigned bits)
{
	uint64_t r = 0;

	if (randomize)
		host_random(&r, sizeof r);
	return (r & ((1ULL << bits) - 1)) << LX_PAGE_SHIFT;
}

int
mm_layout(struct mm *mm, const struct rlimits *rlim, bool randomize, uint64_t *ret_stack_top)
{
	uint64_t top = plat->guest_top(), start, len, gap = rlimit_cur(rlim, LX_RLIMIT_STACK);

	unsigned bits = (unsigned)sysctl_get(SYSCTL_MMAP_RND_BITS);

	*ret_stack_top = top - LX_PAGE_SIZE - random_pages(randomize, 22);
	mm->stack_top = *ret_stack_top;
	/* Linux, arch/x86/mm/mmap.c: the gap for the stack is between 128 MiB and 5/6 of the space.
	 */
	if (gap == LX_RLIM_INFINITY || sysctl_get(SYSCTL_LEGACY_VA_LAYOUT))
		mm->legacy_layout = true;
	if (gap < (128UL << 20))
		gap = 128UL << 20;
	if (gap > top / 6 * 5)
		gap = top / 6 * 5;
	gap += STACK_GUARD_GAP + (1UL << 34);
	mm->mmap_base = page_down(top - gap - random_pages(randomize, bits));
	if (mm->legacy_layout)
		mm->mmap_base = page_down(top / 3 + random_pages(randomize, bits));

	plat->vdso_range(&start, &len);
	if (len) {
		uint64_t ehdr = plat->vdso_ehdr();

		for (int i = 0; i < 2; i++) {
			struct vma *v;
			uint64_t s = i ? ehdr : start, e = i ? start + len : ehdr;

			if (s >= e)
				continue;
			v = vma_alloc();
			if (!v)
				return -ENOMEM;
			v->start = s;
			v->end = e;
			v->prot = v->may_prot = LX_PROT_READ | (i ? LX_PROT_EXEC : 0);
			v->flags = VMA_DONTDUMP | VMA_SEALED | (i ? VMA_VDSO : VMA_VVAR);
			vma_insert_locked(mm, v);
		}
	}
	return 0;
}

int
mm_host_map(
	const struct mm_call *c, const struct vma *v, uint64_t start, uint64_t end, int extra_flags)
{
	int flags = extra_flags, fd = -1;
	uint64_t off = 0;

	flags |= v->flags & VMA_SHARED ? MAP_SHARED : MAP_PRIVATE;
	if (v->flags & VMA_NORESERVE)
		flags |= MAP_NORESERVE;
	if (v->map) {
		fd = v->map->ops->host_fd(v->map, v->may_prot, v->flags & VMA_SHARED);
		if (fd < 0)
			return fd;
		off = v->off + (start - v->start);
	} else {
		flags |= MAP_ANONYMOUS;
	}
	return plat->map(c->pt, start, end - start, v->prot, flags, fd, (int64_t)off);
}

int
mm_host_unmap(const struct mm_call *c, uint64_t start, uint64_t end)
{
	struct vma *v = vma_find(c->mm, start);
	uint64_t at = start;
	int err = 0;

	for (; v && v->start < end; v = vma_next(v)) {
		if (!(v->flags & VMA_HIDDEN))
			continue;
		if (v->start > at)
			err = plat->unmap(c->pt, at, v->start - at);
		if (err)
			return err;
		at = v->end;
	}
	return at < end ? plat->unmap(c->pt, at, end - at) : 0;
}

int
mm_finish(const struct mm_call *c, bool took_away)
{
	int err = 0;

	if (took_away && mm_multi(c->mm))
		err = plat->flush(c->pt);
	sleeplock_unlock(&c->mm->write_lock);
	return err;
}

int
mm_check_limits(
	const struct mm_call *c, uint64_t len, int prot, uint32_t vma_flags, bool private_writable)
{
	struct mm *mm = c->mm;
	uint64_t as = rlimit_cur(c->rlim, LX_RLIMIT_AS), data = rlimit_cur(c->rlim, LX_RLIMIT_DATA);

	(void)prot;
	if (mm->nr_vmas >= mm_map_count_limit())
		return -ENOMEM;
	if (len > as || mm->total_bytes > as - len)
		return -ENOMEM;
	if (private_writable && !(vma_flags & VMA_STACK) &&
		(len > data || mm->data_bytes > data - len))
		return -ENOMEM;
	if (vma_flags & VMA_LOCKED) {
		uint64_t lim = rlimit_cur(c->rlim, LX_RLIMIT_MEMLOCK);

		if (!cred_capable(c->cred, LX_CAP_IPC_LOCK) &&
			(len > lim || mm->locked_bytes > lim - len))
			return -EAGAIN;
	}
	return 0;
}

uint8_t
mm_mdwe_inherited(const struct mm *mm)
{
	uint8_t mdwe = atomic_load(&mm->mdwe);

	return mdwe & LX_PR_MDWE_NO_INHERIT ? 0 : mdwe;
}

int
mm_fork(const struct mm_call *c, struct plat_thread *child_pt, struct mm **ret)
{
	struct mm *mm = c->mm, *n;
	struct vma *v;
	int err;

	err = mm_new(&n);
	if (err)
		return err;
	n->mmap_base = mm->mmap_base;
	n->place_hint = mm->place_hint;
	n->brk_start = mm->brk_start;
	n->brk = mm->brk;
	n->stack_top = mm->stack_top;
	n->legacy_layout = mm->legacy_layout;
	n->start_code = mm->start_code;
	n->end_code = mm->end_code;
	n->start_data = mm->start_data;
	n->end_data = mm->end_data;
	n->start_stack = mm->start_stack;
	n->arg_start = mm->arg_start;
	n->arg_end = mm->arg_end;
	n->env_start = mm->env_start;
	n->env_end = mm->env_end;
	n->auxv_len = mm_auxv(mm, n->auxv);
	n->mdwe = mm_mdwe_inherited(mm);
	n->dumpable = mm->dumpable;
	n->dump_filter = mm->dump_filter;
	n->membarriers = mm->membarriers;
	RB_FOREACH (v, vma_tree, &mm->vmas) {
		struct vma *k;

		if (v->flags & VMA_DONTFORK) {
			err = plat->unmap(child_pt, v->start, v->end - v->start);
			if (err)
				goto undo_mm;
			continue;
		}
		k = vma_copy(v);
		if (!k) {
			err = -ENOMEM;
			goto undo_mm;
		}
		k->flags &=
			~(uint32_t)(VMA_LOCKED |
				    VMA_LOCKONFAULT); /* memory locks are not inherited, mlock(2) */
		vma_insert_locked(n, k);
		if (v->flags & VMA_WIPEONFORK) {
			struct mm_call cc = {n, child_pt, c->rlim, c->cred};

			err = mm_host_map(&cc, k, k->start, k->end, 0);
			if (err)
				goto undo_mm;
		}
	}
	*ret = n;
	return 0;

undo_mm:
	mm_put(n);
	return err;
}

/* Grow the stack area above addr down to it, if there is one and the limits allow. write_lock is
 * held. */
static bool
grow_stack(const struct mm_call *c, uint64_t addr)
{
	struct mm *mm = c->mm;
	struct vma *v = vma_find(mm, addr), *p;
	uint64_t start = page_down(addr), size;

	if (!v || v->start <= addr)
		return v && v->start <= addr;
	if (!(v->flags & VMA_GROWSDOWN))
		return false;
	size = v->end - start;
	if (size > rlimit_cur(c->rlim, LX_RLIMIT_STACK) ||
		mm_check_limits(c, v->start - start, v->prot, v->flags, false))
		return false;
	p = vma_prev(v);
	if (p && !(p->flags & VMA_GROWSDOWN) && p->prot && p->end > start - STACK_GUARD_GAP)
		return false;
	if (p && p->end > start)
		return false;
	if (plat->map(c->pt, start, v->start - start, v->prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
		return false;
	mutex_lock(&mm->lock);
	RB_REMOVE(vma_tree, &mm->vmas, v);
	mm->total_bytes += v->start - start;
	mm->stack_bytes += v->start - start;
	v->start = start;
	RB_INSERT(vma_tree, &mm->vmas, v);
	mutex_unlock(&mm->lock);
	return true;
}

bool
mm_fault(const struct mm_call *c, uint64_t addr, int prot)
{
	struct mm *mm = c->mm;
	struct vma *v;
	bool retry = false;

	sleeplock_lock(&mm->write_lock);
	v = vma_find(mm, addr);
	if (v && v->start > addr && (v->flags & VMA_GROWSDOWN))
		retry = (prot & ~v->prot) == 0 && grow_stack(c, addr);
	if (retry)
		retry = plat->flush(c->pt) == 0;
	sleeplock_unlock(&mm->write_lock);
	return retry;
}

static bool
accessible_now(struct mm *mm, uint64_t addr, uint64_t end, int prot, bool *ret_hole)
{
	bool ok = false;

	*ret_hole = false;
	mutex_lock(&mm->lock);
	for (struct vma *v = vma_find(mm, addr);; v = vma_next(v)) {
		if (!v || v->start > addr) {
			*ret_hole = true;
			break;
		}
		if ((v->prot & prot) != prot || (v->flags & VMA_HIDDEN))
			break;
		if (v->end >= end) {
			atomic_store_explicit(&mm->last, v, memory_order_relaxed);
			ok = true;
			break;
		}
		addr = v->end;
	}
	mutex_unlock(&mm->lock);
	return ok;
}

bool
mm_accessible(const struct mm_call *c, uint64_t addr, uint64_t len, int prot)
{
	uint64_t end;
	bool hole, ok;

	if (__builtin_add_overflow(addr, len, &end) || end > plat->guest_top())
		return false;
	if (accessible_now(c->mm, addr, end, prot, &hole))
		return true;
	if (!hole)
		return false;
	sleeplock_lock(&c->mm->write_lock);
	ok = grow_stack(c, addr);
	sleeplock_unlock(&c->mm->write_lock);
	return ok && accessible_now(c->mm, addr, end, prot, &hole);
}

bool
mm_range_mapped(struct mm *mm, uint64_t addr, uint64_t len)
{
	uint64_t end;
	bool full;

	if (__builtin_add_overflow(addr, len, &end))
		return false;
	mutex_lock(&mm->lock);
	full = vma_range_full(mm, addr, end);
	mutex_unlock(&mm->lock);
	return full;
}

bool
mm_mapped(struct mm *mm, uint64_t addr)
{
	struct vma *v;
	bool in;

	mutex_lock(&mm->lock);
	v = vma_find(mm, addr);
	in = v && v->start <= addr && !(v->flags & VMA_HIDDEN);
	mutex_unlock(&mm->lock);
	return in;
}

uint64_t
mm_reserve_hidden(struct mm *mm, uint64_t near, uint64_t len)
{
	const uint64_t reach = 1UL << 30;
	uint64_t bottom = near > reach + MIN_ADDR ? near - reach : MIN_ADDR,
		 top = plat->guest_top(), a = 0;
	struct vma *n;

	if (near < top - reach)
		top = near + reach;
	sleeplock_lock(&mm->write_lock);
	/* The first hole above the code's own areas, then the first below. */
	for (struct vma *v = vma_find(mm, near); v; v = vma_next(v)) {
		struct vma *x = vma_next(v);
		uint64_t limit =
			x ? x->start - (x->flags & VMA_GROWSDOWN ? STACK_GUARD_GAP : 0) : top;

		if (v->end + len > top)
			break;
		/* Leave room for the heap to grow. */
		if (limit > v->end && limit - v->end >= len && !(v->flags & VMA_HEAP) &&
			!(v->end <= mm->brk_start && mm->brk_start < v->end + len)) {
			a = limit > top ? v->end : limit - len;
			if (a < v->end || a + len > top)
				a = v->end;
			break;
		}
	}
	for (struct vma *v = a ? NULL : vma_find(mm, near); v && !a; v = vma_prev(v)) {
		struct vma *p = vma_prev(v);
		uint64_t low = p ? p->end : MIN_ADDR;

		if (v->start < bottom + len)
			break;
		if (v->start > low && v->start - low >= len)
			a = v->start - len;
	}
	n = a ? vma_alloc() : NULL;
	if (n) {
		n->start = a;
		n->end = a + len;
		n->flags = VMA_HIDDEN;
		mutex_lock(&mm->lock);
		vma_insert_locked(mm, n);
		mutex_unlock(&mm->lock);
	}
	sleeplock_unlock(&mm->write_lock);
	return n ? a : 0;
}

int
mm_code_prot(struct mm *mm, uint64_t addr, uint64_t len)
{
	struct vma *v;
	int prot = -1;

	mutex_lock(&mm->lock);
	v = vma_find(mm, addr);
	if (v && v->start <= addr && addr + len <= v->end && (v->prot & LX_PROT_EXEC) &&
		!(v->flags & (VMA_SHARED | VMA_HIDDEN | VMA_VDSO)))
		prot = v->prot;
	mutex_unlock(&mm->lock);
	return prot;
}

void
mm_for_each(struct mm *mm, uint64_t addr, bool (*fn)(const struct vma *v, void *arg), void *arg)
{
	mutex_lock(&mm->lock);
	for (struct vma *v = vma_find(mm, addr); v; v = vma_next(v))
		if (!(v->flags & VMA_HIDDEN) && !fn(v, arg))
			break;
	mutex_unlock(&mm->lock);
}
