/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of the mount tree: attach, bind, move, remount, unmount, pivot_root. All hold
 * mnt_tree_lock throughout; nothing here recurses, for guests can stack mounts as deep as
 * fs.mount-max.
 */
#include "mount_internal.h"
#include "sentry/cred/ucount.h"
#include "sentry/cred/user_ns.h"
#include "sentry/sysctl/sysctl.h"
#include <stdlib.h>
#include <string.h>

struct mount *
mount_next(struct mount *m, struct mount *top)
{
	if (!list_empty(&m->children))
		return list_entry(m->children.next, struct mount, child_node);
	while (m != top) {
		if (m->child_node.next != &m->parent->children)
			return list_entry(m->child_node.next, struct mount, child_node);
		m = m->parent;
	}
	return NULL;
}

void
mount_set_ns(struct mount *top, struct mnt_ns *ns)
{
	mutex_lock(&mnt_mutex);
	for (struct mount *m = top; m; m = mount_next(m, top)) {
		if (m->ns == ns)
			continue;
		m->ns = ns;
		list_del(&m->ns_node);
		if (ns) {
			list_push_back(&ns->mounts, &m->ns_node);
			ns->nmounts++;
		}
	}
	mutex_unlock(&mnt_mutex);
}

void
mount_detach_tree(struct mount *top)
{
	struct list gone;
	struct mount *m;

	list_init(&gone);
	mutex_lock(&mnt_mutex);
	for (m = top; m; m = mount_next(m, top)) {
		struct mnt_ns *ns = m->ns;

		list_del(&m->ns_node);
		list_push_back(&gone, &m->ns_node);
		if (ns)
			ns->nmounts--;
		m->ns = NULL;
		atomic_fetch_or(&m->flags, MNT_DETACHED);
		mount_make_private(m);
		if (m == top)
			mnt_ns_changed(ns);
	}
	mutex_unlock(&mnt_mutex);
	/* the deepest first, so that no mount outlives its children's links */
	while (!list_empty(&gone)) {
		struct path old = {NULL, NULL};

		m = list_entry(gone.prev, struct mount, ns_node);
		mutex_lock(&mnt_mutex);
		list_del(&m->ns_node);
		if (m->parent)
			mount_unlink_locked(m, &old);
		mutex_unlock(&mnt_mutex);
		path_put(&old);
		mount_put(m);
	}
}

int
mount_copy_tree(struct mount *top, struct dentry *d, bool recursive, bool keep_unbindable,
	bool less, struct mount **ret)
{
	struct mount *copy_top = NULL;

	for (struct mount *m = top; m; m = recursive ? mount_next(m, top) : NULL) {
		uint32_t flags = atomic_load(&m->flags) & ~(MNT_DETACHED | MNT_INTERNAL);
		struct mount *k;

		m->copy = NULL;
		if (less)
			flags |= MNT_LOCK_FLAGS | (m == top ? 0 : MNT_LOCKED);
		if (m != top) {
			if (!m->parent->copy || (!keep_unbindable && (flags & MNT_UNBINDABLE)))
				continue;
			if (m->parent == top && !dentry_is_ancestor(d, m->mountpoint))
				continue;
		}
		k = mount_new(m->sb, m == top ? d : m->root, flags);
		if (!k) {
			if (copy_top)
				mount_detach_tree(copy_top);
			return -ENOMEM;
		}
		m->copy = k;
		mutex_lock(&mnt_mutex);
		if (mount_shared(m) && !less)
			mount_join_group(k, m);
		if (mount_shared(m) && less)
			mount_make_slave_of(k, m); /* what it does stays its own affair */
		else if (m->master)
			mount_make_slave_of(k, m->master);
		if (m == top)
			copy_top = k;
		else
			mount_link_locked(k, m->parent->copy, m->mountpoint);
		mutex_unlock(&mnt_mutex);
	}
	*ret = copy_top;
	return 0;
}

int
mnt_ns_copy(struct mnt_ns *old, struct fs_ctx *fs, struct user_ns *owner, uint32_t counted,
	struct mnt_ns **ret)
{
	bool less = owner != old->user_ns;
	struct mnt_ns *ns;
	struct path root = {NULL, NULL}, cwd = {NULL, NULL};
	int r = ucount_take(owner, counted, UCOUNT_MNT);

