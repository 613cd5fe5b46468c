/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts as objects: their life, crossing them in a walk, namespaces, and the fs context of tasks.
 * Changes of the tree are in mount_tree.c, propagation in mount_propagate.c. Linux counterpart:
 * fs/namespace.c.
 */
#include "mount_internal.h"
#include "sentry/cred/ucount.h"
#include "sentry/cred/user_ns.h"
#include <stdlib.h>
#include <string.h>

#define MNT_BUCKETS 512

struct mutex mnt_mutex = MUTEX_INIT(MOUNT);
struct sleeplock mnt_tree_lock;

static struct list mnt_hash[MNT_BUCKETS];
static _Atomic uint64_t next_mnt_id = 20;
static _Atomic uint64_t next_ns_id = 0xf0000001;
static struct list all_ns = LIST_INIT(all_ns); /* mnt_mutex */

int
vfs_init(void)
{
	sleeplock_init(&mnt_tree_lock);
	for (int i = 0; i < MNT_BUCKETS; i++)
		list_init(&mnt_hash[i]);
	return vfs_anon_init();
}

void
path_get(const struct path *p)
{
	mount_get(p->mnt);
	dentry_get(p->dentry);
}

void
path_put(const struct path *p)
{
	dentry_put(p->dentry);
	mount_put(p->mnt);
}

struct mount *
mount_new(struct super *sb, struct dentry *root, uint32_t flags)
{
	struct mount *m = calloc(1, sizeof *m);

	if (!m)
		return NULL;
	ref_init(&m->ref);
	m->flags = flags;
	m->sb = super_get(sb);
	m->root = dentry_get(root);
	list_init(&m->hash_node);
	list_init(&m->children);
	list_init(&m->child_node);
	list_init(&m->ns_node);
	list_init(&m->peers);
	list_init(&m->slaves);
	list_init(&m->slave_node);
	m->id = atomic_fetch_add(&next_mnt_id, 1);
	LIVE_INC(MOUNT);
	return m;
}

struct mount *
mnt_private(struct super *sb)
{
	return mount_new(sb, sb->root, MNT_NODEV | MNT_NOEXEC | MNT_NOSUID);
}

struct mount *
mount_get(struct mount *m)
{
	ref_get(&m->ref);
	return m;
}

void
mount_put(struct mount *m)
{
	if (!m || !ref_put(&m->ref))
		return;
	assert_that(!m->parent && list_empty(&m->children));
	vfs_notify_mount_gone(m);
	dentry_put(m->root);
	super_put(m->sb);
	LIVE_DEC(MOUNT);
	free(m);
}

static struct list *
bucket(const struct mount *parent, const struct dentry *d)
{
	uint64_t h = ((uintptr_t)parent >> 4) * 0x9e3779b97f4a7c15ULL ^
		     ((uintptr_t)d >> 4) * 0xc2b2ae3d27d4eb4fULL;

	return &mnt_hash[(h >> 32) % MNT_BUCKETS];
}

struct mount *
mount_child_locked(struct mount *parent, struct dentry *d)
{
	struct mount *m;

	list_for_each_entry (m, bucket(parent, d), hash_node)
		if (m->parent == parent && m->mountpoint == d)
			return m;
	return NULL;
}

void
mount_link_locked(struct mount *m, struct mount *parent, struct dentry *d)
{
	m->parent = mount_get(parent);
	m->mountpoint = dentry_get(d);
	atomic_fetch_or(&d->flags, DENTRY_MOUNTED);
	/* in front: what was mounted last on a place is found first */
	list_push_front(bucket(parent, d), &m->hash_node);
	list_push_back(&parent->children, &m->child_node);
}

static bool
any_on_locked(struct dentry *d)
{
	for (int i = 0; i < MNT_BUCKETS; i++) {
		struct mount *m;

		list_for_each_entry (m, &mnt_hash[i], hash_node)
			if (m->mountpoint == d)
				return true;
	}
	return false;
}

void
mount_unlink_locked(struct mount *m, struct path *old)
{
	old->mnt = m->parent;
	old->dentry = m->mountpoint;
	m->parent = NULL;
	m->mountpoint = NULL;
	list_del(&m->hash_node);
	list_del(&m->child_node);
	if (old->dentry && !any_on_locked(old->dentry))
		atomic_fetch_and(&old->dentry->flags, ~DENTRY_MOUNTED);
}

bool
mnt_is_mountpoint(const struct call *c, struct dentry *d)
{
	struct mnt_ns *ns = c->fs ? c->fs->ns : NULL;
	bool yes = false;

	if (!(atomic_load(&d->flags) & DENTRY_MOUNTED))
		return false;
	mutex_lock(&mnt_mutex);
	for (int i = 0; i < MNT_BUCKETS && !yes; i++) {
		struct mount *m;

		list_for_each_entry (m, &mnt_hash[i], hash_node)
			if (m->mountpoint == d && m->ns == ns)
				yes = true;
	}
	mutex_unlock(&mnt_mutex);
	return yes;
}

