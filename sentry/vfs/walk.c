/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path walk (Linux: fs/namei.c, path_resolution(7)). A component that the cache knows costs the
 * lock of its directory's table and two reference counts; nothing is allocated until a symlink is
 * met. Symlinks are followed by putting their text in front of what is left.
 */
#include "internal.h"
#include "sentry/sysctl/sysctl.h"
#include <stdlib.h>
#include <string.h>

static void
ensure_root(struct walk *w)
{
	if (!w->has_root) {
		fs_ctx_root(w->c->fs, &w->root);
		w->has_root = true;
	}
}

int
walk_init(struct walk *w, const struct call *c, const struct path *base, const char *path,
	uint32_t flags)
{
	memset(w, 0, offsetof(struct walk, ahead.inodes));
	w->c = c;
	w->p = path;
	w->flags = flags;
	w->last_type = LAST_ROOT;
	if (!*path && !(flags & LOOKUP_EMPTY))
		return -ENOENT;
	if (flags & (LOOKUP_BENEATH | LOOKUP_IN_ROOT)) {
		if (*path == '/' && (flags & LOOKUP_BENEATH))
			return -EXDEV;
		if (base) {
			w->root = *base;
			path_get(&w->root);
		} else {
			fs_ctx_cwd(c->fs, &w->root);
		}
		w->has_root = w->bounded = true;
		w->path = w->root;
		path_get(&w->path);
	} else if (*path == '/') {
		fs_ctx_root(c->fs, &w->path);
	} else if (base) {
		w->path = *base;
		path_get(&w->path);
	} else {
		fs_ctx_cwd(c->fs, &w->path);
	}
	if (*path && (!w->path.dentry->inode || !inode_is_dir(w->path.dentry->inode)))
		return -ENOTDIR;
	return 0;
}

static void
ahead_drop(struct walk_ahead *a)
{
	for (int i = 0; i < a->n; i++)
		inode_put(a->inodes[i]);
	a->at = a->n = 0;
	a->missing = false;
}

void
walk_fini(struct walk *w)
{
	ahead_drop(&w->ahead);
	path_put(&w->path);
	if (w->has_root)
		path_put(&w->root);
	free(w->buf);
}

/* Cut the next component off p. False at the end. */
static bool
next_component(const char **p, struct name *n, const char **after)
{
	const char *s = *p;
	uint32_t h = 0;
	size_t len = 0;

	while (*s == '/')
		s++;
	*p = s;
	if (!*s)
		return false;
	for (; s[len] && s[len] != '/'; len++)
		h = (h + (uint8_t)s[len]) * 0x9e3779b1u;
	n->s = s;
	n->len = (uint32_t)(len > UINT32_MAX ? UINT32_MAX : len);
	n->hash = h ^ (h >> 15);
	*after = s + len;
	return true;
}

static bool
is_dots(const struct name *n)
{
	return n->s[0] == '.' && n->len <= 2 && (n->len == 1 || n->s[1] == '.');
}

/* Names that can be asked for at once: n, and those of rest. parent: but for the last. */
static int
names_ahead(const struct name *n, const char *rest, bool parent, struct name names[WALK_BATCH])
{
	const char *p = rest, *after;
	int count = 1;

	names[0] = *n;
	while (count < WALK_BATCH && next_component(&p, &names[count], &after)) {
		if (names[count].len > LX_NAME_MAX || is_dots(&names[count]) ||
			(parent && !after[strspn(after, "/")]))
			break;
		count++;
		p = after;
	}
	return count;
}

/* Where others change names each look at one is a request: make one of those that are to come.
 * Errors are left to the look at the name where they are. */
