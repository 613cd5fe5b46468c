/* SPDX-License-Identifier: Apache-2.0 */
/* overlay: the super, and nodes' life. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

static struct list *
bucket(struct osuper *o, const struct inode *lower)
{
	return &o->nodes[((uintptr_t)lower >> 5) * 0x9e3779b97f4a7c15ULL >> 48 &
			 (OVERLAY_BUCKETS - 1)];
}

static struct onode *
onode_alloc(struct super *sb, uint64_t ino, uint32_t mode, uint32_t uid, uint32_t gid)
{
	struct onode *n = calloc(1, sizeof *n);
	const struct inode_ops *ops = &overlay_iops;
	const struct file_ops *fops = NULL;

	if (!n)
		return NULL;
	if (LX_S_ISDIR(mode)) {
		ops = &overlay_dir_iops;
		fops = &overlay_dir_fops;
	} else if (LX_S_ISREG(mode)) {
		ops = &overlay_reg_iops;
		fops = &overlay_reg_fops;
	}
	inode_init(&n->i, sb, ops, fops, ino, mode, uid, gid);
	list_init(&n->hash_node);
	list_init(&n->pin_node);
	list_init(&n->entries);
	return n;
}

int
onode_new(struct super *sb, const struct inode_spec *spec, struct onode **ret)
{
	struct osuper *o = osuper_of(sb);
	struct onode *n = onode_alloc(sb, OVERLAY_INO + atomic_fetch_add(&o->next_ino, 1),
		spec->mode, spec->uid, spec->gid);
	struct inode *data;
	int r = 0;

	if (!n)
		return -ENOMEM;
	n->i.rdev = spec->rdev;
	if (spec->target) {
		n->i.link = strdup(spec->target);
		if (!n->i.link)
			r = -ENOMEM;
		else
			n->i.size = (int64_t)strlen(spec->target);
	} else if (LX_S_ISREG(spec->mode)) {
		r = tmpfs_inode_new(o->upper, spec, &data);
		if (!r)
			atomic_store(&n->data, data);
	} else if (LX_S_ISDIR(spec->mode)) {
		n->i.size = 4096;
	}
	if (r) {
		inode_put(&n->i);
		return r;
	}
	*ret = n;
	return 0;
}

static struct onode *
find_locked(struct osuper *o, const struct inode *lower)
{
	struct onode *n;

	list_for_each_entry (n, bucket(o, lower), hash_node)
		if (n->lower == lower && ref_get_unless_zero(&n->i.ref))
			return n;
	return NULL;
}

int
onode_of_lower(struct super *sb, struct inode *lower, struct onode **ret)
{
	struct osuper *o = osuper_of(sb);
	struct onode *n, *there;
	struct lx_stat_all st;

	mutex_lock(&o->lock);
	there = find_locked(o, lower);
	mutex_unlock(&o->lock);
	if (there) {
		inode_put(lower);
		*ret = there;
		return 0;
	}
	inode_stat(lower, &st);
	n = onode_alloc(sb, lower->ino, st.mode, st.uid, st.gid);
	if (!n) {
		inode_put(lower);
		return -ENOMEM;
	}
	n->lower = lower;
	n->i.rdev = st.rdev;
	n->i.nlink = st.nlink;
	n->i.size = st.size;
	n->i.blocks = st.blocks;
	n->i.blksize = st.blksize;
	n->i.atime = st.atime;
	n->i.mtime = st.mtime;
	n->i.ctime = st.ctime;
	n->i.btime = st.btime;
	if (lower->link)
		n->i.link = strdup(lower->link);
	mutex_lock(&o->lock);
	there = find_locked(o, lower);
	if (!there)
		list_push_front(bucket(o, lower), &n->hash_node);
	mutex_unlock(&o->lock);
	if (there) {
		inode_put(&n->i);
		n = there;
	}
	*ret = n;
	return 0;
}

void
onode_pin(struct onode *n)
{
	struct osuper *o = osuper_of(n->i.sb);

	if (!n->lower)
		return;
	mutex_lock(&o->lock);
	if (!n->pinned) {
		n->pinned = true;
		list_push_back(&o->pins, &n->pin_node);
		inode_get(&n->i);
	}
	mutex_unlock(&o->lock);
}

void
onode_unpin(struct onode *n)
{
	struct osuper *o = osuper_of(n->i.sb);
	bool was;

	mutex_lock(&o->lock);
	was = n->pinned;
	n->pinned = false;
	list_del(&n->pin_node);
	mutex_unlock(&o->lock);
	if (was)
		inode_put(&n->i);
}

/* By a list, not by recursion: guests choose how deep directories are. */
static void
drop_entries(struct onode *top)
{
	struct list todo, *l;

	list_init(&todo);
	list_splice(&todo, &top->entries);
	while ((l = list_pop_front(&todo))) {
		struct oentry *e = list_entry(l, struct oentry, node);
		struct onode *n = e->target;

		if (n) {
			if (atomic_load(&n->i.ref.n) == 1)
				list_splice(&todo, &n->entries);
			inode_put(&n->i);
		}
		free(e);
	}
}

void
onode_free(struct inode *i)
{
	struct onode *n = onode_of(i);
	struct osuper *o = osuper_of(i->sb);

	mutex_lock(&o->lock);
	list_del(&n->hash_node);
	mutex_unlock(&o->lock);
	drop_entries(n);
	free(n->table);
	inode_put(n->lower);
	inode_put(atomic_load(&n->data));
	inode_put(n->xattrs);
	inode_fini(i);
	free(n);
}

static void
release(struct super *sb)
{
	struct osuper *o = osuper_of(sb);

	while (!list_empty(&o->pins))
		onode_unpin(list_entry(o->pins.next, struct onode, pin_node));
	super_put(o->upper);
	super_put(o->lower);
	mutex_destroy(&o->lock);
	free(o);
}

static int
statfs(struct super *sb, const struct call *c, struct lx_statfs *st)
{
	struct super *upper = osuper_of(sb)->upper;

	return upper->ops->statfs(upper, c, st);
}

static const struct super_ops overlay_sops = {.release = release, .statfs = statfs};

static struct fs_type overlay_type = {.name = "overlay", .flags = FS_TYPE_INTERNAL | FS_TYPE_NODEV};

int
overlay_new(const struct call *c, struct super *lower, const char *options, struct super **ret)
{
	struct super *sb = super_new(&overlay_type, &overlay_sops, "overlay");
	struct osuper *o = sb ? calloc(1, sizeof *o) : NULL;
	struct onode *root;
	int r;

	if (!o) {
		super_put(sb);
		return -ENOMEM;
	}
	r = tmpfs_new(c, options, &o->upper);
	if (r) {
		free(o);
		super_put(sb);
		return r;
	}
	mutex_init(&o->lock, LR_FS);
	list_init(&o->pins);
	for (int i = 0; i < OVERLAY_BUCKETS; i++)
		list_init(&o->nodes[i]);
	o->next_ino = 1;
	o->lower = super_get(lower);
	sb->priv = o;
	sb->magic = OVERLAY_MAGIC;
	sb->flags |= SUPER_POSIXACL;
	r = onode_of_lower(sb, inode_get(lower->root->inode), &root);
	if (!r)
		r = super_set_root(sb, &root->i);
	if (r) {
		super_put(sb);
		return r;
	}
	*ret = sb;
	return 0;
}
