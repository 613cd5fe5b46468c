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

/* NAME=VALUE (len bytes), before c's container has tasks: set in its IPC namespace, or in its
 * network namespace; where that is the host's, on which it is set already, ports are low by it, and
 * /proc/sys shows it so from now on, if show is set (it does, of one of those namespaces only).
 * -ENOENT: there is no such file; -EPERM: it is not for one container to set; -EINVAL. */
int proc_sysctl_set(const struct call *c, const char *assignment, size_t len, bool show);

int proc_init(void);  /* register "proc" */
int sysfs_init(void); /* register "sysfs" */

#endif
