/* SPDX-License-Identifier: Apache-2.0 */
/* The gofer's client under the vfs, against a real gofer: names, attributes, contents, listings,
 * sharing. */
#include "lib/gofer_process.h"
#include "sentry/fs/gofer.h"
#include "sentry/fs/tmpfs.h"
#include "sentry/sched/fiber.h"
#include "sentry/sched/sched.h"
#include "sentry/vfs/path.h"
#include "sentry/vfs/rw.h"
#include <sys/resource.h>

static struct call call;
static void (*body)(void);
static _Atomic int done;
static struct gofer_conn *gofer;

static void
died(void *arg, const char *why)
{
	(void)arg;
	if (done)
		return; /* by in_fiber */
	fprintf(stderr, "%s\n", why);
	abort();
}

static void
mount_as(bool shared, bool relaxed)
{
	struct gofer_mount gm = {.conn = gofer, .export = 0, .shared = shared, .relaxed = relaxed};
	struct mount_request rq = {.source = "host", .priv = &gm};
	struct super *sb;
	struct mnt_ns *ns;

	ck_assert_int_eq(fs_mount("gofer", &call, &rq, &sb), 0);
	ck_assert_int_eq(mnt_ns_new(sb, 0, &ns), 0);
	super_put(sb);
	call.fs = fs_ctx_new(ns);
	mnt_ns_put(ns);
	ck_assert_ptr_nonnull(call.fs);
}

static void
mount_root(bool shared)
{
	mount_as(shared, false);
}

static void
fiber_main(void *arg)
{
	(void)arg;
	body();
	done = 1;
}

/* Run fn in a fiber of a scheduler of its own. */
static void
in_fiber(void (*fn)(void))
{
	struct sched_config sc = {.workers = 2};
	struct rlimit fds;
	struct fiber *f;

	/* As the sentry does, and the gofer. */
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &fds), 0);
	fds.rlim_cur = fds.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &fds), 0);
	gofer_process_start(false);
	call.cred = cred_new_root();
	body = fn;
	ck_assert_int_eq(sched_init(&sc), 0);
	ck_assert_int_eq(vfs_init(), 0);
	ck_assert_int_eq(tmpfs_init(), 0);
	ck_assert_int_eq(fcntl(conn, F_SETFL, O_NONBLOCK), 0);
	gofer_init(NULL);
	ck_assert_int_eq(gofer_conn_new(conn, died, NULL, &gofer), 0);
	ck_assert_int_eq(sched_start(), 0);
	ck_assert_int_eq(fiber_spawn(fiber_main, NULL, &f), 0);
	for (int i = 0; i < 6000 && !done; i++)
		usleep(5000);
	ck_assert_int_eq(done, 1);
	keeper_end(keeper);
	{
		char cmd[160];

		snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
		ck_assert_int_eq(system(cmd), 0);
	}
}

static struct file *
open_file(const char *path, uint32_t flags, uint32_t mode, int want)
{
	struct open_spec how = {.flags = flags, .mode = mode};
	struct file *f = NULL;

	ck_assert_int_eq(vfs_open(&call, NULL, path, &how, &f), want);
	return f;
}

static void
stat_path(const char *path, struct lx_stat_all *st)
{
	struct path p;

	ck_assert_int_eq(vfs_lookup(&call, NULL, path, 0, &p), 0);
	ck_assert_int_eq(vfs_getattr(&call, &p, 0, st), 0);
	path_put(&p);
}

static void
do_contents(void)
{
	struct lx_stat_all st;
	struct file *f;
	char buf[64];
	int64_t pos = 0;

	mount_root(false);
	f = open_file("/a/file", LX_O_RDONLY, 0, 0);
	ck_assert_int_eq(vfs_read_kernel(f, &call, buf, sizeof buf, &pos), 6);
	ck_assert_int_eq(memcmp(buf, "hello\n", 6), 0);
	ck_assert_int_eq(vfs_write_kernel(f, &call, "x", 1, &pos), -EBADF);
	file_put(f);
	f = open_file("/a/new", LX_O_RDWR | LX_O_CREAT | LX_O_EXCL, 0640, 0);
	pos = 0;
	ck_assert_int_eq(vfs_write_kernel(f, &call, "0123456789", 10, &pos), 10);
	stat_path("/a/new", &st);
	ck_assert_int_eq(st.size, 10);
	ck_assert_int_eq(vfs_ftruncate(&call, f, 4), 0);
	stat_path("/a/new", &st);
	ck_assert_int_eq(st.size, 4);
	file_put(f);
	open_file("/a/new", LX_O_RDWR | LX_O_CREAT | LX_O_EXCL, 0640, -EEXIST);
	f = open_file("/a/new", LX_O_WRONLY | LX_O_APPEND, 0, 0);
	pos = 0;
	ck_assert_int_eq(vfs_write_kernel(f, &call, "ab", 2, &pos), 2);
	file_put(f);
	stat_path("/a/new", &st);
	ck_assert_int_eq(st.size, 6);
	f = open_file("/a/new", LX_O_WRONLY | LX_O_TRUNC, 0, 0);
	file_put(f);
	stat_path("/a/new", &st);
	ck_assert_int_eq(st.size, 0);
	open_file("/a/none", LX_O_RDONLY, 0, -ENOENT);
	open_file("/a/file/x", LX_O_RDONLY, 0, -ENOTDIR);
	open_file("/a", LX_O_WRONLY, 0, -EISDIR);
}

