/* SPDX-License-Identifier: Apache-2.0 */
/* Every call that takes a descriptor, with every kind of descriptor; those that take two, with
 * every pair. */
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <termios.h>

struct kind {
	const char *name;
	int fd;
};

static struct kind kinds[64];
static int nkinds;

static void
add(const char *name, int fd)
{
	if (fd < 0)
		printf("%s: %s\n", name, strerrorname_np(errno));
	else if (fcntl(fd, F_GETFL) >= 0 && !(fcntl(fd, F_GETFL) & O_PATH))
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	kinds[nkinds++] = (struct kind){name, fd};
}

static void
make(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int p[2], s[2], m, t, l;
	char ring[120] = {0}, queue[40];
	sigset_t none;

	sigemptyset(&none);
	l = open("text", O_CREAT | O_RDWR | O_TRUNC, 0644);
	write(l, "some text that is longer than what is moved here", 48);
	close(l);
	symlink("text", "link");
	mkdir("dir", 0755);
	mkfifo("fifo", 0644);
	add("read", open("text", O_RDONLY));
	add("write", open("text", O_WRONLY));
	add("rdwr", open("text", O_RDWR));
	add("append", open("text", O_RDWR | O_APPEND));
	add("path", open("text", O_PATH));
	add("pathlink", open("link", O_PATH | O_NOFOLLOW));
	add("dir", open("dir", O_RDONLY | O_DIRECTORY));
	add("pathdir", open("dir", O_PATH));
	add("fifo", open("fifo", O_RDWR));
	pipe(p);
	write(p[1], "piped", 5);
	add("pipe-r", p[0]);
	add("pipe-w", p[1]);
	socketpair(AF_UNIX, SOCK_STREAM, 0, s);
	write(s[1], "stream", 6);
	add("stream", s[0]);
	socketpair(AF_UNIX, SOCK_DGRAM, 0, s);
	write(s[1], "dgram", 5);
	add("dgram", s[0]);
	socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s);
	write(s[1], "packet", 6);
	add("seqpacket", s[0]);
	l = socket(AF_UNIX, SOCK_STREAM, 0);
	bind(l, (struct sockaddr *)&a, sizeof a.sun_family);
	listen(l, 1);
	add("listener", l);
	add("fresh", socket(AF_UNIX, SOCK_STREAM, 0));
	add("tcp", socket(AF_INET, SOCK_STREAM, 0));
	add("udp", socket(AF_INET, SOCK_DGRAM, 0));
	add("netlink", socket(AF_NETLINK, SOCK_RAW, 0));
	add("eventfd", eventfd(3, 0));
	add("epoll", epoll_create1(0));
	add("timerfd", timerfd_create(CLOCK_MONOTONIC, 0));
	add("signalfd", signalfd(-1, &none, 0));
	add("inotify", inotify_init1(0));
	add("memfd", memfd_create("mem", MFD_ALLOW_SEALING));
	add("ns", open("/proc/self/ns/uts", O_RDONLY));
	if (openpty(&m, &t, NULL, NULL, NULL) == 0) {
		add("ptmx", m);
		add("pts", t);
	}
	add("uring", (int)syscall(SYS_io_uring_setup, 4, ring));
	add("fanotify", (int)syscall(SYS_fanotify_init, 0, 0));
	add("fsopen", (int)syscall(SYS_fsopen, "tmpfs", 0));
	add("tree", (int)syscall(SYS_open_tree, AT_FDCWD, ".", 1 /* OPEN_TREE_CLONE */));
	snprintf(queue, sizeof queue, "/anyfd-%d", (int)getpid());
	add("mq", mq_open(queue, O_CREAT | O_RDWR, 0600, NULL));
	mq_unlink(queue);
	add("tmpfile", open(".", O_TMPFILE | O_RDWR, 0600));
	add("packet", socket(AF_PACKET, SOCK_RAW, 0));
	add("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	add("null", open("/dev/null", O_RDWR));
	add("zero", open("/dev/zero", O_RDWR));
	add("full", open("/dev/full", O_RDWR));
	add("urandom", open("/dev/urandom", O_RDONLY));
	add("proc", open("/proc/sys/kernel/hostname", O_RDONLY));
	add("procdir", open("/proc/self", O_RDONLY | O_DIRECTORY));
	add("closed", 900);
}

static char buf[4096];

static void
say(const char *call, const char *kind, long r)
{
	if (r < 0)
		printf("%s %s: %s\n", call, kind, strerrorname_np(errno));
	else
		printf("%s %s: %ld\n", call, kind, r);
}

