/* SPDX-License-Identifier: Apache-2.0 */
/* The type "fuse": mount options, and the end. Linux counterpart: fs/fuse/inode.c. */
#include "internal.h"
#include "sentry/cred/user_ns.h"
#include "sentry/vfs/path.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
fuse_release_super(struct super *sb)
{
	struct fuse_conn *conn = sb->priv;

	if (!conn)
		return; /* it was never mounted */
	fuse_conn_abort(conn);
	fuse_conn_put(conn);
}

static void
fuse_umount_begin(struct super *sb)
{
	fuse_conn_abort(sb->priv);
}

/* Whoever remounts gives all options again, which nobody can change: passed over, as Linux does. */
static int
fuse_remount(struct super *sb, const struct call *c, const struct mount_request *rq)
{
	(void)sb, (void)c, (void)rq;
	return 0;
}

static void
fuse_show_options(struct super *sb, char *buf, size_t cap)
{
	struct fuse_conn *conn = sb->priv;
	size_t n = strlen(buf);

	n += (size_t)snprintf(buf + n, cap - n, ",user_id=%u,group_id=%u%s%s",
		uid_out(conn->user_ns, conn->user_id), gid_out(conn->user_ns, conn->group_id),
		conn->default_permissions ? ",default_permissions" : "",
		conn->allow_other ? ",allow_other" : "");
	if (conn->max_read_set && n < cap)
		snprintf(buf + n, cap - n, ",max_read=%u", conn->max_read_set);
}

static const struct super_ops fuse_super_ops = {
	.release = fuse_release_super,
	.statfs = fuse_statfs,
	.remount = fuse_remount,
	.show_options = fuse_show_options,
	.umount_begin = fuse_umount_begin,
};

enum option { OPT_FD, OPT_ROOTMODE, OPT_USER, OPT_GROUP, OPT_MAX_READ, OPT_NUMBERS };

struct options {
	uint64_t v[OPT_NUMBERS];
	uint32_t given; /* bits */
	bool default_permissions, allow_other;
	const char *subtype;
};

static int
option_take(const char *name, const char *val, struct options *o)
{
	static const struct {
		const char *name;
		int base;
	} numbers[OPT_NUMBERS] = {[OPT_FD] = {"fd", 10},
		[OPT_ROOTMODE] = {"rootmode", 8},
		[OPT_USER] = {"user_id", 10},
		[OPT_GROUP] = {"group_id", 10},
		[OPT_MAX_READ] = {"max_read", 10}};

	for (int i = 0; i < OPT_NUMBERS; i++) {
		if (strcmp(name, numbers[i].name) != 0)
			continue;
		if (fs_option_u64(val, numbers[i].base, &o->v[i]) || o->v[i] > UINT32_MAX)
			return -EINVAL;
		o->given |= 1u << i;
		return 0;
	}
	if (!strcmp(name, "subtype")) {
		if (!val || o->subtype)
			return -EINVAL;
		o->subtype = val;
		return 0;
	}
	if (val)
		return -EINVAL;
	if (!strcmp(name, "default_permissions"))
		o->default_permissions = true;
	else if (!strcmp(name, "allow_other"))
		o->allow_other = true;
	else
		return -EINVAL;
	return 0;
}

static int
fuse_check(const char *name, const char *val)
{
	struct options o = {0};

	return option_take(name, val, &o);
}

static int
options_parse(char *text, struct options *o)
{
	const uint32_t needed =
		1u << OPT_FD | 1u << OPT_ROOTMODE | 1u << OPT_USER | 1u << OPT_GROUP;
	char *name, *val;
	int r = 0;

	while (!r && fs_option_next(&text, &name, &val))
		r = option_take(name, val, o);
	return r ? r : (o->given & needed) == needed ? 0 : -EINVAL;
}

