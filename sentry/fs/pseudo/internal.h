/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_PSEUDO_INTERNAL_H
#define FS_PSEUDO_INTERNAL_H

#include "sentry/fs/pseudo.h"
#include <errno.h>

struct pnode {
	struct inode i;
	const struct pseudo_row *row;
	void *obj;
	const struct pseudo_obj_ops *obj_ops;
	uint64_t key;
};

static inline struct pnode *
pnode_of(struct inode *i)
{
	return container_of(i, struct pnode, i);
}

extern const struct file_ops pseudo_file_fops, pseudo_dir_fops;
int pseudo_file_bind(const struct pseudo_ctx *x, struct file *f); /* at open, of rows with bind */
uint64_t pseudo_ino(uint64_t parent, const char *name, size_t len);

#endif
