/* SPDX-License-Identifier: Apache-2.0 */
/* overlay: directories. What the table of a directory says comes before what its lower directory
 * has. */
#include "internal.h"
#include "sentry/fs/stacked.h"
#include <stdlib.h>
#include <string.h>

static struct oentry **
slot(struct onode *d, const struct name *n)
{
	struct oentry **e;

	for (e = &d->table[n->hash & (d->nbuckets - 1)]; *e; e = &(*e)->next)
		if ((*e)->hash == n->hash && (*e)->len == n->len &&
			!memcmp((*e)->name, n->s, n->len))
			break;
	return e;
}

static struct oentry *
find(struct onode *d, const struct name *n)
{
	return d->table ? *slot(d, n) : NULL;
}

static int
grow(struct onode *d)
{
	uint32_t nb = d->nbuckets ? d->nbuckets * 4 : 8;
	struct oentry **nt, *e;

	if (d->nbuckets && (d->nentries < d->nbuckets || nb > (1u << 22)))
		return 0;
	nt = calloc(nb, sizeof(struct oentry *));
	if (!nt)
		return d->nbuckets ? 0 : -ENOMEM;
	list_for_each_entry (e, &d->entries, node) {
		e->next = nt[e->hash & (nb - 1)];
		nt[e->hash & (nb - 1)] = e;
	}
	free(d->table);
	d->table = nt;
	d->nbuckets = nb;
	return 0;
}

/* The entry for a name, made (as a whiteout) if it is not there. What follows cannot fail. */
static int
reserve(struct onode *d, const struct name *n, bool hides, struct oentry **ret)
{
	struct oentry *e = find(d, n), **s;

	if (e) {
		*ret = e;
		return 0;
	}
	e = malloc(sizeof *e + n->len + 1);
	if (!e || grow(d)) {
		free(e);
		return -ENOMEM;
	}
	e->target = NULL;
	e->hides = hides;
	e->hash = n->hash;
	e->len = n->len;
	memcpy(e->name, n->s, n->len);
	e->name[n->len] = 0;
	s = &d->table[n->hash & (d->nbuckets - 1)];
	e->next = *s;
	*s = e;
	list_push_back(&d->entries, &e->node);
	d->nentries++;
	onode_pin(d);
	*ret = e;
	return 0;
}

static void
delete_entry(struct onode *d, const struct name *n)
{
	struct oentry **s = slot(d, n), *e = *s;

	*s = e->next;
	list_del(&e->node);
	d->nentries--;
	free(e);
}

/* Let e point to t (a reference that passes), or to nothing. The reference that was there is
 * dropped. */
static void
point(struct onode *d, const struct name *n, struct oentry *e, struct onode *t)
{
	struct onode *old = e->target;

	e->target = t;
	if (!t && !e->hides)
		delete_entry(d, n);
	if (old)
		inode_put(&old->i);
	inode_touch(&d->i, INODE_T_MTIME | INODE_T_CTIME);
}

static int
lower_lookup(struct onode *d, const struct call *c, const struct name *n, struct inode **ret)
{
	struct inode *l = d->lower;
	int r;

	if (!l)
		return -ENOENT;
	sleeplock_lock(&l->dir_lock);
	r = l->ops->lookup ? l->ops->lookup(l, c, n, ret) : -ENOTDIR;
	sleeplock_unlock(&l->dir_lock);
	return r;
}

static int
dir_lookup(struct inode *dir, const struct call *c, const struct name *n, struct inode **ret)
{
	struct onode *d = onode_of(dir), *k;
	struct oentry *e = find(d, n);
	struct inode *lower;
	int r;

	if (e) {
		if (!e->target)
			return -ENOENT;
		*ret = inode_get(&e->target->i);
		return 0;
	}
	r = lower_lookup(d, c, n, &lower);
	if (!r)
		r = onode_of_lower(dir->sb, lower, &k);
	if (!r)
		*ret = &k->i;
	return r;
}

/* Let the lower file system walk, as long as nothing on the way was changed. */
static int
dir_walk(struct inode *dir, const struct call *c, const struct name *names, int n,
	struct inode **inodes, bool *missing)
{
	struct inode *l = onode_of(dir)->lower, *found[16];
	bool lower_missing = false, stopped = false;
	struct onode *at = onode_of(dir);
	int got, kept = 0;

