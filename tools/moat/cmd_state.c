/* SPDX-License-Identifier: Apache-2.0 */
/* moat state, list, ps: what there is. */
#include "container.h"
#include "join.h"
#include "options.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int
cmd_state(int argc, char **argv)
{
	const struct option_row rows[] = {{0}};
	struct container c;
	int i = options_parse("state ID", rows, NULL, argc, argv, 1, 1), r;
	json_t *j;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	if ((r = container_open(&c, argv[i], false)))
		return r;
	j = container_full_state(&c, container_status(&c));
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(j);
	container_close(&c);
	return 0;
}

/* --- list --- */

static const struct {
	const char *head, *key;
} columns[] = {{"ID", "id"}, {"PID", "pid"}, {"STATUS", "status"}, {"BUNDLE", "bundle"},
	{"CREATED", "created"}, {"OWNER", "owner"}};
#define NCOLUMNS (sizeof columns / sizeof columns[0])

static const char *
cell(json_t *row, size_t k, char *buf, size_t cap)
{
	json_t *v = json_object_get(row, columns[k].key);

	if (json_is_integer(v)) {
		snprintf(buf, cap, "%lld", (long long)json_integer_value(v));
		return buf;
	}
	return json_string_value(v) ? json_string_value(v) : "";
}

static void
print_table(json_t *all)
{
	size_t width[NCOLUMNS], i, k;
	char buf[32];
	json_t *row;

	/* As Go's tabwriter has it: at least 12 wide, 3 between. */
	for (k = 0; k < NCOLUMNS; k++) {
		width[k] = strlen(columns[k].head);
		json_array_foreach(all, i, row)
		{
			size_t n = strlen(cell(row, k, buf, sizeof buf));

			width[k] = n > width[k] ? n : width[k];
		}
		width[k] = width[k] + 3 < 12 ? 12 : width[k] + 3;
	}
	for (k = 0; k < NCOLUMNS; k++)
		printf("%-*s", k + 1 < NCOLUMNS ? (int)width[k] : 0, columns[k].head);
	putchar('\n');
	json_array_foreach(all, i, row)
	{
		for (k = 0; k < NCOLUMNS; k++)
			printf("%-*s", k + 1 < NCOLUMNS ? (int)width[k] : 0,
				cell(row, k, buf, sizeof buf));
		putchar('\n');
	}
}

static int
by_id(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **
folders(const char *root, size_t *ret_n)
{
	DIR *d = opendir(root);
	struct dirent *e;
	char **v = NULL;
	size_t n = 0;

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		v = realloc(v, (n + 1) * sizeof *v);
		if (!v || !(v[n++] = strdup(e->d_name)))
			exit(complain("out of memory"));
	}
	if (d)
		closedir(d);
	if (n)
		qsort(v, n, sizeof *v, by_id);
	*ret_n = n;
	return v;
}

int
cmd_list(int argc, char **argv)
{
	const char *format = "table";
	bool quiet = false;
	const struct option_row rows[] = {{OPTION_TEXT, "format", 'f', &format, "table or json"},
		{OPTION_FLAG, "quiet", 'q', &quiet, "names only"}, {0}};
	int i = options_parse("list [OPTIONS]", rows, NULL, argc, argv, 0, 0);
	json_t *all;
	char root[4096], **names;
	size_t n;
	int r;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
		return complain("invalid format option");
	if ((r = container_root(root, sizeof root)))
		return r;
	all = json_array();
	names = folders(root, &n);
	for (size_t k = 0; k < n; k++) {
		struct container c;

		/* Other runtimes may keep theirs in the same place. */
		if (container_find(&c, names[k], false) == 0) {
			if (c.state && quiet)
				puts(names[k]);
			else if (c.state)
				json_array_append_new(
					all, container_full_state(&c, container_status(&c)));
			container_close(&c);
		}
		free(names[k]);
	}
	free(names);
	if (quiet)
		;
	else if (format[0] == 't')
		print_table(all);
	else if (json_array_size(all) == 0)
		fputs("null", stdout);
	else
		json_dumpf(all, stdout, JSON_COMPACT);
	json_decref(all);
	return 0;
}

/* --- ps --- */

/* The host's ps with these options, and of its lines those of the processes. */
static int
print_ps(json_t *pids, int argc, char **argv)
{
	const char *args[64] = {"ps"};
	char line[4096], *head, *save;
	int fds[2], column = -1, status = 0;
	pid_t pid;
	FILE *f;

	for (int i = 0; i < argc && i < 60; i++)
		args[i + 1] = argv[i];
	if (argc == 0)
		args[1] = "-ef";
	if (pipe(fds) < 0 || (pid = fork()) < 0)
		return complain("cannot start ps: %s", strerror(errno));
	if (pid == 0) {
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execvp("ps", (char *const *)(uintptr_t)args);
		_exit(127);
	}
	close(fds[1]);
	f = fdopen(fds[0], "r");
	for (bool first = true; f && fgets(line, sizeof line, f); first = false) {
		int k = 0;
		bool print = first;
		char *copy = strdup(line);

		for (head = strtok_r(copy, " \t\n", &save); head;
			head = strtok_r(NULL, " \t\n", &save), k++) {
			size_t i;
			json_t *v;

			if (first && strcmp(head, "PID") == 0)
				column = k;
			if (first || k != column)
				continue;
			json_array_foreach(pids, i, v) print |= json_integer_value(v) == atoi(head);
		}
		free(copy);
		if (print)
			fputs(line, stdout);
	}
	if (f)
		fclose(f);
	(void)waitpid(pid, &status, 0);
	if (status == 127 << 8)
		return complain("exec: \"ps\": executable file not found in $PATH");
	return column < 0 ? complain("couldn't find PID field in ps output") : 0;
}

int
cmd_ps(int argc, char **argv)
{
	const char *format = "table";
	const struct option_row rows[] = {
		{OPTION_TEXT, "format", 'f', &format, "table or json"}, {0}};
	int i = options_parse("ps [OPTIONS] ID [PS OPTIONS]", rows, NULL, argc, argv, 1, -1), r;
	struct moat_process_info *p;
	struct moat_sandbox *s;
	struct host_child *kids;
	struct moat_error err;
	struct container c;
	size_t n, nkids;
	json_t *pids;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	if (strcmp(format, "table") != 0 && strcmp(format, "json") != 0)
		return complain("invalid format option");
	if ((r = container_open(&c, argv[i], false)))
		return r;
	if ((r = container_attach(&c, &s))) {
		container_close(&c);
		return r;
	}
	pids = json_array();
	if (moat_processes(s, &p, &n, &err) < 0) {
		r = complain("%s", err.text);
	} else {
		kids = sandbox_children(container_process(&c, CONTAINER_SENTRY), &nkids);
		for (size_t a = 0; a < n; a++)
			for (size_t b = 0; b < nkids; b++)
				if (p[a].host_pid && kids[b].inside == p[a].host_pid)
					json_array_append_new(pids, json_integer(kids[b].host));
		free(kids);
		free(p);
	}
	moat_destroy(s);
	if (r == 0 && format[0] == 'j') {
		json_dumpf(pids, stdout, JSON_COMPACT);
		putchar('\n');
	} else if (r == 0) {
		r = print_ps(pids, argc - i - 1, argv + i + 1);
	}
	json_decref(pids);
	container_close(&c);
	return r;
}
