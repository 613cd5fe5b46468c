/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a hostile guest that goes for the trap engine's stub: where it is, and jumps into it.
 */
#ifndef HOSTILE_STUB_H
#define HOSTILE_STUB_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void
sleep_ms(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	nanosleep(&ts, NULL);
}

/* --- where the stub is --- */

static sigjmp_buf out;

static void
leave(int signo)
{
	siglongjmp(out, signo);
}

static void
catch_all(void)
{
	static char stack[65536];
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
	struct sigaction sa = {.sa_handler = leave, .sa_flags = SA_ONSTACK | SA_NODEFER};

	sigaltstack(&ss, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGTRAP, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGSYS, &sa, NULL);
}

static int
readable(const volatile char *p)
{
	if (sigsetjmp(out, 1))
		return 0;
	(void)*p;
	return 1;
}

/* The stub's text, or NULL (the ptrace engine has none). */
static unsigned char *
find_stub(void)
{
	static const unsigned char call[2] = {0x0f, 0x05};

	catch_all();
	for (uint64_t a = 0x7fff00000000; a >= 0x100000000000; a -= 0x100000000) {
		if (!readable((char *)a))
			continue;
		if (readable((char *)a + 0xfff) && memmem((void *)a, 0x1000, call, 2))
			return (unsigned char *)a;
		if (readable((char *)a + 0x1fff) && memmem((void *)a, 0x2000, call, 2))
			return (unsigned char *)a;
	}
	return NULL;
}

/* Run fn in a process of its own, for at most ms; and end what it started: who jumps may land in a
 * loop of forks. */
static void
apart(void (*fn)(uint64_t, uint64_t), uint64_t a, uint64_t b, int ms)
{
	static volatile int inside; /* it jumped, and came back where it had been forked */
	pid_t p = fork();

	if (inside)
		_exit(0);
	if (p == 0) {
		inside = 1;
		setpgid(0, 0);
		fn(a, b);
		_exit(0);
	}
	setpgid(p, p);
	for (int i = 0; i < ms; i++) {
		siginfo_t info = {0};

		if (!waitid(P_PID, p, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == p)
			break;
		sleep_ms(1);
	}
	kill(-p, SIGKILL);
	waitpid(p, NULL, 0);
}

/* --- the cases --- */

static void
jump_to(uint64_t at, uint64_t nr)
{
	uint64_t v = nr & 1 ? 0 : -1UL;

	nr >>= 1;
	__asm__ volatile("movq %0, %%r11\n\tmovq %1, %%rax\n\tmovq %2, %%rdi\n\tmovq %%rdi, "
			 "%%rsi\n\tmovq %%rdi, %%rdx\n\t"
			 "movq %%rdi, %%r10\n\tmovq %%rdi, %%r8\n\tmovq %%rdi, %%r9\n\tjmp *%%r11"
			 :
			 : "r"(at), "r"(nr), "r"(v)
			 : "rax", "rdi", "rsi", "rdx", "r8", "r9", "r10", "r11", "rcx", "memory");
}

static void
case_jump(void)
{
	unsigned char *stub = find_stub();
	static const int nr[] = {0, 1, 2, 9, 10, 11, 15, 17, 25, 28, 41, 46, 47, 56, 57, 59, 60, 62,
		101, 158, 202, 231, 257, 310, 311, 434, 438, 425};

	for (unsigned i = 0; stub && i < 0x4000; i++) {
		if (!(i & 0xfff) && !readable((char *)stub + i))
			break;
		if (stub[i] != 0x0f || stub[i + 1] != 0x05)
			continue;
		for (unsigned k = 0; k < sizeof nr / sizeof *nr; k++)
			apart(jump_to, (uint64_t)stub + i, (uint64_t)nr[k] << 1 | (k & 1), 5);
	}
	/* And to each byte of its text, as if it were a function. */
	for (unsigned i = 0; stub && i < 0x800; i += 7)
		apart(jump_to, (uint64_t)stub + i, 39 << 1, 3);
}

/* Go through the stub's call at `at` to a call of the host's that its filter allows it, and from
 * there to then, in the child of a clone as well. */
static void
call_there(uint64_t at, long nr, uint64_t a, uint64_t b, uint64_t c, void (*then)(void))
{
	static uint64_t stack[4096], area[4096];

	for (unsigned i = 0; i < 4096; i++)
		stack[i] = (uint64_t)then;
	__asm__ volatile("movq %0, %%rsp\n\tmovq %%rbx, %%rbp\n\tmovq %%rbx, %%r12\n\t"
			 "movq %%rbx, %%r13\n\tmovq %%rbx, %%r14\n\tmovq %%rbx, %%r15\n\t"
			 "xorl %%r10d, %%r10d\n\txorl %%r8d, %%r8d\n\tjmp *%%rcx"
			 :
			 : "r"(stack + 2048), "c"(at), "b"(area), "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "memory");
	__builtin_unreachable();
}

/* fn for each call instruction in the stub, apart. */
static void
each_call(void (*fn)(uint64_t, uint64_t), int ms)
{
	unsigned char *stub = find_stub();

	for (unsigned i = 0; stub && i < 0x4000; i++) {
		if (!(i & 0xfff) && !readable((char *)stub + i))
			break;
		if (stub[i] == 0x0f && stub[i + 1] == 0x05)
			apart(fn, (uint64_t)stub + i, 0, ms);
	}
}

/* A file that it may only read, mapped, and made writable behind the sentry's back: by the stub's
 * own call, and a return from there to where it is written. */
#define READONLY_FILE "/tmp/readonly"
static volatile char *readonly_map;

static void
landed(void)
{
	*readonly_map = 'w';
	_exit(0);
}

static void
protect_and_write(uint64_t at, uint64_t unused)
{
	int fd = open(READONLY_FILE, O_RDONLY);

	(void)unused;
	if (setresuid(12345, 12345, 12345) || open(READONLY_FILE, O_WRONLY) >= 0)
		_exit(1);
	readonly_map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (*readonly_map != 'r')
		_exit(1);
	call_there(at, SYS_mprotect, (uint64_t)readonly_map, 4096, PROT_READ | PROT_WRITE, landed);
}

static void
case_readonly(void)
{
	static char page[4096];
	int fd = open(READONLY_FILE, O_RDWR | O_CREAT | O_TRUNC, 0444);

	memset(page, 'r', sizeof page);
	for (int i = 0; i < 100; i++)
		(void)!write(fd, page, sizeof page);
	each_call(protect_and_write, 20);
	if (pread(fd, page, 1, 0) != 1 || page[0] != 'r') {
		printf("readonly: written\n");
		_exit(1);
	}
}

/* A process that the sentry did not ask for: it cannot call, but computes. */
static void
computing(void)
{
	uint64_t start = __builtin_ia32_rdtsc();

	while (__builtin_ia32_rdtsc() - start < 12000000000)
		;
	_exit(0);
}

static void
clone_unasked(uint64_t at, uint64_t unused)
{
	(void)unused;
	call_there(at, SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, computing);
}

static void
case_unasked(void)
{
	printf("ready\n");
	fflush(stdout);
	each_call(clone_unasked, 20);
	printf("look now\n");
	fflush(stdout);
	sleep_ms(3000);
}

/* Long enough for whoever counts. */
static void
case_unasked_long(void)
{
	each_call(clone_unasked, 700);
}

#endif
