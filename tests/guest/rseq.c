/* SPDX-License-Identifier: Apache-2.0 */
/* Restartable sequences: registration, counters of CPUs that nothing guards but that, and threads
 * that come and go with the memory the host writes to. glibc registers the area of each thread. */
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

enum {
	THREADS = 6,
	ROUNDS = 3000,
	SPIN = 2000, /* a sequence is long enough to be cut short */
	CPUS = 8192,
	CHURN = 300,
	LEN = 32,
};

struct counter {
	int64_t n;
	char pad[56];
};

static struct counter *counters;
static _Atomic long done, in_handler, cut_short;

static volatile struct rseq *
area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

static long
reg(volatile void *at, unsigned len, int flags, unsigned sig)
{
	return syscall(SYS_rseq, at, len, flags, sig);
}

/* Add one to the counter of this CPU, if nothing comes between. Inlined, so that the handler's
 * sequence is another one than that which it interrupts. */
static inline __attribute__((always_inline)) int
add_one(volatile struct rseq *rs, struct counter *c, long spin)
{
	__asm__ goto(".pushsection .data.rel.ro, \"aw\"\n\t"
		     ".balign 32\n"
		     "3:\n\t"
		     ".long 0, 0\n\t"
		     ".quad 1f, 2f - 1f, 4f\n\t"
		     ".popsection\n\t"
		     "leaq 3b(%%rip), %%rax\n\t"
		     "movq %%rax, 8(%[rs])\n" /* rseq_cs */
		     "1:\n\t"
		     "movl 4(%[rs]), %%eax\n\t" /* cpu_id */
		     "shlq $6, %%rax\n\t"
		     "addq %[c], %%rax\n\t"
		     "movq (%%rax), %%rdx\n\t"
		     "movq %[spin], %%rcx\n"
		     "5:\n\t"
		     "pause\n\t"
		     "decq %%rcx\n\t"
		     "jnz 5b\n\t"
		     "incq %%rdx\n\t"
		     "movq %%rdx, (%%rax)\n"
		     "2:\n\t"
		     ".pushsection .text.unlikely, \"ax\"\n\t"
		     ".long 0x53053053\n" /* RSEQ_SIG */
		     "4:\n\t"
		     "jmp %l[aborted]\n\t"
		     ".popsection"
		     :
		     : [rs] "r"(rs), [c] "r"(c), [spin] "r"(spin)
		     : "rax", "rcx", "rdx", "memory", "cc"
		     : aborted);
	return 1;
aborted:
	cut_short++;
	return 0;
}

static inline __attribute__((always_inline)) void
count(long spin)
{
	while (!add_one(area(), counters, spin))
		;
}

static void
handler(int signo)
{
	(void)signo;
	count(1);
	in_handler++;
}

static void *
counting(void *arg)
{
	(void)arg;
	for (int i = 0; i < ROUNDS; i++)
		count(SPIN);
	done++;
	return NULL;
}

static void
test_registration(void)
{
	static struct rseq other __attribute__((aligned(32)));
	volatile struct rseq *rs = area();
	unsigned cpu;

	TRUE(__rseq_size != 0);
	TRUE(getauxval(27) >= 20 && getauxval(28) >= 32); /* AT_RSEQ_FEATURE_SIZE, AT_RSEQ_ALIGN */
	do {
		cpu = rs->cpu_id;
	} while ((int)cpu != sched_getcpu() || cpu != rs->cpu_id_start);
	SHOW(reg(rs, LEN, 0, RSEQ_SIG));
	SHOW(reg(rs, LEN, 0, 1));
	SHOW(reg(&other, LEN, 0, RSEQ_SIG));
	SHOW(reg(rs, LEN, 2, RSEQ_SIG));
	SHOW(reg(rs, LEN, 3, RSEQ_SIG));
	SHOW(reg(&other, LEN, 1, RSEQ_SIG));
	SHOW(reg(rs, LEN - 1, 1, RSEQ_SIG));
	SHOW(reg(rs, LEN, 1, 1));
	SHOW(reg(rs, LEN, 1, RSEQ_SIG));
	SHOW((int)rs->cpu_id);
	SHOW(reg(rs, LEN, 1, RSEQ_SIG));
	SHOW(reg((char *)&other + 1, LEN, 0, RSEQ_SIG));
	SHOW(reg(&other, 16, 0, RSEQ_SIG));
	SHOW(reg((void *)0xffffffffffffffe0, LEN, 0, RSEQ_SIG));
	SHOW(reg((void *)0xffff800000000000, LEN, 0, RSEQ_SIG));
	SHOW(reg(&other, LEN, 0, 77));
	TRUE(other.cpu_id < CPUS);
	SHOW(reg(&other, LEN, 1, 77));
	SHOW(reg(rs, LEN, 0, RSEQ_SIG));
	TRUE(rs->cpu_id < CPUS);
}

static void
forked(void)
{
	TRUE(area()->cpu_id < CPUS);
	SHOW(reg(area(), LEN, 0, RSEQ_SIG));
	SHOW(reg(area(), LEN, 1, RSEQ_SIG));
	fflush(stdout);
	_exit(0);
}

static void
test_counters(void)
{
	pthread_t t[THREADS];
	int64_t sum = 0;
	int st;

	counters = mmap(NULL, CPUS * sizeof *counters, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	signal(SIGUSR1, handler);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, counting, NULL);
	while (done < THREADS)
		for (int i = 0; i < THREADS; i++)
			pthread_kill(t[i], SIGUSR1);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < CPUS; i++)
		sum += counters[i].n;
	TRUE(sum == (long)THREADS * ROUNDS + in_handler);
	TRUE(in_handler > 0);
	TRUE(cut_short > 0);
	fflush(stdout);
	if (fork() == 0)
		forked();
	wait(&st);
	SHOW(st);
}

static void *
nothing(void *arg)
{
	return arg;
}

/* Stacks, with the areas in them, are unmapped as soon as the thread has ended. */
static void *
making(void *arg)
{
	pthread_t t;
	long bad = 0;

	(void)arg;
	for (int i = 0; i < CHURN; i++)
		bad += pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL);
	return (void *)bad;
}

static void
test_churn(void)
{
	pthread_t t[3];
	void *bad;

	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, making, NULL);
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &bad);
		SHOW((long)bad);
	}
}

int
main(int argc, char **argv)
{
	(void)argc;
	if (!getenv("GLIBC_TUNABLES")) {
		setenv("GLIBC_TUNABLES", "glibc.pthread.stack_cache_size=0", 1);
		execv("/proc/self/exe", argv);
		return 1;
	}
	test_registration();
	test_counters();
	test_churn();
	return 0;
}
