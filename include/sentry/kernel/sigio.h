/* SPDX-License-Identifier: Apache-2.0 */
/* SIGIO: files with O_ASYNC tell their owner (fcntl(2), F_SETOWN) when they become ready. */
#ifndef SENTRY_KERNEL_SIGIO_H
#define SENTRY_KERNEL_SIGIO_H

#include <stdbool.h>

struct file;

int sigio_init(void); /* starts the fiber that sends; before the first task */
/* Switch it on or off for f; also called when a socket gets an owner, whom SIGURG is for. -ENOMEM,
 * -EINVAL (nothing of f's can be waited for). */
int sigio_set(struct file *f, bool on);

#endif
