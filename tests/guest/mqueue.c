/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX message queues: names, attributes, order, waiting, notification, limits, the file system.
 */
#include "guest.h"
#include <fcntl.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char buf[10000];

static struct timespec
in_ms(int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_nsec += ms % 1000 * 1000000L;
	ts.tv_sec += ms / 1000 + ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

static void
show_attr(mqd_t q)
{
	struct mq_attr a;

	SHOW(mq_getattr(q, &a));
	printf("flags %lx max %ld size %ld now %ld\n", a.mq_flags, a.mq_maxmsg, a.mq_msgsize,
		a.mq_curmsgs);
}

static void
names(void)
{
	struct mq_attr bad = {.mq_maxmsg = 0, .mq_msgsize = 10},
		       a = {.mq_maxmsg = 3, .mq_msgsize = 20};
	struct stat st;
	char path[64], long_name[300];
	mqd_t q;

	SHOW(mq_open("/nosuch", O_RDONLY));
	SHOW(syscall(SYS_mq_open, "", O_RDWR | O_CREAT, 0600, NULL));
	SHOW(syscall(SYS_mq_open, "a/b", O_RDWR | O_CREAT, 0600, NULL));
	SHOW(syscall(SYS_mq_open, ".", O_RDWR | O_CREAT, 0600, NULL));
	SHOW(syscall(SYS_mq_open, "..", O_RDWR, 0600, NULL));
	SHOW(syscall(SYS_mq_open, NULL, O_RDWR, 0600, NULL));
	memset(long_name, 'x', sizeof long_name - 1);
	long_name[299] = 0;
	SHOW(syscall(SYS_mq_open, long_name, O_RDWR | O_CREAT, 0600, NULL));
	SHOW(mq_open("/t1", O_RDWR | O_CREAT, 0640, &bad));
	bad = (struct mq_attr){.mq_maxmsg = -1, .mq_msgsize = 10};
	SHOW(mq_open("/t1", O_RDWR | O_CREAT, 0640, &bad));
	bad = (struct mq_attr){.mq_maxmsg = 100000, .mq_msgsize = 10};
	SHOW(mq_open("/t1", O_RDWR | O_CREAT, 0640, &bad));
	umask(0);
	WORKS(q = mq_open("/t1", O_RDWR | O_CREAT | O_EXCL, 0642, &a));
	SHOW(mq_open("/t1", O_RDWR | O_CREAT | O_EXCL, 0640, &a));
	show_attr(q);
	SHOW(fstat(q, &st));
	printf("mode %o size %ld nlink %ld\n", st.st_mode, (long)st.st_size, (long)st.st_nlink);
	SHOW(fcntl(q, F_GETFD));
	SHOW(fcntl(q, F_GETFL) & O_ACCMODE);
	snprintf(path, sizeof path, "/proc/self/fd/%d", q);
	memset(buf, 0, sizeof buf);
	SHOW(readlink(path, buf, sizeof buf));
	printf("%s\n", buf);
	bad = (struct mq_attr){.mq_flags = O_NONBLOCK};
	SHOW(mq_setattr(q, &bad, &a));
	show_attr(q);
	bad.mq_flags = O_NONBLOCK | O_APPEND;
	SHOW(mq_setattr(q, &bad, NULL));
	SHOW(mq_getattr(0, &a));
	SHOW(mq_getattr(-1, &a));
	SHOW(mq_unlink("/t1"));
	SHOW(mq_unlink("/t1"));
	SHOW(mq_send(q, "still", 5, 0));
	SHOW(mq_close(q));
	WORKS(q = mq_open("/t2", O_RDONLY | O_CREAT, 0600, NULL));
	show_attr(q);
	SHOW(mq_send(q, "x", 1, 0));
	SHOW(mq_close(q));
	WORKS(q = mq_open("/t2", O_WRONLY));
	SHOW(mq_receive(q, buf, sizeof buf, NULL));
	SHOW(mq_close(q));
	mq_unlink("/t2");
}

static void
order(void)
{
	struct mq_attr a = {.mq_maxmsg = 8, .mq_msgsize = 20};
	mqd_t q = mq_open("/order", O_RDWR | O_CREAT | O_NONBLOCK, 0600, &a);
	static const struct {
		const char *text;
		unsigned prio;
	} m[] = {{"low1", 1}, {"high1", 9}, {"mid", 5}, {"low2", 1}, {"high2", 9}, {"zero", 0},
		{"top", 32767}, {"", 3}};
	struct pollfd p = {q, POLLIN | POLLOUT, 0};
	unsigned prio;
	ssize_t n;

	SHOW(poll(&p, 1, 0));
	printf("revents %x\n", p.revents);
	SHOW(mq_receive(q, buf, sizeof buf, NULL));
	for (size_t i = 0; i < sizeof m / sizeof *m; i++)
		SHOW(mq_send(q, m[i].text, strlen(m[i].text), m[i].prio));
	SHOW(mq_send(q, "full", 4, 0));
	SHOW(mq_send(q, "x", 1, 32768));
	SHOW(mq_send(q, buf, 21, 1));
	SHOW(mq_send(q, (void *)8, 4, 1));
	SHOW(poll(&p, 1, 0));
	printf("revents %x\n", p.revents);
	memset(buf, 0, sizeof buf);
	SHOW(pread(q, buf, 200, 0) > 0);
	printf("%s", buf);
	SHOW(mq_receive(q, buf, 19, NULL));
	while ((n = mq_receive(q, buf, 20, &prio)) >= 0)
		printf("%zd %.*s %u\n", n, (int)n, buf, prio);
	printf("then %s\n", strerrorname_np(errno));
	mq_send(q, "lost", 4, 0);
	SHOW(mq_receive(q, (void *)8, 20, NULL));
	show_attr(q);
	SHOW(write(q, "x", 1));
	SHOW(lseek(q, 0, SEEK_END) >= 0);
	mq_close(q);
	mq_unlink("/order");
}

static mqd_t shared;

static void *
sends_later(void *arg)
{
	sleep_ms(30);
	mq_send(shared, "late", 4, 2);
	return arg;
}

static void *
receives_later(void *arg)
{
	char b[20];

	sleep_ms(30);
	mq_receive(shared, b, sizeof b, NULL);
	return arg;
}

static void
nothing(int sig)
{
	(void)sig;
}

static void
waiting(void)
{
	struct mq_attr a = {.mq_maxmsg = 1, .mq_msgsize = 20};
	struct timespec soon = in_ms(20), past = {1, 0}, bad = {0, -1};
	struct sigaction sa = {.sa_handler = nothing};
	struct epoll_event ev = {.events = EPOLLIN};
	int ep = epoll_create1(0);
	pthread_t t;

	shared = mq_open("/wait", O_RDWR | O_CREAT, 0600, &a);
	SHOW(mq_timedreceive(shared, buf, 20, NULL, &soon));
	SHOW(mq_timedreceive(shared, buf, 20, NULL, &past));
	SHOW(mq_timedreceive(shared, buf, 20, NULL, &bad));
	pthread_create(&t, NULL, sends_later, NULL);
	SHOW(mq_receive(shared, buf, 20, NULL));
	pthread_join(t, NULL);
	SHOW(mq_send(shared, "first", 5, 0));
	soon = in_ms(20);
	SHOW(mq_timedsend(shared, "x", 1, 0, &soon));
	SHOW(mq_timedsend(shared, "x", 1, 0, &past));
	pthread_create(&t, NULL, receives_later, NULL);
	SHOW(mq_send(shared, "second", 6, 0));
	pthread_join(t, NULL);
	SHOW(mq_receive(shared, buf, 20, NULL));
	sigaction(SIGALRM, &sa, NULL);
	ualarm(20000, 0);
	SHOW(mq_receive(shared, buf, 20, NULL));
	SHOW(epoll_ctl(ep, EPOLL_CTL_ADD, shared, &ev));
	pthread_create(&t, NULL, sends_later, NULL);
	SHOW(epoll_wait(ep, &ev, 1, 2000));
	pthread_join(t, NULL);
	mq_receive(shared, buf, 20, NULL);
	mq_close(shared);
	mq_unlink("/wait");
	close(ep);
}

/* --- notification --- */

static volatile sig_atomic_t signals, code, value;
static volatile pid_t from;

static void
got(int sig, siginfo_t *i, void *uc)
{
	(void)sig, (void)uc;
	signals++;
	code = i->si_code;
	value = i->si_value.sival_int;
	from = i->si_pid;
}

static void
show_file(mqd_t q)
{
	memset(buf, 0, sizeof buf);
	pread(q, buf, 200, 0);
	/* the last word is a process number */
	printf("%.38s\n", buf);
}

static _Atomic int threads;

static void
in_thread(union sigval v)
{
	threads += v.sival_int;
}

static void
notifications(void)
{
	struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 20};
	mqd_t q = mq_open("/notify", O_RDWR | O_CREAT, 0600, &a);
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct sigaction sa = {.sa_sigaction = got, .sa_flags = SA_SIGINFO};
	pthread_t t;
	pid_t p;

	ev.sigev_value.sival_int = 42;
	sigaction(SIGUSR1, &sa, NULL);
	SHOW(mq_notify(q, NULL));
	SHOW(mq_notify(q, &ev));
	show_file(q);
	SHOW(mq_notify(q, &ev));
	fflush(stdout);
	p = fork();
	if (!p) {
		SHOW(mq_notify(q, &ev));
		SHOW(mq_notify(q, NULL));
		fflush(stdout);
		mq_send(q, "from the child", 14, 0);
		_exit(0);
	}
	waitpid(p, NULL, 0);
	sleep_ms(5);
	printf("signals %d code %d value %d\n", signals, code, value);
	TRUE(from == p);
	show_file(q);
	SHOW(mq_send(q, "no more", 7, 0));
	printf("signals %d\n", signals);
	/* not while there are messages */
	SHOW(mq_notify(q, &ev));
	SHOW(mq_send(q, "x", 1, 0));
	printf("signals %d\n", signals);
	for (int i = 0; i < 3; i++)
		mq_receive(q, buf, 20, NULL);
	SHOW(mq_send(q, "x", 1, 0));
	printf("signals %d\n", signals);
	mq_receive(q, buf, 20, NULL);
	/* not if somebody waits for the message */
	SHOW(mq_notify(q, &ev));
	shared = q;
	pthread_create(&t, NULL, sends_later, NULL);
	SHOW(mq_receive(q, buf, 20, NULL));
	pthread_join(t, NULL);
	printf("signals %d\n", signals);
	SHOW(mq_notify(q, NULL));
	show_file(q);
	ev.sigev_notify = SIGEV_NONE;
	SHOW(mq_notify(q, &ev));
	show_file(q);
	SHOW(mq_send(q, "x", 1, 0));
	mq_receive(q, buf, 20, NULL);
	ev.sigev_notify = 77;
	SHOW(mq_notify(q, &ev));
	ev.sigev_notify = SIGEV_SIGNAL;
	ev.sigev_signo = 999;
	SHOW(mq_notify(q, &ev));
	SHOW(mq_notify(0, &ev));
	ev = (struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = in_thread};
	ev.sigev_value.sival_int = 3;
	SHOW(mq_notify(q, &ev));
	SHOW(mq_notify(q, &ev));
	SHOW(mq_send(q, "x", 1, 0));
	for (int i = 0; i < 2000 && !threads; i++)
		sleep_ms(1);
	printf("threads %d\n", threads);
	mq_receive(q, buf, 20, NULL);
	/* closing takes it away */
	ev = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	mqd_t other = mq_open("/notify", O_RDWR);
	SHOW(mq_notify(q, &ev));
	mq_close(other);
	show_file(q);
	mq_close(q);
	mq_unlink("/notify");
}

