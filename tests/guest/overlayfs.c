/* SPDX-License-Identifier: Apache-2.0 */
/* Overlays that guests mount, on tmpfs: merging, copying up, whiteouts, renames, and what is
 * refused.
 */
#include "guest.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#define LAYERS "lowerdir=l1:l2,upperdir=u,workdir=w"

static int
put(const char *path, const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644), r;

	if (fd < 0)
		return -1;
	r = write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
	close(fd);
	return r;
}

static void
show_text(const char *path)
{
	char buf[100];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);

	if (n < 0) {
		printf("%s: %s\n", path, strerrorname_np(errno));
	} else {
		buf[n] = 0;
		printf("%s: \"%s\"\n", path, buf);
	}
	if (fd >= 0)
		close(fd);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names and types in order, and whether the numbers are those that lstat(2) tells. */
static void
list(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char *names[100];
	int n = 0, other = 0;

	if (!d) {
		printf("%s: %s\n", path, strerrorname_np(errno));
		return;
	}
	while ((e = readdir(d)) && n < 100) {
		struct stat st;

		if (e->d_name[0] == '.')
			continue;
		asprintf(&names[n++], "%s(%d)", e->d_name, e->d_type);
		if (!fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
			st.st_ino != e->d_ino && !S_ISDIR(st.st_mode))
			other++;
	}
	closedir(d);
	qsort(names, (size_t)n, sizeof names[0], by_name);
	printf("%s:", path);
	for (int i = 0; i < n; i++) {
		printf(" %s", names[i]);
		free(names[i]);
	}
	printf("; %d other numbers\n", other);
}

static void
look(const char *path)
{
	struct stat st;

	if (lstat(path, &st))
		printf("%s: %s\n", path, strerrorname_np(errno));
	else
		printf("%s: mode %o, owner %u:%u, links %d, size %ld, device %u:%u\n", path,
			st.st_mode, st.st_uid, st.st_gid,
			S_ISCHR(st.st_mode) ? 0 : (int)st.st_nlink,
			S_ISDIR(st.st_mode) ? 0 : (long)st.st_size, major(st.st_rdev),
			minor(st.st_rdev));
}

static int
renames(const char *from, const char *to, unsigned flags)
{
	return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags);
}

static int
overlay(const char *options)
{
	return mount("overlay", "m", "overlay", 0, options);
}

static void
layers(void)
{
	SHOW(mount("t", "/tmp", "tmpfs", 0, "mode=755"));
	SHOW(chdir("/tmp"));
	umask(022);
	mkdir("l1", 0755), mkdir("l2", 0755), mkdir("u", 0755), mkdir("w", 0755), mkdir("m", 0755);
	mkdir("l1/both", 0755), mkdir("l2/both", 0700), mkdir("l1/one", 0755);
	mkdir("l2/deep", 0755), mkdir("l2/deep/er", 0755), mkdir("l2/deep/er/est", 0750);
	put("l1/both/a", "a of 1"), put("l2/both/a", "a of 2"), put("l2/both/b", "b of 2");
	put("l2/both/c", "c of 2"), put("l2/deep/er/est/file", "deep");
	put("l1/f", "file"), put("l1/g", "file g"), put("l2/h", "file h"), put("l1/one/x", "x");
	put("l1/linked", "two names"), link("l1/linked", "l1/linked2");
	symlink("f", "l1/sym"), mkfifo("l1/fifo", 0600);
	put("l2/hidden", "not to be seen"), mknod("l1/hidden", S_IFCHR, 0);
	put("l1/shadow", "a file"), mkdir("l2/shadow", 0755);
	mkdir("l1/opaque", 0755), mkdir("l2/opaque", 0755), put("l2/opaque/no", "");
	setxattr("l1/opaque", "trusted.overlay.opaque", "y", 1, 0);
	setxattr("l1/f", "user.mine", "value", 5, 0);
	chown("l1/g", 5, 6), chmod("l1/g", 04755);
}

