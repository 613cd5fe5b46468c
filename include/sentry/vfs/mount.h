/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mounts, namespaces of mounts, and the file context of a task (root, cwd, umask).
 *
 * The tree is changed under one sleeplock (mnt_tree_lock, taken inside these functions) and read
 * under the mutex of rank MOUNT. A mount holds a reference on its super, root, parent and
 * mountpoint.
 */
#ifndef SENTRY_VFS_MOUNT_H
#define SENTRY_VFS_MOUNT_H

#include "abi/mount.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/ref.h"
#include "sentry/vfs/file.h"
#include "sentry/vfs/fs.h"

#define MNT_NOSUID	LX_MS_NOSUID
#define MNT_NODEV	LX_MS_NODEV
#define MNT_NOEXEC	LX_MS_NOEXEC
#define MNT_RDONLY	LX_MS_RDONLY
#define MNT_NOATIME	LX_MS_NOATIME
#define MNT_NODIRATIME	LX_MS_NODIRATIME
#define MNT_RELATIME	LX_MS_RELATIME
#define MNT_NOSYMFOLLOW LX_MS_NOSYMFOLLOW
#define MNT_FLAGS_USER                                                                             \
	(MNT_NOSUID | MNT_NODEV | MNT_NOEXEC | MNT_RDONLY | MNT_NOATIME | MNT_NODIRATIME |         \
		MNT_RELATIME | MNT_NOSYMFOLLOW)
#define MNT_LOCK_FLAGS (1u << 28) /* its restrictions stay, on copies too */
#define MNT_LOCKED     (1u << 24) /* set up by the runtime: the guest may not unmount or loosen it */
#define MNT_UNBINDABLE (1u << 25)
#define MNT_DETACHED   (1u << 26) /* no longer in a tree */
#define MNT_INTERNAL   (1u << 27) /* of nameless files */

struct mnt_ns;

struct mount {
	struct ref ref;
	_Atomic uint32_t flags; /* MNT_* */
	struct super *sb;
	struct dentry *root;
	/* the tree; under mnt_tree_lock, read under the mutex */
	struct mnt_ns *ns;    /* borrowed; NULL: in none */
	struct mount *parent; /* a reference; NULL: root of a namespace or detached */
	struct dentry *mountpoint;
	struct list hash_node; /* by (parent, mountpoint) */
	struct list children, child_node;
	struct list ns_node; /* in ns->mounts, in order of mounting */
	/* propagation */
	uint32_t peer_group;  /* > 0: shared */
	struct list peers;    /* ring of the group's members */
	struct mount *master; /* slave of it; borrowed */
	struct list slaves, slave_node;
	uint64_t id;		  /* mnt_id of mountinfo, statx, fdinfo */
	_Atomic int32_t writers;  /* files open for writing: a remount to read-only fails */
	_Atomic bool expiry_mark; /* MNT_EXPIRE was asked for once, and no file was opened since */
	struct mount *copy;	  /* scratch of who holds mnt_tree_lock */
	struct mount *source;
};

struct mnt_ns {
	struct ref ref;
	struct mount *root; /* a reference */
	struct list mounts;
	_Atomic uint64_t events; /* counts changes: poll of /proc/mounts */
	struct waitq pollq;
	uint64_t id;		 /* inode number of /proc/PID/ns/mnt; unique */
	struct list all_node;	 /* of all namespaces; mnt_mutex */
	struct user_ns *user_ns; /* a reference, or NULL: whose capabilities rule it */
	uint32_t counted;	 /* for whom; sentry/cred/ucount.h */
	uint32_t nmounts;
};

/* root, cwd, umask of a task; shared by CLONE_FS. */
struct fs_ctx {
	struct ref ref;
	_Atomic uint32_t users; /* tasks that have it as theirs; the others only look */
	struct mutex lock;	/* rank FSCTX: all below */
	struct path root, cwd;
	_Atomic uint32_t umask;
	struct mnt_ns *ns; /* a reference */
};

/* Once, at start: the caches, the internal super of nameless files. */
int vfs_init(void);

