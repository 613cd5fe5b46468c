/* SPDX-License-Identifier: Apache-2.0 */
/* Options that every command which starts a sandbox has, and small helpers. */
#include "moat.h"
#include "platform/host/confine.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int exit_failure = EXIT_SANDBOX;

const char common_help[] =
	"  --platform=trap|ptrace    how guest code is run (default: trap)\n"
	"  --network=none|host       what the sandbox reaches beyond its own loopback (default: "
	"none)\n"
	"  --overlay=root:memory|none  where writes to the root go\n"
	"  --trace[=FILE]            write each system call to FILE, or to stderr\n"
	"  --debug-log=FILE          write what moat itself does to FILE\n"
	"  --memory=BYTES[k|m|g]     how much memory the sandbox shows as the machine's\n"
	"  --workers=N               threads that run the sandbox's kernel\n"
	"  --weaker-isolation=PART,...  do without a part of the isolation that cannot be had "
	"here:\n"
	"                            userns pidns netns ipcns utsns mntns caps seccomp\n"
	"  --without=PART,...        switch off a shortcut, to find its bugs: spin rewriting "
	"stub-answers marshalling\n";

void *
check_memory(void *p)
{
	if (!p) {
		complain("out of memory");
		exit(exit_failure);
	}
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	return check_memory(calloc(n, size));
}

char *
print_text(const char *fmt, ...)
{
	char *text;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = vasprintf(&text, fmt, ap);
	va_end(ap);
	return check_memory(r < 0 ? NULL : text);
}

void
strings_add(struct strings *s, const char *str)
{
	if (s->n + 1 >= s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		const char **v = xcalloc(cap, sizeof *v);

		if (s->n)
			memcpy(v, s->v, s->n * sizeof *v);
		free(s->v);
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n++] = str;
	s->v[s->n] = NULL;
}

int
refuse(struct moat_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	err->code = code;
	err->exec = false;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	return -code;
}

void
strings_set_env(struct strings *s, const char *assignment)
{
	size_t len = strcspn(assignment, "=");

	for (size_t i = 0; i < s->n; i++)
		if (strncmp(s->v[i], assignment, len) == 0 && s->v[i][len] == '=') {
			s->v[i] = assignment;
			return;
		}
	strings_add(s, assignment);
}

void
strings_free(struct strings *s)
{
	free(s->v);
	memset(s, 0, sizeof *s);
}

const char *
option_value(const char *name, int argc, char **argv, int *i, bool *bad)
{
	size_t len = strlen(name);
	const char *a = argv[*i];

	if (strncmp(a, name, len) != 0)
		return NULL;
	if (a[len] == '=')
		return a + len + 1;
	if (a[len] != 0)
		return NULL;
	if (*i + 1 >= argc) {
		complain("%s needs a value", name);
		*bad = true;
		return "";
	}
	return argv[++*i];
}

static int
take_without(struct common *c, const char *list)
{
	struct {
		const char *name;
		bool *flag;
	} parts[] = {{"spin", &c->no_spin}, {"rewriting", &c->no_rewrite},
		{"stub-answers", &c->no_stub_answers}, {"marshalling", &c->no_marshal}};

	while (*list) {
		size_t n = strcspn(list, ","), i;

		for (i = 0; i < 4; i++)
			if (strlen(parts[i].name) == n && memcmp(parts[i].name, list, n) == 0)
				break;
		if (i == 4) {
			complain("--without: \"%s\" is not one of its parts", list);
			return -1;
		}
		*parts[i].flag = true;
		list += n + (list[n] == ',');
	}
	return 1;
}

int
common_option(struct common *c, int argc, char **argv, int *i)
{
	const struct {
		const char *name, **value;
	} texts[] = {{"--platform", &c->platform}, {"--network", &c->network},
		{"--weaker-isolation", &c->weaker}, {"--debug-log", &c->debug_log},
		{"--overlay", &c->overlay}, {"--memory", &c->memory}};
	bool bad = false;
	const char *v;

	for (size_t k = 0; k < sizeof texts / sizeof texts[0]; k++) {
		v = option_value(texts[k].name, argc, argv, i, &bad);
		if (v) {
			*texts[k].value = v;
			return bad ? -1 : 1;
		}
	}
	if (strcmp(argv[*i], "--trace") == 0 || strncmp(argv[*i], "--trace=", 8) == 0) {
		c->trace_on = true;
		c->trace = argv[*i][7] ? argv[*i] + 8 : NULL;
		return 1;
	}
	v = option_value("--workers", argc, argv, i, &bad);
	if (v) {
		char *end;
		unsigned long n = strtoul(v, &end, 10);

		if (bad || !*v || *end || n == 0 || n > 256) {
			complain("--workers: \"%s\" is not a number between 1 and 256", v);
			return -1;
		}
		c->workers = (unsigned)n;
		return 1;
	}
	v = option_value("--without", argc, argv, i, &bad);
	if (v)
		return bad ? -1 : take_without(c, v);
	return 0;
}