/* For those whose value says nothing. */
#define ALL(expr)                                                                                  \
	for (int k = 0; k < nkinds; k++) {                                                         \
		int fd = kinds[k].fd;                                                              \
		long r;                                                                            \
                                                                                                   \
		errno = 0;                                                                         \
		r = (long)(expr);                                                                  \
		say(#expr, kinds[k].name, r);                                                      \
	}
#define ALL_OK(expr) ALL((expr) < 0 ? -1 : 0)

/* Of the file system that the test runs in, which is not the same everywhere. */
static bool
on_disk(int fd)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat("text", &b) == 0 && a.st_dev == b.st_dev;
}

static bool
is_ring(int fd)
{
	char name[40], to[40];
	ssize_t n;

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	n = readlink(name, to, sizeof to - 1);
	to[n > 0 ? n : 0] = 0;
	return strcmp(to, "anon_inode:[io_uring]") == 0;
}

static int
map(int fd, int prot, int flags)
{
	int n;
	void *p;

	/* A TCP socket can be mapped, for its zero copy of what comes in, and so can those of
	 * AF_PACKET with a ring; not in moat. A ring of io_uring is mapped shared there only. */
	if (getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &n, &(socklen_t){sizeof n}) == 0 &&
		n == IPPROTO_TCP)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &n, &(socklen_t){sizeof n}) == 0 &&
		n == AF_PACKET)
		return 0;
	if ((flags & MAP_PRIVATE) && is_ring(fd))
		return 0;
	p = mmap(NULL, 4096, prot, flags, fd, 0);
	if (p == MAP_FAILED)
		return -1;
	munmap(p, 4096);
	return 0;
}

static int
polled(int fd)
{
	struct pollfd p = {fd, POLLIN | POLLOUT | POLLPRI, 0};

	poll(&p, 1, 0);
	return p.revents;
}

static int
watched(int fd)
{
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0), r = epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), e = errno;

	close(ep);
	errno = e;
	return r;
}

static const char *
name_of(int fd)
{
	static char name[40];

	snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	return name;
}

static int
reopen(int fd, int flags)
{
	int n = open(name_of(fd), flags);

	if (n >= 0)
		close(n);
	return n < 0 ? -1 : 0;
}

static void
by_name(void)
{
	struct stat st, st2;
	int home = open(".", O_PATH);

	ALL(reopen(fd, O_RDONLY | O_NONBLOCK | O_NOCTTY));
	ALL(reopen(fd, O_WRONLY | O_NONBLOCK | O_NOCTTY));
	ALL(reopen(fd, O_RDWR | O_APPEND | O_NONBLOCK | O_NOCTTY));
	ALL(reopen(fd, O_PATH));
	ALL(reopen(fd, O_DIRECTORY));
	ALL(reopen(fd, O_RDONLY | O_NOFOLLOW));
	ALL(stat(name_of(fd), &st) || fstat(fd, &st2) ? -1 : st.st_ino == st2.st_ino);
	ALL_OK(access(name_of(fd), R_OK));
	ALL_OK(access(name_of(fd), X_OK));
	ALL_OK(truncate(name_of(fd), 48));
	ALL_OK(chdir(name_of(fd)) ? -1 : fchdir(home));
	ALL_OK(getxattr(name_of(fd), "user.none", buf, sizeof buf));
	ALL_OK(link(name_of(fd), "dir"));
	ALL_OK(rmdir(name_of(fd)));
	close(home);
}

