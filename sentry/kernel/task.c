/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks and thread groups as objects: making, references, their view of guest memory. */
#include "abi/mman.h"
#include "platform/host/file.h"
#include "sentry/cred/ucount.h"
#include "sentry/ipc/ipc.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/net/link.h"
#include "sentry/vfs/mount.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>

struct mutex tasklist_lock = MUTEX_INIT(TASKLIST);
bool task_watch_syscalls;

const char uts_release[] = "6.12.63-moat";
const char uts_version[] = "#1 SMP PREEMPT_DYNAMIC moat";

struct task *
task_current(void)
{
	return fiber_local();
}

struct task *
task_get(struct task *t)
{
	ref_get(&t->ref);
	return t;
}

void
task_put(struct task *t)
{
	if (!t || !ref_put(&t->ref))
		return;
	sigpending_flush(&t->pending, ~0ULL);
	waitq_destroy(&t->sigwait);
	mutex_destroy(&t->pt_lock);
	cred_put(t->cred);
	uts_put(t->uts);
	ipc_ns_put(t->ipc);
	net_ns_put(t->net);
	user_put(t->user);
	keys_exit(&t->keys);
	pid_unref(t->pid);
	pid_ns_put(t->child_pid_ns);
	time_ns_put(t->time_ns);
	time_ns_put(t->child_time_ns);
	tgroup_put(t->tgroup);
	free(t);
	LIVE_DEC(TASK);
}

struct tgroup *
tgroup_get(struct tgroup *g)
{
	ref_get(&g->ref);
	return g;
}

void
tgroup_put(struct tgroup *g)
{
	if (!g || !ref_put(&g->ref))
		return;
	itimers_stop(g);
	sigpending_flush(&g->shared_pending, ~0ULL);
	waitq_destroy(&g->wait_children);
	waitq_destroy(&g->stop_wait);
	waitq_destroy(&g->cpu_wait);
	sighand_put(g->sighand);
	kernel_container_put(g->container);
	free(g);
	LIVE_DEC(TGROUP);
}

struct sighand *
sighand_new(void)
{
	struct sighand *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	ref_init(&s->ref);
	mutex_init(&s->lock, LR_TGROUP);
	return s;
}

struct sighand *
sighand_copy(struct sighand *s)
{
	struct sighand *n = sighand_new();

	if (!n)
		return NULL;
	mutex_lock(&s->lock);
	memcpy(n->action, s->action, sizeof n->action);
	mutex_unlock(&s->lock);
	return n;
}

void
sighand_put(struct sighand *s)
{
	if (!s || !ref_put(&s->ref))
		return;
	mutex_destroy(&s->lock);
	free(s);
}

struct uts_ns *
uts_new(struct user_ns *owner, uint32_t counted, const char *nodename, const char *domainname)
{
	struct uts_ns *u = calloc(1, sizeof *u);

	if (!u) {
		ucount_give(owner, counted, UCOUNT_UTS);
		return NULL;
	}
	ref_init(&u->ref);
	mutex_init(&u->lock, LR_LEAF);
	u->user_ns = user_ns_get(owner);
	u->counted = counted;
	u->id = ns_id_new();
	strncpy(u->nodename, nodename, sizeof u->nodename - 1);
	strncpy(u->domainname, domainname, sizeof u->domainname - 1);
	return u;
}

void
uts_put(struct uts_ns *u)
{
	if (!u || !ref_put(&u->ref))
		return;
	mutex_destroy(&u->lock);
	ucount_give(u->user_ns, u->counted, UCOUNT_UTS);
	user_ns_put(u->user_ns);
	free(u);
}

/* --- guest memory --- */

void
task_mm_call(struct task *t, struct mm_call *ret)
{
	*ret = (struct mm_call){t->mm, t->pt, &t->tgroup->rlim, t->cred};
}

static int
mem_in(struct usermem *um, void *dst, struct uaddr src, size_t len)
{
	struct task *t = ((struct task_mem *)um)->task;
	struct mm_call mc;

	if (plat->copy_in(t->pt, dst, src.v, len) == 0)
		return 0;
	/* The part of the stack that is not there yet reads as zeros. */
	task_mm_call(t, &mc);
	if (!mm_accessible(&mc, src.v, len, LX_PROT_READ) || plat->flush(t->pt))
		return -EFAULT;
	return plat->copy_in(t->pt, dst, src.v, len) ? -EFAULT : 0;
}