void
mnt_detach_on(struct dentry *d)
{
	while (atomic_load(&d->flags) & DENTRY_MOUNTED) {
		struct mount *m, *found = NULL;

		sleeplock_lock(&mnt_tree_lock);
		mutex_lock(&mnt_mutex);
		for (int i = 0; i < MNT_BUCKETS && !found; i++)
			list_for_each_entry (m, &mnt_hash[i], hash_node)
				if (m->mountpoint == d)
					found = m;
		mutex_unlock(&mnt_mutex);
		if (found)
			mount_detach_tree(found);
		sleeplock_unlock(&mnt_tree_lock);
		if (!found)
			break;
	}
}

bool
mnt_follow_up(struct path *p)
{
	struct path up;

	mutex_lock(&mnt_mutex);
	up.mnt = p->mnt->parent;
	up.dentry = p->mnt->mountpoint;
	if (up.mnt)
		path_get(&up);
	mutex_unlock(&mnt_mutex);
	if (!up.mnt)
		return false;
	path_put(p);
	*p = up;
	return true;
}

void
mnt_follow_down(struct path *p)
{
	while (atomic_load_explicit(&p->dentry->flags, memory_order_relaxed) & DENTRY_MOUNTED) {
		struct path down = {NULL, NULL};

		mutex_lock(&mnt_mutex);
		down.mnt = mount_child_locked(p->mnt, p->dentry);
		if (down.mnt) {
			down.dentry = down.mnt->root;
			path_get(&down);
		}
		mutex_unlock(&mnt_mutex);
		if (!down.mnt)
			return;
		path_put(p);
		*p = down;
	}
}

/* --- namespaces --- */

struct mnt_ns *
mnt_ns_alloc(void)
{
	struct mnt_ns *ns = calloc(1, sizeof *ns);

	if (!ns)
		return NULL;
	ref_init(&ns->ref);
	list_init(&ns->mounts);
	waitq_init(&ns->pollq);
	ns->id = atomic_fetch_add(&next_ns_id, 1);
	ns->counted = UCOUNT_NOBODY;
	list_init(&ns->all_node);
	return ns;
}

void
mnt_ns_publish(struct mnt_ns *ns)
{
	mutex_lock(&mnt_mutex);
	list_push_back(&all_ns, &ns->all_node);
	mutex_unlock(&mnt_mutex);
}

void
mnt_ns_free(struct mnt_ns *ns)
{
	mutex_lock(&mnt_mutex);
	list_del(&ns->all_node);
	mutex_unlock(&mnt_mutex);
	waitq_destroy(&ns->pollq);
	ucount_give(ns->user_ns, ns->counted, UCOUNT_MNT);
	user_ns_put(ns->user_ns);
	free(ns);
}

struct mnt_ns *
mnt_ns_find(uint64_t id)
{
	struct mnt_ns *ns, *found = NULL;

	mutex_lock(&mnt_mutex);
	list_for_each_entry (ns, &all_ns, all_node)
		if (ns->id == id && ref_get_unless_zero(&ns->ref))
			found = ns;
	mutex_unlock(&mnt_mutex);
	return found;
}

void
mnt_ns_changed(struct mnt_ns *ns)
{
	if (!ns)
		return;
	atomic_fetch_add(&ns->events, 1);
	waitq_notify(&ns->pollq,
		0x0002u | 0x0008u); /* POLLPRI | POLLERR, as poll of /proc/mounts has it */
}

int
mnt_ns_new(struct super *sb, uint32_t mnt_flags, struct mnt_ns **ret)
{
	struct mnt_ns *ns = mnt_ns_alloc();
	struct mount *m;

	if (!ns)
		return -ENOMEM;
	m = mount_new(sb, sb->root, mnt_flags);
	if (!m) {
		mnt_ns_free(ns);
		return -ENOMEM;
	}
	m->ns = ns;
	ns->root = m;
	ns->nmounts = 1;
	list_push_back(&ns->mounts, &m->ns_node);
	mnt_ns_publish(ns);
	*ret = ns;
	return 0;
}

struct mnt_ns *
mnt_ns_get(struct mnt_ns *ns)
{
	ref_get(&ns->ref);
	return ns;
}

void
mnt_ns_put(struct mnt_ns *ns)
{
	if (!ns || !ref_put(&ns->ref))
		return;
	sleeplock_lock(&mnt_tree_lock);
	mount_detach_tree(ns->root);
	sleeplock_unlock(&mnt_tree_lock);
	mnt_ns_free(ns);
}

