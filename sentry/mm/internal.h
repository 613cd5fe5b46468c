/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_MM_INTERNAL_H
#define SENTRY_MM_INTERNAL_H

#include "abi/mman.h"
#include "abi/prctl.h"
#include "base/log.h"
#include "sentry/mm/mm.h"
#include <errno.h>

/* vm.max_map_count of most hosts, less the areas of the engine's own in a guest's process. */
#define MOST_AREAS	(65530 - 1024)
#define MIN_ADDR	0x10000UL    /* and the least that vm.mmap_min_addr says */
#define LOW_TOP		0x80000000UL /* of MAP_32BIT */
#define STACK_GUARD_GAP (256UL * LX_PAGE_SIZE)

/* vm.max_map_count, or MOST_AREAS when that is less. */
uint32_t mm_map_count_limit(void);

/* prctl(PR_SET_MDWE): what can be written is not executed, and what was not executable does not
 * become so. */
static inline bool
mm_denies_exec(const struct mm *mm, int prot, int before)
{
	return atomic_load(&mm->mdwe) && (prot & LX_PROT_EXEC) &&
	       ((prot & LX_PROT_WRITE) || !(before & LX_PROT_EXEC));
}

int vma_cmp(const struct vma *a, const struct vma *b);
RB_PROTOTYPE(vma_tree, vma, node, vma_cmp)

static inline uint64_t
page_down(uint64_t a)
{
	return a & ~(LX_PAGE_SIZE - 1);
}

/* Round up; 0 on overflow. */
static inline uint64_t
page_up(uint64_t a)
{
	return (a + LX_PAGE_SIZE - 1) & ~(LX_PAGE_SIZE - 1);
}

/* --- vma.c: the tree; the caller holds write_lock and lock where it says _locked --- */
struct vma *vma_find(struct mm *mm, uint64_t addr); /* first area that ends above addr, or NULL */
struct vma *vma_next(struct vma *v);
struct vma *vma_prev(struct vma *v);
struct vma *vma_alloc(void);
struct vma *vma_copy(const struct vma *v);
void vma_free(struct vma *v);
void vma_insert_locked(struct mm *mm, struct vma *v);
void vma_remove_locked(struct mm *mm, struct vma *v);
bool vma_splits(struct mm *mm, uint64_t addr); /* is addr within an area of the guest? */
/* Make addr a boundary between areas. -ENOMEM. Takes lock. */
int vma_split_at(struct mm *mm, uint64_t addr);
/* Merge v with its neighbours where they are alike. Takes lock. Returns the area that v is now part
 * of. */
struct vma *vma_merge(struct mm *mm, struct vma *v);
/* Merge all that start or end in [start, end]. */
void vma_merge_range(struct mm *mm, uint64_t start, uint64_t end);
/* Take all guest areas in the range out of the tree (split at the ends before). Takes lock. */
void vma_remove_range(struct mm *mm, uint64_t start, uint64_t end);
/* An address for len bytes; 0: no room. */
uint64_t vma_place(struct mm *mm, uint64_t hint, uint64_t len, bool low);
bool vma_range_free(struct mm *mm, uint64_t start, uint64_t end);
bool vma_range_full(struct mm *mm, uint64_t start, uint64_t end); /* no hole, nothing hidden */

/* --- mm.c --- */
bool mm_multi(const struct mm *mm);
int mm_host_map(const struct mm_call *c, const struct vma *v, uint64_t start, uint64_t end,
	int extra_flags);
/* Host unmap of a range, around what is hidden in it. */
int mm_host_unmap(const struct mm_call *c, uint64_t start, uint64_t end);
/* End of a change: release write_lock, on the host first if others share the space. */
int mm_finish(const struct mm_call *c, bool took_away);
int mm_check_limits(
	const struct mm_call *c, uint64_t len, int prot, uint32_t vma_flags, bool private_writable);

#endif
