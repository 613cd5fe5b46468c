/* SPDX-License-Identifier: Apache-2.0 */
/* fanotify(7): groups of marks on files, mounts and file systems. */
#ifndef SENTRY_KERNEL_FANOTIFY_H
#define SENTRY_KERNEL_FANOTIFY_H

#include "abi/fs.h"
#include "sentry/vfs/file.h"

/* fanotify_init(2) */
#define LX_FAN_CLOEXEC		 0x0001u
#define LX_FAN_NONBLOCK		 0x0002u
#define LX_FAN_CLASS_CONTENT	 0x0004u
#define LX_FAN_CLASS_PRE_CONTENT 0x0008u
#define LX_FAN_UNLIMITED_QUEUE	 0x0010u
#define LX_FAN_UNLIMITED_MARKS	 0x0020u
#define LX_FAN_ENABLE_AUDIT	 0x0040u
#define LX_FAN_REPORT_PIDFD	 0x0080u
#define LX_FAN_REPORT_TID	 0x0100u
#define LX_FAN_REPORT_FID	 0x0200u
#define LX_FAN_REPORT_DIR_FID	 0x0400u
#define LX_FAN_REPORT_NAME	 0x0800u
#define LX_FAN_REPORT_TARGET_FID 0x1000u
/* fanotify_mark(2) */
#define LX_FAN_MARK_ADD			0x0001u
#define LX_FAN_MARK_REMOVE		0x0002u
#define LX_FAN_MARK_DONT_FOLLOW		0x0004u
#define LX_FAN_MARK_ONLYDIR		0x0008u
#define LX_FAN_MARK_MOUNT		0x0010u
#define LX_FAN_MARK_IGNORED_MASK	0x0020u
#define LX_FAN_MARK_IGNORED_SURV_MODIFY 0x0040u
#define LX_FAN_MARK_FLUSH		0x0080u
#define LX_FAN_MARK_FILESYSTEM		0x0100u
#define LX_FAN_MARK_EVICTABLE		0x0200u
#define LX_FAN_MARK_IGNORE		0x0400u

struct lx_fanotify_response {
	int32_t fd;
	uint32_t response;
};
#define LX_FAN_ALLOW 1u
#define LX_FAN_DENY  2u
#define LX_FAN_AUDIT 0x10u

/* A file handle that names a file and opens none: what FILEID_INO64_GEN is. */
#define LX_FILEID_INO64_GEN 0x81
struct lx_fileid {
	uint32_t ino[2], gen;
};

/* flags and event_flags are those of fanotify_init(2), checked. -EMFILE, -ENOMEM. */
int fanotify_new(
	uint32_t flags, uint32_t event_flags, uint32_t uid, bool unprivileged, struct file **ret);
bool fanotify_is(const struct file *f);
uint32_t fanotify_flags(const struct file *f, bool *unprivileged);
/* f is a fanotify file; flags: of fanotify_mark(2). -ENOSPC, -EEXIST, -ENOMEM. */
int fanotify_mark_add(struct file *f, const struct path *p, uint32_t flags, uint32_t mask);
/* umask: bits that do not keep it alive. -ENOENT: there is none. */
int fanotify_mark_remove(
	struct file *f, const struct path *p, uint32_t flags, uint32_t mask, uint32_t umask);
void fanotify_mark_flush(struct file *f, uint32_t flags);

#endif
