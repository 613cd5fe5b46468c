/* SPDX-License-Identifier: Apache-2.0 */
/* fcntl(2), F_SETLEASE: who gets one, who is told, who waits and for how long. */
#include "guest.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static volatile sig_atomic_t got, got_code, got_fd;
static volatile long got_band;

static void
handler(int sig, siginfo_t *si, void *u)
{
	(void)u;
	got = sig;
	got_code = si->si_code;
	got_fd = si->si_fd;
	got_band = si->si_band;
}

static void catch (int sig, int flags)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	sigaction(sig, &sa, NULL);
}

static void
told(const char *what, int fd)
{
	printf("%s: signal %d code %d fd %s band %lx\n", what,
		got == SIGIO ? -1
		: got	     ? got - SIGRTMIN
			     : 0,
		got_code,
		!got	       ? "-"
		: got_fd == fd ? "ours"
		: got_fd       ? "other"
			       : "0",
		got_band);
	got = got_code = got_fd = 0;
	got_band = 0;
}

static int
make(const char *name)
{
	int fd = open(name, O_CREAT | O_RDWR, 0644);

	write(fd, "text", 4);
	close(fd);
	return 0;
}

/* What /proc/locks says of leases that pid has. */
static void
locks(int pid)
{
	FILE *f = fopen("/proc/locks", "r");
	char line[200], kind[20], how[20], type[20], start[20], end[20];
	int owner;

	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%*s %19s %19s %19s %d %*s %19s %19s", kind, how, type, &owner,
			    start, end) == 6 &&
			owner == pid)
			printf("   %s %s %s %s %s\n", kind, how, type, start, end);
	fclose(f);
}

static void
who_gets_one(void)
{
	int fd, fd2, fd3;

	make("f");
	SHOW(fcntl(99, F_SETLEASE, F_RDLCK));
	fd = open("f", O_RDONLY);
	SHOW(fcntl(fd, F_GETLEASE));
	SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
	SHOW(fcntl(fd, F_SETLEASE, 17));
	SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(fd, F_GETLEASE));
	SHOW(fcntl(fd, F_GETOWN) == getpid());
	locks(getpid());
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	SHOW(fcntl(fd, F_GETLEASE));
	locks(getpid());
	SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
	fd2 = open("f", O_RDONLY); /* readers do not mind each other */
	told("a reader", fd);
	SHOW(fcntl(fd2, F_GETLEASE));
	SHOW(fcntl(fd2, F_SETLEASE, F_WRLCK));
	SHOW(fcntl(fd2, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	fd3 = dup(fd2);
	close(fd2);
	SHOW(fcntl(fd3, F_GETLEASE)); /* it belongs to the open file */
	SHOW(fcntl(fd3, F_SETLEASE, F_UNLCK));
	SHOW(fcntl(fd3, F_GETLEASE));
	SHOW(fcntl(fd3, F_GETOWN));
	close(fd3);
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
	close(fd);

	fd = open("f", O_RDWR);
	SHOW(fcntl(fd, F_SETLEASE, F_RDLCK)); /* it is open for writing: by us */
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	SHOW(fcntl(fd, F_GETLEASE));
	close(fd);
	fd = open("f", O_WRONLY);
	fd2 = open("f", O_WRONLY);
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	close(fd2);
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	close(fd);

	fd = open("f", O_PATH);
	SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
	close(fd);
	fd = open(".", O_RDONLY);
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	close(fd);
	fd = open("/dev/null", O_RDONLY);
	SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
	close(fd);
	fd = memfd_create("m", 0);
	SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	close(fd);
}

static void
signals(void)
{
	int fd = open("f", O_RDONLY);

	catch (SIGIO, SA_RESTART);
	catch (SIGRTMIN + 3, SA_RESTART);
	SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
	SHOW(open("f", O_WRONLY | O_NONBLOCK));
	told("a writer", fd);
	SHOW(fcntl(fd, F_GETLEASE));
	locks(getpid());
	SHOW(open("f", O_WRONLY | O_NONBLOCK)); /* not told twice */
	told("another", fd);
	SHOW(close(open("f", O_RDONLY | O_NONBLOCK)));
	SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
	SHOW(close(open("f", O_WRONLY | O_NONBLOCK)));

	SHOW(fcntl(fd, F_SETSIG, SIGRTMIN + 3));
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	SHOW(open("f", O_RDONLY | O_NONBLOCK));
	told("a reader", fd);
	SHOW(fcntl(fd, F_GETLEASE));
	SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
	SHOW(close(open("f", O_RDONLY | O_NONBLOCK)));
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	/* first a reader, then a writer: told of both */
	SHOW(open("f", O_RDONLY | O_NONBLOCK));
	told("a reader", fd);
	SHOW(open("f", O_RDWR | O_NONBLOCK));
	told("a writer", fd);
	SHOW(fcntl(fd, F_GETLEASE));
	SHOW(open("f", O_RDONLY | O_NONBLOCK));
	told("a reader", fd);
	SHOW(open("f", O_RDONLY | O_TRUNC | O_NONBLOCK));
	SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
	SHOW(fcntl(fd, F_GETSIG)); /* gone with the lease */
	SHOW(fcntl(fd, F_GETOWN));
	SHOW(fcntl(fd, F_SETOWN, 0));
	close(fd);
}

/* A child does what the lease excludes; how long did it wait? */
static int
child(int (*what)(void))
{
	int pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		_exit(what());
	return pid;
}

static int
open_writing(void)
{
	return open("f", O_WRONLY) < 0 ? errno : 0;
}

static int
open_reading(void)
{
	return open("f", O_RDONLY) < 0 ? errno : 0;
}

static int
cut(void)
{
	return truncate("f", 2) ? errno : 0;
}

static int
execute(void)
{
	execl("./f", "f", NULL);
	return errno == EACCES ? 1 : errno;
}

static int
impatient(void)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

	sigaction(SIGALRM, &sa, NULL);
	ualarm(200000, 0);
	return open("f", O_WRONLY) < 0 ? errno : 0;
}

