/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of the host's: made, limited, entered, frozen, counted, removed. Without the right to make
 * any, only the paths are tested. */
#include "lib/suite.h"
#include "moat/cgroup.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static char path[64];
static struct moat_error err;

static struct moat_cgroup *
make(void)
{
	struct moat_cgroup *g = NULL;
	int r;

	snprintf(path, sizeof path, "/moat-test/unit-%d", getpid());
	r = moat_cgroup_create(path, &g, &err);
	if (r == -EACCES || r == -ENOENT)
		return NULL;
	ck_assert_msg(r == 0, "%s", err.text);
	return g;
}

/* What stands in one of the group's files, or "" if there is none. */
static const char *
content(const struct moat_cgroup *g, const char *controller, const char *file)
{
	static char buf[256];
	const char *dir = moat_cgroup_dir(g, controller);
	char name[512];
	FILE *f;

	buf[0] = 0;
	ck_assert_ptr_nonnull(dir);
	snprintf(name, sizeof name, "%s/%s", dir, file);
	f = fopen(name, "r");
	if (f) {
		buf[fread(buf, 1, sizeof buf - 1, f)] = 0;
		fclose(f);
	}
	return buf;
}

START_TEST(paths)
{
	static const char *const bad[] = {"", "/", "//", ".", "/./", "/a/../b", "..", "a/.."};
	struct moat_cgroup *g;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_int_eq(moat_cgroup_create(bad[i], &g, &err), -EINVAL);
	ck_assert_int_lt(moat_cgroup_open("/moat-test/never-made", &g, &err), 0);
}
END_TEST

START_TEST(limits)
{
	struct moat_cgroup *g = make(), *again;
	struct moat_resources r;
	bool v1;

	if (!g)
		return;
	v1 = !*content(g, "memory", "cgroup.controllers");
	moat_resources_init(&r);
	r.memory_limit = 64 << 20;
	r.pids_limit = 10;
	r.cpu_quota = 50000;
	r.cpu_period = 100000;
	ck_assert_msg(moat_cgroup_set(g, &r, &err) == 0, "%s", err.text);
	ck_assert_str_eq(
		content(g, "memory", v1 ? "memory.limit_in_bytes" : "memory.max"), "75497472\n");
	ck_assert_str_eq(content(g, "pids", "pids.max"), "138\n");
	ck_assert_str_eq(content(g, "cpu", v1 ? "cpu.cfs_quota_us" : "cpu.max"),
		v1 ? "50000\n" : "50000 100000\n");

	/* A smaller period than fits the quota, and back; no limit. */
	moat_resources_init(&r);
	r.cpu_quota = 1000;
	r.cpu_period = 1000;
	r.memory_limit = -1;
	r.pids_limit = 0;
	ck_assert_msg(moat_cgroup_set(g, &r, &err) == 0, "%s", err.text);
	ck_assert_str_eq(content(g, "pids", "pids.max"), "max\n");

	moat_resources_init(&r);
	r.cpus = "100000";
	ck_assert_int_lt(moat_cgroup_set(g, &r, &err), 0);
	ck_assert_ptr_nonnull(strstr(err.text, "cpuset.cpus"));

	ck_assert_int_eq(moat_cgroup_open(path, &again, &err), 0);
	moat_cgroup_free(g);
	ck_assert_msg(moat_cgroup_destroy(again, &err) == 0, "%s", err.text);
	moat_cgroup_free(again);
	ck_assert_int_eq(moat_cgroup_open(path, &again, &err), -ENOENT);
}
END_TEST

static char
state_of(pid_t pid)
{
	char name[64], state = '?';
	FILE *f;

	snprintf(name, sizeof name, "/proc/%d/stat", pid);
	f = fopen(name, "r");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_eq(fscanf(f, "%*d %*s %c", &state), 1);
	fclose(f);
	return state;
}

START_TEST(processes)
{
	struct moat_cgroup *g = make();
	struct moat_usage *u = calloc(1, sizeof *u);
	pid_t pid, found[4];
	int started[2];
	char c;
	size_t n;

	ck_assert_ptr_nonnull(u);
	if (!g)
		return;
	ck_assert_int_eq(pipe2(started, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		/* A program of its own: a sanitizer keeps a thread in a forked copy of this one. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl("/bin/sh", "sh", "-c", "while :; do :; done", NULL);
		_exit(127);
	}
	close(started[1]);
	ck_assert_int_eq(read(started[0], &c, 1), 0);
	close(started[0]);
	ck_assert_msg(moat_cgroup_enter(g, pid, &err) == 0, "%s", err.text);
	ck_assert_int_eq(moat_cgroup_processes(g, found, 4, &n), 0);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(found[0], pid);

	ck_assert_msg(moat_cgroup_freeze(g, true, &err) == 0, "%s", err.text);
	ck_assert(moat_cgroup_is_frozen(g));
	ck_assert_int_ne(state_of(pid), 'R');
	ck_assert_msg(moat_cgroup_freeze(g, false, &err) == 0, "%s", err.text);
	ck_assert(!moat_cgroup_is_frozen(g));

	for (int i = 0; i < 500 && u->cpu_total_ns == 0; i++) {
		usleep(10000);
		moat_usage_free(u);
		ck_assert_int_eq(moat_cgroup_usage(g, u, &err), 0);
	}
	ck_assert_uint_gt(u->cpu_total_ns, 0);
	ck_assert_uint_gt(u->nraw, 0);
	ck_assert_uint_eq(u->pids, 1);
	ck_assert_uint_eq(u->pids_limit, 0);
	moat_usage_free(u);
	free(u);

	/* It stays while somebody is in it. */
	ck_assert_int_eq(moat_cgroup_destroy(g, &err), -EBUSY);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_msg(moat_cgroup_destroy(g, &err) == 0, "%s", err.text);
	ck_assert_int_eq(moat_cgroup_usage(g, &(struct moat_usage){0}, &err), -ENOENT);
	moat_cgroup_free(g);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("all");
	struct moat_cgroup *above;
	int failed;

	tcase_set_timeout(t, 60);
	tcase_add_test(t, paths);
	tcase_add_test(t, limits);
	tcase_add_test(t, processes);
	failed = suite_run("cgroup", t);
	/* The group above those of the tests; stays if another run uses it. */
	if (moat_cgroup_open("/moat-test", &above, &err) == 0) {
		(void)moat_cgroup_destroy(above, &err);
		moat_cgroup_free(above);
	}
	return failed;
}
