/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An online judge: compile a C submission and run it against tests, each step in a sandbox of its
 * own. See README.md in this folder.
 *
 *	judge [-t CPU-MS] [-m MEMORY-MIB] SUBMISSION.c TESTS
 *
 * TESTS has files NAME.in and NAME.out. A line for each test, then the verdict. Exit status: 0
 * accepted, 1 not accepted, 2 the judge itself failed.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <moat/run.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB		(1024ULL * 1024)
#define WALL_FACTOR	3 /* of the CPU time, for programs that sleep */
#define TESTS_MAX	1000
#define INPUT_BYTES_MAX (256 * MIB)

/* What the submission may use: in tests, and for its compiler. */
static struct moat_limits test_limits = {.cpu_ms = 1000,
	.memory_bytes = 64 * MIB,
	.processes = 16,
	.output_bytes = 4 * MIB,
	.file_bytes = 16 * MIB};
static const struct moat_limits compiler_limits = {.cpu_ms = 10000,
	.wall_ms = 30000,
	.memory_bytes = 512 * MIB,
	.processes = 64,
	.output_bytes = 1 * MIB,
	.file_bytes = 64 * MIB};

static char work[] = "/tmp/judge.XXXXXX"; /* the submission's directory on the host */

static _Noreturn void
die(const char *what, const char *why)
{
	fprintf(stderr, "judge: %s: %s\n", what, why);
	exit(2);
}

struct text {
	char *data;
	size_t len;
};

static struct text
read_file(const char *path)
{
	struct text t = {NULL, 0};
	struct stat st;
	FILE *f = fopen(path, "re");

	if (!f || fstat(fileno(f), &st) < 0)
		die(path, strerror(errno));
	if (!S_ISREG(st.st_mode) || (unsigned long long)st.st_size > INPUT_BYTES_MAX)
		die(path, "not a file, or too large");
	t.data = malloc((size_t)st.st_size + 1);
	if (!t.data)
		die(path, "out of memory");
	t.len = fread(t.data, 1, (size_t)st.st_size, f);
	fclose(f);
	return t;
}

static void
write_file(const char *path, struct text t)
{
	FILE *f = fopen(path, "we");

	if (!f || fwrite(t.data, 1, t.len, f) != t.len || fclose(f) != 0)
		die(path, strerror(errno));
}

/*
 * The submission sees the tools of this machine while it is compiled, and nothing but itself while
 * it runs. The tests, which have the answers, it never sees: a source file can include others.
 */
static void
configure(struct moat_config *c, struct moat_mount *mounts, const char *const *args, bool compile)
{
	static const char *const tools[] = {"/usr", "/bin", "/lib", "/lib64"};
	static const char *const env[] = {"PATH=/usr/bin:/bin", NULL};
	size_t n = 0;

	moat_config_init(c);
	mounts[n++] = (struct moat_mount){.kind = MOAT_MOUNT_TMPFS, .target = "/"};
	mounts[n++] = (struct moat_mount){.kind = MOAT_MOUNT_DEV, .target = "/dev"};
	mounts[n++] = (struct moat_mount){.kind = MOAT_MOUNT_TMPFS, .target = "/tmp"};
	mounts[n++] = (struct moat_mount){.kind = MOAT_MOUNT_HOST,
		.source = work,
		.target = "/box",
		.flags = compile ? 0 : MS_RDONLY};
	for (size_t i = 0; compile && i < sizeof tools / sizeof tools[0]; i++)
		if (access(tools[i], F_OK) == 0)
			mounts[n++] = (struct moat_mount){.kind = MOAT_MOUNT_HOST,
				.source = tools[i],
				.target = tools[i],
				.flags = MS_RDONLY};
	c->mounts = mounts;
	c->nmounts = n;
	c->args = args;
	c->env = env;
	c->cwd = "/box";
	c->uid = geteuid();
	c->gid = getegid();
	c->libexec = getenv("MOAT_LIBEXEC"); /* NULL: as installed */
}

static bool
compile(const char *submission)
{
	static const char *const args[] = {"gcc", "-O2", "-std=gnu17", "-static", "-o",
		"/box/program", "/box/program.c", "-lm", NULL};
	struct text source = read_file(submission);
	struct moat_io io = {.merge = true};
	struct moat_mount mounts[16];
	struct moat_config c;
	struct moat_result r;
	struct moat_error err;
	char path[PATH_MAX];
	bool ok;

	snprintf(path, sizeof path, "%s/program.c", work);
	write_file(path, source);
	free(source.data);
	configure(&c, mounts, args, true);
	if (moat_run(&c, &compiler_limits, &io, &r, &err) < 0)
		die("cannot run the compiler", err.text);
	ok = r.verdict == MOAT_OK;
	if (!ok)
		fprintf(stderr, "%.*s\n", (int)(r.out_bytes < 4096 ? r.out_bytes : 4096), r.out);
	moat_result_free(&r);
	return ok;
}

