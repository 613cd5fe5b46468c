/* SPDX-License-Identifier: Apache-2.0 */
/* Devices by number (null, zero, random, tty ...), and the tree that /dev is. */
#ifndef SENTRY_FS_DEV_H
#define SENTRY_FS_DEV_H

#include "sentry/vfs/path.h"

/* Register the devices and the type devtmpfs. */
int dev_init(void);

/* Make what belongs into /dev, where it is missing, below dir: nodes, links, directories for
 * mounts. */
int dev_populate(const struct call *c, const struct path *dir);

#endif
