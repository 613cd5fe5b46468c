/* SPDX-License-Identifier: Apache-2.0 */
/* linux.netDevices: network devices of the host's that a container gets for itself. */
#ifndef TOOLS_MOAT_NETDEV_H
#define TOOLS_MOAT_NETDEV_H

#include "moat/oci.h"
#include <sys/types.h>

/* Devices that were moved, in the order of that. */
struct netdev_moves;

/* Move the devices from this process's network namespace into that of pid, each with the name that
 * it is to have there and its addresses of global scope, and bring them up. 0, and *ret is the
 * caller's; or -errno, and all are where they were. */
int netdev_move(const struct moat_oci_value *devices, size_t n, pid_t pid,
	struct netdev_moves **ret, struct moat_error *err);
/* Back to where they were, as they were, also if the namespace has no process any more. */
void netdev_undo(struct netdev_moves *m); /* NULL is fine */
/* They stay where they are. */
void netdev_moves_free(struct netdev_moves *m); /* NULL is fine */

#endif
