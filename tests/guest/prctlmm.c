/* SPDX-License-Identifier: Apache-2.0 */
/* prctl(2): PR_SET_MM, PR_GET_AUXV, PR_SET_MDWE, PR_SET_SYSCALL_USER_DISPATCH. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define SET_MDWE	  65
#define GET_MDWE	  66
#define GET_AUXV	  0x41555856
#define SET_USER_DISPATCH 59
#define say(what)                                                                                  \
	do {                                                                                       \
		long r_ = (what);                                                                  \
		printf("%s: %ld %s\n", #what, r_, r_ < 0 ? strerrorname_np(errno) : "");           \
	} while (0)

static char *words; /* anonymous: Linux reads arguments from nothing else */
static struct prctl_mm_map map;
static uint64_t auxv[52];
static volatile char selector;
static int dispatched;

static void
show(const char *name)
{
	char b[200], path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof path, "/proc/self/%s", name);
	fd = open(path, O_RDONLY);
	n = read(fd, b, sizeof b - 1);
	close(fd);
	for (ssize_t i = 0; i < n; i++)
		if (!b[i])
			b[i] = '|';
	b[n > 0 ? n : 0] = 0;
	printf("%s: %.60s\n", name, b);
}

/* Fields of /proc/self/stat from the 45th: start_data end_data start_brk arg_start ... */
static void
fields(unsigned long long f[7])
{
	char b[1000], *p;
	int fd = open("/proc/self/stat", O_RDONLY);
	ssize_t n = read(fd, b, sizeof b - 1);

	close(fd);
	b[n > 0 ? n : 0] = 0;
	p = strrchr(b, ')') + 1;
	for (int k = 3; k < 45; k++)
		p = strchr(p + 1, ' ');
	for (int k = 0; k < 7; k++)
		f[k] = strtoull(p, &p, 10);
}

/* One by one, which takes a right that root does not have everywhere. */
static bool
one_by_one(void)
{
	unsigned long long f[7];
	uint64_t a = (uint64_t)words;
	bool ok;

	if (prctl(PR_SET_MM, PR_SET_MM_ARG_START, 0, 0, 0) < 0 && errno == EPERM)
		return true;
	ok = errno == EINVAL && prctl(PR_SET_MM, PR_SET_MM_ARG_START, 1UL << 60, 0, 0) < 0 &&
	     errno == EINVAL && prctl(PR_SET_MM, 99, a, 0, 0) < 0 && errno == EINVAL &&
	     prctl(PR_SET_MM, PR_SET_MM_EXE_FILE, 900, 0, 0) < 0;
	/* The end would come before the start. */
	ok &= prctl(PR_SET_MM, PR_SET_MM_ARG_END, a + 18, 0, 0) < 0 && errno == EINVAL;
	ok &= prctl(PR_SET_MM, PR_SET_MM_ARG_START, a, 0, 0) == 0;
	ok &= prctl(PR_SET_MM, PR_SET_MM_ARG_END, a + 18, 0, 0) == 0;
	fields(f);
	ok &= f[3] == a && f[4] == a + 18;
	auxv[0] = AT_PAGESZ;
	ok &= prctl(PR_SET_MM, PR_SET_MM_AUXV, auxv, 32, 0) == 0;
	ok &= prctl(PR_SET_MM, PR_SET_MM_AUXV, auxv, 8000, 0) < 0 && errno == EINVAL;
	return ok;
}

