/* SPDX-License-Identifier: Apache-2.0 */
/* Signals: actions and their flags, masks, queues, waiting, restart, frames. */
#include "guest.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

static volatile sig_atomic_t count, last_signo, last_code, last_value, depth, on_alt;
static char alt[65536];
static int order[16], norder;

static void
note(int s)
{
	last_signo = s;
	count++;
}

static void
note_info(int s, siginfo_t *si, void *uc)
{
	(void)uc;
	last_signo = s;
	last_code = si->si_code;
	last_value = si->si_value.sival_int;
	if (norder < 16)
		order[norder++] = s * 100 + si->si_value.sival_int;
	count++;
}

static void
set(int s, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = {.sa_sigaction = fn, .sa_flags = flags | SA_SIGINFO};

	sigaction(s, &sa, NULL);
}

static void
nest(int s, siginfo_t *si, void *uc)
{
	(void)si;
	(void)uc;
	depth++;
	if (depth < 3)
		raise(s);
	count++;
}

static void
where(int s, siginfo_t *si, void *uc)
{
	char here;

	(void)s;
	(void)si;
	(void)uc;
	on_alt = &here >= alt && &here < alt + sizeof alt;
}

static sigjmp_buf jump;
static volatile void *fault_addr;

static void
on_fault(int s, siginfo_t *si, void *uc)
{
	(void)uc;
	last_signo = s;
	last_code = si->si_code;
	fault_addr = si->si_addr;
	siglongjmp(jump, 1);
}

static void
fault_case(const char *name, void (*fn)(void *), void *arg)
{
	last_signo = last_code = 0;
	fault_addr = NULL;
	if (sigsetjmp(jump, 1) == 0)
		fn(arg);
	printf("%s: signal %d code %d addr %s\n", name, last_signo, last_code,
		fault_addr == arg ? "as expected" : "other");
}

static void
store(void *p)
{
	*(volatile int *)p = 1;
}

static void
divide(void *p)
{
	volatile int z = 0, one = 1;

	(void)p;
	one = one / z;
}

static void
ud2(void *p)
{
	(void)p;
	__asm__ volatile("ud2");
}

static void
int3(void *p)
{
	(void)p;
	__asm__ volatile("int3");
}

static void
call(void *p)
{
	((void (*)(void))p)();
}

static void
test_flags(void)
{
	struct sigaction sa = {.sa_handler = note}, old;
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof alt}, oss;

	SHOW(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	SHOW(count);
	sa.sa_flags = SA_RESETHAND;
	sigaction(SIGUSR1, &sa, NULL);
	raise(SIGUSR1);
	sigaction(SIGUSR1, NULL, &old);
	TRUE(old.sa_handler == SIG_DFL);
	SHOW(sigaction(SIGKILL, &sa, NULL));
	SHOW(sigaction(SIGSTOP, &sa, NULL));
	SHOW(sigaction(65, &sa, NULL));

	depth = count = 0;
	set(SIGUSR1, nest, SA_NODEFER);
	raise(SIGUSR1);
	printf("nodefer: depth %d\n", depth);
	depth = count = 0;
	set(SIGUSR1, nest, 0);
	raise(SIGUSR1);
	printf("defer: depth %d count %d\n", depth, count);

	SHOW(sigaltstack(&ss, NULL));
	set(SIGUSR2, where, SA_ONSTACK);
	raise(SIGUSR2);
	SHOW(on_alt);
	set(SIGUSR2, where, 0);
	raise(SIGUSR2);
	SHOW(on_alt);
	sigaltstack(NULL, &oss);
	SHOW(oss.ss_flags);
	ss.ss_size = 100;
	SHOW(sigaltstack(&ss, NULL));
	ss.ss_flags = SS_DISABLE;
	SHOW(sigaltstack(&ss, NULL));
}

