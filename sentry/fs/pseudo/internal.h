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
	enum pseudo_part part; /* never AS_PARENT, but in a tree without parts */
};

/* Of an open file. */
struct pfile {
	struct sbuf text;
	uint64_t bound;
};

static inline struct pnode *
pnode_of(struct inode *i)
{
	return container_of(i, struct pnode, i);
}

extern const struct file_ops pseudo_file_fops, pseudo_unpolled_fops, pseudo_dir_fops;
uint64_t pseudo_ino(uint64_t parent, const char *name, size_t len);

#endif
