/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile guest. The first process starts bystanders, then a child that does its worst, and ends
 * it after a while if it does not end by itself. The bystanders have to go on undisturbed: then the
 * first process ends with 33. usage: hostile CASE
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "hostile_stub.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define BYSTANDERS 2

static struct shared {
	volatile long rounds[BYSTANDERS];
	volatile int wrong[BYSTANDERS];
} * shared;

static uint64_t seed = 88172645463325252ULL;

static uint64_t
rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* --- the bystanders: two processes each, that play ball and look after a file --- */

static void
bystander(int n)
{
	int a[2], b[2], fd;
	char name[32];
	pid_t me = getpid(), other;
	long i, got;

	sprintf(name, "/tmp/bystander-%d", n);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || pipe(a) || pipe(b)) {
		shared->wrong[n] = 1;
		_exit(1);
	}
	other = fork();
	if (other == 0) {
		while (read(a[0], &i, sizeof i) == sizeof i)
			if (write(b[1], &i, sizeof i) != sizeof i)
				break;
		_exit(0);
	}
	for (i = 0;; i++) {
		got = -1;
		if (write(a[1], &i, sizeof i) != sizeof i ||
			read(b[0], &got, sizeof got) != sizeof got || got != i)
			shared->wrong[n] = 2;
		got = -1;
		if (pwrite(fd, &i, sizeof i, 8 * (i & 1023)) != sizeof i ||
			pread(fd, &got, sizeof got, 8 * (i & 1023)) != sizeof got || got != i)
			shared->wrong[n] = 3;
		if (getpid() != me || syscall(SYS_gettid) != me)
			shared->wrong[n] = 4;
		shared->rounds[n]++;
		if ((i & 15) == 0)
			sleep_ms(1);
	}
}

/* --- the cases --- */

static void *
caller(void *arg)
{
	for (;;) {
		syscall(SYS_getppid);
		syscall(SYS_read, -1, arg, 1);
	}
	return NULL;
}

static void
scribble(uint64_t stub, uint64_t way)
{
	pthread_t t;

	seed += way * 77777;
	for (int i = 0; i < 2; i++)
		pthread_create(&t, NULL, caller, &seed);
	for (long n = 0;; n++) {
		uint64_t off = 0x200000 + (rnd() & 7) * 0x40000 + rnd() % 0x40000;
		volatile uint64_t *p = (uint64_t *)((stub + off) & ~7UL);

		if ((way & 1) && (n & 3)) /* the head of a slot */
			p = (uint64_t *)(stub + 0x200000 + (rnd() % 3) * 0x40000 +
					 (rnd() % 0x400 & ~7UL));
		if (!(n & 63))
			catch_all();
		if (sigsetjmp(out, 0))
			continue;
		*p = way & 2 ? rnd() & 7 : rnd();
	}
}

/* Calls whose answers make the stub work. */
static void *
worker(void *arg)
{
	static char from[1 << 20];
	char *p;

	(void)arg;
	for (;;) {
		p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			continue;
		mprotect(p, 4096, PROT_READ);
		read(STDIN_FILENO, from, sizeof from);
		getrandom(p + 4096, 100000, 0);
		munmap(p, 1 << 20);
		raise(SIGWINCH);
	}
	return NULL;
}

/* What says whose turn it is. */
static void
states(uint64_t stub, uint64_t way)
{
	pthread_t t;

	seed += way * 77777;
	for (int i = 0; i < 3; i++)
		pthread_create(&t, NULL, i == (int)(way % 3) ? caller : worker, &seed);
	for (long n = 0;; n++) {
		volatile uint32_t *p = (uint32_t *)(stub + 0x200000 + (1 + rnd() % 3) * 0x40000);

		*p = (uint32_t)(rnd() & 7);
		for (volatile long k = (long)(rnd() & ((1UL << (8 + way % 16)) - 1)); k > 0; k--)
			;
	}
}

