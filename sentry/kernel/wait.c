/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting: parking with signals and time in mind, and for children (wait4, waitid). */
#include "sentry/kernel/wait.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/ptrace.h"

int
task_park(struct task *t, int64_t deadline_ns)
{
	if (task_interrupted(t))
		return -ERESTARTSYS;
	task_count(t, COUNT_WAITS, 1);
	if (plat->sleeps && t->pt) /* a worker of io_uring has none */
		plat->sleeps(t->pt);
	if (!fiber_park_until(deadline_ns))
		return -ETIMEDOUT;
	return task_interrupted(t) ? -ERESTARTSYS : 0;
}

static bool
matches_locked(const struct tgroup *c, const struct wait_request *r)
{
	switch (r->which) {
	case WAIT_PID:
		if (pid_vnr(c->pid[PID_TGID]) != r->id)
			return false;
		break;
	case WAIT_PGID:
		if (!c->pid[PID_PGID] || pid_vnr(c->pid[PID_PGID]) != r->id)
			return false;
		break;
	default:
		break;
	}
	if (r->options & LX_WNOTHREAD && c->creator_tid != r->caller_tid)
		return false;
	if (r->options & LX_WALL)
		return true;
	/* "Clone" children are those that do not tell by SIGCHLD (wait4(2), __WCLONE). */
	return (c->exit_signal != LX_SIGCHLD) == !!(r->options & LX_WCLONE);
}

static void
fill_result(const struct tgroup *c, struct wait_result *w, int code, int status)
{
	w->pid = pid_vnr(c->pid[PID_TGID]);
	w->uid = c->leader->cred->uid;
	w->code = code;
	w->status = status;
	w->utime_ns = c->dead_utime_ns + c->child_utime_ns;
	w->stime_ns = c->dead_stime_ns + c->child_stime_ns;
	w->used = c->used;
	usage_add(&w->used, &c->child_used);
}

static bool
tracee_matches_locked(const struct task *p, const struct wait_request *r)
{
	switch (r->which) {
	case WAIT_PID:
		return pid_vnr(p->pid) == r->id;
	case WAIT_PGID:
		return p->tgroup->pid[PID_PGID] && pid_vnr(p->tgroup->pid[PID_PGID]) == r->id;
	default:
		return true;
	}
}

static void
fill_exit(struct wait_result *w, int st)
{
	w->code = st & 0x7f ? LX_CLD_KILLED : LX_CLD_EXITED;
	w->status = st & 0x7f ? st & 0x7f : (st >> 8) & 0xff;
	w->wstatus = st;
}

/* Something to tell of a tracee? Threads are told of one by one, whatever the flags of clone. */
static bool
look_at_tracee_locked(
	struct tgroup *g, struct task *p, const struct wait_request *r, struct wait_result *w)
{
	struct tracee *e = &p->tracee;
	bool leader = p->tgroup->leader == p;

	if ((r->options & LX_WEXITED) && (leader ? p->tgroup->state == TG_ZOMBIE : e->zombie)) {
		*w = (struct wait_result){.pid = pid_vnr(p->pid), .uid = p->cred->uid};
		if (leader)
			fill_result(p->tgroup, w, 0, 0);
		fill_exit(w, leader ? p->tgroup->exit_code : p->exit_code);
		if (!(r->options & LX_WNOWAIT))
			ptrace_reap_locked(p, g);
		return true;
	}
	if (e->stopped && !e->listening && !e->reported) {
		*w = (struct wait_result){.pid = pid_vnr(p->pid),
			.uid = p->cred->uid,
			.code = LX_CLD_TRAPPED,
			.status = (int)e->code,
			.wstatus = (int)(e->code << 8 | 0x7f)};
		if (!(r->options & LX_WNOWAIT))
			e->reported = true;
		return true;
	}
	return false;
}

static int
look_at_tracees_locked(struct tgroup *g, const struct wait_request *r, struct wait_result *w)
{
	struct task *q, *p, *tmp;
	bool any = false;

	list_for_each_entry (q, &g->threads, tg_node) {
		if ((r->options & LX_WNOTHREAD) && q->tid != r->caller_tid)
			continue;
		list_for_each_entry_safe (p, tmp, &q->tracees, tracee.node) {
			if (!tracee_matches_locked(p, r))
				continue;
			any = true;
			if (look_at_tracee_locked(g, p, r, w))
				return 1;
		}
	}
	return any ? 0 : -ECHILD;
}

/* 1: c has something to tell, 0: not yet, -ECHILD: it is none that is asked for. */
static int
look_at_child_locked(
	struct tgroup *g, struct tgroup *c, const struct wait_request *r, struct wait_result *w)
{
	struct task *tracer = c->leader ? c->leader->tracee.tracer : NULL;

	if (!matches_locked(c, r))
		return -ECHILD;
	if (tracer && (tracer->tgroup == g || c->state == TG_ZOMBIE))
		return 0; /* told as a tracee; or its tracer is told first */
	if (c->state == TG_ZOMBIE && (r->options & LX_WEXITED)) {
		fill_result(c, w, 0, 0);
		fill_exit(w, c->exit_code);
		if (!(r->options & LX_WNOWAIT))
			tgroup_release_locked(c);
		return 1;
	}
	if (c->state == TG_STOPPED && (r->options & LX_WSTOPPED) && !c->stop_reported) {
		fill_result(c, w, LX_CLD_STOPPED, c->stop_signo);
		w->wstatus = c->stop_signo << 8 | 0x7f;
		if (!(r->options & LX_WNOWAIT))
			c->stop_reported = true;
		return 1;
	}
	if (c->continued_pending && (r->options & LX_WCONTINUED)) {
		fill_result(c, w, LX_CLD_CONTINUED, LX_SIGCONT);
		w->wstatus = 0xffff;
		if (!(r->options & LX_WNOWAIT))
			c->continued_pending = false;
		return 1;
	}
	return 0;
}

/* 1: found one, 0: none ready, -ECHILD: none at all. */
static int
look_locked(struct tgroup *g, const struct wait_request *r, struct wait_result *w)
{
	struct tgroup *c, *tmp;
	int found = look_at_tracees_locked(g, r, w), more;

	if (found > 0)
		return found;
	if (r->which == WAIT_PID) { /* one, of maybe very many */
		c = tgroup_find_locked(r->id);
		more = c && c->parent == g ? look_at_child_locked(g, c, r, w) : -ECHILD;
		return more == -ECHILD ? found : more;
	}
	list_for_each_entry_safe (c, tmp, &g->children, sibling) {
		more = look_at_child_locked(g, c, r, w);
		if (more > 0)
			return more;
		if (more == 0)
			found = 0;
	}
	return found;
}

int
task_wait_child(struct task *t, const struct wait_request *r, struct wait_result *w)
{
	struct tgroup *g = t->tgroup;
	struct waiter waiter;
	int found;

	waiter_init_fiber(&waiter, t->fiber, ~0u);
	waitq_add(&g->wait_children, &waiter);
	for (;;) {
		mutex_lock(&tasklist_lock);
		found = look_locked(g, r, w);
		mutex_unlock(&tasklist_lock);
		if (found || (r->options & LX_WNOHANG))
			break;
		found = task_park(t, INT64_MAX);
		if (found)
			break;
	}
	waitq_remove(&waiter);
	return found;
}
