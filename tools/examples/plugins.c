/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plugin host: runs scripts that nobody trusts, one after the other, each in a sandbox of its
 * own. They talk to this program by files. See README.md in this folder.
 *
 *	plugins [-n NAME=VALUE]... SCRIPT...
 *
 * A script finds below /host:
 *	config.json	made at each read: its name, how often it read, what -n gave
 *	store/KEY	values that are kept here, from script to script
 *	log		what is appended is printed here, with the script's name before each line
 *
 * Prints the store at the end. Exit status: 0, or 1 when a script failed, 2 when the host did.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <moat/files.h>
#include <moat/run.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS_MAX    64
#define KEY_BYTES   64
#define VALUE_BYTES 65536
#define CONFIG_MAX  16
#define LINE_BYTES  1024

struct value {
	char key[KEY_BYTES]; /* "": free */
	char *data;	     /* VALUE_BYTES */
	size_t size;
};

/* What scripts reach. Its functions are called by a thread of the library, one at a time; this
 * program looks at it when no script runs. */
static struct {
	const char *script;
	const char *config[CONFIG_MAX];
	unsigned nconfig, reads;
	struct value store[KEYS_MAX];
	char line[LINE_BYTES]; /* of the log, not ended yet */
	size_t line_bytes;
} host;

static const struct moat_limits limits = {.cpu_ms = 5000,
	.wall_ms = 10000,
	.memory_bytes = 64 << 20,
	.processes = 16,
	.output_bytes = 1 << 20};

/* --- the store --- */

static struct value *
find(const char *path)
{
	const char prefix[] = "/store/";
	const char *key = path + sizeof prefix - 1;

	if (strncmp(path, prefix, sizeof prefix - 1) != 0 || !*key)
		return NULL;
	for (int i = 0; i < KEYS_MAX; i++)
		if (strcmp(host.store[i].key, key) == 0)
			return &host.store[i];
	return NULL;
}

static int
host_create(void *user, const char *path, uint32_t mode, uint32_t uid, uint32_t gid)
{
	const char *key = strrchr(path, '/') + 1;

	(void)user, (void)mode, (void)uid, (void)gid;
	if (strncmp(path, "/store/", 7) != 0)
		return -EACCES;
	if (strlen(key) >= KEY_BYTES)
		return -ENAMETOOLONG;
	if (find(path))
		return -EEXIST;
	for (int i = 0; i < KEYS_MAX; i++) {
		struct value *v = &host.store[i];

		if (v->key[0])
			continue;
		if (!v->data && !(v->data = malloc(VALUE_BYTES)))
			return -ENOMEM;
		strcpy(v->key, key);
		v->size = 0;
		return 0;
	}
	return -ENOSPC;
}

static int
host_unlink(void *user, const char *path)
{
	struct value *v = find(path);

	(void)user;
	if (!v)
		return -ENOENT;
	v->key[0] = 0;
	return 0;
}

static int
host_truncate(void *user, const char *path, void *file, uint64_t size)
{
	struct value *v = find(path);

	(void)user, (void)file;
	if (strcmp(path, "/log") == 0)
		return size ? -EPERM : 0; /* who opens it anew loses nothing */
	if (!v)
		return -EPERM;
	if (size > VALUE_BYTES)
		return -EFBIG;
	if (size > v->size)
		memset(v->data + v->size, 0, size - v->size);
	v->size = size;
	return 0;
}

/* --- what is made --- */

static size_t
make_config(char *buf, size_t cap)
{
	size_t n = (size_t)snprintf(
		buf, cap, "{\"plugin\": \"%s\", \"reads\": %u", host.script, host.reads);

	for (unsigned i = 0; i < host.nconfig; i++) {
		const char *eq = strchr(host.config[i], '=');

		n += (size_t)snprintf(buf + n, cap - n, ", \"%.*s\": \"%s\"",
			(int)(eq - host.config[i]), host.config[i], eq + 1);
	}
	return n + (size_t)snprintf(buf + n, cap - n, "}\n");
}