static void
merging(void)
{
	struct statfs fs;
	struct stat a, b;
	char buf[200];

	list("m"), list("m/both"), list("m/opaque"), list("m/deep/er/est");
	show_text("m/both/a"), show_text("m/both/b"), show_text("m/shadow");
	look("m/both"), look("m/hidden"), look("m/linked"), look("m/g"), look("m/opaque");
	SHOW(statfs("m", &fs));
	TRUE(fs.f_type == OVERLAYFS_SUPER_MAGIC);
	stat("m/f", &a), stat("m/both", &b);
	TRUE(a.st_dev == b.st_dev);
	SHOW(getxattr("m/opaque", "trusted.overlay.opaque", NULL, 0));
	SHOW(listxattr("m/opaque", buf, sizeof buf));
	SHOW(getxattr("m/f", "user.mine", NULL, 0));
}

static void
copying(void)
{
	char buf[20] = "", *map;
	struct stat before, after;
	int rd = open("m/f", O_RDONLY), wr;

	stat("m/f", &before);
	map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, rd, 0);
	wr = open("m/f", O_RDWR);
	look("u/f");
	SHOW(pwrite(wr, "FI", 2, 0));
	SHOW(pread(rd, buf, 20, 0));
	printf("%s, mapped %.4s\n", buf, map); /* what was mapped stays the lower file's */
	SHOW(fstat(rd, &after));
	TRUE(before.st_ino == after.st_ino);
	show_text("l1/f"), show_text("u/f");
	SHOW(getxattr("u/f", "user.mine", NULL, 0));
	close(rd), close(wr);
	map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, wr = open("m/f", O_RDWR), 0);
	map[2] = 'X';
	close(wr);
	show_text("m/f");
	/* what is only changed in its attributes is copied whole */
	SHOW(chmod("m/both/b", 0600));
	look("u/both/b"), show_text("u/both/b"), look("u/both");
	SHOW(chown("m/g", 7, 8));
	look("m/g"), look("l1/g");
	SHOW(truncate("m/h", 3));
	show_text("m/h"), show_text("l2/h");
	SHOW(put("m/deep/er/est/file", "new"));
	look("u/deep/er/est"), show_text("u/deep/er/est/file");
	SHOW(lchown("m/sym", 1, 2));
	look("u/sym"), look("l1/sym");
	SHOW(setxattr("m/one", "user.a", "b", 1, 0));
	SHOW(getxattr("u/one", "user.a", NULL, 0));
	SHOW(removexattr("m/one/x", "user.a"));
	look("u/one/x");
	/* the names of a lower file part */
	SHOW(put("m/linked", "changed"));
	look("m/linked"), look("m/linked2"), show_text("m/linked2");
	SHOW(link("m/linked", "m/linked3"));
	look("m/linked"), look("m/linked3");
	stat("m/linked", &before), stat("m/linked3", &after);
	TRUE(before.st_ino == after.st_ino);
	SHOW(put("m/linked3", "by the third"));
	show_text("m/linked");
}

static void
removing(void)
{
	char buf[20] = "";
	int fd = open("m/both/a", O_RDONLY), gone = open("m/one/x", O_RDONLY);
	struct stat st;

	SHOW(unlink("m/both/a"));
	look("m/both/a"), look("u/both/a"), list("m/both");
	SHOW(read(fd, buf, 20));
	puts(buf);
	close(fd);
	SHOW(unlink("m/one/x"));
	(void)fchmod(gone, 0640);
	close(gone);
	SHOW(rmdir("m/both"));
	SHOW(unlink("m/both/b"));
	SHOW(unlink("m/both/c"));
	list("m/both");
	SHOW(rmdir("m/both"));
	look("m/both"), look("u/both");
	SHOW(mkdir("m/both", 0711));
	list("m/both"), look("m/both");
	SHOW(getxattr("u/both", "trusted.overlay.opaque", buf, 20));
	SHOW(rmdir("m/both"));
	SHOW(put("m/both", "a file now"));
	show_text("m/both"), show_text("u/both");
	SHOW(unlink("m/both"));
	SHOW(put("m/own", "only above"));
	SHOW(unlink("m/own"));
	look("u/own");
	SHOW(mknod("m/null", S_IFCHR | 0600, 0));
	SHOW(mknod("m/zero", S_IFCHR | 0600, makedev(1, 5)));
	look("m/zero");
	SHOW(unlink("m/fifo"));
	SHOW(mkfifo("m/fifo", 0644));
	look("u/fifo");
	SHOW(unlink("m/hidden"));
	SHOW(rmdir("m/shadow"));
	SHOW(unlink("m/shadow"));
	SHOW(stat("m/shadow", &st));
}

