/* SPDX-License-Identifier: Apache-2.0 */
/* fanotify(7), and the file handles by which its events name files. */
#include "file_util.h"
#include "sentry/kernel/fanotify.h"
#include <string.h>

#define FID_BITS                                                                                   \
	(LX_FAN_REPORT_FID | LX_FAN_REPORT_DIR_FID | LX_FAN_REPORT_NAME | LX_FAN_REPORT_TARGET_FID)
#define CLASSES (LX_FAN_CLASS_CONTENT | LX_FAN_CLASS_PRE_CONTENT)
#define ADMIN_BITS                                                                                 \
	(CLASSES | LX_FAN_REPORT_TID | LX_FAN_REPORT_PIDFD | LX_FAN_UNLIMITED_QUEUE |              \
		LX_FAN_UNLIMITED_MARKS)
#define INIT_BITS (ADMIN_BITS | FID_BITS | LX_FAN_CLOEXEC | LX_FAN_NONBLOCK | LX_FAN_ENABLE_AUDIT)
#define EVENT_F_BITS                                                                               \
	(LX_O_ACCMODE | LX_O_APPEND | LX_O_NONBLOCK | LX___O_SYNC | LX_O_DSYNC | LX_O_CLOEXEC |    \
		LX_O_LARGEFILE | LX_O_NOATIME)

#define PATH_EVENTS                                                                                \
	(LX_IN_ACCESS | LX_IN_MODIFY | LX_IN_CLOSE_WRITE | LX_IN_CLOSE_NOWRITE | LX_IN_OPEN |      \
		LX_FAN_OPEN_EXEC)
#define PERM_EVENTS (LX_FAN_OPEN_PERM | LX_FAN_ACCESS_PERM | LX_FAN_OPEN_EXEC_PERM)
#define DIRENT_EVENTS                                                                              \
	(LX_IN_CREATE | LX_IN_DELETE | LX_IN_MOVED_FROM | LX_IN_MOVED_TO | LX_FAN_RENAME)
#define EVENT_FLAGS (LX_FAN_EVENT_ON_CHILD | LX_IN_ISDIR)
#define ALL_EVENTS                                                                                 \
	(PATH_EVENTS | PERM_EVENTS | DIRENT_EVENTS | LX_IN_ATTRIB | LX_IN_MOVE_SELF |              \
		LX_IN_DELETE_SELF | LX_FAN_FS_ERROR)
#define TYPE_BITS   (LX_FAN_MARK_MOUNT | LX_FAN_MARK_FILESYSTEM)
#define CMD_BITS    (LX_FAN_MARK_ADD | LX_FAN_MARK_REMOVE | LX_FAN_MARK_FLUSH)
#define IGNORE_BITS (LX_FAN_MARK_IGNORED_MASK | LX_FAN_MARK_IGNORE)
#define MARK_BITS                                                                                  \
	(TYPE_BITS | CMD_BITS | IGNORE_BITS | LX_FAN_MARK_DONT_FOLLOW | LX_FAN_MARK_ONLYDIR |      \
		LX_FAN_MARK_IGNORED_SURV_MODIFY | LX_FAN_MARK_EVICTABLE)

int64_t
sys_fanotify_init(struct task *t, const uint64_t a[6])
{
	uint32_t flags = (uint32_t)a[0], event_flags = (uint32_t)a[1], class = flags & CLASSES;
	uint32_t fid = flags & FID_BITS;
	bool admin = cred_capable(t->cred, LX_CAP_SYS_ADMIN);
	struct file *f;
	int r;

	if (!admin && ((flags & ADMIN_BITS) || !fid))
		return -EPERM;
	if (flags & ~INIT_BITS)
		return -EINVAL;
	if ((flags & LX_FAN_REPORT_PIDFD) && (flags & LX_FAN_REPORT_TID))
		return -EINVAL;
	if ((event_flags & ~(uint32_t)EVENT_F_BITS) || (event_flags & LX_O_ACCMODE) == 3)
		return -EINVAL;
	if (fid && class)
		return -EINVAL;
	if ((fid & LX_FAN_REPORT_NAME) && !(fid & LX_FAN_REPORT_DIR_FID))
		return -EINVAL;
	if ((fid & LX_FAN_REPORT_TARGET_FID) &&
		(!(fid & LX_FAN_REPORT_NAME) || !(fid & LX_FAN_REPORT_FID)))
		return -EINVAL;
	if (class == CLASSES)
		return -EINVAL;
	if ((flags & LX_FAN_ENABLE_AUDIT) && !cred_capable(t->cred, LX_CAP_AUDIT_WRITE))
		return -EPERM;
	r = fanotify_new(flags, event_flags | LX_O_LARGEFILE, t->cred->uid, !admin, &f);
	return r ? r : task_fd_install_put(t, f, flags & LX_FAN_CLOEXEC);
}

