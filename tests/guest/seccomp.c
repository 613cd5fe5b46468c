/* SPDX-License-Identifier: Apache-2.0 */
/* seccomp(2): strict mode, filters and what each action does, stacking and inheritance, TSYNC, and
 * notification. */
#include "guest.h"
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define LEN(a)		  (unsigned short)(sizeof(a) / sizeof *(a))
#define NR		  offsetof(struct seccomp_data, nr)
#define ARG(n)		  offsetof(struct seccomp_data, args[n])
#define LOAD(off)	  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (off))
#define RET(v)		  BPF_STMT(BPF_RET | BPF_K, (v))
#define IF_EQ(v, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (v), (yes), (no))

static long
set_filter(const struct sock_filter *f, unsigned short len, unsigned flags)
{
	struct sock_fprog p = {len, (struct sock_filter *)f};

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
}

/* One syscall answered with an action, the others allowed. */
static long
filter_one(int nr, unsigned action, unsigned flags)
{
	struct sock_filter f[] = {
		LOAD(NR), IF_EQ((unsigned)nr, 0, 1), RET(action), RET(SECCOMP_RET_ALLOW)};

	return set_filter(f, LEN(f), flags);
}

static void
status_lines(void)
{
	char line[200];
	FILE *f = fopen("/proc/thread-self/status", "r");

	while (f && fgets(line, sizeof line, f))
		if (!strncmp(line, "Seccomp", 7) || !strncmp(line, "NoNew", 5))
			printf("%s", line);
	if (f)
		fclose(f);
}

/* --- the call itself --- */

static void
checks(void)
{
	struct sock_filter allow[] = {RET(SECCOMP_RET_ALLOW)};
	struct sock_filter *big = calloc(5000, sizeof *big);
	struct sock_fprog p = {1, allow}, none = {0, allow}, bad = {1, (void *)8};
	uint32_t action;
	struct seccomp_notif_sizes sz;

	SHOW(syscall(SYS_seccomp, 77, 0, 0));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 1, 0));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, &p));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 1u << 20, &p));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, 0));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &none));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &bad));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_NEW_LISTENER, &p));
	SHOW(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 32, &p));
	static const uint32_t actions[] = {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD,
		SECCOMP_RET_TRAP, SECCOMP_RET_ERRNO, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_TRACE,
		SECCOMP_RET_LOG, SECCOMP_RET_ALLOW, 0x12340000, SECCOMP_RET_ERRNO | 1};
	for (unsigned i = 0; i < LEN(actions); i++) {
		action = actions[i];
		SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action));
	}
	SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 1, &action));
	SHOW(syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, 0));
	SHOW(syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sz));
	printf("sizes %d %d %d\n", sz.seccomp_notif, sz.seccomp_notif_resp, sz.seccomp_data);
	SHOW(prctl(PR_SET_SECCOMP, 0));
	SHOW(prctl(PR_SET_SECCOMP, 3));
	SHOW(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, 0));
	SHOW(prctl(PR_GET_SECCOMP));
	for (int i = 0; i < 5000; i++)
		big[i] = allow[0];
	SHOW(set_filter(big, 4097, 0));
	SHOW(set_filter(big, 4096, 0));
	SHOW(prctl(PR_GET_SECCOMP));
	status_lines();
	for (int n = 2;; n++) {
		if (set_filter(big, 4000, 0)) {
			printf("filter %d: %s\n", n, strerrorname_np(errno));
			break;
		}
	}
	status_lines();
}

