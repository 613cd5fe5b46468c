/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories of /proc/PID that were opened before the process ended, and was waited for.
 */
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *const names[] = {"stat", "status", "statm", "maps", "smaps", "smaps_rollup",
	"comm", "cmdline", "environ", "auxv", "limits", "io", "sched", "cgroup", "oom_score",
	"oom_score_adj", "wchan", "syscall", "personality", "uid_map", "gid_map", "setgroups",
	"schedstat", "loginuid", "sessionid", "timers", "timerslack_ns", "numa_maps", "net/tcp",
	"net/dev", "mem", "pagemap", "cpuset", "projid_map", "task"};
static const char *const dirs[] = {"task", "ns", "fdinfo", "attr"};
#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static int files[COUNT(names)], dirfds[COUNT(dirs)], top;

static void
text_of(const char *name, int fd)
{
	static char buf[100000];
	ssize_t n;

	errno = 0;
	n = pread(fd, buf, sizeof buf, 0);
	printf("%s: %s\n", name, n < 0 ? strerrorname_np(errno) : n ? "text" : "empty");
}

static void
entries_of(const char *name, int fd)
{
	DIR *d = fdopendir(dup(fd));
	int n = 0;

	errno = 0;
	if (!d) {
		printf("%s: %s\n", name, strerrorname_np(errno));
		return;
	}
	rewinddir(d);
	while (readdir(d))
		n++;
	printf("%s/: %s\n", name, n ? "entries" : "none");
	closedir(d);
}

static void
look(const char *when)
{
	char buf[100];
	struct stat st;
	int fd;

	printf("%s\n", when);
	for (int i = 0; i < COUNT(names); i++)
		text_of(names[i], files[i]);
	for (int i = 0; i < COUNT(dirs); i++)
		entries_of(dirs[i], dirfds[i]);
	entries_of(".", top);
	SHOW(readlinkat(top, "cwd", buf, sizeof buf));
	SHOW(readlinkat(top, "exe", buf, sizeof buf));
	SHOW(fstatat(top, "stat", &st, 0));
	SHOW(fstatat(top, "fd", &st, 0));
	SHOW(fstat(top, &st));
	errno = 0;
	fd = openat(top, "stat", O_RDONLY);
	printf("openat: %s\n", fd < 0 ? strerrorname_np(errno) : "opened");
	if (fd >= 0)
		close(fd);
	fd = openat(top, "oom_score_adj", O_WRONLY);
	if (fd >= 0)
		close(fd);
}

/* What can still be opened of one that has ended. */
static void
zombie(pid_t p)
{
	static const char *const more[] = {"mounts", "mountinfo", "mountstats", "coredump_filter",
		"timens_offsets", "ns/cgroup", "ns/ipc", "ns/mnt", "ns/net", "ns/pid",
		"ns/pid_for_children", "ns/time", "ns/time_for_children", "ns/user", "ns/uts"};
	char name[64], buf[100];

	for (int i = 0; i < COUNT(names) + COUNT(more); i++) {
		const char *n = i < COUNT(names) ? names[i] : more[i - COUNT(names)];
		int fd;

		if (!strncmp(n, "net/", 4))
			continue; /* it is in no network; here it still is */
		sprintf(name, "/proc/%d/%s", p, n);
		errno = 0;
		fd = open(name, O_RDONLY);
		if (fd < 0)
			printf("%s: not opened: %s\n", n, strerrorname_np(errno));
		else if (!strncmp(n, "ns/", 3))
			printf("%s: opened\n", n);
		else if (strcmp(n, "task"))
			text_of(n, fd);
		if (!strncmp(n, "ns/", 3))
			WORKS(readlink(name, buf, sizeof buf));
		close(fd);
	}
}

/* Its descriptors are looked at while it closes them, which takes a while. */
static void
closing(void)
{
	struct rlimit rl = {4000, 4000};
	char name[64];
	int p[2], s[2], st;
	pid_t c;

	setrlimit(RLIMIT_NOFILE, &rl);
	for (int i = 0; i < 40; i++) {
		pipe(p);
		c = fork();
		if (!c) {
			while (socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0)
				;
			write(p[1], "x", 1);
			_exit(0);
		}
		read(p[0], name, 1);
		sprintf(name, "/proc/%d/fd/3", c);
		while (waitpid(c, &st, WNOHANG) == 0)
			for (int k = 0; k < 20; k++)
				readlink(name, name + 32, sizeof name - 32);
		close(p[0]);
		close(p[1]);
	}
	printf("all closed\n");
}

int
main(void)
{
	char name[64];
	pid_t p = fork();
	int adj, st;

	if (!p) {
		pause();
		_exit(0);
	}
	for (int i = 0; i < COUNT(names); i++) {
		sprintf(name, "/proc/%d/%s", p, names[i]);
		files[i] = open(name, O_RDONLY);
		if (files[i] < 0)
			printf("%s: %m\n", names[i]);
	}
	for (int i = 0; i < COUNT(dirs); i++) {
		sprintf(name, "/proc/%d/%s", p, dirs[i]);
		dirfds[i] = open(name, O_RDONLY | O_DIRECTORY);
	}
	sprintf(name, "/proc/%d", p);
	top = open(name, O_RDONLY | O_DIRECTORY);
	sprintf(name, "/proc/%d/oom_score_adj", p);
	adj = open(name, O_WRONLY);
	look("alive");
	kill(p, SIGKILL);
	waitid(P_PID, (id_t)p, NULL, WEXITED | WNOWAIT);
	look("dead");
	zombie(p);
	waitpid(p, &st, 0);
	look("waited for");
	SHOW(write(adj, "5", 1));
	sprintf(name, "/proc/%d/stat", p);
	SHOW(open(name, O_RDONLY));
	fflush(stdout);
	closing();
	return 0;
}