static void
test_queue(void)
{
	union sigval v;
	sigset_t s, p;
	struct timespec zero = {0, 0}, ms = {0, 20000000};
	siginfo_t si;

	for (int i = SIGRTMIN; i < SIGRTMIN + 3; i++)
		set(i, note_info, 0);
	set(SIGUSR1, note_info, 0);
	sigfillset(&s);
	sigprocmask(SIG_BLOCK, &s, NULL);
	for (int i = 0; i < 3; i++) {
		v.sival_int = i;
		sigqueue(getpid(), SIGRTMIN + 1, v);
		v.sival_int = i + 10;
		sigqueue(getpid(), SIGRTMIN, v);
		kill(getpid(), SIGUSR1);
	}
	sigpending(&p);
	printf("pending: usr1 %d rt %d hup %d\n", sigismember(&p, SIGUSR1),
		sigismember(&p, SIGRTMIN), sigismember(&p, SIGHUP));
	norder = 0;
	sigprocmask(SIG_UNBLOCK, &s, NULL);
	/* Each handler interrupts the one before: the last delivered runs first. Sort by what was
	 * seen. */
	printf("delivered %d:", norder);
	for (int i = 0; i < norder; i++)
		printf(" %d", order[i] - (order[i] / 100 >= SIGRTMIN ? SIGRTMIN * 100 : 0));
	printf("\n");

	sigemptyset(&s);
	sigaddset(&s, SIGRTMIN + 2);
	sigaddset(&s, SIGUSR1);
	sigprocmask(SIG_BLOCK, &s, NULL);
	SHOW(sigtimedwait(&s, &si, &zero));
	SHOW(sigtimedwait(&s, &si, &ms));
	v.sival_int = 1234;
	sigqueue(getpid(), SIGRTMIN + 2, v);
	TRUE(sigtimedwait(&s, &si, &zero) == SIGRTMIN + 2);
	printf("code %d value %d pid ok %d\n", si.si_code, si.si_value.sival_int,
		si.si_pid == getpid());
	kill(getpid(), SIGUSR1);
	SHOW(sigwaitinfo(&s, &si));
	printf("code %d\n", si.si_code);
	{
		int fd = signalfd(-1, &s, SFD_NONBLOCK);
		struct signalfd_siginfo fi;

		SHOW(read(fd, &fi, sizeof fi));
		SHOW(read(fd, &fi, 10));
		v.sival_int = 99;
		sigqueue(getpid(), SIGUSR1, v);
		SHOW(read(fd, &fi, sizeof fi));
		printf("signalfd: signo %u int %d\n", fi.ssi_signo, fi.ssi_int);
		close(fd);
	}
	sigprocmask(SIG_UNBLOCK, &s, NULL);
}

static void
alarm_in(int ms)
{
	struct itimerval it = {.it_value = {ms / 1000, ms % 1000 * 1000}};

	setitimer(ITIMER_REAL, &it, NULL);
}

static void
test_restart(void)
{
	int fds[2];
	char c;
	struct timespec ts = {0, 200000000}, rem = {0, 0};
	sigset_t none;

	if (pipe(fds))
		abort();
	set(SIGALRM, note_info, 0);
	alarm_in(30);
	SHOW(read(fds[0], &c, 1));
	set(SIGALRM, note_info, SA_RESTART);
	fflush(stdout);
	if (fork() == 0) {
		sleep_ms(150);
		_exit(write(fds[1], "x", 1) != 1);
	}
	alarm_in(30);
	SHOW(read(fds[0], &c, 1));
	wait(NULL);
	alarm_in(30);
	SHOW(nanosleep(&ts, &rem));
	TRUE(rem.tv_nsec > 50000000 && rem.tv_nsec < 200000000);
	alarm_in(30);
	SHOW(pause());
	sigemptyset(&none);
	alarm_in(30);
	SHOW(sigsuspend(&none));
	close(fds[0]);
	close(fds[1]);
}

static void
test_faults(void)
{
	char *ro = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *nx = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int s = 1; s < 32; s++)
		if (s == SIGSEGV || s == SIGBUS || s == SIGFPE || s == SIGILL || s == SIGTRAP)
			set(s, on_fault, 0);
	fault_case("null", store, (void *)0);
	fault_case("low", store, (void *)0x123);
	fault_case("read-only", store, ro);
	fault_case("no access", store, none);
	fault_case("not executable", call, nx);
	fault_case("non-canonical", store, (void *)0xdead000000000000);
	fault_case("divide", divide, (void *)1);
	fault_case("ud2", ud2, (void *)1);
	fault_case("int3", int3, (void *)1);
	munmap(nx, 4096);
	fault_case("unmapped", store, nx);
}

/* What the program has in vector registers stays, across a handler that uses them. */
static void
spoil(int s)
{
	(void)s;
	__asm__ volatile("vpcmpeqd %%ymm0, %%ymm0, %%ymm0\n vpcmpeqd %%ymm5, %%ymm5, %%ymm5\n" ::
				 : "xmm0", "xmm5");
	count++;
}

static void
test_vectors(void)
{
	unsigned long in[4] = {1, 2, 3, 4}, out[4] = {0};

	if (!__builtin_cpu_supports("avx2")) {
		puts("no avx2");
		return;
	}
	signal(SIGUSR1, spoil);
	count = 0;
	__asm__ volatile("vmovdqu (%0), %%ymm5\n"
			 "mov %2, %%eax\n mov %3, %%edi\n mov %4, %%esi\n syscall\n"
			 "vmovdqu %%ymm5, (%1)\n"
			 :
			 : "r"(in), "r"(out), "i"(SYS_kill), "r"(getpid()), "i"(SIGUSR1)
			 : "rax", "rcx", "r11", "rdi", "rsi", "xmm5", "memory");
	printf("handler ran %d, vector %lu %lu %lu %lu\n", count, out[0], out[1], out[2], out[3]);
}