bool
mount_in_ns(const struct mount *m, const struct mnt_ns *ns)
{
	bool r;

	mutex_lock(&mnt_mutex);
	r = m->ns == ns;
	mutex_unlock(&mnt_mutex);
	return r;
}

bool
mnt_may_mount(const struct call *c)
{
	return cred_capable_in(c->cred, c->fs ? c->fs->ns->user_ns : NULL, LX_CAP_SYS_ADMIN);
}

void
mnt_ns_root(struct mnt_ns *ns, struct path *ret)
{
	mutex_lock(&mnt_mutex);
	ret->mnt = mount_get(ns->root);
	ret->dentry = dentry_get(ns->root->root);
	mutex_unlock(&mnt_mutex);
	mnt_follow_down(ret);
}

/* --- the fs context --- */

struct fs_ctx *
fs_ctx_new(struct mnt_ns *ns)
{
	struct fs_ctx *fs = calloc(1, sizeof *fs);

	if (!fs)
		return NULL;
	ref_init(&fs->ref);
	fs->users = 1;
	mutex_init(&fs->lock, LR_FSCTX);
	fs->umask = 022;
	fs->ns = mnt_ns_get(ns);
	mnt_ns_root(ns, &fs->root);
	fs->cwd = fs->root;
	path_get(&fs->cwd);
	LIVE_INC(FSCTX);
	return fs;
}

struct fs_ctx *
fs_ctx_dup(struct fs_ctx *old)
{
	struct fs_ctx *fs = calloc(1, sizeof *fs);

	if (!fs)
		return NULL;
	ref_init(&fs->ref);
	fs->users = 1;
	mutex_init(&fs->lock, LR_FSCTX);
	fs->umask = atomic_load(&old->umask);
	mutex_lock(&old->lock);
	fs->root = old->root;
	fs->cwd = old->cwd;
	fs->ns = mnt_ns_get(old->ns);
	path_get(&fs->root);
	path_get(&fs->cwd);
	mutex_unlock(&old->lock);
	LIVE_INC(FSCTX);
	return fs;
}

struct fs_ctx *
fs_ctx_get(struct fs_ctx *fs)
{
	atomic_fetch_add(&fs->users, 1);
	return fs_ctx_peek(fs);
}

void
fs_ctx_put(struct fs_ctx *fs)
{
	if (fs)
		atomic_fetch_sub(&fs->users, 1);
	fs_ctx_unpeek(fs);
}

struct fs_ctx *
fs_ctx_peek(struct fs_ctx *fs)
{
	ref_get(&fs->ref);
	return fs;
}

void
fs_ctx_unpeek(struct fs_ctx *fs)
{
	if (!fs || !ref_put(&fs->ref))
		return;
	path_put(&fs->root);
	path_put(&fs->cwd);
	mnt_ns_put(fs->ns);
	mutex_destroy(&fs->lock);
	LIVE_DEC(FSCTX);
	free(fs);
}

bool
fs_ctx_shared(const struct fs_ctx *fs)
{
	return atomic_load(&fs->users) > 1;
}

struct mnt_ns *
fs_ctx_ns(struct fs_ctx *fs)
{
	struct mnt_ns *ns;

	mutex_lock(&fs->lock);
	ns = mnt_ns_get(fs->ns);
	mutex_unlock(&fs->lock);
	return ns;
}

void
fs_ctx_set_ns(struct fs_ctx *fs, struct mnt_ns *ns)
{
	struct mnt_ns *old;

	mnt_ns_get(ns);
	mutex_lock(&fs->lock);
	old = fs->ns;
	fs->ns = ns;
	mutex_unlock(&fs->lock);
	mnt_ns_put(old);
}

static void
ctx_read(struct fs_ctx *fs, const struct path *which, struct path *ret)
{
	mutex_lock(&fs->lock);
	*ret = *which;
	path_get(ret);
	mutex_unlock(&fs->lock);
}

static void
ctx_write(struct fs_ctx *fs, struct path *which, const struct path *p)
{
	struct path old;

	path_get(p);
	mutex_lock(&fs->lock);
	old = *which;
	*which = *p;
	mutex_unlock(&fs->lock);
	path_put(&old);
}

void
fs_ctx_root(struct fs_ctx *fs, struct path *ret)
{
	ctx_read(fs, &fs->root, ret);
}

void
fs_ctx_cwd(struct fs_ctx *fs, struct path *ret)
{
	ctx_read(fs, &fs->cwd, ret);
}

void
fs_ctx_set_root(struct fs_ctx *fs, const struct path *p)
{
	ctx_write(fs, &fs->root, p);
}

void
fs_ctx_set_cwd(struct fs_ctx *fs, const struct path *p)
{
	ctx_write(fs, &fs->cwd, p);
}
