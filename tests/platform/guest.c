/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest side of the engine tests: a freestanding image that the driver maps into a fresh space.
 * It talks to the driver by system calls, the numbers of which only the driver (kern.c) knows.
 */
#include "tests/platform/guest.h"

static inline long
sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#define sys3(nr, a, b, c) sys6(nr, (long)(a), (long)(b), (long)(c), 0, 0, 0)

/* A site of the form that is rewritten first. */
#define SITE(ret, n, a, b, c)                                                                      \
	__asm__ volatile("movl %1, %%eax\n\tsyscall"                                               \
			 : "=&a"(ret)                                                              \
			 : "i"(n), "D"((long)(a)), "S"((long)(b)), "d"((long)(c))                  \
			 : "rcx", "r11", "memory")

static void
report(long key, long value)
{
	sys3(G_REPORT, key, value, 0);
}

static _Noreturn void
leave(void)
{
	for (;;)
		sys3(60, 0, 0, 0);
}

/* A site of the other form, used often, and a branch to what follows its system call instruction.
 */
static long
cmp_site(void)
{
	register long n __asm__("r12") = 20;
	register long again __asm__("r13") = 0;
	register long sum __asm__("r14") = 0;

	__asm__ volatile("1:\tmovl $72, %%eax\n\tmovq %%r12, %%rdi\n\tnop\n\tsyscall\n"
			 "2:\tcmpq $-4096, %%rax\n\tja 4f\n\taddq %%rax, %%r14\n"
			 "\ttestq %%r13, %%r13\n\tjnz 4f\n\tdecq %%r12\n\tjnz 1b\n"
			 "\tmovl $1, %%r13d\n\tmovl $5, %%eax\n\tjmp 2b\n4:"
			 : "+r"(n), "+r"(again), "+r"(sum)
			 :
			 : "rax", "rdi", "rcx", "r11", "memory");
	return sum;
}

static long
cmp_getpid(void)
{
	long r;

	__asm__ volatile("movl $39, %%eax\n\tnop\n\tsyscall\n\tcmpq $-4096, %%rax"
			 : "=&a"(r)
			 :
			 : "rcx", "r11", "memory");
	return r;
}

static long
cmp_raise(void *memory)
{
	register void *mem __asm__("r15") = memory;
	long r;

	__asm__ volatile("movl %1, %%eax\n\tnop\n\tsyscall\n\tcmpq $-4096, %%rax"
			 : "=&a"(r)
			 : "i"(G_RAISE), "D"(10L), "r"(mem)
			 : "rcx", "r11", "memory");
	return r;
}

static void
case_calls(long n)
{
	long r = 0, bad = 0, flags;

	for (long i = 0; i < n; i++) {
		register long rbx_in __asm__("rbx") = i * 3;
		register long r12_in __asm__("r12") = i * 5;

		__asm__ volatile("movl $72, %%eax\n\tsyscall"
				 : "=&a"(r), "+r"(rbx_in), "+r"(r12_in)
				 : "D"(i), "S"(2), "d"(3)
				 : "rcx", "r11", "memory");
		if (r != i + 1000 || rbx_in != i * 3 || r12_in != i * 5)
			bad++;
	}
	__asm__ volatile("std\n\tmovl $72, %%eax\n\tsyscall\n\tpushfq\n\tpopq %1\n\tcld"
			 : "=&a"(r), "=&r"(flags)
			 : "D"(1L)
			 : "rcx", "r11", "memory");
	if (!(flags & 0x400))
		bad++;
	report(1, bad);
	SITE(r, 39, 0, 0, 0);
	report(2, r);
	for (int i = 0; i < 5; i++) {
		SITE(r, 110, 0, 0, 0);
		if (r != 77)
			bad = 1000;
	}
	report(3, r);
	report(4, sys3(999, 1, 2, 3));
	report(5, bad);
	for (int i = 0; i < 3; i++)
		if (cmp_site() != 20215)
			bad++;
	for (int i = 0; i < 5; i++)
		if (cmp_getpid() != 1234)
			bad++;
	report(6, bad);
}

static long
site_fcntl(long i)
{
	long r;

	SITE(r, 72, i, 0, 0);
	return r;
}

