/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes and FIFOs. */
#ifndef SENTRY_FS_PIPE_H
#define SENTRY_FS_PIPE_H

#include "sentry/vfs/file.h"

int pipe_init(void); /* makes FIFOs open */

/* A pipe: both ends, with the flags LX_O_NONBLOCK and LX_O_DIRECT. */
int pipe_new(const struct call *c, uint32_t oflags, struct file **reader, struct file **writer);

bool pipe_is(const struct file *f);
/* F_SETPIPE_SZ, F_GETPIPE_SZ: the size in bytes; -EBADF when f is no pipe, -EPERM, -EBUSY, -EINVAL.
 */
int pipe_fcntl(struct file *f, const struct call *c, bool set, uint32_t size);

/* For splice(2). out: hand up to len bytes in place to fn, which says how many it took; they then
 * leave the pipe. in: let fn put up to len bytes in place. -EAGAIN: empty (0 when nobody can write
 * any more), full; -EPIPE. fn may park; a failure of fn is passed on when nothing was moved. */
ssize_t pipe_splice_out(
	struct file *f, size_t len, ssize_t (*fn)(void *arg, const char *p, size_t n), void *arg);
ssize_t pipe_splice_in(
	struct file *f, size_t len, ssize_t (*fn)(void *arg, char *p, size_t n), void *arg);
size_t pipe_room(struct file *f); /* bytes that can be written now */
/* tee(2): copy without taking. */
ssize_t pipe_tee(struct file *from, struct file *to, size_t len);

#endif
