/* SPDX-License-Identifier: Apache-2.0 */
/* prctl(2), arch_prctl(2), personality(2). */
#include "abi/sched.h"
#include "sentry/cred/user_ns.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/internal.h"
#include <string.h>

#define LX_PR_SET_PDEATHSIG	  1
#define LX_PR_GET_PDEATHSIG	  2
#define LX_PR_GET_DUMPABLE	  3
#define LX_PR_SET_DUMPABLE	  4
#define LX_PR_GET_KEEPCAPS	  7
#define LX_PR_SET_KEEPCAPS	  8
#define LX_PR_GET_TIMING	  13
#define LX_PR_SET_TIMING	  14
#define LX_PR_SET_NAME		  15
#define LX_PR_GET_NAME		  16
#define LX_PR_GET_SECCOMP	  21
#define LX_PR_SET_SECCOMP	  22
#define LX_PR_CAPBSET_READ	  23
#define LX_PR_CAPBSET_DROP	  24
#define LX_PR_GET_TSC		  25
#define LX_PR_GET_SECUREBITS	  27
#define LX_PR_SET_SECUREBITS	  28
#define LX_PR_SET_TIMERSLACK	  29
#define LX_PR_GET_TIMERSLACK	  30
#define LX_PR_SET_CHILD_SUBREAPER 36
#define LX_PR_GET_CHILD_SUBREAPER 37
#define LX_PR_SET_NO_NEW_PRIVS	  38
#define LX_PR_GET_NO_NEW_PRIVS	  39
#define LX_PR_GET_TID_ADDRESS	  40
#define LX_PR_SET_THP_DISABLE	  41
#define LX_PR_GET_THP_DISABLE	  42
#define LX_PR_SET_MM		  35
#define LX_PR_CAP_AMBIENT	  47
#define LX_PR_SET_USER_DISPATCH	  59
#define LX_PR_SET_MDWE		  65
#define LX_PR_GET_MDWE		  66
#define LX_PR_GET_AUXV		  0x41555856
#define LX_PR_SET_VMA		  0x53564d41
#define LX_PR_SET_PTRACER	  0x59616d61

static int64_t
cap_ambient(struct task *t, const uint64_t a[6])
{
	const struct cred *c = t->cred;
	uint64_t bit = a[2] <= LX_CAP_LAST ? 1ULL << a[2] : 0;
	struct cred *n;

	if (a[3] || a[4])
		return -EINVAL;
	if (a[1] == 4) { /* CLEAR_ALL */
		if (a[2])
			return -EINVAL;
	} else if (!bit) {
		return -EINVAL;
	}
	switch (a[1]) {
	case 1: /* IS_SET */
		return !!(c->cap_ambient & bit);
	case 2: /* RAISE */
		if (!(c->cap_permitted & c->cap_inheritable & bit) || (c->securebits & 64))
			return -EPERM;
		break;
	case 3: /* LOWER */
	case 4:
		break;
	default:
		return -EINVAL;
	}
	n = cred_dup(c);
	if (!n)
		return -ENOMEM;
	if (a[1] == 2)
		n->cap_ambient |= bit;
	else
		n->cap_ambient &= a[1] == 4 ? 0 : ~bit;
	task_set_cred(t, n);
	return 0;
}

static int64_t
set_securebits(struct task *t, uint64_t bits)
{
	const struct cred *c = t->cred;
	uint32_t locks = (c->securebits & 0xaa) >> 1;
	struct cred *n;

	if (!cred_capable_own(c, LX_CAP_SETPCAP) || (locks & (c->securebits ^ bits)) ||
		((c->securebits & 0xaa) & ~bits) || (bits & ~0xffULL))
		return -EPERM;
	n = cred_dup(c);
	if (!n)
		return -ENOMEM;
	n->securebits = (uint32_t)bits;
	task_set_cred(t, n);
	return 0;
}

static int64_t
change_cred(struct task *t, void (*fn)(struct cred *n, uint64_t arg), uint64_t arg)
{
	struct cred *n = cred_dup(t->cred);

	if (!n)
		return -ENOMEM;
	fn(n, arg);
	task_set_cred(t, n);
	return 0;
}