static void
moving(void)
{
	SHOW(renames("m/deep", "m/other", 0));
	SHOW(renames("m/deep/er/est/file", "m/moved", 0));
	look("u/deep/er/est/file"), show_text("m/moved"), list("m/deep/er/est");
	SHOW(renames("m/moved", "m/linked2", 0));
	show_text("m/linked2"), look("u/moved");
	SHOW(renames("m/linked2", "m/h", RENAME_NOREPLACE));
	SHOW(renames("m/linked2", "m/h", RENAME_EXCHANGE));
	show_text("m/linked2"), show_text("m/h");
	SHOW(renames("m/h", "m/h2", 1 << 2));
	SHOW(mkdir("m/new", 0755));
	SHOW(put("m/new/in", "in"));
	SHOW(renames("m/new", "m/new2", 0));
	look("u/new"), list("m/new2");
	SHOW(renames("m/new2", "m/deep", 0));
	SHOW(renames("m/new2", "m/deep", RENAME_EXCHANGE));
	/* over a whiteout: what is below must not show */
	SHOW(renames("m/new2", "m/both", 0));
	list("m/both"), look("u/new2");
	SHOW(renames("m/both", "m/opaque", 0));
	list("m/opaque"), look("u/both"), look("m/both");
	/* files whose places have something below, and none */
	SHOW(renames("m/opaque/in", "m/opaque/no", 0));
	list("m/opaque"), list("u/opaque");
	SHOW(mkdir("m/p", 0755));
	SHOW(mkdir("m/q", 0755));
	SHOW(put("m/q/1", "1"));
	SHOW(renames("m/p", "m/q", 0));
	SHOW(renames("m/q", "m/p", 0));
	list("m/p"), look("m/q");
	SHOW(renames("m/p", "m/p/x", 0));
	SHOW(renames("m/p", "m/f", 0));
	SHOW(renames("m/f", "m/p", 0));
	SHOW(renames("m/p", "m/f", RENAME_EXCHANGE));
	list("m/f"), look("m/p");
	SHOW(renames("m/one", "m/one2", 0));
	list("m"), list("u");
}

static void
others(void)
{
	struct sockaddr_un sa = {AF_UNIX, "m/sock"};
	char proc[40], text[200] = "";
	int fd = open("m", O_TMPFILE | O_RDWR, 0600), s = socket(AF_UNIX, SOCK_STREAM, 0), c;

	SHOW(write(fd, "nameless", 8));
	snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
	SHOW(linkat(AT_FDCWD, proc, AT_FDCWD, "m/named", AT_SYMLINK_FOLLOW));
	show_text("m/named"), look("u/named");
	SHOW(ftruncate(fd, 4));
	show_text("m/named");
	SHOW(fallocate(fd, 0, 0, 100));
	look("m/named");
	SHOW(fsync(fd));
	SHOW(lseek(fd, 0, SEEK_END));
	SHOW(lseek(fd, 0, SEEK_HOLE) >= 0);
	close(fd);
	SHOW(bind(s, (struct sockaddr *)&sa, sizeof sa));
	SHOW(listen(s, 1));
	c = socket(AF_UNIX, SOCK_STREAM, 0);
	SHOW(connect(c, (struct sockaddr *)&sa, sizeof sa));
	close(c), close(s);
	look("u/sock");
	fd = open("m/named", O_WRONLY | O_APPEND);
	SHOW(write(fd, "!", 1));
	close(fd);
	look("m/named");
	fd = open("m", O_RDONLY | O_DIRECTORY);
	SHOW(fsync(fd));
	SHOW(syncfs(fd));
	close(fd);
	SHOW(chmod("m/linked", 02755));
	SHOW(mkdir("m/sgid", 02775));
	SHOW(chown("m/sgid", 0, 33));
	SHOW(chmod("m/sgid", 02775));
	SHOW(put("m/sgid/in", ""));
	SHOW(mkdir("m/sgid/dir", 0755));
	look("m/sgid/in"), look("m/sgid/dir"), look("u/sgid/in");
	/* layers can be kept in an overlay: their attributes get other names below */
	SHOW(setxattr("m/sgid", "trusted.overlay.opaque", "y", 1, 0));
	SHOW(getxattr("m/sgid", "trusted.overlay.opaque", NULL, 0));
	SHOW(getxattr("u/sgid", "trusted.overlay.overlay.opaque", NULL, 0));
	SHOW(listxattr("m/sgid", text, sizeof text));
	puts(text);
	SHOW(removexattr("m/sgid", "trusted.overlay.opaque"));
	SHOW(getxattr("u/sgid", "trusted.overlay.overlay.opaque", NULL, 0));
}

