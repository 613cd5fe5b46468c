/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first stub process of an engine, which is forked from the sentry: where the region of the
 * engine stands in it, and what it gives up. All its copies look the same.
 */
#ifndef PLATFORM_X86_64_FIRST_H
#define PLATFORM_X86_64_FIRST_H

#include <stdbool.h>
#include <stdint.h>

#define X86_USER_TOP	 0x7ffffffff000ull
#define X86_REGION_BYTES 0x100000000ull

struct x86_layout {
	uint64_t base;		 /* of the region: X86_REGION_BYTES, aligned to that */
	uint64_t vdso, vdso_len; /* vvar and vdso in every stub */
	uint64_t vdso_ehdr;	 /* 0: none */
	uint64_t keep_start,
		keep_end; /* where they are now; the rest of the sentry's memory goes */
	uint32_t nmove;
	struct {
		uint64_t from, to, len;
	} move[8];
};

/* vdso_off: where in the region vvar and vdso are moved to, if move; at most vdso_max bytes, else
 * there is none. 0, or -ENOSYS with a line in the log. */
int x86_layout_find(struct x86_layout *l, uint64_t vdso_off, uint64_t vdso_max, bool move);

/* In the child of the fork; only raw host calls. What libc has registered with the kernel, and all
 * signal handlers. */
void x86_first_forget_libc(void);
/* Core dumps, capabilities, new privileges; 0 or -errno. */
long x86_first_drop_rights(void);

#endif
