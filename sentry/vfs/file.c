/* SPDX-License-Identifier: Apache-2.0 */
/* Open files: life and death, nameless files, devices by number. */
#include "mount_internal.h"
#include "sentry/sysctl/sysctl.h"
#include "sentry/vfs/lock.h"
#include "sentry/vfs/rw.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void (*file_epoll_gone)(struct file *f);
void (*file_sigio_gone)(struct file *f);
int (*vfs_fifo_open)(struct file *f, const struct call *c);
void (*vfs_fifo_free)(struct inode *i);

bool (*file_opener_capable)(int cap);

/* fs.file-max. No call: who runs asks. */
static bool
table_full(const struct call *c)
{
	if (atomic_load_explicit(&live_count[LIVE_FILE], memory_order_relaxed) <
		sysctl_get(SYSCTL_FILE_MAX))
		return false;
	return !(c ? cred_capable(c->cred, LX_CAP_SYS_ADMIN)
		   : !file_opener_capable || file_opener_capable(LX_CAP_SYS_ADMIN));
}

int
file_alloc(const struct call *c, const struct path *p, uint32_t flags, struct file **ret)
{
	struct file *f;

	if (table_full(c))
		return -ENFILE;
	f = calloc(1, sizeof *f);
	if (!f)
		return -ENOMEM;
	ref_init(&f->ref);
	f->path = *p;
	path_get(&f->path);
	f->inode = inode_get(p->dentry->inode);
	atomic_store_explicit(&p->mnt->expiry_mark, false, memory_order_relaxed);
	f->cred = c ? cred_get(c->cred) : NULL;
	f->flags = flags;
	f->ops = f->inode->fops;
	mutex_init(&f->pos_lock, LR_FILE);
	sleeplock_init(&f->pos_sleep);
	LIVE_INC(FILE);
	*ret = f;
	return 0;
}

struct file *
file_get(struct file *f)
{
	ref_get(&f->ref);
	return f;
}

static void
file_free(struct file *f)
{
	struct inode *i = f->inode;

	if (f->epolls && file_epoll_gone)
		file_epoll_gone(f);
	if (f->sigio && file_sigio_gone)
		file_sigio_gone(f);
	if (f->mode & LX_FMODE_OPENED) {
		if (vfs_watched())
			vfs_notify_file(f,
				f->mode & LX_FMODE_WRITE ? LX_IN_CLOSE_WRITE : LX_IN_CLOSE_NOWRITE);
		file_locks_release(f);
		if (f->ops && f->ops->release)
			f->ops->release(f);
	}
	if (f->mode & LX_FMODE_WRITER) {
		atomic_fetch_sub(&i->writecount, 1);
		atomic_fetch_sub(&f->path.mnt->writers, 1);
	}
	if (f->mode & LX_FMODE_READER)
		atomic_fetch_sub(&i->readcount, 1);
	if (f->mode & LX_FMODE_DENYWRITE)
		atomic_fetch_add(&i->writecount, 1);
	inode_put(i);
	if (f->mode & LX_FMODE_UNMOUNT)
		mnt_dissolve(f->path.mnt);
	path_put(&f->path);
	cred_put(f->cred);
	mutex_destroy(&f->pos_lock);
	LIVE_DEC(FILE);
	free(f);
}

void
file_put(struct file *f)
{
	if (f && ref_put(&f->ref))
		file_free(f);
}

/* --- nameless files --- */

static struct mount *anon_mnt;
static _Atomic uint64_t next_anon_ino = 1000;

static void
anon_free(struct inode *i)
{
	inode_fini(i);
	free(i);
}

static const struct inode_ops anon_iops = {.free = anon_free};

static struct fs_type anon_type = {
	.name = "anon_inodefs", .flags = FS_TYPE_INTERNAL | FS_TYPE_NODEV};

int
vfs_anon_init(void)
{
	struct super *sb = super_new(&anon_type, NULL, NULL);
	struct inode *root = sb ? calloc(1, sizeof *root) : NULL;
	int r;

	if (!root) {
		super_put(sb);
		return -ENOMEM;
	}
	sb->magic = 0x09041934;
	sb->flags = SUPER_NOUSER;
	inode_init(root, sb, &anon_iops, NULL, 1, LX_S_IFDIR | 0555, 0, 0);
	r = super_set_root(sb, root);
	if (!r) {
		anon_mnt = mount_new(sb, sb->root, MNT_INTERNAL);
		if (!anon_mnt)
			r = -ENOMEM;
	}
	super_put(sb);
	return r;
}