static void
look_ahead(struct walk *w, const struct name *n, const char *rest)
{
	struct dentry *dir = w->path.dentry;
	uint32_t flags = atomic_load_explicit(&dir->sb->flags, memory_order_relaxed);
	struct walk_ahead *a = &w->ahead;
	struct name names[WALK_BATCH];
	int count, got;

	if (!(flags & SUPER_WALK) || !dir->inode->ops->walk || w->flags & LOOKUP_CACHED ||
		n->len > LX_NAME_MAX)
		return;
	if ((a->at < a->n || a->missing) && a->dir == dir->inode)
		return;
	ahead_drop(a);
	count = names_ahead(n, rest, w->flags & LOOKUP_PARENT, names);
	if (count < 2)
		return;
	a->changes = atomic_load(&dir->sb->changes);
	got = dir->inode->ops->walk(dir->inode, w->c, names, count, a->inodes, &a->missing);
	a->n = got < 0 ? 0 : got;
	a->missing = got >= 0 && got < count && a->missing;
	a->dir = dir->inode;
}

/* What is known of the next name in dir. */
struct known {
	struct inode *inode; /* borrowed; NULL: there is none */
	uint64_t changes;
};

static bool
was_told(struct walk *w, struct known *ret)
{
	struct walk_ahead *a = &w->ahead;
	const struct dentry *dir = w->path.dentry;

	if (a->dir != dir->inode || (a->at == a->n && !a->missing))
		return false;
	if (atomic_load(&dir->sb->changes) != a->changes) {
		ahead_drop(a);
		return false;
	}
	*ret = (struct known){a->at < a->n ? a->inodes[a->at] : NULL, a->changes};
	if (a->at == a->n)
		a->missing = false;
	else
		a->dir = a->inodes[a->at++];
	return true;
}

/* Who changes a name counts it before the cache is told: one that was entered while that went on is
 * of the time before. */
static struct dentry *
enter_below(struct dentry *dir, const struct name *n, struct inode *inode, uint64_t changes)
{
	bool fresh;
	struct dentry *d = dentry_enter(dir, n, inode, &fresh);

	if (!d || !fresh || atomic_load(&dir->sb->changes) == changes ||
		(atomic_load(&d->flags) & DENTRY_MOUNTED))
		return d;
	dentry_drop(d);
	dentry_put(d);
	return NULL;
}

/* Ask the file system for several components at once, and put them in the cache. */
static int
lookup_batch(const struct call *c, struct dentry *dir, const struct name *n, const char *rest,
	struct dentry **ret)
{
	struct name names[WALK_BATCH];
	struct inode *inodes[WALK_BATCH];
	uint64_t changes = atomic_load(&dir->sb->changes);
	struct dentry *d, *first = NULL;
	bool missing = false;
	int count = names_ahead(n, rest, false, names), got;

	if (count < 2)
		return 0;
	got = dir->inode->ops->walk(dir->inode, c, names, count, inodes, &missing);
	if (got < 0)
		return got;
	d = dentry_get(dir);
	for (int i = 0; i < got; i++) {
		struct inode *inode = inodes[i];
		struct dentry *k = NULL;

		/* Only the first name is guarded by the lock that is held; below it the counter of
		 * changes tells that nobody renamed or removed meanwhile. */
		if (d && i == 0)
			k = dentry_add(d, &names[i], inode);
		else if (d && atomic_load(&dir->sb->changes) == changes)
			k = enter_below(d, &names[i], inode, changes);
		else
			inode_put(inode);
		if (i == 0 && k)
			first = dentry_get(k);
		dentry_put(d);
		d = k;
		if (k && k->inode != inode) {
			dentry_put(k);
			d = NULL;
		}
	}
	if (missing && d && got < count &&
		(got == 0 || atomic_load(&dir->sb->changes) == changes) &&
		!(atomic_load(&dir->sb->flags) & (SUPER_NO_NEGATIVE | SUPER_NO_CACHE))) {
		if (got == 0)
			first = dentry_add(d, &names[got], NULL);
		else
			dentry_put(enter_below(d, &names[got], NULL, changes));
	}
	dentry_put(d);
	*ret = first;
	return 0;
}

