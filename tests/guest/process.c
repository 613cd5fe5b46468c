/* SPDX-License-Identifier: Apache-2.0 */
/* fork, exec, exit, wait in all their forms; reparenting; groups and sessions; pidfds. */
#include "guest.h"
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void
show_status(const char *what, int st)
{
	if (WIFEXITED(st))
		printf("%s: exited %d\n", what, WEXITSTATUS(st));
	else if (WIFSIGNALED(st))
		printf("%s: killed %d core %d\n", what, WTERMSIG(st), !!WCOREDUMP(st));
	else if (WIFSTOPPED(st))
		printf("%s: stopped %d\n", what, WSTOPSIG(st));
	else if (WIFCONTINUED(st))
		printf("%s: continued\n", what);
}

static pid_t
child(void (*fn)(void))
{
	pid_t p;

	fflush(stdout);
	p = fork();
	if (p == 0) {
		fn();
		fflush(stdout);
		_exit(0);
	}
	return p;
}

static void
die_7(void)
{
	_exit(7);
}

static void
die_term(void)
{
	raise(SIGTERM);
}

static void
die_segv(void)
{
	*(volatile int *)8 = 1;
}

static void
wait_forever(void)
{
	for (;;)
		pause();
}

static void
stop_then_3(void)
{
	raise(SIGSTOP);
	sleep_ms(200); /* it has to be seen that it goes on */
	_exit(3);
}

static void
test_wait(void)
{
	siginfo_t si;
	int st;
	pid_t p, q;

	p = child(die_7);
	TRUE(waitpid(p, &st, 0) == p);
	show_status("exit", st);
	p = child(die_term);
	waitpid(p, &st, 0);
	show_status("term", st);
	p = child(die_segv);
	waitpid(p, &st, 0);
	show_status("segv", st);
	SHOW(waitpid(-1, &st, 0));
	SHOW(waitpid(p, &st, 0));
	SHOW(waitpid(-1, &st, 0x1234567));

	p = child(wait_forever);
	SHOW(waitpid(p, &st, WNOHANG));
	memset(&si, 0xff, sizeof si);
	SHOW(waitid(P_PID, p, &si, WEXITED | WNOHANG));
	printf("no child ready: signo %d pid %d\n", si.si_signo, si.si_pid);
	kill(p, SIGKILL);
	memset(&si, 0, sizeof si);
	SHOW(waitid(P_PID, p, &si, WEXITED | WNOWAIT));
	printf("waitid: signo %d code %d status %d pid ok %d\n", si.si_signo, si.si_code,
		si.si_status, si.si_pid == p);
	SHOW(waitid(P_PID, p, &si, WEXITED));
	SHOW(waitid(P_PID, p, &si, WEXITED));
	SHOW(waitid(P_PID, p, &si, 0));

	p = child(stop_then_3);
	waitpid(p, &st, WUNTRACED);
	show_status("stop", st);
	SHOW(waitpid(p, &st, WUNTRACED | WNOHANG));
	kill(p, SIGCONT);
	waitpid(p, &st, WCONTINUED);
	show_status("cont", st);
	waitpid(p, &st, 0);
	show_status("end", st);

	p = child(die_7);
	q = child(die_term);
	setpgid(q, 0);
	waitpid(p, &st, 0);
	TRUE(waitpid(-q, &st, 0) == q || waitpid(q, &st, 0) == q);
}

static int shared;

static void
test_vfork(void)
{
	pid_t p;
	int st;

	fflush(stdout);
	p = vfork();
	if (p == 0) {
		shared = 42;
		_exit(5);
	}
	waitpid(p, &st, 0);
	show_status("vfork", st);
	printf("memory is shared: %d\n", shared);

	fflush(stdout);
	p = vfork();
	if (p == 0) {
		execl("/nonexistent", "x", NULL);
		_exit(errno == ENOENT ? 11 : 12);
	}
	waitpid(p, &st, 0);
	show_status("vfork and a failing exec", st);
}

static int
thread_fn(void *arg)
{
	*(int *)arg = 77;
	return 9;
}

