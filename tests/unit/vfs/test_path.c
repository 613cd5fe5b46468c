/* SPDX-License-Identifier: Apache-2.0 */
/* Names: walk, create, link, rename, remove, mounts, locks, over tmpfs. Expected errors are
 * Linux's. */
#include "kit.h"
#include "sentry/vfs/lock.h"

static void
test_walk(struct world *w)
{
	struct call *c = &w->root;
	struct lx_stat_all st;
	struct path p;
	char buf[256], deep[600] = "/d";
	int err;

	EQ(vfs_mkdir(c, NULL, "/a", 0755), 0);
	EQ(vfs_mkdir(c, NULL, "/a/b/", 0755), 0);
	EQ(vfs_mkdir(c, NULL, "/a/b/c", 0755), 0);
	EQ(vfs_mkdir(c, NULL, "/a/b", 0755), -EEXIST);
	EQ(vfs_mkdir(c, NULL, "/x/y", 0755), -ENOENT);
	touch(c, "/a/b/c/file");
	EQ(stat_of(c, "a//b/./c/../c/file", 0, &st), 0);
	EQ(st.mode, LX_S_IFREG | 0644);
	EQ(stat_of(c, "/a/b/c/file/", 0, &st), -ENOTDIR);
	EQ(stat_of(c, "/a/b/c/file/x", 0, &st), -ENOTDIR);
	EQ(stat_of(c, "/../../a", 0, &st), 0);
	EQ(st.nlink, 3);
	EQ(stat_of(c, "", 0, &st), -ENOENT);
	EQ(stat_of(c, "/nothing", 0, &st), -ENOENT);
	EQ(stat_of(c, "/nothing", 0, &st), -ENOENT);
	EQ(vfs_symlink(c, "b/c", NULL, "/a/link"), 0);
	EQ(vfs_symlink(c, "/a/link/", NULL, "/abs"), 0);
	EQ(vfs_symlink(c, "loop", NULL, "/loop"), 0);
	EQ(stat_of(c, "/a/link/file", 0, &st), 0);
	EQ(stat_of(c, "/abs/file", 0, &st), 0);
	EQ(stat_of(c, "/abs", LOOKUP_FOLLOW, &st), 0);
	EQ(LX_S_ISDIR(st.mode), 1);
	EQ(stat_of(c, "/abs", 0, &st), 0);
	EQ(LX_S_ISLNK(st.mode), 1);
	EQ(st.size, 8);
	EQ(stat_of(c, "/abs/", 0, &st), 0);
	EQ(LX_S_ISDIR(st.mode), 1);
	EQ(stat_of(c, "/loop", LOOKUP_FOLLOW, &st), -ELOOP);
	EQ(vfs_lookup(c, NULL, "/abs/file", LOOKUP_FOLLOW, &p), 0);
	STREQ(vfs_d_path(&p, NULL, buf, sizeof buf, &err), "/a/b/c/file");
	path_put(&p);

	/* RESOLVE_* */
	EQ(vfs_lookup(c, NULL, "a/..", LOOKUP_BENEATH, &p), 0);
	path_put(&p);
	EQ(vfs_lookup(c, NULL, "a/../..", LOOKUP_BENEATH, &p), -EXDEV);
	EQ(vfs_lookup(c, NULL, "/a", LOOKUP_BENEATH, &p), -EXDEV);
	EQ(vfs_lookup(c, NULL, "abs", LOOKUP_BENEATH | LOOKUP_FOLLOW, &p), -EXDEV);
	EQ(vfs_lookup(c, NULL, "abs", LOOKUP_NO_SYMLINKS | LOOKUP_FOLLOW, &p), -ELOOP);
	{
		struct path a, q;

		EQ(vfs_lookup(c, NULL, "/a", 0, &a), 0);
		EQ(vfs_lookup(c, &a, "/b/../../../b", LOOKUP_IN_ROOT, &q), 0);
		STREQ(vfs_d_path(&q, &a, buf, sizeof buf, &err), "/b");
		path_put(&q);
		fs_ctx_set_root(c->fs, &a);
		EQ(stat_of(c, "/b/c/file", 0, &st), 0);
		EQ(stat_of(c, "/../b/c/file", 0, &st), 0);
		EQ(stat_of(c, "/a", 0, &st), -ENOENT);
		mnt_ns_root(w->ns, &q);
		fs_ctx_set_root(c->fs, &q);
		path_put(&q);
		path_put(&a);
	}
	memset(deep + 1, 'n', 256);
	EQ(stat_of(c, deep, 0, &st), -ENAMETOOLONG);

	/* rights */
	EQ(vfs_mkdir(c, NULL, "/private", 0700), 0);
	touch(c, "/private/f");
	EQ(stat_of(&w->user, "/private/f", 0, &st), -EACCES);
	EQ(open_err(&w->user, "/a/b/c/file", LX_O_RDONLY, 0), 0);
	EQ(open_err(&w->user, "/a/b/c/file", LX_O_RDWR, 0), -EACCES);
	EQ(open_err(&w->user, "/a/b/c/new", LX_O_RDWR | LX_O_CREAT, 0644), -EACCES);
	touch(&w->user, "/mine");
	EQ(stat_of(c, "/mine", 0, &st), 0);
	EQ(st.uid, 1000);
	touch(c, "/roots");
	EQ(vfs_unlink(&w->user, NULL, "/roots"), -EPERM);
	EQ(vfs_rename(&w->user, NULL, "/roots", NULL, "/r2", 0), -EPERM);
	EQ(vfs_link(&w->user, NULL, "/roots", NULL, "/r2", 0), -EPERM);
	EQ(vfs_unlink(c, NULL, "/roots"), 0);
}