	if (r)
		return r;
	ns = mnt_ns_alloc();
	if (!ns) {
		ucount_give(owner, counted, UCOUNT_MNT);
		return -ENOMEM;
	}
	ns->user_ns = user_ns_get(owner);
	ns->counted = counted;
	sleeplock_lock(&mnt_tree_lock);
	r = mount_copy_tree(old->root, old->root->root, true, true, less, &ns->root);
	if (r) {
		sleeplock_unlock(&mnt_tree_lock);
		mnt_ns_free(ns);
		return r;
	}
	if (fs) {
		fs_ctx_root(fs, &root);
		fs_ctx_cwd(fs, &cwd);
		for (int i = 0; i < 2; i++) {
			struct path *p = i ? &cwd : &root, moved = *p;

			if (p->mnt->ns != old || !p->mnt->copy)
				continue;
			moved.mnt = p->mnt->copy;
			(i ? fs_ctx_set_cwd : fs_ctx_set_root)(fs, &moved);
		}
	}
	mount_set_ns(ns->root, ns);
	sleeplock_unlock(&mnt_tree_lock);
	path_put(&root);
	path_put(&cwd);
	mnt_ns_publish(ns);
	*ret = ns;
	return 0;
}

static uint32_t
tree_size(struct mount *top)
{
	uint32_t n = 0;

	for (struct mount *m = top; m; m = mount_next(m, top))
		n++;
	return n;
}

/* Is on a place where something of this kind can be mounted? */
static int
check_place(const struct path *on, struct dentry *what)
{
	if (!on->mnt->ns || (atomic_load(&on->mnt->flags) & MNT_INTERNAL))
		return -EINVAL;
	if (atomic_load(&on->dentry->flags) & DENTRY_DEAD)
		return -ENOENT;
	if (on->dentry != on->mnt->root && !dentry_hashed(on->dentry) &&
		on->dentry->inode->nlink == 0)
		return -ENOENT;
	if (inode_is_dir(on->dentry->inode) != inode_is_dir(what->inode))
		return -ENOTDIR;
	return 0;
}

static int
attach_checked(struct mount *m, const struct path *on)
{
	struct path place = *on;
	uint32_t n = tree_size(m);
	int r;

	path_get(&place);
	mnt_follow_down(&place); /* somebody may have mounted there meanwhile */
	r = check_place(&place, m->root);
	if (!r && place.mnt->ns->nmounts + n > sysctl_get(SYSCTL_MOUNT_MAX))
		r = -ENOSPC;
	if (!r)
		r = mount_attach(m, place.mnt, place.dentry);
	path_put(&place);
	return r;
}

int
mnt_attach_super(const struct path *on, struct super *sb, uint32_t mnt_flags)
{
	struct mount *m;
	int r;

	if (atomic_load(&sb->flags) & SUPER_NOUSER)
		return -EINVAL;
	if (LX_S_ISLNK(inode_mode(sb->root->inode)))
		return -EINVAL;
	m = mount_new(sb, sb->root, mnt_flags);
	if (!m)
		return -ENOMEM;
	sleeplock_lock(&mnt_tree_lock);
	if (on->mnt->sb == sb && on->dentry == on->mnt->root)
		r = -EBUSY;
	else
		r = attach_checked(m, on);
	if (r)
		mount_detach_tree(m);
	sleeplock_unlock(&mnt_tree_lock);
	return r;
}

/* Is something mounted below that whoever set it up meant to stay there? A copy without it would
 * show what it covers. */
static bool
hides_something(const struct path *p)
{
	for (struct mount *m = p->mnt; m; m = mount_next(m, p->mnt))
		if (m->parent == p->mnt && m != p->mnt && (atomic_load(&m->flags) & MNT_LOCKED) &&
			dentry_is_ancestor(p->dentry, m->mountpoint))
			return true;
	return false;
}

bool
mnt_nameless_bindable(const struct path *p)
{
	return (atomic_load(&p->mnt->flags) & MNT_INTERNAL) && p->dentry->inode->ops->bindable;
}

