/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gofer client's own. A gnode is an inode whose file the gofer holds under a node number; it
 * caches the host descriptors that the gofer opened for it, so that opening a file again, reading,
 * writing and mapping need no request.
 *
 * Caching. exclusive: nobody else changes the files, so the attributes in the inode are the truth;
 * what writes do to size, blocks and times is fetched from the host descriptor when somebody asks.
 * shared: names and attributes are asked for again by each call; relaxed: what was asked for just
 * now is believed, each answer by the time at which it was asked for (0 in a mount that is not
 * relaxed).
 *
 * virtual: files that libmoat makes. There are no host descriptors: contents are asked for in
 * messages (virtual.c), and whoever waits for an answer can be killed. What comes for it then is
 * taken back.
 *
 * Locks. gnode.lock (rank FSNODE): descriptors and their users. gsuper.lock (FS): the list of idle
 * descriptors. conn.lock (GOFER): requests in flight. None is held over a park.
 */
#ifndef SENTRY_FS_GOFER_INTERNAL_H
#define SENTRY_FS_GOFER_INTERNAL_H

#include "base/list.h"
#include "base/lock.h"
#include "gofer.pb-c.h"
#include "gofer/wire.h"
#include "sentry/fs/gofer.h"
#include "sentry/sched/fiber.h"
#include "sentry/vfs/fs.h"
#include "sentry/vfs/inode.h"
#include <errno.h>

struct gsuper {
	struct super *sb;
	struct gofer_conn *conn; /* (C) a reference */
	bool shared, relaxed, readonly;
	bool virtual; /* the other end gives no descriptors */
	int64_t relax_ns;
	uint64_t dev;	    /* host device of the root */
	uint64_t root_node; /* number at the gofer */
	struct mutex lock;  /* idle, nidle */
	struct list idle;   /* gnodes with open descriptors that nobody uses, oldest first */
	uint32_t nidle, idle_max;
	struct list dirs;	    /* listings that are kept, oldest first */
	uint32_t nentries;	    /* of all of them */
	_Atomic uint64_t changes;   /* counts what we change in files and names */
	_Atomic int64_t acl_set_ns; /* when an ACL was last set: what was asked for before tells of
				       none too early */
};

#define GDIR_KEEP_MAX 1024 /* entries of a listing that is kept */

/* What was fetched ahead for an entry of a listing. */
struct gent {
	Gofer__Node *node;    /* held at the gofer, or NULL; memory of the listing */
	struct gdir *listing; /* with node, of a directory: its entries; a reference */
	int fd;		      /* with node: descriptor to read it, or -1 */
	bool asked, no_listing;
	uint32_t hash, next;
	uint64_t changes;	   /* gsuper.changes before it was asked for */
	int64_t asked_ns, node_ns; /* when it was last asked for; when node was */
};

/* A batch of entries, as it came. */
struct gdir {
	struct ref ref;
	struct gofer_conn *conn; /* (C) a reference: what is held at the gofer */
	struct mutex lock;	 /* ents, reps, streak, opens, listed */
	Gofer__ReaddirRep *rep;
	void *own;		 /* what to free: rep */
	int64_t start;		 /* the host position that was asked for */
	uint64_t changes;	 /* gsuper.changes before it was asked for */
	int64_t asked_ns;	 /* when it was asked for, and */
	_Atomic int64_t used_ns; /* when it was last of use */
	struct gent *ents;	 /* of rep's entries */
	uint32_t *buckets, mask; /* index + 1 */
	void **reps;		 /* replies that ents point into */
	uint32_t nreps, streak, listed;
	_Atomic bool opens; /* files in it are opened to be read */
	bool deep;	  /* came to one who walks the tree; does not change once others know it */
	struct list node; /* gsuper.dirs, while its owner keeps it (gsuper.lock) */
	struct gnode *owner;
};

#define GNODE_MISSING 4

struct gnode {
	struct inode i;	   /* first */
	uint64_t id;	   /* at the gofer */
	uint64_t dev, ino; /* on the host */
	struct mutex lock; /* all below */
	int fd_ro, fd_rw;  /* host descriptors, -1: none */
	uint32_t users;	   /* open files and mappables that use them */
	bool stale; /* the host changed size, blocks or times by our writes: fstat before they are
		       shown */
	struct list
		idle; /* in gsuper.idle when users is 0 and a descriptor is open (gsuper.lock) */
	struct gdir *dir; /* cached entries of a directory, or NULL */
	uint64_t changes; /* counts changes of a directory's names */
	uint64_t parent;  /* guest's number of the directory it was last looked up in, or 0 */
	/* Of a shared mount (under lock): when its attributes were asked for, and by which call
	 * (call.serial). */
	int64_t attr_ns;
	uint64_t attr_call;
	/* Of a relaxed mount (under lock): when it was last seen under the name and in the
	 * directory of seen_key, and names that were missing in it. */
	int64_t seen_ns, missing_ns[GNODE_MISSING];
	uint64_t seen_key, missing_key[GNODE_MISSING];
	uint32_t missing_at;
};

static inline struct gnode *
gnode_of(struct inode *i)
{
	return (struct gnode *)i;
}

static inline struct gsuper *
gsuper_of(const struct inode *i)
{
	return i->sb->priv;
}

static inline struct gofer_conn *
gconn_of(const struct inode *i)
{
	return gsuper_of(i)->conn;
}

