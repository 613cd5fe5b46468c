/* SPDX-License-Identifier: Apache-2.0 */
/* moat syscalls: the compatibility table, from the same rows as the dispatcher. */
#include "moat.h"
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

int
cmd_syscalls(int argc, char **argv)
{
	static const char *const words[] = {
		[FULL] = "full", [PARTIAL] = "partial", [ABSENT_] = "absent"};
	unsigned count[3] = {0};

	if (argc > 1 && strcmp(argv[1], "--help") != 0)
		return complain("syscalls: takes no argument, but got \"%s\"", argv[1]);
	if (argc > 1) {
		printf("usage: moat syscalls\n\nPrint number, name, status and what is missing of "
		       "each system call.\n");
		return 0;
	}
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *r = &rows[i];

		count[r->status]++;
		if (r->status == ABSENT_)
			printf("%3u  %-24s %-8s %s: %s\n", r->nr, r->name, words[r->status], r->err,
				r->why);
		else
			printf("%3u  %-24s %-8s %s\n", r->nr, r->name, words[r->status], r->why);
	}
	printf("%u full, %u partial, %u absent\n", count[FULL], count[PARTIAL], count[ABSENT_]);
	return 0;
}
