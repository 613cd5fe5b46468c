/* SPDX-License-Identifier: Apache-2.0 */
/* Files of /proc that show what a process did: locks, System V IPC, timers, pages; and those that
 * refuse. */
#include "guest.h"
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>

static char line[4096];

static int
oom_score_at(const char *adj)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "w");
	int score = -1;

	if (!f || fputs(adj, f) < 0 || fclose(f))
		return -1;
	f = fopen("/proc/self/oom_score", "r");
	if (!f || fscanf(f, "%d", &score) != 1)
		score = -1;
	if (f)
		fclose(f);
	return score;
}

/* What memory this has counts for nearly nothing. */
static void
oom(void)
{
	/* where a few pages more or less do not come to another ten */
	SHOW(oom_score_at("0") / 10);
	SHOW(oom_score_at("450") / 10);
	SHOW(oom_score_at("1000") / 10);
}

/* Lines with `word` in them, without what varies: numbers of processes and inodes. */
static void
locks(void)
{
	int fd = open("locked", O_RDWR | O_CREAT, 0600), other = open("locked", O_RDWR);
	struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 5};
	struct stat st;
	char ino[32], seen[3][256] = {0};
	FILE *f;

	fstat(fd, &st);
	snprintf(ino, sizeof ino, ":%lu ", (unsigned long)st.st_ino);
	SHOW(flock(fd, LOCK_SH));
	SHOW(fcntl(fd, F_SETLK, &l));
	l = (struct flock){.l_type = F_RDLCK, .l_start = 100};
	SHOW(fcntl(other, F_OFD_SETLK, &l));
	f = fopen("/proc/locks", "r");
	while (f && fgets(line, sizeof line, f)) {
		char kind[16], how[16], type[16], where[64], from[32], to[32];
		int nr, pid;

		if (!strstr(line, ino) || sscanf(line, "%d: %15s %15s %15s %d %63s %31s %31s", &nr,
						  kind, how, type, &pid, where, from, to) != 8)
			continue;
		/* in which order they come is not said */
		snprintf(seen[kind[0] == 'F'	  ? 0
				 : kind[0] == 'P' ? 1
						  : 2],
			sizeof seen[0], "%s %s %s %s %s %s\n", kind, how, type,
			pid == getpid() ? "mine"
			: pid == -1	? "nobody's"
					: "another's",
			from, to);
	}
	fclose(f);
	for (int i = 0; i < 3; i++)
		printf("%s", seen[i]);
	unlink("locked");
}

static void
table(const char *path, int id)
{
	FILE *f = fopen(path, "r");
	long key, nr, v[4];
	unsigned mode;

	printf("%s:\n", path);
	if (f && fgets(line, sizeof line, f))
		printf("%s", line);
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "%ld %ld %o %ld", &key, &nr, &mode, v) == 4 && nr == id)
			printf("key %ld mode %o, then %ld\n", key, mode, v[0]);
	fclose(f);
}

static void
sysv(void)
{
	int shm, sem, msg;
	struct {
		long type;
		char text[10];
	} m = {1, "hello"};

	unshare(CLONE_NEWIPC);
	shm = shmget(1234, 8192, IPC_CREAT | 0640);
	sem = semget(77, 3, IPC_CREAT | 0600);
	msg = msgget(88, IPC_CREAT | 0622);
	msgsnd(msg, &m, 6, 0);
	table("/proc/sysvipc/shm", shm);
	table("/proc/sysvipc/sem", sem);
	table("/proc/sysvipc/msg", msg);
	shmctl(shm, IPC_RMID, NULL);
	semctl(sem, 0, IPC_RMID);
	msgctl(msg, IPC_RMID, NULL);
}

static void
pages(void)
{
	char *p = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t e[4] = {0};

	memset(p, 1, 4 * 4096);
	munmap(p + 8192, 4096);
	SHOW(pread(fd, e, sizeof e, (off_t)((uintptr_t)p / 4096 * 8)));
	for (int i = 0; i < 4; i++)
		printf("page %d: present %d file %d\n", i, (int)(e[i] >> 63),
			(int)(e[i] >> 61 & 1));
	SHOW(pread(fd, e, 7, 0));
	SHOW(pread(fd, e, 8, 3));
	close(fd);
}

static void
timers(void)
{
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	timer_t t;
	FILE *f;

	ev.sigev_value.sival_int = 0x77;
	timer_create(CLOCK_MONOTONIC, &ev, &t);
	f = fopen("/proc/self/timers", "r");
	while (f && fgets(line, sizeof line, f)) {
		char *pid = strstr(line, "pid.");

		if (pid)
			strcpy(pid, "pid.\n");
		printf("%s", line);
	}
	fclose(f);
	timer_delete(t);
}

