/* SPDX-License-Identifier: Apache-2.0 */
/* Scheduling, priorities, limits, memory policies and locks, other processes' memory, and facts
 * about the machine. */
#include "guest.h"
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/membarrier.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#define CALL(nr, ...) syscall(SYS_##nr, ##__VA_ARGS__)
#define NOBODY	      0x3fffff /* no process has this number */

static void
policies(void)
{
	struct sched_param sp = {0};
	struct attr {
		unsigned size, sched_policy;
		unsigned long flags;
		int sched_nice;
		unsigned sched_priority;
		unsigned long more[3];
	} a = {.size = sizeof a};
	struct timespec ts;

	for (int p = -1; p < 7; p++) {
		SHOW(CALL(sched_get_priority_max, p));
		SHOW(CALL(sched_get_priority_min, p));
	}
	SHOW(CALL(sched_getscheduler, 0));
	SHOW(CALL(sched_getscheduler, -1));
	SHOW(CALL(sched_getscheduler, NOBODY));
	SHOW(CALL(sched_getparam, 0, &sp));
	SHOW(CALL(sched_getparam, 0, 0));
	SHOW(CALL(sched_getparam, 0, 8));
	SHOW(CALL(sched_getparam, -1, &sp));
	SHOW(CALL(sched_getparam, NOBODY, &sp));
	SHOW(CALL(sched_setparam, 0, &sp));
	SHOW(CALL(sched_setparam, -1, &sp));
	SHOW(CALL(sched_setscheduler, 0, SCHED_BATCH, &sp));
	SHOW(CALL(sched_getscheduler, 0));
	SHOW(CALL(sched_setscheduler, 0, SCHED_IDLE, &sp));
	SHOW(CALL(sched_getscheduler, 0));
	SHOW(CALL(sched_setscheduler, 0, SCHED_OTHER, &sp));
	SHOW(CALL(sched_setscheduler, 0, 4, &sp));
	SHOW(CALL(sched_setscheduler, 0, -1, &sp));
	SHOW(CALL(sched_setscheduler, 0, SCHED_OTHER, 0));
	SHOW(CALL(sched_setscheduler, NOBODY, SCHED_OTHER, &sp));
	sp.sched_priority = 5;
	SHOW(CALL(sched_setscheduler, 0, SCHED_OTHER, &sp));
	SHOW(CALL(sched_setparam, 0, &sp));
	sp.sched_priority = 100;
	SHOW(CALL(sched_setscheduler, 0, SCHED_RR, &sp));
	SHOW(CALL(sched_getattr, 0, &a, sizeof a, 0));
	printf("attr: policy %u nice %d priority %u\n", a.sched_policy, a.sched_nice,
		a.sched_priority);
	SHOW(CALL(sched_getattr, 0, &a, 10, 0));
	SHOW(CALL(sched_getattr, 0, &a, sizeof a, 1));
	SHOW(CALL(sched_getattr, 0, 0, sizeof a, 0));
	SHOW(CALL(sched_getattr, NOBODY, &a, sizeof a, 0));
	a = (struct attr){.size = sizeof a, .sched_policy = SCHED_BATCH, .sched_nice = 3};
	SHOW(CALL(sched_setattr, 0, &a, 0));
	SHOW(CALL(sched_getscheduler, 0));
	SHOW(CALL(getpriority, PRIO_PROCESS, 0));
	SHOW(CALL(sched_setattr, 0, &a, 1));
	SHOW(CALL(sched_setattr, 0, 0, 0));
	a.sched_policy = 99;
	SHOW(CALL(sched_setattr, 0, &a, 0));
	SHOW(CALL(sched_rr_get_interval, -1, &ts));
	SHOW(CALL(sched_rr_get_interval, NOBODY, &ts));
	SHOW(CALL(sched_rr_get_interval, 0, &ts));
	SHOW(CALL(sched_yield));
}

