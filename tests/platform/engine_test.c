/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of an engine: engine_test ENGINE [no-rewrite|no-answers|no-spin|no-marshal]... One line per
 * case. */
#include "base/log.h"
#include "base/ref.h"
#include "tests/platform/kern.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static struct plat_config cfg = {true, true, true, true};
static const char *engine;
static char config[128] = "all";
static int failures;

static void
result(const char *name, bool ok)
{
	printf("%s - %s %s: %s\n", ok ? "ok" : "not ok", engine, config, name);
	fflush(stdout);
	failures += !ok;
}

#define EXPECT(r, key, want)                                                                       \
	do {                                                                                       \
		if (!run_has(r, key) || run_value(r, key) != (want)) {                             \
			printf("# %s:%d: report %d is %ld%s, not %ld\n", __func__, __LINE__, key,  \
				run_value(r, key), run_has(r, key) ? "" : " (missing)",            \
				(long)(want));                                                     \
			ok = false;                                                                \
		}                                                                                  \
	} while (0)

static void
finish(struct run *r, const char *name, bool ok)
{
	for (int i = 0; !ok && i < run_nevents(r) && i < 8; i++)
		printf("# event %d: kind %d signal %d code %d address %#lx\n", i,
			run_event(r, i)->kind, run_event(r, i)->fault.signo,
			run_event(r, i)->fault.code, (unsigned long)run_event(r, i)->fault.addr);
	if (run_gone(r)) {
		printf("# the process died\n");
		ok = false;
	}
	result(name, ok);
	run_join(r);
}

/* Reports can be read until the run is joined. */
static void
wait_end(struct run *r)
{
	for (int i = 0; i < 2000 && run_alive(r); i++)
		usleep(5000);
}

static void
test_calls(void)
{
	struct run *r = run_new(G_CASE_CALLS, 3000, 0, 0);
	bool ok = true;

	wait_end(r);
	EXPECT(r, 1, 0);
	EXPECT(r, 2, 1234);
	EXPECT(r, 3, 77);
	EXPECT(r, 4, -ENOSYS);
	EXPECT(r, 5, 0);
	EXPECT(r, 6, 0);
	finish(r, "calls, registers and flags", ok);
}

static void
test_carry(void)
{
	struct run *r = run_new(G_CASE_CARRY, (long)G_MEM, 0, 0);
	bool ok = true;

	wait_end(r);
	EXPECT(r, 1, 0);
	EXPECT(r, 2, -EFAULT);
	EXPECT(r, 3, -EFAULT);
	EXPECT(r, 4, 200000);
	EXPECT(r, 5, 200000);
	EXPECT(r, 6, 0);
	EXPECT(r, 7, 3);
	EXPECT(r, 8, -EFAULT);
	EXPECT(r, 9, 7);
	EXPECT(r, 10, 5);
	EXPECT(r, 11, 9);
	finish(r, "memory in and out", ok);
}

static void
test_map(void)
{
	struct run *r = run_new(G_CASE_MAP, 0, 0, 0);
	bool ok = true;

	wait_end(r);
	EXPECT(r, 1, 0);
	EXPECT(r, 2, 0);
	EXPECT(r, 3, 0);
	finish(r, "map, protect, unmap, files", ok);
}

static void
test_fork(void)
{
	struct run *r = run_new(G_CASE_FORK, (long)G_MEM, 0, 0);
	bool ok = true;

	wait_end(r);
	if (run_has(r, 1))
		ok = false;
	EXPECT(r, 2, 2);
	EXPECT(r, 3, 2);
	EXPECT(r, 4, 1);
	EXPECT(r, 5, 1);
	finish(r, "fork", ok);
}

static void
test_threads(void)
{
	struct run *r = run_new(G_CASE_THREADS, (long)G_MEM, 0, 0);
	bool ok = true;

	wait_end(r);
	EXPECT(r, 1, 0);
	if (run_has(r, 9))
		ok = false;
	finish(r, "threads, TLS and futexes", ok);
}

static void
test_signal(void)
{
	struct run *r = run_new(G_CASE_SIGNAL, (long)G_MEM, 0, 0);
	bool ok = true;

	wait_end(r);
	EXPECT(r, 1, 0);
	EXPECT(r, 2, 120);
	EXPECT(r, 3, 10);
	EXPECT(r, 4, 11);
	if (run_nevents(r) < 2 || run_event(r, 0)->fault.signo != SIGSEGV ||
		run_event(r, 1)->fault.signo != SIGILL)
		ok = false;
	finish(r, "signal frames and FPU state", ok);
}

