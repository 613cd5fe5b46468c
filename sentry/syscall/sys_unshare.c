/* SPDX-License-Identifier: Apache-2.0 */
/* unshare(2): what a task shares with others becomes its own. Everything new is made before
 * anything is changed. */
#include "abi/sched.h"
#include "internal.h"
#include "sentry/ipc/ipc.h"
#include "sentry/kernel/internal.h"
#include "sentry/vfs/mount.h"

#define UNSHARE_KNOWN                                                                              \
	(LX_CLONE_FS | LX_CLONE_FILES | LX_CLONE_NEWNS | LX_CLONE_NEWUTS | LX_CLONE_NEWIPC |       \
		LX_CLONE_SYSVSEM | LX_CLONE_THREAD | LX_CLONE_SIGHAND | LX_CLONE_VM)
/* namespaces that exist once here */
#define UNSHARE_REFUSED                                                                            \
	(LX_CLONE_NEWUSER | LX_CLONE_NEWPID | LX_CLONE_NEWNET | LX_CLONE_NEWCGROUP |               \
		LX_CLONE_NEWTIME)

static int
new_fs(struct task *t, uint64_t flags, struct fs_ctx **ret)
{
	struct fs_ctx *fs = fs_ctx_dup(t->fs);
	struct mnt_ns *ns;
	int r;

	if (!fs)
		return -ENOMEM;
	if (flags & LX_CLONE_NEWNS) {
		r = mnt_ns_copy(fs->ns, fs, &ns);
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

int64_t
sys_unshare(struct task *t, const uint64_t a[6])
{
	uint64_t flags = a[0];
	struct fs_ctx *fs = NULL, *old_fs = NULL;
	struct fdtable *files = NULL, *old_files = NULL;
	struct uts_ns *uts = NULL, *old_uts = NULL;
	struct ipc_ns *ipc = NULL, *old_ipc = NULL;
	int r = 0;

	if (flags & ~(uint64_t)(UNSHARE_KNOWN | UNSHARE_REFUSED))
		return -EINVAL;
	/* a thread cannot leave its process; alone in it there is nothing to do */
	if ((flags & (LX_CLONE_THREAD | LX_CLONE_SIGHAND | LX_CLONE_VM)) &&
		__atomic_load_n(&t->tgroup->nr_threads, __ATOMIC_RELAXED) > 1)
		return -EINVAL;
	if ((flags & (LX_CLONE_NEWNS | LX_CLONE_NEWUTS | LX_CLONE_NEWIPC |
			     (UNSHARE_REFUSED & ~LX_CLONE_NEWUSER))) &&
		!cred_capable(t->cred, LX_CAP_SYS_ADMIN))
		return -EPERM;
	if (flags & UNSHARE_REFUSED)
		return -EINVAL;
	if (flags & (LX_CLONE_FS | LX_CLONE_NEWNS))
		r = new_fs(t, flags, &fs);
	if (!r && (flags & LX_CLONE_FILES) && fdtable_shared(t->files))
		r = fdtable_dup(t->files, UINT32_MAX, &files);
	if (!r && (flags & LX_CLONE_NEWUTS) &&
		!(uts = uts_new(t->uts->nodename, t->uts->domainname)))
		r = -ENOMEM;
	if (!r && (flags & LX_CLONE_NEWIPC) && !(ipc = ipc_ns_new()))
		r = -ENOMEM;
	/* what is owed to semaphores of the old namespace is settled now */
	if (!r && (flags & (LX_CLONE_NEWIPC | LX_CLONE_SYSVSEM))) {
		sem_undo_put(t->sem_undo, task_tgid(t));
		t->sem_undo = NULL;
	}
	if (!r) {
		mutex_lock(&t->pt_lock);
		if (fs) {
			old_fs = t->fs;
			t->fs = t->call.fs = fs;
			fs = NULL;
		}
		if (files) {
			old_files = t->files;
			t->files = files;
			files = NULL;
		}
		if (uts) {
			old_uts = t->uts;
			t->uts = uts;
		}
		if (ipc) {
			old_ipc = t->ipc;
			t->ipc = t->call.ipc = ipc;
			ipc = NULL;
		}
		mutex_unlock(&t->pt_lock);
	}
	ipc_ns_put(old_ipc);
	ipc_ns_put(ipc);
	fs_ctx_put(old_fs);
	fs_ctx_put(fs);
	fdtable_put(old_files, &t->call);
	fdtable_put(files, &t->call);
	t->call.files_id = fdtable_id(t->files);
	uts_put(old_uts);
	return r;
}
