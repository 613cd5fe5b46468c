/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A seccomp agent (linux.seccomp.listenerPath): takes connections at SOCKET, each in a process of
 * its own, keeps the state that comes as DIR/state.N, and answers as the last part of the path of
 * each call says, which it reads from the caller's memory. What it sees is written to DIR/agent.N.
 * usage: seccomp_agent SOCKET DIR
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define ID_VALID_WRONG SECCOMP_IOR(2, __u64)

static const char *dir;
static int listener;

static const char *
name(long r)
{
	return r >= 0 ? "ok" : strerrorname_np(errno);
}

/* The state is all that comes, and one descriptor. */
static int
take_state(int sock, int n)
{
	static char text[1 << 20];
	char control[CMSG_SPACE(4 * sizeof(int))], path[300];
	struct iovec iov = {text, sizeof text};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof control};
	ssize_t len = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = len > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	FILE *f;
	int fd;

	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof fd);
	snprintf(path, sizeof path, "%s/state.%d", dir, n);
	f = fopen(path, "w");
	fwrite(text, 1, (size_t)len, f);
	fclose(f);
	return fd;
}

static void
read_path(const struct seccomp_notif *q, char *buf, size_t cap)
{
	char file[64];
	int fd;

	snprintf(file, sizeof file, "/proc/%u/mem", q->pid);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	memset(buf, 0, cap);
	/* It may end where the next page is not there. */
	if (fd < 0 || pread(fd, buf, cap - 1, (off_t)q->data.args[0]) <= 0)
		snprintf(buf, cap, "(%s: %s)", fd < 0 ? "open" : "read", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* As the call itself would have done. */
static long
write_text(const struct seccomp_notif *q, const char *text)
{
	char file[64];
	long n;
	int fd;

	snprintf(file, sizeof file, "/proc/%u/mem", q->pid);
	fd = open(file, O_WRONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : pwrite(fd, text, strlen(text), (off_t)q->data.args[1]);
	close(fd);
	return n;
}

static long
answer(const struct seccomp_notif *q, int error, int64_t val, unsigned flags)
{
	struct seccomp_notif_resp a = {.id = q->id, .error = error, .val = val, .flags = flags};

	return ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &a);
}

static long
addfd(const struct seccomp_notif *q, int fd, unsigned flags, unsigned newfd, unsigned newfd_flags)
{
	struct seccomp_notif_addfd a = {.id = q->id,
		.flags = flags,
		.srcfd = (unsigned)fd,
		.newfd = newfd,
		.newfd_flags = newfd_flags};

	return ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &a);
}

static int
text_file(const char *text)
{
	int fd = memfd_create("text", MFD_CLOEXEC);

	if (write(fd, text, strlen(text)) < 0)
		exit(1);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* What it refuses. */
static void
errors(const struct seccomp_notif *q)
{
	struct seccomp_notif n = {.pid = 1};
	struct {
		struct seccomp_notif_addfd a;
		uint64_t more;
	} large = {.a = {.id = q->id, .srcfd = 999}};
	uint64_t other = q->id ^ 0x123456;
	struct seccomp_notif_resp r = {.id = other};
	int file = text_file("x");
	char path[64], c;

	printf("recv into what is not zero: %s\n",
		name(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n)));
	printf("send of another: %s\n", name(ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r)));
	printf("send with flags: %s\n", name(answer(q, 0, 0, 2)));
	printf("send continue with a value: %s\n", name(answer(q, 0, 1, 1)));
	printf("valid: %s %s, another: %s %s\n",
		name(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &q->id)),
		name(ioctl(listener, ID_VALID_WRONG, &q->id)),
		name(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &other)),
		name(ioctl(listener, ID_VALID_WRONG, &other)));
	printf("bad addresses: %s %s %s\n", name(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, 8)),
		name(ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, 8)),
		name(ioctl(listener, ID_VALID_WRONG, 8)));
	printf("addfd: no such flag %s, no such newfd_flag %s, newfd without SETFD %s, no such "
	       "descriptor %s, another id %s, too high %s\n",
		name(addfd(q, file, 4, 0, 0)), name(addfd(q, file, 0, 0, O_NONBLOCK)),
		name(addfd(q, file, 0, 5, 0)), name(addfd(q, 999, 0, 0, 0)),
		name(addfd(&(struct seccomp_notif){.id = other}, file, 0, 0, 0)),
		name(addfd(q, file, SECCOMP_ADDFD_FLAG_SETFD, 1 << 30, 0)));
	printf("addfd, larger: %s", name(ioctl(listener, SECCOMP_IOW(3, large), &large)));
	large.more = 1;
	printf(", with something there: %s", name(ioctl(listener, SECCOMP_IOW(3, large), &large)));
	printf(", smaller: %s\n", name(ioctl(listener, SECCOMP_IOW(3, char[16]), &large)));
	printf("another ioctl: %s, read: %s, write: %s\n",
		name(ioctl(listener, SECCOMP_IOW(9, int), &large)), name(read(listener, &c, 1)),
		name(write(listener, &c, 1)));
	snprintf(path, sizeof path, "/proc/self/fd/%d", listener);
	printf("opened again: %s\n", name(open(path, O_RDWR)));
	close(file);
}

/* A signal ends the wait for a call. */
static void
nothing(int sig)
{
	(void)sig;
}

static void
interrupted(void)
{
	struct seccomp_notif q = {0};
	struct sigaction sa = {.sa_handler = nothing};

	sigaction(SIGALRM, &sa, NULL);
	ualarm(200000, 0);
	printf("interrupted: %s\n", name(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &q)));
	signal(SIGALRM, SIG_DFL);
}

