/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FUSE: this program is the server of a tree (in memory, and with names that make it lie) and the
 * one who uses it. What is answered wrongly, late or never has to come out as Linux has it.
 */
#include "fuse_server.h"
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static pid_t server;
static int dev;

static int
mount_with(const char *type, const char *fmt, int fd)
{
	char o[256];

	snprintf(o, sizeof o, fmt, fd);
	return mount("source", "mnt", type, MS_NOSUID, o);
}

/* A server in a child of its own; the parent keeps no descriptor. */
static void
start(const char *type, const char *more)
{
	char o[256];

	dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(o, sizeof o, "fd=%d,rootmode=40000,user_id=0,group_id=0%s", dev, more);
	SHOW(mount("source", "mnt", type, MS_NOSUID, o));
	fflush(stdout);
	server = fork();
	if (!server)
		serve(dev);
	close(dev);
}

static void
stop(void)
{
	int st;

	SHOW(umount2("mnt", 0));
	waitpid(server, &st, 0);
	printf("server ends: %d\n", WIFEXITED(st) ? WEXITSTATUS(st) : 1000 + WTERMSIG(st));
}

static void
device(void)
{
	struct pollfd p;
	char buf[16384];
	int fd = open("/dev/fuse", O_RDWR), null = open("/dev/null", O_RDWR);
	struct stat st;

	printf("device\n");
	SHOW(fstat(fd, &st));
	printf("%x %u %u\n", st.st_mode & S_IFMT, major(st.st_rdev), minor(st.st_rdev));
	SHOW(read(fd, buf, sizeof buf));
	SHOW(write(fd, buf, 16));
	p = (struct pollfd){fd, POLLIN | POLLOUT, 0};
	SHOW(poll(&p, 1, 0));
	printf("%x\n", p.revents);
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(mount_with("fuse", "fd=%d", fd));
	SHOW(mount_with("fuse", "fd=%d,rootmode=40000,user_id=0", fd));
	SHOW(mount_with("fuse", "fd=%d,rootmode=40000,user_id=0,group_id=0,what", fd));
	SHOW(mount_with("fuse", "fd=%d,rootmode=40000,user_id=x,group_id=0", fd));
	SHOW(mount_with("fuse", "fd=%d,rootmode=0,user_id=0,group_id=0", fd));
	SHOW(mount_with("fuse", "fd=%d,rootmode=40000,user_id=0,group_id=0", null));
	SHOW(mount_with("fuse", "fd=%d,rootmode=40000,user_id=0,group_id=0", 1000));
	SHOW(mount_with("fuse.", "fd=%d,rootmode=40000,user_id=0,group_id=0", fd));
	SHOW(mount_with("tmpfs.x", "size=4096", fd));
	SHOW(mount_with("fuse", "fd=%d,rootmode=40000,user_id=0,group_id=0", fd));
	SHOW(read(fd, buf, 4096));
	SHOW(read(fd, buf, sizeof buf) > 40);
	printf("init: %u\n", ((struct fuse_in_header *)buf)->opcode);
	SHOW(fcntl(fd, F_SETFL, O_NONBLOCK));
	SHOW(read(fd, buf, sizeof buf));
	p.revents = 0;
	SHOW(poll(&p, 1, 0));
	printf("%x\n", p.revents);
	SHOW(umount2("mnt", 0));
	SHOW(read(fd, buf, sizeof buf));
	p.revents = 0;
	SHOW(poll(&p, 1, 0));
	printf("%x\n", p.revents);
	close(fd);
	close(null);
}

static void
show_mount(void)
{
	char line[1024], *p, *dash;
	FILE *f = fopen("/proc/self/mountinfo", "r");

	while (fgets(line, sizeof line, f)) {
		p = strstr(line, "/mnt ");
		dash = strstr(line, " - ");
		if (p && dash && strstr(dash, "fuse"))
			printf("%s", dash);
	}
	fclose(f);
}

