/* SPDX-License-Identifier: Apache-2.0 */
/* io_submit(2) and its kind by raw calls; small calls about memory. */
#include "guest.h"
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

static aio_context_t ctx;

/* Linux says what happened, be it asked for or not, where the event came while it was waited for.
 */
static long long unasked;

static long
submit(struct iocb *cb)
{
	return syscall(SYS_io_submit, ctx, 1, &cb);
}

static void
events_within(time_t seconds, long min, long max)
{
	struct io_event e[8];
	struct timespec ts = {seconds, 50000000};
	long n;

	errno = 0;
	n = syscall(SYS_io_getevents, ctx, min, max, e, &ts);
	printf("events(%ld, %ld): %ld %s\n", min, max, n, n < 0 ? strerrorname_np(errno) : "");
	for (long i = 0; i < n; i++)
		printf("   data %llu res %lld res2 %lld\n", e[i].data, e[i].res & ~unasked,
			e[i].res2);
}

/* Those that come, however long the disk takes. */
static void
events(long min, long max)
{
	events_within(20, min, max);
}

static void
aio(void)
{
	char buf[100] = {0};
	struct iovec v[2] = {{buf, 3}, {buf + 50, 4}};
	struct iocb cb = {0}, *two[2];
	int fd = open("f", O_RDWR | O_CREAT, 0644), efd = eventfd(0, EFD_NONBLOCK);
	uint64_t count;
	aio_context_t bad = 5;

	SHOW(syscall(SYS_io_setup, 0, &ctx));
	SHOW(syscall(SYS_io_setup, 4, &bad));
	SHOW(syscall(SYS_io_setup, 4, 0));
	SHOW(syscall(SYS_io_setup, 4, &ctx));
	TRUE(ctx != 0);
	SHOW(syscall(SYS_io_submit, bad, 1, two));
	SHOW(syscall(SYS_io_submit, ctx, -1, two));
	SHOW(syscall(SYS_io_submit, ctx, 0, two));
	two[0] = (void *)8;
	SHOW(syscall(SYS_io_submit, ctx, 1, two));
	events(0, 4);
	events_within(0, 1, 4);
	events(5, 4);
	cb = (struct iocb){.aio_data = 1,
		.aio_lio_opcode = IOCB_CMD_PWRITE,
		.aio_fildes = (unsigned)fd,
		.aio_buf = (uintptr_t) "hello, world",
		.aio_nbytes = 12};
	SHOW(submit(&cb));
	events(1, 4);
	cb.aio_fildes = 999;
	SHOW(submit(&cb));
	cb.aio_fildes = (unsigned)fd;
	cb.aio_lio_opcode = 99;
	SHOW(submit(&cb));
	cb.aio_lio_opcode = IOCB_CMD_PREAD;
	cb.aio_buf = (uintptr_t)buf;
	cb.aio_offset = 7;
	cb.aio_nbytes = 50;
	cb.aio_data = 2;
	cb.aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = (unsigned)efd;
	SHOW(submit(&cb));
	SHOW(read(efd, &count, 8));
	printf("eventfd %llu\n", (unsigned long long)count);
	events(1, 4);
	printf("%s\n", buf);
	cb.aio_resfd = (unsigned)fd;
	SHOW(submit(&cb));
	cb.aio_flags = 0;
	cb.aio_offset = -1;
	SHOW(submit(&cb));
	events(0, 4);
	cb.aio_offset = 0;
	cb.aio_lio_opcode = IOCB_CMD_PREADV;
	cb.aio_buf = (uintptr_t)v;
	cb.aio_nbytes = 2;
	SHOW(submit(&cb));
	events(1, 4);
	printf("%.3s %.4s\n", buf, buf + 50);
	cb.aio_lio_opcode = IOCB_CMD_FSYNC;
	cb.aio_data = 3;
	cb.aio_buf = cb.aio_nbytes = 0;
	SHOW(submit(&cb));
	events(1, 4);
	two[0] = two[1] = &cb;
	cb.aio_lio_opcode = IOCB_CMD_PREAD;
	cb.aio_buf = (uintptr_t)buf;
	cb.aio_nbytes = 4;
	SHOW(syscall(SYS_io_submit, ctx, 2, two));
	events(1, 1);
	events(1, 1);
	SHOW(syscall(SYS_io_cancel, ctx, &cb, buf));
	SHOW(syscall(SYS_io_destroy, ctx));
	SHOW(syscall(SYS_io_destroy, ctx));
	SHOW(submit(&cb));
	close(fd);
}

