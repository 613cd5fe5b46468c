/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: actions, masks, sending, waiting for them. */
#include "sentry/syscall/internal.h"
#include <string.h>

int64_t
sys_rt_sigaction(struct task *t, const uint64_t a[6])
{
	struct sighand *s = t->tgroup->sighand;
	struct lx_sigaction n, old;
	int signo = arg_int(a[0]);

	if (a[3] != sizeof(lx_sigset))
		return -EINVAL;
	if (a[1] && copy_in(&t->mem.um, &n, ua(a[1]), sizeof n))
		return -EFAULT;
	if (signo < 1 || signo > LX_NSIG || (a[1] && (signo == LX_SIGKILL || signo == LX_SIGSTOP)))
		return -EINVAL;
	mutex_lock(&s->lock);
	old = s->action[signo - 1];
	if (a[1]) {
		n.flags &= ~(LX_SA_UNSUPPORTED | LX_SA_EXPOSE_TAGBITS);
		n.mask &= ~(LX_SIGBIT(LX_SIGKILL) | LX_SIGBIT(LX_SIGSTOP));
		s->action[signo - 1] = n;
		/* POSIX 3.3.1.3: what becomes ignored is no longer pending. */
		if (n.handler == LX_SIG_IGN ||
			(n.handler == LX_SIG_DFL && signal_ignored_by_default(signo)))
			signal_discard_locked(t->tgroup, signo);
	}
	mutex_unlock(&s->lock);
	if (a[2] && copy_out(&t->mem.um, ua(a[2]), &old, sizeof old))
		return -EFAULT;
	return 0;
}

int64_t
sys_rt_sigprocmask(struct task *t, const uint64_t a[6])
{
	lx_sigset set, old = t->blocked;

	if (a[3] != sizeof set)
		return -EINVAL;
	if (a[1]) {
		if (copy_in(&t->mem.um, &set, ua(a[1]), sizeof set))
			return -EFAULT;
		switch (arg_int(a[0])) {
		case LX_SIG_BLOCK:
			set |= old;
			break;
		case LX_SIG_UNBLOCK:
			set = old & ~set;
			break;
		case LX_SIG_SETMASK:
			break;
		default:
			return -EINVAL;
		}
		signal_set_mask(t, set);
	}
	if (a[2] && copy_out(&t->mem.um, ua(a[2]), &old, sizeof old))
		return -EFAULT;
	return 0;
}

int64_t
sys_rt_sigreturn(struct task *t, const uint64_t a[6])
{
	struct lx_stack stack;
	uint64_t mask;

	(void)a;
	if (plat->sigreturn(t->pt, &mask, &stack)) {
		signal_force(t, LX_SIGSEGV, NULL);
		t->flags |= TF_NO_RESULT;
		return 0;
	}
	signal_set_mask(t, mask);
	(void)task_set_altstack(t, &stack, plat->regs(t->pt)->rsp);
	t->restart_fn = NULL;
	t->flags |= TF_NO_RESULT;
	return 0;
}

int64_t
sys_rt_sigpending(struct task *t, const uint64_t a[6])
{
	lx_sigset set = signal_pending_set(t) & t->blocked;

	if (a[1] > sizeof set)
		return -EINVAL;
	return copy_out(&t->mem.um, ua(a[0]), &set, a[1]);
}

int64_t
sys_rt_sigsuspend(struct task *t, const uint64_t a[6])
{
	int err;

	if (a[1] != sizeof(lx_sigset))
		return -EINVAL;
	if (ua_null(ua(a[0])))
		return -EFAULT;
	err = signal_use_temp_mask(t, ua(a[0]), a[1]);
	if (err)
		return err;
	while (!task_interrupted(t))
		(void)task_park(t, INT64_MAX);
	return -ERESTARTNOHAND;
}

int64_t
sys_pause(struct task *t, const uint64_t a[6])
{
	(void)a;
	while (!task_interrupted(t))
		(void)task_park(t, INT64_MAX);
	return -ERESTARTNOHAND;
}