static void
bad_programs(void)
{
#define BAD(...)                                                                                   \
	do {                                                                                       \
		struct sock_filter bad_f[] = {__VA_ARGS__};                                        \
		long bad_r = set_filter(bad_f, LEN(bad_f), 0);                                     \
		printf("%s: %s\n", #__VA_ARGS__, bad_r ? strerrorname_np(errno) : "taken");        \
	} while (0)
	struct sock_filter ok = RET(SECCOMP_RET_ALLOW);

	BAD(LOAD(NR));
	BAD(LOAD(1), ok);
	BAD(LOAD(64), ok);
	BAD(LOAD(60), ok);
	BAD(LOAD(0xfffffffc), ok);
	BAD(BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), ok);
	BAD(BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), ok);
	BAD(BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), ok);
	BAD(BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0), ok);
	BAD(BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), ok);
	BAD(BPF_STMT(BPF_LD | BPF_MEM, 0), ok);
	BAD(BPF_STMT(BPF_ST, 0), BPF_STMT(BPF_LD | BPF_MEM, 0), ok);
	BAD(BPF_STMT(BPF_ST, 16), ok);
	BAD(BPF_STMT(BPF_STX, 15), BPF_STMT(BPF_LDX | BPF_MEM, 15), ok);
	BAD(IF_EQ(1, 1, 0), BPF_STMT(BPF_ST, 3), BPF_STMT(BPF_LD | BPF_MEM, 3), ok);
	BAD(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), ok);
	BAD(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 1), ok);
	BAD(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 1), ok);
	BAD(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), ok);
	BAD(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 31), ok);
	BAD(BPF_STMT(BPF_ALU | BPF_NEG, 0), ok);
	BAD(BPF_STMT(BPF_ALU | BPF_XOR | BPF_X, 0), ok);
	BAD(BPF_STMT(BPF_JMP | BPF_JA, 1), ok);
	BAD(BPF_STMT(BPF_JMP | BPF_JA, 0), ok);
	BAD(BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), ok);
	BAD(IF_EQ(0, 1, 0), ok);
	BAD(IF_EQ(0, 0, 1), ok);
	BAD(BPF_STMT(BPF_RET | BPF_X, 0));
	BAD(ok, BPF_STMT(BPF_JMP | BPF_JA, 0));
	BAD({0xffff, 0, 0, 0}, ok);
	BAD(BPF_STMT(BPF_LD | BPF_IMM, SECCOMP_RET_ALLOW), BPF_STMT(BPF_RET | BPF_A, 0));
}

static void
unprivileged(void)
{
	struct sock_filter allow[] = {RET(SECCOMP_RET_ALLOW)};
	pid_t p = fork();
	int st;

	if (p == 0) {
		SHOW(setuid(65534));
		SHOW(set_filter(allow, 1, 0));
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, &st, 0);
	p = fork();
	if (p == 0) {
		SHOW(set_filter(allow, 1, 0));
		SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
		SHOW(setuid(65534));
		SHOW(set_filter(allow, 1, 0));
		SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		SHOW(set_filter(allow, 1, 0));
		status_lines();
		fflush(stdout);
		_exit(0);
	}
	waitpid(p, &st, 0);
}

/* --- actions --- */

static void
strict_ok(void)
{
	fflush(stdout);
	prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
	write(1, "strict writes\n", 14);
	syscall(SYS_exit, 7);
}

static void
strict_bad(void)
{
	fflush(stdout);
	syscall(SYS_seccomp, SECCOMP_SET_MODE_STRICT, 0, 0);
	syscall(SYS_getpid);
	write(1, "not reached\n", 12);
}

static void
act_errno(void)
{
	SHOW(filter_one(SYS_getpid, SECCOMP_RET_ERRNO | 5, 0));
	SHOW(syscall(SYS_getpid));
	SHOW(filter_one(SYS_getuid, SECCOMP_RET_ERRNO | 0, 0));
	SHOW(syscall(SYS_getuid));
	SHOW(filter_one(SYS_getgid, SECCOMP_RET_ERRNO | 0xffff, 0));
	printf("%ld\n", (long)syscall(SYS_getgid));
	printf("errno %d\n", errno);
	SHOW(filter_one(SYS_getpid, SECCOMP_RET_ERRNO | 7, 0));
	SHOW(syscall(SYS_getpid));
	SHOW(filter_one(SYS_getpid, SECCOMP_RET_ALLOW, 0));
	SHOW(syscall(SYS_getpid));
	SHOW(filter_one(SYS_getppid, SECCOMP_RET_TRACE | 3, 0));
	SHOW(syscall(SYS_getppid));
	SHOW(filter_one(SYS_getegid, SECCOMP_RET_LOG, 0));
	SHOW(syscall(SYS_getegid));
	SHOW(filter_one(SYS_geteuid, SECCOMP_RET_USER_NOTIF, 0));
	SHOW(syscall(SYS_geteuid));
	SHOW(filter_one(999, SECCOMP_RET_ERRNO | 9, 0));
	SHOW(syscall(999));
	SHOW(filter_one(SYS_futex, SECCOMP_RET_ERRNO | 11, 0));
	int word = 0;
	SHOW(syscall(SYS_futex, &word, 1, 1, 0, 0, 0));
	SHOW(filter_one(SYS_sched_yield, SECCOMP_RET_ERRNO | 12, 0));
	SHOW(sched_yield());
	status_lines();
}