/* One request to poll fd, with the number n. */
static struct iocb
polling(int fd, unsigned events, unsigned n)
{
	return (struct iocb){.aio_data = n,
		.aio_lio_opcode = IOCB_CMD_POLL,
		.aio_fildes = (unsigned)fd,
		.aio_buf = events};
}

static void
polls(void)
{
	struct iocb cb, many[40];
	struct io_event e[64];
	struct timespec ts = {20, 0};
	int a[2], b[2], file = open("f", O_RDWR), efd = eventfd(0, EFD_NONBLOCK), pairs[40][2], w;
	uint64_t count;
	char buf[10];
	long n, sum;
	pid_t p;

	printf("polls\n");
	unasked = POLLRDNORM;
	ctx = 0;
	SHOW(syscall(SYS_io_setup, 64, &ctx));
	SHOW(pipe(a));
	SHOW(pipe(b));
	/* ready at once, and not */
	cb = polling(a[1], POLLOUT | POLLWRNORM, 1);
	SHOW(submit(&cb));
	events(1, 4);
	cb = polling(a[0], POLLIN, 2);
	SHOW(submit(&cb));
	events_within(0, 0, 4);
	SHOW(write(a[1], "x", 1));
	events(1, 4);
	SHOW(write(a[1], "y", 1)); /* it is for once */
	events_within(0, 0, 4);
	SHOW(read(a[0], buf, 10));
	/* what is not asked for, and what always is */
	cb = polling(a[0], 0, 3);
	SHOW(submit(&cb));
	SHOW(write(a[1], "x", 1));
	events_within(0, 0, 4);
	SHOW(close(a[1]));
	events(1, 4);
	/* a descriptor that is closed meanwhile */
	cb = polling(b[0], POLLIN, 4);
	SHOW(submit(&cb));
	SHOW(close(b[0]));
	SHOW(write(b[1], "x", 1));
	events(1, 4);
	/* somebody else's doing wakes who waits */
	SHOW(pipe(a));
	cb = polling(a[0], POLLIN | POLLRDNORM, 5);
	SHOW(submit(&cb));
	fflush(stdout);
	p = fork();
	if (!p) {
		usleep(100000);
		(void)!write(a[1], "x", 1);
		_exit(0);
	}
	events(1, 4);
	SHOW(waitpid(p, &w, 0) == p);
	SHOW(read(a[0], buf, 10));
	/* an eventfd that is told */
	cb = polling(a[0], POLLIN, 6);
	cb.aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = (unsigned)efd;
	SHOW(submit(&cb));
	SHOW(read(efd, &count, 8));
	SHOW(write(a[1], "x", 1));
	SHOW(poll(&(struct pollfd){efd, POLLIN, 0}, 1, 20000));
	SHOW(read(efd, &count, 8));
	events(1, 4);
	SHOW(read(a[0], buf, 10));
	/* an eventfd that is polled */
	cb = polling(efd, POLLIN, 7);
	SHOW(submit(&cb));
	count = 5;
	SHOW(write(efd, &count, 8));
	events(1, 4);
	/* taken back */
	cb = polling(a[0], POLLIN, 8);
	SHOW(syscall(SYS_io_cancel, ctx, &cb, e));
	SHOW(submit(&cb));
	SHOW(syscall(SYS_io_cancel, ctx, &cb, e));
	events(1, 4);
	SHOW(syscall(SYS_io_cancel, ctx, &cb, e));
	cb.aio_key = 1;
	SHOW(syscall(SYS_io_cancel, ctx, &cb, e));
	SHOW(syscall(SYS_io_cancel, ctx, 8, e));
	SHOW(syscall(SYS_io_cancel, 8, &cb, e));
	/* files that are always ready, or never */
	cb = polling(file, POLLIN | POLLOUT, 9);
	SHOW(submit(&cb));
	events(1, 4);
	cb = polling(file, POLLPRI, 10);
	SHOW(submit(&cb));
	/* what is wrong */
	cb = polling(999, POLLIN, 11);
	SHOW(submit(&cb));
	cb = polling(a[0], 0x10000 | POLLIN, 11);
	SHOW(submit(&cb));
	cb = polling(a[0], POLLIN, 11);
	cb.aio_nbytes = 1;
	SHOW(submit(&cb));
	cb.aio_nbytes = 0;
	cb.aio_offset = 1;
	SHOW(submit(&cb));
	cb.aio_offset = 0;
	cb.aio_rw_flags = 1;
	SHOW(submit(&cb));
	cb.aio_rw_flags = 0x100000;
	SHOW(submit(&cb));
	events_within(0, 0, 4);
	/* many at once, and some that are left over */
	for (int i = 0; i < 40; i++) {
		if (pipe(pairs[i]))
			printf("pipe: %m\n");
		many[i] = polling(pairs[i][0], POLLIN, 100 + (unsigned)i);
		if (submit(&many[i]) != 1)
			printf("%d: %m\n", i);
	}
	for (int i = 0; i < 40; i += 2)
		(void)!write(pairs[i][1], "x", 1);
	n = syscall(SYS_io_getevents, ctx, 20, 64, e, &ts);
	sum = 0;
	for (long i = 0; i < n; i++)
		sum += (long)e[i].data * ((e[i].res & ~unasked) == POLLIN);
	printf("%ld events, %ld\n", n, sum);
	SHOW(syscall(SYS_io_destroy, ctx));
	for (int i = 0; i < 40; i++) {
		(void)!write(pairs[i][1], "x", 1);
		close(pairs[i][0]);
		close(pairs[i][1]);
	}
	/* and some that are left over when the process ends */
	ctx = 0;
	SHOW(syscall(SYS_io_setup, 4, &ctx));
	cb = polling(a[0], POLLIN, 12);
	SHOW(submit(&cb));
	unasked = 0;
}

