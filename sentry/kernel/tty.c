/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Job control: what terminals (sentry/fs/tty) ask of processes. Linux counterpart:
 * drivers/tty/tty_jobctrl.c. Called with no lock held; takes tasklist_lock, and a terminal's own
 * lock never inside of it.
 */
#include "sentry/kernel/tty.h"
#include "abi/restart.h"
#include "sentry/fs/tty.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/task.h"
#include <errno.h>

static int32_t
role_of(struct tgroup *g, enum pid_role role)
{
	int32_t nr;

	mutex_lock(&tasklist_lock);
	nr = g->pid[role] ? g->pid[role]->nr : 0;
	mutex_unlock(&tasklist_lock);
	return nr;
}

static int32_t
current_session(void)
{
	struct task *t = task_current();

	return t ? role_of(t->tgroup, PID_SID) : 0;
}

void
tty_session_ended(struct tgroup *leader)
{
	struct tty *t = tty_of_session(role_of(leader, PID_SID));

	if (!t)
		return;
	tty_hangup_session(t);
	tty_put(t);
}

void
tty_set_controlling(struct task *t, struct file *f)
{
	bool master;
	struct tty *tty = tty_of_file(f, &master);
	int32_t sid = role_of(t->tgroup, PID_SID);

	if (tty && !master && sid)
		tty_set_session(tty, sid, role_of(t->tgroup, PID_PGID));
}

static void
signal_group(int32_t pgrp, int signo)
{
	struct lx_siginfo info = {.signo = signo, .code = LX_SI_KERNEL};

	signal_send_pgrp(pgrp, signo, &info);
}

/* A group that nobody of its session outside of it looks after: stopping it would be for ever. */
static bool
orphaned_pgrp(struct tgroup *g)
{
	struct pid *pg;
	struct tgroup *m;
	bool orphaned = true;

	mutex_lock(&tasklist_lock);
	pg = g->pid[PID_PGID];
	list_for_each_entry (m, &pg->members[PID_PGID], pid_node[PID_PGID]) {
		struct tgroup *p = m->parent;

		if (m->state >= TG_ZOMBIE || !p)
			continue;
		if (p->pid[PID_PGID] != pg && p->pid[PID_SID] == m->pid[PID_SID]) {
			orphaned = false;
			break;
		}
	}
	mutex_unlock(&tasklist_lock);
	return orphaned;
}

static bool
ignored_or_blocked(struct task *t, int signo)
{
	bool yes;

	mutex_lock(&t->tgroup->sighand->lock);
	yes = ((t->blocked >> (signo - 1)) & 1) ||
	      t->tgroup->sighand->action[signo - 1].handler == LX_SIG_IGN;
	mutex_unlock(&t->tgroup->sighand->lock);
	return yes;
}

static int
check(struct tty *tty, int signo)
{
	struct task *t = task_current();
	int32_t pgrp, front = __atomic_load_n(&tty->pgrp, __ATOMIC_RELAXED);

	if (!t || !front ||
		__atomic_load_n(&tty->session, __ATOMIC_RELAXED) != role_of(t->tgroup, PID_SID))
		return 0;
	pgrp = role_of(t->tgroup, PID_PGID);
	if (pgrp == front)
		return 0;
	if (ignored_or_blocked(t, signo))
		return signo == LX_SIGTTIN ? -EIO : 0;
	if (orphaned_pgrp(t->tgroup))
		return -EIO;
	signal_group(pgrp, signo);
	return -ERESTARTSYS;
}

static int64_t
set_ctty(struct tty *tty, uint64_t arg)
{
	struct task *t = task_current();
	struct tgroup *g = t->tgroup;
	int32_t sid = role_of(g, PID_SID), owner = __atomic_load_n(&tty->session, __ATOMIC_RELAXED);
	struct tty *mine;

	if (g->session_leader && owner == sid)
		return 0;
	mine = tty_of_session(sid);
	tty_put(mine);
	if (!g->session_leader || mine)
		return -EPERM;
	if (owner && !(arg == 1 && cred_capable(t->cred, LX_CAP_SYS_ADMIN)))
		return -EPERM;
	tty_set_session(tty, sid, role_of(g, PID_PGID));
	return 0;
}

static int64_t
set_pgrp(struct tty *tty, const struct call *c, uint64_t arg)
{
	struct task *t = task_current();
	int32_t sid = role_of(t->tgroup, PID_SID), pgrp;
	struct tgroup *g;
	struct pid *p;
	int r;

	r = check(tty, LX_SIGTTOU);
	if (r == -EIO)
		return -ENOTTY;
	if (r)
		return r;
	if (__atomic_load_n(&tty->session, __ATOMIC_RELAXED) != sid)
		return -ENOTTY;
	if (copy_in(c->um, &pgrp, ua(arg), sizeof pgrp))
		return -EFAULT;
	if (pgrp < 0)
		return -EINVAL;
	r = -ESRCH;
	mutex_lock(&tasklist_lock);
	p = pid_find_locked(pgrp);
	if (p && !list_empty(&p->members[PID_PGID])) {
		g = list_entry(p->members[PID_PGID].next, struct tgroup, pid_node[PID_PGID]);
		r = g->pid[PID_SID] && g->pid[PID_SID]->nr == sid ? 0 : -EPERM;
		pgrp = p->nr;
	}
	mutex_unlock(&tasklist_lock);
	if (!r)
		tty_set_session(tty, sid, pgrp);
	return r;
}

static int64_t
job_ioctl(struct tty *tty, struct file *f, const struct call *c, uint32_t cmd, uint64_t arg,
	bool master)
{
	struct task *t = task_current();
	int32_t sid, owner = __atomic_load_n(&tty->session, __ATOMIC_RELAXED), v;

	(void)f;
	if (!t)
		return -ENOTTY;
	sid = role_of(t->tgroup, PID_SID);
	switch (cmd) {
	case LX_TIOCSCTTY:
		return master ? -EINVAL : set_ctty(tty, arg);
	case LX_TIOCNOTTY:
		if (owner != sid || !sid)
			return -ENOTTY;
		/* only whole sessions have a terminal here */
		if (!t->tgroup->session_leader)
			return -EPERM;
		tty_hangup_session(tty);
		return 0;
	case LX_TIOCGPGRP:
		if (!master && owner != sid)
			return -ENOTTY;
		v = pid_nr_out(__atomic_load_n(&tty->pgrp, __ATOMIC_RELAXED));
		return copy_out(c->um, ua(arg), &v, sizeof v);
	case LX_TIOCGSID:
		if ((!master && owner != sid) || !owner)
			return -ENOTTY;
		v = pid_nr_out(owner);
		return copy_out(c->um, ua(arg), &v, sizeof v);
	case LX_TIOCSPGRP:
		return set_pgrp(tty, c, arg);
	default:
		return -ENOTTY;
	}
}

static void
opened(struct tty *tty, struct file *f)
{
	struct task *t = task_current();
	struct tty *mine;
	int32_t sid;

	(void)f;
	if (!t || !t->tgroup->session_leader || __atomic_load_n(&tty->session, __ATOMIC_RELAXED))
		return;
	sid = role_of(t->tgroup, PID_SID);
	mine = tty_of_session(sid);
	tty_put(mine);
	if (!mine && sid)
		tty_set_session(tty, sid, role_of(t->tgroup, PID_PGID));
}

void
tty_kernel_init(void)
{
	tty_hooks = (struct tty_hooks){
		.signal_pgrp = signal_group,
		.check = check,
		.job_ioctl = job_ioctl,
		.opened = opened,
		.session = current_session,
		.console = kernel_console,
	};
}
