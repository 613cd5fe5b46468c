/* SPDX-License-Identifier: Apache-2.0 */
/* mount(2) as a whole (Linux: path_mount), and the texts of /proc/PID/mounts and mountinfo. */
#include "abi/mount.h"
#include "mount_internal.h"
#include "sentry/cred/user_ns.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t
flags_of_ms(uint64_t ms)
{
	uint32_t f = 0;

	/* relatime unless something else is asked for */
	if (!(ms & LX_MS_NOATIME))
		f |= MNT_RELATIME;
	f |= (uint32_t)ms & (LX_MS_NOSUID | LX_MS_NODEV | LX_MS_NOEXEC | LX_MS_NOATIME |
				    LX_MS_NODIRATIME | LX_MS_RDONLY | LX_MS_NOSYMFOLLOW);
	if (ms & LX_MS_STRICTATIME)
		f &= ~(MNT_RELATIME | MNT_NOATIME);
	return f;
}

/* A fresh proc or sysfs shows what somebody may have covered in the one that is there, and can be
 * written where that one may be for reading only: it has to be there, whole, and to allow as much
 * (Linux: mount_too_revealing). */
bool
mnt_reveals(const struct call *c, const struct fs_type *t, uint32_t *mnt_flags)
{
	const uint32_t locked_ro = MNT_LOCK_FLAGS | MNT_RDONLY;
	struct mount *m, *k;
	uint32_t keep = MNT_LOCK_FLAGS;
	bool whole = false;

	if (!c->cred->user_ns)
		return false;
	if (strcmp(t->name, "proc") != 0 && strcmp(t->name, "sysfs") != 0)
		return false;
	sleeplock_lock(&mnt_tree_lock);
	list_for_each_entry (m, &c->fs->ns->mounts, ns_node) {
		bool covered = false;

		if (m->sb->type != t || m->root != m->sb->root)
			continue;
		if ((atomic_load(&m->flags) & locked_ro) == locked_ro && !(*mnt_flags & MNT_RDONLY))
			continue;
		list_for_each_entry (k, &c->fs->ns->mounts, ns_node)
			covered |= k->parent == m && (atomic_load(&k->flags) & MNT_LOCKED);
		if (covered)
			continue;
		whole = true;
		/* what it may not, the new one may not either */
		if ((atomic_load(&m->flags) & locked_ro) != locked_ro)
			keep = 0;
	}
	sleeplock_unlock(&mnt_tree_lock);
	*mnt_flags |= keep;
	return !whole;
}

int
mnt_new_super(
	const struct call *c, const char *type, const struct mount_request *rq, struct super **ret)
{
	struct mount_request named = *rq;
	struct fs_type *t = fs_type_named(type, &named.subtype);
	int r;

	if (!t || (t->flags & FS_TYPE_INTERNAL))
		return -ENODEV;
	if (named.subtype && !*named.subtype)
		return -EINVAL;
	if (!(t->flags & FS_TYPE_USERNS_MOUNT) ||
		(c->cred->user_ns && !(t->flags & FS_TYPE_OWN_NS)))
		return -EPERM;
	r = fs_mount(t->name, c, &named, ret);
	if (!r && !(t->flags & FS_TYPE_ONE_SUPER))
		(*ret)->user_ns = user_ns_get(c->cred->user_ns);
	return r;
}

static int
new_mount(const struct call *c, const struct path *on, const char *source, const char *type,
	uint32_t sb_flags, uint32_t mnt_flags, const char *options)
{
	struct mount_request rq = {source, options, sb_flags, NULL, NULL};
	struct super *sb;
	int r;

	if (!type)
		return -EINVAL;
	r = mnt_new_super(c, type, &rq, &sb);
	if (r)
		return r;
	r = mnt_reveals(c, sb->type, &mnt_flags) ? -EPERM : mnt_attach_super(on, sb, mnt_flags);
	super_put(sb);
	return r;
}

static int
bind_mount(
	const struct call *c, const struct path *on, const char *source, bool recursive, bool move)
{
	struct path from;
	int r;

	if (!source || !*source)
		return -EINVAL;
	r = vfs_lookup(c, NULL, source, LOOKUP_FOLLOW, &from);
	if (r)
		return r;
	if (!mount_in_ns(from.mnt, c->fs->ns) && (move || !mnt_nameless_bindable(&from)))
		r = -EINVAL;
	else
		r = move ? mnt_move(&from, on) : mnt_bind(&from, on, recursive);
	path_put(&from);
	return r;
}

