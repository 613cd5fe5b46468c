/* SPDX-License-Identifier: Apache-2.0 */
/* statmount(2), listmount(2), and the unique numbers of mounts in statx(2). */
#include "guest.h"
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The headers of Debian 12 do not have these. */
struct request {
	uint32_t size, spare;
	uint64_t id, param, ns;
	uint64_t more[4];
};
struct info {
	uint32_t size, opts;
	uint64_t mask;
	uint32_t major, minor;
	uint64_t magic;
	uint32_t sb_flags, type;
	uint64_t id, parent;
	uint32_t old_id, old_parent;
	uint64_t attr, propagation, peers, master, from;
	uint32_t root, point;
	uint64_t ns, spare[49];
	char str[8192];
};
enum { SB = 1, MNT = 2, FROM = 4, ROOT = 8, POINT = 16, TYPE = 32, NS = 64, OPTS = 128 };
#define ALL	 (SB | MNT | FROM | ROOT | POINT | TYPE | NS | OPTS)
#define LIST_ALL UINT64_MAX
#define OFFSET	 (1ull << 31)

static struct info in;

static int
stat_of(uint64_t ns, uint64_t id, uint64_t mask, size_t room)
{
	struct request rq = {.size = 32, .id = id, .param = mask, .ns = ns};

	memset(&in, 0xee, sizeof in);
	return (int)syscall(457, &rq, &in, room, 0);
}

static long
list(uint64_t ns, uint64_t id, uint64_t last, uint64_t *ids, size_t n, unsigned flags)
{
	struct request rq = {.size = 32, .id = id, .param = last, .ns = ns};

	return syscall(458, &rq, ids, n, flags);
}

static uint64_t
number(const char *path, unsigned mask)
{
	struct statx x;

	if (syscall(SYS_statx, AT_FDCWD, path, 0, mask, &x))
		return 0;
	return x.stx_mask & mask ? x.stx_mnt_id : 0;
}

static uint64_t
unique(const char *path)
{
	return number(path, 0x4000);
}

static const char *
text(uint32_t at)
{
	return at < sizeof in.str ? in.str + at : "?";
}

static void
show(const char *path)
{
	char cwd[4096];
	uint64_t id = unique(path);
	int r = stat_of(0, id, ALL, sizeof in);

	if (r) {
		printf("%s: %s\n", path, strerrorname_np(errno));
		return;
	}
	getcwd(cwd, sizeof cwd);
	printf("%s: mask %lx size %s flags %x\n", path, (long)in.mask & ALL & ~OPTS,
		in.size > 512 && in.size < sizeof in ? "of both" : "odd", in.sb_flags);
	printf("   type %s magic %lx opts %s\n", text(in.type), (long)in.magic,
		strstr(text(in.opts), "size=64k") ? "size=64k" : "other");
	printf("   ids %s %s %s\n", in.id == id && id > OFFSET ? "unique" : "odd",
		in.old_id == number(path, 0x1000) ? "same" : "other",
		in.parent == unique(".") ? "below us" : "elsewhere");
	printf("   attr %lx propagation %lx %s %s from %s\n", (long)in.attr, (long)in.propagation,
		in.peers ? "peers" : "alone", in.master ? "master" : "free",
		!in.from	       ? "none"
		: in.from == in.master ? "master"
				       : "other");
	printf("   root %s point %s\n", text(in.root),
		strncmp(text(in.point), cwd, strlen(cwd)) ? text(in.point)
							  : text(in.point) + strlen(cwd));
}

