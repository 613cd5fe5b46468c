/* SPDX-License-Identifier: Apache-2.0 */
/* What fits nowhere else: names, random bytes, system information, other processes' memory. */
#include "abi/mman.h"
#include "abi/sched.h"
#include "platform/host/info.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/timers.h"
#include "sentry/mm/mm.h"
#include "sentry/sched/sched.h"
#include "sentry/syscall/internal.h"
#include "sentry/sysctl/sysctl.h"
#include "sentry/vfs/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As a kernel 2.6.60 and later would be named, for programs that expect three numbers and a small
 * one (setarch --uname-2.6; Linux: override_release). */
static void
release_as_26(char *release, size_t size)
{
	const char *dot = strchr(uts_release, '.');

	snprintf(release, size, "2.6.%lu%s", 60 + strtoul(dot + 1, NULL, 10),
		uts_release + strspn(uts_release, "0123456789."));
}

int64_t
sys_uname(struct task *t, const uint64_t a[6])
{
	char u[6][65];

	memset(u, 0, sizeof u);
	strcpy(u[0], "Linux");
	mutex_lock(&t->uts->lock);
	memcpy(u[1], t->uts->nodename, 65);
	memcpy(u[5], t->uts->domainname, 65);
	mutex_unlock(&t->uts->lock);
	strncpy(u[2], uts_release, 64);
	if (t->personality & LX_PER_UNAME26)
		release_as_26(u[2], sizeof u[2]);
	strncpy(u[3], uts_version, 64);
	strcpy(u[4], (t->personality & LX_PER_MASK) == LX_PER_LINUX32 ? "i686" : "x86_64");
	return copy_out(&t->mem.um, ua(a[0]), u, sizeof u);
}

static int64_t
set_uts(struct task *t, char *field, uint64_t addr, uint64_t len)
{
	char buf[65] = {0};

	if (!cred_capable_in(t->cred, t->uts->user_ns, LX_CAP_SYS_ADMIN))
		return -EPERM;
	if (arg_int(len) < 0 || arg_int(len) > 64)
		return -EINVAL;
	if (copy_in(&t->mem.um, buf, ua(addr), len))
		return -EFAULT;
	mutex_lock(&t->uts->lock);
	memcpy(field, buf, 65);
	mutex_unlock(&t->uts->lock);
	return 0;
}

int64_t
sys_sethostname(struct task *t, const uint64_t a[6])
{
	return set_uts(t, t->uts->nodename, a[0], a[1]);
}

int64_t
sys_setdomainname(struct task *t, const uint64_t a[6])
{
	return set_uts(t, t->uts->domainname, a[0], a[1]);
}

int64_t
sys_getrandom(struct task *t, const uint64_t a[6])
{
	uint64_t len = a[1] > LX_MAX_RW ? LX_MAX_RW : a[1], done = 0;
	uint32_t flags = (uint32_t)a[2];
	char buf[4096];

	if ((flags & ~7u) || (flags & 6) == 6)
		return -EINVAL;
	while (done < len) {
		size_t n = len - done < sizeof buf ? len - done : sizeof buf;

		host_random(buf, n);
		if (copy_out(&t->mem.um, ua(a[0] + done), buf, n))
			return done ? (int64_t)done : -EFAULT;
		done += n;
		if (done < len && task_interrupted(t))
			break;
	}
	return (int64_t)done;
}

int64_t
sys_sysinfo(struct task *t, const uint64_t a[6])
{
	struct {
		int64_t uptime;
		uint64_t loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
		uint16_t procs, pad;
		uint64_t totalhigh, freehigh;
		uint32_t mem_unit;
	} s;
	struct kernel_meminfo m;

	memset(&s, 0, sizeof s);
	kernel_meminfo(&m);
	s.uptime = (sched_now_ns() - kernel_boot_ns() + time_ns_offset(t, LX_CLOCK_BOOTTIME)) /
		   1000000000;
	kernel_loadavg(s.loads, 16);
	s.totalram = m.total_bytes;
	s.freeram = m.free_bytes;
	s.procs = (uint16_t)kernel_nr_tasks();
	s.mem_unit = 1;
	return copy_out(&t->mem.um, ua(a[0]), &s, 112);
}