static void
case_states(void)
{
	uint64_t stub = (uint64_t)find_stub();

	for (uint64_t i = 0; stub && i < 48; i++)
		apart(states, stub, i, 40);
}

static void
case_scribble(void)
{
	uint64_t stub = (uint64_t)find_stub();

	for (uint64_t i = 0; stub && i < 24; i++)
		apart(scribble, stub, i, 80);
}

/* A restartable sequence that is the stub's text: when a thread is preempted there, the host sends
 * it to `led_astray`, with the stub's stack and registers. */
static struct rseq_cs over_stub = {.post_commit_offset = 0x4000};
static volatile struct rseq *volatile their_area;
uint64_t astray_sp;
void led_astray(void);
void astray(void);
__asm__(".pushsection .text\n\t"
	".long 0x53053053\n" /* RSEQ_SIG */
	"led_astray:\n\t"
	"movq astray_sp(%rip), %rsp\n\t"
	"call astray\n\t"
	".popsection");

void
astray(void)
{
	if (seed & 1)
		syscall(SYS_getpid);
	siglongjmp(out, 1);
}

static void *
leading(void *arg)
{
	(void)arg;
	for (;;)
		their_area->rseq_cs = (uint64_t)&over_stub;
	return NULL;
}

static void
sequences(uint64_t stub, uint64_t way)
{
	static char stack[65536];
	pthread_t t;

	seed = way;
	astray_sp = (uint64_t)stack + sizeof stack;
	over_stub.start_ip = stub;
	over_stub.abort_ip = (uint64_t)led_astray;
	their_area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
	pthread_create(&t, NULL, leading, NULL);
	for (volatile int n = 0;; n++) {
		if (sigsetjmp(out, 0))
			continue;
		if (way & 2)
			worker(NULL);
		else
			caller(&seed);
	}
}

static void
case_sequences(void)
{
	uint64_t stub = (uint64_t)find_stub();

	for (uint64_t i = 0; stub && i < 8; i++)
		apart(sequences, stub, i, 80);
}

