/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fanotify: marks, and which groups an event is for (Linux: fs/notify/fsnotify.c, and
 * fanotify_handle_event in fs/notify/fanotify/fanotify.c).
 *
 * The mark of an inode holds it, and the dentry by which it was found as long as that name is
 * there, as inotify's watches do. Those of mounts and file systems hold nothing, and go with them.
 */
#include "fanotify_priv.h"
#include "sentry/sysctl/sysctl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024

/* How a mark came to be met: bits of fan_group.how. */
enum { BY_INODE, BY_INODE2, BY_PARENT, BY_MOUNT, BY_SUPER };

static struct list marks[BUCKETS];
static uint64_t rounds;

static struct list *
bucket(const void *object)
{
	uint64_t h = ((uintptr_t)object >> 4) * 0x9e3779b97f4a7c15ULL;
	struct list *b = &marks[(h >> 40) % BUCKETS];

	if (!b->next)
		list_init(b);
	return b;
}

static void
drop(struct fan_mark *m)
{
	while (m) {
		struct fan_mark *next = m->next;

		dentry_put(m->dentry);
		inode_put(m->inode);
		free(m);
		m = next;
	}
}

static void
unlink_locked(struct fan_mark *m, struct fan_mark **dropped)
{
	list_del(&m->node);
	list_del(&m->hash_node);
	m->group->nmarks--;
	m->group->user->marks--;
	atomic_fetch_sub(&vfs_watches, 1);
	if (m->mask & FAN_PERM_EVENTS)
		atomic_fetch_sub(&vfs_askers, 1);
	m->next = *dropped;
	*dropped = m;
}

static void
set_mask_locked(struct fan_mark *m, uint32_t mask)
{
	bool asked = m->mask & FAN_PERM_EVENTS, asks = mask & FAN_PERM_EVENTS;

	if (asks && !asked)
		atomic_fetch_add(&vfs_askers, 1);
	else if (asked && !asks)
		atomic_fetch_sub(&vfs_askers, 1);
	m->mask = mask;
}

void
fan_marks_flush(struct fan_group *g, int kind)
{
	struct fan_mark *m, *tmp, *dropped = NULL;

	mutex_lock(&fan_lock);
	list_for_each_entry_safe (m, tmp, &g->marks, node)
		if (kind < 0 || (int)m->kind == kind)
			unlink_locked(m, &dropped);
	mutex_unlock(&fan_lock);
	drop(dropped);
}

/* --- the call --- */

static enum fan_kind
kind_of(uint32_t flags)
{
	return flags & LX_FAN_MARK_MOUNT	? FAN_MOUNT
	       : flags & LX_FAN_MARK_FILESYSTEM ? FAN_SUPER
						: FAN_INODE;
}

static const void *
object_of(const struct path *p, enum fan_kind kind)
{
	return kind == FAN_MOUNT   ? (void *)p->mnt
	       : kind == FAN_SUPER ? (void *)p->mnt->sb
				   : (void *)p->dentry->inode;
}

static struct fan_mark *
find_locked(struct fan_group *g, const void *object)
{
	struct fan_mark *m;

	list_for_each_entry (m, bucket(object), hash_node)
		if (m->object == object && m->group == g)
			return m;
	return NULL;
}

#define IGNORE_BITS (LX_FAN_MARK_IGNORED_MASK | LX_FAN_MARK_IGNORE)

/* What Linux does not let somebody take back. */
static bool
may_update(const struct fan_mark *m, uint32_t flags)
{
	if ((flags & LX_FAN_MARK_EVICTABLE) && !(m->flags & LX_FAN_MARK_EVICTABLE))
		return false;
	if ((flags & LX_FAN_MARK_IGNORED_MASK) && (m->flags & LX_FAN_MARK_IGNORE))
		return false;
	return !(flags & LX_FAN_MARK_IGNORE) || (flags & LX_FAN_MARK_IGNORED_SURV_MODIFY) ||
	       !(m->flags & LX_FAN_MARK_IGNORED_SURV_MODIFY);
}