/* A script's text goes to a terminal perhaps: nothing but text. */
static void
print_line(void)
{
	printf("[%s] ", host.script);
	for (size_t i = 0; i < host.line_bytes; i++) {
		unsigned char c = (unsigned char)host.line[i];

		if (isprint(c))
			putchar(c);
		else
			printf("\\%03o", c);
	}
	putchar('\n');
	host.line_bytes = 0;
}

static void
append_log(const char *s, size_t n)
{
	for (; n; s++, n--) {
		if (*s == '\n' || host.line_bytes == LINE_BYTES)
			print_line();
		if (*s != '\n')
			host.line[host.line_bytes++] = *s;
	}
}

/* --- files --- */

static int
host_getattr(void *user, const char *path, void *file, struct moat_file_attr *a)
{
	const struct value *v = find(path);

	(void)user, (void)file;
	a->uid = getuid();
	a->gid = getgid();
	if (strcmp(path, "/") == 0)
		a->mode = S_IFDIR | 0555;
	else if (strcmp(path, "/store") == 0)
		a->mode = S_IFDIR | 0755;
	else if (strcmp(path, "/config.json") == 0)
		a->mode = S_IFREG | 0444;
	else if (strcmp(path, "/log") == 0)
		a->mode = S_IFREG | 0200;
	else if (v)
		a->mode = S_IFREG | 0644;
	else
		return -ENOENT;
	a->size = v ? v->size : 0;
	return 0;
}

static int
host_readdir(void *user, const char *path, struct moat_dir *list)
{
	int r = 0;

	(void)user;
	if (strcmp(path, "/") == 0) {
		if ((r = moat_dir_add(list, "config.json", S_IFREG)) < 0 ||
			(r = moat_dir_add(list, "log", S_IFREG)) < 0)
			return r;
		return moat_dir_add(list, "store", S_IFDIR);
	}
	for (int i = 0; i < KEYS_MAX && r == 0; i++)
		if (host.store[i].key[0])
			r = moat_dir_add(list, host.store[i].key, S_IFREG);
	return r;
}

static int
host_open(void *user, const char *path, int flags, void **ret_file)
{
	(void)user, (void)ret_file;
	/* The log takes what is added to it, and nothing else. */
	return strcmp(path, "/log") == 0 && !(flags & O_APPEND) ? -EPERM : 0;
}

static ssize_t
host_read(void *user, const char *path, void *file, void *buf, size_t len, uint64_t offset)
{
	const struct value *v = find(path);
	char text[8192];
	const char *data = text;
	size_t size;

	(void)user, (void)file;
	if (v) {
		data = v->data;
		size = v->size;
	} else if (strcmp(path, "/config.json") == 0) {
		host.reads += offset == 0;
		size = make_config(text, sizeof text);
	} else {
		return -EINVAL;
	}
	if (offset >= size)
		return 0;
	if (len > size - offset)
		len = size - offset;
	memcpy(buf, data + offset, len);
	return (ssize_t)len;
}

static ssize_t
host_write(void *user, const char *path, void *file, const void *buf, size_t len, uint64_t offset)
{
	struct value *v = find(path);

	(void)user, (void)file;
	if (strcmp(path, "/log") == 0) {
		append_log(buf, len);
		return (ssize_t)len;
	}
	if (!v)
		return -EINVAL; /* removed since it was opened */
	if (offset > VALUE_BYTES || len > VALUE_BYTES - offset)
		return -EFBIG;
	if (offset > v->size)
		memset(v->data + v->size, 0, offset - v->size);
	memcpy(v->data + offset, buf, len);
	if (offset + len > v->size)
		v->size = offset + len;
	return (ssize_t)len;
}

static const struct moat_files_ops ops = {
	.getattr = host_getattr,
	.readdir = host_readdir,
	.open = host_open,
	.read = host_read,
	.write = host_write,
	.truncate = host_truncate,
	.create = host_create,
	.unlink = host_unlink,
};

/* --- scripts --- */

static _Noreturn void
die(const char *what, const char *why)
{
	fprintf(stderr, "plugins: %s: %s\n", what, why);
	exit(2);
}

