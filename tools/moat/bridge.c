/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See bridge.h. The file is one of FUSE: the sizes that are part of the ioctls' numbers are what
 * FUSE passes on. The agent may close it, be killed or be slow; each question that it has is kept
 * (struct ask) until the sentry has answered it, one after the other (gofer/bridge.h). A question
 * for a call that waits stays until there is one. FUSE lets nobody go, not even by SIGKILL, before
 * he is answered: who is interrupted is, also when the sentry says nothing.
 *
 * The sentry is hostile. It can say which of its own processes asks, by a pidfd, and answer
 * wrongly; whatever has not the form that is expected ends the connection.
 */
#include "bridge.h"
#include "abi/seccomp.h"
#include "base/list.h"
#include "base/log.h"
#include "gofer/bridge.h"
#include "gofer/wire.h"
#include "platform/host/confine.h"
#include "platform/host/err.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

/* Descriptors; hostcalls.def knows them. */
enum {
	DEV_FD = 3, /* /dev/fuse */
	SENTRY_FD,
	PROC_FD,
	FDS
};

#define REQUEST_MAX (32 * 1024) /* of FUSE; an ioctl's data is less than 16 KiB */
#define WRITE_MAX   4096	/* the least that FUSE has; nobody can write */
#define ADDFD_MAX   4096	/* as on Linux: data of that ioctl */
#define ASKS_MAX    4096	/* threads that wait */
#define PATIENCE_MS 1000	/* with a sentry that is asked something by who was interrupted */

struct ask {
	struct list node;
	uint64_t unique; /* of FUSE's request; 0: it needs no answer (any longer) */
	uint16_t type;
	int32_t err; /* ADDFD: why there is no fd */
	int fd;
	uint32_t len;
	union {
		uint64_t id;
		struct lx_seccomp_notif_resp resp;
		struct lx_seccomp_notif_addfd addfd;
	} body;
	int64_t until_ms; /* interrupted: it is answered at that time at the latest; 0: it was not
			   */
};

static struct list asks = LIST_INIT(asks); /* the oldest first */
static unsigned nasks;
static struct ask *asked; /* what the sentry is asked now */
static uint64_t number;	  /* of that question */
static uint32_t events;	  /* of the listener, as poll(2) has them */
static bool opened, gone; /* the file was; the sentry is */
static bool notifies;	  /* FUSE wants to hear of new events, by this handle */
static uint64_t poll_handle;
static uid_t owner;
static gid_t group;

static int64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* --- to FUSE --- */

static void
put(uint64_t unique, int error, const void *a, size_t alen, const void *b, size_t blen)
{
	struct fuse_out_header h = {
		.len = (uint32_t)(sizeof h + alen + blen), .error = error, .unique = unique};
	struct iovec v[3] = {
		{&h, sizeof h}, {(void *)(uintptr_t)a, alen}, {(void *)(uintptr_t)b, blen}};

	/* Who waited may have been killed meanwhile: ENOENT. */
	(void)HOST_RETRY(writev(DEV_FD, v, 3));
}

static void
put_error(uint64_t unique, int err)
{
	put(unique, err, NULL, 0, NULL, 0);
}

static void
put_ioctl(uint64_t unique, int32_t result, const void *data, size_t len)
{
	struct fuse_ioctl_out o = {.result = result};

	if (result < 0)
		put_error(unique, result);
	else
		put(unique, 0, &o, sizeof o, data, len);
}

static void
set_events(uint32_t now)
{
	struct fuse_notify_poll_wakeup_out o = {poll_handle};

	events = now;
	if (notifies)
		put(0, FUSE_NOTIFY_POLL, &o, sizeof o, NULL, 0);
	notifies = false;
}

/* --- questions --- */

static void
ask_free(struct ask *a)
{
	if (a->fd >= 0)
		close(a->fd);
	list_del(&a->node);
	nasks--;
	free(a);
}

static void
ask_answer(struct ask *a, int32_t result, const void *data, size_t len)
{
	if (a->unique)
		put_ioctl(a->unique, result, data, len);
	a->unique = 0;
}