static void
set_nnp(struct cred *n, uint64_t arg)
{
	(void)arg;
	n->no_new_privs = true;
}

static void
drop_bounding(struct cred *n, uint64_t arg)
{
	n->cap_bounding &= ~(1ULL << arg);
}

static void
set_keepcaps(struct cred *n, uint64_t arg)
{
	n->securebits = (n->securebits & ~16u) | (arg ? 16u : 0);
}

static int64_t
set_name(struct task *t, uint64_t addr)
{
	char name[16];
	ssize_t n = copy_in_str(&t->mem.um, name, ua(addr), sizeof name);

	if (n == -EFAULT)
		return -EFAULT;
	name[n < 0 ? 15 : n] = 0;
	mutex_lock(&t->pt_lock);
	memset(t->comm, 0, sizeof t->comm);
	strcpy(t->comm, name);
	mutex_unlock(&t->pt_lock);
	plat->set_name(t->pt, t->comm);
	return 0;
}

static int64_t
set_vma_name(struct task *t, const uint64_t a[6])
{
	struct mm_call mc;
	char name[81];
	ssize_t n;

	if (a[1] != 0) /* PR_SET_VMA_ANON_NAME */
		return -EINVAL;
	if (a[4]) {
		n = copy_in_str(&t->mem.um, name, ua(a[4]), 80);
		if (n < 0)
			return n == -EFAULT ? -EFAULT : -EINVAL;
		for (ssize_t i = 0; i < n; i++)
			if (name[i] < ' ' || name[i] > '~' || strchr("\\`$[]", name[i]))
				return -EINVAL;
	}
	task_mm_call(t, &mc);
	return mm_set_name(&mc, a[2], a[3], a[4] ? name : NULL);
}

static int64_t
int_out(struct task *t, uint64_t addr, int32_t v)
{
	return copy_out(&t->mem.um, ua(addr), &v, sizeof v);
}

