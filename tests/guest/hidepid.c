/* SPDX-License-Identifier: Apache-2.0 */
/* Options of mounts of /proc: who sees whose processes. In a PID namespace of its own. */
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char path[64];

static const char *
of(int pid, const char *name)
{
	snprintf(path, sizeof path, "p/%d/%s", pid, name);
	return path;
}

static void
listing(void)
{
	DIR *d = opendir("p");
	struct dirent *e;
	int pids = 0, others = 0;

	while (d && (e = readdir(d)))
		if (e->d_name[0] >= '0' && e->d_name[0] <= '9')
			pids++;
		else
			others++;
	printf("%d processes, %s\n", pids,
		others > 10  ? "much else"
		: others > 4 ? "some"
			     : "little");
	if (d)
		closedir(d);
}

static void
look(int other)
{
	struct stat st;
	int fd;

	listing();
	SHOW(stat(of(1, ""), &st));
	SHOW(access(of(1, "status"), R_OK));
	SHOW(fd = open(of(1, "cmdline"), O_RDONLY) < 0 ? -1 : 0);
	SHOW(access(of(other, "stat"), R_OK));
	SHOW(access(of(getpid(), "stat"), R_OK));
	SHOW(access("p/self/stat", R_OK));
	SHOW(chdir(of(1, "")) ? -1 : chdir("../.."));
	SHOW(access("p/meminfo", R_OK));
}

static void
as(const char *who, unsigned uid, unsigned gid, int other)
{
	pid_t p;

	printf("-- %s\n", who);
	fflush(stdout);
	p = fork();
	if (!p) {
		setgroups(1, (gid_t[]){gid});
		setgid(uid);
		setuid(uid);
		look(other);
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, NULL, 0);
}

static void
options(void)
{
	char line[1000], *at;
	FILE *f = fopen("/proc/self/mounts", "r");

	while (f && fgets(line, sizeof line, f))
		if (strstr(line, "/p proc ") && (at = strstr(line, "proc rw,")))
			printf("shown: %s", at + 8);
	if (f)
		fclose(f);
}

int
main(void)
{
	static const char *const tries[] = {"hidepid=0", "hidepid=1", "hidepid=2", "hidepid=4",
		"hidepid=invisible,gid=55", "hidepid=noaccess,gid=55", "hidepid=ptraceable,gid=55",
		"subset=pid", "subset=pid,hidepid=2", NULL};
	int other;

	setvbuf(stdout, NULL, _IOFBF, 65536);
	mkdir("p", 0755);
	if (unshare(CLONE_NEWNS | CLONE_NEWPID) ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 1;
	if (fork()) {
		int st;

		wait(&st);
		rmdir("p");
		return WEXITSTATUS(st);
	}
	other = fork();
	if (!other)
		for (;;)
			pause();
	mount("proc", "/proc", "proc", 0, NULL);
	for (int i = 0; tries[i]; i++) {
		printf("--- %s\n", tries[i]);
		SHOW(mount("proc", "p", "proc", 0, tries[i]));
		options();
		/* what root has looked up, Linux's cache of names shows to others, as far as that
		 */
		if (!strstr(tries[i], "4") && !strstr(tries[i], "ptraceable"))
			as("root", 0, 0, other);
		as("somebody", 1000, 1000, other);
		as("in the group", 1000, 55, other);
		SHOW(mount("proc", "p", "proc", MS_REMOUNT, "hidepid=0,gid=0"));
		as("somebody, later", 1000, 1000, other);
		SHOW(umount("p"));
	}
	SHOW(mount("proc", "p", "proc", 0, "hidepid=3"));
	SHOW(mount("proc", "p", "proc", 0, "hidepid=none"));
	SHOW(mount("proc", "p", "proc", 0, "hidepid"));
	SHOW(mount("proc", "p", "proc", 0, "gid=x"));
	SHOW(mount("proc", "p", "proc", 0, "subset=all"));
	SHOW(mount("proc", "p", "proc", 0, "nothing"));
	fflush(stdout);
	return 0;
}
