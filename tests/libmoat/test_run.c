/* SPDX-License-Identifier: Apache-2.0 */
/* Streams that are buffers, waiting with a timeout, resource use. */
#include "expect.h"
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>

static void
streams(void)
{
	struct moat_io io = {.input = "one\ntwo\n", .input_bytes = 8};
	size_t big = 3 * MIB + 17;
	char *text = malloc(big);
	struct moat_result r;

	CHECK(text);
	r = run(SHELL("cat; echo err >&2"), NULL, &io);
	CHECK_INT(r.verdict, MOAT_OK);
	CHECK(strcmp(r.out, "one\ntwo\n") == 0 && r.out_bytes == 8);
	CHECK(strcmp(r.err, "err\n") == 0 && r.err_bytes == 4);
	moat_result_free(&r);
	/* More than any pipe holds, in both directions; with NULs. */
	for (size_t i = 0; i < big; i++)
		text[i] = (char)(i * 31 >> 3);
	io = (struct moat_io){.input = text, .input_bytes = big};
	r = run(SHELL("cat"), NULL, &io);
	CHECK_INT(r.out_bytes, big);
	CHECK(memcmp(r.out, text, big) == 0 && r.out[big] == 0);
	moat_result_free(&r);
	/* It reads nothing of it, and ends: no SIGPIPE. */
	r = run(SHELL("exit 2"), NULL, &io);
	CHECK_INT(r.verdict, MOAT_EXIT_NONZERO);
	CHECK_INT(WEXITSTATUS(r.status), 2);
	CHECK(r.out_bytes == 0 && r.out[0] == 0);
	moat_result_free(&r);
	/* What it reads it cannot change. */
	io = (struct moat_io){.input = "x", .input_bytes = 1, .merge = true};
	r = run(SHELL("echo no >&0; echo out; echo err >&2"), NULL, &io);
	CHECK(strstr(r.out, "out\nerr\n") != NULL && r.err_bytes == 0);
	moat_result_free(&r);
	r = run(SHELL("read x || echo empty; kill -TERM $$"), NULL, NULL);
	CHECK(strcmp(r.out, "empty\n") == 0);
	free(text);
	moat_result_free(&r);
}

/* A descriptor of the caller's beside a buffer. */
static void
passed(void)
{
	struct moat_io io = {.pass = 2};
	struct moat_limits l = {.output_bytes = 1000};
	struct moat_result r;
	struct moat_error err;
	struct moat_config c;
	char buf[4096];
	int p[2];

	CHECK_INT(pipe(p), 0);
	config_for(&c, SHELL("echo to the pipe; echo to the buffer >&2"));
	c.stdio[1] = p[1];
	CHECK_MOAT(moat_run(&c, NULL, &io, &r, &err), err);
	CHECK_INT(read(p[0], buf, sizeof buf), 12);
	CHECK(strcmp(r.err, "to the buffer\n") == 0 && r.out_bytes == 0);
	moat_result_free(&r);
	/* It counts, too. */
	config_for(&c, SHELL("while :; do echo 0123456789; done"));
	c.stdio[1] = p[1];
	CHECK_MOAT(moat_run(&c, &l, &io, &r, &err), err);
	CHECK_INT(r.verdict, MOAT_LIMIT_OUTPUT);
	CHECK_INT(read(p[0], buf, sizeof buf), 1000);
	moat_result_free(&r);
	close(p[0]);
	close(p[1]);
}

static void
usage(void)
{
	struct moat_limits l = {.wall_ms = 20000};
	struct moat_result r = run(
		SHELL("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 0.3"), &l, NULL);

	CHECK_INT(r.verdict, MOAT_OK);
	CHECK(r.usage.user_ns > 50000000ULL);
	CHECK(r.usage.wall_ns > r.usage.user_ns && r.usage.wall_ns >= 300000000ULL);
	moat_result_free(&r);
}

static void
waiting(void)
{
	struct moat_sandbox *s;
	struct moat_process *p;
	struct moat_rusage u;
	struct moat_error err;
	enum moat_verdict v;
	struct moat_config c;
	const char *out;
	size_t n;
	int status;

	config_for(&c, SHELL("sleep 2; until [ -e /tmp/go ]; do sleep 0.1; done; exit 3"));
	CHECK_MOAT(moat_start(&c, &s, &err), err);
	CHECK_INT(moat_wait_timeout(s, 0, &status, &err), -ETIMEDOUT);
	CHECK_INT(moat_wait_timeout(s, 50, &status, &err), -ETIMEDOUT);
	CHECK_INT(moat_rusage(s, &u), -EAGAIN);
	CHECK_INT(moat_verdict(s, &v, NULL), -EAGAIN);
	CHECK_INT(moat_output(s, 1, &out, &n), -EINVAL);
	/* Another process of it, with streams of its own. */
	config_for(&c,
		SHELL("cat; i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; >/tmp/go; exit 5"));
	CHECK_MOAT(
		moat_spawn_io(s, &c, &(struct moat_io){.input = "in", .input_bytes = 2}, &p, &err),
		err);
	CHECK_INT(moat_process_rusage(p, &u), -EAGAIN);
	CHECK_MOAT(moat_process_wait(p, -1, &status, &err), err);
	CHECK_INT(WEXITSTATUS(status), 5);
	CHECK_INT(moat_process_output(p, 1, &out, &n), 0);
	CHECK(n == 2 && strcmp(out, "in") == 0);
	CHECK_INT(moat_process_rusage(p, &u), 0);
	CHECK(u.user_ns > 1000000 && u.wall_ns >= u.user_ns);
	moat_process_free(p);
	CHECK_MOAT(moat_wait_timeout(s, 10000, &status, &err), err);
	CHECK_INT(WEXITSTATUS(status), 3);
	CHECK_INT(moat_rusage(s, &u), 0);
	CHECK(u.wall_ns >= 2000000000ULL && u.memory_peak_bytes == 0);
	CHECK_INT(moat_verdict(s, &v, NULL), 0);
	CHECK_INT(v, MOAT_EXIT_NONZERO);
	moat_destroy(s);
}