static void
kill_thread_only(void)
{
	fflush(stdout);
	filter_one(SYS_getpid, SECCOMP_RET_KILL_THREAD, 0);
	syscall(SYS_getpid);
	write(1, "not reached\n", 12);
}

static void *
dies(void *arg)
{
	syscall(SYS_getpid);
	return arg;
}

static void
kill_thread_of_two(void)
{
	pthread_t th;

	filter_one(SYS_getpid, SECCOMP_RET_KILL_THREAD, 0);
	pthread_create(&th, NULL, dies, NULL);
	sleep_ms(300);
	printf("the other one lives on\n");
}

static void
kill_process(void)
{
	pthread_t th;

	fflush(stdout);
	filter_one(SYS_getpid, SECCOMP_RET_KILL_PROCESS, 0);
	pthread_create(&th, NULL, dies, NULL);
	sleep_ms(3000);
	write(1, "not reached\n", 12);
}

static void
unknown_action(void)
{
	fflush(stdout);
	filter_one(SYS_getpid, 0x12340000, 0);
	syscall(SYS_getpid);
	write(1, "not reached\n", 12);
}

static volatile int traps;

static void
on_sigsys(int signo, siginfo_t *i, void *ucv)
{
	ucontext_t *uc = ucv;

	traps++;
	printf("signal %d code %d errno %d syscall %d arch %x, rax %lld rdi %lld, addr is rip: "
	       "%d\n",
		signo, i->si_code, i->si_errno, i->si_syscall, i->si_arch,
		uc->uc_mcontext.gregs[REG_RAX], uc->uc_mcontext.gregs[REG_RDI],
		i->si_call_addr == (void *)uc->uc_mcontext.gregs[REG_RIP]);
	uc->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void
act_trap(void)
{
	struct sigaction sa = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};

	sigaction(SIGSYS, &sa, NULL);
	SHOW(filter_one(SYS_getpgid, SECCOMP_RET_TRAP | 42, 0));
	for (int i = 0; i < 3; i++)
		SHOW(syscall(SYS_getpgid, 5 + i));
	signal(SIGSYS, SIG_IGN);
	fflush(stdout);
	syscall(SYS_getpgid, 1);
	write(1, "not reached\n", 12);
}

static void
trap_blocked(void)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGSYS);
	sigprocmask(SIG_BLOCK, &s, NULL);
	filter_one(SYS_getpgid, SECCOMP_RET_TRAP, 0);
	fflush(stdout);
	syscall(SYS_getpgid, 1);
	write(1, "not reached\n", 12);
}

/* --- arithmetic: what a program computes from an argument comes back as an errno --- */

static void
compute(void)
{
#define COMPUTE(...)                                                                               \
	do {                                                                                       \
		struct sock_filter c_f[] = {LOAD(NR), IF_EQ(SYS_getsid, 1, 0),                     \
			RET(SECCOMP_RET_ALLOW), LOAD(ARG(0)), __VA_ARGS__,                         \
			BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xfff),                                \
			BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO),                     \
			BPF_STMT(BPF_RET | BPF_A, 0)};                                             \
		pid_t c_p = fork();                                                                \
		if (!c_p) {                                                                        \
			set_filter(c_f, LEN(c_f), 0);                                              \
			errno = 0;                                                                 \
			syscall(SYS_getsid, 0x10203);                                              \
			printf("%s: %d\n", #__VA_ARGS__, errno);                                   \
			fflush(stdout);                                                            \
			_exit(0);                                                                  \
		}                                                                                  \
		waitpid(c_p, NULL, 0);                                                             \
	} while (0)