static void
unmap(uint64_t stub, uint64_t way)
{
	char *p = (char *)stub;

	switch (way) {
	case 0:
		munmap(p, 0x10000);
		break;
	case 1:
		munmap(p + 0x200000, 0x40000);
		break;
	case 2:
		mprotect(p, 0x10000, PROT_READ | PROT_WRITE | PROT_EXEC);
		break;
	case 3:
		mmap(p, 0x10000, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
		break;
	case 4:
		mremap(p, 0x1000, 0x1000, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x10000000);
		break;
	case 5:
		mmap((void *)0x10000000, 0x1000, 3, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		mremap((void *)0x10000000, 0x1000, 0x1000, MREMAP_MAYMOVE | MREMAP_FIXED, p);
		break;
	case 6:
		madvise(p + 0x200000, 0x40000, MADV_DONTNEED);
		break;
	case 7:
		madvise(p, 0x10000, MADV_DONTNEED);
		break;
	case 8:
		syscall(SYS_getrandom, p + 0x200000, 0x1000, 0);
		break;
	case 9:
		syscall(SYS_getrandom, p + 0x220000, 0x20000, 0);
		break;
	case 10:
		syscall(SYS_getrandom, p + 0x20000, 0x10000, 0);
		break;
	case 11:
		syscall(SYS_write, 1, p, 0);
		syscall(SYS_pwrite64, open("/tmp/x", O_RDWR | O_CREAT, 0600), p, 0x400000, 0);
		break;
	case 12:
		syscall(SYS_set_robust_list, p + 0x200000, 24);
		break;
	case 13:
		syscall(SYS_set_tid_address, p + 0x200000 + 8);
		break;
	case 14:
		syscall(SYS_futex, p + 0x200000, 0, 0, 0, 0, 0);
		break;
	case 15:
		for (uint64_t a = 0x200000; a < 0x300000; a += 4)
			syscall(SYS_futex, p + a, 1, 1, 0, 0, 0);
		break;
	case 16:
		munmap((void *)0x1000, 0x7fffffffe000);
		break;
	case 17:
		madvise((void *)0x1000, 0x7fffffffe000, MADV_DONTNEED);
		break;
	case 18:
		mprotect((void *)0x1000, 0x7fffffffe000, PROT_NONE);
		break;
	case 19:
		syscall(462 /* mseal */, p, 0x1000, 0);
		break;
	case 20:
		syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND, p + 0x220800, 0, 0, p);
		break;
	case 21:
		syscall(SYS_rseq, p + 0x200000, 32, 0, 0);
		break;
	}
	for (int i = 0; i < 1000; i++)
		syscall(SYS_getppid);
}

static void
case_unmap(void)
{
	uint64_t stub = (uint64_t)find_stub();

	for (uint64_t i = 0; i <= 21; i++)
		apart(unmap, stub ? stub : 0x7ffe00000000, i, 100);
}

/* Code that is rewritten under the engine's hands, and jumps into the middle of its sites. */
static void
case_code(void)
{
	static const unsigned char site[] = {
		0xb8, 39, 0, 0, 0, 0x0f, 0x05, 0xc3}; /* mov $getpid, %eax; syscall; ret */
	unsigned char *p = mmap(NULL, 0x4000, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile int bad = 0;
	int (*volatile f)(void);

	catch_all();
	for (volatile int round = 0; round < 300; round++) {
		unsigned char *c = p + rnd() % 0x3f00;

		memcpy(c, site, sizeof site);
		f = (int (*)(void))c;
		for (int i = 0; i < 5; i++)
			if (f() != getpid())
				bad = 1;
		/* Into the middle. */
		for (volatile int k = 1; k < 7; k++) {
			f = (int (*)(void))(c + k);
			if (sigsetjmp(out, 1) == 0) {
				__asm__ volatile("call *%0"
						 :
						 : "r"(f), "a"(39L)
						 : "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10",
						 "r11", "memory", "cc");
			}
		}
		/* Another number, and then no call at all, at the same place. */
		f = (int (*)(void))c;
		memcpy(c, site, sizeof site);
		c[1] = SYS_getppid;
		if (f() != getppid() || f() != getppid())
			bad = 2;
		memcpy(c, "\xb8\x11\x22\x33\x44\xc3", 6);
		if (f() != 0x44332211)
			bad = 3;
		if (!(round & 15))
			mprotect(p, 0x4000, 7);
	}
	if (bad) {
		printf("code: wrong result %d\n", bad);
		_exit(1);
	}
}

static void
old_calls(uint64_t way, uint64_t n)
{
	long r = (long)n;

	switch (way) {
	case 0:
		__asm__ volatile("int $0x80"
				 : "+a"(r)
				 : "b"(-1L), "c"(-1L), "d"(-1L), "S"(-1L), "D"(-1L)
				 : "memory");
		break;
	case 1:
		syscall((long)(n | 0x40000000), -1L, -1L, -1L, -1L, -1L, -1L);
		break;
	case 2:
		syscall((long)(n | 0xdead00000000), -1L, -1L, -1L, -1L, -1L, -1L);
		break;
	case 3:
		((long (*)(void *, void *))(0xffffffffff600000 + n * 8))(NULL, NULL);
		break;
	case 4:
		__asm__ volatile("sysenter" : "+a"(r) : : "memory", "rcx", "rdx");
		break;
	case 5:
		syscall(-(long)n);
		break;
	}
}

static void
case_old_calls(void)
{
	for (uint64_t n = 0; n < 460; n += 1 + (n > 30) * 12) {
		if (n == 37) /* kill in i386's table */
			continue;
		for (uint64_t way = 0; way < 6; way++)
			if (!((way == 1 || way == 2) && (n == SYS_kill || n == SYS_tkill)))
				apart(old_calls, way, n, 5);
	}
}

static void
bases(uint64_t way, uint64_t v)
{
	switch (way) {
	case 0:
		syscall(SYS_arch_prctl, 0x1001, v);
		break; /* ARCH_SET_GS */
	case 1:
		syscall(SYS_arch_prctl, 0x1002, v);
		break; /* ARCH_SET_FS */
	case 2:
		__asm__ volatile("wrgsbase %0" : : "r"(v));
		break;
	case 3:
		__asm__ volatile("wrfsbase %0" : : "r"(v));
		break;
	case 4:
		__asm__ volatile("mov %0, %%gs" : : "r"((unsigned)v));
		break;
	case 5:
		__asm__ volatile("mov %0, %%fs" : : "r"((unsigned)v));
		break;
	case 6:
		__asm__ volatile("mov %0, %%ss" : : "r"((unsigned)v));
		break;
	case 7:
		__asm__ volatile("push %0; popfq" : : "r"(v) : "cc");
		break;
	}
	/* Without libc, which needs FS. */
	for (int i = 0; i < 200; i++) {
		long r = SYS_getppid;

		__asm__ volatile("syscall" : "+a"(r) : : "rcx", "r11", "memory");
	}
	__asm__ volatile("syscall" : : "a"(231L), "D"(0L) : "rcx", "r11", "memory");
}

static void
case_bases(void)
{
	static const uint64_t v[] = {0, 1, 3, 0x2b, 0x33, 0x53, 0xffff, 0x7ffe00200000,
		0x7fffffffffff, 0x800000000000, 1UL << 63, -1UL, 0x40000, 0x200, 0x44100};

	for (uint64_t way = 0; way < 8; way++)
		for (unsigned i = 0; i < sizeof v / sizeof *v; i++)
			apart(bases, way, v[i], 50);
}

static uint64_t frame_way;

static void
spoil(int signo, siginfo_t *si, void *uc_)
{
	ucontext_t *uc = uc_;
	uint64_t *w = uc_;

	(void)signo;
	(void)si;
	switch (frame_way & 7) {
	case 0:
		uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(1UL << 63);
		break;
	case 1:
		uc->uc_mcontext.gregs[REG_RSP] = (greg_t)rnd();
		break;
	case 2:
		uc->uc_mcontext.gregs[REG_CSGSFS] = (greg_t)rnd();
		break;
	case 3:
		uc->uc_mcontext.gregs[REG_EFL] = (greg_t)rnd();
		break;
	case 4:
		uc->uc_mcontext.fpregs = (void *)rnd();
		break;
	case 5:
		for (int i = 0; i < 64; i++)
			((uint64_t *)uc->uc_mcontext.fpregs)[rnd() & 127] = rnd();
		break;
	case 6:
		for (int i = 0; i < 8; i++)
			w[rnd() % (sizeof *uc / 8)] = rnd();
		break;
	case 7:
		uc->uc_stack.ss_sp = (void *)rnd();
		uc->uc_stack.ss_flags = (int)rnd();
		uc->uc_flags = rnd();
		break;
	}
}

static void
bad_frame(uint64_t way, uint64_t s)
{
	struct sigaction sa = {.sa_sigaction = spoil, .sa_flags = SA_SIGINFO};
	static uint64_t stack[1024];

	seed += s * 99991;
	frame_way = way;
	if (way < 8) {
		sigaction(SIGUSR1, &sa, NULL);
		raise(SIGUSR1);
		syscall(SYS_getppid);
		_exit(0);
	}
	for (int i = 0; i < 1024; i++)
		stack[i] = way == 8 ? rnd() : way == 9 ? 0 : (uint64_t)stack + (rnd() & 0x1fff);
	__asm__ volatile("movq %0, %%rsp; movl $15, %%eax; syscall; hlt"
			 :
			 : "r"(way == 11 ? 0x7ffe00210000 : (uint64_t)(stack + 16)));
}

static void
case_sigreturn(void)
{
	for (uint64_t way = 0; way < 12; way++)
		for (uint64_t i = 0; i < 20; i++)
			apart(bad_frame, way, i, 50);
}

static void
case_argv(void)
{
	static char big[200000];
	static char *argv[20000];
	char *env[] = {NULL};

	memset(big, 'x', sizeof big - 1);
	for (int i = 0; i < 19999; i++)
		argv[i] = big + sizeof big - 1000;
	if (execve("/proc/self/exe", argv, env) != -1 || errno != E2BIG)
		printf("many arguments: %d\n", errno);
	argv[0] = big;
	argv[1] = NULL;
	if (execve("/proc/self/exe", argv, env) != -1 || errno != E2BIG)
		printf("a long argument: %d\n", errno);
	for (int i = 0; i < 20000; i++)
		argv[i] = big;
	if (execve("/proc/self/exe", argv, env) != -1 || (errno != E2BIG && errno != EFAULT))
		printf("no end: %d\n", errno);
	execve("/proc/self/exe", (char **)8, env);
	execve("/proc/self/exe", (char **)-8UL, env);
	execve((char *)-1UL, argv, env);
}

static void
case_forks(void)
{
	struct rlimit r = {60, 60};

	if (setresuid(12345, 12345, 12345) == 0)
		setrlimit(RLIMIT_NPROC, &r);
	else
		return;
	alarm(1); /* the others end with their group */
	signal(SIGALRM, SIG_DFL);
	setpgid(0, 0);
	for (int i = 0; i < 3000; i++)
		if (fork() == 0)
			signal(SIGCHLD, SIG_IGN);
	killpg(0, SIGKILL);
}

static void *
idle(void *arg)
{
	pause();
	return arg;
}

static void
case_exhaust(void)
{
	struct rlimit r = {4000, 4000};
	pthread_attr_t at;
	pthread_t t;
	int n = 0;

	setrlimit(RLIMIT_NOFILE, &r);
	while (n < 5000) {
		int p[2], how = n++ % 5;

		if (how == 0 && pipe(p) == 0)
			(void)!write(p[1], p, sizeof p);
		else if (how == 1)
			(void)socketpair(AF_UNIX, SOCK_STREAM, 0, p);
		else if (how == 2)
			(void)epoll_create1(0);
		else if (how == 3)
			(void)open("/proc/self/maps", O_RDONLY);
		else if (how == 4 && memfd_create("m", 0) < 0 && errno == EMFILE)
			break;
	}
	pthread_attr_init(&at);
	pthread_attr_setstacksize(&at, 65536);
	for (n = 0; n < 300; n++)
		if (pthread_create(&t, &at, idle, NULL))
			break;
	for (n = 0; n < 70000; n++)
		if (mmap(NULL, 4096, n & 1 ? PROT_READ : PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0) == MAP_FAILED)
			break;
	r = (struct rlimit){600 << 20, 600 << 20};
	setrlimit(RLIMIT_AS, &r);
	for (n = 0; n < 1000; n++) {
		void *p = mmap(
			NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			break;
		if (n < 100)
			memset(p, 1, 1 << 20);
	}
	mmap(NULL, 1UL << 46, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	syscall(SYS_brk, -1UL);
}

static void
case_names(void)
{
	static char name[8192];
	char cwd[8192];
	int n;

	memset(name, 'n', sizeof name - 1);
	(void)!chdir("/tmp");
	if (open(name, O_CREAT | O_RDWR, 0600) != -1 || errno != ENAMETOOLONG)
		printf("8191 bytes: %d\n", errno);
	name[4095] = 0;
	if (mkdir(name, 0700) != -1 || errno != ENAMETOOLONG)
		printf("4095 bytes: %d\n", errno);
	name[256] = 0;
	if (mkdir(name, 0700) != -1 || errno != ENAMETOOLONG)
		printf("256 bytes: %d\n", errno);
	name[255] = 0;
	for (n = 0; n < 400; n++)
		if (mkdir(name, 0700) || chdir(name))
			break;
	if (n != 400)
		printf("%d directories: %d\n", n, errno);
	if (syscall(SYS_getcwd, cwd, sizeof cwd) != -1 ||
		(errno != ENAMETOOLONG && errno != ERANGE))
		printf("getcwd: %d\n", errno);
	(void)!readlink("/proc/self/cwd", cwd, sizeof cwd);
	for (n = 0; n < 5000; n++) {
		sprintf(name, "f%d", n);
		close(open(name, O_CREAT | O_RDWR, 0600));
		if (n < 100)
			(void)!symlink(n ? "l0" : "l99", name);
	}
	for (n = 0; n < 50; n++) {
		sprintf(name, "l%d", n);
		sprintf(cwd, "l%d", n + 1);
		(void)!symlink(cwd, name);
	}
	(void)!symlink("l0", "l50");
	if (open("l0", O_RDONLY) != -1 || errno != ELOOP)
		printf("a ring of links: %d\n", errno);
}

static void
case_sockets(void)
{
	struct sockaddr_un a = {AF_UNIX, "\0flood"};
	int s = socket(AF_UNIX, SOCK_DGRAM, 0), c = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0),
	    sv[2];
	char buf[1000] = "", ctl[CMSG_SPACE(sizeof(int))] = "";
	struct iovec v = {buf, 1};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
	struct cmsghdr *cm = CMSG_FIRSTHDR(&m);

	(void)!bind(s, (void *)&a, 8);
	(void)!connect(c, (void *)&a, 8);
	for (int i = 0; i < 100000 && send(c, buf, sizeof buf, 0) > 0; i++)
		;
	cm->cmsg_level = SOL_SOCKET;
	cm->cmsg_type = SCM_RIGHTS;
	cm->cmsg_len = CMSG_LEN(sizeof(int));
	/* Sockets in themselves, dropped: rings that only a collector finds. */
	for (int i = 0; i < 300; i++) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv))
			break;
		for (int k = 0; k < 20; k++) {
			memcpy(CMSG_DATA(cm), &sv[k & 1], sizeof(int));
			sendmsg(sv[1 - (k & 1)], &m, 0);
		}
		memset(ctl + sizeof *cm, 0xff, sizeof ctl - sizeof *cm);
		sendmsg(sv[0], &m, 0);
		close(sv[0]);
		close(sv[1]);
	}
	for (int i = 0; i < 2000; i++) {
		int t = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		uint8_t addr[16] = {2, 0, (uint8_t)(i >> 8), (uint8_t)i, 127, 0, 0, 1};

		if (t < 0)
			break;
		connect(t, (void *)addr, 16);
		if (i & 1)
			listen(t, 100000);
	}
}

