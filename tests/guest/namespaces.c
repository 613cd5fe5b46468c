/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces inside: user, pid, mount, uts, ipc; setns and files of namespaces. */
#include "guest.h"
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>

static int
put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), r;

	if (fd < 0)
		return -1;
	r = (int)write(fd, text, strlen(text));
	int e = errno;
	close(fd);
	errno = e;
	return r < 0 ? -1 : 0;
}

static void
show(const char *path)
{
	char buf[400];
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, buf, sizeof buf);

	printf("%s: %.*s", path, n > 0 ? (int)n : 0, buf);
	if (n <= 0)
		printf("(nothing)\n");
	close(fd);
}

static void
caps(void)
{
	char line[200];
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "CapEff", 6) || !strncmp(line, "CapPrm", 6) ||
			!strncmp(line, "CapInh", 6) || !strncmp(line, "Uid", 3) ||
			!strncmp(line, "Gid", 3))
			printf("%s", line);
	fclose(f);
}

/* --- user --- */

static void
user_ids(void)
{
	struct stat st;
	int fd;

	SHOW(unshare(CLONE_NEWUSER));
	printf("ids %d %d %d %d\n", getuid(), geteuid(), getgid(), getegid());
	caps();
	show("/proc/self/uid_map");
	show("/proc/self/setgroups");
	SHOW(setuid(0));
	SHOW(setgroups(0, NULL));
	SHOW(put("/proc/self/uid_map", "0 0"));
	SHOW(put("/proc/self/uid_map", "0 0 0"));
	SHOW(put("/proc/self/uid_map", "5 7 1\n"));
	SHOW(put("/proc/self/uid_map", "5 0 1\n"));
	SHOW(put("/proc/self/uid_map", "5 0 1\n"));
	SHOW(put("/proc/self/gid_map", "6 0 1\n"));
	SHOW(put("/proc/self/setgroups", "deny"));
	SHOW(put("/proc/self/gid_map", "6 0 1\n"));
	SHOW(put("/proc/self/setgroups", "allow"));
	show("/proc/self/uid_map");
	show("/proc/self/gid_map");
	show("/proc/self/setgroups");
	printf("ids %d %d %d %d\n", getuid(), geteuid(), getgid(), getegid());
	caps();
	fd = open("mine", O_CREAT | O_RDWR, 0600);
	fstat(fd, &st);
	printf("file %d %d\n", st.st_uid, st.st_gid);
	SHOW(fchown(fd, 5, 6));
	SHOW(fchown(fd, 0, 6));
	SHOW(fchown(fd, -1, -1));
	SHOW(setuid(5));
	SHOW(setuid(0));
	SHOW(seteuid(0));
	SHOW(setresuid(5, -1, 5));
	SHOW(setgroups(0, NULL));
	SHOW(sethostname("x", 1));
	SHOW(mount("t", ".", "tmpfs", 0, NULL));
	SHOW(chroot("/"));
	SHOW(mknod("dev", S_IFCHR | 0600, 0x103));
	unlink("mine");
	TRUE(stat("/proc/1/status", &st) == 0 && (st.st_uid == 5 || st.st_uid == 65534));
	pid_t p = fork();
	if (!p) {
		SHOW(unshare(CLONE_NEWUSER));
		SHOW(put("/proc/self/uid_map", "77 5 1\n"));
		show("/proc/self/uid_map");
		printf("uid %d\n", getuid());
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, NULL, 0);
}

