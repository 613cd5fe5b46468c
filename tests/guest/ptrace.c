/* SPDX-License-Identifier: Apache-2.0 */
/* ptrace(2): stops and what they are called, registers and memory, breakpoints and steps, events,
 * threads. */
#include "tracer.h"

static char text[64] = "a text";

static void
basics(void)
{
	struct user_regs_struct r, r2;
	siginfo_t si;
	long v;

	start(traced);
	wait_show("start");
	show_siginfo();
	show_syscall_info();
	SHOW(ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD));
	SHOW(ptrace(PTRACE_SETOPTIONS, child, 0, 1 << 30));
	SHOW(ptrace(12345, child, 0, 0));
	SHOW(ptrace(PTRACE_GETREGS, child, 0, 0));
	SHOW(ptrace(PTRACE_GETREGS, child, 0, &r));
	errno = 0;
	v = syscall(
		SYS_ptrace, PTRACE_PEEKUSR, child, offsetof(struct user_regs_struct, rip), &r2.rip);
	printf("peekuser %ld, rip is the same: %d\n", v, r.rip == r2.rip);
	SHOW(syscall(SYS_ptrace, PTRACE_PEEKUSR, child, 3, &v));
	SHOW(syscall(SYS_ptrace, PTRACE_PEEKUSR, child, 100000, &v));
	SHOW(syscall(SYS_ptrace, PTRACE_PEEKDATA, child, &value, &v));
	printf("value %ld\n", v);
	SHOW(syscall(SYS_ptrace, PTRACE_PEEKDATA, child, 8, &v));
	SHOW(ptrace(PTRACE_POKEDATA, child, 8, 1));
	SHOW(ptrace(PTRACE_POKEDATA, child, &value, 78));
	SHOW(ptrace(PTRACE_CONT, child, 0, 999));
	errno = 0;
	r2 = r;
	r2.cs = 0x10;
	SHOW(ptrace(PTRACE_SETREGS, child, 0, &r2) ? -1 : 0);
	r2 = r;
	r2.fs_base = 1ul << 62;
	SHOW(ptrace(PTRACE_SETREGS, child, 0, &r2));
	r2 = r;
	r2.rbx = 4711;
	SHOW(ptrace(PTRACE_SETREGS, child, 0, &r2));
	ptrace(PTRACE_GETREGS, child, 0, &r2);
	printf("rbx %llu\n", r2.rbx);
	SHOW(ptrace(PTRACE_SETREGS, child, 0, &r));
	run_syscalls(20);
	SHOW(ptrace(PTRACE_CONT, child, 0, 0));
	SHOW(ptrace(PTRACE_CONT, 999999, 0, 0));
	(void)si;
}

/* A tracer changes the call, skips it, and changes the result. */
static void
change(void)
{
	struct user_regs_struct r;
	int st;

	start(traced);
	wait_show("start");
	ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD);
	for (int n = 0;; n++) {
		ptrace(PTRACE_SYSCALL, child, 0, 0);
		waitpid(child, &st, 0);
		if (!WIFSTOPPED(st))
			break;
		ptrace(PTRACE_GETREGS, child, 0, &r);
		printf("%d: nr %lld rax %lld\n", n, (long long)r.orig_rax,
			(long long)r.rax == child ? -7777 : (long long)r.rax);
		if (n == 1) /* entry of getpgid: another call */
			r.orig_rax = SYS_getpid;
		if (n == 2) /* its exit */
			r.rax = 5;
		if (n == 3) /* entry of gettid: none */
			r.orig_rax = (unsigned long long)-1;
		if (n == 5) {
			r.orig_rax = (unsigned long long)-1;
			r.rax = 1234;
		}
		ptrace(PTRACE_SETREGS, child, 0, &r);
	}
	show_status("end", st);
}

/* --- signals --- */

static volatile int got;

static void
handler(int s)
{
	got = s;
}

