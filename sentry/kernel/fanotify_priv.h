/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the fanotify*.c files: groups, their marks, and events. */
#ifndef SENTRY_KERNEL_FANOTIFY_PRIV_H
#define SENTRY_KERNEL_FANOTIFY_PRIV_H

#include "sentry/kernel/fanotify.h"
#include "sentry/kernel/internal.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/fs.h"
#include "sentry/vfs/mount.h"
#include "sentry/vfs/path.h"

/* With the privilege to have them without a limit, a group has at most so many all the same. */
#define FAN_MOST_EVENTS (1u << 20)
#define FAN_MOST_MARKS	(1u << 20)

#define FAN_FID_BITS                                                                               \
	(LX_FAN_REPORT_FID | LX_FAN_REPORT_DIR_FID | LX_FAN_REPORT_NAME | LX_FAN_REPORT_TARGET_FID)
#define FAN_DIRENT_EVENTS                                                                          \
	(LX_IN_CREATE | LX_IN_DELETE | LX_IN_MOVED_FROM | LX_IN_MOVED_TO | LX_FAN_RENAME)
#define FAN_PERM_EVENTS (LX_FAN_OPEN_PERM | LX_FAN_ACCESS_PERM | LX_FAN_OPEN_EXEC_PERM)
#define FAN_PATH_EVENTS                                                                            \
	(LX_IN_ACCESS | LX_IN_MODIFY | LX_IN_CLOSE_WRITE | LX_IN_CLOSE_NOWRITE | LX_IN_OPEN |      \
		LX_FAN_OPEN_EXEC)
#define FAN_INODE_EVENTS (FAN_DIRENT_EVENTS | LX_IN_ATTRIB | LX_IN_MOVE_SELF | LX_IN_DELETE_SELF)
#define FAN_EVENT_FLAGS	 (LX_FAN_EVENT_ON_CHILD | LX_IN_ISDIR)
/* A directory may want to know of them for the files in it. */
#define FAN_POSSIBLY_ON_CHILD (FAN_PATH_EVENTS | FAN_PERM_EVENTS | LX_IN_ATTRIB)

/* How much a user has of each. */
struct fan_user {
	struct list node;
	uint32_t uid, groups, marks;
};

/* A file as programs compare it: what name_to_handle_at(2) gives. */
struct fan_fid {
	uint64_t ino;
	int32_t fsid[2];
	bool set;
};

enum fan_answer {
	FAN_UNASKED, /* in the group's queue */
	FAN_ASKED,   /* read; in `asked` when the reader has been shown it */
	FAN_ANSWERED,
};

struct fan_event {
	struct list node;
	struct fan_event *next; /* of those to be freed */
	uint32_t mask;
	int32_t pid;			  /* global */
	struct path path;		  /* references; of groups that report descriptors */
	struct fan_fid object, dir, dir2; /* of the others */
	uint32_t len, len2;		  /* of the names, which follow, each with a NUL */
	/* one that is asked: the asker frees it, unless that went away after it was read */
	bool perm, orphan;
	enum fan_answer state;
	int32_t fd; /* the reader's */
	uint32_t answer;
	char names[];
};

struct fan_group {
	struct ref ref;
	struct list marks, events, asked;
	uint32_t nmarks, nevents;
	uint32_t flags, event_flags;
	bool unprivileged, overflowed, closed;
	struct fan_user *user;
	struct waitq readers, askers;
	/* scratch of who looks for those that care about an event */
	struct fan_group *next;
	uint64_t round;
	uint32_t mask, ignored, how;
};

enum fan_kind { FAN_INODE, FAN_MOUNT, FAN_SUPER };

struct fan_mark {
	struct list node, hash_node;
	struct fan_mark *next; /* of those to be dropped */
	struct fan_group *group;
	enum fan_kind kind;
	const void *object;
	struct inode *inode;   /* a reference, for that kind */
	struct dentry *dentry; /* a reference, or NULL when its name is gone */
	uint64_t number;       /* as fdinfo shows it */
	uint32_t dev;
	uint32_t mask, ignored, flags; /* flags: LX_FAN_MARK_* that stay */
};

/* Rank EVENT: all of the above. References are dropped after it. */
extern struct mutex fan_lock;
extern const struct vfs_notify_ops fanotify_notify_ops;

struct fan_fid fan_fid_of(const struct inode *i);
void fan_group_put(struct fan_group *g);
/* Empty the group of its marks of one kind, or of all (-1). */
void fan_marks_flush(struct fan_group *g, int kind);
/* The event goes into the queue, or is merged or lost, and then into *unused. */
void fan_queue_locked(struct fan_group *g, struct fan_event *e, struct fan_event **unused);
void fan_event_free(struct fan_event *e);
/* Ask and wait: 0 or -EPERM. Takes e over. */
int fan_group_ask(struct fan_group *g, struct fan_event *e);
void fan_marks_show(struct fan_group *g, char *buf, size_t cap);

#endif
