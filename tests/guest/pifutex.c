/* SPDX-License-Identifier: Apache-2.0 */
/* Futexes with priority inheritance: mutexes of the C library, the raw calls and their errors,
 * owners that die, requeueing; futex_waitv(2) and the calls of futex2. */
#include "guest.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

static long
futex(void *addr, int op, uint32_t v, const void *timeout, void *addr2, uint32_t v3)
{
	return syscall(SYS_futex, addr, op, v, timeout, addr2, v3);
}

static struct timespec
in_ms(clockid_t clock, int ms)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	ts.tv_nsec += ms % 1000 * 1000000L;
	ts.tv_sec += ms / 1000 + ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

/* --- mutexes --- */

static pthread_mutex_t mutex;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int counter, ready;

static void
make_mutex(pthread_mutex_t *m, int type, int robust, int shared)
{
	pthread_mutexattr_t a;

	pthread_mutexattr_init(&a);
	pthread_mutexattr_settype(&a, type);
	printf("protocol %d", pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
	if (robust)
		pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
	if (shared)
		pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
	printf(" init %d\n", pthread_mutex_init(m, &a));
}

static void *
adder(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&mutex);
		counter++;
		if (i % 64 == 0)
			sched_yield();
		pthread_mutex_unlock(&mutex);
	}
	return arg;
}

static void
contended(void)
{
	pthread_t t[4];

	make_mutex(&mutex, PTHREAD_MUTEX_NORMAL, 0, 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, adder, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	printf("counter %d\n", counter);
}

static void *
waiter(void *arg)
{
	pthread_mutex_lock(&mutex);
	while (!ready)
		pthread_cond_wait(&cond, &mutex);
	counter++;
	pthread_mutex_unlock(&mutex);
	return arg;
}

static void
conditions(void)
{
	pthread_t t[4];

	counter = 0;
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, waiter, NULL);
	sleep_ms(20);
	pthread_mutex_lock(&mutex);
	ready = 1;
	pthread_cond_broadcast(&cond);
	pthread_mutex_unlock(&mutex);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	printf("woken %d\n", counter);
}

static void *
timed(void *arg)
{
	struct timespec ts = in_ms(CLOCK_REALTIME, 30), m = in_ms(CLOCK_MONOTONIC, 60);
	long long from = now_ms();

	printf("try %s\n", strerrorname_np(pthread_mutex_trylock(&mutex)));
	printf("timed %s\n", strerrorname_np(pthread_mutex_timedlock(&mutex, &ts)));
	printf("clock %s\n", strerrorname_np(pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &m)));
	TRUE(now_ms() - from >= 55);
	return arg;
}

static void
timeouts(void)
{
	pthread_t t;

	pthread_mutex_lock(&mutex);
	pthread_create(&t, NULL, timed, NULL);
	pthread_join(t, NULL);
	printf("unlock %d\n", pthread_mutex_unlock(&mutex));
}

/* A mutex, and whether the one who is to die has it. */
struct robust {
	pthread_mutex_t m;
	_Atomic int taken;
};

static void *
dies(void *arg)
{
	struct robust *r = arg;

	pthread_mutex_lock(&r->m);
	r->taken = 1;
	sleep_ms(20);
	return NULL;
}

static void
wait_until_taken(struct robust *r)
{
	while (!r->taken)
		sleep_ms(1);
}

static void
robust(void)
{
	struct robust *shared =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pthread_mutex_t *m = &shared->m;
	pthread_t t;
	int st, r;
	pid_t p;

	make_mutex(m, PTHREAD_MUTEX_NORMAL, 1, 1);
	/* a thread that dies while we wait, and one that is gone already */
	pthread_create(&t, NULL, dies, shared);
	wait_until_taken(shared);
	r = pthread_mutex_lock(m);
	printf("lock %s\n", r ? strerrorname_np(r) : "ok");
	pthread_join(t, NULL);
	printf("consistent %d\n", pthread_mutex_consistent(m));
	printf("unlock %d\n", pthread_mutex_unlock(m));
	pthread_create(&t, NULL, dies, shared);
	pthread_join(t, NULL);
	r = pthread_mutex_lock(m);
	printf("lock %s\n", r ? strerrorname_np(r) : "ok");
	printf("consistent %d\n", pthread_mutex_consistent(m));
	pthread_mutex_unlock(m);
	/* a process that is killed */
	shared->taken = 0;
	p = fork();
	if (!p) {
		pthread_mutex_lock(m);
		shared->taken = 1;
		sleep_ms(5000);
		_exit(0);
	}
	wait_until_taken(shared);
	pid_t killer = fork();
	if (!killer) {
		sleep_ms(30);
		kill(p, SIGKILL);
		_exit(0);
	}
	r = pthread_mutex_lock(m);
	printf("lock %s\n", r ? strerrorname_np(r) : "ok");
	pthread_mutex_unlock(m); /* without consistent */
	r = pthread_mutex_lock(m);
	printf("lock %s\n", r ? strerrorname_np(r) : "ok");
	waitpid(p, &st, 0);
	waitpid(killer, NULL, 0);
	printf("status %x\n", st);
	munmap(shared, 4096);
}