static void
test_open(struct world *w)
{
	struct call *c = &w->root;
	struct lx_stat_all st;
	struct file *f;
	char buf[32];
	int64_t pos = 0;
	struct path p;
	int err;

	EQ(open_err(c, "/o", LX_O_RDWR, 0), -ENOENT);
	EQ(open_err(c, "/o", LX_O_RDWR | LX_O_CREAT | LX_O_EXCL, 0666), 0);
	EQ(open_err(c, "/o", LX_O_RDWR | LX_O_CREAT | LX_O_EXCL, 0666), -EEXIST);
	EQ(open_err(c, "/o/", LX_O_RDWR | LX_O_CREAT, 0666), -EISDIR);
	EQ(open_err(c, "/a", LX_O_RDWR, 0), -EISDIR);
	EQ(open_err(c, "/a", LX_O_RDONLY | LX_O_CREAT, 0), -EISDIR);
	EQ(open_err(c, "/o", LX_O_RDONLY | LX_O_DIRECTORY, 0), -ENOTDIR);
	EQ(open_err(c, "/abs", LX_O_RDONLY | LX_O_NOFOLLOW, 0), -ELOOP);
	EQ(vfs_symlink(c, "made", NULL, "/tomake"), 0);
	EQ(open_err(c, "/tomake", LX_O_RDWR | LX_O_CREAT | LX_O_EXCL, 0666), -EEXIST);
	EQ(open_err(c, "/tomake", LX_O_RDWR | LX_O_CREAT, 0600), 0);
	EQ(stat_of(c, "/made", 0, &st), 0);
	EQ(open_err(c, "/loop", LX_O_RDWR | LX_O_CREAT, 0600), -ELOOP);

	f = xopen(c, "/o", LX_O_RDWR, 0);
	EQ(wr(f, c, "hello"), 5);
	EQ(vfs_unlink(c, NULL, "/o"), 0);
	EQ(stat_of(c, "/o", 0, &st), -ENOENT);
	EQ(vfs_read_kernel(f, c, buf, sizeof buf, &pos), 5);
	EQ(vfs_getattr(c, &f->path, 0, &st), 0);
	EQ(st.nlink, 0);
	STREQ(vfs_d_path(&f->path, NULL, buf, sizeof buf, &err), "/o (deleted)");
	file_put(f);

	f = xopen(c, "/", LX_O_RDWR | LX_O_TMPFILE, 0600);
	EQ(wr(f, c, "x"), 1);
	EQ(vfs_link(c, &f->path, "", NULL, "/tmpnamed", LX_AT_EMPTY_PATH), 0);
	file_put(f);
	EQ(stat_of(c, "/tmpnamed", 0, &st), 0);
	EQ(st.size, 1);
	EQ(st.nlink, 1);
	EQ(open_err(c, "/tmpnamed", LX_O_WRONLY | LX_O_TRUNC, 0), 0);
	EQ(stat_of(c, "/tmpnamed", 0, &st), 0);
	EQ(st.size, 0);

	/* ETXTBSY both ways */
	{
		struct file *x, *x2;

		EQ(vfs_lookup(c, NULL, "/tmpnamed", 0, &p), 0);
		EQ(vfs_chmod(c, &p, 0755), 0);
		path_put(&p);
		EQ(vfs_open_exec(c, NULL, "/tmpnamed", LOOKUP_FOLLOW, &x), 0);
		EQ(open_err(c, "/tmpnamed", LX_O_WRONLY, 0), -ETXTBSY);
		file_put(x);
		x2 = xopen(c, "/tmpnamed", LX_O_WRONLY, 0);
		EQ(vfs_open_exec(c, NULL, "/tmpnamed", LOOKUP_FOLLOW, &x), -ETXTBSY);
		file_put(x2);
	}
}

