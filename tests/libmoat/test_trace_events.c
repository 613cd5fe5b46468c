/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of programs: what is told, to whom, in which order; that none is lost when the host
 * program is slow, and none can be made up. The program in the sandbox is this one again.
 */
#include "config.h"
#include <moat/run.h>
#include <moat/trace.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define CALLS	3000
#define KIND(k) (1u << MOAT_EVENT_##k)

static const char *const self = TEST_SELF;

/* What was told, copied. */
struct seen {
	struct moat_event e;
	char comm[16], text[1024], call[64], path[PATH_MAX], *argv[40];
	size_t argv_len[40];
};

struct ear {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct seen *seen;
	size_t n, cap;
	pthread_t thread;
	bool hold; /* calls do not return */
	bool inside;
	unsigned slow_us;
};

static void
told(void *user, const struct moat_event *e)
{
	struct ear *r = user;
	struct seen *s;
	sigset_t set;

	pthread_mutex_lock(&r->lock);
	CHECK(!r->inside, "two at once");
	r->inside = true;
	pthread_cond_broadcast(&r->cond);
	while (r->hold)
		pthread_cond_wait(&r->cond, &r->lock);
	if (r->n == r->cap) {
		r->cap = r->cap ? r->cap * 2 : 64;
		r->seen = realloc(r->seen, r->cap * sizeof *r->seen);
		CHECK(r->seen);
	}
	if (r->n)
		CHECK(pthread_equal(r->thread, pthread_self()));
	r->thread = pthread_self();
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	CHECK(sigismember(&set, SIGCHLD) && sigismember(&set, SIGINT));
	s = &r->seen[r->n++];
	memset(s, 0, sizeof *s);
	s->e = *e;
	CHECK(strlen(e->comm) < 16 && strlen(e->text) < 1024 && strlen(e->call) < 64 &&
		strlen(e->path) < PATH_MAX && !e->argv[e->nargv]);
	strcpy(s->comm, e->comm);
	strcpy(s->text, e->text);
	strcpy(s->call, e->call);
	strcpy(s->path, e->path);
	for (size_t i = 0; i < e->nargv && i < 40; i++) {
		s->argv[i] = strdup(e->argv[i]);
		s->argv_len[i] = strlen(e->argv[i]);
	}
	for (const char *c = e->text; *c; c++)
		CHECK(*c >= ' ' && *c <= '~', "text has byte %d", *c);
	r->inside = false;
	pthread_mutex_unlock(&r->lock);
	if (r->slow_us)
		usleep(r->slow_us);
}

static struct ear *
ear_new(void)
{
	struct ear *r = calloc(1, sizeof *r);

	CHECK(r);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->cond, NULL);
	return r;
}

static void
ear_free(struct ear *r)
{
	for (size_t i = 0; i < r->n; i++)
		for (int k = 0; k < 40; k++)
			free(r->seen[i].argv[k]);
	free(r->seen);
	free(r);
}

static const struct seen *
find(const struct ear *r, enum moat_event_kind kind, const char *call, const char *in_text)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->seen[i].e.kind == kind && (!call || strcmp(r->seen[i].call, call) == 0) &&
			strstr(r->seen[i].text, in_text))
			return &r->seen[i];
	for (size_t i = 0; i < r->n; i++)
		printf("%d %s\n", (int)r->seen[i].e.kind, r->seen[i].text);
	CHECK(false, "no event %d of %s with %s", (int)kind, call ? call : "", in_text);
	return NULL;
}

static void
run_traced(struct ear *r, unsigned kinds, const char *const *calls, const char *const *args,
	int want_status)
{
	struct moat_trace t = {.fn = told, .user = r, .kinds = kinds, .calls = calls};
	struct moat_result res;
	struct moat_config c;
	struct moat_error err;

	config_for(&c, args);
	c.trace = &t;
	CHECK_MOAT(moat_run(&c, NULL, NULL, &res, &err), err);
	CHECK(res.status == want_status, "status %d: %s%s", res.status, res.out, res.err);
	moat_result_free(&res);
}

/* --- guests --- */