static void
do_names(void)
{
	struct lx_stat_all st;
	struct path p;
	char buf[64];
	int64_t n;

	mount_root(false);
	ck_assert_int_eq(vfs_mkdir(&call, NULL, "/d", 0755), 0);
	ck_assert_int_eq(vfs_mkdir(&call, NULL, "/d", 0755), -EEXIST);
	ck_assert_int_eq(vfs_symlink(&call, "/a/file", NULL, "/d/s"), 0);
	ck_assert_int_eq(vfs_link(&call, NULL, "/a/file", NULL, "/d/h", 0), 0);
	stat_path("/d/h", &st);
	ck_assert_uint_eq(st.nlink, 2);
	ck_assert_int_eq(vfs_lookup(&call, NULL, "/d/s", LOOKUP_FOLLOW, &p), 0);
	ck_assert(LX_S_ISREG(inode_mode(p.dentry->inode)));
	path_put(&p);
	ck_assert_int_eq(vfs_lookup(&call, NULL, "/d/s", 0, &p), 0);
	n = vfs_readlink(&call, &p, buf, sizeof buf);
	ck_assert_int_eq(n, 7);
	path_put(&p);
	ck_assert_int_eq(vfs_rmdir(&call, NULL, "/d"), -ENOTEMPTY);
	ck_assert_int_eq(vfs_rename(&call, NULL, "/d/h", NULL, "/a/moved", 0), 0);
	stat_path("/a/moved", &st);
	ck_assert_int_eq(vfs_unlink(&call, NULL, "/a/moved"), 0);
	stat_path("/a/file", &st);
	ck_assert_uint_eq(st.nlink, 1);
	ck_assert_int_eq(vfs_unlink(&call, NULL, "/d/s"), 0);
	ck_assert_int_eq(vfs_rmdir(&call, NULL, "/d"), 0);
	ck_assert_int_eq(vfs_lookup(&call, NULL, "/d", 0, &p), -ENOENT);
	ck_assert_int_eq(vfs_mknod(&call, NULL, "/fifo2", LX_S_IFIFO | 0600, 0), 0);
	stat_path("/fifo2", &st);
	ck_assert_uint_eq(st.mode, LX_S_IFIFO | 0600);
}

struct count {
	struct dir_emit e;
	int n, stop_at;
};

static bool
count_entry(
	struct dir_emit *e, const char *name, size_t len, uint64_t ino, uint8_t type, int64_t next)
{
	struct count *c = (struct count *)e;

	(void)name, (void)len, (void)ino, (void)type, (void)next;
	if (c->n == c->stop_at)
		return false;
	c->n++;
	return true;
}

static int
list(struct file *f, int at_once)
{
	int total = 0;

	for (;;) {
		struct count c = {.e.fn = count_entry, .stop_at = at_once};

		ck_assert_int_eq(vfs_iterate(f, &call, &c.e), 0);
		if (c.n == 0)
			return total;
		total += c.n;
	}
}