static void
memory(void)
{
	char *p = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *s;
	unsigned char vec[4] = {9, 9, 9, 9};
	int fd = open("pages", O_RDWR | O_CREAT, 0644),
	    pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct iovec v = {p, 8192};
	pid_t c;

	memset(p, 1, 16384);
	SHOW(mincore(p, 16384, vec));
	printf("%d %d %d %d\n", vec[0], vec[1], vec[2], vec[3]);
	SHOW(mincore(p + 1, 100, vec));
	SHOW(mincore(p, 16384, (void *)8));
	munmap(p + 8192, 4096);
	SHOW(mincore(p, 16384, vec));
	SHOW(syscall(SYS_process_madvise, pidfd, &v, 1, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise, pidfd, &v, 1, MADV_COLD, 1));
	SHOW(syscall(SYS_process_madvise, -1, &v, 1, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise, pidfd, &v, 1, 9999, 0));
	SHOW(syscall(SYS_process_mrelease, pidfd, 1));
	SHOW(syscall(SYS_process_mrelease, pidfd, 0));
	SHOW(syscall(SYS_process_mrelease, -1, 0));
	c = fork();
	if (!c)
		for (;;)
			pause();
	int cfd = (int)syscall(SYS_pidfd_open, c, 0);
	SHOW(syscall(SYS_process_madvise, cfd, &v, 1, MADV_COLD, 0));
	SHOW(syscall(SYS_process_madvise, cfd, &v, 1, MADV_DONTNEED, 0));
	kill(c, 9);
	waitpid(c, NULL, 0);
	SHOW(syscall(SYS_process_mrelease, cfd, 0));
	for (int i = 0; i < 4; i++) {
		char page[4096];

		memset(page, 'a' + i, sizeof page);
		write(fd, page, sizeof page);
	}
	s = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	SHOW(remap_file_pages(s, 4096, 0, 3, 0));
	SHOW(remap_file_pages(s + 4096, 4096, 0, 2, 0));
	printf("%c%c%c%c\n", s[0], s[4096], s[8192], s[12288]);
	SHOW(remap_file_pages(s, 4096, PROT_READ, 3, 0));
	SHOW(remap_file_pages(p, 4096, 0, 3, 0));
	SHOW(syscall(SYS_pkey_free, 99));
	SHOW(syscall(SYS_pkey_alloc, 1, 0));
	SHOW(syscall(SYS_pkey_alloc, 0, 8));
	SHOW(syscall(SYS_pkey_mprotect, p, 4096, PROT_READ, -1));
	SHOW(syscall(SYS_pkey_mprotect, p, 4096, PROT_READ, 99));
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOFBF, 65536);
	aio();
	polls();
	memory();
	return 0;
}
