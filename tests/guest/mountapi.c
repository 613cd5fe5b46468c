/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts by descriptors: fsopen, fsconfig, fsmount, fspick, open_tree, move_mount, mount_setattr.
 */
#include "guest.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The headers of Debian 12 have these, but not together with <sys/mount.h>. */
enum { FLAG, STRING, BINARY, PATH, PATH_EMPTY, FD, CREATE, RECONFIGURE };
#define F_EMPTY	  4
#define T_EMPTY	  0x40
#define RECURSIVE 0x8000

struct attr {
	uint64_t set, clr, propagation, userns;
};

static int
fs_open(const char *name, unsigned flags)
{
	return (int)syscall(SYS_fsopen, name, flags);
}

static int
config(int fd, unsigned cmd, const char *key, const void *value, int aux)
{
	return (int)syscall(SYS_fsconfig, fd, cmd, key, value, aux);
}

static int
fs_mount(int fd, unsigned flags, unsigned attr)
{
	return (int)syscall(SYS_fsmount, fd, flags, attr);
}

static int
fs_pick(int dir, const char *path, unsigned flags)
{
	return (int)syscall(SYS_fspick, dir, path, flags);
}

static int
tree(int dir, const char *path, unsigned flags)
{
	return (int)syscall(SYS_open_tree, dir, path, flags);
}

static int
move(int from, const char *path, int to, const char *to_path, unsigned flags)
{
	return (int)syscall(SYS_move_mount, from, path, to, to_path, flags);
}

static int
set_attr(int dir, const char *path, unsigned flags, struct attr a)
{
	return (int)syscall(SYS_mount_setattr, dir, path, flags, &a, sizeof a);
}

/* What mountinfo says of a place, without numbers. */
static void
info(const char *where)
{
	char line[4096], want[256], cwd[200];
	FILE *f = fopen("/proc/self/mountinfo", "r");
	int found = 0;

	snprintf(want, sizeof want, " %s/%s ", getcwd(cwd, sizeof cwd), where);
	while (f && fgets(line, sizeof line, f)) {
		char *at = strstr(line, want), *dash = strstr(line, " - ");

		if (!at || !dash)
			continue;
		at += strlen(want);
		found++;
		printf("%s: %.*s", where, (int)strcspn(at, " "), at);
		printf("%s%s", strstr(at, "shared:") ? " shared" : "",
			strstr(at, "unbindable") ? " unbindable" : "");
		printf(" %.*s\n", (int)strcspn(dash + 3, " "), dash + 3);
	}
	if (!found)
		printf("%s: not mounted\n", where);
	if (f)
		fclose(f);
}

static void
message(int fd)
{
	char buf[300];
	ssize_t n = read(fd, buf, sizeof buf);

	if (n < 0)
		printf("no message: %s\n", strerror(errno));
	else
		printf("message of %s\n", buf[0] == 'e' && buf[1] == ' ' && buf[n - 1] == '\n'
						  ? "an error"
						  : "another kind");
}

static int
put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_CREAT | O_WRONLY, 0644);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (fd >= 0)
		close(fd);
	return n < 0 ? -1 : 0;
}

static int
make_tmpfs(void)
{
	int fs = fs_open("tmpfs", 1), m;

	config(fs, CREATE, NULL, NULL, 0);
	m = fs_mount(fs, 1, 0);
	close(fs);
	return m;
}