#define OP(o, k) BPF_STMT(BPF_ALU | (o) | BPF_K, (k))
#define OPX(o)	 BPF_STMT(BPF_ALU | (o) | BPF_X, 0)
#define LDX(k)	 BPF_STMT(BPF_LDX | BPF_IMM, (k))

	fflush(stdout);
	COMPUTE(OP(BPF_ADD, 0xfffffff0));
	COMPUTE(OP(BPF_SUB, 1));
	COMPUTE(OP(BPF_MUL, 3));
	COMPUTE(OP(BPF_DIV, 77));
	COMPUTE(OP(BPF_LSH, 3), OP(BPF_RSH, 1));
	COMPUTE(OP(BPF_XOR, 0x55));
	COMPUTE(BPF_STMT(BPF_ALU | BPF_NEG, 0));
	COMPUTE(LDX(5), OPX(BPF_ADD));
	COMPUTE(LDX(5), OPX(BPF_SUB));
	COMPUTE(LDX(5), OPX(BPF_MUL));
	COMPUTE(LDX(5), OPX(BPF_DIV));
	COMPUTE(LDX(5), OPX(BPF_LSH));
	COMPUTE(LDX(37), OPX(BPF_LSH));
	COMPUTE(LDX(37), OPX(BPF_RSH));
	COMPUTE(LDX(0xff), OPX(BPF_XOR));
	COMPUTE(LDX(0xff), OPX(BPF_AND));
	COMPUTE(LDX(0xf00), OPX(BPF_OR));
	COMPUTE(BPF_STMT(BPF_ST, 7), OP(BPF_ADD, 1), BPF_STMT(BPF_MISC | BPF_TAX, 0),
		BPF_STMT(BPF_LD | BPF_MEM, 7), OPX(BPF_ADD));
	COMPUTE(BPF_STMT(BPF_LD | BPF_LEN, 0), BPF_STMT(BPF_MISC | BPF_TAX, 0), OP(BPF_ADD, 3),
		OPX(BPF_MUL), BPF_STMT(BPF_STX, 2), BPF_STMT(BPF_LDX | BPF_MEM, 2),
		BPF_STMT(BPF_MISC | BPF_TXA, 0));
	COMPUTE(BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 0x10202, 0, 1), OP(BPF_ADD, 1));
	COMPUTE(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x10204, 0, 1), OP(BPF_ADD, 1));
	COMPUTE(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 4, 0, 1), OP(BPF_ADD, 1));
	COMPUTE(LDX(0x10203), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1), OP(BPF_ADD, 1));
	COMPUTE(BPF_STMT(BPF_JMP | BPF_JA, 1), OP(BPF_ADD, 1));
}

static void
divide_by_zero(void)
{
	struct sock_filter f[] = {
		LOAD(NR), IF_EQ(SYS_getsid, 0, 2), LDX(0), OPX(BPF_DIV), RET(SECCOMP_RET_ALLOW)};

	set_filter(f, LEN(f), 0);
	fflush(stdout);
	syscall(SYS_getsid, 0);
	write(1, "not reached\n", 12);
}

/* Allowed by number and range, as libseccomp writes it: all that is asked again and again. */
static void
range(void)
{
	struct sock_filter f[] = {LOAD(offsetof(struct seccomp_data, arch)),
		IF_EQ(AUDIT_ARCH_X86_64, 1, 0), RET(SECCOMP_RET_KILL_PROCESS), LOAD(NR),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_ptrace, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, SYS_syslog, 1, 0), RET(SECCOMP_RET_ERRNO | 1),
		RET(SECCOMP_RET_ALLOW)};
	long n = 0;

	SHOW(set_filter(f, LEN(f), 0));
	for (int i = 0; i < 20000; i++)
		n += syscall(SYS_getppid) > 0;
	printf("%ld calls\n", n);
	SHOW(syscall(SYS_ptrace, 0, 0, 0, 0));
	SHOW(syscall(SYS_getuid));
	SHOW(syscall(SYS_syslog, 0, 0, 0));
}

/* --- inheritance --- */

static void
inherit(void)
{
	pid_t p;
	int st;

	filter_one(SYS_getpgid, SECCOMP_RET_ERRNO | 33, 0);
	fflush(stdout);
	p = fork();
	if (!p) {
		SHOW(syscall(SYS_getpgid, 0));
		filter_one(SYS_getsid, SECCOMP_RET_ERRNO | 34, 0);
		SHOW(syscall(SYS_getsid, 0));
		status_lines();
		fflush(stdout);
		execl("/proc/self/exe", "seccomp", "inherited", NULL);
		_exit(3);
	}
	waitpid(p, &st, 0);
	printf("child %x\n", st);
	TRUE(syscall(SYS_getsid, 0) > 0);
}

