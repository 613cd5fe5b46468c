/* SPDX-License-Identifier: Apache-2.0 */
/* clone(2) in all its forms. Linux counterpart: kernel/fork.c, whose checks and their order are
 * kept. */
#include "abi/sched.h"
#include "sentry/cred/ucount.h"
#include "sentry/ipc/ipc.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/ptrace.h"
#include "sentry/kernel/seccomp.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/net/link.h"
#include "sentry/vfs/mount.h"
#include <stdlib.h>
#include <string.h>

static int
check_flags(const struct task *t, const struct clone_request *r)
{
	uint64_t f = r->flags;

	if ((f & LX_CLONE_FS) && (f & (LX_CLONE_NEWNS | LX_CLONE_NEWUSER)))
		return -EINVAL;
	if ((f & LX_CLONE_THREAD) && !(f & LX_CLONE_SIGHAND))
		return -EINVAL;
	if ((f & LX_CLONE_SIGHAND) && !(f & LX_CLONE_VM))
		return -EINVAL;
	if ((f & LX_CLONE_PARENT) && t->tgroup->unkillable)
		return -EINVAL;
	if ((f & LX_CLONE_THREAD) && (f & (LX_CLONE_NEWUSER | LX_CLONE_NEWPID)))
		return -EINVAL;
	if ((f & LX_CLONE_PIDFD) && (f & LX_CLONE_DETACHED))
		return -EINVAL;
	if ((f & LX_CLONE_NEWIPC) && (f & LX_CLONE_SYSVSEM))
		return -EINVAL;
	if ((f & LX_CLONE_SIGHAND) && (f & LX_CLONE_CLEAR_SIGHAND))
		return -EINVAL;
	if ((f & LX_CLONE_THREAD) && t->child_pid_ns != t->pid->ns)
		return -EINVAL;
	return ns_check(t, f);
}