static void
contexts(void)
{
	struct statfs st;
	struct stat sb;
	int fs, m, fd;

	mkdir("a", 0755);
	TRUE((fs = fs_open("tmpfs", 1)) >= 0);
	SHOW(fcntl(fs, F_GETFD));
	message(fs);
	SHOW(fs_mount(fs, 0, 0));
	SHOW(config(fs, STRING, "source", "mine", 0));
	SHOW(config(fs, STRING, "source", "again", 0));
	message(fs);
	message(fs);
	SHOW(config(fs, FLAG, "source", NULL, 0));
	message(fs);
	SHOW(config(fs, STRING, "size", "64k", 0));
	SHOW(config(fs, STRING, "size", "nonsense", 0));
	SHOW(config(fs, FLAG, "size", NULL, 0));
	SHOW(config(fs, STRING, "mode", "0711", 0));
	SHOW(config(fs, STRING, "nothing", "1", 0));
	SHOW(config(fs, FLAG, "nosuid", NULL, 0));
	SHOW(config(fs, FLAG, "rw", NULL, 0));
	SHOW(config(fs, FD, "size", NULL, 0));
	SHOW(config(fs, BINARY, "size", "1", 1));
	SHOW(config(fs, RECONFIGURE, NULL, NULL, 0));
	SHOW(config(fs, CREATE, NULL, NULL, 0));
	SHOW(config(fs, CREATE, NULL, NULL, 0));
	SHOW(config(fs, STRING, "size", "64k", 0));
	SHOW(fs_mount(fs, 2, 0));
	SHOW(fs_mount(fs, 0, 0x30));
	SHOW(fs_mount(fs, 0, 0x100000));
	TRUE((m = fs_mount(fs, 1, 2 | 4 | 0x10)) >= 0);
	SHOW(fcntl(m, F_GETFD));
	SHOW(fs_mount(fs, 0, 0));
	SHOW(put(m, "x", "hello"));
	SHOW(fstatat(m, "x", &sb, 0));
	printf("size %d\n", (int)sb.st_size);
	fstat(m, &sb);
	printf("root %o\n", sb.st_mode);
	fstatfs(m, &st);
	printf("%d blocks, flags %lx\n", (int)st.f_blocks, (long)st.f_flags & ~0x20L);
	info("a");
	SHOW(move(m, "", AT_FDCWD, "a", 0));
	SHOW(move(m, "", AT_FDCWD, "a/x", F_EMPTY));
	SHOW(move(m, "", AT_FDCWD, "a", F_EMPTY));
	info("a");
	SHOW(access("a/x", F_OK));
	close(m);
	SHOW(access("a/x", F_OK));
	/* once mounted, what comes is a change */
	SHOW(config(fs, FLAG, "ro", NULL, 0));
	SHOW(config(fs, STRING, "size", "128k", 0));
	fd = open("a/x", O_WRONLY);
	SHOW(config(fs, RECONFIGURE, NULL, NULL, 0));
	close(fd);
	SHOW(config(fs, FLAG, "ro", NULL, 0));
	close(fs);
	TRUE((fs = fs_pick(AT_FDCWD, "a", 1)) >= 0);
	SHOW(config(fs, CREATE, NULL, NULL, 0));
	SHOW(config(fs, FLAG, "ro", NULL, 0));
	SHOW(config(fs, RECONFIGURE, NULL, NULL, 0));
	SHOW(put(AT_FDCWD, "a/y", "y"));
	SHOW(config(fs, FLAG, "rw", NULL, 0));
	SHOW(config(fs, RECONFIGURE, NULL, NULL, 0));
	SHOW(put(AT_FDCWD, "a/y", "y"));
	close(fs);
	SHOW(fs_pick(AT_FDCWD, "a/x", 0));
	SHOW(fs_pick(AT_FDCWD, "missing", 0));
	SHOW(fs_pick(AT_FDCWD, "a", 16));
	SHOW(umount("a"));
}