/* tree */
static int
copy_for_bind(const struct path *from, bool recursive, struct mount **ret)
{
	int r;

	if (mnt_nameless_bindable(from)) {
		*ret = mount_new(from->dentry->inode->sb, from->dentry, 0);
		return *ret ? 0 : -ENOMEM;
	}
	if (!from->mnt->ns || (atomic_load(&from->mnt->flags) & MNT_UNBINDABLE) ||
		(!recursive && hides_something(from)))
		return -EINVAL;
	r = mount_copy_tree(from->mnt, from->dentry, recursive, false, false, ret);
	if (!r)
		atomic_fetch_and(&(*ret)->flags, ~MNT_LOCKED);
	return r;
}

int
mnt_bind(const struct path *from, const struct path *on, bool recursive)
{
	struct mount *m;
	int r;

	sleeplock_lock(&mnt_tree_lock);
	r = copy_for_bind(from, recursive, &m);
	if (!r) {
		r = attach_checked(m, on);
		if (r)
			mount_detach_tree(m);
	}
	sleeplock_unlock(&mnt_tree_lock);
	return r;
}

int
mnt_clone(const struct call *c, const struct path *from, bool recursive, struct mount **ret)
{
	int r = -EINVAL;

	sleeplock_lock(&mnt_tree_lock);
	if (from->mnt->ns == c->fs->ns || mnt_nameless_bindable(from))
		r = copy_for_bind(from, recursive, ret);
	sleeplock_unlock(&mnt_tree_lock);
	return r;
}

static bool
mount_below(struct mount *top, struct mount *m)
{
	while (m && m != top)
		m = m->parent;
	return m == top;
}

static bool
has_unbindable(struct mount *top)
{
	for (struct mount *k = top; k; k = mount_next(k, top))
		if (atomic_load(&k->flags) & MNT_UNBINDABLE)
			return true;
	return false;
}

static int
move_attached(struct mount *m, const struct path *on)
{
	struct path old;
	int r = check_place(on, m->root);

	if (r)
		return r;
	mutex_lock(&mnt_mutex);
	mount_unlink_locked(m, &old);
	mutex_unlock(&mnt_mutex);
	r = mount_attach(m, on->mnt, on->dentry);
	if (r) {
		mutex_lock(&mnt_mutex);
		mount_link_locked(m, old.mnt, old.dentry);
		mutex_unlock(&mnt_mutex);
	}
	path_put(&old);
	mnt_ns_changed(m->ns);
	return r;
}

int
mnt_move(const struct path *from, const struct path *on)
{
	struct mount *m = from->mnt;
	bool detached;
	int r = 0;

	sleeplock_lock(&mnt_tree_lock);
	detached = mount_is_detached_top(m);
	if (from->dentry != m->root || !on->mnt->ns || (atomic_load(&m->flags) & MNT_LOCKED))
		r = -EINVAL;
	else if (!detached && (!m->ns || !m->parent || mount_shared(m->parent)))
		r = -EINVAL;
	else if (inode_is_dir(on->dentry->inode) != inode_is_dir(from->dentry->inode))
		r = -EINVAL;
	else if (mount_shared(on->mnt) && has_unbindable(m))
		r = -EINVAL;
	else if (mount_below(m, on->mnt))
		r = -ELOOP;
	if (!r)
		r = detached ? attach_checked(m, on) : move_attached(m, on);
	sleeplock_unlock(&mnt_tree_lock);
	return r;
}

static int
super_set_rdonly(struct super *sb, struct mnt_ns *ns, bool ro)
{
	struct mount *m;
	int r = 0;

	if (!ro) {
		atomic_fetch_and(&sb->flags, ~SUPER_RDONLY);
		return 0;
	}
	mutex_lock(&mnt_mutex);
	list_for_each_entry (m, &ns->mounts, ns_node)
		if (m->sb == sb && atomic_load(&m->writers))
			r = -EBUSY;
	if (!r)
		atomic_fetch_or(&sb->flags, SUPER_RDONLY);
	mutex_unlock(&mnt_mutex);
	return r;
}