static void
case_carry(char *mem)
{
	long r, bad = 0;

	for (int i = 0; i < 5000; i++)
		mem[i] = (char)i;
	for (int k = 0; k < 5; k++) {
		SITE(r, 1, 1, mem, 5000);
		if (r != 5000)
			bad++;
		SITE(r, 0, 1, mem + 8192, 6000);
		if (r != 6000)
			bad++;
		for (int i = 0; i < 6000; i++)
			if (mem[8192 + i] != (char)(i * 7))
				bad += 1;
	}
	report(1, bad);
	SITE(r, 1, 1, 0x1000, 10);
	report(2, r);
	SITE(r, 0, 1, 0x1000, 10);
	report(3, r);
	report(4, sys3(1, 1, mem, 200000));
	report(5, sys3(0, 1, mem, 200000));
	for (int i = 0; i < 200000; i++)
		if (mem[i] != (char)(i * 7))
			bad++;
	report(6, bad);
	{
		char *s = mem + 100;
		const char *t = "/hello";

		do
			*s++ = *t;
		while (*t++);
	}
	report(7, sys3(2, mem + 100, 0, 0));
	report(8, sys3(2, 0x10, 0, 0));
	{
		long *v = (long *)(mem + 16384);

		v[0] = (long)mem;
		v[1] = 3;
		v[2] = (long)mem + 3;
		v[3] = 4;
		report(9, sys3(20, 1, v, 2));
	}
	mem[0] = 5;
	mem[1] = mem[2] = mem[3] = 0;
	report(10, sys3(G_CMPXCHG, mem, 5, 9));
	report(11, mem[0]);
}

static void
case_map(void)
{
	volatile char *p = (volatile char *)sys6(9, 0, 65536, 3, 0x22, -1, 0);
	volatile char *q;
	long bad = 0;

	for (int i = 0; i < 65536; i += 4096)
		p[i] = (char)(i >> 12);
	if (sys3(10, p, 65536, 1) != 0)
		bad++;
	for (int i = 0; i < 65536; i += 4096)
		if (p[i] != (char)(i >> 12))
			bad++;
	report(1, bad);
	q = (volatile char *)sys3(G_MAPFD, 0, 0, 0); /* three pages of a file, by three calls */
	for (int i = 0; i < 3; i++)
		if (q[i * 4096] != 'A' + i)
			bad++;
	q[5] = 'Z';
	report(2, bad);
	report(3, sys3(11, p, 65536, 0));
}

struct child_arg {
	volatile int value, done;
};

static void
case_fork(char *mem)
{
	struct child_arg *a = (struct child_arg *)mem;
	double x = 1.0;
	long pid, r;

	a->value = 1;
	__asm__ volatile("movsd %0, %%xmm7" : : "m"(x));
	for (int i = 0; i < 3; i++)
		site_fcntl(i);
	pid = sys3(G_FORK, 0, 0, 0);
	if (pid == 0) {
		double y;

		__asm__ volatile("movsd %%xmm7, %0" : "=m"(y));
		r = site_fcntl(5);
		if (a->value != 1 || y != 1.0 || r != 1005)
			report(1, -1);
		a->value = 2;
		pid = sys3(G_FORK, 0, 0, 0);
		if (pid == 0) {
			report(2, a->value);
			leave();
		}
		report(3, a->value);
		leave();
	}
	report(4, pid > 0);
	sys3(G_WAITREPORT, 2, 0, 0);
	sys3(G_WAITREPORT, 3, 0, 0);
	report(5, a->value);
}

static void
thread_main(struct child_arg *a)
{
	long me;

	__asm__ volatile("movq %%fs:0, %0" : "=r"(me));
	for (int i = 0; i < 200; i++) {
		site_fcntl(i);
		__atomic_fetch_add(&a->value, 1, __ATOMIC_SEQ_CST);
	}
	if (me != (long)a)
		report(9, 1);
	a->done = 1;
	sys6(202, (long)&a->done, 1, 1, 0, 0, 0);
	leave();
}

