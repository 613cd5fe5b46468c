/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/kernel/nsfs.h"
#include "abi/fs.h"
#include "abi/sched.h"
#include "sentry/ipc/ipc.h"
#include "sentry/kernel/internal.h"
#include "sentry/kernel/pid_ns.h"
#include "sentry/kernel/time_ns.h"
#include "sentry/net/link.h"
#include "sentry/vfs/fs.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/path.h"
#include <stdio.h>
#include <stdlib.h>

#define NS_GET_USERNS	 0xb701u
#define NS_GET_PARENT	 0xb702u
#define NS_GET_NSTYPE	 0xb703u
#define NS_GET_OWNER_UID 0xb704u
#define NS_GET_MNTNS_ID	 0x8008b705u
#define NSFS_MAGIC	 0x6e736673

struct nsfs_inode {
	struct inode i;
	struct ns_ref r;
};

static struct super *nsfs_sb;

static const struct {
	const char *name;
	uint64_t flag, first_id;
} kinds[NS_KINDS] = {
	[NS_CGROUP] = {"cgroup", LX_CLONE_NEWCGROUP, 4026531835},
	[NS_IPC] = {"ipc", LX_CLONE_NEWIPC, 0},
	[NS_MNT] = {"mnt", LX_CLONE_NEWNS, 0},
	[NS_NET] = {"net", LX_CLONE_NEWNET, 0},
	[NS_PID] = {"pid", LX_CLONE_NEWPID, 0},
	[NS_PID_CHILDREN] = {"pid", LX_CLONE_NEWPID, 0},
	[NS_TIME] = {"time", LX_CLONE_NEWTIME, 4026531834},
	[NS_TIME_CHILDREN] = {"time", LX_CLONE_NEWTIME, 4026531834},
	[NS_USER] = {"user", LX_CLONE_NEWUSER, 0},
	[NS_UTS] = {"uts", LX_CLONE_NEWUTS, 0},
};

const char *
ns_name(enum ns_kind kind)
{
	return kinds[kind].name;
}

uint64_t
ns_flag(enum ns_kind kind)
{
	return kinds[kind].flag;
}

int
ns_of_task(struct task *t, enum ns_kind kind, struct ns_ref *ret)
{
	int err = 0;

	*ret = (struct ns_ref){.kind = kind, .id = kinds[kind].first_id};
	mutex_lock(&t->pt_lock);
	switch (kind) {
	case NS_IPC:
		ret->ns = ipc_ns_get(t->ipc);
		ret->id = ipc_ns_id(t->ipc);
		break;
	case NS_NET:
		ret->ns = net_ns_get(t->net);
		ret->id = net_ns_id(t->net);
		break;
	case NS_UTS:
		ref_get(&t->uts->ref);
		ret->ns = t->uts;
		ret->id = t->uts->id;
		break;
	case NS_MNT:
		if (t->fs) {
			struct mnt_ns *ns = fs_ctx_ns(t->fs);

			ret->ns = ns;
			ret->id = ns->id;
		} else {
			err = -ESRCH;
		}
		break;
	case NS_USER:
		ret->ns = user_ns_get(t->cred->user_ns);
		ret->id = user_ns_id(t->cred->user_ns);
		break;
	case NS_PID:
		ret->ns = pid_ns_get(t->pid->ns);
		ret->id = pid_ns_id(t->pid->ns);
		break;
	case NS_PID_CHILDREN:
		ret->ns = pid_ns_get(t->child_pid_ns);
		ret->id = pid_ns_id(t->child_pid_ns);
		break;
	case NS_TIME:
	case NS_TIME_CHILDREN:
		ret->ns = time_ns_get(kind == NS_TIME ? t->time_ns : t->child_time_ns);
		if (ret->ns)
			ret->id = time_ns_id(ret->ns);
		break;
	case NS_CGROUP:
		if (t->cgroup_ns_id)
			ret->id = t->cgroup_ns_id;
		break;
	default:
		break;
	}
	mutex_unlock(&t->pt_lock);
	return err;
}

void
ns_ref_put(struct ns_ref *r)
{
	switch (r->kind) {
	case NS_IPC:
		ipc_ns_put(r->ns);
		break;
	case NS_NET:
		net_ns_put(r->ns);
		break;
	case NS_UTS:
		uts_put(r->ns);
		break;
	case NS_MNT:
		mnt_ns_put(r->ns);
		break;
	case NS_USER:
		user_ns_put(r->ns);
		break;
	case NS_PID:
	case NS_PID_CHILDREN:
		pid_ns_put(r->ns);
		break;
	case NS_TIME:
	case NS_TIME_CHILDREN:
		time_ns_put(r->ns);
		break;
	default:
		break;
	}
	r->ns = NULL;
}

struct user_ns *
ns_owner(const struct ns_ref *r)
{
	if (!r->ns)
		return NULL;
	switch (r->kind) {
	case NS_IPC:
		return ipc_ns_owner(r->ns);
	case NS_NET:
		return net_ns_owner(r->ns);
	case NS_UTS:
		return ((struct uts_ns *)r->ns)->user_ns;
	case NS_MNT:
		return ((struct mnt_ns *)r->ns)->user_ns;
	case NS_USER:
		return user_ns_parent(r->ns);
	case NS_PID:
	case NS_PID_CHILDREN:
		return ((struct pid_ns *)r->ns)->user_ns;
	case NS_TIME:
	case NS_TIME_CHILDREN:
		return time_ns_owner(r->ns);
	default:
		return NULL;
	}
}