static void
numbers(void)
{
	mkdir("m", 0755);
	mkdir("b", 0755);
	mkdir("t", 0755);
	SHOW(mount("mine", "m", "tmpfs", MS_NOSUID | MS_NOATIME, "size=64k"));
	mkdir("m/sub dir", 0755);
	mkdir("m/sub dir/x", 0755);
	SHOW(mount("m/sub dir", "b", NULL, MS_BIND, NULL));
	SHOW(mount("other", "t", "tmpfs", MS_RDONLY | MS_NODEV | MS_NOEXEC | MS_STRICTATIME, NULL));
	show("m");
	show("b");
	show("t");
	TRUE(unique("m") != unique("b"));
	TRUE(unique("m") == unique("m/sub dir/x"));
	SHOW(mount(NULL, "m", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NODIRATIME, NULL));
	show("m");
	SHOW(mount(NULL, "m", NULL, MS_SHARED, NULL));
	SHOW(mount(NULL, "b", NULL, MS_UNBINDABLE, NULL));
	mkdir("s", 0755);
	SHOW(mount("m", "s", NULL, MS_BIND, NULL));
	SHOW(mount(NULL, "s", NULL, MS_SLAVE, NULL));
	show("m");
	show("b");
	show("s");
	SHOW(mount(NULL, "s", NULL, MS_SHARED, NULL));
	show("s");
	/* a number is not used again */
	uint64_t id = unique("t");
	umount("t");
	SHOW(stat_of(0, id, ALL, sizeof in));
	mount("other", "t", "tmpfs", 0, NULL);
	TRUE(unique("t") > id);
	umount("t");
	umount("s");
}

static void
lists(void)
{
	uint64_t ids[500], again[500], m = unique("m"), b, in_b;
	long n, k;
	int sorted = 1, has_m = 0, has_root = 0;

	mkdir("b/deep", 0755);
	SHOW(mount("deep", "b/x", "tmpfs", 0, NULL));
	b = unique("b");
	in_b = unique("b/x");
	n = list(0, LIST_ALL, 0, ids, 500, 0);
	for (long i = 0; i < n; i++) {
		sorted &= !i || ids[i] > ids[i - 1];
		has_m |= ids[i] == m;
		has_root |= ids[i] == unique("/");
	}
	TRUE(n > 3);
	printf("sorted %d, m %d, root %d\n", sorted, has_m, has_root);
	k = list(0, LIST_ALL, 0, again, 500, 1);
	TRUE(k == n);
	for (long i = 0; i < n && k == n; i++)
		if (again[i] != ids[n - 1 - i])
			printf("reverse differs at %ld\n", i);
	SHOW(list(0, b, 0, again, 500, 0));
	TRUE(again[0] == in_b);
	SHOW(list(0, in_b, 0, again, 500, 0));
	/* in pieces */
	k = list(0, LIST_ALL, 0, again, 2, 0);
	printf("first %ld\n", k);
	k = list(0, LIST_ALL, again[1], again, 500, 0);
	TRUE(k == n - 2 && again[0] == ids[2]);
	k = list(0, LIST_ALL, ids[n - 1], again, 500, 1);
	TRUE(k == n - 1 && again[0] == ids[n - 2]);
	SHOW(list(0, LIST_ALL, ids[n - 1], again, 500, 0));
	SHOW(list(0, LIST_ALL, 0, again, 0, 0));
}

static void
errors(void)
{
	uint64_t ids[4], m = unique("m");
	struct request rq = {.size = 24, .id = m, .param = MNT, .ns = 1};
	char page[5000] = "";

	SHOW(syscall(457, &rq, &in, sizeof in, 0)); /* the short one has no namespace */
	SHOW(syscall(457, &rq, &in, sizeof in, 1));
	SHOW(syscall(457, NULL, &in, sizeof in, 0));
	SHOW(syscall(457, &rq, NULL, sizeof in, 0));
	SHOW(syscall(457, &rq, NULL, 0, 0));
	rq.size = 23;
	SHOW(syscall(457, &rq, &in, sizeof in, 0));
	rq.size = 5000;
	memcpy(page, &rq, sizeof rq);
	SHOW(syscall(457, page, &in, sizeof in, 0));
	rq.ns = 0;
	rq.size = 64;
	SHOW(syscall(457, &rq, &in, sizeof in, 0));
	rq.more[3] = 1;
	SHOW(syscall(457, &rq, &in, sizeof in, 0));
	rq.more[3] = 0;
	rq.id = 5;
	SHOW(syscall(457, &rq, &in, sizeof in, 0));
	SHOW(syscall(458, &rq, ids, 4, 0));
	rq.id = OFFSET;
	SHOW(syscall(457, &rq, &in, sizeof in, 0));
	SHOW(stat_of(0, OFFSET + 0x7fffffffffll, MNT, sizeof in));
	SHOW(stat_of(12345, m, MNT, sizeof in));
	SHOW(list(0, OFFSET + 0x7fffffffffll, 0, ids, 4, 0));
	SHOW(list(0, LIST_ALL, 77, ids, 4, 0));
	SHOW(list(0, LIST_ALL, 0, ids, 1000001, 0));
	SHOW(list(0, LIST_ALL, 0, ids, 4, 2));
	SHOW(list(0, LIST_ALL, 0, NULL, 4, 0));
	/* room */
	SHOW(stat_of(0, m, MNT, 64));
	printf("size %u mask %lx, behind it %x\n", in.size, (long)in.mask, (unsigned)in.spare[0]);
	SHOW(stat_of(0, m, 0, 512));
	printf("size %u mask %lx\n", in.size, (long)in.mask);
	SHOW(stat_of(0, m, TYPE, 512));
	SHOW(stat_of(0, m, TYPE, 100));
	SHOW(stat_of(0, m, TYPE, 516));
	SHOW(stat_of(0, m, TYPE, 540));
	printf("%s\n", text(in.type));
}

