/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing open files, and helpers that file systems share for it. */
#ifndef SENTRY_VFS_RW_H
#define SENTRY_VFS_RW_H

#include "sentry/vfs/path.h"

/* One try: -EAGAIN when it would block. Checks the open mode (-EBADF), strips setuid bits on write,
 * tells notify. pos: &f->pos under pos_sleep, or the caller's own for pread-like use. */
ssize_t vfs_read(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf);
ssize_t vfs_write(struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf);
/* The kernel's own reads and writes (loader, sendfile): plain memory. */
ssize_t vfs_read_kernel(struct file *f, const struct call *c, void *buf, size_t len, int64_t *pos);
ssize_t vfs_write_kernel(
	struct file *f, const struct call *c, const void *buf, size_t len, int64_t *pos);
int64_t vfs_lseek(
	struct file *f, const struct call *c, int64_t off, int whence); /* caller holds pos_sleep */
uint32_t vfs_poll(struct file *f, struct poll_table *pt);
int vfs_fsync(struct file *f, const struct call *c, bool data_only);
int vfs_fallocate(struct file *f, const struct call *c, int mode, int64_t off, int64_t len);
/* Entries to e from f->pos; takes the locks. */
int vfs_iterate(struct file *f, const struct call *c, struct dir_emit *e);
/* Drop setuid and setgid bits because the contents change. inode's dir_lock is not held. */
int vfs_strip_privs(const struct call *c, struct file *f);

/* For lseek of files with a size: SEEK_SET, _CUR, _END; DATA and HOLE as for a file without holes.
 * Sets f->pos. */
int64_t file_lseek_sized(struct file *f, int64_t off, int whence, int64_t size, int64_t max);
int64_t file_lseek_regular(
	struct file *f, const struct call *c, int64_t off, int whence); /* by inode->size */
/* For fallocate: RLIMIT_FSIZE, where the file of this size would become larger. 0 or -EFBIG. */
int file_allocate_limit(const struct call *c, int mode, int64_t off, int64_t len, int64_t size);
/* For write: apply O_APPEND (size), RLIMIT_FSIZE and the largest size to *pos and *len. -EFBIG. */
int file_write_limit(struct file *f, const struct call *c, int64_t *pos, uint64_t *len,
	uint32_t rwf, int64_t size);
/* lseek of directories whose positions are opaque numbers: SET and CUR. */
int64_t file_lseek_dir(struct file *f, const struct call *c, int64_t off, int whence);
/* lseek that does nothing and succeeds (devices). */
int64_t file_lseek_noop(struct file *f, const struct call *c, int64_t off, int whence);
/* read of a directory. */
ssize_t file_read_dir(
	struct file *f, const struct call *c, struct uio *u, int64_t *pos, uint32_t rwf);
/* Emit "." and ".." at positions 0 and 1, moving f->pos. False: the buffer is full. */
bool file_emit_dots(struct file *f, struct dir_emit *e);

#endif
