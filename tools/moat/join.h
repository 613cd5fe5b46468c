/* SPDX-License-Identifier: Apache-2.0 */
/* Containers that are in one sandbox: whose, and what is different about them. */
#ifndef TOOLS_MOAT_JOIN_H
#define TOOLS_MOAT_JOIN_H

#include "container.h"
#include "moat/oci.h"

/* Which sandbox the configuration belongs into: that of the containers whose pid, ipc or uts
 * namespaces it names, or of the pod that its annotations name. 1, with *ret filled in (its
 * connection is the caller's); 0: one of its own; else complained (-1). *ret_network: what that
 * sandbox has, as a configuration names it; a constant. */
int join_find(const struct moat_oci *o, const struct container *self, struct moat_join *ret,
	const char **ret_network);
/* Both know from now on that they have company. */
int join_note(struct container *self);

/* Does another container live in its sandbox, which then may not be killed? */
bool join_has_company(const struct container *c);
/* It is gone, and its sandbox is not: what is left in its cgroup goes to that of another one. */
void join_leave_cgroup(const struct container *c);
/* In its cgroup, which is not that of the sandbox, and with its oom_score_adj(5), unless that is
 * NULL. inside: a moat_*_host_pid. */
void join_place(const struct container *c, int inside, const int *oom_score_adj);

/* The processes below a sandbox's kernel, which all guest processes are. */
struct host_child {
	int host, inside; /* the same process, by the host's number and in the sentry's namespace */
};
pid_t join_host_pid(const struct container *c, int inside);	  /* 0: it is gone */
struct host_child *sandbox_children(pid_t sentry, size_t *ret_n); /* free() */

#endif
