/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts by their numbers: statmount(2), listmount(2) (Linux: fs/namespace.c of 6.12). */
#include "abi/mount.h"
#include "mount_internal.h"
#include "sentry/cred/user_ns.h"
#include <stdlib.h>
#include <string.h>

/* Whose mounts are asked for, and from where they are seen. */
struct view {
	struct mnt_ns *ns;
	struct path root;
};

static bool
privileged(const struct call *c, const struct view *v)
{
	return cred_capable_in(c->cred, v->ns->user_ns, LX_CAP_SYS_ADMIN);
}

static void
view_fini(struct view *v)
{
	path_put(&v->root);
	mnt_ns_put(v->ns);
}

/* refusal: what the caller is told of a namespace that is not for it. */
static int
view_init(const struct call *c, uint64_t ns_id, int refusal, struct view *v)
{
	v->ns = ns_id ? mnt_ns_find(ns_id) : mnt_ns_get(c->fs->ns);
	if (!v->ns)
		return -ENOENT;
	if (v->ns == c->fs->ns) {
		fs_ctx_root(c->fs, &v->root);
	} else if (!privileged(c, v)) {
		mnt_ns_put(v->ns);
		return refusal;
	} else {
		mnt_ns_root(v->ns, &v->root);
	}
	return 0;
}

/* The mount of that unique id, if the caller may know of it. tree. */
static int
find_mount(const struct call *c, const struct view *v, uint64_t id, struct mount **ret)
{
	struct mount *m;

	list_for_each_entry (m, &v->ns->mounts, ns_node) {
		struct path top = {m, m->root};

		if (mnt_unique_id(m) != id)
			continue;
		if (!mount_path_reachable(&top, &v->root) && !privileged(c, v))
			return -EPERM;
		*ret = m;
		return 0;
	}
	return -ENOENT;
}

/* --- statmount --- */

static uint64_t
attr_of(uint32_t flags)
{
	static const struct {
		uint32_t flag, attr;
	} map[] = {{MNT_RDONLY, LX_MOUNT_ATTR_RDONLY}, {MNT_NOSUID, LX_MOUNT_ATTR_NOSUID},
		{MNT_NODEV, LX_MOUNT_ATTR_NODEV}, {MNT_NOEXEC, LX_MOUNT_ATTR_NOEXEC},
		{MNT_NODIRATIME, LX_MOUNT_ATTR_NODIRATIME},
		{MNT_NOSYMFOLLOW, LX_MOUNT_ATTR_NOSYMFOLLOW}};
	uint64_t attr = flags & MNT_NOATIME    ? LX_MOUNT_ATTR_NOATIME
			: flags & MNT_RELATIME ? LX_MOUNT_ATTR_RELATIME
					       : LX_MOUNT_ATTR_STRICTATIME;

	for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
		if (flags & map[i].flag)
			attr |= map[i].attr;
	return attr;
}

static uint64_t
propagation_of(const struct mount *m)
{
	uint64_t how = 0;

	if (m->peer_group)
		how |= LX_MS_SHARED;
	if (m->master)
		how |= LX_MS_SLAVE;
	if (atomic_load(&((struct mount *)m)->flags) & MNT_UNBINDABLE)
		how |= LX_MS_UNBINDABLE;
	return how ? how : LX_MS_PRIVATE;
}

/* The nearest of the groups from which m receives that has a member to be seen. */
static uint64_t
dominating_group(const struct mount *m, const struct path *root)
{
	for (struct mount *master = m->master; master; master = master->master) {
		struct mount *k = master;

		do {
			struct path top = {k, k->root};

			if (k->ns == m->ns && mount_path_reachable(&top, root))
				return k->peer_group;
			k = list_entry(k->peers.next, struct mount, peers);
		} while (k != master);
	}
	return 0;
}

static void
put_numbers(const struct view *v, struct mount *m, uint64_t mask, struct lx_statmount *st)
{
	struct mount *up = m->parent ? m->parent : m;
	struct super *sb = m->sb;
	uint32_t sf = atomic_load(&sb->flags);

	if (mask & LX_STATMOUNT_SB_BASIC) {
		st->sb_dev_major = LX_MAJOR(sb->dev);
		st->sb_dev_minor = LX_MINOR(sb->dev);
		st->sb_magic = (uint64_t)sb->magic;
		st->sb_flags = (sf & SUPER_RDONLY ? LX_MS_RDONLY : 0) |
			       (sf & SUPER_SYNCHRONOUS ? LX_MS_SYNCHRONOUS : 0);
	}
	if (mask & LX_STATMOUNT_MNT_BASIC) {
		st->mnt_id = mnt_unique_id(m);
		st->mnt_parent_id = mnt_unique_id(up);
		st->mnt_id_old = (uint32_t)m->id;
		st->mnt_parent_id_old = (uint32_t)up->id;
		st->mnt_attr = attr_of(atomic_load(&m->flags));
		st->mnt_propagation = propagation_of(m);
		st->mnt_peer_group = m->peer_group;
		st->mnt_master = m->master ? m->master->peer_group : 0;
	}
	if (mask & LX_STATMOUNT_PROPAGATE_FROM)
		st->propagate_from = dominating_group(m, &v->root);
	if (mask & LX_STATMOUNT_MNT_NS_ID)
		st->mnt_ns_id = v->ns->id;
	st->mask = mask & (LX_STATMOUNT_SB_BASIC | LX_STATMOUNT_MNT_BASIC |
				  LX_STATMOUNT_PROPAGATE_FROM | LX_STATMOUNT_MNT_NS_ID);
}

struct text {
	char *s;
	size_t len, cap;
};

