/* SPDX-License-Identifier: Apache-2.0 */
/* Synthetic trees: nodes, lookup by table and by function. Linux counterparts: fs/proc/generic.c,
 * base.c. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

static const struct inode_ops dir_iops, dyn_iops, file_iops, link_iops, magic_iops;

void
pseudo_ctx_of(struct inode *i, const struct call *c, struct pseudo_ctx *x)
{
	struct pnode *n = pnode_of(i);

	*x = (struct pseudo_ctx){c, i, n->row, n->obj, n->key, 0, NULL};
}

uint64_t
pseudo_ino(uint64_t parent, const char *name, size_t len)
{
	uint64_t h = parent ^ 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3ULL;
	h ^= h >> 29;
	return (h & 0xffffffffffULL) |
	       0x10000000000ULL; /* never the small numbers that rows may choose */
}

/* As Linux counts: a name, ".", and ".." of each directory in it; those of sysctl have one. */
static uint32_t
links_of(const struct pseudo_row *row, enum pseudo_part part)
{
	uint32_t n = 2;

	if (part == PSEUDO_SYSCTL || part == PSEUDO_SYSCTL_OWN)
		return 1;
	for (const struct pseudo_row *k = row->rows; k && k->name; k++)
		n += LX_S_ISDIR(k->mode);
	return n;
}

/* obj's reference passes to the node, on failure too. */
static int
pnode_new(struct super *sb, const struct pseudo_child *ch, enum pseudo_part part, uint64_t ino,
	struct inode **ret)
{
	const struct pseudo_row *row = ch->row;
	struct pnode *n = calloc(1, sizeof *n);
	const struct inode_ops *ops = &file_iops;
	const struct file_ops *fops = &pseudo_file_fops;

	if (row->part)
		part = row->part;
	if (part == PSEUDO_PROCESS && !row->poll)
		fops = &pseudo_unpolled_fops;
	if (!n) {
		if (ch->obj_ops)
			ch->obj_ops->put(ch->obj);
		return -ENOMEM;
	}
	if (LX_S_ISDIR(row->mode)) {
		ops = row->dir ? &dyn_iops : &dir_iops;
		fops = &pseudo_dir_fops;
	} else if (LX_S_ISLNK(row->mode)) {
		ops = row->magic ? &magic_iops : &link_iops;
		fops = NULL;
	}
	inode_init(&n->i, sb, ops, fops, ino, row->mode, 0, 0);
	if (LX_S_ISDIR(row->mode))
		n->i.nlink = links_of(row, part);
	n->i.rdev = row->rdev;
	n->i.flags = INODE_NOATIME | INODE_NOWRITE_CHECK;
	n->row = row;
	n->obj = ch->obj;
	n->obj_ops = ch->obj_ops;
	n->key = ch->key;
	n->part = part;
	if (row->target) {
		n->i.link = strdup(row->target);
		if (!n->i.link) {
			inode_put(&n->i);
			return -ENOMEM;
		}
		n->i.size = (int64_t)strlen(row->target);
	}
	*ret = &n->i;
	return 0;
}

static void
node_free(struct inode *i)
{
	struct pnode *n = pnode_of(i);

	inode_fini(i);
	if (n->obj_ops)
		n->obj_ops->put(n->obj);
	free(n);
}

static int
dir_lookup(struct inode *dir, const struct call *c, const struct name *nm, struct inode **ret)
{
	struct pnode *d = pnode_of(dir);
	struct pseudo_child ch = {0};
	struct pseudo_ctx x;
	char name[LX_NAME_MAX + 1];
	int r;

	pseudo_ctx_of(dir, c, &x);
	for (const struct pseudo_row *k = d->row->rows; k && k->name; k++) {
		if (strlen(k->name) != nm->len || memcmp(k->name, nm->s, nm->len))
			continue;
		if (k->visible && !k->visible(&x))
			return -ENOENT;
		ch = (struct pseudo_child){k, d->obj, d->obj_ops, d->key, 0};
		if (ch.obj_ops)
			ch.obj_ops->get(ch.obj);
		return pnode_new(dir->sb, &ch, d->part, pseudo_ino(dir->ino, nm->s, nm->len), ret);
	}
	if (!d->row->dir)
		return -ENOENT;
	memcpy(name, nm->s, nm->len);
	name[nm->len] = 0;
	r = d->row->dir->lookup(&x, name, &ch);
	if (r)
		return r;
	if (!ch.obj && d->obj_ops) {
		ch.obj = d->obj;
		ch.obj_ops = d->obj_ops;
		ch.obj_ops->get(ch.obj);
	}
	return pnode_new(
		dir->sb, &ch, d->part, ch.ino ? ch.ino : pseudo_ino(dir->ino, nm->s, nm->len), ret);
}

/* Rows of the table stay; what a function found is asked again. */
static int
dyn_revalidate(struct inode *dir, const struct call *c, const struct name *nm, struct inode *inode)
{
	struct pnode *d = pnode_of(dir);
	struct pseudo_ctx x;

	for (const struct pseudo_row *k = d->row->rows; k && k->name; k++)
		if (strlen(k->name) == nm->len && !memcmp(k->name, nm->s, nm->len))
			return inode &&
			       (!k->visible || (pseudo_ctx_of(dir, c, &x), k->visible(&x)));
	if (!inode || !d->row->dir->still)
		return 0;
	pseudo_ctx_of(inode, c, &x);
	return d->row->dir->still(&x);
}

