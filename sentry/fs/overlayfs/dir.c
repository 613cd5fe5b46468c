/* SPDX-License-Identifier: Apache-2.0 */
/* overlayfs: names. The directories' dir_locks are held throughout, so that no other look through
 * this mount meets what is half done. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

/* --- finding --- */

/* What the lower directories have of the name, below what was found so far: *found is a directory.
 */
static int
look_lower(struct ovl_node *d, const struct call *k, const struct name *n, bool found,
	struct ovl_lower *stack, uint32_t *count)
{
	struct ovl_super *o = ovl_super_of(d->i.sb);

	for (uint32_t i = 0; i < d->nlower; i++) {
		struct dentry *e;
		int r = ovl_look(k, d->lower[i].dentry, n, &e);

		if (r)
			return r;
		if (!e)
			continue;
		if (ovl_is_whiteout(e->inode) || (found && !inode_is_dir(e->inode))) {
			dentry_put(e);
			return 0;
		}
		stack[(*count)++] = (struct ovl_lower){e, d->lower[i].layer};
		if (!inode_is_dir(e->inode) || ovl_is_opaque(o, k, e))
			return 0;
		found = true;
	}
	return 0;
}

static int
dir_lookup(struct inode *dir, const struct call *c, const struct name *n, struct inode **ret)
{
	struct ovl_node *d = ovl_node_of(dir), *node;
	struct ovl_super *o = ovl_super_of(dir->sb);
	struct call k = ovl_call(o, c);
	struct dentry *upper_dir = atomic_load(&d->upper), *upper = NULL;
	struct ovl_lower *stack = NULL;
	uint32_t count = 0;
	int r = upper_dir ? ovl_look(&k, upper_dir, n, &upper) : 0;

	if (r)
		return r;
	if (upper && ovl_is_whiteout(upper->inode)) {
		dentry_put(upper);
		return -ENOENT;
	}
	if (d->nlower && (!upper || (inode_is_dir(upper->inode) && !ovl_is_opaque(o, &k, upper)))) {
		stack = malloc(d->nlower * sizeof *stack);
		r = stack ? look_lower(d, &k, n, upper, stack, &count) : -ENOMEM;
	}
	if (!r && !upper && !count)
		r = -ENOENT;
	if (!r) {
		r = ovl_node_new(dir->sb, c, upper, stack, count, d, n, &node);
	} else {
		dentry_put(upper);
		for (uint32_t i = 0; i < count; i++)
			dentry_put(stack[i].dentry);
	}
	free(stack);
	if (!r)
		*ret = &node->i;
	return r;
}

/* Would something of a lower directory show under the name if the upper one had nothing? */
static int
is_covered(struct ovl_node *d, const struct call *k, const struct name *n)
{
	for (uint32_t i = 0; i < d->nlower; i++) {
		struct dentry *e;
		int r = ovl_look(k, d->lower[i].dentry, n, &e);

		if (r)
			return r;
		if (e) {
			r = !ovl_is_whiteout(e->inode);
			dentry_put(e);
			return r;
		}
	}
	return 0;
}

/* --- making --- */

/* Where in the upper tree a name of d is. */
struct place {
	struct call k;
	struct path dir;
	struct name n;
	char name[LX_NAME_MAX + 1];
	struct dentry *there; /* a reference, or NULL */
	bool whiteout;	      /* it is one */
};

static int
place_open(struct place *p, struct ovl_node *d, const struct call *c, const struct name *n)
{
	struct ovl_super *o = ovl_super_of(d->i.sb);
	int r;

	p->there = NULL;
	p->whiteout = false;
	if (n->len > LX_NAME_MAX)
		return -ENAMETOOLONG;
	r = ovl_copy_up(d, c, INT64_MAX);
	if (r)
		return r;
	p->k = ovl_call(o, c);
	p->dir = ovl_upper_path(o, d);
	memcpy(p->name, n->s, n->len);
	p->name[n->len] = 0;
	p->n = (struct name){p->name, n->len, n->hash};
	r = ovl_look(&p->k, p->dir.dentry, &p->n, &p->there);
	p->whiteout = !r && p->there && ovl_is_whiteout(p->there->inode);
	return r;
}

