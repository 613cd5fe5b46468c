/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks that pass, fail, do not end, are not there; resources that are read, and refused by name.
 */
#include "lib/suite.h"
#include "tools/libmoat/oci.h"
#include "tools/moat/hooks.h"
#include "tools/moat/moat.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* main.c's, which is not linked in. */
int
complain(const char *fmt, ...)
{
	ck_abort_msg("complains: %s", fmt);
	return EXIT_SANDBOX;
}

static char err[512], dir[] = "/tmp/moat-hooks.XXXXXX";

static json_t *
parse(const char *text)
{
	json_error_t e;
	json_t *j = json_loads(text, 0, &e);

	ck_assert_msg(j != NULL, "%s: %s", text, e.text);
	return j;
}

/* Run the prestart hooks that a format describes. */
static int
run(const char *fmt, const char *arg, const char *state)
{
	char text[1024];
	json_t *hooks;
	int r;

	snprintf(text, sizeof text, fmt, arg);
	hooks = parse(text);
	err[0] = 0;
	r = hooks_run(hooks, "prestart", state, 0, err, sizeof err);
	json_decref(hooks);
	return r;
}

static const char *
content(const char *name)
{
	static char buf[65536];
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	buf[fread(buf, 1, sizeof buf - 1, f)] = 0;
	fclose(f);
	return buf;
}

START_TEST(passes)
{
	ck_assert_int_eq(
		run("{\"prestart\":[{\"path\":\"/bin/sh\",\"args\":[\"x\",\"-c\",\"cat >%s/out; "
		    "echo $A$HOME >>%1$s/out; exec ls /proc/self/fd >%1$s/fds\"],"
		    "\"env\":[\"A=b\",\"PATH=/bin:/usr/bin\"],\"timeout\":10}]}",
			dir, "{\"id\":1}"),
		0);
	ck_assert_str_eq(err, "");
	ck_assert_str_eq(content("out"), "{\"id\":1}b\n");
	/* The last one is the directory that ls reads. */
	ck_assert_str_eq(content("fds"), "0\n1\n2\n3\n");
	/* A state that no pipe holds, and a hook that does not read it; none of that kind. */
	{
		char *big = calloc(1, 300001);

		ck_assert_ptr_nonnull(big);
		memset(big, 'x', 300000);
		ck_assert_int_eq(run("{\"prestart\":[{\"path\":\"/bin/true\"}]}", "", big), 0);
		ck_assert_int_eq(run("{\"prestart\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\","
				     "\"wc -c >%s/n\"],\"env\":[\"PATH=/bin:/usr/bin\"]}]}",
					 dir, big),
			0);
		ck_assert_str_eq(content("n"), "300000\n");
		free(big);
	}
	ck_assert_int_eq(run("{\"poststop\":[{\"path\":\"/bin/false\"}]}", "", ""), 0);
}
END_TEST

START_TEST(fails)
{
	struct timespec t0, t1;

	/* The second of three; its last words are in the message. */
	ck_assert_int_eq(
		run("{\"prestart\":[{\"path\":\"/bin/true\"},{\"path\":\"/bin/sh\",\"args\":"
		    "[\"sh\",\"-c\",\"echo first; echo last words >&2; exit 3\"]},"
		    "{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\",\">%s/third\"]}]}",
			dir, ""),
		-1);
	ck_assert_str_eq(err, "hooks.prestart[1]: /bin/sh: exit status 3: last words");
	ck_assert_int_eq(run("{\"prestart\":[{\"path\":\"/nonexistent/hook\"}]}", "", ""), -1);
	ck_assert_str_eq(err,
		"hooks.prestart[0]: cannot start /nonexistent/hook: No such file or directory");
	ck_assert_int_eq(run("{\"prestart\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\","
			     "\"kill -9 $$\"]}]}",
				 "", ""),
		-1);
	ck_assert_ptr_nonnull(strstr(err, "was killed by signal 9"));
	/* Time is up for it and its child. */
	clock_gettime(CLOCK_MONOTONIC, &t0);
	ck_assert_int_eq(run("{\"prestart\":[{\"path\":\"/bin/sh\",\"args\":[\"sh\",\"-c\","
			     "\"/bin/sleep 100 & echo $! >%s/pid; wait\"],\"timeout\":1}]}",
				 dir, ""),
		-1);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	ck_assert_ptr_nonnull(strstr(err, "did not end within 1 s"));
	ck_assert_int_lt(t1.tv_sec - t0.tv_sec, 30);
	{
		char path[64], state = 'X';
		FILE *f;

		snprintf(path, sizeof path, "/proc/%d/stat", atoi(content("pid")));
		/* It was sent SIGKILL, and dies in its own time. */
		for (int i = 0; i < 500 && state != 'Z' && (f = fopen(path, "r")); i++) {
			ck_assert_int_eq(fscanf(f, "%*d %*s %c", &state), 1);
			fclose(f);
			usleep(10000);
		}
		if (access(path, F_OK) != 0)
			state = 'X';
		ck_assert(state == 'X' || state == 'Z');
	}
}
END_TEST