/* SCHED_DEADLINE is not for everybody, whatever it asks for; what is wrong is seen first. */
static void
attributes(void)
{
	struct attr {
		unsigned size, policy;
		unsigned long flags;
		int nice;
		unsigned priority;
		unsigned long runtime, deadline, period;
		unsigned util_min, util_max;
		unsigned long unknown;
	} a = {.size = 48, .policy = 6, .runtime = 1000000, .deadline = 2000000, .period = 3000000};

	/* whoever started us may have been nicer than what is asked for below */
	if (getuid() == 0)
		setpriority(PRIO_PROCESS, 0, 0);
	if (getuid() == 0 && setresuid(65534, 65534, 65534))
		printf("not nobody\n");
	SHOW(CALL(sched_setattr, 0, &a, 0));
	a.runtime = 3000000;
	SHOW(CALL(sched_setattr, 0, &a, 0));
	a.runtime = 1000;
	SHOW(CALL(sched_setattr, 0, &a, 0));
	a = (struct attr){.size = 48, .policy = SCHED_BATCH, .nice = 4};
	SHOW(CALL(sched_setattr, 0, &a, 0));
	SHOW(CALL(getpriority, PRIO_PROCESS, 0));
	/* the policy, or the parameters, stay */
	a = (struct attr){.size = 48, .policy = SCHED_IDLE, .flags = 8, .nice = 6};
	SHOW(CALL(sched_setattr, 0, &a, 0));
	a = (struct attr){.size = 48, .policy = SCHED_OTHER, .flags = 0x10, .nice = 10};
	SHOW(CALL(sched_setattr, 0, &a, 0));
	SHOW(CALL(sched_getscheduler, 0));
	SHOW(CALL(getpriority, PRIO_PROCESS, 0));
	a.flags = 2 | 4; /* of SCHED_DEADLINE */
	SHOW(CALL(sched_setattr, 0, &a, 0));
	a.flags = 0x20; /* needs what is behind byte 48 */
	SHOW(CALL(sched_setattr, 0, &a, 0));
	a.flags = 0x80;
	SHOW(CALL(sched_setattr, 0, &a, 0));
	a = (struct attr){.size = 47};
	SHOW(CALL(sched_setattr, 0, &a, 0));
	printf("size %u\n", a.size >= 48);
	a = (struct attr){.size = sizeof a};
	SHOW(CALL(sched_setattr, 0, &a, 0));
	a.unknown = 1;
	SHOW(CALL(sched_setattr, 0, &a, 0));
	printf("size %u\n", a.size < sizeof a);
}

static void
inherited(void)
{
	SHOW(CALL(sched_getscheduler, 0));
	SHOW(CALL(getpriority, PRIO_PROCESS, 0));
	SHOW(CALL(ioprio_get, 1, 0));
	SHOW(CALL(personality, 0xffffffff));
}

/* What a child gets of its parent's. */
static void
children(void)
{
	struct sched_param sp = {0}, rr = {.sched_priority = 3};
	struct utsname u;

	SHOW(CALL(ioprio_set, 1, 0, 2 << 13 | 6));
	SHOW(CALL(personality, 8));
	SHOW(CALL(personality, 0xffffffff));
	uname(&u);
	printf("machine %s\n", u.machine);
	SHOW(CALL(setpriority, PRIO_PROCESS, 0, 4));
	SHOW(CALL(sched_setscheduler, 0, SCHED_BATCH, &sp));
	in_child("of a batch", inherited);
	SHOW(CALL(sched_setscheduler, 0, SCHED_BATCH | SCHED_RESET_ON_FORK, &sp));
	in_child("of a batch, reset", inherited);
	SHOW(CALL(sched_setparam, 0, &sp));
	SHOW(CALL(sched_getscheduler, 0));
	/* Where real-time is not to be had natively, neither inside: nothing is compared then. */
	if (CALL(sched_setscheduler, 0, SCHED_RR | SCHED_RESET_ON_FORK, &rr) == 0) {
		SHOW(CALL(sched_getscheduler, 0));
		in_child("of a real-time one, reset", inherited);
		SHOW(CALL(sched_setscheduler, 0, SCHED_OTHER, &sp));
	}
}

static void
cpus(void)
{
	unsigned long mask[16] = {0};
	unsigned cpu = 99999, node = 99999;

	WORKS(CALL(sched_getaffinity, 0, sizeof mask, mask));
	TRUE(mask[0] & 1);
	SHOW(CALL(sched_getaffinity, 0, 7, mask));
	SHOW(CALL(sched_getaffinity, 0, 0, mask));
	SHOW(CALL(sched_getaffinity, NOBODY, sizeof mask, mask));
	SHOW(CALL(sched_getaffinity, 0, sizeof mask, 8));
	SHOW(CALL(sched_setaffinity, 0, sizeof mask, 8));
	SHOW(CALL(sched_setaffinity, NOBODY, sizeof mask, mask));
	mask[0] = 0;
	SHOW(CALL(sched_setaffinity, 0, sizeof mask, mask));
	mask[0] = 1;
	SHOW(CALL(sched_setaffinity, 0, sizeof mask, mask));
	WORKS(CALL(sched_getaffinity, 0, sizeof mask, mask));
	TRUE(mask[0] == 1);
	SHOW(CALL(getcpu, &cpu, &node, NULL));
	TRUE(cpu == 0);
	SHOW(CALL(getcpu, NULL, NULL, NULL));
}

