/* SPDX-License-Identifier: Apache-2.0 */
/* overlay, as guests mount it. */
#ifndef SENTRY_FS_OVERLAYFS_H
#define SENTRY_FS_OVERLAYFS_H

/* Register the type. */
int overlayfs_init(void);

#endif
