/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execve. The new program is loaded into a fresh host process before the old one is given up, so
 * that a broken image takes nobody with it but whom it takes in Linux. Then the other threads
 * die, the task takes the leader's number, and moves over. Linux counterpart: fs/exec.c.
 */
#include "sentry/kernel/exec.h"
#include "abi/fs.h"
#include "sentry/cred/user_ns.h"
#include "sentry/kernel/aio.h"
#include "sentry/kernel/futex.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/kernel/timers.h"
#include "sentry/syscall/syscall.h"
#include "sentry/syscall/trace.h"
#include "sentry/sysctl/sysctl.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/path.h"
#include <string.h>

#define MIN_ARG_BYTES	   (32 * LX_PAGE_SIZE)
#define MAX_ARG_BYTES	   (6UL << 20)
#define ADDR_NO_RANDOMIZE  0x0040000u
#define PER_CLEAR_ON_SETID 0x04f50000u

size_t
exec_arg_limit(const struct rlimits *r)
{
	uint64_t lim = rlimit_cur(r, LX_RLIMIT_STACK) / 4;

	if (lim < MIN_ARG_BYTES)
		lim = MIN_ARG_BYTES;
	return lim > MAX_ARG_BYTES ? MAX_ARG_BYTES : lim;
}

/* --- credentials (capabilities(7), "Transformation of capabilities during execve()") --- */

static int
exec_cred(struct task *t, struct file *f, struct cred **ret, bool *secure)
{
	const struct cred *old = t->cred;
	struct cred *n = cred_dup(old);
	struct inode *i = f->inode;
	uint32_t mode = inode_mode(i);
	bool setid = false;

	if (!n)
		return -ENOMEM;
	if (uid_known(old->user_ns, i->uid) && gid_known(old->user_ns, i->gid) &&
		!task_no_new_privs(t) && ptrace_tracer_capable(t, LX_CAP_SYS_PTRACE) &&
		!(atomic_load(&f->path.mnt->flags) & MNT_NOSUID)) {
		if (mode & LX_S_ISUID) {
			n->euid = i->uid;
			setid = true;
		}
		if ((mode & (LX_S_ISGID | 0010)) == (LX_S_ISGID | 0010)) {
			n->egid = i->gid;
			setid = true;
		}
	}
	n->suid = n->fsuid = n->euid;
	n->sgid = n->fsgid = n->egid;
	{
		uint64_t f_inheritable = 0, f_permitted = 0;
		bool f_effective = false, privileged;
		const uint32_t noroot = 1, root = uid_in(old->user_ns, 0);

		if (!(old->securebits & noroot)) {
			if (n->euid == root || n->uid == root)
				f_inheritable = f_permitted = LX_CAP_ALL;
			f_effective = n->euid == root;
		}
		privileged = setid;
		n->cap_ambient = privileged ? 0 : old->cap_ambient;
		n->cap_permitted = (old->cap_inheritable & f_inheritable) |
				   (f_permitted & old->cap_bounding) | n->cap_ambient;
		n->cap_effective = f_effective ? n->cap_permitted : n->cap_ambient;
	}
	n->securebits &= ~(1u << 4); /* SECBIT_KEEP_CAPS */
	*secure = n->euid != n->uid || n->egid != n->gid || (setid && n->uid != 0);
	*ret = n;
	return 0;
}

/* What the caller may execute but not read is not to be read by way of the process
 * (would_dump). */
static bool
may_read(struct task *t, const struct file *f)
{
	return !f || inode_permission(f->inode, &t->call, LX_R_OK) == 0;
}

/* --- the other threads --- */

/* Linux has given up the old program by the time it maps the new one, and ends who cannot go on
 * with it. */
static void
die_for_image(struct task *t)
{
	struct tgroup *g = t->tgroup;

	mutex_lock(&g->sighand->lock);
	tgroup_start_exit_locked(g, LX_SIGSEGV, NULL);
	mutex_unlock(&g->sighand->lock);
}