static void
place_close(struct place *p)
{
	dentry_put(p->there);
}

/* Move what is in the work directory to a place where there is nothing, or a whiteout. */
static int
move_in(struct ovl_super *o, struct place *p, const char *temp, bool is_dir)
{
	const struct path work = ovl_work_path(o);
	uint32_t flags = p->whiteout && is_dir ? LX_RENAME_EXCHANGE : 0;
	int r = vfs_rename(&p->k, &work, temp, &p->dir, p->name, flags);

	if (!r && flags)
		vfs_unlink(&p->k, &work, temp);
	return r;
}

static int
make_at(struct ovl_super *o, struct place *p, const struct inode_spec *spec, struct dentry **ret)
{
	const bool is_dir = LX_S_ISDIR(spec->mode);
	const struct path work = ovl_work_path(o);
	char temp[OVL_TEMP_NAME];
	struct path made = {o->upper.mnt, NULL};
	int r;

	if (!p->whiteout)
		return ovl_make(&p->k, &p->dir, p->name, spec, ret);
	ovl_temp_name(temp);
	r = ovl_make(&p->k, &work, temp, spec, &made.dentry);
	if (r)
		return r;
	if (is_dir)
		r = ovl_set_opaque(o, &p->k, &made);
	if (!r)
		r = move_in(o, p, temp, is_dir);
	dentry_put(made.dentry);
	if (r)
		ovl_clean(o, &p->k, temp);
	else
		r = ovl_look(&p->k, p->dir.dentry, &p->n, ret);
	return r || *ret ? r : -EIO;
}

static int
dir_create(struct inode *dir, const struct call *c, const struct name *n,
	const struct inode_spec *spec, struct inode **ret)
{
	struct ovl_node *d = ovl_node_of(dir), *node;
	struct dentry *made = NULL;
	struct place p;
	int r;

	if (LX_S_ISCHR(spec->mode) && spec->rdev == 0)
		return -EPERM; /* it would be a whiteout */
	r = place_open(&p, d, c, n);
	if (!r && p.there && !p.whiteout)
		r = -EEXIST;
	if (!r)
		r = make_at(ovl_super_of(dir->sb), &p, spec, &made);
	place_close(&p);
	if (r)
		return r;
	r = ovl_node_new(dir->sb, c, made, NULL, 0, d, n, &node);
	if (r)
		return r;
	ovl_refresh(dir, c, false);
	*ret = &node->i;
	return 0;
}

static int
dir_tmpfile(
	struct inode *dir, const struct call *c, const struct inode_spec *spec, struct inode **ret)
{
	static const struct name no_name = {"", 0, 0};
	const struct open_spec how = {.flags = LX_O_RDWR | LX_O_TMPFILE,
		.mode = spec->mode & LX_S_IALLUGO,
		.quiet = true};
	struct ovl_super *o = ovl_super_of(dir->sb);
	struct ovl_node *d = ovl_node_of(dir), *node;
	struct call k = ovl_call(o, c);
	struct iattr a = {.valid = IATTR_UID | IATTR_GID, .uid = spec->uid, .gid = spec->gid};
	struct path p;
	struct file *f;
	int r = ovl_copy_up(d, c, INT64_MAX);

	if (r)
		return r;
	p = ovl_upper_path(o, d);
	r = vfs_open(&k, &p, ".", &how, &f);
	if (r)
		return r;
	r = vfs_setattr(&k, &f->path, &a);
	a = (struct iattr){.valid = IATTR_MODE, .mode = spec->mode & LX_S_IALLUGO};
	if (!r)
		r = vfs_setattr(&k, &f->path, &a);
	if (!r)
		r = ovl_node_new(
			dir->sb, c, dentry_get(f->path.dentry), NULL, 0, d, &no_name, &node);
	if (!r)
		*ret = &node->i;
	file_put(f);
	return r;
}

