/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the keeper does. It shares its maker's memory, long after the thread that made it has gone,
 * and with that the thread-local storage that its registers still point to: nothing here may use
 * errno, a function of libc, or a stack protector (the module's makefile switches that off). Only
 * fn, while the maker waits, may.
 */
#include "keeper_run.h"
#include "platform/host/raw.h"
#include <errno.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

/* fn and arg go over on the new stack, which stays aligned. */
__asm__(".text\n"
	".globl keeper_clone\n"
	".hidden keeper_clone\n"
	".type keeper_clone, @function\n"
	"keeper_clone:\n"
	"	and $-16, %rsi\n"
	"	sub $16, %rsi\n"
	"	mov %rdi, (%rsi)\n"
	"	mov %rcx, 8(%rsi)\n"
	"	mov %rdx, %rdi\n"
	"	mov %r8, %rdx\n"
	"	xor %r10d, %r10d\n"
	"	xor %r8d, %r8d\n"
	"	mov $56, %eax\n" /* SYS_clone: flags, stack, pidfd, none, none */
	"	syscall\n"
	"	test %rax, %rax\n"
	"	jz 1f\n"
	"	ret\n"
	"1:	xor %ebp, %ebp\n"
	"	pop %rax\n"
	"	pop %rdi\n"
	"	call *%rax\n"
	"	mov %eax, %edi\n"
	"	mov $231, %eax\n" /* SYS_exit_group */
	"	syscall\n"
	"	hlt\n"
	".size keeper_clone, . - keeper_clone\n");

struct child {
	int pid, pidfd; /* -1: waited for */
};

struct keeping {
	struct keeper_shared *shared;
	int64_t measure_ns; /* not before, on CLOCK_MONOTONIC */
	int meter;	    /* who asks how much memory the first child's children have; or -1 */
	int sock, host, caller; /* caller: of a signal that says that it is gone; or -1 */
	int setup;		/* 0 or what went wrong */
	bool watching;
	int nchildren;
	struct child children[KEEPER_CHILDREN_MAX];
};

#define PTR(p)	    ((uint64_t)(uintptr_t)(p))
#define METER_SHARE 4
#define WAIT_MAX_NS 999999999

static void
close_fds(unsigned from, unsigned to)
{
	if (from > to || host_call3(SYS_close_range, from, to, 0) == 0)
		return;
	for (unsigned fd = from; fd <= to && fd < 65536; fd++)
		(void)host_call1(SYS_close, fd);
}

/* All from `from` on, but the two that are needed. */
static void
close_others(const struct keeping *k, unsigned from)
{
	unsigned a = (unsigned)k->sock, b = (unsigned)k->host;
	unsigned low = a < b ? a : b, high = a < b ? b : a;

	if (low > from)
		close_fds(from, low - 1);
	if (low + 1 > from)
		from = low + 1;
	if (high > from)
		close_fds(from, high - 1);
	close_fds(high + 1 > from ? high + 1 : from, ~0U);
}

/* What a guest makes nicer may be as before again (setpriority(2)). Where that takes a right that
 * is not there, it stays nicer. */
static void
allow_nice(void)
{
	/* the call's result is counted as the limit: 20 less the nice value */
	uint64_t want = (uint64_t)host_call2(SYS_getpriority, PRIO_PROCESS, 0), limit[2];

	if (want > 40 || host_call4(SYS_prlimit64, 0, RLIMIT_NICE, 0, PTR(limit)) < 0 ||
		limit[0] >= want)
		return;
	limit[0] = want;
	if (limit[1] < want)
		limit[1] = want;
	(void)host_call4(SYS_prlimit64, 0, RLIMIT_NICE, PTR(limit), 0);
}

static void
settle(struct keeping *k)
{
	/* As the kernel has it: handler, flags, restorer, mask. Ignored, it would hide how children
	 * end. All signals are blocked. */
	static const unsigned long by_default[4], term = 1UL << (SIGTERM - 1);

	(void)host_call4(SYS_rt_sigaction, SIGCHLD, PTR(by_default), 0, 8);
	(void)host_call2(SYS_prctl, PR_SET_NAME, PTR("moat-keeper"));
	/* Not in the host program's group: what is sent to that is for the program. */
	(void)host_call0(SYS_setsid);
	allow_nice();
	if (k->shared->net_fd >= 0)
		k->setup = (int)host_call2(SYS_setns, k->shared->net_fd, CLONE_NEWNET);
	close_others(k, 3);
	if (k->shared->die_with_caller) {
		k->caller = (int)host_call4(SYS_signalfd4, -1, PTR(&term), 8, SFD_CLOEXEC);
		(void)host_call5(SYS_prctl, PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
		if (k->setup == 0 && k->caller < 0)
			k->setup = k->caller;
	}
}

/* Takes the descriptors of a request to fds. The request, or -1 at the end. */
static int
receive(const struct keeping *k, int *fds, int *ret_nfds)
{
	unsigned char op = KEEPER_END;
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * KEEPER_FDS_MAX)];
	} control;
	struct iovec iov = {&op, 1};
	struct msghdr m;
	long n;

	m.msg_name = NULL;
	m.msg_namelen = 0;
	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	m.msg_control = &control;
	m.msg_controllen = sizeof control;
	m.msg_flags = 0;
	*ret_nfds = 0;
	do
		n = host_call3(SYS_recvmsg, k->sock, PTR(&m), MSG_CMSG_CLOEXEC);
	while (n == -EINTR);
	if (n != 1)
		return -1;
	if (m.msg_controllen >= sizeof control.head && control.head.cmsg_type == SCM_RIGHTS) {
		const int *from = (const int *)(const void *)CMSG_DATA(&control.head);

		*ret_nfds = (int)((control.head.cmsg_len - CMSG_LEN(0)) / sizeof(int));
		for (int i = 0; i < *ret_nfds; i++)
			fds[i] = from[i];
	}
	return op;
}

