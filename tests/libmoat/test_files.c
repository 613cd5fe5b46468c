/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual files: what a program inside sees of them, and what reaches the host program's functions.
 */
#include "lib.h"
#include <moat/files.h>
#include <pthread.h>
#include <sys/stat.h>

/* A flat directory of files that are kept here, and a few that are made when they are read. */
#define FILES_MAX 16
struct host {
	struct entry {
		char name[64], data[4096];
		size_t size;
		bool used;
		uint32_t mode, uid, gid;
	} files[FILES_MAX];
	int opened, released, reads; /* of one thread */
	pthread_t thread;
	bool other_thread, signals_blocked;
};

static struct entry *
find(struct host *h, const char *path)
{
	for (int i = 0; i < FILES_MAX; i++)
		if (h->files[i].used && path[0] == '/' && !strcmp(path + 1, h->files[i].name))
			return &h->files[i];
	return NULL;
}

static void
look_around(struct host *h)
{
	sigset_t set;

	h->other_thread |= !pthread_equal(pthread_self(), h->thread);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	h->signals_blocked = sigismember(&set, SIGINT) && sigismember(&set, SIGUSR1);
}

static int
h_getattr(void *user, const char *path, void *file, struct moat_file_attr *a)
{
	const struct entry *e = file ? file : find(user, path);

	look_around(user);
	a->mtime_s = 1000000000;
	if (!strcmp(path, "/")) {
		a->mode = S_IFDIR | 0755;
	} else if (!strcmp(path, "/sub")) {
		a->mode = S_IFDIR | 0700;
		a->uid = 12;
		a->gid = 34;
	} else if (!strcmp(path, "/link")) {
		a->mode = S_IFLNK | 0777;
	} else if (!strcmp(path, "/count")) {
		a->mode = S_IFREG | 0444;
	} else if (!strcmp(path, "/huge")) {
		a->mode = S_IFREG | 0444;
		a->size = INT64_MAX;
	} else if (e) {
		a->mode = S_IFREG | e->mode;
		a->size = e->size;
		a->uid = e->uid;
		a->gid = e->gid;
	} else {
		return -ENOENT;
	}
	return 0;
}

static int
h_readdir(void *user, const char *path, struct moat_dir *d)
{
	struct host *h = user;

	if (strcmp(path, "/") != 0)
		return 0;
	CHECK(moat_dir_add(d, "sub", S_IFDIR) == 0 && moat_dir_add(d, "link", S_IFLNK) == 0);
	CHECK(moat_dir_add(d, "count", S_IFREG) == 0 && moat_dir_add(d, "huge", S_IFREG) == 0);
	for (int i = 0; i < FILES_MAX; i++)
		if (h->files[i].used)
			CHECK(moat_dir_add(d, h->files[i].name, S_IFREG) == 0);
	return 0;
}

static int
h_readlink(void *user, const char *path, char *buf, size_t size)
{
	(void)user, (void)path;
	snprintf(buf, size, "first");
	return 0;
}

static int
h_open(void *user, const char *path, int flags, void **ret)
{
	struct host *h = user;

	(void)flags;
	h->opened++;
	*ret = find(h, path);
	return 0;
}

static ssize_t
h_read(void *user, const char *path, void *file, void *buf, size_t len, uint64_t off)
{
	struct host *h = user;
	const struct entry *e = file;
	char text[32];
	size_t n;

	if (!strcmp(path, "/huge")) {
		memset(buf, (int)(off >> 60) + '0', len);
		return (ssize_t)len;
	}
	if (!strcmp(path, "/count")) {
		if (off)
			return 0;
		n = (size_t)snprintf(text, sizeof text, "%d\n", ++h->reads);
		memcpy(buf, text, n);
		return (ssize_t)n;
	}
	if (off >= e->size)
		return 0;
	n = e->size - off < len ? e->size - off : len;
	memcpy(buf, e->data + off, n);
	return (ssize_t)n;
}

static ssize_t
h_write(void *user, const char *path, void *file, const void *buf, size_t len, uint64_t off)
{
	struct entry *e = file;

	(void)user, (void)path;
	if (off >= sizeof e->data)
		return -ENOSPC;
	if (len > sizeof e->data - off)
		len = sizeof e->data - off;
	memcpy(e->data + off, buf, len);
	if (off + len > e->size)
		e->size = off + len;
	return (ssize_t)len;
}

static void
h_release(void *user, void *file)
{
	struct host *h = user;

	(void)file;
	h->released++;
}

static int
h_truncate(void *user, const char *path, void *file, uint64_t size)
{
	struct entry *e = file ? file : find(user, path);

	if (!e || size > sizeof e->data)
		return e ? -EFBIG : -ENOENT;
	if (size > e->size)
		memset(e->data + e->size, 0, size - e->size);
	e->size = size;
	return 0;
}

static int
h_create(void *user, const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
	struct host *h = user;

	for (int i = 0; i < FILES_MAX; i++) {
		if (h->files[i].used)
			continue;
		memset(&h->files[i], 0, sizeof h->files[i]);
		snprintf(h->files[i].name, sizeof h->files[i].name, "%s", path + 1);
		h->files[i].used = true;
		h->files[i].mode = mode;
		h->files[i].uid = uid;
		h->files[i].gid = gid;
		return 0;
	}
	return -ENOSPC;
}

