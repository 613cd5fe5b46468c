/* SPDX-License-Identifier: Apache-2.0 */
/* renameat2(2) with RENAME_WHITEOUT on a tmpfs: what unions and overlays leave behind. */
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

static int
move(const char *from, const char *to, unsigned flags)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static int
make(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0640);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static void
look(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		printf("%s: %s\n", path, strerrorname_np(errno));
	else
		printf("%s: mode %o, links %d, device %u:%u\n", path, st.st_mode, (int)st.st_nlink,
			major(st.st_rdev), minor(st.st_rdev));
}

static void
count(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	while (d && readdir(d))
		n++;
	printf("%s: %d entries\n", path, n);
	if (d)
		closedir(d);
}

static void
tell(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("%s: %s\n", file, strerrorname_np(errno));
	close(fd);
}

/* Root of a user namespace: ids without a name there could not make files. */
static void
be_root(unsigned uid, unsigned gid)
{
	char text[32];

	snprintf(text, sizeof text, "0 %u 1", uid);
	tell("/proc/self/uid_map", text);
	tell("/proc/self/setgroups", "deny");
	snprintf(text, sizeof text, "0 %u 1", gid);
	tell("/proc/self/gid_map", text);
}

int
main(void)
{
	unsigned uid = geteuid(), gid = getegid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS)) {
		printf("no user namespace: %s\n", strerrorname_np(errno));
		return 77;
	}
	be_root(uid, gid);
	if (mount("t", "/mnt", "tmpfs", 0, "nr_inodes=9") || chdir("/mnt")) {
		printf("no tmpfs of our own: %s\n", strerrorname_np(errno));
		return 77;
	}
	SHOW(make("a"));
	SHOW(mkdir("d", 0755));
	SHOW(mkdir("e", 0755));
	SHOW(move("none", "b", RENAME_WHITEOUT));
	SHOW(move("a", "b", RENAME_WHITEOUT));
	look("a");
	look("b");
	SHOW(move("b", "d/b", RENAME_WHITEOUT | RENAME_NOREPLACE));
	look("b");
	SHOW(move("b", "d/b", RENAME_WHITEOUT | RENAME_NOREPLACE));
	SHOW(move("b", "d/b", RENAME_WHITEOUT | RENAME_EXCHANGE));
	SHOW(open("b", O_RDONLY));
	/* onto what is there; a whiteout is moved as any file is */
	SHOW(move("b", "d/b", RENAME_WHITEOUT));
	look("d/b");
	SHOW(move("d", "e/d", RENAME_WHITEOUT));
	look("d");
	look("e");
	look("e/d");
	count(".");
	count("e/d");
	SHOW(rmdir("d"));
	SHOW(unlink("d"));
	SHOW(mkdir("d", 0755));
	/* no inode left for one: nothing is moved */
	SHOW(make("f"));
	SHOW(make("g"));
	SHOW(move("f", "e/f", RENAME_WHITEOUT));
	look("f");
	look("e/f");
	return 0;
}