static int
new_mark_locked(struct fan_group *g, const struct path *p, enum fan_kind kind, uint32_t flags,
	struct fan_mark *m)
{
	uint32_t limit = g->flags & LX_FAN_UNLIMITED_MARKS
				 ? FAN_MOST_MARKS
				 : (uint32_t)sysctl_get(SYSCTL_FANOTIFY_MAX_USER_MARKS);

	if (g->user->marks >= limit)
		return -ENOSPC;
	m->group = g;
	m->kind = kind;
	m->object = object_of(p, kind);
	m->dev = p->dentry->sb->dev;
	m->number = kind == FAN_MOUNT ? p->mnt->id : p->dentry->inode->ino;
	m->flags = flags & LX_FAN_MARK_EVICTABLE;
	if (kind == FAN_INODE) {
		m->inode = inode_get(p->dentry->inode);
		if (!(atomic_load(&p->dentry->flags) & DENTRY_UNLINKED))
			m->dentry = dentry_get(p->dentry);
	}
	list_push_front(&g->marks, &m->node);
	list_push_front(bucket(m->object), &m->hash_node);
	g->nmarks++;
	g->user->marks++;
	atomic_fetch_add(&vfs_watches, 1);
	return 0;
}

int
fanotify_mark_add(struct file *f, const struct path *p, uint32_t flags, uint32_t mask)
{
	struct fan_group *g = f->priv;
	enum fan_kind kind = kind_of(flags);
	struct fan_mark *spare = calloc(1, sizeof *spare), *m;
	int r = 0;

	if (!spare)
		return -ENOMEM;
	mutex_lock(&fan_lock);
	m = find_locked(g, object_of(p, kind));
	if (!m) {
		r = new_mark_locked(g, p, kind, flags, spare);
		if (!r) {
			m = spare;
			spare = NULL;
		}
	} else if (!may_update(m, flags)) {
		r = -EEXIST;
	}
	if (!r && (flags & IGNORE_BITS)) {
		m->ignored |= mask;
		m->flags |= flags & (LX_FAN_MARK_IGNORE | LX_FAN_MARK_IGNORED_SURV_MODIFY);
	} else if (!r) {
		set_mask_locked(m, m->mask | mask);
	}
	if (!r && !(flags & LX_FAN_MARK_EVICTABLE))
		m->flags &= ~LX_FAN_MARK_EVICTABLE;
	mutex_unlock(&fan_lock);
	free(spare);
	return r;
}

int
fanotify_mark_remove(
	struct file *f, const struct path *p, uint32_t flags, uint32_t mask, uint32_t umask)
{
	struct fan_group *g = f->priv;
	struct fan_mark *m, *dropped = NULL;

	mutex_lock(&fan_lock);
	m = find_locked(g, object_of(p, kind_of(flags)));
	if (m) {
		if (flags & IGNORE_BITS)
			m->ignored &= ~mask;
		else
			set_mask_locked(m, m->mask & ~mask);
		if (!((m->mask | m->ignored) & ~umask))
			unlink_locked(m, &dropped);
	}
	mutex_unlock(&fan_lock);
	drop(dropped);
	return m ? 0 : -ENOENT;
}

void
fanotify_mark_flush(struct file *f, uint32_t flags)
{
	fan_marks_flush(f->priv, (int)kind_of(flags));
}

void
fan_marks_show(struct fan_group *g, char *buf, size_t cap)
{
	struct fan_mark *m;
	size_t at = 0;

	mutex_lock(&fan_lock);
	list_for_each_entry (m, &g->marks, node) {
		uint32_t dev = LX_MAJOR(m->dev) << 20 | LX_MINOR(m->dev);
		uint32_t fl = m->flags;

		if (at >= cap)
			break;
		if (m->kind == FAN_INODE)
			at += (size_t)snprintf(buf + at, cap - at,
				"fanotify ino:%llx sdev:%x mflags:%x mask:%x ignored_mask:%x "
				"fhandle-bytes:%zx fhandle-type:%x f_handle:%016llx00000000\n",
				(unsigned long long)m->number, dev, fl, m->mask, m->ignored,
				sizeof(struct lx_fileid), LX_FILEID_INO64_GEN,
				(unsigned long long)__builtin_bswap64(m->number));
		else if (m->kind == FAN_MOUNT)
			at += (size_t)snprintf(buf + at, cap - at,
				"fanotify mnt_id:%x mflags:%x mask:%x ignored_mask:%x\n",
				(unsigned)m->number, fl, m->mask, m->ignored);
		else
			at += (size_t)snprintf(buf + at, cap - at,
				"fanotify sdev:%x mflags:%x mask:%x ignored_mask:%x\n", dev, fl,
				m->mask, m->ignored);
	}
	mutex_unlock(&fan_lock);
}