/* tree */
static int
reconfigure(const struct call *c, struct super *sb, struct mnt_ns *ns, uint32_t ms_flags,
	const char *options)
{
	struct mount_request rq = {sb->source, options, ms_flags, NULL, NULL};
	int r = 0;

	if (!cred_capable_in(c->cred, sb->user_ns, LX_CAP_SYS_ADMIN))
		return -EPERM;
	if (sb->ops && sb->ops->remount)
		r = sb->ops->remount(sb, c, &rq);
	else if (options && *options)
		r = -EINVAL;
	return r ? r : super_set_rdonly(sb, ns, ms_flags & LX_MS_RDONLY);
}

int
mnt_reconfigure(const struct call *c, struct super *sb, uint32_t ms_flags, const char *options)
{
	int r;

	sleeplock_lock(&mnt_tree_lock);
	r = reconfigure(c, sb, c->fs->ns, ms_flags, options);
	sleeplock_unlock(&mnt_tree_lock);
	return r;
}

int
mnt_remount(const struct path *p, const struct call *c, uint32_t mnt_flags, uint32_t ms_flags,
	const char *options, bool bind_only)
{
	struct mount *m = p->mnt;
	uint32_t old;
	int r = 0;

	if (p->dentry != m->root || !m->ns)
		return -EINVAL;
	sleeplock_lock(&mnt_tree_lock);
	old = atomic_load(&m->flags);
	if (mount_loosened(old, mnt_flags))
		r = -EPERM;
	if (!r && !bind_only)
		r = reconfigure(c, m->sb, m->ns, ms_flags, options);
	if (!r && (mnt_flags & MNT_RDONLY) && !(old & MNT_RDONLY) && atomic_load(&m->writers))
		r = -EBUSY;
	if (!r) {
		atomic_store(&m->flags, (old & ~MNT_FLAGS_USER) | (mnt_flags & MNT_FLAGS_USER));
		mnt_ns_changed(m->ns);
	}
	sleeplock_unlock(&mnt_tree_lock);
	return r;
}

/* Unmount the copies that m's mounting made elsewhere. Collected first: taking a mount out can
 * change the rings that the walk follows. */
static int
umount_propagate(struct mount *m)
{
	struct mount *parent = m->parent, **k = NULL;
	size_t n = 0, cap = 0;

	for (struct mount *p = propagation_next(parent, parent); p;
		p = propagation_next(p, parent)) {
		struct mount *child;

		mutex_lock(&mnt_mutex);
		child = mount_child_locked(p, m->mountpoint);
		mutex_unlock(&mnt_mutex);
		if (!child || child == m || !list_empty(&child->children))
			continue;
		if (n == cap) {
			struct mount **nk =
				realloc(k, (cap = cap ? cap * 2 : 16) * sizeof(struct mount *));

			if (!nk) {
				while (n)
					mount_put(k[--n]);
				free(k);
				return -ENOMEM;
			}
			k = nk;
		}
		k[n++] = mount_get(child);
	}
	for (size_t i = 0; i < n; i++) {
		if (k[i]->ns)
			mount_detach_tree(k[i]);
		mount_put(k[i]);
	}
	free(k);
	return 0;
}

static bool
propagated_busy(struct mount *m)
{
	for (struct mount *p = propagation_next(m->parent, m->parent); p;
		p = propagation_next(p, m->parent)) {
		struct mount *k;

		mutex_lock(&mnt_mutex);
		k = mount_child_locked(p, m->mountpoint);
		mutex_unlock(&mnt_mutex);
		if (k && k != m && list_empty(&k->children) && atomic_load(&k->ref.n) > 1)
			return true;
	}
	return false;
}

/* The tree's reference, and the one in the caller's path. */
#define MOUNT_IDLE_REFS 2

