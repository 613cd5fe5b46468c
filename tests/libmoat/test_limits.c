/* SPDX-License-Identifier: Apache-2.0 */
/* Each limit but that of memory, and its verdict. */
#include "expect.h"

static void
limits(void)
{
	struct moat_limits l = {0};
	struct moat_result r;

	expect("exit 0", l, MOAT_OK);
	expect("exit 1", l, MOAT_EXIT_NONZERO);
	expect("kill -SEGV $$; sleep 5", l, MOAT_SIGNALED);
	l = (struct moat_limits){.cpu_ms = 300};
	expect("while :; do :; done", l, MOAT_LIMIT_CPU);
	/* All together: two that each use less, and one that has left the session. */
	expect("setsid sh -c 'while :; do :; done' & (while :; do :; done) & wait", l,
		MOAT_LIMIT_CPU);
	/* What short processes used counts. */
	expect("while :; do /bin/true; done", l, MOAT_LIMIT_CPU);
	expect("sleep 0.6", l, MOAT_OK);
	l = (struct moat_limits){.wall_ms = 300};
	expect("sleep 100", l, MOAT_LIMIT_WALL);
	expect("exec >&- 2>&- <&-; sleep 100 & trap '' TERM INT HUP; wait", l, MOAT_LIMIT_WALL);
	l = (struct moat_limits){.output_bytes = 5000};
	expect("yes", l, MOAT_LIMIT_OUTPUT);
	expect("yes >&2", l, MOAT_LIMIT_OUTPUT);
	expect("yes & yes >&2 & wait", l, MOAT_LIMIT_OUTPUT);
	r = run(SHELL("head -c 5000 /dev/zero"), &l, NULL);
	CHECK_INT(r.verdict, MOAT_OK); /* as much as there may be */
	CHECK_INT(r.out_bytes, 5000);
	moat_result_free(&r);
	r = run(SHELL("head -c 5001 /dev/zero; exit 0"), &l, NULL);
	CHECK_INT(r.verdict, MOAT_LIMIT_OUTPUT);
	CHECK_INT(r.out_bytes, 5000);
	moat_result_free(&r);
	l = (struct moat_limits){.processes = 4};
	expect("for i in 1 2 3 4 5 6; do sleep 5 & done; wait", l, MOAT_LIMIT_PROCESSES);
	/* Refused, and nothing came of it. */
	expect("python3 -c 'import os\nfor i in range(9):\n try:\n  os.fork() or "
	       "os._exit(os.system(\"sleep "
	       "1\"))\n except OSError: pass'",
		l, MOAT_OK);
	l = (struct moat_limits){.file_bytes = 100000};
	expect("head -c 200000 /dev/zero >/tmp/x", l, MOAT_LIMIT_FILE);
	expect("ulimit -f unlimited; head -c 200000 /dev/zero >/tmp/x", l, MOAT_LIMIT_FILE);
	expect("head -c 100000 /dev/zero >/tmp/x", l, MOAT_OK);
}

int
main(void)
{
	struct own before = own_now();

	limits();
	own_check(before);
	return 0;
}
