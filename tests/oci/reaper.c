/* SPDX-License-Identifier: Apache-2.0 */
/* As an engine's shim: run a command whose orphans come here, wait for the process named in a file,
 * and say how it ended. usage: reaper PID-FILE COMMAND... */
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	int status, pid = 0;
	pid_t child, p;
	FILE *f;

	if (argc < 3)
		return 2;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	child = fork();
	if (child == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	waitpid(child, &status, 0);
	printf("command %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	f = fopen(argv[1], "r");
	if (!f || fscanf(f, "%d", &pid) != 1)
		return 1;
	while ((p = waitpid(-1, &status, 0)) > 0 && p != pid)
		;
	if (p == pid && WIFSIGNALED(status))
		printf("killed %d\n", WTERMSIG(status));
	else if (p == pid)
		printf("ended %d\n", WEXITSTATUS(status));
	return p == pid ? 0 : 1;
}
