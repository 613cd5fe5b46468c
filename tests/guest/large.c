/* SPDX-License-Identifier: Apache-2.0 */
/* Reads that are larger than what one trip carries: of files in memory and of the host's. */
#include "guest.h"
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

/* More files than a process of moat keeps open to read from. */
enum { FILE_BYTES = (5 << 20) + 12345, MAX_BYTES = 4 << 20, FILES = 6 };

static unsigned char
pattern(uint64_t at, unsigned seed)
{
	return (unsigned char)((at * 2654435761u + (at >> 12) * 40503u + seed * 97u) >> 7);
}

static int
make_file(unsigned seed, size_t size)
{
	char name[] = "/tmp/large.XXXXXX";
	static unsigned char b[65536];
	int fd = mkstemp(name);

	unlink(name);
	for (size_t at = 0; at < size; at += sizeof b) {
		size_t n = size - at < sizeof b ? size - at : sizeof b;

		for (size_t i = 0; i < n; i++)
			b[i] = pattern(at + i, seed);
		if (write(fd, b, n) != (ssize_t)n)
			perror("write");
	}
	return fd;
}

static bool
is_pattern(const unsigned char *b, size_t n, uint64_t at, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		if (b[i] != pattern(at + i, seed))
			return false;
	return true;
}

/* The bytes around what was asked for stay as they are. */
static void
exact(int fd, unsigned seed)
{
	static const size_t sizes[] = {100, 5000, 65536, 131071, 131072, 196608, 200001, 1 << 20,
		(1 << 20) + 13, (2 << 20) + 4095, MAX_BYTES};
	static const size_t offs[] = {
		0, 1, 4096, 70001, FILE_BYTES - 300000, FILE_BYTES - 1, FILE_BYTES, FILE_BYTES + 5};
	unsigned char *b = malloc(MAX_BYTES + 64);

	for (unsigned s = 0; s < sizeof sizes / sizeof *sizes; s++)
		for (unsigned o = 0; o < sizeof offs / sizeof *offs; o++) {
			size_t at = 16 + (s * 7 + o) % 17;
			ssize_t r;

			memset(b, 0xee, MAX_BYTES + 64);
			r = pread(fd, b + at, sizes[s], (off_t)offs[o]);
			printf("pread %zu at %zu: %zd %s %s\n", sizes[s], offs[o], r,
				r < 0 || is_pattern(b + at, (size_t)r, offs[o], seed) ? "right"
										      : "wrong",
				b[at - 1] == 0xee && (r < 0 || b[at + (size_t)r] == 0xee) ? "exact"
											  : "over");
		}
	free(b);
}

static void
lists(int fd, unsigned seed)
{
	unsigned char *b = malloc(MAX_BYTES);
	struct iovec v[] = {{b, 300001}, {b + 300001, 10}, {b + 300011, 1 << 20},
		{b + 300011 + (1 << 20), 400000}};
	ssize_t r;

	lseek(fd, 77, SEEK_SET);
	r = readv(fd, v, 4);
	printf("readv: %zd %s\n", r, is_pattern(b, (size_t)r, 77, seed) ? "right" : "wrong");
	SHOW(lseek(fd, 0, SEEK_CUR));
	lseek(fd, FILE_BYTES - 500000, SEEK_SET);
	r = readv(fd, v, 4);
	printf("readv to the end: %zd %s\n", r,
		is_pattern(b, (size_t)r, FILE_BYTES - 500000, seed) ? "right" : "wrong");
	free(b);
}