/* Everything of the new task but its address space. */
static int
copy_parts(struct task *t, struct task *n, uint64_t f)
{
	struct tgroup *g = t->tgroup;
	struct user_ns *owner;
	int err;

	if (f & LX_CLONE_NEWUSER) {
		err = ns_new_user(t->cred, &n->cred);
		if (err)
			return err;
	} else {
		n->cred = cred_get(t->cred);
	}
	owner = n->cred->user_ns;
	if (f & LX_CLONE_NEWPID) {
		err = pid_ns_new(t->child_pid_ns, owner, n->cred->euid, &n->child_pid_ns);
		if (err)
			return err;
	} else {
		n->child_pid_ns = pid_ns_get(t->child_pid_ns);
	}
	n->time_ns = time_ns_get(t->time_ns);
	if (!(f & LX_CLONE_NEWTIME))
		n->child_time_ns = time_ns_get(t->child_time_ns);
	else if ((err = ucount_take(owner, n->cred->euid, UCOUNT_TIME)) != 0)
		return err;
	else if (!(n->child_time_ns = time_ns_new(t->child_time_ns, owner, n->cred->euid)))
		return -ENOMEM;
	/* who shares memory shares its clocks; it goes there when it executes something */
	if (!(f & LX_CLONE_VM))
		time_ns_arrive(n);
	n->cgroup_ns_id = f & LX_CLONE_NEWCGROUP ? ns_id_new() : t->cgroup_ns_id;
	n->user = user_get(t->cred->uid);
	if (!n->user)
		return -ENOMEM;
	if (f & LX_CLONE_NEWUTS) {
		err = ucount_take(owner, n->cred->euid, UCOUNT_UTS);
		if (err)
			return err;
		n->uts = uts_new(owner, n->cred->euid, t->uts->nodename, t->uts->domainname);
		if (!n->uts)
			return -ENOMEM;
	} else {
		ref_get(&t->uts->ref);
		n->uts = t->uts;
	}
	if (f & LX_CLONE_NEWIPC) {
		err = ucount_take(owner, n->cred->euid, UCOUNT_IPC);
		if (err)
			return err;
		n->ipc = ipc_ns_new(owner, n->cred->euid);
	} else {
		n->ipc = ipc_ns_get(t->ipc);
	}
	if (f & LX_CLONE_NEWNET) {
		err = ucount_take(owner, n->cred->euid, UCOUNT_NET);
		if (err)
			return err;
		n->net = net_ns_new(owner, n->cred->euid);
	} else {
		n->net = net_ns_get(t->net);
	}
	if (!n->ipc || !n->net)
		return -ENOMEM;
	err = keys_clone(n->cred, &t->keys, &n->keys, f & LX_CLONE_THREAD);
	if (err)
		return err;
	if (f & LX_CLONE_SYSVSEM) {
		n->sem_undo = sem_undo_share(&t->call, &t->sem_undo);
		if (!n->sem_undo)
			return -ENOMEM;
	}
	if (f & LX_CLONE_FILES) {
		n->files = fdtable_get(t->files);
	} else {
		err = fdtable_dup(t->files, UINT32_MAX, &n->files);
		if (err)
			return err;
	}
	n->fs = f & LX_CLONE_FS ? fs_ctx_get(t->fs) : fs_ctx_dup(t->fs);
	if (!n->fs)
		return -ENOMEM;
	if (f & LX_CLONE_NEWNS) {
		struct mnt_ns *ns;

		err = mnt_ns_copy(n->fs->ns, n->fs, owner, n->cred->euid, &ns);
		if (err)
			return err;
		mnt_ns_put(n->fs->ns);
		n->fs->ns = ns;
	}
	memcpy(n->comm, t->comm, sizeof n->comm);
	n->blocked = t->blocked;
	n->personality = t->personality;
	n->loginuid = t->loginuid;
	n->sessionid = t->sessionid;
	n->ioprio = t->ioprio;
	n->mem_policy = t->mem_policy;
	n->mem_nodes = t->mem_nodes;
	n->keep_caps = t->keep_caps;
	n->timer_slack_ns = n->default_slack_ns = t->timer_slack_ns;
	task_sched_copy(t, n);
	/* sigaltstack(2): kept unless the memory is shared by something that is not vfork */
	if (!(f & LX_CLONE_VM) || (f & LX_CLONE_VFORK))
		n->altstack = t->altstack;
	if (f & LX_CLONE_THREAD) {
		n->tgroup = tgroup_get(g);
		return 0;
	}

	n->tgroup = tgroup_alloc();
	if (!n->tgroup)
		return -ENOMEM;
	if (f & LX_CLONE_SIGHAND) {
		ref_get(&g->sighand->ref);
		n->tgroup->sighand = g->sighand;
	} else {
		n->tgroup->sighand = sighand_copy(g->sighand);
		if (!n->tgroup->sighand)
			return -ENOMEM;
		if (f & LX_CLONE_CLEAR_SIGHAND)
			for (int i = 0; i < LX_NSIG; i++)
				if (n->tgroup->sighand->action[i].handler != LX_SIG_IGN)
					n->tgroup->sighand->action[i] = (struct lx_sigaction){0};
	}
	n->tgroup->container = kernel_container_get(g->container);
	memcpy(&n->tgroup->rlim, &g->rlim, sizeof g->rlim);
	n->tgroup->tty = g->tty;
	n->tgroup->oom_score_adj = g->oom_score_adj;
	n->tgroup->oom_score_adj_min = g->oom_score_adj_min;
	return 0;
}

