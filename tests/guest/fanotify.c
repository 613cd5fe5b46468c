/* SPDX-License-Identifier: Apache-2.0 */
/* fanotify(7): which events each mark raises, what they name, who is asked, and who may. */
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define TARGET_FID  0x1000
#define RENAMES	    0x10000000
#define IGNORE_MARK 0x400
#define EVICTABLE   0x200

static int fan;

static const struct {
	uint64_t bit;
	const char *name;
} names[] = {{FAN_ACCESS, "ACCESS"}, {FAN_MODIFY, "MODIFY"}, {FAN_ATTRIB, "ATTRIB"},
	{FAN_CLOSE_WRITE, "CLOSE_WRITE"}, {FAN_CLOSE_NOWRITE, "CLOSE_NOWRITE"}, {FAN_OPEN, "OPEN"},
	{FAN_MOVED_FROM, "MOVED_FROM"}, {FAN_MOVED_TO, "MOVED_TO"}, {FAN_CREATE, "CREATE"},
	{FAN_DELETE, "DELETE"}, {FAN_DELETE_SELF, "DELETE_SELF"}, {FAN_MOVE_SELF, "MOVE_SELF"},
	{FAN_OPEN_EXEC, "OPEN_EXEC"}, {FAN_Q_OVERFLOW, "OVERFLOW"}, {FAN_OPEN_PERM, "OPEN_PERM"},
	{FAN_ACCESS_PERM, "ACCESS_PERM"}, {FAN_OPEN_EXEC_PERM, "OPEN_EXEC_PERM"},
	{RENAMES, "RENAME"}, {FAN_ONDIR, "ONDIR"}};

struct fid {
	struct fanotify_event_info_header h;
	int fsid[2];
	struct file_handle fh;
};

/* Files that were seen, by their handles. */
static struct {
	char name[32];
	unsigned len;
	int type;
	unsigned char bytes[128];
} known[32];
static int nknown;

static void
know(const char *name)
{
	struct {
		struct file_handle h;
		unsigned char room[128];
	} b = {.h.handle_bytes = 128};
	int mnt;

	if (name_to_handle_at(AT_FDCWD, name, &b.h, &mnt, 0x200)) {
		printf("no handle of %s: %s\n", name, strerrorname_np(errno));
		return;
	}
	snprintf(known[nknown].name, sizeof known[0].name, "%s", name);
	known[nknown].len = b.h.handle_bytes;
	known[nknown].type = b.h.handle_type;
	memcpy(known[nknown++].bytes, b.h.f_handle, b.h.handle_bytes);
}

static const char *
who(const struct fid *f)
{
	for (int i = 0; i < nknown; i++)
		if (known[i].type == f->fh.handle_type && known[i].len == f->fh.handle_bytes &&
			!memcmp(known[i].bytes, f->fh.f_handle, known[i].len))
			return known[i].name;
	return "?";
}

static void
records(struct fanotify_event_metadata *m)
{
	char *at = (char *)m + m->metadata_len, *end = (char *)m + m->event_len;
	struct statfs fs;

	statfs(".", &fs);
	while (at < end) {
		struct fid *f = (void *)at;

		if (f->h.info_type == 4) {
			int *pidfd = (int *)(at + 4);

			printf(" [pidfd %s]", *pidfd >= 0 ? "yes" : "no");
			if (*pidfd >= 0)
				close(*pidfd);
		} else {
			char *name = (char *)f->fh.f_handle + f->fh.handle_bytes;
			int named = f->h.info_type == 2 || f->h.info_type >= 10;

			printf(" [%d %s%s%s%s]", f->h.info_type, who(f), named ? " " : "",
				named ? name : "",
				memcmp(f->fsid, &fs.f_fsid, sizeof f->fsid) ? " fsid?" : "");
			if (f->h.len % 4)
				printf(" odd length");
		}
		at += f->h.len;
	}
}

static const char *
file_of(int fd, char *buf)
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, buf, 4095);
	buf[n > 0 ? n : 0] = 0;
	return strrchr(buf, '/') ? strrchr(buf, '/') + 1 : buf;
}

