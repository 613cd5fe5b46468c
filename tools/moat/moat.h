/* SPDX-License-Identifier: Apache-2.0 */
/* The CLI's own: options that several commands share, and how a sandbox is run in the foreground.
 */
#ifndef TOOLS_MOAT_MOAT_H
#define TOOLS_MOAT_MOAT_H

#include "moat/moat.h"
#include <stdbool.h>
#include <stddef.h>

struct command {
	const char *name;
	const char *what;		   /* one line for --help */
	int (*run)(int argc, char **argv); /* argv[0] is the command's name; exit status */
};

int cmd_do(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_create(int argc, char **argv);
int cmd_start(int argc, char **argv);
int cmd_state(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_kill(int argc, char **argv);
int cmd_delete(int argc, char **argv);
int cmd_exec(int argc, char **argv);
int cmd_update(int argc, char **argv);
int cmd_events(int argc, char **argv);
int cmd_pause(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_spec(int argc, char **argv);
int cmd_features(int argc, char **argv);
/* cmd_syscalls.c: a system call's name, or NULL. */
const char *syscall_name(unsigned nr);
int cmd_logs(int argc, char **argv);
int cmd_top(int argc, char **argv);
int cmd_debug(int argc, char **argv);
int cmd_install(int argc, char **argv);
int cmd_uninstall(int argc, char **argv);
int cmd_syscalls(int argc, char **argv);

extern const char *global_root; /* --root in front of the command, or NULL */

#define EXIT_SANDBOX 125 /* moat itself failed, as opposed to the program */
extern int exit_failure; /* what a failure of this command ends with: 125 of `do`, else as runc */

/* Say why on stderr, with the name of the program in front, and in --log; returns exit_failure. */
int complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What works, but not as asked for: in --log, or on stderr without it. */
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Why something of a sandbox's cannot be made; returns -code. */
int refuse(struct moat_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A program beside moat-sentry: its path, or -1. */
int find_program(const char *name, char *path, size_t cap);

/* Is this a user namespace, or somebody else than root? */
bool rootless(void);

/* A growing list of strings, NULL-terminated. Running out of memory ends the program. */
struct strings {
	const char **v;
	size_t n, cap;
};

void strings_add(struct strings *s, const char *str);
/* NAME=VALUE: replaces an older one of that name. */
void strings_set_env(struct strings *s, const char *assignment);
void strings_free(struct strings *s);
void *xcalloc(size_t n, size_t size);
/* p, which is not NULL. */
void *check_memory(void *p);
/* malloc'd */
char *print_text(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Options of every command that starts a sandbox. */
struct common {
	const char *platform, *network, *weaker, *debug_log, *trace, *overlay, *memory;
	bool trace_on, no_spin, no_rewrite, no_stub_answers, no_marshal;
	unsigned workers;
	struct moat_config *config;
	int trace_fd, log_fd;
	char libexec[4096];
};

extern const char common_help[];

/* If argv[*i] is one of them, take it (and its value) and advance *i: 1. 0: it is not. < 0: it is
 * wrong, and that was said. */
int common_option(struct common *c, int argc, char **argv, int *i);
/* Put what they say into c->config. 0, or an exit status (it was said). */
int common_apply(struct common *c);
/* The value of --name=VALUE or --name VALUE, if argv[*i] is that option; NULL if not. A missing
 * value: "" and *bad is set. */
const char *option_value(const char *name, int argc, char **argv, int *i, bool *bad);

/* Given before the command: the start of every command's own. */
extern struct common global_common;

/* Start, pass signals on, wait, clean up: the exit status of the program, 128 + n for a signal. */
int run_foreground(struct moat_config *c);

#endif
