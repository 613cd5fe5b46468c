/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ptrace(2): who traces whom, and the stops.
 *
 * A stop begins in stop(): the tracee says what it stopped for, tells the tracer, and parks. It
 * serves calls of the tracer (ptrace_call) until it is resumed, detached or killed.
 */
#include "sentry/kernel/ptrace.h"
#include "abi/sched.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/seccomp.h"

#define X86_EFLAGS_TF 0x100ull

struct ptrace_call {
	int64_t (*fn)(struct task *tracee, void *arg);
	void *arg;
	int64_t result;
	bool done;
	struct fiber *from;
};

/* --- links --- */

static void
link_locked(struct task *tracer, struct task *target, bool seized, uint32_t options)
{
	struct tracee *e = &target->tracee;

	task_get(target);
	e->tracer = tracer;
	e->options = options;
	e->seized = seized;
	list_push_back(&tracer->tracees, &e->node);
	atomic_store(&e->traced, true);
}

void
ptrace_unlink_locked(struct task *target)
{
	struct tracee *e = &target->tracee;

	if (!e->tracer)
		return;
	list_del(&e->node);
	e->tracer = NULL;
	e->options = 0;
	e->seized = e->listening = false;
	e->resume_how = PT_CONT;
	atomic_store(&e->traced, false);
	atomic_fetch_and(&target->syscall_work, ~(SW_TRACE | SW_SYSEMU));
	if (!target->dead) {
		/* A group stop that it left for the tracer holds it again. */
		if (target->tgroup->stopped)
			atomic_fetch_or(&target->work, TW_STOP);
		atomic_fetch_or(&target->work, TW_IDENTITY);
		e->stopped = false;
		task_wake_for_work(target);
	}
	task_put(target);
}

static bool
mine_locked(struct task *t, struct task *target)
{
	struct tracee *e = &target->tracee;

	return e->tracer == t && e->stopped && !e->listening && !target->dead;
}

bool
ptrace_is_stopped_by(struct task *t, struct task *target)
{
	bool ok;

	mutex_lock(&tasklist_lock);
	ok = mine_locked(t, target);
	mutex_unlock(&tasklist_lock);
	return ok;
}

struct task *
ptrace_stopped_thread(struct task *t, struct tgroup *g)
{
	struct task *o, *found = NULL;

	mutex_lock(&tasklist_lock);
	list_for_each_entry (o, &g->threads, tg_node) {
		if (mine_locked(t, o)) {
			found = task_get(o);
			break;
		}
	}
	mutex_unlock(&tasklist_lock);
	return found;
}

bool
ptrace_tracer_capable(struct task *t, int cap)
{
	struct task *tracer;
	bool ok = true;

	mutex_lock(&tasklist_lock);
	tracer = t->tracee.tracer;
	if (tracer) {
		mutex_lock(&tracer->pt_lock);
		ok = cred_capable(tracer->cred, cap);
		mutex_unlock(&tracer->pt_lock);
	}
	mutex_unlock(&tasklist_lock);
	return ok;
}

int
ptrace_traceme(struct task *t)
{
	struct tgroup *p;
	struct task *o, *tracer = NULL;
	int err = -EPERM;

	mutex_lock(&tasklist_lock);
	p = t->tgroup->parent;
	if (!t->tracee.tracer && p) {
		list_for_each_entry (o, &p->threads, tg_node)
			if (!tracer || o->tid == t->tgroup->creator_tid)
				tracer = o;
	}
	if (tracer) {
		link_locked(tracer, t, false, 0);
		err = 0;
	}
	mutex_unlock(&tasklist_lock);
	if (!err)
		task_publish_identity(t);
	return err;
}

int
ptrace_attach(struct task *t, struct task *target, bool seize, uint32_t options)
{
	int err = 0;

	if (target->tgroup == t->tgroup || !task_may_access(t, target))
		return -EPERM;
	mutex_lock(&tasklist_lock);
	if (atomic_load(&target->tgroup->execs)) {
		/* Its new credentials may depend on nobody tracing it: after that. */
		mutex_unlock(&tasklist_lock);
		(void)fiber_park_until(sched_now_ns() + TGROUP_EXEC_WAIT_NS);
		return -ERESTARTNOINTR;
	}
	if (target->tracee.tracer || target->dead || (target->flags & TF_EXITING) ||
		!task_may_access(t, target)) {
		err = -EPERM;
	} else {
		link_locked(t, target, seize, options);
		/* one that is stopped is to stop anew, for the tracer */
		if (target->tgroup->stopped && seize)
			atomic_fetch_or(&target->work, TW_PTRACE);
		atomic_fetch_or(&target->work, TW_IDENTITY);
		task_wake_for_work(target);
	}
	mutex_unlock(&tasklist_lock);
	if (!err && !seize) {
		struct sighand *s = target->tgroup->sighand;
		bool cont = false;

		mutex_lock(&s->lock);
		(void)signal_send_locked(target->tgroup, target, LX_SIGSTOP, NULL, true, &cont);
		mutex_unlock(&s->lock);
	}
	return err;
}

