/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that use libmoat as a stranger would: the public headers and the library, nothing else
 * of moat. Each is a test by itself; it runs once on each platform (MOAT_PLATFORM), with moat's
 * programs from BUILD.
 */
#ifndef TESTS_LIBMOAT_LIB_H
#define TESTS_LIBMOAT_LIB_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <moat/moat.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* CHECK(condition) or CHECK(condition, format, ...). */
#define CHECK(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond))                                                                       \
			failed(__FILE__, __LINE__, #cond, " " __VA_ARGS__);                        \
	} while (0)

static inline void failed(const char *file, int line, const char *cond, const char *fmt, ...)
	__attribute__((format(printf, 4, 5), noreturn));

static inline void
failed(const char *file, int line, const char *cond, const char *fmt, ...)
{
	va_list ap;

	printf("%s:%d: not so: %s", file, line, cond);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	exit(1);
}

#define MOUNTS_MAX 16
#define TEXT_MAX   (1 << 20)

/* A sandbox that shows the host's files, with what is written in memory. */
struct box {
	struct moat_config c;
	struct moat_mount mounts[MOUNTS_MAX];
	const char *args[8];
	struct moat_sandbox *s;
	struct moat_error err;
	int out; /* its standard output and error; -1: ours */
	char text[TEXT_MAX];
};

static inline struct moat_mount *
box_mount(struct box *b, enum moat_mount_kind kind, const char *target)
{
	struct moat_mount *m = &b->mounts[b->c.nmounts++];

	CHECK(b->c.nmounts <= MOUNTS_MAX);
	m->kind = kind;
	m->target = target;
	return m;
}

static inline struct box *
box_new(void)
{
	static char libexec[PATH_MAX];
	struct box *b = calloc(1, sizeof *b);
	const char *build = getenv("BUILD");
	/* A test that runs itself inside may be built with a sanitizer, which looks for leaks by
	 * being traced: what is traced already cannot. */
	static const char *const env[] = {
		"PATH=/usr/local/bin:/usr/bin:/bin", "ASAN_OPTIONS=detect_leaks=0", NULL};

	CHECK(b && realpath(build ? build : "build", libexec));
	moat_config_init(&b->c);
	b->c.libexec = libexec;
	b->c.platform = getenv("MOAT_PLATFORM");
	b->c.weaker = getenv("MOAT_WEAKER");
	b->c.env = env;
	b->c.mounts = b->mounts;
	b->c.args = b->args;
	b->c.killable = true;
	b->c.die_with_parent = true;
	b->c.uid = geteuid();
	b->c.gid = getegid();
	b->out = -1;
	*box_mount(b, MOAT_MOUNT_HOST, "/") = (struct moat_mount){
		.kind = MOAT_MOUNT_HOST, .source = "/", .target = "/", .overlay = true};
	box_mount(b, MOAT_MOUNT_PROC, "/proc");
	box_mount(b, MOAT_MOUNT_DEV, "/dev");
	return b;
}

static inline void
box_args(struct box *b, const char *a0, const char *a1, const char *a2)
{
	b->args[0] = a0;
	b->args[1] = a1;
	b->args[2] = a2;
	b->args[3] = NULL;
}

/* Start `sh -c script`, whose output is caught. */
static inline void
box_start(struct box *b, const char *script)
{
	int p[2];

	CHECK(pipe2(p, O_CLOEXEC) == 0);
	box_args(b, "/bin/sh", "-c", script);
	b->c.stdio[0] = -1;
	b->c.stdio[1] = b->c.stdio[2] = p[1];
	CHECK(moat_start(&b->c, &b->s, &b->err) == 0, "%s", b->err.text);
	close(p[1]);
	b->out = p[0];
}

/* Read its output to the end, and wait for it. What wait(2) says. */
static inline int
box_wait(struct box *b)
{
	size_t n = 0;
	ssize_t r;
	int status;

	while (n < sizeof b->text - 1 &&
		(r = read(b->out, b->text + n, sizeof b->text - 1 - n)) > 0)
		n += (size_t)r;
	b->text[n] = 0;
	close(b->out);
	b->out = -1;
	CHECK(moat_wait(b->s, &status, &b->err) == 0, "%s", b->err.text);
	return status;
}

static inline void
box_free(struct box *b)
{
	moat_destroy(b->s);
	if (b->out >= 0)
		close(b->out);
	free(b);
}

/* Run a script to its end in b, which is freed: what it printed and its status have to be these. */
static inline void
box_expect(struct box *b, const char *script, const char *text, int status)
{
	int got;

	box_start(b, script);
	got = box_wait(b);
	CHECK(strcmp(b->text, text) == 0, "expected:\n%s\ngot:\n%s", text, b->text);
	CHECK(got == status, "expected status %d, got %d: %s", status, got, b->text);
	box_free(b);
}

static inline int
entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	CHECK(d != NULL);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* What this process has: nothing of a sandbox may be left. */
struct own {
	int fds, threads;
};

static inline void *
no_work(void *arg)
{
	return arg;
}

static inline struct own
own_now(void)
{
	pthread_t t;

	/* The thread sanitizer has one of its own from the first one on. */
	CHECK(pthread_create(&t, NULL, no_work, NULL) == 0 && pthread_join(t, NULL) == 0);
	return (struct own){entries("/proc/self/fd"), entries("/proc/self/task")};
}

static inline void
own_check(struct own before)
{
	struct own now = own_now();

	/* A thread that was joined may still be listed for a moment. */
	for (int i = 0; i < 100 && now.threads > before.threads; i++) {
		usleep(10000);
		now = own_now();
	}
	CHECK(now.fds == before.fds, "%d descriptors, then %d", before.fds, now.fds);
	CHECK(now.threads == before.threads, "%d threads, then %d", before.threads, now.threads);
	CHECK(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "a child is left");
}

static inline double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