static bool
may_write(struct task *t, struct uaddr dst, size_t len)
{
	struct mm_call mc;

	task_mm_call(t, &mc);
	return mm_accessible(&mc, dst.v, len, LX_PROT_WRITE);
}

static int
mem_out(struct usermem *um, struct uaddr dst, const void *src, size_t len)
{
	struct task *t = ((struct task_mem *)um)->task;

	if (!may_write(t, dst, len))
		return -EFAULT;
	return plat->copy_out(t->pt, dst.v, src, len) ? -EFAULT : 0;
}

static int
mem_zero(struct usermem *um, struct uaddr dst, size_t len)
{
	static const char zeros[16384];
	struct task *t = ((struct task_mem *)um)->task;

	if (!may_write(t, dst, len))
		return -EFAULT;
	for (size_t n; len; len -= n, dst = ua_add(dst, n)) {
		n = len < sizeof zeros ? len : sizeof zeros;
		if (plat->copy_out(t->pt, dst.v, zeros, n))
			return -EFAULT;
	}
	return 0;
}

static void *
mem_window(struct usermem *um, struct uaddr dst, size_t len)
{
	struct task *t = ((struct task_mem *)um)->task;

	return may_write(t, dst, len) ? plat->window(t->pt, dst.v, len) : NULL;
}

static void
mem_window_cut(struct usermem *um, size_t len)
{
	plat->window_cut(((struct task_mem *)um)->task->pt, len);
}

static const void *
mem_carried(struct usermem *um, struct uaddr src, size_t *ret_len)
{
	struct task *t = ((struct task_mem *)um)->task;

	return plat->carried(t->pt, src.v, ret_len);
}

static ssize_t
mem_stream(struct usermem *um, struct uaddr dst, size_t len, plat_fill_fn *fill, void *arg)
{
	struct task *t = ((struct task_mem *)um)->task;

	if (!plat->stream_out || !may_write(t, dst, len))
		return -EOPNOTSUPP;
	return plat->stream_out(t->pt, dst.v, len, fill, arg);
}

static int
mem_file(struct usermem *um, struct uaddr dst, size_t len, const struct plat_file *f)
{
	struct task *t = ((struct task_mem *)um)->task;

	if (!plat->file_out || !may_write(t, dst, len))
		return -EOPNOTSUPP;
	return plat->file_out(t->pt, dst.v, len, f);
}

static const struct usermem_ops task_mem_ops = {
	.in = mem_in,
	.out = mem_out,
	.zero = mem_zero,
	.window = mem_window,
	.window_cut = mem_window_cut,
	.carried = mem_carried,
	.stream = mem_stream,
	.file = mem_file,
};

static bool
call_interrupted(const struct call *c)
{
	struct task *t = fiber_local();

	/* c may be a copy: of who runs here */
	(void)c;
	return t && task_interrupted(t);
}

static bool
call_ended(const struct call *c)
{
	struct task *t = fiber_local();
	int fd, r = 0;

	(void)c;
	if (!t)
		return false;
	mutex_lock(&t->pt_lock);
	fd = t->pt ? host_pidfd(plat->host_pid(t->pt)) : -EAGAIN;
	mutex_unlock(&t->pt_lock);
	if (fd >= 0) {
		r = host_fd_poll(fd, POLLIN, 0);
		host_fd_close(fd);
	}
	return r > 0 || fd == -ESRCH || task_killed(t);
}

struct task *
task_alloc(void)
{
	struct task *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	LIVE_INC(TASK);
	ref_init(&t->ref);
	list_init(&t->tg_node);
	mutex_init(&t->pt_lock, LR_TASK);
	sigpending_init(&t->pending);
	waitq_init(&t->sigwait);
	list_init(&t->tracee.node);
	list_init(&t->tracees);
	list_init(&t->pi_owned);
	task_futex_init(t);
	t->altstack.flags = LX_SS_DISABLE;
	t->mem.um.ops = &task_mem_ops;
	t->mem.task = t;
	t->timer_slack_ns = t->default_slack_ns = 50000;
	t->loginuid = t->sessionid = UINT32_MAX;
	t->start_ns = sched_now_ns();
	return t;
}

