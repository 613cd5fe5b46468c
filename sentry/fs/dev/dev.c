/* SPDX-License-Identifier: Apache-2.0 */
/* Devices that every program expects (null(4), full(4), random(4), tty(4)), and the tree that shows
 * them. */
#include "sentry/fs/dev.h"
#include "abi/ioctl.h"
#include "abi/poll.h"
#include "platform/host/file.h"
#include "platform/host/memory.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/fs/tty.h"
#include "sentry/mm/mappable.h"
#include "sentry/vfs/rw.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ZERO_MAP_BYTES (1LL << 40) /* a mapping of /dev/zero is never larger */

static ssize_t
null_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	(void)f, (void)c, (void)u, (void)pos, (void)rwf;
	return 0;
}

static ssize_t
null_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	uint64_t n = u->left;

	(void)f, (void)c, (void)pos, (void)rwf;
	uio_skip(u, n);
	return (ssize_t)n;
}

static ssize_t
zero_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	(void)f, (void)c, (void)pos, (void)rwf;
	return uio_zero(u, u->left);
}

static ssize_t
full_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	(void)f, (void)c, (void)u, (void)pos, (void)rwf;
	return -ENOSPC;
}

static ssize_t
random_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf)
{
	uint8_t buf[256]; /* what getrandom(2) gives whole */
	ssize_t total = 0;

	(void)f, (void)pos, (void)rwf;
	while (u->left) {
		size_t n = u->left < sizeof buf ? u->left : sizeof buf;
		ssize_t r;

		if (getrandom(buf, n, 0) != (ssize_t)n)
			return total ? total : -EIO;
		r = uio_copy_to(u, buf, n);
		if (r < 0)
			return total ? total : r;
		total += r;
		if ((size_t)r < n ||
			(c->interrupted && (total & 0xfffff) == 0 && c->interrupted(c)))
			break;
	}
	memset(buf, 0, sizeof buf);
	return total;
}

static int64_t
random_ioctl(struct file *f, const struct call *c, uint32_t cmd, uint64_t arg)
{
	int32_t bits = 256;

	(void)f;
	if (cmd == LX_RNDGETENTCNT)
		return copy_out(c->um, ua(arg), &bits, sizeof bits);
	if (cmd == LX_RNDADDENTROPY || cmd == LX_RNDADDTOENTCNT)
		return -EPERM;
	return -EINVAL;
}

struct zero_map {
	struct mappable m;
	int fd;
	struct host_memory held; /* with fd */
};

static int
zero_map_fd(struct mappable *m, int prot, bool shared)
{
	(void)prot, (void)shared;
	return container_of(m, struct zero_map, m)->fd;
}

static void
zero_map_release(struct mappable *m)
{
	struct zero_map *z = container_of(m, struct zero_map, m);

	host_memory_del(&z->held);
	host_fd_close(z->fd);
	file_put(z->m.file);
	free(z);
}

static const struct mappable_ops zero_map_ops = {
	.host_fd = zero_map_fd, .release = zero_map_release};

static int
zero_mappable(struct file *f, const struct call *c, int prot, bool shared, struct mappable **ret)
{
	struct zero_map *z = calloc(1, sizeof *z);
	int r;

	(void)c, (void)prot, (void)shared;
	if (!z)
		return -ENOMEM;
	z->fd = host_memfd("zero", 0);
	r = z->fd < 0 ? z->fd : host_fd_truncate(z->fd, ZERO_MAP_BYTES);
	if (r) {
		host_fd_close(z->fd);
		free(z);
		return r;
	}
	host_memory_add(&z->held, z->fd);
	ref_init(&z->m.ref);
	z->m.ops = &zero_map_ops;
	z->m.file = file_get(f);
	*ret = &z->m;
	return 0;
}

static const struct file_ops null_fops = {
	.read = null_read, .write = null_write, .lseek = file_lseek_noop};
static const struct file_ops zero_fops = {.read = zero_read,
	.write = null_write,
	.lseek = file_lseek_noop,
	.mappable = zero_mappable};
static const struct file_ops full_fops = {
	.read = zero_read, .write = full_write, .lseek = file_lseek_noop};
static const struct file_ops random_fops = {
	.read = random_read, .write = null_write, .lseek = file_lseek_noop, .ioctl = random_ioctl};

static int
mem_open(struct file *f, const struct call *c)
{
	(void)c;
	switch (LX_MINOR(f->inode->rdev)) {
	case 3:
		f->ops = &null_fops;
		return 0;
	case 5:
		f->ops = &zero_fops;
		return 0;
	case 7:
		f->ops = &full_fops;
		return 0;
	case 8:
	case 9:
		f->ops = &random_fops;
		return 0;
	default:
		return -ENXIO;
	}
}

