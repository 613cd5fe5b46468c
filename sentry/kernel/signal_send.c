/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending signals: queues, who takes it, waking. signal(7); Linux counterpart: the upper half of
 * kernel/signal.c. Everything about queues is under the sighand's lock.
 */
#include "sentry/cred/user_ns.h"
#include "sentry/kernel/info.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/timers.h"
#include <stdlib.h>

#define LX_POLLIN 1u
#define SIG_SYNCHRONOUS                                                                            \
	(LX_SIGBIT(LX_SIGSEGV) | LX_SIGBIT(LX_SIGBUS) | LX_SIGBIT(LX_SIGILL) |                     \
		LX_SIGBIT(LX_SIGTRAP) | LX_SIGBIT(LX_SIGFPE) | LX_SIGBIT(LX_SIGSYS))

enum sig_default
signal_default(int signo)
{
	switch (signo) {
	case LX_SIGCHLD:
	case LX_SIGCONT:
	case LX_SIGURG:
	case LX_SIGWINCH:
		return SIGD_IGNORE;
	case LX_SIGSTOP:
	case LX_SIGTSTP:
	case LX_SIGTTIN:
	case LX_SIGTTOU:
		return SIGD_STOP;
	case LX_SIGQUIT:
	case LX_SIGILL:
	case LX_SIGTRAP:
	case LX_SIGABRT:
	case LX_SIGBUS:
	case LX_SIGFPE:
	case LX_SIGSEGV:
	case LX_SIGXCPU:
	case LX_SIGXFSZ:
	case LX_SIGSYS:
		return SIGD_CORE;
	default:
		return SIGD_TERM;
	}
}

void
sigpending_init(struct sigpending *p)
{
	p->set = 0;
	list_init(&p->queue);
}

static void
sigqueue_free(struct sigqueue *q)
{
	if (q->user) {
		user_add_sigqueue(q->user, -1);
		user_put(q->user);
	}
	free(q);
	LIVE_DEC(SIGQUEUE);
}

void
sigpending_flush(struct sigpending *p, lx_sigset set)
{
	struct sigqueue *q, *tmp;

	list_for_each_entry_safe (q, tmp, &p->queue, node) {
		if (set & LX_SIGBIT(q->info.signo)) {
			list_del(&q->node);
			sigqueue_free(q);
		}
	}
	p->set &= ~set;
}

bool
signal_ignored_by_default(int signo)
{
	return signal_default(signo) == SIGD_IGNORE;
}

void
signal_discard_locked(struct tgroup *g, int signo)
{
	struct task *t;

	sigpending_flush(&g->shared_pending, LX_SIGBIT(signo));
	list_for_each_entry (t, &g->threads, tg_node)
		sigpending_flush(&t->pending, LX_SIGBIT(signo));
}

void
task_wake_fiber(struct task *t)
{
	/* A new task can be found before it has one, and looks at its work before all else. */
	struct fiber *f = __atomic_load_n(&t->fiber, __ATOMIC_SEQ_CST);

	if (f)
		fiber_wake(f);
}

void
task_wake_for_work(struct task *t)
{
	bool in_guest;

	/* The fiber of a dead one, a leader for instance that others survive, is no more. `dead` is
	 * set under both locks, of which the caller holds one. */
	if (t == task_current() || t->dead)
		return;
	in_guest = atomic_load(&t->in_guest);
	/* One that is to end may wait for its own stub, which a hostile guest has led astray: the
	 * platform ends what does not answer to a kick. */
	if (in_guest || (atomic_load(&t->work) & TW_EXIT)) {
		mutex_lock(&t->pt_lock);
		if (t->pt)
			plat->kick(t->pt);
		mutex_unlock(&t->pt_lock);
	}
	if (!in_guest)
		task_wake_fiber(t);
}

static bool
deliverable_locked(const struct task *t)
{
	lx_sigset all = t->pending.set | t->tgroup->shared_pending.set;

	return all & ~t->blocked;
}

void
signal_recalc_locked(struct task *t)
{
	if (deliverable_locked(t))
		atomic_fetch_or(&t->work, TW_SIGNAL);
	else
		atomic_fetch_and(&t->work, ~TW_SIGNAL);
}