/* Print and empty the queue. */
static void
events(const char *what)
{
	char buf[65536] __attribute__((aligned(8))), path[4096];
	ssize_t n;

	printf("%s:\n", what);
	while ((n = read(fan, buf, sizeof buf)) > 0) {
		struct fanotify_event_metadata *m = (void *)buf;

		for (; FAN_EVENT_OK(m, n); m = FAN_EVENT_NEXT(m, n)) {
			printf("   %d", m->vers);
			for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
				if (m->mask & names[i].bit)
					printf(" %s", names[i].name);
			if (m->fd >= 0) {
				printf(" fd %s %s", file_of(m->fd, path),
					fcntl(m->fd, F_GETFD) ? "cloexec" : "kept");
				close(m->fd);
			} else if (m->fd != FAN_NOFD) {
				printf(" fd %d", m->fd);
			}
			records(m);
			printf(" pid %s\n", m->pid == getpid() ? "ours" : m->pid ? "other" : "0");
		}
	}
	if (n < 0 && errno != EAGAIN)
		printf("   %s\n", strerrorname_np(errno));
}

static int
start(unsigned flags, unsigned event_flags)
{
	fan = fanotify_init(flags | FAN_NONBLOCK | FAN_CLOEXEC, event_flags);
	return fan < 0 ? -1 : 0;
}

static int
add(unsigned flags, uint64_t mask, const char *path)
{
	return fanotify_mark(fan, FAN_MARK_ADD | flags, mask, AT_FDCWD, path);
}

static int
take(unsigned flags, uint64_t mask, const char *path)
{
	return fanotify_mark(fan, FAN_MARK_REMOVE | flags, mask, AT_FDCWD, path);
}

static void
put(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0755);

	write(fd, text, strlen(text));
	close(fd);
}

static void
get(const char *path)
{
	char c;
	int fd = open(path, O_RDONLY);

	read(fd, &c, 1);
	close(fd);
}

static void
run(const char *path)
{
	fflush(stdout);
	if (!fork()) {
		execl(path, path, NULL);
		_exit(1);
	}
	wait(NULL);
}

static void
who_may(void)
{
	SHOW(fanotify_init(FAN_CLASS_NOTIF, 3));
	SHOW(fanotify_init(FAN_CLASS_NOTIF, O_CREAT));
	SHOW(fanotify_init(0x80000000, 0));
	SHOW(fanotify_init(FAN_CLASS_CONTENT | FAN_CLASS_PRE_CONTENT, 0));
	SHOW(fanotify_init(FAN_CLASS_CONTENT | FAN_REPORT_FID, 0));
	SHOW(fanotify_init(FAN_REPORT_NAME, 0));
	SHOW(fanotify_init(FAN_REPORT_DFID_NAME | TARGET_FID, 0));
	SHOW(fanotify_init(FAN_REPORT_PIDFD | FAN_REPORT_TID, 0));
	SHOW(start(0, O_RDONLY));
	SHOW(fcntl(fan, F_GETFL) & (O_ACCMODE | O_NONBLOCK));
	SHOW(fcntl(fan, F_GETFD));
	put("f", "text");
	mkdir("d", 0755);
	SHOW(fanotify_mark(fan, 0, FAN_OPEN, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fan, 3, FAN_OPEN, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fan, FAN_MARK_ADD, 0, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fan, FAN_MARK_ADD, 1ull << 33, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fan, FAN_MARK_ADD, FAN_Q_OVERFLOW, AT_FDCWD, "f"));
	SHOW(fanotify_mark(fan, FAN_MARK_ADD | 0x10000, FAN_OPEN, AT_FDCWD, "f"));
	SHOW(fanotify_mark(99, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "f"));
	SHOW(fanotify_mark(1, FAN_MARK_ADD, FAN_OPEN, AT_FDCWD, "f"));
	SHOW(add(0, FAN_OPEN, "nothing"));
	SHOW(add(FAN_MARK_ONLYDIR, FAN_OPEN, "f"));
	SHOW(add(0, FAN_CREATE, "d"));
	SHOW(add(0, FAN_ATTRIB, "f"));
	SHOW(add(0, FAN_OPEN_PERM, "f"));
	SHOW(add(FAN_MARK_MOUNT | FAN_MARK_FILESYSTEM, FAN_OPEN, "f"));
	SHOW(add(FAN_MARK_IGNORED_MASK | IGNORE_MARK, FAN_OPEN, "f"));
	SHOW(add(IGNORE_MARK, FAN_OPEN | FAN_ONDIR, "d"));
	SHOW(add(IGNORE_MARK | FAN_MARK_MOUNT, FAN_OPEN, "d"));
	SHOW(add(EVICTABLE | FAN_MARK_MOUNT, FAN_OPEN, "d"));
	SHOW(take(0, FAN_OPEN, "f"));
	SHOW(fanotify_mark(fan, FAN_MARK_FLUSH | FAN_MARK_ONLYDIR, 0, AT_FDCWD, "."));
	SHOW(fanotify_mark(fan, FAN_MARK_FLUSH, 0, AT_FDCWD, "."));
	SHOW(add(0, FAN_OPEN, "f"));
	SHOW(add(EVICTABLE, FAN_OPEN, "f"));
	SHOW(take(0, FAN_OPEN, "f"));
	SHOW(take(0, FAN_OPEN, "f"));
	close(fan);
	fflush(stdout);
	if (fork()) {
		wait(NULL);
		return;
	}
	put("mine", "text");
	chown("mine", 1000, 1000);
	chmod("f", 0600);
	setgid(1000);
	setuid(1000);
	SHOW(start(0, 0));
	SHOW(start(FAN_REPORT_FID | FAN_UNLIMITED_QUEUE, 0));
	SHOW(start(FAN_REPORT_FID | FAN_REPORT_TID, 0));
	SHOW(start(FAN_REPORT_FID, 0));
	SHOW(add(FAN_MARK_MOUNT, FAN_OPEN, "."));
	SHOW(add(FAN_MARK_FILESYSTEM, FAN_OPEN, "."));
	SHOW(add(0, FAN_OPEN | FAN_CLOSE, "f"));
	SHOW(add(0, FAN_OPEN | FAN_CLOSE, "mine"));
	know("mine");
	get("mine");
	events("own doing");
	fflush(stdout);
	if (!fork()) {
		get("mine");
		_exit(0);
	}
	wait(NULL);
	events("of another");
	fflush(stdout);
	_exit(0);
}