/* Somebody else: by what is shown, and by what who mounted may do. */
static void
not_root(void)
{
	if (setgid(1000) || setuid(1000))
		return;
	SHOW(put("m/mine", "x"));
	SHOW(put("m/open/mine", "x"));
	look("m/open/mine"), look("u/open/mine");
	SHOW(put("m/open/theirs", "x"));
	SHOW(put("m/open/anybody's", "x"));
	look("u/open/anybody's");
	SHOW(unlink("m/open/theirs"));
	SHOW(open("m/secret", O_RDONLY));
	SHOW(open("u/secret", O_RDONLY));
	SHOW(chmod("m/open/anybody's", 0600));
	SHOW(unlink("m/open/mine"));
	SHOW(umount("m"));
}

static void
refusals(void)
{
	static const char *const bad[] = {"", "lowerdir=l1", "upperdir=u,workdir=w",
		"lowerdir=l1,upperdir=u", "lowerdir=l1,upperdir=u,workdir=u",
		"lowerdir=l1,upperdir=u,workdir=u/both", "lowerdir=l1,upperdir=l1,workdir=w",
		"lowerdir=l1/one,upperdir=l1,workdir=w", "lowerdir=nope,upperdir=u,workdir=w",
		"lowerdir=l1:l1", "lowerdir=l1:l1/one", "lowerdir=l1:", "lowerdir=:l1",
		"lowerdir=l1/f,upperdir=u,workdir=w", "lowerdir=l1,upperdir=,workdir=w",
		"lowerdir=/proc,upperdir=u,workdir=w", "lowerdir=l1,upperdir=/proc,workdir=/proc",
		"lowerdir=l1,upperdir=u,workdir=w,nonsense",
		"lowerdir=l1,upperdir=u,workdir=w,xino",
		"lowerdir=l1,upperdir=u,workdir=w,redirect_dir=bad"};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		int r = overlay(bad[i]);

		printf("%s: %s\n", bad[i], r ? strerrorname_np(errno) : "mounted");
		if (!r)
			umount("m");
	}
	/* without an upper tree, for reading only */
	SHOW(overlay("lowerdir=l1:l2"));
	SHOW(put("m/x", "x"));
	SHOW(unlink("m/f"));
	SHOW(chmod("m/f", 0600));
	SHOW(mount("overlay", "m", NULL, MS_REMOUNT, NULL));
	SHOW(umount("m"));
	SHOW(mkdir("a:b", 0755));
	SHOW(mkdir("c,d", 0755));
	SHOW(put("a:b/x", "x"));
	SHOW(overlay("lowerdir=a\\:b:c\\,d"));
	list("m");
	SHOW(umount("m"));
	SHOW(mkdir("m2", 0755));
	SHOW(mkdir("m3", 0755));
	SHOW(overlay("lowerdir=l1:l2"));
	SHOW(mount("o", "m2", "overlay", 0, "lowerdir=m:a\\:b"));
	list("m2/opaque"), show_text("m2/deep/er/est/file");
	SHOW(mount("o", "m3", "overlay", 0, "lowerdir=m2:c\\,d"));
	SHOW(mkdir("u2", 0755));
	SHOW(mkdir("w2", 0755));
	SHOW(umount("m2"));
	SHOW(mount("o", "m2", "overlay", 0, "lowerdir=m,upperdir=u2,workdir=w2"));
	SHOW(put("m2/deep/er/est/file", "two up"));
	show_text("m2/deep/er/est/file"), show_text("m/deep/er/est/file");
	SHOW(umount("m2"));
	SHOW(umount("m"));
}

