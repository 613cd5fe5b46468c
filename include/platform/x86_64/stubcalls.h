/* SPDX-License-Identifier: Apache-2.0 */
/* The host calls of stub processes (calls.def) and the filter that is made of them. Freestanding.
 */
#ifndef PLATFORM_X86_64_STUBCALLS_H
#define PLATFORM_X86_64_STUBCALLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Exact clone(2) flags that a stub may use: the filter pins them. */
/* VM | FS | FILES | SIGHAND | THREAD | SYSVSEM | PARENT_SETTID | CHILD_CLEARTID */
#define STUB_CLONE_THREAD 0x00350f00ul
/* PARENT | SIGCHLD: every process is a child of the sentry */
#define STUB_CLONE_PROCESS 0x00008011ul

/* The one descriptor that a stub may write to. */
#define STUB_BELL_FD 0

/* struct prctl_mm_map of prctl(2), PR_SET_MM_MAP, by words: a process whose arguments are
 * [start, end), and of which nothing else is told. */
#define STUB_MM_WORDS 13
static inline void
stub_mm_map(uint64_t w[STUB_MM_WORDS], uint64_t start, uint64_t end)
{
	for (int i = 0; i < 11; i++)
		w[i] = i == 1 || i == 8 ? end : start; /* the end of code, of arguments */
	w[11] = 0;				       /* no auxiliary vector */
	w[12] = 0xffffffff00000000u;		       /* the same, and no new executable: -1 */
}

/* A program that allows the calls of calls.def with the instruction pointer in [text, text + len),
 * text being a multiple of 4 GiB, and traps on everything else. buf: struct sock_fprog followed by
 * its instructions, linked for the address `at` where it will stand. Bytes or -errno. */
ssize_t x86_filter_make(void *buf, size_t cap, uint64_t at, uint64_t text, uint32_t len);

/* Newer than the C library may be. */
#ifndef __NR_futex_waitv
#define __NR_futex_waitv 449
#endif
#ifndef __NR_futex_wake
#define __NR_futex_wake	   454
#define __NR_futex_wait	   455
#define __NR_futex_requeue 456
#endif

#endif
