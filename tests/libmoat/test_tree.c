/* SPDX-License-Identifier: Apache-2.0 */
/* Trees in memory: what the host program puts there is seen inside, and the other way round. */
#include "lib.h"
#include <moat/files.h>

static struct box *
box(struct moat_tree *t)
{
	struct box *b = box_new();

	box_mount(b, MOAT_MOUNT_VIRTUAL, "/tree")->files = moat_tree_files(t);
	return b;
}

static void
expect_file(struct moat_tree *t, const char *path, const char *text)
{
	void *p;
	size_t n;

	CHECK(moat_tree_read(t, path, &p, &n) == 0, "%s", path);
	CHECK(n == strlen(text) && !strcmp(p, text), "%s: %s", path, (char *)p);
	free(p);
}

static void
given(void)
{
	struct moat_tree *t = moat_tree_new(0);
	static char borrowed[] = "borrowed";
	struct box *b;

	CHECK(t);
	CHECK(moat_tree_add(t, "/a/b/run", 0755, "#!/bin/sh\necho ran $1\n", 22) == 0);
	CHECK(moat_tree_borrow(t, "/lent", 0644, borrowed, 8) == 0);
	CHECK(moat_tree_symlink(t, "/to", "a/b") == 0);
	CHECK(moat_tree_mkdir(t, "/empty", 0755) == 0);
	CHECK(moat_tree_chown(t, "/empty", 7, 8) == 0);
	b = box(t);
	box_expect(b,
		"cd /tree; find . | sort; /tree/to/run 5; cat lent; echo; stat -c '%A %u %g' "
		"empty; "
		"readlink to; python3 -c 'import os; print(os.stat(\"/tree/a/b/run\").st_size)'",
		".\n./a\n./a/b\n./a/b/run\n./empty\n./lent\n./to\nran 5\nborrowed\n"
		"drwxr-xr-x 7 8\na/b\n22\n",
		0);
	/* It can be mounted again. */
	b = box(t);
	box_expect(b,
		"cd /tree; printf B | dd of=lent conv=notrunc 2>/dev/null; mkdir new; "
		"echo kept >new/file; ln -s file new/link; mv a/b/run new/moved; rmdir a/b a; "
		"echo appended >>new/file; chmod 751 new/file; stat -c %a new/file; "
		"exec 3<new/file; rm new/file; cat <&3; echo last >new/file; cp -r new /tree/copy; "
		"ls -R copy",
		"751\nkept\nappended\ncopy:\nfile\nlink\nmoved\n", 0);
	expect_file(t, "/lent", "Borrowed");
	CHECK(!strcmp(borrowed, "borrowed"));
	expect_file(t, "/new/file", "last\n");
	expect_file(t, "/copy/moved", "#!/bin/sh\necho ran $1\n");
	moat_tree_free(t);
}

static void
modes(void)
{
	struct moat_tree *t = moat_tree_new(0);
	struct box *b = box(t);

	CHECK(moat_tree_add(t, "/f", 0644, "first\n", 6) == 0);
	b->mounts[b->c.nmounts - 1].flags = MS_RDONLY;
	box_expect(b, "cat /tree/f; (: >/tree/g) 2>&1 | tail -c 22",
		"first\nRead-only file system\n", 0);
	b = box(t);
	b->mounts[b->c.nmounts - 1].overlay = true;
	box_expect(b, "echo x >/tree/f; mkdir /tree/d; cat /tree/f", "x\n", 0);
	expect_file(t, "/f", "first\n");
	CHECK(moat_tree_remove(t, "/d") == -ENOENT);
	/* Full, by whoever. */
	moat_tree_free(t);
	t = moat_tree_new(100000);
	CHECK(moat_tree_add(t, "/big", 0644, "", 0) == 0);
	b = box(t);
	box_expect(b,
		"head -c 200000 /dev/zero 2>/dev/null >/tree/big || echo full; "
		"[ $(stat -c %s /tree/big) -gt 90000 ] && rm /tree/big; echo fits >/tree/small; "
		"python3 -c '\n"
		"import os\n"
		"try:\n"
		"    for i in range(1000): os.mkdir(f\"/tree/{i}\")\n"
		"except OSError as e: print(i > 300, e.errno)'",
		"full\nTrue 28\n", 0);
	expect_file(t, "/small", "fits\n");
	box_expect(box(t), "stat -f -c '%b %a %f %c %d' /tree", "24 0 0 390 0\n", 0);
	CHECK(moat_tree_add(t, "/more", 0644, "", 0) == -ENOSPC);
	moat_tree_free(t);
	/* How much that is, and how much is left. */
	t = moat_tree_new(1 << 20);
	CHECK(moat_tree_add(t, "/some", 0644, "", 0) == 0);
	b = box(t);
	box_expect(b,
		"stat -f -c '%b %c %S' /tree; set -- $(stat -f -c '%a %d' /tree); "
		"head -c 409600 /dev/zero >/tree/some; touch /tree/a /tree/b; "
		"set -- $* $(stat -f -c '%f %d' /tree); "
		"[ $(($1 - $3)) -ge 100 ] && [ $(($1 - $3)) -lt 200 ] && [ $2 -ge $4 ] && "
		"echo as much; rm /tree/some; set -- $* $(stat -f -c %f /tree); "
		"[ $(($1 - $5)) -lt 2 ] && echo all again",
		"256 4096 4096\nas much\nall again\n", 0);
	moat_tree_free(t);
}