int64_t
sys_membarrier(struct task *t, const uint64_t a[6])
{
	enum {
		QUERY = 0,
		GLOBAL = 1,
		GLOBAL_EXPEDITED = 2,
		REGISTER_GLOBAL_EXPEDITED = 4,
		PRIVATE_EXPEDITED = 8,
		REGISTER_PRIVATE_EXPEDITED = 16,
		GET_REGISTRATIONS = 512,
	};
	int cmd = arg_int(a[0]);

	if ((uint32_t)a[1])
		return -EINVAL;
	switch (cmd) {
	case QUERY:
		return GLOBAL | GLOBAL_EXPEDITED | REGISTER_GLOBAL_EXPEDITED | PRIVATE_EXPEDITED |
		       REGISTER_PRIVATE_EXPEDITED | GET_REGISTRATIONS;
	case GET_REGISTRATIONS:
		return t->mm->membarriers;
	case REGISTER_GLOBAL_EXPEDITED:
	case REGISTER_PRIVATE_EXPEDITED:
		t->mm->membarriers |= (uint8_t)cmd;
		return 0;
	case PRIVATE_EXPEDITED:
		if (!(t->mm->membarriers & REGISTER_PRIVATE_EXPEDITED))
			return -EPERM;
		/* fallthrough */
	case GLOBAL_EXPEDITED:
	case GLOBAL:
		return kernel_memory_barrier();
	default:
		return -EINVAL;
	}
}

/* --- process_vm_readv, process_vm_writev --- */

static int64_t
vm_transfer(struct task *t, const uint64_t a[6], bool write)
{
	struct lx_iovec *local, *remote;
	struct uio u;
	struct task *o;
	struct mm *mm = NULL;
	int64_t done = 0, err = 0;
	char *buf;

	if (a[5])
		return -EINVAL;
	if (a[2] > LX_UIO_MAXIOV || a[4] > LX_UIO_MAXIOV)
		return -EINVAL;
	local = malloc(2 * LX_UIO_MAXIOV * sizeof *local);
	buf = malloc(65536);
	if (!local || !buf) {
		free(local);
		free(buf);
		return -ENOMEM;
	}
	remote = local + LX_UIO_MAXIOV;
	o = NULL;
	err = uio_init_user_iov(&u, &t->mem.um, local, ua(a[1]), a[2]);
	if (!err && copy_in(&t->mem.um, remote, ua(a[3]), a[4] * sizeof *remote))
		err = -EFAULT;
	if (!err && !(o = task_find_get(arg_int(a[0]))))
		err = -ESRCH;
	if (!err) {
		/* Then the access is checked: a program that it becomes meanwhile has another. */
		mutex_lock(&o->pt_lock);
		if (o->mm)
			mm = mm_get(o->mm);
		mutex_unlock(&o->pt_lock);
		if (!task_may_access(t, o))
			err = -EPERM;
		else if (!mm)
			err = -ESRCH;
	}
	for (uint64_t i = 0; !err && i < a[4] && u.left; i++) {
		uint64_t at = remote[i].base, left = remote[i].len;

		while (left && u.left) {
			size_t n = left < 65536 ? left : 65536;
			ssize_t k;
			int e;

			if (n > u.left)
				n = u.left;
			/* Up to the page's end: a fault stops exactly there. */
			if (n > LX_PAGE_SIZE - (at & (LX_PAGE_SIZE - 1)))
				n = LX_PAGE_SIZE - (at & (LX_PAGE_SIZE - 1));
			if (write) {
				k = uio_copy_from(&u, buf, n);
				if (k < (ssize_t)n) {
					err = -EFAULT;
					break;
				}
			}
			e = task_peek_poke(o, mm, at, buf, n, write);
			if (e) {
				err = -EFAULT;
				break;
			}
			if (!write) {
				k = uio_copy_to(&u, buf, n);
				if (k < (ssize_t)n) {
					err = -EFAULT;
					break;
				}
			}
			done += (int64_t)n;
			at += n;
			left -= n;
		}
	}
	mm_put(mm);
	task_put(o);
	free(local);
	free(buf);
	return done ? done : err;
}

int64_t
sys_process_vm_readv(struct task *t, const uint64_t a[6])
{
	return vm_transfer(t, a, false);
}

int64_t
sys_process_vm_writev(struct task *t, const uint64_t a[6])
{
	return vm_transfer(t, a, true);
}

