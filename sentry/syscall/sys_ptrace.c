/* SPDX-License-Identifier: Apache-2.0 */
/* ptrace(2): decode, one call, encode. */
#include "sentry/kernel/info.h"
#include "sentry/kernel/ptrace_regs.h"
#include "sentry/mm/mm.h"
#include "sentry/syscall/internal.h"
#include <stdlib.h>
#include <string.h>

static struct mm *
mm_of(struct task *o)
{
	struct mm *mm;

	mutex_lock(&o->pt_lock);
	mm = o->mm ? mm_get(o->mm) : NULL;
	mutex_unlock(&o->pt_lock);
	return mm;
}

static int64_t
peek_word(struct task *t, struct task *o, uint64_t addr, uint64_t data)
{
	struct mm *mm = mm_of(o);
	uint64_t v;
	int err = mm ? task_peek_poke(o, mm, addr, &v, sizeof v, false) : -ESRCH;

	mm_put(mm);
	if (err)
		return -EIO;
	return copy_out(&t->mem.um, ua(data), &v, sizeof v);
}

static int64_t
poke_word(struct task *t, struct task *o, uint64_t addr, uint64_t data)
{
	struct mm *mm = mm_of(o);
	int err = mm ? task_poke_forced(t, o, mm, addr, &data, sizeof data) : -ESRCH;

	mm_put(mm);
	return err ? -EIO : 0;
}

static int64_t
user_word(struct task *t, struct task *o, uint64_t addr, uint64_t data, bool poke)
{
	struct ptrace_word_arg a = {addr, data};
	int64_t r = ptrace_call(t, o, poke ? ptrace_do_pokeuser : ptrace_do_peekuser, &a);

	if (r || poke)
		return r;
	return copy_out(&t->mem.um, ua(data), &a.value, sizeof a.value);
}

/* n bytes of the registers, the rest stays. */
static int64_t
move_regs(struct task *t, struct task *o, uint64_t data, size_t n, bool set)
{
	struct ptrace_regs_arg a;
	int64_t r = ptrace_call(t, o, ptrace_do_getregs, &a);

	if (r)
		return r;
	if (!set)
		return copy_out(&t->mem.um, ua(data), &a.regs, n);
	if (copy_in(&t->mem.um, &a.regs, ua(data), n))
		return -EFAULT;
	return ptrace_call(t, o, ptrace_do_setregs, &a);
}

static int64_t
move_fp(struct task *t, struct task *o, uint64_t data, uint64_t *len, size_t unit, bool set)
{
	struct ptrace_fp_arg *a = malloc(sizeof *a);
	int64_t r;

	if (!a)
		return -ENOMEM;
	r = ptrace_call(t, o, ptrace_do_getfp, a);
	if (!r) {
		if (unit == PTRACE_FXSAVE_SIZE)
			a->len = PTRACE_FXSAVE_SIZE;
		if (*len > a->len)
			*len = a->len;
		if (!set) {
			r = copy_out(&t->mem.um, ua(data), a->buf, *len);
		} else if (copy_in(&t->mem.um, a->buf, ua(data), *len)) {
			r = -EFAULT;
		} else {
			r = ptrace_call(t, o, ptrace_do_setfp, a);
		}
	}
	free(a);
	return r;
}

static int64_t
regset(struct task *t, struct task *o, uint64_t type, uint64_t data, bool set)
{
	struct lx_iovec iov;
	int64_t r;

	if (copy_in(&t->mem.um, &iov, ua(data), sizeof iov))
		return -EFAULT;
	if (type != LX_NT_PRSTATUS && type != LX_NT_PRFPREG && type != LX_NT_X86_XSTATE)
		return -EINVAL;
	if (iov.len % 8)
		return -EINVAL;
	switch (type) {
	case LX_NT_PRSTATUS:
		if (iov.len > sizeof(struct guest_regs))
			iov.len = sizeof(struct guest_regs);
		r = move_regs(t, o, iov.base, iov.len, set);
		break;
	case LX_NT_PRFPREG:
		r = move_fp(t, o, iov.base, &iov.len, PTRACE_FXSAVE_SIZE, set);
		break;
	default:
		r = move_fp(t, o, iov.base, &iov.len, 8, set);
		break;
	}
	if (!r && copy_out(&t->mem.um, ua(data + 8), &iov.len, sizeof iov.len))
		r = -EFAULT;
	return r;
}