static void
do_listing(void)
{
	char path[64];
	struct file *f;

	mount_root(false);
	ck_assert_int_eq(vfs_mkdir(&call, NULL, "/many", 0755), 0);
	for (int i = 0; i < 3000; i++) {
		snprintf(path, sizeof path, "/many/a-rather-long-name-of-a-file-%d", i);
		ck_assert_int_eq(vfs_mknod(&call, NULL, path, LX_S_IFREG | 0600, 0), 0);
	}
	f = open_file("/many", LX_O_RDONLY | LX_O_DIRECTORY, 0, 0);
	ck_assert_int_eq(list(f, 7), 3002);
	ck_assert_int_eq(vfs_lseek(f, &call, 0, LX_SEEK_SET), 0);
	ck_assert_int_eq(list(f, 100000), 3002);
	file_put(f);
	f = open_file("/a", LX_O_RDONLY | LX_O_DIRECTORY, 0, 0);
	ck_assert_int_eq(list(f, 1), 5);
	ck_assert_int_eq(vfs_lseek(f, &call, 0, LX_SEEK_SET), 0);
	ck_assert_int_eq(vfs_mkdir(&call, NULL, "/a/more", 0755), 0);
	ck_assert_int_eq(list(f, 2), 6);
	ck_assert_int_eq(vfs_lseek(f, &call, 0, LX_SEEK_SET), 0);
	ck_assert_int_eq(list(f, 2), 6);
	file_put(f);
}

/* The sandbox's kernel runs out of descriptors before the gofer does: the file is not opened, and
 * that is all. */
static void
do_full(void)
{
	struct rlimit old, few;
	struct file *files[200];
	char path[64];
	int n = 0, r = 0;

	mount_root(false);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = 100;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	while (n < 200) {
		struct open_spec how = {.flags = LX_O_CREAT | LX_O_RDWR, .mode = 0600};

		snprintf(path, sizeof path, "/a/%d", n);
		r = vfs_open(&call, NULL, path, &how, &files[n]);
		if (r)
			break;
		n++;
	}
	ck_assert_int_eq(r, -ENFILE);
	ck_assert_int_gt(n, 0);
	while (n)
		file_put(files[--n]);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
	file_put(open_file("/a/0", LX_O_RDWR, 0, 0));
}

static const char *
host_path(const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", dir, name);
	return path;
}

static void
do_shared(void)
{
	struct lx_stat_all st;
	struct path p;
	char cmd[256];

	mount_root(true);
	stat_path("/a/file", &st);
	ck_assert_int_eq(st.size, 6);
	ck_assert_int_eq(vfs_lookup(&call, NULL, "/a/later", 0, &p), -ENOENT);
	snprintf(cmd, sizeof cmd, "cd %s/a && echo more >>file && echo x >later && rm link", dir);
	ck_assert_int_eq(system(cmd), 0);
	stat_path("/a/file", &st);
	ck_assert_int_eq(st.size, 11);
	stat_path("/a/later", &st);
	ck_assert_int_eq(vfs_lookup(&call, NULL, "/a/link", 0, &p), -ENOENT);
}

/* One call asks once: what came with the name is not asked for again. Who waits asks again. */
static void
do_once(void)
{
	struct lx_stat_all st;
	struct path p;
	char cmd[256];

	mount_root(true);
	stat_path("/a/file", &st);
	ck_assert_int_eq(st.size, 6);
	gofer_same_call_ns = INT64_MAX / 2;
	call.serial = 1;
	ck_assert_int_eq(vfs_lookup(&call, NULL, "/a/file", 0, &p), 0);
	snprintf(cmd, sizeof cmd, "echo more >>%s/a/file", dir);
	ck_assert_int_eq(system(cmd), 0);
	call.serial = 2;
	ck_assert_int_eq(vfs_getattr(&call, &p, 0, &st), 0);
	ck_assert_int_eq(st.size, 11);
	ck_assert_int_eq(truncate(host_path("a/file"), 7), 0);
	ck_assert_int_eq(vfs_getattr(&call, &p, 0, &st), 0);
	ck_assert_int_eq(st.size, 11);
	ck_assert_int_eq(vfs_getattr(&call, &p, LX_AT_STATX_FORCE_SYNC, &st), 0);
	ck_assert_int_eq(st.size, 7);
	path_put(&p);
	ck_assert_int_eq(vfs_lookup(&call, NULL, "/a/file", 0, &p), 0);
	ck_assert_int_eq(truncate(host_path("a/file"), 3), 0);
	ck_assert_int_eq(vfs_getattr(&call, &p, 0, &st), 0);
	ck_assert_int_eq(st.size, 7);
	gofer_same_call_ns = 0;
	ck_assert_int_eq(vfs_getattr(&call, &p, 0, &st), 0);
	ck_assert_int_eq(st.size, 3);
	ck_assert_int_eq(truncate(host_path("a/file"), 4), 0);
	call.serial = 0;
	ck_assert_int_eq(vfs_getattr(&call, &p, 0, &st), 0);
	ck_assert_int_eq(st.size, 4);
	path_put(&p);
}

