/* SPDX-License-Identifier: Apache-2.0 */
#include "platform/host/file.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define RETRY(expr)                                                                                \
	({                                                                                         \
		__typeof__(expr) r_;                                                               \
		do                                                                                 \
			r_ = (expr);                                                               \
		while (r_ < 0 && errno == EINTR);                                                  \
		r_ < 0 ? -(__typeof__(expr))errno : r_;                                            \
	})

ssize_t
host_fd_read(int fd, void *buf, size_t len)
{
	return RETRY(read(fd, buf, len));
}

ssize_t
host_fd_write(int fd, const void *buf, size_t len)
{
	return RETRY(write(fd, buf, len));
}

ssize_t
host_fd_pread(int fd, void *buf, size_t len, int64_t off)
{
	return RETRY(pread(fd, buf, len, off));
}

ssize_t
host_fd_pwrite(int fd, const void *buf, size_t len, int64_t off)
{
	return RETRY(pwrite(fd, buf, len, off));
}

int
host_fd_close(int fd)
{
	if (fd < 0)
		return 0;
	return close(fd) < 0 ? -errno : 0;
}

int
host_fd_truncate(int fd, int64_t len)
{
	return RETRY(ftruncate(fd, len));
}

int
host_fd_allocate(int fd, int mode, int64_t off, int64_t len)
{
	return RETRY(fallocate(fd, mode, off, len));
}

int64_t
host_fd_seek(int fd, int64_t off, int whence)
{
	return RETRY(lseek(fd, off, whence));
}

int
host_fd_sync(int fd, int data_only)
{
	return data_only ? RETRY(fdatasync(fd)) : RETRY(fsync(fd));
}

int
host_memfd(const char *name, unsigned flags)
{
	return RETRY(memfd_create(name, flags | MFD_CLOEXEC));
}

int
host_fd_poll(int fd, short events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};
	int r = RETRY(poll(&p, 1, timeout_ms));

	return r < 0 ? r : p.revents;
}

int
host_pidfd(pid_t pid)
{
	return RETRY(pidfd_open(pid, 0));
}

int64_t
host_fd_ioctl(int fd, unsigned long cmd, void *arg)
{
	return RETRY((int64_t)ioctl(fd, cmd, arg));
}

void
host_free_ptr(void *ptr_to_ptr)
{
	free(*(void **)ptr_to_ptr);
}

void
host_close_fd(int *fd)
{
	host_fd_close(*fd);
}