static int
guest(char **argv)
{
	char *long_arg;

	if (strcmp(argv[1], "umask") == 0) {
		for (int i = 0; i < CALLS || argv[2]; i++)
			syscall(SYS_umask, i & 0777);
		return 0;
	}
	if (strcmp(argv[1], "getpid") == 0) {
		for (int i = 0; i < 20000; i++)
			syscall(SYS_getpid);
		return 0;
	}
	if (strcmp(argv[1], "odd") == 0)
		return syscall(499, 1, 2, 3, 4, 5, 6) == -1 && errno == ENOSYS ? 0 : 1;
	if (strcmp(argv[1], "thread") == 0) {
		pthread_t t;

		return pthread_create(&t, NULL, no_work, NULL) || pthread_join(t, NULL);
	}
	if (strcmp(argv[1], "newpid") == 0) {
		/* A process that is 1 to itself. */
		int st, p;

		if (unshare(CLONE_NEWUSER | CLONE_NEWPID) < 0)
			return 1;
		p = fork();
		if (p == 0)
			_exit(getpid() == 1 ? 7 : 8);
		return waitpid(p, &st, 0) == p && WEXITSTATUS(st) == 7 ? 0 : 2;
	}
	if (strcmp(argv[1], "hostile") == 0) {
		long_arg = malloc(20001);
		memset(long_arg, 'a', 20000);
		long_arg[20000] = 0;
		prctl(PR_SET_NAME, "\n1 x exited 0\n\033[2J");
		close(open("/tmp/a\nexited 0\n\033]0;t\a", O_CREAT | O_RDWR, 0600));
		execl(self, "\n\033", "argument\n", "", "\200\001", long_arg, NULL);
		return 3;
	}
	return 9;
}

/* --- */

static void
test_life(void)
{
	struct ear *r = ear_new();
	const struct seen *s, *child;
	uint64_t last = 0;

	run_traced(r, 0, NULL, SHELL("read a </dev/null; (exit 3); exec /bin/true x"), 0);
	CHECK(r->n > 10);
	CHECK_INT(r->seen[0].e.kind, MOAT_EVENT_EXEC);
	CHECK_INT(r->seen[0].e.nargv, 3);
	CHECK(strcmp(r->seen[0].argv[1], "-c") == 0 && strncmp(r->seen[0].argv[2], "read", 4) == 0);
	CHECK(r->seen[0].path[0] == '/' && !r->seen[0].e.argv_cut);
	CHECK_INT(r->seen[0].e.pid, 1);
	CHECK_INT(r->seen[r->n - 1].e.kind, MOAT_EVENT_EXIT);
	CHECK_INT(r->seen[r->n - 1].e.pid, 1);
	CHECK_INT(r->seen[r->n - 1].e.status, 0);
	s = find(r, MOAT_EVENT_CALL, "openat", "\"/dev/null\"");
	CHECK_INT(s->e.nr, SYS_openat);
	CHECK_INT(s->e.nargs, 4);
	CHECK_INT((int)s->e.args[0], AT_FDCWD);
	CHECK(strcmp(s->comm, "sh") == 0);
	s = find(r, MOAT_EVENT_RETURN, "openat", "\"/dev/null\"");
	CHECK(s->e.result >= 0);
	child = find(r, MOAT_EVENT_NEW, NULL, "process ");
	CHECK_INT(child->e.ppid, 1);
	CHECK(child->e.pid > 1 && child->e.tid == child->e.pid);
	s = find(r, MOAT_EVENT_EXIT, NULL, "exited 3");
	CHECK_INT(s->e.pid, child->e.pid);
	CHECK(WIFEXITED(s->e.status) && WEXITSTATUS(s->e.status) == 3);
	s = find(r, MOAT_EVENT_EXEC, NULL, "[\"/bin/true\", \"x\"]");
	CHECK(strstr(s->path, "/true"), "%s", s->path);
	find(r, MOAT_EVENT_CALL, "exit_group", "exit_group(0)");
	for (size_t i = 0; i < r->n; i++) {
		CHECK(r->seen[i].e.pid > 0 && r->seen[i].e.tid > 0, "%s", r->seen[i].text);
		if (r->seen[i].e.pid != 1)
			continue;
		CHECK(r->seen[i].e.time_ns >= last);
		last = r->seen[i].e.time_ns;
	}
	CHECK(last > 0 && (double)last / 1e9 <= seconds());
	ear_free(r);

	r = ear_new();
	run_traced(r, 0, NULL, ARGS(self, "guest", "thread"), 0);
	s = find(r, MOAT_EVENT_NEW, NULL, "thread ");
	CHECK(s->e.pid == 1 && s->e.tid > 1);
	ear_free(r);

	r = ear_new();
	run_traced(r, 0, NULL, ARGS(self, "guest", "odd"), 0);
	s = find(r, MOAT_EVENT_RETURN, "", "syscall_499(0x1, 0x2, 0x3, 0x4, 0x5, 0x6) = -1 ENOSYS");
	CHECK_INT(s->e.nr, 499);
	ear_free(r);
}