static void
test_rename(struct world *w)
{
	struct call *c = &w->root;
	struct lx_stat_all st, st2;
	char name[64];

	EQ(vfs_mkdir(c, NULL, "/r", 0755), 0);
	EQ(vfs_mkdir(c, NULL, "/r/d1", 0755), 0);
	EQ(vfs_mkdir(c, NULL, "/r/d2", 0755), 0);
	touch(c, "/r/f1");
	touch(c, "/r/d1/f2");
	EQ(vfs_rename(c, NULL, "/r/f1", NULL, "/r/d1/f1", 0), 0);
	EQ(stat_of(c, "/r/f1", 0, &st), -ENOENT);
	EQ(stat_of(c, "/r/d1/f1", 0, &st), 0);
	EQ(vfs_rename(c, NULL, "/r/d1", NULL, "/r/d1/sub", 0), -EINVAL);
	EQ(vfs_rename(c, NULL, "/r/d1", NULL, "/r/d2/d1", 0), 0);
	EQ(stat_of(c, "/r/d2/d1/f2", 0, &st), 0);
	EQ(vfs_rename(c, NULL, "/r/d2/d1/f2", NULL, "/r/d2", 0), -ENOTEMPTY);
	EQ(vfs_rename(c, NULL, "/r/d2/d1/f2", NULL, "/r", LX_RENAME_NOREPLACE), -EEXIST);
	touch(c, "/r/g");
	EQ(vfs_rename(c, NULL, "/r/g", NULL, "/r/d2/d1", 0), -EISDIR);
	EQ(vfs_rename(c, NULL, "/r/d2", NULL, "/r/g", 0), -ENOTDIR);
	EQ(stat_of(c, "/r/g", 0, &st), 0);
	EQ(stat_of(c, "/r/d2", 0, &st2), 0);
	EQ(vfs_rename(c, NULL, "/r/g", NULL, "/r/d2", LX_RENAME_EXCHANGE), 0);
	EQ(stat_of(c, "/r/g/d1/f1", 0, &st2), 0);
	EQ(stat_of(c, "/r/d2", 0, &st2), 0);
	EQ(st2.ino, st.ino);
	EQ(vfs_rename(c, NULL, "/r/g", NULL, "/r/g/.", 0), -EBUSY);
	EQ(vfs_rename(c, NULL, "/r/none", NULL, "/r/x", 0), -ENOENT);
	EQ(vfs_rmdir(c, NULL, "/r/g"), -ENOTEMPTY);
	EQ(vfs_rmdir(c, NULL, "/r/g/d1/."), -EINVAL);
	EQ(vfs_rmdir(c, NULL, "/r/g/d1/.."), -ENOTEMPTY);
	EQ(vfs_rmdir(c, NULL, "/r/d2"), -ENOTDIR);
	EQ(vfs_unlink(c, NULL, "/r/g"), -EISDIR);
	EQ(vfs_link(c, NULL, "/r/d2", NULL, "/r/hard", 0), 0);
	EQ(stat_of(c, "/r/hard", 0, &st), 0);
	EQ(st.nlink, 2);
	EQ(vfs_rename(c, NULL, "/r/d2", NULL, "/r/hard", 0), 0);
	EQ(stat_of(c, "/r/d2", 0, &st), 0);
	EQ(vfs_link(c, NULL, "/r/g", NULL, "/r/hd", 0), -EPERM);
	EQ(vfs_link(c, NULL, "/r/d2", NULL, "/r/hard", 0), -EEXIST);

	/* the cache stays bounded, and nothing leaks */
	EQ(vfs_mkdir(c, NULL, "/many", 0755), 0);
	for (int i = 0; i < 50000; i++) {
		snprintf(name, sizeof name, "/many/a-rather-long-file-name-to-be-allocated-%d", i);
		touch(c, name);
		if (vfs_unlink(c, NULL, name))
			failures++;
	}
	if (atomic_load(&live_count[LIVE_DENTRY]) > dcache_limit + 200) {
		printf("dentries: %lld\n", (long long)atomic_load(&live_count[LIVE_DENTRY]));
		failures++;
	}
	EQ(vfs_rmdir(c, NULL, "/many"), 0);
}