#define TOUCHED                                                                                    \
	(FAN_OPEN | FAN_ACCESS | FAN_MODIFY | FAN_CLOSE | FAN_OPEN_EXEC | FAN_EVENT_ON_CHILD |     \
		FAN_ONDIR)

static void
touch_all(void)
{
	int fd;
	char *m;

	put("d/a", "one");
	events("made d/a");
	get("d/a");
	events("read d/a");
	fd = open("d/a", O_RDWR);
	write(fd, "x", 1);
	read(fd, &(char){0}, 1);
	write(fd, "x", 1);
	m = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (m != MAP_FAILED)
		munmap(m, 4096);
	ftruncate(fd, 2);
	fallocate(fd, 0, 0, 10);
	close(fd);
	events("used d/a");
	chmod("d/a", 0700);
	truncate("d/a", 1);
	events("changed d/a");
	closedir(opendir("d"));
	events("opened d");
	DIR *dir = opendir("d");
	while (readdir(dir))
		;
	closedir(dir);
	events("listed d");
	run("d/a");
	events("ran d/a");
	rename("d/a", "d/b");
	events("moved");
	link("d/b", "d/c");
	unlink("d/c");
	mkdir("d/sub", 0755);
	rmdir("d/sub");
	events("linked");
	unlink("d/b");
	events("removed");
}

