/* SPDX-License-Identifier: Apache-2.0 */
/* The mqueue file system: one for each IPC namespace, whose root has the queues as its files. */
#include "abi/stat.h"
#include "mqueue.h"
#include "sentry/cred/user_ns.h"
#include "sentry/ipc/internal.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define MQUEUE_MAGIC 0x19800202
#define DIRENT_SIZE  20

struct mq_entry {
	struct list node;
	UT_hash_handle hh;
	struct mq_node *queue; /* a reference */
	int64_t off;
	size_t len;
	char name[];
};

struct mq_pending {
	struct list node;
	const struct call *c;
	const struct lx_mq_attr *attr;
};

static struct fs_type mqueue_type;

static struct mq_entry *
find(struct inode *dir, const struct name *n)
{
	struct mq_entry *e;

	HASH_FIND(hh, mq_node_of(dir)->table, n->s, n->len, e);
	return e;
}

static int
dir_lookup(struct inode *dir, const struct call *c, const struct name *n, struct inode **ret)
{
	struct mq_entry *e = find(dir, n);

	(void)c;
	if (!e)
		return -ENOENT;
	*ret = inode_get(&e->queue->i);
	return 0;
}

/* A size that is cut is nothing to a queue. */
static int
queue_setattr(struct inode *i, const struct call *c, const struct iattr *a)
{
	struct iattr rest = *a;

	(void)c;
	rest.valid &= ~IATTR_SIZE;
	inode_setattr_apply(i, &rest);
	return 0;
}

static void
queue_free(struct inode *i)
{
	mq_queue_fini(mq_node_of(i));
	inode_fini(i);
	free(mq_node_of(i));
}

static const struct inode_ops queue_iops = {.setattr = queue_setattr, .free = queue_free};

static int
dir_create(struct inode *dir, const struct call *c, const struct name *n,
	const struct inode_spec *spec, struct inode **ret)
{
	struct mq_fs *fs = dir->sb->priv;
	const struct lx_mq_attr *attr = NULL;
	struct mq_pending *p;
	struct mq_entry *e;
	struct mq_node *q;
	int r;

	if (!LX_S_ISREG(spec->mode))
		return -EPERM;
	if (find(dir, n))
		return -EEXIST;
	mutex_lock(&fs->lock);
	list_for_each_entry (p, &fs->pending, node)
		if (p->c == c)
			attr = p->attr;
	mutex_unlock(&fs->lock);
	e = malloc(sizeof *e + n->len + 1);
	if (!e)
		return -ENOMEM;
	r = mq_node_new(dir->sb, c, spec, attr, &q);
	if (r) {
		free(e);
		return r;
	}
	q->i.ops = &queue_iops;
	e->queue = q;
	e->len = n->len;
	e->off = (int64_t)q->i.ino + 2;
	memcpy(e->name, n->s, n->len);
	e->name[n->len] = 0;
	list_push_back(&mq_node_of(dir)->entries, &e->node);
	HASH_ADD_KEYPTR(hh, mq_node_of(dir)->table, e->name, e->len, e);
	inode_store(dir->size, dir->size + DIRENT_SIZE);
	inode_touch(dir, INODE_T_ATIME | INODE_T_MTIME | INODE_T_CTIME);
	*ret = inode_get(&q->i);
	return 0;
}

static int
dir_unlink(struct inode *dir, const struct call *c, const struct name *n, struct inode *inode)
{
	struct mq_entry *e = find(dir, n);

	(void)c;
	if (!e)
		return -ENOENT;
	list_del(&e->node);
	HASH_DEL(mq_node_of(dir)->table, e);
	free(e);
	inode_store(dir->size, dir->size - DIRENT_SIZE);
	inode_touch(dir, INODE_T_ATIME | INODE_T_MTIME | INODE_T_CTIME);
	inode_add_nlink(inode, -1);
	inode_put(inode);
	return 0;
}