static void
wrong(void)
{
	int fd = open(".", O_RDONLY);

	SHOW(fs_open("nosuchfs", 0));
	SHOW(fs_open("tmpfs", 2));
	SHOW(fs_open(NULL, 0));
	SHOW(config(fd, FLAG, "ro", NULL, 0));
	SHOW(config(-1, FLAG, "ro", NULL, 0));
	SHOW(config(999, FLAG, "ro", NULL, 0));
	SHOW(config(fd, 99, NULL, NULL, 0));
	SHOW(config(fd, FLAG, NULL, NULL, 0));
	SHOW(config(fd, FLAG, "ro", "x", 0));
	SHOW(config(fd, STRING, "ro", NULL, 0));
	SHOW(config(fd, CREATE, "ro", NULL, 0));
	SHOW(config(fd, STRING, "x", "y", 1));
	SHOW(fs_mount(fd, 0, 0));
	SHOW(fs_mount(999, 0, 0));
	SHOW(tree(AT_FDCWD, ".", 2));
	SHOW(tree(AT_FDCWD, ".", RECURSIVE));
	SHOW(tree(AT_FDCWD, "missing", 0));
	SHOW(move(AT_FDCWD, "missing", AT_FDCWD, ".", 0));
	SHOW(move(AT_FDCWD, ".", AT_FDCWD, ".", 0x1000));
	SHOW(move(fd, "", AT_FDCWD, ".", F_EMPTY));
	close(fd);
}

static void
trees(void)
{
	int t, u, m;

	mkdir("b", 0755);
	mkdir("c", 0755);
	SHOW(mount("one", "b", "tmpfs", 0, NULL));
	mkdir("b/in", 0755);
	put(AT_FDCWD, "b/file", "1");
	SHOW(mount("two", "b/in", "tmpfs", 0, NULL));
	put(AT_FDCWD, "b/in/file", "2");

	TRUE((t = tree(AT_FDCWD, "b", O_CLOEXEC)) >= 0);
	SHOW(openat(t, "missing", O_RDONLY));
	close(t);
	info("b");
	TRUE((t = tree(AT_FDCWD, "b", 1)) >= 0);
	SHOW(faccessat(t, "file", F_OK, 0));
	SHOW(faccessat(t, "in/file", F_OK, 0));
	close(t);
	TRUE((t = tree(AT_FDCWD, "b", 1 | RECURSIVE | O_CLOEXEC)) >= 0);
	SHOW(faccessat(t, "in/file", F_OK, 0));
	SHOW(move(t, "", AT_FDCWD, "c", F_EMPTY));
	info("c");
	info("c/in");
	SHOW(move(t, "", t, "in", F_EMPTY));
	SHOW(umount("c/in"));
	SHOW(umount("c"));
	close(t);
	SHOW(umount("c"));
	/* one that nobody attaches goes, and what was opened in it stays */
	TRUE((t = tree(AT_FDCWD, "b", 1)) >= 0);
	TRUE((u = openat(t, ".", O_PATH)) >= 0);
	close(t);
	SHOW(faccessat(u, "file", F_OK, 0));
	SHOW(move(u, "", AT_FDCWD, "c", F_EMPTY));
	close(u);
	/* a file */
	put(AT_FDCWD, "plain", "");
	TRUE((t = tree(AT_FDCWD, "b/file", 1)) >= 0);
	SHOW(move(t, "", AT_FDCWD, "c", F_EMPTY));
	SHOW(move(t, "", AT_FDCWD, "plain", F_EMPTY));
	close(t);
	info("plain");
	SHOW(umount("plain"));
	/* a mount that has a place */
	SHOW(move(AT_FDCWD, "b/in", AT_FDCWD, "c", 0));
	info("c");
	info("b/in");
	SHOW(move(AT_FDCWD, "b/in", AT_FDCWD, "c", 0));
	SHOW(umount("c"));
	SHOW(umount("b"));
	/* which is unbindable */
	TRUE((m = make_tmpfs()) >= 0);
	SHOW(move(m, "", AT_FDCWD, "b", F_EMPTY));
	SHOW(mount(NULL, "b", NULL, MS_UNBINDABLE, NULL));
	SHOW(tree(AT_FDCWD, "b", 1));
	close(m);
	SHOW(umount("b"));
}

