/* SPDX-License-Identifier: Apache-2.0 */
/* What a process finds of itself below /proc: one that is not dumpable, one of another user, one in
 * a user namespace; and in a pid namespace that is not that of the mount (pid_namespaces(7)). */
#include "guest.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int
opens(const char *path, int flags)
{
	int fd = open(path, flags);

	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

static void
look(const char *who)
{
	static const char *const read_only[] = {"fd", "fdinfo", "fdinfo/3", "task", "maps",
		"environ", "mem", "ns/mnt", "status", "cwd", "../thread-self/fd"};
	static const char *const written[] = {
		"comm", "oom_score_adj", "uid_map", "setgroups", "fd/3"};
	char path[64], text[64];

	printf("%s, dumpable %d\n", who, prctl(PR_GET_DUMPABLE));
	for (size_t i = 0; i < sizeof read_only / sizeof read_only[0]; i++) {
		snprintf(path, sizeof path, "/proc/self/%s", read_only[i]);
		printf("%s: ", read_only[i]);
		SHOW(opens(path, O_RDONLY));
	}
	for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
		snprintf(path, sizeof path, "/proc/self/%s", written[i]);
		printf("%s: ", written[i]);
		SHOW(opens(path, O_WRONLY));
	}
	SHOW(access("/proc/self/fd", R_OK));
	SHOW(readlink("/proc/self/fd/3", text, sizeof text));
	SHOW(opens("/proc/self/fd/3", O_PATH));
}

/* The number that a link of /proc names, against another one. */
static bool
names(const char *link, int nr)
{
	char text[64] = "";

	return readlink(link, text, sizeof text - 1) > 0 && atoi(text) == nr;
}

static bool
listed(int nr)
{
	DIR *d = opendir("/proc");
	bool found = false;

	for (struct dirent *e; d && (e = readdir(d));)
		found |= atoi(e->d_name) == nr;
	closedir(d);
	return found;
}

static int
field(const char *path, const char *name)
{
	char line[256];
	FILE *f = fopen(path, "r");
	int v = -1;

	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, name, strlen(name)) == 0)
			v = atoi(line + strlen(name));
	if (f)
		fclose(f);
	return v;
}

/* In the new namespace: the mount shows it as its maker sees it. */
static int
inside(int from_parent, int outer_parent)
{
	struct stat own, first;
	int outer = 0;

	read(from_parent, &outer, sizeof outer);
	SHOW(getpid());
	TRUE(names("/proc/self", outer));
	TRUE(names("/proc/thread-self", outer));
	TRUE(listed(outer));
	TRUE(listed(outer_parent));
	TRUE(field("/proc/self/status", "Pid:") == outer);
	TRUE(field("/proc/self/status", "PPid:") == outer_parent);
	TRUE(field("/proc/self/status", "NSpid:") == outer);
	stat("/proc/1", &first);
	stat("/proc/self/", &own);
	TRUE(first.st_ino != own.st_ino);
	SHOW(unshare(CLONE_NEWNS));
	SHOW(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	SHOW(mount("proc", "/proc", "proc", 0, NULL));
	TRUE(names("/proc/self", 1));
	TRUE(!listed(outer) || outer < 3);
	SHOW(field("/proc/self/status", "PPid:"));
	SHOW(field("/proc/self/status", "NSpid:"));
	look("with a proc of its own");
	/* Of a namespace below, this mount knows the numbers too. */
	SHOW(unshare(CLONE_NEWPID));
	if (fork() == 0) {
		SHOW(getpid());
		TRUE(names("/proc/self", 2));
		_exit(0);
	}
	wait(NULL);
	return 0;
}

static void
in_namespaces(void)
{
	int p[2], parent = getpid();
	pid_t child;

	pipe(p);
	SHOW(unshare(CLONE_NEWPID));
	child = fork();
	if (child == 0)
		_exit(inside(p[0], parent));
	write(p[1], &child, sizeof child);
	waitpid(child, NULL, 0);
	/* Who looks from outside at a mount of inside: nothing of it is left, and none of ours is
	 * there. */
	TRUE(names("/proc/self", parent));
}

static void
set_score(const char *text)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY);

	printf("%s: ", text);
	SHOW(write(fd, text, strlen(text)) > 0);
	close(fd);
}

/* Up, and down again as far as where it was when a right was there. */
static void
scores(void)
{
	set_score("500");
	set_score("100");
	set_score("0");
	set_score("-1");
	if (fork() == 0) {
		set_score("700");
		set_score("0");
		set_score("-5");
		set_score("1001");
		_exit(0);
	}
	wait(NULL);
}