static int
copy_space(struct task *t, struct task *n, uint64_t f)
{
	struct mm_call mc;
	int err;

	task_mm_call(t, &mc);
	if (f & LX_CLONE_VM) {
		err = plat->thread_new(t->pt, n, &n->pt);
		if (err)
			return err;
		n->mm = mm_get(t->mm);
		mm_add_user(n->mm);
		if (!(f & LX_CLONE_THREAD))
			atomic_store(&n->tgroup->shares_space, true);
		return 0;
	}
	/* Nobody may change the map between the host's copy and ours. */
	sleeplock_lock(&t->mm->write_lock);
	err = plat->space_fork(t->pt, n, &n->pt);
	if (!err) {
		err = mm_fork(&mc, n->pt, &n->mm);
		if (err) {
			plat->thread_exit(n->pt, 0);
			n->pt = NULL;
		}
	}
	sleeplock_unlock(&t->mm->write_lock);
	if (!err && t->mm->exe_file) {
		n->mm->exe_file = file_get(t->mm->exe_file);
		n->mm->exe_put = file_put;
	}
	return err;
}

static void
undo_parts(struct task *t, struct task *n)
{
	if (n->pt)
		plat->thread_exit(n->pt, 0);
	if (n->mm) {
		mm_drop_user(n->mm);
		mm_put(n->mm);
	}
	n->pt = NULL;
	n->mm = NULL;
	if (n->files)
		fdtable_put(n->files, &t->call);
	if (n->fs)
		fs_ctx_put(n->fs);
	sem_undo_put(n->sem_undo, 0);
	task_put(n);
}

static int64_t
wait_vfork(struct task *t)
{
	for (;;) {
		bool done;

		mutex_lock(&tasklist_lock);
		done = t->vfork_done;
		mutex_unlock(&tasklist_lock);
		if (done)
			return 0;
		/* Only death ends the wait (vfork(2)); signals stay pending. */
		if (atomic_load(&t->work) & TW_EXIT)
			return 0;
		fiber_park();
	}
}