static void
test_clone(void)
{
	char *stack = malloc(65536);
	int flag = 0, st;
	pid_t p = clone(thread_fn, stack + 65536, CLONE_VM | SIGCHLD, &flag);

	waitpid(p, &st, 0);
	show_status("clone", st);
	SHOW(flag);
	flag = 0;
	p = clone(thread_fn, stack + 65536, CLONE_VM, &flag); /* tells by no signal */
	errno = 0;
	TRUE(waitpid(p, &st, 0) == -1 && errno == ECHILD);
	TRUE(waitpid(p, &st, __WCLONE) == p);
	SHOW(flag);
	SHOW(clone(thread_fn, stack + 65536, CLONE_SIGHAND | SIGCHLD, &flag));
	SHOW(clone(thread_fn, stack + 65536, CLONE_THREAD | CLONE_VM | SIGCHLD, &flag));
	free(stack);
}

static void
test_reparent(void)
{
	int st, fds[2];
	pid_t me = getpid(), p;
	char c;

	SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
	if (pipe(fds))
		abort();
	fflush(stdout);
	p = fork();
	if (p == 0) {
		pid_t mid = getpid();

		if (fork() == 0) {
			while (getppid() == mid)
				sleep_ms(1);
			c = getppid() == me ? 'y' : 'n';
			_exit(write(fds[1], &c, 1) != 1);
		}
		_exit(0);
	}
	waitpid(p, &st, 0);
	if (read(fds[0], &c, 1) != 1)
		c = '?';
	printf("the subreaper is the new parent: %c\n", c);
	TRUE(wait(&st) > 0);
	show_status("orphan", st);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	close(fds[0]);
	close(fds[1]);
}

static void
test_groups(void)
{
	pid_t p;
	int st, fds[2];
	char c;

	if (pipe(fds))
		abort();
	fflush(stdout);
	p = fork();
	if (p == 0) {
		TRUE(setsid() == getpid());
		TRUE(getsid(0) == getpid() && getpgrp() == getpid());
		SHOW(setsid());
		SHOW(setpgid(0, 0));
		fflush(stdout);
		if (fork() == 0) {
			SHOW(setpgid(0, 0));
			TRUE(getpgrp() == getpid());
			SHOW(setpgid(0, 1));
			fflush(stdout);
			c = 'x';
			_exit(write(fds[1], &c, 1) != 1);
		}
		wait(&st);
		_exit(0);
	}
	if (read(fds[0], &c, 1) != 1)
		puts("no child");
	waitpid(p, &st, 0);
	SHOW(setpgid(-1, 0));
	SHOW(setpgid(0, -1));
	SHOW(getpgid(99999));
	SHOW(getsid(99999));
	SHOW(kill(99999, 0));
	SHOW(kill(getpid(), 0));
	SHOW(kill(getpid(), 65));
	close(fds[0]);
	close(fds[1]);
}

static void
test_exec(char *self)
{
	char *env[] = {"A=1", "B=two words", NULL};
	char *args[] = {self, "--child", "arg 2", "", NULL};
	int st, fd = open("/dev/null", O_RDONLY), fd2 = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t p;

	dup2(fd, 50);
	dup3(fd2, 51, O_CLOEXEC);
	fflush(stdout);
	p = fork();
	if (p == 0) {
		signal(SIGUSR1, SIG_IGN);
		signal(SIGUSR2, (void (*)(int))die_7);
		sigset_t s;
		sigemptyset(&s);
		sigaddset(&s, SIGHUP);
		sigprocmask(SIG_BLOCK, &s, NULL);
		execve("/proc/self/exe", args, env);
		_exit(99);
	}
	waitpid(p, &st, 0);
	show_status("exec", st);
	SHOW(execve("/", args, env));
	SHOW(execve("/etc/passwd", args, env));
	SHOW(execve("/nonexistent/x", args, env));
	SHOW(execve("", args, env));
	SHOW(execve((char *)1, args, env));
	{
		int f = open("script", O_CREAT | O_WRONLY | O_TRUNC, 0755);

		if (write(f, "#!/bin/sh -e\necho script \"$0\" \"$@\"\nexit 4\n", 43) != 43)
			abort();
		close(f);
		fflush(stdout);
		if ((p = fork()) == 0) {
			char *a[] = {"name", "one", "two", NULL};
			execve("./script", a, env);
			_exit(99);
		}
		waitpid(p, &st, 0);
		show_status("script", st);
		chmod("script", 0644);
		SHOW(execve("./script", args, env));
		f = open("bad", O_CREAT | O_WRONLY | O_TRUNC, 0755);
		if (write(f, "#!/nonexistent/interp\n", 22) != 22)
			abort();
		close(f);
		SHOW(execve("./bad", args, env));
		f = open("bad", O_WRONLY | O_TRUNC);
		if (write(f, "\177ELF\2\1\1 garbage", 15) != 15)
			abort();
		close(f);
		SHOW(execve("./bad", args, env));
		unlink("bad");
		unlink("script");
	}
	close(50);
	close(51);
	close(fd);
	close(fd2);
}

