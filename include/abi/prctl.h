/* SPDX-License-Identifier: Apache-2.0 */
/* prctl(2): forms and numbers that more than its decoder knows. */
#ifndef ABI_PRCTL_H
#define ABI_PRCTL_H

#include <stdint.h>

/* PR_SET_MM_MAP */
struct lx_prctl_mm_map {
	uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	uint64_t arg_start, arg_end, env_start, env_end;
	uint64_t auxv;
	uint32_t auxv_size;
	uint32_t exe_fd; /* UINT32_MAX: leave it */
};
_Static_assert(sizeof(struct lx_prctl_mm_map) == 104, "prctl_mm_map is 104 bytes");

#define LX_PR_MDWE_REFUSE_EXEC_GAIN 1u
#define LX_PR_MDWE_NO_INHERIT	    2u

#endif
