/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: making many, joining, mutexes and conditions, robust mutexes, TLS, futex results, exec
 * and exit with threads. */
#include "guest.h"
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t c = PTHREAD_COND_INITIALIZER;
static long counter;
static int turn;
static __thread int tls = 5;

static void *
add(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&m);
		counter++;
		pthread_mutex_unlock(&m);
	}
	tls++;
	return (void *)(long)tls;
}

static void *
alternate(void *arg)
{
	int me = (int)(long)arg;

	for (int i = 0; i < 500; i++) {
		pthread_mutex_lock(&m);
		while (turn != me)
			pthread_cond_wait(&c, &m);
		turn = !me;
		pthread_cond_signal(&c);
		pthread_mutex_unlock(&m);
	}
	return NULL;
}

static void *
die_holding(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

static void *
sleep_long(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static long
futex(_Atomic int *w, int op, int val, const struct timespec *ts, int *w2, int v3)
{
	return syscall(SYS_futex, w, op, val, ts, w2, v3);
}

static _Atomic int word;

static void *
waker(void *arg)
{
	(void)arg;
	sleep_ms(50);
	word = 1;
	futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0);
	return NULL;
}

static void
test_futex(void)
{
	struct timespec ts = {0, 10000000};
	pthread_t t;

	SHOW(futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_WAIT, 0, &ts, NULL, 0));
	SHOW(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0));
	SHOW(futex((_Atomic int *)1, FUTEX_WAIT, 0, NULL, NULL, 0));
	SHOW(futex((_Atomic int *)4096, FUTEX_WAIT, 0, NULL, NULL, 0));
	SHOW(futex(&word, 99, 0, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0));
	pthread_create(&t, NULL, waker, NULL);
	SHOW(futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0));
	pthread_join(t, NULL);
}

static void
test_shared(void)
{
	struct {
		sem_t a, b;
		int n;
	} *s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int st;

	sem_init(&s->a, 1, 0);
	sem_init(&s->b, 1, 0);
	fflush(stdout);
	if (fork() == 0) {
		for (int i = 0; i < 100; i++) {
			sem_wait(&s->a);
			s->n++;
			sem_post(&s->b);
		}
		_exit(0);
	}
	for (int i = 0; i < 100; i++) {
		sem_post(&s->a);
		sem_wait(&s->b);
	}
	wait(&st);
	printf("between processes: %d\n", s->n);
}

static void
test_robust(void)
{
	pthread_mutexattr_t at;
	pthread_mutex_t r;
	pthread_t t;
	int e;

	pthread_mutexattr_init(&at);
	pthread_mutexattr_setrobust(&at, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&r, &at);
	pthread_create(&t, NULL, die_holding, &r);
	pthread_join(t, NULL);
	e = pthread_mutex_lock(&r);
	printf("robust: %s\n", e ? strerrorname_np(e) : "0");
	SHOW(pthread_mutex_consistent(&r));
	SHOW(pthread_mutex_unlock(&r));
}

static void
test_exit(char *self)
{
	pthread_t t;
	int st;

	fflush(stdout);
	if (fork() == 0) {
		for (int i = 0; i < 4; i++)
			pthread_create(&t, NULL, sleep_long, NULL);
		exit(33);
	}
	wait(&st);
	printf("exit with threads: %d\n", WEXITSTATUS(st));
	fflush(stdout);
	if (fork() == 0) {
		for (int i = 0; i < 4; i++)
			pthread_create(&t, NULL, sleep_long, NULL);
		execl(self, self, "--done", NULL);
		_exit(1);
	}
	wait(&st);
	printf("exec with threads: %d\n", WEXITSTATUS(st));
	fflush(stdout);
	if (fork() == 0) {
		for (int i = 0; i < 4; i++)
			pthread_create(&t, NULL, sleep_long, NULL);
		abort();
	}
	wait(&st);
	printf("abort with threads: %d\n", WTERMSIG(st));
}

static char *self_path;

static void *
exec_it(void *arg)
{
	(void)arg;
	execl(self_path, self_path, "--pid", NULL);
	return NULL;
}

static void
test_exec_from_thread(char *self)
{
	pthread_t t;
	pid_t p;
	int st;

	self_path = self;
	fflush(stdout);
	p = fork();
	if (p == 0) {
		pthread_create(&t, NULL, exec_it, NULL);
		for (;;)
			pause();
	}
	TRUE(waitpid(p, &st, 0) == p);
	printf("exec from another thread: %d\n", WEXITSTATUS(st));
}

int
main(int argc, char **argv)
{
	pthread_t t[64];
	void *r;
	long sum = 0;

	if (argc > 1 && !strcmp(argv[1], "--done"))
		return 44;
	if (argc > 1 && !strcmp(argv[1], "--pid"))
		return getpid() == syscall(SYS_gettid) ? 45 : 46;
	for (int i = 0; i < 64; i++)
		if (pthread_create(&t[i], NULL, add, NULL))
			puts("create failed");
	for (int i = 0; i < 64; i++) {
		pthread_join(t[i], &r);
		sum += (long)r;
	}
	printf("counter %ld tls %ld mine %d\n", counter, sum, tls);
	for (int i = 0; i < 300; i++) {
		pthread_create(&t[0], NULL, add, NULL);
		pthread_join(t[0], NULL);
	}
	printf("counter %ld\n", counter);
	pthread_create(&t[0], NULL, alternate, (void *)0);
	pthread_create(&t[1], NULL, alternate, (void *)1);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	printf("turn %d\n", turn);
	test_futex();
	test_shared();
	test_robust();
	test_exit(argv[0]);
	test_exec_from_thread(argv[0]);
	return 0;
}
