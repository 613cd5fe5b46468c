/* SPDX-License-Identifier: Apache-2.0 */
/* tmpfs, and files of it without a name: memfds, shared anonymous memory, SysV segments. */
#ifndef SENTRY_FS_TMPFS_H
#define SENTRY_FS_TMPFS_H

#include "sentry/vfs/file.h"
#include "sentry/vfs/fs.h"

/* Register the type and make the internal super of nameless files. */
int tmpfs_init(void);

/* Before the first guest runs: how to open a memory file once more, to be read only (that is what a
 * guest gets which may not write the file), and how to get one for much data, where a memfd would
 * do too. A new descriptor, or -errno; both may park. */
struct tmpfs_memory {
	int (*reopen)(int fd);
	int (*large)(void);
};
void tmpfs_set_memory(const struct tmpfs_memory *m);

/* A fresh tmpfs; options as for mount(2). */
int tmpfs_new(const struct call *c, const char *options, struct super **ret);
/* fs_type.check */
int tmpfs_check_option(const char *name, const char *val);

/* An open nameless file of size bytes, all zero. desc: as /proc/self/fd shows it ("/memfd:name").
 */
int tmpfs_file_new(const struct call *c, const char *desc, int64_t size, uint32_t mode,
	uint32_t oflags, struct file **ret);

/* A node of a tmpfs that is in no directory, for file systems that keep their contents there. */
int tmpfs_inode_new(struct super *sb, const struct inode_spec *spec, struct inode **ret);

/* Seals (memfd_create(2)): -EINVAL when f is no such file. */
int tmpfs_seals_get(struct file *f);
int tmpfs_seals_add(struct file *f, uint32_t seals);
void tmpfs_seals_init(struct file *f, uint32_t seals);

#endif
