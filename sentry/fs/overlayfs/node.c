/* SPDX-License-Identifier: Apache-2.0 */
/* overlayfs: nodes, their attributes, and who may do what with them. */
#include "internal.h"
#include <stdlib.h>
#include <string.h>

/* Numbers are unique among all layers; those of the first file system stay as they are. */
uint64_t
ovl_ino(uint32_t fs, uint64_t ino)
{
	return ino ^ (uint64_t)fs << 54;
}

int
ovl_look(const struct call *k, struct dentry *dir, const struct name *n, struct dentry **ret)
{
	int r = vfs_lookup_one(k, dir, n, ret);

	if (r == -ENOENT)
		r = 0, *ret = NULL;
	if (!r && *ret && !(*ret)->inode) {
		dentry_put(*ret);
		*ret = NULL;
	}
	return r;
}

/* --- the table, by which names of one file meet --- */

static struct list *
bucket(struct ovl_super *o, const struct inode *key)
{
	return &o->nodes[((uintptr_t)key >> 5) * 0x9e3779b97f4a7c15ULL >> 48 & (OVL_BUCKETS - 1)];
}

static struct ovl_node *
find_locked(struct ovl_super *o, const struct inode *key)
{
	struct ovl_node *n;

	list_for_each_entry (n, bucket(o, key), hash_node)
		if (n->key == key && ref_get_unless_zero(&n->i.ref))
			return n;
	return NULL;
}

void
ovl_node_hash(struct ovl_node *n, struct inode *key)
{
	struct ovl_super *o = ovl_super_of(n->i.sb);

	mutex_lock(&o->lock);
	list_del(&n->hash_node);
	list_init(&n->hash_node);
	n->key = key;
	if (key)
		list_push_front(bucket(o, key), &n->hash_node);
	mutex_unlock(&o->lock);
}

/* Hard links of a lower file part when they are changed, so they are nodes of their own. */
static struct inode *
key_of(const struct ovl_super *o, struct dentry *upper, struct dentry *lower)
{
	struct inode *i = upper ? upper->inode : lower->inode;

	if (inode_is_dir(i))
		return NULL;
	return upper || !o->upper.mnt || inode_load(i->nlink) == 1 ? i : NULL;
}

/* --- life --- */

static void
put_entries(struct dentry *upper, const struct ovl_lower *lower, uint32_t n)
{
	dentry_put(upper);
	for (uint32_t i = 0; i < n; i++)
		dentry_put(lower[i].dentry);
}

static void
choose_ops(struct ovl_node *n, const struct inode *real)
{
	uint32_t mode = inode_mode(real);

	if (LX_S_ISDIR(mode)) {
		n->i.ops = &ovl_dir_iops;
		n->i.fops = &ovl_dir_fops;
	} else if (LX_S_ISREG(mode)) {
		n->i.ops = &ovl_reg_iops;
		n->i.fops = &ovl_reg_fops;
	} else {
		n->i.ops = &ovl_iops;
	}
}

static int
fill(struct ovl_node *n, const struct call *c, struct ovl_node *parent, const struct name *name)
{
	const struct inode *real = ovl_real(n).dentry->inode;

	choose_ops(n, real);
	n->i.rdev = real->rdev;
	if (real->link && !(n->i.link = strdup(real->link)))
		return -ENOMEM;
	if (parent && !atomic_load(&n->upper)) {
		n->name = strndup(name->s, name->len);
		if (!n->name)
			return -ENOMEM;
		n->parent = ovl_node_of(inode_get(&parent->i));
	}
	return ovl_refresh(&n->i, c, false);
}

int
ovl_node_new(struct super *sb, const struct call *c, struct dentry *upper,
	const struct ovl_lower *lower, uint32_t nlower, struct ovl_node *parent,
	const struct name *name, struct ovl_node **ret)
{
	struct ovl_super *o = ovl_super_of(sb);
	struct inode *key = key_of(o, upper, nlower ? lower[0].dentry : NULL), *real;
	struct ovl_node *n, *there = NULL;
	struct ovl_lower *own;
	int r;

	if (key) {
		mutex_lock(&o->lock);
		there = find_locked(o, key);
		mutex_unlock(&o->lock);
	}
	if (there) {
		put_entries(upper, lower, nlower);
		*ret = there;
		return 0;
	}
	n = calloc(1, sizeof *n);
	own = n && nlower ? malloc(nlower * sizeof *own) : NULL;
	if (!n || (nlower && !own)) {
		free(n);
		put_entries(upper, lower, nlower);
		return -ENOMEM;
	}
	real = upper ? upper->inode : lower[0].dentry->inode;
	inode_init(&n->i, sb, &ovl_iops, NULL,
		ovl_ino(upper ? o->upper.fs : o->layers[lower[0].layer].fs, real->ino),
		inode_mode(real), inode_load(real->uid), inode_load(real->gid));
	list_init(&n->hash_node);
	sleeplock_init(&n->up_lock);
	atomic_store(&n->upper, upper);
	if (nlower)
		memcpy(own, lower, nlower * sizeof *own);
	n->lower = own;
	n->nlower = nlower;
	r = fill(n, c, parent, name);
	if (r) {
		inode_put(&n->i);
		return r;
	}
	if (key) {
		mutex_lock(&o->lock);
		there = find_locked(o, key);
		if (!there) {
			n->key = key;
			list_push_front(bucket(o, key), &n->hash_node);
		}
		mutex_unlock(&o->lock);
	}
	if (there) {
		inode_put(&n->i);
		n = there;
	}
	*ret = n;
	return 0;
}

