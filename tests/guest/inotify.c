/* SPDX-License-Identifier: Apache-2.0 */
/* inotify(7): which events each operation raises, in which order, on the file and on its directory.
 */
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static int in;

static const struct {
	uint32_t bit;
	const char *name;
} names[] = {{IN_ACCESS, "ACCESS"}, {IN_MODIFY, "MODIFY"}, {IN_ATTRIB, "ATTRIB"},
	{IN_CLOSE_WRITE, "CLOSE_WRITE"}, {IN_CLOSE_NOWRITE, "CLOSE_NOWRITE"}, {IN_OPEN, "OPEN"},
	{IN_MOVED_FROM, "MOVED_FROM"}, {IN_MOVED_TO, "MOVED_TO"}, {IN_CREATE, "CREATE"},
	{IN_DELETE, "DELETE"}, {IN_DELETE_SELF, "DELETE_SELF"}, {IN_MOVE_SELF, "MOVE_SELF"},
	{IN_UNMOUNT, "UNMOUNT"}, {IN_Q_OVERFLOW, "Q_OVERFLOW"}, {IN_IGNORED, "IGNORED"},
	{IN_ISDIR, "ISDIR"}};

/* Print and empty the queue. */
static void
events(const char *what)
{
	static uint32_t first_cookie;
	char buf[65536] __attribute__((aligned(8)));
	ssize_t n;

	printf("%s:\n", what);
	while ((n = read(in, buf, sizeof buf)) > 0) {
		for (char *p = buf; p < buf + n;) {
			struct inotify_event *e = (void *)p;

			printf("   wd %d", e->wd);
			for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
				if (e->mask & names[i].bit)
					printf(" %s", names[i].name);
			if (e->cookie) {
				if (e->mask & IN_MOVED_FROM)
					first_cookie = e->cookie;
				printf(" cookie %s", e->cookie == first_cookie ? "same" : "other");
			}
			if (e->len && e->name[0] == '#') /* O_TMPFILE: an inode number */
				printf(" #");
			else if (e->len)
				printf(" %s (%u)", e->name, e->len);
			printf("\n");
			p += sizeof *e + e->len;
		}
	}
}

static void
put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	write(fd, text, strlen(text));
	close(fd);
}

static void
calls(void)
{
	int fd, p[2];

	SHOW(inotify_init1(1));
	TRUE((fd = inotify_init1(IN_CLOEXEC)) >= 0);
	SHOW(fcntl(fd, F_GETFD));
	SHOW(fcntl(fd, F_GETFL) & O_NONBLOCK);
	close(fd);
	TRUE((fd = (int)syscall(SYS_inotify_init)) >= 0);
	SHOW(fcntl(fd, F_GETFL));
	close(fd);
	pipe(p);
	SHOW(inotify_add_watch(p[0], ".", IN_OPEN));
	SHOW(inotify_add_watch(999, ".", IN_OPEN));
	SHOW(inotify_rm_watch(p[0], 1));
	SHOW(inotify_rm_watch(999, 1));
	SHOW(inotify_add_watch(in, ".", 0));
	SHOW(inotify_add_watch(in, ".", IN_OPEN | 0x00800000));
	SHOW(inotify_add_watch(in, ".", IN_ONLYDIR | IN_MASK_ADD));
	SHOW(inotify_add_watch(in, "missing", IN_OPEN));
	SHOW(inotify_add_watch(in, NULL, IN_OPEN));
	SHOW(inotify_add_watch(in, ".", IN_OPEN | IN_MASK_ADD | IN_MASK_CREATE));
	put("plain", "text");
	SHOW(inotify_add_watch(in, "plain", IN_OPEN | IN_ONLYDIR));
	SHOW(inotify_rm_watch(in, 1));
	SHOW(read(in, p, 8));
	SHOW(write(in, p, 8));
	SHOW(lseek(in, 0, SEEK_SET));
	int w = inotify_add_watch(in, "plain", IN_OPEN | IN_CLOSE);
	printf("wd %d\n", w);
	SHOW(inotify_add_watch(in, "plain", IN_OPEN | IN_MASK_CREATE));
	SHOW(inotify_add_watch(in, "./plain", IN_MODIFY | IN_MASK_ADD));
	put("plain", "more");
	struct pollfd pf = {in, POLLIN | POLLOUT, 0};
	SHOW(poll(&pf, 1, 0));
	printf("%x\n", pf.revents);
	SHOW(ioctl(in, FIONREAD, &fd));
	printf("%d bytes\n", fd);
	SHOW(read(in, &w, 4));
	events("replaced");
	SHOW(inotify_add_watch(in, "plain", IN_CLOSE_WRITE));
	put("plain", "more");
	events("only close");
	SHOW(inotify_rm_watch(in, 1));
	SHOW(inotify_rm_watch(in, 1));
	events("removed");
	close(p[0]);
	close(p[1]);
	unlink("plain");
}

