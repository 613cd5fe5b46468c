/* SPDX-License-Identifier: Apache-2.0 */
/* What a program says of its own address space (prctl(2), PR_SET_MM): where its code, data, heap,
 * arguments and environment are, which /proc/PID shows. */
#include "abi/prctl.h"
#include "platform/platform.h"
#include "sentry/mm/internal.h"
#include "sentry/mm/mm.h"
#include "sentry/sysctl/sysctl.h"
#include <string.h>

void
mm_marks(struct mm *mm, struct lx_prctl_mm_map *ret)
{
	sleeplock_lock(&mm->write_lock);
	*ret = (struct lx_prctl_mm_map){
		.start_code = mm->start_code,
		.end_code = mm->end_code,
		.start_data = mm->start_data,
		.end_data = mm->end_data,
		.start_brk = mm->brk_start,
		.brk = mm->brk,
		.start_stack = mm->start_stack,
		.arg_start = mm->arg_start,
		.arg_end = mm->arg_end,
		.env_start = mm->env_start,
		.env_end = mm->env_end,
		.exe_fd = UINT32_MAX,
	};
	sleeplock_unlock(&mm->write_lock);
}

int
mm_check_marks(const struct mm_call *c, const struct lx_prctl_mm_map *m)
{
	const uint64_t all[] = {m->start_code, m->end_code, m->start_data, m->end_data,
		m->start_brk, m->brk, m->start_stack, m->arg_start, m->arg_end, m->env_start,
		m->env_end};
	uint64_t lim = rlimit_cur(c->rlim, LX_RLIMIT_DATA);

	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		if (all[i] >= plat->guest_top() ||
			all[i] < (uint64_t)sysctl_get(SYSCTL_MMAP_MIN_ADDR))
			return -EINVAL;
	if (m->start_code >= m->end_code || m->start_data > m->end_data || m->start_brk > m->brk ||
		m->arg_start > m->arg_end || m->env_start > m->env_end)
		return -EINVAL;
	if (lim != LX_RLIM_INFINITY && m->brk - m->start_brk + (m->end_data - m->start_data) > lim)
		return -EINVAL;
	return 0;
}

void
mm_set_marks(struct mm *mm, const struct lx_prctl_mm_map *m)
{
	sleeplock_lock(&mm->write_lock);
	mm->start_code = m->start_code;
	mm->end_code = m->end_code;
	mm->start_data = m->start_data;
	mm->end_data = m->end_data;
	mm->brk_start = m->start_brk;
	mm->brk = m->brk;
	mm->start_stack = m->start_stack;
	mm->arg_start = m->arg_start;
	mm->arg_end = m->arg_end;
	mm->env_start = m->env_start;
	mm->env_end = m->env_end;
	sleeplock_unlock(&mm->write_lock);
}

bool
mm_area_after(struct mm *mm, uint64_t addr)
{
	bool found;

	mutex_lock(&mm->lock);
	found = vma_find(mm, addr) != NULL;
	mutex_unlock(&mm->lock);
	return found;
}

void
mm_set_auxv(struct mm *mm, const uint64_t *auxv, uint32_t words)
{
	mutex_lock(&mm->lock);
	memcpy(mm->auxv, auxv, words * sizeof *auxv);
	mm->auxv_len = words;
	mutex_unlock(&mm->lock);
}

uint32_t
mm_auxv(struct mm *mm, uint64_t ret[MM_AUXV_MAX])
{
	uint32_t words;

	mutex_lock(&mm->lock);
	words = mm->auxv_len;
	memcpy(ret, mm->auxv, words * sizeof *ret);
	mutex_unlock(&mm->lock);
	return words;
}