static void
one_by_one(void)
{
	int fd = fsopen("overlay", 0), m;

	SHOW(fsconfig(fd, FSCONFIG_SET_STRING, "lowerdir+", "l1", 0));
	SHOW(fsconfig(fd, FSCONFIG_SET_STRING, "lowerdir+", "l2", 0));
	SHOW(fsconfig(fd, FSCONFIG_SET_STRING, "upperdir", "u2", 0));
	SHOW(fsconfig(fd, FSCONFIG_SET_STRING, "workdir", "w2", 0));
	SHOW(fsconfig(fd, FSCONFIG_SET_STRING, "nonsense", "w2", 0));
	SHOW(fsconfig(fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	m = fsmount(fd, 0, 0);
	SHOW(move_mount(m, "", AT_FDCWD, "m", MOVE_MOUNT_F_EMPTY_PATH));
	close(fd), close(m);
	list("m/deep");
	SHOW(umount("m"));
}

/* In a user namespace: attributes of its own, no devices. */
static void
in_user_ns(void)
{
	SHOW(unshare(CLONE_NEWUSER | CLONE_NEWNS));
	if (put("/proc/self/setgroups", "deny") || put("/proc/self/uid_map", "0 0 1") ||
		put("/proc/self/gid_map", "0 0 1"))
		puts("no map");
	SHOW(mount("t", "/tmp", "tmpfs", 0, ""));
	SHOW(chdir("/tmp"));
	mkdir("l1", 0755), mkdir("l1/d", 0755), mkdir("u", 0755), mkdir("w", 0755),
		mkdir("m", 0755);
	put("l1/d/x", "x"), put("l1/f", "f");
	SHOW(overlay("lowerdir=l1,upperdir=u,workdir=w,userxattr"));
	SHOW(unlink("m/f"));
	SHOW(unlink("m/d/x"));
	SHOW(rmdir("m/d"));
	SHOW(mkdir("m/d", 0755));
	list("m"), list("m/d"), look("u/f");
	SHOW(getxattr("u/d", "user.overlay.opaque", NULL, 0));
	SHOW(getxattr("m/d", "user.overlay.opaque", NULL, 0));
	SHOW(setxattr("m/d", "user.mine", "x", 1, 0));
	SHOW(getxattr("u/d", "user.mine", NULL, 0));
	SHOW(mknod("m/zero", S_IFCHR | 0600, makedev(1, 5)));
	SHOW(umount("m"));
	/* without them nothing can be opaque */
	SHOW(overlay("lowerdir=l1,upperdir=u,workdir=w"));
	SHOW(put("m/f", "again"));
	SHOW(mkdir("m/new", 0755));
	SHOW(rename("m/new", "m/newer"));
	SHOW(rmdir("m/d"));
	SHOW(mkdir("m/d", 0755));
	show_text("u/f");
	SHOW(umount("m"));
}

/* Who mounts has ids of his own: what is copied up keeps those that it has. */
static void
other_ids(void)
{
	/* u::rw-,u:1000:r--,g::r--,m::r--,o::--- as it is kept; 1000 is 0 in the namespace */
	static const unsigned char acl[] = {2, 0, 0, 0, 1, 0, 6, 0, 0xff, 0xff, 0xff, 0xff, 2, 0, 4,
		0, 0, 0, 0, 0, 4, 0, 4, 0, 0xff, 0xff, 0xff, 0xff, 0x10, 0, 4, 0, 0xff, 0xff, 0xff,
		0xff, 0x20, 0, 0, 0, 0xff, 0xff, 0xff, 0xff};
	unsigned char got[100];
	struct stat st;

	if (setgid(1000) || setuid(1000))
		return;
	prctl(PR_SET_DUMPABLE, 1);
	SHOW(unshare(CLONE_NEWUSER | CLONE_NEWNS));
	if (put("/proc/self/setgroups", "deny") || put("/proc/self/uid_map", "0 1000 1") ||
		put("/proc/self/gid_map", "0 1000 1"))
		puts("no map");
	SHOW(mount("t", "/tmp", "tmpfs", 0, ""));
	SHOW(chdir("/tmp"));
	mkdir("l1", 0755), mkdir("u", 0755), mkdir("w", 0755), mkdir("m", 0755);
	put("l1/f", "f");
	SHOW(setxattr("l1/f", "system.posix_acl_access", acl, sizeof acl, 0));
	SHOW(overlay("lowerdir=l1,upperdir=u,workdir=w,userxattr"));
	SHOW(utimensat(AT_FDCWD, "m/f", NULL, 0));
	look("u/f");
	SHOW(getxattr("u/f", "system.posix_acl_access", got, sizeof got));
	TRUE(memcmp(got, acl, sizeof acl) == 0);
	SHOW(getxattr("m/f", "system.posix_acl_access", got, sizeof got));
	TRUE(memcmp(got, acl, sizeof acl) == 0);
	SHOW(chmod("m/f", 0660));
	SHOW(stat("u/f", &st));
	printf("mode %o\n", st.st_mode);
	SHOW(umount("m"));
}

static _Atomic int wrong;

static void *
busy(void *arg)
{
	char mine[40], name[40], buf[20];

	snprintf(mine, sizeof mine, "m/deep/%ld", (long)arg);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "m/many/%d", i);
		wrong += put(mine, "text") != 0;
		wrong += rename(mine, "m/deep/shared") != 0;
		(void)!unlink("m/deep/shared");
		/* all of them copy the same files up */
		int fd = open(name, O_RDWR | O_APPEND);

		wrong += fd < 0 || write(fd, "+", 1) != 1 || pread(fd, buf, 3, 0) != 3 ||
			 memcmp(buf, "low", 3) != 0;
		close(fd);
	}
	return NULL;
}

