/* SPDX-License-Identifier: Apache-2.0 */
/* What file systems that stand on others share: copying contents up, maps of the file below, and
 * merged directories. */
#ifndef SENTRY_FS_STACKED_H
#define SENTRY_FS_STACKED_H

#include "sentry/vfs/rw.h"

/* Copy the first size bytes, or all that there are. What is zero, a page at a time, stays a hole.
 */
int stacked_copy(struct file *from, struct file *to, const struct call *c, int64_t size);

/* f->priv of an open file: the real files below it, the lower one until the contents are copied up,
 * the copy from then on, also for descriptors that were open before. Both stay until the file is
 * closed, so that readers need no lock. */
struct stacked_file {
	_Atomic(struct file *) lower, upper; /* references */
};

/* Put f (a reference, consumed) in its place, or take the one that somebody has put there. */
struct file *stacked_keep(_Atomic(struct file *) *place, struct file *f);
/* file_ops.release */
void stacked_release(struct file *f);
/* What changed the contents of real, which are i's, changed their size. */
void stacked_sync_size(struct inode *i, const struct inode *real);

/* file_ops.mappable of f, whose contents are real's: it is mapped under f's name. */
int stacked_mappable(struct file *f, struct file *real, const struct call *c, int prot, bool shared,
	struct mappable **ret);

struct stacked_entry {
	uint64_t ino;
	uint32_t at, next; /* of the name, in text; next in its bucket + 1 */
	uint32_t hash;
	uint8_t type, len; /* LX_DT_* */
	bool hidden;	   /* found, but not shown */
};

/* The entries of a directory, made when reading starts, so that positions are plain numbers. All
 * zero: empty. */
struct stacked_list {
	struct stacked_entry *list;
	uint32_t *buckets, nbuckets;
	size_t n, cap;
	char *text;
	size_t used, room;
	bool failed; /* for want of memory */
};

void stacked_list_clear(struct stacked_list *l);
void stacked_list_free(struct stacked_list *l);
/* NULL: no such name. */
struct stacked_entry *stacked_list_find(const struct stacked_list *l, const struct name *n);
/* Add a name that is not in it. NULL: no memory; l->failed says so, too. */
struct stacked_entry *stacked_list_add(
	struct stacked_list *l, const struct name *n, uint64_t ino, uint8_t type);
/* file_ops.iterate of f. */
int stacked_list_emit(const struct stacked_list *l, struct file *f, struct dir_emit *e);

static inline bool
stacked_is_dots(const char *name, size_t len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

#endif
