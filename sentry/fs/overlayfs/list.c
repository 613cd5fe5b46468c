/* SPDX-License-Identifier: Apache-2.0 */
/* overlayfs: reading directories. The merged list is made when reading starts. */
#include "abi/dirent.h"
#include "internal.h"
#include <stdlib.h>
#include <string.h>

struct reading {
	struct dir_emit e;
	struct stacked_list *l;
	uint32_t fs;
};

static bool
emit(struct dir_emit *e, const char *name, size_t len, uint64_t ino, uint8_t type, int64_t next)
{
	struct reading *r = container_of(e, struct reading, e);
	const struct name n = {name, (uint32_t)len, dentry_hash(name, len)};

	(void)next;
	if (!stacked_is_dots(name, len) && !stacked_list_find(r->l, &n))
		stacked_list_add(r->l, &n, ovl_ino(r->fs, ino), type);
	return !r->l->failed;
}

int
ovl_list_real(struct file *f, const struct call *k, struct stacked_list *l, uint32_t fs)
{
	struct reading reading = {.e = {emit}, .l = l, .fs = fs};
	int r = vfs_iterate(f, k, &reading.e);

	return r ? r : l->failed ? -ENOMEM : 0;
}

/* A type does not tell a whiteout from other devices. */
static int
hide_whiteouts(const struct call *k, struct dentry *dir, struct stacked_list *l, size_t from)
{
	for (size_t i = from; i < l->n; i++) {
		struct stacked_entry *e = &l->list[i];
		const struct name n = {l->text + e->at, e->len, e->hash};
		struct dentry *d;
		int r;

		if (e->type != LX_DT_CHR && e->type != LX_DT_UNKNOWN)
			continue;
		r = ovl_look(k, dir, &n, &d);
		if (r)
			return r;
		e->hidden = !d || ovl_is_whiteout(d->inode);
		dentry_put(d);
	}
	return 0;
}

static int
list_layer(const struct call *k, const struct path *p, uint32_t fs, struct stacked_list *l)
{
	size_t before = l->n;
	struct file *f;
	int r = inode_permission(p->dentry->inode, k, LX_R_OK);

	if (!r)
		r = vfs_open_quiet(k, p, LX_O_RDONLY | LX_O_DIRECTORY, &f);
	if (r)
		return r;
	r = ovl_list_real(f, k, l, fs);
	file_put(f);
	return r ? r : hide_whiteouts(k, p->dentry, l, before);
}

int
ovl_list(struct ovl_node *d, const struct call *c, struct stacked_list *l)
{
	struct ovl_super *o = ovl_super_of(d->i.sb);
	struct call k = ovl_call(o, c);
	struct path p = ovl_upper_path(o, d);
	int r = 0;

	stacked_list_clear(l);
	if (p.dentry)
		r = list_layer(&k, &p, o->upper.fs, l);
	for (uint32_t i = 0; !r && i < d->nlower; i++) {
		const struct ovl_layer *layer = &o->layers[d->lower[i].layer];

		p = (struct path){layer->mnt, d->lower[i].dentry};
		r = list_layer(&k, &p, layer->fs, l);
	}
	return r;
}

int
ovl_check_empty(struct ovl_node *d, const struct call *c)
{
	struct stacked_list l = {0};
	int r = ovl_list(d, c, &l);

	for (size_t i = 0; !r && i < l.n; i++)
		if (!l.list[i].hidden)
			r = -ENOTEMPTY;
	stacked_list_free(&l);
	return r;
}

struct open_dir {
	struct stacked_list l;
	bool built;
};

/* What is known by its name keeps its number after it was copied up. */
static void
number_as_known(struct dentry *dir, struct stacked_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct stacked_entry *e = &l->list[i];
		const struct name n = {l->text + e->at, e->len, e->hash};
		struct dentry *d = dentry_find(dir, &n);

		if (d && d->inode)
			e->ino = d->inode->ino;
		dentry_put(d);
	}
}

int
ovl_iterate(struct file *f, const struct call *c, struct dir_emit *e)
{
	struct open_dir *o = f->priv;
	int r;

	if (!o) {
		o = calloc(1, sizeof *o);
		if (!o)
			return -ENOMEM;
		f->priv = o;
	}
	if (f->pos == 0 || !o->built) {
		r = ovl_list(ovl_node_of(f->inode), c, &o->l);
		o->built = !r;
		if (r)
			return r;
		if (atomic_load(&ovl_node_of(f->inode)->upper) && ovl_node_of(f->inode)->nlower)
			number_as_known(f->path.dentry, &o->l);
	}
	return stacked_list_emit(&o->l, f, e);
}

static void
dir_release(struct file *f)
{
	struct open_dir *o = f->priv;

	if (o)
		stacked_list_free(&o->l);
	free(o);
}

static int
dir_fsync(struct file *f, const struct call *c, bool data_only)
{
	struct ovl_super *o = ovl_super_of(f->inode->sb);
	struct call k = ovl_call(o, c);
	struct path p = ovl_upper_path(o, ovl_node_of(f->inode));
	struct file *real;
	int r;

	if (!p.dentry || o->is_volatile)
		return 0;
	r = vfs_open_quiet(&k, &p, LX_O_RDONLY | LX_O_DIRECTORY, &real);
	if (r)
		return r;
	r = vfs_fsync(real, &k, data_only);
	file_put(real);
	return r;
}

const struct file_ops ovl_dir_fops = {
	.read = file_read_dir,
	.lseek = file_lseek_dir,
	.iterate = ovl_iterate,
	.fsync = dir_fsync,
	.release = dir_release,
};