static void
test_choice(void)
{
	struct ear *r = ear_new();

	run_traced(r, KIND(EXEC) | KIND(EXIT), NULL, SHELL("/bin/true; /bin/true; exit 5"), 5 << 8);
	CHECK_INT(r->n, 6);
	for (size_t i = 0; i < r->n; i++)
		CHECK(r->seen[i].e.kind == MOAT_EVENT_EXEC || r->seen[i].e.kind == MOAT_EVENT_EXIT);
	ear_free(r);

	r = ear_new();
	run_traced(r, KIND(RETURN), ARGS("umask", "chdir"),
		SHELL("umask 7; cd /dev; cat /dev/null"), 0);
	for (size_t i = 0; i < r->n; i++)
		CHECK(strcmp(r->seen[i].call, "umask") == 0 ||
				strcmp(r->seen[i].call, "chdir") == 0,
			"%s", r->seen[i].text);
	find(r, MOAT_EVENT_RETURN, "umask", "umask(07)");
	find(r, MOAT_EVENT_RETURN, "chdir", "chdir(\"/dev\") = 0");
	ear_free(r);

	/* Asked for, even where an engine could answer it by itself. */
	r = ear_new();
	run_traced(r, KIND(RETURN), ARGS("getpid"), ARGS(self, "guest", "getpid"), 0);
	CHECK(r->n >= 20000, "%zu", r->n);
	ear_free(r);
}

/* Calls that were not asked for cost what they do without a trace: on trap, no trip. */
static void
test_untraced(void)
{
	struct ear *r = ear_new();
	struct moat_trace t = {.fn = told, .user = r, .calls = ARGS("umask")};
	struct moat_config c;
	struct moat_sandbox *s;
	struct moat_process *p;
	struct moat_error err;
	struct moat_state state;
	int status;

	config_for(&c, SHELL("sleep 100"));
	c.trace = &t;
	CHECK_MOAT(moat_start(&c, &s, &err), err);
	c.args = ARGS(self, "guest", "getpid");
	CHECK_MOAT(moat_spawn(s, &c, &p, &err), err);
	CHECK_MOAT(moat_process_wait(p, -1, &status, &err), err);
	CHECK_INT(status, 0);
	moat_process_free(p);
	CHECK_MOAT(moat_state(s, &state, &err), err);
	if (!c.platform || strcmp(c.platform, "trap") == 0)
		CHECK(state.calls < 20000, "%llu calls", (unsigned long long)state.calls);
	moat_destroy(s);
	find(r, MOAT_EVENT_EXEC, NULL, "\"getpid\"]");
	ear_free(r);
}

static void
check_umasks(const struct ear *r, size_t least)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++) {
		if (r->seen[i].e.kind != MOAT_EVENT_CALL)
			continue;
		CHECK_INT(r->seen[i].e.args[0], n & 0777);
		n++;
	}
	CHECK(n >= least, "%zu events", n);
}

/* A slow listener holds the program up, and loses nothing. */
static void
test_slow(void)
{
	struct ear *r = ear_new();

	r->slow_us = 100;
	run_traced(r, KIND(CALL), ARGS("umask"), ARGS(self, "guest", "umask"), 0);
	CHECK_INT(r->n, CALLS);
	check_umasks(r, CALLS);
	ear_free(r);
}

/* One that does not return holds up who makes events; others go on, limits are kept, and what
 * was made before the end is told. */