static void
test_mounts(struct world *w)
{
	struct call *c = &w->root;
	struct path p, q;
	struct lx_stat_all st;
	char *text;
	size_t len;

	EQ(vfs_mkdir(c, NULL, "/m", 0755), 0);
	EQ(vfs_mkdir(c, NULL, "/m/t", 0755), 0);
	EQ(vfs_mount(c, "none", "/m/t", "tmpfs", LX_MS_NOSUID, "size=1m,mode=755"), 0);
	EQ(vfs_mount(&w->user, "none", "/m/t", "tmpfs", 0, NULL), -EPERM);
	EQ(vfs_mount(c, "none", "/m/t", "nofs", 0, NULL), -ENODEV);
	EQ(vfs_mount(c, "none", "/m/t", "tmpfs", 0, "bogus"), -EINVAL);
	touch(c, "/m/t/in");
	EQ(stat_of(c, "/m/t/../t/in", 0, &st), 0);
	EQ(vfs_rmdir(c, NULL, "/m/t"), -EBUSY);
	EQ(vfs_rename(c, NULL, "/m/t", NULL, "/m/x", 0), -EBUSY);
	EQ(vfs_rename(c, NULL, "/m/t/in", NULL, "/m/in", 0), -EXDEV);
	EQ(vfs_mkdir(c, NULL, "/m/b", 0755), 0);
	EQ(vfs_mount(c, "/m/t", "/m/b", NULL, LX_MS_BIND, NULL), 0);
	EQ(stat_of(c, "/m/b/in", 0, &st), 0);
	EQ(vfs_mount(c, NULL, "/m/b", NULL, LX_MS_BIND | LX_MS_REMOUNT | LX_MS_RDONLY, NULL), 0);
	EQ(open_err(c, "/m/b/in", LX_O_RDWR, 0), -EROFS);
	EQ(open_err(c, "/m/t/in", LX_O_RDWR, 0), 0);
	EQ(vfs_mkdir(c, NULL, "/m/b/dd", 0755), -EROFS);
	EQ(vfs_mkdir(c, NULL, "/m/b/in", 0755), -EEXIST);
	text = mnt_ns_show(w->ns, NULL, MNT_SHOW_MOUNTINFO, &len);
	if (!strstr(text, " / /m/b ro,relatime") && !strstr(text, " / /m/b ro,nosuid")) {
		printf("%s", text);
		failures++;
	}
	free(text);
	EQ(vfs_lookup(c, NULL, "/m/t", 0, &p), 0);
	EQ(vfs_lookup(c, NULL, "/m/t/in", 0, &q), 0);
	EQ(mnt_umount(&p, 0), -EBUSY);
	path_put(&q);
	EQ(mnt_umount(&p, LX_MNT_EXPIRE), -EAGAIN);
	EQ(mnt_umount(&p, LX_MNT_EXPIRE), 0);
	EQ(mnt_umount(&p, 0), -EINVAL);
	path_put(&p);
	EQ(stat_of(c, "/m/t/in", 0, &st), -ENOENT);
	EQ(stat_of(c, "/m/b/in", 0, &st), 0);
	EQ(vfs_lookup(c, NULL, "/m/b", 0, &p), 0);
	EQ(mnt_umount(&p, LX_MNT_DETACH), 0);
	path_put(&p);

	/* propagation: what is mounted under a shared mount shows under its peer, and under its
	 * slave */
	EQ(vfs_mkdir(c, NULL, "/m/s1", 0755), 0);
	EQ(vfs_mkdir(c, NULL, "/m/s2", 0755), 0);
	EQ(vfs_mkdir(c, NULL, "/m/s3", 0755), 0);
	EQ(vfs_mount(c, "none", "/m/s1", "tmpfs", 0, NULL), 0);
	EQ(vfs_mount(c, NULL, "/m/s1", NULL, LX_MS_SHARED, NULL), 0);
	EQ(vfs_mount(c, "/m/s1", "/m/s2", NULL, LX_MS_BIND, NULL), 0);
	EQ(vfs_mount(c, "/m/s1", "/m/s3", NULL, LX_MS_BIND, NULL), 0);
	EQ(vfs_mount(c, NULL, "/m/s3", NULL, LX_MS_SLAVE, NULL), 0);
	EQ(vfs_mkdir(c, NULL, "/m/s1/x", 0755), 0);
	EQ(vfs_mount(c, "none", "/m/s1/x", "tmpfs", 0, NULL), 0);
	touch(c, "/m/s1/x/here");
	EQ(stat_of(c, "/m/s2/x/here", 0, &st), 0);
	EQ(stat_of(c, "/m/s3/x/here", 0, &st), 0);
	EQ(vfs_mkdir(c, NULL, "/m/s3/x/sub", 0755), 0);
	EQ(vfs_mount(c, "none", "/m/s3/x/sub", "tmpfs", 0, NULL), 0);
	touch(c, "/m/s3/x/sub/only");
	EQ(stat_of(c, "/m/s1/x/sub/only", 0, &st), -ENOENT);
	EQ(vfs_lookup(c, NULL, "/m/s3/x/sub", 0, &p), 0);
	EQ(mnt_umount(&p, 0), 0);
	path_put(&p);
	EQ(vfs_lookup(c, NULL, "/m/s2/x", 0, &p), 0);
	EQ(mnt_umount(&p, 0), 0);
	path_put(&p);
	EQ(stat_of(c, "/m/s1/x/here", 0, &st), -ENOENT);
	EQ(stat_of(c, "/m/s3/x/here", 0, &st), -ENOENT);

	/* a copy of the namespace, and pivot_root in it */
	{
		struct mnt_ns *ns;
		struct call k = *c;

		k.fs = fs_ctx_dup(c->fs);
		EQ(mnt_ns_copy(w->ns, k.fs, NULL, UINT32_MAX, &ns), 0);
		mnt_ns_put(k.fs->ns);
		k.fs->ns = ns;
		EQ(stat_of(&k, "/m/s1/x", 0, &st), 0);
		EQ(vfs_mkdir(&k, NULL, "/newroot", 0755), 0);
		EQ(vfs_mount(&k, "none", "/newroot", "tmpfs", 0, NULL), 0);
		EQ(stat_of(c, "/newroot", 0, &st), 0);
		EQ(vfs_mkdir(&k, NULL, "/newroot/old", 0755), 0);
		EQ(stat_of(c, "/newroot/old", 0, &st), -ENOENT);
		EQ(vfs_lookup(&k, NULL, "/newroot", 0, &p), 0);
		EQ(vfs_lookup(&k, NULL, "/newroot/old", 0, &q), 0);
		EQ(mnt_pivot_root(k.fs, &p, &q, NULL), 0);
		path_put(&p);
		path_put(&q);
		EQ(stat_of(&k, "/old/a/b/c/file", 0, &st), 0);
		EQ(stat_of(&k, "/a", 0, &st), -ENOENT);
		EQ(vfs_lookup(&k, NULL, "/old", 0, &p), 0);
		EQ(mnt_umount(&p, LX_MNT_DETACH), 0);
		path_put(&p);
		EQ(stat_of(&k, "/old/a", 0, &st), -ENOENT);
		fs_ctx_put(k.fs);
	}
}

