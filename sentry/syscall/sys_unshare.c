/* SPDX-License-Identifier: Apache-2.0 */
/* unshare(2): what a task shares with others becomes its own; setns(2): it enters what others have.
 * Everything new is made before anything is changed. */
#include "internal.h"
#include "sentry/cred/ucount.h"
#include "sentry/ipc/ipc.h"
#include "sentry/ipc/shm.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/namespaces.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/pidfd.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/net/link.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/mount.h"

#define UNSHARE_KNOWN                                                                              \
	(NS_FLAGS | LX_CLONE_FS | LX_CLONE_FILES | LX_CLONE_SYSVSEM | LX_CLONE_THREAD |            \
		LX_CLONE_SIGHAND | LX_CLONE_VM)

/* What is made; each NULL if nothing is. */
struct fresh {
	const struct cred *cred;
	struct fs_ctx *fs;
	struct fdtable *files;
	struct uts_ns *uts;
	struct ipc_ns *ipc;
	struct net_ns *net;
	struct pid_ns *pid;
	struct time_ns *time;
};

static void
fresh_put(struct fresh *n, const struct call *c)
{
	cred_put(n->cred);
	fs_ctx_put(n->fs);
	fdtable_put(n->files, c);
	uts_put(n->uts);
	ipc_ns_put(n->ipc);
	net_ns_put(n->net);
	pid_ns_put(n->pid);
	time_ns_put(n->time);
}

static int
new_fs(struct task *t, uint64_t flags, struct user_ns *owner, uint32_t uid, struct fs_ctx **ret)
{
	struct fs_ctx *fs = fs_ctx_dup(t->fs);
	struct mnt_ns *ns;
	int r;

	if (!fs)
		return -ENOMEM;
	if (flags & LX_CLONE_NEWNS) {
		r = mnt_ns_copy(fs->ns, fs, owner, uid, &ns);
		if (r) {
			fs_ctx_put(fs);
			return r;
		}
		mnt_ns_put(fs->ns);
		fs->ns = ns;
	}
	*ret = fs;
	return 0;
}

static int
make(struct task *t, uint64_t flags, struct fresh *n)
{
	struct user_ns *owner;
	uint32_t uid = t->cred->euid;
	int r = 0;

	if (flags & LX_CLONE_NEWUSER)
		r = ns_new_user(t->cred, &n->cred);
	owner = n->cred ? n->cred->user_ns : t->cred->user_ns;
	if (!r && (flags & (LX_CLONE_FS | LX_CLONE_NEWNS)))
		r = new_fs(t, flags, owner, uid, &n->fs);
	if (!r && (flags & LX_CLONE_FILES) && fdtable_shared(t->files))
		r = fdtable_dup(t->files, UINT32_MAX, &n->files);
	if (!r && (flags & LX_CLONE_NEWUTS)) {
		r = ucount_take(owner, uid, UCOUNT_UTS);
		if (!r && !(n->uts = uts_new(owner, uid, t->uts->nodename, t->uts->domainname)))
			r = -ENOMEM;
	}
	if (!r && (flags & LX_CLONE_NEWIPC)) {
		r = ucount_take(owner, uid, UCOUNT_IPC);
		if (!r && !(n->ipc = ipc_ns_new(owner, uid)))
			r = -ENOMEM;
	}
	if (!r && (flags & LX_CLONE_NEWNET)) {
		r = ucount_take(owner, uid, UCOUNT_NET);
		if (!r && !(n->net = net_ns_new(owner, uid)))
			r = -ENOMEM;
	}
	if (!r && (flags & LX_CLONE_NEWPID))
		r = pid_ns_new(t->child_pid_ns, owner, uid, &n->pid);
	if (!r && (flags & LX_CLONE_NEWTIME)) {
		r = ucount_take(owner, uid, UCOUNT_TIME);
		if (!r && !(n->time = time_ns_new(t->child_time_ns, owner, uid)))
			r = -ENOMEM;
	}
	return r;
}

#define SWAP(type, a, b)                                                                           \
	do {                                                                                       \
		type swap_tmp = (a);                                                               \
		(a) = (b);                                                                         \
		(b) = swap_tmp;                                                                    \
	} while (0)