bool
task_interrupted(const struct task *t)
{
	return atomic_load(&((struct task *)t)->work) & ~(TW_IDENTITY | TW_CPU);
}

bool
task_killed(const struct task *t)
{
	uint32_t work = atomic_load(&((struct task *)t)->work);
	struct tgroup *g = t->tgroup;
	bool yes = work & (TW_EXIT | TW_GONE);
	lx_sigset due;

	if (yes || !(work & TW_SIGNAL) || g->unkillable || ptrace_traced(t))
		return yes;
	mutex_lock(&g->sighand->lock);
	due = (t->pending.set | g->shared_pending.set) & ~t->blocked;
	for (int signo = 1; signo <= LX_NSIG && !yes; signo++) {
		enum sig_default d = signal_default(signo);

		yes = (due & LX_SIGBIT(signo)) && (d == SIGD_TERM || d == SIGD_CORE) &&
		      g->sighand->action[signo - 1].handler == LX_SIG_DFL;
	}
	mutex_unlock(&g->sighand->lock);
	return yes;
}

static bool
ignored_locked(struct tgroup *g, struct task *t, int signo, bool force)
{
	uint64_t h = g->sighand->action[signo - 1].handler;

	/* A blocked one is kept: its action may change before it is let through. */
	if (t && ((t->blocked | t->waiting_for) & LX_SIGBIT(signo)))
		return false;
	/* A tracer sees them all. */
	if (t && ptrace_traced(t) && signo != LX_SIGKILL)
		return false;
	if (g->unkillable && h == LX_SIG_DFL &&
		!(force && (signo == LX_SIGKILL || signo == LX_SIGSTOP)))
		return true;
	return h == LX_SIG_IGN || (h == LX_SIG_DFL && signal_default(signo) == SIGD_IGNORE);
}

static bool
wants_locked(const struct task *t, int signo)
{
	if (t->dead || (t->flags & TF_EXITING))
		return false;
	if (signo == LX_SIGKILL)
		return true;
	return !(t->blocked & LX_SIGBIT(signo));
}

void
tgroup_start_exit_locked(struct tgroup *g, int status, struct task *except)
{
	struct task *t;

	if (!g->group_exit) {
		g->group_exit = true;
		g->group_exit_code = status;
	}
	g->stopping = g->stopped = false;
	list_for_each_entry (t, &g->threads, tg_node) {
		if (t == except)
			continue;
		atomic_fetch_or(&t->work, TW_EXIT);
		task_wake_for_work(t);
	}
	waitq_notify(&g->stop_wait, ~0u);
}

/* The signals of CPU timers go to a thread that runs, as on Linux, where the tick of a running
 * thread sends them: to each in its turn. NULL: none does. */
static struct task *
running_locked(struct tgroup *g, int signo)
{
	struct task *t, *least = NULL, *next = NULL;

	list_for_each_entry (t, &g->threads, tg_node) {
		if (!wants_locked(t, signo) || !task_computes(t))
			continue;
		if (!least || t->tid < least->tid)
			least = t;
		if (t->tid > g->prof_tid && (!next || t->tid < next->tid))
			next = t;
	}
	if (!next)
		next = least;
	if (next)
		g->prof_tid = next->tid;
	return next;
}

/* Who shall take a signal that was queued: wake it. */
static void
choose_and_wake_locked(struct tgroup *g, struct task *target, int signo)
{
	struct task *t, *best = NULL;

	if (target)
		best = target;
	else if (signo == LX_SIGPROF || signo == LX_SIGVTALRM)
		best = running_locked(g, signo);
	if (!best) {
		list_for_each_entry (t, &g->threads, tg_node) {
			if (!wants_locked(t, signo) && !(t->waiting_for & LX_SIGBIT(signo)))
				continue;
			/* The leader first; then whoever is not busy with a signal already. */
			if (!best || (atomic_load(&best->work) && !atomic_load(&t->work)))
				best = t;
			if (!atomic_load(&best->work))
				break;
		}
	}
	list_for_each_entry (t, &g->threads, tg_node)
		waitq_notify(&t->sigwait, LX_POLLIN);
	if (!best)
		return;
	if (wants_locked(best, signo)) {
		atomic_fetch_or(&best->work, TW_SIGNAL);
		task_wake_for_work(best);
	} else if (!best->dead && (best->waiting_for & LX_SIGBIT(signo))) {
		fiber_wake(best->fiber);
	}
}