static void
fdinfo(void)
{
	char path[64], line[256];
	struct stat st;
	FILE *f;

	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", in);
	stat("d", &st);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f)) {
		unsigned wd, mask, ign;
		unsigned long ino, dev;

		if (sscanf(line, "inotify wd:%x ino:%lx sdev:%lx mask:%x ignored_mask:%x", &wd,
			    &ino, &dev, &mask, &ign) == 5)
			printf("fdinfo wd %x mask %x ignored %x, inode is right: %d\n", wd, mask,
				ign, ino == st.st_ino);
	}
	fclose(f);
	snprintf(path, sizeof path, "/proc/self/fd/%d", in);
	line[readlink(path, line, sizeof line)] = 0;
	printf("%s\n", line);
}

static void
directory(void)
{
	char buf[100];
	int fd, fd2;
	DIR *d;

	mkdir("d", 0755);
	printf("wd %d\n", inotify_add_watch(in, "d", IN_ALL_EVENTS));
	fdinfo();
	fd = open("d/file", O_CREAT | O_RDWR, 0644);
	events("create");
	write(fd, "abc", 3);
	write(fd, "def", 3);
	events("write twice");
	pwrite(fd, "xyz", 3, 1);
	lseek(fd, 0, SEEK_SET);
	events("pwrite, lseek");
	read(fd, buf, 2);
	read(fd, buf, 2);
	pread(fd, buf, 3, 0);
	events("read");
	read(fd, buf, 100);
	read(fd, buf, 100);
	events("read, and at the end");
	ftruncate(fd, 2);
	events("ftruncate");
	ftruncate(fd, 2);
	events("ftruncate to the same");
	fallocate(fd, 0, 0, 100);
	events("fallocate");
	fsync(fd);
	events("fsync");
	fchmod(fd, 0600);
	events("fchmod");
	fchown(fd, 1, 1);
	events("fchown");
	futimens(fd, NULL);
	events("futimens");
	struct timespec a[2] = {{5, 0}, {0, UTIME_OMIT}}, m[2] = {{0, UTIME_OMIT}, {5, 0}};
	utimensat(AT_FDCWD, "d/file", a, 0);
	events("atime only");
	utimensat(AT_FDCWD, "d/file", m, 0);
	events("mtime only");
	fsetxattr(fd, "user.a", "b", 1, 0);
	events("setxattr");
	fremovexattr(fd, "user.a");
	events("removexattr");
	close(fd);
	events("close");
	fd = open("d/file", O_RDONLY);
	fd2 = dup(fd);
	close(fd);
	events("open, dup, close one");
	close(fd2);
	events("close the other");
	fd = open("d/file", O_PATH);
	close(fd);
	events("O_PATH");
	put("d/file", "new");
	events("open with O_TRUNC, write");
	truncate("d/file", 1);
	events("truncate");
	stat("d/file", &(struct stat){0});
	access("d/file", R_OK);
	events("stat, access");
	chmod("d", 0700);
	events("chmod of the directory");
	d = opendir("d");
	while (readdir(d))
		;
	closedir(d);
	events("list");
	link("d/file", "d/link");
	events("link");
	symlink("x", "d/sym");
	readlink("d/sym", buf, 10);
	events("symlink, readlink");
	mknod("d/fifo", S_IFIFO | 0644, 0);
	events("mknod");
	mkdir("d/sub", 0755);
	events("mkdir");
	chmod("d/sub", 0711);
	d = opendir("d/sub");
	closedir(d);
	events("chmod and open of a subdirectory");
	put("d/sub/deep", "x");
	events("deep below: nothing");
	rename("d/file", "d/renamed");
	events("rename inside");
	rename("d/renamed", "outside");
	events("rename out");
	rename("outside", "d/inside");
	events("rename in");
	rename("d/inside", "d/sym");
	events("rename over another");
	syscall(SYS_renameat2, AT_FDCWD, "d/sym", AT_FDCWD, "d/sub", 2);
	events("exchange");
	syscall(SYS_renameat2, AT_FDCWD, "d/sym", AT_FDCWD, "d/sub", 2);
	events("exchange back");
	unlink("d/link");
	events("unlink");
	unlink("d/sub/deep");
	rmdir("d/sub");
	events("rmdir");
	fd = open("d", O_TMPFILE | O_RDWR, 0644);
	write(fd, "x", 1);
	close(fd);
	events("O_TMPFILE");
	fd = open("d/sym", O_RDONLY);
	fd2 = open("copy", O_CREAT | O_RDWR, 0644);
	sendfile(fd2, fd, NULL, 10);
	events("sendfile from");
	lseek(fd, 0, SEEK_SET);
	copy_file_range(fd, NULL, fd2, NULL, 10, 0);
	events("copy_file_range from");
	char *map = mmap(NULL, 1, PROT_READ, MAP_SHARED, fd, 0);
	munmap(map, 1);
	events("mmap");
	close(fd);
	close(fd2);
	events("close");
	execl("d/sym", "sym", NULL);
	events("exec of no program");
	unlink("d/sym");
	unlink("d/fifo");
	unlink("copy");
	events("unlink");
	rmdir("d");
	events("rmdir of itself");
}

