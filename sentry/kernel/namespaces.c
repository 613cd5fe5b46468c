/* SPDX-License-Identifier: Apache-2.0 */
/* A task's namespaces: which it may make, entering them (clone(2), unshare(2), setns(2)). */
#include "sentry/kernel/namespaces.h"
#include "sentry/ipc/ipc.h"
#include "sentry/ipc/shm.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/net/link.h"
#include "sentry/vfs/mount.h"

int
ns_check(const struct task *t, uint64_t flags)
{
	if (!(flags & LX_CLONE_NEWUSER) && (flags & NS_FLAGS) &&
		!cred_capable_own(t->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	if ((flags & LX_CLONE_NEWUSER) && ns_chrooted(t))
		return -EPERM;
	return 0;
}

bool
ns_chrooted(const struct task *t)
{
	struct path root, top;
	bool yes;

	fs_ctx_root(t->fs, &root);
	mnt_ns_root(t->fs->ns, &top);
	yes = !path_equal(&root, &top);
	path_put(&root);
	path_put(&top);
	return yes;
}

/* user_namespaces(7), "Capabilities" */
static void
fill_caps(struct cred *n)
{
	n->securebits = 0;
	n->cap_inheritable = n->cap_ambient = 0;
	n->cap_permitted = n->cap_effective = n->cap_bounding = LX_CAP_ALL;
}

int
ns_new_user(const struct cred *old, const struct cred **ret)
{
	struct user_ns *ns;
	struct cred *n;
	int err = user_ns_new(old, &ns);

	if (err)
		return err;
	n = cred_dup(old);
	if (!n) {
		user_ns_put(ns);
		return -ENOMEM;
	}
	user_ns_put(n->user_ns);
	n->user_ns = ns;
	fill_caps(n);
	*ret = n;
	return 0;
}

/* --- setns --- */

static int
enter_user(struct task *t, struct user_ns *ns)
{
	struct cred *n;

	if (ns == t->cred->user_ns || t->tgroup->nr_threads > 1 || fs_ctx_shared(t->fs))
		return -EINVAL;
	if (!cred_capable_in(t->cred, ns, LX_CAP_SYS_ADMIN))
		return -EPERM;
	n = cred_dup(t->cred);
	if (!n)
		return -ENOMEM;
	user_ns_put(n->user_ns);
	n->user_ns = user_ns_get(ns);
	fill_caps(n);
	task_set_cred(t, n);
	return 0;
}

static int
enter_mnt(struct task *t, struct mnt_ns *ns)
{
	struct path root;

	if (!cred_capable_in(t->cred, ns->user_ns, LX_CAP_SYS_ADMIN) ||
		!cred_capable_own(t->cred, LX_CAP_SYS_CHROOT) ||
		!cred_capable_own(t->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	if (fs_ctx_shared(t->fs))
		return -EINVAL;
	mnt_ns_root(ns, &root);
	fs_ctx_set_ns(t->fs, ns);
	fs_ctx_set_root(t->fs, &root);
	fs_ctx_set_cwd(t->fs, &root);
	path_put(&root);
	return 0;
}

static int
enter_pid(struct task *t, struct pid_ns *ns)
{
	struct pid_ns *old = t->child_pid_ns;

	if (!pid_ns_is_below(ns, t->pid->ns))
		return -EINVAL;
	t->child_pid_ns = pid_ns_get(ns);
	pid_ns_put(old);
	return 0;
}

static int
enter_time(struct task *t, struct time_ns *ns)
{
	struct time_ns *old = t->child_time_ns;

	if (t->tgroup->nr_threads > 1)
		return -EUSERS;
	mutex_lock(&t->pt_lock);
	t->child_time_ns = time_ns_get(ns);
	mutex_unlock(&t->pt_lock);
	time_ns_put(old);
	time_ns_arrive(t);
	task_publish_identity(t);
	return 0;
}

int
ns_enter(struct task *t, const struct ns_ref *r)
{
	struct uts_ns *uts, *old_uts;
	struct ipc_ns *ipc, *old_ipc;
	struct net_ns *net, *old_net;

	if (r->kind == NS_USER)
		return enter_user(t, r->ns);
	if (r->kind == NS_MNT)
		return enter_mnt(t, r->ns);
	if (!cred_capable_in(t->cred, ns_owner(r), LX_CAP_SYS_ADMIN) ||
		!cred_capable_own(t->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	switch (r->kind) {
	case NS_PID:
	case NS_PID_CHILDREN:
		return enter_pid(t, r->ns);
	case NS_UTS:
		uts = r->ns;
		ref_get(&uts->ref);
		mutex_lock(&t->pt_lock);
		old_uts = t->uts;
		t->uts = uts;
		mutex_unlock(&t->pt_lock);
		uts_put(old_uts);
		return 0;
	case NS_IPC:
		sem_undo_put(t->sem_undo, task_tgid(t));
		t->sem_undo = NULL;
		shm_task_gone(t->ipc, &t->call);
		ipc = ipc_ns_get(r->ns);
		mutex_lock(&t->pt_lock);
		old_ipc = t->ipc;
		t->ipc = t->call.ipc = ipc;
		mutex_unlock(&t->pt_lock);
		ipc_ns_put(old_ipc);
		return 0;
	case NS_NET:
		net = net_ns_get(r->ns);
		mutex_lock(&t->pt_lock);
		old_net = t->net;
		t->net = t->call.net = net;
		mutex_unlock(&t->pt_lock);
		net_ns_put(old_net);
		return 0;
	case NS_CGROUP:
		t->cgroup_ns_id = r->id;
		return 0;
	case NS_TIME:
	case NS_TIME_CHILDREN:
		return enter_time(t, r->ns);
	default:
		return 0;
	}
}
