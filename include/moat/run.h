/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of a sandbox, streams that are buffers, and one call that runs a program with both:
 *
 *	struct moat_limits l = {.cpu_ms = 1000, .wall_ms = 5000, .memory_bytes = 64 << 20,
 *		.processes = 1, .output_bytes = 1 << 20};
 *	struct moat_io io = {.input = text, .input_bytes = strlen(text)};
 *	struct moat_result r;
 *
 *	if (moat_run(&c, &l, &io, &r, &error) == 0) {
 *		printf("%s: %.*s\n", moat_verdict_name(r.verdict), (int)r.out_bytes, r.out);
 *		moat_result_free(&r);
 *	}
 *
 * No signal is raised or caught, nothing is kept between calls, and no thread is made but for
 * virtual files and a trace.
 */
#ifndef MOAT_RUN_H
#define MOAT_RUN_H

#include "moat/moat.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * What all programs of a sandbox may use together. 0: no limit. The sandbox's kernel sees to them,
 * so that no right of the caller's is needed and no fork, setsid or close gets round them.
 *
 * Beyond cpu_ms, wall_ms, memory_bytes and output_bytes all programs are killed. Beyond the others
 * a program gets an error, and may go on. With any of them, all are killed as for `processes` where
 * one has made processes by other ways than the sandbox's kernel.
 */
struct moat_limits {
	/* CPU time of the programs and of the sandbox's kernel for them. Noticed within some 2 ms.
	 */
	uint64_t cpu_ms;
	/* Time since the first program's start. */
	uint64_t wall_ms;
	/* What the programs have of their own (not the files that they map) with its page tables,
	 * what is in files in memory (tmpfs, shared memory, overlays), and what the sandbox's
	 * kernel has come to need. It is looked at every 2 to 20 ms, the more often the less is
	 * left, and once more before a program of more than 8 MiB ends; in between a program can go
	 * beyond by what it can touch in 2 ms (some MiB). Pages that processes share after a fork
	 * count once. */
	uint64_t memory_bytes;
	/* How many there can be at once, threads included; fork fails with EAGAIN beyond it. */
	uint64_t processes;
	/* What is written to the streams (and extra_fds) that the sandbox was given, together. That
	 * many are written; the next one ends the sandbox. */
	uint64_t output_bytes;
	/* How large a file can become (RLIMIT_FSIZE, which nobody inside can raise). */
	uint64_t file_bytes;
};

enum moat_verdict {
	MOAT_OK, /* it ended with status 0 */
	/* it was killed for that; or, of PROCESSES and FILE, failed after it met them */
	MOAT_LIMIT_CPU,
	MOAT_LIMIT_WALL,
	MOAT_LIMIT_MEMORY,
	MOAT_LIMIT_OUTPUT,
	MOAT_LIMIT_PROCESSES,
	MOAT_LIMIT_FILE,
	MOAT_EXIT_NONZERO, /* it ended with another status */
	MOAT_SIGNALED,	   /* a signal ended it */
};
/* "OK", "CPU time", ...; a constant. */
MOAT_API const char *moat_verdict_name(enum moat_verdict v);

/* Of a sandbox whose first program has ended (moat_wait): what to say of it. limits_met, if not
 * NULL: bit n is set when limit n of enum moat_verdict was met, whether or not it mattered.
 * -EAGAIN: it has not ended. */
MOAT_API int moat_verdict(
	const struct moat_sandbox *s, enum moat_verdict *ret, unsigned *limits_met);

/* --- streams that are buffers --- */

struct moat_io {
	/* What the program reads; copied. NULL: nothing. */
	const void *input;
	size_t input_bytes;
	/* Bit n: standard stream n is stdio[n] of the configuration, not a buffer. */
	unsigned pass;
	bool merge; /* its standard error goes where its standard output does */
};

/* As moat_start and moat_spawn; io NULL: as {0}. What the program writes is taken when somebody
 * waits for it (moat_wait, moat_wait_timeout, moat_process_wait); until then it waits when it has
 * written as much as a pipe holds. What is written after its end by others is lost. */
MOAT_API int moat_start_io(const struct moat_config *c, const struct moat_io *io,
	struct moat_sandbox **ret, struct moat_error *err);
MOAT_API int moat_spawn_io(struct moat_sandbox *s, const struct moat_config *c,
	const struct moat_io *io, struct moat_process **ret, struct moat_error *err);

/* What it has written so far to stream 1 or 2, with a NUL behind; borrowed until the next call for
 * s or p. -EINVAL: that stream is not a buffer. */
MOAT_API int moat_output(
	const struct moat_sandbox *s, int stream, const char **ret, size_t *ret_bytes);
MOAT_API int moat_process_output(
	const struct moat_process *p, int stream, const char **ret, size_t *ret_bytes);

/* --- all in one --- */

struct moat_result {
	enum moat_verdict verdict;
	int status;	     /* as wait(2) has it */
	unsigned limits_met; /* as moat_verdict gives it */
	struct moat_rusage usage;
	char *out, *err; /* what it wrote, with a NUL behind; never NULL */
	size_t out_bytes, err_bytes;
};

/*
 * Start a program in a sandbox of its own, wait until it ends or is killed, and end the sandbox.
 * limits, io: may be NULL. c->limits is not looked at, and c->killable is taken for true. Blocks;
 * other threads can do the same. With no output_bytes the program can fill the caller's memory. 0:
 * *ret is filled, to be freed by moat_result_free. Else -errno as of moat_start and moat_wait, and
 * *ret is untouched. -ETIMEDOUT: the sandbox itself did not end some seconds after wall_ms.
 */
MOAT_API int moat_run(const struct moat_config *c, const struct moat_limits *limits,
	const struct moat_io *io, struct moat_result *ret, struct moat_error *err);
MOAT_API void moat_result_free(struct moat_result *r);

#ifdef __cplusplus
}
#endif
#endif