static int
mount_on(const struct call *c, const struct path *on, const char *source, const char *type,
	uint64_t ms, const char *options)
{
	const uint32_t prop = LX_MS_SHARED | LX_MS_PRIVATE | LX_MS_SLAVE | LX_MS_UNBINDABLE;
	uint32_t mf = flags_of_ms(ms);
	uint32_t sf = (uint32_t)ms &
		      (LX_MS_RDONLY | LX_MS_SYNCHRONOUS | LX_MS_MANDLOCK | LX_MS_DIRSYNC |
			      LX_MS_SILENT | LX_MS_LAZYTIME | LX_MS_I_VERSION | LX_MS_POSIXACL);

	if (!mount_in_ns(on->mnt, c->fs->ns))
		return -EINVAL;
	/* a remount that names no kind of atime keeps the one in force */
	if ((ms & LX_MS_REMOUNT) &&
		!(ms & (LX_MS_NOATIME | LX_MS_NODIRATIME | LX_MS_RELATIME | LX_MS_STRICTATIME)))
		mf = (mf & ~(MNT_NOATIME | MNT_NODIRATIME | MNT_RELATIME)) |
		     (atomic_load(&on->mnt->flags) & (MNT_NOATIME | MNT_NODIRATIME | MNT_RELATIME));
	if ((ms & (LX_MS_REMOUNT | LX_MS_BIND)) == (LX_MS_REMOUNT | LX_MS_BIND))
		return mnt_remount(on, c, mf, (uint32_t)ms, options, true);
	if (ms & LX_MS_REMOUNT)
		return mnt_remount(on, c, mf, sf, options, false);
	if (ms & LX_MS_BIND)
		return bind_mount(c, on, source, ms & LX_MS_REC, false);
	if (ms & prop) {
		uint32_t how = (uint32_t)ms & prop;

		if ((ms & ~(uint64_t)(prop | LX_MS_REC | LX_MS_SILENT)) || (how & (how - 1)))
			return -EINVAL;
		return mnt_set_propagation(on, how, ms & LX_MS_REC);
	}
	if (ms & LX_MS_MOVE)
		return bind_mount(c, on, source, false, true);
	return new_mount(c, on, source, type, sf, mf, options);
}

int
vfs_mount(const struct call *c, const char *source, const char *target, const char *type,
	uint64_t ms, const char *options)
{
	struct path on;
	int r;

	if ((ms & LX_MS_MGC_MSK) == LX_MS_MGC_VAL)
		ms &= ~(uint64_t)LX_MS_MGC_MSK;
	r = vfs_lookup(c, NULL, target, LOOKUP_FOLLOW, &on);
	if (r)
		return r;
	if (!mnt_may_mount(c))
		r = -EPERM;
	else
		r = mount_on(c, &on, source, type, ms, options);
	path_put(&on);
	return r;
}

/* --- texts --- */

static void
put_escaped(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (strchr(" \t\n\\", *s) || *s == '#')
			fprintf(f, "\\%03o", (unsigned char)*s);
		else
			fputc(*s, f);
	}
}

static void
put_type(FILE *f, struct super *sb)
{
	put_escaped(f, sb->type->name);
	if (sb->subtype) {
		fputc('.', f);
		put_escaped(f, sb->subtype);
	}
}