int
file_new_inode(struct inode *inode, const struct file_ops *ops, void *priv, const char *desc,
	uint32_t oflags, struct file **ret)
{
	char text[96];
	struct name n = {text, 0, 0};
	struct path p = {anon_mnt, NULL};
	struct file *f;
	int r;
	const char *pc = strstr(desc, "%lu");

	if (pc)
		snprintf(text, sizeof text, "%.*s%lu%s", (int)(pc - desc), desc,
			(unsigned long)inode->ino, pc + 3);
	else
		snprintf(text, sizeof text, "%.90s", desc);
	n.len = (uint32_t)strlen(text);
	p.dentry = dentry_new_loose(inode->sb, NULL, &n, inode_get(inode));
	if (!p.dentry) {
		inode_put(inode);
		return -ENOMEM;
	}
	r = file_alloc(NULL, &p, oflags, &f);
	dentry_put(p.dentry);
	if (r)
		return r;
	f->ops = ops;
	f->priv = priv;
	f->mode = LX_FMODE_OPENED;
	if ((oflags & LX_O_ACCMODE) != LX_O_WRONLY)
		f->mode |= LX_FMODE_READ;
	if ((oflags & LX_O_ACCMODE) != LX_O_RDONLY)
		f->mode |= LX_FMODE_WRITE;
	if (ops->lseek == file_lseek_noop)
		f->mode |= LX_FMODE_LSEEK | LX_FMODE_STREAM;
	else if (ops->lseek)
		f->mode |= LX_FMODE_LSEEK | LX_FMODE_PREAD;
	else
		f->mode |= LX_FMODE_STREAM;
	*ret = f;
	return 0;
}

void
file_init_anon(
	struct inode *i, const struct inode_ops *iops, const struct file_ops *ops, uint32_t ifmt)
{
	inode_init(i, anon_mnt->sb, iops, ops, atomic_fetch_add(&next_anon_ino, 1), ifmt, 0, 0);
	i->flags |= INODE_NOWRITE_CHECK;
}

int
file_new_anon(const struct file_ops *ops, void *priv, const char *desc, uint32_t ifmt,
	uint32_t oflags, struct file **ret)
{
	struct inode *i = calloc(1, sizeof *i);
	int r;

	if (!i)
		return -ENOMEM;
	/* Without a type it is one of Linux's anon_inodes. */
	file_init_anon(i, &anon_iops, ops, ifmt ? ifmt : 0600u);
	if (!(ifmt & LX_S_IFMT))
		i->flags |= INODE_FIXED;
	r = file_new_inode(i, ops, priv, desc, oflags, ret);
	inode_put(i);
	return r;
}

/* --- devices --- */

static struct mutex dev_lock = MUTEX_INIT(LEAF);
static struct list devs = LIST_INIT(devs);

void
vfs_dev_register(struct vfs_dev *d)
{
	mutex_lock(&dev_lock);
	list_push_back(&devs, &d->node);
	mutex_unlock(&dev_lock);
}

struct vfs_dev *
vfs_dev_find(uint32_t type, uint32_t dev)
{
	struct vfs_dev *d, *found = NULL;

	mutex_lock(&dev_lock);
	list_for_each_entry (d, &devs, node) {
		uint32_t first = d->minor;

		if (d->type == type && d->major == LX_MAJOR(dev) && LX_MINOR(dev) >= first &&
			LX_MINOR(dev) - first < (d->nminors ? d->nminors : 1)) {
			found = d;
			break;
		}
	}
	mutex_unlock(&dev_lock);
	return found;
}

int
file_open_inode(const struct call *c, struct inode *i, uint32_t oflags, struct file **ret)
{
	struct file *f;
	int r = file_new_inode(i, i->fops, NULL, "/lower", oflags, &f);

	if (r)
		return r;
	if (i->ops->open) {
		f->mode &= ~LX_FMODE_OPENED;
		r = i->ops->open(i, c, f);
		if (r) {
			file_put(f);
			return r;
		}
		f->mode |= LX_FMODE_OPENED;
	}
	*ret = f;
	return 0;
}