static void
signals_child(void)
{
	signal(SIGUSR1, handler);
	signal(SIGUSR2, handler);
	signal(SIGWINCH, SIG_IGN);
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGUSR1);
	got = got ? 0 : 50;
	raise(SIGUSR1);
	got = got == SIGUSR2 ? 0 : 51;
	raise(SIGWINCH);
	raise(SIGCHLD);
	raise(SIGUSR1);
	raise(SIGTERM);
	_exit(got);
}

static void
signals(void)
{
	siginfo_t si;
	sigset_t set;
	uint64_t mask = 0;

	start(signals_child);
	wait_show("first");
	show_siginfo();
	SHOW(ptrace(PTRACE_GETSIGMASK, child, 8, &mask));
	printf("mask %lx\n", (long)mask);
	SHOW(ptrace(PTRACE_GETSIGMASK, child, 4, &mask));
	ptrace(PTRACE_CONT, child, 0, 0); /* not delivered */
	wait_show("second");
	ptrace(PTRACE_CONT, child, 0, SIGUSR2); /* another */
	wait_show("ignored ones too");
	ptrace(PTRACE_CONT, child, 0, SIGWINCH);
	wait_show("ignored ones too");
	ptrace(PTRACE_CONT, child, 0, SIGCHLD);
	wait_show("blocked by the tracer");
	mask = 1ul << (SIGUSR1 - 1);
	SHOW(ptrace(PTRACE_SETSIGMASK, child, 8, &mask));
	ptrace(PTRACE_CONT, child, 0, SIGUSR1);
	wait_show("next");
	struct ptrace_peeksiginfo_args a = {0, 0, 4};
	siginfo_t q[4];
	SHOW(ptrace(PTRACE_PEEKSIGINFO, child, &a, q));
	printf("queued: signo %d\n", q[0].si_signo);
	memset(&si, 0, sizeof si);
	ptrace(PTRACE_GETSIGINFO, child, 0, &si);
	si.si_code = -77;
	SHOW(ptrace(PTRACE_SETSIGINFO, child, 0, &si));
	show_siginfo();
	ptrace(PTRACE_CONT, child, 0, SIGTERM);
	wait_show("end");
	sigemptyset(&set);
}

/* --- the text: breakpoints and steps --- */

__attribute__((noinline, noclone)) static long
function(long a)
{
	__asm__ volatile("" : "+r"(a));
	return a + 1;
}

static void
break_child(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	long n = 0;
	for (int i = 0; i < 3; i++)
		n = function(n);
	_exit((int)n);
}

static void
breakpoint(int by_proc)
{
	struct user_regs_struct r;
	unsigned long old, v;
	char path[64];
	int fd = -1;

	printf("--- breakpoint %d\n", by_proc);
	start(break_child);
	wait_show("start");
	snprintf(path, sizeof path, "/proc/%d/mem", child);
	fd = open(path, O_RDWR);
	TRUE(fd >= 0);
	syscall(SYS_ptrace, PTRACE_PEEKTEXT, child, function, &old);
	TRUE(old == *(unsigned long *)function);
	v = (old & ~0xfful) | 0xcc;
	if (by_proc)
		SHOW(pwrite(fd, &v, 8, (off_t)(uintptr_t)function));
	else
		SHOW(ptrace(PTRACE_POKETEXT, child, function, v));
	for (int i = 0; i < 3; i++) {
		ptrace(PTRACE_CONT, child, 0, 0);
		wait_show("hit");
		show_siginfo();
		ptrace(PTRACE_GETREGS, child, 0, &r);
		printf("at the breakpoint: %d, argument %llu\n",
			r.rip == (unsigned long)function + 1, r.rdi);
		r.rip--;
		ptrace(PTRACE_SETREGS, child, 0, &r);
		if (by_proc)
			pwrite(fd, &old, 8, (off_t)(uintptr_t)function);
		else
			ptrace(PTRACE_POKETEXT, child, function, old);
		ptrace(PTRACE_SINGLESTEP, child, 0, 0);
		wait_show("step");
		show_siginfo();
		ptrace(PTRACE_GETREGS, child, 0, &r);
		printf("one further: %d, trap flag %llx\n",
			r.rip > (unsigned long)function && r.rip < (unsigned long)function + 16,
			r.eflags & 0x100);
		ptrace(PTRACE_POKETEXT, child, function, v);
	}
	TRUE(*(unsigned long *)function == old);
	ptrace(PTRACE_POKETEXT, child, function, old);
	ptrace(PTRACE_CONT, child, 0, 0);
	wait_show("end");
	close(fd);
}