/* --- limits, rights, the file system --- */

static void
limits(void)
{
	struct rlimit r = {10000, 10000};
	struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 8192},
		       little = {.mq_maxmsg = 2, .mq_msgsize = 8};
	mqd_t q;
	int n = 0, qs[300];

	/* The limit counts all queues of a user: be one whom nobody else is. */
	(void)!setuid((uid_t)(20000 + getpid() % 30000));
	SHOW(setrlimit(RLIMIT_MSGQUEUE, &r));
	SHOW(mq_open("/big", O_RDWR | O_CREAT, 0600, &a));
	WORKS(q = mq_open("/little", O_RDWR | O_CREAT, 0600, &little));
	SHOW(mq_close(q));
	for (; n < 300; n++) {
		char name[20];

		snprintf(name, sizeof name, "/n%d", n);
		qs[n] = mq_open(name, O_RDWR | O_CREAT, 0600, &little);
		if (qs[n] < 0)
			break;
	}
	printf("%d, then %s\n", n, strerrorname_np(errno));
	while (n--) {
		char name[20];

		snprintf(name, sizeof name, "/n%d", n);
		mq_close(qs[n]);
		mq_unlink(name);
	}
	SHOW(chmod("nothing", 0));
	SHOW(setresuid(1000, 1000, 1000));
	SHOW(mq_open("/little", O_RDONLY));
	SHOW(mq_unlink("/little"));
	a = (struct mq_attr){.mq_maxmsg = 11, .mq_msgsize = 8};
	SHOW(mq_open("/mine", O_RDWR | O_CREAT, 0600, &a));
	a = (struct mq_attr){.mq_maxmsg = 1, .mq_msgsize = 8193};
	SHOW(mq_open("/mine", O_RDWR | O_CREAT, 0600, &a));
	a = (struct mq_attr){.mq_maxmsg = 1, .mq_msgsize = 10};
	WORKS(mq_open("/mine", O_RDWR | O_CREAT, 0200, &a));
	SHOW(mq_open("/mine", O_RDWR));
	WORKS(mq_open("/mine", O_WRONLY));
	SHOW(mq_unlink("/mine"));
}