static void
user_root(void)
{
	struct stat st;

	SHOW(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC));
	put("/proc/self/setgroups", "deny");
	SHOW(put("/proc/self/uid_map", "0 0 1\n"));
	SHOW(put("/proc/self/gid_map", "0 0 1\n"));
	SHOW(sethostname("inside", 6));
	mkdir("m", 0755);
	SHOW(mount("t", "m", "tmpfs", 0, NULL));
	SHOW(mkdir("m/d", 0700));
	stat("m/d", &st);
	printf("owner %d %d\n", st.st_uid, st.st_gid);
	SHOW(mknod("m/dev", S_IFCHR | 0600, 0x103));
	SHOW(umount("m"));
	SHOW(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL));
	SHOW(mount("/proc", "m", NULL, MS_BIND, NULL) ? -1 : umount("m"));
	SHOW(umount("/proc"));
	SHOW(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN));
	SHOW(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
	rmdir("m");
	struct utsname u;
	uname(&u);
	printf("%s\n", u.nodename);
}

static void
unprivileged(void)
{
	struct utsname u;
	char name[100];

	uname(&u);
	setresgid(1234, 1234, 1234);
	setresuid(1234, 1234, 1234);
	SHOW(unshare(CLONE_NEWUTS));
	SHOW(unshare(CLONE_NEWUSER | CLONE_NEWUTS));
	SHOW(put("/proc/self/uid_map", "0 1234 1\n"));
	SHOW(put("/proc/self/gid_map", "0 1234 1\n"));
	SHOW(put("/proc/self/setgroups", "deny"));
	SHOW(put("/proc/self/gid_map", "0 1234 1\n"));
	printf("ids %d %d\n", getuid(), getgid());
	SHOW(sethostname("mine", 4));
	gethostname(name, sizeof name);
	printf("%s\n", name);
	SHOW(kill(1, 0));
	SHOW(access("/etc/shadow", R_OK));
	/* a namespace may be made by who is in one */
	SHOW(unshare(CLONE_NEWUSER));
	printf("ids %d %d\n", getuid(), getgid());
	execl("/proc/self/exe", "namespaces", "exec", NULL);
}

/* --- pid --- */