/* With descriptors, on a file, a directory, and a mount. */
static void
descriptors(void)
{
	char path[4096];

	printf("== descriptors\n");
	SHOW(start(0, O_RDONLY | O_CLOEXEC));
	SHOW(add(0, TOUCHED, "d"));
	touch_all();
	SHOW(fanotify_mark(fan, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL));
	SHOW(add(0, FAN_OPEN, "d"));
	touch_all();
	close(fan);

	SHOW(start(FAN_REPORT_TID, O_RDWR));
	put("e", "e");
	SHOW(add(0, TOUCHED, "e"));
	get("e");
	put("e", "more");
	events("e");
	/* by another name of the same file */
	link("e", "e2");
	get("e2");
	events("e2");
	SHOW(rename("e2", "e3"));
	unlink("e3");
	/* ignored, until it changes */
	SHOW(add(FAN_MARK_IGNORED_MASK, FAN_OPEN, "e"));
	get("e");
	events("open ignored");
	put("e", "x");
	get("e");
	events("no longer");
	SHOW(add(FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_CLOSE, "e"));
	put("e", "x");
	get("e");
	events("close ignored");
	SHOW(take(FAN_MARK_IGNORED_MASK, FAN_CLOSE, "e"));
	get("e");
	events("told again");
	SHOW(take(0, TOUCHED, "e"));
	get("e");
	events("nothing");
	close(fan);

	SHOW(start(FAN_REPORT_PIDFD, O_RDONLY));
	SHOW(add(FAN_MARK_MOUNT, FAN_OPEN | FAN_CLOSE_WRITE, "m"));
	put("m/x", "x");
	get("e");
	mkdir("m/dir", 0755);
	closedir(opendir("m/dir"));
	events("mount");
	SHOW(add(FAN_MARK_MOUNT, FAN_ONDIR, "m"));
	closedir(opendir("m/dir"));
	events("mount with directories");
	get("b/x"); /* the same file through another mount */
	events("the other mount");
	SHOW(add(FAN_MARK_FILESYSTEM, FAN_CLOSE_NOWRITE, "m/x"));
	get("b/x");
	events("file system");
	get("m/x");
	SHOW(ioctl(fan, FIONREAD, path) == 0 && *(int *)path > 0);
	struct pollfd p = {fan, POLLIN | POLLOUT, 0};
	SHOW(poll(&p, 1, 0));
	printf("%x\n", p.revents);
	SHOW(read(fan, path, 10));
	events("both");
	SHOW(poll(&p, 1, 0));
	SHOW(fanotify_mark(fan, FAN_MARK_FLUSH | FAN_MARK_MOUNT, 0, AT_FDCWD, NULL));
	get("m/x");
	events("file system alone");
	SHOW(add(FAN_MARK_IGNORED_MASK, FAN_CLOSE_NOWRITE, "m/x"));
	get("m/x");
	events("ignored");
	close(fan);

	/* what is done with such a descriptor is not told */
	SHOW(start(0, O_RDWR));
	SHOW(add(0, FAN_OPEN | FAN_ACCESS | FAN_CLOSE, "e"));
	get("e");
	events("once");
	events("not again");
	/* and gone with its mount */
	SHOW(add(FAN_MARK_MOUNT, FAN_OPEN, "b"));
	SHOW(umount("b"));
	close(fan);
}

static void
handles_of(unsigned flags)
{
	printf("== handles %x\n", flags);
	SHOW(start(flags, 0));
	nknown = 0;
	put("d/old", "x");
	know("d");
	know("d/old");
	know("e");
	know("t");
	SHOW(add(0,
		TOUCHED | FAN_ATTRIB | FAN_CREATE | FAN_DELETE | FAN_MOVE | FAN_DELETE_SELF |
			FAN_MOVE_SELF | (flags & FAN_REPORT_NAME ? RENAMES : 0),
		"d"));
	get("d/old");
	events("read");
	chmod("d/old", 0700);
	chmod("d", 0700);
	chmod("d", 0755);
	events("chmod");
	truncate("d/old", 0);
	events("cut");
	put("d/n", "x");
	unlink("d/n");
	events("made and gone");
	mkdir("d/s", 0755);
	rmdir("d/s");
	events("directory made and gone");
	rename("d/old", "d/new");
	events("moved inside");
	rename("d/new", "t/old");
	events("moved out");
	rename("t/old", "d/old");
	events("moved in");
	SHOW(add(0, FAN_DELETE_SELF | FAN_ATTRIB | FAN_MOVE_SELF | FAN_OPEN, "e"));
	get("e");
	rename("e", "e4");
	link("e4", "e5");
	events("e moved");
	rename("e4", "d/e");
	rename("d/e", "e");
	events("e in and out");
	unlink("e5");
	unlink("e");
	events("e gone");
	put("e", "e");
	get("e");
	events("another e");
	SHOW(take(0, FAN_OPEN, "e"));
	rename("d", "d2");
	rename("d2", "d");
	events("d moved");
	unlink("d/old");
	rmdir("d");
	events("d gone");
	mkdir("d", 0755);
	close(fan);
}