/* Random calls with random arguments, half of them likely ones. */
static void
random_calls(uint64_t s, uint64_t stub)
{
	static const short not [] = {SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo,
		SYS_rt_tgsigqueueinfo, SYS_pidfd_send_signal, SYS_prlimit64, SYS_process_vm_writev,
		SYS_ptrace, SYS_reboot, SYS_exit, SYS_exit_group, SYS_vfork, SYS_fork, SYS_clone,
		SYS_clone3, SYS_setpgid, SYS_fcntl, SYS_umount2, SYS_pause, SYS_rt_sigsuspend,
		SYS_sched_setaffinity, SYS_setpriority};
	static char area[1 << 16];

	seed += s * 1234567;
	catch_all();
	for (int i = 0; i < 64; i++)
		(void)!write(1, "", 0);
	for (;;) {
		long nr = (long)(rnd() % 470), a[6];
		unsigned k;

		for (k = 0; k < sizeof not / sizeof *not &&nr != not [k]; k++)
			;
		if (k < sizeof not / sizeof *not )
			continue;
		for (int i = 0; i < 6; i++) {
			switch (rnd() % 12) {
			case 0:
				a[i] = (long)rnd();
				break;
			case 1:
				a[i] = -1;
				break;
			case 2:
				a[i] = 0;
				break;
			case 3:
				a[i] = (long)(rnd() & 0xffff);
				break;
			case 4:
				a[i] = 1L << (rnd() & 63);
				break;
			case 5:
				a[i] = (long)stub + (long)(rnd() & 0x3fffff);
				break;
			case 6:
			case 7:
				a[i] = (long)(rnd() & 31) + 3;
				break;
			case 8:
				a[i] = -(long)(rnd() & 0xfff);
				break;
			default:
				a[i] = (long)area + (long)(rnd() & 0xffff);
			}
		}
		/* Not the outputs of the test itself, nor its memory. */
		if (a[0] >= 0 && a[0] <= 2)
			a[0] += 3;
		if (rnd() & 1)
			for (int i = 0; i < 64; i++)
				((uint32_t *)area)[rnd() & 0x3fff] =
					(uint32_t)(rnd() & 1 ? rnd() : rnd() & 63);
		if (sigsetjmp(out, 1) == 0)
			syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	}
}