/* Does an answer that was asked for then still stand? */
static inline bool
gofer_fresh(const struct gsuper *gs, int64_t asked_ns)
{
	return !gs->shared || (gs->relaxed && asked_ns > sched_now_ns() - gs->relax_ns);
}

/* conn.c: one request. Parks. 0 or -errno; on success *rep is the unpacked reply (gofer_rep_free),
 * if rep is not NULL, and *fd (if not NULL) the descriptor that came with it, or -1. */
int gofer_call(
	struct gofer_conn *conn, uint16_t type, const ProtobufCMessage *req, void *rep, int *fd);
int gofer_call_fds(struct gofer_conn *conn, uint16_t type, const ProtobufCMessage *req, void *rep,
	int *fds, uint32_t max, uint32_t *nfds);
void gofer_rep_free(void *rep);
/* Tell the gofer that a node is no longer needed; sent in batches. Does not park. */
void gofer_forget(struct gofer_conn *conn, uint64_t node);
/* The same for an open file of a virtual mount, sent at once if there is room. */
void gofer_file_close(struct gofer_conn *conn, uint64_t file);

/* node.c */
/* The inode for what the gofer described when it was asked then: a known one, or a new one that
 * takes node->id. */
int gnode_get(struct super *sb, const Gofer__Node *node, int64_t asked_ns, struct gnode **ret);
/* asked_ns: the time before they were asked for. */
void gnode_apply_attr(struct gnode *n, const Gofer__Attr *a, int64_t asked_ns);
/* A host descriptor for this access (WIRE_READ, WIRE_WRITE), opened if need be; counts as a use
 * until gnode_unuse. Parks. */
int gnode_use(struct gnode *n, uint32_t access);
void gnode_unuse(struct gnode *n);
/* A descriptor to read n with, which passes. */
void gnode_give_fd(struct gnode *n, int fd);
/* The descriptor of a use, which is never closed under its user. */
int gnode_fd(struct gnode *n, bool write);
/* After a write through a host descriptor. */
void gnode_wrote(struct gnode *n, int64_t end);
void gnode_sync_attr(struct gnode *n); /* fstat, if stale */
void gnode_free(struct inode *i);

/* dir.c, attr.c, file.c */
extern const struct inode_ops gofer_dir_ops, gofer_file_ops, gofer_virtual_ops;
extern uint64_t (*gofer_memory_limit)(void); /* as gofer_init says; may be NULL */
extern const struct file_ops gofer_dir_fops, gofer_file_fops, gofer_virtual_fops;
/* n in dir was g, or was missing (NULL), when the gofer was asked then. */
void gnode_seen(struct inode *dir, const struct name *n, struct gnode *g, int64_t asked_ns);
/* Its attributes are those that c asked for then. */
void gnode_asked(struct gnode *n, const struct call *c, int64_t asked_ns);
int gofer_refresh(struct inode *i, const struct call *c, bool force);
int gofer_setattr(struct inode *i, const struct call *c, const struct iattr *a);
ssize_t gofer_getxattr(
	struct inode *i, const struct call *c, const char *name, void *buf, size_t size);
int gofer_setxattr(struct inode *i, const struct call *c, const char *name, const void *val,
	size_t size, int flags);
ssize_t gofer_listxattr(struct inode *i, const struct call *c, char *buf, size_t size);
int gofer_removexattr(struct inode *i, const struct call *c, const char *name);
int gofer_open_file(struct inode *i, const struct call *c, struct file *f);

/* listing.c */
extern int gdir_nodes_max; /* nodes that may be held for nobody */
/* own is freed with it, at once on failure. */
struct gdir *gdir_new(struct gofer_conn *conn, Gofer__ReaddirRep *rep, void *own, int64_t start,
	uint64_t changes, int64_t asked_ns);
void gdir_free(struct gdir *d); /* a reference */
/* The listing that n keeps, with a reference, or NULL; lately: only if it may still be of use. */
struct gdir *gdir_kept(struct gnode *n);
struct gdir *gdir_kept_lately(struct gnode *n);
struct gdir *gdir_above(struct gnode *n); /* that the directory of n keeps */
/* Those of a reply's descriptors from *at on that are entries' of d, in order. Nobody else knows d.
 */
void gdir_give_fds(struct gdir *d, const int *fds, uint32_t nfds, uint32_t *at);
bool gdir_room_for_nodes(void);
bool gdir_room_for_fds(uint32_t n);
/* n may keep d, if its names did not change since n->changes was changes. */
void gdir_keep(struct gnode *n, struct gdir *d, uint64_t changes);

void gdir_drop(struct gnode *dir); /* names of dir changed */
/* A name by the listing. 0, -ENOENT: there is no such name; -EAGAIN: not known without a request
 * (with ask: because there is no listing). */
int gdir_lookup(struct inode *dir, const struct name *n, bool ask, struct inode **ret);
void gdir_opened(struct gnode *n); /* n had to be opened by a request, to be read */

/* ahead.c: the batch that starts at a host position, with a reference. Parks. */
int gdir_fetch(struct gnode *n, int64_t cookie, struct gdir **ret);

/* Attributes or names of the super are changed by us, or about to be. */
static inline void
gofer_changed(struct inode *i)
{
	atomic_fetch_add(&gsuper_of(i)->changes, 1);
}

#endif
