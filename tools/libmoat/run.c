/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, verdicts, and all in one call; see moat/run.h. */
#include "moat/run.h"
#include "internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define GRACE_MS 10000 /* for the sandbox to end what is beyond wall_ms */

const char *
moat_verdict_name(enum moat_verdict v)
{
	static const char *const names[] = {
		[MOAT_OK] = "OK",
		[MOAT_LIMIT_CPU] = "CPU time",
		[MOAT_LIMIT_WALL] = "wall time",
		[MOAT_LIMIT_MEMORY] = "memory",
		[MOAT_LIMIT_OUTPUT] = "output",
		[MOAT_LIMIT_PROCESSES] = "processes",
		[MOAT_LIMIT_FILE] = "file size",
		[MOAT_EXIT_NONZERO] = "exit status",
		[MOAT_SIGNALED] = "signal",
	};

	return (size_t)v < sizeof names / sizeof names[0] ? names[v] : "unknown";
}

int
moat_verdict(const struct moat_sandbox *s, enum moat_verdict *ret, unsigned *limits_met)
{
	const struct end *e = &s->end;

	if (!e->known)
		return -EAGAIN;
	if (e->limit)
		*ret = (enum moat_verdict)e->limit;
	else if (e->status == 0)
		*ret = MOAT_OK;
	else if (e->limits_met & 1u << MOAT_LIMIT_PROCESSES)
		*ret = MOAT_LIMIT_PROCESSES;
	else if (e->limits_met & 1u << MOAT_LIMIT_FILE)
		*ret = MOAT_LIMIT_FILE;
	else
		*ret = WIFSIGNALED(e->status) ? MOAT_SIGNALED : MOAT_EXIT_NONZERO;
	if (limits_met)
		*limits_met = e->limits_met;
	return 0;
}

int
moat_start_io(const struct moat_config *c, const struct moat_io *io, struct moat_sandbox **ret,
	struct moat_error *err)
{
	struct moat_config with = *c;
	struct streams *st;
	int r = streams_open(io, &with, &st);

	if (r < 0)
		return error_set(err, r, "cannot make the streams: %s", strerror(-r));
	r = moat_start(&with, ret, err);
	streams_given(st);
	if (r < 0)
		streams_free(st);
	else
		(*ret)->streams = st;
	return r;
}

int
moat_output(const struct moat_sandbox *s, int stream, const char **ret, size_t *ret_bytes)
{
	return streams_output(s->streams, stream, ret, ret_bytes);
}

int
moat_run(const struct moat_config *c, const struct moat_limits *limits, const struct moat_io *io,
	struct moat_result *ret, struct moat_error *err)
{
	static const struct moat_limits none;
	struct moat_config with = *c;
	struct moat_result res = {.out_bytes = 0};
	struct moat_sandbox *s;
	uint64_t ms;
	int r;

	with.limits = limits = limits ? limits : &none;
	with.killable = true;
	r = moat_start_io(&with, io, &s, err);
	if (r < 0)
		return r;
	ms = limits->wall_ms ? limits->wall_ms + GRACE_MS : 0;
	r = moat_wait_timeout(s, ms && ms < INT32_MAX ? (int)ms : -1, &res.status, err);
	if (r == 0 && ((r = streams_take(s->streams, 1, &res.out, &res.out_bytes)) < 0 ||
			      (r = streams_take(s->streams, 2, &res.err, &res.err_bytes)) < 0))
		error_set(err, r, "out of memory");
	if (r == 0) {
		(void)moat_verdict(s, &res.verdict, &res.limits_met);
		(void)moat_rusage(s, &res.usage);
		*ret = res;
	} else {
		moat_result_free(&res);
	}
	moat_destroy(s);
	return r;
}

void
moat_result_free(struct moat_result *r)
{
	free(r->out);
	free(r->err);
	r->out = r->err = NULL;
	r->out_bytes = r->err_bytes = 0;
}
