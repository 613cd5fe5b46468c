/* SPDX-License-Identifier: Apache-2.0 */
/* The steps by which a process shuts itself in; see platform/host/confine.h. Runs single-threaded,
 * at start. */
#include "platform/host/confine.h"
#include "platform/host/err.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif

static int
fail(char *err, size_t cap, int r, const char *what)
{
	snprintf(err, cap, "%s: %s", what, strerror(-r));
	return r;
}

int
confine_empty_root(bool keep_cwd, char *err, size_t cap)
{
	static const char *const places[] = {"/tmp", "/proc", "/dev", "/usr", "/sys"};
	int r = HOST(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)), cwd = -1;
	size_t i;

	if (r < 0)
		return fail(err, cap, r, "cannot make the mounts private");
	if (keep_cwd && (cwd = HOST(open(".", O_PATH | O_DIRECTORY | O_CLOEXEC))) < 0)
		return fail(err, cap, cwd, "cannot hold the working directory");
	for (i = 0; i < sizeof places / sizeof places[0]; i++) {
		r = HOST(mount("none", places[i], "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			"size=4k,mode=0555"));
		if (r == 0)
			break;
	}
	if (r < 0)
		return fail(err, cap, r, "cannot mount an empty tmpfs");
	if ((r = HOST(chdir(places[i]))) < 0)
		return fail(err, cap, r, "cannot enter the empty root");
	if ((r = HOST((int)syscall(SYS_pivot_root, ".", "."))) < 0)
		return fail(err, cap, r, "cannot make an empty directory the root (pivot_root)");
	if ((r = HOST(umount2(".", MNT_DETACH))) < 0)
		return fail(err, cap, r, "cannot detach the old root");
	if ((r = HOST(mount(NULL, "/", NULL,
		     MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))) <
		0)
		return fail(err, cap, r, "cannot make the empty root read-only");
	r = keep_cwd ? HOST(fchdir(cwd)) : HOST(chdir("/"));
	if (cwd >= 0)
		close(cwd);
	return r < 0 ? fail(err, cap, r, "cannot change the working directory") : 0;
}

int
confine_cwd_to_fds(char *err, size_t cap)
{
	int fd = HOST((int)syscall(
		    SYS_open_tree, AT_FDCWD, "/proc/self/fd", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)),
	    r;

	/* Without the right to mount (mntns given up), the directory itself has to do. */
	if (fd == -EPERM)
		fd = HOST(open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC));
	if (fd < 0)
		return fail(err, cap, fd, "cannot hold /proc/self/fd (is /proc mounted?)");
	r = HOST(fchdir(fd));
	close(fd);
	return r < 0 ? fail(err, cap, r, "cannot enter /proc/self/fd") : 0;
}

int
confine_no_new_privs(char *err, size_t cap)
{
	int r = HOST(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));

	if (r < 0)
		return fail(err, cap, r, "cannot set no_new_privs");
	r = HOST(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
	return r < 0 ? fail(err, cap, r, "cannot set dumpable") : 0;
}

int
confine_caps(uint64_t keep, char *err, size_t cap)
{
	struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct d[2];
	int r = HOST((int)syscall(SYS_capget, &h, d));
	uint64_t have;

	if (r < 0)
		return fail(err, cap, r, "cannot read the capabilities");
	have = d[0].permitted | (uint64_t)d[1].permitted << 32;
	keep &= have;
	/* The bounding set can only be cut by who has the right to; others cannot gain from it,
	 * with no_new_privs. */
	for (int c = 0; c <= CAP_LAST_CAP; c++)
		if (!(keep >> c & 1) && (have >> CAP_SETPCAP & 1))
			(void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int i = 0; i < 2; i++) {
		d[i].effective = d[i].permitted = (uint32_t)(keep >> (32 * i));
		d[i].inheritable = 0;
	}
	r = HOST((int)syscall(SYS_capset, &h, d));
	return r < 0 ? fail(err, cap, r, "cannot drop the capabilities") : 0;
}
