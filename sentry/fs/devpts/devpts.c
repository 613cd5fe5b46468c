/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file system of pseudo terminals: ptmx, and a node for each slave while its master is open.
 * Each mount is an instance of its own (Linux: fs/devpts/inode.c, since 4.7).
 */
#include "internal.h"
#include "sentry/fs/dev.h"
#include "sentry/sysctl/sysctl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVPTS_MAGIC 0x1cd1

struct dnode {
	struct inode i;
	/* Of slaves; borrowed, cleared when the terminal goes; under ds->lock. A pty's, or that of
	 * a terminal which another driver has. */
	struct tty *tty;
	bool foreign;
};

static struct fs_type devpts_type;
static const struct inode_ops dir_iops, node_iops;
static const struct file_ops dir_fops;

static void
node_free(struct inode *i)
{
	inode_fini(i);
	free(container_of(i, struct dnode, i));
}

static struct dnode *
dnode_new(struct super *sb, uint64_t ino, uint32_t mode, uint32_t uid, uint32_t gid, uint32_t rdev)
{
	struct dnode *n = calloc(1, sizeof *n);

	if (!n)
		return NULL;
	inode_init(&n->i, sb, LX_S_ISDIR(mode) ? &dir_iops : &node_iops,
		LX_S_ISDIR(mode) ? &dir_fops : NULL, ino, mode, uid, gid);
	n->i.rdev = rdev;
	return n;
}

static _Atomic uint32_t nr_nodes;

uint32_t
devpts_count(void)
{
	return atomic_load(&nr_nodes);
}

/* A free number for n, which the table keeps. */
static int
table_put(struct devpts_super *ds, struct dnode *n, struct tty *t)
{
	uint32_t nr;

	/* No instance is that of the machine itself, which the reserve is for. */
	if (atomic_load(&nr_nodes) + sysctl_get(SYSCTL_PTY_RESERVE) >= sysctl_get(SYSCTL_PTY_MAX)) {
		inode_put(&n->i);
		return -ENOSPC;
	}
	mutex_lock(&ds->lock);
	for (nr = 0; nr < ds->max && ds->node[nr]; nr++)
		;
	if (nr < ds->max) {
		ds->node[nr] = n;
		t->dev = n->i.rdev = LX_MKDEV(136, nr);
		n->i.ino = nr + 3;
		n->tty = t;
	}
	mutex_unlock(&ds->lock);
	if (nr == ds->max) {
		inode_put(&n->i);
		return -ENOSPC;
	}
	atomic_fetch_add(&nr_nodes, 1);
	super_get(ds->sb);
	return (int)nr;
}

static void
table_remove(struct devpts_super *ds, struct dnode *n)
{
	struct super *sb = ds->sb;
	uint32_t nr = LX_MINOR(n->i.rdev);
	char name[16];

	mutex_lock(&ds->lock);
	ds->node[nr] = NULL;
	n->tty = NULL;
	inode_store(n->i.nlink, 0);
	mutex_unlock(&ds->lock);
	atomic_fetch_sub(&nr_nodes, 1);
	snprintf(name, sizeof name, "%u", nr);
	dentry_invalidate(sb->root, name);
	inode_put(&n->i);
	super_put(sb);
}

/* A number for a new pty, and its node. */
static int
devpts_add(struct devpts_super *ds, const struct call *c, struct pty *p)
{
	struct dnode *n;
	int r;

	n = dnode_new(ds->sb, 0, LX_S_IFCHR | ds->mode, ds->uid_set ? ds->uid : c->cred->fsuid,
		ds->gid_set ? ds->gid : c->cred->fsgid, 0);
	if (!n)
		return -ENOMEM;
	r = table_put(ds, n, &p->tty);
	if (r < 0)
		return r;
	p->nr = (uint32_t)r;
	p->slave_inode = &n->i;
	return 0;
}

void
devpts_remove(struct pty *p)
{
	table_remove(p->ds, container_of(p->slave_inode, struct dnode, i));
	p->slave_inode = NULL;
}

int
devpts_adopt(struct super *sb, const struct call *c, struct tty *t, uint32_t uid, void **ret_node)
{
	struct devpts_super *ds = sb->priv;
	struct dnode *n;
	int r;

	(void)c;
	if (sb->type != &devpts_type)
		return -ENODEV;
	n = dnode_new(sb, 0, LX_S_IFCHR | ds->mode, ds->uid_set ? ds->uid : uid,
		ds->gid_set ? ds->gid : 0, 0);
	if (!n)
		return -ENOMEM;
	n->foreign = true;
	r = table_put(ds, n, t);
	if (r >= 0)
		*ret_node = n;
	return r;
}

void
devpts_disown(void *node)
{
	struct dnode *n = node;

	table_remove(n->i.sb->priv, n);
}