static void
refusals(void)
{
	static const char *const paths[] = {
		"/proc/self/attr/current", "/proc/self/attr/exec", "/proc/self/attr/prev"};
	unsigned char magic[2] = {0};
	int fd;

	for (int i = 0; i < 3; i++) {
		fd = open(paths[i], O_RDONLY);
		/* A host with AppArmor or SELinux has something to say there. */
		printf("%s ", paths[i]);
		TRUE(fd >= 0 && (read(fd, line, 10) >= 0 || errno == EINVAL));
		close(fd);
	}
	fd = open("/proc/self/attr/exec", O_WRONLY);
	TRUE(fd >= 0 && write(fd, "x", 1) < 0);
	close(fd);
	fd = open("/proc/config.gz", O_RDONLY);
	if (fd >= 0)
		read(fd, magic, 2);
	printf("config.gz: %s\n", fd < 0 || (magic[0] == 0x1f && magic[1] == 0x8b) ? "gzip" : "?");
	close(fd);
	fd = open("/proc/sys/kernel/ostype", O_WRONLY);
	TRUE(fd < 0 || write(fd, "x", 1) < 0);
}

/* What was opened before an exec is of the memory before it. */
static const char *const of_memory[] = {"mem", "environ", "maps", "pagemap"};
static char mark[16] = "mark";

static int
after_exec(char **fds)
{
	char buf[16];

	for (int i = 0; i < 4; i++) {
		int fd = atoi(fds[i]);
		off_t at = i == 0 ? (off_t)(uintptr_t)mark : 0;

		printf("%s: ", of_memory[i]);
		SHOW(pread(fd, buf, sizeof buf, at));
	}
	SHOW(pwrite(atoi(fds[0]), "none", 4, (off_t)(uintptr_t)mark));
	SHOW(strcmp(mark, "mark"));
	return 0;
}

static void
exec_with_files(void)
{
	char text[4][16], buf[4], *args[7] = {"procfs", "after"};
	int fd;

	for (int i = 0; i < 4; i++) {
		char path[32];

		snprintf(path, sizeof path, "/proc/self/%s", of_memory[i]);
		fd = open(path, i == 0 ? O_RDWR : O_RDONLY);
		TRUE(fd >= 0);
		snprintf(text[i], sizeof text[i], "%d", fd);
		args[2 + i] = text[i];
		if (i == 0)
			SHOW(pread(fd, buf, 4, (off_t)(uintptr_t)mark));
	}
	fflush(stdout);
	execv("/proc/self/exe", args);
	SHOW(-1);
}

/* What somebody without rights has opened does not map more when root writes to it. */
static void
map_by_another(void)
{
	int ready[2], fd;
	char path[64], byte = 0;
	pid_t p;

	SHOW(pipe(ready));
	p = fork();
	if (p == 0) {
		if (setresgid(2000, 2000, 2000) || setresuid(2000, 2000, 2000) ||
			prctl(PR_SET_DUMPABLE, 1) || unshare(CLONE_NEWUSER))
			byte = (char)errno;
		write(ready[1], &byte, 1);
		pause();
		_exit(0);
	}
	read(ready[0], &byte, 1);
	printf("there: %s\n", byte ? strerrorname_np(byte) : "yes");
	snprintf(path, sizeof path, "/proc/%d/uid_map", p);
	SHOW(seteuid(2000));
	TRUE((fd = open(path, O_WRONLY)) >= 0);
	SHOW(seteuid(0));
	SHOW(write(fd, "0 0 1", 5));
	close(fd);
	TRUE((fd = open(path, O_WRONLY)) >= 0);
	SHOW(write(fd, "0 0 1", 5));
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
}

/* What another process reads, who had opened it before the exec: of the old memory there is only
 * what the kernel kept of it. */
static const char *const of_child[] = {
	"auxv", "cmdline", "environ", "maps", "smaps", "mem", "pagemap", "comm"};
#define OF_CHILD 8

static void
show_of_child(const int *fds, const char *when, const char *was, ssize_t nwas)
{
	static char buf[1 << 16];

	printf("%s:\n", when);
	for (int i = 0; i < OF_CHILD; i++) {
		off_t at = i == 5   ? (off_t)(uintptr_t)mark
			   : i == 6 ? (off_t)((uintptr_t)mark / 4096 * 8)
				    : 0;
		ssize_t n = pread(fds[i], buf, i == 6 ? 8 : sizeof buf, at);

		printf("  %s: %s\n", of_child[i],
			n < 0	 ? strerrorname_np(errno)
			: n == 0 ? "nothing"
				 : "something");
		if (i == 0)
			printf("  the old one: %s\n",
				n == nwas && memcmp(buf, was, (size_t)n) == 0 ? "yes" : "no");
		if (i == 1 && n > 0)
			printf("  %zd %s\n", n, buf);
	}
}