int
ptrace_resume(struct task *t, struct task *target, int how, int signo)
{
	struct tracee *e = &target->tracee;
	int err = -ESRCH;

	mutex_lock(&tasklist_lock);
	if (mine_locked(t, target)) {
		e->resume_how = how;
		e->resume_signo = signo;
		e->stopped = false;
		fiber_wake(target->fiber);
		err = 0;
	}
	mutex_unlock(&tasklist_lock);
	return err;
}

int
ptrace_detach(struct task *t, struct task *target, int signo)
{
	int err = -ESRCH;

	mutex_lock(&tasklist_lock);
	if (mine_locked(t, target)) {
		target->tracee.resume_signo = signo;
		ptrace_unlink_locked(target);
		err = 0;
	}
	mutex_unlock(&tasklist_lock);
	return err;
}

int
ptrace_interrupt(struct task *t, struct task *target)
{
	int err = -ESRCH;

	mutex_lock(&tasklist_lock);
	if (target->tracee.tracer == t && !target->dead) {
		err = target->tracee.seized ? 0 : -EIO;
		if (!err) {
			atomic_fetch_or(&target->work, TW_PTRACE);
			task_wake_for_work(target);
		}
	}
	mutex_unlock(&tasklist_lock);
	return err;
}

int
ptrace_listen(struct task *t, struct task *target)
{
	struct tracee *e = &target->tracee;
	int err = -ESRCH;

	mutex_lock(&tasklist_lock);
	if (mine_locked(t, target)) {
		err = e->seized && e->code >> 8 == LX_PTRACE_EVENT_STOP ? 0 : -EIO;
		if (!err) {
			e->listening = true;
			fiber_wake(target->fiber);
		}
	}
	mutex_unlock(&tasklist_lock);
	return err;
}

int
ptrace_set_options(struct task *t, struct task *target, uint32_t options)
{
	int err = -ESRCH;

	mutex_lock(&tasklist_lock);
	if (mine_locked(t, target)) {
		target->tracee.options = options;
		err = 0;
	}
	mutex_unlock(&tasklist_lock);
	return err;
}

int64_t
ptrace_call(struct task *t, struct task *target, int64_t (*fn)(struct task *tracee, void *arg),
	void *arg)
{
	struct ptrace_call call = {.fn = fn, .arg = arg, .from = t->fiber};
	bool done = false;

	mutex_lock(&tasklist_lock);
	if (!mine_locked(t, target) || target->tracee.call) {
		mutex_unlock(&tasklist_lock);
		return -ESRCH;
	}
	target->tracee.call = &call;
	fiber_wake(target->fiber);
	mutex_unlock(&tasklist_lock);
	while (!done) {
		fiber_park();
		mutex_lock(&tasklist_lock);
		done = call.done;
		mutex_unlock(&tasklist_lock);
	}
	return call.result;
}

void
ptrace_exit_tracer(struct task *t)
{
	struct task *o;

	for (;;) {
		struct tgroup *kill = NULL;

		mutex_lock(&tasklist_lock);
		if (list_empty(&t->tracees)) {
			mutex_unlock(&tasklist_lock);
			return;
		}
		o = container_of(t->tracees.next, struct task, tracee.node);
		if (o->tracee.options & LX_PTRACE_O_EXITKILL)
			kill = tgroup_get(o->tgroup);
		ptrace_reap_locked(o, t->tgroup);
		mutex_unlock(&tasklist_lock);
		if (kill) {
			(void)signal_send_tgroup(kill, LX_SIGKILL, NULL);
			tgroup_put(kill);
		}
	}
}

/* --- stops --- */

void
ptrace_tell_tracer_locked(struct task *t, int code, int status)
{
	struct tgroup *p = t->tracee.tracer->tgroup;
	struct lx_siginfo info = {.signo = LX_SIGCHLD, .code = code};
	struct lx_sigaction *a;
	bool cont = false;

	info.chld.pid = t->tid;
	info.chld.uid = t->cred->uid;
	info.chld.status = status;
	mutex_lock(&p->sighand->lock);
	a = &p->sighand->action[LX_SIGCHLD - 1];
	if (a->handler != LX_SIG_IGN && !(a->flags & LX_SA_NOCLDSTOP))
		(void)signal_send_locked(p, NULL, LX_SIGCHLD, &info, false, &cont);
	mutex_unlock(&p->sighand->lock);
	waitq_notify(&p->wait_children, ~0u);
}