/* --- who cares about an event --- */

/* Does a mask apply to a directory, or to a child met by its parent? */
static bool
applies(uint32_t mask, bool on_dir, int how)
{
	if (on_dir && !(mask & LX_IN_ISDIR))
		return false;
	return how != BY_PARENT || (mask & LX_FAN_EVENT_ON_CHILD);
}

static uint32_t
ignores(const struct fan_mark *m, bool on_dir, int how)
{
	uint32_t mask = m->ignored;

	if (!(m->ignored & ~FAN_EVENT_FLAGS))
		return 0;
	/* the old way has no flags of its own */
	if (!(m->flags & LX_FAN_MARK_IGNORE))
		mask |= LX_IN_ISDIR | (m->mask & LX_FAN_EVENT_ON_CHILD);
	return applies(mask, on_dir, how) ? m->ignored & ~FAN_EVENT_FLAGS : 0;
}

struct seen {
	const struct vfs_notify_event *ev;
	struct dentry *parent; /* a reference, or NULL */
	char name[LX_NAME_MAX + 1];
	uint32_t len;
	uint64_t round;
	struct fan_group *groups;
	uint32_t ngroups;
};

static void
look_at_locked(struct seen *s, const void *object, int how)
{
	bool on_dir = s->ev->mask & LX_IN_ISDIR;
	struct fan_mark *m;

	if (!object)
		return;
	list_for_each_entry (m, bucket(object), hash_node) {
		struct fan_group *g = m->group;

		if (m->object != object)
			continue;
		if (g->round != s->round) {
			g->round = s->round;
			g->mask = g->ignored = g->how = 0;
			g->next = s->groups;
			s->groups = g;
			s->ngroups++;
		}
		if ((s->ev->mask & LX_IN_MODIFY) && !(m->flags & LX_FAN_MARK_IGNORED_SURV_MODIFY))
			m->ignored = 0;
		g->ignored |= ignores(m, on_dir, how);
		if (!applies(m->mask, on_dir, how))
			continue;
		g->mask |= m->mask;
		g->how |= 1u << how;
	}
}

static void
look_locked(struct seen *s)
{
	const struct vfs_notify_event *ev = s->ev;

	s->round = ++rounds;
	look_at_locked(s, ev->inode->sb, BY_SUPER);
	look_at_locked(s, ev->mnt, BY_MOUNT);
	look_at_locked(s, ev->inode, BY_INODE);
	look_at_locked(s, ev->new_dir, BY_INODE2);
	if (s->parent && (ev->mask & FAN_POSSIBLY_ON_CHILD))
		look_at_locked(s, s->parent->inode, BY_PARENT);
}

/* The event's bits that g is to be told; 0: none. */
static uint32_t
wanted(const struct fan_group *g, const struct seen *s)
{
	const struct vfs_notify_event *ev = s->ev;
	uint32_t mask = ev->mask & g->mask & ~g->ignored, mode;

	if (!(g->flags & FAN_FID_BITS)) {
		mode = inode_mode(ev->inode);
		if (!ev->mnt || (!LX_S_ISREG(mode) && !LX_S_ISDIR(mode)))
			return 0;
		return mask & ~FAN_EVENT_FLAGS;
	}
	if (!(g->flags & LX_FAN_REPORT_FID) && !ev->name && !s->parent && !(ev->mask & LX_IN_ISDIR))
		return 0;
	return mask & ~FAN_EVENT_FLAGS ? mask & ~LX_FAN_EVENT_ON_CHILD : 0;
}

struct fan_fid
fan_fid_of(const struct inode *i)
{
	return (struct fan_fid){i->ino, {(int32_t)i->sb->dev, 0}, true};
}