/* The instance whose ptmx f is: devpts itself, or what is mounted on "pts" beside the node. */
static int
find_instance(struct file *f, const struct call *c, struct super **ret)
{
	static const char pts[] = "pts";
	struct name n = {pts, 3, dentry_hash(pts, 3)};
	struct dentry *up;
	struct path p;
	int r;

	if (f->inode->sb->type == &devpts_type) {
		*ret = super_get(f->inode->sb);
		return 0;
	}
	dentry_parent_get(f->path.dentry, &up);
	r = vfs_lookup_one(c, up, &n, &p.dentry);
	dentry_put(up);
	if (r)
		return r;
	p.mnt = mount_get(f->path.mnt);
	if (p.dentry->inode)
		mnt_follow_down(&p);
	if (p.dentry->inode && p.dentry->sb->type == &devpts_type)
		*ret = super_get(p.dentry->sb);
	else
		r = -ENODEV;
	path_put(&p);
	return r;
}

static int
ptmx_open(struct file *f, const struct call *c)
{
	struct super *sb;
	struct pty *p;
	int r = find_instance(f, c, &sb);

	if (r)
		return r;
	r = pty_new(sb->priv, c, &p);
	if (!r) {
		p->masters = 1;
		r = devpts_add(sb->priv, c, p);
		if (r)
			tty_put(&p->tty);
	}
	super_put(sb);
	if (r)
		return r;
	f->ops = &pty_master_fops;
	f->priv = p;
	f->mode |= LX_FMODE_WRITEALL;
	return 0;
}

static int
pts_open(struct file *f, const struct call *c)
{
	struct devpts_super *ds = f->inode->sb->priv;
	struct dnode *n;
	struct tty *t;
	int r;

	/* a node of this number elsewhere has no instance to belong to */
	if (f->inode->sb->type != &devpts_type)
		return -EIO;
	mutex_lock(&ds->lock);
	n = container_of(f->inode, struct dnode, i);
	t = n->tty;
	if (t && !ref_get_unless_zero(&t->ref))
		t = NULL;
	mutex_unlock(&ds->lock);
	if (!t)
		return -EIO;
	if (n->foreign) {
		r = t->reopen(t, f, c);
		if (!r && !(file_flags(f) & LX_O_NOCTTY) && tty_hooks.opened)
			tty_hooks.opened(t, f);
	} else {
		r = devpts_open_slave(pty_of(t), f, c);
	}
	tty_put(t);
	return r;
}

/* --- the directory --- */

static int
parse_nr(const struct name *n, uint32_t *ret)
{
	uint32_t v = 0;

	if (n->len > 4 || (n->len > 1 && n->s[0] == '0'))
		return -ENOENT;
	for (uint32_t i = 0; i < n->len; i++) {
		if (n->s[i] < '0' || n->s[i] > '9')
			return -ENOENT;
		v = v * 10 + (uint32_t)(n->s[i] - '0');
	}
	*ret = v;
	return v < PTS_MAX ? 0 : -ENOENT;
}

static int
dir_lookup(struct inode *dir, const struct call *c, const struct name *n, struct inode **ret)
{
	struct devpts_super *ds = dir->sb->priv;
	uint32_t nr;
	int r;

	(void)c;
	if (n->len == 4 && !memcmp(n->s, "ptmx", 4)) {
		struct dnode *d =
			dnode_new(dir->sb, 2, LX_S_IFCHR | ds->ptmxmode, 0, 0, LX_MKDEV(5, 2));

		if (!d)
			return -ENOMEM;
		*ret = &d->i;
		return 0;
	}
	r = parse_nr(n, &nr);
	if (r)
		return r;
	mutex_lock(&ds->lock);
	if (ds->node[nr])
		*ret = inode_get(&ds->node[nr]->i);
	else
		r = -ENOENT;
	mutex_unlock(&ds->lock);
	return r;
}

static int
dir_iterate(struct file *f, const struct call *c, struct dir_emit *e)
{
	struct devpts_super *ds = f->inode->sb->priv;
	char name[16];

	(void)c;
	if (!file_emit_dots(f, e))
		return 0;
	if (f->pos == 2) {
		if (!e->fn(e, "ptmx", 4, 2, 2, 3))
			return 0;
		f->pos = 3;
	}
	for (uint64_t nr = (uint64_t)f->pos - 3; nr < PTS_MAX; nr++) {
		bool there;

		mutex_lock(&ds->lock);
		there = ds->node[nr] != NULL;
		mutex_unlock(&ds->lock);
		if (!there)
			continue;
		snprintf(name, sizeof name, "%u", (unsigned)nr);
		if (!e->fn(e, name, strlen(name), nr + 3, 2, (int64_t)nr + 4))
			return 0;
		f->pos = (int64_t)nr + 4;
	}
	return 0;
}

