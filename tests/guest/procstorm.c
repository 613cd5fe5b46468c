/* SPDX-License-Identifier: Apache-2.0 */
/* Processes with threads, sockets and memory come and go, while others walk over all that /proc has
 * of them and ask about them by number: nobody minds. */
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define SECONDS 3
#define MAKERS	3
#define READERS 3

static long long end_ms;

static void *
thread(void *arg)
{
	usleep((useconds_t)(rand() % 300));
	if (rand() % 3 == 0)
		_exit(0);
	return arg;
}

static void
live_a_little(void)
{
	pthread_t t;
	int s[2];

	srand((unsigned)getpid());
	for (int i = rand() % 40; i; i--)
		socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	for (int i = rand() % 10; i; i--)
		mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = rand() % 5; i; i--)
		pthread_create(&t, NULL, thread, NULL);
	switch (rand() % 6) {
	case 0:
		unshare(CLONE_FS | CLONE_FILES);
		break;
	case 1:
		setsid();
		break;
	case 2:
		if (!fork())
			_exit(0);
		break;
	case 3:
		execl("/bin/true", "true", NULL);
		break;
	case 4:
		kill(getpid(), SIGKILL);
		break;
	}
	_exit(0);
}

static void
make(void)
{
	while (now_ms() < end_ms) {
		pid_t c = fork();

		if (!c)
			live_a_little();
		if (c % 2)
			waitpid(c, NULL, 0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
	while (wait(NULL) > 0)
		;
	_exit(0);
}

static void
walk(const char *dir, int depth)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	char path[600], buf[4096];

	while (d && (e = readdir(d))) {
		int fd;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (e->d_type == DT_DIR) {
			if (depth < 3)
				walk(path, depth + 1);
			continue;
		}
		if (e->d_type == DT_LNK)
			readlink(path, buf, sizeof buf);
		fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0 && e->d_type != DT_LNK)
			read(fd, buf, sizeof buf);
		if (fd >= 0)
			close(fd);
	}
	if (d)
		closedir(d);
}

/* What can be asked about another process without changing it. */
static void
ask(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct rlimit rl;
	char buf[64];
	struct iovec here = {buf, sizeof buf}, there = {buf, sizeof buf};

	if (fd >= 0) {
		int got = (int)syscall(SYS_pidfd_getfd, fd, 3, 0);

		if (got >= 0)
			close(got);
		syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0);
		close(fd);
	}
	prlimit(pid, RLIMIT_NOFILE, NULL, &rl);
	process_vm_readv(pid, &here, 1, &there, 1, 0);
	getpriority(PRIO_PROCESS, (id_t)pid);
	getsid(pid);
	getpgid(pid);
	syscall(SYS_kcmp, pid, getpid(), 2 /* KCMP_FILES */, 0, 0);
}

static void
look(void)
{
	while (now_ms() < end_ms) {
		DIR *d = opendir("/proc");
		struct dirent *e;
		char path[300];

		while ((e = readdir(d)) && now_ms() < end_ms) {
			pid_t pid = atoi(e->d_name);

			/* natively there are others, which are not to be touched */
			if (pid < 1 || getpgid(pid) != getpgrp())
				continue;
			snprintf(path, sizeof path, "/proc/%d", pid);
			walk(path, 0);
			ask(pid);
		}
		closedir(d);
	}
	_exit(0);
}

int
main(void)
{
	end_ms = now_ms() + SECONDS * 1000;
	for (int i = 0; i < MAKERS; i++)
		if (!fork())
			make();
	for (int i = 0; i < READERS; i++)
		if (!fork())
			look();
	while (wait(NULL) > 0)
		;
	puts("survived");
	return 0;
}