int
signal_send_locked(struct tgroup *g, struct task *t, int signo, const struct lx_siginfo *info,
	bool force, bool *cont)
{
	struct sigpending *p = t ? &t->pending : &g->shared_pending;
	struct sigqueue *q = NULL;
	struct task *i;

	if (g->state >= TG_ZOMBIE || (g->group_exit && signo != LX_SIGKILL))
		return 0;
	if (LX_SIGBIT(signo) & SIG_STOPS) {
		sigpending_flush(&g->shared_pending, LX_SIGBIT(LX_SIGCONT));
		list_for_each_entry (i, &g->threads, tg_node)
			sigpending_flush(&i->pending, LX_SIGBIT(LX_SIGCONT));
	} else if (signo == LX_SIGCONT) {
		sigpending_flush(&g->shared_pending, SIG_STOPS);
		list_for_each_entry (i, &g->threads, tg_node) {
			sigpending_flush(&i->pending, SIG_STOPS);
			atomic_fetch_and(&i->work, ~TW_STOP);
			if (ptrace_traced(i) && i->tracee.seized) {
				atomic_fetch_or(&i->work, TW_PTRACE);
				task_wake_for_work(i);
			}
		}
		if (g->stopping || g->stopped) {
			*cont = g->stopped;
			g->stopping = g->stopped = false;
			waitq_notify(&g->stop_wait, ~0u);
		}
	}
	i = t ? t : list_first(&g->threads, struct task, tg_node);
	if (!force && ignored_locked(g, i, signo, false))
		return 0;
	if (force && ignored_locked(g, i, signo, true))
		return 0;
	if (signo == LX_SIGKILL) {
		g->kills++;
		tgroup_start_exit_locked(g, LX_SIGKILL, NULL);
		return 0;
	}
	/* Those of POSIX timers are all queued: each timer waits for its own to be taken. */
	if (signo < LX_SIGRTMIN && (p->set & LX_SIGBIT(signo)) &&
		!(info && info->code == LX_SI_TIMER))
		return 0;

	q = calloc(1, sizeof *q);
	if (q) {
		struct user *u = i && i->user ? user_get(i->cred->uid) : NULL;

		LIVE_INC(SIGQUEUE);
		list_init(&q->node);
		q->user = u;
		if (u &&
			(uint64_t)user_add_sigqueue(u, 1) >
				rlimit_cur(&g->rlim, LX_RLIMIT_SIGPENDING) &&
			!(signo < LX_SIGRTMIN &&
				(!info || info->code >= 0 || info->code == LX_SI_KERNEL))) {
			sigqueue_free(q);
			q = NULL;
		}
	}
	if (!q) {
		/* Linux: a real-time signal by sigqueue fails; others are delivered without what
		 * they carry. */
		if (signo >= LX_SIGRTMIN && info && info->code != LX_SI_USER &&
			info->code != LX_SI_KERNEL)
			return -EAGAIN;
	} else {
		if (info)
			q->info = *info;
		else
			q->info = (struct lx_siginfo){.code = LX_SI_KERNEL};
		q->info.signo = signo;
		list_push_back(&p->queue, &q->node);
	}
	p->set |= LX_SIGBIT(signo);
	choose_and_wake_locked(g, t, signo);
	return 0;
}

/* The first process of a pid namespace cannot be killed from inside, but from above. */
static bool
from_above(const struct tgroup *g)
{
	struct task *from = task_current();
	struct pid *p = g->pid[PID_TGID];

	return from && g->unkillable && p && p->ns && pid_nr_in(from->pid, p->ns) == 0;
}

