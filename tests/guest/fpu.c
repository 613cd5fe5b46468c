/* SPDX-License-Identifier: Apache-2.0 */
/* The FPU's registers under signals that come one on the heels of the other: what a handler finds,
 * what it leaves, and what the interrupted code finds again. */
#include "guest.h"
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>

static volatile int stop, handled;
static int main_tid;

static void
handler(int signo)
{
	(void)signo;
	/* All of them are used. */
	__asm__ volatile("pxor %%xmm0, %%xmm0\n\tpcmpeqd %%xmm1, %%xmm1\n\tmovaps %%xmm1, "
			 "%%xmm7\n\tmovaps %%xmm0, %%xmm15\n\t"
			 "fldz\n\tfstp %%st(0)" ::
				 : "xmm0", "xmm1", "xmm7", "xmm15");
	handled++;
}

/* Two signals that mostly are pending together. */
static void *
storm(void *arg)
{
	(void)arg;
	while (!stop) {
		syscall(SYS_tgkill, getpid(), main_tid, SIGUSR1);
		syscall(SYS_tgkill, getpid(), main_tid, SIGUSR2);
		for (volatile int i = 0; i < 500; i++)
			;
	}
	return NULL;
}

/* Registers keep their values for a while: how many did not. */
static int
keep_sse(unsigned long pattern)
{
	unsigned long out[32] __attribute__((aligned(16))), n = 20000;
	int bad = 0;

	__asm__ volatile(
		"movq %[p], %%xmm0\n\tpunpcklqdq %%xmm0, %%xmm0\n\tmovaps %%xmm0, %%xmm1\n\tmovaps "
		"%%xmm0, %%xmm5\n\t"
		"movaps %%xmm0, %%xmm7\n\tmovaps %%xmm0, %%xmm15\n\t"
		"1: dec %[n]\n\tjnz 1b\n\t"
		"movaps %%xmm0, (%[o])\n\tmovaps %%xmm1, 16(%[o])\n\tmovaps %%xmm5, 32(%[o])\n\t"
		"movaps %%xmm7, 48(%[o])\n\tmovaps %%xmm15, 64(%[o])"
		: [n] "+r"(n)
		: [p] "r"(pattern), [o] "r"(out)
		: "memory", "xmm0", "xmm1", "xmm5", "xmm7", "xmm15");
	for (int i = 0; i < 10; i++)
		bad += out[i] != pattern;
	return bad;
}

__attribute__((target("avx"))) static int
keep_avx(unsigned long pattern)
{
	unsigned long in[4] = {pattern, pattern + 1, pattern + 2, pattern + 3}, out[8], n = 20000;
	int bad = 0;

	__asm__ volatile("vmovdqu (%[i]), %%ymm3\n\tvmovdqu (%[i]), %%ymm14\n\t"
			 "1: dec %[n]\n\tjnz 1b\n\t"
			 "vmovdqu %%ymm3, (%[o])\n\tvmovdqu %%ymm14, 32(%[o])\n\tvzeroupper"
			 : [n] "+r"(n)
			 : [i] "r"(in), [o] "r"(out)
			 : "memory", "xmm3", "xmm14");
	for (int i = 0; i < 8; i++)
		bad += out[i] != in[i & 3];
	return bad;
}

static long
run(const char *what)
{
	int avx = __builtin_cpu_supports("avx");
	struct timespec a, b;
	pthread_t t;
	long bad = 0;

	stop = handled = 0;
	pthread_create(&t, NULL, storm, NULL);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (unsigned long i = 1;; i++) {
		bad += keep_sse(i * 0x0101010101010101);
		if (avx)
			bad += keep_avx(i * 0x1000100010001);
		clock_gettime(CLOCK_MONOTONIC, &b);
		if ((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 > 400)
			break;
	}
	stop = 1;
	pthread_join(t, NULL);
	printf("%s: %ld registers lost, signals %s\n", what, bad,
		handled > 10 ? "came" : "did not come");
	return bad;
}

/* Both are there when the mask lets them in: the second one's frame comes to lie where the first
 * one's was. */
static void
together(void)
{
	sigset_t both;
	unsigned long pattern = 0x1122334455667788, got[2] __attribute__((aligned(16)));
	long nr = SYS_rt_sigprocmask;

	sigemptyset(&both);
	sigaddset(&both, SIGUSR1);
	sigaddset(&both, SIGUSR2);
	handled = 0;
	for (int i = 0; i < 200; i++) {
		register long r10 __asm__("r10") = 8;
		long ret = nr;

		sigprocmask(SIG_BLOCK, &both, NULL);
		raise(SIGUSR1);
		raise(SIGUSR2);
		__asm__ volatile("movq %[p], %%xmm7\n\tpunpcklqdq %%xmm7, "
				 "%%xmm7\n\tsyscall\n\tmovaps %%xmm7, (%[o])"
				 : "+a"(ret)
				 : [p] "r"(pattern), [o] "r"(got), "D"((long)SIG_UNBLOCK),
				 "S"(&both), "d"(0L), "r"(r10)
				 : "memory", "rcx", "r11", "xmm7");
		if (got[0] != pattern || got[1] != pattern) {
			printf("lost at %d\n", i);
			return;
		}
	}
	printf("together: kept, %d handled\n", handled);
}

static uint32_t sw[5]; /* struct _fpx_sw_bytes: magic, size, features, size of the state */

static void
measure(int sig, siginfo_t *si, void *context)
{
	const ucontext_t *uc = context;

	(void)sig;
	(void)si;
	memcpy(sw, (const char *)uc->uc_mcontext.fpregs + 464, sizeof sw);
}

/* A frame has what the process may use: not AMX, for which a process asks first. 8 KiB, which many
 * programs give for a signal stack, are not enough for that. */
static void
in_little_room(void)
{
	struct sigaction sa = {.sa_sigaction = measure, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	static char little[8192];
	stack_t ss = {.ss_sp = little, .ss_size = sizeof little}, off = {.ss_flags = SS_DISABLE};

	sigaltstack(&ss, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	printf("magic %x, %u bytes, features %x %x, state of %u bytes\n", sw[0], sw[1], sw[2],
		sw[3], sw[4]);
	sigaltstack(&off, NULL);
}

int
main(void)
{
	struct sigaction sa = {.sa_handler = handler};
	static char stack[65536];
	stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};

	in_little_room();
	main_tid = (int)syscall(SYS_gettid);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	together();
	run("on the stack");
	sigaltstack(&ss, NULL);
	sa.sa_flags = SA_ONSTACK;
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	together();
	run("on another stack");
	return 0;
}