static void
put_mnt_flags(FILE *f, uint32_t fl)
{
	static const struct {
		uint32_t flag;
		const char *text;
	} names[] = {
		{MNT_NOSUID, ",nosuid"},
		{MNT_NODEV, ",nodev"},
		{MNT_NOEXEC, ",noexec"},
		{MNT_NOATIME, ",noatime"},
		{MNT_NODIRATIME, ",nodiratime"},
		{MNT_RELATIME, ",relatime"},
		{MNT_NOSYMFOLLOW, ",nosymfollow"},
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (fl & names[i].flag)
			fputs(names[i].text, f);
}

void
mnt_super_options(struct super *sb, char *buf, size_t cap)
{
	buf[0] = 0;
	if (sb->ops && sb->ops->show_options)
		sb->ops->show_options(sb, buf, cap);
}

static void
put_options(FILE *f, struct super *sb)
{
	char opts[LX_PATH_MAX];

	mnt_super_options(sb, opts, sizeof opts);
	fputs(opts, f);
}

static void
put_super_flags(FILE *f, struct super *sb)
{
	fputs(atomic_load(&sb->flags) & SUPER_RDONLY ? "ro" : "rw", f);
	if (atomic_load(&sb->flags) & SUPER_SYNCHRONOUS)
		fputs(",sync", f);
	put_options(f, sb);
}

static void
show_one(FILE *f, struct mount *m, const char *where, const char *root, uint64_t parent_id,
	uint32_t master, enum mnt_show how)
{
	struct super *sb = m->sb;
	uint32_t fl = atomic_load(&m->flags);
	const char *source = sb->source && *sb->source ? sb->source : "none";
	bool ro = (fl & MNT_RDONLY) || (atomic_load(&sb->flags) & SUPER_RDONLY);

	switch (how) {
	case MNT_SHOW_MOUNTS:
		put_escaped(f, source);
		fputc(' ', f);
		put_escaped(f, where);
		fputc(' ', f);
		put_type(f, sb);
		fputs(ro ? " ro" : " rw", f);
		if (atomic_load(&sb->flags) & SUPER_SYNCHRONOUS)
			fputs(",sync", f);
		put_mnt_flags(f, fl);
		put_options(f, sb);
		fputs(" 0 0\n", f);
		break;
	case MNT_SHOW_MOUNTINFO:
		fprintf(f, "%lu %lu %u:%u ", (unsigned long)m->id, (unsigned long)parent_id,
			LX_MAJOR(sb->dev), LX_MINOR(sb->dev));
		put_escaped(f, root);
		fputc(' ', f);
		put_escaped(f, where);
		fputs(fl & MNT_RDONLY ? " ro" : " rw", f);
		put_mnt_flags(f, fl);
		if (m->peer_group)
			fprintf(f, " shared:%u", m->peer_group);
		if (master)
			fprintf(f, " master:%u", master);
		if (fl & MNT_UNBINDABLE)
			fputs(" unbindable", f);
		fputs(" - ", f);
		put_type(f, sb);
		fputc(' ', f);
		put_escaped(f, source);
		fputc(' ', f);
		put_super_flags(f, sb);
		fputc('\n', f);
		break;
	case MNT_SHOW_MOUNTSTATS:
		fputs(sb->source && *sb->source ? "device " : "no device", f);
		if (sb->source && *sb->source)
			put_escaped(f, source);
		fputs(" mounted on ", f);
		put_escaped(f, where);
		fputs(" with fstype ", f);
		put_type(f, sb);
		fputc('\n', f);
		break;
	}
}

char *
mnt_ns_show(struct mnt_ns *ns, const struct path *root, enum mnt_show how, size_t *len)
{
	char *out = NULL, *where = malloc(2 * LX_PATH_MAX),
	     *in_fs = where ? where + LX_PATH_MAX : NULL;
	FILE *f = where ? open_memstream(&out, len) : NULL;
	struct mount *m;

	if (!f) {
		free(where);
		return NULL;
	}
	sleeplock_lock(&mnt_tree_lock);
	list_for_each_entry (m, &ns->mounts, ns_node) {
		struct path at = {m, m->root};
		uint64_t parent_id = m->parent ? m->parent->id : m->id;
		uint32_t master = m->master ? m->master->peer_group : 0;
		char *w, *r;
		int err;

		w = vfs_d_path(&at, root, where, LX_PATH_MAX, &err);
		if (!w || *w != '/')
			continue; /* not to be seen from this root */
		r = m->root->inode->ops->bindable ? m->root->name
						  : vfs_dentry_path(m->root, in_fs, LX_PATH_MAX);
		show_one(f, m, w, r ? r : "/", parent_id, master, how);
	}
	sleeplock_unlock(&mnt_tree_lock);
	fclose(f);
	free(where);
	return out;
}

void
mnt_ns_sync(struct mnt_ns *ns, const struct call *c)
{
	struct mount *m;

	sleeplock_lock(&mnt_tree_lock);
	list_for_each_entry (m, &ns->mounts, ns_node)
		if (m->sb->ops && m->sb->ops->sync)
			m->sb->ops->sync(m->sb, c);
	sleeplock_unlock(&mnt_tree_lock);
}