static void
set_step(struct task *t, bool on)
{
	struct guest_regs *r;

	if (t->step == on)
		return;
	t->step = on;
	r = plat->regs(t->pt);
	if (on)
		r->eflags |= X86_EFLAGS_TF;
	else
		r->eflags &= ~X86_EFLAGS_TF;
	plat->regs_dirty(t->pt);
}

static uint32_t
current_trap_signal(const struct tgroup *g)
{
	return g->stopping || g->stopped ? (uint32_t)g->stop_signo : LX_SIGTRAP;
}

/* While PTRACE_LISTEN is in force: has something happened that the tracer shall be told? */
static void
listen_locked(struct task *t)
{
	struct tracee *e = &t->tracee;

	if (!(atomic_fetch_and(&t->work, ~TW_PTRACE) & TW_PTRACE))
		return;
	e->listening = false;
	e->reported = false;
	e->code = current_trap_signal(t->tgroup) | LX_PTRACE_EVENT_STOP << 8;
	e->info.signo = (int32_t)(e->code & 0xff);
	e->info.code = (int32_t)e->code;
	ptrace_tell_tracer_locked(t, LX_CLD_STOPPED, (int)(e->code & 0x7f));
}

/* A tracee that was told to exit still stops for PTRACE_EVENT_EXIT; another SIGKILL ends that. */
static bool
killed(const struct task *t, uint32_t code, uint32_t kills)
{
	if (code >> 8 == LX_PTRACE_EVENT_EXIT)
		return t->tgroup->kills != kills;
	return atomic_load(&((struct task *)t)->work) & TW_EXIT;
}

/* Stop with a wait code (signal, and an event above it). info: what PTRACE_GETSIGINFO shows and
 * PTRACE_SETSIGINFO changes; NULL: nothing. The signal that the tracer resumed it with; -1: it did
 * not stop. */
static int
stop(struct task *t, uint32_t code, int why, uint64_t message, struct lx_siginfo *info)
{
	struct tracee *e = &t->tracee;
	uint32_t kills = t->tgroup->kills;
	int signo, how;

	if (!ptrace_traced(t))
		return -1;
	set_step(t, false);
	if (t->pt)
		plat->unpatch(t->pt);
	mutex_lock(&tasklist_lock);
	if (!e->tracer || killed(t, code, kills)) {
		mutex_unlock(&tasklist_lock);
		return -1;
	}
	e->stopped = true;
	e->reported = e->listening = false;
	e->code = code;
	e->message = message;
	e->has_info = info != NULL;
	if (info)
		e->info = *info;
	e->resume_signo = 0;
	e->resume_how = PT_CONT;
	ptrace_tell_tracer_locked(t, why, (int)(code & 0x7f));
	for (;;) {
		struct ptrace_call *call = e->call;

		if (call) {
			mutex_unlock(&tasklist_lock);
			call->result = call->fn(t, call->arg);
			mutex_lock(&tasklist_lock);
			e->call = NULL;
			call->done = true;
			fiber_wake(call->from);
			continue;
		}
		if (!e->stopped)
			break;
		if (killed(t, code, kills)) {
			e->stopped = false;
			break;
		}
		if (e->listening)
			listen_locked(t);
		mutex_unlock(&tasklist_lock);
		fiber_park();
		mutex_lock(&tasklist_lock);
	}
	signo = e->resume_signo;
	how = e->resume_how;
	if (info)
		*info = e->info;
	e->has_info = e->listening = false;
	if (how & PT_SYSCALL)
		atomic_fetch_or(&t->syscall_work, SW_TRACE);
	else
		atomic_fetch_and(&t->syscall_work, ~SW_TRACE);
	if (how & PT_SYSEMU)
		atomic_fetch_or(&t->syscall_work, SW_SYSEMU);
	else
		atomic_fetch_and(&t->syscall_work, ~SW_SYSEMU);
	mutex_unlock(&tasklist_lock);
	if (t->pt)
		set_step(t, how & PT_STEP);
	return signo;
}

static void
fill_trap_info(const struct task *t, struct lx_siginfo *info, int signo, uint32_t code)
{
	*info = (struct lx_siginfo){.signo = signo, .code = (int32_t)code};
	info->kill.pid = t->tid;
	info->kill.uid = t->cred->uid;
}

static int
notify(struct task *t, int signo, uint32_t code, int why, uint64_t message)
{
	struct lx_siginfo info;

	fill_trap_info(t, &info, signo, code);
	return stop(t, code, why, message, &info);
}

