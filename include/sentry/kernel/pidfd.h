/* SPDX-License-Identifier: Apache-2.0 */
/* pidfds: files that stand for a process (pidfd_open(2)). */
#ifndef SENTRY_KERNEL_PIDFD_H
#define SENTRY_KERNEL_PIDFD_H

#include <stdint.h>

struct file;
struct pid;

/* flags: LX_O_NONBLOCK or 0. */
int pidfd_new(struct pid *p, uint32_t flags, struct file **ret);
/* The process behind a pidfd, borrowed for as long as f is held; NULL: not a pidfd. */
struct pid *pidfd_pid(struct file *f);

#endif