static int
dir_link(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	struct ovl_super *o = ovl_super_of(dir->sb);
	const struct path work = ovl_work_path(o);
	char temp[OVL_TEMP_NAME];
	struct place p;
	struct path from;
	int r = ovl_copy_up(ovl_node_of(inode), c, INT64_MAX);

	if (r)
		return r;
	r = place_open(&p, ovl_node_of(dir), c, n);
	if (!r && p.there && !p.whiteout)
		r = -EEXIST;
	from = ovl_upper_path(o, ovl_node_of(inode));
	if (!r && !p.whiteout) {
		r = vfs_link(&p.k, &from, "", &p.dir, p.name, LX_AT_EMPTY_PATH);
	} else if (!r) {
		ovl_temp_name(temp);
		r = vfs_link(&p.k, &from, "", &work, temp, LX_AT_EMPTY_PATH);
		if (!r && (r = move_in(o, &p, temp, false)))
			vfs_unlink(&p.k, &work, temp);
	}
	place_close(&p);
	if (r)
		return r;
	ovl_node_of(inode)->gone = false;
	ovl_refresh(inode, c, false);
	ovl_refresh(dir, c, false);
	return 0;
}

/* --- removing --- */

static int
make_whiteout(struct ovl_super *o, const struct call *k, char temp[OVL_TEMP_NAME])
{
	const struct path work = ovl_work_path(o);

	ovl_temp_name(temp);
	return vfs_mknod(k, &work, temp, LX_S_IFCHR, 0);
}

/* Move a whiteout that was made to a place; there: in exchange for what is there, which goes. */
static int
put_whiteout(struct ovl_super *o, struct place *p, const char *temp, bool there)
{
	const struct path work = ovl_work_path(o);
	int r = vfs_rename(&p->k, &work, temp, &p->dir, p->name, there ? LX_RENAME_EXCHANGE : 0);

	if (r || there)
		ovl_clean(o, &p->k, temp);
	return r;
}

/* Take away what is at the place, a directory with the whiteouts in it. */
static int
take_away(struct ovl_super *o, struct place *p, bool is_dir)
{
	const struct path work = ovl_work_path(o);
	char temp[OVL_TEMP_NAME];
	int r;

	if (!is_dir)
		return vfs_unlink(&p->k, &p->dir, p->name);
	ovl_temp_name(temp);
	r = vfs_rename(&p->k, &p->dir, p->name, &work, temp, 0);
	if (!r)
		ovl_clean(o, &p->k, temp);
	return r;
}

static int
remove_at(struct ovl_super *o, struct place *p, bool covered)
{
	char temp[OVL_TEMP_NAME];
	int r;

	if (!covered)
		return p->there ? take_away(o, p, inode_is_dir(p->there->inode)) : 0;
	r = make_whiteout(o, &p->k, temp);
	return r ? r : put_whiteout(o, p, temp, p->there);
}

static int
remove_name(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	struct ovl_super *o = ovl_super_of(dir->sb);
	struct ovl_node *node = ovl_node_of(inode);
	struct place p;
	int r = place_open(&p, ovl_node_of(dir), c, n), covered = 0;

	if (!r) {
		covered = is_covered(ovl_node_of(dir), &p.k, n);
		r = covered < 0 ? covered : remove_at(o, &p, covered);
	}
	place_close(&p);
	if (r)
		return r;
	if (!atomic_load(&node->upper) || inode_is_dir(inode))
		node->gone = true;
	ovl_refresh(inode, c, false);
	ovl_refresh(dir, c, false);
	return 0;
}

static int
dir_rmdir(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	int r = ovl_check_empty(ovl_node_of(inode), c);

	return r ? r : remove_name(dir, c, n, inode);
}

/* --- renaming --- */

/* Only what is in the upper tree alone can be moved as a whole. */
static bool
can_move(struct inode *i)
{
	return !inode_is_dir(i) || ovl_node_of(i)->nlower == 0;
}