static void
priorities(void)
{
	SHOW(CALL(getpriority, PRIO_PROCESS, 0));
	SHOW(CALL(setpriority, PRIO_PROCESS, 0, 7));
	SHOW(CALL(getpriority, PRIO_PROCESS, 0));
	SHOW(CALL(setpriority, PRIO_PROCESS, 0, 100));
	SHOW(CALL(getpriority, PRIO_PROCESS, 0));
	SHOW(CALL(setpriority, 3, 0, 1));
	SHOW(CALL(getpriority, -1, 0));
	SHOW(CALL(setpriority, PRIO_PROCESS, NOBODY, 1));
	SHOW(CALL(getpriority, PRIO_PROCESS, NOBODY));
	SHOW(CALL(getpriority, PRIO_PGRP, NOBODY));
	SHOW(CALL(ioprio_get, 1, 0));
	SHOW(CALL(ioprio_set, 1, 0, 2 << 13 | 3));
	SHOW(CALL(ioprio_get, 1, 0));
	SHOW(CALL(ioprio_set, 1, 0, 2 << 13 | 9));
	SHOW(CALL(ioprio_set, 1, 0, 4 << 13));
	SHOW(CALL(ioprio_set, 9, 0, 0));
	SHOW(CALL(ioprio_get, 9, 0));
	SHOW(CALL(ioprio_get, 1, NOBODY));
}

static void
rlimits(void)
{
	struct rlimit r = {100, 200}, old;
	struct rusage ru;

	SHOW(CALL(setrlimit, RLIMIT_NOFILE, &r));
	SHOW(CALL(getrlimit, RLIMIT_NOFILE, &old));
	printf("%lu %lu\n", old.rlim_cur, old.rlim_max);
	r.rlim_cur = 201;
	SHOW(CALL(setrlimit, RLIMIT_NOFILE, &r));
	SHOW(CALL(setrlimit, 16, &r));
	SHOW(CALL(getrlimit, 16, &r));
	SHOW(CALL(getrlimit, RLIMIT_CPU, 8));
	SHOW(CALL(setrlimit, RLIMIT_CPU, 8));
	SHOW(CALL(prlimit64, NOBODY, RLIMIT_CPU, NULL, &old));
	SHOW(CALL(prlimit64, getpid(), RLIMIT_NOFILE, NULL, &old));
	SHOW(dup2(0, 99));
	SHOW(dup2(0, 100));
	r = (struct rlimit){0, 0};
	SHOW(CALL(setrlimit, RLIMIT_FSIZE, &r));
	SHOW(CALL(getrusage, RUSAGE_SELF, &ru));
	SHOW(CALL(getrusage, 2, &ru));
	SHOW(CALL(getrusage, RUSAGE_THREAD, 8));
	for (int i = 0; i < 16; i++)
		SHOW(CALL(prlimit64, 0, i, NULL, &old));
}

static void
memory_policies(void)
{
	const struct {
		int mode;
		unsigned long nodes;
	} set[] = {{MPOL_BIND, 1}, {MPOL_PREFERRED, 1}, {MPOL_PREFERRED, 0},
		{MPOL_INTERLEAVE | 1 << 15, 1}, {MPOL_BIND, 0}, {MPOL_DEFAULT, 0}};
	unsigned long nodes;
	int mode, status;

	for (size_t i = 0; i < sizeof set / sizeof *set; i++) {
		SHOW(CALL(set_mempolicy, set[i].mode, &set[i].nodes, 64));
		fflush(stdout);
		/* What a child gets. */
		if (fork() == 0) {
			nodes = ~0ul;
			SHOW(CALL(get_mempolicy, &mode, &nodes, 64, NULL, 0));
			printf("policy %x nodes %lx\n", mode, nodes);
			fflush(stdout);
			_exit(0);
		}
		wait(&status);
	}
}

