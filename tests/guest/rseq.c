/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restartable sequences (rseq(2)), which glibc registers for every thread: the area tells the CPU,
 * a critical section that is left by preemption, a signal or a move begins again.
 */
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#define ADDS 400000L

static volatile long counts[1024][8]; /* by CPU, a cache line each */
static volatile sig_atomic_t signals;
static _Atomic long aborts;

static struct rseq *
area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

/* counts[cpu]++ without an atomic instruction; slow, so that it is often cut. 0, or 1: it was begun
 * anew. */
static __attribute__((noinline)) int
add_one(struct rseq *r)
{
	uint32_t cpu = __atomic_load_n(&r->cpu_id_start, __ATOMIC_RELAXED);
	volatile long *c = &counts[cpu & 1023][0];

	__asm__ goto("	.pushsection .data.rseq_cs, \"aw\"\n"
		     "	.balign 32\n"
		     "3:	.long 0, 0\n"
		     "	.quad 1f, 2f - 1f, 4f\n"
		     "	.popsection\n"
		     "	leaq 3b(%%rip), %%rax\n"
		     "	movq %%rax, 8(%[r])\n"
		     "1:	cmpl %[cpu], 4(%[r])\n"
		     "	jnz 4f\n"
		     "	movq (%[c]), %%rax\n"
		     "	movl $60, %%ecx\n"
		     "5:	decl %%ecx\n"
		     "	jnz 5b\n"
		     "	incq %%rax\n"
		     "	movq %%rax, (%[c])\n"
		     "2:	jmp 6f\n"
		     "	.byte 0x0f, 0xb9, 0x3d\n"
		     "	.long 0x53053053\n"
		     "4:	jmp %l[aborted]\n"
		     "6:\n"
		     :
		     : [r] "r"(r), [cpu] "r"(cpu), [c] "r"(c)
		     : "rax", "rcx", "memory", "cc"
		     : aborted);
	return 0;
aborted:
	return 1;
}

static void *
adder(void *arg)
{
	struct rseq *r = area();

	(void)arg;
	for (long i = 0; i < ADDS; i++)
		while (add_one(r))
			atomic_fetch_add(&aborts, 1);
	return NULL;
}

static void
on_alarm(int sig)
{
	(void)sig;
	signals++;
}

static void
sections(void)
{
	struct itimerval it = {{0, 500}, {0, 500}}, none = {{0, 0}, {0, 0}};
	pthread_t t[4];
	long sum = 0;

	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &it, NULL);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, adder, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	setitimer(ITIMER_REAL, &none, NULL);
	for (int i = 0; i < 1024; i++)
		sum += counts[i][0];
	printf("none was lost: %d\n", sum == 4 * ADDS);
	printf("some were cut: %d, by signals too: %d\n", aborts > 0, signals > 0);
}

/* A signal that interrupts a section ends it: its handler finds the place where it was given up. */
static volatile int in_section, seen_inside;
extern const char spin_begin[], spin_end[];

