/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of ptrace(2) share: one child, and what is seen of it. */
#ifndef TESTS_GUEST_TRACER_H
#define TESTS_GUEST_TRACER_H

#include "guest.h"
#include <elf.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

/* libc's header cannot stand beside the kernel's. */
extern long ptrace(int request, ...);

static pid_t child;
static volatile long value = 77; /* with which `traced` ends */

static inline void
show_status(const char *what, int st)
{
	if (WIFEXITED(st))
		printf("%s: exited %d\n", what, WEXITSTATUS(st));
	else if (WIFSIGNALED(st))
		printf("%s: killed by %d\n", what, WTERMSIG(st));
	else if (WIFSTOPPED(st))
		printf("%s: stopped by %d event %d\n", what, WSTOPSIG(st), st >> 16);
	else
		printf("%s: %x\n", what, st);
}

static inline int
wait_show(const char *what)
{
	int st = -1;
	pid_t p = waitpid(child, &st, __WALL);

	if (p != child)
		printf("%s: waitpid %s\n", what, p < 0 ? strerrorname_np(errno) : "another");
	else
		show_status(what, st);
	fflush(stdout);
	return st;
}

static inline void
show_siginfo(void)
{
	siginfo_t si;

	if (ptrace(PTRACE_GETSIGINFO, child, 0, &si))
		printf("   siginfo: %s\n", strerrorname_np(errno));
	else
		printf("   siginfo: signo %d code %x pid is the tracee's: %d\n", si.si_signo,
			si.si_code, si.si_pid == child);
}

static inline void
show_syscall_info(void)
{
	struct ptrace_syscall_info s = {0};
	long n = ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof s, &s);

	if (s.op == 2 && s.exit.rval == child)
		s.exit.rval = -7777; /* its pid */
	printf("   syscall info: %ld op %d arch %x", n, s.op, s.arch);
	if (s.op == 1)
		printf(" nr %llu args %llx", s.entry.nr, s.entry.args[0]);
	if (s.op == 2)
		printf(" rval %lld error %d", (long long)s.exit.rval, s.exit.is_error);
	if (s.op == 3)
		printf(" nr %llu data %u", s.seccomp.nr, s.seccomp.ret_data);
	printf("\n");
}

static inline pid_t
start(void (*fn)(void))
{
	fflush(stdout);
	child = fork();
	if (child == 0) {
		fn();
		_exit(33);
	}
	return child;
}

/* Wait until the child is in the call of this number. */
static inline void
until_in(long nr)
{
	char path[32], text[32], want[8];

	snprintf(path, sizeof path, "/proc/%d/syscall", child);
	snprintf(want, sizeof want, "%ld ", nr);
	for (int i = 0; i < 10000; i++) {
		int fd = open(path, O_RDONLY);
		ssize_t n = read(fd, text, sizeof text - 1);

		close(fd);
		text[n > 0 ? n : 0] = '\0';
		if (strncmp(text, want, strlen(want)) == 0)
			return;
		sleep_ms(1);
	}
	printf("never in call %ld\n", nr);
}

/* Each syscall of the tracee with its two stops, until it ends. */
static inline void
run_syscalls(int limit)
{
	struct user_regs_struct r;

	for (int i = 0; i < limit; i++) {
		int st;

		ptrace(PTRACE_SYSCALL, child, 0, 0);
		waitpid(child, &st, 0);
		if (!WIFSTOPPED(st)) {
			show_status("end", st);
			return;
		}
		if (WSTOPSIG(st) != (SIGTRAP | 0x80)) {
			show_status("other stop", st);
			continue;
		}
		ptrace(PTRACE_GETREGS, child, 0, &r);
		printf("syscall stop: nr %llu rax %lld\n", r.orig_rax,
			(pid_t)r.rax == child ? -7777 : (long long)r.rax);
		show_syscall_info();
	}
}

static inline void
traced(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	syscall(SYS_getpgid, 0x7fffffff);
	syscall(SYS_gettid);
	syscall(SYS_close, -1);
	_exit((int)value);
}

#endif
