/* SPDX-License-Identifier: Apache-2.0 */
/* Values of /proc/sys that belong to a pid namespace, in namespaces of the test's own. */
#include "sysctl_file.h"
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define MFD_NOEXEC_SEAL 8u
#define MFD_EXEC	16u

static pid_t
child(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return pid;
}

static void
numbers(void)
{
	pid_t held[8];
	int n = 0;

	sysctl_set("kernel/ns_last_pid", "70\n");
	SHOW(child());
	SHOW(child());
	sysctl_set("kernel/ns_last_pid", "-1");
	sysctl_set("kernel/ns_last_pid", "many");
	sysctl_set("kernel/pid_max", "0x200");
	sysctl_set("kernel/pid_max", "300");
	sysctl_set("kernel/pid_max", "4194305");
	sysctl_set("kernel/pid_max", "301");
	sysctl_set("kernel/ns_last_pid", "302");
	sysctl_set("kernel/ns_last_pid", "298");
	/* 299 and 300 are there, and then round to 300 again, which is taken */
	while (n < 8 && (held[n] = fork()) >= 0) {
		if (held[n] == 0) {
			pause();
			_exit(0);
		}
		printf("%d\n", held[n]);
		n++;
	}
	printf("%s\n", strerrorname_np(errno));
	while (n > 0) {
		kill(held[--n], SIGKILL);
		waitpid(held[n], NULL, 0);
	}
	sysctl_set("kernel/pid_max", "1000");
	SHOW(child());
}

static void
nested(void)
{
	sysctl_set("kernel/pid_max", "2000");
	sysctl_set("kernel/ns_last_pid", "1500");
	SHOW(child());
}

static void
nobody(void)
{
	if (setresuid(1000, 1000, 1000))
		perror("setresuid");
	sysctl_set("kernel/pid_max", "400");
	sysctl_set("kernel/ns_last_pid", "10");
	sysctl_set("vm/memfd_noexec", "1");
}

static void
sealed(void)
{
	int fd = memfd_create("x", 0);
	struct stat st;

	SHOW(fcntl(fd, F_GET_SEALS));
	SHOW(fstat(fd, &st));
	printf("%o\n", st.st_mode);
	WORKS(memfd_create("x", MFD_EXEC));
	WORKS(memfd_create("x", MFD_NOEXEC_SEAL));
}

static void
noexec(void)
{
	sysctl_set("vm/memfd_noexec", "3");
	sealed();
	sysctl_set("vm/memfd_noexec", "1");
	sealed();
	sysctl_set("vm/memfd_noexec", "2");
	sealed();
	if (unshare(CLONE_NEWPID))
		perror("unshare");
	in_child("below", sealed);
}

static void
first(void)
{
	in_child("numbers", numbers);
	in_child("nobody", nobody);
	if (unshare(CLONE_NEWPID))
		perror("unshare");
	in_child("nested", nested);
}

/* Nothing of the host's may be changed: as the first process of a namespace. */
static void
own(void (*fn)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		if (unshare(CLONE_NEWPID))
			_exit(77);
		pid = fork();
		if (pid == 0) {
			if (getpid() != 1)
				_exit(1);
			fn();
			exit(0);
		}
		waitpid(pid, NULL, 0);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

int
main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0) {
		printf("needs root\n");
		return 77;
	}
	own(first);
	own(noexec);
	return 0;
}
