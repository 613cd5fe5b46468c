/* SPDX-License-Identifier: Apache-2.0 */
/* prctl(2): what a process says of its own address space. */
#include "abi/prctl.h"
#include "platform/platform.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/internal.h"
#include <string.h>

enum {
	START_CODE = 1,
	END_CODE,
	START_DATA,
	END_DATA,
	START_STACK,
	START_BRK,
	BRK,
	ARG_START,
	ARG_END,
	ENV_START,
	ENV_END,
	AUXV,
	EXE_FILE,
	MAP,
	MAP_SIZE,
};

#define AUXV_WORDS 56u /* what Linux keeps of it on x86-64 */

static void
apply(struct task *t, const struct lx_prctl_mm_map *m)
{
	mm_set_marks(t->mm, m);
	plat->set_args(t->pt, m->arg_start, m->arg_end);
}

/* bytes at addr become the whole vector. The last two words end it. */
static int
read_auxv(struct task *t, uint64_t addr, uint64_t bytes, uint64_t ret[AUXV_WORDS])
{
	if (bytes > AUXV_WORDS * sizeof *ret)
		return -EINVAL;
	memset(ret, 0, AUXV_WORDS * sizeof *ret);
	if (copy_in(&t->mem.um, ret, ua(addr), bytes))
		return -EFAULT;
	ret[AUXV_WORDS - 2] = ret[AUXV_WORDS - 1] = 0;
	return 0;
}

static int64_t
set_map(struct task *t, uint64_t addr, uint64_t len)
{
	struct lx_prctl_mm_map m;
	uint64_t auxv[AUXV_WORDS];
	struct mm_call mc;
	int err;

	if (len != sizeof m)
		return -EINVAL;
	if (copy_in(&t->mem.um, &m, ua(addr), sizeof m))
		return -EFAULT;
	task_mm_call(t, &mc);
	err = mm_check_marks(&mc, &m);
	if (err)
		return err;
	if (m.auxv_size) {
		err = m.auxv ? read_auxv(t, m.auxv, m.auxv_size, auxv) : -EINVAL;
		if (err)
			return err;
	}
	if (m.exe_fd != UINT32_MAX)
		return cred_capable_own(t->cred, LX_CAP_SYS_ADMIN) ||
				       cred_capable_own(t->cred, LX_CAP_CHECKPOINT_RESTORE)
			       ? -EINVAL
			       : -EPERM;
	apply(t, &m);
	if (m.auxv_size)
		mm_set_auxv(t->mm, auxv, AUXV_WORDS);
	return 0;
}

static int64_t
set_one(struct task *t, uint64_t what, uint64_t addr)
{
	struct lx_prctl_mm_map m;
	struct mm_call mc;
	int err;

	mm_marks(t->mm, &m);
	switch (what) {
	case START_CODE:
		m.start_code = addr;
		break;
	case END_CODE:
		m.end_code = addr;
		break;
	case START_DATA:
		m.start_data = addr;
		break;
	case END_DATA:
		m.end_data = addr;
		break;
	case START_STACK:
		m.start_stack = addr;
		break;
	case START_BRK:
		m.start_brk = addr;
		break;
	case BRK:
		m.brk = addr;
		break;
	case ARG_START:
		m.arg_start = addr;
		break;
	case ARG_END:
		m.arg_end = addr;
		break;
	case ENV_START:
		m.env_start = addr;
		break;
	case ENV_END:
		m.env_end = addr;
		break;
	default:
		return -EINVAL;
	}
	task_mm_call(t, &mc);
	err = mm_check_marks(&mc, &m);
	if (err)
		return err;
	/* These have to be in, or before, some area. */
	if ((what == START_STACK || (what >= ARG_START && what <= ENV_END)) &&
		!mm_area_after(t->mm, addr))
		return -EFAULT;
	apply(t, &m);
	return 0;
}

int64_t
prctl_set_mm(struct task *t, const uint64_t a[6])
{
	uint64_t auxv[AUXV_WORDS];
	uint32_t what = (uint32_t)a[1], size = sizeof(struct lx_prctl_mm_map);
	int err;

	if (a[4] || (a[3] && what != AUXV && what != MAP && what != MAP_SIZE))
		return -EINVAL;
	if (what == MAP_SIZE)
		return copy_out(&t->mem.um, ua(a[2]), &size, sizeof size);
	if (what == MAP)
		return set_map(t, a[2], a[3]);
	if (!cred_capable(t->cred, LX_CAP_SYS_RESOURCE))
		return -EPERM;
	if (what == EXE_FILE)
		return -EINVAL;
	if (what != AUXV)
		return set_one(t, what, a[2]);
	err = read_auxv(t, a[2], a[3], auxv);
	if (err)
		return err;
	mm_set_auxv(t->mm, auxv, AUXV_WORDS);
	return 0;
}

int64_t
prctl_get_auxv(struct task *t, const uint64_t a[6])
{
	uint64_t auxv[MM_AUXV_MAX] = {0}, len = AUXV_WORDS * sizeof *auxv;

	if (a[3] || a[4])
		return -EINVAL;
	mm_auxv(t->mm, auxv);
	if (copy_out(&t->mem.um, ua(a[1]), auxv, a[2] < len ? a[2] : len))
		return -EFAULT;
	return (int64_t)len;
}

int64_t
prctl_set_mdwe(struct task *t, const uint64_t a[6])
{
	uint8_t before = atomic_load(&t->mm->mdwe);

	if (a[2] || a[3] || a[4] ||
		(a[1] & ~(uint64_t)(LX_PR_MDWE_REFUSE_EXEC_GAIN | LX_PR_MDWE_NO_INHERIT)) ||
		a[1] == LX_PR_MDWE_NO_INHERIT)
		return -EINVAL;
	if (before && before != a[1])
		return -EPERM;
	atomic_store(&t->mm->mdwe, (uint8_t)a[1]);
	return 0;
}

int64_t
prctl_get_mdwe(struct task *t, const uint64_t a[6])
{
	return a[1] || a[2] || a[3] || a[4] ? -EINVAL : atomic_load(&t->mm->mdwe);
}
