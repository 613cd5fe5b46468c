/* SPDX-License-Identifier: Apache-2.0 */
/* What round trips through an engine cost: platbench [ENGINE]
 * [no-rewrite|no-answers|no-spin|no-marshal]... The sentry's side is the toy kernel of the engine
 * tests. `make bench-platform` prints it for each configuration. */
#include "tests/platform/kern.h"
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double native;

static void
row(const char *name, double ns)
{
	printf("%-44s %9.0f ns %8.2f x getppid\n", name, ns, ns / native);
}

static void
bench(const char *name, long what, long n)
{
	double best = 1e18;

	for (int i = 0; i < 3; i++) {
		struct run *r = run_new(G_CASE_BENCH, what, n, (long)G_MEM);
		double t0 = now_ns(), t;

		if (!run_wait(r, 1)) {
			printf("%-44s failed\n", name);
			run_kill(r);
			run_join(r);
			return;
		}
		t = (now_ns() - t0) / (double)n;
		if (t < best)
			best = t;
		run_join(r);
	}
	row(name, best);
}

int
main(int argc, char **argv)
{
	struct plat_config cfg = {true, true, true, true};
	const char *engine = argc > 1 ? argv[1] : "trap";
	bool spin = true;
	long n = 200000;
	double t0;

	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], "no-rewrite") == 0)
			cfg.rewrite_sites = false;
		else if (strcmp(argv[i], "no-answers") == 0)
			cfg.stub_answers = false;
		else if (strcmp(argv[i], "no-spin") == 0)
			cfg.spin = spin = false;
		else if (strcmp(argv[i], "no-marshal") == 0)
			cfg.marshal = false;
	}
	t0 = now_ns();
	for (int i = 0; i < 1000000; i++)
		syscall(SYS_getppid);
	native = (now_ns() - t0) / 1e6;
	row("native getppid", native);
	if (strcmp(engine, "ptrace") == 0 || !spin)
		n = 10000;
	kern_inline_poll = strcmp(engine, "trap") == 0;
	kern_start(engine, &cfg, spin);
	bench("answered by the sentry, site mov+syscall", 0, n);
	bench("getpid, site mov+syscall", 1, n * 10);
	bench("getpid, site syscall+cmp", 8, n);
	bench("answered by the sentry, other site", 2, n / 10);
	bench("write 4 KiB", 3, n / 10);
	bench("read 4 KiB", 4, n / 10);
	bench("mmap 16 KiB, touch, munmap", 5, n / 20);
	bench("fork, exit, wait", 6, 200);
	bench("signal to self, handler, sigreturn", 7, n / 20);
	t0 = now_ns();
	for (int i = 0; i < 100; i++)
		run_join(run_new(0, 0, 0, 0));
	row("new space, load, exit", (now_ns() - t0) / 100);
	kern_stop();
	return 0;
}