static int
lookup_fs(const struct call *c, struct dentry *dir, const struct name *n, const char *rest,
	const struct known *known, struct dentry **ret)
{
	struct inode *di = dir->inode, *inode = NULL;
	uint32_t sbf = atomic_load_explicit(&dir->sb->flags, memory_order_relaxed);
	struct dentry *d = NULL;
	int r;

	if (!di->ops->lookup)
		return -ENOTDIR;
	if (atomic_load(&dir->flags) & DENTRY_DEAD)
		return -ENOENT;
	if (known && atomic_load(&dir->sb->changes) != known->changes)
		known = NULL;
	if (di->ops->walk && rest && !known) {
		r = lookup_batch(c, dir, n, rest, &d);
		if (r)
			return r;
		if (d) {
			*ret = d;
			return 0;
		}
	}
	if (!known)
		r = di->ops->lookup(di, c, n, &inode);
	else if (known->inode)
		r = 0, inode = inode_get(known->inode);
	else
		r = -ENOENT;
	if (r && r != -ENOENT)
		return r;
	if (r == -ENOENT && (sbf & (SUPER_NO_NEGATIVE | SUPER_NO_CACHE)))
		d = dentry_new_loose(dir->sb, dir, n, NULL);
	else
		d = dentry_add(dir, n, r ? NULL : inode);
	if (!d)
		return -ENOMEM;
	*ret = d;
	return 0;
}

/* What the cache has for n, checked with the file system where others change it; NULL in *ret if
 * nothing. */
static int
lookup_cached(const struct call *c, struct dentry *dir, const struct name *n,
	const struct known *known, struct dentry **ret)
{
	struct dentry *d = dentry_find(dir, n);
	int r;

	*ret = d;
	if (!d || !(atomic_load_explicit(&dir->sb->flags, memory_order_relaxed) & SUPER_SHARED) ||
		!dir->inode->ops->revalidate)
		return 0;
	r = known ? known->inode == d->inode
		  : dir->inode->ops->revalidate(dir->inode, c, n, d->inode);
	if (r > 0 || (r == 0 && (atomic_load(&d->flags) & DENTRY_MOUNTED)))
		return 0;
	*ret = NULL;
	if (r == 0)
		dentry_drop(d);
	dentry_put(d);
	return r;
}

int
lookup_one_locked(
	const struct call *c, struct dentry *dir, const struct name *n, struct dentry **ret)
{
	int r;

	if (n->len > LX_NAME_MAX)
		return -ENAMETOOLONG;
	r = lookup_cached(c, dir, n, NULL, ret);
	if (r || *ret)
		return r;
	return lookup_fs(c, dir, n, NULL, NULL, ret);
}

static int
lookup_one(const struct call *c, struct dentry *dir, const struct name *n, const char *rest,
	uint32_t flags, const struct known *known, struct dentry **ret)
{
	int r;

	if (n->len > LX_NAME_MAX)
		return -ENAMETOOLONG;
	r = lookup_cached(c, dir, n, known, ret);
	if (r || *ret)
		return r;
	if (flags & LOOKUP_CACHED)
		return -EAGAIN;
	r = sleeplock_lock_killable(&dir->inode->dir_lock);
	if (r)
		return r;
	*ret = dentry_find(dir, n); /* somebody may have brought it meanwhile */
	if (!*ret)
		r = lookup_fs(c, dir, n, rest, known, ret);
	sleeplock_unlock(&dir->inode->dir_lock);
	return r;
}

int
vfs_lookup_one(const struct call *c, struct dentry *dir, const struct name *n, struct dentry **ret)
{
	return lookup_one(c, dir, n, NULL, 0, NULL, ret);
}

/* Is d still below the root of the mount? A bind mount shows part of a tree, out of which a
 * directory can be moved. */
static bool
is_connected(const struct mount *m, struct dentry *d)
{
	return m->root == m->sb->root || dentry_is_ancestor(m->root, d);
}