int
signal_send_task(struct task *t, int signo, const struct lx_siginfo *info)
{
	struct sighand *s = t->tgroup->sighand;
	bool cont = false;
	int err;

	if (!signo)
		return 0;
	mutex_lock(&s->lock);
	err = t->dead ? -ESRCH
		      : signal_send_locked(t->tgroup, t, signo, info, from_above(t->tgroup), &cont);
	mutex_unlock(&s->lock);
	if (cont)
		signal_tell_parent_continued(t->tgroup);
	return err;
}

int
signal_send_tgroup(struct tgroup *g, int signo, const struct lx_siginfo *info)
{
	bool cont = false;
	int err;

	if (!signo)
		return 0;
	mutex_lock(&g->sighand->lock);
	err = signal_send_locked(g, NULL, signo, info, from_above(g), &cont);
	mutex_unlock(&g->sighand->lock);
	if (cont)
		signal_tell_parent_continued(g);
	return err;
}

int
signal_send_pgrp(int32_t pgid, int signo, const struct lx_siginfo *info)
{
	struct tgroup *g, *conts[64];
	unsigned nconts = 0;
	struct pid *p;
	int err = -ESRCH;

	mutex_lock(&tasklist_lock);
	p = pid_find_global_locked(pgid);
	if (p) {
		list_for_each_entry (g, &p->members[PID_PGID], pid_node[PID_PGID]) {
			bool cont = false;

			err = 0;
			if (!signo || g->state >= TG_ZOMBIE)
				continue;
			mutex_lock(&g->sighand->lock);
			(void)signal_send_locked(g, NULL, signo, info, false, &cont);
			mutex_unlock(&g->sighand->lock);
			if (cont && nconts < sizeof conts / sizeof *conts)
				conts[nconts++] = tgroup_get(g);
		}
	}
	mutex_unlock(&tasklist_lock);
	for (unsigned i = 0; i < nconts; i++) {
		signal_tell_parent_continued(conts[i]);
		tgroup_put(conts[i]);
	}
	return err;
}

void
signal_force(struct task *t, int signo, const struct lx_siginfo *info)
{
	struct sighand *s = t->tgroup->sighand;
	struct lx_sigaction *a = &s->action[signo - 1];
	bool cont = false;

	mutex_lock(&s->lock);
	/* Blocked or ignored: the program could not go on; the default action takes it
	 * (force_sig_info). */
	if (a->handler == LX_SIG_IGN || (t->blocked & LX_SIGBIT(signo))) {
		a->handler = LX_SIG_DFL;
		t->blocked &= ~LX_SIGBIT(signo);
	}
	if (a->handler == LX_SIG_DFL)
		t->tgroup->unkillable = false;
	(void)signal_send_locked(t->tgroup, t, signo, info, true, &cont);
	signal_recalc_locked(t);
	mutex_unlock(&s->lock);
}

static int
take_from(struct sigpending *p, lx_sigset set, struct lx_siginfo *info)
{
	lx_sigset have = p->set & set;
	struct sigqueue *q, *found = NULL;
	bool more = false;
	int signo;

	if (!have)
		return 0;
	if (have & SIG_SYNCHRONOUS)
		have &= SIG_SYNCHRONOUS;
	signo = __builtin_ctzll(have) + 1;
	list_for_each_entry (q, &p->queue, node) {
		if (q->info.signo != signo)
			continue;
		if (found) {
			more = true;
			break;
		}
		found = q;
	}
	if (!more)
		p->set &= ~LX_SIGBIT(signo);
	if (found) {
		*info = found->info;
		list_del(&found->node);
		sigqueue_free(found);
	} else {
		*info = (struct lx_siginfo){.signo = signo, .code = LX_SI_USER};
	}
	return signo;
}

int
signal_dequeue_locked(struct task *t, lx_sigset set, struct lx_siginfo *info)
{
	int signo = take_from(&t->pending, set, info);

	if (!signo)
		signo = take_from(&t->tgroup->shared_pending, set, info);
	if (signo && info->code == LX_SI_TIMER)
		posix_timer_signal_taken_locked(t->tgroup, info->timer.tid);
	signal_recalc_locked(t);
	return signo;
}