/* Are int 0x80 calls, on this host? Asked before there is an engine, which waits for any child. */
static bool host_has_compat;

static bool
ask_for_compat(void)
{
	pid_t p = fork();
	int st;

	if (p == 0) {
		int r;

		__asm__ volatile("int $0x80" : "=a"(r) : "a"(20) : "memory"); /* getpid */
		_exit(0);
	}
	return p > 0 && waitpid(p, &st, 0) == p && st == 0;
}

static void
test_faults(void)
{
	struct run *r = run_new(G_CASE_FAULTS, 0, 0, 0);
	static const int want[] = {SIGSEGV, SIGILL, SIGTRAP, SIGFPE};
	bool ok = true;

	wait_end(r);
	for (int i = 0; i < 4; i++)
		if (run_nevents(r) <= i || run_event(r, i)->kind != PLAT_EV_FAULT ||
			run_event(r, i)->fault.signo != want[i]) {
			printf("# event %d\n", i);
			ok = false;
		}
	if (ok && (run_event(r, 0)->fault.addr != 0x1234000 ||
			  (strcmp(engine, "trap") == 0 && !(run_event(r, 0)->fault.err & 2))))
		ok = false;
	if (run_nevents(r) < 5 ||
		(host_has_compat ? run_event(r, 4)->kind != PLAT_EV_SYSCALL ||
					   run_event(r, 4)->nr != 20
				 : run_event(r, 4)->kind != PLAT_EV_FAULT ||
					   run_event(r, 4)->fault.signo != SIGSEGV)) {
		printf("# int 0x80 was not seen\n");
		ok = false;
	}
	EXPECT(r, 3, -ENOSYS);
	finish(r, "faults, int 0x80 and x32", ok);
}

static bool
wait_event(struct run *r, int n)
{
	for (int i = 0; i < 2000 && run_nevents(r) < n; i++)
		usleep(5000);
	return run_nevents(r) >= n;
}

static void
test_kick(long which, const char *name)
{
	struct run *r = run_new(which, (long)G_MEM, 0, 0);
	bool ok = run_wait(r, 1);
	long one = 1;

	for (int i = 0; ok && i < 20; i++) {
		if (i % 3 == 0)
			usleep(2000);
		run_kick(r);
		ok = wait_event(r, i + 1 < 20 ? i + 1 : 20);
		if (!ok)
			printf("# kick %d was lost\n", i);
	}
	if (ok && run_poke(r, G_MEM, &one, sizeof one) != 0)
		ok = false;
	if (!ok)
		run_kill(r);
	wait_end(r);
	EXPECT(r, 2, 2);
	finish(r, name, ok);
}

static void
test_futex(void)
{
	struct run *r = run_new(G_CASE_FUTEX, (long)G_MEM, 0, 0);
	bool ok = run_wait(r, 1);

	/* One that comes before the guest waits interrupts nothing. */
	for (int i = 0; i < 2000 && run_alive(r) && !run_has(r, 2); i++) {
		usleep(20000);
		run_kick(r);
	}
	wait_end(r);
	EXPECT(r, 2, -EINTR);
	EXPECT(r, 3, -EAGAIN);
	if (!ok)
		run_kill(r);
	finish(r, "a kick interrupts a futex", ok);
}

static void
test_killed(void)
{
	struct run *r = run_new(G_CASE_SPIN, (long)G_MEM, 0, 0);
	bool ok = run_wait(r, 1);

	run_kill_host(r);
	wait_end(r);
	if (run_gone(r) != 1 || run_told(r) != 1)
		ok = false;
	result("a killed process is noticed", ok);
	run_join(r);
}

static bool
still_works(void)
{
	struct run *r = run_new(G_CASE_CALLS, 100, 0, 0);
	bool ok;

	wait_end(r);
	ok = run_has(r, 5) && run_value(r, 5) == 0;
	run_join(r);
	return ok;
}