static void
locks_and_policies(void)
{
	char *p = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long mask = 1;
	int mode = -1;

	SHOW(CALL(mlock, p, 0x4000));
	SHOW(CALL(mlock2, p, 0x1000, 1));
	SHOW(CALL(mlock2, p, 0x1000, 2));
	SHOW(CALL(munlock, p, 0x4000));
	SHOW(CALL(mlock, p + 0x4000000000, 0x1000));
	SHOW(CALL(mlock, p, -1UL));
	SHOW(CALL(mlockall, 0));
	SHOW(CALL(mlockall, 8));
	SHOW(CALL(mlockall, MCL_ONFAULT));
	SHOW(CALL(munlockall));
	SHOW(CALL(msync, p, 0x4000, MS_SYNC));
	SHOW(CALL(msync, p, 0x4000, MS_SYNC | MS_ASYNC));
	SHOW(CALL(msync, p + 1, 0x1000, MS_SYNC));
	SHOW(CALL(msync, p, 0x1000, 8));
	munmap(p + 0x1000, 0x1000);
	SHOW(CALL(msync, p, 0x4000, MS_ASYNC));
	SHOW(CALL(mlock, p, 0x4000));
	SHOW(CALL(get_mempolicy, &mode, NULL, 0, NULL, 0));
	printf("%d\n", mode);
	SHOW(CALL(set_mempolicy, MPOL_DEFAULT, NULL, 0));
	SHOW(CALL(set_mempolicy, 99, NULL, 0));
	SHOW(CALL(set_mempolicy, MPOL_BIND, NULL, 0));
	SHOW(CALL(set_mempolicy, MPOL_PREFERRED, &mask, 8));
	memory_policies();
	SHOW(CALL(mbind, p, 0x1000, MPOL_DEFAULT, NULL, 0, 0));
	SHOW(CALL(mbind, p + 1, 0x1000, MPOL_DEFAULT, NULL, 0, 0));
	SHOW(CALL(mbind, p, 0x1000, 99, NULL, 0, 0));
	SHOW(syscall(462, p, 0x1000, 1)); /* mseal */
	SHOW(syscall(462, p + 1, 0x1000, 0));
	SHOW(syscall(462, p, 0x1000, 0));
	SHOW(munmap(p, 0x1000));
	SHOW(mprotect(p, 0x1000, PROT_READ));
}