static void
show_stat(const char *path)
{
	struct stat st;

	if (lstat(path, &st)) {
		printf("%s: %s\n", path, strerrorname_np(errno));
		return;
	}
	printf("%s: %o %u:%u n%lu size %ld ino %d mtime %ld\n", path, st.st_mode, st.st_uid,
		st.st_gid, (long)st.st_nlink, (long)st.st_size, st.st_ino > 1000,
		(long)st.st_mtime);
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void
list(const char *path)
{
	struct dirent **v;
	int n;

	errno = 0;
	n = scandir(path, &v, NULL, by_name);
	printf("%s:", path);
	for (int i = 0; i < n; i++)
		printf(" %s/%d", v[i]->d_name, v[i]->d_type);
	if (errno)
		printf(" %s", strerrorname_np(errno));
	printf("\n");
}

static void
names(void)
{
	struct stat st;
	char buf[300];
	ssize_t n;

	printf("names\n");
	show_stat("mnt");
	show_stat("mnt/none");
	SHOW(mkdir("mnt/d", 0755));
	SHOW(mkdir("mnt/d", 0755));
	SHOW(mknod("mnt/fifo", S_IFIFO | 0644, 0));
	SHOW(mknod("mnt/null", S_IFCHR | 0644, makedev(1, 3)));
	SHOW(symlink("d/target", "mnt/link"));
	n = readlink("mnt/link", buf, sizeof buf);
	printf("%.*s\n", (int)n, buf);
	SHOW(readlink("mnt/link", buf, 3));
	SHOW(close(open("mnt/d/target", O_CREAT | O_WRONLY | O_EXCL, 0640)));
	SHOW(open("mnt/d/target", O_CREAT | O_WRONLY | O_EXCL, 0640));
	show_stat("mnt/d/target");
	SHOW(stat("mnt/link", &st));
	SHOW(link("mnt/d/target", "mnt/hard"));
	show_stat("mnt/hard");
	SHOW(rename("mnt/hard", "mnt/d/moved"));
	show_stat("mnt/hard");
	show_stat("mnt/d/moved");
	SHOW(renameat2(AT_FDCWD, "mnt/d/moved", AT_FDCWD, "mnt/fifo", RENAME_EXCHANGE));
	show_stat("mnt/fifo");
	SHOW(renameat2(AT_FDCWD, "mnt/fifo", AT_FDCWD, "mnt/null", RENAME_NOREPLACE));
	list("mnt");
	list("mnt/d");
	SHOW(rmdir("mnt/d"));
	SHOW(unlink("mnt/d/moved"));
	SHOW(unlink("mnt/fifo"));
	SHOW(unlink("mnt/null"));
	SHOW(unlink("mnt/link"));
	SHOW(unlink("mnt/d/target"));
	SHOW(rmdir("mnt/d"));
	memset(buf, 'x', 256);
	strcpy(buf, "mnt/");
	memset(buf + 4, 'x', 255);
	buf[4 + 255] = 0;
	SHOW(mkdir(buf, 0755));
	SHOW(rmdir(buf));
	list("mnt");
}

static void
data(void)
{
	static char big[300000], got[300000];
	struct iovec v[2] = {{big, 10}, {big + 10, 100000}};
	struct stat st;
	char *p;
	int fd = open("mnt/f", O_CREAT | O_RDWR, 0600);

	printf("data\n");
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)(i * 7 + i / 1000);
	SHOW(write(fd, big, sizeof big));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(pread(fd, got, sizeof got, 0));
	TRUE(!memcmp(big, got, sizeof big));
	SHOW(pread(fd, got, 100, sizeof big - 40));
	SHOW(pread(fd, got, 100, sizeof big));
	SHOW(pread(fd, got, 100, 1L << 40));
	SHOW(ftruncate(fd, 5000));
	SHOW(fstat(fd, &st));
	SHOW(st.st_size);
	SHOW(pwritev(fd, v, 2, 6000));
	SHOW(pread(fd, got, 2000, 4500));
	TRUE(got[499] == big[4999] && got[500] == 0 && got[1500] == big[0]);
	SHOW(fcntl(fd, F_SETFL, O_APPEND));
	SHOW(write(fd, "end", 3));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(fsync(fd));
	SHOW(fdatasync(fd));
	SHOW(fallocate(fd, 0, 0, 200000));
	SHOW(lseek(fd, 100, SEEK_HOLE));
	SHOW(fchmod(fd, 0644));
	SHOW(fchown(fd, 12, 13));
	SHOW(futimens(fd, (struct timespec[2]){{77, 5}, {88, 6}}));
	show_stat("mnt/f");
	p = mmap(NULL, 106013, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	TRUE(p != MAP_FAILED);
	TRUE(!memcmp(p + 6000, big, 100010) && !memcmp(p + 106010, "end", 3));
	p[0] = 'x';
	SHOW(munmap(p, 106013));
	SHOW(close(fd));
	fd = open("mnt/f", O_RDONLY);
	SHOW(write(fd, "x", 1));
	p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	TRUE(p != MAP_FAILED && p[0] == big[0]);
	munmap(p, 4096);
	close(fd);
	fd = open("mnt/f", O_WRONLY | O_TRUNC);
	SHOW(fstat(fd, &st));
	SHOW(st.st_size);
	close(fd);
	SHOW(truncate("mnt/f", 10));
	show_stat("mnt/f");
	SHOW(unlink("mnt/f"));

	fd = open("mnt/direct", O_CREAT | O_RDWR, 0600);
	SHOW(write(fd, "0123456789", 10));
	SHOW(pread(fd, got, 100, 4));
	TRUE(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == ENODEV);
	p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	TRUE(p != MAP_FAILED && !memcmp(p, "0123456789", 11));
	munmap(p, 4096);
	/* gone, and still open */
	SHOW(unlink("mnt/direct"));
	SHOW(pread(fd, got, 100, 4));
	SHOW(close(fd));
}

static void
attributes(void)
{
	struct statvfs vfs;
	struct statfs fs;
	char buf[256];

	printf("attributes\n");
	close(open("mnt/x", O_CREAT | O_RDWR, 0600));
	SHOW(setxattr("mnt/x", "user.a", "value", 5, 0));
	SHOW(setxattr("mnt/x", "user.a", "value", 5, XATTR_CREATE));
	SHOW(getxattr("mnt/x", "user.a", NULL, 0));
	SHOW(getxattr("mnt/x", "user.a", buf, sizeof buf));
	printf("%.5s\n", buf);
	SHOW(getxattr("mnt/x", "user.a", buf, 2));
	SHOW(getxattr("mnt/x", "user.b", buf, sizeof buf));
	SHOW(listxattr("mnt/x", NULL, 0));
	SHOW(listxattr("mnt/x", buf, sizeof buf));
	printf("%s\n", buf);
	SHOW(removexattr("mnt/x", "user.a"));
	SHOW(removexattr("mnt/x", "user.a"));
	SHOW(access("mnt/x", R_OK | W_OK));
	SHOW(access("mnt/x", X_OK));
	SHOW(access("mnt/none", F_OK));
	SHOW(statfs("mnt", &fs));
	printf("%lx %lu %lu %lu\n", (long)fs.f_type, (long)fs.f_blocks, (long)fs.f_bfree,
		(long)fs.f_namelen);
	SHOW(statvfs("mnt", &vfs));
	printf("%lu %lu\n", vfs.f_bsize, vfs.f_frsize);
	SHOW(unlink("mnt/x"));
}

/* Run this very program from the tree. */
static void
program(void)
{
	static char buf[65536];
	int in = open("/proc/self/exe", O_RDONLY), out = open("mnt/prog", O_CREAT | O_WRONLY, 0755);
	ssize_t n;
	int st;
	pid_t p;

	printf("program\n");
	while ((n = read(in, buf, sizeof buf)) > 0)
		if (write(out, buf, (size_t)n) != n)
			printf("short\n");
	close(in);
	close(out);
	fflush(stdout);
	p = fork();
	if (!p) {
		execl("mnt/prog", "prog", "hello", NULL);
		printf("exec: %s\n", strerrorname_np(errno));
		exit(1);
	}
	waitpid(p, &st, 0);
	printf("status %x\n", st);
	SHOW(chmod("mnt/prog", 0644));
	SHOW(execl("mnt/prog", "prog", "hello", NULL));
	SHOW(unlink("mnt/prog"));
}

/* How often the server is asked, when it said that it need not be. */
static void
caching(void)
{
	struct stat st;
	long a;

	printf("caching\n");
	SHOW(mkdir("mnt/keep", 0755));
	SHOW(stat("mnt/keep", &st));
	a = asked();
	SHOW(stat("mnt/keep", &st));
	SHOW(stat("mnt/keep", &st));
	/* asked() is one of them */
	printf("asked: %ld\n", asked() - a);
	SHOW(stat("mnt/keep-none", &st));
	a = asked();
	SHOW(stat("mnt/keep-none", &st));
	printf("asked: %ld\n", asked() - a);
	/* the server takes it back, and makes it itself */
	SHOW(order("inval-root"));
	a = asked();
	SHOW(stat("mnt/keep", &st));
	TRUE(asked() > a);
	SHOW(order("inval-unknown"));
	SHOW(order("inval-long"));
	SHOW(order("notify-unknown"));
	SHOW(rmdir("mnt/keep"));
}

/* Answers that make no sense. */
static void
lies(void)
{
	static const char *const names[] = {"lie-root", "lie-type", "lie-size", "lie-short",
		"lie-long", "lie-error", "lie-errdata", "lie-positive", "lie-len"};
	struct stat st;
	char buf[64];
	int fd;

	printf("lies\n");
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char path[64];

		snprintf(path, sizeof path, "mnt/%s", names[i]);
		printf("%s: ", names[i]);
		SHOW(stat(path, &st));
		printf("server: %d\n", lie_error());
	}
	SHOW(stat("mnt/lie-nsec", &st));
	TRUE(st.st_mtim.tv_nsec == 999999999);
	/* a file that becomes a directory */
	fd = open("mnt/lie-turn", O_CREAT | O_RDWR, 0600);
	TRUE(fd >= 0);
	SHOW(order("turn"));
	SHOW(fstat(fd, &st));
	SHOW(read(fd, buf, 10));
	SHOW(close(fd));
	SHOW(order("turn-back"));
	SHOW(unlink("mnt/lie-turn"));
	/* more than was asked for */
	fd = open("mnt/lie-more", O_CREAT | O_RDWR, 0600);
	SHOW(write(fd, "0123456789", 10));
	SHOW(pread(fd, buf, 10, 0));
	SHOW(close(fd));
	SHOW(unlink("mnt/lie-more"));
	/* names of entries */
	SHOW(mkdir("mnt/lie-slash", 0755));
	list("mnt/lie-slash");
	SHOW(mkdir("mnt/lie-empty", 0755));
	list("mnt/lie-empty");
	SHOW(mkdir("mnt/lie-cut", 0755));
	list("mnt/lie-cut");
	SHOW(rmdir("mnt/lie-slash"));
	SHOW(rmdir("mnt/lie-empty"));
	SHOW(rmdir("mnt/lie-cut"));
	/* made something else than was asked for */
	SHOW(mkdir("mnt/lie-file", 0755));
	SHOW(symlink("a", "mnt/lie-nul"));
	memset(buf, 0, sizeof buf);
	SHOW(readlink("mnt/lie-nul", buf, sizeof buf));
	printf("%s\n", buf);
	SHOW(unlink("mnt/lie-nul"));
}

