/* SPDX-License-Identifier: Apache-2.0 */
/* ptrace(2): attached and seized tracees, group stops, tracers that end, who may, emulated and
 * interrupted calls. */
#include "tracer.h"

static void
sleeper(void)
{
	for (;;)
		sleep_ms(50);
}

static void
group_stop(void)
{
	printf("--- group stop\n");
	start(traced);
	wait_show("SIGSTOP");
	ptrace(PTRACE_CONT, child, 0, SIGSTOP);
	wait_show("group stop");
	show_siginfo();
	ptrace(PTRACE_CONT, child, 0, 0);
	wait_show("end");
}

static void
attach(void)
{
	char line[200], path[64];
	FILE *f;

	printf("--- attach\n");
	SHOW(ptrace(PTRACE_ATTACH, getpid(), 0, 0));
	SHOW(ptrace(PTRACE_ATTACH, 999999, 0, 0));
	start(sleeper);
	sleep_ms(100);
	SHOW(ptrace(PTRACE_GETREGS, child, 0, line));
	SHOW(ptrace(PTRACE_ATTACH, child, 0, 0));
	wait_show("attached");
	show_siginfo();
	SHOW(ptrace(PTRACE_ATTACH, child, 0, 0));
	snprintf(path, sizeof path, "/proc/%d/status", child);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof line, f)) {
		int n;

		if (!strncmp(line, "State", 5))
			printf("%s", line);
		if (sscanf(line, "TracerPid: %d", &n) == 1)
			printf("TracerPid is mine: %d\n", n == getpid());
	}
	fclose(f);
	SHOW(ptrace(PTRACE_INTERRUPT, child, 0, 0));
	SHOW(ptrace(PTRACE_LISTEN, child, 0, 0));
	SHOW(ptrace(PTRACE_DETACH, child, 0, 0));
	SHOW(ptrace(PTRACE_DETACH, child, 0, 0));
	sleep_ms(100);
	SHOW(ptrace(PTRACE_ATTACH, child, 0, 0));
	wait_show("attached again");
	kill(child, SIGKILL);
	wait_show("end");
}

/* The call that every thread makes again and again. */
static void
napper(void)
{
	struct timespec ts = {0, 20000000};

	for (;;) {
		long r;

		__asm__ volatile("syscall\n"
				 "cmpq $-4095, %%rax"
				 : "=a"(r)
				 : "0"(SYS_nanosleep), "D"(&ts), "S"(NULL)
				 : "rcx", "r11", "memory");
	}
}

static void
step_attached(void)
{
	printf("--- steps of one that was attached in a call\n");
	start(napper);
	sleep_ms(300);
	SHOW(ptrace(PTRACE_ATTACH, child, 0, 0));
	wait_show("attached");
	for (int i = 0; i < 4; i++) {
		SHOW(ptrace(PTRACE_SINGLESTEP, child, 0, 0));
		wait_show("step");
	}
	kill(child, SIGKILL);
	wait_show("end");
}

static void
seize(void)
{
	int st;

	printf("--- seize\n");
	start(sleeper);
	sleep_ms(100);
	SHOW(ptrace(PTRACE_SEIZE, child, 5, 0));
	SHOW(ptrace(PTRACE_SEIZE, child, 0, 1 << 30));
	SHOW(ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD));
	SHOW(waitpid(child, &st, WNOHANG | __WALL));
	SHOW(ptrace(PTRACE_GETREGS, child, 0, &st));
	SHOW(ptrace(PTRACE_INTERRUPT, child, 0, 0));
	wait_show("interrupted");
	show_siginfo();
	ptrace(PTRACE_CONT, child, 0, 0);
	kill(child, SIGSTOP);
	wait_show("SIGSTOP");
	ptrace(PTRACE_CONT, child, 0, SIGSTOP);
	wait_show("group stop");
	show_siginfo();
	SHOW(ptrace(PTRACE_LISTEN, child, 0, 0));
	SHOW(waitpid(child, &st, WNOHANG | __WALL));
	SHOW(ptrace(PTRACE_GETREGS, child, 0, &st));
	kill(child, SIGCONT);
	wait_show("listening, SIGCONT");
	ptrace(PTRACE_CONT, child, 0, 0);
	wait_show("SIGCONT itself");
	ptrace(PTRACE_CONT, child, 0, SIGCONT);
	SHOW(ptrace(PTRACE_INTERRUPT, child, 0, 0));
	wait_show("interrupted");
	SHOW(ptrace(PTRACE_DETACH, child, 0, 0));
	kill(child, SIGTERM);
	wait_show("end");
}