/* What can be said without the group. */
static int
check_mark(uint32_t flags, uint64_t mask)
{
	if (mask >> 32 || (flags & ~MARK_BITS) || (flags & TYPE_BITS) == TYPE_BITS)
		return -EINVAL;
	switch (flags & CMD_BITS) {
	case LX_FAN_MARK_ADD:
	case LX_FAN_MARK_REMOVE:
		if (!mask)
			return -EINVAL;
		break;
	case LX_FAN_MARK_FLUSH:
		if (flags & ~(TYPE_BITS | LX_FAN_MARK_FLUSH))
			return -EINVAL;
		break;
	default:
		return -EINVAL;
	}
	if (mask & ~(uint64_t)(ALL_EVENTS | EVENT_FLAGS))
		return -EINVAL;
	return (flags & IGNORE_BITS) == IGNORE_BITS ? -EINVAL : 0;
}

static int
check_group(const struct task *t, const struct file *f, uint32_t flags, uint32_t mask)
{
	bool unprivileged;
	uint32_t group = fanotify_flags(f, &unprivileged);

	if ((unprivileged || !cred_capable(t->cred, LX_CAP_SYS_ADMIN)) && (flags & TYPE_BITS))
		return -EPERM;
	if ((mask & PERM_EVENTS) && !(group & CLASSES))
		return -EINVAL;
	if ((mask & LX_FAN_FS_ERROR) && !(flags & LX_FAN_MARK_FILESYSTEM))
		return -EINVAL;
	if ((flags & LX_FAN_MARK_EVICTABLE) && (flags & TYPE_BITS))
		return -EINVAL;
	/* no descriptor can be made of these, nor do they tell the mount */
	if ((mask & ~(PATH_EVENTS | PERM_EVENTS | EVENT_FLAGS)) &&
		(!(group & FID_BITS) || (flags & LX_FAN_MARK_MOUNT)))
		return -EINVAL;
	if ((mask & LX_FAN_RENAME) && !(group & LX_FAN_REPORT_NAME))
		return -EINVAL;
	return 0;
}

static int
find_path(struct task *t, int dirfd, uint64_t addr, uint32_t flags, struct path *ret)
{
	struct file *f;
	int r = 0;

	if (!addr) {
		f = task_file(t, dirfd);
		if (!f)
			return -EBADF;
		*ret = f->path;
		path_get(ret);
		file_put(f);
	} else {
		r = upath_lookup(t, dirfd, addr,
			flags & LX_FAN_MARK_DONT_FOLLOW ? LX_AT_SYMLINK_NOFOLLOW : 0, ret);
	}
	if (r)
		return r;
	if ((flags & LX_FAN_MARK_ONLYDIR) && !inode_is_dir(ret->dentry->inode))
		r = -ENOTDIR;
	if (!r)
		r = inode_permission(ret->dentry->inode, &t->call, LX_R_OK);
	if (r)
		path_put(ret);
	return r;
}

/* Can p be marked so? */
static int
check_path(const struct path *p, uint32_t group, uint32_t flags, uint32_t mask)
{
	bool dir = inode_is_dir(p->dentry->inode), whole = flags & TYPE_BITS;
	bool strict = (group & LX_FAN_REPORT_TARGET_FID) || (mask & LX_FAN_RENAME) ||
		      (flags & LX_FAN_MARK_IGNORE);

	if (flags & LX_FAN_MARK_ADD) {
		if (whole && (atomic_load(&p->mnt->sb->flags) & SUPER_NOUSER))
			return -EINVAL;
		if (strict && !whole && !dir && (mask & (DIRENT_EVENTS | EVENT_FLAGS)))
			return -ENOTDIR;
	}
	/* handles that open no file are of use beside names alone, says Linux */
	if ((group & FID_BITS) && whole)
		return -EOPNOTSUPP;
	if ((flags & LX_FAN_MARK_ADD) && (flags & LX_FAN_MARK_IGNORE) &&
		!(flags & LX_FAN_MARK_IGNORED_SURV_MODIFY)) {
		if (whole)
			return -EINVAL;
		if (dir)
			return -EISDIR;
	}
	return 0;
}