static int
exec_child(int argc, char **argv, char **envp)
{
	struct sigaction sa;
	sigset_t s;

	printf("argc %d last '%s' arg '%s'\n", argc, argv[argc - 1], argv[2]);
	for (; *envp; envp++)
		printf("env %s\n", *envp);
	SHOW(fcntl(50, F_GETFD));
	SHOW(fcntl(51, F_GETFD));
	sigaction(SIGUSR1, NULL, &sa);
	TRUE(sa.sa_handler == SIG_IGN);
	sigaction(SIGUSR2, NULL, &sa);
	TRUE(sa.sa_handler == SIG_DFL);
	sigprocmask(SIG_BLOCK, NULL, &s);
	TRUE(sigismember(&s, SIGHUP));
	TRUE(sigismember(&s, SIGINT));
	return 23;
}

static void
test_pidfd(void)
{
	pid_t p = child(wait_forever);
	int fd = (int)syscall(SYS_pidfd_open, p, 0);
	struct pollfd pf = {.fd = fd, .events = POLLIN};
	siginfo_t si = {0};

	WORKS(fd);
	SHOW(poll(&pf, 1, 0));
	SHOW(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
	SHOW(poll(&pf, 1, 5000));
	SHOW(waitid(P_PIDFD, fd, &si, WEXITED));
	printf("pidfd: code %d status %d\n", si.si_code, si.si_status);
	SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	/* The directory of a process stands for it too. */
	fd = open("/proc/self", O_RDONLY | O_DIRECTORY);
	SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	close(fd);
	fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
	close(fd);
	SHOW(syscall(SYS_pidfd_open, 0, 0));
	SHOW(syscall(SYS_pidfd_open, 99999, 0));
	close(fd);
}

static void
test_usage(void)
{
	struct rusage ru;
	struct rlimit rl = {100, 200}, old;
	volatile unsigned long x = 0;
	clock_t end = clock() + 5 * CLOCKS_PER_SEC;

	/* How the time is split into user's and system's is sampled: a short run may have none of
	 * the one. */
	do {
		for (unsigned long i = 0; i < 3000000; i++)
			x += i;
		getrusage(RUSAGE_SELF, &ru);
	} while (ru.ru_utime.tv_sec * 1000000L + ru.ru_utime.tv_usec <= 1000 && clock() < end);
	SHOW(getrusage(RUSAGE_SELF, &ru));
	TRUE(ru.ru_utime.tv_sec * 1000000L + ru.ru_utime.tv_usec > 1000);
	SHOW(getrusage(5, &ru));
	getrlimit(RLIMIT_NOFILE, &old);
	SHOW(setrlimit(RLIMIT_NOFILE, &rl));
	getrlimit(RLIMIT_NOFILE, &rl);
	printf("limits %ld %ld\n", (long)rl.rlim_cur, (long)rl.rlim_max);
	SHOW(dup2(0, 150));
	SHOW(dup2(0, 99));
	close(99);
	rl.rlim_cur = 300;
	SHOW(setrlimit(RLIMIT_NOFILE, &rl));
	SHOW(getrlimit(99, &rl));
}

int
main(int argc, char **argv, char **envp)
{
	if (argc > 1 && !strcmp(argv[1], "--child"))
		return exec_child(argc, argv, envp);
	test_wait();
	test_vfork();
	test_clone();
	test_reparent();
	test_groups();
	test_exec(argv[0]);
	test_pidfd();
	test_usage();
	return 17;
}