static int
dir_iterate(struct file *f, const struct call *c, struct dir_emit *e)
{
	struct mq_entry *k;

	(void)c;
	if (!file_emit_dots(f, e))
		return 0;
	list_for_each_entry (k, &mq_node_of(f->inode)->entries, node) {
		if (k->off < f->pos)
			continue;
		if (!e->fn(e, k->name, k->len, k->queue->i.ino, 8 /* a regular file */, k->off + 1))
			return 0;
		f->pos = k->off + 1;
	}
	return 0;
}

static void
root_free(struct inode *i)
{
	struct mq_node *n = mq_node_of(i);
	struct list *l;

	while ((l = list_pop_front(&n->entries))) {
		struct mq_entry *e = list_entry(l, struct mq_entry, node);

		HASH_DEL(n->table, e);
		inode_put(&e->queue->i);
		free(e);
	}
	inode_fini(i);
	free(n);
}

static const struct inode_ops root_iops = {
	.lookup = dir_lookup, .create = dir_create, .unlink = dir_unlink, .free = root_free};
static const struct file_ops root_fops = {
	.read = file_read_dir, .lseek = file_lseek_dir, .iterate = dir_iterate};

/* --- one for a namespace --- */

static void
release(struct super *sb)
{
	struct mq_fs *fs = sb->priv;

	mutex_destroy(&fs->lock);
	free(fs);
}

static const struct super_ops sops = {.release = release};

static int
make_super(struct ipc_ns *ns, struct super **ret)
{
	static const int64_t limits[MQ_LIMITS] = {10, 10, 8192, 8192, 256};
	struct super *sb = super_new(&mqueue_type, &sops, "mqueue");
	struct mq_fs *fs = sb ? calloc(1, sizeof *fs) : NULL;
	struct mq_node *root = fs ? calloc(1, sizeof *root) : NULL;

	if (!root) {
		if (sb)
			sb->ops = NULL;
		free(fs);
		super_put(sb);
		return -ENOMEM;
	}
	mutex_init(&fs->lock, LR_FS);
	memcpy(fs->limit, limits, sizeof limits);
	list_init(&fs->pending);
	atomic_store(&fs->next_ino, 2);
	sb->priv = fs;
	sb->magic = MQUEUE_MAGIC;
	sb->user_ns = user_ns_get(ns->user_ns);
	atomic_fetch_or(&sb->flags, SUPER_NO_NEGATIVE | SUPER_NODEV | SUPER_NOEXEC);
	inode_init(&root->i, sb, &root_iops, &root_fops, 1, LX_S_IFDIR | 01777, 0, 0);
	list_init(&root->entries);
	root->i.size = 2 * DIRENT_SIZE;
	if (super_set_root(sb, &root->i)) {
		super_put(sb);
		return -ENOMEM;
	}
	*ret = sb;
	return 0;
}

/* The namespace's file system, made when it is first asked for. Borrowed. */
static int
fs_of(struct ipc_ns *ns, struct super **ret, struct mount **ret_mnt)
{
	struct super *sb;
	struct mount *m;
	int r;

	mutex_lock(&ns->lock);
	*ret = ns->mq_sb;
	*ret_mnt = ns->mq_mnt;
	mutex_unlock(&ns->lock);
	if (*ret)
		return 0;
	r = make_super(ns, &sb);
	if (r)
		return r;
	m = mnt_private(sb);
	if (!m) {
		super_put(sb);
		return -ENOMEM;
	}
	mutex_lock(&ns->lock);
	if (!ns->mq_sb) {
		ns->mq_sb = sb;
		ns->mq_mnt = m;
		sb = NULL;
		m = NULL;
	}
	*ret = ns->mq_sb;
	*ret_mnt = ns->mq_mnt;
	mutex_unlock(&ns->lock);
	mount_put(m);
	super_put(sb);
	return 0;
}

static int
mqueue_mount(const struct fs_type *type, const struct call *c, const struct mount_request *rq,
	struct super **ret)
{
	struct ipc_ns *ns = c->ipc ? c->ipc : ipc_ns_first();
	struct mount *m;
	int r;

