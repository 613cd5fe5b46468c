/* SPDX-License-Identifier: Apache-2.0 */
#include "sentry/sysctl/sysctl.h"

_Atomic int64_t sysctl_values[SYSCTL_SLOTS] = {
#define SYSCTL_ALL
#define SYSCTL_TEXT(...)
#define SYSCTL_CONST(...)
#define DEFAULTS(which, name, mode, kind, low, high, n, ...) __VA_ARGS__,
#define SYSCTL_VALUE(...)				     DEFAULTS(__VA_ARGS__)
#include "sentry/sysctl/sysctl.def"
};

static int64_t
between(uint64_t v, int64_t low, int64_t high)
{
	return v < (uint64_t)low ? low : v > (uint64_t)high ? high : (int64_t)v;
}

void
sysctl_init(uint64_t memory_bytes)
{
	/* set_max_threads(): their stacks in the kernel are an eighth of the memory */
	sysctl_set(SYSCTL_THREADS_MAX, between(memory_bytes / (8 * 16384), 20, 32768));
	/* init_user_reserve() */
	sysctl_set(SYSCTL_USER_RESERVE_KBYTES, between(memory_bytes / 1024 / 32, 0, 131072));
	/* eventpoll_init(): 4% of the memory, 184 bytes each */
	sysctl_set(SYSCTL_EPOLL_MAX_USER_WATCHES, between(memory_bytes / 25 / 184, 0, 1000000));
}
