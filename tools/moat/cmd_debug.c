/* SPDX-License-Identifier: Apache-2.0 */
/* moat debug: what goes on in a container, by what its kernel says. */
#include "container.h"
#include "options.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A path of the sandbox's /proc, malloc'd; NULL: there is none (a process that has ended). */
static char *
get(struct moat_sandbox *s, const char *fmt, ...)
{
	struct moat_error err;
	char path[256], *text = NULL;
	size_t len;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof path, fmt, ap);
	va_end(ap);
	return moat_inspect(s, path, &text, &len, &err) < 0 ? NULL : text;
}

/* What programs chose themselves, without what a terminal would obey. */
static void
print_safely(const char *indent, const char *text)
{
	bool start = true;

	for (; *text; text++) {
		unsigned char ch = (unsigned char)*text;

		if (start)
			fputs(indent, stdout);
		start = ch == '\n';
		if (ch == '\n' || ch == '\t' || (ch >= ' ' && ch != 127 && ch < 128))
			putchar(ch);
		else
			printf("\\%03o", ch);
	}
	if (!start)
		putchar('\n');
}

static void
print_part(struct moat_sandbox *s, const char *title, const char *path)
{
	char *text = get(s, "%s", path);

	printf("\n%s\n", title);
	print_safely("  ", text && *text ? text : "(nothing)");
	free(text);
}

/* One line of "Key:\tvalue". */
static const char *
status_field(char *status, const char *key, char *buf, size_t cap)
{
	char *p = status ? strstr(status, key) : NULL;
	size_t n;

	buf[0] = 0;
	if (!p)
		return buf;
	p += strlen(key);
	p += strspn(p, "\t ");
	n = strcspn(p, "\n");
	snprintf(buf, cap, "%.*s", (int)n, p);
	return buf;
}

/* "230 0x0 0x1 ..." with a name instead of the number. */
static void
describe_call(const char *text, char *buf, size_t cap)
{
	unsigned nr;
	const char *name, *args;
	int n = 0;

	if (!text || sscanf(text, "%u%n", &nr, &n) != 1) {
		snprintf(buf, cap, "runs");
		return;
	}
	name = syscall_name(nr);
	args = text + n + strspn(text + n, " ");
	snprintf(buf, cap, "%s(%.*s)", name ? name : "?", (int)strcspn(args, "\n"), args);
}

static void
print_thread(struct moat_sandbox *s, int pid, int tid)
{
	char *status = get(s, "/%d/task/%d/status", pid, tid),
	     *call = get(s, "/%d/task/%d/syscall", pid, tid);
	char line[500], name[64], state[32], text[200];

	if (status) {
		describe_call(call, text, sizeof text);
		snprintf(line, sizeof line, "%6d  %-16.32s  %-14.14s  %s", tid,
			status_field(status, "Name:", name, sizeof name),
			status_field(status, "State:", state, sizeof state), text);
		print_safely("  ", line);
	}
	free(status);
	free(call);
}

static void
print_process(struct moat_sandbox *s, const struct moat_process_info *p)
{
	char *list, *save, line[64];

	snprintf(line, sizeof line, "process %d, parent %d, uid %u, on the host %d", p->pid,
		p->ppid, p->uid, p->host_pid);
	printf("\n%s\n", line);
	list = get(s, "/%d/task", p->pid);
	for (char *t = list ? strtok_r(list, "\n", &save) : NULL; t;
		t = strtok_r(NULL, "\n", &save))
		print_thread(s, p->pid, atoi(t));
	free(list);
	list = get(s, "/%d/fd", p->pid);
	for (char *t = list ? strtok_r(list, "\n", &save) : NULL; t;
		t = strtok_r(NULL, "\n", &save)) {
		char *to = get(s, "/%d/fd/%s", p->pid, t), *text = NULL;

		if (to && asprintf(&text, "descriptor %s: %s", t, to) > 0)
			print_safely("    ", text);
		free(text);
		free(to);
	}
	free(list);
}

int
cmd_debug(int argc, char **argv)
{
	const struct option_row rows[] = {{0}};
	int i = options_parse("debug ID", rows, NULL, argc, argv, 1, 1), r;
	struct moat_process_info *p;
	struct moat_sandbox *s;
	struct moat_error err;
	struct moat_state st;
	struct container c;
	char path[64];
	size_t n;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	if ((r = container_open(&c, argv[i], false)))
		return r;
	if ((r = container_attach(&c, &s))) {
		container_close(&c);
		return r;
	}
	if (moat_processes(s, &p, &n, &err) < 0 || moat_state(s, &st, &err) < 0) {
		r = complain("%s", err.text);
	} else {
		printf("container %s: %s%s; kernel %d, file server %d, stands for it %d\n", c.id,
			st.started ? "started" : "created", st.paused ? ", paused" : "",
			(int)container_process(&c, CONTAINER_SENTRY),
			(int)container_process(&c, CONTAINER_GOFER), (int)container_pid(&c));
		for (size_t k = 0; k < n; k++)
			print_process(s, &p[k]);
		if (n) {
			static const char *const parts[][2] = {{"mounts", "mounts"},
				{"TCP", "net/tcp"}, {"TCP, version 6", "net/tcp6"},
				{"UDP", "net/udp"}, {"unix sockets", "net/unix"}};

			for (size_t k = 0; k < sizeof parts / sizeof parts[0]; k++) {
				snprintf(path, sizeof path, "/%d/%s", p[0].pid, parts[k][1]);
				print_part(s, parts[k][0], path);
			}
		}
		free(p);
	}
	moat_destroy(s);
	container_close(&c);
	return r;
}
