/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moat top: what each container uses, again and again. The figures are the host's: those of the
 * sandbox's kernel, its file server, and the processes below the kernel, which all programs are.
 */
#include "container.h"
#include "options.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_SHOWN 512

struct sample {
	char id[256], status[16];
	unsigned long long ticks; /* of CPU time, ended programs included */
	unsigned long rss_kib;
	unsigned programs;
	uint64_t calls; /* system calls so far */
	bool runs;
};

static void
add_process(struct sample *s, int pid, bool ended_children)
{
	unsigned long long user = 0, system = 0, cuser = 0, csystem = 0;
	char path[64], text[1024], *p;
	unsigned long pages = 0;
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return;
	n = fread(text, 1, sizeof text - 1, f);
	fclose(f);
	text[n] = 0;
	p = strrchr(text, ')');
	/* 14 to 17: utime stime cutime cstime; 24: rss */
	if (!p || sscanf(p + 2,
			  "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu %*d %*d "
			  "%*d %*d %*u %*u %lu",
			  &user, &system, &cuser, &csystem, &pages) != 5)
		return;
	s->ticks += user + system + (ended_children ? cuser + csystem : 0);
	s->rss_kib += pages * (unsigned long)(sysconf(_SC_PAGESIZE) / 1024);
}

static void
add_children(struct sample *s, int sentry)
{
	char path[64 + 256];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/task", sentry);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		FILE *f;
		int pid;

		snprintf(path, sizeof path, "/proc/%d/task/%s/children", sentry, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (f && fscanf(f, "%d", &pid) == 1)
			add_process(s, pid, false);
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
}

static void
take(struct container *c, struct sample *s)
{
	int sentry = container_process(c, CONTAINER_SENTRY), gofer;
	struct moat_process_info *p;
	struct moat_sandbox *box;
	struct moat_error err;
	struct moat_state st;
	size_t n;

	snprintf(s->id, sizeof s->id, "%s", c->id);
	snprintf(s->status, sizeof s->status, "%s", container_status_name(container_status(c)));
	if (!sentry || !container_pid(c))
		return;
	s->runs = true;
	add_process(s, sentry, true);
	add_children(s, sentry);
	gofer = container_process(c, CONTAINER_GOFER);
	if (gofer)
		add_process(s, gofer, false);
	if (container_connect(c, &box, &err) < 0)
		return;
	if (moat_processes(box, &p, &n, &err) == 0) {
		s->programs = (unsigned)n;
		free(p);
	}
	if (moat_state(box, &st, &err) == 0)
		s->calls = st.calls;
	moat_destroy(box);
}

/* All that run, by name. */
static size_t
take_all(struct sample *list)
{
	char root[4096];
	struct dirent **names;
	size_t n = 0;
	int count;

	if (container_root(root, sizeof root))
		return 0;
	count = scandir(root, &names, NULL, alphasort);
	for (int i = 0; i < count; i++) {
		struct container c;

		if (names[i]->d_name[0] != '.' && n < MAX_SHOWN &&
			container_find(&c, names[i]->d_name, false) == 0) {
			memset(&list[n], 0, sizeof list[n]);
			if (c.state)
				take(&c, &list[n]);
			if (list[n].runs)
				n++;
			container_close(&c);
		}
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	return n;
}

static void
print(const struct sample *before, size_t nbefore, const struct sample *now, size_t n,
	double seconds)
{
	long hz = sysconf(_SC_CLK_TCK);

	printf("%-32s %-10s %8s %8s %12s %10s\n", "ID", "STATUS", "PROGRAMS", "CPU%", "MEMORY/KiB",
		"CALLS/s");
	for (size_t i = 0; i < n; i++) {
		unsigned long long was = now[i].ticks;
		uint64_t calls = now[i].calls;

		for (size_t k = 0; k < nbefore; k++) {
			if (strcmp(before[k].id, now[i].id) != 0)
				continue;
			if (before[k].ticks < was)
				was = before[k].ticks;
			if (before[k].calls < calls)
				calls = before[k].calls;
		}
		printf("%-32s %-10s %8u %8.1f %12lu %10.0f\n", now[i].id, now[i].status,
			now[i].programs, (double)(now[i].ticks - was) * 100 / (double)hz / seconds,
			now[i].rss_kib, (double)(now[i].calls - calls) / seconds);
	}
}

int
cmd_top(int argc, char **argv)
{
	unsigned interval = 1, times = 0;
	const struct option_row rows[] = {
		{OPTION_NUMBER, "interval", 'i', &interval, "seconds between two looks (1)"},
		{OPTION_NUMBER, "times", 'n', &times,
			"so many tables (default: for ever on a terminal, else 1)"},
		{0}};
	int i = options_parse("top [OPTIONS]", rows, NULL, argc, argv, 0, 0);
	struct sample *before, *now;
	bool terminal = isatty(1);
	size_t nbefore, n;

	if (i < 0)
		return i == -2 ? 0 : exit_failure;
	if (interval == 0 || interval > 86400)
		return complain("--interval: not between 1 and 86400 seconds");
	if (times == 0 && !terminal)
		times = 1;
	before = xcalloc(MAX_SHOWN, sizeof *before);
	now = xcalloc(MAX_SHOWN, sizeof *now);
	nbefore = take_all(before);
	for (unsigned k = 0; times == 0 || k < times; k++) {
		struct sample *swap = before;

		sleep(interval);
		n = take_all(now);
		if (terminal)
			fputs("\033[H\033[J", stdout);
		print(before, nbefore, now, n, interval);
		if (fflush(stdout) != 0)
			break;
		before = now;
		nbefore = n;
		now = swap;
	}
	free(before);
	free(now);
	return 0;
}