static int
step_dotdot(struct walk *w)
{
	ensure_root(w);
	for (;;) {
		struct dentry *parent;

		if (path_equal(&w->path, &w->root)) {
			if (w->flags & LOOKUP_BENEATH)
				return -EXDEV;
			break;
		}
		if (w->path.dentry != w->path.mnt->root) {
			dentry_parent_get(w->path.dentry, &parent);
			dentry_put(w->path.dentry);
			w->path.dentry = parent;
			if (!is_connected(w->path.mnt, parent))
				return -ENOENT;
			break;
		}
		struct mount *before = w->path.mnt;

		if (!mnt_follow_up(&w->path))
			break;
		if ((w->flags & LOOKUP_NO_XDEV) && w->path.mnt != before)
			return -EXDEV;
	}
	{
		struct mount *before = w->path.mnt;

		mnt_follow_down(&w->path);
		if ((w->flags & LOOKUP_NO_XDEV) && w->path.mnt != before)
			return -EXDEV;
	}
	return 0;
}

/* Linux's protected_symlinks: in a sticky directory that others may write, follow at the end of a
 * path only one's own links and those of the directory's owner. */
static int
may_follow(const struct call *c, struct inode *dir, struct inode *link)
{
	uint32_t mode = inode_mode(dir);

	if ((mode & (LX_S_ISVTX | 0002u)) != (LX_S_ISVTX | 0002u) ||
		!sysctl_get(SYSCTL_PROTECTED_SYMLINKS))
		return 0;
	if (c->cred->fsuid == inode_load(link->uid) ||
		inode_load(dir->uid) == inode_load(link->uid))
		return 0;
	return -EACCES;
}

static int
replace_text(struct walk *w, const char *text, size_t len)
{
	size_t rest = strlen(w->p);
	char *nb;

	nb = malloc(len + rest + 1);
	if (!nb)
		return -ENOMEM;
	memcpy(nb, text, len);
	memcpy(nb + len, w->p, rest + 1);
	free(w->buf);
	w->buf = nb;
	w->p = nb;
	return 0;
}

static int
follow_magic(struct walk *w, struct inode *link)
{
	struct path to;
	int r;

	if (w->flags & LOOKUP_NO_MAGICLINKS)
		return -ELOOP;
	r = link->ops->magic(link, w->c, &to);
	if (r)
		return r;
	if (w->bounded || ((w->flags & LOOKUP_NO_XDEV) && to.mnt != w->path.mnt)) {
		path_put(&to);
		return -EXDEV;
	}
	path_put(&w->path);
	w->path = to;
	w->jumped = true;
	return 0;
}

int
walk_follow(struct walk *w, struct dentry *d, bool is_last, bool *jumped)
{
	struct inode *link = d->inode;
	const char *text = link->link;
	char *tmp = NULL;
	size_t len;
	int r;

	*jumped = false;
	w->last_type = LAST_ROOT;
	if (w->flags & LOOKUP_NO_SYMLINKS)
		return -ELOOP;
	if (w->links++ >= LX_MAXSYMLINKS)
		return -ELOOP;
	if (atomic_load_explicit(&w->path.mnt->flags, memory_order_relaxed) & MNT_NOSYMFOLLOW)
		return -ELOOP;
	r = is_last ? may_follow(w->c, w->path.dentry->inode, link) : 0;
	if (r)
		return r;
	inode_accessed(link, w->path.mnt);
	if (link->ops->magic) {
		*jumped = true;
		return follow_magic(w, link);
	}
	if (!text) {
		ssize_t n;

		if (w->flags & LOOKUP_CACHED)
			return -EAGAIN;
		if (!link->ops->readlink)
			return -EINVAL;
		tmp = malloc(LX_PATH_MAX);
		if (!tmp)
			return -ENOMEM;
		n = link->ops->readlink(link, w->c, tmp, LX_PATH_MAX - 1);
		if (n < 0) {
			free(tmp);
			return (int)n;
		}
		tmp[n] = 0;
		text = tmp;
	}
	len = strlen(text);
	r = len ? replace_text(w, text, len) : -ENOENT;
	if (!r && text[0] == '/') {
		if (w->flags & LOOKUP_BENEATH) {
			r = -EXDEV;
		} else {
			ensure_root(w);
			if ((w->flags & LOOKUP_NO_XDEV) && w->root.mnt != w->path.mnt)
				r = -EXDEV;
			path_put(&w->path);
			w->path = w->root;
			path_get(&w->path);
		}
	}
	free(tmp);
	return r;
}

