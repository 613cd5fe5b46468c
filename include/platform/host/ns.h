/* SPDX-License-Identifier: Apache-2.0 */
/* Starting one of moat's own programs in namespaces of its own. */
#ifndef PLATFORM_HOST_NS_H
#define PLATFORM_HOST_NS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NS_CONTROL_FD 3 /* where the program finds its control socket */

struct ns_idmap {
	uint32_t inside, outside, count;
};

/* set_mempolicy(2) */
struct ns_memory {
	int mode; /* MPOL_*, with its flags */
	unsigned long nodes[16];
};

struct keeper;

struct ns_spawn {
	struct keeper *keeper; /* whose child it becomes */
	const char *path;      /* the program */
	const char *name;      /* its argv[0] */
	unsigned namespaces;   /* CLONE_NEW* */
	/* With CLONE_NEWUSER: the maps, and who the program is inside. It keeps all capabilities in
	 * there. */
	const struct ns_idmap *uid_map, *gid_map;
	unsigned nuid, ngid;
	bool set_ids; /* become uid and gid (inside) before the program starts */
	uint32_t uid, gid;
	int control;	/* becomes NS_CONTROL_FD; the program has 0-2 beside it: /dev/null and our
			   stderr */
	bool no_stderr; /* /dev/null instead of that */
	/* Called by this process when the namespaces are there, before the program starts; may be
	 * NULL. -errno (with err filled in) ends it. */
	int (*place)(void *arg, pid_t pid, char *err, size_t cap);
	void *place_arg;
	bool die_with_parent; /* SIGKILL when the keeper ends */
	/* For /proc/PID/timens_offsets, of a time namespace of its own; NULL: the caller's. */
	const char *time_offsets;
	const struct ns_memory *memory; /* where its memory, and that of its children, is; NULL */
	bool ambient_caps;		/* keep capabilities over the exec although uid is not 0 */
};

/* Clone and exec. Safe in a threaded process. The keeper's index of the child, or -errno with the
 * failing step in err (what there is of the child is then the keeper's to end). *ret_report is for
 * ns_started. */
int ns_spawn(const struct ns_spawn *s, int *ret_report, char *err, size_t cap);
/* Wait until the program has been started; closes report. -errno, with the failing step in err. */
int ns_started(int report, const char *path, char *err, size_t cap);

#endif
