/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of the host as open files of the guest: the standard streams of the sandbox. */
#ifndef SENTRY_FS_HOSTFILE_H
#define SENTRY_FS_HOSTFILE_H

#include "sentry/vfs/file.h"

int hostfile_init(void);

/* fd: a regular file, pipe, socket, character device or terminal; owned by the file on success,
 * closed with it. oflags: LX_O_RDONLY/WRONLY/RDWR, LX_O_APPEND. The descriptor's own O_NONBLOCK is
 * never touched: it may be shared with the caller's shell. Descriptors of one terminal share one
 * struct tty. */
int hostfile_new(int fd, uint32_t oflags, struct file **ret);

/* The host says that a terminal's size changed: SIGWINCH to the foreground group of each. */
void hostfile_winch(void);
/* The foreground process group of the host's terminal: whom a forwarded ^C is for; 0: none. */
int32_t hostfile_foreground(void);

#endif
