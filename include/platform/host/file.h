/* SPDX-License-Identifier: Apache-2.0 */
/* Host descriptors: calls that return -errno instead of setting errno, and retry on EINTR. */
#ifndef PLATFORM_HOST_FILE_H
#define PLATFORM_HOST_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

ssize_t host_fd_read(int fd, void *buf, size_t len);
ssize_t host_fd_write(int fd, const void *buf, size_t len);
ssize_t host_fd_pread(int fd, void *buf, size_t len, int64_t off);
ssize_t host_fd_pwrite(int fd, const void *buf, size_t len, int64_t off);
int host_fd_close(int fd); /* harmless for -1 */
int host_fd_truncate(int fd, int64_t len);
int host_fd_allocate(int fd, int mode, int64_t off, int64_t len); /* fallocate(2) */
int64_t host_fd_seek(int fd, int64_t off, int whence);
int host_fd_sync(int fd, int data_only);
int host_memfd(const char *name, unsigned flags);	/* memfd_create(2) | MFD_CLOEXEC */
int host_fd_poll(int fd, short events, int timeout_ms); /* revents, or -errno */
int host_pidfd(pid_t pid);				/* pidfd_open(2) */
int64_t host_fd_ioctl(int fd, unsigned long cmd, void *arg);

/* For __attribute__((cleanup)): on a char * / void * from malloc, and on a descriptor. */
void host_free_ptr(void *ptr_to_ptr);
void host_close_fd(int *fd);

#endif