/* The tracer ends: EXITKILL, or its tracee goes on. */
static void
tracer_dies(int kill_too)
{
	int st, p[2];
	pid_t tracer;
	char c;

	printf("--- the tracer ends (%d)\n", kill_too);
	pipe(p);
	start(sleeper);
	tracer = fork();
	if (!tracer) {
		ptrace(PTRACE_SEIZE, child, 0, kill_too ? PTRACE_O_EXITKILL : 0);
		ptrace(PTRACE_INTERRUPT, child, 0, 0);
		waitpid(child, &st, __WALL);
		write(p[1], "x", 1);
		_exit(0);
	}
	read(p[0], &c, 1);
	waitpid(tracer, &st, 0);
	show_status("tracer", st);
	if (!kill_too) {
		sleep_ms(100);
		printf("still there: %d\n", waitpid(child, &st, WNOHANG) == 0);
		kill(child, SIGKILL);
	}
	wait_show("end");
}

/* Traced by one that is not its parent: the tracer sees the end first, then the parent. */
static void
not_the_parent(void)
{
	int st;
	pid_t tracer;

	printf("--- not the parent\n");
	start(sleeper);
	fflush(stdout);
	tracer = fork();
	if (!tracer) {
		SHOW(ptrace(PTRACE_ATTACH, child, 0, 0));
		wait_show("tracer");
		kill(child, SIGKILL);
		wait_show("tracer");
		SHOW(waitpid(child, &st, __WALL));
		fflush(stdout);
		_exit(0);
	}
	waitpid(tracer, &st, 0);
	wait_show("parent");
}

static void
rights(void)
{
	pid_t p;

	printf("--- rights\n");
	start(sleeper);
	fflush(stdout);
	p = fork();
	if (!p) {
		setuid(65534);
		SHOW(ptrace(PTRACE_ATTACH, child, 0, 0));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, NULL, 0);
	kill(child, SIGKILL);
	wait_show("end");
}

/* --- SYSEMU, and a read that is cut short --- */

static void
sysemu_child(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	long r = syscall(SYS_getppid);
	_exit(r == 66 ? 0 : 1);
}

static void
sysemu(void)
{
	struct user_regs_struct r;

	printf("--- sysemu\n");
	start(sysemu_child);
	wait_show("start");
	ptrace(PTRACE_SYSCALL, child, 0, 0);
	wait_show("exit of raise");
	ptrace(PTRACE_SYSEMU, child, 0, 0);
	for (int i = 0; i < 10; i++) {
		wait_show("call");
		ptrace(PTRACE_GETREGS, child, 0, &r);
		printf("nr %llu\n", r.orig_rax);
		if (r.orig_rax == SYS_getppid)
			break;
		r.rax = 0;
		ptrace(PTRACE_SETREGS, child, 0, &r);
		ptrace(PTRACE_SYSEMU, child, 0, 0);
	}
	r.rax = 66;
	ptrace(PTRACE_SETREGS, child, 0, &r);
	ptrace(PTRACE_CONT, child, 0, 0);
	wait_show("end");
}

static int rp[2];

static void
reader(void)
{
	char c;
	ssize_t n = read(rp[0], &c, 1);

	_exit(n == 1 ? c : 99);
}

static void
interrupted_read(void)
{
	struct user_regs_struct r;

	printf("--- interrupted read\n");
	pipe(rp);
	start(reader);
	until_in(SYS_read);
	ptrace(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD);
	ptrace(PTRACE_INTERRUPT, child, 0, 0);
	wait_show("interrupted");
	ptrace(PTRACE_GETREGS, child, 0, &r);
	printf("nr %lld rax %lld\n", (long long)r.orig_rax, (long long)r.rax);
	ptrace(PTRACE_SYSCALL, child, 0, 0);
	wait_show("restarted");
	ptrace(PTRACE_GETREGS, child, 0, &r);
	printf("nr %lld rax %lld\n", (long long)r.orig_rax, (long long)r.rax);
	ptrace(PTRACE_CONT, child, 0, 0);
	write(rp[1], "\x15", 1);
	wait_show("end");
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 65536);
	group_stop();
	attach();
	step_attached();
	seize();
	tracer_dies(0);
	tracer_dies(1);
	not_the_parent();
	rights();
	sysemu();
	interrupted_read();
	return 0;
}
