/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_FS_PROC_H
#define SENTRY_FS_PROC_H

int proc_init(void);  /* register "proc" */
int sysfs_init(void); /* register "sysfs" */

#endif
