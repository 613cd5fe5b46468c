/* SPDX-License-Identifier: Apache-2.0 */
/* --systemd-cgroup: a container's cgroup as a scope of systemd's. */
#ifndef TOOLS_MOAT_SYSTEMD_H
#define TOOLS_MOAT_SYSTEMD_H

#include "moat/oci.h"
#include <stdbool.h>
#include <sys/types.h>

extern bool systemd_cgroup; /* the option was given */

/* What linux.cgroupsPath names: the unit, its slice, and where systemd puts its group (for
 * moat_cgroup_create). */
struct systemd_names {
	char *unit, *slice, *group; /* NULL: there is none */
};
/* path: "slice:prefix:name", or NULL. 0, or complained; to be freed in any case. */
int systemd_name(const char *path, const char *id, struct systemd_names *ret);
void systemd_names_free(struct systemd_names *n);
/* Have the scope made, with process pid in it and o's limits. 0, or -1 with err. */
int systemd_start(const struct moat_oci *o, const struct systemd_names *names, const char *id,
	pid_t pid, char *err, size_t cap);
/* Other limits for it; what systemd has no property for is set in its group by the caller. */
int systemd_update(const struct moat_resources *r, const char *unit, char *err, size_t cap);
/* It has ended. */
int systemd_stop(const char *unit, char *err, size_t cap);

#endif