/* --- files --- */

static void
nsfs_free(struct inode *i)
{
	struct nsfs_inode *n = container_of(i, struct nsfs_inode, i);

	ns_ref_put(&n->r);
	inode_fini(i);
	free(n);
}

/* A mount namespace that is bound in itself, or in one that was copied from it, would never end. */
static const struct inode_ops mnt_iops = {.free = nsfs_free},
			      nsfs_iops = {.free = nsfs_free, .bindable = true};

static int64_t
open_ns(struct task *t, struct ns_ref *r)
{
	struct open_spec how = {.flags = LX_O_RDONLY, .mode = 0};
	struct path p;
	struct file *f;
	int err = nsfs_path(r, &p);

	if (err)
		return err;
	err = vfs_open_path(&t->call, &p, &how, &f);
	path_put(&p);
	return err ? err : task_fd_install_put(t, f, true);
}

static int64_t
nsfs_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	const struct ns_ref *r = nsfs_ref(f);
	struct task *t = task_current();
	struct user_ns *owner = ns_owner(r);
	struct ns_ref up = {.kind = r->kind};
	uint32_t uid;

	switch (cmd) {
	case NS_GET_USERNS:
		/* only what the caller's own stands above may be reached */
		if (!user_ns_is_below(owner, c->cred->user_ns))
			return -EPERM;
		up = (struct ns_ref){NS_USER, user_ns_get(owner), user_ns_id(owner)};
		return open_ns(t, &up);
	case NS_GET_PARENT:
		if (r->kind == NS_USER) {
			if (!r->ns || !user_ns_is_below(owner, c->cred->user_ns))
				return -EPERM;
			up = (struct ns_ref){NS_USER, user_ns_get(owner), user_ns_id(owner)};
		} else if (r->kind == NS_PID || r->kind == NS_PID_CHILDREN) {
			struct pid_ns *parent = r->ns ? ((struct pid_ns *)r->ns)->parent : NULL;

			if (!r->ns || !pid_ns_is_below(parent, t->pid->ns))
				return -EPERM;
			up = (struct ns_ref){NS_PID, pid_ns_get(parent), pid_ns_id(parent)};
		} else {
			return -EINVAL;
		}
		return open_ns(t, &up);
	case NS_GET_NSTYPE:
		return (int64_t)ns_flag(r->kind);
	case NS_GET_OWNER_UID:
		if (r->kind != NS_USER)
			return -EINVAL;
		uid = uid_out(c->cred->user_ns, user_ns_owner(r->ns));
		return copy_out(c->um, ua(arg), &uid, sizeof uid);
	case NS_GET_MNTNS_ID:
		if (r->kind != NS_MNT)
			return -EINVAL;
		return copy_out(c->um, ua(arg), &((struct mnt_ns *)r->ns)->id, sizeof(uint64_t));
	default:
		return -ENOTTY;
	}
}

static const struct file_ops nsfs_fops = {.ioctl = nsfs_ioctl};

const struct ns_ref *
nsfs_ref(const struct file *f)
{
	return f->ops == &nsfs_fops ? &container_of(f->inode, struct nsfs_inode, i)->r : NULL;
}

int
nsfs_path(struct ns_ref *r, struct path *ret)
{
	struct nsfs_inode *n = calloc(1, sizeof *n);
	struct file *f;
	char name[40];
	int err;

	if (!n) {
		ns_ref_put(r);
		return -ENOMEM;
	}
	inode_init(&n->i, nsfs_sb, r->kind == NS_MNT ? &mnt_iops : &nsfs_iops, &nsfs_fops, r->id,
		LX_S_IFREG | 0444, 0, 0);
	n->i.flags |= INODE_IMMUTABLE;
	n->r = *r;
	snprintf(name, sizeof name, "%s:[%llu]", ns_name(r->kind), (unsigned long long)r->id);
	err = file_new_inode(&n->i, &nsfs_fops, NULL, name, LX_O_RDONLY, &f);
	if (!err) {
		*ret = f->path;
		path_get(ret);
		file_put(f);
	}
	inode_put(&n->i);
	return err;
}

struct net_ns *
nsfs_net_of_fd(const struct call *c, int fd)
{
	struct file *f = task_call_file(c, fd);
	const struct ns_ref *r = f ? nsfs_ref(f) : NULL;
	struct net_ns *ns = r && r->kind == NS_NET ? net_ns_get(r->ns) : NULL;

	if (f)
		file_put(f);
	return ns;
}

struct net_ns *
nsfs_net_of_pid(const struct call *c, int32_t pid)
{
	struct task *t = task_find_get(pid); /* of the caller's namespace */
	struct ns_ref r = {.ns = NULL};

	(void)c;
	if (!t)
		return NULL;
	if (ns_of_task(t, NS_NET, &r))
		r.ns = NULL;
	task_put(t);
	return r.ns;
}

int
nsfs_init(void)
{
	static struct fs_type type = {.name = "nsfs", .flags = FS_TYPE_INTERNAL | FS_TYPE_NODEV};

	nsfs_sb = super_new(&type, NULL, "nsfs");
	if (!nsfs_sb)
		return -ENOMEM;
	nsfs_sb->magic = NSFS_MAGIC;
	return 0;
}
