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
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int
write_map(int pid, const char *name, const struct moat_idmap *map, size_t n)
{
	char path[64], text[100 * 36];
	size_t len = 0;
	ssize_t r;
	int fd;

	for (size_t i = 0; i < n && i < 100; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%u %u %u\n", map[i].inside,
			map[i].outside, map[i].count);
	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	fd = HOST(open(path, O_WRONLY | O_CLOEXEC));
	if (fd < 0)
		return fd;
	r = HOST(write(fd, text, len));
	close(fd);
	return r == (ssize_t)len ? 0 : r < 0 ? (int)r : -EINVAL;
}

/* A descriptor of a user namespace with the maps of m. The process that it begins with is a child
 * that sends no signal when it ends, and gets none: it has the program's handlers. */
static int
map_ns(const struct moat_mount *m)
{
	int r, pid, parent = getpid();
	sigset_t all, old;
	char path[64];

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = HOST((int)syscall(SYS_clone, CLONE_NEWUSER, 0, 0, 0, 0));
	if (pid == 0) {
		syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		while (syscall(SYS_getppid) == parent)
			syscall(SYS_pause);
		syscall(SYS_exit_group, 0);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (pid < 0)
		return pid;
	r = write_map(pid, "uid_map", m->uid_map, m->nuid_map);
	if (r == 0)
		r = write_map(pid, "gid_map", m->gid_map, m->ngid_map);
	snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
	if (r == 0)
		r = HOST(open(path, O_RDONLY | O_CLOEXEC));
	(void)kill(pid, SIGKILL);
	(void)HOST_RETRY(waitpid(pid, NULL, __WALL));
	return r;
}

static int
map_ids(const struct moat_mount *m, int tree)
{
	int r, ns = map_ns(m);
	struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)ns};

	if (ns < 0)
		return ns;
	r = HOST((int)syscall(SYS_mount_setattr, tree, "",
		AT_EMPTY_PATH | (m->idmap_deep ? AT_RECURSIVE : 0), &a, sizeof a));
	close(ns);
	return r;
}

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
	if (r == 0 && m->nuid_map)
		r = map_ids(m, fd);
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

	if (m->alone || m->fixed || m->nuid_map)
		r = copy_mounts(m);
	if (r >= 0)
		return r;
	if (m->nuid_map)
		return error_set(err, r, "cannot mount %s at %s with other owners (idmap): %s%s",
			m->source, m->target, strerror(-r),
			r == -EINVAL ? " (mappings that overlap, or a file system without it)"
				     : "");
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