static void
look(int sig, siginfo_t *si, void *uc)
{
	uintptr_t ip = (uintptr_t)((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP];

	(void)sig;
	(void)si;
	if (ip >= (uintptr_t)spin_begin && ip < (uintptr_t)spin_end)
		seen_inside++;
}

static __attribute__((noinline)) void
spin(struct rseq *r)
{
	__asm__ goto("	.pushsection .data.rseq_cs, \"aw\"\n"
		     "	.balign 32\n"
		     "3:	.long 0, 0\n"
		     "	.quad spin_begin, spin_end - spin_begin, 4f\n"
		     "	.popsection\n"
		     "	leaq 3b(%%rip), %%rax\n"
		     "	movq %%rax, 8(%[r])\n"
		     "	.globl spin_begin, spin_end\n"
		     "spin_begin:\n"
		     "5:	movl $1, %[in]\n"
		     "	pause\n"
		     "	jmp 5b\n"
		     "spin_end:\n"
		     "	.byte 0x0f, 0xb9, 0x3d\n"
		     "	.long 0x53053053\n"
		     "4:	jmp %l[aborted]\n"
		     :
		     : [r] "r"(r), [in] "m"(in_section)
		     : "rax", "memory"
		     : aborted);
aborted:
	return;
}

static void *
spinner(void *arg)
{
	(void)arg;
	spin(area());
	TRUE(area()->rseq_cs == 0);
	return NULL;
}

static void
signalled(void)
{
	struct sigaction sa = {.sa_sigaction = look, .sa_flags = SA_SIGINFO};
	pthread_t t;

	sigaction(SIGUSR1, &sa, NULL);
	pthread_create(&t, NULL, spinner, NULL);
	while (!in_section)
		sched_yield();
	pthread_kill(t, SIGUSR1);
	pthread_join(t, NULL);
	TRUE(seen_inside == 0);
}

static void
ids(void)
{
	cpu_set_t all, one;
	int wrong = 0;

	sched_getaffinity(0, sizeof all, &all);
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all))
			continue;
		CPU_ZERO(&one);
		CPU_SET(i, &one);
		if (sched_setaffinity(0, sizeof one, &one))
			continue;
		for (int k = 0; k < 100 && (int)area()->cpu_id != i; k++)
			sched_yield();
		wrong += (int)area()->cpu_id != i || sched_getcpu() != i;
	}
	sched_setaffinity(0, sizeof all, &all);
	printf("wrong CPUs: %d\n", wrong);
}

static void
in_child(void)
{
	fflush(stdout);
	if (fork() == 0) {
		TRUE((int)area()->cpu_id >= 0);
		SHOW(syscall(SYS_rseq, area(), 32, 0, 0x53053053));
		ids();
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

static _Alignas(64) char own[128];

static void
raw(void)
{
	struct rseq *r = (struct rseq *)own;

	r->cpu_id = (uint32_t)-1;
	SHOW(syscall(SYS_rseq, own, 32, 1, 0x1234));
	SHOW(syscall(SYS_rseq, own, 32, 2, 0x1234));
	SHOW(syscall(SYS_rseq, own, 16, 0, 0x1234));
	SHOW(syscall(SYS_rseq, own + 8, 32, 0, 0x1234));
	SHOW(syscall(SYS_rseq, (void *)-4096L, 32, 0, 0x1234));
	SHOW(syscall(SYS_rseq, own, 32, 0, 0x1234));
	TRUE((int)r->cpu_id >= 0);
	SHOW(syscall(SYS_rseq, own, 32, 0, 0x1234));
	SHOW(syscall(SYS_rseq, own, 32, 0, 0x1235));
	SHOW(syscall(SYS_rseq, own + 64, 32, 0, 0x1234));
	SHOW(syscall(SYS_rseq, own, 32, 1, 0x1235));
	SHOW(syscall(SYS_rseq, own, 64, 1, 0x1234));
	SHOW(syscall(SYS_rseq, own, 32, 1, 0x1234));
	TRUE((int)r->cpu_id == -1);
	SHOW(syscall(SYS_rseq, own, 32, 1, 0x1234));
	SHOW(syscall(SYS_rseq, own + 64, 32, 0, 0x1234));
	/* its memory is taken away by exec */
	fflush(stdout);
	execl("/proc/self/exe", "rseq", "last", NULL);
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "raw") == 0) {
		printf("__rseq_size: %u\n", __rseq_size);
		raw();
		return 1;
	}
	printf("__rseq_size: %d\n", __rseq_size > 0);
	printf("auxv: %lu %lu\n", getauxval(27), getauxval(28));
	if (argc == 2) {
		setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=1", 1);
		TRUE(argc == 2);
		return 0;
	}
	TRUE(__rseq_size == 0 || (int)area()->cpu_id >= 0);
	SHOW(syscall(SYS_rseq, area(), 32, 0, 0x53053053));
	ids();
	in_child();
	signalled();
	sections();
	fflush(stdout);
	setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=0", 1);
	execl("/proc/self/exe", "rseq", "raw", NULL);
	return 1;
}
