/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SENTRY_FS_PROC_H
#define SENTRY_FS_PROC_H

#include <stdbool.h>
#include <stddef.h>

struct call;
struct file;
struct tgroup;

/* The process whose directory (/proc/PID) f is: a reference; NULL: it is none. */
struct tgroup *proc_tgroup_of(struct file *f);

/* NAME=VALUE (len bytes), before c's container has tasks: limits of IPC are set in its namespace;
 * what is constant /proc/sys shows so from now on, if show is set: then there are no other tasks
 * either. -ENOENT: there is no such file; -EINVAL. */
int proc_sysctl_set(const struct call *c, const char *assignment, size_t len, bool show);

int proc_init(void);  /* register "proc" */
int sysfs_init(void); /* register "sysfs" */

#endif
