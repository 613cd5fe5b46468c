/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's side of FUSE: what a guest asks of a file becomes a request, which a guest program
 * reads from /dev/fuse and answers there. Linux counterpart: fs/fuse.
 *
 * The server is hostile. Whatever it writes is copied once, and its lengths are compared with what
 * its request allows before anybody sees it; numbers, names, types and sizes in it are checked
 * where they are used. It may answer late, wrongly or never: who waits holds no lock but those that
 * belong to this file system's own files, and can be killed at any time. What an answer brings that
 * nobody waits for any longer is given back to the server.
 *
 * Objects. A connection belongs to the device's open files and to the super; it ends ("abort") with
 * the last of either. A node is an inode; the server knows it under a number that it holds through
 * a fuse_id, which requests hold too, so that the server is told to forget a number only when
 * nothing that is on its way names it. A directory's inode has one dentry in all its life: a
 * server that shows one directory at two places gives two inodes, and no two locks are ever taken
 * of one.
 *
 * Locks. conn.lock (rank FUSE): requests, the list of what to forget, the state. conn.nodes_lock
 * (LEAF): the table of nodes. What a node keeps about its age is under inode.lock. None is held
 * over a park.
 */
#ifndef SENTRY_FS_FUSE_INTERNAL_H
#define SENTRY_FS_FUSE_INTERNAL_H

#include "abi/fuse.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/ref.h"
#include "sentry/fs/fuse.h"
#include "sentry/sched/fiber.h"
#include "sentry/vfs/dentry.h"
#include "sentry/vfs/fs.h"
#include "sentry/vfs/inode.h"
#include <errno.h>

#define FUSE_BUCKETS   64
#define FUSE_NODES     256
#define FUSE_IO_MAX    (128u << 10) /* data of one request or answer, as Linux's default */
#define FUSE_ORPHANS   1024	    /* answers that nobody waits for, and which are remembered */
#define FUSE_XATTR_MAX 65536u

struct fuse_conn {
	struct ref ref;
	struct mutex lock;		/* all up to `nodes_lock` */
	struct list pending;		/* requests that no server has read, oldest first */
	struct list sent[FUSE_BUCKETS]; /* read and not answered, by number */
	struct list interrupts;		/* of those, where a signal came (fuse_req.intr_node) */
	struct list forgets;		/* fuse_ids */
	int forget_turn;		/* how many more forgets may be read before a request */
	uint32_t devs;			/* open files of the device */
	uint32_t orphans;
	uint64_t next_unique;
	bool connected;	      /* there may be a server, and a super */
	bool initialized;     /* INIT was answered */
	bool refused;	      /* and not as it must be */
	struct waitq readers; /* of the device */
	struct waitq ready;   /* who waits for INIT */

	struct mutex nodes_lock;
	struct list nodes[FUSE_NODES];

	/* constant after the mount */
	struct user_ns *user_ns; /* a reference */
	uint32_t user_id, group_id;
	bool allow_other, default_permissions;
	uint32_t max_read, max_read_set; /* in force; as it was asked for, or 0 */
	/* constant once initialized */
	uint32_t minor, max_write;
	bool dont_mask; /* the server applies the umask */

	_Atomic uint64_t attr_version; /* counts changes of attributes by us */
	/* what the server said that it does not have */
	_Atomic bool no_interrupt, no_open, no_opendir, no_flush, no_fsync, no_fsyncdir, no_access,
		no_create, no_getxattr, no_setxattr, no_listxattr, no_removexattr, no_fallocate,
		no_lseek, no_rename2;
};

/* A number of the server's. */
struct fuse_id {
	struct ref ref;
	struct fuse_conn *conn; /* a reference */
	uint64_t nodeid;
	uint64_t nlookup; /* how often it was told to us; conn.lock */
	struct list node; /* conn.forgets */
};

enum fuse_state { FUSE_NEW, FUSE_PENDING, FUSE_READING, FUSE_SENT, FUSE_DONE };

