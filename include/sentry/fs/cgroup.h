/* SPDX-License-Identifier: Apache-2.0 */
/* cgroup2: the sandbox's limits, and what it has used, as files of one group without groups below
 * it. Limits are changed from outside only. */
#ifndef SENTRY_FS_CGROUP_H
#define SENTRY_FS_CGROUP_H

int cgroupfs_init(void); /* registers the type. -errno */

#endif