static void
arguments(void)
{
	struct moat_tree *t = moat_tree_new(0);
	char deep[9000] = "", longest[300];
	void *p;
	size_t n;

	memset(longest, 'n', sizeof longest);
	longest[0] = '/';
	longest[257] = 0;
	CHECK(moat_tree_add(t, "", 0644, "", 0) == -EINVAL);
	CHECK(moat_tree_add(t, NULL, 0644, "", 0) == -EINVAL);
	CHECK(moat_tree_add(t, "/", 0644, "", 0) == -EINVAL);
	CHECK(moat_tree_add(t, "a", 0644, "", 0) == -EINVAL);
	CHECK(moat_tree_add(t, "/a//b", 0644, "", 0) == -EINVAL);
	CHECK(moat_tree_add(t, "/a/../b", 0644, "", 0) == -EINVAL);
	CHECK(moat_tree_add(t, "/a/", 0644, "", 0) == -EINVAL);
	CHECK(moat_tree_add(t, longest, 0644, "", 0) == -EINVAL);
	CHECK(moat_tree_add(t, "/a", 0644, "x", 1) == 0);
	CHECK(moat_tree_add(t, "/a/b", 0644, "", 0) == -ENOTDIR);
	CHECK(moat_tree_add(t, "/a", 0644, "y", 1) == 0);
	expect_file(t, "/a", "y");
	CHECK(moat_tree_symlink(t, "/l", "") == -EINVAL);
	CHECK(moat_tree_mkdir(t, "/d/e", 0755) == 0);
	CHECK(moat_tree_mkdir(t, "/d", 0755) == -ENOTEMPTY);
	CHECK(moat_tree_read(t, "/d", &p, &n) == -EISDIR);
	CHECK(moat_tree_read(t, "/none", &p, &n) == -ENOENT);
	CHECK(moat_tree_read(t, "/a/none", &p, &n) == -ENOTDIR);
	CHECK(moat_tree_chown(t, "none", 1, 1) == -EINVAL);
	CHECK(moat_tree_remove(t, "/d") == 0 && moat_tree_remove(t, "/d/e") == -ENOENT);
	while (strlen(deep) < 4090)
		strcat(deep, "/x");
	CHECK(moat_tree_mkdir(t, deep, 0755) == 0);
	CHECK(moat_tree_remove(t, "/x") == 0);
	moat_tree_free(t);
	moat_tree_free(NULL);
}

/* A program nests directories deeper than any path is long: nothing here follows them by calls. */
static void
deep(void)
{
	struct moat_tree *t = moat_tree_new(0);
	struct box *b = box(t);

	box_expect(b,
		"exec python3 -c '\n"
		"import os\n"
		"for i in range(6):\n"
		"    os.chdir(\"/tree\")\n"
		"    d = \"d%d\" % i\n"
		"    for j in range(400):\n"
		"        os.mkdir(d)\n"
		"        os.chdir(d)\n"
		"        d = \"x\"\n"
		"    if i: os.rename(\"/tree/d%d\" % (i - 1), \"below\")\n"
		"print(os.listdir(\"/tree\"))'",
		"['d5']\n", 0);
	CHECK(moat_tree_remove(t, "/d5") == 0);
	moat_tree_free(t);
}

int
main(void)
{
	struct own before = own_now();

	given();
	modes();
	arguments();
	deep();
	own_check(before);
	return 0;
}