static void
on_signal(int s)
{
	(void)s;
}

/* Who waits: a signal, a kill, and a server that ends. */
static void
waiting(void)
{
	struct sigaction sa = {.sa_handler = on_signal};
	struct stat st;
	pid_t p;
	int w, fd;

	printf("waiting\n");
	sigaction(SIGUSR1, &sa, NULL);
	fflush(stdout);
	/* the server is told of the signal, and ends the request */
	p = fork();
	if (!p) {
		errno = 0;
		SHOW(stat("mnt/hang-intr", &st));
		fflush(stdout);
		_exit(0);
	}
	while (hanging() < 1)
		sleep_ms(5);
	kill(p, SIGUSR1);
	waitpid(p, &w, 0);
	printf("%x\n", w);
	/* in the server's own thread: a file whose name it never answers, and its death */
	fd = open("mnt/stays", O_CREAT | O_RDWR, 0600);
	TRUE(fd >= 0);
	fflush(stdout);
	p = fork();
	if (!p) {
		SHOW(stat("mnt/hang-on", &st));
		fflush(stdout);
		_exit(0);
	}
	while (hanging() < 2)
		sleep_ms(5);
	kill(server, SIGKILL);
	waitpid(p, &w, 0);
	printf("%x\n", w);
	waitpid(server, &w, 0);
	printf("%x\n", w);
	SHOW(stat("mnt", &st));
	SHOW(stat("mnt/stays", &st));
	SHOW(open("mnt/stays", O_RDONLY));
	SHOW(pread(fd, &w, 1, 0));
	SHOW(write(fd, "x", 1));
	SHOW(mkdir("mnt/d", 0755));
	SHOW(umount2("mnt", 0));
	SHOW(close(fd));
	SHOW(umount2("mnt", 0));
}