static int
umount_tree_locked(struct mount *m, int flags)
{
	int r;

	if ((flags & LX_MNT_FORCE) && m->sb->ops && m->sb->ops->umount_begin)
		m->sb->ops->umount_begin(m->sb);
	if (m->ns->root == m) {
		if (flags & LX_MNT_DETACH)
			return -EINVAL;
		return super_set_rdonly(m->sb, m->ns, true);
	}
	if (flags & LX_MNT_EXPIRE) {
		if (!list_empty(&m->children) || atomic_load(&m->ref.n) > MOUNT_IDLE_REFS)
			return -EBUSY;
		if (!m->expiry_mark) {
			m->expiry_mark = true;
			return -EAGAIN;
		}
	}
	if (!(flags & LX_MNT_DETACH)) {
		if (!list_empty(&m->children) || atomic_load(&m->ref.n) > MOUNT_IDLE_REFS ||
			propagated_busy(m))
			return -EBUSY;
	}
	r = umount_propagate(m);
	if (!r)
		mount_detach_tree(m);
	return r;
}

int
mnt_umount(const struct path *p, int flags)
{
	struct mount *m = p->mnt;
	int r;

	if (p->dentry != m->root)
		return -EINVAL;
	sleeplock_lock(&mnt_tree_lock);
	if (!m->ns || (atomic_load(&m->flags) & MNT_LOCKED))
		r = -EINVAL;
	else
		r = umount_tree_locked(m, flags);
	sleeplock_unlock(&mnt_tree_lock);
	return r;
}

struct root_move {
	const struct path *from, *to;
};

static void
move_fs_root(struct fs_ctx *fs, void *arg)
{
	const struct root_move *mv = arg;
	struct path root, cwd;

	fs_ctx_root(fs, &root);
	fs_ctx_cwd(fs, &cwd);
	if (path_equal(&root, mv->from))
		fs_ctx_set_root(fs, mv->to);
	if (path_equal(&cwd, mv->from))
		fs_ctx_set_cwd(fs, mv->to);
	path_put(&root);
	path_put(&cwd);
}

bool
mount_path_reachable(const struct path *p, const struct path *top)
{
	struct mount *m = p->mnt;
	struct dentry *d = p->dentry;

	while (m != top->mnt && m->parent) {
		d = m->mountpoint;
		m = m->parent;
	}
	return m == top->mnt && dentry_is_ancestor(top->dentry, d);
}

int
mnt_pivot_root(struct fs_ctx *fs, const struct path *nw, const struct path *old,
	void (*each_fs)(void (*fn)(struct fs_ctx *fs, void *arg), void *arg))
{
	struct path root, from_new, from_root = {NULL, NULL};
	struct mount *rm;
	int r = 0;

	fs_ctx_root(fs, &root);
	rm = root.mnt;
	sleeplock_lock(&mnt_tree_lock);
	if (mount_shared(old->mnt) || (nw->mnt->parent && mount_shared(nw->mnt->parent)) ||
		(rm->parent && mount_shared(rm->parent)) || rm->ns != fs->ns ||
		nw->mnt->ns != fs->ns || old->mnt->ns != fs->ns ||
		(atomic_load(&nw->mnt->flags) & MNT_LOCKED))
		r = -EINVAL;
	else if (atomic_load(&nw->dentry->flags) & DENTRY_DEAD)
		r = -ENOENT;
	else if (nw->mnt == rm || old->mnt == rm)
		r = -EBUSY;
	else if (root.dentry != rm->root || nw->dentry != nw->mnt->root || !nw->mnt->parent)
		r = -EINVAL;
	else if (!mount_path_reachable(old, nw) || !mount_path_reachable(nw, &root))
		r = -EINVAL;
	if (!r) {
		mutex_lock(&mnt_mutex);
		mount_unlink_locked(nw->mnt, &from_new);
		if (rm->parent) {
			mount_unlink_locked(rm, &from_root);
			mount_link_locked(nw->mnt, from_root.mnt, from_root.dentry);
		} else {
			fs->ns->root = nw->mnt; /* the tree's references stay with each mount */
		}
		mount_link_locked(rm, old->mnt, old->dentry);
		mutex_unlock(&mnt_mutex);
		path_put(&from_new);
		path_put(&from_root);
		mnt_ns_changed(fs->ns);
	}
	sleeplock_unlock(&mnt_tree_lock);
	if (!r) {
		struct root_move mv = {&root, nw};

		move_fs_root(fs, &mv);
		if (each_fs)
			each_fs(move_fs_root, &mv);
	}
	path_put(&root);
	return r;
}