static int
mark(struct file *f, const struct path *p, uint32_t flags, uint32_t mask, uint32_t umask)
{
	struct inode *i = p->dentry->inode;
	bool unprivileged, whole = flags & TYPE_BITS;
	uint32_t group = fanotify_flags(f, &unprivileged);
	int r = check_path(p, group, flags, mask);

	if (r)
		return r;
	/* an ignored mask that a change would take away, which is being made */
	if ((flags & LX_FAN_MARK_ADD) && (flags & IGNORE_BITS) && !whole &&
		!(flags & LX_FAN_MARK_IGNORED_SURV_MODIFY) && atomic_load(&i->writecount) > 0)
		return 0;
	if (whole || !inode_is_dir(i)) {
		mask &= ~umask;
		umask = 0;
		if ((group & LX_FAN_REPORT_DIR_FID) && (flags & LX_FAN_MARK_ADD) &&
			!(flags & IGNORE_BITS))
			mask |= LX_FAN_EVENT_ON_CHILD;
	}
	return flags & LX_FAN_MARK_ADD ? fanotify_mark_add(f, p, flags, mask)
				       : fanotify_mark_remove(f, p, flags, mask, umask);
}

int64_t
sys_fanotify_mark(struct task *t, const uint64_t a[6])
{
	uint32_t flags = (uint32_t)a[1], mask = (uint32_t)a[2], umask = LX_FAN_EVENT_ON_CHILD;
	struct path p;
	struct file *f;
	int r = check_mark(flags, a[2]);

	if (r)
		return r;
	if (flags & LX_FAN_MARK_IGNORED_MASK) {
		mask &= ~(uint32_t)EVENT_FLAGS;
		umask = EVENT_FLAGS;
	}
	f = task_file(t, arg_int(a[0]));
	if (!f)
		return -EBADF;
	r = fanotify_is(f) ? check_group(t, f, flags, mask) : -EINVAL;
	if (!r && (flags & LX_FAN_MARK_FLUSH)) {
		fanotify_mark_flush(f, flags);
	} else if (!r) {
		r = find_path(t, arg_int(a[3]), a[4], flags, &p);
		if (!r) {
			r = mark(f, &p, flags, mask, umask);
			path_put(&p);
		}
	}
	file_put(f);
	return r;
}

/* --- handles --- */

#define LX_AT_HANDLE_FID	   0x200
#define LX_AT_HANDLE_MNT_ID_UNIQUE 0x001
#define LX_MAX_HANDLE_SZ	   128

struct lx_file_handle {
	uint32_t bytes;
	int32_t type;
	struct lx_fileid id;
};

int64_t
sys_name_to_handle_at(struct task *t, const uint64_t a[6])
{
	int flags = arg_int(a[4]);
	struct lx_file_handle h;
	uint64_t unique;
	int32_t old;
	uint32_t room;
	struct path p;
	size_t n = offsetof(struct lx_file_handle, id);
	int r;

	if (flags & ~(LX_AT_SYMLINK_FOLLOW | LX_AT_EMPTY_PATH | LX_AT_HANDLE_FID |
			    LX_AT_HANDLE_MNT_ID_UNIQUE))
		return -EINVAL;
	r = upath_lookup(t, arg_int(a[0]), a[1],
		(flags & LX_AT_EMPTY_PATH) |
			(flags & LX_AT_SYMLINK_FOLLOW ? 0 : LX_AT_SYMLINK_NOFOLLOW),
		&p);
	if (r)
		return r;
	unique = mnt_unique_id(p.mnt);
	old = (int32_t)p.mnt->id;
	h.id = (struct lx_fileid){
		{(uint32_t)p.dentry->inode->ino, (uint32_t)(p.dentry->inode->ino >> 32)}, 0};
	path_put(&p);
	/* by none that is made here could the file be opened again */
	if (!(flags & LX_AT_HANDLE_FID))
		return -EOPNOTSUPP;
	if (copy_in(t->call.um, &room, ua(a[2]), sizeof room))
		return -EFAULT;
	if (room > LX_MAX_HANDLE_SZ)
		return -EINVAL;
	h.bytes = sizeof h.id;
	h.type = LX_FILEID_INO64_GEN;
	if (room < sizeof h.id) {
		h.type = 255; /* FILEID_INVALID */
		r = -EOVERFLOW;
	} else {
		n = sizeof h;
	}
	if (flags & LX_AT_HANDLE_MNT_ID_UNIQUE) {
		if (copy_out(t->call.um, ua(a[3]), &unique, sizeof unique))
			return -EFAULT;
	} else if (copy_out(t->call.um, ua(a[3]), &old, sizeof old)) {
		return -EFAULT;
	}
	return copy_out(t->call.um, ua(a[2]), &h, n) ? -EFAULT : r;
}