int64_t
task_clone(struct task *t, const struct clone_request *r)
{
	uint64_t f = r->flags;
	struct guest_regs *regs;
	struct tgroup *g = t->tgroup;
	struct task *n;
	struct file *pidfd = NULL;
	int pidfd_nr = -1;
	int32_t tid, child_tid, global;
	int event = ptrace_clone_event(t, f, r->exit_signal);
	int err = check_flags(t, r);

	if (err)
		return err;
	n = task_alloc();
	if (!n)
		return -ENOMEM;
	err = copy_parts(t, n, f);
	if (err)
		goto undo;
	if ((uint64_t)user_add_process(n->user, 1) > rlimit_cur(&g->rlim, LX_RLIMIT_NPROC) &&
		t->cred->uid != 0 && !cred_capable(t->cred, LX_CAP_SYS_RESOURCE) &&
		!cred_capable(t->cred, LX_CAP_SYS_ADMIN)) {
		err = -EAGAIN;
		goto undo_count;
	}
	if (!kernel_task_allowed()) {
		err = -EAGAIN;
		goto undo_count;
	}
	err = copy_space(t, n, f);
	if (err) {
		if (err != -ENOMEM)
			err = -EAGAIN;
		goto undo_count;
	}
	task_sched_copied(t, n);
	regs = plat->regs(n->pt);
	regs->rax = 0;
	if (r->stack)
		regs->rsp = r->stack;
	if (f & LX_CLONE_SETTLS)
		regs->fs_base = r->tls;
	plat->regs_dirty(n->pt);
	if (f & LX_CLONE_CHILD_CLEARTID)
		n->clear_child_tid = ua(r->child_tid);

	mutex_lock(&tasklist_lock);
	n->pid = pid_alloc_locked(n->child_pid_ns, r->set_tid);
	if (!n->pid) {
		err = n->child_pid_ns && n->child_pid_ns->closing ? -ENOMEM
		      : r->set_tid				  ? -EEXIST
								  : -EAGAIN;
		mutex_unlock(&tasklist_lock);
		goto undo_count;
	}
	ref_get(&n->pid->ref);
	n->pid->task = n;
	n->tid = global = n->pid->nr;
	tid = pid_nr_in(n->pid, t->pid->ns);
	child_tid = pid_nr_in(n->pid, n->pid->ns);
	mutex_unlock(&tasklist_lock);

	if (f & LX_CLONE_PIDFD) {
		err = pidfd_new(n->pid, 0, &pidfd);
		if (!err)
			pidfd_nr = task_fd_install_put(t, pidfd, true);
		if (!err && pidfd_nr < 0)
			err = pidfd_nr;
		if (!err && copy_out(&t->mem.um, ua(r->pidfd), &pidfd_nr, sizeof pidfd_nr))
			err = -EFAULT;
		if (err)
			goto undo_pid;
	}
	/* At once: were it to ride on the parent's reply, a thread that is quick could have cleared
	 * it before. */
	if (f & LX_CLONE_PARENT_SETTID)
		(void)plat->poke(t->pt, r->parent_tid, &tid, sizeof tid);
	if (f & LX_CLONE_CHILD_SETTID)
		(void)plat->copy_out(n->pt, r->child_tid, &child_tid, sizeof child_tid);

	/* From here on it cannot fail but by a signal that kills us: enter it into the world. */
	mutex_lock(&tasklist_lock);
	mutex_lock(&g->sighand->lock);
	if (atomic_load(&t->work) & TW_EXIT) {
		mutex_unlock(&g->sighand->lock);
		mutex_unlock(&tasklist_lock);
		err = -ERESTARTNOINTR;
		goto undo_pid;
	}
	seccomp_fork_locked(t, n);
	if (f & LX_CLONE_THREAD) {
		list_push_back(&g->threads, &n->tg_node);
		g->nr_threads++;
		if (g->stopping) {
			g->stop_pending++;
			atomic_fetch_or(&n->work, TW_STOP);
		}
		mutex_unlock(&g->sighand->lock);
	} else {
		struct tgroup *ng = n->tgroup,
			      *p = f & LX_CLONE_PARENT && g->parent ? g->parent : g;

		mutex_unlock(&g->sighand->lock);
		tgroup_get(ng); /* of the tree; dropped when it is reaped */
		list_push_back(&ng->threads, &n->tg_node);
		ng->nr_threads = 1;
		ng->leader = n;
		if (n->pid->ns && !n->pid->ns->init) {
			n->pid->ns->init = ng;
			ng->unkillable = true;
		}
		pid_attach_tgroup_locked(ng, PID_TGID, n->pid);
		pid_attach_tgroup_locked(ng, PID_PGID, g->pid[PID_PGID]);
		pid_attach_tgroup_locked(ng, PID_SID, g->pid[PID_SID]);
		ng->parent = tgroup_get(p);
		list_push_back(&p->children, &ng->sibling);
		ng->creator_tid = t->tid;
		ng->exit_signal = f & LX_CLONE_PARENT ? g->exit_signal : r->exit_signal;
	}
	if (f & LX_CLONE_VFORK) {
		t->vfork_done = false;
		n->vfork_parent = task_get(t);
		n->flags |= TF_VFORK_CHILD;
	}
	n->flags |= TF_FORKNOEXEC;
	ptrace_new_task_locked(t, n, event || (f & LX_CLONE_PTRACE));
	kernel_count_tasks(g->container, 1);
	mutex_unlock(&tasklist_lock);
	task_init_call(n);
	task_publish_identity(n);
	plat->set_name(n->pt, n->comm);
	/* Two references: the group's (its list), and the fiber's. */
	task_get(n);
	err = fiber_spawn_task(n);
	if (err)
		panic("out of memory for a fiber");
	if (event)
		ptrace_event(t, event, (uint64_t)global);
	if (f & LX_CLONE_VFORK) {
		wait_vfork(t);
		ptrace_event(t, LX_PTRACE_EVENT_VFORK_DONE, (uint64_t)global);
	}
	return tid;

undo_pid:
	if (pidfd_nr >= 0 && !fdtable_remove(t->files, pidfd_nr, &pidfd))
		file_put(pidfd);
	mutex_lock(&tasklist_lock);
	n->pid->task = NULL;
	pid_unused_locked(n->pid);
	mutex_unlock(&tasklist_lock);
undo_count:
	user_add_process(n->user, -1);
undo:
	undo_parts(t, n);
	return err;
}
