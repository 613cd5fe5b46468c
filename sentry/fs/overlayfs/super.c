/* SPDX-License-Identifier: Apache-2.0 */
/* overlayfs: mounting, and what there is one of for each mount. */
#include "internal.h"
#include "sentry/fs/overlayfs.h"
#include <stdlib.h>
#include <string.h>

static struct fs_type overlay_type;

/* --- layers --- */

/* As in Linux, proc is one that nothing stands on. */
static int
layer_depth(const struct super *sb)
{
	if (!strcmp(sb->type->name, "proc"))
		return OVL_DEPTH_MAX;
	return sb->type == &overlay_type ? ovl_super_of(sb)->depth : 0;
}

/* A mount of p's file system of our own. What it may be used for beyond this is the guest's mount's
 * to say; lower trees do not even get older. */
static int
layer_open(struct ovl_super *o, const struct path *p, bool upper, struct ovl_layer *ret)
{
	struct super *sb = p->dentry->sb;
	int depth = layer_depth(sb) + 1;

	if (depth > OVL_DEPTH_MAX)
		return -EINVAL;
	if (depth > o->depth)
		o->depth = depth;
	ret->mnt = mnt_private(sb);
	if (!ret->mnt)
		return -ENOMEM;
	atomic_fetch_or(&ret->mnt->flags, upper ? MNT_RELATIME : MNT_NOATIME | MNT_RDONLY);
	return 0;
}

/* The number of a layer's file system: the upper one's, or the first's, is 0. */
static void
number_layers(struct ovl_super *o)
{
	const struct super *first = o->upper.mnt ? o->upper.mnt->sb : o->layers[0].mnt->sb;

	for (uint32_t i = 0; i < o->nlayers; i++) {
		struct ovl_layer *l = &o->layers[i];

		l->fs = l->mnt->sb == first ? 0 : i + 1;
		for (uint32_t k = 0; k < i && l->fs; k++)
			if (o->layers[k].mnt->sb == l->mnt->sb)
				l->fs = o->layers[k].fs;
	}
}

static int
find_dir(const struct call *c, const char *name, struct path *ret)
{
	int r = vfs_lookup(c, NULL, name, LOOKUP_FOLLOW, ret);

	if (r)
		return r;
	if (inode_is_dir(ret->dentry->inode))
		return 0;
	path_put(ret);
	return -EINVAL;
}

static int
open_lower(struct ovl_super *o, const struct call *c, const struct ovl_options *opt,
	struct ovl_lower *roots)
{
	int r = 0;

	o->layers = calloc(opt->nlower, sizeof *o->layers);
	if (!o->layers)
		return -ENOMEM;
	for (uint32_t i = 0; !r && i < opt->nlower; i++) {
		struct path p;

		r = find_dir(c, opt->lower[i], &p);
		if (r)
			break;
		r = layer_open(o, &p, false, &o->layers[i]);
		if (!r) {
			roots[i] = (struct ovl_lower){dentry_get(p.dentry), i};
			o->nlayers++;
		}
		path_put(&p);
	}
	return r;
}

/* As Linux, in a directory "work" that nobody else uses. */
static int
open_work(struct ovl_super *o, const struct call *c, const struct path *work)
{
	const struct name name = ovl_name("work");
	struct call k = ovl_call(o, c);
	struct path dir = {o->upper.mnt, work->dentry};
	int r = vfs_mkdir(&k, &dir, name.s, 0);

	if (r && r != -EEXIST)
		return r;
	r = ovl_look(&k, dir.dentry, &name, &o->work);
	if (r || !o->work)
		return r ? r : -EIO;
	if (!inode_is_dir(o->work->inode))
		return -EINVAL;
	ovl_clean_all(o, &k); /* what an earlier mount has left */
	return 0;
}

static int
open_upper(struct ovl_super *o, const struct call *c, const struct ovl_options *opt,
	struct dentry **ret)
{
	struct path upper, work;
	int r = find_dir(c, opt->upper, &upper);

	if (r)
		return r;
	r = find_dir(c, opt->work, &work);
	if (r) {
		path_put(&upper);
		return r;
	}
	/* as Linux: an overlay cannot hold whiteouts, nor what never has new names */
	if (upper.mnt != work.mnt || upper.dentry->sb->type == &overlay_type ||
		dentry_is_ancestor(upper.dentry, work.dentry) ||
		dentry_is_ancestor(work.dentry, upper.dentry) ||
		!upper.dentry->inode->ops->create || !upper.dentry->inode->ops->rename ||
		(atomic_load(&upper.mnt->flags) & MNT_RDONLY) ||
		(atomic_load(&upper.dentry->sb->flags) & SUPER_RDONLY))
		r = -EINVAL;
	if (!r)
		r = layer_open(o, &upper, true, &o->upper);
	if (!r)
		r = open_work(o, c, &work);
	if (!r)
		*ret = dentry_get(upper.dentry);
	path_put(&upper);
	path_put(&work);
	return r;
}

/* --- the super --- */

static void
super_free(struct ovl_super *o)
{
	dentry_put(o->work);
	for (uint32_t i = 0; i < o->nlayers; i++)
		mount_put(o->layers[i].mnt);
	if (o->upper.mnt)
		mount_put(o->upper.mnt);
	free(o->layers);
	free(o->shown);
	cred_put(o->cred);
	mutex_destroy(&o->lock);
	free(o);
}