static void
after_exec(void)
{
	SHOW(syscall(SYS_getpgid, 0));
	SHOW(syscall(SYS_getsid, 0));
	status_lines();
}

/* --- TSYNC --- */

static pthread_barrier_t bar;
static int own_filter;

static void *
other_thread(void *arg)
{
	if (own_filter)
		filter_one(SYS_getsid, SECCOMP_RET_ERRNO | 35, 0);
	*(int *)arg = (int)syscall(SYS_gettid);
	pthread_barrier_wait(&bar);
	pthread_barrier_wait(&bar);
	WORKS(syscall(SYS_getpgid, 0));
	SHOW(prctl(PR_GET_SECCOMP));
	SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	return NULL;
}

static void
tsync(void)
{
	pthread_t th;
	int tid;
	long r;

	pthread_barrier_init(&bar, NULL, 2);
	pthread_create(&th, NULL, other_thread, &tid);
	pthread_barrier_wait(&bar);
	r = filter_one(SYS_getpgid, SECCOMP_RET_ERRNO | 36, SECCOMP_FILTER_FLAG_TSYNC);
	printf("tsync: %s\n", r == tid ? "tid of the other" : r ? "failed" : "0");
	r = filter_one(SYS_getpgid, SECCOMP_RET_ERRNO | 37,
		SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH);
	printf("tsync: %ld %s\n", r, r ? strerrorname_np(errno) : "");
	pthread_barrier_wait(&bar);
	pthread_join(th, NULL);
	WORKS(syscall(SYS_getpgid, 0));
	status_lines();
}

static void
tsync_fails(void)
{
	own_filter = 1;
	tsync();
}

/* --- notification --- */

static int
recv_one(int fd, struct seccomp_notif *n)
{
	memset(n, 0, sizeof *n);
	return ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, n);
}