static void *
add_from_thread(void *arg)
{
	int fd = text_file("from another thread\n");
	long r = addfd(arg, fd, SECCOMP_ADDFD_FLAG_SEND, 0, 0);

	printf("addfd of a thread: %s\n", name(r));
	close(fd);
	return NULL;
}

static void
one_call(const struct seccomp_notif *q)
{
	char path[256], *what;
	pthread_t t;
	int fd, sv[2];
	long r;

	read_path(q, path, sizeof path);
	what = strrchr(path, '/');
	what = what ? what + 1 : path;
	if (q->data.nr == SYS_readlink) /* the other argument is an address */
		printf("readlink %s\n", path);
	else
		printf("%s %s, arch %x, flags %u, arg 1 %llo\n",
			q->data.nr == SYS_mkdir ? "mkdir" : "open", path, q->data.arch, q->flags,
			q->data.args[1]);
	if (strcmp(what, "error") == 0) {
		r = answer(q, -ENOMEDIUM, 0, 0);
	} else if (strcmp(what, "value") == 0) {
		r = answer(q, 0, 42, 0);
	} else if (strcmp(what, "text") == 0) {
		r = answer(q, 0, write_text(q, "written by the agent"), 0);
	} else if (strcmp(what, "errors") == 0) {
		errors(q);
		r = answer(q, 0, 0, 0);
	} else if (strcmp(what, "interrupted") == 0) {
		interrupted();
		r = answer(q, 0, 0, 0);
	} else if (strcmp(what, "file") == 0) {
		fd = text_file("a file of the host\n");
		r = addfd(q, fd, 0, 0, 0);
		if (r >= 0)
			r = answer(q, 0, r, 0);
		close(fd);
	} else if (strcmp(what, "send") == 0) {
		fd = text_file("added and sent\n");
		r = addfd(q, fd, SECCOMP_ADDFD_FLAG_SEND, 0, O_CLOEXEC);
		close(fd);
	} else if (strcmp(what, "set") == 0) {
		fd = text_file("in its place\n");
		r = addfd(q, fd, SECCOMP_ADDFD_FLAG_SETFD | SECCOMP_ADDFD_FLAG_SEND, 77, 0);
		printf("set: %ld\n", r);
		close(fd);
	} else if (strcmp(what, "thread") == 0) {
		r = pthread_create(&t, NULL, add_from_thread, (void *)(uintptr_t)q);
		pthread_join(t, NULL);
	} else if (strcmp(what, "socket") == 0) {
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv);
		r = addfd(q, sv[1], SECCOMP_ADDFD_FLAG_SEND, 0, 0);
		close(sv[1]);
		r = write(sv[0], "over a socket\n", 14);
		close(sv[0]);
	} else if (strcmp(what, "pipe") == 0) {
		r = pipe2(sv, O_CLOEXEC);
		r = addfd(q, sv[1], SECCOMP_ADDFD_FLAG_SEND, 0, 0);
		close(sv[1]);
		memset(path, 0, sizeof path);
		r = read(sv[0], path, sizeof path - 1);
		printf("pipe: %s", path);
		close(sv[0]);
	} else if (strcmp(what, "gone") == 0) {
		/* The caller is killed meanwhile, or a signal ends its call. */
		for (int i = 0;
			i < 500 && ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &q->id) == 0; i++)
			usleep(10000);
		r = ioctl(listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &q->id);
		printf("gone: %s", name(r));
		r = answer(q, 0, 0, 0);
		printf(" %s", name(r));
		r = addfd(q, 0, 0, 0, 0);
		printf(" %s\n", name(r));
		r = 0;
	} else if (strcmp(what, "leave") == 0) {
		exit(0);
	} else if (strcmp(what, "killed") == 0) {
		struct seccomp_notif again = {0};

		r = answer(q, 0, 0, 0);
		fflush(stdout);
		ualarm(200000, 0);
		ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &again);
	} else {
		r = answer(q, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
	}
	if (r < 0)
		printf("%s: %s\n", what, strerrorname_np(errno));
}

static void
serve(int sock, int n)
{
	struct seccomp_notif q;
	char path[300];

	snprintf(path, sizeof path, "%s/agent.%d", dir, n);
	if (!freopen(path, "w", stdout))
		exit(1);
	setlinebuf(stdout);
	listener = take_state(sock, n);
	if (listener < 0) {
		printf("no descriptor\n");
		exit(1);
	}
	fcntl(listener, F_SETFD, FD_CLOEXEC);
	for (;;) {
		struct pollfd p = {.fd = listener, .events = POLLIN | POLLOUT};
		long r;

		poll(&p, 1, -1);
		memset(&q, 0, sizeof q);
		if (!(p.revents & POLLIN)) {
			printf("poll: %s%s%s, recv: ", p.revents & POLLHUP ? "HUP" : "",
				p.revents & POLLERR ? "ERR" : "", p.revents & POLLOUT ? "OUT" : "");
			printf("%s\n", name(ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &q)));
			exit(0);
		}
		r = ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &q);
		if (r < 0) {
			printf("recv: %s\n", name(r));
			if (errno != ENOENT)
				exit(1);
			continue;
		}
		p.revents = 0;
		poll(&p, 1, 0);
		if (p.revents != POLLOUT)
			printf("events of one that was read: %x\n", p.revents);
		one_call(&q);
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int l = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 3)
		return 2;
	dir = argv[2];
	signal(SIGCHLD, SIG_IGN);
	strncpy(a.sun_path, argv[1], sizeof a.sun_path - 1);
	if (bind(l, (struct sockaddr *)&a, sizeof a) < 0 || listen(l, 5) < 0) {
		perror(argv[1]);
		return 1;
	}
	for (int n = 1;; n++) {
		int s = accept4(l, NULL, NULL, SOCK_CLOEXEC);

		if (fork() == 0)
			serve(s, n);
		close(s);
	}
}
