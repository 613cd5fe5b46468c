/* SPDX-License-Identifier: Apache-2.0 */
/* Network namespaces inside: lo as it is at first, names and ports of their own, setns, who may. */
#include "guest.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

static void
cat(const char *path)
{
	char line[400];
	FILE *f = fopen(path, "r");

	printf("%s:\n", path);
	while (f && fgets(line, sizeof line, f))
		printf("  %s", line);
	if (f)
		fclose(f);
}

static int
count(const char *path)
{
	char line[400];
	FILE *f = fopen(path, "r");
	int n = 0;

	while (f && fgets(line, sizeof line, f))
		n++;
	if (f)
		fclose(f);
	return n;
}

static int
lo_flags(void)
{
	struct ifreq r = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM, 0), e;

	e = ioctl(s, SIOCGIFFLAGS, &r);
	close(s);
	return e < 0 ? -1 : (unsigned short)r.ifr_flags;
}

static int
set_lo(int up)
{
	struct ifreq r = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM, 0), e;

	ioctl(s, SIOCGIFFLAGS, &r);
	r.ifr_flags = (short)(up ? r.ifr_flags | IFF_UP : r.ifr_flags & ~IFF_UP);
	e = ioctl(s, SIOCSIFFLAGS, &r);
	close(s);
	return e;
}

static struct sockaddr_in
at(int port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int
listener(int port)
{
	struct sockaddr_in a = at(port);
	int s = socket(AF_INET, SOCK_STREAM, 0), on = 1;

	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(s, (struct sockaddr *)&a, sizeof a) < 0 || listen(s, 5) < 0) {
		close(s);
		return -1;
	}
	return s;
}

static int
reach(int port)
{
	struct sockaddr_in a = at(port);
	int s = socket(AF_INET, SOCK_STREAM, 0), r = connect(s, (struct sockaddr *)&a, sizeof a);
	int e = errno;

	close(s);
	errno = e;
	return r;
}

static int
abstract(int fd, int do_bind)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "\0netns-test"};
	socklen_t n = offsetof(struct sockaddr_un, sun_path) + 11;

	return do_bind ? bind(fd, (struct sockaddr *)&a, n) : connect(fd, (struct sockaddr *)&a, n);
}

static ino_t
ns_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : st.st_ino;
}

/* --- */

static void
fresh(void)
{
	ino_t was = ns_of("/proc/self/ns/net");
	struct sockaddr_in a = at(0);
	int u = socket(AF_INET, SOCK_DGRAM, 0);

	SHOW(unshare(CLONE_NEWNET));
	TRUE(ns_of("/proc/self/ns/net") != was && ns_of("/proc/self/ns/net"));
	printf("flags %x\n", lo_flags());
	cat("/proc/net/dev");
	cat("/proc/net/if_inet6");
	SHOW(bind(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr *)&a, sizeof a));
	SHOW(reach(80));
	SHOW(sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void *)&a, sizeof a));
	a.sin_port = htons(9);
	SHOW(sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void *)&a, sizeof a));
	a.sin_addr.s_addr = INADDR_ANY;
	SHOW(bind(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr *)&a, sizeof a));
	SHOW(set_lo(1));
	printf("flags %x\n", lo_flags());
	cat("/proc/net/if_inet6");
	WORKS(listener(80));
	SHOW(reach(80));
	SHOW(reach(81));
	SHOW(set_lo(0));
	printf("flags %x\n", lo_flags());
	cat("/proc/net/if_inet6");
	SHOW(set_lo(1));
	SHOW(reach(81));
	close(u);
}

static void
apart(void)
{
	int was = open("/proc/self/ns/net", O_RDONLY), other, l, s, t, st;

	unshare(CLONE_NEWNET);
	set_lo(1);
	other = open("/proc/self/ns/net", O_RDONLY);
	l = listener(7001);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(abstract(s, 1));
	SHOW(listen(s, 5));
	SHOW(reach(7001));
	SHOW(abstract(socket(AF_UNIX, SOCK_STREAM, 0), 0));
	printf("%d lines of tcp, %d of unix\n", count("/proc/net/tcp") > 2,
		count("/proc/net/unix"));

	/* a second one has none of that */
	SHOW(unshare(CLONE_NEWNET));
	set_lo(1);
	printf("%d lines of tcp, %d of unix\n", count("/proc/net/tcp"), count("/proc/net/unix"));
	SHOW(reach(7001));
	t = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(abstract(t, 0));
	SHOW(abstract(t, 1));
	WORKS(listener(7001));
	SHOW(reach(7001));

	/* what was open before stays where it was */
	SHOW(abstract(t, 0));
	SHOW(setns(other, 0));
	TRUE(ns_of("/proc/self/ns/net") != 0);
	SHOW(reach(7001));
	st = accept(l, NULL, NULL);
	TRUE(st >= 0);
	SHOW(setns(was, CLONE_NEWUTS));
	SHOW(setns(other, CLONE_NEWNET));
	SHOW(ioctl(other, NS_GET_NSTYPE) == CLONE_NEWNET);
	SHOW(setns(was, CLONE_NEWNET));
	SHOW(abstract(socket(AF_UNIX, SOCK_STREAM, 0), 0));
}

