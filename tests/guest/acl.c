/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX ACLs: set, shown, checked, inherited, changed by chmod; on the tree that the test runs in
 * and on a tmpfs. */
#include "guest.h"
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define ACCESS	"system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

enum { UO = 1, U = 2, GO = 4, G = 8, M = 16, O = 32 };

struct entry {
	uint16_t tag, perm;
	uint32_t id;
};

struct acl {
	uint32_t version;
	struct entry e[16];
};

static int
set_n(const char *path, const char *name, const struct entry *e, int n)
{
	struct acl a = {.version = 2};

	memcpy(a.e, e, sizeof *e * n);
	return setxattr(path, name, &a, 4 + sizeof *e * n, 0);
}

#define SET(path, name, ...)                                                                       \
	set_n(path, name, (struct entry[]){__VA_ARGS__},                                           \
		sizeof((struct entry[]){__VA_ARGS__}) / sizeof(struct entry))
#define NONE UINT32_MAX

static void
show(const char *path)
{
	static const char *const names[] = {ACCESS, DEFAULT};
	struct stat st;

	if (lstat(path, &st)) {
		printf("  %s: %s\n", path, strerrorname_np(errno));
		return;
	}
	printf("  %s %o", path, st.st_mode & 07777);
	for (int k = 0; k < 2; k++) {
		struct acl a;
		ssize_t n = getxattr(path, names[k], &a, sizeof a);

		if (n < 0) {
			printf(" %s", strerrorname_np(errno));
			continue;
		}
		printf(" [%u", a.version);
		for (unsigned i = 0; i < (n - 4) / sizeof a.e[0]; i++)
			printf(" %x:%x:%d", a.e[i].tag, a.e[i].perm, (int)a.e[i].id);
		printf("]");
	}
	printf("\n");
}

static void
make(const char *path, int mode)
{
	int fd = open(path, O_CREAT | O_RDWR, mode);

	if (fd < 0)
		printf("  make %s: %s\n", path, strerrorname_np(errno));
	close(fd);
}