static void
step_child(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	signal(SIGUSR1, handler);
	raise(SIGSTOP);
	__asm__ volatile("nop; nop; mov $39, %%eax; syscall; nop; nop"
			 :
			 :
			 : "rax", "rcx", "r11", "memory");
	_exit(44);
}

/* Step through a syscall: each step is one instruction, the syscall too. */
static void
steps(void)
{
	struct user_regs_struct r;
	unsigned long word = 0;
	int found = 0, st;

	printf("--- steps\n");
	start(step_child);
	wait_show("start");
	for (int i = 0; i < 3000 && found < 4; i++) {
		unsigned long before;

		ptrace(PTRACE_GETREGS, child, 0, &r);
		before = r.rip;
		syscall(SYS_ptrace, PTRACE_PEEKTEXT, child, before, &word);
		ptrace(PTRACE_SINGLESTEP, child, 0, 0);
		waitpid(child, &st, 0);
		if (!WIFSTOPPED(st) || WSTOPSIG(st) != SIGTRAP) {
			show_status("steps", st);
			return;
		}
		ptrace(PTRACE_GETREGS, child, 0, &r);
		if ((word & 0xffff) == 0x9090)
			found = 1;
		if (found) {
			printf("%02lx: advanced by %lld", word & 0xff, (long long)(r.rip - before));
			if (found == 3)
				printf(", rax is the pid: %d", (pid_t)r.rax == child);
			printf("\n");
			if ((word & 0xffff) == 0x050f)
				found = 3;
			else if (found == 3)
				found = 4;
		}
	}
	/* into a handler */
	ptrace(PTRACE_SINGLESTEP, child, 0, SIGUSR1);
	wait_show("into the handler");
	ptrace(PTRACE_GETREGS, child, 0, &r);
	TRUE(r.rip == (unsigned long)handler);
	ptrace(PTRACE_CONT, child, 0, 0);
	wait_show("end");
}

/* --- floating point --- */

static void
fp_child(void)
{
	double d = 1.5;

	ptrace(PTRACE_TRACEME, 0, 0, 0);
	__asm__ volatile("movsd %0, %%xmm7\n int3\n movsd %%xmm7, %0" : "+m"(d) : : "xmm7");
	_exit((int)d);
}

static void
floating(void)
{
	struct user_fpregs_struct f;
	static char xs[16384] __attribute__((aligned(64)));
	struct iovec iov = {xs, sizeof xs};
	double d;

	printf("--- floating point\n");
	start(fp_child);
	wait_show("start");
	SHOW(ptrace(PTRACE_GETFPREGS, child, 0, &f));
	memcpy(&d, (char *)f.xmm_space + 7 * 16, sizeof d);
	printf("xmm7 %g\n", d);
	SHOW(ptrace(PTRACE_GETREGSET, child, NT_X86_XSTATE, &iov));
	TRUE(iov.iov_len >= 576);
	memcpy(&d, xs + 160 + 7 * 16, sizeof d);
	printf("xmm7 %g, features have x87 and SSE: %d\n", d, (xs[464] & 3) == 3);
	d = 42;
	memcpy((char *)f.xmm_space + 7 * 16, &d, sizeof d);
	SHOW(ptrace(PTRACE_SETFPREGS, child, 0, &f));
	SHOW(ptrace(PTRACE_GETREGSET, child, NT_X86_XSTATE, &iov));
	SHOW(ptrace(PTRACE_SETREGSET, child, NT_X86_XSTATE, &iov));
	iov = (struct iovec){&f, sizeof f};
	SHOW(ptrace(PTRACE_GETREGSET, child, NT_PRFPREG, &iov));
	printf("%zu bytes\n", iov.iov_len);
	iov = (struct iovec){xs, 100};
	SHOW(ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &iov));
	iov = (struct iovec){xs, 1000};
	SHOW(ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &iov));
	printf("%zu bytes\n", iov.iov_len);
	SHOW(ptrace(PTRACE_GETREGSET, child, 0x777, &iov));
	ptrace(PTRACE_CONT, child, 0, 0);
	wait_show("end");
}

