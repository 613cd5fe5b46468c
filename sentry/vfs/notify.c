/* SPDX-License-Identifier: Apache-2.0 */
/* What the vfs tells of files, and whom it asks first: from what happened to who listens. */
#include "internal.h"

#define MAX_LISTENERS 2

_Atomic uint32_t vfs_watches, vfs_askers;
static _Atomic(const struct vfs_notify_ops *) listeners[MAX_LISTENERS];

void
vfs_notify_register(const struct vfs_notify_ops *ops)
{
	for (int i = 0; i < MAX_LISTENERS; i++) {
		const struct vfs_notify_ops *none = NULL;

		if (atomic_compare_exchange_strong(&listeners[i], &none, ops) || none == ops)
			return;
	}
	assert_that(false);
}

#define TELL(op, ...)                                                                              \
	do {                                                                                       \
		for (int i = 0; i < MAX_LISTENERS; i++) {                                          \
			const struct vfs_notify_ops *o = atomic_load(&listeners[i]);               \
                                                                                                   \
			if (o && o->op)                                                            \
				o->op(__VA_ARGS__);                                                \
		}                                                                                  \
	} while (0)

void
vfs_notify_send(const struct vfs_notify_event *ev)
{
	TELL(event, ev);
}

void
vfs_notify_file(struct file *f, uint32_t mask)
{
	struct vfs_notify_event ev = {
		.inode = f->inode, .dentry = f->path.dentry, .mnt = f->path.mnt, .mask = mask};

	if (!vfs_watched() || (f->mode & LX_FMODE_NONOTIFY))
		return;
	if (inode_is_dir(f->inode))
		ev.mask |= LX_IN_ISDIR;
	vfs_notify_send(&ev);
}

void
vfs_notify(struct dentry *d, uint32_t mask)
{
	struct vfs_notify_event ev = {.inode = d->inode, .dentry = d, .mask = mask};

	if (!vfs_watched() || !d->inode)
		return;
	if (inode_is_dir(d->inode))
		ev.mask |= LX_IN_ISDIR;
	vfs_notify_send(&ev);
}

void
vfs_notify_inode(struct inode *i, uint32_t mask)
{
	struct vfs_notify_event ev = {.inode = i, .mask = mask};

	if (!vfs_watched())
		return;
	if (inode_is_dir(i))
		ev.mask |= LX_IN_ISDIR;
	vfs_notify_send(&ev);
}

void
vfs_notify_entry(struct inode *dir, struct inode *child, uint32_t mask, uint32_t cookie,
	const struct name *n)
{
	struct vfs_notify_event ev = {.inode = dir,
		.child = child,
		.mask = mask,
		.cookie = cookie,
		.name = n->s,
		.name_len = n->len};

	if (vfs_watched())
		vfs_notify_send(&ev);
}

void
vfs_notify_unlinked(struct dentry *d)
{
	if (vfs_watched())
		TELL(unlinked, d);
}

void
vfs_notify_super_gone(struct super *sb)
{
	if (vfs_watched())
		TELL(super_gone, sb);
}

void
vfs_notify_mount_gone(struct mount *m)
{
	if (vfs_watched())
		TELL(mount_gone, m);
}

int
vfs_notify_ask_slow(struct file *f, uint32_t mask)
{
	int r = 0;

	if (f->mode & LX_FMODE_NONOTIFY)
		return 0;
	for (int i = 0; i < MAX_LISTENERS && !r; i++) {
		const struct vfs_notify_ops *o = atomic_load(&listeners[i]);

		if (o && o->ask)
			r = o->ask(&f->path, mask);
	}
	return r;
}
