/* SPDX-License-Identifier: Apache-2.0 */
/* System call instructions that a program uses often, and what stands around them: what is done to
 * make them cheap must not be seen. */
#include "guest.h"
#include <asm/prctl.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#define TIMES	 8
#define REGION	 65536UL
#define MAX_MAPS 512

static volatile sig_atomic_t traps;

/* The number in rax by other means, and the same number loaded elsewhere just before the call. */
static void
other_register(void)
{
	int wrong = 0;

	printf("--- another register\n");
	for (int i = 0; i < TIMES; i++) {
		unsigned long r8;
		long ret;

		__asm__ volatile("xorl %%r8d, %%r8d\n"
				 "movl %2, %%eax\n"
				 "movl %2, %%r8d\n"
				 "syscall\n"
				 "movq %%r8, %0"
				 : "=&r"(r8), "=&a"(ret)
				 : "i"(SYS_getppid)
				 : "rcx", "r11", "r8", "memory");
		wrong += r8 != SYS_getppid || ret != getppid();
	}
	printf("wrong: %d\n", wrong);
}

static void
on_trap(int s)
{
	(void)s;
	traps++;
}

static __attribute__((noinline)) long
by_cmp(long nr)
{
	long r;

	__asm__ volatile("syscall\n"
			 "cmp $-4095, %%rax"
			 : "=a"(r)
			 : "0"(nr)
			 : "rcx", "r11", "memory");
	return r;
}

static __attribute__((noinline)) long
by_mov(void)
{
	long r;

	__asm__ volatile("movl %1, %%eax\n"
			 "syscall"
			 : "=a"(r)
			 : "i"(SYS_getppid)
			 : "rcx", "r11", "memory");
	return r;
}

#define STEP(how)                                                                                  \
	__asm__ volatile("subq $128, %%rsp\n"                                                      \
			 "pushfq\n" how " (%%rsp)\n"                                               \
			 "popfq\n"                                                                 \
			 "addq $128, %%rsp"                                                        \
			 :                                                                         \
			 :                                                                         \
			 : "cc", "memory")

/* A program that steps itself through its calls, which have been made before. */
static void
own_steps(void)
{
	int wrong = 0;

	printf("--- own steps\n");
	signal(SIGTRAP, on_trap);
	for (int i = 0; i < TIMES; i++)
		wrong += by_cmp(SYS_gettid) != getpid() || by_mov() != getppid();
	for (int i = 0; i < TIMES; i++) {
		long a, b;

		STEP("orq $0x100,");
		a = by_cmp(SYS_gettid);
		b = by_mov();
		STEP("andq $~0x100,");
		wrong += a != getpid() || b != getppid();
	}
	printf("wrong: %d, traps: %d\n", wrong, (int)traps);
}

/* What the kernel keeps beside the program's own areas, if anything, cannot be replaced, and asking
 * for it harms nobody. */
static void
beside(void)
{
	static unsigned long start[MAX_MAPS], end[MAX_MAPS];
	char line[512], *from;
	FILE *f = fopen("/proc/self/maps", "r");
	int n = 0;

	printf("--- beside\n");
	while (f && n < MAX_MAPS && fgets(line, sizeof line, f))
		if (sscanf(line, "%lx-%lx", &start[n], &end[n]) == 2)
			n++;
	fclose(f);
	from = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < 2 * n; i++) {
		unsigned long at = i & 1 ? end[i / 2] : start[i / 2] - REGION;
		void *p;
		int ours = at == (unsigned long)from;

		for (int k = 0; k < n; k++)
			ours |= at < end[k] && at + 4096 > start[k];
		if (ours)
			continue;
		p = mmap((void *)at, 4096, PROT_READ,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		if (p != MAP_FAILED)
			munmap(p, 4096);
		else if (errno == EEXIST)
			(void)mremap(from, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)at);
	}
	WORKS(by_cmp(SYS_gettid));
}

/* GS set as AT_HWCAP2 says that it may be, for a while, between calls from places that made many
 * before. */
static void
own_segment(void)
{
	static unsigned long segment[600] = {0xabcdef};
	unsigned long old = 0, seen;
	int wrong = 0;

	for (int i = 0; i < TIMES; i++) {
		if (getauxval(AT_HWCAP2) & 2)
			__asm__ volatile("wrgsbase %0" : : "r"(segment));
		else
			syscall(SYS_arch_prctl, ARCH_SET_GS, segment);
		wrong += by_cmp(SYS_gettid) != by_cmp(SYS_getpid);
		__asm__ volatile("movq %%gs:0, %0" : "=r"(seen));
		wrong += seen != segment[0];
		if (getauxval(AT_HWCAP2) & 2)
			__asm__ volatile("wrgsbase %0" : : "r"(old));
		else
			syscall(SYS_arch_prctl, ARCH_SET_GS, old);
		wrong += by_cmp(SYS_gettid) != by_cmp(SYS_getpid);
	}
	printf("wrong: %d\n", wrong);
}

int
main(void)
{
	other_register();
	for (int i = 0; i < TIMES; i++)
		(void)by_cmp(SYS_gettid);
	beside();
	in_child("own segment", own_segment);
	own_steps();
	return 0;
}
