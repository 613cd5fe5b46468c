/* SPDX-License-Identifier: Apache-2.0 */
/* What guest tests share: they print what they saw, and the same program run natively says what is
 * right. */
#ifndef TESTS_GUEST_H
#define TESTS_GUEST_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Print an expression's value, and errno's name when it is negative. */
#define SHOW(expr)                                                                                 \
	do {                                                                                       \
		errno = 0;                                                                         \
		long show_r = (long)(expr);                                                        \
		if (show_r == -1)                                                                  \
			printf("%s: -1 %s\n", #expr, strerrorname_np(errno));                      \
		else                                                                               \
			printf("%s: %ld\n", #expr, show_r);                                        \
	} while (0)

/* Whether it worked, for values that differ between runs. */
#define WORKS(expr)                                                                                \
	do {                                                                                       \
		errno = 0;                                                                         \
		long works_r = (long)(expr);                                                       \
		if (works_r < 0)                                                                   \
			printf("%s: %s\n", #expr, strerrorname_np(errno));                         \
		else                                                                               \
			printf("%s: ok\n", #expr);                                                 \
	} while (0)

#define TRUE(expr) printf("%s: %s\n", #expr, (expr) ? "true" : "false")

static inline long long
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static inline void
sleep_ms(int ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000L};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

/* Run fn in a process of its own, and say how it ended; not whether a core was dumped, which the
 * host's settings decide. */
static inline void
in_child(const char *what, void (*fn)(void))
{
	int st = -1;
	pid_t p;

	printf("--- %s\n", what);
	fflush(stdout);
	p = fork();
	if (p == 0) {
		fn();
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, &st, 0);
	printf("%s: status %x\n", what, st & ~0x80);
}

#endif
