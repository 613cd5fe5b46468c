/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_FS_PROC_H
#define SENTRY_FS_PROC_H

#include <stddef.h>

struct file;
struct tgroup;

/* The process whose directory (/proc/PID) f is: a reference; NULL: it is none. */
struct tgroup *proc_tgroup_of(struct file *f);

/* NAME=VALUE (len bytes): /proc/sys shows that from now on, if it has such a file. Before there are
 * tasks. */
void proc_sysctl_show(const char *assignment, size_t len);

int proc_init(void);  /* register "proc" */
int sysfs_init(void); /* register "sysfs" */

#endif
