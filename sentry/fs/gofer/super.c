/* SPDX-License-Identifier: Apache-2.0 */
/* The file system type "gofer": mounting an export, statfs. Only boot mounts it. */
#include "internal.h"
#include "sentry/vfs/dentry.h"
#include <stdlib.h>

#define EXT_MAGIC  0xef53 /* what programs expect of a disk */
#define FUSE_MAGIC 0x65735546
#define IDLE_MAX   8192 /* inodes that keep descriptors which nobody uses */

static void
gofer_release_super(struct super *sb)
{
	struct gsuper *gs = sb->priv;

	if (!gs)
		return; /* it was never mounted */
	mutex_destroy(&gs->lock);
	gofer_conn_put(gs->conn);
	free(gs);
}

static int
gofer_statfs(struct super *sb, const struct call *c, struct lx_statfs *st)
{
	Gofer__NodeReq q = GOFER__NODE_REQ__INIT;
	Gofer__StatfsRep *a;
	int r;

	(void)c;
	q.node = ((struct gsuper *)sb->priv)->root_node;
	r = gofer_call(((struct gsuper *)sb->priv)->conn, GOFER_STATFS, &q.base, &a, NULL);
	if (r < 0)
		return r;
	st->type = (int64_t)a->type;
	st->bsize = (int64_t)a->bsize;
	st->blocks = a->blocks;
	st->bfree = a->bfree;
	st->bavail = a->bavail;
	st->files = a->files;
	st->ffree = a->ffree;
	st->namelen = (int64_t)a->namelen;
	st->frsize = (int64_t)a->frsize;
	gofer_rep_free(a);
	return 0;
}

static const struct super_ops gofer_super_ops = {
	.release = gofer_release_super,
	.statfs = gofer_statfs,
};

static int
gofer_mount(const struct fs_type *type, const struct call *c, const struct mount_request *rq,
	struct super **ret)
{
	const struct gofer_mount *gm = rq->priv;
	Gofer__AttachReq q = GOFER__ATTACH_REQ__INIT;
	struct gsuper *gs = calloc(1, sizeof *gs);
	struct super *sb = super_new(type, &gofer_super_ops, rq->source);
	Gofer__NodeRep *a = NULL;
	int64_t asked_ns = sched_now_ns();
	struct gnode *root;
	int r = -ENOMEM;

	(void)c;
	if (!gs || !sb)
		goto undo;
	r = -EINVAL;
	if (!gm || (rq->options && *rq->options))
		goto undo;
	q.export = gm->export;
	/* Elsewhere nobody else sets any: who wants to know asks once. */
	q.acls = gm->shared;
	r = gofer_call(gm->conn, GOFER_ATTACH, &q.base, &a, NULL);
	if (r < 0)
		goto undo;
	r = -EIO;
	if (!a->node || !a->node->attr)
		goto undo;
	gs->sb = sb;
	gs->conn = gofer_conn_get(gm->conn);
	gs->shared = gm->shared;
	gs->relaxed = gm->relaxed;
	gs->relax_ns = gm->relax_ns ? gm->relax_ns : GOFER_RELAX_NS;
	gs->virtual = gm->virtual;
	gs->readonly = a->readonly;
	gs->dev = a->node->attr->dev;
	gs->root_node = a->node->id;
	mutex_init(&gs->lock, LR_FS);
	list_init(&gs->idle);
	list_init(&gs->dirs);
	/* Our own limit of descriptors is most likely the gofer's. */
	gs->idle_max = a->max_nodes / 4 < IDLE_MAX ? a->max_nodes / 4 : IDLE_MAX;
	if (a->max_nodes / 4 < (uint32_t)gdir_nodes_max)
		gdir_nodes_max = (int)(a->max_nodes / 4);
	sb->priv = gs;
	gs = NULL;
	sb->magic = gm->virtual ? FUSE_MAGIC : EXT_MAGIC;
	atomic_store(&sb->flags, SUPER_POSIXACL | SUPER_ACL_HOST | (gm->shared ? SUPER_SHARED : 0) |
					 (gm->shared && !gm->relaxed ? SUPER_WALK : 0) |
					 (a->readonly ? SUPER_RDONLY : 0));
	/* Each name in the cache holds a node at the gofer, which can hold only so many. */
	if (a->max_nodes / 2 < dcache_limit)
		dcache_limit = a->max_nodes / 2;
	r = gnode_get(sb, a->node, asked_ns, &root);
	if (r == 0)
		r = super_set_root(sb, &root->i);
	if (r < 0)
		goto undo;
	gofer_rep_free(a);
	*ret = sb;
	return 0;
undo:
	gofer_rep_free(a);
	free(gs);
	super_put(sb);
	return r;
}

static struct fs_type gofer_type = {
	.name = "gofer",
	.flags = FS_TYPE_INTERNAL,
	.mount = gofer_mount,
};

void
gofer_init(uint64_t (*memory_limit)(void))
{
	gofer_memory_limit = memory_limit;
	fs_type_register(&gofer_type);
}
