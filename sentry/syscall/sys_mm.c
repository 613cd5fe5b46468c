/* SPDX-License-Identifier: Apache-2.0 */
/* Memory: the mmap family and what tells about memory. */
#include "abi/fs.h"
#include "abi/mman.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/internal.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/mount.h"

#define KNOWN_MAP_FLAGS                                                                            \
	(LX_MAP_TYPE | LX_MAP_FIXED | LX_MAP_ANONYMOUS | LX_MAP_32BIT | LX_MAP_GROWSDOWN |         \
		LX_MAP_DENYWRITE | LX_MAP_EXECUTABLE | LX_MAP_LOCKED | LX_MAP_NORESERVE |          \
		LX_MAP_POPULATE | LX_MAP_NONBLOCK | LX_MAP_STACK | LX_MAP_FIXED_NOREPLACE)

/* Is it a file that nobody may write any more, other than by what is mapped already? */
static bool
is_sealed(struct file *f)
{
	int seals = tmpfs_seals_get(f);

	return seals > 0 && (seals & (LX_F_SEAL_WRITE | LX_F_SEAL_FUTURE_WRITE));
}

static int
file_mappable(
	struct task *t, struct file *f, int prot, bool shared, int *may, struct mappable **ret)
{
	*may = LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC;
	if (!(f->mode & LX_FMODE_READ))
		return -EACCES;
	if (shared) {
		if ((prot & LX_PROT_WRITE) && !(f->mode & LX_FMODE_WRITE))
			return -EACCES;
		if (!(f->mode & LX_FMODE_WRITE) || (!(prot & LX_PROT_WRITE) && is_sealed(f)))
			*may &= ~LX_PROT_WRITE;
	}
	if (f->path.mnt && (atomic_load(&f->path.mnt->flags) & MNT_NOEXEC)) {
		if (prot & LX_PROT_EXEC)
			return -EPERM;
		*may &= ~LX_PROT_EXEC;
	}
	if (!f->ops->mappable)
		return -ENODEV;
	return f->ops->mappable(f, &t->call, shared ? *may : prot, shared, ret);
}

/* Shared anonymous memory is a nameless file (mmap(2), /proc/PID/maps show it as /dev/zero). */
static int
anon_shared(struct task *t, uint64_t len, struct mappable **ret)
{
	struct file *f;
	int err;

	if ((int64_t)len < 0)
		return -ENOMEM;
	err = tmpfs_file_new(&t->call, "/dev/zero", (int64_t)len, 0600, LX_O_RDWR, &f);
	if (err)
		return err;
	err = f->ops->mappable(f, &t->call, LX_PROT_READ | LX_PROT_WRITE, true, ret);
	file_put(f);
	return err;
}

int64_t
sys_mmap(struct task *t, const uint64_t a[6])
{
	uint64_t len = a[1], off = a[5];
	int prot = arg_int(a[2]), may = LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC;
	uint32_t flags = (uint32_t)a[3], type = flags & LX_MAP_TYPE;
	bool shared = type != LX_MAP_PRIVATE;
	struct mappable *map = NULL;
	struct file *f = NULL;
	struct mm_call mc;
	int64_t r;

	if (off & (LX_PAGE_SIZE - 1))
		return -EINVAL;
	if (!(flags & LX_MAP_ANONYMOUS)) {
		f = task_file(t, arg_int(a[4]));
		if (!f)
			return -EBADF;
	}
	r = -EINVAL;
	if (!len)
		goto out;
	if (type != LX_MAP_PRIVATE && type != LX_MAP_SHARED && type != LX_MAP_SHARED_VALIDATE)
		goto out;
	if (flags & LX_MAP_HUGETLB) {
		r = f ? -EINVAL : -ENOMEM; /* as on a host with no huge pages reserved */
		goto out;
	}
	if (type == LX_MAP_SHARED_VALIDATE) {
		r = -EOPNOTSUPP;
		if (flags & ~(uint32_t)KNOWN_MAP_FLAGS)
			goto out;
	}
	if (flags & LX_MAP_ANONYMOUS) {
		if (type == LX_MAP_SHARED_VALIDATE) {
			r = -EINVAL;
			goto out;
		}
		off = 0;
		if (shared && (flags & LX_MAP_GROWSDOWN)) {
			r = -EINVAL;
			goto out;
		}
		if (shared) {
			r = anon_shared(t, len, &map);
			if (r)
				goto out;
		}
	} else {
		if (flags & LX_MAP_GROWSDOWN)
			goto out;
		if (off + ((len + LX_PAGE_SIZE - 1) & ~(LX_PAGE_SIZE - 1)) < off) {
			r = -EOVERFLOW;
			goto out;
		}
		r = file_mappable(t, f, prot, shared, &may, &map);
		if (!r && map->ops->place) {
			r = map->ops->place(map, off, len);
			off = r < 0 ? off : (uint64_t)r;
		}
		if (r < 0)
			goto out;
	}
	prot &= LX_PROT_READ | LX_PROT_WRITE | LX_PROT_EXEC;
	if ((t->personality & 0x0400000) && (prot & LX_PROT_READ) && (may & LX_PROT_EXEC))
		prot |= LX_PROT_EXEC; /* READ_IMPLIES_EXEC */
	task_mm_call(t, &mc);
	r = mm_mmap(
		&mc, a[0], len, prot, flags, map, off, may, flags & LX_MAP_STACK ? VMA_NOHUGE : 0);
out:
	if (map && ref_put(&map->ref))
		map->ops->release(map);
	if (f)
		file_put(f);
	return r;
}

