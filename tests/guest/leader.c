/* SPDX-License-Identifier: Apache-2.0 */
/* A process whose first thread has ended: the others go on as if nothing was. */
#include "guest.h"
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static char big[1 << 20];
static volatile sig_atomic_t got;
static pid_t heirs_parent;

static void
handler(int signo)
{
	got = signo;
}

static void *
another(void *arg)
{
	struct stat st;

	SHOW(stat("/", &st));
	return arg;
}

static void *
rest(void *arg)
{
	struct iovec l = {big, 4096}, r = {big + 8192, 4096};
	struct sigaction sa = {.sa_handler = handler};
	struct timespec ts;
	struct rusage ru;
	struct stat st;
	pthread_t t;
	char *p, text[64];
	int fd, w, pair[2];
	pid_t c;

	pthread_join(*(pthread_t *)arg, NULL);
	/* It is a zombie now, as soon as the host has it so. */
	sleep_ms(50);
	printf("alone\n");
	SHOW(stat("/", &st));
	fd = open("file", O_RDWR | O_CREAT, 0600);
	memset(big, 'x', sizeof big);
	SHOW(pwrite(fd, big, sizeof big, 0));
	memset(big, 0, sizeof big);
	SHOW(pread(fd, big, sizeof big, 0));
	TRUE(big[0] == 'x' && big[sizeof big - 1] == 'x');
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
	TRUE(p[0] == 'x');
	p[0] = 'y';
	SHOW(pread(fd, text, 1, 4096));
	TRUE(text[0] == 'y');
	SHOW(munmap(p, 4096));
	SHOW(process_vm_readv(getpid(), &l, 1, &r, 1, 0));
	SHOW(pipe(pair));
	SHOW(write(pair[1], big, 40000));
	SHOW(read(pair[0], big, sizeof big));
	fd = open("/proc/self/status", O_RDONLY);
	TRUE(read(fd, big, sizeof big) > 0 && strstr(big, "Threads:\t2\n"));
	fd = open("/proc/self/stat", O_RDONLY);
	TRUE(read(fd, big, sizeof big) > 0);
	fd = open("/proc/self/cmdline", O_RDONLY);
	TRUE(read(fd, big, sizeof big) > 0);
	SHOW(getrusage(RUSAGE_SELF, &ru));
	TRUE(ru.ru_maxrss > 1000);
	SHOW(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts));
	TRUE(ts.tv_sec > 0 || ts.tv_nsec > 0);
	SHOW(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts));
	TRUE(ts.tv_sec > 0 || ts.tv_nsec > 0);
	SHOW(sigaction(SIGUSR1, &sa, NULL));
	SHOW(kill(getpid(), SIGUSR1));
	TRUE(got == SIGUSR1);
	SHOW(tgkill(getpid(), gettid(), SIGUSR1));
	pthread_create(&t, NULL, another, NULL);
	SHOW(pthread_join(t, NULL));
	fflush(stdout);
	c = fork();
	if (!c) {
		SHOW(stat("/", &st));
		fflush(stdout);
		_exit(7);
	}
	SHOW(waitpid(c, &w, 0) == c && WEXITSTATUS(w) == 7);
	c = vfork();
	if (!c) {
		execl("/proc/self/exe", "leader", "executed", NULL);
		_exit(1);
	}
	SHOW(waitpid(c, &w, 0) == c && WEXITSTATUS(w) == 3);
	/* The thread becomes the first one. */
	fflush(stdout);
	execl("/proc/self/exe", "leader", "executed", NULL);
	return NULL;
}

static void *
ender(void *arg)
{
	pthread_join(*(pthread_t *)arg, NULL);
	sleep_ms(20);
	return NULL;
}

static void *
exiter(void *arg)
{
	pthread_join(*(pthread_t *)arg, NULL);
	sleep_ms(20);
	exit(5);
}

static void *
sleeper(void *arg)
{
	pause();
	return arg;
}

/* Has the memory of the process that made it, which has ended. */
static int
heir(void *arg)
{
	struct stat st;
	int fd;

	(void)arg;
	for (int i = 0; i < 500 && getppid() == heirs_parent; i++)
		sleep_ms(10);
	fd = open("/dev/zero", O_RDONLY);
	memset(big, 'x', sizeof big);
	SHOW(stat("/", &st));
	SHOW(read(fd, big, sizeof big));
	TRUE(big[sizeof big - 1] == 0);
	fflush(stdout);
	return 0;
}

static void
inherit(int how)
{
	static char stack[65536] __attribute__((aligned(16)));
	int alive[2];
	pid_t p;
	char c;

	printf("heir %d\n", how);
	fflush(stdout);
	SHOW(pipe(alive));
	p = fork();
	if (!p) {
		heirs_parent = getpid();
		close(alive[0]);
		clone(heir, stack + sizeof stack, CLONE_VM | SIGCHLD, NULL);
		if (how == 0)
			_exit(0);
		kill(getpid(), SIGKILL);
	}
	close(alive[1]);
	waitpid(p, NULL, 0);
	SHOW(read(alive[0], &c, 1)); /* until the heir has ended too */
	close(alive[0]);
}

static void
leave(void *(*fn)(void *))
{
	static pthread_t me;
	pthread_t t;

	me = pthread_self();
	pthread_create(&t, NULL, fn, &me);
	pthread_exit(NULL);
}

/* A signal for a process whose first thread is just about to end is the others'. */
static void
race(void)
{
	int ended = 0;

	for (int i = 0; i < 300; i++) {
		int ready[2], w;
		pid_t p;
		char c;

		if (pipe(ready))
			return;
		p = fork();
		if (!p) {
			pthread_t t;

			pthread_create(&t, NULL, sleeper, NULL);
			(void)!write(ready[1], "", 1);
			for (volatile int k = 0; k < i % 50 * 1000; k++)
				;
			pthread_exit(NULL);
		}
		(void)!read(ready[0], &c, 1);
		kill(p, SIGTERM);
		waitpid(p, &w, 0);
		ended += WIFSIGNALED(w) && WTERMSIG(w) == SIGTERM;
		close(ready[0]);
		close(ready[1]);
	}
	printf("%d ended\n", ended);
}

int
main(int argc, char **argv)
{
	void *(*const ends[])(void *) = {ender, exiter, sleeper};
	int w;

	if (argc > 1) {
		TRUE(getpid() == gettid());
		printf("%s\n", argv[1]);
		return 3;
	}
	for (int i = 0; i < 3; i++) {
		pid_t c;

		fflush(stdout);
		c = fork();
		if (!c)
			leave(ends[i]);
		if (ends[i] == sleeper) {
			sleep_ms(100);
			SHOW(kill(c, 0));
			SHOW(waitpid(c, &w, WNOHANG));
			SHOW(kill(c, SIGTERM));
		}
		waitpid(c, &w, 0);
		printf("ends with %x\n", w);
	}
	race();
	inherit(0);
	inherit(1);
	fflush(stdout);
	leave(rest);
}