static int
conn_setup(const struct call *c, const struct options *o, struct fuse_conn **ret)
{
	struct user_ns *ns = c->cred->user_ns;
	struct fuse_conn *conn;
	uint32_t uid = uid_in(ns, (uint32_t)o->v[OPT_USER]);
	uint32_t gid = gid_in(ns, (uint32_t)o->v[OPT_GROUP]);

	if (uid == UINT32_MAX || gid == UINT32_MAX)
		return -EINVAL;
	conn = fuse_conn_new();
	if (!conn)
		return -ENOMEM;
	conn->user_ns = user_ns_get(ns);
	conn->user_id = uid;
	conn->group_id = gid;
	conn->default_permissions = o->default_permissions;
	conn->allow_other = o->allow_other;
	conn->max_read = FUSE_IO_MAX;
	if (o->given & (1u << OPT_MAX_READ)) {
		uint32_t n = (uint32_t)o->v[OPT_MAX_READ];

		conn->max_read_set = n;
		if (n < conn->max_read)
			conn->max_read = n < LX_PAGE_SIZE ? (uint32_t)LX_PAGE_SIZE : n;
	}
	*ret = conn;
	return 0;
}

static int
super_setup(struct super *sb, const struct call *c, const struct options *o, struct fuse_conn *conn,
	struct file *dev)
{
	struct fnode *root;
	int r;

	sb->priv = conn;
	sb->magic = LX_FUSE_SUPER_MAGIC;
	atomic_store(&sb->flags, SUPER_SHARED | (o->default_permissions ? 0 : SUPER_OWN_RULES) |
					 (c->cred->user_ns ? SUPER_NODEV : 0));
	if (o->subtype && !(sb->subtype = strdup(o->subtype)))
		return -ENOMEM;
	r = fnode_root(sb, (uint32_t)o->v[OPT_ROOTMODE], &root);
	if (!r)
		r = super_set_root(sb, &root->i);
	if (!r)
		r = fuse_dev_attach(dev, conn);
	return r ? r : fuse_send_init(conn);
}

static int
fuse_mount(const struct fs_type *type, const struct call *c, const struct mount_request *rq,
	struct super **ret)
{
	char *text = strdup(rq->options ? rq->options : "");
	struct options o = {.subtype = rq->subtype};
	struct fuse_conn *conn = NULL;
	struct super *sb = NULL;
	struct file *dev = NULL;
	int r = text ? options_parse(text, &o) : -ENOMEM;

	if (!r && !LX_S_ISDIR((uint32_t)o.v[OPT_ROOTMODE]) &&
		!LX_S_ISREG((uint32_t)o.v[OPT_ROOTMODE]))
		r = -EINVAL;
	if (!r && o.v[OPT_FD] > INT32_MAX)
		r = -EINVAL;
	if (!r) {
		dev = fuse_file_of_fd ? fuse_file_of_fd(c, (int)o.v[OPT_FD]) : NULL;
		/* ids are said as who opened it says them */
		if (!dev || !dev->cred || dev->cred->user_ns != c->cred->user_ns)
			r = -EINVAL;
	}
	if (!r)
		r = conn_setup(c, &o, &conn);
	if (!r) {
		sb = super_new(type, &fuse_super_ops, rq->source);
		r = sb ? super_setup(sb, c, &o, conn, dev) : -ENOMEM;
	}
	if (r) {
		if (sb)
			super_put(sb);
		else
			fuse_conn_put(conn);
	} else {
		*ret = sb;
	}
	file_put(dev);
	free(text);
	return r;
}

static struct fs_type fuse_type = {
	.name = "fuse",
	.flags = FS_TYPE_USERNS_MOUNT | FS_TYPE_OWN_NS | FS_TYPE_NODEV | FS_TYPE_SUBTYPE,
	.mount = fuse_mount,
	.check = fuse_check,
};

int
fuse_init(void)
{
	vfs_dev_register(&fuse_device);
	fs_type_register(&fuse_type);
	return 0;
}
