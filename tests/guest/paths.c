/* SPDX-License-Identifier: Apache-2.0 */
/* Ways through a tree: symlinks of others in a sticky directory, and what was moved out of a bind
 * mount. */
#include "guest.h"
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* Not at the end of a path: there the host's settings decide. */
static void
sticky(void)
{
	SHOW(setresgid(2, 2, 2));
	SHOW(setresuid(2, 2, 2));
	SHOW(access("s/l/f", F_OK));
	SHOW(access("s/l/.", F_OK));
	SHOW(access("s/l/l2/f", F_OK));
}

static void
moved_out(void)
{
	char buf[4096];
	int top = open(".", O_PATH | O_DIRECTORY), fd;

	SHOW(unshare(CLONE_NEWNS));
	SHOW(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mkdir("t", 0755);
	mkdir("t/sub", 0755);
	mkdir("t/sub/in", 0755);
	mkdir("t/sub/in/deep", 0755);
	mkdir("b", 0755);
	SHOW(mount("t/sub", "b", NULL, MS_BIND, NULL));
	SHOW(chdir("b/in/deep"));
	SHOW(access("../../in", F_OK));
	SHOW(renameat(top, "t/sub/in", top, "t/in"));
	TRUE((fd = open("..", O_PATH)) < 0 && errno == ENOENT);
	close(fd);
	TRUE((fd = open("../../sub", O_PATH)) < 0 && errno == ENOENT);
	close(fd);
	TRUE((fd = open(".", O_PATH)) >= 0);
	close(fd);
	TRUE(getcwd(buf, sizeof buf) && strncmp(buf, "(unreachable)", 13) == 0);
	SHOW(renameat(top, "t/in", top, "t/sub/in"));
	SHOW(access("../../in", F_OK));
}

int
main(void)
{
	umask(022);
	mkdir("d", 0755);
	close(open("d/f", O_CREAT | O_WRONLY, 0644));
	mkdir("s", 01777);
	chmod("s", 01777);
	WORKS(symlink("../d", "s/l"));
	WORKS(symlink("../d", "d/l2"));
	SHOW(lchown("s/l", 1, 1));
	in_child("links of others on the way", sticky);
	in_child("moved out of a bind mount", moved_out);
	return 0;
}