struct tgroup *
tgroup_alloc(void)
{
	struct tgroup *g = calloc(1, sizeof *g);

	if (!g)
		return NULL;
	LIVE_INC(TGROUP);
	ref_init(&g->ref);
	list_init(&g->threads);
	list_init(&g->children);
	list_init(&g->sibling);
	for (int i = 0; i < PID_ROLES; i++)
		list_init(&g->pid_node[i]);
	sigpending_init(&g->shared_pending);
	waitq_init(&g->wait_children);
	waitq_init(&g->stop_wait);
	waitq_init(&g->cpu_wait);
	list_init(&g->posix_timers);
	itimers_init(g);
	g->exit_signal = LX_SIGCHLD;
	g->start_ns = sched_now_ns();
	return g;
}

/* Fill the call context from the task. Its own fiber, after any of the parts changed. */
void
task_init_call(struct task *t)
{
	static _Atomic uint64_t series;

	t->call = (struct call){
		.cred = t->cred,
		.rlim = &t->tgroup->rlim,
		.um = &t->mem.um,
		.fs = t->fs,
		.ipc = t->ipc,
		.net = t->net,
		.pid_ns = t->pid ? t->pid->ns : NULL,
		.interrupted = call_interrupted,
		.ended = call_ended,
		.tgid = task_tgid(t),
		.tid = t->tid,
		.files_id = t->files ? fdtable_id(t->files) : 0,
		.serial = t->helps ? 0 : (atomic_fetch_add(&series, 1) + 1) << 40,
	};
}

void
task_set_cred(struct task *t, const struct cred *c)
{
	const struct cred *old = t->cred;

	mutex_lock(&t->pt_lock);
	t->cred = c;
	mutex_unlock(&t->pt_lock);
	t->call.cred = c;
	if (old && old->uid != c->uid) {
		struct user *u = user_get(c->uid);

		if (u) {
			user_add_process(t->user, -1);
			user_put(t->user);
			t->user = u;
			user_add_process(u, 1);
		}
	}
	if (old)
		keys_new_cred(&t->keys, old, c);
	cred_put(old);
	task_publish_identity(t);
}

void
task_publish_identity(struct task *t)
{
	struct tgroup *g = t->tgroup;
	struct plat_identity id;
	bool watched;

	mutex_lock(&tasklist_lock);
	id = (struct plat_identity){
		.pid = task_vtgid(t),
		.tid = task_vtid(t),
		.ppid = g->parent ? pid_nr_in(g->parent->pid[PID_TGID], task_pid_ns(t)) : 0,
		.pgid = pid_nr_in(g->pid[PID_PGID], task_pid_ns(t)),
		.sid = pid_nr_in(g->pid[PID_SID], task_pid_ns(t)),
		.uid = uid_out(t->cred->user_ns, t->cred->uid),
		.euid = uid_out(t->cred->user_ns, t->cred->euid),
		.gid = gid_out(t->cred->user_ns, t->cred->gid),
		.egid = gid_out(t->cred->user_ns, t->cred->egid),
	};
	mutex_lock(&t->pt_lock);
	if (t->pt) {
		plat->set_identity(t->pt, &id);
		watched = task_watch_syscalls || ptrace_traced(t) || !seccomp_stub_may_answer(t) ||
			  (atomic_load(&t->syscall_work) & SW_DISPATCH) ||
			  time_ns_shifts(t->time_ns);
		if (watched || t->watched)
			plat->set_watched(t->pt, watched);
		t->watched = watched;
	}
	mutex_unlock(&t->pt_lock);
	mutex_unlock(&tasklist_lock);
}

/* ptrace(2), "Ptrace access mode checking", with PTRACE_MODE_ATTACH_FSCREDS. */
bool
task_may_access(const struct task *who, const struct task *target)
{
	const struct cred *a = who->cred, *b;
	bool ok, cap;

	if (who->tgroup == target->tgroup)
		return true;
	mutex_lock(&((struct task *)target)->pt_lock);
	b = target->cred;
	cap = cred_capable_in(a, b->user_ns, LX_CAP_SYS_PTRACE);
	ok = (a->fsuid == b->uid && a->fsuid == b->euid && a->fsuid == b->suid &&
		     a->fsgid == b->gid && a->fsgid == b->egid && a->fsgid == b->sgid) ||
	     cap;
	if (ok && target->mm && target->mm->dumpable != 1)
		ok = cap;
	if (ok && !cap)
		ok = user_ns_is_below(b->user_ns, a->user_ns) &&
		     (b->cap_permitted & ~a->cap_permitted) == 0;
	mutex_unlock(&((struct task *)target)->pt_lock);
	return ok;
}