int64_t
sys_rt_sigtimedwait(struct task *t, const uint64_t a[6])
{
	struct sighand *s = t->tgroup->sighand;
	int64_t deadline = INT64_MAX, ns;
	struct lx_siginfo info;
	lx_sigset set;
	int signo, err;

	if (a[3] != sizeof set)
		return -EINVAL;
	if (copy_in(&t->mem.um, &set, ua(a[0]), sizeof set))
		return -EFAULT;
	if (a[2]) {
		err = timespec_in(t, ua(a[2]), &ns);
		if (err)
			return err;
		deadline = deadline_after(ns);
	}
	set &= ~(LX_SIGBIT(LX_SIGKILL) | LX_SIGBIT(LX_SIGSTOP));
	for (;;) {
		mutex_lock(&s->lock);
		t->waiting_for = set;
		mutex_unlock(&s->lock);
		signo = signal_dequeue(t, set, &info);
		err = signo ? 0 : task_park(t, deadline);
		mutex_lock(&s->lock);
		t->waiting_for = 0;
		mutex_unlock(&s->lock);
		if (!signo && err)
			signo = signal_dequeue(t, set, &info);
		if (signo)
			break;
		if (err)
			return err == -ETIMEDOUT ? -EAGAIN : -EINTR;
	}
	signal_info_out(t, &info);
	if (a[1] && copy_out(&t->mem.um, ua(a[1]), &info, sizeof info))
		return -EFAULT;
	return signo;
}

int64_t
sys_sigaltstack(struct task *t, const uint64_t a[6])
{
	struct lx_stack n, old = t->altstack;
	uint64_t sp = plat->regs(t->pt)->rsp;
	bool on = task_on_altstack(t, sp);
	int err;

	if (a[0]) {
		if (copy_in(&t->mem.um, &n, ua(a[0]), sizeof n))
			return -EFAULT;
		err = task_set_altstack(t, &n, sp);
		if (err)
			return err;
	}
	if (a[1]) {
		old.flags = (!old.size	 ? LX_SS_DISABLE
				    : on ? LX_SS_ONSTACK
					 : 0) |
			    (old.flags & (int32_t)LX_SS_AUTODISARM);
		old.pad = 0;
		if (copy_out(&t->mem.um, ua(a[1]), &old, sizeof old))
			return -EFAULT;
	}
	return 0;
}

/* --- sending --- */

static int64_t
kill_one(struct task *t, int32_t pid, int signo, const struct lx_siginfo *info)
{
	struct tgroup *g;
	int64_t err;

	mutex_lock(&tasklist_lock);
	g = tgroup_find_locked(pid);
	if (!g) {
		/* kill(2) takes thread ids of other threads too, for the process that they belong
		 * to. */
		struct task *o = task_find_locked(pid);

		g = o ? o->tgroup : NULL;
	}
	err = g ? signal_permitted(t, g, signo) ? 0 : -EPERM : -ESRCH;
	if (g)
		tgroup_get(g);
	mutex_unlock(&tasklist_lock);
	if (!err)
		err = signal_send_tgroup(g, signo, info);
	tgroup_put(g);
	return err;
}

/* To every process of the group (pgid > 0) or to all but pid 1 and the caller's (pgid == 0). */
static int64_t
kill_many(struct task *t, int32_t pgid, int signo, const struct lx_siginfo *info)
{
	int32_t last = 0;
	int64_t err = -ESRCH;
	bool any = false;

	for (;;) {
		struct tgroup *g = NULL;
		int64_t e;

		mutex_lock(&tasklist_lock);
		while (!g && ++last < PID_MAX) {
			g = tgroup_find_locked(last);
			if (!g)
				continue;
			if (pgid ? !g->pid[PID_PGID] || pid_vnr(g->pid[PID_PGID]) != pgid
				 : last == 1 || g == t->tgroup)
				g = NULL;
		}
		e = 0;
		if (g) {
			tgroup_get(g);
			e = signal_permitted(t, g, signo) ? 0 : -EPERM;
		}
		mutex_unlock(&tasklist_lock);
		if (!g)
			break;
		if (!e)
			e = signal_send_tgroup(g, signo, info);
		tgroup_put(g);
		if (!e)
			any = true;
		else
			err = e;
	}
	return any ? 0 : err;
}