static void
refused(void)
{
	struct moat_limits l = {.wall_ms = 1000};
	struct moat_sandbox *s;
	struct moat_result r;
	struct moat_error err;
	struct moat_config c;

	config_for(&c, ARGS("/no/such/program"));
	CHECK_INT(moat_run(&c, &l, NULL, &r, &err), -ENOENT);
	CHECK(err.exec);
	config_for(&c, ARGS("sleep", "9"));
	c.limits = &l;
	CHECK_MOAT(moat_start(&c, &s, &err), err);
	CHECK_INT(moat_release(s, &err), -EOPNOTSUPP);
	moat_destroy(s);
}

static void *
in_thread(void *arg)
{
	struct moat_io io = {.input = arg, .input_bytes = strlen(arg)};

	for (int i = 0; i < 3; i++) {
		struct moat_limits l = {.wall_ms = 20000, .memory_bytes = 200 * MIB};
		struct moat_result r = run(ARGS("cat"), &l, &io);

		CHECK_INT(r.verdict, MOAT_OK);
		CHECK(strcmp(r.out, arg) == 0);
		moat_result_free(&r);
	}
	return NULL;
}

static void
threads(void)
{
	pthread_t t[6];
	char text[6][32];

	for (int i = 0; i < 6; i++) {
		snprintf(text[i], sizeof text[i], "thread %d", i);
		CHECK_INT(pthread_create(&t[i], NULL, in_thread, text[i]), 0);
	}
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
}

/* Until all threads stand still: kill(2) does not wait for that. */
static void
stop(pid_t pid)
{
	char path[64], line[512];
	struct dirent *e;
	int running = 1;
	FILE *f;
	DIR *d;

	CHECK(kill(pid, SIGSTOP) == 0);
	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	for (int i = 0; i < 10000 && running; i++) {
		d = opendir(path);
		CHECK(d);
		running = 0;
		while ((e = readdir(d))) {
			if (e->d_name[0] == '.')
				continue;
			snprintf(line, sizeof line, "%s/%s/stat", path, e->d_name);
			f = fopen(line, "re");
			if (!f) { /* it has ended meanwhile */
				running++;
				continue;
			}
			CHECK(fgets(line, sizeof line, f) && strrchr(line, ')'));
			running += strrchr(line, ')')[2] != 'T';
			fclose(f);
		}
		closedir(d);
		usleep(1000);
	}
	CHECK(!running);
}

/* A sentry that does not answer in time: what it says late is not taken for something else. */
static void
late_answers(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct moat_process_info *list;
	struct moat_sandbox *s, *other;
	struct moat_state st = {0};
	struct moat_error err;
	struct moat_config c;
	int status, sock;
	size_t n = 0;

	config_for(&c, ARGS("/bin/sleep", "1000")); /* a shell would make another process */
	c.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(a.sun_path + 1, sizeof a.sun_path - 1, "moat-late-%d", (int)getpid());
	CHECK(bind(c.listen_fd, (struct sockaddr *)&a, sizeof a) == 0 &&
		listen(c.listen_fd, 4) == 0);
	CHECK_MOAT(moat_start(&c, &s, &err), err);
	close(c.listen_fd);
	sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CHECK(connect(sock, (struct sockaddr *)&a, sizeof a) == 0);
	CHECK_MOAT(moat_attach(sock, &other, &err), err);
	CHECK_MOAT(moat_state(other, &st, &err), err);
	CHECK_INT(moat_wait_timeout(other, 0, &status, &err), -ETIMEDOUT);
	stop(moat_sentry_pid(s));
	CHECK_INT(moat_state(other, &st, &err), -ETIMEDOUT);
	CHECK(kill(moat_sentry_pid(s), SIGCONT) == 0);
	st.container = 0;
	CHECK_MOAT(moat_processes(other, &list, &n, &err), err);
	CHECK_INT(n, 1);
	CHECK_INT(list[0].pid, 1);
	free(list);
	CHECK_MOAT(moat_state(other, &st, &err), err);
	CHECK_INT(st.container, 1);
	CHECK_INT(moat_signal(other, 0, SIGKILL), 0);
	CHECK_MOAT(moat_wait(other, &status, &err), err);
	CHECK_INT(status, SIGKILL);
	moat_destroy(other);
	moat_destroy(s);
}

int
main(void)
{
	struct own before = own_now();

	streams();
	passed();
	usage();
	waiting();
	refused();
	threads();
	late_answers();
	own_check(before);
	return 0;
}
