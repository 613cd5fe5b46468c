/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_FS_PROC_H
#define SENTRY_FS_PROC_H

struct file;
struct tgroup;

/* The process whose directory (/proc/PID) f is: a reference; NULL: it is none. */
struct tgroup *proc_tgroup_of(struct file *f);

int proc_init(void);  /* register "proc" */
int sysfs_init(void); /* register "sysfs" */

#endif
