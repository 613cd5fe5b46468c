/* SPDX-License-Identifier: Apache-2.0 */
/* Whose files without a name are, and who may change that: sockets and pipes belong to who made
 * them, the others (anon_inodes) are all alike and stay so. */
#include "guest.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

static void
change(const char *name, int fd)
{
	struct stat st;

	fstat(fd, &st);
	printf("%s: mode %o, owner %d %d\n", name, st.st_mode, (int)st.st_uid, (int)st.st_gid);
	SHOW(fchmod(fd, 0700));
	SHOW(fchown(fd, getuid(), getgid()));
	SHOW(fchown(fd, 0, -1));
	SHOW(futimens(fd, NULL));
	fstat(fd, &st);
	printf("%s: mode %o, owner %d %d\n", name, st.st_mode, (int)st.st_uid, (int)st.st_gid);
	SHOW(fchmod(fd, 0600));
	close(fd);
}

static void
all(const char *who)
{
	struct sockaddr sa = {.sa_family = AF_UNIX}; /* a name of the kernel's choice */
	int p[2], pair[2], l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_storage at;
	socklen_t len = sizeof at;
	sigset_t none;

	puts(who);
	sigemptyset(&none);
	pipe(p);
	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	bind(l, &sa, sizeof sa.sa_family);
	listen(l, 1);
	getsockname(l, (struct sockaddr *)&at, &len);
	connect(c, (struct sockaddr *)&at, len);
	change("accepted", accept(l, NULL, NULL));
	change("connected", c);
	change("pair", pair[0]);
	change("inet", socket(AF_INET, SOCK_STREAM, 0));
	change("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
	change("pipe", p[0]);
	change("eventfd", eventfd(0, 0));
	change("epoll", epoll_create1(0));
	change("timerfd", timerfd_create(CLOCK_MONOTONIC, 0));
	change("signalfd", signalfd(-1, &none, 0));
	change("inotify", inotify_init());
	change("pidfd", (int)syscall(SYS_pidfd_open, getpid(), 0));
	change("memfd", memfd_create("m", 0));
	close(l);
	close(p[1]);
	close(pair[1]);
}

int
main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	all("root");
	SHOW(setgid(1000));
	SHOW(setuid(1000));
	all("a user");
	SHOW(unshare(CLONE_NEWUSER));
	all("in a user namespace");
	return 0;
}