void path_get(const struct path *p);
void path_put(const struct path *p); /* accepts {NULL, NULL} */
static inline bool
path_equal(const struct path *a, const struct path *b)
{
	return a->mnt == b->mnt && a->dentry == b->dentry;
}

/* A mount of sb (borrowed) in no tree, for the kernel's own way to its files. */
struct mount *mnt_private(struct super *sb);
struct mount *mount_get(struct mount *m);
void mount_put(struct mount *m); /* may park */

/* A namespace with one mount: sb's root (borrowed). */
int mnt_ns_new(struct super *sb, uint32_t mnt_flags, struct mnt_ns **ret);
/* unshare(CLONE_NEWNS): copy every mount of ns; fs's root and cwd (if not NULL) move to the copies.
 */
int mnt_ns_copy(struct mnt_ns *ns, struct fs_ctx *fs, struct user_ns *owner, uint32_t counted,
	struct mnt_ns **ret);
/* CAP_SYS_ADMIN over the caller's mount namespace. */
bool mnt_may_mount(const struct call *c);
struct mnt_ns *mnt_ns_get(struct mnt_ns *ns);
void mnt_ns_put(struct mnt_ns *ns);
void mnt_ns_root(struct mnt_ns *ns, struct path *ret); /* the topmost root; new references */

struct fs_ctx *fs_ctx_new(
	struct mnt_ns *ns); /* root = cwd = root of ns, umask 022; NULL: out of memory */
struct fs_ctx *fs_ctx_dup(struct fs_ctx *fs); /* a copy (clone without CLONE_FS) */
struct fs_ctx *fs_ctx_get(struct fs_ctx *fs); /* one more user */
void fs_ctx_put(struct fs_ctx *fs);
struct fs_ctx *fs_ctx_peek(struct fs_ctx *fs); /* a reference of who looks at another's */
void fs_ctx_unpeek(struct fs_ctx *fs);	       /* accepts NULL */
bool fs_ctx_shared(const struct fs_ctx *fs);   /* more than one user */
struct mnt_ns *fs_ctx_ns(struct fs_ctx *fs);   /* a new reference; setns(2) changes another's */
void fs_ctx_set_ns(struct fs_ctx *fs, struct mnt_ns *ns); /* borrowed */
void fs_ctx_root(struct fs_ctx *fs, struct path *ret);	  /* new references */
void fs_ctx_cwd(struct fs_ctx *fs, struct path *ret);
void fs_ctx_set_root(struct fs_ctx *fs, const struct path *p); /* borrowed */
void fs_ctx_set_cwd(struct fs_ctx *fs, const struct path *p);

/* --- changes of the tree; the callers' rights (CAP_SYS_ADMIN) are checked in vfs_mount and the
 * syscalls --- */

/* Mount sb (borrowed) on `on`. -EBUSY, -ENOTDIR, -EINVAL. */
int mnt_attach_super(const struct path *on, struct super *sb, uint32_t mnt_flags);
int mnt_bind(const struct path *from, const struct path *on, bool recursive);
/* A detached one (mnt_new_detached, mnt_clone) is attached. */
int mnt_move(const struct path *from, const struct path *on);
/* Change flags of the one mount (MS_REMOUNT|MS_BIND); or of the super too. */
int mnt_remount(const struct path *p, const struct call *c, uint32_t mnt_flags, uint32_t ms_flags,
	const char *options, bool bind_only);
/* New options for a super that is mounted in ns, read-only or not. */
int mnt_reconfigure(const struct call *c, struct super *sb, uint32_t ms_flags, const char *options);
/* mount_setattr(2) for the mount that p is the root of: flags MNT_* off and on, propagation as
 * below or 0. All of the tree is changed, or nothing. */
int mnt_set_attr(const struct call *c, const struct path *p, bool recursive, uint32_t clear,
	uint32_t set, uint32_t propagation);
/* how: one of LX_MS_PRIVATE, _SHARED, _SLAVE, _UNBINDABLE */
int mnt_set_propagation(const struct path *p, uint32_t how, bool recursive);
int mnt_umount(const struct path *p, int flags); /* LX_MNT_DETACH, LX_MNT_EXPIRE, LX_MNT_FORCE */
/* new_root and put_old as in pivot_root(2); each mnt_ns user's root and cwd that equal the old root
 * are moved for the fs_ctxs that each_fs tells (kernel: all tasks), plus fs. */
