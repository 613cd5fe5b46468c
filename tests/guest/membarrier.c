/* SPDX-License-Identifier: Apache-2.0 */
/* membarrier(2): who has registered for what, and that it is a barrier: of two threads that each
 * store and then load what the other stores, at least one sees the other's store. */
#include "guest.h"
#include <errno.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* What this test is about: a newer host has more. */
#define KNOWN                                                                                      \
	(MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |                                 \
		MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED | MEMBARRIER_CMD_PRIVATE_EXPEDITED |      \
		MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
#define REGISTRATIONS 512 /* MEMBARRIER_CMD_GET_REGISTRATIONS, Linux 6.3 */

/* A negative number is that of an error. */
static long
membarrier(int cmd, unsigned flags)
{
	long r = syscall(SYS_membarrier, cmd, flags, 0);

	return r < 0 ? -errno : r;
}

static void
registered(void)
{
	int status;

	TRUE((membarrier(MEMBARRIER_CMD_QUERY, 0) & KNOWN) == KNOWN);
	SHOW(membarrier(MEMBARRIER_CMD_QUERY, 1));
	SHOW(membarrier(3, 0));
	SHOW(membarrier(-1, 0));
	SHOW(membarrier(MEMBARRIER_CMD_GLOBAL, 1));
	SHOW(membarrier(REGISTRATIONS, 0));
	SHOW(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0));
	SHOW(membarrier(MEMBARRIER_CMD_GLOBAL, 0));
	SHOW(membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0));
	SHOW(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0));
	SHOW(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0));
	SHOW(membarrier(REGISTRATIONS, 0));
	SHOW(membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0));
	SHOW(membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0));
	SHOW(membarrier(REGISTRATIONS, 0));
	/* It is the memory that is registered: a copy of it is, what is executed in it is not. */
	if (!fork()) {
		SHOW(membarrier(REGISTRATIONS, 0));
		SHOW(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0));
		fflush(stdout);
		execl("/proc/self/exe", "membarrier", "executed", NULL);
		_exit(1);
	}
	SHOW(wait(&status) > 0);
	SHOW(status);
}

/* Neither has a barrier of its own but the compiler's. */
static volatile int mine, others;
static atomic_int turn, saw, ends;

static void *
other(void *arg)
{
	for (int i = 1; !ends; i++) {
		while (turn < i)
			if (ends)
				return arg;
		others = i;
		atomic_signal_fence(memory_order_seq_cst);
		saw = mine == i;
		atomic_store(&turn, -i);
		while (turn == -i && !ends) {
		}
	}
	return arg;
}

static void
is_one(int cmd)
{
	pthread_t t;
	int bad = 0;

	mine = others = turn = ends = 0;
	pthread_create(&t, NULL, other, NULL);
	for (int i = 1; i <= 2000; i++) {
		int seen;

		turn = i;
		mine = i;
		membarrier(cmd, 0);
		seen = others == i;
		while (turn != -i) {
		}
		bad += !seen && !saw;
	}
	ends = 1;
	pthread_join(t, NULL);
	SHOW(bad);
}

int
main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOFBF, 1 << 16);
	if (argc > 1) {
		puts(argv[1]);
		SHOW(membarrier(REGISTRATIONS, 0));
		SHOW(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0));
		return 0;
	}
	registered();
	is_one(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	is_one(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
	return 0;
}
