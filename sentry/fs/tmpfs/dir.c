/* SPDX-License-Identifier: Apache-2.0 */
/* tmpfs: nodes, directories and their entries. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

int
tnode_new(struct super *sb, const struct inode_spec *spec, struct tnode **ret)
{
	struct tmpfs_super *t = tsb_of(sb);
	struct tnode *n;
	const struct inode_ops *ops = &tmpfs_iops;
	const struct file_ops *fops = NULL;

	if (atomic_fetch_add(&t->inodes, 1) >= t->max_inodes && t->max_inodes) {
		atomic_fetch_sub(&t->inodes, 1);
		return -ENOSPC;
	}
	n = calloc(1, sizeof *n);
	if (!n) {
		atomic_fetch_sub(&t->inodes, 1);
		return -ENOMEM;
	}
	if (LX_S_ISDIR(spec->mode)) {
		ops = &tmpfs_dir_iops;
		fops = &tmpfs_dir_fops;
	} else if (LX_S_ISREG(spec->mode)) {
		ops = &tmpfs_reg_iops;
		fops = &tmpfs_reg_fops;
	}
	inode_init(&n->i, sb, ops, fops, atomic_fetch_add(&t->next_ino, 1), spec->mode, spec->uid,
		spec->gid);
	n->i.rdev = spec->rdev;
	n->fd = -1;
	n->ro_fd = -1;
	n->seals = LX_F_SEAL_SEAL;
	list_init(&n->xattrs);
	list_init(&n->entries);
	n->next_off = 3;
	if (LX_S_ISDIR(spec->mode))
		n->i.size = 2 * TMPFS_DIRENT_SIZE;
	if (spec->target) {
		n->i.link = strdup(spec->target);
		if (!n->i.link) {
			inode_put(&n->i);
			return -ENOMEM;
		}
		n->i.size = (int64_t)strlen(spec->target);
	}
	*ret = n;
	return 0;
}

/* Forget all entries, and those of directories below that nobody else holds: by a list, not by
 * recursion, because guests choose the depth. */
static void
drop_entries(struct tnode *top)
{
	struct list todo, *l;

	list_init(&todo);
	list_splice(&todo, &top->entries);
	while ((l = list_pop_front(&todo))) {
		struct tdirent *e = list_entry(l, struct tdirent, node);
		struct tnode *n = e->target;

		if (atomic_load(&n->i.ref.n) == 1)
			list_splice(&todo, &n->entries);
		inode_put(&n->i);
		free(e);
	}
}

void
tnode_free(struct inode *i)
{
	struct tnode *n = tnode_of(i);
	struct tmpfs_super *t = tsb_of(i->sb);

	drop_entries(n);
	free(n->table);
	tdata_free(n);
	txattr_free(n);
	atomic_fetch_sub(&t->inodes, 1);
	inode_fini(i);
	free(n);
}

static struct tdirent **
slot(struct tnode *d, const struct name *n)
{
	struct tdirent **e;

	for (e = &d->table[n->hash & (d->nbuckets - 1)]; *e; e = &(*e)->next)
		if ((*e)->hash == n->hash && (*e)->len == n->len &&
			!memcmp((*e)->name, n->s, n->len))
			break;
	return e;
}

static struct tdirent *
find(struct tnode *d, const struct name *n)
{
	return d->table ? *slot(d, n) : NULL;
}