static void
ones(void)
{
	struct iovec v = {buf, 0};
	struct stat st;
	struct statfs sf;
	struct statx sx;
	struct flock lk = {.l_type = F_RDLCK};
	struct termios tio;
	struct winsize ws;
	struct fiemap extents = {.fm_length = 1};
	long qsize;
	struct itimerspec its;
	struct sockaddr_storage ss;
	socklen_t len = 0;
	sigset_t set;
	int n = 0, home = open(".", O_PATH);

	sigemptyset(&set);
	ALL(read(fd, buf, 0));
	ALL(write(fd, buf, 0));
	ALL(pread(fd, buf, 1, 100000));
	ALL(pwrite(fd, buf, 0, 0));
	ALL(readv(fd, &v, 1));
	ALL(writev(fd, &v, 1));
	ALL(preadv2(fd, &v, 1, -1, 0));
	ALL(preadv2(fd, &v, 1, 0, RWF_NOWAIT));
	ALL(pwritev2(fd, &v, 1, 0, RWF_APPEND));
	ALL(pwritev2(fd, &v, 1, 0, 0x4000000));
	ALL(lseek(fd, 0, SEEK_SET));
	ALL(lseek(fd, 0, SEEK_CUR));
	ALL(lseek(fd, -1, SEEK_SET));
	ALL(lseek(fd, 0, 77));
	ALL(fstat(fd, &st) ? -1 : (long)(st.st_mode & S_IFMT));
	ALL_OK(fstatfs(fd, &sf));
	ALL_OK(fstatat(fd, "", &st, AT_EMPTY_PATH));
	ALL_OK(fstatat(fd, "x", &st, 0));
	ALL_OK(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &sx));
	ALL_OK(openat(fd, "x", O_RDONLY));
	ALL(readlinkat(fd, "", buf, sizeof buf));
	ALL_OK(faccessat(fd, "x", R_OK, 0));
	ALL_OK(fchdir(fd) ? -1 : fchdir(home));
	ALL_OK(fsync(fd));
	ALL_OK(fdatasync(fd));
	ALL_OK(syncfs(fd));
	ALL_OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	ALL_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4096));
	ALL_OK(posix_fadvise(fd, 0, 0, POSIX_FADV_NORMAL));
	ALL_OK(readahead(fd, 0, 100));
	ALL_OK(flock(fd, LOCK_SH | LOCK_NB));
	ALL_OK(flock(fd, LOCK_UN));
	ALL_OK(fcntl(fd, F_GETLK, &lk));
	ALL_OK(fcntl(fd, F_GETFD));
	ALL(fcntl(fd, F_GETOWN));
	ALL(fcntl(fd, F_GETSIG));
	ALL(fcntl(fd, F_GETLEASE));
	ALL_OK(fcntl(fd, F_GETPIPE_SZ));
	ALL(fcntl(fd, F_GET_SEALS));
	ALL(fcntl(fd, 7777));
	ALL_OK(ioctl(fd, FIONREAD, &n));
	ALL_OK(ioctl(fd, TCGETS, &tio));
	ALL_OK(ioctl(fd, TIOCGWINSZ, &ws));
	ALL_OK(ioctl(fd, TIOCGSID, &n));
	ALL_OK(ioctl(fd, FIOCLEX));
	ALL_OK(ioctl(fd, FIONBIO, (int[]){1}));
	ALL_OK(ioctl(fd, 0x12345678, &n));
	ALL_OK(ioctl(fd, FIGETBSZ, &n));
	ALL_OK(ioctl(fd, FIOQSIZE, &qsize));
	/* that of a disk's file system is its own */
	ALL_OK(ioctl(fd, FICLONERANGE, NULL));
	ALL_OK(on_disk(fd) ? 0 : ioctl(fd, FS_IOC_FIEMAP, &extents));
	ALL(fgetxattr(fd, "user.none", buf, sizeof buf));
	ALL_OK(flistxattr(fd, buf, sizeof buf));
	ALL(map(fd, PROT_READ, MAP_PRIVATE));
	ALL(map(fd, PROT_READ, MAP_SHARED));
	ALL(map(fd, PROT_READ | PROT_WRITE, MAP_SHARED));
	ALL(map(fd, PROT_NONE, MAP_SHARED_VALIDATE));
	ALL(polled(fd));
	ALL(watched(fd));
	ALL_OK(epoll_wait(fd, &(struct epoll_event){0}, 1, 0));
	ALL_OK(epoll_ctl(fd, EPOLL_CTL_DEL, kinds[0].fd, NULL));
	ALL_OK(timerfd_gettime(fd, &its));
	ALL_OK(signalfd(fd, &set, 0));
	ALL_OK(inotify_rm_watch(fd, 99));
	ALL_OK(inotify_add_watch(fd, "text", 0));
	ALL_OK(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	ALL_OK(syscall(SYS_pidfd_getfd, fd, 0, 0));
	ALL_OK(syscall(SYS_setns, fd, 0x7fffffff));
	ALL_OK(syscall(SYS_mq_getsetattr, fd, NULL, NULL));
	ALL_OK((len = sizeof ss, getsockname(fd, (struct sockaddr *)&ss, &len)));
	ALL_OK((len = sizeof ss, getpeername(fd, (struct sockaddr *)&ss, &len)));
	ALL((len = sizeof n, getsockopt(fd, SOL_SOCKET, SO_TYPE, &n, &len) ? -1 : n));
	ALL_OK((n = 1, setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &n, sizeof n)));
	ALL_OK(accept(fd, NULL, NULL));
	ALL(recv(fd, buf, 0, MSG_DONTWAIT | MSG_PEEK));
	ALL(send(fd, buf, 0, MSG_DONTWAIT | MSG_NOSIGNAL));
	ALL_OK(vmsplice(fd, &v, 0, SPLICE_F_NONBLOCK));
	ALL(getdents64(fd, buf, sizeof buf) < 0 ? -1 : 0);
	ALL_OK(fchmodat(fd, "x", 0600, 0));
	ALL_OK(unlinkat(fd, "x", 0));
	ALL_OK(mkdirat(fd, "text/x", 0700));
	ALL_OK(linkat(fd, "x", AT_FDCWD, "y", 0));
	ALL_OK(utimensat(fd, "x", NULL, 0));
	ALL_OK(syscall(SYS_close_range, fd, fd - 1, 0));
	ALL_OK(ftruncate(fd, -1));
	ALL_OK(syscall(SYS_execveat, fd, "x", NULL, NULL, 0));
}

