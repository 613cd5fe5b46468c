/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of nodes, and the few ways in which a descriptor becomes another one. Numbers are index
 * plus generation, so that a stale one finds nothing. The table is bounded by the descriptors that
 * the process may have.
 */
#include "internal.h"
#include "platform/host/err.h"
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

struct slot {
	struct node *node;
	uint32_t gen;
	uint32_t next_free;
};

static struct {
	struct mutex lock; /* guards all */
	struct slot *slots;
	uint32_t cap, max, used, first_free; /* first_free: index + 1, 0: none */
} nodes = {.lock = MUTEX_INIT(LEAF)};

void
nodes_init(uint32_t max)
{
	nodes.max = max;
}

uint32_t
nodes_max(void)
{
	return nodes.max;
}

struct fdpath
fd_path(int fd)
{
	struct fdpath p;

	snprintf(p.s, sizeof p.s, "%d", fd);
	return p;
}

int
open_beneath(int dirfd, const char *name, int flags, uint32_t mode)
{
	static _Atomic bool missing;
	struct open_how how = {.flags = (uint64_t)(unsigned)(flags | O_NOFOLLOW | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
	long fd;

	if (!atomic_load_explicit(&missing, memory_order_relaxed)) {
		do
			fd = HOST(syscall(SYS_openat2, dirfd, name, &how, sizeof how));
		while (fd == -EINTR || fd == -EAGAIN);
		if (fd != -ENOSYS)
			return (int)fd;
		atomic_store_explicit(&missing, true, memory_order_relaxed);
	}
	/* A single name without '/' cannot leave dirfd, and O_NOFOLLOW follows nothing. */
	return HOST_RETRY(openat(dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC, mode));
}

/* File systems through which the host's kernel is steered or shown. */
static bool
is_kernel_fs(int fd)
{
	static const long magic[] = {PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC,
		CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC, BPF_FS_MAGIC,
		EFIVARFS_MAGIC, SELINUX_MAGIC, SMACK_MAGIC, NSFS_MAGIC, DEVPTS_SUPER_MAGIC,
		BINFMTFS_MAGIC, PSTOREFS_MAGIC, 0x62656570 /* configfs */, 0x65735543 /* fusectl */,
		0x67596969 /* rpc_pipefs */, 0x19800202 /* mqueue */};
	struct statfs s;

	if (HOST_RETRY(fstatfs(fd, &s)) < 0)
		return true;
	for (size_t i = 0; i < sizeof magic / sizeof magic[0]; i++)
		if ((long)s.f_type == magic[i])
			return true;
	return false;
}

/* Which ACLs a file has; 0: the host does not say. */
static uint32_t
acls_of(int fd, uint32_t mode)
{
	static const struct {
		const char *name;
		uint32_t bit;
	} kinds[] = {{"system.posix_acl_access", WIRE_ACLS_ACCESS},
		{"system.posix_acl_default", WIRE_ACLS_DEFAULT}};
	uint32_t ret = WIRE_ACLS_KNOWN;

	for (size_t i = 0; i < (S_ISDIR(mode) ? 2 : 1); i++) {
		ssize_t r = HOST_RETRY(getxattr(fd_path(fd).s, kinds[i].name, NULL, 0));

		if (r >= 0)
			ret |= kinds[i].bit;
		else if (r != -ENODATA && r != -EOPNOTSUPP)
			return 0;
	}
	return ret;
}

int
node_attr(int fd, bool acls, Gofer__Attr *a)
{
	struct statx st;
	int r = HOST_RETRY(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, &st));

	if (r < 0)
		return r;
	a->ino = st.stx_ino;
	a->dev = makedev(st.stx_dev_major, st.stx_dev_minor);
	a->mode = st.stx_mode;
	a->nlink = st.stx_nlink;
	a->uid = st.stx_uid;
	a->gid = st.stx_gid;
	a->rdev = makedev(st.stx_rdev_major, st.stx_rdev_minor);
	a->size = st.stx_size;
	a->blocks = st.stx_blocks;
	a->blksize = st.stx_blksize;
	a->atime_s = st.stx_atime.tv_sec;
	a->atime_ns = st.stx_atime.tv_nsec;
	a->mtime_s = st.stx_mtime.tv_sec;
	a->mtime_ns = st.stx_mtime.tv_nsec;
	a->ctime_s = st.stx_ctime.tv_sec;
	a->ctime_ns = st.stx_ctime.tv_nsec;
	a->btime_s = st.stx_btime.tv_sec;
	a->btime_ns = st.stx_btime.tv_nsec;
	if (acls && !S_ISLNK(st.stx_mode))
		a->acls = acls_of(fd, st.stx_mode);
	return 0;
}

/* Put n into the table: its number, or 0. */
static uint64_t
table_insert(struct node *n)
{
	WITH_MUTEX(&nodes.lock);
	uint32_t i;

	if (nodes.used >= nodes.max)
		return 0;
	if (nodes.first_free) {
		i = nodes.first_free - 1;
		nodes.first_free = nodes.slots[i].next_free;
	} else {
		i = nodes.used; /* without free slots, all below used are taken */
		if (i == nodes.cap) {
			uint32_t cap = nodes.cap ? nodes.cap * 2 : 64;
			struct slot *s = realloc(nodes.slots, cap * sizeof *s);

			if (!s)
				return 0;
			memset(s + nodes.cap, 0, (cap - nodes.cap) * sizeof *s);
			nodes.slots = s;
			nodes.cap = cap;
		}
	}
	nodes.used++;
	nodes.slots[i].node = n;
	return (uint64_t)nodes.slots[i].gen << 32 | (i + 1);
}

int
node_add(struct reply *r, int fd, const struct node *parent, const struct export_root *root,
	Gofer__Node **ret)
{
	struct {
		Gofer__Node node;
		Gofer__Attr attr;
		uint8_t link[4096];
	} * m;
	Gofer__Attr at = GOFER__ATTR__INIT;
	struct node *n = calloc(1, sizeof *n);
	int err = -ENOMEM;

	if (!n)
		goto undo_fd;
	n->acls = parent ? parent->acls : root->acls;
	err = node_attr(fd, n->acls, &at);
	if (err < 0)
		goto undo_node;
	err = -ENOMEM;
	/* Most files are no symlinks: leave out the room for the text. */
	m = reply_alloc(r, 1, S_ISLNK(at.mode) ? sizeof *m : offsetof(__typeof__(*m), link));
	if (!m)
		goto undo_node;
	gofer__node__init(&m->node);
	m->attr = at;
	m->node.attr = &m->attr;
	if (S_ISLNK(at.mode)) {
		ssize_t len = HOST_RETRY(readlinkat(fd, "", (char *)m->link, sizeof m->link));

		err = len < 0 ? (int)len : len == sizeof m->link ? -ENAMETOOLONG : 0;
		if (err < 0)
			goto undo_node;
		m->node.link = wire_bytes(m->link, (size_t)len);
	}
	ref_init(&n->ref);
	mutex_init(&n->lock, LR_LEAF);
	n->fd = fd;
	n->dirfd = -1;
	n->type = m->attr.mode & S_IFMT;
	n->dev = m->attr.dev;
	n->readonly = parent ? parent->readonly : root->readonly;
	n->idmapped = parent ? parent->idmapped : root->idmapped;
	n->opaque = parent && (parent->opaque || (parent->dev != n->dev && is_kernel_fs(fd)));
	m->node.id = table_insert(n);
	err = -ENFILE;
	if (!m->node.id)
		goto undo_node;
	*ret = &m->node;
	return 0;
undo_node:
	free(n);
undo_fd:
	close(fd);
	return err;
}

struct node *
node_get(uint64_t id)
{
	uint32_t i = (uint32_t)id - 1;
	struct node *n = NULL;

	WITH_MUTEX(&nodes.lock);
	if (i < nodes.cap && nodes.slots[i].gen == (uint32_t)(id >> 32))
		n = nodes.slots[i].node;
	if (n)
		ref_get(&n->ref);
	return n;
}

void
node_put(struct node *n)
{
	if (!n || !ref_put(&n->ref))
		return;
	if (n->dirfd >= 0)
		close(n->dirfd);
	close(n->fd);
	mutex_destroy(&n->lock);
	free(n);
}

void
node_forget(uint64_t id)
{
	uint32_t i = (uint32_t)id - 1;
	struct node *n = NULL;

	mutex_lock(&nodes.lock);
	if (i < nodes.cap && nodes.slots[i].gen == (uint32_t)(id >> 32) && nodes.slots[i].node) {
		n = nodes.slots[i].node;
		nodes.slots[i].node = NULL;
		nodes.slots[i].gen++;
		nodes.slots[i].next_free = nodes.first_free;
		nodes.first_free = i + 1;
		nodes.used--;
	}
	mutex_unlock(&nodes.lock);
	node_put(n);
}

int
node_reopen(const struct node *n, int flags)
{
	if (n->opaque)
		return -EACCES;
	if (n->type != S_IFREG && n->type != S_IFDIR)
		return n->type == S_IFLNK ? -ELOOP : -ENXIO;
	return HOST_RETRY(openat(AT_FDCWD, fd_path(n->fd).s, flags | O_CLOEXEC | O_NOCTTY));
}

int
node_child(const struct node *dir, const ProtobufCBinaryData *name)
{
	char s[256];

	if (dir->type != S_IFDIR)
		return -ENOTDIR;
	if (dir->opaque)
		return -EACCES;
	if (!wire_name_ok(name))
		return -EINVAL;
	memcpy(s, name->data, name->len);
	s[name->len] = 0;
	return open_beneath(dir->fd, s, O_PATH, 0);
}