static void
set_mm(void)
{
	unsigned long long f[7];
	uint64_t a;
	unsigned size = 0;
	int status;
	void *old = sbrk(0);

	words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	a = (uint64_t)words;
	memcpy(words, "first\0second\0third", 19);
	if (fork() == 0)
		_exit(!one_by_one());
	wait(&status);
	printf("one by one: %d\n", WEXITSTATUS(status));
	say(prctl(PR_SET_MM, PR_SET_MM_ARG_START, a, 0, 1));
	say(prctl(PR_SET_MM, PR_SET_MM_ARG_START, a, 1, 0));
	say(prctl(PR_SET_MM, PR_SET_MM_MAP_SIZE, &size, 0, 0));
	printf("%u\n", size);
	fields(f);
	map = (struct prctl_mm_map){a, a + 4096, a, a + 4096, (uint64_t)old, (uint64_t)old, a,
		a + 6, a + 13, a, a + 6, (void *)auxv, sizeof auxv, (uint32_t)-1};
	say(prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map - 1, 0));
	say(prctl(PR_SET_MM, PR_SET_MM_MAP, 8, sizeof map, 0));
	map.auxv_size = 4096;
	say(prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0));
	map.auxv_size = sizeof auxv;
	auxv[0] = AT_PAGESZ;
	auxv[1] = 77;
	auxv[50] = auxv[51] = 5;
	map.brk = map.start_brk - 1;
	say(prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0));
	map.brk = map.start_brk;
	map.exe_fd = 900;
	if (setresuid(-1, 65534, -1) == 0) {
		say(prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0));
		map.exe_fd = (uint32_t)-1;
		say(prctl(PR_SET_MM, PR_SET_MM_ARG_START, a, 0, 0)); /* without the right */
		say(prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0));
		setresuid(-1, 0, -1);
	}
	prctl(PR_SET_DUMPABLE, 1);
	show("cmdline");
	show("environ");
	fields(f);
	printf("%d %d %d %d\n", f[0] == a, f[2] == (uint64_t)old, f[3] == a + 6, f[6] == a + 6);
	memset(auxv, 0xff, sizeof auxv);
	say(prctl(GET_AUXV, auxv, 24, 0, 0));
	printf("%lu %lu %lu %lx\n", auxv[0], auxv[1], auxv[2], auxv[3]);
	say(prctl(GET_AUXV, auxv, sizeof auxv, 0, 1));
	say(prctl(GET_AUXV, 8, sizeof auxv, 0, 0));
	/* A heap that begins elsewhere. */
	printf("%d\n", sbrk(8192) == old);
	if (fork() == 0) {
		show("cmdline");
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

static void
mdwe_of(const char *when)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *x = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	printf("-- %s\n", when);
	say(prctl(GET_MDWE, 0, 0, 0, 0));
	say(mmap(NULL, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0);
	say(mprotect(p, 4096, PROT_READ | PROT_EXEC));
	say(mprotect(p, 4096, PROT_READ));
	say(mprotect(x, 4096, PROT_READ | PROT_EXEC));
	say(mprotect(x, 4096, 7));
	say(mprotect(x, 4096, PROT_READ));
	say(mprotect(x, 4096, PROT_READ | PROT_EXEC));
	munmap(p, 4096);
	munmap(x, 4096);
	fflush(stdout);
}

static void
mdwe(char **argv)
{
	say(prctl(SET_MDWE, 4, 0, 0, 0));
	say(prctl(SET_MDWE, 2, 0, 0, 0));
	say(prctl(SET_MDWE, 1, 1, 0, 0));
	say(prctl(GET_MDWE, 1, 0, 0, 0));
	fflush(stdout);
	if (fork() == 0) {
		say(prctl(SET_MDWE, 3, 0, 0, 0));
		mdwe_of("not inherited: the parent");
		if (fork() == 0) {
			mdwe_of("not inherited: the child");
			_exit(0);
		}
		wait(NULL);
		_exit(0);
	}
	wait(NULL);
	if (fork() == 0) {
		say(prctl(SET_MDWE, 1, 0, 0, 0));
		say(prctl(SET_MDWE, 1, 0, 0, 0));
		say(prctl(SET_MDWE, 0, 0, 0, 0));
		fflush(stdout);
		execl(argv[0], argv[0], "mdwe", NULL);
		_exit(1);
	}
	wait(NULL);
}

static void
on_sigsys(int sig, siginfo_t *info, void *c)
{
	greg_t *r = ((ucontext_t *)c)->uc_mcontext.gregs;

	(void)sig;
	selector = 0;
	dispatched++;
	if (info->si_code != 2 || info->si_syscall != (int)r[REG_RAX] || info->si_errno ||
		(greg_t)info->si_call_addr != r[REG_RIP] || info->si_arch != 0xc000003e)
		printf("code %d syscall %d\n", info->si_code, info->si_syscall);
	r[REG_RAX] = 4000 + info->si_syscall;
}

static long
blocked(long nr)
{
	long r;

	selector = 1;
	r = syscall(nr);
	selector = 0;
	return r;
}

static void
dispatch(void)
{
	struct sigaction sa = {.sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO};
	int status;

	sigaction(SIGSYS, &sa, NULL);
	say(prctl(SET_USER_DISPATCH, 9, 0, 0, 0));
	say(prctl(SET_USER_DISPATCH, 0, 0, 0, &selector));
	say(prctl(SET_USER_DISPATCH, 1, 1, 0, &selector));
	say(prctl(SET_USER_DISPATCH, 1, 8, -8L, &selector));
	say(prctl(SET_USER_DISPATCH, 1, 0, 0, 1UL << 63));
	say(prctl(SET_USER_DISPATCH, 1, 0, 0, &selector));
	printf("%d", getpid() > 0);
	for (int k = 0; k < 20; k++)
		if (blocked(SYS_getpid) != 4000 + SYS_getpid ||
			blocked(SYS_getuid) != 4000 + SYS_getuid ||
			blocked(SYS_sync) != 4000 + SYS_sync)
			printf(" not blocked");
	printf(" %d\n", dispatched);
	/* Not inherited. */
	fflush(stdout);
	if (fork() == 0)
		_exit(blocked(SYS_getpid) == getpid());
	wait(&status);
	printf("child %d\n", WEXITSTATUS(status));
	if (fork() == 0) {
		say(prctl(SET_USER_DISPATCH, 1, 0, 0, &selector));
		fflush(stdout);
		selector = 7;
		syscall(SYS_getpid);
		_exit(0);
	}
	wait(&status);
	printf("another byte: %d\n", WTERMSIG(status));
	if (fork() == 0) {
		say(prctl(SET_USER_DISPATCH, 1, 0, 0, 8));
		_exit(0);
	}
	wait(&status);
	printf("no byte: %d\n", WTERMSIG(status));
	/* All code is in the range. */
	say(prctl(SET_USER_DISPATCH, 1, 4096, 1UL << 50, &selector));
	printf("%d\n", blocked(SYS_getpid) == getpid());
	say(prctl(SET_USER_DISPATCH, 0, 0, 0, 0));
}

int
main(int argc, char **argv)
{
	setvbuf(stdout, malloc(1 << 16), _IOFBF, 1 << 16); /* a heap before it is moved */
	if (argc > 1) {
		mdwe_of("after exec");
		return 0;
	}
	mdwe(argv);
	dispatch();
	set_mm();
	fflush(stdout);
	return 0;
}
