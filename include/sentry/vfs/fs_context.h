/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File system contexts: what fsopen(2) and fspick(2) give, fsconfig(2) fills and fsmount(2) mounts.
 * A file that is not one: -EINVAL. What went wrong with a parameter can be read from the file, a
 * message for each read, as Linux has it ("e tmpfs: Unknown parameter 'x'\n").
 */
#ifndef SENTRY_VFS_FS_CONTEXT_H
#define SENTRY_VFS_FS_CONTEXT_H

#include "sentry/vfs/file.h"

#define FS_PARAM_MAX 256 /* bytes of a name or a value, with the NUL */

/* For a new super of that type. -ENODEV. */
int fs_context_open(const char *type, struct file **ret);
/* For the super of the mount that p is the root of; -EINVAL: it is not. */
int fs_context_pick(const struct path *p, struct file **ret);

/* A parameter; value NULL: a flag. -EBUSY: not the time for it. */
int fs_context_set(struct file *f, const char *key, const char *value);
/* A parameter of a kind that none of the file systems here has. */
int fs_context_refuse(struct file *f, const char *key);
/* Make the super; with excl -EBUSY if it was there already. */
int fs_context_create(struct file *f, const struct call *c, bool excl);
/* Give the picked super the parameters. */
int fs_context_reconfigure(struct file *f, const struct call *c);
/* A detached mount of the super that was made. */
int fs_context_mount(struct file *f, const struct call *c, uint32_t mnt_flags, struct mount **ret);

#endif
