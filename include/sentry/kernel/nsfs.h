/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces as files: /proc/PID/ns, setns(2). */
#ifndef SENTRY_KERNEL_NSFS_H
#define SENTRY_KERNEL_NSFS_H

#include "sentry/kernel/task.h"
#include "sentry/vfs/file.h"

enum ns_kind {
	NS_CGROUP,
	NS_IPC,
	NS_MNT,
	NS_NET,
	NS_PID,
	NS_PID_CHILDREN,
	NS_TIME,
	NS_TIME_CHILDREN,
	NS_USER,
	NS_UTS,
	NS_KINDS
};

/* A namespace of some kind. ns is a reference, NULL for the first of kinds that have no object for
 * it. */
struct ns_ref {
	enum ns_kind kind;
	void *ns;
	uint64_t id;
};

/* t's: -ESRCH when it has none any more. */
int ns_of_task(struct task *t, enum ns_kind kind, struct ns_ref *ret);
void ns_ref_put(struct ns_ref *r);
const char *ns_name(enum ns_kind kind);		  /* "pid" for both kinds */
uint64_t ns_flag(enum ns_kind kind);		  /* LX_CLONE_NEW* */
struct user_ns *ns_owner(const struct ns_ref *r); /* borrowed */

/* For net_ns_of_fd, net_ns_of_pid. */
struct net_ns *nsfs_net_of_fd(const struct call *c, int fd);
struct net_ns *nsfs_net_of_pid(const struct call *c, int32_t pid);

int nsfs_init(void);
/* A place that opens as this namespace; consumes *r in every case. New references in *ret. */
int nsfs_path(struct ns_ref *r, struct path *ret);
const struct ns_ref *nsfs_ref(const struct file *f); /* borrowed; NULL: another kind of file */

#endif