/* Others than who mounted it. */
static void
others(const char *more)
{
	struct stat st;
	struct statfs fs;
	int w;
	pid_t p;

	start("fuse", more);
	SHOW(mkdir("mnt/d", 0700));
	SHOW(close(open("mnt/d/f", O_CREAT | O_RDWR, 0604)));
	fflush(stdout);
	p = fork();
	if (!p) {
		setgid(1000);
		setuid(1000);
		SHOW(stat("mnt", &st));
		SHOW(stat("mnt/d/f", &st));
		SHOW(open("mnt/d/f", O_RDONLY) > 0);
		SHOW(chmod("mnt/d", 0755));
		SHOW(statfs("mnt", &fs));
		SHOW(access("mnt/d", W_OK));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, &w, 0);
	SHOW(unlink("mnt/d/f"));
	SHOW(rmdir("mnt/d"));
	stop();
}

static void
ends(void)
{
	struct stat st;
	char buf[10];
	int fd, w;
	pid_t p;

	printf("lazy\n");
	start("fuse", "");
	fd = open("mnt/f", O_CREAT | O_RDWR, 0600);
	SHOW(write(fd, "abc", 3));
	SHOW(umount2("mnt", 0));
	SHOW(umount2("mnt", MNT_DETACH));
	SHOW(stat("mnt/f", &st));
	SHOW(pread(fd, buf, 10, 0));
	SHOW(close(fd));
	waitpid(server, &w, 0);
	printf("server ends: %x\n", w);

	printf("forced\n");
	start("fuse", "");
	fflush(stdout);
	p = fork();
	if (!p) {
		SHOW(stat("mnt/hang-on", &st));
		fflush(stdout);
		_exit(0);
	}
	while (hanging() < 3)
		sleep_ms(5);
	umount2("mnt", MNT_FORCE); /* it may be too early for more than to end what waits */
	waitpid(p, &w, 0);
	waitpid(server, &w, 0);
	umount2("mnt", 0);
	SHOW(stat("mnt/f", &st));
	printf("server ends: %x\n", w);

	printf("namespace\n");
	fflush(stdout);
	p = fork();
	if (!p) {
		unshare(CLONE_NEWNS);
		start("fuse", "");
		SHOW(stat("mnt/none", &st));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, &w, 0);
	printf("%x\n", w);
}