struct fuse_req {
	struct ref ref;
	struct list node;      /* pending or sent; a reference */
	struct list intr_node; /* conn.interrupts; no reference */
	enum fuse_state state;
	uint32_t opcode;
	uint64_t unique;
	struct fuse_id *id; /* a reference, or NULL: 0 */
	uint32_t uid, gid, pid;
	uint32_t out_min, out_max; /* bytes of an answer without an error */
	bool forced;		   /* is sent even if who waits for it is killed */
	bool interrupted, orphan;
	void *dev;	     /* the open device that read it */
	struct fiber *fiber; /* who waits, or NULL */
	_Atomic bool done;
	int error;
	void *base; /* malloc'd: a header, and */
	void *out;
	size_t out_len;
	size_t in_len;
	uint8_t in[] __attribute__((aligned(8)));
};

struct fnode {
	struct inode i; /* first */
	struct fuse_id *id;
	uint64_t serial; /* of all nodes */
	uint64_t generation;
	struct list node;	       /* conn.nodes; conn.nodes_lock */
	_Atomic bool bad;	       /* the number means something else by now */
	_Atomic int64_t attr_expiry;   /* on the host's monotonic clock */
	_Atomic uint64_t attr_version; /* conn's, at the last change that we know of */
	_Atomic uint64_t data;	       /* counts changes of contents that we know of */
	_Atomic uint64_t epoch;	       /* of a directory: how often the server took names back */
	/* Under i.lock: where it was found, by which name, and until when that is to be believed.
	 */
	struct fuse_seen {
		uint64_t dir, epoch; /* serial and epoch of the directory */
		uint32_t hash, len;
		int64_t expiry;
	} seen, missing[4]; /* names that a directory has not */
	uint32_t missing_at;
	/* what CREATE opened, for the open that follows by the one who created */
	struct fuse_file *created;
	int32_t created_by;
};

/* What may change while a request is on its way. */
struct fuse_since {
	uint64_t version, epoch;
};

struct fuse_copy;

/* An open file of the server's. */
struct fuse_file {
	struct fuse_id *id;
	uint64_t fh;
	uint32_t open_flags;	  /* LX_FOPEN_* */
	uint32_t flags;		  /* it was opened with */
	struct fuse_req *release; /* made beforehand; NULL: the server has no open */
	int64_t pos;		  /* of one that cannot seek */
	struct sleeplock copying;
	struct fuse_copy *copy; /* what was mapped last; a reference, or NULL */
};

static inline struct fnode *
fnode_of(struct inode *i)
{
	return (struct fnode *)i;
}

static inline struct fuse_conn *
fconn_of(const struct inode *i)
{
	return i->sb->priv;
}

/* --- conn.c --- */

struct fuse_conn *fuse_conn_new(void);
struct fuse_conn *fuse_conn_get(struct fuse_conn *c);
void fuse_conn_put(struct fuse_conn *c);
/* Nothing more is asked; who waits gets ECONNABORTED. */
void fuse_conn_abort(struct fuse_conn *c);
/* May the caller use it at all? */
bool fuse_allowed(const struct fuse_conn *conn, const struct call *c);

struct fuse_id *fuse_id_new(struct fuse_conn *conn, uint64_t nodeid, uint64_t nlookup);
struct fuse_id *fuse_id_get(struct fuse_id *id);
void fuse_id_put(struct fuse_id *id);
void fuse_forget(struct fuse_conn *conn, uint64_t nodeid); /* one lookup */

/* A request with room for in_len bytes of arguments, zeroed; id may be NULL. NULL: no memory. */
struct fuse_req *fuse_req_new(uint32_t opcode, struct fuse_id *id, size_t in_len);
void fuse_req_put(struct fuse_req *r);
/* Ask and wait: 0, and r->out has at least out_min and at most out_max bytes; or -errno. Parks. */
int fuse_call(struct fuse_conn *conn, const struct call *c, struct fuse_req *r, uint32_t out_min,
	uint32_t out_max);
/* Ask, and throw the answer away. Takes r over. */
void fuse_send(struct fuse_conn *conn, struct fuse_req *r);
/* r has an answer; base is taken over: a header, then len bytes. conn.lock is held. */
void fuse_req_end_locked(
	struct fuse_conn *conn, struct fuse_req *r, int error, void *base, size_t len);