static void
handles(void)
{
	struct {
		struct file_handle h;
		char room[128];
	} b = {.h.handle_bytes = 0};
	int id, was;

	SHOW(name_to_handle_at(AT_FDCWD, "e", &b.h, &id, 0x200));
	was = (int)b.h.handle_bytes;
	TRUE(was > 0);
	b.h.handle_bytes = 129;
	SHOW(name_to_handle_at(AT_FDCWD, "e", &b.h, &id, 0x200));
	SHOW(name_to_handle_at(AT_FDCWD, "e", &b.h, &id, 0x10000));
	SHOW(name_to_handle_at(AT_FDCWD, "nothing", &b.h, &id, 0x200));
	b.h.handle_bytes = 128;
	SHOW(name_to_handle_at(AT_FDCWD, "e", NULL, &id, 0x200));
	SHOW(name_to_handle_at(AT_FDCWD, "e", &b.h, NULL, 0x200));
	SHOW(name_to_handle_at(AT_FDCWD, "e", &b.h, &id, 0x200));
	TRUE((int)b.h.handle_bytes == was);
	struct statx x;
	statx(AT_FDCWD, "e", 0, 0x1000, &x);
	TRUE((int)x.stx_mnt_id == id);
	mkdir("t", 0755);
	handles_of(FAN_REPORT_FID);
	handles_of(FAN_REPORT_DIR_FID);
	handles_of(FAN_REPORT_FID | FAN_REPORT_DIR_FID);
	handles_of(FAN_REPORT_DFID_NAME);
	handles_of(FAN_REPORT_DFID_NAME | FAN_REPORT_FID);
	handles_of(FAN_REPORT_DFID_NAME | FAN_REPORT_FID | TARGET_FID);
	rmdir("t");
}

/* A child acts; the answers are ours. */
static int
asked(const char *what, void (*act)(void), const unsigned *answers)
{
	char buf[4096] __attribute__((aligned(8))), path[4096];
	struct pollfd p = {fan, POLLIN, 0};
	int pid, status = 0;

	printf("%s:\n", what);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		act();
		fflush(stdout);
		_exit(0);
	}
	while (poll(&p, 1, *answers ? 5000 : 200) > 0) {
		ssize_t n = read(fan, buf, sizeof buf);
		struct fanotify_event_metadata *m = (void *)buf;

		for (; n > 0 && FAN_EVENT_OK(m, n); m = FAN_EVENT_NEXT(m, n)) {
			struct fanotify_response r = {m->fd, *answers};

			printf("  ");
			for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
				if (m->mask & names[i].bit)
					printf(" %s", names[i].name);
			printf(" %s %s", file_of(m->fd, path), m->pid == pid ? "child" : "other");
			if (!(m->mask & (FAN_OPEN_PERM | FAN_ACCESS_PERM | FAN_OPEN_EXEC_PERM))) {
				printf("\n");
			} else {
				printf(" answered %u\n", *answers);
				fflush(stdout);
				if (write(fan, &r, sizeof r) != sizeof r)
					printf("   answer: %s\n", strerrorname_np(errno));
				answers += *answers ? 1 : 0;
			}
			close(m->fd);
		}
	}
	fflush(stdout);
	waitpid(pid, &status, 0);
	return status;
}

static void
act_open(void)
{
	int fd = open("e", O_RDONLY);
	char c;

	printf("   open %s\n", fd < 0 ? strerrorname_np(errno) : "ok");
	if (fd >= 0)
		printf("   read %s\n", read(fd, &c, 1) < 0 ? strerrorname_np(errno) : "ok");
}

static void
act_exec(void)
{
	execl("./run", "run", NULL);
	printf("   exec %s\n", strerrorname_np(errno));
}