	(void)type, (void)rq;
	if (!ns)
		return -ENOMEM;
	if (!cred_capable_in(c->cred, ns->user_ns, LX_CAP_SYS_ADMIN))
		return -EPERM;
	r = fs_of(ns, ret, &m);
	if (!r)
		(void)super_get(*ret);
	return r;
}

void
mq_ns_gone(struct super *sb, struct mount *mnt)
{
	mount_put(mnt);
	super_put(sb);
}

int
mqueue_init(void)
{
	mqueue_type = (struct fs_type){.name = "mqueue",
		.flags = FS_TYPE_NODEV | FS_TYPE_USERNS_MOUNT | FS_TYPE_OWN_NS | FS_TYPE_ONE_SUPER,
		.mount = mqueue_mount};
	fs_type_register(&mqueue_type);
	return 0;
}

/* --- by name --- */

static int
check_name(const char *name)
{
	if (!*name)
		return -ENOENT;
	if (strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EACCES;
	return 0;
}

int
mq_open_file(const struct call *c, const char *name, uint32_t oflag, uint32_t mode,
	const struct lx_mq_attr *attr, struct file **ret)
{
	struct open_spec how = {.flags = oflag & (LX_O_ACCMODE | LX_O_NONBLOCK)};
	struct open_spec make = {.flags = how.flags | LX_O_CREAT | LX_O_EXCL, .mode = mode & 0777};
	struct mq_pending p = {.c = c, .attr = attr};
	struct super *sb;
	struct path root;
	struct mq_fs *fs;
	int r = check_name(name);

	if (!r && (oflag & LX_O_ACCMODE) == LX_O_ACCMODE)
		r = -EINVAL;
	if (!r)
		r = fs_of(c->ipc, &sb, &root.mnt);
	if (r)
		return r;
	root.dentry = sb->root;
	fs = sb->priv;
	if (!(oflag & LX_O_CREAT))
		return vfs_open(c, &root, name, &how, ret);
	mutex_lock(&fs->lock);
	list_push_back(&fs->pending, &p.node);
	mutex_unlock(&fs->lock);
	do {
		r = oflag & LX_O_EXCL ? -ENOENT : vfs_open(c, &root, name, &how, ret);
		if (r != -ENOENT)
			break;
		r = vfs_open(c, &root, name, &make, ret);
	} while (r == -EEXIST && !(oflag & LX_O_EXCL));
	mutex_lock(&fs->lock);
	list_del(&p.node);
	mutex_unlock(&fs->lock);
	return r;
}

int
mq_remove(const struct call *c, const char *name)
{
	struct super *sb;
	struct path root;
	int r = check_name(name);

	if (!r)
		r = fs_of(c->ipc, &sb, &root.mnt);
	if (r)
		return r;
	root.dentry = sb->root;
	return vfs_unlink(c, &root, name);
}

/* --- limits --- */

int64_t
mq_limit_get(struct ipc_ns *ns, enum mq_limit which)
{
	struct super *sb;
	struct mount *m;
	struct mq_fs *fs;
	int64_t v;
	int r = fs_of(ns, &sb, &m);

	if (r)
		return r;
	fs = sb->priv;
	mutex_lock(&fs->lock);
	v = fs->limit[which];
	mutex_unlock(&fs->lock);
	return v;
}

int
mq_limit_set(struct ipc_ns *ns, enum mq_limit which, int64_t v)
{
	static const struct {
		int64_t min, max;
	} range[MQ_LIMITS] = {
		{1, 65536}, {1, 65536}, {128, 16 << 20}, {128, 16 << 20}, {0, INT32_MAX}};
	struct super *sb;
	struct mount *m;
	struct mq_fs *fs;
	int r = fs_of(ns, &sb, &m);

	if (r)
		return r;
	if (v < range[which].min || v > range[which].max)
		return -EINVAL;
	fs = sb->priv;
	mutex_lock(&fs->lock);
	fs->limit[which] = v;
	mutex_unlock(&fs->lock);
	return 0;
}