	*missing = false;
	if (!l || !l->ops->walk || n > 16 || find(at, &names[0]))
		goto single;
	sleeplock_lock(&l->dir_lock);
	got = l->ops->walk(l, c, names, n, found, &lower_missing);
	sleeplock_unlock(&l->dir_lock);
	if (got < 0)
		return got;
	for (int i = 0; i < got; i++) {
		struct onode *k;

		/* a directory with changes of its own answers by itself */
		if (stopped || (i > 0 && at->nentries)) {
			stopped = true;
			inode_put(found[i]);
			continue;
		}
		if (onode_of_lower(dir->sb, found[i], &k)) {
			stopped = true;
			continue;
		}
		inodes[kept++] = &k->i;
		at = k;
	}
	*missing = lower_missing && !stopped && !(kept > 0 && at->nentries);
	return kept;

single:
	got = dir_lookup(dir, c, &names[0], &inodes[0]);
	*missing = got == -ENOENT;
	return got == -ENOENT ? 0 : got ? got : 1;
}

static int
dir_create(struct inode *dir, const struct call *c, const struct name *n,
	const struct inode_spec *spec, struct inode **ret)
{
	struct onode *d = onode_of(dir), *k;
	struct oentry *e = find(d, n);
	int r;

	(void)c;
	if (e && e->target)
		return -EEXIST;
	r = onode_new(dir->sb, spec, &k);
	if (r)
		return r;
	r = reserve(d, n, false, &e);
	if (r) {
		inode_put(&k->i);
		return r;
	}
	point(d, n, e, k);
	if (LX_S_ISDIR(spec->mode))
		inode_add_nlink(dir, 1);
	*ret = inode_get(&k->i);
	return 0;
}

static int
dir_tmpfile(
	struct inode *dir, const struct call *c, const struct inode_spec *spec, struct inode **ret)
{
	struct onode *k;
	int r = onode_new(dir->sb, spec, &k);

	(void)c;
	if (r)
		return r;
	inode_set_nlink(&k->i, 0);
	*ret = &k->i;
	return 0;
}

static int
dir_link(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	struct onode *d = onode_of(dir);
	struct oentry *e;
	int r = reserve(d, n, false, &e);

	(void)c;
	if (r)
		return r;
	onode_pin(onode_of(inode));
	point(d, n, e, onode_of(inode_get(inode)));
	inode_add_nlink(inode, 1);
	inode_touch(inode, INODE_T_CTIME);
	return 0;
}

/* The inode has lost a name. */
static void
name_gone(struct inode *inode, bool isdir)
{
	struct onode *k = onode_of(inode);

	if (isdir)
		inode_set_nlink(inode, 0);
	else
		inode_add_nlink(inode, -1);
	inode_touch(inode, INODE_T_CTIME);
	if (inode_load(inode->nlink) == 0)
		onode_unpin(k);
	else
		onode_pin(k);
}

static int
dir_unlink(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	struct oentry *e;
	/* without an entry of its own, the name is the lower directory's */
	int r = reserve(onode_of(dir), n, true, &e);

	(void)c;
	if (r)
		return r;
	point(onode_of(dir), n, e, NULL);
	name_gone(inode, false);
	return 0;
}

struct probe {
	struct dir_emit e;
	struct onode *d;
	bool found;
};

static bool
probe_emit(
	struct dir_emit *e, const char *name, size_t len, uint64_t ino, uint8_t type, int64_t next)
{
	struct probe *p = container_of(e, struct probe, e);
	struct name n = {name, (uint32_t)len, dentry_hash(name, len)};

	(void)ino, (void)type, (void)next;
	if (!stacked_is_dots(name, len) && !find(p->d, &n))
		p->found = true;
	return !p->found;
}

/* Call e for each entry of the lower directory. */
static int
lower_iterate(struct onode *d, const struct call *c, struct dir_emit *e)
{
	struct file *f;
	int r;

	if (!d->lower)
		return 0;
	r = file_open_inode(c, d->lower, LX_O_RDONLY | LX_O_DIRECTORY, &f);
	if (r)
		return r;
	sleeplock_lock(&d->lower->dir_lock);
	r = f->ops->iterate ? f->ops->iterate(f, c, e) : -ENOTDIR;
	sleeplock_unlock(&d->lower->dir_lock);
	file_put(f);
	return r;
}

/* 0: nothing to be seen in it; -ENOTEMPTY. */
static int
check_empty(struct onode *d, const struct call *c)
{
	struct probe p = {.e = {probe_emit}, .d = d};
	struct oentry *e;
	int r;

	list_for_each_entry (e, &d->entries, node)
		if (e->target)
			return -ENOTEMPTY;
	r = lower_iterate(d, c, &p.e);
	return r ? r : p.found ? -ENOTEMPTY : 0;
}

static int
dir_rmdir(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	struct oentry *e;
	int r = check_empty(onode_of(inode), c);

	if (!r)
		r = reserve(onode_of(dir), n, true, &e);
	if (r)
		return r;
	point(onode_of(dir), n, e, NULL);
	inode_add_nlink(dir, -1);
	name_gone(inode, true);
	return 0;
}