static pid_t
clone_flags(unsigned long flags)
{
	fflush(stdout);
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static void
handler(int s)
{
	(void)s;
}

static void
pid_ns(void)
{
	int st, p[2];
	pid_t c;
	char b;

	pipe(p);
	c = clone_flags(CLONE_NEWPID);
	TRUE(c > 1 || c == 0);
	if (!c) {
		printf("init %d parent %d group %d session %d tid %ld\n", getpid(), getppid(),
			getpgrp(), getsid(0), syscall(SYS_gettid));
		SHOW(kill(getpid(), SIGTERM));
		SHOW(kill(getpid(), SIGKILL));
		SHOW(kill(2, 0));
		pid_t k = fork();
		if (!k) {
			printf("child %d parent %d\n", getpid(), getppid());
			SHOW(kill(1, SIGKILL));
			SHOW(setsid());
			printf("session %d\n", getsid(0));
			/* an orphan goes to the namespace's first process */
			if (!fork()) {
				sleep_ms(200);
				printf("orphan %d parent %d\n", getpid(), getppid());
				fflush(stdout);
				_exit(4);
			}
			fflush(stdout);
			_exit(3);
		}
		printf("forked %d\n", k);
		for (int i = 0; i < 2; i++) {
			k = wait(&st);
			printf("waited %d %x\n", k, st);
		}
		SHOW(wait(&st));
		SHOW(syscall(SYS_clone, CLONE_NEWPID | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM, 0,
			0, 0, 0));
		k = clone_flags(CLONE_NEWPID);
		if (!k) {
			printf("deeper %d\n", getpid());
			fflush(stdout);
			_exit(0);
		}
		printf("deeper seen as %d\n", k);
		waitpid(k, &st, 0);
		/* its end takes all others with it */
		for (int i = 0; i < 3; i++)
			if (!fork()) {
				signal(SIGTERM, SIG_IGN);
				write(p[1], "x", 1);
				for (;;)
					pause();
			}
		for (int i = 0; i < 3; i++)
			read(p[0], &b, 1);
		fflush(stdout);
		_exit(9);
	}
	waitpid(c, &st, 0);
	printf("end %x\n", st);
	close(p[1]);
	SHOW(read(p[0], &b, 1));
	/* from outside the first process can be killed */
	c = clone_flags(CLONE_NEWPID);
	if (!c)
		for (;;)
			pause();
	sleep_ms(100);
	kill(c, SIGTERM);
	sleep_ms(50);
	SHOW(waitpid(c, &st, WNOHANG));
	kill(c, SIGKILL);
	waitpid(c, &st, 0);
	printf("killed %x\n", st);
}

static void
unshared_pid(void)
{
	pid_t a, b;
	int st;

	SHOW(unshare(CLONE_NEWPID));
	TRUE(getpid() > 1);
	a = clone_flags(0);
	if (!a) {
		printf("first %d\n", getpid());
		fflush(stdout);
		_exit(0);
	}
	waitpid(a, &st, 0);
	errno = 0;
	b = fork();
	printf("after its end: %s\n", b < 0 ? strerrorname_np(errno) : "forked");
	if (!b)
		_exit(0);
}

static int
count_proc(void)
{
	int n = 0;
	char path[40];

	for (int i = 1; i < 100; i++) {
		snprintf(path, sizeof path, "/proc/%d", i);
		n += access(path, F_OK) == 0;
	}
	return n;
}

static void
proc_view(void)
{
	pid_t c = clone_flags(CLONE_NEWPID | CLONE_NEWNS);
	int st;

	if (!c) {
		char buf[100];

		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
		SHOW(mount("proc", "/proc", "proc", 0, NULL));
		printf("%d processes\n", count_proc());
		buf[readlink("/proc/self", buf, sizeof buf - 1)] = 0;
		printf("self %s\n", buf);
		FILE *f = fopen("/proc/self/status", "r");
		while (fgets(buf, sizeof buf, f))
			if (!strncmp(buf, "Pid:", 4) || !strncmp(buf, "PPid:", 5) ||
				!strncmp(buf, "NSpid:", 6) || !strncmp(buf, "Tgid:", 5))
				printf("%s", buf);
		fclose(f);
		fflush(stdout);
		_exit(0);
	}
	waitpid(c, &st, 0);
}

/* Who sent a signal, and who is at the other end of a socket. */
static void
across(void)
{
	int sv[2], st, on = 1;
	sigset_t set;
	siginfo_t si;
	pid_t c;
	char b;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	setsockopt(sv[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
	setsockopt(sv[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
	c = clone_flags(CLONE_NEWPID);
	for (int side = 0; side < 2; side++) {
		struct iovec v = {&b, 1};
		char ctl[100];
		struct msghdr m = {.msg_iov = &v,
			.msg_iovlen = 1,
			.msg_control = ctl,
			.msg_controllen = sizeof ctl};
		struct ucred *u;

		if (side == (c != 0)) {
			write(sv[c != 0], "x", 1);
			continue;
		}
		if (recvmsg(sv[c != 0], &m, 0) == 1 && CMSG_FIRSTHDR(&m)) {
			u = (struct ucred *)CMSG_DATA(CMSG_FIRSTHDR(&m));
			printf("%s sees %s\n", c ? "outside" : "inside",
				c ? (u->pid == c ? "its child" : "another")
				  : (u->pid == 0 ? "0" : "a number"));
			fflush(stdout);
		}
	}
	if (!c) {
		sigwaitinfo(&set, &si);
		printf("signal from %d uid %d\n", si.si_pid, si.si_uid);
		fflush(stdout);
		_exit(0);
	}
	kill(c, SIGUSR1);
	waitpid(c, &st, 0);
}

/* --- setns --- */

static void
entering(void)
{
	char path[64], name[100], a[64], b[64];
	int p[2], q[2], st, fd, pidfd;
	struct stat s1, s2;
	pid_t c, d;
	char x;

	pipe(p);
	pipe(q);
	c = clone_flags(CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWCGROUP);
	if (!c) {
		sethostname("other", 5);
		write(p[1], "x", 1);
		read(q[0], &x, 1);
		_exit(0);
	}
	read(p[0], &x, 1);
	static const char *const kinds[] = {"mnt", "uts", "ipc", "pid", "user", "cgroup", "net"};
	for (unsigned i = 0; i < 7; i++) {
		snprintf(path, sizeof path, "/proc/%d/ns/%s", c, kinds[i]);
		memset(a, 0, sizeof a);
		memset(b, 0, sizeof b);
		readlink(path, a, sizeof a - 1);
		st = stat(path, &s1);
		snprintf(path, sizeof path, "/proc/self/ns/%s", kinds[i]);
		readlink(path, b, sizeof b - 1);
		st |= stat(path, &s2);
		printf("%s: %s, names agree with inodes: %d\n", kinds[i],
			strcmp(a, b) ? "another" : "the same",
			!st && (s1.st_ino == s2.st_ino) == !strcmp(a, b));
	}
	snprintf(path, sizeof path, "/proc/%d/ns/uts", c);
	fd = open(path, O_RDONLY);
	SHOW(ioctl(fd, NS_GET_NSTYPE));
	TRUE((st = ioctl(fd, NS_GET_USERNS)) >= 0);
	SHOW(ioctl(st, NS_GET_NSTYPE));
	SHOW(ioctl(fd, NS_GET_PARENT));
	SHOW(setns(fd, CLONE_NEWIPC));
	SHOW(setns(0, CLONE_NEWUTS));
	SHOW(setns(-1, CLONE_NEWUTS));
	SHOW(setns(fd, CLONE_NEWUTS));
	gethostname(name, sizeof name);
	printf("%s\n", name);
	snprintf(path, sizeof path, "/proc/%d/ns/pid", c);
	fd = open(path, O_RDONLY);
	SHOW(setns(fd, 0));
	TRUE(getpid() > 1);
	d = clone_flags(0);
	if (!d) {
		printf("in it as %d, parent %d\n", getpid(), getppid());
		fflush(stdout);
		_exit(0);
	}
	waitpid(d, &st, 0);
	pidfd = (int)syscall(SYS_pidfd_open, c, 0);
	SHOW(setns(pidfd, CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWCGROUP));
	SHOW(setns(pidfd, 0));
	SHOW(setns(pidfd, 0x1));
	snprintf(path, sizeof path, "/proc/self/ns/user");
	fd = open(path, O_RDONLY);
	SHOW(setns(fd, CLONE_NEWUSER));
	write(q[1], "x", 1);
	waitpid(c, &st, 0);
	printf("child %x\n", st);
}

static void
refused(void)
{
	SHOW(unshare(0x1));
	SHOW(unshare(CLONE_THREAD));
	SHOW(syscall(SYS_clone, CLONE_NEWNS | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
	SHOW(syscall(SYS_clone, CLONE_NEWUSER | CLONE_FS | SIGCHLD, 0, 0, 0, 0));
	SHOW(syscall(SYS_clone, CLONE_NEWIPC | CLONE_SYSVSEM | SIGCHLD, 0, 0, 0, 0));
	mkdir("root", 0755);
	SHOW(chroot("root"));
	SHOW(unshare(CLONE_NEWUSER));
}

int
main(int argc, char **argv)
{
	(void)argv;
	(void)handler;
	setvbuf(stdout, NULL, _IOFBF, 65536);
	if (argc > 1) {
		printf("after exec: ids %d %d\n", getuid(), getgid());
		caps();
		return 0;
	}
	/* what is mounted here stays here */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 1;
	in_child("user ids", user_ids);
	in_child("root of its own", user_root);
	in_child("unprivileged", unprivileged);
	in_child("pid", pid_ns);
	in_child("unshare pid", unshared_pid);
	in_child("proc", proc_view);
	in_child("across", across);
	in_child("setns", entering);
	in_child("refused", refused);
	return 0;
}
