/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of the host a mount of kind MOAT_MOUNT_HOST shows, as a descriptor for the gofer. Mostly the
 * path itself: then it is looked up among the host's mounts, as they are at any time (as a slave of
 * them would show it). For less than that it is a copy of the mounts, which belongs to that
 * descriptor alone.
 */
#include "internal.h"
#include "platform/host/err.h"
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static int
copy_mounts(const struct moat_mount *m)
{
	struct mount_attr a = {.propagation = MS_PRIVATE};
	unsigned deep = m->alone ? 0 : AT_RECURSIVE;
	int r, fd = HOST((int)syscall(SYS_open_tree, AT_FDCWD, m->source,
		       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | deep));

	if (fd < 0)
		return fd;
	r = HOST((int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | deep, &a, sizeof a));
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

/* Is something mounted below path? */
static bool
mounts_below(const char *path)
{
	char *real = realpath(path, NULL), *line = NULL, *at;
	FILE *f = real ? fopen("/proc/self/mountinfo", "re") : NULL;
	size_t cap = 0, len = real ? strlen(real) : 0;
	bool found = !f; /* not to be known */

	if (len == 1)
		len = 0; /* the root of all */
	while (f && !found && getline(&line, &cap, f) > 0) {
		char point[PATH_MAX + 1];

		/* A name with blanks in it has them as \ooo, and is no prefix then: there is
		 * something below it rather than not. */
		if (sscanf(line, "%*s %*s %*s %*s %4096s", point) != 1)
			continue;
		at = strpbrk(real, " \t\n\\");
		found = at ? strncmp(point, real, (size_t)(at - real)) == 0
			   : strncmp(point, real, len) == 0 && point[len] == '/' && point[len + 1];
	}
	if (f)
		fclose(f);
	free(line);
	free(real);
	return found;
}

int
source_open(const struct moat_mount *m, struct moat_error *err)
{
	int r = -EPERM, fd;

	if (m->alone || m->fixed)
		r = copy_mounts(m);
	if (r >= 0)
		return r;
	/* Who may not mount has the path itself. Nobody but root mounts something below it later.
	 */
	fd = HOST_RETRY(open(m->source, O_PATH | O_CLOEXEC));
	if (fd < 0)
		return error_set(err, fd, "cannot open %s (to mount it at %s): %s", m->source,
			m->target, strerror(-fd));
	if (m->alone && mounts_below(m->source)) {
		close(fd);
		return error_set(err, r,
			"cannot mount %s at %s without what is mounted below it: %s (\"rbind\" "
			"shows that, "
			"too)",
			m->source, m->target, strerror(-r));
	}
	return fd;
}