static void
remaps(void)
{
	char *p = mmap(NULL, 0x8000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	     *q;

	p[0] = 'p';
	SHOW(mremap(p, 0x8000, 0, 0) == MAP_FAILED);
	SHOW(CALL(mremap, p + 1, 0x1000, 0x1000, 0, 0));
	SHOW(CALL(mremap, p, 0x1000, 0x1000, 8, 0));
	SHOW(CALL(mremap, p, 0x1000, 0x1000, MREMAP_FIXED, p));
	SHOW(CALL(mremap, p, 0x2000, 0x2000, MREMAP_MAYMOVE | MREMAP_FIXED, p + 0x1000));
	SHOW(CALL(mremap, p, 0x1000, 0x2000, 0, 0));
	SHOW(CALL(mremap, p, 0x8000, 0x4000, 0, 0) == (long)p);
	q = mremap(p, 0x4000, 0x100000, MREMAP_MAYMOVE);
	TRUE(q != MAP_FAILED && q[0] == 'p');
	p = mremap(q, 0x1000, 0x1000, MREMAP_MAYMOVE | 4 /* DONTUNMAP */);
	TRUE(p != MAP_FAILED && p[0] == 'p');
	TRUE(q[0] == 0);
	munmap(q, 0x1000);
	SHOW(CALL(mremap, q, 0x1000, 0x2000, MREMAP_MAYMOVE, 0));
	SHOW(CALL(mremap, p, 0x1000, -1UL, MREMAP_MAYMOVE, 0));
}

static void
other_memory(void)
{
	char here[64] = "", *there = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct iovec l = {here, 64}, r = {there, 64}, two[2] = {{there, 4}, {there + 0x1ffe, 4}};
	pid_t p = fork();

	if (p == 0) {
		strcpy(there, "the child's");
		kill(getppid(), SIGUSR1);
		for (;;)
			pause();
	}
	while (CALL(process_vm_readv, p, &l, 1, &r, 1, 0) == 64 && !here[0])
		sleep_ms(2);
	printf("%s\n", here);
	strcpy(here, "written");
	SHOW(CALL(process_vm_writev, p, &l, 1, &r, 1, 0));
	memset(here, 0, sizeof here);
	SHOW(CALL(process_vm_readv, p, &l, 1, &r, 1, 0));
	printf("%s, mine <%s>\n", here, there);
	SHOW(CALL(process_vm_readv, p, &l, 1, two, 2, 0));
	SHOW(CALL(process_vm_readv, p, &l, 1, &two[1], 1, 0));
	SHOW(CALL(process_vm_readv, p, &l, 1, &r, 1, 1));
	SHOW(CALL(process_vm_readv, p, &l, 1025, &r, 1, 0));
	SHOW(CALL(process_vm_readv, p, &l, 1, 8, 1, 0));
	SHOW(CALL(process_vm_readv, p, &l, 0, &r, 1, 0));
	SHOW(CALL(process_vm_readv, NOBODY, &l, 1, &r, 1, 0));
	TRUE(CALL(kcmp, getpid(), p, KCMP_VM, 0, 0) > 0);
	SHOW(CALL(kcmp, getpid(), getpid(), KCMP_VM, 0, 0));
	SHOW(CALL(kcmp, getpid(), p, KCMP_FILE, 1, 1));
	SHOW(CALL(kcmp, getpid(), p, KCMP_FILE, 1, 77));
	SHOW(CALL(kcmp, getpid(), p, KCMP_SYSVSEM, 0, 0));
	SHOW(CALL(kcmp, getpid(), p, KCMP_IO, 0, 0));
	SHOW(CALL(kcmp, getpid(), p, 99, 0, 0));
	SHOW(CALL(kcmp, getpid(), NOBODY, KCMP_VM, 0, 0));
	kill(p, SIGKILL);
	waitpid(p, NULL, 0);
	SHOW(CALL(process_vm_readv, p, &l, 1, &r, 1, 0));
}

static void
facts(void)
{
	struct sysinfo si;
	struct utsname u;
	struct timeval tv;
	struct timezone tz;
	struct timespec ts;
	void *head;
	size_t len = 0;
	unsigned char b[64] = {0};
	time_t t;

	SHOW(CALL(uname, &u));
	printf("%s %s\n", u.sysname, u.machine);
	SHOW(CALL(uname, 8));
	SHOW(CALL(sysinfo, &si));
	TRUE(si.totalram > 0 && si.mem_unit > 0 && si.procs > 0);
	SHOW(CALL(sysinfo, 8));
	SHOW(CALL(getrandom, b, 64, 0));
	SHOW(CALL(getrandom, b, 64, 8));
	SHOW(CALL(getrandom, b, 64, 6));
	SHOW(CALL(getrandom, 8, 64, 0));
	SHOW(CALL(getrandom, b, 0, 0));
	SHOW(CALL(gettimeofday, &tv, &tz));
	SHOW(CALL(gettimeofday, 8, NULL));
	SHOW(CALL(gettimeofday, NULL, NULL));
	TRUE(CALL(time, &t) == t);
	SHOW(CALL(time, 8));
	for (int i = 0; i < 13; i++)
		SHOW(CALL(clock_getres, i, &ts));
	SHOW(CALL(clock_getres, 0, 8));
	SHOW(CALL(clock_getres, 0, NULL));
	SHOW(CALL(membarrier, MEMBARRIER_CMD_QUERY, 1, 0) & 0);
	SHOW(CALL(membarrier, MEMBARRIER_CMD_QUERY, 1, 0));
	SHOW(CALL(membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
	SHOW(CALL(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	SHOW(CALL(membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	SHOW(CALL(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	SHOW(CALL(membarrier, 3, 0, 0));
	SHOW(CALL(personality, 0xffffffff));
	SHOW(CALL(personality, 0x0040000));
	SHOW(CALL(personality, 0xffffffff));
	TRUE(strncmp(u.release, "2.6.", 4) == 0);
	SHOW(CALL(personality, UNAME26));
	SHOW(CALL(uname, &u));
	TRUE(strncmp(u.release, "2.6.", 4) == 0);
	TRUE(atoi(u.release + 4) >= 60);
	SHOW(CALL(personality, 0x0040000));
	SHOW(CALL(get_robust_list, 0, &head, &len));
	SHOW(len);
	SHOW(CALL(get_robust_list, NOBODY, &head, &len));
	SHOW(CALL(get_robust_list, 0, 8, &len));
	SHOW(CALL(restart_syscall));
	/* Nothing that would change the machine when this runs natively. */
	SHOW(CALL(sethostname, 8, 65));
	SHOW(CALL(sethostname, 8, 3));
	SHOW(CALL(sethostname, 8, -1));
	SHOW(CALL(setdomainname, 8, 65));
	SHOW(CALL(setdomainname, 8, 3));
	SHOW(CALL(syslog, 99, NULL, 0));
	SHOW(CALL(syslog, 3, NULL, 10));
	SHOW(CALL(syslog, 3, b, -1));
}

int
main(void)
{
	signal(SIGUSR1, SIG_IGN);
	in_child("policies", policies);
	in_child("attributes", attributes);
	in_child("children", children);
	in_child("cpus", cpus);
	in_child("priorities", priorities);
	in_child("rlimits", rlimits);
	in_child("locks and policies", locks_and_policies);
	in_child("mremap", remaps);
	in_child("other memory", other_memory);
	in_child("facts", facts);
	return 0;
}