static void
release(struct super *sb)
{
	super_free(ovl_super_of(sb));
}

static int
statfs(struct super *sb, const struct call *c, struct lx_statfs *st)
{
	struct super *real = ovl_real(ovl_node_of(sb->root->inode)).dentry->sb;

	return real->ops && real->ops->statfs ? real->ops->statfs(real, c, st) : 0;
}

static int
sync_super(struct super *sb, const struct call *c)
{
	struct ovl_super *o = ovl_super_of(sb);
	struct super *real = o->upper.mnt ? o->upper.mnt->sb : NULL;

	return real && !o->is_volatile && real->ops && real->ops->sync ? real->ops->sync(real, c)
								       : 0;
}

/* Options are passed over, as Linux does. */
static int
remount(struct super *sb, const struct call *c, const struct mount_request *rq)
{
	(void)c;
	return !(rq->ms_flags & LX_MS_RDONLY) && !ovl_super_of(sb)->upper.mnt ? -EROFS : 0;
}

static void
show_options(struct super *sb, char *buf, size_t cap)
{
	strncpy(buf, ovl_super_of(sb)->shown, cap - 1);
	buf[cap - 1] = 0;
}

static const struct super_ops overlay_sops = {
	.release = release,
	.statfs = statfs,
	.sync = sync_super,
	.remount = remount,
	.show_options = show_options,
};

static int
super_alloc(const struct call *c, const struct ovl_options *opt, struct ovl_super **ret)
{
	struct ovl_super *o = calloc(1, sizeof *o);

	if (!o)
		return -ENOMEM;
	mutex_init(&o->lock, LR_FS);
	for (int i = 0; i < OVL_BUCKETS; i++)
		list_init(&o->nodes[i]);
	o->cred = cred_get(c->cred);
	o->user_xattr = opt->user_xattr;
	o->is_volatile = opt->is_volatile;
	o->shown = ovl_options_show(opt);
	if (!o->shown) {
		super_free(o);
		return -ENOMEM;
	}
	*ret = o;
	return 0;
}

/* No lower tree may be, or be below, another one, the upper one or the work directory. */
static int
check_apart(const struct ovl_super *o, const struct ovl_lower *roots, struct dentry *upper)
{
	for (uint32_t i = 0; i < o->nlayers; i++) {
		struct dentry *d = roots[i].dentry;

		if (upper && (dentry_is_ancestor(upper, d) || dentry_is_ancestor(o->work, d)))
			return -ELOOP;
		for (uint32_t k = 0; k < o->nlayers; k++)
			if (k != i && dentry_is_ancestor(roots[k].dentry, d))
				return -ELOOP;
	}
	return 0;
}

static int
make_root(struct super *sb, const struct call *c, const struct ovl_options *opt)
{
	struct ovl_super *o = ovl_super_of(sb);
	struct ovl_lower *roots = calloc(opt->nlower, sizeof *roots);
	struct dentry *upper = NULL;
	struct ovl_node *root;
	int r;

	if (!roots)
		return -ENOMEM;
	r = open_lower(o, c, opt, roots);
	if (!r && opt->upper)
		r = open_upper(o, c, opt, &upper);
	if (!r)
		r = check_apart(o, roots, upper);
	if (!r) {
		number_layers(o);
		r = ovl_node_new(sb, c, upper, roots, opt->nlower, NULL, NULL, &root);
	} else {
		dentry_put(upper);
		for (uint32_t i = 0; i < o->nlayers; i++)
			dentry_put(roots[i].dentry);
	}
	free(roots);
	return r ? r : super_set_root(sb, &root->i);
}

static int
mount_options(const struct fs_type *type, const struct call *c, const struct mount_request *rq,
	const struct ovl_options *opt, struct super **ret)
{
	struct super *sb;
	struct ovl_super *o;
	int r;

	if (!opt->nlower || (!opt->upper && opt->nlower == 1))
		return -EINVAL;
	if (opt->upper && !opt->work)
		return -EINVAL;
	r = super_alloc(c, opt, &o);
	if (r)
		return r;
	sb = super_new(type, &overlay_sops, rq->source);
	if (!sb) {
		super_free(o);
		return -ENOMEM;
	}
	sb->priv = o;
	sb->magic = OVL_MAGIC;
	sb->flags |= SUPER_POSIXACL | (opt->upper ? 0 : SUPER_RDONLY);
	r = make_root(sb, c, opt);
	if (r) {
		super_put(sb);
		return r;
	}
	*ret = sb;
	return 0;
}

static int
overlay_mount(const struct fs_type *type, const struct call *c, const struct mount_request *rq,
	struct super **ret)
{
	char *text = strdup(rq->options ? rq->options : "");
	struct ovl_options opt;
	int r = text ? ovl_options_parse(text, &opt) : -ENOMEM;

	if (!r) {
		/* without an upper tree there is nothing to work at */
		if (!opt.upper)
			opt.work = NULL;
		r = mount_options(type, c, rq, &opt, ret);
		ovl_options_free(&opt);
	}
	free(text);
	return r;
}

static struct fs_type overlay_type = {
	.name = "overlay",
	.flags = FS_TYPE_USERNS_MOUNT | FS_TYPE_OWN_NS | FS_TYPE_NODEV,
	.mount = overlay_mount,
	.check = ovl_options_check,
};

int
overlayfs_init(void)
{
	fs_type_register(&overlay_type);
	return 0;
}
