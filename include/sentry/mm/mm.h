/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest address space: the map of areas. The pages are the host's; every change here is also
 * queued on the platform thread of the caller, who runs in this address space.
 *
 * Two locks: write_lock (sleeplock) is held by everything that changes the map, across the host
 * calls that this needs; lock (rank MM) guards the tree for short looks. Whoever holds write_lock
 * may read the tree without lock.
 *
 * When more than one task uses the space, a change that takes something away is made on the host
 * before write_lock is released: else another thread could get the same addresses and have its map
 * removed by ours.
 */
#ifndef SENTRY_MM_MM_H
#define SENTRY_MM_MM_H

#include "abi/types.h"
#include "base/lock.h"
#include "base/ref.h"
#include "platform/platform.h"
#include "sentry/cred/cred.h"
#include "sentry/mm/mappable.h"
#include "sentry/mm/resident.h"
#include "sentry/sched/waitq.h"
#include <bsd/sys/tree.h>

enum vma_flags {
	VMA_SHARED = 1u << 0,
	VMA_GROWSDOWN = 1u << 1,
	VMA_LOCKED = 1u << 2,
	VMA_DONTFORK = 1u << 3,
	VMA_WIPEONFORK = 1u << 4,
	VMA_DONTDUMP = 1u << 5,
	VMA_NORESERVE = 1u << 6,
	VMA_STACK = 1u << 7,
	VMA_HEAP = 1u << 8,
	VMA_HIDDEN = 1u << 9, /* of the platform; not the guest's to see or to remove */
	VMA_VDSO = 1u << 10,
	VMA_HUGE = 1u << 11,
	VMA_NOHUGE = 1u << 12,
	VMA_SEQ = 1u << 13,
	VMA_RAND = 1u << 14,
	VMA_LOCKONFAULT = 1u << 15,
	VMA_SEALED = 1u << 16,
	VMA_VVAR = 1u << 17,
};

struct vma {
	RB_ENTRY(vma) node;
	uint64_t start, end;  /* page aligned, [start, end) */
	uint32_t flags;	      /* VMA_* */
	uint8_t prot;	      /* LX_PROT_* now */
	uint8_t may_prot;     /* what mprotect may give */
	struct mappable *map; /* a reference; NULL: private anonymous */
	uint64_t off;	      /* of start in map */
	char *name;	      /* prctl(PR_SET_VMA_ANON_NAME); owned, or NULL */
};

RB_HEAD(vma_tree, vma);

#define MM_AUXV_MAX 64 /* words */

struct mm {
	struct ref ref;
	uint64_t id;		 /* no other one has it, or had */
	_Atomic int32_t users;	 /* tasks that run in it (fork, exec, exit keep it) */
	_Atomic int32_t leaving; /* those of them that are about to go */
	struct sleeplock write_lock;
	struct mutex lock; /* rank MM */
	struct vma_tree vmas;
	struct vma *_Atomic last; /* the last one found */
	uint32_t nr_vmas;
	uint64_t total_bytes, data_bytes, stack_bytes, locked_bytes;
	uint64_t hiwater_bytes;
	struct mm_resident resident;	 /* as last looked at */
	uint64_t mmap_base;		 /* areas are placed below it, downwards */
	uint64_t place_hint;		 /* nothing fits between here and mmap_base, probably */
	_Atomic uint64_t brk_start, brk; /* written under write_lock */
	uint64_t stack_top;
	uint32_t default_flags; /* VMA_LOCKED after mlockall(MCL_FUTURE) */
	bool legacy_layout;
	/* For /proc/PID: cmdline, environ, auxv, exe, stat. Written at exec and by
	 * prctl(PR_SET_MM), under write_lock. */
	_Atomic uint64_t start_code, end_code, start_data, end_data, start_stack;
	_Atomic uint64_t arg_start, arg_end, env_start, env_end;
	uint64_t auxv[MM_AUXV_MAX]; /* under lock, with its length in words */
	uint32_t auxv_len;
	struct file *exe_file; /* a reference */
	void (*exe_put)(struct file *f);
	_Atomic uint8_t dumpable;
	_Atomic uint16_t dump_filter; /* as /proc/PID/coredump_filter has it */
	_Atomic uint8_t membarriers;  /* what membarrier(2) has registered: its commands */
	_Atomic uint8_t mdwe;	      /* LX_PR_MDWE_*: nothing becomes executable */
	bool thp_disabled;
};

/* Who changes the map: the space, the platform thread that carries it out, and the limits. */
struct mm_call {
	struct mm *mm;
	struct plat_thread *pt;
	const struct rlimits *rlim;
	const struct cred *cred;
};

int mm_new(struct mm **ret);
struct mm *mm_get(struct mm *mm);
void mm_put(struct mm *mm);
void mm_add_user(struct mm *mm);
void mm_drop_user(struct mm *mm);
/* A user is about to go: true if nobody stays (of several that go at once, it may be true for more
 * than one). mm_left, instead of mm_drop_user, when it is gone: true for the last. */