static void
lose_sentry(void)
{
	gone = true;
	asked = NULL;
	close(SENTRY_FD);
	while (!list_empty(&asks)) {
		struct ask *a = list_entry(asks.next, struct ask, node);

		ask_answer(a, -ENOENT, NULL, 0);
		ask_free(a);
	}
	set_events(POLLHUP);
}

/* body: len bytes; fd is consumed. */
static void
ask_new(uint64_t unique, uint16_t type, const void *body, size_t len, int fd, int32_t err)
{
	struct ask *a = !gone && nasks < ASKS_MAX ? calloc(1, sizeof *a) : NULL;

	if (!a) {
		if (fd >= 0)
			close(fd);
		if (unique)
			put_error(unique, gone ? -ENOENT : -ENOMEM);
		return;
	}
	a->unique = unique;
	a->type = type;
	a->fd = fd;
	a->err = err;
	a->len = (uint32_t)len;
	if (len)
		memcpy(&a->body, body, len);
	list_push_back(&asks, &a->node);
	nasks++;
}

/* Ask the next question, when the last one is answered. */
static void
ask_next(void)
{
	struct ask *a, *next = NULL;
	struct wire_head h;

	if (gone || asked)
		return;
	list_for_each_entry (a, &asks, node) {
		if (a->type != BRIDGE_RECV || (events & (POLLIN | POLLHUP))) {
			next = a;
			break;
		}
	}
	if (!next)
		return;
	h = (struct wire_head){.id = ++number, .type = next->type, .error = next->err};
	if (wire_send(SENTRY_FD, &h, &next->body, next->len, &next->fd, next->fd >= 0,
		    MSG_DONTWAIT) < 0)
		lose_sentry();
	else
		asked = next;
}

static void
ask_interrupt(uint64_t unique)
{
	struct ask *a, *found = NULL;

	list_for_each_entry (a, &asks, node)
		if (a->unique == unique)
			found = a;
	if (!found)
		return;
	if (found == asked) {
		found->until_ms = now_ms() + PATIENCE_MS;
		return;
	}
	ask_answer(found, -EINTR, NULL, 0);
	ask_free(found);
}

/* --- from the sentry --- */

/* The number that follows name in a file of /proc; 0: there is none. */
static int
proc_number(const char *path, const char *name)
{
	int fd = openat(PROC_FD, path, O_RDONLY | O_CLOEXEC);
	char text[4096], *at;
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = 0;
	at = strstr(text, name);
	return at ? atoi(at + strlen(name)) : 0;
}

static int
pid_of(int pidfd)
{
	char path[64];
	int pid;

	snprintf(path, sizeof path, "self/fdinfo/%d", pidfd);
	pid = proc_number(path, "\nPid:");
	return pid > 0 ? pid : 0;
}

static void
take_notif(struct ask *a, struct lx_seccomp_notif *n, int pidfd)
{
	n->pid = pidfd >= 0 ? (uint32_t)pid_of(pidfd) : 0;
	if (a->unique)
		ask_answer(a, 0, n, sizeof *n);
	else
		ask_new(0, BRIDGE_PUT_BACK, &n->id, sizeof n->id, -1, 0);
}

static bool
take_answer(const struct wire_packet *p)
{
	struct ask *a = asked;
	struct lx_seccomp_notif n;
	int32_t result = p->head.error;
	bool notif = a && a->type == BRIDGE_RECV && result == 0;

	if (!a || p->head.id != number || result < -4095 || p->head.len != (notif ? sizeof n : 0) ||
		p->nfds > (notif ? 1 : 0) || (a->type != BRIDGE_ADDFD && result > 0))
		return false;
	asked = NULL;
	if (a->type == BRIDGE_RECV && result == -EAGAIN) {
		set_events(events & ~(uint32_t)(POLLIN | POLLRDNORM));
		if (a->unique && !a->until_ms)
			return true; /* it stays */
		result = -EINTR;
	}
	if (notif) {
		memcpy(&n, p->body, sizeof n);
		take_notif(a, &n, p->nfds ? p->fds[0] : -1);
	} else {
		ask_answer(a, result, NULL, 0);
	}
	ask_free(a);
	return true;
}