/* Where moat-sentry and moat-gofer are: beside this program, or in ../libexec/moat. */
static int
find_libexec(struct common *c)
{
	ssize_t n = readlink("/proc/self/exe", c->libexec, sizeof c->libexec - 64);
	char probe[4160];
	char *slash;

	if (n < 0)
		return complain("cannot find this program's own path (is /proc mounted?): %s",
			strerror(errno));
	c->libexec[n] = 0;
	slash = strrchr(c->libexec, '/');
	*slash = 0;
	snprintf(probe, sizeof probe, "%s/moat-sentry", c->libexec);
	if (access(probe, X_OK) == 0)
		return 0;
	slash = strrchr(c->libexec, '/');
	if (slash)
		*slash = 0;
	strcat(c->libexec, "/libexec/moat");
	snprintf(probe, sizeof probe, "%s/moat-sentry", c->libexec);
	if (access(probe, X_OK) == 0)
		return 0;
	return complain("cannot find moat-sentry beside this program, nor in %s", c->libexec);
}

int
find_program(const char *name, char *path, size_t cap)
{
	struct common c = {0};

	if (find_libexec(&c))
		return -1;
	snprintf(path, cap, "%s/%s", c.libexec, name);
	return access(path, X_OK) < 0 ? -1 : 0;
}

static int
open_output(const char *option, const char *path, int *ret)
{
	*ret = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return *ret < 0 ? complain("%s: cannot open %s: %s", option, path, strerror(errno)) : 0;
}

static int
parse_memory(const char *s, uint64_t *ret)
{
	char *end;
	uint64_t n = strtoull(s, &end, 10), unit = 1;

	if (*end == 'k' || *end == 'K')
		unit = 1 << 10, end++;
	else if (*end == 'm' || *end == 'M')
		unit = 1 << 20, end++;
	else if (*end == 'g' || *end == 'G')
		unit = 1 << 30, end++;
	if (!*s || *s == '-' || *end || n == 0 || __builtin_mul_overflow(n, unit, ret))
		return complain("--memory: \"%s\" is not a size", s);
	return 0;
}

int
common_apply(struct common *c)
{
	struct moat_config *m = c->config;
	const char *bad;
	uint32_t weaker;
	int r;

	c->log_fd = c->trace_fd = -1;
	if ((r = find_libexec(c)))
		return r;
	if (c->weaker) {
		if (weaker_parse(c->weaker, &weaker, &bad) < 0)
			return complain(
				"--weaker-isolation: \"%s\" is not one of its parts (see --help)",
				bad);
		for (unsigned i = 0; i < WEAKER_COUNT; i++)
			if (weaker >> i & 1)
				fprintf(stderr, "moat: warning: weaker isolation (%s): %s\n",
					weaker_name(i), weaker_cost(i));
	}
	if (c->overlay && strcmp(c->overlay, "root:memory") != 0 && strcmp(c->overlay, "none") != 0)
		return complain("--overlay: \"%s\" is neither root:memory nor none", c->overlay);
	if (c->memory && (r = parse_memory(c->memory, &m->memory_limit)))
		return r;
	if (c->debug_log && (r = open_output("--debug-log", c->debug_log, &c->log_fd)))
		return r;
	if (c->trace_on && c->trace && (r = open_output("--trace", c->trace, &c->trace_fd)))
		return r;
	if (c->trace_on && !c->trace)
		c->trace_fd = STDERR_FILENO;
	m->libexec = c->libexec;
	m->platform = c->platform;
	m->network = c->network;
	m->weaker = c->weaker;
	m->log_fd = c->log_fd;
	m->debug = c->debug_log != NULL;
	m->trace_fd = c->trace_fd;
	m->workers = c->workers;
	m->no_spin = c->no_spin;
	m->no_rewrite = c->no_rewrite;
	m->no_stub_answers = c->no_stub_answers;
	m->no_marshal = c->no_marshal;
	return 0;
}

bool
rootless(void)
{
	unsigned inside = 0, outside = 0, count = 0;
	FILE *f;

	if (geteuid() != 0)
		return true;
	f = fopen("/proc/self/uid_map", "re");
	if (!f)
		return false;
	if (fscanf(f, "%u %u %u", &inside, &outside, &count) != 3)
		count = 0;
	fclose(f);
	return inside != 0 || outside != 0 || count != UINT32_MAX;
}