/* Somebody who writes over his slot may lose his process and nothing else. */
static void
test_scribble(uint64_t slot)
{
	bool ok = true;

	for (int i = 0; i < 5 && ok; i++) {
		struct run *r = run_new(G_CASE_SCRIBBLE, (long)slot, 0, 0);

		run_wait(r, 1);
		ok = still_works();
		usleep(20000);
		run_kill(r);
		for (int k = 0; k < 200 && run_alive(r); k++)
			usleep(5000);
		if (run_alive(r)) /* it keeps the kick from its handler */
			run_kill_host(r);
		run_join(r);
	}
	result("scribbling over the slot", ok && still_works());
}

static void
test_jump(uint64_t text, unsigned long nr_first, unsigned long nr_last)
{
	unsigned char code[0x4000];
	struct run *probe = run_new(G_CASE_SPIN, (long)G_MEM, 0, 0);
	bool ok = run_wait(probe, 1) && run_peek(probe, code, text, sizeof code) == 0;
	int n = 0;

	for (size_t i = 0; ok && i + 1 < sizeof code; i++) {
		if (code[i] != 0x0f || code[i + 1] != 0x05)
			continue;
		for (unsigned long nr = nr_first; nr <= nr_last; nr += 1 + (nr > 60) * 17) {
			struct run *r = run_new(G_CASE_JUMP, (long)(text + i), (long)nr, 0);

			for (int k = 0; k < 40 && run_alive(r); k++)
				usleep(500);
			if (run_alive(r)) {
				run_kill(r);
				for (int k = 0; k < 20 && run_alive(r); k++)
					usleep(1000);
				if (run_alive(r))
					run_kill_host(r);
			}
			run_join(r);
			n++;
		}
		if (n > 400)
			break;
	}
	run_kill(probe);
	run_join(probe);
	result("jumping to the stub's system calls", ok && n > 0 && still_works());
}

/* Spaces that are copies of one that has not run, while it is there and after it. */
static void
test_copies(void)
{
	struct plat_thread *from;
	struct run *r;
	bool ok = plat->space_new(NULL, NULL, &from) == 0;
	int pid = ok ? plat->host_pid(from) : 0;

	if (!ok) {
		result("copies of a space", false);
		return;
	}
	kern_from = from;
	ok = still_works() && still_works();
	r = run_new(G_CASE_SPIN, (long)G_MEM, 0, 0);
	ok = ok && run_wait(r, 1);
	plat->thread_exit(from, 0);
	kern_from = NULL;
	for (int i = 0; i < 2000 && kill(pid, 0) == 0; i++)
		usleep(5000);
	ok = ok && kill(pid, 0) < 0 && run_alive(r) && still_works();
	run_kill(r);
	run_join(r);
	result("copies of a space", ok);
}

int
main(int argc, char **argv)
{
	bool spin = true;

	engine = argc > 1 ? argv[1] : "trap";
	for (int i = 2; i < argc; i++) {
		snprintf(config, sizeof config, "%s", argv[i]);
		if (strcmp(argv[i], "no-rewrite") == 0)
			cfg.rewrite_sites = false;
		else if (strcmp(argv[i], "no-answers") == 0)
			cfg.stub_answers = false;
		else if (strcmp(argv[i], "no-spin") == 0)
			cfg.spin = spin = false;
		else if (strcmp(argv[i], "no-marshal") == 0)
			cfg.marshal = false;
		else if (strcmp(argv[i], "debug") == 0)
			log_level = LOG_DEBUG;
	}
	host_has_compat = ask_for_compat();
	kern_start(engine, &cfg, spin);
	test_calls();
	test_carry();
	test_map();
	test_fork();
	test_threads();
	test_signal();
	test_faults();
	test_kick(G_CASE_SPIN, "kick of a busy guest");
	/* Were the first of them not answered, nobody else might ever look. */
	if (strcmp(engine, "trap") == 0)
		result("who sleeps hears of a kick", kern_looks_again() > 0);
	test_kick(G_CASE_SPIN_CALLS, "kick of a guest that calls");
	test_futex();
	test_killed();
	test_copies();
	if (strcmp(engine, "trap") == 0) {
		uint64_t base = plat->guest_top() + 0x10000;

		test_scribble(base + 0x200000);
		test_jump(base, 0, 320);
	}
	kern_stop();
	result("nothing is left behind", atomic_load(&live_count[LIVE_PLAT_THREAD]) == 0 &&
						 atomic_load(&live_count[LIVE_PLAT_SPACE]) == 0);
	return failures != 0;
}