static int
grow(struct tnode *d)
{
	uint32_t nb = d->nbuckets ? d->nbuckets * 4 : 8;
	struct tdirent **nt, *e;

	if (d->nbuckets && (d->nentries < d->nbuckets || nb > (1u << 22)))
		return 0;
	nt = calloc(nb, sizeof(struct tdirent *));
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

/* A new entry; takes over the caller's reference on target. */
static int
add(struct tnode *d, const struct name *n, struct tnode *target)
{
	struct tdirent *e = malloc(sizeof *e + n->len + 1), **s;

	if (!e || grow(d)) {
		free(e);
		return -ENOMEM;
	}
	e->target = target;
	e->hash = n->hash;
	e->len = n->len;
	e->off = d->next_off++;
	memcpy(e->name, n->s, n->len);
	e->name[n->len] = 0;
	s = &d->table[n->hash & (d->nbuckets - 1)];
	e->next = *s;
	*s = e;
	list_push_back(&d->entries, &e->node);
	d->nentries++;
	inode_store(d->i.size, d->i.size + TMPFS_DIRENT_SIZE);
	inode_touch(&d->i, INODE_T_MTIME | INODE_T_CTIME);
	return 0;
}

/* Take an entry out; its reference on the target is the caller's to drop. */
static void
take(struct tnode *d, const struct name *n)
{
	struct tdirent **s = slot(d, n), *e = *s;

	*s = e->next;
	list_del(&e->node);
	d->nentries--;
	free(e);
	inode_store(d->i.size, d->i.size - TMPFS_DIRENT_SIZE);
	inode_touch(&d->i, INODE_T_MTIME | INODE_T_CTIME);
}

static int
dir_lookup(struct inode *dir, const struct call *c, const struct name *n, struct inode **ret)
{
	struct tdirent *e = find(tnode_of(dir), n);

	(void)c;
	if (!e)
		return -ENOENT;
	*ret = inode_get(&e->target->i);
	return 0;
}

static int
dir_create(struct inode *dir, const struct call *c, const struct name *n,
	const struct inode_spec *spec, struct inode **ret)
{
	struct tnode *d = tnode_of(dir), *k;
	int r;

	(void)c;
	if (find(d, n))
		return -EEXIST;
	r = tnode_new(dir->sb, spec, &k);
	if (r)
		return r;
	r = add(d, n, k);
	if (r) {
		inode_put(&k->i);
		return r;
	}
	if (LX_S_ISDIR(spec->mode))
		inode_add_nlink(dir, 1);
	*ret = inode_get(&k->i);
	return 0;
}

static int
dir_tmpfile(
	struct inode *dir, const struct call *c, const struct inode_spec *spec, struct inode **ret)
{
	struct tnode *k;
	int r = tnode_new(dir->sb, spec, &k);

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
	int r;

	(void)c;
	if (find(tnode_of(dir), n))
		return -EEXIST;
	r = add(tnode_of(dir), n, tnode_of(inode_get(inode)));
	if (r) {
		inode_put(inode);
		return r;
	}
	inode_add_nlink(inode, 1);
	inode_touch(inode, INODE_T_CTIME);
	return 0;
}

static int
dir_unlink(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	(void)c;
	take(tnode_of(dir), n);
	inode_add_nlink(inode, -1);
	inode_touch(inode, INODE_T_CTIME);
	inode_put(inode);
	return 0;
}

static int
dir_rmdir(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	(void)c;
	if (tnode_of(inode)->nentries)
		return -ENOTEMPTY;
	take(tnode_of(dir), n);
	inode_add_nlink(dir, -1);
	inode_set_nlink(inode, 0);
	inode_touch(inode, INODE_T_CTIME);
	inode_put(inode);
	return 0;
}

static int
exchange(struct tnode *od, const struct name *on, struct tnode *a, struct tnode *nd,
	const struct name *nn, struct tnode *b)
{
	int da = inode_is_dir(&a->i), db = inode_is_dir(&b->i);

	find(od, on)->target = b;
	find(nd, nn)->target = a;
	if (od != nd && da != db) {
		inode_add_nlink(&od->i, db - da);
		inode_add_nlink(&nd->i, da - db);
	}
	inode_touch(&od->i, INODE_T_MTIME | INODE_T_CTIME);
	inode_touch(&nd->i, INODE_T_MTIME | INODE_T_CTIME);
	inode_touch(&a->i, INODE_T_CTIME);
	inode_touch(&b->i, INODE_T_CTIME);
	return 0;
}

/* What overlays and unions of the guest take for "nothing here" (Linux: shmem_whiteout). */
static int
whiteout_new(struct inode *dir, const struct call *c, struct tnode **ret)
{
	struct inode_spec spec = {.mode = LX_S_IFCHR, .uid = c->cred->fsuid, .gid = c->cred->fsgid};

	if (inode_mode(dir) & LX_S_ISGID)
		spec.gid = inode_load(dir->gid);
	return tnode_new(dir->sb, &spec, ret);
}

/* Take an entry out whose target has another name now; a whiteout, when there is one, stays. */
static void
leave(struct tnode *d, const struct name *n, struct tnode *whiteout)
{
	if (!whiteout) {
		take(d, n);
		return;
	}
	find(d, n)->target = whiteout;
	inode_touch(&d->i, INODE_T_MTIME | INODE_T_CTIME);
}

static int
dir_rename(struct inode *old_dir, const struct call *c, const struct name *on, struct inode *inode,
	struct inode *new_dir, const struct name *nn, struct inode *target, uint32_t flags)
{
	struct tnode *od = tnode_of(old_dir), *nd = tnode_of(new_dir);
	struct tnode *whiteout = NULL;
	bool isdir = inode_is_dir(inode);
	int r;

	if (flags & LX_RENAME_EXCHANGE)
		return exchange(od, on, tnode_of(inode), nd, nn, tnode_of(target));
	if (target && inode_is_dir(target) && tnode_of(target)->nentries)
		return -ENOTEMPTY;
	if (flags & LX_RENAME_WHITEOUT) {
		r = whiteout_new(old_dir, c, &whiteout);
		if (r)
			return r;
	}
	if (target) {
		/* what can fail is done: put the inode in the target's place */
		find(nd, nn)->target = tnode_of(inode);
		leave(od, on, whiteout);
		if (isdir) {
			inode_add_nlink(old_dir, -1);
			inode_set_nlink(target, 0);
		} else {
			inode_add_nlink(target, -1);
		}
		inode_touch(target, INODE_T_CTIME);
		inode_touch(new_dir, INODE_T_MTIME | INODE_T_CTIME);
		inode_put(target);
	} else {
		r = add(nd, nn, tnode_of(inode));
		if (r) {
			if (whiteout)
				inode_put(&whiteout->i);
			return r;
		}
		leave(od, on, whiteout);
		if (isdir && old_dir != new_dir) {
			inode_add_nlink(old_dir, -1);
			inode_add_nlink(new_dir, 1);
		}
	}
	inode_touch(inode, INODE_T_CTIME);
	return 0;
}

static int
dir_iterate(struct file *f, const struct call *c, struct dir_emit *e)
{
	struct tnode *d = tnode_of(f->inode);
	struct tdirent *k;

	(void)c;
	if (!file_emit_dots(f, e))
		return 0;
	list_for_each_entry (k, &d->entries, node) {
		if (k->off < f->pos)
			continue;
		if (!e->fn(e, k->name, k->len, k->target->i.ino,
			    (uint8_t)(inode_mode(&k->target->i) >> 12), k->off + 1))
			return 0;
		f->pos = k->off + 1;
	}
	return 0;
}

static int
dir_fsync(struct file *f, const struct call *c, bool data_only)
{
	(void)f, (void)c, (void)data_only;
	return 0;
}

const struct inode_ops tmpfs_dir_iops = {
	.lookup = dir_lookup,
	.create = dir_create,
	.tmpfile = dir_tmpfile,
	.link = dir_link,
	.unlink = dir_unlink,
	.rmdir = dir_rmdir,
	.rename = dir_rename,
	.getxattr = txattr_get,
	.setxattr = txattr_set,
	.listxattr = txattr_list,
	.removexattr = txattr_remove,
	.free = tnode_free,
};

const struct inode_ops tmpfs_iops = {
	.getxattr = txattr_get,
	.setxattr = txattr_set,
	.listxattr = txattr_list,
	.removexattr = txattr_remove,
	.free = tnode_free,
};

const struct file_ops tmpfs_dir_fops = {
	.read = file_read_dir,
	.lseek = file_lseek_dir,
	.iterate = dir_iterate,
	.fsync = dir_fsync,
};