int64_t
sys_kill(struct task *t, const uint64_t a[6])
{
	int32_t pid = arg_int(a[0]);
	int signo = arg_int(a[1]);
	struct lx_siginfo info;
	int32_t pgid;

	if (pid == INT32_MIN)
		return -ESRCH;
	if (signo < 0 || signo > LX_NSIG)
		return -EINVAL;
	signal_info_user(&info, t, signo, LX_SI_USER);
	if (pid > 0)
		return kill_one(t, pid, signo, &info);
	if (pid == -1)
		return kill_many(t, 0, signo, &info);
	mutex_lock(&tasklist_lock);
	pgid = pid ? -pid : pid_vnr(t->tgroup->pid[PID_PGID]);
	mutex_unlock(&tasklist_lock);
	return kill_many(t, pgid, signo, &info);
}

/* tgid 0: any. */
static int64_t
send_thread(struct task *t, int32_t tgid, int32_t tid, int signo, const struct lx_siginfo *info)
{
	struct task *o;
	int64_t err;

	mutex_lock(&tasklist_lock);
	o = task_find_locked(tid);
	if (!o || o->dead ||
		(tgid && (!o->tgroup->pid[PID_TGID] || pid_vnr(o->tgroup->pid[PID_TGID]) != tgid)))
		err = -ESRCH;
	else
		err = signo < 0 || signo > LX_NSIG	      ? -EINVAL
		      : signal_permitted(t, o->tgroup, signo) ? 0
							      : -EPERM;
	if (!err)
		task_get(o);
	mutex_unlock(&tasklist_lock);
	if (err)
		return err;
	err = signal_send_task(o, signo, info);
	task_put(o);
	return err;
}

int64_t
sys_tkill(struct task *t, const uint64_t a[6])
{
	struct lx_siginfo info;

	if (arg_int(a[0]) <= 0)
		return -EINVAL;
	signal_info_user(&info, t, arg_int(a[1]), LX_SI_TKILL);
	return send_thread(t, 0, arg_int(a[0]), arg_int(a[1]), &info);
}

int64_t
sys_tgkill(struct task *t, const uint64_t a[6])
{
	struct lx_siginfo info;

	if (arg_int(a[0]) <= 0 || arg_int(a[1]) <= 0)
		return -EINVAL;
	signal_info_user(&info, t, arg_int(a[2]), LX_SI_TKILL);
	return send_thread(t, arg_int(a[0]), arg_int(a[1]), arg_int(a[2]), &info);
}

int64_t
sys_rt_sigqueueinfo(struct task *t, const uint64_t a[6])
{
	int32_t pid = arg_int(a[0]);
	int signo = arg_int(a[1]);
	struct lx_siginfo info;

	if (copy_in(&t->mem.um, &info, ua(a[2]), sizeof info))
		return -EFAULT;
	info.signo = signo;
	if ((info.code >= 0 || info.code == LX_SI_TKILL) && task_vtgid(t) != pid)
		return -EPERM;
	if (signo < 0 || signo > LX_NSIG)
		return -EINVAL;
	return kill_one(t, pid, signo, &info);
}

int64_t
sys_rt_tgsigqueueinfo(struct task *t, const uint64_t a[6])
{
	int32_t tgid = arg_int(a[0]), tid = arg_int(a[1]);
	int signo = arg_int(a[2]);
	struct lx_siginfo info;

	if (copy_in(&t->mem.um, &info, ua(a[3]), sizeof info))
		return -EFAULT;
	if (tgid <= 0 || tid <= 0)
		return -EINVAL;
	info.signo = signo;
	if ((info.code >= 0 || info.code == LX_SI_TKILL) && task_vtgid(t) != tgid)
		return -EPERM;
	return send_thread(t, tgid, tid, signo, &info);
}

int64_t
sys_restart_syscall(struct task *t, const uint64_t a[6])
{
	int64_t (*fn)(struct task *) = t->restart_fn;

	(void)a;
	return fn ? fn(t) : -EINTR;
}
