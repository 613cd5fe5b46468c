/* SPDX-License-Identifier: Apache-2.0 */
/* tmpfs: mount options, limits, statfs, and nameless files. */
#include "internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct super *shm_sb;

bool
tmpfs_charge(struct super *sb, uint64_t pages)
{
	struct tmpfs_super *t = tsb_of(sb);
	uint64_t used = atomic_load(&t->pages);

	do {
		if (t->max_pages && (used > t->max_pages || pages > t->max_pages - used))
			return false;
	} while (!atomic_compare_exchange_weak(&t->pages, &used, used + pages));
	return true;
}

void
tmpfs_uncharge(struct super *sb, uint64_t pages)
{
	atomic_fetch_sub(&tsb_of(sb)->pages, pages);
}

static uint64_t
host_pages(void)
{
	long n = sysconf(_SC_PHYS_PAGES);

	return n > 0 ? (uint64_t)n : 1u << 18;
}

static int
parse_size(struct tmpfs_super *t, const char *val)
{
	size_t len = val ? strlen(val) : 0;
	uint64_t bytes;

	if (len && val[len - 1] == '%') {
		char num[8];

		if (len >= sizeof num)
			return -EINVAL;
		memcpy(num, val, len - 1);
		num[len - 1] = 0;
		if (fs_option_u64(num, 10, &bytes))
			return -EINVAL;
		t->max_pages = host_pages() * bytes / 100;
	} else {
		if (fs_option_size(val, &bytes))
			return -EINVAL;
		t->max_pages = bytes / LX_PAGE_SIZE + (bytes % LX_PAGE_SIZE != 0);
	}
	t->size_given = true;
	return 0;
}

static int
parse_one(struct tmpfs_super *t, const char *name, const char *val, bool remount)
{
	uint64_t v;

	if (!strcmp(name, "size"))
		return parse_size(t, val);
	if (!strcmp(name, "nr_blocks") || !strcmp(name, "nr_inodes")) {
		if (fs_option_size(val, &v))
			return -EINVAL;
		if (name[3] == 'b') {
			t->max_pages = v;
			t->size_given = true;
		} else {
			t->max_inodes = v;
			t->inodes_given = true;
		}
		return 0;
	}
	if (!strcmp(name, "mode")) {
		if (fs_option_u64(val, 8, &v))
			return -EINVAL;
		t->mode = (uint32_t)v & LX_S_IALLUGO;
		return 0;
	}
	if (!strcmp(name, "uid") || !strcmp(name, "gid")) {
		if (fs_option_u64(val, 10, &v) || v >= UINT32_MAX)
			return -EINVAL;
		if (name[0] == 'u')
			t->uid = (uint32_t)v;
		else
			t->gid = (uint32_t)v;
		return 0;
	}
	/* what is so anyway: inode numbers have 64 bits, and nothing here is huge */
	if (!strcmp(name, "inode64") && !val && !remount)
		return 0;
	if (!strcmp(name, "huge") && val && !strcmp(val, "never"))
		return 0;
	return -EINVAL;
}

int
tmpfs_check_option(const char *name, const char *val)
{
	struct tmpfs_super t = {0};

	return parse_one(&t, name, val, false);
}

static int
parse(struct tmpfs_super *t, const char *options, bool remount)
{
	char *text = options ? strdup(options) : NULL, *p = text, *name, *val;
	int r = 0;

	if (options && !text)
		return -ENOMEM;
	while (!r && fs_option_next(&p, &name, &val))
		r = parse_one(t, name, val, remount);
	free(text);
	return r;
}

static void
release(struct super *sb)
{
	free(sb->priv);
}

static int
statfs(struct super *sb, const struct call *c, struct lx_statfs *st)
{
	struct tmpfs_super *t = tsb_of(sb);
	uint64_t pages = atomic_load(&t->pages), inodes = atomic_load(&t->inodes);

	(void)c;
	if (t->max_pages) {
		st->blocks = t->max_pages;
		st->bfree = st->bavail = pages < t->max_pages ? t->max_pages - pages : 0;
	}
	if (t->max_inodes) {
		st->files = t->max_inodes;
		st->ffree = inodes < t->max_inodes ? t->max_inodes - inodes : 0;
	}
	return 0;
}