static void
send_reply(const struct keeping *k, int child, int value, int fd)
{
	struct keeper_reply r = {child, value};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {&r, sizeof r};
	struct msghdr m;

	m.msg_name = NULL;
	m.msg_namelen = 0;
	m.msg_iov = &iov;
	m.msg_iovlen = 1;
	m.msg_control = fd >= 0 ? &control : NULL;
	m.msg_controllen = fd >= 0 ? sizeof control : 0;
	m.msg_flags = 0;
	if (fd >= 0) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof fd);
		*(int *)(void *)CMSG_DATA(&control.head) = fd;
	}
	/* There is room for all that is ever sent. */
	(void)host_call3(SYS_sendmsg, k->sock, PTR(&m), MSG_DONTWAIT | MSG_NOSIGNAL);
}

struct vfork_arg {
	struct keeper_shared *shared;
	const int *fds;
};

static int
in_vfork(void *arg)
{
	struct vfork_arg *v = arg;

	v->shared->result = v->shared->fn(v->shared->arg, v->fds);
	return 0;
}

/* A child that shares the memory and ends when fn is done. */
static int
vfork_child(struct keeper_shared *s, const int *fds)
{
	struct vfork_arg v = {s, fds};
	int status, pid;

	s->result = -ECHILD;
	pid = (int)keeper_clone(in_vfork, s->vfork_stack, CLONE_VM | CLONE_VFORK, &v, NULL);
	if (pid < 0)
		return pid;
	while (host_call4(SYS_wait4, pid, PTR(&status), __WALL, 0) == -EINTR)
		;
	return s->result;
}

static void
make_child(struct keeping *k, int op, const int *fds)
{
	struct keeper_shared *s = k->shared;
	int pid = k->setup, pidfd = -1;

	if (pid == 0 && (k->watching || k->nchildren == KEEPER_CHILDREN_MAX))
		pid = -EINVAL;
	if (pid == 0 && op == KEEPER_FORK) {
		pid = (int)host_call5(SYS_clone, s->flags | SIGCHLD, 0, 0, 0, 0);
		if (pid == 0)
			(void)host_call1(SYS_exit_group, s->fn(s->arg, fds));
	} else if (pid == 0) {
		pid = vfork_child(s, fds);
	}
	if (pid > 0) {
		pidfd = (int)host_call2(SYS_pidfd_open, pid, 0);
		k->children[k->nchildren].pid = pid;
		k->children[k->nchildren++].pidfd = pidfd;
		/* Not one that cannot be held. */
		if (pidfd < 0) {
			(void)host_call2(SYS_kill, pid, SIGKILL);
			pid = pidfd;
		}
	}
	send_reply(k, -1, pid, pidfd);
}

static int
reap(struct child *c)
{
	int status = 0;

	while (host_call4(SYS_wait4, c->pid, PTR(&status), __WALL, 0) == -EINTR)
		;
	c->pid = -1;
	if (c->pidfd >= 0)
		(void)host_call1(SYS_close, c->pidfd);
	c->pidfd = -1;
	return status;
}