static void
faults(int fd, unsigned seed)
{
	unsigned char *b =
		mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ssize_t r;

	mprotect(b + (768 << 10), 4096, PROT_NONE);
	lseek(fd, 0, SEEK_SET);
	r = read(fd, b, 2 << 20);
	printf("read up to a hole: %zd %s\n", r,
		r > 0 && is_pattern(b, (size_t)r, 0, seed) ? "right" : "wrong");
	SHOW(lseek(fd, 0, SEEK_CUR));
	lseek(fd, 5, SEEK_SET);
	SHOW(read(fd, b + (768 << 10), 1 << 20));
	SHOW(lseek(fd, 0, SEEK_CUR));
	SHOW(pread(fd, (void *)16, 1 << 20, 0));
	mprotect(b, 2 << 20, PROT_READ);
	SHOW(pread(fd, b, 1 << 20, 0));
	munmap(b, 2 << 20);
	/* a file's pages behind its end */
	ftruncate(fd, FILE_BYTES);
	b = mmap(NULL, 6 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	r = pread(fd, b, 1 << 20, 4096);
	printf("into a private mapping of itself: %zd %s\n", r,
		is_pattern(b, (size_t)r, 4096, seed) ? "right" : "wrong");
	munmap(b, 6 << 20);
}

static void
holes(void)
{
	char name[] = "/tmp/large.XXXXXX";
	int fd = mkstemp(name);
	unsigned char *b = malloc(3 << 20);
	bool zero = true;

	unlink(name);
	ftruncate(fd, 3 << 20);
	pwrite(fd, "middle", 6, 1500000);
	memset(b, 1, 3 << 20);
	SHOW(read(fd, b, 3 << 20));
	for (int i = 0; i < 3 << 20; i++)
		zero &= !b[i] || (i >= 1500000 && i < 1500006);
	printf("holes: %s, %.6s\n", zero ? "zeros" : "something", b + 1500000);
	SHOW(lseek(fd, 0, SEEK_DATA) > 1000000);
	close(fd);
	free(b);
}

struct job {
	int fd;
	unsigned seed;
	bool right;
};

static void *
read_often(void *arg)
{
	struct job *j = arg;
	unsigned char *b = malloc(1 << 20);

	j->right = true;
	for (unsigned k = 0; k < 40; k++) {
		size_t at = (k * 333333u) % (FILE_BYTES - (1 << 20));

		j->right &= pread(j->fd, b, 1 << 20, (off_t)at) == 1 << 20 &&
			    is_pattern(b + (k * 4096) % 500000, 3000, at + (k * 4096) % 500000,
				    j->seed) &&
			    is_pattern(b + (1 << 20) - 2000, 2000, at + (1 << 20) - 2000, j->seed);
	}
	free(b);
	return NULL;
}

static void
at_once(void)
{
	struct job j[FILES];
	pthread_t t[FILES];
	int status;
	pid_t p;

	for (unsigned i = 0; i < FILES; i++)
		j[i] = (struct job){make_file(i + 10, FILE_BYTES), i + 10, false};
	for (int i = 0; i < FILES; i++)
		pthread_create(&t[i], NULL, read_often, &j[i]);
	p = fork();
	if (!p) {
		read_often(&j[2]);
		_exit(j[2].right ? 7 : 8);
	}
	for (int i = 0; i < FILES; i++)
		pthread_join(t[i], NULL);
	waitpid(p, &status, 0);
	for (int i = 0; i < FILES; i++) {
		printf("thread %d: %d\n", i, j[i].right);
		close(j[i].fd);
	}
	printf("child: %d\n", WEXITSTATUS(status));
}

static volatile bool stop;

static void *
resize(void *arg)
{
	int fd = *(int *)arg;

	while (!stop) {
		ftruncate(fd, 100000);
		ftruncate(fd, 3 << 20);
	}
	return NULL;
}

static void
shrinking(void)
{
	int fd = make_file(3, 3 << 20);
	unsigned char *b = malloc(3 << 20);
	bool sane = true;
	pthread_t t;

	pthread_create(&t, NULL, resize, &fd);
	for (int i = 0; i < 200; i++) {
		ssize_t r = pread(fd, b, 3 << 20, 0);

		sane &= r >= 0 && r <= 3 << 20 && (r < 100000 || is_pattern(b, 100000, 0, 3));
	}
	stop = true;
	pthread_join(t, NULL);
	printf("while its size changes: %s\n", sane ? "sane" : "not");
	close(fd);
	free(b);
}

static void
program(void)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	size_t size = (size_t)lseek(fd, 0, SEEK_END), at = 0;
	unsigned char *a = malloc(size + 1), *b = malloc(size + 1);
	ssize_t r;

	while ((r = pread(fd, a + at, 5000, (off_t)at)) > 0)
		at += (size_t)r;
	r = pread(fd, b, size + 1, 0);
	printf("the program: %s %s\n", (size_t)r == size && at == size ? "whole" : "part",
		memcmp(a, b, size) ? "different" : "equal");
	free(a);
	free(b);
	close(fd);
}

int
main(void)
{
	int fd = make_file(1, FILE_BYTES);
	setvbuf(stdout, NULL, _IOLBF, 0);

	exact(fd, 1);
	lists(fd, 1);
	faults(fd, 1);
	holes();
	at_once();
	shrinking();
	program();
	return 0;
}