/* What an answer brought that nobody waits for. */
void fuse_take_back(struct fuse_conn *conn, struct fuse_req *r, const void *out, size_t len);
int fuse_send_init(struct fuse_conn *conn);
void fuse_init_reply(struct fuse_conn *conn, int error, const void *out, size_t len);

/* --- dev.c --- */

extern struct vfs_dev fuse_device;
/* The connection of an open device that is not mounted yet; it is mounted then. -EINVAL. */
int fuse_dev_attach(struct file *f, struct fuse_conn *conn);

/* --- node.c --- */

int64_t fuse_expiry(uint64_t sec, uint32_t nsec);
/* Before a request that may tell attributes, or names of dir. */
struct fuse_since fuse_since(struct inode *dir);
/* The node of an answer, with the lookup that the server counts; -EIO: it makes no sense. */
int fnode_get(
	struct super *sb, const struct lx_fuse_entry_out *e, uint64_t version, struct fnode **ret);
int fnode_root(struct super *sb, uint32_t mode, struct fnode **ret);
/* -EIO: the file is another by now. */
int fnode_apply(struct fnode *n, const struct lx_fuse_attr *a, uint64_t sec, uint32_t nsec,
	uint64_t version);
bool fuse_attr_ok(const struct lx_fuse_attr *a);
/* The server counts a lookup more. */
void fnode_looked_up(struct fnode *n);
/* We changed something: what is on its way may be older; ask again. */
void fnode_changed(struct fnode *n);
bool fnode_attr_fresh(struct fnode *n);
/* n in dir is k, or is missing (NULL). */
void fnode_entry_set(
	struct inode *dir, const struct name *n, struct fnode *k, uint64_t epoch, int64_t expiry);
bool fnode_entry_fresh(struct inode *dir, const struct name *n, struct fnode *k);
/* The server says that attributes and data, or names, changed. -ENOENT: nobody knows it. */
int fnode_inval(struct fuse_conn *conn, uint64_t nodeid, bool names);
void fnode_free(struct inode *i);
void fnode_bad(struct fnode *n);

static inline int
fnode_check(const struct inode *i)
{
	return ((const struct fnode *)i)->bad ? -EIO : 0;
}

/* --- attr.c --- */

/* Ask, by an open file (ff) or not. */
int fuse_getattr(struct inode *i, const struct call *c, const struct fuse_file *ff);
int fuse_refresh(struct inode *i, const struct call *c, bool force);
int fuse_show(struct inode *i, const struct call *c, struct lx_stat_all *st);
int fuse_permission(struct inode *i, const struct call *c, int mask);
int fuse_access(struct inode *i, const struct call *c, int mask);
int fuse_setattr(struct inode *i, const struct call *c, const struct iattr *a);
ssize_t fuse_getxattr(
	struct inode *i, const struct call *c, const char *name, void *buf, size_t size);
int fuse_setxattr(struct inode *i, const struct call *c, const char *name, const void *val,
	size_t size, int flags);
ssize_t fuse_listxattr(struct inode *i, const struct call *c, char *buf, size_t size);
int fuse_removexattr(struct inode *i, const struct call *c, const char *name);
int fuse_statfs(struct super *sb, const struct call *c, struct lx_statfs *st);

/* --- file.c --- */

int fuse_open(struct inode *i, const struct call *c, struct file *f);
struct fuse_file *fuse_file_new(struct fuse_id *id, uint32_t flags, bool dir);
void fuse_file_free(struct fuse_file *ff); /* the server never knew it */
/* Tell the server, and free it. */
void fuse_file_close(struct fuse_conn *conn, struct fuse_file *ff);
int fuse_fsync(struct file *f, const struct call *c, bool data_only);
void fuse_release(struct file *f);
/* READ: bytes, or -errno; the data is in (*ret)->out, to be put. Parks. */
ssize_t fuse_read_at(
	struct file *f, const struct call *c, int64_t pos, uint32_t len, struct fuse_req **ret);

/* --- map.c --- */

int fuse_mappable(
	struct file *f, const struct call *c, int prot, bool shared, struct mappable **ret);
void fuse_copy_put(struct fuse_copy *c);

extern const struct inode_ops fuse_dir_ops, fuse_file_ops;
extern const struct file_ops fuse_dir_fops, fuse_file_fops;

#endif
