/* SPDX-License-Identifier: Apache-2.0 */
/*
 * moat-anchor: the process by which engines know a container. Its number is in the pid file; who
 * wants to look at the container enters the namespaces of this process, whose mount namespace shows
 * the container's files and nothing else. It runs no code of the guest and holds nothing but a
 * socket to the sentry: signals that it is sent go there, and the status that comes from there is
 * how it ends. When the network namespace that it is in is not that of the sentry, there is another
 * socket, by which the sentry asks for sockets in it. libmoat starts it (platform/host/anchor.c),
 * when everything is in its place.
 *
 * No libc, no data, no heap: a few pages for as long as the container lives.
 */
#include "platform/host/anchor.h"
#include "platform/host/ns.h"
#include "platform/host/raw.h"
#include "platform/host/socket.h"
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "hostfilter_anchor.h" /* generated */

#define SIGNALS_FD (NS_CONTROL_FD + 1) /* as hostcalls.def has them */
#define MAKER_FD   ANCHOR_MAKER_FD

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

/* False: nobody will ask any more. */
static bool
make_socket(void)
{
	struct host_socket_request q;
	struct host_socket_reply a;
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec v = {&a, sizeof a};
	struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
	long fd;

	if (host_call3(SYS_read, MAKER_FD, &q, sizeof q) != sizeof q)
		return false;
	fd = host_call3(SYS_socket, q.family, q.type | SOCK_NONBLOCK | SOCK_CLOEXEC, q.protocol);
	a.number = q.number;
	a.err = fd < 0 ? (int32_t)fd : 0;
	if (fd >= 0) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int));
		*(int *)(void *)CMSG_DATA(&control.head) = (int)fd;
		m.msg_control = &control;
		m.msg_controllen = sizeof control;
	}
	host_call3(SYS_sendmsg, MAKER_FD, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (fd >= 0)
		host_call1(SYS_close, fd);
	return true;
}

_Noreturn void anchor_main(void);

_Noreturn void
anchor_main(void)
{
	struct sock_fprog filter = {sizeof filter_anchor / sizeof filter_anchor[0],
		(struct sock_filter *)(uintptr_t)filter_anchor};
	uint64_t all = ~0ull;
	struct pollfd p[3] = {{.fd = NS_CONTROL_FD, .events = POLLIN},
		{.fd = SIGNALS_FD, .events = POLLIN}, {.fd = MAKER_FD, .events = POLLIN}};
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
		if (host_call3(SYS_poll, p, 3, -1) < 0)
			continue;
		if (p[0].revents) {
			n = host_call3(SYS_read, NS_CONTROL_FD, &status, sizeof status);
			/* The sentry is gone, and said nothing: it was killed. */
			end(n == sizeof status ? status : SIGKILL);
		}
		/* One that there is not shows as POLLNVAL. */
		if (p[2].revents && (p[2].revents & POLLNVAL || !make_socket()))
			p[2].fd = -1;
		if (!p[1].revents)
			continue;
		if (host_call3(SYS_read, SIGNALS_FD, &si, sizeof si) != sizeof si)
			continue;
		signo = (uint8_t)si.ssi_signo;
		host_call3(SYS_write, NS_CONTROL_FD, &signo, sizeof signo);
	}
}

__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tand $-16, %rsp\n\tcall anchor_main\n");