/* --- the calls --- */

static uint32_t word, word2;
static _Atomic int stage;
static pid_t tid;

static void *
owner(void *arg)
{
	uint32_t *w = arg;

	tid = (pid_t)syscall(SYS_gettid);
	futex(w, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
	stage = 1;
	while (stage != 2)
		sleep_ms(1);
	return (void *)futex(w, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
}

static void *
quits(void *arg)
{
	futex(arg, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
	stage = 1;
	sleep_ms(30);
	return NULL;
}

static void
nothing(int sig)
{
	(void)sig;
}

static void
raw(void)
{
	uint32_t me = (uint32_t)syscall(SYS_gettid);
	struct timespec past = {1, 0}, bad = {0, 2000000000}, soon;
	struct sigaction sa = {.sa_handler = nothing};
	void *result;
	pthread_t t;

	word = 0;
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	TRUE(word == me);
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	printf("word %x\n", word);
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	word |= FUTEX_WAITERS;
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	printf("word %x\n", word);
	word = 12345678; /* nobody has this number */
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	word = FUTEX_OWNER_DIED;
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	TRUE(word == (me | FUTEX_OWNER_DIED));
	word = 0;
	SHOW(futex(NULL, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	SHOW(futex((char *)&word + 1, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, &bad, NULL, 0));
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, (void *)8, NULL, 0));
	SHOW(futex(&word, FUTEX_LOCK_PI2 | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME, 0, &past,
		NULL, 0));
	SHOW(futex(&word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
	SHOW(futex(&word, 14, 0, NULL, NULL, 0));
	word = 0;

	pthread_create(&t, NULL, owner, &word);
	while (stage != 1)
		sleep_ms(1);
	TRUE((pid_t)(word & FUTEX_TID_MASK) == tid);
	SHOW(futex(&word, FUTEX_TRYLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, &past, NULL, 0));
	TRUE(word == ((uint32_t)tid | FUTEX_WAITERS));
	soon = in_ms(CLOCK_MONOTONIC, 20);
	SHOW(futex(&word, FUTEX_LOCK_PI2 | FUTEX_PRIVATE_FLAG, 0, &soon, NULL, 0));
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	/* a handler runs, and the wait goes on */
	sigaction(SIGALRM, &sa, NULL);
	ualarm(10000, 0);
	soon = in_ms(CLOCK_REALTIME, 40);
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, &soon, NULL, 0));
	stage = 2;
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	TRUE((word & FUTEX_TID_MASK) == me);
	pthread_join(t, &result);
	TRUE(!result);
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	printf("word %x\n", word);

	/* an owner that ends without a word */
	stage = 0;
	pthread_create(&t, NULL, quits, &word);
	while (stage != 1)
		sleep_ms(1);
	SHOW(futex(&word, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	TRUE(word == (me | FUTEX_WAITERS | FUTEX_OWNER_DIED));
	pthread_join(t, NULL);
	SHOW(futex(&word, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	printf("word %x\n", word);
}

static uint32_t ring[2];

static void *
second(void *arg)
{
	futex(&ring[1], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
	stage = 1;
	arg = (void *)futex(&ring[0], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0);
	futex(&ring[0], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
	futex(&ring[1], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
	return arg;
}

static void
circle(void)
{
	void *result;
	pthread_t t;

	stage = 0;
	SHOW(futex(&ring[0], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	pthread_create(&t, NULL, second, NULL);
	while (stage != 1)
		sleep_ms(1);
	sleep_ms(20);
	SHOW(futex(&ring[1], FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	SHOW(futex(&ring[0], FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	pthread_join(t, &result);
	TRUE(!result);
}

/* --- requeueing --- */

static uint32_t cv, lock;
static _Atomic int through;

static void *
sleeper(void *arg)
{
	struct timespec soon = in_ms(CLOCK_MONOTONIC, arg ? 30 : 5000);
	long r = futex(&cv, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, &soon, &lock, 0);
	int e = errno;

	through++;
	if (r == 0) {
		if ((lock & FUTEX_TID_MASK) != (uint32_t)syscall(SYS_gettid))
			printf("not mine\n");
		futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0);
	} else {
		printf("sleeper: %s\n", strerrorname_np(e));
	}
	return NULL;
}

/* Until n sleepers were moved or woken: they may still be on their way to sleep. */
static long
requeue_until(long n, uintptr_t more)
{
	long done = 0;

	for (int tries = 0; done < n && tries < 2000; tries++) {
		long r = futex(&cv, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)more, &lock, 0);

		if (r < 0)
			return r;
		done += r;
		if (done < n)
			sleep_ms(1);
	}
	return done;
}

static void
requeue(void)
{
	pthread_t t[3], late;

	SHOW(futex(&cv, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 1, NULL, &lock, 0));
	SHOW(futex(&cv, FUTEX_WAIT_REQUEUE_PI_PRIVATE, 0, NULL, &cv, 0));
	SHOW(futex(&cv, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)10, &lock, 1));
	SHOW(futex(&cv, FUTEX_CMP_REQUEUE_PI_PRIVATE, 2, (void *)10, &lock, 0));
	SHOW(futex(&cv, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)10, &cv, 0));
	SHOW(futex(&cv, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)10, &lock, 0));
	pthread_create(&late, NULL, sleeper, &cv);
	pthread_join(late, NULL);
	through = 0;
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, sleeper, NULL);
	sleep_ms(50);
	SHOW(futex(&lock, FUTEX_LOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	SHOW(futex(&cv, FUTEX_CMP_REQUEUE_PI_PRIVATE, 1, (void *)10, &word2, 0));
	SHOW(requeue_until(3, 10));
	sleep_ms(20);
	printf("through %d\n", through);
	SHOW(futex(&lock, FUTEX_UNLOCK_PI_PRIVATE, 0, NULL, NULL, 0));
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	printf("through %d lock %x\n", through, lock);
	/* nobody has the lock: the first one gets it at once */
	through = 0;
	for (int i = 0; i < 2; i++)
		pthread_create(&t[i], NULL, sleeper, NULL);
	sleep_ms(50);
	SHOW(requeue_until(1, 0));
	while (through < 1)
		sleep_ms(1);
	printf("through %d\n", through);
	SHOW(requeue_until(1, 0));
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	printf("through %d lock %x\n", through, lock);
}

/* --- several at once --- */

struct waitv {
	uint64_t val, uaddr;
	uint32_t flags, reserved;
};

static uint32_t many[3];

static void *
wakes(void *arg)
{
	sleep_ms(20);
	many[2] = 1;
	syscall(SYS_futex, &many[2], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	return arg;
}

static void
several(void)
{
	struct waitv v[3];
	struct timespec soon;
	pthread_t t;

	for (int i = 0; i < 3; i++)
		v[i] = (struct waitv){0, (uintptr_t)&many[i], 2 | 128, 0};
	many[1] = 7;
	SHOW(syscall(449, v, 3, 0, NULL, 0));
	many[1] = 0;
	soon = in_ms(CLOCK_MONOTONIC, 20);
	SHOW(syscall(449, v, 3, 0, &soon, CLOCK_MONOTONIC));
	SHOW(syscall(449, v, 3, 1, NULL, 0));
	SHOW(syscall(449, v, 0, 0, NULL, 0));
	SHOW(syscall(449, v, 129, 0, NULL, 0));
	SHOW(syscall(449, NULL, 1, 0, NULL, 0));
	pthread_create(&t, NULL, wakes, NULL);
	SHOW(syscall(449, v, 3, 0, NULL, 0));
	pthread_join(t, NULL);
	ualarm(20000, 0);
	many[2] = 0;
	SHOW(syscall(449, v, 3, 0, NULL, 0));
}

/* futex_wake, futex_wait, futex_requeue */
static void *
wakes_new(void *arg)
{
	sleep_ms(20);
	*(uint32_t *)arg = 1;
	syscall(454, arg, ~0ul, 1, 2 | 128);
	return NULL;
}

static void
new_calls(void)
{
	static uint32_t a, b;
	struct waitv v[2] = {{0, (uintptr_t)&a, 2 | 128, 0}, {0, (uintptr_t)&b, 2 | 128, 0}};
	struct timespec soon = in_ms(CLOCK_MONOTONIC, 20);
	pthread_t t;

	SHOW(syscall(454, &a, ~0ul, 1, 2 | 128));
	SHOW(syscall(454, &a, ~0ul, 1, 77));
	SHOW(syscall(455, &a, 1ul, ~0ul, 2 | 128, NULL, 0));
	SHOW(syscall(455, &a, 0ul, ~0ul, 2 | 128, &soon, CLOCK_MONOTONIC));
	SHOW(syscall(456, v, 0, 1, 1));
	pthread_create(&t, NULL, wakes_new, &a);
	SHOW(syscall(455, &a, 0ul, ~0ul, 2 | 128, NULL, 0));
	pthread_join(t, NULL);
}

int
main(void)
{
	contended();
	conditions();
	timeouts();
	robust();
	raw();
	circle();
	requeue();
	several();
	new_calls();
	return 0;
}