static void
hear_sentry(void)
{
	static struct wire_packet p;
	int r = wire_recv(SENTRY_FD, &p, MSG_DONTWAIT);
	bool good = false;

	if (r == -EAGAIN)
		return;
	if (r > 0 && p.head.type == BRIDGE_ANSWER)
		good = take_answer(&p);
	if (r > 0 && p.head.type == BRIDGE_EVENTS && !p.head.len && !p.nfds) {
		set_events((uint32_t)p.head.id);
		good = true;
	}
	if (r > 0)
		wire_close_fds(&p, 0);
	if (!good)
		lose_sentry();
}

/* --- from the agent --- */

/* A descriptor of the thread tid's. -errno. */
static int
descriptor_of(uint32_t tid, uint32_t fd)
{
	int pidfd = HOST(pidfd_open((pid_t)tid, PIDFD_THREAD)), r;
	char path[64];

	if (pidfd == -EINVAL) { /* before Linux 6.9: of whole processes only */
		snprintf(path, sizeof path, "%u/status", tid);
		pidfd = HOST(pidfd_open(proc_number(path, "\nTgid:"), 0));
	}
	if (pidfd < 0)
		return pidfd;
	r = HOST(pidfd_getfd(pidfd, (int)fd, 0));
	close(pidfd);
	return r;
}

static int
ask_addfd(const struct fuse_in_header *h, const uint8_t *data, uint32_t size)
{
	struct lx_seccomp_notif_addfd a;
	int fd;

	if (size < sizeof a || size >= ADDFD_MAX)
		return -EINVAL;
	memcpy(&a, data, sizeof a);
	for (uint32_t i = sizeof a; i < size; i++)
		if (data[i])
			return -E2BIG;
	fd = descriptor_of(h->pid, a.srcfd);
	ask_new(h->unique, BRIDGE_ADDFD, &a, sizeof a, fd < 0 ? -1 : fd, fd < 0 ? fd : 0);
	return 0;
}

/* The number that was given out first says that nothing is written, so that nothing comes along. */
static int
ask_id_wrong(const struct fuse_in_header *h, uint64_t arg)
{
	uint64_t id;
	struct iovec to = {&id, sizeof id}, from = {(void *)(uintptr_t)arg, sizeof id};

	if (HOST(process_vm_readv((pid_t)h->pid, &to, 1, &from, 1, 0)) != (ssize_t)sizeof id)
		return -EFAULT;
	ask_new(h->unique, BRIDGE_ID_VALID, &id, sizeof id, -1, 0);
	return 0;
}

/* 0: it is asked, else -errno. */
static int
take_ioctl(const struct fuse_in_header *h, const struct fuse_ioctl_in *in, size_t len)
{
	static const struct lx_seccomp_notif zero;
	const uint8_t *data = (const uint8_t *)(in + 1);

	if (len < sizeof *in || in->in_size > len - sizeof *in)
		return -EINVAL;
	switch (in->cmd) {
	case LX_SECCOMP_IOCTL_NOTIF_RECV:
		if (in->in_size != sizeof zero || memcmp(data, &zero, sizeof zero) != 0)
			return -EINVAL;
		ask_new(h->unique, BRIDGE_RECV, NULL, 0, -1, 0);
		return 0;
	case LX_SECCOMP_IOCTL_NOTIF_SEND:
		if (in->in_size != sizeof(struct lx_seccomp_notif_resp))
			return -EINVAL;
		ask_new(h->unique, BRIDGE_SEND, data, in->in_size, -1, 0);
		return 0;
	case LX_SECCOMP_IOCTL_NOTIF_ID_VALID:
		if (in->in_size != sizeof(uint64_t))
			return -EINVAL;
		ask_new(h->unique, BRIDGE_ID_VALID, data, in->in_size, -1, 0);
		return 0;
	case LX_SECCOMP_IOCTL_NOTIF_ID_VALID_WRONG:
		return ask_id_wrong(h, in->arg);
	}
	if ((in->cmd & ~0x3fff0000u) == (LX_SECCOMP_IOCTL_NOTIF_ADDFD & ~0x3fff0000u))
		return ask_addfd(h, data, in->in_size);
	return -EINVAL;
}