/* One ordinary component: move w->path to it, or follow it. */
static int
step_name(struct walk *w, const struct name *n, const char *rest, bool is_last)
{
	struct dentry *d;
	struct inode *inode;
	struct mount *before = w->path.mnt;
	struct known known;
	bool jumped, told;
	int r;

	look_ahead(w, n, rest);
	told = was_told(w, &known);
	r = lookup_one(w->c, w->path.dentry, n, rest, w->flags, told ? &known : NULL, &d);
	if (r)
		return r;
	if (!d->inode) {
		dentry_put(d);
		return -ENOENT;
	}
	if ((atomic_load_explicit(&d->flags, memory_order_relaxed) & DENTRY_MOUNTED) &&
		!(is_last && (w->flags & LOOKUP_MOUNTPOINT))) {
		dentry_put(w->path.dentry);
		w->path.dentry = d;
		mnt_follow_down(&w->path);
		return (w->flags & LOOKUP_NO_XDEV) && w->path.mnt != before ? -EXDEV : 0;
	}
	inode = d->inode;
	if (!LX_S_ISLNK(inode_mode(inode)) ||
		(is_last && !w->slash && !(w->flags & LOOKUP_FOLLOW))) {
		dentry_put(w->path.dentry);
		w->path.dentry = d;
		return 0;
	}
	r = walk_follow(w, d, is_last, &jumped);
	dentry_put(d);
	return r;
}

int
walk_run(struct walk *w)
{
	const char *after;
	struct name n;
	int r;

	while (next_component(&w->p, &n, &after)) {
		struct inode *dir = w->path.dentry->inode;
		const char *rest = after;
		bool is_last;

		if (!inode_is_dir(dir))
			return -ENOTDIR;
		r = may_search(dir, w->c);
		if (r)
			return r;
		while (*rest == '/')
			rest++;
		is_last = !*rest;
		if (is_last)
			w->slash = *after == '/';
		w->p = after;
		w->jumped = false;
		w->last_type = LAST_NORM;
		if (is_dots(&n))
			w->last_type = n.len == 1 ? LAST_DOT : LAST_DOTDOT;
		if (is_last && (w->flags & LOOKUP_PARENT)) {
			w->last = n;
			return 0;
		}
		if (w->last_type == LAST_DOT)
			continue;
		r = w->last_type == LAST_DOTDOT ? step_dotdot(w) : step_name(w, &n, rest, is_last);
		if (r)
			return r;
	}
	if (w->slash && !(w->flags & LOOKUP_PARENT) && w->path.dentry->inode &&
		!inode_is_dir(w->path.dentry->inode))
		return -ENOTDIR;
	return 0;
}

int
vfs_lookup(const struct call *c, const struct path *base, const char *path, uint32_t flags,
	struct path *ret)
{
	struct walk w;
	int r = walk_init(&w, c, base, path, flags & ~LOOKUP_PARENT);

	if (!r)
		r = walk_run(&w);
	if (!r && (flags & LOOKUP_DIRECTORY) && !inode_is_dir(w.path.dentry->inode))
		r = -ENOTDIR;
	if (!r) {
		*ret = w.path;
		w.path = (struct path){NULL, NULL};
	}
	walk_fini(&w);
	return r;
}

int
vfs_lookup_parent(const struct call *c, const struct path *base, const char *path, uint32_t flags,
	struct path *ret, struct name *last, enum last_type *type, bool *slash, char **buf)
{
	struct walk w;
	int r = walk_init(&w, c, base, path, (flags | LOOKUP_PARENT) & ~LOOKUP_EMPTY);

	*buf = NULL;
	if (!r)
		r = walk_run(&w);
	if (!r) {
		*ret = w.path;
		*last = w.last;
		*type = w.last_type;
		*slash = w.slash;
		*buf = w.buf;
		w.path = (struct path){NULL, NULL};
		w.buf = NULL;
	}
	walk_fini(&w);
	return r;
}
