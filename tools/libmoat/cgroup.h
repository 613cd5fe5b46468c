/* SPDX-License-Identifier: Apache-2.0 */
/* Among the cgroup_*.c files. */
#ifndef TOOLS_LIBMOAT_CGROUP_H
#define TOOLS_LIBMOAT_CGROUP_H

#include "internal.h"
#include "moat/cgroup.h"

#define CGROUP_HIERARCHIES 24
#define CGROUP_NAME_MAX	   128

/* One mounted hierarchy. */
struct hierarchy {
	char controllers[CGROUP_NAME_MAX]; /* by commas, or "name=..."; "" for version 2 */
	char *top;			   /* where it is mounted */
	char *dir;			   /* where the group is: below top */
	bool there;			   /* the group exists */
};

struct moat_cgroup {
	bool v2;
	size_t n;
	struct hierarchy h[CGROUP_HIERARCHIES];
};

/* The hierarchy with that controller in which the group exists, or NULL. */
const struct hierarchy *cgroup_hierarchy(const struct moat_cgroup *g, const char *controller);

/* DIR/FILE: all of it as a string (at most cap - 1 bytes; the last newline is cut), or -errno. */
int cgroup_read(const char *dir, const char *file, char *buf, size_t cap);
int cgroup_read_u64(const char *dir, const char *file, uint64_t *ret); /* "max" is UINT64_MAX */
/* One write(2). -errno. */
int cgroup_write(const char *dir, const char *file, const char *value);

int cgroup_set_v1(struct moat_cgroup *g, const struct moat_resources *r, struct moat_error *err);
int cgroup_set_v2(struct moat_cgroup *g, const struct moat_resources *r, struct moat_error *err);

#endif
