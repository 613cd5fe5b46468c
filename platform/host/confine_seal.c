/* SPDX-License-Identifier: Apache-2.0 */
/* The filter on host calls; see platform/host/hostcalls.def, from which the programs are made at
 * build time. */
#include "base/log.h"
#include "platform/host/confine.h"
#include "platform/host/err.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hostfilters.h" /* generated */

#define PROGRAM(f)                                                                                 \
	{                                                                                          \
		sizeof(f) / sizeof((f)[0]), (struct sock_filter *)(uintptr_t)(f)                   \
	}

static const struct sock_fprog programs[] = {
	[CONFINE_BRIDGE] = PROGRAM(filter_bridge),
	[CONFINE_GOFER] = PROGRAM(filter_gofer),
	[CONFINE_SENTRY_TRAP] = PROGRAM(filter_sentry_trap),
	[CONFINE_SENTRY_PTRACE] = PROGRAM(filter_sentry_ptrace),
	[CONFINE_SENTRY_TRAP_HOSTNET] = PROGRAM(filter_sentry_trap_hostnet),
	[CONFINE_SENTRY_PTRACE_HOSTNET] = PROGRAM(filter_sentry_ptrace_hostnet),
};

/* The call was not made. Whoever tried it is broken or taken over: say so and end. */
static void
forbidden(int sig, siginfo_t *si, void *ctx)
{
	(void)sig, (void)ctx;
	log_error("host call %d is not in the list of allowed ones (platform/host/hostcalls.def); "
		  "the process ends",
		si->si_syscall);
	_exit(125);
}

int
confine_seal(enum confine_filter which, char *err, size_t cap)
{
	struct sigaction sa = {.sa_sigaction = forbidden, .sa_flags = SA_SIGINFO};
	long r;

	sigaction(SIGSYS, &sa, NULL);
	r = HOST(syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &programs[which]));
	if (r == 0)
		return 0;
	snprintf(err, cap, "cannot install the filter on host calls (seccomp): %s",
		r > 0 ? "a thread has another one" : strerror((int)-r));
	return r > 0 ? -ESRCH : (int)r;
}
