/* SPDX-License-Identifier: Apache-2.0 */
/* File syscalls: errors and effects, printed as errno names or numbers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"

#define P(e)                                                                                       \
	do {                                                                                       \
		errno = 0;                                                                         \
		long long r_ = (long long)(e);                                                     \
		printf("%s = %lld%s%s\n", #e, r_, r_ < 0 ? " " : "",                               \
			r_ < 0 ? strerrorname_np(errno) : "");                                     \
	} while (0)
#define OK(e)                                                                                      \
	do {                                                                                       \
		errno = 0;                                                                         \
		long long r_ = (long long)(e);                                                     \
		printf("%s: %s\n", #e, r_ < 0 ? strerrorname_np(errno) : "ok");                    \
	} while (0)

static int
openat2_(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
	struct open_how h = {flags, mode, resolve};

	return (int)syscall(SYS_openat2, dir, path, &h, sizeof h);
}

static void
names(void)
{
	char buf[300], big[5000];
	struct stat st;
	int fd, d;

	P(mkdir("d", 0755));
	P(mkdir("d", 0755));
	P(mkdir("d/", 0755));
	P(mkdir("none/x", 0755));
	P(mkdir("", 0755));
	P(mkdir("d/.", 0755));
	P(mkdir("d/..", 0755));
	P(mkdir("/", 0755));
	P(rmdir("d/."));
	P(rmdir("d/.."));
	P(rmdir("/"));
	P(symlink("", "l"));
	P(symlink("d", "l"));
	P(symlink("x", "l"));
	P(mkdir("l", 0755));
	P(rmdir("l"));
	P(rmdir("l/"));
	P(unlink("d"));
	P(unlink("d/"));
	P(unlink("l/"));
	P(unlink("."));
	OK(fd = open("d/f", O_CREAT | O_RDWR, 0644));
	P(unlink("d/f/"));
	P(rmdir("d/f"));
	P(open("d/f/", O_RDONLY));
	P(open("d/f", O_RDONLY | O_DIRECTORY));
	P(open("d", O_WRONLY));
	P(open("d", O_CREAT, 0644));
	P(open("d/", O_CREAT, 0644));
	P(open("d/new/", O_CREAT | O_WRONLY, 0644));
	P(open("d/f", O_CREAT | O_EXCL, 0644));
	P(open("l", O_NOFOLLOW));
	P(open("l", O_CREAT | O_EXCL, 0644));
	P(open("", O_RDONLY));
	P(open("d", O_CREAT | O_DIRECTORY, 0644));
	P(open("d", O_TMPFILE | O_RDONLY, 0644));
	P(readlink("d", buf, sizeof buf));
	P(readlink("l", buf, 0));
	P(readlink("l", buf, sizeof buf));
	P(link("d", "hard"));
	P(link("d/f", "d/f"));
	P(link("d/f", "hard/"));
	P(link("d/f", "hard"));
	P(link("l", "hardlink"));
	P(lstat("hardlink", &st));
	printf("link of a link: %d, nlink %d\n", S_ISLNK(st.st_mode), (int)st.st_nlink);
	P(rename("hard", "d"));
	P(rename("d", "hard"));
	P(rename("d", "d/in"));
	P(rename("d/.", "x"));
	P(rename("hard", "d/f"));
	P(stat("hard", &st));
	P(rename("hard", "other/"));
	P(rename("hard", "other"));
	P(syscall(SYS_renameat2, AT_FDCWD, "other", AT_FDCWD, "d/f", RENAME_NOREPLACE));
	P(syscall(SYS_renameat2, AT_FDCWD, "other", AT_FDCWD, "none", RENAME_EXCHANGE));
	P(syscall(SYS_renameat2, AT_FDCWD, "other", AT_FDCWD, "d", RENAME_EXCHANGE));
	P(stat("other", &st));
	printf("exchanged: %d\n", S_ISDIR(st.st_mode));
	P(rename("other", "d"));
	P(syscall(SYS_renameat2, AT_FDCWD, "other", AT_FDCWD, "d", RENAME_EXCHANGE));
	P(syscall(SYS_renameat2, AT_FDCWD, "other", AT_FDCWD, "d", 64));
	memset(buf, 'n', 256);
	buf[256] = 0;
	P(mkdir(buf, 0755));
	memset(big, '/', sizeof big);
	big[4999] = 0;
	P(stat(big, &st));
	big[4095] = 0;
	P(stat(big, &st));
	P(symlink("loop", "loop"));
	P(stat("loop", &st));
	P(open("loop", O_CREAT, 0644));
	P(mknod("fifo", S_IFIFO | 0600, 0));
	P(open("fifo", O_WRONLY | O_NONBLOCK));
	P(mknod("bad", S_IFDIR | 0600, 0));
	P(mknod("bad", S_IFLNK | 0600, 0));
	P(mknod("reg", 0600, 0));
	OK(d = open("d", O_RDONLY | O_DIRECTORY));
	P(openat(fd, "x", O_RDONLY));
	P(fstatat(d, "f", &st, 0));
	P(fstatat(d, "", &st, 0));
	P(fstatat(d, "", &st, AT_EMPTY_PATH));
	P(fstatat(d, "f", &st, 0x8000000));
	P(fstatat(999, "f", &st, 0));
	P(unlinkat(d, "f", 7));
	P(faccessat(d, "f", 8, 0));
	P(faccessat(d, "f", R_OK | W_OK, 0));
	P(openat2_(d, "../d/f", O_RDONLY, 0, RESOLVE_BENEATH));
	P(openat2_(d, "/etc", O_RDONLY, 0, RESOLVE_BENEATH));
	P(openat2_(d, "f", O_RDONLY, 0600, 0));
	P(openat2_(d, "f", O_RDONLY, 0, 0x1000));
	P(openat2_(AT_FDCWD, "l", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
	OK(openat2_(d, "/f", O_RDONLY, 0, RESOLVE_IN_ROOT));
	OK(openat2_(d, "/../../f", O_RDONLY, 0, RESOLVE_IN_ROOT));
	close(d);
	close(fd);
	/* a current directory that is gone */
	P(mkdir("gone", 0755));
	P(chdir("gone"));
	P(rmdir("../gone"));
	P(getcwd(buf, sizeof buf) ? 0 : -1);
	P(open("f", O_CREAT | O_WRONLY, 0600));
	P(mkdir("x", 0700));
	P(chdir(".."));
}