/* All but t die; t becomes the leader. False: t itself is to die. */
static bool
de_thread(struct task *t)
{
	struct tgroup *g = t->tgroup;
	struct task *o, *leader;

	mutex_lock(&g->sighand->lock);
	if (g->group_exit || g->group_exec_task) {
		mutex_unlock(&g->sighand->lock);
		return false;
	}
	g->group_exec_task = t;
	list_for_each_entry (o, &g->threads, tg_node) {
		if (o == t)
			continue;
		atomic_fetch_or(&o->work, TW_EXIT);
		task_wake_for_work(o);
	}
	mutex_unlock(&g->sighand->lock);
	for (;;) {
		bool alone, dying;

		mutex_lock(&g->sighand->lock);
		alone = g->nr_threads == 1;
		dying = g->group_exit;
		mutex_unlock(&g->sighand->lock);
		if (dying || alone) {
			mutex_lock(&g->sighand->lock);
			g->group_exec_task = NULL;
			mutex_unlock(&g->sighand->lock);
			if (dying)
				return false;
			break;
		}
		fiber_park();
	}
	mutex_lock(&tasklist_lock);
	leader = g->leader;
	if (leader != t) {
		/* Take over the leader's number; ours goes (execve(2), "Effect on other threads").
		 */
		struct pid *mine = t->pid;

		t->pid = leader->pid;
		t->pid->task = t;
		t->tid = t->pid->nr;
		leader->pid = mine;
		mine->task = NULL;
		pid_unused_locked(mine);
		g->leader = t;
		ptrace_unlink_locked(leader);
		user_add_process(t->user, -1);
	}
	mutex_unlock(&tasklist_lock);
	if (leader != t)
		task_put(leader);
	return true;
}

static void
reset_signals(struct task *t)
{
	struct tgroup *g = t->tgroup;
	struct sighand *s = g->sighand, *n = NULL;

	if (atomic_load(&s->ref.n) > 1) {
		n = sighand_copy(s);
		if (n) {
			g->sighand = n;
			sighand_put(s);
			s = n;
		}
	}
	mutex_lock(&s->lock);
	for (int i = 0; i < LX_NSIG; i++)
		if (s->action[i].handler != LX_SIG_IGN)
			s->action[i] = (struct lx_sigaction){0};
		else
			s->action[i] = (struct lx_sigaction){.handler = LX_SIG_IGN};
	mutex_unlock(&s->lock);
	t->altstack = (struct lx_stack){.flags = LX_SS_DISABLE};
	posix_timers_drop_all(g);
}

/* --- processes ahead of their time --- */

static struct fiber *ahead;
static _Atomic bool ahead_wanted;

/* Where one program is started another is likely to be: a process for it is made while this one
 * runs. */
static void
ahead_main(void *arg)
{
	(void)arg;
	for (;;) {
		if (!atomic_exchange(&ahead_wanted, false))
			fiber_park();
		else
			while (plat->space_ahead() > 0)
				;
	}
}

int
exec_init(void)
{
	return plat->space_ahead ? fiber_spawn(ahead_main, NULL, &ahead) : 0;
}

static void
want_ahead(void)
{
	if (!ahead)
		return;
	atomic_store(&ahead_wanted, true);
	fiber_wake(ahead);
}

static void
set_registers(struct task *t, const struct loaded *l)
{
	struct guest_regs *r = plat->regs(t->pt);

	memset(r, 0, sizeof *r);
	r->rip = l->entry;
	r->rsp = l->sp;
	r->orig_rax = 59; /* execve; a tracer looks */
	r->eflags = 0x202;
	r->cs = 0x33;
	r->ss = 0x2b;
	plat->regs_dirty(t->pt);
	t->flags |= TF_NO_RESULT;
}

