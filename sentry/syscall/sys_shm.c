/* SPDX-License-Identifier: Apache-2.0 */
/* System V shared memory: shmget, shmat, shmdt, shmctl. */
#include "abi/mman.h"
#include "sentry/ipc/ipc.h"
#include "sentry/ipc/shm.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/internal.h"
#include <string.h>

int64_t
sys_shmget(struct task *t, const uint64_t a[6])
{
	return shm_get(&t->call, arg_int(a[0]), a[1], arg_int(a[2]));
}

int64_t
sys_shmat(struct task *t, const uint64_t a[6])
{
	int flags = arg_int(a[2]), prot = LX_PROT_READ;
	uint64_t addr = a[1], size;
	struct mappable *m;
	struct mm_call mc;
	int64_t r;

	if (addr & (LX_PAGE_SIZE - 1)) {
		if (!(flags & LX_SHM_RND))
			return -EINVAL;
		addr &= ~(LX_PAGE_SIZE - 1);
	}
	if (!addr && (flags & LX_SHM_REMAP))
		return -EINVAL;
	if (!(flags & LX_SHM_RDONLY))
		prot |= LX_PROT_WRITE;
	if (flags & LX_SHM_EXEC)
		prot |= LX_PROT_EXEC;
	r = shm_attach(&t->call, arg_int(a[0]), !(flags & LX_SHM_RDONLY), &m, &size);
	if (r)
		return r;
	task_mm_call(t, &mc);
	r = mm_mmap(&mc, addr, size, prot,
		LX_MAP_SHARED |
			(addr ? flags & LX_SHM_REMAP ? LX_MAP_FIXED : LX_MAP_FIXED_NOREPLACE : 0),
		m, 0,
		flags & LX_SHM_RDONLY ? LX_PROT_READ | LX_PROT_EXEC
				      : LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC,
		0);
	if (ref_put(&m->ref))
		m->ops->release(m);
	return r == -EEXIST ? -EINVAL : r;
}

struct detach {
	uint64_t addr, start[64], end[64];
	const struct mappable *m;
	int n;
	bool found;
};

static bool
look(const struct vma *v, void *arg)
{
	struct detach *d = arg;

	if (!d->found) {
		if (v->start != d->addr || v->off || !shm_is(v->map))
			return v->start <= d->addr;
		d->found = true;
		d->m = v->map;
	}
	if (v->map == d->m && v->start - d->addr == v->off) {
		if (d->n == 64)
			return false;
		d->start[d->n] = v->start;
		d->end[d->n++] = v->end;
	}
	return true;
}

int64_t
sys_shmdt(struct task *t, const uint64_t a[6])
{
	struct detach d = {.addr = a[0]};
	struct mm_call mc;
	int64_t r = 0;

	if (a[0] & (LX_PAGE_SIZE - 1))
		return -EINVAL;
	task_mm_call(t, &mc);
	do {
		int n;

		d.n = 0;
		mm_for_each(t->mm, a[0], look, &d);
		if (!d.found)
			return -EINVAL;
		n = d.n;
		for (int i = 0; i < n && !r; i++)
			r = mm_munmap(&mc, d.start[i], d.end[i] - d.start[i]);
	} while (d.n == 64 && !r);
	return r;
}

int64_t
sys_shmctl(struct task *t, const uint64_t a[6])
{
	int id = arg_int(a[0]), cmd = arg_int(a[1]), found, segments, r;
	struct lx_shmid_ds ds;
	uint64_t pages;

	switch (cmd) {
	case LX_IPC_STAT:
	case LX_SHM_STAT:
		r = shm_stat(&t->call, id, cmd == LX_SHM_STAT, &ds, &found);
		if (r)
			return r;
		ipc_owner_out(t, &ds.perm);
		ds.cpid = pid_nr_out(ds.cpid);
		ds.lpid = pid_nr_out(ds.lpid);
		if (copy_out(&t->mem.um, ua(a[2]), &ds, sizeof ds))
			return -EFAULT;
		return cmd == LX_SHM_STAT ? found : 0;
	case LX_IPC_SET:
		if (copy_in(&t->mem.um, &ds, ua(a[2]), sizeof ds))
			return -EFAULT;
		ipc_owner_in(t, &ds.perm);
		return shm_set(&t->call, id, &ds);
	case LX_IPC_RMID:
		return shm_remove(&t->call, id);
	case LX_IPC_INFO: {
		const uint64_t most = ipc_limit_get(t->call.ipc, IPC_SHMMNI);
		const uint64_t info[10] = {ipc_limit_get(t->call.ipc, IPC_SHMMAX), 1, most, most,
			ipc_limit_get(t->call.ipc, IPC_SHMALL)};

		r = shm_usage(&t->call, &segments, &pages);
		return copy_out(&t->mem.um, ua(a[2]), info, 72) ? -EFAULT : r;
	}
	case LX_SHM_INFO: {
		uint64_t info[6] = {0};

		r = shm_usage(&t->call, &segments, &pages);
		info[0] = (uint64_t)segments;
		info[1] = info[2] = pages;
		return copy_out(&t->mem.um, ua(a[2]), info, sizeof info) ? -EFAULT : r;
	}
	case LX_SHM_LOCK:
	case LX_SHM_UNLOCK: /* the host decides what stays in memory */
		return cred_capable(t->cred, LX_CAP_IPC_LOCK) ? 0 : -EPERM;
	default:
		return -EINVAL;
	}
}