static int
answer(int fd, uint64_t id, int error, int64_t val, unsigned flags)
{
	struct seccomp_notif_resp r = {id, val, error, flags};

	return ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

static void
notify(void)
{
	struct seccomp_notif n;
	struct pollfd pf;
	int sv[2], st, fd;
	pid_t p;
	char link[64], path[64];

	/* The child inherits the listener's filter, the parent must not call what it stops. */
	fd = (int)filter_one(SYS_mkdir, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	TRUE(fd >= 0);
	SHOW(fcntl(fd, F_GETFD));
	SHOW(filter_one(SYS_rmdir, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	st = (int)readlink(path, link, sizeof link);
	printf("%.*s\n", st, link);
	pipe(sv);
	pf = (struct pollfd){fd, POLLIN | POLLOUT, 0};
	SHOW(poll(&pf, 1, 0));
	n.id = 1;
	SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &n));
	SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, NULL));
	SHOW(ioctl(fd, 0x1234, NULL));
	SHOW(answer(fd, 1, 0, 0, 0));
	SHOW(answer(fd, 1, 0, 0, 8));
	SHOW(answer(fd, 1, 1, 0, 1));
	fflush(stdout);
	p = fork();
	if (!p) {
		close(fd);
		SHOW(syscall(SYS_mkdir, "one", 0700));
		SHOW(syscall(SYS_mkdir, "two", 0700));
		SHOW(syscall(SYS_mkdir, "three", 0700));
		SHOW(access("three", F_OK));
		long r = syscall(SYS_mkdir, "four", 0700);
		printf("four: writable: %d\n", (int)write((int)r, "x", 1));
		SHOW(syscall(SYS_mkdir, "five", 0700));
		SHOW(fcntl(77, F_GETFD));
		fflush(stdout);
		_exit(5);
	}
	SHOW(poll(&pf, 1, 2000));
	printf("revents %x\n", pf.revents);
	SHOW(recv_one(fd, &n));
	printf("pid is the child's: %d, nr %d arg1 %llo flags %x\n", n.pid == (unsigned)p,
		n.data.nr, (unsigned long long)n.data.args[1], n.flags);
	{
		struct iovec l = {path, 4}, r = {(void *)(uintptr_t)n.data.args[0], 4};

		SHOW(process_vm_readv(p, &l, 1, &r, 1, 0));
		printf("name %s\n", path);
	}
	SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
	SHOW(poll(&pf, 1, 0));
	printf("revents %x\n", pf.revents);
	SHOW(answer(fd, n.id, -EXDEV, 0, 0));
	SHOW(recv_one(fd, &n));
	SHOW(answer(fd, n.id, 0, 1234, 0));
	SHOW(recv_one(fd, &n));
	SHOW(answer(fd, n.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
	SHOW(recv_one(fd, &n));
	struct seccomp_notif_addfd a = {.id = n.id, .srcfd = (unsigned)sv[1], .newfd = 5};
	SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
	a.newfd = 0;
	a.newfd_flags = 1;
	SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
	a.newfd_flags = 0;
	a.srcfd = 900;
	SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
	a.srcfd = (unsigned)sv[1];
	a.id++;
	SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
	a.id--;
	a.flags = SECCOMP_ADDFD_FLAG_SEND;
	WORKS(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
	SHOW(recv_one(fd, &n));
	a = (struct seccomp_notif_addfd){.id = n.id,
		.srcfd = (unsigned)sv[1],
		.newfd = 77,
		.flags = SECCOMP_ADDFD_FLAG_SETFD,
		.newfd_flags = O_CLOEXEC};
	SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &a));
	SHOW(answer(fd, n.id, 0, 0, 0));
	waitpid(p, &st, 0);
	printf("child %x\n", st);
	SHOW(read(sv[0], path, 1));
}

static void
no_handler(int s)
{
	(void)s;
}

/* The call is cut short by a signal, and ends when the listener is closed. */
static void
notify_ends(void)
{
	struct sigaction sa = {.sa_handler = no_handler};
	struct seccomp_notif n;
	int st, fd;
	pid_t p;

	fd = (int)filter_one(SYS_mkdir, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	fflush(stdout);
	p = fork();
	if (!p) {
		close(fd);
		sigaction(SIGUSR1, &sa, NULL);
		SHOW(syscall(SYS_mkdir, "one", 0700));
		SHOW(syscall(SYS_mkdir, "two", 0700));
		SHOW(syscall(SYS_mkdir, "three", 0700));
		fflush(stdout);
		_exit(5);
	}
	SHOW(recv_one(fd, &n));
	kill(p, SIGUSR1);
	sleep_ms(200);
	SHOW(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &n.id));
	SHOW(answer(fd, n.id, 0, 0, 0));
	SHOW(recv_one(fd, &n));
	close(fd);
	waitpid(p, &st, 0);
	printf("child %x\n", st);
}

static void
notify_hup(void)
{
	struct pollfd pf;
	int sv[2], st, fd = -1;
	pid_t p;

	pipe(sv);
	fflush(stdout);
	p = syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (!p) {
		fd = (int)filter_one(
			SYS_mkdir, SECCOMP_RET_USER_NOTIF, SECCOMP_FILTER_FLAG_NEW_LISTENER);
		write(sv[1], &fd, sizeof fd);
		_exit(0);
	}
	read(sv[0], &fd, sizeof fd);
	waitpid(p, &st, 0);
	pf = (struct pollfd){fd, POLLIN, 0};
	SHOW(poll(&pf, 1, 3000));
	printf("revents %x\n", pf.revents);
}

int
main(int argc, char **argv)
{
	(void)argv;
	setvbuf(stdout, NULL, _IOFBF, 65536);
	if (argc > 1) {
		after_exec();
		return 0;
	}
	status_lines();
	unprivileged();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	in_child("checks", checks);
	in_child("programs", bad_programs);
	in_child("strict", strict_ok);
	in_child("strict, a bad call", strict_bad);
	in_child("errno", act_errno);
	in_child("kill thread", kill_thread_only);
	in_child("kill one thread", kill_thread_of_two);
	in_child("kill process", kill_process);
	in_child("unknown action", unknown_action);
	in_child("trap", act_trap);
	in_child("trap blocked", trap_blocked);
	in_child("compute", compute);
	in_child("divide by zero", divide_by_zero);
	in_child("range", range);
	in_child("inherit", inherit);
	in_child("tsync", tsync);
	in_child("tsync fails", tsync_fails);
	in_child("notify", notify);
	in_child("notify ends", notify_ends);
	in_child("notify hangs up", notify_hup);
	return 0;
}
