/* SPDX-License-Identifier: Apache-2.0 */
/* moat: the command line. Finds the subcommand; each has a file of its own. */
#include "moat.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct command commands[] = {
	{"do", "run a command on this machine's files, read-only underneath", cmd_do},
	{"run", "create and run a container from an OCI bundle, in the foreground", cmd_run},
	{"syscalls", "print which system calls are supported", cmd_syscalls},
};

int
complain(const char *fmt, ...)
{
	va_list ap;

	fputs("moat: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_SANDBOX;
}

static int
usage(FILE *f)
{
	fputs("usage: moat COMMAND [OPTIONS] ...\n\ncommands:\n", f);
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		fprintf(f, "  %-10s %s\n", commands[i].name, commands[i].what);
	fputs("\nmoat COMMAND --help says more; moat --version prints the version.\n", f);
	return f == stdout ? 0 : EXIT_SANDBOX;
}

int
main(int argc, char **argv)
{
	if (argc < 2)
		return usage(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
		strcmp(argv[1], "help") == 0)
		return usage(stdout);
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0) {
		printf("moat version %s\nspec: 1.0.2\n", moat_version());
		return 0;
	}
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return complain("\"%s\" is not a command (see moat --help)", argv[1]);
}
