/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trace: what tasks do, made once, from the table's argument kinds, and told in two ways: as
 * lines that look like strace's, to a descriptor that may outlive everybody but the sandbox; and as
 * events (moat/trace.h), one packet each, to the host program. A task waits until its event was
 * taken: no event is lost.
 */
#ifndef SENTRY_SYSCALL_TRACE_H
#define SENTRY_SYSCALL_TRACE_H

#include <stdbool.h>
#include <stdint.h>

struct program;
struct sc_row;
struct task;

#define TRACE_CALLS_WORDS 8 /* a bit for each number below SC_MAX */

struct trace_config {
	int text_fd; /* -1: none; owned by the trace */
	int events;  /* a socket, -1: none; the same */
	uint32_t kinds;
	bool all_calls; /* events of all calls; else of those in calls */
	uint64_t calls[TRACE_CALLS_WORDS];
};

/* After the scheduler's. -errno. */
int trace_init(const struct trace_config *c);
/* Must every call come to the sentry? */
bool trace_watches(void);
extern bool trace_is_on; /* anything to tell of calls */

/* The arguments, before the call; row NULL: there is no call nr. Park. */
void trace_enter(struct task *t, const struct sc_row *row, uint32_t nr, const uint64_t a[6]);
void trace_exit(
	struct task *t, const struct sc_row *row, uint32_t nr, const uint64_t a[6], int64_t result);

/* Events only: t begins; runs p; t, the last of its process, ends, and so does that. From its own
 * fiber, with no lock held. Park. */
void trace_new(struct task *t);
void trace_exec(struct task *t, const struct program *p);
void trace_end(struct task *t, int status);

#endif