/* A server that waits for itself, where somebody else waits already. (Linux cannot end that.) */
static void
deadlock(const char *what)
{
	int before = hanging();
	struct stat st;
	pid_t p, q;
	int w;

	printf("deadlock: %s\n", what);
	start("fuse", "");
	p = fork();
	if (!p) {
		SHOW(stat("mnt/hang-on", &st));
		_exit(0);
	}
	while (hanging() < before + 1)
		sleep_ms(5);
	q = fork();
	if (!q)
		_exit(order(what) != -1);
	while (hanging() < before + 2)
		sleep_ms(5);
	sleep_ms(50);
	kill(server, SIGKILL);
	waitpid(server, &w, 0);
	waitpid(p, &w, 0);
	waitpid(q, &w, 0);
	printf("%x\n", w);
	SHOW(umount2("mnt", 0));
}

static void
messages(void)
{
	struct fuse_init_out out = {.major = 7, .minor = 31, .max_write = 4096};
	struct fuse_out_header h = {.len = sizeof h + sizeof out};
	struct pollfd p = {.events = POLLOUT};
	int a = open("/dev/fuse", O_RDWR), b = open("/dev/fuse", O_RDWR), null, none, v[2];
	static char buf[300000];
	struct stat st;

	printf("messages\n");
	null = open("/dev/null", O_RDWR);
	none = -1;
	SHOW(mount_with("fuse", "fd=%d,rootmode=40000,user_id=0,group_id=0", a));
	SHOW(ioctl(b, FUSE_DEV_IOC_CLONE, &null));
	SHOW(ioctl(b, FUSE_DEV_IOC_CLONE, &none) == -1);
	SHOW(ioctl(b, FUSE_DEV_IOC_CLONE, &a));
	SHOW(ioctl(b, FUSE_DEV_IOC_CLONE, &a));
	SHOW(ioctl(b, 0x1234, 0));
	pipe(v);
	SHOW(fcntl(v[1], F_SETPIPE_SZ, 1 << 18));
	SHOW(splice(b, NULL, v[1], NULL, 1 << 18, 0) > 40);
	TRUE(read(v[0], buf, sizeof buf) > 40);
	h.unique = ((struct fuse_in_header *)buf)->unique;
	SHOW(write(v[1], &h, sizeof h));
	SHOW(write(v[1], &out, sizeof out));
	SHOW(splice(v[0], NULL, b, NULL, h.len, 0));
	p.fd = b;
	SHOW(close(a));
	SHOW(poll(&p, 1, 0));
	printf("%x\n", p.revents);
	SHOW(close(b));
	SHOW(stat("mnt", &st));
	SHOW(umount2("mnt", 0));
	close(null);
	close(v[0]);
	close(v[1]);
}