/* The script, in a tree in memory: it sees nothing else of the folder that it lies in. */
static struct moat_tree *
load(const char *path)
{
	struct moat_tree *t = moat_tree_new(0);
	FILE *f = fopen(path, "re");
	char *text = malloc(1 << 20);
	size_t n;

	if (!f)
		die(path, strerror(errno));
	n = text ? fread(text, 1, 1 << 20, f) : 0;
	if (!t || !text || moat_tree_add(t, "/script", 0755, text, n) < 0)
		die(path, "out of memory");
	fclose(f);
	free(text);
	return t;
}

/* Run it. Did it do well? */
static bool
run(const char *path)
{
	static const char *const tools[] = {"/usr", "/bin", "/lib", "/lib64"};
	static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
	static const char *const args[] = {"/plugin/script", NULL};
	const struct moat_files files = {.ops = &ops};
	struct moat_mount mounts[16];
	struct moat_tree *t = load(path);
	struct moat_config c;
	struct moat_result r;
	struct moat_error err;
	size_t n = 0;
	bool ok;

	moat_config_init(&c);
	mounts[n++] = (struct moat_mount){.kind = MOAT_MOUNT_TMPFS, .target = "/"};
	mounts[n++] = (struct moat_mount){.kind = MOAT_MOUNT_DEV, .target = "/dev"};
	mounts[n++] = (struct moat_mount){.kind = MOAT_MOUNT_PROC, .target = "/proc"};
	mounts[n++] = (struct moat_mount){.kind = MOAT_MOUNT_TMPFS, .target = "/tmp"};
	mounts[n++] = (struct moat_mount){.kind = MOAT_MOUNT_VIRTUAL,
		.target = "/plugin",
		.files = moat_tree_files(t),
		.flags = MS_RDONLY};
	mounts[n++] =
		(struct moat_mount){.kind = MOAT_MOUNT_VIRTUAL, .target = "/host", .files = &files};
	for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++)
		if (access(tools[i], F_OK) == 0)
			mounts[n++] = (struct moat_mount){.kind = MOAT_MOUNT_HOST,
				.source = tools[i],
				.target = tools[i],
				.flags = MS_RDONLY};
	c.mounts = mounts;
	c.nmounts = n;
	c.args = args;
	c.env = env;
	c.uid = getuid();
	c.gid = getgid();
	c.no_new_privs = true;
	c.libexec = getenv("MOAT_LIBEXEC");
	c.platform = getenv("MOAT_PLATFORM");
	c.weaker = getenv("MOAT_WEAKER");
	host.script = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	host.reads = 0;
	if (moat_run(&c, &limits, NULL, &r, &err) < 0)
		die(path, err.text);
	if (host.line_bytes)
		print_line();
	ok = r.verdict == MOAT_OK;
	printf("%s: %s\n", host.script, moat_verdict_name(r.verdict));
	moat_result_free(&r);
	moat_tree_free(t);
	return ok;
}

int
main(int argc, char **argv)
{
	bool ok = true;
	int o;

	while ((o = getopt(argc, argv, "n:")) != -1) {
		if (o != 'n' || !strchr(optarg, '=') || strpbrk(optarg, "\"\\") ||
			host.nconfig == CONFIG_MAX || strlen(optarg) > 256)
			die("-n", "not NAME=VALUE, too long, or too many");
		host.config[host.nconfig++] = optarg;
	}
	if (optind == argc)
		die("usage", "plugins [-n NAME=VALUE]... SCRIPT...");
	for (int i = optind; i < argc; i++)
		ok &= run(argv[i]);
	for (int i = 0; i < KEYS_MAX; i++) {
		const struct value *v = &host.store[i];

		if (v->key[0])
			printf("%s = %zu bytes: %.*s\n", v->key, v->size,
				(int)(memchr(v->data, '\n', v->size)
						? (char *)memchr(v->data, '\n', v->size) - v->data
						: (ptrdiff_t)v->size),
				v->data);
		free(v->data);
	}
	return ok ? 0 : 1;
}