static uint64_t
ns_number(int fd)
{
	uint64_t id = 0;

	return ioctl(fd, 0x8008b705u, &id) ? 0 : id;
}

static void
namespaces(void)
{
	int fd = open("/proc/self/ns/mnt", O_RDONLY), uts = open("/proc/self/ns/uts", O_RDONLY);
	uint64_t mine = ns_number(fd), m = unique("m"), ids[500], theirs;
	int up[2], down[2], pid;
	uint64_t id;
	char c;

	TRUE(mine != 0);
	SHOW(ioctl(uts, 0x8008b705u, &id));
	SHOW(stat_of(mine, m, NS, sizeof in));
	TRUE(in.ns == mine);
	pipe(up);
	pipe(down);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		unshare(CLONE_NEWNS);
		id = unique("m");
		write(up[1], &id, sizeof id);
		read(down[0], &c, 1);
		_exit(0);
	}
	read(up[0], &id, sizeof id);
	TRUE(id > m);
	SHOW(stat_of(0, id, NS, sizeof in));
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
	theirs = ns_number(open(path, O_RDONLY));
	TRUE(theirs != 0 && theirs != mine);
	SHOW(stat_of(theirs, id, NS | TYPE, sizeof in));
	printf("%s %d\n", text(in.type), in.ns == theirs);
	TRUE(list(theirs, LIST_ALL, 0, ids, 500, 0) > 3);
	fflush(stdout);
	if (!fork()) {
		setuid(1000);
		SHOW(stat_of(theirs, id, NS, sizeof in));
		SHOW(list(theirs, LIST_ALL, 0, ids, 500, 0));
		SHOW(stat_of(mine, m, NS, sizeof in));
		TRUE(list(0, LIST_ALL, 0, ids, 500, 0) > 3);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	write(down[1], "x", 1);
	wait(NULL);
	SHOW(stat_of(theirs, id, NS, sizeof in));
}

/* What is outside of the root is not shown. */
static void
outside(void)
{
	uint64_t ids[500], b = unique("b"), m = unique("m"), in_b = unique("b/x");

	fflush(stdout);
	if (fork()) {
		wait(NULL);
		return;
	}
	SHOW(chroot("b"));
	SHOW(stat_of(0, m, POINT | MNT, sizeof in));
	printf("mask %lx\n", (long)in.mask & ALL);
	SHOW(stat_of(0, in_b, POINT | ROOT | MNT, sizeof in));
	printf("%s %s\n", text(in.point), text(in.root));
	SHOW(stat_of(0, b, POINT | ROOT, sizeof in));
	printf("%s %s\n", text(in.point), text(in.root));
	SHOW(list(0, LIST_ALL, 0, ids, 500, 0));
	setuid(1000);
	SHOW(stat_of(0, m, MNT, sizeof in));
	SHOW(list(0, m, 0, ids, 500, 0));
	SHOW(stat_of(0, in_b, MNT, sizeof in));
	SHOW(list(0, LIST_ALL, 0, ids, 500, 0));
	fflush(stdout);
	_exit(0);
}

int
main(void)
{
	if (unshare(CLONE_NEWNS)) {
		printf("no right to mount\n");
		return 77;
	}
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	numbers();
	lists();
	errors();
	namespaces();
	outside();
	umount("b/x");
	umount("b");
	umount("m");
	rmdir("b");
	rmdir("m");
	rmdir("s");
	rmdir("t");
	return 0;
}