static void
at_once(void)
{
	pthread_t t[4];
	char name[40];
	struct stat st;
	long sum = 0;

	mkdir("l3", 0755), mkdir("l3/many", 0755), mkdir("l3/deep", 0755);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "l3/many/%d", i);
		put(name, "low");
	}
	mkdir("u3", 0755), mkdir("w3", 0755);
	SHOW(overlay("lowerdir=l3,upperdir=u3,workdir=w3"));
	for (long i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, busy, (void *)i);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "m/many/%d", i);
		sum += stat(name, &st) ? 0 : st.st_size;
	}
	printf("%d wrong, %ld bytes\n", wrong, sum);
	list("m/deep");
	SHOW(umount("m"));
}

int
main(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		puts("no mount namespace of its own");
		return 77;
	}
	layers();
	SHOW(overlay(LAYERS));
	merging();
	copying();
	removing();
	moving();
	others();
	mkdir("m/open", 0777), chmod("m/open", 01777);
	put("m/open/theirs", "root's"), put("m/open/anybody's", "a"),
		chmod("m/open/anybody's", 0666);
	put("m/secret", "s"), chmod("m/secret", 0600);
	in_child("not root", not_root);
	SHOW(umount("m"));
	SHOW(overlay(LAYERS)); /* what was kept shows again */
	list("m"), list("m/both"), list("m/opaque"), look("m/linked3"), show_text("m/linked");
	SHOW(umount("m"));
	refusals();
	one_by_one();
	at_once();
	in_child("user namespace", in_user_ns);
	in_child("other ids", other_ids);
	return 0;
}