static void
put_attr(uint64_t unique)
{
	struct fuse_attr_out o = {.attr_valid = UINT32_MAX,
		.attr = {.ino = FUSE_ROOT_ID,
			.mode = S_IFREG | 0600,
			.nlink = 1,
			.uid = owner,
			.gid = group,
			.blksize = 4096}};

	put(unique, 0, &o, sizeof o, NULL, 0);
}

static void
take_poll(uint64_t unique, const struct fuse_poll_in *in)
{
	struct fuse_poll_out o = {.revents = events};

	if (in->flags & FUSE_POLL_SCHEDULE_NOTIFY) {
		notifies = true;
		poll_handle = in->kh;
	}
	put(unique, 0, &o, sizeof o, NULL, 0);
}

static void
take_init(uint64_t unique, const struct fuse_init_in *in)
{
	struct fuse_init_out o = {.major = FUSE_KERNEL_VERSION,
		.minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor
							       : FUSE_KERNEL_MINOR_VERSION,
		.max_write = WRITE_MAX,
		.time_gran = 1};

	put(unique, 0, &o, sizeof o, NULL, 0);
}

static void
take_open(uint64_t unique)
{
	struct fuse_open_out o = {
		.fh = 1, .open_flags = FOPEN_DIRECT_IO | FOPEN_NONSEEKABLE | FOPEN_NOFLUSH};

	/* A second time, by /proc/PID/fd: nobody can open the listener of Linux so. */
	if (opened)
		put_error(unique, -ENXIO);
	else
		put(unique, 0, &o, sizeof o, NULL, 0);
	opened = true;
}

static void
take_request(const struct fuse_in_header *h, size_t len)
{
	const void *arg = h + 1;
	int r;

	switch (h->opcode) {
	case FUSE_INIT:
		take_init(h->unique, arg);
		break;
	case FUSE_GETATTR:
		put_attr(h->unique);
		break;
	case FUSE_OPEN:
		take_open(h->unique);
		break;
	case FUSE_IOCTL:
		r = take_ioctl(h, arg, len);
		if (r < 0)
			put_error(h->unique, r);
		break;
	case FUSE_POLL:
		take_poll(h->unique, arg);
		break;
	case FUSE_INTERRUPT:
		ask_interrupt(((const struct fuse_interrupt_in *)arg)->unique);
		break;
	case FUSE_READ:
	case FUSE_WRITE:
		put_error(h->unique, -EINVAL);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
		break;
	case FUSE_RELEASE:
	case FUSE_DESTROY:
		put_error(h->unique, 0);
		_exit(0);
	default:
		put_error(h->unique, -ENOSYS);
	}
}

static void
hear_fuse(void)
{
	static uint64_t buf[REQUEST_MAX / sizeof(uint64_t)];
	const struct fuse_in_header *h = (const void *)buf;
	ssize_t n = HOST(read(DEV_FD, buf, sizeof buf));

	if (n == -ENOENT || n == -EINTR || n == -EAGAIN)
		return; /* who asked is gone */
	if (n < (ssize_t)sizeof *h)
		_exit(0); /* unmounted */
	/* The kernel's own, so that it is as long as it must be; what is left of the last one is
	 * not read in any case. */
	memset((char *)buf + n, 0, sizeof buf - (size_t)n);
	take_request(h, (size_t)n - sizeof *h);
}

static int
next_timeout(void)
{
	int64_t left;

	if (!asked || !asked->unique || !asked->until_ms)
		return -1;
	left = asked->until_ms - now_ms();
	if (left <= 0)
		ask_answer(asked, -EINTR, NULL, 0);
	return left <= 0 ? -1 : (int)left;
}

static _Noreturn void
run(void)
{
	for (;;) {
		struct pollfd p[2] = {{.fd = DEV_FD, .events = POLLIN},
			{.fd = gone ? -1 : SENTRY_FD, .events = POLLIN}};

		ask_next();
		if (gone)
			p[1].fd = -1;
		if (poll(p, 2, next_timeout()) < 0)
			continue;
		if (p[1].revents)
			hear_sentry();
		if (p[0].revents)
			hear_fuse();
	}
}

/* --- its beginning --- */