static void
test_locks(struct world *w)
{
	struct call *a = &w->root, *b = &w->user;
	struct file *f = xopen(a, "/lk", LX_O_RDWR | LX_O_CREAT, 0666),
		    *g = xopen(a, "/lk", LX_O_RDWR, 0);
	struct lock_request rq, rq2;
	struct lx_flock fl = {LX_F_WRLCK, LX_SEEK_SET, 0, 10, 10, 0, 0}, fl2 = fl;
	void *ck, *ck2;

	EQ(lock_request_init(&rq, a, f, &fl, false), 0);
	EQ(file_lock_set(f, &rq), 0);
	EQ(lock_request_init(&rq2, b, g, &fl2, false), 0);
	EQ(file_lock_set(g, &rq2), -EAGAIN);
	file_lock_get(g, &rq2, &fl2);
	EQ(fl2.type, LX_F_WRLCK);
	EQ(fl2.pid, 1);
	/* split */
	rq.type = LX_F_UNLCK;
	rq.start = 12;
	rq.end = 15;
	EQ(file_lock_set(f, &rq), 0);
	rq2.start = 12;
	rq2.end = 15;
	EQ(file_lock_set(g, &rq2), 0);
	/* a circle of two */
	rq.type = LX_F_WRLCK;
	EQ(file_lock_set(f, &rq), -EAGAIN);
	EQ(file_lock_wait_begin(f, &rq, &ck), 0);
	rq2.start = 10;
	rq2.end = 11;
	EQ(file_lock_set(g, &rq2), -EAGAIN);
	EQ(file_lock_wait_begin(g, &rq2, &ck2), -EDEADLK);
	file_lock_wait_end(ck);
	file_locks_close(f, a->files_id);
	EQ(file_lock_set(g, &rq2), 0);
	/* flock */
	rq = (struct lock_request){LOCK_KIND_FLOCK, LX_F_WRLCK, 0, INT64_MAX, (uintptr_t)f, 1};
	rq2 = (struct lock_request){LOCK_KIND_FLOCK, LX_F_RDLCK, 0, INT64_MAX, (uintptr_t)g, 1};
	EQ(file_lock_set(f, &rq), 0);
	EQ(file_lock_set(g, &rq2), -EAGAIN);
	rq.type = LX_F_RDLCK;
	EQ(file_lock_set(f, &rq), 0);
	EQ(file_lock_set(g, &rq2), 0);
	file_put(f);
	rq2.type = LX_F_WRLCK;
	EQ(file_lock_set(g, &rq2), 0);
	file_put(g);
}