/* One of a file system of its own, which is a regular file for some and has no type for others:
 * only with what is made for it. */
static void
pidfd(void)
{
	struct iovec v = {buf, 0};
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	SHOW(read(fd, buf, 0));
	SHOW(pread(fd, buf, 1, 0));
	SHOW(readv(fd, &v, 1));
	SHOW(writev(fd, &v, 1));
	SHOW(lseek(fd, 0, SEEK_SET));
	SHOW(polled(fd));
	SHOW(watched(fd));
	SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	WORKS(syscall(SYS_pidfd_getfd, fd, 0, 0));
	SHOW(syscall(SYS_setns, fd, 0x7fffffff));
	SHOW(ioctl(fd, FIONREAD, &(int){0}));
	close(fd);
}

/* What is no file of a disk has no extents to share; which of the kinds without names are of one
 * file system is nobody's business. */
static bool
may_clone(int from, int to)
{
	struct stat a = {0}, b = {0};

	fstat(from, &a);
	fstat(to, &b);
	return (S_ISREG(a.st_mode) || S_ISREG(b.st_mode)) && !(on_disk(from) && on_disk(to));
}

#define PAIRS(expr)                                                                                \
	for (int i = 0; i < nkinds; i++)                                                           \
		for (int k = 0; k < nkinds; k++) {                                                 \
			int from = kinds[i].fd, to = kinds[k].fd;                                  \
			char both[64];                                                             \
			long r;                                                                    \
                                                                                                   \
			errno = 0;                                                                 \
			r = (long)(expr);                                                          \
			snprintf(both, sizeof both, "%s %s", kinds[i].name, kinds[k].name);        \
			say(#expr, both, r);                                                       \
		}

/* Nothing is moved, or the last pairs would see what the first have done. */
static void
pairs(void)
{
	PAIRS(copy_file_range(from, NULL, to, NULL, 0, 0));
	PAIRS(copy_file_range(from, &(off64_t){0}, to, &(off64_t){0}, 0, 0));
	PAIRS(sendfile(to, from, NULL, 0));
	PAIRS(sendfile(to, from, &(off_t){0}, 0));
	PAIRS(splice(from, NULL, to, NULL, 0, SPLICE_F_NONBLOCK));
	PAIRS(splice(from, NULL, to, NULL, 1000, SPLICE_F_NONBLOCK | 0x40));
	PAIRS(tee(from, to, 0, SPLICE_F_NONBLOCK));
	PAIRS(may_clone(from, to) ? ioctl(to, FICLONE, from) : 0);
}

/* What statfs(2) says that a file without a name is of. */
static void
file_systems(void)
{
	struct statfs sf;
	int p[2], fds[6];

	if (pipe(p))
		return;
	fds[0] = p[0];
	fds[1] = socket(AF_UNIX, SOCK_STREAM, 0);
	fds[2] = memfd_create("m", 0);
	fds[3] = eventfd(0, 0);
	fds[4] = open("/proc/self/ns/net", O_RDONLY);
	fds[5] = open("/proc/self/ns/mnt", O_RDONLY);
	for (int i = 0; i < 6; i++) {
		fstatfs(fds[i], &sf);
		printf("file system %lx\n", (long)sf.f_type);
		close(fds[i]);
	}
	close(p[1]);
	statfs("/proc/self/ns/user", &sf);
	printf("file system %lx\n", (long)sf.f_type);
}

int
main(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	make();
	file_systems();
	ones();
	by_name();
	pidfd();
	for (int k = 0; k < nkinds; k++)
		lseek(kinds[k].fd, 0, SEEK_SET); /* where the end of a directory is, is its own */
	pairs();
	return 0;
}