/* What somebody may do: r, w, x as access(2) and open(2) say. */
static void
may(const char *path, int uid, int gid)
{
	fflush(stdout);
	if (fork() == 0) {
		int fd;

		if (setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
			_exit(1);
		printf("  %d:%d may %c%c%c", uid, gid, access(path, R_OK) ? '-' : 'r',
			access(path, W_OK) ? '-' : 'w', access(path, X_OK) ? '-' : 'x');
		fd = open(path, O_RDONLY);
		printf(" %s", fd < 0 ? strerrorname_np(errno) : "read");
		fd = open(path, O_WRONLY);
		printf(" %s\n", fd < 0 ? strerrorname_np(errno) : "write");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

static void
access_acl(void)
{
	make("f", 0640);
	show("f");
	SHOW(SET("f", ACCESS, {UO, 6, NONE}, {GO, 4, NONE}, {O, 0, NONE}));
	show("f");
	SHOW(SET("f", ACCESS, {UO, 6, NONE}, {GO, 6, NONE}, {O, 4, NONE}));
	show("f");
	/* the owning group has less than the mask */
	SHOW(SET("f", ACCESS, {UO, 7, NONE}, {U, 6, 5001}, {U, 7, 5002}, {GO, 0, NONE},
		{G, 4, 6001}, {G, 2, 6002}, {M, 6, NONE}, {O, 5, NONE}));
	show("f");
	chown("f", 5000, 6000);
	may("f", 5000, 1);
	may("f", 5001, 1);
	may("f", 5002, 1);
	may("f", 5003, 6000);
	may("f", 5003, 6001);
	may("f", 5003, 6002);
	may("f", 5003, 6003);
	may("f", 5001, 6000);
	SHOW(chmod("f", 0704));
	show("f");
	may("f", 5002, 1);
	may("f", 5003, 6001);
	may("f", 5003, 6003);
	SHOW(chmod("f", 0640));
	show("f");
	may("f", 5002, 1);
	SHOW(removexattr("f", ACCESS));
	show("f");
	SHOW(removexattr("f", ACCESS));
	SHOW(SET("f", DEFAULT, {UO, 6, NONE}, {GO, 4, NONE}, {O, 0, NONE}));
	SHOW(removexattr("f", DEFAULT));
	SHOW(getxattr("f", "system.other", NULL, 0));
	SHOW(setxattr("f", "system.other", "x", 1, 0));
	symlink("f", "l");
	SHOW(lgetxattr("l", ACCESS, NULL, 0));
	SHOW(lsetxattr("l", ACCESS, "\2\0\0", 4, 0));
}

static void
bad(void)
{
	static const uint32_t version1 = 1, version2 = 2;

	printf("- bad\n");
	make("b", 0644);
	SHOW(SET("b", ACCESS, {UO, 6, NONE}, {GO, 4, NONE}));
	SHOW(SET("b", ACCESS, {UO, 6, NONE}, {O, 4, NONE}, {GO, 4, NONE}));
	SHOW(SET("b", ACCESS, {UO, 6, NONE}, {U, 6, 1}, {GO, 4, NONE}, {O, 4, NONE}));
	SHOW(SET("b", ACCESS, {UO, 8, NONE}, {GO, 4, NONE}, {O, 4, NONE}));
	SHOW(SET("b", ACCESS, {UO, 6, NONE}, {UO, 6, NONE}, {GO, 4, NONE}, {O, 4, NONE}));
	SHOW(SET("b", ACCESS, {UO, 6, NONE}, {64, 6, NONE}, {GO, 4, NONE}, {O, 4, NONE}));
	SHOW(SET("b", ACCESS, {UO, 6, NONE}, {U, 6, NONE}, {GO, 4, NONE}, {M, 4, NONE},
		{O, 4, NONE}));
	SHOW(SET("b", ACCESS, {UO, 6, NONE}, {GO, 4, NONE}, {M, 4, NONE}, {M, 4, NONE},
		{O, 4, NONE}));
	SHOW(setxattr("b", ACCESS, &version1, 4, 0));
	SHOW(setxattr("b", ACCESS, &version2, 4, 0));
	SHOW(setxattr("b", ACCESS, &version2, 3, 0));
	SHOW(setxattr("b", ACCESS, &version2, 0, 0));
	show("b");
	fflush(stdout);
	if (fork() == 0) {
		if (setresgid(5001, 5001, 5001) || setresuid(5001, 5001, 5001))
			_exit(1);
		SHOW(SET("b", ACCESS, {UO, 6, NONE}, {GO, 4, NONE}, {O, 0, NONE}));
		SHOW(removexattr("b", ACCESS));
		SHOW(getxattr("b", ACCESS, NULL, 0));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

static void
inherited(void)
{
	char list[300] = "";
	ssize_t n;

	printf("- inherited\n");
	umask(077);
	mkdir("d", 0755);
	SHOW(SET("d", DEFAULT, {UO, 7, NONE}, {U, 7, 5001}, {GO, 5, NONE}, {M, 7, NONE},
		{O, 1, NONE}));
	show("d");
	make("d/f", 0666);
	make("d/x", 0751);
	make("d/none", 0);
	mkdir("d/d", 0777);
	mkdir("d/d2", 0700);
	mkfifo("d/p", 0666);
	symlink("f", "d/l");
	show("d/f");
	show("d/x");
	show("d/none");
	show("d/d");
	show("d/d2");
	show("d/p");
	show("d/l");
	make("d/d/f", 0640);
	show("d/d/f");
	n = listxattr("d/d", list, sizeof list);
	printf("  list: %zd %d %d\n", n, memmem(list, n, ACCESS, sizeof ACCESS) != NULL,
		memmem(list, n, DEFAULT, sizeof DEFAULT) != NULL);
	chmod("d", 0711);
	may("d/f", 5001, 1);
	may("d/f", 5002, 1);
	may("d/x", 5001, 1);
	may("d/d", 5001, 1);
	may("d/d2", 5001, 1);
	/* exact: as a mode says it */
	SHOW(SET("d", DEFAULT, {UO, 7, NONE}, {GO, 5, NONE}, {O, 5, NONE}));
	make("d/exact", 0666);
	show("d/exact");
	mkdir("d/e", 0777);
	show("d/e");
	SHOW(removexattr("d", DEFAULT));
	make("d/umask", 0666);
	show("d/umask");
	umask(022);
}

/* A directory that the owning group may not search, although its mode says so. */
static void
searched(void)
{
	printf("- searched\n");
	mkdir("s", 0755);
	make("s/f", 0644);
	chown("s", 5000, 6000);
	SHOW(SET("s", ACCESS, {UO, 7, NONE}, {U, 5, 5001}, {GO, 0, NONE}, {M, 5, NONE},
		{O, 0, NONE}));
	show("s");
	may("s/f", 5000, 1);
	may("s/f", 5001, 1);
	may("s/f", 5002, 6000);
	may("s/f", 5002, 1);
	SHOW(SET("s", ACCESS, {UO, 7, NONE}, {U, 0, 5001}, {GO, 5, NONE}, {M, 5, NONE},
		{O, 5, NONE}));
	may("s/f", 5001, 1);
	may("s/f", 5001, 6000);
	may("s/f", 5002, 6000);
	may("s/f", 5002, 1);
	SHOW(removexattr("s", ACCESS));
	show("s");
	may("s/f", 5001, 1);
	chmod("s/f", 02755);
	chown("s/f", 5000, 6000);
	fflush(stdout);
	if (fork() == 0) {
		if (setresgid(5000, 5000, 5000) || setresuid(5000, 5000, 5000))
			_exit(1);
		chmod("s/f", 02755);
		show("s/f");
		SHOW(SET("s/f", ACCESS, {UO, 7, NONE}, {GO, 4, NONE}, {O, 4, NONE}));
		show("s/f");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

/* Who is not in its group takes the bit from a file by setting its ACL. */
static void
setgid_goes(void)
{
	static const char *const names[] = {"g", "g2", "gd"};

	printf("- setgid\n");
	make("g", 0755);
	make("g2", 0755);
	mkdir("gd", 0755);
	for (int k = 0; k < 3; k++) {
		chown(names[k], 5000, 6000);
		SHOW(chmod(names[k], 02755));
	}
	for (int in = 1; in >= 0; in--) {
		gid_t gid = in ? 6000 : 5000;

		fflush(stdout);
		if (fork() == 0) {
			if (setresgid(gid, gid, gid) || setresuid(5000, 5000, 5000))
				_exit(1);
			SHOW(SET("g", ACCESS, {UO, 7, NONE}, {GO, 5, NONE}, {O, 5, NONE}));
			SHOW(SET("g2", ACCESS, {UO, 7, NONE}, {U, 7, 5001}, {GO, 4, NONE},
				{M, 7, NONE}, {O, 5, NONE}));
			SHOW(SET("gd", ACCESS, {UO, 7, NONE}, {GO, 4, NONE}, {O, 5, NONE}));
			fflush(stdout);
			_exit(0);
		}
		wait(NULL);
		for (int k = 0; k < 3; k++)
			show(names[k]);
	}
}

/* Many look at one at once: none of them gets what the mode alone would give. */
static void
together(void)
{
	int go[2], st, got = 0;

	printf("- together\n");
	pipe(go);
	make("t", 0644);
	SHOW(SET("t", ACCESS, {UO, 6, NONE}, {U, 0, 5001}, {GO, 4, NONE}, {M, 4, NONE},
		{O, 4, NONE}));
	fflush(stdout);
	for (int k = 0; k < 4; k++) {
		char c;

		if (fork())
			continue;
		close(go[1]);
		if (setresgid(1, 1, 1) || setresuid(5001, 5001, 5001))
			_exit(1);
		read(go[0], &c, 1);
		for (int i = 0; i < 2000; i++)
			if (open("t", O_RDONLY) >= 0)
				_exit(2);
		_exit(0);
	}
	close(go[0]);
	close(go[1]);
	while (wait(&st) > 0)
		got += st != 0;
	SHOW(got);
}

static void
all(void)
{
	umask(022);
	access_acl();
	bad();
	inherited();
	searched();
	setgid_goes();
	together();
}

/* For tests/escape/acl.sh: "in DIR" does all in a directory, "look PATH..." says who may what of
 * files that are there. */
static int
part(int argc, char **argv)
{
	static const int who[][2] = {
		{5000, 1}, {5001, 1}, {5002, 1}, {5003, 6000}, {5003, 6001}, {5003, 6003}};

	if (chdir(argv[2]))
		return 1;
	if (strcmp(argv[1], "in") == 0)
		all();
	for (int i = 3; i < argc; i++) {
		show(argv[i]);
		for (unsigned k = 0; k < sizeof who / sizeof *who; k++)
			may(argv[i], who[k][0], who[k][1]);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	char cwd[300];

	if (geteuid() != 0) {
		printf("needs root\n");
		return 77;
	}
	if (argc > 2)
		return part(argc, argv);
	/* Everybody may come to the place. */
	getcwd(cwd, sizeof cwd);
	chmod(".", 0755);
	chmod("..", 0755);
	if (mkdir("here", 0755) || chdir("here"))
		return 1;
	all();
	chdir("..");
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mkdir("tmpfs", 0755) || mount("tmpfs", "tmpfs", "tmpfs", 0, "mode=755") ||
		chdir("tmpfs")) {
		printf("no tmpfs: %s\n", strerrorname_np(errno));
		return 1;
	}
	all();
	return 0;
}
