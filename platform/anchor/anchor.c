/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moat-anchor: the process by which engines know a container. Its number is in the pid file; who
 * wants to look at the container enters the namespaces of this process, whose mount namespace shows
 * the container's files and nothing else. It runs no code of the guest and holds nothing but a
 * socket to the sentry: signals that it is sent go there, and the status that comes from there is
 * how it ends. libmoat starts it (platform/host/anchor.c), when everything is in its place.
 *
 * No libc, no data, no heap: a few pages for as long as the container lives.
 */
#include "platform/host/ns.h"
#include "platform/host/raw.h"
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include "hostfilter_anchor.h" /* generated */

#define SIGNALS_FD (NS_CONTROL_FD + 1) /* as hostcalls.def has it */

static _Noreturn void
end(int32_t status)
{
	uint64_t none = 0;
	int sig = status & 127;

	if (sig) {
		host_call4(SYS_rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof none);
		host_call2(SYS_kill, host_call0(SYS_getpid), sig);
	}
	for (;;)
		host_call1(SYS_exit_group, sig ? 128 + sig : status >> 8 & 255);
}

_Noreturn void anchor_main(void);

_Noreturn void
anchor_main(void)
{
	struct sock_fprog filter = {sizeof filter_anchor / sizeof filter_anchor[0],
		(struct sock_filter *)(uintptr_t)filter_anchor};
	uint64_t all = ~0ull;
	struct pollfd p[2] = {
		{.fd = NS_CONTROL_FD, .events = POLLIN}, {.fd = SIGNALS_FD, .events = POLLIN}};
	struct signalfd_siginfo si;
	int32_t status;
	uint8_t signo;
	long n;

	host_call5(SYS_prctl, PR_SET_NAME, "moat-anchor", 0, 0, 0);
	host_call4(SYS_rt_sigprocmask, SIG_SETMASK, &all, 0, sizeof all);
	if (host_call4(SYS_signalfd4, -1, &all, sizeof all, 0) != SIGNALS_FD ||
		host_call3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) != 0)
		end(127 << 8);
	for (;;) {
		if (host_call3(SYS_poll, p, 2, -1) < 0)
			continue;
		if (p[0].revents) {
			n = host_call3(SYS_read, NS_CONTROL_FD, &status, sizeof status);
			/* The sentry is gone, and said nothing: it was killed. */
			end(n == sizeof status ? status : SIGKILL);
		}
		if (host_call3(SYS_read, SIGNALS_FD, &si, sizeof si) != sizeof si)
			continue;
		signo = (uint8_t)si.ssi_signo;
		host_call3(SYS_write, NS_CONTROL_FD, &signo, sizeof signo);
	}
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tand $-16, %rsp\n\tcall anchor_main\n");
