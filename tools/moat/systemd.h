/* SPDX-License-Identifier: Apache-2.0 */
/* --systemd-cgroup: a container's cgroup as a scope of systemd's. */
#ifndef TOOLS_MOAT_SYSTEMD_H
#define TOOLS_MOAT_SYSTEMD_H

#include "oci.h"
#include <sys/types.h>

extern bool systemd_cgroup; /* the option was given */

/* What linux.cgroupsPath ("slice:prefix:name", or NULL) names: the unit, its slice, and where
 * systemd puts its group (for moat_cgroup_create). All are o's. 0, or complained. */
int systemd_name(struct oci *o, const char *id, const char **unit, const char **slice);
/* Have the scope made, with process pid in it and o's limits. 0, or -1 with err. */
int systemd_start(struct oci *o, const char *unit, const char *slice, const char *id, pid_t pid,
	char *err, size_t cap);
/* Other limits for it; what systemd has no property for is set in its group by the caller. */
int systemd_update(const struct moat_resources *r, const char *unit, char *err, size_t cap);
/* It has ended. */
int systemd_stop(const char *unit, char *err, size_t cap);

#endif