static void
case_threads(char *mem)
{
	long bad = 0;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++) {
			struct child_arg *a = (struct child_arg *)(mem + i * 64);
			long *top = (long *)(mem + 65536 + i * 16384 + 16000);

			*(long *)(mem + 4096 + i * 64) = (long)a;
			a->value = a->done = 0;
			if (sys6(G_THREAD, (long)thread_main, (long)top - 8, (long)a,
				    (long)(mem + 4096 + i * 64), 0, 0) <= 0)
				bad++;
		}
		for (int i = 0; i < 4; i++) {
			struct child_arg *a = (struct child_arg *)(mem + i * 64);

			while (!a->done)
				sys6(202, (long)&a->done, 0, 0, 0, 0, 0);
			if (a->value != 200)
				bad++;
		}
	}
	report(1, bad);
}

struct sigctx {
	long flags, link, stack[3];
	long r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, fl;
};

__attribute__((used)) static void
on_signal(int signo, void *info, struct sigctx *uc, long *mem)
{
	double zero = 0.5;

	mem[0] += signo;
	mem[1] = *(int *)info;
	mem[2] = uc->sp;
	if (signo == 11)
		uc->ip += 2; /* past the two byte load */
	__asm__ volatile("movsd %0, %%xmm7" : : "m"(zero));
	site_fcntl(3);
}

/* A handler gets no pointer of ours: the memory is found through r15, which the tests leave alone.
 */
__attribute__((naked, used)) static void
handler(void)
{
	__asm__ volatile("movq %r15, %rcx\n\tjmp on_signal_c");
}

__asm__(".hidden on_signal_c\non_signal_c:\n\tjmp on_signal\n");
__attribute__((naked, used)) static void
restorer(void)
{
	__asm__ volatile("movl $15, %eax\n\tsyscall");
}

static void
case_signal(char *memory)
{
	register long *mem __asm__("r15") = (long *)memory;
	double x = 2.5, y = 0;
	long r, bad = 0;

	mem[0] = 0;
	sys3(G_SIGACTION, handler, restorer, 0);
	for (int i = 0; i < 6; i++) {
		__asm__ volatile("movsd %0, %%xmm7" : : "m"(x));
		/* Through a site that is rewritten, and in the same way each time. */
		__asm__ volatile("movl %1, %%eax\n\tsyscall"
				 : "=&a"(r)
				 : "i"(G_RAISE), "D"(10L), "r"(mem)
				 : "rcx", "r11", "memory");
		__asm__ volatile("movsd %%xmm7, %0" : "=m"(y));
		if (r != 42 || y != 2.5 || cmp_raise(mem) != 42)
			bad++;
	}
	report(1, bad);
	report(2, mem[0]);
	report(3, mem[1]);
	/* A fault whose handler skips the instruction. */
	mem[0] = 0;
	__asm__ volatile("xorl %%eax, %%eax\n\tmovb (%%rax), %%al"
			 : "=&a"(r)
			 : "r"(mem)
			 : "memory");
	report(4, mem[0]);
	__asm__ volatile("ud2" : : "r"(mem) : "memory");
}

static void
case_faults(void)
{
	/* The driver skips each by the length it knows and reports what it saw. */
	__asm__ volatile("movq $0x1234000, %%rax\n\tmovb $1, (%%rax)" : : : "rax", "memory");
	__asm__ volatile("ud2");
	__asm__ volatile("int3");
	__asm__ volatile("xorl %%ecx, %%ecx\n\tmovl $1, %%eax\n\txorl %%edx, %%edx\n\tdivl %%ecx"
			 :
			 :
			 : "rax", "rcx", "rdx");
	report(1, 1);
	report(2, 0);
	__asm__ volatile("movl $20, %%eax\n\tint $0x80" : : : "rax", "memory");
	report(3, sys3(0x40000000 | 39, 0, 0, 0));
}

static void
case_spin(volatile long *mem)
{
	report(1, 1);
	while (!mem[0])
		mem[1]++;
	report(2, 2);
}

static void
case_spin_calls(volatile long *mem)
{
	report(1, 1);
	while (!mem[0]) {
		long r;

		SITE(r, 39, 0, 0, 0);
		site_fcntl(1);
		mem[1] += r != 0;
	}
	report(2, 2);
}

static void
case_futex(volatile int *mem)
{
	long r;

	report(1, 1);
	r = sys6(202, (long)mem, 0, 0, 0, 0, 0);
	report(2, r);
	r = sys6(202, (long)mem, 0, 1, 0, 0, 0);
	report(3, r);
}