bool mm_leave(struct mm *mm);
bool mm_left(struct mm *mm);

/* Lay out a fresh space for exec: mmap_base from the stack limit, the vdso's areas. randomize:
 * ASLR. */
int mm_layout(struct mm *mm, const struct rlimits *rlim, bool randomize, uint64_t *ret_stack_top);
/* What a process or program that comes from this one has of PR_SET_MDWE. */
uint8_t mm_mdwe_inherited(const struct mm *mm);
/* Copy the map for fork; child_pt is the platform's copy of the caller's thread (for areas that are
 * not to be inherited as they are). */
int mm_fork(const struct mm_call *c, struct plat_thread *child_pt, struct mm **ret);

/* mmap(2) after the file was resolved: flags are LX_MAP_*, map NULL for anonymous private; its
 * reference is borrowed. may_prot: what mprotect may later give. Address or -errno. */
int64_t mm_mmap(const struct mm_call *c, uint64_t addr, uint64_t len, int prot, uint32_t flags,
	struct mappable *map, uint64_t off, int may_prot, uint32_t vma_flags);
/* Where a mapping of len bytes would go, without making it; 0: no room. For a space with one user.
 */
uint64_t mm_find_place(struct mm *mm, uint64_t hint, uint64_t len);
int mm_munmap(const struct mm_call *c, uint64_t addr, uint64_t len);
int mm_mprotect(const struct mm_call *c, uint64_t addr, uint64_t len, int prot);
int64_t mm_mremap(const struct mm_call *c, uint64_t old, uint64_t old_len, uint64_t new_len,
	uint32_t flags, uint64_t new_addr);
int64_t mm_brk(const struct mm_call *c, uint64_t brk);
int mm_madvise(const struct mm_call *c, uint64_t addr, uint64_t len, int advice);
int mm_mlock(const struct mm_call *c, uint64_t addr, uint64_t len, bool on, bool onfault);
int mm_mlockall(const struct mm_call *c, uint32_t flags);
int mm_munlockall(const struct mm_call *c);
int mm_msync(const struct mm_call *c, uint64_t addr, uint64_t len, uint32_t flags);
int mm_set_name(const struct mm_call *c, uint64_t addr, uint64_t len, const char *name);
int mm_seal(const struct mm_call *c, uint64_t addr, uint64_t len);

/* What prctl(PR_SET_MM) sets (marks.c): auxv and exe_fd are not looked at. -EINVAL: out of order,
 * out of the guest's addresses, or beyond RLIMIT_DATA. */
struct lx_prctl_mm_map;
void mm_marks(struct mm *mm, struct lx_prctl_mm_map *ret);
int mm_check_marks(const struct mm_call *c, const struct lx_prctl_mm_map *m);
void mm_set_marks(struct mm *mm, const struct lx_prctl_mm_map *m);
/* Is addr in, or below, some area? */
bool mm_area_after(struct mm *mm, uint64_t addr);
void mm_set_auxv(struct mm *mm, const uint64_t *auxv, uint32_t words);
/* Words. */
uint32_t mm_auxv(struct mm *mm, uint64_t ret[MM_AUXV_MAX]);

/* Is [addr, addr + len) mapped with all of prot? Grows a stack area if that is what is missing. For
 * checking before a copy: no lock is held, may be called from any handler of a task of this space.
 */
bool mm_accessible(const struct mm_call *c, uint64_t addr, uint64_t len, int prot);
/* A page fault at addr: true if the map was changed so that the access can be tried again. */
bool mm_fault(const struct mm_call *c, uint64_t addr, int prot);
/* Write also where the guest may not, in private areas, which then have pages of their own: for
 * debuggers. In the fiber of c->pt. -EFAULT. */
int mm_poke_forced(const struct mm_call *c, uint64_t addr, const void *buf, uint64_t len);
/* Is all of it mapped? */
bool mm_range_mapped(struct mm *mm, uint64_t addr, uint64_t len);
int mm_remap_file_pages(const struct mm_call *c, uint64_t addr, uint64_t len, uint64_t pgoff);
bool mm_mapped(struct mm *mm, uint64_t addr);

/* Reserve a hidden range near `near` (within 1 GiB) for the platform; nothing is mapped on the
 * host. 0: none. */
uint64_t mm_reserve_hidden(struct mm *mm, uint64_t near, uint64_t len);
/* If addr..addr+len lies in one private executable area of the guest, its protection; else -1. */
int mm_code_prot(struct mm *mm, uint64_t addr, uint64_t len);

/* Call fn for each area of the guest from addr on, in order, under lock, until it returns false. */
void mm_for_each(
	struct mm *mm, uint64_t addr, bool (*fn)(const struct vma *v, void *arg), void *arg);

#endif