static void
modes(void)
{
	struct timespec ts[2] = {{100, 5}, {200, 7}};
	struct stat st;
	int fd;

	umask(027);
	fd = open("mode", O_CREAT | O_RDWR, 06777);
	fstat(fd, &st);
	printf("mode %o\n", st.st_mode);
	P(fchmod(fd, 06755));
	write(fd, "x", 1);
	fstat(fd, &st);
	printf("after write as root %o\n", st.st_mode);
	P(fchown(fd, 1, 2));
	fstat(fd, &st);
	printf("after chown %o %d %d\n", st.st_mode, st.st_uid, st.st_gid);
	P(futimens(fd, ts));
	fstat(fd, &st);
	printf("times %ld.%ld %ld.%ld\n", st.st_atim.tv_sec, st.st_atim.tv_nsec, st.st_mtim.tv_sec,
		st.st_mtim.tv_nsec);
	ts[0].tv_nsec = UTIME_OMIT;
	ts[1].tv_nsec = 1000000000;
	P(futimens(fd, ts));
	P(fchmodat(AT_FDCWD, "l", 0700, AT_SYMLINK_NOFOLLOW) ? -1 : 0);
	P(mkdir("sg", 02775));
	chmod("sg", 02775);
	chown("sg", 0, 77);
	close(open("sg/f", O_CREAT | O_WRONLY, 0664));
	mkdir("sg/d", 0755);
	stat("sg/f", &st);
	printf("setgid dir: file gid %d mode %o\n", st.st_gid, st.st_mode);
	stat("sg/d", &st);
	printf("setgid dir: dir gid %d mode %o\n", st.st_gid, st.st_mode);
	fflush(stdout);
	if (!fork()) {
		setgid(1000);
		setuid(1000);
		P(open("mode", O_RDONLY));
		P(open("sg/f", O_WRONLY));
		P(unlink("sg/f"));
		P(chmod("mode", 0777));
		P(chown("mode", 1000, 1000));
		P(mkdir("sg/mine", 0755));
		P(mknod("/tmp/moat-dev", S_IFCHR | 0600, makedev(1, 3)));
		P(chroot("/"));
		P(utimensat(AT_FDCWD, "sg", ts, 0));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	umask(022);
	close(fd);
}

static void
data(void)
{
	struct flock fl = {F_WRLCK, SEEK_SET, 0, 10, 0};
	struct iovec iov[3];
	char buf[64] = "", b2[64] = "";
	int fd = open("data", O_CREAT | O_RDWR | O_TRUNC, 0644), fd2, p[2];
	struct stat st;
	off_t off;
	char *m;

	P(write(fd, "hello world", 11));
	P(lseek(fd, -5, SEEK_END));
	P(read(fd, buf, sizeof buf));
	P(lseek(fd, -1, SEEK_SET));
	P(lseek(fd, 0, 9));
	P(pread(fd, buf, 4, -1));
	P(pread(fd, buf, 4, 100));
	P(pwrite(fd, "X", 1, 200000));
	fstat(fd, &st);
	printf("size %ld\n", (long)st.st_size);
	P(lseek(fd, 0, SEEK_HOLE) <= 200000);
	P(lseek(fd, 300000, SEEK_DATA));
	P(ftruncate(fd, 5));
	P(ftruncate(fd, -1));
	P(truncate("data", 20));
	P(truncate("d", 20));
	P(truncate("none", 20));
	iov[0] = (struct iovec){buf, 3};
	iov[1] = (struct iovec){b2, 0};
	iov[2] = (struct iovec){b2, 30};
	P(preadv(fd, iov, 3, 0));
	P(readv(fd, iov, -1));
	P(readv(fd, iov, 1025));
	P(preadv2(fd, iov, 3, 0, 0x10000));
	lseek(fd, 0, SEEK_SET);
	P(write(fd, (void *)8, 10));
	P(read(fd, buf, (size_t)-1));
	P(fallocate(fd, 0, 0, 100));
	P(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 100));
	P(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4));
	P(fallocate(fd, 0, -1, 100));
	P(fsync(fd));
	m = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	OK(m == MAP_FAILED ? -1 : 0);
	memcpy(m, "mapped", 6);
	P(pread(fd, buf, 6, 0));
	printf("%.6s\n", buf);
	pwrite(fd, "WRITTEN", 7, 0);
	printf("%.7s\n", m);
	munmap(m, 4096);

	fd2 = open("data", O_WRONLY | O_APPEND);
	P(read(fd2, buf, 1));
	P(pwrite(fd2, "end", 3, 0));
	fstat(fd, &st);
	printf("append size %ld\n", (long)st.st_size);
	P(fcntl(fd2, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
	P(fcntl(fd2, F_SETFL, O_NONBLOCK));
	P(fcntl(fd2, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK));
	P(fcntl(fd2, 9999));
	P(fcntl(fd2, F_SETLEASE, F_WRLCK) < 0);

	P(fcntl(fd, F_SETLK, &fl));
	fflush(stdout);
	if (!fork()) {
		struct flock g = {F_RDLCK, SEEK_SET, 5, 1, 0};

		P(fcntl(fd2, F_SETLK, &g));
		P(fcntl(fd, F_SETLK, &g));
		P(fcntl(fd, F_GETLK, &g));
		printf("%d %ld %ld %d\n", g.l_type, (long)g.l_start, (long)g.l_len,
			g.l_pid == getppid());
		P(flock(fd2, LOCK_EX | LOCK_NB));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	close(fd2);
	P(flock(fd, LOCK_SH));
	fd2 = open("data", O_RDWR);
	P(flock(fd2, LOCK_EX | LOCK_NB));
	P(flock(fd, LOCK_UN));
	P(flock(fd2, LOCK_EX | LOCK_NB));
	P(flock(fd2, 77));

	pipe(p);
	off = 0;
	P(sendfile(p[1], fd, &off, 10));
	printf("off %ld\n", (long)off);
	P(splice(p[0], NULL, fd2, &off, 4, 0));
	P(read(p[0], buf, sizeof buf));
	P(splice(p[0], NULL, fd2, NULL, 4, SPLICE_F_NONBLOCK));
	P(splice(fd, NULL, fd2, NULL, 4, 0));
	P(copy_file_range(fd, (off_t[]){0}, fd2, (off_t[]){1000}, 20, 0));
	P(copy_file_range(fd, (off_t[]){0}, fd2, (off_t[]){10}, 20, 0));
	/* by the positions of the two; and never what it has copied itself */
	P(lseek(fd, 0, SEEK_SET));
	P(lseek(fd2, 500, SEEK_SET));
	P(copy_file_range(fd, NULL, fd2, NULL, 20, 0));
	P(lseek(fd, 0, SEEK_CUR) + lseek(fd2, 0, SEEK_CUR));
	P(lseek(fd, 490, SEEK_SET));
	P(copy_file_range(fd, NULL, fd2, NULL, 100, 0));
	fstat(fd, &st);
	off = st.st_size;
	P(copy_file_range(fd, (off_t[]){off - 5}, fd2, (off_t[]){off}, 100, 0));
	P(copy_file_range(fd, (off_t[]){INT64_MAX - 5}, fd2, (off_t[]){0}, 100, 0));
	P(lseek(p[0], 0, SEEK_SET));
	P(pread(p[0], buf, 1, 0));
	close(fd);
	close(fd2);
	close(p[0]);
	signal(SIGPIPE, SIG_IGN);
	P(write(p[1], "x", 1));
	close(p[1]);
}

static void *
writer(void *arg)
{
	int fd = *(int *)arg;
	static char buf[200000];

	for (int i = 0; i < 5; i++)
		if (write(fd, buf, sizeof buf) != sizeof buf)
			printf("short write\n");
	close(fd);
	return NULL;
}

static void
pipes(void)
{
	char buf[70000] = "";
	struct pollfd pf;
	pthread_t th;
	ssize_t n, total = 0;
	int p[2], v;

	P(pipe2(p, 0x100000));
	P(pipe2(p, O_NONBLOCK));
	P(read(p[0], buf, 1));
	P(write(p[1], buf, 70000));
	P(write(p[1], buf, 1));
	P(ioctl(p[0], FIONREAD, &v));
	printf("%d\n", v);
	P(read(p[0], buf, 4095));
	P(write(p[1], buf, 4096));
	P(fcntl(p[0], F_GETPIPE_SZ));
	P(fcntl(p[0], F_SETPIPE_SZ, 4096));
	P(fcntl(p[0], F_SETPIPE_SZ, 100000));
	pf = (struct pollfd){p[1], POLLOUT, 0};
	P(poll(&pf, 1, 0));
	close(p[1]);
	while ((n = read(p[0], buf, sizeof buf)) > 0)
		total += n;
	printf("rest %zd, end %zd\n", total, n);
	pf = (struct pollfd){p[0], POLLIN, 0};
	P(poll(&pf, 1, 0));
	printf("%x\n", pf.revents);
	close(p[0]);
	P(pipe2(p, O_DIRECT));
	write(p[1], "one", 3);
	write(p[1], "two!", 4);
	P(read(p[0], buf, 2));
	P(read(p[0], buf, 100));
	close(p[0]);
	close(p[1]);
	pipe(p);
	pthread_create(&th, NULL, writer, &p[1]);
	total = 0;
	while ((n = read(p[0], buf, sizeof buf)) > 0)
		total += n;
	pthread_join(th, NULL);
	printf("through the pipe %zd\n", total);
	close(p[0]);
}

/* What is mapped before stays writable; later there is only reading. */
static void
seal_future(void)
{
	int fd = memfd_create("future", MFD_ALLOW_SEALING);
	char *before, *after;

	P(ftruncate(fd, 4096));
	before = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	P(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
	after = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	P(after == MAP_FAILED ? -1 : 0);
	P(mprotect(after, 4096, PROT_READ | PROT_WRITE));
	before[0] = 'x';
	P(after == MAP_FAILED ? -1 : after[0]);
	P(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	close(fd);
}

static void
others(void)
{
	char buf[64];
	int fd, fd2;
	DIR *d;
	struct dirent *e;
	int n = 0;

	OK(fd = memfd_create("mem", MFD_ALLOW_SEALING));
	write(fd, "sealed", 6);
	P(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK));
	P(ftruncate(fd, 3));
	P(pwrite(fd, "more", 4, 4));
	P(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	P(pwrite(fd, "x", 1, 0));
	P(fcntl(fd, F_GET_SEALS));
	P(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0);
	snprintf(buf, sizeof buf, "/proc/self/fd/%d", fd);
	memset(buf + 30, 0, 30);
	P(readlink(buf, buf + 30, 30));
	printf("%s\n", buf + 30);
	OK(fd2 = open(buf, O_RDONLY));
	P(read(fd2, buf, sizeof buf));
	seal_future();
	/* EINVAL, or EPERM where the file is in a tmpfs of the host. */
	P(fcntl(open("data", O_RDWR), F_ADD_SEALS, F_SEAL_WRITE) == -1);
	P(memfd_create("x", 0x8000));
	P(setxattr("data", "user.test", "value", 5, 0));
	P(setxattr("data", "user.test", "value", 5, XATTR_CREATE));
	P(getxattr("data", "user.test", buf, sizeof buf));
	P(getxattr("data", "user.test", buf, 2));
	P(getxattr("data", "user.none", buf, 2));
	P(getxattr("data", "bogus.none", buf, 2));
	P(removexattr("data", "user.test"));
	P(removexattr("data", "user.test"));
	P(setxattr("fifo", "user.test", "value", 5, 0));
	mkdir("many", 0755);
	for (int i = 0; i < 500; i++) {
		snprintf(buf, sizeof buf, "many/file%d", i);
		close(open(buf, O_CREAT | O_WRONLY, 0600));
	}
	d = opendir("many");
	while ((e = readdir(d)))
		n++;
	rewinddir(d);
	while ((e = readdir(d)))
		n++;
	printf("entries %d\n", n);
	closedir(d);
	P(rmdir("many"));
	for (int i = 0; i < 500; i++) {
		snprintf(buf, sizeof buf, "many/file%d", i);
		unlink(buf);
	}
	P(rmdir("many"));
	OK(fd = open("/dev/null", O_RDWR));
	P(write(fd, buf, 10));
	P(read(fd, buf, 10));
	OK(fd = open("/dev/zero", O_RDWR));
	P(read(fd, buf, 10));
	OK(fd = open("/dev/full", O_RDWR));
	P(write(fd, buf, 10));
	P(dup2(fd, 200));
	P(dup2(999, 3));
	P(dup2(fd, -1));
	P(dup3(fd, fd, 0));
	P(dup3(fd, 201, 77));
	P(fcntl(fd, F_DUPFD, 100));
	P(fcntl(fd, F_DUPFD, 1 << 30));
	P(fcntl(200, F_GETFD));
	P(fcntl(200, F_SETFD, FD_CLOEXEC));
	P(fcntl(200, F_GETFD));
	P(syscall(SYS_close_range, 200, 100, 0));
	P(syscall(SYS_close_range, 100, 300, 0));
	P(close(200));
	OK(fd = open("data", O_PATH));
	P(read(fd, buf, 1));
	P(fchmod(fd, 0600));
	P(ioctl(fd, FIONREAD, buf));
	OK(fstat(fd, &(struct stat){0}));
	P(fcntl(fd, F_GETFL));
}

static void
hints(void)
{
	uint64_t h = 77;
	int fd, fd2, p[2];

	OK(fd = open("hinted", O_CREAT | O_RDWR, 0600));
	OK(fd2 = open("hinted", O_RDONLY));
	P(fcntl(fd, F_GET_RW_HINT, &h));
	printf("%d\n", (int)h);
	for (h = 0; h < 8; h++)
		P(fcntl(fd, F_SET_RW_HINT, &h));
	P(fcntl(fd, F_SET_RW_HINT, NULL));
	P(fcntl(fd, F_GET_RW_HINT, NULL));
	P(fcntl(fd2, F_GET_RW_HINT, &h)); /* it is the file's */
	printf("%d\n", (int)h);
	h = RWH_WRITE_LIFE_SHORT;
	P(fcntl(fd2, F_SET_RW_HINT, &h));
	h = 77;
	P(fcntl(fd, F_GET_RW_HINT, &h));
	printf("%d\n", (int)h);
	close(fd);
	close(fd2);
	unlink("hinted");
	OK(fd = open(".", O_PATH));
	P(fcntl(fd, F_GET_RW_HINT, &h));
	close(fd);
	OK(pipe(p));
	h = RWH_WRITE_LIFE_LONG;
	P(fcntl(p[1], F_SET_RW_HINT, &h));
	P(fcntl(p[0], F_GET_RW_HINT, &h));
	printf("%d\n", (int)h);
	close(p[0]);
	close(p[1]);
}

int
main(void)
{
	hints();
	names();
	modes();
	data();
	pipes();
	others();
	return 0;
}