static int64_t
siginfo(struct task *t, struct task *o, uint64_t data, bool set)
{
	struct lx_siginfo info;
	int64_t r;

	if (set) {
		if (copy_in(&t->mem.um, &info, ua(data), sizeof info))
			return -EFAULT;
		return ptrace_call(t, o, ptrace_do_setsiginfo, &info);
	}
	r = ptrace_call(t, o, ptrace_do_getsiginfo, &info);
	return r ? r : copy_out(&t->mem.um, ua(data), &info, sizeof info);
}

static int64_t
peek_siginfo(struct task *t, struct task *o, uint64_t addr, uint64_t data)
{
	struct lx_ptrace_peeksiginfo q;
	int64_t done = 0;

	if (copy_in(&t->mem.um, &q, ua(addr), sizeof q))
		return -EFAULT;
	if ((q.flags & ~LX_PTRACE_PEEKSIGINFO_SHARED) || q.nr < 0)
		return -EINVAL;
	while (done < q.nr) {
		struct ptrace_peek_arg a = {.off = q.off + (uint64_t)done,
			.shared = q.flags & LX_PTRACE_PEEKSIGINFO_SHARED};
		int64_t r = ptrace_call(t, o, ptrace_do_peeksiginfo, &a);

		if (r)
			return done ? done : r;
		if (a.n > (unsigned)(q.nr - done))
			a.n = (unsigned)(q.nr - done);
		if (!a.n)
			break;
		if (copy_out(&t->mem.um, ua(data + (uint64_t)done * sizeof *a.info), a.info,
			    a.n * sizeof *a.info))
			return done ? done : -EFAULT;
		done += a.n;
	}
	return done;
}

static int64_t
move_mask(struct task *t, struct task *o, uint64_t addr, uint64_t data, bool set)
{
	struct ptrace_mask_arg a = {.set = set};
	int64_t r;

	if (addr != sizeof a.mask)
		return -EINVAL;
	if (set && copy_in(&t->mem.um, &a.mask, ua(data), sizeof a.mask))
		return -EFAULT;
	r = ptrace_call(t, o, ptrace_do_sigmask, &a);
	return r || set ? r : copy_out(&t->mem.um, ua(data), &a.mask, sizeof a.mask);
}

static int64_t
syscall_info(struct task *t, struct task *o, uint64_t size, uint64_t data)
{
	struct lx_ptrace_syscall_info s;
	int64_t n = ptrace_call(t, o, ptrace_do_syscall_info, &s);

	if (n < 0)
		return n;
	if (copy_out(&t->mem.um, ua(data), &s, size < (uint64_t)n ? size : (uint64_t)n))
		return -EFAULT;
	return n;
}

static int
check_options(uint64_t options)
{
	return options & ~(uint64_t)LX_PTRACE_O_KNOWN ? -EINVAL : 0;
}

static int64_t
event_message(struct task *t, struct task *o, uint64_t data)
{
	uint32_t event;
	uint64_t v;

	mutex_lock(&tasklist_lock);
	v = o->tracee.message;
	event = o->tracee.code >> 8;
	mutex_unlock(&tasklist_lock);
	if (event >= LX_PTRACE_EVENT_FORK && event <= LX_PTRACE_EVENT_VFORK_DONE)
		v = (uint64_t)pid_nr_out((int32_t)v);
	return copy_out(&t->mem.um, ua(data), &v, sizeof v);
}

static int64_t
resume(struct task *t, struct task *o, int how, uint64_t signo)
{
	return signo > LX_NSIG ? -EIO : ptrace_resume(t, o, how, (int)signo);
}