/* --- events --- */

static void *
thread(void *arg)
{
	syscall(SYS_getppid);
	return arg;
}

static void
events_child(void)
{
	pthread_t th;
	int st;
	pid_t p;

	ptrace(PTRACE_TRACEME, 0, 0, 0);
	raise(SIGSTOP);
	p = fork();
	if (!p)
		_exit(3);
	waitpid(p, &st, 0);
	p = vfork();
	if (!p)
		_exit(4);
	waitpid(p, &st, 0);
	pthread_create(&th, NULL, thread, NULL);
	pthread_join(th, NULL);
	execl("/proc/self/exe", "ptrace", "nothing", NULL);
	_exit(9);
}

struct seen {
	pid_t pid;
	char name[8];
};

/* All that a tracer of a tree sees, each tracee under a name of its own. */
static void
follow(int seize)
{
	struct seen seen[10] = {0};
	int nseen = 0, left = 1, st;
	pid_t main_child = child;

	seen[nseen++] = (struct seen){child, "main"};
	while (left > 0) {
		pid_t p = waitpid(-1, &st, __WALL);
		char *name = NULL;
		unsigned long msg = 0;
		int sig = 0, i;

		if (p < 0) {
			printf("wait: %s\n", strerrorname_np(errno));
			break;
		}
		for (i = 0; i < nseen; i++)
			if (seen[i].pid == p)
				name = seen[i].name;
		if (!name) {
			seen[nseen] = (struct seen){p, "n0"};
			seen[nseen].name[1] = (char)('0' + nseen);
			name = seen[nseen++].name;
			left++;
		}
		if (!WIFSTOPPED(st)) {
			show_status(name, st);
			left--;
			continue;
		}
		if (st >> 16 && st >> 16 != 128) {
			ptrace(PTRACE_GETEVENTMSG, p, 0, &msg);
			printf("%s: event %d message %s\n", name, st >> 16,
				st >> 16 == 6			   ? (msg == 0x300	    ? "300"
									     : msg == 0x400 ? "400"
											    : "other")
				: msg == (unsigned long)main_child ? "main"
								   : "another");
		} else if (st >> 16 == 128) {
			printf("%s: stop event, signal %d\n", name, WSTOPSIG(st));
		} else {
			printf("%s: signal %d\n", name, WSTOPSIG(st));
			sig = WSTOPSIG(st) == SIGSTOP || WSTOPSIG(st) == SIGTRAP ? 0 : WSTOPSIG(st);
		}
		(void)seize;
		ptrace(PTRACE_CONT, p, 0, sig);
	}
}

