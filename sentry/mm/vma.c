/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of areas: finding, splitting, merging, placing. Nothing here talks to the host. */
#include "sentry/mm/internal.h"
#include <stdlib.h>
#include <string.h>

int
vma_cmp(const struct vma *a, const struct vma *b)
{
	return (a->start > b->start) - (a->start < b->start);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
RB_GENERATE(vma_tree, vma, node, vma_cmp)
#pragma GCC diagnostic pop

struct vma *
vma_alloc(void)
{
	struct vma *v = calloc(1, sizeof *v);

	if (v)
		LIVE_INC(VMA);
	return v;
}

struct vma *
vma_copy(const struct vma *v)
{
	struct vma *n = vma_alloc();

	if (!n)
		return NULL;
	memcpy(n, v, sizeof *n);
	if (v->name && !(n->name = strdup(v->name))) {
		free(n);
		LIVE_DEC(VMA);
		return NULL;
	}
	if (n->map)
		ref_get(&n->map->ref);
	return n;
}

void
vma_free(struct vma *v)
{
	if (v->map && ref_put(&v->map->ref))
		v->map->ops->release(v->map);
	free(v->name);
	free(v);
	LIVE_DEC(VMA);
}

struct vma *
vma_find(struct mm *mm, uint64_t addr)
{
	struct vma *v = mm->last, *best = NULL;

	if (v && v->start <= addr && addr < v->end)
		return v;
	v = RB_ROOT(&mm->vmas);
	while (v) {
		if (addr < v->end) {
			best = v;
			if (addr >= v->start)
				break;
			v = RB_LEFT(v, node);
		} else {
			v = RB_RIGHT(v, node);
		}
	}
	return best;
}

struct vma *
vma_next(struct vma *v)
{
	return RB_NEXT(vma_tree, NULL, v);
}

struct vma *
vma_prev(struct vma *v)
{
	return RB_PREV(vma_tree, NULL, v);
}

static bool
counts_as_data(const struct vma *v)
{
	return (v->prot & LX_PROT_WRITE) && !(v->flags & (VMA_SHARED | VMA_STACK));
}

static void
account(struct mm *mm, const struct vma *v, uint64_t bytes, int sign)
{
	uint64_t d = sign > 0 ? bytes : -bytes;

	if (v->flags & VMA_HIDDEN)
		return;
	mm->total_bytes += d;
	if (counts_as_data(v))
		mm->data_bytes += d;
	if (v->flags & VMA_STACK)
		mm->stack_bytes += d;
	if (v->flags & VMA_LOCKED)
		mm->locked_bytes += d;
	if (mm->total_bytes > mm->hiwater_bytes)
		mm->hiwater_bytes = mm->total_bytes;
}

void
vma_insert_locked(struct mm *mm, struct vma *v)
{
	if (RB_INSERT(vma_tree, &mm->vmas, v))
		panic("two areas at %#lx", (unsigned long)v->start);
	mm->nr_vmas++;
	account(mm, v, v->end - v->start, 1);
}

void
vma_remove_locked(struct mm *mm, struct vma *v)
{
	RB_REMOVE(vma_tree, &mm->vmas, v);
	if (mm->last == v)
		mm->last = NULL;
	mm->nr_vmas--;
	account(mm, v, v->end - v->start, -1);
}

bool
vma_splits(struct mm *mm, uint64_t addr)
{
	const struct vma *v = vma_find(mm, addr);

	return v && addr > v->start && !(v->flags & VMA_HIDDEN);
}

int
vma_split_at(struct mm *mm, uint64_t addr)
{
	struct vma *v = vma_find(mm, addr), *n;

	if (!vma_splits(mm, addr))
		return 0;
	n = vma_copy(v);
	if (!n)
		return -ENOMEM;
	mutex_lock(&mm->lock);
	n->start = addr;
	n->off += addr - v->start;
	account(mm, v, v->end - addr, -1);
	v->end = addr;
	vma_insert_locked(mm, n);
	mutex_unlock(&mm->lock);
	return 0;
}

static bool
alike(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->flags == b->flags && a->prot == b->prot &&
	       a->may_prot == b->may_prot && a->map == b->map &&
	       (!a->map || a->off + (a->end - a->start) == b->off) && !(a->flags & VMA_HIDDEN) &&
	       (a->name == b->name || (a->name && b->name && strcmp(a->name, b->name) == 0));
}

struct vma *
vma_merge(struct mm *mm, struct vma *v)
{
	struct vma *p = vma_prev(v), *n = vma_next(v);

	if (n && alike(v, n)) {
		mutex_lock(&mm->lock);
		vma_remove_locked(mm, n);
		account(mm, v, n->end - n->start, 1);
		v->end = n->end;
		mutex_unlock(&mm->lock);
		vma_free(n);
	}
	if (p && alike(p, v)) {
		mutex_lock(&mm->lock);
		vma_remove_locked(mm, v);
		account(mm, p, v->end - v->start, 1);
		p->end = v->end;
		mutex_unlock(&mm->lock);
		vma_free(v);
		v = p;
	}
	return v;
}

void
vma_merge_range(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v = vma_find(mm, start ? start - 1 : 0);

	while (v && v->start <= end) {
		v = vma_merge(mm, v);
		v = vma_next(v);
	}
}

void
vma_remove_range(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v = vma_find(mm, start);

	while (v && v->start < end) {
		struct vma *next = vma_next(v);

		if (!(v->flags & VMA_HIDDEN)) {
			mutex_lock(&mm->lock);
			vma_remove_locked(mm, v);
			mutex_unlock(&mm->lock);
			vma_free(v);
		}
		v = next;
	}
	if (end > mm->place_hint)
		mm->place_hint = end;
}

bool
vma_range_free(struct mm *mm, uint64_t start, uint64_t end)
{
	struct vma *v = vma_find(mm, start);

	return !v || v->start >= end;
}

bool
vma_range_full(struct mm *mm, uint64_t start, uint64_t end)
{
	uint64_t at = start;

	for (struct vma *v = vma_find(mm, start); v && v->start <= at; v = vma_next(v)) {
		if (v->flags & VMA_HIDDEN)
			return false;
		at = v->end;
		if (at >= end)
			return true;
	}
	return at >= end;
}

/* Room that must stay free below an area. */
static uint64_t
gap_below(const struct vma *v)
{
	return v->flags & VMA_GROWSDOWN ? STACK_GUARD_GAP : 0;
}

/* Highest address below `top` and at or above `bottom`. */
static uint64_t
place_down(struct mm *mm, uint64_t bottom, uint64_t top, uint64_t len)
{
	struct vma *v = vma_find(mm, top - 1);
	uint64_t end = top;

	if (v && v->start < end)
		end = v->start - gap_below(v);
	else if (v && v->start - gap_below(v) < end)
		end = v->start - gap_below(v);
	for (v = v ? vma_prev(v) : RB_MAX(vma_tree, &mm->vmas);; v = vma_prev(v)) {
		uint64_t low = v && v->end > bottom ? v->end : bottom;

		if (end > low && end - low >= len)
			return end - len;
		if (!v || v->start <= bottom)
			return 0;
		if (v->start - gap_below(v) < end)
			end = v->start - gap_below(v);
	}
}

static uint64_t
place_up(struct mm *mm, uint64_t bottom, uint64_t top, uint64_t len)
{
	uint64_t at = bottom;

	for (struct vma *v = vma_find(mm, bottom);; v = vma_next(v)) {
		uint64_t limit = v ? v->start - gap_below(v) : top;

		if (limit > top)
			limit = top;
		if (limit > at && limit - at >= len)
			return at;
		if (!v || v->end >= top)
			return 0;
		if (v->end > at)
			at = v->end;
	}
}

uint64_t
vma_place(struct mm *mm, uint64_t hint, uint64_t len, bool low)
{
	/* MAP_32BIT, as Linux: where it is asked for, if that is below 2 GiB; or in the second GiB
	 */
	uint64_t top = low ? LOW_TOP : plat->guest_top(), a;

	if (len > top - MIN_ADDR)
		return 0;
	hint = page_up(hint);
	if (hint >= MIN_ADDR && hint <= top - len && vma_range_free(mm, hint, hint + len)) {
		struct vma *v = vma_find(mm, hint);

		if (!v || v->start - gap_below(v) >= hint + len)
			return hint;
	}
	if (low)
		return place_up(mm, LOW_TOP / 2, LOW_TOP, len);
	if (mm->legacy_layout)
		return place_up(mm, mm->mmap_base, top, len);
	if (mm->place_hint && mm->place_hint < mm->mmap_base && mm->place_hint > MIN_ADDR) {
		a = place_down(mm, MIN_ADDR, mm->place_hint, len);
		if (a) {
			mm->place_hint = a;
			return a;
		}
	}
	a = place_down(mm, MIN_ADDR, mm->mmap_base, len);
	if (!a)
		return place_up(mm, mm->mmap_base, top, len);
	mm->place_hint = a;
	return a;
}