void
ovl_node_free(struct inode *i)
{
	struct ovl_node *n = ovl_node_of(i), *parent = n->parent;
	struct ovl_super *o = ovl_super_of(i->sb);

	mutex_lock(&o->lock);
	list_del(&n->hash_node);
	mutex_unlock(&o->lock);
	put_entries(atomic_load(&n->upper), n->lower, n->nlower);
	free(n->lower);
	free(n->name);
	inode_fini(i);
	free(n);
	/* By a loop, not by recursion: guests choose how deep directories are. A directory that we
	 * alone hold nobody finds any more. */
	while (parent) {
		struct ovl_node *p = parent;

		parent = NULL;
		if (atomic_load(&p->i.ref.n) == 1) {
			parent = p->parent;
			p->parent = NULL;
		}
		inode_put(&p->i);
	}
}

/* --- attributes --- */

int
ovl_refresh(struct inode *i, const struct call *c, bool force)
{
	struct ovl_node *n = ovl_node_of(i);
	struct call k = ovl_call(ovl_super_of(i->sb), c);
	const struct path p = ovl_real(n);
	const bool upper = atomic_load(&n->upper);
	struct lx_stat_all st;
	int r = vfs_getattr(&k, &p, force ? LX_AT_STATX_FORCE_SYNC : 0, &st);

	if (r)
		return r;
	/* As Linux: who counts on it takes 1 for "not known". */
	if (LX_S_ISDIR(st.mode) && n->nlower + upper > 1)
		st.nlink = 1;
	if (n->gone && (!upper || LX_S_ISDIR(st.mode)))
		st.nlink = 0;
	mutex_lock(&i->lock);
	inode_store(i->mode, st.mode);
	inode_store(i->uid, st.uid);
	inode_store(i->gid, st.gid);
	inode_store(i->nlink, st.nlink);
	inode_store(i->size, st.size);
	i->blocks = st.blocks;
	i->blksize = st.blksize;
	i->atime = st.atime;
	i->mtime = st.mtime;
	i->ctime = st.ctime;
	i->btime = st.btime;
	mutex_unlock(&i->lock);
	return 0;
}

/* As Linux without an index: a lower file that has lost its name here still shows the names that it
 * has there. */
int
ovl_getattr(struct inode *i, const struct call *c, struct lx_stat_all *st)
{
	struct ovl_node *n = ovl_node_of(i);

	(void)c;
	if (n->gone && !atomic_load(&n->upper) && !inode_is_dir(i))
		st->nlink = inode_load(n->lower[0].dentry->inode->nlink);
	return 0;
}

/* Both have to be allowed to: the caller by what is shown, and who mounted by what is there. */
int
ovl_permission(struct inode *i, const struct call *c, int mask)
{
	struct ovl_node *n = ovl_node_of(i);
	struct call k = ovl_call(ovl_super_of(i->sb), c);
	uint32_t mode = inode_mode(i);
	int r = inode_permission_generic(i, c, mask);

	if (r)
		return r;
	if (!atomic_load(&n->upper) && (mask & LX_W_OK) &&
		(LX_S_ISREG(mode) || LX_S_ISDIR(mode) || LX_S_ISLNK(mode))) {
		/* it is read to be copied up */
		mask &= ~LX_W_OK;
		mask |= LX_R_OK;
	}
	return inode_permission(ovl_real(n).dentry->inode, &k, mask);
}

int
ovl_setattr(struct inode *i, const struct call *c, const struct iattr *a)
{
	struct ovl_super *o = ovl_super_of(i->sb);
	struct ovl_node *n = ovl_node_of(i);
	struct call k = ovl_call(o, c);
	struct iattr b = *a;
	struct path p;
	int r;

	if ((a->valid & IATTR_SIZE) && !LX_S_ISREG(inode_mode(i)))
		return -EINVAL;
	r = ovl_copy_up(n, c, a->valid & IATTR_SIZE ? a->size : INT64_MAX);
	if (r)
		return r;
	b.valid &= ~IATTR_CTIME;
	b.file = NULL;
	p = ovl_upper_path(o, n);
	r = vfs_setattr(&k, &p, &b);
	return r ? r : ovl_refresh(i, c, false);
}

ssize_t
ovl_readlink(struct inode *i, const struct call *c, char *buf, size_t cap)
{
	struct call k = ovl_call(ovl_super_of(i->sb), c);
	const struct path p = ovl_real(ovl_node_of(i));

	return vfs_readlink(&k, &p, buf, cap);
}

const struct inode_ops ovl_iops = {
	.readlink = ovl_readlink,
	OVL_ATTR_OPS,
};