static bool
take_fds(const int *from)
{
	int high[FDS], null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return false;
	for (int i = 0; i < FDS; i++) {
		high[i] = fcntl(i < DEV_FD ? null : from[i - DEV_FD], F_DUPFD_CLOEXEC, FDS);
		if (high[i] < 0)
			return false;
	}
	for (int i = 0; i < FDS; i++)
		if (dup3(high[i], i, i < DEV_FD ? 0 : O_CLOEXEC) < 0)
			return false;
	return syscall(SYS_close_range, FDS, ~0u, 0) == 0;
}

/* What is left to a bridge that has been taken over: an agent's descriptors and memory. */
static bool
shut_in(void)
{
	char err[256];

	return unshare(CLONE_NEWNS) == 0 && confine_empty_root(false, err, sizeof err) == 0 &&
	       confine_caps(1ULL << CAP_SYS_PTRACE, err, sizeof err) == 0 &&
	       prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       confine_seal(CONFINE_BRIDGE, err, sizeof err) == 0;
}

static _Noreturn void
bridge_main(int dev, int sock)
{
	int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fds[] = {dev, sock, proc};
	sigset_t none;

	owner = geteuid();
	group = getegid();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	(void)prctl(PR_SET_NAME, "moat-bridge");
	log_to_fd(-1, "moat-bridge");
	if (proc >= 0 && setsid() >= 0 && take_fds(fds) && shut_in())
		run();
	_exit(1);
}

/* Nobody's child, so that nobody has to wait for it. */
static int
start_process(int dev, int sock)
{
	pid_t pid = HOST(fork());
	int status, r;

	if (pid < 0)
		return pid;
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			bridge_main(dev, sock);
		_exit(pid < 0);
	}
	r = HOST_RETRY(waitpid(pid, &status, 0));
	return r < 0 ? r : status ? -EAGAIN : 0;
}

static int
set_number(int fs, const char *key, const char *fmt, unsigned value)
{
	char text[16];

	snprintf(text, sizeof text, fmt, value);
	return HOST(fsconfig(fs, FSCONFIG_SET_STRING, key, text, 0));
}

/* The mount's descriptor. */
static int
mount_dev(int dev)
{
	int fs = HOST(fsopen("fuse", FSOPEN_CLOEXEC)), r;

	if (fs < 0)
		return fs;
	if ((r = set_number(fs, "fd", "%u", (unsigned)dev)) == 0 &&
		(r = set_number(fs, "rootmode", "%o", S_IFREG | 0600)) == 0 &&
		(r = set_number(fs, "user_id", "%u", geteuid())) == 0 &&
		(r = set_number(fs, "group_id", "%u", getegid())) == 0 &&
		(r = HOST(fsconfig(fs, FSCONFIG_SET_FLAG, "allow_other", NULL, 0))) == 0 &&
		(r = HOST(fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))) == 0)
		r = HOST(fsmount(fs, FSMOUNT_CLOEXEC,
			MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
	close(fs);
	return r;
}

int
bridge_start(int *ret_mount, int *ret_sentry, char *err, size_t cap)
{
	int dev = HOST(open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC)), mount = -1,
	    sv[2] = {-1, -1}, r;

	if (dev < 0) {
		snprintf(err, cap, "/dev/fuse cannot be opened: %s", strerror(-dev));
		return dev;
	}
	r = mount = mount_dev(dev);
	if (r < 0)
		snprintf(err, cap, "a file of FUSE, which agents get, cannot be mounted%s: %s",
			r == -EPERM ? " without CAP_SYS_ADMIN" : "", strerror(-r));
	else if ((r = wire_pair(sv)) < 0 || (r = start_process(dev, sv[0])) < 0)
		snprintf(err, cap, "no process can be started: %s", strerror(-r));
	close(dev);
	if (sv[0] >= 0)
		close(sv[0]);
	if (r < 0) {
		if (sv[1] >= 0)
			close(sv[1]);
		if (mount >= 0)
			close(mount);
		return r;
	}
	*ret_mount = mount;
	*ret_sentry = sv[1];
	return 0;
}

int
bridge_open(int mount)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", mount);
	return HOST_RETRY(open(path, O_RDWR | O_CLOEXEC));
}