static void
exec_seen_by_another(void)
{
	char path[64], was[2048], word[16], byte;
	int go[2], ready[2], fds[OF_CHILD];
	ssize_t n;
	pid_t p;

	SHOW(pipe2(go, O_CLOEXEC) | pipe(ready));
	p = fork();
	if (p == 0) {
		snprintf(word, sizeof word, "%d", ready[1]);
		read(go[0], &byte, 1);
		execl("/proc/self/exe", "second", word, NULL);
		_exit(1);
	}
	close(ready[1]);
	for (int i = 0; i < OF_CHILD; i++) {
		snprintf(path, sizeof path, "/proc/%d/%s", p, of_child[i]);
		TRUE((fds[i] = open(path, O_RDONLY)) >= 0);
	}
	n = pread(fds[0], was, sizeof was, 0);
	show_of_child(fds, "before", was, n);
	write(go[1], "x", 1);
	SHOW(read(ready[0], &byte, 1));
	show_of_child(fds, "after", was, n);
	SHOW(pread(fds[0], word, 16, n));
	SHOW(pread(fds[0], word, 16, 16));
	kill(p, SIGKILL);
	waitid(P_PID, (id_t)p, NULL, WEXITED | WNOWAIT);
	show_of_child(fds, "ended", was, n);
	waitpid(p, NULL, 0);
	SHOW(pread(fds[0], word, 16, 0));
	for (int i = 0; i < OF_CHILD; i++)
		close(fds[i]);
}

/* A program that its user may execute and not read. */
static void
unreadable(void)
{
	char dir[] = "/tmp/procfs.XXXXXX", path[64], buf[65536], c;
	int in, out, ready[2];
	ssize_t n;
	pid_t p;

	printf("--- a program that cannot be read\n");
	if (!mkdtemp(dir) || chmod(dir, 0755) || pipe(ready))
		return;
	snprintf(path, sizeof path, "%s/x", dir);
	in = open("/proc/self/exe", O_RDONLY);
	out = open(path, O_WRONLY | O_CREAT, 0700);
	while ((n = read(in, buf, sizeof buf)) > 0)
		write(out, buf, (size_t)n);
	close(in);
	close(out);
	chmod(path, 0711);
	p = fork();
	if (p == 0) {
		snprintf(buf, sizeof buf, "%d", ready[1]);
		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
			setresuid(65534, 65534, 65534))
			_exit(1);
		execl(path, "x", buf, NULL);
		_exit(1);
	}
	read(ready[0], &c, 1);
	fflush(stdout);
	in = fork();
	if (in == 0) {
		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
			setresuid(65534, 65534, 65534))
			_exit(1);
		snprintf(buf, sizeof buf, "/proc/%d/mem", p);
		SHOW(open(buf, O_RDONLY));
		snprintf(buf, sizeof buf, "/proc/%d/maps", p);
		SHOW(open(buf, O_RDONLY));
		SHOW(ptrace(PTRACE_ATTACH, p, 0, 0));
		fflush(stdout);
		_exit(0);
	}
	waitpid(in, NULL, 0);
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
	unlink(path);
	rmdir(dir);
}

/* What can be opened for writing, and what can be waited for. */
static void
openings(void)
{
	static const char *const names[] = {"sys/kernel/random/boot_id", "sys/kernel/ostype",
		"sys/fs/file-nr", "sys/kernel/hostname", "sys/kernel/pty/nr", "sys", "self/status",
		"self/maps", "self/comm", "self/cmdline", "self/environ", "self/mem", "self/cgroup",
		"self/fdinfo/0", "self/mounts", "self/task", "meminfo", "stat", "net/dev",
		"net/unix", "loadavg", "self/net/tcp"};
	int ep = epoll_create1(0);

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct epoll_event ev = {.events = EPOLLIN};
		char path[100];
		int fd;

		snprintf(path, sizeof path, "/proc/%s", names[i]);
		printf("%s:\n", names[i]);
		SHOW(access(path, W_OK));
		SHOW(fd = open(path, O_WRONLY) < 0 ? -1 : 0);
		fd = open(path, O_RDONLY);
		SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
		close(fd);
	}
	close(ep);
}

static void *
look_at_links(void *arg)
{
	struct stat st;

	(void)arg;
	if (stat("/proc/self/task", &st) == 0)
		printf("links of task: %d\n", (int)st.st_nlink);
	return NULL;
}

/* Of /proc/PID/task they are two more than there are threads. */
static void
links(void)
{
	struct stat st;
	pthread_t th;

	look_at_links(NULL);
	pthread_create(&th, NULL, look_at_links, NULL);
	pthread_join(th, NULL);
	if (stat("/proc/sys/kernel", &st) == 0)
		printf("links of sysctl: %d\n", (int)st.st_nlink);
}

int
main(int argc, char **argv)
{
	if (argc > 5)
		return after_exec(argv + 2);
	if (argc > 1) {
		write(atoi(argv[1]), "x", 1);
		pause();
	}
	in_child("links", links);
	in_child("a map that another opened", map_by_another);
	in_child("files of the memory before", exec_with_files);
	in_child("another's files of the memory before", exec_seen_by_another);
	unreadable();
	in_child("oom", oom);
	locks();
	sysv();
	pages();
	timers();
	refusals();
	openings();
	return 0;
}
