/* SPDX-License-Identifier: Apache-2.0 */
/* File system types by name, supers, and the parsing of mount options. */
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include <stdlib.h>
#include <string.h>

static struct mutex types_lock = MUTEX_INIT(LEAF);
static struct list types = LIST_INIT(types);

void
fs_type_register(struct fs_type *type)
{
	mutex_lock(&types_lock);
	list_push_back(&types, &type->node);
	mutex_unlock(&types_lock);
}

struct fs_type *
fs_type_find(const char *name, size_t len)
{
	struct fs_type *t, *found = NULL;

	mutex_lock(&types_lock);
	list_for_each_entry (t, &types, node) {
		if (strlen(t->name) == len && !memcmp(t->name, name, len)) {
			found = t;
			break;
		}
	}
	mutex_unlock(&types_lock);
	return found;
}

struct fs_type *
fs_type_named(const char *name, const char **subtype)
{
	const char *dot = strchr(name, '.');
	struct fs_type *t = fs_type_find(name, dot ? (size_t)(dot - name) : strlen(name));

	if (t && dot && !(t->flags & FS_TYPE_SUBTYPE))
		return NULL;
	*subtype = dot ? dot + 1 : NULL;
	return t;
}

void
fs_type_each(void (*fn)(const struct fs_type *t, void *arg), void *arg)
{
	struct fs_type *t;

	mutex_lock(&types_lock);
	list_for_each_entry (t, &types, node)
		fn(t, arg);
	mutex_unlock(&types_lock);
}

int
fs_mount(const char *type, const struct call *c, const struct mount_request *rq, struct super **ret)
{
	struct fs_type *t = fs_type_find(type, strlen(type));
	int r;

	if (!t)
		return -ENODEV;
	r = t->mount(t, c, rq, ret);
	if (!r && (rq->ms_flags & LX_MS_RDONLY))
		atomic_fetch_or(&(*ret)->flags, SUPER_RDONLY);
	if (!r && (rq->ms_flags & LX_MS_SYNCHRONOUS))
		atomic_fetch_or(&(*ret)->flags, SUPER_SYNCHRONOUS);
	return r;
}

struct super *
super_new(const struct fs_type *type, const struct super_ops *ops, const char *source)
{
	static _Atomic uint32_t next_dev = 32;
	struct super *sb = calloc(1, sizeof *sb);

	if (!sb)
		return NULL;
	if (source && !(sb->source = strdup(source))) {
		free(sb);
		return NULL;
	}
	ref_init(&sb->ref);
	sb->type = type;
	sb->ops = ops;
	sb->dev = LX_MKDEV(0, atomic_fetch_add(&next_dev, 1));
	sb->blksize = 4096;
	sb->max_bytes = INT64_MAX;
	sleeplock_init(&sb->rename_lock);
	mutex_init(&sb->inodes_lock, LR_LEAF);
	LIVE_INC(SUPER);
	return sb;
}

int
super_set_root(struct super *sb, struct inode *root)
{
	static const struct name slash = {"/", 1, 0};
	struct dentry *d = dentry_new_loose(sb, NULL, &slash, root);

	if (!d) {
		inode_put(root);
		return -ENOMEM;
	}
	/* the super holds its root; a reference back would keep both for ever */
	atomic_fetch_and(&d->flags, ~DENTRY_PINS_SUPER);
	ref_put(&sb->ref);
	sb->root = d;
	return 0;
}

struct super *
super_get(struct super *sb)
{
	ref_get(&sb->ref);
	return sb;
}

void
super_put(struct super *sb)
{
	if (!sb || !ref_put(&sb->ref))
		return;
	vfs_notify_super_gone(sb);
	if (sb->root) {
		dentry_shrink(sb->root);
		dentry_put(sb->root);
	}
	if (sb->ops && sb->ops->release)
		sb->ops->release(sb);
	mutex_destroy(&sb->inodes_lock);
	free(sb->inodes);
	free(sb->source);
	free(sb->subtype);
	user_ns_put(sb->user_ns);
	LIVE_DEC(SUPER);
	free(sb);
}

bool
fs_option_next(char **list, char **name, char **val)
{
	char *s, *eq;

	do {
		if (!*list)
			return false;
		s = strsep(list, ",");
	} while (!*s);
	eq = strchr(s, '=');
	if (eq)
		*eq++ = 0;
	*name = s;
	*val = eq;
	return true;
}

int
fs_option_u64(const char *val, int base, uint64_t *ret)
{
	char *end;
	uint64_t v;

	if (!val || *val < '0' || *val > '9')
		return -EINVAL;
	/* strtoull saturates: no valid value of an option is that large */
	v = strtoull(val, &end, base);
	if (*end || v == UINT64_MAX)
		return -EINVAL;
	*ret = v;
	return 0;
}

int
fs_option_size(const char *val, uint64_t *ret)
{
	static const char suffix[] = "kmgtpe";
	char *end;
	const char *s;
	uint64_t v;

	if (!val || *val < '0' || *val > '9')
		return -EINVAL;
	v = strtoull(val, &end, 0);
	if (*end && (s = strchr(suffix, *end | 0x20))) {
		if (__builtin_mul_overflow(v, 1ULL << (10 * (s - suffix + 1)), &v))
			return -EINVAL;
		end++;
	}
	if (*end)
		return -EINVAL;
	*ret = v;
	return 0;
}