static void
put(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY);

	if (write(fd, text, strlen(text)) < 0)
		printf("%s: %s\n", file, strerrorname_np(errno));
	close(fd);
}

/* By somebody who is root only in a namespace of its own. */
static void
own_ns(void)
{
	int before = open("/dev/fuse", O_RDWR), w;
	pid_t p = fork();

	if (p) {
		close(before);
		waitpid(p, &w, 0);
		printf("%x\n", w);
		return;
	}
	printf("own namespace\n");
	SHOW(unshare(CLONE_NEWUSER | CLONE_NEWNS));
	put("/proc/self/setgroups", "deny");
	put("/proc/self/uid_map", "0 0 1");
	put("/proc/self/gid_map", "0 0 1");
	SHOW(mount_with("fuse", "fd=%d,rootmode=40000,user_id=0,group_id=0", before));
	close(before);
	before = open("/dev/fuse", O_RDWR);
	SHOW(mount_with("fuse", "fd=%d,rootmode=40000,user_id=7,group_id=0", before));
	close(before);
	start("fuse", "");
	SHOW(mkdir("mnt/d", 0700));
	show_stat("mnt/d");
	SHOW(chown("mnt/d", 7, 7));
	SHOW(mknod("mnt/null", S_IFCHR | 0666, makedev(1, 3)));
	stop();
	_exit(0);
}

/* Who waits until the position of a file is free, which somebody has who waits for the server. */
static void
killed_behind(void)
{
	int before = hanging(), fd = open("mnt/hang-read", O_RDWR | O_CREAT, 0600), ways[2], w;
	pid_t p, q[2];
	char c = 0;

	SHOW(write(fd, "text", 4));
	SHOW(lseek(fd, 0, SEEK_SET));
	p = fork();
	if (!p)
		_exit(read(fd, &c, 1) != 1);
	while (hanging() < before + 1)
		sleep_ms(5);
	pipe(ways);
	for (int i = 0; i < 2; i++) {
		q[i] = fork();
		if (!q[i])
			_exit(i ? splice(fd, NULL, ways[1], NULL, 1, 0) != 1
				: lseek(fd, 0, SEEK_CUR) < 0);
	}
	sleep_ms(100);
	for (int i = 0; i < 2; i++) {
		kill(q[i], SIGKILL);
		waitpid(q[i], &w, 0);
		printf("%x\n", w);
	}
	kill(p, SIGKILL);
	waitpid(p, &w, 0);
	printf("%x\n", w);
	close(fd);
	close(ways[0]);
	close(ways[1]);
	SHOW(unlink("mnt/hang-read"));
}

/* Not to be compared with Linux, which waits: who is killed is gone, and what was on its way for it
 * is given back. */
static int
killed(void)
{
	struct stat st;
	pid_t p;
	int w;

	unshare(CLONE_NEWNS);
	start("fuse", "");
	p = fork();
	if (!p) {
		stat("mnt/hang-on", &st);
		_exit(0);
	}
	while (hanging() < 1)
		sleep_ms(5);
	kill(p, SIGKILL);
	waitpid(p, &w, 0);
	printf("%x\n", w);
	SHOW(stat("mnt/none", &st));
	SHOW(order("forgotten"));
	SHOW(order("late"));
	SHOW(order("late"));
	/* requests may be read before it */
	for (int i = 0; i < 400 && !order("forgotten"); i++)
		sleep_ms(5);
	SHOW(order("forgotten"));
	killed_behind();
	stop();
	deadlock("self-stat");
	deadlock("self-set");
	deadlock("self-rename");
	return 0;
}

static const char *
some_name(char *buf, size_t cap)
{
	static const char *const dirs[] = {"", "a/", "b/", "a/b/", "c/a/b/"};

	snprintf(buf, cap, "mnt/%s%c", dirs[rand() % 5], 'a' + rand() % 6);
	return buf;
}