static void
put_name(struct fan_event *e, uint32_t *len, size_t at, const char *name, uint32_t n)
{
	memcpy(e->names + at, name, n);
	e->names[at + n] = 0;
	*len = n;
}

/* Linux's fanotify_alloc_event: which files are named, and whether by a name. */
static void
fill_fids(struct fan_event *e, const struct fan_group *g, const struct seen *s)
{
	const struct vfs_notify_event *ev = s->ev;
	bool dirent = e->mask & FAN_DIRENT_EVENTS, on_dir = ev->mask & LX_IN_ISDIR;
	struct inode *data = ev->name ? ev->child : ev->inode;
	struct inode *dir = ev->name ? ev->inode : s->parent ? s->parent->inode : NULL;
	struct inode *object = dirent && !(g->flags & LX_FAN_REPORT_TARGET_FID) ? dir : data;
	const char *name = ev->name ? ev->name : s->name;
	uint32_t len = ev->name ? ev->name_len : s->parent ? s->len : 0;
	bool rename = e->mask & LX_FAN_RENAME;
	bool child_too = dirent ? g->flags & LX_FAN_REPORT_TARGET_FID
				: (g->flags & LX_FAN_REPORT_FID) && !on_dir;
	bool old_too = !rename || (g->how & (1u << BY_SUPER | 1u << BY_INODE));

	if (!dirent && data && inode_is_dir(data))
		dir = data;
	if (!(g->flags & LX_FAN_REPORT_DIR_FID) || !dir) {
		if (object)
			e->object = fan_fid_of(object);
		return;
	}
	if (!(dirent || !on_dir) || !(g->flags & LX_FAN_REPORT_NAME))
		len = 0;
	if (child_too && object && object != dir)
		e->object = fan_fid_of(object);
	if (!len && !e->object.set) {
		/* one file, which is the directory */
		e->object = fan_fid_of(dir);
		return;
	}
	if (old_too) {
		e->dir = fan_fid_of(dir);
		put_name(e, &e->len, 0, name, len);
	}
	if (rename && (g->how & (1u << BY_SUPER | 1u << BY_INODE2))) {
		e->dir2 = fan_fid_of(ev->new_dir);
		put_name(e, &e->len2, e->len + 1, ev->new_name, ev->new_len);
	}
}

static struct fan_event *
make_event(const struct fan_group *g, const struct seen *s, uint32_t mask)
{
	const struct vfs_notify_event *ev = s->ev;
	size_t names = (g->flags & LX_FAN_REPORT_NAME)
			       ? (ev->name ? ev->name_len : s->len) + ev->new_len + 2u
			       : 2;
	struct fan_event *e = calloc(1, sizeof *e + names);
	struct task *t = task_current();

	if (!e)
		return NULL;
	list_init(&e->node);
	e->mask = mask;
	if (t)
		e->pid = g->flags & LX_FAN_REPORT_TID ? t->call.tid : t->call.tgid;
	e->perm = mask & FAN_PERM_EVENTS;
	if (g->flags & FAN_FID_BITS) {
		fill_fids(e, g, s);
	} else {
		e->path = (struct path){ev->mnt, ev->dentry};
		path_get(&e->path);
	}
	return e;
}

static void
seen_init(struct seen *s, const struct vfs_notify_event *ev)
{
	struct dentry *up;

	s->ev = ev;
	s->parent = NULL;
	s->len = 0;
	s->groups = NULL;
	s->ngroups = 0;
	if (!ev->dentry)
		return;
	dentry_parent_get(ev->dentry, &up);
	if (up == ev->dentry || !up->inode) {
		dentry_put(up);
		return;
	}
	s->parent = up;
	mutex_lock(&ev->dentry->lock);
	s->len = ev->dentry->len <= LX_NAME_MAX ? ev->dentry->len : LX_NAME_MAX;
	memcpy(s->name, ev->dentry->name, s->len);
	mutex_unlock(&ev->dentry->lock);
}

