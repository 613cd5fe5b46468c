/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serving virtual files (moat/files.h): one thread and one connection for each such mount, which
 * answers the requests of gofer/proto/messages.def by calling the host program's functions.
 *
 * The sentry at the other end is hostile: a node or open file is a number that is looked up, a name
 * is one component, what it may make us keep is bounded. What the functions say is checked as well,
 * before it is passed on.
 *
 * All of a server but `sock` and what stops it is touched by its thread alone: there are no locks.
 */
#ifndef TOOLS_LIBMOAT_VIRTUAL_H
#define TOOLS_LIBMOAT_VIRTUAL_H

#include "gofer.pb-c.h"
#include "gofer/reply.h"
#include "moat/files.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define VNODES_MAX   262144u
#define VFILES_MAX   65536u
#define VPATH_BYTES  4096
#define VBUCKETS     4096u /* a power of two */
#define VLISTS_MAX   16	   /* listings that somebody is in the middle of */
#define VSERVER_DEV  1
#define VSERVER_ROOT 1 /* inode number */

/* Numbers for things: index and generation, so that a stale one finds nothing. */
struct ids {
	struct id_slot {
		void *p; /* NULL: free */
		uint32_t gen, next_free;
	} * slots;
	uint32_t cap, used, max, first_free; /* first_free: index + 1, 0: none */
};
uint64_t ids_add(struct ids *t, void *p); /* 0: no room */
void *ids_get(const struct ids *t, uint64_t id);
void ids_remove(struct ids *t, uint64_t id);
void ids_release(struct ids *t);

/* An open file. */
struct vfile {
	uint64_t id;
	struct vnode *node;
	struct vfile *next; /* of the node's */
	void *file;	    /* the host program's */
	int flags;
};

/* A name that the sentry knows, or that stands above one. It goes when nobody has told, opened or
 * stands below it. The root stays. */
struct vnode {
	uint64_t id, ino;
	struct vnode *parent; /* NULL: the root */
	struct vnode *next_name, *next_ino;
	char *name;
	uint32_t hash;
	uint32_t type;	   /* S_IFMT; cannot change */
	uint32_t told;	   /* how often it was told and not forgotten */
	uint32_t children; /* nodes with this as parent */
	bool gone;	   /* it has lost its name */
	bool doubted;	   /* in vserver.doubts */
	struct vnode *next_doubt;
	struct vfile *files;
	struct moat_file_attr last; /* when it was asked for last */
};

struct moat_dir {
	struct vdirent {
		char *name;
		uint32_t type;
	} * entries;
	size_t n, cap;
};

struct vlist {
	uint32_t gen; /* 0: free */
	uint64_t node, used;
	struct moat_dir dir;
};

struct vserver {
	struct moat_files files;
	bool readonly;
	int sock;
	pthread_t thread;
	bool running; /* the thread is to be joined */
	_Atomic bool ended;

	struct ids nodes, open;
	uint64_t seed;
	struct vnode *root, *names[VBUCKETS], *inos[VBUCKETS];
	struct vnode *doubts; /* that may be of no use any longer */
	struct vlist lists[VLISTS_MAX];
	uint32_t last_gen;
	uint64_t clock;
	struct wire_packet packet;
};

/* virtual.c. Begin to serve files; *ret_peer is the sentry's end. -errno. */
int vserver_start(
	const struct moat_files *files, bool readonly, struct vserver **ret, int *ret_peer);
/* End it: waits for a function of the host program that runs. NULL is fine. */
void vserver_stop(struct vserver *s);

/* vnode.c */
/* The node of a name in dir, made if need be; NULL: no room. */
struct vnode *vnode_child(struct vserver *s, struct vnode *dir, const char *name, uint32_t type);
struct vnode *vnode_find(struct vserver *s, const struct vnode *dir, const char *name);
struct vnode *vnode_root(struct vserver *s); /* NULL: out of memory */
/* Free it if nobody needs it, at the next vnodes_reap: a request may be looking at it. */
void vnode_drop(struct vserver *s, struct vnode *n);
void vnodes_reap(struct vserver *s);
/* It has no name any longer. */
void vnode_lose(struct vserver *s, struct vnode *n);
/* It has another name. -ENOMEM: it has none. */
int vnode_move(struct vserver *s, struct vnode *n, struct vnode *dir, const char *name);
bool vnode_is_below(const struct vnode *n, const struct vnode *top); /* or the same */
/* The inode number that a name has, if it is known, or would have. */
uint64_t vnode_ino(struct vserver *s, const struct vnode *dir, const char *name);
/* Its path; -ENOENT: it has none, -ENAMETOOLONG. */
int vnode_path(const struct vnode *n, char buf[VPATH_BYTES]);
int vnode_child_path(const struct vnode *dir, const char *name, char buf[VPATH_BYTES]);
void vnodes_release(struct vserver *s);

/* vlist.c: entries of a directory from a position on. */
int vlist_read(struct vserver *s, struct vnode *dir, int64_t cookie, Gofer__ReaddirRep *a,
	struct reply *r);
void vlists_release(struct vserver *s);

/* What a function returned, as an errno that can be passed on. */
static inline int
v_errno(int64_t r)
{
	return r <= 0 && r >= -4095 ? (int)r : -5 /* EIO */;
}

#define GOFER(NAME, name, Req, req, Rep, rep)                                                      \
	int v_##name(struct vserver *s, const Gofer__##Req *q, Gofer__##Rep *a, struct reply *r);
#define VIRTUAL GOFER
#include "gofer/proto/messages.def"
#undef VIRTUAL
#undef GOFER

#endif