int mnt_pivot_root(struct fs_ctx *fs, const struct path *new_root, const struct path *put_old,
	void (*each_fs)(void (*fn)(struct fs_ctx *fs, void *arg), void *arg));

/* --- mounts that are in no namespace yet: whoever made one gives it to mnt_move or
 * vfs_open_detached --- */

/* Of sb (borrowed). */
int mnt_new_detached(struct super *sb, uint32_t mnt_flags, struct mount **ret);
/* A copy of what is at `from`, as mnt_bind makes it. -EINVAL. */
int mnt_clone(const struct call *c, const struct path *from, bool recursive, struct mount **ret);
/* An O_PATH file of its root; takes m over, also after an error: with the last reference to the
 * file, m and what is below are gone unless they were attached. */
int vfs_open_detached(const struct call *c, struct mount *m, struct file **ret);
void mnt_dissolve(struct mount *m);
/* Can move_mount(2) and mount_setattr(2) of c work on m: it is in c's namespace, or the top of a
 * detached tree? */
bool mnt_is_ours(const struct call *c, const struct mount *m);

/* A super by the caller's rights, for a mount that is to come. -ENODEV, -EPERM. */
int mnt_new_super(
	const struct call *c, const char *type, const struct mount_request *rq, struct super **ret);
/* Would a fresh mount of that type show, or allow, what the one that is there does not? If not,
 * flags that the new one has to keep come to mnt_flags. */
bool mnt_reveals(const struct call *c, const struct fs_type *t, uint32_t *mnt_flags);
/* mount(2) whole: flags as of the guest, strings in sentry memory. */
int vfs_mount(const struct call *c, const char *source, const char *target, const char *type,
	uint64_t flags, const char *options);

/* Go up: from the root of a mount to the place it is mounted on. False at the top. p's references
 * move. */
bool mnt_follow_up(struct path *p);
/* Go down: as long as something is mounted on p. p's references move. */
void mnt_follow_down(struct path *p);

/* May the mount be written? 0 or -EROFS. */
static inline int
mnt_want_write(struct mount *m)
{
	if ((atomic_load_explicit(&m->flags, memory_order_relaxed) & MNT_RDONLY) ||
		(atomic_load_explicit(&m->sb->flags, memory_order_relaxed) & SUPER_RDONLY))
		return -30; /* EROFS */
	return 0;
}

/* Ids of mounts are not used again, so the unique ones of statx(2) differ from the old ones only by
 * what tells them apart. */
#define MNT_UNIQUE_OFFSET (1ull << 31)
static inline uint64_t
mnt_unique_id(const struct mount *m)
{
	return MNT_UNIQUE_OFFSET + m->id;
}

/* statmount(2): fills st and its strings, which begin with an empty one; *strings is malloc'd, NULL
 * when mask asks for none. ns_id 0: the caller's namespace. cap: room for both. -ENOENT, -EPERM
 * (not to be reached from the caller's root), -EOVERFLOW, -ENOMEM. */
int mnt_stat(const struct call *c, uint64_t ns_id, uint64_t id, uint64_t mask, size_t cap,
	struct lx_statmount *st, char **strings, size_t *len);
/* listmount(2): unique ids, in order, of the mounts below mount id (LX_LSMT_ROOT: the caller's
 * root), those after `last`, at most n: *ids is malloc'd. How many, or the same errors. */
ssize_t mnt_list(const struct call *c, uint64_t ns_id, uint64_t id, uint64_t last, bool reverse,
	size_t n, uint64_t **ids);

/* /proc/PID/mounts, mountinfo, mountstats: a malloc'd text of the mounts under root, or NULL. */
enum mnt_show {
	MNT_SHOW_MOUNTS,
	MNT_SHOW_MOUNTINFO,
	MNT_SHOW_MOUNTSTATS,
};
/* sync(2): every super in the namespace. */
void mnt_ns_sync(struct mnt_ns *ns, const struct call *c);
char *mnt_ns_show(struct mnt_ns *ns, const struct path *root, enum mnt_show how, size_t *len);

#endif