static void
cat(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = read(fd, buf, sizeof buf - 1);

	printf("%s: %.*s", path, n > 0 ? (int)n : 0, n > 0 ? buf : "");
	if (n <= 0)
		printf("(%s)\n", strerrorname_np(errno));
	close(fd);
}

static void
file_system(void)
{
	struct mq_attr a = {.mq_maxmsg = 4, .mq_msgsize = 100};
	struct stat st;
	mqd_t q;
	int fd;

	SHOW(unshare(CLONE_NEWIPC | CLONE_NEWNS));
	mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	SHOW(mq_open("/before", O_RDWR));
	q = mq_open("/first", O_RDWR | O_CREAT, 0600, &a);
	mkdir("mq", 0755);
	SHOW(mount("none", "mq", "mqueue", 0, NULL));
	SHOW(stat("mq", &st));
	printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
	SHOW(stat("mq/first", &st));
	printf("mode %o size %ld\n", st.st_mode, (long)st.st_size);
	mq_send(q, "hello", 5, 1);
	cat("mq/first");
	SHOW(chmod("mq/first", 0622));
	WORKS(fd = open("mq/second", O_CREAT | O_RDWR, 0600));
	show_attr(fd);
	SHOW(mq_send(fd, "by path", 7, 0));
	close(fd);
	WORKS(fd = mq_open("/second", O_RDWR));
	SHOW(mq_receive(fd, buf, sizeof buf, NULL));
	SHOW(mkdir("mq/dir", 0755));
	SHOW(link("mq/second", "mq/third"));
	SHOW(rename("mq/second", "mq/third"));
	SHOW(unlink("mq/second"));
	SHOW(mq_open("/second", O_RDWR));
	SHOW(truncate("mq/first", 0));
	cat("/proc/sys/fs/mqueue/msg_max");
	cat("/proc/sys/fs/mqueue/msg_default");
	cat("/proc/sys/fs/mqueue/msgsize_max");
	cat("/proc/sys/fs/mqueue/msgsize_default");
	cat("/proc/sys/fs/mqueue/queues_max");
	fd = open("/proc/sys/fs/mqueue/msg_max", O_WRONLY);
	SHOW(write(fd, "20\n", 3));
	SHOW(write(fd, "99999999\n", 9));
	SHOW(write(fd, "x\n", 2));
	close(fd);
	cat("/proc/sys/fs/mqueue/msg_max");
	SHOW(umount("mq"));
	SHOW(rmdir("mq"));
}

