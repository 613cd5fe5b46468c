/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gofer's own: exports, nodes, handlers.
 *
 * A node stands for one file that the sentry has walked to; it holds an O_PATH descriptor and never
 * a path. The working directory of the process is a detached mount of its own /proc/self/fd, so
 * that the relative path "N" names exactly what descriptor N stands for: that is how O_PATH
 * descriptors are opened, chmod'ed and so on.
 *
 * Locks: nodes.lock (the table) and node.lock (the directory stream) are leaves; neither is held in
 * a request of another node.
 */
#ifndef GOFER_SERVER_INTERNAL_H
#define GOFER_SERVER_INTERNAL_H

#include "base/lock.h"
#include "base/ref.h"
#include "gofer.pb-c.h"
#include "gofer/reply.h"
#include "gofer/wire.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct export_root {
	int fd; /* O_PATH */
	bool readonly;
	bool idmapped; /* its mount shows other owners: owner.c */
	bool acls;     /* attributes tell of POSIX ACLs */
};

struct node {
	struct ref ref;
	int fd;	       /* O_PATH */
	uint32_t type; /* S_IFMT part; cannot change */
	uint64_t dev;
	bool readonly, idmapped, acls; /* of its export */
	bool opaque; /* root of the host's proc, sysfs ...: shown, never entered */
	struct mutex lock;
	int dirfd; /* an open directory stream, or -1 */
};

/* node.c */
void nodes_init(uint32_t max);
uint32_t nodes_max(void);
struct node *node_get(uint64_t id); /* a reference, or NULL: no such node */
void node_put(struct node *n);
/* Take fd in as a new node below parent, or (NULL) as the root of an export, and describe it. On
 * failure fd is closed. */
int node_add(struct reply *r, int fd, const struct node *parent, const struct export_root *root,
	Gofer__Node **ret);
void node_forget(uint64_t id);
int node_attr(int fd, bool acls, Gofer__Attr *a);
/* Open what the node stands for. Regular files and directories only. */
int node_reopen(const struct node *n, int flags);
/* A child of a directory as an O_PATH descriptor, nothing followed. */
int node_child(const struct node *dir, const ProtobufCBinaryData *name);

/* owner.c */
/* Before threads are made and capabilities go. */
int owner_init(void);
/* From here to owner_end a new name in dir is made by that user, so that the host asks whether the
 * mount has an owner for it. -EOVERFLOW: the host knows no such user (nothing is to be ended). */
int owner_begin(const struct node *dir, uint32_t uid, uint32_t gid);
void owner_end(const struct node *dir);

struct fdpath {
	char s[16];
};
struct fdpath fd_path(int fd); /* the relative path that names it */

/* One openat2(2) of a single name below dirfd, that stays below it and follows nothing. */
int open_beneath(int dirfd, const char *name, int flags, uint32_t mode);

extern struct export_root *exports;
extern uint32_t nexports;
extern int memory_dir; /* of a tmpfs of its own, with no name in it; -1: there is none */

#define GOFER(NAME, name, Req, req, Rep, rep)                                                      \
	int op_##name(const Gofer__##Req *q, Gofer__##Rep *a, struct reply *r);
#include "gofer/proto/messages.def"
#undef GOFER

void serve(int sock); /* one thread's loop; never returns */

static inline void
node_put_cleanup(struct node **n)
{
	node_put(*n);
}
#define NODE_AUTO __attribute__((cleanup(node_put_cleanup))) struct node *

#endif
