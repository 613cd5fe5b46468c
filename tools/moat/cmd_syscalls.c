/* SPDX-License-Identifier: Apache-2.0 */
/* moat syscalls: the compatibility table, from the same rows as the dispatcher. */
#include "moat.h"
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum status {
	FULL,
	PARTIAL,
	ABSENT_,
};

struct row {
	unsigned nr;
	const char *name;
	enum status status;
	const char *err, *why;
};

static const struct row rows[] = {
#define SYSCALL(nr, name, status, why, ...) {nr, #name, status, "", why},
#define ABSENT(nr, name, err, why, ...)	    {nr, #name, ABSENT_, #err, why},
#include "sentry/syscall/table.def"
#undef SYSCALL
#undef ABSENT
};

const char *
syscall_name(unsigned nr)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].nr == nr)
			return rows[i].name;
	return NULL;
}

static const char *const words[] = {[FULL] = "full", [PARTIAL] = "partial", [ABSENT_] = "absent"};

static void
print_row(const struct row *r, bool markdown)
{
	const char *sep = *r->err ? ": " : "";

	if (markdown)
		printf("| %u | %s | %s | %s%s%s |\n", r->nr, r->name, words[r->status], r->err, sep,
			r->why);
	else
		printf("%3u  %-24s %-8s %s%s%s\n", r->nr, r->name, words[r->status], r->err, sep,
			r->why);
}

int
cmd_syscalls(int argc, char **argv)
{
	bool markdown = argc == 2 && strcmp(argv[1], "--markdown") == 0;
	unsigned count[3] = {0};

	if (argc > 1 && !markdown && strcmp(argv[1], "--help") != 0)
		return complain(
			"syscalls: takes no argument but --markdown, but got \"%s\"", argv[1]);
	if (argc > 1 && !markdown) {
		printf("usage: moat syscalls [--markdown]\n\nPrint number, name, status and "
		       "what is missing of each system call.\n\n"
		       "  --markdown               as the table of sentry/syscall/README.md\n");
		return 0;
	}
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		count[rows[i].status]++;
	if (markdown)
		printf("# System calls\n\nWhat `moat syscalls --markdown` prints. Partial: what is "
		       "missing is said, and refused. Absent: with which error it is refused, and "
		       "why.\n\n%u full, %u partial, %u absent.\n\n"
		       "| number | name | status | what is missing |\n|---|---|---|---|\n",
			count[FULL], count[PARTIAL], count[ABSENT_]);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		print_row(&rows[i], markdown);
	if (!markdown)
		printf("%u full, %u partial, %u absent\n", count[FULL], count[PARTIAL],
			count[ABSENT_]);
	return 0;
}
