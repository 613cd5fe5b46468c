/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors of the host that a program inside is given. */
#ifndef SENTRY_KERNEL_PASSED_H
#define SENTRY_KERNEL_PASSED_H

struct call;
struct file;

/* fd as an open file, with the access that it has; a socket can be read, written and asked, and is
 * of c's user. fd is consumed in any case. -errno. */
int passed_file(const struct call *c, int fd, struct file **ret);

#endif
