/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Moving guest memory. What is one area to the guest can be several to the host, which does not
 * join areas that were moved (the offset of anonymous memory stays that of its first place), and
 * mremap(2) moves one area at a time: EFAULT says that there are more. Both engines move what can
 * be moved at once, from the front, in halves until it fits. No libc: this is part of the stub too.
 */
#ifndef PLATFORM_X86_64_MOVE_H
#define PLATFORM_X86_64_MOVE_H

#include <stdint.h>

#define X86_MOVE_PAGE  4096ul
#define X86_MOVE_FAULT (-14) /* -EFAULT */

/* mremap(2) with MAYMOVE and FIXED: the new address or -errno. */
typedef int64_t (*x86_mremap_fn)(
	void *arg, uint64_t old, uint64_t old_len, uint64_t new_len, uint64_t new_addr);

/* new_len >= old_len > 0, whole pages; the target overlaps nothing. 0, or -errno with all where it
 * was. */
static inline int64_t
x86_move(x86_mremap_fn call, void *arg, uint64_t old, uint64_t old_len, uint64_t new_addr,
	uint64_t new_len)
{
	uint64_t done = 0, step = old_len;

	while (done < old_len) {
		uint64_t to = done + step == old_len ? new_len - done : step;
		int64_t r = call(arg, old + done, step, to, new_addr + done);

		if (r == (int64_t)(new_addr + done)) {
			done += step;
			step = old_len - done;
			continue;
		}
		if (r != X86_MOVE_FAULT || step <= X86_MOVE_PAGE) {
			/* Back with what has moved, which is in as many areas as before. */
			for (uint64_t back = 0; back < done; back += X86_MOVE_PAGE)
				(void)call(arg, new_addr + back, X86_MOVE_PAGE, X86_MOVE_PAGE,
					old + back);
			return r < 0 ? r : X86_MOVE_FAULT;
		}
		step = (step / 2 + X86_MOVE_PAGE - 1) & ~(X86_MOVE_PAGE - 1);
	}
	return 0;
}

#endif