static void
on_event(const struct vfs_notify_event *ev)
{
	struct fan_event *unused = NULL;
	struct fan_mark *dropped = NULL, *m, *tmp;
	struct seen s;

	seen_init(&s, ev);
	mutex_lock(&fan_lock);
	look_locked(&s);
	for (struct fan_group *g = s.groups; g; g = g->next) {
		uint32_t mask = wanted(g, &s);
		struct fan_event *e = mask ? make_event(g, &s, mask) : NULL;

		if (e)
			fan_queue_locked(g, e, &unused);
	}
	if (ev->mask & LX_IN_DELETE_SELF)
		list_for_each_entry_safe (m, tmp, bucket(ev->inode), hash_node)
			if (m->object == ev->inode)
				unlink_locked(m, &dropped);
	mutex_unlock(&fan_lock);
	while (unused) {
		struct fan_event *e = unused;

		unused = e->next;
		fan_event_free(e);
	}
	drop(dropped);
	dentry_put(s.parent);
}

static void
on_unlinked(struct dentry *d)
{
	struct fan_mark *m;
	uint32_t n = 0;

	mutex_lock(&fan_lock);
	list_for_each_entry (m, bucket(d->inode), hash_node) {
		if (m->dentry == d) {
			m->dentry = NULL;
			n++;
		}
	}
	mutex_unlock(&fan_lock);
	while (n--)
		dentry_put(d); /* the caller has one more */
}

static void
on_super_gone(struct super *sb)
{
	struct fan_mark *m, *tmp, *dropped = NULL;

	mutex_lock(&fan_lock);
	for (int i = 0; i < BUCKETS; i++) {
		if (!marks[i].next)
			continue;
		list_for_each_entry_safe (m, tmp, &marks[i], hash_node)
			if (m->object == sb || (m->inode && m->inode->sb == sb))
				unlink_locked(m, &dropped);
	}
	mutex_unlock(&fan_lock);
	drop(dropped);
}

static void
on_mount_gone(struct mount *mnt)
{
	struct fan_mark *m, *tmp, *dropped = NULL;

	mutex_lock(&fan_lock);
	list_for_each_entry_safe (m, tmp, bucket(mnt), hash_node)
		if (m->object == mnt)
			unlink_locked(m, &dropped);
	mutex_unlock(&fan_lock);
	drop(dropped);
}

struct question {
	struct fan_group *g;
	struct fan_event *e;
};

/* Those of the class that is asked first come first. */
static int
by_class(const void *a, const void *b)
{
	const struct question *x = a, *y = b;

	return (int)(y->g->flags & LX_FAN_CLASS_PRE_CONTENT) -
	       (int)(x->g->flags & LX_FAN_CLASS_PRE_CONTENT);
}

static int
on_ask(const struct path *p, uint32_t perm)
{
	struct vfs_notify_event ev = {.inode = p->dentry->inode,
		.dentry = p->dentry,
		.mnt = p->mnt,
		.mask = perm | (inode_is_dir(p->dentry->inode) ? LX_IN_ISDIR : 0)};
	struct question *q = NULL;
	uint32_t n = 0;
	struct seen s;
	int r = 0;

	/* what the sentry does for itself asks nobody */
	if (!task_current())
		return 0;
	seen_init(&s, &ev);
	mutex_lock(&fan_lock);
	look_locked(&s);
	if (s.ngroups)
		q = calloc(s.ngroups, sizeof *q);
	if (s.ngroups && !q)
		r = -ENOMEM;
	for (struct fan_group *g = s.groups; g && !r; g = g->next) {
		uint32_t mask = wanted(g, &s) & FAN_PERM_EVENTS;
		struct fan_event *e = mask ? make_event(g, &s, mask) : NULL;

		if (mask && !e)
			r = -ENOMEM;
		if (!e)
			continue;
		ref_get(&g->ref);
		q[n++] = (struct question){g, e};
	}
	mutex_unlock(&fan_lock);
	if (n > 1)
		qsort(q, n, sizeof *q, by_class);
	for (uint32_t i = 0; i < n; i++) {
		if (r)
			fan_event_free(q[i].e);
		else
			r = fan_group_ask(q[i].g, q[i].e);
		fan_group_put(q[i].g);
	}
	free(q);
	dentry_put(s.parent);
	return r;
}

const struct vfs_notify_ops fanotify_notify_ops = {
	.event = on_event,
	.unlinked = on_unlinked,
	.super_gone = on_super_gone,
	.mount_gone = on_mount_gone,
	.ask = on_ask,
};