static void
end(const char *what, int pid, int signaled)
{
	int status;

	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("%s: killed by %d%s\n", what, WTERMSIG(status), signaled ? "" : "?");
	else
		printf("%s: %s\n", what,
			WEXITSTATUS(status) ? strerrorname_np(WEXITSTATUS(status)) : "done");
}

static void
waiting(int type, int give, int (*what)(void), const char *name)
{
	int fd, pid, r;

	fd = open("f", O_RDONLY);
	SHOW(fcntl(fd, F_SETLEASE, type));
	pid = child(what);
	for (int i = 0; !got && i < 3000; i++)
		sleep_ms(1);
	told(name, 0);
	sleep_ms(100);
	r = waitpid(pid, NULL, WNOHANG);
	printf("waits: %s\n", r ? "no" : "yes");
	SHOW(fcntl(fd, F_GETLEASE));
	SHOW(fcntl(fd, F_SETLEASE, give));
	end(name, pid, 0);
	close(fd);
}

static void
breaking(void)
{
	int fd, pid;

	waiting(F_RDLCK, F_UNLCK, open_writing, "writer");
	waiting(F_WRLCK, F_UNLCK, open_writing, "writer");
	waiting(F_WRLCK, F_RDLCK, open_reading, "reader");
	waiting(F_WRLCK, F_UNLCK, open_reading, "reader");
	waiting(F_RDLCK, F_UNLCK, cut, "truncate");
	waiting(F_WRLCK, F_UNLCK, cut, "truncate");
	chmod("f", 0755);
	waiting(F_WRLCK, F_RDLCK, execute, "exec");
	chmod("f", 0644);

	fd = open("f", O_RDONLY);
	SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
	pid = child(open_writing);
	for (int i = 0; !got && i < 3000; i++)
		sleep_ms(1);
	/* the child has a copy of the descriptor: the lease stays with it */
	close(fd);
	sleep_ms(100);
	printf("waits: %s\n", waitpid(pid, NULL, WNOHANG) ? "no" : "yes");
	kill(pid, SIGKILL);
	end("killed in it", pid, 1);
	SHOW(close(open("f", O_WRONLY | O_NONBLOCK)));
	told("nobody's", 0);

	fd = open("f", O_RDONLY);
	SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
	pid = child(impatient);
	end("interrupted", pid, 0);
	SHOW(fcntl(fd, F_GETLEASE));
	SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
	close(fd);
	got = 0;
}

static int
set_break_time(const char *s)
{
	int fd = open("/proc/sys/fs/lease-break-time", O_WRONLY), r;

	if (fd < 0)
		return -1;
	r = (int)write(fd, s, strlen(s));
	close(fd);
	return r < 0 ? -1 : 0;
}

/* Nobody gives it up. Run by a script in the sandbox alone: natively, the time is the host's. */
static void
expiring(void)
{
	char old[20] = "";
	int fd = open("/proc/sys/fs/lease-break-time", O_RDONLY), pid;
	long long t0;

	read(fd, old, sizeof old - 1);
	close(fd);
	printf("break time %s", old);
	catch (SIGIO, SA_RESTART);
	SHOW(set_break_time("nonsense"));
	SHOW(set_break_time("1"));
	fd = open("f", O_RDONLY);
	SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
	t0 = now_ms();
	pid = child(open_writing);
	end("writer", pid, 0);
	t0 = now_ms() - t0;
	printf("after %s\n", t0 < 900 ? "less" : t0 < 10000 ? "a second or so" : "more");
	SHOW(fcntl(fd, F_GETLEASE));
	SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
	SHOW(fcntl(fd, F_SETLEASE, F_WRLCK));
	pid = child(open_reading);
	end("reader", pid, 0);
	SHOW(fcntl(fd, F_GETLEASE));
	close(fd);
}

static void
rights(void)
{
	int fd;

	make("root");
	chmod("root", 0666);
	chmod(".", 0777);
	fflush(stdout);
	if (!fork()) {
		setgid(1000);
		setuid(1000);
		fd = open("root", O_RDONLY);
		SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
		SHOW(fcntl(fd, F_SETLEASE, F_UNLCK));
		SHOW(fcntl(fd, F_SETLEASE, 5));
		SHOW(fcntl(fd, F_GETLEASE));
		close(fd);
		make("mine");
		fd = open("mine", O_RDONLY);
		SHOW(fcntl(fd, F_SETLEASE, F_RDLCK));
		SHOW(set_break_time("45"));
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
}

int
main(int argc, char **argv)
{
	make("f");
	if (argc > 1 && !strcmp(argv[1], "expire")) {
		expiring();
		return 0;
	}
	who_gets_one();
	signals();
	breaking();
	rights();
	return 0;
}