static void
questions(void)
{
	const unsigned yes[] = {FAN_ALLOW, FAN_ALLOW, 0};
	const unsigned no[] = {FAN_DENY, 0}, yes_no[] = {FAN_ALLOW, FAN_DENY, 0};
	struct fanotify_response r = {5, FAN_ALLOW};
	int pid, fd;

	printf("== questions\n");
	put("run", "not a program");
	SHOW(start(FAN_CLASS_CONTENT, O_RDONLY));
	SHOW(add(0, FAN_OPEN_PERM | FAN_ACCESS_PERM, "e"));
	SHOW(add(0, FAN_OPEN_EXEC_PERM, "run"));
	asked("allowed", act_open, yes);
	asked("not to be read", act_open, yes_no);
	asked("not to be opened", act_open, no);
	asked("not to be run", act_exec, no);
	SHOW(write(fan, &r, sizeof r));
	r.response = 7;
	SHOW(write(fan, &r, sizeof r));
	r = (struct fanotify_response){-1, FAN_ALLOW};
	SHOW(write(fan, &r, sizeof r));
	SHOW(write(fan, &r, 3));
	/* killed while it waits */
	fflush(stdout);
	pid = fork();
	if (!pid) {
		open("e", O_RDONLY);
		_exit(0);
	}
	sleep_ms(100);
	SHOW(waitpid(pid, NULL, WNOHANG));
	kill(pid, SIGKILL);
	SHOW(waitpid(pid, NULL, 0) == pid);
	events("none is left");
	/* killed when it was read, and then answered */
	pid = fork();
	if (!pid) {
		open("e", O_RDONLY);
		_exit(0);
	}
	struct fanotify_event_metadata m;
	struct pollfd p = {fan, POLLIN, 0};
	poll(&p, 1, 5000);
	SHOW(read(fan, &m, sizeof m));
	kill(pid, SIGKILL);
	SHOW(waitpid(pid, NULL, 0) == pid);
	r = (struct fanotify_response){m.fd, FAN_ALLOW};
	SHOW(write(fan, &r, sizeof r));
	SHOW(write(fan, &r, sizeof r));
	close(m.fd);
	/* nobody answers any more */
	fflush(stdout);
	pid = fork();
	if (!pid) {
		close(fan); /* the parent's is the last */
		fd = open("e", O_RDONLY);
		printf("opened %s\n", fd < 0 ? strerrorname_np(errno) : "ok");
		fflush(stdout);
		_exit(0);
	}
	poll(&p, 1, 5000);
	close(fan);
	waitpid(pid, NULL, 0);
	unlink("run");
}

static void
fdinfo(void)
{
	char path[64], line[300];
	FILE *f;

	printf("== fdinfo\n");
	SHOW(start(FAN_REPORT_TID, O_RDWR));
	SHOW(add(0, FAN_OPEN | FAN_CLOSE, "e"));
	SHOW(add(FAN_MARK_MOUNT, FAN_OPEN, "m"));
	SHOW(add(FAN_MARK_IGNORED_MASK | FAN_MARK_IGNORED_SURV_MODIFY, FAN_CLOSE, "e"));
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fan);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "fanotify", 8)) {
			char *mflags = strstr(line, "mflags"), *fhandle = strstr(line, " fhandle");

			if (fhandle)
				*fhandle = 0;
			printf("%.12s ... %s%s", line, mflags ? mflags : line,
				strchr(line, '\n') ? "" : "\n");
		}
	fclose(f);
	close(fan);
}

static void
overflow(void)
{
	char name[32], buf[8192] __attribute__((aligned(8)));
	int n = 0, lost = 0;
	ssize_t r;

	printf("== overflow\n");
	SHOW(start(FAN_REPORT_DFID_NAME, 0));
	SHOW(add(0, FAN_CREATE, "d"));
	for (int i = 0; i < 16400; i++) {
		snprintf(name, sizeof name, "d/%d", i);
		mknod(name, S_IFREG | 0644, 0);
	}
	while ((r = read(fan, buf, sizeof buf)) > 0) {
		struct fanotify_event_metadata *m = (void *)buf;

		for (; FAN_EVENT_OK(m, r); m = FAN_EVENT_NEXT(m, r)) {
			n++;
			if (m->mask & FAN_Q_OVERFLOW)
				lost = n;
		}
	}
	printf("%d, lost at %d\n", n, lost);
	for (int i = 0; i < 16400; i++) {
		snprintf(name, sizeof name, "d/%d", i);
		unlink(name);
	}
	close(fan);
}

int
main(void)
{
	if (unshare(CLONE_NEWNS)) {
		printf("no right to mount\n");
		return 77;
	}
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	mkdir("w", 0755);
	if (mount("w", "w", "tmpfs", 0, NULL) || chdir("w"))
		return 77;
	mkdir("m", 0755);
	mkdir("b", 0755);
	mount("m", "m", "tmpfs", 0, NULL);
	mount("m", "b", NULL, MS_BIND, NULL);
	who_may();
	descriptors();
	handles();
	questions();
	fdinfo();
	overflow();
	umount("m");
	chdir("..");
	umount("w");
	rmdir("w");
	return 0;
}