static void
case_random(void)
{
	uint64_t stub = (uint64_t)find_stub(), start = (uint64_t)time(NULL);
	const char *s = getenv("SEED");

	if (s)
		start = strtoull(s, NULL, 0);
	for (uint64_t i = 0; i < 30; i++)
		apart(random_calls, start + i, stub, 150);
}

static const struct {
	const char *name;
	void (*fn)(void);
} cases[] = {{"jump", case_jump}, {"scribble", case_scribble}, {"states", case_states},
	{"sequences", case_sequences}, {"unmap", case_unmap}, {"readonly", case_readonly},
	{"unasked", case_unasked}, {"unasked-long", case_unasked_long}, {"code", case_code},
	{"old-calls", case_old_calls}, {"bases", case_bases}, {"sigreturn", case_sigreturn},
	{"argv", case_argv}, {"forks", case_forks}, {"exhaust", case_exhaust},
	{"names", case_names}, {"sockets", case_sockets}, {"random", case_random}};

int
main(int argc, char **argv)
{
	void (*fn)(void) = NULL;
	struct rlimit none = {0, 0};
	pid_t by[BYSTANDERS], p;
	int st = 0, fail = 0;

	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++)
		if (argc == 2 && !strcmp(argv[1], cases[i].name))
			fn = cases[i].fn;
	if (!fn)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	setrlimit(RLIMIT_CORE, &none);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < BYSTANDERS; i++) {
		by[i] = fork();
		if (by[i] == 0)
			bystander(i);
	}
	while (!shared->rounds[0] || !shared->rounds[BYSTANDERS - 1])
		sleep_ms(1);
	p = fork();
	if (p == 0) {
		fn();
		_exit(0);
	}
	for (int i = 0; waitpid(p, &st, WNOHANG) == 0; i++) {
		if (i == 20000) { /* a guard, far from what a busy machine takes */
			printf("%s did not end\n", argv[1]);
			fail = 1;
			kill(p, SIGKILL);
			waitpid(p, &st, 0);
			break;
		}
		sleep_ms(5);
	}
	if (st && !(WIFSIGNALED(st) && (WTERMSIG(st) == SIGKILL || WTERMSIG(st) == SIGALRM))) {
		printf("%s: status %x\n", argv[1], st);
		fail = 1;
	}
	for (int i = 0; i < BYSTANDERS; i++) {
		long before = shared->rounds[i];

		for (int k = 0; k < 1000 && shared->rounds[i] < before + 20; k++)
			sleep_ms(5);
		if (shared->rounds[i] < before + 20) {
			printf("bystander %d stands still\n", i);
			fail = 1;
		}
		if (shared->wrong[i]) {
			printf("bystander %d saw wrong data (%d)\n", i, shared->wrong[i]);
			fail = 1;
		}
		kill(by[i], SIGKILL);
		if (waitpid(by[i], &st, 0) != by[i] || !WIFSIGNALED(st) ||
			WTERMSIG(st) != SIGKILL) {
			printf("bystander %d ended by itself: %x\n", i, st);
			fail = 1;
		}
	}
	return fail ? 1 : 33;
}
