/* SPDX-License-Identifier: Apache-2.0 */
/* Memory and page faults in getrusage(2), wait4(2) and /proc: in the size that they have natively.
 */
#include "guest.h"
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define MIB (1L << 20)

/* In steps that differences in what surrounds the program do not reach. */
static void
show(const char *what, const struct rusage *ru)
{
	printf("%s: %ld times 16 MiB, more than %ld times 1000 faults\n", what,
		(ru->ru_maxrss + 4096) / 16384, ru->ru_minflt / 1000);
}

static void
self(const char *what)
{
	struct rusage ru;

	SHOW(getrusage(RUSAGE_SELF, &ru));
	show(what, &ru);
}

static char *
touch(long bytes)
{
	char *p = mmap(
		NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	madvise(p, (size_t)bytes, MADV_NOHUGEPAGE);
	for (long i = 0; i < bytes; i += 4096)
		p[i] = 1;
	return p;
}

static void *
thread(void *arg)
{
	struct rusage ru;

	(void)arg;
	touch(16 * MIB);
	SHOW(getrusage(RUSAGE_THREAD, &ru));
	show("thread", &ru);
	return NULL;
}

static void *
sleeper(void *arg)
{
	pause();
	return arg;
}

static long
field(const char *name)
{
	static char text[8192];
	int fd = open("/proc/self/status", O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	char *p;

	close(fd);
	text[n > 0 ? n : 0] = 0;
	p = strstr(text, name);
	return p ? atol(p + strlen(name) + 1) : -1;
}

int
main(int argc, char **argv)
{
	struct rusage ru;
	char *p, text[1000];
	unsigned long minflt = 0;
	pthread_t t;
	pid_t c;
	int w, fd;

	if (argc > 1) { /* after an execve */
		self("executed");
		return 0;
	}
	self("first");
	p = touch(48 * MIB);
	self("touched");
	munmap(p, 48 * MIB);
	self("given back");
	printf("VmHWM: %ld times 16 MiB\n", (field("VmHWM:") + 4096) / 16384);
	fd = open("/proc/self/stat", O_RDONLY);
	TRUE(read(fd, text, sizeof text - 1) > 0);
	TRUE(sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %lu", &minflt) == 1);
	printf("stat: more than %lu times 1000 faults\n", minflt / 1000);
	pthread_create(&t, NULL, thread, NULL);
	pthread_join(t, NULL);
	fflush(stdout);
	c = fork();
	if (!c) {
		touch(94 * MIB);
		_exit(0);
	}
	SHOW(wait4(c, &w, 0, &ru) == c);
	show("child", &ru);
	SHOW(getrusage(RUSAGE_CHILDREN, &ru));
	show("children", &ru);
	c = fork();
	if (!c) { /* one that ends while others of its threads run */
		pthread_create(&t, NULL, thread, NULL);
		pthread_join(t, NULL);
		pthread_create(&t, NULL, sleeper, NULL);
		fflush(stdout);
		touch(126 * MIB);
		kill(getpid(), SIGKILL);
	}
	SHOW(wait4(c, &w, 0, &ru) == c);
	show("killed", &ru);
	SHOW(getrusage(RUSAGE_CHILDREN, &ru));
	show("children", &ru);
	fflush(stdout);
	touch(62 * MIB);
	execl("/proc/self/exe", argv[0], "again", NULL);
	return 1;
}
