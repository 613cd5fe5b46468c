/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Synthetic trees (proc, sys, dev) written as tables. A directory is a table of rows, or finds its
 * entries by functions, or both (the table first). A file's text is made by `show` into a buffer
 * when it is read from its beginning. Nodes below a dynamic entry inherit its object: /proc/PID
 * hands a thread group to every row below.
 *
 *	static const struct pseudo_row pid_rows[] = {
 *		{.name = "status", .mode = LX_S_IFREG | 0444, .show = show_status},
 *		{.name = "cwd", .mode = LX_S_IFLNK | 0777, .readlink = cwd_text, .magic = cwd_go},
 *		{.name = "fd", .mode = LX_S_IFDIR | 0500, .dir = &fd_dir},
 *		{.name = NULL},
 *	};
 */
#ifndef SENTRY_FS_PSEUDO_H
#define SENTRY_FS_PSEUDO_H

#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"

/* A growing text. After a failure (no memory) it stays as it is and `failed` is set. */
struct sbuf {
	char *p;
	size_t len, cap;
	bool failed;
};

void sbuf_add(struct sbuf *b, const void *p, size_t n);
void sbuf_puts(struct sbuf *b, const char *s);
void sbuf_printf(struct sbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void sbuf_free(struct sbuf *b);

struct pseudo_row;
struct pseudo_child;

/* How objects that nodes carry are held. */
struct pseudo_obj_ops {
	void (*get)(void *obj);
	void (*put)(void *obj);
	/* Is it no more what the tree is about? Then its texts are ESRCH. NULL: it never is. */
	bool (*gone)(void *obj);
};

/* What functions of a row get: the node and who asks. c may be NULL when nobody does (release). */
struct pseudo_ctx {
	const struct call *c;
	struct inode *inode;
	const struct pseudo_row *row;
	void *obj;		   /* of the nearest dynamic entry at or above; borrowed */
	uint64_t key;		   /* of the same entry: an fd number, a pid ... */
	uint64_t bound;		   /* of an open file: what row->bind said when it was opened */
	const struct cred *opener; /* of an open file: who opened it; or NULL */
};

/* A directory whose entries come from functions. */
struct pseudo_dir {
	/* Find an entry: fill *ret, 0; or -ENOENT. name is NUL-terminated. */
	int (*lookup)(const struct pseudo_ctx *x, const char *name, struct pseudo_child *ret);
	/* The first entry whose position is >= *pos (positions start at 0 and rise, at most
	 * INT32_MAX): its name and type (LX_DT_*), and its position in *pos. False: no more. */
	bool (*next)(
		const struct pseudo_ctx *x, int64_t *pos, char *name, size_t cap, uint8_t *type);
	/* Is an entry that was found earlier still so? NULL: look up again each time. */
	bool (*still)(const struct pseudo_ctx *child);
};

/* An entry found: row is static data. obj, when set, is a reference that passes to the node. */
struct pseudo_child {
	const struct pseudo_row *row;
	void *obj;
	const struct pseudo_obj_ops *obj_ops;
	uint64_t key;
	uint64_t ino; /* 0: made from the path */
};

/* What Linux does differently in parts of /proc. */
enum pseudo_part {
	PSEUDO_AS_PARENT,  /* a root: none of the below */
	PSEUDO_PROCESS,	   /* files without row->poll cannot be waited for: epoll refuses them */
	PSEUDO_SYSCTL,	   /* no capability stands above the mode (proc_sys_permission) */
	PSEUDO_SYSCTL_OWN, /* the same, but row->check alone decides */
	PSEUDO_NET,	   /* what has no row->write is not opened for writing: EACCES */
};

struct pseudo_row {
	const char *name;      /* NULL ends a table; ignored in rows that a lookup returns */
	uint32_t mode;	       /* with the type */
	enum pseudo_part part; /* from here on down */
	const struct pseudo_row *rows; /* of a directory */
	const struct pseudo_dir *dir;
	uintptr_t arg; /* for functions that several rows share */
	uint32_t rdev; /* of device nodes */
	/* Make the text. 0 or -errno. May park; only the node itself is locked. */
	int (*show)(const struct pseudo_ctx *x, struct sbuf *b);
	/* Take what was written (NUL-terminated copy, at most 64 KiB): bytes taken, or -errno. pos:
	 * where. */
	ssize_t (*write)(const struct pseudo_ctx *x, const char *buf, size_t len, int64_t pos);
	/* Read from and write to the middle without a text (mem, pagemap): instead of show. */
	ssize_t (*pread)(const struct pseudo_ctx *x, struct uio *u, int64_t pos);
	ssize_t (*pwrite)(const struct pseudo_ctx *x, struct uio *u, int64_t pos);
	uint32_t (*poll)(const struct pseudo_ctx *x, struct file *f, struct poll_table *pt);
	/* Symlinks: text (length, no NUL), and for magic links where they lead. A constant text may
	 * stand in target. */
	ssize_t (*readlink)(const struct pseudo_ctx *x, char *buf, size_t cap);
	int (*magic)(const struct pseudo_ctx *x, struct path *ret);
	const char *target;
	/* May the caller open or search it, beyond the mode? 0 or -errno. NULL: yes. */
	int (*check)(const struct pseudo_ctx *x, int mask);
	/* Whoever this is true for may, whatever the mode says. NULL: the mode decides. */
	bool (*always)(const struct pseudo_ctx *x);
	/* Change what stat shows: owner, size, mode. Also asked before permissions are checked. */
	void (*attr)(const struct pseudo_ctx *x, struct inode *i);
	/* Is the row there at all? For rows of a table. NULL: yes. */
	bool (*visible)(const struct pseudo_ctx *dir);
	/* A number for what a file is about that is opened now. For those whose functions look at
	 * another thing than the rights were checked for, when they are read later. */
	uint64_t (*bind)(const struct pseudo_ctx *x);
	void (*unbind)(uint64_t bound); /* when the file is closed; or NULL */
	bool at_open;			/* with bind: the text is what it is then */
	bool outlives;			/* can be read and written when the object is gone */
	/* Files that are of another kind altogether: sets f->ops and f->priv. */
	int (*open)(const struct pseudo_ctx *x, struct file *f);
};

/* A super over the tree that root (a directory row) stands for. flags: SUPER_*, NO_NEGATIVE is
 * added; trees with dynamic directories pass SUPER_SHARED | SUPER_NO_CACHE. ops may be NULL. */
int pseudo_super_new(const struct fs_type *type, const struct super_ops *ops,
	const struct pseudo_row *root, uint32_t flags, int64_t magic, struct super **ret);

/* The context of a node of such a tree. */
void pseudo_ctx_of(struct inode *i, const struct call *c, struct pseudo_ctx *ret);

#endif