/* Word by word: how much white space is between them does not matter. */
static bool
same_output(struct text a, struct text b)
{
	size_t i = 0, j = 0;

	for (;;) {
		while (i < a.len && isspace((unsigned char)a.data[i]))
			i++;
		while (j < b.len && isspace((unsigned char)b.data[j]))
			j++;
		if (i == a.len || j == b.len)
			return i == a.len && j == b.len;
		while (i < a.len && j < b.len && !isspace((unsigned char)a.data[i]) &&
			a.data[i] == b.data[j])
			i++, j++;
		if ((i < a.len && !isspace((unsigned char)a.data[i])) ||
			(j < b.len && !isspace((unsigned char)b.data[j])))
			return false;
	}
}

static const char *
verdict_of(const struct moat_result *r, struct text want)
{
	switch (r->verdict) {
	case MOAT_OK:
		return same_output((struct text){r->out, r->out_bytes}, want) ? "OK" : "WA";
	case MOAT_LIMIT_CPU:
	case MOAT_LIMIT_WALL:
		return "TLE";
	case MOAT_LIMIT_MEMORY:
		return "MLE";
	case MOAT_LIMIT_OUTPUT:
		return "OLE";
	default:
		return "RE";
	}
}

static const char *
run_test(const char *dir, const char *name)
{
	static const char *const args[] = {"/box/program", NULL};
	char in_path[PATH_MAX], out_path[PATH_MAX];
	struct text in, want;
	struct moat_mount mounts[16];
	struct moat_config c;
	struct moat_result r;
	struct moat_error err;
	const char *verdict;

	snprintf(in_path, sizeof in_path, "%s/%s.in", dir, name);
	snprintf(out_path, sizeof out_path, "%s/%s.out", dir, name);
	in = read_file(in_path);
	want = read_file(out_path);
	configure(&c, mounts, args, false);
	if (moat_run(&c, &test_limits, &(struct moat_io){.input = in.data, .input_bytes = in.len},
		    &r, &err) < 0)
		die("cannot run the submission", err.text);
	verdict = verdict_of(&r, want);
	printf("%s: %s, %llu ms, %llu KiB (%s)\n", name, verdict,
		(unsigned long long)((r.usage.user_ns + r.usage.system_ns) / 1000000),
		(unsigned long long)(r.usage.memory_peak_bytes / 1024),
		moat_verdict_name(r.verdict));
	moat_result_free(&r);
	free(in.data);
	free(want.data);
	return verdict;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t
list_tests(const char *path, char **names)
{
	DIR *d = opendir(path);
	struct dirent *e;
	size_t n = 0;

	if (!d)
		die(path, strerror(errno));
	while ((e = readdir(d)) && n < TESTS_MAX) {
		size_t len = strlen(e->d_name);

		if (len > 3 && strcmp(e->d_name + len - 3, ".in") == 0)
			names[n++] = strndup(e->d_name, len - 3);
	}
	closedir(d);
	qsort(names, n, sizeof *names, compare);
	return n;
}

static void
clean_up(void)
{
	static const char *const files[] = {"program.c", "program"};
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", work, files[i]);
		unlink(path);
	}
	rmdir(work);
}

int
main(int argc, char **argv)
{
	const char *verdict = "OK";
	char *names[TESTS_MAX];
	size_t n;
	int opt;

	while ((opt = getopt(argc, argv, "t:m:")) > 0) {
		if (opt == 't')
			test_limits.cpu_ms = strtoull(optarg, NULL, 10);
		else if (opt == 'm')
			test_limits.memory_bytes = strtoull(optarg, NULL, 10) * MIB;
		else
			argc = 0;
	}
	if (argc - optind != 2 || !test_limits.cpu_ms || !test_limits.memory_bytes)
		die("usage", "judge [-t CPU-MS] [-m MEMORY-MIB] SUBMISSION.c TESTS");
	test_limits.wall_ms = test_limits.cpu_ms * WALL_FACTOR;
	n = list_tests(argv[optind + 1], names);
	if (n == 0)
		die(argv[optind + 1], "no tests (NAME.in) are there");
	if (!mkdtemp(work))
		die(work, strerror(errno));
	atexit(clean_up);
	if (!compile(argv[optind]))
		verdict = "CE";
	/* All are run; the first that fails is what is said. */
	for (size_t i = 0; i < n; i++) {
		const char *v =
			strcmp(verdict, "CE") == 0 ? "CE" : run_test(argv[optind + 1], names[i]);

		if (strcmp(verdict, "OK") == 0)
			verdict = v;
		free(names[i]);
	}
	printf("verdict: %s\n", verdict);
	return strcmp(verdict, "OK") != 0;
}
