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
/* What get does last, for a path that was copied in before: start from dirfd. -EBADF. */
int upath_start(struct task *t, struct upath *p, int dirfd);
void upath_fini(struct upath *p);

/* get + lookup. at_flags: LX_AT_EMPTY_PATH, LX_AT_SYMLINK_NOFOLLOW. */
int upath_lookup(struct task *t, int dirfd, uint64_t addr, int at_flags, struct path *ret);

/* A string that is no path (xattr name, mount option): malloc'd. cap counts the NUL. */
int ustr_get(struct task *t, uint64_t addr, size_t cap, char **ret);

/* Finish the open of *f: wait for a FIFO's other end, take away the status flags `drop`, install.
 * The descriptor, or -errno; consumes f. */
int64_t file_open_finish(struct task *t, struct file *f, uint32_t drop, bool cloexec);

/* FICLONE from descriptor `from`: always an error. */
int64_t file_clone(struct task *t, struct file *to, int from);

/* The parts of openat and openat2, for who reads the arguments first and opens later. at_once: with
 * -EAGAIN instead of asking a file system where the path leads, and as with O_NONBLOCK, which the
 * file then has only if `how` says so. */
void open_how_old(uint64_t flags, uint64_t mode, struct lx_open_how *how);
int open_how_in(struct task *t, uint64_t addr, uint64_t size, struct lx_open_how *how);
int64_t open_upath(
	struct task *t, int dirfd, struct upath *p, const struct lx_open_how *asked, bool at_once);

#endif