/* List /a and look at all of it, as find does. */
static int
look_at_a(void)
{
	static const char *const names[] = {"/a", "/a/b", "/a/b/c", "/a/file", "/a/link"};
	struct file *f = open_file("/a", LX_O_RDONLY | LX_O_DIRECTORY, 0, 0);
	int n = list(f, 100);

	file_put(f);
	f = open_file("/a/b", LX_O_RDONLY | LX_O_DIRECTORY, 0, 0);
	list(f, 100);
	file_put(f);
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		struct path p;

		if (!vfs_lookup(&call, NULL, names[i], 0, &p))
			path_put(&p);
	}
	return n;
}

/* What we do is seen at once, what others do when the time is over. */
static void
do_relaxed(void)
{
	struct lx_stat_all st;
	struct path p;
	struct file *f;
	int64_t pos = 6;
	char cmd[256], buf[16];

	mount_as(true, true);
	ck_assert_int_eq(look_at_a(), 5);
	f = open_file("/a/file", LX_O_RDWR, 0, 0);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(look_at_a(), 5);
		ck_assert_int_eq(vfs_write_kernel(f, &call, "x", 1, &pos), 1);
		stat_path("/a/file", &st);
		ck_assert_int_eq(st.size, 7 + i);
		ck_assert_int_eq(vfs_lookup(&call, NULL, "/a/none", 0, &p), -ENOENT);
	}
	ck_assert_int_eq(look_at_a(), 5);
	ck_assert_int_eq(vfs_ftruncate(&call, f, 6), 0);
	file_put(f);
	look_at_a();
	stat_path("/a/file", &st);
	ck_assert_int_eq(st.size, 6);
	ck_assert_int_eq(vfs_mkdir(&call, NULL, "/a/none", 0755), 0);
	ck_assert_int_eq(look_at_a(), 6);
	stat_path("/a/none", &st);
	ck_assert_int_eq(vfs_rename(&call, NULL, "/a/none", NULL, "/a/other", 0), 0);
	ck_assert_int_eq(look_at_a(), 6);
	ck_assert_int_eq(vfs_lookup(&call, NULL, "/a/none", 0, &p), -ENOENT);
	ck_assert_int_eq(vfs_rmdir(&call, NULL, "/a/other"), 0);
	ck_assert_int_eq(look_at_a(), 5);
	ck_assert_int_eq(vfs_lookup(&call, NULL, "/a/other", 0, &p), -ENOENT);

	for (int i = 0; i < 3; i++) {
		snprintf(cmd, sizeof cmd,
			"cd %s/a && echo %d >>file && echo x >later%d && rm -f link && mkdir b/d%d "
			"&& "
			"echo new >file2 && mv file2 b/again",
			dir, i, i, i);
		ck_assert_int_eq(system(cmd), 0);
		usleep(GOFER_RELAX_NS / 1000 + 10000);
		ck_assert_int_eq(look_at_a(), 5 + i);
		stat_path("/a/file", &st);
		ck_assert_int_eq(st.size, 8 + 2 * i);
		snprintf(cmd, sizeof cmd, "/a/later%d", i);
		stat_path(cmd, &st);
		snprintf(cmd, sizeof cmd, "/a/b/d%d", i);
		stat_path(cmd, &st);
		ck_assert_int_eq(vfs_lookup(&call, NULL, "/a/link", 0, &p), -ENOENT);
		f = open_file("/a/b/again", LX_O_RDONLY, 0, 0);
		pos = 0;
		ck_assert_int_eq(vfs_read_kernel(f, &call, buf, sizeof buf, &pos), 4);
		file_put(f);
	}
}

START_TEST(contents)
{
	in_fiber(do_contents);
}
END_TEST

START_TEST(names)
{
	in_fiber(do_names);
}
END_TEST

START_TEST(listing)
{
	in_fiber(do_listing);
}
END_TEST

START_TEST(full)
{
	in_fiber(do_full);
}
END_TEST

START_TEST(shared)
{
	in_fiber(do_shared);
}
END_TEST

START_TEST(once)
{
	in_fiber(do_once);
}
END_TEST

START_TEST(relaxed)
{
	in_fiber(do_relaxed);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("files");

	tcase_set_timeout(t, 40);
	tcase_add_test(t, contents);
	tcase_add_test(t, names);
	tcase_add_test(t, listing);
	tcase_add_test(t, full);
	tcase_add_test(t, shared);
	tcase_add_test(t, once);
	tcase_add_test(t, relaxed);
	return suite_run("gofer client", t);
}
