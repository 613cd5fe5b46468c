/* SPDX-License-Identifier: Apache-2.0 */
/* moat: the command line. Finds the subcommand; each has a file of its own. */
#include "moat.h"
#include "systemd.h"
#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct command commands[] = {
	{"do", "run a command on this machine's files, read-only underneath", cmd_do},
	{"run", "create and run a container from an OCI bundle", cmd_run},
	{"create", "create a container: its program is loaded, and waits", cmd_create},
	{"start", "let the program of a created container run", cmd_start},
	{"exec", "run another program in a container", cmd_exec},
	{"kill", "send a signal to a container", cmd_kill},
	{"delete", "remove a container that has ended", cmd_delete},
	{"update", "other limits for a container", cmd_update},
	{"events", "what a container uses, line by line", cmd_events},
	{"pause", "hold the programs of a container still", cmd_pause},
	{"resume", "let them go on", cmd_resume},
	{"state", "print the state of a container", cmd_state},
	{"list", "list containers", cmd_list},
	{"ps", "list the processes of a container", cmd_ps},
	{"top", "what each container uses, again and again", cmd_top},
	{"logs", "what a container has written, where that is kept", cmd_logs},
	{"debug", "what the processes of a container do, and what they have open", cmd_debug},
	{"spec", "write a config.json to begin with", cmd_spec},
	{"features", "print what this runtime can do, as JSON", cmd_features},
	{"install", "tell docker, podman and containerd of this runtime", cmd_install},
	{"uninstall", "take that back", cmd_uninstall},
	{"syscalls", "print which system calls are supported", cmd_syscalls},
};

const char *global_root;
struct common global_common;
static const char *log_path;
static bool log_json;

/* A line for the engine that called us, which reads why a command failed from --log. */
static void
log_line(const char *level, const char *text)
{
	char when[40];
	time_t now = time(NULL);
	struct tm tm;
	/* A FIFO that nobody reads is not waited for. */
	int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "a");

	if (!f)
		return;
	gmtime_r(&now, &tm);
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (log_json) {
		/* A text that is not UTF-8 (a file name) becomes one. */
		json_t *msg = json_string(text);
		json_t *o = json_pack("{ss so ss}", "level", level, "msg",
			msg ? msg : json_string("(a text that is not UTF-8)"), "time", when);

		json_dumpf(o, f, JSON_COMPACT);
		json_decref(o);
		fputc('\n', f);
	} else {
		fprintf(f, "time=\"%s\" level=%s msg=\"%s\"\n", when, level, text);
	}
	fclose(f);
}

/* One line, whatever names and texts of others are in it. */
static void
one_line(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if (*p < ' ' || *p == 127)
			*p = '?';
}

int
complain(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	one_line(text);
	fprintf(stderr, "moat: %s\n", text);
	if (log_path)
		log_line("error", text);
	return exit_failure;
}

void
warn(const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	one_line(text);
	if (log_path)
		log_line("warning", text);
	else
		fprintf(stderr, "moat: warning: %s\n", text);
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
	const char *v, *ignored = NULL;
	bool bad = false;
	int r;

	/* Options that engines put in front of the command. */
	while (argc >= 2 && argv[1][0] == '-') {
		int i = 1;

		if ((v = option_value("--root", argc, argv, &i, &bad)))
			global_root = v;
		else if ((v = option_value("--log", argc, argv, &i, &bad)))
			log_path = v;
		else if ((v = option_value("--log-format", argc, argv, &i, &bad))) {
			log_json = strcmp(v, "json") == 0;
			if (!log_json && strcmp(v, "text") != 0)
				return complain("--log-format: \"%s\" is neither json nor text", v);
		} else if ((v = option_value("--rootless", argc, argv, &i, &bad)) ||
			   (v = option_value("--criu", argc, argv, &i, &bad))) {
			ignored = v; /* seen from where it runs; and no checkpoints */
		} else if (strcmp(argv[1], "--systemd-cgroup") == 0 ||
			   strcmp(argv[1], "--systemd-cgroup=true") == 0) {
			systemd_cgroup = true;
			ignored = argv[1];
		} else if (strcmp(argv[1], "--debug") == 0 ||
			   strcmp(argv[1], "--systemd-cgroup=false") == 0) {
			ignored = argv[1];
		} else if ((r = common_option(&global_common, argc, argv, &i)) < 0) {
			return 1;
		} else if (r == 0)
			break;
		if (bad)
			return EXIT_SANDBOX;
		argv += i;
		argc -= i;
	}
	(void)ignored;
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
		if (strcmp(argv[1], commands[i].name) == 0) {
			if (commands[i].run != cmd_do && commands[i].run != cmd_syscalls)
				exit_failure = 1;
			return commands[i].run(argc - 1, argv + 1);
		}
	return complain("\"%s\" is not a command (see moat --help)", argv[1]);
}
