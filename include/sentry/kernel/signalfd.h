/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_KERNEL_SIGNALFD_H
#define SENTRY_KERNEL_SIGNALFD_H

#include "abi/signal.h"

struct file;

int signalfd_new(lx_sigset mask, uint32_t oflags, struct file **ret);
/* -EINVAL: f is no signalfd. */
int signalfd_set_mask(struct file *f, lx_sigset mask);

#endif
