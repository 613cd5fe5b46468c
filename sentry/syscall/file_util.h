/* SPDX-License-Identifier: Apache-2.0 */
/* What file syscalls share: paths and directories from arguments. */
#ifndef SENTRY_SYSCALL_FILE_UTIL_H
#define SENTRY_SYSCALL_FILE_UTIL_H

#include "internal.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"

/* A path that was copied from the guest, and the directory that it starts from. */
struct upath {
	const char *s; /* points into small or at big */
	char *big;
	struct file *dir;	 /* of dirfd; a reference, or NULL */
	const struct path *base; /* NULL: cwd */
	char small[200];
};

/* Copy the path in. empty_ok: "" is let through (AT_EMPTY_PATH), and a NULL address stands for "".
 * -EFAULT, -ENAMETOOLONG, -ENOENT; then -EBADF for dirfd of a relative path. After an error, fini
 * is not needed. */
int upath_get(struct task *t, struct upath *p, int dirfd, uint64_t addr, bool empty_ok);
void upath_fini(struct upath *p);

/* get + lookup. at_flags: LX_AT_EMPTY_PATH, LX_AT_SYMLINK_NOFOLLOW. */
int upath_lookup(struct task *t, int dirfd, uint64_t addr, int at_flags, struct path *ret);

/* A string that is no path (xattr name, mount option): malloc'd. cap counts the NUL. */
int ustr_get(struct task *t, uint64_t addr, size_t cap, char **ret);

/* Finish the open of *f: wait for a FIFO's other end, install. The descriptor, or -errno; consumes
 * f. */
int64_t file_open_finish(struct task *t, struct file *f, bool cloexec);

#endif