int64_t
sys_munmap(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	task_mm_call(t, &mc);
	return mm_munmap(&mc, a[0], a[1]);
}

int64_t
sys_mprotect(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	task_mm_call(t, &mc);
	return mm_mprotect(&mc, a[0], a[1], arg_int(a[2]));
}

int64_t
sys_mremap(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	task_mm_call(t, &mc);
	return mm_mremap(&mc, a[0], a[1], a[2], (uint32_t)a[3], a[4]);
}

int64_t
sys_brk(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	task_mm_call(t, &mc);
	return mm_brk(&mc, a[0]);
}

int64_t
sys_madvise(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	task_mm_call(t, &mc);
	return mm_madvise(&mc, a[0], a[1], arg_int(a[2]));
}

int64_t
sys_msync(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	task_mm_call(t, &mc);
	return mm_msync(&mc, a[0], a[1], (uint32_t)a[2]);
}

int64_t
sys_mlock(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	task_mm_call(t, &mc);
	return mm_mlock(&mc, a[0], a[1], true, false);
}

int64_t
sys_mlock2(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	if ((uint32_t)a[2] & ~(uint32_t)LX_MLOCK_ONFAULT)
		return -EINVAL;
	task_mm_call(t, &mc);
	return mm_mlock(&mc, a[0], a[1], true, a[2] & LX_MLOCK_ONFAULT);
}

int64_t
sys_munlock(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	task_mm_call(t, &mc);
	return mm_mlock(&mc, a[0], a[1], false, false);
}

int64_t
sys_mlockall(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	task_mm_call(t, &mc);
	return mm_mlockall(&mc, (uint32_t)a[0]);
}

int64_t
sys_munlockall(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	(void)a;
	task_mm_call(t, &mc);
	return mm_munlockall(&mc);
}

int64_t
sys_mseal(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;

	if (a[2])
		return -EINVAL;
	task_mm_call(t, &mc);
	return mm_seal(&mc, a[0], a[1]);
}

/* --- memory policy: one node --- */

int64_t
sys_get_mempolicy(struct task *t, const uint64_t a[6])
{
	enum {
		F_NODE = 1,
		F_ADDR = 2,
		F_MEMS_ALLOWED = 4,
	};
	uint64_t flags = a[4], node0 = 1;
	int32_t mode = flags & (F_ADDR | F_MEMS_ALLOWED) ? 0 : t->mem_policy;

	if (flags & ~(uint64_t)(F_NODE | F_ADDR | F_MEMS_ALLOWED))
		return -EINVAL;
	if ((flags & F_MEMS_ALLOWED) && (flags & (F_NODE | F_ADDR)))
		return -EINVAL;
	if (!(flags & F_ADDR) && a[3])
		return -EINVAL;
	if ((flags & F_NODE) && !(flags & F_ADDR))
		return -EINVAL;
	if ((flags & F_ADDR) && !mm_mapped(t->mm, a[3]))
		return -EFAULT;
	if (a[1]) {
		uint64_t bytes = (a[2] + 63) / 64 * 8;

		if (a[2] < 1 || bytes > 4096)
			return -EINVAL;
		if (!(flags & F_MEMS_ALLOWED))
			node0 = flags & F_ADDR ? 0 : t->mem_nodes;
		if (copy_out(&t->mem.um, ua(a[1]), &node0, sizeof node0) ||
			(bytes > 8 && usermem_zero(&t->mem.um, ua(a[1] + 8), bytes - 8)))
			return -EFAULT;
	}
	if (a[0] && copy_out(&t->mem.um, ua(a[0]), &mode, sizeof mode))
		return -EFAULT;
	return 0;
}

/* With one node every valid policy comes to the same; an invalid one is refused. */
static int64_t
check_policy(struct task *t, int mode, uint64_t mask_addr, uint64_t maxnode, uint64_t *ret_nodes)
{
	uint64_t mask = 0;

	*ret_nodes = 0;

	mode &= ~((1 << 15) | (1 << 14) | (1 << 13));
	if (mode < 0 || mode > 5)
		return -EINVAL;
	if (maxnode > LX_PAGE_SIZE * 8)
		return -EINVAL;
	if (mask_addr && maxnode > 1 && copy_in(&t->mem.um, &mask, ua(mask_addr), sizeof mask))
		return -EFAULT;
	if (maxnode > 1 && maxnode <= 64)
		mask &= (1ULL << (maxnode - 1)) - 1;
	if (mask & ~1ULL)
		return -EINVAL;
	if (mode == 0)
		return mask ? -EINVAL : 0;
	if ((mode == 2 || mode == 3) && !mask)
		return -EINVAL;
	*ret_nodes = mode == 4 ? 0 : mask;
	return 0;
}

int64_t
sys_set_mempolicy(struct task *t, const uint64_t a[6])
{
	uint64_t nodes;
	int64_t r = check_policy(t, arg_int(a[0]), a[1], a[2], &nodes);

	if (r < 0)
		return r;
	/* To prefer none is to prefer where one runs. */
	t->mem_policy = (uint16_t)arg_int(a[0]);
	if (t->mem_policy == 1 && !nodes)
		t->mem_policy = 4;
	t->mem_nodes = (uint16_t)nodes;
	return 0;
}

int64_t
sys_mbind(struct task *t, const uint64_t a[6])
{
	uint64_t nodes;

	if ((a[0] & (LX_PAGE_SIZE - 1)) || (a[5] & ~7ULL))
		return -EINVAL;
	if (a[1] && !mm_mapped(t->mm, a[0]))
		return -EFAULT;
	return check_policy(t, arg_int(a[2]), a[3], a[4], &nodes);
}
