/* SPDX-License-Identifier: Apache-2.0 */
/* What another process might do between two steps of a command: run a command, and when it is about
 * to make its first system call of that number, a shell command before that.
 * usage: meanwhile NUMBER SHELL-COMMAND COMMAND... */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	long number = argc > 3 ? atol(argv[1]) : -1;
	int status, done = 0;
	pid_t child;

	if (number < 0)
		return 2;
	child = fork();
	if (child == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	waitpid(child, &status, 0); /* by its exec */
	ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	for (int signo = 0; WIFSTOPPED(status); waitpid(child, &status, 0)) {
		struct user_regs_struct r;

		signo = WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == (SIGTRAP | 0x80)
				? 0
				: WSTOPSIG(status);
		if (!done && WSTOPSIG(status) == (SIGTRAP | 0x80)) {
			ptrace(PTRACE_GETREGS, child, NULL, &r);
			if ((long)r.orig_rax == number) {
				done = 1;
				if (system(argv[2]) != 0)
					return 3;
			}
		}
		ptrace(done ? PTRACE_CONT : PTRACE_SYSCALL, child, NULL, (void *)(long)signo);
	}
	if (!done)
		return 4;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
