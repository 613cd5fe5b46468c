/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that the guest image and the driver of the engine tests share. */
#ifndef TESTS_PLATFORM_GUEST_H
#define TESTS_PLATFORM_GUEST_H

enum {
	G_REPORT = 600, /* key, value */
	G_FORK,
	G_THREAD, /* function, stack, argument, fs base */
	G_SIGACTION,
	G_RAISE,
	G_MAPFD,
	G_WAITREPORT, /* key */
	G_WAITCHILD,
	G_CMPXCHG, /* address, old, new */
};

enum {
	G_CASE_CALLS = 1,
	G_CASE_CARRY,
	G_CASE_MAP,
	G_CASE_FORK,
	G_CASE_THREADS,
	G_CASE_SIGNAL,
	G_CASE_FAULTS,
	G_CASE_SPIN,
	G_CASE_SPIN_CALLS,
	G_CASE_FUTEX,
	G_CASE_BENCH,
	G_CASE_SCRIBBLE,
	G_CASE_JUMP,
};

#define G_TEXT	0x400000ul
#define G_MEM	0x10000000ul
#define G_MEMSZ 0x100000ul
#define G_STACK 0x20000000ul /* top */
#endif
