/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts seen from another process: a poll of /proc/PID/mounts tells of each change once (proc(5)),
 * and a process can go from one mount namespace to another while others read what it has. */
#include "guest.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static int
events(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN | POLLPRI};

	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}

static void
changes(void)
{
	static const char *const names[] = {
		"/proc/self/mounts", "/proc/self/mountinfo", "/proc/self/mountstats"};
	struct epoll_event ev = {.events = EPOLLPRI};
	int fd[3], ep = epoll_create1(0);

	for (int i = 0; i < 3; i++) {
		fd[i] = open(names[i], O_RDONLY);
		printf("%s %x\n", names[i], events(fd[i]));
	}
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &ev));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, fd[2], &ev));
	SHOW(epoll_wait(ep, &ev, 1, 0));
	SHOW(mkdir("/tmp/mw", 0700));
	SHOW(mount("none", "/tmp/mw", "tmpfs", 0, NULL));
	SHOW(events(fd[0]) | events(fd[1]) << 16);
	SHOW(events(fd[0]) | events(fd[1]) << 16);
	SHOW(umount("/tmp/mw"));
	SHOW(epoll_wait(ep, &ev, 1, 0));
	SHOW(ev.events);
	SHOW(epoll_wait(ep, &ev, 1, 0));
	SHOW(rmdir("/tmp/mw"));
	/* Who waits is woken. */
	if (!fork()) {
		usleep(20000);
		mount("none", "/tmp", "tmpfs", 0, NULL);
		_exit(0);
	}
	SHOW(epoll_wait(ep, &ev, 1, 10000));
	SHOW(ev.events);
	wait(NULL);
	umount("/tmp");
	for (int i = 0; i < 3; i++)
		close(fd[i]);
	close(ep);
}

static void
look(const char *dir, const char *name)
{
	char path[100], buf[4096];
	int fd;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	while (read(fd, buf, sizeof buf) > 0) {
	}
	(void)events(fd);
	close(fd);
}

/* Nobody else has the process's root and directory, however many look at them. */
static void
moves(void)
{
	int own = open("/proc/self/ns/mnt", O_RDONLY), other, bad = 0;
	char dir[40];
	pid_t lookers[3];

	snprintf(dir, sizeof dir, "/proc/%d", (int)getpid());
	for (int i = 0; i < 3; i++) {
		lookers[i] = fork();
		if (lookers[i] == 0)
			for (;;) {
				look(dir, "mounts");
				look(dir, "mountinfo");
				look(dir, "ns/mnt");
				look(dir, "cwd");
				look(dir, "status");
			}
	}
	for (int i = 0; i < 300; i++) {
		if (unshare(CLONE_NEWNS) != 0) {
			bad++;
			continue;
		}
		other = open("/proc/self/ns/mnt", O_RDONLY);
		bad += setns(own, CLONE_NEWNS) != 0;
		bad += setns(other, CLONE_NEWNS) != 0;
		close(other);
		bad += setns(own, CLONE_NEWNS) != 0;
	}
	SHOW(bad);
	for (int i = 0; i < 3; i++) {
		kill(lookers[i], SIGKILL);
		waitpid(lookers[i], NULL, 0);
	}
	close(own);
}

int
main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	SHOW(unshare(CLONE_NEWNS));
	SHOW(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	SHOW(mount("none", "/tmp", "tmpfs", 0, NULL));
	changes();
	moves();
	return 0;
}