int64_t
task_exec(struct task *t, struct program *p, const struct path *base, const char *path,
	uint32_t lookup_flags)
{
	struct tgroup *g = t->tgroup;
	struct mm *mm = NULL, *old_mm;
	struct plat_thread *pt = NULL, *old_pt;
	struct fdtable *files = NULL, *old_files;
	struct cred *cred = NULL;
	struct mm_call mc;
	struct loaded loaded;
	uint64_t clear_tid = 0;
	int32_t old_tid = t->tid;
	int err, randomize = 0;
	bool secure;

	mutex_lock(&g->sighand->lock);
	atomic_fetch_add(&g->execs, 1);
	mutex_unlock(&g->sighand->lock);
	err = loader_open(p, &t->call, base, path, lookup_flags);
	if (err)
		goto undo;
	err = exec_cred(t, p->file, &cred, &secure);
	if (err)
		goto undo;
	if (secure)
		t->personality &= ~PER_CLEAR_ON_SETID;
	err = mm_new(&mm);
	if (err)
		goto undo;
	mm->mdwe = mm_mdwe_inherited(t->mm);
	err = kernel_container_space(g->container, t, &pt);
	if (err)
		goto undo;
	if (fdtable_shared(t->files)) {
		err = fdtable_dup(t->files, UINT32_MAX, &files);
		if (err)
			goto undo;
	}
	p->no_vdso = time_ns_shifts(t->child_time_ns);
	mc = (struct mm_call){mm, pt, &g->rlim, cred};
	if (!(t->personality & ADDR_NO_RANDOMIZE))
		randomize = (int)sysctl_get(SYSCTL_RANDOMIZE_VA_SPACE);
	err = loader_load(p, &mc, &t->call, cred, secure, randomize, &loaded);
	if (err) {
		if (t->pt)
			die_for_image(t);
		goto undo;
	}
	mm->exe_file = file_get(p->file);
	mm->exe_put = file_put;
	if (t->mm)
		mm->dump_filter = t->mm->dump_filter;
	if (secure || !may_read(t, p->file) || !may_read(t, p->interp.file) ||
		!may_read(t, p->script))
		mm->dumpable = (uint8_t)sysctl_get(SYSCTL_SUID_DUMPABLE);

	if (!de_thread(t)) {
		err = -EAGAIN; /* never seen: the task dies on its way out */
		goto undo;
	}

	/* --- the point of no return --- */
	if (mm_leave(t->mm)) {
		task_usage_at_leave(t);
		kernel_limits_memory_ends(t);
	}
	futex_exit(t, false);
	uring_task_exit(t);
	if (!ua_null(t->clear_child_tid) && atomic_load(&t->mm->users) > 1)
		clear_tid = t->clear_child_tid.v;
	mutex_lock(&t->pt_lock);
	old_pt = t->pt;
	old_mm = t->mm;
	old_files = t->files;
	t->pt = pt;
	t->mm = mm;
	if (files)
		t->files = files;
	mutex_unlock(&t->pt_lock);
	if (old_pt) {
		int64_t cpu = task_cpu_at_leave(t, old_pt);

		mutex_lock(&tasklist_lock);
		task_cpu_leave_locked(t, cpu, true);
		mutex_unlock(&tasklist_lock);
		plat->thread_exit(old_pt, clear_tid);
		want_ahead();
	}
	if (mm_left(old_mm))
		aio_mm_gone(old_mm);
	mm_put(old_mm);
	task_release_vfork_parent(t);
	if (files)
		fdtable_put(old_files, &t->call);
	t->clear_child_tid = ua(0);
	t->restart_fn = NULL;
	t->flags &= ~(uint32_t)(TF_FORKNOEXEC | TF_VFORK_CHILD);
	reset_signals(t);
	task_set_cred(t, cred);
	atomic_fetch_sub(&g->execs, 1);
	keys_exec(&t->keys);
	time_ns_arrive(t);
	if (secure || t->cred->euid != t->cred->uid)
		t->pdeath_signal = 0;
	mutex_lock(&t->pt_lock);
	memcpy(t->comm, p->comm, sizeof t->comm);
	mutex_unlock(&t->pt_lock);
	mutex_lock(&tasklist_lock);
	g->did_exec = true;
	atomic_fetch_and(&t->syscall_work, ~SW_DISPATCH);
	g->exit_signal = LX_SIGCHLD;
	mutex_unlock(&tasklist_lock);
	task_init_call(t);
	fdtable_close_on_exec(t->files, &t->call);
	task_init_call(t);
	task_publish_identity(t);
	plat->set_name(t->pt, t->comm);
	plat->set_args(t->pt, mm->arg_start, mm->arg_end);
	task_sched_fresh(t);
	set_registers(t, &loaded);
	trace_exec(t, p);
	program_free(p);
	ptrace_exec_done(t, old_tid);
	return 0;

undo:
	atomic_fetch_sub(&g->execs, 1);
	if (pt)
		plat->thread_exit(pt, 0);
	mm_put(mm);
	if (files)
		fdtable_put(files, NULL);
	cred_put(cred);
	program_free(p);
	return err;
}