static int
order(const void *x, const void *y)
{
	return x == y ? 0 : (uintptr_t)x < (uintptr_t)y ? 1 : 2;
}

#define KCMP_FILE    0
#define KCMP_VM	     1
#define KCMP_FILES   2
#define KCMP_FS	     3
#define KCMP_SIGHAND 4
#define KCMP_IO	     5
#define KCMP_SYSVSEM 6

static int
order_files(struct task *x, struct task *y, int fd, int other)
{
	struct fdtable *in = task_files_get(x), *of = task_files_get(y);
	struct file *f = in ? fdtable_file(in, fd) : NULL;
	struct file *g = of ? fdtable_file(of, other) : NULL;
	int r = f && g ? order(f, g) : -EBADF;

	if (f)
		file_put(f);
	if (g)
		file_put(g);
	fdtable_put(in, NULL);
	fdtable_put(of, NULL);
	return r;
}

/* Only to be compared: it may be gone by now. */
static const void *
part_of(struct task *t, int kind)
{
	const void *p = NULL; /* KCMP_IO: nobody has an I/O context */

	mutex_lock(&t->pt_lock);
	switch (kind) {
	case KCMP_VM:
		p = t->mm;
		break;
	case KCMP_FILES:
		p = t->files;
		break;
	case KCMP_FS:
		p = t->fs;
		break;
	case KCMP_SIGHAND:
		p = t->tgroup->sighand;
		break;
	case KCMP_SYSVSEM:
		p = t->sem_undo;
		break;
	default:
		break;
	}
	mutex_unlock(&t->pt_lock);
	return p;
}

static int
order_parts(struct task *x, struct task *y, int kind)
{
	if (kind < KCMP_VM || kind > KCMP_SYSVSEM)
		return -EINVAL;
	return order(part_of(x, kind), part_of(y, kind));
}

int64_t
sys_kcmp(struct task *t, const uint64_t a[6])
{
	struct task *x = task_find_get(arg_int(a[0])), *y = task_find_get(arg_int(a[1]));
	int64_t r = -ESRCH;

	if (!x || !y)
		goto out;
	r = -EPERM;
	if (!task_may_access(t, x) || !task_may_access(t, y))
		goto out;
	r = arg_int(a[2]) == KCMP_FILE ? order_files(x, y, arg_int(a[3]), arg_int(a[4]))
				       : order_parts(x, y, arg_int(a[2]));
out:
	task_put(x);
	task_put(y);
	return r;
}

int64_t
sys_syslog(struct task *t, const uint64_t a[6])
{
	static _Atomic int64_t before = -1; /* what the console was told, while it is off */
	int64_t least = sysctl_get(SYSCTL_PRINTK + 2), old;
	bool open =
		!sysctl_get(SYSCTL_DMESG_RESTRICT) && (arg_int(a[0]) == 3 || arg_int(a[0]) == 10);

	/* The kernel's log is empty. */
	if (!open && !cred_capable(t->cred, LX_CAP_SYSLOG) &&
		!cred_capable(t->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	switch (arg_int(a[0])) {
	case 0:
	case 1:
	case 5:
	case 9:
		return 0;
	case 2:
	case 3:
	case 4:
		return !a[1] || arg_int(a[2]) < 0 ? -EINVAL : 0;
	case 10:
		return 1 << 17;
	case 6:
		old = -1;
		atomic_compare_exchange_strong(&before, &old, sysctl_get(SYSCTL_PRINTK));
		sysctl_set(SYSCTL_PRINTK, least);
		return 0;
	case 7:
		old = atomic_exchange(&before, -1);
		if (old != -1)
			sysctl_set(SYSCTL_PRINTK, old);
		return 0;
	case 8:
		if (arg_int(a[2]) < 1 || arg_int(a[2]) > 8)
			return -EINVAL;
		atomic_store(&before, -1);
		sysctl_set(SYSCTL_PRINTK, arg_int(a[2]) < least ? least : arg_int(a[2]));
		return 0;
	default:
		return -EINVAL;
	}
}

int64_t
sys_vhangup(struct task *t, const uint64_t a[6])
{
	(void)a;
	return cred_capable(t->cred, LX_CAP_SYS_TTY_CONFIG) ? 0 : -EPERM;
}