static const struct inode_ops dir_iops = {.lookup = dir_lookup, .free = node_free};
static const struct inode_ops node_iops = {.free = node_free};
static const struct file_ops dir_fops = {
	.read = file_read_dir, .lseek = file_lseek_dir, .iterate = dir_iterate};

/* --- the super --- */

static void
release(struct super *sb)
{
	struct devpts_super *ds = sb->priv;

	mutex_destroy(&ds->lock);
	free(ds);
}

static void
show_options(struct super *sb, char *buf, size_t cap)
{
	struct devpts_super *ds = sb->priv;
	int n = 0;

	if (ds->uid_set)
		n += snprintf(buf + n, cap - (size_t)n, ",uid=%u", ds->uid);
	if (ds->gid_set)
		n += snprintf(buf + n, cap - (size_t)n, ",gid=%u", ds->gid);
	snprintf(buf + n, cap - (size_t)n, ",mode=%03o,ptmxmode=%03o", ds->mode, ds->ptmxmode);
}

static const struct super_ops devpts_sops = {.release = release, .show_options = show_options};

static int
parse_one(struct devpts_super *ds, const char *name, const char *val)
{
	uint64_t v;

	if (!strcmp(name, "newinstance") && !val)
		return 0; /* every mount is one */
	if (!strcmp(name, "mode") || !strcmp(name, "ptmxmode")) {
		if (fs_option_u64(val, 8, &v))
			return -EINVAL;
		*(name[0] == 'm' ? &ds->mode : &ds->ptmxmode) = (uint32_t)v & LX_S_IALLUGO;
		return 0;
	}
	if (fs_option_u64(val, 10, &v) || v >= UINT32_MAX)
		return -EINVAL;
	if (!strcmp(name, "uid")) {
		ds->uid = (uint32_t)v;
		ds->uid_set = true;
	} else if (!strcmp(name, "gid")) {
		ds->gid = (uint32_t)v;
		ds->gid_set = true;
	} else if (!strcmp(name, "max")) {
		ds->max = v < PTS_MAX ? (uint32_t)v : PTS_MAX;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int
check_option(const char *name, const char *val)
{
	struct devpts_super ds = {0};

	return parse_one(&ds, name, val);
}

static int
devpts_mount(const struct fs_type *type, const struct call *c, const struct mount_request *rq,
	struct super **ret)
{
	struct super *sb = super_new(type, &devpts_sops, rq->source ? rq->source : "devpts");
	struct devpts_super *ds = sb ? calloc(1, sizeof *ds) : NULL;
	char *text = NULL, *p, *name, *val;
	struct dnode *root;
	int r = 0;

	(void)c;
	if (!ds) {
		super_put(sb);
		return -ENOMEM;
	}
	sb->priv = ds;
	sb->magic = DEVPTS_MAGIC;
	sb->flags = SUPER_NO_NEGATIVE;
	ds->sb = sb;
	ds->mode = 0600;
	ds->max = PTS_MAX;
	mutex_init(&ds->lock, LR_FS);
	if (rq->options && !(text = strdup(rq->options)))
		r = -ENOMEM;
	p = text;
	while (!r && fs_option_next(&p, &name, &val))
		r = parse_one(ds, name, val);
	free(text);
	root = r ? NULL : dnode_new(sb, 1, LX_S_IFDIR | 0755, 0, 0, 0);
	if (!r && !root)
		r = -ENOMEM;
	if (!r)
		r = super_set_root(sb, &root->i);
	if (r) {
		super_put(sb);
		return r;
	}
	*ret = sb;
	return 0;
}

static struct fs_type devpts_type = {
	.name = "devpts",
	.check = check_option,
	.flags = FS_TYPE_USERNS_MOUNT | FS_TYPE_NODEV | FS_TYPE_OWN_NS,
	.mount = devpts_mount,
};

static struct vfs_dev devices[] = {
	{.type = LX_S_IFCHR,
		.major = 5,
		.minor = 2,
		.nminors = 1,
		.name = "ptmx",
		.open = ptmx_open},
	{.type = LX_S_IFCHR,
		.major = 136,
		.minor = 0,
		.nminors = PTS_MAX,
		.name = "pts",
		.open = pts_open},
};

static struct tty *
of_file(struct file *f, bool *master)
{
	*master = f->ops == &pty_master_fops;
	if (!*master && f->ops != &pty_slave_fops)
		return NULL;
	return &((struct pty *)f->priv)->tty;
}

int
devpts_init(void)
{
	static struct tty_driver driver = {.of_file = of_file};

	for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
		vfs_dev_register(&devices[i]);
	tty_driver_register(&driver);
	fs_type_register(&devpts_type);
	return 0;
}
