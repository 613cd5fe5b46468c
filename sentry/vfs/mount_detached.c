/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts that are in no namespace: what fsmount(2) and open_tree(2) make, until move_mount(2)
 * attaches it or the last descriptor goes. And mount_setattr(2), which works on them too. Linux
 * keeps them in a nameless namespace; here they are trees whose ns is NULL and that were never
 * detached.
 */
#include "mount_internal.h"

int
mnt_new_detached(struct super *sb, uint32_t mnt_flags, struct mount **ret)
{
	if (atomic_load(&sb->flags) & SUPER_NOUSER)
		return -EINVAL;
	*ret = mount_new(sb, sb->root, mnt_flags);
	return *ret ? 0 : -ENOMEM;
}

void
mnt_dissolve(struct mount *m)
{
	sleeplock_lock(&mnt_tree_lock);
	if (mount_is_detached_top(m))
		mount_detach_tree(m);
	sleeplock_unlock(&mnt_tree_lock);
}

bool
mnt_is_ours(const struct call *c, const struct mount *m)
{
	bool r;

	mutex_lock(&mnt_mutex);
	r = m->ns == c->fs->ns || mount_is_detached_top(m);
	mutex_unlock(&mnt_mutex);
	return r;
}

static uint32_t
changed(const struct mount *m, uint32_t clear, uint32_t set)
{
	return (atomic_load(&m->flags) & ~clear) | set;
}

static int
may_change(const struct mount *m, uint32_t clear, uint32_t set)
{
	uint32_t old = atomic_load(&m->flags);

	if (mount_loosened(old, changed(m, clear, set)))
		return -EPERM;
	if ((set & MNT_RDONLY) && !(old & MNT_RDONLY) && atomic_load(&m->writers))
		return -EBUSY;
	return 0;
}

int
mnt_set_attr(const struct call *c, const struct path *p, bool recursive, uint32_t clear,
	uint32_t set, uint32_t propagation)
{
	struct mount *top = p->mnt, *m;
	int r = 0;

	if (p->dentry != top->root)
		return -EINVAL;
	sleeplock_lock(&mnt_tree_lock);
	if (!mnt_is_ours(c, top))
		r = -EINVAL;
	for (m = r ? NULL : top; m && !r; m = recursive ? mount_next(m, top) : NULL)
		r = may_change(m, clear, set);
	mutex_lock(&mnt_mutex);
	for (m = r ? NULL : top; m; m = recursive ? mount_next(m, top) : NULL) {
		atomic_store(&m->flags, changed(m, clear, set));
		if (propagation)
			mount_set_propagation_locked(m, propagation);
	}
	mutex_unlock(&mnt_mutex);
	if (!r)
		mnt_ns_changed(top->ns);
	sleeplock_unlock(&mnt_tree_lock);
	return r;
}