/* All at once, because each takes a while to take its namespaces down; the last one first: a pid
 * namespace's init is not quite gone before others in it, who came from outside, are waited for. */
static void
end_children(struct keeping *k)
{
	for (int i = 0; i < k->nchildren; i++)
		if (k->children[i].pid > 0)
			(void)host_call2(SYS_kill, k->children[i].pid, SIGKILL);
	for (int i = k->nchildren - 1; i >= 0; i--)
		if (k->children[i].pid > 0)
			(void)reap(&k->children[i]);
}

/* True: that was the last one. */
static bool
serve(struct keeping *k)
{
	int fds[KEEPER_FDS_MAX], nfds, op = receive(k, fds, &nfds);

	switch (op) {
	case KEEPER_FORK:
	case KEEPER_VFORK:
		make_child(k, op, fds);
		break;
	case KEEPER_METER:
		if (nfds == 1)
			k->meter = fds[0];
		return false;
	case KEEPER_WATCH:
		k->watching = true;
		/* The host program's streams, and whose directory is to be unmounted. */
		for (int i = 0; i < 3; i++)
			if (i != k->sock && i != k->host)
				(void)host_call1(SYS_close, i);
		(void)host_call1(SYS_chdir, PTR("/"));
		break;
	case KEEPER_LEAVE:
		return true;
	default:
		end_children(k);
		return true;
	}
	for (int i = 0; i < nfds; i++)
		(void)host_call1(SYS_close, fds[i]);
	return false;
}

static int64_t
now_ns(void)
{
	struct timespec t = {0, 0};

	(void)host_call2(SYS_clock_gettime, CLOCK_MONOTONIC, PTR(&t));
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Who asks is not trusted: no more than one part in METER_SHARE of the time is spent on it. */
static void
answer_meter(struct keeping *k)
{
	struct meter_answer a = {-ESRCH, 0, 0};
	int64_t start = now_ns();
	unsigned char what;

	if (host_call3(SYS_read, k->meter, PTR(&what), 1) == 1) {
		if (k->nchildren && k->children[0].pid > 0)
			keeper_measure(k->children[0].pid, what, &a);
		k->measure_ns = now_ns() + (now_ns() - start) * (METER_SHARE - 1);
		if (host_call6(SYS_sendto, (uint64_t)k->meter, PTR(&a), sizeof a,
			    MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0) == sizeof a)
			return;
	}
	(void)host_call1(SYS_close, k->meter);
	k->meter = -1;
}

int
keeper_run(void *shared)
{
	struct keeping k;

	k.shared = shared;
	k.sock = k.shared->sock;
	k.host = k.shared->host;
	k.setup = 0;
	k.measure_ns = 0;
	k.caller = k.meter = -1;
	k.watching = false;
	k.nchildren = 0;
	settle(&k);
	for (;;) {
		struct pollfd p[4 + KEEPER_CHILDREN_MAX];
		struct timespec wait;
		unsigned n = 4;

		p[0] = (struct pollfd){.fd = k.sock, .events = POLLIN};
		p[1] = (struct pollfd){.fd = k.host, .events = POLLIN};
		p[2] = (struct pollfd){.fd = k.caller, .events = POLLIN};
		wait.tv_sec = 0;
		wait.tv_nsec = k.meter >= 0 && k.measure_ns ? k.measure_ns - now_ns() : 0;
		if (wait.tv_nsec <= 0)
			k.measure_ns = 0;
		else if (wait.tv_nsec > WAIT_MAX_NS)
			wait.tv_nsec = WAIT_MAX_NS;
		p[3] = (struct pollfd){.fd = k.measure_ns ? -1 : k.meter, .events = POLLIN};
		for (int i = 0; k.watching && i < k.nchildren; i++, n++)
			p[n] = (struct pollfd){.fd = k.children[i].pidfd, .events = POLLIN};
		if (host_call5(SYS_ppoll, PTR(p), n, k.measure_ns ? PTR(&wait) : 0, 0, 8) < 0)
			continue;
		for (int i = 0; i < (int)n - 4; i++)
			if (p[i + 4].revents && k.children[i].pid > 0)
				send_reply(&k, i, reap(&k.children[i]), -1);
		if (p[1].revents || p[2].revents) {
			end_children(&k);
			return 0;
		}
		if (p[0].revents && serve(&k))
			return 0;
		if (p[3].revents)
			answer_meter(&k);
	}
}