static void
bench(struct world *w)
{
	struct call *c = &w->root;
	struct lx_stat_all st;
	int64_t t;

	t = now_ns();
	for (int i = 0; i < 1000000; i++)
		stat_of(c, "/a/b/../b/c/file", 0, &st);
	printf("stat of 5 cached components: %lld ns\n", (long long)((now_ns() - t) / 1000000));
	t = now_ns();
	for (int i = 0; i < 1000000; i++)
		stat_of(c, "/missing", 0, &st);
	printf("stat of a missing file: %lld ns\n", (long long)((now_ns() - t) / 1000000));
	t = now_ns();
	for (int i = 0; i < 200000; i++)
		file_put(xopen(c, "/a/b/c/file", LX_O_RDONLY, 0));
	printf("open+close: %lld ns\n", (long long)((now_ns() - t) / 200000));
	t = now_ns();
	for (int i = 0; i < 200000; i++) {
		struct file *f = xopen(c, "/a/b/c/tmp", LX_O_RDWR | LX_O_CREAT, 0600);

		wr(f, c, "x");
		file_put(f);
		vfs_unlink(c, NULL, "/a/b/c/tmp");
	}
	printf("create+write+close+unlink: %lld ns\n", (long long)((now_ns() - t) / 200000));
}

int
main(void)
{
	struct world w;
	int64_t before[LIVE_COUNT];

	EQ(vfs_init(), 0);
	EQ(tmpfs_init(), 0);
	for (int i = 0; i < LIVE_COUNT; i++)
		before[i] = atomic_load(&live_count[i]);
	world_open(&w, NULL);
	test_walk(&w);
	test_open(&w);
	test_rename(&w);
	test_mounts(&w);
	test_locks(&w);
	bench(&w);
	world_close(&w);
	for (int i = 0; i < LIVE_COUNT; i++)
		live_check((enum live_kind)i, before[i]);
	printf(failures ? "FAILED: %d\n" : "ok\n", failures);
	return failures != 0;
}
