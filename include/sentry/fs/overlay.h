/* SPDX-License-Identifier: Apache-2.0 */
/* A tree that shows another one, and keeps every change in memory. */
#ifndef SENTRY_FS_OVERLAY_H
#define SENTRY_FS_OVERLAY_H

#include "sentry/vfs/fs.h"

/* lower: borrowed, a reference is taken; it is only read. options: limits of the memory, as for
 * tmpfs, or NULL. */
int overlay_new(const struct call *c, struct super *lower, const char *options, struct super **ret);

#endif