bool
ptrace_wants(struct task *t, int event)
{
	return ptrace_traced(t) && (t->tracee.options & 1u << event);
}

void
ptrace_event(struct task *t, int event, uint64_t message)
{
	if (ptrace_wants(t, event))
		(void)notify(
			t, LX_SIGTRAP, LX_SIGTRAP | (uint32_t)event << 8, LX_CLD_TRAPPED, message);
}

void
ptrace_syscall_stop(struct task *t, uint64_t which)
{
	uint32_t good = t->tracee.options & LX_PTRACE_O_TRACESYSGOOD ? 0x80 : 0;
	int signo = notify(t, LX_SIGTRAP, LX_SIGTRAP | good, LX_CLD_TRAPPED, which);

	if (signo > 0)
		(void)signal_send_task(t, signo, NULL);
}

int
ptrace_signal(struct task *t, int signo, struct lx_siginfo *info)
{
	int n = stop(t, (uint32_t)signo, LX_CLD_TRAPPED, 0, info);

	if (n < 0)
		return signo;
	if (!n)
		return 0;
	if (n != signo) {
		struct task *tracer;

		*info = (struct lx_siginfo){.signo = n, .code = LX_SI_USER};
		mutex_lock(&tasklist_lock);
		tracer = t->tracee.tracer;
		if (tracer)
			signal_info_user(info, tracer, n, LX_SI_USER);
		mutex_unlock(&tasklist_lock);
	}
	if (t->blocked & LX_SIGBIT(n)) {
		(void)signal_send_task(t, n, info);
		return 0;
	}
	return n;
}

void
ptrace_trap(struct task *t)
{
	uint32_t signo = current_trap_signal(t->tgroup);

	atomic_fetch_and(&t->work, ~TW_PTRACE);
	if (t->tracee.seized)
		(void)notify(t, (int)signo, signo | LX_PTRACE_EVENT_STOP << 8, LX_CLD_STOPPED, 0);
}

bool
ptrace_group_stop(struct task *t)
{
	uint32_t signo = (uint32_t)t->tgroup->stop_signo;
	int r;

	atomic_fetch_and(&t->work, ~TW_PTRACE);
	if (t->tracee.seized)
		r = notify(t, (int)signo, signo | LX_PTRACE_EVENT_STOP << 8, LX_CLD_STOPPED, 0);
	else
		r = stop(t, signo, LX_CLD_STOPPED, 0, NULL);
	return r >= 0 && ptrace_traced(t);
}

void
ptrace_step_handler(struct task *t)
{
	(void)notify(t, LX_SIGTRAP, LX_SIGTRAP, LX_CLD_TRAPPED, 0);
}

void
ptrace_step_syscall(struct task *t)
{
	struct lx_siginfo info = {.signo = LX_SIGTRAP, .code = LX_TRAP_BRKPT};

	set_step(t, false);
	info.fault.addr = plat->regs(t->pt)->rip;
	signal_force(t, LX_SIGTRAP, &info);
}

void
ptrace_exec_done(struct task *t, int32_t old_tid)
{
	if (!ptrace_traced(t))
		return;
	if (t->tracee.options & 1u << LX_PTRACE_EVENT_EXEC)
		ptrace_event(t, LX_PTRACE_EVENT_EXEC, (uint64_t)old_tid);
	else if (!t->tracee.seized) {
		struct lx_siginfo info;

		signal_info_user(&info, t, LX_SIGTRAP, LX_SI_USER);
		(void)signal_send_task(t, LX_SIGTRAP, &info);
	}
}

/* --- clone --- */

int
ptrace_clone_event(struct task *t, uint64_t flags, int exit_signal)
{
	int event;

	if (!ptrace_traced(t) || (flags & LX_CLONE_UNTRACED))
		return 0;
	if (flags & LX_CLONE_VFORK)
		event = LX_PTRACE_EVENT_VFORK;
	else if ((flags & LX_CLONE_THREAD) || exit_signal != LX_SIGCHLD)
		event = LX_PTRACE_EVENT_CLONE;
	else
		event = LX_PTRACE_EVENT_FORK;
	return ptrace_wants(t, event) ? event : 0;
}

void
ptrace_new_task_locked(struct task *t, struct task *n, bool trace)
{
	struct tracee *e = &t->tracee;
	bool cont = false;

	if (!trace || !e->tracer)
		return;
	link_locked(e->tracer, n, e->seized, e->options);
	if (e->seized) {
		atomic_fetch_or(&n->work, TW_PTRACE);
		return;
	}
	mutex_lock(&n->tgroup->sighand->lock);
	(void)signal_send_locked(n->tgroup, n, LX_SIGSTOP, NULL, true, &cont);
	mutex_unlock(&n->tgroup->sighand->lock);
}