static int64_t
stopped_request(struct task *t, struct task *o, uint64_t rq, uint64_t addr, uint64_t data)
{
	uint64_t len = PTRACE_FXSAVE_SIZE;
	int err;

	switch (rq) {
	case LX_PTRACE_PEEKTEXT:
	case LX_PTRACE_PEEKDATA:
		return peek_word(t, o, addr, data);
	case LX_PTRACE_POKETEXT:
	case LX_PTRACE_POKEDATA:
		return poke_word(t, o, addr, data);
	case LX_PTRACE_PEEKUSER:
		return user_word(t, o, addr, data, false);
	case LX_PTRACE_POKEUSER:
		return user_word(t, o, addr, data, true);
	case LX_PTRACE_CONT:
		return resume(t, o, PT_CONT, data);
	case LX_PTRACE_SYSCALL:
		return resume(t, o, PT_SYSCALL, data);
	case LX_PTRACE_SINGLESTEP:
		return resume(t, o, PT_CONT | PT_STEP, data);
	case LX_PTRACE_SYSEMU:
		return resume(t, o, PT_SYSEMU, data);
	case LX_PTRACE_SYSEMU_STEP:
		return resume(t, o, PT_SYSEMU | PT_STEP, data);
	case LX_PTRACE_DETACH:
		return data > LX_NSIG ? -EIO : ptrace_detach(t, o, (int)data);
	case LX_PTRACE_LISTEN:
		return ptrace_listen(t, o);
	case LX_PTRACE_GETREGS:
		return move_regs(t, o, data, sizeof(struct guest_regs), false);
	case LX_PTRACE_SETREGS:
		return move_regs(t, o, data, sizeof(struct guest_regs), true);
	case LX_PTRACE_GETFPREGS:
		return move_fp(t, o, data, &len, PTRACE_FXSAVE_SIZE, false);
	case LX_PTRACE_SETFPREGS:
		return move_fp(t, o, data, &len, PTRACE_FXSAVE_SIZE, true);
	case LX_PTRACE_GETREGSET:
		return regset(t, o, addr, data, false);
	case LX_PTRACE_SETREGSET:
		return regset(t, o, addr, data, true);
	case LX_PTRACE_OLDSETOPTIONS:
	case LX_PTRACE_SETOPTIONS:
		err = check_options(data);
		return err ? err : ptrace_set_options(t, o, (uint32_t)data);
	case LX_PTRACE_GETEVENTMSG:
		return event_message(t, o, data);
	case LX_PTRACE_GETSIGINFO:
		return siginfo(t, o, data, false);
	case LX_PTRACE_SETSIGINFO:
		return siginfo(t, o, data, true);
	case LX_PTRACE_PEEKSIGINFO:
		return peek_siginfo(t, o, addr, data);
	case LX_PTRACE_GETSIGMASK:
		return move_mask(t, o, addr, data, false);
	case LX_PTRACE_SETSIGMASK:
		return move_mask(t, o, addr, data, true);
	case LX_PTRACE_GET_SYSCALL_INFO:
		return syscall_info(t, o, addr, data);
	default:
		return -EIO;
	}
}

static int64_t
attach(struct task *t, struct task *o, bool seize, uint64_t addr, uint64_t options)
{
	if (seize && addr)
		return -EIO;
	if (seize && check_options(options))
		return -EIO;
	return ptrace_attach(t, o, seize, seize ? (uint32_t)options : 0);
}

static int64_t
kill_tracee(struct task *t, struct task *o)
{
	bool mine;

	mutex_lock(&tasklist_lock);
	mine = o->tracee.tracer == t;
	mutex_unlock(&tasklist_lock);
	if (!mine)
		return -ESRCH;
	(void)signal_send_task(o, LX_SIGKILL, NULL);
	return 0;
}

int64_t
sys_ptrace(struct task *t, const uint64_t a[6])
{
	struct task *o;
	int64_t r;

	if (a[0] == LX_PTRACE_TRACEME)
		return ptrace_traceme(t);
	o = task_find_get(arg_int(a[1]));
	if (!o)
		return -ESRCH;
	switch (a[0]) {
	case LX_PTRACE_ATTACH:
		r = attach(t, o, false, 0, 0);
		break;
	case LX_PTRACE_SEIZE:
		r = attach(t, o, true, a[2], a[3]);
		break;
	case LX_PTRACE_INTERRUPT:
		r = ptrace_interrupt(t, o);
		break;
	case LX_PTRACE_KILL:
		r = kill_tracee(t, o);
		break;
	default:
		r = ptrace_is_stopped_by(t, o) ? stopped_request(t, o, a[0], a[2], a[3]) : -ESRCH;
		break;
	}
	task_put(o);
	return r;
}