/* After it, n holds what was there before. */
static void
change(struct task *t, uint64_t flags, struct fresh *n)
{
	/* what is owed to semaphores of the old namespace is settled now */
	if (flags & (LX_CLONE_NEWIPC | LX_CLONE_SYSVSEM)) {
		sem_undo_put(t->sem_undo, task_tgid(t));
		t->sem_undo = NULL;
	}
	if (n->ipc)
		shm_task_gone(t->ipc, &t->call);
	mutex_lock(&t->pt_lock);
	if (n->fs)
		SWAP(struct fs_ctx *, t->fs, n->fs);
	if (n->files)
		SWAP(struct fdtable *, t->files, n->files);
	if (n->uts)
		SWAP(struct uts_ns *, t->uts, n->uts);
	if (n->ipc)
		SWAP(struct ipc_ns *, t->ipc, n->ipc);
	if (n->net)
		SWAP(struct net_ns *, t->net, n->net);
	if (n->pid)
		SWAP(struct pid_ns *, t->child_pid_ns, n->pid);
	if (n->time)
		SWAP(struct time_ns *, t->child_time_ns, n->time);
	mutex_unlock(&t->pt_lock);
	t->call.fs = t->fs;
	t->call.ipc = t->ipc;
	t->call.net = t->net;
	t->call.files_id = fdtable_id(t->files);
	if (flags & LX_CLONE_NEWCGROUP)
		t->cgroup_ns_id = ns_id_new();
	if (n->cred) {
		task_set_cred(t, n->cred);
		n->cred = NULL;
	}
}

int64_t
sys_unshare(struct task *t, const uint64_t a[6])
{
	uint64_t flags = a[0];
	struct fresh n = {0};
	int r;

	if (flags & ~(uint64_t)UNSHARE_KNOWN)
		return -EINVAL;
	if (flags & LX_CLONE_NEWUSER)
		flags |= LX_CLONE_THREAD | LX_CLONE_FS;
	if (flags & LX_CLONE_NEWNS)
		flags |= LX_CLONE_FS;
	/* a thread cannot leave its process; alone in it there is nothing to do */
	if ((flags & (LX_CLONE_THREAD | LX_CLONE_SIGHAND | LX_CLONE_VM)) &&
		__atomic_load_n(&t->tgroup->nr_threads, __ATOMIC_RELAXED) > 1)
		return -EINVAL;
	r = ns_check(t, flags);
	if (!r)
		r = make(t, flags, &n);
	if (!r)
		change(t, flags, &n);
	fresh_put(&n, &t->call);
	return r;
}

/* --- setns --- */

static int
enter_those_of(struct task *t, struct pid *p, uint64_t flags)
{
	static const enum ns_kind order[] = {
		NS_USER, NS_UTS, NS_IPC, NS_PID, NS_CGROUP, NS_TIME, NS_NET, NS_MNT};
	struct task *o = NULL;
	int r = 0;

	mutex_lock(&tasklist_lock);
	if (p->tgroup && p->tgroup->leader && p->tgroup->state < TG_ZOMBIE)
		o = task_get(p->tgroup->leader);
	mutex_unlock(&tasklist_lock);
	if (!o)
		return -ESRCH;
	if (!task_may_access(t, o))
		r = -EPERM;
	for (size_t i = 0; i < sizeof order / sizeof *order && !r; i++) {
		struct ns_ref ref;

		if (!(flags & ns_flag(order[i])))
			continue;
		r = ns_of_task(o, order[i], &ref);
		if (!r) {
			r = ns_enter(t, &ref);
			ns_ref_put(&ref);
		}
	}
	task_put(o);
	return r;
}

int64_t
sys_setns(struct task *t, const uint64_t a[6])
{
	uint64_t flags = (uint32_t)a[1];
	struct file *f = task_file(t, arg_int(a[0]));
	const struct ns_ref *ref;
	int r;

	if (!f)
		return -EBADF;
	ref = nsfs_ref(f);
	if (ref)
		r = flags && flags != ns_flag(ref->kind) ? -EINVAL : ns_enter(t, ref);
	else if (!pidfd_pid(f))
		r = -EINVAL;
	else if (!flags || (flags & ~(uint64_t)NS_FLAGS))
		r = -EINVAL;
	else
		r = enter_those_of(t, pidfd_pid(f), flags);
	file_put(f);
	return r;
}
