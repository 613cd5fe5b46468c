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

/* What is written to all of them together may be limited: take says how many of `want` bytes may be
 * (0: none), and is given back what was not. */
struct hostfile_quota {
	uint64_t (*take)(uint64_t want);
	void (*give_back)(uint64_t bytes);
};
void hostfile_set_quota(const struct hostfile_quota *q); /* borrowed for ever; before any is used */

struct super;
struct tty;

/* Show the host's terminal that f is in a devpts, where opening it gives other files of the same
 * terminal: its number there. -ENOTTY: f is none; -EACCES: f cannot be both read and written. */
int hostfile_show_tty(struct file *f, const struct call *c, struct super *devpts, uint32_t uid);

/* What the host's terminal raised (a key, a new size, SIGHUP when it is gone) is passed on to the
 * group in front of it. -ESRCH: nobody is. */
int hostfile_tty_signal(struct tty *t, int signo);

#endif
