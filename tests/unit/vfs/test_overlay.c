/* SPDX-License-Identifier: Apache-2.0 */
/* overlay over a tmpfs: what is seen changes, what lies below does not. */
#include "kit.h"
#include "sentry/fs/overlay.h"

struct names {
	struct dir_emit e;
	char text[512];
};

static bool
collect(struct dir_emit *e, const char *name, size_t len, uint64_t ino, uint8_t type, int64_t next)
{
	struct names *n = container_of(e, struct names, e);

	(void)ino, (void)type, (void)next;
	if (name[0] == '.')
		return true;
	strncat(n->text, name, len);
	strcat(n->text, " ");
	return true;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted names of a directory. */
static const char *
ls(const struct call *c, const char *path)
{
	static char out[512];
	struct file *f = xopen(c, path, LX_O_RDONLY | LX_O_DIRECTORY, 0);
	struct names n = {.e = {collect}};
	char *v[64], *p = n.text, *s;
	int k = 0;

	EQ(vfs_iterate(f, c, &n.e), 0);
	file_put(f);
	while ((s = strsep(&p, " ")) && k < 64)
		if (*s)
			v[k++] = s;
	qsort(v, (size_t)k, sizeof *v, by_name);
	out[0] = 0;
	for (int i = 0; i < k; i++) {
		strcat(out, v[i]);
		strcat(out, " ");
	}
	return out;
}

static const char *
cat(const struct call *c, const char *path)
{
	static char out[256];
	struct file *f = xopen(c, path, LX_O_RDONLY, 0);
	ssize_t n = f ? vfs_read_kernel(f, c, out, sizeof out - 1, &f->pos) : 0;

	out[n > 0 ? n : 0] = 0;
	file_put(f);
	return out;
}

static void
put(const struct call *c, const char *path, const char *text)
{
	struct file *f = xopen(c, path, LX_O_WRONLY | LX_O_CREAT | LX_O_TRUNC, 0644);

	EQ(wr(f, c, text), strlen(text));
	file_put(f);
}

#define LARGE_SIZE (1000 * 1024 + 777)

/* What is at a place of the large file: whole pages of data, of zeros, and an end that is neither.
 */
static char
large_at(size_t i)
{
	size_t page = i / 4096;

	return page % 7 == 3 || (page > 100 && page < 170) ? 0 : (char)(i % 251 + 1);
}

static void
large_make(const struct call *l)
{
	struct file *f = xopen(l, "/large", LX_O_WRONLY | LX_O_CREAT, 0644);
	char *buf = malloc(LARGE_SIZE);
	int64_t pos = 0;

	for (size_t i = 0; i < LARGE_SIZE; i++)
		buf[i] = large_at(i);
	EQ(vfs_write_kernel(f, l, buf, LARGE_SIZE, &pos), LARGE_SIZE);
	free(buf);
	file_put(f);
}

/* It moves up as a whole at the first write. */
static void
large_change(const struct call *c)
{
	struct file *f = xopen(c, "/large", LX_O_RDWR, 0);
	char *buf = malloc(LARGE_SIZE + 1);
	size_t wrong = 0;
	int64_t pos = 700000;

	EQ(vfs_write_kernel(f, c, "!", 1, &pos), 1);
	pos = 0;
	EQ(vfs_read_kernel(f, c, buf, LARGE_SIZE + 1, &pos), LARGE_SIZE);
	for (size_t i = 0; i < LARGE_SIZE; i++)
		wrong += buf[i] != (i == 700000 ? '!' : large_at(i));
	EQ(wrong, 0);
	free(buf);
	file_put(f);
}

int
main(void)
{
	struct world lower, w;
	struct call *c, *l;
	struct lx_stat_all st, st2;
	int64_t before[LIVE_COUNT];
	struct super *sb;
	struct file *f, *g;
	struct path p;
	char buf[16];
	int64_t pos;

	EQ(vfs_init(), 0);
	EQ(tmpfs_init(), 0);
	for (int i = 0; i < LIVE_COUNT; i++)
		before[i] = atomic_load(&live_count[i]);
	world_open(&lower, NULL);
	world_open(&w, NULL);
	l = &lower.root;
	vfs_mkdir(l, NULL, "/d", 0755);
	vfs_mkdir(l, NULL, "/d/sub", 0755);
	vfs_mkdir(l, NULL, "/empty", 0755);
	put(l, "/d/one", "one");
	put(l, "/d/two", "two");
	put(l, "/d/sub/three", "three");
	EQ(vfs_link(l, NULL, "/d/one", NULL, "/hard", 0), 0);
	EQ(vfs_symlink(l, "d/one", NULL, "/link"), 0);
	large_make(l);

	/* put the overlay under the second world's root */
	EQ(overlay_new(&w.root, lower.sb, NULL, &sb), 0);
	fs_ctx_put(w.root.fs);
	mnt_ns_put(w.ns);
	EQ(mnt_ns_new(sb, MNT_RELATIME, &w.ns), 0);
	w.root.fs = w.user.fs = fs_ctx_new(w.ns);
	super_put(w.sb);
	w.sb = sb;
	c = &w.root;

	STREQ(ls(c, "/d"), "one sub two ");
	STREQ(cat(c, "/link"), "one");
	EQ(stat_of(c, "/d/one", 0, &st), 0);
	EQ(st.nlink, 2);
	/* a descriptor from before the copy-up sees the new contents; so does the other name */
	f = xopen(c, "/hard", LX_O_RDONLY, 0);
	g = xopen(c, "/d/one", LX_O_RDWR | LX_O_APPEND, 0);
	EQ(wr(g, c, "+more"), 5);
	pos = 0;
	EQ(vfs_read_kernel(f, c, buf, sizeof buf, &pos), 8);
	STREQ(cat(c, "/hard"), "one+more");
	STREQ(cat(l, "/d/one"), "one");
	EQ(stat_of(c, "/d/one", 0, &st2), 0);
	EQ(st2.ino, st.ino);
	EQ(st2.size, 8);
	file_put(f);
	file_put(g);
	/* whiteouts, and new things over them */
	EQ(vfs_unlink(c, NULL, "/d/two"), 0);
	EQ(stat_of(c, "/d/two", 0, &st), -ENOENT);
	STREQ(ls(c, "/d"), "one sub ");
	EQ(vfs_mkdir(c, NULL, "/d/two", 0700), 0);
	put(c, "/d/two/x", "x");
	STREQ(ls(c, "/d"), "one sub two ");
	EQ(vfs_rmdir(c, NULL, "/d/two"), -ENOTEMPTY);
	EQ(vfs_unlink(c, NULL, "/d/two/x"), 0);
	EQ(vfs_rmdir(c, NULL, "/d/two"), 0);
	EQ(stat_of(c, "/d/two", 0, &st), -ENOENT);
	EQ(stat_of(l, "/d/two", 0, &st), 0);
	/* directories move with what is below them */
	EQ(vfs_rmdir(c, NULL, "/d"), -ENOTEMPTY);
	EQ(vfs_rename(c, NULL, "/d", NULL, "/moved", 0), 0);
	STREQ(ls(c, "/"), "empty hard large link moved ");
	STREQ(ls(c, "/moved"), "one sub ");
	STREQ(cat(c, "/moved/sub/three"), "three");
	EQ(stat_of(c, "/d", 0, &st), -ENOENT);
	EQ(vfs_mkdir(c, NULL, "/d", 0755), 0);
	STREQ(ls(c, "/d"), "");
	EQ(vfs_rename(c, NULL, "/moved/sub", NULL, "/empty", 0), 0);
	STREQ(ls(c, "/empty"), "three ");
	EQ(vfs_rename(c, NULL, "/moved/one", NULL, "/empty/three", LX_RENAME_EXCHANGE), 0);
	STREQ(cat(c, "/moved/one"), "three");
	STREQ(ls(l, "/"), "d empty hard large link ");
	STREQ(ls(l, "/d"), "one sub two ");
	large_change(c);
	/* attributes and xattrs */
	EQ(vfs_lookup(c, NULL, "/moved/one", 0, &p), 0);
	EQ(vfs_chmod(c, &p, 0600), 0);
	EQ(vfs_setxattr(c, &p, "user.k", "v", 1, 0), 0);
	EQ(vfs_truncate(c, &p, 2), 0);
	EQ(vfs_getxattr(c, &p, "user.k", buf, sizeof buf), 1);
	path_put(&p);
	STREQ(cat(c, "/moved/one"), "th");
	dentry_shrink(sb->root);
	EQ(stat_of(c, "/moved/one", 0, &st), 0);
	EQ(st.mode & 07777, 0600);
	STREQ(cat(c, "/moved/one"), "th");
	EQ(stat_of(l, "/d/sub/three", 0, &st), 0);
	EQ(st.mode & 07777, 0644);
	STREQ(cat(l, "/d/sub/three"), "three");
	f = xopen(c, "/", LX_O_RDWR | LX_O_TMPFILE, 0600);
	EQ(vfs_link(c, &f->path, "", NULL, "/named", LX_AT_EMPTY_PATH), 0);
	file_put(f);
	EQ(stat_of(c, "/named", 0, &st), 0);

	world_close(&w);
	world_close(&lower);
	for (int i = 0; i < LIVE_COUNT; i++)
		live_check((enum live_kind)i, before[i]);
	printf(failures ? "FAILED: %d\n" : "ok\n", failures);
	return failures != 0;
}
