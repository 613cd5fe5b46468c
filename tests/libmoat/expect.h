/* SPDX-License-Identifier: Apache-2.0 */
/* moat_run, and a script whose verdict is known. */
#ifndef TESTS_LIBMOAT_EXPECT_H
#define TESTS_LIBMOAT_EXPECT_H

#include "config.h"
#include <moat/run.h>

static inline struct moat_result
run(const char *const *args, const struct moat_limits *l, const struct moat_io *io)
{
	struct moat_result r;
	struct moat_error err;
	struct moat_config c;

	config_for(&c, args);
	CHECK_MOAT(moat_run(&c, l, io, &r, &err), err);
	return r;
}

static inline void
expect(const char *script, struct moat_limits l, enum moat_verdict want)
{
	double before = seconds(), took;
	struct moat_result r;

	if (!l.wall_ms)
		l.wall_ms = 20000;
	r = run(SHELL(script), &l, NULL);
	took = seconds() - before;
	if (r.verdict != want) {
		printf("%s: %s, not %s; status %x, met %x, user %llu system %llu wall %llu ms, "
		       "memory %llu KiB; %s%s\n",
			script, moat_verdict_name(r.verdict), moat_verdict_name(want),
			(unsigned)r.status, r.limits_met,
			(unsigned long long)r.usage.user_ns / 1000000,
			(unsigned long long)r.usage.system_ns / 1000000,
			(unsigned long long)r.usage.wall_ns / 1000000,
			(unsigned long long)r.usage.memory_peak_bytes / 1024, r.out, r.err);
		exit(1);
	}
	if (want >= MOAT_LIMIT_CPU && want <= MOAT_LIMIT_FILE)
		CHECK(r.limits_met & 1u << want);
	if (want == MOAT_LIMIT_WALL)
		CHECK(r.usage.wall_ns >= l.wall_ms * 1000000 && took < (double)l.wall_ms / 1e3 + 8);
	if (want == MOAT_LIMIT_CPU)
		CHECK(r.usage.user_ns + r.usage.system_ns >= l.cpu_ms * 1000000);
	moat_result_free(&r);
}

#endif