/* A path is of the file system, whatever the network. */
static void
by_path(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "sock"};
	int s = socket(AF_UNIX, SOCK_STREAM, 0), c;

	SHOW(bind(s, (struct sockaddr *)&a, sizeof a));
	SHOW(listen(s, 5));
	SHOW(unshare(CLONE_NEWNET));
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(connect(c, (struct sockaddr *)&a, sizeof a));
	SHOW(write(c, "hello", 5));
	unlink("sock");
}

static int
cloned(void *arg)
{
	(void)arg;
	printf("flags %x\n", lo_flags());
	SHOW(set_lo(1));
	printf("flags %x\n", lo_flags());
	fflush(stdout);
	_exit(7);
}

static char stack[65536];

static void
by_clone(void)
{
	int st;
	pid_t p = clone(cloned, stack + sizeof stack, CLONE_NEWNET | SIGCHLD, NULL);

	TRUE(p > 0);
	waitpid(p, &st, 0);
	printf("status %x\n", st);
	TRUE(lo_flags() & IFF_UP);
}

/* setns by a pidfd, and what is left of a namespace whose processes are gone */
static void
of_others(void)
{
	int go[2], ready[2], st, fd;
	char c;
	pid_t p;

	if (pipe(go) || pipe(ready))
		return;
	p = fork();
	if (!p) {
		unshare(CLONE_NEWNET);
		set_lo(1);
		listener(7002);
		c = 'x';
		write(ready[1], &c, 1);
		read(go[0], &c, 1);
		_exit(0);
	}
	read(ready[0], &c, 1);
	SHOW(reach(7002));
	fd = (int)syscall(SYS_pidfd_open, p, 0);
	SHOW(setns(fd, CLONE_NEWNET));
	SHOW(reach(7002));
	write(go[1], "x", 1);
	waitpid(p, &st, 0);
	SHOW(setns(fd, CLONE_NEWNET));
	SHOW(reach(7002));
	printf("flags %x\n", lo_flags());
}

static void
kept(void)
{
	int fd = open("name", O_CREAT | O_RDONLY, 0600), was = open("/proc/self/ns/net", O_RDONLY);

	close(fd);
	SHOW(unshare(CLONE_NEWNS));
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	SHOW(unshare(CLONE_NEWNET));
	SHOW(mount("/proc/self/ns/net", "name", NULL, MS_BIND, NULL));
	SHOW(set_lo(1));
	SHOW(setns(was, 0));
	fd = open("name", O_RDONLY);
	SHOW(setns(fd, CLONE_NEWNET));
	printf("flags %x\n", lo_flags());
	SHOW(umount("name"));
	close(fd);
	SHOW(umount("name"));
	SHOW(unlink("name"));
}

static void
rights(void)
{
	SHOW(setresgid(1000, 1000, 1000));
	SHOW(setresuid(1000, 1000, 1000));
	SHOW(unshare(CLONE_NEWNET));
	SHOW(set_lo(0));
	SHOW(listener(99));
	SHOW(unshare(CLONE_NEWUSER | CLONE_NEWNET));
	SHOW(set_lo(1));
	WORKS(listener(99));
	SHOW(reach(99));
	SHOW(setns(open("/proc/1/ns/net", O_RDONLY), CLONE_NEWNET));
	SHOW(unshare(CLONE_NEWUSER));
	SHOW(set_lo(0));
	SHOW(listener(98));
	SHOW(unshare(CLONE_NEWNET));
	SHOW(set_lo(1));
}

int
main(void)
{
	in_child("fresh", fresh);
	in_child("apart", apart);
	in_child("by path", by_path);
	in_child("by clone", by_clone);
	in_child("of others", of_others);
	in_child("kept", kept);
	in_child("rights", rights);
	return 0;
}