static void
case_bench(long what, long n, char *mem)
{
	long r;

	if (what == 0)
		for (long i = 0; i < n; i++)
			site_fcntl(i);
	else if (what == 1)
		for (long i = 0; i < n; i++)
			SITE(r, 39, 0, 0, 0);
	else if (what == 2)
		for (long i = 0; i < n; i++)
			sys6(72, i, 0, 0, 0, 0, 0);
	else if (what == 3)
		for (long i = 0; i < n; i++)
			SITE(r, 1, 1, mem, 4096);
	else if (what == 4)
		for (long i = 0; i < n; i++)
			SITE(r, 0, 1, mem, 4096);
	else if (what == 5)
		for (long i = 0; i < n; i++) {
			r = sys6(9, 0, 16384, 3, 0x22, -1, 0);
			for (int k = 0; k < 4; k++)
				((volatile char *)r)[k * 4096] = 1;
			sys3(11, r, 16384, 0);
		}
	else if (what == 6)
		for (long i = 0; i < n; i++) {
			if (sys3(G_FORK, 0, 0, 0) == 0)
				leave();
			sys3(G_WAITCHILD, 0, 0, 0);
		}
	else if (what == 8)
		for (long i = 0; i < n; i++)
			cmp_getpid();
	else if (what == 7)
		for (long i = 0; i < n; i++) {
			register char *m __asm__("r15") = mem;

			__asm__ volatile("movl %1, %%eax\n\tsyscall"
					 : "=&a"(r)
					 : "i"(G_RAISE), "D"(10L), "r"(m)
					 : "rcx", "r11", "memory");
		}
	report(1, 1);
}

static void
case_scribble(unsigned long *slot)
{
	unsigned long x = 88172645463325252ul;

	report(1, 1);
	for (;;) {
		long r;

		for (int i = 0; i < 4; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			/* The first page and the list of operations. */
			if ((x >> 40 & 3) == 0)
				slot[x % 64] = x >> 20;
			else
				slot[x % 1024] = x >> 32 & 0xff;
		}
		SITE(r, 72, 1, 0, 0);
		SITE(r, 1, 1, slot, 64);
	}
}

static void
case_jump(unsigned long at, unsigned long nr)
{
	/* Straight to a system call instruction of the stub. */
	__asm__ volatile("pushq %%rbp\n\tmovq %0, %%r11\n\tmovq %1, %%rax\n\tmovq $-1, "
			 "%%rdi\n\tmovq $-1, %%rsi\n\t"
			 "movq $-1, %%rdx\n\tmovq $-1, %%r10\n\tmovq $-1, %%r8\n\tmovq $-1, "
			 "%%r9\n\tjmp *%%r11"
			 :
			 : "r"(at), "r"(nr)
			 : "rax", "rdi", "rsi", "rdx", "r10", "r8", "r9", "r11", "memory");
}

_Noreturn void guest_entry(long which, long a, long b, long c);

__attribute__((section(".entry"), used)) void
guest_entry(long which, long a, long b, long c)
{
	if (which == G_CASE_CALLS)
		case_calls(a);
	else if (which == G_CASE_CARRY)
		case_carry((char *)a);
	else if (which == G_CASE_MAP)
		case_map();
	else if (which == G_CASE_FORK)
		case_fork((char *)a);
	else if (which == G_CASE_THREADS)
		case_threads((char *)a);
	else if (which == G_CASE_SIGNAL)
		case_signal((char *)a);
	else if (which == G_CASE_FAULTS)
		case_faults();
	else if (which == G_CASE_SPIN)
		case_spin((volatile long *)a);
	else if (which == G_CASE_SPIN_CALLS)
		case_spin_calls((volatile long *)a);
	else if (which == G_CASE_FUTEX)
		case_futex((volatile int *)a);
	else if (which == G_CASE_BENCH) {
		sys3(G_SIGACTION, handler, restorer, 0);
		case_bench(a, b, (char *)c);
	} else if (which == G_CASE_SCRIBBLE)
		case_scribble((unsigned long *)a);
	else if (which == G_CASE_JUMP)
		case_jump((unsigned long)a, (unsigned long)b);
	leave();
}
