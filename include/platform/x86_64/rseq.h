/* SPDX-License-Identifier: Apache-2.0 */
/* Restartable sequences: a thread's registration with the host, which is the guest's own. The
 * layout of what the guest has in its memory is <linux/rseq.h>'s. */
#ifndef PLATFORM_X86_64_RSEQ_H
#define PLATFORM_X86_64_RSEQ_H

#include "abi/sched.h"
#include <stdint.h>

/* addr 0: none. */
struct x86_rseq {
	uint64_t addr;
	uint32_t len, sig;
};

/* After a successful rseq(2) with these arguments. */
static inline struct x86_rseq
x86_rseq_after(uint64_t addr, uint32_t len, uint32_t flags, uint32_t sig)
{
	return flags & LX_RSEQ_UNREGISTER ? (struct x86_rseq){0}
					  : (struct x86_rseq){addr, len, sig};
}

#endif
