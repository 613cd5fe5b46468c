/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a path: getcwd(2), /proc/PID/maps, readlink of magic links (Linux: fs/d_path.c). */
#include "mount_internal.h"
#include <string.h>

#define UNREACHABLE "(unreachable)"

struct back {
	char *start, *p;
	bool over;
};

static void
prepend(struct back *b, const char *s, size_t len)
{
	if ((size_t)(b->p - b->start) < len) {
		b->over = true;
		return;
	}
	b->p -= len;
	memcpy(b->p, s, len);
}

/* mnt_mutex is held: names and parents stand still. */
static bool
climb_locked(struct back *b, struct mount *m, struct dentry *d, const struct path *root)
{
	while (!(root && m == root->mnt && d == root->dentry)) {
		if (d == m->root) {
			if (!m->parent)
				return !root && !(atomic_load(&m->flags) & MNT_DETACHED);
			d = m->mountpoint;
			m = m->parent;
			continue;
		}
		if (d->parent == d)
			return false;
		prepend(b, d->name, d->len);
		prepend(b, "/", 1);
		d = d->parent;
	}
	return true;
}

static bool
is_deleted_locked(const struct path *p)
{
	return p->dentry != p->mnt->root && p->dentry->parent != p->dentry &&
	       !dentry_hashed(p->dentry) &&
	       (!p->dentry->inode || inode_load(p->dentry->inode->nlink) == 0 ||
		       (atomic_load(&p->dentry->flags) & (DENTRY_DEAD | DENTRY_UNLINKED)));
}

char *
vfs_d_path(const struct path *p, const struct path *root, char *buf, size_t cap, int *err)
{
	struct back b = {buf, buf + cap, false};
	bool reached;
	char *end;

	*err = 0;
	prepend(&b, "", 1);
	/* nameless files say what they are */
	if (atomic_load(&p->mnt->flags) & MNT_INTERNAL) {
		bool named = p->dentry->name[0] == '/' && !inode_load(p->dentry->inode->nlink);

		if (named)
			prepend(&b, " (deleted)", 10);
		prepend(&b, p->dentry->name, p->dentry->len);
		*err = b.over ? -ENAMETOOLONG : 0;
		return b.over ? NULL : b.p;
	}
	mutex_lock(&mnt_mutex);
	if (is_deleted_locked(p))
		prepend(&b, " (deleted)", 10);
	end = b.p;
	reached = climb_locked(&b, p->mnt, p->dentry, root);
	mutex_unlock(&mnt_mutex);
	if (b.p == end)
		prepend(&b, "/", 1);
	if (!reached && root)
		prepend(&b, UNREACHABLE, sizeof UNREACHABLE - 1);
	if (b.over) {
		*err = -ENAMETOOLONG;
		return NULL;
	}
	return b.p;
}

char *
vfs_d_path_plain(const struct path *p, const struct path *root, char *buf, size_t cap, int *err)
{
	char *s = vfs_d_path(p, root, buf, cap, err);

	return s && strncmp(s, UNREACHABLE, sizeof UNREACHABLE - 1) == 0
		       ? s + sizeof UNREACHABLE - 1
		       : s;
}

char *
vfs_dentry_path(struct dentry *d, char *buf, size_t cap)
{
	struct back b = {buf, buf + cap, false};
	char *end;

	prepend(&b, "", 1);
	end = b.p;
	mutex_lock(&mnt_mutex);
	for (; d->parent != d; d = d->parent) {
		prepend(&b, d->name, d->len);
		prepend(&b, "/", 1);
	}
	mutex_unlock(&mnt_mutex);
	if (b.p == end)
		prepend(&b, "/", 1);
	return b.over ? NULL : b.p;
}