/* A directory comes where it would be merged with what is below, or, as Linux has it, might be. */
static int
keep_apart(struct ovl_super *o, struct inode *i, const struct place *to, struct ovl_node *to_dir)
{
	const struct path p = ovl_upper_path(o, ovl_node_of(i));

	return inode_is_dir(i) && to_dir->nlower && ovl_set_opaque(o, &to->k, &p) ? -EXDEV : 0;
}

/* Move old to the place of target, or where there is none; with a whiteout for what shows then. The
 * whiteout is made first: what comes after the move cannot fail but for who is killed while
 * somebody holds a directory of the upper tree, and then a lower file shows again. */
static int
move(struct ovl_super *o, struct place *from, struct place *to, bool is_dir, bool covered)
{
	const bool exchange = to->there && (is_dir || to->whiteout);
	const bool make = covered && !(exchange && to->whiteout); /* else it comes by itself */
	char temp[OVL_TEMP_NAME];
	int r = make ? make_whiteout(o, &from->k, temp) : 0;

	if (r)
		return r;
	r = vfs_rename(&from->k, &from->dir, from->name, &to->dir, to->name,
		exchange ? LX_RENAME_EXCHANGE : 0);
	if (r && make)
		ovl_clean(o, &from->k, temp);
	else if (!r && make)
		put_whiteout(o, from, temp, exchange);
	else if (!r && exchange && !covered)
		take_away(o, from, inode_is_dir(to->there->inode));
	return r;
}

static int
rename_at(struct inode *inode, struct inode *target, struct ovl_node *old_dir,
	struct ovl_node *new_dir, struct place *from, struct place *to, bool exchange)
{
	struct ovl_super *o = ovl_super_of(inode->sb);
	int covered, r = keep_apart(o, inode, to, new_dir);

	if (r)
		return r;
	if (exchange) {
		r = keep_apart(o, target, from, old_dir);
		return r ? r
			 : vfs_rename(&from->k, &from->dir, from->name, &to->dir, to->name,
				   LX_RENAME_EXCHANGE);
	}
	covered = is_covered(old_dir, &from->k, &from->n);
	if (covered < 0)
		return covered;
	return move(o, from, to, inode_is_dir(inode), covered);
}

static int
dir_rename(struct inode *old_dir, const struct call *c, const struct name *on, struct inode *inode,
	struct inode *new_dir, const struct name *nn, struct inode *target, uint32_t flags)
{
	const bool exchange = flags & LX_RENAME_EXCHANGE;
	struct place from = {0}, to = {0};
	int r = 0;

	if (flags & LX_RENAME_WHITEOUT)
		return -EINVAL;
	if (!can_move(inode) || (exchange && !can_move(target)))
		return -EXDEV;
	if (target && !exchange && inode_is_dir(target))
		r = ovl_check_empty(ovl_node_of(target), c);
	if (!r)
		r = ovl_copy_up(ovl_node_of(inode), c, INT64_MAX);
	if (!r && exchange)
		r = ovl_copy_up(ovl_node_of(target), c, INT64_MAX);
	if (!r)
		r = place_open(&from, ovl_node_of(old_dir), c, on);
	if (!r)
		r = place_open(&to, ovl_node_of(new_dir), c, nn);
	if (!r)
		r = rename_at(inode, target, ovl_node_of(old_dir), ovl_node_of(new_dir), &from, &to,
			exchange);
	place_close(&from);
	place_close(&to);
	if (r)
		return r;
	if (target && !exchange) {
		if (!atomic_load(&ovl_node_of(target)->upper) || inode_is_dir(target))
			ovl_node_of(target)->gone = true;
		ovl_refresh(target, c, false);
	}
	ovl_refresh(inode, c, false);
	ovl_refresh(old_dir, c, false);
	if (new_dir != old_dir)
		ovl_refresh(new_dir, c, false);
	return 0;
}

const struct inode_ops ovl_dir_iops = {
	.lookup = dir_lookup,
	.create = dir_create,
	.tmpfile = dir_tmpfile,
	.link = dir_link,
	.unlink = remove_name,
	.rmdir = dir_rmdir,
	.rename = dir_rename,
	OVL_ATTR_OPS,
};