static int
dir_rename(struct inode *old_dir, const struct call *c, const struct name *on, struct inode *inode,
	struct inode *new_dir, const struct name *nn, struct inode *target, uint32_t flags)
{
	struct onode *od = onode_of(old_dir), *nd = onode_of(new_dir);
	bool isdir = inode_is_dir(inode), exchange = flags & LX_RENAME_EXCHANGE;
	const struct inode_spec device = {.mode = LX_S_IFCHR};
	struct onode *whiteout = NULL; /* Linux's, which is an entry like others here */
	struct oentry *oe, *ne;
	int r = 0;

	if (target && !exchange && isdir)
		r = check_empty(onode_of(target), c);
	if (!r && (flags & LX_RENAME_WHITEOUT))
		r = onode_new(old_dir->sb, &device, &whiteout);
	if (!r)
		r = reserve(nd, nn, target != NULL, &ne);
	if (!r) {
		r = reserve(od, on, true, &oe);
		/* the new name's whiteout that was made for nothing shows nothing wrong: it hides
		 * what is hidden */
		if (r && !ne->target && !ne->hides)
			delete_entry(nd, nn);
		else if (r && !ne->target && target)
			ne->target = onode_of(inode_get(target));
	}
	if (r) {
		if (whiteout)
			inode_put(&whiteout->i);
		return r;
	}
	onode_pin(onode_of(inode));
	inode_get(inode);
	if (exchange) {
		bool tdir = inode_is_dir(target);

		onode_pin(onode_of(target));
		inode_get(target);
		point(nd, nn, ne, onode_of(inode));
		point(od, on, oe, onode_of(target));
		if (od != nd && isdir != tdir) {
			inode_add_nlink(old_dir, tdir - isdir);
			inode_add_nlink(new_dir, isdir - tdir);
		}
		inode_touch(target, INODE_T_CTIME);
	} else {
		point(od, on, oe, whiteout);
		point(nd, nn, ne, onode_of(inode));
		if (isdir) {
			inode_add_nlink(old_dir, -1);
			if (!target)
				inode_add_nlink(new_dir, 1);
		}
		if (target)
			name_gone(target, isdir);
	}
	inode_touch(inode, INODE_T_CTIME);
	return 0;
}

/* --- reading --- */

struct odir {
	struct dir_emit e;
	struct onode *d;
	struct stacked_list l;
	bool built;
};

static bool
list_emit(
	struct dir_emit *e, const char *name, size_t len, uint64_t ino, uint8_t type, int64_t next)
{
	struct odir *o = container_of(e, struct odir, e);
	struct name n = {name, (uint32_t)len, dentry_hash(name, len)};

	(void)next;
	if (!stacked_is_dots(name, len) && !find(o->d, &n))
		stacked_list_add(&o->l, &n, ino, type);
	return !o->l.failed;
}

static int
list_build(struct odir *o, const struct call *c)
{
	struct oentry *k;
	int r;

	stacked_list_clear(&o->l);
	list_for_each_entry (k, &o->d->entries, node) {
		struct name n = {k->name, k->len, k->hash};

		if (k->target)
			stacked_list_add(&o->l, &n, k->target->i.ino,
				(uint8_t)(inode_mode(&k->target->i) >> 12));
	}
	r = lower_iterate(o->d, c, &o->e);
	if (!r && o->l.failed)
		r = -ENOMEM;
	o->built = !r;
	return r;
}

static int
dir_iterate(struct file *f, const struct call *c, struct dir_emit *e)
{
	struct odir *o = f->priv;
	int r;

	if (!o) {
		o = calloc(1, sizeof *o);
		if (!o)
			return -ENOMEM;
		o->e.fn = list_emit;
		o->d = onode_of(f->inode);
		f->priv = o;
	}
	if (f->pos == 0 || !o->built) {
		r = list_build(o, c);
		if (r)
			return r;
	}
	return stacked_list_emit(&o->l, f, e);
}

static void
dir_release(struct file *f)
{
	struct odir *o = f->priv;

	if (o)
		stacked_list_free(&o->l);
	free(o);
}

static int
dir_fsync(struct file *f, const struct call *c, bool data_only)
{
	(void)f, (void)c, (void)data_only;
	return 0;
}

const struct inode_ops overlay_dir_iops = {
	.lookup = dir_lookup,
	.walk = dir_walk,
	.create = dir_create,
	.tmpfile = dir_tmpfile,
	.link = dir_link,
	.unlink = dir_unlink,
	.rmdir = dir_rmdir,
	.rename = dir_rename,
	.setattr = overlay_setattr,
	.getxattr = overlay_getxattr,
	.setxattr = overlay_setxattr,
	.listxattr = overlay_listxattr,
	.removexattr = overlay_removexattr,
	.free = onode_free,
};

const struct file_ops overlay_dir_fops = {
	.read = file_read_dir,
	.lseek = file_lseek_dir,
	.iterate = dir_iterate,
	.fsync = dir_fsync,
	.release = dir_release,
};
