/* SPDX-License-Identifier: Apache-2.0 */
/* A few that work among many that wait: processes and threads, the working ones with short and with
 * long spans between their calls, ends of both kinds, their number going up and down, and a chain
 * of vforks. */
#include "guest.h"
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

enum {
	IDLE = 150,
	BUSY = 6,
	CALLS = 3000,
	BURSTS = 20,
	BURST_MS = 4,
	THREADS = 120,
	TURNS = 2000,
	CHAIN = 300,
	FEW = 44,
	STEP = 2,
	MOST = 66,
	PASSING = 16,
	ROUNDS = 10,
};

static pid_t
idle(const int *fds)
{
	char c;
	pid_t p = fork();

	if (p)
		return p;
	close(fds[1]);
	_exit(read(fds[0], &c, 1) == 0 ? 7 : 1);
}

static pid_t
busy(int i, const int *fds, int calls)
{
	pid_t p = fork();

	if (p)
		return p;
	close(fds[1]);
	if (i % 2)
		for (int k = 0; k < BURSTS; k++) {
			long long end = now_ms() + BURST_MS;

			while (now_ms() < end)
				;
			getppid();
		}
	else
		for (int k = 0; k < calls; k++)
			getppid();
	_exit(i);
}

static void
processes(void)
{
	pid_t idles[IDLE], work[BUSY];
	int fds[2], st, worked = 0, killed = 0, ended = 0;

	if (pipe(fds) < 0)
		return;
	for (int i = 0; i < IDLE; i++)
		idles[i] = idle(fds);
	for (int i = 0; i < BUSY; i++)
		work[i] = busy(i, fds, CALLS);
	for (int i = 0; i < BUSY; i++)
		worked += waitpid(work[i], &st, 0) == work[i] && WIFEXITED(st) &&
			  WEXITSTATUS(st) == i;
	for (int i = 0; i < IDLE; i += 2)
		kill(idles[i], SIGKILL);
	for (int i = 0; i < IDLE; i += 2)
		killed += waitpid(idles[i], &st, 0) == idles[i] && WIFSIGNALED(st) &&
			  WTERMSIG(st) == SIGKILL;
	close(fds[0]);
	close(fds[1]);
	for (int i = 1; i < IDLE; i += 2)
		ended += waitpid(idles[i], &st, 0) == idles[i] && WIFEXITED(st) &&
			 WEXITSTATUS(st) == 7;
	printf("worked %d, killed %d, ended %d\n", worked, killed, ended);
}

/* Some come and go while few, and then more and more, are there. */
static void
tide(void)
{
	pid_t idles[MOST], passing[PASSING];
	int fds[2], st, n = 0, came = 0, ended = 0;

	if (pipe(fds) < 0)
		return;
	for (int k = 0; k < FEW; k++)
		idles[n++] = idle(fds);
	while (n < MOST) {
		for (int k = 0; k < ROUNDS; k++) {
			for (int i = 0; i < PASSING; i++)
				passing[i] = busy(0, fds, 2 + 3 * i);
			for (int i = 0; i < PASSING; i++)
				came += waitpid(passing[i], &st, 0) == passing[i] && st == 0;
		}
		for (int k = 0; k < STEP; k++)
			idles[n++] = idle(fds);
	}
	close(fds[0]);
	close(fds[1]);
	for (int i = 0; i < n; i++)
		ended += waitpid(idles[i], &st, 0) == idles[i] && WIFEXITED(st) &&
			 WEXITSTATUS(st) == 7;
	printf("came %d, ended %d\n", came, ended);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t moved = PTHREAD_COND_INITIALIZER, over = PTHREAD_COND_INITIALIZER;
static int turn, done;

static void *
waits(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	while (!done)
		pthread_cond_wait(&over, &lock);
	pthread_mutex_unlock(&lock);
	return (void *)1;
}

static void *
takes_turns(void *arg)
{
	const int me = (int)(long)arg;

	pthread_mutex_lock(&lock);
	while (turn < TURNS) {
		if (turn % 2 != me) {
			pthread_cond_wait(&moved, &lock);
			continue;
		}
		turn++;
		pthread_cond_signal(&moved);
	}
	pthread_mutex_unlock(&lock);
	return (void *)1;
}

static void
threads(void)
{
	pthread_t idles[THREADS], work[2];
	long joined = 0;
	void *r;

	for (int i = 0; i < THREADS; i++)
		pthread_create(&idles[i], NULL, waits, NULL);
	for (long i = 0; i < 2; i++)
		pthread_create(&work[i], NULL, takes_turns, (void *)i);
	for (int i = 0; i < 2; i++) {
		pthread_join(work[i], &r);
		joined += (long)r;
	}
	pthread_mutex_lock(&lock);
	done = 1;
	pthread_cond_broadcast(&over);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(idles[i], &r);
		joined += (long)r;
	}
	printf("turns %d, joined %ld\n", turn, joined);
}

static volatile int *made;

/* Each makes the next and waits for it to go: all of them are there at the end. */
static __attribute__((noreturn)) void
link_main(void)
{
	pid_t p;
	int st;

	if (++*made == CHAIN)
		_exit(0);
	p = vfork();
	if (p == 0)
		link_main();
	_exit(p < 0 || waitpid(p, &st, 0) != p ? 1 : WEXITSTATUS(st));
}

static void
chain(void)
{
	made = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	in_child("chain", link_main);
	printf("made %d\n", *made);
}

int
main(void)
{
	processes();
	tide();
	threads();
	chain();
	return 0;
}