static int
tty_open(struct file *f, const struct call *c)
{
	struct tty *t;
	int r;

	if (LX_MINOR(f->inode->rdev) == 1)
		t = tty_hooks.console ? tty_hooks.console() : NULL;
	else
		t = tty_hooks.session ? tty_of_session(tty_hooks.session()) : NULL;
	if (!t)
		return -ENXIO;
	r = t->reopen ? t->reopen(t, f, c) : -ENXIO;
	tty_put(t);
	return r;
}

static struct vfs_dev devices[] = {
	{.type = LX_S_IFCHR, .major = 1, .minor = 3, .nminors = 7, .name = "mem", .open = mem_open},
	{.type = LX_S_IFCHR, .major = 5, .minor = 0, .nminors = 2, .name = "tty", .open = tty_open},
};

struct entry {
	const char *name;
	uint32_t mode, rdev;
	const char *target;
};

static const struct entry entries[] = {
	{"null", LX_S_IFCHR | 0666, LX_MKDEV(1, 3), NULL},
	{"zero", LX_S_IFCHR | 0666, LX_MKDEV(1, 5), NULL},
	{"full", LX_S_IFCHR | 0666, LX_MKDEV(1, 7), NULL},
	{"random", LX_S_IFCHR | 0666, LX_MKDEV(1, 8), NULL},
	{"urandom", LX_S_IFCHR | 0666, LX_MKDEV(1, 9), NULL},
	{"tty", LX_S_IFCHR | 0666, LX_MKDEV(5, 0), NULL},
	{"fuse", LX_S_IFCHR | 0666, LX_MKDEV(10, 229), NULL},
	{"net", LX_S_IFDIR | 0755, 0, NULL},
	{"net/tun", LX_S_IFCHR | 0666, LX_MKDEV(10, 200), NULL},
	{"console", LX_S_IFCHR | 0620, LX_MKDEV(5, 1), NULL},
	{"ptmx", LX_S_IFLNK | 0777, 0, "pts/ptmx"},
	{"fd", LX_S_IFLNK | 0777, 0, "/proc/self/fd"},
	{"stdin", LX_S_IFLNK | 0777, 0, "/proc/self/fd/0"},
	{"stdout", LX_S_IFLNK | 0777, 0, "/proc/self/fd/1"},
	{"stderr", LX_S_IFLNK | 0777, 0, "/proc/self/fd/2"},
	{"core", LX_S_IFLNK | 0777, 0, "/proc/kcore"},
	{"shm", LX_S_IFDIR | 01777, 0, NULL},
	{"mqueue", LX_S_IFDIR | 0755, 0, NULL},
	{"pts", LX_S_IFDIR | 0755, 0, NULL},
};

/* *ret: the new node, a reference. */
static int
make(const struct call *c, struct inode *dir, const char *name, const struct entry *e,
	struct inode **ret)
{
	size_t len = strlen(name);
	struct name n = {name, (uint32_t)len, dentry_hash(name, len)};
	struct inode_spec spec = {.mode = e->mode, .rdev = e->rdev, .target = e->target};
	int r;

	sleeplock_lock(&dir->dir_lock);
	r = dir->ops->create ? dir->ops->create(dir, c, &n, &spec, ret) : -EPERM;
	sleeplock_unlock(&dir->dir_lock);
	return r;
}

/* Entries of a directory come right behind it; they are made with it, not into one that was there.
 */
static int
populate(const struct call *c, struct dentry *dir)
{
	struct inode *sub = NULL, *inode;
	int r = 0;

	for (size_t i = 0; !r && i < sizeof entries / sizeof entries[0]; i++) {
		const struct entry *e = &entries[i];
		const char *slash = strchr(e->name, '/');

		if (slash && !sub)
			continue;
		r = make(c, slash ? sub : dir->inode, slash ? slash + 1 : e->name, e, &inode);
		if (r == -EEXIST) {
			inode = NULL;
			r = 0;
		}
		if (r)
			break;
		if (slash) {
			inode_put(inode);
			continue;
		}
		inode_put(sub);
		sub = inode;
		if (inode)
			dentry_invalidate(dir, e->name);
	}
	inode_put(sub);
	return r;
}

int
dev_populate(const struct call *c, const struct path *dir)
{
	return populate(c, dir->dentry);
}

static int
devtmpfs_mount(const struct fs_type *type, const struct call *c, const struct mount_request *rq,
	struct super **ret)
{
	struct super *sb;
	int r = tmpfs_new(c, rq->options && *rq->options ? rq->options : "mode=755,size=64k", &sb);

	if (r)
		return r;
	sb->type = type;
	r = populate(c, sb->root);
	if (r) {
		super_put(sb);
		return r;
	}
	*ret = sb;
	return 0;
}

static struct fs_type devtmpfs_type = {
	.name = "devtmpfs",
	.check = tmpfs_check_option,
	.flags = FS_TYPE_USERNS_MOUNT | FS_TYPE_NODEV,
	.mount = devtmpfs_mount,
};

int
dev_init(void)
{
	for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
		vfs_dev_register(&devices[i]);
	fs_type_register(&devtmpfs_type);
	return 0;
}