int
signal_dequeue(struct task *t, lx_sigset set, struct lx_siginfo *info)
{
	struct sighand *s = t->tgroup->sighand;
	int signo;

	mutex_lock(&s->lock);
	signo = signal_dequeue_locked(t, set, info);
	mutex_unlock(&s->lock);
	return signo;
}

lx_sigset
signal_pending_set(struct task *t)
{
	struct sighand *s = t->tgroup->sighand;
	lx_sigset set;

	mutex_lock(&s->lock);
	set = t->pending.set | t->tgroup->shared_pending.set;
	mutex_unlock(&s->lock);
	return set;
}

void
signal_info_user(struct lx_siginfo *info, const struct task *from, int signo, int code)
{
	*info = (struct lx_siginfo){.signo = signo, .code = code};
	info->kill.pid = task_tgid(from);
	info->kill.uid = from->cred->uid;
}

bool
signal_permitted(const struct task *from, const struct tgroup *g, int signo)
{
	const struct cred *a = from->cred, *b;
	struct task *leader;
	bool ok;

	if (from->tgroup == g)
		return true;
	leader = g->leader;
	mutex_lock(&leader->pt_lock);
	b = leader->cred;
	ok = cred_capable_in(a, b->user_ns, LX_CAP_KILL) || a->euid == b->suid ||
	     a->euid == b->uid || a->uid == b->suid || a->uid == b->uid;
	mutex_unlock(&leader->pt_lock);
	if (!ok && signo == LX_SIGCONT)
		ok = from->tgroup->pid[PID_SID] == g->pid[PID_SID];
	return ok;
}

void
signal_retarget_locked(struct task *t)
{
	lx_sigset pending = t->tgroup->shared_pending.set;
	struct task *o;

	if (!pending)
		return;
	list_for_each_entry (o, &t->tgroup->threads, tg_node) {
		if (o == t || o->dead || (o->flags & TF_EXITING))
			continue;
		if (pending & ~o->blocked) {
			atomic_fetch_or(&o->work, TW_SIGNAL);
			task_wake_for_work(o);
		} else if (pending & o->waiting_for) {
			fiber_wake(o->fiber);
		}
	}
}

void
signal_set_mask(struct task *t, lx_sigset mask)
{
	struct sighand *s = t->tgroup->sighand;

	mutex_lock(&s->lock);
	t->blocked = mask & ~SIG_NEVER_BLOCKED;
	signal_recalc_locked(t);
	if (t->tgroup->shared_pending.set & t->blocked && t->tgroup->nr_threads > 1)
		signal_retarget_locked(t);
	mutex_unlock(&s->lock);
}

int
signal_use_temp_mask(struct task *t, struct uaddr set, uint64_t sigsetsize)
{
	lx_sigset mask;

	if (ua_null(set))
		return 0;
	if (sigsetsize != sizeof mask)
		return -EINVAL;
	if (copy_in(&t->mem.um, &mask, set, sizeof mask))
		return -EFAULT;
	t->saved_mask = t->blocked;
	t->flags |= TF_RESTORE_MASK;
	signal_set_mask(t, mask);
	return 0;
}

void
signal_end_temp_mask(struct task *t, int64_t result)
{
	bool cut_short = result == -EINTR || result == -ERESTARTNOHAND || result == -ERESTARTSYS;

	if (!(t->flags & TF_RESTORE_MASK) || (cut_short && task_interrupted(t)))
		return; /* the signal work puts it back, after the handler's frame has been made */
	t->flags &= ~(uint32_t)TF_RESTORE_MASK;
	signal_set_mask(t, t->saved_mask);
}

void
signal_info_out(const struct task *t, struct lx_siginfo *info)
{
	bool child = info->signo == LX_SIGCHLD && info->code > 0 && info->code <= LX_CLD_CONTINUED;

	if (!t->pid->ns && !t->cred->user_ns)
		return;
	if (info->code != LX_SI_USER && info->code != LX_SI_TKILL && !child)
		return;
	info->kill.pid = pid_nr_out(info->kill.pid);
	info->kill.uid = uid_out(t->cred->user_ns, info->kill.uid);
}
