/* SPDX-License-Identifier: Apache-2.0 */
/* mmap and its family: flags, errors, sharing, copy on write, protection, growth. */
#include "guest.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define PG 4096UL

static sigjmp_buf jump;
static volatile int code;

static void
on_fault(int s, siginfo_t *si, void *uc)
{
	(void)s;
	(void)uc;
	code = si->si_code;
	siglongjmp(jump, 1);
}

/* 0: readable, else the fault's code; write: also written. */
static int
probe(volatile char *p, int write)
{
	code = 0;
	if (sigsetjmp(jump, 1) == 0) {
		char c = *p;

		if (write)
			*p = c;
	}
	return code;
}

static void *
anon(size_t n, int prot)
{
	return mmap(NULL, n, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int
maps_lines(void *at, size_t len)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long s, e;
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "%lx-%lx", &s, &e) == 2 && s < (unsigned long)at + len &&
			e > (unsigned long)at)
			n++;
	if (f)
		fclose(f);
	return n;
}

static void
test_errors(void)
{
	char *p = anon(4 * PG, PROT_READ | PROT_WRITE);
	int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600), ro;

	TRUE(p != MAP_FAILED);
	if (ftruncate(fd, 2 * PG))
		abort();
	ro = open("f", O_RDONLY);
	SHOW(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	SHOW(mmap(NULL, PG, PROT_READ, MAP_ANONYMOUS, -1, 0));
	SHOW(mmap(NULL, PG, PROT_READ, MAP_PRIVATE, -1, 0));
	SHOW(mmap(NULL, PG, PROT_READ, MAP_PRIVATE, fd, 1));
	SHOW(mmap((void *)1, PG, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0));
	SHOW(mmap(p, PG, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
	SHOW(mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED, ro, 0));
	SHOW(mmap(NULL, 1UL << 60, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	SHOW(munmap(p + 1, PG));
	SHOW(munmap(p, 0));
	SHOW(mprotect(p + 1, PG, PROT_READ));
	SHOW(mprotect(p, PG, 0x100));
	SHOW(madvise(p + 1, PG, MADV_DONTNEED));
	SHOW(madvise(p, PG, 12345));
	SHOW(msync(p, PG, MS_SYNC | MS_ASYNC));
	SHOW(munmap(p + 2 * PG, PG));
	SHOW(mprotect(p, 4 * PG, PROT_READ));
	SHOW(madvise(p, 4 * PG, MADV_DONTNEED));
	SHOW(msync(p, 4 * PG, MS_SYNC));
	munmap(p, 4 * PG);
	p = mmap(NULL, PG, PROT_READ, MAP_SHARED, ro, 0);
	SHOW(mprotect(p, PG, PROT_READ | PROT_WRITE));
	munmap(p, PG);
	close(ro);
	close(fd);
	unlink("f");
}

static void
test_areas(void)
{
	char *p = anon(8 * PG, PROT_READ | PROT_WRITE), *q;

	memset(p, 1, 8 * PG);
	SHOW(mprotect(p + 2 * PG, 2 * PG, PROT_READ));
	printf("write: %d %d %d %d\n", probe(p + PG, 1), probe(p + 2 * PG, 1), probe(p + 3 * PG, 1),
		probe(p + 4 * PG, 1));
	SHOW(mprotect(p + 2 * PG, 2 * PG, PROT_NONE));
	printf("read: %d %d\n", probe(p + 2 * PG, 0), probe(p + 4 * PG, 0));
	SHOW(mprotect(p, 8 * PG, PROT_READ | PROT_WRITE));
	SHOW(p[2 * PG]);
	SHOW(munmap(p + 3 * PG, 2 * PG));
	printf("hole: %d %d %d %d\n", probe(p + 2 * PG, 0), probe(p + 3 * PG, 0),
		probe(p + 4 * PG, 0), probe(p + 5 * PG, 0));
	q = mmap(p + 3 * PG, PG, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	TRUE(q == p + 3 * PG);
	SHOW(*q);
	SHOW(maps_lines(p + 3 * PG, PG));
	SHOW(madvise(p, PG, MADV_DONTNEED));
	SHOW(p[0]);
	SHOW(p[PG]);
	munmap(p, 8 * PG);
}

static void
test_file(void)
{
	int fd = open("f", O_RDWR | O_CREAT | O_TRUNC, 0600);
	char buf[PG], *priv, *shared, *beyond;

	memset(buf, 'a', sizeof buf);
	if (write(fd, buf, sizeof buf) != sizeof buf || ftruncate(fd, PG + 10))
		abort();
	priv = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	shared = mmap(NULL, 2 * PG, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	TRUE(priv != MAP_FAILED && shared != MAP_FAILED);
	priv[0] = 'p';
	shared[1] = 's';
	SHOW(pread(fd, buf, 3, 0));
	printf("file %.3s private %.3s shared %.3s\n", buf, priv, shared);
	SHOW(pwrite(fd, "w", 1, 2));
	printf("after write: private %c shared %c\n", priv[2], shared[2]);
	SHOW(msync(shared, 2 * PG, MS_SYNC));
	beyond = mmap(NULL, 4 * PG, PROT_READ, MAP_SHARED, fd, 0);
	printf("beyond the end: %d %d\n", probe(beyond + PG, 0), probe(beyond + 2 * PG, 0));
	close(fd);
	shared[5] = 'z';
	fd = open("f", O_RDONLY);
	SHOW(pread(fd, buf, 6, 0));
	printf("%.6s\n", buf);
	close(fd);
	unlink("f");
	SHOW(shared[5]);
	munmap(priv, 2 * PG);
	munmap(shared, 2 * PG);
	munmap(beyond, 4 * PG);
}

static void
test_fork(void)
{
	int *shared = mmap(NULL, PG, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int *priv = anon(PG, PROT_READ | PROT_WRITE), *wipe = anon(PG, PROT_READ | PROT_WRITE);
	int *dont = anon(PG, PROT_READ | PROT_WRITE), st;

	*shared = *priv = *wipe = *dont = 1;
	SHOW(madvise(wipe, PG, MADV_WIPEONFORK));
	SHOW(madvise(dont, PG, MADV_DONTFORK));
	fflush(stdout);
	if (fork() == 0) {
		*shared = 2;
		*priv = 2;
		printf("child: wiped %d, not inherited %d\n", *wipe, probe((char *)dont, 0));
		fflush(stdout);
		_exit(0);
	}
	wait(&st);
	printf("parent: shared %d private %d wipe %d dont %d\n", *shared, *priv, *wipe, *dont);
}

/* An area that grows in place and is moved, again and again: in between the host may have it in
 * pieces. */
static void
test_mremap_pieces(void)
{
	size_t n = 4 * PG, wrong = 0;
	unsigned char *p =
		mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned moved = 0, stayed = 0;

	for (size_t i = 0; i < n; i += PG)
		p[i] = (unsigned char)(i / PG);
	for (int k = 0; k < 24; k++) {
		/* Every third time there is something in the way. */
		void *wall = k % 3 == 0 ? mmap(p + n, PG, PROT_NONE,
						  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
						  -1, 0)
					: MAP_FAILED;
		unsigned char *q = mremap(p, n, n + 2 * PG, MREMAP_MAYMOVE), *other;

		if (q == MAP_FAILED) {
			printf("mremap %d: %s\n", k, strerror(errno));
			return;
		}
		q == p ? stayed++ : moved++;
		p = q;
		for (size_t i = n; i < n + 2 * PG; i += PG)
			p[i] = (unsigned char)(i / PG);
		n += 2 * PG;
		/* What else is mapped may not lie in it. */
		other = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		memset(other, 0xee, n);
		for (size_t i = 0; i < n; i += PG)
			wrong += p[i] != (unsigned char)(i / PG);
		munmap(other, n);
		if (wall != MAP_FAILED)
			munmap(wall, PG);
	}
	printf("moved and stayed: %s, wrong %zu\n",
		moved >= 8 && moved + stayed == 24 ? "ok" : "no", wrong);
	munmap(p, n);
}

static void
test_mremap(void)
{
	char *p = anon(4 * PG, PROT_READ | PROT_WRITE), *q, *r;

	memset(p, 3, 4 * PG);
	q = mremap(p, 4 * PG, 8 * PG, MREMAP_MAYMOVE);
	TRUE(q != MAP_FAILED);
	printf("kept %d %d, new %d\n", q[0], q[4 * PG - 1], q[4 * PG]);
	r = mremap(q, 8 * PG, 2 * PG, 0);
	TRUE(r == q);
	SHOW(probe(q + 2 * PG, 0));
	p = anon(2 * PG, PROT_NONE);
	r = mremap(q, 2 * PG, 2 * PG, MREMAP_MAYMOVE | MREMAP_FIXED, p);
	TRUE(r == p);
	SHOW(r[PG]);
	SHOW(probe(q, 0));
	SHOW(mremap(r + 1, PG, PG, 0));
	SHOW(mremap(r, PG, 0, 0));
	SHOW(mremap(r, PG, PG, MREMAP_FIXED, p));
	munmap(r, 2 * PG);
	SHOW(mremap(r, PG, 2 * PG, MREMAP_MAYMOVE));
}

static int
deep(int n)
{
	volatile char frame[4096];

	frame[0] = (char)n;
	return n ? deep(n - 1) + frame[0] * 0 : 0;
}

static void
test_stack_and_heap(void)
{
	char *b = sbrk(0);
	char big[300000];
	struct iovec iov = {big, sizeof big};
	int fd = open("/dev/zero", O_RDONLY);

	SHOW(deep(1000)); /* 4 MiB of it */
	/* Reading into a part of the stack that was never touched. */
	SHOW(readv(fd, &iov, 1));
	close(fd);
	TRUE(sbrk(100000) == b);
	memset(b, 1, 100000);
	SHOW(b[99999]);
	TRUE(sbrk(-100000) == b + 100000);
	TRUE(sbrk(0) == b);
}

/* Every other page gets another protection: the number of areas is limited, and who reaches the
 * limit is told so, also when a hole would make two of one. */
static void
test_many_areas(void)
{
	size_t n = 70000, m = 64;
	char *p, *q;
	int r = 0;

	q = anon(m * PG, PROT_READ);
	p = mmap(NULL, n * PG, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		-1, 0);
	for (size_t i = 1; i < n && !r; i += 2)
		r = mprotect(p + i * PG, PG, PROT_READ);
	printf("mprotect: %s\n", r ? strerrorname_np(errno) : "ok");
	r = 0;
	for (size_t i = 1; i < m - 1 && !r; i += 2)
		r = munmap(q + i * PG, PG);
	printf("munmap: %s\n", r ? strerrorname_np(errno) : "ok");
	SHOW(munmap(p, n * PG));
	SHOW(munmap(q, m * PG));
}

static void
test_limits(void)
{
	struct rlimit rl = {200 << 20, RLIM_INFINITY};
	void *p;

	SHOW(setrlimit(RLIMIT_AS, &rl));
	p = anon(400UL << 20, PROT_READ | PROT_WRITE);
	TRUE(p == MAP_FAILED && errno == ENOMEM);
	rl.rlim_cur = RLIM_INFINITY;
	SHOW(setrlimit(RLIMIT_AS, &rl));
	p = anon(PG, PROT_READ | PROT_WRITE);
	SHOW(mlock(p, PG));
	SHOW(munlock(p, PG));
}

/* Where it is asked for if that is below 2 GiB; else in the second GiB. */
static void
test_low(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT;
	char *at = mmap((void *)0x50000000, 0x100000, PROT_READ, flags, -1, 0);
	char *again = mmap((void *)0x50000000, 0x1000, PROT_READ, flags, -1, 0);
	char *high = mmap((void *)0x7ffff0000000, 0x1000, PROT_READ, flags, -1, 0);

	TRUE(at == (char *)0x50000000);
	TRUE(again != at && again >= (char *)0x40000000 && again < (char *)0x80000000);
	TRUE(high >= (char *)0x40000000 && high < (char *)0x80000000);
	munmap(at, 0x100000);
	munmap(again, 0x1000);
	munmap(high, 0x1000);
}

int
main(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_NODEFER};

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	test_errors();
	test_low();
	test_areas();
	test_file();
	test_fork();
	test_mremap();
	test_mremap_pieces();
	test_stack_and_heap();
	test_many_areas();
	test_limits();
	return 0;
}
