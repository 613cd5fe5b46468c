/* SPDX-License-Identifier: Apache-2.0 */
/* linux.seccomp.listenerPath: the agent that answers for SCMP_ACT_NOTIFY. */
#ifndef TOOLS_MOAT_AGENT_H
#define TOOLS_MOAT_AGENT_H

#include "container.h"
#include "moat/oci.h"

struct agent {
	const char *path, *metadata; /* the configuration's; NULL: there is no agent, or nothing */
	int mount, sock;	     /* -1: none */
	int listener;		     /* what moat_config.seccomp_listener is */
};

/* Look whether o wants one; before the sandbox is made, or asked for a process. 0, or complained.
 * In any case a is to be released. */
int agent_start(struct agent *a, const struct moat_oci *o, struct moat_config *c);
/* Connect to it; agent_send does, where that was not done. 0, or complained. */
int agent_connect(struct agent *a);
/* Send it its descriptor, for the process pid of c. 0, or complained. */
int agent_send(struct agent *a, struct container *c, enum container_status s, pid_t pid);
void agent_release(struct agent *a);

#endif