static int
h_unlink(void *user, const char *path)
{
	struct entry *e = find(user, path);

	if (!e)
		return -ENOENT;
	e->used = false; /* who has it open keeps its contents */
	return 0;
}

static int
h_rename(void *user, const char *from, const char *to, unsigned flags)
{
	struct entry *e = find(user, from), *over = find(user, to);

	if (!e || flags)
		return e ? -EINVAL : -ENOENT;
	if (over)
		over->used = false;
	snprintf(e->name, sizeof e->name, "%s", to + 1);
	return 0;
}

/* More than all is not free. */
static int
h_statfs(void *user, struct moat_space *ret)
{
	struct host *h = user;

	CHECK(!ret->bytes && !ret->free_bytes && !ret->files && !ret->free_files);
	if (find(h, "/none"))
		return -EOVERFLOW;
	*ret = (struct moat_space){
		.bytes = 10 << 12, .free_bytes = (3 << 12) + 5, .files = 7, .free_files = 9};
	return 0;
}

static const struct moat_files_ops ops = {
	.getattr = h_getattr,
	.readdir = h_readdir,
	.readlink = h_readlink,
	.open = h_open,
	.read = h_read,
	.write = h_write,
	.release = h_release,
	.truncate = h_truncate,
	.create = h_create,
	.unlink = h_unlink,
	.rename = h_rename,
	.statfs = h_statfs,
};

static void
put(struct host *h, const char *name, uint32_t mode, const void *data, size_t n)
{
	char path[64];
	struct entry *e;

	snprintf(path, sizeof path, "/%s", name);
	CHECK(h_create(h, path, mode, 0, 0) == 0);
	e = find(h, path);
	memcpy(e->data, data, n);
	e->size = n;
}

static struct host *
host_new(void)
{
	struct host *h = calloc(1, sizeof *h);

	CHECK(h);
	h->thread = pthread_self();
	put(h, "first", 0644, "hello\n", 6);
	return h;
}

static void
host_free(struct host *h)
{
	CHECK(h->opened == h->released, "%d opened, %d released", h->opened, h->released);
	free(h);
}

static struct moat_mount *
mount_it(struct box *b, struct moat_files *f, const struct moat_files_ops *o, struct host *h)
{
	struct moat_mount *m = box_mount(b, MOAT_MOUNT_VIRTUAL, "/host");

	*f = (struct moat_files){.ops = o, .user = h};
	m->files = f;
	return m;
}

static void
expect(const char *script, const char *text)
{
	struct host *h = host_new();
	struct box *b = box_new();
	struct moat_files f;

	mount_it(b, &f, &ops, h);
	box_expect(b, script, text, 0);
	CHECK(h->other_thread && h->signals_blocked);
	host_free(h);
}

static void
reading(void)
{
	expect("cd /host; ls; cat first link; readlink link; stat -c '%A %u %g %s %Y' sub",
		"count\nfirst\nhuge\nlink\nsub\nhello\nhello\nfirst\ndrwx------ 12 34 0 "
		"1000000000\n");
	expect("cat /host/count /host/count /host/count", "1\n2\n3\n");
	expect("cat /host/none 2>/dev/null || stat -c %s /host/first; "
	       "ls /host/sub 2>/dev/null || echo denied",
		"6\ndenied\n");
	/* At offsets that no file has. */
	expect("dd if=/host/huge bs=4 count=1 iflag=skip_bytes skip=9000000000000000000 "
	       "2>/dev/null; "
	       "dd if=/host/huge bs=3 count=1 2>/dev/null; echo; "
	       "tail -c 5 /host/first; stat -f -c %t /host",
		"7777000\nello\n65735546\n");
	expect("stat -f -c '%b %f %a %c %d %S' /host; echo x >/host/none; "
	       "python3 -c 'import os; os.statvfs(\"/host\")' 2>&1 | grep -o 'Errno 75'",
		"10 3 3 7 7 4096\nErrno 75\n");
}

static void
writing(void)
{
	struct host *h = host_new();
	struct box *b = box_new();
	struct moat_files f;

	mount_it(b, &f, &ops, h);
	box_expect(b,
		"cd /host; echo new >second; cat second; echo more >>second; cat second; "
		"printf H | dd of=first conv=notrunc 2>/dev/null; cat first; truncate -s 2 first; "
		"cat first; echo; mv second third; cat third; ls; "
		"exec 3<>third; rm third; echo tail >&3; cat <&3; ls; "
		"ln first x 2>/dev/null || echo no link; mkdir d 2>/dev/null || echo no dir; "
		"chmod 600 first 2>/dev/null || echo no mode",
		"new\nnew\nmore\nHello\nHe\nnew\nmore\n"
		"count\nfirst\nhuge\nlink\nsub\nthird\nore\n"
		"count\nfirst\nhuge\nlink\nsub\nno link\nno dir\nno mode\n",
		0);
	CHECK(find(h, "/first")->size == 2 && !memcmp(find(h, "/first")->data, "He", 2));
	host_free(h);
}

int
main(void)
{
	struct own before = own_now();

	reading();
	writing();
	own_check(before);
	return 0;
}