static void
attributes(void)
{
	struct {
		struct attr a;
		uint64_t more;
	} big = {{1, 0, 0, 0}, 1};
	int m, fd;

	SHOW(mount("one", "b", "tmpfs", 0, NULL));
	mkdir("b/in", 0755);
	SHOW(mount("two", "b/in", "tmpfs", 0, NULL));
	SHOW(set_attr(AT_FDCWD, "b", 0, (struct attr){.set = 1 | 8}));
	info("b");
	info("b/in");
	SHOW(put(AT_FDCWD, "b/x", ""));
	SHOW(put(AT_FDCWD, "b/in/x", ""));
	SHOW(set_attr(AT_FDCWD, "b", 0, (struct attr){.clr = 1, .set = 2}));
	info("b");
	SHOW(set_attr(AT_FDCWD, "b", RECURSIVE, (struct attr){.set = 4 | 0x10, .clr = 0x70}));
	info("b");
	info("b/in");
	SHOW(set_attr(AT_FDCWD, "b", 0, (struct attr){.set = 0x10}));
	SHOW(set_attr(AT_FDCWD, "b", 0, (struct attr){.clr = 0x10}));
	SHOW(set_attr(AT_FDCWD, "b", 0, (struct attr){.clr = 0x70, .set = 0x30}));
	SHOW(set_attr(AT_FDCWD, "b", 0, (struct attr){.clr = 0x70, .set = 0x20 | 0x80}));
	info("b");
	/* all or nothing */
	fd = open("b/in/x", O_WRONLY);
	SHOW(set_attr(AT_FDCWD, "b", RECURSIVE, (struct attr){.set = 1}));
	info("b");
	close(fd);
	SHOW(set_attr(AT_FDCWD, "b", RECURSIVE, (struct attr){.set = 1}));
	info("b");
	info("b/in");
	SHOW(set_attr(AT_FDCWD, "b", RECURSIVE, (struct attr){.propagation = MS_SHARED, .clr = 1}));
	info("b");
	info("b/in");
	SHOW(set_attr(AT_FDCWD, "b", RECURSIVE, (struct attr){.propagation = MS_PRIVATE}));
	info("b");
	SHOW(set_attr(AT_FDCWD, "b", 0, (struct attr){.propagation = MS_PRIVATE | MS_SHARED}));
	SHOW(set_attr(AT_FDCWD, "b", 0, (struct attr){.propagation = MS_BIND}));
	SHOW(set_attr(AT_FDCWD, "b", 0, (struct attr){.set = 0x1000}));
	SHOW(set_attr(AT_FDCWD, "b", 0x10000, (struct attr){.set = 1}));
	SHOW(set_attr(AT_FDCWD, "b/x", 0, (struct attr){.set = 1}));
	SHOW(set_attr(AT_FDCWD, "b/x", 0, (struct attr){0}));
	SHOW(set_attr(AT_FDCWD, "b", 0, (struct attr){.set = 0x100000, .userns = 999}));
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, "b", 0, &big, sizeof big));
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, "b", 0, &big, 8));
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, "b", 0, &big, 5000));
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, "b", 0, NULL, sizeof big.a));
	big.more = 0;
	SHOW(syscall(SYS_mount_setattr, AT_FDCWD, "b", 0, &big, sizeof big));
	info("b");
	SHOW(umount("b/in"));
	SHOW(umount("b"));
	/* before it is attached */
	TRUE((m = make_tmpfs()) >= 0);
	SHOW(set_attr(m, "", AT_EMPTY_PATH, (struct attr){.set = 1}));
	SHOW(put(m, "x", ""));
	SHOW(move(m, "", AT_FDCWD, "b", F_EMPTY));
	info("b");
	SHOW(umount2("b", MNT_DETACH));
	SHOW(set_attr(m, "", AT_EMPTY_PATH, (struct attr){.set = 2}));
	close(m);
}

static void
propagation(void)
{
	int m;

	SHOW(mount("one", "b", "tmpfs", 0, NULL));
	SHOW(mount(NULL, "b", NULL, MS_SHARED, NULL));
	SHOW(mount("b", "c", NULL, MS_BIND, NULL));
	mkdir("b/in", 0755);
	TRUE((m = make_tmpfs()) >= 0);
	SHOW(move(m, "", AT_FDCWD, "b/in", F_EMPTY));
	close(m);
	info("b/in");
	info("c/in");
	SHOW(move(AT_FDCWD, "c/in", AT_FDCWD, "a", 0));
	SHOW(umount("c/in"));
	info("b/in");
	SHOW(umount("c"));
	SHOW(umount("b"));
}

