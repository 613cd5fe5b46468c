/* SPDX-License-Identifier: Apache-2.0 */
/* The maker's side of a keeper; what that does is in keeper_run.c. */
#include "platform/host/keeper.h"
#include "keeper_run.h"
#include "platform/host/err.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Two stacks, each with a guard below, and a page that both sides see. */
#define PAGE	 4096UL
#define STACK	 (64 * 1024UL)
#define MAP_SIZE (2 * (PAGE + STACK) + PAGE)

struct keeper {
	struct keeper_shared *shared;
	char *map;
	int sock, pidfd;
	int nchildren;
	struct {
		pid_t pid;
		int pidfd;
		bool ended;
		int status;
	} children[KEEPER_CHILDREN_MAX];
};

static char *
map_stacks(void)
{
	char *map = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	if (mprotect(map, PAGE, PROT_NONE) < 0 ||
		mprotect(map + PAGE + STACK, PAGE, PROT_NONE) < 0) {
		munmap(map, MAP_SIZE);
		return NULL;
	}
	return map;
}

static void
keeper_free(struct keeper *k)
{
	for (int i = 0; i < k->nchildren; i++)
		if (k->children[i].pidfd >= 0)
			close(k->children[i].pidfd);
	if (k->sock >= 0)
		close(k->sock);
	if (k->pidfd >= 0)
		close(k->pidfd);
	if (k->map)
		munmap(k->map, MAP_SIZE);
	free(k);
}

int
keeper_new(int net_fd, bool die_with_caller, struct keeper **ret)
{
	struct keeper *k = calloc(1, sizeof *k);
	int sv[2] = {-1, -1}, self = -1, pid, r;
	sigset_t all, old;

	if (!k)
		return -ENOMEM;
	k->sock = k->pidfd = -1;
	k->map = map_stacks();
	r = k->map ? HOST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv)) : -ENOMEM;
	if (r == 0)
		r = self = HOST(pidfd_open(getpid(), 0));
	if (r < 0)
		goto out;
	k->sock = sv[0];
	k->shared = (struct keeper_shared *)(void *)(k->map + MAP_SIZE - PAGE);
	*k->shared = (struct keeper_shared){.sock = sv[1],
		.host = self,
		.net_fd = net_fd,
		.die_with_caller = die_with_caller,
		.vfork_stack = k->map + MAP_SIZE - PAGE};
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	/* No exit signal: nobody is told when it ends. */
	pid = (int)keeper_clone(
		keeper_run, k->map + PAGE + STACK, CLONE_VM | CLONE_PIDFD, k->shared, &k->pidfd);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	r = pid < 0 ? pid : 0;
	if (r < 0)
		k->pidfd = -1;
out:
	if (sv[1] >= 0)
		close(sv[1]);
	if (self >= 0)
		close(self);
	if (r < 0) {
		keeper_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

static int
request(struct keeper *k, enum keeper_op op, const int *fds, unsigned nfds)
{
	unsigned char byte = (unsigned char)op;
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * KEEPER_FDS_MAX)];
	} control;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (nfds) {
		memset(&control, 0, sizeof control);
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * nfds);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * nfds);
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * nfds);
	}
	n = HOST_RETRY(sendmsg(k->sock, &m, MSG_NOSIGNAL));
	return n < 0 ? (int)n : 0;
}

/* An answer (true), or the news of an end, which is kept; -ECHILD: the keeper is gone. */
static int
hear(struct keeper *k, int *ret_value, int *ret_fd)
{
	struct keeper_reply reply;
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {&reply, sizeof reply};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control};
	ssize_t n = HOST_RETRY(recvmsg(k->sock, &m, MSG_CMSG_CLOEXEC));

	if (n != sizeof reply)
		return -ECHILD;
	if (reply.child >= 0) {
		if (reply.child < k->nchildren) {
			k->children[reply.child].ended = true;
			k->children[reply.child].status = reply.value;
		}
		return false;
	}
	*ret_value = reply.value;
	*ret_fd = -1;
	if (m.msg_controllen >= sizeof control.head && control.head.cmsg_type == SCM_RIGHTS)
		memcpy(ret_fd, CMSG_DATA(&control.head), sizeof *ret_fd);
	return true;
}

static int
make_child(struct keeper *k, enum keeper_op op, unsigned flags, keeper_fn *fn, void *arg,
	const int *fds, unsigned nfds)
{
	int r, pid = -ECHILD, pidfd = -1;

	if (nfds > KEEPER_FDS_MAX)
		return -EINVAL;
	k->shared->fn = fn;
	k->shared->arg = arg;
	k->shared->flags = flags;
	r = request(k, op, fds, nfds);
	while (r == 0)
		r = hear(k, &pid, &pidfd);
	if (r < 0)
		return r;
	if (pid < 0)
		return pid;
	if (pidfd < 0)
		return -EMFILE; /* it is the keeper's to end */
	k->children[k->nchildren].pid = pid;
	k->children[k->nchildren].pidfd = pidfd;
	return k->nchildren++;
}

int
keeper_fork(
	struct keeper *k, unsigned flags, keeper_fn *fn, void *arg, const int *fds, unsigned nfds)
{
	return make_child(k, KEEPER_FORK, flags, fn, arg, fds, nfds);
}

int
keeper_vfork(struct keeper *k, keeper_fn *fn, void *arg, const int *fds, unsigned nfds)
{
	return make_child(k, KEEPER_VFORK, 0, fn, arg, fds, nfds);
}

pid_t
keeper_child_pid(const struct keeper *k, int child)
{
	return k->children[child].pid;
}

int
keeper_child_pidfd(const struct keeper *k, int child)
{
	return k->children[child].pidfd;
}

int
keeper_meter(struct keeper *k, int sock)
{
	return request(k, KEEPER_METER, &sock, 1);
}

int
keeper_watch(struct keeper *k)
{
	return request(k, KEEPER_WATCH, NULL, 0);
}

int
keeper_child_wait(struct keeper *k, int child, int *ret_status)
{
	int value, fd, r = 0;

	while (!k->children[child].ended && r == 0)
		r = hear(k, &value, &fd);
	if (r)
		return -ECHILD;
	*ret_status = k->children[child].status;
	return 0;
}

/* The keeper itself: a child of this process that only __WALL sees. */
static void
reap_keeper(struct keeper *k)
{
	siginfo_t info;

	/* Whoever stopped it. */
	(void)pidfd_send_signal(k->pidfd, SIGCONT, NULL, 0);
	(void)HOST_RETRY(waitid(P_PIDFD, (id_t)k->pidfd, &info, WEXITED | __WALL));
	keeper_free(k);
}

int
keeper_leave(struct keeper *k)
{
	int r = request(k, KEEPER_LEAVE, NULL, 0);

	/* Killed, it has left them as well. */
	if (r < 0)
		(void)pidfd_send_signal(k->pidfd, SIGKILL, NULL, 0);
	reap_keeper(k);
	return 0;
}

void
keeper_end(struct keeper *k)
{
	if (!k)
		return;
	/* When it was killed, its children are nobody's. */
	if (request(k, KEEPER_END, NULL, 0) < 0)
		for (int i = 0; i < k->nchildren; i++)
			(void)pidfd_send_signal(k->children[i].pidfd, SIGKILL, NULL, 0);
	reap_keeper(k);
}