/* A tracee's stops come in its own order; those of different ones may be in any. */
static void
sorted(void (*fn)(int), int arg)
{
	char *lines[200], buf[10000];
	size_t n = 0, len;
	int pipefd[2], st;
	pid_t p;

	fflush(stdout);
	pipe(pipefd);
	p = fork();
	if (!p) {
		dup2(pipefd[1], 1);
		close(pipefd[0]);
		close(pipefd[1]);
		fn(arg);
		fflush(stdout);
		_exit(0);
	}
	close(pipefd[1]);
	len = 0;
	for (ssize_t k; (k = read(pipefd[0], buf + len, sizeof buf - 1 - len)) > 0;
		len += (size_t)k)
		;
	buf[len] = 0;
	close(pipefd[0]);
	waitpid(p, &st, 0);
	for (char *s = strtok(buf, "\n"); s && n < 200; s = strtok(NULL, "\n"))
		lines[n++] = s;
	for (int name = 0; name < 8; name++)
		for (size_t i = 0; i < n; i++)
			if (lines[i][0] == (name ? 'n' : 'm') &&
				(!name || lines[i][1] == '0' + name))
				printf("%s\n", lines[i]);
	for (size_t i = 0; i < n; i++)
		if (lines[i][0] != 'm' && lines[i][0] != 'n')
			printf("%s\n", lines[i]);
}

static void
events(int exit_too)
{
	start(events_child);
	waitpid(child, NULL, 0);
	ptrace(PTRACE_SETOPTIONS, child, 0,
		PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			PTRACE_O_TRACEEXEC | PTRACE_O_TRACEVFORKDONE |
			(exit_too ? PTRACE_O_TRACEEXIT : 0));
	ptrace(PTRACE_CONT, child, 0, 0);
	follow(0);
}

static void
exec_child(void)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	execl("/proc/self/exe", "ptrace", "nothing", NULL);
}

static void
exec_trap(void)
{
	struct user_regs_struct r;

	printf("--- exec without the option\n");
	start(exec_child);
	wait_show("exec");
	show_siginfo();
	ptrace(PTRACE_GETREGS, child, 0, &r);
	printf("orig_rax %lld rax %lld\n", (long long)r.orig_rax, (long long)r.rax);
	ptrace(PTRACE_CONT, child, 0, 0);
	wait_show("end");
}

/* --- seccomp --- */

static void
seccomp_child(void)
{
	struct sock_filter f[] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getpgid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE | 99),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getsid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 44),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog p = {6, f};

	ptrace(PTRACE_TRACEME, 0, 0, 0);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	raise(SIGSTOP);
	syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p);
	long a = syscall(SYS_getpgid, 0x7fffffff);
	int e1 = errno;
	syscall(SYS_getpgid, 0x7fffffff);
	int e2 = errno;
	long c = syscall(SYS_getpgid, 0x7fffffff);
	_exit(a == -1 && e1 == ESRCH && e2 == 44 && c == 17 ? 0 : 1);
}

static void
seccomp(void)
{
	struct user_regs_struct r;
	unsigned long msg;

	printf("--- seccomp\n");
	start(seccomp_child);
	wait_show("start");
	ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESECCOMP);
	ptrace(PTRACE_CONT, child, 0, 0);
	wait_show("first");
	SHOW(ptrace(PTRACE_GETEVENTMSG, child, 0, &msg));
	printf("message %lu\n", msg);
	show_siginfo();
	show_syscall_info();
	ptrace(PTRACE_CONT, child, 0, 0);
	wait_show("second");
	ptrace(PTRACE_GETREGS, child, 0, &r);
	r.orig_rax = SYS_getsid; /* goes through the filter again */
	ptrace(PTRACE_SETREGS, child, 0, &r);
	ptrace(PTRACE_CONT, child, 0, 0);
	wait_show("third");
	r.orig_rax = (unsigned long long)-1;
	r.rax = 17;
	ptrace(PTRACE_SETREGS, child, 0, &r);
	ptrace(PTRACE_CONT, child, 0, 0);
	wait_show("end");
}

int
main(int argc, char **argv)
{
	(void)argv;
	setvbuf(stdout, NULL, _IOFBF, 65536);
	if (argc > 1)
		return 21;
	basics();
	change();
	signals();
	breakpoint(0);
	breakpoint(1);
	steps();
	floating();
	printf("--- events\n");
	sorted(events, 0);
	printf("--- events with exit\n");
	sorted(events, 1);
	exec_trap();
	seccomp();
	(void)text;
	return 0;
}
