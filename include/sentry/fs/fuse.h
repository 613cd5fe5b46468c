/* SPDX-License-Identifier: Apache-2.0 */
/* File systems whose server is a guest program: /dev/fuse and the type "fuse" (fuse(4)). */
#ifndef SENTRY_FS_FUSE_H
#define SENTRY_FS_FUSE_H

#include <stdint.h>

struct call;
struct file;

/* Register the device and the type. */
int fuse_init(void);

/* Set by the kernel at start: the caller's file of a descriptor, a reference or NULL. */
extern struct file *(*fuse_file_of_fd)(const struct call *c, int fd);

#endif