static void
change_context(int s, siginfo_t *si, void *u)
{
	ucontext_t *uc = u;

	(void)s;
	(void)si;
	uc->uc_mcontext.gregs[REG_RBX] = 0x1234;
	sigaddset(&uc->uc_sigmask, SIGHUP);
}

static void
test_context(void)
{
	unsigned long rbx;
	sigset_t s;

	set(SIGUSR1, change_context, 0);
	__asm__ volatile("mov $1, %%ebx\n mov %1, %%eax\n mov %2, %%edi\n mov %3, %%esi\n "
			 "syscall\n mov %%rbx, %0"
			 : "=r"(rbx)
			 : "i"(SYS_kill), "r"(getpid()), "i"(SIGUSR1)
			 : "rax", "rbx", "rcx", "r11", "rdi", "rsi", "memory");
	printf("rbx %#lx\n", rbx);
	sigprocmask(SIG_BLOCK, NULL, &s);
	TRUE(sigismember(&s, SIGHUP));
	sigemptyset(&s);
	sigprocmask(SIG_SETMASK, &s, NULL);
}

static void
on_chld(int s, siginfo_t *si, void *uc)
{
	(void)uc;
	last_signo = s;
	last_code = si->si_code;
	last_value = si->si_status;
	count++;
}

static void
test_sigchld(void)
{
	int st;

	set(SIGCHLD, on_chld, 0);
	count = 0;
	fflush(stdout);
	if (fork() == 0)
		_exit(9);
	while (!count)
		sleep_ms(1);
	printf("sigchld: code %d status %d\n", last_code, last_value);
	wait(&st);
	signal(SIGCHLD, SIG_IGN);
	fflush(stdout);
	if (fork() == 0)
		_exit(9);
	SHOW(wait(&st));
	signal(SIGCHLD, SIG_DFL);
}

static volatile int thread_got;
static pthread_t helper;

static void
thread_note(int s)
{
	(void)s;
	thread_got = pthread_equal(pthread_self(), helper) ? 1 : 2;
}

static void *
thread_loop(void *arg)
{
	(void)arg;
	while (!thread_got)
		; /* never in a system call: it has to be interrupted in its own code */
	return NULL;
}

static void
test_threads(void)
{
	sigset_t s;

	signal(SIGUSR2, thread_note);
	pthread_create(&helper, NULL, thread_loop, NULL);
	sleep_ms(20);
	pthread_kill(helper, SIGUSR2);
	pthread_join(helper, NULL);
	printf("to a thread: %d\n", thread_got);
	/* To the process while the main thread blocks it: the other one takes it. */
	thread_got = 0;
	pthread_create(&helper, NULL, thread_loop, NULL);
	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &s, NULL);
	kill(getpid(), SIGUSR2);
	pthread_join(helper, NULL);
	printf("to the process: %d\n", thread_got);
	pthread_sigmask(SIG_UNBLOCK, &s, NULL);
}

static volatile int stop_waking, wrong;
static volatile sig_atomic_t storms;

static void
storm(int s)
{
	(void)s;
	storms++;
}

/* Calls that do not wait never tell of a signal, however it meets them. */
static void *
wake_loop(void *arg)
{
	static int word;

	while (!stop_waking) {
		if (syscall(SYS_futex, &word, 1 /* FUTEX_WAKE */, 1, NULL, NULL, 0) != 0)
			wrong++;
		if (syscall(SYS_futex, &word, 0 /* FUTEX_WAIT */, 1, NULL, NULL, 0) != -1 ||
			errno != EAGAIN)
			wrong++;
	}
	return arg;
}

static void
test_storm(void)
{
	struct sigaction sa = {.sa_handler = storm, .sa_flags = SA_RESTART};
	pthread_t t;

	sigaction(SIGUSR2, &sa, NULL);
	pthread_create(&t, NULL, wake_loop, NULL);
	for (int i = 0; i < 3000; i++) {
		pthread_kill(t, SIGUSR2);
		if (i % 100 == 0)
			sleep_ms(1);
	}
	stop_waking = 1;
	pthread_join(t, NULL);
	printf("wrong results under signals: %d, signals came: %d\n", wrong, storms > 0);
}

int
main(void)
{
	test_storm();
	test_flags();
	test_queue();
	test_restart();
	test_faults();
	test_vectors();
	test_context();
	test_sigchld();
	test_threads();
	return 0;
}