/* The string that bit stands for, if there is one. */
static int
put_string(struct text *t, struct lx_statmount *st, uint32_t bit, uint32_t *offset, const char *s,
	size_t room)
{
	size_t n = s ? strlen(s) + 1 : 0;

	if (!n)
		return 0;
	if (sizeof *st + t->len + n > room)
		return -EOVERFLOW;
	assert_that(t->len + n <= t->cap);
	memcpy(t->s + t->len, s, n);
	*offset = (uint32_t)t->len;
	t->len += n;
	st->mask |= bit;
	return 0;
}

/* scratch: LX_PATH_MAX bytes. */
static int
put_strings(const struct view *v, struct mount *m, uint64_t mask, struct lx_statmount *st,
	struct text *t, char *scratch, size_t room)
{
	struct path top = {m, m->root};
	const char *s;
	int r = 0, err;

	t->s[t->len++] = 0;
	if (mask & LX_STATMOUNT_FS_TYPE)
		r = put_string(t, st, LX_STATMOUNT_FS_TYPE, &st->fs_type, m->sb->type->name, room);
	if (!r && (mask & LX_STATMOUNT_MNT_ROOT)) {
		s = m->root->inode->ops->bindable ? m->root->name
						  : vfs_dentry_path(m->root, scratch, LX_PATH_MAX);
		r = put_string(t, st, LX_STATMOUNT_MNT_ROOT, &st->mnt_root, s, room);
	}
	if (!r && (mask & LX_STATMOUNT_MNT_POINT)) {
		s = vfs_d_path(&top, &v->root, scratch, LX_PATH_MAX, &err);
		r = put_string(t, st, LX_STATMOUNT_MNT_POINT, &st->mnt_point,
			s && *s == '/' ? s : NULL, room);
	}
	if (!r && (mask & LX_STATMOUNT_MNT_OPTS)) {
		mnt_super_options(m->sb, scratch, LX_PATH_MAX);
		r = put_string(t, st, LX_STATMOUNT_MNT_OPTS, &st->mnt_opts,
			*scratch ? scratch + 1 : NULL, room);
	}
	return r;
}

int
mnt_stat(const struct call *c, uint64_t ns_id, uint64_t id, uint64_t mask, size_t room,
	struct lx_statmount *st, char **strings, size_t *len)
{
	struct text t = {.cap = 4 * LX_PATH_MAX + 2};
	char *scratch = NULL;
	struct mount *m;
	struct view v;
	int r = view_init(c, ns_id, -EPERM, &v);

	if (r)
		return r;
	memset(st, 0, sizeof *st);
	if (mask & LX_STATMOUNT_STRINGS) {
		t.s = malloc(t.cap + LX_PATH_MAX);
		if (!t.s) {
			view_fini(&v);
			return -ENOMEM;
		}
		scratch = t.s + t.cap;
	}
	if (t.s && room == sizeof *st)
		r = -EOVERFLOW;
	sleeplock_lock(&mnt_tree_lock);
	if (!r)
		r = find_mount(c, &v, id, &m);
	if (!r) {
		put_numbers(&v, m, mask, st);
		if (t.s)
			r = put_strings(&v, m, mask, st, &t, scratch, room);
	}
	sleeplock_unlock(&mnt_tree_lock);
	view_fini(&v);
	if (r) {
		free(t.s);
		return r;
	}
	*strings = t.s;
	*len = t.len;
	st->size = (uint32_t)((room < sizeof *st ? room : sizeof *st) + t.len);
	return 0;
}

/* --- listmount --- */

static int
by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* All that are below `top`; tree. */
static ssize_t
collect(const struct view *v, const struct path *top, uint64_t but, uint64_t *ids)
{
	struct mount *m;
	size_t n = 0;

	list_for_each_entry (m, &v->ns->mounts, ns_node) {
		struct path p = {m, m->root};

		if (mnt_unique_id(m) != but && mount_path_reachable(&p, top))
			ids[n++] = mnt_unique_id(m);
	}
	qsort(ids, n, sizeof *ids, by_id);
	return (ssize_t)n;
}

/* Of count sorted ids those after last, in front and at most n. */
static size_t
cut(uint64_t *ids, size_t count, uint64_t last, bool reverse, size_t n)
{
	size_t from = 0, to = count;

	if (reverse) {
		for (size_t i = 0; i < count / 2; i++) {
			uint64_t t = ids[i];

			ids[i] = ids[count - 1 - i];
			ids[count - 1 - i] = t;
		}
		while (last && from < to && ids[from] >= last)
			from++;
	} else {
		while (from < to && ids[from] <= last)
			from++;
	}
	if (to - from > n)
		to = from + n;
	memmove(ids, ids + from, (to - from) * sizeof *ids);
	return to - from;
}

ssize_t
mnt_list(const struct call *c, uint64_t ns_id, uint64_t id, uint64_t last, bool reverse, size_t n,
	uint64_t **ret)
{
	struct mount *m = NULL;
	struct path top;
	struct view v;
	uint64_t *ids = NULL;
	ssize_t r = view_init(c, ns_id, -ENOENT, &v);

	if (r)
		return r;
	sleeplock_lock(&mnt_tree_lock);
	top = v.root;
	if (id != LX_LSMT_ROOT)
		r = find_mount(c, &v, id, &m);
	if (m) {
		top.mnt = m;
		top.dentry = m->root;
	}
	if (!r) {
		ids = calloc(v.ns->nmounts + 1u, sizeof *ids);
		r = ids ? collect(&v, &top, id, ids) : -ENOMEM;
	}
	sleeplock_unlock(&mnt_tree_lock);
	view_fini(&v);
	if (r < 0)
		return r;
	*ret = ids;
	return (ssize_t)cut(ids, (size_t)r, last, reverse, n);
}