int64_t
sys_prctl(struct task *t, const uint64_t a[6])
{
	struct tgroup *g = t->tgroup;

	switch (arg_int(a[0])) {
	case LX_PR_SET_PDEATHSIG:
		if (a[1] > LX_NSIG)
			return -EINVAL;
		t->pdeath_signal = arg_int(a[1]);
		return 0;
	case LX_PR_GET_PDEATHSIG:
		return int_out(t, a[1], t->pdeath_signal);
	case LX_PR_GET_DUMPABLE:
		return t->mm->dumpable;
	case LX_PR_SET_DUMPABLE:
		if (a[1] > 1)
			return -EINVAL;
		t->mm->dumpable = (uint8_t)a[1];
		return 0;
	case LX_PR_GET_KEEPCAPS:
		return !!(t->cred->securebits & 16);
	case LX_PR_SET_KEEPCAPS:
		if (a[1] > 1)
			return -EINVAL;
		if (t->cred->securebits & 32)
			return -EPERM;
		return change_cred(t, set_keepcaps, a[1]);
	case LX_PR_GET_TIMING:
		return 0;
	case LX_PR_SET_TIMING:
		return a[1] ? -EINVAL : 0;
	case LX_PR_SET_NAME:
		return set_name(t, a[1]);
	case LX_PR_GET_NAME:
		return copy_out(&t->mem.um, ua(a[1]), t->comm, 16);
	case LX_PR_GET_SECCOMP:
		return t->seccomp_mode;
	case LX_PR_SET_SECCOMP:
		return prctl_set_seccomp(t, a[1], a[2]);
	case LX_PR_CAPBSET_READ:
		return a[1] > LX_CAP_LAST ? -EINVAL
					  : (int64_t)((t->cred->cap_bounding >> a[1]) & 1);
	case LX_PR_CAPBSET_DROP:
		if (!cred_capable_own(t->cred, LX_CAP_SETPCAP))
			return -EPERM;
		if (a[1] > LX_CAP_LAST)
			return -EINVAL;
		return change_cred(t, drop_bounding, a[1]);
	case LX_PR_GET_TSC:
		return int_out(t, a[1], 1); /* PR_TSC_ENABLE */
	case LX_PR_GET_SECUREBITS:
		return t->cred->securebits;
	case LX_PR_SET_SECUREBITS:
		return set_securebits(t, a[1]);
	case LX_PR_SET_TIMERSLACK:
		t->timer_slack_ns = (int64_t)a[1] <= 0 ? t->default_slack_ns : a[1];
		return 0;
	case LX_PR_GET_TIMERSLACK:
		return (int64_t)t->timer_slack_ns;
	case LX_PR_SET_CHILD_SUBREAPER:
		mutex_lock(&tasklist_lock);
		g->is_subreaper = a[1] != 0;
		mutex_unlock(&tasklist_lock);
		return 0;
	case LX_PR_GET_CHILD_SUBREAPER:
		return int_out(t, a[1], g->is_subreaper);
	case LX_PR_SET_NO_NEW_PRIVS:
		if (a[1] != 1 || a[2] || a[3] || a[4])
			return -EINVAL;
		return change_cred(t, set_nnp, 0);
	case LX_PR_GET_NO_NEW_PRIVS:
		if (a[1] || a[2] || a[3] || a[4])
			return -EINVAL;
		return task_no_new_privs(t);
	case LX_PR_GET_TID_ADDRESS:
		return copy_out(&t->mem.um, ua(a[1]), &t->clear_child_tid.v, 8);
	case LX_PR_SET_THP_DISABLE:
		if (a[2] || a[3] || a[4])
			return -EINVAL;
		t->mm->thp_disabled = a[1] != 0;
		return 0;
	case LX_PR_GET_THP_DISABLE:
		if (a[1] || a[2] || a[3] || a[4])
			return -EINVAL;
		return t->mm->thp_disabled;
	case LX_PR_CAP_AMBIENT:
		return cap_ambient(t, a);
	case LX_PR_SET_MM:
		return prctl_set_mm(t, a);
	case LX_PR_GET_AUXV:
		return prctl_get_auxv(t, a);
	case LX_PR_SET_MDWE:
		return prctl_set_mdwe(t, a);
	case LX_PR_GET_MDWE:
		return prctl_get_mdwe(t, a);
	case LX_PR_SET_USER_DISPATCH:
		return user_dispatch_set(t, a[1], a[2], a[3], a[4]);
	case LX_PR_SET_VMA:
		return set_vma_name(t, a);
	default:
		return -EINVAL;
	}
}

int64_t
sys_arch_prctl(struct task *t, const uint64_t a[6])
{
	enum {
		SET_GS = 0x1001,
		SET_FS,
		GET_FS,
		GET_GS,
		GET_CPUID = 0x1011,
		SET_CPUID,
	};
	struct guest_regs *r = plat->regs(t->pt);

	switch (arg_int(a[0])) {
	case SET_FS:
		if (a[1] >= plat->guest_top())
			return -EPERM;
		r->fs_base = a[1];
		plat->regs_dirty(t->pt);
		return 0;
	case SET_GS:
		if (a[1] >= plat->guest_top())
			return -EPERM;
		r->gs_base = a[1];
		plat->regs_dirty(t->pt);
		return 0;
	case GET_FS:
		return copy_out(&t->mem.um, ua(a[1]), &r->fs_base, 8);
	case GET_GS:
		return copy_out(&t->mem.um, ua(a[1]), &r->gs_base, 8);
	case GET_CPUID:
		return 1;
	case SET_CPUID:
		return -ENODEV;
	default:
		return -EINVAL;
	}
}

int64_t
sys_personality(struct task *t, const uint64_t a[6])
{
	uint32_t old = t->personality;

	if ((uint32_t)a[0] != 0xffffffff) {
		if ((a[0] & LX_PER_MASK) != LX_PER_LINUX && (a[0] & LX_PER_MASK) != LX_PER_LINUX32)
			return -EINVAL;
		t->personality = (uint32_t)a[0];
	}
	return old;
}