static void
file(void)
{
	int fd;

	put("f", "text");
	link("f", "f2");
	printf("wd %d\n", inotify_add_watch(in, "f", IN_ALL_EVENTS));
	printf("wd %d\n", inotify_add_watch(in, "f2", IN_ALL_EVENTS));
	put("f2", "more");
	events("by the other name");
	rename("f", "g");
	events("rename");
	unlink("f2");
	events("unlink one name");
	fd = open("g", O_RDONLY);
	unlink("g");
	events("unlink the last while open");
	close(fd);
	events("close");
	put("f", "text");
	put("o", "text");
	inotify_add_watch(in, "f", IN_ALL_EVENTS);
	rename("o", "f");
	events("replaced by rename");
	mkdir("dd", 0755);
	inotify_add_watch(in, "dd", IN_ALL_EVENTS);
	rename("dd", "ee");
	events("a directory moves");
	fd = open("ee", O_RDONLY | O_DIRECTORY);
	rmdir("ee");
	events("rmdir while open");
	close(fd);
	events("close");
	unlink("f");
}

static void
flags(void)
{
	int fd;

	mkdir("d", 0755);
	put("d/a", "1");
	symlink("a", "d/s");
	inotify_add_watch(in, "d/a", IN_OPEN | IN_ONESHOT);
	put("d/a", "2");
	put("d/a", "3");
	events("oneshot");
	inotify_add_watch(in, "d/s", IN_ALL_EVENTS | IN_DONT_FOLLOW);
	put("d/a", "4");
	unlink("d/s");
	events("the link itself");
	inotify_add_watch(in, "d", IN_ALL_EVENTS | IN_EXCL_UNLINK);
	fd = open("d/a", O_RDWR);
	unlink("d/a");
	write(fd, "x", 1);
	close(fd);
	events("excl_unlink");
	inotify_add_watch(in, "d", IN_ALL_EVENTS);
	fd = open("d/b", O_RDWR | O_CREAT, 0644);
	unlink("d/b");
	write(fd, "x", 1);
	close(fd);
	events("without");
	rmdir("d");
	events("rmdir");
}

static void
rights(void)
{
	pid_t p;

	put("secret", "x");
	chmod("secret", 0200);
	chmod(".", 0755);
	fflush(stdout);
	p = fork();
	if (!p) {
		setuid(65534);
		SHOW(inotify_add_watch(in, "secret", IN_OPEN));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, NULL, 0);
	unlink("secret");
	events("rights");
}

static void
overflow(void)
{
	int old = in, n = 0, over = 0;
	char buf[65536] __attribute__((aligned(8)));
	ssize_t r;

	in = inotify_init1(IN_NONBLOCK);
	put("a", "x");
	put("b", "x");
	inotify_add_watch(in, "a", IN_ATTRIB);
	inotify_add_watch(in, "b", IN_ATTRIB);
	for (int i = 0; i < 9000; i++) {
		chmod("a", 0644);
		chmod("b", 0644);
	}
	while ((r = read(in, buf, sizeof buf)) > 0)
		for (char *p = buf; p < buf + r; p += sizeof(struct inotify_event)) {
			struct inotify_event *e = (void *)p;

			n++;
			if (e->mask & IN_Q_OVERFLOW)
				over += e->wd == -1;
		}
	printf("%d events, %d overflow\n", n, over);
	close(in);
	in = old;
}

static void
limits(void)
{
	int n = 0, fd[200];

	while (n < 200 && (fd[n] = inotify_init1(0)) >= 0)
		n++;
	printf("too many: %s\n", n < 200 ? strerrorname_np(errno) : "no");
	while (n)
		close(fd[--n]);
}

static void
no_handler(int s)
{
	(void)s;
}

static void
blocking(void)
{
	char buf[300] __attribute__((aligned(8)));
	int fd = inotify_init1(0);
	struct sigaction sa = {.sa_handler = no_handler};
	pid_t p;

	put("a", "x");
	inotify_add_watch(fd, "a", IN_ATTRIB);
	p = fork();
	if (!p) {
		sleep_ms(200);
		chmod("a", 0600);
		_exit(0);
	}
	SHOW(read(fd, buf, sizeof buf));
	waitpid(p, NULL, 0);
	while (ioctl(fd, FIONREAD, &p) == 0 && p)
		read(fd, buf, sizeof buf);
	sigaction(SIGALRM, &sa, NULL);
	ualarm(100000, 0);
	SHOW(read(fd, buf, sizeof buf));
	close(fd);
}

static void
unmount(void)
{
	mkdir("m", 0755);
	SHOW(unshare(CLONE_NEWNS));
	SHOW(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (mount("t", "m", "tmpfs", 0, NULL)) {
		printf("mount: %s\n", strerrorname_np(errno));
		return;
	}
	put("m/x", "x");
	inotify_add_watch(in, "m/x", IN_ALL_EVENTS);
	SHOW(umount("m"));
	events("umount");
	rmdir("m");
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 65536);
	in = inotify_init1(IN_NONBLOCK);
	calls();
	directory();
	file();
	flags();
	rights();
	overflow();
	limits();
	blocking();
	unmount();
	return 0;
}