/* hooks or resources are refused, with a message that begins so. */
static void
refuses(bool hooks, const char *text, const char *message)
{
	struct oci o = {0};
	int r;

	o.json = parse(text);
	r = hooks ? oci_hooks(&o, o.json) : oci_resources(&o, o.json, "linux.resources");
	ck_assert_int_eq(r, -1);
	ck_assert_msg(strncmp(o.err, message, strlen(message)) == 0, "%s: %s", text, o.err);
	oci_release(&o);
}

START_TEST(refused)
{
	refuses(true, "{\"prestart\":{}}", "hooks.prestart: not a list");
	refuses(true, "{\"poststop\":[{}]}", "hooks.poststop[0].path: missing");
	refuses(true, "{\"poststop\":[{\"path\":\"a\"}]}",
		"hooks.poststop[0].path: missing, or not");
	refuses(true, "{\"poststart\":[{\"path\":\"/a\",\"args\":[1]}]}",
		"hooks.poststart[0].args[0]: not a string");
	refuses(true, "{\"poststart\":[{\"path\":\"/a\",\"timeout\":0}]}",
		"hooks.poststart[0].timeout: not a number");

	refuses(false, "{\"cpu\":{\"shares\":\"1\"}}", "linux.resources.cpu.shares: not a number");
	refuses(false, "{\"memory\":{\"limit\":-2}}", "linux.resources.memory.limit: not a number");
	refuses(false, "{\"memory\":{\"limit\":9,\"swap\":8}}",
		"linux.resources.memory.swap: below");
	refuses(false, "{\"memory\":{\"swappiness\":101}}", "linux.resources.memory.swappiness:");
	refuses(false, "{\"hugepageLimits\":[{\"pageSize\":\"../x\",\"limit\":1}]}",
		"linux.resources.hugepageLimits[0].pageSize:");
	refuses(false, "{\"unified\":{\"a/b\":\"1\"}}", "linux.resources.unified.a/b: not a file");
	refuses(false, "{\"devices\":[{\"allow\":true,\"access\":\"x\"}]}",
		"linux.resources.devices[0].access: not of");
}
END_TEST

START_TEST(resources)
{
	struct oci o = {0};

	o.json = parse(
		"{\"memory\":{\"limit\":67108864,\"swap\":-1,\"kernel\":0},\"cpu\":{\"shares\":0,"
		"\"quota\":5,\"cpus\":\"\"},\"pids\":{\"limit\":0},\"blockIO\":{\"weight\":0,"
		"\"weightDevice\":[{\"major\":8,\"minor\":1,\"weight\":10,\"leafWeight\":20}],"
		"\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":7}]},"
		"\"devices\":[{\"allow\":false,\"access\":\"rwm\"},{\"allow\":true,\"type\":\"c\","
		"\"major\":1,\"minor\":3}],\"unified\":{\"memory.high\":\"1\"}}");
	ck_assert_msg(oci_resources(&o, o.json, "r") == 0, "%s", o.err);
	ck_assert_int_eq(o.resources.memory_limit, 67108864);
	ck_assert_int_eq(o.resources.memory_swap, -1);
	ck_assert(o.resources.memory_kernel == MOAT_UNSET && o.resources.cpu_shares == MOAT_UNSET);
	ck_assert(o.resources.cpu_quota == 5 && o.resources.cpus == NULL);
	ck_assert_int_eq(o.resources.pids_limit, 0);
	ck_assert_uint_eq(o.resources.nio, 3);
	ck_assert_uint_eq(o.resources.io[1].what, MOAT_IO_LEAF_WEIGHT);
	ck_assert_uint_eq(o.resources.io[1].value, 20);
	ck_assert_uint_eq(o.resources.io[2].value, 7);
	ck_assert_uint_eq(o.resources.ndevices, 2);
	ck_assert_int_eq(o.resources.devices[0].type, 'a');
	ck_assert_int_eq(o.resources.devices[1].minor, 3);
	ck_assert_str_eq(o.resources.unified[0].file, "memory.high");
	oci_release(&o);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("all");
	char command[64];
	int failed;

	if (!mkdtemp(dir))
		return 1;
	tcase_set_timeout(t, 60);
	tcase_add_test(t, passes);
	tcase_add_test(t, fails);
	tcase_add_test(t, refused);
	tcase_add_test(t, resources);
	failed = suite_run("hooks and resources", t);
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command) != 0 || failed != 0;
}