static void
other_user(void)
{
	SHOW(setgid(1000));
	SHOW(setuid(1000));
	look("another user");
	prctl(PR_SET_DUMPABLE, 1);
	scores();
	prctl(PR_SET_DUMPABLE, 0);
	SHOW(prctl(PR_SET_DUMPABLE, 1));
	look("made dumpable");
	SHOW(prctl(PR_SET_DUMPABLE, 0));
	SHOW(unshare(CLONE_NEWUSER));
	look("in a user namespace");
	SHOW(prctl(PR_SET_DUMPABLE, 0));
	look("not dumpable there");
}

extern char **environ;

/* What a program has made of its arguments, and of the environment behind them. */
static void
title(char **argv)
{
	static const char *const titles[] = {"short", "a title that is longer than the arguments",
		"a title that ends in the environment, which is as long as was asked for below"};
	char text[256], *end = argv[0];

	for (char **p = argv; *p; p++)
		end = *p + strlen(*p) + 1;
	for (char **p = environ; *p; p++)
		end = *p + strlen(*p) + 1;
	for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++) {
		int fd = open("/proc/self/cmdline", O_RDONLY);
		ssize_t n;

		memset(argv[0], 0, (size_t)(end - argv[0]));
		strcpy(argv[0], titles[i]);
		n = read(fd, text, sizeof text - 1);
		printf("%zd", n);
		for (ssize_t k = 0; k < n; k++)
			putchar(text[k] ? text[k] : '|');
		putchar('\n');
		close(fd);
	}
}

static void
sets(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t r = fd < 0 ? -1 : write(fd, text, strlen(text));

	printf("%s to %s: %zd %s\n", text, path, r, r < 0 ? strerrorname_np(errno) : "");
	if (fd >= 0)
		close(fd);
}

static void
tells(const char *path)
{
	char buf[64] = "";
	int fd = open(path, O_RDONLY);
	ssize_t r = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);

	printf("%s: %s\n", path, r < 0 ? strerrorname_np(errno) : strtok(buf, "\n"));
	if (fd >= 0)
		close(fd);
}

/* What can be set of a process by a file, and what cannot. */
static void
settings(void)
{
	static const char *const fixed[] = {"auxv", "cgroup", "cmdline", "environ", "io", "limits",
		"maps", "mountinfo", "mounts", "oom_score", "pagemap", "sessionid", "smaps", "stat",
		"statm", "status", "syscall", "timers", "wchan"};
	static const char *const filters[] = {
		"0x21\n", "7", "010", "x", "", "-1", "0x1ffff", "4294967296", "3 "};
	static const char *const slacks[] = {"123456\n", "1x", "-1", "77", "0"};
	char path[64];
	pid_t p;

	for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
		snprintf(path, sizeof path, "/proc/self/%s", fixed[i]);
		sets(path, "x");
	}
	sets("/proc/version", "x");
	for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
		sets("/proc/self/coredump_filter", filters[i]);
		tells("/proc/self/coredump_filter");
	}
	sets("/proc/self/coredump_filter", "0x13");
	for (size_t i = 0; i < sizeof slacks / sizeof slacks[0]; i++) {
		sets("/proc/self/timerslack_ns", slacks[i]);
		tells("/proc/self/timerslack_ns");
	}
	SHOW(prctl(PR_SET_TIMERSLACK, 4000));
	tells("/proc/self/timerslack_ns");
	p = fork();
	if (p == 0) {
		tells("/proc/self/coredump_filter");
		tells("/proc/self/timerslack_ns");
		SHOW(prctl(PR_SET_TIMERSLACK, 5000));
		SHOW(prctl(PR_SET_TIMERSLACK, 0));
		SHOW(prctl(PR_GET_TIMERSLACK));
		snprintf(path, sizeof path, "/proc/%d", getppid());
		SHOW(chdir(path));
		sets("timerslack_ns", "9000");
		SHOW(setuid(1000));
		sets("timerslack_ns", "8000");
		tells("timerslack_ns");
		_exit(0);
	}
	waitpid(p, NULL, 0);
	tells("/proc/self/timerslack_ns");
	p = fork();
	if (p == 0) {
		execl("/bin/cat", "cat", "/proc/self/coredump_filter", NULL);
		_exit(1);
	}
	waitpid(p, NULL, 0);
}

int
main(int argc, char **argv)
{
	if (argc > 1) {
		title(argv);
		return 0;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	close(3);
	SHOW(open("/dev/null", O_RDWR) == 3);
	if (fork() == 0) {
		other_user();
		return 0;
	}
	wait(NULL);
	if (fork() == 0) {
		setenv("LONG",
			"0123456789012345678901234567890123456789012345678901234567890123456789",
			1);
		execl("/proc/self/exe", "procself", "two", NULL);
		_exit(1);
	}
	wait(NULL);
	settings();
	in_namespaces();
	return 0;
}
