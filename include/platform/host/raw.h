/* SPDX-License-Identifier: Apache-2.0 */
/* Host system calls without errno: the result or -errno. For code that must not touch thread-local
 * state (a fiber may resume on another worker), and for the engines. */
#ifndef HOST_RAW_H
#define HOST_RAW_H

#include <stdint.h>
#include <sys/syscall.h>

static inline long
host_call6(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#define HOST_ARG(x)		((uint64_t)(x))
#define host_call0(nr)		host_call6(nr, 0, 0, 0, 0, 0, 0)
#define host_call1(nr, a)	host_call6(nr, HOST_ARG(a), 0, 0, 0, 0, 0)
#define host_call2(nr, a, b)	host_call6(nr, HOST_ARG(a), HOST_ARG(b), 0, 0, 0, 0)
#define host_call3(nr, a, b, c) host_call6(nr, HOST_ARG(a), HOST_ARG(b), HOST_ARG(c), 0, 0, 0)
#define host_call4(nr, a, b, c, d)                                                                 \
	host_call6(nr, HOST_ARG(a), HOST_ARG(b), HOST_ARG(c), HOST_ARG(d), 0, 0)
#define host_call5(nr, a, b, c, d, e)                                                              \
	host_call6(nr, HOST_ARG(a), HOST_ARG(b), HOST_ARG(c), HOST_ARG(d), HOST_ARG(e), 0)

/* True for what a raw call gives instead of an address on failure. */
static inline int
host_is_err(long r)
{
	return r < 0 && r > -4096;
}
/* Calls of a child that is a copy of a process with other threads, before its exec: what a libc (or
 * a sanitizer in its place) does beside the call may wait for a lock that one of those held. */
static inline int
raw_open(int dir, const char *path, int flags)
{
	return (int)host_call3(SYS_openat, dir, (uintptr_t)path, flags);
}

static inline long
raw_read(int fd, void *buf, unsigned long n)
{
	long r;

	do
		r = host_call3(SYS_read, fd, (uintptr_t)buf, n);
	while (r == -4 /* EINTR */);
	return r;
}

static inline long
raw_write(int fd, const void *buf, unsigned long n)
{
	return host_call3(SYS_write, fd, (uintptr_t)buf, n);
}

static inline void
raw_close(int fd)
{
	(void)host_call1(SYS_close, fd);
}

static inline int
raw_fcntl(int fd, int cmd, long arg)
{
	return (int)host_call3(SYS_fcntl, fd, cmd, arg);
}

static inline int
raw_dup2(int from, int to)
{
	return (int)host_call2(SYS_dup2, from, to);
}

static inline _Noreturn void
raw_exit(int status)
{
	for (;;)
		(void)host_call1(SYS_exit_group, status);
}

#endif