static int
node_refresh(struct inode *i, const struct call *c, bool force)
{
	struct pnode *n = pnode_of(i);
	struct pseudo_ctx x;

	(void)force;
	if (!n->row->attr)
		return 0;
	pseudo_ctx_of(i, c, &x);
	n->row->attr(&x, i);
	return 0;
}

static int
by_mode(const struct inode *i, const struct call *c, int mask)
{
	uint32_t mode = inode_load(i->mode);

	if (c->cred->euid == inode_load(i->uid))
		mode >>= 6;
	else if (cred_in_group(c->cred, inode_load(i->gid)))
		mode >>= 3;
	return (uint32_t)mask & ~mode & 7 ? -EACCES : 0;
}

static int
node_permission(struct inode *i, const struct call *c, int mask)
{
	struct pnode *n = pnode_of(i);
	struct pseudo_ctx x;
	int r;

	pseudo_ctx_of(i, c, &x);
	if (n->row->attr)
		n->row->attr(&x, i);
	r = n->part == PSEUDO_SYSCTL	   ? by_mode(i, c, mask)
	    : n->part == PSEUDO_SYSCTL_OWN ? 0
					   : inode_permission_generic(i, c, mask);
	if (r && n->row->always && n->row->always(&x))
		return 0;
	return !r && n->row->check ? n->row->check(&x, mask) : r;
}

static ssize_t
link_readlink(struct inode *i, const struct call *c, char *buf, size_t cap)
{
	struct pnode *n = pnode_of(i);
	struct pseudo_ctx x;
	int r;

	pseudo_ctx_of(i, c, &x);
	if (!n->row->readlink)
		return -EINVAL;
	r = n->row->check ? n->row->check(&x, LX_R_OK) : 0;
	return r ? r : n->row->readlink(&x, buf, cap);
}

static int
link_magic(struct inode *i, const struct call *c, struct path *ret)
{
	struct pnode *n = pnode_of(i);
	struct pseudo_ctx x;
	int r;

	pseudo_ctx_of(i, c, &x);
	r = n->row->check ? n->row->check(&x, LX_X_OK) : 0;
	return r ? r : n->row->magic(&x, ret);
}

static int
file_open(struct inode *i, const struct call *c, struct file *f)
{
	struct pnode *n = pnode_of(i);
	struct pseudo_ctx x;
	struct pfile *pf;
	int r;

	if (n->part == PSEUDO_NET && (f->mode & LX_FMODE_WRITE) && !n->row->write)
		return -EACCES;
	pseudo_ctx_of(i, c, &x);
	if (n->row->bind) {
		pf = calloc(1, sizeof *pf);
		if (!pf)
			return -ENOMEM;
		x.bound = pf->bound = n->row->bind(&x);
		/* Who it was permitted for may have become another one before it was bound. */
		r = n->row->check ? n->row->check(&x, 0) : 0;
		if (!r && n->row->at_open)
			r = n->row->show(&x, &pf->text);
		if (!r && pf->text.failed)
			r = -ENOMEM;
		if (r) {
			if (n->row->unbind)
				n->row->unbind(pf->bound);
			sbuf_free(&pf->text);
			free(pf);
			return r;
		}
		f->priv = pf;
	}
	return n->row->open ? n->row->open(&x, f) : 0;
}

/* O_TRUNC is harmless where writing is allowed. */
static int
file_setattr(struct inode *i, const struct call *c, const struct iattr *a)
{
	enum pseudo_part part = pnode_of(i)->part;
	struct iattr k = *a;

	(void)c;
	if ((part == PSEUDO_SYSCTL || part == PSEUDO_SYSCTL_OWN) &&
		(a->valid & (IATTR_MODE | IATTR_UID | IATTR_GID)))
		return -EPERM; /* proc_sys_setattr */
	k.valid &= ~IATTR_SIZE;
	inode_setattr_apply(i, &k);
	return 0;
}

static const struct inode_ops dir_iops = {
	.lookup = dir_lookup,
	.permission = node_permission,
	.refresh = node_refresh,
	.free = node_free,
};

static const struct inode_ops dyn_iops = {
	.lookup = dir_lookup,
	.revalidate = dyn_revalidate,
	.permission = node_permission,
	.refresh = node_refresh,
	.free = node_free,
};

static const struct inode_ops file_iops = {
	.permission = node_permission,
	.refresh = node_refresh,
	.open = file_open,
	.setattr = file_setattr,
	.free = node_free,
};

static const struct inode_ops link_iops = {
	.readlink = link_readlink,
	.refresh = node_refresh,
	.free = node_free,
};

static const struct inode_ops magic_iops = {
	.readlink = link_readlink,
	.magic = link_magic,
	.refresh = node_refresh,
	.free = node_free,
};

int
pseudo_super_new(const struct fs_type *type, const struct super_ops *ops,
	const struct pseudo_row *root, uint32_t flags, int64_t magic, struct super **ret)
{
	struct super *sb = super_new(type, ops, type->name);
	struct pseudo_child ch = {.row = root};
	struct inode *i;
	int r;

	if (!sb)
		return -ENOMEM;
	sb->flags = flags | SUPER_NO_NEGATIVE;
	sb->magic = magic;
	r = pnode_new(sb, &ch, PSEUDO_AS_PARENT, 1, &i);
	if (!r)
		r = super_set_root(sb, i);
	if (r) {
		super_put(sb);
		return r;
	}
	*ret = sb;
	return 0;
}