static int
remount(struct super *sb, const struct call *c, const struct mount_request *rq)
{
	struct tmpfs_super *t = tsb_of(sb), n = *t;
	int r = parse(&n, rq->options, true);

	(void)c;
	if (r)
		return r;
	/* never below what is in use, and a limit cannot be lifted or put on afterwards */
	if (n.max_pages != t->max_pages &&
		(!n.max_pages || !t->max_pages || n.max_pages < atomic_load(&t->pages)))
		return -EINVAL;
	if (n.max_inodes != t->max_inodes &&
		(!n.max_inodes || !t->max_inodes || n.max_inodes < atomic_load(&t->inodes)))
		return -EINVAL;
	t->max_pages = n.max_pages;
	t->max_inodes = n.max_inodes;
	t->size_given = n.size_given;
	t->inodes_given = n.inodes_given;
	return 0;
}

static void
show_options(struct super *sb, char *buf, size_t cap)
{
	struct tmpfs_super *t = tsb_of(sb);
	int n = 0;

	if (t->size_given)
		n += snprintf(buf, cap, ",size=%luk", (unsigned long)(t->max_pages * 4));
	if (t->inodes_given)
		n += snprintf(
			buf + n, cap - (size_t)n, ",nr_inodes=%lu", (unsigned long)t->max_inodes);
	if (t->mode != 01777)
		n += snprintf(buf + n, cap - (size_t)n, ",mode=%03o", t->mode);
	if (t->uid)
		n += snprintf(buf + n, cap - (size_t)n, ",uid=%u", t->uid);
	if (t->gid)
		n += snprintf(buf + n, cap - (size_t)n, ",gid=%u", t->gid);
	snprintf(buf + n, cap - (size_t)n, ",inode64");
}

static const struct super_ops tmpfs_sops = {
	.release = release,
	.statfs = statfs,
	.remount = remount,
	.show_options = show_options,
};

static int
tmpfs_mount(const struct fs_type *type, const struct call *c, const struct mount_request *rq,
	struct super **ret)
{
	struct super *sb = super_new(type, &tmpfs_sops, rq->source ? rq->source : type->name);
	struct tmpfs_super *t = sb ? calloc(1, sizeof *t) : NULL;
	struct inode_spec spec = {0};
	struct tnode *root;
	int r;

	if (!t) {
		super_put(sb);
		return -ENOMEM;
	}
	sb->priv = t;
	sb->magic = TMPFS_MAGIC;
	sb->flags |= SUPER_POSIXACL | (c && c->cred && c->cred->user_ns ? SUPER_NODEV : 0);
	/* names are found as fast in the directory itself, but the cache may hold what is missing
	 */
	t->max_pages = host_pages() / 2;
	t->max_inodes = host_pages() / 2;
	t->mode = 01777;
	t->uid = c && c->cred ? c->cred->fsuid : 0;
	t->gid = c && c->cred ? c->cred->fsgid : 0;
	t->next_ino = 1;
	r = parse(t, rq->options, false);
	if (!r) {
		spec.mode = LX_S_IFDIR | t->mode;
		spec.uid = t->uid;
		spec.gid = t->gid;
		r = tnode_new(sb, &spec, &root);
	}
	if (!r)
		r = super_set_root(sb, &root->i);
	if (r) {
		super_put(sb);
		return r;
	}
	*ret = sb;
	return 0;
}

static struct fs_type tmpfs_type = {
	.name = "tmpfs",
	.check = tmpfs_check_option,
	.flags = FS_TYPE_USERNS_MOUNT | FS_TYPE_NODEV | FS_TYPE_OWN_NS,
	.mount = tmpfs_mount,
};

int
tmpfs_new(const struct call *c, const char *options, struct super **ret)
{
	struct mount_request rq = {"tmpfs", options, 0, NULL, NULL};

	return tmpfs_mount(&tmpfs_type, c, &rq, ret);
}

int
tmpfs_init(void)
{
	int r;

	fs_type_register(&tmpfs_type);
	r = tmpfs_new(NULL, "size=0,nr_inodes=0", &shm_sb);
	return r;
}

int
tmpfs_file_new(const struct call *c, const char *desc, int64_t size, uint32_t mode, uint32_t oflags,
	struct file **ret)
{
	struct inode_spec spec = {.mode = LX_S_IFREG | mode};
	struct tnode *n;
	int r;

	if (c && c->cred) {
		spec.uid = c->cred->fsuid;
		spec.gid = c->cred->fsgid;
	}
	r = tnode_new(shm_sb, &spec, &n);
	if (r)
		return r;
	n->i.size = size;
	inode_set_nlink(&n->i, 0);
	r = file_new_inode(&n->i, &tmpfs_reg_fops, NULL, desc, oflags, ret);
	inode_put(&n->i);
	return r;
}

int
tmpfs_inode_new(struct super *sb, const struct inode_spec *spec, struct inode **ret)
{
	struct tnode *n;
	int r = tnode_new(sb, spec, &n);

	if (!r)
		*ret = &n->i;
	return r;
}
