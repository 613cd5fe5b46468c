/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_FS_SYS_INTERNAL_H
#define SENTRY_FS_SYS_INTERNAL_H

#include "sentry/fs/pseudo.h"

/* Interfaces: directories; with arg 1 in the row links to those. */
extern const struct pseudo_dir sys_net_dir;

#endif