/* The table of a child that is never born is nobody's: what is open there stays as it is. */
static void
unborn(void)
{
	pid_t tid = 1;
	struct clone_args a = {
		.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&tid, .set_tid_size = 1};
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	mqd_t q = mq_open("/guest-unborn", O_CREAT | O_RDWR, 0600, NULL);

	mq_unlink("/guest-unborn");
	signal(SIGUSR1, SIG_IGN);
	SHOW(mq_notify(q, &ev));
	SHOW(syscall(SYS_clone3, &a, sizeof a));
	SHOW(mq_notify(q, &ev));
	SHOW(mq_send(q, "x", 1, 0));
}

static void (*body)(void);

static void
in_own_ipc(void)
{
	unshare(CLONE_NEWIPC);
	body();
}

/* In a namespace of its own, so that nothing is left behind. */
static void
alone(const char *what, void (*fn)(void))
{
	body = fn;
	in_child(what, in_own_ipc);
}

int
main(void)
{
	/* Natively the host's are everybody's, also those of another run of this. */
	(void)unshare(CLONE_NEWIPC);
	alone("unborn", unborn);
	alone("names", names);
	alone("order", order);
	alone("waiting", waiting);
	alone("notifications", notifications);
	alone("limits", limits);
	alone("file system", file_system);
	return 0;
}