static void
use_file(const char *a)
{
	char buf[3000];
	int fd = open(a, (rand() % 2 ? O_RDWR | O_CREAT : O_RDONLY) | O_NONBLOCK, 0600);
	void *p;

	if (fd < 0)
		return;
	(void)!write(fd, buf, (size_t)(rand() % 3000));
	lseek(fd, rand() % 3000, rand() % 5);
	(void)!read(fd, buf, sizeof buf);
	(void)!ftruncate(fd, rand() % 9000);
	p = mmap(NULL, 8192, PROT_READ, rand() % 2 ? MAP_PRIVATE : MAP_SHARED, fd, 0);
	if (p != MAP_FAILED)
		munmap(p, 8192);
	fsync(fd);
	fallocate(fd, 0, 0, 5000);
	close(fd);
}

static void
use_tree(int rounds)
{
	char a[64], b[64], buf[3000];
	struct stat st;
	struct statfs fs;
	struct dirent **v;
	int n;

	while (rounds--) {
		some_name(a, sizeof a);
		some_name(b, sizeof b);
		switch (rand() % 16) {
		case 0:
			mkdir(a, 0700);
			break;
		case 1:
			rename(a, b);
			break;
		case 2:
			(void)!link(a, b);
			break;
		case 3:
			unlink(a);
			break;
		case 4:
			rmdir(a);
			break;
		case 5:
			n = scandir(a, &v, NULL, NULL);
			while (n > 0)
				free(v[--n]);
			break;
		case 6:
			(void)!symlink(a, b);
			(void)!readlink(b, buf, sizeof buf);
			break;
		case 7:
			getxattr(a, "user.x", buf, sizeof buf);
			listxattr(a, buf, sizeof buf);
			setxattr(a, "user.x", "v", 1, 0);
			break;
		case 8:
			chmod(a, 0755);
			(void)!truncate(a, 10);
			break;
		case 9:
			statfs(a, &fs);
			access(a, R_OK);
			break;
		case 10:
			renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE);
			break;
		case 11:
			mknod(a, S_IFIFO | 0600, 0);
			break;
		case 12:
			if (!chdir(a))
				(void)!chdir("/tmp");
			break;
		case 13:
			stat(a, &st);
			break;
		default:
			use_file(a);
			break;
		}
	}
}

/* A server that answers whatever comes to its mind. Whatever that is to those who use the tree,
 * they come to an end, and so does it all. */
static int
fuzz(unsigned seed)
{
	pid_t users[4];
	int w;

	unshare(CLONE_NEWNS);
	server_lies = seed;
	start("fuse", seed % 2 ? ",default_permissions" : "");
	for (int i = 0; i < 4; i++) {
		users[i] = fork();
		if (!users[i]) {
			srand(seed * 10 + (unsigned)i);
			use_tree(400);
			_exit(0);
		}
	}
	sleep_ms(100);
	kill(users[3], SIGKILL);
	for (int i = 0; i < 4; i++)
		waitpid(users[i], &w, 0);
	SHOW(umount2("mnt", MNT_DETACH));
	kill(server, SIGKILL);
	waitpid(server, &w, 0);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc > 1 && (!strcmp(argv[1], "killed") || !strcmp(argv[1], "fuzz"))) {
		setvbuf(stdout, NULL, _IOLBF, 1 << 16);
		shared_init();
		chdir("/tmp");
		mkdir("mnt", 0755);
		return argv[1][0] == 'k' ? killed() : fuzz((unsigned)atoi(argv[2]));
	}
	if (argc > 1) {
		printf("%s from the tree\n", argv[1]);
		return 7;
	}
	setvbuf(stdout, NULL, _IOLBF, 1 << 16);
	if (access("/dev/fuse", F_OK)) {
		printf("no /dev/fuse\n");
		return 77;
	}
	umask(022);
	shared_init();
	mkdir("mnt", 0755);
	SHOW(unshare(CLONE_NEWNS));
	SHOW(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	device();
	start("fuse.named", ",max_read=65536");
	show_mount();
	names();
	data();
	attributes();
	program();
	caching();
	lies();
	stop();
	printf("mount's only\n");
	others("");
	printf("allow_other\n");
	others(",allow_other");
	printf("default_permissions\n");
	others(",allow_other,default_permissions");
	start("fuse", "");
	waiting();
	ends();
	messages();
	own_ns();
	rmdir("mnt");
	return 0;
}
