/* SPDX-License-Identifier: Apache-2.0 */
/* Nice values, policies and priorities of input and output are those of threads; what sets them for
 * others; CPUs that a thread is bound to, also after execve(2). */
#include "guest.h"
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define CALL(nr, ...)	 syscall(SYS_##nr, ##__VA_ARGS__)
#define IO(class, level) ((class) << 13 | (level))

struct attr {
	unsigned size, policy;
	unsigned long flags;
	int nice;
	unsigned priority;
	unsigned long more[3];
};

static pthread_barrier_t set, seen;
static pid_t other;

static void
tell(const char *who, pid_t tid)
{
	struct attr a = {0};
	int nice;

	errno = 0;
	nice = getpriority(PRIO_PROCESS, (id_t)tid);
	CALL(sched_getattr, tid, &a, sizeof a, 0);
	printf("%s: nice %d policy %ld io %ld attr %u %lu %d %u\n", who, nice,
		CALL(sched_getscheduler, tid), CALL(ioprio_get, 1, tid), a.policy, a.flags, a.nice,
		a.priority);
}

static void *
thread(void *arg)
{
	other = (pid_t)CALL(gettid);
	tell("a new thread", 0);
	SHOW(setpriority(PRIO_PROCESS, 0, 9));
	SHOW(CALL(ioprio_set, 1, 0, IO(2, 6)));
	SHOW(CALL(sched_setscheduler, 0, SCHED_BATCH, &(struct sched_param){0}));
	pthread_barrier_wait(&set);
	pthread_barrier_wait(&seen);
	tell("the thread", 0);
	pthread_barrier_wait(&set);
	pthread_barrier_wait(&seen);
	return arg;
}

static void
stat_of(const char *who, pid_t pid, pid_t tid)
{
	char path[64], s[1024], *p;
	long long v[42] = {0};
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/task/%d/stat", pid, tid);
	f = fopen(path, "r");
	if (f && fgets(s, sizeof s, f) && (p = strrchr(s, ')'))) {
		p += 3; /* behind the state, the third field */
		for (int i = 4; i < 42; i++)
			v[i] = strtoll(p, &p, 10);
	}
	if (f)
		fclose(f);
	printf("%s: priority %lld nice %lld rt %lld policy %lld\n", who, v[18], v[19], v[40],
		v[41]);
}

static void
threads(void)
{
	struct sched_param none = {0}, rr = {.sched_priority = 7};
	pthread_t t;

	setsid();
	pthread_barrier_init(&set, NULL, 2);
	pthread_barrier_init(&seen, NULL, 2);
	SHOW(setpriority(PRIO_PROCESS, 0, 3));
	SHOW(CALL(ioprio_set, 1, 0, IO(2, 2)));
	pthread_create(&t, NULL, thread, NULL);
	pthread_barrier_wait(&set);
	tell("first", 0);
	tell("other", other);
	stat_of("first", getpid(), getpid());
	stat_of("other", getpid(), other);
	SHOW(getpriority(PRIO_PGRP, 0));
	SHOW(CALL(ioprio_get, 2, 0));
	SHOW(setpriority(PRIO_PGRP, 0, 12));
	SHOW(CALL(ioprio_set, 2, 0, IO(3, 0)));
	SHOW(CALL(ioprio_get, 2, getpgrp()) == IO(3, 0));
	tell("first", 0);
	tell("other", other);
	pthread_barrier_wait(&seen);
	pthread_barrier_wait(&set);
	if (CALL(sched_setscheduler, other, SCHED_RR, &rr) == 0) {
		tell("other", other);
		stat_of("other", getpid(), other);
		SHOW(CALL(ioprio_set, 1, other, 0));
		tell("other", other);
		SHOW(CALL(sched_setscheduler, other, SCHED_OTHER, &none));
	}
	tell("other", other);
	pthread_barrier_wait(&seen);
	pthread_join(t, NULL);
	SHOW(setpriority(PRIO_PGRP, 0x3fffff, 1));
	SHOW(CALL(ioprio_set, 2, 0x3fffff, 0));
	SHOW(CALL(ioprio_get, 3, 54321));
	SHOW(getpriority(PRIO_USER, 54321));
}

static void
attributes(void)
{
	struct attr a = {.size = 48, .nice = 40};

	SHOW(CALL(sched_setattr, 0, &a, 0));
	tell("clamped", 0);
	a.nice = 2;
	a.flags = 8; /* SCHED_FLAG_KEEP_POLICY */
	a.policy = SCHED_IDLE;
	SHOW(CALL(sched_setattr, 0, &a, 0));
	tell("policy kept", 0);
	a.flags = 1;
	SHOW(CALL(sched_setattr, 0, &a, 0));
	tell("idle", 0);
	a.flags = 0;
	a.priority = 100;
	SHOW(CALL(sched_setattr, 0, &a, 0));
	a.priority = 0;
	a.policy = SCHED_BATCH | SCHED_RESET_ON_FORK;
	SHOW(CALL(sched_setattr, 0, &a, 0));
	a.policy = SCHED_IDLE;
	a.flags = 1ul << 40;
	SHOW(CALL(sched_setattr, 0, &a, 0));
	SHOW(setpriority(PRIO_PROCESS, 0, 5));
	tell("idle, nice", 0);
}

/* Somebody without rights may only be nicer. */
static void
unprivileged(void)
{
	struct sched_param none = {0}, rr = {.sched_priority = 1};
	struct attr a = {.size = 48};
	pid_t parent = getppid();

	SHOW(setpriority(PRIO_PROCESS, 0, 4));
	SHOW(setresuid(54321, 54321, 54321));
	SHOW(setpriority(PRIO_PROCESS, 0, 3));
	SHOW(setpriority(PRIO_PROCESS, 0, 4));
	SHOW(setpriority(PRIO_PROCESS, 0, 6));
	SHOW(setpriority(PRIO_PROCESS, (id_t)parent, 19));
	SHOW(setpriority(PRIO_USER, 54321, 7));
	SHOW(getpriority(PRIO_USER, 0));
	SHOW(CALL(ioprio_set, 1, parent, IO(2, 7)));
	SHOW(CALL(ioprio_set, 1, 0, IO(1, 7)));
	SHOW(CALL(ioprio_set, 3, 0, IO(2, 5)));
	SHOW(CALL(ioprio_get, 3, 54321));
	SHOW(CALL(sched_setscheduler, 0, SCHED_RR, &rr));
	SHOW(CALL(sched_setscheduler, parent, SCHED_IDLE, &none));
	SHOW(CALL(sched_setattr, 0, &a, 0));
	a.nice = 8;
	SHOW(CALL(sched_setattr, 0, &a, 0));
	SHOW(CALL(sched_setscheduler, 0, SCHED_BATCH | SCHED_RESET_ON_FORK, &none));
	SHOW(CALL(sched_setscheduler, 0, SCHED_BATCH, &none));
	SHOW(CALL(sched_setscheduler, 0, SCHED_IDLE | SCHED_RESET_ON_FORK, &none));
	SHOW(CALL(sched_setscheduler, 0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none));
	tell("in the end", 0);
}

/* Is it where it is bound to, for a while? */
static int
stays(int cpu)
{
	long long end = now_ms() + 20;

	do {
		if (sched_getcpu() != cpu)
			return 0;
	} while (now_ms() < end);
	return 1;
}

static void
bound(void)
{
	cpu_set_t all, one;
	int last = -1;
	char arg[16];

	sched_getaffinity(0, sizeof all, &all);
	for (int i = 0; i < CPU_SETSIZE; i++)
		last = CPU_ISSET(i, &all) ? i : last;
	for (int i = 0; i < 8; i++) {
		int cpu = i % 2 ? last : 0, st = -1;

		while (!CPU_ISSET(cpu, &all))
			cpu++;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		fflush(stdout);
		if (fork() == 0) {
			snprintf(arg, sizeof arg, "%d", cpu);
			if (sched_setaffinity(0, sizeof one, &one))
				_exit(1);
			execl("/proc/self/exe", "priority", arg, NULL);
			_exit(2);
		}
		wait(&st);
		printf("bound: %s\n", st ? "elsewhere" : "stays");
	}
}

int
main(int argc, char **argv)
{
	if (argc > 1)
		return !stays(atoi(argv[1]));
	in_child("threads", threads);
	in_child("attributes", attributes);
	in_child("unprivileged", unprivileged);
	bound();
	return 0;
}
