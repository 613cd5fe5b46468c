/* SPDX-License-Identifier: Apache-2.0 */
/* Pseudo terminals, and the file system that shows their slaves. */
#ifndef SENTRY_FS_DEVPTS_H
#define SENTRY_FS_DEVPTS_H

#include "sentry/vfs/file.h"
#include "sentry/vfs/fs.h"

/* Register the type devpts and the devices (ptmx, pts). */
int devpts_init(void);
uint32_t devpts_count(void); /* terminals that there are, in all instances */

/* TIOCGPTPEER: open the slave of the master f. -ENOTTY when f is none. flags: LX_O_*. */
int pty_open_peer(struct file *f, const struct call *c, uint32_t flags, struct file **ret);

struct tty;

/* Show a terminal that another driver has as a slave of the instance sb; opening its node calls
 * t->reopen. Its number, with a handle for devpts_disown in *ret_node; -ENODEV: sb is no devpts;
 * -ENOSPC, -ENOMEM. uid: who owns the node, unless the mount says so. The caller disowns before t
 * is freed. */
int devpts_adopt(
	struct super *sb, const struct call *c, struct tty *t, uint32_t uid, void **ret_node);
void devpts_disown(void *node);

#endif
