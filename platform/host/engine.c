/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/host/engine.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/memfd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

int
host_memfd_sealed(const char *name, uint64_t size)
{
	int fd = (int)host_call2(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	long r;

	if (fd < 0)
		return fd;
	r = host_call2(SYS_ftruncate, fd, size);
	if (r == 0)
		r = host_call3(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW);
	if (r == 0)
		return fd;
	host_close(fd);
	return (int)r;
}

int
host_memfd_freeze(int fd)
{
	return (int)host_call3(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
}

void *
host_map_shared(int fd, uint64_t off, size_t len, int *err)
{
	long r =
		host_call6(SYS_mmap, 0, len, PROT_READ | PROT_WRITE, MAP_SHARED, (uint64_t)fd, off);

	if (host_is_err(r)) {
		*err = (int)r;
		return NULL;
	}
	return (void *)r;
}

void
host_unmap(void *p, size_t len)
{
	host_call2(SYS_munmap, p, len);
}

int
host_socketpair(int fds[2])
{
	return (int)host_call4(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds);
}

int
host_send_fd(int sock, const void *msg, size_t len, int fd)
{
	struct iovec iov = {.iov_base = (void *)msg, .iov_len = len};
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} c = {0};
	struct msghdr mh = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = c.buf,
		.msg_controllen = sizeof c.buf};
	long r;

	c.align.cmsg_len = CMSG_LEN(sizeof(int));
	c.align.cmsg_level = SOL_SOCKET;
	c.align.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&c.align), &fd, sizeof fd);
	r = host_call3(SYS_sendmsg, sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL);
	return r < 0 ? (int)r : 0;
}

int
host_pipe_nonblock(int fds[2])
{
	return (int)host_call2(SYS_pipe2, fds, O_CLOEXEC | O_NONBLOCK);
}

void
host_close(int fd)
{
	if (fd >= 0)
		host_call1(SYS_close, fd);
}

ssize_t
host_drain(int fd, void *buf, size_t len)
{
	long r = host_call3(SYS_read, fd, buf, len);

	return r < 0 ? 0 : r;
}

void
host_futex_wake(uint32_t *w, int n)
{
	host_call3(SYS_futex, w, FUTEX_WAKE, n);
}

int
host_futex_wait(const uint32_t *w, uint32_t v, int64_t timeout_ns)
{
	struct timespec ts = {
		.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};

	return (int)host_call4(SYS_futex, w, FUTEX_WAIT, v, timeout_ns < 0 ? NULL : &ts);
}

int
host_tgkill(pid_t pid, pid_t tid, int sig)
{
	return (int)host_call3(SYS_tgkill, pid, tid, sig);
}

int
host_kill(pid_t pid, int sig)
{
	return (int)host_call2(SYS_kill, pid, sig);
}

int
host_own_group(pid_t pid)
{
	return (int)host_call2(SYS_setpgid, pid, pid);
}

int
host_kill_group(pid_t pid, int sig)
{
	return pid > 1 ? (int)host_call2(SYS_kill, -pid, sig) : -EINVAL;
}

bool
host_is_child(pid_t pid)
{
	siginfo_t si;

	return host_call5(SYS_waitid, P_PID, pid, &si, WEXITED | WNOHANG | WNOWAIT, NULL) == 0;
}

pid_t
host_reap_any(void)
{
	return (pid_t)host_call4(SYS_wait4, -1, NULL, __WALL, NULL);
}

bool
host_reap_pid(pid_t pid, int *status)
{
	return host_call4(SYS_wait4, pid, status, WNOHANG, NULL) == pid;
}

static int
vm_result(long r, size_t len)
{
	if (r == (long)len)
		return 0;
	return r == -EPERM || r == -ENOSYS ? -EPERM : r == -ESRCH ? -ESRCH : -EFAULT;
}

int
host_vm_read(pid_t pid, void *dst, uint64_t src, size_t len)
{
	struct iovec l = {dst, len}, r = {(void *)src, len};

	return vm_result(host_call6(SYS_process_vm_readv, (uint64_t)pid, HOST_ARG(&l), 1,
				 HOST_ARG(&r), 1, 0),
		len);
}

int
host_vm_write(pid_t pid, uint64_t dst, const void *src, size_t len)
{
	struct iovec l = {(void *)src, len}, r = {(void *)dst, len};

	return vm_result(host_call6(SYS_process_vm_writev, (uint64_t)pid, HOST_ARG(&l), 1,
				 HOST_ARG(&r), 1, 0),
		len);
}

int
host_where(pid_t pid, const uint64_t *pages, int *status, unsigned n)
{
	long r = host_call6(
		SYS_move_pages, (uint64_t)pid, n, HOST_ARG(pages), 0, HOST_ARG(status), 0);

	if (r == 0)
		return 0;
	return r == -ENOSYS || r == -ESRCH ? (int)r : -EPERM;
}

static int64_t
clock_ns(int clock)
{
	struct timespec ts;
	long r = host_call2(SYS_clock_gettime, (int64_t)clock, &ts);

	return r < 0 ? r : ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t
host_process_cpu_ns(pid_t pid)
{
	return clock_ns((int)(~(unsigned)pid << 3 | 2));
}

int64_t
host_now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

int
host_set_affinity(pid_t tid, const void *mask, size_t len)
{
	long r = host_call3(SYS_sched_setaffinity, tid, len, mask);

	return r < 0 ? (int)r : 0;
}

int
host_set_sched(pid_t tid, int nice, int policy)
{
	struct sched_param none = {0};
	long n = host_call3(SYS_setpriority, PRIO_PROCESS, tid, nice);
	long p = host_call3(SYS_sched_setscheduler, tid, policy, &none);

	return n < 0 ? (int)n : p < 0 ? (int)p : 0;
}