static void
test_stuck(void)
{
	struct ear *r = ear_new();
	struct moat_trace t = {
		.fn = told, .user = r, .kinds = KIND(CALL) | KIND(EXIT), .calls = ARGS("umask")};
	struct moat_limits limits = {.wall_ms = 5000};
	struct moat_config c;
	struct moat_sandbox *s;
	struct moat_process *p;
	struct moat_error err;
	enum moat_verdict v;
	int status;

	r->hold = true;
	config_for(&c, ARGS(self, "guest", "umask", "forever"));
	c.trace = &t;
	c.limits = &limits;
	CHECK_MOAT(moat_start(&c, &s, &err), err);
	pthread_mutex_lock(&r->lock);
	while (!r->inside)
		pthread_cond_wait(&r->cond, &r->lock);
	pthread_mutex_unlock(&r->lock);
	usleep(300000); /* until there is no room */
	c.limits = NULL;
	c.trace = NULL;
	c.args = SHELL("echo $((1 + 1)) >/tmp/x; read y </tmp/x; kill -STOP $$");
	CHECK_MOAT(moat_spawn(s, &c, &p, &err), err);
	/* It gets that far while the other one is held; else the sandbox meets its limit here. */
	for (;;) {
		char *text;
		size_t n;
		char path[64];
		bool stopped;

		snprintf(path, sizeof path, "/%d/stat", moat_process_pid(p));
		CHECK_MOAT(moat_inspect(s, path, &text, &n, &err), err);
		stopped = strstr(text, ") T ");
		free(text);
		if (stopped)
			break;
		usleep(1000);
	}
	CHECK_INT(moat_wait_timeout(s, 6000, &status, &err), -ETIMEDOUT);
	pthread_mutex_lock(&r->lock);
	r->hold = false;
	pthread_cond_broadcast(&r->cond);
	pthread_mutex_unlock(&r->lock);
	CHECK_MOAT(moat_wait(s, &status, &err), err);
	CHECK_INT(moat_verdict(s, &v, NULL), 0);
	CHECK_INT(v, MOAT_LIMIT_WALL);
	moat_process_free(p);
	moat_destroy(s);
	check_umasks(r, 50);
	CHECK_INT(r->seen[r->n - 1].e.kind, MOAT_EVENT_EXIT);
	find(r, MOAT_EVENT_EXIT, NULL, "killed by signal 9");
	ear_free(r);
}

static void
test_hostile(void)
{
	struct ear *r = ear_new();
	const struct seen *s;

	run_traced(r, 0, NULL, ARGS(self, "guest", "hostile"), 9 << 8);
	s = find(r, MOAT_EVENT_RETURN, "openat", "\"/tmp/a\\nexited 0\\n\\33]0;t\\7\"");
	CHECK(strcmp(s->comm, "\n1 x exited 0\n\033") == 0, "%s", s->comm);
	s = find(r, MOAT_EVENT_EXEC, NULL, "[\"\\n\\33\", \"argument\\n\", \"\", \"\\200\\1\", ");
	CHECK_INT(s->e.nargv, 5);
	CHECK(strcmp(s->argv[0], "\n\033") == 0 && strcmp(s->argv[1], "argument\n") == 0 &&
		strcmp(s->argv[2], "") == 0 && strcmp(s->argv[3], "\200\001") == 0);
	CHECK(s->e.argv_cut && s->argv_len[4] > 8000 && s->argv_len[4] < 8192);
	ear_free(r);

	/* Numbers are those of the container, whatever a process is to itself. */
	r = ear_new();
	run_traced(r, KIND(EXIT), NULL, ARGS(self, "guest", "newpid"), 0);
	CHECK_INT(r->n, 2);
	s = find(r, MOAT_EVENT_EXIT, NULL, "exited 7");
	CHECK(s->e.pid > 1, "%d", s->e.pid);
	ear_free(r);
}

static void
test_errors(void)
{
	struct ear *r = ear_new();
	struct moat_trace t = {.fn = told, .user = r, .calls = ARGS("openat", "open\nx")};
	struct moat_config c;
	struct moat_sandbox *s;
	struct moat_error err;

	config_for(&c, SHELL("exit 0"));
	c.trace = &t;
	CHECK_INT(moat_start(&c, &s, &err), -EINVAL);
	CHECK(strstr(err.text, "open"), "%s", err.text);
	t.calls = NULL;
	t.kinds = 1u << 20;
	CHECK_INT(moat_start(&c, &s, &err), -EINVAL);
	CHECK(strstr(err.text, "trace.kinds"), "%s", err.text);
	t.kinds = 0;
	t.fn = NULL;
	CHECK_INT(moat_start(&c, &s, &err), -EINVAL);
	CHECK(strstr(err.text, "trace.fn"), "%s", err.text);
	t.fn = told;
	c.args = SHELL("sleep 100");
	CHECK_MOAT(moat_start(&c, &s, &err), err);
	CHECK_INT(moat_release(s, &err), -EOPNOTSUPP);
	moat_destroy(s);
	ear_free(r);
}

int
main(int argc, char **argv)
{
	struct own before;

	if (argc > 2 && strcmp(argv[1], "guest") == 0)
		return guest(argv + 1);
	if (argc > 1)
		return 9;
	before = own_now();
	test_life();
	test_choice();
	test_untraced();
	test_slow();
	test_stuck();
	test_hostile();
	test_errors();
	own_check(before);
	return 0;
}