static void
without_rights(void)
{
	pid_t p = fork();

	if (!p) {
		setuid(1000);
		SHOW(fs_open("tmpfs", 0));
		SHOW(fs_mount(0, 0, 0));
		SHOW(fs_pick(AT_FDCWD, "/", 0));
		SHOW(tree(AT_FDCWD, "/", 1));
		TRUE(tree(AT_FDCWD, "/", 0) >= 0);
		SHOW(move(AT_FDCWD, "/", AT_FDCWD, "/", 0));
		SHOW(set_attr(AT_FDCWD, "/", 0, (struct attr){.set = 1}));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, NULL, 0);
}

/* In a user namespace: what came from outside keeps its restrictions. */
static void
in_user_namespace(void)
{
	pid_t p;
	int fs, m;

	SHOW(mount("one", "b", "tmpfs", MS_NOEXEC, NULL));
	mkdir("b/in", 0755);
	fflush(stdout);
	p = fork();
	if (!p) {
		SHOW(unshare(CLONE_NEWUSER | CLONE_NEWNS));
		SHOW(mount("b", "c", NULL, MS_BIND, NULL));
		info("c");
		SHOW(set_attr(AT_FDCWD, "c", 0, (struct attr){.clr = 8}));
		SHOW(set_attr(AT_FDCWD, "c", 0, (struct attr){.set = 1}));
		info("c");
		SHOW(mount(NULL, "c", NULL, MS_REMOUNT | MS_BIND, NULL));
		TRUE((fs = fs_open("tmpfs", 0)) >= 0);
		SHOW(config(fs, CREATE, NULL, NULL, 0));
		TRUE((m = fs_mount(fs, 0, 0)) >= 0);
		SHOW(move(m, "", AT_FDCWD, "b/in", F_EMPTY));
		info("b/in");
		TRUE((fs = fs_pick(AT_FDCWD, "b", 0)) >= 0);
		SHOW(config(fs, FLAG, "ro", NULL, 0));
		SHOW(config(fs, RECONFIGURE, NULL, NULL, 0));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, NULL, 0);
	SHOW(umount("b"));
}

/* A fresh sysfs may not allow more than those that are there. */
static void
sysfs_again(void)
{
	pid_t p;

	(void)mount(NULL, "/sys", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
	mkdir("s", 0755), mkdir("s2", 0755);
	SHOW(mount("s", "s", "sysfs", MS_RDONLY, NULL));
	p = fork();
	if (!p) {
		SHOW(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET));
		SHOW(mount("s", "s2", "sysfs", 0, NULL));
		SHOW(mount("s", "s2", "sysfs", MS_RDONLY, NULL));
		SHOW(mount(NULL, "s2", NULL, MS_REMOUNT | MS_BIND, NULL));
		SHOW(umount("s2"));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, NULL, 0);
	SHOW(mount(NULL, "s", NULL, MS_REMOUNT | MS_BIND, NULL));
	p = fork();
	if (!p) {
		SHOW(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET));
		SHOW(mount("s", "s2", "sysfs", 0, NULL));
		SHOW(umount("s2"));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, NULL, 0);
	SHOW(umount("s"));
	rmdir("s"), rmdir("s2");
}

static void
cgroup2(void)
{
	mkdir("c2", 0755);
	SHOW(mount("c", "c2", "cgroup2", 0, "bogus"));
	SHOW(mount("c", "c2", "cgroup2", 0, "pids_localevents=1"));
	SHOW(mount("c", "c2", "cgroup2", 0, NULL));
	SHOW(access("c2/cgroup.procs", R_OK));
	SHOW(umount("c2"));
	rmdir("c2");
}

int
main(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	umask(022);
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return 2;
	contexts();
	wrong();
	trees();
	attributes();
	propagation();
	without_rights();
	in_user_namespace();
	sysfs_again();
	cgroup2();
	return 0;
}
